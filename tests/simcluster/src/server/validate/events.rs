//! Rules of Events, in both of their versions.
//!
//! What must stay true: an Event with a time of its own says who saw it and what they did; one without is of
//! the old sort, of which only the namespace is looked at. The new version takes no Events of the old sort.

use serde_json::{Value, json};

use super::names;
use super::rules::{is_absent, text};
use crate::server::object;
use crate::server::status::Cause;

/// The longest word of an Event, and its longest note.
const LONGEST_WORD: usize = 128;
const LONGEST_NOTE: usize = 1024;

/// What is called differently in the core group, and so named by validation.
fn either<'v>(value: &'v Value, new: &'static str, core: &'static str) -> (&'static str, &'v str) {
    match value.get(core) {
        Some(_) => (core, text(value, core)),
        None => (new, text(value, new)),
    }
}

/// An Event is beside what it is about, or in `default` if that has no namespace.
pub(super) fn event(value: &Value, causes: &mut Vec<Cause>) {
    let about = value.get("involvedObject").or_else(|| value.get("regarding"));
    let about = about.map_or("", |about| text(about, "namespace"));
    let own = object::text(value, "namespace").unwrap_or_default();
    let timed = !is_absent(value, "eventTime");
    let fits = match about {
        "" => own == "default" || (timed && own == "kube-system"),
        about => timed || about == own,
    };
    if !fits {
        let why = "does not match event.namespace";
        causes.push(Cause::invalid("involvedObject.namespace", &json!(about), why));
    }
    if timed {
        words(value, causes);
    }
}

fn words(value: &Value, causes: &mut Vec<Cause>) {
    let (path, controller) = either(value, "reportingController", "reportingComponent");
    match controller {
        "" => causes.push(Cause::required(path)),
        name => names::check(path, name, names::qualified(name), causes),
    }
    for field in ["reportingInstance", "action", "reason"] {
        match text(value, field) {
            "" => causes.push(Cause::required(field)),
            word if word.len() > LONGEST_WORD => {
                let why = format!("can have at most {LONGEST_WORD} characters");
                causes.push(Cause::invalid(field, &json!(""), &why));
            }
            _ => {}
        }
    }
    let (_, note) = either(value, "note", "message");
    if note.len() > LONGEST_NOTE {
        let why = format!("can have at most {LONGEST_NOTE} characters");
        causes.push(Cause::invalid("message", &json!(""), &why));
    }
}

/// What the new version asks of new Events besides.
pub(super) fn new_event(value: &Value, causes: &mut Vec<Cause>) {
    if is_absent(value, "eventTime") {
        causes.push(Cause::required("eventTime"));
    }
    let sort = text(value, "type");
    if !matches!(sort, "Normal" | "Warning") {
        causes.push(Cause::invalid(
            "type",
            &json!(""),
            &format!("has invalid value: {sort}"),
        ));
    }
    for (field, core) in [
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        ("deprecatedSource", "source"),
    ] {
        let given = value
            .get(field)
            .is_some_and(|given| !given.is_null() && *given != json!(0) && *given != json!({}));
        if given {
            causes.push(Cause::invalid(core, &json!(""), "needs to be unset"));
        }
    }
}
