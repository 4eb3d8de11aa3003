//! Comparing, merging and trimming objects by their shape.
//!
//! What must stay true: these are functions of their arguments. `merge` never drops what `applied`
//! does not speak of; `remove` never touches what is not in the set.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fields::{self, FieldSet};
use super::shape::{List, Shape};

/// What differs between two objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delta {
    /// Added or modified.
    pub(crate) changed: FieldSet,
    /// No longer there.
    pub(crate) removed: FieldSet,
}

impl Delta {
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// The fields in which `new` differs from `old`, without those the server sets in every object.
pub(crate) fn compare(old: &Value, new: &Value, shape: &Shape<'_>) -> Delta {
    let mut delta = Delta::default();
    walk(Some(old), Some(new), shape, &mut Vec::new(), &mut delta);
    without_server_fields(&mut delta.changed);
    without_server_fields(&mut delta.removed);
    delta
}

/// The fields a client applies by sending `value`.
pub(crate) fn fields_of(value: &Value, shape: &Shape<'_>) -> FieldSet {
    let mut set = FieldSet::default();
    collect(value, shape, false, &mut Vec::new(), &mut set);
    set.member = false;
    without_server_fields(&mut set);
    set
}

fn without_server_fields(set: &mut FieldSet) {
    set.member = false;
    set.drop_field("apiVersion");
    set.drop_field("kind");
    if let Some(metadata) = set.below("metadata") {
        metadata.member = false;
        for name in [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "managedFields",
        ] {
            metadata.drop_field(name);
        }
        if metadata.is_empty() {
            set.drop_field("metadata");
        }
    }
}

fn walk(old: Option<&Value>, new: Option<&Value>, shape: &Shape<'_>, path: &mut Vec<String>, delta: &mut Delta) {
    match (old, new) {
        (None, None) => {}
        (None, Some(new)) => collect(new, shape, true, path, &mut delta.changed),
        (Some(old), None) => collect(old, shape, true, path, &mut delta.removed),
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) if !shape.is_atomic_object() => {
            for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                path.push(fields::field(name));
                walk(old.get(name), new.get(name), &shape.field(name), path, delta);
                path.pop();
            }
        }
        (Some(Value::Array(old_items)), Some(Value::Array(new_items))) => {
            match (elements(old_items, shape), elements(new_items, shape)) {
                (Some(old_items), Some(new_items)) => {
                    let item = shape.item();
                    let added = new_items
                        .iter()
                        .filter(|(element, _)| !old_items.contains_key(*element));
                    for (element, _) in old_items.iter().chain(added) {
                        path.push(element.clone());
                        let (old, new) = (old_items.get(element), new_items.get(element));
                        walk(old.copied(), new.copied(), &item, path, delta);
                        path.pop();
                    }
                }
                _ => delta.changed.insert(path),
            }
        }
        (Some(old), Some(_)) => {
            let mut gone = FieldSet::default();
            collect(old, shape, true, path, &mut gone);
            delta.changed.insert(path);
            delta.removed.add(&gone.minus(&delta.changed));
        }
    }
}

/// The items of a list by path element; `None` for a list that is one value.
fn elements<'v>(items: &'v [Value], shape: &Shape<'_>) -> Option<BTreeMap<String, &'v Value>> {
    match shape.list() {
        List::Atomic => None,
        List::Set => Some(items.iter().map(|item| (fields::item(item), item)).collect()),
        List::Keyed(keys) => items
            .iter()
            .map(|item| Some((shape.element_of(&keys, item)?, item)))
            .collect(),
    }
}

/// Adds what is in `value`; `containers` says whether objects and lists count besides their content.
fn collect(value: &Value, shape: &Shape<'_>, containers: bool, path: &mut Vec<String>, set: &mut FieldSet) {
    match value {
        Value::Object(map) if !map.is_empty() && !shape.is_atomic_object() => {
            if containers && !shape.is_plain() {
                set.insert(path);
            }
            for (name, value) in map {
                path.push(fields::field(name));
                collect(value, &shape.field(name), containers, path, set);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => match elements(items, shape) {
            None => set.insert(path),
            Some(items) => {
                if containers {
                    set.insert(path);
                }
                for (element, value) in items {
                    path.push(element);
                    set.insert(path);
                    collect(value, &shape.item(), containers, path, set);
                    path.pop();
                }
            }
        },
        Value::Object(_) if path.is_empty() => {}
        _ => set.insert(path),
    }
}

/// `live` with everything `applied` says.
pub(crate) fn merge(live: &Value, applied: &Value, shape: &Shape<'_>) -> Value {
    match (live, applied) {
        (Value::Object(live), Value::Object(applied)) if !shape.is_atomic_object() => {
            let mut merged = live.clone();
            for (name, value) in applied {
                let value = match live.get(name) {
                    Some(live) => merge(live, value, &shape.field(name)),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(live_items), Value::Array(applied_items)) => {
            match (elements(live_items, shape), elements(applied_items, shape)) {
                (Some(live), Some(applied)) => merge_items((live_items, &live), (applied_items, &applied), shape),
                _ => Value::Array(applied_items.clone()),
            }
        }
        (_, applied) => applied.clone(),
    }
}

type Items<'v> = (&'v [Value], &'v BTreeMap<String, &'v Value>);

/// In the order of `applied` when it names every item, else in the order of `live` with new items last.
fn merge_items(live: Items<'_>, applied: Items<'_>, shape: &Shape<'_>) -> Value {
    let element_of = |item: &Value| match shape.list() {
        List::Keyed(keys) => shape.element_of(&keys, item).unwrap_or_default(),
        _ => fields::item(item),
    };
    let mut order: Vec<String> = Vec::new();
    let all_named = live.1.keys().all(|element| applied.1.contains_key(element));
    let first = if all_named { applied.0 } else { live.0 };
    for item in first.iter().chain(applied.0) {
        let element = element_of(item);
        if !order.contains(&element) {
            order.push(element);
        }
    }
    let item_shape = shape.item();
    let items = order
        .iter()
        .filter_map(|element| match (live.1.get(element), applied.1.get(element)) {
            (Some(live), Some(applied)) => Some(merge(live, applied, &item_shape)),
            (live, applied) => live.or(applied).map(|item| Value::clone(item)),
        });
    Value::Array(items.collect())
}

/// Removes the fields of `set`; an object or list that becomes empty by it goes too.
pub(crate) fn remove(value: &mut Value, set: &FieldSet, shape: &Shape<'_>) {
    match value {
        Value::Object(map) => remove_from_object(map, set, shape),
        Value::Array(items) => {
            let list = shape.list();
            items.retain_mut(|item| {
                let element = match &list {
                    List::Atomic => None,
                    List::Set => Some(fields::item(item)),
                    List::Keyed(keys) => shape.element_of(keys, item),
                };
                let Some(below) = element.and_then(|element| set.children.get(&element)) else {
                    return true;
                };
                if !below.member {
                    remove(item, below, &shape.item());
                }
                !below.member
            });
        }
        _ => {}
    }
}

fn remove_from_object(map: &mut Map<String, Value>, set: &FieldSet, shape: &Shape<'_>) {
    for (element, below) in &set.children {
        let Some(name) = element.strip_prefix("f:") else {
            continue;
        };
        if below.member {
            map.remove(name);
        } else if let Some(value) = map.get_mut(name) {
            remove(value, below, &shape.field(name));
            if is_hollow(value) {
                map.remove(name);
            }
        }
    }
}

fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
