//! The octets that a signature covers (RFC 4034 section 3.1.8.1).
//!
//! What must stay true: the order and the number of the data of a set, and the TTL that is sent, change
//! nothing; two replicas with the same keys and times sign the same octets. A name is signed with all its
//! labels, but for the `*` of a wildcard that was asked for itself (section 3.1.3): names that a wildcard
//! stands in for are signed as if they existed, see [`super::prove`].

use super::Algorithm;
use crate::{DnsName, RecordSet};

/// Class IN.
const IN: [u8; 2] = [0, 1];

/// What a signature says of itself (RFC 4034 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureFields<'a> {
    /// The zone whose key signs.
    pub zone: &'a DnsName,
    /// The key's algorithm.
    pub algorithm: Algorithm,
    /// The key's tag.
    pub key_tag: u16,
    /// From when it is good: seconds since 1970, in the arithmetic of RFC 1982.
    pub inception: u32,
    /// Until when it is good, likewise.
    pub expiration: u32,
}

/// A signature in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedData {
    /// The data of the RRSIG record up to the signature, which is to be appended.
    pub data: Vec<u8>,
    /// What is signed.
    pub message: Vec<u8>,
}

/// The data of the RRSIG of a set, without the signature, and what is to be signed; `None` for a set
/// without data.
pub fn signed_data(set: &RecordSet, fields: &SignatureFields<'_>) -> Option<SignedData> {
    let record_type = set.record_type()?.number().to_be_bytes();
    let original_ttl = set.original_ttl.to_be_bytes();
    let labels = set.name.labels().count() - usize::from(set.name.is_wildcard());
    let mut data = record_type.to_vec();
    // A name has no more than 127 labels.
    data.extend([fields.algorithm.number(), u8::try_from(labels).unwrap_or(127)]);
    data.extend(original_ttl);
    data.extend(fields.expiration.to_be_bytes());
    data.extend(fields.inception.to_be_bytes());
    data.extend(fields.key_tag.to_be_bytes());
    data.extend(fields.zone.to_octets());

    // RFC 4034 section 6.3: ordered as octets, each once.
    let mut all: Vec<_> = set.data.iter().map(|data| data.to_octets()).collect();
    all.sort_unstable();
    all.dedup();
    let owner = set.name.to_octets();
    let mut message = data.clone();
    for octets in all {
        message.extend(&owner);
        message.extend(record_type);
        message.extend(IN);
        message.extend(original_ttl);
        // Longer data has no wire form, so none was ever read.
        message.extend(u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes());
        message.extend(octets);
    }
    Some(SignedData { data, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mx, Opaque, RecordData, RecordType};

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).expect("a name")
    }

    fn fields(zone: &DnsName) -> SignatureFields<'_> {
        SignatureFields {
            zone,
            algorithm: Algorithm::Ed25519,
            key_tag: 3613,
            inception: 1_438_207_200,
            expiration: 1_440_021_600,
        }
    }

    /// RFC 8080 section 6.1. The signature that is published there is one of these octets; the server,
    /// which can verify, has a test for it.
    #[test]
    fn fields_are_those_of_the_published_example() {
        let zone = name("example.com");
        let exchange = name("mail.example.com");
        let mx = RecordData::Mx(Mx {
            preference: 10,
            exchange,
        });
        let set = RecordSet::new(zone.clone(), 3600, vec![mx]);
        let made = signed_data(&set, &fields(&zone)).expect("a set with data");
        let zone = b"\x07example\x03com\0";
        let data = [
            &[0, 15, 15, 2, 0, 0, 0x0e, 0x10][..],
            &1_440_021_600_u32.to_be_bytes(),
            &1_438_207_200_u32.to_be_bytes(),
            &[0x0e, 0x1d],
            zone,
        ]
        .concat();
        let record = [
            &zone[..],
            &[0, 15, 0, 1, 0, 0, 0x0e, 0x10, 0, 20, 0, 10],
            b"\x04mail",
            zone,
        ]
        .concat();
        assert_eq!(made.data, data);
        assert_eq!(made.message, [data, record].concat());
    }

    #[test]
    fn order_repetition_and_the_ttl_that_is_sent_change_nothing() {
        let zone = name("example.com");
        let text = |octets: &[u8]| {
            RecordData::Opaque(Opaque {
                record_type: RecordType::TXT,
                octets: octets.into(),
            })
        };
        let (short, long, other) = (text(b"\x01a"), text(b"\x01a\x01b"), text(b"\x02\x00\x00"));
        let set = RecordSet::new(zone.clone(), 30, vec![short.clone(), long.clone(), other.clone()]);
        let mut mixed = RecordSet::new(zone.clone(), 30, vec![other, long.clone(), short, long]);
        mixed.ttl = 15;
        assert_eq!(signed_data(&set, &fields(&zone)), signed_data(&mixed, &fields(&zone)));
        mixed.original_ttl = 15;
        assert_ne!(signed_data(&set, &fields(&zone)), signed_data(&mixed, &fields(&zone)));
        mixed.data.clear();
        assert_eq!(signed_data(&mixed, &fields(&zone)), None);
    }

    #[test]
    fn labels_are_counted_without_the_root_and_the_wildcard() {
        let zone = name("example.com");
        for (owner, labels) in [
            ("example.com", 2),
            ("*.example.com", 2),
            ("a.*.example.com", 4),
            (".", 0),
        ] {
            let set = RecordSet::new(name(owner), 1, vec![RecordData::Ns(name("a"))]);
            let made = signed_data(&set, &fields(&zone)).expect("a set with data");
            assert_eq!(made.data[3], labels, "{owner}");
        }
    }
}
