//! Other forms of the same objects: tables, metadata alone, pretty and compressed.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, deployment, item, labelled, names, service, text, uid, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a table has columns, and a row for each object",
        "kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables",
        [],
        table
    ),
    case!(
        "a table of one object has one row",
        "kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables",
        [],
        table_of_one
    ),
    case!(
        "the rows of a table carry the metadata of their objects",
        "kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables",
        [],
        table_rows
    ),
    case!(
        "a table carries whole objects or none on request",
        "kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables",
        [],
        include_object
    ),
    case!(
        "a table has the version and the pages of its list",
        "kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables",
        [],
        table_pages
    ),
    case!(
        "a watch of tables sends one row at a time",
        "kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables",
        [],
        table_watch
    ),
    case!(
        "columns of Deployments count replicas",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#creating-a-deployment",
        [],
        deployment_columns
    ),
    case!(
        "columns of Services name type, addresses and ports",
        "kubernetes.io/docs/concepts/services-networking/service/#defining-a-service",
        [],
        service_columns
    ),
    case!(
        "a client that takes no table gets the object",
        "kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources",
        [],
        fallback
    ),
    case!(
        "metadata alone is of one kind, whatever the object's",
        "kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches",
        [],
        partial_object
    ),
    case!(
        "a list of metadata alone has the items' metadata",
        "kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches",
        [],
        partial_list
    ),
    case!(
        "a watch of metadata alone sends metadata alone",
        "kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches",
        [],
        partial_watch
    ),
    case!(
        "a media type that the server does not have is not acceptable",
        "kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources",
        [],
        not_acceptable
    ),
    case!(
        "a failure is a Status even where a table was asked for",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        failure_as_status
    ),
];

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

async fn two_maps(c: &Case) {
    for name in ["a", "b"] {
        c.api.post(&c.core("configmaps"), config_map(name)).await.created();
    }
}

/// The cells of a table's row by the names of their columns.
fn cell(table: &Value, row: usize, column: &str) -> Value {
    let columns = table["columnDefinitions"].as_array().unwrap();
    let index = columns.iter().position(|definition| definition["name"] == column);
    let index = index.unwrap_or_else(|| panic!("no column {column}: {columns:?}"));
    table["rows"][row]["cells"][index].clone()
}

/// The objects a case made, without what a controller may have put beside them.
fn own(names: Vec<String>) -> Vec<String> {
    names.into_iter().filter(|name| name != "kube-root-ca.crt").collect()
}

async fn table(c: Case) {
    two_maps(&c).await;
    let found = c
        .api
        .get_as(
            &c.core("configmaps?fieldSelector=metadata.name!%3Dkube-root-ca.crt"),
            TABLE,
        )
        .await
        .ok();
    assert_eq!(
        (&found["kind"], &found["apiVersion"]),
        (&json!("Table"), &json!("meta.k8s.io/v1"))
    );
    let name = item(&found["columnDefinitions"], "name", "Name");
    assert_eq!(
        (&name["type"], &name["format"], &name["priority"]),
        (&json!("string"), &json!("name"), &json!(0))
    );
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (cell(&found, 0, "Name"), cell(&found, 1, "Name")),
        (json!("a"), json!("b"))
    );
    assert_eq!(cell(&found, 0, "Data"), 1);
}

async fn table_of_one(c: Case) {
    two_maps(&c).await;
    let found = c.api.get_as(&c.core("configmaps/b"), TABLE).await.ok();
    assert_eq!(found["rows"].as_array().unwrap().len(), 1);
    assert_eq!(cell(&found, 0, "Name"), "b");
}

async fn table_rows(c: Case) {
    two_maps(&c).await;
    let found = c.api.get_as(&c.core("configmaps/a"), TABLE).await.ok();
    let object = &found["rows"][0]["object"];
    assert_eq!(object["kind"], "PartialObjectMetadata");
    assert_eq!(object["metadata"]["name"], "a");
    uid(object);
    assert!(object["data"].is_null(), "{object}");
}

async fn include_object(c: Case) {
    two_maps(&c).await;
    let found = c
        .api
        .get_as(&c.core("configmaps/a?includeObject=Object"), TABLE)
        .await
        .ok();
    assert_eq!(found["rows"][0]["object"]["data"]["key"], "value");
    let found = c
        .api
        .get_as(&c.core("configmaps/a?includeObject=None"), TABLE)
        .await
        .ok();
    assert!(found["rows"][0]["object"].is_null(), "{found}");
    c.api
        .get_as(&c.core("configmaps/a?includeObject=Some"), TABLE)
        .await
        .refused(400, "BadRequest");
}

