//! From a zone file to what a client receives, for every type; and what no text may do to the reader.
//!
//! The zone has a record of each type that `dns-core` or its reader treats in a way of its own. What is
//! compared with `dig`'s output, where `dig` is installed, are the data's words: whoever wrote the zone
//! file must find them there.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use meridian_dns_core::{DnsName, NameServer, ReadText, RecordSet, Snapshot, Soa, StaticRecords, Zone};
use meridian_dns_server::client::{Query, Transport, query};
use meridian_dns_server::{DnsServer, MasterFile, ServerConfig, Table};
use proptest::prelude::*;

use crate::support::peer::run;

const ZONE: &str = r#"
$TTL 300
@            IN SOA  ns1 hostmaster 1 7200 900 1209600 300
             IN NS   ns1
             IN MX   10 mail
             IN CAA  0 issue "ca.example.net"
ns1          IN A    192.0.2.53
mail         IN A    192.0.2.25
             IN AAAA 2001:db8::25
text         IN TXT  "a \"quoted\" string" plain \255\000 ( "over"
                     "lines" )
alias        IN CNAME mail
_sip._udp    IN SRV  1 2 5060 mail
4.2          IN PTR  Host.Elsewhere.TEST.
svc          IN HTTPS 1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.25 ipv6hint=2001:db8::25
             IN SVCB 2 mail key667="x y"
_443._tcp    IN TLSA 3 1 1 0123456789abcdef
naptr        IN NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:x@example.net!" .
child        IN NS   ns.child
             IN DS   60485 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
ns.child     IN A    192.0.2.1
odd          60 TYPE65280 \# 4 0a0b0c0d
empty        60 TYPE65281 \# 0
moved        IN DNAME elsewhere.test.
*.wild       IN TXT  "any"
"#;

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a valid name")
}

fn apex() -> DnsName {
    name("example.test")
}

fn records() -> Vec<RecordSet> {
    MasterFile.zone_file(&apex(), 60, ZONE).expect("a zone file")
}

fn table() -> (Table, StaticRecords) {
    let soa = Soa {
        primary: name("ns1.example.test"),
        mailbox: name("hostmaster.example.test"),
        serial: 1,
        refresh: 7200,
        retry: 900,
        expire: 1_209_600,
        minimum: 30,
    };
    let records = StaticRecords::new(&apex(), records()).expect("records that go together");
    let zone = Zone::new(apex(), soa, Vec::<NameServer>::new())
        .with_records(records.clone().into(), 2)
        .with_complete(true);
    (Table::new(Snapshot::default().with_zone(zone)), records)
}

async fn start() -> (DnsServer, SocketAddr, StaticRecords) {
    let (table, records) = table();
    let config = ServerConfig::new([SocketAddr::from(([127, 0, 0, 1], 0))]);
    let server = DnsServer::bind(config, table).await.expect("a free port");
    let address = server.addresses()[0];
    (server, address, records)
}

#[tokio::test]
async fn what_was_written_is_what_arrives() {
    let (_server, address, records) = start().await;
    let child = name("child.example.test");
    let mut asked = 0;
    for set in records.iter().flat_map(|(_, sets)| sets.iter()) {
        let record_type = set.record_type().expect("data");
        let is_ds = record_type.to_string() == "DS";
        // The wire library's reader refuses data of no octets outside of updates; `dig` below does not.
        let is_empty = set.name == name("empty.example.test");
        if (set.name.is_at_or_below(&child) && !is_ds) || is_empty {
            continue;
        }
        for transport in [Transport::Udp, Transport::Tcp] {
            let question = Query::new(set.name.clone(), record_type);
            let reply = query(address, transport, &question, Duration::from_secs(5))
                .await
                .unwrap_or_else(|error| panic!("{question:?}: {error}"));
            let got: Vec<_> = reply.answers.iter().map(ToString::to_string).collect();
            assert_eq!(got, [set.to_string()], "{} {record_type} over {transport}", set.name);
            assert_eq!(&reply.answers[0], set);
            assert!(reply.authoritative && !reply.truncated);
            asked += 1;
        }
    }
    assert!(asked > 30, "{asked} questions");
}

