//! A server on a free port of the loopback address, with a small fleet.
//!
//! Two sites: `here` owns the client network 127.0.0.0/8 and 100.64.1.0/24, `there` owns
//! 100.64.2.0/24 and 2001:db8:2::/48. In the zone `example.test`, `web` is offered by both, `many` has
//! a hundred addresses in each and `some` fifty, `own` is the same for everybody.

pub(crate) mod packet;
pub(crate) mod peer;
pub(crate) mod primary;
pub(crate) mod secondary;
pub(crate) mod signed;
pub(crate) mod verify;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use meridian_dns_core::{
    DnsName, Fallback, Liveness, NameChange, NameServer, RoutedName, Shard, ShardData, ShardHealth, Site, SiteName,
    Snapshot, Soa, Srv, Traffic, WhenNoneHealthy, Zone,
};
use meridian_dns_server::{DnsServer, ServerConfig, Table};

pub(crate) fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a valid name")
}

/// The fleet; `there` is dead on demand.
pub(crate) fn snapshot(there: Liveness) -> Snapshot {
    let site = |networks: &[&str], liveness| Site {
        region: String::new(),
        zones: Vec::new(),
        location: None,
        networks: networks.iter().map(|text| text.parse().expect("a network")).collect(),
        internal_networks: Vec::new(),
        weight: 1,
        liveness,
        traffic: Traffic::Active,
    };
    let sites = [
        (
            SiteName::new("here"),
            site(&["127.0.0.0/8", "100.64.1.0/24"], Liveness::Alive),
        ),
        (
            SiteName::new("there"),
            site(&["100.64.2.0/24", "2001:db8:2::/48"], there),
        ),
    ];
    let soa = Soa {
        primary: name("ns1.example.test"),
        mailbox: name("hostmaster.example.test"),
        serial: 3_000_000_000,
        refresh: 7200,
        retry: 600,
        expire: u32::MAX,
        minimum: 5,
    };
    let server = NameServer {
        name: name("ns1.example.test"),
        addresses: vec![[127, 0, 0, 1].into()],
    };
    let v4 = |site: u8, count: u8| {
        ShardData::Addresses(
            (1..=count)
                .map(|host| IpAddr::from(Ipv4Addr::new(10, site, 0, host)))
                .collect(),
        )
    };
    let srv = Srv {
        priority: 0,
        weight: 1,
        port: 443,
        target: name("own.example.test"),
    };
    let changes = [
        routed("web.example.test", &[("here", v4(1, 1)), ("there", v4(2, 1))]),
        routed("many.example.test", &[("here", v4(1, 100)), ("there", v4(2, 100))]),
        routed("some.example.test", &[("here", v4(1, 50)), ("there", v4(2, 50))]),
        routed("own.example.test", &[("there", v4(2, 1))]),
        routed(
            "_https._tcp.web.example.test",
            &[("here", ShardData::Services(vec![srv]))],
        ),
    ];
    let zone = Zone::new(name("example.test"), soa, vec![server])
        .with(&changes, 3_000_000_001)
        .with_complete(true);
    Snapshot::default()
        .with_sites(sites.into_iter().collect())
        .with_zone(zone)
}

fn routed(text: &str, shards: &[(&str, ShardData)]) -> NameChange {
    let shards: BTreeMap<_, _> = shards
        .iter()
        .map(|(site, data)| (SiteName::new(*site), Shard::new(data.clone(), ShardHealth::Healthy)))
        .collect();
    let fallback = Fallback::Policy(WhenNoneHealthy::FailOpen);
    NameChange::Set(Arc::new(RoutedName {
        name: name(text),
        ttl: 30,
        shards,
        fallback,
        ipv6: false,
        https: None,
        policy: None,
    }))
}

/// A server with the fleet, its address and its table.
pub(crate) async fn start() -> (DnsServer, SocketAddr, Table) {
    start_with(|_| ()).await
}

/// The same, with its configuration changed.
pub(crate) async fn start_with(change: impl FnOnce(&mut ServerConfig)) -> (DnsServer, SocketAddr, Table) {
    let table = Table::new(snapshot(Liveness::Alive));
    let mut config = ServerConfig::new([SocketAddr::from(([127, 0, 0, 1], 0))]);
    change(&mut config);
    let server = DnsServer::bind(config, table.clone()).await.expect("a free port");
    let address = server.addresses()[0];
    (server, address, table)
}
