//! What holds for every reply, on the wire.
//!
//! `dns-core` has the properties of answers; these are those of the octets made of them: a client can
//! read them, they fit into what it takes, and a cache may keep them as long and for as many clients as
//! they say. The worlds are small: records of many types, of which any may be missing, and routed names
//! with none to sixty addresses at two sites.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsCode;
use meridian_dns_core::{
    Fallback, NameChange, ReadText, RoutedName, Shard, ShardData, ShardHealth, SiteName, Snapshot, StaticRecords,
    WhenNoneHealthy,
};
use meridian_dns_server::{Arrival, Context, MasterFile, Now, Settings, Transport, respond};
use proptest::prelude::*;

use crate::support::{name, snapshot};

const RECORDS: [&str; 22] = [
    "@ NS ns1",
    "@ MX 1 web",
    "text TXT \"one\" \"two\"",
    "text TXT \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
    "alias CNAME web",
    "twice CNAME alias",
    "circle CNAME circle",
    "away CNAME www.elsewhere.test.",
    "_x._tcp SRV 0 0 1 web",
    "_x._tcp SRV 0 0 2 plain",
    "svc HTTPS 1 web alpn=h2 ipv4hint=192.0.2.1",
    "odd TYPE65280 \\# 3 0a0b0c",
    "plain A 192.0.2.1",
    "plain AAAA 2001:db8::1",
    "child NS ns.child",
    "child NS ns2.child",
    "child DS 1 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "ns.child A 192.0.2.2",
    "old DNAME wild",
    "*.wild TXT \"any\"",
    "*.wild A 192.0.2.3",
    "a.b.c NAPTR 1 1 \"\" \"\" \"\" plain",
];

const NAMES: [&str; 21] = [
    "example.test",
    "web.example.test",
    "WEB.Example.test",
    "some.example.test",
    "text.example.test",
    "alias.example.test",
    "twice.example.test",
    "circle.example.test",
    "away.example.test",
    "_x._tcp.example.test",
    "svc.example.test",
    "odd.example.test",
    "plain.example.test",
    "www.child.example.test",
    "ns.child.example.test",
    "x.old.example.test",
    "x.wild.example.test",
    "b.c.example.test",
    "absent.example.test",
    "elsewhere.test",
    ".",
];

fn any_world() -> impl Strategy<Value = Snapshot> {
    let records = prop::sample::subsequence(RECORDS.to_vec(), 0..=RECORDS.len());
    let addresses = prop::array::uniform4(0_u8..60);
    (records, addresses, prop::bool::weighted(0.8)).prop_map(|(records, [a, b, c, d], complete)| {
        let start = snapshot(meridian_dns_core::Liveness::Alive);
        let apex = name("example.test");
        let zone = start.zone(&apex).expect("the zone").as_ref().clone();
        let (mut file, mut kept) = (String::new(), StaticRecords::default());
        // Of records that do not go together, the first stay.
        for line in records {
            let longer = format!("{file}{line}\n");
            let read = MasterFile.zone_file(&apex, 300, &longer).expect("records");
            if let Ok(records) = StaticRecords::new(&apex, read) {
                (file, kept) = (longer, records);
            }
        }
        let changes = [
            routed("web.example.test", a, b),
            routed("some.example.test", c, d),
            NameChange::Remove(name("many.example.test")),
        ];
        let zone = zone.with(&changes, 1).with_records(Arc::new(kept), 2);
        start.with_zone(zone.with_complete(complete))
    })
}

fn routed(text: &str, here: u8, there: u8) -> NameChange {
    let shard = |site: u8, count: u8| {
        let addresses = (1..=count).map(|host| Ipv4Addr::new(10, site, 0, host).into());
        Shard::new(ShardData::Addresses(addresses.collect()), ShardHealth::Healthy)
    };
    NameChange::Set(Arc::new(RoutedName {
        name: name(text),
        ttl: 30,
        shards: [
            (SiteName::new("here"), shard(1, here)),
            (SiteName::new("there"), shard(2, there)),
        ]
        .into(),
        fallback: Fallback::Policy(WhenNoneHealthy::FailOpen),
        ipv6: false,
        https: None,
        policy: None,
    }))
}

/// A query for one question.
#[derive(Debug, Clone)]
struct Asked {
    name: &'static str,
    record_type: u16,
    /// Size and DO bit of the OPT record.
    edns: Option<(u16, bool)>,
    /// An address in 100.64.0.0/14 and the length of its prefix.
    subnet: Option<(u32, u8)>,
}

