//! Record data and its octets: not compressed, names in lower case (RFC 4034 section 6.2).
//!
//! What must stay true: what is read is what was written, and no octets make the reader fail in
//! another way than by saying that they are not data of their type. Types that nothing here looks into
//! pass through as they are. Targets of service bindings are in lower case too, since all names here
//! are: what is signed is what is sent.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Mx, Opaque, RecordData, Soa, Srv, Svcb};
use crate::{DnsName, RecordType};

impl RecordData {
    /// The data of that type that these octets are; `None` if they are not.
    pub fn from_octets(record_type: RecordType, octets: &[u8]) -> Option<Self> {
        let mut rest = Octets(octets);
        let data = match record_type {
            RecordType::A => Self::A(Ipv4Addr::from(rest.array::<4>()?)),
            RecordType::Aaaa => Self::Aaaa(Ipv6Addr::from(rest.array::<16>()?)),
            RecordType::Cname => Self::Cname(rest.name()?),
            RecordType::Dname => Self::Dname(rest.name()?),
            RecordType::Ns => Self::Ns(rest.name()?),
            RecordType::Soa => Self::Soa(Soa {
                primary: rest.name()?,
                mailbox: rest.name()?,
                serial: rest.long()?,
                refresh: rest.long()?,
                retry: rest.long()?,
                expire: rest.long()?,
                minimum: rest.long()?,
            }),
            RecordType::Srv => Self::Srv(Srv {
                priority: rest.short()?,
                weight: rest.short()?,
                port: rest.short()?,
                target: rest.name()?,
            }),
            RecordType::Mx => Self::Mx(Mx {
                preference: rest.short()?,
                exchange: rest.name()?,
            }),
            RecordType::Svcb => Self::Svcb(rest.binding()?),
            RecordType::Https => Self::Https(rest.binding()?),
            RecordType::Any => return None,
            RecordType::Ds | RecordType::Other(_) => {
                rest.0 = &[];
                Self::Opaque(Opaque {
                    record_type,
                    octets: octets.into(),
                })
            }
        };
        rest.0.is_empty().then_some(data)
    }

    /// The octets of this data: the canonical form, which is what is sent and what is signed.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        match self {
            Self::A(address) => octets.extend(address.octets()),
            Self::Aaaa(address) => octets.extend(address.octets()),
            Self::Cname(name) | Self::Dname(name) | Self::Ns(name) => push_name(&mut octets, name),
            Self::Soa(soa) => {
                push_name(&mut octets, &soa.primary);
                push_name(&mut octets, &soa.mailbox);
                for number in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
                    octets.extend(number.to_be_bytes());
                }
            }
            Self::Srv(srv) => {
                for number in [srv.priority, srv.weight, srv.port] {
                    octets.extend(number.to_be_bytes());
                }
                push_name(&mut octets, &srv.target);
            }
            Self::Mx(mx) => {
                octets.extend(mx.preference.to_be_bytes());
                push_name(&mut octets, &mx.exchange);
            }
            Self::Svcb(binding) | Self::Https(binding) => {
                octets.extend(binding.priority.to_be_bytes());
                push_name(&mut octets, &binding.target);
                for (key, value) in &binding.parameters {
                    octets.extend(key.to_be_bytes());
                    // A value that does not fit its length field cannot have been read from anywhere.
                    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
                    octets.extend(length.to_be_bytes());
                    octets.extend(value.iter().take(usize::from(length)));
                }
            }
            Self::Opaque(opaque) => octets.extend(&*opaque.octets),
        }
        octets
    }
}

fn push_name(octets: &mut Vec<u8>, name: &DnsName) {
    octets.extend(name.to_octets());
}

/// Octets that are read from the front; `None` where they end too early.
pub(crate) struct Octets<'a>(pub(crate) &'a [u8]);

impl<'a> Octets<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn long(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn name(&mut self) -> Option<DnsName> {
        let mut labels = Vec::new();
        loop {
            match self.take(1)? {
                [0] => return DnsName::from_labels(labels).ok(),
                [length @ 1..=63] => labels.push(self.take(usize::from(*length))?),
                _ => return None,
            }
        }
    }

    /// RFC 9460 section 2.2: keys in ascending order, each once.
    fn binding(&mut self) -> Option<Svcb> {
        let (priority, target) = (self.short()?, self.name()?);
        let mut parameters = BTreeMap::new();
        while !self.0.is_empty() {
            let (key, length) = (self.short()?, self.short()?);
            if parameters.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return None;
            }
            parameters.insert(key, self.take(usize::from(length))?.into());
        }
        Some(Svcb {
            priority,
            target,
            parameters,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(record_type: u16, octets: &[u8], expected: &str) {
        let record_type = RecordType::from(record_type);
        let data = RecordData::from_octets(record_type, octets).expect("data of the type");
        assert_eq!(data.to_string(), expected);
        assert_eq!(data.record_type(), record_type);
        assert_eq!(data.to_octets(), octets);
        // Neither less nor more is taken for it, unless nobody looks inside.
        if !matches!(data, RecordData::Opaque(_)) {
            for length in 0..octets.len() {
                let shorter = RecordData::from_octets(record_type, &octets[..length]);
                assert!(shorter.is_none_or(|data| data.to_octets() == octets[..length]));
            }
            assert_eq!(RecordData::from_octets(record_type, &[octets, b"\0"].concat()), None);
        }
    }

    #[test]
    fn data_is_what_was_written() {
        check(1, &[192, 0, 2, 1], "192.0.2.1");
        check(28, &[0; 16], "::");
        check(2, b"\x02ns\x04test\x00", "ns.test.");
        check(5, b"\x00", ".");
        check(39, b"\x01a\x00", "a.");
        check(15, b"\x00\x0a\x01m\x00", "10 m.");
        check(33, b"\x00\x01\x00\x02\x00\x50\x01s\x00", "1 2 80 s.");
        let soa = [&b"\x01p\x00\x01m\x00"[..], &[0, 0, 0, 1].repeat(5)].concat();
        check(6, &soa, "p. m. 1 1 1 1 1");
        check(
            65,
            b"\x00\x01\x00\x00\x01\x00\x03\x02h2\x00\x03\x00\x02\x01\xbb",
            "1 . alpn=h2 port=443",
        );
        check(64, b"\x00\x00\x01t\x00", "0 t.");
        check(43, &[1, 2, 13, 2, 0xab], r"\# 5 01020D02AB");
        check(65280, &[], r"\# 0");
    }

    #[test]
    fn octets_that_are_not_of_their_type_are_refused() {
        // A pointer, an extended label, a name without an end, keys out of order.
        assert_eq!(RecordData::from_octets(RecordType::Ns, &[0xc0, 0x0c]), None);
        assert_eq!(RecordData::from_octets(RecordType::Ns, &[0x40, 0]), None);
        assert_eq!(RecordData::from_octets(RecordType::Ns, b"\x01a"), None);
        assert_eq!(
            RecordData::from_octets(RecordType::Https, b"\x00\x01\x00\x00\x03\x00\x00\x00\x01\x00\x00"),
            None
        );
        assert_eq!(RecordData::from_octets(RecordType::Any, &[]), None);
    }
}
