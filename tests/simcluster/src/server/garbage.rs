//! What goes because something else went: dependents of gone owners, contents of namespaces and of
//! definitions being deleted.
//!
//! What must stay true: this follows the history like any watcher and acts after the write that
//! caused it, so clients see the same order as with the controllers of a real cluster, where this
//! work is done outside the API server. An object with a living owner stays and only loses the gone
//! ones. It acts on the state it finds, not on the event: running a step twice changes nothing.
//!
//! Refused: doing it inside the delete; a client must be able to see an owner gone and its dependents
//! still there, because that happens.

use std::sync::Arc;

use serde_json::{Value, json};

use super::crd::CLEANUP_FINALIZER;
use super::store::{Key, State, Written};
use super::{delete, object};

/// Acts on what was written.
pub(crate) fn sweep(state: &mut State, written: &[Written]) {
    for Written { key, object, removed } in written {
        if *removed {
            if let Some(uid) = object::uid(object) {
                state
                    .owned_by(uid)
                    .iter()
                    .for_each(|dependent| release(state, dependent));
            }
            finish_namespace(state, &key.namespace);
            finish_definition(state, &key.resource);
        } else {
            if object::owner_uids(object).next().is_some() {
                release(state, key);
            }
            match &*key.resource {
                "namespaces" => finish_namespace(state, &key.name),
                "customresourcedefinitions.apiextensions.k8s.io" => {
                    finish_definition(state, &key.name);
                }
                _ => {}
            }
        }
    }
}

/// Deletes an object whose owners are all gone; otherwise takes only the gone ones out of it.
fn release(state: &mut State, key: &Key) {
    let Some(live) = state.get(key).cloned() else {
        return;
    };
    let mut owners = object::owner_uids(&live).peekable();
    if owners.peek().is_none() {
        return;
    }
    let (living, gone): (Vec<&str>, Vec<&str>) = owners.partition(|uid| state.has_uid(uid));
    if living.is_empty() {
        remove(state, key);
    } else if !gone.is_empty() {
        delete::drop_owners(state, key, |uid| gone.contains(&uid));
    }
}

fn remove(state: &mut State, key: &Key) {
    if let Some(kind) = state.registry.by_qualified(&key.resource) {
        delete::remove(state, &kind, key);
    }
}

/// Deletes the contents of a namespace being deleted, and the namespace once it is empty.
fn finish_namespace(state: &mut State, name: &str) {
    let key = Key {
        resource: "namespaces".into(),
        namespace: String::new(),
        name: name.to_owned(),
    };
    let terminating = |object: &Arc<Value>| object::is_terminating(object);
    if name.is_empty() || !state.get(&key).is_some_and(terminating) {
        return;
    }
    for content in state.in_namespace(name) {
        remove(state, &content);
    }
    let finalizers = |object: &Arc<Value>| object::finalizers(object).len();
    if state.in_namespace(name).is_empty() && state.get(&key).map(finalizers) == Some(0) {
        state.remove(&key);
    }
}

/// Deletes the objects of a definition being deleted, and lets the definition go once there are none.
fn finish_definition(state: &mut State, name: &str) {
    let key = Key {
        resource: "customresourcedefinitions.apiextensions.k8s.io".into(),
        namespace: String::new(),
        name: name.to_owned(),
    };
    let Some(definition) = state.get(&key).filter(|object| object::is_terminating(object)).cloned() else {
        return;
    };
    let contents = |state: &State| -> Vec<Key> { state.list(name, None).map(|(key, _)| key.clone()).collect() };
    for content in contents(state) {
        remove(state, &content);
    }
    if !contents(state).is_empty() {
        return;
    }
    let mut new = Value::clone(&definition);
    if let Some(Value::Array(finalizers)) = object::meta_mut(&mut new).get_mut("finalizers") {
        finalizers.retain(|finalizer| *finalizer != json!(CLEANUP_FINALIZER));
    }
    if object::finalizers(&new).is_empty() {
        state.remove(&key);
        super::crd::register(state, &definition, true);
    } else if new != *definition {
        state.put(key, new);
    }
}
