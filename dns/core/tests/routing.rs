//! Routed names beyond addresses: host names, HTTPS records, lower TTLs, internal addresses.
//!
//! Cases are written as in `answer.rs`.

mod support;

use meridian_dns_core::{Answer, Fallback, Outcome, RecordData, RecordType, WhenNoneHealthy};
use support::{OREGON, TOKYO, World, absolute, ask, check, world};

const NODATA: [&str; 2] = ["NOERROR /0", "authority @ SOA"];
/// In the internal network of a site, and its neighbour outside.
const INSIDE_TOKYO: &str = "100.64.1.200";

fn fail_open() -> Fallback {
    Fallback::Policy(WhenNoneHealthy::FailOpen)
}

/// Two sites, each with a host name; tokyo's was resolved.
fn hosts() -> World {
    world()
        .name("host", fail_open(), &[("tokyo", "10.1.0.1"), ("oregon", "")])
        .host_name("host", "tokyo", "lb1.elsewhere.test.")
        .host_name("host", "oregon", "lb3.elsewhere.test.")
}

#[test]
fn a_name_is_an_alias_where_every_site_has_a_host_name() {
    check(
        &hosts(),
        TOKYO,
        "host A",
        &["NOERROR /24", "host CNAME lb1.elsewhere.test."],
    );
    for record_type in ["AAAA", "TXT", "CNAME", "ANY", "HTTPS"] {
        let question = format!("host {record_type}");
        let expected = ["NOERROR /24", "host CNAME lb3.elsewhere.test."];
        check(&hosts(), OREGON, &question, &expected);
    }
    check(
        &hosts().unhealthy("host", "tokyo"),
        TOKYO,
        "host A",
        &["NOERROR /24", "host CNAME lb3.elsewhere.test."],
    );
    // A host name that is ours is not followed: at its end another client may find nothing.
    let ours = hosts().host_name("host", "tokyo", "absent");
    check(&ours, TOKYO, "host A", &["NOERROR /24", "host CNAME absent"]);
}

#[test]
fn where_an_alias_cannot_be_the_resolved_addresses_are_answered() {
    let resolved = ["NOERROR /24", "host A 10.1.0.1"];
    // A site without a host name, other data at the name, the apex, a site's own name.
    let mixed = world()
        .name("host", fail_open(), &[("tokyo", "10.1.0.1"), ("oregon", "10.3.0.1")])
        .host_name("host", "tokyo", "lb1.elsewhere.test.");
    check(&mixed, TOKYO, "host A", &resolved);
    check(&hosts().records(&["host 60 TXT x"]), TOKYO, "host A", &resolved);
    check(&hosts().records(&["host 60 TXT x"]), OREGON, "host A", &resolved);
    let apex = world()
        .name("@", fail_open(), &[("tokyo", "10.1.0.1"), ("oregon", "10.3.0.1")])
        .host_name("@", "tokyo", "lb1.elsewhere.test.")
        .host_name("@", "oregon", "lb3.elsewhere.test.");
    check(&apex, OREGON, "@ A", &["NOERROR /24", "@ A 10.3.0.1"]);
    let own = world().host_name("own.tokyo", "tokyo", "lb1.elsewhere.test.");
    check(&own, TOKYO, "own.tokyo A", &["NOERROR /0", "own.tokyo A 10.1.0.1"]);
}

#[test]
fn host_names_obey_the_policy() {
    let down = |when| {
        world()
            .name("host", Fallback::Policy(when), &[("tokyo", ""), ("oregon", "")])
            .host_name("host", "tokyo", "lb1.elsewhere.test.")
            .host_name("host", "oregon", "lb3.elsewhere.test.")
            .unhealthy("host", "tokyo")
            .dead("oregon")
    };
    check(
        &down(WhenNoneHealthy::FailOpen),
        TOKYO,
        "host A",
        &["NOERROR /24", "host CNAME lb1.elsewhere.test."],
    );
    check(&down(WhenNoneHealthy::Empty), TOKYO, "host A", &NODATA);
    check(
        &down(WhenNoneHealthy::Fallback(absolute("web"))),
        TOKYO,
        "host A",
        &["NOERROR /24", "host CNAME web", "web A 10.1.0.1"],
    );
}

