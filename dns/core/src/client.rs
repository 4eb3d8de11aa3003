//! Who asks, and what that is trusted for.
//!
//! Two decisions are made by the client's address. *Which site is nearest* may be told by anybody: a
//! lie harms the liar. *Whether internal addresses are told* may not: a stranger's Client Subnet option
//! (RFC 7871) would otherwise read them for the whole Internet. So the first follows the option where
//! there is one, and the second follows the packet, unless the option comes from a resolver that the
//! operator trusts.
//!
//! Caches follow from that. The scope of an answer says how it depends on the *option's* address. A
//! view that was chosen by the packet's source is the same for everything the resolver may ask, so it
//! adds nothing to the scope; one that was chosen by a trusted option adds its prefix. The site of a
//! listener is the same for everybody who asks there, so it adds nothing either.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::ranges::AddressRanges;
use crate::{SiteName, Sites};

/// The Client Subnet option of a question (RFC 7871 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSubnet {
    /// Address and SOURCE PREFIX-LENGTH.
    pub network: IpNet,
    /// Whether it came from a resolver that is configured as trusted.
    pub trusted: bool,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// Where the packet came from.
    pub source: IpAddr,
    /// The Client Subnet option, if there was one and the server heeds it.
    pub subnet: Option<ClientSubnet>,
    /// The site of the listener that was asked, if it is bound to one: that site is nearest, whatever the
    /// addresses say. It opens no internal view. One that is not known is as good as none.
    pub site: Option<&'a SiteName>,
    /// By how much the addresses of a [`crate::PolicyTree::RoundRobin`] are rotated, unless the client's own
    /// prefix decides. The server gives each query another number.
    pub rotation: u32,
}

impl Client<'_> {
    /// A client that asks for itself.
    pub const fn at(source: IpAddr) -> Self {
        Self {
            source,
            subnet: None,
            site: None,
            rotation: 0,
        }
    }

    /// The address by which the nearest site is chosen. A source prefix of 0 says "do not use my
    /// network" (RFC 7871 section 7.1.2), which leaves the packet's.
    pub fn address(&self) -> IpAddr {
        self.named_subnet()
            .map_or(self.source, |subnet| subnet.network.network())
    }

    /// True if the answer must not be said to depend on the client: SOURCE is 0 (section 7.2.1).
    pub(crate) fn hides(&self) -> bool {
        self.subnet.is_some_and(|subnet| subnet.network.prefix_len() == 0)
    }

    fn named_subnet(&self) -> Option<ClientSubnet> {
        self.subnet.filter(|subnet| subnet.network.prefix_len() > 0)
    }
}

/// Every address to the sites whose internal addresses it is told, sorted by name.
#[derive(Debug, Clone)]
pub(crate) struct ViewTable(AddressRanges<Arc<[SiteName]>>);

impl ViewTable {
    /// Compiles the table from the sites' internal networks. Networks nest or are disjoint, so an
    /// address is told the internal addresses of every site with a network around it.
    pub(crate) fn compile(sites: &Sites) -> Self {
        let mut networks: Vec<(&IpNet, &SiteName)> = sites
            .iter()
            .flat_map(|(name, site)| site.internal_networks.iter().map(move |network| (network, name)))
            .collect();
        networks.sort_by_key(|(network, name)| (network.prefix_len(), network.network(), *name));
        let mut ranges = AddressRanges::all(Arc::default());
        for (network, _) in &networks {
            let mut around: Vec<_> = networks
                .iter()
                .filter(|(other, _)| other.contains(*network))
                .map(|(_, name)| (*name).clone())
                .collect();
            around.sort();
            around.dedup();
            ranges.overlay(network, around.into());
        }
        Self(ranges)
    }

    /// The sites whose internal addresses the client is told, and what that adds to the scope.
    pub(crate) fn lookup(&self, client: &Client<'_>) -> (&[SiteName], u8) {
        match client.named_subnet() {
            None => {
                let (sites, scope) = self.0.lookup(client.source);
                (sites, scope)
            }
            Some(ClientSubnet { trusted: false, .. }) => (self.0.lookup(client.source).0, 0),
            Some(ClientSubnet { network, trusted: true }) => {
                let (sites, scope) = self.0.lookup(network.network());
                // A subnet that is wider than the view has clients who must not be told.
                let whole = network.prefix_len() >= scope;
                (if whole { sites } else { &[] }, scope)
            }
        }
    }
}
