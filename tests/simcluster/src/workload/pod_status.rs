//! The status of a pod, as its kubelet writes it.
//!
//! What must stay true: made twice for the same containers it is the same; times are kept for as long as
//! what they belong to lasts.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::nodes;
use super::script::{PodScript, READY_ANNOTATION};
use super::status::{Says, conditions, find, now};

/// What the containers of a pod do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Containers {
    /// They run, `warm` for long enough to be ready.
    Running { warm: bool },
    /// They exited and will start again.
    Crashed(i32),
    /// They exited for good.
    Ended(i32),
}

/// What a kubelet knows of a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) address: &'a str,
    pub(crate) node: Option<&'a Node>,
    pub(crate) restarts: u32,
    pub(crate) containers: Containers,
}

impl Containers {
    fn phase(self) -> &'static str {
        match self {
            Containers::Running { .. } | Containers::Crashed(_) => "Running",
            Containers::Ended(0) => "Succeeded",
            Containers::Ended(_) => "Failed",
        }
    }
}

/// The whole status.
pub(crate) fn status_of(pod: &Pod, view: &View<'_>, script: &PodScript) -> Value {
    let shown = pod.status.clone().unwrap_or_default();
    let ready = script.ready && view.containers == Containers::Running { warm: true };
    let not_by_annotation = format!("annotation {READY_ANNOTATION} is \"false\"");
    let (reason, message) = match view.containers {
        _ if ready => ("", ""),
        Containers::Running { .. } if !script.ready => ("ContainersNotReady", not_by_annotation.as_str()),
        Containers::Running { .. } => ("ContainersNotReady", "the pod is starting"),
        Containers::Crashed(_) => ("ContainersNotReady", "containers have exited"),
        Containers::Ended(0) => ("PodCompleted", ""),
        Containers::Ended(_) => ("PodFailed", ""),
    };
    let says = [
        Says::new("PodScheduled", true, "", ""),
        Says::new("Initialized", true, "", ""),
        Says::new("ContainersReady", ready, reason, message),
        Says::new("Ready", ready, reason, message),
    ];
    let node = view.node.map(|node| nodes::address(&node.name_any()));
    let spec = pod.spec.as_ref();
    let containers = spec.iter().flat_map(|spec| &spec.containers).map(|container| {
        let shown = json!(shown.container_statuses);
        let known = shown.as_array().into_iter().flatten();
        let before = known.into_iter().find(|known| known["name"] == container.name);
        let (state, last) = states(before.unwrap_or(&Value::Null), view);
        json!({
            "name": container.name,
            "image": container.image.clone().unwrap_or_default(),
            "imageID": "",
            "ready": ready,
            "started": matches!(view.containers, Containers::Running { .. }),
            "restartCount": view.restarts,
            "state": state,
            "lastState": last,
        })
    });
    json!({
        "phase": view.containers.phase(),
        "hostIP": node,
        "hostIPs": node.as_ref().map(|address| json!([{"ip": address}])),
        "podIP": view.address,
        "podIPs": [{"ip": view.address}],
        "startTime": shown.start_time.as_ref().map_or_else(now, |time| json!(time)),
        "conditions": conditions(&shown, &says),
        "containerStatuses": containers.collect::<Vec<Value>>(),
    })
}

/// The state of a container and the one before its last start.
fn states(before: &Value, view: &View<'_>) -> (Value, Value) {
    let (state, last) = (&before["state"], &before["lastState"]);
    let same_run = before["restartCount"] == view.restarts;
    let running = state.get("running").filter(|_| same_run);
    let exited = |code: i32| {
        let started = running.and_then(|running| running.get("startedAt"));
        json!({"terminated": {
            "exitCode": code,
            "reason": if code == 0 { "Completed" } else { "Error" },
            "startedAt": started.cloned().unwrap_or_else(now),
            "finishedAt": now(),
        }})
    };
    match view.containers {
        Containers::Running { .. } => match running {
            Some(running) => (json!({"running": running}), last.clone()),
            None => (json!({"running": {"startedAt": now()}}), last.clone()),
        },
        Containers::Crashed(code) => {
            let waiting = state.get("waiting").filter(|_| same_run);
            let last = if waiting.is_some() { last.clone() } else { exited(code) };
            let message = "the containers have exited and will start again after a pause";
            (
                json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}}),
                last,
            )
        }
        Containers::Ended(code) => (exited(code), last.clone()),
    }
}

/// The status of a pod whose kubelet is silent: as it was, and not ready.
pub(crate) fn lost(pod: &Pod) -> Value {
    let shown = json!(pod.status);
    let mut conditions = shown
        .get("conditions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for condition in &mut conditions {
        if condition["type"] == "Ready" {
            let says = Says::new("Ready", false, "NodeNotReady", "the kubelet of its node has stopped");
            *condition = says.condition(find(&shown, "Ready"));
        }
    }
    json!({"conditions": conditions})
}
