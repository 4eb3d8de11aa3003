//! Delegations: referrals, glue and what belongs to which side (RFC 1034, 2181, 4035, 9471).
//!
//! Cases are written as in `answer.rs`.

mod support;

use std::sync::Arc;

use meridian_dns_core::{Snapshot, StaticRecords, Zone};
use support::{TOKYO, World, absolute, ask, check, check_in, record, soa, world};

const NODATA: [&str; 2] = ["NOERROR /0", "authority @ SOA"];

fn parent() -> World {
    world().records(&[
        "child 60 NS ns.child",
        "child 60 NS ns.elsewhere.test.",
        "child 60 DS signer",
        "ns.child 60 A 192.0.2.1",
        "ns.child 60 AAAA 2001:db8::1",
        "www.child 60 A 192.0.2.2",
        "plain 60 NS ns.child",
        "deep.er 60 NS ns.elsewhere.test.",
        "to 60 CNAME www.child",
        "* 60 TXT wild",
    ])
}

const REFERRAL: [&str; 4] = [
    "NOERROR /0",
    "authority child NS ns.child ns.elsewhere.test.",
    "additional ns.child A 192.0.2.1",
    "additional ns.child AAAA 2001:db8::1",
];

#[test]
fn names_at_and_below_a_delegation_are_referred_with_glue() {
    // RFC 1034 section 4.3.2 step 3b: for every type but DS, also for NS, and for names that are
    // written here, since what is below is not ours (RFC 2181 section 6.1).
    for question in [
        "child A",
        "child NS",
        "child ANY",
        "child SOA",
        "x.child A",
        "www.child A",
        "ns.child A",
        "ns.child DS",
        "a.b.child TXT",
    ] {
        check(&parent(), TOKYO, question, &REFERRAL);
    }
    // RFC 9471: also glue below another delegation.
    let sibling = ["NOERROR /0", "authority plain NS ns.child", REFERRAL[2], REFERRAL[3]];
    check(&parent(), TOKYO, "x.plain A", &sibling);
    check(
        &parent(),
        TOKYO,
        "x.deep.er A",
        &["NOERROR /0", "authority deep.er NS ns.elsewhere.test."],
    );
    check(&parent(), TOKYO, "er A", &NODATA);
}

#[test]
fn rfc_4035_ds_is_answered_by_the_parents_side() {
    check(
        &parent(),
        TOKYO,
        "child DS",
        &["NOERROR /0", r"child DS \# 7 067369676E6572"],
    );
    // Section 3.1.4.1: no DS is NODATA, not a referral.
    check(&parent(), TOKYO, "plain DS", &NODATA);
    let signed = ask(&parent().snapshot(), TOKYO, "x.child A");
    let ds = signed.delegation_signer.expect("a signed delegation");
    assert_eq!((ds.name, ds.data.len()), (absolute("child"), 1));
    let unsigned = ask(&parent().snapshot(), TOKYO, "x.plain A");
    assert_eq!(unsigned.delegation_signer, None);
}

fn with_child(parent: &World) -> Snapshot {
    let records = StaticRecords::new(&absolute("child"), [record("www.child 60 A 192.0.2.7")]);
    let child = Zone::new(absolute("child"), soa(), Vec::new())
        .with_complete(true)
        .with_records(Arc::new(records.expect("valid records")), 2);
    parent.snapshot().with_zone(child)
}

#[test]
fn where_both_sides_are_here_each_answers_what_is_its_own() {
    let both = with_child(&parent());
    check_in(&both, TOKYO, "www.child A", &["NOERROR /0", "www.child A 192.0.2.7"]);
    check_in(&both, TOKYO, "child SOA", &["NOERROR /0", "child SOA"]);
    check_in(
        &both,
        TOKYO,
        "child DS",
        &["NOERROR /0", r"child DS \# 7 067369676E6572"],
    );
    check_in(
        &both,
        TOKYO,
        "to A",
        &["NOERROR /0", "to CNAME www.child", "www.child A 192.0.2.7"],
    );
    check_in(&both, TOKYO, "x.child A", &["NXDOMAIN /0", "authority child SOA"]);
    // A parent that does not delegate must not deny the name.
    check_in(
        &with_child(&world()),
        TOKYO,
        "child DS",
        &["NOERROR /0", "authority child SOA"],
    );
    check(&parent(), TOKYO, "@ DS", &NODATA);
}

#[test]
fn an_alias_into_a_delegation_is_ours_and_what_follows_is_referred() {
    // RFC 1034 section 6.2.7; AA is that of the first name.
    let expected = [REFERRAL[0], "to CNAME www.child", REFERRAL[1], REFERRAL[2], REFERRAL[3]];
    check(&parent(), TOKYO, "to A", &expected);
}

#[test]
fn a_delegation_hides_routed_names_and_wildcards_end_at_it() {
    let over = world().records(&["asia 60 NS ns.elsewhere.test.", "*.asia 60 TXT x"]);
    // `web.asia` is routed, and would lead elsewhere.
    check(
        &over,
        TOKYO,
        "web.asia A",
        &["NOERROR /0", "authority asia NS ns.elsewhere.test."],
    );
    check(
        &over,
        TOKYO,
        "y.asia TXT",
        &["NOERROR /0", "authority asia NS ns.elsewhere.test."],
    );
    check(&over, TOKYO, "web A", &["NOERROR /24", "web A 10.1.0.1"]);
}

#[test]
fn a_delegation_is_answered_before_every_cluster_is_known() {
    check(&parent().incomplete(), TOKYO, "x.child A", &REFERRAL);
}
