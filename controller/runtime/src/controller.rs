//! The controller's loop: messages into the index, and what became dirty out to those who act.
//!
//! It decides nothing. The order within one turn matters: first the table that answers queries, then
//! everything that takes time. A change is thus answered as soon as it is known, and nothing here waits
//! for a cluster: members have queues of their own.
//!
//! Every replica keeps all of the index and the answers; plans, statuses and all other effects are the
//! leader's. Who begins to lead plans everything anew, since what was dirty before was left to another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, SelectAll};
use futures::{FutureExt, StreamExt};
use kube::{Client, ResourceExt};
use meridian_controller_index::{Dirty, DiscoveryEvent, Event, Index, KeyTask, StepEnd, WatchFailure};
use meridian_dns_core::{Saved, Sites, Snapshot};
use meridian_dns_server::{MasterFile, Table};
use meridian_federation_api as api;
use meridian_federation_core::transfer::Streams;
use meridian_federation_core::{
    ClusterHealth, ClusterName, ClusterOutcome, HealthSettings, ObjectKind, Timestamp, probe_targets,
};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::clock::now;
use crate::geo::{GeoArgs, compile_classes};
use crate::host::{HostJob, host_writer, watch_host};
use crate::keys::{KeeperConfig, keep};
use crate::lease::Leadership;
use crate::member::{AFTER_A_BUG, ConnectionSpec, Member, MemberContext, ProbeOrder, SyncJob, receive};
use crate::message::{HostEvent, MemberEvent, Message, StatusOf};
use crate::status::{StatusJob, status_of, status_writer};
use crate::transfers::{self, TransferConfig};

/// Messages handled in one turn at most, so that a flood of events cannot keep a change from the answers.
const TURN: usize = 256;
/// How often what time alone changes is looked at: the end of what is held back.
const TICK: Duration = Duration::from_secs(1);
/// Changes that a slow observer may fall behind.
const CHANGES: usize = 4096;

/// What a controller is made of.
pub(crate) struct ControllerConfig {
    /// Client of the host cluster.
    pub(crate) host: Client,
    /// This control plane's id: the mark of what is ours.
    pub(crate) control_plane: String,
    /// Periods and limits of health checks.
    pub(crate) settings: HealthSettings,
    /// What the DNS server answers from.
    pub(crate) table: Table,
    /// From what clients' places are known.
    pub(crate) geo: GeoArgs,
    /// What the table began with, and how long that may be used.
    pub(crate) saved: Option<(Saved, Duration)>,
    /// Whether effects are ours.
    pub(crate) leadership: Leadership,
    /// Where keys of zones are kept and used.
    pub(crate) keys: KeeperConfig,
    /// Where zones are given to secondaries.
    pub(crate) transfers: TransferConfig,
}

/// What changed the answers.
#[derive(Debug, Clone)]
pub(crate) enum Cause {
    /// An object's event.
    Object {
        /// The member it is in; `None` for the host.
        cluster: Option<ClusterName>,
        /// `EndpointSlice shop/web-x`, for people.
        object: String,
        /// Its version, to find out when it was written.
        resource_version: String,
        /// When the event reached the controller.
        received: Instant,
    },
    /// A verdict on a member's data path.
    Probes {
        /// The member.
        cluster: ClusterName,
        /// Whether the round that decided could connect.
        connected: bool,
    },
}

/// A change of what is answered.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// What happened in the same turn; empty when it was something else.
    pub(crate) causes: Vec<Cause>,
    /// When the new answers were in place.
    pub(crate) answered: Instant,
}

/// A running controller; dropping it ends it.
pub(crate) struct Controller {
    changes: broadcast::Sender<Arc<Change>>,
    as_of: watch::Receiver<Option<Timestamp>>,
    tasks: JoinSet<()>,
}

impl Controller {
    /// Starts it.
    pub(crate) fn start(config: ControllerConfig) -> Self {
        let (changes, _) = broadcast::channel(CHANGES);
        let (tell_as_of, as_of) = watch::channel(config.saved.as_ref().map(|(saved, _)| Timestamp(saved.as_of)));
        let mut tasks = JoinSet::new();
        tasks.spawn(Loop::new(config, changes.clone(), tell_as_of).run());
        Self { changes, as_of, tasks }
    }

    /// Every change from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }

    /// Of when the oldest part of the answers is; `None` for now.
    pub(crate) fn as_of(&self) -> watch::Receiver<Option<Timestamp>> {
        self.as_of.clone()
    }

