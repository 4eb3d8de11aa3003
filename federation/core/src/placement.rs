//! Which clusters an object belongs in.
//!
//! The rules are KubeFed's, and its cases are run as tests:
//! - a list of names wins over a selector, also when it is empty: then the object belongs nowhere;
//! - without a list, the selector decides; an empty selector chooses all; no selector chooses none;
//! - names of clusters that do not exist are ignored: a cluster may leave before the object is edited;
//! - an object in a namespace goes only where its namespace goes.
//!
//! Whether a cluster is reachable plays no part. Placement by health was refused: an outage would read
//! as a wish to have the object removed.

use std::collections::{BTreeMap, BTreeSet};

use crate::ClusterName;

/// Where an object shall be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    /// Clusters by name. `Some`, even of nothing, makes the selector irrelevant.
    pub clusters: Option<Vec<ClusterName>>,
    /// Clusters by label.
    pub selector: Option<LabelSelector>,
}

/// A Kubernetes label selector; all parts must hold, and without parts it matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    /// Labels with exactly these values.
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on single labels.
    pub match_expressions: Vec<SelectorRequirement>,
}

/// A requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorRequirement {
    /// The label's key.
    pub key: String,
    /// How it is compared.
    pub operator: SelectorOperator,
    /// With what, for `In` and `NotIn`.
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectorOperator {
    /// There, with one of the values.
    In,
    /// Absent, or with another value.
    NotIn,
    /// There.
    Exists,
    /// Absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether these labels satisfy every part.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|requirement| requirement.holds(labels))
    }
}

impl SelectorRequirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            SelectorOperator::In => value.is_some_and(|value| self.values.contains(value)),
            SelectorOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    }
}

/// What is known about a member cluster, as far as resource sync needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterFacts {
    /// Labels of its `Cluster` object.
    pub labels: BTreeMap<String, String>,
    /// Whether its API server can be written to.
    pub reachable: bool,
    /// Whether the operator paused writes to it.
    pub paused: bool,
    /// Why it is not reachable, for a person; empty when it is.
    pub why_not: String,
    /// How many deletions at once an operator has allowed here; 0 for none beyond the limit.
    pub confirmed_deletions: u32,
}

/// Where the namespace of an object goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespacePlacement {
    /// No FederatedNamespace: nothing in it goes anywhere.
    NotFederated,
    /// To these clusters.
    Placed(BTreeSet<ClusterName>),
    /// The object needs no namespace: it is one, or its kind has none.
    NotApplicable,
}

/// The clusters that a placement chooses on its own, whatever the namespace.
pub(crate) fn select(placement: &Placement, clusters: &BTreeMap<ClusterName, ClusterFacts>) -> BTreeSet<ClusterName> {
    match (&placement.clusters, &placement.selector) {
        (Some(names), _) => names
            .iter()
            .filter(|name| clusters.contains_key(*name))
            .cloned()
            .collect(),
        (None, Some(selector)) => {
            let chosen = clusters.iter().filter(|(_, facts)| selector.matches(&facts.labels));
            chosen.map(|(name, _)| name.clone()).collect()
        }
        (None, None) => BTreeSet::new(),
    }
}

/// The clusters that an object belongs in: those that its placement chooses and its namespace goes to.
pub fn place(
    placement: &Placement,
    namespace: &NamespacePlacement,
    clusters: &BTreeMap<ClusterName, ClusterFacts>,
) -> BTreeSet<ClusterName> {
    match namespace {
        NamespacePlacement::NotFederated => BTreeSet::new(),
        NamespacePlacement::NotApplicable => select(placement, clusters),
        NamespacePlacement::Placed(placed) => select(placement, clusters)
            .into_iter()
            .filter(|name| placed.contains(name))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn check(operator: SelectorOperator, values: &[&str], present: &[(&str, &str)], expected: bool) {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let requirement = SelectorRequirement {
            key: "tier".to_owned(),
            operator,
            values,
        };
        let selector = LabelSelector {
            match_expressions: vec![requirement],
            ..LabelSelector::default()
        };
        assert_eq!(
            selector.matches(&labels(present)),
            expected,
            "{selector:?} on {present:?}"
        );
    }

    #[test]
    fn operators_follow_kubernetes() {
        use SelectorOperator::{DoesNotExist, Exists, In, NotIn};
        check(In, &["edge", "core"], &[("tier", "core")], true);
        check(In, &["edge"], &[("tier", "core")], false);
        check(In, &["edge"], &[], false);
        check(NotIn, &["edge"], &[("tier", "core")], true);
        check(NotIn, &["edge"], &[("tier", "edge")], false);
        // A missing label is not in any set.
        check(NotIn, &["edge"], &[], true);
        check(Exists, &[], &[("tier", "")], true);
        check(Exists, &[], &[], false);
        check(DoesNotExist, &[], &[], true);
        check(DoesNotExist, &[], &[("tier", "edge")], false);
    }

    #[test]
    fn all_parts_must_hold_and_none_matches_everything() {
        assert!(LabelSelector::default().matches(&BTreeMap::new()));
        let both = LabelSelector {
            match_labels: labels(&[("env", "prod")]),
            match_expressions: vec![SelectorRequirement {
                key: "tier".to_owned(),
                operator: SelectorOperator::Exists,
                values: Vec::new(),
            }],
        };
        assert!(both.matches(&labels(&[("env", "prod"), ("tier", "edge")])));
        assert!(!both.matches(&labels(&[("env", "prod")])));
        assert!(!both.matches(&labels(&[("env", "test"), ("tier", "edge")])));
    }

    #[test]
    fn an_unreachable_cluster_is_still_chosen() {
        let name = ClusterName::new("a");
        let clusters = BTreeMap::from([(
            name.clone(),
            ClusterFacts {
                reachable: false,
                ..ClusterFacts::default()
            },
        )]);
        let everywhere = Placement {
            selector: Some(LabelSelector::default()),
            ..Placement::default()
        };
        assert_eq!(
            place(&everywhere, &NamespacePlacement::NotApplicable, &clusters),
            BTreeSet::from([name])
        );
    }
}
