//! Who owns which fields after applies and updates, in the cases that go wrong first.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use http::{Method, header};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use meridian_simcluster::SimCluster;
use serde_json::{Value, json};

const APPLY: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/apply-patch+yaml")];
const PATH: &str = "/api/v1/namespaces/default/configmaps/a";

/// Applies a ConfigMap called `a` with these further fields.
async fn apply(cluster: &SimCluster, query: &str, fields: Value) -> Raw {
    let mut body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    json_patch::merge(&mut body, &fields);
    raw(
        cluster,
        Method::PATCH,
        &format!("{PATH}?{query}"),
        &APPLY,
        body.to_string(),
    )
    .await
}

fn entry<'o>(object: &'o Value, manager: &str, operation: &str) -> Option<&'o Value> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    entries
        .iter()
        .find(|entry| entry["manager"] == manager && entry["operation"] == operation)
}

async fn maps() -> (SimCluster, Api<ConfigMap>) {
    let (cluster, client) = cluster().await;
    (cluster, Api::default_namespaced(client))
}

#[tokio::test]
async fn options_of_writes() {
    let (cluster, api) = maps().await;
    create(&api, config_map("a", json!({}))).await;
    let check = async |query: &str, field: &str| {
        let status = failed(apply(&cluster, query, json!({})).await, 422, "Invalid");
        assert_eq!(status["details"]["kind"], "PatchOptions");
        assert_eq!(status["details"]["causes"][0]["field"], field, "{status}");
    };
    check("", "fieldManager").await;
    check(&format!("fieldManager={}", "x".repeat(129)), "fieldManager").await;
    check("fieldManager=a%07", "fieldManager").await;
    check("fieldManager=a&dryRun=Half", "dryRun").await;
    check("fieldManager=a&fieldValidation=Most", "fieldValidation").await;
    let merge = [(header::CONTENT_TYPE, "application/merge-patch+json")];
    let forced = raw(&cluster, Method::PATCH, &format!("{PATH}?force=true"), &merge, "{}").await;
    assert_eq!(failed(forced, 422, "Invalid")["details"]["causes"][0]["field"], "force");
    let longest = format!("fieldManager={}", "x".repeat(128));
    assert_eq!(apply(&cluster, &longest, json!({})).await.code, 200);
}

#[tokio::test]
async fn conflicts_with_many_are_sorted_by_manager() {
    let (cluster, api) = maps().await;
    apply(&cluster, "fieldManager=two", json!({"data": {"x": "1", "y": "1"}})).await;
    apply(&cluster, "fieldManager=one", json!({"data": {"z": "1"}})).await;
    let edit = PatchParams {
        field_manager: Some("edit".to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"data": {"w": "1"}}));
    api.patch("a", &edit, &patch).await.unwrap();
    let all = json!({"data": {"w": "2", "x": "2", "y": "2", "z": "2"}});
    let status = failed(apply(&cluster, "fieldManager=three", all).await, 409, "Conflict");
    assert_eq!(
        status["message"],
        "Apply failed with 4 conflicts: conflicts with \"edit\" using v1:\n- .data.w\n\
         conflicts with \"one\":\n- .data.z\nconflicts with \"two\":\n- .data.x\n- .data.y"
    );
    let causes = status["details"]["causes"].as_array().unwrap();
    assert_eq!(causes.len(), 4);
    assert!(causes.iter().all(|cause| cause["reason"] == "FieldManagerConflict"));
}

#[tokio::test]
async fn times_move_with_values_and_only_then() {
    let (cluster, api) = maps().await;
    cluster.shift_clock(jiff::SignedDuration::from_hours(-1));
    apply(&cluster, "fieldManager=one", json!({"data": {"x": "1"}})).await;
    let before = value(&api.get("a").await.unwrap());
    cluster.shift_clock(jiff::SignedDuration::ZERO);
    apply(&cluster, "fieldManager=one", json!({"data": {"x": "1"}})).await;
    assert_eq!(value(&api.get("a").await.unwrap()), before);
    let after = apply(&cluster, "fieldManager=one", json!({"data": {"x": "2"}}))
        .await
        .body;
    let time = |object: &Value| entry(object, "one", "Apply").unwrap()["time"].clone();
    assert_ne!(time(&after), time(&before), "the same fields with another value");
}

