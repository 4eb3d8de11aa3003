//! What all listeners share, and where a message meets it.
//!
//! What must stay true: the snapshot and the settings are looked at for the microseconds of one
//! [`crate::respond`], and never across an await.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use meridian_dns_core::SiteName;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::connections::Connections;
use crate::respond::{Arrival, Context, Summary, respond, respond_in_stream};
use crate::{RateLimiter, SharedSettings, SharedTransfers, Signer, Table, Transfer, Transport};

/// Table, settings, counts, signatures and the clock.
pub(crate) struct Service {
    pub(crate) table: Table,
    pub(crate) settings: SharedSettings,
    pub(crate) transfers: SharedTransfers,
    /// Transfers at this moment.
    pub(crate) transferring: AtomicUsize,
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
        let made = self.make(packet, client, idle, |arrival, context| {
            Some((respond(packet, arrival, context, out)?, out.len()))
        });
        made.map(|(summary, _)| summary)
    }

    /// The same for a stream, which can take a reply of many messages.
    pub(crate) fn respond_in_stream(
        &self,
        packet: &[u8],
        client: IpAddr,
        idle: Duration,
        out: &mut Vec<u8>,
    ) -> Option<Option<Transfer>> {
        let mut rest = None;
        self.make(packet, client, Some(idle), |arrival, context| {
            let (summary, transfer) = respond_in_stream(packet, arrival, context, out)?;
            rest = transfer;
            Some((summary, out.len()))
        })?;
        Some(rest)
    }

    fn make(
        &self,
        packet: &[u8],
        client: IpAddr,
        idle: Option<Duration>,
        with: impl FnOnce(&Arrival<'_>, &Context<'_>) -> Option<(Summary, usize)>,
    ) -> Option<(Summary, usize)> {
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
            transfers: Some(&service.transfers.peek()),
            signer: Some(&service.signer),
        };
        let made = with(&arrival, &context);
        match made {
            Some((summary, reply)) => tracing::debug!(
                %client, transport = %self.transport, octets = packet.len(), reply,
                code = summary.code, truncated = summary.truncated, "answered"
            ),
            None => tracing::debug!(%client, transport = %self.transport, octets = packet.len(), "not answered"),
        }
        made
    }
}

/// One transfer that is counted, until it is dropped.
pub(crate) struct Transferring(Arc<Service>);

impl Transferring {
    /// Counts one more; `None` if there are as many as there may be.
    pub(crate) fn begin(service: &Arc<Service>) -> Option<Self> {
        let most = service.settings.peek().streams.transfers;
        let more = |now: usize| (now < most).then_some(now + 1);
        let counted = service
            .transferring
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        counted.is_ok().then(|| Self(service.clone()))
    }
}

impl Drop for Transferring {
    fn drop(&mut self) {
        self.0.transferring.fetch_sub(1, Ordering::Relaxed);
    }
}
