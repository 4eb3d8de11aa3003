//! Server-side apply and field ownership.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

async fn maps() -> (meridian_simcluster::SimCluster, Api<ConfigMap>) {
    let (cluster, client) = cluster().await;
    (cluster, Api::default_namespaced(client))
}

async fn apply(api: &Api<ConfigMap>, manager: &str, force: bool, body: Value) -> Result<Value, kube::Error> {
    let mut body = body;
    body["apiVersion"] = json!("v1");
    body["kind"] = json!("ConfigMap");
    let parameters = PatchParams {
        force,
        ..PatchParams::apply(manager)
    };
    let name = body["metadata"]["name"].as_str().unwrap_or("a").to_owned();
    api.patch(&name, &parameters, &Patch::Apply(body))
        .await
        .map(|done| value(&done))
}

fn data(data: Value) -> Value {
    json!({"metadata": {"name": "a"}, "data": data})
}

fn managers(object: &Value) -> Vec<(String, String, Value)> {
    let entries = object["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|entry| {
            (
                text(entry, "manager"),
                text(entry, "operation"),
                entry["fieldsV1"].clone(),
            )
        })
        .collect()
}

#[tokio::test]
async fn creates_updates_and_does_nothing() {
    let (_cluster, api) = maps().await;
    let made = apply(&api, "one", false, data(json!({"x": "1"}))).await.unwrap();
    assert_eq!(
        managers(&made),
        [("one".into(), "Apply".into(), json!({"f:data": {"f:x": {}}}))]
    );
    let same = apply(&api, "one", false, data(json!({"x": "1"}))).await.unwrap();
    assert_eq!(same, made, "not even a new version");
    let new = apply(&api, "one", false, data(json!({"x": "2"}))).await.unwrap();
    assert_eq!(new["data"], json!({"x": "2"}));
    assert_ne!(new["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn conflicts_name_field_and_manager() {
    let (_cluster, api) = maps().await;
    apply(&api, "one", false, data(json!({"x": "1", "y": "1"})))
        .await
        .unwrap();
    let shared = apply(&api, "two", false, data(json!({"x": "1"}))).await.unwrap();
    assert_eq!(managers(&shared).len(), 2, "the same value is shared");
    let refused = status(apply(&api, "two", false, data(json!({"x": "2"}))).await);
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"one\": .data.x"
    );
    let causes = refused.details.unwrap().causes;
    assert_eq!(
        (causes[0].reason.as_str(), causes[0].field.as_str()),
        ("FieldManagerConflict", ".data.x")
    );
    let forced = apply(&api, "two", true, data(json!({"x": "2"}))).await.unwrap();
    assert_eq!(
        managers(&forced),
        [
            ("one".into(), "Apply".into(), json!({"f:data": {"f:y": {}}})),
            ("two".into(), "Apply".into(), json!({"f:data": {"f:x": {}}})),
        ]
    );
    let patch = Patch::Merge(json!({"data": {"y": "9"}}));
    let edited = PatchParams {
        field_manager: Some("edit".into()),
        ..PatchParams::default()
    };
    api.patch("a", &edited, &patch).await.unwrap();
    let refused = status(apply(&api, "one", false, data(json!({"y": "1"}))).await);
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"edit\" using v1: .data.y"
    );
}

#[tokio::test]
async fn what_is_no_longer_applied_goes_unless_shared() {
    let (_cluster, api) = maps().await;
    apply(&api, "one", false, data(json!({"x": "1", "y": "1"})))
        .await
        .unwrap();
    apply(&api, "two", false, data(json!({"y": "1", "z": "1"})))
        .await
        .unwrap();
    let less = apply(&api, "one", false, data(json!({}))).await.unwrap();
    assert_eq!(less["data"], json!({"y": "1", "z": "1"}));
    let empty = apply(&api, "two", false, json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    assert_eq!(empty.get("data"), None);
}

#[tokio::test]
async fn lists_merge_by_their_keys() {
    let (_cluster, client) = cluster().await;
    let api = Api::<Service>::default_namespaced(client);
    let apply = async |manager: &str, ports: Value| {
        let body = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
            "spec": {"selector": {"app": "s"}, "ports": ports},
        });
        let done = api.patch("s", &PatchParams::apply(manager), &Patch::Apply(body)).await;
        done.map(|done| value(&done))
    };
    let ports = |object: &Value| -> Vec<u64> {
        let ports = object["spec"]["ports"].as_array().unwrap();
        ports.iter().map(|port| port["port"].as_u64().unwrap()).collect()
    };
    let made = apply("one", json!([{"name": "a", "port": 80}])).await.unwrap();
    let fields = &managers(&made)[0].2;
    let key = "k:{\"port\":80,\"protocol\":\"TCP\"}";
    assert_eq!(
        fields["f:spec"]["f:ports"][key],
        json!({".": {}, "f:name": {}, "f:port": {}})
    );
    let both = apply("two", json!([{"name": "b", "port": 81}])).await.unwrap();
    assert_eq!(ports(&both), [80, 81]);
    let moved = apply("one", json!([{"name": "c", "port": 82}])).await.unwrap();
    assert_eq!(ports(&moved), [81, 82]);
    let conflict = status(apply("one", json!([{"name": "x", "port": 81}, {"name": "c", "port": 82}])).await);
    assert_eq!(
        conflict.details.unwrap().causes[0].field,
        ".spec.ports[port=81,protocol=\"TCP\"].name"
    );
}

