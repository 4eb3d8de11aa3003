//! Controllers and their pods.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, deployment, item, names, pod, replicated, text, uid};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a Pod becomes running and ready, with an address",
        "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/",
        [Workloads],
        pod_runs
    ),
    case!(
        "a Pod with a scheduling gate waits until the gate is gone",
        "kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/",
        [Workloads],
        gated_pod
    ),
    case!(
        "a deleted Pod is gone in the end",
        "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
        [Workloads],
        pod_ends
    ),
    case!(
        "a Deployment makes a ReplicaSet that makes pods",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#creating-a-deployment",
        [Workloads],
        deployment_makes
    ),
    case!(
        "a Deployment reports its replicas and that it is available",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status",
        [Workloads],
        deployment_status
    ),
    case!(
        "a Deployment follows its scale up and down",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#scaling-a-deployment",
        [Workloads],
        deployment_scales
    ),
    case!(
        "a changed template is rolled out with a new ReplicaSet",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#updating-a-deployment",
        [Workloads],
        deployment_rolls
    ),
    case!(
        "a paused Deployment does not roll out",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#pausing-and-resuming-a-deployment",
        [Workloads],
        deployment_pauses
    ),
    case!(
        "pods go with their Deployment",
        "kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion",
        [Controllers, Workloads],
        deployment_goes
    ),
    case!(
        "a ReplicaSet replaces a pod that is deleted",
        "kubernetes.io/docs/concepts/workloads/controllers/replicaset/#how-a-replicaset-works",
        [Workloads],
        replica_set_replaces
    ),
    case!(
        "a ReplicaSet reports its replicas",
        "kubernetes.io/docs/concepts/workloads/controllers/replicaset/",
        [Workloads],
        replica_set_status
    ),
];

pub(crate) fn is_ready(pod: &Value) -> bool {
    item(&pod["status"]["conditions"], "type", "Ready")["status"] == "True"
}

fn alive(pods: &[Value]) -> Vec<&Value> {
    pods.iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .collect()
}

/// Waits until the pods of an app are this many, all of them ready.
pub(crate) async fn ready_pods(c: &Case, app: &str, count: usize) -> Vec<Value> {
    let pods = c.core(&format!("pods?labelSelector=app%3D{app}"));
    let wanted = |pods: &[Value]| pods.len() == count && pods.iter().all(is_ready);
    c.api.until_all(&pods, &format!("{count} ready pods"), wanted).await
}

