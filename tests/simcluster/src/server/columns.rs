//! The columns of `kubectl get`.
//!
//! What must stay true: a cell is always a value of its column's type; what is missing shows as
//! kubectl users know it (`<none>`, `<pending>`, `<unknown>`), never as an error.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::json_path::{json_path, text_of};
use super::kinds::Kind;
use super::object;

type Read = fn(&Value) -> Value;

/// One column.
#[derive(Debug)]
pub(crate) struct Column {
    name: String,
    kind: String,
    description: String,
    priority: i64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Read(Read),
    Age,
    /// A JSONPath, and whether it leads to a point in time.
    Path(String, bool),
}

impl Column {
    pub(crate) fn definition(&self) -> Value {
        json!({
            "name": self.name,
            "type": if self.kind == "date" { "string" } else { &self.kind },
            "format": if self.name == "Name" { "name" } else { "" },
            "description": self.description,
            "priority": self.priority,
        })
    }

    pub(crate) fn cell(&self, object: &Value, now: Timestamp) -> Value {
        match &self.source {
            Source::Read(read) => read(object),
            Source::Age => age(object::text(object, "creationTimestamp"), now),
            Source::Path(path, true) => match json_path(object, path).first() {
                Some(found) => age(found.as_str(), now),
                None => json!("<unknown>"),
            },
            Source::Path(path, false) => match json_path(object, path).as_slice() {
                [] => match self.kind.as_str() {
                    "string" => json!(""),
                    _ => Value::Null,
                },
                [one] if self.kind != "string" || one.is_string() => Value::clone(one),
                found => {
                    let texts = found.iter().map(|value| text_of(value));
                    json!(texts.collect::<Vec<String>>().join(","))
                }
            },
        }
    }
}

fn column(name: &str, priority: i64, read: Read) -> Column {
    Column {
        name: name.to_owned(),
        kind: "string".to_owned(),
        description: String::new(),
        priority,
        source: Source::Read(read),
    }
}

fn age_column() -> Column {
    Column {
        name: "Age".to_owned(),
        kind: "string".to_owned(),
        description: String::new(),
        priority: 0,
        source: Source::Age,
    }
}

