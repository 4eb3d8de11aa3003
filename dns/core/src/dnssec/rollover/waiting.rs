//! What a ring waits for, in words for whoever asks.

use std::fmt;

use super::{Goal, KeyRing, Part, Phase, RingKey, Role, Sighting};

/// Something that must happen before keys go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Time: caches still hold what was there before.
    Caches {
        /// Tag of the key.
        tag: u16,
        /// Its role.
        role: Role,
        /// Which part.
        part: Part,
        /// Until when, in seconds since 1970.
        until: u64,
    },
    /// The parent, to publish a DS.
    DsToCome {
        /// Tag of the key.
        tag: u16,
    },
    /// The parent, to remove a DS.
    DsToGo {
        /// Tag of the key.
        tag: u16,
    },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caches { tag, role, part, .. } => {
                write!(
                    f,
                    "caches to learn of the change of the {} of {} {tag}",
                    part.as_str(),
                    role.as_str()
                )
            }
            Self::DsToCome { tag } => write!(f, "the parent to publish the DS of key {tag}"),
            Self::DsToGo { tag } => write!(f, "the parent to remove the DS of key {tag}"),
        }
    }
}

/// What the ring waits for, by key.
pub fn waits(ring: &KeyRing) -> Vec<Wait> {
    ring.keys.iter().flat_map(|key| of_key(ring, key)).collect()
}

fn of_key(ring: &KeyRing, key: &RingKey) -> Vec<Wait> {
    let tag = key.key.tag();
    let in_motion = |part: &Part| matches!(key.phase(*part), Phase::Rumoured | Phase::Unretentive);
    let wait = |part: Part| {
        let stage = key.stage(part);
        let caches = |since: u64, hold: &super::Hold| Wait::Caches {
            tag,
            role: key.role,
            part,
            until: hold.passed(since),
        };
        match (part, stage.phase, key.seen) {
            (Part::Ds, Phase::Rumoured, Sighting::Shown { since })
            | (Part::Ds, Phase::Unretentive, Sighting::Absent { since }) => {
                caches(since.max(stage.since), &ring.parent)
            }
            (Part::Ds, Phase::Rumoured, _) if key.goal == Goal::Omnipresent => Wait::DsToCome { tag },
            (Part::Ds, ..) => Wait::DsToGo { tag },
            (Part::ZoneSignatures, ..) => caches(stage.since, &ring.data),
            (Part::Dnskey | Part::KeySignature, ..) => caches(stage.since, &ring.key_set),
        }
    };
    Part::ALL.into_iter().filter(in_motion).map(wait).collect()
}
