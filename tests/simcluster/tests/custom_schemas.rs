//! Custom resources in depth: every word of a schema, subresources, selection, names, known definitions.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use http::{Method, header};
use meridian_simcluster::{SimCluster, definitions};
use serde_json::{Value, json};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const PATH: &str = "/apis/demo.example.com/v1/namespaces/default/gadgets";

/// A definition of gadgets whose spec has these properties.
fn definition(properties: Value, version: Value) -> Value {
    let mut one = json!({
        "name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": properties},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }}},
    });
    json_patch::merge(&mut one, &version);
    json!({
        "metadata": {"name": "gadgets.demo.example.com"},
        "spec": {
            "group": "demo.example.com",
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [one],
        },
    })
}

async fn defined(properties: Value, version: Value) -> SimCluster {
    let (cluster, _client) = cluster().await;
    let made = post(&cluster, DEFINITIONS, definition(properties, version)).await;
    assert_eq!(made.code, 201, "{}", made.body);
    cluster
}

fn gadget(spec: Value) -> Value {
    json!({"apiVersion": "demo.example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": spec})
}

async fn dry(cluster: &SimCluster, spec: Value) -> Raw {
    post(cluster, &format!("{PATH}?dryRun=All"), gadget(spec)).await
}

#[tokio::test]
async fn every_word_of_a_schema_counts() {
    let cluster = defined(
        json!({
            "code": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4},
            "when": {"type": "string", "format": "date-time"},
            "net": {"type": "string", "format": "cidr"},
            "small": {"type": "integer", "format": "int32"},
            "part": {"type": "number", "minimum": 0, "exclusiveMinimum": true, "maximum": 1, "multipleOf": 0.25},
            "list": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}},
            "more": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "integer"}},
            "port": {"x-kubernetes-int-or-string": true},
            "maybe": {"type": "string", "nullable": true},
            "made": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
            "way": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            "odd": {"type": "string", "not": {"enum": ["x"]}, "anyOf": [{"minLength": 3}, {"pattern": "^y"}], "allOf": [{"maxLength": 5}]},
        }),
        json!({}),
    )
    .await;
    let good = json!({"code": "abc", "when": "2024-01-01T00:00:00Z", "net": "10.0.0.0/8", "small": 1, "part": 0.5,
        "list": ["a"], "set": ["a", "b"], "map": [{"name": "a"}], "more": {"a": 1}, "port": "http", "maybe": null,
        "made": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "x": 1}, "way": {"a": ""}, "odd": "yes"});
    let made = dry(&cluster, good.clone()).await;
    assert_eq!((made.code, &made.body["spec"]), (201, &good), "{}", made.body);
    let check = async |spec: Value, field: &str, reason: &str, message: &str| {
        let status = failed(dry(&cluster, spec.clone()).await, 422, "Invalid");
        let causes = status["details"]["causes"].as_array().unwrap().clone();
        let found = causes.iter().any(|cause| {
            cause["field"] == field && cause["reason"] == reason && cause["message"].as_str().unwrap().contains(message)
        });
        assert!(found && causes.len() == 1, "{spec}: {status}");
    };
    let (invalid, of_type) = ("FieldValueInvalid", "FieldValueTypeInvalid");
    check(
        json!({"code": "a1"}),
        "spec.code",
        invalid,
        "spec.code in body should match '^[a-z]+$'",
    )
    .await;
    check(
        json!({"code": "a"}),
        "spec.code",
        invalid,
        "should be at least 2 chars long",
    )
    .await;
    check(
        json!({"code": "abcde"}),
        "spec.code",
        "FieldValueTooLong",
        "may not be more than 4",
    )
    .await;
    check(
        json!({"when": "now"}),
        "spec.when",
        of_type,
        "must be of type date-time: \"now\"",
    )
    .await;
    check(json!({"net": "10.0.0.0"}), "spec.net", of_type, "must be of type cidr").await;
    check(
        json!({"small": 3_000_000_000_u64}),
        "spec.small",
        invalid,
        "format int32",
    )
    .await;
    check(
        json!({"small": "1"}),
        "spec.small",
        of_type,
        "must be of type integer: \"string\"",
    )
    .await;
    check(json!({"part": 0}), "spec.part", invalid, "should be greater than 0").await;
    check(
        json!({"part": 1.25}),
        "spec.part",
        invalid,
        "should be less than or equal to 1",
    )
    .await;
    check(
        json!({"part": 0.3}),
        "spec.part",
        invalid,
        "should be a multiple of 0.25",
    )
    .await;
    check(
        json!({"list": []}),
        "spec.list",
        invalid,
        "should have at least 1 items",
    )
    .await;
    check(
        json!({"list": ["a", "b", "c"]}),
        "spec.list",
        "FieldValueTooMany",
        "must have at most 2 items",
    )
    .await;
    check(
        json!({"set": ["a", "a"]}),
        "spec.set[1]",
        "FieldValueDuplicate",
        "Duplicate value: \"a\"",
    )
    .await;
    check(
        json!({"map": [{"name": "a"}, {"name": "a"}]}),
        "spec.map[1]",
        "FieldValueDuplicate",
        "{\"name\":\"a\"}",
    )
    .await;
    check(
        json!({"more": {"a": "x"}}),
        "spec.more.a",
        of_type,
        "must be of type integer",
    )
    .await;
    check(
        json!({"more": {"a": 1, "b": 2}}),
        "spec.more",
        "FieldValueTooMany",
        "at most 1 items",
    )
    .await;
    check(
        json!({"port": 1.5}),
        "spec.port",
        of_type,
        "must be of type integer,string",
    )
    .await;
    check(
        json!({"made": {"kind": "Pod"}}),
        "spec.made.apiVersion",
        "FieldValueRequired",
        "must not be empty",
    )
    .await;
    check(json!({"way": {}}), "spec.way", invalid, "(oneOf). Found none valid").await;
    check(
        json!({"way": {"a": "", "b": ""}}),
        "spec.way",
        invalid,
        "Found 2 valid alternatives",
    )
    .await;
    check(
        json!({"odd": "no"}),
        "spec.odd",
        invalid,
        "must validate at least one schema (anyOf)",
    )
    .await;
    check(json!({"odd": "yellow"}), "spec.odd", "FieldValueTooLong", "5").await;
}

