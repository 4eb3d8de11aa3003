//! Asking what somebody may do: access reviews.

use std::time::Duration;

use meridian_kube_conformance::{Case as Row, Requests, case};
use serde_json::{Value, json};

use crate::access::{account, grant};
use crate::shared::{Case, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a user asks about themselves",
        "kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access",
        [],
        own
    ),
    case!(
        "whoever may do everything is told so",
        "kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access",
        [],
        own_admin
    ),
    case!(
        "a review tells one namespace from all",
        "kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/",
        [],
        namespaces
    ),
    case!(
        "a review is about a subresource if it names one",
        "kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/",
        [],
        subresource
    ),
    case!(
        "a review may be about paths outside the API",
        "kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/",
        [],
        paths
    ),
    case!(
        "an administrator asks about others",
        "kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/",
        [],
        others
    ),
    case!(
        "a review about others looks at their groups",
        "kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/",
        [],
        groups
    ),
    case!(
        "nobody asks about others without being allowed to",
        "kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access",
        [],
        not_allowed
    ),
    case!(
        "a review must say what it is about",
        "kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/",
        [],
        incomplete
    ),
    case!(
        "a review is answered and not kept",
        "kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/",
        [],
        not_kept
    ),
];

const SELF: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const OTHERS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

fn about(namespace: &str, verb: &str, group: &str, resource: &str) -> Value {
    json!({"namespace": namespace, "verb": verb, "group": group, "resource": resource})
}

async fn may(user: &Requests, attributes: Value) -> bool {
    let review = user
        .post(SELF, json!({"spec": {"resourceAttributes": attributes}}))
        .await
        .created();
    review["status"]["allowed"].as_bool().unwrap()
}

/// Asks until the answer is yes: the authorizer hears of roles a moment later.
async fn soon_may(user: &Requests, attributes: Value) {
    for _ in 0..200 {
        if may(user, attributes.clone()).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not allowed: {attributes}");
}

async fn robot(c: &Case) -> Requests {
    let user = c.with_token(&account(c, "robot").await);
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get"]},
    ]);
    grant(c, "robot", rules).await;
    soon_may(&user, about(&c.namespace, "get", "", "configmaps")).await;
    user
}

async fn own(c: Case) {
    let user = robot(&c).await;
    assert!(may(&user, about(&c.namespace, "list", "", "configmaps")).await);
    assert!(!may(&user, about(&c.namespace, "delete", "", "configmaps")).await);
    assert!(!may(&user, about(&c.namespace, "list", "", "secrets")).await);
    assert!(!may(&user, about(&c.namespace, "list", "apps", "configmaps")).await);
    let spec = json!({"spec": {"resourceAttributes": about(&c.namespace, "get", "", "configmaps")}});
    let review = user.post(SELF, spec).await.created();
    assert_eq!(
        (&review["kind"], &review["apiVersion"]),
        (&json!("SelfSubjectAccessReview"), &json!("authorization.k8s.io/v1"))
    );
    assert!(
        text(&review["status"]["reason"]).contains("robot"),
        "a role and its binding are named: {review}"
    );
}

async fn own_admin(c: Case) {
    for attributes in [
        about(&c.namespace, "delete", "apps", "deployments"),
        about("", "*", "*", "*"),
    ] {
        assert!(may(&c.api, attributes.clone()).await, "{attributes}");
    }
}

async fn namespaces(c: Case) {
    let user = robot(&c).await;
    assert!(!may(&user, about("default", "get", "", "configmaps")).await);
    assert!(
        !may(&user, about("", "get", "", "configmaps")).await,
        "no namespace is all of them"
    );
}

async fn subresource(c: Case) {
    let user = robot(&c).await;
    let mut scale = about(&c.namespace, "get", "apps", "deployments");
    assert!(!may(&user, scale.clone()).await);
    scale["subresource"] = json!("scale");
    assert!(may(&user, scale).await);
}

async fn paths(c: Case) {
    let user = robot(&c).await;
    let ask = async |path: &str| {
        let spec = json!({"spec": {"nonResourceAttributes": {"path": path, "verb": "get"}}});
        user.post(SELF, spec).await.created()["status"]["allowed"].clone()
    };
    assert_eq!(
        (ask("/healthz").await, ask("/metrics").await),
        (json!(true), json!(false))
    );
}

async fn others(c: Case) {
    robot(&c).await;
    let who = format!("system:serviceaccount:{}:robot", c.namespace);
    let ask = async |user: &str, verb: &str| {
        let spec = json!({"spec": {"user": user, "resourceAttributes": about(&c.namespace, verb, "", "configmaps")}});
        c.api.post(OTHERS, spec).await.created()["status"]["allowed"].clone()
    };
    assert_eq!(ask(&who, "get").await, true);
    assert_eq!(ask(&who, "delete").await, false);
    assert_eq!(ask("somebody", "get").await, false);
}

async fn groups(c: Case) {
    let spec = json!({"spec": {"user": "somebody", "groups": ["system:masters"], "resourceAttributes": about("", "delete", "", "nodes")}});
    assert_eq!(c.api.post(OTHERS, spec).await.created()["status"]["allowed"], true);
    let spec = json!({"spec": {"groups": ["nobody-knows"], "resourceAttributes": about("", "delete", "", "nodes")}});
    assert_eq!(c.api.post(OTHERS, spec).await.created()["status"]["allowed"], false);
}

async fn not_allowed(c: Case) {
    let user = robot(&c).await;
    let spec = json!({"spec": {"user": "somebody", "resourceAttributes": about("", "get", "", "nodes")}});
    user.post(OTHERS, spec).await.refused(403, "Forbidden");
}

async fn incomplete(c: Case) {
    c.api.post(SELF, json!({"spec": {}})).await.refused(422, "Invalid");
    let both = json!({"spec": {"resourceAttributes": about("", "get", "", "nodes"), "nonResourceAttributes": {"path": "/", "verb": "get"}}});
    c.api.post(SELF, both).await.refused(422, "Invalid");
    let nobody = json!({"spec": {"resourceAttributes": about("", "get", "", "nodes")}});
    c.api.post(OTHERS, nobody).await.refused(422, "Invalid");
}

async fn not_kept(c: Case) {
    assert!(may(&c.api, about("", "get", "", "nodes")).await);
    let answer = c.api.get(SELF).await;
    assert!(matches!(answer.code, 404 | 405), "{}: {}", answer.code, answer.body);
}
