//! What the server says about users and their rights, when asked and when they come.

#![allow(clippy::unwrap_used)]

mod common;

use common::roles::*;
use common::*;
use http::{HeaderName, Method, header};
use meridian_simcluster::SimCluster;
use serde_json::{Value, json};

/// Whether an answer to a review says yes.
async fn allowed(cluster: &SimCluster, user: &str, namespace: &str, verb: &str, resource: &str) -> bool {
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = json!({"spec": {"user": user, "resourceAttributes": {"namespace": namespace, "verb": verb,
        "group": group, "resource": resource, "subresource": subresource}}});
    let answer = post(cluster, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    answer.body["status"]["allowed"].as_bool().unwrap()
}

#[tokio::test]
async fn the_roles_of_a_new_cluster() {
    let (cluster, _) = cluster().await;
    for name in ["view", "edit", "admin", "cluster-admin"] {
        let subject = json!({"kind": "User", "name": name});
        let path = format!("{RBAC}/namespaces/default/rolebindings");
        let made = post(&cluster, &path, binding(name, ("ClusterRole", name), subject)).await;
        assert_eq!(made.code, 201, "{}", made.body);
    }
    let check = async |verb: &str, resource: &str, wanted: &[&str]| {
        let mut found = Vec::new();
        for user in ["view", "edit", "admin", "cluster-admin"] {
            if allowed(&cluster, user, "default", verb, resource).await {
                found.push(user);
            }
            assert!(!allowed(&cluster, user, "kube-system", verb, resource).await);
        }
        assert_eq!(found, wanted, "{verb} {resource}");
    };
    let all = ["view", "edit", "admin", "cluster-admin"];
    check("list", "pods", &all).await;
    check("get", "deployments.apps", &all).await;
    check("watch", "endpointslices.discovery.k8s.io", &all).await;
    check("get", "pods/log", &all).await;
    check("create", "deployments.apps", &all[1..]).await;
    check("get", "secrets", &all[1..]).await;
    check("update", "leases.coordination.k8s.io", &all[1..]).await;
    check("create", "serviceaccounts/token", &all[1..]).await;
    check("create", "rolebindings.rbac.authorization.k8s.io", &all[2..]).await;
    check("create", "endpointslices.discovery.k8s.io", &all[3..]).await;
    check("escalate", "roles.rbac.authorization.k8s.io", &all[3..]).await;
    check("update", "widgets.example.com", &all[3..]).await;

    // A role with the label becomes part of those it is for, soon after.
    let mut extension = json!({"metadata": {"name": "widgets", "labels": {}},
        "rules": [rule(&["example.com"], &["widgets"], &["update"])]});
    extension["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] = json!("true");
    assert_eq!(
        post(&cluster, &format!("{RBAC}/clusterroles"), extension).await.code,
        201
    );
    let client = client(&cluster).await;
    let roles: kube::Api<k8s_openapi::api::rbac::v1::ClusterRole> = kube::Api::all(client);
    until(roles, "admin", |role| value(&role).to_string().contains("widgets")).await;
    check("update", "widgets.example.com", &all[1..]).await;
}

#[tokio::test]
async fn whoever_says_nothing_sees_only_the_open_paths() {
    let (cluster, _) = cluster().await;
    let check = async |path: &str, code: u16| {
        let answer = raw_as(&cluster, "", Method::GET, path, &[], "").await;
        assert_eq!(answer.code, code, "{path}: {}", answer.body);
    };
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        check(path, 200).await;
    }
    for path in [
        "/api",
        "/apis/apps/v1",
        "/readyz/ping",
        "/openapi/v3",
        "/api/v1/pods",
        "/",
        "/token",
    ] {
        check(path, 403).await;
    }
    check("/token/wrong/api", 401).await;
    let answer = raw(&cluster, Method::GET, "/readyz?verbose", &[], "").await;
    let text = answer.body.as_str().unwrap().to_owned();
    assert!(
        text.starts_with("[+]ping ok\n") && text.ends_with("readyz check passed\n"),
        "{text}"
    );
    assert_eq!(get(&cluster, "/readyz/ping").await.body, "ok");
    failed(get(&cluster, "/readyz/nothing").await, 404, "NotFound");
}

#[tokio::test]
async fn a_user_is_taken_for_another_only_with_the_right_to_impersonate() {
    let (cluster, token) = with_bot().await;
    let admin = admin_token(&cluster);
    let whoami = async |token: &str, headers: &[(&'static str, &str)]| {
        let mut all = vec![(header::CONTENT_TYPE, "application/json")];
        all.extend(
            headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), *value)),
        );
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        raw_as(&cluster, token, Method::POST, path, &all, "{}").await
    };
    let alice = [("impersonate-user", "alice"), ("impersonate-group", "devs")];
    let answer = whoami(&admin, &alice).await;
    let info = &answer.body["status"]["userInfo"];
    assert_eq!(
        info,
        &json!({"username": "alice", "groups": ["devs", "system:authenticated"]})
    );
    let answer = whoami(&admin, &[("impersonate-user", "system:serviceaccount:a:b")]).await;
    let groups = &answer.body["status"]["userInfo"]["groups"];
    assert_eq!(
        groups,
        &json!([
            "system:serviceaccounts",
            "system:serviceaccounts:a",
            "system:authenticated"
        ])
    );
    let message = failed(whoami(&token, &alice).await, 403, "Forbidden")["message"].to_string();
    assert!(
        message.contains("cannot impersonate resource \\\"users\\\""),
        "{message}"
    );
    failed(
        whoami(&admin, &[("impersonate-group", "devs")]).await,
        400,
        "BadRequest",
    );

    let mut users = rule(&[""], &["users"], &["impersonate"]);
    users["resourceNames"] = json!(["alice"]);
    role(&cluster, "", "impersonator", json!([users])).await;
    bind(&cluster, "", "impersonator", ("ClusterRole", "impersonator")).await;
    assert_eq!(whoami(&token, &alice[..1]).await.code, 201);
    failed(whoami(&token, &alice).await, 403, "Forbidden");
    failed(whoami(&token, &[("impersonate-user", "bob")]).await, 403, "Forbidden");
    let extra = [("impersonate-user", "alice"), ("impersonate-extra-scopes", "all")];
    failed(whoami(&token, &extra).await, 403, "Forbidden");
    assert_eq!(
        whoami(&admin, &extra).await.body["status"]["userInfo"]["extra"],
        json!({"scopes": ["all"]})
    );
}

