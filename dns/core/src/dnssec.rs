//! How a zone is signed: the public side, which answers are made from (RFC 4033 to 4035, RFC 7344).
//!
//! [`Dnssec`] is part of a [`crate::Zone`], so that keys, records and denials are always of one
//! version. It says which keys the zone shows and which of them sign what; it holds no secret. The
//! server has the private keys and makes the signatures, which are not records of the zone: they are
//! made when they are asked for.
//!
//! What must stay true: equal [`Dnssec`] values give equal sets, byte for byte, on every replica.

mod chain;
mod hash;
mod key;
mod nsec;
pub mod order;
mod prove;
pub mod rollover;
mod signed_data;
mod signers;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::chain::{ChainError, ChainNames, nsec_chain, nsec3_chain};
pub use self::hash::NameHash;
pub use self::key::{Algorithm, DnsKey, ds_digest};
pub use self::prove::prove;
pub use self::signed_data::{SignatureFields, SignedData, signed_data};
pub use self::signers::{Signers, signers};
use crate::record::Opaque;
use crate::{DnsName, RecordData, RecordSet, RecordType};

/// How it is proved that something does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Denial {
    /// One NSEC record that exists for the question's name alone (RFC 9824): small, one signature, and
    /// nobody can walk the zone.
    #[default]
    Compact,
    /// NSEC3 records that cover just the hash of what was asked for (RFC 7129 appendix B), without salt
    /// and further iterations (RFC 9276): three signatures, for validators that must see NXDOMAIN.
    Nsec3,
}

/// One key of a zone, and what it does now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneKey {
    /// The key.
    pub key: DnsKey,
    /// It is in the DNSKEY set.
    pub published: bool,
    /// It signs the DNSKEY, CDS and CDNSKEY sets.
    pub signs_keys: bool,
    /// It signs all other sets.
    pub signs_data: bool,
    /// The parent shall vouch for it: it has a CDS and a CDNSKEY.
    pub wants_ds: bool,
}

/// The public side of a signed zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dnssec {
    /// TTL of the DNSKEY, CDS and CDNSKEY sets, in seconds.
    pub key_ttl: u32,
    /// The keys, in any order; what is made of them is sorted.
    pub keys: Vec<ZoneKey>,
    /// How what does not exist is denied.
    pub denial: Denial,
    /// The parent shall remove every DS: the CDS and CDNSKEY sets say so, whatever keys there are (RFC 8078
    /// section 4).
    pub delete_ds: bool,
}

/// The CDS that asks for the removal of every DS (RFC 8078 section 4).
const CDS_DELETE: [u8; 5] = [0, 0, 0, 0, 0];
/// The CDNSKEY that asks for it.
const CDNSKEY_DELETE: [u8; 5] = [0, 0, 3, 0, 0];

impl Dnssec {
    /// The sets that a signed zone has at its apex besides its own: DNSKEY, CDS, CDNSKEY and, for
    /// NSEC3, NSEC3PARAM; without those that would be empty.
    pub fn apex_sets(&self, apex: &DnsName) -> Vec<RecordSet> {
        let of = |chosen: fn(&ZoneKey) -> bool, record_type, data: &dyn Fn(&DnsKey) -> Vec<u8>| {
            let keys = self.keys.iter().filter(|key| chosen(key));
            (record_type, keys.map(|key| data(&key.key)).collect::<Vec<_>>())
        };
        let mut all = vec![
            of(|key| key.published, RecordType::DNSKEY, &DnsKey::data),
            of(|key| key.wants_ds, RecordType::CDS, &|key| key.ds(apex)),
            of(|key| key.wants_ds, RecordType::CDNSKEY, &DnsKey::data),
        ];
        if self.delete_ds {
            all[1].1 = vec![CDS_DELETE.to_vec()];
            all[2].1 = vec![CDNSKEY_DELETE.to_vec()];
        }
        if self.denial == Denial::Nsec3 {
            all.push((RecordType::NSEC3PARAM, vec![nsec::PARAMETERS.to_vec()]));
        }
        let mut sets = Vec::new();
        for (record_type, mut octets) in all {
            octets.sort();
            octets.dedup();
            let data = octets.into_iter().map(|octets| {
                RecordData::Opaque(Opaque {
                    record_type,
                    octets: Arc::from(octets),
                })
            });
            let data: Vec<_> = data.collect();
            if !data.is_empty() {
                sets.push(RecordSet::new(apex.clone(), self.key_ttl, data));
            }
        }
        sets
    }

    /// The keys that sign a set of that type.
    pub fn signers(&self, record_type: RecordType) -> impl Iterator<Item = &DnsKey> {
        let of_keys = [RecordType::DNSKEY, RecordType::CDS, RecordType::CDNSKEY].contains(&record_type);
        let signs = move |key: &&ZoneKey| if of_keys { key.signs_keys } else { key.signs_data };
        self.keys.iter().filter(signs).map(|key| &key.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8, published: bool, wants_ds: bool) -> ZoneKey {
        ZoneKey {
            key: DnsKey {
                secure_entry_point: wants_ds,
                algorithm: Algorithm::Ed25519,
                public_key: Arc::from([seed; 32]),
            },
            published,
            signs_keys: wants_ds,
            signs_data: !wants_ds,
            wants_ds,
        }
    }

    #[test]
    fn the_apex_has_what_its_keys_say_and_nothing_empty() {
        let apex = DnsName::parse("example.test").expect("a name");
        let types = |dnssec: &Dnssec| -> Vec<_> {
            let sets = dnssec.apex_sets(&apex);
            sets.iter().map(|set| (set.record_type(), set.data.len())).collect()
        };
        let mut dnssec = Dnssec {
            key_ttl: 60,
            keys: vec![key(2, true, false), key(1, true, true), key(3, false, false)],
            denial: Denial::Compact,
            delete_ds: false,
        };
        let sets = [
            (Some(RecordType::DNSKEY), 2),
            (Some(RecordType::CDS), 1),
            (Some(RecordType::CDNSKEY), 1),
        ];
        assert_eq!(types(&dnssec), sets);
        let before = dnssec.apex_sets(&apex);
        dnssec.keys.reverse();
        assert_eq!(dnssec.apex_sets(&apex), before);
        assert_eq!(dnssec.signers(RecordType::DNSKEY).count(), 1);
        assert_eq!(dnssec.signers(RecordType::A).count(), 2);
        dnssec.delete_ds = true;
        assert_eq!(types(&dnssec), sets);
        let deletes = |set: &RecordSet| {
            let RecordData::Opaque(data) = &set.data[0] else {
                panic!("not of the apex: {set:?}")
            };
            data.octets.to_vec()
        };
        let octets: Vec<_> = dnssec.apex_sets(&apex)[1..].iter().map(deletes).collect();
        assert_eq!(octets, [[0, 0, 0, 0, 0], [0, 0, 3, 0, 0]]);
        dnssec.delete_ds = false;
        dnssec.keys.clear();
        dnssec.denial = Denial::Nsec3;
        assert_eq!(types(&dnssec), [(Some(RecordType::NSEC3PARAM), 1)]);
    }
}
