//! Whether a value is what its schema says.
//!
//! What must stay true: everything wrong is said, each with the path and in the words of the API server;
//! the work is bounded by the size of the value times that of the schema.

use serde_json::{Map, Value, json};

use super::{flag, formats, join};
use crate::server::object;
use crate::server::status::Cause;

/// Adds a cause for everything in which an object breaks the schema.
pub(crate) fn validate(value: &Value, schema: &Value, causes: &mut Vec<Cause>) {
    validate_at(value, schema, "", causes);
}

/// The same for what is at `path` of an object.
pub(crate) fn validate_at(value: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && flag(schema, "nullable") {
        return;
    }
    if !has_type(value, schema) {
        causes.push(wrong_type(value, schema, path));
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let names: Vec<String> = allowed.iter().map(Value::to_string).collect();
        causes.push(Cause {
            reason: "FieldValueNotSupported",
            field: path.to_owned(),
            message: format!("Unsupported value: {value}: supported values: {}", names.join(", ")),
        });
    }
    match value {
        Value::Object(map) => object(map, schema, path, causes),
        Value::Array(items) => list(items, schema, path, causes),
        Value::String(text) => string(text, schema, path, causes),
        Value::Number(_) => number(value, schema, path, causes),
        _ => {}
    }
    junctors(value, schema, path, causes);
}

/// A complaint about a value, as a real server words it.
fn complain(path: &str, value: &Value, why: &str, causes: &mut Vec<Cause>) {
    let shown = match value {
        Value::Object(_) | Value::Array(_) => json!(""),
        plain => plain.clone(),
    };
    causes.push(Cause::invalid(path, &shown, &format!("{path} in body {why}")));
}

fn bound(schema: &Value, name: &str) -> Option<usize> {
    schema.get(name)?.as_u64().and_then(|bound| usize::try_from(bound).ok())
}

fn object(map: &Map<String, Value>, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    for name in object::items(schema.get("required")).filter_map(Value::as_str) {
        if map.get(name).is_none_or(Value::is_null) {
            causes.push(Cause::required(join(path, name)));
        }
    }
    if flag(schema, "x-kubernetes-embedded-resource") {
        for name in ["apiVersion", "kind"] {
            if map.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
                causes.push(Cause::required_because(join(path, name), "must not be empty"));
            }
        }
    }
    if let Some(least) = bound(schema, "minProperties").filter(|least| map.len() < *least) {
        let why = format!("should have at least {least} properties");
        complain(path, &json!(map.len()), &why, causes);
    }
    if let Some(most) = bound(schema, "maxProperties").filter(|most| map.len() > *most) {
        causes.push(Cause::too_many(path, map.len(), most));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in map {
        let property = properties.and_then(|properties| properties.get(name));
        if let Some(schema) = property.or_else(|| schema.get("additionalProperties")) {
            validate_at(value, schema, &join(path, name), causes);
        }
    }
}

fn list(items: &[Value], schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    if let Some(least) = bound(schema, "minItems").filter(|least| items.len() < *least) {
        let why = format!("should have at least {least} items");
        complain(path, &json!(items.len()), &why, causes);
    }
    if let Some(most) = bound(schema, "maxItems").filter(|most| items.len() > *most) {
        causes.push(Cause::too_many(path, items.len(), most));
    }
    let keys: Option<Vec<&str>> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Some(Vec::new()),
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys");
            Some(object::items(keys).filter_map(Value::as_str).collect())
        }
        _ => None,
    };
    let mut known = std::collections::BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if let Some(schema) = schema.get("items") {
            validate_at(item, schema, &path, causes);
        }
        let Some(keys) = &keys else { continue };
        let shown = match keys.is_empty() {
            true => item.clone(),
            false => keys.iter().map(|key| ((*key).to_owned(), item[*key].clone())).collect(),
        };
        if !known.insert(shown.to_string()) {
            causes.push(Cause::duplicate(path, &shown));
        }
    }
}

