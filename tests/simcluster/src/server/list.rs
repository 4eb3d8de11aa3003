//! Lists: which objects, as of which version, in which pages.
//!
//! What must stay true: all pages of one list show the cluster at the version of the first page, so
//! a watch from that version misses nothing; when the history no longer reaches back, the client is
//! told to start over (410). A version from the future is refused, never waited for.

use std::sync::Arc;

use serde_json::{Value, json};

use super::convert;
use super::kinds::Kind;
use super::request::Query;
use super::selectors::Selection;
use super::status::{Cause, Failure, Outcome};
use super::store::{Key, State};

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Arc<Value>>,
    pub(crate) meta: Value,
}

/// Where the next page starts.
struct Token {
    version: u64,
    namespace: String,
    name: String,
}

impl Token {
    fn write(&self) -> String {
        format!("{}:{}/{}", self.version, self.namespace, self.name)
    }

    fn read(text: &str) -> Option<Token> {
        let (version, place) = text.split_once(':')?;
        let (namespace, name) = place.split_once('/')?;
        Some(Token {
            version: version.parse().ok()?,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// The page a query asks for.
pub(crate) fn list(state: &State, kind: &Kind, namespace: &str, selection: &Selection, query: &Query) -> Outcome<Page> {
    let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
    let token = match query.text("continue") {
        "" => None,
        text => Some(Token::read(text).ok_or_else(|| Failure::bad_request("continue key is not valid"))?),
    };
    let version = match &token {
        Some(token) => token.version,
        None => version(state, query)?,
    };
    if version > state.revision() {
        return Err(Failure::from_the_future(version, state.revision()));
    }
    let resource = kind.storage();
    let after = |key: &Key| {
        token.as_ref().is_none_or(|token| {
            (key.namespace.as_str(), key.name.as_str()) > (token.namespace.as_str(), token.name.as_str())
        })
    };
    let mut all: Vec<(Key, Arc<Value>)> = match version == state.revision() {
        true => {
            let now = state.list(&resource, namespace);
            now.map(|(key, object)| (key.clone(), object.clone())).collect()
        }
        false => {
            let then = state.list_at(&resource, namespace, version);
            let then = then.ok_or_else(|| Failure::expired(version, state.oldest()))?;
            then.into_iter().collect()
        }
    };
    all.retain(|(key, object)| after(key) && selection.matches(object));
    let limit = query.number("limit")?.filter(|limit| *limit > 0);
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut meta = json!({"resourceVersion": version.to_string()});
    if all.len() > limit {
        if selection.is_everything() {
            meta["remainingItemCount"] = json!(all.len() - limit);
        }
        all.truncate(limit);
        if let Some((last, _)) = all.last() {
            let token = Token {
                version,
                namespace: last.namespace.clone(),
                name: last.name.clone(),
            };
            meta["continue"] = json!(token.write());
        }
    }
    let items = all.iter().map(|(_, object)| convert::in_version(kind, object));
    Ok(Page {
        items: items.collect(),
        meta,
    })
}

/// The version to show: the newest unless exactly one is asked for.
fn version(state: &State, query: &Query) -> Outcome<u64> {
    let asked = query.number("resourceVersion")?;
    let rule = query.text("resourceVersionMatch");
    match (rule, asked) {
        ("", None) => Ok(state.revision()),
        ("Exact", Some(version)) if version > 0 => Ok(version),
        ("" | "NotOlderThan", Some(version)) => Ok(version.max(state.revision())),
        ("Exact" | "NotOlderThan", _) => {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            Err(Failure::invalid_options(&Cause::forbidden("resourceVersionMatch", why)))
        }
        (other, _) => {
            let why = "supported values: \"Exact\", \"NotOlderThan\"";
            let cause = Cause::invalid("resourceVersionMatch", &json!(other), why);
            Err(Failure::invalid_options(&cause))
        }
    }
}
