//! Small random fleets.
//!
//! Three sites with random state and networks, four names in a chain of fall-backs with random addresses
//! and health. [`full_snapshot`] adds internal addresses and networks, host names, TLS, policies with places of
//! clients, and static records that alias, delegate and stand in for the names; [`any_snapshot`] has none of these.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;
use meridian_dns_core::{
    Client, ClientNetwork, ClientSubnet, DnsName, Fallback, HttpsService, Liveness, NameChange, NetworkOwner, Question,
    RecordType, RoutedName, Shard, ShardData, ShardHealth, Site, SiteName, Snapshot, Soa, StaticRecords, Traffic,
    WhenNoneHealthy, Zone,
};
use proptest::prelude::*;

use super::policies::{any_location, any_places, any_policy, placed};
use super::record;

pub(crate) const SITES: [&str; 3] = ["a", "b", "c"];
/// Zone level, region level, global, and a place of last resort.
pub(crate) const NAMES: [&str; 4] = [
    "w.z.example.test",
    "w.r.example.test",
    "w.example.test",
    "last.example.test",
];
pub(crate) const GLOBAL: &str = NAMES[2];

pub(crate) fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a valid name")
}

/// The number of a site is in the third octet, so that an address tells its site.
fn any_shard(site: usize) -> impl Strategy<Value = Shard> {
    (0_u8..3, 0_u8..3, any::<bool>()).prop_map(move |(v4, v6, healthy)| {
        let site = u8::try_from(site).expect("few sites");
        let addresses = (1..=v4)
            .map(|host| IpAddr::from(Ipv4Addr::new(10, 0, site, host)))
            .chain(
                (1..=v6).map(|host| Ipv6Addr::new(0x2001, 0xdb8, u16::from(site), 0, 0, 0, 0, u16::from(host)).into()),
            )
            .collect();
        let health = if healthy {
            ShardHealth::Healthy
        } else {
            ShardHealth::Unhealthy("down".to_owned())
        };
        Shard::new(ShardData::Addresses(addresses), health)
    })
}

fn any_fallback(level: usize) -> BoxedStrategy<Fallback> {
    let policy = |when| Just(Fallback::Policy(when));
    let last = name(NAMES[3]);
    match level {
        // Sometimes upwards, sometimes to itself: aliases that loop must end too.
        0 | 1 => prop_oneof![
            4 => Just(Fallback::Upper(name(NAMES[level + 1]))),
            1 => Just(Fallback::Upper(name(NAMES[level]))),
            1 => Just(Fallback::Always),
        ]
        .boxed(),
        2 => prop_oneof![
            3 => policy(WhenNoneHealthy::FailOpen),
            1 => policy(WhenNoneHealthy::Empty),
            1 => policy(WhenNoneHealthy::Fallback(last)),
            1 => policy(WhenNoneHealthy::Fallback(name("elsewhere.test"))),
        ]
        .boxed(),
        _ => prop_oneof![policy(WhenNoneHealthy::FailOpen), Just(Fallback::Always)].boxed(),
    }
}

fn any_name(level: usize) -> impl Strategy<Value = RoutedName> {
    let shards = (0..SITES.len())
        .map(|site| prop::option::weighted(0.8, any_shard(site)))
        .collect::<Vec<_>>();
    (shards, any_fallback(level)).prop_map(move |(shards, fallback)| {
        let shards: BTreeMap<_, _> = SITES
            .iter()
            .zip(shards)
            .filter_map(|(site, shard)| Some((SiteName::new(*site), shard?)))
            .collect();
        let ipv6 = RoutedName::every_site_has_ipv6(&shards);
        RoutedName {
            name: name(NAMES[level]),
            ttl: 30,
            shards,
            fallback,
            ipv6,
            https: None,
            policy: None,
        }
    })
}

pub(crate) fn any_network() -> impl Strategy<Value = IpNet> {
    (any::<u32>(), 0_u8..=32).prop_map(|(bits, length)| {
        IpNet::new(Ipv4Addr::from(bits & 0xc0c0_0003).into(), length)
            .expect("a network")
            .trunc()
    })
}

