//! RoutingPolicy objects, and the policy that each DNSRoute is routed by.
//!
//! What must stay true:
//! - a route's policy is followed anew when the route, a policy of its namespace or the set of clusters
//!   changes; while something is wrong with it, the last one that was right stays in use;
//! - a route that never had a right one is routed by what there is: without the clusters that are missing,
//!   or, where nothing can be followed or no cluster is left, as a route without a policy. So a replica that starts anew still
//!   answers, and the condition of the route says by what;
//! - before policies and clusters were listed, one that is missing is not called a fault.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::DynamicObject;
use meridian_dns_core::Policy;
use meridian_federation_api as api;
use meridian_federation_core::{Condition, PolicyFault, PolicyKey, Timestamp, resolve_policy};

use crate::{Dirty, Event, Index, ParseError, parse, write_conditions};

/// Under which a route's fault is kept among the problems.
const FAULT: &str = "policy of a DNSRoute";
/// Faults told at once.
const MOST_TOLD: usize = 3;

impl Index {
    /// RoutingPolicy objects.
    pub fn policies(&mut self, event: Event<DynamicObject>) -> Dirty {
        let mut dirty = Dirty::default();
        let first_list = matches!(event, Event::Reset(_)) && !std::mem::replace(&mut self.listed.policies, true);
        let (gone, set) = event.resolve(|| self.policies.keys().cloned(), key_of);
        let mut namespaces = BTreeSet::new();
        for key in gone {
            self.set_problem("RoutingPolicy", &id_of(&key), None);
            self.policies.remove(&key);
            if self.world.policies.remove(&key).is_some() {
                namespaces.insert(key.0);
            }
        }
        for object in set {
            let key = key_of(&object);
            if self.set_policy(&key, object, &mut dirty) {
                namespaces.insert(key.0);
            }
        }
        if first_list {
            self.follow_policies(None, &mut dirty);
        } else {
            for namespace in &namespaces {
                self.follow_policies(Some(namespace), &mut dirty);
            }
        }
        dirty
    }

    /// The RoutingPolicy of that namespace and name.
    pub fn policy_object(&self, key: &PolicyKey) -> Option<&api::RoutingPolicy> {
        self.policies.get(key)
    }

    /// The status of a RoutingPolicy, if it differs from what is written.
    pub fn policy_status(&self, object: &api::RoutingPolicy, now: Timestamp) -> Option<api::RoutingPolicyStatus> {
        let previous = object.status.clone().unwrap_or_default();
        let id = id_of(&(object.namespace().unwrap_or_default(), object.name_any()));
        let generation = object.metadata.generation;
        let wanted = vec![self.accepted("RoutingPolicy", &id)];
        let status = api::RoutingPolicyStatus {
            conditions: write_conditions(&previous.conditions, wanted, generation, now)
                .unwrap_or_else(|| previous.conditions.clone()),
            observed_generation: generation,
        };
        (status != previous).then_some(status)
    }

    /// True if what it says differs.
    fn set_policy(&mut self, key: &PolicyKey, object: DynamicObject, dirty: &mut Dirty) -> bool {
        let Some(object) = self.typed::<api::RoutingPolicy>("RoutingPolicy", &id_of(key), object) else {
            return false;
        };
        let (differs, problem) = match parse::routing_policy("spec", &object.spec) {
            Ok(policy) => {
                let before = self.world.policies.insert(key.clone(), policy);
                (before.as_ref() != self.world.policies.get(key), None)
            }
            Err(problem) => (false, Some(problem)),
        };
        let told = self.set_problem("RoutingPolicy", &id_of(key), problem);
        let new = self.policies.insert(key.clone(), object).is_none();
        if differs || told || new {
            dirty.policies.insert(key.clone());
        }
        differs
    }

    /// Follows the policies of the routes of a namespace anew, or of all.
    pub(crate) fn follow_policies(&mut self, namespace: Option<&str>, dirty: &mut Dirty) {
        let start = (namespace.unwrap_or_default().to_owned(), String::new());
        let routes = self.world.routes.range(start..);
        let routes = routes.take_while(|((other, _), _)| namespace.is_none_or(|namespace| namespace == other));
        let routes: Vec<_> = routes
            .filter(|(_, route)| route.policy.is_some())
            .map(|(id, _)| id.clone())
            .collect();
        for id in routes {
            self.follow_policy(&id, dirty);
        }
    }

    /// Follows the policy of a route anew.
    pub(crate) fn follow_policy(&mut self, id: &(String, String), dirty: &mut Dirty) {
        let Some(route) = self.world.routes.get(id) else {
            return;
        };
        let service = route.service.clone();
        let Some(wanted) = &route.policy else {
            let told = self.set_problem(FAULT, &id_of(id), None);
            if self.world.policies_in_use.remove(id).is_some() || told {
                dirty.services.insert(service);
            }
            return;
        };
        let clusters = &self.world.clusters;
        let listed = self.listed.clusters;
        let exists = |name: &_| !listed || clusters.contains_key(name);
        let mut resolved = resolve_policy(&self.world.policies, &exists, &id.0, wanted);
        let known = self.listed.policies;
        resolved
            .faults
            .retain(|fault| known || !matches!(fault, PolicyFault::UnknownPolicy { .. }));
        let names_any = |policy: &Policy| !listed || clusters.keys().any(|cluster| policy.names(cluster));
        let before = self.world.policies_in_use.get(id);
        let next = if resolved.faults.is_empty() {
            resolved.policy.map(Arc::new)
        } else {
            let kept = before.filter(|before| names_any(before)).cloned();
            kept.or_else(|| resolved.policy.filter(names_any).map(Arc::new))
        };
        let fault = resolved.faults.first().map(|first| {
            let told: Vec<_> = resolved
                .faults
                .iter()
                .take(MOST_TOLD)
                .map(ToString::to_string)
                .collect();
            let field = first.at().to_string();
            let told = told.join("; ");
            let message = told.strip_prefix(&format!("{field}: ")).unwrap_or(&told).to_owned();
            ParseError { field, message }
        });
        if before != next.as_ref() {
            match next {
                Some(next) => self.world.policies_in_use.insert(id.clone(), next),
                None => self.world.policies_in_use.remove(id),
            };
            dirty.services.insert(service.clone());
        }
        if self.set_problem(FAULT, &id_of(id), fault) {
            dirty.services.insert(service);
        }
    }

    /// Forgets what a route was routed by.
    pub(crate) fn forget_policy(&mut self, id: &(String, String)) {
        self.world.policies_in_use.remove(id);
        self.set_problem(FAULT, &id_of(id), None);
    }

    /// Whether a route is routed as it says.
    pub(crate) fn policy_condition(&self, id: &(String, String)) -> Condition {
        let used = self.world.policies_in_use.contains_key(id);
        match self.problem(FAULT, &id_of(id)) {
            Some(problem) => {
                let instead = if used {
                    "the last policy that could be followed stays in use, or what is left of this one"
                } else {
                    "clients are sent to the nearest cluster meanwhile"
                };
                Condition::new("PolicyResolved", false, "Faulty", format!("{problem}; {instead}"))
            }
            None if used => Condition::new("PolicyResolved", true, "InUse", "clients are routed by its policy"),
            None => Condition::new(
                "PolicyResolved",
                true,
                "Nearest",
                "no policy: clients are sent to the nearest cluster",
            ),
        }
    }
}

fn key_of(object: &DynamicObject) -> PolicyKey {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn id_of((namespace, name): &(String, String)) -> String {
    format!("{namespace}/{name}")
}
