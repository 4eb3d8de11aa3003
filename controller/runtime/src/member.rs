//! The connection to one member: its watches, its health requests, its probes and its worker.
//!
//! All tasks of a member belong to its [`Member`] and end with it. Its messages go through a bounded queue
//! of its own, so that a cluster that talks much slows down only its own watches.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Node, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::{Api, Client};
use meridian_controller_apply::{
    IdentityReport, MemberClient, REQUEST_LIMIT, StepResult, carry_out, describe, resource_of,
};
use meridian_controller_index::{DiscoveryEvent, Event, StepEnd, WatchFailure};
use meridian_federation_api::KubeconfigSecretRef;
use meridian_federation_core::names::{EXPORT_LABEL, MANAGED_LABEL};
use meridian_federation_core::{
    ClusterName, ClusterOutcome, DiscoveryKind, FederatedKey, HealthSettings, ObjectKind, Step,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::lease::Leadership;
use crate::message::{MemberEvent, Message};
use crate::watch::watch as watch_objects;

/// Messages of one member that may wait: a list of a few thousand objects is one message, so this is some
/// hundred milliseconds of a very busy cluster.
const QUEUE: usize = 1024;
/// Steps that may wait for a member. A step waits at most once per object, so more than this many objects
/// are dirty at once only at a start; what does not fit is planned again later.
const STEPS: usize = 8192;
/// Steps carried out side by side in one member.
const STEPS_AT_ONCE: usize = 8;
/// Wait before something that ended by itself, which is a bug, is started again.
pub(crate) const AFTER_A_BUG: Duration = Duration::from_secs(5);
/// Wait between attempts to get credentials.
const CREDENTIALS_RETRY: Duration = Duration::from_secs(2);

/// What a connection is made of; a change makes a new connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionSpec {
    pub(crate) secret: KubeconfigSecretRef,
    pub(crate) uid: String,
}

/// Whether rounds of probes are wanted, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ProbeOrder {
    pub(crate) wanted: bool,
    pub(crate) targets: Vec<(IpAddr, u16)>,
}

/// A step for one member.
#[derive(Debug)]
pub(crate) struct SyncJob {
    pub(crate) key: FederatedKey,
    pub(crate) step: Step,
}

/// A connected member. Dropping it ends its tasks.
pub(crate) struct Member {
    pub(crate) connection: u64,
    pub(crate) spec: ConnectionSpec,
    probes: watch::Sender<ProbeOrder>,
    restarts: watch::Sender<u64>,
    steps: mpsc::Sender<SyncJob>,
    /// Owns all tasks of the member.
    _supervisor: JoinSet<()>,
}

/// What all connections share.
#[derive(Clone)]
pub(crate) struct MemberContext {
    pub(crate) host: Client,
    pub(crate) settings: HealthSettings,
    pub(crate) kinds: Arc<[Arc<ObjectKind>]>,
    pub(crate) control_plane: String,
    pub(crate) leadership: Leadership,
}

impl Member {
    /// Starts the connection with that number; its messages come out of the stream.
    pub(crate) fn connect(
        context: &MemberContext,
        cluster: &ClusterName,
        connection: u64,
        spec: ConnectionSpec,
    ) -> (Self, BoxStream<'static, Message>) {
        let (messages, queue) = mpsc::channel(QUEUE);
        let (probes, probe_orders) = watch::channel(ProbeOrder::default());
        let (restarts, restart_orders) = watch::channel(0);
        let (steps, step_queue) = mpsc::channel(STEPS);
        let (client, clients) = watch::channel(None);
        let reporter = Reporter {
            cluster: cluster.clone(),
            connection,
            messages,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(hold(
            context.clone(),
            spec.clone(),
            reporter.clone(),
            client,
            restart_orders,
        ));
        tasks.spawn(probe(context.settings.clone(), reporter.clone(), probe_orders));
        tasks.spawn(work(
            context.control_plane.clone(),
            context.leadership.clone(),
            reporter.clone(),
            clients,
            step_queue,
        ));
        let mut supervisor = JoinSet::new();
        supervisor.spawn(async move {
            let ended = tasks.join_next().await;
            reporter.tell(MemberEvent::TaskEnded(format!("{ended:?}"))).await;
        });
        (
            Self {
                connection,
                spec,
                probes,
                restarts,
                steps,
                _supervisor: supervisor,
            },
            receive(queue),
        )
    }

    /// Tells the prober what is wanted.
    pub(crate) fn order_probes(&self, order: ProbeOrder) {
        self.probes.send_if_modified(|current| {
            let differs = *current != order;
            *current = order;
            differs
        });
    }

    /// Lists everything anew: the API is back, and its old watches may hang.
    pub(crate) fn restart_watches(&self) {
        self.restarts.send_modify(|count| *count += 1);
    }

    /// Gives the worker a step; false if its queue is full.
    pub(crate) fn give(&self, job: SyncJob) -> bool {
        self.steps.try_send(job).is_ok()
    }
}

/// A channel's receiver as a stream.
pub(crate) fn receive<T: Send + 'static>(queue: mpsc::Receiver<T>) -> BoxStream<'static, T> {
    futures::stream::unfold(queue, |mut queue| async move {
        queue.recv().await.map(|message| (message, queue))
    })
    .boxed()
}

/// The same for a channel without a bound.
pub(crate) fn receive_unbounded<T: Send + 'static>(queue: mpsc::UnboundedReceiver<T>) -> BoxStream<'static, T> {
    futures::stream::unfold(queue, |mut queue| async move {
        queue.recv().await.map(|message| (message, queue))
    })
    .boxed()
}

#[derive(Clone)]
struct Reporter {
    cluster: ClusterName,
    connection: u64,
    messages: mpsc::Sender<Message>,
}

impl Reporter {
    fn message(&self, event: MemberEvent) -> Message {
        Message::Member {
            cluster: self.cluster.clone(),
            connection: self.connection,
            event,
        }
    }

