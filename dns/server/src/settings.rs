//! What an operator may change while the server runs: one value, replaced as a whole.
//!
//! What must stay true: a query, a connection or a limit sees one version of the settings; a change
//! drops no query and no connection, the next message simply sees the new value. What belongs to the
//! sockets (addresses, who may send PROXY headers) is in [`crate::ServerConfig`] and does not change.
//! Certificates are not here: their files have a writer of their own, and two writers of one value
//! would lose each other's changes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;
use meridian_dns_core::ClientSubnet;

use crate::{Cookies, MAX_UDP_PAYLOAD, RateLimits, SigningLimits};

/// Everything that can be changed without a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What is told to those who ask who we are.
    pub identity: Identity,
    /// The largest reply over UDP and the size our OPT record offers, in octets; at least 512.
    pub udp_payload: u16,
    /// Whose Client Subnet option is heeded, and for what.
    pub subnets: SubnetTrust,
    /// Without it the cookie option is ignored.
    pub cookies: Option<Cookies>,
    /// Without it every query over UDP gets its reply.
    pub rate: Option<RateLimits>,
    /// New signatures that clients may cause.
    pub signing: SigningLimits,
    /// For TCP, TLS, HTTPS and QUIC.
    pub streams: StreamLimits,
    /// How the server ends.
    pub drain: Drain,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            identity: Identity::default(),
            udp_payload: MAX_UDP_PAYLOAD,
            subnets: SubnetTrust::default(),
            cookies: None,
            rate: None,
            signing: SigningLimits::default(),
            streams: StreamLimits::default(),
            drain: Drain::default(),
        }
    }
}

/// What is told to those who ask who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `version.bind` and `version.server`; `None` refuses them.
    pub version: Option<String>,
    /// The NSID option, `id.server` and `hostname.bind`; `None` refuses them.
    pub server: Option<Vec<u8>>,
}

impl Default for Identity {
    /// The program without its number, and no identifier.
    fn default() -> Self {
        Self {
            version: Some("Meridian".to_owned()),
            server: None,
        }
    }
}

/// Whose Client Subnet option (RFC 7871) is heeded. Where it is not, the option is ignored and not
/// returned, as if it were not implemented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetTrust {
    /// Networks of resolvers whose option is believed in every respect: it also decides whether internal
    /// addresses are told. Nobody's else does, or strangers could read them.
    pub resolvers: Vec<IpNet>,
    /// Whether the options of all others choose the nearest site. That is only advice, so a lie harms the
    /// liar; RFC 7871 section 11.3 advises against it where answers must not be explored.
    pub strangers: bool,
}

impl Default for SubnetTrust {
    /// Everybody's option chooses the site, nobody's tells internal addresses.
    fn default() -> Self {
        Self {
            resolvers: Vec::new(),
            strangers: true,
        }
    }
}

impl SubnetTrust {
    /// The option of a query from this source, if it is heeded.
    pub(crate) fn heed(&self, source: IpAddr, network: IpNet) -> Option<ClientSubnet> {
        let trusted = self.resolvers.iter().any(|resolvers| resolvers.contains(&source));
        (trusted || self.strangers).then_some(ClientSubnet { network, trusted })
    }
}

/// What connections may take (RFC 7766 section 6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLimits {
    /// A connection without a whole query for this long is closed. Past half of `connections` it is a
    /// tenth of this.
    pub idle: Duration,
    /// A client that does not take its replies for this long is cut off.
    pub write: Duration,
    /// A connection whose PROXY header or handshake takes longer is closed.
    pub handshake: Duration,
    /// Connections in all; others are closed at once.
    pub connections: usize,
    /// Connections per client: an IPv4 address or an IPv6 /56. Past half of `connections` a client that has
    /// a sixteenth of this gets no more.
    pub connections_per_client: usize,
    /// Zone transfers at a time, in all; further ones are refused until one has ended.
    pub transfers: usize,
    /// Exchanges at a time in one connection over HTTPS or QUIC.
    pub streams_per_connection: u16,
}

