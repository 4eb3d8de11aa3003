//! Deleting one object or many.
//!
//! What must stay true: an object with finalizers is only marked, and goes with the last of them; a running
//! pod is marked for its grace period, and goes when its kubelet deletes it again with a period of zero.
//! Preconditions are checked under the lock that deletes. What a propagation policy means for dependents is
//! written down as a finalizer and done by the garbage collector (`garbage.rs`), as in a real cluster; a
//! dry run decides the same and stores nothing.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use serde::Deserialize;
use serde_json::{Value, json};

use super::clock;
use super::kinds::Kind;
use super::list::{self, Page};
use super::object;
use super::request::Query;
use super::selectors::Selection;
use super::status::{self, Cause, Failure, Outcome};
use super::store::{Key, State};
use super::write::Target;

/// Holds an owner until its dependents were released.
pub(crate) const ORPHAN: &str = "orphan";
/// Holds an owner until the dependents that block it are gone.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

const POLICIES: [&str; 3] = ["Foreground", "Background", "Orphan"];

/// What becomes of dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Background,
    Foreground,
    Orphan,
}

/// The `DeleteOptions` of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    uid: Option<String>,
    resource_version: Option<String>,
    /// What the finalizers of the object say, if nothing.
    pub(crate) policy: Option<Policy>,
    grace: Option<i64>,
    pub(crate) dry_run: bool,
    /// Asked in the old way for what the default is: answered with 202 while the object is still there.
    accepts: bool,
}

impl Options {
    /// The options of a request; when there is a body the query does not count.
    pub(crate) fn read(body: &Value, query: &Query) -> Outcome<Options> {
        let options = match body {
            Value::Null => DeleteOptions {
                dry_run: Some(query.text("dryRun").to_owned())
                    .filter(|stage| !stage.is_empty())
                    .map(|stage| vec![stage]),
                grace_period_seconds: period(query.text("gracePeriodSeconds"))?,
                orphan_dependents: query.flag("orphanDependents")?,
                propagation_policy: Some(query.text("propagationPolicy").to_owned())
                    .filter(|policy| !policy.is_empty()),
                ..DeleteOptions::default()
            },
            body => DeleteOptions::deserialize(body)
                .map_err(|error| Failure::bad_request(format!("the DeleteOptions are not valid: {error}")))?,
        };
        let stages = options.dry_run.unwrap_or_default();
        let policy = options.propagation_policy.as_deref();
        check(policy, options.orphan_dependents, &stages)?;
        let preconditions = options.preconditions.unwrap_or_default();
        Ok(Options {
            uid: preconditions.uid,
            resource_version: preconditions.resource_version,
            policy: match (policy, options.orphan_dependents) {
                (Some("Orphan"), _) | (None, Some(true)) => Some(Policy::Orphan),
                (Some("Foreground"), _) => Some(Policy::Foreground),
                (Some(_), _) | (None, Some(false)) => Some(Policy::Background),
                (None, None) => None,
            },
            // As documented, a negative period is one second.
            grace: options
                .grace_period_seconds
                .map(|grace| if grace < 0 { 1 } else { grace }),
            dry_run: !stages.is_empty(),
            accepts: options.orphan_dependents == Some(false),
        })
    }

    fn check_preconditions(&self, kind: &Kind, live: &Value) -> Outcome<()> {
        let name = object::name(live);
        let uid = object::uid(live).unwrap_or_default();
        if let Some(asked) = self.uid.as_deref().filter(|asked| *asked != uid) {
            let why = format!(
                "the UID in the precondition ({asked}) does not match the UID in record ({uid}). \
                 The object might have been deleted and then recreated"
            );
            return Err(Failure::conflict(kind, name, &why));
        }
        let version = object::resource_version(live).unwrap_or_default();
        if let Some(asked) = self.resource_version.as_deref().filter(|asked| *asked != version) {
            let why = format!(
                "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record \
                 ({version}). The object might have been modified"
            );
            return Err(Failure::conflict(kind, name, &why));
        }
        Ok(())
    }
}

/// A grace period in a query, which may be negative.
fn period(text: &str) -> Outcome<Option<i64>> {
    let wrong = |_| Failure::bad_request(format!("invalid value for parameter gracePeriodSeconds: {text:?}"));
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(wrong),
    }
}

