//! Sites as answers consult them, conditions as people read them, and what is probed.
//!
//! These say the same thing to three readers, so they are in one table each: a verdict that DNS acts on
//! and that no condition shows, or the other way round, would be found out by a user in an outage.

mod discovery_model;

use std::collections::BTreeSet;

use discovery_model::{Model, balancer, cluster, port, service_key};
use meridian_dns_core::{Liveness, Location, Traffic};
use meridian_federation_core::{
    Breaker, ClusterHealth, DiscoveryKind, Freshness, HealthSettings, Identity, NodePlace, Service, Timestamp,
    cluster_conditions, probe_targets, sites,
};

/// One cluster, confirmed, all its kinds listed, and its API just answered.
fn healthy() -> Model {
    let mut model = Model::new(&[("c1", "us", "us-a,us-b")]);
    let mut health = ClusterHealth::new(Timestamp(0));
    health.api_result(Ok(()), &HealthSettings::default(), Timestamp(1));
    model.health.insert(cluster("c1"), health);
    model
}

fn api_down(model: &mut Model, times: u32) {
    let health = model.health.get_mut(&cluster("c1")).expect("known");
    for _ in 0..times {
        health.api_result(
            Err("connection refused".to_owned()),
            &HealthSettings::default(),
            Timestamp(2),
        );
    }
}

fn probes_fail(model: &mut Model) {
    let health = model.health.get_mut(&cluster("c1")).expect("known");
    for _ in 0..2 {
        health.round_result(false, &HealthSettings::default(), Timestamp(3));
    }
}

/// The conditions as `Type=Status/Reason`, and whether answers would use the site. The breaker holds nothing.
#[track_caller]
fn check(model: &Model, expected: [&str; 4], serves: bool) {
    let conditions =
        cluster_conditions(&model.world, &model.health, &Breaker::default(), &cluster("c1")).expect("in the world");
    // The others have tests of their own.
    let own = ["Ready", "Offline", "DataPathHealthy", "HeldBack", "Drained"];
    let text: Vec<_> = conditions
        .iter()
        .filter(|found| own.contains(&found.kind.as_str()))
        .map(|found| format!("{}={}/{}", found.kind, found.status.as_str(), found.reason))
        .collect();
    let [ready, offline, data_path, drained] = expected;
    assert_eq!(text, [ready, offline, data_path, "HeldBack=False/NothingHeld", drained]);
    assert!(conditions.iter().all(|condition| !condition.message.is_empty()));
    let site = sites(&model.world, &model.health, &Breaker::default())
        .get(&cluster("c1"))
        .expect("a site")
        .clone();
    assert_eq!(
        site.liveness == Liveness::Alive && site.traffic == Traffic::Active,
        serves
    );
}

const READY: &str = "Ready=True/Watching";
const ONLINE: &str = "Offline=False/Reachable";
const ALIVE: &str = "DataPathHealthy=True/NoFailure";
const ACTIVE: &str = "Drained=False/Active";

#[test]
fn conditions_and_sites_agree() {
    let mut model = healthy();
    check(&model, [READY, ONLINE, ALIVE, ACTIVE], true);
    model.cluster("c1").traffic = Traffic::Drained;
    check(&model, [READY, ONLINE, ALIVE, "Drained=True/DrainedByOperator"], false);
    model.cluster("c1").traffic = Traffic::Active;
    // Losing the control plane is not losing the data plane.
    api_down(&mut model, 1);
    check(&model, [READY, ONLINE, ALIVE, ACTIVE], true);
    api_down(&mut model, 2);
    check(
        &model,
        ["Ready=False/NotReachable", "Offline=True/NotReachable", ALIVE, ACTIVE],
        true,
    );
    probes_fail(&mut model);
    let dead = "DataPathHealthy=False/ProbesFailed";
    check(
        &model,
        ["Ready=False/NotReachable", "Offline=True/NotReachable", dead, ACTIVE],
        false,
    );
}

#[test]
fn a_dead_data_path_under_a_healthy_api_is_not_ready_for_clients_alone() {
    let mut model = healthy();
    probes_fail(&mut model);
    check(
        &model,
        [READY, ONLINE, "DataPathHealthy=False/ProbesFailed", ACTIVE],
        false,
    );
}

