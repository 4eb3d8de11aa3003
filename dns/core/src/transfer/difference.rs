//! What leads from one version of a zone to another (RFC 1995).
//!
//! What must stay true: a difference is of records, not of sets, so that one address that comes and goes
//! costs one record; where the TTL of a set changes, all its records go and come anew, because a set has
//! one TTL. Several differences in a row are one difference ([`Difference::then`]), and what came and went
//! between is not in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::{Content, SetKey, octets};
use crate::{RecordData, RecordSet};

/// The records that are gone and those that are new. The start of authority is not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The start of authority before, whole.
    pub from: Arc<RecordSet>,
    /// The start of authority after, whole.
    pub to: Arc<RecordSet>,
    /// Gone, in the order of names.
    pub removed: Vec<Arc<RecordSet>>,
    /// New, in the order of names.
    pub added: Vec<Arc<RecordSet>>,
}

impl Difference {
    /// Between two contents. The two sets are their starts of authority.
    pub(super) fn between(from: (&Content, RecordSet), to: (&Content, RecordSet)) -> Self {
        let ((before, from), (after, to)) = (from, to);
        let mut removed = Vec::new();
        let mut added = Vec::new();
        for (key, old) in &before.sets {
            match after.sets.get(key) {
                Some(new) if Arc::ptr_eq(old, new) || old == new => {}
                Some(new) if old.ttl == new.ttl => {
                    removed.extend(without(old, new));
                    added.extend(without(new, old));
                }
                other => {
                    removed.push(old.clone());
                    added.extend(other.cloned());
                }
            }
        }
        let new = after.sets.iter().filter(|(key, _)| !before.sets.contains_key(key));
        added.extend(new.map(|(_, set)| set.clone()));
        added.sort_by_cached_key(|set| SetKey::of(set));
        Self {
            from: Arc::new(from),
            to: Arc::new(to),
            removed,
            added,
        }
    }

    /// This difference and the one that follows, as one.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        // Each record that is there before and after, or neither, sums up to nothing.
        let mut sums: BTreeMap<(Option<SetKey>, u32), BTreeMap<&RecordData, i8>> = BTreeMap::new();
        for (sets, step) in [
            (&self.removed, -1),
            (&self.added, 1),
            (&next.removed, -1),
            (&next.added, 1),
        ] {
            for set in sets {
                let records = sums.entry((SetKey::of(set), set.ttl)).or_default();
                for data in &set.data {
                    *records.entry(data).or_default() += step;
                }
            }
        }
        let of = |sign: i8| {
            let sets = sums.iter().filter_map(|((key, ttl), records)| {
                let data: Vec<_> = records
                    .iter()
                    .filter(|(_, sum)| sum.signum() == sign)
                    .map(|(data, _)| (*data).clone())
                    .collect();
                let name = key.as_ref()?.name.clone();
                (!data.is_empty()).then(|| Arc::new(RecordSet::new(name, *ttl, data)))
            });
            sets.collect()
        };
        Self {
            from: self.from.clone(),
            to: next.to.clone(),
            removed: of(-1),
            added: of(1),
        }
    }

    /// Octets of the records, about as they are in memory and on the wire.
    pub fn octets(&self) -> usize {
        let sets = self.removed.iter().chain(&self.added);
        sets.chain([&self.from, &self.to]).map(|set| octets(set)).sum()
    }
}

/// The records of a set that the other does not have.
fn without(set: &RecordSet, other: &RecordSet) -> Option<Arc<RecordSet>> {
    // Both are sorted.
    let only: Vec<_> = set
        .data
        .iter()
        .filter(|data| other.data.binary_search(data).is_err())
        .cloned()
        .collect();
    (!only.is_empty()).then(|| Arc::new(RecordSet::new(set.name.clone(), set.ttl, only)))
}
