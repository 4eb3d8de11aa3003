//! Federated objects: what is wanted, what members have, and which steps may be carried out now.
//!
//! Steps are handed out only when it is safe: the finalizer is on the object and the inventory on the
//! host already names every cluster that a create would reach (written ahead, so that a crash between
//! the two loses nothing). A step that is under way, or whose result the watch has not shown yet, is not
//! handed out again.
//!
//! Refused: a queue of pending changes. The plan is made anew from what is seen; the next plan is the retry.

mod ends;
mod objects;
mod planning;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meridian_federation_api as api;
use meridian_federation_core::{
    ClusterName, ClusterOutcome, FederatedKey, FederatedObject, ObjectKind, Settled, Step, SyncPlan, Timestamp,
};

use crate::managed::{ManagedKind, federated_key};

/// How a step ended in its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEnd {
    /// Written; the object there has this version now.
    Written {
        /// Hash of what was written.
        hash: String,
        /// Its resourceVersion after the write.
        resource_version: String,
        /// Its generation after the write, for kinds that have one.
        generation: Option<i64>,
    },
    /// Deleted, released, or not there any more.
    Removed,
    /// Not done, and why.
    Failed(ClusterOutcome),
}

/// How a write to a federated object ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostWriteEnd {
    /// Written; it has this version now.
    Written(String),
    /// Not written: it changed, or went, since the write was decided.
    Superseded,
    /// Not written, for another reason.
    Failed,
}

/// A write to the federated object itself, conditional on the version it was decided from.
#[derive(Debug, Clone, PartialEq)]
pub struct HostWrite {
    /// The version.
    pub resource_version: String,
    /// The finalizers to set, if they differ.
    pub finalizers: Option<Vec<String>>,
    /// The status to set, if it differs.
    pub status: Option<api::FederatedStatus>,
}

/// What to do for one federated object now.
#[derive(Debug)]
pub struct Planned {
    /// The object.
    pub key: FederatedKey,
    /// The whole plan, for logs.
    pub plan: SyncPlan,
    /// A write to the object on the host.
    pub host: Option<HostWrite>,
    /// Steps in members, each for its cluster's own worker.
    pub steps: Vec<(ClusterName, Step)>,
}

#[derive(Debug)]
struct Object {
    parsed: FederatedObject,
    raw: api::Federated,
}

#[derive(Debug, Default)]
struct Part {
    settled: Option<Settled>,
    under_way: Option<UnderWay>,
    failure: Option<Failure>,
    /// Hash of what the last step that was handed out writes; empty for one that writes nothing.
    handed_out: String,
}

#[derive(Debug)]
enum UnderWay {
    /// Handed out, not ended.
    Running,
    /// Ended; the watch has yet to show this version.
    Until(String),
    /// Ended; the watch has yet to show the object gone.
    UntilGone,
}

#[derive(Debug)]
enum HostUnderWay {
    /// Handed out, not ended; decided from this version.
    Running(String),
    /// Ended; the watch has yet to show this version.
    Until(String),
}

#[derive(Debug)]
struct Failure {
    count: u32,
    not_before: Timestamp,
    outcome: ClusterOutcome,
}

/// The sync side of the index.
#[derive(Debug)]
pub(crate) struct SyncState {
    control_plane: String,
    objects: BTreeMap<FederatedKey, Object>,
    by_namespace: BTreeMap<String, BTreeSet<FederatedKey>>,
    /// Namespaces whose FederatedNamespace exists and was never usable.
    refused_namespaces: BTreeSet<String>,
    /// The kind `v1` Service, once a federated one was seen.
    service_kind: Option<Arc<ObjectKind>>,
    views: BTreeMap<ClusterName, BTreeMap<Arc<ObjectKind>, ManagedKind>>,
    parts: BTreeMap<(FederatedKey, ClusterName), Part>,
    host_writes: BTreeMap<FederatedKey, HostUnderWay>,
    /// Who would be deleted where by deselection: the input of the deletion limit.
    deselected: BTreeMap<ClusterName, BTreeSet<FederatedKey>>,
    /// Who was deleted where by deselection, and when the step was handed out.
    deleted: BTreeMap<ClusterName, BTreeMap<FederatedKey, Timestamp>>,
    held: BTreeSet<ClusterName>,
}

