//! A small federation for scenario tests: simulated clusters, their objects on the host, and `meridian run`
//! as a child process that a test can kill and start again.
#![allow(dead_code, reason = "each test uses a part")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use kube::api::{DeleteParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Config};
use meridian_dns_core::{DnsName, RecordType};
use meridian_dns_server::client::{Query, Reply, Transport, query};
use meridian_simcluster::proxy::FaultProxy;
use meridian_simcluster::{ClusterOptions, SimCluster};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far longer than anything takes; a machine may be slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Member {
    _cluster: SimCluster,
    pub(crate) proxy: FaultProxy,
    pub(crate) client: Client,
}

pub(crate) struct Federation {
    pub(crate) host: Client,
    pub(crate) members: Vec<Member>,
    pub(crate) dns: SocketAddr,
    host_cluster: SimCluster,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Federation {
    /// Clusters called a, b, ... and a zone `example.test` of federation `prod`. The controller is not started.
    pub(crate) async fn new(members: usize) -> Self {
        let host = SimCluster::start(ClusterOptions::named("host"))
            .await
            .expect("a free port");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("host"), host.kubeconfig(host.address())).expect("written");
        let client = client(&host).await;
        let mut federation = Self {
            host: client,
            members: Vec::new(),
            dns: dns_address(),
            host_cluster: host,
            folder,
            child: None,
        };
        for crd in meridian_federation_api::crds() {
            let crd = serde_json::to_value(crd).expect("JSON");
            federation
                .apply("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, crd)
                .await;
        }
        federation
            .apply("v1", "Namespace", None, json!({"metadata": {"name": "shop"}}))
            .await;
        let zone = json!({"metadata": {"name": "zone"}, "spec": {"domain": "example.test", "federation": "prod"}});
        federation.apply("meridian.dev/v1alpha1", "DNSZone", None, zone).await;
        for index in 0..members {
            federation
                .join(&char::from(b'a' + u8::try_from(index).expect("few members")).to_string())
                .await;
        }
        federation
    }

    async fn join(&mut self, name: &str) {
        let cluster = SimCluster::start(ClusterOptions::named(name))
            .await
            .expect("a free port");
        let proxy = FaultProxy::start(cluster.address()).await.expect("a free port");
        let client = client(&cluster).await;
        let system = objects(&client, "v1", "Namespace", None)
            .get("kube-system")
            .await
            .expect("it is there");
        let kubeconfig = k8s_openapi::ByteString(cluster.kubeconfig(proxy.address()).into_bytes());
        let secret = json!({"metadata": {"name": name, "namespace": "shop"}, "data": {"kubeconfig": kubeconfig}});
        self.apply("v1", "Secret", Some("shop"), secret).await;
        let member = json!({
            "metadata": {"name": name, "labels": {"tier": "prod"}},
            "spec": {"kubeconfigSecretRef": {"namespace": "shop", "name": name}, "region": format!("region-{name}"), "zones": ["z"], "uid": system.metadata.uid},
        });
        self.apply("meridian.dev/v1alpha1", "Cluster", None, member).await;
        self.members.push(Member {
            _cluster: cluster,
            proxy,
            client,
        });
    }

    /// Starts `meridian run`.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(&mut self, more: &[&str]) {
        let child = Command::new(env!("CARGO_BIN_EXE_meridian"))
            .args([
                "run",
                "--replica",
                "test",
                "--admin",
                &self.admin().to_string(),
                "--snapshot",
                &self.snapshot().display().to_string(),
                "--dns",
                &self.dns.to_string(),
                "--kubeconfig",
                &self.host_kubeconfig().display().to_string(),
            ])
            .args(more)
            .env("MERIDIAN_LOG", "error")
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary runs");
        self.child = Some(child);
    }

    /// Kills it without a word, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Asks it to end, as an orchestrator does.
    pub(crate) fn terminate(&self) {
        let child = self.child.as_ref().expect("it was started");
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Whether it has ended by itself, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("its state")
    }

    /// The code of `/readyz`; empty if nobody answers.
    pub(crate) async fn readiness(&self) -> String {
        let asked = async {
            let mut stream = TcpStream::connect(self.admin()).await?;
            let request = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            stream.write_all(request).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            std::io::Result::Ok(text)
        };
        let text = asked.await.unwrap_or_default();
        text.get(9..12).unwrap_or_default().to_owned()
    }

