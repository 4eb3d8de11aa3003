//! ReplicaSets: as many pods as they ask for, whether a Deployment made them or somebody else.
//!
//! Not simulated: taking on pods that match and have no controller, and letting go those that do not
//! match any more.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::context::Context;
use super::pods::{self, Counts};
use super::status::counter;

pub(crate) async fn reconcile(context: Context, set: Arc<ReplicaSet>) {
    let spec = set.spec.clone().unwrap_or_default();
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default();
    let owned = context.cache.pods.owned_by(&*set);
    let mut active = owned.clone();
    active.retain(|pod| pods::is_active(pod));
    let counts = pods::count(&active, spec.min_ready_seconds, Timestamp::now());
    context
        .write_status(&*set, status_of(&set, &spec, &active, counts))
        .await;
    if let Some(next) = counts.next {
        context.look_again(&*set, next);
    }

    let template = spec.template.unwrap_or_default();
    for (number, name) in pods::free_names(&context, &*set, &owned, wanted.saturating_sub(active.len())) {
        let pod = pods::from_template(&context, &*set, &template, &name, number);
        context.create(&pod).await;
    }
    pods::least_missed_first(&mut active);
    for pod in active.iter().take(active.len().saturating_sub(wanted)) {
        context.delete(&context.cache.pods, &**pod).await;
    }
}

fn status_of(set: &ReplicaSet, spec: &ReplicaSetSpec, active: &[Arc<Pod>], counts: Counts) -> Value {
    let template = spec.template.as_ref().and_then(|template| template.metadata.as_ref());
    let labels = template.and_then(|meta| meta.labels.clone()).unwrap_or_default();
    let labelled = active.iter().filter(|pod| {
        let mut labels = labels.iter();
        labels.all(|(name, value)| pods::has_label(pod, name, value))
    });
    json!({
        "observedGeneration": set.metadata.generation,
        "replicas": active.len(),
        "fullyLabeledReplicas": counter(labelled.count()),
        "readyReplicas": counter(counts.ready),
        "availableReplicas": counter(counts.available),
    })
}
