//! Everything that can change while the server runs changes many times, and no query is dropped: settings,
//! zones with their keys, and the certificate.
//!
//! Clients never stop asking, over UDP, over one TCP and one TLS connection, and over a new TLS connection each
//! time. Every query must get a signed answer; the next change comes when all of them had some.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use meridian_dns_core::Liveness;
use meridian_dns_core::dnssec::{Algorithm, Denial};
use meridian_dns_server::{CertificateFiles, Listener, Protocol, RateLimits, Settings, Signer};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::encrypted::connect_to;
use crate::support::packet::{LIMIT, Packet, framed, read};
use crate::support::signed::{Fleet, Role};
use crate::support::start_with;

/// How many times everything changes.
const ROUNDS: usize = 40;
/// Queries a client has under way.
const AT_ONCE: u16 = 16;
/// Replies that each client waits for between two changes.
const BETWEEN: usize = 8;

/// Who signs the server's certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a certificate").der().clone();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    /// Writes a new certificate and its key, first the one, then the other.
    fn renew(&self, directory: &Path) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let made = params.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(directory.join("key.pem"), key.serialize_pem()).expect("written");
        std::fs::write(directory.join("chain.pem"), made.pem()).expect("written");
    }
}

/// What a client asks in one go.
fn queries() -> Vec<Vec<u8>> {
    let names = [
        "web.example.test",
        "absent.example.test",
        "host.example.test",
        "own.example.test",
    ];
    (0..AT_ONCE)
        .map(|id| Packet::ask_signed(names[usize::from(id) % names.len()], 1).bytes(id))
        .collect()
}

/// Each is an answer or a compact denial, with its signature.
fn is_good(reply: &[u8]) {
    let message = Message::from_vec(reply).expect("a well-formed reply");
    assert_eq!(message.metadata.response_code, ResponseCode::NoError, "{message:?}");
    let records = message.answers.iter().chain(&message.authorities);
    let signatures = records.filter(|record| u16::from(record.record_type()) == 46).count();
    assert!(signatures > 0, "{message:?}");
}

async fn over_udp(server: SocketAddr, count: Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.connect(server).await.expect("a route");
    let (queries, mut buffer) = (queries(), vec![0; 65_535]);
    loop {
        for query in &queries {
            socket.send(query).await.expect("sent");
        }
        let mut missing: Vec<u16> = (0..AT_ONCE).collect();
        while !missing.is_empty() {
            let received = tokio::time::timeout(LIMIT, socket.recv(&mut buffer)).await;
            let length = received.unwrap_or_else(|_| panic!("dropped: {missing:?}"));
            let reply = &buffer[..length.expect("a socket that works")];
            missing.retain(|id| reply[..2] != id.to_be_bytes());
            is_good(reply);
        }
        count.fetch_add(queries.len(), Ordering::Relaxed);
    }
}

async fn over_stream(mut stream: impl AsyncRead + AsyncWrite + Unpin, count: Arc<AtomicUsize>) {
    let all: Vec<u8> = queries().iter().flat_map(|query| framed(query)).collect();
    loop {
        stream.write_all(&all).await.expect("the connection stays");
        for id in 0..AT_ONCE {
            let reply = read(&mut stream).await;
            assert_eq!(reply[..2], id.to_be_bytes());
            is_good(&reply);
        }
        count.fetch_add(usize::from(AT_ONCE), Ordering::Relaxed);
    }
}

/// A connection for each query. Counts also the certificates that were seen.
async fn over_new_connections(
    server: SocketAddr,
    root: CertificateDer<'static>,
    count: Arc<AtomicUsize>,
    certificates: Arc<AtomicUsize>,
) {
    let mut seen = Vec::new();
    loop {
        let mut stream = connect_to(server, &root, b"dot").await.expect("a handshake");
        let shown = stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone();
        if !seen.contains(&shown) {
            seen.push(shown);
            certificates.store(seen.len(), Ordering::Relaxed);
        }
        stream.write_all(&framed(&queries()[0])).await.expect("written");
        is_good(&read(&mut stream).await);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Settings that differ from round to round and keep nobody out.
fn change(settings: &mut Settings, round: usize) {
    let small = u16::try_from(round).expect("few rounds");
    settings.udp_payload = 1000 + small;
    settings.identity.version = round.is_multiple_of(2).then(|| format!("round {round}"));
    settings.streams.idle = Duration::from_secs(5 + u64::from(small % 3));
    settings.streams.connections = 100 + round;
    settings.rate = round.is_multiple_of(3).then(|| RateLimits {
        exempt: vec!["127.0.0.0/8".parse().expect("a network")],
        ..RateLimits::default()
    });
}

/// Keys of the fleets, so that none is gone while a query is answered that began before.
fn install(signer: &Signer, fleets: &[Fleet]) {
    for zone in [|fleet: &Fleet| fleet.keys.clone(), |fleet: &Fleet| fleet.safe.clone()] {
        let private = fleets.iter().flat_map(|fleet| zone(fleet).private());
        signer.install(&zone(&fleets[0]).zone, private.collect());
    }
}

fn fleet() -> Fleet {
    Fleet::new(Denial::Compact, &[(Role::Csk, Algorithm::EcdsaP256)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn settings_zones_keys_and_certificates_change_without_a_query_dropped() {
    let (directory, authority) = (tempfile::tempdir().expect("a directory"), Authority::new());
    authority.renew(directory.path());
    let mut signer = None;
    let (server, plain, table) = start_with(|config| {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listeners.push(Listener::new(any, Protocol::Tls));
        let mut files = CertificateFiles::new(directory.path().join("chain.pem"), directory.path().join("key.pem"));
        files.every = Duration::from_millis(5);
        config.certificate = Some(files);
        signer = Some(config.signer.clone());
    })
    .await;
    let (signer, tls) = (signer.expect("the server's"), server.addresses()[1]);
    let mut fleets = vec![fleet()];
    install(&signer, &fleets);
    table.store(fleets[0].snapshot(Liveness::Alive));

    let counts: [Arc<AtomicUsize>; 4] = Default::default();
    let certificates = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    clients.spawn(over_udp(plain, counts[0].clone()));
    let stream = TcpStream::connect(plain).await.expect("a connection");
    clients.spawn(over_stream(stream, counts[1].clone()));
    let stream = connect_to(tls, &authority.root, b"dot").await.expect("a handshake");
    clients.spawn(over_stream(stream, counts[2].clone()));
    let root = authority.root.clone();
    clients.spawn(over_new_connections(tls, root, counts[3].clone(), certificates.clone()));

    for round in 0..ROUNDS {
        server.settings().update(|settings| change(settings, round));
        fleets.push(fleet());
        let kept = fleets.len().saturating_sub(4);
        fleets.drain(..kept);
        install(&signer, &fleets);
        let there = if round.is_multiple_of(2) {
            Liveness::Dead
        } else {
            Liveness::Alive
        };
        table.store(fleets[fleets.len() - 1].snapshot(there));
        if round.is_multiple_of(4) {
            authority.renew(directory.path());
        }
        let before = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let progress = async {
            while counts
                .iter()
                .zip(before)
                .any(|(count, before)| count.load(Ordering::Relaxed) < before + BETWEEN)
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            // A client ends only by a panic.
            Some(ended) = clients.join_next() => panic!("in round {round}: {ended:?}"),
            done = tokio::time::timeout(2 * LIMIT, progress) => done.expect("everybody gets on"),
        }
    }
    let seen = certificates.load(Ordering::Relaxed);
    assert!(seen > 2, "{seen} certificates were in use");
}
