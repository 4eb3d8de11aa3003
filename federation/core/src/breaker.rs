//! The breaker: verdicts that would take away too much at once are held back (invariant 3).
//!
//! A verdict can be wrong: the probes of a controller whose own uplink is down all fail, and a cluster
//! whose network plugin restarts calls every endpoint unready. One site that dies, or one service that
//! stops, is ordinary and is believed at once. What would take several sites, or the last sites of many
//! names, is held back: the verdicts before it are served until the new ones have stood for a grace
//! period, or until an operator says that they are true.
//!
//! What must stay true:
//! - it looks at verdicts alone. A drain, a deletion, a changed address and an object that is gone always
//!   apply; a name that is held back follows all of them;
//! - one site lost and confirmed never trips it;
//! - it is a plain function of what it was told and when: replicas that are told the same hold the same;
//! - a verdict that was let through is not taken back, and a good verdict is never held.
//!
//! Refused: a breaker that waits for an operator. Whoever is asleep would turn a real outage of two sites
//! into a long one; probes that agree for a grace period are believed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use meridian_dns_core::{DnsName, Fallback, Liveness, NameChange, NameDelta, RoutedName, ShardHealth, Snapshot};

use crate::{ClusterHealth, ClusterName, Timestamp};

/// When the breaker trips, and for how long it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Verdicts within this time count as one event.
    pub interval: Duration,
    /// Sites that may go within the interval.
    pub sites: usize,
    /// Share of all global names, in percent, that may lose their last site within the interval.
    pub names_percent: usize,
    /// Names that may lose their last site within the interval, whatever share they are.
    pub names_floor: usize,
    /// How long verdicts are held back that stay as they are.
    pub grace: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            sites: 1,
            names_percent: 20,
            names_floor: 10,
            grace: Duration::from_secs(30),
        }
    }
}

/// A verdict that takes a site out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SiteVerdict {
    since: Timestamp,
    held: bool,
}

/// A name that is answered by its verdicts before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HeldName {
    zone: DnsName,
    /// What it is by its verdicts now.
    true_value: Arc<RoutedName>,
    since: Timestamp,
}

/// What is held back, and what went lately.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breaker {
    settings: BreakerSettings,
    sites: BTreeMap<ClusterName, SiteVerdict>,
    names: BTreeMap<DnsName, HeldName>,
    /// Names that lost their last site and were let through: when, and how many.
    lost: VecDeque<(Timestamp, usize)>,
    /// Up to when an operator says that verdicts are true: those on a site, and those on a zone's names.
    released_sites: BTreeMap<ClusterName, Timestamp>,
    released_zones: BTreeMap<DnsName, Timestamp>,
}

