//! What a kind's fields may hold: unknown fields, defaults and types.
//!
//! What must stay true: `conform` leaves only fields the kind knows, whatever the client sent, and
//! names those it dropped so that strict validation can refuse them. Built-in kinds are known by
//! their typed structs, custom kinds by their structural schema.
//!
//! Refused: a general JSON Schema validator. Structural schemas are a small subset, and the causes
//! of a 422 must read as the API server writes them. CEL rules are not evaluated.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::kinds::{Fields, Kind};
use super::object;
use super::status::{Cause, Failure, Outcome};

/// Drops what the kind does not know and returns the paths of what was dropped.
pub(crate) fn conform(kind: &Kind, object: &mut Value) -> Outcome<Vec<String>> {
    let mut dropped = Vec::new();
    let known = match &kind.fields {
        Fields::Typed(round_trip) => Some(round_trip(object)),
        Fields::Schema(schema) => {
            prune(object, schema, true, "", &mut dropped);
            None
        }
    };
    match known {
        Some(Ok(known)) => keep_known(object, &known, "", &mut dropped),
        Some(Err(error)) => return Err(undecodable(kind, &error)),
        None => {
            let metadata = object.get("metadata").unwrap_or(&Value::Null);
            let known = ObjectMeta::deserialize(metadata).and_then(serde_json::to_value);
            let known = known.map_err(|error| undecodable(kind, &error))?;
            keep_known(&mut object["metadata"], &known, "metadata", &mut dropped);
        }
    }
    drop_empty(object);
    Ok(dropped)
}

/// Empty maps and lists of the metadata are never shown.
fn drop_empty(object: &mut Value) {
    let meta = object::meta_mut(object);
    for field in ["annotations", "labels", "finalizers", "ownerReferences"] {
        let empty = match meta.get(field) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Null) => true,
            _ => false,
        };
        if empty {
            meta.remove(field);
        }
    }
}

fn undecodable(kind: &Kind, error: &serde_json::Error) -> Box<Failure> {
    let (name, version) = (&kind.kind, &kind.version);
    Failure::bad_request(format!(
        "{name} in version \"{version}\" cannot be handled as a {name}: {error}"
    ))
}

fn keep_known(value: &mut Value, known: &Value, path: &str, dropped: &mut Vec<String>) {
    match (value, known) {
        (Value::Object(map), Value::Object(known)) => {
            map.retain(|name, value| {
                if !known.contains_key(name) && !value.is_null() {
                    dropped.push(join(path, name));
                }
                known.contains_key(name)
            });
            for (name, value) in map {
                keep_known(value, &known[name], &join(path, name), dropped);
            }
        }
        (Value::Array(items), Value::Array(known)) if items.len() == known.len() => {
            for (index, (item, known)) in items.iter_mut().zip(known).enumerate() {
                keep_known(item, known, &format!("{path}[{index}]"), dropped);
            }
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or_default()
}

fn prune(value: &mut Value, schema: &Value, root: bool, path: &str, dropped: &mut Vec<String>) {
    let preserve = flag(schema, "x-kubernetes-preserve-unknown-fields");
    match value {
        Value::Object(map) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let additional = schema.get("additionalProperties");
            map.retain(|name, value| {
                let property = properties.and_then(|properties| properties.get(name));
                let special = matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
                let embedded = flag(schema, "x-kubernetes-embedded-resource");
                if special && (root || embedded) {
                    return true;
                }
                let path = join(path, name);
                match (property, additional) {
                    (Some(schema), _) => prune(value, schema, false, &path, dropped),
                    (None, Some(schema)) if schema.is_object() => {
                        prune(value, schema, false, &path, dropped);
                    }
                    (None, Some(Value::Bool(true))) => {}
                    _ if preserve => {}
                    _ => {
                        dropped.push(path);
                        return false;
                    }
                }
                true
            });
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter_mut().enumerate() {
                    prune(item, schema, false, &format!("{path}[{index}]"), dropped);
                }
            }
        }
        _ => {}
    }
}

/// Fills in the `default`s of a structural schema; a null where none is allowed counts as absent.
pub(crate) fn fill_defaults(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(map) => {
            let empty = Map::new();
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, schema) in properties.unwrap_or(&empty) {
                if let Some(default) = schema.get("default") {
                    let present = map.entry(name.clone()).or_insert(Value::Null);
                    if present.is_null() && !flag(schema, "nullable") {
                        *present = default.clone();
                    }
                }
                if let Some(value) = map.get_mut(name) {
                    fill_defaults(value, schema);
                }
            }
            if let Some(schema) = schema.get("additionalProperties") {
                let others = map
                    .iter_mut()
                    .filter(|(name, _)| properties.is_none_or(|properties| !properties.contains_key(*name)));
                others.for_each(|(_, value)| fill_defaults(value, schema));
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| fill_defaults(item, schema));
            }
        }
        _ => {}
    }
}

/// Adds a cause for everything in which `value` breaks the schema.
pub(crate) fn validate(value: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
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
        Value::Object(map) => validate_object(map, schema, path, causes),
        Value::Array(items) => {
            bounds(
                items.len() as f64,
                value,
                schema,
                ("minItems", "maxItems"),
                path,
                causes,
            );
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    validate(item, schema, &format!("{path}[{index}]"), causes);
                }
            }
        }
        Value::String(text) => {
            let length = text.chars().count() as f64;
            bounds(length, value, schema, ("minLength", "maxLength"), path, causes);
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            bounds(number, value, schema, ("minimum", "maximum"), path, causes);
        }
        _ => {}
    }
}

fn validate_object(map: &Map<String, Value>, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    for name in object::items(schema.get("required")).filter_map(Value::as_str) {
        if map.get(name).is_none_or(Value::is_null) {
            causes.push(Cause::required(join(path, name)));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in map {
        let property = properties.and_then(|properties| properties.get(name));
        let schema = property.or_else(|| schema.get("additionalProperties"));
        match schema {
            // The required check has spoken; an absent optional field may be sent as null.
            Some(_) if value.is_null() => {}
            Some(schema) => validate(value, schema, &join(path, name), causes),
            None => {}
        }
    }
}

fn has_type(value: &Value, schema: &Value) -> bool {
    if flag(schema, "x-kubernetes-int-or-string") {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => true,
    }
}

fn wrong_type(value: &Value, schema: &Value, path: &str) -> Cause {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let wanted = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("integer or string");
    Cause {
        reason: "FieldValueTypeInvalid",
        field: path.to_owned(),
        message: format!("Invalid value: {found:?}: {path} in body must be of type {wanted}: {found:?}"),
    }
}

fn bounds(
    measure: f64,
    value: &Value,
    schema: &Value,
    (least, most): (&str, &str),
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(bound) = bound(least).filter(|bound| measure < *bound) {
        let why = format!("{path} in body should have {least} {bound}");
        causes.push(Cause::invalid(path, value, &why));
    }
    if let Some(bound) = bound(most).filter(|bound| measure > *bound) {
        let why = format!("{path} in body should have {most} {bound}");
        causes.push(Cause::invalid(path, value, &why));
    }
}
