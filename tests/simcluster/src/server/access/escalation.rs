//! Nobody gives away rights they do not have.
//!
//! What must stay true: a role can only be written by somebody who has all its rights where it is,
//! and bound by somebody who has all its rights where it is bound, unless the verbs `escalate` and
//! `bind` say otherwise. The check sees the object as it would be stored, whichever verb made it.

use serde_json::{Value, json};

use super::super::object;
use super::super::status::{Failure, Outcome};
use super::super::store::{Key, State};
use super::super::write::Target;
use super::attributes::Attributes;
use super::rbac::{self, Policy, Rule, has, rules_of};
use super::user::User;

/// Checks a write of a role or a binding; `live` is what it replaces.
pub(crate) fn check(state: &State, target: &Target, live: Option<&Value>, new: &Value) -> Outcome<()> {
    let Some(user) = &target.user else {
        return Ok(());
    };
    if target.kind.group != rbac::GROUP || user.is_master() {
        return Ok(());
    }
    if live.is_some_and(|live| same_but_for_garbage(live, new)) {
        return Ok(());
    }
    let policy = state.policy();
    let wanted = match target.kind.kind.as_str() {
        "Role" | "ClusterRole" => written(target, &policy, user, new),
        _ => bound(state, target, &policy, user, new)?,
    };
    let held: Vec<&Rule> = policy.rules(user, &target.namespace).collect();
    let missing: Vec<Rule> = wanted
        .iter()
        .flat_map(atoms)
        .filter(|atom| !held.iter().any(|rule| covers(rule, atom)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = missing.iter().map(shown).collect();
    let why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        lines.join("\n")
    );
    Err(Failure::forbidden(&target.kind, object::name(new), &why))
}

/// Whether only what the garbage collector writes has changed.
fn same_but_for_garbage(live: &Value, new: &Value) -> bool {
    let rest = |value: &Value| {
        let mut value = value.clone();
        let meta = object::meta_mut(&mut value);
        for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
            meta.remove(field);
        }
        value
    };
    rest(live) == rest(new)
}

fn may(policy: &Policy, user: &User, verb: &str, namespace: &str, resource: &str, name: &str) -> bool {
    let attributes = Attributes {
        verb: verb.to_owned(),
        namespace: namespace.to_owned(),
        group: rbac::GROUP.to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    policy.judge(user, &attributes).allowed
}

/// The rights a role that is written gives away.
fn written(target: &Target, policy: &Policy, user: &User, role: &Value) -> Vec<Rule> {
    let (plural, name) = (&target.kind.plural, object::name(role));
    if may(policy, user, "escalate", &target.namespace, plural, name) {
        return Vec::new();
    }
    let mut rules = rules_of(role);
    // What an aggregated role will hold is decided by whoever writes the others.
    if role.get("aggregationRule").is_some_and(|rule| !rule.is_null()) {
        let all = || vec!["*".to_owned()];
        rules.push(Rule {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            ..Rule::default()
        });
        rules.push(Rule {
            verbs: all(),
            urls: all(),
            ..Rule::default()
        });
    }
    rules
}

/// The rights a binding that is written gives away.
fn bound(state: &State, target: &Target, policy: &Policy, user: &User, binding: &Value) -> Outcome<Vec<Rule>> {
    let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (plural, namespace) = match text("/roleRef/kind") {
        "Role" => ("roles", target.namespace.as_str()),
        _ => ("clusterroles", ""),
    };
    let name = text("/roleRef/name");
    if may(policy, user, "bind", &target.namespace, plural, name) {
        return Ok(Vec::new());
    }
    let key = Key {
        resource: format!("{plural}.{}", rbac::GROUP).into(),
        namespace: namespace.into(),
        name: name.into(),
    };
    let role = state.get(&key);
    match (role, state.registry.get(rbac::GROUP, "v1", plural)) {
        (None, Some(kind)) => Err(Failure::not_found(&kind, name)),
        (role, _) => Ok(role.map(|role| rules_of(&role.value())).unwrap_or_default()),
    }
}

/// A rule as rules of one verb on one thing.
fn atoms(rule: &Rule) -> Vec<Rule> {
    let mut atoms = Vec::new();
    let one = |text: &String| vec![text.clone()];
    for verb in &rule.verbs {
        for url in &rule.urls {
            atoms.push(Rule {
                verbs: one(verb),
                urls: one(url),
                ..Rule::default()
            });
        }
        for (group, resource) in rule
            .api_groups
            .iter()
            .flat_map(|group| rule.resources.iter().map(move |resource| (group, resource)))
        {
            let whole = Rule {
                verbs: one(verb),
                api_groups: one(group),
                resources: one(resource),
                ..Rule::default()
            };
            if rule.resource_names.is_empty() {
                atoms.push(whole);
                continue;
            }
            let named = rule.resource_names.iter().map(|name| Rule {
                resource_names: one(name),
                ..whole.clone()
            });
            atoms.extend(named);
        }
    }
    atoms
}

/// Whether a rule gives everything that an atom does.
fn covers(held: &Rule, atom: &Rule) -> bool {
    let all = |wanted: &[String], given: &dyn Fn(&str) -> bool| wanted.iter().all(|entry| given(entry));
    if !all(&atom.verbs, &|verb| has(&held.verbs, verb)) {
        return false;
    }
    if !atom.urls.is_empty() {
        return all(&atom.urls, &|url| held.has_url(url));
    }
    let names = held.resource_names.is_empty()
        || (!atom.resource_names.is_empty()
            && all(&atom.resource_names, &|name| {
                held.resource_names.iter().any(|held| held == name)
            }));
    names
        && all(&atom.api_groups, &|group| has(&held.api_groups, group))
        && all(&atom.resources, &|resource| held.has_resource(resource))
}

fn quoted(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(" "))
}

