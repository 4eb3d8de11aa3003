//! One name of a zone: what is there, and what can be said of it before anybody asks.

use std::sync::Arc;

use crate::static_records::take_the_place_of_routed;
use crate::{DnsName, RecordData, RecordSet, RecordType, RoutedName, ShardHealth};

/// A routed name, and what follows from it whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    pub(crate) name: Arc<RoutedName>,
    /// Every site is healthy for this name and has something to answer.
    pub(crate) settled: bool,
    /// Some site has internal addresses.
    pub(crate) internal: bool,
    /// Every site has a host name.
    pub(crate) host_names: bool,
}

impl Routed {
    pub(crate) fn new(name: Arc<RoutedName>) -> Self {
        let shards = || name.shards.values();
        Self {
            settled: shards().all(|shard| shard.health == ShardHealth::Healthy && shard.offers()),
            internal: shards().any(|shard| !shard.internal.is_empty()),
            host_names: name.every_site_has_host_name(),
            name,
        }
    }
}

/// What stands at a name, and how many names with data lie below it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) routed: Option<Routed>,
    /// Static sets, by type; never empty.
    pub(crate) records: Option<Arc<[RecordSet]>>,
    pub(crate) below: u32,
}

impl Node {
    pub(crate) fn has_data(&self) -> bool {
        self.routed.is_some() || self.records.is_some()
    }

    /// The static sets, by type.
    pub(crate) fn sets(&self) -> &[RecordSet] {
        self.records.as_deref().unwrap_or_default()
    }

    /// The static set of a type.
    pub(crate) fn set(&self, record_type: RecordType) -> Option<&RecordSet> {
        self.sets().iter().find(|set| set.record_type() == Some(record_type))
    }

    /// The target of a static alias.
    pub(crate) fn alias(&self) -> Option<(&RecordSet, &DnsName)> {
        match self.sets() {
            [set] => match set.data.as_slice() {
                [RecordData::Cname(target)] => Some((set, target)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The target of a DNAME.
    pub(crate) fn subtree_alias(&self) -> Option<(&RecordSet, &DnsName)> {
        let set = self.set(RecordType::Dname)?;
        match set.data.as_slice() {
            [RecordData::Dname(target)] => Some((set, target)),
            _ => None,
        }
    }

    /// The routed name, unless static records take its place.
    pub(crate) fn routed(&self) -> Option<&Routed> {
        self.routed.as_ref().filter(|_| !self.hides_routed())
    }

    pub(crate) fn hides_routed(&self) -> bool {
        take_the_place_of_routed(self.sets())
    }
}

/// Whether routed names have records of that type.
pub(crate) fn is_routed_type(record_type: RecordType) -> bool {
    ROUTED_TYPES.contains(&record_type)
}

/// The types that routed names have records of, in the order of their numbers.
pub(crate) const ROUTED_TYPES: [RecordType; 4] = [RecordType::A, RecordType::Aaaa, RecordType::Srv, RecordType::Https];
