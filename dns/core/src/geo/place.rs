//! Where a client is, as far as a database knows.
//!
//! Codes are kept as the few octets they are: a database has hundreds of thousands of places. A code that
//! is not one is left open rather than kept as it came, so that a rule never compares with garbage.

use std::fmt;

use super::atlas;
use crate::Location;

/// A country, as its two letters (ISO 3166-1 alpha-2), upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// `None` for anything but two ASCII letters.
    pub fn new(text: &str) -> Option<Self> {
        match *text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// A continent, by the two letters that MaxMind databases use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Continent {
    /// AF
    Africa,
    /// AN
    Antarctica,
    /// AS
    Asia,
    /// EU
    Europe,
    /// NA
    NorthAmerica,
    /// OC
    Oceania,
    /// SA
    SouthAmerica,
}

impl Continent {
    /// `None` for anything but one of the seven, in either case.
    pub fn new(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "AF" => Self::Africa,
            "AN" => Self::Antarctica,
            "AS" => Self::Asia,
            "EU" => Self::Europe,
            "NA" => Self::NorthAmerica,
            "OC" => Self::Oceania,
            "SA" => Self::SouthAmerica,
            _ => return None,
        })
    }
}

impl fmt::Display for Continent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Africa => "AF",
            Self::Antarctica => "AN",
            Self::Asia => "AS",
            Self::Europe => "EU",
            Self::NorthAmerica => "NA",
            Self::Oceania => "OC",
            Self::SouthAmerica => "SA",
        })
    }
}

/// A part of a country: what ISO 3166-2 puts behind the country's letters and the dash, one to three
/// letters or digits, upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subdivision([u8; 3]);

impl Subdivision {
    /// `None` for anything but one to three ASCII letters or digits.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=3).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_alphanumeric());
        fits.then(|| {
            let mut octets = [0; 3];
            for (to, from) in octets.iter_mut().zip(text.bytes()) {
                *to = from.to_ascii_uppercase();
            }
            Self(octets)
        })
    }
}

impl fmt::Display for Subdivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(String::from_utf8_lossy(&self.0).trim_end_matches('\0'))
    }
}

/// What a database says of a network. Everything may be open.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Place {
    /// Coordinates.
    pub location: Option<Location>,
    /// Country.
    pub country: Option<Country>,
    /// Continent, where the database names one; see [`Place::continent`].
    pub continent: Option<Continent>,
    /// The largest part of the country.
    pub subdivision: Option<Subdivision>,
    /// Number of the autonomous system that announces the network.
    pub asn: Option<u32>,
}

/// From what a client's coordinates were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionSource {
    /// The database has coordinates.
    Coordinates,
    /// It has a country only; the middle of it is taken.
    CountryCentre,
}

impl Place {
    /// The coordinates to measure from, and where they were taken from.
    pub fn position(&self) -> Option<(Location, PositionSource)> {
        let own = self.location.map(|location| (location, PositionSource::Coordinates));
        own.or_else(|| {
            let country = atlas::country(self.country?)?;
            Some((country.centre, PositionSource::CountryCentre))
        })
    }

    /// The continent: the database's, or that of the country.
    pub fn continent(&self) -> Option<Continent> {
        self.continent
            .or_else(|| atlas::country(self.country?).map(|country| country.continent))
    }

    /// This place, with what it leaves open taken from another one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            location: self.location.or(other.location),
            country: self.country.or(other.country),
            continent: self.continent.or(other.continent),
            subdivision: self.subdivision.or(other.subdivision),
            asn: self.asn.or(other.asn),
        }
    }

    /// What makes two places one and the same.
    pub(super) fn key(&self) -> PlaceKey {
        let bits = |location: Location| (location.latitude.to_bits(), location.longitude.to_bits());
        let parts = (self.country, self.continent, self.subdivision, self.asn);
        (self.location.map(bits), parts)
    }
}

/// A place, to be compared and hashed.
pub(super) type PlaceKey = (
    Option<(u64, u64)>,
    (Option<Country>, Option<Continent>, Option<Subdivision>, Option<u32>),
);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if let Some(location) = self.location {
            words.push(format!("{:.2},{:.2}", location.latitude, location.longitude));
        }
        match (self.country, self.subdivision) {
            (Some(country), Some(subdivision)) => words.push(format!("country {country}-{subdivision}")),
            (Some(country), None) => words.push(format!("country {country}")),
            (None, _) => {}
        }
        words.extend(self.continent().map(|continent| format!("continent {continent}")));
        words.extend(self.asn.map(|asn| format!("AS{asn}")));
        if words.is_empty() {
            words.push("unknown place".to_owned());
        }
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_upper_case_and_garbage_is_none() {
        assert_eq!(
            Country::new("de").map(|country| country.to_string()).as_deref(),
            Some("DE")
        );
        assert_eq!(
            Subdivision::new("by").map(|part| part.to_string()).as_deref(),
            Some("BY")
        );
        assert_eq!(Continent::new("oc"), Some(Continent::Oceania));
        for bad in ["", "D", "DEU", "D1", "日本"] {
            assert_eq!(Country::new(bad), None, "{bad}");
        }
        for bad in ["", "ABCD", "A-", "é"] {
            assert_eq!(Subdivision::new(bad), None, "{bad}");
        }
        assert_eq!(Continent::new("XX"), None);
    }

    #[test]
    fn a_country_without_coordinates_is_taken_at_its_centre() {
        let germany = Place {
            country: Country::new("DE"),
            ..Place::default()
        };
        let (centre, source) = germany.position().expect("a known country");
        assert_eq!(source, PositionSource::CountryCentre);
        assert!((47.0..55.1).contains(&centre.latitude) && (5.8..15.1).contains(&centre.longitude));
        assert_eq!(germany.continent(), Some(Continent::Europe));
        let unknown = Place {
            country: Country::new("ZZ"),
            ..Place::default()
        };
        assert_eq!((unknown.position(), unknown.continent()), (None, None));
    }
}
