//! What a server refuses of pods and of what makes them.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, deployment, pod, pod_template, replicated, text};
use crate::validating::refused;

pub(crate) const CASES: &[Row] = &[
    case!(
        "a selector selects the template's own pods",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#selector",
        [],
        selector
    ),
    case!(
        "replicas are not negative",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/",
        [],
        replicas
    ),
    case!(
        "pods of a Deployment restart always",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template",
        [],
        restart_policy
    ),
    case!(
        "a Pod has containers with different names and images",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/",
        [],
        containers
    ),
    case!(
        "a quantity is a number with a unit",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/",
        [],
        quantity
    ),
    case!(
        "pods of a Job do not restart always",
        "kubernetes.io/docs/concepts/workloads/controllers/job/#pod-template",
        [],
        job_restart_policy
    ),
    case!(
        "a CronJob has a schedule that can be read",
        "kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax",
        [],
        schedule
    ),
    case!(
        "an autoscaler's bounds are in order",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/",
        [],
        autoscaler
    ),
];

async fn selector(c: Case) {
    for kind in ["Deployment", "ReplicaSet", "StatefulSet"] {
        let path = c.apps(&format!("{}s", kind.to_lowercase()));
        let mut other = replicated(&c, kind, "web", 0);
        other["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
        let status = refused(&c, &path, other, "spec.template.metadata.labels").await;
        assert!(
            text(&status["message"]).contains("`selector` does not match template `labels`"),
            "{status}"
        );
        let mut none = replicated(&c, kind, "web", 0);
        none["spec"].as_object_mut().unwrap().remove("selector");
        refused(&c, &path, none, "spec.selector").await;
        let mut bad = replicated(&c, kind, "web", 0);
        bad["spec"]["selector"]["matchExpressions"] = json!([{"key": "a", "operator": "Like"}]);
        refused(&c, &path, bad, "spec.selector.matchExpressions[0].operator").await;
    }
}

async fn replicas(c: Case) {
    for kind in ["Deployment", "ReplicaSet", "StatefulSet"] {
        let path = c.apps(&format!("{}s", kind.to_lowercase()));
        let mut web = replicated(&c, kind, "web", 0);
        web["spec"]["replicas"] = json!(-1);
        refused(&c, &path, web, "spec.replicas").await;
    }
}

async fn restart_policy(c: Case) {
    let mut web = deployment(&c, "web", 0);
    web["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    let status = refused(&c, &c.apps("deployments"), web, "spec.template.spec.restartPolicy").await;
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueNotSupported");
}

async fn containers(c: Case) {
    c.until_pods_are_welcome().await;
    let path = c.core("pods");
    let with = |containers: Value| {
        let mut one = pod(&c, "one");
        one["spec"]["containers"] = containers;
        one
    };
    refused(&c, &path, with(json!([])), "spec.containers").await;
    refused(&c, &path, with(json!([{"image": "a"}])), "spec.containers[0].name").await;
    refused(&c, &path, with(json!([{"name": "a"}])), "spec.containers[0].image").await;
    refused(
        &c,
        &path,
        with(json!([{"name": "A_b", "image": "a"}])),
        "spec.containers[0].name",
    )
    .await;
    let twice = with(json!([{"name": "a", "image": "a"}, {"name": "a", "image": "b"}]));
    let status = refused(&c, &path, twice, "spec.containers[1].name").await;
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueDuplicate");
    let port = json!([{"name": "a", "image": "a", "ports": [{"containerPort": 0}]}]);
    refused(&c, &path, with(port), "spec.containers[0].ports[0].containerPort").await;
}

async fn quantity(c: Case) {
    c.until_pods_are_welcome().await;
    let with = |resources: Value| {
        let mut one = pod(&c, "one");
        one["spec"]["containers"][0]["resources"] = resources;
        one
    };
    c.api
        .post(&c.core("pods"), with(json!({"requests": {"cpu": "much"}})))
        .await
        .refused(400, "BadRequest");
    let more = with(json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}));
    refused(&c, &c.core("pods"), more, "spec.containers[0].resources.requests").await;
}

fn job(c: &Case) -> Value {
    json!({"metadata": {"name": "job"}, "spec": {"suspend": true, "template": pod_template(c, "job")}})
}

async fn job_restart_policy(c: Case) {
    let path = c.group("batch/v1", "jobs");
    refused(&c, &path, job(&c), "spec.template.spec.restartPolicy").await;
    let mut negative = job(&c);
    negative["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    negative["spec"]["backoffLimit"] = json!(-1);
    refused(&c, &path, negative, "spec.backoffLimit").await;
}

async fn schedule(c: Case) {
    let path = c.group("batch/v1", "cronjobs");
    let cron = |schedule: &str, policy: &str| {
        let mut template = job(&c);
        template["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
        template.as_object_mut().unwrap().remove("metadata");
        json!({"metadata": {"name": "cron"}, "spec": {"suspend": true, "schedule": schedule, "concurrencyPolicy": policy, "jobTemplate": template}})
    };
    for schedule in ["sometimes", "61 * * * *", "* * * *"] {
        refused(&c, &path, cron(schedule, "Allow"), "spec.schedule").await;
    }
    refused(&c, &path, cron("", "Allow"), "spec.schedule").await;
    refused(&c, &path, cron("@daily", "Maybe"), "spec.concurrencyPolicy").await;
    c.api
        .post(&path, cron("*/5 0-6 1,15 * mon-fri", "Forbid"))
        .await
        .created();
}

async fn autoscaler(c: Case) {
    let path = c.group("autoscaling/v2", "horizontalpodautoscalers");
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"});
    let scaler = |spec: Value| {
        let mut scaler = json!({"metadata": {"name": "a"}, "spec": spec});
        scaler["spec"]["scaleTargetRef"] = target.clone();
        scaler
    };
    refused(&c, &path, scaler(json!({"maxReplicas": 0})), "spec.maxReplicas").await;
    refused(
        &c,
        &path,
        scaler(json!({"maxReplicas": 1, "minReplicas": 2})),
        "spec.maxReplicas",
    )
    .await;
}
