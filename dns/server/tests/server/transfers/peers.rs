//! Secondaries that are slow, stalled or dead, and one that comes over TLS: what they do to others and to themselves.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use meridian_dns_server::{Allowed, CertificateFiles, Listener, Notifier, Protocol, Secondary, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use crate::encrypted;
use crate::support::packet::{LIMIT, Packet, exchange_udp, framed, read};
use crate::support::primary::{Primary, zone};

const AXFR: u16 = 252;
/// A response code (RFC 1035 section 4.1.1).
const REFUSED: u8 = 5;

fn query() -> Vec<u8> {
    let packet = Packet {
        questions: vec![("example.test", AXFR, 1)],
        opt: None,
        ..Packet::ask("example.test")
    };
    framed(&packet.bytes(7))
}

/// Some 200 kilobytes.
fn large() -> meridian_dns_core::Zone {
    let lines = (0..3000).map(|number| format!("n{number} TXT \"some text for each of many names\"\n"));
    zone("example.test", &lines.collect::<String>())
}

fn everybody_near() -> Vec<Allowed> {
    vec![Allowed {
        networks: vec!["127.0.0.0/8".parse().expect("a network")],
        key: None,
    }]
}

/// Takes the zone: its records, or the code of what came instead.
async fn transfer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<usize, u8> {
    stream.write_all(&query()).await.expect("written");
    let (mut records, mut ends) = (0, 0);
    while ends < 2 {
        let message = Message::from_vec(&read(stream).await).expect("a well-formed message");
        let code = u16::from(message.metadata.response_code);
        if code != 0 {
            return Err(u8::try_from(code).expect("an ordinary code"));
        }
        records += message.answers.len();
        ends += message
            .answers
            .iter()
            .filter(|record| record.record_type() == RecordType::SOA)
            .count();
    }
    Ok(records)
}

async fn transfer_from(server: SocketAddr) -> Result<usize, u8> {
    transfer(&mut TcpStream::connect(server).await.expect("a connection")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_transferred_over_tls() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = encrypted::renew(directory.path());
    let mut primary = Primary::start_with(|config| {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listeners.push(Listener::new(any, Protocol::Tls));
        let files = CertificateFiles::new(directory.path().join("chain.pem"), directory.path().join("key.pem"));
        config.certificate = Some(files);
    })
    .await;
    primary.publish_to(large(), everybody_near());
    let mut stream = encrypted::connect_to(primary.server.addresses()[1], &root, b"dot")
        .await
        .expect("a handshake");
    // Twice over one connection.
    let expected = transfer_from(primary.address).await;
    assert!(expected.is_ok_and(|records| records > 3000), "{expected:?}");
    for _ in 0..2 {
        assert_eq!(transfer(&mut stream).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_that_never_reads_is_cut_off_and_others_go_on() {
    /// Far more than the system keeps for a connection.
    const TIMES: usize = 200;
    let mut primary = Primary::start().await;
    primary.publish_to(large(), everybody_near());
    let at = primary.address;
    let whole = transfer_from(at).await.expect("the zone");
    let mut settings = Settings::clone(&primary.server.settings().load());
    settings.streams.transfers = 1;
    settings.streams.write = Duration::from_secs(3);
    primary.server.settings().store(settings);

    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stalled = socket.connect(at).await.expect("a connection");
    stalled.write_all(&query().repeat(TIMES)).await.expect("written");
    // Between two of its transfers, before its connection is full, another may have its turn.
    let mut refused = 0;
    let limited = tokio::time::timeout(LIMIT, async {
        while refused < 20 {
            refused = if transfer_from(at).await == Err(REFUSED) {
                refused + 1
            } else {
                0
            };
        }
    });
    limited.await.expect("it holds the only transfer there may be");
    let ask = Packet::ask("n17.example.test").bytes(1);
    assert!(exchange_udp(at, &ask).await.is_some(), "queries go on");
    let limited = tokio::time::timeout(2 * LIMIT, async {
        while transfer_from(at).await != Ok(whole) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    limited.await.expect("it is cut off, and others have their turn");
    let mut taken = Vec::new();
    let ended = tokio::time::timeout(LIMIT, stalled.read_to_end(&mut taken)).await;
    let _ = ended.expect("its connection has ended, in whatever way");
    // A whole zone has more octets than its records' texts.
    assert!(taken.len() < TIMES * 100_000, "{} octets", taken.len());
}

/// The serial in a notice.
fn serial(notice: &[u8]) -> u32 {
    let message = Message::from_vec(notice).expect("a well-formed notice");
    let hickory_proto::rr::RData::SOA(soa) = &message.answers[0].data else {
        panic!("no start of authority in {message:?}");
    };
    soa.serial
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_repeated_until_it_is_answered() {
    let mut primary = Primary::start().await;
    let [.., high, low] = std::process::id().to_be_bytes();
    // An address of its own and no port that the system gives to others: nobody is there yet.
    let address = SocketAddr::from(([127, 128 | high, low, 9], 5353));
    let notifier = Notifier::start([Secondary { address, key: None }]);
    notifier.published(primary.publish_to(zone("example.test", "a A 192.0.2.1\n"), everybody_near()));
    let socket = UdpSocket::bind(address).await.expect("a free address");
    let mut buffer = vec![0; 512];
    let mut next = async || {
        let received = tokio::time::timeout(3 * LIMIT, socket.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("a notice in time").expect("a socket that works");
        (buffer[..length].to_vec(), from)
    };
    let first = primary.table_serial("example.test");
    // One is not answered, so there is another.
    let (lost, _) = next().await;
    let (notice, from) = next().await;
    assert_eq!((serial(&lost), serial(&notice)), (first, first));
    let mut reply = notice.clone();
    reply[2] |= 0x80;
    socket.send_to(&reply, from).await.expect("sent");
    // What comes next is about the next version, once that is there.
    let soa = primary.publish_to(zone("example.test", "a A 192.0.2.2\n"), everybody_near());
    notifier.published(soa);
    let second = primary.table_serial("example.test");
    assert_ne!(first, second);
    let told = async { while serial(&next().await.0) != second {} };
    tokio::time::timeout(3 * LIMIT, told)
        .await
        .expect("the next version is told");
}
