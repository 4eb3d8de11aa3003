//! Events of the host: Cluster, DNSZone and DNSRoute objects.
//!
//! People edit these by hand, so the tests are about mistakes: what was good before stays in use, the
//! object's status names the field, and an edit of something else wakes nobody. And about the start: a
//! name is denied only when everything that could bring it was listed.

mod support;

use std::sync::Arc;

use meridian_controller_index::Event;
use meridian_dns_core::{DnsName, ReadText, RecordData, RecordSet, TextError, TextRecord};
use meridian_federation_core::Timestamp;
use serde_json::{Value, json};
use support::{
    Fixture, NOW, apply_service, cluster_object, dynamic, name, nginx, nothing, reset_services, route_object,
    service_object, zone_object,
};

const GLOBAL: &str = "nginx.test.ufp.svc.example.com";

fn serving() -> Fixture {
    let mut fixture = Fixture::new(&["c1", "c2"]);
    fixture.serve("c1", "192.0.2.1");
    fixture.serve("c2", "192.0.2.2");
    fixture
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    object.pointer_mut(parent).expect("the parent is there")[field] = value;
    object
}

fn touched(object: Value) -> Value {
    let object = with(object, "/metadata/annotations", json!({"someone": "was here"}));
    with(object, "/metadata/resourceVersion", json!("2"))
}

#[test]
fn a_no_op_event_wakes_nobody() {
    let mut fixture = serving();
    fixture.routes(Event::Apply(route_object("www", "nginx", &["www.example.com"])));
    let (c1, c2) = (cluster_object("c1"), cluster_object("c2"));
    for event in [
        Event::Apply(c1.clone()),
        Event::Apply(touched(c1.clone())),
        Event::Reset(vec![c1, touched(c2)]),
        Event::Delete(cluster_object("unheard-of")),
    ] {
        assert_eq!(fixture.clusters(event), nothing());
    }
    let zone = zone_object("main", "example.com");
    for event in [
        Event::Apply(zone.clone()),
        Event::Apply(touched(zone.clone())),
        Event::Reset(vec![zone.clone()]),
        Event::Delete(zone_object("unheard-of", "example.org")),
    ] {
        assert_eq!(fixture.zones(event), nothing());
    }
    // Status is what we write ourselves.
    assert_eq!(
        fixture.zones(Event::Apply(with(zone, "/status", json!({"names": 3})))),
        nothing()
    );
    let route = route_object("www", "nginx", &["www.example.com"]);
    for event in [
        Event::Apply(route.clone()),
        Event::Apply(touched(route.clone())),
        Event::Reset(vec![route]),
        Event::Delete(route_object("unheard-of", "nginx", &[])),
    ] {
        assert_eq!(fixture.routes(event), nothing());
    }
}

#[test]
fn a_drain_changes_sites_and_no_name() {
    let mut fixture = serving();
    let drained = with(cluster_object("c1"), "/spec/traffic", json!("Drained"));
    let dirty = fixture.index.clusters(dynamic(Event::Apply(drained)), NOW);
    assert!(dirty.sites && dirty.services.is_empty() && !dirty.zones);
    let serial = fixture.serial();
    assert_eq!(fixture.publish(&dirty), [""; 0]);
    assert_eq!(fixture.serial(), serial, "no name changed");
    fixture.check(GLOBAL, "A 192.0.2.2");
    assert_eq!(fixture.condition("c1", "Drained").0, "True/DrainedByOperator");
}

#[test]
fn a_changed_region_moves_the_names() {
    let mut fixture = serving();
    let dirty = fixture.clusters(Event::Apply(with(cluster_object("c1"), "/spec/region", json!("eu"))));
    assert!(dirty.sites && dirty.services == [nginx()].into());
    fixture.check("nginx.test.ufp.svc.us-a.eu.example.com", "A 192.0.2.1");
    fixture.check("nginx.test.ufp.svc.us-a.us.example.com", "A 192.0.2.2");
}

