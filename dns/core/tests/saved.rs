//! Snapshots that were saved: what comes back, and what is refused.

mod support;

use std::sync::Arc;

use meridian_dns_core::{DnsName, Saved, SavedError, Snapshot, Soa, Zone, serial};
use proptest::prelude::*;
use support::arbitrary;

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 24 * 3600 * 1000;

fn parts(zone: &Arc<Zone>) -> (DnsName, String, String, usize) {
    let mut soa = zone.soa().clone();
    soa.serial = 0;
    (
        zone.apex().clone(),
        format!(
            "{soa:?} {:?} {:?} {:?}",
            zone.name_servers(),
            zone.minimum_ttl(),
            zone.networks()
        ),
        format!("{:?} {:?} {:?}", zone.records(), zone.names(), zone.dnssec()),
        zone.len(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_snapshot_comes_back_and_no_serial_goes_back(snapshot in arbitrary::full_snapshot(), later in 0_u64..DAY) {
        let saved = Saved { as_of: NOW, snapshot };
        let octets = saved.encode().expect("it can be saved");
        let back = Saved::decode(&octets, NOW + later, DAY).expect("it is good").snapshot;
        prop_assert_eq!(back.sites(), saved.snapshot.sites());
        prop_assert!(!back.zones_known());
        let (before, after): (Vec<_>, Vec<_>) = (saved.snapshot.zones().collect(), back.zones().collect());
        prop_assert_eq!(before.len(), after.len());
        for (before, after) in before.into_iter().zip(after) {
            prop_assert_eq!(parts(before), parts(after));
            let known = before.soa().serial;
            prop_assert!(!after.complete() && (known == 0 || serial::is_newer(after.soa().serial, known)));
        }
    }

    #[test]
    fn no_octets_cause_a_panic_and_no_changed_file_is_used(
        snapshot in arbitrary::full_snapshot(),
        position in any::<prop::sample::Index>(),
        flip in 1_u8..,
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let octets = Saved { as_of: NOW, snapshot }.encode().expect("it can be saved");
        let mut changed = octets.clone();
        let position = position.index(changed.len());
        changed[position] ^= flip;
        prop_assert!(Saved::decode(&changed, NOW, DAY).is_err());
        prop_assert!(Saved::decode(&octets[..position], NOW, DAY).is_err());
        prop_assert!(Saved::decode(&noise, NOW, DAY).is_err());
        // Content that is none, under a good checksum.
        let mut forged = octets[..18].to_vec();
        forged[10..18].copy_from_slice(&(noise.len() as u64).to_be_bytes());
        forged.extend(<sha2::Sha256 as sha2::Digest>::digest(&noise));
        forged.extend(&noise);
        let _ = Saved::decode(&forged, NOW, DAY);
    }
}

#[test]
fn what_is_refused_is_refused_with_its_reason() {
    let octets = Saved {
        as_of: NOW,
        snapshot: Default::default(),
    }
    .encode()
    .expect("it can be saved");
    let check = |octets: &[u8], now: u64, expected: SavedError| {
        assert_eq!(Saved::decode(octets, now, DAY).map(drop), Err(expected));
    };
    assert!(Saved::decode(&octets, NOW + DAY, DAY).is_ok());
    let age = DAY / 1000 + 1;
    check(&octets, NOW + DAY + 1000, SavedError::TooOld { age, limit: DAY / 1000 });
    check(&octets, NOW - 600_000, SavedError::Future(600));
    check(b"", NOW, SavedError::NotASnapshot);
    check(b"$ORIGIN example.test.", NOW, SavedError::NotASnapshot);
    let mut newer = octets.clone();
    newer[9] = 3;
    check(&newer, NOW, SavedError::Version(3));
    let found = octets.len() as u64 - 51;
    check(
        &octets[..octets.len() - 1],
        NOW,
        SavedError::Length {
            expected: found + 1,
            found,
        },
    );
    let mut flipped = octets.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    check(&flipped, NOW, SavedError::Checksum);
}

#[test]
fn the_serial_of_a_stream_of_transfers_comes_back_as_it_was() {
    let apex = DnsName::parse("example.test").expect("a name");
    let soa = Soa {
        primary: apex.clone(),
        mailbox: apex.clone(),
        serial: 7,
        refresh: 1,
        retry: 1,
        expire: 1,
        minimum: 1,
    };
    let zone = Zone::new(apex.clone(), soa, Vec::new());
    for (zone, in_stream) in [(zone.clone(), false), (zone.with_serial(7), true)] {
        let snapshot = Snapshot::default().with_zone(zone);
        let octets = Saved { as_of: NOW, snapshot }.encode().expect("it can be saved");
        let back = Saved::decode(&octets, NOW, DAY).expect("it is good").snapshot;
        let zone = back.zone(&apex).expect("it was saved");
        assert_eq!((zone.in_stream(), zone.soa().serial == 7), (in_stream, in_stream));
    }
}
