//! How one object behaves: annotations that a test or a demo writes through the API.
//!
//! What must stay true: an annotation that cannot be read counts as absent, and a change of one is
//! followed at once, as far as what it speaks of has not happened yet. Durations are written as in Go
//! flags with one unit: `250ms`, `3s`, `2m`.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::ResourceExt;

/// On a Pod: `"false"` makes the simulated kubelet report Ready=False; anything else, or nothing, True.
pub const READY_ANNOTATION: &str = "simcluster.meridian.dev/ready";

/// On a Pod: how long it takes from the start of its containers to readiness, in place of
/// [`WorkloadOptions::ready_after`](super::WorkloadOptions::ready_after).
pub const READY_AFTER_ANNOTATION: &str = "simcluster.meridian.dev/ready-after";

/// On a Pod: how long its containers run before they exit. Without it those of a Job run for as long as
/// they take to become ready, and all others for ever.
pub const RUNS_FOR_ANNOTATION: &str = "simcluster.meridian.dev/runs-for";

/// On a Pod: the code with which its containers exit; at once, if nothing says how long they run.
pub const FAILS_ANNOTATION: &str = "simcluster.meridian.dev/fails";

/// On a Pod: the pause before its containers start a second time, by default 10 seconds as with a real
/// kubelet. It doubles each time, up to five minutes.
pub const RESTART_AFTER_ANNOTATION: &str = "simcluster.meridian.dev/restart-after";

/// On a Node: `"true"` makes its kubelet stop: the Node is not ready, nor are its pods, and no new pods
/// are put there.
pub const STOPPED_ANNOTATION: &str = "simcluster.meridian.dev/stopped";

/// On a Service: the host name its load balancer shows in place of an address, in place of
/// [`WorkloadOptions::load_balancer_domain`](super::WorkloadOptions::load_balancer_domain); empty asks for
/// an address.
pub const HOSTNAME_ANNOTATION: &str = "simcluster.meridian.dev/load-balancer-hostname";

/// On a Service: how long its load balancer takes to come up.
pub const BALANCER_AFTER_ANNOTATION: &str = "simcluster.meridian.dev/load-balancer-after";

/// On a Service: its load balancer cannot be made, for this reason.
pub const BALANCER_FAILS_ANNOTATION: &str = "simcluster.meridian.dev/load-balancer-fails";

/// The longest pause between two restarts.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What the annotations of a Pod say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodScript {
    pub(crate) ready: bool,
    pub(crate) ready_after: Duration,
    pub(crate) runs_for: Option<Duration>,
    pub(crate) exit_code: i32,
    restart_after: Duration,
}

impl PodScript {
    pub(crate) fn of(pod: &Pod, ready_after: Duration) -> PodScript {
        let annotations = pod.annotations();
        let ready_after = duration(annotations, READY_AFTER_ANNOTATION).unwrap_or(ready_after);
        let exit_code = annotations.get(FAILS_ANNOTATION).and_then(|code| code.parse().ok());
        let of_job = pod.owner_references().iter().any(|owner| owner.kind == "Job");
        let ends = match exit_code {
            Some(_) => Some(Duration::ZERO),
            None => of_job.then_some(ready_after),
        };
        PodScript {
            ready: annotations.get(READY_ANNOTATION).is_none_or(|ready| ready != "false"),
            ready_after,
            runs_for: duration(annotations, RUNS_FOR_ANNOTATION).or(ends),
            exit_code: exit_code.unwrap_or_default(),
            restart_after: duration(annotations, RESTART_AFTER_ANNOTATION).unwrap_or(Duration::from_secs(10)),
        }
    }

    /// The pause after so many restarts.
    pub(crate) fn pause(&self, restarts: u32) -> Duration {
        let doubled = self.restart_after.checked_mul(1 << restarts.min(16));
        doubled.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
    }
}

pub(crate) fn is_stopped(node: &Node) -> bool {
    node.annotations()
        .get(STOPPED_ANNOTATION)
        .is_some_and(|stopped| stopped == "true")
}

pub(crate) fn balancer_after(service: &Service) -> Duration {
    duration(service.annotations(), BALANCER_AFTER_ANNOTATION).unwrap_or_default()
}

fn duration(annotations: &BTreeMap<String, String>, name: &str) -> Option<Duration> {
    let text = annotations.get(name)?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotations: &[(&str, &str)], owner: &str) -> Pod {
        let annotations = annotations
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut pod = Pod::default();
        pod.metadata.annotations = Some(annotations.collect());
        let owner = serde_json::json!([{"apiVersion": "v1", "kind": owner, "name": "x", "uid": "x"}]);
        pod.metadata.owner_references = serde_json::from_value(owner).unwrap();
        pod
    }

    #[test]
    fn durations_that_cannot_be_read_count_as_absent() {
        let ready_after = |text: &str| {
            let script = PodScript::of(&pod(&[(READY_AFTER_ANNOTATION, text)], "ReplicaSet"), Duration::ZERO);
            script.ready_after
        };
        assert_eq!(ready_after("250ms"), Duration::from_millis(250));
        assert_eq!(ready_after("3s"), Duration::from_secs(3));
        assert_eq!(ready_after("2m"), Duration::from_secs(120));
        for wrong in [
            "",
            "s",
            "3",
            "-3s",
            "1.5s",
            "3h",
            "99999999999999999999s",
            "18446744073709551615m",
            "ä",
        ] {
            assert_eq!(ready_after(wrong), Duration::ZERO, "{wrong}");
        }
    }

    #[test]
    fn containers_of_jobs_end_and_others_run() {
        let runs_for = |annotations: &[(&str, &str)], owner| {
            PodScript::of(&pod(annotations, owner), Duration::from_secs(1)).runs_for
        };
        assert_eq!(runs_for(&[], "ReplicaSet"), None);
        assert_eq!(runs_for(&[], "Job"), Some(Duration::from_secs(1)));
        assert_eq!(runs_for(&[(FAILS_ANNOTATION, "1")], "Job"), Some(Duration::ZERO));
        assert_eq!(runs_for(&[(FAILS_ANNOTATION, "no")], "ReplicaSet"), None);
        let both = [(FAILS_ANNOTATION, "1"), (RUNS_FOR_ANNOTATION, "5s")];
        assert_eq!(runs_for(&both, "ReplicaSet"), Some(Duration::from_secs(5)));
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let script = PodScript::of(&Pod::default(), Duration::ZERO);
        let pauses = [0, 1, 4, 5, 40].map(|restarts| script.pause(restarts).as_secs());
        assert_eq!(pauses, [10, 20, 160, 300, 300]);
    }
}
