//! The signed zone as users see it: through Unbound, a resolver that validates and sends Client Subnet.
//!
//! It knows a trust anchor and where our server is, and nothing else; the AD flag of its replies is its
//! verdict. Skipped, and said so, where it is not installed.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use meridian_dns_core::Liveness;
use meridian_dns_core::dnssec::{Algorithm, Denial};
use tempfile::TempDir;

use crate::support::packet::{LIMIT, Packet, exchange_udp};
use crate::support::signed::{Fleet, Role};

/// The resolver; ends with the test.
struct Unbound {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(directory: &str, port: u16, server: SocketAddr, fleet: &Fleet) -> String {
    let anchors = fleet.keys.anchors().into_iter().map(|(algorithm, key)| {
        let zone = fleet.keys.zone.as_str();
        format!("  trust-anchor: \"{zone}. DNSKEY 257 3 {algorithm} {key}\"\n")
    });
    let anchors: String = anchors.collect();
    let stubs = ["example.test", "safe.example.test", "bare.example.test"]
        .map(|zone| format!("stub-zone:\n  name: {zone}\n  stub-addr: 127.0.0.1@{}\n", server.port()));
    format!(
        "server:
  interface: 127.0.0.1
  port: {port}
  directory: \"{directory}\"
  chroot: \"\"
  username: \"\"
  pidfile: \"\"
  use-syslog: no
  logfile: \"\"
  do-ip6: no
  do-not-query-localhost: no
  # `test` is nobody's, for Unbound.
  local-zone: \"test.\" nodefault
  module-config: \"subnetcache validator iterator\"
  send-client-subnet: 127.0.0.1
  client-subnet-always-forward: yes
  # Every algorithm of the keys must sign.
  harden-algo-downgrade: yes
  val-log-level: 2
{anchors}remote-control:
  control-enable: no
{}",
        stubs.concat()
    )
}

impl Unbound {
    /// `None` if there is no Unbound.
    async fn start(server: SocketAddr, fleet: &Fleet) -> Option<Self> {
        // Somebody may take the port before Unbound does.
        for _ in 0..5 {
            let directory = tempfile::tempdir().expect("a directory");
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let address = socket.local_addr().expect("an address");
            drop(socket);
            let file = directory.path().join("unbound.conf");
            let text = configuration(&directory.path().display().to_string(), address.port(), server, fleet);
            std::fs::write(&file, text).expect("written");
            let mut command = Command::new("unbound");
            command.arg("-d").arg("-p").arg("-c").arg(&file);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let child = match command.spawn() {
                Ok(child) => child,
                Err(error) if std::env::var_os("MERIDIAN_PEERS").is_some() => {
                    panic!("MERIDIAN_PEERS is set, but unbound does not run: {error}")
                }
                Err(_) => {
                    println!("skipped: no `unbound` on the PATH");
                    return None;
                }
            };
            let mut unbound = Self {
                child,
                address,
                _directory: directory,
            };
            if unbound.answers().await {
                return Some(unbound);
            }
        }
        panic!("unbound ends at its start")
    }