/// The columns of a kind.
pub(crate) fn of(kind: &Kind) -> Vec<Column> {
    let mut columns = vec![column("Name", 0, |object| json!(object::name(object)))];
    if kind.is_custom() {
        columns.extend(kind.columns.iter().map(|column| Column {
            name: column.name.clone(),
            kind: column.kind.clone(),
            description: column.description.clone(),
            priority: column.priority,
            source: Source::Path(column.path.clone(), column.kind == "date"),
        }));
        if !kind
            .columns
            .iter()
            .any(|column| column.name.eq_ignore_ascii_case("age"))
        {
            columns.push(age_column());
        }
        return columns;
    }
    match kind.kind.as_str() {
        "Namespace" => columns.push(column("Status", 0, |object| at(object, "/status/phase"))),
        "Pod" => {
            columns.push(column("Ready", 0, pod_ready));
            columns.push(column("Status", 0, pod_status));
            columns.push(column("Restarts", 0, |_| json!("0")));
            columns.push(age_column());
            columns.push(column("IP", 1, |object| at(object, "/status/podIP")));
            columns.push(column("Node", 1, |object| at(object, "/spec/nodeName")));
            return columns;
        }
        "Service" => {
            columns.push(column("Type", 0, |object| at(object, "/spec/type")));
            columns.push(column("Cluster-IP", 0, |object| at(object, "/spec/clusterIP")));
            columns.push(column("External-IP", 0, external_address));
            columns.push(column("Port(s)", 0, service_ports));
            columns.push(age_column());
            columns.push(column("Selector", 1, |object| pairs(object.pointer("/spec/selector"))));
            return columns;
        }
        "Endpoints" => columns.push(column("Endpoints", 0, endpoint_addresses)),
        "Node" => {
            columns.push(column("Status", 0, node_status));
            columns.push(column("Roles", 0, |_| json!("<none>")));
            columns.push(age_column());
            columns.push(column("Version", 0, |object| {
                at(object, "/status/nodeInfo/kubeletVersion")
            }));
            return columns;
        }
        "ConfigMap" => columns.push(column("Data", 0, data_count)),
        "Secret" => {
            columns.push(column("Type", 0, |object| at(object, "/type")));
            columns.push(column("Data", 0, data_count));
        }
        "Deployment" => {
            columns.push(column("Ready", 0, |object| {
                let ready = count(object, "/status/readyReplicas");
                json!(format!("{ready}/{}", count(object, "/spec/replicas")))
            }));
            columns.push(column("Up-to-date", 0, |object| {
                text(count(object, "/status/updatedReplicas"))
            }));
            columns.push(column("Available", 0, |object| {
                text(count(object, "/status/availableReplicas"))
            }));
            columns.push(age_column());
            columns.push(column("Containers", 1, |object| containers(object, "name")));
            columns.push(column("Images", 1, |object| containers(object, "image")));
            columns.push(column("Selector", 1, |object| {
                pairs(object.pointer("/spec/selector/matchLabels"))
            }));
            return columns;
        }
        "ReplicaSet" => {
            columns.push(column("Desired", 0, |object| text(count(object, "/spec/replicas"))));
            columns.push(column("Current", 0, |object| text(count(object, "/status/replicas"))));
            columns.push(column("Ready", 0, |object| {
                text(count(object, "/status/readyReplicas"))
            }));
        }
        "EndpointSlice" => {
            columns.push(column("AddressType", 0, |object| at(object, "/addressType")));
            columns.push(column("Ports", 0, |object| {
                joined(object.get("ports"), |port| port.get("port").map(text_of))
            }));
            columns.push(column("Endpoints", 0, |object| {
                joined(object.get("endpoints"), |endpoint| {
                    endpoint.pointer("/addresses/0").map(text_of)
                })
            }));
        }
        "Lease" => columns.push(column("Holder", 0, |object| at(object, "/spec/holderIdentity"))),
        "Event" => return event_columns(),
        "CustomResourceDefinition" => {
            columns.push(column("Created At", 0, |object| {
                at(object, "/metadata/creationTimestamp")
            }));
            return columns;
        }
        _ => {}
    }
    columns.push(age_column());
    columns
}

fn event_columns() -> Vec<Column> {
    vec![
        column("Last Seen", 0, |object| {
            let times = [
                "/series/lastObservedTime",
                "/lastTimestamp",
                "/deprecatedLastTimestamp",
                "/eventTime",
                "/metadata/creationTimestamp",
            ];
            let mut times = times.iter().filter_map(|time| object.pointer(time)?.as_str());
            age(times.next(), Timestamp::now())
        }),
        column("Type", 0, |object| at(object, "/type")),
        column("Reason", 0, |object| at(object, "/reason")),
        column("Object", 0, |object| {
            let about = object.get("involvedObject").or_else(|| object.get("regarding"));
            let about = about.unwrap_or(&Value::Null);
            let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
            json!(format!("{kind}/{}", about["name"].as_str().unwrap_or_default()))
        }),
        column("Message", 0, |object| {
            let said = object.get("message").or_else(|| object.get("note"));
            said.cloned().unwrap_or(json!(""))
        }),
    ]
}

fn at(object: &Value, pointer: &str) -> Value {
    match object.pointer(pointer) {
        Some(Value::String(text)) if !text.is_empty() => json!(text),
        _ => json!("<none>"),
    }
}

