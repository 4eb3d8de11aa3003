//! EndpointSlices: which pods stand behind a Service.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, deployment, pod, service, text, uid};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a Service with a selector has slices that name it and are its own",
        "kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ownership",
        [Workloads],
        owned
    ),
    case!(
        "a slice has the addresses of the ready pods",
        "kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions",
        [Workloads],
        addresses
    ),
    case!(
        "an endpoint names its pod and its node",
        "kubernetes.io/docs/concepts/services-networking/endpoint-slices/",
        [Workloads],
        target
    ),
    case!(
        "a slice copies the labels of its Service",
        "kubernetes.io/docs/reference/labels-annotations-taints/#kubernetesioservice-name",
        [Workloads],
        labels
    ),
    case!(
        "ports of a slice are the targets of the Service's",
        "kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports",
        [Workloads],
        ports
    ),
    case!(
        "a target port may be a name of the pod's",
        "kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports",
        [Workloads],
        named_port
    ),
    case!(
        "a slice follows the pods that come and go",
        "kubernetes.io/docs/concepts/services-networking/endpoint-slices/#management",
        [Workloads],
        follows
    ),
    case!(
        "a slice follows the selector of the Service",
        "kubernetes.io/docs/concepts/services-networking/service/#defining-a-service",
        [Workloads],
        selector
    ),
    case!(
        "a Service without a selector has no slices made for it",
        "kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors",
        [Workloads],
        no_selector
    ),
    case!(
        "slices of a headless Service say so",
        "kubernetes.io/docs/reference/labels-annotations-taints/#servicekubernetesioheadless",
        [Workloads],
        headless
    ),
    case!(
        "slices go with their Service",
        "kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ownership",
        [Controllers, Workloads],
        go
    ),
    case!(
        "slices made by hand are left alone",
        "kubernetes.io/docs/concepts/services-networking/endpoint-slices/#management",
        [Workloads],
        by_hand
    ),
];

/// The slices of a Service, once they are as wanted.
async fn slices(c: &Case, name: &str, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let path = c.group(
        "discovery.k8s.io/v1",
        &format!("endpointslices?labelSelector=kubernetes.io/service-name%3D{name}"),
    );
    c.api.until_all(&path, what, wanted).await
}

/// Every endpoint of some slices.
fn endpoints(slices: &[Value]) -> Vec<Value> {
    let each = |slice: &Value| slice["endpoints"].as_array().cloned().unwrap_or_default();
    slices.iter().flat_map(each).collect()
}

fn ready(slices: &[Value]) -> Vec<Value> {
    let mut found = endpoints(slices);
    found.retain(|endpoint| endpoint["conditions"]["ready"] == true);
    found
}

/// Waits for this many ready endpoints.
async fn ready_endpoints(c: &Case, name: &str, count: usize) -> Vec<Value> {
    slices(c, name, &format!("{count} ready endpoints"), |slices| {
        ready(slices).len() == count
    })
    .await
}

async fn web(c: &Case, replicas: u32) -> Value {
    c.until_pods_are_welcome().await;
    c.api
        .post(&c.apps("deployments"), deployment(c, "web", replicas))
        .await
        .created();
    c.api.post(&c.core("services"), service("web")).await.created()
}

async fn owned(c: Case) {
    let made = web(&c, 1).await;
    for slice in ready_endpoints(&c, "web", 1).await {
        let owner = &slice["metadata"]["ownerReferences"][0];
        assert_eq!(
            (text(&owner["kind"]), text(&owner["uid"])),
            ("Service".to_owned(), uid(&made))
        );
        assert_eq!(
            (&owner["controller"], &owner["blockOwnerDeletion"]),
            (&json!(true), &json!(true))
        );
        assert!(
            slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"].is_string(),
            "{slice}"
        );
        assert!(text(&slice["metadata"]["name"]).starts_with("web-"), "{slice}");
        assert_eq!(slice["metadata"]["generateName"], "web-");
    }
}

async fn addresses(c: Case) {
    web(&c, 2).await;
    let found = ready(&ready_endpoints(&c, "web", 2).await);
    let pods = c.api.get(&c.core("pods?labelSelector=app%3Dweb")).await.ok();
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    let of_pods = pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| text(&pod["status"]["podIP"]))
        .collect();
    let of_slices = found.iter().map(|endpoint| text(&endpoint["addresses"][0])).collect();
    assert_eq!(sorted(of_pods), sorted(of_slices));
    for endpoint in &found {
        assert_eq!(
            endpoint["conditions"],
            json!({"ready": true, "serving": true, "terminating": false})
        );
    }
}

async fn target(c: Case) {
    web(&c, 1).await;
    let endpoint = ready(&ready_endpoints(&c, "web", 1).await).remove(0);
    let pods = c.api.get(&c.core("pods?labelSelector=app%3Dweb")).await.ok();
    let pod = &pods["items"][0];
    let target = &endpoint["targetRef"];
    assert_eq!(
        (text(&target["kind"]), text(&target["name"])),
        ("Pod".to_owned(), text(&pod["metadata"]["name"]))
    );
    assert_eq!(
        (text(&target["namespace"]), text(&target["uid"])),
        (c.namespace.clone(), uid(pod))
    );
    assert_eq!(endpoint["nodeName"], pod["spec"]["nodeName"]);
}

