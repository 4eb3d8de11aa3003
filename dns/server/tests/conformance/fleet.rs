//! What a server holds and how it is set up, from a script's blocks.
//!
//! What must stay true: zones are read by the same reader and checked by the same rules as an operator's
//! own, so a script cannot hold what a server cannot.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use meridian_dns_core::dnssec::{Algorithm, Denial, Dnssec, ZoneKey};
use meridian_dns_core::transfer::{Content, Journal, RoutedNames};
use meridian_dns_core::{
    DnsName, Fallback, HttpsService, Liveness, NameChange, ReadText, RecordSet, RoutedName, Shard, ShardData,
    ShardHealth, Site, SiteName, Sites, Snapshot, Soa, Srv, StaticRecords, Traffic, WhenNoneHealthy, Zone,
};
use meridian_dns_server::{
    Allowed, CookiePolicy, CookieSecret, Cookies, MasterFile, Settings, Signer, SigningKey, Transfers, TsigAlgorithm,
    TsigKey, ZoneTransfer,
};

use crate::script::{Block, Line, Problem};
use crate::signed;

/// All that a script's server is.
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    pub(crate) settings: Settings,
    /// Has the keys of the signed zones.
    pub(crate) signer: Signer,
    /// Keys, and the versions of the zones that are given away.
    pub(crate) transfers: Transfers,
    /// The listeners are this site's.
    pub(crate) for_site: Option<SiteName>,
}

/// Where a zone's SOA says nothing else.
const MINIMUM: u32 = 300;

