//! The records of the databases that are around, in one form.
//!
//! MaxMind and DB-IP nest (`country.iso_code`, `location.latitude`); the databases made from registries and
//! routing tables are flat (`country_code`, `latitude`), and some have a bare `country`. Only what is used is
//! read. A value of an odd type leaves its own field open, and no more: a database that has a latitude of
//! "n/a" must not cost the country beside it.

use meridian_dns_core::Location;
use meridian_dns_core::geo::{Continent, Country, Place, Subdivision};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A value that may be of any type, a map with a code included.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Whole(u64),
    Number(f64),
    Coded {
        #[serde(alias = "iso_code")]
        code: String,
    },
    Odd(IgnoredAny),
}

impl Value {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Coded { code: text } => Some(text),
            Self::Whole(_) | Self::Number(_) | Self::Odd(_) => None,
        }
    }

    fn degrees(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Whole(number) => u32::try_from(*number).ok().map(f64::from),
            Self::Text(text) => text.parse().ok(),
            Self::Coded { .. } | Self::Odd(_) => None,
        }
    }

    /// `64500` or `AS64500`.
    fn asn(&self) -> Option<u32> {
        match self {
            Self::Whole(number) => u32::try_from(*number).ok(),
            Self::Text(text) => text.trim_start_matches(['A', 'S', 'a', 's']).parse().ok(),
            Self::Number(_) | Self::Coded { .. } | Self::Odd(_) => None,
        }
        .filter(|number| *number != 0)
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Position {
    Known { latitude: Value, longitude: Value },
    Odd(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Parts {
    Known(Vec<Value>),
    Odd(IgnoredAny),
}

/// A record of any of the schemas.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    location: Option<Position>,
    #[serde(alias = "lat")]
    latitude: Option<Value>,
    #[serde(alias = "lon", alias = "lng")]
    longitude: Option<Value>,
    country: Option<Value>,
    country_code: Option<Value>,
    registered_country: Option<Value>,
    continent: Option<Value>,
    continent_code: Option<Value>,
    subdivisions: Option<Parts>,
    autonomous_system_number: Option<Value>,
    asn: Option<Value>,
}

impl Record {
    /// What the record says of where a network is.
    pub(crate) fn place(self) -> Place {
        let position = match &self.location {
            Some(Position::Known { latitude, longitude }) => Some((latitude, longitude)),
            _ => self.latitude.as_ref().zip(self.longitude.as_ref()),
        };
        let location = position.and_then(|(latitude, longitude)| {
            // Some databases have zeroes where they know nothing; nobody lives there.
            let (latitude, longitude) = (latitude.degrees()?, longitude.degrees()?);
            Location::new(latitude, longitude).filter(|_| latitude != 0.0 || longitude != 0.0)
        });
        let first = |values: [&Option<Value>; 3]| {
            let texts = values.into_iter().flatten().filter_map(Value::text);
            texts.map(str::to_owned).find(|text| !text.is_empty())
        };
        // Where the network is registered is better than nothing: anycast networks have no other country.
        let country = first([&self.country, &self.country_code, &self.registered_country]);
        let continent = first([&self.continent, &self.continent_code, &None]);
        let subdivision = match &self.subdivisions {
            Some(Parts::Known(parts)) => parts.first().and_then(Value::text),
            _ => None,
        };
        let asn = [&self.autonomous_system_number, &self.asn];
        Place {
            location,
            country: country.as_deref().and_then(Country::new),
            continent: continent.as_deref().and_then(Continent::new),
            subdivision: subdivision.and_then(Subdivision::new),
            asn: asn.into_iter().flatten().find_map(Value::asn),
        }
    }
}
