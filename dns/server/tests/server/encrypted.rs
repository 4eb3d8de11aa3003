//! TLS, HTTPS and QUIC with clients of other make: rustls, hyper and quinn.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use hickory_proto::op::Message;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meridian_dns_server::{BindError, CertificateFiles, DnsServer, Listener, Protocol, ServerConfig, Table};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::packet::{LIMIT, Packet, framed, read};
use crate::support::start_with;

/// Writes a new certificate and its key.
pub(crate) fn renew(directory: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    // First the key, so that for a moment they do not belong together.
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    std::fs::write(directory.join("chain.pem"), made.cert.pem()).expect("written");
    made.cert.der().clone()
}

fn files(directory: &Path) -> CertificateFiles {
    let mut files = CertificateFiles::new(directory.join("chain.pem"), directory.join("key.pem"));
    files.every = Duration::from_millis(20);
    files
}

struct Encrypted {
    _server: DnsServer,
    address: SocketAddr,
    directory: tempfile::TempDir,
    root: CertificateDer<'static>,
}

async fn serve(protocol: Protocol) -> Encrypted {
    let directory = tempfile::tempdir().expect("a directory");
    let root = renew(directory.path());
    let (server, address, _) = start_with(|config| {
        config.listeners[0].protocol = protocol;
        config.certificate = Some(files(directory.path()));
        config.settings.identity.server = Some(b"a1".to_vec());
    })
    .await;
    Encrypted {
        _server: server,
        address,
        directory,
        root,
    }
}

/// A client's side of TLS that trusts this root.
pub(crate) fn client(root: &CertificateDer<'static>, protocol: &[u8]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !protocol.is_empty() {
        config.alpn_protocols = vec![protocol.to_vec()];
    }
    config
}

async fn connect(server: &Encrypted, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    connect_to(server.address, &server.root, protocol).await
}

/// A connection to a server with a certificate of this root.
pub(crate) async fn connect_to(
    server: SocketAddr,
    root: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(client(root, protocol)));
    let stream = TcpStream::connect(server).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    connector.connect(name, stream).await
}

/// A query that is padded a little.
fn padded(name: &'static str, id: u16) -> Vec<u8> {
    let packet = Packet {
        opt: Some((0, 1232, vec![0, 12, 0, 2, 0, 0, 0, 3, 0, 0])),
        ..Packet::ask(name)
    };
    packet.bytes(id)
}

fn answers(reply: &[u8]) -> usize {
    Message::from_vec(reply).expect("a well-formed reply").answers.len()
}

