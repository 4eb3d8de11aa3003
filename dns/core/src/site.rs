//! Sites: clusters as DNS sees them.
//!
//! Losing or draining a whole cluster flips one field here that every answer consults; no routed
//! name changes. That is what makes a failover O(1).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The name of a site; the same as its `Cluster` object's.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteName(Arc<str>);

impl SiteName {
    /// Takes the name as it is; Kubernetes has validated it.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place on the globe, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// -90 (south) to 90 (north).
    pub latitude: f64,
    /// -180 (west) to 180 (east).
    pub longitude: f64,
}

impl Location {
    /// `None` when a coordinate is out of range or not a number.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let valid = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        valid.then_some(Self { latitude, longitude })
    }

    /// Great-circle distance in whole kilometres on a sphere of 6,371 km. Whole, because the last bits of
    /// floating point differ between machines and must not decide an order.
    pub fn distance_km(&self, other: &Self) -> u32 {
        Direction::km_of_span(self.direction().span(&other.direction()))
    }

    /// The place as seen from the centre of the globe.
    pub(crate) fn direction(&self) -> Direction {
        let (latitude, longitude) = (self.latitude.to_radians(), self.longitude.to_radians());
        Direction([
            latitude.cos() * longitude.cos(),
            latitude.cos() * longitude.sin(),
            latitude.sin(),
        ])
    }
}

const GLOBE_RADIUS_KM: f64 = 6371.0;

/// A point of the unit sphere. Millions of distances are compared by it without an arcsine each; the square
/// of the chord between two points is also good for those that are metres apart, unlike their cosine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Direction([f64; 3]);

impl Direction {
    /// The square of the chord to another point, 0 to 4: the larger, the farther.
    #[inline]
    pub(crate) fn span(&self, other: &Self) -> f64 {
        let [x, y, z] = [0, 1, 2].map(|axis| self.0[axis] - other.0[axis]);
        x * x + y * y + z * z
    }

    /// The great-circle distance that belongs to a span, in whole kilometres.
    #[inline]
    pub(crate) fn km_of_span(span: f64) -> u32 {
        (2.0 * GLOBE_RADIUS_KM * (span.sqrt() / 2.0).min(1.0).asin()).round() as u32
    }

    /// The span that belongs to a distance.
    pub(crate) fn span_of_km(km: u32) -> f64 {
        let half_angle = f64::from(km) / (2.0 * GLOBE_RADIUS_KM);
        if half_angle < std::f64::consts::FRAC_PI_2 {
            (2.0 * half_angle.sin()).powi(2)
        } else {
            f64::INFINITY
        }
    }
}

/// Whether a site's data path works, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Liveness {
    /// Believed to serve. Also the state of a site that nobody has found dead: unknown is not dead.
    Alive,
    /// Probes of its data path failed, by the rules of `federation-core`.
    Dead,
}

/// The operator's switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Traffic {
    /// Takes clients.
    Active,
    /// Takes none while any other site is left.
    Drained,
}

/// One site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Region, as in `topology.kubernetes.io/region`; empty when unknown.
    pub region: String,
    /// All zones of the cluster, sorted.
    pub zones: Vec<String>,
    /// Where it is; without it the site comes last in every order.
    pub location: Option<Location>,
    /// Clients in these networks are nearest to this site.
    pub networks: Vec<IpNet>,
    /// Clients in these networks reach this site's internal addresses, and are told those.
    pub internal_networks: Vec<IpNet>,
    /// Order among clients of unknown place; higher first.
    pub weight: u32,
    /// Verdict on its data path.
    pub liveness: Liveness,
    /// The operator's switch.
    pub traffic: Traffic,
}

/// All sites by name, in the order of names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sites {
    all: BTreeMap<SiteName, Site>,
    /// The active sites that are dead. It is short, and lets an answer see at once whether any of its
    /// sites is among them.
    down: Vec<SiteName>,
}

impl Sites {
    /// The site of that name.
    pub fn get(&self, name: &SiteName) -> Option<&Site> {
        self.all.get(name)
    }

    /// Adds or replaces a site.
    pub fn insert(&mut self, name: SiteName, site: Site) {
        self.down.retain(|other| *other != name);
        if site.liveness == Liveness::Dead && site.traffic == Traffic::Active {
            self.down.push(name.clone());
            self.down.sort();
        }
        self.all.insert(name, site);
    }

    /// All sites, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&SiteName, &Site)> {
        self.all.iter()
    }

    /// The sites that should serve and are dead, by name.
    pub fn down(&self) -> &[SiteName] {
        &self.down
    }

    /// Whether the operator took the site out of service. One that is not known is no better.
    pub(crate) fn drained(&self, name: &SiteName) -> bool {
        self.get(name).is_none_or(|site| site.traffic == Traffic::Drained)
    }

    /// Whether the site is alive and takes clients.
    pub(crate) fn takes_clients(&self, name: &SiteName) -> bool {
        self.get(name)
            .is_some_and(|site| site.liveness == Liveness::Alive && site.traffic == Traffic::Active)
    }
}

/// All sites, as clients of unknown place have them: those with the larger weight first, then by name. Those
/// whose own place is unknown come last.
pub(crate) fn default_order(sites: &Sites) -> Vec<SiteName> {
    let mut order: Vec<_> = sites.iter().collect();
    order.sort_by_key(|(name, site)| (site.location.is_none(), Reverse(site.weight), *name));
    order.into_iter().map(|(name, _)| name.clone()).collect()
}

impl FromIterator<(SiteName, Site)> for Sites {
    fn from_iter<T: IntoIterator<Item = (SiteName, Site)>>(sites: T) -> Self {
        let mut all = Self::default();
        for (name, site) in sites {
            all.insert(name, site);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_a_globe() {
        let at = |latitude, longitude| Location::new(latitude, longitude).expect("on the globe");
        let (taipei, tokyo, oregon) = (at(25.03, 121.56), at(35.68, 139.69), at(45.52, -122.68));
        assert!((2080..2130).contains(&taipei.distance_km(&tokyo)));
        assert!(taipei.distance_km(&tokyo) < taipei.distance_km(&oregon));
        assert_eq!(taipei.distance_km(&taipei), 0);
        // Across the antimeridian, and from pole to pole.
        assert!(at(0.0, 179.0).distance_km(&at(0.0, -179.0)) < 230);
        assert!((20_000..20_050).contains(&at(90.0, 0.0).distance_km(&at(-90.0, 0.0))));
        assert!(Location::new(f64::NAN, 0.0).is_none());
        assert!(Location::new(0.0, 181.0).is_none());
    }
}
