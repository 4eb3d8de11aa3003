//! Federated objects: from their API type to the core's, and their status back.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use kube::ResourceExt;
use meridian_federation_api as api;
use meridian_federation_core::{
    ClusterName, ClusterOutcome, Condition, ConditionStatus, Deletion, FederatedKey, FederatedObject, LabelSelector,
    Override, OverrideTarget, PatchOp, PatchOperation, Placement, SelectorOperator, SelectorRequirement, SyncPlan,
    Timestamp, merge_conditions, names, sync_status,
};

/// The core's view of a federated object.
pub(crate) fn parse(key: FederatedKey, object: &api::Federated) -> FederatedObject {
    let is_true = |annotation: &str| {
        object
            .annotations()
            .get(annotation)
            .is_some_and(|value| value == "true")
    };
    let spec = &object.spec;
    FederatedObject {
        key,
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        template: spec.template.clone(),
        placement: Placement {
            clusters: spec.placement.clusters.as_ref().map(|clusters| {
                clusters
                    .iter()
                    .map(|cluster| ClusterName::new(cluster.name.as_str()))
                    .collect()
            }),
            selector: spec.placement.cluster_selector.as_ref().map(selector),
        },
        overrides: spec.overrides.iter().map(cluster_override).collect(),
        retain_replicas: spec.retain_replicas,
        deletion: object.metadata.deletion_timestamp.is_some().then(|| {
            if is_true(names::ORPHAN_ANNOTATION) {
                Deletion::Orphan
            } else {
                Deletion::Cascade
            }
        }),
        adopt: is_true(names::ADOPT_ANNOTATION),
        has_finalizer: object
            .finalizers()
            .iter()
            .any(|finalizer| finalizer == names::FINALIZER),
        inventory: object
            .status
            .iter()
            .flat_map(|status| &status.inventory)
            .map(|entry| (ClusterName::new(entry.cluster.as_str()), entry.uid.clone()))
            .collect(),
    }
}

fn selector(selector: &api::Selector) -> LabelSelector {
    LabelSelector {
        match_labels: selector.match_labels.clone(),
        match_expressions: selector
            .match_expressions
            .iter()
            .map(|requirement| SelectorRequirement {
                key: requirement.key.clone(),
                operator: match requirement.operator {
                    api::SelectorOperator::In => SelectorOperator::In,
                    api::SelectorOperator::NotIn => SelectorOperator::NotIn,
                    api::SelectorOperator::Exists => SelectorOperator::Exists,
                    api::SelectorOperator::DoesNotExist => SelectorOperator::DoesNotExist,
                },
                values: requirement.values.clone(),
            })
            .collect(),
    }
}

fn cluster_override(given: &api::ClusterOverride) -> Override {
    let target = match (&given.cluster_name, &given.cluster_selector) {
        (Some(name), _) => OverrideTarget::Cluster(ClusterName::new(name.as_str())),
        (None, found) => OverrideTarget::Selector(found.as_ref().map(selector).unwrap_or_default()),
    };
    let patches = given
        .cluster_overrides
        .iter()
        .map(|patch| PatchOperation {
            op: match patch.op {
                api::PatchOp::Add => PatchOp::Add,
                api::PatchOp::Remove => PatchOp::Remove,
                api::PatchOp::Replace => PatchOp::Replace,
            },
            path: patch.path.clone(),
            value: patch.value.clone().unwrap_or_default(),
        })
        .collect();
    Override { target, patches }
}

/// The status to write, or `None` if it stands as it is. `published` is what discovery says, for a Service.
pub(crate) fn status(
    raw: &api::Federated,
    object: &FederatedObject,
    plan: &SyncPlan,
    outcomes: &BTreeMap<ClusterName, ClusterOutcome>,
    published: Option<Condition>,
    now: Timestamp,
) -> Option<api::FederatedStatus> {
    let previous = raw.status.clone().unwrap_or_default();
    let (mut conditions, clusters) = sync_status(object, plan, outcomes);
    conditions.extend(published);
    let status = api::FederatedStatus {
        observed_generation: Some(object.generation),
        conditions: write_conditions(&previous.conditions, conditions, Some(object.generation), now)
            .unwrap_or_else(|| previous.conditions.clone()),
        clusters: clusters
            .into_iter()
            .map(|cluster| api::ClusterStatusEntry {
                name: cluster.cluster.to_string(),
                status: non_empty(cluster.status),
                reason: non_empty(&cluster.reason),
                message: non_empty(&cluster.message),
            })
            .collect(),
        inventory: plan
            .inventory
            .iter()
            .map(|(cluster, uid)| api::InventoryEntry {
                cluster: cluster.to_string(),
                uid: uid.clone(),
            })
            .collect(),
    };
    (Some(&status) != raw.status.as_ref()).then_some(status)
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Conditions of an object with the wanted ones merged in; `None` when nothing changes.
pub fn write_conditions(
    previous: &[meta::Condition],
    wanted: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Vec<meta::Condition>> {
    let merged = merge_conditions(&previous.iter().map(read).collect::<Vec<_>>(), wanted, now)?;
    let written = merged.iter().map(|condition| {
        let unchanged = previous
            .iter()
            .find(|old| old.type_ == condition.kind && read(old) == *condition);
        unchanged.cloned().unwrap_or_else(|| meta::Condition {
            type_: condition.kind.clone(),
            status: condition.status.as_str().to_owned(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            last_transition_time: meta::Time(
                k8s_openapi::jiff::Timestamp::from_second(
                    i64::try_from(condition.last_transition.0 / 1000).unwrap_or(i64::MAX),
                )
                .unwrap_or(k8s_openapi::jiff::Timestamp::UNIX_EPOCH),
            ),
            observed_generation: generation,
        })
    });
    Some(written.collect())
}

fn read(condition: &meta::Condition) -> Condition {
    Condition {
        kind: condition.type_.clone(),
        status: match condition.status.as_str() {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            _ => ConditionStatus::Unknown,
        },
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition: Timestamp(u64::try_from(condition.last_transition_time.0.as_second()).unwrap_or(0) * 1000),
    }
}
