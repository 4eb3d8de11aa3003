//! A zone of `meridian run` that is given to secondaries: from its object to `dig`, with TSIG, NOTIFY and a restart.

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use common::{Federation, LIMIT, eventually, objects};
use meridian_dns_core::RecordData;
use serde_json::{Value, json};
use tokio::net::UdpSocket;

const API: &str = "meridian.dev/v1alpha1";
/// Base 64, as `tsig-keygen` prints it.
const SECRET: &str = "c2VjcmV0IG9mIHRoZSBzZWNvbmRhcnkgYW5kIHVz";

/// What `dig` says; empty if it is not there.
async fn dig(server: SocketAddr, secret: Option<&str>, arguments: &str) -> Option<String> {
    let mut command = Command::new("dig");
    command.args([
        &format!("@{}", server.ip()),
        "-p",
        &server.port().to_string(),
        "+tries=1",
        "+time=5",
    ]);
    if let Some(secret) = secret {
        command.args(["-y", &format!("hmac-sha256:transfer.key:{secret}")]);
    }
    command.args(arguments.split(' '));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic");
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) if std::env::var_os("MERIDIAN_PEERS").is_some() => {
            panic!("MERIDIAN_PEERS is set, but dig does not run: {error}")
        }
        Err(_) => None,
    }
}

/// The serial that answers show.
async fn shown(federation: &Federation) -> u32 {
    let reply = federation.ask_for("example.test", "SOA").await;
    let sets = reply.into_iter().flat_map(|reply| reply.answers);
    let soa = sets.flat_map(|set| set.data).find_map(|data| match data {
        RecordData::Soa(soa) => Some(soa.serial),
        _ => None,
    });
    soa.unwrap_or(0)
}

/// Answers notices, as a secondary does, until one is of `example.test` and a newer serial.
async fn notified(secondary: &UdpSocket, before: u32) -> u32 {
    let mut buffer = [0; 1500];
    let heard = async {
        loop {
            let (length, from) = secondary.recv_from(&mut buffer).await.expect("a datagram");
            let mut reply = buffer[..length].to_vec();
            assert_eq!(reply[2] & 0x78, 0x20, "opcode NOTIFY");
            // The SOA ends with its serial and four more numbers.
            let end = reply.len() - 20;
            let serial = u32::from_be_bytes(reply[end..end + 4].try_into().expect("four octets"));
            reply[2] |= 0x80;
            secondary.send_to(&reply, from).await.expect("sent");
            // The catalog is told too.
            if reply[12..].starts_with(b"\x07example\x04test\0") && serial > before {
                return serial;
            }
        }
    };
    tokio::time::timeout(LIMIT, heard).await.expect("never notified")
}

/// A number as the saved file has it: seven bits in an octet, the lowest first.
fn varint(number: u32) -> Vec<u8> {
    let last = |at: &u32| number >> (7 * at) >= 0x80;
    let more = (0..5).take_while(last).map(|at| (number >> (7 * at)) as u8 | 0x80);
    let mut octets: Vec<u8> = more.collect();
    octets.push((number >> (7 * octets.len())) as u8);
    octets
}

/// One record, and enough beside it that a difference is less than the zone.
fn records(address: &str) -> Value {
    let text = "x".repeat(200);
    json!([{"name": "w", "type": "A", "data": [address]}, {"name": "t", "type": "TXT", "data": [text, format!("{text}y")]}])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_given_to_who_has_the_key_and_its_serials_outlive_a_restart() {
    let mut federation = Federation::new(0).await;
    let secondary = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let transfer = json!({
        "keys": [{"name": "transfer.key", "secretRef": {"namespace": "shop", "name": "tsig"}}],
        "allow": [{"networks": ["127.0.0.0/8"], "key": "transfer.key"}],
        "notify": [{"address": secondary.local_addr().expect("an address").to_string()}],
        "catalog": "catalog.test",
    });
    let spec = json!({"spec": {"records": records("192.0.2.1"), "transfer": transfer}});
    federation.patch(API, "DNSZone", None, "zone", spec).await;
    federation.start();
    let zones = objects(&federation.host, API, "DNSZone", None);
    let condition = async || {
        federation
            .condition(&zones, "zone", "TransferReady")
            .await
            .unwrap_or_default()
    };
    eventually("the missing key is told", async || {
        let (status, reason, message) = condition().await;
        status == "False" && reason == "KeyUnusable" && message.contains("Secret shop/tsig is not there; make it")
    })
    .await;
    let first = notified(&secondary, 0).await;
    assert_eq!(shown(&federation).await, first, "answers show it before it is told");
    if let Some(output) = dig(federation.dns, Some(SECRET), "example.test AXFR").await {
        assert!(!output.contains("192.0.2.1"), "the key is not known yet: {output}");
    }
    let secret = json!({"metadata": {"name": "tsig"}, "data": {"secret": k8s_openapi::ByteString(SECRET.into())}});
    federation.apply("v1", "Secret", Some("shop"), secret).await;
    eventually("the key is known", async || condition().await.0 == "True").await;
    for (key, asked, expected) in [
        (Some(SECRET), "example.test AXFR", Some("192.0.2.1")),
        (Some(SECRET), "catalog.test AXFR", Some("example.test.")),
        (Some("d3Jvbmc="), "example.test AXFR", None),
        (None, "example.test AXFR", None),
        (None, "catalog.test SOA", None),
    ] {
        let Some(output) = dig(federation.dns, key, asked).await else {
            continue;
        };
        let given = output.contains("192.0.2.1") || output.contains("version.catalog.test.");
        assert_eq!(given, expected.is_some(), "{asked}: {output}");
        assert!(expected.is_none_or(|part| output.contains(part)), "{asked}: {output}");
    }
    // A change is a version, told when answers show it.
    federation
        .patch(
            API,
            "DNSZone",
            None,
            "zone",
            json!({"spec": {"records": records("192.0.2.2")}}),
        )
        .await;
    let second = notified(&secondary, first).await;
    assert!(second > first);
    assert_eq!(shown(&federation).await, second);
    if let Some(output) = dig(federation.dns, Some(SECRET), &format!("example.test IXFR={first}")).await {
        assert!(
            output.contains("192.0.2.1") && output.contains("192.0.2.2"),
            "a difference: {output}"
        );
    }
    // After a crash, with no file of its own, it goes on with the stream that is on the host.
    federation.kill();
    let _ = std::fs::remove_file(federation.snapshot());
    federation.start();
    eventually("the same serial", async || shown(&federation).await == second).await;
    federation
        .patch(
            API,
            "DNSZone",
            None,
            "zone",
            json!({"spec": {"records": records("192.0.2.3")}}),
        )
        .await;
    let third = notified(&secondary, second).await;
    if let Some(output) = dig(federation.dns, Some(SECRET), &format!("example.test IXFR={first}")).await {
        assert!(
            output.contains("192.0.2.1") && output.contains("192.0.2.3"),
            "its history is there: {output}"
        );
    }
    // Without its host it shows what it has, and refuses what it would have to make up.
    eventually("it is saved", async || {
        let saved = std::fs::read(federation.snapshot()).unwrap_or_default();
        let has = |part: &[u8]| saved.windows(part.len()).any(|window| window == part);
        has(&varint(third)) && !has(b"catalog")
    })
    .await;
    federation.kill();
    federation.lose_host();
    federation.start();
    eventually("the serial of the file", async || shown(&federation).await == third).await;
    if let Some(output) = dig(federation.dns, Some(SECRET), "example.test AXFR").await {
        assert!(!output.contains("192.0.2.3"), "{output}");
    }
}
