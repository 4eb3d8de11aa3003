//! Who may do what: tokens of service accounts and RBAC.

use std::time::Duration;

use meridian_kube_conformance::{Answer, Case as Row, Requests, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, labelled, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a token is issued for a service account",
        "kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/",
        [],
        token
    ),
    case!(
        "a token is issued for the time asked for, ten minutes at least",
        "kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/",
        [],
        token_time
    ),
    case!(
        "a token is issued for the audiences asked for",
        "kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens",
        [],
        token_audience
    ),
    case!(
        "no token is issued for a service account that is not there",
        "kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/",
        [],
        token_of_nobody
    ),
    case!(
        "a token that nobody issued is unauthorized",
        "kubernetes.io/docs/reference/access-authn-authz/authentication/",
        [],
        bad_token
    ),
    case!(
        "without credentials nothing of the API is given away",
        "kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests",
        [],
        anonymous
    ),
    case!(
        "a token ends with its service account",
        "kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens",
        [],
        token_ends
    ),
    case!(
        "without a role everything is forbidden, in so many words",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/",
        [],
        forbidden
    ),
    case!(
        "everybody known may see what is served",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles",
        [],
        discovery
    ),
];

pub(crate) const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// Makes a service account and returns its token.
pub(crate) async fn account(c: &Case, name: &str) -> String {
    c.api
        .post(&c.core("serviceaccounts"), labelled(name, json!({})))
        .await
        .created();
    let path = c.core(&format!("serviceaccounts/{name}/token"));
    let request = c.api.post(&path, json!({"spec": {}})).await.created();
    text(&request["status"]["token"])
}

pub(crate) fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

/// Makes a role of these rules and binds it to a service account, both under the account's name.
pub(crate) async fn grant(c: &Case, name: &str, rules: Value) {
    c.api
        .post(
            &c.group(RBAC, "roles"),
            json!({"metadata": {"name": name}, "rules": rules}),
        )
        .await
        .created();
    bind(c, name, "Role", name, json!([subject(c, name)])).await;
}

pub(crate) fn subject(c: &Case, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": c.namespace})
}

pub(crate) async fn bind(c: &Case, name: &str, kind: &str, role: &str, subjects: Value) {
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": subjects,
    });
    c.api.post(&c.group(RBAC, "rolebindings"), binding).await.created();
}

