//! Custom resources: definitions, schemas, status and generation.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use http::{Method, header};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Client, ResourceExt};
use meridian_simcluster::SimCluster;
use serde_json::{Value, json};

const PATH: &str = "/apis/demo.example.com/v1/namespaces/default/widgets";

fn definition() -> Value {
    let item = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "count": {"type": "integer", "default": 1}}});
    json!({
        "metadata": {"name": "widgets.demo.example.com"},
        "spec": {
            "group": "demo.example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wi"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "spec": {"type": "object", "required": ["size"], "properties": {
                            "size": {"type": "integer", "minimum": 1},
                            "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                            "parts": {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
                            "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                        }},
                        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    },
                }},
            }],
        },
    })
}

async fn widgets() -> (SimCluster, Client, Api<DynamicObject>) {
    let (cluster, client) = cluster().await;
    failed(get(&cluster, PATH).await, 404, "NotFound");
    let made = create(&Api::<CustomResourceDefinition>::all(client.clone()), definition()).await;
    let conditions = made.status.unwrap().conditions.unwrap();
    assert!(
        conditions
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
    );
    let kind = GroupVersionKind::gvk("demo.example.com", "v1", "Widget");
    let api = Api::default_namespaced_with(client.clone(), &ApiResource::from_gvk(&kind));
    (cluster, client, api)
}

fn widget(spec: Value) -> Value {
    json!({"apiVersion": "demo.example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": spec})
}

#[tokio::test]
async fn a_kind_is_served_from_its_definition_on() {
    let (cluster, client, api) = widgets().await;
    let spec = json!({"size": 2, "parts": [{"name": "x"}], "nonsense": 1});
    let answer = post(&cluster, PATH, widget(spec)).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    let wanted = json!({"size": 2, "color": "red", "parts": [{"name": "x", "count": 1}]});
    assert_eq!(answer.body["spec"], wanted);
    let discovery = kube::Discovery::new(client.clone()).run_aggregated().await.unwrap();
    assert!(
        discovery
            .get("demo.example.com")
            .unwrap()
            .recommended_kind("Widget")
            .is_some()
    );
    let accept = [(header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = raw(&cluster, Method::GET, PATH, &accept, "").await.body;
    assert_eq!(
        table["rows"][0]["cells"].as_array().unwrap()[..3],
        [json!("a"), json!(2), json!("")]
    );
    let definitions = Api::<CustomResourceDefinition>::all(client);
    definitions
        .delete("widgets.demo.example.com", &Default::default())
        .await
        .unwrap();
    until(definitions, "widgets.demo.example.com", |found| found.is_none()).await;
    assert_eq!(status(api.get("a").await).code, 404);
    failed(get(&cluster, PATH).await, 404, "NotFound");
}

#[tokio::test]
async fn schemas_are_enforced() {
    let (cluster, _client, _api) = widgets().await;
    let check = async |spec: Value, fields: &[&str]| {
        let status = failed(post(&cluster, PATH, widget(spec)).await, 422, "Invalid");
        let causes = status["details"]["causes"].as_array().unwrap();
        let found: Vec<&str> = causes.iter().map(|cause| cause["field"].as_str().unwrap()).collect();
        assert_eq!(found, fields, "{status}");
    };
    check(json!({}), &["spec.size"]).await;
    check(json!({"size": "x"}), &["spec.size"]).await;
    check(json!({"size": 0, "color": "green"}), &["spec.color", "spec.size"]).await;
    check(json!({"size": 1, "parts": [{"count": 1}]}), &["spec.parts[0].name"]).await;
    check(json!([]), &["spec"]).await;
    let strict = format!("{PATH}?fieldValidation=Strict");
    failed(
        post(&cluster, &strict, widget(json!({"size": 1, "x": 1}))).await,
        400,
        "BadRequest",
    );
    let bad = json!({"metadata": {"name": "wrong"}, "spec": {"group": "g"}});
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    failed(post(&cluster, path, bad).await, 422, "Invalid");
}

#[tokio::test]
async fn status_and_generation() {
    let (_cluster, _client, api) = widgets().await;
    let parameters = PatchParams::apply("one");
    let made = api
        .patch("a", &parameters, &Patch::Apply(widget(json!({"size": 1}))))
        .await
        .unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let status = json!({"status": {"ready": true}, "spec": {"size": 7}});
    let done = api
        .patch_status("a", &Default::default(), &Patch::Merge(status))
        .await
        .unwrap();
    assert_eq!(
        (&done.data["status"]["ready"], &done.data["spec"]["size"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(done.metadata.generation, Some(1));
    let sneaky = json!({"status": {"ready": false}, "spec": {"size": 2}});
    let done = api
        .patch("a", &Default::default(), &Patch::Merge(sneaky))
        .await
        .unwrap();
    assert_eq!(
        (&done.data["status"]["ready"], done.metadata.generation),
        (&json!(true), Some(2))
    );
}

#[tokio::test]
async fn lists_of_custom_kinds_merge_by_their_schema() {
    let (_cluster, _client, api) = widgets().await;
    let apply = async |manager: &str, spec: Value| {
        let parameters = PatchParams::apply(manager);
        api.patch("a", &parameters, &Patch::Apply(widget(spec))).await.unwrap()
    };
    apply("one", json!({"size": 1, "parts": [{"name": "x"}], "tags": ["p"]})).await;
    let both = apply(
        "two",
        json!({"size": 1, "parts": [{"name": "y", "count": 5}], "tags": ["q"]}),
    )
    .await;
    assert_eq!(
        both.data["spec"]["parts"],
        json!([{"name": "x", "count": 1}, {"name": "y", "count": 5}])
    );
    assert_eq!(both.data["spec"]["tags"], json!(["p", "q"]));
    let less = apply("one", json!({"size": 1})).await;
    assert_eq!(less.data["spec"]["parts"], json!([{"name": "y", "count": 5}]));
    assert_eq!(less.data["spec"]["tags"], json!(["q"]));
    assert_eq!(less.managed_fields().len(), 2);
}
