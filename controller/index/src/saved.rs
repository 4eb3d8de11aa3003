//! What a saved snapshot adds to the answers after a restart, until it is confirmed or withdrawn.
//!
//! A saved name stays while a site of it is pending: its cluster was not listed yet. Before the host's own
//! lists everything is pending. Whatever the watches have shown comes first, and what they have shown not
//! to be there is gone. When nothing is pending, or the saved data is too old, nothing is left of it.
//!
//! Refused: filling the index itself from the file. It would have to tell for every object whether it was
//! seen or only remembered; here the memory is laid under the names, which is where it is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use meridian_dns_core::{DnsName, NameChange, NameDelta, RoutedName, Saved, Sites, Snapshot};
use meridian_federation_core::{ClusterName, DiscoveryKind, Timestamp, carry_over};

use crate::Index;

/// Names by zone.
type Names = BTreeMap<DnsName, BTreeMap<DnsName, Arc<RoutedName>>>;

/// What is left of a saved snapshot.
#[derive(Debug)]
pub(crate) struct SavedState {
    as_of: Timestamp,
    expires: Timestamp,
    pub(crate) sites: Sites,
    names: Names,
    pending: Pending,
}

/// The clusters of which it is not known yet what they have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pending {
    /// All: the host was not listed.
    All,
    Only(BTreeSet<ClusterName>),
}

impl Pending {
    fn contains(&self, cluster: &ClusterName) -> bool {
        match self {
            Self::All => true,
            Self::Only(clusters) => clusters.contains(cluster),
        }
    }
}

impl Index {
    /// With the names and verdicts of a snapshot that was saved, which are used no longer than `max_age`
    /// after they were current. The same snapshot has to be the first `previous` of [`Index::snapshot`].
    #[must_use]
    pub fn with_saved(mut self, saved: &Saved, max_age: Duration) -> Self {
        let names = saved.snapshot.zones().map(|zone| {
            let names = zone.names().into_iter().map(|name| (name.name.clone(), name.clone()));
            (zone.apex().clone(), names.collect())
        });
        let as_of = Timestamp(saved.as_of);
        self.saved = Some(SavedState {
            as_of,
            expires: as_of + max_age,
            sites: saved.snapshot.sites().clone(),
            names: names.collect(),
            pending: Pending::All,
        });
        self
    }

    /// Of when the oldest part of the answers is.
    pub fn as_of(&self, now: Timestamp) -> Timestamp {
        self.saved.as_ref().map_or(now, |saved| saved.as_of)
    }

    fn pending(&self) -> Pending {
        let listed = &self.listed;
        if !(listed.clusters && listed.zones && listed.routes) {
            return Pending::All;
        }
        let kind = |cluster: &ClusterName, kind| self.world.freshness(cluster, kind).listed();
        let complete = |cluster: &ClusterName| {
            // Names of regions and zones follow from nodes, unless the cluster declares them; one whose nodes
            // cannot be read has been asked.
            let declared = self
                .world
                .clusters
                .get(cluster)
                .is_some_and(|cluster| cluster.region.is_some() && !cluster.zones.is_empty());
            let member = self.world.members.get(cluster);
            let asked = member.is_some_and(|member| member.troubles.contains_key(&DiscoveryKind::Nodes));
            kind(cluster, DiscoveryKind::Services)
                && kind(cluster, DiscoveryKind::Slices)
                && (declared || asked || kind(cluster, DiscoveryKind::Nodes))
        };
        let clusters = self.world.clusters.keys().cloned().chain(self.refused_clusters());
        Pending::Only(clusters.filter(|cluster| !complete(cluster)).collect())
    }

    /// Lays what is left of the saved names under the changes, and adds changes of names whose saved part is
    /// confirmed or withdrawn by now. True if sites may differ too.
    pub(crate) fn lay_under(&mut self, previous: &Snapshot, deltas: &mut Vec<NameDelta>, now: Timestamp) -> bool {
        let Some(mut saved) = self.saved.take() else {
            return false;
        };
        let pending = if now >= saved.expires {
            Pending::Only(BTreeSet::new())
        } else {
            self.pending()
        };
        let mut changes: BTreeMap<DnsName, BTreeMap<DnsName, NameChange>> = BTreeMap::new();
        for delta in deltas.drain(..) {
            let names = saved.names.get(&delta.zone);
            let of_zone = changes.entry(delta.zone).or_default();
            for change in delta.changes {
                let name = change.name().clone();
                let seen = match &change {
                    NameChange::Set(seen) => Some(seen),
                    NameChange::Remove(_) => None,
                };
                let change = match names.and_then(|names| names.get(&name)) {
                    Some(saved) => change_to(&name, carry_over(seen, saved, |site| pending.contains(site))),
                    None => change,
                };
                of_zone.insert(name, change);
            }
        }
        let differs = pending != saved.pending;
        if differs {
            for (zone, names) in &mut saved.names {
                let known = previous.zone(zone);
                let of_zone = changes.entry(zone.clone()).or_default();
                names.retain(|name, routed| {
                    if !of_zone.contains_key(name) {
                        let seen = self.names.get(zone, name);
                        let next = carry_over(seen, routed, |site| pending.contains(site));
                        if known.and_then(|zone| zone.name(name)) != next.as_ref() {
                            of_zone.insert(name.clone(), change_to(name, next));
                        }
                    }
                    routed.shards.keys().any(|site| pending.contains(site))
                });
            }
            saved.names.retain(|_, names| !names.is_empty());
        }
        saved.pending = pending;
        let changes = changes.into_iter().filter(|(_, changes)| !changes.is_empty());
        deltas.extend(changes.map(|(zone, changes)| NameDelta {
            zone,
            changes: changes.into_values().collect(),
        }));
        let pends = match &saved.pending {
            Pending::All => true,
            // The places of clusters that were never reached are known from nowhere else.
            Pending::Only(clusters) => !clusters.is_empty(),
        };
        self.saved = Some(saved).filter(|_| pends);
        differs
    }

    /// The sites as far as they are known: those of clusters that were not reached yet keep their place.
    pub(crate) fn sites(&self, previous: &Sites) -> Sites {
        match &self.saved {
            Some(_) if !self.listed.clusters => previous.clone(),
            None => meridian_federation_core::sites(&self.world, &self.health, &self.breaker),
            Some(saved) => {
                let seen = meridian_federation_core::sites(&self.world, &self.health, &self.breaker);
                let with_place = |(name, site): (&ClusterName, &meridian_dns_core::Site)| {
                    let mut site = site.clone();
                    if let Some(before) = saved.sites.get(name).filter(|_| saved.pending.contains(name)) {
                        if site.region.is_empty() {
                            site.region.clone_from(&before.region);
                        }
                        if site.zones.is_empty() {
                            site.zones.clone_from(&before.zones);
                        }
                    }
                    (name.clone(), site)
                };
                seen.iter().map(with_place).collect()
            }
        }
    }

    /// The zone is gone, and with it what was saved of it.
    pub(crate) fn forget_saved_zone(&mut self, apex: &DnsName) {
        if let Some(saved) = &mut self.saved {
            saved.names.remove(apex);
        }
    }
}

fn change_to(name: &DnsName, routed: Option<Arc<RoutedName>>) -> NameChange {
    routed.map_or_else(|| NameChange::Remove(name.clone()), NameChange::Set)
}
