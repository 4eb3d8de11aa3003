//! Which names a service gets, by asking for them as a client does.
//!
//! Several tests are named after a defect of federation v1 or KubeFed: they show that what went wrong
//! there has no way to happen here, since names follow from the world alone and nothing is remembered.

mod discovery_model;

use discovery_model::{Model, balancer, cluster, nginx, port, ready, service_key, zone};
use meridian_dns_core::{DnsName, Liveness, NameServer, RecordType, Traffic, WhenNoneHealthy};
use meridian_federation_core::{
    ClusterHealth, DiscoveryKind, Freshness, HealthSettings, NodePlace, Service, Slice, Timestamp, discover,
};

const GLOBAL: &str = "nginx.test.ufp.svc.example.com";

#[track_caller]
fn check(model: &Model, asked: &str, expected: &str) {
    assert_eq!(model.ask(asked, RecordType::A), expected, "{asked}");
}

#[track_caller]
fn check_srv(model: &Model, asked: &str, expected: &str) {
    assert_eq!(model.ask(asked, RecordType::Srv), expected, "{asked}");
}

/// c1 and c2 in regions of their own, both serving.
fn two() -> Model {
    let mut model = Model::new(&[("c1", "us", "us-a"), ("c2", "eu", "eu-a")]);
    model.serve("c1", &["192.0.2.1"]);
    model.serve("c2", &["192.0.2.2"]);
    model
}

#[test]
fn every_level_has_its_name() {
    let model = two();
    check(&model, GLOBAL, "A 192.0.2.1");
    check(&model, "nginx.test.ufp.svc.eu.example.com", "A 192.0.2.2");
    check(&model, "nginx.test.ufp.svc.eu-a.eu.example.com", "A 192.0.2.2");
    check(&model, "c2.nginx.test.ufp.svc.example.com", "A 192.0.2.2");
    check(&model, "nginx.test.ufp.svc.mars.example.com", "NXDOMAIN");
    check(&model, "other.test.ufp.svc.example.com", "NXDOMAIN");
    assert_eq!(model.issues(), [""; 0]);
}

#[test]
fn named_ports_have_srv_names_at_every_level() {
    let mut model = two();
    let mut service = balancer(&["192.0.2.1"]);
    service.ports = [port("http", "tcp", 80), port("dns", "udp", 53), port("", "tcp", 9000)].into();
    model.put(&nginx(), "c1", Some(service));
    check_srv(&model, &format!("_http._tcp.{GLOBAL}"), &format!("SRV 80 c1.{GLOBAL}"));
    check_srv(
        &model,
        &format!("_http._tcp.c2.{GLOBAL}"),
        &format!("SRV 80 c2.{GLOBAL}"),
    );
    check_srv(
        &model,
        "_dns._udp.nginx.test.ufp.svc.us-a.us.example.com",
        &format!("SRV 53 c1.{GLOBAL}"),
    );
    // A port that only c1 has is under c2's name without data, and leads upwards from c2's region.
    check_srv(&model, &format!("_dns._udp.c2.{GLOBAL}"), "NODATA");
    check_srv(
        &model,
        "_dns._udp.nginx.test.ufp.svc.eu.example.com",
        &format!("CNAME _dns._udp.{GLOBAL}, SRV 53 c1.{GLOBAL}"),
    );
    check_srv(&model, &format!("_http._udp.{GLOBAL}"), "NXDOMAIN");
}

#[test]
fn only_the_first_zone_of_a_cluster_used() {
    let mut model = Model::new(&[("c1", "us", "us-a,us-b,us-c")]);
    model.serve("c1", &["192.0.2.1"]);
    for zone in ["us-a", "us-b", "us-c"] {
        check(
            &model,
            &format!("nginx.test.ufp.svc.{zone}.us.example.com"),
            "A 192.0.2.1",
        );
    }
}

