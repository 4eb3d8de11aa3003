//! An answer as it is sent to those who ask for DNSSEC: with its denials and signatures.
//!
//! What must stay true:
//! - without the DO flag there are no DNSSEC records but those that are asked for by their type (RFC 4035
//!   section 3.1), so that nobody else's answer grows;
//! - whoever asks for DNSSEC gets an answer whose needed sets are all signed, or SERVFAIL: an answer of a
//!   signed zone without signatures is bogus to a validator, and worse than none;
//! - sets of the additional section may go without (RFC 4035 section 3.1.1), so that a client over its
//!   budget, or another zone's missing key, does not take the answer away;
//! - what is signed and by which zone is `dns-core`'s decision.

use meridian_dns_core::dnssec::{prove, signers};
use meridian_dns_core::{Answer, DnsName, Finding, Question, RecordSet, RecordType, Snapshot, Zone};

use crate::edns::Edns;
use crate::extended_error::ExtendedError;
use crate::respond::{Arrival, Context};
use crate::signer::{Payer, SignError, Signer, Use};

/// What a query asks for besides its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    denials: bool,
    signatures: bool,
    /// A compact denial may have the response code NXDOMAIN.
    compact_ok: bool,
}

impl Wanted {
    /// By the flags of the OPT record, or by the type.
    pub(crate) fn by(edns: Option<&Edns<'_>>, record_type: RecordType) -> Self {
        let signatures = edns.is_some_and(Edns::dnssec_ok) || record_type == RecordType::RRSIG;
        Self {
            denials: signatures || record_type == RecordType::NSEC,
            signatures,
            compact_ok: edns.is_some_and(Edns::compact_ok),
        }
    }
}

/// The answer with what is wanted of it; an error is the reason for SERVFAIL.
pub(crate) fn secure(
    (id, question): (u16, &Question),
    answer: Answer,
    wanted: Wanted,
    arrival: &Arrival<'_>,
    context: &Context<'_>,
) -> Result<(Answer, Signatures), ExtendedError> {
    let snapshot = context.snapshot;
    let is_signed = |finding: &Finding| snapshot.zone(&finding.zone).is_some_and(|zone| zone.dnssec().is_some());
    if !wanted.denials || !answer.findings.iter().any(is_signed) {
        return Ok((answer, Signatures::default()));
    }
    let answer = prove(snapshot, question, answer, wanted.compact_ok);
    if !wanted.signatures {
        return Ok((answer, Signatures::default()));
    }
    let signer = context.signer.ok_or(ExtendedError::NOT_READY)?;
    let mut payer = Payer::Client {
        limits: &context.settings.signing,
        client: arrival.client,
        now: arrival.now.monotonic,
    };
    match sign(snapshot, &answer, signer, (arrival.now.unix, Use::Serve), &mut payer) {
        Ok(signatures) => {
            signer.samples().note(id, question);
            Ok((answer, signatures))
        }
        Err((zone, error)) => {
            signer.complain(&zone, &error);
            Err(match error {
                SignError::OverBudget => ExtendedError::OTHER,
                _ => ExtendedError::NOT_READY,
            })
        }
    }
}

/// The signatures of the sets of an answer, in the places of those sets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signatures {
    /// Of the answer, authority and additional section; empty if nothing is signed.
    sections: Vec<Vec<Option<RecordSet>>>,
}

impl Signatures {
    /// The signatures of the set at that place of a section.
    pub(crate) fn of(&self, section: usize, place: usize) -> Option<&RecordSet> {
        self.sections.get(section)?.get(place)?.as_ref()
    }
}

/// Signs all sets of an answer that are to be signed. An error comes with the zone that it concerns.
pub(crate) fn sign(
    snapshot: &Snapshot,
    answer: &Answer,
    signer: &Signer,
    (now, purpose): (u32, Use),
    payer: &mut Payer<'_>,
) -> Result<Signatures, (DnsName, SignError)> {
    let by = signers(snapshot, answer);
    let mut of = |zone: &Zone, set: &RecordSet| {
        let signed = signer.sign_for(zone, set, now, purpose, payer);
        signed.map_err(|error| (zone.apex().clone(), error))
    };
    let mut sections = Vec::with_capacity(3);
    for (sets, zones) in [(&answer.answers, by.answers), (&answer.authorities, by.authorities)] {
        let signed = sets.iter().zip(zones);
        let signed = signed.map(|(set, zone)| zone.map(|zone| of(zone, set)).transpose());
        sections.push(signed.collect::<Result<_, _>>()?);
    }
    let additionals = answer.additionals.iter().zip(by.additionals);
    sections.push(additionals.map(|(set, zone)| of(zone?, set).ok()).collect());
    Ok(Signatures { sections })
}