#[test]
fn a_bad_network_keeps_the_last_good_ones_and_is_named() {
    let mut fixture = serving();
    fixture.clusters(Event::Apply(with(
        cluster_object("c1"),
        "/spec/networks",
        json!(["198.51.100.0/24"]),
    )));
    let bad = with(
        cluster_object("c1"),
        "/spec/networks",
        json!(["198.51.100.0/24", "198.51.100.0/99"]),
    );
    let dirty = fixture.clusters(Event::Apply(bad.clone()));
    assert!(!dirty.sites && dirty.services.is_empty());
    assert_eq!(dirty.clusters, [name("c1")].into(), "the condition is to be written");
    assert_eq!(
        fixture.index.world().clusters[&name("c1")].networks,
        ["198.51.100.0/24".parse().expect("a network")]
    );
    let (status, message) = fixture.condition("c1", "Accepted");
    assert_eq!(status, "False/Invalid");
    assert!(
        message.contains("spec.networks[1]") && message.contains("198.51.100.0/99"),
        "{message}"
    );
    assert_eq!(fixture.clusters(Event::Apply(bad)), nothing());
    fixture.clusters(Event::Apply(cluster_object("c1")));
    assert_eq!(fixture.condition("c1", "Accepted").0, "True/Valid");
    assert!(fixture.index.world().clusters[&name("c1")].networks.is_empty());
}

#[test]
fn an_object_that_does_not_fit_its_type_is_a_problem_of_that_object() {
    let mut fixture = serving();
    fixture.clusters(Event::Apply(with(cluster_object("c1"), "/spec", json!("nonsense"))));
    assert!(fixture.index.problem("Cluster", "c1").is_some());
    fixture.zones(Event::Apply(with(
        zone_object("main", "example.com"),
        "/spec/ttl",
        json!("soon"),
    )));
    assert!(fixture.index.problem("DNSZone", "main").is_some());
    fixture.check(GLOBAL, "A 192.0.2.1");
    fixture.clusters(Event::Apply(cluster_object("c1")));
    assert_eq!(fixture.index.problem("Cluster", "c1"), None);
}

#[test]
fn a_removed_cluster_takes_its_names() {
    let mut fixture = serving();
    let dirty = fixture.clusters(Event::Delete(cluster_object("c1")));
    assert!(dirty.sites && dirty.zones && dirty.services == [nginx()].into());
    fixture.check(GLOBAL, "A 192.0.2.2");
    fixture.check("c1.nginx.test.ufp.svc.example.com", "NXDOMAIN");
    assert_eq!(
        fixture.take("c1", apply_service(service_object("nginx", "192.0.2.1"))),
        nothing()
    );
    fixture.clusters(Event::Reset(Vec::new()));
    fixture.check(GLOBAL, "NXDOMAIN");
    assert!(fixture.index.world().services.is_empty(), "nothing is left behind");
    // It comes back under the same name, and starts from nothing.
    fixture.clusters(Event::Apply(cluster_object("c1")));
    fixture.check(GLOBAL, "SERVFAIL");
}

#[test]
fn no_name_is_denied_before_everything_was_listed() {
    let mut fixture = Fixture::empty();
    fixture.zones(Event::Reset(vec![zone_object("main", "example.com")]));
    fixture.check(GLOBAL, "SERVFAIL");
    fixture.clusters(Event::Reset(vec![cluster_object("c1"), cluster_object("c2")]));
    fixture.check(GLOBAL, "SERVFAIL");
    fixture.take("c1", reset_services(Vec::new()));
    // An event alone is no list.
    fixture.take("c2", apply_service(service_object("nginx", "192.0.2.2")));
    fixture.check(GLOBAL, "A 192.0.2.2");
    fixture.check("other.test.ufp.svc.example.com", "SERVFAIL");
    fixture.take("c2", reset_services(vec![service_object("nginx", "192.0.2.2")]));
    fixture.check("other.test.ufp.svc.example.com", "SERVFAIL");
    // A DNSRoute may bring any name.
    assert!(fixture.routes(Event::Reset(Vec::new())).zones);
    fixture.check("other.test.ufp.svc.example.com", "NXDOMAIN");
    // A cluster that joins may have it.
    fixture.clusters(Event::Apply(cluster_object("c3")));
    fixture.check("other.test.ufp.svc.example.com", "SERVFAIL");
    fixture.clusters(Event::Delete(cluster_object("c3")));
    fixture.check("other.test.ufp.svc.example.com", "NXDOMAIN");
}

