//! The answer function: (snapshot, question, client) to an [`Answer`].
//!
//! What must stay true:
//! - a global name is never empty by accident: when no site serves, the zone's policy decides, and
//!   the default answers from the best that is left (active before drained);
//! - NXDOMAIN only for a name that is certainly not there: in a zone that is not complete the answer
//!   is SERVFAIL, which resolvers do not keep;
//! - negative answers carry the SOA (RFC 2308) and are the same for every client;
//! - the ECS scope (RFC 7871) does not depend on health, so that a resolver's cache does not split
//!   and join as sites come and go; it is 0 where the answer is the same for everybody.

use std::net::IpAddr;

use crate::{
    ClientClass, DnsName, Fallback, Liveness, RecordData, RecordSet, RecordType, RoutedName, Shard, ShardData,
    SiteName, Snapshot, Traffic, WhenNoneHealthy, Zone,
};

/// Aliases followed inside our zones before giving up. The longest chain we make is two: zone to
/// region to global.
const MAX_ALIASES: usize = 8;

/// What is asked. The class is IN; the server refuses others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name, folded to lower case.
    pub name: DnsName,
    /// The type.
    pub record_type: RecordType,
}

/// Who asks: the address the answer is chosen for, from the Client Subnet option or the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The address; of a subnet, its first address.
    pub address: IpAddr,
}

/// How a question ended (RFC 1035 section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered, perhaps with nothing (NODATA).
    NoError,
    /// The name does not exist.
    NxDomain,
    /// We cannot know yet.
    ServFail,
    /// Not our zone.
    Refused,
}

/// The sections of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The response code.
    pub outcome: Outcome,
    /// The AA bit.
    pub authoritative: bool,
    /// Answer section: aliases first, in the order they were followed.
    pub answers: Vec<RecordSet>,
    /// Authority section: the SOA of a negative answer.
    pub authorities: Vec<RecordSet>,
    /// Additional section.
    pub additionals: Vec<RecordSet>,
    /// ECS scope prefix length in the client's family, for a question that came with the option.
    pub scope: u8,
}

impl Answer {
    fn of(outcome: Outcome) -> Self {
        let authoritative = !matches!(outcome, Outcome::Refused | Outcome::ServFail);
        Self {
            outcome,
            authoritative,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            scope: 0,
        }
    }

    fn negative(mut self, zone: &Zone) -> Self {
        self.scope = 0;
        if matches!(self.outcome, Outcome::NoError | Outcome::NxDomain) {
            self.authorities.push(zone.soa_set());
        }
        self
    }
}

/// Answers one question.
pub fn answer(snapshot: &Snapshot, question: &Question, client: Client) -> Answer {
    let Some(zone) = snapshot.zone_of(&question.name) else {
        return Answer::of(Outcome::Refused);
    };
    let (class, class_scope) = snapshot.classes().lookup(client.address);
    let mut reply = Answer::of(Outcome::NoError);
    let mut at = question.name.clone();
    for _ in 0..=MAX_ALIASES {
        let routed = zone.name(&at).filter(|_| !is_head(zone, &at, question.record_type));
        let Some(routed) = routed else {
            return head_or_missing(zone, &at, question.record_type, reply);
        };
        if reply.scope == 0 && depends_on_client(zone, routed) {
            reply.scope = class_scope;
        }
        match choose(snapshot, routed, class, question.record_type) {
            Choice::Data(data) if data.is_empty() => return reply.negative(zone),
            Choice::Data(data) => {
                reply.answers.push(RecordSet {
                    name: at,
                    ttl: routed.ttl,
                    data,
                });
                return reply;
            }
            Choice::Alias(target) => {
                let data = vec![RecordData::Cname(target.clone())];
                reply.answers.push(RecordSet {
                    name: at,
                    ttl: routed.ttl,
                    data,
                });
                if question.record_type == RecordType::Cname || !target.is_at_or_below(zone.apex()) {
                    return reply;
                }
                at = target;
            }
        }
    }
    Answer::of(Outcome::ServFail)
}

/// Whether the zone's own records answer, although a routed name may have the same name.
fn is_head(zone: &Zone, name: &DnsName, record_type: RecordType) -> bool {
    let of_apex = matches!(record_type, RecordType::Soa | RecordType::Ns | RecordType::Any);
    (name == zone.apex() && of_apex) || zone.name_servers().iter().any(|server| server.name == *name)
}

/// The zone's own records, an empty non-terminal, or a name that is not there.
fn head_or_missing(zone: &Zone, name: &DnsName, record_type: RecordType, mut reply: Answer) -> Answer {
    let mut data = Vec::new();
    let ttl = zone.soa().refresh.min(3600);
    if name == zone.apex() {
        if matches!(record_type, RecordType::Soa | RecordType::Any) {
            data.push(RecordData::Soa(zone.soa().clone()));
        } else if record_type == RecordType::Ns {
            data.extend(
                zone.name_servers()
                    .iter()
                    .map(|server| RecordData::Ns(server.name.clone())),
            );
            for server in zone.name_servers() {
                for glue in [RecordType::A, RecordType::Aaaa] {
                    let data = addresses_of(&server.addresses, glue);
                    if !data.is_empty() {
                        reply.additionals.push(RecordSet {
                            name: server.name.clone(),
                            ttl,
                            data,
                        });
                    }
                }
            }
        }
    } else if let Some(server) = zone.name_servers().iter().find(|server| server.name == *name) {
        data = one_set(record_type, |record_type| addresses_of(&server.addresses, record_type));
    } else if !zone.exists(name) {
        if zone.complete() {
            reply.outcome = Outcome::NxDomain;
        } else {
            return Answer::of(Outcome::ServFail);
        }
    }
    if data.is_empty() {
        return reply.negative(zone);
    }
    reply.answers.push(RecordSet {
        name: name.clone(),
        ttl,
        data,
    });
    reply
}

