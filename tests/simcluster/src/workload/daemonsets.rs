//! DaemonSets: one pod on each node that takes it.
//!
//! What must stay true: a node has at most one pod of a DaemonSet, whose name is computed from the
//! node's; a rolling update takes down no more pods at a time than it may.
//!
//! Not simulated: `maxSurge`, node affinity, and ControllerRevision objects (a revision is a hash).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde_json::json;

use super::context::Context;
use super::nodes;
use super::pods::{self, REVISION_LABEL};
use super::rollout::share;
use super::status::counter;

/// What pods of DaemonSets put up with, besides what they say.
const TOLERATED: [(&str, &str); 7] = [
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
    ("network-unavailable", "NoSchedule"),
];

pub(crate) async fn reconcile(context: Context, set: Arc<DaemonSet>) {
    let spec = set.spec.clone().unwrap_or_default();
    let revision = pods::template_hash(&spec.template);
    let now = Timestamp::now();
    let tolerations = tolerations();
    let template = spec.template.spec.clone().unwrap_or_default();
    let all = context.cache.nodes.all();
    let takers: Vec<String> = all
        .iter()
        .filter(|node| nodes::takes(node, &template, &tolerations))
        .map(|node| node.name_any())
        .collect();

    let mut by_node: BTreeMap<String, Arc<Pod>> = BTreeMap::new();
    let mut misplaced = Vec::new();
    for pod in context.cache.pods.owned_by(&*set) {
        let node = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.clone())
            .unwrap_or_default();
        match takers.contains(&node) && !by_node.contains_key(&node) {
            true => drop(by_node.insert(node, pod)),
            false => misplaced.push(pod),
        }
    }
    let placed: Vec<Arc<Pod>> = by_node.values().cloned().collect();
    let is_updated = |pod: &Arc<Pod>| pods::has_label(pod, REVISION_LABEL, &revision);
    let counts = pods::count(&placed, spec.min_ready_seconds, now);
    let status = json!({
        "observedGeneration": set.metadata.generation,
        "desiredNumberScheduled": takers.len(),
        "currentNumberScheduled": placed.len(),
        "numberMisscheduled": misplaced.len(),
        "numberReady": counts.ready,
        "numberAvailable": counter(counts.available),
        "numberUnavailable": counter(takers.len().saturating_sub(counts.available)),
        "updatedNumberScheduled": counter(placed.iter().filter(|pod| is_updated(pod)).count()),
    });

    let missing = takers.iter().filter(|node| !by_node.contains_key(*node));
    for node in missing {
        context
            .create(&new_pod(&context, &set, &spec, &tolerations, &revision, node))
            .await;
    }
    let is_over = |pod: &&Arc<Pod>| pods::is_over(pod) && !pods::is_ending(pod);
    let mut leaving: Vec<&Arc<Pod>> = misplaced.iter().chain(placed.iter().filter(is_over)).collect();
    let missing = takers.len().saturating_sub(counts.available);
    let mut may_go = unavailable(&spec, takers.len()).saturating_sub(missing);
    for pod in placed.iter().filter(|pod| !is_updated(pod) && pods::is_active(pod)) {
        let available = pods::available_in(pod, spec.min_ready_seconds, now).is_some_and(|wait| wait.is_zero());
        if rolls(&spec) && (!available || may_go > 0) {
            may_go -= usize::from(available);
            leaving.push(pod);
        }
    }
    for pod in leaving {
        context.delete(&context.cache.pods, &**pod).await;
    }
    if let Some(next) = counts.next {
        context.look_again(&*set, next);
    }
    context.write_status(&*set, status).await;
}

fn rolls(spec: &DaemonSetSpec) -> bool {
    let strategy = spec
        .update_strategy
        .as_ref()
        .and_then(|strategy| strategy.type_.as_deref());
    strategy != Some("OnDelete")
}

/// How many pods an update may leave unavailable.
fn unavailable(spec: &DaemonSetSpec, nodes: usize) -> usize {
    let rolling = spec
        .update_strategy
        .as_ref()
        .and_then(|strategy| strategy.rolling_update.as_ref());
    let one = IntOrString::Int(1);
    let value = rolling
        .and_then(|rolling| rolling.max_unavailable.as_ref())
        .unwrap_or(&one);
    let number = share(value, i32::try_from(nodes).unwrap_or(i32::MAX), true);
    usize::try_from(number).unwrap_or_default()
}

fn tolerations() -> Vec<Toleration> {
    let tolerated = TOLERATED.iter().map(|(key, effect)| Toleration {
        key: Some(format!("node.kubernetes.io/{key}")),
        operator: Some("Exists".to_owned()),
        effect: Some((*effect).to_owned()),
        ..Toleration::default()
    });
    tolerated.collect()
}

fn new_pod(
    context: &Context,
    set: &DaemonSet,
    spec: &DaemonSetSpec,
    tolerations: &[Toleration],
    revision: &str,
    node: &str,
) -> Pod {
    let mut template = spec.template.clone();
    let pod_spec: &mut PodSpec = template.spec.get_or_insert_default();
    pod_spec.node_name = Some(node.to_owned());
    pod_spec
        .tolerations
        .get_or_insert_default()
        .extend(tolerations.iter().cloned());
    let mut pod = pods::from_template(context, set, &template, &pods::pod_name(set, &node), 0);
    pods::set_label(&mut pod, REVISION_LABEL, revision);
    let generation = set.metadata.generation.unwrap_or_default().to_string();
    pods::set_label(&mut pod, "pod-template-generation", &generation);
    pod
}