fn count(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn text(number: u64) -> Value {
    json!(number.to_string())
}

fn joined(list: Option<&Value>, read: fn(&Value) -> Option<String>) -> Value {
    let all: Vec<String> = object::items(list).filter_map(read).collect();
    match all.len() {
        0 => json!("<unset>"),
        1..=3 => json!(all.join(",")),
        many => json!(format!("{} + {} more...", all[..3].join(","), many - 3)),
    }
}

fn pairs(map: Option<&Value>) -> Value {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", text_of(value))).collect();
    match pairs.is_empty() {
        true => json!("<none>"),
        false => json!(pairs.join(",")),
    }
}

fn containers(object: &Value, field: &str) -> Value {
    let containers = object::items(object.pointer("/spec/template/spec/containers"));
    let texts: Vec<&str> = containers.filter_map(|container| container[field].as_str()).collect();
    json!(texts.join(","))
}

fn data_count(object: &Value) -> Value {
    let size = |name: &str| object.get(name).and_then(Value::as_object).map_or(0, |map| map.len());
    text((size("data") + size("binaryData")) as u64)
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let mut conditions = object::items(object.pointer("/status/conditions"));
    conditions.find(|condition| condition["type"] == kind)?["status"].as_str()
}

fn pod_ready(object: &Value) -> Value {
    let total = object::items(object.pointer("/spec/containers")).count();
    let ready = if condition(object, "Ready") == Some("True") {
        total
    } else {
        0
    };
    json!(format!("{ready}/{total}"))
}

fn pod_status(object: &Value) -> Value {
    match object::is_terminating(object) {
        true => json!("Terminating"),
        false => at(object, "/status/phase"),
    }
}

fn node_status(object: &Value) -> Value {
    json!(match condition(object, "Ready") {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    })
}

fn external_address(object: &Value) -> Value {
    let ingress = object::items(object.pointer("/status/loadBalancer/ingress"));
    let addresses = ingress.filter_map(|point| point["ip"].as_str().or(point["hostname"].as_str()));
    let addresses: Vec<&str> = addresses.collect();
    match (addresses.is_empty(), object["spec"]["type"].as_str()) {
        (false, _) => json!(addresses.join(",")),
        (true, Some("LoadBalancer")) => json!("<pending>"),
        (true, Some("ExternalName")) => at(object, "/spec/externalName"),
        (true, _) => json!("<none>"),
    }
}

fn service_ports(object: &Value) -> Value {
    let ports = object::items(object.pointer("/spec/ports")).map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_u64() {
            Some(node) if node > 0 => format!("{}:{node}/{protocol}", port["port"]),
            _ => format!("{}/{protocol}", port["port"]),
        }
    });
    let ports: Vec<String> = ports.collect();
    match ports.is_empty() {
        true => json!("<none>"),
        false => json!(ports.join(",")),
    }
}

fn endpoint_addresses(object: &Value) -> Value {
    let subsets = object::items(object.get("subsets"));
    let addresses = subsets.flat_map(|subset| {
        let port = subset.pointer("/ports/0/port").map(text_of).unwrap_or_default();
        object::items(subset.get("addresses"))
            .map(move |address| format!("{}:{port}", address["ip"].as_str().unwrap_or_default()))
    });
    let addresses: Vec<String> = addresses.collect();
    match addresses.is_empty() {
        true => json!("<none>"),
        false => json!(addresses.join(",")),
    }
}

/// How long ago, in the two largest units as kubectl writes them.
fn age(since: Option<&str>, now: Timestamp) -> Value {
    let Some(since) = since.and_then(|text| text.parse::<Timestamp>().ok()) else {
        return json!("<unknown>");
    };
    let seconds = (now.as_second() - since.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    json!(match seconds {
        0..=119 => format!("{seconds}s"),
        120..=599 if seconds % 60 > 0 => format!("{minutes}m{}s", seconds % 60),
        120..=10_799 => format!("{minutes}m"),
        10_800..=28_799 if minutes % 60 > 0 => format!("{hours}h{}m", minutes % 60),
        10_800..=172_799 => format!("{hours}h"),
        172_800..=691_199 if hours % 24 > 0 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    })
}
