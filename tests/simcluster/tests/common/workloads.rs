//! A cluster with its workload side, and waiting for what it does.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};

use futures::StreamExt;
use kube::api::Patch;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use meridian_simcluster::{SimCluster, WorkloadOptions, Workloads};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{LIMIT, cluster, until, value};

/// Options with a load balancer network of their own.
pub(crate) fn options() -> WorkloadOptions {
    static NETWORK: AtomicU8 = AtomicU8::new(1);
    let network = NETWORK.fetch_add(1, Ordering::Relaxed);
    // The process number keeps two runs at a time apart.
    let run = u8::try_from(std::process::id() % 200).unwrap() + 10;
    WorkloadOptions {
        cluster: "us-west".to_owned(),
        load_balancer_network: Ipv4Addr::new(127, run, network, 0),
        ..WorkloadOptions::default()
    }
}

/// A cluster with its workload side.
pub(crate) async fn started() -> (SimCluster, Client, Workloads) {
    started_with(options()).await
}

pub(crate) async fn started_with(options: WorkloadOptions) -> (SimCluster, Client, Workloads) {
    let (cluster, client) = cluster().await;
    let workloads = Workloads::start(client.clone(), options);
    (cluster, client, workloads)
}

/// Whether `found` has all that `wanted` has; what is null there is absent. A list has what is wanted
/// when some member has it.
pub(crate) fn has(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| has(found.get(name).unwrap_or(&Value::Null), wanted)),
        (Value::Array(found), Value::Array(wanted)) => {
            wanted.iter().all(|wanted| found.iter().any(|found| has(found, wanted)))
        }
        (found, wanted) => found == wanted,
    }
}

/// Waits until an object has all that `wanted` has.
pub(crate) async fn until_has<K>(api: &Api<K>, name: &str, wanted: Value) -> K
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let found = until(api.clone(), name, |found| {
        let found = found.map(value).unwrap_or_default();
        let fits = has(&found, &wanted);
        if !fits {
            println!("{name} is not as wanted yet: {}", found["status"]);
        }
        fits
    });
    found.await.unwrap()
}

/// Waits until an object is gone.
pub(crate) async fn until_gone<K>(api: &Api<K>, name: &str)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    until(api.clone(), name, |found| found.is_none()).await;
}

/// Objects of the default namespace.
pub(crate) fn api<K>(client: &Client) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    Api::default_namespaced(client.clone())
}

/// Changes an object that must be there.
pub(crate) async fn merge<K: Clone + Debug + DeserializeOwned>(api: &Api<K>, name: &str, change: Value) {
    api.patch(name, &Default::default(), &Patch::Merge(change))
        .await
        .unwrap();
}

/// JSON with a merge patch applied.
pub(crate) fn with(mut object: Value, more: Value) -> Value {
    json_patch::merge(&mut object, &more);
    object
}

/// Follows all objects of a kind, checking them after each change, until `last` says so; returns them.
pub(crate) async fn follow<K>(
    api: &Api<K>,
    selector: &str,
    check: impl Fn(&[&K]),
    last: impl Fn(&[&K]) -> bool,
) -> Vec<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut objects: BTreeMap<String, K> = BTreeMap::new();
    let mut events = std::pin::pin!(watcher(api.clone(), watcher::Config::default().labels(selector)));
    let mut listed = false;
    let followed = tokio::time::timeout(LIMIT, async {
        while let Some(event) = events.next().await {
            match event.unwrap() {
                watcher::Event::Init => objects.clear(),
                watcher::Event::InitDone => listed = true,
                watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                    objects.insert(object.name_any(), object);
                }
                watcher::Event::Delete(object) => {
                    objects.remove(&object.name_any());
                }
            }
            let now: Vec<&K> = objects.values().collect();
            if listed {
                check(&now);
            }
            if listed && last(&now) {
                return;
            }
        }
        panic!("the watch ended");
    });
    followed
        .await
        .unwrap_or_else(|_| panic!("objects are not as wanted in time"));
    objects.into_values().collect()
}
