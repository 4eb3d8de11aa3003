//! What each kind of policy answers, and that health, drains and fall-backs mean the same under all.
//!
//! Cases are written as in `answer.rs`. Whoever is not named stands behind all others; the scope is that
//! of what was consulted, and 0 where the client has no say.

mod support;

use std::sync::Arc;

use meridian_dns_core::geo::Place;
use meridian_dns_core::{
    ClientKey, ClientNetwork, Fallback, GeoCondition, GeoRule, LatencyRow, Location, NetworkOwner, Policy, PolicyTree,
    Question, RecordType, SiteName, Snapshot, WeightedBranch, WhenNoneHealthy, Zone, answer,
};
use support::policies::{place, placed as in_places};
use support::{OREGON, TOKYO, World, absolute, ask, check, check_in, client, render, world};

/// No site's network has it.
const ELSEWHERE: &str = "203.0.113.9";

const T: &str = "web A 10.1.0.1";
const P: &str = "web A 10.2.0.1";
const O: &str = "web A 10.3.0.1";

fn sites(names: &[&str]) -> Vec<SiteName> {
    names.iter().map(|name| SiteName::new(*name)).collect()
}

fn site(name: &str) -> Arc<PolicyTree> {
    Arc::new(PolicyTree::Site(SiteName::new(name)))
}

fn manual(names: &[&str]) -> PolicyTree {
    PolicyTree::Manual(sites(names))
}

fn failover(branches: &[Arc<PolicyTree>]) -> Arc<PolicyTree> {
    Arc::new(PolicyTree::Failover(branches.to_vec()))
}

fn weighted(branches: &[(&str, u32)]) -> PolicyTree {
    let branch = |(name, weight): &(&str, u32)| WeightedBranch {
        weight: *weight,
        branch: site(name),
    };
    PolicyTree::Weighted(branches.iter().map(branch).collect())
}

/// A rule; each word is a continent `EU`, a country `@DE`, a subdivision `US-CA`, `AS64500` or a network.
fn rule(text: &str, branch: &Arc<PolicyTree>) -> GeoRule {
    let mut condition = GeoCondition::default();
    for word in text.split(' ') {
        if let Ok(network) = word.parse() {
            condition.networks.push(network);
        } else if let Some(number) = word.strip_prefix("AS").and_then(|number| number.parse().ok()) {
            condition.asns.push(number);
        } else if let Some(country) = word.strip_prefix('@') {
            condition.countries.push(country.to_owned());
        } else if word.contains('-') {
            condition.subdivisions.push(word.to_owned());
        } else {
            condition.continents.push(word.to_owned());
        }
    }
    GeoRule {
        condition,
        branch: branch.clone(),
    }
}

fn web(world: &World, from: &str, scope: u8, expected: &str) {
    check(world, from, "web A", &[&format!("NOERROR /{scope}"), expected]);
}

#[test]
fn a_manual_order_is_kept_for_every_client_and_asks_nothing_of_it() {
    let world = || world().policy("web", &manual(&["oregon", "tokyo"]));
    for from in [TOKYO, OREGON, ELSEWHERE] {
        web(&world(), from, 0, O);
        web(&world().dead("oregon"), from, 0, T);
        web(&world().drained("oregon"), from, 0, T);
        web(&world().unhealthy("web", "oregon"), from, 0, T);
        // Before one that is not named comes one that is not well.
        web(
            &world().unhealthy("web", "oregon").unhealthy("web", "tokyo"),
            from,
            0,
            O,
        );
        web(&world().drained("oregon").drained("tokyo"), from, 0, P);
    }
}

#[test]
fn a_failover_goes_down_its_branches_however_deep_they_are() {
    let tree = failover(&[failover(&[failover(&[site("taipei")]), site("oregon")]), site("tokyo")]);
    let world = || world().policy("web", &tree);
    web(&world(), TOKYO, 0, P);
    web(&world().dead("taipei"), TOKYO, 0, O);
    web(&world().dead("taipei").unhealthy("web", "oregon"), OREGON, 0, T);
    web(&world().dead("taipei").dead("oregon").dead("tokyo"), OREGON, 0, P);
}

