//! What a delete means for dependents, for running pods, and for namespaces.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use http::{Method, header};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PropagationPolicy};
use meridian_simcluster::SimCluster;
use serde_json::{Value, json};

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

async fn delete(cluster: &SimCluster, path: &str, body: Value) -> Raw {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    raw(cluster, Method::DELETE, path, &JSON, body).await
}

fn dependent(name: &str, owner: &ConfigMap, blocks: bool) -> Value {
    json!({"metadata": {"name": name, "ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid(),
        "blockOwnerDeletion": blocks,
    }]}})
}

fn held(mut object: Value) -> Value {
    object["metadata"]["finalizers"] = json!(["x.example.com/held"]);
    object
}

async fn free(api: &Api<ConfigMap>, name: &str) {
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch(name, &Default::default(), &patch).await.unwrap();
}

async fn maps() -> (SimCluster, Api<ConfigMap>) {
    let (cluster, client) = cluster().await;
    (cluster, Api::default_namespaced(client))
}

#[tokio::test]
async fn options_that_contradict_themselves_are_refused() {
    let (cluster, api) = maps().await;
    create(&api, config_map("a", json!({}))).await;
    let path = "/api/v1/namespaces/default/configmaps/a";
    let check = async |query: &str, body: Value, field: &str| {
        let status = failed(delete(&cluster, &format!("{path}{query}"), body).await, 422, "Invalid");
        assert_eq!(status["details"]["kind"], "DeleteOptions");
        assert_eq!(status["details"]["causes"][0]["field"], field, "{status}");
    };
    let both = json!({"propagationPolicy": "Foreground", "orphanDependents": false});
    check("", both, "propagationPolicy").await;
    check(
        "?propagationPolicy=Orphan&orphanDependents=true",
        Value::Null,
        "propagationPolicy",
    )
    .await;
    check("", json!({"propagationPolicy": "Sideways"}), "propagationPolicy").await;
    check("?dryRun=Some", Value::Null, "dryRun").await;
    let wrong_type = delete(&cluster, path, json!({"gracePeriodSeconds": "soon"})).await;
    failed(wrong_type, 400, "BadRequest");
    api.get("a").await.unwrap();
}

