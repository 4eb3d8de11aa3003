//! What is known of where networks are: every block to a place.
//!
//! What must stay true:
//! - no file format is known here: whoever reads one hands over networks in order, each with a place;
//! - nothing is finer than a block (/24 of IPv4, /48 of IPv6), because no Client Subnet option should be
//!   (RFC 7871 section 11.1 names these as what resolvers send). A block in which narrower networks are in
//!   several places is where most of its known addresses are, and of equals where the first are;
//! - a place is stored once, so that what is decided about a place is decided once.
//!
//! It stays in memory beside the classes that are compiled from it: the sites change more often than it
//! does, and an explanation needs what the classes have forgotten.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Place;
use super::blocks::{Blocks, Filling, Low};
use super::place::PlaceKey;

/// A place of one database, or of one that is being built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceId(u32);

impl PlaceId {
    /// Of networks that nothing is known of.
    pub const NOWHERE: Self = Self(0);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Networks that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("network {network} does not come after all networks before it; they must be in order and disjoint")]
pub struct OutOfOrder {
    /// The network.
    pub network: IpNet,
}

/// Every address to a place.
#[derive(Debug, Clone)]
pub struct GeoDatabase {
    pub(super) ipv4: Blocks<u8, PlaceId>,
    pub(super) ipv6: Blocks<u16, PlaceId>,
    places: Vec<Place>,
}

impl Default for GeoDatabase {
    /// Nothing is known.
    fn default() -> Self {
        GeoDatabaseBuilder::default().build()
    }
}

impl GeoDatabase {
    /// All places, without order; the first is that of networks that nothing is known of.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The place of an address, and the network (of blocks) in which it is the same.
    pub fn lookup(&self, address: IpAddr) -> (&Place, IpNet) {
        let address = address.to_canonical();
        let (place, scope) = match Block::of(address) {
            Block::V4(block) => self.ipv4.lookup(block),
            Block::V6(block) => self.ipv6.lookup(block),
        };
        let network = IpNet::new(address, scope).unwrap_or_else(|_| IpNet::from(address));
        (&self.places[place.index()], network.trunc())
    }

    /// How many networks there are, neighbours of one place counted as one.
    pub fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.places.len() == 1
    }

    /// Octets that it takes, but for what the allocator adds.
    pub fn octets(&self) -> usize {
        self.ipv4.octets() + self.ipv6.octets() + self.places.len() * size_of::<Place>()
    }

    /// This database, with what it leaves open of a network taken from another one.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut pairs = BTreeMap::new();
        let mut places = Places::default();
        let mut both = |own: PlaceId, others: PlaceId| {
            *pairs.entry((own, others)).or_insert_with(|| {
                let place = self.places[own.index()].or(other.places[others.index()]);
                places.id(place)
            })
        };
        Self {
            ipv4: zip(&self.ipv4, &other.ipv4, &mut both),
            ipv6: zip(&self.ipv6, &other.ipv6, &mut both),
            places: places.all,
        }
    }
}

/// The block that an address lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    V4(u64),
    V6(u64),
}

impl Block {
    /// Of an address that is not an IPv4 address in IPv6 form.
    #[inline]
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(u64::from(address.to_bits() >> 8)),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 80) as u64),
        }
    }
}

/// Both values of every block as one.
fn zip<L: Low>(
    left: &Blocks<L, PlaceId>,
    right: &Blocks<L, PlaceId>,
    both: &mut impl FnMut(PlaceId, PlaceId) -> PlaceId,
) -> Blocks<L, PlaceId> {
    let mut filling = Filling::new();
    let (mut lefts, mut rights) = (left.iter().peekable(), right.iter().peekable());
    let (mut own, mut others) = (PlaceId::NOWHERE, PlaceId::NOWHERE);
    loop {
        let next = match (lefts.peek(), rights.peek()) {
            (Some((a, _)), Some((b, _))) => *a.min(b),
            (Some((a, _)), None) => *a,
            (None, Some((b, _))) => *b,
            (None, None) => return filling.finish(PlaceId::NOWHERE),
        };
        own = lefts
            .next_if(|(block, _)| *block == next)
            .map_or(own, |(_, place)| place);
        others = rights
            .next_if(|(block, _)| *block == next)
            .map_or(others, |(_, place)| place);
        filling.push(next, both(own, others));
    }
}

