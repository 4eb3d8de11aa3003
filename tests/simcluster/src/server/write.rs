//! Create and update: the one road into the store.
//!
//! What must stay true: every write passes the same steps in the same order (take over what belongs
//! to the server, drop unknown fields, fill defaults, validate, record ownership, number and store),
//! whichever verb it came from; a write that changes nothing is not stored; a dry run takes every
//! step but the last. Patches and server-side apply only compute the object they hand to `change`.
//!
//! Refused: letting each verb write for itself, where the rule one verb forgot becomes a bug.

use std::sync::Arc;

use serde_json::{Value, json};

use super::access::escalation;
use super::access::user::User;
use super::convert;
use super::fields::FieldSet;
use super::kinds::Kind;
use super::managed::{Managers, Writer};
use super::merge;
use super::shape::Shape;
use super::status::{Failure, Outcome};
use super::store::{Key, State};
use super::stored::Stored;
use super::{addresses, body, crd, defaults, delete, object, schema, validate};

/// What a write is about and how it is meant.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: String,
    /// Empty for a create.
    pub(crate) name: String,
    /// What the path ends in: nothing, `status` or `scale`.
    pub(crate) subresource: String,
    pub(crate) dry_run: bool,
    pub(crate) manager: String,
    /// Take fields from other managers.
    pub(crate) force: bool,
    /// Refuse unknown fields instead of dropping them.
    pub(crate) strict: bool,
    /// Who writes; nobody, when the server does.
    pub(crate) user: Option<Arc<User>>,
}

impl Target {
    /// The target of a write that the server does by itself.
    pub(crate) fn own(kind: &Arc<Kind>, namespace: &str) -> Target {
        Target {
            kind: kind.clone(),
            namespace: namespace.to_owned(),
            name: String::new(),
            subresource: String::new(),
            dry_run: false,
            manager: "kube-apiserver".to_owned(),
            force: false,
            strict: false,
            user: None,
        }
    }

    pub(crate) fn key(&self) -> Key {
        Key::new(&self.kind, &self.namespace, &self.name)
    }

    /// Whether only the status is written.
    pub(crate) fn is_status(&self) -> bool {
        self.subresource == "status"
    }

    /// Whether a pod is put on a node, which no other write can do.
    fn is_binding(&self) -> bool {
        self.subresource == "binding"
    }

    /// The manager to record for this write.
    pub(crate) fn writer(&self, apply: bool) -> Writer {
        Writer {
            manager: self.manager.clone(),
            apply,
            api_version: self.kind.api_version(),
            subresource: self.subresource.clone(),
        }
    }

    /// The stored object.
    pub(crate) fn live(&self, state: &State) -> Outcome<Arc<Value>> {
        let found = state.get(&self.key());
        let found = found.map(|live| Arc::new(convert::value(&self.kind, live)));
        found.ok_or_else(|| Failure::not_found(&self.kind, &self.name))
    }

    /// The object as readers are shown it.
    pub(crate) fn shown(&self, state: &State) -> Outcome<Arc<Stored>> {
        let found = state.view().objects.get(&self.key()).cloned();
        found.ok_or_else(|| Failure::not_found(&self.kind, &self.name))
    }
}

/// How ownership of what a write brings is recorded.
#[derive(Debug)]
pub(crate) enum Ownership {
    /// By what changed.
    Update(Managers),
    /// By what was applied.
    Apply(Managers, FieldSet),
}

