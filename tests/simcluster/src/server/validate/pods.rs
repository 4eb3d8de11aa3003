//! Rules of pods and of the templates of pods.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::names;
use super::rules::{self, is_absent, is_empty, items, text};
use crate::server::object;
use crate::server::quantity;
use crate::server::status::Cause;

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
     `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
     tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Checks the spec at `path`.
pub(super) fn spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let policies = ["Always", "OnFailure", "Never"];
    rules::one_of(spec, "restartPolicy", path, &policies, causes);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    rules::one_of(spec, "dnsPolicy", path, &policies, causes);
    rules::not_negative(spec, &["terminationGracePeriodSeconds"], path, causes);
    let why = "must be between 1 and 2147483647, inclusive";
    rules::at_least(spec, "activeDeadlineSeconds", path, 1, why, causes);
    let volumes = volumes(spec, path, causes);
    if is_empty(spec, "containers") {
        causes.push(Cause::required(format!("{path}.containers")));
    }
    let mut known = BTreeSet::new();
    for list in ["initContainers", "containers"] {
        for (path, container) in items(spec, list, path) {
            let name = text(container, "name");
            if !name.is_empty() && !known.insert(name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
            }
            check_container(container, &volumes, &path, causes);
        }
    }
}

fn volumes<'v>(spec: &'v Value, path: &str, causes: &mut Vec<Cause>) -> BTreeSet<&'v str> {
    let mut known = BTreeSet::new();
    for (path, volume) in items(spec, "volumes", path) {
        let name = text(volume, "name");
        let field = format!("{path}.name");
        match name {
            "" => causes.push(Cause::required(field)),
            name if !known.insert(name) => causes.push(Cause::duplicate(field, &json!(name))),
            name => names::check(&field, name, names::dns_label(name), causes),
        }
        let sources = volume.as_object().map_or(0, Map::len).saturating_sub(1);
        if sources > 1 {
            let mut names = volume.as_object().into_iter().flatten().map(|(name, _)| name);
            // Which of them is one too many is anyone's guess; the last in order is named.
            let last = names.rfind(|field| *field != "name");
            let field = format!("{path}.{}", last.map_or("", String::as_str));
            causes.push(Cause::forbidden(field, "may not specify more than 1 volume type"));
        }
    }
    known
}

fn check_container(container: &Value, volumes: &BTreeSet<&str>, path: &str, causes: &mut Vec<Cause>) {
    match text(container, "name") {
        "" => causes.push(Cause::required(format!("{path}.name"))),
        name => names::check(&format!("{path}.name"), name, names::dns_label(name), causes),
    }
    rules::required(container, "image", path, causes);
    let policies = ["Always", "IfNotPresent", "Never"];
    rules::one_of(container, "imagePullPolicy", path, &policies, causes);
    let mut known = BTreeSet::new();
    for (path, port) in items(container, "ports", path) {
        let name = text(port, "name");
        if !name.is_empty() {
            names::check(&format!("{path}.name"), name, names::port_name(name), causes);
            if !known.insert(name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
            }
        }
        match is_absent(port, "containerPort") || port["containerPort"] == json!(0) {
            true => causes.push(Cause::required(format!("{path}.containerPort"))),
            false => rules::port_number(port, "containerPort", &path, causes),
        }
        rules::one_of(port, "protocol", &path, &["SCTP", "TCP", "UDP"], causes);
    }
    for (path, variable) in items(container, "env", path) {
        rules::required(variable, "name", &path, causes);
        if !text(variable, "value").is_empty() && !is_absent(variable, "valueFrom") {
            let why = "may not be specified when `value` is not empty";
            causes.push(Cause::invalid(format!("{path}.valueFrom"), &json!(""), why));
        }
    }
    let mut mounted = BTreeSet::new();
    for (path, mount) in items(container, "volumeMounts", path) {
        match text(mount, "name") {
            "" => causes.push(Cause::required(format!("{path}.name"))),
            name if !volumes.contains(name) => {
                causes.push(Cause::not_found(format!("{path}.name"), &json!(name)));
            }
            _ => {}
        }
        let place = text(mount, "mountPath");
        rules::required(mount, "mountPath", &path, causes);
        if !place.is_empty() && !mounted.insert(place) {
            let field = format!("{path}.mountPath");
            causes.push(Cause::invalid(field, &json!(place), "must be unique"));
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = container.get(name) {
            probe(found, &format!("{path}.{name}"), causes);
        }
    }
    resources(&container["resources"], &format!("{path}.resources"), causes);
}

fn probe(probe: &Value, path: &str, causes: &mut Vec<Cause>) {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    let given: Vec<&&str> = handlers.iter().filter(|name| !is_absent(probe, name)).collect();
    match given.as_slice() {
        [] => causes.push(Cause::required_because(path, "must specify a handler type")),
        [_] => {}
        [_, second, ..] => {
            let why = "may not specify more than 1 handler type";
            causes.push(Cause::forbidden(format!("{path}.{second}"), why));
        }
    }
    for name in ["httpGet", "tcpSocket"] {
        if let Some(handler) = probe.get(name) {
            rules::port(handler, "port", &format!("{path}.{name}"), causes);
        }
    }
    let numbers = [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ];
    rules::not_negative(probe, &numbers, path, causes);
    if path.ends_with(".livenessProbe") && probe.get("successThreshold").is_some_and(|number| *number != json!(1)) {
        let field = format!("{path}.successThreshold");
        causes.push(Cause::invalid(field, &probe["successThreshold"], "must be 1"));
    }
}

fn resources(resources: &Value, path: &str, causes: &mut Vec<Cause>) {
    let amounts = |list: &str| resources.get(list).and_then(Value::as_object).into_iter().flatten();
    for list in ["limits", "requests"] {
        for (name, found) in amounts(list) {
            let field = format!("{path}.{list}[{name}]");
            match quantity::milli(found.as_str().unwrap_or_default()) {
                None => {
                    let why =
                        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
                    causes.push(Cause::invalid(field, found, why));
                }
                Some(amount) if amount < 0 => {
                    causes.push(Cause::invalid(field, found, "must be greater than or equal to 0"));
                }
                Some(_) => {}
            }
        }
    }
    for (name, request) in amounts("requests") {
        let Some(limit) = resources["limits"][name.as_str()].as_str() else {
            continue;
        };
        let amount = |text: &str| quantity::milli(text);
        if amount(request.as_str().unwrap_or_default()) > amount(limit) {
            let why = format!("must be less than or equal to {name} limit of {limit}");
            causes.push(Cause::invalid(format!("{path}.requests"), request, &why));
        }
    }
}

/// A new pod cannot be on a node and wait for one.
pub(super) fn placement(spec: &Value, causes: &mut Vec<Cause>) {
    if !is_empty(spec, "schedulingGates") && !text(spec, "nodeName").is_empty() {
        let why = "cannot be set until all schedulingGates have been cleared";
        causes.push(Cause::forbidden("spec.nodeName", why));
    }
}

/// What of a pod may not change: nearly everything.
pub(super) fn changes(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let (old, new) = (&old["spec"], &new["spec"]);
    for list in ["containers", "initContainers"] {
        if items(old, list, "").count() != items(new, list, "").count() {
            let why = "pod updates may not add or remove containers";
            causes.push(Cause::forbidden(format!("spec.{list}"), why));
            return;
        }
    }
    let kept = object::items(old.get("tolerations")).all(|toleration| {
        let same = |other: &Value| {
            let strip = |value: &Value| {
                let mut value = value.clone();
                object::object_mut(&mut value).remove("tolerationSeconds");
                value
            };
            strip(other) == strip(toleration)
        };
        object::items(new.get("tolerations")).any(same)
    });
    if !kept {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        causes.push(Cause::forbidden("spec.tolerations", why));
    }
    let before = old.get("activeDeadlineSeconds").and_then(Value::as_i64);
    let after = new.get("activeDeadlineSeconds").and_then(Value::as_i64);
    match (before, after) {
        (Some(_), None) => {
            let why = "must not update from a positive integer to nil value";
            causes.push(Cause::invalid("spec.activeDeadlineSeconds", &Value::Null, why));
        }
        (Some(before), Some(after)) if after > before => {
            let why = "must be less than or equal to previous value";
            causes.push(Cause::invalid("spec.activeDeadlineSeconds", &json!(after), why));
        }
        _ => {}
    }
    if fixed(old, new) != fixed(new, new) {
        causes.push(Cause::forbidden("spec", IMMUTABLE));
    }
}

/// `spec` with those fields that may change as they are in `new`.
fn fixed(spec: &Value, new: &Value) -> Value {
    let mut spec = spec.clone();
    let map = object::object_mut(&mut spec);
    for field in ["activeDeadlineSeconds", "tolerations", "ephemeralContainers"] {
        map.remove(field);
    }
    if map.get("terminationGracePeriodSeconds").and_then(Value::as_i64) < Some(0) {
        map.insert(
            "terminationGracePeriodSeconds".to_owned(),
            new["terminationGracePeriodSeconds"].clone(),
        );
    }
    // Gates are opened one by one, and never closed again.
    let gates = object::items(new.get("schedulingGates"));
    if gates.count() < object::items(map.get("schedulingGates")).count() {
        map.insert("schedulingGates".to_owned(), new["schedulingGates"].clone());
        if is_absent(new, "schedulingGates") {
            map.remove("schedulingGates");
        }
    }
    for list in ["containers", "initContainers"] {
        let containers = map.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            object::object_mut(container).remove("image");
        }
    }
    spec
}
