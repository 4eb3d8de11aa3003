//! Watch streams, and waiting for a state on them.
//!
//! What must stay true: waiting looks at a list and then at what follows that list, so it can neither miss a
//! state that is there nor depend on how often somebody looks. Events come out in the order they came in;
//! bookmarks are events too.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use http::Response;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use crate::requests::Requests;

/// How long a wanted event or state may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

type Chunks = Pin<Box<dyn Stream<Item = Option<Vec<u8>>> + Send>>;

/// A running watch.
pub struct Watch {
    asked: String,
    code: u16,
    chunks: Chunks,
    pending: Vec<u8>,
}

impl Watch {
    pub(crate) fn new(asked: String, response: Response<Body>) -> Watch {
        let (parts, body) = response.into_parts();
        let chunks = body
            .into_data_stream()
            .map(|chunk| chunk.ok().map(|bytes| bytes.to_vec()));
        Watch {
            asked,
            code: parts.status.as_u16(),
            chunks: chunks.boxed(),
            pending: Vec::new(),
        }
    }

    /// The code of the answer.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next_or_end(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(LIMIT, self.line()).await;
        let line = line.unwrap_or_else(|_| panic!("{}: no event within {LIMIT:?}", self.asked))?;
        let event = serde_json::from_slice(&line);
        let text = String::from_utf8_lossy(&line);
        Some(event.unwrap_or_else(|error| panic!("{}: {error} in {text}", self.asked)))
    }

    /// The next event; an end of the stream is a failure.
    pub async fn next(&mut self) -> Value {
        let event = self.next_or_end().await;
        event.unwrap_or_else(|| panic!("{}: the watch ended", self.asked))
    }

    /// The next event that is not a bookmark.
    pub async fn next_change(&mut self) -> Value {
        loop {
            let event = self.next().await;
            if event["type"] != "BOOKMARK" {
                return event;
            }
        }
    }

    /// Type and object name of the next change.
    pub async fn next_named(&mut self) -> (String, String) {
        let event = self.next_change().await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let rest = self.pending.split_off(end + 1);
                let line = std::mem::replace(&mut self.pending, rest);
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Some(line);
            }
            match self.chunks.next().await {
                Some(Some(chunk)) => self.pending.extend(chunk),
                Some(None) | None => {
                    let rest = std::mem::take(&mut self.pending);
                    return (!rest.trim_ascii().is_empty()).then_some(rest);
                }
            }
        }
    }
}

impl Requests {
    /// Waits until the objects of a collection (with its selectors) are as wanted, and returns them.
    pub async fn until_all(&self, collection: &str, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut seen: Vec<Value> = Vec::new();
        let waited = tokio::time::timeout(LIMIT, self.follow(collection, &mut seen, &wanted)).await;
        if waited.is_err() {
            panic!("{collection}: not {what} within {LIMIT:?}: {}", json!(seen));
        }
        seen
    }

    /// Waits until one object of a collection is as wanted; it is `Value::Null` while it is not there.
    pub async fn until(&self, collection: &str, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let one = format!("{collection}?fieldSelector=metadata.name%3D{name}");
        let wanted = |found: &[Value]| wanted(found.first().unwrap_or(&Value::Null));
        let found = self.until_all(&one, &format!("{name} {what}"), wanted).await;
        found.into_iter().next().unwrap_or(Value::Null)
    }

    /// Waits until an object is gone.
    pub async fn until_gone(&self, collection: &str, name: &str) {
        self.until(collection, name, "gone", Value::is_null).await;
    }

    async fn follow(&self, collection: &str, seen: &mut Vec<Value>, wanted: &impl Fn(&[Value]) -> bool) {
        loop {
            let list = self.get(collection).await.ok();
            let mut objects: BTreeMap<String, Value> = BTreeMap::new();
            for object in list["items"].as_array().into_iter().flatten() {
                objects.insert(key(object), object.clone());
            }
            *seen = objects.values().cloned().collect();
            if wanted(seen) {
                return;
            }
            let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            let join = if collection.contains('?') { '&' } else { '?' };
            let mut watch = self
                .watch(&format!("{collection}{join}resourceVersion={version}"))
                .await;
            // An end or an error of the watch is no news about the objects: look again.
            while let Some(event) = watch.next_or_end().await {
                match event["type"].as_str() {
                    Some("ADDED" | "MODIFIED") => {
                        objects.insert(key(&event["object"]), event["object"].clone());
                    }
                    Some("DELETED") => {
                        objects.remove(&key(&event["object"]));
                    }
                    Some("BOOKMARK") => continue,
                    _ => break,
                }
                *seen = objects.values().cloned().collect();
                if wanted(seen) {
                    return;
                }
            }
        }
    }
}

fn key(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!("{}/{}", metadata["namespace"], metadata["name"])
}
