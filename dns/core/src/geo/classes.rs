//! The nearest sites of every address, compiled from a database and the places of the sites.
//!
//! What must stay true:
//! - the result equals a naive one: for each place all sites by whole kilometres, of equals those with the
//!   larger weight and then the first by name, and of these the first few;
//! - the sites' *state* is not an input. A change of state costs nothing here, and [`GeoClasses::fits`] says
//!   whether another compilation is needed at all;
//! - classes of a moment ago are not wrong, only old: a site that is gone is passed over, and one that is new
//!   comes after the nearest few, in the default order. So compiling may take its time elsewhere.
//!
//! Cost is one decision per distinct place, of which a city database has some hundred thousand, then one pass
//! over its networks.
//!
//! Refused: a spatial index over the sites. Fifty dot products take less time than walking a tree.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use super::GeoDatabase;
use super::blocks::Blocks;
use super::database::Block;
use crate::site::{Direction, default_order};
use crate::{ClientClass, Location, SiteName, Sites};

/// How many sites a class has before the default order follows.
pub const NEAREST_SITES: usize = 4;

/// What of a site decides who is near to it.
type SitePlace = (SiteName, Option<Location>, u32);

fn site_places(sites: &Sites) -> Vec<SitePlace> {
    let place = |(name, site): (&SiteName, &crate::Site)| (name.clone(), site.location, site.weight);
    sites.iter().map(place).collect()
}

/// Every block to the nearest few sites.
#[derive(Debug, Clone)]
pub struct GeoClasses {
    database: Arc<GeoDatabase>,
    sites: Vec<SitePlace>,
    nearest: usize,
    /// The first is of clients of unknown place.
    classes: Vec<ClientClass>,
    ipv4: Blocks<u8, u16>,
    ipv6: Blocks<u16, u16>,
}

impl GeoClasses {
    /// Without a database: nobody's place is known. Made once, since every snapshot begins with it.
    pub fn unknown() -> Arc<Self> {
        static UNKNOWN: LazyLock<Arc<GeoClasses>> = LazyLock::new(|| {
            let nobody = GeoClasses::compile(Arc::default(), &Sites::default(), NEAREST_SITES);
            Arc::new(nobody)
        });
        UNKNOWN.clone()
    }

    /// Compiles them. `nearest` is how many sites a class has; should there be more than 65,536 classes, which
    /// takes hundreds of sites, it is lowered until there are not.
    pub fn compile(database: Arc<GeoDatabase>, sites: &Sites, nearest: usize) -> Self {
        let globe = Globe::new(sites);
        let mut few = nearest.max(1);
        let (of_places, keys) = loop {
            match number_classes(&database, &globe, few) {
                Some(found) => break found,
                None => few -= 1,
            }
        };
        let site = |rank: &u16| globe.order[usize::from(*rank)].clone();
        let class = |key: Box<[u16]>| ClientClass {
            nearest: key.iter().map(site).collect(),
        };
        Self {
            ipv4: database.ipv4.map(|place| of_places[place.index()]),
            ipv6: database.ipv6.map(|place| of_places[place.index()]),
            classes: keys.into_iter().map(class).collect(),
            sites: site_places(sites),
            nearest,
            database,
        }
    }

    /// Whether they are still those of these sites and this database.
    pub fn fits(&self, database: &Arc<GeoDatabase>, sites: &Sites) -> bool {
        // Without places all sites are equally near, wherever they are.
        Arc::ptr_eq(&self.database, database) && (database.is_empty() || self.sites == site_places(sites))
    }

    /// The class of an address that is not an IPv4 address in IPv6 form, and the scope prefix length within
    /// which all clients have it.
    #[inline]
    pub(crate) fn lookup(&self, address: IpAddr) -> (&ClientClass, u8) {
        let (class, scope) = match Block::of(address) {
            Block::V4(block) => self.ipv4.lookup(block),
            Block::V6(block) => self.ipv6.lookup(block),
        };
        (&self.classes[usize::from(class)], scope)
    }

    /// What the classes were compiled from.
    pub fn database(&self) -> &Arc<GeoDatabase> {
        &self.database
    }

