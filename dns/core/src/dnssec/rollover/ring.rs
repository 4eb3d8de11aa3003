//! The keys of a zone with the state of each of their records.
//!
//! What must stay true: a [`KeyRing`] holds no secret, and is all that has to be remembered between two
//! steps: whoever reads it back goes on where it was, on any replica.

use std::sync::Arc;

use super::hold::Hold;
use crate::dnssec::{Algorithm, Denial, DnsKey, Dnssec, ZoneKey};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Signs the DNSKEY set; the parent vouches for it (KSK).
    KeySigning,
    /// Signs everything else (ZSK).
    ZoneSigning,
    /// Does both (CSK).
    Combined,
}

impl Role {
    /// Whether it signs the DNSKEY set, so that the parent vouches for it.
    pub const fn signs_keys(self) -> bool {
        matches!(self, Self::KeySigning | Self::Combined)
    }

    /// Whether it signs the zone's data.
    pub const fn signs_data(self) -> bool {
        matches!(self, Self::ZoneSigning | Self::Combined)
    }

    /// The word operators know: KSK, ZSK or CSK.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeySigning => "KSK",
            Self::ZoneSigning => "ZSK",
            Self::Combined => "CSK",
        }
    }
}

/// Where a key is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// In use.
    Omnipresent,
    /// Gone.
    Hidden,
}

/// How far a record, or a kind of signature, is known to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No cache has it.
    Hidden,
    /// It was put in; caches filled before do not have it.
    Rumoured,
    /// Every cache that has the set has it.
    Omnipresent,
    /// It was taken out; caches filled before still have it.
    Unretentive,
}

impl Phase {
    /// Whether a server asked now is to show it.
    pub const fn is_shown(self) -> bool {
        matches!(self, Self::Rumoured | Self::Omnipresent)
    }

    /// The word that other signers use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Rumoured => "rumoured",
            Self::Omnipresent => "omnipresent",
            Self::Unretentive => "unretentive",
        }
    }
}

/// A phase and since when, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// The phase.
    pub phase: Phase,
    /// When it began.
    pub since: u64,
}

impl Stage {
    /// Not there, and never was.
    pub const NEVER: Self = Self {
        phase: Phase::Hidden,
        since: 0,
    };
}

/// What each key has four of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The DNSKEY record.
    Dnskey,
    /// Signatures over the zone's data.
    ZoneSignatures,
    /// The signature over the DNSKEY set.
    KeySignature,
    /// The DS record in the parent.
    Ds,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Dnskey, Self::ZoneSignatures, Self::KeySignature, Self::Ds];

    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dnskey => "DNSKEY",
            Self::ZoneSignatures => "zone signatures",
            Self::KeySignature => "DNSKEY signature",
            Self::Ds => "DS",
        }
    }
}

/// What the parent was last seen to do with a key, and since when without a break, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// The parent could not be asked yet.
    Unknown,
    /// All of its servers have the DS.
    Shown {
        /// Since when.
        since: u64,
    },
    /// None of them has it.
    Absent {
        /// Since when.
        since: u64,
    },
}

/// A key with the state of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingKey {
    /// Its public side.
    pub key: DnsKey,
    /// What it is for.
    pub role: Role,
    /// Where it is going.
    pub goal: Goal,
    /// To be replaced as soon as there is another.
    pub retiring: bool,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// The DNSKEY record.
    pub dnskey: Stage,
    /// Signatures over the zone's data.
    pub zone_signatures: Stage,
    /// The signature over the DNSKEY set.
    pub key_signature: Stage,
    /// The DS record in the parent.
    pub ds: Stage,
    /// What the parent shows of it.
    pub seen: Sighting,
}

impl RingKey {
    /// A new key that nobody knows of yet.
    pub fn new(key: DnsKey, role: Role, now: u64) -> Self {
        Self {
            key,
            role,
            goal: Goal::Omnipresent,
            retiring: false,
            made: now,
            dnskey: Stage::NEVER,
            zone_signatures: Stage::NEVER,
            key_signature: Stage::NEVER,
            ds: Stage::NEVER,
            seen: Sighting::Unknown,
        }
    }

    /// The stage of one of its parts.
    pub const fn stage(&self, part: Part) -> Stage {
        match part {
            Part::Dnskey => self.dnskey,
            Part::ZoneSignatures => self.zone_signatures,
            Part::KeySignature => self.key_signature,
            Part::Ds => self.ds,
        }
    }

    pub(super) const fn stage_mut(&mut self, part: Part) -> &mut Stage {
        match part {
            Part::Dnskey => &mut self.dnskey,
            Part::ZoneSignatures => &mut self.zone_signatures,
            Part::KeySignature => &mut self.key_signature,
            Part::Ds => &mut self.ds,
        }
    }