    /// Ends only if the controller fails, with the reason.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Err(error)) => anyhow::anyhow!("the controller stopped: {error}"),
            _ => anyhow::anyhow!("the controller stopped without a reason"),
        }
    }
}

struct Loop {
    index: Index,
    table: Table,
    context: MemberContext,
    members: BTreeMap<ClusterName, Member>,
    next_connection: u64,
    sources: SelectAll<BoxStream<'static, Message>>,
    messages: mpsc::Sender<Message>,
    host_jobs: mpsc::UnboundedSender<HostJob>,
    status_jobs: mpsc::UnboundedSender<StatusJob>,
    /// The sites, for those who compile classes of them.
    sites: watch::Sender<Arc<Sites>>,
    key_tasks: watch::Sender<Vec<KeyTask>>,
    streams: watch::Sender<Streams>,
    changes: broadcast::Sender<Arc<Change>>,
    as_of: watch::Sender<Option<Timestamp>>,
    leads: bool,
    tasks: JoinSet<()>,
}

impl Loop {
    fn new(
        config: ControllerConfig,
        changes: broadcast::Sender<Arc<Change>>,
        as_of: watch::Sender<Option<Timestamp>>,
    ) -> Self {
        let kinds: Arc<[Arc<ObjectKind>]> = api::TARGET_KINDS
            .iter()
            .map(|target| Arc::new(object_kind(target)))
            .collect();
        let (messages, queue) = mpsc::channel(1024);
        // Each object has at most one write under way, so these queues hold no more than there are objects.
        let (host_jobs, host_queue) = mpsc::unbounded_channel();
        let (status_jobs, status_queue) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        watch_host(&mut tasks, &config.host, &kinds, &messages);
        let leadership = config.leadership;
        tasks.spawn(host_writer(
            config.host.clone(),
            leadership.clone(),
            host_queue,
            messages.clone(),
        ));
        tasks.spawn(status_writer(
            config.host.clone(),
            leadership.clone(),
            status_queue,
            messages.clone(),
        ));
        tasks.spawn(tell_leadership(leadership.clone(), messages.clone()));
        let (key_tasks, tasks_of_keys) = watch::channel(Vec::new());
        tasks.spawn(keep(config.keys, tasks_of_keys, messages.clone()));
        let (sites, latest_sites) = watch::channel(Arc::new(config.table.load().sites().clone()));
        if config.geo.has_files() {
            let compiling = compile_classes(config.geo, latest_sites, messages.clone());
            tasks.spawn(async move {
                if let Err(error) = compiling.await {
                    tracing::error!(%error, "reading geographic data failed");
                }
            });
        }
        let (streams, of_zones) = watch::channel(Streams::default());
        let table = config.table.clone();
        tasks.spawn(transfers::keep(
            config.transfers,
            (config.host.clone(), table),
            of_zones,
            changes.subscribe(),
            messages.clone(),
        ));
        let mut sources = SelectAll::new();
        sources.push(receive(queue));
        let mut index =
            Index::new(config.control_plane.clone(), config.settings.clone()).with_text_reader(Arc::new(MasterFile));
        if let Some((saved, max_age)) = config.saved {
            let left = (Timestamp(saved.as_of) + max_age).since(now());
            index = index.with_saved(&saved, max_age);
            let messages = messages.clone();
            tokio::spawn(async move {
                tokio::time::sleep(left).await;
                let _ = messages.send(Message::SavedExpired).await;
            });
        }
        Self {
            index,
            table: config.table,
            context: MemberContext {
                host: config.host,
                settings: config.settings,
                kinds,
                control_plane: config.control_plane,
                leadership,
            },
            members: BTreeMap::new(),
            next_connection: 1,
            sources,
            messages,
            host_jobs,
            status_jobs,
            sites,
            key_tasks,
            streams,
            changes,
            as_of,
            leads: false,
            tasks,
        }
    }

