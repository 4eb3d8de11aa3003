//! What is denied online, how, and who signs what (RFC 4035, 5155, 6672, 7129, 9824).
//!
//! Answers are written as in `support/denial.rs`.

mod support;

use std::sync::Arc;

use meridian_dns_core::dnssec::Denial;
use meridian_dns_core::{Outcome, RecordType, Snapshot, StaticRecords, Zone};
use support::denial::{ask_signed, dnssec, read_nsec, words};
use support::{OREGON, TOKYO, World, absolute, record, soa, world};

fn mixed() -> World {
    world().https("web", &["h2"]).records(&[
        "*.any 60 TXT x",
        "a 60 CNAME b.any",
        "lost 60 CNAME gone",
        "to.cut 60 CNAME x.plain",
        "old 60 DNAME any",
        "long 60 DNAME absent",
        "signed 60 NS ns.signed",
        "ns.signed 60 A 192.0.2.9",
        "signed 60 DS x",
        "plain 60 NS ns1",
        "w 60 TXT x",
        "w 60 CAA x",
        "deep.er 60 MX 10 w",
        "out 60 CNAME www.elsewhere.test.",
    ])
}

#[track_caller]
fn check_in(snapshot: &Snapshot, question: &str, expected: &[&str]) {
    for from in [TOKYO, OREGON] {
        assert_eq!(
            words(snapshot, from, question, false),
            expected,
            "{question} from {from}"
        );
    }
}

#[track_caller]
fn compact(question: &str, expected: &[&str]) {
    check_in(&mixed().signed(Denial::Compact).snapshot(), question, expected);
}

#[track_caller]
fn hashed(question: &str, expected: &[&str]) {
    check_in(&mixed().signed(Denial::Nsec3).snapshot(), question, expected);
}

/// An answer without a denial is the same under both.
#[track_caller]
fn both(question: &str, expected: &[&str]) {
    compact(question, expected);
    hashed(question, expected);
}

const SOA: &str = "authority @ SOA !";

#[test]
fn what_is_there_is_signed_under_its_own_name_and_needs_no_proof() {
    both("w TXT", &["NOERROR", "w TXT !"]);
    both("web A", &["NOERROR", "web A !"]);
    // RFC 9824 section 3.3: also what a wildcard gives.
    both("x.any TXT", &["NOERROR", "x.any TXT !"]);
    both("a TXT", &["NOERROR", "a CNAME !", "b.any TXT !"]);
    both("a CNAME", &["NOERROR", "a CNAME !"]);
    both("out A", &["NOERROR", "out CNAME !"]);
    both("w ANY", &["NOERROR", "w TXT !"]);
    both("@ DNSKEY", &["NOERROR", "@ DNSKEY !"]);
    both("@ CDS", &["NOERROR", "@ CDS !"]);
    both("deep.er MX", &["NOERROR", "deep.er MX !"]);
    hashed("@ NSEC3PARAM", &["NOERROR", "@ NSEC3PARAM !"]);
    both("@ NS", &["NOERROR", "@ NS !", "additional ns1 A !"]);
    both("signed DS", &["NOERROR", "signed DS !"]);
}

#[test]
fn rfc_6672_the_cname_that_a_dname_makes_is_not_signed() {
    both("x.old TXT", &["NOERROR", "old DNAME !", "x.old CNAME", "x.any TXT !"]);
    both("x.old CNAME", &["NOERROR", "old DNAME !", "x.old CNAME"]);
    both("x.old RRSIG", &["NOERROR", "old DNAME !", "x.old CNAME"]);
    both("old DNAME", &["NOERROR", "old DNAME !"]);
    compact(
        "x.long A",
        &[
            "NOERROR",
            "long DNAME !",
            "x.long CNAME",
            SOA,
            "authority x.absent NSEC + RRSIG NSEC NXNAME !",
        ],
    );
}

