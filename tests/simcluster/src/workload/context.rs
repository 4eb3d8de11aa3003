//! What every part works with: the client, the cache, and the few ways to write.
//!
//! What must stay true: a part never waits for the result of a write in order to decide: it writes, and
//! the watch tells it what came of that. So a refused write needs no care at the place where it is
//! made: when somebody else was faster, the watch says so; after any other failure everybody looks
//! again a while later. A status is written only when it says something new, or parts would wake each
//! other for ever.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::WorkloadOptions;
use super::cache::{Cache, Change};
use super::objects::{Objects, place_of};
use super::status::says_the_same;

/// Who writes, in `managedFields`.
const MANAGER: &str = "simcluster-workloads";

/// How long after a failed request everybody looks again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A kind that lives in namespaces.
pub(crate) trait Namespaced:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Namespaced for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Names an owner as what controls an object, and what waits for it in a deletion in the foreground.
pub(crate) fn controlled_by<K: Namespaced>(owner: &K) -> Option<Vec<OwnerReference>> {
    let mut reference = owner.controller_owner_ref(&())?;
    reference.block_owner_deletion = Some(true);
    Some(vec![reference])
}

/// Parameters that name who writes.
pub(crate) fn post_params() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// Parameters that name who writes.
pub(crate) fn patch_params() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) cache: Arc<Cache>,
    pub(crate) options: Arc<WorkloadOptions>,
}

impl Context {
    pub(crate) fn api<K: Namespaced>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn api_of<K: Namespaced>(&self, object: &K) -> Api<K> {
        self.api(&object.namespace().unwrap_or_default())
    }

    pub(crate) async fn create<K: Namespaced>(&self, object: &K) {
        let created = self.api_of(object).create(&post_params(), object).await;
        self.note("create", object, created.map(drop));
    }

    /// Writes an object that was read, if nobody changed it meanwhile.
    pub(crate) async fn replace<K: Namespaced>(&self, object: &K) {
        let (api, parameters) = (self.api_of(object), post_params());
        let replaced = api.replace(&object.name_any(), &parameters, object).await;
        self.note("replace", object, replaced.map(drop));
    }

    /// Changes an object if nobody else changed it since it was read.
    pub(crate) async fn patch<K: Namespaced>(&self, object: &K, mut change: Value) {
        change["metadata"]["resourceVersion"] = json!(object.resource_version());
        let patch = Patch::Merge(change);
        let (api, parameters) = (self.api_of(object), patch_params());
        let patched = api.patch(&object.name_any(), &parameters, &patch).await;
        self.note("patch", object, patched.map(drop));
    }

    /// Deletes exactly this object, at once, and takes it out of the cache.
    pub(crate) async fn delete<K: Namespaced>(&self, objects: &Objects<K>, object: &K) {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: object.uid(),
                resource_version: None,
            }),
            ..DeleteParams::background().grace_period(0)
        };
        let deleted = self.api_of(object).delete(&object.name_any(), &parameters).await;
        // With finalizers it stays, and whoever looks shall see it ending.
        if deleted.is_ok() && object.finalizers().is_empty() {
            objects.forget(object);
        }
        self.note("delete", object, deleted.map(drop));
    }

    /// Writes the fields of `status` that differ from what the object shows.
    pub(crate) async fn write_status<K: Namespaced>(&self, object: &K, status: Value) {
        let shown = json!(object);
        if says_the_same(&status, shown.get("status").unwrap_or(&Value::Null)) {
            return;
        }
        let patch = Patch::Merge(json!({"status": status}));
        let api = self.api_of(object);
        let patched = api.patch_status(&object.name_any(), &patch_params(), &patch).await;
        self.note("status", object, patched.map(drop));
    }

    /// Makes an object be looked at again in a while.
    pub(crate) fn look_again<K: Resource<DynamicType = ()>>(&self, object: &K, after: Duration) {
        let at = Instant::now() + after;
        self.cache.look_again(at, Change::of::<K>(&place_of(object)));
    }

    /// Logs a failed request, and makes everybody look at everything again after a while.
    pub(crate) fn note<K: Resource<DynamicType = ()>>(&self, what: &str, object: &K, result: Result<(), kube::Error>) {
        let (kind, (namespace, name)) = (K::kind(&()), place_of(object));
        match result {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) || is_ending_namespace(&status) => {
                tracing::debug!(what, %kind, namespace, name, reason = %status.reason, "somebody was faster");
            }
            Err(error) => {
                tracing::warn!(what, %kind, namespace, name, %error, "request failed");
                self.cache.look_again(Instant::now() + RETRY_AFTER, Change::Everything);
            }
        }
    }
}

/// Nothing is made any more in a namespace being deleted, and what is there goes.
fn is_ending_namespace(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// Looks at each object of a kind whenever it, or what it controls, has changed. Runs until dropped.
pub(crate) async fn control<K, F>(
    context: Context,
    objects: fn(&Cache) -> &Objects<K>,
    reconcile: fn(Context, Arc<K>) -> F,
) where
    K: Namespaced,
    F: Future<Output = ()>,
{
    let mut changes = context.cache.changes().await;
    loop {
        let changed = changes.next().await;
        for place in changed.of::<K>(|| objects(&context.cache).places()) {
            let found = objects(&context.cache).get(&place);
            if let Some(object) = found.filter(|object| object.meta().deletion_timestamp.is_none()) {
                reconcile(context.clone(), object).await;
            }
        }
    }
}
