//! What names may look like, per kind.
//!
//! What must stay true: the words are those of Kubernetes, which end in an example and in the expression.

use serde_json::json;

use crate::server::kinds::Kind;
use crate::server::status::Cause;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
     '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
     alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
     validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
     with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
     '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
     used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Why a text is not what it should be; `None` when it is.
pub(super) type Why = Option<String>;

/// Adds a cause if there is one.
pub(super) fn check(path: &str, text: &str, why: Why, causes: &mut Vec<Cause>) {
    if let Some(why) = why {
        causes.push(Cause::invalid(path, &json!(text), &why));
    }
}

fn is_word(text: &str, allowed: &[char]) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.chars().all(|c| c.is_ascii_alphanumeric() || allowed.contains(&c))
        && edge(text.chars().next())
        && edge(text.chars().last())
}

fn is_lower(text: &str) -> bool {
    !text.chars().any(|c| c.is_ascii_uppercase())
}

fn why(ok: bool, says: &str) -> Why {
    (!ok).then(|| says.to_owned())
}

fn short(text: &str, limit: usize) -> Why {
    why(text.len() <= limit, &format!("must be no more than {limit} bytes"))
}

pub(crate) fn is_dns_label(text: &str) -> bool {
    dns_label(text).is_none()
}

pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    dns_subdomain(text).is_none()
}

pub(super) fn dns_label(text: &str) -> Why {
    short(text, 63).or_else(|| why(is_lower(text) && is_word(text, &['-']), LABEL))
}

pub(super) fn dns_subdomain(text: &str) -> Why {
    let labels = || text.split('.').all(|label| is_word(label, &['-']));
    short(text, 253).or_else(|| why(is_lower(text) && labels(), SUBDOMAIN))
}

/// A subdomain whose first label may be `*`.
pub(super) fn wildcard(text: &str) -> Why {
    match text.strip_prefix("*.") {
        Some(rest) if is_dns_subdomain(rest) => None,
        _ => Some(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
             consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character \
             (e.g. '*.example.com', regex used for validation is \
             '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        ),
    }
}

fn dns_1035_label(text: &str) -> Why {
    let ok = is_lower(text) && is_word(text, &['-']) && text.starts_with(|c: char| c.is_ascii_alphabetic());
    short(text, 63).or_else(|| why(ok, LABEL_1035))
}

/// The key of a label or annotation, or a finalizer: a name, or a domain and a name.
pub(super) fn qualified(text: &str) -> Why {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    match prefix {
        _ if name.contains('/') => {
            return Some(format!(
                "a qualified name {NAME_PART} with an optional DNS subdomain prefix and '/'"
            ));
        }
        Some("") => return Some("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            if let Some(why) = dns_subdomain(prefix) {
                return Some(format!("prefix part {why}"));
            }
        }
        None => {}
    }
    match name {
        "" => Some("name part must be non-empty".to_owned()),
        name => short(name, 63)
            .map(|why| format!("name part {why}"))
            .or_else(|| why(is_word(name, &['-', '_', '.']), NAME_PART)),
    }
}

pub(super) fn label_value(text: &str) -> Why {
    match text {
        "" => None,
        text => short(text, 63).or_else(|| why(is_word(text, &['-', '_', '.']), LABEL_VALUE)),
    }
}

/// The name of a port of a container.
pub(super) fn port_name(text: &str) -> Why {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let checks = [
        (text.len() <= 15, "must be no more than 15 characters"),
        (
            text.chars().all(letters),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            text.chars().any(|c| c.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (!text.contains("--"), "must not contain consecutive hyphens"),
        (
            !text.starts_with('-') && !text.ends_with('-'),
            "must not begin or end with a hyphen",
        ),
    ];
    let failed = checks.into_iter().find(|(ok, _)| !ok);
    failed.map(|(_, why)| why.to_owned())
}

/// The key of a ConfigMap or Secret.
pub(super) fn config_key(text: &str) -> Why {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let says = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
                'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    short(text, 253)
        .or_else(|| why(!text.is_empty() && text.chars().all(letters), says))
        .or_else(|| {
            why(
                text != "." && !text.starts_with(".."),
                "must not be '.' or start with '..'",
            )
        })
}

/// What may be a segment of a path, as the names of roles.
fn path_segment(text: &str) -> Why {
    why(text != ".", "may not be '.'")
        .or_else(|| why(text != "..", "may not be '..'"))
        .or_else(|| why(!text.contains('/'), "may not contain '/'"))
        .or_else(|| why(!text.contains('%'), "may not contain '%'"))
}

/// Checks the name of an object.
pub(super) fn name(kind: &Kind, name: &str, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        let why = "name or generateName is required";
        causes.push(Cause::required_because("metadata.name", why));
        return;
    }
    let why = match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Service") => dns_1035_label(name),
        ("", "Namespace") | ("apps", "StatefulSet") => dns_label(name),
        ("rbac.authorization.k8s.io", _) => path_segment(name),
        // The names of its Jobs are eleven characters longer.
        ("batch", "CronJob") if name.len() > 52 => Some("must be no more than 52 characters".to_owned()),
        _ => dns_subdomain(name),
    };
    check("metadata.name", name, why, causes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_sort() {
        let check = |rule: fn(&str) -> Why, good: &[&str], bad: &[&str]| {
            for text in good {
                assert_eq!(rule(text), None, "{text}");
            }
            for text in bad {
                assert!(rule(text).is_some(), "{text}");
            }
        };
        let long = "a".repeat(64);
        check(dns_label, &["a", "1-b"], &["", "-a", "A", "a.b", &long]);
        check(dns_subdomain, &["a.b", "1.x-y"], &["", "a..b", "a_b", ".a"]);
        check(dns_1035_label, &["a-1"], &["1a", "a."]);
        check(
            qualified,
            &["a", "A_b.c", "x.y/Z"],
            &["", "/a", "x/", "X/a", "a/b/c", "é"],
        );
        check(label_value, &["", "A.b_c"], &["-", "a b", &long]);
        check(
            port_name,
            &["http", "h2c"],
            &["", "80", "HTTP", "a--b", "-a", "more-than-fifteen"],
        );
        check(config_key, &["a.b", "_A-"], &["", ".", "..a", "a/b"]);
        check(path_segment, &["system:x"], &[".", "..", "a/b", "a%"]);
        check(wildcard, &["*.example.com"], &["*", "*.", "a.*"]);
    }
}
