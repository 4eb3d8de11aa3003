//! Client classes: from a client's address to an order of sites.
//!
//! A class is the nearest few sites; behind them every other site follows in the default order. The networks
//! that were configured come first, longest prefix first, then what a database says of the address, and then
//! nothing is known. Networks are compiled here, at once and in no time; the database's part
//! ([`GeoClasses`]) takes seconds, is compiled elsewhere, and may be that of a moment ago.
//!
//! What must stay true:
//! - no site is missing from an order, however old the classes: the default order is that of this moment;
//! - the scope covers no client of another class. It is that of the configured networks around the address,
//!   and where none is, also that of the database's;
//! - how a class was found is not stored. An explanation finds it again from what the class was compiled from.
//!
//! Refused: configured networks inside the database's table. Every change of a network would compile millions
//! of others again, and each zone with networks of its own would need a copy.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::geo::{GeoClasses, Globe, Place, PositionSource, cloud_region};
use crate::ranges::{AddressRanges, canonical};
use crate::site::default_order;
use crate::{Client, DnsName, Location, SiteName, Sites};

/// A network whose clients somebody configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientNetwork {
    /// The network.
    pub network: IpNet,
    /// What its clients are nearest to.
    pub nearest_to: NetworkOwner,
}

/// What the clients of a configured network are nearest to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NetworkOwner {
    /// A site.
    Site(SiteName),
    /// All sites of a region. One without sites is as good as its place, if it is a public cloud's.
    Region(String),
}

/// How a client's class was found.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassOrigin {
    /// The client is in a configured network.
    Network {
        /// The network.
        network: IpNet,
        /// What it was configured to be nearest to.
        nearest_to: NetworkOwner,
        /// The zone that has it among its networks; `None` if the site has.
        zone: Option<DnsName>,
    },
    /// The client asked at a listener of that site.
    Listener(SiteName),
    /// A database knows where the client is.
    Place {
        /// The widest network around the client that the database has there.
        network: IpNet,
        /// What it says.
        place: Place,
        /// What distances were measured from.
        source: PositionSource,
    },
    /// Nothing is known of where the client is: sites by weight.
    Default,
}

/// The sites that are nearest to the clients of a class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientClass {
    /// Nearest first. All other sites follow in the default order.
    pub nearest: Vec<SiteName>,
}

impl ClientClass {
    /// All sites, nearest first: those of the class, and behind them the rest of the default order.
    pub fn order<'a>(&'a self, default_order: &'a [SiteName]) -> impl Iterator<Item = &'a SiteName> + Clone {
        let rest = default_order.iter().filter(|site| !self.nearest.contains(site));
        self.nearest.iter().chain(rest)
    }
}

/// A configured network and the class of its clients.
#[derive(Debug)]
struct NetworkClass {
    class: ClientClass,
    from: Option<Location>,
    origin: ClassOrigin,
}

/// Every address to the configured network around it, if there is one.
type Networks = AddressRanges<Option<Arc<NetworkClass>>>;

/// Every address to its class, and every site to that of the clients at its listeners.
#[derive(Debug, Clone)]
pub struct ClassTable {
    of_sites: Networks,
    /// Of the zones with networks of their own: those and the sites'.
    of_zones: BTreeMap<DnsName, Networks>,
    listeners: BTreeMap<SiteName, ClientClass>,
    default_order: Vec<SiteName>,
    geo: Arc<GeoClasses>,
}