impl Asked {
    fn octets(&self) -> Vec<u8> {
        let edns = self.edns.or(self.subnet.map(|_| (1232, false)));
        let mut octets = vec![0x4d, 0x45, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
        octets.extend(self.question());
        if let Some((size, dnssec_ok)) = edns {
            let options = self.subnet.map(|(address, length)| {
                let kept = usize::from(length).div_ceil(8);
                let address = u32::from(ipnet::Ipv4Net::new(address.into(), length).expect("short").network());
                let data = [&[0, 1, length, 0], &address.to_be_bytes()[..kept]].concat();
                [&[0, 8, 0, u8::try_from(data.len()).expect("short")][..], &data].concat()
            });
            let options = options.unwrap_or_default();
            octets.extend([0, 0, 41]);
            octets.extend(size.to_be_bytes());
            octets.extend([0, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0]);
            octets.push(u8::try_from(options.len()).expect("short"));
            octets.extend(options);
        }
        octets
    }

    fn question(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        for label in self.name.split('.').filter(|label| !label.is_empty()) {
            octets.push(u8::try_from(label.len()).expect("short"));
            octets.extend(label.bytes());
        }
        octets.push(0);
        octets.extend(self.record_type.to_be_bytes());
        octets.extend([0, 1]);
        octets
    }

    /// Asks; every query of these has a reply.
    fn ask(&self, world: &Snapshot, source: Ipv4Addr, transport: Transport) -> (Vec<u8>, Message) {
        let arrival = Arrival {
            client: source.into(),
            transport,
            site: None,
            now: Now {
                unix: 0,
                monotonic: Duration::ZERO,
            },
            idle: None,
        };
        let context = Context {
            snapshot: world,
            settings: &Settings::default(),
            limiter: None,
            transfers: None,
            signer: None,
        };
        let mut out = Vec::new();
        respond(&self.octets(), &arrival, &context, &mut out).expect("a reply");
        let read = Message::from_vec(&out).expect("a reply that another reader understands");
        (out, read)
    }
}

fn any_asked() -> impl Strategy<Value = Asked> {
    let types = [1_u16, 2, 5, 6, 15, 16, 28, 33, 35, 39, 43, 48, 65, 255, 65280];
    let record_type = prop_oneof![8 => prop::sample::select(types.to_vec()), 1 => any::<u16>()];
    let edns = prop::option::of((any::<u16>(), any::<bool>()));
    let subnet = prop::option::of((any_address(), 0_u8..=32));
    (prop::sample::select(NAMES.to_vec()), record_type, edns, subnet).prop_map(|(name, record_type, edns, subnet)| {
        Asked {
            name,
            record_type,
            edns,
            subnet,
        }
    })
}

/// Around the networks of the two sites.
fn any_address() -> impl Strategy<Value = u32> {
    any::<u32>().prop_map(|bits| u32::from(Ipv4Addr::new(100, 64, 0, 0)) | bits & 0x3ff)
}

fn scope(reply: &Message) -> Option<u8> {
    let option = reply.edns.as_ref()?.option(EdnsCode::Subnet)?;
    Some(Vec::<u8>::try_from(option).expect("its octets")[3])
}

fn is_negative(reply: &Message) -> bool {
    let meta = &reply.metadata;
    let nothing = reply
        .answers
        .iter()
        .all(|record| record.record_type() == RecordType::CNAME);
    let referral = reply
        .authorities
        .iter()
        .any(|record| record.record_type() == RecordType::NS);
    meta.response_code == ResponseCode::NXDomain
        || meta.response_code == ResponseCode::NoError && reply.answers.is_empty() && nothing && !referral
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// It has the id and the question of its query, no bit that is not ours to set, an OPT record if
    /// there was one, and no more octets than the client takes.
    #[test]
    fn a_reply_belongs_to_its_query_and_fits(world in any_world(), asked in any_asked(), source in any_address()) {
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https, Transport::Quic] {
            let (octets, reply) = asked.ask(&world, source.into(), transport);
            let question = asked.question();
            prop_assert_eq!(&octets[..2], &[0x4d, 0x45]);
            prop_assert_eq!((octets[2] & 0xf9, octets[3] & 0xf0), (0x81, 0), "QR, RD and no more");
            prop_assert_eq!(&octets[12..12 + question.len()], &question[..]);
            prop_assert_eq!(reply.edns.is_some(), asked.edns.is_some() || asked.subnet.is_some());
            if transport == Transport::Udp {
                let theirs = asked.edns.map(|(size, _)| size).or(asked.subnet.map(|_| 1232)).unwrap_or(512);
                prop_assert!(octets.len() <= usize::from(theirs.clamp(512, 1232)), "{} octets", octets.len());
            } else {
                prop_assert!(!reply.metadata.truncation);
            }
        }
    }

