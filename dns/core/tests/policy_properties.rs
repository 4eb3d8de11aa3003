//! What holds under every policy, for every fleet; and which policies are refused.
//!
//! The worlds are those of `support/arbitrary.rs`. That negative answers, findings and what stands beside
//! an answer are the same for all, that a scope covers only clients who are told the same, and that
//! explaining is answering, is in `properties.rs`, whose worlds have policies too.

mod support;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use meridian_dns_core::{
    Client, ClientKey, Fallback, GeoCondition, GeoRule, LatencyRow, Liveness, Outcome, Policy, PolicyTree, Question,
    RecordData, RecordType, ShardData, SiteName, Sites, Snapshot, Step, Traffic, WeightedBranch, WhenNoneHealthy,
    answer, explain,
};
use proptest::prelude::*;
use support::arbitrary::{GLOBAL, SITES, any_client, any_question, full_snapshot, name};
use support::{TOKYO, World, absolute, client, question, world};

fn site_of(address: Ipv4) -> SiteName {
    SiteName::new(SITES[usize::from(address.octets()[2])])
}

type Ipv4 = std::net::Ipv4Addr;

fn changed(snapshot: &Snapshot, change: impl Fn(&SiteName, &mut meridian_dns_core::Site)) -> Sites {
    let sites = snapshot.sites().iter().map(|(name, site)| {
        let mut site = site.clone();
        change(name, &mut site);
        (name.clone(), site)
    });
    sites.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The scope of a positive answer depends on names, networks and policies alone.
    #[test]
    fn the_scope_does_not_depend_on_health(
        snapshot in full_snapshot(), question in any_question(), client in any_client(), flip in 0..SITES.len(), drain in any::<bool>(),
    ) {
        let other = changed(&snapshot, |name, site| match (name.as_str() == SITES[flip], drain, site.liveness, site.traffic) {
            (false, ..) => {}
            (_, true, _, Traffic::Active) => site.traffic = Traffic::Drained,
            (_, true, _, Traffic::Drained) => site.traffic = Traffic::Active,
            (_, false, Liveness::Alive, _) => site.liveness = Liveness::Dead,
            (_, false, Liveness::Dead, _) => site.liveness = Liveness::Alive,
        });
        let before = answer(&snapshot, &question, client);
        let after = answer(&snapshot.clone().with_sites(other), &question, client);
        let ends_alike = |a: &meridian_dns_core::Answer, b: &meridian_dns_core::Answer| {
            a.outcome == Outcome::NoError && b.outcome == Outcome::NoError && a.authorities.is_empty() && b.authorities.is_empty()
                && a.answers.len() == b.answers.len() && !a.answers.is_empty()
        };
        // An alias that is followed or not makes another chain, with names of its own.
        if ends_alike(&before, &after) && before.findings == after.findings {
            prop_assert_eq!(before.scope, after.scope);
        }
    }

    /// A site that does not serve, or that no branch names, answers only when no named site serves; a site
    /// that is not named only when no named one is active.
    #[test]
    fn worse_sites_are_chosen_only_for_want_of_better(snapshot in full_snapshot(), client in any_client()) {
        let zone = snapshot.zone(&name("example.test")).expect("the zone");
        let Some(routed) = zone.name(&name(GLOBAL)) else { return Ok(()) };
        let asked = Question { name: name(GLOBAL), record_type: RecordType::A };
        let reply = answer(&snapshot, &asked, client);
        let Some(set) = reply.answers.first().filter(|set| set.name == name(GLOBAL)) else { return Ok(()) };
        let public = |address: &Ipv4| address.octets()[0] == 10;
        let chosen: BTreeSet<_> = set.data.iter().filter_map(|data| match data {
            RecordData::A(address) if public(address) => Some(site_of(*address)),
            _ => None,
        }).collect();
        let named = |site: &SiteName| routed.policy.as_ref().is_none_or(|policy| policy.names(site));
        let state = |site: &SiteName| snapshot.sites().get(site).expect("a site");
        let active = |site: &SiteName| state(site).traffic == Traffic::Active;
        let serves = |site: &SiteName| active(site) && state(site).liveness == Liveness::Alive && routed.shards[site].serves();
        let has_ipv4 = |site: &SiteName| matches!(
            &routed.shards[site].data, ShardData::Addresses(all) if all.iter().any(IpAddr::is_ipv4)
        );
        let any = |good: &dyn Fn(&SiteName) -> bool| routed.shards.keys().any(|site| has_ipv4(site) && good(site));
        for site in &chosen {
            if !(named(site) && serves(site)) {
                prop_assert!(!any(&|site| named(site) && serves(site)));
            }
            if !named(site) || !active(site) {
                prop_assert!(!any(&|site| named(site) && active(site)));
            }
        }
        // Several sites answer together only under a policy, and then they are all alike.
        if chosen.len() > 1 {
            prop_assert!(routed.policy.is_some());
            let alike: BTreeSet<_> = chosen.iter().map(|site| (named(site), serves(site))).collect();
            prop_assert!(alike.len() == 1 || !any(&|site| named(site) && serves(site)));
        }
    }

    /// A turn changes the order of addresses, and of host names which one is told; nothing else.
    #[test]
    fn a_rotation_only_rotates(snapshot in full_snapshot(), question in any_question(), client in any_client(), rotation in any::<u32>()) {
        let told = |client: Client<'_>| {
            let reply = answer(&snapshot, &question, client);
            let set = |set: &meridian_dns_core::RecordSet| {
                let mut data: Vec<_> = set.data.iter().map(ToString::to_string).collect();
                data.sort();
                let alias = set.record_type() == Some(RecordType::Cname);
                (set.name.clone(), set.record_type(), set.ttl, if alias { Vec::new() } else { data })
            };
            (reply.outcome, reply.scope, reply.answers.iter().map(set).collect::<Vec<_>>(), reply.authorities, reply.findings)
        };
        prop_assert_eq!(told(client), told(Client { rotation, ..client }));
    }

    /// The same question of the same world with a site removed: explained as it would be answered, and the
    /// site that is gone is in no step as a choice.
    #[test]
    fn a_world_without_a_site_is_explained_as_it_would_be_answered(
        snapshot in full_snapshot(), question in any_question(), client in any_client(), which in 0..SITES.len(),
    ) {
        let gone = SiteName::new(SITES[which]);
        let sites = snapshot.sites().iter().filter(|(name, _)| **name != gone);
        let without = snapshot.clone().with_sites(sites.map(|(name, site)| (name.clone(), site.clone())).collect());
        let explanation = explain(&without, &question, client);
        prop_assert_eq!(&explanation.answer, &answer(&without, &question, client));
        for step in &explanation.steps {
            if let Step::Chosen { site, .. } = step {
                prop_assert_ne!(site, &gone);
            }
        }
    }
}

