//! A signed zone of `meridian run`, from its object to the operator's commands.

mod common;

use std::process::{Command, Output};

use common::{Federation, eventually, objects};
use meridian_dns_core::Outcome;
use serde_json::json;

const API: &str = "meridian.dev/v1alpha1";

fn meridian(federation: &Federation, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(arguments)
        .arg("--kubeconfig")
        .arg(federation.host_kubeconfig())
        .output()
        .expect("the binary runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_gets_keys_and_its_operator_is_told_what_the_parent_needs() {
    let mut federation = Federation::new(1).await;
    let dnssec = json!({
        "propagationSeconds": 1, "safetySeconds": 0, "keys": {"ttl": 1},
        "parent": {"check": "Manual", "dsTTL": 1, "propagationSeconds": 0},
    });
    let spec = json!({"spec": {"ttl": 1, "soa": {"refresh": 1, "minimum": 1}, "dnssec": dnssec}});
    federation.patch(API, "DNSZone", None, "zone", spec).await;
    federation.start();
    eventually("two keys", async || {
        let reply = federation.ask_for("example.test", "DNSKEY").await;
        reply.is_some_and(|reply| {
            reply.outcome == Outcome::NoError && reply.answers.iter().any(|set| set.data.len() == 2)
        })
    })
    .await;
    let zones = objects(&federation.host, API, "DNSZone", None);
    let reason = async |reason: &str| {
        let found = federation.condition(&zones, "zone", "DelegationSigned").await;
        found.is_some_and(|(_, found, _)| found == reason)
    };
    eventually("the keys are ready for a DS", || reason("DsMissing")).await;
    let output = meridian(&federation, &["dnssec", "ds", "example.test"]);
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<_> = line.split_whitespace().collect();
    assert!(output.status.success() && words.len() == 7, "{output:?}");
    assert_eq!(words[..3], ["example.test.", "IN", "DS"]);
    // The operator gave it to the parent, and says so.
    let seen = json!({"metadata": {"annotations": {"meridian.dev/ds-seen": words[3]}}});
    federation.patch(API, "DNSZone", None, "zone", seen).await;
    eventually("the delegation is signed", || reason("Delegated")).await;
    let output = meridian(&federation, &["dnssec", "status", "example.test"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("omnipresent") && text.contains("DelegationSigned: True (Delegated)"),
        "{text}"
    );
    // An explanation needs no keys.
    let output = meridian(
        &federation,
        &["explain", "example.test", "--type", "SOA", "--from", "192.0.2.1"],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("NOERROR"), "{output:?}");
    // Asked in words only, then in earnest.
    let roll = ["dnssec", "roll", "example.test", "--zsk"];
    let output = meridian(&federation, &[&roll[..], &["--dry-run"]].concat());
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("dnssec-roll-zsk"),
        "{output:?}"
    );
    assert!(meridian(&federation, &roll).status.success());
    let output = meridian(&federation, &["dnssec", "ds", "example.test"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), line, "a ZSK needs no new DS");
    eventually("a third key", async || {
        let object = zones.get("zone").await.expect("there");
        let keys = object
            .data
            .pointer("/status/dnssec/keys")
            .and_then(|keys| keys.as_array().map(Vec::len));
        keys == Some(3)
    })
    .await;
}
