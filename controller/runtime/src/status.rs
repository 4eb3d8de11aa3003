//! Writes of statuses on the host: the latest wins, at most one a second per object.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use kube::ResourceExt;
use kube::core::ApiResource;
use meridian_controller_apply::{HostObject, REQUEST_LIMIT, describe, write_status};
use meridian_controller_index::Index;
use meridian_dns_core::Snapshot;
use meridian_federation_core::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::lease::Leadership;
use crate::message::{Message, StatusOf};

/// Shortest time between two writes of one object's status.
const GAP: Duration = Duration::from_secs(1);

/// A status to write.
#[derive(Debug)]
pub(crate) struct StatusJob {
    of: StatusOf,
    object: HostObject,
    previous: Value,
    status: Value,
}

/// The status of an object, if it differs from what is written.
pub(crate) fn status_of(index: &Index, snapshot: &Snapshot, of: StatusOf, now: Timestamp) -> Option<StatusJob> {
    match &of {
        StatusOf::Cluster(name) => {
            let object = index.cluster_object(name)?;
            let status = index.cluster_status(name, now)?;
            job(of.clone(), object, &object.status, &status)
        }
        StatusOf::Zone(name) => {
            let object = index.zone_objects().find(|zone| zone.name_any() == *name)?;
            let status = index.zone_status(object, snapshot, now)?;
            job(of.clone(), object, &object.status, &status)
        }
        StatusOf::Route { namespace, name } => {
            let object = index.route_object(namespace, name)?;
            let status = index.route_status(object, now)?;
            job(of.clone(), object, &object.status, &status)
        }
        StatusOf::Policy(key) => {
            let object = index.policy_object(key)?;
            let status = index.policy_status(object, now)?;
            job(of.clone(), object, &object.status, &status)
        }
    }
}

fn job<K>(of: StatusOf, object: &K, previous: &Option<impl Serialize>, status: &impl Serialize) -> Option<StatusJob>
where
    K: kube::Resource<DynamicType = ()>,
{
    Some(StatusJob {
        of,
        object: HostObject {
            resource: ApiResource::erase::<K>(&()),
            namespace: object.namespace(),
            name: object.name_any(),
            resource_version: object.resource_version().unwrap_or_default(),
        },
        previous: serde_json::to_value(previous).ok()?,
        status: serde_json::to_value(status).ok()?,
    })
}

/// Writes statuses. One that fails is computed again, from what is known by then.
pub(crate) async fn status_writer(
    host: Client,
    leadership: Leadership,
    mut jobs: mpsc::UnboundedReceiver<StatusJob>,
    messages: mpsc::Sender<Message>,
) {
    let mut waiting: BTreeMap<StatusOf, StatusJob> = BTreeMap::new();
    let mut not_before: BTreeMap<StatusOf, Instant> = BTreeMap::new();
    loop {
        let due = waiting
            .keys()
            .map(|of| not_before.get(of).copied().unwrap_or_else(Instant::now))
            .min();
        tokio::select! {
            job = jobs.recv() => {
                let Some(job) = job else { return };
                waiting.insert(job.of.clone(), job);
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let now = Instant::now();
                let ready = waiting.keys().find(|of| not_before.get(of).is_none_or(|at| *at <= now)).cloned();
                let Some(job) = ready.and_then(|of| waiting.remove(&of)) else { continue };
                not_before.retain(|_, at| *at > now);
                not_before.insert(job.of.clone(), now + GAP);
                // Another leader computes its own.
                if leadership.holds() {
                    write(&host, job, &messages).await;
                }
            }
        }
    }
}

async fn write(host: &Client, job: StatusJob, messages: &mpsc::Sender<Message>) {
    let written = timeout(
        REQUEST_LIMIT,
        write_status(host, &job.object, &job.previous, &job.status),
    )
    .await;
    let reason = match written {
        Ok(Ok(Some(_))) => return,
        Ok(Ok(None)) => "it changed meanwhile".to_owned(),
        Ok(Err(error)) => describe(&error),
        Err(_) => "no answer in time".to_owned(),
    };
    tracing::debug!(of = ?job.of, reason, "status not written");
    let messages = messages.clone();
    tokio::spawn(async move {
        tokio::time::sleep(GAP).await;
        let _ = messages.send(Message::StatusAgain(job.of)).await;
    });
}
