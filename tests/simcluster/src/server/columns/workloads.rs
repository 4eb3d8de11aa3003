//! Columns of what makes pods.

use serde_json::{Value, json};

use super::{
    Column, Read, age, age_column, at, built_in, column, condition, count, duration, each, joined, number, pairs,
    selector, time, wide,
};
use crate::server::json_path::text_of;
use crate::server::object;

/// The last three columns of what has a template.
fn with_template(mut columns: Vec<Column>, selects: Option<Read>) -> Vec<Column> {
    columns.push(age_column());
    columns.push(wide("Containers", |object, _| containers(object, "name")));
    columns.push(wide("Images", |object, _| containers(object, "image")));
    columns.extend(selects.map(|read| wide("Selector", read)));
    columns
}

fn containers(object: &Value, field: &str) -> Value {
    let template = object.pointer("/spec/jobTemplate").unwrap_or(object);
    joined(each(template.pointer("/spec/template/spec/containers"), field), "")
}

fn own_selector(object: &Value, _: jiff::Timestamp) -> Value {
    selector(object.pointer("/spec/selector"))
}

fn ready_of_wanted(object: &Value) -> Value {
    let (ready, wanted) = (count(object, "/status/readyReplicas"), count(object, "/spec/replicas"));
    json!(format!("{ready}/{wanted}"))
}

pub(super) fn deployment() -> Vec<Column> {
    let columns = vec![
        column("Ready", |object, _| ready_of_wanted(object)),
        column("Up-to-date", |object, _| {
            json!(count(object, "/status/updatedReplicas"))
        }),
        column("Available", |object, _| {
            json!(count(object, "/status/availableReplicas"))
        }),
    ];
    with_template(columns, Some(own_selector))
}

pub(super) fn replica_set() -> Vec<Column> {
    let columns = vec![
        number("Desired", |object, _| json!(count(object, "/spec/replicas"))),
        number("Current", |object, _| json!(count(object, "/status/replicas"))),
        number("Ready", |object, _| json!(count(object, "/status/readyReplicas"))),
    ];
    with_template(columns, Some(own_selector))
}

pub(super) fn stateful_set() -> Vec<Column> {
    with_template(vec![column("Ready", |object, _| ready_of_wanted(object))], None)
}

pub(super) fn daemon_set() -> Vec<Column> {
    let columns = vec![
        number("Desired", |object, _| {
            json!(count(object, "/status/desiredNumberScheduled"))
        }),
        number("Current", |object, _| {
            json!(count(object, "/status/currentNumberScheduled"))
        }),
        number("Ready", |object, _| json!(count(object, "/status/numberReady"))),
        number("Up-to-date", |object, _| {
            json!(count(object, "/status/updatedNumberScheduled"))
        }),
        number("Available", |object, _| json!(count(object, "/status/numberAvailable"))),
        column("Node Selector", |object, _| {
            pairs(object.pointer("/spec/template/spec/nodeSelector"))
        }),
    ];
    with_template(columns, Some(own_selector))
}

pub(super) fn job() -> Vec<Column> {
    let columns = vec![
        column("Status", |object, _| {
            let is = |kind: &str| condition(object, kind) == Some("True");
            let ended = ["Complete", "Failed", "Suspended", "SuccessCriteriaMet"];
            let ended = ended.into_iter().find(|kind| is(kind));
            json!(match ended {
                Some(kind) => kind,
                None if object::is_terminating(object) => "Terminating",
                None => "Running",
            })
        }),
        column("Completions", |object, _| {
            let done = count(object, "/status/succeeded");
            match object.pointer("/spec/completions").and_then(Value::as_u64) {
                Some(wanted) => json!(format!("{done}/{wanted}")),
                None => match count(object, "/spec/parallelism") {
                    0..=1 => json!(format!("{done}/1")),
                    several => json!(format!("{done}/1 of {several}")),
                },
            }
        }),
        column("Duration", |object, now| {
            let moment = |pointer: &str| time(object.pointer(pointer).and_then(Value::as_str));
            let Some(start) = moment("/status/startTime") else {
                return json!("");
            };
            let end = moment("/status/completionTime").unwrap_or(now);
            json!(duration(end.as_second() - start.as_second()))
        }),
    ];
    with_template(columns, Some(own_selector))
}

pub(super) fn cron_job() -> Vec<Column> {
    let columns = vec![
        column("Schedule", |object, _| at(object, "/spec/schedule")),
        column("Timezone", |object, _| at(object, "/spec/timeZone")),
        built_in("Suspend", "boolean", 0, |object, _| {
            json!(object.pointer("/spec/suspend") == Some(&json!(true)))
        }),
        number("Active", |object, _| {
            json!(object::items(object.pointer("/status/active")).count())
        }),
        column("Last Schedule", |object, now| {
            match object.pointer("/status/lastScheduleTime").and_then(Value::as_str) {
                Some(last) => age(Some(last), now),
                None => json!("<none>"),
            }
        }),
    ];
    with_template(
        columns,
        Some(|object, _| selector(object.pointer("/spec/jobTemplate/spec/selector"))),
    )
}

pub(super) fn autoscaler() -> Vec<Column> {
    vec![
        column("Reference", |object, _| {
            let target = &object["spec"]["scaleTargetRef"];
            json!(format!("{}/{}", text_of(&target["kind"]), text_of(&target["name"])))
        }),
        column("Targets", |object, _| {
            let current: Vec<&Value> = object::items(object.pointer("/status/currentMetrics")).collect();
            let metrics = object::items(object.pointer("/spec/metrics")).enumerate();
            let targets = metrics.map(|(index, metric)| target(metric, current.get(index).copied()));
            joined(targets, "<none>")
        }),
        column("MinPods", |object, _| match object.pointer("/spec/minReplicas") {
            Some(least) => json!(text_of(least)),
            None => json!("<unset>"),
        }),
        column("MaxPods", |object, _| json!(count(object, "/spec/maxReplicas"))),
        column("Replicas", |object, _| json!(count(object, "/status/currentReplicas"))),
        age_column(),
    ]
}

/// What a metric is, and what it should be.
fn target(metric: &Value, current: Option<&Value>) -> String {
    let kind = metric["type"].as_str().unwrap_or_default();
    let mut letters = kind.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    let source: String = first.into_iter().chain(letters).collect();
    let (wanted, found) = (
        &metric[&source]["target"],
        current.map(|metric| &metric[&source]["current"]),
    );
    let show = |amounts: Option<&Value>| {
        let amounts = amounts?;
        if let Some(percent) = amounts.get("averageUtilization").filter(|value| !value.is_null()) {
            return Some(format!("{percent}%"));
        }
        let value = amounts.get("averageValue").or_else(|| amounts.get("value"))?;
        Some(text_of(value))
    };
    let unknown = || "<unknown>".to_owned();
    let text = format!(
        "{}/{}",
        show(found).unwrap_or_else(unknown),
        show(Some(wanted)).unwrap_or_else(unknown)
    );
    match metric[&source]["name"].as_str() {
        Some(name) => format!("{name}: {text}"),
        None => text,
    }
}
