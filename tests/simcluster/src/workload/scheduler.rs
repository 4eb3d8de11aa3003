//! The scheduler: pods that are made without a node are bound to one.
//!
//! What must stay true: a pod waits while a gate holds it, or when another scheduler is to place it. Pods are
//! bound as schedulers do it, by their binding and never by an update. The same pod goes to the same node in
//! every run: which one is computed from its name. Where no node takes a pod, its kubelet runs it without one.

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::context::{Context, post_params};
use super::nodes;
use super::objects::place_of;
use super::pods;

/// The scheduler pods have that name none.
const NAME: &str = "default-scheduler";

/// What is to become of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may run: it is on its node, or no node takes it.
    Runs,
    /// A gate holds it, or it is somebody else's to place.
    Waits,
    /// It is to be bound to this node.
    Goes(String),
}

/// Whether a pod is to be placed by this scheduler, now.
pub(crate) fn is_ours(spec: &PodSpec) -> bool {
    let gates = spec.scheduling_gates.as_deref().unwrap_or_default();
    let scheduler = spec.scheduler_name.as_deref().unwrap_or_default();
    gates.is_empty() && matches!(scheduler, "" | NAME)
}

pub(crate) fn verdict(context: &Context, pod: &Pod) -> Verdict {
    let spec = pod.spec.clone().unwrap_or_default();
    if spec.node_name.is_some() {
        return Verdict::Runs;
    }
    if !is_ours(&spec) {
        return Verdict::Waits;
    }
    let number = usize::try_from(pods::hash(&pod.name_any()) >> 33).unwrap_or_default();
    match nodes::choose(&context.cache.nodes.all(), &spec, number) {
        Some(node) => Verdict::Goes(node),
        None => Verdict::Runs,
    }
}

/// Runs until dropped.
pub(crate) async fn run(context: Context) {
    let mut changes = context.cache.changes().await;
    loop {
        let changed = changes.next().await;
        for place in changed.of::<Pod>(|| context.cache.pods.places()) {
            let found = context.cache.pods.get(&place);
            let Some(pod) = found.filter(|pod| pods::is_active(pod)) else {
                continue;
            };
            // One that runs without a node stays where it is when nodes come.
            if pods::phase(&pod) != "Pending" {
                continue;
            }
            if let Verdict::Goes(node) = verdict(&context, &pod) {
                bind(&context, &pod, &node).await;
            }
        }
    }
}

async fn bind(context: &Context, pod: &Pod, node: &str) {
    let (namespace, name) = place_of(pod);
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, "namespace": namespace, "uid": pod.uid()},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    let api: Api<Pod> = context.api(&namespace);
    // The answer is a Status, with nothing in it to be read.
    let bound: Result<Value, kube::Error> = api.create_subresource("binding", &name, &post_params(), &binding).await;
    context.note("bind", pod, bound.map(drop));
}
