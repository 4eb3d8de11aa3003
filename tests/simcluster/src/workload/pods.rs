//! What all controllers do with pods: make them from a template, count them, choose which go first.
//!
//! What must stay true: the name of a pod is computed from its owner and its number there, so making
//! one twice is a conflict and not a second pod.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec, PodTemplateSpec};
use kube::ResourceExt;
use serde_json::json;

use super::context::{Context, Namespaced, controlled_by};
use super::{nodes, scheduler};

/// The label by which revisions of StatefulSets and DaemonSets are told apart.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";

/// A number for any text; the same text has the same number in every process.
pub(crate) fn hash(text: &str) -> u64 {
    // FNV-1a.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // Its last step leaves texts that differ in their last byte close together.
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^ (hash >> 32)
}

/// A short name for any text; the same text has the same name in every process.
pub(crate) fn short_hash(text: &str, letters: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash = hash(text);
    let mut letter = || {
        let index = (hash % LETTERS.len() as u64) as usize;
        hash /= LETTERS.len() as u64;
        char::from(LETTERS[index])
    };
    (0..letters).map(|_| letter()).collect()
}

/// A name for what a template says.
pub(crate) fn template_hash(template: &PodTemplateSpec) -> String {
    short_hash(&json!(template).to_string(), 10)
}

/// The name of an owner's pod with that number (or anything else that tells its pods apart).
pub(crate) fn pod_name(owner: &impl ResourceExt, number: &impl ToString) -> String {
    let own = format!("{}/{}", owner.uid().unwrap_or_default(), number.to_string());
    format!("{}-{}", owner.name_any(), short_hash(&own, 5))
}

/// The first `count` names of an owner's pods that are not taken, nor were by one that has just gone, with
/// their numbers: a pod that replaces another is told apart from it.
pub(crate) fn free_names(
    context: &Context,
    owner: &impl ResourceExt,
    taken: &[Arc<Pod>],
    count: usize,
) -> Vec<(usize, String)> {
    let taken: BTreeSet<String> = taken.iter().map(|pod| pod.name_any()).collect();
    let namespace = owner.namespace().unwrap_or_default();
    let went = |name: &String| context.cache.pods.went(&(namespace.clone(), name.clone()));
    let names = (0..).map(|number: usize| (number, pod_name(owner, &number)));
    names
        .filter(|(_, name)| !taken.contains(name) && !went(name))
        .take(count)
        .collect()
}

/// A pod as the template of its owner says, on a node if there is one for it. `number` spreads the pods
/// of an owner over the nodes.
pub(crate) fn from_template<K: Namespaced>(
    context: &Context,
    owner: &K,
    template: &PodTemplateSpec,
    name: &str,
    number: usize,
) -> Pod {
    let template = template.clone();
    let mut pod = Pod {
        metadata: template.metadata.unwrap_or_default(),
        spec: Some(template.spec.unwrap_or_default()),
        status: None,
    };
    pod.metadata.name = Some(name.to_owned());
    pod.metadata.generate_name = Some(format!("{}-", owner.name_any()));
    pod.metadata.namespace = owner.namespace();
    pod.metadata.owner_references = controlled_by(owner);
    let spec = pod.spec.get_or_insert_with(PodSpec::default);
    if spec.node_name.is_none() && scheduler::is_ours(spec) {
        spec.node_name = nodes::choose(&context.cache.nodes.all(), spec, number);
    }
    pod
}

pub(crate) fn set_label(pod: &mut Pod, name: &str, value: &str) {
    pod.labels_mut().insert(name.to_owned(), value.to_owned());
}

pub(crate) fn has_label(pod: &Pod, name: &str, value: &str) -> bool {
    pod.labels().get(name).is_some_and(|found| found == value)
}

pub(crate) fn phase(pod: &Pod) -> &str {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase.unwrap_or("Pending")
}

/// Whether its containers have ended for good.
pub(crate) fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub(crate) fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether it counts for its owner.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_over(pod) && !is_ending(pod)
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether a pod's Ready condition is true.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some()
}

/// How long until a ready pod counts as available; nothing for one that is not ready.
pub(crate) fn available_in(pod: &Pod, min_ready: Option<i32>, now: Timestamp) -> Option<Duration> {
    let condition = ready_condition(pod)?;
    let Some(seconds @ 1..) = min_ready else {
        return Some(Duration::ZERO);
    };
    let since = condition.last_transition_time.as_ref().map_or(now, |time| time.0);
    let wait = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    // Kubernetes writes times to the second, so `since` may be in the future by a part of one.
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    Some(wait.saturating_sub(passed))
}

/// How an owner's pods are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ready: usize,
    pub(crate) available: usize,
    /// When the next one becomes available.
    pub(crate) next: Option<Duration>,
}

pub(crate) fn count(pods: &[Arc<Pod>], min_ready: Option<i32>, now: Timestamp) -> Counts {
    let mut counts = Counts::default();
    for wait in pods.iter().filter_map(|pod| available_in(pod, min_ready, now)) {
        counts.ready += 1;
        if wait.is_zero() {
            counts.available += 1;
        } else {
            counts.next = Some(counts.next.map_or(wait, |next| next.min(wait)));
        }
    }
    counts
}

/// Puts the pods first that are missed least: those not ready, then the youngest.
pub(crate) fn least_missed_first(pods: &mut [Arc<Pod>]) {
    pods.sort_by_key(|pod| {
        let created = pod.creation_timestamp().map(|time| time.0);
        (
            is_ready(pod),
            std::cmp::Reverse(created),
            std::cmp::Reverse(pod.name_any()),
        )
    });
}
