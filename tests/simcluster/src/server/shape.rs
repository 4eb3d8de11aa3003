//! How lists and objects merge: as a whole, as a set, or item by item under keys.
//!
//! What must stay true: apply, comparison and strategic merge patch ask this module and nothing
//! else, so a list cannot be merged by one rule and owned by another. The rules for built-in kinds
//! are the list types and map types documented in the API reference; a custom kind's rules are
//! `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and `x-kubernetes-map-type` of its schema.
//!
//! Refused: reading the rules of built-in kinds from a copy of the OpenAPI document, which is 4 MB, or
//! from the generated `DeepMerge` of the typed structs: it merges whole structs, tells no owner, and
//! follows the older patch keys in two places (conditions of Jobs, second keys). A test holds the table
//! against it for every other list.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fields;
use super::kinds::{Fields, Kind};

/// How a list merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// One value.
    Atomic,
    /// Each item for itself; items are scalars.
    Set,
    /// Items are objects known by these fields.
    Keyed(Vec<String>),
}

/// Where in a built-in kind a field is, as far as the rules depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The object itself, or what a template makes.
    Root,
    Metadata,
    Spec,
    /// The spec of a pod, wherever a pod or a template of one is.
    PodSpec,
    Container,
    Elsewhere,
}

impl Place {
    fn below(self, kind: &str, name: &str) -> Place {
        match (self, name) {
            (Place::Root | Place::Spec, "metadata") => Place::Metadata,
            (Place::Root, "spec") if matches!(kind, "Pod" | "PodTemplate") => Place::PodSpec,
            (Place::Root, "spec") => Place::Spec,
            // The template is a pod without a name.
            (Place::Spec, "template" | "jobTemplate") => Place::Root,
            (Place::PodSpec, "containers" | "initContainers" | "ephemeralContainers") => Place::Container,
            _ => Place::Elsewhere,
        }
    }
}

/// The rules at one place of an object.
#[derive(Clone, Debug)]
pub(crate) enum Shape<'a> {
    /// In a built-in kind, or the metadata of any.
    Typed {
        kind: &'a str,
        place: Place,
        list: List,
        atomic_object: bool,
        /// Items of the list here are references, each one value.
        atomic_items: bool,
        /// An object that exists even when empty, and so is nobody's.
        plain: bool,
    },
    /// In a custom kind, under this schema.
    Schema(&'a Value),
    /// The root of a custom kind.
    CustomRoot(&'a Value),
}

impl<'a> Shape<'a> {
    /// The rules of a whole object.
    pub(crate) fn of(kind: &'a Kind) -> Shape<'a> {
        match &kind.fields {
            Fields::Typed(_) => Shape::typed(&kind.kind),
            Fields::Schema(schema) => Shape::CustomRoot(schema),
        }
    }

    fn typed(kind: &'a str) -> Shape<'a> {
        Shape::Typed {
            kind,
            place: Place::Root,
            list: List::Atomic,
            atomic_object: false,
            atomic_items: false,
            plain: true,
        }
    }

    /// The rules of a field.
    pub(crate) fn field(&self, name: &str) -> Shape<'a> {
        match self {
            Shape::CustomRoot(_) if name == "metadata" => Shape::typed("").field(name),
            Shape::CustomRoot(schema) | Shape::Schema(schema) => Shape::Schema(property(schema, name)),
            Shape::Typed { kind, place, .. } => Shape::Typed {
                // What a template makes is a pod, but a CronJob's template makes a Job.
                kind: match (place, name) {
                    (Place::Spec, "template") => "Pod",
                    (Place::Spec, "jobTemplate") => "Job",
                    _ => kind,
                },
                place: place.below(kind, name),
                list: typed_list(kind, *place, name),
                atomic_object: is_atomic_object(kind, *place, name),
                atomic_items: matches!(name, "ownerReferences" | "imagePullSecrets" | "secrets"),
                plain: PLAIN.contains(&name),
            },
        }
    }

    /// The rules of a list's items.
    pub(crate) fn item(&self) -> Shape<'a> {
        match self {
            Shape::CustomRoot(schema) | Shape::Schema(schema) => {
                Shape::Schema(schema.get("items").unwrap_or(&Value::Null))
            }
            Shape::Typed {
                kind,
                place,
                atomic_items,
                ..
            } => Shape::Typed {
                kind,
                place: *place,
                list: List::Atomic,
                atomic_object: *atomic_items,
                atomic_items: false,
                plain: false,
            },
        }
    }

    /// How the list here merges.
    pub(crate) fn list(&self) -> List {
        match self {
            Shape::Typed { list, .. } => list.clone(),
            Shape::CustomRoot(schema) | Shape::Schema(schema) => {
                match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                    Some("set") => List::Set,
                    Some("map") => {
                        let keys = schema.get("x-kubernetes-list-map-keys");
                        let keys = super::object::items(keys).filter_map(Value::as_str);
                        List::Keyed(keys.map(str::to_owned).collect())
                    }
                    _ => List::Atomic,
                }
            }
        }
    }

    /// Whether the object here is one value.
    pub(crate) fn is_atomic_object(&self) -> bool {
        match self {
            Shape::Typed { atomic_object, .. } => *atomic_object,
            Shape::CustomRoot(schema) | Shape::Schema(schema) => {
                schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic")
            }
        }
    }

    /// Whether the object here exists even when empty.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Shape::Typed { plain: true, .. } | Shape::CustomRoot(_))
    }

    /// The path element of an item in a keyed list; `None` when the item has none of the keys.
    pub(crate) fn element_of(&self, keys: &[String], item: &Value) -> Option<String> {
        let item_shape = self.item();
        let defaults: Vec<Option<Value>> = keys.iter().map(|key| item_shape.default_of(key)).collect();
        let present: BTreeMap<&str, &Value> = keys
            .iter()
            .zip(&defaults)
            .filter_map(|(key, default)| Some((key.as_str(), item.get(key).or(default.as_ref())?)))
            .collect();
        keys.iter()
            .any(|key| item.get(key).is_some())
            .then(|| fields::keyed(&present))
    }

    fn default_of(&self, field: &str) -> Option<Value> {
        match self {
            Shape::Typed { .. } => (field == "protocol").then(|| json!("TCP")),
            Shape::CustomRoot(schema) | Shape::Schema(schema) => property(schema, field).get("default").cloned(),
        }
    }
}

