//! StatefulSets, DaemonSets and Jobs, and their pods.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, item, names, pod_template, replicated, service, text, uid};
use crate::workloads::{create, is_ready, owner, ready_pods, scale};

pub(crate) const CASES: &[Row] = &[
    case!(
        "pods of a StatefulSet have numbers, and come one after the other",
        "kubernetes.io/docs/concepts/workloads/controllers/statefulset/#deployment-and-scaling-guarantees",
        [Workloads],
        stateful_set
    ),
    case!(
        "a StatefulSet scales down from its highest number",
        "kubernetes.io/docs/concepts/workloads/controllers/statefulset/#deployment-and-scaling-guarantees",
        [Workloads],
        stateful_set_scales
    ),
    case!(
        "pods of a StatefulSet are labelled with their name",
        "kubernetes.io/docs/concepts/workloads/controllers/statefulset/#pod-name-label",
        [Workloads],
        stateful_set_labels
    ),
    case!(
        "a DaemonSet has a pod on every node that takes it",
        "kubernetes.io/docs/concepts/workloads/controllers/daemonset/",
        [Workloads],
        daemon_set
    ),
    case!(
        "a Job is complete when its pods have succeeded",
        "kubernetes.io/docs/concepts/workloads/controllers/job/#running-an-example-job",
        [Workloads],
        job
    ),
    case!(
        "a suspended Job has no pods until it is resumed",
        "kubernetes.io/docs/concepts/workloads/controllers/job/#suspending-a-job",
        [Workloads],
        job_suspended
    ),
    case!(
        "a Service of type LoadBalancer is given an address",
        "kubernetes.io/docs/concepts/services-networking/service/#loadbalancer",
        [Balancers],
        load_balancer
    ),
];

fn own_names(pods: &[Value]) -> Vec<String> {
    let mut names: Vec<_> = pods.iter().map(|pod| text(&pod["metadata"]["name"])).collect();
    names.sort();
    names
}

async fn stateful_set(c: Case) {
    create(&c, "statefulsets", replicated(&c, "StatefulSet", "db", 3)).await;
    let pods = ready_pods(&c, "db", 3).await;
    assert_eq!(own_names(&pods), ["db-0", "db-1", "db-2"]);
    let ready_since = |name: &str| {
        let pod = pods.iter().find(|pod| pod["metadata"]["name"] == name).unwrap();
        text(&item(&pod["status"]["conditions"], "type", "Ready")["lastTransitionTime"])
    };
    let made_at = |name: &str| {
        let pod = pods.iter().find(|pod| pod["metadata"]["name"] == name).unwrap();
        text(&pod["metadata"]["creationTimestamp"])
    };
    // RFC 3339 sorts as text.
    assert!(ready_since("db-0") <= made_at("db-1") && ready_since("db-1") <= made_at("db-2"));
    let reported = |set: &Value| set["status"]["readyReplicas"] == 3 && set["status"]["currentRevision"].is_string();
    c.api.until(&c.apps("statefulsets"), "db", "ready", reported).await;
}

async fn stateful_set_scales(c: Case) {
    create(&c, "statefulsets", replicated(&c, "StatefulSet", "db", 3)).await;
    ready_pods(&c, "db", 3).await;
    scale(&c, "statefulsets/db", 1).await;
    assert_eq!(own_names(&ready_pods(&c, "db", 1).await), ["db-0"]);
    let first = uid(&c.api.get(&c.core("pods/db-0")).await.ok());
    c.api.delete(&c.core("pods/db-0"), Value::Null).await.ok();
    let again = |pod: &Value| pod["metadata"]["uid"] != first.as_str() && is_ready(pod);
    c.api
        .until(&c.core("pods"), "db-0", "another of the same name", again)
        .await;
}