    /// The phase of one of its parts.
    pub const fn phase(&self, part: Part) -> Phase {
        self.stage(part).phase
    }

    /// Whether the key's role has that part at all.
    pub const fn has(&self, part: Part) -> bool {
        match part {
            Part::Dnskey => true,
            Part::ZoneSignatures => self.role.signs_data(),
            Part::KeySignature | Part::Ds => self.role.signs_keys(),
        }
    }

    /// Whether some cache may hold its DS.
    pub const fn ds_possible(&self) -> bool {
        !matches!(self.ds.phase, Phase::Hidden)
    }

    /// Whether it is wholly in use.
    pub fn is_settled(&self) -> bool {
        let parts = Part::ALL.into_iter().filter(|part| self.has(*part));
        self.goal == Goal::Omnipresent && parts.into_iter().all(|part| self.phase(part) == Phase::Omnipresent)
    }
}

/// The keys of a zone, and what has to be remembered about the past.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyRing {
    /// The keys, oldest first.
    pub keys: Vec<RingKey>,
    /// Whether the zone is to be signed; false while it is being made insecure.
    pub secure: bool,
    /// The TTL of the DNSKEY, CDS and CDNSKEY sets, in seconds.
    pub key_ttl: u32,
    /// How long caches may hold the zone's data after a change.
    pub data: Hold,
    /// How long caches may hold the DNSKEY set after a change.
    pub key_set: Hold,
    /// How long caches may hold the parent's DS set after a change.
    pub parent: Hold,
    /// The largest TTL seen on the parent's DS set, in seconds.
    pub seen_ds_ttl: u32,
    /// Tags of DS records in the parent that belong to no key here, as last seen.
    pub foreign_ds: Vec<u16>,
    /// The last requests to replace keys that were taken up.
    pub taken: Requests,
}

/// An operator's requests to replace keys now. Each is any text; a new one is a new request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    /// Replace the keys that sign the DNSKEY set.
    pub key_signing: Option<String>,
    /// Replace the keys that sign the zone's data.
    pub zone_signing: Option<String>,
}

/// A key pair that is to be made; see [`KeyRing::add`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewKey {
    /// What it signs with.
    pub algorithm: Algorithm,
    /// What it is for.
    pub role: Role,
}

/// Why a key was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Another key of the zone has its tag; make another key.
    #[error("another key of the zone has the tag {0}; make another key")]
    TagTaken(u16),
    /// The SEP flag must tell what the role says.
    #[error("the SEP flag of the key does not fit its role")]
    WrongFlag,
}

impl KeyRing {
    /// Puts a new key in. Tags are unique in a ring, so that an operator can name a key by its tag.
    pub fn add(&mut self, key: DnsKey, role: Role, now: u64) -> Result<(), AddError> {
        if key.secure_entry_point != role.signs_keys() {
            return Err(AddError::WrongFlag);
        }
        if self.keys.iter().any(|other| other.key.tag() == key.tag()) {
            return Err(AddError::TagTaken(key.tag()));
        }
        self.keys.push(RingKey::new(key, role, now));
        Ok(())
    }

    /// What the zone shows now; `None` when it shows nothing of DNSSEC.
    pub fn view(&self, denial: Denial) -> Option<Arc<Dnssec>> {
        let keys: Vec<_> = self
            .keys
            .iter()
            .map(|key| ZoneKey {
                key: key.key.clone(),
                published: key.dnskey.phase.is_shown(),
                signs_keys: key.key_signature.phase.is_shown(),
                signs_data: key.zone_signatures.phase.is_shown(),
                wants_ds: key.ds.phase.is_shown(),
            })
            .filter(|key| key.published || key.signs_keys || key.signs_data || key.wants_ds)
            .collect();
        (!keys.is_empty()).then(|| {
            Arc::new(Dnssec {
                key_ttl: self.key_ttl,
                keys,
                denial,
                delete_ds: self.wants_ds_deleted(),
            })
        })
    }

    /// Whether the parent is asked to remove every DS (RFC 8078 section 4).
    pub fn wants_ds_deleted(&self) -> bool {
        !self.secure && self.keys.iter().any(RingKey::ds_possible)
    }

    /// Whether what the parent shows would let something go on.
    pub fn waits_for_parent(&self) -> bool {
        let in_motion = |key: &RingKey| matches!(key.ds.phase, Phase::Rumoured | Phase::Unretentive);
        self.keys.iter().any(in_motion)
    }
}