fn string(text: &str, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count();
    let value = json!(text);
    if let Some(least) = bound(schema, "minLength").filter(|least| length < *least) {
        let why = format!("should be at least {least} chars long");
        complain(path, &value, &why, causes);
    }
    if let Some(most) = bound(schema, "maxLength").filter(|most| length > *most) {
        causes.push(Cause::too_long(path, most));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !formats::matches(pattern, text)
    {
        complain(path, &value, &format!("should match '{pattern}'"), causes);
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str)
        && !flag(schema, "x-kubernetes-int-or-string")
        && !formats::is(format, text)
    {
        causes.push(Cause {
            reason: "FieldValueTypeInvalid",
            field: path.to_owned(),
            message: format!("Invalid value: {value}: {path} in body must be of type {format}: {value}"),
        });
    }
}

fn number(value: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let number = value.as_f64().unwrap_or_default();
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(least) = bound("minimum") {
        let exclusive = flag(schema, "exclusiveMinimum");
        if number < least || (exclusive && number == least) {
            let or_equal = if exclusive { "" } else { " or equal to" };
            complain(
                path,
                value,
                &format!("should be greater than{or_equal} {least}"),
                causes,
            );
        }
    }
    if let Some(most) = bound("maximum") {
        let exclusive = flag(schema, "exclusiveMaximum");
        if number > most || (exclusive && number == most) {
            let or_equal = if exclusive { "" } else { " or equal to" };
            complain(path, value, &format!("should be less than{or_equal} {most}"), causes);
        }
    }
    if let Some(factor) = bound("multipleOf").filter(|factor| *factor > 0.0)
        && (number / factor).fract() != 0.0
    {
        complain(path, value, &format!("should be a multiple of {factor}"), causes);
    }
    if schema.get("format").and_then(Value::as_str) == Some("int32")
        && value.as_i64().is_none_or(|number| i32::try_from(number).is_err())
    {
        let why = format!("Checked value must be of type integer with format int32 in {path}");
        causes.push(Cause::invalid(path, value, &why));
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`.
fn junctors(value: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let fits = |schema: &Value| {
        let mut causes = Vec::new();
        validate_at(value, schema, path, &mut causes);
        causes.is_empty()
    };
    for schema in object::items(schema.get("allOf")) {
        validate_at(value, schema, path, causes);
    }
    if schema.get("anyOf").is_some() && !object::items(schema.get("anyOf")).any(fits) {
        complain(path, value, "must validate at least one schema (anyOf)", causes);
    }
    if schema.get("oneOf").is_some() {
        let found = match object::items(schema.get("oneOf")).filter(|schema| fits(schema)).count() {
            1 => None,
            0 => Some("Found none valid".to_owned()),
            many => Some(format!("Found {many} valid alternatives")),
        };
        if let Some(found) = found {
            let why = format!("must validate one and only one schema (oneOf). {found}");
            complain(path, value, &why, causes);
        }
    }
    if schema.get("not").is_some_and(fits) {
        complain(path, value, "must not validate the schema (not)", causes);
    }
}

fn has_type(value: &Value, schema: &Value) -> bool {
    if flag(schema, "x-kubernetes-int-or-string") {
        return value.is_string() || is_integer(value);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => is_integer(value),
        Some("number") => value.is_number(),
        _ => true,
    }
}

/// A number without a fraction, however it is written.
fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn wrong_type(value: &Value, schema: &Value, path: &str) -> Cause {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let wanted = match flag(schema, "x-kubernetes-int-or-string") {
        true => "integer,string",
        false => schema.get("type").and_then(Value::as_str).unwrap_or_default(),
    };
    Cause {
        reason: "FieldValueTypeInvalid",
        field: path.to_owned(),
        message: format!("Invalid value: {found:?}: {path} in body must be of type {wanted}: {found:?}"),
    }
}
