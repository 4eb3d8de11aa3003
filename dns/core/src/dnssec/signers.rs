//! Which zone signs each set of an answer.
//!
//! What must stay true: only what a zone is authoritative for is signed (RFC 4035 section 2.2). So the NS
//! of a referral and glue are not, and neither is the CNAME that a DNAME makes (RFC 6672 section 5.3.1);
//! everything else is signed by the zone that it was found in, under its own name.

use std::sync::Arc;

use crate::zone::Found;
use crate::{Answer, Finding, FindingKind, RecordSet, RecordType, Snapshot, Zone};

/// For each set of the sections of an answer, in their order, the signed zone that signs it; `None` for a
/// set that has no signature.
#[derive(Debug, Clone)]
pub struct Signers<'a> {
    /// Of the answer section.
    pub answers: Vec<Option<&'a Arc<Zone>>>,
    /// Of the authority section.
    pub authorities: Vec<Option<&'a Arc<Zone>>>,
    /// Of the additional section. Its signatures are the first to go where there is no room (RFC 4035
    /// section 3.1.1).
    pub additionals: Vec<Option<&'a Arc<Zone>>>,
}

/// The signers of an answer of that snapshot, as [`super::prove`] has made it.
pub fn signers<'a>(snapshot: &'a Snapshot, answer: &Answer) -> Signers<'a> {
    let zone_of = |finding: &Finding| signed(snapshot.zone(&finding.zone));
    let of_answer = |set: &RecordSet| {
        let finding = answer.findings.iter().find(|finding| concerns(finding, set))?;
        let made = finding.kind == FindingKind::SubtreeAlias && set.record_type() == Some(RecordType::Cname);
        zone_of(finding).filter(|_| !made)
    };
    // Whatever is there is about the last name of the chain.
    let last = answer.findings.last();
    let of_authority = |set: &RecordSet| {
        let last = last?;
        let of_child = last.kind == FindingKind::Referral && set.record_type() == Some(RecordType::Ns);
        zone_of(last).filter(|_| !of_child)
    };
    let of_additional = |set: &RecordSet| {
        let zone = signed(snapshot.zone_of(&set.name))?;
        matches!(zone.find(&set.name, set.record_type()?), Found::Exact(_)).then_some(zone)
    };
    Signers {
        answers: answer.answers.iter().map(of_answer).collect(),
        authorities: answer.authorities.iter().map(of_authority).collect(),
        additionals: answer.additionals.iter().map(of_additional).collect(),
    }
}

/// Whether a set of the answer section was found with that name of the chain.
fn concerns(finding: &Finding, set: &RecordSet) -> bool {
    if finding.kind == FindingKind::SubtreeAlias && set.record_type() == Some(RecordType::Dname) {
        return finding.name != set.name && finding.name.is_at_or_below(&set.name);
    }
    finding.name == set.name
}

fn signed(zone: Option<&Arc<Zone>>) -> Option<&Arc<Zone>> {
    zone.filter(|zone| zone.dnssec().is_some())
}
