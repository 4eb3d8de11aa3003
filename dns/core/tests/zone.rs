//! What the zone itself promises: negative answers, its own records, zones in zones, scopes, loops.
//!
//! Cases are written as in `answer.rs`.

mod support;

use meridian_dns_core::{Fallback, WhenNoneHealthy, Zone};
use support::{OREGON, TOKYO, World, absolute, ask, check, check_in, soa, world};

/// In no site's network.
const NOWHERE: &str = "192.0.2.9";

fn policy(when: WhenNoneHealthy) -> Fallback {
    Fallback::Policy(when)
}

#[test]
fn negative_answers_carry_the_soa_and_know_what_is_not_known() {
    let no_data = ["NOERROR /0", "authority @ SOA"];
    check(&world(), TOKYO, "web TXT", &no_data);
    check(&world(), TOKYO, "absent A", &["NXDOMAIN /0", "authority @ SOA"]);
    check(&world().incomplete(), TOKYO, "absent A", &["SERVFAIL /0"]);
    // What is there is answered all the same.
    check(&world().incomplete(), TOKYO, "web TXT", &no_data);
    // Nothing at `asia` itself, but below it: it exists.
    check(&world(), TOKYO, "asia A", &no_data);
    check(&world().incomplete(), TOKYO, "asia A", &no_data);
    // Below a name with data there is nothing.
    check(&world(), TOKYO, "x.web A", &["NXDOMAIN /0", "authority @ SOA"]);
    check(&World::default(), TOKYO, "ns1.x A", &["NXDOMAIN /0", "authority @ SOA"]);
}

/// A routed name at the apex answers for addresses; SOA and NS stay the zone's.
#[test]
fn a_routed_name_at_the_apex_does_not_hide_the_zones_own_records() {
    let plain = world();
    let apex = world().name(
        "@",
        policy(WhenNoneHealthy::FailOpen),
        &[("tokyo", "10.1.0.1"), ("oregon", "10.3.0.1")],
    );
    check(&apex, TOKYO, "@ A", &["NOERROR /24", "@ A 10.1.0.1"]);
    check(&apex, TOKYO, "@ SOA", &["NOERROR /0", "@ SOA"]);
    for question in ["@ NS", "@ ANY"] {
        assert_eq!(
            ask(&apex.snapshot(), TOKYO, question),
            ask(&plain.snapshot(), TOKYO, question)
        );
    }
}

#[test]
fn the_zone_has_its_own_records() {
    check(&world(), TOKYO, "@ SOA", &["NOERROR /0", "@ SOA"]);
    check(
        &world(),
        TOKYO,
        "@ NS",
        &[
            "NOERROR /0",
            "@ NS ns1 ns.elsewhere.test.",
            "additional ns1 A 192.0.2.53",
        ],
    );
    check(&world(), TOKYO, "@ A", &["NOERROR /0", "authority @ SOA"]);
    check(&world(), TOKYO, "ns1 A", &["NOERROR /0", "ns1 A 192.0.2.53"]);
    check(&world(), TOKYO, "ns1 AAAA", &["NOERROR /0", "authority @ SOA"]);
    let answer = ask(&world().snapshot(), TOKYO, "absent A");
    assert_eq!(answer.authorities[0].ttl, soa().minimum, "RFC 2308 section 3");
}

#[test]
fn the_zone_with_the_longest_name_answers_and_others_are_refused() {
    let inner = Zone::new(absolute("asia"), soa(), Vec::new()).with_complete(true);
    let both = world().snapshot().with_zone(inner);
    check_in(&both, TOKYO, "web.asia A", &["NXDOMAIN /0", "authority asia SOA"]);
    check_in(&both, TOKYO, "web A", &["NOERROR /24", "web A 10.1.0.1"]);
    // An alias out of the zone is left to the resolver.
    check_in(&both, TOKYO, "xasia A", &["NXDOMAIN /0", "authority @ SOA"]);
    check(&world(), TOKYO, "web.elsewhere.test. A", &["REFUSED /0"]);
    check(&world(), TOKYO, "evilexample.test. A", &["REFUSED /0"]);
    check(&world(), TOKYO, "test. NS", &["REFUSED /0"]);
    check(&world(), TOKYO, ". NS", &["REFUSED /0"]);
}

#[test]
fn the_scope_is_the_class_of_the_client_or_nobody() {
    // One site and nothing above: the same for everybody.
    let single = world().name("one", policy(WhenNoneHealthy::FailOpen), &[("tokyo", "10.1.0.1")]);
    check(&single, TOKYO, "one A", &["NOERROR /0", "one A 10.1.0.1"]);
    // One site, but more above: already what it may become tomorrow.
    check(&world(), TOKYO, "web.tokyo A", &["NOERROR /24", "web.tokyo A 10.1.0.1"]);
    let policy_above = |up: bool| {
        let world = world().name(
            "one",
            policy(WhenNoneHealthy::Fallback(absolute("web"))),
            &[("tokyo", "10.1.0.1")],
        );
        if up { world } else { world.unhealthy("one", "tokyo") }
    };
    for up in [true, false] {
        assert_eq!(ask(&policy_above(up).snapshot(), OREGON, "one A").scope, 24, "up: {up}");
    }
    for changed in [
        world().dead("tokyo"),
        world().drained("oregon"),
        world().all_unhealthy(&["tokyo", "taipei", "oregon"]),
    ] {
        for (from, question) in [(TOKYO, "web A"), (OREGON, "web.asia A"), (NOWHERE, "web.tokyo A")] {
            let scope = |world: &World| ask(&world.snapshot(), from, question).scope;
            assert_eq!(scope(&changed), scope(&world()), "{question} from {from}");
        }
    }
}

#[test]
fn a_loop_of_aliases_ends() {
    let down = |world: World| world.unhealthy("a", "tokyo").unhealthy("b", "tokyo");
    let a = |name| Fallback::Upper(absolute(name));
    let looped = world()
        .name("a", a("b"), &[("tokyo", "10.1.0.1")])
        .name("b", a("a"), &[("tokyo", "10.1.0.1")]);
    check(&down(looped), TOKYO, "a A", &["SERVFAIL /0"]);
    let itself = world()
        .name("a", a("a"), &[("tokyo", "")])
        .name("b", a("a"), &[("tokyo", "")]);
    check(&itself, TOKYO, "b A", &["SERVFAIL /0"]);
}
