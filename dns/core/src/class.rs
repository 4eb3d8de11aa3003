//! Client classes: from a client's address to an order of sites.
//!
//! All configured networks are compiled into address ranges, each with a class, once per change of the
//! site list. Longest prefix wins, because narrower networks are laid over wider ones. The ranges also
//! give the ECS scope: no client of another class is ever covered by it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::ranges::AddressRanges;
use crate::{Client, Location, SiteName, Sites};

/// How a client's class was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassOrigin {
    /// The client is in a network configured for a site.
    Network {
        /// The network.
        network: IpNet,
        /// The site that names it.
        site: SiteName,
    },
    /// The client asked at a listener of that site.
    Listener(SiteName),
    /// Nothing is known of the client: sites by weight.
    Default,
}

/// A site in a class's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedSite {
    /// The site.
    pub site: SiteName,
    /// Kilometres from where the client is taken to be, if both places are known.
    pub distance_km: Option<u32>,
}

/// An order of all sites, nearest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientClass {
    /// Nearest first; every site is in it.
    pub order: Vec<RankedSite>,
    /// How it was found.
    pub origin: ClassOrigin,
}

/// Every address to its class, and every site to that of the clients at its listeners.
#[derive(Debug, Clone)]
pub struct ClassTable {
    ranges: AddressRanges<Arc<ClientClass>>,
    listeners: BTreeMap<SiteName, ClientClass>,
}

impl ClassTable {
    /// Compiles the table from the sites' networks. Where two sites name the same network, the first
    /// by name has it.
    pub fn compile(sites: &Sites) -> Self {
        let mut networks: Vec<(&IpNet, &SiteName)> = sites
            .iter()
            .flat_map(|(name, site)| site.networks.iter().map(move |network| (network, name)))
            .collect();
        // Wide before narrow, so that the narrow are laid over the wide; of equals the first name last.
        networks.sort_by_key(|(network, name)| (network.prefix_len(), network.network(), Reverse(*name)));
        let default = Arc::new(rank(sites, None, ClassOrigin::Default));
        let mut ranges = AddressRanges::all(default);
        for (network, name) in networks {
            let origin = ClassOrigin::Network {
                network: *network,
                site: name.clone(),
            };
            let class = Arc::new(rank(sites, Some(name), origin));
            ranges.overlay(network, class);
        }
        let listener = |name: &SiteName| rank(sites, Some(name), ClassOrigin::Listener(name.clone()));
        Self {
            ranges,
            listeners: sites.iter().map(|(name, _)| (name.clone(), listener(name))).collect(),
        }
    }

    /// The class of a client, and the scope prefix length within which every client has the same class.
    pub(crate) fn of(&self, client: &Client<'_>) -> (&ClientClass, u8) {
        match client.site.and_then(|site| self.listeners.get(site)) {
            Some(class) => (class, 0),
            None => self.lookup(client.address()),
        }
    }

    /// The class of an address and the scope prefix length (in the address's own family) within which
    /// every client has the same class.
    pub fn lookup(&self, address: IpAddr) -> (&ClientClass, u8) {
        let (class, scope) = self.ranges.lookup(address);
        (class, scope)
    }
}

