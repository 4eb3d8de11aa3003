//! What holds for every fleet, not only for the ones we thought of.
//!
//! The worlds are those of `support/arbitrary.rs`. The properties are those that a resolver's cache or
//! a user would notice; each says in its own words when it applies.

mod support;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use meridian_dns_core::{
    Answer, Client, ClientSubnet, Fallback, FindingKind, Liveness, Outcome, Question, RecordData, RecordSet,
    RecordType, RoutedName, Shard, ShardData, SiteName, Snapshot, Traffic, WhenNoneHealthy, answer, explain,
};
use proptest::prelude::*;
use support::arbitrary::{
    GLOBAL, NAMES, SITES, any_address, any_client, any_question, any_snapshot, full_snapshot, name,
};

fn ask(snapshot: &Snapshot, question: &Question, address: IpAddr) -> Answer {
    answer(snapshot, question, Client::at(address))
}

/// Without the scope, which may differ between clients of the same answer.
fn told(
    answer: &Answer,
) -> (
    Outcome,
    &[meridian_dns_core::RecordSet],
    &[meridian_dns_core::RecordSet],
) {
    (answer.outcome, &answer.answers, &answer.authorities)
}

/// The addresses of the last set of the answer, if it is one of addresses.
fn addresses(answer: &Answer) -> Vec<IpAddr> {
    let last = answer.answers.last().map(|set| set.data.as_slice()).unwrap_or_default();
    last.iter()
        .filter_map(|data| match data {
            RecordData::A(address) => Some((*address).into()),
            RecordData::Aaaa(address) => Some((*address).into()),
            _ => None,
        })
        .collect()
}

/// An address in the same prefix of that length, its other bits taken from somewhere.
fn inside(address: IpAddr, length: u8, bits: u128) -> IpAddr {
    match IpNet::new(address, length).expect("a length within the family") {
        IpNet::V4(net) => Ipv4Addr::from(u32::from(net.network()) | (bits as u32 & u32::from(net.hostmask()))).into(),
        IpNet::V6(net) => Ipv6Addr::from(u128::from(net.network()) | (bits & u128::from(net.hostmask()))).into(),
    }
}

/// What a signature covers does not have the order that is sent.
fn sorted(set: &RecordSet) -> Vec<RecordData> {
    let mut data = set.data.clone();
    data.sort();
    data
}

fn site_of(address: IpAddr) -> &'static str {
    SITES[match address {
        IpAddr::V4(v4) => usize::from(v4.octets()[2]),
        IpAddr::V6(v6) => usize::from(v6.segments()[2]),
    }]
}

