//! CustomResourceDefinitions: from the object to the kinds it defines.
//!
//! What must stay true: the registry is a function of the stored definitions, recomputed in the write
//! that changes one; conditions are set in that same write, so `Established` is never a promise.
//!
//! Refused: a controller that tries again when names become free; whoever wants them updates the definition.

use serde_json::{Value, json};
use std::sync::Arc;

use super::kinds::{Fields, Kind, PrinterColumn, Registry};
use super::object;
use super::scale::ScalePaths;
use super::schema;
use super::status::Cause;
use super::store::State;
use super::validate::{is_dns_label, is_dns_subdomain};

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
    let mut invalid = |path: &str, value: &Value, why: &str| causes.push(Cause::invalid(path, value, why));
    let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
    if object::name(definition) != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        invalid("metadata.name", &json!(object::name(definition)), why);
    }
    if !group.is_empty() && (!group.contains('.') || !is_dns_subdomain(group)) {
        invalid("spec.group", &json!(group), "should be a domain with at least one dot");
    }
    for (path, name) in [
        ("spec.names.plural", plural.to_owned()),
        ("spec.names.singular", text("/spec/names/singular").to_owned()),
        ("spec.names.kind", text("/spec/names/kind").to_lowercase()),
        ("spec.names.listKind", text("/spec/names/listKind").to_lowercase()),
    ] {
        if !name.is_empty() && !is_dns_label(&name) {
            invalid(path, &json!(name), "must be a DNS-1035 label");
        }
    }
    if !matches!(text("/spec/scope"), "" | "Namespaced" | "Cluster") {
        let supported = ["Cluster", "Namespaced"];
        causes.push(Cause::not_supported(
            "spec.scope",
            &json!(text("/spec/scope")),
            &supported,
        ));
    }
    if definition.pointer("/spec/preserveUnknownFields") == Some(&json!(true)) {
        let why = "must be false";
        causes.push(Cause::invalid("spec.preserveUnknownFields", &json!(true), why));
    }
    versions(definition, causes);
}

fn versions(definition: &Value, causes: &mut Vec<Cause>) {
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
        let path = format!("spec.versions[{index}]");
        let name = version["name"].as_str().unwrap_or_default();
        if !is_dns_label(name) {
            let why = "must be a DNS-1035 label";
            causes.push(Cause::invalid(format!("{path}.name"), &json!(name), why));
        }
        if versions[..index].iter().any(|other| other["name"] == version["name"]) {
            causes.push(Cause::invalid(format!("{path}.name"), &json!(name), "must be unique"));
        }
        let schema_path = format!("{path}.schema.openAPIV3Schema");
        match version
            .pointer("/schema/openAPIV3Schema")
            .filter(|schema| schema.is_object())
        {
            None => causes.push(Cause::required_because(schema_path, "schemas are required")),
            Some(schema) => schema::check_structural(schema, &schema_path, causes),
        }
        if let Some(scale) = version.pointer("/subresources/scale") {
            let path = format!("{path}.subresources.scale");
            for (field, below) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
                scale_path(scale, field, &[below], &path, causes);
            }
            if scale.get("labelSelectorPath").is_some() {
                scale_path(scale, "labelSelectorPath", &[".status.", ".spec."], &path, causes);
            }
        }
        for (index, column) in object::items(version.get("additionalPrinterColumns")).enumerate() {
            let path = format!("{path}.additionalPrinterColumns[{index}]");
            for field in ["name", "jsonPath", "type"] {
                if column[field].as_str().is_none_or(str::is_empty) {
                    causes.push(Cause::required(format!("{path}.{field}")));
                }
            }
            let kinds = ["boolean", "date", "integer", "number", "string"];
            if !kinds.contains(&column["type"].as_str().unwrap_or_default()) {
                causes.push(Cause::not_supported(format!("{path}.type"), &column["type"], &kinds));
            }
        }
    }
}

/// The JSONPaths of the scale subresource are chains of fields.
fn scale_path(scale: &Value, field: &str, below: &[&str], path: &str, causes: &mut Vec<Cause>) {
    let path = format!("{path}.{field}");
    let found = scale[field].as_str().unwrap_or_default();
    if found.is_empty() {
        causes.push(Cause::required(path));
    } else if !below.iter().any(|below| found.starts_with(below)) || found.contains(['[', ']']) {
        let names: Vec<&str> = below.iter().map(|name| name.trim_end_matches('.')).collect();
        let why = format!("should be a json path under {}", names.join(" or "));
        causes.push(Cause::invalid(path, &json!(found), &why));
    }
}

