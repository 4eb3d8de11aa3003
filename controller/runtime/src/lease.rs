//! The leader's lease on the host: carries out what [`Candidate`] says, and tells the others who leads.
//!
//! What must stay true: [`Leadership::holds`] looks at the clock itself, so that a leader whose task hangs,
//! or whose host does not answer, stops all the same. A request that takes longer than its limit counts
//! as failed, also if it is done later.
//!
//! The clock is the system's monotonic one. It may stand still while a machine sleeps; a replica that wakes
//! then believes for a moment that it leads. That is one more reason why every write of a leader is
//! conditional where it lands.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt};
use meridian_controller_apply::describe;
use meridian_federation_core::names::FIELD_MANAGER;
use meridian_federation_core::{Candidate, Lease, LeaseAction, LeaseIdentity, LeaseTimes, LeaseWrite};
use rustls::crypto::SecureRandom;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::now;

/// Name of the Lease.
const NAME: &str = "meridian";
/// Limit of one request: two fit into the time in which a lease has to be renewed.
const REQUEST_LIMIT: Duration = Duration::from_secs(4);

/// A new identity of this process; the name is made up where none is given.
pub(crate) fn identity(name: Option<String>) -> Result<LeaseIdentity> {
    let mut random = [0; 8];
    let source: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
    source
        .fill(&mut random)
        .map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
    let session = format!("{:016x}", u64::from_be_bytes(random));
    let name = name.unwrap_or_else(|| format!("replica-{session}"));
    Ok(LeaseIdentity { name, session })
}

