//! What signatures cover, how long they are kept, and who pays.

use std::net::Ipv4Addr;
use std::time::Duration;

use meridian_dns_core::Soa;
use meridian_dns_core::dnssec::{Denial, ZoneKey};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

use super::*;

const NOW: u32 = 1_800_000_000;

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a valid name")
}

fn key(algorithm: Algorithm, secure_entry_point: bool) -> SigningKey {
    let pkcs8 = SigningKey::generate(algorithm).expect("a key");
    SigningKey::from_pkcs8(algorithm, secure_entry_point, &pkcs8).expect("the same key")
}

fn zone(keys: &[&SigningKey]) -> Zone {
    let soa = Soa {
        primary: name("ns1.example.test"),
        mailbox: name("hostmaster.example.test"),
        serial: 1,
        refresh: 1,
        retry: 1,
        expire: 1,
        minimum: 5,
    };
    let keys = keys.iter().map(|key| ZoneKey {
        key: key.public().clone(),
        published: true,
        signs_keys: key.public().secure_entry_point,
        signs_data: !key.public().secure_entry_point,
        wants_ds: false,
    });
    let dnssec = Dnssec {
        delete_ds: false,
        key_ttl: 60,
        keys: keys.collect(),
        denial: Denial::Compact,
    };
    Zone::new(name("example.test"), soa, Vec::new()).with_dnssec(Some(Arc::new(dnssec)), 2)
}

fn addresses(owner: &str, ttl: u32, hosts: &[u8]) -> RecordSet {
    let data = hosts.iter().map(|host| RecordData::A(Ipv4Addr::new(10, 0, 0, *host)));
    RecordSet::new(name(owner), ttl, data.collect())
}

fn octets(signatures: &RecordSet) -> Vec<&[u8]> {
    fn of(data: &RecordData) -> &[u8] {
        match data {
            RecordData::Opaque(opaque) => &opaque.octets,
            other => panic!("not an RRSIG: {other}"),
        }
    }
    signatures.data.iter().map(of).collect()
}

#[test]
fn every_key_that_the_zone_names_signs_and_verifies() {
    let (first, second) = (key(Algorithm::EcdsaP256, false), key(Algorithm::Ed25519, false));
    let zone = zone(&[&first, &second]);
    let keys = [first.public().clone(), second.public().clone()];
    let signer = Signer::default();
    signer.install(zone.apex(), vec![second, first]);
    let mut set = addresses("web.example.test", 30, &[2, 1]);
    set.ttl = 15;
    let signed = signer.sign(&zone, &set, NOW).expect("signatures");
    assert_eq!((signed.ttl, signed.data.len()), (15, 2));
    for (key, record) in keys.iter().zip(octets(&signed)) {
        // Fixed fields, then the signer's name, then the signature.
        let (covered, signature) = record.split_at(record.len() - 64);
        assert_eq!(covered[..8], [0, 1, key.algorithm.number(), 3, 0, 0, 0, 30]);
        let mut message = covered.to_vec();
        for host in [1, 2] {
            message.extend(b"\x03web\x07example\x04test\0\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\0\0");
            message.push(host);
        }
        let verified = match key.algorithm {
            Algorithm::EcdsaP256 => {
                let point = [&[4], &*key.public_key].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(&message, signature)
            }
            Algorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, &key.public_key).verify(&message, signature),
        };
        assert!(verified.is_ok(), "{}", key.algorithm);
    }
}

#[test]
fn a_signature_is_kept_by_what_it_covers() {
    let (zsk, other) = (key(Algorithm::EcdsaP256, false), key(Algorithm::EcdsaP256, false));
    let zone_before = zone(&[&zsk]);
    let zone_after = zone(&[&other]);
    let signer = Signer::default();
    signer.install(zone_before.apex(), vec![zsk, other]);
    let set = addresses("web.example.test", 30, &[1, 2]);
    // ECDSA gives another signature each time, so equal ones are the same one.
    let sign = |zone: &Zone, set: &RecordSet, now| signer.sign(zone, set, now).expect("signatures").data;
    let first = sign(&zone_before, &set, NOW);
    let lowered = RecordSet { ttl: 15, ..set.clone() };
    for (what, zone, set, now, same) in [
        ("again", &zone_before, set.clone(), NOW, true),
        ("a lower TTL is sent", &zone_before, lowered, NOW, true),
        (
            "another order",
            &zone_before,
            addresses("web.example.test", 30, &[2, 1]),
            NOW,
            true,
        ),
        (
            "four days later",
            &zone_before,
            set.clone(),
            NOW + 4 * 86_400 - 3600,
            true,
        ),
        (
            "another TTL",
            &zone_before,
            addresses("web.example.test", 31, &[1, 2]),
            NOW,
            false,
        ),
        (
            "another name",
            &zone_before,
            addresses("a.example.test", 30, &[1, 2]),
            NOW,
            false,
        ),
        (
            "other data",
            &zone_before,
            addresses("web.example.test", 30, &[1]),
            NOW,
            false,
        ),
        ("another key", &zone_after, set.clone(), NOW, false),
        ("an older clock", &zone_before, set.clone(), NOW - 86_400, false),
    ] {
        assert_eq!(sign(zone, &set, now) == first, same, "{what}");
    }
    // The older clock's has taken its place, and is as good.
    assert_ne!(sign(&zone_before, &set, NOW), first);
    let last = sign(&zone_before, &set, NOW);
    assert_ne!(sign(&zone_before, &set, NOW + 6 * 86_400), last, "six days later");
}

