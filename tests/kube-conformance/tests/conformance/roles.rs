//! RBAC: what roles and their bindings allow.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::access::{RBAC, account, allowed, bind, grant, refused, rule, settled, subject};
use crate::shared::{Case, config_map, deployment, text, uid};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a role allows its verbs on its resources and nothing else",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#role-and-clusterrole",
        [],
        role
    ),
    case!(
        "a role holds in its namespace alone",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#role-and-clusterrole",
        [],
        namespace_alone
    ),
    case!(
        "reading one, listing and watching are different verbs",
        "kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb",
        [],
        reading_verbs
    ),
    case!(
        "deleting a collection is a verb of its own",
        "kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb",
        [],
        collection_verb
    ),
    case!(
        "an apply is a patch, and a create where nothing is there",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#api-operations",
        [],
        apply_verbs
    ),
    case!(
        "a subresource is a resource of its own",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources",
        [],
        subresource
    ),
    case!(
        "a role may name the objects",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources",
        [],
        resource_names
    ),
    case!(
        "a star is every group, resource or verb",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources",
        [],
        stars
    ),
    case!(
        "a cluster role bound in a namespace holds there",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#rolebinding-and-clusterrolebinding",
        [],
        cluster_role_in_namespace
    ),
    case!(
        "a cluster role bound for the cluster holds everywhere",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#rolebinding-and-clusterrolebinding",
        [],
        cluster_role
    ),
    case!(
        "a service account belongs to the groups of its namespace and of all",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects",
        [],
        groups
    ),
    case!(
        "a role that is taken back allows nothing",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/",
        [],
        taken_back
    ),
    case!(
        "nobody grants what they do not have",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping",
        [],
        escalation
    ),
    case!(
        "a cluster has its default roles",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles",
        [],
        default_roles
    ),
];

async fn role(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    grant(&c, "robot", json!([rule(&[""], &["configmaps"], &["get", "create"])])).await;
    settled(false, async || {
        user.post(&c.core("configmaps"), config_map("map")).await
    })
    .await
    .created();
    user.get(&c.core("configmaps/map")).await.ok();
    refused(user.merge(&c.core("configmaps/map"), json!({})).await).await;
    refused(user.delete(&c.core("configmaps/map"), Value::Null).await).await;
    refused(user.get(&c.core("secrets/any")).await).await;
    refused(user.get(&c.apps("configmaps/map")).await).await;
}

async fn namespace_alone(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    grant(&c, "robot", json!([rule(&[""], &["configmaps"], &["list"])])).await;
    allowed(&user, &c.core("configmaps")).await;
    refused(user.get("/api/v1/namespaces/default/configmaps").await).await;
    refused(user.get("/api/v1/configmaps").await).await;
}

async fn reading_verbs(c: Case) {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let user = c.with_token(&account(&c, "robot").await);
    grant(&c, "robot", json!([rule(&[""], &["configmaps"], &["list"])])).await;
    allowed(&user, &c.core("configmaps")).await;
    refused(user.get(&c.core("configmaps/map")).await).await;
    refused(user.get(&c.core("configmaps?watch=true&timeoutSeconds=1")).await).await;
    let watcher = c.with_token(&account(&c, "watcher").await);
    grant(&c, "watcher", json!([rule(&[""], &["configmaps"], &["watch"])])).await;
    settled(false, async || {
        watcher.get(&c.core("configmaps?watch=true&timeoutSeconds=1")).await
    })
    .await
    .ok();
    refused(watcher.get(&c.core("configmaps")).await).await;
}

async fn collection_verb(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    grant(&c, "robot", json!([rule(&[""], &["configmaps"], &["delete"])])).await;
    settled(false, async || {
        user.delete(&c.core("configmaps/none"), Value::Null).await
    })
    .await
    .refused(404, "NotFound");
    let status = refused(user.delete(&c.core("configmaps"), Value::Null).await).await;
    assert!(
        text(&status["message"]).contains("cannot deletecollection resource"),
        "{status}"
    );
}

async fn apply_verbs(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    c.api.post(&c.core("configmaps"), config_map("there")).await.created();
    grant(&c, "robot", json!([rule(&[""], &["configmaps"], &["patch"])])).await;
    settled(false, async || {
        user.force_apply(&c.core("configmaps/there"), "robot", config_map("there"))
            .await
    })
    .await
    .ok();
    refused(user.apply(&c.core("configmaps/new"), "robot", config_map("new")).await).await;
    c.api.get(&c.core("configmaps/new")).await.refused(404, "NotFound");
}

async fn subresource(c: Case) {
    c.api
        .post(&c.apps("deployments"), deployment(&c, "web", 0))
        .await
        .created();
    let user = c.with_token(&account(&c, "robot").await);
    let rules = json!([
        rule(&["apps"], &["deployments"], &["get", "patch"]),
        rule(&["apps"], &["deployments/scale"], &["get"])
    ]);
    grant(&c, "robot", rules).await;
    allowed(&user, &c.apps("deployments/web")).await;
    user.get(&c.apps("deployments/web/scale")).await.ok();
    refused(
        user.merge(&c.apps("deployments/web/scale"), json!({"spec": {"replicas": 0}}))
            .await,
    )
    .await;
    let status = refused(user.merge(&c.apps("deployments/web/status"), json!({})).await).await;
    assert!(
        text(&status["message"]).contains("cannot patch resource \"deployments/status\""),
        "{status}"
    );
}

