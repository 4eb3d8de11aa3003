//! A journal as octets, for the leader to share and for replicas to follow.
//!
//! What must stay true: what is read is what was written, or an error that says why not. Octets from
//! anywhere never panic, and never make the reader reserve more than they are.
//!
//! The form: `MDNJ`, one octet of version, the fields in order, SHA-256 over all before. Numbers are big
//! endian. Refused: the wire form of a transfer. It has no time, no limit and no differences that are kept
//! apart, and compression makes it slow to check.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::content::{Content, SetKey};
use super::difference::Difference;
use super::journal::Journal;
use crate::record::octets::Octets;
use crate::{RecordData, RecordSet, RecordType, Soa};

const MAGIC: [u8; 4] = *b"MDNJ";
const VERSION: u8 = 1;
const CHECKSUM: usize = 32;

/// Why octets are no journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Something else.
    #[error("these octets are no transfer journal")]
    NotAJournal,
    /// Of a program that is newer than this one.
    #[error("the transfer journal has version {0}, and version {VERSION} is known here; update this replica")]
    Version(u8),
    /// Cut short or changed.
    #[error("the transfer journal is damaged; the leader writes it again with the next change")]
    Damaged,
}

impl Journal {
    /// The journal as octets.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        out.extend(self.serial.to_be_bytes());
        out.extend(self.made.to_be_bytes());
        out.extend((self.limit as u64).to_be_bytes());
        write_set(&mut out, &self.soa());
        write_sets(&mut out, self.signature.iter());
        write_sets(&mut out, self.content.sets());
        write_count(&mut out, self.differences.len());
        for difference in &self.differences {
            write_set(&mut out, &difference.from);
            write_set(&mut out, &difference.to);
            write_sets(&mut out, difference.removed.iter());
            write_sets(&mut out, difference.added.iter());
        }
        let checksum = Sha256::digest(&out);
        out.extend(checksum);
        out
    }

    /// The journal that these octets are.
    pub fn from_octets(octets: &[u8]) -> Result<Self, JournalError> {
        let (start, _) = octets.split_first_chunk::<5>().ok_or(JournalError::NotAJournal)?;
        if start[..4] != MAGIC {
            return Err(JournalError::NotAJournal);
        }
        if start[4] != VERSION {
            return Err(JournalError::Version(start[4]));
        }
        let whole = octets.split_last_chunk::<CHECKSUM>();
        let (body, checksum) = whole.ok_or(JournalError::Damaged)?;
        if Sha256::digest(body)[..] != checksum[..] {
            return Err(JournalError::Damaged);
        }
        read(body.get(5..).unwrap_or_default()).ok_or(JournalError::Damaged)
    }
}

fn write_count(out: &mut Vec<u8>, count: usize) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

fn write_sets<'a>(out: &mut Vec<u8>, sets: impl Iterator<Item = &'a Arc<RecordSet>> + Clone) {
    write_count(out, sets.clone().count());
    sets.for_each(|set| write_set(out, set));
}

fn write_set(out: &mut Vec<u8>, set: &RecordSet) {
    out.extend(set.name.to_octets());
    let record_type = set.record_type().unwrap_or(RecordType::Any);
    out.extend(record_type.number().to_be_bytes());
    out.extend(set.ttl.to_be_bytes());
    write_count(out, set.data.len());
    for data in &set.data {
        let octets = data.to_octets();
        write_count(out, octets.len());
        out.extend(octets);
    }
}

struct Reader<'a>(Octets<'a>);

impl Reader<'_> {
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.0.long()?).ok()
    }

    fn set(&mut self) -> Option<RecordSet> {
        let name = self.0.name()?;
        let record_type = RecordType::from(self.0.short()?);
        let ttl = self.0.long()?;
        let mut data = Vec::new();
        for _ in 0..self.count()? {
            let length = self.count()?;
            data.push(RecordData::from_octets(record_type, self.0.take(length)?)?);
        }
        Some(RecordSet::new(name, ttl, data))
    }

    fn sets(&mut self) -> Option<Vec<Arc<RecordSet>>> {
        let mut sets = Vec::new();
        for _ in 0..self.count()? {
            sets.push(Arc::new(self.set()?));
        }
        Some(sets)
    }
}

fn read(body: &[u8]) -> Option<Journal> {
    let mut from = Reader(Octets(body));
    let serial = from.0.long()?;
    let made = u64::from_be_bytes(from.0.array()?);
    let limit = usize::try_from(u64::from_be_bytes(from.0.array()?)).ok()?;
    let head = from.set()?;
    let [RecordData::Soa(soa)] = head.data.as_slice() else {
        return None;
    };
    let signature = from.sets()?.into_iter().next();
    let mut sets = BTreeMap::new();
    for set in from.sets()? {
        sets.insert(SetKey::of(&set)?, set);
    }
    let mut differences = VecDeque::new();
    for _ in 0..from.count()? {
        differences.push_back(Arc::new(Difference {
            from: Arc::new(from.set()?),
            to: Arc::new(from.set()?),
            removed: from.sets()?,
            added: from.sets()?,
        }));
    }
    let content = Content {
        soa: Soa {
            serial: 0,
            ..soa.clone()
        },
        soa_ttl: head.ttl,
        sets,
    };
    from.0.0.is_empty().then_some(Journal {
        apex: head.name,
        serial,
        made,
        content: Arc::new(content),
        signature,
        differences,
        limit,
    })
}
