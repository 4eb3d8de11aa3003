//! What an object costs; alone in its process, which is what is measured.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use serde_json::{Value, json};

/// The memory of this process in bytes.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn slice(name: &str, service: &str) -> Value {
    let endpoint = |last: u32| {
        json!({"addresses": [format!("10.1.0.{last}")], "conditions": {"ready": true, "serving": true},
            "nodeName": "node-1", "zone": "zone-a",
            "targetRef": {"kind": "Pod", "namespace": "default", "name": format!("{service}-{last}")}})
    };
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
        "addressType": "IPv4",
        "endpoints": (0..3).map(endpoint).collect::<Vec<Value>>(),
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    })
}

#[tokio::test]
async fn an_object_fits_into_the_budget_of_a_large_fleet() {
    const SERVICES: usize = 200;
    // 4 GiB for 500 clusters of 600 objects.
    const BUDGET: usize = 13 * 1024;
    let (_cluster, client) = cluster().await;
    let services = Api::<Service>::default_namespaced(client.clone());
    let slices = Api::<EndpointSlice>::default_namespaced(client);
    let fill = async |prefix: &str, count: usize| {
        for index in 0..count {
            let name = format!("{prefix}{index}");
            create(&services, service(&name)).await;
            create(&slices, slice(&format!("{name}-a"), &name)).await;
            create(&slices, slice(&format!("{name}-b"), &name)).await;
        }
    };
    // What the first requests make once is not what objects cost.
    fill("warm", 20).await;
    let before = memory();
    fill("s", SERVICES).await;
    let each = memory().saturating_sub(before) / (SERVICES * 3);
    println!("{each} bytes an object, with managedFields and history");
    assert!(each < BUDGET / 2, "{each} bytes an object");
}
