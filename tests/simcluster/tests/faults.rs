//! The fault proxy in front of a cluster.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::ResourceExt;
use kube::api::{Api, WatchEvent, WatchParams};
use meridian_simcluster::{Fault, FaultProxy, SimCluster};
use serde_json::json;

#[tokio::test]
async fn refuse_cuts_and_none_mends() {
    let (cluster, direct) = cluster().await;
    let proxy = FaultProxy::start(cluster.address()).await.unwrap();
    let api = Api::<ConfigMap>::default_namespaced(client_at(&cluster, proxy.address()).await);
    create(
        &Api::<ConfigMap>::default_namespaced(direct),
        config_map("a", json!({})),
    )
    .await;
    let watch = api.watch(&WatchParams::default(), "0").await.unwrap();
    let mut watch = std::pin::pin!(watch);
    assert!(watch.try_next().await.unwrap().is_some());
    proxy.set(Fault::Refuse);
    let ended = tokio::time::timeout(LIMIT, async { while let Some(Ok(_)) = watch.next().await {} });
    ended.await.unwrap();
    assert!(api.get("a").await.is_err());
    proxy.set(Fault::None);
    assert_eq!(api.get("a").await.unwrap().name_any(), "a");
    proxy.cut();
    assert_eq!(api.get("a").await.unwrap().name_any(), "a");
}

#[tokio::test]
async fn hang_freezes_and_none_thaws() {
    let (cluster, direct) = cluster().await;
    let proxy = FaultProxy::start(cluster.address()).await.unwrap();
    let api = Api::<ConfigMap>::default_namespaced(client_at(&cluster, proxy.address()).await);
    let watch = api.watch(&WatchParams::default(), "0").await.unwrap();
    let mut watch = std::pin::pin!(watch);
    proxy.set(Fault::Hang);
    create(
        &Api::<ConfigMap>::default_namespaced(direct),
        config_map("a", json!({})),
    )
    .await;
    let pause = Duration::from_millis(200);
    assert!(
        tokio::time::timeout(pause, watch.try_next()).await.is_err(),
        "nothing comes through"
    );
    let pending = api.get("a");
    let mut pending = std::pin::pin!(pending);
    assert!(tokio::time::timeout(pause, &mut pending).await.is_err());
    proxy.set(Fault::None);
    let found = tokio::time::timeout(LIMIT, pending).await.unwrap().unwrap();
    assert_eq!(found.name_any(), "a");
    let seen = tokio::time::timeout(LIMIT, watch.try_next()).await.unwrap().unwrap();
    assert!(seen.is_some());
}

#[tokio::test]
async fn retarget_leads_to_another_cluster() {
    let (one, _) = cluster().await;
    let (two, direct) = cluster().await;
    let proxy = FaultProxy::start(one.address()).await.unwrap();
    let api = Api::<Namespace>::all(client_at(&two, proxy.address()).await);
    assert_eq!(
        status(api.get("kube-system").await).code,
        401,
        "the token is of the other cluster"
    );
    proxy.retarget(two.address());
    let through = api.get("kube-system").await.unwrap();
    let identity = Api::<Namespace>::all(direct).get("kube-system").await.unwrap().uid();
    assert_eq!(through.uid(), identity);
    drop(proxy);
    assert!(api.get("kube-system").await.is_err());
}

/// A proxy, a client of it, and a map to ask for.
async fn proxied() -> (SimCluster, FaultProxy, Api<ConfigMap>) {
    let (cluster, direct) = cluster().await;
    let proxy = FaultProxy::start(cluster.address()).await.unwrap();
    let api = Api::<ConfigMap>::default_namespaced(client_at(&cluster, proxy.address()).await);
    create(
        &Api::<ConfigMap>::default_namespaced(direct),
        config_map("a", json!({})),
    )
    .await;
    (cluster, proxy, api)
}

#[tokio::test]
async fn slow_connections_take_their_time() {
    let (_cluster, proxy, api) = proxied().await;
    let began = Instant::now();
    proxy.set(Fault::Slow {
        latency: Duration::from_millis(100),
        bytes_per_second: 1_000_000,
    });
    api.get("a").await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(200), "there and back");
    let began = Instant::now();
    proxy.set(Fault::Slow {
        latency: Duration::ZERO,
        bytes_per_second: 2_000,
    });
    api.get("a").await.unwrap();
    assert!(
        began.elapsed() >= Duration::from_millis(200),
        "some hundred bytes each way"
    );
    proxy.set(Fault::Slow {
        latency: Duration::from_secs(3_600),
        bytes_per_second: 1,
    });
    let mut pending = std::pin::pin!(api.get("a"));
    assert!(
        tokio::time::timeout(Duration::from_millis(100), &mut pending)
            .await
            .is_err()
    );
    proxy.set(Fault::None);
    tokio::time::timeout(LIMIT, pending).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_reset_in_the_middle_of_an_answer() {
    let (_cluster, proxy, api) = proxied().await;
    proxy.set(Fault::ResetAfter(300));
    let cut = tokio::time::timeout(LIMIT, api.get("a")).await.unwrap();
    assert!(
        matches!(&cut, Err(error) if !matches!(error, kube::Error::Api(_))),
        "{cut:?}"
    );
    proxy.set(Fault::None);
    api.get("a").await.unwrap();
    let mut watch = std::pin::pin!(api.watch(&WatchParams::default(), "0").await.unwrap());
    assert!(watch.try_next().await.unwrap().is_some());
    proxy.set(Fault::ResetAfter(0));
    let patch = kube::api::Patch::Merge(json!({"data": {"k": "w"}}));
    assert!(api.patch("a", &Default::default(), &patch).await.is_err());
    let ended = tokio::time::timeout(LIMIT, watch.try_next()).await.unwrap();
    assert!(!matches!(ended, Ok(Some(WatchEvent::Modified(_)))), "{ended:?}");
}

#[tokio::test]
async fn half_open_connections_say_nothing_and_do_not_end() {
    let (cluster, proxy, api) = proxied().await;
    let direct = Api::<ConfigMap>::default_namespaced(client(&cluster).await);
    let mut watch = std::pin::pin!(api.watch(&WatchParams::default(), "0").await.unwrap());
    assert!(watch.try_next().await.unwrap().is_some());
    proxy.set(Fault::HalfOpen);
    let pause = Duration::from_millis(200);
    let mut made = std::pin::pin!(create(&api, config_map("b", json!({}))));
    assert!(tokio::time::timeout(pause, &mut made).await.is_err());
    assert_eq!(
        direct.get("b").await.unwrap().name_any(),
        "b",
        "the request got through"
    );
    cluster.stop();
    assert!(
        tokio::time::timeout(pause, watch.try_next()).await.is_err(),
        "not even the end"
    );
    proxy.set(Fault::None);
    let ended = tokio::time::timeout(LIMIT, watch.try_next()).await.unwrap();
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
}

#[tokio::test]
async fn garbage_is_an_error_and_no_answer() {
    let (_cluster, proxy, api) = proxied().await;
    proxy.set(Fault::Garbage);
    let got = tokio::time::timeout(LIMIT, api.get("a")).await.unwrap();
    assert!(
        matches!(&got, Err(error) if !matches!(error, kube::Error::Api(_))),
        "{got:?}"
    );
    proxy.set(Fault::None);
    api.get("a").await.unwrap();
}