/// Creates an object.
pub(crate) fn create(state: &mut State, target: &Target, mut new: Value, ownership: Ownership) -> Outcome<Arc<Stored>> {
    let kind = &target.kind;
    body::check_body(target, &mut new)?;
    if object::resource_version(&new).is_some() {
        return Err(Failure::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let prefix = object::text(&new, "generateName").unwrap_or_default().to_owned();
    let meta = object::meta_mut(&mut new);
    if meta.get("name").and_then(Value::as_str).is_none_or(str::is_empty) && !prefix.is_empty() {
        meta.insert("name".to_owned(), json!(format!("{prefix}{}", suffix())));
    }
    meta.insert("uid".to_owned(), json!(object::new_uid()));
    meta.insert("creationTimestamp".to_owned(), state.timestamp());
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
    ] {
        meta.remove(field);
    }
    if kind.has_generation {
        meta.insert("generation".to_owned(), json!(1));
    }
    let name = object::name(&new).to_owned();
    check_namespace(state, target, &name)?;
    let key = Key::new(kind, &target.namespace, &name);
    defaults::begin(kind, &mut new);
    conform(state, target, &mut new)?;
    defaults::fill(kind, &mut new);
    defaults::admit(kind, &mut new);
    validate::create(kind, &new)?;
    escalation::check(state, target, None, &new)?;
    if state.get(&key).is_some() {
        return Err(Failure::already_exists(kind, &name));
    }
    let managers = match ownership {
        Ownership::Update(mut managers) => {
            let empty = json!({"metadata": {}});
            let mut delta = merge::compare(&empty, &new, &Shape::of(kind));
            keep_own_part(target, &mut delta.changed);
            managers.updated(&target.writer(false), &delta, &state.timestamp());
            managers
        }
        Ownership::Apply(mut managers, fields) => {
            managers.set(&target.writer(true), fields, &state.timestamp());
            managers
        }
    };
    managers.store(&mut new);
    if kind.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        crd::establish(&state.registry, &mut new, &state.timestamp());
    }
    complete(state, target, &key, &mut new)?;
    store(state, target, key, new)
}

/// Gives a Service its addresses, once nothing else is wrong with it. Nobody has applied them, so nobody owns them.
fn complete(state: &mut State, target: &Target, key: &Key, new: &mut Value) -> Outcome<()> {
    if !target.kind.is("", "Service") {
        return Ok(());
    }
    let completed = state.addresses.complete(key, new);
    completed.map_err(|causes| Failure::invalid(&target.kind, object::name(new), &causes))
}

fn check_namespace(state: &State, target: &Target, name: &str) -> Outcome<()> {
    if !target.kind.namespaced {
        return Ok(());
    }
    let key = Key::cluster("namespaces", &target.namespace);
    match (state.get(&key), state.registry.by_qualified("namespaces")) {
        (None, Some(kind)) => Err(Failure::not_found(&kind, &target.namespace)),
        (Some(namespace), _) if namespace.terminating => {
            Err(Failure::terminating(&target.kind, name, &target.namespace))
        }
        _ => Ok(()),
    }
}

/// Five characters that cannot be mistaken for a word.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut bits = object::random();
    let letters = (0..5).map(|_| {
        let index = (bits % LETTERS.len() as u64) as usize;
        bits /= LETTERS.len() as u64;
        char::from(LETTERS[index])
    });
    letters.collect()
}

/// Drops unknown fields, or refuses them.
fn conform(state: &mut State, target: &Target, new: &mut Value) -> Outcome<()> {
    let dropped = schema::conform(&target.kind, new)?;
    body::refuse_unknown(&mut state.warnings, target, &dropped)
}

