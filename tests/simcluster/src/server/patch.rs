//! The four ways to patch.
//!
//! What must stay true: a patch is applied to the stored object under the lock, so two patches never
//! lose each other's changes; a patch that cannot be applied changes nothing. JSON patch failures are
//! 422, documents that are no patch are 400. Strategic merge of custom kinds is 415, as documented.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::managed::Managers;
use super::merge;
use super::shape::{List, Shape};
use super::status::{Failure, Outcome};
use super::store::State;
use super::stored::Stored;
use super::write::{self, Ownership, Target};
use super::{body, object, schema};

/// The kind of a patch, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// Content types a patch may have.
pub(crate) const FORMS: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

impl Form {
    pub(crate) fn of(content_type: &str, kind: &Kind) -> Outcome<Form> {
        match content_type {
            "application/json-patch+json" => Ok(Form::Json),
            "application/merge-patch+json" => Ok(Form::Merge),
            "application/strategic-merge-patch+json" if !kind.is_custom() => Ok(Form::Strategic),
            "application/apply-patch+yaml" => Ok(Form::Apply),
            _ => Err(Failure::unsupported_media_type(FORMS)),
        }
    }
}

/// Applies a patch that is no server-side apply to a document.
pub(crate) fn patched(kind: &Kind, document: &Value, form: Form, patch: Value) -> Outcome<Value> {
    let mut new = document.clone();
    match form {
        Form::Json => {
            let patch: json_patch::Patch = serde_json::from_value(patch)
                .map_err(|error| Failure::bad_request(format!("invalid JSON patch: {error}")))?;
            json_patch::patch(&mut new, &patch)
                .map_err(|error| Failure::unprocessable_patch(kind, object::name(document), &error.to_string()))?;
        }
        _ if !patch.is_object() => {
            return Err(Failure::bad_request("the patch is not a JSON object"));
        }
        Form::Merge | Form::Apply => json_patch::merge(&mut new, &patch),
        Form::Strategic => strategic(&mut new, patch, &Shape::of(kind)),
    }
    match new.is_object() {
        true => Ok(new),
        false => Err(Failure::bad_request("the patch does not leave an object")),
    }
}

/// Patches the stored object.
pub(crate) fn patch(state: &mut State, target: &Target, form: Form, patch: Value) -> Outcome<Arc<Stored>> {
    if form == Form::Apply {
        return apply(state, target, patch);
    }
    let live = target.live(state)?;
    let mut new = patched(&target.kind, &live, form, patch)?;
    body::check_body(target, &mut new)?;
    let managers = Managers::for_update(&live, &new);
    write::change(state, target, &live, new, Ownership::Update(managers))
}

/// Merges objects, and lists by their keys; `$patch` and `$deleteFromPrimitiveList` are directives.
fn strategic(value: &mut Value, patch: Value, shape: &Shape<'_>) {
    let Value::Object(mut patch) = patch else {
        *value = patch;
        return;
    };
    match patch.remove("$patch").as_ref().and_then(Value::as_str) {
        Some("replace") => {
            *value = Value::Object(patch);
            return;
        }
        Some("delete") => {
            *value = json!({});
            return;
        }
        _ => {}
    }
    let map = object::object_mut(value);
    if let Some(Value::Array(kept)) = patch.remove("$retainKeys") {
        map.retain(|name, _| kept.contains(&json!(name)));
    }
    for (name, patch) in patch {
        if let Some(name) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (map.get_mut(name), &patch) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if name.starts_with("$setElementOrder/") {
            continue;
        }
        let shape = shape.field(&name);
        match (patch, map.get_mut(&name)) {
            (Value::Null, _) => {
                map.remove(&name);
            }
            (Value::Array(patch), present) => {
                let live = match present {
                    Some(Value::Array(items)) => std::mem::take(items),
                    _ => Vec::new(),
                };
                map.insert(name, Value::Array(strategic_list(live, patch, &shape)));
            }
            (patch, Some(present)) => strategic(present, patch, &shape),
            (patch, None) => {
                let mut added = json!({});
                strategic(&mut added, patch, &shape);
                map.insert(name, added);
            }
        }
    }
}

