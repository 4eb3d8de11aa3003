//! Client classes: from a client's address to an order of sites.
//!
//! All configured networks are compiled into sorted, disjoint address ranges, each with a class; a
//! look-up is a binary search. Longest prefix wins, because narrower networks are laid over wider
//! ones. The same ranges give the ECS scope (RFC 7871 section 7.2.1): the widest prefix around the
//! client that lies inside one range, so no client of another class is ever covered by it.
//!
//! Refused: a prefix trie (slower to search, and the scope of an address *outside* every network is
//! awkward to find), and one space for both families (a network `::/0` would take the IPv4 clients).

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::{Location, SiteName, Sites};

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

/// Every address to its class.
#[derive(Debug, Clone)]
pub struct ClassTable {
    ipv4: Ranges,
    ipv6: Ranges,
}

/// `(first address, class)`; a range ends where the next begins. Never empty: the first starts at 0.
type Ranges = Vec<(u128, Arc<ClientClass>)>;

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
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
        let mut table = Self {
            ipv4: vec![(0, default.clone())],
            ipv6: vec![(0, default)],
        };
        for (network, name) in networks {
            let origin = ClassOrigin::Network {
                network: *network,
                site: name.clone(),
            };
            let class = Arc::new(rank(sites, Some(name), origin));
            let ranges = match network {
                IpNet::V4(_) => &mut table.ipv4,
                IpNet::V6(_) => &mut table.ipv6,
            };
            overlay(ranges, number(network.network()), number(network.broadcast()), class);
        }
        table
    }

    /// The class of an address and the scope prefix length (in the address's own family) within which
    /// every client has the same class.
    pub fn lookup(&self, address: IpAddr) -> (&ClientClass, u8) {
        // An IPv4 client on a socket for both families is an IPv4 client; its prefixes are counted
        // behind the 96 bits of the mapping.
        let mapping = if address.is_ipv6() && address.to_canonical().is_ipv4() {
            96
        } else {
            0
        };
        let address = address.to_canonical();
        let value = number(address);
        let (ranges, family_bits) = match address {
            IpAddr::V4(_) => (&self.ipv4, 32),
            IpAddr::V6(_) => (&self.ipv6, 128),
        };
        let position = ranges.partition_point(|(first, _)| *first <= value).saturating_sub(1);
        let (first, class) = &ranges[position];
        // The prefix must be long enough that neither the address before nor the one after the range
        // shares it.
        let before = first
            .checked_sub(1)
            .map_or(0, |outside| common_bits(outside, value) + 1);
        let after = ranges
            .get(position + 1)
            .map_or(0, |(next, _)| common_bits(*next, value) + 1);
        // Numbers are 128 bits wide, an IPv4 address is the last 32 of them. A border at 2^32 (past
        // 255.255.255.255) gives no more bits than the family has unused.
        let unused = 128 - family_bits;
        (
            class,
            u8::try_from(before.max(after).saturating_sub(unused) + mapping).unwrap_or(u8::MAX),
        )
    }
}

fn common_bits(a: u128, b: u128) -> u32 {
    (a ^ b).leading_zeros()
}

/// Gives `first..=last` the class, keeping what lies before and after.
fn overlay(ranges: &mut Vec<(u128, Arc<ClientClass>)>, first: u128, last: u128, class: Arc<ClientClass>) {
    let start = ranges.partition_point(|(at, _)| *at < first);
    let end = ranges.partition_point(|(at, _)| *at <= last);
    let tail = last.checked_add(1).and_then(|next| {
        let continues = ranges.get(end).is_none_or(|(at, _)| *at != next);
        continues.then(|| (next, ranges[end - 1].1.clone()))
    });
    ranges.splice(start..end, std::iter::once((first, class)).chain(tail));
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
