//! Who is answering: the CHAOS names `version.bind`, `version.server`, `id.server` and
//! `hostname.bind` (RFC 4892).
//!
//! What must stay true: an operator can switch each of them off, and then they are refused like any
//! other name of that class. The identifier is the one of the NSID option (RFC 5001), so that two
//! ways of asking never give two answers.

use meridian_dns_core::{DnsName, RecordType};

use crate::settings::Identity;

/// The number of the class (RFC 1035 section 3.2.4).
pub(crate) const CLASS: u16 = 3;

/// The number of the TXT type.
pub(crate) const TXT: u16 = 16;

/// The text of the TXT record to answer with; `None` to refuse.
pub(crate) fn text<'a>(name: &DnsName, record_type: RecordType, identity: &'a Identity) -> Option<&'a [u8]> {
    if !matches!(record_type.number(), TXT | 255) {
        return None;
    }
    let text = match name.as_str() {
        "version.bind" | "version.server" => identity.version.as_ref()?.as_bytes(),
        "id.server" | "hostname.bind" => identity.server.as_deref()?,
        _ => return None,
    };
    // One character string holds no more (RFC 1035 section 3.3).
    Some(&text[..text.len().min(255)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_off_is_refused() {
        let all = Identity {
            version: Some("Meridian".to_owned()),
            server: Some(b"a1".to_vec()),
        };
        let none = Identity {
            version: None,
            server: None,
        };
        let check = |name: &str, record_type: u16, identity: &Identity, expected: Option<&str>| {
            let name = DnsName::parse(name).expect("a valid name");
            let found = text(&name, RecordType::from(record_type), identity);
            assert_eq!(found, expected.map(str::as_bytes), "{name}");
        };
        for (name, expected) in [
            ("version.bind", Some("Meridian")),
            ("VERSION.server", Some("Meridian")),
            ("id.server", Some("a1")),
            ("hostname.bind", Some("a1")),
            ("authors.bind", None),
        ] {
            check(name, TXT, &all, expected);
            check(name, 255, &all, expected);
            check(name, 1, &all, None);
            check(name, TXT, &none, None);
        }
    }
}
