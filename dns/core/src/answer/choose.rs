//! Which site answers for a routed name.
//!
//! Whether there is data of a type, and whether the name is an alias, never depends on the client: a
//! class is an order of *all* sites, and internal addresses only stand in for public ones of the same
//! family. So a negative answer can be cached for everybody.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::trace::{PassedOver, Silent, Step, Trace};
use crate::policy::Asker;
use crate::record::parameter;
use crate::zone::address_of;
use crate::zone::node::{ROUTED_TYPES, Routed};
use crate::{
    DnsName, Fallback, HttpsService, RecordData, RecordType, RoutedName, Shard, ShardData, ShardHealth, SiteName,
    Sites, Svcb, WhenNoneHealthy,
};

/// What a routed name answers.
pub(super) enum Choice {
    /// Data of the type; may be empty.
    Data(Vec<RecordData>),
    /// An alias to the chosen site's host name.
    HostName(DnsName),
    /// No site serves: an alias to another name.
    Fallback(DnsName),
}

/// By what a choice is made: who asks, the state of sites, and the sites whose internal addresses the
/// client is told.
#[derive(Clone, Copy)]
pub(super) struct Chooser<'a> {
    pub(super) asker: Asker<'a>,
    pub(super) internal: &'a [SiteName],
}

pub(super) type Candidate<'a> = (&'a SiteName, &'a Shard);

