//! Label and field selectors.
//!
//! What must stay true: a selector that cannot be parsed is a 400, never an empty match; lists,
//! watches and collection deletes use the same `Selection`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object;
use super::objects::Key;
use super::status::{Failure, Outcome};
use super::stored::Stored;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Rule {
    fn matches<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        let one_of = |values: &[String], value: &str| values.iter().any(|known| known == value);
        match self {
            Rule::In(key, values) => label(key).is_some_and(|value| one_of(values, value)),
            Rule::NotIn(key, values) => label(key).is_none_or(|value| !one_of(values, value)),
            Rule::Exists(key) => label(key).is_some(),
            Rule::Absent(key) => label(key).is_none(),
        }
    }
}

/// Which objects of a kind are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    labels: Vec<Rule>,
    /// Path, value, and whether they must be equal.
    fields: Vec<(String, String, bool)>,
}

impl Selection {
    /// Parses the two selectors of a query; `selectable` are the fields a kind can be selected by
    /// besides the name and the namespace.
    pub(crate) fn parse(labels: &str, fields: &str, selectable: &[String]) -> Outcome<Selection> {
        Ok(Selection {
            labels: parse_labels(labels)?,
            fields: parse_fields(fields, selectable)?,
        })
    }

    /// Only the object of this name.
    pub(crate) fn named(name: &str) -> Selection {
        Selection {
            labels: Vec::new(),
            fields: vec![("metadata.name".to_owned(), name.to_owned(), true)],
        }
    }

    /// The name of the only object that can be meant, if the selector says so.
    pub(crate) fn only_name(&self) -> Option<&str> {
        let named = |(path, _, equal): &&(String, String, bool)| path == "metadata.name" && *equal;
        self.fields.iter().find(named).map(|(_, name, _)| name.as_str())
    }

    /// Whether nothing is left out.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the object filed under `key` is meant.
    pub(crate) fn matches(&self, key: &Key, object: &Stored) -> bool {
        if !self.labels.iter().all(|rule| rule.matches(|key| object.label(key))) {
            return false;
        }
        // Only rare selectors ask for more than the key, and need the object read.
        let mut value = None;
        self.fields.iter().all(|(path, wanted, equal)| {
            let same = match path.as_str() {
                "metadata.name" => *key.name == **wanted,
                "metadata.namespace" => *key.namespace == **wanted,
                path => field(value.get_or_insert_with(|| object.value()), path) == *wanted,
            };
            same == *equal
        })
    }
}

fn field(value: &Value, path: &str) -> String {
    let pointer = format!("/{}", path.replace('.', "/"));
    // An Event may be stored in either of its versions.
    let found = value.pointer(&pointer).or_else(|| {
        let other = match path.split_once('.')? {
            ("involvedObject", rest) => format!("/regarding/{rest}"),
            ("regarding", rest) => format!("/involvedObject/{rest}"),
            _ => return None,
        };
        value.pointer(&other)
    });
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Whether a `LabelSelector` object selects `labels`.
pub(crate) fn matches_label_selector(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let empty = serde_json::Map::new();
    let equal = selector.get("matchLabels").and_then(Value::as_object).unwrap_or(&empty);
    let expressions = object::items(selector.get("matchExpressions")).all(|expression| {
        let key = expression["key"].as_str().unwrap_or_default().to_owned();
        let values = object::items(expression.get("values")).filter_map(Value::as_str);
        let values: Vec<String> = values.map(str::to_owned).collect();
        let rule = match expression["operator"].as_str().unwrap_or_default() {
            "In" => Rule::In(key, values),
            "NotIn" => Rule::NotIn(key, values),
            "Exists" => Rule::Exists(key),
            "DoesNotExist" => Rule::Absent(key),
            _ => return false,
        };
        rule.matches(label)
    });
    expressions && equal.iter().all(|(key, value)| label(key) == value.as_str())
}

fn parse_labels(text: &str) -> Outcome<Vec<Rule>> {
    let parts = split(text);
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            parse_rule(part).ok_or_else(|| {
                Failure::bad_request(format!(
                    "unable to parse requirement: found '{part}', expected: a label requirement"
                ))
            })
        })
        .collect()
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match (c, parts.last_mut()) {
            (',', _) if depth == 0 => parts.push(String::new()),
            (_, Some(last)) => last.push(c),
            (_, None) => {}
        }
    }
    parts
}

