//! The `scale` subresource: one `Scale` over workloads and custom resources alike.
//!
//! What must stay true: what is written through a `Scale` is a write of the whole object, by the same
//! road and with the same ownership; only the number of replicas can change by it.

use serde_json::{Map, Value, json};

use super::managed::Managers;
use super::patch::{self, Form};
use super::status::{Cause, Failure, Outcome};
use super::store::State;
use super::write::{self, Ownership, Target};
use super::{body, object};

/// Where a kind keeps what a `Scale` shows, as JSON pointers.
#[derive(Clone, Debug)]
pub(crate) struct ScalePaths {
    replicas: String,
    current: String,
    /// A label selector as text; workloads have an object, whose labels are written out.
    selector: Option<String>,
}

impl ScalePaths {
    /// Those of the built-in workloads.
    pub(crate) fn of_workloads() -> ScalePaths {
        ScalePaths {
            replicas: "/spec/replicas".to_owned(),
            current: "/status/replicas".to_owned(),
            selector: Some("/spec/selector".to_owned()),
        }
    }

    /// Those a definition names.
    pub(crate) fn of_definition(scale: &Value) -> ScalePaths {
        let pointer = |field: &str| {
            let path = scale.get(field).and_then(Value::as_str)?;
            Some(path.replace('.', "/"))
        };
        ScalePaths {
            replicas: pointer("specReplicasPath").unwrap_or_default(),
            current: pointer("statusReplicasPath").unwrap_or_default(),
            selector: pointer("labelSelectorPath"),
        }
    }

    fn show(&self, live: &Value) -> Value {
        let mut meta = Map::new();
        for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            if let Some(value) = object::meta(live, field) {
                meta.insert(field.to_owned(), value.clone());
            }
        }
        let number = |pointer: &str| live.pointer(pointer).cloned().unwrap_or(json!(0));
        let mut spec = json!({"replicas": number(&self.replicas)});
        if spec["replicas"] == json!(0) {
            spec = json!({});
        }
        let mut status = json!({"replicas": number(&self.current)});
        let selector = self.selector.as_ref().and_then(|pointer| live.pointer(pointer));
        match selector {
            Some(Value::String(text)) if !text.is_empty() => status["selector"] = json!(text),
            Some(Value::Object(_)) => status["selector"] = json!(selector_text(selector)),
            _ => {}
        }
        json!({
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": meta,
            "spec": spec,
            "status": status,
        })
    }
}

/// A label selector as it is written in a query.
pub(crate) fn selector_text(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let mut parts: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect();
    for expression in object::items(selector.get("matchExpressions")) {
        let key = text(&expression["key"]);
        let values: Vec<String> = object::items(expression.get("values")).map(text).collect();
        let values = values.join(",");
        parts.push(match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key,
        });
    }
    parts.join(",")
}

fn paths(target: &Target) -> Outcome<&ScalePaths> {
    target.kind.scale.as_ref().ok_or_else(Failure::no_such_path)
}

/// The `Scale` of an object.
pub(crate) fn read(state: &State, target: &Target) -> Outcome<Value> {
    let live = target.live(state)?;
    Ok(paths(target)?.show(&live))
}

/// Sets the replicas of an object to those of `scale`.
pub(crate) fn replace(state: &mut State, target: &Target, scale: &Value) -> Outcome<Value> {
    let paths = paths(target)?;
    let live = target.live(state)?;
    if !scale.is_object() || scale.get("kind").is_some_and(|kind| kind != "Scale") {
        return Err(Failure::bad_request("the object provided is not a Scale"));
    }
    let name = object::name(scale);
    if !name.is_empty() && name != target.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    let (uid, version) = (object::uid(scale), object::resource_version(scale));
    body::check_preconditions(&target.kind, &live, uid, version)?;
    let replicas = scale.pointer("/spec/replicas").cloned().unwrap_or(json!(0));
    if replicas
        .as_i64()
        .is_none_or(|number| i32::try_from(number).is_err() || number < 0)
    {
        let why = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &replicas, why);
        return Err(Failure::invalid(&target.kind, &target.name, &[cause]));
    }
    let mut new = Value::clone(&live);
    put(&mut new, &paths.replicas, replicas);
    let managers = Managers::of(&live);
    let stored = write::change(state, target, &live, new, Ownership::Update(managers))?;
    Ok(paths.show(&stored.value()))
}

/// Patches the `Scale` of an object.
pub(crate) fn patch(state: &mut State, target: &Target, form: Form, change: Value) -> Outcome<Value> {
    let now = read(state, target)?;
    let scale = patch::patched(&target.kind, &now, form, change)?;
    replace(state, target, &scale)
}

/// Sets what a pointer names, and makes the objects on the way.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for name in pointer.split('/').skip(1) {
        place = object::object_mut(place).entry(name).or_insert(Value::Null);
    }
    *place = value;
}
