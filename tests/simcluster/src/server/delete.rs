//! Deleting one object or many.
//!
//! What must stay true: an object with finalizers is only marked, and goes with the last of them;
//! preconditions are checked under the lock that deletes. A namespace and a definition are always
//! only marked, because their contents go first (see `garbage.rs`).
//!
//! Grace periods count as zero: no kubelet of a simulation needs them. `Foreground` counts as
//! `Background`; `Orphan` takes the owner out of its dependents before it goes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::body;
use super::kinds::Kind;
use super::object;
use super::selectors::Selection;
use super::status::{self, Failure, Outcome};
use super::store::{Key, State};
use super::write::Target;

/// The `DeleteOptions` of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) orphan: bool,
    pub(crate) dry_run: bool,
}

impl Options {
    pub(crate) fn read(body: &Value) -> Options {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Options {
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
            orphan: text("/propagationPolicy").as_deref() == Some("Orphan")
                || body.get("orphanDependents") == Some(&json!(true)),
            dry_run: object::items(body.get("dryRun")).any(|stage| stage == "All"),
        }
    }
}

/// Deletes one object and returns what the client is told.
pub(crate) fn delete(state: &mut State, target: &Target, options: &Options) -> Outcome<Value> {
    let kind = &target.kind;
    let live = target.live(state)?;
    let (uid, version) = (options.uid.as_deref(), options.resource_version.as_deref());
    body::check_preconditions(kind, &live, uid, version)?;
    if kind.is("", "Namespace") && ["default", "kube-system", "kube-public"].contains(&target.name.as_str()) {
        return Err(Failure::forbidden(
            kind,
            &target.name,
            "this namespace may not be deleted",
        ));
    }
    if options.orphan
        && !target.dry_run
        && let Some(uid) = object::uid(&live)
    {
        orphan(state, uid);
    }
    if target.dry_run {
        return Ok(Value::clone(&live));
    }
    match remove(state, kind, &target.key()) {
        Some(object) if object::is_terminating(&object) => Ok(Value::clone(&object)),
        Some(object) if kind.is("", "Pod") => Ok(Value::clone(&object)),
        _ => Ok(status::deleted(kind, &target.name, &live["metadata"]["uid"])),
    }
}

/// Deletes every object meant and returns them.
pub(crate) fn delete_all(state: &mut State, target: &Target, selection: &Selection) -> Vec<Arc<Value>> {
    let kind = &target.kind;
    let namespace = Some(target.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let meant: Vec<(Key, Arc<Value>)> = state
        .list(&kind.storage(), namespace)
        .filter(|(_, object)| selection.matches(object))
        .map(|(key, object)| (key.clone(), object.clone()))
        .collect();
    for (key, _) in meant.iter().filter(|_| !target.dry_run) {
        remove(state, kind, key);
    }
    meant.into_iter().map(|(_, object)| object).collect()
}

/// Removes an object, or marks it when something must happen before. Returns its last state.
pub(crate) fn remove(state: &mut State, kind: &Kind, key: &Key) -> Option<Arc<Value>> {
    let live = state.get(key)?.clone();
    let waits = !object::finalizers(&live).is_empty() || kind.is("", "Namespace");
    if !waits {
        return state.remove(key);
    }
    if object::is_terminating(&live) {
        return Some(live);
    }
    let mut marked = Value::clone(&live);
    let meta = object::meta_mut(&mut marked);
    meta.insert("deletionTimestamp".to_owned(), object::now());
    meta.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
    if kind.has_generation {
        let generation = meta.get("generation").and_then(Value::as_i64).unwrap_or_default();
        meta.insert("generation".to_owned(), json!(generation + 1));
    }
    if kind.is("", "Namespace") {
        marked["status"]["phase"] = json!("Terminating");
    }
    Some(state.put(key.clone(), marked))
}

fn orphan(state: &mut State, uid: &str) {
    for key in state.owned_by(uid) {
        drop_owners(state, &key, |owner| owner == uid);
    }
}

/// Takes the owners meant out of an object.
pub(crate) fn drop_owners(state: &mut State, key: &Key, meant: impl Fn(&str) -> bool) {
    let Some(live) = state.get(key) else { return };
    let mut new = Value::clone(live);
    let meta = object::meta_mut(&mut new);
    if let Some(Value::Array(owners)) = meta.get_mut("ownerReferences") {
        owners.retain(|owner| !owner["uid"].as_str().is_some_and(&meant));
        if owners.is_empty() {
            meta.remove("ownerReferences");
        }
    }
    state.put(key.clone(), new);
}
