//! A ServiceAccount with roles, and requests in its name.

#![allow(dead_code, clippy::unwrap_used)]

use http::{Method, header};
use meridian_simcluster::SimCluster;
use serde_json::{Value, json};

use super::{Raw, cluster, post, raw_as, service_account};

pub(crate) const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

pub(crate) fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

/// Creates a role in a namespace, or a ClusterRole in none.
pub(crate) async fn role(cluster: &SimCluster, namespace: &str, name: &str, rules: Value) {
    let path = match namespace {
        "" => format!("{RBAC}/clusterroles"),
        namespace => format!("{RBAC}/namespaces/{namespace}/roles"),
    };
    let role = json!({"metadata": {"name": name}, "rules": rules});
    let made = post(cluster, &path, role).await;
    assert_eq!(made.code, 201, "{}", made.body);
}

pub(crate) fn binding(name: &str, (kind, role): (&str, &str), subject: Value) -> Value {
    json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [subject],
    })
}

/// Binds a role to a ServiceAccount `test/bot`, within a namespace or everywhere.
pub(crate) async fn bind(cluster: &SimCluster, namespace: &str, name: &str, role: (&str, &str)) {
    let path = match namespace {
        "" => format!("{RBAC}/clusterrolebindings"),
        namespace => format!("{RBAC}/namespaces/{namespace}/rolebindings"),
    };
    let subject = json!({"kind": "ServiceAccount", "namespace": "test", "name": "bot"});
    let made = post(cluster, &path, binding(name, role, subject)).await;
    assert_eq!(made.code, 201, "{}", made.body);
}

/// A cluster with two namespaces, and a token of `test/bot`.
pub(crate) async fn with_bot() -> (SimCluster, String) {
    let (cluster, _) = cluster().await;
    for name in ["test", "other"] {
        let made = post(&cluster, "/api/v1/namespaces", json!({"metadata": {"name": name}})).await;
        assert_eq!(made.code, 201);
    }
    let token = service_account(&cluster, "test", "bot").await;
    (cluster, token)
}

pub(crate) async fn send_as(cluster: &SimCluster, token: &str, method: Method, path: &str, body: Value) -> Raw {
    let kind = match (&method, path.contains("fieldManager")) {
        (&Method::PATCH, true) => "application/apply-patch+yaml",
        (&Method::PATCH, false) => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    raw_as(cluster, token, method, path, &[(header::CONTENT_TYPE, kind)], body).await
}