/// Places, each once; the first is nowhere.
#[derive(Debug)]
struct Places {
    all: Vec<Place>,
    known: BTreeMap<PlaceKey, PlaceId>,
}

impl Default for Places {
    fn default() -> Self {
        let nowhere = Place::default();
        Self {
            all: vec![nowhere],
            known: BTreeMap::from([(nowhere.key(), PlaceId::NOWHERE)]),
        }
    }
}

impl Places {
    fn id(&mut self, place: Place) -> PlaceId {
        *self.known.entry(place.key()).or_insert_with(|| {
            self.all.push(place);
            PlaceId((self.all.len() - 1) as u32)
        })
    }
}

/// A database that is being built: places in any order, networks in the order of addresses.
#[derive(Debug, Default)]
pub struct GeoDatabaseBuilder {
    places: Places,
    ipv4: Family<u8>,
    ipv6: Family<u16>,
}

impl GeoDatabaseBuilder {
    /// The id of a place; the same for the same place.
    pub fn place(&mut self, place: Place) -> PlaceId {
        self.places.id(place)
    }

    /// A network is in that place.
    ///
    /// # Errors
    ///
    /// If the network does not lie behind all networks of its family that were given before.
    pub fn network(&mut self, network: IpNet, place: PlaceId) -> Result<(), OutOfOrder> {
        let fits = match network {
            IpNet::V4(network) => {
                let range = network.network().to_bits()..=network.broadcast().to_bits();
                self.ipv4
                    .add(u128::from(*range.start()), u128::from(*range.end()), place)
            }
            IpNet::V6(network) => {
                let range = network.network().to_bits()..=network.broadcast().to_bits();
                self.ipv6.add(*range.start(), *range.end(), place)
            }
        };
        if fits { Ok(()) } else { Err(OutOfOrder { network }) }
    }

    /// The whole. Of what was not given nothing is known.
    pub fn build(self) -> GeoDatabase {
        GeoDatabase {
            ipv4: self.ipv4.finish(),
            ipv6: self.ipv6.finish(),
            places: self.places.all,
        }
    }
}

/// The networks of one family so far.
#[derive(Debug)]
struct Family<L> {
    filling: Filling<L, PlaceId>,
    /// The last address that was given.
    last: Option<u128>,
    /// The first block that has no value yet.
    next: u64,
    /// A block with networks narrower than itself: their places and how many addresses are in each.
    shared: Option<(u64, Vec<(PlaceId, u128)>)>,
}

impl<L: Low> Default for Family<L> {
    fn default() -> Self {
        Self {
            filling: Filling::new(),
            last: None,
            next: 0,
            shared: None,
        }
    }
}

impl<L: Low> Family<L> {
    fn add(&mut self, first: u128, last: u128, place: PlaceId) -> bool {
        if self.last.is_some_and(|before| before >= first) {
            return false;
        }
        self.last = Some(last);
        let (start, end) = ((first >> L::WITHIN) as u64, (last >> L::WITHIN) as u64);
        // Without the first address, since all of IPv6 are more than a number can count.
        let more = last - first;
        if more < (1 << L::WITHIN) - 1 {
            if self.shared.as_ref().is_some_and(|(block, _)| *block != start) {
                self.settle();
            }
            let (_, places) = self.shared.get_or_insert_with(|| (start, Vec::new()));
            match places.iter_mut().find(|(other, _)| *other == place) {
                Some((_, addresses)) => *addresses += more + 1,
                None => places.push((place, more + 1)),
            }
        } else {
            self.settle();
            self.fill(start, end, place);
        }
        true
    }

    /// Gives the block with narrower networks its place.
    fn settle(&mut self) {
        if let Some((block, places)) = self.shared.take() {
            // The last of equals is taken, so from the end it is the first.
            let most = places.iter().rev().max_by_key(|(_, addresses)| *addresses);
            if let Some((place, _)) = most {
                self.fill(block, block, *place);
            }
        }
    }

    fn fill(&mut self, start: u64, end: u64, place: PlaceId) {
        if self.next < start {
            self.filling.push(self.next, PlaceId::NOWHERE);
        }
        self.filling.push(start, place);
        self.next = end + 1;
    }

