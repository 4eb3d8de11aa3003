//! Who is given which zone, and when there is a new version of it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use meridian_dns_core::transfer::{Journal, RoutedNames};
use meridian_dns_core::{DnsName, RecordData, RecordSet, Snapshot, Soa, StaticRecords, Zone};
use meridian_federation_core::transfer::{
    NextVersion, NotifyTarget, SecretRef, StreamState, Streams, TransferAlgorithm, TransferAllowed, TransferKey,
    TransferPolicy, VersionInput, earliest_version, next_version, transfer_condition,
};
use meridian_federation_core::{ConditionStatus, Timestamp};

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a name")
}

fn key(secret: &str) -> TransferKey {
    TransferKey {
        algorithm: TransferAlgorithm::HmacSha256,
        secret: SecretRef {
            namespace: "dns".to_owned(),
            name: secret.to_owned(),
            key: "secret".to_owned(),
        },
    }
}

fn policy(key_name: &str, secret: &str, catalog: Option<&str>) -> TransferPolicy {
    TransferPolicy {
        allow: vec![TransferAllowed {
            networks: Vec::new(),
            key: Some(name(key_name)),
        }],
        notify: vec![NotifyTarget {
            address: ([192, 0, 2, 7], 53).into(),
            key: Some(name(key_name)),
        }],
        keys: [(name(key_name), key(secret))].into(),
        routed: RoutedNames::AllHealthy,
        catalog: catalog.map(name),
    }
}

fn streams(zones: &[(&str, Option<TransferPolicy>)]) -> Streams {
    let zones: Vec<_> = zones.iter().map(|(zone, policy)| (name(zone), policy)).collect();
    Streams::of(zones.iter().map(|(zone, policy)| (zone, policy.as_ref())))
}

/// Zone, number of entries, and the reasons of its problems.
fn essence(streams: &Streams) -> Vec<(String, usize, Vec<&'static str>)> {
    let each = |(zone, stream): (&DnsName, &meridian_federation_core::transfer::Stream)| {
        assert_eq!(stream.allow.len(), stream.notify.len(), "{zone}");
        let reasons = stream.problems.iter().map(|problem| problem.reason()).collect();
        (zone.as_str().to_owned(), stream.allow.len(), reasons)
    };
    streams.zones.iter().map(each).collect()
}

#[test]
fn one_name_of_a_key_is_one_key_and_a_catalog_is_for_those_who_may_have_a_member() {
    for (zones, expected) in [
        (vec![("a.test", None)], vec![]),
        // The same key in both.
        (
            vec![
                ("a.test", Some(policy("k", "one", None))),
                ("b.test", Some(policy("k", "one", None))),
            ],
            vec![("a.test", 1, vec![]), ("b.test", 1, vec![])],
        ),
        (
            vec![
                ("a.test", Some(policy("k", "one", None))),
                ("b.test", Some(policy("k", "two", None))),
            ],
            vec![("a.test", 1, vec![]), ("b.test", 0, vec!["KeyTaken"])],
        ),
        (
            vec![
                ("a.test", Some(policy("k", "one", Some("c.test")))),
                ("b.test", Some(policy("l", "two", Some("c.test")))),
                ("d.test", Some(policy("k", "one", Some("c.test")))),
            ],
            vec![
                ("a.test", 1, vec![]),
                ("b.test", 1, vec![]),
                ("c.test", 2, vec![]),
                ("d.test", 1, vec![]),
            ],
        ),
        (
            vec![("a.test", Some(policy("k", "one", Some("b.test")))), ("b.test", None)],
            vec![("a.test", 1, vec!["CatalogTaken"])],
        ),
    ] {
        let found = essence(&streams(&zones));
        let found: Vec<_> = found
            .iter()
            .map(|(zone, count, reasons)| (zone.as_str(), *count, reasons.clone()))
            .collect();
        assert_eq!(found, expected);
    }
    let long = format!("{}.test", "a.".repeat(110).trim_end_matches('.'));
    let found = essence(&streams(&[("a.test", Some(policy("k", "one", Some(&long))))]));
    assert_eq!(found, [("a.test".to_owned(), 1, vec!["CatalogName"])]);
}

