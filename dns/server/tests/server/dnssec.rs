//! What a client that asks for DNSSEC receives, and what others do not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use meridian_dns_core::Liveness;
use meridian_dns_core::dnssec::{Algorithm, Denial, DnsKey};
use meridian_dns_server::{
    Arrival, Context, Now, RateLimiter, RateLimits, Settings, Signer, SigningLimits, Transport, respond,
};

use crate::support::name;
use crate::support::packet::{Packet, exchange_tcp};
use crate::support::signed::{Fleet, Role};
use crate::support::verify::{now, types, verify};

const PAIR: [(Role, Algorithm); 2] = [(Role::Ksk, Algorithm::EcdsaP256), (Role::Zsk, Algorithm::EcdsaP256)];
const TWO_PAIRS: [(Role, Algorithm); 4] = [
    PAIR[0],
    PAIR[1],
    (Role::Ksk, Algorithm::Ed25519),
    (Role::Zsk, Algorithm::Ed25519),
];

fn keys(fleet: &Fleet, secure_entry_point: bool) -> Vec<DnsKey> {
    let all = fleet.keys.private().into_iter().map(|key| key.public().clone());
    all.filter(|key| key.secure_entry_point == secure_entry_point).collect()
}

/// The extended error of a reply (RFC 8914), which is the last option here.
fn extended_error(reply: &[u8]) -> Option<u16> {
    match *reply.last_chunk::<6>()? {
        [0, 15, 0, 2, high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

/// Name, type, response code, types of the three sections.
type Case = (
    &'static str,
    u16,
    ResponseCode,
    &'static [&'static str],
    &'static [&'static str],
);

async fn check(server: SocketAddr, fleet: &Fleet, cases: &[Case]) {
    let signers = [keys(fleet, true), keys(fleet, false)];
    for (name, record_type, code, answers, authorities) in cases {
        let (_, reply) = Packet::ask_signed(name, *record_type).over_udp(server).await;
        let what = format!("{name} {record_type}");
        assert_eq!(reply.metadata.response_code, *code, "{what}");
        assert!(!reply.metadata.authentic_data, "{what}: AD");
        assert_eq!(types(&reply.answers), *answers, "{what}");
        assert_eq!(types(&reply.authorities), *authorities, "{what}");
        let of_keys = [48, 59, 60].contains(record_type);
        if !what.contains("tree") && !what.contains("bare") && !what.contains("outside") && !what.contains("safe") {
            verify(&reply.answers, &signers[usize::from(!of_keys)], now());
            verify(&reply.authorities, &signers[1], now());
        }
    }
}

#[tokio::test]
async fn needed_sets_come_with_their_signatures() {
    use ResponseCode::NoError;
    let fleet = Fleet::new(Denial::Compact, &PAIR);
    let (_server, address, _) = fleet.start().await;
    let denied: &[&str] = &["6", "RRSIG 6", "47", "RRSIG 47"];
    check(
        address,
        &fleet,
        &[
            ("web.example.test", 1, NoError, &["1", "RRSIG 1"], &[]),
            ("host.example.test", 28, NoError, &["28", "RRSIG 28"], &[]),
            ("example.test", 48, NoError, &["48", "48", "RRSIG 48"], &[]),
            ("example.test", 59, NoError, &["59", "RRSIG 59"], &[]),
            ("example.test", 60, NoError, &["60", "RRSIG 60"], &[]),
            (
                "alias.example.test",
                1,
                NoError,
                &["5", "RRSIG 5", "5", "RRSIG 5", "1", "RRSIG 1"],
                &[],
            ),
            ("x.wild.example.test", 1, NoError, &["1", "RRSIG 1"], &[]),
            (
                "x.tree.example.test",
                1,
                NoError,
                &["39", "RRSIG 39", "5", "1", "RRSIG 1"],
                &[],
            ),
            // ANY is one set, and so is a question for signatures.
            ("host.example.test", 255, NoError, &["1", "1", "RRSIG 1"], &[]),
            ("host.example.test", 46, NoError, &["1", "1", "RRSIG 1"], &[]),
            ("web.example.test", 28, NoError, &[], denied),
            ("absent.example.test", 1, NoError, &[], denied),
            ("web.example.test", 47, NoError, &["47", "RRSIG 47"], &[]),
            ("safe.example.test", 43, NoError, &["43", "RRSIG 43"], &[]),
            ("bare.example.test", 43, NoError, &[], denied),
        ],
    )
    .await;
}

#[tokio::test]
async fn hashed_denials_say_nxdomain() {
    use ResponseCode::{NXDomain, NoError};
    let fleet = Fleet::new(Denial::Nsec3, &PAIR);
    let (_server, address, _) = fleet.start().await;
    let nsec3: [&str; 2] = ["50", "RRSIG 50"];
    let soa: [&str; 2] = ["6", "RRSIG 6"];
    let [one, three]: [&'static [&'static str]; 2] =
        [[soa, nsec3].concat().leak(), [soa, nsec3, nsec3, nsec3].concat().leak()];
    check(
        address,
        &fleet,
        &[
            ("web.example.test", 1, NoError, &["1", "RRSIG 1"], &[]),
            ("example.test", 51, NoError, &["51", "RRSIG 51"], &[]),
            ("web.example.test", 28, NoError, &[], one),
            ("absent.example.test", 1, NXDomain, &[], three),
        ],
    )
    .await;
}