#[test]
fn near_ties_share_their_clients_and_others_keep_the_distance() {
    let near = |within_km| PolicyTree::Nearest { sites: None, within_km };
    web(&world().policy("web", &near(None)), TOKYO, 24, T);
    web(&world().policy("web", &near(Some(100))), TOKYO, 24, T);
    web(&world().policy("web", &near(Some(3000))), OREGON, 24, O);
    let shared = world().policy("web", &near(Some(3000)));
    // Inside the network of the class, each address could be a prefix of its own.
    let finer = Policy::compile(&near(Some(3000)), ClientKey::new(32, 128).expect("a key"), false);
    let snapshot = with_policy(shared.snapshot(), finer.expect("a policy"));
    let of = |last: u8| render(&ask(&snapshot, &format!("100.64.1.{last}"), "web A"));
    let tokyo = (0..=255).filter(|last| of(*last)[1] == T).count();
    let taipei = (0..=255).filter(|last| of(*last)[1] == P).count();
    assert_eq!((tokyo + taipei, of(1)[0].as_str()), (256, "NOERROR /32"));
    assert!(tokyo.abs_diff(taipei) < 64, "{tokyo} and {taipei}");
}

fn with_policy(snapshot: Snapshot, policy: Policy) -> Snapshot {
    let zone = snapshot.zone(&absolute("@")).expect("the zone").clone();
    let mut web = (**zone.name(&absolute("web")).expect("a name")).clone();
    web.policy = Some(Arc::new(policy));
    snapshot.with_zone(zone.with(&[meridian_dns_core::NameChange::Set(Arc::new(web))], 9))
}

#[test]
fn some_sites_alone_may_be_nearest() {
    let tree = PolicyTree::Nearest {
        sites: Some(sites(&["taipei", "oregon"])),
        within_km: None,
    };
    web(&world().policy("web", &tree), TOKYO, 24, P);
    web(&world().policy("web", &tree).dead("taipei"), TOKYO, 24, O);
    // With one there is no choice.
    let one = PolicyTree::Nearest {
        sites: Some(sites(&["taipei"])),
        within_km: Some(9),
    };
    web(&world().policy("web", &one), TOKYO, 0, P);
}

/// Two networks of one class, tokyo, taipei, oregon: in Fukuoka and in Kagoshima.
fn in_two_places(policy: &PolicyTree, nearest: usize) -> Snapshot {
    let at = |latitude, longitude| Place {
        location: Location::new(latitude, longitude),
        ..Place::default()
    };
    let networks = [("203.0.0.0/24", at(33.6, 130.4)), ("203.0.1.0/24", at(31.6, 130.6))];
    let networks = networks.map(|(network, place)| (network.parse().expect("a network"), place));
    in_places(world().policy("web", policy).snapshot(), &networks, nearest)
}