/// The schema of a property, or of any value of a map.
fn property<'a>(schema: &'a Value, name: &str) -> &'a Value {
    schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .or_else(|| schema.get("additionalProperties"))
        .unwrap_or(&Value::Null)
}

/// Objects that are one value: selectors and references.
fn is_atomic_object(kind: &str, place: Place, name: &str) -> bool {
    match name {
        "selector" | "nodeSelector" | "labelSelector" | "podSelector" | "namespaceSelector" | "roleRef" => true,
        "targetRef" | "involvedObject" | "regarding" | "related" => true,
        "configMapKeyRef" | "secretKeyRef" | "fieldRef" | "resourceFieldRef" | "secretRef" => true,
        "requiredDuringSchedulingIgnoredDuringExecution" => true,
        // The backend of an Ingress.
        "port" | "resource" => kind == "Ingress" && place == Place::Elsewhere,
        _ => false,
    }
}

/// Objects that are there as soon as what they are in is: the API reference gives them no pointer.
const PLAIN: &[&str] = &[
    "metadata",
    "spec",
    "status",
    "template",
    "jobTemplate",
    "strategy",
    "updateStrategy",
    "loadBalancer",
    "resources",
    "names",
    "acceptedNames",
    "nodeInfo",
    "daemonEndpoints",
    "kubeletEndpoint",
    "scaleTargetRef",
    "source",
    "deprecatedSource",
];

fn typed_list(kind: &str, place: Place, name: &str) -> List {
    let keys: &[&str] = match (place, name) {
        (Place::Metadata, "finalizers") => return List::Set,
        (Place::Metadata, "ownerReferences") => &["uid"],
        (Place::Spec, "ports") if kind == "Service" => &["port", "protocol"],
        (Place::Spec, "podCIDRs") => return List::Set,
        (Place::PodSpec, "containers" | "initContainers" | "ephemeralContainers" | "volumes") => &["name"],
        (Place::PodSpec, "imagePullSecrets" | "resourceClaims" | "schedulingGates") => &["name"],
        (Place::PodSpec, "hostAliases") => &["ip"],
        (Place::PodSpec, "topologySpreadConstraints") => &["topologyKey", "whenUnsatisfiable"],
        (Place::Container, "env") => &["name"],
        (Place::Container, "ports") => &["containerPort", "protocol"],
        (Place::Container, "volumeMounts") => &["mountPath"],
        (Place::Container, "volumeDevices") => &["devicePath"],
        (Place::Root, "secrets") if kind == "ServiceAccount" => &["name"],
        (Place::Elsewhere, "claims") => &["name"],
        // Those of a Job are one value, and those of an endpoint are no list.
        (Place::Elsewhere, "conditions") if kind != "Job" => &["type"],
        (Place::Elsewhere, "podIPs") => &["ip"],
        (Place::Elsewhere, "addresses") if kind == "Node" => &["type"],
        (Place::Elsewhere, "failed" | "succeeded") if kind == "Job" => return List::Set,
        _ => return List::Atomic,
    };
    List::Keyed(keys.iter().map(|&key| key.to_owned()).collect())
}

#[cfg(test)]
mod tests;
