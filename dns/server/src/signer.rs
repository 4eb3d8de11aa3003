//! Signatures, made when they are asked for and kept (RFC 4034 section 3, RFC 4035 section 2.2).
//!
//! A [`Signer`] has the private keys of zones and makes what a [`meridian_dns_core::Dnssec`] says. It
//! decides nothing: which keys sign what is the zone's, what is signed is the answer's.
//!
//! What must stay true:
//! - a set is signed by every key that the zone names for it, or not at all: half of the signatures of
//!   an algorithm rollover is bogus for some validators (RFC 6840 section 5.11);
//! - a signature is kept by what it covers (zone, key, owner, type, original TTL and data), never by a
//!   name alone: sites that answer the same share it, and a change of any of these makes a new one;
//! - time is a parameter. A kept signature is served only while [`validity`] says so, also when the clock
//!   has gone back;
//! - memory is bounded in octets. A flood of names that are asked for once does not push out what is asked
//!   for often (TinyLFU);
//! - no lock is held while a signature is made, and keys are looked up without one.
//!
//! Keys are installed before the snapshot that names them and leave after the last that does; between,
//! the signer knows more than the zone shows, which harms nobody. Refused: to sign with whatever keys
//! are installed. A key that came too early would make signatures that no validator can check.

mod budget;
mod hot;
mod validity;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use meridian_dns_core::dnssec::{Algorithm, DnsKey, SignatureFields, SignedData, signed_data};
use meridian_dns_core::{DnsName, Dnssec, Opaque, RecordData, RecordSet, RecordType, Zone};
use moka::sync::Cache;
use ring::digest::{Context as Digest, SHA256};

pub use self::budget::SigningLimits;
pub(crate) use self::budget::{Budget, Payer};
pub(crate) use self::hot::{Hot, Samples};
pub(crate) use self::validity::Use;
use self::validity::Validity;
use crate::{SigningKey, SigningKeyError};

/// What kept signatures may take, in octets: some 200,000 of them.
const CACHE: u64 = 64 << 20;

/// What a kept signature takes besides its record: its digest, and the cache's own lists.
const ENTRY: u32 = 200;

/// Why a set is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The zone has no keys at all.
    #[error("the zone {zone} is not signed; its sets have no signatures")]
    Unsigned {
        /// Its name.
        zone: DnsName,
    },
    /// The zone names no key for that type.
    #[error("no key of the zone {zone} signs {record_type}; publish a key that does")]
    NoSigner {
        /// Its name.
        zone: DnsName,
        /// The type of the set.
        record_type: RecordType,
    },
    /// The zone names a key whose private side is not here.
    #[error(
        "the private key {tag} ({algorithm}) of the zone {zone} is not installed; check the zone's key Secret or folder"
    )]
    NoPrivateKey {
        /// The zone's name.
        zone: DnsName,
        /// The tag of the key.
        tag: u16,
        /// What it signs with.
        algorithm: Algorithm,
    },
    /// A key that is here did not sign.
    #[error("a key of the zone {zone} does not sign")]
    Key {
        /// The zone's name.
        zone: DnsName,
        /// Why not.
        source: SigningKeyError,
    },
    /// A set without data.
    #[error("{name} has a set without records, which cannot be signed; this is a defect of the server")]
    Empty {
        /// The owner name.
        name: DnsName,
    },
    /// Whoever asks has had enough new signatures for now; see [`SigningLimits`].
    #[error("the client's network, or all clients, asked for too many new signatures")]
    OverBudget,
}

type Keys = BTreeMap<DnsName, Arc<[SigningKey]>>;

/// The private keys of zones, and the signatures made with them. Clones are the same signer.
#[derive(Clone)]
pub struct Signer(Arc<Inner>);

struct Inner {
    keys: ArcSwap<Keys>,
    kept: Cache<[u8; 32], Made>,
    budget: Budget,
    /// What was asked for lately.
    samples: Samples,
    /// How many times keys have changed.
    generation: AtomicU64,
    /// Signatures made.
    count: AtomicU64,
    /// Zones whose failure to sign has been logged.
    complained: Mutex<BTreeSet<DnsName>>,
}

/// A signature that is kept.
#[derive(Clone)]
struct Made {
    validity: Validity,
    /// The data of its RRSIG record.
    record: Arc<[u8]>,
}

impl Default for Signer {
    /// Without keys; keeps 64 MiB of signatures.
    fn default() -> Self {
        Self::with_cache(CACHE)
    }
}

impl Signer {
    /// Without keys; keeps so many octets of signatures, about 300 for each.
    pub fn with_cache(octets: u64) -> Self {
        let weigh =
            |_: &[u8; 32], made: &Made| ENTRY.saturating_add(u32::try_from(made.record.len()).unwrap_or(u32::MAX));
        Self(Arc::new(Inner {
            keys: ArcSwap::default(),
            kept: Cache::builder().max_capacity(octets).weigher(weigh).build(),
            budget: Budget::default(),
            samples: Samples::default(),
            generation: AtomicU64::new(0),
            count: AtomicU64::new(0),
            complained: Mutex::default(),
        }))
    }

    /// From now on these are the private keys of the zone, and no others.
    pub fn install(&self, zone: &DnsName, keys: Vec<SigningKey>) {
        let keys: Arc<[SigningKey]> = keys.into();
        self.change(|all| {
            all.insert(zone.clone(), keys.clone());
        });
        self.complained().remove(zone);
    }