#[track_caller]
fn explained(world: &World, from: &str, expected: &[&str]) {
    let (snapshot, question) = (world.snapshot(), question("web A"));
    let explanation = explain(&snapshot, &question, client(from));
    let steps: Vec<_> = explanation.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps[2..], *expected, "from {from}");
}

fn site(name: &str) -> Arc<PolicyTree> {
    Arc::new(PolicyTree::Site(SiteName::new(name)))
}

fn named(name: &str, tree: PolicyTree) -> Arc<PolicyTree> {
    Arc::new(PolicyTree::Named(name.to_owned(), Arc::new(tree)))
}

#[test]
fn each_policy_of_a_tree_says_what_it_decided() {
    let shares = PolicyTree::Weighted(vec![
        WeightedBranch {
            weight: 1,
            branch: site("taipei"),
        },
        WeightedBranch {
            weight: 3,
            branch: site("oregon"),
        },
    ]);
    let rule = GeoRule {
        condition: GeoCondition {
            networks: vec!["100.64.0.0/16".parse().expect("a network")],
            ..GeoCondition::default()
        },
        branch: named("shop/shares", shares),
    };
    let tree = PolicyTree::Geo {
        rules: vec![rule],
        otherwise: Some(Arc::new(PolicyTree::Manual(vec![SiteName::new("taipei")]))),
    };
    explained(
        &world().policy("web", &tree).unhealthy("web", "oregon"),
        "100.64.1.9",
        &[
            "policy: rules[0] applies to a client of unknown place",
            "  policy shop/shares: by weight, for clients in 100.64.1.0/24: oregon (weight 3), taipei (weight 1)",
            "site oregon (7793 km) is passed over: unhealthy: no ready endpoints",
            "site taipei (2099 km) is chosen",
            "site tokyo (0 km) is in reserve, but its policy does not name it",
            "not all sites serve: TTL 15 s instead of 30 s",
        ],
    );
    explained(
        &world().policy("web", &tree).dead("taipei"),
        "192.0.2.1",
        &[
            "policy: no rule applies to a client of unknown place",
            "  policy: by hand: taipei",
            "site taipei is passed over: its data path is dead",
            "site oregon is chosen",
            "site tokyo is in reserve, but its policy does not name it",
            "not all sites serve: TTL 15 s instead of 30 s",
        ],
    );
    let together = PolicyTree::RoundRobin { sites: None };
    explained(
        &world().policy("web", &together).drained("taipei"),
        TOKYO,
        &[
            "policy: all sites that serve, addresses rotated by 0",
            "site taipei (2099 km) is passed over: drained by the operator",
            "site oregon (7793 km) is chosen",
            "site tokyo (0 km) is chosen",
        ],
    );
}

