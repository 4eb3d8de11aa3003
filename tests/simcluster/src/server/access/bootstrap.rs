//! The roles every cluster starts with.
//!
//! What must stay true: the roles that users bind by name (`cluster-admin`, `admin`, `edit`, `view`)
//! grant what the documentation of Kubernetes says for the kinds this server has, and no more; the
//! last three are aggregated, so that a ClusterRole with the right label extends them.
//!
//! Refused: the dozens of roles of controllers that no simulated cluster runs.

use serde_json::{Value, json};

use super::rbac::GROUP;

const READ: [&str; 3] = ["get", "list", "watch"];
const CHANGE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn urls(urls: &[&str]) -> Value {
    json!({"nonResourceURLs": urls, "verbs": ["get"]})
}

fn role(name: &str, labels: &[&str], rules: Vec<Value>) -> Value {
    let mut role = json!({
        "metadata": metadata(name),
        "rules": rules,
    });
    for label in labels {
        role["metadata"]["labels"][format!("{GROUP}/aggregate-to-{label}")] = json!("true");
    }
    role
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    })
}

/// A role that holds what the roles labelled for it hold; `labels` are the roles it is labelled for.
fn aggregated(name: &str, labels: &[&str]) -> Value {
    let mut role = role(name, labels, Vec::new());
    let label = format!("{GROUP}/aggregate-to-{name}");
    role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    role
}

/// The ClusterRoles of a new cluster.
pub(crate) fn cluster_roles() -> Vec<Value> {
    let probes = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
    let discovery = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"];
    let reviews = |resources: &[&str]| rule("authorization.k8s.io", resources, &["create"]);
    vec![
        role(
            "cluster-admin",
            &[],
            vec![
                rule("*", &["*"], &["*"]),
                json!({"nonResourceURLs": ["*"], "verbs": ["*"]}),
            ],
        ),
        role(
            "system:discovery",
            &[],
            vec![urls(&[&discovery[..], &probes[..]].concat())],
        ),
        role("system:public-info-viewer", &[], vec![urls(&probes)]),
        role(
            "system:monitoring",
            &[],
            vec![urls(&[
                "/healthz",
                "/healthz/*",
                "/livez",
                "/livez/*",
                "/metrics",
                "/metrics/slis",
                "/readyz",
                "/readyz/*",
            ])],
        ),
        role(
            "system:basic-user",
            &[],
            vec![
                reviews(&["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
                rule("authentication.k8s.io", &["selfsubjectreviews"], &["create"]),
            ],
        ),
        role(
            "system:auth-delegator",
            &[],
            vec![
                rule("authentication.k8s.io", &["tokenreviews"], &["create"]),
                reviews(&["subjectaccessreviews"]),
            ],
        ),
        role("system:aggregate-to-view", &["view"], view()),
        role("system:aggregate-to-edit", &["edit"], edit()),
        role(
            "system:aggregate-to-admin",
            &["admin"],
            vec![
                reviews(&["localsubjectaccessreviews"]),
                rule(GROUP, &["rolebindings", "roles"], &[&READ[..], &CHANGE[..]].concat()),
            ],
        ),
        aggregated("view", &["edit"]),
        aggregated("edit", &["admin"]),
        aggregated("admin", &[]),
    ]
}

const WORKLOADS: [&str; 7] = [
    "daemonsets",
    "deployments",
    "deployments/scale",
    "replicasets",
    "replicasets/scale",
    "statefulsets",
    "statefulsets/scale",
];

fn view() -> Vec<Value> {
    let core = [
        "configmaps",
        "endpoints",
        "events",
        "namespaces",
        "namespaces/status",
        "pods",
        "pods/log",
        "pods/status",
        "serviceaccounts",
        "services",
        "services/status",
    ];
    let status = [
        "daemonsets/status",
        "deployments/status",
        "replicasets/status",
        "statefulsets/status",
    ];
    vec![
        rule("", &core, &READ),
        rule("apps", &[&WORKLOADS[..], &status[..]].concat(), &READ),
        rule(
            "autoscaling",
            &["horizontalpodautoscalers", "horizontalpodautoscalers/status"],
            &READ,
        ),
        rule("batch", &["cronjobs", "cronjobs/status", "jobs", "jobs/status"], &READ),
        rule("discovery.k8s.io", &["endpointslices"], &READ),
        rule(
            "networking.k8s.io",
            &["ingresses", "ingresses/status", "networkpolicies"],
            &READ,
        ),
    ]
}

fn edit() -> Vec<Value> {
    let all = [&READ[..], &CHANGE[..]].concat();
    let core = ["configmaps", "events", "pods", "secrets", "serviceaccounts", "services"];
    vec![
        rule(
            "",
            &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets"],
            &READ,
        ),
        rule("", &core, &CHANGE),
        rule("", &["pods/eviction", "serviceaccounts/token"], &["create"]),
        rule("", &["serviceaccounts"], &["impersonate"]),
        rule("apps", &WORKLOADS, &CHANGE),
        rule("autoscaling", &["horizontalpodautoscalers"], &CHANGE),
        rule("batch", &["cronjobs", "jobs"], &CHANGE),
        rule("coordination.k8s.io", &["leases"], &all),
        rule("networking.k8s.io", &["ingresses", "networkpolicies"], &CHANGE),
    ]
}

/// The ClusterRoleBindings of a new cluster.
pub(crate) fn cluster_role_bindings() -> Vec<Value> {
    let everybody = ["system:authenticated", "system:unauthenticated"];
    [
        ("cluster-admin", &["system:masters"][..]),
        ("system:discovery", &everybody[..1]),
        ("system:basic-user", &everybody[..1]),
        ("system:public-info-viewer", &everybody[..]),
        ("system:monitoring", &["system:monitoring"][..]),
    ]
    .into_iter()
    .map(|(name, groups)| {
        let subjects: Vec<Value> = groups
            .iter()
            .map(|group| json!({"kind": "Group", "apiGroup": GROUP, "name": group}))
            .collect();
        json!({
            "metadata": metadata(name),
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
            "subjects": subjects,
        })
    })
    .collect()
}