#[test]
fn a_cluster_that_nobody_checked_is_unknown_and_alive() {
    let mut model = Model::new(&[("c1", "us", "us-a")]);
    let unknown = [
        "Ready=Unknown/NotContacted",
        "Offline=Unknown/NotContacted",
        "DataPathHealthy=Unknown/NotProbed",
        ACTIVE,
    ];
    check(&model, unknown, true);
    model.member("c1").identity = Identity::Unverified;
    model.health = healthy().health;
    check(&model, ["Ready=Unknown/NotContacted", ONLINE, ALIVE, ACTIVE], true);
    assert_eq!(
        cluster_conditions(&model.world, &model.health, &Breaker::default(), &cluster("gone")),
        None
    );
}

#[test]
fn a_kind_that_cannot_be_read_is_named() {
    let mut model = healthy();
    let stale = Freshness::Stale {
        since: Timestamp(5),
        reason: "403: may not list".to_owned(),
    };
    model.member("c1").freshness.insert(DiscoveryKind::Slices, stale);
    check(&model, ["Ready=False/Stale", ONLINE, ALIVE, ACTIVE], true);
    let ready =
        &cluster_conditions(&model.world, &model.health, &Breaker::default(), &cluster("c1")).expect("in the world")[0];
    assert!(
        ready.message.contains("Slices") && ready.message.contains("403"),
        "{}",
        ready.message
    );
}

#[test]
fn another_cluster_under_the_address_is_named_by_its_uid() {
    let mut model = healthy();
    model.member("c1").identity = Identity::Wrong {
        found: "uid-other".to_owned(),
        since: Timestamp(5),
    };
    check(&model, ["Ready=False/WrongIdentity", ONLINE, ALIVE, ACTIVE], true);
    let ready =
        &cluster_conditions(&model.world, &model.health, &Breaker::default(), &cluster("c1")).expect("in the world")[0];
    assert!(
        ready.message.contains("uid-other") && ready.message.contains("uid-c1"),
        "{}",
        ready.message
    );
    model.cluster("c1").uid = String::new();
    check(&model, ["Ready=False/IdentityNotPinned", ONLINE, ALIVE, ACTIVE], true);
}

#[test]
fn a_site_is_where_its_cluster_says_or_its_nodes_do() {
    let mut model = healthy();
    model.cluster("c1").location = Location::new(25.0, 121.5);
    model.cluster("c1").weight = 7;
    let site = |model: &Model| {
        sites(&model.world, &model.health, &Breaker::default())
            .get(&cluster("c1"))
            .expect("a site")
            .clone()
    };
    let found = site(&model);
    assert_eq!(
        (found.region.as_str(), found.zones.join(",").as_str(), found.weight),
        ("us", "us-a,us-b", 7)
    );
    assert_eq!((found.location, found.networks.len()), (Location::new(25.0, 121.5), 1));
    let object = model.cluster("c1");
    (object.region, object.zones) = (None, Vec::new());
    assert_eq!((site(&model).region.as_str(), site(&model).zones.len()), ("", 0));
    for (node, region, zone) in [
        ("n1", Some("eu"), "eu-b"),
        ("n2", Some("ap"), "eu-a"),
        ("n3", None, "eu-b"),
    ] {
        let place = NodePlace {
            region: region.map(str::to_owned),
            zone: Some(zone.to_owned()),
        };
        model.member("c1").nodes.insert(node.to_owned(), place);
    }
    // Of equally many nodes the first region by name, so that every replica says the same.
    assert_eq!(
        (site(&model).region.as_str(), site(&model).zones.join(",").as_str()),
        ("ap", "eu-a,eu-b")
    );
}

/// This many services in c1 with an address of their own each, and one in another cluster.
fn with_services(count: u8) -> Model {
    let mut model = Model::new(&[("c1", "us", "us-a"), ("c2", "us", "us-a")]);
    for number in 0..count {
        let address = format!("192.0.2.{number}");
        model.put(&service_key(&format!("s{number}")), "c1", Some(balancer(&[&address])));
    }
    model.put(&service_key("elsewhere"), "c2", Some(balancer(&["198.51.100.1"])));
    model
}

