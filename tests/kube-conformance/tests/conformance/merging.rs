//! Server-side apply: how lists, sets and maps are owned and merged.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::applying::{causes, entry, map, owns, ports, with_ports};
use crate::shared::{Case, deployment, service, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "items of a list with keys are owned one by one",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        list_map
    ),
    case!(
        "an item's fields are owned under its keys",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        list_map_fields
    ),
    case!(
        "ports of containers are told apart by port and protocol",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        container_ports
    ),
    case!(
        "environment variables of containers merge by name",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        environment
    ),
    case!(
        "values of a set are owned one by one",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        set
    ),
    case!(
        "an atomic list is owned as a whole",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        atomic_list
    ),
    case!(
        "an atomic map is owned as a whole",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        atomic_map
    ),
    case!(
        "labels and annotations are owned by key",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        labels
    ),
    case!(
        "two items with the same keys are refused",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        duplicate_keys
    ),
    case!(
        "an update takes the fields it changes",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#field-management",
        [],
        update_takes
    ),
    case!(
        "an update and an apply of one manager are two entries",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#managers",
        [],
        two_operations
    ),
    case!(
        "ownership of the status is kept apart by its subresource",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#managers",
        [],
        subresource
    ),
    case!(
        "replicas are handed over by leaving them out",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership",
        [],
        hand_over
    ),
    case!(
        "a default that nobody owns comes back when its field is no longer applied",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership",
        [],
        default_returns
    ),
];

async fn list_map(c: Case) {
    let path = c.core("services/web");
    c.api
        .apply(&path, "one", with_ports(json!([{"name": "a", "port": 1}])))
        .await
        .created();
    let after = c
        .api
        .apply(&path, "two", with_ports(json!([{"name": "b", "port": 2}])))
        .await
        .ok();
    assert_eq!(ports(&after), [(1, "a".to_owned()), (2, "b".to_owned())]);
    let status = c
        .api
        .apply(&path, "two", with_ports(json!([{"name": "c", "port": 1}])))
        .await
        .refused(409, "Conflict");
    assert_eq!(causes(&status)[0].0, ".spec.ports[port=1,protocol=\"TCP\"].name");
    let after = c
        .api
        .apply(&path, "one", with_ports(json!([{"name": "d", "port": 4}])))
        .await
        .ok();
    let mut left = ports(&after);
    left.sort();
    assert_eq!(left, [(2, "b".to_owned()), (4, "d".to_owned())]);
}

async fn list_map_fields(c: Case) {
    let path = c.core("services/web");
    let made = c
        .api
        .apply(&path, "one", with_ports(json!([{"name": "a", "port": 1}])))
        .await
        .created();
    let fields =
        json!({"f:spec": {"f:ports": {"k:{\"port\":1,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}}}});
    assert_eq!(entry(&made, "one")["fieldsV1"], fields);
}

async fn container_ports(c: Case) {
    let path = c.apps("deployments/web");
    let with = |ports: Value| {
        let mut web = deployment(&c, "web", 0);
        web["spec"]["template"]["spec"]["containers"][0]["ports"] = ports;
        web
    };
    let both = with(json!([{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]));
    c.api.apply(&path, "one", both).await.created();
    let after = c
        .api
        .apply(&path, "one", with(json!([{"containerPort": 53, "protocol": "UDP"}])))
        .await
        .ok();
    let ports = &after["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(ports, &json!([{"containerPort": 53, "protocol": "UDP"}]));
}

async fn environment(c: Case) {
    let path = c.apps("deployments/web");
    let mut web = deployment(&c, "web", 0);
    web["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}]);
    c.api.apply(&path, "one", web).await.created();
    let other = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "B", "value": "2"}]}]}}},
    });
    let after = c.api.apply(&path, "two", other).await.ok();
    let containers = after["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    assert_eq!(
        containers[0]["env"],
        json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])
    );
    assert_eq!(containers[0]["image"], c.image());
}

async fn set(c: Case) {
    let path = c.core("configmaps/map");
    let with = |finalizers: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map", "finalizers": finalizers}});
    c.api
        .apply(&path, "one", with(json!(["example.com/a"])))
        .await
        .created();
    let after = c.api.apply(&path, "two", with(json!(["example.com/b"]))).await.ok();
    assert_eq!(
        after["metadata"]["finalizers"],
        json!(["example.com/a", "example.com/b"])
    );
    assert!(
        owns(&after, "two", "/f:metadata/f:finalizers/v:\"example.com~1b\""),
        "{after}"
    );
    let after = c.api.apply(&path, "one", map(json!({}))).await.ok();
    assert_eq!(after["metadata"]["finalizers"], json!(["example.com/b"]));
    c.api.merge(&path, json!({"metadata": {"finalizers": null}})).await.ok();
}

async fn atomic_list(c: Case) {
    let path = c.core("services/web");
    let with = |ranges: Value| {
        let mut web = service("web");
        web["spec"]["type"] = json!("LoadBalancer");
        web["spec"]["loadBalancerSourceRanges"] = ranges;
        web
    };
    let made = c.api.apply(&path, "one", with(json!(["192.0.2.0/25"]))).await.created();
    assert_eq!(
        entry(&made, "one")["fieldsV1"]["f:spec"]["f:loadBalancerSourceRanges"],
        json!({})
    );
    let status = c
        .api
        .apply(&path, "two", with(json!(["192.0.2.128/25"])))
        .await
        .refused(409, "Conflict");
    assert_eq!(causes(&status)[0].0, ".spec.loadBalancerSourceRanges");
    let after = c
        .api
        .force_apply(&path, "two", with(json!(["192.0.2.128/25"])))
        .await
        .ok();
    assert_eq!(after["spec"]["loadBalancerSourceRanges"], json!(["192.0.2.128/25"]));
}

