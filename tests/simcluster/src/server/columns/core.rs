//! Columns of what makes no pods.

use serde_json::{Value, json};

use super::{
    Column, age, age_column, at, balanced, column, condition, count, duration, each, joined, pairs, selector,
    shortened, time, wide,
};
use crate::server::json_path::text_of;
use crate::server::object;

pub(super) fn namespace() -> Vec<Column> {
    vec![column("Status", |object, _| at(object, "/status/phase")), age_column()]
}

pub(super) fn node() -> Vec<Column> {
    let info: [(&str, super::Read); 3] = [
        ("OS-Image", |object, _| node_info(object, "osImage")),
        ("Kernel-Version", |object, _| node_info(object, "kernelVersion")),
        ("Container-Runtime", |object, _| {
            node_info(object, "containerRuntimeVersion")
        }),
    ];
    let mut columns = vec![
        column("Status", |object, _| node_status(object)),
        column("Roles", |object, _| {
            let labels = object::meta(object, "labels").and_then(Value::as_object);
            let roles = labels.into_iter().flatten().filter_map(|(key, value)| {
                let role = key.strip_prefix("node-role.kubernetes.io/").map(str::to_owned);
                role.or_else(|| (key == "kubernetes.io/role").then(|| text_of(value)))
            });
            joined(roles.filter(|role| !role.is_empty()), "<none>")
        }),
        age_column(),
        column("Version", |object, _| at(object, "/status/nodeInfo/kubeletVersion")),
        wide("Internal-IP", |object, _| node_address(object, "InternalIP")),
        wide("External-IP", |object, _| node_address(object, "ExternalIP")),
    ];
    columns.extend(info.into_iter().map(|(name, read)| wide(name, read)));
    columns
}

fn node_info(object: &Value, field: &str) -> Value {
    match object["status"]["nodeInfo"][field].as_str().unwrap_or_default() {
        "" => json!("<unknown>"),
        text => json!(text),
    }
}

fn node_address(object: &Value, kind: &str) -> Value {
    let mut addresses = object::items(object.pointer("/status/addresses"));
    let found = addresses.find(|address| address["type"] == kind);
    at(found.unwrap_or(&Value::Null), "/address")
}

fn node_status(object: &Value) -> Value {
    let ready = match condition(object, "Ready") {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    match object.pointer("/spec/unschedulable") == Some(&json!(true)) {
        true => json!(format!("{ready},SchedulingDisabled")),
        false => json!(ready),
    }
}

pub(super) fn service() -> Vec<Column> {
    vec![
        column("Type", |object, _| at(object, "/spec/type")),
        column("Cluster-IP", |object, _| at(object, "/spec/clusterIP")),
        column("External-IP", |object, _| external_address(object)),
        column("Port(s)", |object, _| service_ports(object)),
        age_column(),
        wide("Selector", |object, _| pairs(object.pointer("/spec/selector"))),
    ]
}

fn external_address(object: &Value) -> Value {
    let given = object::items(object.pointer("/spec/externalIPs")).map(text_of);
    let kind = object["spec"]["type"].as_str().unwrap_or_default();
    let addresses: Vec<String> = match kind {
        "LoadBalancer" => balanced(object).into_iter().chain(given).collect(),
        "ExternalName" => return at(object, "/spec/externalName"),
        _ => given.collect(),
    };
    let none = if kind == "LoadBalancer" { "<pending>" } else { "<none>" };
    joined(addresses, none)
}

fn service_ports(object: &Value) -> Value {
    let ports = object::items(object.pointer("/spec/ports")).map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_u64() {
            Some(node) if node > 0 => format!("{}:{node}/{protocol}", port["port"]),
            _ => format!("{}/{protocol}", port["port"]),
        }
    });
    joined(ports, "<none>")
}

pub(super) fn endpoints() -> Vec<Column> {
    vec![
        column("Endpoints", |object, _| {
            let subsets = object::items(object.get("subsets"));
            let addresses = subsets.flat_map(|subset| {
                let port = subset.pointer("/ports/0/port").map(text_of).unwrap_or_default();
                object::items(subset.get("addresses"))
                    .map(move |address| format!("{}:{port}", address["ip"].as_str().unwrap_or_default()))
            });
            shortened(addresses, "<none>")
        }),
        age_column(),
    ]
}

pub(super) fn endpoint_slice() -> Vec<Column> {
    vec![
        column("AddressType", |object, _| at(object, "/addressType")),
        column("Ports", |object, _| {
            shortened(each(object.get("ports"), "port"), "<unset>")
        }),
        column("Endpoints", |object, _| {
            let endpoints = object::items(object.get("endpoints"));
            let addresses = endpoints.flat_map(|endpoint| object::items(endpoint.get("addresses")));
            shortened(addresses.map(text_of), "<unset>")
        }),
        age_column(),
    ]
}

pub(super) fn ingress() -> Vec<Column> {
    vec![
        column("Class", |object, _| {
            let annotations = object::meta(object, "annotations");
            let class = annotations.and_then(|annotations| annotations["kubernetes.io/ingress.class"].as_str());
            match class {
                Some(class) => json!(class),
                None => at(object, "/spec/ingressClassName"),
            }
        }),
        column("Hosts", |object, _| {
            shortened(each(object.pointer("/spec/rules"), "host"), "*")
        }),
        column("Address", |object, _| joined(balanced(object), "")),
        column("Ports", |object, _| {
            let secured = object::items(object.pointer("/spec/tls")).next().is_some();
            json!(if secured { "80, 443" } else { "80" })
        }),
        age_column(),
    ]
}