#[test]
fn zones_and_region_come_from_nodes_where_none_are_declared() {
    let mut model = Model::new(&[("c1", "", "")]);
    model.serve("c1", &["192.0.2.1"]);
    check(&model, "nginx.test.ufp.svc.us.example.com", "NXDOMAIN");
    for (node, region, zone) in [("n1", "us", "us-a"), ("n2", "us", "us-b"), ("n3", "odd", "us-b")] {
        let place = NodePlace {
            region: Some(region.to_owned()),
            zone: Some(zone.to_owned()),
        };
        model.member("c1").nodes.insert(node.to_owned(), place);
    }
    check(&model, "nginx.test.ufp.svc.us-b.us.example.com", "A 192.0.2.1");
    check(&model, "nginx.test.ufp.svc.odd.example.com", "NXDOMAIN");
    model.cluster("c1").region = Some("declared".to_owned());
    check(&model, "nginx.test.ufp.svc.us-a.declared.example.com", "A 192.0.2.1");
}

#[test]
fn a_cluster_without_a_place_still_has_the_global_name() {
    let mut model = Model::new(&[("c1", "", ""), ("c2", "eu", "eu-a")]);
    model.serve("c1", &["192.0.2.1"]);
    model.serve("c2", &["192.0.2.2"]);
    check(&model, GLOBAL, "A 192.0.2.1");
    check(&model, "nginx.test.ufp.svc.eu-a.eu.example.com", "A 192.0.2.2");
}

#[test]
fn no_cname_when_endpoints_were_missing_from_the_start() {
    let mut model = two();
    model.put(&nginx(), "c2", Some(balancer(&[])));
    model.slices(&nginx(), "c2", &[]);
    let region = "nginx.test.ufp.svc.eu.example.com";
    check(&model, region, &format!("CNAME {GLOBAL}, A 192.0.2.1"));
    check(
        &model,
        "nginx.test.ufp.svc.eu-a.eu.example.com",
        &format!("CNAME {region}, CNAME {GLOBAL}, A 192.0.2.1"),
    );
    check_srv(
        &model,
        &format!("_http._tcp.{region}"),
        &format!("CNAME _http._tcp.{GLOBAL}, SRV 80 c1.{GLOBAL}"),
    );
    check(&model, &format!("c2.{GLOBAL}"), "NODATA");
    // The address is there, the endpoints are not.
    model.put(&nginx(), "c2", Some(balancer(&["192.0.2.2"])));
    check(&model, region, &format!("CNAME {GLOBAL}, A 192.0.2.1"));
    check(&model, &format!("c2.{GLOBAL}"), "A 192.0.2.2");
}

#[test]
fn records_outlive_a_deleted_service() {
    let mut model = two();
    model.put(&nginx(), "c1", None);
    model.put(&nginx(), "c2", None);
    assert!(model.discover().names.is_empty(), "also while slices are still there");
    for gone in [
        GLOBAL,
        "nginx.test.ufp.svc.us.example.com",
        "nginx.test.ufp.svc.us-a.us.example.com",
        "c1.nginx.test.ufp.svc.example.com",
    ] {
        check(&model, gone, "NXDOMAIN");
    }
}

#[test]
fn records_outlive_a_cluster() {
    let mut model = two();
    model.remove_cluster("c2");
    check(&model, "nginx.test.ufp.svc.eu.example.com", "NXDOMAIN");
    check(&model, "nginx.test.ufp.svc.eu-a.eu.example.com", "NXDOMAIN");
    check(&model, "c2.nginx.test.ufp.svc.example.com", "NXDOMAIN");
    check(&model, GLOBAL, "A 192.0.2.1");
}

#[test]
fn records_outlive_a_changed_type() {
    let mut model = two();
    // ClusterIP has no address outside; the name stays, leads elsewhere, and a person is told.
    model.put(
        &nginx(),
        "c1",
        Some(Service {
            ports: [port("http", "tcp", 80)].into(),
            ..Service::default()
        }),
    );
    check(&model, GLOBAL, "A 192.0.2.2");
    check(
        &model,
        "nginx.test.ufp.svc.us.example.com",
        &format!("CNAME {GLOBAL}, A 192.0.2.2"),
    );
    assert_eq!(model.issues(), ["c1: NotReachableFromOutside"]);
}

