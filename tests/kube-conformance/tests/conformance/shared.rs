//! Objects that many cases begin with, and small ways to look into JSON.

use std::sync::Arc;

use meridian_kube_conformance::Context;
use serde_json::{Value, json};

/// What a case is given.
pub(crate) type Case = Arc<Context>;

pub(crate) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}})
}

pub(crate) fn labelled(name: &str, labels: Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}})
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]},
    })
}

/// A Pod that runs until it is deleted.
pub(crate) fn pod(c: &Context, name: &str) -> Value {
    let mut pod = pod_template(c, name);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    // Deleting must not wait for a shell to hear of it.
    pod["spec"]["terminationGracePeriodSeconds"] = json!(0);
    pod
}

/// Metadata and spec of pods labelled `app`.
pub(crate) fn pod_template(c: &Context, app: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main",
                "image": c.image(),
                "command": ["sleep", "100000"],
                "ports": [{"name": "http", "containerPort": 8080}],
            }],
        },
    })
}

/// A kind of `apps/v1` with replicas, a selector and a template.
pub(crate) fn replicated(c: &Context, kind: &str, name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": pod_template(c, name),
        },
    })
}

pub(crate) fn deployment(c: &Context, name: &str, replicas: u32) -> Value {
    replicated(c, "Deployment", name, replicas)
}

/// The names of a list's objects, in its order.
pub(crate) fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap_or_else(|| panic!("not a list: {list}"));
    items.iter().map(|item| text(&item["metadata"]["name"])).collect()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The resourceVersion of an object or a list.
pub(crate) fn version(object: &Value) -> String {
    let version = text(&object["metadata"]["resourceVersion"]);
    assert!(!version.is_empty(), "no resourceVersion: {object}");
    version
}

pub(crate) fn uid(object: &Value) -> String {
    let uid = text(&object["metadata"]["uid"]);
    assert!(!uid.is_empty(), "no uid: {object}");
    uid
}

/// Whether a list of strings in JSON has `wanted`.
pub(crate) fn has(list: &Value, wanted: &str) -> bool {
    list.as_array().into_iter().flatten().any(|item| item == wanted)
}

/// The item of a list whose `key` is `value`.
pub(crate) fn item<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let mut items = list.as_array().into_iter().flatten();
    items.find(|item| item[key] == value).unwrap_or(&Value::Null)
}

/// An Ingress of a class that nobody serves, and its path: nobody else writes its status, and its generation is the
/// user's doing alone. (A Deployment's is also raised by annotations, which its controller writes.)
pub(crate) async fn ingress(c: &Case) -> (String, Value) {
    let path = c.group("networking.k8s.io/v1", "ingresses");
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let ingress =
        json!({"metadata": {"name": "web"}, "spec": {"ingressClassName": "nobody", "defaultBackend": backend}});
    let made = c.api.post(&path, ingress).await.created();
    (format!("{path}/web"), made)
}
