//! The plan: for each cluster, one step.
//!
//! Clusters considered are those wanted, those in the inventory, and those where our mark is seen; so a
//! lost inventory loses nothing that can still be seen. For each, the checks come in a fixed order: is the
//! cluster known and its view current, whose object is it, what is wanted, what may be done.
//!
//! Refused: planning from the inventory alone (an object that came back from a backup would never be
//! looked at), and skipping unreachable clusters (an object being deleted would lose them). They wait, by
//! name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::covers::first_difference;
use super::{Deletion, FinalizerStep, MemberObject, MemberView, Step, SyncInput, SyncPlan, UpdateReason, WaitReason};
use crate::placement::{place, select};
use crate::render::{base, render_for};
use crate::{ClusterFacts, ClusterName, Freshness, NamespacePlacement, RenderError, check_overrides};

/// What a cluster gets in the inventory; `None` leaves it out.
type Entry = Option<Option<String>>;

/// What to do about a federated object, in every cluster that it concerns.
pub fn plan_sync(input: &SyncInput<'_>) -> SyncPlan {
    let object = input.object;
    let deleting = object.deletion.is_some();
    if object.key.kind.is_namespace() && object.key.name != object.key.namespace {
        return misnamed(input);
    }
    let (template, wanted) = if deleting {
        (Value::Null, BTreeSet::new())
    } else {
        match check_overrides(&object.overrides)
            .map_err(RenderError::from)
            .and_then(|()| base(object))
        {
            Ok(template) => (
                template,
                place(&object.placement, &input.namespace_placement, input.clusters),
            ),
            Err(error) => return failed(input, error.reason(), error.to_string()),
        }
    };
    // Only to be named: people ask why their object is not there.
    let held_back = match input.namespace_placement {
        NamespacePlacement::NotFederated if !deleting => select(&object.placement, input.clusters),
        _ => BTreeSet::new(),
    };
    let planner = Planner {
        input,
        template,
        wanted,
        held_back,
    };
    let mut plan = SyncPlan::default();
    for cluster in planner.considered() {
        let (step, entry) = planner.step(&cluster);
        if let Some(uid) = entry {
            plan.inventory.insert(cluster.clone(), uid);
        }
        plan.steps.insert(cluster, step);
    }
    plan.finalizer = match (deleting, object.has_finalizer) {
        (true, true) if plan.steps.values().all(|step| matches!(step, Step::Gone)) => FinalizerStep::Remove,
        (false, false) => FinalizerStep::Add,
        _ => FinalizerStep::Keep,
    };
    plan
}

/// Nothing is written for an object that makes no sense, and nothing that it has is forgotten.
fn failed(input: &SyncInput<'_>, reason: &str, message: String) -> SyncPlan {
    SyncPlan {
        inventory: input.object.inventory.clone(),
        failure: Some((reason.to_owned(), message)),
        ..SyncPlan::default()
    }
}

/// A FederatedNamespace that is not called like its namespace never had a part anywhere. What is seen in the
/// clusters belongs to the one with the right name, also while this one is deleted.
fn misnamed(input: &SyncInput<'_>) -> SyncPlan {
    let key = &input.object.key;
    if input.object.deletion.is_none() {
        let message = format!(
            "a FederatedNamespace must be called like its namespace, {}, not {}",
            key.namespace, key.name
        );
        return failed(input, "InvalidName", message);
    }
    let finalizer = if input.object.has_finalizer {
        FinalizerStep::Remove
    } else {
        FinalizerStep::Keep
    };
    SyncPlan {
        finalizer,
        ..SyncPlan::default()
    }
}

