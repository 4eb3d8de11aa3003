//! Reading the few fields every object has.
//!
//! What must stay true: these functions accept any JSON, for they also read what clients sent;
//! a field of the wrong type reads as absent.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use serde_json::{Map, Value};

pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(field)
}

pub(crate) fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    meta(object, field)?.as_str().filter(|text| !text.is_empty())
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "name").unwrap_or_default()
}

pub(crate) fn uid(object: &Value) -> Option<&str> {
    text(object, "uid")
}

pub(crate) fn resource_version(object: &Value) -> Option<&str> {
    text(object, "resourceVersion")
}

pub(crate) fn is_terminating(object: &Value) -> bool {
    text(object, "deletionTimestamp").is_some()
}

/// The finalizers still to be served.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    items(meta(object, "finalizers")).filter_map(Value::as_str).collect()
}

/// The uids of the owners.
pub(crate) fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    items(meta(object, "ownerReferences")).filter_map(|owner| owner.get("uid")?.as_str())
}

/// The elements of what may be a list.
pub(crate) fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// Metadata to write to, created when absent or not an object.
pub(crate) fn meta_mut(object: &mut Value) -> &mut Map<String, Value> {
    let empty = || Value::Object(Map::new());
    if !object.is_object() {
        *object = empty();
    }
    object_mut(&mut object["metadata"])
}

/// `value` as an object, made one when it is not.
pub(crate) fn object_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        // Made an object above.
        _ => unreachable!("not an object"),
    }
}

/// Random bits; unique enough for uids, tokens and name suffixes of a simulation.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A new version-4 UUID.
pub(crate) fn new_uid() -> String {
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        ((low >> 48) & 0x3fff) | 0x8000,
        low & 0xffff_ffff_ffff
    )
}