fn strategic_list(mut live: Vec<Value>, patch: Vec<Value>, shape: &Shape<'_>) -> Vec<Value> {
    let key = match shape.list() {
        List::Atomic => return patch,
        List::Set => {
            let new: Vec<Value> = patch.into_iter().filter(|item| !live.contains(item)).collect();
            live.extend(new);
            return live;
        }
        // Strategic merge knows one key per list, the first of the applied ones.
        List::Keyed(keys) => keys.into_iter().next().unwrap_or_default(),
    };
    let directive = |item: &Value| item.get("$patch").and_then(Value::as_str).map(str::to_owned);
    if patch.iter().any(|item| directive(item).as_deref() == Some("replace")) {
        return patch.into_iter().filter(|item| directive(item).is_none()).collect();
    }
    for item in patch {
        let same = live.iter().position(|known| known.get(&key) == item.get(&key));
        match (directive(&item).as_deref(), same) {
            (Some("delete"), Some(index)) => {
                live.remove(index);
            }
            (Some("delete"), None) => {}
            (_, Some(index)) => strategic(&mut live[index], item, &shape.item()),
            (_, None) => {
                let mut added = json!({});
                strategic(&mut added, item, &shape.item());
                live.push(added);
            }
        }
    }
    live
}

/// Server-side apply: merges what the client wants, and drops what it wanted before and nobody else does.
fn apply(state: &mut State, target: &Target, mut applied: Value) -> Outcome<Arc<Stored>> {
    let kind = &target.kind;
    for field in ["apiVersion", "kind"] {
        if applied.get(field).and_then(Value::as_str).is_none() {
            return Err(Failure::bad_request(format!("{field} must be set in an apply patch")));
        }
    }
    body::check_body(target, &mut applied)?;
    if object::items(object::meta(&applied, "managedFields")).next().is_some() {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let untyped = |why: &str| {
        let (version, namespace, name) = (kind.api_version(), &target.namespace, &target.name);
        Failure::unexplained(format!(
            "failed to create typed patch object ({namespace}/{name}; {version}, Kind={}): .{why}",
            kind.kind
        ))
    };
    let dropped = schema::conform(kind, &mut applied).map_err(|why| untyped(&why))?;
    if let [first, ..] = dropped.as_slice() {
        // Fields nobody declared cannot be merged, so here validation is always strict.
        return Err(untyped(&format!("{first}: field not declared in schema")));
    }
    drop_nulls(&mut applied);

    let shape = Shape::of(kind);
    let mut fields = merge::fields_of(&applied, &shape);
    write::keep_own_part(target, &mut fields);
    let Ok(live) = target.live(state) else {
        return create(state, target, applied, fields);
    };
    let (uid, version) = (object::uid(&applied), object::resource_version(&applied));
    body::check_preconditions(kind, &live, uid, version)?;
    let mut managers = Managers::of(&live);
    if managers.is_empty() {
        let mut before = target.writer(false);
        before.manager = "before-first-apply".to_owned();
        managers.set(&before, merge::fields_of(&live, &shape), &state.timestamp());
    }
    let writer = target.writer(true);
    let mut kept = managers.fields_of_others(&writer);
    kept.add(&fields);
    let given_up = managers.fields(&writer).apart_from(&kept);
    let mut new = merge::merge(&live, &applied, &shape);
    merge::remove(&mut new, &given_up, &shape);
    write::change(state, target, &live, new, Ownership::Apply(managers, fields))
}

fn create(state: &mut State, target: &Target, applied: Value, fields: super::fields::FieldSet) -> Outcome<Arc<Stored>> {
    if target.is_status() {
        return Err(Failure::not_found(&target.kind, &target.name));
    }
    if let Some(uid) = object::uid(&applied) {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
        return Err(Failure::conflict(&target.kind, &target.name, &why));
    }
    if object::resource_version(&applied).is_some() {
        return Err(Failure::stale(&target.kind, &target.name));
    }
    let ownership = Ownership::Apply(Managers::default(), fields);
    write::create(state, target, applied, ownership)
}

/// In an applied configuration a null says no more than an absent field.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
