//! Connections: what they may take, who may have them, and who is believed about the client.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::packet::{LIMIT, Packet, exchange_tcp, exchange_udp};
use crate::support::start_with;
use hickory_proto::op::Message;
use meridian_dns_core::SiteName;
use meridian_dns_server::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn connect(server: SocketAddr) -> TcpStream {
    TcpStream::connect(server).await.expect("a connection")
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("short");
    [&length.to_be_bytes(), message].concat()
}

/// Whether a query on this connection gets a reply.
async fn answers(stream: &mut TcpStream) -> bool {
    let query = framed(&Packet::ask("web.example.test").bytes(1));
    let exchange = async {
        stream.write_all(&query).await?;
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await
    };
    matches!(tokio::time::timeout(LIMIT, exchange).await, Ok(Ok(_)))
}

#[tokio::test]
async fn connections_are_limited_per_client_and_in_all() {
    let limits = |all, each| {
        move |config: &mut ServerConfig| {
            config.settings.streams.connections = all;
            config.settings.streams.connections_per_client = each;
        }
    };
    for (all, each) in [(100, 2), (2, 100)] {
        let (_server, address, _) = start_with(limits(all, each)).await;
        let (mut first, mut second) = (connect(address).await, connect(address).await);
        assert!(answers(&mut first).await && answers(&mut second).await);
        assert!(
            !answers(&mut connect(address).await).await,
            "the third of {all} and {each}"
        );
        drop(first);
        let begun = Instant::now();
        while !answers(&mut connect(address).await).await {
            assert!(begun.elapsed() < LIMIT, "an ended connection makes room");
        }
        assert!(answers(&mut second).await, "the others were left alone");
    }
}

