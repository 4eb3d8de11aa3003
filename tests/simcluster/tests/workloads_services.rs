//! The workload side: what is told of the pods behind a Service, and load balancers.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::workloads::*;
use common::*;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Endpoints, Event, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch};
use kube::{Client, ResourceExt};
use meridian_simcluster::workload::{
    BALANCER_AFTER_ANNOTATION, BALANCER_FAILS_ANNOTATION, HOSTNAME_ANNOTATION, NodePool, READY_ANNOTATION,
    WorkloadOptions,
};
use serde_json::{Value, json};

fn pod(name: &str, port: u16) -> Value {
    let ports = json!([{"name": "http", "containerPort": port}]);
    json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "example.com/main:1", "ports": ports}]},
    })
}

fn web(more: Value) -> Value {
    let ports = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}});
    with(service, more)
}

/// Waits until the slices of a Service are as wanted together.
async fn until_slices(
    client: &Client,
    service: &str,
    wanted: impl Fn(&[&EndpointSlice]) -> bool,
) -> Vec<EndpointSlice> {
    let selector = format!("kubernetes.io/service-name={service}");
    follow(&api::<EndpointSlice>(client), &selector, |_| (), wanted).await
}

fn sizes(slices: &[&EndpointSlice]) -> Vec<usize> {
    let mut sizes: Vec<usize> = slices.iter().map(|slice| slice.endpoints.len()).collect();
    sizes.sort_unstable();
    sizes
}

#[tokio::test]
async fn many_endpoints_are_in_several_slices() {
    let (_cluster, client, _workloads) = started().await;
    let sets = api::<ReplicaSet>(&client);
    create(&api::<Service>(&client), web(json!({}))).await;
    until_slices(&client, "web", |slices| sizes(slices) == [0]).await;
    let spec = json!({"replicas": 105, "selector": {"matchLabels": {"app": "web"}}, "template": pod("", 8080)});
    create(&sets, json!({"metadata": {"name": "web"}, "spec": spec})).await;
    let all_ready = |slices: &[&EndpointSlice]| {
        let mut endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
        endpoints.all(|endpoint| endpoint.conditions.as_ref().unwrap().ready == Some(true))
    };
    let slices = until_slices(&client, "web", |slices| sizes(slices) == [5, 100] && all_ready(slices)).await;
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let addresses: BTreeSet<&String> = endpoints.map(|endpoint| &endpoint.addresses[0]).collect();
    assert_eq!(addresses.len(), 105, "each pod is in one slice");
    let endpoints = api::<Endpoints>(&client).get("web").await.unwrap();
    assert_eq!(endpoints.subsets.unwrap()[0].addresses.as_ref().unwrap().len(), 105);
    merge(&sets, "web", json!({"spec": {"replicas": 0}})).await;
    until_slices(&client, "web", |slices| sizes(slices) == [0]).await;
}

#[tokio::test]
async fn a_named_port_is_what_each_pod_says() {
    let (_cluster, client, _workloads) = started().await;
    let pods = api::<Pod>(&client);
    create(&api::<Service>(&client), web(json!({}))).await;
    for (name, port) in [("a", 8080), ("b", 8080), ("c", 9090)] {
        create(&pods, pod(name, port)).await;
    }
    let slices = until_slices(&client, "web", |slices| sizes(slices) == [1, 2]).await;
    for slice in slices {
        let port = slice.ports.as_ref().unwrap()[0].port;
        assert_eq!(port, Some(if slice.endpoints.len() == 1 { 9090 } else { 8080 }));
    }
    let both = json!({"subsets": [{"ports": [{"name": "http", "port": 8080}]}, {"ports": [{"port": 9090}]}]});
    until_has(&api::<Endpoints>(&client), "web", both).await;
}

