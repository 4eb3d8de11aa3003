//! From a federated object to the object that one cluster shall have.
//!
//! The order is: template, identity, overrides of this cluster, Meridian's marks. What must stay true:
//! - the identity (kind, namespace, name) comes from the federated object alone, whatever a template says;
//! - the marks come last and are forced: no template or override can claim or disclaim ownership;
//! - the hash is of what we want and nothing else: not of whether we created the object, nor of replicas
//!   that are the member's own, so that a create and the next update agree and nothing is written twice;
//! - the same input gives the same bytes.
//!
//! The hash is 64-bit FNV-1a over JSON with sorted keys. It tells two versions of our own wishes apart and
//! guards nothing: who can write the annotation can write the object. A cryptographic hash was refused
//! (a dependency, and 64 more bytes on each object), and so was `std`'s hasher, whose result may change
//! with the compiler: every object of the fleet would be written again after an upgrade.
//!
//! Annotations of the template are kept. KubeFed dropped them, and its users asked for them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::names::{
    CONTROL_PLANE_ANNOTATION, CREATED_ANNOTATION, DESIRED_HASH_ANNOTATION, EXPORT_LABEL, MANAGED_LABEL,
};
use crate::{
    ClusterFacts, ClusterName, FederatedObject, MemberObject, OverrideError, PatchFailure, apply_overrides,
    check_overrides,
};

/// What one cluster shall have.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The object, with every mark but the one that says who created it.
    pub desired: Value,
    /// Its hash, as in the annotation [`DESIRED_HASH_ANNOTATION`].
    pub hash: String,
}

/// Why there is nothing that a cluster could be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Something in the template, or what an override made of it, has the wrong shape.
    #[error("{} must be an object", if path.is_empty() { "the template" } else { path })]
    NotAnObject {
        /// Where: a JSON Pointer; empty for the whole template.
        path: &'static str,
    },
    /// The overrides are wrong in themselves.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// An override does not fit the template.
    #[error(transparent)]
    Patch(#[from] PatchFailure),
}

impl RenderError {
    /// A fixed word for conditions and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotAnObject { .. } => "BadTemplate",
            Self::Override(error) => error.reason(),
            Self::Patch(_) => "ApplyOverridesFailed",
        }
    }
}

/// Fields of `metadata` that belong to the server of one cluster, or tie the object to others there. A
/// template that was copied from a live object has them. Its finalizers are dropped too: whoever would take
/// them off is not in the other clusters. An override may set finalizers, for it knows its cluster.
const DROPPED_METADATA: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// What a cluster shall have.
pub fn render(
    object: &FederatedObject,
    cluster: &ClusterName,
    facts: &ClusterFacts,
    control_plane: &str,
) -> Result<Rendered, RenderError> {
    check_overrides(&object.overrides)?;
    render_for(object, &base(object)?, cluster, &facts.labels, control_plane)
}

/// The template with its identity: what is the same in all clusters.
pub(crate) fn base(object: &FederatedObject) -> Result<Value, RenderError> {
    let mut fields = match &object.template {
        Value::Object(fields) => fields.clone(),
        // A namespace needs no template; anything else without one is refused by the member, in its words.
        Value::Null => Map::new(),
        _ => return Err(RenderError::NotAnObject { path: "" }),
    };
    fields.remove("status");
    let metadata = entry(&mut fields, "metadata", "/metadata")?;
    metadata.retain(|name, _| !DROPPED_METADATA.contains(&name.as_str()) && name != "finalizers");
    identify(object, &mut fields)?;
    Ok(Value::Object(fields))
}

/// Puts the identity in, over whatever is there.
fn identify(object: &FederatedObject, fields: &mut Map<String, Value>) -> Result<(), RenderError> {
    let kind = &object.key.kind;
    fields.insert("apiVersion".to_owned(), Value::String(kind.api_version()));
    fields.insert("kind".to_owned(), Value::String(kind.kind.clone()));
    let metadata = entry(fields, "metadata", "/metadata")?;
    metadata.insert("name".to_owned(), Value::String(object.key.target_name().to_owned()));
    match object.key.target_namespace() {
        Some(namespace) => metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned())),
        None => metadata.remove("namespace"),
    };
    Ok(())
}

