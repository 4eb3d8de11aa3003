//! The PROXY protocol, version 2: the client's true address, told by a load balancer.
//!
//! The header stands before the first octet of a connection, TLS included, or before the message in
//! each datagram. What must stay true:
//! - a sender in the listener's list must send a header, and nobody else may: a header is never
//!   guessed at, or anybody could claim any address;
//! - what is not understood ends the connection or drops the datagram; version 1, which is text, is
//!   not understood;
//! - `LOCAL`, a health check of the balancer itself, and an unspecified family leave the address of
//!   the packet.
//!
//! Refused: PROXY headers before QUIC. A header in front of some of a connection's datagrams would
//! let its addresses change within the connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What every header starts with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Octets before the addresses.
const FIXED: usize = 16;

/// Octets of addresses and extensions that are taken: far more than balancers send.
const LONGEST: usize = 2048;

/// Whether the header stands before a stream or before a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxied {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
}

/// A header that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client's address; `None` leaves that of the packet.
    pub client: Option<IpAddr>,
    /// Octets of the header.
    pub length: usize,
}

/// Why octets are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// There may be one when more has come.
    #[error("the PROXY header is not complete")]
    Incomplete,
    /// Something else.
    #[error("there is no PROXY header of version 2")]
    NotAHeader,
    /// A version, a command, a family or a length that is not understood.
    #[error("the PROXY header is malformed")]
    Malformed,
}

/// Reads the header that the octets start with.
pub fn proxy_header(octets: &[u8], kind: Proxied) -> Result<ProxyHeader, ProxyError> {
    let known = octets.len().min(SIGNATURE.len());
    if octets[..known] != SIGNATURE[..known] {
        return Err(ProxyError::NotAHeader);
    }
    let Some([command, family, high, low]) = octets.get(12..FIXED) else {
        return Err(ProxyError::Incomplete);
    };
    let behind = usize::from(u16::from_be_bytes([*high, *low]));
    if behind > LONGEST {
        return Err(ProxyError::Malformed);
    }
    let length = FIXED + behind;
    let client = match (command, family >> 4, family & 0x0f, kind) {
        (0x20, ..) | (0x21, 0, ..) => None,
        (0x21, 1, 1, Proxied::Stream) | (0x21, 1, 2, Proxied::Datagram) if behind >= 12 => Some(4),
        (0x21, 2, 1, Proxied::Stream) | (0x21, 2, 2, Proxied::Datagram) if behind >= 36 => Some(16),
        _ => return Err(ProxyError::Malformed),
    };
    let octets = octets.get(FIXED..length).ok_or(ProxyError::Incomplete)?;
    let client = match client {
        Some(4) => octets.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        Some(_) => octets
            .first_chunk::<16>()
            .map(|octets| Ipv6Addr::from(*octets).to_canonical()),
        None => None,
    };
    Ok(ProxyHeader { client, length })
}

/// Whether the octets start like a header, which only some senders may do.
pub(crate) fn looks_proxied(octets: &[u8]) -> bool {
    octets.starts_with(SIGNATURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).expect("short").to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, addresses].concat()
    }

    fn check(octets: &[u8], kind: Proxied, expected: Result<Option<&str>, ProxyError>) {
        let expected = expected.map(|client| client.map(|text| text.parse::<IpAddr>().expect("an address")));
        let found = proxy_header(&[octets, b"DNS"].concat(), kind);
        assert_eq!(found.map(|header| header.client), expected, "{octets:?}");
        if let Ok(header) = found {
            assert_eq!(header.length, octets.len());
            for end in 0..octets.len() {
                assert_eq!(proxy_header(&octets[..end], kind), Err(ProxyError::Incomplete), "{end}");
            }
        }
    }

    #[test]
    fn the_source_address_of_both_families_is_read() {
        use Proxied::{Datagram, Stream};
        use ProxyError::Malformed;
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 1, 2, 0, 53];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
        v6[15] = 9;
        check(&header(0x21, 0x11, &v4), Stream, Ok(Some("192.0.2.7")));
        check(&header(0x21, 0x12, &v4), Datagram, Ok(Some("192.0.2.7")));
        check(&header(0x21, 0x21, &v6), Stream, Ok(Some("2001:db8::9")));
        check(&header(0x21, 0x22, &v6), Datagram, Ok(Some("2001:db8::9")));
        // With extensions behind the addresses.
        check(
            &header(0x21, 0x11, &[&v4[..], &[4, 0, 1, 0]].concat()),
            Stream,
            Ok(Some("192.0.2.7")),
        );
        // A health check, and a family that says nothing.
        check(&header(0x20, 0x00, &[]), Stream, Ok(None));
        check(&header(0x20, 0x11, &v4), Stream, Ok(None));
        check(&header(0x21, 0x00, &[]), Datagram, Ok(None));
        // The wrong kind, too few octets, an unknown command, version and family.
        check(&header(0x21, 0x12, &v4), Stream, Err(Malformed));
        check(&header(0x21, 0x11, &v4), Datagram, Err(Malformed));
        check(&header(0x21, 0x11, &v4[..11]), Stream, Err(Malformed));
        check(&header(0x22, 0x11, &v4), Stream, Err(Malformed));
        check(&header(0x11, 0x11, &v4), Stream, Err(Malformed));
        check(&header(0x21, 0x31, &[0; 216]), Stream, Err(Malformed));
        check(&header(0x21, 0x11, &[0; 3000]), Stream, Err(Malformed));
        check(
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1 53\r\n",
            Stream,
            Err(ProxyError::NotAHeader),
        );
    }
}
