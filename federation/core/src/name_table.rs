//! Which service publishes which name, and what changed.
//!
//! The table keeps what each service last published, so that an update compares like with like and
//! only what differs wakes anybody. A name has one owner: a second service that claims a host name gets
//! an issue, and the name moves to it when the first lets go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meridian_dns_core::{DnsName, Fallback, NameChange, NameDelta, RoutedName};

use crate::{Issue, ServiceKey, World, discover};

/// The published names of all services.
#[derive(Debug, Default)]
pub struct NameTable {
    published: BTreeMap<ServiceKey, Published>,
    owners: BTreeMap<DnsName, Owners>,
    globals: usize,
}

#[derive(Debug, Default)]
struct Published {
    names: BTreeMap<DnsName, BTreeMap<DnsName, Arc<RoutedName>>>,
    issues: BTreeSet<Issue>,
}

impl Published {
    fn globals(&self) -> usize {
        let names = self.names.values().flat_map(BTreeMap::values);
        names
            .filter(|routed| matches!(routed.fallback, Fallback::Policy(_)))
            .count()
    }
}

/// The claims on a name: its owner, and those that would like it.
#[derive(Debug)]
struct Owners {
    owner: ServiceKey,
    waiting: BTreeSet<ServiceKey>,
}

impl NameTable {
    /// Finds the names of these services anew and returns what differs, by zone. Services that wait for a
    /// name which one of these lets go are found anew as well.
    pub fn update(&mut self, world: &World, keys: impl IntoIterator<Item = ServiceKey>) -> Vec<NameDelta> {
        let mut changes: BTreeMap<DnsName, BTreeMap<DnsName, NameChange>> = BTreeMap::new();
        let mut queue: BTreeSet<ServiceKey> = keys.into_iter().collect();
        while let Some(key) = queue.pop_first() {
            self.update_one(world, &key, &mut changes, &mut queue);
        }
        changes
            .into_iter()
            .filter(|(_, changes)| !changes.is_empty())
            .map(|(zone, changes)| NameDelta {
                zone,
                changes: changes.into_values().collect(),
            })
            .collect()
    }

    fn update_one(
        &mut self,
        world: &World,
        key: &ServiceKey,
        changes: &mut BTreeMap<DnsName, BTreeMap<DnsName, NameChange>>,
        queue: &mut BTreeSet<ServiceKey>,
    ) {
        let found = discover(world, key);
        let before = self.published.remove(key).unwrap_or_default();
        let mut after = Published {
            names: BTreeMap::new(),
            issues: found.issues,
        };
        for (zone, names) in found.names {
            let kept = after.names.entry(zone.clone()).or_default();
            for routed in names {
                if let Some(owner) = self.claim(&routed.name, key) {
                    after.issues.insert(Issue {
                        cluster: None,
                        reason: "NameTaken",
                        message: format!(
                            "{} already belongs to Service {}/{}",
                            routed.name, owner.namespace, owner.name
                        ),
                    });
                    continue;
                }
                let old = before.names.get(&zone).and_then(|names| names.get(&routed.name));
                let same = old.filter(|old| ***old == routed);
                let routed = same.cloned().unwrap_or_else(|| Arc::new(routed));
                if same.is_none() {
                    changes
                        .entry(zone.clone())
                        .or_default()
                        .insert(routed.name.clone(), NameChange::Set(routed.clone()));
                }
                kept.insert(routed.name.clone(), routed);
            }
        }
        for (zone, names) in &before.names {
            for name in names.keys() {
                if !after.names.get(zone).is_some_and(|kept| kept.contains_key(name)) {
                    // A name that moved to another zone, one with a longer name, is still this service's.
                    if !after.names.values().any(|kept| kept.contains_key(name)) {
                        queue.extend(self.release(name, key));
                    }
                    changes
                        .entry(zone.clone())
                        .or_default()
                        .insert(name.clone(), NameChange::Remove(name.clone()));
                }
            }
        }
        self.globals = (self.globals + after.globals()).saturating_sub(before.globals());
        if !after.names.is_empty() || !after.issues.is_empty() {
            self.published.insert(key.clone(), after);
        }
    }

    /// `None` if the name is now the claimant's, else its owner.
    fn claim(&mut self, name: &DnsName, claimant: &ServiceKey) -> Option<ServiceKey> {
        let owners = self.owners.entry(name.clone()).or_insert_with(|| Owners {
            owner: claimant.clone(),
            waiting: BTreeSet::new(),
        });
        if owners.owner == *claimant {
            return None;
        }
        owners.waiting.insert(claimant.clone());
        Some(owners.owner.clone())
    }

    /// Lets a name go; the services that waited for it claim again, in the order of their keys.
    fn release(&mut self, name: &DnsName, owner: &ServiceKey) -> BTreeSet<ServiceKey> {
        match self.owners.remove(name) {
            Some(owners) if owners.owner == *owner => owners.waiting,
            Some(others) => {
                self.owners.insert(name.clone(), others);
                BTreeSet::new()
            }
            None => BTreeSet::new(),
        }
    }

    /// How many names there are that nothing stands above: global names and host names.
    pub fn globals(&self) -> usize {
        self.globals
    }

    /// The service that has a name.
    pub fn owner(&self, name: &DnsName) -> Option<&ServiceKey> {
        self.owners.get(name).map(|owners| &owners.owner)
    }

    /// What is published under a name of a zone.
    pub fn get(&self, zone: &DnsName, name: &DnsName) -> Option<&Arc<RoutedName>> {
        let owner = &self.owners.get(name)?.owner;
        self.published.get(owner)?.names.get(zone)?.get(name)
    }

    /// Everything published in a zone, for a zone that appears again.
    pub fn names_in(&self, zone: &DnsName) -> Vec<NameChange> {
        self.published
            .values()
            .filter_map(|published| published.names.get(zone))
            .flat_map(|names| names.values().cloned().map(NameChange::Set))
            .collect()
    }

    /// What is wrong with a service.
    pub fn issues(&self, key: &ServiceKey) -> impl Iterator<Item = &Issue> {
        self.published
            .get(key)
            .into_iter()
            .flat_map(|published| &published.issues)
    }

    /// The names a service publishes, by zone.
    pub fn names_of(&self, key: &ServiceKey) -> impl Iterator<Item = &Arc<RoutedName>> {
        self.published
            .get(key)
            .into_iter()
            .flat_map(|published| published.names.values())
            .flat_map(BTreeMap::values)
    }
}
