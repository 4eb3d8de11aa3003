//! What a server says to requests that make no sense.

use http::Method;
use meridian_kube_conformance::{Answer, Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, deployment, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a body that is no JSON is a bad request",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        malformed
    ),
    case!(
        "an empty body is a bad request",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        empty
    ),
    case!(
        "a body of an unknown kind is a bad request",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        unknown_kind
    ),
    case!(
        "a body in a format that is not known is an unsupported media type",
        "kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources",
        [],
        content_type
    ),
    case!(
        "a body may be YAML",
        "kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources",
        [],
        yaml
    ),
    case!(
        "a body that is no YAML is a bad request",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        malformed_yaml
    ),
    case!(
        "a value of another type is a bad request that names the field",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        wrong_type
    ),
    case!(
        "a body that is too large is told so",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        too_large
    ),
    case!(
        "annotations have a size",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/",
        [],
        large_annotations
    ),
    case!(
        "a method that a path does not have is not allowed",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        method
    ),
    case!(
        "a path that is not there is not found",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        path
    ),
    case!(
        "a query that cannot be read is a bad request",
        "kubernetes.io/docs/reference/kubernetes-api/common-parameters/common-parameters/",
        [],
        query
    ),
    case!(
        "options of a deletion that cannot be read are a bad request",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/",
        [],
        delete_options
    ),
    case!(
        "a body nested without end is refused",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        nested
    ),
    case!(
        "a name in another script is refused and not misread",
        "kubernetes.io/docs/concepts/overview/working-with-objects/names/",
        [],
        unicode
    ),
    case!(
        "a failure has kind, code, reason and message",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        form
    ),
    case!(
        "the server goes on after each of them",
        "kubernetes.io/docs/reference/using-api/health-checks/#api-endpoints-for-health",
        [],
        goes_on
    ),
];

async fn post(c: &Case, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    let headers = [("content-type", content_type)];
    c.api.send(Method::POST, &c.core("configmaps"), &headers, body).await
}

async fn malformed(c: Case) {
    for body in [
        "{",
        "nonsense",
        "[1, 2",
        "{\"kind\": \"ConfigMap\"",
        "\"text\"",
        "[]",
        "12",
    ] {
        post(&c, "application/json", body).await.refused(400, "BadRequest");
    }
    post(&c, "application/json", [0xff, 0xfe, 0x00, 0x7b])
        .await
        .refused(400, "BadRequest");
}

async fn empty(c: Case) {
    post(&c, "application/json", "").await.refused(400, "BadRequest");
}

async fn unknown_kind(c: Case) {
    let body = json!({"apiVersion": "v1", "kind": "Teapot", "metadata": {"name": "a"}});
    post(&c, "application/json", body.to_string())
        .await
        .refused(400, "BadRequest");
    let body = json!({"apiVersion": "v9", "kind": "ConfigMap", "metadata": {"name": "a"}});
    post(&c, "application/json", body.to_string())
        .await
        .refused(400, "BadRequest");
}

async fn content_type(c: Case) {
    for content_type in ["text/plain", "application/xml", "nonsense"] {
        let status = post(&c, content_type, config_map("map").to_string())
            .await
            .refused(415, "UnsupportedMediaType");
        assert!(
            text(&status["message"]).contains("application/json"),
            "what is supported is named: {status}"
        );
    }
    post(&c, "application/json; charset=utf-8", config_map("map").to_string())
        .await
        .created();
}

async fn yaml(c: Case) {
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\ndata:\n  a: \"1\"\n";
    let made = post(&c, "application/yaml", body).await.created();
    assert_eq!(made["data"]["a"], "1");
    let answer = c.api.get_as(&c.core("configmaps/map"), "application/yaml").await;
    assert_eq!((answer.code, answer.media_type()), (200, "application/yaml"));
    assert!(text(&answer.body).contains("kind: ConfigMap\n"), "{}", answer.body);
}

async fn malformed_yaml(c: Case) {
    for body in ["a: [", "\tnonsense", "- a\nb: c"] {
        post(&c, "application/yaml", body).await.refused(400, "BadRequest");
    }
}