/// All sites, nearest to `home` first, then by weight, then by name. Without a home, or without its
/// location, distance says nothing and `home` itself comes first.
fn rank(sites: &Sites, home: Option<&SiteName>, origin: ClassOrigin) -> ClientClass {
    let from: Option<Location> = home.and_then(|name| sites.get(name)).and_then(|site| site.location);
    let mut order: Vec<_> = sites
        .iter()
        .map(|(name, site)| {
            let is_home = home == Some(name);
            let distance_km = from.zip(site.location).map(|(from, to)| from.distance_km(&to));
            let ranked = RankedSite {
                site: name.clone(),
                distance_km,
            };
            (
                (!is_home, distance_km.unwrap_or(u32::MAX), Reverse(site.weight)),
                ranked,
            )
        })
        .collect();
    order.sort_by(|(a, left), (b, right)| a.cmp(b).then_with(|| left.site.cmp(&right.site)));
    ClientClass {
        order: order.into_iter().map(|(_, ranked)| ranked).collect(),
        origin,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::{Liveness, Site, Traffic};

    fn site(networks: &[&str], location: Option<(f64, f64)>, weight: u32) -> Site {
        Site {
            region: String::new(),
            zones: Vec::new(),
            location: location.and_then(|(latitude, longitude)| Location::new(latitude, longitude)),
            networks: networks.iter().map(|text| text.parse().expect("a network")).collect(),
            internal_networks: Vec::new(),
            weight,
            liveness: Liveness::Alive,
            traffic: Traffic::Active,
        }
    }

    fn fleet(sites: &[(&str, Site)]) -> Sites {
        sites
            .iter()
            .map(|(name, site)| (SiteName::new(*name), site.clone()))
            .collect()
    }

    fn order(table: &ClassTable, address: &str) -> (Vec<String>, u8) {
        let (class, scope) = table.lookup(address.parse().expect("an address"));
        (
            class.order.iter().map(|ranked| ranked.site.to_string()).collect(),
            scope,
        )
    }

    fn three() -> Sites {
        fleet(&[
            (
                "tokyo",
                site(&["100.64.20.0/24", "2001:db8:20::/48"], Some((35.68, 139.69)), 100),
            ),
            (
                "taipei",
                site(&["100.64.30.0/24", "100.64.20.128/25"], Some((25.03, 121.56)), 100),
            ),
            ("oregon", site(&["100.64.10.0/24"], Some((45.52, -122.68)), 300)),
            ("nowhere", site(&[], None, 100)),
        ])
    }

    #[test]
    fn the_order_is_by_distance_from_the_networks_own_site() {
        let table = ClassTable::compile(&three());
        assert_eq!(order(&table, "100.64.30.7").0, ["taipei", "tokyo", "oregon", "nowhere"]);
        assert_eq!(order(&table, "100.64.10.7").0, ["oregon", "tokyo", "taipei", "nowhere"]);
        assert_eq!(
            order(&table, "2001:db8:20::1"),
            (
                vec!["tokyo".into(), "taipei".into(), "oregon".into(), "nowhere".into()],
                48
            )
        );
    }

    #[test]
    fn the_longest_prefix_wins_and_scopes_stop_at_its_border() {
        let table = ClassTable::compile(&three());
        assert_eq!(order(&table, "100.64.20.200").0[0], "taipei");
        assert_eq!(order(&table, "100.64.20.200").1, 25);
        assert_eq!(
            order(&table, "100.64.20.1"),
            (
                vec!["tokyo".into(), "taipei".into(), "oregon".into(), "nowhere".into()],
                25
            )
        );
        assert_eq!(order(&table, "100.64.30.1").1, 24);
    }

    #[test]
    fn unknown_clients_get_the_weights() {
        let table = ClassTable::compile(&three());
        assert_eq!(order(&table, "192.0.2.1").0, ["oregon", "nowhere", "taipei", "tokyo"]);
        assert_eq!(order(&table, "::ffff:100.64.30.7").0[0], "taipei");
        assert_eq!(order(&table, "::ffff:100.64.30.7").1, 96 + 24);
    }

    #[test]
    fn a_fleet_without_networks_has_one_class_and_scope_0() {
        let table = ClassTable::compile(&fleet(&[("a", site(&[], None, 1))]));
        assert_eq!(order(&table, "192.0.2.1").1, 0);
        assert_eq!(order(&table, "2001:db8::1").1, 0);
    }

    fn any_network() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (any::<u32>(), 0_u8..=32).prop_map(|(bits, len)| {
                IpNet::new(IpAddr::V4(Ipv4Addr::from(bits & 0xf0f0_00ff)), len)
                    .expect("a network")
                    .trunc()
            }),
            (any::<u128>(), 0_u8..=128).prop_map(|(bits, len)| {
                IpNet::new(IpAddr::V6(Ipv6Addr::from(bits & (0xff << 120 | 0xff))), len)
                    .expect("a network")
                    .trunc()
            }),
        ]
    }

    fn any_address() -> impl Strategy<Value = IpAddr> {
        any_network().prop_map(|network| network.addr())
    }

    proptest! {
        /// The table equals a naive longest-prefix search, and inside a scope all classes are equal.
        #[test]
        fn the_table_equals_a_naive_search(
            networks in prop::collection::vec((any_network(), 0_usize..3), 0..12),
            addresses in prop::collection::vec(any_address(), 1..20),
        ) {
            let names = ["a", "b", "c"];
            let sites: Sites = names.iter().enumerate().map(|(index, name)| {
                let mut own = site(&[], None, 1);
                own.networks = networks.iter().filter(|(_, owner)| *owner == index).map(|(network, _)| *network).collect();
                (SiteName::new(*name), own)
            }).collect();
            let table = ClassTable::compile(&sites);
            let naive = |address: IpAddr| sites.iter()
                .flat_map(|(name, site)| site.networks.iter().map(move |network| (network, name)))
                .filter(|(network, _)| network.contains(&address))
                .max_by_key(|(network, name)| (network.prefix_len(), Reverse((*name).clone())))
                .map(|(network, name)| ClassOrigin::Network { network: *network, site: name.clone() })
                .unwrap_or(ClassOrigin::Default);
            for address in addresses {
                if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) { continue; }
                let (class, scope) = table.lookup(address);
                prop_assert_eq!(&class.origin, &naive(address));
                let covered = IpNet::new(address, scope).expect("a scope within the family").trunc();
                for other in [covered.network(), covered.broadcast()] {
                    prop_assert_eq!(&table.lookup(other).0.origin, &class.origin);
                }
            }
        }
    }
}
