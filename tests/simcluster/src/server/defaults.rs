//! Values a real cluster fills in.
//!
//! What must stay true: defaults depend on the object alone and are filled in before ownership is
//! recorded, so the creator owns them; what needs the cluster's state is in `addresses.rs`.

use serde_json::{Map, Value, json};

use super::kinds::{Fields, Kind};
use super::object::{self, object_mut};
use super::schema;

/// Fills in what is absent.
pub(crate) fn fill(kind: &Kind, value: &mut Value) {
    match (&kind.fields, kind.kind.as_str()) {
        (Fields::Schema(schema), _) => schema::fill_defaults(value, schema),
        (_, "Namespace") => namespace(value),
        (_, "Service") => service(value),
        (_, "Pod") => pod(&mut value["spec"]),
        (_, "Deployment") => deployment(value),
        (_, "ReplicaSet") => {
            set(object_mut(&mut value["spec"]), "replicas", json!(1));
            pod(&mut value["spec"]["template"]["spec"]);
        }
        (_, "Secret") => secret(value),
        (_, "EndpointSlice") => endpoint_slice(value),
        (_, "CustomResourceDefinition") => definition(value),
        _ => {}
    }
}

fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    let present = map.entry(name).or_insert(Value::Null);
    if present.is_null() {
        *present = value;
    }
}

fn namespace(value: &mut Value) {
    let name = object::name(value).to_owned();
    if !name.is_empty() {
        let labels = object::meta_mut(value).entry("labels").or_insert(Value::Null);
        object_mut(labels).insert("kubernetes.io/metadata.name".to_owned(), json!(name));
    }
    set(object_mut(&mut value["spec"]), "finalizers", json!(["kubernetes"]));
}

fn service(value: &mut Value) {
    let spec = object_mut(&mut value["spec"]);
    set(spec, "type", json!("ClusterIP"));
    set(spec, "sessionAffinity", json!("None"));
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
        set(spec, "ipFamilies", json!(["IPv4"]));
        set(spec, "ipFamilyPolicy", json!("SingleStack"));
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    if kind == "LoadBalancer" || kind == "NodePort" {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    for port in spec
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let number = port.get("port").cloned().unwrap_or(Value::Null);
        let port = object_mut(port);
        set(port, "protocol", json!("TCP"));
        set(port, "targetPort", number);
    }
}

fn deployment(value: &mut Value) {
    let spec = object_mut(&mut value["spec"]);
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "progressDeadlineSeconds", json!(600));
    let strategy = object_mut(spec.entry("strategy").or_insert(Value::Null));
    set(strategy, "type", json!("RollingUpdate"));
    if strategy["type"] == json!("RollingUpdate") {
        let rolling = object_mut(strategy.entry("rollingUpdate").or_insert(Value::Null));
        set(rolling, "maxUnavailable", json!("25%"));
        set(rolling, "maxSurge", json!("25%"));
    }
    pod(&mut value["spec"]["template"]["spec"]);
}

fn pod(spec: &mut Value) {
    let spec = object_mut(spec);
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "securityContext", json!({}));
    set(spec, "schedulerName", json!("default-scheduler"));
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(container);
    }
}

fn container(value: &mut Value) {
    let image = value.get("image").and_then(Value::as_str).unwrap_or_default();
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':'));
    let policy = match tag {
        Some((_, tag)) if tag != "latest" => "IfNotPresent",
        _ if image.contains('@') => "IfNotPresent",
        _ => "Always",
    };
    let map = object_mut(value);
    set(map, "imagePullPolicy", json!(policy));
    set(map, "terminationMessagePath", json!("/dev/termination-log"));
    set(map, "terminationMessagePolicy", json!("File"));
    set(map, "resources", json!({}));
    for port in map.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        set(object_mut(port), "protocol", json!("TCP"));
    }
}

fn secret(value: &mut Value) {
    let map = object_mut(value);
    set(map, "type", json!("Opaque"));
    let Some(Value::Object(plain)) = map.remove("stringData") else {
        return;
    };
    let data = object_mut(map.entry("data").or_insert(Value::Null));
    for (name, text) in plain {
        let bytes = text.as_str().unwrap_or_default().as_bytes().to_vec();
        let encoded = serde_json::to_value(k8s_openapi::ByteString(bytes));
        data.insert(name, encoded.unwrap_or_default());
    }
}

fn endpoint_slice(value: &mut Value) {
    for port in value
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let port = object_mut(port);
        set(port, "name", json!(""));
        set(port, "protocol", json!("TCP"));
    }
}

fn definition(value: &mut Value) {
    let spec = object_mut(&mut value["spec"]);
    set(spec, "conversion", json!({"strategy": "None"}));
    let names = object_mut(spec.entry("names").or_insert(Value::Null));
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    set(names, "singular", json!(kind.to_lowercase()));
    set(names, "listKind", json!(format!("{kind}List")));
}