async fn labels(c: Case) {
    c.until_pods_are_welcome().await;
    c.api
        .post(&c.apps("deployments"), deployment(&c, "web", 1))
        .await
        .created();
    let mut labelled = service("web");
    labelled["metadata"]["labels"] = json!({"team": "blue", "example.com/x": "1"});
    c.api.post(&c.core("services"), labelled).await.created();
    for slice in ready_endpoints(&c, "web", 1).await {
        assert_eq!(slice["metadata"]["labels"]["team"], "blue");
        assert_eq!(slice["metadata"]["labels"]["example.com/x"], "1");
    }
    c.api
        .merge(
            &c.core("services/web"),
            json!({"metadata": {"labels": {"team": "red"}}}),
        )
        .await
        .ok();
    let red = |slices: &[Value]| slices.iter().all(|slice| slice["metadata"]["labels"]["team"] == "red");
    slices(&c, "web", "labelled anew", |slices| !slices.is_empty() && red(slices)).await;
}

async fn with_ports(c: &Case, ports: Value) -> Vec<Value> {
    c.until_pods_are_welcome().await;
    c.api
        .post(&c.apps("deployments"), deployment(c, "web", 1))
        .await
        .created();
    let web = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}});
    c.api.post(&c.core("services"), web).await.created();
    ready_endpoints(c, "web", 1).await
}

async fn ports(c: Case) {
    let ports = json!([{"name": "a", "port": 80, "targetPort": 8081, "appProtocol": "http"}, {"name": "b", "port": 53, "protocol": "UDP"}]);
    let found = with_ports(&c, ports).await;
    let mut ports = found[0]["ports"].as_array().unwrap().clone();
    ports.sort_by_key(|port| text(&port["name"]));
    let wanted = [
        json!({"name": "a", "port": 8081, "protocol": "TCP", "appProtocol": "http"}),
        json!({"name": "b", "port": 53, "protocol": "UDP"}),
    ];
    assert_eq!(ports, wanted);
    assert_eq!(found[0]["addressType"], "IPv4");
}

async fn named_port(c: Case) {
    let found = with_ports(&c, json!([{"port": 80, "targetPort": "http"}])).await;
    assert_eq!(
        found[0]["ports"],
        json!([{"name": "", "port": 8080, "protocol": "TCP"}])
    );
}

async fn follows(c: Case) {
    web(&c, 1).await;
    ready_endpoints(&c, "web", 1).await;
    let scale = async |replicas: u32| {
        let path = c.apps("deployments/web/scale");
        c.api.merge(&path, json!({"spec": {"replicas": replicas}})).await.ok();
    };
    scale(3).await;
    ready_endpoints(&c, "web", 3).await;
    scale(0).await;
    slices(&c, "web", "without endpoints", |slices| endpoints(slices).is_empty()).await;
}

async fn selector(c: Case) {
    web(&c, 1).await;
    ready_endpoints(&c, "web", 1).await;
    c.api
        .merge(&c.core("services/web"), json!({"spec": {"selector": {"app": "other"}}}))
        .await
        .ok();
    ready_endpoints(&c, "web", 0).await;
    c.api.post(&c.core("pods"), pod(&c, "lone")).await.created();
    c.api
        .merge(&c.core("services/web"), json!({"spec": {"selector": {"app": "lone"}}}))
        .await
        .ok();
    let found = ready(&ready_endpoints(&c, "web", 1).await);
    assert_eq!(found[0]["targetRef"]["name"], "lone");
}

async fn no_selector(c: Case) {
    let bare = json!({"metadata": {"name": "bare"}, "spec": {"ports": [{"port": 80}]}});
    c.api.post(&c.core("services"), bare).await.created();
    // The slices of a later Service show that the controller has passed by.
    web(&c, 1).await;
    ready_endpoints(&c, "web", 1).await;
    slices(&c, "bare", "none", <[Value]>::is_empty).await;
}

async fn headless(c: Case) {
    c.until_pods_are_welcome().await;
    c.api
        .post(&c.apps("deployments"), deployment(&c, "web", 1))
        .await
        .created();
    let mut headless = service("web");
    headless["spec"]["clusterIP"] = json!("None");
    c.api.post(&c.core("services"), headless).await.created();
    for slice in ready_endpoints(&c, "web", 1).await {
        assert_eq!(
            slice["metadata"]["labels"]["service.kubernetes.io/headless"], "",
            "{slice}"
        );
    }
}

async fn go(c: Case) {
    web(&c, 1).await;
    ready_endpoints(&c, "web", 1).await;
    c.api.delete(&c.core("services/web"), Value::Null).await.ok();
    slices(&c, "web", "gone", <[Value]>::is_empty).await;
}

async fn by_hand(c: Case) {
    let slice = json!({
        "metadata": {"name": "web-by-hand", "labels": {"kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "somebody.example.com"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": true}}],
        "ports": [{"name": "http", "port": 80}],
    });
    let made = c
        .api
        .post(&c.group("discovery.k8s.io/v1", "endpointslices"), slice)
        .await
        .created();
    web(&c, 1).await;
    ready_endpoints(&c, "web", 2).await;
    assert_eq!(
        c.api
            .get(&c.group("discovery.k8s.io/v1", "endpointslices/web-by-hand"))
            .await
            .ok(),
        made
    );
}
