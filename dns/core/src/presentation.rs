//! The presentation form of data that has no fields here.
//!
//! TXT is shown as strings, since people read it; of service bindings the common parameters are shown
//! by name, the others by number (RFC 9460 section 2.1); everything else has the form `\# length
//! octets` of RFC 3597 section 5, which every zone file reader understands. Octets that are not what
//! their type asks for also get that form, so that nothing is hidden.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::record::{Opaque, Svcb, parameter};

const TXT: u16 = 16;

pub(crate) fn opaque(opaque: &Opaque, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if opaque.record_type.number() == TXT
        && let Some(strings) = character_strings(&opaque.octets)
    {
        for (position, string) in strings.into_iter().enumerate() {
            f.write_str(if position > 0 { " \"" } else { "\"" })?;
            escaped(string, f)?;
            f.write_str("\"")?;
        }
        return Ok(());
    }
    write!(f, "\\# {}", opaque.octets.len())?;
    if !opaque.octets.is_empty() {
        f.write_str(" ")?;
    }
    opaque.octets.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
}

pub(crate) fn binding(binding: &Svcb, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} {}", binding.priority, binding.target)?;
    for (key, value) in &binding.parameters {
        if let Some(text) = known_parameter(*key, value) {
            write!(f, " {text}")?;
            continue;
        }
        write!(f, " key{key}")?;
        if !value.is_empty() {
            f.write_str("=\"")?;
            escaped(value, f)?;
            f.write_str("\"")?;
        }
    }
    Ok(())
}

fn known_parameter(key: u16, value: &[u8]) -> Option<String> {
    let list = |items: Vec<String>| (!items.is_empty()).then(|| items.join(","));
    match key {
        parameter::ALPN => {
            let plain = |id: &&[u8]| {
                id.iter()
                    .all(|octet| octet.is_ascii_alphanumeric() || b"-./".contains(octet))
            };
            let ids = character_strings(value)?;
            let text = ids
                .iter()
                .filter(|id| plain(id))
                .map(|id| String::from_utf8_lossy(id).into_owned())
                .collect::<Vec<_>>();
            (text.len() == ids.len())
                .then(|| list(text))
                .flatten()
                .map(|text| format!("alpn={text}"))
        }
        parameter::PORT => {
            let port: [u8; 2] = value.try_into().ok()?;
            Some(format!("port={}", u16::from_be_bytes(port)))
        }
        parameter::IPV4_HINT => {
            let (hints, []) = value.as_chunks::<4>() else {
                return None;
            };
            list(hints.iter().map(|hint| Ipv4Addr::from(*hint).to_string()).collect())
                .map(|text| format!("ipv4hint={text}"))
        }
        parameter::IPV6_HINT => {
            let (hints, []) = value.as_chunks::<16>() else {
                return None;
            };
            list(hints.iter().map(|hint| Ipv6Addr::from(*hint).to_string()).collect())
                .map(|text| format!("ipv6hint={text}"))
        }
        _ => None,
    }
}

/// One or more strings, each with its length in front; `None` if the octets are something else.
fn character_strings(mut octets: &[u8]) -> Option<Vec<&[u8]>> {
    let mut strings = Vec::new();
    while let Some((length, rest)) = octets.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*length))?;
        strings.push(string);
        octets = rest;
    }
    (!strings.is_empty()).then_some(strings)
}

fn escaped(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for octet in octets {
        match octet {
            b'"' | b'\\' => write!(f, "\\{}", char::from(*octet))?,
            b' '..=b'~' => write!(f, "{}", char::from(*octet))?,
            _ => write!(f, "\\{octet:03}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{DnsName, Opaque, RecordData, RecordType, Svcb};

    fn check(record_type: u16, octets: &[u8], expected: &str) {
        let data = RecordData::Opaque(Opaque {
            record_type: RecordType::from(record_type),
            octets: octets.into(),
        });
        assert_eq!(data.to_string(), expected);
    }

    #[test]
    fn text_is_shown_as_strings_and_the_rest_as_octets() {
        check(16, b"\x05hello\x01\"", r#""hello" "\"""#);
        check(16, b"\x03\x00\xffa", r#""\000\255a""#);
        check(16, b"\x09short", r"\# 6 0973686F7274");
        check(16, b"", r"\# 0");
        check(65000, b"\x01\x02", r"\# 2 0102");
    }

    #[test]
    fn parameters_are_shown_by_name_where_they_are_well_formed() {
        let of = |parameters: &[(u16, &[u8])]| {
            let parameters = parameters.iter().map(|(key, value)| (*key, (*value).into())).collect();
            RecordData::Https(Svcb {
                priority: 1,
                target: DnsName::root(),
                parameters,
            })
            .to_string()
        };
        assert_eq!(
            of(&[
                (1, b"\x02h2\x02h3"),
                (3, b"\x01\xbb"),
                (4, b"\xc0\x00\x02\x01"),
                (6, &[0; 16])
            ]),
            "1 . alpn=h2,h3 port=443 ipv4hint=192.0.2.1 ipv6hint=::"
        );
        assert_eq!(
            of(&[(2, b""), (4, b"\x01"), (667, b"a b")]),
            r#"1 . key2 key4="\001" key667="a b""#
        );
    }
}
