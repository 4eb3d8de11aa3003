//! What a body must be before a write looks into it, and which object it may be about.
//!
//! What must stay true: after `check_body` a body is an object with metadata, of the kind and in the
//! place the path names; every other module may index into it without asking again.

use serde_json::{Value, json};

use super::kinds::Kind;
use super::object;
use super::schema;
use super::status::{Cause, Failure, Outcome};
use super::write::Target;

/// Checks that a body is an object of the kind, and completes its type and namespace from the path.
pub(crate) fn check_body(target: &Target, body: &mut Value) -> Outcome<()> {
    let kind = &target.kind;
    if !body.is_object()
        || body
            .get("metadata")
            .is_some_and(|meta| !meta.is_object() && !meta.is_null())
    {
        return Err(Failure::bad_request(
            "the object provided is unrecognized (must be a JSON object)",
        ));
    }
    for (field, wanted) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())] {
        match body.get(field).and_then(Value::as_str) {
            None | Some("") => body[field] = json!(wanted),
            Some(found) if found == wanted => {}
            Some(found) => {
                return Err(Failure::bad_request(format!(
                    "the {field} in the data ({found}) does not match the expected {field} ({wanted})"
                )));
            }
        }
    }
    let meta = object::meta_mut(body);
    for (field, wanted) in [("namespace", &target.namespace), ("name", &target.name)] {
        let found = meta.get(field).and_then(Value::as_str).unwrap_or_default();
        if !found.is_empty() && found != wanted && !(field == "name" && wanted.is_empty()) {
            let who = if field == "name" {
                "name on the URL"
            } else {
                "namespace sent on the request"
            };
            return Err(Failure::bad_request(format!(
                "the {field} of the object ({found}) does not match the {who} ({wanted})"
            )));
        }
        if !wanted.is_empty() {
            meta.insert(field.to_owned(), json!(wanted));
        }
    }
    Ok(())
}

/// Drops unknown fields of an object. Strict validation refuses them, and fields that the client wrote twice;
/// otherwise the client is warned.
pub(crate) fn conform(warnings: &mut Vec<String>, target: &Target, new: &mut Value) -> Outcome<()> {
    let dropped = schema::conform(&target.kind, new).map_err(|why| undecodable(target, new, &why))?;
    let duplicates = target.duplicates.iter().map(|path| format!("duplicate field {path:?}"));
    let unknown = dropped.iter().map(|path| format!("unknown field {path:?}"));
    let faults: Vec<String> = duplicates.chain(unknown).collect();
    if target.strict && !faults.is_empty() {
        let why = format!("strict decoding error: {}", faults.join(", "));
        return Err(undecodable(target, new, &why));
    }
    warnings.extend(faults);
    Ok(())
}

/// What a client sent is no object of the kind; or not after the patch it sent.
fn undecodable(target: &Target, object: &Value, why: &str) -> Box<Failure> {
    if target.patches {
        return Failure::invalid_patch(object, why);
    }
    let (name, version) = (&target.kind.kind, &target.kind.version);
    Failure::bad_request(format!(
        "{name} in version {version:?} cannot be handled as a {name}: {why}"
    ))
}

/// Fails when the object is not the one, or not in the version, that the client means.
pub(crate) fn check_preconditions(kind: &Kind, live: &Value, uid: Option<&str>, version: Option<&str>) -> Outcome<()> {
    let name = object::name(live);
    let live_uid = object::uid(live).unwrap_or_default();
    if let Some(uid) = uid.filter(|uid| *uid != live_uid) {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {live_uid}");
        return Err(Failure::conflict(kind, name, &why));
    }
    match version {
        Some("0") | None => Ok(()),
        Some(version) if Some(version) == object::resource_version(live) => Ok(()),
        Some(version) if version.parse::<u64>().is_err() => {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                &json!(version),
                "must be specified for an update",
            );
            Err(Failure::invalid(kind, name, &[cause]))
        }
        Some(_) => Err(Failure::stale(kind, name)),
    }
}