#[test]
fn a_federation_without_clusters_denies_names_once_that_is_known() {
    let mut fixture = Fixture::empty();
    fixture.zones(Event::Reset(vec![zone_object("main", "example.com")]));
    fixture.routes(Event::Reset(Vec::new()));
    fixture.check(GLOBAL, "SERVFAIL");
    fixture.clusters(Event::Reset(Vec::new()));
    fixture.check(GLOBAL, "NXDOMAIN");
}

#[test]
fn the_serial_grows_with_every_change_and_with_nothing_else() {
    let mut fixture = serving();
    let first = fixture.serial();
    fixture.take("c1", apply_service(service_object("nginx", "192.0.2.1")));
    assert_eq!(fixture.serial(), first, "nothing changed");
    fixture.take("c1", apply_service(service_object("nginx", "192.0.2.5")));
    assert_eq!(fixture.serial(), first + 1, "within the same second");
    fixture.now = Timestamp(fixture.now.0 + 3_600_000);
    fixture.take("c1", apply_service(service_object("nginx", "192.0.2.6")));
    assert_eq!(u64::from(fixture.serial()), fixture.now.0 / 1000);
    let before = fixture.serial();
    fixture.zones(Event::Apply(with(
        zone_object("main", "example.com"),
        "/spec/soa",
        json!({"refresh": 60}),
    )));
    assert_eq!(fixture.serial(), before + 1, "the head is part of the zone");
}

#[test]
fn a_zone_comes_with_all_names_and_goes_with_them() {
    let mut fixture = serving();
    fixture.zones(Event::Apply(zone_object("second", "example.net")));
    fixture.check("nginx.test.ufp.svc.us.example.net", "A 192.0.2.1");
    fixture.zones(Event::Delete(zone_object("second", "example.net")));
    fixture.check("nginx.test.ufp.svc.us.example.net", "REFUSED");
    fixture.check(GLOBAL, "A 192.0.2.1");
    let dirty = fixture.zones(Event::Apply(with(
        zone_object("main", "example.com"),
        "/spec/ttl",
        json!(5),
    )));
    assert!(dirty.zones && dirty.services == [nginx()].into());
    fixture.zones(Event::Reset(Vec::new()));
    fixture.check(GLOBAL, "REFUSED");
}

#[test]
fn a_bad_zone_keeps_the_good_one_and_is_told() {
    let mut fixture = serving();
    let server = json!([{"name": "ns1.example.com", "addresses": []}]);
    let bad = with(zone_object("main", "example.com"), "/spec/nameservers", server);
    let dirty = fixture.zones(Event::Apply(bad));
    assert!(
        dirty.zones && dirty.services.is_empty(),
        "the status is to be written, and no name"
    );
    fixture.check(GLOBAL, "A 192.0.2.1");
    let object = fixture.index.zone_objects().next().expect("there");
    let status = fixture
        .index
        .zone_status(object, &fixture.snapshot, NOW)
        .expect("a status");
    let accepted = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Accepted")
        .expect("the condition");
    assert!(
        accepted.status == "False" && accepted.message.contains("spec.nameservers[0].addresses"),
        "{}",
        accepted.message
    );
}

#[test]
fn routes_come_change_and_go() {
    let mut fixture = serving();
    let dirty = fixture.routes(Event::Apply(route_object(
        "www",
        "nginx",
        &["www.example.com", "www2.example.com"],
    )));
    assert_eq!(dirty.services, [nginx()].into());
    fixture.check("www.example.com", "A 192.0.2.1");
    fixture.routes(Event::Apply(route_object("www", "nginx", &["www2.example.com"])));
    fixture.check("www.example.com", "NXDOMAIN");
    // To another service: both are found anew.
    assert_eq!(
        fixture
            .routes(Event::Apply(route_object("www", "other", &["www2.example.com"])))
            .services
            .len(),
        2
    );
    fixture.check("www2.example.com", "NXDOMAIN");
    fixture.routes(Event::Reset(vec![route_object(
        "third",
        "nginx",
        &["www3.example.com"],
    )]));
    fixture.check("www3.example.com", "A 192.0.2.1");
    assert_eq!(fixture.index.route_object("test", "www"), None);
    fixture.routes(Event::Delete(route_object("third", "nginx", &[])));
    fixture.check("www3.example.com", "NXDOMAIN");
    assert!(fixture.index.world().routes_of.is_empty());
}