#[tokio::test]
async fn referrals_have_their_ds_or_its_denial_signed_and_nothing_else() {
    use ResponseCode::NoError;
    for (denial, denied) in [
        (Denial::Compact, ["2", "47", "RRSIG 47"]),
        (Denial::Nsec3, ["2", "50", "RRSIG 50"]),
    ] {
        let fleet = Fleet::new(denial, &PAIR);
        let (_server, address, table) = fleet.start().await;
        // Other servers have the children.
        let snapshot = fleet.snapshot(Liveness::Alive);
        let children = ["safe.example.test", "bare.example.test"].map(name);
        table.store(
            children
                .iter()
                .fold(snapshot, |snapshot, child| snapshot.without_zone(child)),
        );
        for (child, authorities) in [
            ("www.safe.example.test", ["2", "43", "RRSIG 43"]),
            ("www.bare.example.test", denied),
        ] {
            let (_, reply) = Packet::ask_signed(child, 1).over_udp(address).await;
            assert_eq!(
                (reply.metadata.response_code, reply.metadata.authoritative),
                (NoError, false)
            );
            assert_eq!(types(&reply.answers), [""; 0]);
            assert_eq!(types(&reply.authorities), authorities, "{child}");
            assert_eq!(types(&reply.additionals), ["1"], "glue is not signed");
            verify(&reply.authorities[1..], &keys(&fleet, false), now());
        }
    }
}

#[tokio::test]
async fn without_the_flag_nothing_of_dnssec_is_sent() {
    let fleet = Fleet::new(Denial::Compact, &PAIR);
    let (_server, address, _) = fleet.start().await;
    for name in [
        "web.example.test",
        "absent.example.test",
        "x.safe.example.test",
        "mail.example.test",
    ] {
        let (_, reply) = Packet::ask(name).over_udp(address).await;
        for record in reply.answers.iter().chain(&reply.authorities).chain(&reply.additionals) {
            let number = u16::from(record.record_type());
            assert!(![43, 46, 47, 50].contains(&number), "{name}: {record}");
        }
    }
    let (_, reply) = Packet::ask("absent.example.test").over_udp(address).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    // What is asked for by its type is sent all the same.
    let of_type = |name, record_type| Packet {
        questions: vec![(name, record_type, 1)],
        ..Packet::ask(name)
    };
    let (_, reply) = of_type("example.test", 48).over_udp(address).await;
    assert_eq!(types(&reply.answers), ["48", "48"]);
    let (_, reply) = of_type("web.example.test", 47).over_udp(address).await;
    assert_eq!(types(&reply.answers), ["47"]);
}

#[tokio::test]
async fn the_compact_flag_is_returned_and_gives_the_true_response_code() {
    let fleet = Fleet::new(Denial::Compact, &PAIR);
    let (_server, address, _) = fleet.start().await;
    for (flags, code) in [(0x8000, ResponseCode::NoError), (0xc000, ResponseCode::NXDomain)] {
        let packet = Packet {
            edns_flags: flags,
            ..Packet::ask_signed("absent.example.test", 1)
        };
        let (octets, reply) = packet.over_udp(address).await;
        assert_eq!(reply.metadata.response_code, code);
        assert_eq!(octets[octets.len() - 4..octets.len() - 2], u16::to_be_bytes(flags));
        assert_eq!(types(&reply.authorities), ["6", "RRSIG 6", "47", "RRSIG 47"]);
    }
    // RFC 9824 section 3.5: NXNAME is for bitmaps alone.
    let (_, reply) = Packet::ask_signed("absent.example.test", 128).over_udp(address).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
}

#[tokio::test]
async fn sets_and_signatures_go_together_and_those_of_additional_sets_go_first() {
    let fleet = Fleet::new(Denial::Compact, &TWO_PAIRS);
    let (_server, address, _) = fleet.start().await;
    let of_size = |name, record_type, size| Packet {
        opt: Some((0, size, Vec::new())),
        ..Packet::ask_signed(name, record_type)
    };
    let (_, reply) = of_size("mail.example.test", 15, 1232).over_udp(address).await;
    assert_eq!(types(&reply.additionals), ["1", "RRSIG 1", "RRSIG 1"]);
    let (octets, reply) = of_size("mail.example.test", 15, 512).over_udp(address).await;
    assert!(!reply.metadata.truncation && octets.len() <= 512);
    assert_eq!(types(&reply.answers), ["15", "RRSIG 15", "RRSIG 15"]);
    assert_eq!(types(&reply.additionals), ["1"]);
    // 50 addresses fit, and their signatures do not.
    let (octets, reply) = of_size("some.example.test", 1, 900).over_udp(address).await;
    assert!(
        reply.metadata.truncation && reply.answers.is_empty(),
        "{} octets",
        octets.len()
    );
    let replies = exchange_tcp(address, &[of_size("some.example.test", 1, 900).bytes(7)]).await;
    let reply = Message::from_vec(&replies[0]).expect("a reply");
    assert_eq!(reply.answers.len(), 52);
    assert_eq!(verify(&reply.answers, &keys(&fleet, false), now()), 2);
}

