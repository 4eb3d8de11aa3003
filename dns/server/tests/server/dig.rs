//! The server as other people's software sees it: `dig`, where it is installed.
//!
//! Our client and our server could share a misunderstanding of the format; BIND's tool does not.
//! Skipped, and said so, without it.

use std::net::SocketAddr;
use std::process::Command;

use crate::support::peer::run;
use crate::support::start;

/// `dig` with these arguments; `None` if there is no `dig`.
async fn dig(server: SocketAddr, arguments: &str) -> Option<String> {
    let mut command = Command::new("dig");
    command
        .arg("@127.0.0.1")
        .arg("-p")
        .arg(server.port().to_string())
        .args(["+tries=1", "+time=5"]);
    command.args(arguments.split(' '));
    let output = run(command).await?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn check(server: SocketAddr, arguments: &str, expected: &[&str]) {
    let Some(output) = dig(server, arguments).await else {
        return;
    };
    for part in expected {
        assert!(output.contains(part), "dig {arguments}: no {part:?} in\n{output}");
    }
    for complaint in [";; Warning", "malformed", ";; Got bad packet", "mismatch"] {
        assert!(
            !output.contains(complaint),
            "dig {arguments}: {complaint:?} in\n{output}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_understands_the_replies() {
    let (_server, address, _) = start().await;
    check(
        address,
        "+norec web.example.test A",
        &[
            "status: NOERROR",
            "flags: qr aa;",
            "10.1.0.1",
            "EDNS: version: 0, flags:; udp: 1232",
        ],
    )
    .await;
    check(address, "+norec +tcp web.example.test A", &["10.1.0.1", "(TCP)"]).await;
    check(
        address,
        "+norec +subnet=100.64.2.0/24 web.example.test",
        &["10.2.0.1", "CLIENT-SUBNET: 100.64.2.0/24/24"],
    )
    .await;
    check(
        address,
        "+norec +subnet=2001:db8:2::/56 web.example.test",
        &["10.2.0.1", "CLIENT-SUBNET: 2001:db8:2::/56/48"],
    )
    .await;
    check(address, "+norec +ignore many.example.test", &["flags: qr aa tc;"]).await;
    check(
        address,
        "+norec many.example.test",
        &["Truncated, retrying in TCP mode", "ANSWER: 100"],
    )
    .await;
    check(
        address,
        "+norec absent.example.test",
        &["status: NXDOMAIN", "SOA\tns1.example.test."],
    )
    .await;
    check(
        address,
        "+norec +edns=1 +noednsnegotiation web.example.test",
        &["status: BADVERS"],
    )
    .await;
    check(address, "+norec +noedns web.example.test", &["10.1.0.1"]).await;
    check(address, "+norec +opcode=status web.example.test", &["status: NOTIMP"]).await;
    check(
        address,
        "+norec version.bind CH TXT",
        &["status: NOERROR", "\"Meridian\""],
    )
    .await;
    check(address, "+norec id.server CH TXT", &["status: REFUSED", "EDE: 18"]).await;
    check(address, "+norec elsewhere.test", &["status: REFUSED", "EDE: 20"]).await;
    check(
        address,
        "+norec +nocomments _https._tcp.web.example.test SRV",
        &["0 1 443 own.example.test."],
    )
    .await;
}
