//! What must hold at every moment for a chain that validates, whatever mix of sets a cache has.
//!
//! A validator combines a DS set, a DNSKEY set and data of different ages. The three rules are stated
//! over phases alone, so that they can be checked before a change is made: a change is allowed if no
//! rule that holds is broken by it. (A rule that does not hold, since the parent did what nobody asked
//! for, must not stop what leads out of it.)
//!
//! The rules are those of "flexible and robust key rollover in DNSSEC" (Schaeffer, Overeinder, Mekking
//! 2012), kept per algorithm and to the letter of RFC 6840 section 5.11, so that validators that insist
//! on every algorithm (`harden-algo-downgrade`) are content. Refused: exchanging DNSKEYs by overlapping
//! one that comes with one that goes. It saves one TTL and needs chains of successors to reason about.

use super::ring::{KeyRing, Part, Phase, RingKey};
use crate::dnssec::Algorithm;

/// Which rules hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    delegated: bool,
    chained: Vec<(Algorithm, bool)>,
    signed: Vec<(Algorithm, bool)>,
}

impl Holding {
    /// Whether nothing that holds here is broken there.
    pub(super) fn kept_in(&self, after: &Self) -> bool {
        let kept = |before: &[(Algorithm, bool)], after: &[(Algorithm, bool)]| {
            let mut pairs = before.iter().zip(after);
            pairs.all(|(before, after)| !before.1 || after.1)
        };
        (!self.delegated || after.delegated) && kept(&self.chained, &after.chained) && kept(&self.signed, &after.signed)
    }
}

const ALGORITHMS: [Algorithm; 2] = [Algorithm::EcdsaP256, Algorithm::Ed25519];

/// Which rules hold in a ring.
pub(super) fn holding(ring: &KeyRing) -> Holding {
    let each = |rule: fn(&KeyRing, Algorithm) -> bool| ALGORITHMS.map(|of| (of, rule(ring, of))).to_vec();
    Holding {
        delegated: delegated(ring),
        chained: each(chained),
        signed: each(signed),
    }
}

/// A zone that is to be secure and may have a DS keeps asking for one.
fn delegated(ring: &KeyRing) -> bool {
    let wanted = |key: &RingKey| key.ds.phase.is_shown();
    !ring.secure || !ring.keys.iter().any(RingKey::ds_possible) || ring.keys.iter().any(wanted)
}

/// Every DS set that a cache may hold leads to a key in every DNSKEY set that a cache may hold.
fn chained(ring: &KeyRing, algorithm: Algorithm) -> bool {
    let of = |key: &&RingKey| key.key.algorithm == algorithm && key.ds_possible();
    let in_every_set = |key: &RingKey| is(key, Part::Dnskey) && is(key, Part::KeySignature);
    let mut possible = ring.keys.iter().filter(of);
    // One that is in every DS set will do; else each of them must, since a DS set may have any of them.
    let anchored = possible.clone().any(|key| is(key, Part::Ds) && in_every_set(key));
    anchored || possible.all(in_every_set)
}

/// Whatever algorithm a DNSKEY set in a cache has, all data in caches is signed with it by a key of that
/// same set.
fn signed(ring: &KeyRing, algorithm: Algorithm) -> bool {
    if !ring.keys.iter().any(RingKey::ds_possible) {
        return true;
    }
    let keys: Vec<_> = ring.keys.iter().filter(|key| key.key.algorithm == algorithm).collect();
    let possible = |key: &&RingKey| key.dnskey.phase != Phase::Hidden;
    if !keys.iter().any(possible) {
        return true;
    }
    let covers = |by: &RingKey| {
        is(by, Part::ZoneSignatures) && keys.iter().filter(|key| possible(key)).all(|key| contains(by, key))
    };
    let exchanged = |from: &RingKey| {
        let followed = |by: &RingKey| {
            is(by, Part::Dnskey)
                && by.zone_signatures.phase == Phase::Rumoured
                && by.zone_signatures.since <= from.zone_signatures.since
        };
        is(from, Part::Dnskey) && from.zone_signatures.phase == Phase::Unretentive && keys.iter().any(|by| followed(by))
    };
    keys.iter().any(|key| covers(key) || exchanged(key))
}

fn is(key: &RingKey, part: Part) -> bool {
    key.phase(part) == Phase::Omnipresent
}

/// Whether every DNSKEY set in a cache that has `other` has `key` too. Only what was omnipresent becomes
/// unretentive, so that a set with what left earlier also has what left later.
fn contains(key: &RingKey, other: &RingKey) -> bool {
    let (key, other) = (key.dnskey, other.dnskey);
    match key.phase {
        Phase::Omnipresent => true,
        Phase::Rumoured => other.phase == Phase::Rumoured && key.since <= other.since,
        Phase::Unretentive => other.phase == Phase::Unretentive && other.since <= key.since,
        Phase::Hidden => false,
    }
}
