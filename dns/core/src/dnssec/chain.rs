//! The real chain: the NSEC or NSEC3 sets of a whole zone, for those who receive it by transfer.
//!
//! A secondary answers without our keys, so what [`super::prove`] makes for each question must be in
//! the zone that it is sent: one set for each name, each leading to the next, the last to the first.
//!
//! What must stay true:
//! - the chain is closed, and has every name with authoritative data or a delegation once; NSEC3 also the
//!   empty non-terminals (RFC 5155 section 7.1), NSEC not (RFC 4034 section 4);
//! - equal names give equal sets in the same order, whoever makes them.
//!
//! A change of one name changes its own set and that of the name before it; whoever keeps the sets of the
//! version before finds what differs by comparing. Refused: a chain that is changed in place. A zone is
//! sent rarely, a linear pass costs less than the signatures that follow it, and a chain that was never
//! cut cannot be mended wrongly.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::hash::NameHash;
use super::nsec::{nsec, nsec_types, nsec3, nsec3_types};
use super::order;
use crate::{DnsName, RecordSet, RecordType};

/// What a chain is made of: the names of a zone with the types of their sets, without those that the
/// signer adds. Names below a delegation (glue) and below a DNAME are left out. A name other than the
/// apex that has NS is a delegation; there only NS and DS count, since the rest is the child's.
pub type ChainNames = BTreeMap<DnsName, Vec<RecordType>>;

/// Why a zone cannot have an NSEC3 chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// RFC 5155 section 7.1 step 7. There is no salt to change.
    #[error("{0} and {1} have the same NSEC3 hash; rename one of them, or deny with NSEC")]
    SameHash(DnsName, DnsName),
    /// The hash is one more label.
    #[error("{0} is too long for NSEC3 records below it; deny with NSEC")]
    ZoneTooLong(DnsName),
}

/// The NSEC sets of a zone with that apex, in canonical order, with that TTL in seconds (RFC 9077: that
/// of negative answers).
pub fn nsec_chain(apex: &DnsName, ttl: u32, names: &ChainNames) -> Vec<RecordSet> {
    let mut present: Vec<_> = names
        .iter()
        .filter(|(name, types)| !types.is_empty() && name.is_at_or_below(apex))
        .collect();
    present.sort_by_cached_key(|(name, _)| order::key(name));
    let following = present.iter().cycle().skip(1);
    let sets = present
        .iter()
        .zip(following)
        .map(|((name, types), (next, _))| nsec((*name).clone(), ttl, next, &nsec_types(apex, name, types)));
    sets.collect()
}

/// The NSEC3 sets of a zone with that apex, in the order of their hashes, with that TTL in seconds.
pub fn nsec3_chain(apex: &DnsName, ttl: u32, names: &ChainNames) -> Result<Vec<RecordSet>, ChainError> {
    let mut hashes: BTreeMap<NameHash, (DnsName, Vec<RecordType>)> = BTreeMap::new();
    let mut add = |name: &DnsName, types: &[RecordType]| match hashes.entry(NameHash::of(name)) {
        Entry::Vacant(free) => {
            free.insert((name.clone(), nsec3_types(apex, name, types)));
            Ok(true)
        }
        Entry::Occupied(taken) if taken.get().0 == *name => Ok(false),
        Entry::Occupied(taken) => Err(ChainError::SameHash(taken.get().0.clone(), name.clone())),
    };
    let present = || {
        let inside = |(name, types): &(&DnsName, &Vec<RecordType>)| !types.is_empty() && name.is_at_or_below(apex);
        names.iter().filter(inside)
    };
    for (name, types) in present() {
        add(name, types)?;
    }
    // All names above those are there; what is not in the list has nothing.
    for (name, _) in present() {
        let above = name.ancestors().skip(1);
        for above in above.take_while(|above| above.is_at_or_below(apex)) {
            if !add(&above, &[])? {
                break;
            }
        }
    }
    let following = hashes.keys().cycle().skip(1);
    let sets = hashes.iter().zip(following).map(|((hash, (_, types)), next)| {
        hash.owner(apex)
            .map(|owner| nsec3(owner, ttl, *next, types))
            .ok_or_else(|| ChainError::ZoneTooLong(apex.clone()))
    });
    sets.collect()
}