#[track_caller]
fn refused(tree: &PolicyTree, expected: &str) {
    let error = Policy::compile(tree, ClientKey::default(), false).expect_err("a bad policy");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_policy_that_cannot_mean_anything_is_refused_with_its_place() {
    let branch = |weight, branch: &Arc<PolicyTree>| WeightedBranch {
        weight,
        branch: branch.clone(),
    };
    let nothing = PolicyTree::Weighted(vec![branch(0, &site("a")), branch(0, &site("b"))]);
    refused(
        &nothing,
        "branches: all weights are 0, so nobody has a share; give one branch a weight",
    );
    let twice = PolicyTree::Weighted(vec![branch(1, &site("a")), branch(2, &site("a"))]);
    refused(&twice, "branches[1]: a is there twice; add their weights in one");
    refused(
        &PolicyTree::Weighted(Vec::new()),
        "branches: is empty; name at least one",
    );
    refused(
        &PolicyTree::Failover(Vec::new()),
        "branches: is empty; name at least one",
    );
    refused(&PolicyTree::Manual(Vec::new()), "sites: is empty; name at least one");
    refused(
        &PolicyTree::Failover(vec![site("a"), named("shop/inner", nothing)]),
        "policy shop/inner: branches: all weights are 0, so nobody has a share; give one branch a weight",
    );
    let row = LatencyRow {
        network: "192.0.2.7/24".parse().expect("a network"),
        milliseconds: vec![(SiteName::new("a"), 1)],
    };
    let matrix = PolicyTree::Latency {
        sites: None,
        matrix: vec![row.clone(), row].into(),
    };
    refused(
        &PolicyTree::Failover(vec![Arc::new(matrix)]),
        "branches[0].latency: network 192.0.2.0/24 is there twice; keep one",
    );
    let rule = |countries: &[&str], subdivisions: &[&str]| PolicyTree::Geo {
        rules: vec![GeoRule {
            condition: GeoCondition {
                countries: countries.iter().map(|code| (*code).to_owned()).collect(),
                subdivisions: subdivisions.iter().map(|code| (*code).to_owned()).collect(),
                ..GeoCondition::default()
            },
            branch: site("a"),
        }],
        otherwise: None,
    };
    refused(
        &rule(&["Germany"], &[]),
        "rules[0]: \"Germany\" is not the code of a country (EU, DE, US-CA)",
    );
    refused(
        &rule(&[], &["CA"]),
        "rules[0]: \"CA\" is not the code of a subdivision (EU, DE, US-CA)",
    );
    refused(
        &rule(&[], &[]),
        "rules[0]: has no condition, so it would apply to all; use `otherwise` for that",
    );
}

#[test]
fn a_policy_that_references_make_too_deep_or_too_large_is_refused() {
    let deep = (0..64).fold(site("a"), |inner, _| Arc::new(PolicyTree::Failover(vec![inner])));
    let error = Policy::compile(&deep, ClientKey::default(), false).expect_err("too deep");
    assert!(error.to_string().contains("policies inside each other"), "{error}");
    // Each policy leads twice to the next: few objects, and a tree of a million branches.
    let wide = (0..20).fold(site("a"), |inner, _| {
        Arc::new(PolicyTree::Failover(vec![inner.clone(), inner]))
    });
    let error = Policy::compile(&wide, ClientKey::default(), false).expect_err("too large");
    assert!(
        error.to_string().contains("branches, rules, networks and rows"),
        "{error}"
    );
}

#[test]
fn what_if_a_cluster_were_gone_is_the_same_question_of_another_world() {
    let tree = PolicyTree::Failover(vec![site("oregon"), site("taipei")]);
    let snapshot = world().policy("web", &tree).snapshot();
    let sites = snapshot.sites().iter().filter(|(name, _)| name.as_str() != "oregon");
    let without = snapshot
        .clone()
        .with_sites(sites.map(|(name, site)| (name.clone(), site.clone())).collect());
    let chosen = |snapshot: &Snapshot| {
        let explanation = explain(snapshot, &question("web A"), client(TOKYO));
        explanation.steps.into_iter().find_map(|step| match step {
            Step::Chosen { site, .. } => Some(site.to_string()),
            _ => None,
        })
    };
    assert_eq!(chosen(&snapshot).as_deref(), Some("oregon"));
    assert_eq!(chosen(&without).as_deref(), Some("taipei"));
    // The first world is as it was.
    assert_eq!(chosen(&snapshot).as_deref(), Some("oregon"));
    let zone = without.zone(&absolute("@")).expect("the zone");
    let routed = zone.name(&absolute("web")).expect("the name");
    assert_eq!(routed.fallback, Fallback::Policy(WhenNoneHealthy::FailOpen));
}