#[tokio::test]
async fn slices_and_endpoints_follow_the_service() {
    let (_cluster, client, _workloads) = started().await;
    let (services, endpoints) = (api::<Service>(&client), api::<Endpoints>(&client));
    let labels = json!({"metadata": {"labels": {"tier": "front", "old": "yes"}}, "spec": {"clusterIP": "None"}});
    create(&services, web(labels)).await;
    create(&api::<Pod>(&client), pod("a", 8080)).await;
    let slice = until_any(api::<EndpointSlice>(&client), |slice| !slice.endpoints.is_empty()).await;
    let wanted = json!({"metadata": {"labels": {
        "tier": "front",
        "old": "yes",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "service.kubernetes.io/headless": "",
    }}});
    assert!(has(&value(&slice), &wanted), "{slice:?}");
    merge(
        &services,
        "web",
        json!({"metadata": {"labels": {"old": null, "new": "yes"}}}),
    )
    .await;
    let labels = json!({"metadata": {"labels": {"old": null, "new": "yes", "service.kubernetes.io/headless": ""}}});
    until_has(&api::<EndpointSlice>(&client), &slice.name_any(), labels.clone()).await;
    until_has(&endpoints, "web", labels).await;
    merge(&services, "web", json!({"spec": {"selector": {"app": "other"}}})).await;
    until_has(&endpoints, "web", json!({"subsets": null})).await;
    until_slices(&client, "web", |slices| sizes(slices) == [0]).await;
    services.delete("web", &DeleteParams::default()).await.unwrap();
    until_gone(&endpoints, "web").await;
    until_gone(&api::<EndpointSlice>(&client), &slice.name_any()).await;
}

#[tokio::test]
async fn endpoints_tell_how_their_pods_are() {
    let (_cluster, client, _workloads) = started().await;
    let pods = api::<Pod>(&client);
    create(&api::<Service>(&client), web(json!({}))).await;
    let published = json!({"metadata": {"name": "all"}, "spec": {"publishNotReadyAddresses": true}});
    create(&api::<Service>(&client), web(published)).await;
    create(
        &pods,
        with(
            pod("a", 8080),
            json!({"metadata": {"finalizers": ["example.com/stay"]}}),
        ),
    )
    .await;
    let not_ready = json!({"metadata": {"annotations": {READY_ANNOTATION: "false"}}});
    let ready = json!({"metadata": {"annotations": null}});
    let states = [
        (
            "as it starts",
            json!({"ready": true, "serving": true, "terminating": false}),
            true,
        ),
        (
            "not ready",
            json!({"ready": false, "serving": false, "terminating": false}),
            true,
        ),
        (
            "ready again",
            json!({"ready": true, "serving": true, "terminating": false}),
            true,
        ),
        (
            "ending",
            json!({"ready": false, "serving": true, "terminating": true}),
            true,
        ),
    ];
    for (state, conditions, published) in states {
        match state {
            "not ready" => merge(&pods, "a", not_ready.clone()).await,
            "ready again" => merge(&pods, "a", ready.clone()).await,
            "ending" => drop(pods.delete("a", &DeleteParams::default()).await.unwrap()),
            _ => {}
        }
        let is = |slices: &[&EndpointSlice], conditions: &Value| {
            has(&value(&slices), &json!([{"endpoints": [{"conditions": conditions}]}]))
        };
        until_slices(&client, "web", |slices| is(slices, &conditions)).await;
        let everywhere = with(conditions, json!({"ready": published}));
        until_slices(&client, "all", |slices| is(slices, &everywhere)).await;
        let known = match state {
            "not ready" => json!({"addresses": null, "notReadyAddresses": [{"targetRef": {"name": "a"}}]}),
            "ending" => Value::Null,
            _ => json!({"addresses": [{"targetRef": {"kind": "Pod", "name": "a"}}], "notReadyAddresses": null}),
        };
        let subsets = if known.is_null() { Value::Null } else { json!([known]) };
        until_has(&api::<Endpoints>(&client), "web", json!({"subsets": subsets})).await;
    }
    merge(&pods, "a", json!({"metadata": {"finalizers": null}})).await;
    until_slices(&client, "web", |slices| sizes(slices) == [0]).await;
}

#[tokio::test]
async fn stateful_pods_have_names_and_places() {
    let options = WorkloadOptions {
        nodes: Some(NodePool::one_per_zone("r", &["z"])),
        ..options()
    };
    let (_cluster, client, _workloads) = started_with(options).await;
    create(&api::<Service>(&client), web(json!({"spec": {"clusterIP": "None"}}))).await;
    let spec = json!({
        "replicas": 1,
        "serviceName": "web",
        "selector": {"matchLabels": {"app": "web"}},
        "template": pod("", 8080),
    });
    create(
        &api::<StatefulSet>(&client),
        json!({"metadata": {"name": "db"}, "spec": spec}),
    )
    .await;
    let endpoint = json!([{"endpoints": [{
        "hostname": "db-0",
        "nodeName": "us-west-node-0",
        "zone": "z",
        "targetRef": {"kind": "Pod", "namespace": "default", "name": "db-0"},
    }]}]);
    until_slices(&client, "web", |slices| has(&value(&slices), &endpoint)).await;
}

