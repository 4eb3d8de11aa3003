//! One object in the versions of its kind.
//!
//! What must stay true: an object is stored as it was last written and converted when it is read, so
//! a new version needs no migration; converting there and back changes nothing. What a custom kind learned
//! about its fields since then, its defaults and what it no longer knows, shows in every object that is read.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::object;
use super::schema;
use super::stored::Stored;

/// Fields whose names differ between the Events of the core group and of `events.k8s.io`.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("message", "note"),
    ("involvedObject", "regarding"),
    ("reportingComponent", "reportingController"),
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("source", "deprecatedSource"),
];

fn rename_event_fields(event: &mut Value, to_core: bool) {
    let map = object::object_mut(event);
    for (core, other) in EVENT_FIELDS {
        let (from, to) = if to_core { (other, core) } else { (core, other) };
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

/// `object` in the version of `kind`; the versions of any kind but Event differ in nothing else.
pub(crate) fn value(kind: &Kind, object: &Stored) -> Value {
    let version = kind.api_version();
    let mut value = object.value();
    if !object.is_in(&version) {
        if kind.kind == "Event" {
            rename_event_fields(&mut value, kind.group.is_empty());
        }
        value["apiVersion"] = json!(version);
    }
    if is_older_than_fields(kind, object) {
        schema::renew(kind, &mut value);
    }
    value
}

fn is_older_than_fields(kind: &Kind, object: &Stored) -> bool {
    object.version < kind.fields_since
}

/// The same as bytes, which are those of the store unless the version or the schema differs.
pub(crate) fn json<'o>(kind: &Kind, object: &'o Stored) -> Cow<'o, [u8]> {
    match object.is_in(&kind.api_version()) && !is_older_than_fields(kind, object) {
        true => Cow::Borrowed(object.json()),
        // Writing a `Value` into memory cannot fail.
        false => Cow::Owned(serde_json::to_vec(&value(kind, object)).unwrap_or_default()),
    }
}