#[test]
fn rfc_9824_a_name_that_does_not_exist_has_the_type_that_says_so() {
    let nsec = "authority x.absent NSEC + RRSIG NSEC NXNAME !";
    compact("x.absent A", &["NOERROR", SOA, nsec]);
    // Section 5: NXDOMAIN only for those who asked for it.
    let snapshot = mixed().signed(Denial::Compact).snapshot();
    assert_eq!(words(&snapshot, TOKYO, "x.absent A", true), ["NXDOMAIN", SOA, nsec]);
    assert_eq!(words(&snapshot, TOKYO, "w A", true)[0], "NOERROR");
    compact(
        "lost A",
        &[
            "NOERROR",
            "lost CNAME !",
            SOA,
            "authority gone NSEC + RRSIG NSEC NXNAME !",
        ],
    );
    compact("* A", &["NOERROR", SOA, "authority * NSEC + RRSIG NSEC NXNAME !"]);
}

#[test]
fn rfc_9824_types_are_denied_by_those_that_are_there() {
    compact("w A", &["NOERROR", SOA, "authority w NSEC + TXT RRSIG NSEC CAA !"]);
    compact(
        "web TXT",
        &["NOERROR", SOA, "authority web NSEC + A RRSIG NSEC HTTPS !"],
    );
    compact(
        "@ A",
        &[
            "NOERROR",
            SOA,
            "authority @ NSEC + NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY !",
        ],
    );
    compact("er A", &["NOERROR", SOA, "authority er NSEC + RRSIG NSEC !"]);
    compact("er ANY", &["NOERROR", SOA, "authority er NSEC + RRSIG NSEC !"]);
    // What a wildcard gives is denied for the name itself.
    compact("x.any A", &["NOERROR", SOA, "authority x.any NSEC + TXT RRSIG NSEC !"]);
    compact("*.any A", &["NOERROR", SOA, "authority *.any NSEC + TXT RRSIG NSEC !"]);
    compact(
        "plain DS",
        &["NOERROR", SOA, "authority plain NSEC plain\\000 NS RRSIG NSEC !"],
    );
    compact("w NSEC3", &["NOERROR", SOA, "authority w NSEC + TXT RRSIG NSEC CAA !"]);
    compact(
        "@ DS",
        &[
            "NOERROR",
            SOA,
            "authority @ NSEC + NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY !",
        ],
    );
}

#[test]
fn rfc_4035_a_referral_has_the_ds_or_its_denial() {
    let glue = "additional ns.signed A";
    both(
        "x.signed A",
        &["NOERROR", "authority signed NS", "authority signed DS !", glue],
    );
    let (ns, glue) = ("authority plain NS", "additional ns1 A !");
    compact(
        "x.plain A",
        &["NOERROR", ns, "authority plain NSEC plain\\000 NS RRSIG NSEC !", glue],
    );
    hashed("x.plain A", &["NOERROR", ns, "authority matches plain NS !", glue]);
    hashed(
        "to.cut A",
        &["NOERROR", "to.cut CNAME !", ns, "authority matches plain NS !", glue],
    );
    for text in ["plain ANY", "plain RRSIG", "plain NSEC", "x.plain NSEC"] {
        compact(
            text,
            &["NOERROR", ns, "authority plain NSEC plain\\000 NS RRSIG NSEC !", glue],
        );
    }
}

#[test]
fn rfc_5155_a_name_that_does_not_exist_is_denied_by_three_hashes() {
    hashed(
        "y.x.absent A",
        &[
            "NXDOMAIN",
            SOA,
            "authority matches @ NS SOA RRSIG DNSKEY NSEC3PARAM CDS CDNSKEY !",
            "authority covers absent !",
            "authority covers * !",
        ],
    );
    hashed(
        "x.web A",
        &[
            "NXDOMAIN",
            SOA,
            "authority matches web A RRSIG HTTPS !",
            "authority covers x.web !",
            "authority covers *.web !",
        ],
    );
    // The closest encloser is empty.
    hashed(
        "z.er A",
        &[
            "NXDOMAIN",
            SOA,
            "authority matches er !",
            "authority covers z.er !",
            "authority covers *.er !",
        ],
    );
}

