//! Zones that are given to secondaries: which serial they show, their catalogs, and what their status says.

mod support;

use std::collections::BTreeMap;

use meridian_controller_index::Event;
use meridian_dns_core::DnsName;
use meridian_federation_core::transfer::{StreamState, TransferProblem};
use serde_json::{Value, json};
use support::{Fixture, NOW, nothing, zone_object};

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a name")
}

fn given(mut object: Value) -> Value {
    object["spec"]["transfer"] = json!({"allow": [{"networks": ["192.0.2.0/24"]}], "catalog": "catalog.test"});
    object
}

fn tell(fixture: &mut Fixture, states: &[(&str, Option<u32>)]) {
    let state = |serial| StreamState {
        serial,
        problems: Vec::new(),
    };
    let states: BTreeMap<_, _> = states
        .iter()
        .map(|(zone, serial)| (name(zone), state(*serial)))
        .collect();
    let dirty = fixture.index.stream_states(states.clone());
    assert!(dirty.zones);
    fixture.publish(&dirty);
    assert_eq!(fixture.index.stream_states(states), nothing(), "told twice");
}

fn condition(fixture: &Fixture) -> Option<(String, String)> {
    let object = fixture.index.zone_objects().next().expect("the zone");
    let status = fixture
        .index
        .zone_status(object, &fixture.snapshot, NOW)
        .expect("a status");
    let found = status
        .conditions
        .into_iter()
        .find(|condition| condition.type_ == "TransferReady")?;
    Some((format!("{}/{}", found.status, found.reason), found.message))
}

#[test]
fn a_zone_that_is_given_away_shows_the_serial_of_its_stream_and_no_other() {
    let mut fixture = Fixture::empty();
    fixture.clusters(Event::Reset(vec![support::cluster_object("c1")]));
    fixture.zones(Event::Reset(vec![given(zone_object("main", "example.com"))]));
    fixture.routes(Event::Reset(Vec::new()));
    fixture.list("c1");
    assert_eq!(fixture.serial(), 0, "not known yet, and older than any");
    tell(&mut fixture, &[("example.com", Some(1_600_000_000))]);
    assert_eq!(fixture.serial(), 1_600_000_000);
    // Answers change at once, their serial with the stream.
    fixture.serve("c1", "192.0.2.1");
    fixture.check("nginx.test.ufp.svc.example.com", "A 192.0.2.1");
    assert_eq!(fixture.serial(), 1_600_000_000);
    let mut changed = given(zone_object("main", "example.com"));
    changed["spec"]["nameservers"] = json!([{"name": "ns.example.net"}]);
    fixture.zones(Event::Apply(changed));
    assert_eq!(fixture.serial(), 1_600_000_000);
    tell(&mut fixture, &[("example.com", Some(1_600_000_001))]);
    assert_eq!(fixture.serial(), 1_600_000_001);
    // It never goes back, nor when the stream is not known any more.
    tell(&mut fixture, &[("example.com", Some(1_500_000_000))]);
    tell(&mut fixture, &[("example.com", None)]);
    assert_eq!(fixture.serial(), 1_600_000_001);
    // Given to nobody any more, it counts itself.
    fixture.zones(Event::Apply(zone_object("main", "example.com")));
    fixture.serve("c1", "192.0.2.2");
    assert!(fixture.serial() >= 1_700_000_000);
}

#[test]
fn a_catalog_is_served_while_its_rules_are_in_force_and_lists_every_member() {
    let mut fixture = Fixture::new(&[]);
    let catalog = name("catalog.test");
    let members = |fixture: &Fixture| {
        let zone = fixture.snapshot.zone(&catalog)?;
        // The version and the members.
        Some((zone.records().iter().count() - 1, zone.complete()))
    };
    let (one, two) = (
        given(zone_object("main", "example.com")),
        given(zone_object("second", "example.org")),
    );
    fixture.zones(Event::Reset(vec![one.clone(), two.clone()]));
    assert_eq!(members(&fixture), None, "it may not be hidden yet");
    tell(&mut fixture, &[("catalog.test", None)]);
    assert_eq!(members(&fixture), Some((2, true)));
    // An object that cannot be read is no reason to forget its zone.
    let mut bad = given(zone_object("third", "example.net"));
    bad["spec"]["transfer"]["notify"] = json!([{"address": "somewhere"}]);
    fixture.zones(Event::Apply(bad));
    assert_eq!(members(&fixture), Some((2, false)));
    fixture.zones(Event::Apply(given(zone_object("third", "example.net"))));
    assert_eq!(members(&fixture), Some((3, true)));
    fixture.zones(Event::Reset(vec![one, two]));
    assert_eq!(members(&fixture), Some((2, true)));
    fixture.zones(Event::Reset(vec![zone_object("main", "example.com")]));
    assert_eq!(members(&fixture), None);
}

#[test]
fn the_status_says_whether_secondaries_are_given_the_zone_and_why_not() {
    let mut fixture = Fixture::new(&[]);
    assert_eq!(condition(&fixture), None, "nobody asked for it");
    let mut object = given(zone_object("main", "example.com"));
    fixture.zones(Event::Apply(object.clone()));
    let reason = |fixture: &Fixture| condition(fixture).expect("a condition").0;
    assert_eq!(reason(&fixture), "False/Starting");
    tell(&mut fixture, &[("example.com", None)]);
    assert_eq!(reason(&fixture), "False/NoVersion");
    tell(&mut fixture, &[("example.com", Some(7))]);
    assert_eq!(reason(&fixture), "True/Given");
    let state = StreamState {
        serial: Some(7),
        problems: vec![TransferProblem::Key {
            name: name("k"),
            why: "key secret of Secret dns/tsig is not there; make it".to_owned(),
        }],
    };
    let dirty = fixture.index.stream_states([(name("example.com"), state)].into());
    fixture.publish(&dirty);
    let (status, message) = condition(&fixture).expect("a condition");
    assert_eq!(status, "False/KeyUnusable");
    assert!(
        message.contains("TSIG key k") && message.contains("Secret dns/tsig"),
        "{message}"
    );
    // What was written is not left behind.
    object["spec"]["transfer"] = Value::Null;
    object["status"] = json!({"conditions": [{"type": "TransferReady", "status": "True", "reason": "Given",
        "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    fixture.zones(Event::Apply(object));
    assert_eq!(reason(&fixture), "False/NotWanted");
}
