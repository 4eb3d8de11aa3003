//! A signed zone, from its object and its keys to what is answered and told.

mod support;

use std::sync::Arc;

use meridian_controller_index::{Event, KeyEvent, KeyTask};
use meridian_dns_core::DnsName;
use meridian_dns_core::dnssec::rollover::{KeyRing, Role, advance};
use meridian_dns_core::dnssec::{Algorithm, DnsKey};
use meridian_federation_core::ParentSource;
use serde_json::{Value, json};
use support::{Fixture, zone_object};

const NAME: &str = "nginx.test.ufp.svc.example.com";

fn apex() -> DnsName {
    DnsName::parse("example.com").expect("a name")
}

fn zone(dnssec: Value, annotations: Value, status: Value) -> Event<Value> {
    let mut object = zone_object("main", "example.com");
    object["spec"]["dnssec"] = dnssec;
    object["metadata"]["annotations"] = annotations;
    object["status"] = status;
    Event::Apply(object)
}

/// A fleet that serves nginx, without keys.
fn serving(dnssec: Value, status: Value) -> Fixture {
    let mut fixture = Fixture::new(&["c1"]);
    fixture.serve("c1", "192.0.2.1");
    fixture.zones(zone(dnssec, json!({}), status));
    fixture
}

fn keys(fixture: &mut Fixture, event: KeyEvent) {
    let dirty = fixture.index.keys(event);
    assert!(dirty.services.is_empty(), "keys concern no name");
    fixture.publish(&dirty);
}

fn task(fixture: &Fixture) -> Option<KeyTask> {
    let mut tasks = fixture.index.key_tasks(&fixture.snapshot);
    assert!(tasks.len() <= 1);
    tasks.pop()
}

/// The first ring of a zone with one key for everything.
fn ring(task: &KeyTask) -> KeyRing {
    let mut ring = KeyRing::clone(&task.ring);
    let key = DnsKey {
        secure_entry_point: true,
        algorithm: Algorithm::EcdsaP256,
        public_key: Arc::from([7; 64]),
    };
    ring.add(key, Role::Combined, 0).expect("a new tag");
    advance(&ring, &task.policy, &task.zone, None, 0).ring
}

fn condition(fixture: &Fixture, kind: &str) -> String {
    let object = fixture.index.zone_objects().next().expect("the zone");
    let status = fixture.index.zone_status(object, &fixture.snapshot, fixture.now);
    let conditions = status.map_or_else(
        || object.status.clone().unwrap_or_default().conditions,
        |status| status.conditions,
    );
    let found = conditions.iter().find(|condition| condition.type_ == kind);
    found.map_or("none".to_owned(), |found| format!("{}:{}", found.status, found.reason))
}

#[test]
fn a_zone_that_may_be_signed_already_waits_for_its_keys() {
    let mut fixture = serving(json!({}), json!(null));
    fixture.check(NAME, "SERVFAIL");
    fixture.check("absent.example.com", "SERVFAIL");
    assert!(
        task(&fixture).is_none(),
        "the leader too waits until it has seen what is stored"
    );
    assert_eq!(condition(&fixture, "Ready"), "False:KeysAwaited");
    // Nothing is stored and there never was: it is unsigned until the first keys are made.
    keys(&mut fixture, KeyEvent::Listed);
    fixture.check(NAME, "A 192.0.2.1");
    assert!(task(&fixture).is_some());
    // A zone that is not to be signed never waits.
    let fixture = serving(json!(null), json!(null));
    fixture.check(NAME, "A 192.0.2.1");
    assert_eq!(condition(&fixture, "Signed"), "none");
}

