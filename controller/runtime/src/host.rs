//! The host cluster: watches of our own objects, and writes to federated objects.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use meridian_controller_apply::{HostObject, REQUEST_LIMIT, describe, write_finalizers, write_status};
use meridian_controller_index::{HostWrite, HostWriteEnd};
use meridian_federation_api as api;
use meridian_federation_core::{FederatedKey, ObjectKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::lease::Leadership;
use crate::member::receive_unbounded;
use crate::message::{HostEvent, Message};
use crate::watch::watch;

/// Writes side by side.
const WRITES_AT_ONCE: usize = 8;
/// Wait after a failed write.
const RETRY: Duration = Duration::from_secs(1);

/// A write to a federated object.
#[derive(Debug)]
pub(crate) struct HostJob {
    pub(crate) key: FederatedKey,
    pub(crate) write: HostWrite,
    pub(crate) previous: api::FederatedStatus,
}

/// Starts the watches of the host's objects.
pub(crate) fn watch_host(
    tasks: &mut JoinSet<()>,
    host: &Client,
    kinds: &[Arc<ObjectKind>],
    messages: &mpsc::Sender<Message>,
) {
    let mut start = |resource: ApiResource, wrap: Box<dyn Fn(_) -> HostEvent + Send + Sync>| {
        let mut events = Box::pin(watch(Api::<DynamicObject>::all_with(host.clone(), &resource), ""));
        let messages = messages.clone();
        tasks.spawn(async move {
            while let Some(event) = events.next().await {
                let event = match event {
                    Ok(event) => wrap(event),
                    Err(failure) => HostEvent::WatchFailed {
                        what: resource.plural.clone(),
                        failure,
                    },
                };
                if messages.send(Message::Host(event)).await.is_err() {
                    return;
                }
            }
        });
    };
    start(ApiResource::erase::<api::Cluster>(&()), Box::new(HostEvent::Clusters));
    start(ApiResource::erase::<api::DNSZone>(&()), Box::new(HostEvent::Zones));
    start(ApiResource::erase::<api::DNSRoute>(&()), Box::new(HostEvent::Routes));
    start(
        ApiResource::erase::<api::RoutingPolicy>(&()),
        Box::new(HostEvent::Policies),
    );
    for kind in kinds {
        let of = kind.clone();
        start(
            api::federated_resource(&kind.kind, &kind.plural),
            Box::new(move |event| HostEvent::Federated(of.clone(), event)),
        );
    }
}

/// Carries out writes to federated objects.
pub(crate) async fn host_writer(
    host: Client,
    leadership: Leadership,
    jobs: mpsc::UnboundedReceiver<HostJob>,
    messages: mpsc::Sender<Message>,
) {
    receive_unbounded(jobs)
        .for_each_concurrent(WRITES_AT_ONCE, |job| {
            let (host, leadership, messages) = (&host, &leadership, &messages);
            async move {
                let key = job.key.clone();
                if !leadership.holds() {
                    let end = HostWriteEnd::Failed;
                    let _ = messages.send(Message::HostWriteEnded { key, end }).await;
                    return;
                }
                let reason = match timeout(REQUEST_LIMIT, write(host, job)).await {
                    Ok(Ok(version)) => {
                        let end = version.map_or(HostWriteEnd::Superseded, HostWriteEnd::Written);
                        let _ = messages.send(Message::HostWriteEnded { key, end }).await;
                        return;
                    }
                    Ok(Err(error)) => describe(&error),
                    Err(_) => "no answer in time".to_owned(),
                };
                tracing::warn!(%key, reason, "could not be written on the host; it is tried again");
                tokio::time::sleep(RETRY).await;
                let _ = messages
                    .send(Message::HostWriteEnded {
                        key,
                        end: HostWriteEnd::Failed,
                    })
                    .await;
            }
        })
        .await;
}

/// The finalizer first: a status may be lost, a missing finalizer loses objects.
async fn write(host: &Client, job: HostJob) -> Result<Option<String>, kube::Error> {
    let HostJob { key, write, previous } = job;
    let mut object = HostObject {
        resource: api::federated_resource(&key.kind.kind, &key.kind.plural),
        namespace: Some(key.namespace.clone()),
        name: key.name.clone(),
        resource_version: write.resource_version,
    };
    let mut version = None;
    if let Some(finalizers) = write.finalizers {
        version = write_finalizers(host, &object, &finalizers).await?;
        match &version {
            Some(version) => object.resource_version.clone_from(version),
            None => return Ok(None),
        }
    }
    if let Some(status) = write.status {
        let value = |status| serde_json::to_value(status).map_err(kube::Error::SerdeError);
        version = write_status(host, &object, &value(previous)?, &value(status)?).await?;
    }
    Ok(version)
}
