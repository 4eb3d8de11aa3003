//! Every definition is one that an API server takes: structural, named right, with a status subresource.
#![allow(clippy::unwrap_used)]

use meridian_federation_api::{
    CustomResourceDefinition, DEPLOYMENT, NAMESPACE, SERVICE, TARGET_KINDS, api_resource, crds, federated_crd,
};
use serde_json::Value;

fn short_names(crd: &CustomResourceDefinition) -> Vec<&str> {
    crd.spec
        .names
        .short_names
        .iter()
        .flatten()
        .map(String::as_str)
        .collect()
}

/// A schema node has a type or is explicitly open; so do all nodes below it. Only an open node may have
/// neither properties nor items.
fn structural(at: &str, node: &Value) {
    let node = node
        .as_object()
        .unwrap_or_else(|| panic!("{at}: a schema is an object"));
    let open = node.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    let kind = node.get("type").and_then(Value::as_str);
    assert!(open || kind.is_some(), "{at}: neither a type nor open");
    for forbidden in ["$ref", "definitions", "oneOf", "anyOf", "allOf", "uniqueItems"] {
        assert!(!node.contains_key(forbidden), "{at}: {forbidden}");
    }
    if let Some(format) = node.get("format").and_then(Value::as_str) {
        assert!(
            ["int32", "int64", "double", "date-time"].contains(&format),
            "{at}: format {format}"
        );
    }
    for (name, child) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        structural(&format!("{at}.{name}"), child);
    }
    if let Some(items) = node.get("items") {
        structural(&format!("{at}[]"), items);
    }
    if let Some(values) = node.get("additionalProperties").filter(|v| v.is_object()) {
        structural(&format!("{at}{{}}"), values);
    }
    match kind {
        Some("array") => assert!(node.contains_key("items"), "{at}: array without items"),
        Some("object") if !open => assert!(
            node.contains_key("properties") || node.contains_key("additionalProperties") || at == "metadata",
            "{at}: closed object without properties"
        ),
        _ => {}
    }
}

/// Every field of a spec or status is explained by `kubectl explain`.
fn described(at: &str, node: &Value) {
    for (name, child) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let at = format!("{at}.{name}");
        assert!(
            child
                .get("description")
                .is_some_and(|d| d.as_str().is_some_and(|d| d.len() > 5)),
            "{at}: no description"
        );
        described(&at, child);
        if let Some(items) = child.get("items") {
            described(&format!("{at}[]"), items);
        }
    }
}