/// Adds a cause for everything an update may not change.
pub(crate) fn validate_changes(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let mut fixed = vec!["/spec/group", "/spec/names/plural"];
    if is_established(old) {
        fixed.extend(["/spec/scope", "/spec/names/kind"]);
    }
    for pointer in fixed {
        if old.pointer(pointer) != new.pointer(pointer) {
            let path = pointer[1..].replace('/', ".");
            let shown = new.pointer(pointer).cloned().unwrap_or_default();
            causes.push(Cause::invalid(path, &shown, "field is immutable"));
        }
    }
    for (index, stored) in object::items(old.pointer("/status/storedVersions")).enumerate() {
        let mut versions = object::items(new.pointer("/spec/versions"));
        if !versions.any(|version| version["name"] == *stored) {
            let why = "must remain in spec.versions until a storage migration ensures no data remains persisted in it \
                       and removes it from status.storedVersions";
            let path = format!("status.storedVersions[{index}]");
            causes.push(Cause::invalid(path, stored, why));
        }
    }
}

fn is_established(definition: &Value) -> bool {
    let mut conditions = object::items(definition.pointer("/status/conditions"));
    conditions.any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

/// Which name another resource of the group has already, as the reason of a condition and a message.
fn conflict(registry: &Registry, definition: &Value) -> Option<(&'static str, String)> {
    let names = &definition["spec"]["names"];
    let group = definition["spec"]["group"].as_str().unwrap_or_default();
    let plural = names["plural"].as_str().unwrap_or_default();
    let short = || object::items(names.get("shortNames")).filter_map(Value::as_str);
    let others = registry
        .iter()
        .filter(|kind| kind.group == group && !(kind.is_custom() && kind.plural == plural));
    for other in others {
        let is_resource = |name: &str| {
            name == other.plural || name == other.singular || other.short_names.iter().any(|short| short == name)
        };
        let is_kind = |name: &str| name == other.kind || name == other.list_kind;
        let checks = [
            ("PluralConflict", Some(plural).filter(|name| is_resource(name))),
            (
                "SingularConflict",
                names["singular"].as_str().filter(|name| is_resource(name)),
            ),
            ("ShortNamesConflict", short().find(|name| is_resource(name))),
            ("KindConflict", names["kind"].as_str().filter(|name| is_kind(name))),
            (
                "ListKindConflict",
                names["listKind"].as_str().filter(|name| is_kind(name)),
            ),
        ];
        for (reason, name) in checks {
            if let Some(name) = name {
                return Some((reason, format!("{name:?} is already in use")));
            }
        }
    }
    None
}

/// Sets the status a definition has: served, unless its names are taken.
pub(crate) fn establish(registry: &Registry, definition: &mut Value, now: &Value) {
    let names = definition.pointer("/spec/names").cloned().unwrap_or_default();
    let known = definition.pointer("/status/storedVersions").cloned();
    let mut stored: Vec<Value> = object::items(known.as_ref()).cloned().collect();
    for version in object::items(definition.pointer("/spec/versions")) {
        if version["storage"] == json!(true) && !stored.contains(&version["name"]) {
            stored.push(version["name"].clone());
        }
    }
    let known: Vec<Value> = object::items(definition.pointer("/status/conditions"))
        .cloned()
        .collect();
    let condition = |kind: &str, ok: bool, reason: &str, message: &str| {
        let status = if ok { "True" } else { "False" };
        let same = |condition: &&Value| condition["type"] == kind && condition["status"] == status;
        known.iter().find(same).cloned().unwrap_or_else(
            || json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now}),
        )
    };
    let conditions = match conflict(registry, definition) {
        None => [
            condition("NamesAccepted", true, "NoConflicts", "no conflicts found"),
            condition(
                "Established",
                true,
                "InitialNamesAccepted",
                "the initial names have been accepted",
            ),
        ],
        // Names once accepted stay served.
        Some((reason, message)) if is_established(definition) => [
            condition("NamesAccepted", false, reason, &message),
            condition("Established", true, "", ""),
        ],
        Some((reason, message)) => [
            condition("NamesAccepted", false, reason, &message),
            condition("Established", false, "NotAccepted", "not all names are accepted"),
        ],
    };
    let accepted = match conditions[0]["status"] == "True" {
        true => names,
        false => json!({"plural": "", "kind": ""}),
    };
    definition["status"] = json!({
        "acceptedNames": accepted,
        "storedVersions": stored,
        "conditions": conditions,
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
    let mut kinds = match removed || !is_established(definition) {
        true => Vec::new(),
        false => kinds_of(definition),
    };
    let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
    for kind in &mut kinds {
        let before = state.registry.get(group, &kind.version, plural);
        if let Some(before) = before.filter(|before| before.has_fields_of(kind)) {
            kind.fields_since = before.fields_since;
        }
    }
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
                scale: version.pointer("/subresources/scale").map(ScalePaths::of_definition),
                selectable: object::items(version.get("selectableFields"))
                    .filter_map(|field| field["jsonPath"].as_str())
                    .map(|path| path.trim_start_matches('.').to_owned())
                    .collect(),
                has_generation: true,
                stored: true,
                fields: Fields::Schema(Arc::new(schema.unwrap_or_default())),
                fields_since: version_of(definition),
                columns: object::items(version.get("additionalPrinterColumns"))
                    .map(column)
                    .collect(),
            }
        })
        .collect()
}

fn version_of(definition: &Value) -> u64 {
    let version = object::resource_version(definition);
    version.and_then(|version| version.parse().ok()).unwrap_or_default()
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