#[tokio::test]
async fn reviews_answer_as_requests_would() {
    let (cluster, token) = with_bot().await;
    role(&cluster, "test", "reader", json!([rule(&[""], &["pods"], &["get"])])).await;
    bind(&cluster, "test", "reader", ("Role", "reader")).await;
    let review = async |token: &str, path: &str, spec: Value| {
        send_as(&cluster, token, Method::POST, path, json!({"spec": spec})).await
    };
    let group = "/apis/authorization.k8s.io/v1";
    let own = format!("{group}/selfsubjectaccessreviews");
    let attributes =
        |verb: &str| json!({"resourceAttributes": {"namespace": "test", "verb": verb, "resource": "pods"}});
    let answer = review(&token, &own, attributes("get")).await;
    assert_eq!(
        answer.body["status"],
        json!({"allowed": true, "reason": r#"RBAC: allowed by RoleBinding "reader/test" of Role "reader" to ServiceAccount "bot/test""#})
    );
    assert_eq!(answer.body["kind"], "SelfSubjectAccessReview");
    assert_eq!(answer.body["spec"], attributes("get"));
    assert_eq!(
        review(&token, &own, attributes("list")).await.body["status"],
        json!({"allowed": false})
    );
    let path = json!({"nonResourceAttributes": {"path": "/healthz", "verb": "get"}});
    assert_eq!(review(&token, &own, path).await.body["status"]["allowed"], true);
    failed(review(&token, &own, json!({})).await, 422, "Invalid");

    let others = format!("{group}/subjectaccessreviews");
    failed(review(&token, &others, attributes("get")).await, 403, "Forbidden");
    let admin = admin_token(&cluster);
    failed(review(&admin, &others, attributes("get")).await, 422, "Invalid");
    let mut about = attributes("get");
    about["user"] = json!("nobody");
    about["groups"] = json!(["system:masters"]);
    assert_eq!(
        review(&admin, &others, about.clone()).await.body["status"]["allowed"],
        true
    );
    let local = |namespace: &str| format!("{group}/namespaces/{namespace}/localsubjectaccessreviews");
    assert_eq!(review(&admin, &local("test"), about.clone()).await.code, 201);
    failed(review(&admin, &local("other"), about).await, 422, "Invalid");

    let rules = review(
        &token,
        &format!("{group}/selfsubjectrulesreviews"),
        json!({"namespace": "test"}),
    )
    .await;
    let status = &rules.body["status"];
    let pods = rule(&[""], &["pods"], &["get"]);
    assert!(status["resourceRules"].as_array().unwrap().contains(&pods), "{status}");
    assert!(!status["nonResourceRules"].as_array().unwrap().is_empty(), "{status}");
    failed(get(&cluster, &own).await, 405, "MethodNotAllowed");
    failed(get(&cluster, &format!("{own}/a")).await, 405, "MethodNotAllowed");
}
