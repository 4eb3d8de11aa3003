//! A restart with a saved snapshot: what was saved answers until it is confirmed or withdrawn.
//!
//! Three clusters serve nginx; then the program ends and starts again, and the watches deliver in one order
//! or another.

mod support;

use std::time::Duration;

use meridian_controller_index::{Dirty, Event, Index};
use meridian_dns_core::{Liveness, Saved, serial};
use meridian_federation_core::HealthSettings;
use serde_json::Value;
use support::{
    Fixture, NOW, cluster_object, name, reset_nodes, reset_services, reset_slices, service_object, slice_object,
    zone_object,
};

const CLUSTERS: [&str; 3] = ["c1", "c2", "c3"];
const GLOBAL: &str = "nginx.test.ufp.svc.example.com";
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

fn own(cluster: &str) -> String {
    format!("{cluster}.{GLOBAL}")
}

fn serving() -> Fixture {
    let mut fixture = Fixture::new(&CLUSTERS);
    for (number, cluster) in CLUSTERS.iter().enumerate() {
        fixture.serve(cluster, &format!("192.0.2.{}", number + 1));
    }
    fixture.check(GLOBAL, "A 192.0.2.1");
    fixture
}

/// The program ends and starts again an hour later.
fn restarted(before: &Fixture) -> Fixture {
    let saved = Saved {
        as_of: before.now.0,
        snapshot: before.snapshot.clone(),
    };
    let now = before.now + Duration::from_secs(3600);
    let octets = saved.encode().expect("it can be saved");
    let saved = Saved::decode(&octets, now.0, 2 * MAX_AGE.as_millis() as u64).expect("it is good");
    Fixture {
        index: Index::new("prod", HealthSettings::default()).with_saved(&saved, MAX_AGE),
        snapshot: saved.snapshot,
        now,
    }
}

fn host_lists(fixture: &mut Fixture, clusters: &[&str]) {
    let objects: Vec<Value> = clusters.iter().map(|cluster| cluster_object(cluster)).collect();
    fixture.clusters(Event::Reset(objects));
    fixture.zones(Event::Reset(vec![zone_object("main", "example.com")]));
    fixture.routes(Event::Reset(Vec::new()));
}

fn member_lists(fixture: &mut Fixture, cluster: &str, addresses: &[&str]) {
    fixture.index.identity(&name(cluster), Ok(()), fixture.now);
    let services = addresses.iter().map(|address| service_object("nginx", address));
    let slices = addresses.iter().map(|_| slice_object("nginx-1", "nginx", &[true]));
    fixture.take(cluster, reset_services(services.collect()));
    fixture.take(cluster, reset_slices(slices.collect()));
    fixture.take(cluster, reset_nodes(Vec::new()));
}

#[track_caller]
fn check_own(fixture: &Fixture, expected: [&str; 3]) {
    for (cluster, expected) in CLUSTERS.iter().zip(expected) {
        fixture.check(&own(cluster), expected);
    }
}

const ALL: [&str; 3] = ["A 192.0.2.1", "A 192.0.2.2", "A 192.0.2.3"];

#[test]
fn without_a_host_everything_saved_answers_and_nothing_else_is_denied() {
    let before = serving();
    let mut fixture = restarted(&before);
    let check = |fixture: &Fixture| {
        check_own(fixture, ALL);
        fixture.check(GLOBAL, "A 192.0.2.1");
        fixture.check("other.test.ufp.svc.example.com", "SERVFAIL");
        fixture.check("elsewhere.test", "SERVFAIL");
        assert!(serial::is_newer(fixture.serial(), before.serial()));
    };
    check(&fixture);
    // Something happens that has nothing to do with it.
    let dirty = Dirty {
        sites: true,
        zones: true,
        ..Dirty::default()
    };
    fixture.publish(&dirty);
    check(&fixture);
}