#[test]
fn every_definition_is_structural_and_has_a_status() {
    for crd in crds() {
        let name = crd.metadata.name.clone().unwrap();
        assert_eq!(name, format!("{}.{}", crd.spec.names.plural, crd.spec.group));
        assert_eq!(
            crd.spec.names.categories.as_deref(),
            Some(&["meridian".to_owned()][..]),
            "{name}"
        );
        let [version] = crd.spec.versions.as_slice() else {
            panic!("{name}: one version")
        };
        assert!(
            version.served && version.storage && version.name == "v1alpha1",
            "{name}"
        );
        assert!(
            version.subresources.as_ref().is_some_and(|s| s.status.is_some()),
            "{name}"
        );
        assert!(
            version
                .additional_printer_columns
                .as_ref()
                .is_some_and(|c| c.len() >= 4),
            "{name}"
        );
        let json = serde_json::to_value(&crd).unwrap();
        let schema = &json["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        structural("", schema);
        for part in ["spec", "status"] {
            described(part, &schema["properties"][part]);
        }
        assert_eq!(serde_json::from_value::<CustomResourceDefinition>(json).unwrap(), crd);
    }
}

#[test]
fn the_definitions_come_in_a_stable_order_with_the_names_people_type() {
    let listed: Vec<String> = crds()
        .iter()
        .map(|crd| {
            format!(
                "{} {} {} {}",
                crd.metadata.name.as_deref().unwrap(),
                crd.spec.names.kind,
                crd.spec.scope,
                short_names(crd).join(",")
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            "clusters.meridian.dev Cluster Cluster mcl",
            "dnsroutes.meridian.dev DNSRoute Namespaced mroute",
            "dnszones.meridian.dev DNSZone Cluster mzone",
            "routingpolicies.meridian.dev RoutingPolicy Namespaced mpolicy",
            "federatednamespaces.types.meridian.dev FederatedNamespace Namespaced fns",
            "federateddeployments.types.meridian.dev FederatedDeployment Namespaced fdeploy",
            "federatedservices.types.meridian.dev FederatedService Namespaced fsvc",
        ]
    );
    assert_eq!(crds(), crds());
}

#[test]
fn a_client_finds_the_federated_kind_where_its_definition_puts_it() {
    for target in TARGET_KINDS {
        let (resource, crd) = (api_resource(target), federated_crd(target));
        assert_eq!(resource.plural, crd.spec.names.plural);
        assert_eq!(resource.kind, crd.spec.names.kind);
        assert_eq!(
            resource.api_version,
            format!("{}/{}", crd.spec.group, crd.spec.versions[0].name)
        );
    }
    assert_eq!(TARGET_KINDS, [NAMESPACE, DEPLOYMENT, SERVICE]);
}

fn schema_of(plural: &str) -> Value {
    let crd = crds().into_iter().find(|crd| crd.spec.names.plural == plural).unwrap();
    serde_json::to_value(&crd).unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The places of all CEL rules below a node, with the rules.
fn rules(at: &str, node: &Value, found: &mut Vec<String>) {
    for rule in node
        .get("x-kubernetes-validations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        assert!(rule["message"].is_string(), "{at}: a rule says what is wrong");
        found.push(format!("{at}: {}", rule["rule"].as_str().unwrap()));
    }
    for (name, child) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        rules(&format!("{at}.{name}"), child, found);
    }
    if let Some(items) = node.get("items") {
        rules(&format!("{at}[]"), items, found);
    }
}

#[test]
fn rules_stand_where_a_schema_cannot_say_it() {
    let mut found = Vec::new();
    for plural in ["clusters", "dnsroutes", "dnszones", "federatedservices"] {
        rules(plural, &schema_of(plural), &mut found);
    }
    let places: Vec<&str> = found.iter().filter_map(|rule| rule.split(": ").next()).collect();
    assert_eq!(
        places,
        [
            "clusters",
            "dnsroutes.spec",
            "dnsroutes.spec.policy",
            "dnsroutes.spec.policy",
            "dnsroutes.spec.policy",
            "dnsroutes.spec.policy",
            "dnsroutes.spec.policy",
            "dnsroutes.spec.policy",
            "dnsroutes.spec.policy.branches[]",
            "dnsroutes.spec.policy.otherwise",
            "dnsroutes.spec.policy.rules[]",
            "dnszones.spec.dnssec.keys",
            "dnszones.spec.dnssec.parent",
            "dnszones.spec.domain",
            "dnszones.spec.networks[]",
            "dnszones.spec.transfer",
            "dnszones.spec.transfer",
            "dnszones.spec.transfer.allow[]",
            "dnszones.spec.transfer.routedNames",
            "dnszones.spec.whenNoneHealthy",
            "federatedservices.spec.overrides[]",
            "federatedservices.spec.overrides[].clusterSelector.matchExpressions[]",
            "federatedservices.spec.placement.clusterSelector.matchExpressions[]",
        ]
    );
}

#[test]
fn defaults_and_limits_are_in_the_schema() {
    let cluster = schema_of("clusters");
    let spec = &cluster["properties"]["spec"]["properties"];
    assert_eq!(spec["weight"]["default"], 100);
    assert_eq!(spec["traffic"]["default"], "Active");
    assert_eq!(spec["traffic"]["enum"], serde_json::json!(["Active", "Drained"]));
    assert_eq!(
        spec["kubeconfigSecretRef"]["properties"]["key"]["default"],
        "kubeconfig"
    );
    assert_eq!(spec["location"]["properties"]["latitude"]["maximum"], 90.0);
    assert!(spec["networks"]["items"]["pattern"].is_string());
    let federated = schema_of("federateddeployments");
    let spec = &federated["properties"]["spec"]["properties"];
    assert_eq!(spec["template"]["x-kubernetes-preserve-unknown-fields"], true);
    assert_eq!(
        spec["overrides"]["items"]["properties"]["clusterOverrides"]["items"]["properties"]["op"]["enum"],
        serde_json::json!(["", "add", "remove", "replace"])
    );
    let zone = schema_of("dnszones");
    assert_eq!(zone["properties"]["spec"]["properties"]["ttl"]["default"], 30);
    let dnssec = &zone["properties"]["spec"]["properties"]["dnssec"]["properties"];
    assert_eq!(
        dnssec["algorithm"]["enum"],
        serde_json::json!(["ECDSAP256SHA256", "ED25519"])
    );
    assert_eq!(dnssec["keys"]["properties"]["ttl"]["default"], 3600);
    assert_eq!(dnssec["parent"]["properties"]["dsTTL"]["default"], 86_400);
    let transfer = &zone["properties"]["spec"]["properties"]["transfer"]["properties"];
    assert_eq!(transfer["routedNames"]["properties"]["type"]["default"], "AllHealthy");
    let key = &transfer["keys"]["items"]["properties"];
    assert_eq!(
        key["algorithm"]["enum"],
        serde_json::json!(["hmac-sha256", "hmac-sha384", "hmac-sha512"])
    );
    assert_eq!(key["secretRef"]["properties"]["key"]["default"], "secret");
}
