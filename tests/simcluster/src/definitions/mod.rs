//! Definitions of kinds that clusters often have beside those built in.
//!
//! What must stay true: these are ordinary CustomResourceDefinitions that anybody may apply, to a
//! simulated cluster or to a real one; the server knows nothing of them. They describe the fields that
//! controllers decide by, with their defaults, enumerations and merge keys; what else the real
//! definitions describe is kept and not looked at.
//!
//! Refused: copies of the published definitions, which are longer than this server.

mod gateway;
mod multicluster;
mod parts;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use self::parts::conditions;

/// The kinds of `multicluster.x-k8s.io`: ServiceExport and ServiceImport.
pub fn multicluster() -> Vec<CustomResourceDefinition> {
    read(multicluster::definitions())
}

/// The kinds of `gateway.networking.k8s.io`: GatewayClass, Gateway and the routes.
pub fn gateway() -> Vec<CustomResourceDefinition> {
    read(gateway::definitions())
}

/// The definitions below are constant, so one that cannot be read is caught by the test of this module.
fn read(definitions: Vec<Value>) -> Vec<CustomResourceDefinition> {
    definitions
        .into_iter()
        .filter_map(|definition| serde_json::from_value(definition).ok())
        .collect()
}

/// What sets one definition apart from the others.
struct Definition<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    plural: &'a str,
    short_name: &'a str,
    category: Option<&'a str>,
    scope: &'a str,
    columns: Value,
    spec: Value,
    status: Value,
    required: &'a [&'a str],
}

impl Definition<'_> {
    fn object(self) -> Value {
        let Definition {
            group, plural, kind, ..
        } = self;
        let mut short_names = vec![self.short_name];
        short_names.retain(|name| !name.is_empty());
        let mut properties = json!({"spec": self.spec, "status": self.status});
        // Kinds whose content is beside the spec.
        if self.spec.is_null() {
            properties = json!({"status": self.status});
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{group}"),
                // Definitions under *.k8s.io say who approved them.
                "annotations": {"api-approved.kubernetes.io": "unapproved, a simplified copy for tests"},
            },
            "spec": {
                "group": group,
                "scope": self.scope,
                "names": {
                    "kind": kind,
                    "listKind": format!("{kind}List"),
                    "plural": plural,
                    "singular": kind.to_lowercase(),
                    "shortNames": short_names,
                    "categories": self.category.into_iter().collect::<Vec<&str>>(),
                },
                "versions": [{
                    "name": self.version,
                    "served": true,
                    "storage": true,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": self.columns,
                    "schema": {"openAPIV3Schema": {
                        "type": "object",
                        "required": self.required,
                        "properties": properties,
                    }},
                }],
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_can_be_read() {
        assert_eq!(multicluster().len(), multicluster::definitions().len());
        assert_eq!(gateway().len(), gateway::definitions().len());
        assert!(!gateway().is_empty());
    }
}
