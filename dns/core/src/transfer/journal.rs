//! The stream of versions of one zone.
//!
//! The leader has the journal and gives it the content of each moment; the journal says whether that is a
//! version. Replicas have copies of it ([`Journal::to_octets`]), and transfer and show the same serials.
//!
//! What must stay true:
//! - serials only grow (RFC 1982), and there is at most one a second; the last content always becomes a
//!   version, at the latest a second later;
//! - the differences kept are in a row and end at the current version. There are never more octets of them
//!   than allowed: the oldest go, and who has an older version gets the whole zone (RFC 1995 section 5).
//!
//! The signature of the start of authority covers the serial, so it is made when the serial is known: whoever
//! gives a content of a signed zone signs on demand. It is kept beside the content, which it would otherwise
//! make a new one each time.
//!
//! A journal is a value that is cheap to clone: contents and differences are shared.

use std::collections::VecDeque;
use std::sync::Arc;

use super::content::Content;
use super::difference::Difference;
use crate::{DnsName, RecordData, RecordSet, serial};

/// Milliseconds between two versions, at least.
const APART: u64 = 1000;

/// The versions of a zone: the current one whole, and how those before differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    pub(super) apex: DnsName,
    pub(super) serial: u32,
    /// When the current version was made: milliseconds since 1970.
    pub(super) made: u64,
    pub(super) content: Arc<Content>,
    /// The signature of the start of authority, in a signed zone.
    pub(super) signature: Option<Arc<RecordSet>>,
    /// Oldest first.
    pub(super) differences: VecDeque<Arc<Difference>>,
    pub(super) limit: usize,
}

/// What became of a content that a journal was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is the current version's.
    Unchanged,
    /// It differs, but the last version is too young. Give the content of that moment again.
    Wait {
        /// Milliseconds since 1970.
        until: u64,
    },
    /// It is a new version.
    Published {
        /// Its serial.
        serial: u32,
    },
}

/// What somebody needs who has a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Nothing: it is the current one, or a newer one.
    Current,
    /// All differences since, as one.
    Difference(Difference),
    /// The whole zone: the differences are not kept any more, or are more than the zone.
    Whole,
}

impl Journal {
    /// A stream that starts with this content. `previous` is the serial before, 0 if there was none;
    /// `now` is in milliseconds since 1970; `limit` is how many octets of differences are kept. `sign` makes
    /// the signature of the start of authority, or nothing in a zone that is not signed.
    pub fn start<E>(
        apex: DnsName,
        content: Content,
        previous: u32,
        now: u64,
        limit: usize,
        sign: impl FnOnce(&RecordSet) -> Result<Option<RecordSet>, E>,
    ) -> Result<Self, E> {
        let serial = serial::next(previous, seconds(now));
        let signature = sign(&content.soa(&apex, serial))?;
        Ok(Self {
            apex,
            serial,
            made: now,
            content: Arc::new(content),
            signature: signature.map(Arc::new),
            differences: VecDeque::new(),
            limit,
        })
    }

    /// Takes the content of this moment; the parameters are those of [`Journal::start`]. After an error the
    /// journal is what it was.
    pub fn advance<E>(
        &mut self,
        content: Content,
        now: u64,
        sign: impl FnOnce(&RecordSet) -> Result<Option<RecordSet>, E>,
    ) -> Result<Step, E> {
        if content == *self.content {
            return Ok(Step::Unchanged);
        }
        // A clock that was set back must not stop the stream.
        let until = self.made.saturating_add(APART);
        if now < until && now >= self.made {
            return Ok(Step::Wait { until });
        }
        let next = serial::next(self.serial, seconds(now));
        let soa = content.soa(&self.apex, next);
        let signature = sign(&soa)?.map(Arc::new);
        let mut difference = Difference::between((&self.content, self.soa()), (&content, soa));
        difference.removed.extend(self.signature.clone());
        difference.added.extend(signature.clone());
        self.differences.push_back(Arc::new(difference));
        self.content = Arc::new(content);
        self.signature = signature;
        self.serial = next;
        self.made = now;
        self.forget();
        Ok(Step::Published { serial: next })
    }

    fn forget(&mut self) {
        let mut octets: usize = self.differences.iter().map(|difference| difference.octets()).sum();
        while octets > self.limit {
            let Some(oldest) = self.differences.pop_front() else {
                break;
            };
            octets -= oldest.octets();
        }
    }

    /// The name of the zone.
    pub fn apex(&self) -> &DnsName {
        &self.apex
    }

    /// The serial of the current version.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The content of the current version.
    pub fn content(&self) -> &Arc<Content> {
        &self.content
    }

    /// The signature of the start of authority of the current version, in a signed zone.
    pub fn signature(&self) -> Option<&Arc<RecordSet>> {
        self.signature.as_ref()
    }

    /// The start of authority of the current version.
    pub fn soa(&self) -> RecordSet {
        self.content.soa(&self.apex, self.serial)
    }

    /// What leads from a version to the current one.
    pub fn since(&self, version: u32) -> Since {
        // Also of one that is not comparable (RFC 1982 section 3.2): that is not one of ours.
        if version == self.serial || serial::is_newer(version, self.serial) {
            return Since::Current;
        }
        let is_start = |difference: &Arc<Difference>| serial_of(&difference.from) == Some(version);
        let Some(start) = self.differences.iter().position(is_start) else {
            return Since::Whole;
        };
        let mut row = self.differences.iter().skip(start);
        let Some(first) = row.next() else { return Since::Whole };
        let all = row.fold(Difference::clone(first), |all, next| all.then(next));
        if all.octets() > self.content.octets() {
            return Since::Whole;
        }
        Since::Difference(all)
    }
}

fn serial_of(soa: &RecordSet) -> Option<u32> {
    match soa.data.as_slice() {
        [RecordData::Soa(soa)] => Some(soa.serial),
        _ => None,
    }
}

fn seconds(now: u64) -> u32 {
    // Serial number arithmetic: the low 32 bits are what is wanted.
    ((now / 1000) & u64::from(u32::MAX)) as u32
}
