//! Signs of trouble with a member: probes start at the first, and only their verdict takes a site out.

mod support;

use meridian_controller_index::{Dirty, Event, WatchFailure};
use meridian_dns_core::Liveness;
use meridian_federation_core::{Breaker, DiscoveryKind, Freshness, cluster_conditions};
use serde_json::json;
use support::{
    Fixture, NOW, apply_service, apply_slice, cluster_object, name, nothing, reset_slices, route_object,
    service_object, slice_object, typed,
};

fn refused() -> Result<(), String> {
    Err("refused".to_owned())
}

fn probes(dirty: &Dirty) -> bool {
    dirty.probes.contains(&name("c1"))
}

fn liveness(fixture: &Fixture) -> Liveness {
    fixture.index.health()[&name("c1")].liveness()
}

#[test]
fn the_first_failed_request_starts_probes_and_the_next_good_one_ends_them() {
    let mut fixture = Fixture::new(&["c1", "c2"]);
    let first = fixture.index.api_result(&name("c1"), refused(), NOW);
    assert!(probes(&first) && first.clusters.is_empty() && !first.sites, "{first:?}");
    assert_eq!(fixture.index.api_result(&name("c1"), refused(), NOW), nothing());
    assert!(probes(&fixture.index.api_result(&name("c1"), Ok(()), NOW)));
    assert_eq!(fixture.index.api_result(&name("c1"), Ok(()), NOW), nothing());
}

#[test]
fn a_broken_watch_starts_probes_and_withdraws_nothing() {
    let mut fixture = Fixture::new(&["c1", "c2"]);
    let (kind, reset) = (
        DiscoveryKind::Slices,
        WatchFailure::Broken("connection reset".to_owned()),
    );
    let broke = fixture.index.watch_failed(&name("c1"), kind, &reset, NOW);
    assert!(probes(&broke) && broke.services.is_empty() && !broke.sites, "{broke:?}");
    assert_eq!(fixture.index.watch_failed(&name("c1"), kind, &reset, NOW), nothing());
}

#[test]
fn two_failed_rounds_take_a_site_out_and_one_good_round_brings_it_back() {
    let mut fixture = Fixture::new(&["c1", "c2"]);
    fixture.index.api_result(&name("c1"), refused(), NOW);
    // Each round is followed by a new order: the targets may have changed.
    let rounds = [
        (Some(false), false),
        (None, false),
        (Some(false), true),
        (Some(true), true),
    ];
    for (connected, changes) in rounds {
        let dirty = fixture.index.round_result(&name("c1"), connected, NOW);
        assert!(probes(&dirty), "{connected:?}");
        assert_eq!(
            (dirty.sites, dirty.services.is_empty()),
            (changes, true),
            "{connected:?}"
        );
        let expected = if connected == Some(false) && changes {
            Liveness::Dead
        } else {
            Liveness::Alive
        };
        assert_eq!(liveness(&fixture), expected, "{connected:?}");
    }
}

#[test]
fn results_of_a_cluster_nobody_knows_are_dropped() {
    let mut fixture = Fixture::new(&["c1"]);
    assert_eq!(fixture.index.api_result(&name("nobody"), refused(), NOW), nothing());
    assert_eq!(
        fixture
            .index
            .watch_failed(&name("nobody"), DiscoveryKind::Nodes, &WatchFailure::NotServed, NOW),
        nothing()
    );
    assert_eq!(fixture.index.round_result(&name("nobody"), Some(false), NOW), nothing());
}

fn ready(fixture: &Fixture) -> (String, String) {
    let conditions = cluster_conditions(
        fixture.index.world(),
        fixture.index.health(),
        &Breaker::default(),
        &name("c1"),
    );
    let found = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.kind == "Ready");
    let condition = found.expect("a condition");
    (condition.reason, condition.message)
}

/// 403 is stale, not empty and not a dead cluster; the condition says what cannot be read.
#[test]
fn a_missing_right_is_told_and_starts_no_probes() {
    let mut fixture = Fixture::new(&["c1", "c2"]);
    let forbidden = WatchFailure::Forbidden("endpointslices is forbidden".to_owned());
    let dirty = fixture
        .index
        .watch_failed(&name("c1"), DiscoveryKind::Slices, &forbidden, NOW);
    assert!(
        !probes(&dirty) && dirty.services.is_empty() && dirty.clusters.contains(&name("c1")),
        "{dirty:?}"
    );
    assert_eq!(
        ready(&fixture),
        (
            "Stale".to_owned(),
            "Slices cannot be read: endpointslices is forbidden".to_owned()
        )
    );
    assert_eq!(
        fixture
            .index
            .watch_failed(&name("c1"), DiscoveryKind::Slices, &forbidden, NOW),
        nothing()
    );
}

