//! What `pattern` and `format` mean.
//!
//! What must stay true: a format nobody knows says nothing, as in a real cluster; an expression is
//! compiled once and not once per write. The memory for that is bounded.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock, Mutex};

use regex::Regex;

/// More expressions than all definitions of a large cluster have.
const MOST_PATTERNS: usize = 4_096;

type Compiled = Option<Arc<Regex>>;

static PATTERNS: LazyLock<Mutex<HashMap<String, Compiled>>> = LazyLock::new(Mutex::default);

/// The expression, if it is one.
fn compiled(pattern: &str) -> Compiled {
    let mut patterns = PATTERNS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(known) = patterns.get(pattern) {
        return known.clone();
    }
    if patterns.len() >= MOST_PATTERNS {
        patterns.clear();
    }
    let new = Regex::new(pattern).ok().map(Arc::new);
    patterns.insert(pattern.to_owned(), new.clone());
    new
}

/// Whether a text matches somewhere; an expression that is none matches nothing.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    compiled(pattern).is_some_and(|pattern| pattern.is_match(text))
}

/// Why a text is no expression.
pub(super) fn why_no_pattern(pattern: &str) -> Option<String> {
    Regex::new(pattern).err().map(|error| error.to_string())
}

/// Whether a text is of a format.
pub(super) fn is(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => matches("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", text) && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => matches(r"^[-+]?([0-9]*(\.[0-9]*)?(ns|us|µs|ms|s|m|h|d|w))+$", text) || text == "0",
        "byte" => is_base64(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => matches("^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$", text),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => is_uuid(format, text),
        "email" => matches(r"^[^@\s]+@[^@\s]+$", text),
        "hostname" => text.len() <= 253 && matches(r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$", text),
        "uri" => matches(r"^[A-Za-z][-A-Za-z0-9+.]*:\S+$|^/\S*$", text),
        _ => true,
    }
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    text.len().is_multiple_of(4) && text.len() - body.len() <= 2 && body.chars().all(letters)
}

fn is_uuid(format: &str, text: &str) -> bool {
    let version = format.strip_prefix("uuid").filter(|version| !version.is_empty());
    matches(
        "^[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}$",
        text,
    ) && version.is_none_or(|version| text.chars().filter(|c| *c != '-').nth(12) == version.chars().next())
}

/// Whether a text is an address and the length of a prefix.
pub(crate) fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let digits = length.bytes().all(|byte| byte.is_ascii_digit());
    let length = length.parse::<u8>().ok().filter(|_| digits);
    let fits = |most: u8| length.is_some_and(|length| length <= most);
    (address.parse::<Ipv4Addr>().is_ok() && fits(32)) || (address.parse::<Ipv6Addr>().is_ok() && fits(128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let check = |format: &str, good: &[&str], bad: &[&str]| {
            for text in good {
                assert!(is(format, text), "{format} {text}");
            }
            for text in bad {
                assert!(!is(format, text), "{format} {text}");
            }
        };
        check(
            "date-time",
            &["2024-02-29T01:02:03Z", "2024-01-01T00:00:00.5+02:00"],
            &["2024-01-01", "x"],
        );
        check("date", &["2024-02-29"], &["2023-02-29", "2024-1-1"]);
        check("duration", &["1h30m", "5s", "0"], &["", "5", "x"]);
        check("byte", &["", "YQ==", "YWJj"], &["YQ", "Y===", "?A=="]);
        check("ipv4", &["10.0.0.1"], &["10.0.0", "::1"]);
        check("ipv6", &["::1"], &["10.0.0.1"]);
        check(
            "cidr",
            &["10.0.0.0/8", "fd00::/8"],
            &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "/8"],
        );
        check("uuid", &["123e4567-e89b-12d3-a456-426614174000"], &["123e4567"]);
        check(
            "uuid4",
            &["123e4567-e89b-42d3-a456-426614174000"],
            &["123e4567-e89b-12d3-a456-426614174000"],
        );
        check("email", &["a@b"], &["a", "a@", "a b@c"]);
        check("mac", &["00:11:22:aa:BB:cc"], &["00:11"]);
        check("uri", &["https://example.com/x", "/x"], &["x y", ""]);
        check("of nobody", &["x"], &[]);
    }
}
