//! patch: JSON patches and merge patches.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, ingress, service, text, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a merge patch sets, adds and removes fields",
        "RFC 7386, kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        merge
    ),
    case!(
        "a merge patch replaces a list as a whole",
        "RFC 7386, kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        merge_list
    ),
    case!(
        "a merge patch with a stale version is a conflict",
        "kubernetes.io/docs/reference/using-api/api-concepts/#update-mechanism-update",
        [],
        merge_conflict
    ),
    case!(
        "a patch of what is not there is not found",
        "kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        missing
    ),
    case!(
        "a JSON patch adds, replaces, moves, copies and removes",
        "RFC 6902, kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        json_operations
    ),
    case!(
        "a JSON patch escapes slashes in keys",
        "RFC 6901, kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        json_escapes
    ),
    case!(
        "a JSON patch appends to a list",
        "RFC 6902, kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        json_append
    ),
    case!(
        "a JSON patch whose test fails changes nothing",
        "RFC 6902, kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        json_test
    ),
    case!(
        "a JSON patch of a path that is not there is refused",
        "RFC 6902, kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        json_missing_path
    ),
    case!(
        "a body that is no patch of its type is a bad request",
        "kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        malformed
    ),
    case!(
        "a patch of a type that is not known is an unsupported media type",
        "kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        unknown_type
    ),
    case!(
        "a custom patch type does not get around validation",
        "kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply",
        [],
        validated
    ),
    case!(
        "a patch cannot rename an object",
        "kubernetes.io/docs/concepts/overview/working-with-objects/names/",
        [],
        rename
    ),
    case!(
        "a patch of the spec raises the generation",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        generation
    ),
    case!(
        "a dry run of a patch answers and keeps nothing",
        "kubernetes.io/docs/reference/using-api/api-concepts/#dry-run",
        [],
        dry_run
    ),
    case!(
        "a strict merge patch refuses unknown fields",
        "kubernetes.io/docs/reference/using-api/api-concepts/#field-validation",
        [],
        strict
    ),
];

async fn map(c: &Case) -> Value {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created()
}

async fn merge(c: Case) {
    map(&c).await;
    let patch = json!({"data": {"key": null, "new": "1"}, "metadata": {"labels": {"a": "b"}}});
    let after = c.api.merge(&c.core("configmaps/map"), patch).await.ok();
    assert_eq!(after["data"], json!({"new": "1"}));
    assert_eq!(after["metadata"]["labels"], json!({"a": "b"}));
    let after = c.api.merge(&c.core("configmaps/map"), json!({"data": null})).await.ok();
    assert!(after["data"].is_null(), "{after}");
}

async fn merge_list(c: Case) {
    let web = c.api.post(&c.core("services"), service("web")).await.created();
    let ports = json!([{"name": "other", "port": 81, "protocol": "TCP", "targetPort": 81}]);
    let after = c
        .api
        .merge(&c.core("services/web"), json!({"spec": {"ports": ports}}))
        .await
        .ok();
    assert_eq!(after["spec"]["ports"], ports);
    assert_eq!(after["spec"]["selector"], web["spec"]["selector"]);
}

async fn merge_conflict(c: Case) {
    let old = version(&map(&c).await);
    c.api
        .merge(&c.core("configmaps/map"), json!({"data": {"a": "1"}}))
        .await
        .ok();
    let patch = json!({"metadata": {"resourceVersion": old}, "data": {"a": "2"}});
    c.api
        .merge(&c.core("configmaps/map"), patch)
        .await
        .refused(409, "Conflict");
    let found = c.api.get(&c.core("configmaps/map")).await.ok();
    let patch = json!({"metadata": {"resourceVersion": version(&found)}, "data": {"a": "3"}});
    c.api.merge(&c.core("configmaps/map"), patch).await.ok();
}

async fn missing(c: Case) {
    let path = c.core("configmaps/map");
    c.api.merge(&path, json!({"data": {}})).await.refused(404, "NotFound");
    c.api.json_patch(&path, json!([])).await.refused(404, "NotFound");
}

async fn json_operations(c: Case) {
    map(&c).await;
    let operations = json!([
        {"op": "add", "path": "/data/a", "value": "1"},
        {"op": "copy", "from": "/data/a", "path": "/data/b"},
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "move", "from": "/data/key", "path": "/data/moved"},
        {"op": "add", "path": "/data/c", "value": "3"},
        {"op": "remove", "path": "/data/c"},
    ]);
    let after = c.api.json_patch(&c.core("configmaps/map"), operations).await.ok();
    assert_eq!(after["data"], json!({"a": "2", "b": "1", "moved": "value"}));
}

async fn json_escapes(c: Case) {
    let mut object = config_map("map");
    object["metadata"]["annotations"] = json!({"example.com/a~b": "1", "keep": "1"});
    // A tilde is no part of a valid key, so the object has the slash alone.
    object["metadata"]["annotations"] = json!({"example.com/a": "1", "keep": "1"});
    c.api.post(&c.core("configmaps"), object).await.created();
    let operations = json!([{"op": "replace", "path": "/metadata/annotations/example.com~1a", "value": "2"}]);
    let after = c.api.json_patch(&c.core("configmaps/map"), operations).await.ok();
    assert_eq!(
        after["metadata"]["annotations"],
        json!({"example.com/a": "2", "keep": "1"})
    );
}

