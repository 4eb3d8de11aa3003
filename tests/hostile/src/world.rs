//! A small fleet to ask: every kind of answer once, and sets that fit into no datagram.
//!
//! Two sites: `here` has 127.0.0.0/8 and 100.64.1.0/24, `there` has 100.64.2.0/24 and 2001:db8:2::/48.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use meridian_dns_core::{
    DnsName, Fallback, Liveness, NameChange, ReadText, RoutedName, Shard, ShardData, ShardHealth, Site, SiteName,
    Snapshot, Soa, StaticRecords, Traffic, WhenNoneHealthy, Zone,
};
use meridian_dns_server::{CookiePolicy, CookieSecret, Cookies, MasterFile, RateLimits, Settings};

const ZONE: &str = r#"
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.53
mail A 192.0.2.25
mail AAAA 2001:db8::25
alias CNAME web
circle CNAME circle
text TXT "some" "text"
_x._tcp SRV 0 0 1 mail
svc HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1
odd TYPE65280 \# 4 0a0b0c0d
child NS ns.child
child DS 1 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
ns.child A 192.0.2.2
old DNAME new
*.wild TXT "any"
a.b.c A 192.0.2.3
"#;

/// The zone.
pub const APEX: &str = "example.test";

/// Its names, and some that it has not.
pub const NAMES: [&str; 20] = [
    "example.test",
    "web.example.test",
    "some.example.test",
    "many.example.test",
    "own.example.test",
    "ns1.example.test",
    "mail.example.test",
    "alias.example.test",
    "circle.example.test",
    "text.example.test",
    "_x._tcp.example.test",
    "svc.example.test",
    "odd.example.test",
    "www.child.example.test",
    "x.old.example.test",
    "x.wild.example.test",
    "b.c.example.test",
    "absent.example.test",
    "elsewhere.test",
    "",
];

/// A zone with these records and no routed names.
pub fn zone(records: Arc<StaticRecords>) -> anyhow::Result<Zone> {
    let soa = Soa {
        primary: DnsName::parse("ns1.example.test")?,
        mailbox: DnsName::parse("hostmaster.example.test")?,
        serial: 1,
        refresh: 7200,
        retry: 600,
        expire: 1_209_600,
        minimum: 5,
    };
    Ok(Zone::new(DnsName::parse(APEX)?, soa, Vec::new())
        .with_records(records, 1)
        .with_complete(true))
}

/// The whole fleet.
pub fn snapshot() -> anyhow::Result<Snapshot> {
    let apex = DnsName::parse(APEX)?;
    let records = MasterFile.zone_file(&apex, 300, ZONE)?;
    let zone = zone(Arc::new(StaticRecords::new(&apex, records)?))?;
    let changes = [
        routed("web.example.test", 1, 1)?,
        routed("some.example.test", 50, 50)?,
        routed("many.example.test", 100, 100)?,
        routed("own.example.test", 0, 1)?,
    ];
    let sites = [
        (SiteName::new("here"), site(&["127.0.0.0/8", "100.64.1.0/24"])?),
        (SiteName::new("there"), site(&["100.64.2.0/24", "2001:db8:2::/48"])?),
    ];
    Ok(Snapshot::default()
        .with_sites(sites.into_iter().collect())
        .with_zone(zone.with(&changes, 2)))
}

fn site(networks: &[&str]) -> anyhow::Result<Site> {
    let networks = networks.iter().map(|text| text.parse().context("a network"));
    Ok(Site {
        region: String::new(),
        zones: Vec::new(),
        location: None,
        networks: networks.collect::<anyhow::Result<_>>()?,
        internal_networks: Vec::new(),
        weight: 1,
        liveness: Liveness::Alive,
        traffic: Traffic::Active,
    })
}

fn routed(name: &str, here: u8, there: u8) -> anyhow::Result<NameChange> {
    let shard = |site: u8, count: u8| {
        let addresses = (1..=count).map(|host| Ipv4Addr::new(10, site, 0, host).into());
        Shard::new(ShardData::Addresses(addresses.collect()), ShardHealth::Healthy)
    };
    let shards = [
        (SiteName::new("here"), shard(1, here)),
        (SiteName::new("there"), shard(2, there)),
    ];
    Ok(NameChange::Set(Arc::new(RoutedName {
        name: DnsName::parse(name)?,
        ttl: 30,
        shards: shards.into_iter().collect(),
        fallback: Fallback::Policy(WhenNoneHealthy::FailOpen),
        ipv6: false,
        https: None,
        policy: None,
    })))
}

/// Everything switched on.
pub fn settings() -> Settings {
    let mut settings = Settings {
        cookies: Some(Cookies {
            current: CookieSecret::new([1; 16]),
            previous: Some(CookieSecret::new([2; 16])),
            policy: CookiePolicy::Require,
        }),
        rate: Some(RateLimits::default()),
        ..Settings::default()
    };
    settings.identity.server = Some(b"a1".to_vec());
    settings
}
