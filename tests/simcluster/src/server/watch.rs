//! Watches.
//!
//! What must stay true: a watcher sees every event after its start exactly once and in order, or is
//! told that it cannot (410). Under a selector it sees an object enter as ADDED and leave as
//! DELETED. A start from a version this server has not reached yet is refused at once, since the
//! client's knowledge comes from another server.
//!
//! A watcher holds the last version it looked at and nothing else. Bytes are made only when the
//! connection asks for them, so a reader that stops reading costs one chunk, and falls out of the
//! history when it is too slow. Refused: a channel per watcher.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::convert;
use super::kinds::Kind;
use super::present;
use super::request::{Output, Query};
use super::selectors::Selection;
use super::status::{Cause, Failure, Outcome};
use super::store::{Event, State, Store};

/// Events turned into bytes at a time.
const BATCH: usize = 256;
/// How often a quiet watch that wants bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);
/// A bookmark is also due when so many events of other kinds went by, a tenth of the history.
const BOOKMARK_AFTER: u64 = 1_000;
/// How long a watch lasts that does not say; real servers choose between 30 and 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// What is watched, and how events are shown.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) kind: Arc<Kind>,
    /// `kind.storage()`, which every event is compared with.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) selection: Selection,
    pub(crate) output: Output,
}

/// A running watch.
#[derive(Debug)]
pub(crate) struct Watcher {
    scope: Scope,
    store: Arc<Store>,
    changes: watch::Receiver<u64>,
    /// The newest version looked at.
    cursor: u64,
    /// The newest version the client knows of.
    told: u64,
    initial: Vec<Arc<Value>>,
    /// Whether a bookmark must end the initial events.
    announce_end: bool,
    bookmarks: bool,
    deadline: Instant,
    over: bool,
}

impl Watcher {
    /// Starts a watch as the query says.
    pub(crate) fn start(store: &Arc<Store>, scope: Scope, query: &Query) -> Outcome<Watcher> {
        let bookmarks = query.flag("allowWatchBookmarks")?.unwrap_or_default();
        let asked = query.number("resourceVersion")?.unwrap_or_default();
        let send_initial = query.flag("sendInitialEvents")?;
        check_match(query.text("resourceVersionMatch"), send_initial)?;
        let timeout = query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
        let timeout = timeout.map_or(DEFAULT_TIMEOUT, |seconds| Duration::from_secs(seconds.min(86_400)));
        let changes = store.changes();
        let (cursor, initial) = store.read(|state| {
            let now = state.revision();
            if asked > now {
                return Err(Failure::from_the_future(asked, now));
            }
            let listed = || scope.select(state);
            match (send_initial, asked) {
                (Some(true), _) | (None, 0) => Ok((now, listed())),
                (Some(false), 0) => Ok((now, Vec::new())),
                (_, asked) if asked < state.oldest() => Err(Failure::expired(asked, state.oldest())),
                (_, asked) => Ok((asked, Vec::new())),
            }
        })?;
        Ok(Watcher {
            scope,
            store: store.clone(),
            changes,
            cursor,
            told: cursor,
            initial,
            announce_end: send_initial == Some(true) && bookmarks,
            bookmarks,
            deadline: Instant::now() + timeout,
            over: false,
        })
    }

    /// The watch as the chunks of a body.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Bytes> {
        futures::stream::unfold(self, |mut watcher| async move {
            let chunk = watcher.next().await?;
            Some((chunk, watcher))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if !self.initial.is_empty() || self.announce_end {
            return Some(self.initial_chunk());
        }
        let mut bookmark_due = Instant::now() + BOOKMARK_EVERY;
        loop {
            self.changes.mark_unchanged();
            match self.catch_up() {
                Ok(chunk) if !chunk.is_empty() => return Some(chunk.into()),
                Ok(_) => {}
                Err(failure) => {
                    self.over = true;
                    return Some(line("ERROR", &failure.to_json()).into());
                }
            }
            if self.bookmarks && self.cursor - self.told >= BOOKMARK_AFTER {
                return Some(self.bookmark(false));
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.deadline) => {
                    self.over = true;
                    return self.bookmarks.then(|| self.bookmark(false));
                }
                () = tokio::time::sleep_until(bookmark_due), if self.bookmarks => {
                    bookmark_due += BOOKMARK_EVERY;
                    return Some(self.bookmark(false));
                }
            }
        }
    }

