//! Deployments: their pods and their status.
//!
//! What must stay true: pod names are computed (`<deployment>-<hash of the template>-<ordinal>`), so
//! creating one twice is a conflict and not a second pod. Pods of an older template go when those of
//! the new one are ready, so a rollout loses no capacity.
//!
//! Refused: ReplicaSets in between. Nobody here looks at them, and rolling back is not simulated.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};

use super::cache::{Cache, Change, Place, is_ready, place_of};
use super::{MANAGER, short_hash};

const HASH_LABEL: &str = "pod-template-hash";

/// Runs until dropped.
pub(crate) async fn run(client: Client, cache: Arc<Cache>) {
    let mut changes = cache.changes();
    loop {
        let mut dirty: BTreeSet<Place> = BTreeSet::new();
        for change in changes.next().await {
            match change {
                Change::Deployment(place) | Change::Pod(_, Some(place)) => {
                    dirty.insert(place);
                }
                Change::Everything => {
                    dirty.extend(cache.deployments.state().iter().map(|found| place_of(&**found)));
                }
                Change::Pod(_, None) | Change::Service(_) | Change::Slice(_) => {}
            }
        }
        for (namespace, name) in dirty {
            let found = cache.deployments.get(&ObjectRef::new(&name).within(&namespace));
            if let Some(deployment) = found.filter(|found| found.metadata.deletion_timestamp.is_none()) {
                let result = reconcile(&client, &cache, &deployment).await;
                cache.note("deployment", &namespace, &name, result);
            }
        }
    }
}

/// What a Deployment has and what it lacks.
struct Plan {
    hash: String,
    create: Vec<String>,
    delete: Vec<String>,
    replicas: usize,
    updated: usize,
    ready: usize,
}

fn plan(deployment: &Deployment, pods: &[Arc<Pod>]) -> Plan {
    let spec = deployment.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1).max(0);
    let template = spec.map(|spec| json!(spec.template).to_string()).unwrap_or_default();
    let hash = short_hash(&template, 5);
    let prefix = format!("{}-{hash}-", deployment.name_any());
    let names: Vec<String> = (0..wanted).map(|ordinal| format!("{prefix}{ordinal}")).collect();
    let current = |pod: &Arc<Pod>| names.contains(&pod.name_any());
    let (now, then): (Vec<Arc<Pod>>, Vec<Arc<Pod>>) = pods.iter().cloned().partition(current);
    let ready_now = now.iter().filter(|pod| is_ready(pod)).count();
    let delete = then
        .iter()
        .filter(|pod| ready_now == names.len() || pod.name_any().starts_with(&prefix))
        .map(|pod| pod.name_any());
    Plan {
        create: names
            .iter()
            .filter(|name| !now.iter().any(|pod| pod.name_any() == **name))
            .cloned()
            .collect(),
        delete: delete.collect(),
        replicas: pods.len(),
        updated: pods
            .iter()
            .filter(|pod| pod.labels().get(HASH_LABEL) == Some(&hash))
            .count(),
        ready: pods.iter().filter(|pod| is_ready(pod)).count(),
        hash,
    }
}

async fn reconcile(client: &Client, cache: &Cache, deployment: &Deployment) -> Result<(), kube::Error> {
    let namespace = deployment.namespace().unwrap_or_default();
    let uid = deployment.uid().unwrap_or_default();
    let pods = cache.pods.state_filter(|pod| {
        pod.metadata.deletion_timestamp.is_none() && pod.owner_references().iter().any(|owner| owner.uid == uid)
    });
    let plan = plan(deployment, &pods);
    write_status(client, deployment, &plan).await?;
    let api = Api::<Pod>::namespaced(client.clone(), &namespace);
    for name in &plan.create {
        let pod = new_pod(cache, deployment, name, &plan.hash);
        let created = api.create(&post_params(), &pod).await.map(drop);
        cache.note("create pod", &namespace, name, created);
    }
    for name in &plan.delete {
        let deleted = api.delete(name, &DeleteParams::default().grace_period(0)).await;
        cache.note("delete pod", &namespace, name, deleted.map(drop));
    }
    Ok(())
}