async fn table_pages(c: Case) {
    for name in ["a", "b"] {
        c.api
            .post(&c.core("secrets"), labelled(name, json!({})))
            .await
            .created();
    }
    let first = c.api.get_as(&c.core("secrets?limit=1"), TABLE).await.ok();
    version(&first);
    assert_eq!(first["rows"].as_array().unwrap().len(), 1);
    let token = text(&first["metadata"]["continue"]);
    let second = c
        .api
        .get_as(&c.core(&format!("secrets?limit=1&continue={token}")), TABLE)
        .await
        .ok();
    assert_eq!(cell(&second, 0, "Name"), "b");
}

async fn table_watch(c: Case) {
    let at = version(&c.api.get(&c.core("secrets")).await.ok());
    two_secrets(&c).await;
    let path = c.core(&format!("secrets?resourceVersion={at}"));
    let mut watch = c.api.watch_as(&path, TABLE).await;
    let first = watch.next().await;
    assert_eq!(first["type"], "ADDED");
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(cell(&first["object"], 0, "Name"), "a");
    let second = watch.next().await;
    assert_eq!(second["object"]["rows"].as_array().unwrap().len(), 1, "{second}");
    assert_eq!(second["object"]["rows"][0]["object"]["metadata"]["name"], "b");
}

async fn two_secrets(c: &Case) {
    for name in ["a", "b"] {
        c.api
            .post(&c.core("secrets"), labelled(name, json!({})))
            .await
            .created();
    }
}

async fn deployment_columns(c: Case) {
    c.api
        .post(&c.apps("deployments"), deployment(&c, "web", 0))
        .await
        .created();
    let found = c.api.get_as(&c.apps("deployments/web"), TABLE).await.ok();
    assert_eq!(cell(&found, 0, "Ready"), "0/0");
    for column in ["Up-to-date", "Available"] {
        assert_eq!(cell(&found, 0, column), 0, "{column}");
    }
    assert_eq!(cell(&found, 0, "Containers"), "main");
    assert_eq!(cell(&found, 0, "Selector"), "app=web");
    let wide = item(&found["columnDefinitions"], "name", "Selector");
    assert!(wide["priority"].as_i64().unwrap() > 0, "{wide}");
}

async fn service_columns(c: Case) {
    let made = c.api.post(&c.core("services"), service("web")).await.created();
    let found = c.api.get_as(&c.core("services/web"), TABLE).await.ok();
    assert_eq!(cell(&found, 0, "Type"), "ClusterIP");
    assert_eq!(cell(&found, 0, "Cluster-IP"), made["spec"]["clusterIP"]);
    assert_eq!(cell(&found, 0, "External-IP"), "<none>");
    assert_eq!(cell(&found, 0, "Port(s)"), "80/TCP");
}

async fn fallback(c: Case) {
    two_maps(&c).await;
    let accept = "application/json;as=Pages;v=v1;g=example.com, application/json";
    let found = c.api.get_as(&c.core("configmaps/a"), accept).await.ok();
    assert_eq!(found["kind"], "ConfigMap");
}

async fn partial_object(c: Case) {
    two_maps(&c).await;
    let found = c.api.get_as(&c.core("configmaps/a"), PARTIAL).await.ok();
    assert_eq!(found["kind"], "PartialObjectMetadata");
    assert_eq!(found["apiVersion"], "meta.k8s.io/v1");
    assert_eq!(found["metadata"]["name"], "a");
    assert!(found["data"].is_null(), "{found}");
}

async fn partial_list(c: Case) {
    two_maps(&c).await;
    let found = c.api.get_as(&c.core("configmaps"), PARTIAL_LIST).await.ok();
    assert_eq!(found["kind"], "PartialObjectMetadataList");
    version(&found);
    assert_eq!(own(names(&found)), ["a", "b"]);
    assert!(found["items"][0]["data"].is_null(), "{found}");
}

async fn partial_watch(c: Case) {
    let at = version(&c.api.get(&c.core("secrets")).await.ok());
    two_secrets(&c).await;
    let path = c.core(&format!("secrets?resourceVersion={at}"));
    let mut watch = c.api.watch_as(&path, PARTIAL).await;
    let event = watch.next().await;
    assert_eq!(
        (&event["type"], &event["object"]["kind"]),
        (&json!("ADDED"), &json!("PartialObjectMetadata"))
    );
    assert_eq!(event["object"]["metadata"]["name"], "a");
    assert!(event["object"]["type"].is_null(), "{event}");
}

async fn not_acceptable(c: Case) {
    two_maps(&c).await;
    c.api
        .get_as(&c.core("configmaps/a"), "text/html")
        .await
        .refused(406, "NotAcceptable");
    c.api.get_as(&c.core("configmaps/a"), "*/*").await.ok();
}

async fn failure_as_status(c: Case) {
    c.api
        .get_as(&c.core("configmaps/none"), TABLE)
        .await
        .refused(404, "NotFound");
    c.api
        .get_as(&c.core("configmaps/none"), PARTIAL)
        .await
        .refused(404, "NotFound");
}