impl Default for StreamLimits {
    /// Ten seconds for idle connections: long enough for a resolver to send the next query, short
    /// enough that idle connections do not pile up (RFC 7766 section 6.2.3). A connection costs some
    /// ten kilobytes, with TLS fifty.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(10),
            write: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            connections: 4096,
            connections_per_client: 128,
            transfers: 16,
            streams_per_connection: 100,
        }
    }
}

impl StreamLimits {
    /// How many connections a client may have while so many are open in all. When they run short, those who
    /// have many wait for those who have none.
    pub(crate) fn per_client_with(&self, open: usize) -> usize {
        if open > self.connections / 2 {
            (self.connections_per_client / 16).max(1)
        } else {
            self.connections_per_client
        }
    }

    /// How long a connection may be idle while so many are open.
    pub(crate) fn idle_with(&self, open: usize) -> Duration {
        if open > self.connections / 2 {
            self.idle / 10
        } else {
            self.idle
        }
    }
}

/// How the server ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// How long queries are still welcome after readiness is gone, so that load balancers notice.
    pub notice: Duration,
    /// How long open connections may take to end after that.
    pub limit: Duration,
}

impl Default for Drain {
    /// No notice, since not everybody has a load balancer; two seconds for connections.
    fn default() -> Self {
        Self {
            notice: Duration::ZERO,
            limit: Duration::from_secs(2),
        }
    }
}

/// The current settings, shared by all listeners. Clones are the same settings.
#[derive(Debug, Clone)]
pub struct SharedSettings(Arc<ArcSwap<Settings>>);

impl SharedSettings {
    /// Settings that start like that. A server has its own: [`crate::DnsServer::settings`].
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(settings)))
    }

    /// The settings of this moment, to keep as long as needed.
    pub fn load(&self) -> Arc<Settings> {
        self.0.load_full()
    }

    /// Replaces the settings; the next message sees them.
    pub fn store(&self, settings: Settings) {
        self.0.store(Arc::new(settings));
    }

    /// Changes a part of the settings. Another writer's change of another part is never lost: if there
    /// was one meanwhile, `change` is applied to what that one made.
    pub fn update(&self, change: impl Fn(&mut Settings)) {
        self.0.rcu(|settings| {
            let mut next = Settings::clone(settings);
            change(&mut next);
            next
        });
    }

    /// For one short, synchronous use.
    pub(crate) fn peek(&self) -> Guard<Arc<Settings>> {
        self.0.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_shorten_the_time_of_each_and_the_share_of_a_client() {
        let limits = StreamLimits {
            connections: 10,
            ..StreamLimits::default()
        };
        assert_eq!(limits.idle_with(5), limits.idle);
        assert_eq!(limits.idle_with(6), limits.idle / 10);
        assert_eq!((limits.per_client_with(5), limits.per_client_with(6)), (128, 8));
        let few = StreamLimits {
            connections_per_client: 3,
            ..limits
        };
        assert_eq!((few.per_client_with(5), few.per_client_with(6)), (3, 1));
    }

    #[test]
    fn subnets_are_believed_from_whom_they_shall_be() {
        let network = |text: &str| text.parse::<IpNet>().expect("a network");
        let check = |strangers, source: [u8; 4], expected: Option<bool>| {
            let trust = SubnetTrust {
                resolvers: vec![network("192.0.2.0/24")],
                strangers,
            };
            let heeded = trust.heed(source.into(), network("198.51.100.0/24"));
            assert_eq!(heeded.map(|subnet| subnet.trusted), expected, "{strangers} {source:?}");
        };
        check(true, [192, 0, 2, 9], Some(true));
        check(true, [192, 0, 3, 9], Some(false));
        check(false, [192, 0, 2, 9], Some(true));
        check(false, [192, 0, 3, 9], None);
        let default = SubnetTrust::default().heed([192, 0, 2, 9].into(), network("0.0.0.0/0"));
        assert_eq!(default.map(|subnet| subnet.trusted), Some(false));
    }
}
