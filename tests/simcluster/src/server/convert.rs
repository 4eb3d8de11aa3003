//! One object in the versions of its kind.
//!
//! What must stay true: an object is stored as it was last written and converted when it is read, so
//! a new version needs no migration; converting there and back changes nothing.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::object;

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
pub(crate) fn in_version(kind: &Kind, object: &Arc<Value>) -> Arc<Value> {
    let version = kind.api_version();
    if object.get("apiVersion").and_then(Value::as_str) == Some(&version) {
        return object.clone();
    }
    let mut converted = Value::clone(object);
    if kind.kind == "Event" {
        rename_event_fields(&mut converted, kind.group.is_empty());
    }
    converted["apiVersion"] = json!(version);
    Arc::new(converted)
}