#[tokio::test]
async fn preconditions_in_the_body() {
    let (_cluster, api) = maps().await;
    let made = apply(&api, "one", false, data(json!({"x": "1"}))).await.unwrap();
    let with = |field: &str, value: &Value| {
        let mut body = data(json!({"x": "2"}));
        body["metadata"][field] = value.clone();
        body
    };
    let other = json!("00000000-0000-4000-8000-000000000000");
    let refused = status(apply(&api, "one", false, with("uid", &other)).await);
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    let stale = status(apply(&api, "one", false, with("resourceVersion", &json!("1"))).await);
    assert_eq!(stale.code, 409);
    let mut absent = with("uid", &other);
    absent["metadata"]["name"] = json!("absent");
    assert_eq!(
        status(apply(&api, "one", false, absent).await).code,
        409,
        "must not create"
    );
    let right = with("uid", &made["metadata"]["uid"]);
    assert_eq!(
        apply(&api, "one", false, right).await.unwrap()["data"],
        json!({"x": "2"})
    );
}

#[tokio::test]
async fn an_update_entry_becomes_an_apply_entry() {
    let (_cluster, api) = maps().await;
    let made = create(
        &api,
        json!({
            "metadata": {"name": "a", "labels": {"l": "1"}}, "data": {"x": "1", "y": "1"},
        }),
    );
    let made = value(&made.await);
    let entries = managers(&made);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].1, "Update");
    assert_eq!(entries[0].2["f:data"], json!({".": {}, "f:x": {}, "f:y": {}}));
    let mut managed = made["metadata"]["managedFields"].clone();
    managed[0]["manager"] = json!("one");
    managed[0]["operation"] = json!("Apply");
    let patch = json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": managed},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]},
    ]);
    let turned = api
        .patch("a", &Default::default(), &Patch::Json::<()>(object(patch)))
        .await
        .unwrap();
    assert_eq!(managers(&value(&turned))[0].1, "Apply");
    let less = apply(&api, "one", false, data(json!({"x": "1"}))).await.unwrap();
    assert_eq!(less["data"], json!({"x": "1"}));
    assert_eq!(less["metadata"].get("labels"), None);
    assert_eq!(managers(&less).len(), 1);
}

#[tokio::test]
async fn cleared_entries_are_rebuilt_before_the_first_apply() {
    let (_cluster, api) = maps().await;
    create(&api, config_map("a", json!({}))).await;
    let clear = Patch::Merge(json!({"metadata": {"managedFields": [{}]}}));
    let cleared = api.patch("a", &Default::default(), &clear).await.unwrap();
    assert!(cleared.managed_fields().is_empty());
    let refused = status(apply(&api, "one", false, data(json!({"k": "other"}))).await);
    assert!(
        refused.message.contains("\"before-first-apply\" using v1: .data.k"),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn status_is_applied_apart() {
    let (_cluster, client) = cluster().await;
    let api = Api::<Deployment>::default_namespaced(client);
    let mut body = deployment("a", 2);
    body["apiVersion"] = json!("apps/v1");
    body["kind"] = json!("Deployment");
    body["status"] = json!({"replicas": 9});
    let made = value(
        &api.patch("a", &PatchParams::apply("one"), &Patch::Apply(&body))
            .await
            .unwrap(),
    );
    assert_eq!(made["status"].get("replicas"), None);
    let status = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "status": {"conditions": [{"type": "Available", "status": "True", "reason": "r"}]}});
    let done = api
        .patch_status("a", &PatchParams::apply("one"), &Patch::Apply(&status))
        .await
        .unwrap();
    let done = value(&done);
    assert_eq!(
        done["spec"]["replicas"], 2,
        "spec fields stay, although the same manager applied them"
    );
    assert_eq!(done["metadata"]["managedFields"].as_array().unwrap().len(), 2);
    assert_eq!(done["status"]["conditions"][0]["reason"], "r");
    let again = value(
        &api.patch("a", &PatchParams::apply("one"), &Patch::Apply(&body))
            .await
            .unwrap(),
    );
    assert_eq!(
        again["metadata"]["resourceVersion"],
        done["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn apply_needs_a_manager_and_a_type() {
    let (cluster, _api) = maps().await;
    let path = "/api/v1/namespaces/default/configmaps/a";
    let kind = [(http::header::CONTENT_TYPE, "application/apply-patch+yaml")];
    let patch = async |query: &str, body: &'static str| {
        raw(&cluster, http::Method::PATCH, &format!("{path}{query}"), &kind, body).await
    };
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: '1'\n";
    failed(patch("", yaml).await, 422, "Invalid");
    failed(patch("?fieldManager=one", "data: {}").await, 400, "BadRequest");
    failed(patch("?fieldManager=one", "a: [").await, 400, "BadRequest");
    let made = patch("?fieldManager=one", yaml).await;
    assert_eq!((made.code, &made.body["data"]["x"]), (201, &json!("1")));
}
