//! A zone: its head, its routed names and its static records.
//!
//! A zone is an immutable value; [`Zone::with`] makes the next version in time proportional to the
//! names that changed, because the maps share structure (hash and red-black trees). Readers keep the
//! version they have. Names above a name with data exist too (empty non-terminals, RFC 4592 section
//! 2.2.2); they are counted as names come and go, so that "exists, but has nothing" never needs a
//! search.

mod edit;
mod find;
pub(crate) mod node;

use std::net::IpAddr;
use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use serde::{Deserialize, Serialize};

pub(crate) use self::find::Found;
use self::node::{Node, Routed};
use crate::snapshot::NameChange;
use crate::{ClientNetwork, DnsName, Dnssec, RecordData, RecordSet, RecordType, RoutedName, Soa, StaticRecords};

/// The lowest TTL that halving leads to, in seconds, where a zone does not say otherwise.
pub const MINIMUM_TTL: u32 = 5;

/// A name server of the zone, with addresses where its name lies in the zone (glue).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameServer {
    /// Its name.
    pub name: DnsName,
    /// Its addresses; needed when the name lies in the zone.
    pub addresses: Vec<IpAddr>,
}

/// One version of a zone.
#[derive(Debug, Clone)]
pub struct Zone {
    soa: Soa,
    apex: DnsName,
    name_servers: Vec<NameServer>,
    minimum_ttl: u32,
    complete: bool,
    networks: Arc<[ClientNetwork]>,
    dnssec: Option<Arc<Dnssec>>,
    keys_awaited: bool,
    in_stream: bool,
    records: Arc<StaticRecords>,
    /// Every name with data, every name above one, and the apex.
    nodes: HashTrieMapSync<DnsName, Node>,
    /// How many routed names there are of each TTL.
    ttls: RedBlackTreeMapSync<u32, u32>,
    routed: usize,
    /// How many names are delegations or have a DNAME.
    cuts: u32,
    /// How many names are wildcards.
    wildcards: u32,
}

impl Zone {
    /// A zone without routed names and static records. It is not complete: see [`Zone::complete`].
    pub fn new(apex: DnsName, soa: Soa, name_servers: Vec<NameServer>) -> Self {
        let mut zone = Self {
            soa,
            apex: apex.clone(),
            name_servers: Vec::new(),
            minimum_ttl: MINIMUM_TTL,
            complete: false,
            networks: Arc::default(),
            dnssec: None,
            keys_awaited: false,
            in_stream: false,
            records: Arc::default(),
            nodes: HashTrieMapSync::new_sync(),
            ttls: RedBlackTreeMapSync::new_sync(),
            routed: 0,
            cuts: 0,
            wildcards: 0,
        };
        zone.nodes.insert_mut(apex, Node::default());
        zone.set_name_servers(name_servers);
        zone
    }

    /// The name of the zone.
    pub fn apex(&self) -> &DnsName {
        &self.apex
    }

    /// The start of authority of this version.
    pub fn soa(&self) -> &Soa {
        &self.soa
    }

    /// The zone's name servers.
    pub fn name_servers(&self) -> &[NameServer] {
        &self.name_servers
    }

    /// The static records, as they were written.
    pub fn records(&self) -> &Arc<StaticRecords> {
        &self.records
    }

    /// The lowest TTL in seconds that halving leads to.
    pub fn minimum_ttl(&self) -> u32 {
        self.minimum_ttl
    }

    /// Networks whose clients are nearest to certain sites, for names of this zone.
    pub fn networks(&self) -> &Arc<[ClientNetwork]> {
        &self.networks
    }

    /// Whether every cluster of the fleet has been listed since the start. Until then a name that is
    /// not here may exist all the same, and gets SERVFAIL instead of NXDOMAIN (invariant: unknown is
    /// not empty).
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// The routed name of exactly this name.
    pub fn name(&self, name: &DnsName) -> Option<&Arc<RoutedName>> {
        self.nodes.get(name)?.routed.as_ref().map(|routed| &routed.name)
    }

    /// True for the apex, for every name with data, and for every name above one.
    pub fn exists(&self, name: &DnsName) -> bool {
        self.nodes.contains_key(name)
    }

    /// How many routed names there are.
    pub fn len(&self) -> usize {
        self.routed
    }

    /// True without routed names.
    pub fn is_empty(&self) -> bool {
        self.routed == 0
    }

