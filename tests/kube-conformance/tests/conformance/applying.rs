//! Server-side apply: who owns what.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, deployment, item, service, text, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "an apply creates what is not there",
        "kubernetes.io/docs/reference/using-api/server-side-apply/",
        [],
        creates
    ),
    case!(
        "an apply records its fields under its manager",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#field-management",
        [],
        records
    ),
    case!(
        "the same apply again changes nothing",
        "kubernetes.io/docs/reference/using-api/server-side-apply/",
        [],
        idempotent
    ),
    case!(
        "an apply wants a field manager",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#api-operations",
        [],
        manager_required
    ),
    case!(
        "a field that another manager owns is a conflict that names it",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
        [],
        conflict
    ),
    case!(
        "a conflict names every field and every manager",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
        [],
        conflicts
    ),
    case!(
        "force takes the field and its ownership",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
        [],
        force
    ),
    case!(
        "managers that apply the same value share the field",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
        [],
        share
    ),
    case!(
        "a field that is no longer applied is removed",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#field-management",
        [],
        removes
    ),
    case!(
        "a field that another manager owns too stays when it is no longer applied",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#field-management",
        [],
        gives_up
    ),
    case!(
        "a default that nobody owns comes back when its field is no longer applied",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership",
        [],
        default_returns
    ),
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
        "an empty list of managedFields clears them",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields",
        [],
        clears
    ),
    case!(
        "an apply may be YAML",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#api-operations",
        [],
        yaml
    ),
    case!(
        "an apply must say kind and apiVersion, and no managedFields",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#api-operations",
        [],
        body_rules
    ),
    case!(
        "an apply with a version applies to that version alone",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#api-operations",
        [],
        with_version
    ),
    case!(
        "an apply of a field that is not known is refused",
        "kubernetes.io/docs/reference/using-api/api-concepts/#field-validation",
        [],
        unknown_field
    ),
    case!(
        "a dry run of an apply finds conflicts and keeps nothing",
        "kubernetes.io/docs/reference/using-api/api-concepts/#dry-run",
        [],
        dry_run
    ),
    case!(
        "an apply is validated as a whole",
        "kubernetes.io/docs/reference/using-api/server-side-apply/",
        [],
        validated
    ),
    case!(
        "replicas are handed over by leaving them out",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership",
        [],
        hand_over
    ),
];

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": data})
}

/// The entry of a manager in managedFields.
fn entry<'a>(object: &'a Value, manager: &str) -> &'a Value {
    item(&object["metadata"]["managedFields"], "manager", manager)
}

fn owns(object: &Value, manager: &str, pointer: &str) -> bool {
    entry(object, manager)["fieldsV1"].pointer(pointer).is_some()
}

fn causes(status: &Value) -> Vec<(String, String)> {
    let causes = status["details"]["causes"]
        .as_array()
        .unwrap_or_else(|| panic!("no causes: {status}"));
    let cause = |cause: &Value| {
        assert_eq!(cause["reason"], "FieldManagerConflict", "{status}");
        (text(&cause["field"]), text(&cause["message"]))
    };
    causes.iter().map(cause).collect()
}

async fn creates(c: Case) {
    let path = c.core("configmaps/map");
    c.api.apply(&path, "one", map(json!({"a": "1"}))).await.created();
    let after = c.api.apply(&path, "one", map(json!({"a": "2"}))).await.ok();
    assert_eq!(after["data"], json!({"a": "2"}));
    c.api
        .apply(
            "/api/v1/namespaces/no-such-namespace/configmaps/map",
            "one",
            map(json!({})),
        )
        .await
        .refused(404, "NotFound");
}

async fn records(c: Case) {
    let path = c.core("configmaps/map");
    let made = c.api.apply(&path, "one", map(json!({"a": "1"}))).await.created();
    let found = entry(&made, "one");
    assert_eq!(
        (&found["operation"], &found["apiVersion"]),
        (&json!("Apply"), &json!("v1"))
    );
    assert_eq!(found["fieldsType"], "FieldsV1");
    assert_eq!(found["fieldsV1"], json!({"f:data": {"f:a": {}}}));
    assert!(text(&found["time"]).ends_with('Z'), "{found}");
    assert_eq!(made["metadata"]["managedFields"].as_array().unwrap().len(), 1, "{made}");
}

async fn idempotent(c: Case) {
    let path = c.core("configmaps/map");
    let made = c.api.apply(&path, "one", map(json!({"a": "1"}))).await.created();
    let again = c.api.apply(&path, "one", map(json!({"a": "1"}))).await.ok();
    assert_eq!(version(&again), version(&made));
    assert_eq!(again, made);
}