#[test]
fn probe_targets_are_bounded_and_spread() {
    for (count, limit, expected) in [
        (0, 16, 0..=0),
        (5, 16, 5..=5),
        (16, 16, 16..=16),
        (17, 16, 8..=16),
        (250, 16, 12..=16),
        (250, 1, 1..=1),
    ] {
        let targets = probe_targets(&with_services(count).world, &cluster("c1"), limit);
        assert!(
            expected.contains(&targets.len()),
            "{} of {count} with limit {limit}",
            targets.len()
        );
        assert!(
            targets
                .iter()
                .all(|(address, port)| address.to_string().starts_with("192.0.2.") && *port == 80)
        );
        assert_eq!(targets.iter().collect::<BTreeSet<_>>().len(), targets.len());
    }
    let targets = probe_targets(&with_services(250).world, &cluster("c1"), 16);
    let last = |number: u8| {
        targets
            .iter()
            .any(|(address, _)| matches!(address, std::net::IpAddr::V4(v4) if v4.octets()[3] >= number))
    };
    assert!(last(230), "not only the first by number: {targets:?}");
}

#[test]
fn probe_targets_are_tcp_ports_of_addresses_outside() {
    let mut model = with_services(0);
    let key = service_key("web");
    let ports = [
        port("dns", "udp", 53),
        port("metrics", "tcp", 9090),
        port("", "tcp", 443),
    ];
    let mut service = balancer(&["192.0.2.1", "2001:db8::1"]);
    service.ports = ports.into();
    model.put(&key, "c1", Some(service.clone()));
    let targets = probe_targets(&model.world, &cluster("c1"), 16);
    assert_eq!(targets.len(), 2, "one port of each address: {targets:?}");
    assert!(targets.iter().all(|(_, port)| [443, 9090].contains(port)));
    service.ports = [port("dns", "udp", 53)].into();
    model.put(&key, "c1", Some(service));
    assert_eq!(probe_targets(&model.world, &cluster("c1"), 16), []);
    model.put(&key, "c1", Some(Service::default()));
    assert_eq!(probe_targets(&model.world, &cluster("c1"), 16), []);
}

/// The condition of that kind, as `Status/Reason: message`.
#[track_caller]
fn condition(model: &Model, name: &str, kind: &str) -> String {
    let found =
        cluster_conditions(&model.world, &model.health, &Breaker::default(), &cluster(name)).expect("in the world");
    let found = found.iter().find(|condition| condition.kind == kind).expect("told");
    format!("{}/{}: {}", found.status.as_str(), found.reason, found.message)
}

#[test]
fn a_place_is_declared_or_that_of_the_region_and_one_without_is_warned_of() {
    let mut model = Model::new(&[("c1", "ap-northeast-1", "a"), ("c2", "basement", "b")]);
    let place = |model: &Model, name| {
        let all = sites(&model.world, &model.health, &Breaker::default());
        all.get(&cluster(name)).expect("a site").location
    };
    let tokyo = Location::new(35.7, 139.7).expect("on the globe");
    assert_eq!(place(&model, "c1"), Some(tokyo));
    let told = condition(&model, "c1", "Located");
    assert!(
        told.starts_with("True/CloudRegion: ") && told.contains("Tokyo"),
        "{told}"
    );
    assert_eq!(place(&model, "c2"), None);
    let told = condition(&model, "c2", "Located");
    assert!(
        told.starts_with("False/NoLocation: ") && told.contains("set spec.location"),
        "{told}"
    );
    model.cluster("c2").location = Some(tokyo);
    assert_eq!(place(&model, "c2"), Some(tokyo));
    assert!(condition(&model, "c2", "Located").starts_with("True/Declared: "));
}

#[test]
fn a_network_of_two_clusters_is_told_to_the_one_that_does_not_have_it() {
    let mut model = Model::new(&[("c1", "us", "a"), ("c2", "eu", "b"), ("c3", "asia", "c")]);
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a network")).collect();
    model.cluster("c1").networks = networks(&["192.0.2.0/24", "10.0.0.0/8"]);
    model.cluster("c2").networks = networks(&["10.1.0.0/16", "10.0.0.0/8"]);
    model.cluster("c3").networks = networks(&["10.1.0.0/24"]);
    for (name, expected) in [
        ("c1", "True/NoConflict"),
        ("c2", "False/TakenByAnother"),
        ("c3", "True/NoConflict"),
    ] {
        let told = condition(&model, name, "NetworksOwn");
        assert!(told.starts_with(expected), "{name}: {told}");
    }
    let told = condition(&model, "c2", "NetworksOwn");
    assert!(
        told.contains("spec.networks[1]: 10.0.0.0/8") && told.contains("cluster c1"),
        "{told}"
    );
}
