//! What a kind's fields may hold: unknown fields, defaults and types.
//!
//! What must stay true: `conform` leaves only fields the kind knows, whatever the client sent, and
//! names those it dropped so that strict validation can refuse them. Built-in kinds are known by
//! their typed structs, custom kinds by their structural schema.
//!
//! Refused: a general JSON Schema validator. Structural schemas are a small subset, and the causes
//! of a 422 must read as the API server writes them. CEL rules are not evaluated.

mod formats;
mod structural;
mod values;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::kinds::{Fields, Kind};
use super::object;
use super::status::{Failure, Outcome};

pub(crate) use self::formats::is_cidr;
pub(crate) use self::structural::check as check_structural;
pub(crate) use self::values::{validate, validate_at};

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

/// Makes an object that was stored under another schema one of this.
pub(crate) fn renew(kind: &Kind, object: &mut Value) {
    if let Fields::Schema(schema) = &kind.fields {
        prune(object, schema, true, "", &mut Vec::new());
        fill_defaults(object, schema);
    }
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
            let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
            map.retain(|name, value| {
                let schema = properties.get(name);
                !value.is_null() || schema.is_none_or(|schema| flag(schema, "nullable"))
            });
            for (name, schema) in properties {
                if let Some(default) = schema.get("default")
                    && !map.contains_key(name)
                {
                    map.insert(name.clone(), default.clone());
                }
                if let Some(value) = map.get_mut(name) {
                    fill_defaults(value, schema);
                }
            }
            if let Some(schema) = schema.get("additionalProperties") {
                let others = map.iter_mut().filter(|(name, _)| !properties.contains_key(*name));
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
