//! What the server makes of `dns-core`'s answers beyond their records: whom it trusts, what it must not
//! leave out, and what it counts as one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsCode;
use ipnet::IpNet;
use meridian_dns_core::{
    Fallback, Liveness, NameChange, ReadText, RoutedName, Shard, ShardData, ShardHealth, Site, SiteName, Sites,
    Snapshot, StaticRecords, WhenNoneHealthy,
};
use meridian_dns_server::{
    Arrival, Context, MasterFile, Now, RateLimiter, RateLimits, Settings, SubnetTrust, Transport, respond,
};

use crate::support::packet::Packet;
use crate::support::{name, snapshot};

/// The reply to one packet.
struct Asking<'a> {
    snapshot: &'a Snapshot,
    settings: Settings,
    limiter: RateLimiter,
    source: IpAddr,
    transport: Transport,
}

impl<'a> Asking<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            settings: Settings::default(),
            limiter: RateLimiter::default(),
            source: [192, 0, 2, 1].into(),
            transport: Transport::Udp,
        }
    }

    fn ask(&self, packet: &Packet) -> Option<Message> {
        let arrival = Arrival {
            client: self.source,
            transport: self.transport,
            site: None,
            now: Now {
                unix: 0,
                monotonic: Duration::ZERO,
            },
            idle: None,
        };
        let context = Context {
            snapshot: self.snapshot,
            settings: &self.settings,
            limiter: Some(&self.limiter),
            transfers: None,
            signer: None,
        };
        let mut out = Vec::new();
        respond(&packet.bytes(1), &arrival, &context, &mut out)?;
        Some(Message::from_vec(&out).expect("a well-formed reply"))
    }
}

/// The fleet, with these static records in its zone.
fn with_records(zone_file: &str) -> Snapshot {
    let fleet = snapshot(Liveness::Alive);
    let apex = name("example.test");
    let records = MasterFile.zone_file(&apex, 60, zone_file).expect("a zone file");
    let records = StaticRecords::new(&apex, records).expect("records that go together");
    let zone = fleet.zone(&apex).expect("the zone").with_records(records.into(), 7);
    fleet.with_zone(zone)
}

/// The fleet, where clients in 100.64.1.0/24 are told the internal address of `here`.
fn with_a_view() -> Snapshot {
    let fleet = snapshot(Liveness::Alive);
    let (here, there) = (SiteName::new("here"), SiteName::new("there"));
    let sites: Sites = fleet
        .sites()
        .iter()
        .map(|(site, now)| {
            let inside = (*site == here).then(|| "100.64.1.0/24".parse().expect("a network"));
            let internal_networks = inside.into_iter().collect();
            (
                site.clone(),
                Site {
                    internal_networks,
                    ..now.clone()
                },
            )
        })
        .collect();
    let public = |address: [u8; 4]| Shard::new(ShardData::Addresses(vec![address.into()]), ShardHealth::Healthy);
    let inside = Shard {
        internal: vec![[172, 16, 0, 1].into()],
        ..public([10, 1, 0, 1])
    };
    let web = NameChange::Set(Arc::new(RoutedName {
        name: name("web.example.test"),
        ttl: 30,
        shards: [(here, inside), (there, public([10, 2, 0, 1]))].into(),
        fallback: Fallback::Policy(WhenNoneHealthy::FailOpen),
        ipv6: false,
        https: None,
        policy: None,
    }));
    let zone = fleet.zone(&name("example.test")).expect("the zone").with([&web], 7);
    fleet.with_sites(sites).with_zone(zone)
}

