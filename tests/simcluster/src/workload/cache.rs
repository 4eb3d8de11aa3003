//! What the workload side knows of its cluster: one watch per kind, shared by all parts.
//!
//! What must stay true: a part that was woken finds in the cache at least the change it was woken
//! for, and no part acts before every kind has been listed once. A part that fell behind is told to
//! look at everything instead of being fed without bound.
//!
//! Refused: a set of watches per part; each part would see a different cluster for a moment.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::future::ready;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Endpoints, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::objects::{Effect, Objects, Place, place_of};
use super::timers;

/// Changes a part may be behind before it has to look at everything.
const BEHIND: usize = 1_024;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// The object of this kind at this place, or something it controls.
    Of(Cow<'static, str>, Place),
    /// Anything may have changed.
    Everything,
}

impl Change {
    pub(crate) fn of<K: Resource<DynamicType = ()>>(place: &Place) -> Change {
        Change::Of(K::kind(&()), place.clone())
    }
}

/// The cached objects.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) deployments: Arc<Objects<Deployment>>,
    pub(crate) replica_sets: Arc<Objects<ReplicaSet>>,
    pub(crate) stateful_sets: Arc<Objects<StatefulSet>>,
    pub(crate) daemon_sets: Arc<Objects<DaemonSet>>,
    pub(crate) jobs: Arc<Objects<Job>>,
    pub(crate) pods: Arc<Objects<Pod>>,
    pub(crate) services: Arc<Objects<Service>>,
    pub(crate) slices: Arc<Objects<EndpointSlice>>,
    pub(crate) endpoints: Arc<Objects<Endpoints>>,
    pub(crate) nodes: Arc<Objects<Node>>,
    changes: broadcast::Sender<Change>,
    alarms: mpsc::UnboundedSender<(Instant, Change)>,
    /// How many kinds have not been listed yet.
    unlisted: watch::Receiver<usize>,
}

/// What a watch needs.
struct Watches<'a> {
    client: &'a Client,
    tasks: &'a mut JoinSet<()>,
    changes: broadcast::Sender<Change>,
    unlisted: watch::Sender<usize>,
}

impl Cache {
    /// Starts the watches; that of the nodes once `nodes` is done, so that the first look sees them.
    pub(crate) fn start(
        client: &Client,
        tasks: &mut JoinSet<()>,
        nodes: impl Future<Output = ()> + Send + 'static,
    ) -> Cache {
        let (changes, _) = broadcast::channel(BEHIND);
        // The timers take one alarm per object, and take it at once.
        let (alarms, asked) = mpsc::unbounded_channel();
        tasks.spawn(timers::run(asked, changes.clone()));
        let (unlisted, all_listed) = watch::channel(0);
        let mut watches = Watches {
            client,
            tasks,
            changes: changes.clone(),
            unlisted,
        };
        Cache {
            deployments: watches.follow(ready(()), wakes_controller),
            replica_sets: watches.follow(ready(()), wakes_controller),
            stateful_sets: watches.follow(ready(()), wakes_controller),
            daemon_sets: watches.follow(ready(()), wakes_controller),
            jobs: watches.follow(ready(()), wakes_controller),
            pods: watches.follow(ready(()), wakes_controller),
            services: watches.follow(ready(()), wakes_controller),
            slices: watches.follow(ready(()), wakes_controller),
            endpoints: watches.follow(ready(()), wakes_service),
            nodes: watches.follow(nodes, wakes_everybody),
            changes,
            alarms,
            unlisted: all_listed,
        }
    }

    /// What changes from now on, once every kind has been listed.
    pub(crate) async fn changes(&self) -> Changes {
        let mut unlisted = self.unlisted.clone();
        if unlisted.wait_for(|kinds| *kinds == 0).await.is_err() {
            // The watches are gone, and this part goes with them.
            std::future::pending::<()>().await;
        }
        Changes {
            receiver: self.changes.subscribe(),
            first: true,
        }
    }

    /// Makes a change be looked at later, unless that happens anyway before.
    pub(crate) fn look_again(&self, at: Instant, change: Change) {
        // Nobody to take it means that everything is about to end.
        let _ = self.alarms.send((at, change));
    }
}

