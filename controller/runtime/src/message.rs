//! What reaches the controller's loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use kube::core::DynamicObject;
use meridian_controller_index::{DiscoveryEvent, Event, HostWriteEnd, KeyEvent, StepEnd, WatchFailure};
use meridian_dns_core::DnsName;
use meridian_dns_core::geo::GeoClasses;
use meridian_federation_core::transfer::StreamState;
use meridian_federation_core::{ClusterName, DiscoveryKind, FederatedKey, ObjectKind, PolicyKey};

/// One thing that happened.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a message is moved a few times and never stored; a box would cost more"
)]
pub(crate) enum Message {
    /// On the host.
    Host(HostEvent),
    /// In a member, told by the connection with that number; a later connection makes it void.
    Member {
        cluster: ClusterName,
        connection: u64,
        event: MemberEvent,
    },
    /// A step of a plan ended.
    StepEnded {
        key: FederatedKey,
        cluster: ClusterName,
        end: StepEnd,
    },
    /// A write to a federated object ended.
    HostWriteEnded { key: FederatedKey, end: HostWriteEnd },
    /// Classes by place, for the sites and the databases of a moment ago.
    Classes(Arc<GeoClasses>),
    /// A back-off is over.
    PlanAgain(FederatedKey),
    /// Connect to a member anew.
    Reconnect(ClusterName),
    /// A second has passed.
    Tick,
    /// Keys of zones, whose private sides are installed.
    Keys(KeyEvent),
    /// What this replica gives to secondaries now, by zone.
    Streams(BTreeMap<DnsName, StreamState>),
    /// A status could not be written: compute it again.
    StatusAgain(StatusOf),
    /// Saved answers are too old from now on.
    SavedExpired,
    /// This replica leads now, or does no more.
    Leads(bool),
}

/// Whose status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StatusOf {
    Cluster(ClusterName),
    Zone(String),
    Route { namespace: String, name: String },
    Policy(PolicyKey),
}

#[derive(Debug)]
pub(crate) enum HostEvent {
    Clusters(Event<DynamicObject>),
    Zones(Event<DynamicObject>),
    Routes(Event<DynamicObject>),
    Policies(Event<DynamicObject>),
    Federated(Arc<ObjectKind>, Event<DynamicObject>),
    WatchFailed { what: String, failure: WatchFailure },
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a message is moved a few times and never stored; a box would cost more"
)]
pub(crate) enum MemberEvent {
    /// Something that discovery reads; received at that moment.
    Discovery(DiscoveryEvent, Instant),
    Managed(Arc<ObjectKind>, Event<DynamicObject>),
    DiscoveryFailed(DiscoveryKind, WatchFailure),
    ManagedFailed(Arc<ObjectKind>, WatchFailure),
    /// A health request takes long.
    ApiSlow,
    /// A health request ended.
    Api(Result<(), String>),
    /// The cluster we joined answered, or one with this UID.
    Identity(Result<(), String>),
    /// A round of probes ended: whether any connect succeeded; `None` without targets.
    Round(Option<bool>),
    /// A task of the connection ended by itself.
    TaskEnded(String),
}
