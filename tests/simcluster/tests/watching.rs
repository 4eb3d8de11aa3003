//! Watches: where they start, what they say, and when they must end.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Instant;

use common::*;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, Patch, WatchEvent, WatchParams};
use kube::runtime::watcher;
use serde_json::{Value, json};

/// The events of a watch that ends by its own time limit, as `(type, name)`.
async fn lines(cluster: &meridian_simcluster::SimCluster, query: &str) -> Vec<(String, Value)> {
    let path = format!("/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1{query}");
    let answer = get(cluster, &path).await;
    let text = match &answer.body {
        Value::String(text) => text.clone(),
        one => one.to_string(),
    };
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|mut line| {
            (
                line["type"].as_str().unwrap_or_default().to_owned(),
                line["object"].take(),
            )
        })
        .collect()
}

fn said(events: &[(String, Value)]) -> Vec<String> {
    let text = |(kind, object): &(String, Value)| {
        format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or_default())
    };
    events.iter().map(text).collect()
}

#[tokio::test]
async fn where_a_watch_starts() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let a = create(&api, config_map("a", json!({}))).await;
    create(&api, config_map("b", json!({}))).await;
    api.delete("b", &Default::default()).await.unwrap();
    let version = a.resource_version().unwrap();
    assert_eq!(said(&lines(&cluster, "").await), ["ADDED a"]);
    assert_eq!(said(&lines(&cluster, "&resourceVersion=0").await), ["ADDED a"]);
    let exact = lines(&cluster, &format!("&resourceVersion={version}")).await;
    assert_eq!(said(&exact), ["ADDED b", "DELETED b"]);
    let removed: u64 = exact[1].1["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(removed > version.parse().unwrap());
    assert!(cluster.committed_at(removed).unwrap() <= Instant::now());
    assert_eq!(cluster.committed_at(removed + 1), None);
}

#[tokio::test]
async fn entering_and_leaving_a_selector() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let a = create(&api, config_map("a", json!({}))).await;
    let label = async |value: &str| {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"app": value}}}));
        api.patch("a", &Default::default(), &patch).await.unwrap();
    };
    label("x").await;
    label("y").await;
    label("x").await;
    api.delete("a", &Default::default()).await.unwrap();
    let version = a.resource_version().unwrap();
    let events = lines(&cluster, &format!("&labelSelector=app%3Dx&resourceVersion={version}")).await;
    assert_eq!(said(&events), ["ADDED a", "DELETED a", "ADDED a", "DELETED a"]);
}

#[tokio::test]
async fn bookmarks_and_streaming_lists() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    create(&api, config_map("a", json!({}))).await;
    let events = lines(&cluster, "&allowWatchBookmarks=true").await;
    assert_eq!(said(&events), ["ADDED a", "BOOKMARK "]);
    let query = "&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let events = lines(&cluster, query).await;
    assert_eq!(said(&events), ["ADDED a", "BOOKMARK ", "BOOKMARK "]);
    let annotations = |index: usize| events[index].1["metadata"]["annotations"].clone();
    assert_eq!(annotations(1), json!({"k8s.io/initial-events-end": "true"}));
    assert_eq!(annotations(2), Value::Null);
    let path = "/api/v1/configmaps?watch=1&resourceVersionMatch=NotOlderThan";
    failed(get(&cluster, path).await, 422, "Invalid");
}