#[test]
fn rfc_9460_https_records_carry_the_chosen_sites_addresses() {
    let tls = || {
        world()
            .name(
                "tls",
                fail_open(),
                &[
                    ("tokyo", "10.1.0.1 2001:db8:1::1"),
                    ("oregon", "10.3.0.1 10.3.0.2 2001:db8:3::1"),
                ],
            )
            .https("tls", &["h2", "h3"])
    };
    let oregon = "tls HTTPS 1 . alpn=h2,h3 ipv4hint=10.3.0.1,10.3.0.2 ipv6hint=2001:db8:3::1";
    check(
        &tls(),
        TOKYO,
        "tls HTTPS",
        &[
            "NOERROR /24",
            "tls HTTPS 1 . alpn=h2,h3 ipv4hint=10.1.0.1 ipv6hint=2001:db8:1::1",
        ],
    );
    check(&tls(), OREGON, "tls HTTPS", &["NOERROR /24", oregon]);
    check(&tls().dead("tokyo"), TOKYO, "tls HTTPS", &["NOERROR /24", oregon]);
    check(&world(), TOKYO, "web HTTPS", &NODATA);
    // No hint of a family that is not answered.
    let v4 = world()
        .name(
            "tls",
            fail_open(),
            &[("tokyo", "10.1.0.1 2001:db8::1"), ("oregon", "10.3.0.1")],
        )
        .https("tls", &["h2"]);
    check(
        &v4,
        TOKYO,
        "tls HTTPS",
        &["NOERROR /24", "tls HTTPS 1 . alpn=h2 ipv4hint=10.1.0.1"],
    );
}