#[test]
fn internal_addresses_that_nobody_is_told_are_said() {
    let mut model = two();
    let mut service = balancer(&["192.0.2.1"]);
    service.internal_addresses = ["10.0.0.1", "fd00::1"]
        .map(|text| text.parse().expect("an address"))
        .into();
    service.odd_internal_addresses = ["here".to_owned()].into();
    model.put(&nginx(), "c1", Some(service));
    assert_eq!(model.issues(), ["c1: InternalAddresses", "c1: InternalAddresses"]);
    let issues: Vec<_> = model.discover().issues.into_iter().map(|issue| issue.message).collect();
    assert!(issues[0].contains("\"here\" is not an IP address"), "{issues:?}");
    assert!(issues[1].contains("fd00::1 is answered to nobody"), "{issues:?}");
}

/// Its zones and region stay known, so no level is torn apart; dead is dead at every level.
#[test]
fn an_offline_cluster_vanishes_from_its_zone_name_yet_stays_in_the_global_one() {
    let mut model = two();
    let settings = HealthSettings::default();
    let mut health = ClusterHealth::new(Timestamp(0));
    for second in 0..10 {
        health.api_result(Err("refused".to_owned()), &settings, Timestamp(second));
    }
    for kind in [DiscoveryKind::Services, DiscoveryKind::Slices, DiscoveryKind::Nodes] {
        let stale = Freshness::Stale {
            since: Timestamp(0),
            reason: "refused".to_owned(),
        };
        model.member("c1").freshness.insert(kind, stale);
    }
    model.health.insert(cluster("c1"), health.clone());
    let names = [
        GLOBAL,
        "nginx.test.ufp.svc.us.example.com",
        "nginx.test.ufp.svc.us-a.us.example.com",
    ];
    for asked in names {
        check(&model, asked, "A 192.0.2.1");
    }
    while health.liveness() == Liveness::Alive {
        health.round_result(false, &settings, Timestamp(20));
    }
    model.health.insert(cluster("c1"), health);
    for asked in names {
        assert!(model.ask(asked, RecordType::A).ends_with("A 192.0.2.2"), "{asked}");
    }
}

#[test]
fn a_drained_cluster_sends_its_region_upwards() {
    let mut model = two();
    let names = model.discover();
    model.cluster("c1").traffic = Traffic::Drained;
    check(
        &model,
        "nginx.test.ufp.svc.us.example.com",
        &format!("CNAME {GLOBAL}, A 192.0.2.2"),
    );
    assert_eq!(model.discover(), names, "a drain changes no name");
}

#[test]
fn readiness() {
    let slice = |ready, serving, total| Slice { ready, serving, total };
    for (slices, serves) in [
        (vec![ready(1)], true),
        (vec![slice(1, 0, 9)], true),
        (vec![slice(0, 0, 3), slice(1, 0, 1)], true),
        // All terminating, some still serve: a roll-out of a single replica is no outage.
        (vec![slice(0, 2, 2)], true),
        (vec![slice(0, 0, 3)], false),
        (vec![slice(0, 0, 0)], false),
        (vec![], false),
    ] {
        let mut model = two();
        model.slices(&nginx(), "c1", &slices);
        check(&model, GLOBAL, if serves { "A 192.0.2.1" } else { "A 192.0.2.2" });
    }
}

#[test]
fn slices_that_were_never_listed_are_not_unhealthy() {
    let mut model = two();
    model.slices(&nginx(), "c1", &[]);
    check(&model, GLOBAL, "A 192.0.2.2");
    model
        .member("c1")
        .freshness
        .insert(DiscoveryKind::Slices, Freshness::Unknown);
    check(&model, GLOBAL, "A 192.0.2.1");
}

#[test]
fn a_load_balancer_with_a_host_name_alone_is_an_issue() {
    let mut model = two();
    let mut service = balancer(&[]);
    service.host_names.insert("lb.example.net".to_owned());
    model.put(&nginx(), "c1", Some(service.clone()));
    assert_eq!(model.issues(), ["c1: LoadBalancerHostName"]);
    check(&model, GLOBAL, "A 192.0.2.2");
    service.addresses.insert("192.0.2.9".parse().expect("an address"));
    model.put(&nginx(), "c1", Some(service));
    assert_eq!(model.issues(), [""; 0]);
}

