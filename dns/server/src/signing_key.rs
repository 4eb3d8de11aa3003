//! Private keys of zones: made, read and signed with.
//!
//! What must stay true: the octets of a private key are in no message, log line or `Debug` text; the
//! form that is stored is PKCS #8 (RFC 5958), which other tools read too. Which key signs what and when
//! keys change is decided in `dns-core`.

use std::fmt;
use std::sync::Arc;

use meridian_dns_core::dnssec::{Algorithm, DnsKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// The system has no randomness to give.
    #[error("the system gave no random numbers for a new key")]
    NoRandomness,
    /// The octets are not such a key.
    #[error("not a private key for {algorithm} in PKCS #8 form: {reason}")]
    Malformed {
        /// What it should be a key for.
        algorithm: Algorithm,
        /// What is wrong with it.
        reason: String,
    },
}

/// A private key and its public side.
pub struct SigningKey {
    public: DnsKey,
    pair: Pair,
    random: SystemRandom,
}

enum Pair {
    EcdsaP256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Makes a new key and returns it as PKCS #8; read it with [`SigningKey::from_pkcs8`]. Who gets the
    /// octets keeps them where only the server can read them.
    pub fn generate(algorithm: Algorithm) -> Result<Vec<u8>, SigningKeyError> {
        let random = SystemRandom::new();
        let made = match algorithm {
            Algorithm::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        };
        let made = made.map_err(|_| SigningKeyError::NoRandomness)?;
        Ok(made.as_ref().to_vec())
    }

    /// Reads a key.
    pub fn from_pkcs8(algorithm: Algorithm, secure_entry_point: bool, pkcs8: &[u8]) -> Result<Self, SigningKeyError> {
        let random = SystemRandom::new();
        let malformed = |error: ring::error::KeyRejected| SigningKeyError::Malformed {
            algorithm,
            reason: error.to_string(),
        };
        let (pair, public_key): (_, Arc<[u8]>) = match algorithm {
            Algorithm::EcdsaP256 => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).map_err(malformed)?;
                // An uncompressed point has an octet in front that says so; a DNSKEY has not (RFC 6605 section 4).
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default().into();
                (Pair::EcdsaP256(pair), point)
            }
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(malformed)?;
                let point = pair.public_key().as_ref().into();
                (Pair::Ed25519(pair), point)
            }
        };
        let public = DnsKey {
            secure_entry_point,
            algorithm,
            public_key,
        };
        Ok(Self { public, pair, random })
    }

    /// The public side.
    pub fn public(&self) -> &DnsKey {
        &self.public
    }

    /// The signature over these octets, in the form of an RRSIG record: 64 octets for both algorithms.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningKeyError> {
        Ok(match &self.pair {
            Pair::EcdsaP256(pair) => {
                let signature = pair.sign(&self.random, message);
                signature.map_err(|_| SigningKeyError::NoRandomness)?.as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.public.algorithm)
            .field("tag", &self.public.tag())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use meridian_dns_core::dnssec::{SignatureFields, signed_data};
    use meridian_dns_core::{DnsName, Mx, RecordData, RecordSet};
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn what_a_key_signs_its_public_side_verifies() {
        for algorithm in [Algorithm::EcdsaP256, Algorithm::Ed25519] {
            let pkcs8 = SigningKey::generate(algorithm).expect("a key");
            let key = SigningKey::from_pkcs8(algorithm, true, &pkcs8).expect("the same key");
            let signature = key.sign(b"octets").expect("a signature");
            let public = &key.public().public_key;
            assert_eq!(signature.len(), 64);
            let verified = match algorithm {
                Algorithm::EcdsaP256 => {
                    let point = [&[4], &**public].concat();
                    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(b"octets", &signature)
                }
                Algorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, public).verify(b"octets", &signature),
            };
            assert_eq!(verified, Ok(()));
            assert_ne!(pkcs8, SigningKey::generate(algorithm).expect("another key"));
        }
    }

    /// RFC 8080 section 6.1.
    #[test]
    fn a_published_signature_is_one_of_the_octets_that_are_signed() {
        let decode = |text: &str| data_encoding::BASE64.decode(text.as_bytes()).expect("base 64");
        let public = decode("l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=");
        let signature = "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==";
        let name = |text| DnsName::parse(text).expect("a name");
        let mx = RecordData::Mx(Mx {
            preference: 10,
            exchange: name("mail.example.com"),
        });
        let zone = name("example.com");
        let fields = SignatureFields {
            zone: &zone,
            algorithm: Algorithm::Ed25519,
            key_tag: 3613,
            inception: 1_438_207_200,
            expiration: 1_440_021_600,
        };
        let covered = signed_data(&RecordSet::new(zone.clone(), 3600, vec![mx]), &fields).expect("a set with data");
        let verified = UnparsedPublicKey::new(&ED25519, public).verify(&covered.message, &decode(signature));
        assert_eq!(verified, Ok(()));
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        let pkcs8 = SigningKey::generate(Algorithm::Ed25519).expect("a key");
        for (algorithm, octets) in [(Algorithm::EcdsaP256, &pkcs8[..]), (Algorithm::Ed25519, &pkcs8[..20])] {
            let error = SigningKey::from_pkcs8(algorithm, false, octets).expect_err("no such key");
            assert!(error.to_string().starts_with("not a private key for "), "{error}");
        }
        let key = SigningKey::from_pkcs8(Algorithm::Ed25519, false, &pkcs8).expect("the key");
        let shown = format!("{key:?}");
        assert!(
            shown.starts_with("SigningKey { algorithm: Ed25519, tag: ") && shown.len() < 70,
            "{shown}"
        );
    }
}
