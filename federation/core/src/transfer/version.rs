//! The next version of a stream, from what is answered at a moment.

use meridian_dns_core::transfer::{Content, ContentError, Journal, RoutedNames, Step, signed};
use meridian_dns_core::{DnsName, RecordSet, Snapshot, serial};

use crate::Timestamp;

/// Octets of differences that are kept. Who is further behind gets the zone as a whole.
pub const JOURNAL_LIMIT: usize = 256 << 10;
/// What must be left of a signature in seconds: a secondary serves what it has while its primary is away. Not
/// more than the signer has left of its own, which would give the same signature again and again.
pub const SIGNATURE_MARGIN: u32 = 2 * 24 * 3600;
/// Octets of a journal that are written in a second on average.
const OCTETS_PER_SECOND: u64 = 512 << 10;

/// When there may be another version of a stream whose journal had so many octets when it was stored at that
/// moment.
pub fn earliest_version(stored: Timestamp, octets: usize) -> Timestamp {
    let octets = u64::try_from(octets).unwrap_or(u64::MAX);
    Timestamp(stored.0 + 1000 + octets.saturating_mul(1000) / OCTETS_PER_SECOND)
}

/// What a version is made from.
#[derive(Debug, Clone, Copy)]
pub struct VersionInput<'a> {
    /// What is answered.
    pub snapshot: &'a Snapshot,
    /// The zone.
    pub apex: &'a DnsName,
    /// What secondaries are given of routed names.
    pub routed: &'a RoutedNames,
    /// The stream so far.
    pub before: Option<&'a Journal>,
    /// The time.
    pub now: Timestamp,
}

/// What becomes of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextVersion {
    /// Nothing is new, or the zone is not known as a whole.
    Nothing,
    /// There is something new, but it is too early. Decide again then.
    Wait(Timestamp),
    /// This is to be stored.
    Store(Box<Journal>),
}

/// The next version. `sign` makes the signatures over a set of a signed zone. After an error everything stays
/// as it is.
pub fn next_version<E: std::error::Error + 'static>(
    input: &VersionInput<'_>,
    mut sign: impl FnMut(&RecordSet) -> Result<RecordSet, E>,
) -> Result<NextVersion, ContentError<E>> {
    let VersionInput {
        snapshot,
        apex,
        routed,
        before,
        now,
    } = *input;
    // Without its keys a signed zone would be given away unsigned.
    let zone = snapshot.zone(apex).filter(|zone| !zone.keys_awaited());
    let (Some(zone), Some(mut content)) = (zone, Content::of(snapshot, apex, routed)) else {
        return Ok(NextVersion::Nothing);
    };
    if let Some(dnssec) = zone.dnssec() {
        let previous = before.map(|journal| &**journal.content());
        // Serial number arithmetic: the low 32 bits are what is wanted.
        let seconds = ((now.0 / 1000) & u64::from(u32::MAX)) as u32;
        content = signed(content, apex, dnssec, previous, (seconds, SIGNATURE_MARGIN), &mut sign)?;
    }
    let sign_soa = |soa: &RecordSet| {
        let signature = zone.dnssec().map(|_| sign(soa)).transpose();
        signature.map_err(|source| ContentError::Signature {
            name: soa.name.clone(),
            record_type: meridian_dns_core::RecordType::Soa,
            source,
        })
    };
    let shown = zone.soa().serial;
    match before.filter(|journal| shown == 0 || !serial::is_newer(shown, journal.serial())) {
        None => {
            let journal = Journal::start(apex.clone(), content, shown, now.0, JOURNAL_LIMIT, sign_soa)?;
            Ok(NextVersion::Store(Box::new(journal)))
        }
        Some(journal) => {
            let mut next = journal.clone();
            Ok(match next.advance(content, now.0, sign_soa)? {
                Step::Unchanged => NextVersion::Nothing,
                Step::Wait { until } => NextVersion::Wait(Timestamp(until)),
                Step::Published { .. } => NextVersion::Store(Box::new(next)),
            })
        }
    }
}