#[tokio::test]
async fn a_schema_that_is_not_structural_is_refused() {
    let (cluster, _client) = cluster().await;
    let check = async |property: Value, field: &str, message: &str| {
        let path = format!("{DEFINITIONS}?dryRun=All");
        let body = definition(json!({"p": property}), json!({}));
        let status = failed(post(&cluster, &path, body).await, 422, "Invalid");
        let causes = status["details"]["causes"].as_array().unwrap().clone();
        let root = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[p]";
        assert_eq!(causes[0]["field"], format!("{root}{field}"), "{status}");
        assert!(causes[0]["message"].as_str().unwrap().contains(message), "{status}");
    };
    check(json!({}), ".type", "must not be empty for specified object fields").await;
    check(json!({"type": "array"}), ".items", "must be specified").await;
    check(
        json!({"type": "array", "items": {}}),
        ".items.type",
        "for specified array items",
    )
    .await;
    check(json!({"type": "text"}), ".type", "Unsupported value: \"text\"").await;
    check(
        json!({"type": "string", "pattern": "("}),
        ".pattern",
        "must be a valid regular expression",
    )
    .await;
    check(
        json!({"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}),
        ".additionalProperties",
        "mutually exclusive",
    )
    .await;
    check(
        json!({"type": "object", "anyOf": [{"type": "object"}]}),
        ".anyOf[0].type",
        "must be empty to be structural",
    )
    .await;
    check(
        json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
        ".uniqueItems",
        "quadratic",
    )
    .await;
    check(
        json!({"type": "integer", "default": "x"}),
        ".default",
        "must be of type integer",
    )
    .await;
    let keyed = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "properties": {"k": {"type": "string"}}}});
    check(
        keyed,
        ".items.properties[k].default",
        "must have a default or be a required property",
    )
    .await;
    let path = format!("{DEFINITIONS}?dryRun=All");
    let mut odd = definition(json!({}), json!({}));
    odd["spec"]["preserveUnknownFields"] = json!(true);
    odd["spec"]["scope"] = json!("Everywhere");
    odd["metadata"]["name"] = json!("gadgets.example.com");
    let status = failed(post(&cluster, &path, odd).await, 422, "Invalid");
    let fields = status["details"]["causes"].as_array().unwrap().iter();
    let fields: Vec<&str> = fields.map(|cause| cause["field"].as_str().unwrap()).collect();
    assert_eq!(
        fields,
        ["metadata.name", "spec.scope", "spec.preserveUnknownFields"],
        "{status}"
    );
}

