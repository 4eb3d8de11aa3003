//! The sockets: bound once, all or none, and owned until shutdown.
//!
//! What must stay true:
//! - an address for plain DNS is served over UDP *and* TCP on the same port: a client that was told to
//!   come back over TCP must find somebody there (RFC 7766 section 5);
//! - each listener runs in a task of its own, owned here; one that ends by itself is reported by
//!   [`DnsServer::stopped`], so that the process can end with a reason instead of serving half;
//! - at the end readiness goes first, then the notice of [`crate::Drain`] passes while queries are
//!   still welcome, then no new ones are; what has arrived is answered, and the sockets close;
//! - addresses are bound one by one. A wildcard socket may reply from another address than the one
//!   that was asked, which clients ignore; so it is possible, but not the default of anything here.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use ipnet::IpNet;
use meridian_dns_core::SiteName;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::certificate::Certificate;
use crate::clock::Clock;
use crate::connections::Connections;
use crate::service::{Place, Service};
use crate::tcp::Speaks;
use crate::{
    BindError, CertificateError, CertificateFiles, RateLimiter, Settings, SharedSettings, SharedTransfers, Signer,
    Table, Transport, ahead, quic, tcp, tls, udp,
};

/// How many ports are tried when any port will do: one that is free for UDP is nearly always free for
/// TCP too.
const PORT_ATTEMPTS: usize = 32;

/// Threads that read one UDP socket, at most: more only wake each other.
const UDP_THREADS: usize = 4;

/// What is spoken at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// DNS over UDP and TCP, both.
    Plain,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484) at the path `/dns-query`.
    Https,
    /// DNS over QUIC (RFC 9250).
    Quic,
}

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where. Port 0 picks a free one.
    pub address: SocketAddr,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Senders in these networks must put a PROXY header (version 2) in front; nobody else may.
    pub proxied_from: Vec<IpNet>,
    /// All clients of this listener are this site's, whatever their addresses: for a cluster's own
    /// resolver, which hides its clients.
    pub site: Option<SiteName>,
}

impl Listener {
    /// For everybody, without PROXY headers.
    pub fn new(address: SocketAddr, protocol: Protocol) -> Self {
        Self {
            address,
            protocol,
            proxied_from: Vec::new(),
            site: None,
        }
    }
}

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The addresses.
    pub listeners: Vec<Listener>,
    /// For TLS, HTTPS and QUIC.
    pub certificate: Option<CertificateFiles>,
    /// The settings at the start.
    pub settings: Settings,
    /// Signs what signed zones answer. Keep a clone to install keys.
    pub signer: Signer,
    /// Whose queries may be signed, and who may transfer what. Shared with the caller, who changes it.
    pub transfers: SharedTransfers,
}

impl ServerConfig {
    /// These addresses for plain DNS, and default settings.
    pub fn new(listen: impl IntoIterator<Item = SocketAddr>) -> Self {
        let plain = |address| Listener::new(address, Protocol::Plain);
        Self {
            listeners: listen.into_iter().map(plain).collect(),
            certificate: None,
            settings: Settings::default(),
            signer: Signer::default(),
            transfers: SharedTransfers::default(),
        }
    }
}

/// A listener that ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("the DNS listener on {address} over {transport} stopped: {reason}")]
pub struct Stopped {
    /// Where it listened.
    pub address: SocketAddr,
    /// Over which transport.
    pub transport: Transport,
    /// What ended it.
    pub reason: String,
}

/// A running server. Dropping it closes the sockets; [`DnsServer::shutdown`] also answers what has
/// arrived, and waits until they are closed.
#[derive(Debug)]
pub struct DnsServer {
    addresses: Vec<SocketAddr>,
    listeners: JoinSet<Option<Stopped>>,
    settings: SharedSettings,
    ready: watch::Sender<bool>,
    stop: watch::Sender<bool>,
}

/// The sockets of one listener.
enum Bound {
    Plain(Vec<std::net::UdpSocket>, TcpListener),
    Stream(TcpListener, Speaks, Transport),
    Quic(quinn::Endpoint),
}

