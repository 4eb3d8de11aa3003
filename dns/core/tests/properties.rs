//! What holds for every fleet, not only for the ones we thought of.
//!
//! Worlds are small and random: three sites with random state and networks, four names in a chain
//! of fall-backs with random addresses and health. The properties are those that a resolver's cache or
//! a user would notice; each says in its own words when it applies.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use meridian_dns_core::{
    Answer, Client, DnsName, Fallback, Liveness, NameChange, Outcome, Question, RecordData, RecordType, RoutedName,
    Shard, ShardData, ShardHealth, Site, SiteName, Snapshot, Soa, Traffic, WhenNoneHealthy, Zone, answer,
};
use proptest::prelude::*;

const SITES: [&str; 3] = ["a", "b", "c"];
/// Zone level, region level, global, and a place of last resort.
const NAMES: [&str; 4] = [
    "w.z.example.test",
    "w.r.example.test",
    "w.example.test",
    "last.example.test",
];
const GLOBAL: &str = NAMES[2];

fn name(text: &str) -> DnsName {
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
        }
    })
}

fn any_network() -> impl Strategy<Value = IpNet> {
    (any::<u32>(), 0_u8..=32).prop_map(|(bits, length)| {
        IpNet::new(Ipv4Addr::from(bits & 0xc0c0_0003).into(), length)
            .expect("a network")
            .trunc()
    })
}

fn any_site() -> impl Strategy<Value = Site> {
    (
        prop::collection::vec(any_network(), 0..3),
        0_u32..3,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(networks, weight, dead, drained)| Site {
            region: String::new(),
            zones: Vec::new(),
            location: None,
            networks,
            internal_networks: Vec::new(),
            weight,
            liveness: if dead { Liveness::Dead } else { Liveness::Alive },
            traffic: if drained { Traffic::Drained } else { Traffic::Active },
        })
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let names = (0..NAMES.len())
        .map(|level| prop::option::weighted(0.9, any_name(level)))
        .collect::<Vec<_>>();
    (prop::collection::vec(any_site(), SITES.len()), names, any::<bool>()).prop_map(|(sites, names, complete)| {
        let soa = Soa {
            primary: name("ns.example.test"),
            mailbox: name("hostmaster.example.test"),
            serial: 1,
            refresh: 1,
            retry: 1,
            expire: 1,
            minimum: 1,
        };
        let changes: Vec<_> = names
            .into_iter()
            .flatten()
            .map(|routed| NameChange::Set(Arc::new(routed)))
            .collect();
        let zone = Zone::new(name("example.test"), soa, Vec::new())
            .with(&changes, 2)
            .with_complete(complete);
        let sites = SITES.iter().map(|site| SiteName::new(*site)).zip(sites).collect();
        Snapshot::default().with_sites(sites).with_zone(zone)
    })
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        4 => any::<u32>().prop_map(|bits| Ipv4Addr::from(bits & 0xc0c0_0003).into()),
        1 => any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
    ]
}

fn any_question() -> impl Strategy<Value = Question> {
    let names = NAMES
        .into_iter()
        .chain(["example.test", "r.example.test", "no.example.test", "test"])
        .collect::<Vec<_>>();
    let types = [
        RecordType::A,
        RecordType::Aaaa,
        RecordType::Any,
        RecordType::Cname,
        RecordType::Srv,
        RecordType::Other(16),
    ];
    (prop::sample::select(names), prop::sample::select(types.to_vec())).prop_map(|(text, record_type)| Question {
        name: name(text),
        record_type,
    })
}

fn ask(snapshot: &Snapshot, question: &Question, address: IpAddr) -> Answer {
    answer(snapshot, question, Client::at(address))
}

/// Without the scope, which may differ between clients of the same answer.
fn told(
    answer: &Answer,
) -> (
    Outcome,
    &[meridian_dns_core::RecordSet],
    &[meridian_dns_core::RecordSet],
) {
    (answer.outcome, &answer.answers, &answer.authorities)
}

