//! Many packets that no good client sends, straight into the function that every transport uses.
//!
//! `MERIDIAN_HOSTILE_PACKETS` sets how many; a longer run than the ordinary one is worth it after a
//! change of the reader or the writer.

use std::time::Duration;

use crate::support::dice::Dice;
use crate::support::packet::{Packet, exchange_tcp, exchange_udp};
use crate::support::{snapshot, start};
use hickory_proto::op::Message;
use meridian_dns_core::Liveness;
use meridian_dns_server::{
    Arrival, Context, CookiePolicy, CookieSecret, Cookies, Now, RateLimiter, RateLimits, Settings, Transport, respond,
};

/// Everything switched on.
fn settings() -> Settings {
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

#[test]
fn every_packet_gets_a_well_formed_reply_or_silence() {
    let count = std::env::var("MERIDIAN_HOSTILE_PACKETS").ok();
    let count: u64 = count.map_or(200_000, |text| text.parse().expect("a number of packets"));
    let (snapshot, settings, limiter) = (snapshot(Liveness::Alive), settings(), RateLimiter::default());
    let mut dice = Dice(0x686f_7374_696c_6521);
    let transports = [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Https,
        Transport::Quic,
    ];
    let (mut out, mut codes) = (Vec::new(), std::collections::BTreeMap::new());
    for number in 0..count {
        let packet = dice.packet();
        let transport = transports[dice.below(transports.len())];
        let arrival = Arrival {
            client: std::net::Ipv4Addr::from(dice.roll() as u32).into(),
            transport,
            site: None,
            now: Now {
                unix: number as u32,
                monotonic: Duration::from_micros(number),
            },
            idle: Some(Duration::from_secs(10)),
        };
        let context = Context {
            snapshot: &snapshot,
            settings: &settings,
            limiter: Some(&limiter).filter(|_| number % 2 == 0),
            signer: None,
        };
        let Some(summary) = respond(&packet, &arrival, &context, &mut out) else {
            continue;
        };
        *codes.entry(summary.code).or_insert(0_u64) += 1;
        assert_eq!(out[..2], packet[..2], "the id of {packet:?}");
        assert_eq!(
            (out[2] & 0x80, out[3] & 0xe0),
            (0x80, 0),
            "QR set, RA, Z and AD clear for {packet:?}"
        );
        if transport == Transport::Udp {
            assert!(out.len() <= 1232, "{} octets for {packet:?}", out.len());
        }
        // Names and sections are looked at by somebody else's reader, on some of them for time's sake.
        if number % 8 == 0 {
            let read = Message::from_vec(&out);
            assert!(read.is_ok(), "{read:?} of {out:?} for {packet:?}");
        }
    }
    println!("{count} packets, replies by code: {codes:?}");
    if count >= 10_000 {
        for code in [0, 1, 3, 4, 5, 16, 23] {
            assert!(codes.contains_key(&code), "no reply with code {code}: {codes:?}");
        }
    }
}

/// A message with one question of this name in wire form.
fn asking(name: &[u8]) -> Vec<u8> {
    let header = [0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header, name, &[0, 1, 0, 1]].concat()
}

#[tokio::test]
async fn loops_and_oversized_names_get_formerr_and_others_are_answered() {
    let (_server, address, _) = start().await;
    let long = [&[63][..], &[b'a'; 63]].concat();
    let names: [&[u8]; 7] = [
        // To itself, to the header, forwards, to the question's end.
        &[0xc0, 12],
        &[0xc0, 0],
        &[1, b'a', 0xc0, 14],
        &[0xff, 0xff],
        // 257 octets, a label of a reserved kind, labels of one octet past the limit.
        &[long.repeat(4).as_slice(), &[0]].concat(),
        &[0x80, 1, 0],
        &[[1, b'a'].repeat(128).as_slice(), &[0]].concat(),
    ];
    for name in names {
        let packet = asking(name);
        let reply = exchange_udp(address, &packet).await.expect("a reply");
        assert_eq!((reply.len(), reply[3] & 0x0f), (12, 1), "FORMERR for {name:?}");
        let replies = exchange_tcp(address, &[packet, Packet::ask("web.example.test").bytes(1)]).await;
        assert_eq!((replies[0][3] & 0x0f, replies[1][3] & 0x0f), (1, 0));
    }
    // As long as a name may be.
    let longest = [long.repeat(3).as_slice(), &[61], &[b'a'; 61], &[0]].concat();
    assert_eq!(longest.len(), 255);
    let reply = exchange_udp(address, &asking(&longest)).await.expect("a reply");
    assert_eq!(reply[3] & 0x0f, 5, "REFUSED: a good name, not ours");
}
