//! What people read on a federated object: one condition, and a word per cluster.
//!
//! The words are KubeFed's where it has one, so that what people know and script keeps its meaning; no
//! word means fine. The text is bounded whatever the number of clusters: a condition names the first few and
//! counts the rest. Times are not decided here; [`crate::merge_conditions`] keeps them.

use std::collections::BTreeMap;

use super::{FederatedObject, Step, SyncPlan, WaitReason};
use crate::{ClusterName, Condition};

/// How many clusters a message names before it counts.
const NAMED: usize = 5;

/// What came of a step that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterOutcome {
    /// It succeeded.
    Done,
    /// It failed.
    Failed {
        /// A word for machines, such as the reason of the API server's answer.
        reason: String,
        /// For people.
        message: String,
    },
    /// No answer within the time limit.
    TimedOut,
    /// What was found there forbids it; see [`super::may_adopt`].
    Refused(WaitReason),
}

/// How far an object is in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSyncStatus {
    /// The cluster.
    pub cluster: ClusterName,
    /// Empty when all is well; otherwise the word of the status.
    pub status: &'static str,
    /// The cause as a word for machines; empty when the status says it.
    pub reason: String,
    /// The cause for people; empty when all is well.
    pub message: String,
}

/// The conditions and the per-cluster status of an object after a plan was carried out as far as
/// `outcomes` say. A step that writes and has no outcome was not carried out yet and is `Pending`.
/// Clusters with nothing left are not listed.
pub fn sync_status(
    object: &FederatedObject,
    plan: &SyncPlan,
    outcomes: &BTreeMap<ClusterName, ClusterOutcome>,
) -> (Vec<Condition>, Vec<ClusterSyncStatus>) {
    let clusters: Vec<ClusterSyncStatus> = plan
        .steps
        .iter()
        .filter_map(|(cluster, step)| of_cluster(cluster, step, outcomes.get(cluster)))
        .collect();
    (vec![propagation(object, plan, &clusters)], clusters)
}

fn propagation(object: &FederatedObject, plan: &SyncPlan, clusters: &[ClusterSyncStatus]) -> Condition {
    let condition = |holds: bool, reason: &str, message: String| Condition::new("Propagation", holds, reason, message);
    if let Some((reason, message)) = &plan.failure {
        return condition(false, reason, message.clone());
    }
    let troubled: Vec<&ClusterSyncStatus> = clusters.iter().filter(|cluster| !cluster.status.is_empty()).collect();
    if object.deletion.is_some() {
        let message = match troubled.as_slice() {
            [] => "no cluster holds a part of it any more".to_owned(),
            waiting => format!("still to be dealt with: {}", name_some(waiting)),
        };
        return condition(false, "Deleting", message);
    }
    if troubled.is_empty() {
        return condition(true, "Propagated", format!("as wanted in {} clusters", clusters.len()));
    }
    let missing = WaitReason::NamespaceNotFederated;
    if troubled.iter().all(|cluster| cluster.status == missing.word()) {
        return condition(false, missing.word(), missing.to_string());
    }
    condition(false, "CheckClusters", name_some(&troubled))
}

/// The first few clusters with their status, and how many more there are.
fn name_some(clusters: &[&ClusterSyncStatus]) -> String {
    let named = clusters
        .iter()
        .take(NAMED)
        .map(|cluster| format!("{} ({})", cluster.cluster, cluster.status));
    let mut text = named.collect::<Vec<_>>().join(", ");
    if clusters.len() > NAMED {
        text.push_str(&format!(" and {} more", clusters.len() - NAMED));
    }
    text
}

