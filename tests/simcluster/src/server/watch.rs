//! Watches.
//!
//! What must stay true: a watcher sees every event after its start exactly once and in order, or is
//! told that it cannot (410). Under a selector it sees an object enter as ADDED and leave as DELETED, in the
//! state in which it was last meant.
//! Whatever a watch cannot do once its options are valid is told by an ERROR event and not by the code
//! of the response, as real servers do. A version this server has not reached yet is waited for.
//!
//! A watcher holds the last version it looked at and nothing else. Bytes are made only when the
//! connection asks for them, and only so many, so a reader that stops reading costs one chunk, and
//! falls out of the history when it is too slow. Refused: a channel per watcher.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::history::{Event, Signal};
use super::kinds::Kind;
use super::objects::Key;
use super::present;
use super::request::{Output, Query, Rows};
use super::selectors::Selection;
use super::status::{Cause, Failure, Outcome};
use super::store::{State, Store};
use super::stored::Stored;

/// Events turned into bytes at a time; and bytes after which no further one is.
const BATCH: usize = 256;
const CHUNK: usize = 64 * 1024;
/// How often a quiet watch that wants bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);
/// How long a watch lasts that does not say; real servers choose between 30 and 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// What is watched, and how events are shown.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) kind: Arc<Kind>,
    /// `kind.storage()`.
    pub(crate) resource: Arc<str>,
    pub(crate) namespace: String,
    pub(crate) selection: Selection,
    pub(crate) output: Output,
}

/// A running watch.
#[derive(Debug)]
pub(crate) struct Watcher {
    scope: Scope,
    store: Arc<Store>,
    changes: watch::Receiver<Signal>,
    /// The signal when the watch started; when the watches of the resource are dropped it differs.
    started: Signal,
    /// The newest version looked at.
    cursor: u64,
    initial: Vec<Arc<Stored>>,
    /// Whether a bookmark must end the initial events.
    announce_end: bool,
    bookmarks: bool,
    deadline: Instant,
    /// What ends the watch before anything else is said.
    refused: Option<Box<Failure>>,
    over: bool,
}

