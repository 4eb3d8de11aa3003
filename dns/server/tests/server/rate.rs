//! Response rate limiting: what a forged address is sent, what a real client can still do.

use std::net::IpAddr;
use std::time::Duration;

use crate::support::packet::{LIMIT, Packet, exchange_tcp};
use crate::support::{snapshot, start_with};
use hickory_proto::op::Message;
use meridian_dns_core::Liveness;
use meridian_dns_server::{
    Arrival, Context, CookiePolicy, CookieSecret, Cookies, Now, RateLimiter, RateLimits, Settings, Transport, respond,
};
use tokio::net::UdpSocket;

fn limits() -> RateLimits {
    RateLimits {
        answers: 10,
        negatives: 10,
        errors: 5,
        all: 1000,
        burst: 1,
        slip: 2,
        exempt: Vec::new(),
    }
}

/// Octets in and out of so many queries per second for so many seconds, and how many were answered.
fn flood(settings: &Settings, packet: &[u8], per_second: u64, seconds: u64) -> (usize, usize, usize) {
    let (snapshot, limiter) = (snapshot(Liveness::Alive), RateLimiter::default());
    let context = Context {
        snapshot: &snapshot,
        settings,
        limiter: Some(&limiter),
        transfers: None,
        signer: None,
    };
    let (mut sent, mut received, mut answered, mut out) = (0, 0, 0, Vec::new());
    for number in 0..per_second * seconds {
        let host = u8::try_from(number % 256).expect("an octet");
        let arrival = Arrival {
            client: IpAddr::from([192, 0, 2, host]),
            transport: Transport::Udp,
            site: None,
            now: Now {
                unix: 0,
                monotonic: Duration::from_micros(number * 1_000_000 / per_second),
            },
            idle: None,
        };
        received += packet.len();
        if let Some(summary) = respond(packet, &arrival, &context, &mut out) {
            sent += out.len();
            answered += usize::from(!summary.truncated);
        }
    }
    (received, sent, answered)
}

#[test]
fn a_forged_network_is_sent_less_than_was_received() {
    let limited = Settings {
        rate: Some(limits()),
        ..Settings::default()
    };
    let absent = Packet::ask("absent.example.test");
    let error = Packet::ask("elsewhere.test");
    for (what, packet, bound) in [
        ("an answer of 850 octets", Packet::ask("some.example.test"), 20),
        ("NXDOMAIN", absent, 20),
        ("an error", error, 10),
    ] {
        let packet = packet.bytes(1);
        let (received, sent, answered) = flood(&Settings::default(), &packet, 10_000, 2);
        let before = sent as f64 / received as f64;
        assert_eq!(answered, 20_000);
        let (received, sent, answered) = flood(&limited, &packet, 10_000, 2);
        let after = sent as f64 / received as f64;
        println!("{what}: {before:.2} octets out per octet in without the limit, {after:.3} with it");
        // Every second reply held back is sent empty, and is as long as the query.
        assert!(after < 0.6, "{what}: {before} {after}");
        // The burst and two seconds' worth.
        assert!(answered <= bound + bound / 2, "{what}: {answered} answers");
    }
}

#[tokio::test]
async fn real_clients_come_over_tcp_or_with_a_cookie() {
    let (_server, address, _) = start_with(|config| {
        // A slow rate, so that a slow machine counts the same.
        config.settings.rate = Some(RateLimits {
            answers: 1,
            burst: 10,
            ..limits()
        });
        config.settings.cookies = Some(Cookies {
            current: CookieSecret::new([1; 16]),
            previous: None,
            policy: CookiePolicy::Offer,
        });
    })
    .await;
    let ask = async |packet: &[u8], patience: Duration| {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.connect(address).await.expect("a route");
        let (mut answered, mut truncated, mut buffer, mut last) = (0, 0, [0; 1500], Vec::new());
        for _ in 0..60 {
            socket.send(packet).await.expect("sent");
            let received = tokio::time::timeout(patience, socket.recv(&mut buffer)).await;
            if let Ok(length) = received {
                last = buffer[..length.expect("a reply")].to_vec();
                let reply = Message::from_vec(&last).expect("a well-formed reply");
                truncated += u32::from(reply.metadata.truncation);
                answered += u32::from(!reply.answers.is_empty());
            }
        }
        (answered, truncated, last)
    };
    // Some get no reply.
    let short = Duration::from_millis(20);
    let (answered, truncated, _) = ask(&Packet::ask("web.example.test").bytes(1), short).await;
    assert!(
        (10..50).contains(&answered) && truncated >= 5,
        "{answered} answered, {truncated} truncated"
    );
    // Other names are not held back.
    let (answered, _, last) = ask(&with_cookie(&[1, 2, 3, 4, 5, 6, 7, 8]), short).await;
    assert!((10..50).contains(&answered), "{answered}: the first contact is limited");
    // The cookie is the last option of a reply, whatever kind of reply it is.
    let cookie = &last[last.len() - 24..];
    let (answered, truncated, _) = ask(&with_cookie(cookie), LIMIT).await;
    assert_eq!((answered, truncated), (60, 0), "a good cookie is not limited");
    let queries: Vec<_> = (0..100).map(|id| Packet::ask("web.example.test").bytes(id)).collect();
    let replies = exchange_tcp(address, &queries).await;
    assert!(
        replies
            .iter()
            .all(|reply| Message::from_vec(reply).is_ok_and(|reply| reply.answers.len() == 1))
    );
}

fn with_cookie(cookie: &[u8]) -> Vec<u8> {
    let length = u8::try_from(cookie.len()).expect("short");
    let packet = Packet {
        opt: Some((0, 1232, [&[0, 10, 0, length], cookie].concat())),
        ..Packet::ask("own.example.test")
    };
    packet.bytes(1)
}
