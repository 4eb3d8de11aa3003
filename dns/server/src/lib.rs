//! The authoritative DNS server around `dns-core`: sockets and wire format, no decisions about names.
//!
//! One function makes every reply: [`respond`], from the octets of a message, the circumstances of
//! its arrival, the [`Settings`] and a snapshot to the octets of the reply, or to silence. It has no
//! clock, waits for nothing and is the same for UDP, TCP, TLS, HTTPS and QUIC, for the fuzz targets
//! and for the tests.
//!
//! What must stay true:
//! - every reply to a well-formed query is `dns_core::answer` of the [`Table`]'s snapshot at that
//!   moment; a query takes no lock across an await and waits for nothing;
//! - bad input gets an error code or silence, never a panic, and never more octets than a good query
//!   would get;
//! - what one client can take is bounded: connections, time, memory, and replies over UDP;
//! - hickory's types do not leave this crate, so that the wire library can be replaced in one place.
//!
//! Refused: hickory's server with its `Catalog` and its listeners. The catalog makes the reply's OPT
//! record itself (no Client Subnet scope can be returned), echoes the client's buffer size without a
//! limit, and turns a SERVFAIL of the zone into NOERROR. The listeners have no limit on connections,
//! neither in all nor per client, start a task for every datagram, read no PROXY header, answer DNS
//! over HTTPS only to POST, and drop all options of a query when one of them is malformed. Only
//! hickory's codec of names and record data is used.

mod ahead;
mod bind;
mod buckets;
mod certificate;
mod chaos;
pub mod client;
mod clock;
mod connections;
mod cookie;
mod edns;
mod extended_error;
mod https;
mod master_file;
mod notify;
mod options;
mod proxy;
mod quic;
mod rate;
mod reply;
mod request;
mod respond;
mod server;
mod service;
mod settings;
mod signed;
mod signer;
mod signing_key;
mod stream;
mod table;
mod tcp;
mod tls;
mod transfer;
mod tsig;
mod udp;
mod wire;

use std::fmt;

pub use bind::BindError;
pub use certificate::{CertificateError, CertificateFiles};
pub use cookie::{CookiePolicy, CookieSecret, Cookies};
pub use master_file::MasterFile;
pub use notify::{Notifier, Secondary};
pub use proxy::{Proxied, ProxyError, ProxyHeader, proxy_header};
pub use rate::{RateLimiter, RateLimits};
pub use respond::{Arrival, Context, Now, ReplyKind, Summary, respond, respond_in_stream};
pub use server::{DnsServer, Listener, Protocol, ServerConfig, Stopped};
pub use settings::{Drain, Identity, Settings, SharedSettings, StreamLimits, SubnetTrust};
pub use signer::{SignError, Signer, SigningLimits};
pub use signing_key::{SigningKey, SigningKeyError};
pub use table::Table;
pub use transfer::{Allowed, SharedTransfers, Transfer, TransferError, Transfers, ZoneTransfer};
pub use tsig::{TsigAlgorithm, TsigKey, TsigSecretError};

/// Directives for a `tracing` filter that keep the libraries below the level of per-query lines:
/// they log malformed messages and failed handshakes, which anybody on the network could use to fill
/// a disk. This crate logs queries at DEBUG.
pub const LOG_DIRECTIVES: &str = "hickory_proto=error,quinn=error,quinn_proto=error,rustls=error,h2=error,hyper=error";

/// The largest reply sent over UDP, and the size the OPT record offers: what passes an Ethernet path
/// with tunnels without being cut into fragments, which firewalls drop and attackers forge (DNS flag
/// day 2020).
pub const MAX_UDP_PAYLOAD: u16 = 1232;

/// How a DNS message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram per message.
    Udp,
    /// A stream with a length before each message (RFC 7766).
    Tcp,
    /// The same inside TLS (RFC 7858).
    Tls,
    /// One HTTP exchange per message (RFC 8484).
    Https,
    /// One QUIC stream per message (RFC 9250).
    Quic,
}

impl Transport {
    /// Whether nobody between can read the messages, so that their length is worth hiding.
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https | Self::Quic)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Https => "HTTPS",
            Self::Quic => "QUIC",
        })
    }
}
