//! Changing one name of a zone in the making, with everything that is counted beside it.
//!
//! What must stay true: a name is in the map exactly if it has data, is above one that has, or is the
//! apex; and the counts of TTLs, delegations and wildcards are those of the map.

use super::node::Node;
use super::{NameServer, Zone, address_of};
use crate::{DnsName, RecordData, RecordSet, RecordType};

impl Zone {
    pub(super) fn set_name_servers(&mut self, name_servers: Vec<NameServer>) {
        let before = std::mem::replace(&mut self.name_servers, name_servers);
        let named = before
            .iter()
            .chain(&self.name_servers)
            .map(|server| server.name.clone());
        let touched: Vec<_> = named.chain([self.apex.clone()]).collect();
        for name in touched {
            if name.is_at_or_below(&self.apex) {
                self.refresh(&name);
            }
        }
    }

    /// Makes a name's static sets anew from the head and the records.
    pub(super) fn refresh(&mut self, name: &DnsName) {
        let mut sets = self.head_sets(name);
        if let Some(dnssec) = self.dnssec.as_ref().filter(|_| *name == self.apex) {
            sets.extend(dnssec.apex_sets(name));
        }
        let is_new =
            |set: &&RecordSet, head: &[RecordSet]| head.iter().all(|own| own.record_type() != set.record_type());
        let written: Vec<_> = self
            .records
            .get(name)
            .iter()
            .filter(|set| is_new(set, &sets))
            .cloned()
            .collect();
        sets.extend(written);
        sets.sort_by_key(RecordSet::record_type);
        let records = (!sets.is_empty()).then(|| sets.into());
        self.change(name, |node| node.records = records);
    }

    /// What the zone's own fields say at a name: NS at the apex, and the addresses of name servers.
    fn head_sets(&self, name: &DnsName) -> Vec<RecordSet> {
        let mut sets = Vec::new();
        let mut push = |data: Vec<RecordData>| {
            if !data.is_empty() {
                sets.push(RecordSet::new(name.clone(), self.head_ttl(), data));
            }
        };
        if *name == self.apex {
            push(
                self.name_servers
                    .iter()
                    .map(|server| RecordData::Ns(server.name.clone()))
                    .collect(),
            );
        }
        let addresses = || {
            let own = self.name_servers.iter().filter(|server| server.name == *name);
            own.flat_map(|server| &server.addresses).copied()
        };
        push(
            addresses()
                .filter_map(|address| address_of(address, RecordType::A))
                .collect(),
        );
        push(
            addresses()
                .filter_map(|address| address_of(address, RecordType::Aaaa))
                .collect(),
        );
        sets
    }

    /// TTL of the zone's own records, in seconds.
    pub(super) fn head_ttl(&self) -> u32 {
        self.soa.refresh.min(3600)
    }

    pub(super) fn change(&mut self, name: &DnsName, edit: impl FnOnce(&mut Node)) {
        let before = self.nodes.get(name).cloned().unwrap_or_default();
        let mut after = before.clone();
        edit(&mut after);
        self.count_ttl(&before, -1);
        self.count_ttl(&after, 1);
        let step = i32::from(after.has_data()) - i32::from(before.has_data());
        self.put(name, &before, after);
        if step == 0 {
            return;
        }
        for above in name.ancestors().skip(1) {
            if above == self.apex || !above.is_at_or_below(&self.apex) {
                break;
            }
            let before = self.nodes.get(&above).cloned().unwrap_or_default();
            let mut after = before.clone();
            after.below = after.below.saturating_add_signed(step);
            self.put(&above, &before, after);
        }
    }

    fn put(&mut self, name: &DnsName, before: &Node, after: Node) {
        let existed = self.nodes.contains_key(name);
        let exists = after.has_data() || after.below > 0 || *name == self.apex;
        if name.is_wildcard() {
            self.wildcards = counted(self.wildcards, existed, exists);
        }
        let cuts =
            |node: &Node| node.subtree_alias().is_some() || (*name != self.apex && node.set(RecordType::Ns).is_some());
        self.cuts = counted(self.cuts, cuts(before), cuts(&after));
        if exists {
            self.nodes.insert_mut(name.clone(), after);
        } else {
            self.nodes.remove_mut(name);
        }
    }

    fn count_ttl(&mut self, node: &Node, step: i32) {
        let Some(routed) = &node.routed else { return };
        self.routed = self.routed.saturating_add_signed(step as isize);
        let ttl = routed.name.ttl;
        match self.ttls.get(&ttl).copied().unwrap_or(0).saturating_add_signed(step) {
            0 => self.ttls.remove_mut(&ttl),
            count => {
                self.ttls.insert_mut(ttl, count);
                true
            }
        };
    }
}

fn counted(count: u32, before: bool, after: bool) -> u32 {
    count.saturating_add_signed(i32::from(after) - i32::from(before))
}
