//! Public keys as records: DNSKEY, its tag, and its DS (RFC 4034 sections 2 and 5, appendix B).

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::DnsName;

/// DNSKEY flags: this is a key of a zone (RFC 4034 section 2.1.1).
const ZONE_KEY: u16 = 0x0100;
/// DNSKEY flags: the parent vouches for it (RFC 3757).
const SECURE_ENTRY_POINT: u16 = 0x0001;
/// The only value of the protocol field (RFC 4034 section 2.1.2).
const PROTOCOL: u8 = 3;
/// Digest type of a DS: SHA-256 (RFC 4509).
const SHA_256: u8 = 2;

/// What keys sign with. The two that RFC 8624 recommends for new zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 6605): every validator knows it.
    #[default]
    EcdsaP256,
    /// Ed25519 (RFC 8080): smaller to verify, the same signature each time.
    Ed25519,
}

impl Algorithm {
    /// The IANA number.
    pub const fn number(self) -> u8 {
        match self {
            Self::EcdsaP256 => 13,
            Self::Ed25519 => 15,
        }
    }
}

impl fmt::Display for Algorithm {
    /// The IANA mnemonic.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSAP256SHA256",
            Self::Ed25519 => "ED25519",
        })
    }
}

/// A public key of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DnsKey {
    /// The SEP flag: a key-signing key (flags 257 instead of 256).
    pub secure_entry_point: bool,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// The key as in a DNSKEY record: 64 octets for P-256 (both coordinates), 32 for Ed25519.
    pub public_key: Arc<[u8]>,
}

impl DnsKey {
    /// The data of its DNSKEY record.
    pub fn data(&self) -> Vec<u8> {
        let flags = if self.secure_entry_point {
            ZONE_KEY | SECURE_ENTRY_POINT
        } else {
            ZONE_KEY
        };
        let mut data = flags.to_be_bytes().to_vec();
        data.extend([PROTOCOL, self.algorithm.number()]);
        data.extend(&*self.public_key);
        data
    }

    /// The key tag (RFC 4034 appendix B): a short hint which key made a signature. Two keys may share it.
    pub fn tag(&self) -> u16 {
        let sum = self.data().chunks(2).fold(0_u32, |sum, pair| {
            let high = u32::from(pair[0]) << 8;
            sum + high + pair.get(1).map_or(0, |low| u32::from(*low))
        });
        (sum.wrapping_add(sum >> 16) & 0xffff) as u16
    }

    /// The data of its DS record with digest SHA-256.
    pub fn ds(&self, owner: &DnsName) -> Vec<u8> {
        let mut data = self.tag().to_be_bytes().to_vec();
        data.extend([self.algorithm.number(), SHA_256]);
        data.extend(ds_digest(owner, &self.data()));
        data
    }

    /// Its DNSKEY record as a line of a zone file, for trust anchors.
    pub fn dnskey_line(&self, owner: &DnsName) -> String {
        let owner = owner.as_str().trim_end_matches('.');
        let flags = if self.secure_entry_point { 257 } else { 256 };
        let (algorithm, key) = (self.algorithm.number(), BASE64.encode(&self.public_key));
        format!("{owner}. IN DNSKEY {flags} {PROTOCOL} {algorithm} {key}")
    }

    /// Its DS record as a line of a zone file, which registrars and parents take.
    pub fn ds_line(&self, owner: &DnsName) -> String {
        let digest = ds_digest(owner, &self.data());
        let hex: String = digest.iter().map(|octet| format!("{octet:02X}")).collect();
        let owner = owner.as_str().trim_end_matches('.');
        format!(
            "{owner}. IN DS {} {} {SHA_256} {hex}",
            self.tag(),
            self.algorithm.number()
        )
    }
}

/// SHA-256 over a name and the data of its DNSKEY (RFC 4034 section 5.1.4).
pub fn ds_digest(owner: &DnsName, key: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(owner.to_octets());
    digest.update(key);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// RFC 6605 section 6.1 and RFC 8080 section 6.1.
    #[test]
    fn tags_and_digests_are_those_of_the_published_examples() {
        for (algorithm, owner, key, tag, digest) in [
            (
                Algorithm::EcdsaP256,
                "example.net",
                "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
                55_648,
                "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17",
            ),
            (
                Algorithm::Ed25519,
                "example.com",
                "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
                3613,
                "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b",
            ),
        ] {
            let text = key;
            let key = DnsKey {
                secure_entry_point: true,
                algorithm,
                public_key: BASE64.decode(key.as_bytes()).expect("base 64").into(),
            };
            let owner = DnsName::parse(owner).expect("a name");
            assert_eq!(key.tag(), tag);
            assert_eq!(HEXLOWER.encode(&ds_digest(&owner, &key.data())), digest);
            let line = format!("{owner} IN DS {tag} {} 2 {}", algorithm.number(), digest.to_uppercase());
            assert_eq!(key.ds_line(&owner), line);
            let line = format!("{owner} IN DNSKEY 257 3 {} {text}", algorithm.number());
            assert_eq!(key.dnskey_line(&owner), line);
            assert_eq!(
                key.ds(&owner)[..4],
                [tag.to_be_bytes()[0], tag.to_be_bytes()[1], algorithm.number(), 2]
            );
        }
    }
}
