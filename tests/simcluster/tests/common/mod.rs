//! What all tests share: a cluster, clients of it, and waiting on watches.

#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod kubectl;
pub(crate) mod manifests;
pub(crate) mod roles;
pub(crate) mod workloads;

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use kube::api::{Api, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config, Resource};
use meridian_simcluster::{ClusterOptions, SimCluster};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn cluster() -> (SimCluster, Client) {
    let cluster = SimCluster::start(ClusterOptions::named("test")).await.unwrap();
    let client = client(&cluster).await;
    (cluster, client)
}

pub(crate) async fn client(cluster: &SimCluster) -> Client {
    client_at(cluster, cluster.address()).await
}

/// A client that goes through a proxy.
pub(crate) async fn client_at(cluster: &SimCluster, server: std::net::SocketAddr) -> Client {
    client_of(&cluster.kubeconfig(server)).await
}

/// A client as a kubeconfig says.
pub(crate) async fn client_of(kubeconfig: &str) -> Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &Default::default())
        .await
        .unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// An object from JSON.
pub(crate) fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// Any object as JSON.
pub(crate) fn value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap()
}

pub(crate) async fn create<K>(api: &Api<K>, object_: Value) -> K
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize,
{
    api.create(&PostParams::default(), &object(object_)).await.unwrap()
}

/// Waits until the object fulfils `wanted`, on a watch.
pub(crate) async fn until<K>(api: Api<K>, name: &str, wanted: impl Fn(Option<&K>) -> bool) -> Option<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let watch = kube::runtime::watcher::watch_object(api, name);
    let mut watch = std::pin::pin!(watch.default_backoff());
    let found = tokio::time::timeout(LIMIT, async {
        while let Some(event) = watch.next().await {
            if let Ok(found) = event
                && wanted(found.as_ref())
            {
                return found;
            }
        }
        panic!("the watch ended");
    });
    found
        .await
        .unwrap_or_else(|_| panic!("{name} is not as wanted in time"))
}

/// Waits until any object of the kind fulfils `wanted`.
pub(crate) async fn until_any<K>(api: Api<K>, wanted: impl Fn(&K) -> bool) -> K
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let watch = watcher(api, watcher::Config::default())
        .default_backoff()
        .applied_objects();
    let mut watch = std::pin::pin!(watch);
    let found = tokio::time::timeout(LIMIT, async {
        while let Some(event) = watch.next().await {
            if let Ok(found) = event
                && wanted(&found)
            {
                return found;
            }
        }
        panic!("the watch ended");
    });
    found.await.unwrap_or_else(|_| panic!("no object is as wanted in time"))
}

/// An answer as it came over the wire.
pub(crate) struct Raw {
    pub(crate) code: u16,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

/// A request without any client library's opinion.
pub(crate) async fn raw(
    cluster: &SimCluster,
    method: Method,
    path: &str,
    headers: &[(header::HeaderName, &str)],
    body: impl Into<Bytes>,
) -> Raw {
    raw_as(cluster, &admin_token(cluster), method, path, headers, body).await
}

/// The token a cluster was started with.
pub(crate) fn admin_token(cluster: &SimCluster) -> String {
    let kubeconfig = cluster.kubeconfig(cluster.address());
    let token = kubeconfig.split("token: ").nth(1).unwrap().lines().next().unwrap();
    token.to_owned()
}

/// The same by whoever has a token, or by nobody if it is empty.
pub(crate) async fn raw_as(
    cluster: &SimCluster,
    token: &str,
    method: Method,
    path: &str,
    headers: &[(header::HeaderName, &str)],
    body: impl Into<Bytes>,
) -> Raw {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", cluster.address()));
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    send(request.body(Full::new(body.into())).unwrap()).await
}

pub(crate) async fn send(request: Request<Full<Bytes>>) -> Raw {
    let client = HttpClient::builder(TokioExecutor::new()).build_http();
    let response = tokio::time::timeout(LIMIT, client.request(request))
        .await
        .unwrap()
        .unwrap();
    let code = response.status().as_u16();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default();
    let body = tokio::time::timeout(LIMIT, response.into_body().collect())
        .await
        .unwrap()
        .unwrap();
    let body = body.to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
    Raw {
        code,
        content_type,
        body,
    }
}

/// A GET without headers.
pub(crate) async fn get(cluster: &SimCluster, path: &str) -> Raw {
    raw(cluster, Method::GET, path, &[], "").await
}

/// A write of JSON.
pub(crate) async fn post(cluster: &SimCluster, path: &str, body: Value) -> Raw {
    let json = [(header::CONTENT_TYPE, "application/json")];
    raw(cluster, Method::POST, path, &json, body.to_string()).await
}

/// Makes a ServiceAccount, if there is none, and a token of it.
pub(crate) async fn service_account(cluster: &SimCluster, namespace: &str, name: &str) -> String {
    let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    let made = post(cluster, &accounts, json!({"metadata": {"name": name}})).await;
    assert!(matches!(made.code, 201 | 409), "{}", made.body);
    let answer = post(cluster, &format!("{accounts}/{name}/token"), json!({"spec": {}})).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    answer.body["status"]["token"].as_str().unwrap().to_owned()
}

/// Checks code and reason of a failure and returns the `Status`.
pub(crate) fn failed(answer: Raw, code: u16, reason: &str) -> Value {
    assert_eq!(
        (answer.code, &answer.body["reason"]),
        (code, &json!(reason)),
        "{}",
        answer.body
    );
    assert_eq!(answer.body["kind"], "Status");
    assert_eq!(answer.body["code"], code);
    answer.body
}

/// The `Status` of a failed call.
pub(crate) fn status<T: Debug>(result: Result<T, kube::Error>) -> Box<kube::core::Status> {
    match result {
        Err(kube::Error::Api(status)) => status,
        other => panic!("expected a Status, got {other:?}"),
    }
}

pub(crate) fn config_map(name: &str, labels: Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}, "data": {"k": "v"}})
}

pub(crate) fn service(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}})
}

pub(crate) fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "example.com/main:1", "ports": [{"name": "http", "containerPort": 8080}]}]},
            },
        },
    })
}
