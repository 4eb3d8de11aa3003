//! Defaults of pods, and of the templates of pods.
//!
//! What must stay true: a template gets the defaults of a pod's spec only; what admission decides about
//! a pod (its tolerations, its priority, its class) is decided when the pod is made.

use serde_json::{Map, Value, json};

use super::{child, each, present, set};
use crate::server::object::{self, object_mut};
use crate::server::quantity;

/// A pod that is no template.
pub(super) fn pod(value: &mut Value) {
    let map = child(object_mut(value), "spec");
    spec(map);
    set(map, "enableServiceLinks", json!(true));
    if let Some(account) = map.get("serviceAccountName").cloned() {
        set(map, "serviceAccount", account);
    }
    let on_host = map.get("hostNetwork") == Some(&json!(true));
    for list in ["containers", "initContainers"] {
        for container in each(map, list) {
            request_what_is_limited(container);
            if on_host {
                for port in each(container, "ports") {
                    let number = port.get("containerPort").cloned().unwrap_or_default();
                    set(port, "hostPort", number);
                }
            }
        }
    }
}

fn request_what_is_limited(container: &mut Map<String, Value>) {
    let Some(resources) = present(container, "resources") else {
        return;
    };
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else {
        return;
    };
    let requests = child(resources, "requests");
    for (name, limit) in limits {
        set(requests, &name, limit);
    }
}

/// The spec of a pod or of a template.
pub(super) fn spec(spec: &mut Map<String, Value>) {
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "securityContext", json!({}));
    set(spec, "schedulerName", json!("default-scheduler"));
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        each(spec, list).for_each(container);
    }
    each(spec, "volumes").for_each(volume);
}

fn container(map: &mut Map<String, Value>) {
    let image = map.get("image").and_then(Value::as_str).unwrap_or_default();
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':'));
    let policy = match tag {
        Some((_, tag)) if tag != "latest" => "IfNotPresent",
        _ if image.contains('@') => "IfNotPresent",
        _ => "Always",
    };
    set(map, "imagePullPolicy", json!(policy));
    set(map, "terminationMessagePath", json!("/dev/termination-log"));
    set(map, "terminationMessagePolicy", json!("File"));
    set(map, "resources", json!({}));
    for port in each(map, "ports") {
        set(port, "protocol", json!("TCP"));
    }
    for variable in each(map, "env") {
        if let Some(from) = present(variable, "valueFrom") {
            field_version(from);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = present(map, name) {
            for (field, value) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                set(probe, field, json!(value));
            }
            http_get(probe);
            if let Some(call) = present(probe, "grpc") {
                set(call, "service", json!(""));
            }
        }
    }
    if let Some(lifecycle) = present(map, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(handler) = present(lifecycle, name) {
                http_get(handler);
            }
        }
    }
}

fn http_get(handler: &mut Map<String, Value>) {
    if let Some(get) = present(handler, "httpGet") {
        set(get, "path", json!("/"));
        set(get, "scheme", json!("HTTP"));
    }
}

fn field_version(from: &mut Map<String, Value>) {
    if let Some(field) = present(from, "fieldRef") {
        set(field, "apiVersion", json!("v1"));
    }
}

fn volume(map: &mut Map<String, Value>) {
    if map.keys().all(|name| name == "name") {
        map.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = present(map, source) {
            // 0644
            set(source, "defaultMode", json!(420));
        }
    }
    if let Some(source) = present(map, "downwardAPI") {
        each(source, "items").for_each(field_version);
    }
    if let Some(projected) = present(map, "projected") {
        for source in each(projected, "sources") {
            if let Some(token) = present(source, "serviceAccountToken") {
                set(token, "expirationSeconds", json!(3_600));
            }
            if let Some(fields) = present(source, "downwardAPI") {
                each(fields, "items").for_each(field_version);
            }
        }
    }
    if let Some(path) = present(map, "hostPath") {
        set(path, "type", json!(""));
    }
    if let Some(ephemeral) = present(map, "ephemeral")
        && let Some(claim) = present(ephemeral, "volumeClaimTemplate")
    {
        set(child(claim, "spec"), "volumeMode", json!("Filesystem"));
    }
}

/// What admission adds to a new pod.
pub(super) fn admit(value: &mut Value) {
    let class = class_of(value);
    value["status"]["qosClass"] = json!(class);
    if object::items(value.pointer("/spec/schedulingGates")).next().is_some() {
        value["status"]["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    let spec = child(object_mut(value), "spec");
    if spec.get("priorityClassName").is_none() {
        set(spec, "priority", json!(0));
        set(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    }
    let tolerations = spec.entry("tolerations").or_insert(json!([]));
    if let Value::Array(tolerations) = tolerations {
        for trouble in ["not-ready", "unreachable"] {
            let key = format!("node.kubernetes.io/{trouble}");
            let tolerates = |toleration: &Value| {
                let fits = |field: &str, wanted: &str| {
                    let found = toleration[field].as_str().unwrap_or_default();
                    found.is_empty() || found == wanted
                };
                fits("key", &key) && fits("effect", "NoExecute")
            };
            if !tolerations.iter().any(tolerates) {
                tolerations.push(json!({
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }));
            }
        }
    }
}

/// The quality-of-service class, by what the containers request and are limited to.
fn class_of(pod: &Value) -> &'static str {
    let containers = object::items(pod.pointer("/spec/containers"));
    let all: Vec<&Value> = containers
        .chain(object::items(pod.pointer("/spec/initContainers")))
        .collect();
    let amount = |container: &Value, list: &str, name: &str| {
        let text = container["resources"][list][name].as_str()?;
        quantity::milli(text).filter(|amount| *amount > 0)
    };
    let pairs = |container: &&Value| {
        ["cpu", "memory"].map(|name| (amount(container, "requests", name), amount(container, "limits", name)))
    };
    let nothing = |(request, limit): &(Option<i128>, Option<i128>)| request.is_none() && limit.is_none();
    let exact = |(request, limit): &(Option<i128>, Option<i128>)| limit.is_some() && request == limit;
    let pairs: Vec<_> = all.iter().flat_map(pairs).collect();
    match () {
        () if pairs.iter().all(nothing) => "BestEffort",
        () if pairs.iter().all(exact) => "Guaranteed",
        () => "Burstable",
    }
}