#[tokio::test]
async fn defaults_reach_down_and_nulls_give_way() {
    let cluster = defined(
        json!({
            "a": {"type": "object", "default": {}, "properties": {"b": {"type": "integer", "default": 1}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "string", "default": "x"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"d": {"type": "boolean", "default": true}}}},
            "n": {"type": "string", "nullable": true, "default": "y"},
            "plain": {"type": "string"},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }),
        json!({}),
    )
    .await;
    let check = async |spec: Value, wanted: Value| {
        let made = dry(&cluster, spec).await;
        assert_eq!((made.code, &made.body["spec"]), (201, &wanted), "{}", made.body);
    };
    check(json!({}), json!({"a": {"b": 1}, "n": "y"})).await;
    check(
        json!({"a": {"b": null, "z": 1}, "list": [{}, {"c": "k"}], "map": {"m": {}}, "n": null, "plain": null, "open": {"z": 1}}),
        json!({"a": {"b": 1}, "list": [{"c": "x"}, {"c": "k"}], "map": {"m": {"d": true}}, "n": null, "open": {"z": 1}}),
    )
    .await;
}

#[tokio::test]
async fn a_custom_resource_scales() {
    let scale = json!({
        "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.selector",
    });
    let size = json!({"size": {"type": "integer", "minimum": 0}});
    let cluster = defined(size.clone(), json!({"subresources": {"status": {}, "scale": scale}})).await;
    assert_eq!(post(&cluster, PATH, gadget(json!({"size": 2}))).await.code, 201);
    let merge = [(header::CONTENT_TYPE, "application/merge-patch+json")];
    let status = json!({"status": {"size": 1, "selector": "app=g"}}).to_string();
    raw(&cluster, Method::PATCH, &format!("{PATH}/g/status"), &merge, status).await;
    let path = format!("{PATH}/g/scale");
    let mut found = get(&cluster, &path).await.body;
    assert_eq!(
        (&found["kind"], &found["apiVersion"]),
        (&json!("Scale"), &json!("autoscaling/v1"))
    );
    assert_eq!(found["spec"], json!({"replicas": 2}));
    assert_eq!(found["status"], json!({"replicas": 1, "selector": "app=g"}));
    found["spec"]["replicas"] = json!(5);
    let json_body = [(header::CONTENT_TYPE, "application/json")];
    let put = raw(&cluster, Method::PUT, &path, &json_body, found.to_string()).await;
    assert_eq!(
        (put.code, &put.body["spec"]["replicas"]),
        (200, &json!(5)),
        "{}",
        put.body
    );
    failed(
        raw(&cluster, Method::PUT, &path, &json_body, found.to_string()).await,
        409,
        "Conflict",
    );
    let patch = |replicas: i64| json!({"spec": {"replicas": replicas}}).to_string();
    raw(&cluster, Method::PATCH, &path, &merge, patch(7)).await;
    let object = get(&cluster, &format!("{PATH}/g")).await.body;
    assert_eq!(
        (&object["spec"]["size"], &object["metadata"]["generation"]),
        (&json!(7), &json!(3))
    );
    failed(
        raw(&cluster, Method::PATCH, &path, &merge, patch(-1)).await,
        422,
        "Invalid",
    );
    let resources = get(&cluster, "/apis/demo.example.com/v1").await.body["resources"].to_string();
    assert!(resources.contains("gadgets/scale"), "{resources}");

    let scale = json!({"specReplicasPath": ".size", "statusReplicasPath": ".status.size"});
    let (cluster, _client) = self::cluster().await;
    let wrong = definition(size, json!({"subresources": {"scale": scale}}));
    let status = failed(post(&cluster, DEFINITIONS, wrong).await, 422, "Invalid");
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("should be a json path under .spec"),
        "{status}"
    );
}

#[tokio::test]
async fn fields_a_definition_names_select() {
    let colour = json!({"colour": {"type": "string"}});
    let cluster = defined(colour, json!({"selectableFields": [{"jsonPath": ".spec.colour"}]})).await;
    for name in ["red", "blue"] {
        let mut body = gadget(json!({"colour": name}));
        body["metadata"]["name"] = json!(name);
        post(&cluster, PATH, body).await;
    }
    let found = get(&cluster, &format!("{PATH}?fieldSelector=spec.colour%3Dred"))
        .await
        .body;
    let names: Vec<&Value> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["metadata"]["name"])
        .collect();
    assert_eq!(names, ["red"]);
    let other = get(&cluster, &format!("{PATH}?fieldSelector=spec.size%3D1")).await;
    failed(other, 400, "BadRequest");
}

