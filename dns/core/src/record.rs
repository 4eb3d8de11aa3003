//! Record sets: what an answer is made of (RFC 1035, RFC 2782, RFC 3596, RFC 9460).
//!
//! A [`RecordSet`] has one name, one type and one time to live. Data is ordered, because equal worlds
//! must give equal bytes.
//!
//! Data has fields where an answer must look inside: addresses, targets that may have addresses here,
//! aliases, the start of authority. Everything else is [`RecordData::Opaque`], the octets of the wire
//! (RFC 3597): a type that nobody has invented yet is served as well as TXT is. Refused: a variant per
//! type, which would be a second wire library. The octets are here because signatures and journals are
//! made of them; reading text is the server's.

pub(crate) mod octets;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{DnsName, RecordType, presentation};

/// The fields of a start of authority, times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Soa {
    /// Primary name server.
    pub primary: DnsName,
    /// Mailbox of the person in charge, as a name.
    pub mailbox: DnsName,
    /// Grows with every change (RFC 1982 arithmetic, see [`crate::serial`]).
    pub serial: u32,
    /// How often secondaries ask.
    pub refresh: u32,
    /// How soon they ask again after a failure.
    pub retry: u32,
    /// When they give up the zone.
    pub expire: u32,
    /// TTL of negative answers (RFC 2308).
    pub minimum: u32,
}

/// One service location (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Srv {
    /// Lower is tried first.
    pub priority: u16,
    /// Share among equals.
    pub weight: u16,
    /// Port of the service.
    pub port: u16,
    /// Host; never an alias.
    pub target: DnsName,
}

/// A mail exchange (RFC 1035 section 3.3.9).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// Host; never an alias.
    pub exchange: DnsName,
}

/// A service binding (RFC 9460 section 2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Svcb {
    /// 0 makes the record an alias, otherwise lower is tried first.
    pub priority: u16,
    /// Host; the root stands for the owner name.
    pub target: DnsName,
    /// Parameters by key, each value in its wire form. The map keeps the order that section 2.2 asks
    /// for.
    pub parameters: BTreeMap<u16, Arc<[u8]>>,
}

/// Keys of [`Svcb::parameters`] (RFC 9460 section 14.3.2).
pub mod parameter {
    /// Protocols, each with a length octet in front.
    pub const ALPN: u16 = 1;
    /// Port, two octets.
    pub const PORT: u16 = 3;
    /// IPv4 addresses, four octets each.
    pub const IPV4_HINT: u16 = 4;
    /// IPv6 addresses, sixteen octets each.
    pub const IPV6_HINT: u16 = 6;
}

/// Data of a type that answers need not understand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opaque {
    /// The type; not one that has a variant in [`RecordData`].
    pub record_type: RecordType,
    /// The wire form in the canonical form of RFC 4034 section 6.2: names not compressed, and in lower
    /// case where that section says so.
    pub octets: Arc<[u8]>,
}

/// The data of one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecordData {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Alias.
    Cname(DnsName),
    /// Alias of everything below.
    Dname(DnsName),
    /// Name server.
    Ns(DnsName),
    /// Start of authority.
    Soa(Soa),
    /// Service location.
    Srv(Srv),
    /// Mail exchange.
    Mx(Mx),
    /// Service binding.
    Svcb(Svcb),
    /// Service binding for HTTPS.
    Https(Svcb),
    /// Any other type.
    Opaque(Opaque),
}

impl RecordData {
    /// The type of this data.
    pub const fn record_type(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::Aaaa,
            Self::Cname(_) => RecordType::Cname,
            Self::Dname(_) => RecordType::Dname,
            Self::Ns(_) => RecordType::Ns,
            Self::Soa(_) => RecordType::Soa,
            Self::Srv(_) => RecordType::Srv,
            Self::Mx(_) => RecordType::Mx,
            Self::Svcb(_) => RecordType::Svcb,
            Self::Https(_) => RecordType::Https,
            Self::Opaque(opaque) => opaque.record_type,
        }
    }

    /// The host that a client of this record asks for next, if its addresses may be sent along: of NS
    /// and MX (RFC 1035 section 3.3), SRV (RFC 2782) and service bindings (RFC 9460 section 4.1).
    pub fn target(&self) -> Option<&DnsName> {
        let target = match self {
            Self::Ns(server) => server,
            Self::Mx(mx) => &mx.exchange,
            Self::Srv(srv) => &srv.target,
            Self::Svcb(binding) | Self::Https(binding) => &binding.target,
            _ => return None,
        };
        // The root says "none" (RFC 2782, RFC 7505) or "the owner" (RFC 9460).
        (*target != DnsName::root()).then_some(target)
    }
}

impl fmt::Display for RecordData {
    /// Presentation form (RFC 1035 section 5), or that of RFC 3597 for a type without one here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => address.fmt(f),
            Self::Aaaa(address) => address.fmt(f),
            Self::Cname(name) | Self::Dname(name) | Self::Ns(name) => name.fmt(f),
            Self::Soa(soa) => write!(
                f,
                "{} {} {} {} {} {} {}",
                soa.primary, soa.mailbox, soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum
            ),
            Self::Srv(srv) => write!(f, "{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target),
            Self::Mx(mx) => write!(f, "{} {}", mx.preference, mx.exchange),
            Self::Svcb(binding) | Self::Https(binding) => presentation::binding(binding, f),
            Self::Opaque(opaque) => presentation::opaque(opaque, f),
        }
    }
}

/// All data of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// Owner name.
    pub name: DnsName,
    /// Seconds a resolver may keep it: what is sent.
    pub ttl: u32,
    /// The TTL of the set as published, which signatures cover (RFC 4034 section 3.1.4). What is sent
    /// is never above it, and is below it while a name is degraded and in negative answers.
    pub original_ttl: u32,
    /// One or more data of the same type.
    pub data: Vec<RecordData>,
}

impl RecordSet {
    /// A set whose published TTL is what is sent.
    pub fn new(name: DnsName, ttl: u32, data: Vec<RecordData>) -> Self {
        Self {
            name,
            ttl,
            original_ttl: ttl,
            data,
        }
    }

    /// The type of the data; `None` for a set without any.
    pub fn record_type(&self) -> Option<RecordType> {
        self.data.first().map(RecordData::record_type)
    }
}

impl fmt::Display for RecordSet {
    /// Zone file lines (RFC 1035 section 5), one per record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, data) in self.data.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{} {} IN {} {data}", self.name, self.ttl, data.record_type())?;
        }
        Ok(())
    }
}
