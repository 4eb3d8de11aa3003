//! What all listeners share, and where a message meets it.
//!
//! What must stay true: the snapshot and the settings are looked at for the microseconds of one
//! [`crate::respond`], and never across an await.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use meridian_dns_core::SiteName;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::connections::Connections;
use crate::respond::{Arrival, Context, Summary, respond};
use crate::{RateLimiter, SharedSettings, Signer, Table, Transport};

/// Table, settings, counts, signatures and the clock.
pub(crate) struct Service {
    pub(crate) table: Table,
    pub(crate) settings: SharedSettings,
    pub(crate) limiter: RateLimiter,
    pub(crate) signer: Signer,
    pub(crate) connections: Arc<Connections>,
    pub(crate) clock: Clock,
}

/// One listener, as its messages see it.
pub(crate) struct Place {
    pub(crate) service: Arc<Service>,
    pub(crate) transport: Transport,
    /// Who sends PROXY headers.
    pub(crate) proxied_from: Vec<IpNet>,
    /// Whose clients these are.
    pub(crate) site: Option<SiteName>,
}

/// Becomes true when the server ends.
pub(crate) type Stop = watch::Receiver<bool>;

/// How long after the end has begun sockets still answer. What was sent before may still be on its way
/// through the system, and the runtime learns of it only when it looks again.
pub(crate) const LINGER: Duration = Duration::from_millis(50);

/// Waits for the end. A server that is gone has ended.
pub(crate) async fn stopped(stop: &mut Stop) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Place {
    /// Whether this sender must send a PROXY header.
    pub(crate) fn is_proxy(&self, sender: SocketAddr) -> bool {
        let sender = sender.ip().to_canonical();
        self.proxied_from.iter().any(|network| network.contains(&sender))
    }

    /// The reply to a message, in `out`; `None` if there is none.
    pub(crate) fn respond(
        &self,
        packet: &[u8],
        client: IpAddr,
        idle: Option<Duration>,
        out: &mut Vec<u8>,
    ) -> Option<Summary> {
        let service = &*self.service;
        let arrival = Arrival {
            // A socket for both families shows IPv4 clients as `::ffff:0:0/96`.
            client: client.to_canonical(),
            transport: self.transport,
            site: self.site.as_ref(),
            now: service.clock.now(),
            idle,
        };
        let context = Context {
            snapshot: &service.table.peek(),
            settings: &service.settings.peek(),
            limiter: Some(&service.limiter),
            signer: Some(&service.signer),
        };
        let summary = respond(packet, &arrival, &context, out);
        match summary {
            Some(summary) => tracing::debug!(
                %client, transport = %self.transport, octets = packet.len(), reply = out.len(),
                code = summary.code, truncated = summary.truncated, "answered"
            ),
            None => tracing::debug!(%client, transport = %self.transport, octets = packet.len(), "not answered"),
        }
        summary
    }
}
