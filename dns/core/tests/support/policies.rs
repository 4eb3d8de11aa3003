//! Policies for tests: a table of places that looks through a list, and small random policies.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use meridian_dns_core::{
    ClientKey, ClientPlace, ClientPlaces, GeoCondition, GeoRule, LatencyRow, Policy, PolicyTree, SiteName,
    WeightedBranch,
};
use proptest::prelude::*;

use super::arbitrary::{SITES, any_network};

/// Networks and their places; the longest prefix counts.
#[derive(Debug, Default)]
pub(crate) struct Places(pub(crate) Vec<(IpNet, ClientPlace)>);

static NOWHERE: ClientPlace = ClientPlace {
    continent: None,
    country: None,
    subdivision: None,
    asn: None,
    location: None,
};

impl ClientPlaces for Places {
    /// The scope is as long as the longest prefix of the table, which is never too wide.
    fn place(&self, address: IpAddr) -> (&ClientPlace, u8) {
        let own = address.to_canonical();
        let of_family = |network: &&(IpNet, ClientPlace)| network.0.addr().is_ipv4() == own.is_ipv4();
        let longest = self.0.iter().filter(of_family).map(|(network, _)| network.prefix_len());
        let mapping = if address.is_ipv6() && own.is_ipv4() { 96 } else { 0 };
        let scope = longest.max().unwrap_or(0);
        let around = self.0.iter().filter(|(network, _)| network.contains(&own));
        let place = around
            .max_by_key(|(network, _)| network.prefix_len())
            .map(|(_, place)| place);
        (place.unwrap_or(&NOWHERE), if scope == 0 { 0 } else { scope + mapping })
    }
}

/// A place written as `EU DE BY 64500`; `-` for what is not known.
pub(crate) fn place(text: &str) -> ClientPlace {
    let mut parts = text.split(' ').map(|part| Some(part).filter(|part| *part != "-"));
    let mut code = || parts.next().flatten().map(Arc::from);
    let (continent, country, subdivision) = (code(), code(), code());
    ClientPlace {
        continent,
        country,
        subdivision,
        asn: parts.next().flatten().map(|number| number.parse().expect("a number")),
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

pub(crate) fn any_places() -> impl Strategy<Value = Arc<Places>> {
    let one = prop::sample::select(vec!["EU DE - -", "AS TW - -", "AS - - -", "- - - -"]);
    prop::collection::vec((any_network(), one.prop_map(place)), 0..3).prop_map(|all| Arc::new(Places(all)))
}
