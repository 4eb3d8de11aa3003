//! Results of health requests and probes, and who answers: into the world's state.

use meridian_federation_core::{ClusterHealth, ClusterName, DiscoveryKind, Freshness, Identity, Timestamp};

use crate::{Dirty, Index, WatchFailure};

impl Index {
    /// Whether the member's API is called reachable.
    pub fn reachable(&self, cluster: &ClusterName) -> bool {
        self.health.get(cluster).is_some_and(ClusterHealth::reachable)
    }

    /// A request to a member's API ended.
    pub fn api_result(&mut self, cluster: &ClusterName, result: Result<(), String>, now: Timestamp) -> Dirty {
        let mut dirty = Dirty::default();
        let Some(health) = self.health.get_mut(cluster) else {
            return dirty;
        };
        let reason = result.as_ref().err().cloned();
        let probed = health.wants_rounds();
        let changed = health.api_result(result, &self.settings, now);
        if health.wants_rounds() != probed {
            dirty.probes.insert(cluster.clone());
        }
        if changed {
            if let Some(reason) = reason {
                self.all_stale(cluster, &reason, now);
            }
            self.refresh_facts(cluster, &mut dirty);
            dirty.clusters.insert(cluster.clone());
        }
        dirty
    }

    /// A kind that discovery reads cannot be watched in a member.
    pub fn watch_failed(
        &mut self,
        cluster: &ClusterName,
        kind: DiscoveryKind,
        failure: &WatchFailure,
        now: Timestamp,
    ) -> Dirty {
        let mut dirty = Dirty::default();
        if !self.world.clusters.contains_key(cluster) {
            return dirty;
        }
        let member = self.world.members.entry(cluster.clone()).or_default();
        let freshness = member.freshness.entry(kind).or_default();
        let differs = match failure {
            WatchFailure::NotServed => std::mem::replace(freshness, Freshness::Absent) != Freshness::Absent,
            WatchFailure::Forbidden(reason) | WatchFailure::Broken(reason) => {
                let stale = go_stale(freshness, reason, now);
                let known = member.troubles.insert(kind, reason.clone());
                stale || (*freshness == Freshness::Unknown && known.as_ref() != Some(reason))
            }
        };
        if differs {
            dirty.clusters.insert(cluster.clone());
        }
        if *failure == WatchFailure::NotServed && differs {
            dirty.zones |= kind == DiscoveryKind::Services;
            dirty.services.extend(self.services_of(cluster));
        }
        self.suspect(cluster, failure, &mut dirty);
        dirty
    }

    /// A broken watch is the first sign of trouble: the data path is looked at.
    pub(crate) fn suspect(&mut self, cluster: &ClusterName, failure: &WatchFailure, dirty: &mut Dirty) {
        let (WatchFailure::Broken(reason), Some(health)) = (failure, self.health.get_mut(cluster)) else {
            return;
        };
        if !health.wants_rounds() {
            dirty.probes.insert(cluster.clone());
        }
        health.suspect(reason.clone());
    }

    /// A round of probes of a member's data path ended: whether any connect succeeded, `None` if there was
    /// nothing to connect to. The next round may have other targets.
    pub fn round_result(&mut self, cluster: &ClusterName, connected: Option<bool>, now: Timestamp) -> Dirty {
        let mut dirty = Dirty::default();
        let Some(health) = self.health.get_mut(cluster) else {
            return dirty;
        };
        dirty.probes.insert(cluster.clone());
        let Some(connected) = connected else { return dirty };
        if health.round_result(connected, &self.settings, now) {
            dirty.sites = true;
            dirty.clusters.insert(cluster.clone());
        }
        dirty
    }

    /// Time has passed: what is held back and is due is let through with the next snapshot.
    pub fn tick(&self, now: Timestamp) -> Dirty {
        if !self.breaker.is_due(now) {
            return Dirty::default();
        }
        Dirty {
            sites: true,
            clusters: self.health.keys().cloned().collect(),
            services: self
                .breaker
                .names_due(now)
                .filter_map(|name| self.names.owner(name))
                .cloned()
                .collect(),
            ..Dirty::default()
        }
    }

    /// A member's API takes long to answer: the data path is looked at before the request fails.
    pub fn api_slow(&mut self, cluster: &ClusterName) -> Dirty {
        let mut dirty = Dirty::default();
        let limit = self.settings.api_slow.as_millis();
        self.suspect(
            cluster,
            &WatchFailure::Broken(format!("no answer within {limit} ms")),
            &mut dirty,
        );
        dirty
    }

    /// Somebody answered under a member's address: the cluster we joined, or the one with another UID.
    pub fn identity(&mut self, cluster: &ClusterName, found: Result<(), String>, now: Timestamp) -> Dirty {
        let mut dirty = Dirty::default();
        if !self.world.clusters.contains_key(cluster) {
            return dirty;
        }
        let identity = &mut self.world.members.entry(cluster.clone()).or_default().identity;
        let next = match (found, &*identity) {
            (Ok(()), _) => Identity::Confirmed,
            (Err(found), Identity::Wrong { found: known, since }) if found == *known => {
                Identity::Wrong { found, since: *since }
            }
            (Err(found), _) => Identity::Wrong { found, since: now },
        };
        if *identity != next {
            if let Identity::Wrong { found, .. } = &next {
                let reason = format!("another cluster answers, with UID {found}");
                *identity = next;
                self.all_stale(cluster, &reason, now);
            } else {
                *identity = next;
            }
            self.refresh_facts(cluster, &mut dirty);
            dirty.clusters.insert(cluster.clone());
        }
        dirty
    }

    /// A watch delivered: what was stale or unknown is fresh. A first list matters to completeness.
    pub(crate) fn delivered(&mut self, cluster: &ClusterName, kind: DiscoveryKind, reset: bool, dirty: &mut Dirty) {
        let member = self.world.members.entry(cluster.clone()).or_default();
        member.troubles.remove(&kind);
        let freshness = member.freshness.entry(kind).or_default();
        if *freshness == Freshness::Fresh || (*freshness == Freshness::Unknown && !reset) {
            return;
        }
        if *freshness == Freshness::Unknown {
            dirty.zones |= kind == DiscoveryKind::Services;
            dirty
                .services
                .extend(self.member_services.get(cluster).into_iter().flatten().cloned());
        }
        *freshness = Freshness::Fresh;
        dirty.clusters.insert(cluster.clone());
    }

    fn all_stale(&mut self, cluster: &ClusterName, reason: &str, now: Timestamp) {
        let member = self.world.members.entry(cluster.clone()).or_default();
        for freshness in member.freshness.values_mut() {
            go_stale(freshness, reason, now);
        }
        self.sync.all_stale(cluster, reason, now);
    }
}

/// What was never listed stays unknown: stale means that there is something to hold on to.
pub(crate) fn go_stale(freshness: &mut Freshness, reason: &str, now: Timestamp) -> bool {
    let goes = matches!(freshness, Freshness::Fresh);
    if goes {
        *freshness = Freshness::Stale {
            since: now,
            reason: reason.to_owned(),
        };
    }
    goes
}
