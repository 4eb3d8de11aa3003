//! Resource sync: what each cluster has of a federated object, and the whole plan to make it right.
//!
//! [`plan_sync`] decides everything before anything is written; whoever carries it out has no choices
//! left. What must stay true:
//! - **unknown is not empty**: nothing is created or deleted in a cluster whose view is not current;
//! - **touch only what is ours**: an object without this control plane's mark is never deleted, and one that
//!   we did not create is released, never deleted;
//! - **write ahead**: a cluster is in the inventory before it gets its first object, and leaves it only when
//!   a current view shows nothing of ours there;
//! - **one cluster cannot hurt another**: a step depends on the object and on its own cluster only;
//! - a plan carried out leads to a plan with nothing to do.
//!
//! A plan is data: it prints itself, and the same text serves logs, dry runs and golden tests.

mod covers;
mod deletion_limit;
mod display;
mod member;
mod plan;
mod status;

pub use covers::{covers, first_difference};
pub use deletion_limit::{DELETION_LIMIT_FLOOR, DELETION_LIMIT_PERCENT, DELETION_WINDOW, deletion_holds};
pub use plan::{may_adopt, plan_sync};
pub use status::{ClusterOutcome, ClusterSyncStatus, sync_status};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::{ClusterFacts, ClusterName, Freshness, NamespacePlacement, Override, Placement};

/// A kind of object that members hold: the target of a federated kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKind {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The resource's plural name, in lower case.
    pub plural: String,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
}

impl ObjectKind {
    /// `group/version`, or the version alone for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether this is `v1` Namespace, whose federated objects live in the namespace that they name.
    pub fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.kind == "Namespace"
    }

    /// Whether this is `v1` Service, which service discovery reads.
    pub fn is_service(&self) -> bool {
        self.group.is_empty() && self.kind == "Service"
    }
}

/// A federated object on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FederatedKey {
    /// The kind of its target, shared between all keys of that kind.
    pub kind: Arc<ObjectKind>,
    /// Its namespace on the host.
    pub namespace: String,
    /// Its name on the host.
    pub name: String,
}

impl FederatedKey {
    /// Name of the target in the members.
    pub fn target_name(&self) -> &str {
        if self.kind.is_namespace() {
            &self.namespace
        } else {
            &self.name
        }
    }

    /// Namespace of the target in the members; `None` for a cluster-scoped kind.
    pub fn target_namespace(&self) -> Option<&str> {
        self.kind.namespaced.then_some(self.namespace.as_str())
    }
}

/// A federated object as its user wrote it, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct FederatedObject {
    /// Which one.
    pub key: FederatedKey,
    /// Its UID on the host.
    pub uid: String,
    /// The generation of its spec.
    pub generation: i64,
    /// What members shall have; `Null` when there is none.
    pub template: Value,
    /// Where.
    pub placement: Placement,
    /// How it differs there.
    pub overrides: Vec<Override>,
    /// Whether `spec.replicas` of an existing object is the member's own.
    pub retain_replicas: bool,
    /// Set while the object is being deleted.
    pub deletion: Option<Deletion>,
    /// Whether objects that are there already may be taken over.
    pub adopt: bool,
    /// Whether it carries [`crate::names::FINALIZER`].
    pub has_finalizer: bool,
    /// Every cluster that may hold a part of it, with the part's UID once known. As stored on the host.
    pub inventory: BTreeMap<ClusterName, Option<String>>,
}

/// What a deletion means for the members' objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// They are deleted too.
    Cascade,
    /// They stay, without our marks.
    Orphan,
}

/// An object in a member, as its watch shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberObject {
    /// Its UID there.
    pub uid: String,
    /// Its resource version there.
    pub resource_version: String,
    /// The generation of its spec, for kinds that have one.
    pub generation: Option<i64>,
    /// The control plane that its annotation names.
    pub control_plane: Option<String>,
    /// Whether its owner keeps it from us: the managed label is `"false"`.
    pub opted_out: bool,
    /// Whether its annotation says that Meridian created it.
    pub created_by_us: bool,
    /// Whether it is terminating.
    pub deleting: bool,
    /// The hash that its annotation carries.
    pub desired_hash: Option<String>,
    /// Whether our fields are owned by an apply. While they are owned by an update (the create), a field that
    /// we no longer want would stay.
    pub apply_owned: bool,
    /// The object, without `managedFields` and `status`.
    pub object: Arc<Value>,
}