    /// Every name with what stands there, in no order.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&DnsName, &Node)> {
        self.nodes.iter()
    }

    /// All routed names, in the order of names.
    pub fn names(&self) -> Vec<&Arc<RoutedName>> {
        let mut all: Vec<_> = self
            .nodes
            .values()
            .filter_map(|node| node.routed.as_ref().map(|routed| &routed.name))
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The next version: the changes laid over this one, with that serial. Changes to names outside
    /// the zone are ignored.
    #[must_use]
    pub fn with<'a>(&self, changes: impl IntoIterator<Item = &'a NameChange>, serial: u32) -> Self {
        let mut next = self.clone();
        next.soa.serial = serial;
        next.in_stream = false;
        for change in changes {
            if change.name().is_at_or_below(&self.apex) {
                let routed = match change {
                    NameChange::Set(routed) => Some(Routed::new(routed.clone())),
                    NameChange::Remove(_) => None,
                };
                next.change(change.name(), |node| node.routed = routed);
            }
        }
        next
    }

    /// The next version with these static records instead of the ones before, and that serial.
    #[must_use]
    pub fn with_records(&self, records: Arc<StaticRecords>, serial: u32) -> Self {
        let mut next = self.clone();
        next.soa.serial = serial;
        next.in_stream = false;
        let before = std::mem::replace(&mut next.records, records.clone());
        for name in records.differing(&before) {
            next.refresh(name);
        }
        next
    }

    /// This version with that serial: that of the zone's stream of transfers, see [`crate::transfer`].
    #[must_use]
    pub fn with_serial(mut self, serial: u32) -> Self {
        self.soa.serial = serial;
        self.in_stream = true;
        self
    }

    /// Whether its serial is that of its stream of transfers. Such a serial is never made up, also not by one
    /// who reads the zone from a file.
    pub fn in_stream(&self) -> bool {
        self.in_stream
    }

    /// This version, known or not known to be complete.
    #[must_use]
    pub fn with_complete(mut self, complete: bool) -> Self {
        self.complete = complete;
        self
    }

    /// How the zone is signed; `None` for a zone that is not.
    pub fn dnssec(&self) -> Option<&Arc<Dnssec>> {
        self.dnssec.as_ref()
    }

    /// The next version, signed like that, with that serial. Keys, their CDS and CDNSKEY, and NSEC3PARAM
    /// are sets of the apex from now on.
    #[must_use]
    pub fn with_dnssec(&self, dnssec: Option<Arc<Dnssec>>, serial: u32) -> Self {
        let mut next = self.clone();
        next.soa.serial = serial;
        next.in_stream = false;
        next.dnssec = dnssec;
        next.refresh(&self.apex);
        next
    }

    /// This version with those networks.
    #[must_use]
    pub fn with_networks(mut self, networks: Arc<[ClientNetwork]>) -> Self {
        self.networks = networks;
        self
    }

    /// Whether the zone must be signed with keys that are not known yet. Until they are, everything in it
    /// gets SERVFAIL: an unsigned answer below a DS is bogus, and stays in caches as such.
    pub fn keys_awaited(&self) -> bool {
        self.keys_awaited
    }

    /// This version, waiting or not waiting for its keys.
    #[must_use]
    pub fn with_keys_awaited(mut self, awaited: bool) -> Self {
        self.keys_awaited = awaited;
        self
    }

    /// The largest TTL of any set of the zone, in seconds, but for those of its keys.
    pub fn longest_ttl(&self) -> u32 {
        let routed = self.ttls.last().map_or(0, |(ttl, _)| *ttl);
        let records = self.records.iter().flat_map(|(_, sets)| sets.iter());
        let written = records.map(|set| set.ttl.max(set.original_ttl)).max();
        routed
            .max(written.unwrap_or(0))
            .max(self.head_ttl())
            .max(self.soa.minimum)
    }

    /// This version with that lowest TTL in seconds.
    #[must_use]
    pub fn with_minimum_ttl(mut self, seconds: u32) -> Self {
        self.minimum_ttl = seconds;
        self
    }

    /// This version under new head data; names and records stay.
    #[must_use]
    pub fn with_head(&self, soa: Soa, name_servers: Vec<NameServer>) -> Self {
        let mut next = self.clone();
        next.soa = soa;
        next.in_stream = false;
        next.set_name_servers(name_servers);
        next
    }

    /// The SOA as an answer to a question for it.
    pub(crate) fn soa_set(&self) -> RecordSet {
        RecordSet::new(
            self.apex.clone(),
            self.head_ttl(),
            vec![RecordData::Soa(self.soa.clone())],
        )
    }

    /// The SOA of a negative answer. It lives no longer than the smaller of its own TTL and its minimum
    /// (RFC 2308 section 3), nor than any routed name: a name that comes back must not be hidden by
    /// what was cached before (in the spirit of RFC 9077).
    pub(crate) fn negative_soa_set(&self) -> RecordSet {
        let mut set = self.soa_set();
        let routed = self.ttls.first().map_or(u32::MAX, |(ttl, _)| *ttl);
        set.ttl = set.ttl.min(self.soa.minimum).min(routed);
        set
    }

    /// What is sent for a routed TTL: half while degraded, but never below the zone's minimum, and never
    /// above the TTL itself.
    pub(crate) fn served_ttl(&self, ttl: u32, degraded: bool) -> u32 {
        if degraded {
            (ttl / 2).max(self.minimum_ttl).min(ttl)
        } else {
            ttl
        }
    }
}

