//! Whatever is sent, the answer is an object or a `Status`, never a broken connection or a 500.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// Every pointer into a value, itself first.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                pointers(value, &format!("{at}/{}", name.replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                pointers(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    token: String,
}

impl Sender {
    async fn send(&self, method: Method, path: &str, kind: &str, body: &str) -> (u16, Value) {
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, kind)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let answer = self.client.request(request).await;
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path} {body}: {error:?}"));
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap())
    }

    /// Sends and checks that the server had an answer.
    async fn check(&self, method: Method, path: &str, kind: &str, body: &str) {
        let (code, answer) = self.send(method.clone(), path, kind, body).await;
        // Real servers, too, answer 500 to an apply of what is not of its kind.
        let untyped = answer["message"]
            .as_str()
            .is_some_and(|message| message.starts_with("failed to create typed patch object"));
        assert!(code < 500 || untyped, "{method} {path} {body}: {answer}");
        assert!(answer["kind"].is_string(), "{method} {path} {body}: {answer}");
        if code >= 400 {
            assert_eq!(
                (&answer["kind"], &answer["code"]),
                (&json!("Status"), &json!(code)),
                "{answer}"
            );
        }
    }
}

fn objects() -> Vec<(&'static str, Value)> {
    let typed = |version: &str, kind: &str, mut object: Value| {
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object["metadata"]["labels"] = json!({"app": "a"});
        object["metadata"]["finalizers"] = json!(["example.com/f"]);
        object["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]);
        object["metadata"]["managedFields"] = json!([{"manager": "m", "operation": "Update",
            "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"k:{\"a\":1}": {".": {}}}}}]);
        object
    };
    let endpoint = json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true}});
    let slice = json!({"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [endpoint],
        "ports": [{"name": "http", "port": 80}]});
    let definition = json!({"metadata": {"name": "as.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "as", "kind": "A"},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {"x": {"type": "string", "default": "y"}}}}}}}],
    }});
    let extensions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    vec![
        (
            "/api/v1/namespaces",
            typed(
                "v1",
                "Namespace",
                json!({"metadata": {"name": "a"}, "spec": {}, "status": {"phase": "Active"}}),
            ),
        ),
        (
            "/api/v1/namespaces/default/services",
            typed("v1", "Service", service("a")),
        ),
        (
            "/apis/apps/v1/namespaces/default/deployments",
            typed("apps/v1", "Deployment", deployment("a", 1)),
        ),
        (
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            typed("discovery.k8s.io/v1", "EndpointSlice", slice),
        ),
        (
            extensions,
            typed("apiextensions.k8s.io/v1", "CustomResourceDefinition", definition),
        ),
    ]
}