/// Replaces `live` by `new`, which may be anything a client sent or a patch made.
pub(crate) fn change(
    state: &mut State,
    target: &Target,
    live: &Arc<Value>,
    mut new: Value,
    ownership: Ownership,
) -> Outcome<Arc<Stored>> {
    let kind = &target.kind;
    body::check_preconditions(kind, live, object::uid(&new), object::resource_version(&new))?;
    take_over(target, live, &mut new);
    conform(state, target, &mut new)?;
    if kind.is("", "Service") {
        // Which addresses are kept depends on the type.
        let spec = object::object_mut(&mut new["spec"]);
        spec.entry("type").or_insert(json!("ClusterIP"));
        addresses::keep(live, &mut new);
    }
    defaults::fill(kind, &mut new);
    let mut delta = merge::compare(live, &new, &Shape::of(kind));
    keep_own_part(target, &mut delta.changed);
    let now = state.timestamp();
    let managers = match ownership {
        Ownership::Update(mut managers) => {
            managers.updated(&target.writer(false), &delta, &now);
            managers
        }
        Ownership::Apply(mut managers, fields) => {
            let writer = target.writer(true);
            let taken = delta.changed.common(&fields);
            if !target.force {
                managers.check_conflicts(&writer, &taken)?;
            }
            managers.take(&writer, &taken);
            managers.gone(&delta.removed);
            match delta.is_empty() {
                true => managers.keep(&writer, fields, &now),
                false => managers.set(&writer, fields, &now),
            }
            managers
        }
    };
    // A conflict is told before anything else that is wrong with what was applied.
    if !target.is_binding() {
        validate::update(kind, live, &new)?;
    }
    escalation::check(state, target, Some(live), &new)?;
    managers.store(&mut new);
    complete(state, target, &target.key(), &mut new)?;
    if kind.has_generation && spec_changed(kind, live, &new) {
        let before = object::meta(live, "generation").and_then(Value::as_i64);
        new["metadata"]["generation"] = json!(before.unwrap_or_default() + 1);
    }
    if new == **live {
        let unchanged = state.get(&target.key()).cloned();
        return unchanged.ok_or_else(|| Failure::not_found(kind, &target.name));
    }
    if kind.is("apiextensions.k8s.io", "CustomResourceDefinition") && !object::is_terminating(&new) {
        crd::establish(&state.registry, &mut new, &now);
    }
    store(state, target, target.key(), new)
}

/// Puts back what this write may not change: the server's metadata, and either status or all but it.
fn take_over(target: &Target, live: &Value, new: &mut Value) {
    let managed = object::meta(new, "managedFields").cloned();
    if target.kind.is("", "Namespace") {
        let finalizers = new.pointer("/spec/finalizers").cloned();
        match target.subresource.as_str() {
            "finalize" => {
                *new = live.clone();
                new["spec"]["finalizers"] = finalizers.unwrap_or(json!([]));
            }
            _ => new["spec"] = live["spec"].clone(),
        }
    }
    if target.is_binding() {
        // Made from the live pod by the server itself.
    } else if target.is_status() {
        let status = new.get("status").cloned();
        *new = live.clone();
        match status {
            Some(status) => new["status"] = status,
            None => {
                object::object_mut(new).remove("status");
            }
        }
    } else if target.kind.has_status {
        match live.get("status") {
            Some(status) => new["status"] = status.clone(),
            None => {
                object::object_mut(new).remove("status");
            }
        }
    }
    for field in ["apiVersion", "kind"] {
        new[field] = live[field].clone();
    }
    let meta = object::meta_mut(new);
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
        "generateName",
    ] {
        match object::meta(live, field) {
            Some(value) => meta.insert(field.to_owned(), value.clone()),
            None => meta.remove(field),
        };
    }
    if let Some(managed) = managed {
        meta.insert("managedFields".to_owned(), managed);
    }
}

/// Leaves only the fields this write may own: the status, or all but it.
pub(crate) fn keep_own_part(target: &Target, fields: &mut FieldSet) {
    match target.is_status() {
        true => fields.keep_field("status"),
        false if target.kind.has_status => fields.drop_field("status"),
        false => {}
    }
}

fn spec_changed(kind: &Kind, old: &Value, new: &Value) -> bool {
    let empty = serde_json::Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let counts = |name: &&String| *name != "metadata" && !(kind.has_status && *name == "status");
    old.keys()
        .chain(new.keys())
        .filter(counts)
        .any(|name| old.get(name) != new.get(name))
}

/// The last step: stores, or removes what was only waiting for its finalizers.
pub(crate) fn store(state: &mut State, target: &Target, key: Key, mut new: Value) -> Outcome<Arc<Stored>> {
    let finished = delete::is_finished(&target.kind, &new);
    if target.dry_run {
        if let Some(live) = state.get(&key) {
            new["metadata"]["resourceVersion"] = json!(live.version.to_string());
        }
        return Ok(Arc::new(Stored::new(&new)));
    }
    let stored = match finished {
        true => state.remove(&key).unwrap_or_else(|| Arc::new(Stored::new(&new))),
        false => state.put(key, new),
    };
    if target.kind.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        crd::register(state, &stored.value(), finished);
    }
    Ok(stored)
}
