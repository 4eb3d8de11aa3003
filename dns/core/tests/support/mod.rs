//! A small fleet and its names, to ask questions of.
//!
//! Three sites, each with a client network: tokyo and taipei are near each other, oregon is far. In
//! the zone `example.test`, the name `web` is offered by all three, `web.asia` by the two near ones,
//! `web.tokyo` by one, and each name leads to the one above it when none of its sites serves. Clients
//! in a site's internal network are told its internal addresses. Names in tests are written relative
//! to the zone, `@` is the zone itself; static records as `name ttl type data`.

#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod arbitrary;
pub(crate) mod denial;
pub(crate) mod policies;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meridian_dns_core::dnssec::Denial;
use meridian_dns_core::{
    Answer, Client, ClientKey, ClientSubnet, DnsName, Fallback, FindingKind, HttpsService, Liveness, Location, Mx,
    NameChange, NameServer, Opaque, Outcome, Policy, PolicyError, PolicyTree, Question, RecordData, RecordSet,
    RecordType, RoutedName, Shard, ShardData, ShardHealth, Site, SiteName, Snapshot, Soa, Srv, StaticRecords, Svcb,
    Traffic, WhenNoneHealthy, Zone, answer,
};

/// Name, client network, internal network, place.
const SITES: [(&str, &str, &str, (f64, f64)); 3] = [
    ("tokyo", "100.64.1.0/24", "100.64.1.128/25", (35.68, 139.69)),
    ("taipei", "100.64.2.0/24", "100.64.2.0/25", (25.03, 121.56)),
    ("oregon", "100.64.3.0/24", "100.64.3.128/25", (45.52, -122.68)),
];

/// What a test says about the fleet before it asks.
#[derive(Clone, Default)]
pub(crate) struct World {
    names: BTreeMap<DnsName, RoutedName>,
    dead: BTreeSet<String>,
    drained: BTreeSet<String>,
    records: Vec<RecordSet>,
    incomplete: bool,
    denial: Option<Denial>,
}

/// The absolute form of a name of the tests.
pub(crate) fn absolute(relative: &str) -> DnsName {
    let text = match relative {
        "@" => "example.test".to_owned(),
        full if full.ends_with('.') => full.to_owned(),
        inside => format!("{inside}.example.test"),
    };
    DnsName::parse(&text).expect("a valid name")
}

/// The relative form of a name: as the tests write it.
pub(crate) fn relative(name: &DnsName) -> String {
    let text = name.to_string();
    match text.strip_suffix(".example.test.") {
        Some(inside) => inside.to_owned(),
        None if text == "example.test." => "@".to_owned(),
        None => text,
    }
}

/// The fleet of this file's header, everything healthy.
pub(crate) fn world() -> World {
    let fail_open = || Fallback::Policy(WhenNoneHealthy::FailOpen);
    let upper = |name| Fallback::Upper(absolute(name));
    World::default()
        .name(
            "web",
            fail_open(),
            &[("tokyo", "10.1.0.1"), ("taipei", "10.2.0.1"), ("oregon", "10.3.0.1")],
        )
        .name(
            "web.asia",
            upper("web"),
            &[("tokyo", "10.1.0.1"), ("taipei", "10.2.0.1")],
        )
        .name("web.tokyo", upper("web.asia"), &[("tokyo", "10.1.0.1")])
        .name("own.tokyo", Fallback::Always, &[("tokyo", "10.1.0.1")])
}

impl World {
    /// Adds a name with its sites, each with addresses separated by blanks, or SRV targets as
    /// `srv:target:port`.
    pub(crate) fn name(mut self, name: &str, fallback: Fallback, shards: &[(&str, &str)]) -> Self {
        let shards: BTreeMap<_, _> = shards
            .iter()
            .map(|(site, text)| (SiteName::new(*site), shard(text)))
            .collect();
        let ipv6 = RoutedName::every_site_has_ipv6(&shards);
        let name = absolute(name);
        self.names.insert(
            name.clone(),
            RoutedName {
                name,
                ttl: 30,
                shards,
                fallback,
                ipv6,
                https: None,
                policy: None,
            },
        );
        self
    }

