//! Which site answers: nearest, next nearest, and what is left when none serves.
//!
//! Each case is: a fleet, a client, a question, and the whole answer in a few words. The fleet is in
//! `support`. The first word of an answer is the outcome, then comes the Client Subnet scope.

mod support;

use meridian_dns_core::{Fallback, WhenNoneHealthy};
use support::{OREGON, TOKYO, absolute, check, world};

fn policy(when: WhenNoneHealthy) -> Fallback {
    Fallback::Policy(when)
}

#[test]
fn the_nearest_site_answers() {
    check(&world(), TOKYO, "web A", &["NOERROR /24", "web A 10.1.0.1"]);
    check(&world(), OREGON, "web A", &["NOERROR /24", "web A 10.3.0.1"]);
    // A name that is there is answered, whether or not all names are known yet.
    check(
        &world().incomplete(),
        TOKYO,
        "web A",
        &["NOERROR /24", "web A 10.1.0.1"],
    );
    // Of unknown place: by weight, then by name. 192.0.2.9 and 100.64.1.0/24 differ in the first bit.
    check(&world(), "192.0.2.9", "web A", &["NOERROR /1", "web A 10.3.0.1"]);
}

#[test]
fn the_next_nearest_answers_for_a_site_that_is_unhealthy_dead_or_drained() {
    let next = ["NOERROR /24", "web A 10.2.0.1"];
    check(&world().unhealthy("web", "tokyo"), TOKYO, "web A", &next);
    check(&world().dead("tokyo"), TOKYO, "web A", &next);
    check(&world().drained("tokyo"), TOKYO, "web A", &next);
    let far = ["NOERROR /24", "web A 10.3.0.1"];
    check(&world().dead("tokyo").unhealthy("web", "taipei"), TOKYO, "web A", &far);
    // A site without addresses yet is skipped like one that is unhealthy.
    let pending = world().name(
        "web",
        policy(WhenNoneHealthy::Empty),
        &[("tokyo", ""), ("taipei", "10.2.0.1")],
    );
    check(&pending, TOKYO, "web A", &next);
}

#[test]
fn fail_open_prefers_unhealthy_active_sites_to_drained_ones() {
    let none_healthy = || world().all_unhealthy(&["tokyo", "taipei", "oregon"]);
    check(&none_healthy(), TOKYO, "web A", &["NOERROR /24", "web A 10.1.0.1"]);
    check(
        &none_healthy().drained("tokyo"),
        TOKYO,
        "web A",
        &["NOERROR /24", "web A 10.2.0.1"],
    );
    // Healthy but drained still comes after active but unhealthy.
    let drained_healthy = world().all_unhealthy(&["taipei", "oregon"]).drained("tokyo");
    check(&drained_healthy, TOKYO, "web A", &["NOERROR /24", "web A 10.2.0.1"]);
    let all_drained = none_healthy().drained("tokyo").drained("taipei").drained("oregon");
    check(&all_drained, OREGON, "web A", &["NOERROR /24", "web A 10.3.0.1"]);
    check(
        &world().dead("tokyo").dead("taipei").dead("oregon"),
        TOKYO,
        "web A",
        &["NOERROR /24", "web A 10.1.0.1"],
    );
    // All active sites are without addresses: the drained one is what is left.
    let left = world().name(
        "web",
        policy(WhenNoneHealthy::FailOpen),
        &[("tokyo", "10.1.0.1"), ("oregon", "")],
    );
    check(
        &left.drained("tokyo"),
        OREGON,
        "web A",
        &["NOERROR /24", "web A 10.1.0.1"],
    );
}

#[test]
fn fail_open_answers_each_type_from_the_best_site_that_has_it() {
    let mixed = || {
        world().name(
            "web",
            policy(WhenNoneHealthy::FailOpen),
            &[("tokyo", "2001:db8::1"), ("oregon", "10.3.0.1")],
        )
    };
    check(&mixed(), TOKYO, "web A", &["NOERROR /24", "web A 10.3.0.1"]);
    check(
        &mixed().unhealthy("web", "oregon"),
        TOKYO,
        "web A",
        &["NOERROR /24", "web A 10.3.0.1"],
    );
    check(
        &mixed().drained("oregon"),
        TOKYO,
        "web A",
        &["NOERROR /24", "web A 10.3.0.1"],
    );
}

#[test]
fn the_other_policies_are_no_data_and_an_alias() {
    let named = |when| {
        world()
            .name("web", policy(when), &[("tokyo", "10.1.0.1"), ("oregon", "10.3.0.1")])
            .all_unhealthy(&["tokyo", "oregon"])
    };
    let empty = named(WhenNoneHealthy::Empty);
    check(&empty, TOKYO, "web A", &["NOERROR /0", "authority @ SOA"]);
    let outside = named(WhenNoneHealthy::Fallback(absolute("cdn.elsewhere.test.")));
    check(
        &outside,
        TOKYO,
        "web A",
        &["NOERROR /24", "web CNAME cdn.elsewhere.test."],
    );
    let inside = named(WhenNoneHealthy::Fallback(absolute("own.tokyo")));
    check(
        &inside,
        OREGON,
        "web A",
        &["NOERROR /24", "web CNAME own.tokyo", "own.tokyo A 10.1.0.1"],
    );
}

