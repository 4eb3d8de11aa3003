//! From what is known to what may be carried out now.
//!
//! All dirty objects are planned before any step is handed out, so that the deletion limit sees the whole of
//! what one change would delete.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use meridian_federation_core::{
    ClusterName, ClusterOutcome, Condition, DELETION_WINDOW, FederatedKey, FederatedObject, FinalizerStep, Freshness,
    MemberView, NamespacePlacement, ServiceKey, Step, SyncInput, SyncPlan, Timestamp, WaitReason, deletion_holds,
    names, place, plan_sync,
};

use super::{Failure, HostUnderWay, HostWrite, Planned, UnderWay};
use crate::Index;
use crate::managed::member_id;

const UNKNOWN: Freshness = Freshness::Unknown;

impl Index {
    /// Plans these objects. All are planned before any step is handed out, so that the deletion limit sees
    /// the whole of what one change would delete. Nothing is planned before the host's own kinds were listed;
    /// their lists make every object dirty.
    pub fn plan(&mut self, keys: BTreeSet<FederatedKey>, now: Timestamp) -> Vec<Planned> {
        if !self.listed.placement() {
            return Vec::new();
        }
        let none_held = BTreeSet::new();
        let mut plans = BTreeMap::new();
        for key in keys {
            let Some(plan) = self.plan_one(&key, &none_held) else {
                continue;
            };
            let user_deletes = self
                .sync
                .objects
                .get(&key)
                .is_some_and(|object| object.parsed.deletion.is_some());
            for keys in self.sync.deselected.values_mut() {
                keys.remove(&key);
            }
            // What was written and not shown yet will have to be deleted once it is.
            let not_shown = Step::Wait {
                reason: WaitReason::NotShown,
            };
            let deletes = |(_, step): &(&ClusterName, &Step)| {
                !user_deletes && (matches!(step, Step::Delete { .. }) || **step == not_shown)
            };
            for (cluster, _) in plan.steps.iter().filter(deletes) {
                self.sync
                    .deselected
                    .entry(cluster.clone())
                    .or_default()
                    .insert(key.clone());
            }
            plans.insert(key, plan);
        }
        self.forget_deleted(now);
        let (wanted, managed) = self.deletions();
        let held = deletion_holds(&wanted, &managed, &self.facts);
        // What one plan tips over the limit holds the others of that cluster too, and back.
        let turned = held
            .symmetric_difference(&self.sync.held)
            .filter_map(|cluster| self.sync.deselected.get(cluster))
            .flatten();
        let again: BTreeSet<_> = turned.cloned().chain(plans.keys().cloned()).collect();
        self.sync.held = held;
        if !self.sync.held.is_empty() || again.len() > plans.len() {
            let held = self.sync.held.clone();
            for key in again {
                if let Some(plan) = self.plan_one(&key, &held) {
                    plans.insert(key, plan);
                }
            }
        }
        plans
            .into_iter()
            .filter_map(|(key, plan)| self.hand_out(key, plan, now))
            .collect()
    }

    /// Forgets deletions that are no part of the present change any more.
    fn forget_deleted(&mut self, now: Timestamp) {
        for (cluster, deleted) in &mut self.sync.deleted {
            if !self.sync.held.contains(cluster) {
                deleted.retain(|_, at| now < *at + DELETION_WINDOW);
            }
        }
    }

    /// For each cluster, how many deletions by deselection are wanted or were carried out of late, and how many
    /// objects are managed, with those that were.
    fn deletions(&self) -> (BTreeMap<ClusterName, usize>, BTreeMap<ClusterName, usize>) {
        let (mut wanted, mut managed) = (BTreeMap::new(), BTreeMap::new());
        for cluster in self.facts.keys() {
            let planned = self.sync.deselected.get(cluster);
            let deleted = self.sync.deleted.get(cluster);
            let is_planned = |key: &&FederatedKey| planned.is_some_and(|planned| planned.contains(*key));
            let past = deleted.map_or(0, |keys| keys.keys().filter(|key| !is_planned(key)).count());
            let kinds = self.sync.views.get(cluster).into_iter().flatten();
            let there: usize = kinds.map(|(_, kind)| kind.objects.len()).sum();
            wanted.insert(cluster.clone(), planned.map_or(0, BTreeSet::len) + past);
            managed.insert(cluster.clone(), there + past);
        }
        (wanted, managed)
    }

    fn plan_one(&self, key: &FederatedKey, held: &BTreeSet<ClusterName>) -> Option<SyncPlan> {
        let object = &self.sync.objects.get(key)?.parsed;
        let namespace_placement = match key.target_namespace() {
            None => NamespacePlacement::NotApplicable,
            Some(namespace) => match self.federated_namespace(namespace) {
                // It is there, and says something: not that nothing is wanted.
                None if self.sync.refused_namespaces.contains(namespace) => return None,
                Some(namespace) => NamespacePlacement::Placed(place(
                    &namespace.placement,
                    &NamespacePlacement::NotApplicable,
                    &self.facts,
                )),
                None => NamespacePlacement::NotFederated,
            },
        };
        let id = member_id(key);
        let mut members = BTreeMap::new();
        for cluster in self.facts.keys().chain(object.inventory.keys()) {
            let kinds = self.sync.views.get(cluster);
            let view = kinds.and_then(|kinds| kinds.get(&key.kind));
            let part = self.sync.parts.get(&(key.clone(), cluster.clone()));
            let namespace_ready = !key.kind.namespaced
                || kinds.is_some_and(|kinds| {
                    kinds.iter().filter(|(kind, _)| kind.is_namespace()).any(|(_, view)| {
                        view.objects
                            .get(&(String::new(), key.namespace.clone()))
                            .is_some_and(|namespace| !namespace.deleting)
                    })
                });
            members.insert(
                cluster.clone(),
                MemberView {
                    freshness: view.map_or(&UNKNOWN, |view| &view.freshness),
                    object: view.and_then(|view| view.objects.get(&id)),
                    namespace_ready,
                    settled: part.and_then(|part| part.settled.as_ref()),
                    under_way: part.is_some_and(|part| part.under_way.is_some()),
                },
            );
        }
        Some(plan_sync(&SyncInput {
            object,
            namespace_placement,
            clusters: &self.facts,
            members,
            control_plane: &self.sync.control_plane,
            held_deletions: held,
        }))
    }