impl<'a> Chooser<'a> {
    /// Chooses for one type. `may_alias` says whether an alias can stand at the name: not at the apex,
    /// nor beside other data.
    pub(super) fn choose(
        &self,
        routed: &'a Routed,
        may_alias: bool,
        record_type: RecordType,
        trace: &mut impl Trace,
    ) -> Choice {
        let name = &*routed.name;
        if name.fallback == Fallback::Always {
            let of_all = name.shards.iter().flat_map(|shard| self.data(name, shard, record_type));
            return Choice::Data(of_all.collect());
        }
        if let Some(policy) = &name.policy {
            return self.choose_by_policy(policy, routed, may_alias, record_type, trace);
        }
        let rules = Rules::new(routed, may_alias, record_type, self.asker.sites);
        let in_order = || {
            let order = self.asker.class.order(self.asker.classes.default_order());
            order.filter_map(|site| name.shards.get_key_value(site))
        };
        let serves = |(site, shard): &Candidate<'_>| rules.serves(site, shard);
        let mut serving = in_order().filter(serves).peekable();
        let target = name.fallback.target();
        let anybody = serving.peek().is_some();
        if !anybody {
            trace.step(|| Step::NoneServes(name.name.clone()));
        }
        let fits = |(_, shard): &Candidate<'_>| rules.fits(shard);
        let mut fallback = None;
        let chosen = if rules.fail_open {
            // No alias can follow, so each type may come from another site: a site with IPv6 alone must
            // not leave the IPv4 clients with nothing.
            let active = in_order().filter(|(site, _)| !self.asker.sites.drained(site));
            serving.chain(active).chain(in_order()).find(fits)
        } else if anybody {
            serving.find(fits)
        } else {
            fallback = target;
            None
        };
        if trace.listens() {
            let good = chosen.as_ref().is_some_and(serves);
            let why_not = |candidate: Candidate<'_>| {
                let (site, shard) = candidate;
                (!(serves(&candidate) && fits(&candidate))).then(|| self.why_not(site, shard, rules.usable(shard)))
            };
            self.tell(in_order(), why_not, chosen.as_slice(), good, trace);
        }
        match (chosen, fallback) {
            (None, Some(target)) => Choice::Fallback(target.clone()),
            (None, None) => Choice::Data(Vec::new()),
            (Some((_, shard)), _) if rules.host_names => match &shard.host_name {
                Some(host) => Choice::HostName(host.clone()),
                None => Choice::Data(Vec::new()),
            },
            (Some(candidate), _) => Choice::Data(self.data(name, candidate, record_type)),
        }
    }

    /// Tells who was passed over, who was chosen, and who would be next. Where the chosen are only the best
    /// that is left, all the others are passed over, since none serves. `why_not` gives nothing for a site that
    /// would do.
    pub(super) fn tell(
        &self,
        in_order: impl Iterator<Item = Candidate<'a>>,
        why_not: impl Fn(Candidate<'a>) -> Option<PassedOver>,
        chosen: &[Candidate<'a>],
        serves: bool,
        trace: &mut impl Trace,
    ) {
        let (from, _) = self.asker.position();
        let distance_km = |site: &SiteName| self.asker.distance_km(from, site);
        let (mut left, mut reserve) = (chosen.len(), Vec::new());
        for (site, shard) in in_order {
            if chosen.iter().any(|(other, _)| *other == site) {
                left -= 1;
            } else if left > 0 || !serves {
                trace.step(|| Step::PassedOver {
                    site: site.clone(),
                    distance_km: distance_km(site),
                    why: why_not((site, shard)).unwrap_or(PassedOver::NoSuchType),
                });
            } else {
                reserve.push((site, shard));
            }
        }
        for (site, shard) in chosen {
            trace.step(|| Step::Chosen {
                site: (*site).clone(),
                distance_km: distance_km(site),
                serves,
                internal: self.internal.contains(site) && !shard.internal.is_empty(),
            });
        }
        for (site, shard) in reserve {
            trace.step(|| Step::InReserve {
                site: site.clone(),
                distance_km: distance_km(site),
                why: why_not((site, shard)),
            });
        }
    }

    pub(super) fn why_not(&self, site: &SiteName, shard: &Shard, usable: bool) -> PassedOver {
        if self.asker.sites.drained(site) {
            PassedOver::Drained
        } else if !self.asker.sites.takes_clients(site) {
            PassedOver::Dead
        } else if let ShardHealth::Unhealthy(reason) = &shard.health {
            PassedOver::Unhealthy(reason.clone())
        } else if usable {
            PassedOver::NoSuchType
        } else {
            PassedOver::Nothing
        }
    }

    /// The types that the name has at this moment, in the order of their numbers: a bitmap's worth.
    pub(super) fn types(&self, routed: &'a Routed, may_alias: bool) -> Vec<RecordType> {
        let mut types = Vec::new();
        for record_type in ROUTED_TYPES {
            match self.choose(routed, may_alias, record_type, &mut Silent) {
                Choice::Data(data) if data.is_empty() => {}
                Choice::Data(_) => types.push(record_type),
                Choice::HostName(_) | Choice::Fallback(_) => return vec![RecordType::Cname],
            }
        }
        types
    }

    /// Whether not all of the name's sites serve. A drained site is nobody's trouble, nor is one
    /// that the policy does not name.
    pub(super) fn degraded(&self, routed: &Routed) -> bool {
        let shards = &routed.name.shards;
        let policy = routed.name.policy.as_deref();
        let named = |site: &SiteName| policy.is_none_or(|policy| policy.names(site));
        let mut down = self.asker.sites.down().iter();
        let mut down = || down.any(|site| shards.contains_key(site) && named(site));
        let unhealthy = || {
            let mut all = shards.iter();
            all.any(|(site, shard)| !shard.serves() && !self.asker.sites.drained(site) && named(site))
        };
        (!routed.settled && unhealthy()) || down()
    }

    /// What a site answers under a name, of one type, to this client.
    pub(super) fn data(
        &self,
        name: &RoutedName,
        (site, shard): Candidate<'_>,
        record_type: RecordType,
    ) -> Vec<RecordData> {
        data_of(name, shard, record_type, self.internal.contains(site))
    }
}

/// What a site answers under a name, of one type, to clients who are told its internal addresses or not.
pub(super) fn data_of(name: &RoutedName, shard: &Shard, record_type: RecordType, internal: bool) -> Vec<RecordData> {
    match (&shard.data, record_type) {
        (ShardData::Addresses(_), RecordType::A | RecordType::Aaaa) => addresses(shard, name, record_type, internal)
            .filter_map(|address| address_of(address, record_type))
            .collect(),
        (ShardData::Addresses(_), RecordType::Https) => match &name.https {
            Some(service) if answerable(shard, name) => vec![https(service, name, shard, internal)],
            _ => Vec::new(),
        },
        (ShardData::Services(services), RecordType::Srv) => services.iter().cloned().map(RecordData::Srv).collect(),
        _ => Vec::new(),
    }
}

/// By which rules a site may answer for a name, in whatever order sites are asked.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    name: &'a RoutedName,
    record_type: RecordType,
    sites: &'a Sites,
    /// The name is an alias to the chosen site's host name.
    pub(super) host_names: bool,
    /// When no site serves, the best that is left answers.
    pub(super) fail_open: bool,
}

