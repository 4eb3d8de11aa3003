//! Tokens on request: `POST .../serviceaccounts/NAME/token`.
//!
//! What must stay true: a token is only made for what is there at that moment; what it is bound to
//! is written into it by uid, so a later object of the same name does not revive it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::kinds::{Kind, Registry};
use super::super::status::{Cause, Failure, Outcome};
use super::super::store::{Key, State};
use super::super::{clock, object};
use super::tokens::{Bound, Claims, Tokens};

const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const DEFAULT: i64 = 3_600;

/// Answers a request whose body is known to be a `TokenRequest`.
pub(crate) fn answer(
    state: &State,
    tokens: &Tokens,
    kind: &Kind,
    place: (&str, &str),
    mut request: Value,
    now: Timestamp,
) -> Outcome<Value> {
    let (namespace, name) = place;
    let key = |resource: &str, name: &str| Key {
        resource: resource.into(),
        namespace: namespace.into(),
        name: name.into(),
    };
    let account = state.get(&key("serviceaccounts", name));
    let account = account.ok_or_else(|| not_found(&state.registry, "serviceaccounts", name))?;
    let seconds = match request.pointer("/spec/expirationSeconds").and_then(Value::as_i64) {
        None => DEFAULT,
        Some(seconds) => seconds,
    };
    let why = match seconds {
        ..SHORTEST => Some("may not specify a duration less than 10 minutes"),
        SHORTEST..=LONGEST => None,
        _ => Some("may not specify a duration larger than 2^32 seconds"),
    };
    if let Some(why) = why {
        let cause = Cause::invalid("spec.expirationSeconds", &json!(seconds), why);
        return Err(Failure::invalid(kind, name, &[cause]));
    }
    let mut claims = Claims::of(namespace, &account.value(), now);
    claims.exp = Some(claims.iat + seconds);
    let audiences: Vec<String> = object::items(request.pointer("/spec/audiences"))
        .filter_map(|audience| audience.as_str().map(str::to_owned))
        .collect();
    if !audiences.is_empty() {
        claims.aud = audiences;
    }
    if let Some(reference) = request
        .pointer("/spec/boundObjectRef")
        .filter(|reference| reference.is_object())
    {
        let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
        let resource = match (text("apiVersion"), text("kind")) {
            ("v1", "Pod") => "pods",
            ("v1", "Secret") => "secrets",
            (version, kind) => {
                let why = format!("cannot bind token to object of type {version}, Kind={kind}");
                return Err(Failure::bad_request(why));
            }
        };
        let object = state.get(&key(resource, text("name")));
        let object = object
            .ok_or_else(|| not_found(&state.registry, resource, text("name")))?
            .value();
        let bound = Bound::to(&object);
        if !text("uid").is_empty() && text("uid") != bound.uid {
            return Err(Failure::wrong_uid(text("kind"), text("name"), text("uid"), &bound.uid));
        }
        if resource == "pods" {
            let runs_as = object.pointer("/spec/serviceAccountName").and_then(Value::as_str);
            // A pod that names none runs as the default one.
            if runs_as.filter(|account| !account.is_empty()).unwrap_or("default") != name {
                let why = format!(
                    "cannot bind token for serviceaccount {name:?} to pod running with different serviceaccount name."
                );
                return Err(Failure::bad_request(why));
            }
            claims.private.pod = Some(bound);
        } else {
            claims.private.secret = Some(bound);
        }
    }
    let end = now
        .checked_add(SignedDuration::from_secs(seconds))
        .map_err(|error| Failure::internal(error.to_string()))?;
    request["spec"]["audiences"] = json!(claims.aud);
    request["spec"]["expirationSeconds"] = json!(seconds);
    request["metadata"] = json!({"name": name, "namespace": namespace, "creationTimestamp": clock::stamp(now)});
    request["status"] = json!({"token": tokens.sign(&claims), "expirationTimestamp": clock::stamp(end)});
    Ok(request)
}

fn not_found(registry: &Registry, resource: &str, name: &str) -> Box<Failure> {
    match registry.get("", "v1", resource) {
        Some(kind) => Failure::not_found(&kind, name),
        None => Failure::no_such_path(),
    }
}
