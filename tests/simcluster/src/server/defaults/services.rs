//! Defaults of what describes the network.
//!
//! What must stay true: a field of a Service that belongs to some types only is set for those only.

use serde_json::{Value, json};

use super::{child, each, present, set};
use crate::server::object::object_mut;

pub(super) fn service(value: &mut Value) {
    let spec = object_mut(&mut value["spec"]);
    set(spec, "type", json!("ClusterIP"));
    set(spec, "sessionAffinity", json!("None"));
    if spec["sessionAffinity"] == json!("None") {
        spec.remove("sessionAffinityConfig");
    } else if spec["sessionAffinity"] == json!("ClientIP") {
        let config = child(spec, "sessionAffinityConfig");
        set(child(config, "clientIP"), "timeoutSeconds", json!(10_800));
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
        set(spec, "ipFamilies", json!(["IPv4"]));
        set(spec, "ipFamilyPolicy", json!("SingleStack"));
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    let reached_by_addresses = spec
        .get("externalIPs")
        .and_then(Value::as_array)
        .is_some_and(|addresses| !addresses.is_empty());
    if kind == "LoadBalancer" || kind == "NodePort" || (kind == "ClusterIP" && reached_by_addresses) {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    for port in each(spec, "ports") {
        let number = port.get("port").cloned().unwrap_or(Value::Null);
        set(port, "protocol", json!("TCP"));
        if port
            .get("targetPort")
            .is_some_and(|target| *target == json!(0) || *target == json!(""))
        {
            port.remove("targetPort");
        }
        set(port, "targetPort", number);
    }
}

pub(super) fn endpoints(value: &mut Value) {
    for subset in each(object_mut(value), "subsets") {
        for port in each(subset, "ports") {
            set(port, "protocol", json!("TCP"));
        }
    }
}

pub(super) fn endpoint_slice(value: &mut Value) {
    for port in each(object_mut(value), "ports") {
        set(port, "name", json!(""));
        set(port, "protocol", json!("TCP"));
    }
}

pub(super) fn ingress_class(value: &mut Value) {
    let spec = object_mut(&mut value["spec"]);
    if let Some(parameters) = present(spec, "parameters") {
        set(parameters, "scope", json!("Cluster"));
    }
}

pub(super) fn network_policy(value: &mut Value) {
    let spec = object_mut(&mut value["spec"]);
    for rules in ["ingress", "egress"] {
        for rule in each(spec, rules) {
            for port in each(rule, "ports") {
                set(port, "protocol", json!("TCP"));
            }
        }
    }
    let restricts_egress = spec
        .get("egress")
        .and_then(Value::as_array)
        .is_some_and(|rules| !rules.is_empty());
    let types: &[&str] = if restricts_egress {
        &["Ingress", "Egress"]
    } else {
        &["Ingress"]
    };
    set(spec, "policyTypes", json!(types));
}