/// The base, changed for one cluster and marked. The overrides are known to be sound.
pub(crate) fn render_for(
    object: &FederatedObject,
    base: &Value,
    cluster: &ClusterName,
    labels: &BTreeMap<String, String>,
    control_plane: &str,
) -> Result<Rendered, RenderError> {
    let mut desired = base.clone();
    apply_overrides(&mut desired, &object.overrides, cluster, labels)?;
    let Value::Object(fields) = &mut desired else {
        return Err(RenderError::NotAnObject { path: "" });
    };
    fields.remove("status");
    let metadata = entry(fields, "metadata", "/metadata")?;
    metadata.retain(|name, _| !DROPPED_METADATA.contains(&name.as_str()));
    let labels = entry(metadata, "labels", "/metadata/labels")?;
    labels.insert(MANAGED_LABEL.to_owned(), Value::String("true".to_owned()));
    if object.key.kind.is_service() {
        // A federated Service takes part in discovery unless its template or an override says otherwise.
        labels
            .entry(EXPORT_LABEL)
            .or_insert_with(|| Value::String("true".to_owned()));
    }
    let annotations = entry(metadata, "annotations", "/metadata/annotations")?;
    annotations.remove(CREATED_ANNOTATION);
    annotations.remove(DESIRED_HASH_ANNOTATION);
    annotations.insert(
        CONTROL_PLANE_ANNOTATION.to_owned(),
        Value::String(control_plane.to_owned()),
    );
    let hash = desired_hash(&desired, object.retain_replicas);
    annotate(&mut desired, DESIRED_HASH_ANNOTATION, &hash);
    Ok(Rendered { desired, hash })
}

impl Rendered {
    /// The object to create: it says that we did.
    pub fn for_create(&self) -> Value {
        let mut desired = self.desired.clone();
        annotate(&mut desired, CREATED_ANNOTATION, "true");
        desired
    }

    /// The object to write over `member`; see [`as_update`].
    pub fn for_update(&self, member: &MemberObject, retain_replicas: bool) -> Value {
        as_update(&self.desired, member, retain_replicas)
    }
}

/// What to write over an object that is there, given what was wanted. It is ours to delete only if the object
/// says already that this control plane created it.
///
/// With `retain_replicas` the member's own number of replicas is written back rather than left out: leaving a
/// field out of a server-side apply removes it where nobody else has claimed it yet, and a Deployment without
/// replicas is scaled to one.
///
/// Also for a create that ran into an object which may be adopted; see [`crate::may_adopt`].
pub fn as_update(desired: &Value, member: &MemberObject, retain_replicas: bool) -> Value {
    let mut desired = desired.clone();
    if member.created_by_us && member.control_plane.is_some() {
        annotate(&mut desired, CREATED_ANNOTATION, "true");
    } else if let Some(annotations) = desired
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(CREATED_ANNOTATION);
    }
    if retain_replicas && let Some(spec) = desired.get_mut("spec").and_then(Value::as_object_mut) {
        match member.object.pointer("/spec/replicas") {
            Some(replicas) => spec.insert("replicas".to_owned(), replicas.clone()),
            None => spec.remove("replicas"),
        };
    }
    desired
}

/// The map at `name`, made if missing or null.
fn entry<'a>(
    fields: &'a mut Map<String, Value>,
    name: &str,
    path: &'static str,
) -> Result<&'a mut Map<String, Value>, RenderError> {
    let value = fields.entry(name).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().ok_or(RenderError::NotAnObject { path })
}

/// Sets an annotation of an object that has a map of them, as everything rendered here has.
fn annotate(object: &mut Value, name: &str, value: &str) {
    if let Some(annotations) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.insert(name.to_owned(), Value::String(value.to_owned()));
    }
}

/// The hash of a desired object without the annotation that carries it; see the head of this file. With
/// `retain_replicas` it is also without `spec.replicas`, which then matters for a create only.
fn desired_hash(desired: &Value, retain_replicas: bool) -> String {
    let mut hashed = desired.clone();
    if retain_replicas && let Some(spec) = hashed.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
    let mut text = String::new();
    canonical(&hashed, &mut text);
    format!("{:016x}", fnv1a(text.as_bytes()))
}

/// JSON with sorted keys and no spaces, whatever order the maps are kept in.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            out.push('{');
            for (position, (name, value)) in sorted.into_iter().enumerate() {
                let comma = if position == 0 { "" } else { "," };
                // Writing to a `String` cannot fail.
                let _ = write!(out, "{comma}{}:", Value::String(name.clone()));
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

/// 64-bit FNV-1a: offset basis and prime as published by its authors.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one_and_ignores_the_order_of_keys() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        let parse = |text: &str| serde_json::from_str::<Value>(text).expect("json");
        let mut text = String::new();
        canonical(&parse(r#"{"b": [1, {"d": null, "c": "\"x\""}], "a": 1.5}"#), &mut text);
        assert_eq!(text, r#"{"a":1.5,"b":[1,{"c":"\"x\"","d":null}]}"#);
    }
}
