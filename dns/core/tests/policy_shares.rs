//! Shares of clients, and how many move.
//!
//! Weights hold within 1 % of all clients over 100,000 of them, in both families, alone and nested. When
//! a site goes, only its own clients move, to the others by their weights; when one comes, it takes its
//! share and nobody else moves. That is the least that can move; 1.1 times as many are allowed.

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use meridian_dns_core::{
    Client, ClientKey, Fallback, Liveness, Location, NameChange, Policy, PolicyTree, Question, RecordData, RecordType,
    RoutedName, Shard, ShardData, ShardHealth, Site, SiteName, Snapshot, Traffic, WeightedBranch, WhenNoneHealthy,
    Zone, answer,
};
use proptest::prelude::*;
use support::{absolute, soa};

/// A fleet of sites 0, 1, ... with these weights; site n has the address 10.0.0.n for the name `web`.
fn fleet(weights: &[u32], dead: Option<usize>, tree: &PolicyTree) -> Snapshot {
    let name = |index: usize| SiteName::new(format!("site-{index}"));
    let sites = weights.iter().enumerate().map(|(index, weight)| {
        let site = Site {
            region: String::new(),
            zones: Vec::new(),
            // All in one place, in the middle of the clients' network, so that all are ties.
            location: Location::new(50.0, 8.0),
            networks: if index == 0 {
                vec![
                    "0.0.0.0/0".parse().expect("a network"),
                    "::/0".parse().expect("a network"),
                ]
            } else {
                Vec::new()
            },
            internal_networks: Vec::new(),
            weight: *weight,
            liveness: if dead == Some(index) {
                Liveness::Dead
            } else {
                Liveness::Alive
            },
            traffic: Traffic::Active,
        };
        (name(index), site)
    });
    let shards = (0..weights.len()).map(|index| {
        let address = Ipv4Addr::new(10, 0, 0, u8::try_from(index).expect("few sites"));
        let data = ShardData::Addresses(vec![address.into()]);
        (name(index), Shard::new(data, ShardHealth::Healthy))
    });
    let web = RoutedName {
        name: absolute("web"),
        ttl: 30,
        shards: shards.collect(),
        fallback: Fallback::Policy(WhenNoneHealthy::FailOpen),
        ipv6: false,
        https: None,
        policy: Some(Arc::new(
            Policy::compile(tree, ClientKey::default(), false).expect("a good policy"),
        )),
    };
    let zone = Zone::new(absolute("@"), soa(), Vec::new())
        .with(&[NameChange::Set(Arc::new(web))], 2)
        .with_complete(true);
    Snapshot::default().with_sites(sites.collect()).with_zone(zone)
}

fn site(index: usize) -> Arc<PolicyTree> {
    Arc::new(PolicyTree::Site(SiteName::new(format!("site-{index}"))))
}

fn weighted(branches: impl IntoIterator<Item = (Arc<PolicyTree>, u32)>) -> PolicyTree {
    let branches = branches.into_iter();
    PolicyTree::Weighted(
        branches
            .map(|(branch, weight)| WeightedBranch { weight, branch })
            .collect(),
    )
}

fn by_site(weights: &[u32]) -> PolicyTree {
    weighted(weights.iter().enumerate().map(|(index, weight)| (site(index), *weight)))
}

/// The n-th client network: neighbours, as an Internet provider would have them.
fn client(number: u32, ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::from(u128::from(number) << 80 | 0x2001_0db8 << 96).into()
    } else {
        Ipv4Addr::from(number << 8 | 7).into()
    }
}

/// The site of each client.
fn sites_of(snapshot: &Snapshot, clients: u32, ipv6: bool) -> Vec<u8> {
    let question = Question {
        name: absolute("web"),
        record_type: RecordType::A,
    };
    let one = |number| {
        let told = answer(snapshot, &question, Client::at(client(number, ipv6)));
        match told.answers[0].data[..] {
            [RecordData::A(address)] => address.octets()[3],
            _ => panic!("one address: {:?}", told.answers),
        }
    };
    (0..clients).map(one).collect()
}