fn check(policy: Option<&str>, orphan: Option<bool>, stages: &[String]) -> Outcome<()> {
    let mut causes = Vec::new();
    if let (Some(policy), Some(_)) = (policy, orphan) {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid("propagationPolicy", &json!(policy), why));
    }
    if let Some(policy) = policy.filter(|policy| !POLICIES.contains(policy)) {
        let supported = [&POLICIES as &[_], &["nil"]].concat();
        causes.push(Cause::not_supported("propagationPolicy", &json!(policy), &supported));
    }
    if let Some(stage) = stages.iter().find(|stage| *stage != "All") {
        causes.push(Cause::not_supported("dryRun", &json!(stage), &["All"]));
    }
    match causes.as_slice() {
        [] => Ok(()),
        causes => Err(Failure::invalid_options("DeleteOptions", causes)),
    }
}

/// What a delete does to an object.
enum Fate {
    /// It goes.
    Gone,
    /// It stays, as it is here, until something else happened.
    Waits(Value),
}

fn decide(kind: &Kind, live: &Value, options: &Options, now: Timestamp) -> Fate {
    let mut new = live.clone();
    if let Some(policy) = options.policy {
        set_policy(&mut new, policy);
    }
    let grace = match object::is_terminating(live) {
        false => {
            let grace = grace_of(kind, live, options);
            mark(&mut new, now, grace);
            grace
        }
        true => shorten(&mut new, options),
    };
    let held = !object::finalizers(&new).is_empty() || grace > 0 || is_kept_namespace(kind, &new);
    match held {
        true => Fate::Waits(new),
        false => Fate::Gone,
    }
}

/// Whether a namespace still has finalizers of its own sort.
pub(crate) fn is_kept_namespace(kind: &Kind, object: &Value) -> bool {
    kind.is("", "Namespace") && object::items(object.pointer("/spec/finalizers")).next().is_some()
}

/// Writes the policy down as the finalizer that stands for it, in place of an earlier one.
fn set_policy(object: &mut Value, policy: Policy) {
    let others = object::finalizers(object).into_iter();
    let mut finalizers: Vec<Value> = others
        .filter(|name| ![ORPHAN, FOREGROUND].contains(name))
        .map(|name| json!(name))
        .collect();
    match policy {
        Policy::Background => {}
        Policy::Foreground => finalizers.push(json!(FOREGROUND)),
        Policy::Orphan => finalizers.push(json!(ORPHAN)),
    }
    let meta = object::meta_mut(object);
    match finalizers.is_empty() {
        true => meta.remove("finalizers"),
        false => meta.insert("finalizers".to_owned(), Value::Array(finalizers)),
    };
}

/// Only pods that run somewhere get time to end.
fn grace_of(kind: &Kind, live: &Value, options: &Options) -> i64 {
    let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let runs = kind.is("", "Pod")
        && !text("/spec/nodeName").is_empty()
        && !["Succeeded", "Failed"].contains(&text("/status/phase"));
    let own = live
        .pointer("/spec/terminationGracePeriodSeconds")
        .and_then(Value::as_i64);
    match runs {
        true => options.grace.or(own).unwrap_or(30),
        false => 0,
    }
}

fn mark(object: &mut Value, now: Timestamp, grace: i64) {
    let meta = object::meta_mut(object);
    let end = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    meta.insert("deletionTimestamp".to_owned(), clock::stamp(end));
    meta.insert("deletionGracePeriodSeconds".to_owned(), json!(grace));
    if let Some(generation) = meta.get("generation").and_then(Value::as_i64) {
        meta.insert("generation".to_owned(), json!(generation + 1));
    }
}

/// The grace period of an object that is being deleted: a later delete can only shorten it.
fn shorten(object: &mut Value, options: &Options) -> i64 {
    let grace = grace_left(object);
    let Some(asked) = options.grace.filter(|asked| *asked < grace) else {
        return grace;
    };
    let end = object::text(object, "deletionTimestamp").and_then(|text| text.parse::<Timestamp>().ok());
    let end = end.and_then(|end| end.checked_add(SignedDuration::from_secs(asked - grace)).ok());
    let meta = object::meta_mut(object);
    if let Some(end) = end {
        meta.insert("deletionTimestamp".to_owned(), clock::stamp(end));
    }
    meta.insert("deletionGracePeriodSeconds".to_owned(), json!(asked));
    asked
}

