//! From an HTTP request to what it asks for.
//!
//! What must stay true: the path alone says which resource is meant, the method and the query say
//! what is to be done with it; nothing else of the request is looked at outside this module.

use http::HeaderMap;
use http::header;
use std::collections::BTreeMap;
use std::str::FromStr;

use super::selectors::{parse_query, percent_decode};
use super::status::{Failure, Outcome};

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A probe, and a single check of it.
    Health(String, String),
    Version,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/G`
    Group(String),
    /// `/api/v1` or `/apis/G/V`
    Resources(String, String),
    OpenApiV2,
    OpenApiIndex,
    OpenApi(String, String),
    Resource(Path),
}

/// The path of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

/// Reads a path; `None` when it names nothing.
pub(crate) fn route(path: &str) -> Option<Route> {
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(percent_decode)
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let text = |text: &str| text.to_owned();
    Some(match segments.as_slice() {
        [probe @ ("healthz" | "readyz" | "livez"), check @ ..] => Route::Health(text(probe), check.join("/")),
        ["version"] => Route::Version,
        ["api"] => Route::CoreVersions,
        ["apis"] => Route::Groups,
        ["openapi", "v2"] => Route::OpenApiV2,
        ["openapi", "v3"] => Route::OpenApiIndex,
        ["openapi", "v3", "api", version] => Route::OpenApi(String::new(), text(version)),
        ["openapi", "v3", "apis", group, version] => Route::OpenApi(text(group), text(version)),
        ["apis", group] => Route::Group(text(group)),
        ["api", version] => Route::Resources(String::new(), text(version)),
        ["apis", group, version] => Route::Resources(text(group), text(version)),
        ["api", version, rest @ ..] => Route::Resource(resource("", version, rest)?),
        ["apis", group, version, rest @ ..] => Route::Resource(resource(group, version, rest)?),
        _ => return None,
    })
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Option<Path> {
    let (namespace, rest) = match rest {
        // A namespace itself, or one of its subresources, is an object of the kind Namespace.
        ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => ("", rest),
        ["namespaces", namespace, rest @ ..] => (*namespace, rest),
        rest => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, subresource] => (*plural, *name, *subresource),
        _ => return None,
    };
    Some(Path {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
    })
}

/// The parameters of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(query: &str) -> Query {
        Query(parse_query(query))
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether the parameter is there, with or without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn flag(&self, name: &str) -> Outcome<Option<bool>> {
        match self.0.get(name).map(String::as_str) {
            None => Ok(None),
            Some("1" | "true" | "True" | "TRUE" | "t" | "T") => Ok(Some(true)),
            Some("0" | "false" | "False" | "FALSE" | "f" | "F" | "") => Ok(Some(false)),
            Some(other) => Err(Failure::bad_request(format!(
                "invalid value for parameter {name}: {other:?}"
            ))),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Outcome<Option<u64>> {
        self.parsed(name)
    }

    /// A number that may be negative, which means as much as none to those who ask here.
    pub(crate) fn amount(&self, name: &str) -> Outcome<Option<u64>> {
        let found: Option<i64> = self.parsed(name)?;
        Ok(found.and_then(|number| u64::try_from(number).ok()))
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Outcome<Option<T>> {
        match self.text(name) {
            "" => Ok(None),
            text => {
                let unreadable = |_| Failure::bad_request(format!("invalid value for parameter {name}: {text:?}"));
                text.parse().map(Some).map_err(unreadable)
            }
        }
    }

    /// Fails when an option that lists and watches have cannot be read, whether or not this request needs it.
    pub(crate) fn check_list_options(&self) -> Outcome<()> {
        for name in ["limit", "timeoutSeconds"] {
            self.amount(name)?;
        }
        for name in ["watch", "allowWatchBookmarks", "sendInitialEvents"] {
            self.flag(name)?;
        }
        Ok(())
    }
}

/// The form in which the client wants objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Plain,
    /// Rows for `kubectl get`.
    Table(Rows),
    Metadata,
}

/// What the rows of a table carry of their objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    Nothing,
    Metadata,
    Whole,
}

/// The language of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Json,
    Yaml,
}

/// What a range of the `Accept` header asks for, if it is something this server can give.
fn offered(kind: &str, parameters: &BTreeMap<String, String>) -> Option<(Language, Output)> {
    let language = match kind {
        "application/json" | "application/*" | "*/*" => Language::Json,
        "application/yaml" => Language::Yaml,
        _ => return None,
    };
    let parameter = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    let output = match parameter("as") {
        "" => Output::Plain,
        "Table" if parameter("v") == "v1" => Output::Table(Rows::Metadata),
        "PartialObjectMetadata" | "PartialObjectMetadataList" => Output::Metadata,
        _ => return None,
    };
    Some((language, output))
}

fn first_offered(headers: &HeaderMap) -> Option<(Language, Output)> {
    let mut accepted = accepted(headers).into_iter();
    accepted.find_map(|(kind, parameters)| offered(&kind, &parameters))
}

/// The first form of the `Accept` header that this server can give.
pub(crate) fn output(headers: &HeaderMap, query: &Query) -> Outcome<Output> {
    let (_, output) =
        first_offered(headers).ok_or_else(|| Failure::not_acceptable("application/json, application/yaml"))?;
    let Output::Table(_) = output else {
        return Ok(output);
    };
    Ok(Output::Table(match query.text("includeObject") {
        "" | "Metadata" => Rows::Metadata,
        "Object" => Rows::Whole,
        "None" => Rows::Nothing,
        other => {
            return Err(Failure::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be \
                 'Metadata', 'Object', 'None', or empty"
            )));
        }
    }))
}

/// The language the client wants to be answered in.
pub(crate) fn language(headers: &HeaderMap) -> Language {
    first_offered(headers).map_or(Language::Json, |(language, _)| language)
}

/// Whether the client asks for all of discovery in one document.
pub(crate) fn wants_aggregated_discovery(headers: &HeaderMap) -> bool {
    let first = accepted(headers).into_iter().next();
    first.is_some_and(|(_, parameters)| {
        let is = |name: &str, value: &str| parameters.get(name).is_some_and(|found| found == value);
        is("g", "apidiscovery.k8s.io") && is("v", "v2") && is("as", "APIGroupDiscoveryList")
    })
}

/// The media types of the `Accept` header with their parameters, in the client's order.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<(String, BTreeMap<String, String>)> {
    let header = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let header = header.filter(|header| !header.trim().is_empty()).unwrap_or("*/*");
    header
        .split(',')
        .map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_owned();
            let parameters = parts.filter_map(|part| part.split_once('='));
            let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
            (kind, parameters.collect())
        })
        .collect()
}

/// The media type of the body, without parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let header = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = header.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// Who writes, when the query does not say: the first word of the user agent, as the API documents.
pub(crate) fn default_manager(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let name = agent.unwrap_or_default().split('/').next().unwrap_or_default();
    match name {
        "" => "unknown".to_owned(),
        name => name.chars().take(128).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, wanted: [&str; 6]) {
        let [group, version, plural, namespace, name, subresource] = wanted.map(str::to_owned);
        let wanted = Route::Resource(Path {
            group,
            version,
            plural,
            namespace,
            name,
            subresource,
        });
        assert_eq!(route(path), Some(wanted), "{path}");
    }

    #[test]
    fn paths_of_resources() {
        check("/api/v1/namespaces", ["", "v1", "namespaces", "", "", ""]);
        check("/api/v1/namespaces/a", ["", "v1", "namespaces", "", "a", ""]);
        check(
            "/api/v1/namespaces/a/status",
            ["", "v1", "namespaces", "", "a", "status"],
        );
        check("/api/v1/namespaces/a/pods", ["", "v1", "pods", "a", "", ""]);
        check("/apis/apps/v1/deployments", ["apps", "v1", "deployments", "", "", ""]);
        check(
            "/apis/apps/v1/namespaces/a/deployments/b/scale",
            ["apps", "v1", "deployments", "a", "b", "scale"],
        );
        assert_eq!(route("/nothing"), None);
        assert_eq!(route("/api/v1/namespaces/a/pods/b/c/d"), None);
    }
}
