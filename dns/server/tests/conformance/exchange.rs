//! A script's server on real sockets, and clients for each way a message can travel.
//!
//! What must stay true: a case waits for what it expects, never for time to pass. That nothing comes is
//! known by what comes after it: queries with a well-known reply, sent behind the message.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meridian_dns_server::{CertificateFiles, DnsServer, Listener, Protocol, ServerConfig, Table};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

use crate::fleet::World;
use crate::script::Over;

/// Long enough for a busy machine, short enough for a case that fails.
const LIMIT: Duration = Duration::from_secs(10);

/// The id of queries that only show that the server is there.
const SENTINEL: u16 = 0xfffe;

/// What one message led to.
#[derive(Debug)]
pub(crate) enum Received {
    Reply(Vec<u8>),
    Silence,
    Closed,
}

/// What HTTP said around it.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) status: u16,
    pub(crate) cache: String,
}

/// A running server. The addresses are those of [`PROTOCOLS`].
pub(crate) struct Running {
    _server: DnsServer,
    _directory: tempfile::TempDir,
    root: CertificateDer<'static>,
    addresses: Vec<SocketAddr>,
}

/// Plain twice: the second takes PROXY headers.
const PROTOCOLS: [Protocol; 5] = [
    Protocol::Plain,
    Protocol::Plain,
    Protocol::Tls,
    Protocol::Https,
    Protocol::Quic,
];

/// Starts a server on the loopback address.
pub(crate) async fn start(world: World) -> Running {
    let directory = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    std::fs::write(&chain, made.cert.pem()).expect("written");
    let mut config = ServerConfig::new([]);
    config.listeners = PROTOCOLS
        .into_iter()
        .map(|protocol| Listener {
            site: world.for_site.clone(),
            ..Listener::new(SocketAddr::from(([127, 0, 0, 1], 0)), protocol)
        })
        .collect();
    config.listeners[1].proxied_from = vec!["127.0.0.0/8".parse().expect("a network")];
    config.certificate = Some(CertificateFiles::new(chain, key));
    config.settings = world.settings;
    config.signer = world.signer;
    config.transfers.store(world.transfers);
    let server = DnsServer::bind(config, Table::new(world.snapshot))
        .await
        .expect("free ports");
    Running {
        addresses: server.addresses().to_vec(),
        _server: server,
        _directory: directory,
        root: made.cert.der().clone(),
    }
}

impl Running {
    /// Opens what a case's messages travel over.
    pub(crate) async fn client(&self, over: Over, prefix: Option<&[u8]>) -> Client {
        let plain = self.addresses[usize::from(prefix.is_some())];
        let prefix = prefix.unwrap_or_default().to_vec();
        let stream = async |address, prefix: &[u8]| {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(prefix).await.expect("written");
            stream
        };
        match over {
            Over::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
                socket.connect(plain).await.expect("a route");
                Client::Udp(socket, prefix)
            }
            Over::Tcp => Client::Stream(Box::new(stream(plain, &prefix).await)),
            Over::Tls => Client::Stream(Box::new(self.tls(self.addresses[2], b"dot").await)),
            Over::HttpsGet | Over::HttpsPost => {
                let stream = TokioIo::new(self.tls(self.addresses[3], b"h2").await);
                let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
                let (sender, connection) = handshake.await.expect("HTTP/2");
                tokio::spawn(connection);
                Client::Https(sender, over == Over::HttpsGet)
            }
            Over::Quic => {
                let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(self.tls_config(b"doq")).expect("QUIC");
                let mut endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a socket");
                endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
                let connecting = endpoint.connect(self.addresses[4], "localhost").expect("a connection");
                Client::Quic {
                    connection: connecting.await.expect("a handshake"),
                    _endpoint: endpoint,
                }
            }
        }
    }

    fn tls_config(&self, protocol: &[u8]) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }

    async fn tls(&self, address: SocketAddr, protocol: &[u8]) -> tokio_rustls::client::TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(self.tls_config(protocol)));
        let stream = TcpStream::connect(address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        connector.connect(name, stream).await.expect("a handshake")
    }
}

/// Octets both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One client of a case.
pub(crate) enum Client {
    Udp(UdpSocket, Vec<u8>),
    Stream(Box<dyn Stream>),
    Https(hyper::client::conn::http2::SendRequest<Full<Bytes>>, bool),
    /// The connection ends with its endpoint.
    Quic {
        connection: quinn::Connection,
        _endpoint: quinn::Endpoint,
    },
}