/// Asks until the answer is no longer (or is) a 403: the authorizer hears of roles a moment later.
pub(crate) async fn settled(forbidden: bool, ask: impl AsyncFn() -> Answer) -> Answer {
    for _ in 0..200 {
        let answer = ask().await;
        if (answer.code == 403) == forbidden {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ask().await
}

/// A GET that is allowed, perhaps in a moment.
pub(crate) async fn allowed(user: &Requests, path: &str) -> Value {
    settled(false, async || user.get(path).await).await.ok()
}

pub(crate) async fn refused(answer: Answer) -> Value {
    answer.refused(403, "Forbidden")
}

async fn token(c: Case) {
    c.api
        .post(&c.core("serviceaccounts"), labelled("robot", json!({})))
        .await
        .created();
    let made = c
        .api
        .post(&c.core("serviceaccounts/robot/token"), json!({"spec": {}}))
        .await
        .created();
    assert_eq!(
        (&made["kind"], &made["apiVersion"]),
        (&json!("TokenRequest"), &json!("authentication.k8s.io/v1"))
    );
    assert_eq!(
        made["spec"]["expirationSeconds"], 3600,
        "an hour, unless asked otherwise"
    );
    assert!(text(&made["status"]["expirationTimestamp"]).ends_with('Z'), "{made}");
    let token = text(&made["status"]["token"]);
    assert_eq!(token.split('.').count(), 3, "a JSON web token");
    let user = c.with_token(&token);
    let status = refused(user.get(&c.core("pods")).await).await;
    let who = format!("system:serviceaccount:{}:robot", c.namespace);
    assert!(text(&status["message"]).contains(&who), "{status}");
}

async fn token_time(c: Case) {
    c.api
        .post(&c.core("serviceaccounts"), labelled("robot", json!({})))
        .await
        .created();
    let path = c.core("serviceaccounts/robot/token");
    let made = c
        .api
        .post(&path, json!({"spec": {"expirationSeconds": 7200}}))
        .await
        .created();
    assert_eq!(made["spec"]["expirationSeconds"], 7200);
    c.api
        .post(&path, json!({"spec": {"expirationSeconds": 599}}))
        .await
        .invalid("spec.expirationSeconds");
}

async fn token_audience(c: Case) {
    c.api
        .post(&c.core("serviceaccounts"), labelled("robot", json!({})))
        .await
        .created();
    let path = c.core("serviceaccounts/robot/token");
    let made = c
        .api
        .post(&path, json!({"spec": {"audiences": ["elsewhere.example.com"]}}))
        .await
        .created();
    assert_eq!(made["spec"]["audiences"], json!(["elsewhere.example.com"]));
    let user = c.with_token(&text(&made["status"]["token"]));
    user.get(&c.core("pods")).await.refused(401, "Unauthorized");
}

async fn token_of_nobody(c: Case) {
    let status = c
        .api
        .post(&c.core("serviceaccounts/nobody/token"), json!({"spec": {}}))
        .await
        .refused(404, "NotFound");
    assert_eq!(status["details"]["name"], "nobody");
}

async fn bad_token(c: Case) {
    for token in ["nonsense", "a.b.c"] {
        let status = c
            .with_token(token)
            .get(&c.core("pods"))
            .await
            .refused(401, "Unauthorized");
        assert_eq!(status["message"], "Unauthorized");
    }
    c.with_token("nonsense")
        .get("/healthz")
        .await
        .refused(401, "Unauthorized");
}

async fn anonymous(c: Case) {
    // A server may refuse strangers at the door, or know them as system:anonymous.
    let answer = c.anonymous().get(&c.core("pods")).await;
    match answer.code {
        401 => answer.refused(401, "Unauthorized"),
        _ => {
            let status = answer.refused(403, "Forbidden");
            assert!(text(&status["message"]).contains("system:anonymous"), "{status}");
            status
        }
    };
}

async fn token_ends(c: Case) {
    let token = account(&c, "robot").await;
    let user = c.with_token(&token);
    refused(user.get(&c.core("pods")).await).await;
    c.api.delete(&c.core("serviceaccounts/robot"), Value::Null).await.ok();
    // A server may remember for some seconds that it has seen a token.
    let start = std::time::Instant::now();
    while user.get(&c.core("pods")).await.code != 401 {
        assert!(start.elapsed() < Duration::from_secs(40), "the token is still good");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    // An account of the same name is another one.
    c.api
        .post(&c.core("serviceaccounts"), labelled("robot", json!({})))
        .await
        .created();
    user.get(&c.core("pods")).await.refused(401, "Unauthorized");
}

async fn forbidden(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    let who = format!("system:serviceaccount:{}:robot", c.namespace);
    let status = refused(user.get(&c.apps("deployments/web")).await).await;
    let message = format!(
        "deployments.apps \"web\" is forbidden: User \"{who}\" cannot get resource \"deployments\" in API group \"apps\" in the namespace \"{}\"",
        c.namespace
    );
    assert_eq!(text(&status["message"]), message);
    assert_eq!(
        status["details"],
        json!({"name": "web", "group": "apps", "kind": "deployments"})
    );
    let status = refused(user.get("/api/v1/nodes").await).await;
    let message = format!(
        "nodes is forbidden: User \"{who}\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    );
    assert_eq!(text(&status["message"]), message);
    refused(user.post(&c.core("configmaps"), config_map("map")).await).await;
    refused(user.delete(&c.core("configmaps/map"), Value::Null).await).await;
    refused(user.get("/metrics").await).await;
}

async fn discovery(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    for path in [
        "/api",
        "/apis",
        "/api/v1",
        "/apis/apps/v1",
        "/version",
        "/healthz",
        "/openapi/v3",
    ] {
        assert_eq!(user.get(path).await.code, 200, "{path}");
    }
}
