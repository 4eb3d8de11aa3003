//! The contents of a zone for a plain secondary.
//!
//! What must stay true: it is what a server without views and health would answer from, so that for a
//! zone without routed names its answers equal ours:
//! - the zone's own sets, static records and routed names, each set once;
//! - delegations with their DS, and of what lies below one only addresses that a delegation's NS leads to
//!   (RFC 5936 section 3.2 allows glue); the rest would never be answered, and some servers refuse it;
//! - nothing below a DNAME (RFC 6672 section 2.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::routed::RoutedNames;
use crate::zone::Found;
use crate::{DnsName, RecordData, RecordSet, RecordType, Snapshot, Soa, Zone};

/// Which set of a content it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetKey {
    /// Owner name.
    pub name: DnsName,
    /// Type of the data.
    pub record_type: RecordType,
    /// Of signatures, the type that they cover: each has a TTL of its own (RFC 4034 section 3).
    pub covers: Option<RecordType>,
}

impl SetKey {
    /// The key of a set; `None` for one without data.
    pub fn of(set: &RecordSet) -> Option<Self> {
        let data = set.data.first()?;
        let covers = match data {
            RecordData::Opaque(opaque) if opaque.record_type == RecordType::RRSIG => {
                let covered = opaque.octets.first_chunk::<2>()?;
                Some(RecordType::from(u16::from_be_bytes(*covered)))
            }
            _ => None,
        };
        Some(Self {
            name: set.name.clone(),
            record_type: data.record_type(),
            covers,
        })
    }
}

/// All sets of a zone at one moment, in the order of names, but for the start of authority, which is kept
/// beside them with serial 0: the serial belongs to the version, not to the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub(super) soa: Soa,
    pub(super) soa_ttl: u32,
    pub(super) sets: BTreeMap<SetKey, Arc<RecordSet>>,
}

impl Content {
    /// What a plain secondary of the zone receives; `None` if the zone is not there or not complete: a
    /// secondary would take what is not known for what is not there.
    pub fn of(snapshot: &Snapshot, apex: &DnsName, routed: &RoutedNames) -> Option<Self> {
        let zone = snapshot.zone(apex).filter(|zone| zone.complete())?;
        let mut content = Self::empty(zone);
        let view = routed.view(snapshot);
        let mut glue: BTreeSet<&DnsName> = BTreeSet::new();
        for (name, node) in zone.nodes() {
            // DS is asked for, so that a delegation is found itself.
            let Found::Exact(_) = zone.find(name, RecordType::Ds) else {
                continue;
            };
            let servers = node.set(RecordType::Ns);
            glue.extend(servers.iter().flat_map(|set| &set.data).filter_map(RecordData::target));
            if name != apex
                && let Some(servers) = servers
            {
                content.extend([servers.clone()]);
                content.extend(node.set(RecordType::Ds).cloned());
                continue;
            }
            content.extend(node.sets().iter().cloned());
            if let Some(routed) = node.routed() {
                let may_alias = name != apex && node.records.is_none();
                content.extend(view.sets(routed, may_alias));
            }
        }
        for name in glue {
            if name.is_at_or_below(apex) && matches!(zone.find(name, RecordType::A), Found::Cut { .. }) {
                content.extend(zone.glue(name).cloned());
            }
        }
        Some(content)
    }

    fn empty(zone: &Zone) -> Self {
        let set = zone.soa_set();
        Self {
            soa: Soa {
                serial: 0,
                ..zone.soa().clone()
            },
            soa_ttl: set.ttl,
            sets: BTreeMap::new(),
        }
    }

    pub(super) fn extend(&mut self, sets: impl IntoIterator<Item = RecordSet>) {
        for mut set in sets {
            // One set has one TTL (RFC 2181 section 5.2), whatever its state: that which signatures cover.
            set.ttl = set.original_ttl;
            set.data.sort();
            set.data.dedup();
            if let Some(key) = SetKey::of(&set) {
                self.sets.insert(key, Arc::new(set));
            }
        }
    }

    /// The start of authority with that serial.
    pub fn soa(&self, apex: &DnsName, serial: u32) -> RecordSet {
        let soa = Soa {
            serial,
            ..self.soa.clone()
        };
        RecordSet::new(apex.clone(), self.soa_ttl, vec![RecordData::Soa(soa)])
    }

    /// TTL of denials, in seconds (RFC 9077).
    pub fn negative_ttl(&self) -> u32 {
        self.soa_ttl.min(self.soa.minimum)
    }

    /// All sets but the start of authority.
    pub fn sets(&self) -> impl Iterator<Item = &Arc<RecordSet>> + Clone {
        self.sets.values()
    }

    /// The first set behind that one, to go through a content without holding on to it.
    pub fn after(&self, key: Option<&SetKey>) -> Option<(&SetKey, &Arc<RecordSet>)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = key.map_or(Unbounded, Excluded);
        self.sets.range((start, Unbounded)).next()
    }

    /// The set of that key.
    pub fn get(&self, key: &SetKey) -> Option<&Arc<RecordSet>> {
        self.sets.get(key)
    }

    /// Octets of all sets, about as they are in memory and on the wire.
    pub fn octets(&self) -> usize {
        self.sets.values().map(|set| octets(set)).sum()
    }
}

/// About what a set takes.
pub(super) fn octets(set: &RecordSet) -> usize {
    let each = set.name.as_str().len() + 12;
    set.data
        .iter()
        .map(|data| {
            each + match data {
                RecordData::A(_) => 4,
                RecordData::Aaaa(_) => 16,
                RecordData::Opaque(opaque) => opaque.octets.len(),
                other => other.to_octets().len(),
            }
        })
        .sum()
}