#[tokio::test]
async fn referrals_and_names_made_up_arrive_too() {
    let (_server, address, _) = start().await;
    let ask = |text: &str, record_type: &str| {
        let record_type = meridian_dns_core::RecordType::from_mnemonic(record_type).expect("a type");
        let question = Query::new(name(text), record_type);
        async move {
            let limit = Duration::from_secs(5);
            let reply = query(address, Transport::Udp, &question, limit).await.expect("a reply");
            let lines = |sets: &[RecordSet]| sets.iter().map(ToString::to_string).collect::<Vec<_>>();
            (
                reply.authoritative,
                lines(&reply.answers),
                lines(&reply.authorities),
                lines(&reply.additionals),
            )
        }
    };
    let (authoritative, answers, authorities, additionals) = ask("www.child.example.test", "A").await;
    assert!(!authoritative && answers.is_empty());
    assert_eq!(authorities, ["child.example.test. 300 IN NS ns.child.example.test."]);
    assert_eq!(additionals, ["ns.child.example.test. 300 IN A 192.0.2.1"]);
    let (_, answers, ..) = ask("x.wild.example.test", "TXT").await;
    assert_eq!(answers, ["x.wild.example.test. 300 IN TXT \"any\""]);
    let (_, answers, ..) = ask("x.moved.example.test", "A").await;
    let dname = "moved.example.test. 300 IN DNAME elsewhere.test.";
    assert_eq!(answers, [dname, "x.moved.example.test. 300 IN CNAME x.elsewhere.test."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_shows_the_words_of_the_zone_file() {
    let (_server, address, _) = start().await;
    for (question, expected) in [
        ("text TXT", r#""a \"quoted\" string" "plain" "\255\000" "over" "lines""#),
        ("@ MX", "10 mail.example.test."),
        ("@ CAA", "0 issue \"ca.example.net\""),
        ("4.2 PTR", "host.elsewhere.test."),
        ("_443._tcp TLSA", "3 1 1 0123456789ABCDEF"),
        ("naptr NAPTR", r#"100 10 "u" "E2U+sip" "!^.*$!sip:x@example.net!" ."#),
        ("child DS", "60485 13 2 0123456789ABCDEF"),
        ("odd TYPE65280", r"\# 4 0A0B0C0D"),
        ("empty TYPE65281", r"\# 0"),
        ("moved DNAME", "elsewhere.test."),
        ("svc TYPE65", "192.0.2.25"),
    ] {
        let (owner, record_type) = question.split_once(' ').expect("a name and a type");
        let owner = if owner == "@" {
            "example.test".to_owned()
        } else {
            format!("{owner}.example.test")
        };
        let mut dig = Command::new("dig");
        dig.args([
            "@127.0.0.1",
            "-p",
            &address.port().to_string(),
            "+norec",
            "+short",
            "+tries=1",
        ]);
        dig.args([&owner, record_type]);
        let Some(output) = run(dig).await else { return };
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        // Whether a `dig` knows HTTPS depends on its age.
        let known = output.contains(expected) || record_type == "TYPE65" && output.contains("C0000219");
        assert!(known, "{question}: no {expected:?} in\n{output}");
    }
}

/// Pieces that mean something to a reader, in any order, and characters that may mean nothing.
fn any_text() -> impl Strategy<Value = String> {
    let pieces = [
        "@",
        " ",
        "\n",
        "\t",
        "(",
        ")",
        "\"",
        "\\",
        "\\2",
        "\\300",
        ";",
        "$TTL",
        "$ORIGIN",
        "$INCLUDE",
        "$GENERATE",
        "IN",
        "CH",
        "A",
        "AAAA",
        "TXT",
        "SOA",
        "HTTPS",
        "TYPE1",
        "TYPE65535",
        "\\#",
        "0",
        "4294967296",
        "192.0.2.1",
        "::",
        "a.b.",
        "..",
        "*",
        "alpn=h2",
        "ff",
        "\r\n",
        "\u{e9}",
        "\0",
    ];
    let piece = prop_oneof![3 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// Whatever is in a zone file, the reader says yes or no, and what it accepts can be checked.
    #[test]
    fn no_text_makes_the_reader_panic(text in any_text()) {
        if let Ok(records) = MasterFile.zone_file(&apex(), 60, &text) {
            let _ = StaticRecords::new(&apex(), records);
        }
    }

    /// A zone file with one stretch overwritten is no danger either.
    #[test]
    fn no_damaged_zone_file_makes_the_reader_panic(at in 0..ZONE.len(), length in 0_usize..8, text in any_text()) {
        let end = (at + length).min(ZONE.len());
        let damaged = [&ZONE[..at], &text, &ZONE[end..]].concat();
        let _ = MasterFile.zone_file(&apex(), 60, &damaged);
    }
}
