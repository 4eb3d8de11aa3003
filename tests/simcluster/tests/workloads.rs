//! The workload side: pods, slices, load balancers.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::workloads::*;
use common::*;
use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams, Patch};
use kube::runtime::conditions;
use kube::{Client, ResourceExt};
use meridian_simcluster::READY_ANNOTATION;
use serde_json::{Value, json};

const PORT: u16 = 28_080;

fn balanced() -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"tier": "front"}},
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    })
}

fn ready(slice: &EndpointSlice) -> Vec<String> {
    let endpoints = slice.endpoints.iter();
    let ready = endpoints.filter(|endpoint| endpoint.conditions.as_ref().unwrap().ready == Some(true));
    ready
        .map(|endpoint| endpoint.target_ref.as_ref().unwrap().name.clone().unwrap())
        .collect()
}

async fn address(client: &Client) -> String {
    let services = Api::<Service>::default_namespaced(client.clone());
    let service = until(services, "web", conditions_of_address).await.unwrap();
    let ingress = service.status.unwrap().load_balancer.unwrap().ingress.unwrap();
    ingress[0].ip.clone().unwrap()
}

fn conditions_of_address(service: Option<&Service>) -> bool {
    let status = service.and_then(|service| service.status.as_ref());
    status
        .and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref())
        .is_some()
}

async fn ask(address: &str) -> Result<Raw, ()> {
    let client =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http::<Full<Bytes>>();
    let uri: http::Uri = format!("http://{address}:{PORT}/").parse().unwrap();
    let request = Request::get(uri).body(Full::default()).unwrap();
    match client.request(request.clone()).await {
        Ok(_) => Ok(send(request).await),
        Err(_) => Err(()),
    }
}

