//! The API server of a simulated cluster.
//!
//! What must stay true: the modules below depend downwards only, and nothing below `serve` knows of
//! HTTP connections.
//!
//! ```text
//! serve, patience   connections, authentication, dispatch
//! resource   verbs            request, protobuf   reading     discovery, openapi
//! list watch delete patch     garbage namespaces   what follows from writes
//! write      the one road into the store
//! body convert                what is written, and in which version
//! managed merge fields shape  ownership and merging
//! defaults schema validate addresses crd
//! store      the state behind its lock            kinds   what is served
//! objects stored history clock                    faults  the server misbehaves
//! ```

mod addresses;
mod body;
mod clock;
mod columns;
mod convert;
mod crd;
mod defaults;
mod delete;
mod discovery;
mod faults;
mod fields;
mod garbage;
mod history;
mod json_path;
mod kinds;
mod list;
mod managed;
mod merge;
mod namespaces;
pub(crate) mod object;
mod objects;
mod openapi;
mod patch;
mod patience;
mod present;
mod protobuf;
pub(crate) mod request;
mod resource;
mod schema;
mod selectors;
mod serve;
mod shape;
mod status;
mod store;
mod stored;
mod validate;
mod watch;
mod write;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio::net::TcpListener;

use self::managed::Managers;
use self::serve::Server;
use self::store::{State, Store};
use self::write::{Ownership, Target};

/// How a cluster starts.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Name in the kubeconfig and in logs.
    pub name: String,
    /// Bearer token that clients must send; one of its own, if not given.
    pub token: Option<String>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        ClusterOptions::named("sim")
    }
}

impl ClusterOptions {
    /// Options of a cluster called `name`.
    pub fn named(name: &str) -> Self {
        ClusterOptions {
            name: name.to_owned(),
            token: None,
        }
    }
}

/// A running cluster; the server stops when the last handle is dropped or `stop` is called.
#[derive(Clone, Debug)]
pub struct SimCluster {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    name: String,
    address: SocketAddr,
    token: String,
    store: Arc<Store>,
    /// Set, or gone with the last handle, it ends the server.
    stop: tokio::sync::watch::Sender<bool>,
}

impl SimCluster {
    /// Starts a cluster that has its namespaces and nothing else, on a free loopback port.
    pub async fn start(options: ClusterOptions) -> std::io::Result<SimCluster> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let store = Arc::new(Store::new());
        store
            .write(populate)
            .map_err(|failure| std::io::Error::other(failure.to_json().to_string()))?;
        let own_token = || format!("{:016x}{:016x}", object::random(), object::random());
        let token = options.token.unwrap_or_else(own_token);
        let server = Server {
            store: store.clone(),
            token: token.clone(),
            address: address.to_string(),
        };
        let (stop, stopped) = tokio::sync::watch::channel(false);
        tokio::spawn(serve::serve(listener, Arc::new(server), stopped));
        Ok(SimCluster {
            handle: Arc::new(Handle {
                name: options.name,
                address,
                token,
                store,
                stop,
            }),
        })
    }

    /// Options of an empty cluster that takes the same credentials under the same name, with an identity
    /// of its own: what is there after somebody restored the wrong one under a known address.
    pub fn twin(&self) -> ClusterOptions {
        ClusterOptions {
            name: self.handle.name.clone(),
            token: Some(self.handle.token.clone()),
        }
    }

    /// The name it was started with.
    pub fn name(&self) -> &str {
        &self.handle.name
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        self.handle.address
    }

    /// A kubeconfig for `server`, this cluster's own address or that of a proxy before it.
    ///
    /// The token is there twice: as the user's bearer token, and in the path of the server's URL,
    /// because kubectl sends bearer tokens over TLS only.
    pub fn kubeconfig(&self, server: SocketAddr) -> String {
        let Handle { name, token, .. } = &*self.handle;
        let name = json!(name);
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             clusters:\n\
             - name: {name}\n  cluster:\n    server: http://{server}/token/{token}\n\
             users:\n\
             - name: {name}\n  user:\n    token: {token}\n\
             contexts:\n\
             - name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n    namespace: default\n\
             current-context: {name}\n"
        )
    }

    /// When the write that made `resource_version` was committed, while the history reaches back to it.
    pub fn committed_at(&self, resource_version: u64) -> Option<Instant> {
        self.handle
            .store
            .read(|state| state.history.event(resource_version).map(|event| event.committed))
    }

    /// Stops the server and cuts its connections.
    pub fn stop(&self) {
        self.handle.stop.send_replace(true);
    }
}

/// What every cluster has from the start.
fn populate(state: &mut State) -> status::Outcome<()> {
    let Some(kind) = state.registry.by_qualified("namespaces") else {
        return Ok(());
    };
    for name in ["default", "kube-system", "kube-public"] {
        let target = Target {
            kind: kind.clone(),
            namespace: String::new(),
            name: String::new(),
            subresource: String::new(),
            dry_run: false,
            manager: "kube-apiserver".to_owned(),
            force: false,
            strict: false,
        };
        let namespace = json!({"metadata": {"name": name}});
        write::create(state, &target, namespace, Ownership::Update(Managers::default()))?;
    }
    Ok(())
}
