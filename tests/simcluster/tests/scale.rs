//! Many watches of one resource.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Instant;

use common::*;
use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

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
        // Lines as they come: what is measured is the server, not what a client makes of them.
        let request = Request::get(format!(
            "/api/v1/namespaces/default/configmaps?watch=1&resourceVersion={start}"
        ));
        let mut lines = client
            .request_stream(request.body(Vec::new()).unwrap())
            .await
            .unwrap()
            .lines();
        readers.spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < WRITES {
                seen.push(lines.try_next().await.unwrap().unwrap());
            }
            seen
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
            let rounds = seen.unwrap().into_iter().map(|line| {
                let event: Value = serde_json::from_str(&line).unwrap();
                event["object"]["data"]["round"].as_str().unwrap().to_owned()
            });
            assert_eq!(rounds.collect::<Vec<String>>(), wanted);
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
