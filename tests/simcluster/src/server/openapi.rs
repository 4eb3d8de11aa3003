//! The OpenAPI documents, as far as clients need them.
//!
//! What must stay true: every operation names its kind and its parameters, since kubectl looks there
//! for `fieldValidation` before it trusts the server to validate. Schemas of custom kinds are those
//! of their definitions; built-in kinds are open objects, because the typed structs, and not this
//! document, decide what is valid. No patch operation offers strategic merge, so kubectl computes
//! such patches by the rules it was built with.

use serde_json::{Map, Value, json};

use super::kinds::{Fields, Kind, Registry};

/// `/openapi/v3`.
pub(crate) fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for kind in registry.iter() {
        let path = base(kind);
        let path = path.trim_start_matches('/').to_owned();
        paths.insert(
            path.clone(),
            json!({"serverRelativeURL": format!("/openapi/v3/{path}")}),
        );
    }
    json!({"paths": paths})
}

fn base(kind: &Kind) -> String {
    match kind.group.as_str() {
        "" => format!("/api/{}", kind.version),
        group => format!("/apis/{group}/{}", kind.version),
    }
}

fn name(kind: &Kind) -> String {
    let mut parts: Vec<&str> = kind.group.split('.').filter(|part| !part.is_empty()).collect();
    parts.reverse();
    if parts.is_empty() {
        parts.push("core");
    }
    format!("{}.{}.{}", parts.join("."), kind.version, kind.kind)
}

fn gvk(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

/// `/openapi/v3/apis/G/V`; `None` when nothing of it is served.
pub(crate) fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in registry
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
    {
        let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{}{scope}/{}", base(kind), kind.plural);
        if kind.stored {
            paths.insert(format!("{collection}/{{name}}"), one(kind));
        }
        paths.insert(collection, many(kind));
        schemas.insert(name(kind), schema(kind));
    }
    if paths.is_empty() {
        return None;
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.33.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn schema(kind: &Kind) -> Value {
    let mut schema = match &kind.fields {
        Fields::Schema(schema) => Value::clone(schema),
        Fields::Typed(_) => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    };
    schema["x-kubernetes-group-version-kind"] = json!([gvk(kind)]);
    schema
}

fn operation(kind: &Kind, action: &str, body: &[&str], parameters: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
        .collect();
    let reference = json!({"schema": {"$ref": format!("#/components/schemas/{}", name(kind))}});
    let content: Map<String, Value> = body
        .iter()
        .map(|media| ((*media).to_owned(), reference.clone()))
        .collect();
    let mut operation = json!({
        "operationId": format!("{action}{}{}", kind.version, kind.kind),
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {"application/json": reference}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk(kind),
    });
    if !content.is_empty() {
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "pretty"];

fn one(kind: &Kind) -> Value {
    let json = &["application/json"];
    let patches = &[
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    ];
    let patch = [WRITE, &["force"]].concat();
    json!({
        "get": operation(kind, "get", &[], &["pretty"]),
        "put": operation(kind, "put", json, WRITE),
        "patch": operation(kind, "patch", patches, &patch),
        "delete": operation(kind, "delete", json, &["dryRun", "propagationPolicy"]),
    })
}

fn many(kind: &Kind) -> Value {
    let post = operation(kind, "post", &["application/json"], WRITE);
    if !kind.stored {
        return json!({"post": post});
    }
    let list = &[
        "continue",
        "fieldSelector",
        "labelSelector",
        "limit",
        "resourceVersion",
        "watch",
    ];
    json!({
        "get": operation(kind, "list", &[], list),
        "post": post,
        "delete": operation(kind, "deletecollection", &["application/json"], list),
    })
}

/// `/openapi/v2` in JSON: a document without content, for clients that only look whether it is there.
pub(crate) fn v2_json() -> Value {
    json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.33.0"}, "paths": {}})
}

/// The same in protobuf: field 1 is the swagger version, field 2 the info of title and version.
pub(crate) fn v2_protobuf() -> Vec<u8> {
    let text = |tag: u8, text: &[u8]| {
        let mut bytes = vec![tag, u8::try_from(text.len()).unwrap_or_default()];
        bytes.extend_from_slice(text);
        bytes
    };
    let info = [text(0x0a, b"Kubernetes"), text(0x12, b"v1.33.0")].concat();
    [text(0x0a, b"2.0"), text(0x12, &info)].concat()
}