/// An alias stands for every type and every client, so it is one only where every cluster has a host name.
#[test]
fn load_balancers_with_host_names_are_aliases_where_every_cluster_has_one() {
    let mut model = two();
    let host = |text: &str| {
        let mut service = balancer(&[]);
        service.host_names.insert(text.to_owned());
        service
    };
    model.put(&nginx(), "c1", Some(host("lb1.example.net")));
    check(&model, "nginx.test.ufp.svc.us.example.com", "CNAME lb1.example.net");
    check(&model, GLOBAL, "A 192.0.2.2");
    model.put(&nginx(), "c2", Some(host("lb2.example.net")));
    check(&model, GLOBAL, "CNAME lb1.example.net");
    check(
        &model,
        "nginx.test.ufp.svc.eu-a.eu.example.com",
        "CNAME lb2.example.net",
    );
    // A cluster's own name is the target of SRV records, so it is never an alias (RFC 2782).
    check(&model, &format!("c1.{GLOBAL}"), "NODATA");
    check_srv(&model, &format!("_http._tcp.c1.{GLOBAL}"), "NODATA");
    model.slices(&nginx(), "c1", &[]);
    check(&model, GLOBAL, "CNAME lb2.example.net");
    check(
        &model,
        "nginx.test.ufp.svc.us.example.com",
        &format!("CNAME {GLOBAL}, CNAME lb2.example.net"),
    );
}

#[test]
fn host_names_lie_in_the_longest_zone() {
    let mut model = two();
    model
        .world
        .zones
        .insert("sub".to_owned(), zone("shop.example.com", "ufp"));
    model.route(
        "web",
        &nginx(),
        &["www.shop.example.com", "www.example.com", "www.elsewhere.test"],
        Some(5),
    );
    check(&model, "www.shop.example.com", "A 192.0.2.1");
    check(&model, "www.example.com", "A 192.0.2.1");
    assert_eq!(model.issues(), ["NoZone"]);
    let found = model.discover();
    let zone_of = |host: &str| {
        let mut zones = found
            .names
            .iter()
            .filter(|(_, names)| names.iter().any(|routed| routed.name.as_str() == host));
        let (zone, names) = zones.next().expect("published");
        assert!(zones.next().is_none(), "{host} is in one zone only");
        let ttl = names
            .iter()
            .find(|routed| routed.name.as_str() == host)
            .map(|routed| routed.ttl);
        (zone.as_str().to_owned(), ttl)
    };
    assert_eq!(
        zone_of("www.shop.example.com"),
        ("shop.example.com".to_owned(), Some(5))
    );
    assert_eq!(zone_of("www.example.com"), ("example.com".to_owned(), Some(5)));
}

#[test]
fn a_host_name_of_a_service_that_nobody_exports_is_not_published() {
    let mut model = two();
    model.route("web", &service_key("other"), &["www.example.com"], None);
    check(&model, "www.example.com", "NXDOMAIN");
    model.put(&service_key("other"), "c2", Some(balancer(&["192.0.2.8"])));
    model.slices(&service_key("other"), "c2", &[ready(1)]);
    check(&model, "www.example.com", "A 192.0.2.8");
}

#[test]
fn every_zone_has_the_names_of_its_own_federation() {
    let mut model = two();
    model
        .world
        .zones
        .insert("second".to_owned(), zone("example.net", "other"));
    check(&model, "nginx.test.other.svc.eu.example.net", "A 192.0.2.2");
    check(&model, "nginx.test.ufp.svc.eu.example.net", "NXDOMAIN");
    check(&model, GLOBAL, "A 192.0.2.1");
}

/// One cluster with an odd label must not cost the others their names.
#[test]
fn a_name_that_is_not_possible_takes_nothing_from_those_that_are() {
    for region in ["not a label", "", &"x".repeat(64)] {
        let mut model = two();
        model.cluster("c1").region = Some(region.to_owned());
        assert_eq!(model.issues(), ["NameNotPossible"], "{region:?}");
        check(&model, GLOBAL, "A 192.0.2.1");
        check(&model, "nginx.test.ufp.svc.eu-a.eu.example.com", "A 192.0.2.2");
        check_srv(
            &model,
            &format!("_http._tcp.c1.{GLOBAL}"),
            &format!("SRV 80 c1.{GLOBAL}"),
        );
    }
    let mut model = two();
    model.cluster("c1").zones = vec!["us-a".to_owned(), "us b".to_owned()];
    assert_eq!(model.issues(), ["NameNotPossible"]);
    check(&model, "nginx.test.ufp.svc.us-a.us.example.com", "A 192.0.2.1");
}

