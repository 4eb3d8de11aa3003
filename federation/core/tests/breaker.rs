//! What the breaker holds back, for how long, and what it never holds.

mod discovery_model;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use discovery_model::{Model, cluster, name, nginx, ready, service_key};
use meridian_dns_core::{Liveness, NameDelta, RoutedName, Snapshot, Traffic};
use meridian_federation_core::{
    Breaker, BreakerSettings, ClusterHealth, ClusterName, HealthSettings, NameTable, Slice, Timestamp, sites,
};
use proptest::prelude::*;

const SECOND: u64 = 1000;

/// Sites by their probes, and the breaker that hears of them.
struct Fleet {
    health: BTreeMap<ClusterName, ClusterHealth>,
    breaker: Breaker,
}

impl Fleet {
    fn new(names: &[&str]) -> Self {
        let new = |name: &&str| (cluster(name), ClusterHealth::new(Timestamp(0)));
        Self {
            health: names.iter().map(new).collect(),
            breaker: Breaker::default(),
        }
    }

    /// The verdict on a site is now this.
    fn verdict(&mut self, name: &str, alive: bool, at: u64) {
        let health = self.health.get_mut(&cluster(name)).expect("a site");
        let settings = HealthSettings {
            failed_rounds: 1,
            flap_changes: usize::MAX,
            ..HealthSettings::default()
        };
        health.round_result(alive, &settings, Timestamp(at));
    }

    /// The sites that answers avoid.
    fn out(&mut self, at: u64) -> Vec<String> {
        self.breaker.sites(&self.health, Timestamp(at));
        let dead = |(name, health): &(&ClusterName, &ClusterHealth)| {
            self.breaker.served(name, health.liveness()) == Liveness::Dead
        };
        self.health
            .iter()
            .filter(dead)
            .map(|(name, _)| name.to_string())
            .collect()
    }
}

#[test]
fn one_site_that_dies_is_believed_at_once() {
    let mut fleet = Fleet::new(&["a", "b", "c"]);
    fleet.verdict("a", false, SECOND);
    assert_eq!(fleet.out(SECOND), ["a"]);
    assert!(!fleet.breaker.holds_anything());
    // And so is the next, when the first is an old story.
    fleet.verdict("b", false, 62 * SECOND);
    assert_eq!(fleet.out(62 * SECOND), ["a", "b"]);
}

#[test]
fn several_sites_at_once_are_held_until_their_verdicts_have_stood() {
    let mut fleet = Fleet::new(&["a", "b", "c"]);
    for site in ["a", "b", "c"] {
        fleet.verdict(site, false, SECOND);
    }
    assert_eq!(fleet.out(SECOND), [""; 0]);
    assert_eq!(fleet.breaker.holds_site(&cluster("b")), Some(Timestamp(SECOND)));
    // One comes back: it was right to wait.
    fleet.verdict("c", true, 20 * SECOND);
    assert_eq!(fleet.out(30 * SECOND), [""; 0]);
    assert!(!fleet.breaker.is_due(Timestamp(30 * SECOND)) && fleet.breaker.is_due(Timestamp(31 * SECOND)));
    assert_eq!(fleet.out(31 * SECOND), ["a", "b"]);
    assert!(!fleet.breaker.holds_anything());
}

#[test]
fn the_second_within_the_interval_is_held_and_the_first_stays_out() {
    let mut fleet = Fleet::new(&["a", "b", "c"]);
    fleet.verdict("a", false, SECOND);
    assert_eq!(fleet.out(SECOND), ["a"]);
    fleet.verdict("b", false, 10 * SECOND);
    assert_eq!(fleet.out(10 * SECOND), ["a"]);
    fleet.verdict("a", true, 12 * SECOND);
    assert_eq!(fleet.out(12 * SECOND), [""; 0], "a good verdict is never held");
    assert_eq!(fleet.out(40 * SECOND), ["b"]);
}

#[test]
fn an_operator_can_say_that_verdicts_are_true() {
    let mut fleet = Fleet::new(&["a", "b"]);
    fleet.verdict("a", false, SECOND);
    fleet.verdict("b", false, SECOND);
    assert_eq!(fleet.out(SECOND), [""; 0]);
    fleet.breaker.release_site(&cluster("a"), Some(Timestamp(2 * SECOND)));
    assert!(fleet.breaker.is_due(Timestamp(2 * SECOND)));
    assert_eq!(fleet.out(2 * SECOND), ["a"]);
    // The word is about verdicts of then, not about the next ones.
    fleet.verdict("a", true, 3 * SECOND);
    fleet.out(3 * SECOND);
    fleet.verdict("a", false, 4 * SECOND);
    assert_eq!(fleet.out(4 * SECOND), [""; 0]);
}