    /// How many sites a class has before the default order follows.
    pub fn nearest(&self) -> usize {
        self.nearest
    }

    /// How many classes there are.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// True if all clients are of one class.
    pub fn is_empty(&self) -> bool {
        self.classes.len() == 1
    }

    /// Octets that they take without the database, but for names and what the allocator adds.
    pub fn octets(&self) -> usize {
        self.ipv4.octets() + self.ipv6.octets() + self.classes.len() * size_of::<ClientClass>()
    }
}

/// The class of each place, and the sites of each class, by rank.
type Numbered = (Vec<u16>, Vec<Box<[u16]>>);

/// Gives each place its class. `None` if there are too many classes.
fn number_classes(database: &GeoDatabase, globe: &Globe, nearest: usize) -> Option<Numbered> {
    // Without a place nobody is near.
    let mut keys: Vec<Box<[u16]>> = vec![Box::default()];
    let mut numbers: BTreeMap<Box<[u16]>, u16> = BTreeMap::from([(Box::default(), 0)]);
    let mut of_places = Vec::with_capacity(database.places().len());
    let mut search = Search::default();
    for place in database.places() {
        let near = place.position().map(|(from, _)| search.nearest(globe, from, nearest));
        let near = near.unwrap_or_default();
        let number = match numbers.get(near) {
            Some(number) => *number,
            // With one site there are as many classes as sites, whatever their number.
            None => match u16::try_from(keys.len()) {
                Ok(number) => {
                    keys.push(near.into());
                    numbers.insert(near.into(), number);
                    number
                }
                Err(_) if nearest > 1 => return None,
                Err(_) => 0,
            },
        };
        of_places.push(number);
    }
    Some((of_places, keys))
}

/// The sites with a place, as points of a sphere.
#[derive(Debug)]
pub(crate) struct Globe {
    /// All sites in the default order.
    order: Vec<SiteName>,
    /// The place of each in that order, where it has one.
    points: Vec<(u16, Direction)>,
}

impl Globe {
    pub(crate) fn new(sites: &Sites) -> Self {
        let mut order = default_order(sites);
        order.truncate(usize::from(u16::MAX));
        let place = |(rank, name): (u16, &SiteName)| Some((rank, sites.get(name)?.location?.direction()));
        let points = (0..).zip(&order).filter_map(place).collect();
        Self { order, points }
    }

    /// The nearest few sites to a place, nearest first.
    pub(crate) fn nearest(&self, from: Location, count: usize) -> Vec<SiteName> {
        let mut search = Search::default();
        let ranks = search.nearest(self, from, count).iter();
        ranks.map(|rank| self.order[usize::from(*rank)].clone()).collect()
    }
}

/// What a search needs, kept from one to the next.
#[derive(Debug, Default)]
struct Search {
    spans: Vec<f64>,
    sorted: Vec<f64>,
    found: Vec<(u32, u16)>,
    ranks: Vec<u16>,
}

impl Search {
    /// The ranks of the nearest sites, nearest first.
    fn nearest(&mut self, globe: &Globe, from: Location, count: usize) -> &[u16] {
        let from = from.direction();
        self.spans.clear();
        self.spans.extend(globe.points.iter().map(|(_, to)| from.span(to)));
        // Whole kilometres decide, and they cost an arcsine: they are only made of those that may be among
        // the nearest. A kilometre more than the last of them has is more than rounding can hide.
        let farthest = if count < self.spans.len() {
            self.sorted.clone_from(&self.spans);
            let (_, last, _) = self
                .sorted
                .select_nth_unstable_by(count.saturating_sub(1), f64::total_cmp);
            Direction::span_of_km(Direction::km_of_span(*last) + 1)
        } else {
            f64::INFINITY
        };
        let spans = self.spans.iter().zip(&globe.points);
        let near = spans.filter(|(span, _)| **span <= farthest);
        self.found.clear();
        self.found
            .extend(near.map(|(span, (rank, _))| (Direction::km_of_span(*span), *rank)));
        self.found.sort_unstable();
        self.ranks.clear();
        self.ranks.extend(self.found.iter().take(count).map(|(_, rank)| *rank));
        &self.ranks
    }
}
