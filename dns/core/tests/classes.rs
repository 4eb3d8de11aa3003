//! Client classes of configured networks and of a database, held against naive ones.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use meridian_dns_core::geo::{Country, GeoClasses, GeoDatabase, GeoDatabaseBuilder, NEAREST_SITES, Place};
use meridian_dns_core::{
    ClassTable, ClientNetwork, DnsName, Liveness, Location, NetworkOwner, Site, SiteName, Sites, Traffic,
};
use proptest::prelude::*;

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
        ("nowhere", site(&[], None, 900)),
    ])
}

fn zone() -> DnsName {
    DnsName::parse("example.test").expect("a name")
}

fn compiled(sites: &Sites) -> ClassTable {
    ClassTable::compile(sites, [], GeoClasses::unknown())
}

fn order(table: &ClassTable, address: &str) -> (Vec<String>, u8) {
    let (class, scope) = table.lookup(&zone(), address.parse().expect("an address"));
    let order = class.order(table.default_order());
    (order.map(ToString::to_string).collect(), scope)
}

#[track_caller]
fn check(table: &ClassTable, address: &str, expected: &str, scope: u8) {
    let (found, found_scope) = order(table, address);
    assert_eq!((found.join(" ").as_str(), found_scope), (expected, scope), "{address}");
}

#[test]
fn the_order_is_by_distance_from_the_networks_own_site() {
    let table = compiled(&three());
    check(&table, "100.64.30.7", "taipei tokyo oregon nowhere", 24);
    check(&table, "100.64.10.7", "oregon tokyo taipei nowhere", 24);
    check(&table, "2001:db8:20::1", "tokyo taipei oregon nowhere", 48);
}

#[test]
fn the_longest_prefix_wins_and_scopes_stop_at_its_border() {
    let table = compiled(&three());
    check(&table, "100.64.20.200", "taipei tokyo oregon nowhere", 25);
    check(&table, "100.64.20.1", "tokyo taipei oregon nowhere", 25);
}

#[test]
fn unknown_clients_get_the_weights_and_sites_without_a_place_come_last() {
    let table = compiled(&three());
    check(&table, "192.0.2.1", "oregon taipei tokyo nowhere", 1);
    check(&table, "::ffff:100.64.30.7", "taipei tokyo oregon nowhere", 96 + 24);
}

#[test]
fn a_fleet_without_networks_has_one_class_and_scope_0() {
    let table = compiled(&fleet(&[("a", site(&[], None, 1))]));
    check(&table, "192.0.2.1", "a", 0);
    check(&table, "2001:db8::1", "a", 0);
}

#[test]
fn a_zones_networks_go_before_the_same_ones_of_a_site_and_count_there_alone() {
    let mut sites = three();
    let mut oregon = sites.get(&SiteName::new("oregon")).expect("a site").clone();
    oregon.region = "us-west".to_owned();
    sites.insert(SiteName::new("oregon"), oregon);
    let network = |network: &str, nearest_to| ClientNetwork {
        network: network.parse().expect("a network"),
        nearest_to,
    };
    let own = [
        network("100.64.20.0/24", NetworkOwner::Region("us-west".to_owned())),
        network("100.64.0.0/16", NetworkOwner::Site(SiteName::new("taipei"))),
        network("100.65.0.0/16", NetworkOwner::Site(SiteName::new("gone"))),
        // A region of a public cloud that has no site: near to its place.
        network("100.66.0.0/16", NetworkOwner::Region("ap-northeast-3".to_owned())),
        network("100.67.0.0/16", NetworkOwner::Region("mars-north-1".to_owned())),
    ];
    let zone = zone();
    let table = ClassTable::compile(&sites, [(&zone, &own[..])], GeoClasses::unknown());
    check(&table, "100.64.20.1", "oregon tokyo taipei nowhere", 25);
    check(&table, "100.64.20.200", "taipei tokyo oregon nowhere", 25);
    check(&table, "100.64.99.1", "taipei tokyo oregon nowhere", 18);
    check(&table, "100.65.0.1", "oregon taipei tokyo nowhere", 16);
    check(&table, "100.66.0.1", "tokyo taipei oregon nowhere", 16);
    check(&table, "100.67.0.1", "oregon taipei tokyo nowhere", 16);
    let other = DnsName::parse("example.net").expect("a name");
    let (class, _) = table.lookup(&other, "100.64.99.1".parse().expect("an address"));
    assert!(class.nearest.is_empty(), "{class:?}");
}