#[tokio::test]
async fn octets_one_by_one_do_not_keep_a_connection_open() {
    let (_server, address, _) = start_with(|config| config.settings.streams.idle = Duration::from_secs(1)).await;
    let mut stream = connect(address).await;
    assert!(answers(&mut stream).await);
    let begun = Instant::now();
    // A whole one needs five seconds.
    let mut octets = framed(&Packet::ask("web.example.test").bytes(1)).into_iter();
    let ended = loop {
        let (octet, mut read) = (octets.next().expect("the connection ends before the query"), [0; 1]);
        if stream.write_all(&[octet]).await.is_err() {
            break begun.elapsed();
        }
        let read = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut read)).await;
        if let Ok(read) = read {
            assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
            break begun.elapsed();
        }
    };
    assert!(ended >= Duration::from_millis(900), "{ended:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_others_are_answered() {
    let (_server, address, _) = start_with(|config| config.settings.streams.write = Duration::from_millis(200)).await;
    let queries = framed(&Packet::ask("many.example.test").bytes(1)).repeat(1000);
    let mut deaf = connect(address).await;
    let writing = async { while deaf.write_all(&queries).await.is_ok() {} };
    let other = async {
        for _ in 0..20 {
            assert!(answers(&mut connect(address).await).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (cut_off, ()) = tokio::join!(tokio::time::timeout(LIMIT, writing), other);
    cut_off.expect("the connection is closed");
}

#[tokio::test]
async fn many_idle_connections_do_not_keep_others_out() {
    let (_server, address, _) = start_with(|config| config.settings.streams.connections_per_client = 300).await;
    let mut idle = Vec::new();
    for number in 0..250_usize {
        let mut stream = connect(address).await;
        // Nothing, half a length, half a message.
        let octets = framed(&Packet::ask("web.example.test").bytes(1));
        stream
            .write_all(&octets[..[0, 1, 20][number % 3]])
            .await
            .expect("written");
        idle.push(stream);
    }
    assert_eq!(
        exchange_tcp(address, &[Packet::ask("web.example.test").bytes(1)])
            .await
            .len(),
        1
    );
    Packet::ask("web.example.test").over_udp(address).await;
    assert!(answers(&mut idle[0]).await);
}

#[tokio::test]
async fn a_message_that_deserves_no_reply_ends_the_connection() {
    let (_server, address, _) = start_with(|_| ()).await;
    let reply = Packet {
        flags: 0x8000,
        ..Packet::ask("web.example.test")
    };
    for message in [reply.bytes(1), vec![0; 11], vec![]] {
        let mut stream = connect(address).await;
        stream.write_all(&framed(&message)).await.expect("written");
        let read = tokio::time::timeout(LIMIT, stream.read(&mut [0; 1]))
            .await
            .expect("closed in time");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

#[tokio::test]
async fn the_largest_message_and_a_close_after_the_query_are_answered() {
    let (_server, address, _) = start_with(|_| ()).await;
    let padding = vec![0; 65_535 - 34 - 11 - 4];
    let length = u16::try_from(padding.len()).expect("short");
    let packet = Packet {
        opt: Some((0, 1232, [&[0, 12][..], &length.to_be_bytes(), &padding].concat())),
        ..Packet::ask("web.example.test")
    };
    assert_eq!(packet.bytes(1).len(), 65_535);
    let mut stream = connect(address).await;
    stream
        .write_all(&framed(&packet.bytes(1)).repeat(2))
        .await
        .expect("written");
    stream.shutdown().await.expect("the other half stays open");
    let mut replies = Vec::new();
    tokio::time::timeout(LIMIT, stream.read_to_end(&mut replies))
        .await
        .expect("in time")
        .expect("read");
    assert_eq!(replies.len() % 2, 0);
    assert!(Message::from_vec(&replies[2..replies.len() / 2]).is_ok_and(|reply| reply.answers.len() == 1));
}

/// A header of version 2 that names 100.64.2.7, whose nearest site is `there`.
fn proxied(kind: u8, message: &[u8]) -> Vec<u8> {
    let header = [0x21, 0x10 | kind, 0, 12, 100, 64, 2, 7, 10, 0, 0, 1, 1, 2, 0, 53];
    [b"\r\n\r\n\0\r\nQUIT\n", &header[..], message].concat()
}

fn first_address(reply: &[u8]) -> String {
    let reply = Message::from_vec(reply).expect("a well-formed reply");
    reply.answers[0].data.to_string()
}

async fn over_tcp(server: SocketAddr, octets: &[u8]) -> Option<String> {
    let mut stream = connect(server).await;
    stream.write_all(octets).await.expect("written");
    let read = async {
        let mut reply = vec![0; usize::from(stream.read_u16().await.ok()?)];
        stream.read_exact(&mut reply).await.ok()?;
        Some(first_address(&reply))
    };
    tokio::time::timeout(Duration::from_millis(500), read).await.ok()?
}

async fn over_udp(server: SocketAddr, octets: &[u8]) -> Option<String> {
    let exchange = exchange_udp(server, octets);
    let reply = tokio::time::timeout(Duration::from_millis(500), exchange)
        .await
        .ok()??;
    Some(first_address(&reply))
}

#[tokio::test]
async fn proxy_headers_are_needed_from_some_and_refused_from_others() {
    let query = Packet::ask("web.example.test").bytes(1);
    let (here, there) = (Some("10.1.0.1".to_owned()), Some("10.2.0.1".to_owned()));
    let (_server, address, _) =
        start_with(|config| config.listeners[0].proxied_from = vec!["127.0.0.0/8".parse().expect("a network")]).await;
    assert_eq!(over_udp(address, &proxied(2, &query)).await, there);
    assert_eq!(over_tcp(address, &proxied(1, &framed(&query))).await, there);
    assert_eq!(over_udp(address, &query).await, None, "no header");
    assert_eq!(over_tcp(address, &framed(&query)).await, None, "no header");
    assert_eq!(
        over_udp(address, &proxied(1, &query)).await,
        None,
        "a header for streams"
    );

    let (_server, address, _) =
        start_with(|config| config.listeners[0].proxied_from = vec!["192.0.2.0/24".parse().expect("a network")]).await;
    assert_eq!(over_udp(address, &query).await, here);
    assert_eq!(over_tcp(address, &framed(&query)).await, here);
    assert_eq!(over_udp(address, &proxied(2, &query)).await, None);
    assert_eq!(over_tcp(address, &proxied(1, &framed(&query))).await, None);
}

#[tokio::test]
async fn a_listener_of_a_site_serves_that_sites_clients() {
    let query = Packet::ask("web.example.test");
    // The option is returned, with the scope of an answer that is the same for all.
    let subnet = Packet {
        opt: Some((0, 1232, vec![0, 8, 0, 7, 0, 1, 24, 0, 100, 64, 1])),
        ..query.clone()
    };
    for (site, expected) in [("here", "10.1.0.1"), ("there", "10.2.0.1")] {
        let (_server, address, _) = start_with(|config| config.listeners[0].site = Some(SiteName::new(site))).await;
        assert_eq!(over_udp(address, &query.bytes(1)).await.as_deref(), Some(expected));
        assert_eq!(over_udp(address, &subnet.bytes(1)).await.as_deref(), Some(expected));
        let (reply, _) = subnet.over_udp(address).await;
        assert_eq!(reply[reply.len() - 7..], [0, 1, 24, 0, 100, 64, 1]);
    }
}