#[track_caller]
fn holds(snapshot: &Snapshot, expected: &[f64]) {
    const CLIENTS: u32 = 100_000;
    for ipv6 in [false, true] {
        let mut counts = BTreeMap::new();
        for site in sites_of(snapshot, CLIENTS, ipv6) {
            *counts.entry(usize::from(site)).or_insert(0_u32) += 1;
        }
        for (index, share) in expected.iter().enumerate() {
            let got = f64::from(counts.get(&index).copied().unwrap_or(0)) / f64::from(CLIENTS);
            assert!(
                (got - share).abs() < 0.01,
                "site {index}: {got} of {share}, IPv6 {ipv6}"
            );
        }
    }
}

#[test]
fn weights_hold_within_one_percent_of_a_hundred_thousand_clients() {
    for weights in [vec![1, 1], vec![70, 20, 10], vec![1, 99], vec![5, 4, 3, 2, 1, 0]] {
        let sum = f64::from(weights.iter().sum::<u32>());
        let shares: Vec<_> = weights.iter().map(|weight| f64::from(*weight) / sum).collect();
        holds(&fleet(&weights, None, &by_site(&weights)), &shares);
    }
}

#[test]
fn the_weights_of_those_that_are_left_hold_when_a_site_is_dead() {
    holds(&fleet(&[1; 3], Some(1), &by_site(&[50, 20, 30])), &[0.625, 0.0, 0.375]);
}

#[test]
fn shares_inside_shares_are_independent_of_each_other() {
    // The same sites and weights at both levels: one draw for both would give the halves of halves away.
    let inner = || by_site(&[1, 1]);
    let named = |name: &str| Arc::new(PolicyTree::Named(name.to_owned(), Arc::new(inner())));
    let tree = weighted([(named("a"), 1), (site(0), 1)]);
    holds(&fleet(&[1; 2], None, &tree), &[0.75, 0.25]);
    let tree = weighted([(named("a"), 1), (named("b"), 1)]);
    holds(&fleet(&[1; 2], None, &tree), &[0.5, 0.5]);
}

#[test]
fn near_ties_hold_the_weights_of_their_sites() {
    let tree = PolicyTree::Nearest {
        sites: None,
        within_km: Some(0),
    };
    holds(&fleet(&[60, 30, 10], None, &tree), &[0.6, 0.3, 0.1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// A dead site's clients move and no others; a site that comes takes clients and no two others trade.
    #[test]
    fn few_clients_move_when_a_site_comes_or_goes(
        weights in prop::collection::vec(1_u32..20, 2..8), which in any::<prop::sample::Index>(), ipv6 in any::<bool>(),
    ) {
        const CLIENTS: u32 = 4_000;
        let gone = which.index(weights.len());
        let number = u8::try_from(gone).expect("few sites");
        let all = sites_of(&fleet(&weights, None, &by_site(&weights)), CLIENTS, ipv6);
        let dead = sites_of(&fleet(&weights, Some(gone), &by_site(&weights)), CLIENTS, ipv6);
        // The policy without the site, its branches written in another order.
        let without: Vec<_> = weights.iter().enumerate().filter(|(index, _)| *index != gone)
            .map(|(index, weight)| (site(index), *weight)).rev().collect();
        let removed = sites_of(&fleet(&weights, None, &weighted(without)), CLIENTS, ipv6);
        prop_assert_eq!(&dead, &removed);
        let moved = all.iter().zip(&dead).filter(|(before, after)| before != after).count();
        let least = all.iter().filter(|site| **site == number).count();
        prop_assert!(moved as f64 <= least as f64 * 1.1, "{} moved, {} had to", moved, least);
        let share = f64::from(weights[gone]) / f64::from(weights.iter().sum::<u32>());
        prop_assert!((least as f64 / f64::from(CLIENTS) - share).abs() < 0.04);
    }

    /// A change of one weight moves clients to that site or from it, and no more than its share changes.
    #[test]
    fn a_change_of_a_weight_moves_only_what_it_must(weights in prop::collection::vec(1_u32..20, 2..6), more in 1_u32..20) {
        const CLIENTS: u32 = 4_000;
        let before = sites_of(&fleet(&weights, None, &by_site(&weights)), CLIENTS, false);
        let mut heavier = weights.clone();
        heavier[0] += more;
        let after = sites_of(&fleet(&weights, None, &by_site(&heavier)), CLIENTS, false);
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(before == after || *after == 0);
        }
    }
}
