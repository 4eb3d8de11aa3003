//! What one answer costs, by the size of the zone and of the fleet.
//!
//! `cargo bench -p meridian-dns-core --bench answer`. The promise under test: the number of names
//! costs nothing but cache misses, and the number of sites costs only those that are passed over.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use divan::{Bencher, black_box};
use meridian_dns_core::{
    Client, DnsName, Fallback, Liveness, Location, NameChange, Outcome, Question, RecordType, RoutedName, Shard,
    ShardData, ShardHealth, Site, SiteName, Snapshot, Soa, Traffic, WhenNoneHealthy, Zone, answer,
};

fn main() {
    divan::main();
}

/// Names in the zone, sites in the fleet.
const SIZES: [(u32, u8); 4] = [(100, 3), (100, 50), (10_000, 3), (10_000, 50)];

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a valid name")
}

fn global(number: u32) -> String {
    format!("web-{number}.shop.svc.example.test")
}

fn sites(count: u8) -> impl Iterator<Item = SiteName> {
    (0..count).map(|number| SiteName::new(format!("cluster-{number:02}")))
}

fn shard(number: u32, site: u8, healthy: bool) -> Shard {
    let [_, _, high, low] = number.to_be_bytes();
    let addresses = vec![IpAddr::from(Ipv4Addr::new(10, site, high, low))];
    let health = if healthy {
        ShardHealth::Healthy
    } else {
        ShardHealth::Unhealthy("no endpoints".to_owned())
    };
    Shard::new(ShardData::Addresses(addresses), health)
}

/// Of each service: the global name with every site, and a region's and a zone's name whose one site
/// does not serve, so that they lead upwards.
fn snapshot((names, count): (u32, u8)) -> Snapshot {
    let fleet = sites(count).zip(0_u8..).map(|(site, number)| {
        let place = f64::from(number);
        let own = Site {
            region: format!("region-{}", number % 5),
            zones: Vec::new(),
            location: Location::new(place, place),
            networks: vec![format!("100.{number}.0.0/16").parse().expect("a network")],
            internal_networks: Vec::new(),
            weight: 100,
            liveness: Liveness::Alive,
            traffic: Traffic::Active,
        };
        (site, own)
    });
    let set = |name: DnsName, shards: BTreeMap<_, _>, fallback| {
        NameChange::Set(Arc::new(RoutedName {
            name,
            ttl: 30,
            shards,
            fallback,
            ipv6: false,
            https: None,
            policy: None,
        }))
    };
    let changes: Vec<_> = (0..names)
        .flat_map(|number| {
            let (top, region) = (name(&global(number)), name(&format!("r.{}", global(number))));
            let all = sites(count)
                .zip(0_u8..)
                .map(|(site, index)| (site, shard(number, index, true)))
                .collect();
            let down = || sites(1).map(|site| (site, shard(number, 0, false))).collect();
            [
                set(top.clone(), all, Fallback::Policy(WhenNoneHealthy::FailOpen)),
                set(region.clone(), down(), Fallback::Upper(top)),
                set(
                    name(&format!("z.r.{}", global(number))),
                    down(),
                    Fallback::Upper(region),
                ),
            ]
        })
        .collect();
    let soa = Soa {
        primary: name("ns1.example.test"),
        mailbox: name("hostmaster.example.test"),
        serial: 1,
        refresh: 7200,
        retry: 600,
        expire: 86400,
        minimum: 5,
    };
    let zone = Zone::new(name("example.test"), soa, Vec::new())
        .with(&changes, 2)
        .with_complete(true);
    Snapshot::default().with_sites(fleet.collect()).with_zone(zone)
}

/// Answers questions for names spread over the whole zone, each from another client.
fn run(bencher: Bencher<'_, '_>, size: (u32, u8), prefix: &str, outcome: Outcome, sets: usize) {
    let snapshot = snapshot(size);
    let (names, count) = size;
    let questions: Vec<_> = (0..names)
        .map(|number| number.wrapping_mul(7919) % names)
        .map(|number| Question {
            name: name(&format!("{prefix}{}", global(number))),
            record_type: RecordType::A,
        })
        .collect();
    let first = answer(&snapshot, &questions[0], Client::at([100, 1, 2, 3].into()));
    assert_eq!((first.outcome, first.answers.len()), (outcome, sets));
    let mut turn = 0_usize;
    bencher.bench_local(move || {
        turn = turn.wrapping_add(1);
        let address = IpAddr::from([100, (turn % usize::from(count)) as u8, 2, 3]);
        answer(
            black_box(&snapshot),
            black_box(&questions[turn % questions.len()]),
            Client::at(address),
        )
    });
}

#[divan::bench(args = SIZES)]
fn positive(bencher: Bencher<'_, '_>, size: (u32, u8)) {
    run(bencher, size, "", Outcome::NoError, 1);
}

#[divan::bench(args = SIZES)]
fn chain_of_two_aliases(bencher: Bencher<'_, '_>, size: (u32, u8)) {
    run(bencher, size, "z.r.", Outcome::NoError, 3);
}

#[divan::bench(args = SIZES)]
fn name_error(bencher: Bencher<'_, '_>, size: (u32, u8)) {
    run(bencher, size, "absent-", Outcome::NxDomain, 0);
}
