//! Kubelets: pods get an address, run, become ready, and end, as their annotations say.
//!
//! What must stay true: what a pod does depends on its annotations, its node and the time since its
//! containers started, and on nothing else; a change of an annotation is followed at once. No two pods
//! of a cluster have the same address at the same time. A pod that is over stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::time::Instant;

use super::context::Context;
use super::objects::Place;
use super::pod_status::{self, Containers, View};
use super::pods::{self, short_hash};
use super::scheduler::{self, Verdict};
use super::script::{PodScript, is_stopped};

/// Addresses in the pod network of a cluster.
const ADDRESSES: u16 = 64_000;

/// What this kubelet did with a pod.
#[derive(Debug)]
struct Run {
    uid: String,
    address: String,
    /// Since when the containers run, or wait to be started again.
    since: Instant,
    crashed: bool,
    /// Whether they were ready before this kubelet started.
    was_ready: bool,
    restarts: u32,
}

struct Kubelet {
    context: Context,
    network: u8,
    last_address: u16,
    taken: BTreeSet<String>,
    runs: BTreeMap<Place, Run>,
}

/// Runs until dropped.
pub(crate) async fn run(context: Context) {
    let mut changes = context.cache.changes().await;
    let all = context.cache.pods.all();
    let known = all.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.clone());
    let mut kubelet = Kubelet {
        // Pod networks of different clusters should differ, to be told apart in logs.
        network: short_hash(&context.options.cluster, 4)
            .bytes()
            .fold(64, |sum, byte| (sum + byte % 32) % 96 + 128),
        last_address: 0,
        taken: known.collect(),
        runs: BTreeMap::new(),
        context,
    };
    drop(all);
    loop {
        let changed = changes.next().await;
        let all = || {
            let mut places = kubelet.context.cache.pods.places();
            places.extend(kubelet.runs.keys().cloned());
            places
        };
        for place in changed.of::<Pod>(all) {
            kubelet.look_at(&place).await;
        }
    }
}

impl Kubelet {
    async fn look_at(&mut self, place: &Place) {
        let Some(pod) = self.context.cache.pods.get(place) else {
            self.end(place);
            return;
        };
        if pods::is_ending(&pod) {
            self.context.delete(&self.context.cache.pods, &*pod).await;
            return;
        }
        if pods::is_over(&pod) {
            self.end(place);
            return;
        }
        // One that runs already has its place, whatever nodes came or changed since.
        if pods::phase(&pod) == "Pending" && scheduler::verdict(&self.context, &pod) != Verdict::Runs {
            return;
        }
        let uid = pod.uid().unwrap_or_default();
        if self.runs.get(place).is_none_or(|run| run.uid != uid) {
            self.end(place);
            self.begin(place, &pod, uid);
        }
        let Some(run) = self.runs.get_mut(place) else {
            return;
        };
        let script = PodScript::of(&pod, self.context.options.ready_after);
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let found = node.and_then(|node| self.context.cache.nodes.get(&(String::new(), node)));
        if found.as_deref().is_some_and(is_stopped) {
            // Nobody is there to do or to say anything; the control plane sees that.
            self.context.write_status(&*pod, pod_status::lost(&pod)).await;
            return;
        }
        let (containers, wait) = run.containers(&pod, &script, Instant::now());
        let view = View {
            address: &run.address,
            node: found.as_deref(),
            restarts: run.restarts,
            containers,
        };
        let status = pod_status::status_of(&pod, &view, &script);
        if let Some(wait) = wait {
            self.context.look_again(&*pod, wait);
        }
        self.context.write_status(&*pod, status).await;
    }

    /// Takes a pod on; one that ran before this kubelet started goes on as it was.
    fn begin(&mut self, place: &Place, pod: &Pod, uid: String) {
        let status = pod.status.clone().unwrap_or_default();
        let Some(address) = status.pod_ip.clone().or_else(|| self.free_address()) else {
            tracing::warn!(?place, "the pod network is used up");
            return;
        };
        self.taken.insert(address.clone());
        let restarts = status
            .container_statuses
            .iter()
            .flatten()
            .map(|container| container.restart_count);
        let run = Run {
            uid,
            address,
            since: Instant::now(),
            crashed: false,
            was_ready: pods::is_ready(pod),
            restarts: restarts
                .max()
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or_default(),
        };
        self.runs.insert(place.clone(), run);
    }

