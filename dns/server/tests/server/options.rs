//! The OPT record's options, over real sockets: who gets what, and when.

use std::net::SocketAddr;

use crate::support::packet::{Packet, exchange_tcp};
use crate::support::{snapshot, start, start_with};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsCode;
use meridian_dns_server::{CookiePolicy, CookieSecret, Cookies, ServerConfig, SubnetTrust};

const NSID: u16 = 3;
const CLIENT_SUBNET: u16 = 8;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
const EXTENDED_ERROR: u16 = 15;

fn with(name: &'static str, options: &[(u16, &[u8])]) -> Packet {
    let written = options.iter().flat_map(|(code, data)| {
        let length = u16::try_from(data.len()).expect("short");
        [&code.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
    });
    Packet {
        opt: Some((0, 1232, written.collect())),
        ..Packet::ask(name)
    }
}

fn option(reply: &Message, code: u16) -> Option<Vec<u8>> {
    let option = reply.edns.as_ref()?.option(EdnsCode::from(code))?;
    Some(Vec::<u8>::try_from(option).expect("its octets"))
}

async fn udp(server: SocketAddr, packet: &Packet) -> Message {
    packet.over_udp(server).await.1
}

async fn tcp(server: SocketAddr, packet: &Packet) -> Message {
    let replies = exchange_tcp(server, &[packet.bytes(1)]).await;
    Message::from_vec(&replies[0]).expect("a well-formed reply")
}

#[tokio::test]
async fn the_identifier_is_told_to_those_who_ask() {
    let named = |config: &mut ServerConfig| config.settings.identity.server = Some(b"tpe1".to_vec());
    let (_server, address, _) = start_with(named).await;
    let asked = with("web.example.test", &[(NSID, &[])]);
    assert_eq!(option(&udp(address, &asked).await, NSID).as_deref(), Some(&b"tpe1"[..]));
    assert_eq!(option(&udp(address, &with("web.example.test", &[])).await, NSID), None);
    let chaos = Packet {
        questions: vec![("ID.server", 16, 3)],
        ..Packet::ask("")
    };
    let reply = udp(address, &chaos).await;
    assert_eq!(reply.answers.len(), 1);
    assert_eq!(reply.answers[0].to_string(), "ID.server. 0 CH TXT tpe1");

    let (_server, nameless, _) = start().await;
    assert_eq!(option(&udp(nameless, &asked).await, NSID), None);
    assert_eq!(
        udp(nameless, &chaos).await.metadata.response_code,
        ResponseCode::Refused
    );
}

#[tokio::test]
async fn errors_say_why() {
    let (_server, address, table) = start().await;
    let check = async |name: &'static str, record_type: u16, class: u16, code: ResponseCode, why: Option<u16>| {
        let packet = Packet {
            questions: vec![(name, record_type, class)],
            ..Packet::ask("")
        };
        let reply = udp(address, &packet).await;
        assert_eq!(reply.metadata.response_code, code, "{name} {record_type} {class}");
        let found = option(&reply, EXTENDED_ERROR);
        assert_eq!(
            found,
            why.map(|why| why.to_be_bytes().to_vec()),
            "{name} {record_type} {class}"
        );
        let without = udp(address, &Packet { opt: None, ..packet }).await;
        assert!(without.edns.is_none() && without.metadata.response_code == code);
    };
    use ResponseCode::{FormErr, NXDomain, NoError, NotAuth, NotImp, Refused, ServFail};
    check("web.example.test", 1, 1, NoError, None).await;
    check("absent.example.test", 1, 1, NXDomain, None).await;
    check("elsewhere.test", 1, 1, Refused, Some(20)).await;
    check("example.test", 252, 1, Refused, Some(18)).await;
    check("elsewhere.test", 251, 1, NotAuth, Some(20)).await;
    check("authors.bind", 16, 3, Refused, Some(18)).await;
    check("web.example.test", 1, 4, Refused, Some(21)).await;
    check("web.example.test", 254, 1, NotImp, Some(21)).await;
    check("web.example.test", 200, 1, NotImp, Some(21)).await;
    for never in [0, 41, 128, 249, 250] {
        check("web.example.test", never, 1, FormErr, Some(30)).await;
    }
    let zone = table.load().zones().next().expect("a zone").as_ref().clone();
    table.store(snapshot(meridian_dns_core::Liveness::Alive).with_zone(zone.with_complete(false)));
    check("absent.example.test", 1, 1, ServFail, Some(14)).await;
    check("web.example.test", 1, 1, NoError, None).await;
}

#[tokio::test]
async fn strangers_networks_are_ignored_where_only_some_are_believed() {
    let subnet = with("web.example.test", &[(CLIENT_SUBNET, &[0, 1, 24, 0, 100, 64, 2])]);
    for (network, answer, returned) in [
        ("192.0.2.0/24", "10.1.0.1", None),
        ("127.0.0.0/8", "10.2.0.1", Some(vec![0, 1, 24, 24, 100, 64, 2])),
    ] {
        let network = network.parse().expect("a network");
        let (_server, address, _) = start_with(|config| {
            config.settings.subnets = SubnetTrust {
                resolvers: vec![network],
                strangers: false,
            };
        })
        .await;
        let reply = udp(address, &subnet).await;
        assert_eq!(reply.answers[0].data.to_string(), answer);
        assert_eq!(option(&reply, CLIENT_SUBNET), returned);
    }
}