async fn json_append(c: Case) {
    c.api.post(&c.core("services"), service("web")).await.created();
    let operations = json!([
        {"op": "add", "path": "/spec/ports/-", "value": {"name": "b", "port": 81}},
        {"op": "add", "path": "/spec/ports/0", "value": {"name": "a", "port": 79}},
    ]);
    let after = c.api.json_patch(&c.core("services/web"), operations).await.ok();
    let ports: Vec<_> = after["spec"]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["port"].clone())
        .collect();
    assert_eq!(ports, [79, 80, 81]);
}

async fn json_test(c: Case) {
    map(&c).await;
    let operations = |value: &str| {
        json!([
            {"op": "test", "path": "/data/key", "value": value},
            {"op": "replace", "path": "/data/key", "value": "changed"},
        ])
    };
    c.api
        .json_patch(&c.core("configmaps/map"), operations("other"))
        .await
        .refused(422, "Invalid");
    assert_eq!(c.api.get(&c.core("configmaps/map")).await.ok()["data"]["key"], "value");
    let after = c
        .api
        .json_patch(&c.core("configmaps/map"), operations("value"))
        .await
        .ok();
    assert_eq!(after["data"]["key"], "changed");
}

async fn json_missing_path(c: Case) {
    map(&c).await;
    for operation in [
        json!({"op": "remove", "path": "/data/none"}),
        json!({"op": "add", "path": "/none/deeper", "value": "1"}),
    ] {
        c.api
            .json_patch(&c.core("configmaps/map"), json!([operation]))
            .await
            .refused(422, "Invalid");
    }
}

async fn raw(c: &Case, content_type: &str, body: &str) -> meridian_kube_conformance::Answer {
    let headers = [("content-type", content_type)];
    c.api
        .send(http::Method::PATCH, &c.core("configmaps/map"), &headers, body)
        .await
}

async fn malformed(c: Case) {
    map(&c).await;
    raw(&c, "application/merge-patch+json", "{")
        .await
        .refused(400, "BadRequest");
    raw(&c, "application/json-patch+json", "{\"a\": 1}")
        .await
        .refused(400, "BadRequest");
    raw(&c, "application/json-patch+json", "nonsense")
        .await
        .refused(400, "BadRequest");
}

async fn unknown_type(c: Case) {
    map(&c).await;
    for content_type in ["application/json", "text/plain", "application/x-patch"] {
        raw(&c, content_type, "{}").await.refused(415, "UnsupportedMediaType");
    }
}

async fn validated(c: Case) {
    c.api.post(&c.core("services"), service("web")).await.created();
    let port = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": 0}]);
    c.api
        .json_patch(&c.core("services/web"), port)
        .await
        .invalid("spec.ports[0].port");
    let wrong = json!({"spec": {"type": "Teapot"}});
    let status = c.api.merge(&c.core("services/web"), wrong).await.invalid("spec.type");
    assert!(status.to_string().contains("FieldValueNotSupported"), "{status}");
}

async fn rename(c: Case) {
    map(&c).await;
    let patch = json!({"metadata": {"name": "other"}});
    let answer = c.api.merge(&c.core("configmaps/map"), patch).await;
    assert!(matches!(answer.code, 400 | 422), "{}: {}", answer.code, answer.body);
}

async fn generation(c: Case) {
    let (path, _) = ingress(&c).await;
    let patch = json!({"spec": {"rules": [{"host": "web.example.test"}]}});
    let after = c.api.merge(&path, patch).await.ok();
    assert_eq!(after["metadata"]["generation"], 2);
    let operations = json!([{"op": "replace", "path": "/spec/rules/0/host", "value": "other.example.test"}]);
    let after = c.api.json_patch(&path, operations).await.ok();
    assert_eq!(after["metadata"]["generation"], 3);
}

async fn dry_run(c: Case) {
    let before = version(&map(&c).await);
    let patch = json!({"data": {"a": "1"}});
    let answer = c.api.merge(&c.core("configmaps/map?dryRun=All"), patch).await.ok();
    assert_eq!(answer["data"]["a"], "1");
    assert_eq!(version(&c.api.get(&c.core("configmaps/map")).await.ok()), before);
}

async fn strict(c: Case) {
    map(&c).await;
    let patch = json!({"date": {}});
    let status = c
        .api
        .merge(&c.core("configmaps/map?fieldValidation=Strict"), patch.clone())
        .await;
    assert_eq!(status.code, 422, "{}", status.body);
    assert!(
        text(&status.body["message"]).contains("unknown field \"date\""),
        "{}",
        status.body
    );
    c.api
        .merge(&c.core("configmaps/map?fieldValidation=Ignore"), patch)
        .await
        .ok();
}
