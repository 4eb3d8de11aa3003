//! What only one object can have: the node of a pod, the address and the ports of a Service. And objects that
//! are older than the schema of their kind.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use http::{Method, header};
use meridian_simcluster::SimCluster;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";

async fn send(cluster: &SimCluster, method: Method, path: &str, kind: &'static str, body: Value) -> Raw {
    raw(cluster, method, path, &[(header::CONTENT_TYPE, kind)], body.to_string()).await
}

async fn post(cluster: &SimCluster, path: &str, body: Value) -> Raw {
    send(cluster, Method::POST, path, "application/json", body).await
}

async fn merge(cluster: &SimCluster, path: &str, body: Value) -> Raw {
    send(cluster, Method::PATCH, path, "application/merge-patch+json", body).await
}

/// Binds the pod `a` and expects this code.
async fn check_binding(cluster: &SimCluster, binding: Value, code: u16) {
    let done = post(cluster, &format!("{PODS}/a/binding"), binding.clone()).await;
    assert_eq!(done.code, code, "{binding}: {}", done.body);
}

#[tokio::test]
async fn a_pod_is_bound_once_and_not_before_its_gates_are_open() {
    let (cluster, _) = cluster().await;
    let to = |node: &str| json!({"target": {"kind": "Node", "name": node}});
    check_binding(&cluster, to("n"), 404).await;
    let spec =
        json!({"containers": [{"name": "main", "image": "x"}], "schedulingGates": [{"name": "x.example.com/gate"}]});
    let pod = post(&cluster, PODS, json!({"metadata": {"name": "a"}, "spec": spec})).await;
    assert_eq!(pod.code, 201, "{}", pod.body);
    assert_eq!(pod.body["status"]["conditions"][0]["reason"], "SchedulingGated");
    check_binding(&cluster, to("n"), 409).await;
    let path = format!("{PODS}/a");
    assert_eq!(
        merge(&cluster, &path, json!({"spec": {"schedulingGates": null}}))
            .await
            .code,
        200
    );
    check_binding(&cluster, to(""), 422).await;
    check_binding(&cluster, json!({"target": {"kind": "Pod", "name": "n"}}), 422).await;
    let mut other = to("n");
    other["metadata"] = json!({"uid": "another"});
    check_binding(&cluster, other, 409).await;
    check_binding(&cluster, to("n"), 201).await;
    check_binding(&cluster, to("m"), 409).await;
    let pod = get(&cluster, &path).await.body;
    assert_eq!(pod["spec"]["nodeName"], "n");
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    assert_eq!((conditions.len(), &conditions[0]["status"]), (1, &json!("True")));
    // No other write moves it.
    assert_eq!(
        merge(&cluster, &path, json!({"spec": {"nodeName": "m"}})).await.code,
        422
    );
    let spec = json!({"nodeName": "n", "containers": [{"name": "main", "image": "x"}], "schedulingGates": [{"name": "g.example.com/g"}]});
    let both = post(&cluster, PODS, json!({"metadata": {"name": "b"}, "spec": spec})).await;
    assert_eq!(both.code, 422, "{}", both.body);
}

#[tokio::test]
async fn what_a_service_gives_up_is_free_and_what_it_did_not_get_is_not_taken() {
    let (cluster, _) = cluster().await;
    let service = |name: &str, port: u16| json!({"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": port}]}});
    let check = async |path: &str, body: Value, code: u16| {
        let done = post(&cluster, path, body.clone()).await;
        assert_eq!(done.code, code, "{body}: {}", done.body);
        done.body
    };
    check(&format!("{SERVICES}?dryRun=All"), service("a", 30_100), 201).await;
    // Refused for its address, it has no port either.
    let mut wrong = service("a", 30_100);
    wrong["spec"]["clusterIP"] = json!("192.0.2.1");
    check(SERVICES, wrong, 422).await;
    check(SERVICES, service("a", 30_100), 201).await;
    check(SERVICES, service("b", 30_100), 422).await;
    let path = format!("{SERVICES}/a");
    let moved = json!({"spec": {"ports": [{"name": "http", "port": 80, "nodePort": 30_101}]}});
    assert_eq!(merge(&cluster, &path, moved).await.code, 200);
    check(SERVICES, service("b", 30_100), 201).await;
    // A port is known by its name, whatever its number.
    let other = json!({"spec": {"ports": [{"name": "http", "port": 81}]}});
    let kept = merge(&cluster, &path, other).await.body;
    assert_eq!(kept["spec"]["ports"][0]["nodePort"], 30_101);
    check(SERVICES, service("c", 30_101), 422).await;
    assert_eq!(raw(&cluster, Method::DELETE, &path, &[], String::new()).await.code, 200);
    check(SERVICES, service("c", 30_101), 201).await;
}

#[tokio::test]
async fn an_object_older_than_its_schema_is_shown_as_the_schema_says() {
    let (cluster, _) = cluster().await;
    let schema =
        |spec: Value| json!({"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}});
    let definition = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                schema(json!({"a": {"type": "integer"}, "b": {"type": "integer"}}))}}],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(post(&cluster, definitions, definition).await.code, 201);
    let (widgets, old) = ("/apis/example.com/v1/widgets", "/apis/example.com/v1/widgets/old");
    let made = post(
        &cluster,
        widgets,
        json!({"metadata": {"name": "old"}, "spec": {"a": 1, "b": 2}}),
    )
    .await;
    assert_eq!(made.code, 201, "{}", made.body);
    let path = "/spec/versions/0/schema/openAPIV3Schema";
    let later = schema(json!({"b": {"type": "integer"}, "c": {"type": "integer", "default": 3}}));
    let patch = json!([{"op": "replace", "path": path, "value": later}]);
    let definition = format!("{definitions}/widgets.example.com");
    let changed = send(
        &cluster,
        Method::PATCH,
        &definition,
        "application/json-patch+json",
        patch,
    )
    .await;
    assert_eq!(changed.code, 200, "{}", changed.body);
    let shown = json!({"b": 2, "c": 3});
    let found = get(&cluster, old).await.body;
    assert_eq!(found["spec"], shown);
    assert_eq!(
        found["metadata"]["resourceVersion"],
        made.body["metadata"]["resourceVersion"]
    );
    assert_eq!(get(&cluster, widgets).await.body["items"][0]["spec"], shown);
    let labelled = merge(&cluster, old, json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .body;
    assert_eq!(
        (&labelled["spec"], &labelled["metadata"]["generation"]),
        (&shown, &json!(1))
    );
}
