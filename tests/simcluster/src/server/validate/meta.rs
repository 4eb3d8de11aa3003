//! Rules of the metadata every object has.

use serde_json::{Value, json};

use super::names;
use super::rules::text;
use crate::server::kinds::Kind;
use crate::server::object;
use crate::server::status::Cause;

/// All annotations together.
const LARGEST_ANNOTATIONS: usize = 256 * 1024;

/// Finalizers without a domain that built-in kinds may have.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Checks the metadata of a new object.
pub(super) fn create(kind: &Kind, value: &Value, causes: &mut Vec<Cause>) {
    check(value, causes);
    for (index, finalizer) in object::finalizers(value).into_iter().enumerate() {
        names::check("metadata.finalizers", finalizer, names::qualified(finalizer), causes);
        if !kind.is_custom() && !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            let path = format!("metadata.finalizers[{index}]");
            causes.push(Cause::invalid(path, &json!(finalizer), why));
        }
    }
}

/// What an update may not do.
pub(super) fn update(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if !object::is_terminating(old) {
        return;
    }
    let known = object::finalizers(old);
    let added = object::finalizers(new);
    let added: Vec<&str> = added.into_iter().filter(|name| !known.contains(name)).collect();
    if !added.is_empty() {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{added:?}}}"
        );
        let why = why.replace("{[", "{").replace("]}", "}");
        causes.push(Cause::forbidden("metadata.finalizers", &why));
    }
}

/// Checks labels, annotations and owners.
pub(super) fn check(value: &Value, causes: &mut Vec<Cause>) {
    if let Some(found) = object::meta(value, "labels") {
        labels(found, "metadata.labels", causes);
    }
    annotations(value, causes);
    owners(value, causes);
}

/// Checks a map of labels.
pub(super) fn labels(labels: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        names::check(path, key, names::qualified(key), causes);
        let value = value.as_str().unwrap_or_default();
        names::check(path, value, names::label_value(value), causes);
    }
}

fn annotations(value: &Value, causes: &mut Vec<Cause>) {
    let Some(annotations) = object::meta(value, "annotations").and_then(Value::as_object) else {
        return;
    };
    let mut size = 0;
    for (key, value) in annotations {
        size += key.len() + value.as_str().unwrap_or_default().len();
        let why = names::qualified(&key.to_lowercase());
        names::check("metadata.annotations", key, why, causes);
    }
    if size > LARGEST_ANNOTATIONS {
        causes.push(Cause::too_long("metadata.annotations", LARGEST_ANNOTATIONS));
    }
}

fn owners(value: &Value, causes: &mut Vec<Cause>) {
    const PATH: &str = "metadata.ownerReferences";
    let mut controller: Option<&Value> = None;
    for owner in object::items(object::meta(value, "ownerReferences")) {
        for (field, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if text(owner, field).is_empty() {
                causes.push(Cause::invalid(format!("{PATH}.{field}"), &json!(""), why));
            }
        }
        if owner.get("controller") != Some(&json!(true)) {
            continue;
        }
        if let Some(first) = controller {
            let (first, second) = (text(first, "name"), text(owner, "name"));
            let why = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}"
            );
            causes.push(Cause::invalid(PATH, &json!([first, second]), &why));
        }
        controller = Some(owner);
    }
}
