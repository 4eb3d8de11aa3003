//! Subresources: status and scale.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, deployment, ingress, item, pod, replicated, service, text, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a status is written on its own and leaves the rest",
        "kubernetes.io/docs/concepts/overview/working-with-objects/#object-spec-and-status",
        [],
        status_alone
    ),
    case!(
        "a status write leaves the generation and gives a new version",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        status_generation
    ),
    case!(
        "a status write from a stale version is a conflict",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
        [],
        status_conflict
    ),
    case!(
        "the status of a Pod is written by its kubelet alone",
        "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/",
        [],
        pod_status
    ),
    case!(
        "a Node reports capacity and conditions in its status",
        "kubernetes.io/docs/reference/node/node-status/",
        [],
        node_status
    ),
    case!(
        "the scale of a Deployment is of its own kind",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/",
        [],
        scale_kind
    ),
    case!(
        "a write of the scale changes the replicas and the generation",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/",
        [],
        scale_write
    ),
    case!(
        "a scale from a stale version is a conflict",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
        [],
        scale_conflict
    ),
    case!(
        "a scale is validated",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/",
        [],
        scale_invalid
    ),
    case!(
        "ReplicaSets and StatefulSets have a scale too",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/stateful-set-v1/",
        [],
        other_scales
    ),
    case!(
        "a subresource that a kind does not have is not found",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        missing
    ),
    case!(
        "a subresource of an object that is not there is not found",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        of_nothing
    ),
];

fn status(ip: &str) -> Value {
    json!({"loadBalancer": {"ingress": [{"ip": ip}]}})
}

async fn status_alone(c: Case) {
    let (path, mut object) = ingress(&c).await;
    object["status"] = status("192.0.2.1");
    object["spec"]["ingressClassName"] = json!("changed");
    let after = c.api.put(&format!("{path}/status"), &object).await.ok();
    assert_eq!(after["status"], status("192.0.2.1"));
    assert_eq!(after["spec"]["ingressClassName"], "nobody");
    let after = c
        .api
        .merge(&format!("{path}/status"), json!({"status": status("192.0.2.2")}))
        .await
        .ok();
    assert_eq!(after["status"], status("192.0.2.2"));
    assert_eq!(c.api.get(&format!("{path}/status")).await.ok(), after);
    let after = c
        .api
        .merge(
            &path,
            json!({"status": status("192.0.2.3"), "metadata": {"labels": {"a": "b"}}}),
        )
        .await
        .ok();
    assert_eq!(after["status"], status("192.0.2.2"));
}

async fn status_generation(c: Case) {
    let (path, before) = ingress(&c).await;
    let after = c
        .api
        .merge(&format!("{path}/status"), json!({"status": status("192.0.2.1")}))
        .await
        .ok();
    assert_eq!(after["metadata"]["generation"], 1);
    assert_ne!(version(&after), version(&before));
}

