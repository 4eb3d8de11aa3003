//! Finalizers, preconditions, collections, owners and namespaces.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use http::{Method, header};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, Preconditions};
use serde_json::{Value, json};

fn owned_by(name: &str, owners: &[&ConfigMap]) -> Value {
    let owners: Vec<Value> = owners
        .iter()
        .map(|owner| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid()}))
        .collect();
    json!({"metadata": {"name": name, "ownerReferences": owners}})
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let map = json!({"metadata": {"name": "a", "finalizers": ["x.example.com/one", "x.example.com/two"]}});
    create(&api, map).await;
    let marked = api.delete("a", &Default::default()).await.unwrap().left().unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    let again = api.delete("a", &Default::default()).await.unwrap().left().unwrap();
    assert_eq!(again.resource_version(), marked.resource_version());
    let set = |finalizers: Value| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let added = api
        .patch("a", &Default::default(), &set(json!(["x.example.com/new"])))
        .await;
    assert_eq!(status(added).code, 422);
    let one = api
        .patch("a", &Default::default(), &set(json!(["x.example.com/two"])))
        .await
        .unwrap();
    assert_eq!(one.finalizers().len(), 1);
    api.patch("a", &Default::default(), &set(json!([]))).await.unwrap();
    assert_eq!(status(api.get("a").await).code, 404);
    let path = "/api/v1/namespaces/default/configmaps/a";
    failed(raw(&cluster, Method::DELETE, path, &[], "").await, 404, "NotFound");
}

#[tokio::test]
async fn preconditions() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let made = create(&api, config_map("a", json!({}))).await;
    let with = |uid: Option<&str>, version: Option<&str>| DeleteParams {
        preconditions: Some(Preconditions {
            uid: uid.map(str::to_owned),
            resource_version: version.map(str::to_owned),
        }),
        ..DeleteParams::default()
    };
    assert_eq!(status(api.delete("a", &with(Some("other"), None)).await).code, 409);
    assert_eq!(status(api.delete("a", &with(None, Some("1"))).await).code, 409);
    let (uid, version) = (made.uid().unwrap(), made.resource_version().unwrap());
    let told = api.delete("a", &with(Some(&uid), Some(&version))).await.unwrap();
    assert_eq!(told.right().unwrap().details.unwrap().uid, uid);
    let json_type = [(header::CONTENT_TYPE, "application/json")];
    let path = "/api/v1/namespaces/default/configmaps/a";
    failed(
        raw(&cluster, Method::DELETE, path, &json_type, "{").await,
        400,
        "BadRequest",
    );
}

#[tokio::test]
async fn collections() {
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    for (name, app) in [("a", "x"), ("b", "x"), ("c", "y")] {
        create(&api, config_map(name, json!({"app": app}))).await;
    }
    let gone = api
        .delete_collection(&DeleteParams::default(), &ListParams::default().labels("app=x"))
        .await;
    assert_eq!(gone.unwrap().left().unwrap().items.len(), 2);
    let left = api.list(&Default::default()).await.unwrap();
    assert_eq!(left.items[0].name_any(), "c");
    assert_eq!(left.items.len(), 1);
}

#[tokio::test]
async fn dependents_go_with_their_last_owner() {
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client.clone());
    let secrets = Api::<Secret>::default_namespaced(client);
    let one = create(&api, config_map("one", json!({}))).await;
    let two = create(&api, config_map("two", json!({}))).await;
    create(&secrets, owned_by("by-one", &[&one])).await;
    create(&secrets, owned_by("by-both", &[&one, &two])).await;
    let chained = create(&api, owned_by("chained", &[&two])).await;
    create(&secrets, owned_by("by-chained", &[&chained])).await;
    api.delete("one", &Default::default()).await.unwrap();
    until(secrets.clone(), "by-one", |found| found.is_none()).await;
    let both = until(secrets.clone(), "by-both", |found| {
        found.is_some_and(|secret| secret.owner_references().len() == 1)
    });
    assert_eq!(both.await.unwrap().owner_references()[0].name, "two");
    api.delete("two", &Default::default()).await.unwrap();
    until(secrets.clone(), "by-both", |found| found.is_none()).await;
    until(secrets.clone(), "by-chained", |found| found.is_none()).await;
    create(&secrets, owned_by("late", &[&one])).await;
    until(secrets, "late", |found| found.is_none()).await;
}

#[tokio::test]
async fn orphans_stay() {
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let owner = create(&api, config_map("owner", json!({}))).await;
    create(&api, owned_by("child", &[&owner])).await;
    api.delete("owner", &DeleteParams::orphan()).await.unwrap();
    until(api.clone(), "owner", |found| found.is_none()).await;
    assert!(api.get("child").await.unwrap().owner_references().is_empty());
}

#[tokio::test]
async fn a_namespace_goes_after_its_contents() {
    let (cluster, client) = cluster().await;
    let namespaces = Api::<Namespace>::all(client.clone());
    create(&namespaces, json!({"metadata": {"name": "shop"}})).await;
    let api = Api::<ConfigMap>::namespaced(client, "shop");
    create(&api, config_map("plain", json!({}))).await;
    create(
        &api,
        json!({"metadata": {"name": "held", "finalizers": ["x.example.com/f"]}}),
    )
    .await;
    let marked = namespaces
        .delete("shop", &Default::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(marked.status.unwrap().phase.as_deref(), Some("Terminating"));
    until(api.clone(), "plain", |found| found.is_none()).await;
    let path = "/api/v1/namespaces/shop/configmaps";
    let status = failed(
        post(&cluster, path, config_map("new", json!({}))).await,
        403,
        "Forbidden",
    );
    assert_eq!(status["details"]["causes"][0]["reason"], "NamespaceTerminating");
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("held", &Default::default(), &free).await.unwrap();
    until(namespaces, "shop", |found| found.is_none()).await;
}
