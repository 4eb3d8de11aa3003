//! ClusterRoles that hold the rules of others.
//!
//! What must stay true: what a role with an aggregation rule holds follows from the roles without
//! one, found by selecting and selecting again, and from nothing it held before; so roles that
//! select each other in a circle come to rest, and a role that holds what it should is not written.
//!
//! Refused: copying from whatever the selected roles hold at the moment, which in a circle of three
//! would pass the same rules round for ever.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::object;
use super::super::selectors::matches_label_selector;
use super::super::store::{Key, State};
use super::rbac::CLUSTER_ROLES;

/// Brings every aggregated role up to date.
pub(crate) fn aggregate(state: &mut State) {
    let roles = state.list(CLUSTER_ROLES, None);
    let roles: Vec<(&Key, Value)> = roles.map(|(key, role)| (key, role.value())).collect();
    let mut stale = Vec::new();
    for (index, (key, role)) in roles.iter().enumerate() {
        if selectors(role).next().is_none() || object::is_terminating(role) {
            continue;
        }
        let mut rules = Vec::new();
        gather(&roles, index, &mut BTreeSet::new(), &mut rules);
        if json!(rules) != *role.get("rules").unwrap_or(&json!([])) {
            let mut new = Value::clone(role);
            new["rules"] = json!(rules);
            stale.push(((*key).clone(), new));
        }
    }
    for (key, role) in stale {
        state.put(key, role);
    }
}

fn selectors(role: &Value) -> impl Iterator<Item = &Value> {
    object::items(role.pointer("/aggregationRule/clusterRoleSelectors"))
}

/// Adds the rules of the role at `index`, or of what it selects, none twice.
fn gather<'r>(roles: &'r [(&Key, Value)], index: usize, seen: &mut BTreeSet<usize>, rules: &mut Vec<&'r Value>) {
    let Some((_, role)) = roles.get(index).filter(|_| seen.insert(index)) else {
        return;
    };
    if selectors(role).next().is_none() {
        for rule in object::items(role.get("rules")) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        return;
    }
    for (other, (_, member)) in roles.iter().enumerate() {
        let labels = object::meta(member, "labels").unwrap_or(&Value::Null);
        if selectors(role).any(|selector| matches_label_selector(selector, labels)) {
            gather(roles, other, seen, rules);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::store::Store;
    use super::*;

    #[test]
    fn roles_that_select_each_other_come_to_rest() {
        let store = Store::new();
        let role = |name: &str, selects: &str, holds: &[&str]| {
            let rules: Vec<Value> = holds.iter().map(|verb| json!({"verbs": [verb]})).collect();
            let mut role = json!({"metadata": {"name": name, "uid": name, "labels": {"is": name}}, "rules": rules});
            if !selects.is_empty() {
                let names: Vec<&str> = selects.split(' ').collect();
                let expression = json!({"key": "is", "operator": "In", "values": names});
                role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchExpressions": [expression]}]});
            }
            role
        };
        let key = |name: &str| Key {
            resource: CLUSTER_ROLES.into(),
            namespace: "".into(),
            name: name.into(),
        };
        store.write(|state| {
            for (name, selects, holds) in [
                ("a", "b", &["old"][..]),
                ("b", "c", &["older"]),
                ("c", "a plain other", &[]),
                ("other", "", &["list", "get"]),
                ("plain", "", &["get"]),
            ] {
                state.put(key(name), role(name, selects, holds));
            }
            aggregate(state);
            for name in ["a", "b", "c"] {
                let held = state.get(&key(name)).map(|role| role.value()["rules"].clone());
                assert_eq!(held, Some(json!([{"verbs": ["list"]}, {"verbs": ["get"]}])), "{name}");
            }
            let version = state.view().version;
            aggregate(state);
            assert_eq!(state.view().version, version, "nothing is left to do");
        });
    }
}