#[test]
fn a_class_is_the_nearest_few_and_then_the_weights() {
    let sites = fleet(&[
        ("a", site(&[], Some((0.0, 1.0)), 1)),
        ("b", site(&[], Some((0.0, 2.0)), 1)),
        ("c", site(&[], Some((0.0, 3.0)), 1)),
        ("d", site(&[], Some((0.0, 4.0)), 2)),
        ("same", site(&[], Some((0.0, 1.0)), 5)),
        ("nowhere", site(&[], None, 9)),
    ]);
    let mut builder = GeoDatabaseBuilder::default();
    let here = builder.place(Place {
        location: Location::new(0.0, 0.0),
        ..Place::default()
    });
    let chad = builder.place(Place {
        country: Country::new("TD"),
        ..Place::default()
    });
    builder
        .network("192.0.2.0/24".parse().expect("a network"), here)
        .expect("in order");
    builder
        .network("192.0.4.0/24".parse().expect("a network"), chad)
        .expect("in order");
    let database = Arc::new(builder.build());
    let classes = |nearest| Arc::new(GeoClasses::compile(database.clone(), &sites, nearest));
    let table = ClassTable::compile(&sites, [], classes(2));
    check(&table, "192.0.2.1", "same a d b c nowhere", 24);
    check(&table, "192.0.3.1", "same d a b c nowhere", 24);
    // Chad is north of them all and nearer to the east.
    check(&table, "192.0.4.1", "d c same a b nowhere", 24);
    let all = ClassTable::compile(&sites, [], classes(9));
    check(&all, "192.0.2.1", "same a b c d nowhere", 24);
    assert!(classes(2).fits(&database, &sites));
    assert!(!classes(2).fits(&Arc::default(), &sites));
    assert!(!classes(2).fits(&database, &three()));
}

#[test]
fn old_classes_miss_no_new_site() {
    let mut sites = three();
    let mut builder = GeoDatabaseBuilder::default();
    let place = builder.place(Place {
        country: Country::new("JP"),
        ..Place::default()
    });
    builder
        .network("192.0.2.0/24".parse().expect("a network"), place)
        .expect("in order");
    let old = Arc::new(GeoClasses::compile(Arc::new(builder.build()), &sites, 1));
    sites.insert(SiteName::new("osaka"), site(&[], Some((34.7, 135.5)), 50));
    let table = ClassTable::compile(&sites, [], old);
    check(&table, "192.0.2.1", "tokyo oregon taipei osaka nowhere", 24);
}

/// A generator of the same numbers every time (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// Anywhere, or only to ten degrees, so that some are equally far from several sites.
    fn location(&mut self) -> Option<Location> {
        let (tenth, step) = (self.below(2) == 0, |number: u64| number as f64);
        let (latitude, longitude) = (
            step(self.below(1801)) / 10.0 - 90.0,
            step(self.below(3601)) / 10.0 - 180.0,
        );
        let round = |degrees: f64| {
            if tenth {
                degrees
            } else {
                (degrees / 10.0).trunc() * 10.0
            }
        };
        Location::new(round(latitude), round(longitude))
    }

    fn place(&mut self) -> Place {
        const COUNTRIES: [&str; 4] = ["DE", "JP", "US", "ZZ"];
        let country = self.below(8) as usize;
        Place {
            location: self.location().filter(|_| country < 4),
            country: COUNTRIES.get(country % 5).and_then(|code| Country::new(code)),
            ..Place::default()
        }
    }

    /// A network that starts at an address; wide only where its address allows.
    fn network(&mut self, address: IpAddr) -> IpNet {
        let (widest, spread) = if address.is_ipv4() { (14, 14) } else { (22, 34) };
        let len = (widest + self.below(spread)) as u8;
        IpNet::new(address, len).expect("a length within the family").trunc()
    }

    fn address(&mut self) -> IpAddr {
        if self.below(2) == 0 {
            // In a tenth of the space, so that neighbours are common.
            IpAddr::V4(Ipv4Addr::from_bits((self.roll() as u32) & 0x1f7f_ffff))
        } else {
            let bits = u128::from(self.roll()) << 64 | u128::from(self.roll());
            IpAddr::V6(Ipv6Addr::from_bits(
                bits & (0x2003_007f_ffff_ffff << 64 | u128::from(u64::MAX)),
            ))
        }
    }
}