#[test]
fn distances_are_those_of_the_clients_place_and_so_is_the_scope() {
    let near = |only: Option<&[&str]>, within_km| PolicyTree::Nearest {
        sites: only.map(sites),
        within_km,
    };
    let told = |tree: &PolicyTree, nearest, from: &str, expected: &[&str]| {
        check_in(&in_two_places(tree, nearest), from, "web A", expected);
    };
    // Both networks have one order of sites, and so one scope.
    for from in ["203.0.0.1", "203.0.1.1"] {
        told(&near(None, None), 3, from, &["NOERROR /23", T]);
        told(&near(Some(&["taipei", "oregon"]), None), 3, from, &["NOERROR /23", P]);
        // The class knows tokyo alone, so the distances decide.
        told(&near(Some(&["taipei", "oregon"]), None), 1, from, &["NOERROR /24", P]);
        // Where sites may share clients, the prefix of the client counts too, here as long as that.
        told(&near(None, Some(1)), 3, from, &["NOERROR /24", T]);
    }
    let of = |network: u8, within_km| {
        let key = ClientKey::new(32, 128).expect("a key");
        let policy = Policy::compile(&near(None, Some(within_km)), key, false).expect("a policy");
        let snapshot = in_two_places(&near(None, None), 3);
        let snapshot = with_policy(snapshot, policy);
        let told = |last: u8| render(&ask(&snapshot, &format!("203.0.{network}.{last}"), "web A"));
        let taipei = (0..=255).filter(|last| told(*last)[1] == P).count();
        (told(1)[0].clone(), taipei)
    };
    // From Fukuoka taipei is 405 km farther than tokyo, from Kagoshima 173 km.
    assert_eq!(of(0, 300), ("NOERROR /24".to_owned(), 0));
    let (scope, taipei) = of(1, 300);
    assert!(scope == "NOERROR /32" && taipei.abs_diff(128) < 32, "{scope} {taipei}");
}

#[test]
fn a_name_above_in_another_zone_counts_for_the_scope_by_the_networks_of_that_zone() {
    let other = absolute("other.test.");
    let far = Fallback::Policy(WhenNoneHealthy::Fallback(absolute("web.other.test.")));
    let world = || world().name("web", far.clone(), &[("tokyo", "10.1.0.1")]);
    let snapshot = |world: World| {
        let snapshot = world.snapshot();
        let zone = snapshot.zone(&absolute("@")).expect("the zone");
        let upper = self::world().snapshot();
        let web = upper
            .zone(&absolute("@"))
            .and_then(|zone| zone.name(&absolute("web")).cloned());
        let mut web = (*web.expect("a name")).clone();
        web.name = absolute("web.other.test.");
        let networks = [ClientNetwork {
            network: "203.0.113.8/30".parse().expect("a network"),
            nearest_to: NetworkOwner::Site(SiteName::new("taipei")),
        }];
        let set = meridian_dns_core::NameChange::Set(Arc::new(web));
        let made = Zone::new(other.clone(), zone.soa().clone(), Vec::new())
            .with(&[set], 2)
            .with_complete(true);
        snapshot.with_zone(made.with_networks(Arc::new(networks)))
    };
    check_in(&snapshot(world()), ELSEWHERE, "web A", &["NOERROR /30", T]);
    let down = ["NOERROR /30", "web CNAME web.other.test.", "web.other.test. A 10.2.0.1"];
    check_in(&snapshot(world().dead("tokyo")), ELSEWHERE, "web A", &down);
}

#[test]
fn latency_goes_before_distance_where_it_is_known() {
    let row = |network: &str, times: &[(&str, u32)]| LatencyRow {
        network: network.parse().expect("a network"),
        milliseconds: times.iter().map(|(site, time)| (SiteName::new(*site), *time)).collect(),
    };
    let matrix = |only: Option<&[&str]>| PolicyTree::Latency {
        sites: only.map(sites),
        matrix: vec![
            row("100.64.0.0/16", &[("tokyo", 90), ("oregon", 20), ("taipei", 50)]),
            row("100.64.1.0/25", &[("taipei", 5)]),
        ]
        .into(),
    };
    let world = || world().policy("web", &matrix(None));
    web(&world(), "100.64.9.1", 21, O);
    web(&world().dead("oregon"), "100.64.9.1", 21, P);
    // The longest prefix counts; who was not measured from there follows by distance.
    web(&world(), TOKYO, 25, P);
    web(&world().dead("taipei"), TOKYO, 25, T);
    web(&world(), "100.64.1.129", 25, O);
    // Elsewhere nearest first, and at a listener the address says nothing.
    web(&world(), ELSEWHERE, 1, O);
    web(&world(), "at tokyo 100.64.9.1", 0, T);
    let only = support::world().policy("web", &matrix(Some(&["tokyo", "taipei"])));
    web(&only, "100.64.9.1", 21, P);
}

