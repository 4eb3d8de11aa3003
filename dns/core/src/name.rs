//! Domain names as validated, lower-cased values.
//!
//! A [`DnsName`] can always be written to the wire: labels of 1 to 63 octets, 255 octets in all
//! (RFC 1035 section 2.3.4). Case is folded here, once, because DNS compares names without case
//! (RFC 4343); the server keeps the question's own spelling for its reply.
//!
//! Names are kept as text with every unusual octet, dots inside labels included, written as `\DDD`.
//! So splitting at `.` is always right. A vector of labels was refused: twice the memory and slower
//! to hash, and names are the keys of the hottest map there is.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A fully qualified domain name, lower case, without the final dot; the root is the empty name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(Arc<str>);

/// Why a text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or a dot at the start.
    #[error("{0:?} has an empty label; remove the extra dot")]
    EmptyLabel(String),
    /// RFC 1035 allows 63 octets.
    #[error("label {0:?} is longer than 63 octets")]
    LabelTooLong(String),
    /// RFC 1035 allows 255 octets on the wire.
    #[error("{0:?} is longer than 255 octets on the wire")]
    NameTooLong(String),
    /// Only letters, digits, `-`, `_` and a leading `*` label are accepted from configuration.
    #[error("{name:?} has the character {character:?}; use letters, digits, '-' and '_'")]
    BadCharacter {
        /// The text as given.
        name: String,
        /// The first character refused.
        character: char,
    },
}

impl DnsName {
    /// The root name.
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// Reads a name from configuration, with or without the final dot.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let trimmed = text.strip_suffix('.').unwrap_or(text);
        if trimmed.is_empty() {
            return Ok(Self::root());
        }
        for label in trimmed.split('.') {
            if label.is_empty() {
                return Err(NameError::EmptyLabel(text.to_owned()));
            }
            if label == "*" {
                continue;
            }
            if let Some(character) = label
                .chars()
                .find(|c| !(c.is_ascii_alphanumeric() || *c == '-' || *c == '_'))
            {
                return Err(NameError::BadCharacter {
                    name: text.to_owned(),
                    character,
                });
            }
        }
        Self::from_labels(trimmed.split('.').map(str::as_bytes))
    }

    /// Builds a name from the labels of a packet, first label first; any octet is possible there.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, NameError> {
        let mut text = String::new();
        let mut wire_length = 1;
        for label in labels {
            if !text.is_empty() {
                text.push('.');
            }
            let start = text.len();
            for &octet in label {
                push_octet(&mut text, octet);
            }
            if label.is_empty() {
                return Err(NameError::EmptyLabel(text));
            }
            if label.len() > 63 {
                return Err(NameError::LabelTooLong(text.split_off(start)));
            }
            wire_length += label.len() + 1;
        }
        if wire_length > 255 {
            return Err(NameError::NameTooLong(text));
        }
        Ok(Self(Arc::from(text)))
    }

    /// This name with further labels in front, as in `web.shop` before `svc.example.test`.
    pub fn prepend(&self, labels: &str) -> Result<Self, NameError> {
        if self.0.is_empty() {
            Self::parse(labels)
        } else {
            Self::parse(&format!("{labels}.{}", self.0))
        }
    }

    /// This name with one label of any octets in front; `None` if that would be too long.
    pub(crate) fn prepend_label(&self, label: &[u8]) -> Option<Self> {
        let labels: Vec<_> = self.labels().collect();
        let rest = labels.iter().map(Vec::as_slice);
        Self::from_labels(std::iter::once(label).chain(rest)).ok()
    }

    /// The name one label up; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0.split_once('.') {
            Some((_, rest)) => Some(Self(Arc::from(rest))),
            None if self.0.is_empty() => None,
            None => Some(Self::root()),
        }
    }

    /// The texts of this name and of all names above it, nearest first, the root last; without a copy.
    pub(crate) fn suffixes(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |text| match text.split_once('.') {
            Some((_, rest)) => Some(rest),
            None => (!text.is_empty()).then_some(""),
        })
    }

    /// A name from text that is the end of a valid name.
    pub(crate) fn from_suffix(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// True for a name that stands for others (RFC 4592 section 2.1.1): its first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        &*self.0 == "*" || self.0.starts_with("*.")
    }

    /// This name, which is at or below `from`, with that end replaced (RFC 6672 section 2.2); `None` if
    /// it is not there, or if the result would be too long.
    pub(crate) fn with_end(&self, from: &Self, to: &Self) -> Option<Self> {
        if !self.is_at_or_below(from) {
            return None;
        }
        let below = self.labels().count() - from.labels().count();
        let labels: Vec<_> = self.labels().take(below).chain(to.labels()).collect();
        Self::from_labels(labels.iter().map(Vec::as_slice)).ok()
    }

    /// This name and all names above it, nearest first, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// True for `zone` itself and for every name below it.
    pub fn is_at_or_below(&self, zone: &Self) -> bool {
        zone.0.is_empty()
            || self
                .0
                .strip_suffix(&*zone.0)
                .is_some_and(|front| front.is_empty() || front.ends_with('.'))
    }

    /// The labels as octets, first label first, ready for the wire.
    pub fn labels(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.0.split('.').filter(|label| !label.is_empty()).map(unescape)
    }

    /// The wire form: not compressed, lower case, with the root label at the end; the canonical form of
    /// RFC 4034 section 6.2.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.0.len() + 2);
        for label in self.labels() {
            // A name has no label of more than 63 octets.
            octets.push(u8::try_from(label.len()).unwrap_or(63));
            octets.extend(label);
        }
        octets.push(0);
        octets
    }

    /// The text without the final dot, empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn push_octet(text: &mut String, octet: u8) {
    match octet {
        b'.' | b'\\' | 0..=b' ' | 127.. => {
            text.push('\\');
            for digit in [octet / 100, octet / 10 % 10, octet % 10] {
                text.push(char::from(b'0' + digit));
            }
        }
        _ => text.push(char::from(octet.to_ascii_lowercase())),
    }
}

