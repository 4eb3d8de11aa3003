//! create: dry runs, field validation, and how faults are told.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::json;

use crate::shared::{Case, config_map, service, text, uid, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a dry run answers like a create and keeps nothing",
        "kubernetes.io/docs/reference/using-api/api-concepts/#dry-run",
        [],
        dry_run
    ),
    case!(
        "a dry run is validated",
        "kubernetes.io/docs/reference/using-api/api-concepts/#dry-run",
        [],
        dry_run_invalid
    ),
    case!(
        "dryRun knows the value All alone",
        "kubernetes.io/docs/reference/using-api/api-concepts/#dry-run",
        [],
        dry_run_value
    ),
    case!(
        "strict field validation refuses unknown and duplicate fields",
        "kubernetes.io/docs/reference/using-api/api-concepts/#field-validation",
        [],
        strict
    ),
    case!(
        "field validation that warns drops the unknown field and says so",
        "kubernetes.io/docs/reference/using-api/api-concepts/#field-validation",
        [],
        warns
    ),
    case!(
        "field validation that ignores says nothing",
        "kubernetes.io/docs/reference/using-api/api-concepts/#field-validation",
        [],
        ignores
    ),
    case!(
        "a list of what is wrong names each field",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        causes
    ),
];

async fn dry_run(c: Case) {
    let before = version(&c.api.get(&c.core("services")).await.ok());
    let made = c
        .api
        .post(&c.core("services?dryRun=All"), service("web"))
        .await
        .created();
    uid(&made);
    assert_eq!(made["spec"]["type"], "ClusterIP", "defaults are there");
    c.api.get(&c.core("services/web")).await.refused(404, "NotFound");
    let mut watch = c
        .api
        .watch(&c.core(&format!("services?resourceVersion={before}")))
        .await;
    c.api.post(&c.core("services"), service("real")).await.created();
    assert_eq!(
        watch.next_named().await,
        ("ADDED".to_owned(), "real".to_owned()),
        "nobody hears of a dry run"
    );
}

async fn dry_run_invalid(c: Case) {
    c.api
        .post(&c.core("configmaps?dryRun=All"), config_map("Not A Name"))
        .await
        .invalid("metadata.name");
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    c.api
        .post(&c.core("configmaps?dryRun=All"), config_map("map"))
        .await
        .refused(409, "AlreadyExists");
}

async fn dry_run_value(c: Case) {
    c.api
        .post(&c.core("configmaps?dryRun=Some"), config_map("map"))
        .await
        .refused(422, "Invalid");
    c.api.get(&c.core("configmaps/map")).await.refused(404, "NotFound");
}

const UNKNOWN: &str = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "date": {}}"#;
const TWICE: &str =
    r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"a": "1"}, "data": {"a": "2"}}"#;

async fn create_raw(c: &Case, query: &str, body: &str) -> meridian_kube_conformance::Answer {
    let path = c.core(&format!("configmaps?{query}"));
    let headers = [("content-type", "application/json")];
    c.api.send(http::Method::POST, &path, &headers, body).await
}

async fn strict(c: Case) {
    let status = create_raw(&c, "fieldValidation=Strict", UNKNOWN)
        .await
        .refused(400, "BadRequest");
    assert!(text(&status["message"]).contains("unknown field \"date\""), "{status}");
    let status = create_raw(&c, "fieldValidation=Strict", TWICE)
        .await
        .refused(400, "BadRequest");
    assert!(
        text(&status["message"]).contains("duplicate field \"data\""),
        "{status}"
    );
    create_raw(&c, "fieldValidation=Sometimes", UNKNOWN)
        .await
        .refused(422, "Invalid");
}

async fn warns(c: Case) {
    let answer = create_raw(&c, "fieldValidation=Warn", UNKNOWN).await;
    let warning = answer.header("warning").to_owned();
    assert!(
        warning.starts_with("299 - ") && warning.contains("unknown field \\\"date\\\""),
        "{warning}"
    );
    let made = answer.created();
    assert!(made["date"].is_null(), "{made}");
}

async fn ignores(c: Case) {
    let answer = create_raw(&c, "fieldValidation=Ignore", UNKNOWN).await;
    assert_eq!(answer.header("warning"), "");
    answer.created();
}

async fn causes(c: Case) {
    let web = json!({
        "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 0, "name": "a"}, {"port": 70000, "name": "b"}]},
    });
    let status = c.api.post(&c.core("services"), web).await.invalid("spec.ports[0].port");
    assert_eq!(
        (&status["details"]["kind"], &status["details"]["name"]),
        (&json!("Service"), &json!("web"))
    );
    let fields = status["details"]["causes"].as_array().unwrap();
    assert!(
        fields.iter().any(|cause| cause["field"] == "spec.ports[1].port"),
        "{status}"
    );
    assert!(
        text(&status["message"]).starts_with("Service \"web\" is invalid: "),
        "{status}"
    );
}