    /// Forgets the keys of a zone that is not served any more.
    pub fn remove(&self, zone: &DnsName) {
        self.change(|all| {
            all.remove(zone);
        });
        self.complained().remove(zone);
    }

    fn change(&self, change: impl Fn(&mut Keys)) {
        self.0.keys.rcu(|keys| {
            let mut next = Keys::clone(keys);
            change(&mut next);
            next
        });
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// The keys that a zone signs with and whose private sides are not installed. A snapshot with such a
    /// zone gives SERVFAIL to everybody who validates.
    pub fn missing(&self, zone: &DnsName, dnssec: &Dnssec) -> Vec<DnsKey> {
        let keys = self.0.keys.load();
        let installed = keys.get(zone).map(|keys| &**keys).unwrap_or_default();
        let signing = dnssec.keys.iter().filter(|key| key.signs_keys || key.signs_data);
        let is_missing = |key: &&DnsKey| !installed.iter().any(|private| private.public() == *key);
        signing.map(|key| &key.key).filter(is_missing).cloned().collect()
    }

    /// The signatures over a set, as a set of type RRSIG with the TTL that the set is sent with. They cover
    /// [`RecordSet::original_ttl`]. `now` is in seconds since 1970, modulo 2^32.
    pub fn sign(&self, zone: &Zone, set: &RecordSet, now: u32) -> Result<RecordSet, SignError> {
        self.sign_for(zone, set, now, Use::Serve, &mut Payer::Nobody)
    }

    /// The same for that use; new signatures are paid for.
    pub(crate) fn sign_for(
        &self,
        zone: &Zone,
        set: &RecordSet,
        now: u32,
        purpose: Use,
        payer: &mut Payer<'_>,
    ) -> Result<RecordSet, SignError> {
        let apex = zone.apex();
        let Some(dnssec) = zone.dnssec() else {
            return Err(SignError::Unsigned { zone: apex.clone() });
        };
        let Some(record_type) = set.record_type() else {
            return Err(SignError::Empty { name: set.name.clone() });
        };
        let keys = self.0.keys.load();
        let installed = keys.get(apex).map(|keys| &**keys).unwrap_or_default();
        let mut data = Vec::new();
        for signer in dnssec.signers(record_type) {
            let Some(key) = installed.iter().find(|key| key.public() == signer) else {
                return Err(SignError::NoPrivateKey {
                    zone: apex.clone(),
                    tag: signer.tag(),
                    algorithm: signer.algorithm,
                });
            };
            let octets = self.signature(apex, set, key, (now, purpose), payer)?;
            data.push(RecordData::Opaque(Opaque {
                record_type: RecordType::RRSIG,
                octets,
            }));
        }
        if data.is_empty() {
            return Err(SignError::NoSigner {
                zone: apex.clone(),
                record_type,
            });
        }
        Ok(RecordSet::new(set.name.clone(), set.ttl, data))
    }

    fn signature(
        &self,
        zone: &DnsName,
        set: &RecordSet,
        key: &SigningKey,
        (now, purpose): (u32, Use),
        payer: &mut Payer<'_>,
    ) -> Result<Arc<[u8]>, SignError> {
        let public = key.public();
        // What is covered, but for the times, says which signature this is. Tags are not enough: two keys
        // may share one.
        let mut digest = Digest::new(&SHA256);
        digest.update(&public.public_key);
        digest.update(&covered(set, zone, public, Validity::default())?.message);
        let digest: [u8; 32] = digest.finish().as_ref().try_into().unwrap_or_default();
        if let Some(made) = self.0.kept.get(&digest)
            && made.validity.is_good(now, set.original_ttl, purpose)
        {
            return Ok(made.record);
        }
        if !payer.pays(&self.0.budget) {
            return Err(SignError::OverBudget);
        }
        let validity = Validity::starting(now, set.original_ttl, &digest);
        let mut covered = covered(set, zone, public, validity)?;
        let signature = key.sign(&covered.message).map_err(|source| SignError::Key {
            zone: zone.clone(),
            source,
        })?;
        self.0.count.fetch_add(1, Ordering::Relaxed);
        covered.data.extend(signature);
        let record: Arc<[u8]> = covered.data.into();
        let made = Made {
            validity,
            record: record.clone(),
        };
        self.0.kept.insert(digest, made);
        Ok(record)
    }

    /// How many signatures have been made since the start, on whoever's account.
    pub fn made(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Changes with the keys.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// What was asked for lately.
    pub(crate) fn samples(&self) -> &Samples {
        &self.0.samples
    }

    /// Logs that a zone cannot be signed, once until its keys change.
    pub(crate) fn complain(&self, zone: &DnsName, error: &SignError) {
        if *error != SignError::OverBudget && self.complained().insert(zone.clone()) {
            tracing::error!(%zone, %error, "answers to those who validate are SERVFAIL");
        }
    }

    fn complained(&self) -> std::sync::MutexGuard<'_, BTreeSet<DnsName>> {
        self.0.complained.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn covered(set: &RecordSet, zone: &DnsName, key: &DnsKey, validity: Validity) -> Result<SignedData, SignError> {
    let fields = SignatureFields {
        zone,
        algorithm: key.algorithm,
        key_tag: key.tag(),
        inception: validity.inception,
        expiration: validity.expiration,
    };
    signed_data(set, &fields).ok_or_else(|| SignError::Empty { name: set.name.clone() })
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("keys", &**self.0.keys.load())
            .field("signatures", &self.0.kept.entry_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
