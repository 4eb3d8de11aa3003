//! An object as it is kept: its JSON, and the few things asked of it too often to read them there.
//!
//! What must stay true: a stored object never changes, so everybody shares it; the head says what the
//! JSON says. The JSON is what clients get, byte for byte, so a watch event or an item of a list costs
//! a copy of bytes and no serialization.
//!
//! Refused: keeping objects as trees (`serde_json::Value`). A map of one field takes 600 bytes there, and
//! `managedFields` are mostly such maps: 13 KB an object instead of 2 KB, a difference of gigabytes
//! for a few hundred clusters. Reading one back costs some microseconds, and only writes need that.

use serde_json::Value;

use super::object;

/// A stored object.
#[derive(Debug)]
pub(crate) struct Stored {
    json: Box<[u8]>,
    api_version: Box<str>,
    /// The resourceVersion.
    pub(crate) version: u64,
    pub(crate) uid: Box<str>,
    /// The uids of the owners.
    pub(crate) owners: Box<[Box<str>]>,
    /// Whether there is a deletionTimestamp.
    pub(crate) terminating: bool,
    labels: Box<[(Box<str>, Box<str>)]>,
}

impl Stored {
    pub(crate) fn new(value: &Value) -> Stored {
        let labels = object::meta(value, "labels").and_then(Value::as_object);
        let labels = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())));
        let version = object::resource_version(value).and_then(|version| version.parse().ok());
        let api_version = value.get("apiVersion").and_then(Value::as_str);
        Stored {
            // Writing a `Value` into memory cannot fail.
            json: serde_json::to_vec(value).unwrap_or_default().into(),
            api_version: api_version.unwrap_or_default().into(),
            version: version.unwrap_or_default(),
            uid: object::uid(value).unwrap_or_default().into(),
            owners: object::owner_uids(value).map(Box::from).collect(),
            terminating: object::is_terminating(value),
            labels: labels.collect(),
        }
    }

    /// The bytes clients get, in the version the object was written in.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    pub(crate) fn is_in(&self, api_version: &str) -> bool {
        *self.api_version == *api_version
    }

    /// The object, read again.
    pub(crate) fn value(&self) -> Value {
        // These bytes were written from a `Value`.
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| **known == *key);
        found.map(|(_, value)| &**value)
    }

    /// The memory this takes, nearly.
    pub(crate) fn size(&self) -> usize {
        let labels = self.labels.iter().map(|(key, value)| 32 + key.len() + value.len());
        size_of::<Stored>() + self.json.len() + self.uid.len() + labels.sum::<usize>()
    }
}