    /// The FederatedNamespace of a namespace: it lives there and is called like it.
    fn federated_namespace(&self, namespace: &str) -> Option<&FederatedObject> {
        let keys = self.sync.by_namespace.get(namespace)?;
        let key = keys
            .iter()
            .find(|key| key.kind.is_namespace() && key.name == namespace)?;
        Some(&self.sync.objects.get(key)?.parsed)
    }

    /// Chooses what of a plan may be carried out now, and marks it as under way.
    fn hand_out(&mut self, key: FederatedKey, plan: SyncPlan, now: Timestamp) -> Option<Planned> {
        let host = self.host_write(&key, &plan, now);
        let object = self.sync.objects.get(&key)?;
        let written_ahead = plan
            .inventory
            .keys()
            .all(|cluster| object.parsed.inventory.contains_key(cluster));
        let safe = object.parsed.deletion.is_some() || (object.parsed.has_finalizer && written_ahead);
        let mut steps = Vec::new();
        if safe {
            for (cluster, step) in plan.steps.iter().filter(|(_, step)| step.writes()) {
                let part = self.sync.part(&key, cluster);
                // A back-off is for what failed: something else may be tried at once.
                let backs_off = |failure: &Failure| now < failure.not_before && part.handed_out == step.hash();
                if part.under_way.is_none() && !part.failure.as_ref().is_some_and(backs_off) {
                    part.under_way = Some(UnderWay::Running);
                    part.handed_out = step.hash().to_owned();
                    steps.push((cluster.clone(), step.clone()));
                    let deselected = self.sync.deselected.get(cluster);
                    if matches!(step, Step::Delete { .. }) && deselected.is_some_and(|keys| keys.contains(&key)) {
                        let deleted = self.sync.deleted.entry(cluster.clone()).or_default();
                        deleted.insert(key.clone(), now);
                    }
                }
            }
        }
        if let Some(write) = &host {
            self.sync
                .host_writes
                .insert(key.clone(), HostUnderWay::Running(write.resource_version.clone()));
        }
        (host.is_some() || !steps.is_empty()).then_some(Planned { key, plan, host, steps })
    }

    fn host_write(&self, key: &FederatedKey, plan: &SyncPlan, now: Timestamp) -> Option<HostWrite> {
        if self.sync.host_writes.contains_key(key) {
            return None;
        }
        let object = self.sync.objects.get(key)?;
        let outcomes = self.outcomes_of(key, plan);
        let status = crate::federated::status(&object.raw, &object.parsed, plan, &outcomes, self.published(key), now);
        let finalizers = match plan.finalizer {
            FinalizerStep::Keep => None,
            FinalizerStep::Add => {
                let mut finalizers = object.raw.finalizers().to_vec();
                finalizers.push(names::FINALIZER.to_owned());
                Some(finalizers)
            }
            // A create that is under way could leave behind what nobody remembers.
            FinalizerStep::Remove if self.is_under_way(key) => None,
            FinalizerStep::Remove => Some(
                object
                    .raw
                    .finalizers()
                    .iter()
                    .filter(|finalizer| *finalizer != names::FINALIZER)
                    .cloned()
                    .collect(),
            ),
        };
        // A status written together with the last finalizer's removal would find no object.
        let status = status.filter(|_| plan.finalizer != FinalizerStep::Remove);
        (finalizers.is_some() || status.is_some()).then(|| HostWrite {
            resource_version: object.raw.resource_version().unwrap_or_default(),
            finalizers,
            status,
        })
    }

    /// What discovery makes of a federated Service: whether something keeps it from being published as asked.
    fn published(&self, key: &FederatedKey) -> Option<Condition> {
        if !key.kind.is_service() {
            return None;
        }
        let service = ServiceKey {
            namespace: key.namespace.clone(),
            name: key.target_name().to_owned(),
        };
        let named = self.names().names_of(&service).next().is_some();
        let issues: Vec<_> = self.names().issues(&service).collect();
        let messages = || {
            issues
                .iter()
                .map(|issue| issue.message.as_str())
                .collect::<Vec<_>>()
                .join("; ")
        };
        Some(match (named, issues.first()) {
            (true, None) => Condition::new("Published", true, "Named", "its names are answered"),
            (true, Some(_)) => Condition::new("Published", true, "NamedWithIssues", messages()),
            (false, Some(first)) => Condition::new("Published", false, first.reason, messages()),
            (false, None) => Condition::new("Published", false, "NotExported", "no cluster exports it yet"),
        })
    }

    fn is_under_way(&self, key: &FederatedKey) -> bool {
        let mut clusters = self.facts.keys();
        clusters.any(|cluster| {
            let part = self.sync.parts.get(&(key.clone(), cluster.clone()));
            part.is_some_and(|part| part.under_way.is_some())
        })
    }

    fn outcomes_of(&self, key: &FederatedKey, plan: &SyncPlan) -> BTreeMap<ClusterName, ClusterOutcome> {
        plan.steps
            .keys()
            .filter_map(|cluster| {
                let part = self.sync.parts.get(&(key.clone(), cluster.clone()))?;
                Some((cluster.clone(), part.failure.as_ref()?.outcome.clone()))
            })
            .collect()
    }
}
