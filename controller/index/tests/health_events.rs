//! Signs of trouble with a member: probes start at the first, and only their verdict takes a site out.

mod support;

use meridian_controller_index::{Dirty, WatchFailure};
use meridian_dns_core::Liveness;
use meridian_federation_core::{DiscoveryKind, Freshness, cluster_conditions};
use support::{Fixture, NOW, name, nothing};

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
    let conditions = cluster_conditions(fixture.index.world(), fixture.index.health(), &name("c1"));
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
