//! Whether a schema is structural.
//!
//! What must stay true: what passes here says of every field what it is, so pruning, defaulting and
//! merging know what to do; what does not pass is refused with the definition, as `v1` definitions are.

use serde_json::{Map, Value, json};

use super::{flag, formats, validate_at};
use crate::server::object;
use crate::server::status::Cause;

/// Fields that say what a value is, which branches of a logical junctor may not say again.
const ONLY_OUTSIDE: [&str; 7] = [
    "type",
    "default",
    "additionalProperties",
    "nullable",
    "title",
    "description",
    "x-kubernetes-preserve-unknown-fields",
];

/// Adds a cause for everything in which the schema at `path` is not structural.
pub(crate) fn check(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    match schema.get("type").and_then(Value::as_str).unwrap_or_default() {
        "object" => {}
        "" => {
            let why = "must not be empty at the root";
            causes.push(Cause::required_because(format!("{path}.type"), why));
        }
        other => {
            let why = "must be object at the root";
            causes.push(Cause::invalid(format!("{path}.type"), &json!(other), why));
        }
    }
    if flag(schema, "x-kubernetes-embedded-resource") {
        let why = "must not be used at the root";
        causes.push(Cause::forbidden(format!("{path}.x-kubernetes-embedded-resource"), why));
    }
    node(schema, path, true, causes);
}

fn node(schema: &Value, path: &str, root: bool, causes: &mut Vec<Cause>) {
    let Some(map) = schema.as_object() else { return };
    common(map, path, causes);
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let mut either = flag(schema, "x-kubernetes-int-or-string");
    either |= flag(schema, "x-kubernetes-preserve-unknown-fields");
    if flag(schema, "x-kubernetes-int-or-string") && !kind.is_empty() {
        let why = "must be empty if x-kubernetes-int-or-string is true";
        causes.push(Cause::invalid(format!("{path}.type"), &json!(kind), why));
    }
    let list = schema.get("x-kubernetes-list-type").and_then(Value::as_str);
    match kind {
        "" if either || root => {}
        "" => {
            let what = if path.ends_with(".items") {
                "array items"
            } else {
                "object fields"
            };
            let why = format!("must not be empty for specified {what}");
            causes.push(Cause::required_because(format!("{path}.type"), &why));
        }
        "array" => match schema.get("items") {
            None => causes.push(Cause::required_because(format!("{path}.items"), "must be specified")),
            Some(Value::Object(_)) => {}
            Some(_) => {
                let why = "items must be a schema object and not an array";
                causes.push(Cause::forbidden(format!("{path}.items"), why));
            }
        },
        "object" | "string" | "integer" | "number" | "boolean" => {}
        other => {
            let supported = ["array", "boolean", "integer", "number", "object", "string"];
            causes.push(Cause::not_supported(format!("{path}.type"), &json!(other), &supported));
        }
    }
    if let Some(list) = list {
        list_type(schema, list, kind, path, causes);
    }
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_some() {
        let why = "must not have both properties and additionalProperties: they are mutually exclusive";
        causes.push(Cause::forbidden(format!("{path}.additionalProperties"), why));
    }
    if let Some(default) = schema.get("default") {
        let mut wrong = Vec::new();
        validate_at(default, schema, &format!("{path}.default"), &mut wrong);
        causes.append(&mut wrong);
    }
    for (name, schema) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        // The API server knows the fields every object has.
        let known = root && matches!(name.as_str(), "metadata" | "apiVersion" | "kind");
        if !known {
            node(schema, &format!("{path}.properties[{name}]"), false, causes);
        }
    }
    for name in ["items", "additionalProperties"] {
        if let Some(schema) = schema.get(name).filter(|schema| schema.is_object()) {
            node(schema, &format!("{path}.{name}"), false, causes);
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for (index, branch) in object::items(schema.get(name)).enumerate() {
            junctor(
                branch,
                flag(schema, "x-kubernetes-int-or-string"),
                &format!("{path}.{name}[{index}]"),
                causes,
            );
        }
    }
    if let Some(branch) = schema.get("not") {
        junctor(branch, false, &format!("{path}.not"), causes);
    }
}

/// What no schema may say.
fn common(map: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    for name in [
        "$ref",
        "definitions",
        "dependencies",
        "patternProperties",
        "deprecated",
        "discriminator",
        "id",
    ] {
        if map.contains_key(name) {
            causes.push(Cause::forbidden(
                format!("{path}.{name}"),
                &format!("{name} is not supported"),
            ));
        }
    }
    if map.get("uniqueItems") == Some(&json!(true)) {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(Cause::forbidden(format!("{path}.uniqueItems"), why));
    }
    if map.get("additionalProperties") == Some(&json!(false)) {
        let why = "additionalProperties cannot be set to false";
        causes.push(Cause::forbidden(format!("{path}.additionalProperties"), why));
    }
    if let Some(pattern) = map.get("pattern").and_then(Value::as_str)
        && let Some(error) = formats::why_no_pattern(pattern)
    {
        let why = format!("must be a valid regular expression, but isn't: {error}");
        causes.push(Cause::invalid(format!("{path}.pattern"), &json!(pattern), &why));
    }
}

fn list_type(schema: &Value, list: &str, kind: &str, path: &str, causes: &mut Vec<Cause>) {
    let field = format!("{path}.x-kubernetes-list-type");
    if kind != "array" {
        let why = "must be array if x-kubernetes-list-type is specified";
        causes.push(Cause::invalid(format!("{path}.type"), &json!(kind), why));
    }
    match list {
        "atomic" | "set" => {}
        "map" => {
            let keys = object::items(schema.get("x-kubernetes-list-map-keys")).filter_map(Value::as_str);
            let keys: Vec<&str> = keys.collect();
            if keys.is_empty() {
                let why = "must not be empty if x-kubernetes-list-type is map";
                causes.push(Cause::required_because(
                    format!("{path}.x-kubernetes-list-map-keys"),
                    why,
                ));
            }
            let items = &schema["items"];
            for key in keys {
                let Some(property) = items["properties"].get(key) else {
                    let why = "entries must all be names of item properties";
                    let field = format!("{path}.x-kubernetes-list-map-keys");
                    causes.push(Cause::invalid(field, &json!(key), why));
                    continue;
                };
                let required = object::items(items.get("required")).any(|name| name == key);
                if !required && property.get("default").is_none() {
                    let field = format!("{path}.items.properties[{key}].default");
                    let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                    causes.push(Cause::required_because(field, why));
                }
            }
        }
        other => causes.push(Cause::not_supported(field, &json!(other), &["atomic", "map", "set"])),
    }
}

/// A branch constrains what the schema around it describes.
fn junctor(branch: &Value, either: bool, path: &str, causes: &mut Vec<Cause>) {
    let Some(map) = branch.as_object() else { return };
    common(map, path, causes);
    for name in ONLY_OUTSIDE {
        // The branches of an int-or-string may say which of the two they are.
        let allowed = name == "type" && either;
        if map.contains_key(name) && !allowed {
            let why = "must be empty to be structural";
            causes.push(Cause::forbidden(format!("{path}.{name}"), why));
        }
    }
    let properties = map.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (name, schema) in properties {
        junctor(schema, false, &format!("{path}.properties[{name}]"), causes);
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for (index, branch) in object::items(map.get(name)).enumerate() {
            junctor(branch, either, &format!("{path}.{name}[{index}]"), causes);
        }
    }
    for name in ["items", "not"] {
        if let Some(schema) = map.get(name) {
            junctor(schema, false, &format!("{path}.{name}"), causes);
        }
    }
}
