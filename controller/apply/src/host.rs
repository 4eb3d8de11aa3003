//! Writes to objects of the host: finalizers and status, each conditional on the version it was decided
//! from. A conflict is not an error of anybody: the next version arrives by the watch and is decided anew.

use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, ResourceExt};
use meridian_federation_core::names::FIELD_MANAGER;
use serde_json::{Value, json};

/// Which object of the host.
#[derive(Debug, Clone)]
pub struct HostObject {
    /// Its resource.
    pub resource: ApiResource,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The version that the write was decided from.
    pub resource_version: String,
}

impl HostObject {
    fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }
}

fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Replaces the status. Returns the new version; `None` if the object changed or went meanwhile.
pub async fn write_status(
    client: &Client,
    object: &HostObject,
    previous: &Value,
    status: &Value,
) -> Result<Option<String>, kube::Error> {
    let patch = json!({
        "metadata": { "resourceVersion": object.resource_version },
        "status": with_nulls(previous, status),
    });
    settle(
        object
            .api(client)
            .patch_status(&object.name, &parameters(), &Patch::Merge(&patch))
            .await,
    )
}

/// Replaces the finalizers. Returns the new version; `None` if the object changed or went meanwhile.
pub async fn write_finalizers(
    client: &Client,
    object: &HostObject,
    finalizers: &[String],
) -> Result<Option<String>, kube::Error> {
    let patch = json!({
        "metadata": { "resourceVersion": object.resource_version, "finalizers": finalizers },
    });
    settle(
        object
            .api(client)
            .patch(&object.name, &parameters(), &Patch::Merge(&patch))
            .await,
    )
}

fn settle(result: Result<DynamicObject, kube::Error>) -> Result<Option<String>, kube::Error> {
    match result {
        Ok(object) => Ok(object.resource_version()),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A merge patch removes a field only by null (RFC 7386): top-level fields that the new status leaves out.
fn with_nulls(previous: &Value, status: &Value) -> Value {
    let mut patch = status.clone();
    if let (Some(previous), Some(patch)) = (previous.as_object(), patch.as_object_mut()) {
        for field in previous.keys() {
            patch.entry(field.clone()).or_insert(Value::Null);
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_left_out_is_removed() {
        let patch = with_nulls(&json!({"clusters": [1], "conditions": []}), &json!({"conditions": [2]}));
        assert_eq!(patch, json!({"clusters": null, "conditions": [2]}));
    }
}