impl Watches<'_> {
    fn follow<K>(
        &mut self,
        first: impl Future<Output = ()> + Send + 'static,
        wakes: fn(Option<&K>, Option<&K>) -> Vec<Change>,
    ) -> Arc<Objects<K>>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let objects = Arc::new(Objects::default());
        let (changes, followed, unlisted) = (self.changes.clone(), objects.clone(), self.unlisted.clone());
        unlisted.send_modify(|kinds| *kinds += 1);
        let mut listed = false;
        let events = watcher(Api::<K>::all(self.client.clone()), watcher::Config::default());
        self.tasks.spawn(async move {
            first.await;
            let mut events = std::pin::pin!(events.default_backoff());
            while let Some(event) = events.next().await {
                let woken = match event.map(|event| followed.apply(event)) {
                    Ok(Effect::None) => continue,
                    Ok(Effect::One(before, after)) => wakes(before.as_deref(), after.as_deref()),
                    Ok(Effect::All) => {
                        if !std::mem::replace(&mut listed, true) {
                            unlisted.send_modify(|kinds| *kinds -= 1);
                        }
                        vec![Change::Everything]
                    }
                    Err(error) => {
                        tracing::debug!(kind = %K::kind(&()), %error, "watch failed, trying again");
                        continue;
                    }
                };
                for change in woken {
                    // No receiver is no fault: the parts look at everything when they start.
                    let _ = changes.send(change);
                }
            }
        });
        objects
    }
}

/// The object itself, and what controls or controlled it.
fn wakes_controller<K: Resource<DynamicType = ()>>(before: Option<&K>, after: Option<&K>) -> Vec<Change> {
    let mut changes = BTreeSet::new();
    for object in [before, after].into_iter().flatten() {
        changes.insert(Change::of::<K>(&place_of(object)));
        for owner in object.owner_references() {
            if owner.controller == Some(true) {
                let place = (object.namespace().unwrap_or_default(), owner.name.clone());
                changes.insert(Change::Of(owner.kind.clone().into(), place));
            }
        }
    }
    changes.into_iter().collect()
}

/// Endpoints have no owner; they belong to the Service of the same name.
fn wakes_service(before: Option<&Endpoints>, after: Option<&Endpoints>) -> Vec<Change> {
    let found = after
        .or(before)
        .map(|endpoints| Change::of::<Service>(&place_of(endpoints)));
    found.into_iter().collect()
}

/// What a node says of itself concerns its own part only, what others say of it concerns all.
fn wakes_everybody(before: Option<&Node>, after: Option<&Node>) -> Vec<Change> {
    let told = |node: &Node| {
        let meta = &node.metadata;
        (node.spec.clone(), meta.labels.clone(), meta.annotations.clone())
    };
    match after {
        Some(node) if before.map(told) == Some(told(node)) => vec![Change::of::<Node>(&place_of(node))],
        _ => vec![Change::Everything],
    }
}

/// Changes as one part hears of them.
#[derive(Debug)]
pub(crate) struct Changes {
    receiver: broadcast::Receiver<Change>,
    /// Whether everything is still to be looked at for the first time.
    first: bool,
}

/// Changes that came together.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    everything: bool,
    places: BTreeMap<Cow<'static, str>, BTreeSet<Place>>,
}

impl Changes {
    /// The next change, and all that are there already.
    pub(crate) async fn next(&mut self) -> Changed {
        let mut changed = Changed::default();
        if std::mem::take(&mut self.first) {
            changed.everything = true;
        } else {
            match self.receiver.recv().await {
                Ok(change) => changed.add(change),
                Err(broadcast::error::RecvError::Lagged(_)) => changed.everything = true,
                // The watches are gone, and this part goes with them.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
        loop {
            match self.receiver.try_recv() {
                Ok(change) => changed.add(change),
                Err(broadcast::error::TryRecvError::Lagged(_)) => changed.everything = true,
                Err(_) => return changed,
            }
        }
    }
}

impl Changed {
    fn add(&mut self, change: Change) {
        match change {
            Change::Everything => self.everything = true,
            Change::Of(kind, place) => {
                self.places.entry(kind).or_default().insert(place);
            }
        }
    }

    /// The places of a kind to look at; `all` of them, when anything may have changed.
    pub(crate) fn of<K: Resource<DynamicType = ()>>(&self, all: impl FnOnce() -> BTreeSet<Place>) -> BTreeSet<Place> {
        match self.everything {
            true => all(),
            false => self.places.get(&K::kind(&())).cloned().unwrap_or_default(),
        }
    }
}