    fn finish(mut self) -> Blocks<L, PlaceId> {
        self.settle();
        if self.next < 1 << L::WIDTH {
            self.filling.push(self.next, PlaceId::NOWHERE);
        }
        self.filling.finish(PlaceId::NOWHERE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Country;

    fn country(code: &str) -> Place {
        Place {
            country: Country::new(code),
            ..Place::default()
        }
    }

    fn database(networks: &[(&str, Place)]) -> GeoDatabase {
        let mut builder = GeoDatabaseBuilder::default();
        for (network, place) in networks {
            let id = builder.place(*place);
            let network = network.parse().expect("a network");
            builder.network(network, id).expect("in order");
        }
        builder.build()
    }

    #[track_caller]
    fn check(database: &GeoDatabase, address: &str, place: Place, network: &str) {
        let (found, around) = database.lookup(address.parse().expect("an address"));
        assert_eq!((*found, around.to_string().as_str()), (place, network), "{address}");
    }

    #[test]
    fn networks_have_their_place_and_all_else_has_none() {
        let (de, us) = (country("DE"), country("US"));
        let database = database(&[
            ("192.0.2.0/24", de),
            ("192.0.3.0/24", de),
            ("198.51.0.0/16", us),
            ("2001:db8::/32", us),
            ("2001:db9::/48", de),
        ]);
        check(&database, "192.0.2.200", de, "192.0.2.0/23");
        check(&database, "::ffff:198.51.100.7", us, "198.51.0.0/16");
        check(&database, "192.0.4.1", Place::default(), "192.0.4.0/22");
        check(&database, "10.0.0.1", Place::default(), "0.0.0.0/1");
        check(&database, "2001:db8:ffff::1", us, "2001:db8::/32");
        check(&database, "2001:db9::1", de, "2001:db9::/48");
        check(&database, "2001:db9:1::1", Place::default(), "2001:db9:1::/48");
        check(&database, "::1", Place::default(), "::/3");
        assert_eq!(database.places().len(), 3);
    }

    #[test]
    fn a_block_of_several_places_is_where_most_of_its_addresses_are() {
        let (de, us, jp) = (country("DE"), country("US"), country("JP"));
        let found = database(&[
            ("192.0.2.0/26", de),
            ("192.0.2.64/27", us),
            ("192.0.2.96/27", jp),
            ("192.0.2.128/27", us),
            ("192.0.2.160/27", us),
            ("192.0.9.0/32", de),
            ("192.0.9.1/32", us),
            ("2001:db8::/49", de),
            ("2001:db8:0:8000::/50", us),
        ]);
        check(&found, "192.0.2.1", us, "192.0.2.0/24");
        check(&found, "192.0.9.9", de, "192.0.9.0/24");
        check(&found, "2001:db8:0:8000::1", de, "2001:db8::/48");
    }

    #[test]
    fn networks_must_come_in_order() {
        let mut builder = GeoDatabaseBuilder::default();
        let mut add = |network: &str| builder.network(network.parse().expect("a network"), PlaceId::NOWHERE);
        assert_eq!(add("192.0.2.0/24"), Ok(()));
        let error = add("192.0.2.128/25").expect_err("inside the one before");
        assert!(error.to_string().contains("192.0.2.128/25"), "{error}");
        assert_eq!(add("::/0"), Ok(()));
        assert_eq!(add("255.255.255.255/32"), Ok(()));
    }

    #[test]
    fn a_later_database_fills_what_an_earlier_leaves_open() {
        let with_asn = |asn| Place {
            asn: Some(asn),
            ..Place::default()
        };
        let (de, us) = (country("DE"), country("US"));
        let first = database(&[("192.0.2.0/24", de), ("2001:db8::/32", us)]);
        let second = database(&[("192.0.0.0/22", with_asn(64500)), ("192.0.8.0/24", us)]);
        let both = first.or(&second).or(&database(&[("192.0.2.0/23", us)]));
        check(&both, "192.0.2.1", Place { asn: Some(64500), ..de }, "192.0.2.0/24");
        check(&both, "192.0.3.1", Place { asn: Some(64500), ..us }, "192.0.3.0/24");
        check(&both, "192.0.1.1", with_asn(64500), "192.0.0.0/23");
        check(&both, "192.0.8.1", us, "192.0.8.0/24");
        check(&both, "2001:db8::1", us, "2001:db8::/32");
    }
}
