//! Faults that answer chosen requests, and faults of the simulated server itself.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::runtime::watcher;
use meridian_simcluster::{ApiAnswer, ApiFault, ApiFaultProxy, ClusterOptions, SimCluster, Times, Verb};
use serde_json::json;

/// A cluster, a proxy before it, and a client of the proxy.
async fn proxied() -> (SimCluster, ApiFaultProxy, kube::Client) {
    let (cluster, _) = cluster().await;
    let upstream = kube::Config::new(format!("http://{}", cluster.address()).parse().unwrap());
    let proxy = ApiFaultProxy::start(upstream).await.unwrap();
    let client = client_at(&cluster, proxy.address()).await;
    (cluster, proxy, client)
}

#[tokio::test]
async fn what_is_no_fault_passes_through() {
    let (_cluster, _proxy, client) = proxied().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let made = create(&api, config_map("a", json!({}))).await;
    let mut watch = std::pin::pin!(api.watch(&WatchParams::default(), "0").await.unwrap());
    let first = tokio::time::timeout(LIMIT, watch.try_next()).await.unwrap().unwrap();
    assert!(matches!(&first, Some(WatchEvent::Added(_))), "{first:?}");
    let patch = Patch::Merge(json!({"data": {"k": "w"}}));
    api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    let next = tokio::time::timeout(LIMIT, watch.try_next()).await.unwrap().unwrap();
    assert!(matches!(&next, Some(WatchEvent::Modified(_))), "{next:?}");
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(status(api.get("a").await).code, 404);
    assert!(made.uid().is_some());
}

#[tokio::test]
async fn chosen_requests_get_the_answer() {
    let (_cluster, proxy, client) = proxied().await;
    let api = Api::<ConfigMap>::default_namespaced(client.clone());
    create(&api, config_map("a", json!({}))).await;
    let check = async |answer: ApiAnswer, code: u16, reason: &str| {
        let fault = proxy.inject(ApiFault::new(answer).on(&[Verb::Get]).of("", "configmaps"));
        let failed = status(api.get("a").await);
        assert_eq!((failed.code, failed.reason.as_str()), (code, reason));
        assert_eq!(proxy.answered(fault), 1);
        assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
        Api::<Namespace>::all(client.clone()).get("default").await.unwrap();
        proxy.lift(fault);
        api.get("a").await.unwrap();
    };
    check(ApiAnswer::TooManyRequests(1), 429, "TooManyRequests").await;
    check(ApiAnswer::InternalError, 500, "InternalError").await;
    check(ApiAnswer::Unavailable, 503, "ServiceUnavailable").await;
    check(ApiAnswer::Forbidden, 403, "Forbidden").await;
    check(ApiAnswer::Gone, 410, "Expired").await;
    proxy.inject(ApiFault::new(ApiAnswer::Unavailable).times(Times::Next(1)));
    assert_eq!(status(api.get("a").await).code, 503);
    api.get("a").await.unwrap();
}