struct Fixture {
    sites: Sites,
    /// The networks of sites: the narrowest first, and of equals the first site's.
    configured: Vec<(IpNet, SiteName)>,
    /// Disjoint and in order.
    networks: Vec<(IpNet, Place)>,
    database: Arc<GeoDatabase>,
}

fn fixture(dice: &mut Dice, networks: usize) -> Fixture {
    let count = 1 + dice.below(50);
    let sites: Sites = (0..count)
        .map(|number| {
            let weight = 1 + dice.below(3) as u32;
            let mut own = site(&[], None, weight);
            own.location = dice.location().filter(|_| number % 7 != 6);
            if dice.below(3) == 0 {
                let address = dice.address();
                own.networks = vec![dice.network(address), dice.network(address)];
            }
            (SiteName::new(format!("c{number:02}")), own)
        })
        .collect();
    let mut found: Vec<IpNet> = (0..networks)
        .map(|_| {
            let address = dice.address();
            dice.network(address)
        })
        .collect();
    found.sort();
    let mut disjoint: Vec<(IpNet, Place)> = Vec::new();
    let mut builder = GeoDatabaseBuilder::default();
    for network in found {
        if disjoint.last().is_some_and(|(before, _)| before.contains(&network)) {
            continue;
        }
        // Wider ones first in the sort, so what is left does not reach into the next.
        let place = dice.place();
        let id = builder.place(place);
        builder.network(network, id).expect("in order and disjoint");
        disjoint.push((network, place));
    }
    let mut configured: Vec<_> = sites
        .iter()
        .flat_map(|(name, site)| site.networks.iter().map(move |network| (*network, name.clone())))
        .collect();
    configured.sort_by_key(|(network, name)| (Reverse(network.prefix_len()), name.clone()));
    Fixture {
        configured,
        sites,
        networks: disjoint,
        database: Arc::new(builder.build()),
    }
}

/// The configured site and the network of the database that decide for an address, the latter by its number.
fn decided_by(fixture: &Fixture, address: IpAddr) -> (Option<SiteName>, Option<usize>) {
    let mut configured = fixture
        .configured
        .iter()
        .filter(|(network, _)| network.contains(&address));
    let configured = configured.next().map(|(_, name)| name.clone());
    let width = if address.is_ipv4() { 24 } else { 48 };
    let block = IpNet::new(address, width).expect("a block").trunc();
    let networks = &fixture.networks;
    let first = networks.partition_point(|(network, _)| network.network() < block.network());
    let inside: Vec<_> = (first..networks.len())
        .take_while(|at| block.contains(&networks[*at].0))
        .collect();
    let addresses = |at: usize| {
        let same = inside.iter().filter(|other| networks[**other].1 == networks[at].1);
        same.map(|other| 1_u128 << (networks[*other].0.max_prefix_len() - networks[*other].0.prefix_len()))
            .sum::<u128>()
    };
    let most = inside.iter().rev().max_by_key(|at| addresses(**at)).copied();
    let behind = networks.partition_point(|(network, _)| network.network() <= address);
    let around = || behind.checked_sub(1).filter(|at| networks[*at].0.contains(&address));
    (configured, most.or_else(around))
}

/// The order of sites by the rules as they are written down.
fn naive(fixture: &Fixture, configured: Option<&SiteName>, network: Option<usize>) -> Vec<SiteName> {
    let sites = &fixture.sites;
    let place = |name: &SiteName| sites.get(name).expect("a site").location;
    let mut order: Vec<_> = sites.iter().collect();
    order.sort_by_key(|(name, site)| (site.location.is_none(), Reverse(site.weight), (*name).clone()));
    let order: Vec<SiteName> = order.into_iter().map(|(name, _)| name.clone()).collect();
    let from = match (configured, network) {
        (Some(name), _) => place(name),
        (None, Some(network)) => fixture.networks[network].1.position().map(|(location, _)| location),
        (None, None) => None,
    };
    let mut found: Vec<SiteName> = configured.cloned().into_iter().collect();
    if let Some(from) = from {
        let mut near: Vec<_> = order.iter().filter(|name| place(name).is_some()).collect();
        // Stable: of equals the first in the default order stays first.
        near.sort_by_key(|name| place(name).map(|to| from.distance_km(&to)));
        for name in near {
            if found.len() < NEAREST_SITES && !found.contains(name) {
                found.push(name.clone());
            }
        }
    }
    let rest: Vec<_> = order.into_iter().filter(|name| !found.contains(name)).collect();
    found.extend(rest);
    found
}

