//! The API server of a simulated cluster.
//!
//! What must stay true: the modules below depend downwards only, and nothing below `serve` knows of
//! HTTP connections.
//!
//! ```text
//! serve, patience   connections, authentication, dispatch
//! resource   verbs            request, protobuf   reading     discovery, openapi
//! list watch delete patch     garbage   what follows from writes
//! write      the one road into the store
//! body convert                what is written, and in which version
//! managed merge fields shape  ownership and merging
//! defaults schema validate addresses crd
//! store      objects, versions, history          kinds   what is served
//! ```

mod addresses;
mod body;
mod columns;
mod convert;
mod crd;
mod defaults;
mod delete;
mod discovery;
mod fields;
mod garbage;
mod json_path;
mod kinds;
mod list;
mod managed;
mod merge;
mod object;
mod openapi;
mod patch;
mod patience;
mod present;
mod protobuf;
mod request;
mod resource;
mod schema;
mod selectors;
mod serve;
mod shape;
mod status;
mod store;
mod validate;
mod watch;
mod write;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
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
    /// What it has from the start besides its own namespaces, as if created in this order: whole objects,
    /// with `apiVersion` and `kind`.
    pub objects: Vec<Value>,
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
            objects: Vec::new(),
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
    /// Starts a cluster on a free loopback port. An object that the API would refuse is an error.
    pub async fn start(options: ClusterOptions) -> std::io::Result<SimCluster> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let store = Arc::new(Store::new());
        store
            .write(|state| populate(state, options.objects))
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
            objects: Vec::new(),
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
            .read(|state| state.event(resource_version).map(|event| event.committed))
    }

    /// Forgets the watch history: watches from older versions get 410 Gone.
    pub fn compact(&self) {
        self.handle.store.write(State::compact);
    }

    /// Stops the server and cuts its connections.
    pub fn stop(&self) {
        self.handle.stop.send_replace(true);
    }
}

/// What a cluster has from the start: its own namespaces, then the objects given.
fn populate(state: &mut State, objects: Vec<Value>) -> status::Outcome<()> {
    let namespace = |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let own = ["default", "kube-system", "kube-public"].map(namespace);
    own.into_iter()
        .chain(objects)
        .try_for_each(|object| seed(state, object))
}

fn seed(state: &mut State, object: Value) -> status::Outcome<()> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = state.registry.by_type(text("/apiVersion"), text("/kind"));
    let target = Target {
        kind: kind.ok_or_else(status::Failure::no_such_path)?,
        namespace: text("/metadata/namespace").to_owned(),
        name: String::new(),
        subresource: String::new(),
        dry_run: false,
        manager: "kube-apiserver".to_owned(),
        force: false,
        strict: true,
    };
    write::create(state, &target, object, Ownership::Update(Managers::default()))?;
    Ok(())
}
