//! Values a real cluster fills in.
//!
//! What must stay true: defaults depend on the object alone and are filled in before ownership is
//! recorded, so the creator owns them; what needs the cluster's state is in `addresses.rs`. `fill` is
//! for every write and fills in nothing twice; `begin` and `admit` are for new objects alone.
//!
//! Refused: what admission takes from other objects (a default ServiceAccount and its token, the default
//! IngressClass, taints of new nodes).

mod pods;
mod services;
mod workloads;

use serde_json::{Map, Value, json};

use super::kinds::{Fields, Kind};
use super::object::{self, object_mut};
use super::schema;

/// The status a new object has whatever the client sent.
pub(crate) fn begin(kind: &Kind, new: &mut Value) {
    // Kubelets register their node with a status.
    if !kind.has_status || kind.is("", "Node") {
        return;
    }
    let status = match kind.kind.as_str() {
        _ if kind.is_custom() => Value::Null,
        "Namespace" => json!({"phase": "Active"}),
        "Pod" => json!({"phase": "Pending"}),
        "Service" | "Ingress" => json!({"loadBalancer": {}}),
        "ReplicaSet" => json!({"replicas": 0}),
        "StatefulSet" => json!({"replicas": 0, "availableReplicas": 0}),
        "DaemonSet" => json!({
            "currentNumberScheduled": 0,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": 0,
            "numberReady": 0,
        }),
        "HorizontalPodAutoscaler" => json!({"desiredReplicas": 0}),
        "Deployment" | "Job" | "CronJob" => json!({}),
        _ => Value::Null,
    };
    match status {
        Value::Null => {
            object_mut(new).remove("status");
        }
        status => new["status"] = status,
    }
}

/// Fills in what is absent.
pub(crate) fn fill(kind: &Kind, value: &mut Value) {
    match (&kind.fields, kind.kind.as_str()) {
        (Fields::Schema(schema), _) => schema::fill_defaults(value, schema),
        (_, "Namespace") => namespace(value),
        (_, "Node") => node(value),
        (_, "Service") => services::service(value),
        (_, "Endpoints") => services::endpoints(value),
        (_, "EndpointSlice") => services::endpoint_slice(value),
        (_, "IngressClass") => services::ingress_class(value),
        (_, "NetworkPolicy") => services::network_policy(value),
        (_, "Pod") => pods::pod(value),
        (_, "Deployment") => workloads::deployment(value),
        (_, "ReplicaSet") => workloads::replica_set(value),
        (_, "StatefulSet") => workloads::stateful_set(value),
        (_, "DaemonSet") => workloads::daemon_set(value),
        (_, "Job") => workloads::job(value),
        (_, "CronJob") => workloads::cron_job(value),
        (_, "HorizontalPodAutoscaler") => workloads::autoscaler(value),
        (_, "Secret") => secret(value),
        (_, "RoleBinding" | "ClusterRoleBinding") => role_binding(value),
        (_, "CustomResourceDefinition") => definition(value),
        _ => {}
    }
}

/// What is added to a new object once its defaults are filled in.
pub(crate) fn admit(kind: &Kind, new: &mut Value) {
    if kind.is("", "Pod") {
        pods::admit(new);
    } else if kind.is("batch", "Job") {
        workloads::generate_selector(new);
    }
}

/// Sets what is absent or null.
fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    let present = map.entry(name).or_insert(Value::Null);
    if present.is_null() {
        *present = value;
    }
}

/// The object in a field, made when absent.
fn child<'m>(map: &'m mut Map<String, Value>, name: &str) -> &'m mut Map<String, Value> {
    object_mut(map.entry(name).or_insert(Value::Null))
}

/// The object in a field, if there is one.
fn present<'m>(map: &'m mut Map<String, Value>, name: &str) -> Option<&'m mut Map<String, Value>> {
    map.get_mut(name)?.as_object_mut()
}

/// The objects of a list.
fn each<'m>(map: &'m mut Map<String, Value>, name: &str) -> impl Iterator<Item = &'m mut Map<String, Value>> {
    let items = map.get_mut(name).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn namespace(value: &mut Value) {
    let name = object::name(value).to_owned();
    if !name.is_empty() {
        let labels = object::meta_mut(value).entry("labels").or_insert(Value::Null);
        object_mut(labels).insert("kubernetes.io/metadata.name".to_owned(), json!(name));
    }
    set(object_mut(&mut value["spec"]), "finalizers", json!(["kubernetes"]));
}

fn node(value: &mut Value) {
    if let Some(status) = present(object_mut(value), "status")
        && let Some(capacity) = status.get("capacity").cloned()
    {
        set(status, "allocatable", capacity);
    }
}

fn secret(value: &mut Value) {
    let map = object_mut(value);
    set(map, "type", json!("Opaque"));
    let Some(Value::Object(plain)) = map.remove("stringData") else {
        return;
    };
    let data = child(map, "data");
    for (name, text) in plain {
        let bytes = text.as_str().unwrap_or_default().as_bytes().to_vec();
        let encoded = serde_json::to_value(k8s_openapi::ByteString(bytes));
        data.insert(name, encoded.unwrap_or_default());
    }
}

fn role_binding(value: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let map = object_mut(value);
    if let Some(role) = present(map, "roleRef")
        && role.get("apiGroup").is_none_or(|group| *group == json!(""))
    {
        role.insert("apiGroup".to_owned(), json!(GROUP));
    }
    for subject in each(map, "subjects") {
        if matches!(subject.get("kind").and_then(Value::as_str), Some("User" | "Group")) {
            set(subject, "apiGroup", json!(GROUP));
        }
    }
}

fn definition(value: &mut Value) {
    let spec = object_mut(&mut value["spec"]);
    set(spec, "conversion", json!({"strategy": "None"}));
    let names = child(spec, "names");
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    set(names, "singular", json!(kind.to_lowercase()));
    set(names, "listKind", json!(format!("{kind}List")));
}