fn shown(rule: &Rule) -> String {
    let parts = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("ResourceNames", &rule.resource_names),
        ("NonResourceURLs", &rule.urls),
        ("Verbs", &rule.verbs),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, texts)| !texts.is_empty())
        .map(|(name, texts)| format!("{name}:{}", json!(texts)))
        .collect();
    format!("{{{}}}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    fn check(held: Value, wanted: Value, missing: &[&str]) {
        let rules = |value: Value| -> Vec<Rule> { Vec::deserialize(value).unwrap() };
        let held = rules(held);
        let found: Vec<String> = rules(wanted)
            .iter()
            .flat_map(atoms)
            .filter(|atom| !held.iter().any(|rule| covers(rule, atom)))
            .map(|atom| shown(&atom))
            .collect();
        assert_eq!(found, missing);
    }

    #[test]
    fn what_is_given_must_be_held() {
        let rule =
            |resources: &[&str], verbs: &[&str]| json!({"apiGroups": [""], "resources": resources, "verbs": verbs});
        let named = |names: &[&str]| {
            let mut rule = rule(&["pods"], &["get"]);
            rule["resourceNames"] = json!(names);
            rule
        };
        check(
            json!([rule(&["pods"], &["get"])]),
            json!([rule(&["pods"], &["get"])]),
            &[],
        );
        check(
            json!([rule(&["pods"], &["get"])]),
            json!([rule(&["pods", "secrets"], &["get"])]),
            &[r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#],
        );
        // Two rules together may cover one.
        check(
            json!([rule(&["pods"], &["get"]), rule(&["secrets"], &["get"])]),
            json!([rule(&["pods", "secrets"], &["get"])]),
            &[],
        );
        check(
            json!([rule(&["pods"], &["get"])]),
            json!([rule(&["*"], &["*"])]),
            &[r#"{APIGroups:[""], Resources:["*"], Verbs:["*"]}"#],
        );
        check(json!([rule(&["pods"], &["get"])]), json!([named(&["a"])]), &[]);
        check(
            json!([named(&["a"])]),
            json!([named(&["a", "b"])]),
            &[r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}"#],
        );
        check(
            json!([named(&["a"])]),
            json!([rule(&["pods"], &["get"])]),
            &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#],
        );
        check(
            json!([{"nonResourceURLs": ["/healthz/*"], "verbs": ["get"]}]),
            json!([{"nonResourceURLs": ["/healthz/ping", "/metrics"], "verbs": ["get"]}]),
            &[r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#],
        );
    }
}