impl<'a> Rules<'a> {
    pub(super) fn new(routed: &'a Routed, may_alias: bool, record_type: RecordType, sites: &'a Sites) -> Self {
        let name = &*routed.name;
        let fail_open = match &name.fallback {
            Fallback::Policy(WhenNoneHealthy::FailOpen) => true,
            // Where an alias cannot stand, what is left is better than nothing.
            other => other.target().is_some() && !may_alias,
        };
        Self {
            name,
            record_type,
            sites,
            host_names: routed.host_names && may_alias,
            fail_open,
        }
    }

    /// Whether a site has something to answer.
    pub(super) fn usable(&self, shard: &Shard) -> bool {
        if self.host_names {
            shard.host_name.is_some()
        } else {
            answerable(shard, self.name)
        }
    }

    /// Whether a site serves. It is asked without the type: otherwise A could come from a site and AAAA lead
    /// to an alias, and an alias stands alone at its name.
    pub(super) fn serves(&self, site: &SiteName, shard: &Shard) -> bool {
        shard.health == ShardHealth::Healthy && self.usable(shard) && self.sites.takes_clients(site)
    }

    /// Whether a site has an answer of the type that is asked for.
    pub(super) fn fits(&self, shard: &Shard) -> bool {
        if self.host_names {
            shard.host_name.is_some()
        } else {
            has(self.name, shard, self.record_type)
        }
    }
}

/// Whether a site has data of that type, whoever asks.
pub(super) fn has(name: &RoutedName, shard: &Shard, record_type: RecordType) -> bool {
    match (&shard.data, record_type) {
        (ShardData::Addresses(_), RecordType::A | RecordType::Aaaa) => {
            addresses(shard, name, record_type, false).next().is_some()
        }
        (ShardData::Addresses(_), RecordType::Https) => name.https.is_some() && answerable(shard, name),
        (ShardData::Services(services), RecordType::Srv) => !services.is_empty(),
        _ => false,
    }
}

/// Whether there is a type that this shard answers. Its IPv6 addresses do not count when the name's
/// are not answered.
pub(crate) fn answerable(shard: &Shard, name: &RoutedName) -> bool {
    match &shard.data {
        ShardData::Addresses(addresses) => addresses.iter().any(|address| address.is_ipv4() || name.ipv6),
        ShardData::Services(services) => !services.is_empty(),
    }
}

/// The addresses of one family: the internal ones for those who are told them, if there are any and
/// there are public ones that they stand in for.
pub(crate) fn addresses<'a>(
    shard: &'a Shard,
    name: &RoutedName,
    record_type: RecordType,
    internal: bool,
) -> impl Iterator<Item = IpAddr> + 'a {
    let ipv6 = record_type == RecordType::Aaaa;
    let of_family = move |address: &&IpAddr| address.is_ipv6() == ipv6;
    let public: &[IpAddr] = match &shard.data {
        ShardData::Addresses(addresses) if !ipv6 || name.ipv6 => addresses,
        _ => &[],
    };
    let inside = internal
        && public.iter().any(|address| of_family(&address))
        && shard.internal.iter().any(|address| of_family(&address));
    let told = if inside { &shard.internal } else { public };
    told.iter().filter(of_family).copied()
}

/// The HTTPS record of a site: the owner name itself, with the addresses as hints (RFC 9460 section
/// 7.3), so that a client can connect before its questions for addresses are answered.
pub(crate) fn https(service: &HttpsService, name: &RoutedName, shard: &Shard, internal: bool) -> RecordData {
    let mut parameters: BTreeMap<u16, Arc<[u8]>> = BTreeMap::new();
    let mut put = |key, value: Vec<u8>| {
        if !value.is_empty() {
            parameters.insert(key, value.into());
        }
    };
    let mut alpn = Vec::new();
    for id in &service.alpn {
        // One that is too long or empty has no wire form.
        if let Some(length) = u8::try_from(id.len()).ok().filter(|length| *length > 0) {
            alpn.push(length);
            alpn.extend(id.as_bytes());
        }
    }
    put(parameter::ALPN, alpn);
    put(
        parameter::PORT,
        service.port.map(|port| port.to_be_bytes().to_vec()).unwrap_or_default(),
    );
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for record_type in [RecordType::A, RecordType::Aaaa] {
        for address in addresses(shard, name, record_type, internal) {
            match address {
                IpAddr::V4(address) => v4.extend(address.octets()),
                IpAddr::V6(address) => v6.extend(address.octets()),
            }
        }
    }
    put(parameter::IPV4_HINT, v4);
    put(parameter::IPV6_HINT, v6);
    RecordData::Https(Svcb {
        priority: 1,
        target: DnsName::root(),
        parameters,
    })
}