async fn resource_names(c: Case) {
    for name in ["mine", "other"] {
        c.api.post(&c.core("configmaps"), config_map(name)).await.created();
    }
    let user = c.with_token(&account(&c, "robot").await);
    let mut rule = rule(&[""], &["configmaps"], &["get", "delete", "create", "list"]);
    rule["resourceNames"] = json!(["mine"]);
    grant(&c, "robot", json!([rule])).await;
    allowed(&user, &c.core("configmaps/mine")).await;
    refused(user.get(&c.core("configmaps/other")).await).await;
    refused(user.get(&c.core("configmaps")).await).await;
    user.get(&c.core("configmaps?fieldSelector=metadata.name%3Dmine"))
        .await
        .ok();
    refused(user.post(&c.core("configmaps"), config_map("new")).await).await;
}

async fn stars(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    grant(&c, "robot", json!([rule(&["*"], &["*"], &["*"])])).await;
    settled(false, async || {
        user.post(&c.core("configmaps"), config_map("map")).await
    })
    .await
    .created();
    user.get(&c.apps("deployments")).await.ok();
    user.delete(&c.core("configmaps"), Value::Null).await.ok();
    refused(user.get("/api/v1/nodes").await).await;
}

/// Makes a cluster role of this rule and returns its name.
async fn cluster_role_of(c: &Case, rules: Value) -> String {
    let name = c.unique("role");
    c.leaves(&format!("/apis/{RBAC}/clusterroles/{name}"));
    let role = json!({"metadata": {"name": name}, "rules": rules});
    c.api.post(&format!("/apis/{RBAC}/clusterroles"), role).await.created();
    name
}

async fn cluster_role_in_namespace(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    let role = cluster_role_of(&c, json!([rule(&[""], &["configmaps", "nodes"], &["list"])])).await;
    bind(&c, "robot", "ClusterRole", &role, json!([subject(&c, "robot")])).await;
    allowed(&user, &c.core("configmaps")).await;
    refused(user.get("/api/v1/configmaps").await).await;
    refused(user.get("/api/v1/nodes").await).await;
}

async fn cluster_role(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    let rules = json!([rule(&[""], &["nodes", "configmaps"], &["list"]), {"nonResourceURLs": ["/conformance/*"], "verbs": ["get"]}]);
    let role = cluster_role_of(&c, rules).await;
    let binding = json!({
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject(&c, "robot")],
    });
    c.leaves(&format!("/apis/{RBAC}/clusterrolebindings/{role}"));
    c.api
        .post(&format!("/apis/{RBAC}/clusterrolebindings"), binding)
        .await
        .created();
    allowed(&user, "/api/v1/nodes?limit=1").await;
    user.get("/api/v1/configmaps?limit=1").await.ok();
    user.get("/api/v1/namespaces/default/configmaps").await.ok();
    assert_eq!(
        user.get("/conformance/nothing").await.code,
        404,
        "it is allowed to find out that nothing is there"
    );
    refused(user.get("/other/nothing").await).await;
}

async fn groups(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    let all = format!("system:serviceaccounts:{}", c.namespace);
    c.api
        .post(
            &c.group(RBAC, "roles"),
            json!({"metadata": {"name": "maps"}, "rules": [rule(&[""], &["configmaps"], &["list"])]}),
        )
        .await
        .created();
    bind(
        &c,
        "maps",
        "Role",
        "maps",
        json!([{"kind": "Group", "name": all, "apiGroup": "rbac.authorization.k8s.io"}]),
    )
    .await;
    allowed(&user, &c.core("configmaps")).await;
    c.api
        .post(
            &c.group(RBAC, "roles"),
            json!({"metadata": {"name": "secrets"}, "rules": [rule(&[""], &["secrets"], &["list"])]}),
        )
        .await
        .created();
    let name = format!("system:serviceaccount:{}:robot", c.namespace);
    bind(
        &c,
        "secrets",
        "Role",
        "secrets",
        json!([{"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}]),
    )
    .await;
    allowed(&user, &c.core("secrets")).await;
}

async fn taken_back(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    grant(&c, "robot", json!([rule(&[""], &["configmaps"], &["list"])])).await;
    allowed(&user, &c.core("configmaps")).await;
    c.api
        .delete(&c.group(RBAC, "rolebindings/robot"), Value::Null)
        .await
        .ok();
    let path = c.core("configmaps");
    refused(settled(true, async || user.get(&path).await).await).await;
}

async fn escalation(c: Case) {
    let user = c.with_token(&account(&c, "robot").await);
    let rules = json!([
        rule(&["rbac.authorization.k8s.io"], &["roles", "rolebindings"], &["create"]),
        rule(&[""], &["configmaps"], &["get"]),
    ]);
    grant(&c, "robot", rules).await;
    let role = |resource: &str| json!({"metadata": {"name": format!("new-{resource}")}, "rules": [rule(&[""], &[resource], &["get"])]});
    let roles = c.group(RBAC, "roles");
    settled(false, async || user.post(&roles, role("configmaps")).await)
        .await
        .created();
    let status = refused(user.post(&roles, role("secrets")).await).await;
    assert!(
        text(&status["message"]).contains("attempting to grant RBAC permissions not currently held"),
        "{status}"
    );
}

async fn default_roles(c: Case) {
    for name in ["cluster-admin", "admin", "edit", "view"] {
        let role = c.api.get(&format!("/apis/{RBAC}/clusterroles/{name}")).await.ok();
        uid(&role);
        assert!(
            role["rules"].as_array().is_some_and(|rules| !rules.is_empty()) || role["aggregationRule"].is_object(),
            "{role}"
        );
    }
    let admin = c
        .api
        .get(&format!("/apis/{RBAC}/clusterroles/cluster-admin"))
        .await
        .ok();
    assert_eq!(
        admin["rules"][0],
        json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    );
}