pub(crate) fn owner(object: &Value) -> Value {
    let owners = object["metadata"]["ownerReferences"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    owners
        .into_iter()
        .find(|owner| owner["controller"] == true)
        .unwrap_or(Value::Null)
}

async fn pod_runs(c: Case) {
    c.until_pods_are_welcome().await;
    c.api.post(&c.core("pods"), pod(&c, "one")).await.created();
    let found = c.api.until(&c.core("pods"), "one", "ready", is_ready).await;
    assert_eq!(found["status"]["phase"], "Running");
    assert!(
        text(&found["status"]["podIP"]).parse::<std::net::IpAddr>().is_ok(),
        "{found}"
    );
    assert_eq!(found["status"]["podIPs"][0]["ip"], found["status"]["podIP"]);
    assert!(!text(&found["spec"]["nodeName"]).is_empty(), "{found}");
    assert!(text(&found["status"]["startTime"]).ends_with('Z'), "{found}");
    for kind in ["PodScheduled", "Initialized", "ContainersReady"] {
        assert_eq!(
            item(&found["status"]["conditions"], "type", kind)["status"],
            "True",
            "{kind}"
        );
    }
    let container = &found["status"]["containerStatuses"][0];
    assert_eq!(
        (&container["name"], &container["ready"]),
        (&json!("main"), &json!(true))
    );
}

async fn gated_pod(c: Case) {
    c.until_pods_are_welcome().await;
    let mut gated = pod(&c, "gated");
    gated["spec"]["schedulingGates"] = json!([{"name": "example.com/wait"}]);
    let made = c.api.post(&c.core("pods"), gated).await.created();
    let scheduled = item(&made["status"]["conditions"], "type", "PodScheduled");
    assert_eq!(
        (&scheduled["status"], &scheduled["reason"]),
        (&json!("False"), &json!("SchedulingGated"))
    );
    c.api.post(&c.core("pods"), pod(&c, "free")).await.created();
    c.api.until(&c.core("pods"), "free", "ready", is_ready).await;
    let waiting = c.api.get(&c.core("pods/gated")).await.ok();
    assert_eq!(
        (&waiting["spec"]["nodeName"], &waiting["status"]["phase"]),
        (&Value::Null, &json!("Pending"))
    );
    c.api
        .json_patch(
            &c.core("pods/gated"),
            json!([{"op": "remove", "path": "/spec/schedulingGates"}]),
        )
        .await
        .ok();
    c.api.until(&c.core("pods"), "gated", "ready", is_ready).await;
}

async fn pod_ends(c: Case) {
    c.until_pods_are_welcome().await;
    c.api.post(&c.core("pods"), pod(&c, "one")).await.created();
    c.api.until(&c.core("pods"), "one", "ready", is_ready).await;
    c.api.delete(&c.core("pods/one"), Value::Null).await.ok();
    c.api.until_gone(&c.core("pods"), "one").await;
}

pub(crate) async fn create(c: &Case, plural: &str, object: Value) -> Value {
    c.until_pods_are_welcome().await;
    c.api.post(&c.apps(plural), object).await.created()
}

async fn deployment_makes(c: Case) {
    let made = create(&c, "deployments", deployment(&c, "web", 2)).await;
    let pods = ready_pods(&c, "web", 2).await;
    let sets = c.api.get(&c.apps("replicasets")).await.ok();
    let set = &sets["items"][0];
    assert_eq!(
        (text(&owner(set)["kind"]), text(&owner(set)["uid"])),
        ("Deployment".to_owned(), uid(&made))
    );
    let hash = text(&set["metadata"]["labels"]["pod-template-hash"]);
    assert_eq!(text(&set["metadata"]["name"]), format!("web-{hash}"));
    for pod in &pods {
        assert_eq!(
            (text(&owner(pod)["kind"]), text(&owner(pod)["uid"])),
            ("ReplicaSet".to_owned(), uid(set))
        );
        assert_eq!(text(&pod["metadata"]["labels"]["pod-template-hash"]), hash);
        assert!(
            text(&pod["metadata"]["name"]).starts_with(&format!("web-{hash}-")),
            "{pod}"
        );
    }
}

async fn deployment_status(c: Case) {
    create(&c, "deployments", deployment(&c, "web", 2)).await;
    let available = |web: &Value| {
        let status = &web["status"];
        status["availableReplicas"] == 2 && item(&status["conditions"], "type", "Available")["status"] == "True"
    };
    let web = c.api.until(&c.apps("deployments"), "web", "available", available).await;
    for field in ["replicas", "readyReplicas", "updatedReplicas"] {
        assert_eq!(web["status"][field], 2, "{field}: {web}");
    }
    assert_eq!(web["status"]["observedGeneration"], web["metadata"]["generation"]);
    let progressed =
        |web: &Value| item(&web["status"]["conditions"], "type", "Progressing")["reason"] == "NewReplicaSetAvailable";
    c.api
        .until(&c.apps("deployments"), "web", "progressed", progressed)
        .await;
}

pub(crate) async fn scale(c: &Case, path: &str, replicas: u32) {
    let path = c.apps(&format!("{path}/scale"));
    c.api.merge(&path, json!({"spec": {"replicas": replicas}})).await.ok();
}

async fn deployment_scales(c: Case) {
    create(&c, "deployments", deployment(&c, "web", 1)).await;
    ready_pods(&c, "web", 1).await;
    scale(&c, "deployments/web", 3).await;
    ready_pods(&c, "web", 3).await;
    scale(&c, "deployments/web", 1).await;
    ready_pods(&c, "web", 1).await;
    scale(&c, "deployments/web", 0).await;
    ready_pods(&c, "web", 0).await;
}

async fn annotate(c: &Case, path: &str) {
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"example.com/changed": "yes"}}}}});
    c.api.merge(&c.apps(path), patch).await.ok();
}