#[test]
fn rfc_5155_types_are_denied_by_the_hash_of_the_name() {
    hashed("w A", &["NOERROR", SOA, "authority matches w TXT RRSIG CAA !"]);
    hashed("w NSEC", &["NOERROR", SOA, "authority matches w TXT RRSIG CAA !"]);
    hashed("er A", &["NOERROR", SOA, "authority matches er !"]);
    hashed("x.any A", &["NOERROR", SOA, "authority matches x.any TXT RRSIG !"]);
    hashed("plain DS", &["NOERROR", SOA, "authority matches plain NS !"]);
    hashed(
        "@ A",
        &[
            "NOERROR",
            SOA,
            "authority matches @ NS SOA RRSIG DNSKEY NSEC3PARAM CDS CDNSKEY !",
        ],
    );
}

#[test]
fn what_every_bitmap_has_is_answered_and_not_denied() {
    compact("w NSEC", &["NOERROR", "w NSEC + TXT RRSIG NSEC CAA !"]);
    compact("a NSEC", &["NOERROR", "a NSEC + CNAME RRSIG NSEC !"]);
    compact("er NSEC", &["NOERROR", "er NSEC + RRSIG NSEC !"]);
    compact("x.absent NSEC", &["NOERROR", "x.absent NSEC + RRSIG NSEC NXNAME !"]);
    compact("x.any NSEC", &["NOERROR", "x.any NSEC + TXT RRSIG NSEC !"]);
    // A routed name that is an alias at the moment.
    let down = mixed().dead("tokyo").dead("taipei").signed(Denial::Compact);
    check_in(
        &down.snapshot(),
        "web.asia NSEC",
        &["NOERROR", "web.asia NSEC + CNAME RRSIG NSEC !"],
    );
    // RFC 8482 section 7: one set, whose signatures are some of those asked for.
    both("w RRSIG", &["NOERROR", "w TXT !"]);
    both("a RRSIG", &["NOERROR", "a CNAME !"]);
    both("@ RRSIG", &["NOERROR", "@ SOA !"]);
    compact("er RRSIG", &["NOERROR", "er NSEC + RRSIG NSEC !"]);
    hashed("er RRSIG", &["NOERROR", SOA, "authority matches er !"]);
}

#[test]
fn a_zone_that_is_not_signed_proves_nothing_and_signs_nothing() {
    let snapshot = mixed().snapshot();
    check_in(&snapshot, "x.absent A", &["NXDOMAIN", "authority @ SOA"]);
    check_in(
        &snapshot,
        "x.signed A",
        &["NOERROR", "authority signed NS", "additional ns.signed A"],
    );
    check_in(&snapshot, "w RRSIG", &["NOERROR", "authority @ SOA"]);
    check_in(&snapshot, "elsewhere.test. A", &["REFUSED"]);
}

/// Another zone, `elsewhere.test`, with these records.
fn beside(world: &World, denial: Option<Denial>, records: &[&str]) -> Snapshot {
    let apex = absolute("elsewhere.test.");
    let records = records.iter().map(|line| record(line));
    let records = StaticRecords::new(&apex, records).expect("valid records");
    let zone = Zone::new(apex, soa(), Vec::new())
        .with_complete(true)
        .with_records(Arc::new(records), 2)
        .with_dnssec(denial.map(dnssec), 3);
    world.snapshot().with_zone(zone)
}

#[test]
fn each_zone_of_a_chain_signs_and_denies_what_is_its_own() {
    let signed = mixed().signed(Denial::Compact);
    let there = ["www.elsewhere.test. 60 A 192.0.2.1"];
    let into_unsigned = beside(&signed, None, &there);
    check_in(
        &into_unsigned,
        "out A",
        &["NOERROR", "out CNAME !", "www.elsewhere.test. A"],
    );
    check_in(
        &into_unsigned,
        "out TXT",
        &["NOERROR", "out CNAME !", "authority elsewhere.test. SOA"],
    );
    check_in(
        &beside(&signed, None, &[]),
        "out A",
        &["NXDOMAIN", "out CNAME !", "authority elsewhere.test. SOA"],
    );
    let other = "elsewhere.test.";
    check_in(
        &beside(&mixed(), Some(Denial::Compact), &[]),
        "out A",
        &[
            "NOERROR",
            "out CNAME",
            &format!("authority {other} SOA !{other}"),
            &format!("authority www.{other} NSEC + RRSIG NSEC NXNAME !{other}"),
        ],
    );
    check_in(
        &beside(&signed, Some(Denial::Nsec3), &there),
        "out TXT",
        &[
            "NOERROR",
            "out CNAME !",
            &format!("authority {other} SOA !{other}"),
            &format!("authority matches www.{other} A RRSIG !{other}"),
        ],
    );
}

