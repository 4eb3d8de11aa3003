//! A plan as text, the same for logs, dry runs and golden tests.
//!
//! Hashes are left out: they change with every detail of a template and tell a reader nothing. UIDs and
//! resource versions stay, since they are what a write is conditional on.

use std::fmt;

use super::{FederatedKey, FinalizerStep, Step, SyncPlan, UpdateReason, WaitReason};

impl fmt::Display for FederatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Federated{} {}/{}", self.kind.kind, self.namespace, self.name)
    }
}

impl WaitReason {
    /// The word in the status of a federated object: KubeFed's where it has one.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::ClusterNotReady(_) | Self::NotListed | Self::NotShown => "ClusterNotReady",
            Self::KindNotServed => "KindNotServed",
            Self::Paused => "SyncPaused",
            Self::NamespaceNotReady => "NamespaceNotReady",
            Self::NamespaceNotFederated => "NamespaceNotFederated",
            Self::ManagedLabelFalse => "ManagedLabelFalse",
            Self::NotOwner(_) => "NotOwner",
            Self::AlreadyExists => "AlreadyExists",
            Self::WaitingForRemoval => "WaitingForRemoval",
            Self::DeletionLimit => "DeletionLimit",
            Self::OverridesFailed(_) => "ApplyOverridesFailed",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterNotReady(why) if why.is_empty() => f.write_str("the cluster is not reachable"),
            Self::ClusterNotReady(why) | Self::OverridesFailed(why) => f.write_str(why),
            Self::NotListed => f.write_str("the cluster's objects were not listed yet"),
            Self::NotShown => f.write_str("the cluster's watch has not shown our last write yet"),
            Self::KindNotServed => f.write_str("the cluster does not serve this kind"),
            Self::Paused => f.write_str("sync to the cluster is paused (spec.sync of its Cluster)"),
            Self::NamespaceNotReady => f.write_str("the namespace is not there yet"),
            Self::NamespaceNotFederated => f.write_str("the namespace has no FederatedNamespace"),
            Self::ManagedLabelFalse => f.write_str("the object there is labelled meridian.dev/managed=false"),
            Self::NotOwner(other) => write!(f, "the object there belongs to control plane {other}"),
            Self::AlreadyExists => {
                f.write_str("an object was there before; meridian.dev/adopt=true would take it over")
            }
            Self::WaitingForRemoval => f.write_str("the object there is terminating"),
            Self::DeletionLimit => f.write_str(
                "too many objects would be deleted there at once; \
                 meridian.dev/confirm-deletions on its Cluster allows it",
            ),
        }
    }
}

impl fmt::Display for UpdateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the wanted object changed"),
            Self::Drifted(path) => write!(f, "{path} differs"),
            Self::TakeOwnership => f.write_str("to own its fields by apply"),
            Self::Adopt => f.write_str("adopting it"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { adopt: false, .. } => f.write_str("create"),
            Self::Create { adopt: true, .. } => f.write_str("create, or adopt what is there"),
            Self::Update { uid, reason, .. } => write!(f, "update {uid}: {reason}"),
            Self::Delete { uid, resource_version } => write!(f, "delete {uid} at version {resource_version}"),
            Self::Release { uid } => write!(f, "release {uid}"),
            Self::Keep => f.write_str("keep"),
            Self::Wait { reason } => write!(f, "wait, {}: {reason}", reason.word()),
            Self::Gone => f.write_str("gone"),
        }
    }
}

/// One line per cluster; before them, what concerns the object as a whole.
impl fmt::Display for SyncPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        if let Some((reason, message)) = &self.failure {
            lines.push(format!("failed, {reason}: {message}"));
        }
        match self.finalizer {
            FinalizerStep::Keep => {}
            FinalizerStep::Add => lines.push("add the finalizer".to_owned()),
            FinalizerStep::Remove => lines.push("remove the finalizer".to_owned()),
        }
        lines.extend(self.steps.iter().map(|(cluster, step)| format!("{cluster}: {step}")));
        f.write_str(&lines.join("\n"))
    }
}
