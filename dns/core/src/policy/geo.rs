//! Rules about where a client is, compiled.
//!
//! The first rule that applies decides, as in a list of firewall rules: with several attributes in a rule
//! there is no order of "more exact" that people would guess. Networks are compiled into ranges, so that
//! the scope of an answer ends where another rule begins.

use std::sync::Arc;

use ipnet::IpNet;

use super::compile::PolicyProblem;
use super::tree::GeoCondition;
use crate::ClientPlace;
use crate::ranges::AddressRanges;

/// What a rule asks of a client's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    continents: Vec<String>,
    countries: Vec<String>,
    /// Country and subdivision.
    subdivisions: Vec<(String, String)>,
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
    pub(super) fn first(&self, place: &ClientPlace, around: &[usize]) -> Option<usize> {
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

    fn holds(&self, place: &ClientPlace) -> bool {
        let one_of = |list: &[String], code: &Option<Arc<str>>| {
            list.is_empty() || code.as_ref().is_some_and(|code| list.iter().any(|one| **one == **code))
        };
        let country = place.country.as_deref();
        let subdivision = place.subdivision.as_deref();
        one_of(&self.continents, &place.continent)
            && one_of(&self.countries, &place.country)
            && (self.subdivisions.is_empty()
                || self
                    .subdivisions
                    .iter()
                    .any(|(of, code)| Some(of.as_str()) == country && Some(code.as_str()) == subdivision))
            && (self.asns.is_empty() || place.asn.is_some_and(|number| self.asns.contains(&number)))
    }
}

fn condition(rule: &GeoCondition) -> Result<Condition, PolicyProblem> {
    const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];
    let odd = |text: &str, what| PolicyProblem::OddCode(text.to_owned(), what);
    let condition = Condition {
        continents: rule
            .continents
            .iter()
            .map(|text| {
                let code = text.to_ascii_uppercase();
                let known = CONTINENTS.contains(&code.as_str());
                known.then_some(code).ok_or_else(|| odd(text, "a continent"))
            })
            .collect::<Result<_, _>>()?,
        countries: rule
            .countries
            .iter()
            .map(|text| country(text).ok_or_else(|| odd(text, "a country")))
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

fn country(text: &str) -> Option<String> {
    let good = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_alphabetic());
    good.then(|| text.to_ascii_uppercase())
}

fn subdivision(text: &str) -> Option<(String, String)> {
    let (of, code) = text.split_once('-')?;
    let good = (1..=3).contains(&code.len()) && code.bytes().all(|octet| octet.is_ascii_alphanumeric());
    Some((country(of)?, good.then(|| code.to_ascii_uppercase())?))
}