#[tokio::test]
async fn a_dry_run_decides_and_does_nothing() {
    let (cluster, api) = maps().await;
    let a = create(&api, config_map("a", json!({}))).await;
    let path = "/api/v1/namespaces/default/configmaps/a";
    let told = delete(&cluster, &format!("{path}?dryRun=All"), Value::Null).await;
    assert_eq!((told.code, &told.body["status"]), (200, &json!("Success")));
    let body = json!({"dryRun": ["All"], "propagationPolicy": "Foreground"});
    let told = delete(&cluster, path, body).await.body;
    assert_eq!(told["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    let collection = "/api/v1/namespaces/default/configmaps?dryRun=All";
    assert_eq!(
        delete(&cluster, collection, Value::Null).await.body["items"][0]["metadata"]["name"],
        "a"
    );
    assert_eq!(api.get("a").await.unwrap().resource_version(), a.resource_version());
}

#[tokio::test]
async fn foreground_waits_for_the_dependents_that_block() {
    let (cluster, api) = maps().await;
    let owner = create(&api, config_map("owner", json!({}))).await;
    create(&api, held(dependent("blocking", &owner, true))).await;
    create(&api, held(dependent("free", &owner, false))).await;
    let marked = api
        .delete("owner", &DeleteParams::foreground())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(marked.finalizers(), ["foregroundDeletion"]);
    for name in ["blocking", "free"] {
        let going = until(api.clone(), name, |found| {
            found.is_some_and(|map| map.metadata.deletion_timestamp.is_some())
        });
        going.await;
    }
    assert!(api.get("owner").await.is_ok(), "a dependent that blocks is still there");
    free(&api, "blocking").await;
    until(api.clone(), "owner", |found| found.is_none()).await;
    assert!(api.get("free").await.is_ok(), "nobody waited for it");
    let answer = delete(&cluster, "/api/v1/namespaces/default/configmaps/owner", Value::Null).await;
    failed(answer, 404, "NotFound");
}

#[tokio::test]
async fn foreground_goes_all_the_way_down() {
    let (_cluster, api) = maps().await;
    let owner = create(&api, config_map("owner", json!({}))).await;
    let child = create(&api, dependent("child", &owner, true)).await;
    create(&api, held(dependent("grandchild", &child, true))).await;
    api.delete("owner", &DeleteParams::foreground()).await.unwrap();
    let waiting = until(api.clone(), "child", |found| {
        found.is_some_and(|map| map.finalizers() == ["foregroundDeletion"])
    });
    waiting.await;
    free(&api, "grandchild").await;
    until(api.clone(), "owner", |found| found.is_none()).await;
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_later_policy_replaces_an_earlier_one() {
    let (_cluster, api) = maps().await;
    let owner = create(&api, config_map("owner", json!({}))).await;
    create(&api, held(dependent("child", &owner, true))).await;
    api.delete("owner", &DeleteParams::foreground()).await.unwrap();
    api.delete("owner", &DeleteParams::background()).await.unwrap();
    assert_eq!(status(api.get("owner").await).code, 404);
}

#[tokio::test]
async fn owners_in_other_places_are_absent_or_unknown() {
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client.clone());
    let elsewhere = Api::<ConfigMap>::namespaced(client.clone(), "kube-public");
    let owner = create(&elsewhere, config_map("owner", json!({}))).await;
    create(&api, dependent("lost", &owner, false)).await;
    until(api.clone(), "lost", |found| found.is_none()).await;
    let mut unknown = dependent("unknown", &owner, false);
    unknown["metadata"]["ownerReferences"][0]["kind"] = json!("Nothing");
    create(&api, unknown).await;
    let namespaces = Api::<Namespace>::all(client);
    create(&namespaces, dependent("outside", &owner, false)).await;
    // What comes later is judged later.
    create(&api, dependent("later", &owner, false)).await;
    until(api.clone(), "later", |found| found.is_none()).await;
    assert!(api.get("unknown").await.is_ok());
    assert!(namespaces.get("outside").await.is_ok());
}

#[tokio::test]
async fn running_pods_get_time_to_end() {
    let (_cluster, client) = cluster().await;
    let api = Api::<Pod>::default_namespaced(client);
    let pod = |name: &str, node: Option<&str>| {
        json!({"metadata": {"name": name}, "spec": {"nodeName": node, "terminationGracePeriodSeconds": 60,
            "containers": [{"name": "c", "image": "i"}]}})
    };
    create(&api, pod("waiting", None)).await;
    api.delete("waiting", &Default::default()).await.unwrap();
    assert_eq!(status(api.get("waiting").await).code, 404, "it runs nowhere");
    create(&api, pod("running", Some("node"))).await;
    let marked = api
        .delete("running", &Default::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(marked.metadata.deletion_grace_period_seconds, Some(60));
    let end = |pod: &Pod| pod.metadata.deletion_timestamp.clone().unwrap().0;
    assert!(end(&marked) > jiff::Timestamp::now(), "when the time is over");
    let longer = api.delete("running", &DeleteParams::default().grace_period(90)).await;
    assert_eq!(
        longer.unwrap().left().unwrap().resource_version(),
        marked.resource_version()
    );
    let shorter = api.delete("running", &DeleteParams::default().grace_period(20)).await;
    let shorter = shorter.unwrap().left().unwrap();
    assert_eq!(end(&marked).duration_since(end(&shorter)).as_secs(), 40);
    let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    api.patch("running", &Default::default(), &patch).await.unwrap();
    api.delete("running", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert_eq!(status(api.get("running").await).code, 404);
}

#[tokio::test]
async fn collections_obey_selectors_limits_and_policies() {
    let (cluster, api) = maps().await;
    for name in ["a", "b", "c"] {
        create(&api, config_map(name, json!({"app": "x"}))).await;
    }
    let owner = create(&api, config_map("owner", json!({"app": "y"}))).await;
    create(&api, dependent("child", &owner, false)).await;
    let path = "/api/v1/namespaces/default/configmaps";
    let gone = delete(&cluster, &format!("{path}?labelSelector=app%3Dx&limit=2"), Value::Null).await;
    assert_eq!(gone.body["items"].as_array().unwrap().len(), 2);
    assert_eq!(status(api.get("b").await).code, 404);
    api.get("c").await.unwrap();
    let orphaning = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    api.delete_collection(&orphaning, &ListParams::default().fields("metadata.name=owner"))
        .await
        .unwrap();
    until(api.clone(), "owner", |found| found.is_none()).await;
    assert!(api.get("child").await.unwrap().owner_references().is_empty());
}

#[tokio::test]
async fn a_namespace_says_what_holds_it() {
    let (cluster, client) = cluster().await;
    let namespaces = Api::<Namespace>::all(client.clone());
    let made = create(&namespaces, json!({"metadata": {"name": "shop"}})).await;
    assert_eq!(made.spec.unwrap().finalizers.unwrap(), ["kubernetes"]);
    let api = Api::<ConfigMap>::namespaced(client.clone(), "shop");
    create(&api, held(config_map("a", json!({})))).await;
    let secrets = Api::<Secret>::namespaced(client, "shop");
    create(&secrets, json!({"metadata": {"name": "s"}})).await;
    namespaces.delete("shop", &Default::default()).await.unwrap();
    let condition = |namespace: &Namespace, kind: &str| -> Option<Value> {
        let conditions = value(&namespace.status)["conditions"].as_array().cloned();
        conditions?.into_iter().find(|condition| condition["type"] == kind)
    };
    let told = until(namespaces.clone(), "shop", |found| {
        found.is_some_and(|namespace| condition(namespace, "NamespaceContentRemaining").is_some())
    });
    let told = told.await.unwrap();
    let remaining = condition(&told, "NamespaceContentRemaining").unwrap();
    assert_eq!(
        (&remaining["status"], &remaining["reason"]),
        (&json!("True"), &json!("SomeResourcesRemain"))
    );
    let finalizers = condition(&told, "NamespaceFinalizersRemaining").unwrap();
    assert!(
        finalizers["message"]
            .as_str()
            .unwrap()
            .contains("x.example.com/held in 1")
    );
    free(&api, "a").await;
    until(namespaces, "shop", |found| found.is_none()).await;
    let path = "/api/v1/namespaces/shop/configmaps";
    failed(post(&cluster, path, config_map("a", json!({}))).await, 404, "NotFound");
}

#[tokio::test]
async fn finalizers_of_a_namespace_are_changed_by_finalize_alone() {
    let (cluster, client) = cluster().await;
    let namespaces = Api::<Namespace>::all(client.clone());
    create(
        &namespaces,
        json!({"metadata": {"name": "shop"}, "spec": {"finalizers": ["kubernetes", "x.example.com/f"]}}),
    )
    .await;
    let patch = Patch::Merge(json!({"spec": {"finalizers": []}}));
    let patched = namespaces.patch("shop", &Default::default(), &patch).await.unwrap();
    assert_eq!(patched.spec.unwrap().finalizers.unwrap().len(), 2);
    namespaces.delete("shop", &Default::default()).await.unwrap();
    let left = until(namespaces.clone(), "shop", |found| {
        found.is_some_and(|namespace| namespace.spec.as_ref().unwrap().finalizers.as_ref().unwrap().len() == 1)
    });
    let mut left = value(&left.await.unwrap());
    left["spec"]["finalizers"] = json!([]);
    left["apiVersion"] = json!("v1");
    left["kind"] = json!("Namespace");
    let path = "/api/v1/namespaces/shop/finalize";
    let answer = raw(&cluster, Method::PUT, path, &JSON, left.to_string()).await;
    assert_eq!(answer.code, 200, "{}", answer.body);
    assert_eq!(status(namespaces.get("shop").await).code, 404);
    for name in ["default", "kube-system", "kube-public"] {
        let refused = status(namespaces.delete(name, &Default::default()).await);
        assert_eq!((refused.code, refused.reason.as_str()), (403, "Forbidden"));
    }
}

#[tokio::test]
async fn marking_raises_the_generation_once() {
    let (_cluster, client) = cluster().await;
    let api = Api::<k8s_openapi::api::apps::v1::Deployment>::default_namespaced(client);
    create(&api, held(deployment("a", 1))).await;
    let marked = api.delete("a", &Default::default()).await.unwrap().left().unwrap();
    assert_eq!(marked.metadata.generation, Some(2));
    let again = api.delete("a", &Default::default()).await.unwrap().left().unwrap();
    assert_eq!(again.metadata.generation, Some(2));
}
