//! The index: what watches deliver goes in, what must be decided anew comes out.
//!
//! It is synchronous and has no clock, no socket and no task. Each kind of object comes as apply, delete
//! or reset ([`Event`]); each call returns what became [`Dirty`], and an event that changes nothing
//! returns nothing. Decisions are the cores'; here their inputs are kept.
//!
//! What must stay true:
//! - bad input becomes a problem of that object and never loses what was good before;
//! - the cost of an event does not depend on how many other services, objects or clusters there are;
//! - nothing is removed because a cluster cannot be read, or because another one answers in its place.

mod discovery;
mod event;
mod federated;
mod health;
mod host;
mod managed;
pub mod parse;
mod policies;
mod saved;
mod signing;
mod snapshot;
mod status;
mod sync;
mod transfers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meridian_dns_core::{NameDelta, ReadText};
use meridian_federation_api as api;
use meridian_federation_core::{
    Breaker, ClusterFacts, ClusterHealth, ClusterName, HealthSettings, NameTable, PolicyKey, ServiceKey, World,
};

pub use discovery::DiscoveryEvent;
pub use event::{Dirty, Event, WatchFailure};
pub use federated::write_conditions;
pub use parse::ParseError;
pub use signing::{KeyEvent, KeyTask};
pub use sync::{HostWrite, HostWriteEnd, Planned, StepEnd};

/// Everything known, and everything decided from it so far.
#[derive(Debug)]
pub struct Index {
    world: World,
    names: NameTable,
    health: BTreeMap<ClusterName, ClusterHealth>,
    breaker: Breaker,
    settings: HealthSettings,
    member_services: BTreeMap<ClusterName, BTreeSet<ServiceKey>>,
    slice_owners: BTreeMap<ClusterName, discovery::SliceOwners>,
    clusters: BTreeMap<ClusterName, api::Cluster>,
    zones: BTreeMap<String, api::DNSZone>,
    routes: BTreeMap<(String, String), api::DNSRoute>,
    policies: BTreeMap<PolicyKey, api::RoutingPolicy>,
    problems: BTreeMap<(&'static str, String), ParseError>,
    facts: BTreeMap<ClusterName, ClusterFacts>,
    listed: Listed,
    saved: Option<saved::SavedState>,
    keys: signing::Keys,
    text_reader: Option<Arc<dyn ReadText>>,
    sync: sync::SyncState,
    transfers: transfers::TransferState,
}

/// The kinds on the host that everything else depends on, and whether they were listed since the start.
/// Before that, one that is not known may exist all the same.
#[derive(Debug, Default)]
struct Listed {
    clusters: bool,
    zones: bool,
    routes: bool,
    policies: bool,
    federated_namespaces: bool,
}

impl Listed {
    /// Whether it is known where objects belong. Without the clusters, one that still holds an object would
    /// be taken for one that left the fleet; without the FederatedNamespaces, every object in their namespaces
    /// would be unwanted.
    const fn placement(&self) -> bool {
        self.clusters && self.federated_namespaces
    }
}

impl Index {
    /// An empty index of the control plane with that id.
    pub fn new(control_plane: impl Into<String>, settings: HealthSettings) -> Self {
        Self {
            world: World::default(),
            names: NameTable::default(),
            health: BTreeMap::new(),
            breaker: Breaker::new(settings.breaker.clone()),
            settings,
            member_services: BTreeMap::new(),
            slice_owners: BTreeMap::new(),
            clusters: BTreeMap::new(),
            zones: BTreeMap::new(),
            routes: BTreeMap::new(),
            policies: BTreeMap::new(),
            problems: BTreeMap::new(),
            facts: BTreeMap::new(),
            listed: Listed::default(),
            saved: None,
            keys: signing::Keys::default(),
            text_reader: None,
            sync: sync::SyncState::new(control_plane.into()),
            transfers: transfers::TransferState::default(),
        }
    }

    /// With a reader for the static records of zones. Without one, a zone that has some is refused: records
    /// are read by a wire library, which the index does not have.
    #[must_use]
    pub fn with_text_reader(mut self, reader: Arc<dyn ReadText>) -> Self {
        self.text_reader = Some(reader);
        self
    }

    /// What is known of the federation.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The published names.
    pub fn names(&self) -> &NameTable {
        &self.names
    }

    /// Health of every cluster.
    pub fn health(&self) -> &BTreeMap<ClusterName, ClusterHealth> {
        &self.health
    }

    /// Everything about which something is planned or told: for whoever begins to act.
    pub fn everything(&self) -> Dirty {
        Dirty {
            services: self
                .world
                .services
                .keys()
                .chain(self.world.routes_of.keys())
                .cloned()
                .collect(),
            federated: self.sync.keys().collect(),
            clusters: self.clusters.keys().cloned().chain(self.refused_clusters()).collect(),
            zones: true,
            ..Dirty::default()
        }
    }

    /// Finds the names of dirty services anew; only what differs is returned.
    pub fn update_names(&mut self, services: BTreeSet<ServiceKey>) -> Vec<NameDelta> {
        self.names.update(&self.world, services)
    }
}
