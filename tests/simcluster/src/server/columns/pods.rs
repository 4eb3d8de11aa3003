//! Columns of pods: what goes on in their containers, in a word.
//!
//! What must stay true: the status is what people look for: why the first container that holds the pod up does
//! so, and the phase only when nothing does. Sidecars are init containers that count as containers.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Column, age_column, at, column, condition, count, duration, each, time, wide};
use crate::server::object;

pub(super) fn pod() -> Vec<Column> {
    vec![
        column("Ready", |object, _| json!(Summary::of(object).ready())),
        column("Status", |object, _| json!(Summary::of(object).status)),
        column("Restarts", |object, now| json!(Summary::of(object).restarts(now))),
        age_column(),
        wide("IP", |object, _| at(object, "/status/podIP")),
        wide("Node", |object, _| at(object, "/spec/nodeName")),
        wide("Nominated Node", |object, _| at(object, "/status/nominatedNodeName")),
        wide("Readiness Gates", |object, _| {
            let gates: Vec<String> = each(object.pointer("/spec/readinessGates"), "conditionType");
            let open = gates.iter().filter(|gate| condition(object, gate) == Some("True"));
            match gates.is_empty() {
                true => json!("<none>"),
                false => json!(format!("{}/{}", open.count(), gates.len())),
            }
        }),
    ]
}

/// How often containers were restarted, and when the last of them ended before that.
#[derive(Clone, Copy, Debug, Default)]
struct Restarts {
    count: u64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, container: &Value) {
        self.count += count(container, "/restartCount");
        let ended = container.pointer("/lastState/terminated/finishedAt");
        self.last = self.last.max(time(ended.and_then(Value::as_str)));
    }
}

/// What a pod's containers come to.
#[derive(Debug)]
struct Summary {
    ready: usize,
    total: usize,
    status: String,
    restarts: Restarts,
}

impl Summary {
    fn of(pod: &Value) -> Summary {
        let sidecars: Vec<&str> = object::items(pod.pointer("/spec/initContainers"))
            .filter(|container| container["restartPolicy"] == "Always")
            .filter_map(|container| container["name"].as_str())
            .collect();
        let mut summary = Summary {
            ready: 0,
            total: object::items(pod.pointer("/spec/containers")).count() + sidecars.len(),
            status: without_containers(pod),
            restarts: Restarts::default(),
        };
        if summary.initialize(pod, &sidecars) || condition(pod, "Initialized") == Some("True") {
            summary.run(pod, &sidecars);
        }
        if object::is_terminating(pod) {
            let phase = pod["status"]["phase"].as_str().unwrap_or_default();
            match pod["status"]["reason"].as_str() {
                Some("NodeLost") => "Unknown".clone_into(&mut summary.status),
                _ if matches!(phase, "Succeeded" | "Failed") => {}
                _ => "Terminating".clone_into(&mut summary.status),
            }
        }
        summary
    }

    /// Whether the init containers are through; what the first that is not waits for, if not.
    fn initialize(&mut self, pod: &Value, sidecars: &[&str]) -> bool {
        let total = object::items(pod.pointer("/spec/initContainers")).count();
        let statuses = object::items(pod.pointer("/status/initContainerStatuses"));
        for (index, container) in statuses.enumerate() {
            self.restarts.add(container);
            let state = &container["state"];
            let ended = state.get("terminated");
            if ended.is_some_and(|ended| ended["exitCode"] == 0) {
                continue;
            }
            let is_sidecar = container["name"].as_str().is_some_and(|name| sidecars.contains(&name));
            if is_sidecar && container["started"] == true {
                self.ready += usize::from(container["ready"] == true);
                continue;
            }
            let waits = state["waiting"]["reason"].as_str().unwrap_or_default();
            self.status = match ended {
                Some(ended) => format!("Init:{}", end(ended)),
                None if !matches!(waits, "" | "PodInitializing") => format!("Init:{waits}"),
                None => format!("Init:{index}/{total}"),
            };
            return false;
        }
        true
    }