#[test]
fn a_name_that_gets_too_long_leaves_the_shorter_ones() {
    let mut model = Model::new(&[("c1", "us", "us-a")]);
    let long = format!("{}.{}.example.com", "x".repeat(63), "y".repeat(63));
    model
        .world
        .zones
        .insert("main".to_owned(), zone(&long, &"f".repeat(63)));
    let key = service_key(&"s".repeat(25));
    model.put(&key, "c1", Some(balancer(&["192.0.2.1"])));
    let found = discover(&model.world, &key);
    let names: Vec<_> = found
        .names
        .values()
        .flatten()
        .map(|routed| routed.name.as_str().len())
        .collect();
    assert!(
        !names.is_empty() && names.iter().all(|length| *length <= 253),
        "{names:?}"
    );
    assert!(found.issues.iter().any(|issue| issue.reason == "NameNotPossible"));
}

/// An IPv6 answer that only some clients get would be a negative answer that others cache.
#[test]
fn ipv6_is_answered_where_every_site_of_the_level_has_it() {
    let mut model = two();
    model.serve("c1", &["192.0.2.1", "2001:db8::1"]);
    assert_eq!(model.ask(GLOBAL, RecordType::Aaaa), "NODATA");
    assert_eq!(
        model.ask("nginx.test.ufp.svc.us.example.com", RecordType::Aaaa),
        "AAAA 2001:db8::1"
    );
    assert_eq!(model.ask(&format!("c1.{GLOBAL}"), RecordType::Aaaa), "AAAA 2001:db8::1");
    assert_eq!(model.issues(), ["MixedFamilies"]);
    model.serve("c2", &["192.0.2.2", "2001:db8::2"]);
    assert_eq!(model.ask(GLOBAL, RecordType::Aaaa), "AAAA 2001:db8::1");
    assert_eq!(model.issues(), [""; 0]);
    // A site without any address yet does not decide about the family.
    model.put(&nginx(), "c2", Some(balancer(&[])));
    assert_eq!(model.ask(GLOBAL, RecordType::Aaaa), "AAAA 2001:db8::1");
}

#[test]
fn a_host_name_cannot_hide_what_the_zone_itself_needs() {
    let mut model = two();
    let mut own = zone("shop.test", "ufp");
    own.name_servers = vec![NameServer {
        name: DnsName::parse("ns1.shop.test").expect("a name"),
        addresses: vec!["192.0.2.53".parse().expect("an address")],
    }];
    own.when_none_healthy = WhenNoneHealthy::Fallback(DnsName::parse("elsewhere.test").expect("a name"));
    model.world.zones.insert("own".to_owned(), own);
    model.route("web", &nginx(), &["shop.test", "ns1.shop.test"], None);
    check(&model, "shop.test", "A 192.0.2.1");
    assert_eq!(model.issues(), ["NameTaken"]);
    // At the apex an alias would stand beside SOA and NS: what is left is answered instead.
    model.put(&nginx(), "c2", None);
    model.slices(&nginx(), "c1", &[]);
    check(&model, "shop.test", "A 192.0.2.1");
}

#[test]
fn of_two_zones_with_one_domain_the_first_is_served() {
    let mut model = two();
    let second = zone("example.com", "second");
    model.world.zones.insert("zzz".to_owned(), second);
    let served: Vec<_> = model
        .world
        .served_zones()
        .map(|(_, zone)| zone.federation.as_str())
        .collect();
    assert_eq!(served, ["ufp"]);
    check(&model, GLOBAL, "A 192.0.2.1");
}

#[test]
fn the_same_world_gives_the_same_names() {
    let model = two();
    assert_eq!(model.discover(), model.clone().discover());
    let names = &model.discover().names[&discovery_model::name("example.com")];
    assert!(names.is_sorted_by(|a, b| a.name < b.name), "sorted, each once");
}