#[test]
fn ttls_are_halved_while_a_site_is_missing() {
    let ttls = |world: World, question: &str| {
        let answer = ask(&world.snapshot(), TOKYO, question);
        let of = |set: &meridian_dns_core::RecordSet| (set.ttl, set.original_ttl);
        answer.answers.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(ttls(world(), "web A"), [(30, 30)]);
    for missing in [world().dead("oregon"), world().unhealthy("web", "taipei")] {
        assert_eq!(ttls(missing, "web A"), [(15, 30)]);
    }
    // A drained site is nobody's trouble, even if it is dead or unhealthy.
    let drained = world().drained("oregon").dead("oregon").unhealthy("web", "oregon");
    assert_eq!(ttls(drained, "web A"), [(30, 30)]);
    // Of each name of the chain its own; names without the site are not concerned.
    let asia = world().dead("tokyo").dead("taipei").ttl("web", 60);
    assert_eq!(ttls(asia, "web.asia A"), [(15, 30), (30, 60)]);
    assert_eq!(ttls(world().dead("oregon"), "web.asia A"), [(30, 30)]);
    // Never below the zone's minimum (5), nor above the TTL itself.
    for (ttl, sent) in [
        (8, 5),
        (10, 5),
        (11, 5),
        (5, 5),
        (3, 3),
        (0, 0),
        (u32::MAX, u32::MAX / 2),
    ] {
        assert_eq!(ttls(world().ttl("web", ttl).dead("oregon"), "web A"), [(sent, ttl)]);
    }
}

fn internal() -> World {
    world()
        .internal("web", "tokyo", "172.16.1.1")
        .internal("web", "oregon", "172.16.3.1 fd00::3")
}

#[test]
fn clients_in_a_sites_internal_network_are_told_its_internal_addresses() {
    // The scopes are those of the internal networks now, for everybody who asks for this name.
    check(&internal(), INSIDE_TOKYO, "web A", &["NOERROR /25", "web A 172.16.1.1"]);
    check(&internal(), TOKYO, "web A", &["NOERROR /25", "web A 10.1.0.1"]);
    // Of a site whose network it is not in, a client is told the public addresses.
    check(
        &internal().dead("tokyo").dead("taipei"),
        INSIDE_TOKYO,
        "web A",
        &["NOERROR /25", "web A 10.3.0.1"],
    );
    // A name without internal addresses is not concerned.
    check(
        &internal(),
        INSIDE_TOKYO,
        "web.asia A",
        &["NOERROR /25", "web.asia A 10.1.0.1"],
    );
    check(&world(), INSIDE_TOKYO, "web A", &["NOERROR /24", "web A 10.1.0.1"]);
    // A family without public addresses is answered to nobody: NODATA is cached for all.
    check(&internal(), "100.64.3.200", "web AAAA", &NODATA);
}

#[test]
fn at_a_listener_of_a_site_that_site_is_nearest_whoever_asks() {
    let ours = ["NOERROR /0", "web A 10.1.0.1"];
    for client in [
        OREGON,
        "192.0.2.1",
        "192.0.2.53 100.64.3.0/24",
        "192.0.2.53 100.64.3.0/24 trusted",
    ] {
        check(&world(), &format!("at tokyo {client}"), "web A", &ours);
        let unknown = format!("at nowhere {client}");
        assert_eq!(
            ask(&world().snapshot(), &unknown, "web A"),
            ask(&world().snapshot(), client, "web A")
        );
    }
    let next = ["NOERROR /0", "web A 10.2.0.1"];
    check(&world().dead("tokyo"), &format!("at tokyo {OREGON}"), "web A", &next);
    // The listener opens no view; the packet's source does, and a trusted option.
    check(
        &internal(),
        "at tokyo 192.0.2.1",
        "web A",
        &["NOERROR /1", "web A 10.1.0.1"],
    );
    let inside = ["NOERROR /25", "web A 172.16.1.1"];
    check(&internal(), &format!("at tokyo {INSIDE_TOKYO}"), "web A", &inside);
    check(
        &internal(),
        "at tokyo 192.0.2.53 100.64.1.128/25 trusted",
        "web A",
        &inside,
    );
    check(&internal(), "at tokyo 192.0.2.53 100.64.1.128/25", "web A", &ours);
}

/// RFC 7871: the option says where to go; only a trusted resolver's says who may know.
#[test]
fn internal_addresses_are_told_by_the_packets_source_or_by_a_trusted_resolver() {
    let inside = ["NOERROR /25", "web A 172.16.1.1"];
    let resolver = "192.0.2.53";
    let ask = |from: &str, expected: &[&str]| check(&internal(), from, "web A", expected);
    // A stranger's option opens nothing, and the view by the packet adds nothing to the scope.
    ask(
        &format!("{resolver} 100.64.1.128/25"),
        &["NOERROR /24", "web A 10.1.0.1"],
    );
    ask(&format!("{resolver} 100.64.1.128/25 trusted"), &inside);
    ask(&format!("{resolver} 100.64.1.200/32 trusted"), &inside);
    ask(
        &format!("{resolver} 100.64.1.0/25 trusted"),
        &["NOERROR /25", "web A 10.1.0.1"],
    );
    // A subnet wider than the view has clients who must not be told; asked more closely it would differ.
    ask(
        &format!("{resolver} 100.64.1.0/24 trusted"),
        &["NOERROR /25", "web A 10.1.0.1"],
    );
    let lower = world().internal("web", "taipei", "172.16.2.1");
    let outside = ["NOERROR /25", "web A 10.2.0.1"];
    check(
        &lower,
        &format!("{resolver} 100.64.2.0/25 trusted"),
        "web A",
        &["NOERROR /25", "web A 172.16.2.1"],
    );
    check(&lower, &format!("{resolver} 100.64.2.0/24 trusted"), "web A", &outside);
    // A resolver inside asks for itself: all its clients get its view, whatever it says of them.
    ask(
        &format!("{INSIDE_TOKYO} 100.64.1.0/24"),
        &["NOERROR /24", "web A 172.16.1.1"],
    );
    ask(
        &format!("{INSIDE_TOKYO} 192.0.2.0/24"),
        &["NOERROR /1", "web A 10.3.0.1"],
    );
    // A trusted resolver inside speaks for its clients.
    ask(
        &format!("{INSIDE_TOKYO} 100.64.1.0/25 trusted"),
        &["NOERROR /25", "web A 10.1.0.1"],
    );
}

/// RFC 7871 section 7.1.2 and 7.2.1.
#[test]
fn a_source_of_0_leaves_the_packets_address_and_gets_scope_0() {
    for trust in ["", " trusted"] {
        check(
            &internal(),
            &format!("{OREGON} 0.0.0.0/0{trust}"),
            "web A",
            &["NOERROR /0", "web A 10.3.0.1"],
        );
        check(
            &internal(),
            &format!("{INSIDE_TOKYO} ::/0{trust}"),
            "web A",
            &["NOERROR /0", "web A 172.16.1.1"],
        );
    }
}

#[test]
fn the_option_is_heeded_for_the_nearest_site() {
    let far = format!("{TOKYO} 100.64.3.0/24");
    check(&world(), &far, "web A", &["NOERROR /24", "web A 10.3.0.1"]);
    // The same for everybody: scope 0 whatever the option.
    check(&world(), &far, "own.tokyo A", &["NOERROR /0", "own.tokyo A 10.1.0.1"]);
    check(&world(), &far, "absent A", &["NXDOMAIN /0", "authority @ SOA"]);
    // Longest over the chain.
    let alias = world().records(&["www 60 CNAME web"]);
    check(
        &alias,
        &far,
        "www A",
        &["NOERROR /24", "www CNAME web", "web A 10.3.0.1"],
    );
    let both = internal().records(&["www 60 CNAME web"]);
    check(
        &both,
        &format!("{TOKYO} 100.64.1.128/25 trusted"),
        "www A",
        &["NOERROR /25", "www CNAME web", "web A 172.16.1.1"],
    );
}

#[test]
fn internal_hints_are_internal_and_additionals_are_for_everybody() {
    let tls = internal().https("web", &["h2"]);
    check(
        &tls,
        INSIDE_TOKYO,
        "web HTTPS",
        &["NOERROR /25", "web HTTPS 1 . alpn=h2 ipv4hint=172.16.1.1"],
    );
    check(
        &tls,
        TOKYO,
        "web HTTPS",
        &["NOERROR /25", "web HTTPS 1 . alpn=h2 ipv4hint=10.1.0.1"],
    );
    // A site's own name with internal addresses differs between clients: no additional.
    let own = world()
        .internal("own.tokyo", "tokyo", "172.16.1.1")
        .records(&["_s._tcp 60 SRV 0 1 80 own.tokyo"]);
    check(
        &own,
        INSIDE_TOKYO,
        "_s._tcp SRV",
        &["NOERROR /0", "_s._tcp SRV 0 1 80 own.tokyo"],
    );
    let answer: Answer = ask(&own.snapshot(), INSIDE_TOKYO, "own.tokyo A");
    let address = RecordData::A([172, 16, 1, 1].into());
    assert_eq!(
        (answer.outcome, &answer.answers[0].data, answer.scope),
        (Outcome::NoError, &vec![address], 25)
    );
}

#[test]
fn the_alternatives_of_a_name_are_those_of_all_its_sites() {
    let world = world()
        .internal("web.asia", "taipei", "192.168.0.1")
        .unhealthy("web.asia", "tokyo")
        .dead("taipei");
    let snapshot = world.snapshot();
    let zone = snapshot.zones().next().expect("a zone");
    let alternatives = |name: &str, record_type| {
        let sets = zone.alternatives(&absolute(name), record_type);
        sets.iter().map(|set| set.data[0].to_string()).collect::<Vec<_>>()
    };
    let upper = "web.example.test.";
    assert_eq!(
        alternatives("web.asia", RecordType::A),
        ["10.1.0.1", "10.2.0.1", "192.168.0.1", upper]
    );
    assert_eq!(alternatives("web.asia", RecordType::Aaaa), [upper]);
    assert_eq!(alternatives("own.tokyo", RecordType::A), ["10.1.0.1"]);
    assert_eq!(alternatives("absent", RecordType::A), [""; 0]);
}