/// Makes the namespace of our own objects on the host, if it is not there.
pub(crate) async fn make_namespace(host: &Client, name: &str) -> Result<(), kube::Error> {
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    match Api::all(host.clone()).create(&parameters(), &namespace).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => other.map(drop),
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// Whether this replica leads. Clones tell the same.
#[derive(Debug, Clone)]
pub(crate) struct Leadership(watch::Receiver<Option<Instant>>);

impl Leadership {
    /// Whether it leads now. Look immediately before each effect.
    pub(crate) fn holds(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until [`Leadership::holds`] is another than `known`, and returns it. Safe to cancel. For ever
    /// if there is no campaign any more and none is led.
    pub(crate) async fn differs_from(&mut self, known: bool) -> bool {
        loop {
            let until = *self.0.borrow_and_update();
            let holds = self.holds();
            if holds != known {
                return holds;
            }
            let end = until.filter(|_| holds);
            tokio::select! {
                changed = self.0.changed() => if changed.is_err() {
                    match end {
                        Some(end) => sleep_until(end).await,
                        None => std::future::pending().await,
                    }
                },
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {}
            }
        }
    }
}

/// A running campaign for the lease. Dropping it stops it and leaves the lease to run out.
pub(crate) struct Campaign {
    leadership: Leadership,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Campaign {
    /// Starts a campaign for the Lease in that namespace of the host.
    pub(crate) fn start(host: Client, namespace: &str, identity: LeaseIdentity, times: LeaseTimes) -> Self {
        let (publish, leadership) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let campaigner = Campaigner {
            leases: Api::namespaced(host.clone(), namespace),
            host,
            namespace: Arc::from(namespace),
            candidate: Candidate::new(identity, times),
            start: Instant::now(),
            publish,
            trouble: None,
        };
        Self {
            leadership: Leadership(leadership),
            stop,
            task: tokio::spawn(campaigner.run(stopped)),
        }
    }

    /// Who leads.
    pub(crate) fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Lets the lease go, so that another replica need not wait for it to run out.
    pub(crate) async fn end(mut self) {
        self.stop.send_replace(true);
        let _ = timeout(REQUEST_LIMIT, &mut self.task).await;
    }
}

impl Drop for Campaign {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Campaigner {
    host: Client,
    leases: Api<LeaseObject>,
    namespace: Arc<str>,
    candidate: Candidate,
    start: Instant,
    publish: watch::Sender<Option<Instant>>,
    /// What went wrong the last time, told once.
    trouble: Option<String>,
}

/// How a write ended.
enum Written {
    Version(String),
    Overtaken,
}

impl Campaigner {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = self.step() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if let Some((version, write)) = self.candidate.let_go(self.start.elapsed()) {
            // First we stop, then we say so.
            self.publish.send_replace(None);
            if let Err(error) = self.update(&version, &write).await {
                tracing::debug!(reason = describe(error.as_ref()), "the lease could not be let go");
            }
        }
    }

    /// One action, or one wait.
    async fn step(&mut self) {
        let action = self.candidate.next(self.start.elapsed());
        let sent = self.start.elapsed();
        let result = match action {
            LeaseAction::Wait(until) => {
                sleep_until(self.start + until).await;
                return;
            }
            LeaseAction::Read => match limited(self.read()).await {
                Ok(lease) => {
                    self.candidate.seen(lease, self.start.elapsed());
                    Ok(())
                }
                Err(error) => Err(error),
            },
            LeaseAction::Create(write) => self.take(limited(self.create(&write)).await, &write, sent),
            LeaseAction::Update(version, write) => {
                self.take(limited(self.update(&version, &write)).await, &write, sent)
            }
        };
        match result {
            Ok(()) => self.trouble = None,
            Err(error) => {
                self.candidate.failed(self.start.elapsed());
                let reason = describe(error.as_ref());
                if self.trouble.as_ref() != Some(&reason) {
                    tracing::warn!(
                        reason,
                        namespace = %self.namespace,
                        "the leader's lease cannot be read or written on the host; nothing is synchronised without it"
                    );
                    self.trouble = Some(reason);
                }
            }
        }
        self.tell();
    }

    fn take(&mut self, result: Result<Written>, write: &LeaseWrite, sent: Duration) -> Result<()> {
        match result? {
            Written::Version(version) => self.candidate.written(write, version, sent),
            Written::Overtaken => self.candidate.overtaken(),
        }
        Ok(())
    }

    fn tell(&self) {
        let until = self.candidate.leads_until().map(|until| self.start + until);
        let leads = self.candidate.leads(self.start.elapsed());
        let led = self.publish.borrow().is_some_and(|until| Instant::now() < until);
        self.publish.send_replace(until.filter(|_| leads));
        match (led, leads) {
            (false, true) => tracing::info!(namespace = %self.namespace, "this replica leads"),
            (true, false) => {
                let holder = self.candidate.holder().unwrap_or("nobody");
                tracing::warn!(holder, "this replica leads no more");
            }
            _ => {}
        }
    }

    async fn read(&self) -> Result<Option<Lease>> {
        let found = self.leases.get_opt(NAME).await.context("the Lease cannot be read")?;
        Ok(found.map(|object| lease_of(&object)))
    }

    async fn create(&self, write: &LeaseWrite) -> Result<Written> {
        let object = LeaseObject {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(spec_of(write)),
        };
        let mut created = self.leases.create(&parameters(), &object).await;
        if matches!(&created, Err(kube::Error::Api(status)) if status.is_not_found()) {
            make_namespace(&self.host, &self.namespace)
                .await
                .with_context(|| format!("namespace {} is missing and cannot be made", self.namespace))?;
            created = self.leases.create(&parameters(), &object).await;
        }
        settle(created).context("the Lease cannot be made")
    }

    async fn update(&self, version: &str, write: &LeaseWrite) -> Result<Written> {
        let mut spec = serde_json::to_value(spec_of(write))?;
        if write.holder.is_empty() {
            spec["holderIdentity"] = serde_json::Value::Null;
        }
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": spec});
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        settle(self.leases.patch(NAME, &parameters, &Patch::Merge(&patch)).await).context("the Lease cannot be written")
    }
}

async fn limited<T>(request: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(REQUEST_LIMIT, request)
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("the host did not answer in time")))
}

fn settle(result: Result<LeaseObject, kube::Error>) -> Result<Written, kube::Error> {
    match result {
        Ok(object) => Ok(Written::Version(object.resource_version().unwrap_or_default())),
        // Changed, made or deleted by somebody else meanwhile.
        Err(kube::Error::Api(status))
            if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
        {
            Ok(Written::Overtaken)
        }
        Err(error) => Err(error),
    }
}

fn lease_of(object: &LeaseObject) -> Lease {
    let spec = object.spec.clone().unwrap_or_default();
    let seconds = spec
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    Lease {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: seconds.map_or_else(|| LeaseTimes::default().duration, Duration::from_secs),
        transitions: spec
            .lease_transitions
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(0),
        version: object.resource_version().unwrap_or_default(),
    }
}

/// The times in it are for people.
fn spec_of(write: &LeaseWrite) -> LeaseSpec {
    let time = i64::try_from(now().0)
        .ok()
        .and_then(|millis| k8s_openapi::jiff::Timestamp::from_millisecond(millis).ok())
        .map(MicroTime);
    LeaseSpec {
        holder_identity: (!write.holder.is_empty()).then(|| write.holder.clone()),
        lease_duration_seconds: i32::try_from(write.duration.as_secs()).ok(),
        lease_transitions: i32::try_from(write.transitions).ok(),
        acquire_time: time.clone().filter(|_| write.acquires),
        renew_time: time,
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use meridian_simcluster::proxy::{Fault, FaultProxy};
    use meridian_simcluster::{ClusterOptions, SimCluster};

    use super::*;
    use crate::testing::{client_through, within};

    fn campaign(host: &Client, name: &str, times: LeaseTimes) -> Campaign {
        let identity = identity(Some(name.to_owned())).expect("random numbers");
        Campaign::start(host.clone(), "meridian-system", identity, times)
    }

    #[tokio::test]
    async fn one_leads_at_once_and_the_next_when_it_lets_go() {
        let cluster = SimCluster::start(ClusterOptions::named("host")).await.expect("a port");
        let host = client_through(&cluster, cluster.address()).await;
        let first = campaign(&host, "a", LeaseTimes::default());
        let mut leads = first.leadership();
        assert!(within("the first leads", leads.differs_from(false)).await);
        let second = campaign(&host, "b", LeaseTimes::default());
        let mut waits = second.leadership();
        assert!(!waits.holds());
        first.end().await;
        assert!(!within("the first leads no more", leads.differs_from(true)).await);
        assert!(within("the second leads", waits.differs_from(false)).await);
        // The same replica, started again, does not wait.
        drop(second);
        let again = campaign(&host, "b", LeaseTimes::default());
        assert!(within("it leads again", again.leadership().differs_from(false)).await);
    }

    #[tokio::test]
    async fn a_leader_without_its_host_stops_before_another_starts() {
        let cluster = SimCluster::start(ClusterOptions::named("host")).await.expect("a port");
        let proxy = FaultProxy::start(cluster.address()).await.expect("a port");
        let times = LeaseTimes {
            duration: Duration::from_secs(3),
            renew_within: Duration::from_secs(2),
            retry: Duration::from_millis(100),
        };
        let first = campaign(&client_through(&cluster, proxy.address()).await, "a", times.clone());
        let mut leads = first.leadership();
        assert!(within("the first leads", leads.differs_from(false)).await);
        let second = campaign(&client_through(&cluster, cluster.address()).await, "b", times);
        let mut waits = second.leadership();
        proxy.set(Fault::Hang);
        assert!(within("the second leads", waits.differs_from(false)).await);
        assert!(!leads.holds());
        proxy.set(Fault::None);
        let other = timeout(Duration::from_secs(1), leads.differs_from(false)).await;
        assert!(other.is_err(), "the first is back and leads beside the second");
    }
}