/// Builds the world of a script's blocks.
pub(crate) fn world(blocks: &[Block<'_>]) -> Result<World, Problem> {
    let mut settings = Settings::default();
    let (mut sites, mut zones) = (Sites::default(), BTreeMap::new());
    let (mut transfers, mut earlier) = (BTreeMap::new(), Vec::new());
    let (mut routed, mut for_site, signer) = (Vec::new(), None, Signer::default());
    for block in blocks {
        let (word, rest) = block.head.split();
        match word {
            "site" => {
                let (name, site) = site(&block.head, rest)?;
                sites.insert(name, site);
            }
            "zone" => {
                let (zone, allowed) = zone(block, rest, &signer)?;
                transfers.extend(allowed.map(|allowed| (zone.apex().clone(), allowed)));
                zones.insert(zone.apex().clone(), zone);
            }
            "earlier" => {
                let (zone, _) = zone(block, rest, &signer)?;
                earlier.push(zone);
            }
            "routed" => routed.push((block.head, self::routed(block, rest)?)),
            "server" => {
                for line in &block.body {
                    setting(line, &mut settings, &mut for_site)?;
                }
            }
            _ => {
                let message = format!("{word:?} is none of zone, earlier, site, routed, server and case");
                return Err(block.head.problem(message));
            }
        }
    }
    for (head, name) in routed {
        let zone = zones
            .values_mut()
            .rfind(|zone: &&mut Zone| name.name.is_at_or_below(zone.apex()));
        let zone = zone.ok_or_else(|| head.problem("there is no zone for this name"))?;
        *zone = zone.with(&[NameChange::Set(Arc::new(name))], 1);
    }
    let start = Snapshot::default().with_sites(sites);
    let snapshot = zones
        .into_values()
        .fold(start, |snapshot, zone| snapshot.with_zone(zone));
    let (snapshot, transfers) = self::transfers(snapshot, transfers, &earlier);
    Ok(World {
        snapshot,
        transfers,
        settings,
        signer,
        for_site,
    })
}

fn name(line: &Line<'_>, text: &str) -> Result<DnsName, Problem> {
    DnsName::parse(text).map_err(|error| line.problem(format!("{text:?}: {error}")))
}

/// The journals of zones that are given away: their earlier versions have serials from 1 on.
fn transfers(mut snapshot: Snapshot, allowed: BTreeMap<DnsName, Allowed>, earlier: &[Zone]) -> (Snapshot, Transfers) {
    let key = TsigKey::new(
        DnsName::parse(signed::KEY).expect("a name"),
        TsigAlgorithm::HmacSha256,
        signed::SECRET,
    );
    let mut transfers = Transfers {
        keys: [(key.name().clone(), key)].into(),
        ..Transfers::default()
    };
    for (apex, allowed) in allowed {
        let Some(current) = snapshot.zone(&apex).map(|zone| Zone::clone(zone)) else {
            continue;
        };
        let before = earlier.iter().filter(|zone| *zone.apex() == apex);
        let mut journal: Option<Journal> = None;
        for (second, version) in (1..).zip(before.chain([&current])) {
            let world = snapshot.clone().with_zone(version.clone());
            // An incomplete zone has no content, and then no journal.
            let Some(content) = Content::of(&world, &apex, &RoutedNames::AllHealthy) else {
                continue;
            };
            let unsigned = |_: &RecordSet| Ok::<_, std::convert::Infallible>(None);
            match &mut journal {
                None => journal = Journal::start(apex.clone(), content, 0, second * 1000, 1 << 20, unsigned).ok(),
                Some(journal) => _ = journal.advance(content, second * 1000, unsigned),
            }
        }
        if let Some(journal) = &journal {
            snapshot = snapshot.with_zone(current.with_serial(journal.serial()));
        }
        let transfer = ZoneTransfer {
            allow: vec![allowed],
            hidden: false,
            journal: journal.map(Arc::new),
        };
        transfers.zones.insert(apex, transfer);
    }
    (snapshot, transfers)
}

/// `zone NAME [minimum=SECONDS] [incomplete] [signed=compact | signed=nsec3] [transfer=open | transfer=key]`, with a
/// zone file below.
fn zone(block: &Block<'_>, text: &str, signer: &Signer) -> Result<(Zone, Option<Allowed>), Problem> {
    let line = &block.head;
    let mut words = text.split_whitespace();
    let apex = name(line, words.next().unwrap_or_default())?;
    let (mut minimum, mut complete, mut denial, mut transfer) = (MINIMUM, true, None, None);
    for word in words {
        match word.split_once('=') {
            None if word == "incomplete" => complete = false,
            Some(("signed", "compact")) => denial = Some(Denial::Compact),
            Some(("signed", "nsec3")) => denial = Some(Denial::Nsec3),
            Some(("transfer", "open")) => {
                transfer = Some(Allowed {
                    networks: vec![line.parse("a network", "127.0.0.0/8")?],
                    key: None,
                });
            }
            Some(("transfer", "key")) => {
                transfer = Some(Allowed {
                    networks: Vec::new(),
                    key: Some(self::name(line, signed::KEY)?),
                });
            }
            Some(("minimum", value)) => minimum = line.parse("a time in seconds", value)?,
            _ => return Err(line.problem(format!("{word:?} is not a word of zone"))),
        }
    }
    let below = |label: &str| apex.prepend(label).map_err(|error| line.problem(error.to_string()));
    let soa = Soa {
        primary: below("ns1")?,
        mailbox: below("hostmaster")?,
        serial: 1,
        refresh: 7200,
        retry: 900,
        expire: 1_209_600,
        minimum,
    };
    let first = block.body.first().map_or(line.number, |first| first.number);
    // Comments and empty lines were left out; they keep their places, so that lines are counted right.
    let mut file = String::new();
    for line in &block.body {
        while file.lines().count() + first < line.number {
            file.push('\n');
        }
        // An owner stands at the start of a line; what begins with two steps of four has none.
        file.push_str(line.text.strip_prefix("    ").unwrap_or(line.text.trim_start()));
        file.push('\n');
    }
    let records = MasterFile.zone_file(&apex, 3600, &file).map_err(|error| Problem {
        line: first + error.line.saturating_sub(1),
        message: error.message,
    })?;
    let records = StaticRecords::new(&apex, records).map_err(|error| line.problem(error.to_string()))?;
    let dnssec = denial.map(|denial| dnssec(&apex, denial, signer));
    let zone = Zone::new(apex, soa, Vec::new())
        .with_records(Arc::new(records), 1)
        .with_dnssec(dnssec, 1)
        .with_complete(complete);
    Ok((zone, transfer))
}

/// One new key that signs everything. What the signatures are worth is other tests' business.
fn dnssec(apex: &DnsName, denial: Denial, signer: &Signer) -> Arc<Dnssec> {
    let algorithm = Algorithm::EcdsaP256;
    let pkcs8 = SigningKey::generate(algorithm).expect("a key");
    let key = SigningKey::from_pkcs8(algorithm, true, &pkcs8).expect("a key");
    let public = ZoneKey {
        key: key.public().clone(),
        published: true,
        signs_keys: true,
        signs_data: true,
        wants_ds: true,
    };
    signer.install(apex, vec![key]);
    Arc::new(Dnssec {
        delete_ds: false,
        key_ttl: 60,
        keys: vec![public],
        denial,
    })
}

/// `site NAME [dead] [drained] [networks=A,B] [internal=A,B] [weight=N]`.
fn site(line: &Line<'_>, text: &str) -> Result<(SiteName, Site), Problem> {
    let mut words = text.split_whitespace();
    let name = words.next().ok_or_else(|| line.problem("a site has a name"))?;
    let mut site = Site {
        region: String::new(),
        zones: Vec::new(),
        location: None,
        networks: Vec::new(),
        internal_networks: Vec::new(),
        weight: 1,
        liveness: Liveness::Alive,
        traffic: Traffic::Active,
    };
    for word in words {
        let networks = |list: &str| -> Result<Vec<_>, Problem> {
            list.split(',')
                .map(|text| line.parse::<IpNet>("a network", text))
                .collect()
        };
        match word.split_once('=') {
            None if word == "dead" => site.liveness = Liveness::Dead,
            None if word == "drained" => site.traffic = Traffic::Drained,
            Some(("networks", list)) => site.networks = networks(list)?,
            Some(("internal", list)) => site.internal_networks = networks(list)?,
            Some(("weight", value)) => site.weight = line.parse("a weight", value)?,
            _ => return Err(line.problem(format!("{word:?} is not a word of site"))),
        }
    }
    Ok((SiteName::new(name), site))
}

/// `routed NAME [ttl=N] [empty | else=NAME | upper=NAME | always] [alpn=A,B]`, and below a line per site:
/// `SITE [unhealthy] [host=NAME] ADDRESS ...`, internal addresses with `internal=`, services as
/// `srv=PRIORITY,WEIGHT,PORT,TARGET`.
fn routed(block: &Block<'_>, text: &str) -> Result<RoutedName, Problem> {
    let line = &block.head;
    let mut words = text.split_whitespace();
    let mut routed = RoutedName {
        name: name(line, words.next().unwrap_or_default())?,
        ttl: 30,
        shards: BTreeMap::new(),
        fallback: Fallback::Policy(WhenNoneHealthy::FailOpen),
        ipv6: false,
        https: None,
        policy: None,
    };
    for word in words {
        match word.split_once('=') {
            None if word == "empty" => routed.fallback = Fallback::Policy(WhenNoneHealthy::Empty),
            None if word == "always" => routed.fallback = Fallback::Always,
            Some(("else", target)) => {
                routed.fallback = Fallback::Policy(WhenNoneHealthy::Fallback(name(line, target)?));
            }
            Some(("upper", target)) => routed.fallback = Fallback::Upper(name(line, target)?),
            Some(("ttl", value)) => routed.ttl = line.parse("a TTL", value)?,
            Some(("alpn", list)) => {
                routed.https = Some(HttpsService {
                    alpn: list.split(',').map(str::to_owned).collect(),
                    port: None,
                });
            }
            _ => return Err(line.problem(format!("{word:?} is not a word of routed"))),
        }
    }
    for line in &block.body {
        let (site, rest) = line.split();
        routed.shards.insert(SiteName::new(site), shard(line, rest)?);
    }
    routed.ipv6 = RoutedName::every_site_has_ipv6(&routed.shards);
    Ok(routed)
}

fn shard(line: &Line<'_>, text: &str) -> Result<Shard, Problem> {
    let (mut addresses, mut services, mut internal) = (Vec::new(), Vec::new(), Vec::new());
    let mut shard = Shard::new(ShardData::Addresses(Vec::new()), ShardHealth::Healthy);
    for word in text.split_whitespace() {
        match word.split_once('=') {
            None if word == "unhealthy" => shard.health = ShardHealth::Unhealthy("as the script says".to_owned()),
            None => addresses.push(line.parse::<IpAddr>("an address", word)?),
            Some(("host", host)) => shard.host_name = Some(name(line, host)?),
            Some(("internal", address)) => internal.push(line.parse::<IpAddr>("an address", address)?),
            Some(("srv", service)) => {
                let [priority, weight, port, target] = service.split(',').collect::<Vec<_>>()[..] else {
                    return Err(line.problem("a service is srv=PRIORITY,WEIGHT,PORT,TARGET"));
                };
                services.push(Srv {
                    priority: line.parse("a priority", priority)?,
                    weight: line.parse("a weight", weight)?,
                    port: line.parse("a port", port)?,
                    target: name(line, target)?,
                });
            }
            Some(_) => return Err(line.problem(format!("{word:?} is not a word of a site's line"))),
        }
    }
    addresses.sort();
    internal.sort();
    services.sort();
    shard.internal = internal;
    shard.data = if services.is_empty() {
        ShardData::Addresses(addresses)
    } else {
        ShardData::Services(services)
    };
    Ok(shard)
}

/// A line of `server`.
fn setting(line: &Line<'_>, settings: &mut Settings, for_site: &mut Option<SiteName>) -> Result<(), Problem> {
    let (word, rest) = line.split();
    let networks = || -> Result<Vec<_>, Problem> {
        let words = rest.split_whitespace();
        words.map(|text| line.parse::<IpNet>("a network", text)).collect()
    };
    match (word, rest) {
        ("identifier", text) => settings.identity.server = Some(text.as_bytes().to_vec()),
        ("version", "off") => settings.identity.version = None,
        ("payload", size) => settings.udp_payload = line.parse("a number of octets", size)?,
        ("trusted-resolvers", _) => settings.subnets.resolvers = networks()?,
        ("strangers", "ignored") => settings.subnets.strangers = false,
        ("for-site", site) => *for_site = Some(SiteName::new(site)),
        ("cookies", policy @ ("offer" | "require")) => {
            settings.cookies = Some(Cookies {
                current: CookieSecret::new([7; 16]),
                previous: None,
                policy: if policy == "offer" {
                    CookiePolicy::Offer
                } else {
                    CookiePolicy::Require
                },
            });
        }
        _ => return Err(line.problem(format!("{word} {rest} is no setting"))),
    }
    Ok(())
}
