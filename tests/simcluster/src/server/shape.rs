//! How lists and objects merge: as a whole, as a set, or item by item under keys.
//!
//! What must stay true: apply, comparison and strategic merge patch ask this module and nothing
//! else, so a list cannot be merged by one rule and owned by another. The rules for built-in kinds
//! are the list types and map types documented in the API reference; a custom kind's rules are
//! `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and `x-kubernetes-map-type` of its schema.
//!
//! Refused: reading the rules of built-in kinds from a copy of the OpenAPI document, which is 4 MB.

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

/// The rules at one place of an object.
#[derive(Clone, Debug)]
pub(crate) enum Shape<'a> {
    /// In a built-in kind, or the metadata of any.
    Typed {
        kind: &'a str,
        in_container: bool,
        list: List,
        atomic_object: bool,
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
            in_container: false,
            list: List::Atomic,
            atomic_object: false,
            plain: true,
        }
    }

    /// The rules of a field.
    pub(crate) fn field(&self, name: &str) -> Shape<'a> {
        match self {
            Shape::CustomRoot(_) if name == "metadata" => Shape::typed(""),
            Shape::CustomRoot(schema) | Shape::Schema(schema) => Shape::Schema(property(schema, name)),
            Shape::Typed { kind, in_container, .. } => Shape::Typed {
                kind,
                in_container: matches!(name, "containers" | "initContainers" | "ephemeralContainers"),
                list: typed_list(kind, *in_container, name),
                atomic_object: ATOMIC_OBJECTS.contains(&name),
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
            Shape::Typed { kind, in_container, .. } => Shape::Typed {
                kind,
                in_container: *in_container,
                list: List::Atomic,
                atomic_object: false,
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

const ATOMIC_OBJECTS: &[&str] = &[
    "selector",
    "nodeSelector",
    "labelSelector",
    "targetRef",
    "involvedObject",
    "regarding",
    "related",
    "configMapKeyRef",
    "secretKeyRef",
    "fieldRef",
    "resourceFieldRef",
];

const PLAIN: &[&str] = &[
    "metadata",
    "spec",
    "status",
    "template",
    "strategy",
    "loadBalancer",
    "resources",
    "names",
    "nodeInfo",
];

fn typed_list(kind: &str, in_container: bool, name: &str) -> List {
    let keys: &[&str] = match (name, kind) {
        ("finalizers" | "podCIDRs", _) => return List::Set,
        ("ownerReferences", _) => &["uid"],
        ("conditions", _) if kind != "EndpointSlice" => &["type"],
        ("ports", "Service") => &["port", "protocol"],
        ("ports", _) if in_container => &["containerPort", "protocol"],
        ("containers" | "initContainers" | "ephemeralContainers" | "volumes" | "env", _) => &["name"],
        ("imagePullSecrets", "Pod" | "Deployment" | "ReplicaSet") => &["name"],
        ("secrets", "ServiceAccount") => &["name"],
        ("volumeMounts", _) => &["mountPath"],
        ("volumeDevices", _) => &["devicePath"],
        ("hostAliases" | "podIPs" | "hostIPs", _) => &["ip"],
        ("topologySpreadConstraints", _) => &["topologyKey", "whenUnsatisfiable"],
        ("addresses", "Node") => &["type"],
        _ => return List::Atomic,
    };
    List::Keyed(keys.iter().map(|&key| key.to_owned()).collect())
}
