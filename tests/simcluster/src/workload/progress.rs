//! What a Deployment says of its rollout: counters and conditions.
//!
//! What must stay true: the deadline counts from the last time the counters moved towards the end,
//! which is when `Progressing` was last updated; a rollout that is done does not begin again because
//! pods fail later.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DeploymentStatus, ReplicaSet, ReplicaSetStatus};
use serde_json::{Value, json};

use super::deployments::{Rollout, wanted};
use super::status::{Says, find, written};

#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    replicas: i32,
    updated: i32,
    ready: i32,
    available: i32,
}

impl Numbers {
    fn now(rollout: &Rollout) -> Numbers {
        let sets = || rollout.old.iter().chain(&rollout.new);
        let sum = |count: fn(&ReplicaSetStatus) -> i32| sets().filter_map(|set| set.status.as_ref()).map(count).sum();
        let new = rollout.new.as_ref().and_then(|set| set.status.as_ref());
        Numbers {
            replicas: sum(|status| status.replicas),
            updated: new.map_or(0, |status| status.replicas),
            ready: sum(|status| status.ready_replicas.unwrap_or_default()),
            available: sum(|status| status.available_replicas.unwrap_or_default()),
        }
    }

    fn shown(status: &DeploymentStatus) -> Numbers {
        Numbers {
            replicas: status.replicas.unwrap_or_default(),
            updated: status.updated_replicas.unwrap_or_default(),
            ready: status.ready_replicas.unwrap_or_default(),
            available: status.available_replicas.unwrap_or_default(),
        }
    }

    /// Whether this is nearer to the end.
    fn is_ahead_of(&self, before: Numbers) -> bool {
        self.updated > before.updated
            || self.replicas - self.updated < before.replicas - before.updated
            || self.ready > before.ready
            || self.available > before.available
    }
}

/// What `Progressing` says.
struct Progress<'a> {
    says: Says<'a>,
    /// Whether there was progress just now.
    moved: bool,
    /// When it will be too late.
    deadline: Option<Duration>,
}

/// The status, and when to look again because a deadline may have passed.
pub(crate) fn status_of(rollout: &Rollout, now: Timestamp) -> (Value, Option<Duration>) {
    let shown = rollout.deployment.status.clone().unwrap_or_default();
    let numbers = Numbers::now(rollout);
    let shown_json = json!(shown);
    let available = match numbers.available >= rollout.limits.at_least() {
        true => Says::new(
            "Available",
            true,
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        ),
        false => Says::new(
            "Available",
            false,
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        ),
    };
    let mut message = String::new();
    let moved = numbers.is_ahead_of(Numbers::shown(&shown));
    let before = find(&shown_json, "Progressing");
    let progress = progress(rollout, before, moved, now, &mut message);
    let mut conditions = Vec::new();
    for (says, moved) in [(available, false), (progress.says, progress.moved)] {
        let before = find(&shown_json, says.kind);
        let mut condition = says.condition(before);
        let same = before.filter(|before| !moved && before.get("reason") == condition.get("reason"));
        let since = same.and_then(|before| before.get("lastUpdateTime"));
        condition["lastUpdateTime"] = since.cloned().unwrap_or_else(|| written(now));
        conditions.push(condition);
    }
    let sets = rollout.old.iter().chain(&rollout.new);
    let told: i32 = sets.map(wanted).sum();
    let counter = |number: i32| if number > 0 { json!(number) } else { Value::Null };
    let status = json!({
        "observedGeneration": rollout.deployment.metadata.generation,
        "replicas": counter(numbers.replicas),
        "updatedReplicas": counter(numbers.updated),
        "readyReplicas": counter(numbers.ready),
        "availableReplicas": counter(numbers.available),
        "unavailableReplicas": counter(told - numbers.available),
        "conditions": conditions,
    });
    (status, progress.deadline)
}

fn progress<'a>(
    rollout: &Rollout,
    before: Option<&Value>,
    moved: bool,
    now: Timestamp,
    message: &'a mut String,
) -> Progress<'a> {
    let reason_before = before.and_then(|before| before["reason"].as_str()).unwrap_or_default();
    let stays = |says| Progress {
        says,
        moved: false,
        deadline: None,
    };
    if rollout.spec.paused == Some(true) {
        return stays(Says {
            value: None,
            ..Says::new("Progressing", true, "DeploymentPaused", "Deployment is paused")
        });
    }
    // Told as Kubernetes tells it, of the ReplicaSet.
    let mut told = |what: &str| *message = format!("ReplicaSet \"{}\" {what}.", rollout.name);
    let has_new = rollout
        .new
        .as_ref()
        .and_then(|set: &Arc<ReplicaSet>| set.status.as_ref())
        .is_some();
    let only_new = rollout
        .old
        .iter()
        .all(|set| set.status.as_ref().is_none_or(|status| status.replicas == 0));
    if rollout.is_complete() || (reason_before == "NewReplicaSetAvailable" && has_new && only_new) {
        told("has successfully progressed");
        return stays(Says::new("Progressing", true, "NewReplicaSetAvailable", message));
    }
    let limit = rollout.spec.progress_deadline_seconds.unwrap_or(600);
    let limit = Duration::from_secs(u64::try_from(limit).unwrap_or_default());
    let under_way = reason_before == "ReplicaSetUpdated" || reason_before == "ProgressDeadlineExceeded";
    let updated = before.and_then(|before| before["lastUpdateTime"].as_str());
    let updated: Option<Timestamp> = updated.and_then(|time| time.parse().ok());
    let since = updated.filter(|_| under_way && !moved).unwrap_or(now);
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    if passed >= limit {
        told("has timed out progressing");
        return stays(Says::new("Progressing", false, "ProgressDeadlineExceeded", message));
    }
    told("is progressing");
    Progress {
        says: Says::new("Progressing", true, "ReplicaSetUpdated", message),
        moved,
        deadline: Some(limit - passed),
    }
}
