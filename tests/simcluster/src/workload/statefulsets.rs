//! StatefulSets: pods with names and an order.
//!
//! What must stay true: with `OrderedReady` a pod is made only when all before it are ready, and goes
//! only when all before it are ready and all after it are gone; an update goes from the last pod down to
//! the partition, one at a time. A decision names at most what may happen now; the next comes when the
//! watch has told what came of it.
//!
//! Refused: ControllerRevision objects. A revision is the hash of the template, and the template of an
//! earlier one is not kept: a pod below the partition that is lost comes back with the new template, and
//! `kubectl rollout undo` cannot work. Volume claims are not made either.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::context::Context;
use super::pods::{self, REVISION_LABEL};
use super::status::counter;

/// What may be done now.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    create: Vec<i32>,
    delete: Vec<i32>,
}

/// One pod as the order sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    available: bool,
    ending: bool,
    /// Ended for good: to be made anew.
    over: bool,
    updated: bool,
}

/// What the order depends on.
#[derive(Clone, Copy, Debug)]
struct Order {
    start: i32,
    replicas: i32,
    parallel: bool,
    /// Pods before this one are not updated; none are, if there is no number.
    partition: Option<i32>,
}

impl Order {
    fn of(spec: &StatefulSetSpec) -> Order {
        let strategy = spec.update_strategy.as_ref();
        let on_delete = strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let partition = rolling.and_then(|rolling| rolling.partition).unwrap_or_default();
        let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
        Order {
            start: start.unwrap_or_default().max(0),
            replicas: spec.replicas.unwrap_or(1).max(0),
            parallel: spec.pod_management_policy.as_deref() == Some("Parallel"),
            partition: (!on_delete).then_some(partition),
        }
    }
}

fn plan(order: Order, members: &BTreeMap<i32, Member>) -> Plan {
    let mut plan = Plan::default();
    let end = order.start.saturating_add(order.replicas);
    for ordinal in order.start..end {
        match members.get(&ordinal) {
            None => plan.create.push(ordinal),
            Some(member) if member.over && !member.ending => plan.delete.push(ordinal),
            Some(member) if member.available && !member.ending => continue,
            Some(_) => {}
        }
        if !order.parallel {
            return plan;
        }
    }
    let outside = members
        .iter()
        .rev()
        .filter(|(ordinal, _)| !(order.start..end).contains(ordinal));
    for (ordinal, member) in outside {
        if !member.ending {
            plan.delete.push(*ordinal);
        }
        if !order.parallel {
            return plan;
        }
    }
    let Some(partition) = order.partition else {
        return plan;
    };
    for (ordinal, member) in members.range(order.start.max(partition)..end.max(partition)).rev() {
        if !member.updated && !member.ending {
            plan.delete.push(*ordinal);
            return plan;
        }
        if !member.available || member.ending {
            return plan;
        }
    }
    plan
}

pub(crate) async fn reconcile(context: Context, set: Arc<StatefulSet>) {
    let spec = set.spec.clone().unwrap_or_default();
    let revision = format!("{}-{}", set.name_any(), pods::template_hash(&spec.template));
    let prefix = format!("{}-", set.name_any());
    let ordinal = |pod: &Pod| -> Option<i32> { pod.name_any().strip_prefix(&prefix)?.parse().ok() };
    let now = Timestamp::now();
    let owned = context.cache.pods.owned_by(&*set);
    let owned: BTreeMap<i32, Arc<Pod>> = owned
        .into_iter()
        .filter_map(|pod| Some((ordinal(&pod)?, pod)))
        .collect();
    let members = owned.iter().map(|(ordinal, pod)| {
        let member = Member {
            available: pods::available_in(pod, spec.min_ready_seconds, now).is_some_and(|wait| wait.is_zero()),
            ending: pods::is_ending(pod),
            over: pods::is_over(pod),
            updated: pods::has_label(pod, REVISION_LABEL, &revision),
        };
        (*ordinal, member)
    });
    let order = Order::of(&spec);
    let plan = plan(order, &members.collect());
    for ordinal in plan.create {
        context
            .create(&new_pod(&context, &set, &spec, &revision, ordinal))
            .await;
    }
    for pod in plan.delete.iter().filter_map(|ordinal| owned.get(ordinal)) {
        context.delete(&context.cache.pods, &**pod).await;
    }

    let owned: Vec<Arc<Pod>> = owned.into_values().collect();
    let counts = pods::count(&owned, spec.min_ready_seconds, now);
    if let Some(next) = counts.next {
        context.look_again(&*set, next);
    }
    let status = status_of(&set, order, &owned, counts, &revision);
    context.write_status(&*set, status).await;
}