#[test]
fn a_key_that_cannot_be_used_takes_what_needs_it_and_nothing_else() {
    let mut open = policy("k", "one", Some("c.test"));
    open.allow.push(TransferAllowed {
        networks: vec!["192.0.2.0/24".parse().expect("a network")],
        key: None,
    });
    let all = streams(&[("a.test", Some(open)), ("b.test", Some(policy("l", "two", None)))]);
    let left = all.without(&BTreeMap::from([(name("k"), "Secret dns/one is not there".to_owned())]));
    assert_eq!(left.keys.keys().collect::<Vec<_>>(), [&name("l")]);
    let a = &left.zones[&name("a.test")];
    assert_eq!((a.allow.len(), a.notify.len()), (1, 0), "the network is left");
    assert_eq!(
        (
            left.zones[&name("c.test")].allow.len(),
            left.zones[&name("b.test")].allow.len()
        ),
        (1, 1)
    );
    let state = StreamState {
        serial: Some(1),
        problems: a.problems.clone(),
    };
    let condition = transfer_condition(Some(&state));
    assert_eq!(
        (condition.status, &*condition.reason),
        (ConditionStatus::False, "KeyUnusable")
    );
    assert!(
        condition.message.contains("Secret dns/one is not there"),
        "{}",
        condition.message
    );
}

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn snapshot(serial: u32, address: u8, complete: bool) -> Snapshot {
    let apex = name("a.test");
    let soa = Soa {
        primary: name("ns.a.test"),
        mailbox: name("x.a.test"),
        serial,
        refresh: 1,
        retry: 1,
        expire: 1,
        minimum: 1,
    };
    let set = RecordSet::new(name("w.a.test"), 30, vec![RecordData::A([192, 0, 2, address].into())]);
    let records = StaticRecords::new(&apex, [set]).expect("records");
    let zone = Zone::new(apex, soa, Vec::new()).with_records(Arc::new(records), serial);
    Snapshot::default().with_zone(zone.with_complete(complete))
}

fn next(snapshot: &Snapshot, before: Option<&Journal>, now: Timestamp) -> NextVersion {
    let input = VersionInput {
        snapshot,
        apex: &name("a.test"),
        routed: &RoutedNames::AllHealthy,
        before,
        now,
    };
    next_version::<Infallible>(&input, |_| unreachable!("not signed")).expect("nothing is signed")
}

fn stored(next: NextVersion) -> Journal {
    match next {
        NextVersion::Store(journal) => *journal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_version_is_made_of_each_new_content_and_its_serial_never_goes_back() {
    let seconds = 1_700_000_000;
    assert_eq!(
        next(&snapshot(0, 1, false), None, NOW),
        NextVersion::Nothing,
        "not complete"
    );
    assert_eq!(
        next(&Snapshot::default(), None, NOW),
        NextVersion::Nothing,
        "no such zone"
    );
    let first = stored(next(&snapshot(0, 1, true), None, NOW));
    assert_eq!(first.serial(), seconds);
    assert_eq!(
        next(&snapshot(seconds, 1, true), Some(&first), Timestamp(NOW.0 + 5000)),
        NextVersion::Nothing
    );
    let early = next(&snapshot(seconds, 2, true), Some(&first), Timestamp(NOW.0 + 400));
    assert_eq!(early, NextVersion::Wait(Timestamp(NOW.0 + 1000)));
    let second = stored(next(&snapshot(seconds, 2, true), Some(&first), Timestamp(NOW.0 + 5000)));
    assert_eq!(second.serial(), seconds + 5);
    // A clock that was set back.
    let third = stored(next(
        &snapshot(seconds + 5, 3, true),
        Some(&second),
        Timestamp(NOW.0 - 60_000),
    ));
    assert_eq!(third.serial(), seconds + 6);
    // What was stored is lost, or older than what is shown.
    for before in [None, Some(&first)] {
        let after = stored(next(&snapshot(seconds + 100, 1, true), before, NOW));
        assert_eq!(after.serial(), seconds + 101);
    }
}

#[test]
fn a_large_zone_has_fewer_versions() {
    assert_eq!(earliest_version(NOW, 0), Timestamp(NOW.0 + 1000));
    assert_eq!(earliest_version(NOW, 1 << 20), Timestamp(NOW.0 + 3000));
}