#[test]
fn a_cluster_that_is_not_reached_answers_from_the_saved_part() {
    let mut fixture = restarted(&serving());
    host_lists(&mut fixture, &CLUSTERS);
    check_own(&fixture, ALL);
    fixture.check("elsewhere.test", "REFUSED");
    member_lists(&mut fixture, "c1", &["192.0.2.1"]);
    member_lists(&mut fixture, "c2", &["192.0.2.77"]);
    check_own(&fixture, [ALL[0], "A 192.0.2.77", ALL[2]]);
    let global = fixture
        .snapshot
        .zones()
        .next()
        .and_then(|zone| zone.name(&GLOBAL.parse().expect("a name")).cloned());
    assert_eq!(global.expect("served").shards.len(), 3);
    fixture.check("other.test.ufp.svc.example.com", "SERVFAIL");
    assert_eq!(fixture.index.as_of(fixture.now), NOW);
    // It is back at last, with another address.
    member_lists(&mut fixture, "c3", &["192.0.2.99"]);
    check_own(&fixture, [ALL[0], "A 192.0.2.77", "A 192.0.2.99"]);
    fixture.check("other.test.ufp.svc.example.com", "NXDOMAIN");
    assert_eq!(fixture.index.as_of(fixture.now), fixture.now);
}

#[test]
fn members_may_answer_before_the_host_was_listed_to_the_end() {
    let mut fixture = restarted(&serving());
    let objects: Vec<Value> = CLUSTERS.iter().map(|cluster| cluster_object(cluster)).collect();
    fixture.clusters(Event::Reset(objects));
    member_lists(&mut fixture, "c1", &["192.0.2.1"]);
    check_own(&fixture, ALL);
    fixture.zones(Event::Reset(vec![zone_object("main", "example.com")]));
    check_own(&fixture, ALL);
    member_lists(&mut fixture, "c2", &[]);
    member_lists(&mut fixture, "c3", &[]);
    check_own(&fixture, ALL);
    fixture.routes(Event::Reset(Vec::new()));
    check_own(&fixture, [ALL[0], "NXDOMAIN", "NXDOMAIN"]);
}

#[test]
fn what_was_deleted_meanwhile_goes_when_its_cluster_or_the_host_was_listed() {
    // The Service.
    let mut fixture = restarted(&serving());
    host_lists(&mut fixture, &CLUSTERS);
    member_lists(&mut fixture, "c1", &[]);
    check_own(&fixture, ["SERVFAIL", ALL[1], ALL[2]]);
    fixture.check(GLOBAL, "A 192.0.2.2");
    // The Cluster.
    let mut fixture = restarted(&serving());
    host_lists(&mut fixture, &["c2", "c3"]);
    check_own(&fixture, ["SERVFAIL", ALL[1], ALL[2]]);
    assert_eq!(fixture.snapshot.sites().iter().count(), 2);
    // All of them.
    let mut fixture = restarted(&serving());
    host_lists(&mut fixture, &[]);
    check_own(&fixture, ["NXDOMAIN"; 3]);
    assert_eq!(fixture.snapshot.sites().iter().count(), 0);
    // The zone.
    let mut fixture = restarted(&serving());
    fixture.zones(Event::Reset(Vec::new()));
    check_own(&fixture, ["REFUSED"; 3]);
}

#[test]
fn what_is_too_old_goes_whether_it_was_confirmed_or_not() {
    let mut fixture = restarted(&serving());
    host_lists(&mut fixture, &CLUSTERS);
    member_lists(&mut fixture, "c1", &["192.0.2.1"]);
    fixture.now = NOW + (MAX_AGE - Duration::from_secs(1));
    let look = Dirty {
        zones: true,
        ..Dirty::default()
    };
    fixture.publish(&look);
    check_own(&fixture, ALL);
    fixture.now = NOW + MAX_AGE;
    fixture.publish(&look);
    check_own(&fixture, [ALL[0], "SERVFAIL", "SERVFAIL"]);
}

#[test]
fn a_site_that_was_dead_is_dead_until_probes_say_otherwise() {
    let mut before = serving();
    for _ in 0..2 {
        let dirty = before.index.round_result(&name("c1"), Some(false), before.now);
        before.publish(&dirty);
    }
    before.check(GLOBAL, "A 192.0.2.2");
    let mut fixture = restarted(&before);
    fixture.check(GLOBAL, "A 192.0.2.2");
    host_lists(&mut fixture, &CLUSTERS);
    fixture.check(GLOBAL, "A 192.0.2.2");
    assert!(fixture.index.health()[&name("c1")].wants_rounds());
    let dirty = fixture.index.round_result(&name("c1"), Some(true), fixture.now);
    fixture.publish(&dirty);
    let site = fixture.snapshot.sites().get(&name("c1")).expect("a site");
    assert_eq!(site.liveness, Liveness::Alive);
    fixture.check(GLOBAL, "A 192.0.2.1");
}