    /// Where `/readyz` is.
    pub(crate) fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.dns.ip(), 8053)
    }

    /// The file with the saved answers.
    pub(crate) fn snapshot(&self) -> PathBuf {
        self.folder.path().join("snapshot")
    }

    /// The next start finds nobody under the host's address.
    pub(crate) fn lose_host(&self) {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        std::fs::write(self.host_kubeconfig(), self.host_cluster.kubeconfig(nobody)).expect("written");
    }

    /// The next start finds the host again.
    pub(crate) fn find_host(&self) {
        std::fs::write(
            self.host_kubeconfig(),
            self.host_cluster.kubeconfig(self.host_cluster.address()),
        )
        .expect("written");
    }

    pub(crate) fn host_kubeconfig(&self) -> PathBuf {
        self.folder.path().join("host")
    }

    pub(crate) async fn apply(&self, api_version: &str, kind: &str, namespace: Option<&str>, mut object: Value) {
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let api = objects(&self.host, api_version, kind, namespace);
        let applied = api
            .patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object))
            .await;
        applied.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// A federated namespace `shop` and a Service or other object in it.
    pub(crate) async fn federate(&self, kind: &str, name: &str, spec: Value) {
        let object = json!({"metadata": {"name": name}, "spec": spec});
        self.apply("types.meridian.dev/v1alpha1", kind, Some("shop"), object)
            .await;
    }

    pub(crate) async fn federate_service(&self, name: &str, placement: Value) {
        let template = json!({"spec": {"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}});
        self.federate(
            "FederatedService",
            name,
            json!({"placement": placement, "template": template}),
        )
        .await;
    }

    pub(crate) async fn patch(&self, api_version: &str, kind: &str, namespace: Option<&str>, name: &str, patch: Value) {
        let api = objects(&self.host, api_version, kind, namespace);
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect("patched");
    }

    pub(crate) fn federated(&self, kind: &str) -> Api<DynamicObject> {
        objects(&self.host, "types.meridian.dev/v1alpha1", kind, Some("shop"))
    }

    pub(crate) async fn delete_federated(&self, kind: &str, name: &str) {
        self.federated(kind)
            .delete(name, &DeleteParams::default())
            .await
            .expect("deleted");
    }

    pub(crate) fn services(&self, member: usize) -> Api<DynamicObject> {
        objects(&self.members[member].client, "v1", "Service", Some("shop"))
    }

    /// A Service that somebody makes in a member.
    pub(crate) async fn create_service(&self, member: usize, service: Value) {
        let service = serde_json::from_value(service).expect("an object");
        let created = self.services(member).create(&Default::default(), &service).await;
        created.expect("created");
    }

    /// Names of the Services in a member.
    pub(crate) async fn service_names(&self, member: usize) -> Vec<String> {
        let list = self.services(member).list(&Default::default()).await.expect("a list");
        list.items
            .into_iter()
            .filter_map(|service| service.metadata.name)
            .collect()
    }

    /// Condition of an object on the host: status, reason, message.
    pub(crate) async fn condition(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        kind: &str,
    ) -> Option<(String, String, String)> {
        let object = api.get_opt(name).await.expect("an answer")?;
        let conditions = object.data.pointer("/status/conditions")?.as_array()?.clone();
        let found = conditions.into_iter().find(|condition| condition["type"] == kind)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    pub(crate) async fn ask(&self, name: &str) -> Option<Reply> {
        self.ask_for(name, "A").await
    }

    pub(crate) async fn ask_for(&self, name: &str, record_type: &str) -> Option<Reply> {
        let record_type = RecordType::from_mnemonic(record_type).expect("a type");
        let question = Query::new(DnsName::parse(name).expect("a name"), record_type);
        query(self.dns, Transport::Udp, &question, Duration::from_secs(1))
            .await
            .ok()
    }
}

/// An address of its own for the DNS server, and a port that the system hands out to nobody. A free port asked
/// of the system may be a client's own by the time the server wants it, or wants it again.
fn dns_address() -> SocketAddr {
    static TAKEN: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let number = TAKEN.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from(([127, 128 | high, low, number], 5300))
}

impl Drop for Federation {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Looks again until it holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < LIMIT, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn objects(client: &Client, api_version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

async fn client(cluster: &SimCluster) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig(cluster.address())).expect("a kubeconfig");
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("a config");
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}