    async fn tell(&self, event: MemberEvent) {
        // The loop is gone only when the program ends.
        let _ = self.messages.send(self.message(event)).await;
    }

    async fn ended(&self, key: FederatedKey, end: StepEnd) {
        let _ = self
            .messages
            .send(Message::StepEnded {
                key,
                cluster: self.cluster.clone(),
                end,
            })
            .await;
    }
}

/// Gets credentials, then keeps health requests and watches going.
async fn hold(
    context: MemberContext,
    spec: ConnectionSpec,
    reporter: Reporter,
    clients: watch::Sender<Option<MemberClient>>,
    mut restarts: watch::Receiver<u64>,
) {
    let member = loop {
        match credentials(&context.host, &spec, &reporter).await {
            Ok(member) => break member,
            Err(reason) => {
                reporter.tell(MemberEvent::Api(Err(reason))).await;
                tokio::time::sleep(CREDENTIALS_RETRY).await;
            }
        }
    };
    clients.send_replace(Some(member.clone()));
    let mut health = JoinSet::new();
    health.spawn(ask(member.clone(), context.settings.clone(), reporter.clone()));
    loop {
        let mut watches = JoinSet::new();
        start_watches(&mut watches, &member.client(), &context.kinds, &reporter);
        tokio::select! {
            changed = restarts.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(ended) = watches.join_next() => {
                tracing::error!(cluster = %reporter.cluster, ?ended, "a watch ended by itself; all start again");
                tokio::time::sleep(AFTER_A_BUG).await;
            }
            // The supervisor sees this task end.
            Some(_) = health.join_next() => return,
        }
    }
}

async fn credentials(host: &Client, spec: &ConnectionSpec, reporter: &Reporter) -> Result<MemberClient, String> {
    let identity = reporter.clone();
    let report = Arc::new(move |found: Result<(), meridian_controller_apply::WrongCluster>| {
        // A full queue loses this report; the health request tells it again.
        let _ = identity
            .messages
            .try_send(identity.message(MemberEvent::Identity(found.map_err(|wrong| wrong.found))));
    });
    member_client(host, spec, report).await
}

/// A client for a member, from its Secret on the host.
pub(crate) async fn member_client(
    host: &Client,
    spec: &ConnectionSpec,
    report: IdentityReport,
) -> Result<MemberClient, String> {
    let KubeconfigSecretRef { namespace, name, key } = &spec.secret;
    let secrets = Api::<Secret>::namespaced(host.clone(), namespace);
    let secret = timeout(REQUEST_LIMIT, secrets.get(name))
        .await
        .map_err(|_| format!("Secret {namespace}/{name} could not be read in time"))?
        .map_err(|error| format!("Secret {namespace}/{name} cannot be read: {}", describe(&error)))?;
    let bytes = secret
        .data
        .as_ref()
        .and_then(|data| data.get(key))
        .ok_or_else(|| format!("Secret {namespace}/{name} has no key {key}"))?;
    let text =
        std::str::from_utf8(&bytes.0).map_err(|_| format!("key {key} of Secret {namespace}/{name} is not text"))?;
    MemberClient::new(text, &spec.uid, report)
        .await
        .map_err(|error| error.to_string())
}

/// Asks the API who it is, for ever: health and identity in one request.
async fn ask(member: MemberClient, settings: HealthSettings, reporter: Reporter) {
    let mut ticks = tokio::time::interval(settings.api_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut check = pin!(timeout(settings.api_limit, member.check()));
        let early = timeout(settings.api_slow, check.as_mut()).await;
        let result = match early {
            Ok(result) => result,
            Err(_) => {
                reporter.tell(MemberEvent::ApiSlow).await;
                check.await
            }
        };
        let result = match result {
            Err(_) => Err(format!("no answer within {} ms", settings.api_limit.as_millis())),
            // The wrong cluster answers well; that it is the wrong one was reported as such.
            Ok(Err(error)) if meridian_controller_apply::is_wrong_cluster(&error) => Ok(()),
            Ok(result) => result.map_err(|error| describe(&error)),
        };
        reporter.tell(MemberEvent::Api(result)).await;
    }
}

fn start_watches(watches: &mut JoinSet<()>, client: &Client, kinds: &[Arc<ObjectKind>], reporter: &Reporter) {
    let export = format!("{EXPORT_LABEL}=true");
    let discovery = |kind: DiscoveryKind| {
        let reporter = reporter.clone();
        move |event: Result<DiscoveryEvent, WatchFailure>| {
            let (reporter, received) = (reporter.clone(), Instant::now());
            async move {
                match event {
                    Ok(event) => reporter.tell(MemberEvent::Discovery(event, received)).await,
                    Err(failure) => reporter.tell(MemberEvent::DiscoveryFailed(kind, failure)).await,
                }
            }
        }
    };
    let services = watch_objects(Api::<Service>::all(client.clone()), &export);
    watches.spawn(forward(
        services,
        DiscoveryEvent::Services,
        discovery(DiscoveryKind::Services),
    ));
    let slices = watch_objects(Api::<EndpointSlice>::all(client.clone()), &export);
    watches.spawn(forward(
        slices,
        DiscoveryEvent::Slices,
        discovery(DiscoveryKind::Slices),
    ));
    let nodes = watch_objects(Api::<PartialObjectMeta<Node>>::all(client.clone()), "");
    watches.spawn(forward(nodes, DiscoveryEvent::Nodes, discovery(DiscoveryKind::Nodes)));
    for kind in kinds {
        let (reporter, kind) = (reporter.clone(), kind.clone());
        let objects = watch_objects(
            Api::<DynamicObject>::all_with(client.clone(), &resource_of(&kind)),
            MANAGED_LABEL,
        );
        watches.spawn(forward(objects, std::convert::identity, move |event| {
            let (reporter, kind) = (reporter.clone(), kind.clone());
            async move {
                match event {
                    Ok(event) => reporter.tell(MemberEvent::Managed(kind, event)).await,
                    Err(failure) => reporter.tell(MemberEvent::ManagedFailed(kind, failure)).await,
                }
            }
        }));
    }
}

async fn forward<K, T, F>(
    events: impl Stream<Item = Result<Event<K>, WatchFailure>>,
    wrap: impl Fn(Event<K>) -> T,
    tell: impl Fn(Result<T, WatchFailure>) -> F,
) where
    F: Future<Output = ()>,
{
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        tell(event.map(&wrap)).await;
    }
}

