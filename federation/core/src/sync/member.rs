//! A member's object as the plan sees it, read from the object itself.
//!
//! Read in one place, because two need it: the index for what watches show, and the applier for what a
//! create runs into.

use std::sync::Arc;

use serde_json::Value;

use super::MemberObject;
use crate::names::{
    CONTROL_PLANE_ANNOTATION, CREATED_ANNOTATION, DESIRED_HASH_ANNOTATION, FIELD_MANAGER, MANAGED_LABEL,
};

impl MemberObject {
    /// Reads an object. Fields that are missing or of another shape count as absent.
    pub fn read(mut object: Value) -> Self {
        let managed_fields = object
            .pointer_mut("/metadata")
            .and_then(Value::as_object_mut)
            .and_then(|metadata| metadata.remove("managedFields"));
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        let metadata = |name: &str| object.get("metadata").and_then(|metadata| metadata.get(name));
        let text = |name: &str| metadata(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let entry = |map: &str, name: &str| {
            metadata(map)
                .and_then(|map| map.get(name))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let entries = managed_fields.as_ref().and_then(Value::as_array).into_iter().flatten();
        Self {
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            generation: metadata("generation").and_then(Value::as_i64),
            control_plane: entry("annotations", CONTROL_PLANE_ANNOTATION),
            opted_out: entry("labels", MANAGED_LABEL).as_deref() == Some("false"),
            created_by_us: entry("annotations", CREATED_ANNOTATION).as_deref() == Some("true"),
            deleting: metadata("deletionTimestamp").is_some_and(|time| !time.is_null()),
            desired_hash: entry("annotations", DESIRED_HASH_ANNOTATION),
            apply_owned: !entries.into_iter().any(owned_by_update),
            object: Arc::new(object),
        }
    }
}

/// Whether an entry of `managedFields` is ours by operation `Update` on the object itself: what a create
/// leaves.
fn owned_by_update(entry: &Value) -> bool {
    let is = |name: &str, value: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default() == value;
    is("manager", FIELD_MANAGER) && is("operation", "Update") && is("subresource", "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn marks_and_ownership_are_read_and_the_rest_is_trimmed() {
        let member = MemberObject::read(json!({
            "metadata": {
                "name": "web", "uid": "u", "resourceVersion": "7", "generation": 3,
                "labels": {"meridian.dev/managed": "true"},
                "annotations": {"meridian.dev/control-plane": "cp", "meridian.dev/created": "true", "meridian.dev/desired-hash": "h"},
                "managedFields": [
                    {"manager": "meridian", "operation": "Update", "subresource": "status"},
                    {"manager": "kubectl", "operation": "Update"},
                ],
            },
            "spec": {}, "status": {"x": 1},
        }));
        assert_eq!(
            (member.uid.as_str(), member.resource_version.as_str(), member.generation),
            ("u", "7", Some(3))
        );
        assert!(member.created_by_us && member.apply_owned && !member.opted_out && !member.deleting);
        assert_eq!(
            (member.control_plane.as_deref(), member.desired_hash.as_deref()),
            (Some("cp"), Some("h"))
        );
        assert!(member.object.get("status").is_none() && member.object.pointer("/metadata/managedFields").is_none());
        let created = json!({"metadata": {"managedFields": [{"manager": "meridian", "operation": "Update"}]}});
        assert!(!MemberObject::read(created).apply_owned);
        assert!(MemberObject::read(json!("nonsense")).uid.is_empty());
    }
}
