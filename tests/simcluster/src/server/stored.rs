//! An object as it is kept: its JSON, and the few things asked of it too often to read them there.
//!
//! What must stay true: a stored object never changes, so everybody shares it; the head says what the
//! JSON says. The JSON is what clients get, byte for byte, so a watch event or an item of a list costs
//! a copy of bytes and no serialization: the kind and the version come first, because items leave them out.
//!
//! Refused: keeping objects as trees (`serde_json::Value`). A map of one field takes 600 bytes there, and
//! `managedFields` are mostly such maps: 13 KB an object instead of 2 KB, a difference of gigabytes
//! for a few hundred clusters. Reading one back costs some microseconds, and only writes need that.

use serde::Serializer;
use serde_json::{Value, json};

use super::object;

/// A stored object.
#[derive(Debug)]
pub(crate) struct Stored {
    json: Box<[u8]>,
    /// Where in the JSON the fields behind `kind` and `apiVersion` begin; 0 when those do not come first.
    body: u32,
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
        let (json, body) = serialize(value);
        Stored {
            json: json.into(),
            body,
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

    /// The same as an item of a list, which has the kind and the version in its place.
    pub(crate) fn write_item(&self, bytes: &mut Vec<u8>) {
        match self.json.get(self.body as usize..) {
            Some(body) if self.body > 0 => {
                bytes.push(b'{');
                bytes.extend_from_slice(body);
            }
            _ => bytes.extend_from_slice(&self.json),
        }
    }

    /// The same under a later version.
    pub(crate) fn at(&self, version: u64) -> Stored {
        let mut value = self.value();
        object::meta_mut(&mut value).insert("resourceVersion".to_owned(), json!(version.to_string()));
        Stored::new(&value)
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

const TYPE: [&str; 2] = ["kind", "apiVersion"];

/// The JSON of an object, its type first, and where the rest of it begins.
fn serialize(value: &Value) -> (Vec<u8>, u32) {
    let mut json = Vec::new();
    // Writing a `Value` into memory cannot fail.
    let write = |json: &mut Vec<u8>, typed: bool| {
        let fields = value.as_object().into_iter().flatten();
        let fields = fields.filter(|(name, _)| TYPE.contains(&name.as_str()) == typed);
        let _ = serde_json::Serializer::new(json).collect_map(fields);
    };
    write(&mut json, true);
    json.pop();
    let head = json.len();
    write(&mut json, false);
    match json.get(head..) {
        // There is no type, or nothing but a type.
        _ if head <= 1 => json.drain(..head),
        Some(b"{}") => json.drain(head..=head),
        _ => {
            json[head] = b',';
            let body = u32::try_from(head + 1).unwrap_or_default();
            return (json, body);
        }
    };
    (json, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_the_object_without_its_type() {
        let check = |object: Value, item: Value| {
            let stored = Stored::new(&object);
            let mut bytes = Vec::new();
            stored.write_item(&mut bytes);
            assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), item);
            assert_eq!(stored.value(), object);
        };
        let data = json!({"a": "kind", "kind": {"kind": 1}});
        check(
            json!({"apiVersion": "v1", "data": data, "kind": "ConfigMap", "metadata": {"name": "a"}}),
            json!({"data": data, "metadata": {"name": "a"}}),
        );
        check(json!({"metadata": {}}), json!({"metadata": {}}));
        check(json!({}), json!({}));
    }
}
