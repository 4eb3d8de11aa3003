//! Rules about where a client is, compiled.
//!
//! The first rule that applies decides, as in a list of firewall rules: with several attributes in a rule
//! there is no order of "more exact" that people would guess. Networks are compiled into ranges, so that
//! the scope of an answer ends where another rule begins.

use std::sync::Arc;

use ipnet::IpNet;

use super::compile::PolicyProblem;
use super::tree::GeoCondition;
use crate::geo::{Continent, Country, Place, Subdivision};
use crate::ranges::AddressRanges;

/// What a rule asks of a client's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    continents: Vec<Continent>,
    countries: Vec<Country>,
    subdivisions: Vec<(Country, Subdivision)>,
    asns: Vec<u32>,
    by_network: bool,
}

/// The conditions of all rules of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conditions {
    rules: Vec<Condition>,
    /// Every address to the rules that have a network around it, sorted.
    networks: AddressRanges<Arc<[usize]>>,
    pub(super) by_place: bool,
    pub(super) by_network: bool,
}

impl Conditions {
    pub(super) fn compile<'a>(
        rules: impl Iterator<Item = &'a GeoCondition> + Clone,
    ) -> Result<Self, (usize, PolicyProblem)> {
        let conditions = rules
            .clone()
            .enumerate()
            .map(|(index, rule)| condition(rule).map_err(|problem| (index, problem)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut networks: Vec<(IpNet, usize)> = rules
            .enumerate()
            .flat_map(|(index, rule)| rule.networks.iter().map(move |network| (network.trunc(), index)))
            .collect();
        networks.sort_by_key(|(network, index)| (network.prefix_len(), *network, *index));
        let mut ranges = AddressRanges::all(Arc::from([]));
        for (network, _) in &networks {
            let mut around: Vec<_> = networks
                .iter()
                .filter(|(other, _)| other.contains(network))
                .map(|(_, index)| *index)
                .collect();
            around.sort_unstable();
            around.dedup();
            ranges.overlay(network, around.into());
        }
        Ok(Self {
            by_place: conditions.iter().any(Condition::asks_for_place),
            by_network: !networks.is_empty(),
            rules: conditions,
            networks: ranges,
        })
    }

    /// The rules that have a network around the address, and the scope of that.
    pub(super) fn networks_around(&self, address: std::net::IpAddr) -> (&[usize], u8) {
        let (around, scope) = self.networks.lookup(address);
        (around, scope)
    }

    /// The first rule that applies.
    pub(super) fn first(&self, place: &Place, around: &[usize]) -> Option<usize> {
        let mut rules = self.rules.iter().enumerate();
        rules
            .find(|(index, rule)| (!rule.by_network || around.contains(index)) && rule.holds(place))
            .map(|(index, _)| index)
    }
}

impl Condition {
    fn asks_for_place(&self) -> bool {
        !(self.continents.is_empty()
            && self.countries.is_empty()
            && self.subdivisions.is_empty()
            && self.asns.is_empty())
    }

    fn holds(&self, place: &Place) -> bool {
        fn one_of<T: PartialEq>(list: &[T], code: Option<T>) -> bool {
            list.is_empty() || code.is_some_and(|code| list.contains(&code))
        }
        one_of(&self.continents, place.continent())
            && one_of(&self.countries, place.country)
            && one_of(&self.subdivisions, place.country.zip(place.subdivision))
            && one_of(&self.asns, place.asn)
    }
}

fn condition(rule: &GeoCondition) -> Result<Condition, PolicyProblem> {
    let odd = |text: &str, what| PolicyProblem::OddCode(text.to_owned(), what);
    let condition = Condition {
        continents: rule
            .continents
            .iter()
            .map(|text| Continent::new(text).ok_or_else(|| odd(text, "a continent")))
            .collect::<Result<_, _>>()?,
        countries: rule
            .countries
            .iter()
            .map(|text| Country::new(text).ok_or_else(|| odd(text, "a country")))
            .collect::<Result<_, _>>()?,
        subdivisions: rule
            .subdivisions
            .iter()
            .map(|text| subdivision(text).ok_or_else(|| odd(text, "a subdivision")))
            .collect::<Result<_, _>>()?,
        asns: rule.asns.clone(),
        by_network: !rule.networks.is_empty(),
    };
    if condition.asks_for_place() || condition.by_network {
        Ok(condition)
    } else {
        Err(PolicyProblem::RuleForAll)
    }
}

/// ISO 3166-2, such as `US-CA`.
fn subdivision(text: &str) -> Option<(Country, Subdivision)> {
    let (of, code) = text.split_once('-')?;
    Country::new(of).zip(Subdivision::new(code))
}
