//! Errors as the `Status` objects clients get.
//!
//! What must stay true: a failed request answers with a `Status` whose code, reason and details are
//! those of a real server, because clients decide by the reason and not by the HTTP code. Every rule
//! of this server fails by making one of the values below.
//!
//! Refused: an error enum with one variant per rule. Nothing inside the server branches on what went
//! wrong; the only reader is the client.

use serde_json::{Map, Value, json};

use super::kinds::{Kind, qualified};

/// A failed request.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    reason: &'static str,
    message: String,
    details: Map<String, Value>,
    /// Where a list goes on that cannot go on as it began.
    next_page: Option<String>,
}

/// What a rule returns.
pub(crate) type Outcome<T> = Result<T, Box<Failure>>;

/// One reason why an object is invalid.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Cause {
    fn to_json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }

    pub(crate) fn required(field: impl Into<String>) -> Cause {
        Cause {
            reason: "FieldValueRequired",
            field: field.into(),
            message: "Required value".to_owned(),
        }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Cause {
        Cause {
            reason: "FieldValueInvalid",
            field: field.into(),
            message: format!("Invalid value: {value}: {why}"),
        }
    }

    pub(crate) fn required_because(field: impl Into<String>, why: &str) -> Cause {
        Cause {
            message: format!("Required value: {why}"),
            ..Cause::required(field)
        }
    }

    pub(crate) fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Cause {
        let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        Cause {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!("Unsupported value: {value}: supported values: {}", supported.join(", ")),
        }
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Cause {
        Cause {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message: format!("Duplicate value: {value}"),
        }
    }

    pub(crate) fn not_found(field: impl Into<String>, value: &Value) -> Cause {
        Cause {
            reason: "FieldValueNotFound",
            field: field.into(),
            message: format!("Not found: {value}"),
        }
    }

    pub(crate) fn too_long(field: impl Into<String>, limit: usize) -> Cause {
        Cause {
            reason: "FieldValueTooLong",
            field: field.into(),
            message: format!("Too long: may not be more than {limit} bytes"),
        }
    }

    pub(crate) fn too_many(field: impl Into<String>, count: usize, limit: usize) -> Cause {
        Cause {
            reason: "FieldValueTooMany",
            field: field.into(),
            message: format!("Too many: {count}: must have at most {limit} items"),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Cause {
        Cause {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {why}"),
        }
    }
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Box<Failure> {
        Box::new(Failure {
            code,
            reason,
            message: message.into(),
            details: Map::new(),
            next_page: None,
        })
    }

    fn about(mut self: Box<Self>, kind: &Kind, name: &str) -> Box<Self> {
        self.details.insert("name".into(), json!(name));
        if !kind.group.is_empty() {
            self.details.insert("group".into(), json!(kind.group));
        }
        self.details.insert("kind".into(), json!(kind.plural));
        self
    }

    /// Seconds after which the client should try again, if the failure says so.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details.get("retryAfterSeconds")?.as_u64()
    }

    /// The `Status` object.
    pub(crate) fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(token) = &self.next_page {
            status["metadata"]["continue"] = json!(token);
        }
        if !self.details.is_empty() {
            status["details"] = Value::Object(self.details.clone());
        }
        status
    }

    pub(crate) fn unauthorized() -> Box<Failure> {
        Failure::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Box<Failure> {
        Failure::new(400, "BadRequest", message)
    }

    /// The path names nothing this server has.
    pub(crate) fn no_such_path() -> Box<Failure> {
        Failure::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Box<Failure> {
        let message = format!("{} \"{name}\" not found", kind.qualified());
        Failure::new(404, "NotFound", message).about(kind, name)
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Box<Failure> {
        let message = format!("{} \"{name}\" already exists", kind.qualified());
        Failure::new(409, "AlreadyExists", message).about(kind, name)
    }

    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Box<Failure> {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            kind.qualified()
        );
        Failure::new(409, "Conflict", message).about(kind, name)
    }

    /// The object was changed since the client read it.
    pub(crate) fn stale(kind: &Kind, name: &str) -> Box<Failure> {
        Failure::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// Server-side apply met fields of other managers.
    pub(crate) fn apply_conflict(message: String, fields: &[(String, String)]) -> Box<Failure> {
        let mut failure = Failure::new(409, "Conflict", message);
        let causes = fields
            .iter()
            .map(|(field, message)| json!({"reason": "FieldManagerConflict", "message": message, "field": field}));
        failure.details.insert("causes".into(), causes.collect());
        failure
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Box<Failure> {
        let why = summary(causes);
        let qualified = match kind.group.as_str() {
            "" => kind.kind.clone(),
            group => format!("{}.{group}", kind.kind),
        };
        let mut failure =
            Failure::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {why}")).about(kind, name);
        failure.details.insert("kind".into(), json!(kind.kind));
        let causes = causes.iter().map(Cause::to_json).collect();
        failure.details.insert("causes".into(), causes);
        failure
    }

    /// The options of a request (`ListOptions`, `DeleteOptions`, ...) contradict themselves.
    pub(crate) fn invalid_options(options: &str, causes: &[Cause]) -> Box<Failure> {
        let message = format!("{options}.meta.k8s.io \"\" is invalid: {}", summary(causes));
        let mut failure = Failure::new(422, "Invalid", message);
        failure.details.insert("group".into(), json!("meta.k8s.io"));
        failure.details.insert("kind".into(), json!(options));
        let causes = causes.iter().map(Cause::to_json).collect();
        failure.details.insert("causes".into(), causes);
        failure
    }

    /// A patch that is well formed and cannot be applied to the object as it is.
    pub(crate) fn unprocessable_patch(kind: &Kind, name: &str, why: &str) -> Box<Failure> {
        let message = "the server rejected our request due to an error in our request";
        let mut failure = Failure::new(422, "Invalid", message).about(kind, name);
        let cause = json!({"reason": "UnexpectedServerResponse", "message": why});
        failure.details.insert("causes".into(), json!([cause]));
        failure
    }

    pub(crate) fn terminating(kind: &Kind, name: &str, namespace: &str) -> Box<Failure> {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.qualified());
        let mut failure = Failure::new(403, "Forbidden", message).about(kind, name);
        let cause = json!({
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        });
        failure.details.insert("causes".into(), json!([cause]));
        failure
    }

    pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Box<Failure> {
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.qualified());
        Failure::new(403, "Forbidden", message).about(kind, name)
    }

    /// The user may not do that; the resource is empty when it is about a path.
    pub(crate) fn denied(group: &str, resource: &str, name: &str, why: &str) -> Box<Failure> {
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{} is forbidden: {why}", qualified(group, resource)),
            _ => format!("{} {name:?} is forbidden: {why}", qualified(group, resource)),
        };
        let mut failure = Failure::new(403, "Forbidden", message);
        for (field, value) in [("name", name), ("group", group), ("kind", resource)] {
            if !value.is_empty() {
                failure.details.insert(field.into(), json!(value));
            }
        }
        failure
    }

    /// The object a client means by its uid is not the one of that name.
    pub(crate) fn wrong_uid(kind: &str, name: &str, meant: &str, found: &str) -> Box<Failure> {
        let message = format!(
            "Operation cannot be fulfilled on {kind} {name:?}: the UID in the bound object reference ({meant}) does \
             not match the UID in record ({found}). The object might have been deleted and then recreated"
        );
        let mut failure = Failure::new(409, "Conflict", message);
        failure.details.insert("name".into(), json!(name));
        failure.details.insert("kind".into(), json!(kind));
        failure
    }

    pub(crate) fn method_not_allowed() -> Box<Failure> {
        Failure::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    pub(crate) fn not_acceptable(offered: &str) -> Box<Failure> {
        Failure::new(
            406,
            "NotAcceptable",
            format!("only the following media types are accepted: {offered}"),
        )
    }

    pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Box<Failure> {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Failure::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn too_large(limit: usize) -> Box<Failure> {
        Failure::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// The history no longer reaches back to the version asked for.
    pub(crate) fn expired(asked: u64, oldest: u64) -> Box<Failure> {
        Failure::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// The same for a page, with the token of the rest as it is now.
    pub(crate) fn expired_page(token: &str) -> Box<Failure> {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start \
                       a new list without the continue parameter, or use the continue token in this response to \
                       retrieve the remainder of the results as they are now.";
        let mut failure = Failure::new(410, "Expired", message);
        failure.next_page = Some(token.to_owned());
        failure
    }

    /// The version asked for is newer than anything this server has written.
    pub(crate) fn from_the_future(asked: u64, current: u64) -> Box<Failure> {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut failure = Failure::new(504, "Timeout", message);
        let cause = json!({
            "reason": "ResourceVersionTooLarge",
            "message": "Too large resource version",
        });
        failure.details.insert("causes".into(), json!([cause]));
        failure.details.insert("retryAfterSeconds".into(), json!(1));
        failure
    }

    /// A patch that leaves nothing of the object's kind.
    pub(crate) fn invalid_patch(object: &Value, why: &str) -> Box<Failure> {
        let cause = Cause::invalid("patch", &json!(object.to_string()), why);
        let message = format!(" \"\" is invalid: {}", summary(std::slice::from_ref(&cause)));
        let mut failure = Failure::new(422, "Invalid", message);
        failure.details.insert("causes".into(), json!([cause.to_json()]));
        failure
    }

    /// What real servers fail at without a reason that clients could know.
    pub(crate) fn unexplained(message: impl Into<String>) -> Box<Failure> {
        Failure::new(500, "", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Box<Failure> {
        Failure::new(500, "InternalError", message)
    }
}

/// The causes as a message shows them.
fn summary(causes: &[Cause]) -> String {
    let lines: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    match lines.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// The `Status` of a delete that removed the object.
pub(crate) fn deleted(kind: &Kind, name: &str, uid: &Value) -> Value {
    let mut details = json!({"name": name, "kind": kind.plural, "uid": uid});
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    })
}