fn parse_rule(part: &str) -> Option<Rule> {
    let key = |text: &str| {
        let text = text.trim();
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        (!text.is_empty() && text.chars().all(fine)).then(|| text.to_owned())
    };
    let value = |text: &str| match text.trim() {
        "" => Some(String::new()),
        text => key(text),
    };
    if let Some(name) = part.strip_prefix('!') {
        return Some(Rule::Absent(key(name)?));
    }
    if let Some((name, wanted)) = part.split_once("!=") {
        return Some(Rule::NotIn(key(name)?, vec![value(wanted)?]));
    }
    if let Some((name, wanted)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Rule::In(key(name)?, vec![value(wanted)?]));
    }
    if let Some((head, values)) = part.split_once('(') {
        let values = values.trim_end().strip_suffix(')')?;
        let values: Option<Vec<String>> = values.split(',').map(value).collect();
        let mut words = head.split_whitespace();
        let (name, operator) = (key(words.next()?)?, words.next()?);
        return match (operator, words.next()) {
            ("in", None) => Some(Rule::In(name, values?)),
            ("notin", None) => Some(Rule::NotIn(name, values?)),
            _ => None,
        };
    }
    Some(Rule::Exists(key(part)?))
}

fn parse_fields(text: &str, selectable: &[String]) -> Outcome<Vec<(String, String, bool)>> {
    let known = |path: &str| {
        matches!(path, "metadata.name" | "metadata.namespace") || selectable.iter().any(|known| known == path)
    };
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (path, value, equal) = part
                .split_once("!=")
                .map(|(path, value)| (path, value, false))
                .or_else(|| part.split_once("==").map(|(path, value)| (path, value, true)))
                .or_else(|| part.split_once('=').map(|(path, value)| (path, value, true)))
                .ok_or_else(|| {
                    Failure::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'"))
                })?;
            match known(path) {
                true => Ok((path.to_owned(), value.to_owned(), equal)),
                false => Err(Failure::bad_request(format!("field label not supported: {path}"))),
            }
        })
        .collect()
}

/// The query part of a request, percent-decoded.
pub(crate) fn parse_query(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let decode = |text: &str| percent_decode(&text.replace('+', " "));
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// Decodes `%xx`; what is not valid UTF-8 becomes the replacement character.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail.get(..2).and_then(hex_byte)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (other, _) => bytes.push(*other),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Two hexadecimal digits.
fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    // Numbers may have a sign, escapes may not.
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| plain)
}

/// Whether every `%` starts an escape.
pub(crate) fn is_well_escaped(text: &str) -> bool {
    let mut escapes = text.split('%').skip(1);
    escapes.all(|rest| rest.as_bytes().get(..2).and_then(hex_byte).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(selector: &str, labels: Value, wanted: bool) {
        let selection = Selection::parse(selector, "", &[]).unwrap();
        let object = json!({"metadata": {"labels": labels}});
        let matches = selection.matches(&Key::cluster("nodes", "a"), &Stored::new(&object));
        assert_eq!(matches, wanted, "{selector} of {object}");
    }

    #[test]
    fn label_selectors() {
        check("", json!({}), true);
        check("a=b", json!({"a": "b"}), true);
        check("a==b,c", json!({"a": "b"}), false);
        check("a!=b", json!({}), true);
        check("a in (b, c)", json!({"a": "c"}), true);
        check("a notin (b,c),!d", json!({"a": "c"}), false);
        check("!d", json!({"a": "c"}), true);
        assert!(Selection::parse("a in b", "", &[]).is_err());
        assert!(Selection::parse("", "spec.type=x", &[]).is_err());
    }

    #[test]
    fn escapes() {
        let check = |text: &str, decoded: &str, well: bool| {
            assert_eq!(
                (percent_decode(text).as_str(), is_well_escaped(text)),
                (decoded, well),
                "{text}"
            );
        };
        check("a+b", "a+b", true);
        check("a%20b%2f", "a b/", true);
        check("%zz", "%zz", false);
        check("%+f", "%+f", false);
        check("a%2", "a%2", false);
        check("%ff", "\u{fffd}", true);
        assert_eq!(parse_query("a=b+c")["a"], "b c");
    }
}