    fn run(&mut self, pod: &Value, sidecars: &[&str]) {
        // What init containers needed is past, but for those that stay.
        self.restarts = Restarts::default();
        for container in object::items(pod.pointer("/status/initContainerStatuses")) {
            if container["name"].as_str().is_some_and(|name| sidecars.contains(&name)) {
                self.restarts.add(container);
            }
        }
        let mut some_run = false;
        let mut trouble = None;
        for container in object::items(pod.pointer("/status/containerStatuses")) {
            self.restarts.add(container);
            let state = &container["state"];
            let waits = state["waiting"]["reason"].as_str().filter(|reason| !reason.is_empty());
            let found = waits.map(str::to_owned).or_else(|| state.get("terminated").map(end));
            if found.is_none() && container["ready"] == true && state.get("running").is_some() {
                some_run = true;
                self.ready += 1;
            }
            trouble = trouble.or(found);
        }
        if let Some(trouble) = trouble {
            self.status = trouble;
        }
        if self.status == "Completed" && some_run {
            let ready = condition(pod, "Ready") == Some("True");
            self.status = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn ready(&self) -> String {
        format!("{}/{}", self.ready, self.total)
    }

    fn restarts(&self, now: Timestamp) -> String {
        let Restarts { count, last } = self.restarts;
        match (count.cmp(&0), last) {
            (Ordering::Greater, Some(last)) => {
                format!("{count} ({} ago)", duration(now.as_second() - last.as_second()))
            }
            _ => count.to_string(),
        }
    }
}

/// What is known of a pod before its containers are looked at.
fn without_containers(pod: &Value) -> String {
    let mut conditions = object::items(pod.pointer("/status/conditions"));
    let gated = |condition: &Value| condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated";
    if conditions.any(gated) {
        return "SchedulingGated".to_owned();
    }
    let text = |field: &str| pod["status"][field].as_str().filter(|text| !text.is_empty());
    text("reason").or(text("phase")).unwrap_or("Unknown").to_owned()
}

/// How a container ended.
fn end(terminated: &Value) -> String {
    match terminated["reason"].as_str().unwrap_or_default() {
        "" => match count(terminated, "/signal") {
            0 => format!("ExitCode:{}", terminated["exitCode"]),
            signal => format!("Signal:{signal}"),
        },
        reason => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ready, status and restarts of a pod with two containers, an init container and a sidecar.
    fn check(status: Value, wanted: [&str; 3]) {
        let pod = json!({
            "spec": {
                "initContainers": [{"name": "first"}, {"name": "side", "restartPolicy": "Always"}],
                "containers": [{"name": "a"}, {"name": "b"}],
            },
            "status": status,
        });
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let found = Summary::of(&pod);
        assert_eq!(
            [found.ready(), found.status.clone(), found.restarts(now)],
            wanted,
            "{pod}"
        );
    }

    #[test]
    fn the_status_tells_what_holds_a_pod_up() {
        let running = |name: &str| json!({"name": name, "ready": true, "started": true, "state": {"running": {}}});
        let waiting = |reason: &str| json!({"restartCount": 3, "state": {"waiting": {"reason": reason}}});
        let ended = |end: Value| json!({"state": {"terminated": end}});
        let done = ended(json!({"exitCode": 0, "reason": "Completed"}));
        let restarted = json!({
            "restartCount": 2, "ready": true, "state": {"running": {}},
            "lastState": {"terminated": {"finishedAt": "2026-01-01T20:00:00Z"}},
        });
        let initialized = json!([done, running("side")]);
        for (status, wanted) in [
            (json!({"phase": "Pending"}), ["0/3", "Pending", "0"]),
            (
                json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
                ["0/3", "SchedulingGated", "0"],
            ),
            (
                json!({"initContainerStatuses": [{"state": {"running": {}}}]}),
                ["0/3", "Init:0/2", "0"],
            ),
            (
                json!({"initContainerStatuses": [done, waiting("PodInitializing")]}),
                ["0/3", "Init:1/2", "3"],
            ),
            (
                json!({"initContainerStatuses": [waiting("CrashLoopBackOff")]}),
                ["0/3", "Init:CrashLoopBackOff", "3"],
            ),
            (
                json!({"initContainerStatuses": [ended(json!({"exitCode": 7}))]}),
                ["0/3", "Init:ExitCode:7", "0"],
            ),
            (
                json!({
                    "phase": "Running", "initContainerStatuses": initialized,
                    "containerStatuses": [running("a"), waiting("CrashLoopBackOff")],
                }),
                ["2/3", "CrashLoopBackOff", "3"],
            ),
            (
                json!({
                    "phase": "Running", "initContainerStatuses": initialized,
                    "containerStatuses": [running("a"), restarted],
                }),
                ["3/3", "Running", "2 (4h ago)"],
            ),
            (
                json!({"phase": "Running", "containerStatuses": [running("a"), done]}),
                ["1/3", "NotReady", "0"],
            ),
            (
                json!({"phase": "Succeeded", "containerStatuses": [done, done]}),
                ["0/3", "Completed", "0"],
            ),
            (
                json!({"phase": "Failed", "containerStatuses": [ended(json!({"exitCode": 137, "signal": 9}))]}),
                ["0/3", "Signal:9", "0"],
            ),
            (json!({"phase": "Failed", "reason": "Evicted"}), ["0/3", "Evicted", "0"]),
        ] {
            check(status, wanted);
        }
    }

    #[test]
    fn a_pod_that_is_on_its_way_out_is_terminating() {
        let check = |status: Value, wanted: &str| {
            let pod = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": status});
            assert_eq!(Summary::of(&pod).status, wanted);
        };
        check(json!({"phase": "Running"}), "Terminating");
        check(json!({"phase": "Failed", "reason": "Evicted"}), "Evicted");
        check(json!({"phase": "Running", "reason": "NodeLost"}), "Unknown");
    }
}
