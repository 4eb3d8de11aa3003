//! The API server of a simulated cluster.
//!
//! What must stay true: the modules below depend downwards only, and nothing below `serve` knows of
//! HTTP connections.
//!
//! ```text
//! serve, tls, patience   connections and dispatch     health   probes
//! access/    who sends a request, and whether they may
//! resource   verbs            request, protobuf   reading     discovery, openapi
//! list watch delete patch scale binding     follow, garbage, namespaces   what follows from writes
//! write      the one road into the store
//! body convert                what is written, and in which version
//! managed merge fields shape  ownership and merging
//! defaults schema validate addresses crd quantity
//! store      the state behind its lock            kinds   what is served
//! objects stored history clock                    faults  the server misbehaves
//! ```

mod access;
mod addresses;
mod binding;
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
mod follow;
mod garbage;
mod health;
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
mod quantity;
pub(crate) mod request;
mod resource;
mod scale;
mod schema;
mod selectors;
mod serve;
mod shape;
mod status;
mod store;
mod stored;
mod tls;
mod validate;
mod watch;
mod write;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::access::authentication::Credentials;
use self::access::tokens::Tokens;
use self::access::{accounts, bootstrap, rbac};
use self::kinds::Kind;
use self::managed::Managers;
use self::serve::Server;
use self::store::{State, Store};
pub use self::tls::Authority;
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
    /// Who signs the server's certificate; plain HTTP, if nobody does.
    pub authority: Option<Authority>,
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
            authority: None,
        }
    }

    /// The same over TLS, with an authority that other clusters may share.
    pub fn with_tls(mut self, authority: &Authority) -> Self {
        self.authority = Some(authority.clone());
        self
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
    server: Arc<Server>,
    /// Set, or gone with the last handle, it ends the server.
    stop: tokio::sync::watch::Sender<bool>,
}

impl SimCluster {
    /// Starts a cluster on a free loopback port. An object that the API would refuse is an error.
    pub async fn start(options: ClusterOptions) -> std::io::Result<SimCluster> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let own_token = || format!("{:016x}{:016x}", object::random(), object::random());
        let token = options.token.unwrap_or_else(own_token);
        let server = Arc::new(Server {
            store: Arc::new(Store::new()),
            credentials: Credentials {
                token,
                tokens: Tokens::new()?,
            },
            address: address.to_string(),
            authority: options.authority,
        });
        let populated = server.store.write(|state| populate(state, &server, options.objects));
        populated.map_err(|failure| std::io::Error::other(failure.to_json().to_string()))?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        tokio::spawn(serve::serve(listener, server.clone(), stopped));
        Ok(SimCluster {
            handle: Arc::new(Handle {
                name: options.name,
                address,
                server,
                stop,
            }),
        })
    }

    /// Options of an empty cluster that takes the same credentials under the same name, with an identity
    /// of its own: what is there after somebody restored the wrong one under a known address.
    pub fn twin(&self) -> ClusterOptions {
        ClusterOptions {
            name: self.handle.name.clone(),
            token: Some(self.handle.server.credentials.token.clone()),
            authority: self.handle.server.authority.clone(),
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

    /// The administrator's kubeconfig for `server`, this cluster's own address or that of a proxy before it.
    pub fn kubeconfig(&self, server: SocketAddr) -> String {
        self.kubeconfig_for(server, &self.handle.server.credentials.token)
    }

    /// The kubeconfig of whoever has `token`, as `kubectl create token` makes them.
    ///
    /// Over plain HTTP the token is there twice: as the user's bearer token, and in the path of the
    /// server's URL, because kubectl sends bearer tokens over TLS only.
    pub fn kubeconfig_for(&self, server: SocketAddr, token: &str) -> String {
        let path = match &self.handle.server.authority {
            Some(_) => String::new(),
            None => format!("/token/{token}"),
        };
        self.kubeconfig_with(server, &path, &json!({"token": token}))
    }

    /// The kubeconfig of `user`, who may be in a group, with a certificate that says so.
    ///
    /// Fails without TLS, where nobody can show a certificate.
    pub fn kubeconfig_of(&self, server: SocketAddr, user: &str, group: Option<&str>) -> std::io::Result<String> {
        let authority = self.handle.server.authority.as_ref();
        let authority = authority.ok_or_else(|| std::io::Error::other("the cluster serves plain HTTP"))?;
        let (certificate, key) = authority.client(user, group)?;
        let credentials = json!({
            "client-certificate-data": BASE64.encode(certificate),
            "client-key-data": BASE64.encode(key),
        });
        Ok(self.kubeconfig_with(server, "", &credentials))
    }

    fn kubeconfig_with(&self, server: SocketAddr, path: &str, credentials: &Value) -> String {
        let (scheme, trust) = match &self.handle.server.authority {
            Some(authority) => {
                let data = BASE64.encode(authority.certificate());
                ("https", format!("\n    certificate-authority-data: {data}"))
            }
            None => ("http", String::new()),
        };
        let credentials: String = credentials
            .as_object()
            .into_iter()
            .flatten()
            .map(|(field, value)| format!("\n    {field}: {}", value.as_str().unwrap_or_default()))
            .collect();
        let name = json!(self.handle.name);
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             clusters:\n\
             - name: {name}\n  cluster:\n    server: {scheme}://{server}{path}{trust}\n\
             users:\n\
             - name: {name}\n  user:{credentials}\n\
             contexts:\n\
             - name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n    namespace: default\n\
             current-context: {name}\n"
        )
    }

    /// When the write that made `resource_version` was committed, while the history reaches back to it.
    pub fn committed_at(&self, resource_version: u64) -> Option<Instant> {
        self.handle
            .server
            .store
            .read(|state| state.history.event(resource_version).map(|event| event.committed))
    }

    /// Stops the server and cuts its connections.
    pub fn stop(&self) {
        self.handle.stop.send_replace(true);
    }
}

/// What a cluster has from the start: what every one has, then the objects given.
fn populate(state: &mut State, server: &Server, objects: Vec<Value>) -> status::Outcome<()> {
    let namespaces =
        ["default", "kube-system", "kube-public", "kube-node-lease"].map(|name| json!({"metadata": {"name": name}}));
    let roles = (rbac::GROUP, "clusterroles");
    let bindings = (rbac::GROUP, "clusterrolebindings");
    let own = namespaces.into_iter().map(|object| (("", "namespaces"), object));
    let own = own.chain(bootstrap::cluster_roles().into_iter().map(|object| (roles, object)));
    let own = own.chain(
        bootstrap::cluster_role_bindings()
            .into_iter()
            .map(|object| (bindings, object)),
    );
    for ((group, plural), object) in own {
        if let Some(kind) = state.registry.get(group, "v1", plural) {
            seed(state, &kind, object)?;
        }
    }
    // Nobody must ever see a namespace of the start without its ServiceAccount.
    accounts::sweep(state, server.material());
    for object in objects {
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
        let kind = state.registry.by_type(text("apiVersion"), text("kind"));
        seed(state, &kind.ok_or_else(status::Failure::no_such_path)?, object)?;
    }
    Ok(())
}

fn seed(state: &mut State, kind: &Arc<Kind>, object: Value) -> status::Outcome<()> {
    let namespace = object::text(&object, "namespace").unwrap_or_default().to_owned();
    let ownership = Ownership::Update(Managers::default());
    write::create(state, &Target::own(kind, &namespace), object, ownership)?;
    Ok(())
}