/// A million addresses of both families: the table equals the naive order, and no scope covers an address of
/// another class.
#[test]
fn the_table_equals_a_naive_look_up_for_a_million_addresses() {
    const WORLDS: u64 = 20;
    const ADDRESSES: usize = 50_000;
    let mut by_network = 0;
    for seed in 0..WORLDS {
        let mut dice = Dice(seed);
        let fixture = fixture(&mut dice, 2000);
        let geo = Arc::new(GeoClasses::compile(
            fixture.database.clone(),
            &fixture.sites,
            NEAREST_SITES,
        ));
        let table = ClassTable::compile(&fixture.sites, [], geo);
        let zone = zone();
        let mut orders = BTreeMap::new();
        for _ in 0..ADDRESSES {
            let address = dice.address();
            let (class, scope) = table.lookup(&zone, address);
            let covered = IpNet::new(address, scope).expect("a scope within the family").trunc();
            for other in [covered.network(), covered.broadcast()] {
                assert_eq!(
                    table.lookup(&zone, other).0,
                    class,
                    "{address} and {other}, seed {seed}"
                );
            }
            let (configured, network) = decided_by(&fixture, address);
            by_network += usize::from(network.is_some());
            let expected = orders
                .entry((configured.clone(), network))
                .or_insert_with(|| naive(&fixture, configured.as_ref(), network));
            let same = class.order(table.default_order()).eq(&*expected);
            let place = || network.map(|at| fixture.networks[at]);
            assert!(
                same,
                "{address}, seed {seed}: {class:?}, not {expected:?}, in {:?}",
                place()
            );
        }
    }
    assert!(by_network > 200_000, "{by_network} in networks of the database");
}

proptest! {
    /// The configured networks equal a naive longest-prefix search, and inside a scope all classes are equal.
    #[test]
    fn configured_networks_equal_a_naive_search(
        networks in prop::collection::vec((any_network(), 0_usize..3), 0..12),
        addresses in prop::collection::vec(any_network(), 1..20),
    ) {
        let sites: Sites = ["a", "b", "c"].iter().enumerate().map(|(index, name)| {
            let mut own = site(&[], None, 1);
            let owned = networks.iter().filter(|(_, owner)| *owner == index);
            own.networks = owned.map(|(network, _)| *network).collect();
            (SiteName::new(*name), own)
        }).collect();
        let table = compiled(&sites);
        for address in addresses.iter().map(IpNet::addr) {
            if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) { continue; }
            let expected = sites.iter()
                .flat_map(|(name, site)| site.networks.iter().map(move |network| (network, name)))
                .filter(|(network, _)| network.contains(&address))
                .max_by_key(|(network, name)| (network.prefix_len(), Reverse((*name).clone())))
                .map(|(_, name)| name.clone());
            let (class, scope) = table.lookup(&zone(), address);
            prop_assert_eq!(&class.nearest, &expected.into_iter().collect::<Vec<_>>());
            let covered = IpNet::new(address, scope).expect("a scope within the family").trunc();
            for other in [covered.network(), covered.broadcast()] {
                prop_assert_eq!(table.lookup(&zone(), other).0, class);
            }
        }
    }
}

fn any_network() -> impl Strategy<Value = IpNet> {
    let network = |address: IpAddr, len| IpNet::new(address, len).expect("a network").trunc();
    prop_oneof![
        (any::<u32>(), 0_u8..=32).prop_map(move |(bits, len)| network(Ipv4Addr::from(bits & 0xf0f0_00ff).into(), len)),
        (any::<u128>(), 0_u8..=128)
            .prop_map(move |(bits, len)| network(Ipv6Addr::from(bits & (0xff << 120 | 0xff)).into(), len)),
    ]
}
