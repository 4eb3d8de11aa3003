//! What classes by place cost: to compile, to keep, to look up.
//!
//! `cargo bench -p meridian-dns-core --bench geo`. The promise under test, for a city database of 4 million
//! IPv4 and 2 million IPv6 networks and 50 sites: compiled in under 5 s on one core, under 128 MiB with the
//! database, under 50 ns per look-up.
//!
//! The database is made here. Neighbouring networks are in places of one country mostly, as real ones are;
//! `scattered` has every network anywhere, which is the worst case: hardly any two can be merged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use divan::{Bencher, black_box};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use meridian_dns_core::geo::{GeoClasses, GeoDatabase, GeoDatabaseBuilder, NEAREST_SITES, Place, PlaceId};
use meridian_dns_core::{ClassTable, DnsName, Liveness, Location, Site, SiteName, Sites, Traffic};

const IPV4_NETWORKS: u32 = 4_000_000;
const IPV6_NETWORKS: u64 = 2_000_000;
const PLACES: u64 = 200_000;
/// Cities of one country.
const COUNTRY: u64 = 800;
const SITES: u64 = 50;

fn main() {
    for layout in [Layout::Real, Layout::Scattered] {
        let (database, _) = layout.database();
        let database = Arc::new(database);
        let classes = GeoClasses::compile(database.clone(), &sites(), NEAREST_SITES);
        let mebibytes = |octets: usize| octets as f64 / 1_048_576.0;
        println!(
            "{layout:?}: {} networks in {:.1} MiB, {} classes in {:.1} MiB",
            database.len(),
            mebibytes(database.octets()),
            classes.len(),
            mebibytes(classes.octets()),
        );
    }
    divan::main();
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    Real,
    Scattered,
}

fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

fn location(number: u64) -> Location {
    let part = |bits: u64| (mix(bits) % 1_000_000) as f64 / 1_000_000.0;
    // Cities of a country are near to each other.
    let country = number / COUNTRY;
    let latitude = part(country) * 120.0 - 55.0 + part(number ^ 1 << 40) * 8.0;
    let longitude = part(country ^ 1 << 41) * 340.0 - 170.0 + part(number ^ 1 << 42) * 8.0;
    Location::new(latitude, longitude).unwrap_or_else(|| panic!("{latitude},{longitude}"))
}

fn sites() -> Sites {
    let site = |number| Site {
        region: String::new(),
        zones: Vec::new(),
        location: Some(location(number * PLACES / SITES)),
        networks: Vec::new(),
        internal_networks: Vec::new(),
        weight: 100,
        liveness: Liveness::Alive,
        traffic: Traffic::Active,
    };
    (0..SITES)
        .map(|number| (SiteName::new(format!("site-{number:02}")), site(number)))
        .collect()
}

impl Layout {
    /// A database, and an address in each of some of its networks.
    fn database(self) -> (GeoDatabase, Vec<IpAddr>) {
        let mut builder = GeoDatabaseBuilder::default();
        let places: Vec<PlaceId> = (0..PLACES)
            .map(|number| {
                let location = Some(location(number));
                builder.place(Place {
                    location,
                    ..Place::default()
                })
            })
            .collect();
        let place = |number: u64| {
            let index = match self {
                // Runs of networks of one country, a few in each of its cities.
                Self::Real => mix(number / 32) % (PLACES / COUNTRY) * COUNTRY + mix(number / 4) % COUNTRY,
                Self::Scattered => mix(number) % PLACES,
            };
            places[index as usize]
        };
        let mut addresses = Vec::new();
        let mut next = 0x0100_0000_u32;
        for number in 0..IPV4_NETWORKS {
            // A /23 at every third place, otherwise /24.
            let wide = number % 3 == 0;
            let len = if wide { 23 } else { 24 };
            next = if wide { (next + 0x1ff) & !0x1ff } else { next };
            let network = Ipv4Net::new(Ipv4Addr::from_bits(next), len).unwrap_or_default();
            add(&mut builder, network.into(), place(u64::from(number)));
            if mix(u64::from(number) << 7).is_multiple_of(8) {
                addresses.push(IpAddr::V4(Ipv4Addr::from_bits(next | 77)));
            }
            next += 1 << (32 - len);
        }
        for number in 0..IPV6_NETWORKS {
            // 125,000 allocations of a /32, all over 2400::/8 to 27ff::/8, 16 networks in each.
            let head = 0x2400_0000 + number / 16 * 512;
            let bits = u128::from(head) << 96 | u128::from(number % 16) << 92;
            let network = Ipv6Net::new(Ipv6Addr::from_bits(bits), 36).unwrap_or_default();
            add(&mut builder, network.into(), place(number ^ 1 << 50));
            if mix(number << 9).is_multiple_of(8) {
                addresses.push(IpAddr::V6(Ipv6Addr::from_bits(bits | 77)));
            }
        }
        addresses.sort_by_key(|address| match address {
            IpAddr::V4(address) => mix(u64::from(address.to_bits())),
            IpAddr::V6(address) => mix((address.to_bits() >> 70) as u64),
        });
        (builder.build(), addresses)
    }
}

fn add(builder: &mut GeoDatabaseBuilder, network: IpNet, place: PlaceId) {
    builder
        .network(network, place)
        .unwrap_or_else(|error| panic!("the bench makes a bad database: {error}"));
}

#[divan::bench(args = [Layout::Real, Layout::Scattered], sample_count = 3, sample_size = 1)]
fn compile(bencher: Bencher<'_, '_>, layout: Layout) {
    let (database, sites) = (Arc::new(layout.database().0), sites());
    bencher.bench_local(|| GeoClasses::compile(database.clone(), black_box(&sites), NEAREST_SITES));
}

fn look_up(bencher: Bencher<'_, '_>, layout: Layout, ipv4: bool) {
    let (database, mut addresses) = layout.database();
    addresses.retain(|address| address.is_ipv4() == ipv4);
    let sites = sites();
    let geo = Arc::new(GeoClasses::compile(Arc::new(database), &sites, NEAREST_SITES));
    let table = ClassTable::compile(&sites, [], geo);
    let zone = DnsName::parse("example.test").unwrap_or_else(|error| panic!("{error}"));
    let mut turn = 0;
    bencher.bench_local(move || {
        turn = if turn + 1 < addresses.len() { turn + 1 } else { 0 };
        let (class, scope) = table.lookup(&zone, addresses[turn]);
        class.nearest.len() + usize::from(scope)
    });
}

#[divan::bench(args = [Layout::Real, Layout::Scattered], sample_size = 10_000)]
fn look_up_ipv4(bencher: Bencher<'_, '_>, layout: Layout) {
    look_up(bencher, layout, true);
}

#[divan::bench(args = [Layout::Real, Layout::Scattered], sample_size = 10_000)]
fn look_up_ipv6(bencher: Bencher<'_, '_>, layout: Layout) {
    look_up(bencher, layout, false);
}