    /// What UDP says without TC is what TCP says; with TC no part of a set is there.
    #[test]
    fn what_is_not_truncated_is_whole(world in any_world(), asked in any_asked(), source in any_address()) {
        let (_, small) = asked.ask(&world, source.into(), Transport::Udp);
        let (_, whole) = asked.ask(&world, source.into(), Transport::Tcp);
        prop_assert_eq!(small.metadata.response_code, whole.metadata.response_code);
        if small.metadata.truncation {
            prop_assert!(whole.answers.starts_with(&small.answers) && whole.authorities.starts_with(&small.authorities));
            let next = whole.answers.get(small.answers.len());
            let cut = small.answers.last().zip(next).is_some_and(|(last, next)| {
                last.name == next.name && last.record_type() == next.record_type()
            });
            prop_assert!(!cut, "part of a set");
        } else {
            prop_assert_eq!((small.answers, small.authorities), (whole.answers, whole.authorities));
        }
    }

    /// A negative reply has one SOA, and is the same, octet for octet, whoever asks; for a network too, but
    /// for the network itself.
    #[test]
    fn a_negative_reply_has_its_soa_and_is_the_same_for_all(
        world in any_world(), asked in any_asked(), one in any_address(), other in any_address(),
    ) {
        let (octets, reply) = asked.ask(&world, one.into(), Transport::Tcp);
        if !is_negative(&reply) { return Ok(()) }
        let soas = reply.authorities.iter().filter(|record| record.record_type() == RecordType::SOA).count();
        prop_assert_eq!((soas, reply.authorities.len()), (1, 1));
        prop_assert_eq!(scope(&reply).unwrap_or(0), 0);
        prop_assert_eq!(&octets, &asked.ask(&world, other.into(), Transport::Tcp).0);
        if let Some((_, length)) = asked.subnet {
            let (_, second) = Asked { subnet: Some((other, length)), ..asked }.ask(&world, one.into(), Transport::Tcp);
            prop_assert_eq!((&reply.answers, &reply.authorities), (&second.answers, &second.authorities));
        }
    }

    /// A resolver may give a reply to every client inside its scope, where it told us as much of its client
    /// (RFC 7871 section 7.3.1).
    #[test]
    fn a_reply_is_good_for_every_client_inside_its_scope(
        world in any_world(), asked in any_asked(), source in any_address(), other in any_address(),
    ) {
        let (_, reply) = asked.ask(&world, source.into(), Transport::Tcp);
        let (Some((address, length)), Some(scope)) = (asked.subnet, scope(&reply)) else { return Ok(()) };
        if length < scope || length == 0 { return Ok(()) }
        let hosts = u32::MAX.checked_shr(scope.into()).unwrap_or(0);
        let subnet = Some((address & !hosts | other & hosts, length));
        let (_, second) = Asked { subnet, ..asked }.ask(&world, source.into(), Transport::Tcp);
        prop_assert_eq!((reply.answers, reply.authorities), (second.answers, second.authorities));
    }

    /// Whatever the octets are, there is a reply that another reader understands, or silence.
    #[test]
    fn any_octets_get_a_well_formed_reply_or_silence(
        world in any_world(), octets in prop::collection::vec(any::<u8>(), 0..200), source in any::<u32>(),
    ) {
        let arrival = Arrival {
            client: IpAddr::from(source.to_be_bytes()),
            transport: Transport::Udp,
            site: None,
            now: Now { unix: 0, monotonic: Duration::ZERO },
            idle: None,
        };
        let context = Context { snapshot: &world, settings: &Settings::default(), limiter: None, transfers: None, signer: None };
        let mut out = Vec::new();
        if respond(&octets, &arrival, &context, &mut out).is_some() {
            prop_assert!(Message::from_vec(&out).is_ok());
        }
    }
}