    fn change(mut self, name: &str, change: impl FnOnce(&mut RoutedName)) -> Self {
        change(self.names.get_mut(&absolute(name)).expect("a name of the world"));
        self
    }

    fn shard(self, name: &str, site: &str, change: impl FnOnce(&mut Shard)) -> Self {
        self.change(name, |routed| {
            change(routed.shards.get_mut(&SiteName::new(site)).expect("a site of the name"));
        })
    }

    /// The name has another TTL.
    pub(crate) fn ttl(self, name: &str, ttl: u32) -> Self {
        self.change(name, |routed| routed.ttl = ttl)
    }

    /// The name has a policy.
    pub(crate) fn policy(self, name: &str, tree: &PolicyTree) -> Self {
        self.compiled(name, Policy::compile(tree, ClientKey::default(), false))
    }

    /// The name has a policy, and its clients stick.
    pub(crate) fn sticky(self, name: &str, tree: &PolicyTree) -> Self {
        self.compiled(name, Policy::compile(tree, ClientKey::default(), true))
    }

    fn compiled(self, name: &str, policy: Result<Policy, PolicyError>) -> Self {
        let policy = Some(Arc::new(policy.expect("a good policy")));
        self.change(name, |routed| routed.policy = policy)
    }

    /// The name is a host with TLS.
    pub(crate) fn https(self, name: &str, alpn: &[&str]) -> Self {
        let alpn = alpn.iter().map(|id| (*id).to_owned()).collect();
        self.change(name, |routed| routed.https = Some(HttpsService { alpn, port: None }))
    }

    /// The site's load balancer has a host name.
    pub(crate) fn host_name(self, name: &str, site: &str, host: &str) -> Self {
        self.shard(name, site, |shard| shard.host_name = Some(absolute(host)))
    }

    /// The site has internal addresses for the name.
    pub(crate) fn internal(self, name: &str, site: &str, addresses: &str) -> Self {
        let addresses = addresses
            .split_whitespace()
            .map(|part| part.parse().expect("an address"));
        self.shard(name, site, |shard| shard.internal = addresses.collect())
    }

    /// Static records, one a line.
    pub(crate) fn records(mut self, lines: &[&str]) -> Self {
        self.records.extend(lines.iter().map(|line| record(line)));
        self
    }

    /// The site does not serve this name.
    pub(crate) fn unhealthy(self, name: &str, site: &str) -> Self {
        self.shard(name, site, |shard| {
            shard.health = ShardHealth::Unhealthy("no ready endpoints".to_owned());
        })
    }

    /// None of these sites serves any of its names.
    pub(crate) fn all_unhealthy(mut self, sites: &[&str]) -> Self {
        let names: Vec<_> = self.names.keys().cloned().collect();
        for (name, site) in names
            .iter()
            .flat_map(|name| sites.iter().map(move |site| (name, *site)))
        {
            if self.names[name].shards.contains_key(&SiteName::new(site)) {
                self = self.unhealthy(&format!("{}.", name.as_str()), site);
            }
        }
        self
    }

    /// The site's data path is dead.
    pub(crate) fn dead(mut self, site: &str) -> Self {
        self.dead.insert(site.to_owned());
        self
    }

    /// The operator drained the site.
    pub(crate) fn drained(mut self, site: &str) -> Self {
        self.drained.insert(site.to_owned());
        self
    }

    /// Not every cluster has been listed yet.
    pub(crate) fn incomplete(mut self) -> Self {
        self.incomplete = true;
        self
    }

    /// The zone is signed, and denies like that.
    pub(crate) fn signed(mut self, denial: Denial) -> Self {
        self.denial = Some(denial);
        self
    }

