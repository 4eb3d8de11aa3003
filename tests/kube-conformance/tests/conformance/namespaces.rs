//! Namespaces: their life, and what lives in them.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, item, labelled, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a cluster has its initial namespaces",
        "kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/#initial-namespaces",
        [],
        initial
    ),
    case!(
        "a new namespace is active, and labelled with its name",
        "kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/#automatic-labelling",
        [],
        fresh
    ),
    case!(
        "the label with a namespace's name cannot be changed",
        "kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/#automatic-labelling",
        [],
        label
    ),
    case!(
        "a namespace's name is a label of RFC 1123",
        "kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names",
        [],
        name
    ),
    case!(
        "a deleted namespace is terminating while it is emptied",
        "kubernetes.io/docs/tasks/administer-cluster/namespaces/#deleting-a-namespace",
        [],
        terminating
    ),
    case!(
        "nothing new comes into a namespace that is terminating",
        "kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#namespacelifecycle",
        [],
        closed
    ),
    case!(
        "a namespace takes its content with it",
        "kubernetes.io/docs/tasks/administer-cluster/namespaces/#deleting-a-namespace",
        [Controllers],
        content
    ),
    case!(
        "a namespace waits for content with finalizers, and says so",
        "kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/",
        [Controllers],
        waits
    ),
    case!(
        "initial namespaces cannot be deleted",
        "kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#namespacelifecycle",
        [],
        protected
    ),
    case!(
        "the finalize subresource replaces the finalizers of the spec",
        "kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/",
        [],
        finalize
    ),
    case!(
        "every namespace has a default service account",
        "kubernetes.io/docs/concepts/security/service-accounts/#default-service-accounts",
        [Controllers],
        service_account
    ),
    case!(
        "every namespace has the cluster's root certificate",
        "kubernetes.io/docs/concepts/storage/projected-volumes/ and kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/",
        [Controllers],
        root_certificate
    ),
];

const PATH: &str = "/api/v1/namespaces";

async fn another(c: &Case, finalizers: Value) -> String {
    let name = c.unique("ns");
    c.leaves(&format!("{PATH}/{name}"));
    c.api
        .post(PATH, json!({"metadata": {"name": name, "finalizers": finalizers}}))
        .await
        .created();
    name
}

async fn initial(c: Case) {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        // A server makes them soon after its start.
        let found = c.api.until(PATH, name, "there", |found| !found.is_null()).await;
        assert_eq!(found["status"]["phase"], "Active", "{name}");
    }
}

async fn fresh(c: Case) {
    let found = c.api.get(&format!("{PATH}/{}", c.namespace)).await.ok();
    assert_eq!(found["status"]["phase"], "Active");
    assert_eq!(
        found["metadata"]["labels"]["kubernetes.io/metadata.name"],
        c.namespace.as_str()
    );
    assert_eq!(found["spec"]["finalizers"], json!(["kubernetes"]));
}

async fn label(c: Case) {
    let path = format!("{PATH}/{}", c.namespace);
    let patch = json!({"metadata": {"labels": {"kubernetes.io/metadata.name": null}}});
    let after = c.api.merge(&path, patch).await.ok();
    assert_eq!(
        after["metadata"]["labels"]["kubernetes.io/metadata.name"],
        c.namespace.as_str()
    );
}

async fn name(c: Case) {
    for name in ["a.b", "A", &"x".repeat(64)] {
        c.api
            .post(PATH, json!({"metadata": {"name": name}}))
            .await
            .invalid("metadata.name");
    }
}

async fn terminating(c: Case) {
    // Its content is what keeps it long enough to be looked at.
    let name = another(&c, json!([])).await;
    let maps = format!("{PATH}/{name}/configmaps");
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    c.api.post(&maps, held).await.created();
    let answer = c.api.delete(&format!("{PATH}/{name}"), Value::Null).await.ok();
    assert_eq!(answer["status"]["phase"], "Terminating");
    let found = c.api.get(&format!("{PATH}/{name}")).await.ok();
    assert_eq!(found["status"]["phase"], "Terminating");
    assert!(found["metadata"]["deletionTimestamp"].is_string());
    c.api
        .merge(&format!("{maps}/held"), json!({"metadata": {"finalizers": null}}))
        .await
        .ok();
}