/// Why an existing object cannot be taken over; `None` when it can. For an object that a create ran into:
/// what it did not see, it judges by the same rules before it writes over it.
pub fn may_adopt(existing: &MemberObject, control_plane: &str, adopt: bool) -> Option<WaitReason> {
    if existing.opted_out {
        return Some(WaitReason::ManagedLabelFalse);
    }
    match &existing.control_plane {
        Some(other) if other != control_plane => Some(WaitReason::NotOwner(other.clone())),
        _ if existing.deleting => Some(WaitReason::WaitingForRemoval),
        None if !adopt => Some(WaitReason::AlreadyExists),
        _ => None,
    }
}

struct Planner<'a> {
    input: &'a SyncInput<'a>,
    /// The object as it is the same in all clusters.
    template: Value,
    wanted: BTreeSet<ClusterName>,
    /// Clusters that would be wanted if the namespace were federated.
    held_back: BTreeSet<ClusterName>,
}

impl Planner<'_> {
    fn considered(&self) -> BTreeSet<ClusterName> {
        let mut considered = self.wanted.clone();
        considered.extend(self.input.object.inventory.keys().cloned());
        let marked = |view: &MemberView<'_>| view.object.is_some_and(|member| self.is_ours(member));
        considered.extend(
            self.input
                .members
                .iter()
                .filter(|(_, view)| marked(view))
                .map(|(name, _)| name.clone()),
        );
        considered.extend(self.held_back.iter().cloned());
        considered
    }

    /// Whether it carries our mark, and its owner has not kept it from us.
    fn is_ours(&self, member: &MemberObject) -> bool {
        member.control_plane.as_deref() == Some(self.input.control_plane) && !member.opted_out
    }

    fn step(&self, cluster: &ClusterName) -> (Step, Entry) {
        let unknown = MemberView {
            freshness: &Freshness::Unknown,
            object: None,
            namespace_ready: false,
            settled: None,
            under_way: false,
        };
        let view = self.input.members.get(cluster).copied().unwrap_or(unknown);
        let stored = self.input.object.inventory.get(cluster);
        // A cluster that is not in the fleet any more has nothing that could be waited for.
        let Some(facts) = self.input.clusters.get(cluster) else {
            return (Step::Gone, None);
        };
        let seen_ours = view.object.filter(|member| self.is_ours(member));
        let wanted = self.wanted.contains(cluster);
        if !wanted && stored.is_none() && seen_ours.is_none() {
            return (wait(WaitReason::NamespaceNotFederated), None);
        }
        let entry = seen_ours.map_or_else(|| stored.cloned(), |member| Some(Some(member.uid.clone())));
        if let Some(reason) = unreadable(facts, view.freshness) {
            return (wait(reason), entry);
        }
        match (wanted, view.object) {
            (true, None) => self.create(cluster, facts, &view, entry),
            (true, Some(member)) => self.update(cluster, facts, &view, member, entry),
            (false, Some(member)) if self.is_ours(member) => (self.remove(cluster, facts, member), entry),
            (false, _) if self.held_back.contains(cluster) => (wait(WaitReason::NamespaceNotFederated), None),
            (false, _) if view.under_way => (wait(WaitReason::NotShown), entry),
            (false, _) => (Step::Gone, None),
        }
    }

    /// Wanted, and not there in a current view.
    fn create(
        &self,
        cluster: &ClusterName,
        facts: &ClusterFacts,
        view: &MemberView<'_>,
        entry: Entry,
    ) -> (Step, Entry) {
        if *view.freshness == Freshness::Absent {
            return (wait(WaitReason::KindNotServed), entry);
        }
        if !view.namespace_ready {
            return (wait(WaitReason::NamespaceNotReady), entry);
        }
        let rendered = match self.render(cluster, facts) {
            Ok(rendered) => rendered,
            Err(error) => return (wait(WaitReason::OverridesFailed(error.to_string())), entry),
        };
        if facts.paused {
            return (wait(WaitReason::Paused), entry);
        }
        let adopt = self.input.object.adopt;
        // Whatever UID was stored is gone; the next one is not known yet.
        (
            Step::Create {
                desired: rendered.for_create(),
                hash: rendered.hash,
                adopt,
            },
            Some(None),
        )
    }

    /// Wanted, and something is there.
    fn update(
        &self,
        cluster: &ClusterName,
        facts: &ClusterFacts,
        view: &MemberView<'_>,
        member: &MemberObject,
        entry: Entry,
    ) -> (Step, Entry) {
        // Known by its UID: somebody took our annotation off an object that we wrote.
        let known = entry.as_ref().and_then(Option::as_deref) == Some(member.uid.as_str());
        if let Some(reason) = may_adopt(member, self.input.control_plane, self.input.object.adopt || known) {
            return (wait(reason), entry);
        }
        let rendered = match self.render(cluster, facts) {
            Ok(rendered) => rendered,
            Err(error) => return (wait(WaitReason::OverridesFailed(error.to_string())), entry),
        };
        let uid = member.uid.clone();
        let entry = Some(Some(uid.clone()));
        let settled = view.settled.filter(|settled| settled.hash == rendered.hash);
        if settled.is_some_and(|settled| settled.resource_version == member.resource_version) {
            return (Step::Keep, entry);
        }
        // A server may write a value in another way than we did ("1000m" as "1"). As long as the generation is
        // that of our write nobody changed the spec since, whatever became of status and metadata.
        let same_spec =
            settled.is_some_and(|settled| settled.generation.is_some() && settled.generation == member.generation);
        let is_drift = |path: &String| !same_spec || path.starts_with("/metadata");
        let desired = rendered.for_update(member, self.input.object.retain_replicas);
        let reason = if member.control_plane.is_none() && !known {
            UpdateReason::Adopt
        } else if member.desired_hash.as_ref() != Some(&rendered.hash) {
            UpdateReason::Changed
        } else if let Some(path) = first_difference(&member.object, &desired).filter(is_drift) {
            UpdateReason::Drifted(path)
        } else if !member.apply_owned {
            UpdateReason::TakeOwnership
        } else {
            return (Step::Keep, entry);
        };
        if facts.paused {
            return (wait(WaitReason::Paused), entry);
        }
        (
            Step::Update {
                desired,
                hash: rendered.hash,
                uid,
                reason,
            },
            entry,
        )
    }

    /// Not wanted, and ours.
    fn remove(&self, cluster: &ClusterName, facts: &ClusterFacts, member: &MemberObject) -> Step {
        let deletion = self.input.object.deletion;
        let delete = member.created_by_us && deletion != Some(Deletion::Orphan);
        if member.deleting {
            return wait(WaitReason::WaitingForRemoval);
        }
        if facts.paused {
            return wait(WaitReason::Paused);
        }
        if !delete {
            return Step::Release {
                uid: member.uid.clone(),
            };
        }
        if deletion.is_none() && self.input.held_deletions.contains(cluster) {
            return wait(WaitReason::DeletionLimit);
        }
        Step::Delete {
            uid: member.uid.clone(),
            resource_version: member.resource_version.clone(),
        }
    }

    fn render(&self, cluster: &ClusterName, facts: &ClusterFacts) -> Result<crate::Rendered, RenderError> {
        render_for(
            self.input.object,
            &self.template,
            cluster,
            &facts.labels,
            self.input.control_plane,
        )
    }
}

fn wait(reason: WaitReason) -> Step {
    Step::Wait { reason }
}

/// Why what we hold of the cluster cannot be relied on; `None` when it can.
fn unreadable(facts: &ClusterFacts, freshness: &Freshness) -> Option<WaitReason> {
    if !facts.reachable {
        return Some(WaitReason::ClusterNotReady(facts.why_not.clone()));
    }
    match freshness {
        Freshness::Unknown => Some(WaitReason::NotListed),
        Freshness::Stale { reason, .. } => Some(WaitReason::ClusterNotReady(reason.clone())),
        Freshness::Fresh | Freshness::Absent => None,
    }
}