impl Breaker {
    /// A breaker that holds nothing.
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Takes the verdicts on all sites. A new one that would be one too many within the interval is held,
    /// with all others that are new in this moment; one held for the grace period is let through.
    pub fn sites(&mut self, health: &BTreeMap<ClusterName, ClusterHealth>, now: Timestamp) {
        let dead = |name: &ClusterName| {
            health
                .get(name)
                .is_some_and(|health| health.liveness() == Liveness::Dead)
        };
        self.sites.retain(|name, _| dead(name));
        let new: Vec<_> = health
            .keys()
            .filter(|name| dead(name) && !self.sites.contains_key(*name))
            .collect();
        let interval = self.settings.interval;
        let recent = self
            .sites
            .values()
            .filter(|verdict| verdict.held || verdict.since.is_within(interval, now));
        let held = !new.is_empty() && recent.count() + new.len() > self.settings.sites;
        for name in new {
            self.sites.insert(name.clone(), SiteVerdict { since: now, held });
        }
        let over: Vec<_> = self
            .sites
            .iter()
            .filter(|(name, verdict)| self.is_over(verdict.since, self.released_sites.get(*name), now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in over {
            self.sites.entry(name).and_modify(|verdict| verdict.held = false);
        }
    }

    /// What answers consult for a site with that verdict.
    pub fn served(&self, site: &ClusterName, verdict: Liveness) -> Liveness {
        if self.holds_site(site).is_some() {
            Liveness::Alive
        } else {
            verdict
        }
    }

    /// Since when the verdict on a site is held back, if it is.
    pub fn holds_site(&self, site: &ClusterName) -> Option<Timestamp> {
        let held = self.sites.get(site).filter(|verdict| verdict.held);
        held.map(|verdict| verdict.since)
    }

    /// Since when a name is held back, if it is.
    pub fn holds_name(&self, name: &DnsName) -> Option<Timestamp> {
        self.names.get(name).map(|held| held.since)
    }

    /// Whether anything is held back.
    pub fn holds_anything(&self) -> bool {
        !self.names.is_empty() || self.sites.values().any(|verdict| verdict.held)
    }

    /// Whether something is held back that is to be let through now: then [`Breaker::sites`] and
    /// [`Breaker::overdue`] want to be asked.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let mut sites = self.sites.iter().filter(|(_, verdict)| verdict.held);
        sites.any(|(name, verdict)| self.is_over(verdict.since, self.released_sites.get(name), now))
            || self.names.values().any(|held| self.is_name_over(held, now))
    }

    /// The names held back that are to be let through now.
    pub fn names_due(&self, now: Timestamp) -> impl Iterator<Item = &DnsName> {
        let due = self.names.iter().filter(move |(_, held)| self.is_name_over(held, now));
        due.map(|(name, _)| name)
    }

    fn is_over(&self, since: Timestamp, released: Option<&Timestamp>, now: Timestamp) -> bool {
        !since.is_within(self.settings.grace, now) || released.is_some_and(|until| since <= *until)
    }

    fn is_name_over(&self, held: &HeldName, now: Timestamp) -> bool {
        self.is_over(held.since, self.released_zones.get(&held.zone), now)
    }

    /// Takes changes of names on their way into the answers, and returns them as they may go there. `total`
    /// is how many global names there are.
    pub fn names(&mut self, before: &Snapshot, deltas: Vec<NameDelta>, total: usize, now: Timestamp) -> Vec<NameDelta> {
        let interval = self.settings.interval;
        self.lost.retain(|(at, _)| at.is_within(interval, now));
        let served = |zone: &DnsName, name: &DnsName| before.zone(zone).and_then(|zone| zone.name(name)).cloned();
        let mut losing = 0;
        for delta in &deltas {
            for change in &delta.changes {
                if let NameChange::Set(next) = change
                    && !self.names.contains_key(&next.name)
                    && served(&delta.zone, &next.name).is_some_and(|old| loses_its_last_site(&old, next))
                {
                    losing += 1;
                }
            }
        }
        let recent: usize = self.lost.iter().map(|(_, count)| count).sum();
        let allowed = (total * self.settings.names_percent / 100).max(self.settings.names_floor);
        let trips = losing > 0 && recent + losing + self.names.len() > allowed;
        if losing > 0 && !trips {
            self.lost.push_back((now, losing));
        }
        let mut passed = Vec::new();
        for NameDelta { zone, changes } in deltas {
            let mut kept = Vec::new();
            for change in changes {
                let NameChange::Set(next) = &change else {
                    self.names.remove(change.name());
                    kept.push(change);
                    continue;
                };
                let old = served(&zone, &next.name).filter(|old| loses_its_last_site(old, next));
                let since = self.holds_name(&next.name).or(trips.then_some(now));
                let (Some(old), Some(since)) = (old, since) else {
                    self.names.remove(&next.name);
                    kept.push(change);
                    continue;
                };
                let shown = with_verdicts_of(next, &old);
                self.names.insert(
                    next.name.clone(),
                    HeldName {
                        zone: zone.clone(),
                        true_value: next.clone(),
                        since,
                    },
                );
                if shown != *old {
                    kept.push(NameChange::Set(Arc::new(shown)));
                }
            }
            if !kept.is_empty() {
                passed.push(NameDelta { zone, changes: kept });
            }
        }
        passed
    }

    /// The names that are to be let through now, as they are by their verdicts; they are held no more.
    pub fn overdue(&mut self, now: Timestamp) -> Vec<NameDelta> {
        let due: Vec<_> = self.names_due(now).cloned().collect();
        let mut deltas: BTreeMap<DnsName, Vec<NameChange>> = BTreeMap::new();
        for held in due.iter().filter_map(|name| self.names.remove(name)) {
            let changes = deltas.entry(held.zone).or_default();
            changes.push(NameChange::Set(held.true_value));
        }
        deltas
            .into_iter()
            .map(|(zone, changes)| NameDelta { zone, changes })
            .collect()
    }

    /// An operator says that the verdicts on a site that were given until then are true; `None` takes the
    /// word back.
    pub fn release_site(&mut self, site: &ClusterName, until: Option<Timestamp>) {
        set(&mut self.released_sites, site, until);
    }

    /// An operator says that the verdicts on a zone's names that were given until then are true; `None`
    /// takes the word back.
    pub fn release_zone(&mut self, zone: &DnsName, until: Option<Timestamp>) {
        set(&mut self.released_zones, zone, until);
    }
}

fn set<K: Ord + Clone>(map: &mut BTreeMap<K, Timestamp>, key: &K, value: Option<Timestamp>) {
    match value {
        Some(value) => map.insert(key.clone(), value),
        None => map.remove(key),
    };
}

/// Whether a global name is served before and not after, by verdicts alone: every site that served is still
/// there with something to answer.
fn loses_its_last_site(before: &RoutedName, after: &RoutedName) -> bool {
    let global = matches!(after.fallback, Fallback::Policy(_));
    let serving = before.shards.iter().filter(|(_, shard)| shard.serves());
    let mut still_offered = serving
        .map(|(site, _)| after.shards.get(site).is_some_and(|shard| shard.offers()))
        .peekable();
    global
        && still_offered.peek().is_some()
        && still_offered.any(|offered| offered)
        && !after.shards.values().any(|shard| shard.serves())
}

/// The name as it is, with the good verdicts of before for the sites that still have something to answer.
fn with_verdicts_of(name: &RoutedName, before: &RoutedName) -> RoutedName {
    let mut shown = name.clone();
    for (site, shard) in &mut shown.shards {
        let was_good = before.shards.get(site).is_some_and(|shard| shard.serves());
        if was_good && shard.offers() {
            shard.health = ShardHealth::Healthy;
        }
    }
    shown
}
