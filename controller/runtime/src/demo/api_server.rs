//! Where a cluster's API comes from: simulated in this process, or a real server that a kubeconfig leads to.
//!
//! Nothing else of the demo knows which it is. What only the simulation can tell, when a version was written, is
//! asked of it and is unknown of a real server; what the demo cannot make of a real server, another one under
//! the same credentials, is given beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use kube::config::Kubeconfig;
use meridian_simcluster::{ClusterOptions, SimCluster};

/// Name of the server that takes the place of another.
const IMPOSTOR: &str = "impostor";

/// Where API servers are taken from.
#[derive(Debug)]
pub(super) enum Source {
    /// Simulated ones are started.
    Simulated,
    /// Real ones, by the kubeconfigs in this folder.
    Given(PathBuf),
}

impl Source {
    /// The folder's, if there is one.
    pub(super) fn of(folder: Option<PathBuf>) -> Self {
        folder.map_or(Self::Simulated, Self::Given)
    }

    /// The API server of the cluster of that name.
    pub(super) async fn api_server(&self, name: &str) -> Result<ApiServer> {
        match self {
            Self::Simulated => {
                let cluster = SimCluster::start(ClusterOptions::named(name)).await;
                let cluster = cluster.with_context(|| format!("cluster {name} cannot listen on loopback"))?;
                Ok(ApiServer::Simulated(cluster))
            }
            Self::Given(folder) => Given::read(folder, name).map(ApiServer::given),
        }
    }
}

/// An API server.
#[derive(Debug)]
pub(super) enum ApiServer {
    Simulated(SimCluster),
    Given(Box<Given>),
}

/// A real one.
#[derive(Debug)]
pub(super) struct Given {
    folder: PathBuf,
    address: SocketAddr,
    kubeconfig: Kubeconfig,
}

impl ApiServer {
    fn given(given: Given) -> Self {
        Self::Given(Box::new(given))
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Simulated(cluster) => cluster.address(),
            Self::Given(given) => given.address,
        }
    }

    /// A kubeconfig that leads there, or to a proxy before it.
    pub(super) fn kubeconfig(&self, server: SocketAddr) -> Result<String> {
        match self {
            Self::Simulated(cluster) => Ok(cluster.kubeconfig(server)),
            Self::Given(given) => given.leading_to(server),
        }
    }

    /// An empty server with an identity of its own that takes the same credentials.
    pub(super) async fn impostor(&self) -> Result<Self> {
        match self {
            Self::Simulated(cluster) => Ok(Self::Simulated(SimCluster::start(cluster.twin()).await?)),
            Self::Given(given) => Given::read(&given.folder, IMPOSTOR).map(Self::given),
        }
    }

    /// When the write that made a version was committed, where that can be known.
    pub(super) fn committed_at(&self, resource_version: u64) -> Option<Instant> {
        match self {
            Self::Simulated(cluster) => cluster.committed_at(resource_version),
            Self::Given(_) => None,
        }
    }
}

impl Given {
    fn read(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("{name}.kubeconfig"));
        let kubeconfig = Kubeconfig::read_from(&path)
            .with_context(|| format!("{} is not a kubeconfig; see --api-servers", path.display()))?;
        let servers = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
        let address = servers
            .filter_map(|cluster| cluster.server.as_deref()?.strip_prefix("https://")?.parse().ok())
            .next();
        Ok(Self {
            folder: folder.to_owned(),
            address: address.with_context(|| {
                let path = path.display();
                format!("{path} names no server as https://ADDRESS:PORT, so no proxy can be put before it")
            })?,
            kubeconfig,
        })
    }

    fn leading_to(&self, server: SocketAddr) -> Result<String> {
        let mut kubeconfig = self.kubeconfig.clone();
        for cluster in kubeconfig
            .clusters
            .iter_mut()
            .filter_map(|named| named.cluster.as_mut())
        {
            cluster.server = Some(format!("https://{server}"));
        }
        Ok(serde_saphyr::to_string(&kubeconfig)?)
    }
}