#[tokio::test]
async fn an_update_steals_what_it_changes_and_clears_what_it_removes() {
    let (cluster, api) = maps().await;
    apply(
        &cluster,
        "fieldManager=one",
        json!({"data": {"x": "1", "y": "1", "z": "1"}}),
    )
    .await;
    let edit = PatchParams {
        field_manager: Some("edit".to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"data": {"x": "2", "y": null, "z": "1"}}));
    let edited = value(&api.patch("a", &edit, &patch).await.unwrap());
    let fields = |manager: &str, operation: &str| entry(&edited, manager, operation).unwrap()["fieldsV1"].clone();
    assert_eq!(fields("one", "Apply"), json!({"f:data": {"f:z": {}}}));
    assert_eq!(fields("edit", "Update"), json!({"f:data": {"f:x": {}}}));
    let refused = apply(&cluster, "fieldManager=one", json!({"data": {"x": "1"}})).await;
    failed(refused, 409, "Conflict");
    let forced = apply(&cluster, "fieldManager=one&force=true", json!({"data": {"x": "1"}}))
        .await
        .body;
    assert!(entry(&forced, "edit", "Update").is_none(), "nothing is left to it");
    assert_eq!(forced["data"], json!({"x": "1"}));
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_and_stores_nothing() {
    let (cluster, api) = maps().await;
    let made = apply(&cluster, "fieldManager=one&dryRun=All", json!({"data": {"x": "1"}})).await;
    assert_eq!((made.code, &made.body["data"]["x"]), (201, &json!("1")));
    assert_eq!(status(api.get("a").await).code, 404);
    apply(&cluster, "fieldManager=one", json!({"data": {"x": "1"}})).await;
    let before = api.get("a").await.unwrap();
    let changed = apply(&cluster, "fieldManager=one&dryRun=All", json!({"data": {"x": "2"}})).await;
    assert_eq!((changed.code, &changed.body["data"]["x"]), (200, &json!("2")));
    assert_eq!(
        changed.body["metadata"]["resourceVersion"],
        json!(before.resource_version())
    );
    let conflict = apply(&cluster, "fieldManager=two&dryRun=All", json!({"data": {"x": "2"}})).await;
    failed(conflict, 409, "Conflict");
    assert_eq!(api.get("a").await.unwrap(), before);
}

#[tokio::test]
async fn items_of_sets_and_atomic_lists() {
    let (cluster, _) = maps().await;
    let finalizers = |names: &[&str]| json!({"metadata": {"finalizers": names}});
    let one = "fieldManager=one";
    let two = "fieldManager=two";
    apply(&cluster, one, finalizers(&["example.com/a", "example.com/b"])).await;
    let both = apply(&cluster, two, finalizers(&["example.com/b", "example.com/c"]))
        .await
        .body;
    assert_eq!(both["metadata"]["finalizers"].as_array().unwrap().len(), 3);
    let fields = &entry(&both, "two", "Apply").unwrap()["fieldsV1"]["f:metadata"]["f:finalizers"];
    assert_eq!(*fields, json!({"v:\"example.com/b\"": {}, "v:\"example.com/c\"": {}}));
    let less = apply(&cluster, one, finalizers(&["example.com/a"])).await.body;
    assert_eq!(
        less["metadata"]["finalizers"].as_array().unwrap().len(),
        3,
        "b is shared"
    );
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/s?fieldManager=";
    let slice = async |manager: &str, addresses: &[&str]| {
        let body = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "s"},
            "addressType": "IPv4", "endpoints": [{"addresses": addresses}],
        });
        raw(
            &cluster,
            Method::PATCH,
            &format!("{path}{manager}"),
            &APPLY,
            body.to_string(),
        )
        .await
    };
    assert_eq!(slice("one", &["10.0.0.1"]).await.code, 201);
    let status = failed(slice("two", &["10.0.0.2"]).await, 409, "Conflict");
    assert_eq!(
        status["details"]["causes"][0]["field"], ".endpoints",
        "the list is one value"
    );
}