    fn end(&mut self, place: &Place) {
        if let Some(run) = self.runs.remove(place) {
            self.taken.remove(&run.address);
        }
    }

    fn free_address(&mut self) -> Option<String> {
        for _ in 0..ADDRESSES {
            self.last_address = self.last_address % ADDRESSES + 1;
            let (high, low) = (self.last_address / 250, self.last_address % 250 + 2);
            let address = format!("10.{}.{high}.{low}", self.network);
            if !self.taken.contains(&address) {
                return Some(address);
            }
        }
        None
    }
}

impl Run {
    /// What the containers do now, and when that changes.
    fn containers(&mut self, pod: &Pod, script: &PodScript, now: Instant) -> (Containers, Option<Duration>) {
        let passed = now.saturating_duration_since(self.since);
        if self.crashed {
            let left = script.pause(self.restarts).saturating_sub(passed);
            if !left.is_zero() {
                return (Containers::Crashed(script.exit_code), Some(left));
            }
            self.crashed = false;
            self.restarts += 1;
            self.since = now;
            return self.containers(pod, script, now);
        }
        let runs = script.runs_for.map(|runs_for| runs_for.saturating_sub(passed));
        if runs == Some(Duration::ZERO) {
            self.was_ready = false;
            if !restarts(pod, script.exit_code) {
                return (Containers::Ended(script.exit_code), None);
            }
            self.crashed = true;
            self.since = now;
            let pause = script.pause(self.restarts);
            return (Containers::Crashed(script.exit_code), Some(pause));
        }
        let warms = script.ready_after.saturating_sub(passed);
        let warm = self.was_ready || warms.is_zero();
        let next = [runs, (!warm).then_some(warms)].into_iter().flatten().min();
        (Containers::Running { warm }, next)
    }
}

fn restarts(pod: &Pod, exit_code: i32) -> bool {
    match pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) {
        Some("Never") => false,
        Some("OnFailure") => exit_code != 0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodSpec;

    use super::super::script::{FAILS_ANNOTATION, READY_AFTER_ANNOTATION, RUNS_FOR_ANNOTATION};
    use super::*;

    /// Looks at a pod at each of these times, in seconds.
    fn check(policy: &str, annotations: &[(&str, &str)], looks: &[(u64, Containers, Option<u64>)]) {
        let mut pod = Pod::default();
        for (name, value) in annotations {
            pod.annotations_mut().insert((*name).to_owned(), (*value).to_owned());
        }
        pod.spec = Some(PodSpec {
            restart_policy: Some(policy.to_owned()),
            ..PodSpec::default()
        });
        let start = Instant::now();
        let mut run = Run {
            uid: String::new(),
            address: String::new(),
            since: start,
            crashed: false,
            was_ready: false,
            restarts: 0,
        };
        let script = PodScript::of(&pod, Duration::ZERO);
        for (seconds, containers, wait) in looks {
            let now = start + Duration::from_secs(*seconds);
            let expected = (*containers, wait.map(Duration::from_secs));
            assert_eq!(
                run.containers(&pod, &script, now),
                expected,
                "{policy} {annotations:?} at {seconds}"
            );
        }
    }

    #[test]
    fn the_life_of_containers() {
        use Containers::{Crashed, Ended, Running};
        let (cold, warm) = (Running { warm: false }, Running { warm: true });
        check("Always", &[], &[(0, warm, None)]);
        let slow = (READY_AFTER_ANNOTATION, "5s");
        check(
            "Always",
            &[slow],
            &[(0, cold, Some(5)), (3, cold, Some(2)), (5, warm, None)],
        );
        let short = (RUNS_FOR_ANNOTATION, "7s");
        check(
            "Never",
            &[slow, short],
            &[(0, cold, Some(5)), (5, warm, Some(2)), (7, Ended(0), None)],
        );
        check("OnFailure", &[short], &[(0, warm, Some(7)), (7, Ended(0), None)]);
        let fails = (FAILS_ANNOTATION, "3");
        check("Never", &[fails], &[(0, Ended(3), None)]);
        check(
            "Always",
            &[fails],
            &[
                (0, Crashed(3), Some(10)),
                (4, Crashed(3), Some(6)),
                (10, Crashed(3), Some(20)),
            ],
        );
        let looks = [
            (0, warm, Some(7)),
            (7, Crashed(3), Some(10)),
            (17, warm, Some(7)),
            (24, Crashed(3), Some(20)),
        ];
        check("OnFailure", &[fails, short], &looks);
    }
}
