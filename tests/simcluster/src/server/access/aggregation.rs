//! ClusterRoles that hold the rules of others.
//!
//! What must stay true: the rules of a role with an aggregation rule are those of the roles it
//! selects and nothing else, soon after any of them changed; a role that holds what it should is
//! not written, or this would never end.

use serde_json::{Value, json};

use super::super::object;
use super::super::selectors::matches_label_selector;
use super::super::store::{Key, State};
use super::rbac::CLUSTER_ROLES;

/// Brings every aggregated role up to date.
pub(crate) fn aggregate(state: &mut State) {
    // A role may be made of aggregated ones: as often as there are roles is often enough.
    for _ in 0..=count(state) {
        let stale = stale(state);
        if stale.is_empty() {
            return;
        }
        for (key, role) in stale {
            state.put(key, role);
        }
    }
}

fn cluster_roles(state: &State) -> Vec<(&Key, Value)> {
    let roles = state.list(CLUSTER_ROLES, None);
    roles.map(|(key, role)| (key, role.value())).collect()
}

fn count(state: &State) -> usize {
    cluster_roles(state)
        .iter()
        .filter(|(_, role)| role.get("aggregationRule").is_some())
        .count()
}

/// The aggregated roles that do not hold what they should, as they should be.
fn stale(state: &State) -> Vec<(Key, Value)> {
    let mut found = Vec::new();
    let roles = cluster_roles(state);
    for (key, role) in &roles {
        let selectors: Vec<&Value> = object::items(role.pointer("/aggregationRule/clusterRoleSelectors")).collect();
        if selectors.is_empty() || object::is_terminating(role) {
            continue;
        }
        let mut rules: Vec<&Value> = Vec::new();
        for (other, member) in &roles {
            let labels = object::meta(member, "labels").unwrap_or(&Value::Null);
            let selected = selectors
                .iter()
                .any(|selector| matches_label_selector(selector, labels));
            if other != key && selected {
                for rule in object::items(member.get("rules")) {
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
            }
        }
        if json!(rules) != *role.get("rules").unwrap_or(&json!([])) {
            let mut new = Value::clone(role);
            new["rules"] = json!(rules);
            found.push(((*key).clone(), new));
        }
    }
    found
}
