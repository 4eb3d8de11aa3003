//! Rules of Ingresses and NetworkPolicies.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::names;
use super::rules::{self, is_absent, is_empty, items, text};
use crate::server::status::Cause;

const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];

pub(super) fn ingress(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    if is_empty(spec, "rules") && is_absent(spec, "defaultBackend") {
        let why = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", &json!([]), why));
    }
    if !is_absent(spec, "defaultBackend") {
        backend(&spec["defaultBackend"], "spec.defaultBackend", causes);
    }
    for (path, rule) in items(spec, "rules", "spec") {
        host(&format!("{path}.host"), text(rule, "host"), causes);
        let Some(http) = rule.get("http") else { continue };
        if is_empty(http, "paths") {
            causes.push(Cause::required(format!("{path}.http.paths")));
        }
        for (path, way) in items(http, "paths", &format!("{path}.http")) {
            http_path(way, &path, causes);
            backend(&way["backend"], &format!("{path}.backend"), causes);
        }
    }
    for (path, tls) in items(spec, "tls", "spec") {
        for (path, name) in items(tls, "hosts", &path) {
            host(&path, name.as_str().unwrap_or_default(), causes);
        }
    }
}

fn host(path: &str, host: &str, causes: &mut Vec<Cause>) {
    let why = match host {
        "" => None,
        host if host.parse::<IpAddr>().is_ok() => Some("must be a DNS name, not an IP address".to_owned()),
        host if host.contains('*') => names::wildcard(host),
        host => names::dns_subdomain(host),
    };
    names::check(path, host, why, causes);
}

fn http_path(way: &Value, path: &str, causes: &mut Vec<Cause>) {
    let found = text(way, "path");
    let mut invalid = |why: &str| causes.push(Cause::invalid(format!("{path}.path"), &json!(found), why));
    match text(way, "pathType") {
        "Exact" | "Prefix" => {
            if !found.starts_with('/') {
                invalid("must be an absolute path");
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if found.contains(part) {
                    invalid(&format!("must not contain '{part}'"));
                }
            }
            for end in ["/..", "/."] {
                if found.ends_with(end) {
                    invalid(&format!("cannot end with '{end}'"));
                }
            }
        }
        "ImplementationSpecific" => {
            if !found.is_empty() && !found.starts_with('/') {
                invalid("must be an absolute path");
            }
        }
        "" => causes.push(Cause::required_because(
            format!("{path}.pathType"),
            "pathType must be specified",
        )),
        _ => causes.push(Cause::not_supported(
            format!("{path}.pathType"),
            &way["pathType"],
            &PATH_TYPES,
        )),
    }
}

fn backend(backend: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut invalid = |why: &str| causes.push(Cause::invalid(path, &json!(""), why));
    match (is_absent(backend, "resource"), is_absent(backend, "service")) {
        (false, false) => invalid("cannot set both resource and service backends"),
        (true, true) => invalid("resource or service backend is required"),
        (false, true) => {
            for field in ["kind", "name"] {
                rules::required(&backend["resource"], field, &format!("{path}.resource"), causes);
            }
        }
        (true, false) => {
            let service = &backend["service"];
            let port = service.get("port").unwrap_or(&Value::Null);
            let (named, numbered) = (!text(port, "name").is_empty(), !is_absent(port, "number"));
            match (named, numbered) {
                (true, true) => invalid("cannot set both port name & port number"),
                (false, false) => {
                    causes.push(Cause::required_because(path, "port name or number is required"));
                }
                (true, false) => rules::port(port, "name", &format!("{path}.service.port"), causes),
                (false, true) => rules::port_number(port, "number", &format!("{path}.service.port"), causes),
            }
            rules::required(service, "name", &format!("{path}.service"), causes);
        }
    }
}

pub(super) fn ingress_class(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    let controller = text(spec, "controller");
    let path = "spec.controller";
    if controller.is_empty() {
        causes.push(Cause::required(path));
    } else if !controller.contains('/') {
        let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        causes.push(Cause::invalid(path, &json!(controller), why));
    }
    let Some(parameters) = spec.get("parameters") else {
        return;
    };
    let path = "spec.parameters";
    for field in ["kind", "name"] {
        rules::required(parameters, field, path, causes);
    }
    rules::one_of(parameters, "scope", path, &["Cluster", "Namespace"], causes);
    match (text(parameters, "scope"), text(parameters, "namespace")) {
        ("Namespace", "") => causes.push(Cause::required_because(
            format!("{path}.namespace"),
            "`parameters.scope` is set to 'Namespace'",
        )),
        ("Cluster", name) if !name.is_empty() => causes.push(Cause::forbidden(
            format!("{path}.namespace"),
            "`parameters.scope` is set to 'Cluster'",
        )),
        _ => {}
    }
}

pub(super) fn network_policy(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    rules::label_selector(&spec["podSelector"], "spec.podSelector", causes);
    for (rule_list, peer_list) in [("ingress", "from"), ("egress", "to")] {
        for (path, rule) in items(spec, rule_list, "spec") {
            for (path, port) in items(rule, "ports", &path) {
                rules::one_of(port, "protocol", &path, &["TCP", "UDP", "SCTP"], causes);
                rules::port(port, "port", &path, causes);
                end_port(port, &format!("{path}.endPort"), causes);
            }
            for (path, peer) in items(rule, peer_list, &path) {
                network_peer(peer, &path, causes);
            }
        }
    }
    for (path, kind) in items(spec, "policyTypes", "spec") {
        if !["Ingress", "Egress"].contains(&kind.as_str().unwrap_or_default()) {
            causes.push(Cause::not_supported(path, kind, &["Ingress", "Egress"]));
        }
    }
}

fn end_port(port: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(end) = port.get("endPort") else { return };
    let why = match port.get("port") {
        None => "may not be specified when `port` is not specified",
        Some(Value::String(_)) => "may not be specified when `port` is non-numeric",
        Some(first) if end.as_i64() < first.as_i64() => "must be greater than or equal to `port`",
        Some(_) => return,
    };
    causes.push(Cause::invalid(path, end, why));
}

fn network_peer(peer: &Value, path: &str, causes: &mut Vec<Cause>) {
    let selectors = ["podSelector", "namespaceSelector"];
    let selects = selectors.iter().any(|field| !is_absent(peer, field));
    match (selects, is_absent(peer, "ipBlock")) {
        (false, true) => causes.push(Cause::required_because(path, "must specify a peer")),
        (true, false) => causes.push(Cause::forbidden(path, "may not specify both ipBlock and another peer")),
        _ => {}
    }
    for field in selectors {
        if let Some(selector) = peer.get(field) {
            rules::label_selector(selector, &format!("{path}.{field}"), causes);
        }
    }
    let Some(block) = peer.get("ipBlock") else { return };
    if text(block, "cidr").is_empty() {
        causes.push(Cause::required(format!("{path}.ipBlock.cidr")));
        return;
    }
    let except = items(block, "except", &format!("{path}.ipBlock"));
    let except = except.map(|(path, text)| (path, text.as_str().unwrap_or_default()));
    for (path, text) in std::iter::once((format!("{path}.ipBlock.cidr"), text(block, "cidr"))).chain(except) {
        if !crate::server::schema::is_cidr(text) {
            let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            causes.push(Cause::invalid(path, &json!(text), why));
        }
    }
}
