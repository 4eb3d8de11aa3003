//! The columns of `kubectl get`.
//!
//! What must stay true: what is missing shows as kubectl users know it (`<none>`, `<pending>`, `<unknown>`), never
//! as an error. What is counted is a number, also in those columns that real servers say hold strings.

mod core;
mod pods;
mod workloads;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::json_path::{json_path, text_of};
use super::kinds::Kind;
use super::object;

type Read = fn(&Value, Timestamp) -> Value;

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

    /// The same, shown with `-o wide` only.
    fn only_wide(mut self) -> Column {
        self.priority = 1;
        self
    }

    pub(crate) fn cell(&self, object: &Value, now: Timestamp) -> Value {
        match &self.source {
            Source::Read(read) => read(object, now),
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

/// A column that is always shown.
fn column(name: &str, read: Read) -> Column {
    built_in(name, "string", 0, read)
}

/// A column of whole numbers.
fn number(name: &str, read: Read) -> Column {
    built_in(name, "integer", 0, read)
}

/// A column that is shown with `-o wide`.
fn wide(name: &str, read: Read) -> Column {
    built_in(name, "string", 1, read)
}

fn built_in(name: &str, kind: &str, priority: i64, read: Read) -> Column {
    Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
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

fn created_column() -> Column {
    column("Created At", |object, _| at(object, "/metadata/creationTimestamp"))
}

/// The columns of a kind.
pub(crate) fn of(kind: &Kind) -> Vec<Column> {
    let name = column("Name", |object, _| json!(object::name(object)));
    if kind.is_custom() {
        return custom(kind, name);
    }
    if kind.kind == "Event" {
        return core::event(name);
    }
    let more = match kind.kind.as_str() {
        "Namespace" => core::namespace(),
        "Node" => core::node(),
        "Service" => core::service(),
        "Endpoints" => core::endpoints(),
        "EndpointSlice" => core::endpoint_slice(),
        "Ingress" => core::ingress(),
        "IngressClass" => core::ingress_class(),
        "NetworkPolicy" => core::network_policy(),
        "ConfigMap" => core::config_map(),
        "Secret" => core::secret(),
        "ServiceAccount" => core::service_account(),
        "Lease" => core::lease(),
        "RoleBinding" | "ClusterRoleBinding" => core::role_binding(),
        "Role" | "ClusterRole" | "CustomResourceDefinition" => vec![created_column()],
        "Pod" => pods::pod(),
        "Deployment" => workloads::deployment(),
        "ReplicaSet" => workloads::replica_set(),
        "StatefulSet" => workloads::stateful_set(),
        "DaemonSet" => workloads::daemon_set(),
        "Job" => workloads::job(),
        "CronJob" => workloads::cron_job(),
        "HorizontalPodAutoscaler" => workloads::autoscaler(),
        _ => vec![age_column()],
    };
    std::iter::once(name).chain(more).collect()
}

/// Those of the definition; the age, if it has none.
fn custom(kind: &Kind, name: Column) -> Vec<Column> {
    let mut columns = vec![name];
    columns.extend(kind.columns.iter().map(|column| Column {
        name: column.name.clone(),
        kind: column.kind.clone(),
        description: column.description.clone(),
        priority: column.priority,
        source: Source::Path(column.path.clone(), column.kind == "date"),
    }));
    if kind.columns.is_empty() {
        columns.push(age_column());
    }
    columns
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

/// Texts with commas between, or what stands for none.
fn joined(texts: impl IntoIterator<Item = String>, none: &str) -> Value {
    let texts: Vec<String> = texts.into_iter().collect();
    match texts.is_empty() {
        true => json!(none),
        false => json!(texts.join(",")),
    }
}

/// The first three, and how many more.
fn shortened(texts: impl IntoIterator<Item = String>, none: &str) -> Value {
    let texts: Vec<String> = texts.into_iter().collect();
    match texts.len() {
        0..=3 => joined(texts, none),
        many => json!(format!("{} + {} more...", texts[..3].join(","), many - 3)),
    }
}

fn pairs(map: Option<&Value>) -> Value {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    joined(pairs.map(|(key, value)| format!("{key}={}", text_of(value))), "<none>")
}

/// A label selector as it is written in a query.
fn selector(selector: Option<&Value>) -> Value {
    match super::scale::selector_text(selector).as_str() {
        "" => json!("<none>"),
        text => json!(text),
    }
}

/// The texts of a field of each item of a list.
fn each(list: Option<&Value>, field: &str) -> Vec<String> {
    let texts = object::items(list).filter_map(|item| item.get(field).map(text_of));
    texts.collect()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let mut conditions = object::items(object.pointer("/status/conditions"));
    conditions.find(|condition| condition["type"] == kind)?["status"].as_str()
}

/// The addresses of a load balancer.
fn balanced(object: &Value) -> Vec<String> {
    let points = object::items(object.pointer("/status/loadBalancer/ingress"));
    let addresses = points.filter_map(|point| point["ip"].as_str().or(point["hostname"].as_str()));
    addresses.map(str::to_owned).collect()
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
}

/// How long ago.
fn age(since: Option<&str>, now: Timestamp) -> Value {
    match time(since) {
        Some(since) => json!(duration(now.as_second() - since.as_second())),
        None => json!("<unknown>"),
    }
}

/// A duration in the two largest units, as kubectl writes it.
fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=599 if seconds % 60 > 0 => format!("{minutes}m{}s", seconds % 60),
        120..=10_799 => format!("{minutes}m"),
        10_800..=28_799 if minutes % 60 > 0 => format!("{hours}h{}m", minutes % 60),
        10_800..=172_799 => format!("{hours}h"),
        172_800..=691_199 if hours % 24 > 0 => format!("{days}d{}h", hours % 24),
        691_200..=63_071_999 => format!("{days}d"),
        _ if days % 365 > 0 && days < 365 * 8 => format!("{}y{}d", days / 365, days % 365),
        _ => format!("{}y", days / 365),
    }
}
