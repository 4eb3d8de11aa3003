//! The server as a resolver sees it, through this crate's own client.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use crate::support::{name, snapshot, start, start_with};
use meridian_dns_core::{Liveness, Outcome, RecordSet, RecordType};
use meridian_dns_server::client::{ClientError, Query, Reply, Transport, query};
use meridian_dns_server::{BindError, DnsServer, ServerConfig, Table};
use tokio::io::AsyncReadExt;

/// Long enough for a busy machine, short enough for a test that fails.
const LIMIT: Duration = Duration::from_secs(5);

async fn ask(server: SocketAddr, transport: Transport, question: &Query) -> Reply {
    query(server, transport, question, LIMIT).await.expect("a reply")
}

fn a(text: &str) -> Query {
    Query::new(name(text), RecordType::A)
}

fn lines(sets: &[RecordSet]) -> Vec<String> {
    sets.iter()
        .flat_map(|set| set.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[tokio::test]
async fn both_transports_give_the_same_answers() {
    let (server, address, _) = start().await;
    for transport in [Transport::Udp, Transport::Tcp] {
        let web = ask(address, transport, &a("web.example.test")).await;
        assert_eq!(lines(&web.answers), ["web.example.test. 30 IN A 10.1.0.1"]);
        assert!(web.authoritative && !web.truncated);
        assert_eq!((web.outcome, web.scope), (Outcome::NoError, None), "no option was sent");

        let absent = ask(address, transport, &a("absent.example.test")).await;
        assert_eq!(absent.outcome, Outcome::NxDomain);
        assert!(absent.authoritative);
        let soa = "example.test. 5 IN SOA ns1.example.test. hostmaster.example.test. 3000000001 7200 600 4294967295 5";
        assert_eq!(lines(&absent.authorities), [soa]);

        let refused = ask(address, transport, &a("elsewhere.test")).await;
        assert_eq!((refused.outcome, refused.authoritative), (Outcome::Refused, false));

        let servers = ask(address, transport, &Query::new(name("example.test"), RecordType::Ns)).await;
        assert_eq!(lines(&servers.answers), ["example.test. 3600 IN NS ns1.example.test."]);
        assert_eq!(lines(&servers.additionals), ["ns1.example.test. 3600 IN A 127.0.0.1"]);

        let service = ask(
            address,
            transport,
            &Query::new(name("_https._tcp.web.example.test"), RecordType::Srv),
        )
        .await;
        assert_eq!(
            lines(&service.answers),
            ["_https._tcp.web.example.test. 30 IN SRV 0 1 443 own.example.test."]
        );

        let text = ask(
            address,
            transport,
            &Query::new(name("web.example.test"), RecordType::Other(16)),
        )
        .await;
        assert_eq!(
            (text.outcome, text.answers.len(), text.authorities.len()),
            (Outcome::NoError, 0, 1)
        );
    }
    server.shutdown().await;
}

#[tokio::test]
async fn the_client_subnet_chooses_and_the_scope_comes_back() {
    let (_server, address, _) = start().await;
    let web = |subnet: &str| a("web.example.test").for_subnet(subnet.parse().expect("a network"));
    for (subnet, answer, scope) in [
        ("100.64.2.0/24", "10.2.0.1", 24),
        ("100.64.2.77/32", "10.2.0.1", 24),
        ("100.64.1.0/25", "10.1.0.1", 24),
        ("2001:db8:2:3::/64", "10.2.0.1", 48),
        // The client's own address decides when its network is to be left alone.
        ("0.0.0.0/0", "10.1.0.1", 0),
        ("::/0", "10.1.0.1", 0),
    ] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let reply = ask(address, transport, &web(subnet)).await;
            assert_eq!(
                lines(&reply.answers),
                [format!("web.example.test. 30 IN A {answer}")],
                "{subnet}"
            );
            assert_eq!(reply.scope, Some(scope), "{subnet}");
        }
    }
    // Answers that are the same for everybody say so.
    let subnet = "100.64.2.0/24".parse().expect("a network");
    for everybody in [
        "own.example.test",
        "absent.example.test",
        "example.test",
        "ns1.example.test",
    ] {
        let reply = ask(address, Transport::Udp, &a(everybody).for_subnet(subnet)).await;
        assert_eq!(reply.scope, Some(0), "{everybody}");
    }
}

