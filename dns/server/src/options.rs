//! The options of a query's OPT record: those that ask for something, read to the letter.
//!
//! What must stay true: options may come in any order, unknown ones are skipped (RFC 6891 section
//! 6.1.2), and a list that is cut short is malformed. A Client Subnet option that is not exactly what
//! RFC 7871 section 6 says is malformed (section 7.1.2): a wrong network would choose a wrong site.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::edns::code;
use crate::request::number;

/// What the options of a query say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    /// The server's identifier is asked for (RFC 5001).
    pub(crate) nsid: bool,
    /// Ask on behalf of this network (RFC 7871).
    pub(crate) subnet: Option<IpNet>,
    /// RFC 7873.
    pub(crate) cookie: Option<CookieOption<'a>>,
    /// The time to keep an idle connection is asked for (RFC 7828).
    pub(crate) keepalive: bool,
    /// The query is padded, and so shall the reply be (RFC 8467 section 4.1).
    pub(crate) padding: bool,
}

/// The two parts of a cookie option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CookieOption<'a> {
    /// Chosen by the client.
    pub(crate) client: [u8; 8],
    /// What a server gave it, 8 to 32 octets; empty at the first contact.
    pub(crate) server: &'a [u8],
}

impl<'a> Options<'a> {
    /// Reads the list; `None` if it, or an option that matters here, is malformed.
    pub(crate) fn read(mut list: &'a [u8]) -> Option<Self> {
        let mut found = Self::default();
        while !list.is_empty() {
            let (code, length) = (number(list, 0)?, usize::from(number(list, 2)?));
            let data = list.get(4..4 + length)?;
            match code {
                code::NSID => found.nsid = true,
                code::KEEPALIVE => found.keepalive = true,
                code::PADDING => found.padding = true,
                // Two networks would be two questions.
                code::CLIENT_SUBNET if found.subnet.replace(subnet(data)?).is_some() => return None,
                // RFC 7873 section 5.2: the first one counts.
                code::COOKIE if found.cookie.is_none() => found.cookie = Some(cookie(data)?),
                _ => {}
            }
            list = list.get(4 + length..)?;
        }
        Some(found)
    }
}

/// RFC 7873 section 4: 8 octets of the client, and none or 8 to 32 of the server.
fn cookie(data: &[u8]) -> Option<CookieOption<'_>> {
    let (client, server) = data.split_first_chunk::<8>()?;
    matches!(server.len(), 0 | 8..=32).then_some(CookieOption {
        client: *client,
        server,
    })
}

/// RFC 7871 section 6. The address has exactly the octets that the prefix needs, no bit is set beyond
/// it, and the scope of a query is 0.
fn subnet(data: &[u8]) -> Option<IpNet> {
    let [0, family, prefix, 0, octets @ ..] = data else {
        return None;
    };
    if octets.len() != usize::from(*prefix).div_ceil(8) {
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

/// The data of the Client Subnet option of a reply.
pub(crate) fn subnet_reply(network: IpNet, scope: u8) -> Vec<u8> {
    let (family, octets) = match network.network() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let mut data = vec![0, family, network.prefix_len(), scope];
    data.extend(&octets[..usize::from(network.prefix_len()).div_ceil(8)]);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(option: &[u8], expected: Option<&str>) {
        let expected = expected.map(|text| text.parse::<IpNet>().expect("a network"));
        assert_eq!(subnet(option), expected, "{option:?}");
        if let Some(network) = expected {
            assert_eq!(subnet_reply(network, 0), option, "as it came");
        }
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
    fn options_come_in_any_order_and_unknown_ones_are_skipped() {
        let parts: [&[u8]; 5] = [
            &[0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2],
            &[0, 3, 0, 0],
            &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0xff, 0, 0, 1, 7],
            &[0, 12, 0, 2, 0, 0],
        ];
        let forward = parts.concat();
        let read = Options::read(&forward).expect("well-formed");
        assert!(read.nsid && read.padding && !read.keepalive);
        assert_eq!(read.cookie.map(|cookie| cookie.client), Some([1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(read.subnet.map(|network| network.prefix_len()), Some(24));
        let backward: Vec<u8> = parts.iter().rev().flat_map(|part| part.iter().copied()).collect();
        assert_eq!(Options::read(&backward), Some(read));
    }

    #[test]
    fn what_is_cut_short_or_said_twice_is_malformed() {
        assert_eq!(Options::read(&[0, 3, 0, 2, 9]), None);
        assert_eq!(Options::read(&[0, 3, 0]), None);
        assert_eq!(Options::read(&[0, 8, 0, 4, 0, 1, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0]), None);
        for length in 0..=48_u16 {
            let option = [&[0, 10][..], &length.to_be_bytes(), &vec![7; usize::from(length)]].concat();
            assert_eq!(
                Options::read(&option).is_some(),
                matches!(length, 8 | 16..=40),
                "{length}"
            );
        }
    }
}