fn offers(shard: &Shard, wanted: fn(&IpAddr) -> bool) -> bool {
    matches!(&shard.data, ShardData::Addresses(addresses) if addresses.iter().any(wanted))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A negative answer (another outcome than NOERROR, or no data of the asked type at the end of the
    /// chain, which is when there is an SOA beside it) is the same for all clients, and its scope says so.
    #[test]
    fn negative_answers_are_the_same_for_all(
        snapshot in any_snapshot(), question in any_question(), one in any_address(), other in any_address(),
    ) {
        let first = ask(&snapshot, &question, one);
        if first.outcome != Outcome::NoError || !first.authorities.is_empty() {
            let second = ask(&snapshot, &question, other);
            prop_assert_eq!(&first, &second);
            prop_assert_eq!(first.scope, 0);
        } else {
            prop_assert!(!first.answers.is_empty(), "neither data nor SOA");
        }
    }

    /// All clients inside the scope of an answer are told the same.
    #[test]
    fn a_scope_covers_only_clients_who_are_told_the_same(
        snapshot in any_snapshot(), question in any_question(), one in any_address(), bits in any::<u128>(),
    ) {
        let first = ask(&snapshot, &question, one);
        let covered = IpNet::new(one, first.scope).expect("a scope within the family");
        let other = inside(one, first.scope, bits);
        let inside: [IpAddr; 3] = [covered.network(), covered.broadcast(), other];
        for client in inside.into_iter().filter(|client| client.to_canonical() == *client || one.to_canonical() != one) {
            let second = ask(&snapshot, &question, client);
            prop_assert_eq!(told(&first), told(&second), "{} and {}", one, client);
        }
    }

    /// The scope of a positive answer does not depend on the state of sites, only on names and networks.
    #[test]
    fn the_scope_does_not_depend_on_the_state_of_sites(
        snapshot in any_snapshot(), question in any_question(), client in any_address(), flip in 0..SITES.len(),
    ) {
        let flipped = SiteName::new(SITES[flip]);
        let sites = snapshot.sites().iter().map(|(name, site)| {
            let mut site = site.clone();
            if *name == flipped {
                site.liveness = if site.liveness == Liveness::Alive { Liveness::Dead } else { Liveness::Alive };
            }
            (name.clone(), site)
        }).collect();
        let positive = |answer: &Answer| answer.outcome == Outcome::NoError && answer.authorities.is_empty();
        let (before, after) = (ask(&snapshot, &question, client), ask(&snapshot.with_sites(sites), &question, client));
        if positive(&before) && positive(&after) {
            prop_assert_eq!(before.scope, after.scope);
        }
    }

    /// A global name that fails open answers A whenever any of its sites has an IPv4 address, and AAAA
    /// whenever IPv6 is answered at all.
    #[test]
    fn a_name_that_fails_open_is_never_empty(snapshot in any_snapshot(), client in any_address()) {
        let zone = snapshot.zone(&name("example.test")).expect("the zone");
        let Some(routed) = zone.name(&name(GLOBAL)) else { return Ok(()) };
        if routed.fallback != Fallback::Policy(WhenNoneHealthy::FailOpen) { return Ok(()) }
        let asked = |record_type| ask(&snapshot, &Question { name: name(GLOBAL), record_type }, client);
        let any = |wanted| routed.shards.values().any(|shard| offers(shard, wanted));
        prop_assert_eq!(any(IpAddr::is_ipv4), !addresses(&asked(RecordType::A)).is_empty());
        prop_assert_eq!(routed.ipv6, !addresses(&asked(RecordType::Aaaa)).is_empty());
    }

    /// The addresses of an answer are all those of the asked family of one site of the name at the end
    /// of the chain, unless it is a name that always answers.
    #[test]
    fn addresses_are_those_of_one_site(snapshot in any_snapshot(), question in any_question(), client in any_address()) {
        let reply = ask(&snapshot, &question, client);
        let sites: BTreeSet<_> = addresses(&reply).into_iter().map(site_of).collect();
        let Some(last) = reply.answers.last().filter(|_| !sites.is_empty()) else { return Ok(()) };
        let zone = snapshot.zone(&name("example.test")).expect("the zone");
        let routed = zone.name(&last.name).expect("a routed name");
        if routed.fallback != Fallback::Always {
            prop_assert_eq!(sites.len(), 1);
        }
        for site in sites {
            let ShardData::Addresses(all) = &routed.shards[&SiteName::new(site)].data else { unreachable!() };
            let ours = |address: &&IpAddr| last.data[0].record_type() == RecordType::Aaaa && address.is_ipv6()
                || last.data[0].record_type() == RecordType::A && address.is_ipv4();
            let told: Vec<_> = addresses(&reply).into_iter().filter(|address| site_of(*address) == site).collect();
            prop_assert_eq!(all.iter().filter(ours).copied().collect::<Vec<_>>(), told);
        }
    }

    /// A drained site is chosen only by a name that fails open, and only if no active site of the name
    /// has an address of the asked family. A site that is dead or unhealthy for the name is chosen only
    /// by such a name too, and only if no active, alive and healthy one has such an address.
    #[test]
    fn worse_sites_are_chosen_only_for_want_of_better(
        snapshot in any_snapshot(), level in 0..NAMES.len(), client in any_address(), ipv6 in any::<bool>(),
    ) {
        let (record_type, wanted): (_, fn(&IpAddr) -> bool) =
            if ipv6 { (RecordType::Aaaa, IpAddr::is_ipv6) } else { (RecordType::A, IpAddr::is_ipv4) };
        let reply = ask(&snapshot, &Question { name: name(NAMES[level]), record_type }, client);
        let Some(chosen) = addresses(&reply).first().map(|address| SiteName::new(site_of(*address))) else { return Ok(()) };
        let zone = snapshot.zone(&name("example.test")).expect("the zone");
        let routed = zone.name(&reply.answers.last().expect("an answer").name).expect("a routed name");
        if routed.fallback == Fallback::Always { return Ok(()) }
        let state = |site: &SiteName| snapshot.sites().get(site).expect("a site");
        let active = |site: &SiteName| state(site).traffic == Traffic::Active;
        let good = |site: &SiteName| active(site) && state(site).liveness == Liveness::Alive && routed.shards[site].serves();
        let any = |fits: &dyn Fn(&SiteName) -> bool| routed.shards.iter().any(|(site, shard)| fits(site) && offers(shard, wanted));
        if !good(&chosen) {
            prop_assert_eq!(&routed.fallback, &Fallback::Policy(WhenNoneHealthy::FailOpen));
            prop_assert!(!any(&good));
        }
        if !active(&chosen) {
            prop_assert!(!any(&active));
        }
    }

    /// A negative answer is the same for every client in whatever way it asks, down to the types that a
    /// signer would put into a bitmap; and it has an SOA unless nothing can be said.
    #[test]
    fn negatives_are_the_same_for_every_client_and_every_view(
        snapshot in full_snapshot(), question in any_question(), one in any_client(), other in any_client(),
    ) {
        let first = answer(&snapshot, &question, one);
        let last = first.findings.last().map(|last| last.kind);
        let negative = matches!(last, Some(FindingKind::NoData | FindingKind::NameError));
        let soa = first.authorities.iter().any(|set| set.record_type() == Some(RecordType::Soa));
        prop_assert_eq!(negative, soa);
        prop_assert_eq!(first.outcome == Outcome::NxDomain, last == Some(FindingKind::NameError));
        if negative || matches!(first.outcome, Outcome::ServFail | Outcome::Refused | Outcome::YxDomain) {
            prop_assert_eq!(first.scope, 0);
            prop_assert_eq!(&first, &answer(&snapshot, &question, other));
        } else if last != Some(FindingKind::Referral) {
            prop_assert!(!first.answers.is_empty(), "neither data nor SOA nor referral");
        }
    }

    /// What was found and what stands beside the answer does not depend on the client either.
    #[test]
    fn findings_authorities_and_additionals_are_the_same_for_all(
        snapshot in full_snapshot(), question in any_question(), one in any_client(), other in any_client(),
    ) {
        let (first, second) = (answer(&snapshot, &question, one), answer(&snapshot, &question, other));
        prop_assert_eq!(&first.findings, &second.findings);
        prop_assert_eq!(&first.authorities, &second.authorities);
        prop_assert_eq!(&first.additionals, &second.additionals);
        prop_assert_eq!((first.outcome, first.authoritative), (second.outcome, second.authoritative));
    }

    /// A resolver may give an answer to every client inside the scope, where SOURCE was as long (RFC 7871
    /// section 7.3.1): asked for them, we would have said the same.
    #[test]
    fn a_resolver_can_give_the_answer_to_every_client_inside_the_scope(
        snapshot in full_snapshot(), question in any_question(), client in any_client(), bits in any::<u128>(),
    ) {
        let first = answer(&snapshot, &question, client);
        let Some(subnet) = client.subnet else { return Ok(()) };
        if subnet.network.prefix_len() < first.scope || subnet.network.prefix_len() == 0 { return Ok(()) }
        let other = inside(subnet.network.addr(), first.scope, bits);
        let network = IpNet::new(other, subnet.network.prefix_len()).expect("the same length").trunc();
        let asked = Client { subnet: Some(ClientSubnet { network, ..subnet }), ..client };
        let second = answer(&snapshot, &question, asked);
        prop_assert_eq!(told(&first), told(&second), "{:?}", asked);
    }

    /// Internal addresses of a site are told only inside its internal networks, and a stranger's option
    /// is no way in.
    #[test]
    fn internal_addresses_stay_inside(
        snapshot in full_snapshot(), question in any_question(), client in any_client(),
    ) {
        let reply = answer(&snapshot, &question, client);
        let whose = match client.subnet {
            Some(subnet) if subnet.trusted && subnet.network.prefix_len() > 0 => subnet.network,
            _ => IpNet::from(client.source),
        };
        let told = reply.answers.iter().chain(&reply.additionals).flat_map(|set| &set.data);
        for data in told {
            let address: IpAddr = match data {
                RecordData::A(address) if address.octets()[0] == 172 => (*address).into(),
                RecordData::Aaaa(address) if address.segments()[0] == 0xfd00 => (*address).into(),
                _ => continue,
            };
            let site = snapshot.sites().get(&SiteName::new(site_of(address))).expect("a site");
            let whose = if let IpAddr::V6(v6) = whose.addr() && let Some(v4) = v6.to_ipv4_mapped() {
                IpNet::from(IpAddr::from(v4))
            } else {
                whose
            };
            prop_assert!(site.internal_networks.iter().any(|network| network.contains(&whose)), "{:?}", client);
        }
    }

    /// What is sent lives no longer than what is signed, and halving ends at the zone's minimum.
    #[test]
    fn every_set_that_is_answered_is_among_the_alternatives_of_its_name(
        snapshot in full_snapshot(),
        question in any_question(),
        client in any_client(),
    ) {
        let answer = answer(&snapshot, &question, client);
        prop_assume!(question.record_type != RecordType::Any);
        for finding in &answer.findings {
            let zone = snapshot.zone(&finding.zone).expect("the zone");
            let mixes = |name: &RoutedName| {
                let together = name.policy.as_ref().is_some_and(|policy| policy.answers_together());
                (name.fallback == Fallback::Always || together) && name.shards.len() > 1
            };
            if zone.name(&finding.name).is_some_and(|name| mixes(name)) {
                continue;
            }
            let alternatives = zone.alternatives(&finding.name, question.record_type);
            let answered = answer.answers.iter().filter(|set| set.name == finding.name);
            if matches!(finding.kind, FindingKind::Data | FindingKind::Alias) {
                for set in answered {
                    let is_same = |other: &RecordSet| sorted(other) == sorted(set) && other.original_ttl == set.original_ttl;
                    prop_assert!(alternatives.iter().any(is_same), "{set} in {alternatives:?}");
                }
            }
        }
    }

    #[test]
    fn ttls_are_lowered_and_never_raised(snapshot in full_snapshot(), question in any_question(), client in any_client()) {
        let reply = answer(&snapshot, &question, client);
        for set in reply.answers.iter().chain(&reply.additionals) {
            prop_assert!(set.ttl <= set.original_ttl && set.ttl >= set.original_ttl.min(5), "{}", set);
        }
        for set in &reply.authorities {
            prop_assert!(set.ttl <= set.original_ttl);
        }
    }

    /// Explaining is answering.
    #[test]
    fn what_is_explained_is_what_is_answered(snapshot in full_snapshot(), question in any_question(), client in any_client()) {
        let explanation = explain(&snapshot, &question, client);
        prop_assert_eq!(explanation.answer, answer(&snapshot, &question, client));
        prop_assert!(!explanation.steps.is_empty());
    }
}