fn any_site(full: bool) -> impl Strategy<Value = Site> {
    let internal = if full { 0..3 } else { 0..1 };
    (
        prop::collection::vec(any_network(), 0..3),
        prop::collection::vec(any_network(), internal),
        0_u32..3,
        any::<bool>(),
        any::<bool>(),
        any_location(),
    )
        .prop_map(|(networks, internal_networks, weight, dead, drained, location)| Site {
            region: String::new(),
            zones: Vec::new(),
            location,
            networks,
            internal_networks,
            weight,
            liveness: if dead { Liveness::Dead } else { Liveness::Alive },
            traffic: if drained { Traffic::Drained } else { Traffic::Active },
        })
}

fn soa() -> Soa {
    Soa {
        primary: name("ns.example.test"),
        mailbox: name("hostmaster.example.test"),
        serial: 1,
        refresh: 1,
        retry: 1,
        expire: 1,
        minimum: 1,
    }
}

fn snapshot_of(sites: Vec<Site>, names: Vec<Option<RoutedName>>, complete: bool, records: Vec<&str>) -> Snapshot {
    let changes: Vec<_> = names
        .into_iter()
        .flatten()
        .map(|routed| NameChange::Set(Arc::new(routed)))
        .collect();
    let apex = name("example.test");
    // Of records that do not go together, the first stay.
    let mut kept = Vec::new();
    for line in records {
        kept.push(record(line));
        if StaticRecords::new(&apex, kept.clone()).is_err() {
            kept.pop();
        }
    }
    let records = StaticRecords::new(&apex, kept).expect("checked");
    let zone = Zone::new(apex, soa(), Vec::new())
        .with(&changes, 2)
        .with_records(Arc::new(records), 3)
        .with_complete(complete);
    let sites = SITES.iter().map(|site| SiteName::new(*site)).zip(sites).collect();
    Snapshot::default().with_sites(sites).with_zone(zone)
}

fn names(full: bool) -> Vec<BoxedStrategy<Option<RoutedName>>> {
    let one = |level| {
        if full {
            full_name(level).boxed()
        } else {
            any_name(level).boxed()
        }
    };
    (0..NAMES.len())
        .map(|level| prop::option::weighted(0.9, one(level)).boxed())
        .collect()
}

pub(crate) fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    (
        prop::collection::vec(any_site(false), SITES.len()),
        names(false),
        any::<bool>(),
    )
        .prop_map(|(sites, names, complete)| snapshot_of(sites, names, complete, Vec::new()))
}

/// A name with internal addresses, host names, TLS and policies here and there. Internal addresses are in
/// 172.16.0.0/12 and fd00::/8, with the site's number where the public ones have it.
fn full_name(level: usize) -> impl Strategy<Value = RoutedName> {
    let extra = prop::collection::vec((0_u8..3, 0_u8..2, any::<bool>()), SITES.len());
    let policy = prop::option::of(any_policy());
    let all = (any_name(level), extra, prop::option::of(0_u8..3), any::<bool>(), policy);
    all.prop_map(|(mut routed, extra, hosts, tls, policy)| {
        routed.policy = policy;
        for (site_name, shard) in &mut routed.shards {
            let index = SITES
                .iter()
                .position(|known| *known == site_name.as_str())
                .expect("a site");
            let (site, (v4, v6, host)) = (u8::try_from(index).expect("few sites"), extra[index]);
            let v4 = (0..v4).map(|host| Ipv4Addr::new(172, 16, site, host).into());
            let v6 = (0..v6).map(|host| Ipv6Addr::new(0xfd00, 0, u16::from(site), 0, 0, 0, 0, u16::from(host)).into());
            shard.internal = v4.chain(v6).collect();
            // Every site, some sites, or none.
            let has = match hosts {
                Some(0) => true,
                Some(_) => host,
                None => false,
            };
            shard.host_name =
                has.then(|| name(["lb.elsewhere.test", "last.example.test", "no.example.test"][usize::from(site)]));
        }
        routed.https = tls.then(|| HttpsService {
            alpn: vec!["h2".to_owned()],
            port: None,
        });
        routed
    })
}