pub(super) fn ingress_class() -> Vec<Column> {
    vec![
        column("Controller", |object, _| at(object, "/spec/controller")),
        column("Parameters", |object, _| {
            let Some(parameters) = object.pointer("/spec/parameters") else {
                return json!("<none>");
            };
            let text = |field: &str| parameters[field].as_str().unwrap_or_default();
            let group = match text("apiGroup") {
                "" => String::new(),
                group => format!(".{group}"),
            };
            json!(format!("{}{group}/{}", text("kind"), text("name")))
        }),
        age_column(),
    ]
}

pub(super) fn network_policy() -> Vec<Column> {
    vec![
        column("Pod-Selector", |object, _| {
            selector(object.pointer("/spec/podSelector"))
        }),
        age_column(),
    ]
}

fn data_count(object: &Value) -> Value {
    let size = |name: &str| object.get(name).and_then(Value::as_object).map_or(0, |map| map.len());
    json!(size("data") + size("binaryData"))
}

pub(super) fn config_map() -> Vec<Column> {
    vec![column("Data", |object, _| data_count(object)), age_column()]
}

pub(super) fn secret() -> Vec<Column> {
    vec![
        column("Type", |object, _| at(object, "/type")),
        column("Data", |object, _| data_count(object)),
        age_column(),
    ]
}

pub(super) fn service_account() -> Vec<Column> {
    vec![
        column("Secrets", |object, _| {
            json!(object::items(object.get("secrets")).count())
        }),
        age_column(),
    ]
}

pub(super) fn lease() -> Vec<Column> {
    vec![
        column("Holder", |object, _| match object.pointer("/spec/holderIdentity") {
            Some(holder) => json!(text_of(holder)),
            None => json!(""),
        }),
        age_column(),
    ]
}

pub(super) fn role_binding() -> Vec<Column> {
    vec![
        column("Role", |object, _| {
            let role = &object["roleRef"];
            json!(format!("{}/{}", text_of(&role["kind"]), text_of(&role["name"])))
        }),
        age_column(),
        wide("Users", |object, _| subjects(object, "User")),
        wide("Groups", |object, _| subjects(object, "Group")),
        wide("ServiceAccounts", |object, _| subjects(object, "ServiceAccount")),
    ]
}

fn subjects(object: &Value, kind: &str) -> Value {
    let subjects = object::items(object.get("subjects")).filter(|subject| subject["kind"] == kind);
    let names = subjects.map(|subject| match subject["namespace"].as_str() {
        Some(namespace) if kind == "ServiceAccount" => format!("{namespace}/{}", text_of(&subject["name"])),
        _ => text_of(&subject["name"]),
    });
    let names: Vec<String> = names.collect();
    json!(names.join(", "))
}

/// The time of an event, in the first of these that has one.
fn event_time<'v>(object: &'v Value, pointers: &[&str]) -> Option<&'v str> {
    let mut times = pointers.iter().filter_map(|time| object.pointer(time)?.as_str());
    times.next()
}

const LAST: [&str; 5] = [
    "/series/lastObservedTime",
    "/lastTimestamp",
    "/deprecatedLastTimestamp",
    "/eventTime",
    "/metadata/creationTimestamp",
];
const FIRST: [&str; 4] = [
    "/firstTimestamp",
    "/deprecatedFirstTimestamp",
    "/eventTime",
    "/metadata/creationTimestamp",
];

/// Either field, by the version of the event.
fn either<'v>(object: &'v Value, one: &str, other: &str) -> &'v Value {
    object.get(one).or_else(|| object.get(other)).unwrap_or(&Value::Null)
}

pub(super) fn event(name: Column) -> Vec<Column> {
    vec![
        column("Last Seen", |object, now| {
            let (first, last) = (event_time(object, &FIRST), event_time(object, &LAST));
            let times = count(object, "/series/count").max(count(object, "/count"));
            match (time(first), times) {
                (Some(first), 2..) => {
                    let over = duration(now.as_second() - first.as_second());
                    json!(format!("{} (x{times} over {over})", super::text_of(&age(last, now))))
                }
                _ => age(last, now),
            }
        }),
        column("Type", |object, _| at(object, "/type")),
        column("Reason", |object, _| at(object, "/reason")),
        column("Object", |object, _| {
            let about = either(object, "involvedObject", "regarding");
            let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
            json!(format!("{kind}/{}", about["name"].as_str().unwrap_or_default()))
        }),
        wide("Subobject", |object, _| {
            let about = either(object, "involvedObject", "regarding");
            json!(about["fieldPath"].as_str().unwrap_or_default())
        }),
        wide("Source", |object, _| {
            let source = either(object, "source", "deprecatedSource");
            let component = source["component"].as_str().unwrap_or_default();
            let reporter = either(object, "reportingComponent", "reportingController");
            let parts = [component, source["host"].as_str().unwrap_or_default()];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            match parts.is_empty() {
                true => json!(reporter.as_str().unwrap_or_default()),
                false => json!(parts.join(", ")),
            }
        }),
        column("Message", |object, _| {
            json!(either(object, "message", "note").as_str().unwrap_or_default().trim())
        }),
        wide("First Seen", |object, now| age(event_time(object, &FIRST), now)),
        wide("Count", |object, _| {
            json!(count(object, "/series/count").max(count(object, "/count")).max(1))
        }),
        name.only_wide(),
    ]
}