async fn deployment_rolls(c: Case) {
    create(&c, "deployments", deployment(&c, "web", 2)).await;
    ready_pods(&c, "web", 2).await;
    annotate(&c, "deployments/web").await;
    let pods = c.core("pods?labelSelector=app%3Dweb");
    let rolled = |pods: &[Value]| {
        let new = |pod: &Value| pod["metadata"]["annotations"]["example.com/changed"] == "yes" && is_ready(pod);
        pods.len() == 2 && pods.iter().all(new)
    };
    c.api.until_all(&pods, "rolled out", rolled).await;
    let sets = c.apps("replicasets?labelSelector=app%3Dweb");
    let settled = |sets: &[Value]| {
        let mut replicas: Vec<_> = sets
            .iter()
            .map(|set| set["spec"]["replicas"].as_i64().unwrap_or(0))
            .collect();
        replicas.sort_unstable();
        replicas == [0, 2]
    };
    c.api.until_all(&sets, "an old and a new ReplicaSet", settled).await;
    let web = c.api.get(&c.apps("deployments/web")).await.ok();
    assert_eq!(web["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
}

async fn deployment_pauses(c: Case) {
    create(&c, "deployments", deployment(&c, "web", 1)).await;
    ready_pods(&c, "web", 1).await;
    c.api
        .merge(&c.apps("deployments/web"), json!({"spec": {"paused": true}}))
        .await
        .ok();
    annotate(&c, "deployments/web").await;
    // Scaling is what shows that the change was seen.
    scale(&c, "deployments/web", 2).await;
    for pod in ready_pods(&c, "web", 2).await {
        assert!(pod["metadata"]["annotations"]["example.com/changed"].is_null(), "{pod}");
    }
    c.api
        .merge(&c.apps("deployments/web"), json!({"spec": {"paused": false}}))
        .await
        .ok();
    let pods = c.core("pods?labelSelector=app%3Dweb");
    let rolled = |pods: &[Value]| {
        let new = |pod: &Value| pod["metadata"]["annotations"]["example.com/changed"] == "yes";
        pods.len() == 2 && pods.iter().all(new)
    };
    c.api.until_all(&pods, "rolled out", rolled).await;
}

async fn deployment_goes(c: Case) {
    create(&c, "deployments", deployment(&c, "web", 2)).await;
    ready_pods(&c, "web", 2).await;
    c.api
        .delete(&c.apps("deployments/web"), json!({"propagationPolicy": "Background"}))
        .await
        .ok();
    ready_pods(&c, "web", 0).await;
    assert_eq!(names(&c.api.get(&c.apps("replicasets")).await.ok()), [""; 0]);
}

async fn replica_set_replaces(c: Case) {
    create(&c, "replicasets", replicated(&c, "ReplicaSet", "web", 2)).await;
    let before = ready_pods(&c, "web", 2).await;
    let lost = text(&before[0]["metadata"]["name"]);
    c.api.delete(&c.core(&format!("pods/{lost}")), Value::Null).await.ok();
    let pods = c.core("pods?labelSelector=app%3Dweb");
    let replaced = |pods: &[Value]| {
        let alive = alive(pods);
        alive.len() == 2
            && alive
                .iter()
                .all(|pod| is_ready(pod) && pod["metadata"]["name"] != lost.as_str())
    };
    c.api.until_all(&pods, "replaced", replaced).await;
}

async fn replica_set_status(c: Case) {
    create(&c, "replicasets", replicated(&c, "ReplicaSet", "web", 2)).await;
    let reported = |set: &Value| set["status"]["availableReplicas"] == 2;
    let set = c.api.until(&c.apps("replicasets"), "web", "available", reported).await;
    for field in ["replicas", "readyReplicas", "fullyLabeledReplicas"] {
        assert_eq!(set["status"][field], 2, "{field}");
    }
    assert_eq!(set["status"]["observedGeneration"], 1);
}
