//! What is filled into objects of the built-in kinds, and that it stays.

#![allow(clippy::unwrap_used)]

mod common;

use common::manifests::*;
use common::*;
use http::{Method, header};
use serde_json::{Value, json};

#[tokio::test]
async fn defaults_are_filled_in() {
    let (cluster, _client) = cluster().await;
    let check = async |resource: &str, body: Value, wanted: &[(&str, Value)]| {
        let made = dry(&cluster, resource, body).await;
        assert_eq!(made.code, 201, "{resource}: {}", made.body);
        for (pointer, wanted) in wanted {
            let found = made.body.pointer(pointer).unwrap_or(&Value::Null);
            assert_eq!(found, wanted, "{resource} {pointer}: {}", made.body);
        }
    };
    let absent = || Value::Null;
    check(
        "apps/v1/deployments",
        workload(json!({})),
        &[
            ("/spec/replicas", json!(1)),
            ("/spec/strategy/rollingUpdate/maxSurge", json!("25%")),
            ("/spec/template/spec/dnsPolicy", json!("ClusterFirst")),
            ("/spec/template/spec/tolerations", absent()),
            ("/spec/template/spec/enableServiceLinks", absent()),
            ("/status", json!({})),
        ],
    )
    .await;
    check(
        "apps/v1/statefulsets",
        workload(json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]})),
        &[
            ("/spec/podManagementPolicy", json!("OrderedReady")),
            (
                "/spec/updateStrategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
            ),
            ("/spec/persistentVolumeClaimRetentionPolicy/whenScaled", json!("Retain")),
            ("/spec/revisionHistoryLimit", json!(10)),
            ("/spec/volumeClaimTemplates/0/spec/volumeMode", json!("Filesystem")),
            ("/status/availableReplicas", json!(0)),
        ],
    )
    .await;
    check(
        "apps/v1/daemonsets",
        workload(json!({"updateStrategy": {"type": "OnDelete"}})),
        &[
            ("/spec/updateStrategy/rollingUpdate", absent()),
            ("/status/numberReady", json!(0)),
        ],
    )
    .await;
    check(
        "apps/v1/replicasets",
        workload(json!({})),
        &[("/spec/replicas", json!(1)), ("/status/replicas", json!(0))],
    )
    .await;
    check(
        "batch/v1/jobs",
        job(json!({})),
        &[
            ("/spec/completions", json!(1)),
            ("/spec/parallelism", json!(1)),
            ("/spec/backoffLimit", json!(6)),
            ("/spec/completionMode", json!("NonIndexed")),
            ("/spec/podReplacementPolicy", json!("TerminatingOrFailed")),
            ("/spec/template/metadata/labels/job-name", json!("a")),
        ],
    )
    .await;
    check(
        "batch/v1/jobs",
        job(json!({"parallelism": 3})),
        &[("/spec/completions", absent())],
    )
    .await;
    check(
        "batch/v1/cronjobs",
        cron_job("@daily"),
        &[
            ("/spec/concurrencyPolicy", json!("Allow")),
            ("/spec/successfulJobsHistoryLimit", json!(3)),
            ("/spec/jobTemplate/spec/backoffLimit", absent()),
            (
                "/spec/jobTemplate/spec/template/spec/schedulerName",
                json!("default-scheduler"),
            ),
        ],
    )
    .await;
    check(
        "autoscaling/v2/horizontalpodautoscalers",
        autoscaler(json!({"behavior": {"scaleDown": {"selectPolicy": "Min"}}})),
        &[
            ("/spec/minReplicas", json!(1)),
            ("/spec/metrics/0/resource/target/averageUtilization", json!(80)),
            ("/spec/behavior/scaleUp/policies/0/type", json!("Pods")),
            ("/spec/behavior/scaleDown/selectPolicy", json!("Min")),
        ],
    )
    .await;
    check(
        "networking.k8s.io/v1/networkpolicies",
        json!({"spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}}),
        &[
            ("/spec/policyTypes", json!(["Ingress", "Egress"])),
            ("/spec/egress/0/ports/0/protocol", json!("TCP")),
        ],
    )
    .await;
    check(
        "networking.k8s.io/v1/ingresses",
        json!({"spec": {"defaultBackend": backend()}, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}),
        &[("/status", json!({"loadBalancer": {}}))],
    )
    .await;
    check(
        "rbac.authorization.k8s.io/v1/rolebindings",
        binding(),
        &[
            ("/roleRef/apiGroup", json!("rbac.authorization.k8s.io")),
            ("/subjects/0/apiGroup", json!("rbac.authorization.k8s.io")),
            ("/subjects/1/apiGroup", absent()),
        ],
    )
    .await;
    check(
        "v1/services",
        json!({"spec": {"sessionAffinity": "ClientIP", "ports": [{"port": 80}]}}),
        &[
            ("/spec/sessionAffinityConfig/clientIP/timeoutSeconds", json!(10_800)),
            ("/spec/externalTrafficPolicy", absent()),
        ],
    )
    .await;
    check(
        "v1/nodes",
        json!({"status": {"capacity": {"cpu": "2"}}}),
        &[("/status/allocatable/cpu", json!("2"))],
    )
    .await;
}

#[tokio::test]
async fn pods_get_what_admission_gives() {
    let (cluster, _client) = cluster().await;
    let check = async |extra: Value, wanted: &[(&str, Value)]| {
        let made = dry(&cluster, "v1/pods", pod(extra)).await;
        assert_eq!(made.code, 201, "{}", made.body);
        for (pointer, wanted) in wanted {
            let found = made.body.pointer(pointer).unwrap_or(&Value::Null);
            assert_eq!(found, wanted, "{pointer}: {}", made.body);
        }
    };
    check(
        json!({"volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "s"}}]}),
        &[
            ("/spec/enableServiceLinks", json!(true)),
            ("/spec/priority", json!(0)),
            ("/spec/tolerations/0/key", json!("node.kubernetes.io/not-ready")),
            ("/spec/tolerations/1/tolerationSeconds", json!(300)),
            ("/spec/volumes/0/emptyDir", json!({})),
            ("/spec/volumes/1/secret/defaultMode", json!(420)),
            ("/status/qosClass", json!("BestEffort")),
            ("/status/phase", json!("Pending")),
        ],
    )
    .await;
    check(
        json!({"tolerations": [{"operator": "Exists"}]}),
        &[("/spec/tolerations", json!([{"operator": "Exists"}]))],
    )
    .await;
    let with = |resources: Value| {
        let mut container = container();
        container["resources"] = resources;
        json!({"containers": [container]})
    };
    let class = "/status/qosClass";
    check(
        with(json!({"limits": {"cpu": "1", "memory": "1Gi"}})),
        &[
            (class, json!("Guaranteed")),
            ("/spec/containers/0/resources/requests/cpu", json!("1")),
        ],
    )
    .await;
    let same = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
    check(with(same), &[(class, json!("Guaranteed"))]).await;
    check(with(json!({"requests": {"cpu": "1m"}})), &[(class, json!("Burstable"))]).await;
    let mut probed = container();
    probed["readinessProbe"] = json!({"httpGet": {"port": 80}});
    probed["env"] = json!([{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]);
    check(
        json!({"containers": [probed]}),
        &[
            ("/spec/containers/0/readinessProbe/periodSeconds", json!(10)),
            ("/spec/containers/0/readinessProbe/httpGet/scheme", json!("HTTP")),
            ("/spec/containers/0/env/0/valueFrom/fieldRef/apiVersion", json!("v1")),
        ],
    )
    .await;
}

#[tokio::test]
async fn applying_the_same_again_changes_nothing() {
    let (cluster, _client) = cluster().await;
    let apply = [(header::CONTENT_TYPE, "application/apply-patch+yaml")];
    let check = async |resource: &str, kind: &str, body: Value| {
        let path = format!("{}/a?fieldManager=m&fieldValidation=Strict", path(resource));
        let mut body = named(body);
        body["apiVersion"] = json!(resource.rsplit_once('/').unwrap().0);
        body["kind"] = json!(kind);
        let first = raw(&cluster, Method::PATCH, &path, &apply, body.to_string()).await;
        assert_eq!(first.code, 201, "{resource}: {}", first.body);
        let second = raw(&cluster, Method::PATCH, &path, &apply, body.to_string()).await;
        assert_eq!((second.code, &second.body), (200, &first.body), "{resource}");
    };
    check(
        "v1/namespaces",
        "Namespace",
        json!({"metadata": {"labels": {"x": "y"}}}),
    )
    .await;
    check(
        "v1/nodes",
        "Node",
        json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}),
    )
    .await;
    check("v1/services", "Service", json!({"spec": {"ports": [{"port": 80}]}})).await;
    check(
        "v1/endpoints",
        "Endpoints",
        json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}]}]}),
    )
    .await;
    check("v1/pods", "Pod", pod(json!({}))).await;
    check("v1/configmaps", "ConfigMap", json!({"data": {"k": "v"}})).await;
    check("v1/secrets", "Secret", json!({"data": {"k": "eA=="}})).await;
    check(
        "v1/serviceaccounts",
        "ServiceAccount",
        json!({"secrets": [{"name": "s"}]}),
    )
    .await;
    check("apps/v1/deployments", "Deployment", workload(json!({}))).await;
    check("apps/v1/replicasets", "ReplicaSet", workload(json!({}))).await;
    check("apps/v1/statefulsets", "StatefulSet", workload(json!({}))).await;
    check("apps/v1/daemonsets", "DaemonSet", workload(json!({}))).await;
    check("batch/v1/jobs", "Job", job(json!({}))).await;
    check("batch/v1/cronjobs", "CronJob", cron_job("@daily")).await;
    let scaler = "autoscaling/v2/horizontalpodautoscalers";
    check(scaler, "HorizontalPodAutoscaler", autoscaler(json!({}))).await;
    let rule = ingress(json!({"path": "/", "pathType": "Prefix", "backend": backend()}));
    check("networking.k8s.io/v1/ingresses", "Ingress", rule).await;
    let class = json!({"spec": {"controller": "example.com/c"}});
    check("networking.k8s.io/v1/ingressclasses", "IngressClass", class).await;
    let policy = json!({"spec": {"podSelector": {}}});
    check("networking.k8s.io/v1/networkpolicies", "NetworkPolicy", policy).await;
    let slice = json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]});
    check("discovery.k8s.io/v1/endpointslices", "EndpointSlice", slice).await;
    check(
        "coordination.k8s.io/v1/leases",
        "Lease",
        json!({"spec": {"holderIdentity": "h"}}),
    )
    .await;
    let rbac = "rbac.authorization.k8s.io/v1";
    let rules = json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
    check(&format!("{rbac}/roles"), "Role", rules.clone()).await;
    check(&format!("{rbac}/clusterroles"), "ClusterRole", rules).await;
    check(&format!("{rbac}/rolebindings"), "RoleBinding", binding()).await;
    let mut wide = binding();
    wide["roleRef"]["kind"] = json!("ClusterRole");
    check(&format!("{rbac}/clusterrolebindings"), "ClusterRoleBinding", wide).await;
}
