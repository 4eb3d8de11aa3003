//! What a routed name looks like to a server that knows neither clients nor health.
//!
//! What must stay true: whatever is chosen, a name that is not empty for our own clients is not empty here:
//! the fall-backs are those of an answer (invariant 3). Of one client it *is* the answer to that client.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::answer::choose::{addresses, answerable, https};
use crate::zone::address_of;
use crate::zone::node::{ROUTED_TYPES, Routed};
use crate::{
    Client, DnsName, Fallback, Question, RecordData, RecordSet, RecordType, RoutedName, Shard, ShardData, ShardHealth,
    SiteName, Snapshot, WhenNoneHealthy, answer,
};

/// What a plain secondary is told of routed names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RoutedNames {
    /// The addresses, services and bindings of all sites that serve, together.
    #[default]
    AllHealthy,
    /// What a client at this address is told.
    Client(IpAddr),
    /// What the clients of this site's own listener are told.
    Site(SiteName),
}

/// The choice, for one snapshot.
pub(super) struct View<'a> {
    snapshot: &'a Snapshot,
    client: Option<Client<'a>>,
}

impl RoutedNames {
    pub(super) fn view<'a>(&'a self, snapshot: &'a Snapshot) -> View<'a> {
        let client = match self {
            Self::AllHealthy => None,
            Self::Client(address) => Some(Client::at(*address)),
            Self::Site(site) => Some(Client {
                site: Some(site),
                ..Client::at(IpAddr::from([0, 0, 0, 0]))
            }),
        };
        View { snapshot, client }
    }
}

impl View<'_> {
    /// The sets of a routed name. `may_alias` says whether an alias can stand there.
    pub(super) fn sets(&self, routed: &Routed, may_alias: bool) -> Vec<RecordSet> {
        match self.client {
            Some(client) => self.answered(&routed.name.name, client),
            None => self.together(routed, may_alias),
        }
    }

    fn answered(&self, name: &DnsName, client: Client<'_>) -> Vec<RecordSet> {
        let mut sets = Vec::new();
        for record_type in ROUTED_TYPES {
            let question = Question {
                name: name.clone(),
                record_type,
            };
            let first = answer(self.snapshot, &question, client).answers.into_iter().next();
            let Some(set) = first.filter(|set| set.name == *name) else {
                continue;
            };
            if set.record_type() == Some(RecordType::Cname) {
                return vec![set];
            }
            sets.push(set);
        }
        sets
    }

    fn together(&self, routed: &Routed, may_alias: bool) -> Vec<RecordSet> {
        let name = &*routed.name;
        let set = |data| RecordSet::new(name.name.clone(), name.ttl, data);
        let sites = self.snapshot.sites();
        let all: Vec<(&SiteName, &Shard)> = name.shards.iter().collect();
        if name.fallback == Fallback::Always {
            return types(name, &[&all]).map(set).collect();
        }
        let flattened = all.iter().any(|(_, shard)| answerable(shard, name));
        let by_host_name = routed.host_names && may_alias && !flattened;
        let serves = |(site, shard): &&(&SiteName, &Shard)| {
            let usable = by_host_name || answerable(shard, name);
            shard.health == ShardHealth::Healthy && usable && sites.takes_clients(site)
        };
        let active: Vec<_> = all.iter().filter(|(site, _)| !sites.drained(site)).copied().collect();
        let serving: Vec<_> = all.iter().filter(serves).copied().collect();
        let target = name.fallback.target();
        if let Some(target) = target.filter(|_| may_alias && serving.is_empty()) {
            return vec![set(vec![RecordData::Cname(target.clone())])];
        }
        let open = name.fallback == Fallback::Policy(WhenNoneHealthy::FailOpen) || target.is_some() && !may_alias;
        let tiers: &[&[_]] = if open { &[&serving, &active, &all] } else { &[&serving] };
        if by_host_name {
            // There can be one alias: the heaviest site's, of equals the first by name.
            let weight = |site: &SiteName| sites.get(site).map_or(0, |site| site.weight);
            let best = tiers.iter().find(|tier| !tier.is_empty());
            let heaviest = best.and_then(|tier| tier.iter().rev().max_by_key(|(site, _)| weight(site)));
            let host = heaviest.and_then(|(_, shard)| shard.host_name.clone());
            return host
                .map(|host| set(vec![RecordData::Cname(host)]))
                .into_iter()
                .collect();
        }
        types(name, tiers).map(set).collect()
    }
}

/// Of each type the data of all sites of the first tier that has any.
fn types<'a>(
    name: &'a RoutedName,
    tiers: &'a [&'a [(&'a SiteName, &'a Shard)]],
) -> impl Iterator<Item = Vec<RecordData>> + 'a {
    ROUTED_TYPES.into_iter().filter_map(move |record_type| {
        let of = |tier: &&[(&SiteName, &Shard)]| -> BTreeSet<RecordData> {
            tier.iter()
                .flat_map(|(_, shard)| data(name, shard, record_type))
                .collect()
        };
        let first = tiers.iter().map(of).find(|data| !data.is_empty())?;
        Some(first.into_iter().collect())
    })
}

/// What a site has of a type, for strangers.
fn data(name: &RoutedName, shard: &Shard, record_type: RecordType) -> Vec<RecordData> {
    match (&shard.data, record_type) {
        (ShardData::Addresses(_), RecordType::A | RecordType::Aaaa) => addresses(shard, name, record_type, false)
            .filter_map(|address| address_of(address, record_type))
            .collect(),
        (ShardData::Addresses(_), RecordType::Https) if answerable(shard, name) => {
            let service = name.https.iter();
            service.map(|service| https(service, name, shard, false)).collect()
        }
        (ShardData::Services(services), RecordType::Srv) => services.iter().cloned().map(RecordData::Srv).collect(),
        _ => Vec::new(),
    }
}
