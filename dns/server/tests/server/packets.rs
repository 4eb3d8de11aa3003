//! The server as an attacker, an old resolver or a broken one sees it: packets made by hand.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::packet::{Packet, exchange_tcp, exchange_udp};
use crate::support::start;
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsCode;
use meridian_hostile::Dice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// 100.64.2.0/24.
const CLIENT_SUBNET: [u8; 11] = [0, 8, 0, 7, 0, 1, 24, 0, 100, 64, 2];

fn web() -> Packet {
    Packet::ask("web.example.test")
}

async fn code(server: SocketAddr, packet: &Packet) -> ResponseCode {
    let (_, reply) = packet.over_udp(server).await;
    assert!(reply.answers.is_empty() || reply.metadata.response_code == ResponseCode::NoError);
    assert_eq!(
        reply.edns.is_some(),
        packet.opt.is_some(),
        "OPT if and only if it was sent"
    );
    reply.metadata.response_code
}

#[tokio::test]
async fn what_is_not_supported_gets_its_own_code() {
    let (_server, address, _) = start().await;
    for opcode in [1_u16, 2, 4, 5, 6, 15] {
        let (_, reply) = Packet {
            flags: opcode << 11,
            ..web()
        }
        .over_udp(address)
        .await;
        assert_eq!(reply.metadata.response_code, ResponseCode::NotImp, "opcode {opcode}");
        assert_eq!(reply.metadata.op_code, OpCode::from_u8(opcode as u8));
    }
    for class in [2, 3, 4, 254, 255, 9999] {
        let packet = Packet {
            questions: vec![("web.example.test", 1, class)],
            ..web()
        };
        assert_eq!(code(address, &packet).await, ResponseCode::Refused, "class {class}");
    }
    for transfer in [251, 252] {
        let of = |name| Packet {
            questions: vec![(name, transfer, 1)],
            ..web()
        };
        assert_eq!(code(address, &of("example.test")).await, ResponseCode::Refused);
        assert_eq!(code(address, &of("web.example.test")).await, ResponseCode::NotAuth);
        assert_eq!(code(address, &of("elsewhere.test")).await, ResponseCode::NotAuth);
    }
    assert_eq!(
        code(address, &Packet { opt: None, ..web() }).await,
        ResponseCode::NoError
    );
}

#[tokio::test]
async fn exactly_one_question_is_answered() {
    let (_server, address, _) = start().await;
    let one = ("web.example.test", 1, 1);
    for questions in [vec![], vec![one; 2], vec![one; 40]] {
        let packet = Packet { questions, ..web() };
        assert_eq!(
            code(address, &packet).await,
            ResponseCode::FormErr,
            "{} questions",
            packet.questions.len()
        );
    }
}

#[tokio::test]
async fn a_newer_edns_version_is_told_ours() {
    let (_server, address, _) = start().await;
    let packet = Packet {
        opt: Some((1, 1232, CLIENT_SUBNET.to_vec())),
        ..web()
    };
    let (bytes, reply) = packet.over_udp(address).await;
    // BADVERS is 16: the low four bits are in the header, the high eight in the OPT record, which is
    // the last eleven octets here.
    let opt = &bytes[bytes.len() - 11..];
    assert_eq!((bytes[3] & 0x0f, opt[5], opt[6]), (0, 1, 0), "code, code, version");
    assert!(reply.answers.is_empty());
}

#[tokio::test]
async fn the_payload_size_is_ours_or_the_clients_whichever_is_less() {
    let (_server, address, _) = start().await;
    // The hundred addresses need 1,657 octets, the fifty 857.
    for (name, asked, fits) in [
        ("many.example.test", 0, false),
        ("many.example.test", 65_535, false),
        ("some.example.test", 512, false),
        ("some.example.test", 800, false),
        ("some.example.test", 900, true),
        ("some.example.test", 4096, true),
    ] {
        let packet = Packet {
            opt: Some((0, asked, CLIENT_SUBNET.to_vec())),
            ..Packet::ask(name)
        };
        let (bytes, reply) = packet.over_udp(address).await;
        let edns = reply.edns.as_ref().expect("an OPT record");
        assert_eq!(edns.max_payload(), 1232, "ours, whatever theirs is");
        assert!(
            bytes.len() <= usize::from(asked.clamp(512, 1232)),
            "{} of {asked}",
            bytes.len()
        );
        assert_eq!(
            (reply.metadata.truncation, reply.answers.is_empty()),
            (!fits, !fits),
            "{name} {asked}"
        );
        assert!(edns.option(EdnsCode::Subnet).is_some());
    }
    let (bytes, reply) = Packet {
        opt: None,
        ..Packet::ask("many.example.test")
    }
    .over_udp(address)
    .await;
    assert!(bytes.len() <= 512 && reply.metadata.truncation && reply.edns.is_none());
}

