//! Watches: where they start, what they say, and when they must end.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Instant;

use common::*;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
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
    let answer = get(&cluster, &path).await;
    assert_eq!((answer.code, &answer.body["type"]), (200, &json!("ERROR")));
    assert_eq!(answer.body["object"]["code"], 410);
    assert_eq!(answer.body["object"]["reason"], "Expired");
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
async fn a_version_from_the_future_is_waited_for() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let a = create(&api, config_map("a", json!({}))).await;
    let version: u64 = a.resource_version().unwrap().parse().unwrap();
    let watch = api.watch(&WatchParams::default(), &(version + 1).to_string()).await;
    let mut watch = std::pin::pin!(watch.unwrap());
    create(&api, config_map("b", json!({}))).await;
    create(&api, config_map("c", json!({}))).await;
    let event = tokio::time::timeout(LIMIT, watch.try_next()).await.unwrap().unwrap();
    assert!(
        matches!(&event, Some(WatchEvent::Added(map)) if map.name_any() == "c"),
        "{event:?}"
    );
    let streamed = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=4711";
    let events = lines(&cluster, streamed).await;
    assert_eq!(events[0].0, "ERROR");
    assert_eq!(events[0].1["code"], 504);
    assert_eq!(events[0].1["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
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

#[tokio::test]
async fn a_bookmark_says_how_far_a_quiet_watch_is() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client.clone());
    create(&api, config_map("a", json!({}))).await;
    let secrets = Api::<Secret>::default_namespaced(client);
    let other = create(&secrets, json!({"metadata": {"name": "s"}})).await;
    let events = lines(
        &cluster,
        "&allowWatchBookmarks=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
    )
    .await;
    assert_eq!(said(&events), ["BOOKMARK "]);
    assert_eq!(
        events[0].1["metadata"]["resourceVersion"],
        value(&other)["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn a_busy_resource_does_not_push_a_quiet_one_out() {
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client.clone());
    let start = create(&api, config_map("a", json!({})))
        .await
        .resource_version()
        .unwrap();
    let secrets = Api::<Secret>::default_namespaced(client);
    create(&secrets, json!({"metadata": {"name": "s"}})).await;
    let big = "x".repeat(500_000);
    for round in 0..20 {
        let patch = Patch::Merge(json!({"stringData": {"k": format!("{round}{big}")}}));
        secrets.patch("s", &Default::default(), &patch).await.unwrap();
    }
    create(&api, config_map("b", json!({}))).await;
    let mut watch = std::pin::pin!(api.watch(&WatchParams::default(), &start).await.unwrap());
    let event = tokio::time::timeout(LIMIT, watch.try_next()).await.unwrap().unwrap();
    assert!(
        matches!(&event, Some(WatchEvent::Added(map)) if map.name_any() == "b"),
        "{event:?}"
    );
}

/// The memory of this process in bytes.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn readers_that_stop_reading_cost_bounded_memory() {
    const READERS: usize = 30;
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let start = create(&api, config_map("a", json!({})))
        .await
        .resource_version()
        .unwrap();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(api.watch(&WatchParams::default(), &start).await.unwrap());
    }
    let big = "x".repeat(100_000);
    let write = async |round: u32| {
        let patch = Patch::Merge(json!({"data": {"k": format!("{round}{big}")}}));
        api.patch("a", &Default::default(), &patch).await.unwrap();
    };
    for round in 0..60 {
        write(round).await;
    }
    // Now all that a reader may cost is in use: what its connection buffers, and one chunk.
    let before = memory();
    for round in 60..160 {
        write(round).await;
    }
    let grown = memory().saturating_sub(before);
    let told = READERS * 100 * big.len();
    assert!(grown < told / 20, "{grown} bytes more for {told} bytes not read");
    let mut reader = std::pin::pin!(readers.pop().unwrap());
    let mut last = None;
    while let Some(event) = tokio::time::timeout(LIMIT, reader.try_next()).await.unwrap().unwrap() {
        last = Some(event);
    }
    assert!(
        matches!(&last, Some(WatchEvent::Error(status)) if status.code == 410),
        "{last:?}"
    );
    drop(cluster);
}
