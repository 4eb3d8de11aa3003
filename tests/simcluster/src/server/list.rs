//! Lists: which objects, as of which version, in which pages.
//!
//! What must stay true: all pages of one list show the cluster at the version of the first page, so
//! a watch from that version misses nothing; when the history no longer reaches back, the client is
//! told so (410) and given a token for the rest as it is now. A version from the future is refused,
//! never waited for. A page costs what is on it: it starts where its token says.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::objects::{Key, Objects};
use super::request::Query;
use super::selectors::Selection;
use super::status::{Cause, Failure, Outcome};
use super::store::{State, View};
use super::stored::Stored;

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Arc<Stored>>,
    pub(crate) meta: Value,
}

/// Where the next page starts.
struct Token {
    /// None: at whatever version is the newest when the page is asked for.
    version: Option<u64>,
    namespace: String,
    name: String,
}

impl Token {
    fn write(&self) -> String {
        let version = self.version.map_or("-1".to_owned(), |version| version.to_string());
        format!("{version}:{}/{}", self.namespace, self.name)
    }

    fn read(text: &str) -> Option<Token> {
        let (version, place) = text.split_once(':')?;
        let (namespace, name) = place.split_once('/')?;
        Some(Token {
            version: match version {
                "-1" => None,
                version => Some(version.parse().ok()?),
            },
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// What a list is to be.
struct Request {
    limit: Option<usize>,
    token: Option<Token>,
    /// The version to show; the newest if none.
    version: Option<u64>,
    /// Whether it is about exactly that version.
    exact: bool,
}

impl Request {
    fn read(query: &Query) -> Outcome<Request> {
        let limit = query.amount("limit")?.filter(|limit| *limit > 0);
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let asked = query.number("resourceVersion")?;
        let rule = query.text("resourceVersionMatch");
        let paging_on = query.text("continue");
        check_options(rule, asked, !paging_on.is_empty(), query.flag("sendInitialEvents")?)?;
        let token = match paging_on {
            "" => None,
            _ if asked.is_some_and(|version| version > 0) => {
                let why = "specifying resource version is not allowed when using continue";
                return Err(Failure::bad_request(why));
            }
            text => Some(Token::read(text).ok_or_else(|| Failure::bad_request("continue key is not valid"))?),
        };
        let version = asked.filter(|version| *version > 0);
        Ok(Request {
            // As documented, a limit without a rule asks for exactly the version it names.
            exact: rule == "Exact" || (rule.is_empty() && limit.is_some()),
            version,
            limit,
            token,
        })
    }
}

fn check_options(rule: &str, asked: Option<u64>, continues: bool, send_initial: Option<bool>) -> Outcome<()> {
    let mut causes = Vec::new();
    let field = "resourceVersionMatch";
    if !rule.is_empty() {
        if asked.is_none() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            causes.push(Cause::forbidden(field, why));
        }
        if continues {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            causes.push(Cause::forbidden(field, why));
        }
        if !matches!(rule, "Exact" | "NotOlderThan") {
            causes.push(Cause::not_supported(
                field,
                &json!(rule),
                &["Exact", "NotOlderThan", ""],
            ));
        }
        if rule == "Exact" && asked == Some(0) {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(Cause::forbidden(field, why));
        }
    }
    if send_initial.is_some() {
        let why = "sendInitialEvents is forbidden for list";
        causes.push(Cause::forbidden("sendInitialEvents", why));
    }
    match causes.as_slice() {
        [] => Ok(()),
        causes => Err(Failure::invalid_options("ListOptions", causes)),
    }
}

/// The page a query asks for.
pub(crate) fn list(state: &State, kind: &Kind, namespace: &str, selection: &Selection, query: &Query) -> Outcome<Page> {
    let request = Request::read(query)?;
    let View { objects, version: now } = state.view();
    let version = match (&request.token, request.version) {
        (Some(token), _) => token.version.unwrap_or(now),
        (None, Some(asked)) if asked > now => return Err(Failure::from_the_future(asked, now)),
        (None, Some(asked)) if request.exact => asked,
        (None, _) => now,
    };
    let resource = kind.storage();
    let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
    let then: Objects;
    let objects = if version == now {
        objects
    } else {
        then = state
            .list_at(&resource, namespace, version)
            .map_err(|oldest| match &request.token {
                None => Failure::expired(version, oldest),
                Some(token) => {
                    let rest = Token {
                        version: None,
                        namespace: token.namespace.clone(),
                        name: token.name.clone(),
                    };
                    Failure::expired_page(&rest.write())
                }
            })?;
        &then
    };
    let after = request.token.as_ref();
    let after = after.map(|token| (token.namespace.as_str(), token.name.as_str()));
    let mut meant = objects
        .list(&resource, namespace, after)
        .filter(|(key, object)| selection.matches(key, object));
    let page: Vec<(&Key, &Arc<Stored>)> = match request.limit {
        Some(limit) => meant.by_ref().take(limit).collect(),
        None => meant.by_ref().collect(),
    };
    let mut meta = json!({"resourceVersion": version.to_string()});
    let remaining = match (request.limit, selection.is_everything()) {
        (None, _) => 0,
        (Some(_), true) => meant.count(),
        // How many are left is told for lists of everything only, so nobody counts.
        (Some(_), false) => meant.take(1).count(),
    };
    if let (1.., Some((last, _))) = (remaining, page.last()) {
        if selection.is_everything() {
            meta["remainingItemCount"] = json!(remaining);
        }
        let next = Token {
            version: Some(version),
            namespace: last.namespace.to_string(),
            name: last.name.to_string(),
        };
        meta["continue"] = json!(next.write());
    }
    Ok(Page {
        items: page.into_iter().map(|(_, object)| object.clone()).collect(),
        meta,
    })
}
