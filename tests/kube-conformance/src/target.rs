//! Which cluster the suite runs against, and what it has.
//!
//! What must stay true: the environment decides, and is obeyed or is an error: a cluster that was named and
//! does not answer never turns into a run on the simulation. What is missing is known before the first case.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use kube::config::{AuthInfo, Kubeconfig};
use meridian_envtest::{Assets, ControlPlane};
use meridian_simcluster::{Authority, ClusterOptions, NodePool, SimCluster, WorkloadOptions, Workloads};

use crate::case::Need;
use crate::kubectl::Kubectl;
use crate::probe;
use crate::requests::Requests;

/// Names a kubeconfig of a cluster to run against.
pub(crate) const KUBECONFIG_VARIABLE: &str = "MERIDIAN_TEST_KUBECONFIG";

/// Names an image with `sleep` and `true` for clusters whose kubelets really pull it.
const IMAGE_VARIABLE: &str = "MERIDIAN_TEST_IMAGE";

/// Set where a missing kubectl is a failure.
const PEERS_VARIABLE: &str = "MERIDIAN_PEERS";

/// A cluster and what is known of it.
pub(crate) struct Target {
    /// For people.
    pub(crate) name: String,
    /// Different in every run.
    pub(crate) run: String,
    pub(crate) requests: Requests,
    pub(crate) kubectl: Option<Kubectl>,
    pub(crate) image: String,
    pub(crate) makes_service_accounts: bool,
    /// What is not there, and why.
    pub(crate) missing: BTreeMap<Need, String>,
    config: kube::Config,
    _workloads: Option<Workloads>,
    _cluster: Cluster,
}

/// What ends with the target.
enum Cluster {
    Simulated(#[allow(dead_code)] SimCluster),
    Started(#[allow(dead_code)] ControlPlane),
    Foreign,
}

impl Target {
    /// The cluster that the environment names; the simulation if it names none.
    pub(crate) async fn from_environment() -> anyhow::Result<Target> {
        let given = std::env::var_os(KUBECONFIG_VARIABLE).filter(|path| !path.is_empty());
        if let Some(path) = given {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{KUBECONFIG_VARIABLE} names {}", path.display()))?;
            return Target::foreign(&text).await;
        }
        match Assets::from_environment()? {
            Some(assets) => Target::started(&assets).await,
            None => Target::simulated().await,
        }
    }

    async fn simulated() -> anyhow::Result<Target> {
        // Over TLS, as every real cluster: clients keep their tokens to themselves elsewhere.
        let options = ClusterOptions::named("conformance").with_tls(&Authority::new()?);
        let cluster = SimCluster::start(options).await?;
        let kubeconfig = cluster.kubeconfig(cluster.address());
        let mut target = Target::new("the simulation", &kubeconfig, Cluster::Simulated(cluster)).await?;
        target.makes_service_accounts = true;
        target.start_workloads();
        Ok(target)
    }

    async fn started(assets: &Assets) -> anyhow::Result<Target> {
        let control_plane = ControlPlane::start(assets).await?;
        let has_controllers = control_plane.has_controllers();
        let kubeconfig = control_plane.kubeconfig().to_owned();
        let cluster = Cluster::Started(control_plane);
        let mut target = Target::new("kube-apiserver", &kubeconfig, cluster).await?;
        target.start_workloads();
        target.makes_service_accounts = has_controllers;
        if !has_controllers {
            let reason = "a kube-apiserver without kube-controller-manager";
            target.missing.insert(Need::Controllers, reason.to_owned());
        }
        Ok(target)
    }

    async fn foreign(kubeconfig: &str) -> anyhow::Result<Target> {
        let name = format!("the cluster of {KUBECONFIG_VARIABLE}");
        let mut target = Target::new(&name, kubeconfig, Cluster::Foreign).await?;
        let found = probe::look(&target.requests, &target.run).await;
        target.makes_service_accounts = found.makes_service_accounts;
        if !found.makes_service_accounts {
            let reason = "no service account was made in a new namespace";
            target.missing.insert(Need::Controllers, reason.to_owned());
        }
        match (found.has_nodes, found.acts_on_deployments) {
            (true, _) => {
                let reason = "a cluster with nodes may have nobody who makes load balancers";
                target.missing.insert(Need::Balancers, reason.to_owned());
            }
            // Nobody there to disagree with.
            (false, false) => target.start_workloads(),
            (false, true) => {
                let reason = "deployments are acted on, but no node is ready";
                target.missing.insert(Need::Workloads, reason.to_owned());
                target.missing.insert(Need::Balancers, reason.to_owned());
            }
        }
        Ok(target)
    }

    async fn new(name: &str, kubeconfig: &str, cluster: Cluster) -> anyhow::Result<Target> {
        let parsed = Kubeconfig::from_yaml(kubeconfig).context("not a kubeconfig")?;
        let mut config = kube::Config::from_custom_kubeconfig(parsed, &Default::default()).await?;
        // A case about 429 or 500 wants to see it; and no answer but the first one counts.
        config.default_retry = false;
        let client = kube::Client::try_from(config.clone())?;
        let requests = Requests::new(client);
        let version = requests.get("/version").await.body["gitVersion"].clone();
        let version = version.as_str().context("/version has no gitVersion")?;
        let kubectl = Kubectl::find(kubeconfig).await?;
        let mut missing = BTreeMap::new();
        if kubectl.is_none() {
            let required = std::env::var_os(PEERS_VARIABLE).is_some();
            anyhow::ensure!(!required, "{PEERS_VARIABLE} is set, but there is no kubectl");
            missing.insert(Need::Kubectl, "no kubectl on the PATH".to_owned());
        }
        Ok(Target {
            name: format!("{name} ({version})"),
            run: run(),
            requests,
            kubectl,
            image: std::env::var(IMAGE_VARIABLE).unwrap_or_else(|_| "busybox:1.37".to_owned()),
            makes_service_accounts: false,
            missing,
            config,
            _workloads: None,
            _cluster: cluster,
        })
    }

    /// The simulation's workload side is an ordinary client, and so serves any API server.
    fn start_workloads(&mut self) {
        let options = WorkloadOptions {
            cluster: "conformance".to_owned(),
            load_balancer_network: Ipv4Addr::new(127, 79, 1, 0),
            ready_after: Duration::from_millis(50),
            nodes: Some(NodePool::one_per_zone("region", &["zone-a", "zone-b"])),
            ..WorkloadOptions::default()
        };
        self._workloads = Some(Workloads::start(self.requests.client(), options));
    }

    /// A client with other credentials, or none.
    pub(crate) fn client_of(&self, token: Option<&str>) -> anyhow::Result<kube::Client> {
        let mut config = self.config.clone();
        config.auth_info = AuthInfo {
            token: token.map(|token| token.to_owned().into()),
            ..AuthInfo::default()
        };
        Ok(kube::Client::try_from(config)?)
    }
}

/// A short text that no other run has: names on a cluster that is not ours must not meet.
fn run() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let time = time.map(|time| time.as_millis()).unwrap_or_default();
    format!("{:x}{:x}", std::process::id(), time & 0xff_ffff)
}