async fn wrong_type(c: Case) {
    let mut web = deployment(&c, "web", 0);
    web["spec"]["replicas"] = json!("many");
    let status = c.api.post(&c.apps("deployments"), web).await.refused(400, "BadRequest");
    assert!(text(&status["message"]).contains("replicas"), "{status}");
    let map = json!({"metadata": {"name": "a", "labels": ["x"]}});
    c.api.post(&c.core("configmaps"), map).await.refused(400, "BadRequest");
    let map = json!({"metadata": "a"});
    c.api.post(&c.core("configmaps"), map).await.refused(400, "BadRequest");
}

async fn too_large(c: Case) {
    let mut map = config_map("map");
    map["data"]["key"] = json!("x".repeat(4 * 1024 * 1024));
    let status = c
        .api
        .post(&c.core("configmaps"), map)
        .await
        .refused(413, "RequestEntityTooLarge");
    assert!(text(&status["message"]).contains("too large"), "{status}");
}

async fn large_annotations(c: Case) {
    let mut map = config_map("map");
    map["metadata"]["annotations"] = json!({"a": "x".repeat(256 * 1024)});
    let status = c
        .api
        .post(&c.core("configmaps"), map)
        .await
        .invalid("metadata.annotations");
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueTooLong");
}

async fn method(c: Case) {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    for (method, path) in [
        (Method::POST, c.core("configmaps/map")),
        (Method::PUT, c.core("configmaps")),
        (Method::PATCH, c.core("configmaps")),
        (Method::POST, "/api/v1/configmaps".to_owned()),
        (Method::DELETE, "/api/v1/configmaps".to_owned()),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = c
            .api
            .send(method.clone(), &path, &headers, config_map("map").to_string())
            .await;
        assert_eq!(answer.code, 405, "{method} {path}: {}", answer.body);
    }
}

async fn path(c: Case) {
    for path in [
        "/nothing",
        "/api/v2",
        "/api/v1/teapots",
        "/apis/apps/v1/namespaces/default/teapots",
        "/api/v1/namespaces/default/configmaps/a/b/c",
    ] {
        let answer = c.api.get(path).await;
        assert_eq!(answer.code, 404, "{path}: {}", answer.body);
    }
}

async fn query(c: Case) {
    for query in ["limit=many", "timeoutSeconds=soon"] {
        c.api
            .get(&c.core(&format!("configmaps?{query}")))
            .await
            .refused(400, "BadRequest");
    }
    c.api.get(&c.core("configmaps?nobody-knows=this")).await.ok();
}

async fn delete_options(c: Case) {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let path = c.core("configmaps/map");
    let headers = [("content-type", "application/json")];
    c.api
        .send(Method::DELETE, &path, &headers, "{")
        .await
        .refused(400, "BadRequest");
    let answer = c.api.delete(&path, json!({"gracePeriodSeconds": "soon"})).await;
    answer.refused(400, "BadRequest");
    c.api.get(&path).await.ok();
}

async fn nested(c: Case) {
    let deep = format!("{{\"metadata\": {}{}}}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
    let answer = post(&c, "application/json", deep).await;
    assert!((400..500).contains(&answer.code), "{}: {}", answer.code, answer.body);
}

async fn unicode(c: Case) {
    c.api
        .post(&c.core("configmaps"), config_map("naïve"))
        .await
        .invalid("metadata.name");
    let mut map = config_map("map");
    map["data"]["key"] = json!("naïve \u{1f600} \u{0} text");
    let made = c.api.post(&c.core("configmaps"), map).await.created();
    assert_eq!(made["data"]["key"], "naïve \u{1f600} \u{0} text");
}

async fn form(c: Case) {
    let answer = c.api.get(&c.core("configmaps/none")).await;
    assert_eq!(answer.media_type(), "application/json");
    let status = answer.refused(404, "NotFound");
    assert_eq!(status["metadata"], json!({}));
    assert!(!text(&status["message"]).is_empty(), "{status}");
}

async fn goes_on(c: Case) {
    post(&c, "application/json", "{").await.refused(400, "BadRequest");
    post(&c, "text/plain", "{").await.refused(415, "UnsupportedMediaType");
    c.api
        .send(
            Method::from_bytes(b"BREW").unwrap(),
            &c.core("configmaps"),
            &[],
            Vec::new(),
        )
        .await;
    assert_eq!(c.api.get("/readyz").await.ok(), Value::from("ok"));
}