#[tokio::test]
async fn status_and_spec_have_entries_of_their_own() {
    let (_cluster, client) = cluster().await;
    let api = Api::<Deployment>::default_namespaced(client);
    let made = create(&api, deployment("a", 1)).await;
    let status = Patch::Merge(json!({"status": {"replicas": 1}, "spec": {"replicas": 9}}));
    let manager = PatchParams {
        field_manager: Some("both".to_owned()),
        ..PatchParams::default()
    };
    let patched = api.patch_status("a", &manager, &status).await.unwrap();
    assert_eq!(patched.metadata.generation, made.metadata.generation);
    assert_eq!(patched.spec.as_ref().unwrap().replicas, Some(1));
    let scaled = Patch::Merge(json!({"spec": {"replicas": 2}, "status": {"replicas": 7}}));
    let scaled = api.patch("a", &manager, &scaled).await.unwrap();
    assert_eq!(scaled.metadata.generation, Some(2));
    assert_eq!(scaled.status.as_ref().unwrap().replicas, Some(1));
    let object = value(&scaled);
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let mine: Vec<(&Value, &Value)> = entries
        .iter()
        .filter(|entry| entry["manager"] == "both")
        .map(|entry| (&entry["subresource"], &entry["fieldsV1"]))
        .collect();
    assert!(
        mine.contains(&(&json!("status"), &json!({"f:status": {"f:replicas": {}}}))),
        "{mine:?}"
    );
    assert!(
        mine.contains(&(&Value::Null, &json!({"f:spec": {"f:replicas": {}}}))),
        "{mine:?}"
    );
}

#[tokio::test]
async fn entries_of_many_updaters_become_one() {
    let (_cluster, api) = maps().await;
    create(&api, config_map("a", json!({}))).await;
    for round in 0..15 {
        let manager = PatchParams {
            field_manager: Some(format!("m{round:02}")),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"data": {format!("k{round}"): "v"}}));
        api.patch("a", &manager, &patch).await.unwrap();
    }
    let found = api.get("a").await.unwrap();
    let managers: Vec<&str> = found
        .managed_fields()
        .iter()
        .filter_map(|entry| entry.manager.as_deref())
        .collect();
    assert_eq!(managers.len(), 10, "{managers:?}");
    assert!(
        managers.contains(&"ancient-changes") && managers.contains(&"m14"),
        "{managers:?}"
    );
}

#[tokio::test]
async fn unknown_fields_are_warned_of_refused_or_cannot_be_applied() {
    let (cluster, _) = maps().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let body = json!({"metadata": {"name": "b"}, "dat": {}});
    let warned = async |validation: &str| -> Vec<String> {
        let kubeconfig = cluster.kubeconfig(cluster.address());
        let token = kubeconfig
            .split("token: ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .to_owned();
        let request = http::Request::post(format!("http://{}{path}?dryRun=All{validation}", cluster.address()))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(http_body_util::Full::<hyper::body::Bytes>::from(body.to_string()))
            .unwrap();
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.status(), 201);
        let headers = response.headers().get_all(header::WARNING);
        headers
            .iter()
            .map(|header| header.to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(warned("").await, ["299 - \"unknown field \\\"dat\\\"\""]);
    assert_eq!(warned("&fieldValidation=Warn").await.len(), 1);
    assert_eq!(warned("&fieldValidation=Ignore").await.len(), 0);
    let strict = post(&cluster, &format!("{path}?fieldValidation=Strict"), body.clone()).await;
    failed(strict, 400, "BadRequest");
    let applied = apply(&cluster, "fieldManager=one", json!({"dat": {}})).await;
    assert_eq!((applied.code, &applied.body["reason"]), (500, &Value::Null));
    let status = applied.body;
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains(".dat: field not declared in schema")
    );
}

#[tokio::test]
async fn a_json_patch_whose_test_fails_changes_nothing() {
    let (_cluster, api) = maps().await;
    let made = create(&api, config_map("a", json!({}))).await;
    let patch = json!([
        {"op": "replace", "path": "/data/k", "value": "w"},
        {"op": "test", "path": "/data/k", "value": "other"},
    ]);
    let failed = api
        .patch("a", &Default::default(), &Patch::Json::<()>(object(patch)))
        .await;
    let failed = status(failed);
    assert_eq!((failed.code, failed.reason.as_str()), (422, "Invalid"));
    assert_eq!(api.get("a").await.unwrap(), made);
}

#[tokio::test]
async fn an_update_without_a_version_is_unconditional() {
    let (_cluster, api) = maps().await;
    let made = create(&api, config_map("a", json!({}))).await;
    let mut blind = made.clone();
    blind.metadata.resource_version = None;
    blind.data = Some([("k".to_owned(), "w".to_owned())].into());
    api.replace("a", &Default::default(), &blind).await.unwrap();
    assert_eq!(status(api.replace("a", &Default::default(), &made).await).code, 409);
}
