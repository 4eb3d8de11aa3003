//! Wildcards, by RFC 4592. The zone is that of its section 2.2.1, under another name.
//!
//! Cases are written as in `answer.rs`.

mod support;

use meridian_dns_core::{Fallback, WhenNoneHealthy};
use support::{OREGON, TOKYO, World, absolute, check, world};

const NODATA: [&str; 2] = ["NOERROR /0", "authority @ SOA"];
const NAME_ERROR: [&str; 2] = ["NXDOMAIN /0", "authority @ SOA"];

fn rfc_4592() -> World {
    World::default().records(&[
        "* 3600 TXT wild",
        "* 3600 MX 10 host1",
        "sub.* 3600 TXT tame",
        "host1 3600 A 192.0.2.1",
        "_ssh._tcp.host1 3600 SRV 0 0 22 host1",
        "_ssh._tcp.host2 3600 SRV 0 0 22 host2",
        "subdel 3600 NS ns.example.com.",
        "subdel 3600 NS ns.example.net.",
    ])
}

#[test]
fn section_2_2_1_what_the_wildcard_answers() {
    check(
        &rfc_4592(),
        TOKYO,
        "host3 MX",
        &["NOERROR /0", "host3 MX 10 host1", "additional host1 A 192.0.2.1"],
    );
    check(&rfc_4592(), TOKYO, "host3 A", &NODATA);
    check(
        &rfc_4592(),
        TOKYO,
        "foo.bar TXT",
        &["NOERROR /0", "foo.bar TXT \"wild\""],
    );
}

#[test]
fn section_2_2_1_what_the_wildcard_does_not_answer() {
    check(&rfc_4592(), TOKYO, "host1 MX", &NODATA);
    check(&rfc_4592(), TOKYO, "sub.* MX", &NODATA);
    check(&rfc_4592(), TOKYO, "_telnet._tcp.host1 SRV", &NAME_ERROR);
    check(
        &rfc_4592(),
        TOKYO,
        "host.subdel A",
        &["NOERROR /0", "authority subdel NS ns.example.com. ns.example.net."],
    );
    check(&rfc_4592(), TOKYO, "ghost.* MX", &NAME_ERROR);
    // Section 2.2.2: an empty non-terminal exists.
    check(&rfc_4592(), TOKYO, "_tcp.host2 TXT", &NODATA);
    check(&rfc_4592(), TOKYO, "host2 TXT", &NODATA);
    check(&rfc_4592(), TOKYO, "x.host2 TXT", &NAME_ERROR);
    check(&rfc_4592(), TOKYO, "@ TXT", &NODATA);
}

#[test]
fn section_2_1_1_an_asterisk_elsewhere_is_a_label_and_at_the_front_an_ordinary_name_too() {
    check(&rfc_4592(), TOKYO, "* TXT", &["NOERROR /0", "* TXT \"wild\""]);
    check(&rfc_4592(), TOKYO, "sub.* TXT", &["NOERROR /0", "sub.* TXT \"tame\""]);
    // The wildcard is an empty non-terminal: it stands in, and has nothing.
    let empty = World::default().records(&["a.*.b 60 TXT x"]);
    for question in ["a.c.b TXT", "c.b TXT", "*.b TXT"] {
        check(&empty, TOKYO, question, &NODATA);
    }
}

#[test]
fn section_3_3_1_the_closest_encloser_alone_decides() {
    let nested = World::default().records(&["* 60 TXT far", "*.a 60 TXT near", "b.a 60 A 192.0.2.1"]);
    check(&nested, TOKYO, "x.a TXT", &["NOERROR /0", "x.a TXT \"near\""]);
    check(&nested, TOKYO, "x.y.a TXT", &["NOERROR /0", "x.y.a TXT \"near\""]);
    check(&nested, TOKYO, "x.b.a TXT", &NAME_ERROR);
    check(&nested, TOKYO, "b.a TXT", &NODATA);
    check(&nested, TOKYO, "x TXT", &["NOERROR /0", "x TXT \"far\""]);
}

#[test]
fn section_4_an_alias_at_a_wildcard_is_followed_for_every_type() {
    let alias = World::default().records(&["*.a 60 CNAME t", "t 60 A 192.0.2.1"]);
    check(&alias, TOKYO, "x.a A", &["NOERROR /0", "x.a CNAME t", "t A 192.0.2.1"]);
    check(
        &alias,
        TOKYO,
        "x.a AAAA",
        &["NOERROR /0", "x.a CNAME t", "authority @ SOA"],
    );
    check(&alias, TOKYO, "x.a CNAME", &["NOERROR /0", "x.a CNAME t"]);
    check(&alias, TOKYO, "x.a ANY", &["NOERROR /0", "x.a CNAME t"]);
    // A wildcard that leads to itself by way of the names it stands for.
    let circle = World::default().records(&["*.a 60 CNAME x.a"]);
    check(&circle, TOKYO, "x.a A", &["SERVFAIL /0"]);
    check(&circle, TOKYO, "y.a A", &["SERVFAIL /0"]);
}

#[test]
fn a_routed_wildcard_routes_each_name_it_stands_for() {
    let routed = || {
        world().name(
            "*.apps",
            Fallback::Policy(WhenNoneHealthy::Fallback(absolute("web"))),
            &[("tokyo", "10.1.0.9"), ("oregon", "10.3.0.9")],
        )
    };
    check(&routed(), TOKYO, "x.apps A", &["NOERROR /24", "x.apps A 10.1.0.9"]);
    check(&routed(), OREGON, "x.y.apps A", &["NOERROR /24", "x.y.apps A 10.3.0.9"]);
    check(&routed(), OREGON, "apps A", &NODATA);
    let down = routed().all_unhealthy(&["tokyo", "oregon"]).unhealthy("web", "taipei");
    check(
        &down,
        TOKYO,
        "x.apps A",
        &["NOERROR /24", "x.apps CNAME web", "web A 10.1.0.1"],
    );
}