const RECORDS: [&str; 17] = [
    "w 60 TXT x",
    "w 60 MX 10 last",
    "w 60 A 192.0.2.9",
    "w.z 60 TXT x",
    "w.r 60 CNAME alias",
    "alias 60 CNAME w",
    "circle 60 CNAME circle",
    "r 60 NS ns.r",
    "r 60 DS x",
    "ns.r 60 A 192.0.2.8",
    "* 60 CNAME w.r",
    "*.no 60 SRV 0 0 1 w.z",
    "old 60 DNAME r",
    "old 60 MX 10 w",
    "s 60 SRV 0 0 1 w",
    "last 60 TXT x",
    "@ 60 MX 10 w",
];

pub(crate) fn full_snapshot() -> impl Strategy<Value = Snapshot> {
    let records = prop::sample::subsequence(RECORDS.to_vec(), 0..RECORDS.len());
    (
        prop::collection::vec(any_site(true), SITES.len()),
        names(true),
        prop::bool::weighted(0.8),
        records,
        (any_places(), 1_usize..4),
        prop::collection::vec(any_client_network(), 0..3),
    )
        .prop_map(|(sites, names, complete, records, (places, nearest), networks)| {
            let snapshot = snapshot_of(sites, names, complete, records);
            let zone = snapshot.zone(&name("example.test")).expect("the zone");
            let zone = Zone::clone(zone).with_networks(networks.into());
            placed(snapshot.with_zone(zone), &places, nearest)
        })
}

fn any_client_network() -> impl Strategy<Value = ClientNetwork> {
    let site = prop::sample::select(SITES.to_vec()).prop_map(|name| NetworkOwner::Site(SiteName::new(name)));
    let region = Just(NetworkOwner::Region("us-east-1".to_owned()));
    (any_network(), prop_oneof![site, region]).prop_map(|(network, nearest_to)| ClientNetwork { network, nearest_to })
}

/// With or without an option, trusted or not, sometimes at a listener of a site.
pub(crate) fn any_client() -> impl Strategy<Value = Client<'static>> {
    static LISTENERS: LazyLock<[SiteName; SITES.len()]> = LazyLock::new(|| SITES.map(SiteName::new));
    let subnet = (any_address(), 0_u8..=32, any::<bool>()).prop_map(|(address, length, trusted)| ClientSubnet {
        network: IpNet::new(address, length).expect("a prefix of both families").trunc(),
        trusted,
    });
    let site = prop::option::weighted(0.2, 0..SITES.len()).prop_map(|site| site.map(|site| &LISTENERS[site]));
    (any_address(), prop::option::weighted(0.7, subnet), site, any::<u32>()).prop_map(
        |(source, subnet, site, rotation)| Client {
            rotation,
            source,
            subnet,
            site,
        },
    )
}

pub(crate) fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        4 => any::<u32>().prop_map(|bits| Ipv4Addr::from(bits & 0xc0c0_0003).into()),
        1 => any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
    ]
}

pub(crate) fn any_question() -> impl Strategy<Value = Question> {
    let names = NAMES
        .into_iter()
        .chain(["example.test", "r.example.test", "no.example.test", "test"])
        .chain(["alias", "circle", "old", "x.old", "s", "x.no", "x.w", "ns.r", "*"])
        .map(|text| {
            if text.contains("test") {
                text.to_owned()
            } else {
                format!("{text}.example.test")
            }
        })
        .collect::<Vec<_>>();
    let types = [
        RecordType::A,
        RecordType::Aaaa,
        RecordType::Any,
        RecordType::Cname,
        RecordType::Srv,
        RecordType::Https,
        RecordType::Mx,
        RecordType::Ns,
        RecordType::Ds,
        RecordType::Other(16),
    ];
    (prop::sample::select(names), prop::sample::select(types.to_vec())).prop_map(|(text, record_type)| Question {
        name: name(&text),
        record_type,
    })
}