#[tokio::test]
async fn a_watcher_survives_watches_that_are_gone() {
    let (_cluster, proxy, client) = proxied().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    create(&api, config_map("a", json!({}))).await;
    proxy.inject(ApiFault::new(ApiAnswer::Gone).on(&[Verb::Watch]).times(Times::Next(2)));
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
    let mut listed = 0;
    while listed < 3 {
        match tokio::time::timeout(LIMIT, events.next()).await.unwrap().unwrap() {
            Ok(watcher::Event::InitDone) => listed += 1,
            Ok(_) => {}
            Err(watcher::Error::WatchError(status)) => assert_eq!(status.code, 410),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_no_answer_of_the_proxy() {
    let (cluster, _proxy, client) = proxied().await;
    cluster.stop();
    let failed = Api::<ConfigMap>::default_namespaced(client).get("a").await;
    assert!(
        matches!(&failed, Err(error) if !matches!(error, kube::Error::Api(_))),
        "{failed:?}"
    );
}

#[tokio::test]
async fn dropped_watches_end_and_can_be_resumed() {
    let (cluster, client) = cluster().await;
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    let secrets = Api::<Secret>::default_namespaced(client);
    let start = create(&maps, config_map("a", json!({})))
        .await
        .resource_version()
        .unwrap();
    let mut watch = std::pin::pin!(maps.watch(&WatchParams::default(), &start).await.unwrap());
    let mut other = std::pin::pin!(secrets.watch(&WatchParams::default(), &start).await.unwrap());
    cluster.drop_watches(Some("configmaps"));
    let ended = tokio::time::timeout(LIMIT, watch.try_next()).await.unwrap();
    assert!(matches!(ended, Ok(None)), "{ended:?}");
    create(&maps, config_map("b", json!({}))).await;
    let mut again = std::pin::pin!(maps.watch(&WatchParams::default(), &start).await.unwrap());
    let missed = tokio::time::timeout(LIMIT, again.try_next()).await.unwrap().unwrap();
    assert!(
        matches!(&missed, Some(WatchEvent::Added(map)) if map.name_any() == "b"),
        "{missed:?}"
    );
    create(&secrets, json!({"metadata": {"name": "s"}})).await;
    let event = tokio::time::timeout(LIMIT, other.try_next()).await.unwrap().unwrap();
    assert!(
        matches!(event, Some(WatchEvent::Added(_))),
        "the other resource is still watched"
    );
    cluster.drop_watches(None);
    assert!(matches!(
        tokio::time::timeout(LIMIT, other.try_next()).await.unwrap(),
        Ok(None)
    ));
}

#[tokio::test]
async fn stale_reads_show_the_past_while_writes_go_on() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    let a = create(&api, config_map("a", json!({}))).await;
    let start = a.resource_version().unwrap();
    let mut watch = std::pin::pin!(api.watch(&WatchParams::default(), &start).await.unwrap());
    cluster.serve_stale_reads(true);
    let b = create(&api, config_map("b", json!({}))).await;
    let patch = Patch::Merge(json!({"data": {"k": "new"}}));
    let patched = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data.unwrap()["k"], "new");
    assert_eq!(api.get("a").await.unwrap().data.unwrap()["k"], "v");
    assert_eq!(status(api.get("b").await).code, 404);
    let listed = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(
        (listed.items.len(), listed.metadata.resource_version),
        (1, Some(start.clone()))
    );
    let newer = ListParams::default().at(&b.resource_version().unwrap());
    let newer = newer.matching(kube::api::VersionMatch::NotOlderThan);
    assert_eq!(status(api.list(&newer).await).code, 504);
    let mut stale = a.clone();
    stale.data = Some([("k".to_owned(), "mine".to_owned())].into());
    let conflict = api.replace("a", &Default::default(), &stale).await;
    assert_eq!(status(conflict).code, 409, "writes know better");
    cluster.serve_stale_reads(false);
    let mut names = Vec::new();
    while names.len() < 2 {
        match tokio::time::timeout(LIMIT, watch.try_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
        {
            WatchEvent::Added(map) | WatchEvent::Modified(map) => names.push(map.name_any()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(names, ["b", "a"], "the cache has caught up");
    assert_eq!(api.get("a").await.unwrap().data.unwrap()["k"], "new");
}

#[tokio::test]
async fn a_wrong_clock_is_in_all_times() {
    let (cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client);
    cluster.shift_clock(SignedDuration::from_hours(-48));
    let a = value(&create(&api, config_map("a", json!({}))).await);
    let two_days_ago = Timestamp::now() - SignedDuration::from_hours(48);
    for time in [
        &a["metadata"]["creationTimestamp"],
        &a["metadata"]["managedFields"][0]["time"],
    ] {
        let time: Timestamp = time.as_str().unwrap().parse().unwrap();
        let off = time.duration_since(two_days_ago).abs();
        assert!(off < SignedDuration::from_mins(1), "{time}");
    }
    cluster.shift_clock(SignedDuration::ZERO);
    let b = create(&api, config_map("b", json!({}))).await;
    let made = b.creation_timestamp().unwrap().0;
    assert!(made.duration_since(Timestamp::now()).abs() < SignedDuration::from_mins(1));
}

#[tokio::test]
async fn a_twin_takes_the_credentials_and_has_another_identity() {
    let (one, client) = cluster().await;
    let namespaces = Api::<Namespace>::all(client);
    let identity = namespaces.get("kube-system").await.unwrap().uid();
    let two = SimCluster::start(ClusterOptions { ..one.twin() }).await.unwrap();
    let proxy = meridian_simcluster::FaultProxy::start(two.address()).await.unwrap();
    let through = Api::<Namespace>::all(client_at(&one, proxy.address()).await);
    assert_ne!(through.get("kube-system").await.unwrap().uid(), identity);
}
