//! What the workload side knows of its cluster: one watch per kind, shared by all parts.
//!
//! What must stay true: a part that was woken finds in the cache at least the change it was woken
//! for. A part that fell behind is told to look at everything instead of being fed without bound.
//!
//! Refused: a set of watches per part; each part would see a different cluster for a moment.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;

/// Changes a part may be behind before it has to look at everything.
const BEHIND: usize = 1_024;

/// How long after a failed request everybody looks again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Namespace and name.
pub(crate) type Place = (String, String);

/// Where something changed.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Deployment(Place),
    /// The pod, and the Deployment that owns it.
    Pod(Place, Option<Place>),
    Service(Place),
    /// The Service an EndpointSlice belongs to.
    Slice(Place),
    /// Anything may have changed.
    Everything,
}

/// The cached objects.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) deployments: Store<Deployment>,
    pub(crate) pods: Store<Pod>,
    pub(crate) services: Store<Service>,
    pub(crate) slices: Store<EndpointSlice>,
    pub(crate) nodes: Store<Node>,
    changes: broadcast::Sender<Change>,
    /// Wakes the task that makes everybody look again.
    again: Arc<Notify>,
}

impl Cache {
    /// Starts the watches.
    pub(crate) fn start(client: &Client, tasks: &mut JoinSet<()>) -> Cache {
        let (changes, _) = broadcast::channel(BEHIND);
        let again = Arc::new(Notify::new());
        tasks.spawn(look_again(again.clone(), changes.clone()));
        Cache {
            deployments: follow(client, tasks, &changes, |deployment: &Deployment| {
                Change::Deployment(place_of(deployment))
            }),
            pods: follow(client, tasks, &changes, |pod: &Pod| {
                let owner = pod.owner_references().iter().find(|owner| owner.kind == "Deployment");
                let owner = owner.map(|owner| (pod.namespace().unwrap_or_default(), owner.name.clone()));
                Change::Pod(place_of(pod), owner)
            }),
            services: follow(client, tasks, &changes, |service: &Service| {
                Change::Service(place_of(service))
            }),
            slices: follow(client, tasks, &changes, |slice: &EndpointSlice| {
                let service = slice.labels().get("kubernetes.io/service-name").cloned();
                Change::Slice((slice.namespace().unwrap_or_default(), service.unwrap_or_default()))
            }),
            nodes: follow(client, tasks, &changes, |_: &Node| Change::Everything),
            changes,
            again,
        }
    }

    /// Logs a failed request, and makes everybody look at everything again after a while.
    ///
    /// When somebody else was faster, a watch event tells the rest and nothing is done here.
    pub(crate) fn note(&self, what: &str, namespace: &str, name: &str, result: Result<(), kube::Error>) {
        match result {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                tracing::debug!(what, namespace, name, reason = %status.reason, "somebody was faster");
            }
            Err(error) => {
                tracing::warn!(what, namespace, name, %error, "request failed");
                self.again.notify_one();
            }
        }
    }

    /// What changes from now on.
    pub(crate) fn changes(&self) -> Changes {
        Changes {
            receiver: self.changes.subscribe(),
        }
    }

    pub(crate) fn service(&self, (namespace, name): &Place) -> Option<Arc<Service>> {
        self.services.get(&ObjectRef::new(name).within(namespace))
    }

    /// The pods of a namespace that have all these labels, by name.
    pub(crate) fn selected(&self, namespace: &str, selector: &BTreeMap<String, String>) -> Vec<Arc<Pod>> {
        let mut pods = self.pods.state_filter(|pod| {
            pod.metadata.namespace.as_deref() == Some(namespace)
                && selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value))
        });
        pods.sort_by_key(|pod| pod.name_any());
        pods
    }

    /// The zone of a node.
    pub(crate) fn zone(&self, node: &str) -> Option<String> {
        let node = self.nodes.get(&ObjectRef::new(node))?;
        node.labels().get("topology.kubernetes.io/zone").cloned()
    }
}

/// Changes as one part hears of them.
#[derive(Debug)]
pub(crate) struct Changes {
    receiver: broadcast::Receiver<Change>,
}

impl Changes {
    /// The next change, and all that are there already.
    pub(crate) async fn next(&mut self) -> Vec<Change> {
        let mut changes = vec![match self.receiver.recv().await {
            Ok(change) => change,
            Err(broadcast::error::RecvError::Lagged(_)) => Change::Everything,
            // The watches are gone, and this part goes with them.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }];
        loop {
            match self.receiver.try_recv() {
                Ok(change) => changes.push(change),
                Err(broadcast::error::TryRecvError::Lagged(_)) => changes.push(Change::Everything),
                Err(_) => return changes,
            }
        }
    }
}

/// Where an object is.
pub(crate) fn place_of(object: &impl ResourceExt) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Whether a pod's Ready condition is true.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Any number of failures within the delay is one look.
async fn look_again(again: Arc<Notify>, changes: broadcast::Sender<Change>) {
    loop {
        again.notified().await;
        tokio::time::sleep(RETRY_AFTER).await;
        let _ = changes.send(Change::Everything);
    }
}

fn follow<K>(
    client: &Client,
    tasks: &mut JoinSet<()>,
    changes: &broadcast::Sender<Change>,
    change: fn(&K) -> Change,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Hash + Eq,
{
    let (store, writer) = reflector::store();
    let changes = changes.clone();
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default());
    let events = events.default_backoff().reflect(writer);
    tasks.spawn(async move {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let change = match event {
                Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object)) => change(&object),
                Ok(watcher::Event::InitDone) => Change::Everything,
                Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => continue,
                Err(error) => {
                    tracing::debug!(kind = %K::kind(&()), %error, "watch failed, trying again");
                    continue;
                }
            };
            // No receiver is no fault: the parts subscribe before their first await.
            let _ = changes.send(change);
        }
    });
    store
}
