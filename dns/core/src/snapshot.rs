//! The whole of what the server answers from, as one immutable value.
//!
//! A snapshot is cheap to clone and cheap to change: each part is shared. The server holds the latest
//! in one atomic pointer and loads it once per query, so an answer never mixes two versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{ClassTable, DnsName, RoutedName, Sites, Zone};

/// One name to set or to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameChange {
    /// The name is now this.
    Set(Arc<RoutedName>),
    /// The name is gone.
    Remove(DnsName),
}

impl NameChange {
    /// The name concerned.
    pub fn name(&self) -> &DnsName {
        match self {
            Self::Set(routed) => &routed.name,
            Self::Remove(name) => name,
        }
    }
}

/// What changed in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameDelta {
    /// The zone's name.
    pub zone: DnsName,
    /// Only what differs.
    pub changes: Vec<NameChange>,
}

/// Zones, sites and classes of one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    zones: Arc<BTreeMap<DnsName, Arc<Zone>>>,
    sites: Arc<Sites>,
    classes: Arc<ClassTable>,
}

impl Default for Snapshot {
    fn default() -> Self {
        let sites = Sites::default();
        let classes = Arc::new(ClassTable::compile(&sites));
        Self {
            zones: Arc::default(),
            sites: Arc::new(sites),
            classes,
        }
    }
}

impl Snapshot {
    /// The sites.
    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// The compiled classes.
    pub fn classes(&self) -> &ClassTable {
        &self.classes
    }

    /// All zones, by name.
    pub fn zones(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.values()
    }

    /// The zone of exactly this name.
    pub fn zone(&self, apex: &DnsName) -> Option<&Arc<Zone>> {
        self.zones.get(apex)
    }

    /// The zone with the longest name that the given name is in.
    pub fn zone_of(&self, name: &DnsName) -> Option<&Arc<Zone>> {
        name.ancestors().find_map(|above| self.zones.get(&above))
    }

    /// With this zone added or replaced.
    #[must_use]
    pub fn with_zone(mut self, zone: Zone) -> Self {
        Arc::make_mut(&mut self.zones).insert(zone.apex().clone(), Arc::new(zone));
        self
    }

    /// Without the zone of that name.
    #[must_use]
    pub fn without_zone(mut self, apex: &DnsName) -> Self {
        Arc::make_mut(&mut self.zones).remove(apex);
        self
    }

    /// With these sites. Classes are compiled again only if what they depend on differs: a change of
    /// state (dead, drained) is one pointer.
    #[must_use]
    pub fn with_sites(mut self, sites: Sites) -> Self {
        let placed = |sites: &Sites| -> Vec<_> {
            sites
                .iter()
                .map(|(name, site)| (name.clone(), site.location, site.networks.clone(), site.weight))
                .collect()
        };
        if placed(&self.sites) != placed(&sites) {
            self.classes = Arc::new(ClassTable::compile(&sites));
        }
        self.sites = Arc::new(sites);
        self
    }
}