#[tokio::test]
async fn the_watcher_of_kube_in_both_modes() {
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    create(&api, config_map("a", json!({}))).await;
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let mut events = std::pin::pin!(watcher(api.clone(), config));
        let mut kinds = Vec::new();
        while kinds.last() != Some(&"done") {
            kinds.push(
                match tokio::time::timeout(LIMIT, events.next())
                    .await
                    .unwrap()
                    .unwrap()
                    .unwrap()
                {
                    watcher::Event::Init => "init",
                    watcher::Event::InitApply(_) => "object",
                    watcher::Event::InitDone => "done",
                    other => panic!("{other:?}"),
                },
            );
        }
        assert_eq!(kinds, ["init", "object", "done"]);
        let patch = Patch::Merge(json!({"data": {"k": format!("{:?}", std::time::Instant::now())}}));
        let written = api.patch("a", &Default::default(), &patch).await.unwrap();
        let seen = tokio::time::timeout(LIMIT, events.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let watcher::Event::Apply(seen) = seen else {
            panic!("{seen:?}")
        };
        assert_eq!(seen.resource_version(), written.resource_version());
    }
}

#[tokio::test]
async fn too_old_versions_expire() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let a = create(&api, config_map("a", json!({}))).await;
    create(&api, config_map("b", json!({}))).await;
    cluster.compact();
    let version = a.resource_version().unwrap();
    let path = format!("/api/v1/configmaps?watch=1&resourceVersion={version}");
    failed(get(&cluster, &path).await, 410, "Expired");
    let now = api
        .list(&Default::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let events = lines(&cluster, &format!("&resourceVersion={now}")).await;
    assert_eq!(said(&events), Vec::<String>::new());
}

#[tokio::test]
async fn a_watch_that_falls_behind_is_told_inside_the_stream() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let start = create(&api, config_map("a", json!({})))
        .await
        .resource_version()
        .unwrap();
    let stream = api.watch(&WatchParams::default(), &start).await.unwrap();
    let mut stream = std::pin::pin!(stream);
    // The watch has not been read yet when its past is forgotten: the server makes bytes on demand.
    let big = "x".repeat(200_000);
    for round in 0..100 {
        let patch = Patch::Merge(json!({"data": {"k": format!("{round}{big}")}}));
        api.patch("a", &Default::default(), &patch).await.unwrap();
    }
    cluster.compact();
    let mut last = None;
    while let Some(event) = tokio::time::timeout(LIMIT, stream.try_next()).await.unwrap().unwrap() {
        last = Some(event);
    }
    let Some(WatchEvent::Error(status)) = last else {
        panic!("{last:?}")
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn a_version_from_the_future_is_refused() {
    let (cluster, client) = cluster().await;
    let path = "/api/v1/configmaps?watch=1&resourceVersion=4711";
    let status = failed(get(&cluster, path).await, 504, "Timeout");
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("Too large resource version")
    );
    let api = Api::<ConfigMap>::default_namespaced(client);
    let watch = api.watch(&WatchParams::default(), "4711").await.map(drop);
    assert_eq!(common::status(watch).code, 504);
}

#[tokio::test]
async fn stopping_a_cluster_ends_its_watches() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let stream = api.watch(&WatchParams::default(), "0").await.unwrap();
    let mut stream = std::pin::pin!(stream);
    cluster.stop();
    let ended = tokio::time::timeout(LIMIT, async { while let Some(Ok(_)) = stream.next().await {} });
    ended.await.unwrap();
    assert!(api.list(&Default::default()).await.is_err());
}

#[tokio::test]
async fn a_write_is_seen_at_once() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let stream = api.watch(&WatchParams::default(), "0").await.unwrap();
    let mut stream = std::pin::pin!(stream);
    let mut delays = Vec::new();
    for round in 0..50 {
        let name = format!("m{round}");
        let written = create(&api, config_map(&name, json!({}))).await;
        let event = tokio::time::timeout(LIMIT, stream.try_next()).await.unwrap().unwrap();
        let Some(WatchEvent::Added(seen)) = event else {
            panic!("{event:?}")
        };
        assert_eq!(seen.name_any(), name);
        let version = written.resource_version().unwrap().parse().unwrap();
        delays.push(cluster.committed_at(version).unwrap().elapsed());
    }
    delays.sort();
    println!(
        "from commit to the client's hands: median {:?}, worst {:?}",
        delays[25], delays[49]
    );
}
