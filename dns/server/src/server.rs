//! The sockets: bound once, all or none, and owned until shutdown.
//!
//! What must stay true:
//! - each address is served over UDP *and* TCP on the same port: a client that was told to come back
//!   over TCP must find somebody there (RFC 7766 section 5);
//! - each listener runs in a task of its own, owned here; one that ends by itself is reported by
//!   [`DnsServer::stopped`], so that the process can end with a reason instead of serving half;
//! - addresses are bound one by one. A wildcard socket may reply from another address than the one
//!   that was asked, which clients ignore; so it is possible, but not the default of anything here.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_server::Server;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::handler::Handler;
use crate::{Table, Transport};

/// How many ports are tried when any port will do: one that is free for UDP is nearly always free for
/// TCP too.
const PORT_ATTEMPTS: usize = 32;

/// Replies waiting to be written on one TCP connection. The connection reads its next query only
/// when the replies before are written, so more than a few never wait.
const TCP_REPLIES: usize = 16;

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Addresses, each served over UDP and TCP. Port 0 picks one that is free for both.
    pub listen: Vec<SocketAddr>,
    /// A TCP connection without a query for this long is closed.
    pub tcp_idle: Duration,
}

impl ServerConfig {
    /// These addresses, and ten seconds for idle connections: long enough for a resolver to send the
    /// next query, short enough that idle connections do not pile up (RFC 7766 section 6.2.3).
    pub fn new(listen: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            listen: listen.into_iter().collect(),
            tcp_idle: Duration::from_secs(10),
        }
    }
}

/// Why the server cannot listen, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Nothing to do.
    #[error("no address to listen on; give one with --dns, such as --dns 127.0.0.1:5353")]
    NoAddress,
    /// Another program has the port.
    #[error("cannot listen on {address} over {transport}: {os}; stop what uses the port, or choose another with --dns")]
    InUse {
        /// The address asked for.
        address: SocketAddr,
        /// Which of the two.
        transport: Transport,
        /// What the operating system said.
        os: io::Error,
    },
    /// Low ports need a privilege.
    #[error(
        "cannot listen on {address} over {transport}: {os}; choose a port above 1023 with --dns, \
         or give the program the capability CAP_NET_BIND_SERVICE"
    )]
    Permission {
        /// The address asked for.
        address: SocketAddr,
        /// Which of the two.
        transport: Transport,
        /// What the operating system said.
        os: io::Error,
    },
    /// The address is not one of this machine.
    #[error("cannot listen on {address} over {transport}: {os}; give an address of this machine with --dns")]
    NotLocal {
        /// The address asked for.
        address: SocketAddr,
        /// Which of the two.
        transport: Transport,
        /// What the operating system said.
        os: io::Error,
    },
    /// Anything else.
    #[error("cannot listen on {address} over {transport}: {os}")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// Which of the two.
        transport: Transport,
        /// What the operating system said.
        os: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, transport: Transport, os: io::Error) -> Self {
        match os.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, transport, os },
            io::ErrorKind::PermissionDenied => Self::Permission { address, transport, os },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { address, transport, os },
            _ => Self::Other { address, transport, os },
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

/// A running server. Dropping it closes the sockets; [`DnsServer::shutdown`] also waits until they
/// are closed.
#[derive(Debug)]
pub struct DnsServer {
    addresses: Vec<SocketAddr>,
    listeners: JoinSet<Option<Stopped>>,
    stop: watch::Sender<bool>,
}

impl DnsServer {
    /// Binds all addresses and starts to answer from the table. If one address fails, none is served.
    pub async fn bind(config: ServerConfig, table: Table) -> Result<DnsServer, BindError> {
        if config.listen.is_empty() {
            return Err(BindError::NoAddress);
        }
        let mut bound = Vec::with_capacity(config.listen.len());
        for address in &config.listen {
            bound.push(bind_both(*address).await?);
        }
        let (stop, _) = watch::channel(false);
        let mut server = DnsServer {
            addresses: Vec::new(),
            listeners: JoinSet::new(),
            stop,
        };
        for (address, udp, tcp) in bound {
            server.addresses.push(address);
            let mut datagrams = Server::new(Handler { table: table.clone() });
            datagrams.register_socket(udp);
            server.own(address, Transport::Udp, datagrams);
            let mut streams = Server::new(Handler { table: table.clone() });
            streams.register_listener(tcp, config.tcp_idle, TCP_REPLIES);
            server.own(address, Transport::Tcp, streams);
            tracing::info!(%address, "answering DNS over UDP and TCP");
        }
        Ok(server)
    }

    fn own(&mut self, address: SocketAddr, transport: Transport, mut listener: Server<Handler>) {
        let mut stop = self.stop.subscribe();
        self.listeners.spawn(async move {
            let ended = tokio::select! {
                ended = listener.block_until_done() => Some(ended),
                // An error means that the `DnsServer` is gone, which is the same order.
                _ = stop.wait_for(|stop| *stop) => None,
            };
            let Some(ended) = ended else {
                // What a listener says while it is closed concerns nobody.
                let _ = listener.shutdown_gracefully().await;
                return None;
            };
            let reason = ended.map_or_else(|error| error.to_string(), |()| "its socket was closed".to_owned());
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

    /// Stops listening and waits until all sockets are closed.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.listeners.join_next().await.is_some() {}
    }
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
