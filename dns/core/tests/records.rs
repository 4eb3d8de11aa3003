//! Static records: what a zone answers beside and without routed names, by RFC.
//!
//! Cases are written as in `answer.rs`.

mod support;

use meridian_dns_core::{Fallback, Outcome, WhenNoneHealthy, Zone};
use support::{OREGON, TOKYO, World, absolute, ask, check, check_in, record, soa, world};

const NODATA: [&str; 2] = ["NOERROR /0", "authority @ SOA"];

fn zone(lines: &[&str]) -> World {
    World::default().records(lines)
}

#[test]
fn rfc_1035_every_type_is_answered_as_it_was_written() {
    let all = zone(&[
        "t 60 A 192.0.2.1",
        "t 60 A 192.0.2.2",
        "t 60 AAAA 2001:db8::1",
        "t 60 TXT hello",
        "t 60 CAA x",
        "t 60 TLSA y",
        "t 60 NAPTR z",
        "t 60 TYPE65280 q",
        "4.3.2.1 60 PTR host",
    ]);
    check(&all, TOKYO, "t A", &["NOERROR /0", "t A 192.0.2.1 192.0.2.2"]);
    check(&all, TOKYO, "t AAAA", &["NOERROR /0", "t AAAA 2001:db8::1"]);
    check(&all, TOKYO, "t TXT", &["NOERROR /0", "t TXT \"hello\""]);
    for (record_type, octets) in [
        ("CAA", r"\# 2 0178"),
        ("TLSA", r"\# 2 0179"),
        ("NAPTR", r"\# 2 017A"),
        ("TYPE65280", r"\# 2 0171"),
    ] {
        let line = format!("t {record_type} {octets}");
        check(&all, TOKYO, &format!("t {record_type}"), &["NOERROR /0", &line]);
    }
    check(
        &all,
        TOKYO,
        "4.3.2.1 PTR",
        &["NOERROR /0", r"4.3.2.1 PTR \# 5 04686F7374"],
    );
    check(&all, TOKYO, "t SRV", &NODATA);
    check(&all, TOKYO, "2.1 PTR", &NODATA);
    check(&all, TOKYO, "none A", &["NXDOMAIN /0", "authority @ SOA"]);
}

#[test]
fn rfc_1034_an_alias_is_followed_in_and_between_our_zones() {
    let aliases = zone(&[
        "a 60 CNAME b",
        "b 30 CNAME c",
        "c 10 A 192.0.2.1",
        "out 60 CNAME www.elsewhere.test.",
        "gone 60 CNAME nothing",
        "empty 60 CNAME x",
        "y.x 60 A 192.0.2.2",
        "across 60 CNAME www.other.test.",
    ]);
    let chain = ["NOERROR /0", "a CNAME b", "b CNAME c", "c A 192.0.2.1"];
    check(&aliases, TOKYO, "a A", &chain);
    check(
        &aliases,
        TOKYO,
        "a AAAA",
        &["NOERROR /0", "a CNAME b", "b CNAME c", "authority @ SOA"],
    );
    // Section 4.3.2 step 3a: a question for CNAME or for everything is answered by the alias itself.
    check(&aliases, TOKYO, "a CNAME", &["NOERROR /0", "a CNAME b"]);
    check(&aliases, TOKYO, "a ANY", &["NOERROR /0", "a CNAME b"]);
    check(
        &aliases,
        TOKYO,
        "out A",
        &["NOERROR /0", "out CNAME www.elsewhere.test."],
    );
    // RFC 6604 section 3: the code is that of the last name.
    check(
        &aliases,
        TOKYO,
        "gone A",
        &["NXDOMAIN /0", "gone CNAME nothing", "authority @ SOA"],
    );
    check(
        &aliases,
        TOKYO,
        "empty A",
        &["NOERROR /0", "empty CNAME x", "authority @ SOA"],
    );
    let other = Zone::new(absolute("other.test."), soa(), Vec::new()).with_complete(true);
    let records = meridian_dns_core::StaticRecords::new(
        &absolute("other.test."),
        [record("www.other.test. 60 CNAME c.example.test.")],
    );
    let other = other.with_records(std::sync::Arc::new(records.expect("valid records")), 2);
    check_in(
        &aliases.snapshot().with_zone(other),
        TOKYO,
        "across A",
        &[
            "NOERROR /0",
            "across CNAME www.other.test.",
            "www.other.test. CNAME c",
            "c A 192.0.2.1",
        ],
    );
}