impl SyncState {
    pub(crate) fn new(control_plane: String) -> Self {
        Self {
            control_plane,
            objects: BTreeMap::new(),
            by_namespace: BTreeMap::new(),
            refused_namespaces: BTreeSet::new(),
            service_kind: None,
            views: BTreeMap::new(),
            parts: BTreeMap::new(),
            host_writes: BTreeMap::new(),
            deselected: BTreeMap::new(),
            deleted: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = FederatedKey> {
        self.objects.keys().cloned()
    }

    pub(crate) fn keys_in(&self, namespace: &str) -> impl Iterator<Item = FederatedKey> {
        self.by_namespace.get(namespace).into_iter().flatten().cloned()
    }

    pub(crate) fn view(&mut self, cluster: &ClusterName, kind: &Arc<ObjectKind>) -> &mut ManagedKind {
        self.views
            .entry(cluster.clone())
            .or_default()
            .entry(kind.clone())
            .or_default()
    }

    pub(crate) fn all_stale(&mut self, cluster: &ClusterName, reason: &str, now: Timestamp) {
        for view in self.views.get_mut(cluster).into_iter().flat_map(BTreeMap::values_mut) {
            crate::health::go_stale(&mut view.freshness, reason, now);
        }
    }

    pub(crate) fn forget_cluster(&mut self, cluster: &ClusterName) {
        self.views.remove(cluster);
        self.deselected.remove(cluster);
        self.deleted.remove(cluster);
        self.parts.retain(|(_, of), _| of != cluster);
    }

    fn part(&mut self, key: &FederatedKey, cluster: &ClusterName) -> &mut Part {
        self.parts.entry((key.clone(), cluster.clone())).or_default()
    }

    /// The watch showed a version of a member object.
    pub(crate) fn seen(&mut self, cluster: &ClusterName, kind: &Arc<ObjectKind>, id: &(String, String), version: &str) {
        let Some(part) = self.parts.get_mut(&(federated_key(kind, id), cluster.clone())) else {
            return;
        };
        if matches!(&part.under_way, Some(UnderWay::Until(wanted)) if reached(version, wanted)) {
            part.under_way = None;
        }
    }

    /// The watch, or a list, showed that a member object is gone.
    pub(crate) fn gone(&mut self, cluster: &ClusterName, kind: &Arc<ObjectKind>, id: &(String, String)) {
        let Some(part) = self.parts.get_mut(&(federated_key(kind, id), cluster.clone())) else {
            return;
        };
        part.settled = None;
        if !matches!(part.under_way, Some(UnderWay::Running)) {
            part.under_way = None;
        }
    }

    /// A whole list was taken: nothing is left to wait for. Returns what waited, to be planned anew.
    pub(crate) fn view_listed(&mut self, cluster: &ClusterName, kind: &Arc<ObjectKind>) -> BTreeSet<FederatedKey> {
        let mut freed = BTreeSet::new();
        for ((key, of), part) in &mut self.parts {
            let waits = matches!(part.under_way, Some(UnderWay::Until(_) | UnderWay::UntilGone));
            if of == cluster && key.kind == *kind && waits {
                part.under_way = None;
                freed.insert(key.clone());
            }
        }
        freed
    }
}

/// Whether the version seen is the wanted one or a later one. Versions of one cluster are numbers that
/// grow (guaranteed since Kubernetes 1.35, true before); one that is not is taken as reached, since
/// waiting for ever is worse than writing the same thing twice.
fn reached(seen: &str, wanted: &str) -> bool {
    match (seen.parse::<u128>(), wanted.parse::<u128>()) {
        (Ok(seen), Ok(wanted)) => seen >= wanted,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(reached("10", "9") && reached("9", "9") && !reached("8", "9"));
        assert!(reached("not-a-number", "9"));
    }
}
