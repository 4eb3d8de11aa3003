//! What reaches the index, and what the index says has changed.

use std::collections::BTreeSet;

use meridian_federation_core::{ClusterName, FederatedKey, PolicyKey, ServiceKey};

/// A change of one kind of object, as a watch tells it.
#[derive(Debug, Clone)]
pub enum Event<T> {
    /// The object is now this.
    Apply(T),
    /// The object is gone; this is the last that was seen of it.
    Delete(T),
    /// This is everything there is: what is not in it is gone.
    Reset(Vec<T>),
}

impl<T> Event<T> {
    /// What it removes and what it sets, by the objects' ids. A reset removes what is known and not in it, and
    /// nothing else; `known` is asked only then.
    pub(crate) fn resolve<I: Ord, K: IntoIterator<Item = I>>(
        self,
        known: impl FnOnce() -> K,
        id: impl Fn(&T) -> I,
    ) -> (Vec<I>, Vec<T>) {
        match self {
            Self::Apply(object) => (Vec::new(), vec![object]),
            Self::Delete(object) => (vec![id(&object)], Vec::new()),
            Self::Reset(objects) => {
                let listed: BTreeSet<I> = objects.iter().map(id).collect();
                (known().into_iter().filter(|id| !listed.contains(id)).collect(), objects)
            }
        }
    }
}

/// Why a kind cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchFailure {
    /// The API does not serve it: there is none, and that is no trouble.
    NotServed,
    /// We may not: what is known is stale, but the cluster is well.
    Forbidden(String),
    /// The watch broke: the first sign of trouble with the API.
    Broken(String),
}

/// What must be decided anew. A no-op event leaves it empty and wakes nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Services whose names may differ.
    pub services: BTreeSet<ServiceKey>,
    /// RoutingPolicies whose status may differ.
    pub policies: BTreeSet<PolicyKey>,
    /// Federated objects whose plan may differ.
    pub federated: BTreeSet<FederatedKey>,
    /// Clusters whose conditions may differ.
    pub clusters: BTreeSet<ClusterName>,
    /// Clusters whose data path is to be probed, or no more.
    pub probes: BTreeSet<ClusterName>,
    /// Whether a site's state or place may differ.
    pub sites: bool,
    /// Whether a zone's head data may differ, or the set of zones.
    pub zones: bool,
}

impl Dirty {
    /// True when nothing has changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what another event made dirty.
    pub fn merge(&mut self, other: Self) {
        self.services.extend(other.services);
        self.policies.extend(other.policies);
        self.federated.extend(other.federated);
        self.clusters.extend(other.clusters);
        self.probes.extend(other.probes);
        self.sites |= other.sites;
        self.zones |= other.zones;
    }
}
