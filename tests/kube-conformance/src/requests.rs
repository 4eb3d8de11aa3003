//! One request and its answer, without a client library's opinion on either.
//!
//! What must stay true: paths, queries, headers and bodies go out as the case wrote them, and code, headers and
//! body come back as the server sent them. The checks on an answer are plain functions that tell the line of the
//! case that called them.

use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderMap, Method, Request, header};
use kube::client::Body;
use serde_json::{Value, json};

use crate::watching::Watch;

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Requests to one server with one set of credentials.
#[derive(Clone)]
pub struct Requests {
    client: kube::Client,
}

/// What the server said.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub code: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; a string if it is not JSON.
    pub body: Value,
    asked: String,
}

impl Requests {
    pub(crate) fn new(client: kube::Client) -> Requests {
        Requests { client }
    }

    /// The same connection as a client of kube's, for what wants one.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Any request.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        let asked = format!("{method} {path}");
        let answer = tokio::time::timeout(LIMIT, self.exchange(method, path, headers, body.into()));
        match answer.await {
            Ok(Ok(mut answer)) => {
                answer.asked = asked;
                answer
            }
            Ok(Err(error)) => panic!("{asked}: {error:#}"),
            Err(_) => panic!("{asked}: no answer within {LIMIT:?}"),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.send(request.body(Body::from(body))?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect_bytes().await.context("the body broke off")?;
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
        Ok(Answer {
            code: parts.status.as_u16(),
            headers: parts.headers,
            body,
            asked: String::new(),
        })
    }

    /// Starts a watch: `path` has its query, without `watch`.
    pub async fn watch(&self, path: &str) -> Watch {
        self.watch_as(path, "application/json").await
    }

    /// Starts a watch in another representation.
    pub async fn watch_as(&self, path: &str, accept: &str) -> Watch {
        let join = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{join}watch=true");
        let request = Request::get(&path).header(header::ACCEPT, accept).body(Body::empty());
        let request = request.unwrap_or_else(|error| panic!("{path}: {error}"));
        let response = self.client.send(request).await;
        let response = response.unwrap_or_else(|error| panic!("{path}: {error}"));
        Watch::new(path, response)
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// GET in another representation.
    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.send(Method::GET, path, &[("accept", accept)], "").await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.write(Method::POST, path, "application/json", &body).await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.write(Method::PUT, path, "application/json", body).await
    }

    /// DELETE with its options, `Value::Null` for none.
    pub async fn delete(&self, path: &str, options: Value) -> Answer {
        if options.is_null() {
            return self.send(Method::DELETE, path, &[], "").await;
        }
        self.write(Method::DELETE, path, "application/json", &options).await
    }

    /// A JSON merge patch.
    pub async fn merge(&self, path: &str, body: Value) -> Answer {
        self.write(Method::PATCH, path, "application/merge-patch+json", &body)
            .await
    }

    /// A JSON patch.
    pub async fn json_patch(&self, path: &str, operations: Value) -> Answer {
        self.write(Method::PATCH, path, "application/json-patch+json", &operations)
            .await
    }

    /// A server-side apply by `manager`.
    pub async fn apply(&self, path: &str, manager: &str, body: Value) -> Answer {
        self.applying(path, &format!("fieldManager={manager}"), &body).await
    }

    /// A server-side apply by `manager` that takes what others own.
    pub async fn force_apply(&self, path: &str, manager: &str, body: Value) -> Answer {
        self.applying(path, &format!("fieldManager={manager}&force=true"), &body)
            .await
    }

    async fn applying(&self, path: &str, query: &str, body: &Value) -> Answer {
        let join = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{join}{query}");
        self.write(Method::PATCH, &path, "application/apply-patch+yaml", body)
            .await
    }

    async fn write(&self, method: Method, path: &str, content_type: &str, body: &Value) -> Answer {
        self.send(method, path, &[("content-type", content_type)], body.to_string())
            .await
    }
}

impl Answer {
    /// The body of an answer that must have this code.
    #[track_caller]
    pub fn code(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}: {}", self.asked, self.body);
        self.body
    }

    /// The body of a 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        self.code(200)
    }

    /// The body of a 201.
    #[track_caller]
    pub fn created(self) -> Value {
        self.code(201)
    }

    /// The `Status` of a failure with this code and reason.
    #[track_caller]
    pub fn refused(self, code: u16, reason: &str) -> Value {
        let found = (self.code, &self.body["reason"]);
        assert_eq!(found, (code, &json!(reason)), "{}: {}", self.asked, self.body);
        assert_eq!(self.body["kind"], "Status", "{}", self.body);
        assert_eq!(self.body["apiVersion"], "v1", "{}", self.body);
        assert_eq!(self.body["status"], "Failure", "{}", self.body);
        assert_eq!(self.body["code"], code, "{}", self.body);
        self.body
    }

    /// A 422 that names a field, or something in it, among its causes; any of them, since a server may say more.
    #[track_caller]
    pub fn invalid(self, field: &str) -> Value {
        let status = self.refused(422, "Invalid");
        let causes = status["details"]["causes"].as_array();
        let names = |cause: &Value| cause["field"].as_str().is_some_and(|found| is_in(found, field));
        let named = causes.into_iter().flatten().any(names);
        assert!(named, "no cause names {field}: {status}");
        status
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The media type of the body, without parameters.
    pub fn media_type(&self) -> &str {
        let value = self.header(header::CONTENT_TYPE.as_str());
        value.split(';').next().unwrap_or_default().trim()
    }
}

/// Whether a field is another one or belongs to it. How deep a cause points has changed between releases.
fn is_in(found: &str, field: &str) -> bool {
    let rest = found.strip_prefix(field);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_in_itself_and_in_what_it_belongs_to() {
        for (found, field, wanted) in [
            ("spec.ports", "spec.ports", true),
            ("spec.ports[0].name", "spec.ports", true),
            ("spec.template.spec", "spec.template", true),
            ("spec.portsOther", "spec.ports", false),
            ("spec", "spec.ports", false),
        ] {
            assert_eq!(is_in(found, field), wanted, "{found} in {field}");
        }
    }
}
