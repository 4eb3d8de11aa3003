//! Saying how things are: conditions, counters, times.
//!
//! What must stay true: a status made twice from the same facts is the same, so that comparing before
//! writing ends every loop. A condition therefore keeps its times as long as it says the same.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// A time as Kubernetes writes it: to the second.
pub(crate) fn written(time: Timestamp) -> Value {
    json!(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Now, as Kubernetes writes it.
pub(crate) fn now() -> Value {
    written(Timestamp::now())
}

/// A counter that is absent when it is zero, as most are in Kubernetes.
pub(crate) fn counter(count: usize) -> Value {
    match count {
        0 => Value::Null,
        count => json!(count),
    }
}

/// What a condition says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Says<'a> {
    pub(crate) kind: &'a str,
    /// `None` is Unknown.
    pub(crate) value: Option<bool>,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

impl<'a> Says<'a> {
    pub(crate) fn new(kind: &'a str, value: bool, reason: &'a str, message: &'a str) -> Says<'a> {
        Says {
            kind,
            value: Some(value),
            reason,
            message,
        }
    }

    fn status(&self) -> &'static str {
        match self.value {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
    }

    /// The condition, since when the one `before` says the same.
    pub(crate) fn condition(&self, before: Option<&Value>) -> Value {
        let status = self.status();
        let kept = before.filter(|before| before["status"] == status);
        let since = kept.and_then(|before| before.get("lastTransitionTime"));
        let mut condition = json!({
            "type": self.kind,
            "status": status,
            "lastTransitionTime": since.cloned().unwrap_or_else(now),
        });
        for (name, text) in [("reason", self.reason), ("message", self.message)] {
            if !text.is_empty() {
                condition[name] = json!(text);
            }
        }
        condition
    }
}

/// The condition of that type in a status.
pub(crate) fn find<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = status.get("conditions").and_then(Value::as_array);
    let mut found = conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition["type"] == kind);
    found.next()
}

/// Conditions that keep their times, from the status that is shown.
pub(crate) fn conditions(shown: &impl Serialize, says: &[Says<'_>]) -> Value {
    let shown = json!(shown);
    says.iter()
        .map(|says| says.condition(find(&shown, says.kind)))
        .collect()
}

/// Whether a merge patch would change nothing.
///
/// An API server leaves out what is empty, so that is the same as absent.
pub(crate) fn says_the_same(wanted: &Value, shown: &Value) -> bool {
    match (wanted, shown) {
        (Value::Object(wanted), shown) => wanted
            .iter()
            .all(|(name, value)| says_the_same(value, shown.get(name).unwrap_or(&Value::Null))),
        (Value::Array(wanted), Value::Array(shown)) => {
            wanted.len() == shown.len()
                && wanted.iter().zip(shown).all(|(wanted, shown)| {
                    // A list is replaced as a whole: what a member has lost makes it differ as well.
                    says_the_same(wanted, shown) && says_the_same(shown, wanted)
                })
        }
        (wanted, shown) => wanted == shown || (is_empty(wanted) && is_empty(shown)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: Value, shown: Value, same: bool) {
        assert_eq!(says_the_same(&wanted, &shown), same, "{wanted} {shown}");
    }

    #[test]
    fn only_what_a_patch_would_change_is_written() {
        check(json!({"a": 1}), json!({"a": 1, "b": 2}), true);
        check(json!({"a": null, "b": 0, "c": []}), json!({}), true);
        check(json!({"a": 0}), json!({"a": 1}), false);
        check(json!({"a": null}), json!({"a": 1}), false);
        check(json!({"a": {"b": 1}}), Value::Null, false);
        check(json!({"a": [{"b": 1}]}), json!({"a": [{"b": 1, "c": 2}]}), false);
        check(json!({"a": [{"b": 1, "c": ""}]}), json!({"a": [{"b": 1}]}), true);
        check(json!({"a": [1]}), json!({"a": [1, 2]}), false);
    }
}