/// Services of two clusters, the names found for them, and what is answered.
struct Names {
    model: Model,
    table: NameTable,
    breaker: Breaker,
    snapshot: Snapshot,
}

impl Names {
    /// `count` services, each with one ready endpoint in both clusters.
    fn new(count: usize) -> Self {
        let mut model = Model::new(&[("c1", "us", "us-a"), ("c2", "eu", "eu-a")]);
        for number in 0..count {
            let key = service_key(&format!("s{number}"));
            for (site, address) in [("c1", "192.0.2.1"), ("c2", "192.0.2.2")] {
                model.put(&key, site, Some(discovery_model::balancer(&[address])));
                model.slices(&key, site, &[ready(1)]);
            }
        }
        let snapshot = model.snapshot();
        let mut names = Self {
            model,
            table: NameTable::default(),
            breaker: Breaker::default(),
            snapshot,
        };
        names.update(0);
        names
    }

    /// Finds all names anew; how many changes went into the answers.
    fn update(&mut self, at: u64) -> usize {
        let keys: BTreeSet<_> = self.model.world.services.keys().cloned().collect();
        let deltas = self.table.update(&self.model.world, keys);
        let now = Timestamp(at);
        let mut deltas = self.breaker.names(&self.snapshot, deltas, self.table.globals(), now);
        deltas.extend(self.breaker.overdue(now));
        self.publish(&deltas)
    }

    fn publish(&mut self, deltas: &[NameDelta]) -> usize {
        for delta in deltas {
            let zone = self.snapshot.zone(&delta.zone).expect("served").with(&delta.changes, 7);
            self.snapshot = self.snapshot.clone().with_zone(zone);
        }
        deltas.iter().map(|delta| delta.changes.len()).sum()
    }

    /// All endpoints of these services are, or are not, ready in both clusters.
    fn endpoints(&mut self, services: std::ops::Range<usize>, are_ready: bool) {
        let slice = Slice {
            ready: u32::from(are_ready),
            serving: 0,
            total: 1,
        };
        for number in services {
            for site in ["c1", "c2"] {
                self.model.slices(&service_key(&format!("s{number}")), site, &[slice]);
            }
        }
    }

    /// How many global names are served.
    fn served(&self) -> usize {
        let names = self.snapshot.zones().flat_map(|zone| zone.names()).collect::<Vec<_>>();
        let global = |name: &&&Arc<RoutedName>| {
            let labels = name.name.as_str().split('.').count();
            !name.name.as_str().starts_with('_') && labels == "s.test.ufp.svc.example.com".split('.').count()
        };
        names
            .iter()
            .filter(global)
            .filter(|name| name.shards.values().any(|shard| shard.serves()))
            .count()
    }
}

#[test]
fn a_few_services_that_stop_are_believed_at_once() {
    let mut names = Names::new(40);
    assert_eq!(names.served(), 40);
    names.endpoints(0..4, false);
    assert!(names.update(SECOND) > 0);
    assert_eq!(names.served(), 36);
    assert!(!names.breaker.holds_anything());
}

#[test]
fn many_names_that_lose_their_last_site_at_once_are_held() {
    let mut names = Names::new(40);
    names.endpoints(0..30, false);
    names.update(SECOND);
    assert_eq!(names.served(), 40);
    let first = name("s0.test.ufp.svc.example.com");
    assert_eq!(names.breaker.holds_name(&first), Some(Timestamp(SECOND)));
    // Some recover, and are held no more.
    names.endpoints(0..10, true);
    names.update(2 * SECOND);
    assert_eq!((names.served(), names.breaker.holds_name(&first)), (40, None));
    // The others have stood for the grace period.
    names.update(31 * SECOND);
    assert_eq!(names.served(), 20);
    assert!(!names.breaker.holds_anything());
}