async fn manager_required(c: Case) {
    let headers = [("content-type", "application/apply-patch+yaml")];
    let body = map(json!({})).to_string();
    let answer = c
        .api
        .send(http::Method::PATCH, &c.core("configmaps/map"), &headers, body)
        .await;
    answer.invalid("fieldManager");
    let long = "x".repeat(129);
    c.api
        .apply(&c.core("configmaps/map"), &long, map(json!({})))
        .await
        .invalid("fieldManager");
}

async fn conflict(c: Case) {
    let path = c.core("configmaps/map");
    c.api.apply(&path, "one", map(json!({"a": "1"}))).await.created();
    let status = c
        .api
        .apply(&path, "two", map(json!({"a": "2"})))
        .await
        .refused(409, "Conflict");
    assert_eq!(
        causes(&status),
        [(".data.a".to_owned(), "conflict with \"one\"".to_owned())]
    );
    let message = text(&status["message"]);
    assert!(message.contains("conflict with \"one\": .data.a"), "{message}");
    assert_eq!(c.api.get(&path).await.ok()["data"], json!({"a": "1"}));
}

async fn conflicts(c: Case) {
    let path = c.core("configmaps/map");
    c.api
        .apply(&path, "one", map(json!({"a": "1", "b": "1"})))
        .await
        .created();
    c.api.apply(&path, "two", map(json!({"c": "1"}))).await.ok();
    let all = map(json!({"a": "2", "b": "2", "c": "2", "d": "2"}));
    let status = c.api.apply(&path, "three", all).await.refused(409, "Conflict");
    let mut found = causes(&status);
    found.sort();
    let wanted = [(".data.a", "one"), (".data.b", "one"), (".data.c", "two")];
    assert_eq!(
        found,
        wanted.map(|(field, manager)| (field.to_owned(), format!("conflict with \"{manager}\"")))
    );
    assert!(text(&status["message"]).contains("3 conflicts"), "{status}");
}

async fn force(c: Case) {
    let path = c.core("configmaps/map");
    c.api
        .apply(&path, "one", map(json!({"a": "1", "b": "1"})))
        .await
        .created();
    let after = c.api.force_apply(&path, "two", map(json!({"a": "2"}))).await.ok();
    assert_eq!(after["data"], json!({"a": "2", "b": "1"}));
    assert!(
        owns(&after, "two", "/f:data/f:a") && !owns(&after, "one", "/f:data/f:a"),
        "{after}"
    );
    c.api
        .apply(&path, "one", map(json!({"a": "1", "b": "1"})))
        .await
        .refused(409, "Conflict");
}

async fn share(c: Case) {
    let path = c.core("configmaps/map");
    c.api.apply(&path, "one", map(json!({"a": "1"}))).await.created();
    let after = c.api.apply(&path, "two", map(json!({"a": "1"}))).await.ok();
    assert!(
        owns(&after, "one", "/f:data/f:a") && owns(&after, "two", "/f:data/f:a"),
        "{after}"
    );
    // Now nobody can change it alone.
    c.api
        .apply(&path, "one", map(json!({"a": "2"})))
        .await
        .refused(409, "Conflict");
}

async fn removes(c: Case) {
    let path = c.core("configmaps/map");
    c.api
        .apply(&path, "one", map(json!({"a": "1", "b": "1"})))
        .await
        .created();
    c.api.apply(&path, "two", map(json!({"c": "1"}))).await.ok();
    let after = c.api.apply(&path, "one", map(json!({"b": "1"}))).await.ok();
    assert_eq!(after["data"], json!({"b": "1", "c": "1"}));
    let after = c
        .api
        .apply(
            &path,
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}}),
        )
        .await
        .ok();
    assert_eq!(after["data"], json!({"c": "1"}));
    assert!(entry(&after, "one").is_null(), "who owns nothing is not named: {after}");
}

async fn gives_up(c: Case) {
    let path = c.core("configmaps/map");
    c.api
        .apply(&path, "one", map(json!({"a": "1", "b": "1"})))
        .await
        .created();
    c.api.apply(&path, "two", map(json!({"a": "1"}))).await.ok();
    let after = c.api.apply(&path, "one", map(json!({"b": "1"}))).await.ok();
    assert_eq!(after["data"], json!({"a": "1", "b": "1"}));
    let after = c.api.apply(&path, "two", map(json!({"a": "2"}))).await.ok();
    assert_eq!(after["data"]["a"], "2", "the one owner may change it");
}

