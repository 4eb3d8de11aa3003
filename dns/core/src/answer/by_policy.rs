//! Which sites answer for a routed name that has a policy.
//!
//! The policy gives the order; who serves is decided as for every name. What differs from the plain order
//! in `choose`: sites of one group answer together, and a site that no branch names is taken only after
//! all that are named, like a drained one, by a name that fails open.

use std::collections::BTreeSet;

use super::choose::{Candidate, Choice, Chooser, Rules};
use super::trace::{PassedOver, Step, Trace};
use crate::policy::{self, Policy, Ranking};
use crate::zone::node::Routed;
use crate::{RecordData, RecordType, Shard};

/// A site's place in the ranking, and its part of the name.
type Place<'a> = (usize, policy::Candidate<'a>, &'a Shard);

impl<'a> Chooser<'a> {
    /// As [`Chooser::choose`], by the order of a policy.
    pub(super) fn choose_by_policy(
        &self,
        policy: &'a Policy,
        routed: &'a Routed,
        may_alias: bool,
        record_type: RecordType,
        trace: &mut impl Trace,
    ) -> Choice {
        let name = &*routed.name;
        let rules = Rules::new(routed, may_alias, record_type, self.asker.sites);
        let ranking = policy.rank(self.asker, trace);
        let order = ranking.order.iter().enumerate();
        let order: Vec<Place<'_>> = order
            .filter_map(|(place, candidate)| Some((place, *candidate, name.shards.get(candidate.site)?)))
            .collect();
        let sites = self.asker.sites;
        let named = |(place, ..): &Place<'_>| *place < ranking.named;
        let active = |(_, candidate, _): &Place<'_>| !sites.drained(candidate.site);
        let serves = |(_, candidate, shard): &Place<'_>| rules.serves(candidate.site, shard);
        let fits = |(_, _, shard): &Place<'_>| rules.fits(shard);
        let target = name.fallback.target();
        let anybody = order.iter().any(|place| named(place) && serves(place));
        if !anybody {
            trace.step(|| Step::NoneServes(name.name.clone()));
        }
        let mut chosen = first_group(&order, |place| named(place) && serves(place) && fits(place));
        if rules.fail_open {
            let tiers: [&dyn Fn(&Place<'_>) -> bool; 4] =
                [&|place| named(place) && active(place), &serves, &active, &|_| true];
            for tier in tiers {
                if chosen.is_empty() {
                    chosen = first_group(&order, |place| tier(place) && fits(place));
                }
            }
        }
        if trace.listens() {
            let good = chosen.first().is_some_and(|place| named(place) && serves(place));
            let why_not = |(site, shard): Candidate<'_>| {
                let place = order.iter().find(|(_, candidate, _)| candidate.site == site);
                let would_do = place.is_some_and(|place| named(place) && serves(place) && fits(place));
                (!would_do).then(|| match self.why_not(site, shard, rules.usable(shard)) {
                    PassedOver::Drained => PassedOver::Drained,
                    _ if !policy.names(site) => PassedOver::NotNamed,
                    other => other,
                })
            };
            let told: Vec<Candidate<'_>> = chosen
                .iter()
                .map(|(_, candidate, shard)| (candidate.site, *shard))
                .collect();
            let in_order = order.iter().map(|(_, candidate, shard)| (candidate.site, *shard));
            self.tell(in_order, why_not, &told, good, trace);
        }
        if rules.host_names && !chosen.is_empty() {
            let at = turn(&ranking, &chosen, chosen.len());
            let host = chosen.get(at).and_then(|(_, _, shard)| shard.host_name.clone());
            return host.map_or_else(|| Choice::Data(Vec::new()), Choice::HostName);
        }
        match target.filter(|_| !rules.fail_open && !anybody) {
            Some(target) => Choice::Fallback(target.clone()),
            None => {
                let parts = chosen.iter().map(|(_, candidate, shard)| (candidate.site, *shard));
                let mut data: Vec<_> = parts.flat_map(|part| self.data(name, part, record_type)).collect();
                only_once(&mut data);
                let at = turn(&ranking, &chosen, data.len());
                data.rotate_left(at);
                Choice::Data(data)
            }
        }
    }
}

/// The first that is good, and those of its group that are as well.
fn first_group<'a>(order: &[Place<'a>], good: impl Fn(&Place<'a>) -> bool) -> Vec<Place<'a>> {
    let Some((_, first, _)) = order.iter().find(|place| good(place)) else {
        return Vec::new();
    };
    let same = |place: &&Place<'a>| place.1.group == first.group && good(place);
    order.iter().filter(same).copied().collect()
}

/// Takes away what is there already (RFC 2181 section 5): two sites may have one address.
pub(super) fn only_once(data: &mut Vec<RecordData>) {
    let mut seen = BTreeSet::new();
    data.retain(|one| seen.insert(one.clone()));
}

/// Where a rotated list of that length begins.
fn turn(ranking: &Ranking<'_>, chosen: &[Place<'_>], length: usize) -> usize {
    let together = chosen.first().is_some_and(|(_, candidate, _)| candidate.together);
    let rotation = if together { ranking.rotation } else { 0 };
    let rest = rotation.checked_rem(length as u64).unwrap_or(0);
    usize::try_from(rest).unwrap_or(0)
}
