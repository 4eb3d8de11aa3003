//! Hashed names (RFC 5155 section 5), with the parameters of RFC 9276: SHA-1, once, without salt.

use data_encoding::BASE32HEX_NOPAD;
use sha1::{Digest, Sha1};

use crate::DnsName;

/// The hash of a name. Hashes are ordered as NSEC3 chains are, and form a circle: after the highest
/// comes zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameHash([u8; 20]);

impl NameHash {
    /// The hash of a name.
    pub fn of(name: &DnsName) -> Self {
        Self(Sha1::digest(name.to_octets()).into())
    }

    /// Its octets.
    pub fn octets(&self) -> &[u8; 20] {
        &self.0
    }

    /// The name under which its NSEC3 record stands: base 32 with extended hex digits, one label below
    /// the zone (RFC 5155 section 3.3). `None` if the zone's name has more than 222 octets, so that there
    /// is no room below it.
    pub fn owner(&self, zone: &DnsName) -> Option<DnsName> {
        zone.prepend_label(BASE32HEX_NOPAD.encode(&self.0).as_bytes())
    }

    /// The hash right before it.
    #[must_use]
    pub fn before(mut self) -> Self {
        for octet in self.0.iter_mut().rev() {
            let borrows = *octet == 0;
            *octet = octet.wrapping_sub(1);
            if !borrows {
                break;
            }
        }
        self
    }

    /// The hash right after it.
    #[must_use]
    pub fn after(mut self) -> Self {
        for octet in self.0.iter_mut().rev() {
            *octet = octet.wrapping_add(1);
            if *octet != 0 {
                break;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_com_is_the_one_that_it_publishes() {
        let com = DnsName::parse("com").expect("a name");
        let owner = NameHash::of(&com).owner(&com).expect("a short name");
        assert_eq!(owner.as_str(), "ck0pojmg874ljref7efn8430qvit8bsm.com");
    }

    #[test]
    fn hashes_form_a_circle() {
        let of = |octet: u8, last: u8| {
            let mut hash = [octet; 20];
            hash[19] = last;
            NameHash(hash)
        };
        for (one, next) in [
            (of(7, 7), of(7, 8)),
            (of(0xff, 0xff), of(0, 0)),
            (of(0xff, 0xfe), of(0xff, 0xff)),
            (of(0, 0), of(0, 1)),
        ] {
            assert_eq!((one.after(), next.before()), (next, one));
        }
        let mut carried = of(5, 0xff);
        carried.0[18] = 0xff;
        assert_eq!(carried.after().before(), carried);
        assert_eq!(carried.after().0[17..], [6, 0, 0]);
    }
}
