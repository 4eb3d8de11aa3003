//! What could be answered for a name, whatever happens to the sites.
//!
//! A routed name answers with another site when one fails. Whoever signs answers ahead must know all of
//! them before that: a failover is the worst moment to make signatures.
//!
//! What must stay true: no answer of this version of the zone, to any client and in any state of the
//! sites, has a set of that name and type that is not among these. Its TTL may differ, which is lowered
//! while a name is degraded and which signatures do not cover. Names that answer with all their sites at
//! once ([`Fallback::Always`]) have one site; if one has more, mixes of inside and outside are left out,
//! because there are two to the power of the sites of them. So it is where a policy answers with all sites
//! that serve: here are all of them, and all but one, which is the next failover.

use std::collections::BTreeSet;

use super::by_policy::only_once;
use super::choose::data_of;
use crate::zone::Found;
use crate::zone::node::Routed;
use crate::{DnsName, Fallback, RecordData, RecordSet, RecordType, Zone};

impl Zone {
    /// The sets that could be answered for that name and type: what is written there or at the wildcard
    /// that stands in for it, or what each site of a routed name offers, inside and outside, and the
    /// aliases that may stand in their place. Never empty sets; nothing for ANY.
    pub fn alternatives(&self, name: &DnsName, record_type: RecordType) -> Vec<RecordSet> {
        let node = match self.find(name, record_type) {
            Found::Exact(node) | Found::Wildcard { node, .. } => node,
            Found::Cut { .. } | Found::SubtreeAlias { .. } | Found::Missing { .. } => return Vec::new(),
        };
        let written = node.set(record_type).or(node.alias().map(|(set, _)| set));
        if let Some(set) = written {
            return vec![RecordSet {
                name: name.clone(),
                ..set.clone()
            }];
        }
        if record_type == RecordType::Soa && name == self.apex() {
            return vec![self.soa_set()];
        }
        let Some(routed) = node.routed() else {
            return Vec::new();
        };
        let may_alias = name != self.apex() && node.records.is_none();
        let set = |data| RecordSet::new(name.clone(), routed.name.ttl, data);
        of_routed(routed, may_alias, record_type).into_iter().map(set).collect()
    }
}

fn of_routed(routed: &Routed, may_alias: bool, record_type: RecordType) -> BTreeSet<Vec<RecordData>> {
    let name = &*routed.name;
    let mut all = BTreeSet::new();
    if name.fallback == Fallback::Always {
        for internal in [false, true] {
            let of_all = name.shards.values();
            all.insert(
                of_all
                    .flat_map(|shard| data_of(name, shard, record_type, internal))
                    .collect(),
            );
        }
    } else {
        let host_names = routed.host_names && may_alias;
        for shard in name.shards.values() {
            if host_names {
                all.extend(shard.host_name.iter().map(|host| vec![RecordData::Cname(host.clone())]));
            } else {
                all.extend([false, true].map(|internal| data_of(name, shard, record_type, internal)));
            }
        }
        let groups = name.policy.iter().flat_map(|policy| policy.groups());
        for group in groups.filter(|_| !host_names) {
            let members = || {
                name.shards
                    .iter()
                    .filter(|(site, _)| group.is_none_or(|group| group.contains(*site)))
            };
            let without = members().map(|(site, _)| Some(site)).chain([None]);
            for (without, internal) in without.flat_map(|site| [(site, false), (site, true)]) {
                let left = members().filter(|(site, _)| Some(*site) != without);
                let mut data: Vec<_> = left
                    .flat_map(|(_, shard)| data_of(name, shard, record_type, internal))
                    .collect();
                only_once(&mut data);
                all.insert(data);
            }
        }
        let target = name.fallback.target().filter(|_| may_alias);
        all.extend(target.map(|target| vec![RecordData::Cname(target.clone())]));
    }
    all.remove(&Vec::new());
    all
}