/// Asks until the answer is as wanted; listeners follow the cluster with a small delay.
async fn ask_until(address: &str, wanted: impl Fn(&Result<Raw, ()>) -> bool) -> Result<Raw, ()> {
    let asked = tokio::time::timeout(LIMIT, async {
        loop {
            let answer = ask(address).await;
            if wanted(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    asked.await.unwrap()
}

#[tokio::test]
async fn from_a_deployment_to_an_answer() {
    let (_cluster, client, _workloads) = started().await;
    let node = json!({"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}});
    create(&Api::<Node>::all(client.clone()), node).await;
    create(&Api::<Service>::default_namespaced(client.clone()), balanced()).await;
    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    create(&deployments, deployment("web", 2)).await;
    let done = kube::runtime::wait::await_condition(deployments.clone(), "web", conditions::is_deployment_completed());
    tokio::time::timeout(LIMIT, done).await.unwrap().unwrap();

    let slices = Api::<EndpointSlice>::default_namespaced(client.clone());
    let slice = until_any(slices.clone(), |slice| ready(slice).len() == 2).await;
    assert!(slice.name_any().starts_with("web-"));
    assert_eq!(slice.labels()["tier"], "front");
    assert_eq!(slice.labels()["kubernetes.io/service-name"], "web");
    assert_eq!(slice.owner_references()[0].kind, "Service");
    assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(8080), "resolved by name");
    let addresses: Vec<&String> = slice.endpoints.iter().map(|endpoint| &endpoint.addresses[0]).collect();
    assert_ne!(addresses[0], addresses[1]);

    let address = address(&client).await;
    let answer = ask_until(&address, |answer| {
        answer.as_ref().is_ok_and(|answer| answer.code == 200)
    })
    .await;
    let body = answer.unwrap().body;
    assert_eq!(
        (&body["cluster"], &body["namespace"]),
        (&json!("us-west"), &json!("default"))
    );
    assert!(ready(&slice).contains(&body["pod"].as_str().unwrap().to_owned()));

    let pods = Api::<Pod>::default_namespaced(client.clone());
    let unready = |value: Value| Patch::Merge(json!({"metadata": {"annotations": {READY_ANNOTATION: value}}}));
    let names: Vec<String> = pods
        .list(&Default::default())
        .await
        .unwrap()
        .iter()
        .map(|pod| pod.name_any())
        .collect();
    pods.patch(&names[0], &Default::default(), &unready(json!("false")))
        .await
        .unwrap();
    let slice = until_any(slices.clone(), |slice| ready(slice).len() == 1).await;
    assert_eq!(ready(&slice), [names[1].clone()]);
    pods.patch(&names[1], &Default::default(), &unready(json!("false")))
        .await
        .unwrap();
    ask_until(&address, |answer| {
        answer.as_ref().is_ok_and(|answer| answer.code == 503)
    })
    .await
    .unwrap();
    pods.patch(&names[0], &Default::default(), &unready(Value::Null))
        .await
        .unwrap();
    until_any(slices.clone(), |slice| ready(slice).len() == 1).await;

    let label = Patch::Merge(json!({"metadata": {"labels": {"late": "yes"}}}));
    let services = Api::<Service>::default_namespaced(client.clone());
    services.patch("web", &Default::default(), &label).await.unwrap();
    until_any(slices.clone(), |slice| slice.labels().contains_key("late")).await;

    deployments.delete("web", &Default::default()).await.unwrap();
    until_any(slices, |slice| slice.endpoints.is_empty()).await;
    assert!(pods.list(&Default::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn load_balancers_stop_and_start() {
    let (_cluster, client, workloads) = started().await;
    create(&Api::<Service>::default_namespaced(client.clone()), balanced()).await;
    create(
        &Api::<Deployment>::default_namespaced(client.clone()),
        deployment("web", 1),
    )
    .await;
    let address_before = address(&client).await;
    let works = |answer: &Result<Raw, ()>| answer.as_ref().is_ok_and(|answer| answer.code == 200);
    ask_until(&address_before, works).await.unwrap();
    workloads.stop_load_balancers();
    assert!(ask_until(&address_before, |answer| answer.is_err()).await.is_err());
    workloads.start_load_balancers();
    ask_until(&address_before, works).await.unwrap();
    assert_eq!(address(&client).await, address_before);
    drop(workloads);
    assert!(ask_until(&address_before, |answer| answer.is_err()).await.is_err());
}

#[tokio::test]
async fn scaling_and_new_templates() {
    let (_cluster, client, _workloads) = started().await;
    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    let pods = Api::<Pod>::default_namespaced(client.clone());
    create(&deployments, deployment("web", 3)).await;
    let settled = async |replicas: i32, image: &str| {
        let wanted = |found: Option<&Deployment>| {
            let Some(found) = found else { return false };
            let status = found.status.clone().unwrap_or_default();
            status.observed_generation == found.metadata.generation
                && status.replicas.unwrap_or_default() == replicas
                && status.ready_replicas.unwrap_or_default() == replicas
                && status.updated_replicas.unwrap_or_default() == replicas
        };
        until(deployments.clone(), "web", wanted).await;
        let now = pods.list(&ListParams::default().labels("app=web")).await.unwrap();
        assert_eq!(now.items.len(), usize::try_from(replicas).unwrap());
        for pod in now {
            assert_eq!(pod.spec.unwrap().containers[0].image.as_deref(), Some(image));
        }
    };
    settled(3, "example.com/main:1").await;
    let scale = |replicas: u32| Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments
        .patch_scale("web", &Default::default(), &scale(1))
        .await
        .unwrap();
    settled(1, "example.com/main:1").await;
    deployments
        .patch_scale("web", &Default::default(), &scale(2))
        .await
        .unwrap();
    settled(2, "example.com/main:1").await;
    let containers = json!([{"name": "main", "image": "example.com/main:2"}]);
    let template = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
    deployments.patch("web", &Default::default(), &template).await.unwrap();
    settled(2, "example.com/main:2").await;
}