fn of_cluster(cluster: &ClusterName, step: &Step, outcome: Option<&ClusterOutcome>) -> Option<ClusterSyncStatus> {
    let row = |status: &'static str, reason: &str, message: String| {
        Some(ClusterSyncStatus {
            cluster: cluster.clone(),
            status,
            reason: reason.to_owned(),
            message,
        })
    };
    let waiting = |reason: &WaitReason| row(reason.word(), "", reason.to_string());
    let (failed, timed_out) = match step {
        Step::Gone => return None,
        Step::Keep => return row("", "", String::new()),
        Step::Wait { reason } => return waiting(reason),
        Step::Create { .. } => ("CreationFailed", "CreationTimedOut"),
        Step::Update { .. } => ("UpdateFailed", "UpdateTimedOut"),
        Step::Delete { .. } => ("DeletionFailed", "DeletionTimedOut"),
        Step::Release { .. } => ("LabelRemovalFailed", "LabelRemovalTimedOut"),
    };
    match (outcome, step) {
        (None, _) => row("Pending", "", format!("to do: {step}")),
        (Some(ClusterOutcome::Refused(reason)), _) => waiting(reason),
        (Some(ClusterOutcome::TimedOut), _) => row(timed_out, "", format!("no answer in time: {step}")),
        (Some(ClusterOutcome::Failed { reason, message }), _) => row(failed, reason, message.clone()),
        (Some(ClusterOutcome::Done), Step::Delete { .. }) => waiting(&WaitReason::WaitingForRemoval),
        (Some(ClusterOutcome::Done), Step::Release { .. }) => None,
        (Some(ClusterOutcome::Done), _) => row("", "", String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(step: Step, outcome: Option<ClusterOutcome>, expected: Option<(&str, &str)>) {
        let row = of_cluster(&ClusterName::new("a"), &step, outcome.as_ref());
        let found = row.as_ref().map(|row| (row.status, row.reason.as_str()));
        assert_eq!(found, expected, "{step} with {outcome:?}");
    }

    #[test]
    fn each_step_and_outcome_has_its_word() {
        let create = || Step::Create {
            desired: serde_json::Value::Null,
            hash: String::new(),
            adopt: false,
        };
        let update = || Step::Update {
            desired: serde_json::Value::Null,
            hash: String::new(),
            uid: String::new(),
            reason: super::super::UpdateReason::Changed,
        };
        let delete = || Step::Delete {
            uid: "u".to_owned(),
            resource_version: "1".to_owned(),
        };
        let release = || Step::Release { uid: "u".to_owned() };
        let failed = || {
            Some(ClusterOutcome::Failed {
                reason: "Forbidden".to_owned(),
                message: "no".to_owned(),
            })
        };
        check(Step::Gone, None, None);
        check(Step::Keep, None, Some(("", "")));
        check(
            Step::Wait {
                reason: WaitReason::DeletionLimit,
            },
            None,
            Some(("DeletionLimit", "")),
        );
        check(create(), None, Some(("Pending", "")));
        check(create(), Some(ClusterOutcome::Done), Some(("", "")));
        check(
            create(),
            Some(ClusterOutcome::Refused(WaitReason::AlreadyExists)),
            Some(("AlreadyExists", "")),
        );
        check(create(), failed(), Some(("CreationFailed", "Forbidden")));
        check(update(), failed(), Some(("UpdateFailed", "Forbidden")));
        check(update(), Some(ClusterOutcome::TimedOut), Some(("UpdateTimedOut", "")));
        check(delete(), failed(), Some(("DeletionFailed", "Forbidden")));
        check(delete(), Some(ClusterOutcome::Done), Some(("WaitingForRemoval", "")));
        check(release(), failed(), Some(("LabelRemovalFailed", "Forbidden")));
        check(release(), Some(ClusterOutcome::Done), None);
    }

    #[test]
    fn a_message_stays_short_whatever_the_fleet() {
        let rows: Vec<ClusterSyncStatus> = (0..9)
            .map(|number| ClusterSyncStatus {
                cluster: ClusterName::new(format!("c{number}")),
                status: "Pending",
                reason: String::new(),
                message: String::new(),
            })
            .collect();
        let text = name_some(&rows.iter().collect::<Vec<_>>());
        assert_eq!(
            text,
            "c0 (Pending), c1 (Pending), c2 (Pending), c3 (Pending), c4 (Pending) and 4 more"
        );
    }
}
