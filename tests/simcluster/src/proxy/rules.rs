//! Which requests are answered with a fault, and with which.
//!
//! What must stay true: these are decisions without I/O. Of several faults that match, the one injected
//! last answers, and only that one counts the request.

use serde_json::{Value, json};

use crate::server::request::{self, Path, Query, Route};

/// What a request does, as the Kubernetes API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

/// How a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiAnswer {
    /// 429, with a `Retry-After` of so many seconds.
    TooManyRequests(u32),
    /// 500.
    InternalError,
    /// 503.
    Unavailable,
    /// 403.
    Forbidden,
    /// 410: a watch begins and its first event is the error, as with real servers; anything else fails.
    Gone,
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Times {
    /// Until the fault is lifted.
    Always,
    /// The next so many requests.
    Next(u32),
    /// This share of the requests, between 0 and 1.
    Share(f64),
}

/// A fault: which requests get which answer, and how often. Without any restriction all requests do.
#[derive(Clone, Debug)]
pub struct ApiFault {
    answer: ApiAnswer,
    times: Times,
    verbs: Vec<Verb>,
    /// Group and plural.
    resource: Option<(String, String)>,
    namespace: Option<String>,
}

impl ApiFault {
    /// Answers requests like this until it is lifted.
    pub fn new(answer: ApiAnswer) -> ApiFault {
        ApiFault {
            answer,
            times: Times::Always,
            verbs: Vec::new(),
            resource: None,
            namespace: None,
        }
    }

    /// Only requests with one of these verbs.
    pub fn on(mut self, verbs: &[Verb]) -> ApiFault {
        self.verbs = verbs.to_vec();
        self
    }

    /// Only requests for this resource: the group, empty for the core group, and the plural.
    pub fn of(mut self, group: &str, plural: &str) -> ApiFault {
        self.resource = Some((group.to_owned(), plural.to_owned()));
        self
    }

    /// Only requests in this namespace.
    pub fn within(mut self, namespace: &str) -> ApiFault {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Only so often.
    pub fn times(mut self, times: Times) -> ApiFault {
        self.times = times;
        self
    }

    fn matches(&self, verb: Option<Verb>, path: &Path) -> bool {
        let resource = |(group, plural): &(String, String)| *group == path.group && *plural == path.plural;
        (self.verbs.is_empty() || verb.is_some_and(|verb| self.verbs.contains(&verb)))
            && self.resource.as_ref().is_none_or(resource)
            && self
                .namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == path.namespace)
    }
}

/// Names an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

#[derive(Debug)]
struct Injected {
    id: FaultId,
    fault: ApiFault,
    answered: u64,
}

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    injected: Vec<Injected>,
    last: u64,
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) code: u16,
    pub(crate) retry_after: Option<u32>,
    pub(crate) body: String,
}

impl Rules {
    pub(crate) fn inject(&mut self, fault: ApiFault) -> FaultId {
        self.last += 1;
        let id = FaultId(self.last);
        self.injected.push(Injected { id, fault, answered: 0 });
        id
    }

    pub(crate) fn lift(&mut self, meant: impl Fn(FaultId) -> bool) {
        self.injected.retain(|injected| !meant(injected.id));
    }

    pub(crate) fn answered(&self, id: FaultId) -> u64 {
        let injected = self.injected.iter().find(|injected| injected.id == id);
        injected.map_or(0, |injected| injected.answered)
    }

    /// The answer to a request that is to be a fault; `chance` is between 0 and 1 and decides about shares.
    pub(crate) fn answer(&mut self, method: &http::Method, uri: &http::Uri, chance: f64) -> Option<Response> {
        let (verb, path) = what(method, uri);
        let wanted = |injected: &&mut Injected| {
            injected.fault.matches(verb, &path)
                && match injected.fault.times {
                    Times::Always => true,
                    Times::Next(count) => injected.answered < u64::from(count),
                    Times::Share(share) => chance < share,
                }
        };
        let injected = self.injected.iter_mut().rev().find(wanted)?;
        injected.answered += 1;
        Some(respond(&injected.fault.answer, verb, &path))
    }
}

/// What a request does and to what; the path is empty when it is about no resource.
fn what(method: &http::Method, uri: &http::Uri) -> (Option<Verb>, Path) {
    let path = uri.path();
    // Before it there may be what leads to the server.
    let start = ["/api/", "/apis/"].iter().filter_map(|root| path.find(root)).min();
    let Some(Route::Resource(path)) = start.and_then(|start| request::route(&path[start..])) else {
        return (None, Path::default());
    };
    let query = Query::parse(uri.query().unwrap_or_default());
    let watches = query.flag("watch").ok().flatten().unwrap_or_default();
    let verb = match (method.as_str(), path.name.is_empty()) {
        ("GET" | "HEAD", _) if watches => Verb::Watch,
        ("GET" | "HEAD", true) => Verb::List,
        ("GET" | "HEAD", false) => Verb::Get,
        ("POST", _) => Verb::Create,
        ("PUT", _) => Verb::Update,
        ("PATCH", _) => Verb::Patch,
        ("DELETE", true) => Verb::DeleteCollection,
        ("DELETE", false) => Verb::Delete,
        _ => return (None, path),
    };
    (Some(verb), path)
}

