//! The verbs on resources: which rule a request goes to.
//!
//! What must stay true: nothing is decided here but the verb; one verb is one critical section, so
//! two requests never see each other half done.

use std::sync::Arc;

use http::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::access::attributes::Attributes;
use super::access::user::User;
use super::binding;
use super::body::check_body;
use super::delete::{self, Options};
use super::kinds::Kind;
use super::list;
use super::managed::Managers;
use super::patch::{self, Form};
use super::present;
use super::protobuf;
use super::request::{self, Output, Path, Query};
use super::scale;
use super::selectors::Selection;
use super::status::{Cause, Failure, Outcome};
use super::store::{State, Store};
use super::stored::Stored;
use super::watch::{Scope, Watcher};
use super::write::{self, Ownership, Target};

/// A request for a resource.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) path: Path,
    pub(crate) method: Method,
    pub(crate) content_type: String,
    pub(crate) manager: String,
    pub(crate) query: Query,
    pub(crate) output: Output,
    pub(crate) body: Bytes,
    pub(crate) user: Arc<User>,
}

/// What goes back when nothing failed.
#[derive(Debug)]
pub(crate) enum Answer {
    Object {
        code: u16,
        body: Vec<u8>,
        /// What the client is told besides.
        warnings: Vec<String>,
    },
    Watch(Box<Watcher>),
}

impl Answer {
    fn plain(code: u16, body: Vec<u8>) -> Answer {
        Answer::Object {
            code,
            body,
            warnings: Vec::new(),
        }
    }
}

/// Writes an object, and shows it in the form asked for with what the client is to be warned of.
fn write(
    store: &Store,
    call: &Call,
    kind: &Kind,
    write: impl FnOnce(&mut State) -> Outcome<(u16, Arc<Stored>)>,
) -> Outcome<Answer> {
    let (written, found) = store.write(|state| {
        state.warnings.clear();
        (write(state), std::mem::take(&mut state.warnings))
    });
    let (code, object) = written?;
    let mut answer = stored(store, code, kind, &object, call)?;
    if let Answer::Object { warnings, .. } = &mut answer
        && call.query.text("fieldValidation") != "Ignore"
    {
        *warnings = found;
    }
    Ok(answer)
}

/// A stored object in the form asked for.
fn stored(store: &Store, code: u16, kind: &Kind, object: &Stored, call: &Call) -> Outcome<Answer> {
    let mut body = Vec::new();
    present::object(kind, object, call.output, store.read(State::now), &mut body);
    Ok(Answer::plain(code, body))
}

fn object(code: u16, value: &Value) -> Outcome<Answer> {
    let body = serde_json::to_vec(value).map_err(|error| Failure::internal(error.to_string()))?;
    Ok(Answer::plain(code, body))
}

