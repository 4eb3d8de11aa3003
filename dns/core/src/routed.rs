//! Routed names: names whose answer depends on where the client is and on which sites are healthy.
//!
//! A routed name lists, for each configured site, what that site offers and whether it is healthy
//! *for this name*. Whether the whole site is alive or drained is not repeated here; see
//! [`crate::Sites`]. Every configured site is listed, healthy or not and with or without addresses,
//! so that fall-back aliases exist from the start.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::{DnsName, SiteName, Srv};

/// Health of one site for one name, with the reason a person would ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardHealth {
    /// Serves.
    Healthy,
    /// Does not serve, and why, in a few words.
    Unhealthy(String),
}

/// What a site offers under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardData {
    /// Addresses, sorted.
    Addresses(Vec<IpAddr>),
    /// Service locations, sorted.
    Services(Vec<Srv>),
}

impl ShardData {
    fn is_empty(&self) -> bool {
        match self {
            Self::Addresses(addresses) => addresses.is_empty(),
            Self::Services(services) => services.is_empty(),
        }
    }
}

/// One site's part of a routed name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// What it offers; may be empty, as when a load balancer has no address yet.
    pub data: ShardData,
    /// Whether it serves.
    pub health: ShardHealth,
}

impl Shard {
    /// Healthy, and with something to answer.
    pub fn serves(&self) -> bool {
        self.health == ShardHealth::Healthy && self.offers()
    }

    /// Has something to answer, healthy or not.
    pub fn offers(&self) -> bool {
        !self.data.is_empty()
    }
}

/// What a global name answers when no site is healthy (`DNSZone.spec.whenNoneHealthy`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WhenNoneHealthy {
    /// The best of what is there: active before drained. The default: a verdict can be wrong, and
    /// an empty answer is an outage for sure.
    #[default]
    FailOpen,
    /// NODATA.
    Empty,
    /// An alias to a place of last resort.
    Fallback(DnsName),
}

/// Where a name leads when none of its sites serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// Alias to the name one level up: zone to region, region to global.
    Upper(DnsName),
    /// The top: the zone's policy decides.
    Policy(WhenNoneHealthy),
    /// A site's own name: always its own data, healthy or not.
    Always,
}

/// A name whose answer is chosen per client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedName {
    /// Owner name.
    pub name: DnsName,
    /// Seconds; of the addresses and of the fall-back alias.
    pub ttl: u32,
    /// Every configured site.
    pub shards: BTreeMap<SiteName, Shard>,
    /// What follows when no site serves.
    pub fallback: Fallback,
    /// Whether IPv6 addresses are answered: only when every site that has addresses has one, since a
    /// negative answer that depended on the client would be cached for others.
    pub ipv6: bool,
}

impl RoutedName {
    /// Decides [`RoutedName::ipv6`] from the shards.
    pub fn every_site_has_ipv6(shards: &BTreeMap<SiteName, Shard>) -> bool {
        let mut offering = shards.values().filter(|shard| shard.offers()).peekable();
        offering.peek().is_some()
            && offering.all(|shard| match &shard.data {
                ShardData::Addresses(addresses) => addresses.iter().any(IpAddr::is_ipv6),
                ShardData::Services(_) => false,
            })
    }
}
