//! The real kubectl, where it watches: get -w, delete, wait and rollout.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::kubectl::APPLY;
use crate::shared::{Case, config_map, deployment, replicated};

pub(crate) const CASES: &[Row] = &[
    case!(
        "kubectl get -w prints a line for every change",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_get/",
        [Kubectl],
        get_watch
    ),
    case!(
        "kubectl scale sets the replicas, and may ask for what they were",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_scale/",
        [Kubectl],
        scale
    ),
    case!(
        "kubectl delete waits until it is done",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_delete/",
        [Kubectl],
        delete
    ),
    case!(
        "kubectl delete --cascade=orphan leaves what was owned",
        "kubernetes.io/docs/tasks/administer-cluster/use-cascading-deletion/#set-orphan-deletion-policy",
        [Kubectl, Controllers],
        delete_orphan
    ),
    case!(
        "kubectl delete --cascade=foreground waits for what was owned",
        "kubernetes.io/docs/tasks/administer-cluster/use-cascading-deletion/#use-foreground-cascading-deletion",
        [Kubectl, Controllers],
        delete_foreground
    ),
    case!(
        "kubectl wait ends when a condition holds",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_wait/",
        [Kubectl],
        wait_condition
    ),
    case!(
        "kubectl wait ends when a field has a value",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_wait/",
        [Kubectl],
        wait_field
    ),
    case!(
        "kubectl wait ends when an object is gone",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_wait/",
        [Kubectl],
        wait_delete
    ),
    case!(
        "kubectl wait gives up after its time",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_wait/",
        [Kubectl],
        wait_gives_up
    ),
    case!(
        "kubectl rollout status follows a Deployment to its end",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_status/",
        [Kubectl, Workloads],
        rollout
    ),
];

async fn get_watch(c: Case) {
    c.api
        .post(&c.core("services"), crate::shared::service("first"))
        .await
        .created();
    let mut running = c.start_kubectl(&["get", "services", "-w"]);
    assert!(running.line().await.starts_with("NAME"));
    running.line_with("first").await;
    c.api
        .post(&c.core("services"), crate::shared::service("second"))
        .await
        .created();
    running.line_with("second").await;
    let ports = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": 81}]);
    c.api.json_patch(&c.core("services/first"), ports).await.ok();
    assert!(running.line_with("first").await.contains("81/TCP"));
    let mut events = c.start_kubectl(&[
        "get",
        "services",
        "first",
        "-w",
        "--output-watch-events",
        "--no-headers",
    ]);
    events.line_with("ADDED").await;
    c.api.delete(&c.core("services/first"), Value::Null).await.ok();
    events.line_with("DELETED").await;
}

async fn scale(c: Case) {
    c.api
        .post(&c.apps("statefulsets"), replicated(&c, "StatefulSet", "db", 0))
        .await
        .created();
    let mut web = deployment(&c, "web", 0);
    // A selector that matches nothing a node has, so that nobody minds how many they are.
    web["spec"]["template"]["spec"]["nodeSelector"] = json!({"conformance": "nowhere"});
    c.api.post(&c.apps("deployments"), web).await.created();
    let said = c.kubectl(&["scale", "deployment", "web", "--replicas=2"]).await.ok();
    assert_eq!(said, "deployment.apps/web scaled\n");
    assert_eq!(c.api.get(&c.apps("deployments/web")).await.ok()["spec"]["replicas"], 2);
    let said = c
        .kubectl(&["scale", "deployment", "web", "--current-replicas=5", "--replicas=1"])
        .await
        .code(1);
    assert!(said.contains("Expected replicas to be 5, was 2"), "{said}");
    c.kubectl(&["scale", "statefulset/db", "--current-replicas=0", "--replicas=0"])
        .await
        .ok();
    let said = c.kubectl(&["scale", "configmap", "map", "--replicas=1"]).await;
    assert_ne!(said.code, Some(0));
}

async fn delete(c: Case) {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let said = c.kubectl(&["delete", "configmap", "map"]).await.ok();
    assert!(said.starts_with("configmap \"map\" deleted"), "{said}");
    c.api.get(&c.core("configmaps/map")).await.refused(404, "NotFound");
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    c.api.post(&c.core("configmaps"), held).await.created();
    let said = c
        .kubectl(&["delete", "configmap", "held", "--timeout=1s"])
        .await
        .code(1);
    assert!(said.contains("timed out waiting for the condition"), "{said}");
    c.kubectl(&[
        "patch",
        "configmap",
        "held",
        "--type=merge",
        "-p",
        "{\"metadata\":{\"finalizers\":null}}",
    ])
    .await
    .ok();
    let said = c.kubectl(&["delete", "configmap", "held"]).await.code(1);
    assert!(said.contains("(NotFound)"), "{said}");
}