#[tokio::test]
async fn flags_and_spelling_are_the_clients() {
    let (_server, address, _) = start().await;
    let spelled = "wEb.eXAmple.TEST";
    for flags in [0, 0x0100, 0x0010] {
        let (bytes, reply) = Packet {
            flags,
            ..Packet::ask(spelled)
        }
        .over_udp(address)
        .await;
        assert_eq!(reply.metadata.recursion_desired, flags & 0x0100 != 0, "RD is copied");
        assert_eq!(reply.metadata.checking_disabled, flags & 0x0010 != 0, "CD is copied");
        assert!(reply.metadata.authoritative && !reply.metadata.authentic_data);
        assert_eq!(reply.queries[0].name().to_ascii(), format!("{spelled}."));
        assert_eq!(reply.answers[0].name.to_ascii(), format!("{spelled}."));
        assert_eq!(
            bytes[12..30],
            Packet::ask(spelled).bytes(0)[12..30],
            "the question as it came"
        );
    }
}

#[tokio::test]
async fn malformed_options_get_formerr() {
    let (_server, address, _) = start().await;
    let with = |options: &[u8]| Packet {
        opt: Some((0, 1232, options.to_vec())),
        ..web()
    };
    assert_eq!(code(address, &with(&CLIENT_SUBNET)).await, ResponseCode::NoError);
    // An option nobody knows is no error.
    assert_eq!(code(address, &with(&[0xff, 0, 0, 1, 7])).await, ResponseCode::NoError);
    let bad: [&[u8]; 7] = [
        // One octet more and one less than the prefix needs, a bit beyond it, a scope in a query.
        &[0, 8, 0, 8, 0, 1, 24, 0, 100, 64, 2, 0],
        &[0, 8, 0, 6, 0, 1, 24, 0, 100, 64],
        &[0, 8, 0, 7, 0, 1, 23, 0, 100, 64, 3],
        &[0, 8, 0, 7, 0, 1, 24, 24, 100, 64, 2],
        // A prefix longer than the address, an unknown family, a list cut short.
        &[0, 8, 0, 9, 0, 1, 40, 0, 100, 64, 2, 1, 1],
        &[0, 8, 0, 4, 0, 9, 0, 0],
        &[0, 8, 0, 7, 0, 1, 24],
    ];
    for options in bad {
        let (_, reply) = with(options).over_udp(address).await;
        assert_eq!(reply.metadata.response_code, ResponseCode::FormErr, "{options:?}");
    }
}

#[tokio::test]
async fn queries_written_at_once_over_tcp_are_all_answered() {
    let (_server, address, _) = start().await;
    let names = ["web.example.test", "many.example.test", "absent.example.test"];
    let messages: Vec<_> = (0..300_u16)
        .map(|id| Packet::ask(names[usize::from(id % 3)]).bytes(id))
        .collect();
    let replies = exchange_tcp(address, &messages).await;
    for (id, reply) in (0_u16..).zip(&replies) {
        let reply = Message::from_vec(reply).expect("a well-formed reply");
        assert_eq!(reply.metadata.id, id);
        assert_eq!(reply.answers.len(), [1, 100, 0][usize::from(id % 3)]);
    }
    // One octet at a time is as good.
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let message = web().bytes(7);
    let framed = [
        &u16::try_from(message.len()).expect("short").to_be_bytes(),
        message.as_slice(),
    ]
    .concat();
    for octet in framed {
        stream.write_all(&[octet]).await.expect("written");
        tokio::task::yield_now().await;
    }
    let mut length = [0; 2];
    stream.read_exact(&mut length).await.expect("a reply");
}

#[tokio::test]
async fn no_packet_stops_the_server() {
    let (mut server, address, _) = start().await;
    let mut dice = Dice::new(0x006d_6572_6964_6961);
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.connect(address).await.expect("a route");
    let mut buffer = [0; 65_535];
    let mut replies = 0;
    for round in 0..800 {
        let packet = dice.packet();
        socket.send(&packet).await.expect("sent");
        // Most get a reply; those that are replies themselves, or have no header, get none.
        // One that comes late is read in the next round.
        let limit = Duration::from_millis(if round % 50 == 0 { 20 } else { 2 });
        if let Ok(received) = tokio::time::timeout(limit, socket.recv(&mut buffer)).await {
            let length = received.expect("the port stays open");
            assert!((12..=1232).contains(&length), "{length} octets");
            assert_eq!(buffer[2] & 0x80, 0x80, "QR");
            Message::from_vec(&buffer[..length]).expect("a well-formed reply");
            replies += 1;
        }
    }
    assert!(replies > 300, "only {replies} replies");
    for _ in 0..200 {
        // With a length that is right, and with one that is part of the garbage.
        let mut bytes = dice.packet();
        if dice.below(2) == 0 {
            bytes = [
                &u16::try_from(bytes.len()).expect("short").to_be_bytes(),
                bytes.as_slice(),
            ]
            .concat();
        }
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        // The server may close first.
        let _ = stream.write_all(&bytes).await;
    }
    assert!(
        tokio::time::timeout(Duration::from_millis(50), server.stopped())
            .await
            .is_err(),
        "both listeners live"
    );
    assert_eq!(code(address, &web()).await, ResponseCode::NoError);
    assert_eq!(exchange_tcp(address, &[web().bytes(1)]).await.len(), 1);
    // A reply is not answered, or two servers would talk for ever.
    let reply = Packet { flags: 0x8000, ..web() }.bytes(1);
    let silent = tokio::time::timeout(Duration::from_millis(100), exchange_udp(address, &reply)).await;
    assert!(silent.is_err());
}
