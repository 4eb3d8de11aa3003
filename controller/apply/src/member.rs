//! Writes to members: create by POST, update by server-side apply, delete and release with preconditions.
//!
//! Create is a POST, so that an object that is already there is noticed and never overwritten by accident;
//! server-side apply would merge into it. What a POST writes belongs to field manager `meridian` by
//! operation `Update`, and a later apply by the same name could then not remove a field. So the entry in
//! `managedFields` is renamed to `Apply` right after (as client-go's csaupgrade does for kubectl), guarded
//! by the version. If that fails, the index sees it (`apply_owned`) and the next update does it first.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, ResourceExt};
use meridian_federation_core::{
    ClusterOutcome, FederatedKey, MemberObject, ObjectKind, Step, as_update, may_adopt,
    names::{CONTROL_PLANE_ANNOTATION, CREATED_ANNOTATION, DESIRED_HASH_ANNOTATION, FIELD_MANAGER, MANAGED_LABEL},
};
use serde_json::{Value, json};

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepResult {
    /// Written; the object has this version now.
    Written {
        /// resourceVersion.
        resource_version: String,
        /// Generation, for kinds that have one.
        generation: Option<i64>,
    },
    /// Deleted or released, or not there any more.
    Removed,
    /// Not done, and why.
    Failed(ClusterOutcome),
}

/// The resource of a target kind.
pub fn resource_of(kind: &ObjectKind) -> ApiResource {
    ApiResource {
        group: kind.group.clone(),
        version: kind.version.clone(),
        api_version: kind.api_version(),
        kind: kind.kind.clone(),
        plural: kind.plural.clone(),
    }
}

fn api_of(client: &Client, key: &FederatedKey) -> Api<DynamicObject> {
    let resource = resource_of(&key.kind);
    match key.target_namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Carries out one step of a plan in one member. `control_plane` is our id.
pub async fn carry_out(client: &Client, key: &FederatedKey, step: &Step, control_plane: &str) -> StepResult {
    let api = api_of(client, key);
    let result = match step {
        Step::Create { desired, adopt, .. } => create(&api, key, desired, *adopt, control_plane).await,
        Step::Update { desired, uid, .. } => update(&api, key, desired, uid).await.map_err(|error| failed(&error)),
        Step::Delete { uid, resource_version } => delete(&api, key, uid, resource_version)
            .await
            .map_err(|error| failed(&error)),
        Step::Release { uid } => release(&api, key, uid).await.map_err(|error| failed(&error)),
        Step::Keep | Step::Wait { .. } | Step::Gone => Ok(StepResult::Removed),
    };
    result.unwrap_or_else(StepResult::Failed)
}

fn failed(error: &kube::Error) -> ClusterOutcome {
    let reason = match error {
        kube::Error::Api(status) => status.reason.clone(),
        _ => "NoAnswer".to_owned(),
    };
    ClusterOutcome::Failed {
        reason,
        message: crate::describe(error),
    }
}

fn written(object: &DynamicObject) -> StepResult {
    StepResult::Written {
        generation: object.metadata.generation,
        resource_version: object.resource_version().unwrap_or_default(),
    }
}

async fn create(
    api: &Api<DynamicObject>,
    key: &FederatedKey,
    desired: &Value,
    adopt: bool,
    control_plane: &str,
) -> Result<StepResult, ClusterOutcome> {
    let object: DynamicObject = serde_json::from_value(desired.clone()).map_err(|error| ClusterOutcome::Failed {
        reason: "BadTemplate".to_owned(),
        message: format!("the rendered object cannot be sent: {error}"),
    })?;
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match api.create(&parameters, &object).await {
        Ok(created) => match own_by_apply(api, &created).await {
            Ok(owned) => Ok(written(&owned)),
            Err(error) => {
                tracing::debug!(%error, object = %key, "field ownership not taken over yet");
                Ok(written(&created))
            }
        },
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let live = api.get(key.target_name()).await.map_err(|error| failed(&error))?;
            let uid = live.uid().unwrap_or_default();
            let existing = MemberObject::read(serde_json::to_value(live).unwrap_or_default());
            if let Some(reason) = may_adopt(&existing, control_plane, adopt) {
                return Err(ClusterOutcome::Refused(reason));
            }
            update(api, key, &as_update(desired, &existing, false), &uid)
                .await
                .map_err(|error| failed(&error))
        }
        Err(error) => Err(failed(&error)),
    }
}

/// Turns our own `Update` entry of `managedFields` into an `Apply` entry.
async fn own_by_apply(api: &Api<DynamicObject>, object: &DynamicObject) -> Result<DynamicObject, kube::Error> {
    let ours = |operation: &str, entry: &ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some(operation)
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    };
    let fields = object.managed_fields();
    let Some(index) = fields.iter().position(|entry| ours("Update", entry)) else {
        return Ok(object.clone());
    };
    // With both entries present the apply that follows claims every field again, so the old one may go.
    let change = if fields.iter().any(|entry| ours("Apply", entry)) {
        json!({"op": "remove", "path": format!("/metadata/managedFields/{index}")})
    } else {
        json!({"op": "replace", "path": format!("/metadata/managedFields/{index}/operation"), "value": "Apply"})
    };
    let patch = serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": object.resource_version()},
        change,
    ]))
    .map_err(kube::Error::SerdeError)?;
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch(&object.name_any(), &parameters, &Patch::<DynamicObject>::Json(patch))
        .await
}

async fn update(
    api: &Api<DynamicObject>,
    key: &FederatedKey,
    desired: &Value,
    uid: &str,
) -> Result<StepResult, kube::Error> {
    let live = api.get(key.target_name()).await?;
    if live.uid().as_deref() == Some(uid) {
        own_by_apply(api, &live).await?;
    }
    let mut desired = desired.clone();
    if let Some(metadata) = desired.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.insert("uid".to_owned(), Value::from(uid));
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    Ok(written(
        &api.patch(key.target_name(), &parameters, &Patch::Apply(&desired))
            .await?,
    ))
}

async fn delete(
    api: &Api<DynamicObject>,
    key: &FederatedKey,
    uid: &str,
    resource_version: &str,
) -> Result<StepResult, kube::Error> {
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: Some(resource_version.to_owned()),
        }),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    match api.delete(key.target_name(), &parameters).await {
        Ok(_) => Ok(StepResult::Removed),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(StepResult::Removed),
        Err(error) => Err(error),
    }
}

/// Takes our marks off and leaves the object. The merge patch names the UID, so it can only meet the object
/// that was decided about.
async fn release(api: &Api<DynamicObject>, key: &FederatedKey, uid: &str) -> Result<StepResult, kube::Error> {
    let patch = json!({
        "metadata": {
            "uid": uid,
            "labels": { MANAGED_LABEL: null },
            "annotations": { CONTROL_PLANE_ANNOTATION: null, CREATED_ANNOTATION: null, DESIRED_HASH_ANNOTATION: null },
        }
    });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api.patch(key.target_name(), &parameters, &Patch::Merge(&patch)).await {
        Ok(_) => Ok(StepResult::Removed),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(StepResult::Removed),
        Err(error) => Err(error),
    }
}