enum Choice {
    Data(Vec<RecordData>),
    Alias(DnsName),
}

fn choose(snapshot: &Snapshot, routed: &RoutedName, class: &ClientClass, record_type: RecordType) -> Choice {
    if routed.fallback == Fallback::Always {
        let of_all = |record_type| {
            let shards = routed.shards.values();
            shards.flat_map(|shard| data_of(shard, routed, record_type)).collect()
        };
        return Choice::Data(one_set(record_type, of_all));
    }
    let in_order = || {
        class
            .order
            .iter()
            .filter_map(|ranked| routed.shards.get_key_value(&ranked.site))
    };
    // Whether a site serves is asked without the type: otherwise A could come from a site and AAAA
    // lead to an alias, and an alias stands alone at its name.
    let mut serving = in_order()
        .filter(|(site, shard)| shard.serves() && answerable(shard, routed) && takes_clients(snapshot, site))
        .peekable();
    match &routed.fallback {
        // No alias can follow, so each type may come from another site: a site with IPv6 alone must
        // not leave the IPv4 clients with nothing.
        Fallback::Policy(WhenNoneHealthy::FailOpen) => {
            let active = in_order().filter(|(site, _)| !drained(snapshot, site));
            Choice::Data(first_with(serving.chain(active).chain(in_order()), routed, record_type))
        }
        _ if serving.peek().is_some() => Choice::Data(first_with(serving, routed, record_type)),
        Fallback::Upper(target) | Fallback::Policy(WhenNoneHealthy::Fallback(target)) => Choice::Alias(target.clone()),
        Fallback::Policy(WhenNoneHealthy::Empty) | Fallback::Always => Choice::Data(Vec::new()),
    }
}

/// The data of the first candidate that has the asked type: all have IPv6 or it is not answered at
/// all, and a site with IPv6 alone does not make the IPv4 answer depend on the client.
fn first_with<'a>(
    candidates: impl Iterator<Item = (&'a SiteName, &'a Shard)>,
    routed: &RoutedName,
    record_type: RecordType,
) -> Vec<RecordData> {
    candidates
        .map(|(_, shard)| one_set(record_type, |record_type| data_of(shard, routed, record_type)))
        .find(|data| !data.is_empty())
        .unwrap_or_default()
}

/// Whether there is a type that this shard answers. Its IPv6 addresses do not count when the name's
/// are not answered.
fn answerable(shard: &Shard, routed: &RoutedName) -> bool {
    match &shard.data {
        ShardData::Addresses(addresses) => addresses.iter().any(|address| address.is_ipv4() || routed.ipv6),
        ShardData::Services(services) => !services.is_empty(),
    }
}

fn takes_clients(snapshot: &Snapshot, site: &SiteName) -> bool {
    snapshot
        .sites()
        .get(site)
        .is_some_and(|site| site.liveness == Liveness::Alive && site.traffic == Traffic::Active)
}

fn drained(snapshot: &Snapshot, site: &SiteName) -> bool {
    snapshot
        .sites()
        .get(site)
        .is_none_or(|site| site.traffic == Traffic::Drained)
}

fn data_of(shard: &Shard, routed: &RoutedName, record_type: RecordType) -> Vec<RecordData> {
    match (&shard.data, record_type) {
        (ShardData::Addresses(addresses), RecordType::A) => addresses_of(addresses, RecordType::A),
        (ShardData::Addresses(addresses), RecordType::Aaaa) if routed.ipv6 => addresses_of(addresses, RecordType::Aaaa),
        (ShardData::Services(services), RecordType::Srv) => services.iter().cloned().map(RecordData::Srv).collect(),
        _ => Vec::new(),
    }
}

/// The data of the asked type, or for ANY of the first type that has some: one set is enough (RFC
/// 8482 section 4.1), and two types are not one set.
fn one_set(asked: RecordType, data: impl Fn(RecordType) -> Vec<RecordData>) -> Vec<RecordData> {
    if asked != RecordType::Any {
        return data(asked);
    }
    let types = [RecordType::A, RecordType::Aaaa, RecordType::Srv];
    types
        .into_iter()
        .map(data)
        .find(|data| !data.is_empty())
        .unwrap_or_default()
}

fn addresses_of(addresses: &[IpAddr], record_type: RecordType) -> Vec<RecordData> {
    addresses
        .iter()
        .filter_map(|address| match (address, record_type) {
            (IpAddr::V4(v4), RecordType::A) => Some(RecordData::A(*v4)),
            (IpAddr::V6(v6), RecordType::Aaaa) => Some(RecordData::Aaaa(*v6)),
            _ => None,
        })
        .collect()
}

/// Whether two clients may be told different things by this name or by a name it can lead to.
fn depends_on_client(zone: &Zone, routed: &RoutedName) -> bool {
    let upper = |routed: &RoutedName| match &routed.fallback {
        Fallback::Upper(target) | Fallback::Policy(WhenNoneHealthy::Fallback(target)) => zone.name(target).cloned(),
        Fallback::Policy(_) | Fallback::Always => None,
    };
    if routed.fallback == Fallback::Always {
        return false;
    }
    let mut next = upper(routed);
    let mut several = routed.shards.len() > 1;
    for _ in 0..MAX_ALIASES {
        let Some(above) = next.filter(|_| !several) else {
            break;
        };
        several = above.shards.len() > 1;
        next = upper(&above);
    }
    several
}
