//! The whole of what the server answers from, as one immutable value.
//!
//! A snapshot is cheap to clone and cheap to change: each part is shared. The server holds the latest
//! in one atomic pointer and loads it once per query, so an answer never mixes two versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::client::ViewTable;
use crate::geo::GeoClasses;
use crate::{ClassTable, DnsName, RecordType, RoutedName, Sites, Zone};

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
    views: Arc<ViewTable>,
    zones_known: bool,
}

impl Default for Snapshot {
    fn default() -> Self {
        let sites = Sites::default();
        Self {
            zones: Arc::default(),
            zones_known: true,
            classes: Arc::new(ClassTable::compile(&sites, [], GeoClasses::unknown())),
            views: Arc::new(ViewTable::compile(&sites)),
            sites: Arc::new(sites),
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

    pub(crate) fn views(&self) -> &ViewTable {
        &self.views
    }

    /// Whether it is known which zones there are. Until then a name outside those that are here gets
    /// SERVFAIL instead of REFUSED, since its zone may exist all the same.
    pub fn zones_known(&self) -> bool {
        self.zones_known
    }

    /// This snapshot, with its zones known or not known to be all.
    #[must_use]
    pub fn with_zones_known(mut self, known: bool) -> Self {
        self.zones_known = known;
        self
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
        name.suffixes().find_map(|above| self.zones.get(above))
    }

    /// The zone that answers a question. It is the one with the longest name, but for DS at its apex: that
    /// is the parent's, if the parent is here too and delegates the name (RFC 4035 section 3.1.4.1).
    pub(crate) fn zone_for(&self, name: &DnsName, record_type: RecordType) -> Option<&Arc<Zone>> {
        let zone = self.zone_of(name)?;
        if record_type != RecordType::Ds || zone.apex() != name {
            return Some(zone);
        }
        let above = name.suffixes().skip(1).find_map(|above| self.zones.get(above));
        Some(above.filter(|above| above.delegates(name)).unwrap_or(zone))
    }

    /// With this zone added or replaced.
    #[must_use]
    pub fn with_zone(mut self, zone: Zone) -> Self {
        let zone = Arc::new(zone);
        let before = Arc::make_mut(&mut self.zones).insert(zone.apex().clone(), zone.clone());
        let networks = |zone: &Arc<Zone>| zone.networks().clone();
        if before.as_ref().map(networks).unwrap_or_default() == networks(&zone) {
            return self;
        }
        let geo = self.classes.geo().clone();
        self.with_classes(geo)
    }

    /// Without the zone of that name.
    #[must_use]
    pub fn without_zone(mut self, apex: &DnsName) -> Self {
        let before = Arc::make_mut(&mut self.zones).remove(apex);
        if before.is_none_or(|zone| zone.networks().is_empty()) {
            return self;
        }
        let geo = self.classes.geo().clone();
        self.with_classes(geo)
    }

    /// With these classes by place, compiled for sites and a database of now or of a moment ago.
    #[must_use]
    pub fn with_geo(self, geo: Arc<GeoClasses>) -> Self {
        self.with_classes(geo)
    }

    fn with_classes(mut self, geo: Arc<GeoClasses>) -> Self {
        let zones = self.zones.values().map(|zone| (zone.apex(), &**zone.networks()));
        self.classes = Arc::new(ClassTable::compile(&self.sites, zones, geo));
        self
    }

    /// With these sites. Configured networks are compiled again only if what they depend on differs: a change
    /// of state (dead, drained) is one pointer. The classes by place stay as they are until
    /// [`Snapshot::with_geo`], since they take longer; until then a new site comes behind the nearest few.
    #[must_use]
    pub fn with_sites(mut self, sites: Sites) -> Self {
        let placed = |sites: &Sites| -> Vec<_> {
            sites
                .iter()
                .map(|(name, site)| {
                    let networks = (site.networks.clone(), site.internal_networks.clone());
                    let place = (site.region.clone(), site.location);
                    (name.clone(), place, networks, site.weight)
                })
                .collect()
        };
        let differ = placed(&self.sites) != placed(&sites);
        self.sites = Arc::new(sites);
        if !differ {
            return self;
        }
        self.views = Arc::new(ViewTable::compile(&self.sites));
        let geo = self.classes.geo().clone();
        self.with_classes(geo)
    }
}
