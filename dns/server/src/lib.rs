//! The authoritative DNS server around `dns-core`: sockets and wire format, no decisions.
//!
//! What must stay true:
//! - every reply to a well-formed query is `dns_core::answer` of the [`Table`]'s snapshot at that
//!   moment; a query takes no lock across an await and waits for nothing;
//! - bad input gets an error code or silence, never a panic, and never more bytes than a good query
//!   would get;
//! - hickory's types do not leave this crate, so that the wire library can be replaced in one place.
//!
//! Refused: hickory's `Catalog` and `ZoneHandler`. They make the reply's OPT record themselves (no
//! Client Subnet scope can be returned), echo the client's buffer size without a limit, and turn a
//! SERVFAIL of the zone into NOERROR. Only hickory's sockets and codec are used.

pub mod client;
mod handler;
mod master_file;
mod octets;
mod reply;
mod request;
mod server;
mod table;
mod wire;

use std::fmt;

pub use master_file::MasterFile;
pub use server::{BindError, DnsServer, ServerConfig, Stopped};
pub use table::Table;

/// Directives for a `tracing` filter that keep the wire library below the level of per-query lines:
/// it logs every reply at INFO and every malformed option at WARN, which anybody on the network
/// could use to fill a disk. This crate logs queries at DEBUG.
pub const LOG_DIRECTIVES: &str = "hickory_server=warn,hickory_net=error,hickory_proto=error";

/// The largest reply sent over UDP: what passes an Ethernet path with tunnels without being cut into
/// fragments, which firewalls drop and attackers forge (DNS flag day 2020).
pub const MAX_UDP_PAYLOAD: u16 = 1232;

/// How a DNS message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram per message.
    Udp,
    /// A stream with a length before each message (RFC 7766).
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}
