//! The keys of a zone as they are stored: ring and private sides in one versioned JSON document.
//!
//! What must stay true:
//! - what is written can be read back equal, and what cannot be read as a whole is refused as a whole;
//! - a document without the private side of one of its keys is refused: the zone could not be signed;
//! - private keys are in no message, log line or `Debug` text.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use meridian_dns_core::DnsName;
use meridian_dns_core::dnssec::rollover::{Goal, Hold, KeyRing, Phase, Requests, RingKey, Role, Sighting, Stage};
use meridian_dns_core::dnssec::{Algorithm, DnsKey};
use meridian_dns_server::SigningKey;
use serde::{Deserialize, Serialize};

/// The version of the form. A newer one is refused.
const VERSION: u32 = 1;

/// Everything of a zone's keys.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StoredKeys {
    pub(crate) zone: DnsName,
    /// Grows with each change, so that an old copy never replaces a newer one.
    pub(crate) revision: u64,
    pub(crate) ring: Arc<KeyRing>,
    /// PKCS #8, in the order of the ring's keys.
    private: Vec<Vec<u8>>,
}

impl fmt::Debug for StoredKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKeys")
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}

/// Why a document is no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredError {
    #[error("not JSON of the expected form: {0}")]
    Form(String),
    #[error("version {0} of the form is not known here; this program is older than the one that wrote it")]
    Version(u32),
    #[error("{0:?} is not a zone's name")]
    Zone(String),
    #[error("key {tag}: {reason}")]
    Key { tag: u16, reason: String },
}

impl StoredKeys {
    /// A zone without keys.
    pub(crate) fn empty(zone: DnsName) -> Self {
        Self {
            zone,
            revision: 0,
            ring: Arc::default(),
            private: Vec::new(),
        }
    }

    /// The next version: this ring, whose new keys are among the given private sides.
    pub(crate) fn next(&self, ring: KeyRing, made: &[(DnsKey, Vec<u8>)]) -> Self {
        let before = self.ring.keys.iter().map(|key| &key.key).zip(&self.private);
        let known: Vec<_> = before.chain(made.iter().map(|(key, pkcs8)| (key, pkcs8))).collect();
        let of = |key: &RingKey| {
            let found = known.iter().find(|(known, _)| **known == key.key);
            found.map(|(_, pkcs8)| (*pkcs8).clone()).unwrap_or_default()
        };
        Self {
            zone: self.zone.clone(),
            revision: self.revision + 1,
            private: ring.keys.iter().map(of).collect(),
            ring: Arc::new(ring),
        }
    }

    /// The private keys, ready to sign.
    pub(crate) fn signing_keys(&self) -> Result<Vec<SigningKey>, StoredError> {
        let pairs = self.ring.keys.iter().zip(&self.private);
        let keys = pairs.map(|(key, pkcs8)| {
            let failed = |reason: String| StoredError::Key {
                tag: key.key.tag(),
                reason,
            };
            let private = SigningKey::from_pkcs8(key.key.algorithm, key.key.secure_entry_point, pkcs8)
                .map_err(|error| failed(error.to_string()))?;
            if *private.public() != key.key {
                return Err(failed("its private key belongs to another public key".to_owned()));
            }
            Ok(private)
        });
        keys.collect()
    }