fn balanced(annotations: Value) -> Value {
    let ports = json!([{"name": "http", "port": 28_081, "targetPort": "http"}]);
    web(json!({"metadata": {"annotations": annotations}, "spec": {"type": "LoadBalancer", "ports": ports}}))
}

fn ingress(wanted: Value) -> Value {
    json!({"status": {"loadBalancer": {"ingress": wanted}}})
}

#[tokio::test]
async fn load_balancers_have_addresses_or_host_names() {
    for (domain, annotations, wanted) in [
        (None, json!({}), json!({"ipMode": "VIP", "hostname": null})),
        (Some("lb.example"), json!({}), json!({"ip": null, "ipMode": null})),
        (
            Some("lb.example"),
            json!({HOSTNAME_ANNOTATION: ""}),
            json!({"ipMode": "VIP", "hostname": null}),
        ),
        (
            None,
            json!({HOSTNAME_ANNOTATION: "a.example"}),
            json!({"hostname": "a.example", "ip": null}),
        ),
    ] {
        let options = options();
        let [a, b, c, _] = options.load_balancer_network.octets();
        let options = WorkloadOptions {
            load_balancer_domain: domain.map(str::to_owned),
            ..options
        };
        let (_cluster, client, _workloads) = started_with(options).await;
        let services = api::<Service>(&client);
        create(&services, balanced(annotations)).await;
        let service = until_has(&services, "web", ingress(json!([wanted]))).await;
        let found = &value(&service)["status"]["loadBalancer"]["ingress"][0];
        if wanted == json!({"ip": null, "ipMode": null}) {
            assert_eq!(found["hostname"], format!("lb-{a}-{b}-{c}-1.lb.example"));
        }
        if wanted["ipMode"] == "VIP" {
            assert_eq!(found["ip"], format!("{a}.{b}.{c}.1"));
        }
    }
}

#[tokio::test]
async fn load_balancers_are_late_or_fail_as_scripted() {
    let (_cluster, client, _workloads) = started().await;
    let services = api::<Service>(&client);
    let scripted = json!({BALANCER_AFTER_ANNOTATION: "30ms", BALANCER_FAILS_ANNOTATION: "no quota"});
    create(&services, balanced(scripted)).await;
    let event = until_any(api::<Event>(&client), |event| {
        event.reason.as_deref() == Some("SyncLoadBalancerFailed")
    })
    .await;
    assert_eq!(event.involved_object.name.as_deref(), Some("web"));
    assert!(event.message.unwrap().ends_with("no quota"));
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    until_has(&services, "web", ingress(Value::Null)).await;
    merge(
        &services,
        "web",
        json!({"metadata": {"annotations": {BALANCER_FAILS_ANNOTATION: null}}}),
    )
    .await;
    until_has(&services, "web", ingress(json!([{"ipMode": "VIP"}]))).await;

    let late = json!({"metadata": {"name": "late"}});
    create(
        &services,
        with(balanced(json!({BALANCER_AFTER_ANNOTATION: "1m"})), late),
    )
    .await;
    let other = json!({"metadata": {"name": "other"}});
    create(&services, with(balanced(json!({})), other)).await;
    until_has(&services, "other", ingress(json!([{"ipMode": "VIP"}]))).await;
    until_has(&services, "late", ingress(Value::Null)).await;
    merge(
        &services,
        "late",
        json!({"metadata": {"annotations": {BALANCER_AFTER_ANNOTATION: "1ms"}}}),
    )
    .await;
    until_has(&services, "late", ingress(json!([{"ipMode": "VIP"}]))).await;
}

#[tokio::test]
async fn load_balancers_of_others_are_left_alone_and_old_ones_go() {
    let (_cluster, client, _workloads) = started().await;
    let services = api::<Service>(&client);
    let others = json!({"metadata": {"name": "others"}, "spec": {"loadBalancerClass": "example.com/mine"}});
    create(&services, with(balanced(json!({})), others)).await;
    let theirs = json!([{"ip": "192.0.2.1"}]);
    let status = Patch::Merge(ingress(theirs.clone()));
    services
        .patch_status("others", &Default::default(), &status)
        .await
        .unwrap();
    create(&services, balanced(json!({}))).await;
    until_has(&services, "web", ingress(json!([{"ipMode": "VIP"}]))).await;
    merge(&services, "web", json!({"spec": {"type": "ClusterIP"}})).await;
    until_has(&services, "web", ingress(Value::Null)).await;
    until_has(&services, "others", ingress(theirs)).await;
}
