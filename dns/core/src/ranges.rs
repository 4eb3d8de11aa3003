//! Address ranges: every address of both families to a value.
//!
//! Networks are compiled into sorted, disjoint ranges; a look-up is a binary search. The same ranges
//! give the ECS scope (RFC 7871 section 7.2.1): the widest prefix around an address that lies inside
//! one range, so no address with another value is ever covered by it.
//!
//! Refused: a prefix trie (slower to search, and the scope of an address *outside* every network is
//! awkward to find), and one space for both families (a network `::/0` would take the IPv4 clients).

use std::net::IpAddr;

use ipnet::IpNet;

/// `(first address, value)`; a range ends where the next begins. Never empty: the first starts at 0.
type Ranges<T> = Vec<(u128, T)>;

/// Every address to its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressRanges<T> {
    ipv4: Ranges<T>,
    ipv6: Ranges<T>,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// An IPv4 client on a socket for both families is an IPv4 client; its prefixes are counted behind the 96 bits
/// of the mapping.
pub(crate) fn canonical(address: IpAddr) -> (IpAddr, u8) {
    let canonical = address.to_canonical();
    let mapped = address.is_ipv6() && canonical.is_ipv4();
    (canonical, if mapped { 96 } else { 0 })
}

impl<T: Clone> AddressRanges<T> {
    /// All addresses of both families have this value.
    pub(crate) fn all(value: T) -> Self {
        Self {
            ipv4: vec![(0, value.clone())],
            ipv6: vec![(0, value)],
        }
    }

    /// Gives the addresses of the network that value, whatever they had before: lay wide networks
    /// first.
    pub(crate) fn overlay(&mut self, network: &IpNet, value: T) {
        let ranges = match network {
            IpNet::V4(_) => &mut self.ipv4,
            IpNet::V6(_) => &mut self.ipv6,
        };
        let (first, last) = (number(network.network()), number(network.broadcast()));
        let start = ranges.partition_point(|(at, _)| *at < first);
        let end = ranges.partition_point(|(at, _)| *at <= last);
        let tail = last.checked_add(1).and_then(|next| {
            let continues = ranges.get(end).is_none_or(|(at, _)| *at != next);
            continues.then(|| (next, ranges[end - 1].1.clone()))
        });
        ranges.splice(start..end, std::iter::once((first, value)).chain(tail));
    }

    /// The value of an address and the scope prefix length (in the address's own family) within which
    /// every address has the same range.
    pub(crate) fn lookup(&self, address: IpAddr) -> (&T, u8) {
        let (address, mapping) = canonical(address);
        let value = number(address);
        let (ranges, family_bits) = match address {
            IpAddr::V4(_) => (&self.ipv4, 32),
            IpAddr::V6(_) => (&self.ipv6, 128),
        };
        let position = ranges.partition_point(|(first, _)| *first <= value).saturating_sub(1);
        let (first, found) = &ranges[position];
        // The prefix must be long enough that neither the address before nor the one after the range
        // shares it.
        let before = first
            .checked_sub(1)
            .map_or(0, |outside| common_bits(outside, value) + 1);
        let after = ranges
            .get(position + 1)
            .map_or(0, |(next, _)| common_bits(*next, value) + 1);
        // Numbers are 128 bits wide, an IPv4 address is the last 32 of them. A border at 2^32 (past
        // 255.255.255.255) gives no more bits than the family has unused.
        let unused = 128 - family_bits;
        (
            found,
            u8::try_from(before.max(after).saturating_sub(unused))
                .unwrap_or(u8::MAX)
                .saturating_add(mapping),
        )
    }
}

fn common_bits(a: u128, b: u128) -> u32 {
    (a ^ b).leading_zeros()
}
