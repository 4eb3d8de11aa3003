//! Questions that are asked by creating an object that is never stored.
//!
//! What must stay true: an answer is what authentication and authorization would say to a real
//! request at this moment, because it comes from the same functions; the question comes back with it.

use std::sync::Arc;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::body;
use super::super::kinds::{self, Kind};
use super::super::object;
use super::super::resource::{self, Call};
use super::super::status::{Cause, Failure, Outcome};
use super::super::store::Store;
use super::attributes::Attributes;
use super::authentication::Credentials;
use super::rbac::{Policy, Rule, Verdict};
use super::token_request;
use super::tokens::ISSUER;
use super::user::User;

/// The answer, if the request is a question of this kind.
pub(crate) fn answer(store: &Store, credentials: &Credentials, call: &Call, now: Timestamp) -> Option<Outcome<Value>> {
    let path = &call.path;
    if (path.group.as_str(), path.plural.as_str(), path.subresource.as_str()) == ("", "serviceaccounts", "token") {
        return Some(request_token(store, credentials, call, now));
    }
    let kind = store.read(|state| state.registry.get(&path.group, &path.version, &path.plural))?;
    (!kind.stored).then(|| review(store, credentials, call, &kind, now))
}

/// The body of a question, as far as its kind knows it.
fn question(call: &Call, kind: &Arc<Kind>) -> Outcome<Value> {
    let target = resource::target(kind, call)?;
    let mut question = resource::body(call)?.value;
    body::check_body(&target, &mut question)?;
    // Nobody is warned about a question.
    body::conform(&mut Vec::new(), &target, &mut question)?;
    Ok(question)
}

fn request_token(store: &Store, credentials: &Credentials, call: &Call, now: Timestamp) -> Outcome<Value> {
    let path = &call.path;
    if path.version != "v1" || path.namespace.is_empty() || path.name.is_empty() {
        return Err(Failure::no_such_path());
    }
    if call.method != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let kind = Arc::new(kinds::token_request());
    let request = question(call, &kind)?;
    let place = (path.namespace.as_str(), path.name.as_str());
    store.read(|state| token_request::answer(state, &credentials.tokens, &kind, place, request, now))
}

fn review(store: &Store, credentials: &Credentials, call: &Call, kind: &Arc<Kind>, now: Timestamp) -> Outcome<Value> {
    let path = &call.path;
    if kind.namespaced == path.namespace.is_empty() || !path.subresource.is_empty() {
        return Err(Failure::no_such_path());
    }
    if call.method != Method::POST || !path.name.is_empty() {
        return Err(Failure::method_not_allowed());
    }
    let mut question = question(call, kind)?;
    let policy = || store.read(super::super::store::State::policy);
    let status = match kind.kind.as_str() {
        "SelfSubjectReview" => json!({"userInfo": call.user.to_json()}),
        "TokenReview" => review_token(store, credentials, &question, now),
        "SelfSubjectRulesReview" => rules(&policy(), &call.user, &question)?,
        "SelfSubjectAccessReview" => access(&policy(), kind, &call.user, &question, None)?,
        "LocalSubjectAccessReview" => {
            let user = subject(kind, &question)?;
            access(&policy(), kind, &user, &question, Some(&path.namespace))?
        }
        _ => access(&policy(), kind, &subject(kind, &question)?, &question, None)?,
    };
    question["status"] = status;
    object::meta_mut(&mut question).insert("creationTimestamp".to_owned(), Value::Null);
    Ok(question)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let texts = object::items(value).filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn review_token(store: &Store, credentials: &Credentials, question: &Value, now: Timestamp) -> Value {
    let mut audiences = texts(question.pointer("/spec/audiences"));
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    match credentials.user_of(store, text(question, "/spec/token"), &audiences, now) {
        Ok((user, good)) => json!({"authenticated": true, "user": user.to_json(), "audiences": good}),
        Err(why) => json!({"user": {}, "error": why}),
    }
}

/// The user a review is about.
fn subject(kind: &Kind, question: &Value) -> Outcome<User> {
    let spec = &question["spec"];
    let user = User {
        name: text(spec, "/user").to_owned(),
        uid: text(spec, "/uid").to_owned(),
        groups: texts(spec.get("groups")),
        ..User::default()
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let cause = Cause::invalid(
            "spec.user",
            &json!(""),
            "at least one of user or group must be specified",
        );
        return Err(Failure::invalid(kind, "", &[cause]));
    }
    Ok(user)
}

/// Whether `user` may do what the question asks, within `namespace` if there is one.
fn access(policy: &Policy, kind: &Kind, user: &User, question: &Value, namespace: Option<&str>) -> Outcome<Value> {
    let part = |name: &str| question["spec"].get(name).filter(|part| part.is_object());
    let invalid = |field: &str, value: Value, why: &str| {
        let cause = Cause::invalid(field, &value, why);
        Err(Failure::invalid(kind, "", &[cause]))
    };
    let attributes = match (part("resourceAttributes"), part("nonResourceAttributes")) {
        (Some(resource), None) => {
            let field = |name: &str| text(resource, &format!("/{name}")).to_owned();
            Attributes {
                verb: field("verb"),
                namespace: field("namespace"),
                group: field("group"),
                resource: field("resource"),
                subresource: field("subresource"),
                name: field("name"),
                path: None,
            }
        }
        (None, Some(path)) => Attributes {
            verb: text(path, "/verb").to_owned(),
            path: Some(text(path, "/path").to_owned()),
            ..Attributes::default()
        },
        _ => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            return invalid("spec.resourceAttributes", Value::Null, why);
        }
    };
    match namespace {
        Some(_) if attributes.path.is_some() => {
            return invalid(
                "spec.nonResourceAttributes",
                Value::Null,
                "disallowed on this kind of request",
            );
        }
        Some(namespace) if namespace != attributes.namespace => {
            let why = "must match metadata.namespace";
            return invalid("spec.resourceAttributes.namespace", json!(attributes.namespace), why);
        }
        _ => {}
    }
    let Verdict { allowed, reason } = policy.judge(user, &attributes);
    let mut status = json!({"allowed": allowed});
    if !reason.is_empty() {
        status["reason"] = json!(reason);
    }
    Ok(status)
}

/// All that a user may do in a namespace.
fn rules(policy: &Policy, user: &User, question: &Value) -> Outcome<Value> {
    let namespace = text(question, "/spec/namespace");
    if namespace.is_empty() {
        return Err(Failure::bad_request("no namespace on request"));
    }
    let (urls, resources): (Vec<&Rule>, Vec<&Rule>) =
        policy.rules(user, namespace).partition(|rule| !rule.urls.is_empty());
    Ok(json!({"resourceRules": resources, "nonResourceRules": urls, "incomplete": false}))
}