/// An address as data of that type, if it is of its family.
pub(crate) fn address_of(address: IpAddr, record_type: RecordType) -> Option<RecordData> {
    match (address, record_type) {
        (IpAddr::V4(v4), RecordType::A) => Some(RecordData::A(v4)),
        (IpAddr::V6(v6), RecordType::Aaaa) => Some(RecordData::Aaaa(v6)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Fallback, WhenNoneHealthy};

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).expect("a valid name")
    }

    fn zone() -> Zone {
        let soa = Soa {
            primary: name("ns1.example.test"),
            mailbox: name("hostmaster.example.test"),
            serial: 1,
            refresh: 1,
            retry: 1,
            expire: 1,
            minimum: 5,
        };
        Zone::new(name("example.test"), soa, Vec::new())
    }

    fn set(text: &str) -> NameChange {
        NameChange::Set(Arc::new(RoutedName {
            name: name(text),
            ttl: 30,
            shards: BTreeMap::new(),
            fallback: Fallback::Policy(WhenNoneHealthy::FailOpen),
            ipv6: false,
            https: None,
            policy: None,
        }))
    }

    #[test]
    fn empty_non_terminals_come_and_go_with_the_names_below() {
        let one = zone().with(&[set("a.b.c.example.test"), set("x.b.c.example.test")], 2);
        assert!(one.exists(&name("b.c.example.test")) && one.exists(&name("c.example.test")));
        assert!(!one.exists(&name("d.c.example.test")) && !one.exists(&name("test")));
        let two = one.with(&[NameChange::Remove(name("a.b.c.example.test"))], 3);
        assert!(two.exists(&name("b.c.example.test")));
        let three = two.with(&[NameChange::Remove(name("x.b.c.example.test"))], 4);
        assert!(!three.exists(&name("b.c.example.test")) && !three.exists(&name("c.example.test")));
        assert!(three.is_empty() && three.exists(&name("example.test")));
        // The versions before are untouched.
        assert_eq!((one.len(), two.len(), one.soa().serial), (2, 1, 2));
    }

    #[test]
    fn the_longest_ttl_is_that_of_the_longest_lived_set() {
        let mut soa = zone().soa().clone();
        let longest = |zone: &Zone| zone.longest_ttl();
        assert_eq!(longest(&zone()), 5);
        assert_eq!(longest(&zone().with(&[set("a.example.test")], 2)), 30);
        soa.refresh = 900;
        assert_eq!(longest(&zone().with_head(soa.clone(), Vec::new())), 900);
        soa.minimum = 4000;
        assert_eq!(longest(&zone().with_head(soa, Vec::new())), 4000);
        let record = RecordSet::new(
            name("b.example.test"),
            86_400,
            vec![RecordData::A([192, 0, 2, 1].into())],
        );
        let records = StaticRecords::new(&name("example.test"), [record]).expect("records");
        assert_eq!(longest(&zone().with_records(Arc::new(records), 2)), 86_400);
    }

    #[test]
    fn setting_twice_and_removing_what_is_not_there_change_no_counts() {
        let zone = zone().with(
            &[
                set("a.b.example.test"),
                set("a.b.example.test"),
                set("a.elsewhere.test"),
            ],
            2,
        );
        let zone = zone.with(
            &[
                NameChange::Remove(name("z.b.example.test")),
                NameChange::Remove(name("a.b.example.test")),
            ],
            3,
        );
        assert!(!zone.exists(&name("b.example.test")));
    }
}