#[test]
fn keys_sign_the_zone_and_are_told() {
    let mut fixture = serving(json!({"keys": {"combined": true, "ttl": 60}}), json!(null));
    keys(&mut fixture, KeyEvent::Listed);
    let before = fixture.serial();
    let task = task(&fixture).expect("due");
    assert_eq!(
        (task.policy.key_ttl, task.policy.data_ttl),
        (60, 3600),
        "NS and SOA live an hour"
    );
    let ring = Arc::new(ring(&task));
    keys(&mut fixture, KeyEvent::Ring(apex(), ring.clone()));
    assert_eq!(fixture.serial(), before + 1, "keys are part of the zone");
    let dnssec = fixture
        .snapshot
        .zone(&apex())
        .expect("served")
        .dnssec()
        .expect("signed")
        .clone();
    assert_eq!((dnssec.keys.len(), dnssec.key_ttl), (1, 60));
    keys(&mut fixture, KeyEvent::Ring(apex(), ring.clone()));
    assert_eq!(fixture.serial(), before + 1, "nothing changed");
    let object = fixture.index.zone_objects().next().expect("the zone");
    let status = fixture
        .index
        .zone_status(object, &fixture.snapshot, fixture.now)
        .expect("a status");
    let told = status.dnssec.expect("keys");
    assert_eq!(
        (told.keys[0].role.as_str(), told.keys[0].dnskey.as_str()),
        ("CSK", "rumoured")
    );
    assert!(told.ds.is_empty(), "the parent is not to have a DS yet");
    assert_eq!(condition(&fixture, "DelegationSigned"), "False:NotReady");
    // What is stored becomes unreadable: the keys before stay.
    keys(&mut fixture, KeyEvent::Problem(apex(), Some("no JSON".to_owned())));
    fixture.check(NAME, "A 192.0.2.1");
    assert_eq!(condition(&fixture, "Signed"), "True:KeysUnreadable");
    // The spec wants it no more: the keys stay, and the policy says that they are to leave.
    fixture.zones(zone(json!(null), json!({}), json!(null)));
    assert!(fixture.snapshot.zone(&apex()).expect("served").dnssec().is_some());
}

#[test]
fn lost_keys_are_not_replaced_in_silence() {
    let status = json!({"dnssec": {"keys": [
        {"tag": 1, "role": "CSK", "algorithm": "ED25519", "dnskey": "omnipresent"}
    ]}});
    // Also of a zone whose spec does not ask for them any more.
    for dnssec in [json!({}), json!(null)] {
        let mut fixture = serving(dnssec, status.clone());
        fixture.check(NAME, "SERVFAIL");
        keys(&mut fixture, KeyEvent::Listed);
        fixture.check(NAME, "SERVFAIL");
        assert_eq!(condition(&fixture, "Signed"), "False:KeysLost");
        assert!(task(&fixture).is_none());
    }
    let mut fixture = serving(json!({}), status.clone());
    keys(&mut fixture, KeyEvent::Listed);
    fixture.zones(zone(json!({}), json!({"meridian.dev/dnssec-new-keys": "true"}), status));
    assert!(task(&fixture).is_some());
}

#[test]
fn what_operators_write_is_read_or_told() {
    let mut fixture = serving(json!({}), json!(null));
    keys(&mut fixture, KeyEvent::Listed);
    let parent = |fixture: &Fixture| task(fixture).expect("due").parent;
    assert_eq!(parent(&fixture), ParentSource::Ask(Vec::new()));
    let ask = json!({"parent": {"resolvers": ["192.0.2.53", "[2001:db8::1]:5353"]}});
    fixture.zones(zone(ask, json!({}), json!(null)));
    let asked = ["192.0.2.53:53", "[2001:db8::1]:5353"].map(|text| text.parse().expect("an address"));
    assert_eq!(parent(&fixture), ParentSource::Ask(asked.to_vec()));
    let manual = || json!({"parent": {"check": "Manual"}});
    fixture.zones(zone(manual(), json!({}), json!(null)));
    assert_eq!(parent(&fixture), ParentSource::Told(None));
    for (text, tags) in [("12, 34", vec![12, 34]), ("none", vec![]), ("", vec![])] {
        fixture.zones(zone(manual(), json!({"meridian.dev/ds-seen": text}), json!(null)));
        let ParentSource::Told(Some(view)) = parent(&fixture) else {
            panic!("nothing told by {text:?}")
        };
        assert_eq!(view.ds.iter().map(|ds| ds.tag).collect::<Vec<_>>(), tags);
    }
    let bad = json!({"meridian.dev/ds-seen": "12, many"});
    fixture.zones(zone(manual(), bad, json!(null)));
    let problem = fixture.index.problem("DNSZone", "main").expect("told").to_string();
    assert_eq!(
        problem,
        "metadata.annotations[meridian.dev/ds-seen]: \"many\" is not the tag of a key; write tags separated by commas, \
         or none"
    );
    let rolls = json!({"meridian.dev/dnssec-roll-ksk": "monday"});
    fixture.zones(zone(
        json!({"algorithm": "ED25519", "keys": {"kskLifetimeDays": 365}}),
        rolls,
        json!(null),
    ));
    let policy = task(&fixture).expect("due").policy;
    assert_eq!((policy.algorithm, policy.secure), (Algorithm::Ed25519, true));
    assert_eq!(
        (policy.key_signing_lifetime, policy.zone_signing_lifetime),
        (365 * 86_400, 90 * 86_400)
    );
    assert_eq!(policy.requests.key_signing.as_deref(), Some("monday"));
}