#[test]
fn a_bad_route_keeps_the_good_one_and_is_told() {
    let mut fixture = serving();
    fixture.routes(Event::Apply(route_object("www", "nginx", &["www.example.com"])));
    let bad = route_object("www", "nginx", &["www.example.com", "not a name"]);
    let accepted = |fixture: &Fixture, name: &str| {
        let object = fixture
            .index
            .routes_of(&nginx())
            .find(|route| route.metadata.name.as_deref() == Some(name))
            .expect("linked");
        let status = fixture.index.route_status(object, NOW).expect("a status");
        status
            .conditions
            .into_iter()
            .find(|condition| condition.type_ == "Accepted")
            .expect("the condition")
    };
    assert_eq!(fixture.routes(Event::Apply(bad)).services, [nginx()].into());
    fixture.check("www.example.com", "A 192.0.2.1");
    assert!(accepted(&fixture, "www").message.contains("spec.hostnames[1]"));
    // One that was never good has a status too, and leaves nothing behind.
    let never = route_object("never", "nginx", &["..."]);
    assert_eq!(fixture.routes(Event::Apply(never.clone())).services, [nginx()].into());
    assert_eq!(accepted(&fixture, "never").status, "False");
    assert_eq!(fixture.routes(Event::Apply(never.clone())), nothing());
    fixture.routes(Event::Delete(never));
    fixture.routes(Event::Delete(route_object("www", "nginx", &[])));
    assert!(fixture.index.world().routes_of.is_empty());
}

/// Reads addresses; the real reader is that of the DNS server.
#[derive(Debug)]
struct Addresses;

impl ReadText for Addresses {
    fn record(&self, zone: &DnsName, record: &TextRecord<'_>) -> Result<RecordSet, TextError> {
        let wrong = |message: String| TextError { line: 0, message };
        let name = zone.prepend(record.name).map_err(|error| wrong(error.to_string()))?;
        let addresses = record.data.iter().map(|text| text.parse().map(RecordData::A));
        let data = addresses
            .collect::<Result<_, _>>()
            .map_err(|_| wrong("no address".to_owned()))?;
        Ok(RecordSet::new(name, record.ttl, data))
    }

    fn zone_file(&self, zone: &DnsName, ttl: u32, text: &str) -> Result<Vec<RecordSet>, TextError> {
        let record = |line: &str| {
            let (name, data) = line.split_once(' ').expect("a name and an address");
            let data = [data.to_owned()];
            self.record(
                zone,
                &TextRecord {
                    name,
                    record_type: "A",
                    ttl,
                    data: &data,
                },
            )
        };
        text.lines().map(record).collect()
    }
}

#[test]
fn static_records_come_and_go_with_the_zone_and_a_bad_one_changes_nothing() {
    let mut fixture = serving();
    fixture.index = fixture.index.with_text_reader(Arc::new(Addresses));
    let records = |records: Value, file: Value| {
        let object = with(zone_object("main", "example.com"), "/spec/records", records);
        Event::Apply(with(object, "/spec/zoneFile", file))
    };
    let host = |name: &str, address: &str| json!({"name": name, "type": "A", "data": [address]});
    let before = fixture.serial();
    fixture.zones(records(json!([host("a", "192.0.2.7")]), json!("b 192.0.2.8")));
    fixture.check("a.example.com", "A 192.0.2.7");
    fixture.check("b.example.com", "A 192.0.2.8");
    fixture.check(GLOBAL, "A 192.0.2.1");
    assert_eq!(fixture.serial(), before + 1);
    // The same again is no change, and what cannot be read leaves what was there.
    assert_eq!(
        fixture.zones(records(json!([host("a", "192.0.2.7")]), json!("b 192.0.2.8"))),
        nothing()
    );
    for (bad, field) in [
        (json!([host("c", "nonsense")]), "spec.records[0]: no address"),
        (
            json!([host("c", "192.0.2.9"), host("d..e", "192.0.2.9")]),
            "spec.records[1]: \"d..e.example.com\" has an empty label; remove the extra dot",
        ),
    ] {
        fixture.zones(records(bad, json!("b 192.0.2.8")));
        let problem = fixture.index.problem("DNSZone", "main").map(ToString::to_string);
        assert_eq!(problem.as_deref(), Some(field));
        fixture.check("a.example.com", "A 192.0.2.7");
        fixture.check("c.example.com", "NXDOMAIN");
    }
    fixture.zones(records(json!([]), json!("b 192.0.2.9")));
    fixture.check("a.example.com", "NXDOMAIN");
    fixture.check("b.example.com", "A 192.0.2.9");
    assert_eq!(fixture.serial(), before + 2);
}

