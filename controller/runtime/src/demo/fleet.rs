//! The demo's clusters: a host and three members, each a Kubernetes API on loopback.
//!
//! Between a member's API and the controller stands a proxy, where faults are made. The member's own
//! workload side (pods, endpoints, load balancers) talks to the API behind the proxy, as a cluster's own
//! controllers would go on when its API cannot be reached from outside.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use meridian_simcluster::proxy::FaultProxy;
use meridian_simcluster::workload::{NodePool, WorkloadOptions, Workloads};

use super::api_server::{ApiServer, Source};

/// Port of the demo's Services.
pub(super) const SERVICE_PORT: u16 = 8080;

/// A member as the demo makes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberPlan {
    pub(super) name: &'static str,
    pub(super) region: &'static str,
    pub(super) zones: &'static [&'static str],
    /// Latitude and longitude.
    pub(super) location: (f64, f64),
    /// Where its clients are.
    pub(super) network: &'static str,
    /// Third octet of its load balancers' addresses.
    pub(super) octet: u8,
}

/// The three members.
pub(super) const MEMBERS: [MemberPlan; 3] = [
    MemberPlan {
        name: "us-west",
        region: "us-west-2",
        zones: &["us-west-2a", "us-west-2b"],
        location: (45.84, -119.69),
        network: "100.64.10.0/24",
        octet: 10,
    },
    MemberPlan {
        name: "ap-northeast",
        region: "ap-northeast-1",
        zones: &["ap-northeast-1a"],
        location: (35.62, 139.75),
        network: "100.64.20.0/24",
        octet: 20,
    },
    MemberPlan {
        name: "os-taipei",
        region: "taipei",
        zones: &["dc1"],
        location: (25.03, 121.56),
        network: "100.64.30.0/24",
        octet: 30,
    },
];

/// One running member.
pub(super) struct Member {
    pub(super) plan: MemberPlan,
    pub(super) api: ApiServer,
    pub(super) proxy: FaultProxy,
    pub(super) workloads: Workloads,
    /// A client that goes to the API directly, past the proxy.
    pub(super) client: Client,
    pub(super) kubeconfig: PathBuf,
    /// UID of its `kube-system` namespace.
    pub(super) uid: String,
}

/// All running clusters. They end when this is dropped.
pub(super) struct Fleet {
    pub(super) host: Client,
    pub(super) host_uid: String,
    pub(super) host_kubeconfig: PathBuf,
    pub(super) members: Vec<Member>,
    /// The host itself, to find out when something was written.
    pub(super) host_api: ApiServer,
}

impl Fleet {
    /// Starts the clusters and writes their kubeconfigs into `folder`. `balancers` gives the first two octets
    /// of the load balancers' addresses.
    pub(super) async fn start(source: &Source, folder: &Path, balancers: Ipv4Addr) -> Result<Self> {
        let host = source.api_server("host").await?;
        let host_kubeconfig = write_kubeconfig(folder, "host", &host.kubeconfig(host.address())?)?;
        let host_client = client(&host.kubeconfig(host.address())?).await?;
        let mut members = Vec::new();
        for plan in MEMBERS {
            members.push(start_member(source, plan, folder, balancers).await?);
        }
        Ok(Self {
            host_uid: uid_of(&host_client).await?,
            host: host_client,
            host_kubeconfig,
            members,
            host_api: host,
        })
    }

    /// The member of that name.
    pub(super) fn member(&self, name: &str) -> &Member {
        self.members
            .iter()
            .find(|member| member.plan.name == name)
            .expect("a member of the demo")
    }
}

async fn start_member(source: &Source, plan: MemberPlan, folder: &Path, balancers: Ipv4Addr) -> Result<Member> {
    let [first, second, ..] = balancers.octets();
    let network = Ipv4Addr::new(first, second, plan.octet, 0);
    refuse_if_taken(network)?;
    let api = source.api_server(plan.name).await?;
    let proxy = FaultProxy::start(api.address())
        .await
        .context("a proxy cannot listen on loopback")?;
    let client = client(&api.kubeconfig(api.address())?).await?;
    let workloads = Workloads::start(
        client.clone(),
        WorkloadOptions {
            cluster: plan.name.to_owned(),
            load_balancer_network: network,
            ready_after: Duration::from_millis(200),
            nodes: Some(NodePool::one_per_zone(plan.region, plan.zones)),
            ..WorkloadOptions::default()
        },
    );
    let kubeconfig = write_kubeconfig(folder, plan.name, &api.kubeconfig(proxy.address())?)?;
    let uid = uid_of(&client).await?;
    Ok(Member {
        plan,
        api,
        proxy,
        workloads,
        client,
        kubeconfig,
        uid,
    })
}

/// A load balancer that cannot have its address would show only as an application that never becomes ready.
fn refuse_if_taken(network: Ipv4Addr) -> Result<()> {
    let [first, second, third, _] = network.octets();
    let address = SocketAddr::from((Ipv4Addr::new(first, second, third, 1), SERVICE_PORT));
    match std::net::TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "{address}, the address of a simulated load balancer, cannot be used: {error}; end the program that has it (another demo?) or choose other addresses with --load-balancers"
        ),
    }
}

fn write_kubeconfig(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.kubeconfig"));
    std::fs::write(&path, text)
        .with_context(|| format!("{} cannot be written; choose a folder with --folder", path.display()))?;
    Ok(path)
}

/// A client of a kubeconfig.
pub(super) async fn client(kubeconfig: &str) -> Result<Client> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

async fn uid_of(client: &Client) -> Result<String> {
    let namespace = Api::<Namespace>::all(client.clone()).get("kube-system").await?;
    Ok(namespace.uid().unwrap_or_default())
}