#[test]
fn internal_addresses_are_told_to_clients_inside_and_by_trusted_resolvers_alone() {
    let fleet = with_a_view();
    let resolver: IpNet = "203.0.113.0/24".parse().expect("a network");
    let (inside, elsewhere) = (Some([100, 64, 1]), Some([100, 64, 2]));
    // The source, the subnet that it names, whether strangers are heeded; address and scope.
    for (source, subnet, strangers, expected, scope) in [
        ([100, 64, 1, 7], None, true, "172.16.0.1", None),
        ([100, 64, 2, 7], None, true, "10.2.0.1", None),
        ([203, 0, 113, 9], inside, true, "172.16.0.1", Some(24)),
        ([203, 0, 113, 9], inside, false, "172.16.0.1", Some(24)),
        ([203, 0, 113, 9], elsewhere, false, "10.2.0.1", Some(24)),
        ([192, 0, 2, 9], inside, true, "10.1.0.1", Some(24)),
        ([192, 0, 2, 9], elsewhere, false, "10.1.0.1", None),
        // A stranger inside is told what it may know, for the network that it asks for.
        ([100, 64, 1, 7], inside, true, "172.16.0.1", Some(24)),
        ([100, 64, 1, 7], elsewhere, true, "10.2.0.1", Some(24)),
    ] {
        let mut asking = Asking::of(&fleet);
        asking.source = source.into();
        asking.settings.subnets = SubnetTrust {
            resolvers: vec![resolver],
            strangers,
        };
        let option = |[a, b, c]: [u8; 3]| vec![0, 8, 0, 7, 0, 1, 24, 0, a, b, c];
        let packet = Packet {
            opt: Some((0, 1232, subnet.map(option).unwrap_or_default())),
            ..Packet::ask("web.example.test")
        };
        let reply = asking.ask(&packet).expect("a reply");
        let case = format!("{source:?} {subnet:?} {strangers}");
        assert_eq!(reply.answers[0].data.to_string(), expected, "{case}");
        let returned = reply.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet));
        let returned = returned.map(|option| Vec::<u8>::try_from(option).expect("its octets")[3]);
        assert_eq!(returned, scope, "{case}");
    }
}

#[test]
fn a_referral_without_its_glue_is_truncated_and_one_without_others_addresses_is_not() {
    let mut zone_file = String::new();
    for number in 0..20 {
        zone_file += &format!("child NS ns{number}.child\nns{number}.child A 192.0.2.{number}\n");
        zone_file += &format!("kid NS ns{number}.hosts\nns{number}.hosts A 192.0.2.{number}\n");
    }
    let fleet = with_records(&zone_file);
    let mut asking = Asking::of(&fleet);
    for (question, truncated) in [("www.child.example.test", true), ("www.kid.example.test", false)] {
        let packet = Packet {
            opt: None,
            ..Packet::ask(question)
        };
        asking.transport = Transport::Udp;
        let reply = asking.ask(&packet).expect("a reply");
        assert_eq!(reply.metadata.truncation, truncated, "{question}");
        assert_eq!(reply.authorities.len(), 20, "{question}");
        assert!(reply.additionals.len() < 20, "{question}");
        asking.transport = Transport::Tcp;
        let whole = asking.ask(&packet).expect("a reply");
        assert_eq!(
            (whole.metadata.truncation, whole.additionals.len()),
            (false, 20),
            "{question}"
        );
    }
}

#[test]
fn names_made_up_by_one_flood_are_counted_as_one() {
    let fleet = with_records(
        "*.wild A 192.0.2.1\n*.alias CNAME elsewhere.test.\nmoved DNAME elsewhere.test.\nchild NS ns.elsewhere.test.\n",
    );
    for (below, expected) in [
        ("wild.example.test", ResponseCode::NoError),
        ("alias.example.test", ResponseCode::NoError),
        ("moved.example.test", ResponseCode::NoError),
        ("child.example.test", ResponseCode::NoError),
        ("example.test", ResponseCode::NXDomain),
        ("nowhere.test", ResponseCode::Refused),
    ] {
        let mut asking = Asking::of(&fleet);
        asking.settings.rate = Some(RateLimits {
            answers: 5,
            negatives: 5,
            errors: 5,
            burst: 1,
            slip: 0,
            ..RateLimits::default()
        });
        let mut replies = 0;
        for number in 0..50 {
            let packet = Packet::ask(format!("made-up-{number}.{below}").leak());
            let Some(reply) = asking.ask(&packet) else { continue };
            assert_eq!(reply.metadata.response_code, expected, "{below}");
            replies += 1;
        }
        assert_eq!(replies, 5, "{below}");
    }
}
