//! Online denial: what an answer needs, besides signatures, so that a validator believes it.
//!
//! What must stay true:
//! - nothing is denied that is there: a record denies types at the question's name (or the delegation's)
//!   and, for NSEC3, two hashes, and no other name of the zone;
//! - nothing depends on the client: types are those of [`Finding::types`] and of the closest encloser;
//! - a bitmap never has the type that the answer says is not there, or a validator would refuse it. So
//!   what is in every bitmap is answered: an NSEC that is asked for is put into the answer;
//! - in a zone that is not complete, types that a cluster not listed yet may bring are said to be there:
//!   only the type that was asked for is denied, or resolvers would deny the others by themselves (RFC
//!   8198).
//!
//! A name that a wildcard stands in for is signed as if it existed, with all its labels (RFC 9824 section
//! 3.3), and its missing types are denied in the same way, under both kinds of denial. Signatures are
//! made when they are asked for, so the proof that no closer name exists would only add records; and what
//! one answer says to exist no other may deny: any name between it and the wildcard's parent is matched
//! by the wildcard too. Refused: the expansion proofs of RFC 4035 section 3.1.3.3, which cost one more
//! signature with NSEC3 and tell more of the zone.
//!
//! An alias that leads out of a signed zone needs no proof either. So only the last name of a chain can
//! need one, and it is its zone that proves, if it is signed; the rest stands on its signatures.

use super::hash::NameHash;
use super::nsec::{delegates, nsec, nsec_types, nsec3, nsec3_types};
use super::{Denial, order};
use crate::answer::types_present;
use crate::zone::node::{ROUTED_TYPES, is_routed_type};
use crate::{Answer, DnsName, Finding, FindingKind, Outcome, Question, RecordSet, RecordType, Snapshot, Zone};

/// The answer as it is sent to a client that asks for DNSSEC: with the DS of a referral or its denial,
/// with the NSEC or NSEC3 sets that deny what was asked for, and with the response code of compact
/// denial, in which a name that does not exist is NOERROR unless the client has set the CO flag
/// (`compact_ok`, RFC 9824 section 5). What remains is to sign what [`super::signers`] says.
///
/// Questions for NSEC and RRSIG ask for DNSSEC by themselves (RFC 4035 section 3.1): their answers are
/// made here whatever the DO flag says.
pub fn prove(snapshot: &Snapshot, question: &Question, mut answer: Answer, compact_ok: bool) -> Answer {
    let Some(last) = answer.findings.last().cloned() else {
        return answer;
    };
    let Some(zone) = snapshot.zone(&last.zone) else {
        return answer;
    };
    let Some(dnssec) = zone.dnssec() else {
        return answer;
    };
    let signer = answer.delegation_signer.take();
    if last.kind == FindingKind::Referral && signer.is_some() {
        answer.authorities.extend(signer);
        return answer;
    }
    let denial = Denier {
        snapshot,
        zone,
        asked: question.record_type,
        // RFC 9077 section 3: as long as the negative answer itself.
        ttl: zone.negative_soa_set().ttl,
    };
    match dnssec.denial {
        Denial::Compact => denial.compact(&last, &mut answer, compact_ok),
        Denial::Nsec3 => denial.hashed(&last, &mut answer),
    }
    answer
}

struct Denier<'a> {
    snapshot: &'a Snapshot,
    zone: &'a Zone,
    asked: RecordType,
    ttl: u32,
}

impl Denier<'_> {
    /// RFC 9824 section 3.
    fn compact(&self, found: &Finding, answer: &mut Answer, compact_ok: bool) {
        let types = match found.kind {
            FindingKind::NameError => vec![RecordType::NXNAME],
            FindingKind::NoData | FindingKind::Referral => self.types(found),
            FindingKind::Data | FindingKind::Alias | FindingKind::SubtreeAlias => return,
        };
        let apex = self.zone.apex();
        // Names below a delegation are the child's, and not for this side to speak of (section 3.4).
        let next = if delegates(apex, &found.name, &types) {
            order::successor_of_all_below(&found.name, apex)
        } else {
            order::successor(&found.name, apex)
        };
        let types = nsec_types(apex, &found.name, &types);
        let set = nsec(found.name.clone(), self.ttl, &next, &types);
        let is_referral = found.kind == FindingKind::Referral;
        if !is_referral && [RecordType::NSEC, RecordType::RRSIG].contains(&self.asked) {
            answer.answers.push(set);
            answer.authorities.clear();
            answer.outcome = Outcome::NoError;
            return;
        }
        answer.authorities.push(set);
        if found.kind == FindingKind::NameError && !compact_ok {
            answer.outcome = Outcome::NoError;
        }
    }

    /// RFC 5155 section 7.2, with records made for the question (RFC 7129 appendix B).
    fn hashed(&self, found: &Finding, answer: &mut Answer) {
        match found.kind {
            FindingKind::NoData | FindingKind::Referral => {
                answer
                    .authorities
                    .extend(self.matching(&found.name, &self.types(found)));
            }
            FindingKind::NameError => {
                let Some(encloser) = &found.closest_encloser else {
                    return;
                };
                let types = types_present(self.snapshot, self.zone, encloser);
                answer.authorities.extend(self.matching(encloser, &types));
                let below = found.name.ancestors().take_while(|above| above != encloser);
                let next_closer = below.last();
                // Where a wildcard would be too long for a name, there is none to deny.
                let wildcard = encloser.prepend_label(b"*");
                let absent = next_closer.into_iter().chain(wildcard);
                answer
                    .authorities
                    .extend(absent.filter_map(|name| self.covering(&name)));
            }
            FindingKind::Data | FindingKind::Alias | FindingKind::SubtreeAlias => {}
        }
    }

    /// An NSEC3 that says what is at a name. Below a zone whose name is too long there is room for none.
    fn matching(&self, name: &DnsName, types: &[RecordType]) -> Option<RecordSet> {
        let (hash, apex) = (NameHash::of(name), self.zone.apex());
        let types = nsec3_types(apex, name, types);
        Some(nsec3(hash.owner(apex)?, self.ttl, hash.after(), &types))
    }

    /// An NSEC3 that says that a name is not there: from the hash before its own to the one after. It has
    /// no types, so that it is no proof of anything else.
    fn covering(&self, name: &DnsName) -> Option<RecordSet> {
        let hash = NameHash::of(name);
        let owner = hash.before().owner(self.zone.apex())?;
        Some(nsec3(owner, self.ttl, hash.after(), &[]))
    }

    /// The types at the name, and those that may come to it while clusters are not known. An alias or
    /// addresses that are written there stay what they are, and so does a delegation.
    fn types(&self, found: &Finding) -> Vec<RecordType> {
        let mut types = found.types.clone();
        let decided = |record_type: &RecordType| *record_type == RecordType::Cname || is_routed_type(*record_type);
        let settled = types.iter().any(decided) || delegates(self.zone.apex(), &found.name, &types);
        if !self.zone.complete() && !settled {
            types.extend(ROUTED_TYPES.into_iter().filter(|routed| *routed != self.asked));
        }
        types
    }
}