/// Everything that a plan depends on.
#[derive(Debug, Clone)]
pub struct SyncInput<'a> {
    /// The federated object.
    pub object: &'a FederatedObject,
    /// Where its namespace goes.
    pub namespace_placement: NamespacePlacement,
    /// All member clusters.
    pub clusters: &'a BTreeMap<ClusterName, ClusterFacts>,
    /// What is known of the target in each. A missing entry means that nothing is known.
    pub members: BTreeMap<ClusterName, MemberView<'a>>,
    /// The id of this control plane.
    pub control_plane: &'a str,
    /// Clusters where deletions are over the limit; see [`deletion_holds`].
    pub held_deletions: &'a BTreeSet<ClusterName>,
}

/// What is known of the target in one member.
#[derive(Debug, Clone, Copy)]
pub struct MemberView<'a> {
    /// How well the kind is known there.
    pub freshness: &'a Freshness,
    /// The object as last seen.
    pub object: Option<&'a MemberObject>,
    /// Whether its namespace is there; true for cluster-scoped kinds.
    pub namespace_ready: bool,
    /// What our last successful write left there.
    pub settled: Option<&'a Settled>,
    /// Whether a write of ours is under way, or ended and was not shown by the watch yet.
    pub under_way: bool,
}

/// The result of our last successful write of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The hash of what was written.
    pub hash: String,
    /// The resource version that the server answered with.
    pub resource_version: String,
    /// The generation that it answered with, for kinds that have one.
    pub generation: Option<i64>,
}

/// What to do about a federated object, in every cluster that it concerns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncPlan {
    /// One step per cluster.
    pub steps: BTreeMap<ClusterName, Step>,
    /// What to do about the finalizer. [`FinalizerStep::Add`] comes before any other write.
    pub finalizer: FinalizerStep,
    /// The inventory as it must be stored on the host before the first step is carried out.
    pub inventory: BTreeMap<ClusterName, Option<String>>,
    /// Reason and message, when the object as a whole cannot be synced. Then there are no steps.
    pub failure: Option<(String, String)>,
}

/// What to do in one cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Create it with a POST, so that an object that is there already is noticed and not overwritten.
    Create {
        /// The whole object.
        desired: Value,
        /// Its hash.
        hash: String,
        /// Whether one that is there already may be taken over; see [`may_adopt`] and [`crate::as_update`].
        adopt: bool,
    },
    /// Apply it, conditional on the UID.
    Update {
        /// The whole object.
        desired: Value,
        /// Its hash.
        hash: String,
        /// The object that is meant, and no later one of the same name.
        uid: String,
        /// Why.
        reason: UpdateReason,
    },
    /// Delete it, conditional on both.
    Delete {
        /// The object that is meant.
        uid: String,
        /// The version that was judged.
        resource_version: String,
    },
    /// Take our marks off and leave the object.
    Release {
        /// The object that is meant.
        uid: String,
    },
    /// It is as it should be.
    Keep,
    /// Nothing can or may be done now.
    Wait {
        /// Why.
        reason: WaitReason,
    },
    /// Nothing is there, nothing is on its way there, and nothing is wanted: the cluster leaves the inventory.
    Gone,
}

impl Step {
    /// The hash of what it writes; empty for a step that writes no object.
    pub fn hash(&self) -> &str {
        match self {
            Self::Create { hash, .. } | Self::Update { hash, .. } => hash,
            _ => "",
        }
    }

    /// Whether it writes to the cluster.
    pub const fn writes(&self) -> bool {
        matches!(
            self,
            Self::Create { .. } | Self::Update { .. } | Self::Delete { .. } | Self::Release { .. }
        )
    }
}

/// Why an object is written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateReason {
    /// We want something else than what we last wrote.
    Changed,
    /// It differs from what we wrote, here first: a JSON Pointer.
    Drifted(String),
    /// It is as it should be, but our fields are not owned by an apply yet.
    TakeOwnership,
    /// It was there before, and may be taken over.
    Adopt,
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// The cluster cannot be reached or its view is stale; why, for a person.
    ClusterNotReady(String),
    /// The kind was not listed there yet.
    NotListed,
    /// Our last write there was not shown by the watch yet, so the view cannot tell whether something is left.
    NotShown,
    /// The cluster does not serve the kind.
    KindNotServed,
    /// The operator paused writes there.
    Paused,
    /// The namespace is not there yet.
    NamespaceNotReady,
    /// The namespace is not federated, so nothing in it is.
    NamespaceNotFederated,
    /// The owner of the object there keeps it from us.
    ManagedLabelFalse,
    /// It belongs to this other control plane.
    NotOwner(String),
    /// It was there before, and may not be taken over.
    AlreadyExists,
    /// It is terminating.
    WaitingForRemoval,
    /// Too much would be deleted there at once.
    DeletionLimit,
    /// An override does not fit; why, with the path.
    OverridesFailed(String),
}

/// What to do about the finalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FinalizerStep {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Put it on, before anything is written anywhere.
    Add,
    /// Take it off: nothing of the object is left.
    Remove,
}