#[test]
fn a_set_that_cannot_be_signed_whole_is_an_error() {
    let (zsk, absent) = (key(Algorithm::EcdsaP256, false), key(Algorithm::Ed25519, false));
    let zone_of_both = zone(&[&zsk, &absent]);
    let apex = zone_of_both.apex().clone();
    let signer = Signer::default();
    let set = addresses("web.example.test", 30, &[1]);
    let alone = zone(&[&zsk]);
    signer.install(&apex, vec![zsk]);
    let no_key = SignError::NoPrivateKey {
        zone: apex.clone(),
        tag: absent.public().tag(),
        algorithm: Algorithm::Ed25519,
    };
    assert_eq!(signer.sign(&zone_of_both, &set, NOW), Err(no_key));
    let dnssec = zone_of_both.dnssec().expect("signed");
    assert_eq!(signer.missing(&apex, dnssec), [absent.public().clone()]);
    let keys = &alone.dnssec().expect("signed").apex_sets(&apex)[0];
    let no_signer = SignError::NoSigner {
        zone: apex.clone(),
        record_type: RecordType::DNSKEY,
    };
    assert_eq!(signer.sign(&alone, keys, NOW), Err(no_signer));
    let unsigned = SignError::Unsigned { zone: apex.clone() };
    assert_eq!(signer.sign(&alone.with_dnssec(None, 3), &set, NOW), Err(unsigned));
    assert!(signer.sign(&alone, &set, NOW).is_ok());
    signer.remove(&apex);
    assert!(signer.sign(&alone, &set, NOW).is_err());
}

#[test]
fn new_signatures_are_paid_for_and_kept_ones_are_not() {
    let zsk = key(Algorithm::Ed25519, false);
    let zone = zone(&[&zsk]);
    let signer = Signer::default();
    signer.install(zone.apex(), vec![zsk]);
    let limits = SigningLimits {
        network: 3,
        all: 0,
        burst: 1,
    };
    let sign = |host: u8| {
        let mut payer = Payer::Client {
            limits: &limits,
            client: [192, 0, 2, 1].into(),
            now: Duration::ZERO,
        };
        let set = addresses("web.example.test", 30, &[host]);
        signer.sign_for(&zone, &set, NOW, Use::Serve, &mut payer).map(|_| ())
    };
    let over = Err(SignError::OverBudget);
    assert_eq!([1, 2, 3, 4].map(sign), [Ok(()), Ok(()), Ok(()), over.clone()]);
    assert_eq!([1, 2, 3, 5].map(sign), [Ok(()), Ok(()), Ok(()), over]);
}

#[test]
fn memory_is_bounded_and_what_is_asked_for_often_stays() {
    let zsk = key(Algorithm::EcdsaP256, false);
    let zone = zone(&[&zsk]);
    // Room for about a hundred.
    let signer = Signer::with_cache(30_000);
    signer.install(zone.apex(), vec![zsk]);
    let hot = addresses("web.example.test", 30, &[1]);
    let sign = |set: &RecordSet| signer.sign(&zone, set, NOW).expect("signatures");
    let first = sign(&hot);
    let mut again = 0;
    for number in 0..1000 {
        sign(&addresses(&format!("x{number}.example.test"), 30, &[1]));
        again += u32::from(sign(&hot) != first);
    }
    signer.0.kept.run_pending_tasks();
    assert!(signer.0.kept.weighted_size() <= 30_000);
    assert_eq!(again, 0);
}
