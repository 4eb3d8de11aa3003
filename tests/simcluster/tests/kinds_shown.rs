//! How built-in kinds are shown: columns and discovery.

#![allow(clippy::unwrap_used)]

mod common;

use common::manifests::*;
use common::*;
use http::{Method, header};
use serde_json::{Value, json};

#[tokio::test]
async fn columns_are_those_kubectl_users_know() {
    let (cluster, _client) = cluster().await;
    let accept = [(header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")];
    // The names of the columns, those of `-o wide` behind the bar, and the first cells of an object.
    let check = async |resource: &str, body: Value, columns: &str, cells: Value| {
        let made = post(&cluster, &path(resource), named(body)).await;
        assert_eq!(made.code, 201, "{resource}: {}", made.body);
        let table = raw(&cluster, Method::GET, &format!("{}/a", path(resource)), &accept, "")
            .await
            .body;
        let names = |priority: u64| {
            let all = table["columnDefinitions"].as_array().unwrap().iter();
            let names = all.filter(|column| column["priority"] == priority);
            let names: Vec<&str> = names.map(|column| column["name"].as_str().unwrap()).collect();
            names.join(" ")
        };
        let found = format!("{} | {}", names(0), names(1));
        assert_eq!(found.trim_end_matches([' ', '|']), columns, "{resource}");
        let row = table["rows"][0]["cells"].as_array().unwrap();
        let cells = cells.as_array().unwrap();
        assert_eq!(&row[..cells.len()], cells, "{resource}");
    };
    let wide = "Containers Images Selector";
    check(
        "apps/v1/deployments",
        workload(json!({"replicas": 2})),
        &format!("Name Ready Up-to-date Available Age | {wide}"),
        json!(["a", "0/2", 0, 0, "0s", "main", "example.com/main:1", "app=a"]),
    )
    .await;
    check(
        "apps/v1/replicasets",
        workload(json!({})),
        &format!("Name Desired Current Ready Age | {wide}"),
        json!(["a", 1, 0, 0]),
    )
    .await;
    check(
        "apps/v1/statefulsets",
        workload(json!({})),
        "Name Ready Age | Containers Images",
        json!(["a", "0/1"]),
    )
    .await;
    check(
        "apps/v1/daemonsets",
        workload(json!({})),
        &format!("Name Desired Current Ready Up-to-date Available Node Selector Age | {wide}"),
        json!(["a", 0, 0, 0, 0, 0, "<none>"]),
    )
    .await;
    check(
        "batch/v1/jobs",
        job(json!({})),
        &format!("Name Status Completions Duration Age | {wide}"),
        json!(["a", "Running", "0/1", ""]),
    )
    .await;
    check(
        "batch/v1/cronjobs",
        cron_job("@daily"),
        &format!("Name Schedule Timezone Suspend Active Last Schedule Age | {wide}"),
        json!(["a", "@daily", "<none>", false, 0, "<none>", "0s", "main"]),
    )
    .await;
    check(
        "autoscaling/v2/horizontalpodautoscalers",
        autoscaler(json!({})),
        "Name Reference Targets MinPods MaxPods Replicas Age",
        json!(["a", "Deployment/d", "cpu: <unknown>/80%", "1", 3, 0]),
    )
    .await;
    check(
        "v1/pods",
        pod(json!({})),
        "Name Ready Status Restarts Age | IP Node Nominated Node Readiness Gates",
        json!(["a", "0/1", "Pending", "0", "0s", "<none>", "<none>", "<none>", "<none>"]),
    )
    .await;
    check(
        "v1/services",
        json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.96.1.1", "ports": [{"port": 80, "nodePort": 30_080}]}}),
        "Name Type Cluster-IP External-IP Port(s) Age | Selector",
        json!(["a", "LoadBalancer", "10.96.1.1", "<pending>", "80:30080/TCP"]),
    )
    .await;
    check(
        "networking.k8s.io/v1/ingresses",
        ingress(json!({"path": "/", "pathType": "Prefix", "backend": backend()})),
        "Name Class Hosts Address Ports Age",
        json!(["a", "<none>", "example.com", "", "80"]),
    )
    .await;
    check(
        "v1/nodes",
        json!({"metadata": {"labels": {"node-role.kubernetes.io/worker": ""}}, "spec": {"unschedulable": true}}),
        "Name Status Roles Age Version | Internal-IP External-IP OS-Image Kernel-Version Container-Runtime",
        json!(["a", "Unknown,SchedulingDisabled", "worker", "0s", "<none>", "<none>"]),
    )
    .await;
    check(
        "rbac.authorization.k8s.io/v1/rolebindings",
        binding(),
        "Name Role Age | Users Groups ServiceAccounts",
        json!(["a", "Role/r", "0s", "u", "", "default/s"]),
    )
    .await;
    check(
        "v1/events",
        json!({"involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "Started", "type": "Normal", "message": "m", "count": 3, "firstTimestamp": "2024-01-01T00:00:00Z", "lastTimestamp": "2024-01-01T00:00:00Z"}),
        "Last Seen Type Reason Object Message | Subobject Source First Seen Count Name",
        json!([]),
    )
    .await;
}

#[tokio::test]
async fn discovery_tells_names_verbs_and_parts() {
    let (cluster, _client) = cluster().await;
    let resources = get(&cluster, "/apis/apps/v1").await.body["resources"].clone();
    let names: Vec<&str> = resources
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| resource["name"].as_str().unwrap())
        .collect();
    for name in [
        "daemonsets/status",
        "deployments/scale",
        "replicasets/scale",
        "statefulsets/scale",
    ] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    assert!(!names.contains(&"daemonsets/scale"), "{names:?}");
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let core = raw(&cluster, Method::GET, "/api", &[(header::ACCEPT, accept)], "")
        .await
        .body;
    let resources = core["items"][0]["versions"][0]["resources"].as_array().unwrap().clone();
    let of = |name: &str| {
        let found = resources.iter().find(|resource| resource["resource"] == name);
        found.unwrap().clone()
    };
    assert_eq!(of("services")["shortNames"], json!(["svc"]));
    assert_eq!(of("pods")["categories"], json!(["all"]));
    assert_eq!(of("nodes")["scope"], "Cluster");
    assert!(
        !of("namespaces")["verbs"]
            .as_array()
            .unwrap()
            .contains(&json!("deletecollection"))
    );
    failed(
        raw(&cluster, Method::DELETE, "/api/v1/namespaces", &[], "").await,
        405,
        "MethodNotAllowed",
    );
}