#[tokio::test]
async fn names_that_are_taken_are_not_served() {
    let cluster = defined(json!({}), json!({})).await;
    let mut other = definition(json!({}), json!({}));
    other["metadata"]["name"] = json!("gizmos.demo.example.com");
    other["spec"]["names"] = json!({"plural": "gizmos", "singular": "gizmo", "kind": "Gadget"});
    let made = post(&cluster, DEFINITIONS, other).await.body;
    let conditions = made["status"]["conditions"].as_array().unwrap().iter();
    let conditions: Vec<[&str; 3]> = conditions
        .map(|condition| ["type", "status", "reason"].map(|field| condition[field].as_str().unwrap()))
        .collect();
    assert_eq!(
        conditions,
        [
            ["NamesAccepted", "False", "KindConflict"],
            ["Established", "False", "NotAccepted"]
        ]
    );
    failed(get(&cluster, "/apis/demo.example.com/v1/gizmos").await, 404, "NotFound");
    let merge = [(header::CONTENT_TYPE, "application/merge-patch+json")];
    let names = json!({"spec": {"names": {"kind": "Gizmo", "listKind": "GizmoList"}}});
    let path = format!("{DEFINITIONS}/gizmos.demo.example.com");
    let fixed = raw(&cluster, Method::PATCH, &path, &merge, names.to_string()).await;
    assert_eq!(fixed.code, 200, "{}", fixed.body);
    assert_eq!(get(&cluster, "/apis/demo.example.com/v1/gizmos").await.code, 200);
    let kind = json!({"spec": {"names": {"kind": "Thing"}}});
    let status = failed(
        raw(&cluster, Method::PATCH, &path, &merge, kind.to_string()).await,
        422,
        "Invalid",
    );
    assert_eq!(status["details"]["causes"][0]["field"], "spec.names.kind", "{status}");
}

#[tokio::test]
async fn the_known_definitions_are_served() {
    let (cluster, _client) = cluster().await;
    for definition in definitions::multicluster().iter().chain(&definitions::gateway()) {
        let made = post(&cluster, DEFINITIONS, value(definition)).await;
        assert_eq!(made.code, 201, "{}", made.body);
        assert_eq!(made.body["status"]["conditions"][1]["status"], "True", "{}", made.body);
    }
    let check = async |version: &str, plural: &str, body: Value, wanted: &[(&str, Value)]| {
        let (group, _) = version.split_once('/').unwrap();
        let path = match plural {
            "gatewayclasses" => format!("/apis/{version}/{plural}"),
            _ => format!("/apis/{version}/namespaces/default/{plural}"),
        };
        let mut body = body;
        body["metadata"] = json!({"name": "x"});
        let made = post(&cluster, &path, body).await;
        assert_eq!(made.code, 201, "{group} {plural}: {}", made.body);
        for (pointer, wanted) in wanted {
            assert_eq!(
                made.body.pointer(pointer),
                Some(wanted),
                "{plural} {pointer}: {}",
                made.body
            );
        }
    };
    let mcs = "multicluster.x-k8s.io/v1alpha1";
    check(mcs, "serviceexports", json!({}), &[]).await;
    check(
        mcs,
        "serviceimports",
        json!({"spec": {"type": "ClusterSetIP", "ports": [{"port": 80}]}}),
        &[
            ("/spec/ports/0/protocol", json!("TCP")),
            ("/spec/sessionAffinity", json!("None")),
        ],
    )
    .await;
    let gateway = "gateway.networking.k8s.io/v1";
    let class = json!({"spec": {"controllerName": "example.com/gateway"}});
    check(gateway, "gatewayclasses", class, &[]).await;
    check(
        gateway,
        "gateways",
        json!({"spec": {"gatewayClassName": "x", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}}),
        &[("/spec/listeners/0/allowedRoutes/namespaces/from", json!("Same"))],
    )
    .await;
    let rules =
        json!({"spec": {"parentRefs": [{"name": "x"}], "rules": [{"backendRefs": [{"name": "s", "port": 80}]}]}});
    let backend = [
        ("/spec/parentRefs/0/kind", json!("Gateway")),
        ("/spec/rules/0/backendRefs/0/weight", json!(1)),
    ];
    check(gateway, "httproutes", rules.clone(), &backend).await;
    check(gateway, "grpcroutes", rules.clone(), &backend).await;
    for plural in ["tlsroutes", "tcproutes"] {
        check("gateway.networking.k8s.io/v1alpha2", plural, rules.clone(), &backend).await;
    }
    let wrong = json!({"metadata": {"name": "y"}, "spec": {"gatewayClassName": "x", "listeners": []}});
    let path = format!("/apis/{gateway}/namespaces/default/gateways");
    failed(post(&cluster, &path, wrong).await, 422, "Invalid");
}
