//! Namespaces and definitions that are being deleted: their contents go first.
//!
//! What must stay true: both go only when nothing is left in them, and what still holds a namespace is said in
//! its conditions. A namespace has finalizers in its spec besides those of its metadata: the one called
//! `kubernetes` stands for the contents, others belong to whoever calls `finalize`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::crd::{self, CLEANUP_FINALIZER};
use super::store::{Key, State};
use super::{delete, object};

/// Where definitions are filed.
pub(crate) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Stands in a namespace's spec for its contents.
const CONTENTS: &str = "kubernetes";

/// Goes on with the deletion of what may be a namespace or a definition.
pub(crate) fn settle(state: &mut State, key: &Key) {
    if !state.get(key).is_some_and(|object| object.terminating) {
        return;
    }
    match &*key.resource {
        "namespaces" => namespace(state, key),
        DEFINITIONS => definition(state, key),
        _ => {}
    }
}

fn namespace(state: &mut State, key: &Key) {
    for content in state.in_namespace(&key.name) {
        delete::follow(state, &content, None);
    }
    let left = state.in_namespace(&key.name);
    let (Some(live), Some(kind)) = (
        state.get(key).map(|live| live.value()),
        state.registry.by_qualified(&key.resource),
    ) else {
        return;
    };
    let mut new = live.clone();
    if left.is_empty()
        && let Some(Value::Array(finalizers)) = new.pointer_mut("/spec/finalizers")
    {
        finalizers.retain(|finalizer| *finalizer != json!(CONTENTS));
    }
    if !left.is_empty() || delete::is_kept_namespace(&kind, &new) {
        describe(state, &mut new, &left);
    }
    delete::settle(state, &kind, key, &live, new);
}

/// Says in the conditions what is left.
fn describe(state: &State, namespace: &mut Value, left: &[Key]) {
    let mut by_resource: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_finalizer: BTreeMap<String, usize> = BTreeMap::new();
    for key in left {
        *by_resource.entry(&key.resource).or_default() += 1;
        let value = state.get(key).map(|object| object.value()).unwrap_or_default();
        for finalizer in object::finalizers(&value) {
            *by_finalizer.entry(finalizer.to_owned()).or_default() += 1;
        }
    }
    let resources: Vec<String> = by_resource
        .iter()
        .map(|(resource, count)| format!("{resource} has {count} resource instances"))
        .collect();
    let finalizers: Vec<String> = by_finalizer
        .iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
        .collect();
    let remaining = match resources.is_empty() {
        true => (false, "ContentRemoved", "All content successfully removed".to_owned()),
        false => {
            let message = format!("Some resources are remaining: {}", resources.join(", "));
            (true, "SomeResourcesRemain", message)
        }
    };
    let held = match finalizers.is_empty() {
        true => {
            let message = "All content-preserving finalizers finished";
            (false, "ContentHasNoFinalizers", message.to_owned())
        }
        false => {
            let message = format!(
                "Some content in the namespace has finalizers remaining: {}",
                finalizers.join(", ")
            );
            (true, "SomeFinalizersRemain", message)
        }
    };
    let fine = |reason, message: &str| (false, reason, message.to_owned());
    let conditions = [
        (
            "NamespaceDeletionDiscoveryFailure",
            fine("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            fine("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        (
            "NamespaceDeletionContentFailure",
            fine(
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        ("NamespaceContentRemaining", remaining),
        ("NamespaceFinalizersRemaining", held),
    ];
    let before: Vec<Value> = object::items(namespace.pointer("/status/conditions"))
        .cloned()
        .collect();
    let now = state.timestamp();
    let conditions = conditions.map(|(kind, (is, reason, message))| {
        let status = if is { "True" } else { "False" };
        let same = before
            .iter()
            .find(|known| known["type"] == kind && known["status"] == status);
        let since = same.map_or(&now, |known| &known["lastTransitionTime"]);
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
    });
    namespace["status"]["conditions"] = json!(conditions);
}

fn definition(state: &mut State, key: &Key) {
    let contents = |state: &State| -> Vec<Key> {
        let objects = state.list(&key.name, None);
        objects.map(|(key, _)| key.clone()).collect()
    };
    for content in contents(state) {
        delete::follow(state, &content, None);
    }
    if !contents(state).is_empty() {
        return;
    }
    let definition = state.get(key).map(|definition| definition.value()).unwrap_or_default();
    delete::drop_finalizer(state, key, CLEANUP_FINALIZER);
    if state.get(key).is_none() {
        crd::register(state, &definition, true);
    }
}
