//! Connections: accepted, counted, told who the client is, and handed to their protocol.
//!
//! What must stay true: each connection has one task, owned by its listener, and is counted before its
//! task starts; a connection past a limit is closed at once, which costs its client more than us; an
//! accept that fails because the process has no descriptors left is tried again soon, and ends nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::connections::{Counted, Full};
use crate::proxy::{Proxied, ProxyError, proxy_header};
use crate::service::{Place, Stop, stopped};
use crate::{https, stream};

/// After an accept that failed.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// What is spoken on a connection.
#[derive(Clone)]
pub(crate) enum Speaks {
    /// DNS with a length before each message.
    Plain,
    /// The same inside TLS.
    Tls(TlsAcceptor),
    /// HTTP/2 inside TLS.
    Https(TlsAcceptor),
}

/// Why a connection was closed before its first message.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Full(#[from] Full),
    #[error("no PROXY header or no handshake in time")]
    TooSlow,
    #[error("no good PROXY header")]
    Proxy(#[from] ProxyError),
    #[error("the handshake failed")]
    Handshake(#[from] io::Error),
}

/// Serves connections until the end, and then those that are open to theirs.
pub(crate) async fn listen(listener: TcpListener, speaks: Speaks, place: Arc<Place>, mut stop: Stop) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, sender)) => {
                    let (speaks, place, stop) = (speaks.clone(), place.clone(), stop.clone());
                    // Counted here, so that there are never more tasks than connections may be. Behind a
                    // balancer the client is not known yet, and is counted when it is.
                    let limits = place.service.settings.load().streams.clone();
                    let counted = if place.is_proxy(sender) {
                        (tasks.len() < limits.connections).then_some(None).ok_or(Full::Server)
                    } else {
                        let client = sender.ip().to_canonical();
                        place.service.connections.count(client, &limits).map(Some)
                    };
                    match counted {
                        Ok(counted) => {
                            let place = place.clone();
                            tasks.spawn(connection(stream, sender, counted, speaks, place, stop));
                        }
                        Err(full) => tracing::debug!(%sender, transport = %place.transport, %full, "connection refused"),
                    }
                }
                Err(error) => {
                    tracing::warn!(transport = %place.transport, %error, "cannot accept connections");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            },
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed");
                }
            }
            () = stopped(&mut stop) => break,
        }
    }
    // Connections that are not accepted yet are refused by the system from here on.
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

async fn connection(
    mut stream: TcpStream,
    sender: SocketAddr,
    counted: Option<Counted>,
    speaks: Speaks,
    place: Arc<Place>,
    mut stop: Stop,
) {
    // Replies are written in one go; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let limit = place.service.settings.peek().streams.handshake;
    let begun = timeout(limit, begin(&mut stream, sender, counted, &place));
    let (client, _counted) = match begun.await.unwrap_or(Err(Refused::TooSlow)) {
        Ok(begun) => begun,
        Err(refused) => return tell(sender, &place, &refused),
    };
    let (acceptor, is_http) = match speaks {
        Speaks::Plain => {
            let ended = stream::serve(&mut stream, &place, client, &mut stop).await;
            tracing::debug!(%client, transport = %place.transport, %ended, "connection ended");
            return;
        }
        Speaks::Tls(acceptor) => (acceptor, false),
        Speaks::Https(acceptor) => (acceptor, true),
    };
    let accepted = timeout(limit, acceptor.accept(stream)).await;
    let mut secure = match accepted
        .map_err(|_| Refused::TooSlow)
        .and_then(|done| done.map_err(Refused::from))
    {
        Ok(secure) => secure,
        Err(refused) => return tell(sender, &place, &refused),
    };
    if is_http {
        https::serve(secure, &place, client, &mut stop).await;
    } else {
        let ended = stream::serve(&mut secure, &place, client, &mut stop).await;
        tracing::debug!(%client, transport = %place.transport, %ended, "connection ended");
    }
}

fn tell(sender: SocketAddr, place: &Place, refused: &Refused) {
    tracing::debug!(%sender, transport = %place.transport, %refused, "connection closed");
}

/// Finds out who the client is, and counts the connection as its.
async fn begin(
    stream: &mut TcpStream,
    sender: SocketAddr,
    counted: Option<Counted>,
    place: &Place,
) -> Result<(IpAddr, Counted), Refused> {
    let sender = sender.ip().to_canonical();
    match counted {
        Some(counted) => Ok((sender, counted)),
        None => {
            let client = read_proxy_header(stream).await?.unwrap_or(sender);
            let limits = &place.service.settings.load().streams;
            Ok((client, place.service.connections.count(client, limits)?))
        }
    }
}

/// Reads the header and not one octet more, because what follows may be TLS.
async fn read_proxy_header(stream: &mut TcpStream) -> Result<Option<IpAddr>, Refused> {
    let mut octets = vec![0; 16];
    stream.read_exact(&mut octets).await?;
    match proxy_header(&octets, Proxied::Stream) {
        Err(ProxyError::Incomplete) => {}
        read => return Ok(read?.client),
    }
    let rest = usize::from(u16::from_be_bytes([octets[14], octets[15]]));
    octets.resize(16 + rest, 0);
    stream.read_exact(&mut octets[16..]).await?;
    Ok(proxy_header(&octets, Proxied::Stream)?.client)
}
