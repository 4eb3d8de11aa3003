//! Get, list, selectors, pages, discovery and the forms objects are shown in.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use http::{Method, Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use kube::core::PartialObjectMeta;
use serde_json::json;

fn names<K: ResourceExt>(items: &[K]) -> Vec<String> {
    items.iter().map(ResourceExt::name_any).collect()
}

#[tokio::test]
async fn a_new_cluster_has_its_namespaces_and_an_identity() {
    let (_one, client) = cluster().await;
    let (_two, other) = cluster().await;
    let namespaces = Api::<Namespace>::all(client).list(&Default::default()).await.unwrap();
    let initial = ["default", "kube-node-lease", "kube-public", "kube-system"];
    assert_eq!(names(&namespaces.items), initial);
    let mine = &namespaces.items[3];
    let theirs = Api::<Namespace>::all(other).get("kube-system").await.unwrap();
    assert_ne!(mine.uid().unwrap(), theirs.uid().unwrap());
    assert_eq!(mine.uid().unwrap().len(), 36);
    assert_eq!(mine.labels()["kubernetes.io/metadata.name"], "kube-system");
    assert_eq!(mine.status.as_ref().unwrap().phase.as_deref(), Some("Active"));
}

#[tokio::test]
async fn a_token_is_required() {
    let (cluster, _) = cluster().await;
    let check = async |header: Option<&str>, code: u16| {
        let mut request = Request::get(format!("http://{}/api/v1/pods", cluster.address()));
        if let Some(header) = header {
            request = request.header(header::AUTHORIZATION, header);
        }
        let answer = send(request.body(Full::<Bytes>::default()).unwrap()).await;
        assert_eq!(answer.code, code, "{header:?}: {}", answer.body);
    };
    check(None, 403).await;
    check(Some("Bearer wrong"), 401).await;
    let request = Request::get(format!("http://{}/readyz", cluster.address()));
    assert_eq!(send(request.body(Full::<Bytes>::default()).unwrap()).await.code, 200);
    failed(get(&cluster, "/nothing").await, 404, "NotFound");
    failed(get(&cluster, "/api/v1/nothings").await, 404, "NotFound");
}

#[tokio::test]
async fn selectors() {
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client.clone());
    create(&api, config_map("a", json!({"app": "x", "tier": "1"}))).await;
    create(&api, config_map("b", json!({"app": "y"}))).await;
    create(&api, config_map("c", json!({}))).await;
    let check = async |parameters: ListParams, wanted: &[&str]| {
        let found = api.list(&parameters).await.unwrap();
        assert_eq!(names(&found.items), wanted, "{parameters:?}");
    };
    let labels = |text: &str| ListParams::default().labels(text);
    check(ListParams::default(), &["a", "b", "c"]).await;
    check(labels("app=x"), &["a"]).await;
    check(labels("app in (x,y),!tier"), &["b"]).await;
    check(labels("app notin (x)"), &["b", "c"]).await;
    check(labels("!app"), &["c"]).await;
    check(ListParams::default().fields("metadata.name=b"), &["b"]).await;
    check(ListParams::default().fields("metadata.namespace=kube-system"), &[]).await;
    let wrong = api.list(&labels("app in x")).await;
    assert_eq!(status(wrong).code, 400);
}

#[tokio::test]
async fn pages_show_one_version() {
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    for name in ["a", "b", "c", "d", "e"] {
        create(&api, config_map(name, json!({}))).await;
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(names(&first.items), ["a", "b"]);
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    api.delete("c", &Default::default()).await.unwrap();
    create(&api, config_map("f", json!({}))).await;
    let token = first.metadata.continue_.unwrap();
    let rest = api.list(&ListParams::default().continue_token(&token)).await.unwrap();
    assert_eq!(names(&rest.items), ["c", "d", "e"], "as of the first page");
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
}

#[tokio::test]
async fn pages_of_a_forgotten_version_expire() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    create(&api, config_map("a", json!({}))).await;
    create(&api, config_map("b", json!({}))).await;
    let first = api.list(&ListParams::default().limit(1)).await.unwrap();
    create(&api, config_map("c", json!({}))).await;
    cluster.compact();
    let token = first.metadata.continue_.unwrap();
    let rest = api.list(&ListParams::default().continue_token(&token)).await;
    assert_eq!(status(rest).code, 410);
}

#[tokio::test]
async fn versions_of_lists() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let first = create(&api, config_map("a", json!({}))).await;
    create(&api, config_map("b", json!({}))).await;
    let exact = ListParams::default().at(&first.resource_version().unwrap());
    let exact = exact.matching(kube::api::VersionMatch::Exact);
    assert_eq!(names(&api.list(&exact).await.unwrap().items), ["a"]);
    let path = "/api/v1/configmaps?resourceVersion=999&resourceVersionMatch=NotOlderThan";
    let status = failed(get(&cluster, path).await, 504, "Timeout");
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
}

#[tokio::test]
async fn metadata_only() {
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    create(&api, config_map("a", json!({"app": "x"}))).await;
    let found = api.list_metadata(&Default::default()).await.unwrap();
    assert_eq!(found.items[0].labels()["app"], "x");
    let one: PartialObjectMeta<ConfigMap> = api.get_metadata("a").await.unwrap();
    assert_eq!(one.name_any(), "a");
}

#[tokio::test]
async fn tables() {
    let (cluster, client) = cluster().await;
    let api = Api::<Pod>::default_namespaced(client);
    create(
        &api,
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}),
    )
    .await;
    let accept = [(
        header::ACCEPT,
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    )];
    let table = raw(&cluster, Method::GET, "/api/v1/pods", &accept, "").await.body;
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][1]["name"], "Ready");
    let row = &table["rows"][0];
    assert_eq!(
        row["cells"].as_array().unwrap()[..3],
        [json!("p"), json!("0/1"), json!("Pending")]
    );
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    let protobuf = [(header::ACCEPT, "application/vnd.kubernetes.protobuf")];
    failed(
        raw(&cluster, Method::GET, "/api/v1/pods", &protobuf, "").await,
        406,
        "NotAcceptable",
    );
}

#[tokio::test]
async fn discovery_both_ways() {
    let (cluster, client) = cluster().await;
    let slow = kube::Discovery::new(client.clone()).run().await.unwrap();
    let fast = kube::Discovery::new(client).run_aggregated().await.unwrap();
    for discovery in [slow, fast] {
        let mut groups: Vec<&str> = discovery.groups().map(|group| group.name()).collect();
        groups.sort_unstable();
        assert_eq!(
            groups,
            [
                "",
                "apiextensions.k8s.io",
                "apps",
                "authentication.k8s.io",
                "authorization.k8s.io",
                "autoscaling",
                "batch",
                "coordination.k8s.io",
                "discovery.k8s.io",
                "events.k8s.io",
                "networking.k8s.io",
                "rbac.authorization.k8s.io",
            ]
        );
        let apps = discovery.get("apps").unwrap();
        let (resource, capabilities) = apps.recommended_kind("Deployment").unwrap();
        assert_eq!(resource.plural, "deployments");
        assert!(capabilities.supports_operation("watch"));
    }
    let version = get(&cluster, "/version").await.body;
    assert_eq!(version["major"], "1");
    let index = get(&cluster, "/openapi/v3").await.body;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let document = get(&cluster, url).await.body;
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let parameters = patch["parameters"].as_array().unwrap();
    assert!(
        parameters
            .iter()
            .any(|parameter| parameter["name"] == "fieldValidation")
    );
}
