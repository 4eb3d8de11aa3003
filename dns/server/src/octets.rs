//! Record data and its octets: not compressed, names in lower case (RFC 4034 section 6.2).
//!
//! What must stay true: what is read is what was written, and no octets make the reader fail in
//! another way than by saying that they are not data of their type. Types that `dns-core` does not
//! look into pass through as they are.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use meridian_dns_core::{DnsName, Mx, Opaque, RecordData, RecordType, Soa, Srv, Svcb};

/// The data of that type that these octets are; `None` if they are not.
pub(crate) fn read(record_type: RecordType, octets: &[u8]) -> Option<RecordData> {
    let mut rest = Octets(octets);
    let data = match record_type {
        RecordType::A => RecordData::A(Ipv4Addr::from(rest.array::<4>()?)),
        RecordType::Aaaa => RecordData::Aaaa(Ipv6Addr::from(rest.array::<16>()?)),
        RecordType::Cname => RecordData::Cname(rest.name()?),
        RecordType::Dname => RecordData::Dname(rest.name()?),
        RecordType::Ns => RecordData::Ns(rest.name()?),
        RecordType::Soa => RecordData::Soa(Soa {
            primary: rest.name()?,
            mailbox: rest.name()?,
            serial: rest.long()?,
            refresh: rest.long()?,
            retry: rest.long()?,
            expire: rest.long()?,
            minimum: rest.long()?,
        }),
        RecordType::Srv => RecordData::Srv(Srv {
            priority: rest.short()?,
            weight: rest.short()?,
            port: rest.short()?,
            target: rest.name()?,
        }),
        RecordType::Mx => RecordData::Mx(Mx {
            preference: rest.short()?,
            exchange: rest.name()?,
        }),
        RecordType::Svcb => RecordData::Svcb(rest.binding()?),
        RecordType::Https => RecordData::Https(rest.binding()?),
        RecordType::Any => return None,
        RecordType::Ds | RecordType::Other(_) => {
            rest.0 = &[];
            RecordData::Opaque(Opaque {
                record_type,
                octets: octets.into(),
            })
        }
    };
    rest.0.is_empty().then_some(data)
}

/// The octets of data.
pub(crate) fn write(data: &RecordData) -> Vec<u8> {
    let mut octets = Vec::new();
    match data {
        RecordData::A(address) => octets.extend(address.octets()),
        RecordData::Aaaa(address) => octets.extend(address.octets()),
        RecordData::Cname(name) | RecordData::Dname(name) | RecordData::Ns(name) => push_name(&mut octets, name),
        RecordData::Soa(soa) => {
            push_name(&mut octets, &soa.primary);
            push_name(&mut octets, &soa.mailbox);
            for number in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
                octets.extend(number.to_be_bytes());
            }
        }
        RecordData::Srv(srv) => {
            for number in [srv.priority, srv.weight, srv.port] {
                octets.extend(number.to_be_bytes());
            }
            push_name(&mut octets, &srv.target);
        }
        RecordData::Mx(mx) => {
            octets.extend(mx.preference.to_be_bytes());
            push_name(&mut octets, &mx.exchange);
        }
        RecordData::Svcb(binding) | RecordData::Https(binding) => {
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
        RecordData::Opaque(opaque) => octets.extend(&*opaque.octets),
    }
    octets
}

fn push_name(octets: &mut Vec<u8>, name: &DnsName) {
    octets.extend(name.to_octets());
}

struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn long(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn name(&mut self) -> Option<DnsName> {
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
        let data = read(record_type, octets).expect("data of the type");
        assert_eq!(data.to_string(), expected);
        assert_eq!(data.record_type(), record_type);
        assert_eq!(write(&data), octets);
        // Neither less nor more is taken for it, unless nobody looks inside.
        if !matches!(data, RecordData::Opaque(_)) {
            for length in 0..octets.len() {
                let shorter = read(record_type, &octets[..length]);
                assert!(shorter.is_none_or(|data| write(&data) == octets[..length]));
            }
            assert_eq!(read(record_type, &[octets, b"\0"].concat()), None);
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
        assert_eq!(read(RecordType::Ns, &[0xc0, 0x0c]), None);
        assert_eq!(read(RecordType::Ns, &[0x40, 0]), None);
        assert_eq!(read(RecordType::Ns, b"\x01a"), None);
        assert_eq!(
            read(RecordType::Https, b"\x00\x01\x00\x00\x03\x00\x00\x00\x01\x00\x00"),
            None
        );
        assert_eq!(read(RecordType::Any, &[]), None);
    }
}
