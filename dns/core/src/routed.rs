//! Routed names: names whose answer depends on where the client is and on which sites are healthy.
//!
//! A routed name lists, for each configured site, what that site offers and whether it is healthy
//! *for this name*. Whether the whole site is alive or drained is not repeated here; see
//! [`crate::Sites`]. Every configured site is listed, healthy or not and with or without addresses,
//! so that fall-back aliases exist from the start.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{DnsName, Policy, SiteName, Srv};

/// Health of one site for one name, with the reason a person would ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShardHealth {
    /// Serves.
    Healthy,
    /// Does not serve, and why, in a few words.
    Unhealthy(String),
}

/// What a site offers under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// What it offers; may be empty, as when a load balancer has no address yet.
    pub data: ShardData,
    /// Host name of its load balancer. The addresses in `data` are then those that it was last resolved
    /// to, which are answered wherever an alias cannot be; see [`RoutedName::every_site_has_host_name`].
    pub host_name: Option<DnsName>,
    /// Addresses for clients in the site's internal networks, sorted. They stand in for the public ones
    /// of the same family; a family without public addresses is answered to nobody, since a negative
    /// answer may not depend on the client.
    pub internal: Vec<IpAddr>,
    /// Whether it serves.
    pub health: ShardHealth,
}

impl Shard {
    /// A shard without a host name or internal addresses.
    pub fn new(data: ShardData, health: ShardHealth) -> Self {
        Self {
            data,
            host_name: None,
            internal: Vec::new(),
            health,
        }
    }

    /// Healthy, and with something to answer.
    pub fn serves(&self) -> bool {
        self.health == ShardHealth::Healthy && self.offers()
    }

    /// Has something to answer, healthy or not.
    pub fn offers(&self) -> bool {
        !self.data.is_empty() || self.host_name.is_some()
    }
}

/// What a global name answers when no site is healthy (`DNSZone.spec.whenNoneHealthy`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum WhenNoneHealthy {
    /// The best of what is there: active before drained. The default: a verdict can be wrong, and
    /// an empty answer is an outage for sure.
    #[default]
    FailOpen,
    /// NODATA.
    Empty,
    /// An alias to a place of last resort. Where an alias cannot stand, as [`Self::FailOpen`].
    Fallback(DnsName),
}

/// Where a name leads when none of its sites serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fallback {
    /// Alias to the name one level up: zone to region, region to global.
    Upper(DnsName),
    /// The top: the zone's policy decides.
    Policy(WhenNoneHealthy),
    /// A site's own name: always its own data, healthy or not, and never an alias, since SRV records
    /// point at it (RFC 2782).
    Always,
}

impl Fallback {
    /// The name that an alias may lead to.
    pub fn target(&self) -> Option<&DnsName> {
        match self {
            Self::Upper(target) | Self::Policy(WhenNoneHealthy::Fallback(target)) => Some(target),
            Self::Policy(_) | Self::Always => None,
        }
    }
}

/// What HTTPS records of a name say beside the addresses of the chosen site (RFC 9460 section 9).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HttpsService {
    /// Protocols that every site speaks, most wanted first, such as `h2`; each of 1 to 255 octets.
    pub alpn: Vec<String>,
    /// Port, where it is not 443.
    pub port: Option<u16>,
}

/// A name whose answer is chosen per client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutedName {
    /// Owner name.
    pub name: DnsName,
    /// Seconds; of the addresses and of the fall-back alias. Halved while the name is degraded.
    pub ttl: u32,
    /// Every configured site.
    pub shards: BTreeMap<SiteName, Shard>,
    /// What follows when no site serves.
    pub fallback: Fallback,
    /// Whether IPv6 addresses are answered: only when every site that has addresses has one, since a
    /// negative answer that depended on the client would be cached for others.
    pub ipv6: bool,
    /// HTTPS records, for a host with TLS.
    pub https: Option<HttpsService>,
    /// How clients are given sites; without one, each the nearest.
    pub policy: Option<Arc<Policy>>,
}

impl RoutedName {
    /// Decides [`RoutedName::ipv6`] from the shards.
    pub fn every_site_has_ipv6(shards: &BTreeMap<SiteName, Shard>) -> bool {
        every_offering(shards, |shard| match &shard.data {
            ShardData::Addresses(addresses) => addresses.iter().any(IpAddr::is_ipv6),
            ShardData::Services(_) => false,
        })
    }

    /// Whether the name can be an alias to the chosen site's host name: only if every site that offers
    /// anything has one, because a name is an alias for every type and every client, or for none.
    pub fn every_site_has_host_name(&self) -> bool {
        self.fallback != Fallback::Always && every_offering(&self.shards, |shard| shard.host_name.is_some())
    }
}

fn every_offering(shards: &BTreeMap<SiteName, Shard>, has: impl Fn(&Shard) -> bool) -> bool {
    let mut offering = shards.values().filter(|shard| shard.offers()).peekable();
    offering.peek().is_some() && offering.all(has)
}