/// Carries out rounds of probes while they are wanted.
async fn probe(settings: HealthSettings, reporter: Reporter, mut orders: watch::Receiver<ProbeOrder>) {
    loop {
        if orders.wait_for(|order| order.wanted).await.is_err() {
            return;
        }
        let started = tokio::time::Instant::now();
        let targets = orders.borrow_and_update().targets.clone();
        let connected = meridian_controller_probe::round(&targets, &settings).await;
        reporter.tell(MemberEvent::Round(connected)).await;
        tokio::time::sleep_until(started + settings.round_interval).await;
    }
}

/// Carries out steps, some side by side, each with its own limit.
async fn work(
    control_plane: String,
    leadership: Leadership,
    reporter: Reporter,
    clients: watch::Receiver<Option<MemberClient>>,
    steps: mpsc::Receiver<SyncJob>,
) {
    receive(steps)
        .for_each_concurrent(STEPS_AT_ONCE, |SyncJob { key, step }| {
            // A step that waited until another leads is that one's to decide.
            let client = clients.borrow().clone().filter(|_| leadership.holds());
            let (reporter, control_plane) = (&reporter, &control_plane);
            async move {
                let end = match client {
                    None => StepEnd::Failed(ClusterOutcome::TimedOut),
                    Some(member) => {
                        match timeout(REQUEST_LIMIT, carry_out(&member.client(), &key, &step, control_plane)).await {
                            Err(_) => StepEnd::Failed(ClusterOutcome::TimedOut),
                            Ok(StepResult::Failed(outcome)) => StepEnd::Failed(outcome),
                            Ok(StepResult::Removed) => StepEnd::Removed,
                            Ok(StepResult::Written {
                                resource_version,
                                generation,
                            }) => StepEnd::Written {
                                generation,
                                hash: step.hash().to_owned(),
                                resource_version,
                            },
                        }
                    }
                };
                reporter.ended(key, end).await;
            }
        })
        .await;
}