/// Does what the request asks for.
pub(crate) fn handle(store: &Arc<Store>, call: &Call) -> Outcome<Answer> {
    let path = &call.path;
    let kind = store.read(|state| state.registry.get(&path.group, &path.version, &path.plural));
    let kind = kind.ok_or_else(Failure::no_such_path)?;
    if kind.namespaced == path.namespace.is_empty() {
        // A collection across namespaces can be read, and that is all.
        let read_all = kind.namespaced && path.name.is_empty() && call.method == Method::GET;
        if !read_all && !kind.namespaced {
            return Err(Failure::no_such_path());
        }
        if !read_all {
            return Err(Failure::method_not_allowed());
        }
    }
    let known = match path.subresource.as_str() {
        "" => true,
        "status" => kind.has_status,
        "scale" => kind.scale.is_some(),
        "binding" => kind.is("", "Pod") && call.method == Method::POST,
        "finalize" => kind.is("", "Namespace") && call.method == Method::PUT,
        _ => false,
    };
    if !known {
        return Err(Failure::no_such_path());
    }
    let target = target(&kind, call)?;
    if path.subresource == "scale" {
        return scale(store, call, &target);
    }
    if path.subresource == "binding" {
        let body = body(call)?;
        let bound = store.write(|state| binding::bind(state, &target, &body))?;
        return object(201, &bound);
    }
    match (&call.method, path.name.is_empty()) {
        (&Method::GET | &Method::HEAD, true) => read_many(store, call, &kind),
        (&Method::GET | &Method::HEAD, false) if call.query.flag("watch")? == Some(true) => {
            watch(store, call, &kind, Selection::named(&path.name))
        }
        (&Method::GET | &Method::HEAD, false) => {
            let asked = call.query.number("resourceVersion")?.unwrap_or_default();
            let shown = store.read(|state| match state.view().version {
                now if asked > now => Err(Failure::from_the_future(asked, now)),
                _ => target.shown(state),
            })?;
            stored(store, 200, &kind, &shown, call)
        }
        (&Method::POST, true) => {
            let body = body(call)?;
            let ownership = Ownership::Update(Managers::default());
            write(store, call, &kind, |state| {
                Ok((201, write::create(state, &target, body, ownership)?))
            })
        }
        (&Method::PUT, false) => {
            let body = body(call)?;
            write(store, call, &kind, |state| Ok((200, replace(state, &target, body)?)))
        }
        (&Method::PATCH, false) => {
            let form = Form::of(&call.content_type, &kind)?;
            let patch = request::parse_body(&call.body, form == Form::Apply)?;
            write(store, call, &kind, |state| {
                let created = state.get(&target.key()).is_none();
                if created && form == Form::Apply {
                    may_create(state, call)?;
                }
                let code = if created { 201 } else { 200 };
                Ok((code, patch::patch(state, &target, form, patch)?))
            })
        }
        (&Method::DELETE, false) if path.subresource.is_empty() => {
            let options = delete_options(call)?;
            let (code, told) = store.write(|state| delete::delete(state, &target, &options))?;
            object(code, &told)
        }
        (&Method::DELETE, true) if !kind.is("", "Namespace") => {
            let options = delete_options(call)?;
            let selection = selection(call, &kind)?;
            let page = store.write(|state| delete::delete_all(state, &target, &selection, &call.query, &options))?;
            let body = present::list(&kind, &page, call.output, store.read(State::now));
            Ok(Answer::plain(200, body))
        }
        _ => Err(Failure::method_not_allowed()),
    }
}

/// Applying what is not there creates it, which the right to patch does not include.
fn may_create(state: &State, call: &Call) -> Outcome<()> {
    if call.user.is_master() {
        return Ok(());
    }
    let attributes = Attributes::of_path("create", &call.path);
    state.policy().demand(&call.user, &attributes)
}

pub(crate) fn target(kind: &Arc<Kind>, call: &Call) -> Outcome<Target> {
    check_options(call)?;
    Ok(Target {
        kind: kind.clone(),
        namespace: call.path.namespace.clone(),
        name: call.path.name.clone(),
        subresource: call.path.subresource.clone(),
        dry_run: call.query.text("dryRun") == "All",
        manager: match call.query.text("fieldManager") {
            // Server-side apply has no default manager.
            "" if call.content_type != APPLY => call.manager.clone(),
            manager => manager.to_owned(),
        },
        force: call.query.flag("force")?.unwrap_or_default(),
        user: Some(call.user.clone()),
        strict: call.query.text("fieldValidation") == "Strict",
    })
}

const APPLY: &str = "application/apply-patch+yaml";

/// The options every write has, in the query.
fn check_options(call: &Call) -> Outcome<()> {
    let options = match call.method {
        Method::POST => "CreateOptions",
        Method::PUT => "UpdateOptions",
        Method::PATCH => "PatchOptions",
        _ => return Ok(()),
    };
    let mut causes = Vec::new();
    if call.method == Method::PATCH && call.content_type != APPLY && call.query.flag("force")?.is_some() {
        let why = "may not be specified for non-apply patch";
        causes.push(Cause::forbidden("force", why));
    }
    let manager = call.query.text("fieldManager");
    if manager.is_empty() && call.content_type == APPLY {
        let mut cause = Cause::required("fieldManager");
        cause.message = "Required value: is required for apply patch".to_owned();
        causes.push(cause);
    }
    if manager.len() > LONGEST_MANAGER {
        causes.push(Cause::too_long("fieldManager", LONGEST_MANAGER));
    }
    if let Some(found) = manager.chars().find(|c| c.is_control()) {
        let why = format!("invalid character {found:?}");
        causes.push(Cause::invalid("fieldManager", &json!(manager), &why));
    }
    for (field, supported) in [
        ("dryRun", &["", "All"] as &[&str]),
        ("fieldValidation", &["", "Ignore", "Strict", "Warn"]),
    ] {
        let value = call.query.text(field);
        if !supported.contains(&value) {
            causes.push(Cause::not_supported(field, &json!(value), supported));
        }
    }
    match causes.as_slice() {
        [] => Ok(()),
        causes => Err(Failure::invalid_options(options, causes)),
    }
}

