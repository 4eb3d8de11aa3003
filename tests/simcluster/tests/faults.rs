//! The fault proxy in front of a cluster.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::ResourceExt;
use kube::api::{Api, WatchParams};
use meridian_simcluster::{Fault, FaultProxy};
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
