//! The signed zone as BIND's validator sees it: `delv`, with nothing but a trust anchor.
//!
//! Skipped, and said so, where it is not installed.

use std::net::SocketAddr;
use std::process::Command;

use meridian_dns_core::Liveness;
use meridian_dns_core::dnssec::{Algorithm, Denial};

use crate::support::peer::told_by;
use crate::support::signed::{Fleet, Role};

/// What it says of a question; `None` if there is no `delv`.
async fn delv(server: SocketAddr, fleet: &Fleet, question: &str) -> Option<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let anchors = directory.path().join("anchors.conf");
    let zone = fleet.keys.zone.as_str();
    let of = |(algorithm, key)| format!("{zone}. static-key 257 3 {algorithm} \"{key}\";\n");
    let keys: String = fleet.keys.anchors().into_iter().map(of).collect();
    std::fs::write(&anchors, format!("trust-anchors {{\n{keys}}};\n")).expect("written");
    let mut command = Command::new("delv");
    command
        .arg("@127.0.0.1")
        .arg("-p")
        .arg(server.port().to_string())
        .arg("-a")
        .arg(&anchors)
        .arg(format!("+root={zone}"))
        .arg("+vtrace")
        .args(question.split(' '));
    told_by(command).await
}

async fn check(server: SocketAddr, fleet: &Fleet, question: &str, expected: &[&str]) {
    let Some(output) = delv(server, fleet, question).await else {
        return;
    };
    for part in expected {
        assert!(output.contains(part), "delv {question}: no {part:?} in\n{output}");
    }
}

/// Each question, and what must be said of it. Compact denials have no NXDOMAIN to tell.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("example.test SOA", &["; fully validated"]),
    ("example.test NS", &["; fully validated"]),
    ("example.test DNSKEY", &["; fully validated"]),
    ("example.test CDS", &["; fully validated"]),
    ("example.test CDNSKEY", &["; fully validated"]),
    ("web.example.test A", &["; fully validated", "10.1.0.1"]),
    ("some.example.test A", &["; fully validated", "10.1.0.50"]),
    (
        "_https._tcp.web.example.test SRV",
        &["; fully validated", "own.example.test."],
    ),
    ("mail.example.test MX", &["; fully validated", "10 own.example.test."]),
    ("mail.example.test TXT", &["; fully validated", "\"two\""]),
    ("caa.example.test CAA", &["; fully validated"]),
    ("ptr.example.test PTR", &["; fully validated"]),
    ("tlsa.example.test TLSA", &["; fully validated"]),
    ("naptr.example.test NAPTR", &["; fully validated"]),
    ("svcb.example.test SVCB", &["; fully validated"]),
    ("odd.example.test TYPE65280", &["; fully validated"]),
    ("host.example.test A", &["; fully validated", "192.0.2.2"]),
    ("host.example.test AAAA", &["; fully validated", "2001:db8::1"]),
    ("a.wild.example.test A", &["; fully validated", "192.0.2.4"]),
    ("a.b.wild.example.test TXT", &["; fully validated", "\"wild\""]),
    ("*.wild.example.test A", &["; fully validated", "192.0.2.4"]),
    ("alias.example.test A", &["; fully validated", "10.1.0.1"]),
    ("a.tree.example.test A", &["; fully validated", "192.0.2.4", "DNAME"]),
    ("inside.example.test A", &["; fully validated", "192.0.2.9"]),
    ("www.safe.example.test A", &["; fully validated", "192.0.2.9"]),
    ("safe.example.test DS", &["; fully validated"]),
    ("www.bare.example.test A", &["; unsigned answer", "192.0.2.9"]),
    ("web.example.test AAAA", &["; negative response, fully validated"]),
    ("example.test TXT", &["; negative response, fully validated"]),
    ("host.example.test TXT", &["; negative response, fully validated"]),
    (
        "under.nothing.example.test A",
        &["; negative response, fully validated"],
    ),
    ("a.wild.example.test MX", &["; negative response, fully validated"]),
    ("bare.example.test DS", &["; negative response, fully validated"]),
    ("absent.example.test A", &["; negative response, fully validated"]),
    ("a.b.c.absent.example.test A", &["; negative response, fully validated"]),
    (
        "dangling.example.test A",
        &["; fully validated", "nonexistence proof(s) found"],
    ),
    (
        "outside.example.test A",
        &["; fully validated", "; unsigned answer", "192.0.2.9"],
    ),
    ("absent.safe.example.test A", &["; negative response, fully validated"]),
];

async fn validates(denial: Denial, roles: &[(Role, Algorithm)]) {
    let fleet = Fleet::new(denial, roles);
    let (_server, address, table) = fleet.start().await;
    for (question, expected) in QUESTIONS {
        check(address, &fleet, question, expected).await;
    }
    // While a name is degraded its TTL is half of what is signed.
    table.store(fleet.snapshot(Liveness::Dead));
    check(
        address,
        &fleet,
        "web.example.test A",
        &["; fully validated", "web.example.test.\t15\tIN\tA\t10.1.0.1"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delv_validates_compact_denials_and_ecdsa() {
    validates(
        Denial::Compact,
        &[(Role::Ksk, Algorithm::EcdsaP256), (Role::Zsk, Algorithm::EcdsaP256)],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delv_validates_hashed_denials_and_ed25519() {
    validates(
        Denial::Nsec3,
        &[(Role::Ksk, Algorithm::Ed25519), (Role::Zsk, Algorithm::Ed25519)],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delv_validates_while_two_pairs_of_two_algorithms_sign() {
    for denial in [Denial::Compact, Denial::Nsec3] {
        validates(
            denial,
            &[
                (Role::Ksk, Algorithm::EcdsaP256),
                (Role::Zsk, Algorithm::EcdsaP256),
                (Role::Ksk, Algorithm::Ed25519),
                (Role::Zsk, Algorithm::Ed25519),
            ],
        )
        .await;
    }
}