impl ClassTable {
    /// Compiles the table. A network of a zone goes before the same network of a site, and where two sites
    /// name the same network, the first by name has it. One that belongs to a site that is not known is as
    /// good as not configured.
    pub fn compile<'a>(
        sites: &Sites,
        zones: impl IntoIterator<Item = (&'a DnsName, &'a [ClientNetwork])>,
        geo: Arc<GeoClasses>,
    ) -> Self {
        let compiler = Compiler {
            sites,
            globe: Globe::new(sites),
            default_order: default_order(sites),
            count: geo.nearest(),
        };
        let zones = zones.into_iter().filter(|(_, networks)| !networks.is_empty());
        Self {
            of_sites: compiler.networks(None),
            of_zones: zones
                .map(|(zone, networks)| (zone.clone(), compiler.networks(Some((zone, networks)))))
                .collect(),
            listeners: sites
                .iter()
                .map(|(name, _)| (name.clone(), compiler.class(vec![name.clone()]).0))
                .collect(),
            default_order: compiler.default_order,
            geo,
        }
    }

    /// The database's part.
    pub fn geo(&self) -> &Arc<GeoClasses> {
        &self.geo
    }

    /// All sites, in the order of clients of unknown place.
    pub fn default_order(&self) -> &[SiteName] {
        &self.default_order
    }

    /// The class of a client of a zone, and the scope prefix length within which every client has the same.
    pub(crate) fn of(&self, zone: &DnsName, client: &Client<'_>) -> (&ClientClass, u8) {
        match client.site.and_then(|site| self.listeners.get(site)) {
            Some(class) => (class, 0),
            None => self.lookup(zone, client.address()),
        }
    }

    /// The class of an address in a zone and the scope prefix length (in the address's own family) within
    /// which every client has the same class.
    pub fn lookup(&self, zone: &DnsName, address: IpAddr) -> (&ClientClass, u8) {
        let (address, mapping) = canonical(address);
        let (network, scope) = self.networks(zone).lookup(address);
        let (class, scope) = match network {
            Some(network) => (&network.class, scope),
            None => {
                let (class, of_place) = self.geo.lookup(address);
                (class, of_place.max(scope))
            }
        };
        (class, scope + mapping)
    }

    fn networks(&self, zone: &DnsName) -> &Networks {
        if self.of_zones.is_empty() {
            return &self.of_sites;
        }
        self.of_zones.get(zone).unwrap_or(&self.of_sites)
    }

    /// How the class of a client was found.
    pub(crate) fn explain(&self, zone: &DnsName, client: &Client<'_>) -> ClassOrigin {
        match self.find(zone, client) {
            Found::Listener(site) => ClassOrigin::Listener(site.clone()),
            Found::Network(network) => network.origin.clone(),
            Found::Place(place, network) => match place.position() {
                Some((_, source)) => ClassOrigin::Place {
                    network,
                    place: *place,
                    source,
                },
                None => ClassOrigin::Default,
            },
        }
    }

    /// Where a client is taken to be, and the scope prefix length (in its address's own family) within which
    /// every client is taken to be there. It may be longer than that of the class, whose clients need not be
    /// in one place.
    pub(crate) fn position(&self, zone: &DnsName, client: &Client<'_>, sites: &Sites) -> (Option<Location>, u8) {
        let (address, mapping) = canonical(client.address());
        let (from, scope) = match self.find(zone, client) {
            Found::Listener(site) => return (sites.get(site).and_then(|site| site.location), 0),
            Found::Network(network) => (network.from, 0),
            Found::Place(place, network) => (place.position().map(|(from, _)| from), network.prefix_len()),
        };
        (from, self.networks(zone).lookup(address).1.max(scope) + mapping)
    }

    /// What the database says of a client's place, and the scope prefix length (in its address's own family)
    /// within which it says so. A client at a site's listener is nowhere, since networks of pods overlap.
    pub(crate) fn place(&self, client: &Client<'_>) -> (Place, u8) {
        if client.site.is_some() {
            return (Place::default(), 0);
        }
        let (address, mapping) = canonical(client.address());
        let (place, network) = self.geo.database().lookup(address);
        (*place, network.prefix_len() + mapping)
    }

    fn find<'a>(&'a self, zone: &DnsName, client: &Client<'_>) -> Found<'a> {
        if let Some((site, _)) = client.site.and_then(|site| self.listeners.get_key_value(site)) {
            return Found::Listener(site);
        }
        let (address, _) = canonical(client.address());
        match self.networks(zone).lookup(address).0 {
            Some(network) => Found::Network(network),
            None => {
                let (place, network) = self.geo.database().lookup(address);
                Found::Place(place, network)
            }
        }
    }
}

/// By what the class of a client was found.
enum Found<'a> {
    /// It asked at a listener of that site.
    Listener(&'a SiteName),
    /// It is in a configured network.
    Network(&'a NetworkClass),
    /// It is in none; what the database says, and of which network.
    Place(&'a Place, IpNet),
}

/// What classes of networks are made from.
struct Compiler<'a> {
    sites: &'a Sites,
    globe: Globe,
    default_order: Vec<SiteName>,
    count: usize,
}

impl Compiler<'_> {
    /// The networks of the sites, and over them those of one zone.
    fn networks(&self, zone: Option<(&DnsName, &[ClientNetwork])>) -> Networks {
        let of_site = |(name, site): (&SiteName, &crate::Site)| {
            let owner = NetworkOwner::Site(name.clone());
            let networks = site.networks.clone().into_iter();
            networks.map(move |network| (None, network, owner.clone()))
        };
        let mut networks: Vec<(Option<&DnsName>, IpNet, NetworkOwner)> = self.sites.iter().flat_map(of_site).collect();
        if let Some((zone, own)) = zone {
            let own = own.iter();
            networks.extend(own.map(|network| (Some(zone), network.network, network.nearest_to.clone())));
        }
        // Wide before narrow, so that the narrow are laid over the wide; of equals the zone's last, and the
        // first name last.
        networks.sort_by_key(|(zone, network, owner)| {
            (
                network.prefix_len(),
                network.network(),
                zone.is_some(),
                Reverse(owner.clone()),
            )
        });
        let mut ranges = AddressRanges::all(None);
        for (zone, network, nearest_to) in networks {
            if let Some((class, from)) = self.owned(&nearest_to) {
                let zone = zone.cloned();
                let origin = ClassOrigin::Network {
                    network,
                    nearest_to,
                    zone,
                };
                ranges.overlay(&network, Some(Arc::new(NetworkClass { class, from, origin })));
            }
        }
        ranges
    }

    fn owned(&self, owner: &NetworkOwner) -> Option<(ClientClass, Option<Location>)> {
        match owner {
            NetworkOwner::Site(name) => self.sites.get(name).map(|_| self.class(vec![name.clone()])),
            NetworkOwner::Region(region) => {
                let order = self.default_order.iter();
                let inside = |name: &&SiteName| self.sites.get(name).is_some_and(|site| site.region == *region);
                let own: Vec<_> = order.filter(inside).cloned().collect();
                if !own.is_empty() {
                    return Some(self.class(own));
                }
                let from = cloud_region(region)?.location;
                let nearest = self.globe.nearest(from, self.count);
                Some((ClientClass { nearest }, Some(from)))
            }
        }
    }

    /// These sites first, then the nearest to the first of them that has a place.
    fn class(&self, home: Vec<SiteName>) -> (ClientClass, Option<Location>) {
        let place = |name: &SiteName| self.sites.get(name).and_then(|site| site.location);
        let from = home.iter().find_map(place);
        let mut nearest = home;
        if let Some(from) = from {
            // One more for each that may be found again.
            let near = self.globe.nearest(from, self.count + nearest.len());
            for site in near {
                if nearest.len() >= self.count {
                    break;
                }
                if !nearest.contains(&site) {
                    nearest.push(site);
                }
            }
        }
        (ClientClass { nearest }, from)
    }
}