#[tokio::test]
async fn the_time_for_idle_connections_is_told_over_tcp_alone_and_padding_over_neither() {
    let (_server, address, _) = start().await;
    let asked = with("web.example.test", &[(KEEPALIVE, &[]), (PADDING, &[0; 9])]);
    let over_udp = udp(address, &asked).await;
    assert_eq!((option(&over_udp, KEEPALIVE), option(&over_udp, PADDING)), (None, None));
    let over_tcp = tcp(address, &asked).await;
    // Ten seconds in tenths.
    assert_eq!(option(&over_tcp, KEEPALIVE), Some(vec![0, 100]));
    assert_eq!(option(&over_tcp, PADDING), None);
    assert_eq!(
        option(&tcp(address, &with("web.example.test", &[])).await, KEEPALIVE),
        None
    );
}

fn cookies(current: u8, previous: Option<u8>, policy: CookiePolicy) -> Option<Cookies> {
    Some(Cookies {
        current: CookieSecret::new([current; 16]),
        previous: previous.map(|previous| CookieSecret::new([previous; 16])),
        policy,
    })
}

const CLIENT: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];

#[tokio::test]
async fn cookies_are_given_renewed_and_survive_a_change_of_the_secret() {
    let (server, address, _) =
        start_with(|config| config.settings.cookies = cookies(1, None, CookiePolicy::Offer)).await;
    let ask = async |cookie: &[u8]| {
        let reply = udp(address, &with("web.example.test", &[(COOKIE, cookie)])).await;
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
        option(&reply, COOKIE).expect("a cookie")
    };
    let first = ask(CLIENT).await;
    assert_eq!((first.len(), &first[..8]), (24, CLIENT));
    assert_eq!(ask(&first).await, first, "a young cookie is kept");
    let swap = |secrets| {
        let mut settings = server.settings().load().as_ref().clone();
        settings.cookies = secrets;
        server.settings().store(settings);
    };
    swap(cookies(2, Some(1), CookiePolicy::Require));
    let second = ask(&first).await;
    assert_ne!(second, first, "still good, and replaced");
    swap(cookies(3, Some(2), CookiePolicy::Require));
    let reply = udp(address, &with("web.example.test", &[(COOKIE, &first)])).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::BADCOOKIE, "two secrets ago");
    ask(&second).await;
    swap(None);
    let reply = udp(address, &with("web.example.test", &[(COOKIE, &second)])).await;
    assert_eq!(option(&reply, COOKIE), None);
}

#[tokio::test]
async fn required_cookies_are_required_over_udp_of_those_who_know_them() {
    let (_server, address, _) =
        start_with(|config| config.settings.cookies = cookies(1, None, CookiePolicy::Require)).await;
    let asked = with("web.example.test", &[(COOKIE, CLIENT)]);
    let refused = udp(address, &asked).await;
    assert_eq!(
        (refused.metadata.response_code, refused.answers.len()),
        (ResponseCode::BADCOOKIE, 0)
    );
    let cookie = option(&refused, COOKIE).expect("a cookie for the next time");
    let again = udp(address, &with("web.example.test", &[(COOKIE, &cookie)])).await;
    assert_eq!(
        (again.metadata.response_code, again.answers.len()),
        (ResponseCode::NoError, 1)
    );
    assert_eq!(
        tcp(address, &asked).await.answers.len(),
        1,
        "an address that is not forged"
    );
    assert_eq!(
        udp(address, &with("web.example.test", &[])).await.answers.len(),
        1,
        "an old client"
    );
    // Somebody else's, one cut short, and one that is too long.
    let mut forged = cookie.clone();
    forged[23] ^= 1;
    for (cookie, code) in [
        (forged.as_slice(), ResponseCode::BADCOOKIE),
        (&cookie[..23], ResponseCode::BADCOOKIE),
        (&cookie[..12], ResponseCode::FormErr),
        (&[7; 41], ResponseCode::FormErr),
    ] {
        let reply = udp(address, &with("web.example.test", &[(COOKIE, cookie)])).await;
        assert_eq!(reply.metadata.response_code, code, "{cookie:?}");
    }
}

#[tokio::test]
async fn a_cookie_alone_may_be_asked_for() {
    let (_server, address, _) =
        start_with(|config| config.settings.cookies = cookies(1, None, CookiePolicy::Offer)).await;
    let packet = Packet {
        questions: Vec::new(),
        ..with("", &[(COOKIE, CLIENT)])
    };
    let reply = udp(address, &packet).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    assert_eq!(
        (reply.queries.len(), option(&reply, COOKIE).map(|cookie| cookie.len())),
        (0, Some(24))
    );
}
