//! Versions, pages and options of lists.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use meridian_simcluster::SimCluster;
use serde_json::{Value, json};

/// A cluster with three maps, the first of which is of the version returned.
async fn three() -> (SimCluster, Api<ConfigMap>, u64) {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let first = create(&api, config_map("a", json!({"app": "x"}))).await;
    create(&api, config_map("b", json!({"app": "x"}))).await;
    create(&api, config_map("c", json!({"app": "x"}))).await;
    (cluster, api, first.resource_version().unwrap().parse().unwrap())
}

fn path(query: &str) -> String {
    format!("/api/v1/namespaces/default/configmaps?{query}")
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn what_version_a_list_shows() {
    let (cluster, api, first) = three().await;
    api.delete("b", &DeleteParams::default()).await.unwrap();
    let check = async |query: &str, wanted: &[&str]| {
        let list = get(&cluster, &path(query)).await.body;
        assert_eq!(names(&list), wanted, "{query}");
        list["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
    };
    let newest = check("", &["a", "c"]).await;
    assert_eq!(check("resourceVersion=0", &["a", "c"]).await, newest);
    assert_eq!(check(&format!("resourceVersion={first}"), &["a", "c"]).await, newest);
    let rule = "resourceVersionMatch=NotOlderThan";
    assert_eq!(
        check(&format!("resourceVersion={first}&{rule}"), &["a", "c"]).await,
        newest
    );
    assert_eq!(check(&format!("resourceVersion=0&{rule}"), &["a", "c"]).await, newest);
    let exact = format!("resourceVersion={first}&resourceVersionMatch=Exact");
    assert_eq!(check(&exact, &["a"]).await, first.to_string());
    let two = first + 2;
    let limited = format!("resourceVersion={two}&limit=9");
    assert_eq!(
        check(&limited, &["a", "b", "c"]).await,
        two.to_string(),
        "a limit makes it exact"
    );
    cluster.compact();
    failed(get(&cluster, &path(&exact)).await, 410, "Expired");
}

#[tokio::test]
async fn options_that_contradict_themselves_are_refused() {
    let (cluster, _, first) = three().await;
    let check = async |query: String, code: u16, reason: &str| {
        failed(get(&cluster, &path(&query)).await, code, reason);
    };
    check("resourceVersionMatch=Exact".into(), 422, "Invalid").await;
    check("resourceVersionMatch=NotOlderThan".into(), 422, "Invalid").await;
    check("resourceVersionMatch=Exact&resourceVersion=0".into(), 422, "Invalid").await;
    check(
        format!("resourceVersionMatch=Other&resourceVersion={first}"),
        422,
        "Invalid",
    )
    .await;
    check("sendInitialEvents=true".into(), 422, "Invalid").await;
    check("resourceVersion=4711".into(), 504, "Timeout").await;
    check("resourceVersion=4711&resourceVersionMatch=Exact".into(), 504, "Timeout").await;
    check("resourceVersion=new".into(), 400, "BadRequest").await;
    check("continue=nonsense".into(), 400, "BadRequest").await;
    let page = get(&cluster, &path("limit=1")).await.body;
    let token = page["metadata"]["continue"].as_str().unwrap();
    check(format!("continue={token}&resourceVersion={first}"), 400, "BadRequest").await;
    let both = format!("continue={token}&resourceVersion={first}&resourceVersionMatch=Exact");
    check(both, 422, "Invalid").await;
    let one = "/api/v1/namespaces/default/configmaps/a?resourceVersion=4711";
    failed(get(&cluster, one).await, 504, "Timeout");
}

#[tokio::test]
async fn how_many_are_left_is_told_for_lists_of_everything() {
    let (cluster, _, _) = three().await;
    let meta = async |query: &str| get(&cluster, &path(query)).await.body["metadata"].clone();
    assert_eq!(meta("limit=2").await["remainingItemCount"], 1);
    let selected = meta("limit=2&labelSelector=app%3Dx").await;
    assert_eq!(selected.get("remainingItemCount"), None);
    assert!(selected["continue"].is_string());
    for all in [meta("limit=3").await, meta("limit=0").await, meta("").await] {
        assert_eq!((all.get("continue"), all.get("remainingItemCount")), (None, None));
    }
}

#[tokio::test]
async fn a_page_that_expired_comes_with_a_token_for_the_rest() {
    let (cluster, api, _) = three().await;
    let page = get(&cluster, &path("limit=1")).await.body;
    let token = page["metadata"]["continue"].as_str().unwrap();
    api.delete("b", &DeleteParams::default()).await.unwrap();
    cluster.compact();
    let expired = failed(
        get(&cluster, &path(&format!("limit=1&continue={token}"))).await,
        410,
        "Expired",
    );
    let token = expired["metadata"]["continue"].as_str().unwrap();
    let rest = get(&cluster, &path(&format!("limit=1&continue={token}"))).await.body;
    assert_eq!(names(&rest), ["c"], "as it is now");
}
