//! What a server adds to pods and to what makes them.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, deployment, item, pod, pod_template, replicated};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a Deployment has replicas, a strategy, a deadline and a history",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#writing-a-deployment-spec",
        [],
        deployment_defaults
    ),
    case!(
        "the template of a pod is filled in",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/",
        [],
        template_defaults
    ),
    case!(
        "an image is pulled always if its tag may move",
        "kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting",
        [],
        pull_policy
    ),
    case!(
        "a probe has periods and thresholds",
        "kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#configure-probes",
        [],
        probe
    ),
    case!(
        "a Pod is pending, with a class of service",
        "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase and kubernetes.io/docs/concepts/workloads/pods/pod-qos/",
        [],
        pod_status
    ),
    case!(
        "a Pod tolerates nodes that are not ready for a while",
        "kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions",
        [],
        tolerations
    ),
    case!(
        "a StatefulSet is ordered and rolls",
        "kubernetes.io/docs/concepts/workloads/controllers/statefulset/",
        [],
        stateful_set
    ),
    case!(
        "a DaemonSet rolls one node at a time",
        "kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/",
        [],
        daemon_set
    ),
    case!(
        "a Job runs once, and is told apart by its uid",
        "kubernetes.io/docs/concepts/workloads/controllers/job/",
        [],
        job
    ),
    case!(
        "a CronJob allows what it is not told to forbid",
        "kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/",
        [],
        cron_job
    ),
    case!(
        "an autoscaler has one replica at least and looks at the processor",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/",
        [],
        autoscaler
    ),
];

async fn deployment_defaults(c: Case) {
    let mut web = deployment(&c, "web", 0);
    web["spec"].as_object_mut().unwrap().remove("replicas");
    // A dry run, for nobody needs the pod.
    let spec = c.api.post(&c.apps("deployments?dryRun=All"), web).await.created()["spec"].clone();
    assert_eq!(spec["replicas"], 1);
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(
        (&spec["progressDeadlineSeconds"], &spec["revisionHistoryLimit"]),
        (&json!(600), &json!(10))
    );
    let mut web = deployment(&c, "web", 0);
    web["spec"]["strategy"] = json!({"type": "Recreate"});
    let made = c.api.post(&c.apps("deployments"), web).await.created();
    assert_eq!(made["spec"]["strategy"], json!({"type": "Recreate"}));
}

async fn template_defaults(c: Case) {
    let mut web = deployment(&c, "web", 0);
    web["spec"]["template"]["spec"] =
        json!({"containers": [{"name": "main", "image": "example.com/main:1", "ports": [{"containerPort": 80}]}]});
    let made = c.api.post(&c.apps("deployments"), web).await.created();
    let pod = &made["spec"]["template"]["spec"];
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
    ] {
        assert_eq!(pod[field], value, "{field}");
    }
    let container = &pod["containers"][0];
    for (field, value) in [
        ("imagePullPolicy", json!("IfNotPresent")),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("resources", json!({})),
        ("ports", json!([{"containerPort": 80, "protocol": "TCP"}])),
    ] {
        assert_eq!(container[field], value, "{field}");
    }
}