/// The addresses of the last set of the answer, if it is one of addresses.
fn addresses(answer: &Answer) -> Vec<IpAddr> {
    let last = answer.answers.last().map(|set| set.data.as_slice()).unwrap_or_default();
    last.iter()
        .filter_map(|data| match data {
            RecordData::A(address) => Some((*address).into()),
            RecordData::Aaaa(address) => Some((*address).into()),
            _ => None,
        })
        .collect()
}

fn site_of(address: IpAddr) -> &'static str {
    SITES[match address {
        IpAddr::V4(v4) => usize::from(v4.octets()[2]),
        IpAddr::V6(v6) => usize::from(v6.segments()[2]),
    }]
}

fn offers(shard: &Shard, wanted: fn(&IpAddr) -> bool) -> bool {
    matches!(&shard.data, ShardData::Addresses(addresses) if addresses.iter().any(wanted))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A negative answer (another outcome than NOERROR, or no data of the asked type at the end of the
    /// chain, which is when there is an SOA beside it) is the same for all clients, and its scope says so.
    #[test]
    fn negative_answers_are_the_same_for_all(
        snapshot in any_snapshot(), question in any_question(), one in any_address(), other in any_address(),
    ) {
        let first = ask(&snapshot, &question, one);
        if first.outcome != Outcome::NoError || !first.authorities.is_empty() {
            let second = ask(&snapshot, &question, other);
            prop_assert_eq!(&first, &second);
            prop_assert_eq!(first.scope, 0);
        } else {
            prop_assert!(!first.answers.is_empty(), "neither data nor SOA");
        }
    }

    /// All clients inside the scope of an answer are told the same.
    #[test]
    fn a_scope_covers_only_clients_who_are_told_the_same(
        snapshot in any_snapshot(), question in any_question(), one in any_address(), bits in any::<u128>(),
    ) {
        let first = ask(&snapshot, &question, one);
        let covered = IpNet::new(one, first.scope).expect("a scope within the family");
        let other = match covered {
            IpNet::V4(net) => Ipv4Addr::from(u32::from(net.network()) | (bits as u32 & u32::from(net.hostmask()))).into(),
            IpNet::V6(net) => Ipv6Addr::from(u128::from(net.network()) | (bits & u128::from(net.hostmask()))).into(),
        };
        let inside: [IpAddr; 3] = [covered.network(), covered.broadcast(), other];
        for client in inside.into_iter().filter(|client| client.to_canonical() == *client || one.to_canonical() != one) {
            let second = ask(&snapshot, &question, client);
            prop_assert_eq!(told(&first), told(&second), "{} and {}", one, client);
        }
    }

    /// The scope of a positive answer does not depend on the state of sites, only on names and networks.
    #[test]
    fn the_scope_does_not_depend_on_the_state_of_sites(
        snapshot in any_snapshot(), question in any_question(), client in any_address(), flip in 0..SITES.len(),
    ) {
        let flipped = SiteName::new(SITES[flip]);
        let sites = snapshot.sites().iter().map(|(name, site)| {
            let mut site = site.clone();
            if *name == flipped {
                site.liveness = if site.liveness == Liveness::Alive { Liveness::Dead } else { Liveness::Alive };
            }
            (name.clone(), site)
        }).collect();
        let positive = |answer: &Answer| answer.outcome == Outcome::NoError && answer.authorities.is_empty();
        let (before, after) = (ask(&snapshot, &question, client), ask(&snapshot.with_sites(sites), &question, client));
        if positive(&before) && positive(&after) {
            prop_assert_eq!(before.scope, after.scope);
        }
    }

    /// A global name that fails open answers A whenever any of its sites has an IPv4 address, and AAAA
    /// whenever IPv6 is answered at all.
    #[test]
    fn a_name_that_fails_open_is_never_empty(snapshot in any_snapshot(), client in any_address()) {
        let zone = snapshot.zone(&name("example.test")).expect("the zone");
        let Some(routed) = zone.name(&name(GLOBAL)) else { return Ok(()) };
        if routed.fallback != Fallback::Policy(WhenNoneHealthy::FailOpen) { return Ok(()) }
        let asked = |record_type| ask(&snapshot, &Question { name: name(GLOBAL), record_type }, client);
        let any = |wanted| routed.shards.values().any(|shard| offers(shard, wanted));
        prop_assert_eq!(any(IpAddr::is_ipv4), !addresses(&asked(RecordType::A)).is_empty());
        prop_assert_eq!(routed.ipv6, !addresses(&asked(RecordType::Aaaa)).is_empty());
    }

    /// The addresses of an answer are all those of the asked family of one site of the name at the end
    /// of the chain, unless it is a name that always answers.
    #[test]
    fn addresses_are_those_of_one_site(snapshot in any_snapshot(), question in any_question(), client in any_address()) {
        let reply = ask(&snapshot, &question, client);
        let sites: BTreeSet<_> = addresses(&reply).into_iter().map(site_of).collect();
        let Some(last) = reply.answers.last().filter(|_| !sites.is_empty()) else { return Ok(()) };
        let zone = snapshot.zone(&name("example.test")).expect("the zone");
        let routed = zone.name(&last.name).expect("a routed name");
        if routed.fallback != Fallback::Always {
            prop_assert_eq!(sites.len(), 1);
        }
        for site in sites {
            let ShardData::Addresses(all) = &routed.shards[&SiteName::new(site)].data else { unreachable!() };
            let ours = |address: &&IpAddr| last.data[0].record_type() == RecordType::Aaaa && address.is_ipv6()
                || last.data[0].record_type() == RecordType::A && address.is_ipv4();
            let told: Vec<_> = addresses(&reply).into_iter().filter(|address| site_of(*address) == site).collect();
            prop_assert_eq!(all.iter().filter(ours).copied().collect::<Vec<_>>(), told);
        }
    }

    /// A drained site is chosen only by a name that fails open, and only if no active site of the name
    /// has an address of the asked family. A site that is dead or unhealthy for the name is chosen only
    /// by such a name too, and only if no active, alive and healthy one has such an address.
    #[test]
    fn worse_sites_are_chosen_only_for_want_of_better(
        snapshot in any_snapshot(), level in 0..NAMES.len(), client in any_address(), ipv6 in any::<bool>(),
    ) {
        let (record_type, wanted): (_, fn(&IpAddr) -> bool) =
            if ipv6 { (RecordType::Aaaa, IpAddr::is_ipv6) } else { (RecordType::A, IpAddr::is_ipv4) };
        let reply = ask(&snapshot, &Question { name: name(NAMES[level]), record_type }, client);
        let Some(chosen) = addresses(&reply).first().map(|address| SiteName::new(site_of(*address))) else { return Ok(()) };
        let zone = snapshot.zone(&name("example.test")).expect("the zone");
        let routed = zone.name(&reply.answers.last().expect("an answer").name).expect("a routed name");
        if routed.fallback == Fallback::Always { return Ok(()) }
        let state = |site: &SiteName| snapshot.sites().get(site).expect("a site");
        let active = |site: &SiteName| state(site).traffic == Traffic::Active;
        let good = |site: &SiteName| active(site) && state(site).liveness == Liveness::Alive && routed.shards[site].serves();
        let any = |fits: &dyn Fn(&SiteName) -> bool| routed.shards.iter().any(|(site, shard)| fits(site) && offers(shard, wanted));
        if !good(&chosen) {
            prop_assert_eq!(&routed.fallback, &Fallback::Policy(WhenNoneHealthy::FailOpen));
            prop_assert!(!any(&good));
        }
        if !active(&chosen) {
            prop_assert!(!any(&active));
        }
    }
}