/// The grace period an object that is being deleted was given.
pub(crate) fn grace_left(object: &Value) -> i64 {
    let grace = object::meta(object, "deletionGracePeriodSeconds");
    grace.and_then(Value::as_i64).unwrap_or_default()
}

/// Deletes one object and returns the code and what the client is told.
pub(crate) fn delete(state: &mut State, target: &Target, options: &Options) -> Outcome<(u16, Value)> {
    let kind = &target.kind;
    let live = target.live(state)?;
    options.check_preconditions(kind, &live)?;
    if kind.is("", "Namespace") && ["default", "kube-system", "kube-public"].contains(&target.name.as_str()) {
        let why = "this namespace may not be deleted";
        return Err(Failure::forbidden(kind, &target.name, why));
    }
    let returned = ["Pod", "Service", "ServiceAccount"]
        .iter()
        .any(|name| kind.is("", name));
    let fate = match options.dry_run {
        true => decide(kind, &live, options, state.now()),
        false => remove(state, kind, &target.key(), options),
    };
    Ok(match fate {
        Fate::Waits(object) if options.accepts => (202, object),
        Fate::Waits(object) => (200, object),
        Fate::Gone if returned => (200, Value::clone(&live)),
        Fate::Gone => (200, status::deleted(kind, &target.name, &live["metadata"]["uid"])),
    })
}

/// Deletes the page of objects a query asks for and returns it.
pub(crate) fn delete_all(
    state: &mut State,
    target: &Target,
    selection: &Selection,
    query: &Query,
    options: &Options,
) -> Outcome<Page> {
    let page = list::list(state, &target.kind, &target.namespace, selection, query)?;
    for object in page.items.iter().filter(|_| !options.dry_run) {
        let value = object.value();
        let namespace = object::text(&value, "namespace").unwrap_or_default();
        let key = Key::new(&target.kind, namespace, object::name(&value));
        // What went or changed since the page's version is judged as it is now.
        if let Some(live) = state.get(&key).cloned()
            && options.check_preconditions(&target.kind, &live.value()).is_ok()
        {
            remove(state, &target.kind, &key, options);
        }
    }
    Ok(page)
}

/// Removes an object, or marks it when something must happen before.
fn remove(state: &mut State, kind: &Kind, key: &Key, options: &Options) -> Fate {
    let Some(live) = state.get(key).map(|live| live.value()) else {
        return Fate::Gone;
    };
    let fate = decide(kind, &live, options, state.now());
    match fate {
        Fate::Gone => {
            state.remove(key);
            Fate::Gone
        }
        Fate::Waits(new) if new == live => Fate::Waits(live),
        Fate::Waits(mut new) => {
            if kind.is("", "Namespace") {
                new["status"]["phase"] = json!("Terminating");
            }
            Fate::Waits(state.put(key.clone(), new).value())
        }
    }
}

/// Removes an object because of something else, if it is still there.
pub(crate) fn follow(state: &mut State, key: &Key, policy: Option<Policy>) {
    let Some(kind) = state.registry.by_qualified(&key.resource) else {
        return;
    };
    let options = Options {
        policy,
        ..Options::default()
    };
    remove(state, &kind, key, &options);
}

/// Takes a finalizer off an object that is being deleted, which goes if it was the last thing that held it.
pub(crate) fn drop_finalizer(state: &mut State, key: &Key, name: &str) {
    let Some(kind) = state.registry.by_qualified(&key.resource) else {
        return;
    };
    let Some(live) = state.get(key).map(|live| live.value()) else {
        return;
    };
    let mut new = live.clone();
    let kept: Vec<Value> = object::finalizers(&live)
        .into_iter()
        .filter(|known| *known != name)
        .map(|known| json!(known))
        .collect();
    object::meta_mut(&mut new).insert("finalizers".to_owned(), Value::Array(kept));
    settle(state, &kind, key, &live, new);
}

/// Stores a new state of an object that is being deleted, or removes it when nothing holds it any more.
pub(crate) fn settle(state: &mut State, kind: &Arc<Kind>, key: &Key, live: &Value, new: Value) {
    if is_finished(kind, &new) {
        state.remove(key);
    } else if new != *live {
        state.put(key.clone(), new);
    }
}

/// Whether an object is being deleted and nothing holds it.
pub(crate) fn is_finished(kind: &Kind, object: &Value) -> bool {
    object::is_terminating(object)
        && object::finalizers(object).is_empty()
        && grace_left(object) == 0
        && !is_kept_namespace(kind, object)
}