fn respond(answer: &ApiAnswer, verb: Option<Verb>, path: &Path) -> Response {
    let (code, reason, message) = match answer {
        ApiAnswer::TooManyRequests(_) => (
            429,
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        ),
        ApiAnswer::InternalError => (500, "InternalError", "Internal error occurred: injected fault"),
        ApiAnswer::Unavailable => (
            503,
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        ApiAnswer::Forbidden => (403, "Forbidden", "forbidden by an injected fault"),
        ApiAnswer::Gone => (410, "Expired", "The resourceVersion for the provided watch is too old."),
    };
    let mut status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details(path),
        "code": code,
    });
    let mut retry_after = None;
    if let ApiAnswer::TooManyRequests(seconds) = *answer {
        retry_after = Some(seconds);
        status["details"]["retryAfterSeconds"] = json!(seconds);
    }
    let in_stream = *answer == ApiAnswer::Gone && verb == Some(Verb::Watch);
    Response {
        code: if in_stream { 200 } else { code },
        retry_after,
        body: match in_stream {
            true => format!("{}\n", json!({"type": "ERROR", "object": status})),
            false => status.to_string(),
        },
    }
}

fn details(path: &Path) -> Value {
    let mut details = json!({});
    for (field, value) in [("name", &path.name), ("group", &path.group), ("kind", &path.plural)] {
        if !value.is_empty() {
            details[field] = json!(value);
        }
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fault: &ApiFault, method: &str, uri: &str, wanted: Option<u16>) {
        let mut rules = Rules::default();
        rules.inject(fault.clone());
        let answer = rules.answer(&method.parse().unwrap(), &uri.parse().unwrap(), 0.5);
        assert_eq!(
            answer.map(|answer| answer.code),
            wanted,
            "{method} {uri} under {fault:?}"
        );
    }

    #[test]
    fn faults_choose_by_verb_resource_and_namespace() {
        let all = ApiFault::new(ApiAnswer::Unavailable);
        check(&all, "GET", "/version", Some(503));
        check(&all, "GET", "/api/v1/pods", Some(503));
        let watches = ApiFault::new(ApiAnswer::InternalError).on(&[Verb::Watch]);
        check(&watches, "GET", "/api/v1/pods?watch=true", Some(500));
        check(&watches, "GET", "/token/x/api/v1/pods?watch=1", Some(500));
        check(&watches, "GET", "/api/v1/pods", None);
        check(&watches, "GET", "/version?watch=1", None);
        let deployments = ApiFault::new(ApiAnswer::Forbidden)
            .of("apps", "deployments")
            .within("shop");
        check(
            &deployments,
            "PUT",
            "/apis/apps/v1/namespaces/shop/deployments/a",
            Some(403),
        );
        check(
            &deployments,
            "PUT",
            "/apis/apps/v1/namespaces/other/deployments/a",
            None,
        );
        check(&deployments, "PUT", "/apis/apps/v1/namespaces/shop/replicasets/a", None);
    }

    #[test]
    fn gone_is_an_event_of_a_watch_and_a_failure_of_a_list() {
        let gone = ApiFault::new(ApiAnswer::Gone);
        check(&gone, "GET", "/api/v1/pods?watch=1", Some(200));
        check(&gone, "GET", "/api/v1/pods", Some(410));
    }

    #[test]
    fn faults_end_as_they_say() {
        let never = ApiFault::new(ApiAnswer::Forbidden).times(Times::Share(0.4));
        check(&never, "GET", "/api/v1/pods", None);
        check(&never.times(Times::Share(0.6)), "GET", "/api/v1/pods", Some(403));
        let mut rules = Rules::default();
        let always = rules.inject(ApiFault::new(ApiAnswer::Unavailable));
        let twice = rules.inject(ApiFault::new(ApiAnswer::TooManyRequests(7)).times(Times::Next(2)));
        let mut answer = || {
            let uri = "/api/v1/pods".parse().unwrap();
            let answer = rules.answer(&http::Method::GET, &uri, 0.0);
            answer.map(|answer| (answer.code, answer.retry_after))
        };
        assert_eq!([answer(), answer()], [Some((429, Some(7))); 2]);
        assert_eq!(answer(), Some((503, None)));
        assert_eq!((rules.answered(twice), rules.answered(always)), (2, 1));
        rules.lift(|id| id == always);
        assert_eq!(
            rules.answer(&http::Method::GET, &"/api/v1/pods".parse().unwrap(), 0.0),
            None
        );
    }
}