    /// What the server would answer from.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let sites = SITES.iter().map(|(name, network, internal, (latitude, longitude))| {
            let site = Site {
                region: String::new(),
                zones: Vec::new(),
                location: Location::new(*latitude, *longitude),
                networks: vec![network.parse().expect("a network")],
                internal_networks: vec![internal.parse().expect("a network")],
                weight: 100,
                liveness: if self.dead.contains(*name) {
                    Liveness::Dead
                } else {
                    Liveness::Alive
                },
                traffic: if self.drained.contains(*name) {
                    Traffic::Drained
                } else {
                    Traffic::Active
                },
            };
            (SiteName::new(*name), site)
        });
        let server = NameServer {
            name: absolute("ns1"),
            addresses: vec![[192, 0, 2, 53].into()],
        };
        let outside = NameServer {
            name: absolute("ns.elsewhere.test."),
            addresses: Vec::new(),
        };
        let changes: Vec<_> = self
            .names
            .values()
            .map(|routed| NameChange::Set(Arc::new(routed.clone())))
            .collect();
        let zone = Zone::new(absolute("@"), soa(), vec![server, outside])
            .with(&changes, 7)
            .with_records(
                Arc::new(StaticRecords::new(&absolute("@"), self.records.clone()).expect("valid records")),
                8,
            )
            .with_dnssec(self.denial.map(denial::dnssec), 9)
            .with_complete(!self.incomplete);
        Snapshot::default().with_sites(sites.collect()).with_zone(zone)
    }
}

/// The start of authority of the tests' zone.
pub(crate) fn soa() -> Soa {
    Soa {
        primary: absolute("ns1"),
        mailbox: absolute("hostmaster"),
        serial: 1,
        refresh: 7200,
        retry: 600,
        expire: 86400,
        minimum: 5,
    }
}

fn shard(text: &str) -> Shard {
    let services: Vec<Srv> = text
        .split_whitespace()
        .filter_map(|part| part.strip_prefix("srv:")?.split_once(':'))
        .map(|(target, port)| Srv {
            priority: 0,
            weight: 1,
            port: port.parse().expect("a port"),
            target: absolute(target),
        })
        .collect();
    let data = if text.contains("srv:") {
        ShardData::Services(services)
    } else {
        ShardData::Addresses(
            text.split_whitespace()
                .map(|part| part.parse().expect("an address"))
                .collect(),
        )
    };
    Shard::new(data, ShardHealth::Healthy)
}

/// A record written as `name ttl type data`; a type without fields of its own has a string as its octets.
pub(crate) fn record(line: &str) -> RecordSet {
    let mut parts = line.splitn(4, ' ');
    let mut part = || parts.next().expect("name, ttl, type, data");
    let (name, ttl) = (absolute(part()), part().parse().expect("a TTL"));
    let record_type = RecordType::from_mnemonic(part()).expect("a type");
    let text = part();
    let fields: Vec<&str> = text.split(' ').collect();
    let number = |at: usize| fields[at].parse().expect("a number");
    let data = match record_type {
        RecordType::A => RecordData::A(text.parse().expect("an address")),
        RecordType::Aaaa => RecordData::Aaaa(text.parse().expect("an address")),
        RecordType::Cname => RecordData::Cname(absolute(text)),
        RecordType::Dname => RecordData::Dname(absolute(text)),
        RecordType::Ns => RecordData::Ns(absolute(text)),
        RecordType::Mx => RecordData::Mx(Mx {
            preference: number(0),
            exchange: absolute(fields[1]),
        }),
        RecordType::Srv => RecordData::Srv(Srv {
            priority: number(0),
            weight: number(1),
            port: number(2),
            target: absolute(fields[3]),
        }),
        RecordType::Https => RecordData::Https(Svcb {
            priority: number(0),
            target: absolute(fields[1]),
            parameters: BTreeMap::new(),
        }),
        // One string, as in TXT.
        _ => RecordData::Opaque(Opaque {
            record_type,
            octets: [&[u8::try_from(text.len()).expect("a short text")], text.as_bytes()]
                .concat()
                .into(),
        }),
    };
    RecordSet::new(name, ttl, vec![data])
}