#[tokio::test]
async fn a_lowered_ttl_is_that_of_the_signature_too() {
    let fleet = Fleet::new(Denial::Compact, &TWO_PAIRS);
    let (_server, address, table) = fleet.start().await;
    table.store(fleet.snapshot(Liveness::Dead));
    let (_, reply) = Packet::ask_signed("web.example.test", 1).over_udp(address).await;
    assert_eq!(
        reply.answers.iter().map(|record| record.ttl).collect::<Vec<_>>(),
        [15; 3]
    );
    verify(&reply.answers, &keys(&fleet, false), now());
}

#[tokio::test]
async fn what_cannot_be_signed_is_servfail_to_those_who_ask_for_signatures() {
    let fleet = Fleet::new(Denial::Compact, &PAIR);
    let signer = Signer::default();
    let installed = signer.clone();
    let (_server, address, table) = crate::support::start_with(|config| config.signer = installed).await;
    table.store(fleet.snapshot(Liveness::Alive));
    let (octets, reply) = Packet::ask_signed("web.example.test", 1).over_udp(address).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert!(reply.answers.is_empty());
    assert_eq!(extended_error(&octets), Some(14));
    let (_, reply) = Packet::ask("web.example.test").over_udp(address).await;
    assert_eq!(reply.answers.len(), 1, "others are answered");
    let (_, reply) = Packet::ask_signed("www.bare.example.test", 1).over_udp(address).await;
    assert_eq!(types(&reply.answers), ["1"], "and so are other zones");
    fleet.install(&signer);
    let (_, reply) = Packet::ask_signed("web.example.test", 1).over_udp(address).await;
    assert_eq!(types(&reply.answers), ["1", "RRSIG 1"]);
}

#[tokio::test]
async fn over_budget_is_servfail_over_every_transport_and_what_is_kept_is_free() {
    let fleet = Fleet::new(Denial::Compact, &PAIR);
    let (server, address, _) = fleet.start().await;
    let web = Packet::ask_signed("web.example.test", 1);
    web.over_udp(address).await;
    server.settings().store(Settings {
        // No more than one in these tests' time.
        signing: SigningLimits {
            network: 1,
            all: 0,
            burst: 1,
        },
        ..Settings::default()
    });
    let absent = ["a.example.test", "b.example.test", "c.example.test", "d.example.test"];
    let mut failed = 0;
    for name in absent {
        let packet = Packet::ask_signed(name, 1);
        let (octets, reply) = packet.over_udp(address).await;
        let over_tcp = exchange_tcp(address, &[packet.bytes(9)]).await;
        for (octets, reply) in [
            (octets, reply),
            (over_tcp[0].clone(), Message::from_vec(&over_tcp[0]).expect("a reply")),
        ] {
            if reply.metadata.response_code == ResponseCode::ServFail {
                assert_eq!(extended_error(&octets), Some(0));
                assert!(reply.authorities.is_empty());
                failed += 1;
            }
        }
    }
    assert!(failed >= 2, "{failed} of 8");
    for _ in 0..10 {
        let (_, reply) = web.over_udp(address).await;
        assert_eq!(types(&reply.answers), ["1", "RRSIG 1"]);
    }
}

#[test]
fn compact_denials_count_as_negatives_of_their_zone() {
    let fleet = Fleet::new(Denial::Compact, &PAIR);
    let (signer, limiter) = (Signer::default(), RateLimiter::default());
    fleet.install(&signer);
    let settings = Settings {
        rate: Some(RateLimits {
            negatives: 1,
            burst: 1,
            slip: 0,
            ..RateLimits::default()
        }),
        ..Settings::default()
    };
    let snapshot = fleet.snapshot(Liveness::Alive);
    let context = Context {
        snapshot: &snapshot,
        settings: &settings,
        limiter: Some(&limiter),
        transfers: None,
        signer: Some(&signer),
    };
    let arrival = Arrival {
        client: IpAddr::from([192, 0, 2, 1]),
        transport: Transport::Udp,
        site: None,
        now: Now {
            unix: now(),
            monotonic: Duration::ZERO,
        },
        idle: None,
    };
    let mut out = Vec::new();
    let mut answered = |name| respond(&Packet::ask_signed(name, 1).bytes(1), &arrival, &context, &mut out).is_some();
    let names = [
        "a.example.test",
        "b.example.test",
        "web.example.test",
        "host.example.test",
    ];
    assert_eq!(names.map(&mut answered), [true, false, true, true]);
    let made = signer.made();
    assert!(!answered("c.example.test"));
    assert_eq!(signer.made(), made, "nothing is signed for nobody");
}
