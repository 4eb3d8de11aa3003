//! Many watches of one resource.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Instant;

use common::*;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_watches_lose_nothing() {
    const WATCHES: usize = 1_000;
    const WRITES: usize = 20;
    let (_cluster, client) = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(client.clone());
    let start = create(&api, config_map("a", json!({})))
        .await
        .resource_version()
        .unwrap();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..WATCHES {
        let watch = api.watch(&WatchParams::default(), &start).await.unwrap();
        readers.spawn(async move {
            let events = watch.try_filter_map(|event| async move {
                Ok(match event {
                    WatchEvent::Modified(map) => map.data.unwrap_or_default().get("round").cloned(),
                    _ => None,
                })
            });
            events.take(WRITES).try_collect::<Vec<String>>().await.unwrap()
        });
    }
    let began = Instant::now();
    for round in 0..WRITES {
        let patch = Patch::Merge(json!({"data": {"round": round.to_string()}}));
        api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    }
    let wanted: Vec<String> = (0..WRITES).map(|round| round.to_string()).collect();
    let all = async {
        while let Some(seen) = readers.join_next().await {
            assert_eq!(seen.unwrap(), wanted);
        }
    };
    tokio::time::timeout(LIMIT * 6, all).await.unwrap();
    let took = began.elapsed();
    let rate = (WATCHES * WRITES) as f64 / took.as_secs_f64();
    println!(
        "{} deliveries in {took:?}: {rate:.0}/s, client and server in one process",
        WATCHES * WRITES
    );
}
