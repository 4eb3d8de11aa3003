//! The differential test: BIND, Knot and NSD take our zones by AXFR, follow them by NOTIFY and IXFR with
//! signed messages, and answer every question as we do.

use std::fmt::Write;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use meridian_dns_core::dnssec::Denial;
use meridian_dns_core::transfer::catalog_records;
use meridian_dns_core::{RecordData, RecordSet, StaticRecords, Zone};
use meridian_dns_server::{Notifier, Secondary as Told};

use super::compare::{Asked, ask, essence};
use crate::support::name;
use crate::support::primary::{Primary, key, zone};
use crate::support::secondary::{Program, Secondary};

/// A machine under load transfers slowly too.
const LIMIT: Duration = Duration::from_secs(30);

/// One name of each kind; ~ is a number.
const KINDS: [&str; 16] = [
    "h~ A 192.0.2.1\nh~ A 192.0.2.2",
    "h~ AAAA 2001:db8::~",
    "h~ MX 10 h1\nh~ MX 20 mail.elsewhere.test.",
    "h~ TXT \"some text\" \"~\"",
    "_x._tcp.h~ SRV 1 2 80 h1",
    "h~ CAA 0 issue \"ca.test\"",
    "h~ PTR h1",
    "h~ HTTPS 1 . alpn=h2 port=8443",
    "h~ SVCB 0 h1",
    "h~ TLSA 3 1 1 0123ab",
    "h~ NAPTR 100 10 \"u\" \"sip+E2U\" \"\" h1",
    "h~ TYPE65280 \\# 3 010203",
    "h~ CNAME h1",
    "h~ NS ns.h~\nns.h~ A 192.0.2.53\nh~ DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000",
    "*.h~ A 192.0.2.9\na.b.c.h~ TXT deep",
    "h~ DNAME h1",
];

/// About that many names of all kinds.
fn text(names: usize, last: &str) -> String {
    let mut text = String::new();
    for number in 1..=names {
        // The first is what others lead to.
        let kind = if number == 1 {
            KINDS[0]
        } else {
            KINDS[number % KINDS.len()]
        };
        writeln!(text, "{}", kind.replace('~', &number.to_string())).expect("a string");
    }
    writeln!(text, "last TXT \"{last}\"\n*.wild MX 5 h1\nsub.wild TXT x").expect("a string");
    text
}

/// Every name with every type that it has and one that it has not, and a name below that is not there.
fn questions(zone: &Zone) -> Vec<Asked> {
    let all: Vec<u16> = vec![1, 28, 15, 16, 33, 257, 12, 65, 64, 52, 35, 65280, 5, 2, 43, 39, 6, 48];
    let mut questions = Vec::new();
    for (number, (name, sets)) in zone.records().iter().enumerate() {
        let dnssec = number % 2 == 0;
        let has = sets
            .iter()
            .filter_map(RecordSet::record_type)
            .map(|record_type| record_type.number());
        let other = all[number % all.len()];
        for record_type in has.chain([other]) {
            questions.push((name.to_string(), record_type, dnssec));
            questions.push((name.to_string(), record_type, !dnssec));
        }
        questions.push((format!("absent.{name}"), all[number % 12], dnssec));
        questions.push((format!("0{name}"), 1, dnssec));
    }
    // Of some names every type.
    for (name, _) in zone.records().iter().take(64) {
        questions.extend(all.iter().map(|record_type| (name.to_string(), *record_type, true)));
    }
    for name in [
        "example.test",
        "b.c.h14.example.test",
        "x.y.wild.example.test",
        "ns1.example.test",
    ] {
        questions.extend(all.iter().map(|record_type| (name.to_owned(), *record_type, false)));
    }
    questions
}

fn serial(soa: &RecordSet) -> u32 {
    match soa.data.as_slice() {
        [RecordData::Soa(soa)] => soa.serial,
        other => panic!("{other:?} is no SOA"),
    }
}

