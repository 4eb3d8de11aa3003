//! What the server says it serves.
//!
//! What must stay true: every document is made from the registry when asked for, so a definition is
//! discoverable from the moment it is served. Groups keep the order of the registry; the preferred
//! version of a group is its most stable and newest one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::{Kind, Registry};

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// What can be done with the objects of a kind, or with a question. Namespaces are deleted one by one.
fn verbs(kind: &Kind) -> Vec<&'static str> {
    if !kind.stored {
        return vec!["create"];
    }
    let one_by_one = kind.is("", "Namespace");
    let verbs = VERBS.into_iter();
    verbs
        .filter(|verb| !(one_by_one && *verb == "deletecollection"))
        .collect()
}

/// The versions of a group in order of preference, each with its kinds.
type Versions<'r> = Vec<(&'r str, Vec<&'r Arc<Kind>>)>;

/// Kinds by group, then by version.
fn groups(registry: &Registry) -> BTreeMap<&str, Versions<'_>> {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<&Arc<Kind>>>> = BTreeMap::new();
    for kind in registry.iter() {
        let versions = groups.entry(&kind.group).or_default();
        versions.entry(&kind.version).or_default().push(kind);
    }
    let ordered = groups.into_iter().map(|(group, versions)| {
        let mut versions: Vec<_> = versions.into_iter().collect();
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(rank(version)));
        (group, versions)
    });
    ordered.collect()
}

/// Orders versions as Kubernetes does: v2 before v1 before v2beta1 before v1alpha1 before the rest.
pub(crate) fn rank(version: &str) -> (u8, u32, u32) {
    let rank = |version: &str| {
        let digits = |text: &str| text.parse::<u32>().ok();
        let text = version.strip_prefix('v')?;
        if let Some((major, minor)) = text.split_once("beta") {
            return Some((2, digits(major)?, digits(minor)?));
        }
        if let Some((major, minor)) = text.split_once("alpha") {
            return Some((1, digits(major)?, digits(minor)?));
        }
        Some((3, digits(text)?, 0))
    };
    rank(version).unwrap_or_default()
}

fn group_version(group: &str, version: &str) -> Value {
    match group {
        "" => json!(version),
        group => json!(format!("{group}/{version}")),
    }
}

/// `/version`.
pub(crate) fn version() -> Value {
    json!({
        "major": "1",
        "minor": "33",
        "gitVersion": "v1.33.0",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2025-04-23T00:00:00Z",
        "goVersion": "go1.24.2",
        "compiler": "gc",
        "platform": "linux/amd64",
    })
}

/// `/api`.
pub(crate) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis`.
pub(crate) fn group_list(registry: &Registry) -> Value {
    let groups = groups(registry);
    let groups = groups.iter().filter(|(group, _)| !group.is_empty());
    let groups: Vec<Value> = groups.map(|(group, versions)| one_group(group, versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn one_group(group: &str, versions: &[(&str, Vec<&Arc<Kind>>)]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|(version, _)| json!({"groupVersion": group_version(group, version), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

/// `/apis/G`.
pub(crate) fn group(registry: &Registry, name: &str) -> Option<Value> {
    let groups = groups(registry);
    let mut document = one_group(name, groups.get(name).filter(|_| !name.is_empty())?);
    document["kind"] = json!("APIGroup");
    document["apiVersion"] = json!("v1");
    Some(document)
}

/// `/api/v1` and `/apis/G/V`.
pub(crate) fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let kinds = registry
        .iter()
        .filter(|kind| kind.group == group && kind.version == version);
    let resources: Vec<Value> = kinds.flat_map(|kind| one_resource(kind)).collect();
    if resources.is_empty() {
        return None;
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version(group, version),
        "resources": resources,
    }))
}

fn one_resource(kind: &Kind) -> Vec<Value> {
    let mut whole = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": verbs(kind),
    });
    if !kind.short_names.is_empty() {
        whole["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        whole["categories"] = json!(kind.categories);
    }
    let mut resources = vec![whole];
    for (name, group, version, scope) in subresources(kind) {
        let mut part = json!({
            "name": format!("{}/{name}", kind.plural),
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": scope,
            "verbs": verbs_of_part(name),
        });
        if (group, version) != (&kind.group, &kind.version) {
            part["group"] = json!(group);
            part["version"] = json!(version);
        }
        resources.push(part);
    }
    resources
}

fn subresources(kind: &Kind) -> Vec<(&str, &str, &str, &str)> {
    let mut parts = Vec::new();
    if kind.has_status {
        parts.push(("status", kind.group.as_str(), kind.version.as_str(), kind.kind.as_str()));
    }
    if kind.scale.is_some() {
        parts.push(("scale", "autoscaling", "v1", "Scale"));
    }
    if kind.is("", "Namespace") {
        parts.push(("finalize", "", "v1", "Namespace"));
    }
    if kind.is("", "ServiceAccount") {
        parts.push(("token", "authentication.k8s.io", "v1", "TokenRequest"));
    }
    parts
}

fn verbs_of_part(name: &str) -> &'static [&'static str] {
    match name {
        "token" => &["create"],
        "finalize" => &["update"],
        _ => &["get", "patch", "update"],
    }
}

/// `/api` or `/apis` in one document.
pub(crate) fn aggregated(registry: &Registry, core: bool) -> Value {
    let groups = groups(registry);
    let items = groups
        .iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(version, kinds)| {
                    let resources: Vec<Value> = kinds.iter().map(|kind| aggregated_resource(kind)).collect();
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            let metadata = match core {
                true => json!({"creationTimestamp": null}),
                false => json!({"name": group, "creationTimestamp": null}),
            };
            json!({"metadata": metadata, "versions": versions})
        });
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items.collect::<Vec<Value>>(),
    })
}

fn aggregated_resource(kind: &Kind) -> Value {
    let scope = if kind.namespaced { "Namespaced" } else { "Cluster" };
    let mut resource = json!({
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": scope,
        "singularResource": kind.singular,
        "verbs": verbs(kind),
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    let parts: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|(name, group, version, shown)| {
            json!({
                "subresource": name,
                "responseKind": {"group": group, "version": version, "kind": shown},
                "verbs": verbs_of_part(name),
            })
        })
        .collect();
    if !parts.is_empty() {
        resource["subresources"] = json!(parts);
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_by_preference() {
        let mut versions = ["v1alpha1", "v1", "other", "v2beta1", "v10", "v1beta2"];
        versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        assert_eq!(versions, ["v10", "v1", "v2beta1", "v1beta2", "v1alpha1", "other"]);
    }
}