#[test]
fn lower_names_lead_to_the_name_above() {
    let asia_down = world().dead("tokyo").dead("taipei");
    check(
        &asia_down,
        TOKYO,
        "web.asia A",
        &["NOERROR /24", "web.asia CNAME web", "web A 10.3.0.1"],
    );
    check(
        &asia_down,
        TOKYO,
        "web.tokyo A",
        &[
            "NOERROR /24",
            "web.tokyo CNAME web.asia",
            "web.asia CNAME web",
            "web A 10.3.0.1",
        ],
    );
    let tokyo_down = world().dead("tokyo");
    check(
        &tokyo_down,
        OREGON,
        "web.tokyo A",
        &["NOERROR /24", "web.tokyo CNAME web.asia", "web.asia A 10.2.0.1"],
    );
    // An alias stands for all types: the negative answer has the chain and the SOA, for everybody.
    check(
        &tokyo_down,
        OREGON,
        "web.tokyo AAAA",
        &["NOERROR /0", "web.tokyo CNAME web.asia", "authority @ SOA"],
    );
    // Asked for by its type, the alias is the answer, and where there is none, nothing is.
    check(
        &tokyo_down,
        OREGON,
        "web.tokyo CNAME",
        &["NOERROR /24", "web.tokyo CNAME web.asia"],
    );
    check(&world(), OREGON, "web.tokyo CNAME", &["NOERROR /0", "authority @ SOA"]);
}

#[test]
fn a_site_whose_addresses_are_not_answered_does_not_serve() {
    // taipei has no IPv6, so none is answered, and tokyo has nothing else.
    let names = || {
        world().name(
            "web.asia",
            Fallback::Upper(absolute("web")),
            &[("tokyo", "2001:db8::1"), ("taipei", "10.2.0.1")],
        )
    };
    let down = names().unhealthy("web.asia", "taipei");
    check(
        &down,
        TOKYO,
        "web.asia A",
        &["NOERROR /24", "web.asia CNAME web", "web A 10.1.0.1"],
    );
    check(&names(), TOKYO, "web.asia A", &["NOERROR /24", "web.asia A 10.2.0.1"]);
}

#[test]
fn a_sites_own_name_always_answers() {
    check(&world(), OREGON, "own.tokyo A", &["NOERROR /0", "own.tokyo A 10.1.0.1"]);
    check(
        &world().dead("tokyo").drained("tokyo").unhealthy("own.tokyo", "tokyo"),
        OREGON,
        "own.tokyo A",
        &["NOERROR /0", "own.tokyo A 10.1.0.1"],
    );
}

#[test]
fn services_follow_the_same_rules() {
    let services = || {
        world()
            .name(
                "_h._tcp.web",
                policy(WhenNoneHealthy::FailOpen),
                &[("tokyo", "srv:own.tokyo:80"), ("oregon", "srv:web:81")],
            )
            .name(
                "_h._tcp.web.asia",
                Fallback::Upper(absolute("_h._tcp.web")),
                &[("tokyo", "srv:own.tokyo:80")],
            )
    };
    check(
        &services(),
        TOKYO,
        "_h._tcp.web SRV",
        &[
            "NOERROR /24",
            "_h._tcp.web SRV 0 1 80 own.tokyo",
            "additional own.tokyo A 10.1.0.1",
        ],
    );
    check(&services(), TOKYO, "_h._tcp.web A", &["NOERROR /0", "authority @ SOA"]);
    check(
        &services().dead("tokyo"),
        TOKYO,
        "_h._tcp.web.asia SRV",
        &[
            "NOERROR /24",
            "_h._tcp.web.asia CNAME _h._tcp.web",
            "_h._tcp.web SRV 0 1 81 web",
        ],
    );
}

#[test]
fn ipv6_is_answered_only_if_every_site_has_it() {
    let all = world().name(
        "six",
        policy(WhenNoneHealthy::FailOpen),
        &[
            ("tokyo", "10.1.0.1 2001:db8:1::1"),
            ("oregon", "2001:db8:3::1"),
            ("taipei", ""),
        ],
    );
    check(&all, OREGON, "six AAAA", &["NOERROR /24", "six AAAA 2001:db8:3::1"]);
    // The nearest has no IPv4, and the answer still is not empty.
    check(&all, OREGON, "six A", &["NOERROR /24", "six A 10.1.0.1"]);
    check(&all, OREGON, "six ANY", &["NOERROR /24", "six A 10.1.0.1"]);
    let some = world().name(
        "six",
        policy(WhenNoneHealthy::FailOpen),
        &[("tokyo", "10.1.0.1 2001:db8::1"), ("oregon", "10.3.0.1")],
    );
    check(&some, TOKYO, "six AAAA", &["NOERROR /0", "authority @ SOA"]);
}

#[test]
fn any_is_answered_with_one_set() {
    check(&world(), TOKYO, "web ANY", &["NOERROR /24", "web A 10.1.0.1"]);
    check(&world(), TOKYO, "@ ANY", &["NOERROR /0", "@ SOA"]);
    check(&world(), TOKYO, "ns1 ANY", &["NOERROR /0", "ns1 A 192.0.2.53"]);
    check(
        &world().dead("tokyo"),
        TOKYO,
        "web.tokyo ANY",
        &["NOERROR /24", "web.tokyo CNAME web.asia"],
    );
}

#[test]
fn a_name_that_always_answers_gives_all_sites_in_one_set() {
    let all = world().name(
        "all",
        Fallback::Always,
        &[("tokyo", "10.1.0.1 2001:db8:1::1"), ("oregon", "2001:db8:3::1")],
    );
    check(
        &all,
        TOKYO,
        "all AAAA",
        &["NOERROR /0", "all AAAA 2001:db8:3::1 2001:db8:1::1"],
    );
    check(&all, TOKYO, "all ANY", &["NOERROR /0", "all A 10.1.0.1"]);
}