    async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                message = self.sources.next() => message,
                _ = ticks.tick() => Some(Message::Tick),
                // A task of ours that ends is a bug: end the loop, and with it the program.
                Some(ended) = self.tasks.join_next() => {
                    tracing::error!(?ended, "a task of the controller ended");
                    return;
                }
            };
            let Some(message) = message else { return };
            let mut dirty = Dirty::default();
            let mut causes = Vec::new();
            self.take(message, &mut dirty, &mut causes);
            for _ in 1..TURN {
                match self.sources.next().now_or_never() {
                    Some(Some(message)) => self.take(message, &mut dirty, &mut causes),
                    _ => break,
                }
            }
            if !dirty.is_empty() {
                self.act(dirty, causes);
            }
        }
    }

    fn take(&mut self, message: Message, dirty: &mut Dirty, causes: &mut Vec<Cause>) {
        let now = now();
        let changed = match message {
            Message::Host(HostEvent::Clusters(event)) => {
                let cause = object_of(&event, None, "Cluster", Instant::now());
                let changed = self.index.clusters(event, now);
                causes.extend(cause.filter(|_| changed.sites));
                changed
            }
            Message::Host(HostEvent::Zones(event)) => self.index.zones(event),
            Message::Host(HostEvent::Routes(event)) => self.index.routes(event),
            Message::Host(HostEvent::Policies(event)) => self.index.policies(event),
            Message::Host(HostEvent::Federated(kind, event)) => self.index.federated(&kind, event),
            Message::Host(HostEvent::WatchFailed { what, failure }) => {
                match failure {
                    WatchFailure::NotServed => {
                        tracing::warn!(what, "not served by the host; apply the output of `meridian crd` to it");
                    }
                    WatchFailure::Forbidden(reason) | WatchFailure::Broken(reason) => {
                        tracing::warn!(
                            what,
                            reason,
                            "cannot be watched on the host; what is known stays in use"
                        );
                    }
                }
                Dirty::default()
            }
            Message::Member {
                cluster,
                connection,
                event,
            } => {
                if self
                    .members
                    .get(&cluster)
                    .is_none_or(|member| member.connection != connection)
                {
                    return;
                }
                self.take_member(&cluster, event, causes)
            }
            Message::StepEnded { key, cluster, end } => {
                let (changed, retry) = self.index.step_ended(&key, &cluster, end, now);
                if let Some(wait) = retry {
                    let messages = self.messages.clone();
                    // Owned by the runtime and bounded by the back-off: one per failed step.
                    tokio::spawn(async move {
                        tokio::time::sleep(wait).await;
                        let _ = messages.send(Message::PlanAgain(key)).await;
                    });
                }
                changed
            }
            Message::HostWriteEnded { key, end } => self.index.host_write_ended(&key, end),
            Message::Classes(classes) => {
                let next = Snapshot::clone(&self.table.load()).with_geo(classes);
                self.table.store(next);
                return;
            }
            Message::PlanAgain(key) => Dirty {
                federated: BTreeSet::from([key]),
                ..Dirty::default()
            },
            Message::Reconnect(cluster) => {
                self.members.remove(&cluster);
                let mut dirty = self.index.connection_replaced(&cluster);
                dirty.clusters.insert(cluster);
                dirty
            }
            Message::Tick => self.index.tick(now),
            Message::SavedExpired => Dirty {
                zones: true,
                ..Dirty::default()
            },
            Message::Leads(leads) => {
                self.leads = leads;
                if leads {
                    self.index.everything()
                } else {
                    Dirty::default()
                }
            }
            Message::Keys(event) => self.index.keys(event),
            Message::Streams(states) => self.index.stream_states(states),
            Message::StatusAgain(of) => {
                self.write_status(of);
                return;
            }
        };
        dirty.merge(changed);
    }

    fn take_member(&mut self, cluster: &ClusterName, event: MemberEvent, causes: &mut Vec<Cause>) -> Dirty {
        let now = now();
        match event {
            MemberEvent::Discovery(event, received) => {
                let cause = cause_of(cluster, &event, received);
                let changed = self.index.discovery(cluster, event);
                if !changed.services.is_empty() {
                    causes.extend(cause);
                }
                changed
            }
            MemberEvent::TaskEnded(reason) => {
                tracing::error!(%cluster, reason, "a task of the connection ended; it is made anew");
                let (messages, cluster) = (self.messages.clone(), cluster.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(AFTER_A_BUG).await;
                    let _ = messages.send(Message::Reconnect(cluster)).await;
                });
                Dirty::default()
            }
            MemberEvent::Managed(kind, event) => self.index.managed(cluster, &kind, event),
            MemberEvent::DiscoveryFailed(kind, failure) => {
                tracing::debug!(%cluster, ?kind, ?failure, "cannot be watched");
                self.index.watch_failed(cluster, kind, &failure, now)
            }
            MemberEvent::ManagedFailed(kind, failure) => {
                tracing::debug!(%cluster, kind = kind.kind, ?failure, "cannot be watched");
                self.index.managed_watch_failed(cluster, &kind, &failure, now)
            }
            MemberEvent::ApiSlow => self.index.api_slow(cluster),
            MemberEvent::Api(result) => {
                let was_reachable = self.index.reachable(cluster);
                let changed = self.index.api_result(cluster, result, now);
                self.tell_reachability(cluster, was_reachable);
                changed
            }
            MemberEvent::Identity(found) => {
                let was_believed = self.index.believes(cluster);
                let changed = self.index.identity(cluster, found, now);
                let believed = self.index.believes(cluster);
                if was_believed && !believed {
                    tracing::warn!(%cluster, "another cluster answers under this address; nothing it says is believed");
                } else if believed && !was_believed {
                    self.restart(cluster);
                }
                changed
            }
            MemberEvent::Round(connected) => {
                let changed = self.index.round_result(cluster, connected, now);
                if let Some(connected) = connected.filter(|_| changed.sites) {
                    causes.push(Cause::Probes {
                        cluster: cluster.clone(),
                        connected,
                    });
                }
                changed
            }
        }
    }

    fn tell_reachability(&self, cluster: &ClusterName, before: bool) {
        match (before, self.index.reachable(cluster)) {
            (true, false) => {
                tracing::warn!(%cluster, "API does not answer; its names stay as they are while its load balancers do");
            }
            (false, true) => {
                tracing::info!(%cluster, "API answers again");
                self.restart(cluster);
            }
            _ => {}
        }
    }

    fn restart(&self, cluster: &ClusterName) {
        if let Some(member) = self.members.get(cluster) {
            member.restart_watches();
        }
    }

    fn act(&mut self, mut dirty: Dirty, causes: Vec<Cause>) {
        let previous = self.table.load();
        let time = now();
        let (next, deltas) = self.index.snapshot(&previous, &dirty, time);
        let as_of = Some(self.index.as_of(time)).filter(|as_of| *as_of != time);
        self.as_of
            .send_if_modified(|known| std::mem::replace(known, as_of) != as_of);
        if let Some(next) = next {
            if dirty.sites {
                self.sites.send_replace(Arc::new(next.sites().clone()));
            }
            self.table.store(next);
            tracing::debug!(
                names = deltas.iter().map(|delta| delta.changes.len()).sum::<usize>(),
                dirty.sites,
                "answers changed"
            );
            let change = Change {
                causes,
                answered: Instant::now(),
            };
            // Nobody may be listening.
            let _ = self.changes.send(Arc::new(change));
        }
        if dirty.zones {
            let streams = self.index.streams();
            self.streams.send_if_modified(|before| {
                let differs = before != streams;
                before.clone_from(streams);
                differs
            });
        }
        // The longest TTL of a zone may come from a name.
        if dirty.zones || !dirty.services.is_empty() {
            let tasks = self.index.key_tasks(&self.table.load());
            self.key_tasks.send_if_modified(|before| {
                let differs = *before != tasks;
                *before = tasks;
                differs
            });
        }
        if dirty.sites || !dirty.clusters.is_empty() {
            dirty.merge(self.connect());
        }
        dirty.federated.extend(self.index.federated_services(&dirty.services));
        for cluster in &dirty.probes {
            self.order_probes(cluster);
        }
        if self.leads {
            self.effect(dirty);
        }
    }

    /// What the leader alone does.
    fn effect(&mut self, mut dirty: Dirty) {
        for planned in self.index.plan(std::mem::take(&mut dirty.federated), now()) {
            tracing::debug!(key = %planned.key, plan = %planned.plan, "planned");
            if let Some(write) = planned.host {
                let object = self.index.federated_object(&planned.key);
                let previous = object.and_then(|object| object.status.clone()).unwrap_or_default();
                let _ = self.host_jobs.send(HostJob {
                    key: planned.key.clone(),
                    write,
                    previous,
                });
            }
            for (cluster, step) in planned.steps {
                let given = self.members.get(&cluster).is_some_and(|member| {
                    member.give(SyncJob {
                        key: planned.key.clone(),
                        step,
                    })
                });
                if !given {
                    let message = Message::StepEnded {
                        key: planned.key.clone(),
                        cluster,
                        end: StepEnd::Failed(ClusterOutcome::TimedOut),
                    };
                    self.take(message, &mut Dirty::default(), &mut Vec::new());
                }
            }
        }
        self.write_statuses(&dirty);
    }

    /// Makes connections what the Cluster objects say.
    fn connect(&mut self) -> Dirty {
        let mut dirty = Dirty::default();
        let wanted: BTreeMap<ClusterName, ConnectionSpec> = self
            .index
            .cluster_objects()
            .map(|(name, object)| {
                let spec = &object.spec;
                let uid = spec.uid.clone().unwrap_or_default();
                (
                    name.clone(),
                    ConnectionSpec {
                        secret: spec.kubeconfig_secret_ref.clone(),
                        uid,
                    },
                )
            })
            .collect();
        self.members.retain(|name, _| wanted.contains_key(name));
        for (name, spec) in wanted {
            if self.members.get(&name).is_some_and(|member| member.spec == spec) {
                continue;
            }
            let (member, messages) = Member::connect(&self.context, &name, self.next_connection, spec);
            self.next_connection += 1;
            self.sources.push(messages);
            dirty.probes.insert(name.clone());
            if self.members.insert(name.clone(), member).is_some() {
                dirty.merge(self.index.connection_replaced(&name));
            }
        }
        dirty
    }

    fn order_probes(&self, cluster: &ClusterName) {
        let Some(member) = self.members.get(cluster) else {
            return;
        };
        let wanted = self
            .index
            .health()
            .get(cluster)
            .is_some_and(ClusterHealth::wants_rounds);
        let limit = self.context.settings.max_targets;
        let targets = if wanted {
            probe_targets(self.index.world(), cluster, limit)
        } else {
            Vec::new()
        };
        member.order_probes(ProbeOrder { wanted, targets });
    }

    fn write_statuses(&self, dirty: &Dirty) {
        for cluster in &dirty.clusters {
            self.write_status(StatusOf::Cluster(cluster.clone()));
        }
        if dirty.zones || !dirty.services.is_empty() {
            for zone in self.index.zone_objects() {
                self.write_status(StatusOf::Zone(zone.metadata.name.clone().unwrap_or_default()));
            }
        }
        for key in &dirty.policies {
            self.write_status(StatusOf::Policy(key.clone()));
        }
        for route in dirty.services.iter().flat_map(|key| self.index.routes_of(key)) {
            let metadata = &route.metadata;
            self.write_status(StatusOf::Route {
                namespace: metadata.namespace.clone().unwrap_or_default(),
                name: metadata.name.clone().unwrap_or_default(),
            });
        }
    }

    fn write_status(&self, of: StatusOf) {
        if !self.leads {
            return;
        }
        if let Some(job) = status_of(&self.index, &self.table.load(), of, now()) {
            let _ = self.status_jobs.send(job);
        }
    }
}