/// Waits until the secondary has that version.
async fn follows(secondary: &Secondary, soa: &RecordSet) {
    let wanted = serial(soa).to_string();
    let question = [(soa.name.to_string(), u16::from(RecordType::SOA), false)];
    let until = tokio::time::Instant::now() + LIMIT;
    loop {
        let told = secondary_says(secondary, &question).await;
        if told.contains(&wanted) {
            return;
        }
        let program = secondary.program;
        assert!(
            tokio::time::Instant::now() < until,
            "{program:?} does not have serial {wanted}: {told}\n{}",
            secondary.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The answer of a secondary that may not listen yet.
async fn secondary_says(secondary: &Secondary, question: &[Asked]) -> String {
    let client = meridian_dns_server::client::Query::new(name(&question[0].0), meridian_dns_core::RecordType::Soa);
    let transport = meridian_dns_server::client::Transport::Udp;
    match meridian_dns_server::client::query(secondary.address, transport, &client, Duration::from_secs(1)).await {
        Ok(reply) => format!("{:?}", reply.answers),
        Err(error) => error.to_string(),
    }
}

async fn equal(ours: &[Message], secondary: &Secondary, questions: &[Asked], compact: bool) {
    let theirs = ask(secondary.address, questions).await;
    let mut differing = 0;
    for (question, (ours, theirs)) in questions.iter().zip(ours.iter().zip(&theirs)) {
        let denied = compact && question.2;
        let (ours, theirs) = (essence(ours, denied), essence(theirs, denied));
        if ours != theirs {
            differing += 1;
            if differing < 8 {
                println!(
                    "{:?} {question:?}\n ours   {ours:?}\n theirs {theirs:?}",
                    secondary.program
                );
            }
        }
    }
    assert_eq!(
        differing,
        0,
        "of {} answers of {:?}",
        questions.len(),
        secondary.program
    );
}

/// Starts all that are installed, and compares; then changes the zone, twice.
async fn differential(names: usize, denial: Option<Denial>) {
    let mut primary = Primary::start().await;
    let apex = name("example.test");
    let dnssec = denial.map(|denial| primary.keys(&apex, denial).into());
    let version = |last: &str| zone("example.test", &text(names, last)).with_dnssec(dnssec.clone(), 1);
    let mut soa = primary.publish(version("one"));
    let secondaries: Vec<_> = Program::ALL
        .into_iter()
        .filter_map(|program| Secondary::start(program, primary.address, &["example.test"], None))
        .collect();
    let told = secondaries.iter().map(|secondary| Told {
        address: secondary.address,
        key: Some(key()),
    });
    let notifier = Notifier::start(told);
    notifier.published(soa.clone());
    let questions = questions(&version("one"));
    let ours = ask(primary.address, &questions).await;
    for secondary in &secondaries {
        follows(secondary, &soa).await;
        equal(&ours, secondary, &questions, denial == Some(Denial::Compact)).await;
    }
    let whole = secondaries.iter().map(Secondary::log).collect::<Vec<_>>();
    for last in ["two", "three"] {
        soa = primary.publish(version(last));
        notifier.published(soa.clone());
        let few = &questions[questions.len() - 400..];
        let ours = ask(primary.address, few).await;
        for secondary in &secondaries {
            follows(secondary, &soa).await;
            equal(&ours, secondary, few, denial == Some(Denial::Compact)).await;
        }
    }
    // What came after the notices came as differences; Knot says so.
    for (secondary, before) in secondaries.iter().zip(whole) {
        let log = secondary.log();
        let after = log.strip_prefix(&before).expect("a log grows");
        if secondary.program == Program::Knot {
            let differences = after.matches("IXFR, incoming").count();
            assert!(differences >= 2 && !after.contains("AXFR"), "{after}");
        }
    }
}

/// The members of a catalog are served by those who were told of the catalog alone (RFC 9432).
#[tokio::test(flavor = "multi_thread")]
async fn secondaries_take_the_zones_of_a_catalog() {
    let mut primary = Primary::start().await;
    let members = ["one.test", "two.test"];
    let mut newest: Vec<_> = members
        .iter()
        .map(|member| primary.publish(zone(member, "a A 192.0.2.1\n")))
        .collect();
    let catalog = |members: &[&str]| {
        let members: Vec<_> = members.iter().map(|member| name(member)).collect();
        let apex = name("catalog.meridian");
        let records = catalog_records(&apex, &members).expect("short names");
        let records = StaticRecords::new(&apex, records).expect("records that go together");
        Zone::clone(&zone("catalog.meridian", "")).with_records(records.into(), 1)
    };
    primary.publish(catalog(&members));
    let secondaries: Vec<_> = [Program::Bind, Program::Knot]
        .into_iter()
        .filter_map(|program| Secondary::start(program, primary.address, &[], Some("catalog.meridian")))
        .collect();
    let told = secondaries.iter().map(|secondary| Told {
        address: secondary.address,
        key: Some(key()),
    });
    let notifier = Notifier::start(told);
    for secondary in &secondaries {
        for soa in &newest {
            follows(secondary, soa).await;
        }
    }
    newest.push(primary.publish(zone("three.test", "a A 192.0.2.1\n")));
    notifier.published(primary.publish(catalog(&["one.test", "two.test", "three.test"])));
    for secondary in &secondaries {
        follows(secondary, &newest[2]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secondaries_of_a_large_zone_answer_as_we_do() {
    differential(5000, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secondaries_of_a_zone_that_is_denied_compactly_answer_as_we_do() {
    differential(5000, Some(Denial::Compact)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secondaries_of_a_zone_with_nsec3_answer_as_we_do() {
    differential(5000, Some(Denial::Nsec3)).await;
}
