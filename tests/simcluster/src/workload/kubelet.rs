//! Kubelets: pods get an address, run, and become ready.
//!
//! What must stay true: a pod is Ready exactly when it has run for `ready_after` and its annotation
//! does not say otherwise; a change of the annotation is followed at once. No two pods of a cluster
//! have the same address at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::cache::{Cache, Change, Place, is_ready, place_of};
use super::{MANAGER, READY_ANNOTATION, WorkloadOptions, short_hash};

/// What this kubelet did with a pod.
#[derive(Debug)]
struct Run {
    uid: String,
    address: String,
    /// Whether `ready_after` has passed.
    warm: bool,
}

struct Kubelet {
    client: Client,
    cache: Arc<Cache>,
    ready_after: Duration,
    network: u8,
    last_address: u16,
    runs: BTreeMap<Place, Run>,
    warmed: mpsc::UnboundedSender<(Place, String)>,
    timers: JoinSet<()>,
}

/// Runs until dropped.
pub(crate) async fn run(client: Client, cache: Arc<Cache>, options: WorkloadOptions) {
    let mut changes = cache.changes();
    // One message per started pod, so the number of pods bounds it.
    let (warmed, mut warm) = mpsc::unbounded_channel();
    let mut kubelet = Kubelet {
        client,
        cache,
        ready_after: options.ready_after,
        // Pod networks of different clusters should differ, to be told apart in logs.
        network: short_hash(&options.cluster, 4)
            .bytes()
            .fold(64, |sum, byte| (sum + byte % 32) % 96 + 128),
        last_address: 0,
        runs: BTreeMap::new(),
        warmed,
        timers: JoinSet::new(),
    };
    loop {
        let mut dirty: BTreeSet<Place> = BTreeSet::new();
        tokio::select! {
            changed = changes.next() => for change in changed {
                match change {
                    Change::Pod(place, _) => {
                        dirty.insert(place);
                    }
                    Change::Everything => {
                        dirty.extend(kubelet.cache.pods.state().iter().map(|pod| place_of(&**pod)));
                        dirty.extend(kubelet.runs.keys().cloned());
                    }
                    Change::Deployment(_) | Change::Service(_) | Change::Slice(_) => {}
                }
            },
            Some((place, uid)) = warm.recv() => {
                if let Some(run) = kubelet.runs.get_mut(&place).filter(|run| run.uid == uid) {
                    run.warm = true;
                    dirty.insert(place);
                }
            }
            Some(_) = kubelet.timers.join_next() => {}
        }
        for place in dirty {
            kubelet.look_at(&place).await;
        }
    }
}

impl Kubelet {
    async fn look_at(&mut self, place: &Place) {
        let (namespace, name) = place;
        let Some(pod) = self.cache.pods.get(&ObjectRef::new(name).within(namespace)) else {
            self.runs.remove(place);
            return;
        };
        let api = Api::<Pod>::namespaced(self.client.clone(), namespace);
        if pod.metadata.deletion_timestamp.is_some() {
            let deleted = api.delete(name, &DeleteParams::default().grace_period(0)).await;
            self.cache.note("delete pod", namespace, name, deleted.map(drop));
            return;
        }
        let uid = pod.uid().unwrap_or_default();
        if self.runs.get(place).is_none_or(|run| run.uid != uid) {
            self.begin(place, &pod, uid);
        }
        let Some(run) = self.runs.get(place) else {
            return;
        };
        let annotation = pod.annotations().get(READY_ANNOTATION).map(String::as_str);
        let ready = run.warm && annotation != Some("false");
        let status = pod.status.clone().unwrap_or_default();
        let running = status.phase.as_deref() == Some("Running");
        if running && is_ready(&pod) == ready && status.pod_ip.is_some() {
            return;
        }
        let patch = Patch::Merge(json!({"status": status_of(&pod, run, ready, annotation)}));
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patched = api.patch_status(name, &parameters, &patch).await;
        self.cache.note("pod status", namespace, name, patched.map(drop));
    }

    /// Takes a pod on: new ones warm up, those that were ready before this kubelet started are warm.
    fn begin(&mut self, place: &Place, pod: &Pod, uid: String) {
        let known = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        let running = pod
            .status
            .as_ref()
            .is_some_and(|status| status.phase.as_deref() == Some("Running"));
        let warm = self.ready_after.is_zero() || (running && known.is_some());
        let address = known.unwrap_or_else(|| self.free_address());
        if !warm {
            let (warmed, message) = (self.warmed.clone(), (place.clone(), uid.clone()));
            let ready_after = self.ready_after;
            self.timers.spawn(async move {
                tokio::time::sleep(ready_after).await;
                let _ = warmed.send(message);
            });
        }
        let run = Run { uid, address, warm };
        self.runs.insert(place.clone(), run);
    }

    fn free_address(&mut self) -> String {
        let taken: BTreeSet<String> = self
            .cache
            .pods
            .state()
            .iter()
            .filter_map(|pod| pod.status.as_ref()?.pod_ip.clone())
            .chain(self.runs.values().map(|run| run.address.clone()))
            .collect();
        loop {
            self.last_address = self.last_address % 64_000 + 1;
            let (high, low) = (self.last_address / 250, self.last_address % 250 + 2);
            let address = format!("10.{}.{high}.{low}", self.network);
            if !taken.contains(&address) {
                return address;
            }
        }
    }
}

fn status_of(pod: &Pod, run: &Run, ready: bool, annotation: Option<&str>) -> Value {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let before = pod.status.clone().unwrap_or_default();
    let condition = |kind: &str, value: bool| {
        let status = if value { "True" } else { "False" };
        let known = before.conditions.iter().flatten().find(|known| known.type_ == kind);
        let since = known
            .filter(|known| known.status == status)
            .map(|known| json!(known.last_transition_time));
        let mut condition = json!({
            "type": kind,
            "status": status,
            "lastTransitionTime": since.unwrap_or_else(|| json!(now)),
        });
        if !value {
            condition["reason"] = json!("ContainersNotReady");
            condition["message"] = json!(match annotation {
                Some("false") => format!("annotation {READY_ANNOTATION} is \"false\""),
                _ => "the pod is starting".to_owned(),
            });
        }
        condition
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| {
        json!({
            "name": container.name,
            "image": container.image.clone().unwrap_or_default(),
            "imageID": "",
            "ready": ready,
            "started": true,
            "restartCount": 0,
            "state": {"running": {"startedAt": now}},
        })
    });
    json!({
        "phase": "Running",
        "podIP": run.address,
        "podIPs": [{"ip": run.address}],
        "startTime": before.start_time.map_or_else(|| json!(now), |time| json!(time)),
        "conditions": [
            condition("PodScheduled", true),
            condition("Initialized", true),
            condition("ContainersReady", ready),
            condition("Ready", ready),
        ],
        "containerStatuses": containers.collect::<Vec<Value>>(),
    })
}