/// Tells the loop when this replica begins and ceases to lead.
async fn tell_leadership(mut leadership: Leadership, messages: mpsc::Sender<Message>) {
    let mut leads = false;
    loop {
        leads = leadership.differs_from(leads).await;
        if messages.send(Message::Leads(leads)).await.is_err() {
            return;
        }
    }
}

/// A target kind as the core knows it.
pub(crate) fn object_kind(target: &api::TargetKind) -> ObjectKind {
    ObjectKind {
        group: target.group.to_owned(),
        version: target.version.to_owned(),
        kind: target.kind.to_owned(),
        plural: target.plural.to_owned(),
        namespaced: target.namespaced,
    }
}

fn cause_of(cluster: &ClusterName, event: &DiscoveryEvent, received: Instant) -> Option<Cause> {
    let cluster = Some(cluster);
    match event {
        DiscoveryEvent::Services(event) => object_of(event, cluster, "Service", received),
        DiscoveryEvent::Slices(event) => object_of(event, cluster, "EndpointSlice", received),
        DiscoveryEvent::Nodes(event) => object_of(event, cluster, "Node", received),
    }
}

/// The object of an event; a list names none.
fn object_of<K: ResourceExt>(
    event: &Event<K>,
    cluster: Option<&ClusterName>,
    kind: &str,
    received: Instant,
) -> Option<Cause> {
    let (Event::Apply(object) | Event::Delete(object)) = event else {
        return None;
    };
    let namespace = object
        .namespace()
        .map(|namespace| format!("{namespace}/"))
        .unwrap_or_default();
    Some(Cause::Object {
        cluster: cluster.cloned(),
        object: format!("{kind} {namespace}{}", object.name_any()),
        resource_version: object.resource_version().unwrap_or_default(),
        received,
    })
}
