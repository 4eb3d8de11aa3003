//! What holds for every denial of every small fleet, whoever asks.

mod support;

use meridian_dns_core::dnssec::{Denial, NameHash, prove, signers};
use meridian_dns_core::{Answer, Client, DnsName, FindingKind, Outcome, Question, RecordType, Snapshot, answer};
use proptest::prelude::*;
use support::arbitrary::{any_client, any_question, full_snapshot, name};
use support::denial::{dnssec, read_nsec, read_nsec3};

/// The names that a fleet may have, and some that it does not.
const CANDIDATES: [&str; 22] = [
    "", "w.z.", "z.", "w.r.", "r.", "w.", "last.", "alias.", "circle.", "ns.r.", "*.", "*.no.", "no.", "old.", "s.",
    "x.", "x.w.", "*.w.", "*.z.", "y.x.", "x.no.", "*.r.",
];

const TYPES: [RecordType; 12] = [
    RecordType::A,
    RecordType::Ns,
    RecordType::Cname,
    RecordType::Soa,
    RecordType::Mx,
    RecordType::TXT,
    RecordType::Aaaa,
    RecordType::Srv,
    RecordType::Dname,
    RecordType::Ds,
    RecordType::Https,
    RecordType::DNSKEY,
];

fn apex() -> DnsName {
    name("example.test")
}

fn candidates() -> impl Iterator<Item = DnsName> {
    CANDIDATES.into_iter().map(|text| name(&format!("{text}example.test")))
}

fn signed(snapshot: Snapshot, denial: Denial) -> Snapshot {
    let zone = snapshot
        .zone(&apex())
        .expect("the zone")
        .with_dnssec(Some(dnssec(denial)), 9);
    snapshot.with_zone(zone)
}

fn ask(snapshot: &Snapshot, question: &Question, client: Client<'_>) -> Answer {
    prove(snapshot, question, answer(snapshot, question, client), true)
}

/// What denies: the response code and the authority section.
fn denial_of(answer: &Answer) -> (Outcome, Vec<meridian_dns_core::RecordSet>) {
    (answer.outcome, answer.authorities.clone())
}

/// The types that are answered at a name as its own, without those that the signer adds.
fn answered(snapshot: &Snapshot, owner: &DnsName, client: Client<'_>) -> Vec<RecordType> {
    let has = |record_type: &RecordType| {
        let question = Question {
            name: owner.clone(),
            record_type: *record_type,
        };
        let answer = answer(snapshot, &question, client);
        let sets = answer.answers.iter();
        let first = answer
            .findings
            .first()
            .is_some_and(|first| first.kind != FindingKind::SubtreeAlias);
        first
            && sets
                .clone()
                .any(|set| set.name == *owner && set.record_type() == Some(*record_type))
    };
    TYPES.into_iter().filter(has).collect()
}

fn without_signer(types: &[RecordType]) -> Vec<RecordType> {
    let made = [
        RecordType::RRSIG,
        RecordType::NSEC,
        RecordType::NSEC3PARAM,
        RecordType::CDS,
        RecordType::CDNSKEY,
    ];
    types.iter().copied().filter(|one| !made.contains(one)).collect()
}