#[test]
fn shares_hold_a_client_at_its_site_and_the_scope_covers_its_prefix() {
    let tree = weighted(&[("tokyo", 1), ("oregon", 1)]);
    let snapshot = world().policy("web", &tree).snapshot();
    let of = |from: &str| render(&ask(&snapshot, from, "web A"));
    for third in 0..32 {
        let first = of(&format!("203.0.{third}.0"));
        assert!(
            first[0] == "NOERROR /24" && [T, O].contains(&first[1].as_str()),
            "{first:?}"
        );
        assert_eq!(first, of(&format!("203.0.{third}.255")));
        assert_eq!(first, of(&format!("192.0.2.1 203.0.{third}.0/24")));
        assert_eq!(first[1], of(&format!("::ffff:203.0.{third}.7"))[1]);
    }
    assert_eq!(of("::ffff:203.0.113.7")[0], "NOERROR /120");
    assert_eq!(of("2001:db8:9::1")[0], "NOERROR /48");
    // A weight of 0 waits until no other serves; one share needs no client.
    let world = || world().policy("web", &weighted(&[("tokyo", 0), ("oregon", 3)]));
    web(&world(), TOKYO, 0, O);
    web(&world().dead("oregon"), TOKYO, 0, T);
    web(&world().dead("oregon").dead("tokyo"), TOKYO, 0, O);
}

#[test]
fn all_sites_answer_together_and_take_turns() {
    let tree = PolicyTree::RoundRobin { sites: None };
    let turn = |world: &World, from: &str, rotation| {
        let question = Question {
            name: absolute("web"),
            record_type: RecordType::A,
        };
        let mut client = client(from);
        client.rotation = rotation;
        render(&answer(&world.snapshot(), &question, client)).join(", ")
    };
    // By the name of the site: oregon, taipei, tokyo.
    let world = || world().policy("web", &tree);
    for (rotation, expected) in [
        (0, "10.3.0.1 10.2.0.1 10.1.0.1"),
        (1, "10.2.0.1 10.1.0.1 10.3.0.1"),
        (2, "10.1.0.1 10.3.0.1 10.2.0.1"),
        (u32::MAX, "10.3.0.1 10.2.0.1 10.1.0.1"),
    ] {
        assert_eq!(turn(&world(), TOKYO, rotation), format!("NOERROR /0, web A {expected}"));
        assert_eq!(turn(&world(), TOKYO, rotation), turn(&world(), OREGON, rotation));
    }
    let less = world().dead("taipei").drained("oregon");
    assert_eq!(turn(&less, TOKYO, 1), "NOERROR /0, web A 10.1.0.1");
    // None serves: all that are not drained.
    let none = world().dead("taipei").dead("oregon").unhealthy("web", "tokyo");
    assert_eq!(turn(&none, TOKYO, 0), "NOERROR /0, web A 10.3.0.1 10.2.0.1 10.1.0.1");
    // A sticky client has a turn of its own.
    let sticky = support::world().sticky("web", &tree);
    assert_eq!(turn(&sticky, TOKYO, 1), turn(&sticky, "100.64.1.200", 2));
    assert!(turn(&sticky, TOKYO, 0).starts_with("NOERROR /24"));
    let firsts: std::collections::BTreeSet<_> = (0..32)
        .map(|third| turn(&sticky, &format!("203.0.{third}.1"), 0))
        .collect();
    assert_eq!(firsts.len(), 3);
    // A site with nothing of the type is left out, and where all have a host name there is one alias.
    let hosts = support::world()
        .name("web", fail_open(), &[("tokyo", ""), ("oregon", "")])
        .host_name("web", "tokyo", "lb1.elsewhere.test.")
        .host_name("web", "oregon", "lb3.elsewhere.test.")
        .policy("web", &tree);
    assert_eq!(turn(&hosts, TOKYO, 0), "NOERROR /0, web CNAME lb3.elsewhere.test.");
    assert_eq!(turn(&hosts, TOKYO, 1), "NOERROR /0, web CNAME lb1.elsewhere.test.");
}

