//! Deletion that takes time: finalizers and grace periods.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::deleting::{held, let_go};
use crate::shared::{Case, config_map, deployment, pod, text, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "an object with finalizers waits, marked",
        "kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/",
        [],
        finalizers
    ),
    case!(
        "an object is gone with its last finalizer",
        "kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/",
        [],
        last_finalizer
    ),
    case!(
        "an object that is being deleted takes no new finalizers",
        "kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/",
        [],
        no_new_finalizers
    ),
    case!(
        "a second deletion changes nothing of an object that waits",
        "kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/",
        [],
        twice
    ),
    case!(
        "a deletionTimestamp cannot be taken back",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        no_way_back
    ),
    case!(
        "the mark of deletion raises the generation",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        mark_generation
    ),
    case!(
        "a pod that no node has is gone at once",
        "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
        [],
        unscheduled_pod
    ),
    case!(
        "a pod on a node is marked with its grace period",
        "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
        [],
        graceful_pod
    ),
    case!(
        "a pod is gone at once with a grace period of zero",
        "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-forced",
        [],
        forced_pod
    ),
];

async fn finalizers(c: Case) {
    held(&c).await;
    let marked = c.api.delete(&c.core("configmaps/map"), Value::Null).await.ok();
    assert_eq!(marked["metadata"]["name"], "map", "the answer is the object");
    let found = c.api.get(&c.core("configmaps/map")).await.ok();
    assert!(text(&found["metadata"]["deletionTimestamp"]).ends_with('Z'), "{found}");
    assert_eq!(found["metadata"]["deletionGracePeriodSeconds"], 0);
    c.api
        .post(&c.core("configmaps"), config_map("map"))
        .await
        .refused(409, "AlreadyExists");
    let_go(&c).await;
}

async fn last_finalizer(c: Case) {
    let made = held(&c).await;
    let mut watch = c
        .api
        .watch(&c.core(&format!(
            "configmaps?fieldSelector=metadata.name%3Dmap&resourceVersion={}",
            version(&made)
        )))
        .await;
    c.api.delete(&c.core("configmaps/map"), Value::Null).await.ok();
    let one = json!({"metadata": {"finalizers": ["example.com/b"]}});
    c.api.merge(&c.core("configmaps/map"), one).await.ok();
    c.api.get(&c.core("configmaps/map")).await.ok();
    let_go(&c).await;
    c.api.get(&c.core("configmaps/map")).await.refused(404, "NotFound");
    for kind in ["MODIFIED", "MODIFIED", "DELETED"] {
        assert_eq!(watch.next_named().await.0, kind);
    }
}

async fn no_new_finalizers(c: Case) {
    held(&c).await;
    c.api.delete(&c.core("configmaps/map"), Value::Null).await.ok();
    let more = json!({"metadata": {"finalizers": ["example.com/a", "example.com/b", "example.com/c"]}});
    c.api
        .merge(&c.core("configmaps/map"), more)
        .await
        .invalid("metadata.finalizers");
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    c.api.merge(&c.core("configmaps/map"), labels).await.ok();
    let_go(&c).await;
}

async fn twice(c: Case) {
    held(&c).await;
    let first = c.api.delete(&c.core("configmaps/map"), Value::Null).await.ok();
    let second = c.api.delete(&c.core("configmaps/map"), Value::Null).await.ok();
    assert_eq!(
        first["metadata"]["deletionTimestamp"],
        second["metadata"]["deletionTimestamp"]
    );
    assert_eq!(version(&first), version(&second));
    let_go(&c).await;
}

async fn no_way_back(c: Case) {
    held(&c).await;
    let marked = c.api.delete(&c.core("configmaps/map"), Value::Null).await.ok();
    let mut alive = config_map("map");
    alive["metadata"]["finalizers"] = marked["metadata"]["finalizers"].clone();
    let after = c.api.put(&c.core("configmaps/map"), &alive).await.ok();
    assert_eq!(
        after["metadata"]["deletionTimestamp"],
        marked["metadata"]["deletionTimestamp"]
    );
    let_go(&c).await;
}

async fn mark_generation(c: Case) {
    let mut web = deployment(&c, "web", 0);
    web["metadata"]["finalizers"] = json!(["example.com/a"]);
    c.api.post(&c.apps("deployments"), web).await.created();
    let marked = c.api.delete(&c.apps("deployments/web"), Value::Null).await.ok();
    assert_eq!(marked["metadata"]["generation"], 2);
    c.api
        .merge(&c.apps("deployments/web"), json!({"metadata": {"finalizers": null}}))
        .await
        .ok();
}

async fn unscheduled_pod(c: Case) {
    c.until_pods_are_welcome().await;
    let mut held = pod(&c, "held");
    held["spec"]["terminationGracePeriodSeconds"] = json!(30);
    held["spec"]["schedulerName"] = json!("nobody");
    held["spec"]["schedulingGates"] = json!([{"name": "example.com/never"}]);
    c.api.post(&c.core("pods"), held).await.created();
    c.api.delete(&c.core("pods/held"), Value::Null).await.ok();
    c.api.get(&c.core("pods/held")).await.refused(404, "NotFound");
}

/// A pod on a node that does not exist, which nobody runs or takes away.
async fn placed(c: &Case) {
    c.until_pods_are_welcome().await;
    let mut placed = pod(c, "placed");
    placed["spec"]["terminationGracePeriodSeconds"] = json!(25);
    placed["spec"]["nodeName"] = json!(c.unique("no-such-node"));
    c.api.post(&c.core("pods"), placed).await.created();
}

async fn graceful_pod(c: Case) {
    placed(&c).await;
    let marked = c.api.delete(&c.core("pods/placed"), Value::Null).await.ok();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 25);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    // Whoever plays the kubelet may have been there first.
    c.api
        .delete(&c.core("pods/placed"), json!({"gracePeriodSeconds": 0}))
        .await;
}

async fn forced_pod(c: Case) {
    placed(&c).await;
    c.api
        .delete(&c.core("pods/placed"), json!({"gracePeriodSeconds": 0}))
        .await
        .ok();
    c.api.get(&c.core("pods/placed")).await.refused(404, "NotFound");
    c.api
        .delete(&c.core("pods/placed?gracePeriodSeconds=-1"), Value::Null)
        .await
        .refused(404, "NotFound");
}
