//! Record sets: what an answer is made of (RFC 1035, RFC 2782, RFC 3596).
//!
//! A [`RecordSet`] has one name, one TTL and data of one type, so a set with two TTLs or mixed types
//! cannot be written down. Data is ordered, because equal worlds must give equal bytes.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::DnsName;

/// The types that answers can hold or questions can ask for; others are only ever asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// Name server.
    Ns,
    /// Alias.
    Cname,
    /// Start of authority.
    Soa,
    /// IPv6 address.
    Aaaa,
    /// Service location, RFC 2782.
    Srv,
    /// All types; answered with one set (RFC 8482).
    Any,
    /// A type without meaning here, by its number.
    Other(u16),
}

impl RecordType {
    /// The IANA number of the type.
    pub const fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Ns => 2,
            Self::Cname => 5,
            Self::Soa => 6,
            Self::Aaaa => 28,
            Self::Srv => 33,
            Self::Any => 255,
            Self::Other(number) => number,
        }
    }
}

impl From<u16> for RecordType {
    fn from(number: u16) -> Self {
        [
            Self::A,
            Self::Ns,
            Self::Cname,
            Self::Soa,
            Self::Aaaa,
            Self::Srv,
            Self::Any,
        ]
        .into_iter()
        .find(|known| known.number() == number)
        .unwrap_or(Self::Other(number))
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A => f.write_str("A"),
            Self::Ns => f.write_str("NS"),
            Self::Cname => f.write_str("CNAME"),
            Self::Soa => f.write_str("SOA"),
            Self::Aaaa => f.write_str("AAAA"),
            Self::Srv => f.write_str("SRV"),
            Self::Any => f.write_str("ANY"),
            Self::Other(number) => write!(f, "TYPE{number}"),
        }
    }
}

/// The fields of a start of authority, times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Soa {
    /// Primary name server.
    pub primary: DnsName,
    /// Mailbox of the person in charge, as a name.
    pub mailbox: DnsName,
    /// Grows with every change (RFC 1982 arithmetic).
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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

/// The data of one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordData {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Alias.
    Cname(DnsName),
    /// Name server.
    Ns(DnsName),
    /// Start of authority.
    Soa(Soa),
    /// Service location.
    Srv(Srv),
}

impl RecordData {
    /// The type of this data.
    pub const fn record_type(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::Aaaa,
            Self::Cname(_) => RecordType::Cname,
            Self::Ns(_) => RecordType::Ns,
            Self::Soa(_) => RecordType::Soa,
            Self::Srv(_) => RecordType::Srv,
        }
    }
}

impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => address.fmt(f),
            Self::Aaaa(address) => address.fmt(f),
            Self::Cname(name) | Self::Ns(name) => name.fmt(f),
            Self::Soa(soa) => write!(
                f,
                "{} {} {} {} {} {} {}",
                soa.primary, soa.mailbox, soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum
            ),
            Self::Srv(srv) => write!(f, "{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target),
        }
    }
}

/// All data of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Owner name.
    pub name: DnsName,
    /// Seconds a resolver may keep it.
    pub ttl: u32,
    /// One or more data of the same type.
    pub data: Vec<RecordData>,
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
