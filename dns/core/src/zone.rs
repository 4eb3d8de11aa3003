//! A zone: its apex, its name servers and its routed names.
//!
//! A zone is an immutable value; [`Zone::with`] makes the next version in time proportional to the
//! names that changed, because the maps share structure (a hash trie). Readers keep the version they
//! have. Empty non-terminals (RFC 4592 section 2.2.2) are counted as names come and go, so that
//! "exists, but has nothing" never needs a search.

use std::net::IpAddr;
use std::sync::Arc;

use rpds::HashTrieMapSync;

use crate::snapshot::NameChange;
use crate::{DnsName, RecordData, RecordSet, RoutedName, Soa};

/// A name server of the zone, with addresses where its name lies in the zone (glue).
#[derive(Debug, Clone, PartialEq, Eq)]
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
    complete: bool,
    names: HashTrieMapSync<DnsName, Arc<RoutedName>>,
    /// How many names lie below each name that is neither the apex nor above it.
    below: HashTrieMapSync<DnsName, u32>,
}

impl Zone {
    /// A zone without routed names. It is not complete: see [`Zone::complete`].
    pub fn new(apex: DnsName, soa: Soa, name_servers: Vec<NameServer>) -> Self {
        let names = HashTrieMapSync::new_sync();
        let mut below = HashTrieMapSync::new_sync();
        for server in &name_servers {
            if server.name.is_at_or_below(&apex) {
                count_below(&mut below, &apex, &server.name, 1);
            }
        }
        Self {
            soa,
            apex,
            name_servers,
            complete: false,
            names,
            below,
        }
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

    /// Whether every cluster of the fleet has been listed since the start. Until then a name that is
    /// not here may exist all the same, and gets SERVFAIL instead of NXDOMAIN (invariant: unknown is
    /// not empty).
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// The routed name of exactly this name.
    pub fn name(&self, name: &DnsName) -> Option<&Arc<RoutedName>> {
        self.names.get(name)
    }

    /// True for the apex, for every name with data, and for every name above one.
    pub fn exists(&self, name: &DnsName) -> bool {
        *name == self.apex
            || self.names.contains_key(name)
            || self.below.contains_key(name)
            || self.name_servers.iter().any(|server| server.name == *name)
    }

    /// How many routed names there are.
    pub fn len(&self) -> usize {
        self.names.size()
    }

    /// True without routed names.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All routed names, in the order of names.
    pub fn names(&self) -> Vec<&Arc<RoutedName>> {
        let mut all: Vec<_> = self.names.values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The next version: the changes laid over this one, with that serial. Changes to names outside
    /// the zone are ignored.
    pub fn with<'a>(&self, changes: impl IntoIterator<Item = &'a NameChange>, serial: u32) -> Self {
        let mut next = self.clone();
        next.soa.serial = serial;
        for change in changes {
            match change {
                NameChange::Set(routed) if routed.name.is_at_or_below(&self.apex) => {
                    if !next.names.contains_key(&routed.name) {
                        count_below(&mut next.below, &self.apex, &routed.name, 1);
                    }
                    next.names.insert_mut(routed.name.clone(), routed.clone());
                }
                NameChange::Remove(name) if next.names.remove_mut(name) => {
                    count_below(&mut next.below, &self.apex, name, -1);
                }
                NameChange::Set(_) | NameChange::Remove(_) => {}
            }
        }
        next
    }

    /// This version, known or not known to be complete.
    #[must_use]
    pub fn with_complete(mut self, complete: bool) -> Self {
        self.complete = complete;
        self
    }

    /// This version under new head data; the routed names stay.
    #[must_use]
    pub fn with_head(&self, soa: Soa, name_servers: Vec<NameServer>) -> Self {
        let names: Vec<_> = self
            .names
            .values()
            .map(|routed| NameChange::Set(routed.clone()))
            .collect();
        let serial = soa.serial;
        Self::new(self.apex.clone(), soa, name_servers)
            .with(&names, serial)
            .with_complete(self.complete)
    }

    pub(crate) fn soa_set(&self) -> RecordSet {
        // RFC 2308 section 3: a negative answer lives no longer than the smaller of the two.
        let ttl = self.soa.minimum;
        RecordSet {
            name: self.apex.clone(),
            ttl,
            data: vec![RecordData::Soa(self.soa.clone())],
        }
    }
}

fn count_below(below: &mut HashTrieMapSync<DnsName, u32>, apex: &DnsName, name: &DnsName, step: i32) {
    for above in name
        .ancestors()
        .skip(1)
        .take_while(|above| above != apex && above.is_at_or_below(apex))
    {
        let count = below.get(&above).copied().unwrap_or(0).saturating_add_signed(step);
        if count == 0 {
            below.remove_mut(&above);
        } else {
            below.insert_mut(above, count);
        }
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
