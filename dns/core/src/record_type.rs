//! Record types by their IANA numbers.
//!
//! A type has a variant here if an answer depends on it; every other type is a number, whose data is
//! carried without being understood (RFC 3597). What must stay true: one number is one value. Use
//! [`RecordType::from`] for a number from outside, never [`RecordType::Other`] with the number of a
//! variant.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A record type, or a type that only a question can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "u16", into = "u16")]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// Name server.
    Ns,
    /// Alias.
    Cname,
    /// Start of authority.
    Soa,
    /// Mail exchange.
    Mx,
    /// IPv6 address.
    Aaaa,
    /// Service location, RFC 2782.
    Srv,
    /// Alias of everything below a name, RFC 6672.
    Dname,
    /// Delegation signer, RFC 4034 section 5: the parent's, although it has the child's name.
    Ds,
    /// Service binding, RFC 9460.
    Svcb,
    /// Service binding for HTTPS, RFC 9460.
    Https,
    /// All types; answered with one set (RFC 8482).
    Any,
    /// A type without meaning here, by its number.
    Other(u16),
}

/// The types with a variant of their own.
const KNOWN: [RecordType; 12] = [
    RecordType::A,
    RecordType::Ns,
    RecordType::Cname,
    RecordType::Soa,
    RecordType::Mx,
    RecordType::Aaaa,
    RecordType::Srv,
    RecordType::Dname,
    RecordType::Ds,
    RecordType::Svcb,
    RecordType::Https,
    RecordType::Any,
];

/// Mnemonics of types that are common in zones and mean nothing here.
const MNEMONICS: [(u16, &str); 21] = [
    (12, "PTR"),
    (13, "HINFO"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (29, "LOC"),
    (35, "NAPTR"),
    (37, "CERT"),
    (44, "SSHFP"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (256, "URI"),
    (257, "CAA"),
];

impl RecordType {
    /// Text (RFC 1035 section 3.3.14).
    pub const TXT: Self = Self::Other(16);
    /// Signature over a set (RFC 4034 section 3).
    pub const RRSIG: Self = Self::Other(46);
    /// Denial of existence by names (RFC 4034 section 4).
    pub const NSEC: Self = Self::Other(47);
    /// Public key of a zone (RFC 4034 section 2).
    pub const DNSKEY: Self = Self::Other(48);
    /// Denial of existence by hashes of names (RFC 5155 section 3).
    pub const NSEC3: Self = Self::Other(50);
    /// How those hashes are made (RFC 5155 section 4).
    pub const NSEC3PARAM: Self = Self::Other(51);
    /// The DS that the child wants its parent to have (RFC 7344).
    pub const CDS: Self = Self::Other(59);
    /// The key that the child wants its parent to vouch for (RFC 7344).
    pub const CDNSKEY: Self = Self::Other(60);
    /// In a compact denial: the name does not exist (RFC 9824 section 2).
    pub const NXNAME: Self = Self::Other(128);

    /// The IANA number of the type.
    pub const fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Ns => 2,
            Self::Cname => 5,
            Self::Soa => 6,
            Self::Mx => 15,
            Self::Aaaa => 28,
            Self::Srv => 33,
            Self::Dname => 39,
            Self::Ds => 43,
            Self::Svcb => 64,
            Self::Https => 65,
            Self::Any => 255,
            Self::Other(number) => number,
        }
    }

    /// The type of that mnemonic, such as `AAAA`, or of the form `TYPE1234` (RFC 3597 section 5),
    /// without regard to case.
    pub fn from_mnemonic(text: &str) -> Option<Self> {
        let text = text.to_ascii_uppercase();
        let known = KNOWN.into_iter().find(|known| known.to_string() == text);
        let other = || MNEMONICS.iter().find(|(_, mnemonic)| *mnemonic == text);
        let number = || text.strip_prefix("TYPE")?.parse::<u16>().ok().map(Self::from);
        known
            .or_else(|| other().map(|(number, _)| Self::Other(*number)))
            .or_else(number)
    }

    /// True for a type that no record of a zone has: 0, and those of questions and of the transport
    /// (128 to 255, RFC 6895 section 3.1, and OPT).
    pub const fn is_meta(self) -> bool {
        matches!(self.number(), 0 | 41 | 128..=255)
    }
}

impl From<RecordType> for u16 {
    fn from(record_type: RecordType) -> Self {
        record_type.number()
    }
}

impl From<u16> for RecordType {
    fn from(number: u16) -> Self {
        KNOWN
            .into_iter()
            .find(|known| known.number() == number)
            .unwrap_or(Self::Other(number))
    }
}

impl Ord for RecordType {
    /// By number, as in a type bitmap (RFC 4034 section 4.1.2).
    fn cmp(&self, other: &Self) -> Ordering {
        self.number().cmp(&other.number())
    }
}

impl PartialOrd for RecordType {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Ns => "NS",
            Self::Cname => "CNAME",
            Self::Soa => "SOA",
            Self::Mx => "MX",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
            Self::Dname => "DNAME",
            Self::Ds => "DS",
            Self::Svcb => "SVCB",
            Self::Https => "HTTPS",
            Self::Any => "ANY",
            Self::Other(number) => match MNEMONICS.iter().find(|(known, _)| known == number) {
                Some((_, mnemonic)) => mnemonic,
                None => return write!(f, "TYPE{number}"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_value_and_its_text_leads_back_to_it() {
        for number in 0..=u16::MAX {
            let record_type = RecordType::from(number);
            assert_eq!(record_type.number(), number);
            if number < 300 {
                assert_eq!(RecordType::from_mnemonic(&record_type.to_string()), Some(record_type));
            }
        }
        assert_eq!(RecordType::from_mnemonic("type28"), Some(RecordType::Aaaa));
        assert_eq!(RecordType::from_mnemonic("TYPE65536"), None);
        assert_eq!(RecordType::from_mnemonic("nonsense"), None);
    }

    #[test]
    fn types_are_ordered_by_number() {
        let mut types = [
            RecordType::Other(16),
            RecordType::Https,
            RecordType::Aaaa,
            RecordType::A,
        ];
        types.sort();
        assert_eq!(
            types,
            [
                RecordType::A,
                RecordType::Other(16),
                RecordType::Aaaa,
                RecordType::Https
            ]
        );
    }
}