impl Client {
    /// Sends a message and receives what it leads to; `quiet` if nothing is expected.
    pub(crate) async fn exchange(&mut self, message: &[u8], quiet: bool) -> Result<(Received, Option<Http>), String> {
        let exchange = async {
            match self {
                Self::Udp(socket, prefix) => (over_udp(socket, prefix, message, quiet).await, None),
                Self::Stream(stream) => {
                    let sent = stream.write_all(&framed(message)).await;
                    let received = match sent {
                        Ok(()) => over_stream(stream, quiet).await,
                        Err(_) => Received::Closed,
                    };
                    (received, None)
                }
                Self::Https(sender, get) => over_https(sender, *get, message).await,
                Self::Quic { connection, .. } => (over_quic(connection, message).await, None),
            }
        };
        let limited = tokio::time::timeout(LIMIT, exchange).await;
        limited.map_err(|_| format!("nothing came within {LIMIT:?}"))
    }

    /// Sends several messages at once over one stream and receives as many replies, in any order.
    pub(crate) async fn pipeline(&mut self, messages: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
        let Self::Stream(stream) = self else {
            return Err("only streams carry several messages".to_owned());
        };
        let all: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
        let exchange = async {
            stream.write_all(&all).await?;
            let mut replies = Vec::new();
            for _ in messages {
                replies.push(read_framed(stream).await?);
            }
            Ok::<_, std::io::Error>(replies)
        };
        let limited = tokio::time::timeout(LIMIT, exchange).await;
        limited
            .map_err(|_| format!("not all replies came within {LIMIT:?}"))?
            .map_err(|error| error.to_string())
    }
}

/// A query that is always refused, whatever the server holds.
fn sentinel() -> Vec<u8> {
    let mut query = SENTINEL.to_be_bytes().to_vec();
    query.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4]);
    query
}

fn is_sentinel(reply: &[u8]) -> bool {
    reply.starts_with(&SENTINEL.to_be_bytes())
}

async fn over_udp(socket: &UdpSocket, prefix: &[u8], message: &[u8], quiet: bool) -> Received {
    let mut buffer = vec![0; 65_535];
    socket.send(&[prefix, message].concat()).await.expect("sent");
    if quiet {
        // Two, one after the other: the second is behind the message for every task of the server.
        for _ in 0..2 {
            let sentinel = [prefix, &sentinel()].concat();
            // A prefix that is not understood makes every message silent.
            if !prefix.is_empty() && !prefix.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21") {
                return Received::Silence;
            }
            socket.send(&sentinel).await.expect("sent");
            let length = socket.recv(&mut buffer).await.expect("a reply");
            if !is_sentinel(&buffer[..length]) {
                return Received::Reply(buffer[..length].to_vec());
            }
        }
        return Received::Silence;
    }
    let length = socket.recv(&mut buffer).await.expect("a reply");
    Received::Reply(buffer[..length].to_vec())
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&crate::query::length(message).to_be_bytes(), message].concat()
}

async fn read_framed(stream: &mut (impl AsyncRead + Unpin + ?Sized)) -> std::io::Result<Vec<u8>> {
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}

async fn over_stream(stream: &mut Box<dyn Stream>, quiet: bool) -> Received {
    if quiet && stream.write_all(&framed(&sentinel())).await.is_err() {
        return Received::Closed;
    }
    match read_framed(stream).await {
        Ok(reply) if quiet && is_sentinel(&reply) => Received::Silence,
        Ok(reply) => Received::Reply(reply),
        Err(_) => Received::Closed,
    }
}

async fn over_https(
    sender: &mut hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    get: bool,
    message: &[u8],
) -> (Received, Option<Http>) {
    let (method, query, body) = if get {
        let query = format!("?dns={}", BASE64URL_NOPAD.encode(message));
        (Method::GET, query, Vec::new())
    } else {
        (Method::POST, String::new(), message.to_vec())
    };
    let request = Request::builder()
        .method(method)
        .uri(format!("https://localhost/dns-query{query}"))
        .header("content-type", "application/dns-message")
        .header("accept", "application/dns-message")
        .body(Full::new(Bytes::from(body)))
        .expect("a request");
    let Ok(response) = sender.send_request(request).await else {
        return (Received::Closed, None);
    };
    let cache = response.headers().get("cache-control");
    let http = Http {
        status: response.status().as_u16(),
        cache: cache.map_or(String::new(), |cache| cache.to_str().expect("text").to_owned()),
    };
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let received = if http.status == 200 {
        Received::Reply(body.to_vec())
    } else {
        Received::Silence
    };
    (received, Some(http))
}

async fn over_quic(connection: &quinn::Connection, message: &[u8]) -> Received {
    let exchange = async {
        let (mut send, mut receive) = connection.open_bi().await.ok()?;
        send.write_all(&framed(message)).await.ok()?;
        send.finish().ok()?;
        let reply = receive.read_to_end(70_000).await.ok()?;
        let (length, reply) = reply.split_first_chunk::<2>()?;
        (usize::from(u16::from_be_bytes(*length)) == reply.len()).then(|| reply.to_vec())
    };
    exchange.await.map_or(Received::Closed, Received::Reply)
}
