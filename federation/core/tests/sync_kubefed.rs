//! KubeFed's own cases for placement hold here.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use meridian_federation_core::{
    ClusterFacts, ClusterName, LabelSelector, NamespacePlacement, Placement, SelectorOperator, SelectorRequirement,
    place,
};
use serde_json::Value;

fn cases() -> Value {
    serde_json::from_str(include_str!("cases/kubefed_cases.json")).unwrap()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

fn names(list: &Value) -> BTreeSet<ClusterName> {
    strings(list).into_iter().map(ClusterName::new).collect()
}

fn selector(value: &Value) -> LabelSelector {
    let match_labels = value["matchLabels"].as_object().into_iter().flatten();
    let match_expressions = value["matchExpressions"].as_array().into_iter().flatten();
    LabelSelector {
        match_labels: match_labels
            .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
            .collect(),
        match_expressions: match_expressions
            .map(|requirement| SelectorRequirement {
                key: requirement["key"].as_str().unwrap().to_owned(),
                operator: match requirement["operator"].as_str().unwrap() {
                    "In" => SelectorOperator::In,
                    "NotIn" => SelectorOperator::NotIn,
                    "Exists" => SelectorOperator::Exists,
                    "DoesNotExist" => SelectorOperator::DoesNotExist,
                    other => panic!("operator {other}"),
                },
                values: strings(&requirement["values"]),
            })
            .collect(),
    }
}

#[test]
fn placement() {
    let cases = cases();
    let clusters: BTreeMap<ClusterName, ClusterFacts> = cases["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| {
            let labels = selector(&serde_json::json!({"matchLabels": cluster["labels"]})).match_labels;
            let facts = ClusterFacts {
                labels,
                ..ClusterFacts::default()
            };
            (ClusterName::new(cluster["name"].as_str().unwrap()), facts)
        })
        .collect();
    assert_eq!(clusters.len(), 2);
    let listed = cases["placement"].as_array().unwrap();
    assert_eq!(listed.len(), 7);
    for case in listed {
        let given = &case["placement"];
        let placement = Placement {
            clusters: given["clusters"].as_array().map(|list| {
                list.iter()
                    .map(|entry| ClusterName::new(entry["name"].as_str().unwrap()))
                    .collect()
            }),
            selector: given.get("clusterSelector").map(selector),
        };
        let placed = place(&placement, &NamespacePlacement::NotApplicable, &clusters);
        assert_eq!(placed, names(&case["expected"]), "{}", case["name"]);
    }
}

#[test]
fn namespace_placement() {
    let cases = cases();
    let clusters: BTreeMap<ClusterName, ClusterFacts> = ["A", "B", "C"]
        .map(|name| (ClusterName::new(name), ClusterFacts::default()))
        .into();
    let mut of_a_namespaced_plane = 0;
    for case in cases["namespace_placement"].as_array().unwrap() {
        let placement = Placement {
            clusters: Some(names(&case["resource"]).into_iter().collect()),
            selector: None,
        };
        let namespace = match &case["namespace"] {
            Value::Null => NamespacePlacement::NotFederated,
            list => NamespacePlacement::Placed(names(list)),
        };
        let placed = place(&placement, &namespace, &clusters);
        if case["scope"] == "Namespaced" {
            // KubeFed can be installed for a single namespace, and then asks for no FederatedNamespace.
            // Meridian always manages the whole host, so a namespace that is not federated holds everything
            // in it back; the same case therefore places nothing.
            of_a_namespaced_plane += 1;
            assert_eq!(names(&case["expected"]), names(&case["resource"]));
            assert!(placed.is_empty());
        } else {
            assert_eq!(placed, names(&case["expected"]), "{}", case["name"]);
        }
    }
    assert_eq!(of_a_namespaced_plane, 1);
}
