//! Policies for tests: databases of a few places, and small random policies.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Subnets};
use meridian_dns_core::geo::{Continent, Country, GeoClasses, GeoDatabase, GeoDatabaseBuilder, Place, Subdivision};
use meridian_dns_core::{
    ClientKey, GeoCondition, GeoRule, LatencyRow, Location, Policy, PolicyTree, SiteName, Snapshot, WeightedBranch,
};
use proptest::prelude::*;

use super::arbitrary::{SITES, any_network};

/// A database of networks of IPv4 and their places; of networks in each other the longest prefix counts.
pub(crate) fn database(networks: &[(IpNet, Place)]) -> GeoDatabase {
    let first = |network: &IpNet| match network {
        IpNet::V4(network) => network.network().to_bits(),
        IpNet::V6(_) => panic!("{network} is of IPv6"),
    };
    let last = |network: &IpNet| match network.broadcast() {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(_) => panic!("{network} is of IPv6"),
    };
    let all = networks.iter().map(|(network, _)| network);
    let after = all.clone().filter_map(|network| last(network).checked_add(1));
    let mut starts: Vec<u32> = all.map(first).chain(after).collect();
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([u32::MAX]);
    let mut builder = GeoDatabaseBuilder::default();
    for (start, end) in starts.iter().zip(ends) {
        let (start, end) = (Ipv4Addr::from_bits(*start), Ipv4Addr::from_bits(end));
        let around = networks
            .iter()
            .filter(|(network, _)| network.contains(&IpAddr::V4(start)));
        let Some((_, place)) = around.max_by_key(|(network, _)| network.prefix_len()) else {
            continue;
        };
        let id = builder.place(*place);
        for network in Ipv4Subnets::new(start, end, 0) {
            builder.network(network.into(), id).expect("in order");
        }
    }
    builder.build()
}

/// The snapshot with a database of those networks, and classes of so many nearest sites.
pub(crate) fn placed(snapshot: Snapshot, networks: &[(IpNet, Place)], nearest: usize) -> Snapshot {
    let geo = GeoClasses::compile(Arc::new(database(networks)), snapshot.sites(), nearest);
    snapshot.with_geo(Arc::new(geo))
}

/// A place written as `EU DE BY 64500`; `-` for what is not known.
pub(crate) fn place(text: &str) -> Place {
    let parts: Vec<_> = text.split(' ').collect();
    Place {
        continent: Continent::new(parts[0]),
        country: Country::new(parts[1]),
        subdivision: Subdivision::new(parts[2]),
        asn: parts[3].parse().ok(),
        location: None,
    }
}

fn any_site() -> impl Strategy<Value = SiteName> {
    let mut names = SITES.to_vec();
    names.push("absent");
    prop::sample::select(names).prop_map(SiteName::new)
}

fn some_sites() -> impl Strategy<Value = Option<Vec<SiteName>>> {
    prop::option::of(prop::collection::vec(any_site(), 1..4))
}

fn any_rule(branch: PolicyTree) -> impl Strategy<Value = GeoRule> {
    let countries = prop::sample::subsequence(vec!["DE".to_owned(), "TW".to_owned()], 0..2);
    let networks = prop::collection::vec(any_network(), 0..2);
    (countries, networks, any::<bool>()).prop_map(move |(countries, networks, asia)| GeoRule {
        condition: GeoCondition {
            // A rule needs a condition.
            continents: if asia || countries.is_empty() && networks.is_empty() {
                vec!["AS".to_owned()]
            } else {
                Vec::new()
            },
            countries,
            networks,
            ..GeoCondition::default()
        },
        branch: Arc::new(branch.clone()),
    })
}

fn any_tree() -> impl Strategy<Value = PolicyTree> {
    let row = (any_network(), prop::collection::vec((any_site(), 0_u32..4), 1..4))
        .prop_map(|(network, milliseconds)| LatencyRow { network, milliseconds });
    let latency = (some_sites(), prop::collection::vec(row, 1..3)).prop_map(|(sites, mut rows)| {
        rows.sort_by_key(|row| row.network);
        rows.dedup_by_key(|row| row.network);
        PolicyTree::Latency {
            sites,
            matrix: rows.into(),
        }
    });
    let leaf = prop_oneof![
        2 => any_site().prop_map(PolicyTree::Site),
        1 => (some_sites(), prop::option::of(0_u32..3)).prop_map(|(sites, within_km)| PolicyTree::Nearest { sites, within_km }),
        1 => latency,
        2 => some_sites().prop_map(|sites| PolicyTree::RoundRobin { sites }),
        1 => prop::collection::vec(any_site(), 1..4).prop_map(PolicyTree::Manual),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let weighted = prop::collection::vec((inner.clone(), 0_u32..4), 1..4).prop_map(|branches| {
            // Names keep branches apart, and somebody has a weight.
            let named = |index: usize, tree| PolicyTree::Named(format!("p{index}"), Arc::new(tree));
            let numbered = branches.into_iter().enumerate();
            let branches = numbered.map(|(index, (tree, weight))| WeightedBranch {
                weight: weight + u32::from(index == 0),
                branch: Arc::new(named(index, tree)),
            });
            PolicyTree::Weighted(branches.collect())
        });
        let failover = prop::collection::vec(inner.clone().prop_map(Arc::new), 1..4).prop_map(PolicyTree::Failover);
        let rules = prop::collection::vec(inner.clone().prop_flat_map(any_rule), 1..3);
        let geo = (rules, prop::option::of(inner)).prop_map(|(rules, otherwise)| PolicyTree::Geo {
            rules,
            otherwise: otherwise.map(Arc::new),
        });
        prop_oneof![weighted, failover, geo]
    })
}

pub(crate) fn any_policy() -> impl Strategy<Value = Arc<Policy>> {
    let key = prop_oneof![Just(ClientKey::default()), Just(ClientKey::new(8, 16).expect("a key"))];
    (any_tree(), key, any::<bool>())
        .prop_map(|(tree, key, sticky)| Arc::new(Policy::compile(&tree, key, sticky).expect("a good tree")))
}

/// Somewhere, a few places so far apart that they are near to different sites.
pub(crate) fn any_location() -> impl Strategy<Value = Option<Location>> {
    let one = (0_u8..3, 0_u8..3);
    let degrees = |(north, east)| Location::new(f64::from(north) * 0.02, f64::from(east) * 0.01);
    prop::option::weighted(0.8, one.prop_map(move |at| degrees(at).expect("on the globe")))
}

pub(crate) fn any_places() -> impl Strategy<Value = Vec<(IpNet, Place)>> {
    // Nothing of a database is finer than a block.
    let network = any_network().prop_filter("not a part of a block", |network| network.prefix_len() <= 24);
    let text = prop::sample::select(vec!["EU DE - -", "AS TW - -", "AS - - -", "- - - -"]);
    let place = (text, any_location()).prop_map(|(text, location)| Place {
        location,
        ..place(text)
    });
    prop::collection::vec((network, place), 0..4)
}
