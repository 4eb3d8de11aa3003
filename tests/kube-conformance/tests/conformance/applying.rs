//! Server-side apply: who owns what.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, item, service, text, version};

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
];

pub(crate) fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": data})
}

/// The entry of a manager in managedFields.
pub(crate) fn entry<'a>(object: &'a Value, manager: &str) -> &'a Value {
    item(&object["metadata"]["managedFields"], "manager", manager)
}

pub(crate) fn owns(object: &Value, manager: &str, pointer: &str) -> bool {
    entry(object, manager)["fieldsV1"].pointer(pointer).is_some()
}

pub(crate) fn causes(status: &Value) -> Vec<(String, String)> {
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

pub(crate) fn with_ports(ports: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": ports}})
}

pub(crate) fn ports(object: &Value) -> Vec<(i64, String)> {
    let ports = object["spec"]["ports"].as_array().unwrap();
    ports
        .iter()
        .map(|port| (port["port"].as_i64().unwrap(), text(&port["name"])))
        .collect()
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
