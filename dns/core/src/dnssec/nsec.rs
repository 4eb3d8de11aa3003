//! The data of NSEC and NSEC3 records (RFC 4034 section 4, RFC 5155 section 3): the one writer of them.

use std::sync::Arc;

use super::hash::NameHash;
use crate::record::Opaque;
use crate::{DnsName, RecordData, RecordSet, RecordType};

/// Hash algorithm SHA-1, no flags (so no opt-out), no further iterations, no salt: the only parameters
/// that RFC 9276 section 3.1 leaves, as they begin NSEC3 and NSEC3PARAM data.
pub(super) const PARAMETERS: [u8; 5] = [1, 0, 0, 0, 0];

/// Octets of a SHA-1 hash, as written before it.
const HASH_LENGTH: u8 = 20;

/// The NSEC set of a name: the types that it has, and the name that comes next.
pub(super) fn nsec(owner: DnsName, ttl: u32, next: &DnsName, types: &[RecordType]) -> RecordSet {
    let mut data = next.to_octets();
    data.extend(bitmap(types));
    opaque(owner, ttl, RecordType::NSEC, data)
}

/// The NSEC3 set of a hashed name: the types that the name has, and the hash that comes next.
pub(super) fn nsec3(owner: DnsName, ttl: u32, next: NameHash, types: &[RecordType]) -> RecordSet {
    let mut data = PARAMETERS.to_vec();
    data.push(HASH_LENGTH);
    data.extend(next.octets());
    data.extend(bitmap(types));
    opaque(owner, ttl, RecordType::NSEC3, data)
}

/// What an NSEC shows of a name that has these types. It is itself there, and signed (RFC 4034 section
/// 4.1.2).
pub(super) fn nsec_types(zone: &DnsName, name: &DnsName, types: &[RecordType]) -> Vec<RecordType> {
    let own = own_types(zone, name, types);
    own.chain([RecordType::RRSIG, RecordType::NSEC]).collect()
}

/// What an NSEC3 shows of a name that has these types: RRSIG only where something is signed (RFC 5155
/// section 7.1 step 2). At a delegation only a DS is, at an empty non-terminal nothing.
pub(super) fn nsec3_types(zone: &DnsName, name: &DnsName, types: &[RecordType]) -> Vec<RecordType> {
    let mut own: Vec<_> = own_types(zone, name, types).collect();
    let is_cut = delegates(zone, name, types);
    if own.iter().any(|one| !is_cut || *one == RecordType::Ds) {
        own.push(RecordType::RRSIG);
    }
    own
}

/// Whether a name of the zone that has these types is a delegation.
pub(super) fn delegates(zone: &DnsName, name: &DnsName, types: &[RecordType]) -> bool {
    name != zone && types.contains(&RecordType::Ns)
}

/// Of a delegation NS and DS; all else there is the child's (RFC 4034 section 4.1.2).
fn own_types(zone: &DnsName, name: &DnsName, types: &[RecordType]) -> impl Iterator<Item = RecordType> {
    let is_cut = delegates(zone, name, types);
    let ours = move |one: &RecordType| !is_cut || [RecordType::Ns, RecordType::Ds].contains(one);
    types.iter().copied().filter(ours)
}

fn opaque(owner: DnsName, ttl: u32, record_type: RecordType, octets: Vec<u8>) -> RecordSet {
    let octets = Arc::from(octets);
    RecordSet::new(owner, ttl, vec![RecordData::Opaque(Opaque { record_type, octets })])
}

/// A type bitmap (RFC 4034 section 4.1.2): for each window of 256 types that has one, its number, a
/// length, and one bit a type, without zero octets at the end. The types may come in any order.
fn bitmap(types: &[RecordType]) -> Vec<u8> {
    let mut numbers: Vec<u16> = types.iter().map(|record_type| record_type.number()).collect();
    numbers.sort_unstable();
    let mut octets = Vec::new();
    for window in numbers.chunk_by(|one, next| one >> 8 == next >> 8) {
        let mut bits = Vec::new();
        for number in window {
            let [_, low] = number.to_be_bytes();
            bits.resize(usize::from(low / 8) + 1, 0_u8);
            if let Some(last) = bits.last_mut() {
                *last |= 0x80 >> (low % 8);
            }
        }
        let [high, _] = window[0].to_be_bytes();
        // At most 32.
        octets.extend([high, u8::try_from(bits.len()).unwrap_or(32)]);
        octets.extend(bits);
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4034 section 4.3.
    #[test]
    fn data_is_that_of_the_published_example() {
        let name = |text| DnsName::parse(text).expect("a name");
        let types = [
            RecordType::Other(1234),
            RecordType::A,
            RecordType::NSEC,
            RecordType::Mx,
            RecordType::RRSIG,
        ];
        let set = nsec(name("alfa.example.com"), 86400, &name("host.example.com"), &types);
        let RecordData::Opaque(opaque) = &set.data[0] else {
            panic!("octets");
        };
        let mut expected = b"\x04host\x07example\x03com\x00\x00\x06\x40\x01\x00\x00\x00\x03\x04\x1b".to_vec();
        expected.extend([0; 26]);
        expected.push(0x20);
        assert_eq!(*opaque.octets, *expected);
    }

    #[test]
    fn a_bitmap_has_the_windows_and_octets_that_it_needs() {
        for (types, expected) in [
            (&[][..], &[][..]),
            (&[RecordType::A], &[0, 1, 0x40]),
            (&[RecordType::A, RecordType::A], &[0, 1, 0x40]),
            (
                &[RecordType::NXNAME],
                &[0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80],
            ),
            (&[RecordType::Other(257), RecordType::Ns], &[0, 1, 0x20, 1, 1, 0x40]),
            (&[RecordType::Other(0xff00)], &[0xff, 1, 0x80]),
        ] {
            assert_eq!(bitmap(types), expected, "{types:?}");
        }
        assert_eq!(bitmap(&[RecordType::Other(u16::MAX)])[..2], [0xff, 32]);
    }
}