#[test]
fn a_trickle_within_the_interval_trips_too() {
    let mut names = Names::new(40);
    for step in 0..20 {
        names.endpoints(step..step + 1, false);
        names.update(SECOND * u64::try_from(step).expect("small"));
    }
    let held = (0..20)
        .filter(|number| {
            names
                .breaker
                .holds_name(&name(&format!("s{number}.test.ufp.svc.example.com")))
                .is_some()
        })
        .count();
    assert!(
        held > 0 && names.served() > 20,
        "{held} held, {} served",
        names.served()
    );
}

#[test]
fn deletions_and_changed_addresses_apply_while_a_name_is_held() {
    let mut names = Names::new(40);
    names.endpoints(0..40, false);
    names.update(SECOND);
    assert_eq!(names.served(), 40);
    // A new address is shown at once, a deleted Service is gone at once.
    let moved = service_key("s0");
    names
        .model
        .put(&moved, "c1", Some(discovery_model::balancer(&["198.51.100.7"])));
    let deleted = service_key("s1");
    names.model.world.services.remove(&deleted);
    let deltas = names.table.update(&names.model.world, [moved, deleted]);
    let deltas = names
        .breaker
        .names(&names.snapshot, deltas, names.table.globals(), Timestamp(2 * SECOND));
    names.publish(&deltas);
    let zone = names.snapshot.zones().next().expect("a zone");
    let shown = zone.name(&name("s0.test.ufp.svc.example.com")).expect("shown");
    assert!(format!("{:?}", shown.shards).contains("198.51.100.7"));
    assert!(shown.shards.values().any(|shard| shard.serves()));
    assert!(zone.name(&name("s1.test.ufp.svc.example.com")).is_none());
    assert_eq!(names.breaker.holds_name(&name("s1.test.ufp.svc.example.com")), None);
    // An operator's word ends it.
    names
        .breaker
        .release_zone(&name("example.com"), Some(Timestamp(2 * SECOND)));
    names.update(3 * SECOND);
    assert_eq!(names.served(), 0);
}

/// Drains are not verdicts: the breaker is not asked.
#[test]
fn drains_always_apply() {
    let mut model = Model::new(&[("c1", "us", "us-a"), ("c2", "eu", "eu-a")]);
    model.serve("c1", &["192.0.2.1"]);
    for site in ["c1", "c2"] {
        model.cluster(site).traffic = Traffic::Drained;
    }
    let drained = sites(&model.world, &model.health, &Breaker::default());
    assert!(drained.iter().all(|(_, site)| site.traffic == Traffic::Drained));
    assert!(!model.discover().names.is_empty(), "{:?}", nginx());
}

proptest! {
    /// Whatever the verdicts and their order: never more sites out than the limit within an interval without
    /// their having stood for the grace period, never a good site out, and nothing held for longer than that.
    #[test]
    fn sites_go_one_by_one_or_after_the_grace_period(
        steps in prop::collection::vec((0_usize..4, any::<bool>(), 1_u64..40), 1..40),
    ) {
        let names = ["a", "b", "c", "d"];
        let settings = BreakerSettings::default();
        let mut fleet = Fleet::new(&names);
        let mut dead_since: BTreeMap<&str, u64> = BTreeMap::new();
        let mut out_before: Vec<String> = Vec::new();
        let mut quick: Vec<u64> = Vec::new();
        let mut at = 0;
        for (site, alive, wait) in steps {
            at += wait * SECOND;
            fleet.verdict(names[site], alive, at);
            if alive { dead_since.remove(names[site]); } else { dead_since.entry(names[site]).or_insert(at); }
            let out = fleet.out(at);
            for site in &out {
                let since = dead_since.get(site.as_str());
                prop_assert!(since.is_some(), "{} is alive and out", site);
                let stood = Timestamp(at).since(Timestamp(*since.expect("checked"))) >= settings.grace;
                if !out_before.contains(site) && !stood {
                    quick.push(at);
                }
            }
            quick.retain(|then| Timestamp(*then).is_within(settings.interval, Timestamp(at)));
            // A site that came back and died again may have used the allowance twice.
            let distinct: BTreeSet<_> = out.iter().filter(|site| {
                Timestamp(at).since(Timestamp(dead_since[site.as_str()])) < settings.grace
            }).collect();
            prop_assert!(distinct.len() <= settings.sites, "{:?} at {}", out, at);
            for (site, since) in &dead_since {
                let overdue = Timestamp(at).since(Timestamp(*since)) >= settings.grace;
                prop_assert!(!overdue || out.contains(&(*site).to_owned()), "{} is held for too long", site);
            }
            out_before = out;
        }
    }
}
