//! What a request wants to do, as authorization sees it.
//!
//! What must stay true: this is read from the method, the path and the query alone, before anything
//! else of the request is looked at, so nobody learns what exists by being refused. A path below
//! `/api` or `/apis` that names no resource is a path like any other.

use http::Method;

use super::super::request::{Path, Query, Route};
use super::super::selectors::Selection;
use super::super::status::Failure;
use super::user::User;

/// A verb on a resource, or on a path if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    pub(crate) namespace: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) name: String,
    pub(crate) path: Option<String>,
}

impl Attributes {
    pub(crate) fn of(method: &Method, path: &str, route: Option<&Route>, query: &Query) -> Attributes {
        let Some(Route::Resource(named)) = route else {
            return Attributes {
                verb: method.as_str().to_ascii_lowercase(),
                path: Some(path.to_owned()),
                ..Attributes::default()
            };
        };
        let watches = matches!(query.flag("watch"), Ok(Some(true)));
        let verb = match (method.as_str(), named.name.is_empty()) {
            ("GET" | "HEAD", _) if watches => "watch",
            ("GET" | "HEAD", true) => "list",
            ("GET" | "HEAD", false) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "deletecollection",
            ("DELETE", false) => "delete",
            _ => "",
        };
        let mut attributes = Attributes::of_path(verb, named);
        // Whoever may see one object may list and watch a collection of just that one.
        if named.name.is_empty()
            && matches!(verb, "list" | "watch")
            && let Ok(selection) = Selection::parse("", query.text("fieldSelector"), &[])
        {
            attributes.name = selection.only_name().unwrap_or_default().to_owned();
        }
        attributes
    }

    /// A verb on the resource a path names.
    pub(crate) fn of_path(verb: &str, path: &Path) -> Attributes {
        // A namespace is in itself, so that a Role in it can be about it.
        let is_namespace = path.group.is_empty() && path.plural == "namespaces";
        Attributes {
            verb: verb.to_owned(),
            namespace: match is_namespace {
                true => path.name.clone(),
                false => path.namespace.clone(),
            },
            group: path.group.clone(),
            resource: path.plural.clone(),
            subresource: path.subresource.clone(),
            name: path.name.clone(),
            path: None,
        }
    }

    /// The resource with its subresource, as rules name it.
    pub(crate) fn full_resource(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            part => format!("{}/{part}", self.resource),
        }
    }

    /// The answer to a user who may not.
    pub(crate) fn denied(&self, user: &User, reason: &str) -> Box<Failure> {
        let (who, verb) = (&user.name, &self.verb);
        let mut why = match (&self.path, self.namespace.as_str()) {
            (None, "") => format!(
                "User {who:?} cannot {verb} resource {:?} in API group {:?} at the cluster scope",
                self.full_resource(),
                self.group
            ),
            (None, namespace) => format!(
                "User {who:?} cannot {verb} resource {:?} in API group {:?} in the namespace {namespace:?}",
                self.full_resource(),
                self.group
            ),
            (Some(path), _) => format!("User {who:?} cannot {verb} path {path:?}"),
        };
        if !reason.is_empty() {
            why = format!("{why}: {reason}");
        }
        Failure::denied(&self.group, &self.resource, &self.name, &why)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::request;
    use super::*;

    fn check(method: Method, target: &str, wanted: &str) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let route = request::route(path);
        let found = Attributes::of(&method, path, route.as_ref(), &Query::parse(query));
        let shown = match &found.path {
            None => format!(
                "{} {}.{} {}/{}",
                found.verb,
                found.full_resource(),
                found.group,
                found.namespace,
                found.name
            ),
            Some(path) => format!("{} {path}", found.verb),
        };
        assert_eq!(shown, wanted, "{method} {target}");
    }

    #[test]
    fn verbs_of_requests() {
        check(Method::GET, "/api/v1/pods", "list pods. /");
        check(Method::GET, "/api/v1/namespaces/a/pods/b", "get pods. a/b");
        check(Method::HEAD, "/api/v1/namespaces/a/pods/b", "get pods. a/b");
        check(Method::GET, "/api/v1/namespaces/a/pods?watch=1", "watch pods. a/");
        check(
            Method::GET,
            "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Db",
            "list pods. a/b",
        );
        check(
            Method::GET,
            "/api/v1/namespaces/a/pods?fieldSelector=metadata.name!%3Db",
            "list pods. a/",
        );
        check(
            Method::DELETE,
            "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Db",
            "deletecollection pods. a/",
        );
        check(Method::DELETE, "/api/v1/namespaces/a/pods/b", "delete pods. a/b");
        check(Method::GET, "/api/v1/namespaces/a", "get namespaces. a/a");
        check(
            Method::PATCH,
            "/apis/apps/v1/namespaces/a/deployments/b/scale",
            "patch deployments/scale.apps a/b",
        );
        check(
            Method::POST,
            "/api/v1/namespaces/a/serviceaccounts/b/token",
            "create serviceaccounts/token. a/b",
        );
        check(Method::OPTIONS, "/api/v1/pods", " pods. /");
        check(Method::GET, "/apis/apps/v1", "get /apis/apps/v1");
        check(Method::POST, "/nothing", "post /nothing");
    }
}