/// A client that asks through a resolver: `source subnet`, with `trusted` behind it if the resolver is;
/// or one that asks for itself. Before it, `at SITE` for a listener of that site.
pub(crate) fn client(text: &str) -> Client<'static> {
    let mut parts = text.split(' ').peekable();
    let site = parts.next_if_eq(&"at").and_then(|_| parts.next());
    let source = parts.next().expect("a source").parse().expect("an address");
    let subnet = parts.next().map(|network| ClientSubnet {
        network: network.parse().expect("a network"),
        trusted: parts.next() == Some("trusted"),
    });
    Client {
        source,
        subnet,
        site: site.map(|name| &*Box::leak(Box::new(SiteName::new(name)))),
        rotation: 0,
    }
}

/// Reads a question: a name and a type.
pub(crate) fn question(text: &str) -> Question {
    let (name, record_type) = text.split_once(' ').expect("a name and a type");
    Question {
        name: absolute(name),
        record_type: RecordType::from_mnemonic(record_type).expect("a type"),
    }
}

/// Asks as a [`client`]; the question is a name and a type.
pub(crate) fn ask(snapshot: &Snapshot, from: &str, text: &str) -> Answer {
    answer(snapshot, &question(text), client(from))
}

/// The answer in a few words: outcome and scope, then one line for each set.
pub(crate) fn render(answer: &Answer) -> Vec<String> {
    let set = |mark: &str, set: &RecordSet| {
        let relative = |text: String| match text.strip_suffix(".example.test.") {
            Some(inside) => inside.to_owned(),
            None if text == "example.test." => "@".to_owned(),
            None => text,
        };
        let data: Vec<_> = set.data.iter().map(|data| relative(data.to_string())).collect();
        let data = if set.data[0].record_type() == RecordType::Soa {
            String::new()
        } else {
            format!(" {}", data.join(" "))
        };
        format!(
            "{mark}{} {}{data}",
            relative(set.name.to_string()),
            set.data[0].record_type()
        )
    };
    let outcome = match answer.outcome {
        Outcome::NoError => "NOERROR",
        Outcome::NxDomain => "NXDOMAIN",
        Outcome::YxDomain => "YXDOMAIN",
        Outcome::ServFail => "SERVFAIL",
        Outcome::Refused => "REFUSED",
    };
    let mut lines = vec![format!("{outcome} /{}", answer.scope)];
    lines.extend(answer.answers.iter().map(|one| set("", one)));
    lines.extend(answer.authorities.iter().map(|one| set("authority ", one)));
    lines.extend(answer.additionals.iter().map(|one| set("additional ", one)));
    lines
}

/// Asks and compares the whole answer.
#[track_caller]
pub(crate) fn check(world: &World, from: &str, question: &str, expected: &[&str]) {
    check_in(&world.snapshot(), from, question, expected);
}

/// Asks a snapshot that is not only a [`World`], and compares the whole answer.
#[track_caller]
pub(crate) fn check_in(snapshot: &Snapshot, from: &str, question: &str, expected: &[&str]) {
    let answer = ask(snapshot, from, question);
    assert_eq!(render(&answer), expected, "{question} from {from}");
    let ours = !matches!(answer.outcome, Outcome::ServFail | Outcome::Refused);
    let referral = answer.answers.is_empty()
        && answer
            .findings
            .last()
            .is_some_and(|last| last.kind == FindingKind::Referral);
    assert_eq!(answer.authoritative, ours && !referral, "AA of {question}");
}

/// A client nearest to tokyo.
pub(crate) const TOKYO: &str = "100.64.1.9";
/// A client nearest to oregon.
pub(crate) const OREGON: &str = "100.64.3.9";