const LONGEST_MANAGER: usize = 128;

/// Content types the body of a create or replace may have.
pub(crate) const BODIES: &[&str] = &["application/json", "application/yaml", protobuf::MEDIA_TYPE];

/// The body of a create or replace.
pub(crate) fn body(call: &Call) -> Outcome<Value> {
    match call.content_type.as_str() {
        "application/json" | "" => request::parse_body(&call.body, false),
        "application/yaml" => request::parse_body(&call.body, true),
        protobuf::MEDIA_TYPE => protobuf::parse(&call.body),
        _ => Err(Failure::unsupported_media_type(BODIES)),
    }
}

fn replace(state: &mut State, target: &Target, mut body: Value) -> Outcome<Arc<Stored>> {
    let live = target.live(state)?;
    check_body(target, &mut body)?;
    if target.kind.is_custom() && super::object::resource_version(&body).is_none() {
        let mut cause = Cause::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
        cause.message = "Invalid value: 0x0: must be specified for an update".to_owned();
        return Err(Failure::invalid(&target.kind, &target.name, &[cause]));
    }
    let managers = Managers::for_update(&live, &body);
    write::change(state, target, &live, body, Ownership::Update(managers))
}

fn selection(call: &Call, kind: &Kind) -> Outcome<Selection> {
    let (labels, fields) = (call.query.text("labelSelector"), call.query.text("fieldSelector"));
    Selection::parse(labels, fields, &kind.selectable)
}

fn read_many(store: &Arc<Store>, call: &Call, kind: &Arc<Kind>) -> Outcome<Answer> {
    let selection = selection(call, kind)?;
    if call.query.flag("watch")? == Some(true) {
        return watch(store, call, kind, selection);
    }
    let namespace = &call.path.namespace;
    let page = store.read(|state| list::list(state, kind, namespace, &selection, &call.query))?;
    let body = present::list(kind, &page, call.output, store.read(State::now));
    Ok(Answer::plain(200, body))
}

fn watch(store: &Arc<Store>, call: &Call, kind: &Arc<Kind>, selection: Selection) -> Outcome<Answer> {
    let scope = Scope {
        kind: kind.clone(),
        resource: kind.storage().into(),
        namespace: call.path.namespace.clone(),
        selection,
        output: call.output,
    };
    let watcher = Watcher::start(store, scope, &call.query)?;
    Ok(Answer::Watch(Box::new(watcher)))
}

/// The body of a delete is optional; without one the query speaks.
fn delete_options(call: &Call) -> Outcome<Options> {
    let body = match call.body.is_empty() {
        true => Value::Null,
        false => request::parse_body(&call.body, true)?,
    };
    Options::read(&body, &call.query)
}

fn scale(store: &Arc<Store>, call: &Call, target: &Target) -> Outcome<Answer> {
    let scale = match call.method {
        Method::GET => store.read(|state| scale::read(state, target))?,
        Method::PUT => {
            let body = body(call)?;
            store.write(|state| scale::replace(state, target, &body))?
        }
        Method::PATCH => {
            let form = Form::of(&call.content_type, &target.kind)?;
            let change = request::parse_body(&call.body, form == Form::Apply)?;
            store.write(|state| scale::patch(state, target, form, change))?
        }
        _ => return Err(Failure::method_not_allowed()),
    };
    object(200, &scale)
}
