//! What is asked for often is signed before it is asked for again: for the next site, and with new keys.

use std::time::Duration;

use hickory_proto::op::Message;
use meridian_dns_core::Liveness;
use meridian_dns_core::dnssec::{Algorithm, Denial};
use meridian_dns_server::Signer;

use crate::support::packet::{Packet, exchange_udp};
use crate::support::signed::{Fleet, Role};
use crate::support::start_with;
use crate::support::verify::{now, verify};

/// 100.64.2.0/24, which is near `there`.
const NEAR_THERE: &[u8] = &[0, 8, 0, 7, 0, 1, 24, 0, 100, 64, 2];

const PAIR: [(Role, Algorithm); 2] = [(Role::Ksk, Algorithm::EcdsaP256), (Role::Zsk, Algorithm::EcdsaP256)];

/// SOA, NS, the name server's address and DNSKEY of two zones, and the addresses of `web` in two sites.
const ALL: u64 = 10;

async fn made(signer: &Signer, expected: u64) {
    let look = async {
        while signer.made() < expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), look).await;
    assert!(waited.is_ok(), "{} signatures instead of {expected}", signer.made());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_and_new_keys_find_their_signatures_made() {
    let fleet = Fleet::new(Denial::Compact, &PAIR);
    let signer = Signer::default();
    fleet.install(&signer);
    let shared = signer.clone();
    let (_server, address, table) = start_with(|config| config.signer = shared).await;
    table.store(fleet.snapshot(Liveness::Alive));
    let ask = async |fleet: &Fleet, expected: &str| {
        let packet = Packet {
            opt: Some((0, 1232, NEAR_THERE.to_vec())),
            ..Packet::ask_signed("web.example.test", 1)
        };
        // One in sixteen is noticed, and this is one.
        let reply = exchange_udp(address, &packet.bytes(16)).await.expect("a reply");
        let reply = Message::from_vec(&reply).expect("a well-formed reply");
        assert_eq!(reply.answers[0].data.to_string(), expected);
        let keys = fleet.keys.private();
        let zsk = keys.iter().find(|key| !key.public().secure_entry_point).expect("a key");
        assert_eq!(verify(&reply.answers, &[zsk.public().clone()], now()), 1);
    };
    ask(&fleet, "10.2.0.1").await;
    made(&signer, ALL).await;
    table.store(fleet.snapshot(Liveness::Dead));
    ask(&fleet, "10.1.0.1").await;
    assert_eq!(signer.made(), ALL, "the next site's was there");
    let next = Fleet::new(Denial::Compact, &PAIR);
    next.install(&signer);
    table.store(next.snapshot(Liveness::Alive));
    made(&signer, 2 * ALL).await;
    ask(&next, "10.2.0.1").await;
    table.store(next.snapshot(Liveness::Dead));
    ask(&next, "10.1.0.1").await;
    assert_eq!(signer.made(), 2 * ALL, "nobody asked, and they were there");
}