async fn default_returns(c: Case) {
    let mut web = service("web");
    web["spec"]["sessionAffinity"] = json!("ClientIP");
    let path = c.core("services/web");
    c.api.apply(&path, "one", web).await.created();
    let after = c.api.apply(&path, "one", service("web")).await.ok();
    assert_eq!(after["spec"]["sessionAffinity"], "None");
}

fn with_ports(ports: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": ports}})
}

fn ports(object: &Value) -> Vec<(i64, String)> {
    let ports = object["spec"]["ports"].as_array().unwrap();
    ports
        .iter()
        .map(|port| (port["port"].as_i64().unwrap(), text(&port["name"])))
        .collect()
}

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

async fn clears(c: Case) {
    let path = c.core("configmaps/map");
    c.api.apply(&path, "one", map(json!({"a": "1"}))).await.created();
    let patch = json!({"metadata": {"managedFields": [{}]}});
    let after = c.api.merge(&path, patch).await.ok();
    assert!(after["metadata"]["managedFields"].is_null(), "{after}");
    // What is there belongs to somebody before the first apply, so that nobody overwrites it unaware.
    let status = c
        .api
        .apply(&path, "two", map(json!({"a": "2"})))
        .await
        .refused(409, "Conflict");
    assert!(
        causes(&status)[0].1.starts_with("conflict with \"before-first-apply\""),
        "{status}"
    );
}

async fn yaml(c: Case) {
    let headers = [("content-type", "application/apply-patch+yaml")];
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map\ndata:\n  a: |\n    two\n    lines\n";
    let path = c.core("configmaps/map?fieldManager=one");
    let made = c.api.send(http::Method::PATCH, &path, &headers, body).await.created();
    assert_eq!(made["data"]["a"], "two\nlines\n");
}

async fn body_rules(c: Case) {
    let path = c.core("configmaps/map");
    for missing in ["kind", "apiVersion"] {
        let mut body = map(json!({}));
        body.as_object_mut().unwrap().remove(missing);
        let answer = c.api.apply(&path, "one", body).await;
        assert!(
            matches!(answer.code, 400 | 422),
            "{missing}: {} {}",
            answer.code,
            answer.body
        );
    }
    let made = c.api.apply(&path, "one", map(json!({"a": "1"}))).await.created();
    let mut body = map(json!({"a": "1"}));
    body["metadata"]["managedFields"] = made["metadata"]["managedFields"].clone();
    c.api.apply(&path, "one", body).await.refused(400, "BadRequest");
    let mut other = config_map("other");
    other["metadata"]["name"] = json!("other");
    c.api.apply(&path, "one", other).await.refused(400, "BadRequest");
}

async fn with_version(c: Case) {
    let path = c.core("configmaps/map");
    let made = c.api.apply(&path, "one", map(json!({"a": "1"}))).await.created();
    let at = |version: String, value: &str| {
        let mut body = map(json!({"a": value}));
        body["metadata"]["resourceVersion"] = json!(version);
        body
    };
    c.api.apply(&path, "one", at(version(&made), "2")).await.ok();
    c.api
        .apply(&path, "one", at(version(&made), "3"))
        .await
        .refused(409, "Conflict");
}

async fn unknown_field(c: Case) {
    let mut web = service("web");
    web["spec"]["selektor"] = json!({});
    let path = c.core("services/web?fieldValidation=Strict");
    let answer = c.api.apply(&path, "one", web).await;
    assert!(answer.code >= 400, "{}", answer.body);
    assert!(text(&answer.body["message"]).contains("selektor"), "{}", answer.body);
    c.api.get(&c.core("services/web")).await.refused(404, "NotFound");
}

async fn dry_run(c: Case) {
    let path = c.core("configmaps/map");
    let query = format!("{path}?dryRun=All");
    c.api.apply(&query, "one", map(json!({"a": "1"}))).await.created();
    c.api.get(&path).await.refused(404, "NotFound");
    c.api.apply(&path, "one", map(json!({"a": "1"}))).await.created();
    c.api
        .apply(&query, "two", map(json!({"a": "2"})))
        .await
        .refused(409, "Conflict");
    let answer = c.api.force_apply(&query, "two", map(json!({"a": "2"}))).await.ok();
    assert_eq!(answer["data"]["a"], "2");
    assert_eq!(c.api.get(&path).await.ok()["data"]["a"], "1");
}

async fn validated(c: Case) {
    let path = c.core("services/web");
    c.api.apply(&path, "one", service("web")).await.created();
    let wrong = with_ports(json!([{"port": 81, "protocol": "TCP"}]));
    // Each port must have a name when there are several; the other one is somebody else's.
    c.api.apply(&path, "two", wrong).await.invalid("spec.ports[1].name");
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