impl DnsServer {
    /// Binds all addresses and starts to answer from the table. If one address fails, none is served.
    pub async fn bind(config: ServerConfig, table: Table) -> Result<DnsServer, BindError> {
        if config.listeners.is_empty() {
            return Err(BindError::NoAddress);
        }
        let certificate = config.certificate.map(Certificate::load).transpose()?;
        let mut bound = Vec::with_capacity(config.listeners.len());
        for listener in config.listeners {
            let (address, sockets) = bind(&listener, certificate.as_ref(), &config.settings).await?;
            bound.push((address, listener, sockets));
        }
        let settings = SharedSettings::new(config.settings);
        let service = Arc::new(Service {
            table,
            settings: settings.clone(),
            limiter: RateLimiter::default(),
            transfers: config.transfers,
            transferring: AtomicUsize::new(0),
            signer: config.signer,
            connections: Arc::new(Connections::default()),
            clock: Clock::start(),
        });
        let mut server = DnsServer {
            addresses: bound.iter().map(|(address, ..)| *address).collect(),
            listeners: JoinSet::new(),
            settings,
            ready: watch::channel(true).0,
            stop: watch::channel(false).0,
        };
        if let Some(certificate) = certificate {
            let watched = certificate.watch(server.stop.subscribe());
            server.listeners.spawn(async move {
                watched.await;
                None
            });
        }
        let ahead = ahead::sign_ahead(service.clone(), server.stop.subscribe());
        server.listeners.spawn(async move {
            ahead.await;
            None
        });
        for (address, listener, sockets) in bound {
            tracing::info!(%address, protocol = ?listener.protocol, "answering DNS");
            server.serve(address, listener, sockets, &service);
        }
        Ok(server)
    }

    fn serve(&mut self, address: SocketAddr, listener: Listener, sockets: Bound, service: &Arc<Service>) {
        let place = |transport| {
            Arc::new(Place {
                service: service.clone(),
                transport,
                proxied_from: listener.proxied_from.clone(),
                site: listener.site.clone(),
            })
        };
        let stop = || self.stop.subscribe();
        match sockets {
            Bound::Plain(datagrams, streams) => {
                let for_datagrams = place(Transport::Udp);
                let listen = |socket| {
                    let listening = udp::listen(socket, for_datagrams.clone(), stop());
                    async move {
                        if let Err(error) = listening.await {
                            tracing::error!(%address, %error, "datagrams cannot be received");
                        }
                    }
                };
                let udp: Vec<_> = datagrams.into_iter().map(listen).collect();
                let tcp = tcp::listen(streams, Speaks::Plain, place(Transport::Tcp), stop());
                for listener in udp {
                    self.own(address, Transport::Udp, listener);
                }
                self.own(address, Transport::Tcp, tcp);
            }
            Bound::Stream(streams, speaks, transport) => {
                let listener = tcp::listen(streams, speaks, place(transport), stop());
                self.own(address, transport, listener);
            }
            Bound::Quic(endpoint) => {
                let listener = quic::listen(endpoint, place(Transport::Quic), stop());
                self.own(address, Transport::Quic, listener);
            }
        }
    }

    fn own(&mut self, address: SocketAddr, transport: Transport, listener: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.subscribe();
        self.listeners.spawn(async move {
            // In a task of its own, so that a panic is an end with a reason. Who drops this one ends that.
            let mut task = JoinSet::new();
            task.spawn(listener);
            let reason = match task.join_next().await {
                Some(Err(error)) => error.to_string(),
                // An error means that the `DnsServer` is gone.
                _ if *stop.borrow() || stop.has_changed().is_err() => return None,
                _ => "its socket was closed".to_owned(),
            };
            Some(Stopped {
                address,
                transport,
                reason,
            })
        });
    }

    /// The addresses listened on, with their real ports, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The settings, to look at and to replace while the server runs.
    pub fn settings(&self) -> &SharedSettings {
        &self.settings
    }

    /// True while new queries are welcome: what a readiness probe tells.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Waits until a listener ends by itself, which is not expected to happen. Safe to cancel.
    pub async fn stopped(&mut self) -> Stopped {
        loop {
            match self.listeners.join_next().await {
                Some(Ok(Some(stopped))) => return stopped,
                Some(_) => {}
                None => pending().await,
            }
        }
    }

