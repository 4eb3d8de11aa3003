//! Places that need no database: the middle of every country, and the regions of public clouds.
//!
//! Both are data files of the project, with their source and date in their first lines. They are read
//! once, on first use; a line that does not parse is a bug that the test below finds, and is skipped.
//!
//! Refused: asking the clouds. The places of regions change by one or two a year, and a name server that
//! needs the Internet to know where its own clusters are is of no use on the day it matters.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Continent, Country};
use crate::Location;

const COUNTRIES: &str = include_str!("../../data/countries.csv");
const REGIONS: &str = include_str!("../../data/cloud-regions.csv");

/// A country, as the atlas has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CountryFacts {
    pub(super) continent: Continent,
    pub(super) centre: Location,
}

/// A region of a public cloud.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudRegion {
    /// `AWS`, `Google Cloud` or `Azure`.
    pub cloud: &'static str,
    /// The city or area that the cloud names.
    pub city: &'static str,
    /// Where that is, to a tenth of a degree.
    pub location: Location,
}

/// The fields of each line that is not a comment.
fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split(',').collect())
}

fn location(latitude: &str, longitude: &str) -> Option<Location> {
    Location::new(latitude.parse().ok()?, longitude.parse().ok()?)
}

fn country_row(fields: &[&'static str]) -> Option<(Country, CountryFacts)> {
    let &[code, continent, latitude, longitude] = fields else {
        return None;
    };
    let facts = CountryFacts {
        continent: Continent::new(continent)?,
        centre: location(latitude, longitude)?,
    };
    Some((Country::new(code)?, facts))
}

fn region_row(fields: &[&'static str]) -> Option<(&'static str, CloudRegion)> {
    let &[cloud, name, latitude, longitude, city] = fields else {
        return None;
    };
    let location = location(latitude, longitude)?;
    Some((name, CloudRegion { cloud, city, location }))
}

/// A country by its letters.
pub(super) fn country(code: Country) -> Option<CountryFacts> {
    static ALL: LazyLock<BTreeMap<Country, CountryFacts>> =
        LazyLock::new(|| rows(COUNTRIES).filter_map(|row| country_row(&row)).collect());
    ALL.get(&code).copied()
}

/// The region of a public cloud with that name, as in `topology.kubernetes.io/region`. The names of the
/// three clouds never meet: `us-east-1`, `us-east1`, `eastus`.
pub fn cloud_region(name: &str) -> Option<&'static CloudRegion> {
    static ALL: LazyLock<BTreeMap<&'static str, CloudRegion>> =
        LazyLock::new(|| rows(REGIONS).filter_map(|row| region_row(&row)).collect());
    ALL.get(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_of_the_data_parses_and_no_name_comes_twice() {
        let countries: BTreeSet<_> = rows(COUNTRIES)
            .map(|row| country_row(&row).unwrap_or_else(|| panic!("{row:?}")).0)
            .collect();
        assert_eq!(countries.len(), rows(COUNTRIES).count());
        let regions: BTreeSet<_> = rows(REGIONS)
            .map(|row| region_row(&row).unwrap_or_else(|| panic!("{row:?}")).0)
            .collect();
        assert_eq!(regions.len(), rows(REGIONS).count());
        assert!(countries.len() >= 249, "{}", countries.len());
        assert!(regions.len() >= 100, "{}", regions.len());
    }

    #[test]
    fn regions_are_found_by_the_names_their_nodes_carry() {
        for (name, latitude, longitude) in [
            ("ap-northeast-1", 35.7, 139.7),
            ("asia-east1", 24.1, 120.5),
            ("westeurope", 52.4, 4.9),
        ] {
            let here = Location::new(latitude, longitude).expect("on the globe");
            let region = cloud_region(name).expect("a known region");
            assert!(region.location.distance_km(&here) < 60, "{name}: {region:?}");
        }
        assert_eq!(cloud_region("us-central-9"), None);
    }

    #[test]
    fn coordinates_and_continents_agree() {
        let near = |code: &str, latitude: f64, longitude: f64| {
            let facts = country(Country::new(code).expect("letters")).expect("a country");
            let there = Location::new(latitude, longitude).expect("on the globe");
            assert!(facts.centre.distance_km(&there) < 500, "{code}: {facts:?}");
        };
        near("TW", 23.7, 121.0);
        near("NZ", -41.0, 174.0);
        near("PT", 39.5, -8.0);
        near("BR", -10.8, -53.0);
    }
}
