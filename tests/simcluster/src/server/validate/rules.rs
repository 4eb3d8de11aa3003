//! Rules that many fields share.
//!
//! What must stay true: a rule accepts any JSON and says nothing of a field that is absent, unless it is
//! the rule that the field must be there.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::names;
use crate::server::object;
use crate::server::status::Cause;

/// The text in a field, empty when there is none.
pub(super) fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn is_absent(value: &Value, field: &str) -> bool {
    value.get(field).is_none_or(Value::is_null)
}

/// Whether there is no such list or map, or an empty one.
pub(super) fn is_empty(value: &Value, field: &str) -> bool {
    match value.get(field) {
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        _ => true,
    }
}

/// The items of a list, each with its path.
pub(super) fn items<'v>(
    value: &'v Value,
    field: &str,
    path: &str,
) -> impl Iterator<Item = (String, &'v Value)> + use<'v> {
    let path = join(path, field);
    object::items(value.get(field))
        .enumerate()
        .map(move |(index, item)| (format!("{path}[{index}]"), item))
}

pub(super) fn join(path: &str, field: &str) -> String {
    match path {
        "" => field.to_owned(),
        path => format!("{path}.{field}"),
    }
}

/// A text must be there.
pub(super) fn required(value: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) {
    if text(value, field).is_empty() {
        causes.push(Cause::required(join(path, field)));
    }
}

/// A text must be one of these.
pub(super) fn one_of(value: &Value, field: &str, path: &str, supported: &[&str], causes: &mut Vec<Cause>) {
    if let Some(found) = value.get(field)
        && !supported.contains(&found.as_str().unwrap_or_default())
    {
        causes.push(Cause::not_supported(join(path, field), found, supported));
    }
}

/// Numbers must not be negative.
pub(super) fn not_negative(value: &Value, fields: &[&str], path: &str, causes: &mut Vec<Cause>) {
    for field in fields {
        at_least(value, field, path, 0, "must be greater than or equal to 0", causes);
    }
}

pub(super) fn at_least(value: &Value, field: &str, path: &str, least: i64, why: &str, causes: &mut Vec<Cause>) {
    if let Some(number) = value.get(field).and_then(Value::as_i64)
        && number < least
    {
        causes.push(Cause::invalid(join(path, field), &json!(number), why));
    }
}

/// A number must be that of a port.
pub(super) fn port_number(value: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) {
    let number = value.get(field).and_then(Value::as_i64).unwrap_or_default();
    if !(1..=65_535).contains(&number) {
        let why = "must be between 1 and 65535, inclusive";
        causes.push(Cause::invalid(join(path, field), &json!(number), why));
    }
}

/// A port's number or its name.
pub(super) fn port(value: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) {
    match value.get(field) {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) => names::check(&join(path, field), name, names::port_name(name), causes),
        Some(_) => port_number(value, field, path, causes),
    }
}

/// Texts must be addresses.
pub(super) fn address(path: &str, text: &str, causes: &mut Vec<Cause>) {
    if text.parse::<IpAddr>().is_err() {
        let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        causes.push(Cause::invalid(path, &json!(text), why));
    }
}

/// A field that was set must stay as it was.
pub(super) fn immutable(old: &Value, new: &Value, pointer: &str, causes: &mut Vec<Cause>) {
    let (old, new) = (old.pointer(pointer), new.pointer(pointer));
    if old.is_some() && old != new {
        let path = pointer.trim_start_matches('/').replace('/', ".");
        let shown = new.cloned().unwrap_or_default();
        causes.push(Cause::invalid(path, &shown, "field is immutable"));
    }
}

/// A label selector must be one.
pub(super) fn label_selector(selector: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (path, expression) in items(selector, "matchExpressions", path) {
        let values = is_empty(expression, "values");
        match text(expression, "operator") {
            "In" | "NotIn" if values => {
                let why = "must be specified when `operator` is 'In' or 'NotIn'";
                causes.push(Cause::required_because(format!("{path}.values"), why));
            }
            "Exists" | "DoesNotExist" if !values => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                causes.push(Cause::forbidden(format!("{path}.values"), why));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => {
                let why = "not a valid selector operator";
                causes.push(Cause::invalid(format!("{path}.operator"), &expression["operator"], why));
            }
        }
        let key = text(expression, "key");
        names::check(&format!("{path}.key"), key, names::qualified(key), causes);
    }
    if let Some(labels) = selector.get("matchLabels") {
        super::meta::labels(labels, &join(path, "matchLabels"), causes);
    }
}
