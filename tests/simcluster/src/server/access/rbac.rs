//! Roles and bindings: who may do what.
//!
//! What must stay true: rights only add up, nothing takes any away; a request costs as many looks as
//! its user has bindings that could concern it, however many others there are. The policy is
//! compiled from the stored objects when first asked for and forgotten by the store with every write
//! of one of them, so it is never older than the last such write.
//!
//! Refused: changing the compiled policy along with each write. A role is named by any number of
//! bindings and aggregated into any number of roles; compiling anew is one pass over few objects.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::object;
use super::super::store::State;
use super::attributes::Attributes;
use super::user::{User, service_account_name};

/// The group of the four kinds.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";
/// How the store files ClusterRoles.
pub(crate) const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";

/// A `PolicyRule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub(crate) urls: Vec<String>,
}

pub(crate) fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

impl Rule {
    pub(crate) fn allows(&self, attributes: &Attributes) -> bool {
        if !has(&self.verbs, &attributes.verb) {
            return false;
        }
        match &attributes.path {
            None => {
                has(&self.api_groups, &attributes.group)
                    && self.has_resource(&attributes.full_resource())
                    && self.has_name(&attributes.name)
            }
            Some(path) => self.has_url(path),
        }
    }

    /// `pods`, `pods/log`, or `*/log` for any resource's.
    pub(crate) fn has_resource(&self, wanted: &str) -> bool {
        let part = wanted.split_once('/').map(|(_, part)| part);
        has(&self.resources, wanted)
            || part.is_some_and(|part| {
                self.resources
                    .iter()
                    .any(|entry| entry.strip_prefix("*/") == Some(part))
            })
    }

    fn has_name(&self, wanted: &str) -> bool {
        self.resource_names.is_empty() || self.resource_names.iter().any(|name| name == wanted)
    }

    pub(crate) fn has_url(&self, path: &str) -> bool {
        let fits = |entry: &String| match entry.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => entry == path,
        };
        self.urls.iter().any(fits)
    }
}

/// The rules of a Role or ClusterRole; what cannot be read grants nothing.
pub(crate) fn rules_of(role: &Value) -> Vec<Rule> {
    let rules = object::items(role.get("rules"));
    rules.filter_map(|rule| Rule::deserialize(rule).ok()).collect()
}

/// What one binding gives to one subject.
#[derive(Clone, Debug)]
struct Grant {
    rules: Arc<[Rule]>,
    /// The binding, its role and the subject, in words.
    told: String,
    /// The role that is not there.
    missing: Option<String>,
}

#[derive(Debug, Default)]
struct Grants {
    everywhere: Vec<Grant>,
    within: HashMap<String, Vec<Grant>>,
}

/// What an authorizer says, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    pub(crate) reason: String,
}

/// All bindings by subject.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    users: HashMap<String, Grants>,
    groups: HashMap<String, Grants>,
}