impl Watcher {
    /// Starts a watch as the query says.
    pub(crate) fn start(store: &Arc<Store>, scope: Scope, query: &Query) -> Outcome<Watcher> {
        let bookmarks = query.flag("allowWatchBookmarks")?.unwrap_or_default();
        let asked = query.number("resourceVersion")?.unwrap_or_default();
        let send_initial = query.flag("sendInitialEvents")?;
        check_match(query.text("resourceVersionMatch"), send_initial)?;
        let timeout = query.amount("timeoutSeconds")?.filter(|seconds| *seconds > 0);
        let timeout = timeout.map_or(DEFAULT_TIMEOUT, |seconds| Duration::from_secs(seconds.min(86_400)));
        let changes = store.follow(&scope.resource);
        let started = *changes.borrow();
        let begun = store.read(|state| {
            let now = state.view().version;
            match (send_initial, asked) {
                (Some(true), asked) if asked > now => Err(Failure::from_the_future(asked, now)),
                (Some(true), _) | (None, 0) => Ok((now, scope.select(state))),
                (Some(false), 0) => Ok((now, Vec::new())),
                (_, asked) => Ok((asked, Vec::new())),
            }
        });
        let (refused, cursor, initial) = match begun {
            Ok((cursor, initial)) => (None, cursor, initial),
            Err(failure) => (Some(failure), asked, Vec::new()),
        };
        Ok(Watcher {
            scope,
            store: store.clone(),
            started,
            changes,
            cursor,
            initial,
            announce_end: send_initial == Some(true) && bookmarks,
            bookmarks,
            deadline: Instant::now() + timeout,
            refused,
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
        if let Some(failure) = self.refused.take() {
            return Some(self.fail(&failure));
        }
        if !self.initial.is_empty() || self.announce_end {
            return Some(self.initial_chunk());
        }
        let bookmark_due = Instant::now() + BOOKMARK_EVERY;
        loop {
            if *self.changes.borrow_and_update() != self.started {
                return None;
            }
            // Before anything is said about the present, what led there must be told.
            let chunk = match self.catch_up() {
                Ok(chunk) => chunk,
                Err(failure) => return Some(self.fail(&failure)),
            };
            let now = Instant::now();
            self.over = now >= self.deadline;
            if !chunk.is_empty() {
                return Some(chunk.into());
            }
            if self.over {
                return self.bookmarks.then(|| self.bookmark(false).into());
            }
            if self.bookmarks && now >= bookmark_due {
                return Some(self.bookmark(false).into());
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.deadline) => {}
                () = tokio::time::sleep_until(bookmark_due), if self.bookmarks => {}
            }
        }
    }

    fn fail(&mut self, failure: &Failure) -> Bytes {
        self.over = true;
        line("ERROR", |bytes| bytes.extend(failure.to_json().to_string().bytes())).into()
    }

    fn initial_chunk(&mut self) -> Bytes {
        let now = self.store.read(State::now);
        let mut chunk = Vec::new();
        let mut taken = 0;
        for object in &self.initial {
            if taken == BATCH || chunk.len() > CHUNK {
                break;
            }
            taken += 1;
            self.scope.write_line("ADDED", object, now, &mut chunk);
        }
        self.initial.drain(..taken);
        if self.initial.is_empty() && self.announce_end {
            self.announce_end = false;
            chunk.extend_from_slice(&self.bookmark(true));
        }
        chunk.into()
    }

    /// The lines of the next events that concern this watch.
    fn catch_up(&mut self) -> Outcome<Vec<u8>> {
        let (cursor, scope) = (self.cursor, &self.scope);
        let (events, upto, now) = self.store.read(|state| {
            let kind = &scope.kind;
            let served = |kind: &Kind| state.registry.get(&kind.group, &kind.version, &kind.plural).is_some();
            if kind.is_custom() && !served(kind) {
                return Err(Failure::no_such_path());
            }
            let shown = state.view().version;
            let later = state.history.since(&scope.resource, cursor);
            let later = later.map_err(|oldest| Failure::expired(cursor, oldest))?;
            let mut events = Vec::new();
            let mut size = 0;
            for event in later.take_while(|event| event.version() <= shown) {
                if events.len() == BATCH || size > CHUNK {
                    let upto = event.version() - 1;
                    return Ok((events, upto, state.now()));
                }
                if let Some((kind, object)) = scope.meaning_of(event) {
                    size += object.json().len();
                    events.push((kind, object.clone(), event.version()));
                }
            }
            Ok((events, shown.max(cursor), state.now()))
        })?;
        self.cursor = upto;
        let mut chunk = Vec::new();
        for (kind, object, version) in events {
            if object.version == version {
                self.scope.write_line(kind, &object, now, &mut chunk);
            } else {
                self.scope.write_line(kind, &object.at(version), now, &mut chunk);
            }
        }
        Ok(chunk)
    }

    fn bookmark(&self, ends_initial: bool) -> Vec<u8> {
        let (scope, cursor) = (&self.scope, self.cursor);
        let kind = &scope.kind;
        let mut meta = json!({"resourceVersion": cursor.to_string(), "creationTimestamp": null});
        if ends_initial {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": meta});
        match scope.output {
            Output::Plain => {}
            Output::Metadata => {
                object["kind"] = json!("PartialObjectMetadata");
                object["apiVersion"] = json!("meta.k8s.io/v1");
            }
            Output::Table(_) => object = present::table(kind, &[], meta, Rows::Nothing, Timestamp::UNIX_EPOCH),
        }
        line("BOOKMARK", |bytes| bytes.extend(object.to_string().bytes()))
    }
}

/// `resourceVersionMatch` and `sendInitialEvents` come together or not at all.
fn check_match(rule: &str, send_initial: Option<bool>) -> Outcome<()> {
    let field = "resourceVersionMatch";
    let cause = match (rule, send_initial) {
        ("", None) | ("NotOlderThan", Some(_)) => return Ok(()),
        (_, None) => Cause::forbidden(
            field,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        ("", Some(_)) => Cause::forbidden(
            field,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (other, Some(_)) => Cause::not_supported(field, &json!(other), &["NotOlderThan"]),
    };
    Err(Failure::invalid_options("ListOptions", &[cause]))
}

impl Scope {
    fn select(&self, state: &State) -> Vec<Arc<Stored>> {
        let namespace = Some(self.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let objects = state.view().objects.list(&self.resource, namespace, None);
        let objects = objects.filter(|(key, object)| self.selection.matches(key, object));
        objects.map(|(_, object)| object.clone()).collect()
    }

    /// What an event is to this watch, if anything, and the state to show at the version of the event.
    fn meaning_of<'e>(&self, event: &'e Event) -> Option<(&'static str, &'e Arc<Stored>)> {
        if !self.namespace.is_empty() && *self.namespace != *event.key.namespace {
            return None;
        }
        let meant = |key: &Key, object: &Stored| self.selection.matches(key, object);
        let before = event.before.as_ref().filter(|before| meant(&event.key, before));
        let after = !event.removed && meant(&event.key, &event.object);
        match (before, after) {
            (None, false) => None,
            (None, true) => Some(("ADDED", &event.object)),
            (Some(_), true) => Some(("MODIFIED", &event.object)),
            (Some(_), false) if event.removed => Some(("DELETED", &event.object)),
            // Out of the selector's sight: what the watcher is told is gone is what it knew.
            (Some(before), false) => Some(("DELETED", before)),
        }
    }

    fn write_line(&self, event: &str, object: &Stored, now: Timestamp, chunk: &mut Vec<u8>) {
        write_line(event, chunk, |bytes| {
            present::object(&self.kind, object, self.output, now, bytes);
        });
    }
}

fn line(event: &str, object: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_line(event, &mut bytes, object);
    bytes
}

fn write_line(event: &str, bytes: &mut Vec<u8>, object: impl FnOnce(&mut Vec<u8>)) {
    bytes.extend_from_slice(b"{\"type\":\"");
    bytes.extend_from_slice(event.as_bytes());
    bytes.extend_from_slice(b"\",\"object\":");
    object(bytes);
    bytes.extend_from_slice(b"}\n");
}