/// Parameters that name who writes.
fn post_params() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn new_pod(cache: &Cache, deployment: &Deployment, name: &str, hash: &str) -> Pod {
    let template = deployment.spec.as_ref().map(|spec| spec.template.clone());
    let template = template.unwrap_or_default();
    let mut pod = Pod {
        metadata: template.metadata.unwrap_or_default(),
        spec: template.spec,
        status: None,
    };
    pod.metadata.name = Some(name.to_owned());
    pod.metadata.namespace = deployment.namespace();
    pod.metadata.owner_references = deployment.controller_owner_ref(&()).map(|owner| vec![owner]);
    pod.labels_mut().insert(HASH_LABEL.to_owned(), hash.to_owned());
    let spec = pod.spec.get_or_insert_with(PodSpec::default);
    if spec.node_name.is_none() {
        spec.node_name = node_for(cache, name);
    }
    pod
}

/// A node by the pod's ordinal, so that pods spread over the nodes; none when there are no nodes.
fn node_for(cache: &Cache, pod: &str) -> Option<String> {
    let mut nodes: Vec<String> = cache.nodes.state().iter().map(|node| node.name_any()).collect();
    nodes.sort();
    let ordinal: usize = pod.rsplit('-').next()?.parse().ok()?;
    let index = ordinal.checked_rem(nodes.len())?;
    nodes.into_iter().nth(index)
}

async fn write_status(client: &Client, deployment: &Deployment, plan: &Plan) -> Result<(), kube::Error> {
    let status = status_of(deployment, plan);
    let before = json!(deployment.status);
    let same = status
        .as_object()
        .into_iter()
        .flatten()
        .all(|(name, value)| before.get(name).unwrap_or(&Value::Null) == value);
    if same {
        return Ok(());
    }
    let namespace = deployment.namespace().unwrap_or_default();
    let api = Api::<Deployment>::namespaced(client.clone(), &namespace);
    let patch = Patch::Merge(json!({"status": status}));
    let parameters = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch_status(&deployment.name_any(), &parameters, &patch)
        .await
        .map(drop)
}

fn status_of(deployment: &Deployment, plan: &Plan) -> Value {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or_default();
    let available = plan.ready >= wanted;
    let complete = available && plan.updated == wanted && plan.replicas == wanted;
    let (available_reason, available_message) = match available {
        true => ("MinimumReplicasAvailable", "Deployment has minimum availability."),
        false => (
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        ),
    };
    let (progress_reason, progress_message) = match complete {
        true => ("NewReplicaSetAvailable", "The new pods are available."),
        false => ("ReplicaSetUpdated", "The new pods are being started."),
    };
    json!({
        "observedGeneration": deployment.metadata.generation,
        "replicas": counter(plan.replicas),
        "updatedReplicas": counter(plan.updated),
        "readyReplicas": counter(plan.ready),
        "availableReplicas": counter(plan.ready),
        "unavailableReplicas": counter(wanted.saturating_sub(plan.ready)),
        "conditions": [
            condition(deployment, "Available", available, available_reason, available_message),
            condition(deployment, "Progressing", true, progress_reason, progress_message),
        ],
    })
}

/// Counters that are zero are absent.
fn counter(count: usize) -> Value {
    match count {
        0 => Value::Null,
        count => json!(count),
    }
}

/// A condition that keeps its times as long as it says the same.
fn condition(deployment: &Deployment, kind: &str, value: bool, reason: &str, message: &str) -> Value {
    let conditions = deployment
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let before = conditions.into_iter().find(|condition| condition.type_ == kind);
    let status = if value { "True" } else { "False" };
    let now = json!(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let same_status = before.filter(|before| before.status == status);
    let same = same_status.filter(|before| before.reason.as_deref() == Some(reason));
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": same_status.map_or(now.clone(), |before| json!(before.last_transition_time)),
        "lastUpdateTime": same.map_or(now, |before| json!(before.last_update_time)),
    })
}