/// A kind that an API does not serve is absent: there is none of it, and that is known.
#[test]
fn a_kind_that_is_not_served_is_absent_and_no_trouble() {
    let mut fixture = Fixture::new(&["c1", "c2"]);
    let (cluster, kind) = (name("c1"), DiscoveryKind::Slices);
    let dirty = fixture
        .index
        .watch_failed(&cluster, kind, &WatchFailure::NotServed, NOW);
    assert!(!probes(&dirty) && dirty.clusters.contains(&cluster), "{dirty:?}");
    assert_eq!(fixture.index.world().freshness(&cluster, kind), &Freshness::Absent);
    assert_eq!(ready(&fixture).0, "Watching");
    assert_eq!(
        fixture
            .index
            .watch_failed(&cluster, kind, &WatchFailure::NotServed, NOW),
        nothing()
    );
}

/// What a hanging API server would otherwise delay by the whole limit of a request.
#[test]
fn a_slow_request_starts_probes_and_its_good_end_stops_them() {
    let mut fixture = Fixture::new(&["c1", "c2"]);
    assert!(probes(&fixture.index.api_slow(&name("c1"))));
    assert_eq!(fixture.index.api_slow(&name("c1")), nothing());
    assert!(probes(&fixture.index.api_result(&name("c1"), Ok(()), NOW)));
    assert_eq!(liveness(&fixture), Liveness::Alive);
}

fn dies(fixture: &mut Fixture, cluster: &str) {
    for _ in 0..2 {
        let dirty = fixture.index.round_result(&name(cluster), Some(false), fixture.now);
        fixture.publish(&dirty);
    }
}

fn later(fixture: &mut Fixture, seconds: u64) {
    fixture.now = fixture.now + std::time::Duration::from_secs(seconds);
    let dirty = fixture.index.tick(fixture.now);
    fixture.publish(&dirty);
}

const GLOBAL: &str = "nginx.test.ufp.svc.example.com";

#[test]
fn a_second_site_that_dies_is_held_back_and_said_until_it_has_stood() {
    let mut fixture = Fixture::new(&["c1", "c2", "c3"]);
    for (cluster, address) in [("c1", "192.0.2.1"), ("c2", "192.0.2.2"), ("c3", "192.0.2.3")] {
        fixture.serve(cluster, address);
    }
    dies(&mut fixture, "c1");
    fixture.check(GLOBAL, "A 192.0.2.2");
    dies(&mut fixture, "c2");
    fixture.check(GLOBAL, "A 192.0.2.2");
    assert_eq!(fixture.condition("c2", "HeldBack").0, "True/SeveralSitesAtOnce");
    assert_eq!(fixture.condition("c1", "HeldBack").0, "False/NothingHeld");
    later(&mut fixture, 29);
    fixture.check(GLOBAL, "A 192.0.2.2");
    later(&mut fixture, 1);
    fixture.check(GLOBAL, "A 192.0.2.3");
    assert_eq!(fixture.condition("c2", "HeldBack").0, "False/NothingHeld");
}

#[test]
fn an_operator_releases_what_is_held_back() {
    let mut fixture = Fixture::new(&["c1", "c2", "c3"]);
    for (cluster, address) in [("c1", "192.0.2.1"), ("c2", "192.0.2.2"), ("c3", "192.0.2.3")] {
        fixture.serve(cluster, address);
    }
    dies(&mut fixture, "c1");
    dies(&mut fixture, "c2");
    let mut object = cluster_object("c2");
    object["metadata"]["annotations"] = json!({"meridian.dev/release": "soon"});
    fixture.clusters(Event::Apply(object.clone()));
    assert!(fixture.condition("c2", "Accepted").1.contains("meridian.dev/release"));
    fixture.check(GLOBAL, "A 192.0.2.2");
    object["metadata"]["annotations"] = json!({"meridian.dev/release": "2023-11-14T22:13:20Z"});
    fixture.clusters(Event::Apply(object));
    fixture.check(GLOBAL, "A 192.0.2.3");
}

/// Twenty services stop at once: the answers stay, the routes say so, and time or an operator decides.
#[test]
fn many_names_that_stop_at_once_are_held_back() {
    let mut fixture = Fixture::new(&["c1"]);
    let names: Vec<_> = (0..20).map(|number| format!("s{number}")).collect();
    for service in &names {
        fixture.take("c1", apply_service(service_object(service, "192.0.2.1")));
        fixture.take("c1", apply_slice(slice_object(service, service, &[true])));
    }
    fixture.routes(Event::Apply(route_object("www", "s0", &["www.example.com"])));
    let slices = names
        .iter()
        .map(|service| slice_object(service, service, &[false]))
        .collect();
    fixture.take("c1", reset_slices(slices));
    fixture.check("s0.test.ufp.svc.example.com", "A 192.0.2.1");
    fixture.check("www.example.com", "A 192.0.2.1");
    let held = |fixture: &Fixture| {
        let route = typed(route_object("www", "s0", &["www.example.com"]));
        let status = fixture.index.route_status(&route, fixture.now).expect("a status");
        let found = status
            .conditions
            .into_iter()
            .find(|condition| condition.type_ == "HeldBack");
        found.expect("the condition").status
    };
    assert_eq!(held(&fixture), "True");
    later(&mut fixture, 30);
    fixture.check("www.example.com", "NODATA");
    assert_eq!(held(&fixture), "False");
}