proptest! {
    #[test]
    fn denials_are_the_same_for_every_client(
        snapshot in full_snapshot(),
        question in any_question(),
        one in any_client(),
        other in any_client(),
        hashed in any::<bool>(),
    ) {
        let snapshot = signed(snapshot, if hashed { Denial::Nsec3 } else { Denial::Compact });
        let (one, other) = (ask(&snapshot, &question, one), ask(&snapshot, &question, other));
        prop_assert_eq!(denial_of(&one), denial_of(&other));
        prop_assert_eq!(&one.findings, &other.findings);
    }

    #[test]
    fn a_compact_denial_shows_the_types_that_are_answered(
        snapshot in full_snapshot(),
        question in any_question(),
        client in any_client(),
    ) {
        let snapshot = signed(snapshot, Denial::Compact);
        let answer = ask(&snapshot, &question, client);
        let Some(nsec) = answer.authorities.iter().find_map(read_nsec) else {
            let last = answer.findings.last();
            let negative = last.is_some_and(|last| [FindingKind::NoData, FindingKind::NameError].contains(&last.kind));
            prop_assert!(!negative, "{answer:?}");
            return Ok(());
        };
        let last = answer.findings.last().expect("a finding");
        prop_assert_eq!(&nsec.owner, &last.name);
        let referral = last.kind == FindingKind::Referral;
        prop_assert!(referral || !nsec.types.contains(&question.record_type), "{question:?} {answer:?}");
        prop_assert!(nsec.types.contains(&RecordType::NSEC) && nsec.types.contains(&RecordType::RRSIG));
        prop_assert_eq!(nsec.types.contains(&RecordType::NXNAME), last.kind == FindingKind::NameError);
        let complete = snapshot.zone(&apex()).is_some_and(|zone| zone.complete());
        if last.kind == FindingKind::NoData && complete && !nsec.types.contains(&RecordType::Ns) {
            prop_assert_eq!(without_signer(&nsec.types), answered(&snapshot, &nsec.owner, client));
        }
    }

    #[test]
    fn a_hashed_denial_covers_its_names_and_no_other(
        snapshot in full_snapshot(),
        question in any_question(),
        client in any_client(),
    ) {
        let snapshot = signed(snapshot, Denial::Nsec3);
        let zone = snapshot.zone(&apex()).expect("the zone");
        let answer = ask(&snapshot, &question, client);
        let last = answer.findings.last();
        for nsec3 in answer.authorities.iter().filter_map(read_nsec3) {
            prop_assert!(!nsec3.types.contains(&question.record_type) || last.is_some_and(|last| last.kind != FindingKind::NoData));
            for name in candidates() {
                let hash = *NameHash::of(&name).octets();
                prop_assert!(!(nsec3.covers(&hash) && zone.exists(&name)), "{name} is denied");
                if nsec3.hash == hash && zone.complete() && !nsec3.types.contains(&RecordType::Ns) {
                    prop_assert_eq!(without_signer(&nsec3.types), answered(&snapshot, &name, client), "{}", name);
                }
            }
        }
        let Some(last) = last.filter(|last| last.kind == FindingKind::NameError) else {
            return Ok(());
        };
        // RFC 5155 section 8.3 and 8.4, as a validator looks for them.
        let sets: Vec<_> = answer.authorities.iter().filter_map(read_nsec3).collect();
        let encloser = last.name.ancestors().find(|above| {
            let hash = *NameHash::of(above).octets();
            sets.iter().any(|nsec3| nsec3.hash == hash)
        });
        let encloser = encloser.expect("a closest encloser");
        let next_closer = last.name.ancestors().take_while(|above| *above != encloser).last().expect("a name below it");
        let wildcard = name(&format!("*.{}", encloser.as_str()));
        for name in [next_closer, wildcard] {
            let hash = *NameHash::of(&name).octets();
            prop_assert!(sets.iter().any(|nsec3| nsec3.covers(&hash)), "{name} is not denied");
        }
    }

    #[test]
    fn every_set_of_a_zone_is_signed_but_those_of_others(
        snapshot in full_snapshot(),
        question in any_question(),
        client in any_client(),
    ) {
        let snapshot = signed(snapshot, Denial::Compact);
        let answer = ask(&snapshot, &question, client);
        let signers = signers(&snapshot, &answer);
        let referred = answer.findings.last().is_some_and(|last| last.kind == FindingKind::Referral);
        for (set, signer) in answer.answers.iter().zip(&signers.answers) {
            let made = answer.findings.iter().any(|finding| finding.kind == FindingKind::SubtreeAlias && finding.name == set.name);
            prop_assert_eq!(signer.is_some(), !made, "{}", set);
        }
        for (set, signer) in answer.authorities.iter().zip(&signers.authorities) {
            let of_child = referred && set.record_type() == Some(RecordType::Ns);
            prop_assert_eq!(signer.is_some(), !of_child, "{}", set);
        }
        for (set, signer) in answer.additionals.iter().zip(&signers.additionals) {
            prop_assert!(signer.is_none() || !set.name.is_at_or_below(&name("r.example.test")) || !referred, "{}", set);
        }
    }
}