    /// Ends as [`crate::Drain`] says: readiness goes, notice passes, what has arrived is answered, and
    /// all sockets are closed when this returns.
    pub async fn shutdown(mut self) {
        let drain = self.settings.load().drain.clone();
        self.ready.send_replace(false);
        if !drain.notice.is_zero() {
            tokio::time::sleep(drain.notice).await;
        }
        self.stop.send_replace(true);
        let ended = async { while self.listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(drain.limit, ended).await.is_err() {
            tracing::info!("connections that did not end in time are cut off");
        }
        self.listeners.shutdown().await;
    }
}

/// The sockets of a listener, and their address with its real port.
async fn bind(
    listener: &Listener,
    certificate: Option<&Arc<Certificate>>,
    settings: &Settings,
) -> Result<(SocketAddr, Bound), BindError> {
    let address = listener.address;
    let transport = match listener.protocol {
        Protocol::Plain => {
            let (address, udp, tcp) = bind_both(address).await?;
            let udp = shared(udp).map_err(|os| BindError::new(address, Transport::Udp, os))?;
            return Ok((address, Bound::Plain(udp, tcp)));
        }
        Protocol::Tls => Transport::Tls,
        Protocol::Https => Transport::Https,
        Protocol::Quic => Transport::Quic,
    };
    let certificate = certificate
        .cloned()
        .ok_or(BindError::NoCertificate { address, transport })?;
    let failed = |os| BindError::new(address, transport, os);
    if transport == Transport::Quic {
        if !listener.proxied_from.is_empty() {
            return Err(BindError::ProxiedQuic { address });
        }
        let socket = UdpSocket::bind(address)
            .await
            .and_then(UdpSocket::into_std)
            .map_err(failed)?;
        let endpoint = endpoint(socket, certificate, settings)?.map_err(failed)?;
        return Ok((endpoint.local_addr().map_err(failed)?, Bound::Quic(endpoint)));
    }
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let speaks = if transport == Transport::Tls {
        Speaks::Tls(tls::acceptor(certificate, tls::DOT).map_err(CertificateError::from)?)
    } else {
        Speaks::Https(tls::acceptor(certificate, tls::H2).map_err(CertificateError::from)?)
    };
    let address = socket.local_addr().map_err(failed)?;
    Ok((address, Bound::Stream(socket, speaks, transport)))
}

fn endpoint(
    socket: std::net::UdpSocket,
    certificate: Arc<Certificate>,
    settings: &Settings,
) -> Result<io::Result<quinn::Endpoint>, CertificateError> {
    let crypto = tls::config(certificate, tls::DOQ)?;
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(crypto)
        .map_err(|error| CertificateError::Tls(rustls::Error::General(error.to_string())))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(quic::transport(&settings.streams)));
    // Before they are counted, and what they may send before: one first flight each.
    config.max_incoming(settings.streams.connections);
    config.incoming_buffer_size(quic::FIRST_FLIGHT);
    config.incoming_buffer_size_total(quic::FIRST_FLIGHTS);
    let runtime = Arc::new(quinn::TokioRuntime);
    Ok(quinn::Endpoint::new(
        quinn::EndpointConfig::default(),
        Some(config),
        socket,
        runtime,
    ))
}

/// The socket as often as there are threads to read it.
fn shared(socket: UdpSocket) -> io::Result<Vec<std::net::UdpSocket>> {
    let threads = std::thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(UDP_THREADS);
    let socket = socket.into_std()?;
    let others = (1..threads)
        .map(|_| socket.try_clone())
        .collect::<io::Result<Vec<_>>>()?;
    Ok(others.into_iter().chain([socket]).collect())
}

/// Both sockets of an address, and the address with its real port.
async fn bind_both(address: SocketAddr) -> Result<(SocketAddr, UdpSocket, TcpListener), BindError> {
    let mut attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let udp_failed = |os| BindError::new(address, Transport::Udp, os);
        let udp = UdpSocket::bind(address).await.map_err(udp_failed)?;
        let real = udp.local_addr().map_err(udp_failed)?;
        match TcpListener::bind(real).await {
            Ok(tcp) => return Ok((real, udp, tcp)),
            Err(os) if os.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            Err(os) => return Err(BindError::new(real, Transport::Tcp, os)),
        }
    }
}