async fn stateful_set_labels(c: Case) {
    let mut set = replicated(&c, "StatefulSet", "db", 1);
    set["spec"]["serviceName"] = json!("db");
    create(&c, "statefulsets", set).await;
    let pod = ready_pods(&c, "db", 1).await.remove(0);
    let labels = &pod["metadata"]["labels"];
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "db-0");
    assert_eq!(labels["apps.kubernetes.io/pod-index"], "0");
    assert!(labels["controller-revision-hash"].is_string(), "{labels}");
    assert_eq!(
        (&pod["spec"]["hostname"], &pod["spec"]["subdomain"]),
        (&json!("db-0"), &json!("db"))
    );
}

async fn daemon_set(c: Case) {
    let mut set = replicated(&c, "DaemonSet", "agent", 0);
    set["spec"].as_object_mut().unwrap().remove("replicas");
    create(&c, "daemonsets", set).await;
    let reported = |set: &Value| {
        let status = &set["status"];
        status["observedGeneration"] == 1
            && status["desiredNumberScheduled"]
                .as_i64()
                .is_some_and(|wanted| wanted > 0)
            && status["numberReady"] == status["desiredNumberScheduled"]
    };
    let set = c
        .api
        .until(&c.apps("daemonsets"), "agent", "ready everywhere", reported)
        .await;
    let wanted = set["status"]["desiredNumberScheduled"].as_u64().unwrap() as usize;
    let pods = ready_pods(&c, "agent", wanted).await;
    let mut nodes: Vec<_> = pods.iter().map(|pod| text(&pod["spec"]["nodeName"])).collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), wanted, "one on each: {nodes:?}");
    assert_eq!(owner(&pods[0])["kind"], "DaemonSet");
}

fn job_of(c: &Case, spec: Value) -> Value {
    let mut template = pod_template(c, "job");
    template["spec"]["restartPolicy"] = json!("Never");
    template["spec"]["containers"][0]["command"] = json!(["true"]);
    let mut job = json!({"metadata": {"name": "job"}, "spec": spec});
    job["spec"]["template"] = template;
    job
}

async fn job(c: Case) {
    c.until_pods_are_welcome().await;
    let jobs = c.group("batch/v1", "jobs");
    c.api
        .post(&jobs, job_of(&c, json!({"completions": 2, "parallelism": 2})))
        .await
        .created();
    let complete = |job: &Value| item(&job["status"]["conditions"], "type", "Complete")["status"] == "True";
    let job = c.api.until(&jobs, "job", "complete", complete).await;
    assert_eq!(job["status"]["succeeded"], 2);
    assert!(
        job["status"]["completionTime"].is_string() && job["status"]["startTime"].is_string(),
        "{job}"
    );
    let pods = c
        .api
        .get(&c.core("pods?labelSelector=batch.kubernetes.io/job-name%3Djob"))
        .await
        .ok();
    for pod in pods["items"].as_array().unwrap() {
        assert_eq!(
            (&owner(pod)["kind"], &pod["status"]["phase"]),
            (&json!("Job"), &json!("Succeeded"))
        );
    }
}

async fn job_suspended(c: Case) {
    c.until_pods_are_welcome().await;
    let jobs = c.group("batch/v1", "jobs");
    c.api.post(&jobs, job_of(&c, json!({"suspend": true}))).await.created();
    let suspended = |job: &Value| item(&job["status"]["conditions"], "type", "Suspended")["status"] == "True";
    c.api.until(&jobs, "job", "suspended", suspended).await;
    assert_eq!(names(&c.api.get(&c.core("pods")).await.ok()), [""; 0]);
    c.api
        .merge(&format!("{jobs}/job"), json!({"spec": {"suspend": false}}))
        .await
        .ok();
    c.api
        .until(&jobs, "job", "complete", |job| job["status"]["succeeded"] == 1)
        .await;
}

async fn load_balancer(c: Case) {
    let mut web = service("web");
    web["spec"]["type"] = json!("LoadBalancer");
    c.api.post(&c.core("services"), web).await.created();
    let given = |web: &Value| {
        let ingress = &web["status"]["loadBalancer"]["ingress"][0];
        ingress["ip"].is_string() || ingress["hostname"].is_string()
    };
    c.api.until(&c.core("services"), "web", "given an address", given).await;
}
