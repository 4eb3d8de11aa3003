//! Sets of fields, and their `fieldsV1` form.
//!
//! What must stay true: `FieldSet::from_json(&set.to_json())` is the same set. A path element is kept
//! in its wire form (`f:name`, `k:{..}` with sorted keys, `v:..`), so equal fields are equal strings
//! whoever wrote them.
//!
//! Refused: an enum for path elements. Nothing computes with them beyond equality and `describe`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A tree of path elements; a node is in the set when `member` is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    pub(crate) member: bool,
    pub(crate) children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// Adds the field at `path`.
    pub(crate) fn insert(&mut self, path: &[String]) {
        match path.split_first() {
            None => self.member = true,
            Some((first, rest)) => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether no field is in the set.
    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(FieldSet::is_empty)
    }

    /// Adds every field of `other`.
    pub(crate) fn add(&mut self, other: &FieldSet) {
        self.member |= other.member;
        for (element, child) in &other.children {
            self.children.entry(element.clone()).or_default().add(child);
        }
    }

    /// The fields that are not in `other`.
    pub(crate) fn minus(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |mine, others| mine && !others)
    }

    /// The fields that are in both.
    pub(crate) fn common(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |mine, others| mine && others)
    }

    fn combine(&self, other: &FieldSet, rule: fn(bool, bool) -> bool) -> FieldSet {
        let nothing = FieldSet::default();
        let children = self.children.iter().map(|(element, child)| {
            let others = other.children.get(element).unwrap_or(&nothing);
            (element.clone(), child.combine(others, rule))
        });
        FieldSet {
            member: rule(self.member, other.member),
            children: children.filter(|(_, child)| !child.is_empty()).collect(),
        }
    }

    /// The fields below or at which `kept` has nothing: what can be removed without touching `kept`.
    pub(crate) fn apart_from(&self, kept: &FieldSet) -> FieldSet {
        let nothing = FieldSet::default();
        let children = self.children.iter().map(|(element, child)| {
            let kept = kept.children.get(element).unwrap_or(&nothing);
            (element.clone(), child.apart_from(kept))
        });
        FieldSet {
            member: self.member && kept.is_empty(),
            children: children.filter(|(_, child)| !child.is_empty()).collect(),
        }
    }

    /// Removes everything at and below the field named `name`.
    pub(crate) fn drop_field(&mut self, name: &str) {
        self.children.remove(&field(name));
    }

    /// Keeps only what is at and below the field named `name`.
    pub(crate) fn keep_field(&mut self, name: &str) {
        let kept = field(name);
        self.children.retain(|element, _| *element == kept);
    }

    /// What is below the field named `name`, to change it.
    pub(crate) fn below(&mut self, name: &str) -> Option<&mut FieldSet> {
        self.children.get_mut(&field(name))
    }

    /// Every field of the set as the path error messages show, `.spec.ports[port=80].name`.
    pub(crate) fn describe(&self) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        self.describe_below("", &mut paths);
        paths
    }

    fn describe_below(&self, prefix: &str, paths: &mut BTreeSet<String>) {
        if self.member && !prefix.is_empty() {
            paths.insert(prefix.to_owned());
        }
        for (element, child) in &self.children {
            child.describe_below(&format!("{prefix}{}", describe(element)), paths);
        }
    }

    /// The `fieldsV1` object.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            map.insert(element.clone(), child.to_json());
        }
        Value::Object(map)
    }

    /// Reads a `fieldsV1` object; `None` when it is none.
    pub(crate) fn from_json(value: &Value) -> Option<FieldSet> {
        let mut set = FieldSet::read(value)?;
        set.member = false;
        Some(set)
    }

    fn read(value: &Value) -> Option<FieldSet> {
        let map = value.as_object()?;
        let mut set = FieldSet {
            member: map.is_empty() || map.contains_key("."),
            children: BTreeMap::new(),
        };
        for (element, child) in map.iter().filter(|(element, _)| *element != ".") {
            set.children.insert(canonical(element)?, FieldSet::read(child)?);
        }
        Some(set)
    }
}

/// The element of an object's field.
pub(crate) fn field(name: &str) -> String {
    format!("f:{name}")
}

/// The element of a list item that is known by some of its fields.
pub(crate) fn keyed(keys: &BTreeMap<&str, &Value>) -> String {
    format!("k:{}", serde_json::json!(keys))
}

/// The element of an item of a set.
pub(crate) fn item(value: &Value) -> String {
    format!("v:{value}")
}

fn canonical(element: &str) -> Option<String> {
    match element.split_once(':')? {
        ("f" | "i", _) => Some(element.to_owned()),
        ("v", value) => Some(item(&serde_json::from_str(value).ok()?)),
        ("k", keys) => {
            let keys: BTreeMap<String, Value> = serde_json::from_str(keys).ok()?;
            let keys = keys.iter().map(|(key, value)| (key.as_str(), value));
            Some(keyed(&keys.collect()))
        }
        _ => None,
    }
}

fn describe(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("v", value)) => format!("[={value}]"),
        Some(("k", keys)) => {
            let keys: BTreeMap<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        _ => format!("[{element}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_it_writes() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {"v:\"a\"": {}}},
            "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}},
        });
        let set = FieldSet::from_json(&fields).unwrap();
        assert_eq!(set.to_json(), fields);
        let described: Vec<String> = set.describe().into_iter().collect();
        assert_eq!(
            described,
            [
                ".metadata.finalizers[=\"a\"]",
                ".metadata.labels",
                ".metadata.labels.app",
                ".spec.ports[port=80,protocol=\"TCP\"]",
                ".spec.ports[port=80,protocol=\"TCP\"].port",
            ]
        );
    }

    #[test]
    fn a_container_is_not_removable_while_something_in_it_is_kept() {
        let mine = FieldSet::from_json(&json!({"f:a": {".": {}, "f:x": {}, "f:y": {}}})).unwrap();
        let kept = FieldSet::from_json(&json!({"f:a": {"f:y": {}}})).unwrap();
        assert_eq!(mine.apart_from(&kept).to_json(), json!({"f:a": {"f:x": {}}}));
    }
}