#[test]
fn a_host_name_that_static_records_take_is_an_issue_of_its_route() {
    let mut fixture = serving();
    fixture.index = fixture.index.with_text_reader(Arc::new(Addresses));
    let zone = |records: Value| Event::Apply(with(zone_object("main", "example.com"), "/spec/records", records));
    fixture.routes(Event::Apply(route_object("www", "nginx", &["www.example.com"])));
    fixture.check("www.example.com", "A 192.0.2.1");
    fixture.zones(zone(json!([{"name": "www", "type": "A", "data": ["192.0.2.7"]}])));
    fixture.check("www.example.com", "A 192.0.2.7");
    let issues = |fixture: &Fixture| fixture.index.names().issues(&nginx()).count();
    assert_eq!(issues(&fixture), 1);
    fixture.zones(zone(json!([])));
    fixture.check("www.example.com", "A 192.0.2.1");
    assert_eq!(issues(&fixture), 0);
}

#[test]
fn a_zones_networks_lead_its_clients_and_a_bad_one_changes_nothing() {
    let mut fixture = serving();
    let zone = |networks: Value| with(zone_object("main", "example.com"), "/spec/networks", networks);
    let client = "100.64.7.7".parse().expect("an address");
    fixture.zones(Event::Apply(zone(
        json!([{"network": "100.64.7.0/24", "cluster": "c2"}]),
    )));
    assert_eq!(fixture.ask_from(client, GLOBAL), "A 192.0.2.2");
    fixture.check(GLOBAL, "A 192.0.2.1");
    for (networks, field) in [
        (
            json!([{"network": "100.64.7.0/99", "cluster": "c1"}]),
            "spec.networks[0].network",
        ),
        (
            json!([{"network": "100.64.7.0/24", "cluster": "c1", "region": "us"}]),
            "spec.networks[0]",
        ),
        (json!([{"network": "100.64.7.0/24"}]), "spec.networks[0]"),
        (
            json!([{"network": "100.64.7.0/24", "cluster": "c1"}, {"network": "100.64.7.9/24", "cluster": "c2"}]),
            "spec.networks[1].network",
        ),
    ] {
        fixture.zones(Event::Apply(zone(networks)));
        let problem = fixture.index.problem("DNSZone", "main").expect("told");
        assert_eq!(problem.field, field, "{problem}");
        assert_eq!(
            fixture.ask_from(client, GLOBAL),
            "A 192.0.2.2",
            "the last good ones stay"
        );
    }
    // A cluster that is not there counts for nothing, until it is.
    fixture.zones(Event::Apply(zone(
        json!([{"network": "100.64.7.0/24", "cluster": "c9"}]),
    )));
    assert_eq!(fixture.ask_from(client, GLOBAL), "A 192.0.2.1");
    let object = fixture.index.zone_objects().next().expect("there");
    let status = fixture
        .index
        .zone_status(object, &fixture.snapshot, NOW)
        .expect("a status");
    let mut conditions = status.conditions.iter();
    let resolved = conditions
        .find(|condition| condition.type_ == "NetworksResolved")
        .expect("told");
    assert_eq!(resolved.status, "False");
    assert!(resolved.message.contains("spec.networks[0].cluster") && resolved.message.contains("c9"));
    assert!(
        fixture.clusters(Event::Apply(cluster_object("c9"))).zones,
        "the status is to be written"
    );
    fixture.zones(Event::Apply(zone_object("main", "example.com")));
    assert_eq!(fixture.index.problem("DNSZone", "main"), None);
    assert_eq!(fixture.ask_from(client, GLOBAL), "A 192.0.2.1");
}
