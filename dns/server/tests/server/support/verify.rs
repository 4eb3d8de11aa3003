//! Signatures in a reply, checked apart from the code that makes them: RFC 4035 section 5.3 with the wire
//! library's canonical form and the keys' own verification.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use hickory_proto::rr::{RData, Record};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use meridian_dns_core::dnssec::{Algorithm, DnsKey};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

const RRSIG: u16 = 46;

/// Seconds since 1970.
pub(crate) fn now() -> u32 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u32::try_from(age.as_secs()).expect("before 2106")
}

/// Numbers of the types in a section, signatures with what they cover.
pub(crate) fn types(section: &[Record]) -> Vec<String> {
    let of = |record: &Record| {
        let number = u16::from(record.record_type());
        if number == RRSIG {
            let octets = octets(&record.data);
            format!("RRSIG {}", u16::from_be_bytes([octets[0], octets[1]]))
        } else {
            number.to_string()
        }
    };
    section.iter().map(of).collect()
}

pub(crate) fn octets(data: &RData) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_canonical_form(true);
    data.emit(&mut encoder).expect("octets");
    octets
}

/// Checks all signatures of a section by these keys, which must be the signers of all its sets; returns how
/// many there are.
pub(crate) fn verify(section: &[Record], keys: &[DnsKey], now: u32) -> usize {
    let mut sets: BTreeMap<(String, u16), Vec<&Record>> = BTreeMap::new();
    let mut signatures = Vec::new();
    for record in section {
        let owner = record.name.to_lowercase().to_string();
        match u16::from(record.record_type()) {
            RRSIG => signatures.push((owner, record)),
            number => sets.entry((owner, number)).or_default().push(record),
        }
    }
    for ((owner, number), records) in &sets {
        for key in keys {
            let found = signatures.iter().find(|(name, record)| {
                let data = octets(&record.data);
                name == owner && data[..3] == [number.to_be_bytes().as_slice(), &[key.algorithm.number()]].concat()
            });
            let (_, signature) = found.unwrap_or_else(|| panic!("no signature over {owner} {number}"));
            assert_eq!(
                signature.ttl, records[0].ttl,
                "TTL of the signature of {owner} {number}"
            );
            verify_one(&octets(&signature.data), records, key, now);
        }
    }
    signatures.len()
}

fn verify_one(rrsig: &[u8], records: &[&Record], key: &DnsKey, now: u32) {
    let number = |at: usize| u32::from_be_bytes(rrsig[at..at + 4].try_into().expect("four octets"));
    let (original_ttl, expiration, inception) = (number(4), number(8), number(12));
    assert!(inception < now && now < expiration, "{inception} {now} {expiration}");
    assert!(records[0].ttl <= original_ttl);
    assert_eq!(rrsig[16..18], key.tag().to_be_bytes());
    let (covered, signature) = rrsig.split_at(rrsig.len() - 64);
    let mut data: Vec<_> = records.iter().map(|record| octets(&record.data)).collect();
    data.sort();
    let mut message = covered.to_vec();
    for data in data {
        let mut owner = Vec::new();
        let mut encoder = BinEncoder::new(&mut owner);
        encoder.set_canonical_form(true);
        records[0].name.to_lowercase().emit(&mut encoder).expect("octets");
        message.extend(owner);
        message.extend(&rrsig[..2]);
        message.extend([0, 1]);
        message.extend(original_ttl.to_be_bytes());
        message.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        message.extend(data);
    }
    let verified = match key.algorithm {
        Algorithm::EcdsaP256 => {
            let point = [&[4], &*key.public_key].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(&message, signature)
        }
        Algorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, &key.public_key).verify(&message, signature),
    };
    assert!(verified.is_ok(), "the signature over {} is bad", records[0]);
}
