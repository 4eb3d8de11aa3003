//! Roles and bindings are enforced, and refusals read as Kubernetes writes them.

#![allow(clippy::unwrap_used)]

mod common;

use common::roles::*;
use common::*;
use http::{Method, header};
use serde_json::{Value, json};

fn config_maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

#[tokio::test]
async fn a_user_may_do_what_its_roles_say_and_nothing_else() {
    let (cluster, token) = with_bot().await;
    let mut named = rule(&[""], &["secrets"], &["get", "list", "watch", "update", "create"]);
    named["resourceNames"] = json!(["mine"]);
    let rules = json!([
        rule(&[""], &["configmaps"], &["get", "list", "create", "patch"]),
        rule(&["apps"], &["deployments/scale"], &["*"]),
        rule(&[""], &["namespaces"], &["get"]),
        named,
    ]);
    role(&cluster, "test", "worker", rules).await;
    bind(&cluster, "test", "worker", ("Role", "worker")).await;
    role(
        &cluster,
        "",
        "nodes",
        json!([rule(&[""], &["nodes", "services"], &["list"]),
        {"nonResourceURLs": ["/readyz/*"], "verbs": ["get"]}]),
    )
    .await;
    bind(&cluster, "", "nodes", ("ClusterRole", "nodes")).await;
    // A ClusterRole bound in a namespace grants nothing outside it.
    role(&cluster, "", "pods", json!([rule(&["*"], &["pods", "nodes"], &["*"])])).await;
    bind(&cluster, "other", "pods", ("ClusterRole", "pods")).await;
    let object = |path: &str| json!({"metadata": {"name": path.rsplit('/').next().unwrap()}});
    for path in [
        "/api/v1/namespaces/test/secrets/mine",
        "/api/v1/namespaces/test/secrets/theirs",
        "/api/v1/namespaces/test/configmaps/there",
        "/api/v1/namespaces/other/configmaps/there",
    ] {
        let collection = path.rsplit_once('/').unwrap().0;
        assert_eq!(post(&cluster, collection, object(path)).await.code, 201);
    }
    let made = post(
        &cluster,
        "/apis/apps/v1/namespaces/test/deployments",
        deployment("web", 1),
    )
    .await;
    assert_eq!(made.code, 201, "{}", made.body);

    let check = async |method: Method, path: &str, body: Value, code: u16| {
        let answer = send_as(&cluster, &token, method.clone(), path, body).await;
        assert_eq!(answer.code, code, "{method} {path}: {}", answer.body);
    };
    let (get, none) = (Method::GET, Value::Null);
    let test = config_maps("test");
    check(get.clone(), &test, none.clone(), 200).await;
    check(get.clone(), &format!("{test}/there"), none.clone(), 200).await;
    check(get.clone(), &format!("{test}/nothing"), none.clone(), 404).await;
    check(
        get.clone(),
        &format!("{test}?watch=1&timeoutSeconds=1"),
        none.clone(),
        403,
    )
    .await;
    check(get.clone(), &config_maps("other"), none.clone(), 403).await;
    check(get.clone(), "/api/v1/configmaps", none.clone(), 403).await;
    check(Method::POST, &test, object("new"), 201).await;
    check(Method::PATCH, &format!("{test}/new"), json!({"data": {"a": "b"}}), 200).await;
    check(Method::PUT, &format!("{test}/new"), object("new"), 403).await;
    check(Method::DELETE, &format!("{test}/new"), none.clone(), 403).await;
    check(Method::DELETE, &test, none.clone(), 403).await;
    check(Method::POST, &config_maps("nothing"), object("new"), 403).await;

    let deployments = "/apis/apps/v1/namespaces/test/deployments/web";
    check(get.clone(), deployments, none.clone(), 403).await;
    check(get.clone(), &format!("{deployments}/scale"), none.clone(), 200).await;
    check(
        Method::PATCH,
        &format!("{deployments}/scale"),
        json!({"spec": {"replicas": 2}}),
        200,
    )
    .await;
    check(Method::PATCH, &format!("{deployments}/status"), json!({}), 403).await;

    let secrets = "/api/v1/namespaces/test/secrets";
    check(get.clone(), &format!("{secrets}/mine"), none.clone(), 200).await;
    check(get.clone(), &format!("{secrets}/theirs"), none.clone(), 403).await;
    check(get.clone(), secrets, none.clone(), 403).await;
    check(
        get.clone(),
        &format!("{secrets}?fieldSelector=metadata.name%3Dmine"),
        none.clone(),
        200,
    )
    .await;
    check(
        get.clone(),
        &format!("{secrets}?fieldSelector=metadata.name%3Dtheirs"),
        none.clone(),
        403,
    )
    .await;
    // The name of what is created is not in the path.
    check(Method::POST, secrets, object("mine"), 403).await;

    check(get.clone(), "/api/v1/nodes", none.clone(), 200).await;
    check(get.clone(), "/api/v1/namespaces/other/services", none.clone(), 200).await;
    check(get.clone(), "/api/v1/services", none.clone(), 200).await;
    check(get.clone(), "/api/v1/namespaces/other/pods", none.clone(), 200).await;
    check(get.clone(), "/api/v1/namespaces/test/pods", none.clone(), 403).await;
    check(get.clone(), "/api/v1/nodes/n", none.clone(), 403).await;
    check(get.clone(), "/api/v1/namespaces/test", none.clone(), 200).await;
    check(get.clone(), "/api/v1/namespaces/other", none.clone(), 403).await;
    check(get.clone(), "/api/v1/namespaces", none.clone(), 403).await;

    check(get.clone(), "/apis", none.clone(), 200).await;
    check(get.clone(), "/readyz/ping", none.clone(), 200).await;
    check(get.clone(), "/livez/ping", none.clone(), 403).await;
    check(get.clone(), "/nothing", none.clone(), 403).await;
    check(get, "/apis/nothing/v1/things", none, 403).await;
}