#[tokio::test]
async fn no_part_of_an_object_breaks_the_server() {
    let (cluster, _) = cluster().await;
    let kubeconfig = cluster.kubeconfig(cluster.address());
    let sender = Sender {
        client: Client::builder(TokioExecutor::new()).build_http(),
        base: format!("http://{}", cluster.address()),
        token: kubeconfig
            .split("token: ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .to_owned(),
    };
    let junk = [
        json!(null),
        json!(7),
        json!("junk"),
        json!([]),
        json!([3]),
        json!({}),
        json!({"a": [{}]}),
    ];
    let json_type = "application/json";
    for (path, object) in objects() {
        let (code, made) = sender.send(Method::POST, path, json_type, &object.to_string()).await;
        assert_eq!(code, 201, "{made}");
        let mut found = Vec::new();
        pointers(&object, "", &mut found);
        for pointer in found {
            for junk in &junk {
                let mut body = object.clone();
                *body.pointer_mut(&pointer).unwrap() = junk.clone();
                let text = body.to_string();
                let one = format!("{path}/a?dryRun=All&fieldManager=m&force=true");
                let one = one.replace(
                    "customresourcedefinitions/a",
                    "customresourcedefinitions/as.example.com",
                );
                sender
                    .check(Method::POST, &format!("{path}?dryRun=All"), json_type, &text)
                    .await;
                sender.check(Method::PUT, &one, json_type, &text).await;
                sender
                    .check(Method::PATCH, &one, "application/merge-patch+json", &text)
                    .await;
                sender
                    .check(Method::PATCH, &one, "application/strategic-merge-patch+json", &text)
                    .await;
                sender
                    .check(Method::PATCH, &one, "application/apply-patch+yaml", &text)
                    .await;
                let operations = json!([{"op": "replace", "path": pointer, "value": junk}]).to_string();
                sender
                    .check(Method::PATCH, &one, "application/json-patch+json", &operations)
                    .await;
                sender.check(Method::DELETE, &one, json_type, &text).await;
            }
        }
    }
}

#[tokio::test]
async fn no_query_breaks_the_server() {
    let (cluster, _) = cluster().await;
    let path = "/api/v1/namespaces/default/configmaps?timeoutSeconds=1";
    for name in [
        "limit",
        "continue",
        "resourceVersion",
        "resourceVersionMatch",
        "labelSelector",
        "fieldSelector",
        "sendInitialEvents",
        "allowWatchBookmarks",
        "dryRun",
        "fieldValidation",
        "force",
    ] {
        for value in [
            "",
            "-1",
            "99999999999999999999",
            "a%2Cb",
            "%ff",
            "a(",
            "a%20in%20(",
            ")",
            "1%3A%2F",
            "Exact",
        ] {
            for watch in ["", "&watch=1"] {
                // A watch that starts would only end after a second.
                let path = format!("{path}{watch}&{name}={value}");
                let found = tokio::time::timeout(Duration::from_millis(20), get(&cluster, &path));
                if let Ok(found) = found.await {
                    let wanted = found.code < 500 || found.body["reason"] == "Timeout";
                    assert!(wanted, "{name}={value}: {}", found.body);
                }
            }
        }
    }
    assert_eq!(get(&cluster, "/readyz").await.code, 200);
}

#[tokio::test]
async fn no_part_of_a_question_or_a_role_breaks_the_server() {
    let (cluster, _) = cluster().await;
    // Not a master, so that every rule is looked at; with too few rights for what it asks for.
    let token = service_account(&cluster, "default", "a").await;
    let rule = json!({"apiGroups": ["*"], "resources": ["roles", "rolebindings", "clusterroles", "serviceaccounts/token",
        "tokenreviews", "subjectaccessreviews", "localsubjectaccessreviews"], "resourceNames": [], "verbs": ["*"]});
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"metadata": {"name": "a"}, "rules": [rule, {"nonResourceURLs": ["/x/*"], "verbs": ["get"]}]});
    assert_eq!(
        post(&cluster, &format!("{rbac}/clusterroles"), role.clone()).await.code,
        201
    );
    let binding = json!({"metadata": {"name": "a"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "a"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": "a"}]});
    assert_eq!(
        post(&cluster, &format!("{rbac}/clusterrolebindings"), binding.clone())
            .await
            .code,
        201
    );
    let mut aggregated = role.clone();
    aggregated["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"},
        "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]});
    aggregated["metadata"]["name"] = json!("b");
    let sender = Sender {
        client: Client::builder(TokioExecutor::new()).build_http(),
        base: format!("http://{}", cluster.address()),
        token,
    };
    let access = json!({"namespace": "default", "verb": "get", "group": "", "resource": "pods", "name": "a"});
    let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u"});
    let (authorization, authentication) = ("/apis/authorization.k8s.io/v1", "/apis/authentication.k8s.io/v1");
    let bodies = [
        (format!("{rbac}/namespaces/default/roles"), role),
        (format!("{rbac}/namespaces/default/rolebindings"), binding),
        (format!("{rbac}/clusterroles"), aggregated),
        (
            format!("{authorization}/selfsubjectaccessreviews"),
            json!({"metadata": {}, "spec": {"resourceAttributes": access}}),
        ),
        (
            format!("{authorization}/subjectaccessreviews"),
            json!({"spec": {"user": "u", "groups": ["g"], "extra": {"a": ["b"]},
                "nonResourceAttributes": {"path": "/", "verb": "get"}}}),
        ),
        (
            format!("{authorization}/namespaces/default/localsubjectaccessreviews"),
            json!({"spec": {"user": "u", "resourceAttributes": access}}),
        ),
        (
            format!("{authorization}/selfsubjectrulesreviews"),
            json!({"spec": {"namespace": "default"}}),
        ),
        (
            format!("{authentication}/selfsubjectreviews"),
            json!({"metadata": {}, "status": {"userInfo": {"username": "u"}}}),
        ),
        (
            format!("{authentication}/tokenreviews"),
            json!({"spec": {"token": "a.b.c", "audiences": ["a"]}, "status": {"user": {}}}),
        ),
        (
            "/api/v1/namespaces/default/serviceaccounts/a/token".to_owned(),
            json!({"metadata": {"name": "a"}, "spec": {"audiences": ["a"], "expirationSeconds": 600, "boundObjectRef": bound}}),
        ),
    ];
    for (path, body) in bodies {
        let mut found = Vec::new();
        pointers(&body, "", &mut found);
        for pointer in found {
            for junk in [
                json!(null),
                json!(7),
                json!("junk"),
                json!([]),
                json!([3]),
                json!({"a": [{}]}),
            ] {
                let mut body = body.clone();
                *body.pointer_mut(&pointer).unwrap() = junk;
                sender
                    .check(
                        Method::POST,
                        &format!("{path}?dryRun=All"),
                        "application/json",
                        &body.to_string(),
                    )
                    .await;
            }
        }
    }
    // What is stored of the junk is read by everybody's next request.
    for rules in [
        json!([{}]),
        json!([{"verbs": ["get"]}]),
        json!([{"verbs": [""], "resources": ["/", "*/"]}]),
    ] {
        let role = json!({"metadata": {"generateName": "junk-"}, "rules": rules});
        post(&cluster, &format!("{rbac}/clusterroles"), role).await;
        sender
            .check(Method::GET, "/api/v1/namespaces/default/pods", "", "")
            .await;
    }
}