fn unescape(label: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(label.len());
    let mut rest = label.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'\\' {
            let value = rest
                .by_ref()
                .take(3)
                .fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
            octets.push(u8::try_from(value).unwrap_or(b'?'));
        } else {
            octets.push(octet);
        }
    }
    octets
}

impl Borrow<str> for DnsName {
    /// The text, which equals, orders and hashes as the name does: maps of names can be asked for a part
    /// of a name without making it one.
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    /// Presentation form with the final dot, as in a zone file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for DnsName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).expect("a valid name")
    }

    #[test]
    fn names_are_folded_and_the_final_dot_is_optional() {
        assert_eq!(name("Web.Shop.Example.TEST."), name("web.shop.example.test"));
        assert_eq!(name("a.b").to_string(), "a.b.");
        assert_eq!(name("."), DnsName::root());
    }

    #[test]
    fn suffixes_are_compared_by_whole_labels() {
        assert!(name("a.example.test").is_at_or_below(&name("example.test")));
        assert!(name("example.test").is_at_or_below(&name("example.test")));
        assert!(!name("evilexample.test").is_at_or_below(&name("example.test")));
        assert!(name("anything").is_at_or_below(&DnsName::root()));
    }

    #[test]
    fn any_octet_of_a_packet_survives_the_way_to_text_and_back() {
        let label: Vec<u8> = (0..=62)
            .chain([b'.', b'\\', 200, 255])
            .filter(|o| !o.is_ascii_uppercase())
            .take(63)
            .collect();
        let name = DnsName::from_labels([label.as_slice(), b"x"]).expect("a valid name");
        assert_eq!(name.labels().collect::<Vec<_>>(), [label, b"x".to_vec()]);
        assert_eq!(name.ancestors().count(), 3);
    }

    #[test]
    fn limits_are_those_of_the_wire() {
        let label = "a".repeat(63);
        assert!(matches!(
            DnsName::parse(&"a".repeat(64)),
            Err(NameError::LabelTooLong(_))
        ));
        let long = [label.as_str(); 4].join(".");
        assert!(matches!(DnsName::parse(&long), Err(NameError::NameTooLong(_))));
        assert!(matches!(DnsName::parse("a..b"), Err(NameError::EmptyLabel(_))));
        assert!(matches!(
            DnsName::parse("a b"),
            Err(NameError::BadCharacter { character: ' ', .. })
        ));
    }
}