async fn owner_and_owned(c: &Case) {
    let owner = c.api.post(&c.core("configmaps"), config_map("owner")).await.created();
    let mut owned = config_map("owned");
    let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true});
    owned["metadata"]["ownerReferences"] = json!([reference]);
    c.api.post(&c.core("configmaps"), owned).await.created();
}

async fn delete_orphan(c: Case) {
    owner_and_owned(&c).await;
    c.kubectl(&["delete", "configmap", "owner", "--cascade=orphan"])
        .await
        .ok();
    c.api.get(&c.core("configmaps/owner")).await.refused(404, "NotFound");
    let left = c.api.get(&c.core("configmaps/owned")).await.ok();
    assert!(left["metadata"]["ownerReferences"].is_null(), "{left}");
}

async fn delete_foreground(c: Case) {
    owner_and_owned(&c).await;
    c.kubectl(&["delete", "configmap", "owner", "--cascade=foreground"])
        .await
        .ok();
    c.api.get(&c.core("configmaps/owner")).await.refused(404, "NotFound");
    c.api.get(&c.core("configmaps/owned")).await.refused(404, "NotFound");
}

async fn wait_condition(c: Case) {
    c.api
        .post(&c.core("services"), crate::shared::service("web"))
        .await
        .created();
    let wait = [
        "wait",
        "service/web",
        "--for=condition=example.com/Seen",
        "--timeout=30s",
    ];
    let condition = json!({"type": "example.com/Seen", "status": "True", "reason": "Looked", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"});
    let path = c.core("services/web/status");
    let (said, answer) = futures::join!(
        c.kubectl(&wait),
        c.api.merge(&path, json!({"status": {"conditions": [condition]}}))
    );
    answer.ok();
    assert_eq!(said.ok(), "service/web condition met\n");
    c.kubectl(&wait).await.ok();
}

async fn wait_field(c: Case) {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let wait = [
        "wait",
        "configmap/map",
        "--for=jsonpath={.data.key}=other",
        "--timeout=30s",
    ];
    let path = c.core("configmaps/map");
    let (said, _) = futures::join!(c.kubectl(&wait), c.api.merge(&path, json!({"data": {"key": "other"}})));
    assert_eq!(said.ok(), "configmap/map condition met\n");
}

async fn wait_delete(c: Case) {
    let mut held = config_map("map");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    c.api.post(&c.core("configmaps"), held).await.created();
    c.api.delete(&c.core("configmaps/map"), Value::Null).await.ok();
    let wait = ["wait", "configmap/map", "--for=delete", "--timeout=30s"];
    let path = c.core("configmaps/map");
    let release = c.api.merge(&path, json!({"metadata": {"finalizers": null}}));
    let (said, _) = futures::join!(c.kubectl(&wait), release);
    said.code(0);
    c.kubectl(&wait).await.code(0);
}

async fn wait_gives_up(c: Case) {
    c.api
        .post(&c.core("services"), crate::shared::service("web"))
        .await
        .created();
    let said = c
        .kubectl(&[
            "wait",
            "service/web",
            "--for=condition=example.com/Never",
            "--timeout=1s",
        ])
        .await
        .code(1);
    assert!(said.contains("timed out waiting for the condition"), "{said}");
}

async fn rollout(c: Case) {
    c.until_pods_are_welcome().await;
    c.kubectl_with(APPLY, &deployment(&c, "web", 2).to_string()).await.ok();
    let said = c
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=45s"])
        .await
        .ok();
    assert!(said.ends_with("deployment \"web\" successfully rolled out\n"), "{said}");
    c.kubectl(&["wait", "deployment/web", "--for=condition=Available", "--timeout=30s"])
        .await
        .ok();
    c.kubectl(&["scale", "deployment/web", "--replicas=3"]).await.ok();
    c.kubectl(&["rollout", "status", "deployment/web", "--timeout=45s"])
        .await
        .ok();
    let said = c.kubectl(&["get", "deployment", "web", "--no-headers"]).await.ok();
    assert!(said.contains("3/3"), "{said}");
}
