//! A signed zone for those who have no keys: a real NSEC or NSEC3 chain, and a signature for each set.
//!
//! What must stay true:
//! - every authoritative set is signed, and nothing else: not the NS of a delegation and not glue (RFC 4035
//!   section 2.2). The start of authority is signed when its serial is known, see [`super::Journal`];
//! - a signature is made again only if its set or the keys changed or it is about to run out, so a change of
//!   one name costs the signatures of that name and its neighbour's.
//!
//! A zone that is denied compactly (RFC 9824) has a plain NSEC chain here: the compact form is made for each
//! question, which a plain secondary cannot do.

use std::collections::BTreeSet;

use super::content::{Content, SetKey};
use crate::dnssec::{ChainError, ChainNames, Denial, nsec_chain, nsec3_chain};
use crate::{DnsName, Dnssec, RecordData, RecordSet, RecordType, serial};

/// Why a zone cannot be signed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError<E: std::error::Error + 'static> {
    /// There is no chain.
    #[error("the zone has no chain of denials")]
    Chain(#[from] ChainError),
    /// A set was not signed.
    #[error("{name} {record_type} is not signed")]
    Signature {
        /// The set's name.
        name: DnsName,
        /// Its type.
        record_type: RecordType,
        /// What the signer said.
        source: E,
    },
}

/// The content with chain and signatures. `previous` is the version before, whose signatures are kept as far
/// as they are still right and good for `margin` seconds after `now` (seconds since 1970, in the arithmetic
/// of RFC 1982). `sign` makes the signatures over a set, as a set of type RRSIG.
pub fn signed<E: std::error::Error + 'static>(
    mut content: Content,
    apex: &DnsName,
    dnssec: &Dnssec,
    previous: Option<&Content>,
    (now, margin): (u32, u32),
    mut sign: impl FnMut(&RecordSet) -> Result<RecordSet, E>,
) -> Result<Content, ContentError<E>> {
    let cuts: BTreeSet<DnsName> = content
        .sets()
        .filter(|set| set.name != *apex && set.record_type() == Some(RecordType::Ns))
        .map(|set| set.name.clone())
        .collect();
    let is_below = |name: &DnsName| name.ancestors().skip(1).any(|above| cuts.contains(&above));
    let mut names = ChainNames::from([(apex.clone(), vec![RecordType::Soa])]);
    for set in content.sets() {
        if let Some(record_type) = set.record_type().filter(|_| !is_below(&set.name)) {
            names.entry(set.name.clone()).or_default().push(record_type);
        }
    }
    let ttl = content.negative_ttl();
    let chain = match dnssec.denial {
        Denial::Compact => nsec_chain(apex, ttl, &names),
        Denial::Nsec3 => nsec3_chain(apex, ttl, &names)?,
    };
    content.extend(chain);
    let of_parent = [RecordType::Ds, RecordType::NSEC];
    let mut signatures = Vec::new();
    for (key, set) in &content.sets {
        let is_delegation = cuts.contains(&set.name) && !of_parent.contains(&key.record_type);
        if is_delegation || is_below(&set.name) {
            continue;
        }
        let covers = SetKey {
            record_type: RecordType::RRSIG,
            covers: Some(key.record_type),
            ..key.clone()
        };
        let kept = previous
            .filter(|previous| previous.sets.get(key) == Some(set))
            .and_then(|previous| previous.sets.get(&covers))
            .filter(|made| is_good(made, key.record_type, dnssec, now.wrapping_add(margin)));
        let made = match kept {
            Some(kept) => RecordSet::clone(kept),
            None => sign(set).map_err(|source| ContentError::Signature {
                name: set.name.clone(),
                record_type: key.record_type,
                source,
            })?,
        };
        signatures.push(made);
    }
    content.extend(signatures);
    Ok(content)
}

/// Whether these are signatures of exactly the keys that sign now, all good at that time.
fn is_good(made: &RecordSet, covered: RecordType, dnssec: &Dnssec, at: u32) -> bool {
    let signers: BTreeSet<(u8, u16)> = dnssec
        .signers(covered)
        .map(|key| (key.algorithm.number(), key.tag()))
        .collect();
    let fields: Option<BTreeSet<(u8, u16)>> = made.data.iter().map(|data| fields(data, at)).collect();
    fields == Some(signers)
}

/// Algorithm and key tag of a signature that is good at that time (RFC 4034 section 3.1).
fn fields(data: &RecordData, at: u32) -> Option<(u8, u16)> {
    let RecordData::Opaque(opaque) = data else { return None };
    let expiration = u32::from_be_bytes(opaque.octets.get(8..12)?.try_into().ok()?);
    let tag = u16::from_be_bytes(opaque.octets.get(16..18)?.try_into().ok()?);
    serial::is_newer(expiration, at).then_some((*opaque.octets.get(2)?, tag))
}