fn new_pod(context: &Context, set: &StatefulSet, spec: &StatefulSetSpec, revision: &str, ordinal: i32) -> Pod {
    let name = format!("{}-{ordinal}", set.name_any());
    let number = usize::try_from(ordinal).unwrap_or_default();
    let mut pod = pods::from_template(context, set, &spec.template, &name, number);
    pods::set_label(&mut pod, "statefulset.kubernetes.io/pod-name", &name);
    pods::set_label(&mut pod, "apps.kubernetes.io/pod-index", &ordinal.to_string());
    pods::set_label(&mut pod, REVISION_LABEL, revision);
    let pod_spec = pod.spec.get_or_insert_default();
    pod_spec.hostname = Some(name);
    pod_spec.subdomain = spec.service_name.clone().filter(|service| !service.is_empty());
    pod
}

fn status_of(set: &StatefulSet, order: Order, owned: &[Arc<Pod>], counts: pods::Counts, revision: &str) -> Value {
    let shown = set.status.clone().unwrap_or_default();
    let of = |revision: &str| {
        let pods = owned.iter().filter(|pod| !pods::is_ending(pod));
        pods.filter(|pod| pods::has_label(pod, REVISION_LABEL, revision))
            .count()
    };
    let updated = of(revision);
    let wanted = usize::try_from(order.replicas).unwrap_or_default();
    let complete = order.partition.is_some() && [updated, owned.len(), counts.ready] == [wanted; 3];
    let current = shown
        .current_revision
        .filter(|current| !current.is_empty() && !complete);
    let current = current.unwrap_or_else(|| revision.to_owned());
    json!({
        "observedGeneration": set.metadata.generation,
        "replicas": owned.len(),
        "readyReplicas": counter(counts.ready),
        // Always there, also in Kubernetes.
        "availableReplicas": counts.available,
        "currentReplicas": counter(of(&current)),
        "updatedReplicas": counter(updated),
        "currentRevision": current,
        "updateRevision": revision,
        "collisionCount": 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `r` ready, `n` not ready, `o` ready and old, `e` ending, `f` over, `-` missing.
    fn check(replicas: i32, parallel: bool, partition: Option<i32>, pods: &str, create: &[i32], delete: &[i32]) {
        let member = |letter| {
            Some(Member {
                available: matches!(letter, 'r' | 'o' | 'e'),
                ending: letter == 'e',
                over: letter == 'f',
                updated: letter != 'o',
            })
            .filter(|_| letter != '-')
        };
        let members = (0..)
            .zip(pods.chars())
            .filter_map(|(ordinal, letter)| Some((ordinal, member(letter)?)));
        let order = Order {
            start: 0,
            replicas,
            parallel,
            partition,
        };
        let expected = Plan {
            create: create.to_vec(),
            delete: delete.to_vec(),
        };
        assert_eq!(
            plan(order, &members.collect()),
            expected,
            "{replicas} {pods} parallel {parallel}"
        );
    }

    #[test]
    fn ordered_pods_wait_for_those_before_them() {
        check(3, false, Some(0), "", &[0], &[]);
        check(3, false, Some(0), "n", &[], &[]);
        check(3, false, Some(0), "r", &[1], &[]);
        check(3, false, Some(0), "-r", &[0], &[]);
        check(3, false, Some(0), "rer", &[], &[]);
        check(3, false, Some(0), "rfr", &[], &[1]);
        check(3, false, Some(0), "rrr", &[], &[]);
        check(1, false, Some(0), "rrr", &[], &[2]);
        check(1, false, Some(0), "rre", &[], &[]);
        check(1, false, Some(0), "nrr", &[], &[]);
    }

    #[test]
    fn parallel_pods_do_not_wait() {
        check(3, true, Some(0), "", &[0, 1, 2], &[]);
        check(3, true, Some(0), "n-n", &[1], &[]);
        check(1, true, Some(0), "nrr", &[], &[2, 1]);
    }

    #[test]
    fn updates_go_from_the_last_down_to_the_partition() {
        check(3, false, Some(0), "ooo", &[], &[2]);
        check(3, false, Some(0), "oor", &[], &[1]);
        check(3, false, Some(0), "oon", &[], &[]);
        check(3, false, Some(2), "oor", &[], &[]);
        check(3, false, Some(9), "ooo", &[], &[]);
        check(3, false, None, "ooo", &[], &[]);
        check(3, true, Some(0), "oon", &[], &[]);
    }
}
