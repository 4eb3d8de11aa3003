//! Rules of Services, Endpoints and EndpointSlices.
//!
//! What must stay true: a Service keeps its cluster addresses for life, except across ExternalName,
//! which has none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::names;
use super::rules::{self, address, is_absent, is_empty, items, text};
use crate::server::status::Cause;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";

pub(super) fn service(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    let kind = text(spec, "type");
    rules::one_of(spec, "type", "spec", &TYPES, causes);
    rules::one_of(spec, "sessionAffinity", "spec", &["ClientIP", "None"], causes);
    let traffic = ["Cluster", "Local"];
    rules::one_of(spec, "internalTrafficPolicy", "spec", &traffic, causes);
    rules::one_of(spec, "externalTrafficPolicy", "spec", &traffic, causes);
    if let Some(selector) = spec.get("selector") {
        super::meta::labels(selector, "spec.selector", causes);
    }
    let headless = text(spec, "clusterIP") == "None";
    if is_empty(spec, "ports") && kind != "ExternalName" && !headless {
        causes.push(Cause::required("spec.ports"));
    }
    ports(spec, kind, causes);
    session_affinity(spec, causes);
    addresses(spec, kind, causes);
    let open = matches!(kind, "LoadBalancer" | "NodePort") || !is_empty(spec, "externalIPs");
    if !open && !is_absent(spec, "externalTrafficPolicy") {
        let why = "may only be set for externally-accessible services";
        causes.push(Cause::invalid(
            "spec.externalTrafficPolicy",
            &spec["externalTrafficPolicy"],
            why,
        ));
    }
    if kind != "LoadBalancer" {
        for field in [
            "allocateLoadBalancerNodePorts",
            "loadBalancerClass",
            "loadBalancerSourceRanges",
        ] {
            if !is_absent(spec, field) {
                causes.push(Cause::forbidden(format!("spec.{field}"), ONLY_BALANCED));
            }
        }
    }
    for (path, range) in items(spec, "loadBalancerSourceRanges", "spec") {
        if !crate::server::schema::is_cidr(range.as_str().unwrap_or_default().trim()) {
            let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            causes.push(Cause::invalid(path, range, why));
        }
    }
}

fn ports(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let all: Vec<(String, &Value)> = items(spec, "ports", "spec").collect();
    for (index, (path, port)) in all.iter().enumerate() {
        let name = text(port, "name");
        let before = || all[..index].iter().map(|(_, port)| port);
        if name.is_empty() {
            if all.len() > 1 {
                causes.push(Cause::required(format!("{path}.name")));
            }
        } else {
            names::check(&format!("{path}.name"), name, names::dns_label(name), causes);
            if before().any(|other| text(other, "name") == name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
            }
        }
        rules::port_number(port, "port", path, causes);
        rules::one_of(port, "protocol", path, &PROTOCOLS, causes);
        rules::port(port, "targetPort", path, causes);
        let same = |other: &&Value, field: &str| other.get(field) == port.get(field);
        if before().any(|other| same(other, "port") && same(other, "protocol")) {
            causes.push(Cause::duplicate(path, port));
        }
        let node_port = port.get("nodePort").and_then(Value::as_u64).unwrap_or_default();
        if node_port == 0 {
            continue;
        }
        let path = format!("{path}.nodePort");
        if kind == "ClusterIP" {
            causes.push(Cause::forbidden(path, "may not be used when `type` is 'ClusterIP'"));
        } else if !(30_000..=32_767).contains(&node_port) {
            let why = "provided port is not in the valid range. The range of valid ports is 30000-32767";
            causes.push(Cause::invalid(path, &json!(node_port), why));
        } else if before().any(|other| same(other, "nodePort") && same(other, "protocol")) {
            causes.push(Cause::duplicate(path, &json!(node_port)));
        }
    }
}

fn session_affinity(spec: &Value, causes: &mut Vec<Cause>) {
    let Some(config) = spec.get("sessionAffinityConfig") else {
        return;
    };
    let path = "spec.sessionAffinityConfig";
    let seconds = config.pointer("/clientIP/timeoutSeconds").and_then(Value::as_i64);
    if let Some(seconds) = seconds.filter(|seconds| !(1..=86_400).contains(seconds)) {
        let why = "must be greater than 0 and less than 86400";
        causes.push(Cause::invalid(
            format!("{path}.clientIP.timeoutSeconds"),
            &json!(seconds),
            why,
        ));
    }
}

fn addresses(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let first = spec
        .pointer("/clusterIPs/0")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let one = text(spec, "clusterIP");
    if kind == "ExternalName" {
        let name = text(spec, "externalName").trim_end_matches('.');
        match name {
            "" => causes.push(Cause::required("spec.externalName")),
            name => names::check("spec.externalName", name, names::dns_subdomain(name), causes),
        }
        for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let given = !is_absent(spec, field) || (field == "clusterIPs" && !one.is_empty());
            if given {
                let why = "may not be set for ExternalName services";
                causes.push(Cause::forbidden(format!("spec.{field}"), why));
            }
        }
    } else {
        let headless = one == "None";
        if headless && kind != "ClusterIP" {
            let why = format!("may not be set to 'None' for {kind} services");
            causes.push(Cause::invalid("spec.clusterIPs[0]", &json!(one), &why));
        }
        if !one.is_empty() && !headless {
            address("spec.clusterIPs[0]", one, causes);
        }
        if !one.is_empty() && !first.is_empty() && one != first {
            let why = "first value must match `clusterIP`";
            causes.push(Cause::invalid("spec.clusterIPs", &spec["clusterIPs"], why));
        }
    }
    for (path, found) in items(spec, "externalIPs", "spec") {
        address(&path, found.as_str().unwrap_or_default(), causes);
    }
}