#[tokio::test]
async fn tls_carries_padded_replies_and_many_queries() {
    let server = serve(Protocol::Tls).await;
    for protocol in [&b"dot"[..], b""] {
        let mut stream = connect(&server, protocol).await.expect("a handshake");
        let queries = ["web.example.test", "many.example.test", "absent.example.test"];
        let all: Vec<u8> = (0_u16..)
            .zip(queries)
            .flat_map(|(id, name)| framed(&padded(name, id)))
            .collect();
        stream.write_all(&all).await.expect("written");
        for (id, (expected, size)) in (0..).zip([(1, 468), (100, 4 * 468), (0, 468)]) {
            let reply = read(&mut stream).await;
            assert_eq!((reply[1], answers(&reply), reply.len()), (id, expected, size));
        }
        // Who does not pad is not padded to (RFC 8467 section 4).
        stream
            .write_all(&framed(&Packet::ask("web.example.test").bytes(1)))
            .await
            .expect("written");
        assert_eq!(read(&mut stream).await.len(), 12 + 22 + 16 + 11);
    }
    assert!(connect(&server, b"h2").await.is_err(), "another protocol");
    let mut garbage = TcpStream::connect(server.address).await.expect("a connection");
    garbage.write_all(&[0x55; 600]).await.expect("written");
    let _ = tokio::time::timeout(LIMIT, garbage.read_to_end(&mut Vec::new()))
        .await
        .expect("closed in time");
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_new_listener() {
    let mut server = serve(Protocol::Tls).await;
    let mut old = connect(&server, b"dot").await.expect("a handshake");
    // Half of a pair, and something that is no certificate: the one before stays.
    let chain = server.directory.path().join("chain.pem");
    let good = std::fs::read(&chain).expect("read");
    for bad in [&b"nonsense"[..], b"", &good[..good.len() / 2]] {
        std::fs::write(&chain, bad).expect("written");
        tokio::time::sleep(Duration::from_millis(100)).await;
        connect(&server, b"dot").await.expect("the certificate before");
    }
    server.root = renew(server.directory.path());
    let begun = Instant::now();
    while connect(&server, b"dot").await.is_err() {
        assert!(begun.elapsed() < LIMIT, "the new certificate is not in use");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    old.write_all(&framed(&Packet::ask("web.example.test").bytes(1)))
        .await
        .expect("written");
    assert_eq!(answers(&read(&mut old).await), 1, "the old connection lives on");
}

#[tokio::test]
async fn an_encrypted_listener_needs_a_certificate() {
    let bind = async |protocol, certificate: Option<CertificateFiles>| {
        let mut config = ServerConfig::new([]);
        config.listeners = vec![Listener::new(SocketAddr::from(([127, 0, 0, 1], 0)), protocol)];
        config.certificate = certificate;
        DnsServer::bind(config, Table::default())
            .await
            .expect_err("no certificate")
    };
    for protocol in [Protocol::Tls, Protocol::Https, Protocol::Quic] {
        assert!(matches!(bind(protocol, None).await, BindError::NoCertificate { .. }));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let error = bind(Protocol::Tls, Some(files(directory.path()))).await;
    assert!(
        error.to_string().starts_with("cannot read ") && error.to_string().contains("chain.pem"),
        "{error}"
    );
}

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn http(server: &Encrypted) -> Sender {
    let stream = connect(server, b"h2").await.expect("a handshake");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

struct Exchanged {
    status: StatusCode,
    cache: Option<String>,
    body: Bytes,
}

async fn exchange(sender: &mut Sender, method: Method, path: &str, media_type: &str, body: Vec<u8>) -> Exchanged {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("content-type", media_type)
        .body(Full::new(Bytes::from(body)))
        .expect("a request");
    let response = tokio::time::timeout(LIMIT, sender.send_request(request)).await;
    let response = response.expect("in time").expect("a response");
    let cache = response.headers().get("cache-control");
    let cache = cache.map(|cache| cache.to_str().expect("text").to_owned());
    Exchanged {
        status: response.status(),
        cache,
        body: response.into_body().collect().await.expect("a body").to_bytes(),
    }
}

const MESSAGE: &str = "application/dns-message";

#[tokio::test]
async fn https_answers_get_and_post_and_tells_caches_how_long() {
    let server = serve(Protocol::Https).await;
    let mut sender = http(&server).await;
    for (name, count, cache) in [
        ("own.example.test", 1, "max-age=30"),
        ("web.example.test", 1, "private, max-age=30"),
        ("many.example.test", 100, "private, max-age=30"),
        ("absent.example.test", 0, "max-age=5"),
        ("elsewhere.test", 0, "no-store"),
    ] {
        let query = padded(name, 0);
        let path = format!("/dns-query?dns={}", BASE64URL_NOPAD.encode(&query));
        let got = exchange(&mut sender, Method::GET, &path, MESSAGE, Vec::new()).await;
        let posted = exchange(&mut sender, Method::POST, "/dns-query", MESSAGE, query).await;
        assert_eq!(got.body, posted.body);
        for exchanged in [got, posted] {
            assert_eq!(
                (exchanged.status, exchanged.cache.as_deref()),
                (StatusCode::OK, Some(cache)),
                "{name}"
            );
            assert_eq!((answers(&exchanged.body), exchanged.body.len() % 468), (count, 0));
        }
    }
}

#[tokio::test]
async fn what_holds_no_message_gets_an_error_of_http() {
    let server = serve(Protocol::Https).await;
    let mut sender = http(&server).await;
    let query = Packet::ask("web.example.test").bytes(0);
    let reply = Packet {
        flags: 0x8000,
        ..Packet::ask("web.example.test")
    }
    .bytes(0);
    for (method, path, media_type, body, expected) in [
        (Method::POST, "/", MESSAGE, query.clone(), StatusCode::NOT_FOUND),
        (
            Method::PUT,
            "/dns-query",
            MESSAGE,
            query.clone(),
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (
            Method::POST,
            "/dns-query",
            "text/plain",
            query.clone(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            Method::POST,
            "/dns-query",
            MESSAGE,
            vec![0; 70_000],
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (Method::POST, "/dns-query", MESSAGE, Vec::new(), StatusCode::BAD_REQUEST),
        (Method::POST, "/dns-query", MESSAGE, reply, StatusCode::BAD_REQUEST),
        (Method::GET, "/dns-query", MESSAGE, Vec::new(), StatusCode::BAD_REQUEST),
        (
            Method::GET,
            "/dns-query?dns=%20",
            MESSAGE,
            Vec::new(),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let exchanged = exchange(&mut sender, method.clone(), path, media_type, body).await;
        assert_eq!(exchanged.status, expected, "{method} {path}");
    }
    // A query that is malformed as DNS is a good exchange of HTTP (RFC 8484 section 4.2.1).
    let formerr = exchange(&mut sender, Method::POST, "/dns-query", MESSAGE, query[..20].to_vec()).await;
    assert_eq!((formerr.status, formerr.body[3] & 0x0f), (StatusCode::OK, 1));
}

async fn quic(server: &Encrypted) -> (quinn::Endpoint, quinn::Connection) {
    let crypto = client(&server.root, b"doq");
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(crypto).expect("QUIC");
    let mut endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a socket");
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    let connecting = endpoint.connect(server.address, "localhost").expect("a connection");
    let connection = tokio::time::timeout(LIMIT, connecting)
        .await
        .expect("in time")
        .expect("a handshake");
    (endpoint, connection)
}

async fn ask(connection: &quinn::Connection, octets: &[u8]) -> Option<Vec<u8>> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_all(octets).await.ok()?;
    send.finish().ok()?;
    let read = tokio::time::timeout(LIMIT, receive.read_to_end(70_000))
        .await
        .expect("in time");
    read.ok()
}

#[tokio::test]
async fn quic_answers_one_query_per_stream() {
    let server = serve(Protocol::Quic).await;
    let (_endpoint, connection) = quic(&server).await;
    for (name, count) in [
        ("web.example.test", 1),
        ("many.example.test", 100),
        ("absent.example.test", 0),
    ] {
        let reply = ask(&connection, &framed(&padded(name, 0))).await.expect("a reply");
        assert_eq!(usize::from(u16::from_be_bytes([reply[0], reply[1]])), reply.len() - 2);
        assert_eq!((answers(&reply[2..]), (reply.len() - 2) % 468), (count, 0), "{name}");
    }
    // Many at once, more than may be open at a time.
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let connection = connection.clone();
        streams.spawn(async move {
            ask(&connection, &framed(&padded("web.example.test", 0)))
                .await
                .is_some()
        });
    }
    assert!(streams.join_all().await.into_iter().all(|answered| answered));
}

#[tokio::test]
async fn what_breaks_the_rules_of_quic_ends_the_connection() {
    let server = serve(Protocol::Quic).await;
    let query = Packet::ask("web.example.test").bytes(0);
    let keepalive = Packet {
        opt: Some((0, 1232, vec![0, 11, 0, 0])),
        ..Packet::ask("web.example.test")
    };
    for (what, octets) in [
        ("an id", framed(&Packet::ask("web.example.test").bytes(7))),
        ("a keepalive", framed(&keepalive.bytes(0))),
        ("two messages", framed(&query).repeat(2)),
        ("half a message", framed(&query)[..20].to_vec()),
        ("nothing", Vec::new()),
    ] {
        let (_endpoint, connection) = quic(&server).await;
        assert!(ask(&connection, &octets).await.is_none(), "{what}");
        let ended = tokio::time::timeout(LIMIT, connection.closed()).await.expect("in time");
        let quinn::ConnectionError::ApplicationClosed(close) = ended else {
            panic!("{what}: {ended}");
        };
        assert_eq!(close.error_code, 2_u32.into(), "DOQ_PROTOCOL_ERROR for {what}");
    }
    let (_endpoint, connection) = quic(&server).await;
    assert!(ask(&connection, &framed(&query)).await.is_some(), "others are answered");
}
