//! Small manifests of the built-in kinds, and what their refusals say.

use meridian_simcluster::SimCluster;
use serde_json::{Value, json};

use super::{Raw, failed, post};

/// The path of a collection in the namespace `default`, or of a collection of the cluster.
pub(crate) fn path(resource: &str) -> String {
    let (group, plural) = resource.rsplit_once('/').unwrap();
    let root = if group == "v1" { "/api" } else { "/apis" };
    match plural {
        "namespaces" | "nodes" | "ingressclasses" | "clusterroles" | "clusterrolebindings" => {
            format!("{root}/{group}/{plural}")
        }
        _ => format!("{root}/{group}/namespaces/default/{plural}"),
    }
}

pub(crate) fn named(mut body: Value) -> Value {
    body["metadata"]["name"] = json!("a");
    body
}

pub(crate) fn container() -> Value {
    json!({"name": "main", "image": "example.com/main:1"})
}

pub(crate) fn template(extra: Value) -> Value {
    let mut spec = json!({"containers": [container()]});
    json_patch::merge(&mut spec, &extra);
    json!({"metadata": {"labels": {"app": "a"}}, "spec": spec})
}

/// A workload whose spec is `extra` and what every one needs.
pub(crate) fn workload(extra: Value) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"app": "a"}}, "template": template(json!({}))});
    json_patch::merge(&mut spec, &extra);
    json!({"spec": spec})
}

pub(crate) fn job(extra: Value) -> Value {
    let mut spec = json!({"template": template(json!({"restartPolicy": "Never"}))});
    json_patch::merge(&mut spec, &extra);
    json!({"spec": spec})
}

pub(crate) fn cron_job(schedule: &str) -> Value {
    json!({"spec": {"schedule": schedule, "jobTemplate": job(json!({}))}})
}

pub(crate) fn pod(extra: Value) -> Value {
    json!({"spec": template(extra)["spec"]})
}

pub(crate) fn autoscaler(extra: Value) -> Value {
    let mut spec = json!({"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3});
    json_patch::merge(&mut spec, &extra);
    json!({"spec": spec})
}

pub(crate) fn ingress(path: Value) -> Value {
    json!({"spec": {"rules": [{"host": "example.com", "http": {"paths": [path]}}]}})
}

pub(crate) fn backend() -> Value {
    json!({"service": {"name": "web", "port": {"number": 80}}})
}

pub(crate) fn binding() -> Value {
    json!({
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "default"}],
    })
}

pub(crate) async fn dry(cluster: &SimCluster, resource: &str, body: Value) -> Raw {
    post(cluster, &format!("{}?dryRun=All", path(resource)), named(body)).await
}

/// Fields of the causes, each with what the message must contain.
pub(crate) type Causes<'c> = &'c [(&'c str, &'c str)];

pub(crate) fn check_causes(answer: Raw, what: &str, wanted: Causes<'_>) {
    let status = failed(answer, 422, "Invalid");
    let causes = status["details"]["causes"].as_array().unwrap().clone();
    let found: Vec<&str> = causes.iter().map(|cause| cause["field"].as_str().unwrap()).collect();
    let fields: Vec<&str> = wanted.iter().map(|(field, _)| *field).collect();
    assert_eq!(found, fields, "{what}: {status}");
    for (cause, (_, message)) in causes.iter().zip(wanted) {
        let text = cause["message"].as_str().unwrap();
        assert!(text.contains(message), "{what}: {text}");
    }
}