pub(super) fn service_changes(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let (old, new) = (&old["spec"], &new["spec"]);
    let has_address = |spec: &Value| text(spec, "type") != "ExternalName" && !text(spec, "clusterIP").is_empty();
    let why = "may not change once set";
    if has_address(old) && has_address(new) {
        if text(old, "clusterIP") != text(new, "clusterIP") {
            causes.push(Cause::invalid(
                "spec.clusterIPs[0]",
                &json!([text(new, "clusterIP")]),
                why,
            ));
        }
        if old.pointer("/ipFamilies/0") != new.pointer("/ipFamilies/0") {
            causes.push(Cause::invalid("spec.ipFamilies[0]", &new["ipFamilies"], why));
        }
    }
    let balanced = |spec: &Value| text(spec, "type") == "LoadBalancer";
    if balanced(old) && balanced(new) && old.get("loadBalancerClass") != new.get("loadBalancerClass") {
        causes.push(Cause::invalid("spec.loadBalancerClass", &new["loadBalancerClass"], why));
    }
}

pub(super) fn endpoints(value: &Value, causes: &mut Vec<Cause>) {
    for (path, subset) in items(value, "subsets", "") {
        if is_empty(subset, "addresses") && is_empty(subset, "notReadyAddresses") {
            let why = "must specify `addresses` or `notReadyAddresses`";
            causes.push(Cause::required_because(&path, why));
        }
        for list in ["addresses", "notReadyAddresses"] {
            for (path, found) in items(subset, list, &path) {
                let (path, ip) = (format!("{path}.ip"), text(found, "ip"));
                address(&path, ip, causes);
                reachable(&path, ip, causes);
            }
        }
        let several = items(subset, "ports", "").count() > 1;
        for (path, port) in items(subset, "ports", &path) {
            if several {
                rules::required(port, "name", &path, causes);
            }
            rules::port_number(port, "port", &path, causes);
            rules::one_of(port, "protocol", &path, &PROTOCOLS, causes);
        }
    }
}

/// Refuses addresses that mean something else on every node.
fn reachable(path: &str, text: &str, causes: &mut Vec<Cause>) {
    let Ok(found) = text.parse::<IpAddr>() else {
        return;
    };
    let link_local = match found {
        IpAddr::V4(found) => found.is_link_local(),
        IpAddr::V6(found) => found.is_unicast_link_local(),
    };
    let link_local_multicast = match found {
        IpAddr::V4(found) => found.octets()[..3] == [224, 0, 0],
        IpAddr::V6(found) => found.segments()[0] & 0xff0f == 0xff02,
    };
    let refused = [
        (found.is_unspecified(), format!("may not be unspecified ({text})")),
        (
            found.is_loopback(),
            "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned(),
        ),
        (
            link_local,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned(),
        ),
        (
            link_local_multicast,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned(),
        ),
    ];
    for (_, why) in refused.iter().filter(|(refused, _)| *refused) {
        causes.push(Cause::invalid(path, &json!(text), why));
    }
}

pub(super) fn endpoint_slice(value: &Value, causes: &mut Vec<Cause>) {
    const KINDS: [&str; 3] = ["FQDN", "IPv4", "IPv6"];
    let kind = text(value, "addressType");
    match kind {
        "" => causes.push(Cause::required("addressType")),
        _ => rules::one_of(value, "addressType", "", &KINDS, causes),
    }
    let endpoints: Vec<(String, &Value)> = items(value, "endpoints", "").collect();
    if endpoints.len() > 1_000 {
        causes.push(Cause::too_many("endpoints", endpoints.len(), 1_000));
        return;
    }
    for (path, endpoint) in &endpoints {
        let addresses: Vec<(String, &Value)> = items(endpoint, "addresses", path).collect();
        match addresses.len() {
            0 => causes.push(Cause::required_because(
                format!("{path}.addresses"),
                "must contain at least 1 address",
            )),
            1..=100 => {}
            many => causes.push(Cause::too_many(format!("{path}.addresses"), many, 100)),
        }
        for (path, found) in addresses {
            let found = found.as_str().unwrap_or_default();
            let why = match kind {
                "IPv4" if found.parse::<Ipv4Addr>().is_err() => Some("must be a valid IPv4 address".to_owned()),
                "IPv6" if found.parse::<Ipv6Addr>().is_err() => Some("must be a valid IPv6 address".to_owned()),
                "FQDN" => names::dns_subdomain(found),
                _ => None,
            };
            names::check(&path, found, why, causes);
            if kind != "FQDN" {
                reachable(&path, found, causes);
            }
        }
        let hostname = text(endpoint, "hostname");
        if !hostname.is_empty() {
            let why = names::dns_label(hostname);
            names::check(&format!("{path}.hostname"), hostname, why, causes);
        }
    }
    let mut known = Vec::new();
    for (path, port) in items(value, "ports", "") {
        let name = text(port, "name");
        if known.contains(&name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
        }
        known.push(name);
        if !name.is_empty() {
            names::check(&format!("{path}.name"), name, names::dns_label(name), causes);
        }
        rules::one_of(port, "protocol", &path, &PROTOCOLS, causes);
    }
    if known.len() > 100 {
        causes.push(Cause::too_many("ports", known.len(), 100));
    }
}