#[test]
fn at_a_delegation_between_two_zones_each_side_proves_its_own() {
    let child = |denial| {
        Zone::new(absolute("plain"), soa(), Vec::new())
            .with_complete(true)
            .with_dnssec(Some(dnssec(denial)), 2)
    };
    let parent = mixed().signed(Denial::Compact).snapshot();
    let snapshot = parent.with_zone(child(Denial::Nsec3));
    check_in(
        &snapshot,
        "plain DS",
        &["NOERROR", SOA, "authority plain NSEC plain\\000 NS RRSIG NSEC !"],
    );
    check_in(
        &snapshot,
        "plain A",
        &[
            "NOERROR",
            "authority plain SOA !plain",
            "authority matches plain SOA RRSIG DNSKEY NSEC3PARAM CDS CDNSKEY !plain",
        ],
    );
}

#[test]
fn types_that_an_unknown_cluster_may_bring_are_not_denied() {
    let incomplete = mixed().incomplete().signed(Denial::Compact).snapshot();
    check_in(
        &incomplete,
        "w MX",
        &[
            "NOERROR",
            SOA,
            "authority w NSEC + A TXT AAAA SRV RRSIG NSEC HTTPS CAA !",
        ],
    );
    // What is asked for is denied all the same, where the answer does so.
    check_in(
        &incomplete,
        "er A",
        &["NOERROR", SOA, "authority er NSEC + AAAA SRV RRSIG NSEC HTTPS !"],
    );
    check_in(
        &incomplete,
        "plain DS",
        &["NOERROR", SOA, "authority plain NSEC plain\\000 NS RRSIG NSEC !"],
    );
    check_in(
        &incomplete,
        "web TXT",
        &["NOERROR", SOA, "authority web NSEC + A RRSIG NSEC HTTPS !"],
    );
    check_in(
        &mixed().incomplete().signed(Denial::Nsec3).snapshot(),
        "er A",
        &["NOERROR", SOA, "authority matches er AAAA SRV RRSIG HTTPS !"],
    );
}

#[test]
fn rfc_9077_a_denial_lives_no_longer_than_the_negative_answer() {
    for denial in [Denial::Compact, Denial::Nsec3] {
        let snapshot = mixed().ttl("web", 3).signed(denial).snapshot();
        for text in ["w A", "x.absent A", "x.plain A"] {
            let answer = ask_signed(&snapshot, TOKYO, text, false);
            let made = answer
                .authorities
                .iter()
                .filter(|set| [Some(RecordType::NSEC), Some(RecordType::NSEC3)].contains(&set.record_type()));
            let ttls: Vec<_> = made.map(|set| (set.ttl, set.original_ttl)).collect();
            assert!(!ttls.is_empty() && ttls.iter().all(|ttl| *ttl == (3, 3)), "{ttls:?}");
        }
    }
}

#[test]
fn a_name_that_fills_its_255_octets_is_denied_too() {
    // 14 octets for the zone, 3 times 64, and the rest.
    let long = ["b".repeat(48), "c".repeat(63), "d".repeat(63), "e".repeat(63)].join(".");
    for denial in [Denial::Compact, Denial::Nsec3] {
        let snapshot = mixed().signed(denial).snapshot();
        let answer = ask_signed(&snapshot, TOKYO, &format!("{long} A"), true);
        assert_eq!(answer.outcome, Outcome::NxDomain);
        if denial == Denial::Compact {
            let nsec = read_nsec(answer.authorities.last().expect("a denial")).expect("an NSEC");
            assert_eq!(nsec.next.to_octets().len(), 255);
            assert!(nsec.next.as_str().starts_with(&format!("{}c.ccc", "b".repeat(47))));
        }
    }
}