async fn status_conflict(c: Case) {
    let (path, old) = ingress(&c).await;
    c.api
        .merge(&path, json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .ok();
    let mut stale = old;
    stale["status"] = status("192.0.2.1");
    c.api
        .put(&format!("{path}/status"), &stale)
        .await
        .refused(409, "Conflict");
}

async fn pod_status(c: Case) {
    c.until_pods_are_welcome().await;
    let mut one = pod(&c, "one");
    one["spec"]["schedulerName"] = json!("nobody");
    one["spec"]["schedulingGates"] = json!([{"name": "example.com/never"}]);
    one["status"] = json!({"phase": "Running"});
    let made = c.api.post(&c.core("pods"), one).await.created();
    assert_eq!(made["status"]["phase"], "Pending");
    let report = json!({"status": {"conditions": [{"type": "example.com/Seen", "status": "True"}]}});
    let after = c.api.merge(&c.core("pods/one/status"), report).await.ok();
    assert_eq!(
        item(&after["status"]["conditions"], "type", "example.com/Seen")["status"],
        "True"
    );
}

async fn node_status(c: Case) {
    let name = c.unique("node");
    let path = format!("/api/v1/nodes/{name}");
    c.leaves(&path);
    // It takes no pods, should anybody schedule.
    let node = json!({"metadata": {"name": name}, "spec": {"unschedulable": true}});
    c.api.post("/api/v1/nodes", node).await.created();
    let report = json!({"status": {
        "capacity": {"cpu": "2", "memory": "1Gi"},
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
        "conditions": [{"type": "example.com/Seen", "status": "True"}],
    }});
    let after = c.api.merge(&format!("{path}/status"), report).await.ok();
    assert_eq!(after["status"]["capacity"]["cpu"], "2");
    assert_eq!(after["status"]["addresses"][0]["address"], "192.0.2.1");
    assert_eq!(after["spec"]["unschedulable"], true);
}

async fn web(c: &Case) -> Value {
    let mut web = deployment(c, "web", 0);
    // Paused, so that nobody is in a hurry to act on the replicas.
    web["spec"]["paused"] = json!(true);
    c.api.post(&c.apps("deployments"), web).await.created()
}

async fn scale_kind(c: Case) {
    let made = web(&c).await;
    let scale = c.api.get(&c.apps("deployments/web/scale")).await.ok();
    assert_eq!(
        (&scale["kind"], &scale["apiVersion"]),
        (&json!("Scale"), &json!("autoscaling/v1"))
    );
    assert_eq!(
        (&scale["metadata"]["name"], &scale["metadata"]["uid"]),
        (&json!("web"), &made["metadata"]["uid"])
    );
    assert_eq!(scale["spec"]["replicas"].as_i64().unwrap_or(0), 0);
    assert_eq!(scale["status"]["selector"], "app=web");
}

async fn scale_write(c: Case) {
    web(&c).await;
    let path = c.apps("deployments/web/scale");
    let mut scale = c.api.get(&path).await.ok();
    scale["metadata"]["resourceVersion"] = Value::Null;
    scale["spec"]["replicas"] = json!(2);
    let after = c.api.put(&path, &scale).await.ok();
    assert_eq!(
        (&after["kind"], &after["spec"]["replicas"]),
        (&json!("Scale"), &json!(2))
    );
    let found = c.api.get(&c.apps("deployments/web")).await.ok();
    assert_eq!(found["spec"]["replicas"], 2);
    let after = c.api.merge(&path, json!({"spec": {"replicas": 1}})).await.ok();
    assert_eq!(after["spec"]["replicas"], 1);
    c.api.merge(&path, json!({"spec": {"replicas": 0}})).await.ok();
    assert_eq!(c.api.get(&c.apps("deployments/web")).await.ok()["spec"]["replicas"], 0);
}

async fn scale_conflict(c: Case) {
    web(&c).await;
    let path = c.apps("deployments/web/scale");
    let mut stale = c.api.get(&path).await.ok();
    c.api
        .merge(&c.apps("deployments/web"), json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .ok();
    stale["spec"]["replicas"] = json!(0);
    c.api.put(&path, &stale).await.refused(409, "Conflict");
}

async fn scale_invalid(c: Case) {
    web(&c).await;
    let path = c.apps("deployments/web/scale");
    c.api
        .merge(&path, json!({"spec": {"replicas": -1}}))
        .await
        .invalid("spec.replicas");
    let mut other = c.api.get(&path).await.ok();
    other["metadata"]["name"] = json!("other");
    c.api.put(&path, &other).await.refused(400, "BadRequest");
}

async fn other_scales(c: Case) {
    for (kind, plural) in [("ReplicaSet", "replicasets"), ("StatefulSet", "statefulsets")] {
        c.api
            .post(&c.apps(plural), replicated(&c, kind, "web", 0))
            .await
            .created();
        let scale = c.api.get(&c.apps(&format!("{plural}/web/scale"))).await.ok();
        assert_eq!(
            (&scale["kind"], &scale["status"]["selector"]),
            (&json!("Scale"), &json!("app=web")),
            "{kind}"
        );
    }
}

async fn missing(c: Case) {
    c.api.post(&c.core("services"), service("web")).await.created();
    for path in [
        c.core("services/web/scale"),
        c.core("configmaps/map/status"),
        c.apps("deployments/web/nothing"),
    ] {
        let answer = c.api.get(&path).await;
        assert_eq!(answer.code, 404, "{path}: {}", answer.body);
    }
}

async fn of_nothing(c: Case) {
    for path in [
        c.core("services/none/status"),
        c.apps("deployments/none/status"),
        c.apps("deployments/none/scale"),
    ] {
        let status = c.api.get(&path).await.refused(404, "NotFound");
        assert_eq!(text(&status["details"]["name"]), "none", "{path}");
        c.api
            .merge(&path, json!({"spec": {"replicas": 1}}))
            .await
            .refused(404, "NotFound");
    }
}