#[test]
fn a_long_chain_is_left_to_the_resolver_and_a_circle_is_an_error() {
    let lines: Vec<String> = (0..20).map(|at| format!("n{at} 60 CNAME n{}", at + 1)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answer = ask(&zone(&lines).snapshot(), TOKYO, "n0 A");
    assert_eq!((answer.outcome, answer.answers.len()), (Outcome::NoError, 9));
    assert!(answer.authorities.is_empty(), "it is no negative answer");
    let circle = zone(&["a 60 CNAME b", "b 60 CNAME c", "c 60 CNAME b"]);
    check(&circle, TOKYO, "a A", &["SERVFAIL /0"]);
    check(&zone(&["a 60 CNAME a"]), TOKYO, "a A", &["SERVFAIL /0"]);
}

#[test]
fn rfc_2308_a_negative_answer_lives_as_long_as_the_soa_says_and_no_longer_than_a_routed_name() {
    let ttl = |world: &World, question: &str| {
        let answer = ask(&world.snapshot(), TOKYO, question);
        (answer.authorities[0].ttl, answer.authorities[0].original_ttl)
    };
    // The minimum (5) is below the SOA's own TTL (an hour); that TTL is what a signature covers.
    for question in ["absent A", "web TXT"] {
        assert_eq!(ttl(&world(), question), (5, 3600));
        // In the spirit of RFC 9077.
        assert_eq!(ttl(&world().ttl("web", 3), question), (3, 3600));
    }
    let soa = ask(&world().snapshot(), TOKYO, "@ SOA");
    assert_eq!((soa.answers[0].ttl, soa.answers[0].original_ttl), (3600, 3600));
}

#[test]
fn rfc_8482_any_is_answered_with_one_set() {
    let all = zone(&["t 60 TXT hello", "t 60 MX 10 mail", "t 60 CAA x", "e.t 60 TXT x"]);
    check(&all, TOKYO, "t ANY", &["NOERROR /0", "t MX 10 mail"]);
    check(&all, TOKYO, "@ ANY", &["NOERROR /0", "@ SOA"]);
    check(&all, TOKYO, "e.t ANY", &["NOERROR /0", "e.t TXT \"x\""]);
    check(&zone(&["e.t 60 TXT x"]), TOKYO, "t ANY", &NODATA);
    check(&all, TOKYO, "none ANY", &["NXDOMAIN /0", "authority @ SOA"]);
}

#[test]
fn types_of_questions_and_of_the_transport_are_nowhere() {
    for record_type in ["TYPE41", "TYPE249", "TYPE250", "TYPE251", "TYPE252", "TYPE0"] {
        check(&zone(&["t 60 TXT x"]), TOKYO, &format!("t {record_type}"), &NODATA);
    }
}

#[test]
fn rfc_1035_targets_in_our_zones_bring_their_addresses() {
    let all = world().records(&[
        "@ 60 MX 10 mail",
        "@ 60 MX 20 mail.elsewhere.test.",
        "@ 60 MX 30 alias",
        "mail 60 A 192.0.2.25",
        "mail 60 AAAA 2001:db8::25",
        "alias 60 CNAME mail",
        "_s._tcp 60 SRV 0 1 80 own.tokyo",
        "_w._tcp 60 SRV 0 1 80 web",
        "null 60 MX 0 .",
        "b 60 HTTPS 1 mail",
        "s 60 HTTPS 1 .",
    ]);
    check(
        &all,
        TOKYO,
        "@ MX",
        &[
            "NOERROR /0",
            "@ MX 10 mail 20 mail.elsewhere.test. 30 alias",
            "additional mail A 192.0.2.25",
            "additional mail AAAA 2001:db8::25",
        ],
    );
    check(
        &all,
        TOKYO,
        "_s._tcp SRV",
        &[
            "NOERROR /0",
            "_s._tcp SRV 0 1 80 own.tokyo",
            "additional own.tokyo A 10.1.0.1",
        ],
    );
    // RFC 7871 section 7.3.1: what depends on the client would be kept for others.
    check(&all, TOKYO, "_w._tcp SRV", &["NOERROR /0", "_w._tcp SRV 0 1 80 web"]);
    check(&all, TOKYO, "null MX", &["NOERROR /0", "null MX 0 ."]);
    // RFC 9460 section 4.1.
    check(
        &all,
        TOKYO,
        "b HTTPS",
        &[
            "NOERROR /0",
            "b HTTPS 1 mail",
            "additional mail A 192.0.2.25",
            "additional mail AAAA 2001:db8::25",
        ],
    );
    check(&all, TOKYO, "s HTTPS", &["NOERROR /0", "s HTTPS 1 ."]);
}

#[test]
fn rfc_6672_a_dname_renames_what_is_below_it() {
    let renamed = zone(&[
        "old 60 DNAME new",
        "old 60 A 192.0.2.1",
        "hidden.old 60 A 192.0.2.2",
        "a.new 60 A 192.0.2.3",
        "away 60 DNAME elsewhere.test.",
    ]);
    let followed = ["NOERROR /0", "old DNAME new", "a.old CNAME a.new", "a.new A 192.0.2.3"];
    check(&renamed, TOKYO, "a.old A", &followed);
    check(&renamed, TOKYO, "a.old CNAME", &followed[..3]);
    // Section 2.3: not the name itself, and it hides what is written below it.
    check(&renamed, TOKYO, "old A", &["NOERROR /0", "old A 192.0.2.1"]);
    check(&renamed, TOKYO, "old DNAME", &["NOERROR /0", "old DNAME new"]);
    check(
        &renamed,
        TOKYO,
        "hidden.old A",
        &[
            "NXDOMAIN /0",
            "old DNAME new",
            "hidden.old CNAME hidden.new",
            "authority @ SOA",
        ],
    );
    check(
        &renamed,
        TOKYO,
        "x.y.away A",
        &[
            "NOERROR /0",
            "away DNAME elsewhere.test.",
            "x.y.away CNAME x.y.elsewhere.test.",
        ],
    );
    // Section 2.2: the new name has no wire form.
    let long = [["x".repeat(63).as_str(); 3].join("."), "y".repeat(40)].join(".");
    let target = format!("{}.elsewhere.test.", "z".repeat(60));
    let too_long = zone(&[&format!("away 60 DNAME {target}")]);
    check(
        &too_long,
        TOKYO,
        &format!("{long}.away A"),
        &["YXDOMAIN /0", &format!("away DNAME {target}")],
    );
}

#[test]
fn static_records_stand_beside_routed_names_or_take_their_place() {
    let policy = |when| Fallback::Policy(when);
    let web = || world().records(&["web 60 MX 10 ns1", "web 60 TXT x"]);
    check(&web(), TOKYO, "web A", &["NOERROR /24", "web A 10.1.0.1"]);
    check(&web(), TOKYO, "web TXT", &["NOERROR /0", "web TXT \"x\""]);
    check(&web(), TOKYO, "web ANY", &["NOERROR /24", "web A 10.1.0.1"]);
    // Addresses or an alias that an operator wrote are the only ones.
    let own = world().records(&["web 60 AAAA 2001:db8::1"]);
    check(&own, TOKYO, "web AAAA", &["NOERROR /0", "web AAAA 2001:db8::1"]);
    check(&own, TOKYO, "web A", &NODATA);
    let alias = world().records(&["web 60 CNAME elsewhere.test."]);
    check(&alias, OREGON, "web A", &["NOERROR /0", "web CNAME elsewhere.test."]);
    // RFC 1034 section 3.6.2: an alias cannot stand beside the MX, so the best that is left does.
    let down = world()
        .name(
            "web",
            policy(WhenNoneHealthy::Fallback(absolute("elsewhere.test."))),
            &[("tokyo", "10.1.0.1")],
        )
        .unhealthy("web", "tokyo");
    check(
        &down.records(&["web 60 MX 10 ns1"]),
        TOKYO,
        "web A",
        &["NOERROR /0", "web A 10.1.0.1"],
    );
}

#[test]
fn what_a_cluster_may_still_bring_is_not_denied() {
    let early = world().records(&["only 60 TXT x", "*.any 60 A 192.0.2.9"]).incomplete();
    // Written, so known.
    check(&early, TOKYO, "only TXT", &["NOERROR /0", "only TXT \"x\""]);
    check(&early, TOKYO, "only MX", &NODATA);
    // A service could be published under these names.
    check(&early, TOKYO, "only A", &["SERVFAIL /0"]);
    check(&early, TOKYO, "a.any A", &["SERVFAIL /0"]);
    check(&early, TOKYO, "ns1 AAAA", &NODATA);
    // Resolvers that minimise names (RFC 9156) pass through here.
    check(&early, TOKYO, "any A", &NODATA);
}
