//! Pieces of schemas that several definitions share.

use serde_json::{Value, json};

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

/// A text that is not empty.
pub(super) fn name(most: u32) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": most})
}

pub(super) fn one_of(values: &[&str]) -> Value {
    json!({"type": "string", "enum": values})
}

pub(super) fn port() -> Value {
    json!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 65_535})
}

/// An object whose fields are of no interest here.
pub(super) fn anything() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

pub(super) fn object(properties: Value, required: &[&str]) -> Value {
    match required.is_empty() {
        true => json!({"type": "object", "properties": properties}),
        false => json!({"type": "object", "properties": properties, "required": required}),
    }
}

/// An object of which only these fields are described.
pub(super) fn open(properties: Value, required: &[&str]) -> Value {
    let mut schema = object(properties, required);
    schema["x-kubernetes-preserve-unknown-fields"] = json!(true);
    schema
}

/// A list that is one value.
pub(super) fn atomic(items: Value) -> Value {
    json!({"type": "array", "items": items, "x-kubernetes-list-type": "atomic"})
}

/// A list whose items are known by `keys`.
pub(super) fn keyed(items: Value, keys: &[&str]) -> Value {
    json!({
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": keys,
    })
}

/// `value` with a default.
pub(super) fn with_default(mut value: Value, default: Value) -> Value {
    value["default"] = default;
    value
}

/// `status.conditions` as most kinds have them.
pub(super) fn conditions() -> Value {
    let condition = object(
        json!({
            "type": name(316),
            "status": one_of(&["True", "False", "Unknown"]),
            "reason": name(1_024),
            "message": {"type": "string", "maxLength": 32_768},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
        }),
        &["lastTransitionTime", "message", "reason", "status", "type"],
    );
    let mut list = keyed(condition, &["type"]);
    list["maxItems"] = json!(8);
    list
}

/// The column that shows when the object was made.
pub(super) fn age() -> Value {
    json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
}