/// Kind, namespace and name of a role.
type RoleName = (&'static str, String, String);

const ROLES: [(&str, &str); 2] = [("Role", "roles"), ("ClusterRole", "clusterroles")];

impl Policy {
    pub(crate) fn compile(state: &State) -> Policy {
        let mut roles: HashMap<RoleName, Arc<[Rule]>> = HashMap::new();
        for (kind, plural) in ROLES {
            for (key, role) in state.list(&format!("{plural}.{GROUP}"), None) {
                let name = (kind, key.namespace.to_string(), key.name.to_string());
                roles.insert(name, rules_of(&role.value()).into());
            }
        }
        let mut policy = Policy::default();
        for (kind, plural) in [
            ("RoleBinding", "rolebindings"),
            ("ClusterRoleBinding", "clusterrolebindings"),
        ] {
            for (key, binding) in state.list(&format!("{plural}.{GROUP}"), None) {
                let name = match &*key.namespace {
                    "" => key.name.to_string(),
                    namespace => format!("{}/{namespace}", key.name),
                };
                policy.add(&format!("{kind} {name:?}"), &key.namespace, &binding.value(), &roles);
            }
        }
        policy
    }

    fn add(&mut self, told: &str, namespace: &str, binding: &Value, roles: &HashMap<RoleName, Arc<[Rule]>>) {
        let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (role_kind, role_name) = (text("/roleRef/kind"), text("/roleRef/name"));
        let role = match role_kind {
            "Role" => ("Role", namespace.to_owned(), role_name.to_owned()),
            _ => ("ClusterRole", String::new(), role_name.to_owned()),
        };
        let rules = roles.get(&role);
        let missing = rules
            .is_none()
            .then(|| format!("{}.{GROUP} {role_name:?} not found", role_kind.to_lowercase()));
        for subject in object::items(binding.get("subjects")) {
            let text = |field: &str| subject.get(field).and_then(Value::as_str).unwrap_or_default();
            let name = text("name");
            let (subjects, key, shown) = match text("kind") {
                "User" => (&mut self.users, name.to_owned(), format!("User {name:?}")),
                "Group" => (&mut self.groups, name.to_owned(), format!("Group {name:?}")),
                "ServiceAccount" => {
                    let home = match text("namespace") {
                        "" => namespace,
                        home => home,
                    };
                    let shown = format!("ServiceAccount {:?}", format!("{name}/{home}"));
                    (&mut self.users, service_account_name(home, name), shown)
                }
                _ => continue,
            };
            let grant = Grant {
                rules: rules.cloned().unwrap_or_default(),
                told: format!("{told} of {role_kind} {role_name:?} to {shown}"),
                missing: missing.clone(),
            };
            let grants = subjects.entry(key).or_default();
            match namespace {
                "" => grants.everywhere.push(grant),
                namespace => grants.within.entry(namespace.to_owned()).or_default().push(grant),
            }
        }
    }

    /// What can concern a user in a namespace; only grants for the whole cluster when it is empty.
    fn grants<'p>(&'p self, user: &'p User, namespace: &'p str) -> impl Iterator<Item = &'p Grant> {
        let own = self.users.get(&user.name);
        let shared = user.groups.iter().filter_map(|group| self.groups.get(group));
        own.into_iter().chain(shared).flat_map(move |grants| {
            let here = grants.within.get(namespace);
            grants.everywhere.iter().chain(here.into_iter().flatten())
        })
    }

    /// Every rule in force for a user in a namespace.
    pub(crate) fn rules<'p>(&'p self, user: &'p User, namespace: &'p str) -> impl Iterator<Item = &'p Rule> {
        self.grants(user, namespace).flat_map(|grant| grant.rules.iter())
    }

    /// Whether the user may do it.
    pub(crate) fn judge(&self, user: &User, attributes: &Attributes) -> Verdict {
        if user.is_master() {
            return Verdict {
                allowed: true,
                reason: String::new(),
            };
        }
        let mut missing = Vec::new();
        for grant in self.grants(user, &attributes.namespace) {
            if grant.rules.iter().any(|rule| rule.allows(attributes)) {
                return Verdict {
                    allowed: true,
                    reason: format!("RBAC: allowed by {}", grant.told),
                };
            }
            missing.extend(grant.missing.clone().filter(|role| !missing.contains(role)));
        }
        let reason = match missing.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        };
        Verdict { allowed: false, reason }
    }

    /// Fails with the `Status` of a refusal if the user may not.
    pub(crate) fn demand(&self, user: &User, attributes: &Attributes) -> super::super::status::Outcome<()> {
        match self.judge(user, attributes) {
            Verdict { allowed: true, .. } => Ok(()),
            Verdict { reason, .. } => Err(attributes.denied(user, &reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(rule: Value, request: [&str; 4], wanted: bool) {
        let rule = Rule::deserialize(rule).unwrap();
        let [verb, group, resource, name] = request;
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let attributes = Attributes {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        assert_eq!(rule.allows(&attributes), wanted, "{rule:?} on {request:?}");
    }

    #[test]
    fn what_rules_allow() {
        let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| {
            json!({
                "apiGroups": groups, "resources": resources, "verbs": verbs})
        };
        let pods = rule(&[""], &["pods"], &["get", "list"]);
        check(pods.clone(), ["get", "", "pods", "a"], true);
        check(pods.clone(), ["list", "", "pods", ""], true);
        check(pods.clone(), ["watch", "", "pods", ""], false);
        check(pods.clone(), ["get", "apps", "pods", "a"], false);
        check(pods.clone(), ["get", "", "pods/log", "a"], false);
        check(pods, ["", "", "pods", "a"], false);
        check(rule(&["*"], &["*"], &["*"]), ["get", "apps", "pods/log", "a"], true);
        check(rule(&[""], &["pods/log"], &["get"]), ["get", "", "pods/log", "a"], true);
        check(rule(&[""], &["pods/log"], &["get"]), ["get", "", "pods", "a"], false);
        check(
            rule(&["*"], &["*/scale"], &["get"]),
            ["get", "apps", "deployments/scale", "a"],
            true,
        );
        check(
            rule(&["*"], &["*/scale"], &["get"]),
            ["get", "apps", "deployments", "a"],
            false,
        );
        let mut named = rule(&[""], &["pods"], &["*"]);
        named["resourceNames"] = json!(["a"]);
        check(named.clone(), ["get", "", "pods", "a"], true);
        check(named.clone(), ["get", "", "pods", "b"], false);
        check(named.clone(), ["list", "", "pods", ""], false);
        check(named, ["create", "", "pods", ""], false);
        check(json!({"verbs": ["get"]}), ["get", "", "pods", "a"], false);
    }

    #[test]
    fn what_urls_allow() {
        let check = |url: &str, path: &str, wanted: bool| {
            let rule = Rule {
                urls: vec![url.to_owned()],
                ..Rule::default()
            };
            assert_eq!(rule.has_url(path), wanted, "{url} {path}");
        };
        check("/healthz", "/healthz", true);
        check("/healthz", "/healthz/ping", false);
        check("/healthz/*", "/healthz/ping", true);
        check("/healthz/*", "/healthz", false);
        check("*", "/anything", true);
    }
}
