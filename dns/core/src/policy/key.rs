//! By what a client is told from others: the prefix of its address.
//!
//! Hashes are part of the behaviour: every replica, of every version and on every machine, must give a
//! client the same site. So they are written here and are not the standard library's, which promises
//! nothing of the kind.

use std::net::IpAddr;

use ipnet::IpNet;

use super::compile::PolicyProblem;

/// How many bits of a client's address are its own. Clients with the same stay together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientKey {
    ipv4: u8,
    ipv6: u8,
}

impl Default for ClientKey {
    /// What resolvers tell of a client at most (RFC 7871 section 11.1 for IPv4), and what a site has of
    /// IPv6 (RFC 6177).
    fn default() -> Self {
        Self { ipv4: 24, ipv6: 48 }
    }
}

impl ClientKey {
    /// Prefix lengths of 8 to 32 and of 16 to 128 bits.
    pub fn new(ipv4: u8, ipv6: u8) -> Result<Self, PolicyProblem> {
        if (8..=32).contains(&ipv4) && (16..=128).contains(&ipv6) {
            Ok(Self { ipv4, ipv6 })
        } else {
            Err(PolicyProblem::KeyLength)
        }
    }

    /// The prefix lengths.
    pub(super) fn lengths(self) -> (u8, u8) {
        (self.ipv4, self.ipv6)
    }

    /// The network of clients that are taken for one.
    pub(crate) fn network(self, address: IpAddr) -> IpNet {
        let address = address.to_canonical();
        let length = if address.is_ipv4() { self.ipv4 } else { self.ipv6 };
        IpNet::new(address, length).unwrap_or_else(|_| address.into()).trunc()
    }

    /// The scope prefix length (RFC 7871) of that network, in the family that the address was given in.
    pub(crate) fn scope(self, address: IpAddr) -> u8 {
        match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(_)) => 96 + self.ipv4,
            (_, IpAddr::V4(_)) => self.ipv4,
            (_, IpAddr::V6(_)) => self.ipv6,
        }
    }

    /// A number for the network, equally spread.
    pub(crate) fn hash(self, address: IpAddr) -> u64 {
        match self.network(address).network() {
            IpAddr::V4(v4) => mix(mix(4) ^ u64::from(u32::from(v4))),
            IpAddr::V6(v6) => {
                let bits = u128::from(v6);
                mix(mix(mix(6) ^ (bits >> 64) as u64) ^ bits as u64)
            }
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit.
pub(super) const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number for a text below another number: FNV-1a, spread.
pub(super) fn seed(above: u64, text: &str) -> u64 {
    let step = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(above ^ text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_one_prefix_are_one_and_their_number_never_changes() {
        let hash = |text: &str| ClientKey::default().hash(text.parse().expect("an address"));
        assert_eq!(hash("192.0.2.1"), hash("192.0.2.255"));
        assert_eq!(hash("192.0.2.1"), hash("::ffff:192.0.2.9"));
        assert_ne!(hash("192.0.2.1"), hash("192.0.3.1"));
        assert_eq!(hash("2001:db8:1::1"), hash("2001:db8:1:ffff::"));
        assert_ne!(hash("2001:db8:1::1"), hash("2001:db8:2::1"));
        // As other replicas have it.
        assert_eq!(hash("192.0.2.1"), 0x74c7_624b_22f6_0755);
        assert_eq!(hash("2001:db8:1::1"), 0x1974_9a9f_d2c7_d5c6);
        assert_eq!(seed(0, "tokyo"), 0xce56_b368_e902_817e);
    }

    #[test]
    fn scopes_are_counted_in_the_family_of_the_question() {
        let scope = |text: &str| ClientKey::default().scope(text.parse().expect("an address"));
        assert_eq!(
            ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"].map(scope),
            [24, 48, 120]
        );
        assert!(ClientKey::new(7, 48).is_err() && ClientKey::new(24, 129).is_err());
    }
}