    /// The document.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, StoredError> {
        let ring = &self.ring;
        let hold = |hold: &Hold| HoldForm {
            seconds: hold.seconds,
            earlier: hold.earlier,
        };
        let form = Form {
            version: VERSION,
            zone: self.zone.as_str().to_owned(),
            revision: self.revision,
            secure: ring.secure,
            key_ttl: ring.key_ttl,
            data: hold(&ring.data),
            key_set: hold(&ring.key_set),
            parent: hold(&ring.parent),
            seen_ds_ttl: ring.seen_ds_ttl,
            foreign_ds: ring.foreign_ds.clone(),
            taken_key_signing: ring.taken.key_signing.clone(),
            taken_zone_signing: ring.taken.zone_signing.clone(),
            keys: ring
                .keys
                .iter()
                .zip(&self.private)
                .map(|(key, pkcs8)| key_form(key, pkcs8))
                .collect(),
        };
        serde_json::to_vec_pretty(&form).map_err(|error| StoredError::Form(error.to_string()))
    }

    /// Reads a document, and checks every private key.
    pub(crate) fn from_json(document: &[u8]) -> Result<Self, StoredError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        // Of serde's messages the place is told, not the value: that may be a key.
        let malformed =
            |error: serde_json::Error| StoredError::Form(format!("line {}, column {}", error.line(), error.column()));
        let head: Head = serde_json::from_slice(document).map_err(malformed)?;
        if head.version != VERSION {
            return Err(StoredError::Version(head.version));
        }
        let form: Form = serde_json::from_slice(document).map_err(malformed)?;
        let zone = DnsName::parse(&form.zone).map_err(|_| StoredError::Zone(form.zone.clone()))?;
        let hold = |form: HoldForm| Hold {
            seconds: form.seconds,
            earlier: form.earlier,
        };
        let mut keys = Vec::new();
        let mut private = Vec::new();
        for form in form.keys {
            let failed = |part: &str| StoredError::Key {
                tag: form.tag,
                reason: format!("its {part} is not base 64"),
            };
            let public_key = BASE64
                .decode(form.public_key.as_bytes())
                .map_err(|_| failed("public key"))?;
            private.push(
                BASE64
                    .decode(form.private_key.as_bytes())
                    .map_err(|_| failed("private key"))?,
            );
            keys.push(key_of(&form, public_key.into()));
        }
        let keys = Self {
            zone,
            revision: form.revision,
            ring: Arc::new(KeyRing {
                keys,
                secure: form.secure,
                key_ttl: form.key_ttl,
                data: hold(form.data),
                key_set: hold(form.key_set),
                parent: hold(form.parent),
                seen_ds_ttl: form.seen_ds_ttl,
                foreign_ds: form.foreign_ds,
                taken: Requests {
                    key_signing: form.taken_key_signing,
                    zone_signing: form.taken_zone_signing,
                },
            }),
            private,
        };
        keys.signing_keys()?;
        Ok(keys)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    version: u32,
    zone: String,
    revision: u64,
    secure: bool,
    key_ttl: u32,
    data: HoldForm,
    key_set: HoldForm,
    parent: HoldForm,
    seen_ds_ttl: u32,
    foreign_ds: Vec<u16>,
    taken_key_signing: Option<String>,
    taken_zone_signing: Option<String>,
    keys: Vec<KeyForm>,
}

