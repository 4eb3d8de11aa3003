//! What `dig` makes of transfers and signed messages, and what checkers of zone files make of what it got.

use std::net::SocketAddr;
use std::process::Command;

use meridian_dns_core::dnssec::Denial;
use meridian_dns_server::{Allowed, Settings};

use crate::support::name;
use crate::support::packet::{Packet, exchange_tcp};
use crate::support::peer;
use crate::support::primary::{Primary, zone};
use crate::support::secondary::KEY;

/// What a program says; `None` if it is not there.
async fn run(program: &'static str, arguments: Vec<String>) -> Option<(bool, String)> {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = peer::run(command).await?;
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// `dig` with these arguments, signed with that key.
async fn dig(server: SocketAddr, key: Option<&str>, arguments: &str) -> Option<String> {
    let mut all: Vec<String> = ["@127.0.0.1", "-p", &server.port().to_string(), "+tries=1", "+time=5"]
        .into_iter()
        .map(str::to_owned)
        .collect();
    all.extend(key.into_iter().flat_map(|key| ["-y".to_owned(), key.to_owned()]));
    all.extend(arguments.split(' ').map(str::to_owned));
    run("dig", all).await.map(|(_, text)| text)
}

fn good() -> String {
    format!("hmac-sha256:{}:{}", KEY.0, KEY.1)
}

async fn check(server: SocketAddr, key: Option<&str>, arguments: &str, expected: &[&str], absent: &[&str]) {
    let Some(output) = dig(server, key, arguments).await else {
        return;
    };
    for part in expected {
        assert!(
            output.contains(part),
            "dig {key:?} {arguments}: no {part:?} in\n{output}"
        );
    }
    for part in absent {
        assert!(!output.contains(part), "dig {key:?} {arguments}: {part:?} in\n{output}");
    }
}

/// A zone of more than one message.
fn large(last: &str) -> meridian_dns_core::Zone {
    let lines = (0..3000).map(|number| format!("n{number} TXT \"some text for each of many names\"\n"));
    let text: String = lines.chain([format!("last TXT \"{last}\"\n")]).collect();
    zone("example.test", &text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_has_many_signed_messages_and_a_difference_few_records() {
    let mut primary = Primary::start().await;
    primary.publish(large("one"));
    let first = primary.table_serial("example.test");
    primary.publish(large("two"));
    primary.publish(large("three"));
    let last = primary.table_serial("example.test");
    let key = good();
    let (at, key) = (primary.address, Some(key.as_str()));
    check(
        at,
        key,
        "example.test AXFR",
        &["XFR size: 3005 records (messages 3"],
        &["Couldn't", "TSIG error"],
    )
    .await;
    let ixfr = format!("example.test IXFR={first}");
    check(
        at,
        key,
        &ixfr,
        &["XFR size: 6 records (messages 1", "\"one\"", "\"three\""],
        &["\"two\"", "n17."],
    )
    .await;
    // RFC 1995: the serial alone where there is nothing newer, and over UDP.
    check(
        at,
        key,
        &format!("example.test IXFR={last}"),
        &["XFR size: 1 records"],
        &[],
    )
    .await;
    check(
        at,
        key,
        &format!("example.test +notcp IXFR={first}"),
        &["(UDP)", "SOA"],
        &["TXT"],
    )
    .await;
    // An older one than is kept.
    check(at, key, "example.test IXFR=1", &["XFR size: 3005 records"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_allowed_is_refused_and_says_so() {
    let mut primary = Primary::start().await;
    primary.publish(zone("example.test", "a A 192.0.2.1\n"));
    let near = |network: &str, key: Option<&str>| Allowed {
        networks: vec![network.parse().expect("a network")],
        key: key.map(name),
    };
    primary.publish_to(
        zone("far.test", ""),
        vec![near("192.0.2.0/24", Some(KEY.0)), Allowed::default()],
    );
    primary.publish_to(zone("near.test", ""), vec![near("127.0.0.1/32", None)]);
    let (at, key) = (primary.address, good());
    let key = Some(key.as_str());
    // `dig` does not tell the code of a transfer that fails, our own packets do.
    let packet = |name, record_type| Packet {
        questions: vec![(name, record_type, 1)],
        ..Packet::ask(name)
    };
    for (asked, code) in [
        ("example.test", 5),
        ("far.test", 5),
        ("absent.test", 9),
        ("a.example.test", 9),
    ] {
        for record_type in [251, 252] {
            let packet = packet(asked, record_type).bytes(7);
            let replies = exchange_tcp(at, &[packet]).await;
            assert_eq!(replies[0][3] & 0x0f, code, "{asked} TYPE{record_type}");
        }
    }
    check(at, key, "far.test AXFR", &["Transfer failed"], &["SOA\t"]).await;
    check(at, None, "near.test AXFR", &["XFR size: 4 records"], &[]).await;
    check(at, key, "near.test AXFR", &["XFR size: 4 records"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_zone_is_shown_to_those_alone_who_may_transfer_it() {
    let mut primary = Primary::start().await;
    let with_key = Allowed {
        networks: Vec::new(),
        key: Some(name(KEY.0)),
    };
    primary.publish_as(zone("catalog.test", "a A 192.0.2.1\n"), vec![with_key], true);
    let (at, key) = (primary.address, good());
    check(
        at,
        None,
        "a.catalog.test A",
        &["status: REFUSED", "EDE: 18"],
        &["192.0.2.1"],
    )
    .await;
    check(at, Some(&key), "a.catalog.test A", &["192.0.2.1"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_too_many_is_refused_and_queries_go_on() {
    let mut primary = Primary::start().await;
    primary.publish(zone("example.test", "a A 192.0.2.1\n"));
    let mut settings = Settings::clone(&primary.server.settings().load());
    settings.streams.transfers = 0;
    primary.server.settings().store(settings.clone());
    let (at, key) = (primary.address, good());
    check(
        at,
        Some(&key),
        "example.test AXFR",
        &["Transfer failed"],
        &["192.0.2.1"],
    )
    .await;
    check(at, Some(&key), "+tcp a.example.test A", &["192.0.2.1"], &[]).await;
    settings.streams.transfers = 1;
    primary.server.settings().store(settings);
    // Each that has ended makes room.
    for _ in 0..3 {
        check(at, Some(&key), "example.test AXFR", &["XFR size: 5 records"], &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_signatures_are_answered_as_rfc_8945_says() {
    let mut primary = Primary::start().await;
    primary.publish(zone("example.test", "a A 192.0.2.1\n"));
    let at = primary.address;
    let key = good();
    check(
        at,
        Some(&key),
        "a.example.test A",
        &["192.0.2.1", "TSIG\thmac-sha256", "NOERROR 0"],
        &["verify"],
    )
    .await;
    let other = format!("hmac-sha256:other.key:{}", KEY.1);
    check(
        at,
        Some(&other),
        "a.example.test A",
        &["status: NOTAUTH", "BADKEY"],
        &["192.0.2.1"],
    )
    .await;
    let algorithm = format!("hmac-sha512:{}:{}", KEY.0, KEY.1);
    check(
        at,
        Some(&algorithm),
        "a.example.test A",
        &["status: NOTAUTH", "BADKEY"],
        &["192.0.2.1"],
    )
    .await;
    let secret = format!("hmac-sha256:{}:bm90IHRoZSBzZWNyZXQ=", KEY.0);
    check(
        at,
        Some(&secret),
        "a.example.test A",
        &["status: NOTAUTH", "BADSIG"],
        &["192.0.2.1"],
    )
    .await;
    // The last 16 octets of the MAC are left out.
    let truncated = format!("hmac-sha256-128:{}:{}", KEY.0, KEY.1);
    check(at, Some(&truncated), "a.example.test A", &["192.0.2.1"], &["verify"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkers_of_zones_accept_what_is_transferred() {
    for denial in [None, Some(Denial::Compact), Some(Denial::Nsec3)] {
        let mut primary = Primary::start().await;
        let apex = name("example.test");
        let dnssec = denial.map(|denial| primary.keys(&apex, denial).into());
        let text = "a A 192.0.2.1\n*.w TXT x\nb.c.d MX 10 a\nsub NS ns.sub\nns.sub A 192.0.2.2\nother NS ns.elsewhere.test.\nold DNAME a\n";
        primary.publish(zone("example.test", text).with_dnssec(dnssec, 1));
        let key = good();
        let transferred = dig(
            primary.address,
            Some(&key),
            "+onesoa +nocomments +nocmd +nostats example.test AXFR",
        );
        let Some(transferred) = transferred.await else { return };
        let lines = transferred
            .lines()
            .filter(|line| !line.contains("TSIG") && !line.starts_with(';'));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("zone");
        std::fs::write(&file, &text).expect("written");
        let file = file.display().to_string();
        let checked = run(
            "named-checkzone",
            vec!["-i".into(), "local".into(), "example.test".into(), file.clone()],
        );
        if let Some((good, said)) = checked.await {
            assert!(good, "{denial:?}: {said}\n{text}");
        }
        if denial.is_some()
            && let Some((good, said)) = run("ldns-verify-zone", vec![file]).await
        {
            assert!(good, "{denial:?}: {said}\n{text}");
        }
    }
}
