//! The octets that a signature covers (RFC 4034 section 3.1.8.1).

use meridian_dns_core::dnssec::DnsKey;
use meridian_dns_core::{DnsName, RecordSet, RecordType};

use super::validity::Validity;
use crate::octets;

/// The data of the RRSIG record without its signature, and what is signed.
pub(super) fn signed_data(set: &RecordSet, zone: &DnsName, key: &DnsKey, validity: Validity) -> (Vec<u8>, Vec<u8>) {
    let record_type = set.record_type().unwrap_or(RecordType::Any).number();
    let labels = set.name.labels().count() - usize::from(set.name.is_wildcard());
    let mut record = record_type.to_be_bytes().to_vec();
    record.extend([key.algorithm.number(), u8::try_from(labels).unwrap_or(u8::MAX)]);
    for number in [set.original_ttl, validity.expiration, validity.inception] {
        record.extend(number.to_be_bytes());
    }
    record.extend(key.tag().to_be_bytes());
    record.extend(zone.to_octets());
    let mut data: Vec<_> = set.data.iter().map(octets::write).collect();
    data.sort();
    data.dedup();
    let mut covered = record.clone();
    for octets in data {
        covered.extend(set.name.to_octets());
        covered.extend(record_type.to_be_bytes());
        covered.extend([0, 1]);
        covered.extend(set.original_ttl.to_be_bytes());
        covered.extend(u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes());
        covered.extend(octets);
    }
    (record, covered)
}
