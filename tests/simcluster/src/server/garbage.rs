//! What goes because something else went: dependents of gone owners, and what the deletion policies say
//! about the dependents of owners that are going.
//!
//! What must stay true: this acts after the write that caused it, so clients see the same order as with the
//! controllers of a real cluster, where this work is done outside the API server. An object goes when none
//! of its owners is there; an owner in another namespace is not there, and an owner of a kind that is not
//! served is nothing anybody can judge. It acts on the state it finds, not on what it was told: doing a duty
//! twice changes nothing.
//!
//! Refused: doing it inside the delete; a client must be able to see an owner gone and its dependents
//! still there, because that happens.

use std::collections::BTreeSet;

use serde_json::Value;

use super::delete::{self, FOREGROUND, ORPHAN, Policy};
use super::store::{Duty, Key, State};
use super::stored::Stored;
use super::{namespaces, object};

/// Does what earlier writes left to be done; returns whether there was anything.
pub(crate) fn sweep(state: &mut State) -> bool {
    let duties = state.take_duties();
    let found = !duties.is_empty();
    // Each once, however many of their contents went.
    let mut containers: BTreeSet<Key> = BTreeSet::new();
    for duty in duties {
        match duty {
            Duty::Look(key) => {
                settle_owner(state, &key);
                settle_dependent(state, &key);
                containers.insert(key);
            }
            Duty::Gone(key, object) => {
                for dependent in state.owned_by(&object.uid) {
                    settle_dependent(state, &dependent);
                }
                for owner in owner_keys(state, &key, &object) {
                    settle_owner(state, &owner);
                }
                containers.insert(Key::cluster("namespaces", &key.namespace));
                containers.insert(Key::cluster(namespaces::DEFINITIONS, &key.resource));
            }
        }
    }
    for key in containers {
        namespaces::settle(state, &key);
    }
    found
}

/// How an object's owner is.
enum Owner {
    There(Key),
    /// Going, and waiting for its dependents.
    Waiting(Key),
    Absent,
    /// Of a kind that is not served, or of no possible place.
    Unknown,
}

fn find_owner(state: &State, key: &Key, reference: &Value) -> Owner {
    let text = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut kinds = state.registry.iter();
    let kind = kinds.find(|kind| kind.kind == text("kind") && kind.api_version() == text("apiVersion"));
    let Some(kind) = kind.filter(|kind| !kind.namespaced || !key.namespace.is_empty()) else {
        return Owner::Unknown;
    };
    let owner_key = Key::new(kind, &key.namespace, text("name"));
    match state.get(&owner_key) {
        Some(owner) if *owner.uid == *text("uid") => match waits_for_dependents(owner) {
            true => Owner::Waiting(owner_key),
            false => Owner::There(owner_key),
        },
        _ => Owner::Absent,
    }
}

fn waits_for_dependents(owner: &Stored) -> bool {
    owner.terminating && object::finalizers(&owner.value()).contains(&FOREGROUND)
}

/// Where the owners of an object are that are still there.
fn owner_keys(state: &State, key: &Key, object: &Stored) -> Vec<Key> {
    if object.owners.is_empty() {
        return Vec::new();
    }
    let value = object.value();
    let references = object::items(object::meta(&value, "ownerReferences"));
    let there = references.filter_map(|reference| match find_owner(state, key, reference) {
        Owner::There(owner) | Owner::Waiting(owner) => Some(owner),
        Owner::Absent | Owner::Unknown => None,
    });
    there.collect()
}

/// Deletes an object whose owners are all gone or waiting for it; otherwise takes those out of it.
fn settle_dependent(state: &mut State, key: &Key) {
    let Some(stored) = state.get(key).filter(|stored| !stored.owners.is_empty()).cloned() else {
        return;
    };
    let live = stored.value();
    let finalizers = object::finalizers(&live);
    if stored.terminating && !finalizers.contains(&FOREGROUND) {
        return;
    }
    let references = object::items(object::meta(&live, "ownerReferences"));
    let (mut there, mut waiting, mut gone) = (0, 0, Vec::new());
    for reference in references {
        match find_owner(state, key, reference) {
            Owner::Unknown => return,
            Owner::There(_) => there += 1,
            Owner::Waiting(_) => {
                waiting += 1;
                gone.push(reference["uid"].clone());
            }
            Owner::Absent => gone.push(reference["uid"].clone()),
        }
    }
    if there > 0 {
        if !gone.is_empty() {
            drop_owners(state, key, |uid| gone.contains(uid));
        }
        return;
    }
    let policy = match () {
        () if finalizers.contains(&ORPHAN) => Policy::Orphan,
        () if finalizers.contains(&FOREGROUND) => Policy::Foreground,
        // A foreground deletion goes all the way down.
        () if waiting > 0 && !state.owned_by(&stored.uid).is_empty() => Policy::Foreground,
        () => Policy::Background,
    };
    delete::follow(state, key, Some(policy));
}

/// Does what the deletion policy of an object that is being deleted says about its dependents.
fn settle_owner(state: &mut State, key: &Key) {
    let Some(owner) = state.get(key).filter(|owner| owner.terminating).cloned() else {
        return;
    };
    let value = owner.value();
    let finalizers = object::finalizers(&value);
    if finalizers.contains(&ORPHAN) {
        for dependent in state.owned_by(&owner.uid) {
            drop_owners(state, &dependent, |uid| *uid == *owner.uid);
        }
        delete::drop_finalizer(state, key, ORPHAN);
    } else if finalizers.contains(&FOREGROUND) {
        for dependent in state.owned_by(&owner.uid) {
            settle_dependent(state, &dependent);
        }
        let blocks = |dependent: &Key| {
            let value = state
                .get(dependent)
                .map(|dependent| dependent.value())
                .unwrap_or_default();
            object::items(object::meta(&value, "ownerReferences"))
                .any(|reference| reference["uid"] == *owner.uid && reference["blockOwnerDeletion"] == true)
        };
        if !state.owned_by(&owner.uid).iter().any(blocks) {
            delete::drop_finalizer(state, key, FOREGROUND);
        }
    }
}

/// Takes the owners meant out of an object.
fn drop_owners(state: &mut State, key: &Key, meant: impl Fn(&Value) -> bool) {
    let Some(mut new) = state.get(key).map(|live| live.value()) else {
        return;
    };
    let meta = object::meta_mut(&mut new);
    if let Some(Value::Array(owners)) = meta.get_mut("ownerReferences") {
        owners.retain(|owner| !meant(&owner["uid"]));
        if owners.is_empty() {
            meta.remove("ownerReferences");
        }
    }
    state.put(key.clone(), new);
}