async fn atomic_map(c: Case) {
    let path = c.core("services/web");
    let with = |selector: Value| {
        let mut web = service("web");
        web["spec"]["selector"] = selector;
        web
    };
    let made = c.api.apply(&path, "one", with(json!({"a": "1"}))).await.created();
    assert_eq!(entry(&made, "one")["fieldsV1"]["f:spec"]["f:selector"], json!({}));
    let status = c
        .api
        .apply(&path, "two", with(json!({"b": "1"})))
        .await
        .refused(409, "Conflict");
    assert_eq!(causes(&status)[0].0, ".spec.selector");
}

async fn labels(c: Case) {
    let path = c.core("configmaps/map");
    let with =
        |labels: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map", "labels": labels}});
    c.api.apply(&path, "one", with(json!({"a": "1"}))).await.created();
    let after = c
        .api
        .apply(&path, "two", with(json!({"example.com/b": "1"})))
        .await
        .ok();
    assert_eq!(after["metadata"]["labels"], json!({"a": "1", "example.com/b": "1"}));
    assert!(owns(&after, "two", "/f:metadata/f:labels/f:example.com~1b"), "{after}");
    let status = c
        .api
        .apply(&path, "two", with(json!({"a": "2"})))
        .await
        .refused(409, "Conflict");
    assert_eq!(causes(&status)[0].0, ".metadata.labels.a");
}

async fn duplicate_keys(c: Case) {
    let twice = with_ports(json!([{"name": "a", "port": 1}, {"name": "b", "port": 1}]));
    let answer = c.api.apply(&c.core("services/web"), "one", twice).await;
    assert!(answer.code >= 400, "{}", answer.body);
    c.api.get(&c.core("services/web")).await.refused(404, "NotFound");
}

async fn update_takes(c: Case) {
    let path = c.core("configmaps/map");
    c.api
        .apply(&path, "one", map(json!({"a": "1", "b": "1"})))
        .await
        .created();
    let patch = json!({"data": {"a": "2"}});
    let after = c.api.merge(&format!("{path}?fieldManager=two"), patch).await.ok();
    assert!(
        owns(&after, "two", "/f:data/f:a") && !owns(&after, "one", "/f:data/f:a"),
        "{after}"
    );
    assert!(owns(&after, "one", "/f:data/f:b"), "{after}");
    assert_eq!(entry(&after, "two")["operation"], "Update");
    let status = c
        .api
        .apply(&path, "one", map(json!({"a": "1", "b": "1"})))
        .await
        .refused(409, "Conflict");
    let (field, message) = causes(&status).remove(0);
    assert_eq!(field, ".data.a");
    assert!(message.starts_with("conflict with \"two\" using v1"), "{message}");
}

async fn two_operations(c: Case) {
    let path = c.core("configmaps/map");
    c.api.apply(&path, "one", map(json!({"a": "1"}))).await.created();
    let after = c
        .api
        .merge(&format!("{path}?fieldManager=one"), json!({"data": {"b": "1"}}))
        .await
        .ok();
    let entries = after["metadata"]["managedFields"].as_array().unwrap();
    let mut operations: Vec<_> = entries.iter().map(|entry| text(&entry["operation"])).collect();
    operations.sort();
    assert_eq!(operations, ["Apply", "Update"]);
}

async fn subresource(c: Case) {
    // An Ingress of a class that nobody serves: nobody else writes its status.
    let path = c.group("networking.k8s.io/v1", "ingresses/web");
    let with = |half: &str, value: Value| json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"}, half: value});
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let spec = with("spec", json!({"ingressClassName": "nobody", "defaultBackend": backend}));
    c.api.apply(&path, "one", spec.clone()).await.created();
    let status = with(
        "status",
        json!({"loadBalancer": {"ingress": [{"hostname": "a.example.com"}]}}),
    );
    let after = c.api.apply(&format!("{path}/status"), "two", status).await.ok();
    let found = entry(&after, "two");
    assert_eq!(found["subresource"], "status");
    assert!(
        found["fieldsV1"]["f:status"]["f:loadBalancer"]["f:ingress"].is_object(),
        "{found}"
    );
    // The spec's manager does not touch it by not naming it.
    let after = c.api.apply(&path, "one", spec).await.ok();
    assert_eq!(
        after["status"]["loadBalancer"]["ingress"][0]["hostname"],
        "a.example.com"
    );
}

async fn hand_over(c: Case) {
    let path = c.apps("deployments/web");
    c.api.apply(&path, "user", deployment(&c, "web", 0)).await.created();
    let claim =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 0}});
    c.api.apply(&path, "scaler", claim).await.ok();
    let mut without = deployment(&c, "web", 0);
    without["spec"].as_object_mut().unwrap().remove("replicas");
    let after = c.api.apply(&path, "user", without).await.ok();
    assert_eq!(after["spec"]["replicas"], 0, "the default would be 1");
    assert!(
        !owns(&after, "user", "/f:spec/f:replicas") && owns(&after, "scaler", "/f:spec/f:replicas"),
        "{after}"
    );
}

async fn default_returns(c: Case) {
    let mut web = service("web");
    web["spec"]["sessionAffinity"] = json!("ClientIP");
    let path = c.core("services/web");
    c.api.apply(&path, "one", web).await.created();
    let after = c.api.apply(&path, "one", service("web")).await.ok();
    assert_eq!(after["spec"]["sessionAffinity"], "None");
}