    /// Waits until it does; false if it has ended.
    async fn answers(&mut self) -> bool {
        let packet = Packet::ask_signed("example.test", 6).bytes(1);
        let end = tokio::time::Instant::now() + 4 * LIMIT;
        while tokio::time::Instant::now() < end {
            if self.child.try_wait().expect("a child").is_some() {
                return false;
            }
            let asked = tokio::time::timeout(Duration::from_millis(500), exchange_udp(self.address, &packet));
            if matches!(asked.await, Ok(Some(_))) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("unbound does not answer")
    }

    async fn ask(&self, name: &'static str, record_type: u16, subnet: Option<[u8; 3]>) -> Message {
        let option = subnet.map(|[a, b, c]| vec![0, 8, 0, 7, 0, 1, 24, 0, a, b, c]);
        let packet = Packet {
            opt: Some((0, 1232, option.unwrap_or_default())),
            ..Packet::ask_signed(name, record_type)
        };
        let reply = exchange_udp(self.address, &packet.bytes(2)).await.expect("a reply");
        Message::from_vec(&reply).expect("a well-formed reply")
    }

    /// Response code, verdict, and the data of the answer besides signatures.
    async fn check(&self, question: (&'static str, u16), subnet: Option<[u8; 3]>, expected: Expected) {
        let reply = self.ask(question.0, question.1, subnet).await;
        let is_data = |record: &&hickory_proto::rr::Record| u16::from(record.record_type()) != 46;
        let data: Vec<_> = reply
            .answers
            .iter()
            .filter(is_data)
            .map(|record| record.data.to_string())
            .collect();
        let found = (
            reply.metadata.response_code,
            reply.metadata.authentic_data,
            data.last().map(String::as_str),
        );
        // Data that the wire library does not write readably is only counted.
        let (code, secure, last) = expected;
        let told = found.2.map(|told| if last == Some("") { "" } else { told });
        assert_eq!((found.0, found.1, told), (code, secure, last), "{question:?}:\n{reply}");
    }
}

/// Response code, AD, the last data of the answer; empty for any data.
type Expected = (ResponseCode, bool, Option<&'static str>);

const GOOD: ResponseCode = ResponseCode::NoError;

async fn validates(denial: Denial, roles: &[(Role, Algorithm)]) {
    let fleet = Fleet::new(denial, roles);
    let (_server, address, table) = fleet.start().await;
    let Some(unbound) = Unbound::start(address, &fleet).await else {
        return;
    };
    let absent = if denial == Denial::Compact {
        GOOD
    } else {
        ResponseCode::NXDomain
    };
    for (question, expected) in [
        (("example.test", 6), (GOOD, true, Some(""))),
        (("example.test", 2), (GOOD, true, Some("ns1.example.test."))),
        (("example.test", 48), (GOOD, true, Some(""))),
        (("example.test", 59), (GOOD, true, Some(""))),
        (("web.example.test", 1), (GOOD, true, Some("10.1.0.1"))),
        (
            ("_https._tcp.web.example.test", 33),
            (GOOD, true, Some("0 1 443 own.example.test.")),
        ),
        (("mail.example.test", 15), (GOOD, true, Some("10 own.example.test."))),
        (("mail.example.test", 16), (GOOD, true, Some(""))),
        (("caa.example.test", 257), (GOOD, true, Some(""))),
        (("ptr.example.test", 12), (GOOD, true, Some(""))),
        (("tlsa.example.test", 52), (GOOD, true, Some(""))),
        (("naptr.example.test", 35), (GOOD, true, Some(""))),
        (("svcb.example.test", 64), (GOOD, true, Some(""))),
        (("odd.example.test", 65_280), (GOOD, true, Some(""))),
        (("host.example.test", 28), (GOOD, true, Some("2001:db8::1"))),
        (("host.example.test", 255), (GOOD, true, Some(""))),
        (("x.wild.example.test", 1), (GOOD, true, Some("192.0.2.4"))),
        (("alias.example.test", 1), (GOOD, true, Some("10.1.0.1"))),
        (("x.tree.example.test", 1), (GOOD, true, Some("192.0.2.4"))),
        (("www.safe.example.test", 1), (GOOD, true, Some("192.0.2.9"))),
        (("inside.example.test", 1), (GOOD, true, Some("192.0.2.9"))),
        // The parent proves that there is no DS.
        (("www.bare.example.test", 1), (GOOD, false, Some("192.0.2.9"))),
        (("outside.example.test", 1), (GOOD, false, Some("192.0.2.9"))),
        (("web.example.test", 28), (GOOD, true, None)),
        (("host.example.test", 16), (GOOD, true, None)),
        (("under.nothing.example.test", 1), (GOOD, true, None)),
        (("x.wild.example.test", 15), (GOOD, true, None)),
        (("bare.example.test", 43), (GOOD, true, None)),
        (("absent.example.test", 1), (absent, true, None)),
        (("a.b.absent.example.test", 1), (absent, true, None)),
        (("absent.safe.example.test", 1), (absent, true, None)),
        (
            ("dangling.example.test", 1),
            (absent, true, Some("absent.example.test.")),
        ),
    ] {
        unbound.check(question, None, expected).await;
    }
    // Each network gets its own site's answer, and both are signed.
    for (subnet, address) in [([100, 64, 1], "10.1.0.1"), ([100, 64, 2], "10.2.0.1")] {
        let expected = (GOOD, true, Some(address));
        unbound.check(("web.example.test", 1), Some(subnet), expected).await;
    }
    // While a name is degraded its TTL is half of what is signed.
    table.store(fleet.snapshot(Liveness::Dead));
    let reply = unbound.ask("some.example.test", 1, None).await;
    assert!(reply.metadata.authentic_data, "{reply}");
    assert_eq!(reply.answers[0].ttl, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_validates_compact_denials_and_ecdsa() {
    let pair = [(Role::Ksk, Algorithm::EcdsaP256), (Role::Zsk, Algorithm::EcdsaP256)];
    validates(Denial::Compact, &pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_validates_hashed_denials_and_ed25519() {
    validates(Denial::Nsec3, &[(Role::Csk, Algorithm::Ed25519)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_validates_while_two_pairs_sign() {
    let pairs = [
        (Role::Ksk, Algorithm::EcdsaP256),
        (Role::Zsk, Algorithm::EcdsaP256),
        (Role::Ksk, Algorithm::EcdsaP256),
        (Role::Zsk, Algorithm::EcdsaP256),
    ];
    validates(Denial::Compact, &pairs).await;
    let algorithms = [(Role::Csk, Algorithm::EcdsaP256), (Role::Csk, Algorithm::Ed25519)];
    validates(Denial::Nsec3, &algorithms).await;
}
