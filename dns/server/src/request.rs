//! From a packet to a question, or to the error code that it deserves.
//!
//! The order of the checks is the order in which a packet's meaning becomes known: the opcode says
//! what the sections mean (RFC 1035), the EDNS version what the OPT record means (RFC 6891), then
//! come the number of questions, the Client Subnet option, the class and the type.
//!
//! The options are read from the packet again, by hand. The wire library drops *all* options when one
//! of them is cut short and does not notice octets behind a Client Subnet address, and RFC 7871
//! section 7.1.2 asks for FORMERR in both cases: a wrong network would choose a wrong site.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{LowerQuery, OpCode, ResponseCode};
use hickory_proto::rr::DNSClass;
use hickory_server::server::Request;
use ipnet::IpNet;
use meridian_dns_core::{Question, RecordType};

use crate::wire;

/// A question that `dns-core` can answer.
pub(crate) struct Asked<'a> {
    /// The question as it was spelled.
    pub query: &'a LowerQuery,
    /// The question, folded.
    pub question: Question,
    /// The Client Subnet option, if there was one.
    pub subnet: Option<IpNet>,
}

/// Zone transfers (RFC 5936, RFC 1995): questions by form, but not answered by one message.
pub(crate) const AXFR: u16 = 252;
/// See [`AXFR`].
pub(crate) const IXFR: u16 = 251;

/// Reads a request; an error is the code to reply with.
pub(crate) fn read(request: &Request) -> Result<Asked<'_>, ResponseCode> {
    if request.metadata.op_code != OpCode::Query {
        return Err(ResponseCode::NotImp);
    }
    if request.version() > 0 {
        return Err(ResponseCode::BADVERS);
    }
    let [query] = request.queries.queries() else {
        return Err(ResponseCode::FormErr);
    };
    let subnet = match request.edns {
        Some(_) => options(request.as_slice())
            .and_then(client_subnet)
            .ok_or(ResponseCode::FormErr)?,
        None => None,
    };
    if query.query_class() != DNSClass::IN {
        return Err(ResponseCode::Refused);
    }
    let name = wire::from_wire(query.original().name()).map_err(|_| ResponseCode::FormErr)?;
    let question = Question {
        name,
        record_type: wire::type_from_wire(query.query_type()),
    };
    Ok(Asked {
        query,
        question,
        subnet,
    })
}

/// True for the types that ask for a whole zone.
pub(crate) fn is_transfer(record_type: RecordType) -> bool {
    matches!(record_type, RecordType::Other(AXFR | IXFR))
}

/// The data of the OPT record of a packet; `None` if there is none where the counts say.
fn options(packet: &[u8]) -> Option<&[u8]> {
    let count = |at: usize| number(packet, at).map(usize::from);
    let (questions, records) = (count(4)?, count(6)? + count(8)? + count(10)?);
    let mut at = 12;
    for _ in 0..questions {
        at = after_name(packet, at)? + 4;
    }
    for _ in 0..records {
        let fixed = after_name(packet, at)?;
        let (start, length) = (fixed + 10, usize::from(number(packet, fixed + 8)?));
        let data = packet.get(start..start + length)?;
        if number(packet, fixed)? == 41 {
            return Some(data);
        }
        at = start + length;
    }
    None
}

fn number(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?))
}

/// The position after a name; a pointer ends it (RFC 1035 section 4.1.4).
fn after_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            192.. => return Some(at + 2),
            64..=191 => return None,
        }
    }
}

/// The Client Subnet among the options: `Some(None)` if it is not there, `None` if it or the list is
/// malformed.
fn client_subnet(mut options: &[u8]) -> Option<Option<IpNet>> {
    let mut found = None;
    while !options.is_empty() {
        let (code, length) = (number(options, 0)?, usize::from(number(options, 2)?));
        let data = options.get(4..4 + length)?;
        if code == 8 && found.replace(subnet(data)?).is_some() {
            return None;
        }
        options = options.get(4 + length..)?;
    }
    Some(found)
}

/// RFC 7871 section 6. The address has exactly the octets that the prefix needs, no bit is set beyond
/// it, and the scope of a query is 0.
fn subnet(data: &[u8]) -> Option<IpNet> {
    let [_, family, prefix, 0, octets @ ..] = data else {
        return None;
    };
    let needed = usize::from(*prefix).div_ceil(8);
    if data[0] != 0 || octets.len() != needed {
        return None;
    }
    let address: IpAddr = match family {
        1 => Ipv4Addr::from(padded::<4>(octets)?).into(),
        2 => Ipv6Addr::from(padded::<16>(octets)?).into(),
        _ => return None,
    };
    IpNet::new(address, *prefix)
        .ok()
        .filter(|network| network.addr() == network.network())
}

fn padded<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut all = [0; N];
    all.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(option: &[u8], expected: Option<&str>) {
        let expected = expected.map(|text| text.parse::<IpNet>().expect("a network"));
        assert_eq!(subnet(option), expected, "{option:?}");
    }

    #[test]
    fn a_subnet_is_read_to_the_letter() {
        check(&[0, 1, 24, 0, 192, 0, 2], Some("192.0.2.0/24"));
        check(&[0, 1, 0, 0], Some("0.0.0.0/0"));
        check(&[0, 1, 20, 0, 10, 1, 0xf0], Some("10.1.240.0/20"));
        check(&[0, 2, 48, 0, 0x20, 1, 0x0d, 0xb8, 0, 7], Some("2001:db8:7::/48"));
        check(&[0, 2, 0, 0], Some("::/0"));
    }

    #[test]
    fn what_rfc_7871_calls_malformed_is_refused() {
        check(&[], None);
        check(&[0, 1, 24], None);
        // Too few and too many octets, a bit beyond the prefix, a scope, a prefix too long, families.
        check(&[0, 1, 24, 0, 192, 0], None);
        check(&[0, 1, 24, 0, 192, 0, 2, 0], None);
        check(&[0, 1, 20, 0, 10, 1, 0xff], None);
        check(&[0, 1, 24, 24, 192, 0, 2], None);
        check(&[0, 1, 33, 0, 192, 0, 2, 1, 0], None);
        check(&[0, 3, 0, 0], None);
        check(&[1, 1, 0, 0], None);
    }

    #[test]
    fn options_cut_short_are_malformed_and_others_are_skipped() {
        assert_eq!(client_subnet(&[]), Some(None));
        assert_eq!(client_subnet(&[0, 3, 0, 1, 9]), Some(None));
        assert_eq!(
            client_subnet(&[0, 3, 0, 1, 9, 0, 8, 0, 4, 0, 1, 0, 0])
                .flatten()
                .map(|n| n.prefix_len()),
            Some(0)
        );
        assert_eq!(client_subnet(&[0, 3, 0, 2, 9]), None);
        assert_eq!(client_subnet(&[0, 3, 0]), None);
        assert_eq!(client_subnet(&[0, 8, 0, 4, 0, 1, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0]), None);
    }

    #[test]
    fn no_packet_makes_the_walk_leave_its_bounds() {
        let mut packet = vec![0_u8; 12];
        packet[11] = 1;
        assert_eq!(options(&packet), None);
        packet.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
        assert_eq!(options(&packet), Some(&[1, 2, 3][..]));
        for end in 0..packet.len() {
            assert_eq!(options(&packet[..end]), None);
        }
        packet[5] = 255;
        assert_eq!(options(&packet), None);
    }
}
