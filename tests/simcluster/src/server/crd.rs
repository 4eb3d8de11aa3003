//! CustomResourceDefinitions: from the object to the kinds it defines.
//!
//! What must stay true: the registry is a function of the stored definitions, recomputed in the write
//! that changes one; conditions are set in that same write, so `Established` is never a promise.

use serde_json::{Value, json};
use std::sync::Arc;

use super::kinds::{Fields, Kind, PrinterColumn};
use super::object;
use super::status::Cause;
use super::store::State;

/// Keeps a definition until its objects are gone.
pub(crate) const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Adds a cause for everything that makes a definition useless.
pub(crate) fn validate(definition: &Value, causes: &mut Vec<Cause>) {
    let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    for pointer in ["/spec/group", "/spec/names/plural", "/spec/names/kind", "/spec/scope"] {
        if text(pointer).is_empty() {
            causes.push(Cause::required(pointer[1..].replace('/', ".")));
        }
    }
    let name = format!("{}.{}", text("/spec/names/plural"), text("/spec/group"));
    if object::name(definition) != name {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &json!(object::name(definition)), why));
    }
    let versions: Vec<&Value> = object::items(definition.pointer("/spec/versions")).collect();
    let storing = versions
        .iter()
        .filter(|version| version["storage"] == json!(true))
        .count();
    if storing != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &json!(versions.len()), why));
    }
    for (index, version) in versions.iter().enumerate() {
        if !version.pointer("/schema/openAPIV3Schema").is_some_and(Value::is_object) {
            let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(path));
        }
    }
}

/// Sets the status a definition has once it is served.
pub(crate) fn establish(definition: &mut Value, now: &Value) {
    let names = definition.pointer("/spec/names").cloned().unwrap_or_default();
    let versions = object::items(definition.pointer("/spec/versions"));
    let stored: Vec<Value> = versions
        .filter(|version| version["storage"] == json!(true))
        .map(|version| version["name"].clone())
        .collect();
    let known: Vec<Value> = object::items(definition.pointer("/status/conditions"))
        .cloned()
        .collect();
    let condition = |kind: &str, reason: &str, message: &str| {
        let before = known.iter().find(|condition| condition["type"] == json!(kind));
        before.cloned().unwrap_or_else(
            || json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}),
        )
    };
    definition["status"] = json!({
        "acceptedNames": names,
        "storedVersions": stored,
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
    });
    let finalizers = object::meta_mut(definition).entry("finalizers").or_insert(json!([]));
    if let Value::Array(finalizers) = finalizers
        && !finalizers.contains(&json!(CLEANUP_FINALIZER))
    {
        finalizers.push(json!(CLEANUP_FINALIZER));
    }
}

/// Serves what `definition` defines, and nothing of it when `removed`.
pub(crate) fn register(state: &mut State, definition: &Value, removed: bool) {
    let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kinds = match removed {
        true => Vec::new(),
        false => kinds_of(definition),
    };
    let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
    state.registry.replace_custom(group, plural, kinds);
}

fn kinds_of(definition: &Value) -> Vec<Kind> {
    let text = |pointer: &str| {
        let value = definition.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let texts = |pointer: &str| -> Vec<String> {
        let values = object::items(definition.pointer(pointer)).filter_map(Value::as_str);
        values.map(str::to_owned).collect()
    };
    let versions = object::items(definition.pointer("/spec/versions"));
    let served = versions.filter(|version| version["served"] != json!(false));
    served
        .map(|version| {
            let schema = version.pointer("/schema/openAPIV3Schema").cloned();
            Kind {
                group: text("/spec/group"),
                version: version["name"].as_str().unwrap_or_default().to_owned(),
                kind: text("/spec/names/kind"),
                list_kind: text("/spec/names/listKind"),
                plural: text("/spec/names/plural"),
                singular: text("/spec/names/singular"),
                short_names: texts("/spec/names/shortNames"),
                categories: texts("/spec/names/categories"),
                namespaced: text("/spec/scope") == "Namespaced",
                has_status: version.pointer("/subresources/status").is_some(),
                has_scale: false,
                has_generation: true,
                fields: Fields::Schema(Arc::new(schema.unwrap_or_default())),
                columns: object::items(version.get("additionalPrinterColumns"))
                    .map(column)
                    .collect(),
            }
        })
        .collect()
}

fn column(column: &Value) -> PrinterColumn {
    let text = |name: &str| column[name].as_str().unwrap_or_default().to_owned();
    PrinterColumn {
        name: text("name"),
        kind: text("type"),
        description: text("description"),
        path: text("jsonPath"),
        priority: column["priority"].as_i64().unwrap_or_default(),
    }
}