async fn closed(c: Case) {
    let name = another(&c, json!([])).await;
    let maps = format!("{PATH}/{name}/configmaps");
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    c.api.post(&maps, held).await.created();
    c.api.delete(&format!("{PATH}/{name}"), Value::Null).await.ok();
    // The admission may take a moment to hear of it.
    let mut answer = c.api.post(&maps, labelled("late0", json!({}))).await;
    for attempt in 1..50 {
        if answer.code != 201 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        answer = c.api.post(&maps, labelled(&format!("late{attempt}"), json!({}))).await;
    }
    let status = answer.refused(403, "Forbidden");
    let cause = item(&status["details"]["causes"], "reason", "NamespaceTerminating");
    assert_eq!(cause["field"], "metadata.namespace", "{status}");
    assert!(
        text(&status["message"]).contains("because it is being terminated"),
        "{status}"
    );
    c.api
        .merge(&format!("{maps}/held"), json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .ok();
    c.api
        .merge(&format!("{maps}/held"), json!({"metadata": {"finalizers": null}}))
        .await
        .ok();
}

async fn content(c: Case) {
    let name = another(&c, json!([])).await;
    c.api
        .post(&format!("{PATH}/{name}/configmaps"), config_map("map"))
        .await
        .created();
    c.api
        .post(&format!("{PATH}/{name}/secrets"), labelled("secret", json!({})))
        .await
        .created();
    c.api.delete(&format!("{PATH}/{name}"), Value::Null).await.ok();
    c.api.until_gone(PATH, &name).await;
    c.api
        .get(&format!("{PATH}/{name}/configmaps/map"))
        .await
        .refused(404, "NotFound");
    c.api
        .get(&format!("{PATH}/{name}/secrets/secret"))
        .await
        .refused(404, "NotFound");
}

async fn waits(c: Case) {
    let name = another(&c, json!([])).await;
    let maps = format!("{PATH}/{name}/configmaps");
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    c.api.post(&maps, held).await.created();
    c.api.delete(&format!("{PATH}/{name}"), Value::Null).await.ok();
    let says = |found: &Value| {
        let conditions = &found["status"]["conditions"];
        item(conditions, "type", "NamespaceFinalizersRemaining")["status"] == "True"
            && item(conditions, "type", "NamespaceContentRemaining")["status"] == "True"
    };
    c.api.until(PATH, &name, "waiting for content", says).await;
    let marked = c.api.get(&format!("{maps}/held")).await.ok();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    c.api
        .merge(&format!("{maps}/held"), json!({"metadata": {"finalizers": null}}))
        .await
        .ok();
    c.api.until_gone(PATH, &name).await;
}

async fn protected(c: Case) {
    for name in ["default", "kube-system"] {
        c.api
            .delete(&format!("{PATH}/{name}"), json!({"dryRun": ["All"]}))
            .await
            .refused(403, "Forbidden");
    }
}

async fn finalize(c: Case) {
    let name = another(&c, json!([])).await;
    let path = format!("{PATH}/{name}");
    let mut found = c.api.get(&path).await.ok();
    found["metadata"]["resourceVersion"] = Value::Null;
    found["spec"]["finalizers"] = json!(["kubernetes", "example.com/hold"]);
    let plain = c.api.put(&path, &found).await.ok();
    assert_eq!(
        plain["spec"]["finalizers"],
        json!(["kubernetes"]),
        "not by an ordinary update"
    );
    let after = c.api.put(&format!("{path}/finalize"), &found).await.ok();
    assert_eq!(after["spec"]["finalizers"], json!(["kubernetes", "example.com/hold"]));
    c.api.delete(&path, Value::Null).await.ok();
    found["spec"]["finalizers"] = json!([]);
    c.api.put(&format!("{path}/finalize"), &found).await.ok();
    c.api.until_gone(PATH, &name).await;
}

async fn service_account(c: Case) {
    let accounts = c.core("serviceaccounts");
    c.api
        .until(&accounts, "default", "there", |found| !found.is_null())
        .await;
    c.api.delete(&c.core("serviceaccounts/default"), Value::Null).await.ok();
    c.api
        .until(&accounts, "default", "there again", |found| !found.is_null())
        .await;
}

async fn root_certificate(c: Case) {
    let has_it = |found: &Value| text(&found["data"]["ca.crt"]).contains("BEGIN CERTIFICATE");
    c.api
        .until(&c.core("configmaps"), "kube-root-ca.crt", "there", has_it)
        .await;
}