#[test]
fn what_sites_together_could_answer_is_known_ahead_for_one_that_fails() {
    let world = world()
        .name(
            "web",
            fail_open(),
            &[
                ("tokyo", "10.1.0.1 10.9.0.1"),
                ("taipei", "10.2.0.1"),
                ("oregon", "10.9.0.1"),
            ],
        )
        .policy("web", &PolicyTree::RoundRobin { sites: None });
    let ahead = |world: &World| {
        let snapshot = world.snapshot();
        let zone = snapshot.zone(&absolute("@")).expect("the zone");
        let sets = zone.alternatives(&absolute("web"), RecordType::A);
        sets.iter().map(|set| set.data.clone()).collect::<Vec<_>>()
    };
    for world in [
        world,
        support::world().policy("web", &PolicyTree::RoundRobin { sites: None }),
    ] {
        let known = ahead(&world);
        for down in ["tokyo", "taipei", "oregon", "none"] {
            let mut told = ask(&world.clone().dead(down).snapshot(), TOKYO, "web A").answers[0]
                .data
                .clone();
            told.sort();
            let same = |data: &Vec<_>| {
                let mut data = data.clone();
                data.sort();
                data == told
            };
            assert!(known.iter().any(same), "{told:?} in {known:?}");
            // An address that two sites have is told once (RFC 2181 section 5).
            assert!(told.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }
}

fn fail_open() -> Fallback {
    Fallback::Policy(WhenNoneHealthy::FailOpen)
}

fn geo(otherwise: Option<Arc<PolicyTree>>) -> PolicyTree {
    PolicyTree::Geo {
        rules: vec![
            rule("10.9.0.0/16", &site("tokyo")),
            rule("@US AS64500", &site("taipei")),
            rule("US-CA US-OR", &site("oregon")),
            rule("@TW @jp", &site("taipei")),
            rule("AS", &site("tokyo")),
        ],
        otherwise,
    }
}

/// Networks of places, and a world that asks for them.
fn placed(world: &World) -> Snapshot {
    let places = [
        ("203.0.1.0/24", "NA US OR 64499"),
        ("203.0.2.0/24", "NA US OR 64500"),
        ("203.0.3.0/24", "AS TW - -"),
        ("203.0.4.0/24", "AS KR - -"),
        ("203.0.5.0/24", "EU DE CA -"),
        ("10.0.0.0/8", "AS TW - -"),
    ];
    let places = places.map(|(network, text)| (network.parse().expect("a network"), place(text)));
    in_places(world.snapshot(), &places, 0)
}

#[test]
fn the_first_rule_about_a_clients_place_decides() {
    let tree = geo(Some(site("oregon")));
    let snapshot = placed(&world().policy("web", &tree));
    for (from, scope, expected) in [
        ("203.0.1.1", 24, O),
        // Both of a rule's attributes must hold.
        ("203.0.2.1", 24, P),
        ("203.0.3.1", 24, P),
        ("203.0.4.1", 24, T),
        // The subdivision of another country, and an unknown place.
        ("203.0.5.1", 24, O),
        ("203.0.9.1", 21, O),
        // A network of a rule, and beside it.
        ("10.9.1.1", 16, T),
        ("10.8.1.1", 16, P),
        // At a listener the address says nothing.
        ("at tokyo 10.9.1.1", 0, O),
    ] {
        check_in(&snapshot, from, "web A", &[&format!("NOERROR /{scope}"), expected]);
    }
    // Without a table nothing is known of anybody, and the networks' borders are all that matters.
    let blind = world().policy("web", &tree);
    web(&blind, "203.0.1.1", 1, O);
    web(&blind, "10.9.1.1", 16, T);
}

#[test]
fn a_client_whose_own_branch_is_down_is_sent_to_another_and_never_told_nothing() {
    for when in [WhenNoneHealthy::FailOpen, WhenNoneHealthy::Empty] {
        let shards = [("tokyo", "10.1.0.1"), ("taipei", "10.2.0.1"), ("oregon", "10.3.0.1")];
        let world = || world().name("web", Fallback::Policy(when.clone()), &shards);
        let rules = vec![rule("EU", &site("tokyo")), rule("AS", &site("taipei"))];
        let tree = PolicyTree::Geo { rules, otherwise: None };
        let down = placed(&world().policy("web", &tree).dead("taipei"));
        check_in(&down, "203.0.3.1", "web A", &["NOERROR /24", T]);
        // What no branch names is not in it, whoever asks.
        let all = placed(&world().policy("web", &tree).dead("taipei").dead("tokyo"));
        let expected: &[&str] = match when {
            WhenNoneHealthy::FailOpen => &["NOERROR /24", P],
            _ => &["NOERROR /0", "authority @ SOA"],
        };
        check_in(&all, "203.0.3.1", "web A", expected);
    }
}

#[test]
fn a_fall_back_is_followed_when_no_named_site_serves_and_its_policy_counts_for_the_scope() {
    let tree = manual(&["taipei"]);
    let world = || world().policy("web.asia", &tree);
    check(&world(), TOKYO, "web.asia A", &["NOERROR /24", "web.asia A 10.2.0.1"]);
    let down = ["NOERROR /24", "web.asia CNAME web", T];
    check(&world().unhealthy("web.asia", "taipei"), TOKYO, "web.asia A", &down);
    // The name above has a policy that needs no client, so nothing does.
    let above = || world().policy("web", &manual(&["oregon"]));
    check(&above(), TOKYO, "web.asia A", &["NOERROR /0", "web.asia A 10.2.0.1"]);
    let down = ["NOERROR /0", "web.asia CNAME web", O];
    check(&above().dead("taipei"), TOKYO, "web.asia A", &down);
}

#[test]
fn a_site_that_is_not_named_is_nobodys_trouble() {
    let ttl = |world: World| ask(&world.snapshot(), TOKYO, "web A").answers[0].ttl;
    let world = || world().policy("web", &manual(&["oregon", "taipei"]));
    assert_eq!(ttl(world()), 30);
    assert_eq!(ttl(world().dead("tokyo")), 30);
    assert_eq!(ttl(world().unhealthy("web", "tokyo")), 30);
    assert_eq!(ttl(world().dead("taipei")), 15);
    assert_eq!(ttl(world().unhealthy("web", "taipei")), 15);
}

#[test]
fn sites_that_do_not_exist_are_passed_by() {
    web(&world().policy("web", &manual(&["moon", "taipei"])), TOKYO, 0, P);
    web(&world().policy("web", &manual(&["moon"])), TOKYO, 0, O);
    web(
        &world().policy("web", &weighted(&[("moon", 9), ("taipei", 1)])),
        TOKYO,
        24,
        P,
    );
}

#[test]
fn internal_addresses_and_services_follow_the_policy() {
    let inside = "100.64.1.200";
    let world = world()
        .internal("web", "tokyo", "172.16.1.1")
        .name(
            "_h._tcp.web",
            fail_open(),
            &[("tokyo", "srv:own.tokyo:80"), ("oregon", "srv:web:81")],
        )
        .policy("_h._tcp.web", &manual(&["oregon"]))
        .policy("web", &manual(&["tokyo"]));
    check(&world, inside, "web A", &["NOERROR /25", "web A 172.16.1.1"]);
    check(&world, OREGON, "web A", &["NOERROR /25", T]);
    let services = render(&ask(&world.snapshot(), TOKYO, "_h._tcp.web SRV"));
    assert_eq!(services[..2], ["NOERROR /0", "_h._tcp.web SRV 0 1 81 web"]);
}