#[tokio::test]
async fn a_refusal_says_who_may_not_do_what() {
    let (cluster, token) = with_bot().await;
    let check = async |token: &str, method: Method, path: &str, message: &str, details: Value| {
        let answer = send_as(&cluster, token, method, path, Value::Null).await;
        let body = failed(answer, 403, "Forbidden");
        assert_eq!((body["message"].as_str(), &body["details"]), (Some(message), &details));
    };
    let bot = r#"User "system:serviceaccount:test:bot""#;
    check(
        &token,
        Method::GET,
        "/api/v1/namespaces/test/pods",
        &format!(r#"pods is forbidden: {bot} cannot list resource "pods" in API group "" in the namespace "test""#),
        json!({"kind": "pods"}),
    )
    .await;
    check(
        &token,
        Method::DELETE,
        "/apis/apps/v1/namespaces/test/deployments/web",
        &format!(
            r#"deployments.apps "web" is forbidden: {bot} cannot delete resource "deployments" in API group "apps" in the namespace "test""#
        ),
        json!({"kind": "deployments", "group": "apps", "name": "web"}),
    )
    .await;
    check(
        &token,
        Method::GET,
        "/api/v1/nodes",
        &format!(r#"nodes is forbidden: {bot} cannot list resource "nodes" in API group "" at the cluster scope"#),
        json!({"kind": "nodes"}),
    )
    .await;
    check(
        "",
        Method::GET,
        "/apis",
        r#"forbidden: User "system:anonymous" cannot get path "/apis""#,
        Value::Null,
    )
    .await;
    bind(&cluster, "test", "lost", ("Role", "lost")).await;
    check(
        &token,
        Method::GET,
        "/api/v1/namespaces/test/pods/a/log",
        &format!(
            r#"pods "a" is forbidden: {bot} cannot get resource "pods/log" in API group "" in the namespace "test": RBAC: role.rbac.authorization.k8s.io "lost" not found"#
        ),
        json!({"kind": "pods", "name": "a"}),
    )
    .await;
}

#[tokio::test]
async fn rights_come_and_go_with_the_write_that_says_so() {
    let (cluster, token) = with_bot().await;
    let path = config_maps("test");
    let check = async |code: u16| {
        let answer = send_as(&cluster, &token, Method::GET, &path, Value::Null).await;
        assert_eq!(answer.code, code, "{}", answer.body);
    };
    let role_path = format!("{RBAC}/namespaces/test/roles/reader");
    check(403).await;
    bind(&cluster, "test", "reader", ("Role", "reader")).await;
    check(403).await;
    role(&cluster, "test", "reader", json!([rule(&[""], &["*"], &["list"])])).await;
    check(200).await;
    let none = json!([{"op": "replace", "path": "/rules", "value": []}]).to_string();
    let kind = [(header::CONTENT_TYPE, "application/json-patch+json")];
    assert_eq!(raw(&cluster, Method::PATCH, &role_path, &kind, none).await.code, 200);
    check(403).await;
    assert_eq!(raw(&cluster, Method::DELETE, &role_path, &[], "").await.code, 200);
    role(
        &cluster,
        "test",
        "reader",
        json!([rule(&["*"], &["configmaps"], &["*"])]),
    )
    .await;
    check(200).await;
    let binding = format!("{RBAC}/namespaces/test/rolebindings/reader");
    assert_eq!(raw(&cluster, Method::DELETE, &binding, &[], "").await.code, 200);
    check(403).await;
}

#[tokio::test]
async fn applying_what_is_not_there_needs_the_right_to_create() {
    let (cluster, token) = with_bot().await;
    role(
        &cluster,
        "test",
        "patcher",
        json!([rule(&[""], &["configmaps"], &["patch"])]),
    )
    .await;
    bind(&cluster, "test", "patcher", ("Role", "patcher")).await;
    let path = format!("{}/a?fieldManager=m", config_maps("test"));
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let refused = send_as(&cluster, &token, Method::PATCH, &path, object.clone()).await;
    let message = failed(refused, 403, "Forbidden")["message"].to_string();
    assert!(message.contains("cannot create resource"), "{message}");
    assert_eq!(
        post(&cluster, &config_maps("test"), config_map("a", json!({})))
            .await
            .code,
        201
    );
    let allowed = send_as(&cluster, &token, Method::PATCH, &path, object).await;
    assert_eq!(allowed.code, 200, "{}", allowed.body);
}

#[tokio::test]
async fn nobody_gives_away_rights_they_do_not_have() {
    let (cluster, token) = with_bot().await;
    let own = rule(&[""], &["configmaps"], &["get", "list"]);
    let rbac = rule(
        &["rbac.authorization.k8s.io"],
        &["roles", "rolebindings", "clusterroles"],
        &["create", "update", "patch", "get"],
    );
    role(&cluster, "test", "manager", json!([own, rbac])).await;
    bind(&cluster, "test", "manager", ("Role", "manager")).await;
    role(&cluster, "", "powerful", json!([rule(&[""], &["secrets"], &["get"])])).await;
    let (roles, bindings) = (
        format!("{RBAC}/namespaces/test/roles"),
        format!("{RBAC}/namespaces/test/rolebindings"),
    );
    let check = async |method: Method, path: &str, body: Value, code: u16| {
        let answer = send_as(&cluster, &token, method, path, body).await;
        assert_eq!(answer.code, code, "{path}: {}", answer.body);
        answer.body["message"].as_str().unwrap_or_default().to_owned()
    };
    let named = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    let friend = json!({"kind": "User", "name": "friend"});
    let reader = json!([rule(&[""], &["configmaps"], &["get"])]);
    let greedy = json!([rule(&[""], &["configmaps", "secrets"], &["get"])]);
    check(Method::POST, &roles, named("reader", reader.clone()), 201).await;
    let message = check(Method::POST, &roles, named("greedy", greedy.clone()), 403).await;
    assert_eq!(
        message,
        "roles.rbac.authorization.k8s.io \"greedy\" is forbidden: user \"system:serviceaccount:test:bot\" \
         (groups=[\"system:serviceaccounts\" \"system:serviceaccounts:test\" \"system:authenticated\"]) is attempting \
         to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
    );
    // Every road to the same object is closed.
    let one = format!("{roles}/reader");
    check(Method::PATCH, &one, json!({"rules": greedy.clone()}), 403).await;
    check(Method::PUT, &one, named("reader", greedy.clone()), 403).await;
    let mut applied = named("reader", greedy.clone());
    applied["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
    applied["kind"] = json!("Role");
    check(Method::PATCH, &format!("{one}?fieldManager=m&force=true"), applied, 403).await;
    check(Method::PATCH, &one, json!({"rules": reader}), 200).await;

    let bound = |name: &str, role: (&str, &str)| binding(name, role, friend.clone());
    check(Method::POST, &bindings, bound("reader", ("Role", "reader")), 201).await;
    check(
        Method::POST,
        &bindings,
        bound("powerful", ("ClusterRole", "powerful")),
        403,
    )
    .await;
    check(
        Method::POST,
        &bindings,
        bound("admin", ("ClusterRole", "cluster-admin")),
        403,
    )
    .await;
    check(Method::POST, &bindings, bound("nothing", ("Role", "nothing")), 404).await;

    let mut bind_one = rule(&["rbac.authorization.k8s.io"], &["clusterroles"], &["bind"]);
    bind_one["resourceNames"] = json!(["powerful"]);
    let escalate = rule(&["rbac.authorization.k8s.io"], &["roles"], &["escalate"]);
    role(&cluster, "test", "verbs", json!([bind_one, escalate])).await;
    bind(&cluster, "test", "verbs", ("Role", "verbs")).await;
    check(
        Method::POST,
        &bindings,
        bound("powerful", ("ClusterRole", "powerful")),
        201,
    )
    .await;
    check(
        Method::POST,
        &bindings,
        bound("admin", ("ClusterRole", "cluster-admin")),
        403,
    )
    .await;
    check(Method::POST, &roles, named("greedy", greedy), 201).await;
}
