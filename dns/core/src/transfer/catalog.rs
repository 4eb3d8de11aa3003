//! Catalog zones (RFC 9432): the list of our zones, as a zone that secondaries configure themselves from.
//!
//! What must stay true: a member's label is the same in every version of the catalog, on every replica and
//! after every restart: a secondary takes another label for another zone and forgets what it has (section
//! 5.4). It is therefore made of the zone's name alone. Refused: the UID of the `DNSZone`. An object that
//! is deleted and made again is the same zone with a newer serial, and nothing is to be forgotten.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{DnsName, NameError, Opaque, RecordData, RecordSet, RecordType};

/// Seconds; only secondaries look, and they are notified.
const TTL: u32 = 0;

/// PTR.
const PTR: RecordType = RecordType::Other(12);

/// The records of a catalog zone of that name, besides its SOA: NS, version and members (section 4). An
/// error means that the catalog's name is too long for the labels below it.
pub fn catalog_records<'a>(
    name: &DnsName,
    members: impl IntoIterator<Item = &'a DnsName>,
) -> Result<Vec<RecordSet>, NameError> {
    let opaque = |record_type, octets: Vec<u8>| {
        let octets = Arc::from(octets);
        RecordData::Opaque(Opaque { record_type, octets })
    };
    let version = RecordSet::new(
        name.prepend("version")?,
        TTL,
        vec![opaque(RecordType::TXT, b"\x012".to_vec())],
    );
    let mut sets = vec![version];
    for member in members {
        let label = name.prepend(&format!("{}.zones", unique(member)))?;
        sets.push(RecordSet::new(label, TTL, vec![opaque(PTR, member.to_octets())]));
    }
    Ok(sets)
}

/// The label of a member zone: 128 bits of a digest of its name.
fn unique(member: &DnsName) -> String {
    let digest = Sha256::digest(member.to_octets());
    digest.iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}