async fn pull_policy(c: Case) {
    for (image, policy) in [
        ("example.com/main:1", "IfNotPresent"),
        ("example.com/main:latest", "Always"),
        ("example.com/main", "Always"),
        ("example.com:5000/main", "Always"),
    ] {
        let mut web = deployment(&c, "web", 0);
        web["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        let made = c.api.post(&c.apps("deployments?dryRun=All"), web).await.created();
        let container = &made["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["imagePullPolicy"], policy, "{image}");
    }
}

async fn probe(c: Case) {
    let mut web = deployment(&c, "web", 0);
    web["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = json!({"httpGet": {"port": 80}});
    let made = c.api.post(&c.apps("deployments"), web).await.created();
    let probe = &made["spec"]["template"]["spec"]["containers"][0]["readinessProbe"];
    let filled = json!({
        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    });
    assert_eq!(probe, &filled);
}

async fn created_pod(c: &Case, change: impl FnOnce(&mut Value)) -> Value {
    c.until_pods_are_welcome().await;
    let mut object = pod(c, "one");
    change(&mut object);
    c.api.post(&c.core("pods?dryRun=All"), object).await.created()
}

async fn pod_status(c: Case) {
    let made = created_pod(&c, |_| {}).await;
    assert_eq!(
        (&made["status"]["phase"], &made["status"]["qosClass"]),
        (&json!("Pending"), &json!("BestEffort"))
    );
    assert_eq!(made["spec"]["enableServiceLinks"], true);
    assert_eq!(made["spec"]["priority"], 0);
    let resources = json!({"limits": {"cpu": "100m", "memory": "1Mi"}});
    let made = created_pod(&c, |pod| pod["spec"]["containers"][0]["resources"] = resources).await;
    assert_eq!(made["status"]["qosClass"], "Guaranteed");
    assert_eq!(
        made["spec"]["containers"][0]["resources"]["requests"],
        json!({"cpu": "100m", "memory": "1Mi"}),
        "from the limits"
    );
    let resources = json!({"requests": {"cpu": "100m"}});
    let made = created_pod(&c, |pod| pod["spec"]["containers"][0]["resources"] = resources).await;
    assert_eq!(made["status"]["qosClass"], "Burstable");
}

async fn tolerations(c: Case) {
    let made = created_pod(&c, |_| {}).await;
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let toleration = item(&made["spec"]["tolerations"], "key", key);
        assert_eq!(toleration["tolerationSeconds"], 300, "{key}: {made}");
        assert_eq!(
            (&toleration["effect"], &toleration["operator"]),
            (&json!("NoExecute"), &json!("Exists"))
        );
    }
}

async fn stateful_set(c: Case) {
    let set = replicated(&c, "StatefulSet", "db", 0);
    let spec = c.api.post(&c.apps("statefulsets"), set).await.created()["spec"].clone();
    assert_eq!(spec["podManagementPolicy"], "OrderedReady");
    assert_eq!(
        spec["updateStrategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    );
    assert_eq!(spec["revisionHistoryLimit"], 10);
    assert_eq!(
        spec["persistentVolumeClaimRetentionPolicy"],
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"})
    );
}

async fn daemon_set(c: Case) {
    let mut set = replicated(&c, "DaemonSet", "agent", 0);
    set["spec"].as_object_mut().unwrap().remove("replicas");
    set["spec"]["template"]["spec"]["nodeSelector"] = json!({"conformance": "nowhere"});
    let spec = c.api.post(&c.apps("daemonsets"), set).await.created()["spec"].clone();
    assert_eq!(
        spec["updateStrategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}})
    );
    assert_eq!(spec["revisionHistoryLimit"], 10);
}

/// A Job that is not begun.
fn held_job(c: &Case) -> Value {
    let mut template = pod_template(c, "job");
    template["spec"]["restartPolicy"] = json!("Never");
    json!({"metadata": {"name": "job"}, "spec": {"suspend": true, "template": template}})
}

async fn job(c: Case) {
    let made = c.api.post(&c.group("batch/v1", "jobs"), held_job(&c)).await.created();
    let spec = &made["spec"];
    assert_eq!(
        (&spec["parallelism"], &spec["completions"], &spec["backoffLimit"]),
        (&json!(1), &json!(1), &json!(6))
    );
    assert_eq!(
        (&spec["completionMode"], &spec["suspend"]),
        (&json!("NonIndexed"), &json!(true))
    );
    let uid = &made["metadata"]["uid"];
    assert_eq!(
        &spec["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"],
        uid
    );
    let labels = &spec["template"]["metadata"]["labels"];
    assert_eq!(labels["batch.kubernetes.io/job-name"], "job");
    assert_eq!(&labels["batch.kubernetes.io/controller-uid"], uid);
    assert_eq!(labels["app"], "job");
}

async fn cron_job(c: Case) {
    let mut template = held_job(&c);
    template.as_object_mut().unwrap().remove("metadata");
    let cron = json!({"metadata": {"name": "cron"}, "spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": template}});
    let spec = c.api.post(&c.group("batch/v1", "cronjobs"), cron).await.created()["spec"].clone();
    assert_eq!(spec["concurrencyPolicy"], "Allow");
    assert_eq!(
        (&spec["successfulJobsHistoryLimit"], &spec["failedJobsHistoryLimit"]),
        (&json!(3), &json!(1))
    );
    assert!(
        spec["jobTemplate"]["spec"]["selector"].is_null(),
        "a template is no Job yet: {spec}"
    );
}

async fn autoscaler(c: Case) {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"});
    let scaler = json!({"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "scaleTargetRef": target}});
    let spec = c
        .api
        .post(&c.group("autoscaling/v2", "horizontalpodautoscalers"), scaler)
        .await
        .created()["spec"]
        .clone();
    assert_eq!(spec["minReplicas"], 1);
    let metric = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    assert_eq!(spec["metrics"], metric);
}