#[tokio::test]
async fn a_long_answer_is_cut_short_over_udp_and_whole_over_tcp() {
    let (_server, address, _) = start().await;
    let many = a("many.example.test").for_subnet("100.64.2.0/24".parse().expect("a network"));
    let short = ask(address, Transport::Udp, &many).await;
    assert!(short.truncated);
    assert!(short.answers.is_empty(), "part of a set is not sent");
    assert_eq!(
        short.scope,
        Some(24),
        "the OPT record has its place even in a full reply"
    );
    let whole = ask(address, Transport::Tcp, &many).await;
    assert_eq!((whole.truncated, whole.answers[0].data.len()), (false, 100));
}

#[tokio::test]
async fn the_next_query_sees_the_new_table() {
    let (_server, address, table) = start().await;
    let there = a("web.example.test").for_subnet("100.64.2.0/24".parse().expect("a network"));
    let first = |reply: Reply| reply.answers[0].data[0].to_string();
    assert_eq!(first(ask(address, Transport::Udp, &there).await), "10.2.0.1");
    table.store(snapshot(Liveness::Dead));
    assert_eq!(first(ask(address, Transport::Udp, &there).await), "10.1.0.1");
    let kept = table.load();
    table.store(kept.as_ref().clone().without_zone(&name("example.test")));
    assert_eq!(ask(address, Transport::Tcp, &there).await.outcome, Outcome::Refused);
    assert_eq!(kept.zones().count(), 1, "who has loaded a snapshot keeps it");
}

#[tokio::test]
async fn a_port_in_use_is_explained() {
    let check = async |address: SocketAddr, transport: &str| {
        let error = DnsServer::bind(ServerConfig::new([address]), Table::default())
            .await
            .expect_err("in use");
        assert!(matches!(error, BindError::InUse { .. }));
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("cannot listen on {address} over {transport}: ")),
            "{text}"
        );
        assert!(
            text.ends_with("; stop what uses the port, or choose another with --dns"),
            "{text}"
        );
    };
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    check(udp.local_addr().expect("an address"), "UDP").await;
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a socket");
    check(tcp.local_addr().expect("an address"), "TCP").await;

    let none = DnsServer::bind(ServerConfig::new([]), Table::default())
        .await
        .expect_err("no address");
    assert!(none.to_string().contains("--dns"));
    // TEST-NET-1 is not an address of this machine.
    let elsewhere = ServerConfig::new([SocketAddr::from(([192, 0, 2, 1], 0))]);
    let error = DnsServer::bind(elsewhere, Table::default())
        .await
        .expect_err("not local");
    assert!(matches!(error, BindError::NotLocal { .. }), "{error}");
}

#[tokio::test]
async fn shutdown_frees_the_ports_and_dropping_does_so_soon() {
    let (server, address, table) = start().await;
    server.shutdown().await;
    let again = DnsServer::bind(ServerConfig::new([address]), table)
        .await
        .expect("the port is free again");
    assert_eq!(again.addresses(), [address]);
    drop(again);
    let error = query(address, Transport::Tcp, &a("web.example.test"), LIMIT).await;
    assert!(matches!(error, Err(ClientError::Network { .. })), "{error:?}");
}

#[tokio::test]
async fn several_addresses_are_served_by_one_server() {
    let any = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let config = ServerConfig::new([any("127.0.0.1:0"), any("127.0.0.2:0")]);
    let server = DnsServer::bind(config, Table::new(snapshot(Liveness::Alive)))
        .await
        .expect("free ports");
    assert_eq!(server.addresses().len(), 2);
    for address in server.addresses() {
        assert_eq!(
            ask(*address, Transport::Udp, &a("web.example.test")).await.outcome,
            Outcome::NoError
        );
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let (_server, address, _) = start_with(|config| config.settings.streams.idle = Duration::from_millis(100)).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let read = tokio::time::timeout(LIMIT, stream.read(&mut [0; 1]))
        .await
        .expect("closed in time");
    assert_eq!(read.expect("closed"), 0);
}

#[tokio::test]
async fn the_client_believes_only_its_own_reply() {
    let liar = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = liar.local_addr().expect("an address");
    let lies = async {
        let mut buffer = [0; 512];
        let (length, from) = liar.recv_from(&mut buffer).await.expect("a query");
        buffer[2] |= 0x80;
        // Another id, another question, and something that is no message.
        for wrong in [0, 13] {
            buffer[wrong] ^= 1;
            liar.send_to(&buffer[..length], from).await.expect("sent");
            buffer[wrong] ^= 1;
        }
        liar.send_to(&buffer[..7], from).await.expect("sent");
    };
    let question = a("web.example.test");
    let asked = query(address, Transport::Udp, &question, Duration::from_millis(300));
    let (reply, ()) = tokio::join!(asked, lies);
    assert!(matches!(reply, Err(ClientError::TimedOut { .. })), "{reply:?}");
}