#[derive(Serialize, Deserialize)]
struct HoldForm {
    seconds: u64,
    earlier: Option<(u64, u64)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyForm {
    tag: u16,
    algorithm: AlgorithmForm,
    role: RoleForm,
    public_key: String,
    private_key: String,
    made: u64,
    leaves: bool,
    retiring: bool,
    dnskey: StageForm,
    zone_signatures: StageForm,
    key_signature: StageForm,
    ds: StageForm,
    seen: SightingForm,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
enum AlgorithmForm {
    #[serde(rename = "ECDSAP256SHA256")]
    EcdsaP256,
    #[serde(rename = "ED25519")]
    Ed25519,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
enum RoleForm {
    #[serde(rename = "KSK")]
    KeySigning,
    #[serde(rename = "ZSK")]
    ZoneSigning,
    #[serde(rename = "CSK")]
    Combined,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum PhaseForm {
    Hidden,
    Rumoured,
    Omnipresent,
    Unretentive,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct StageForm {
    phase: PhaseForm,
    since: u64,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum SightingForm {
    Unknown,
    Shown(u64),
    Absent(u64),
}

fn key_form(key: &RingKey, pkcs8: &[u8]) -> KeyForm {
    let stage = |stage: Stage| StageForm {
        phase: match stage.phase {
            Phase::Hidden => PhaseForm::Hidden,
            Phase::Rumoured => PhaseForm::Rumoured,
            Phase::Omnipresent => PhaseForm::Omnipresent,
            Phase::Unretentive => PhaseForm::Unretentive,
        },
        since: stage.since,
    };
    KeyForm {
        tag: key.key.tag(),
        algorithm: match key.key.algorithm {
            Algorithm::EcdsaP256 => AlgorithmForm::EcdsaP256,
            Algorithm::Ed25519 => AlgorithmForm::Ed25519,
        },
        role: match key.role {
            Role::KeySigning => RoleForm::KeySigning,
            Role::ZoneSigning => RoleForm::ZoneSigning,
            Role::Combined => RoleForm::Combined,
        },
        public_key: BASE64.encode(&key.key.public_key),
        private_key: BASE64.encode(pkcs8),
        made: key.made,
        leaves: key.goal == Goal::Hidden,
        retiring: key.retiring,
        dnskey: stage(key.dnskey),
        zone_signatures: stage(key.zone_signatures),
        key_signature: stage(key.key_signature),
        ds: stage(key.ds),
        seen: match key.seen {
            Sighting::Unknown => SightingForm::Unknown,
            Sighting::Shown { since } => SightingForm::Shown(since),
            Sighting::Absent { since } => SightingForm::Absent(since),
        },
    }
}

fn key_of(form: &KeyForm, public_key: Arc<[u8]>) -> RingKey {
    let stage = |form: StageForm| Stage {
        phase: match form.phase {
            PhaseForm::Hidden => Phase::Hidden,
            PhaseForm::Rumoured => Phase::Rumoured,
            PhaseForm::Omnipresent => Phase::Omnipresent,
            PhaseForm::Unretentive => Phase::Unretentive,
        },
        since: form.since,
    };
    let role = match form.role {
        RoleForm::KeySigning => Role::KeySigning,
        RoleForm::ZoneSigning => Role::ZoneSigning,
        RoleForm::Combined => Role::Combined,
    };
    RingKey {
        key: DnsKey {
            secure_entry_point: role.signs_keys(),
            algorithm: match form.algorithm {
                AlgorithmForm::EcdsaP256 => Algorithm::EcdsaP256,
                AlgorithmForm::Ed25519 => Algorithm::Ed25519,
            },
            public_key,
        },
        role,
        goal: if form.leaves { Goal::Hidden } else { Goal::Omnipresent },
        retiring: form.retiring,
        made: form.made,
        dnskey: stage(form.dnskey),
        zone_signatures: stage(form.zone_signatures),
        key_signature: stage(form.key_signature),
        ds: stage(form.ds),
        seen: match form.seen {
            SightingForm::Unknown => Sighting::Unknown,
            SightingForm::Shown(since) => Sighting::Shown { since },
            SightingForm::Absent(since) => Sighting::Absent { since },
        },
    }
}

#[cfg(test)]
mod tests {
    use meridian_dns_core::dnssec::rollover::advance;

    use super::*;
    use crate::keys::care::tests::policy;
    use crate::keys::care::{Cared, care};

    /// Keys of a zone in the middle of things.
    fn keys() -> StoredKeys {
        let zone = DnsName::parse("example.test").expect("a name");
        let empty = StoredKeys::empty(zone.clone());
        let Cared { keys, .. } = care(&empty, &policy(), None, 1000).expect("keys");
        let mut changed = policy();
        changed.data_ttl = 1;
        changed.requests.zone_signing = Some("now".to_owned());
        let ring = advance(&keys.ring, &changed, &zone, None, 1500).ring;
        keys.next(ring, &[])
    }

    #[test]
    fn what_is_written_is_read_back_equal() {
        let keys = keys();
        let document = keys.to_json().expect("JSON");
        assert_eq!(StoredKeys::from_json(&document).expect("the same"), keys);
        assert!(keys.ring.data.earlier.is_some() && keys.ring.taken.zone_signing.is_some());
        assert!(!format!("{keys:?}").contains("private"));
    }

    #[test]
    fn what_is_damaged_is_refused_and_no_key_is_told() {
        let document = String::from_utf8(keys().to_json().expect("JSON")).expect("text");
        let form: Form = serde_json::from_str(&document).expect("the form");
        let (first, second) = (form.keys[0].private_key.clone(), form.keys[1].private_key.clone());
        for (damaged, expected) in [
            (
                document.replace("\"version\": 1", "\"version\": 9"),
                "version 9 of the form is not known here",
            ),
            (
                document.replace(&first, &second),
                "its private key belongs to another public key",
            ),
            (document.replace(&first, "AAAA"), "not a private key for "),
            (document.replace(&first, "%"), "its private key is not base 64"),
            (
                document
                    .replace("\"private_key\"", "\"x\"")
                    .replace("\"privateKey\"", "\"x\""),
                "not JSON of the expected form: line ",
            ),
            (
                document[..document.len() / 2].to_owned(),
                "not JSON of the expected form: line ",
            ),
            (
                document.replace("\"example.test\"", "\"a..b\""),
                "\"a..b\" is not a zone's name",
            ),
            (String::new(), "not JSON of the expected form: line 1, column 0"),
        ] {
            let error = StoredKeys::from_json(damaged.as_bytes())
                .expect_err(expected)
                .to_string();
            assert!(
                error.contains(expected) && !error.contains(&second[..20]),
                "{error} is not {expected}"
            );
        }
    }
}