    fn initial_chunk(&mut self) -> Bytes {
        let mut chunk = Vec::new();
        let rest = self.initial.split_off(self.initial.len().min(BATCH));
        for object in std::mem::replace(&mut self.initial, rest) {
            self.scope.write_line("ADDED", &object, &mut chunk);
        }
        if self.initial.is_empty() && self.announce_end {
            self.announce_end = false;
            chunk.extend_from_slice(&self.bookmark(true));
        }
        chunk.into()
    }

    /// The lines of the next events that concern this watch.
    fn catch_up(&mut self) -> Outcome<Vec<u8>> {
        let (cursor, scope) = (self.cursor, &self.scope);
        let (events, upto) = self.store.read(|state| {
            let known = state
                .registry
                .get(&scope.kind.group, &scope.kind.version, &scope.kind.plural);
            if known.is_none() {
                return Err(Failure::no_such_path());
            }
            let later = state.since(cursor);
            let later = later.ok_or_else(|| Failure::expired(cursor, state.oldest()))?;
            let mut upto = cursor;
            let mut events = Vec::new();
            for event in later {
                upto += 1;
                events.extend(scope.line_of(event));
                if events.len() == BATCH {
                    break;
                }
            }
            Ok((events, upto))
        })?;
        self.cursor = upto;
        let mut chunk = Vec::new();
        for (kind, object) in events {
            self.scope.write_line(kind, &object, &mut chunk);
        }
        if !chunk.is_empty() {
            self.told = upto;
        }
        Ok(chunk)
    }

    fn bookmark(&mut self, ends_initial: bool) -> Bytes {
        self.told = self.cursor;
        let kind = &self.scope.kind;
        let mut meta = json!({"resourceVersion": self.cursor.to_string(), "creationTimestamp": null});
        if ends_initial {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": meta});
        match self.scope.output {
            Output::Plain => {}
            Output::Metadata => {
                object["kind"] = json!("PartialObjectMetadata");
                object["apiVersion"] = json!("meta.k8s.io/v1");
            }
            Output::Table(_) => object = present::table(kind, &[], json!(meta), false),
        }
        line("BOOKMARK", &object).into()
    }
}

/// `resourceVersionMatch` and `sendInitialEvents` come together or not at all.
fn check_match(rule: &str, send_initial: Option<bool>) -> Outcome<()> {
    let cause = match (rule, send_initial) {
        ("", None) | ("NotOlderThan", Some(_)) => return Ok(()),
        (_, None) => Cause::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        ("", Some(_)) => Cause::forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (other, Some(_)) => Cause::invalid(
            "resourceVersionMatch",
            &json!(other),
            "supported values: \"NotOlderThan\"",
        ),
    };
    Err(Failure::invalid_options(&cause))
}

impl Scope {
    fn select(&self, state: &State) -> Vec<Arc<Value>> {
        let namespace = Some(self.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let objects = state.list(&self.resource, namespace);
        let objects = objects.filter(|(_, object)| self.selection.matches(object));
        objects.map(|(_, object)| object.clone()).collect()
    }

    /// What an event is to this watch, if anything.
    fn line_of(&self, event: &Event) -> Option<(&'static str, Arc<Value>)> {
        let here = *event.key.resource == *self.resource
            && (self.namespace.is_empty() || self.namespace == event.key.namespace);
        if !here {
            return None;
        }
        let before = event
            .before
            .as_ref()
            .is_some_and(|before| self.selection.matches(before));
        let after = !event.removed && self.selection.matches(&event.object);
        let kind = match (before, after) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some((kind, event.object.clone()))
    }

    fn write_line(&self, event: &str, object: &Arc<Value>, chunk: &mut Vec<u8>) {
        let object = convert::in_version(&self.kind, object);
        chunk.extend(match self.output {
            Output::Plain => line(event, &object),
            output => line(event, &present::object(&self.kind, &object, output)),
        });
    }
}

fn line(event: &str, object: &Value) -> Vec<u8> {
    let mut bytes = format!("{{\"type\":\"{event}\",\"object\":").into_bytes();
    // Writing a `Value` into memory cannot fail.
    let _ = serde_json::to_writer(&mut bytes, object);
    bytes.extend_from_slice(b"}\n");
    bytes
}
