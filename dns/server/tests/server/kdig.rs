//! The server as Knot's `kdig` sees it, which speaks every transport and shows every option.
//!
//! Skipped, and said so, where it is not installed.

use std::net::SocketAddr;
use std::process::Command;

use meridian_dns_server::{CertificateFiles, CookiePolicy, CookieSecret, Cookies, Listener, Protocol};

use crate::support::peer::told_by;
use crate::support::start_with;

async fn kdig(server: SocketAddr, arguments: &str) -> Option<String> {
    let mut command = Command::new("kdig");
    command.arg("@127.0.0.1").arg("-p").arg(server.port().to_string());
    command
        .args(["+retry=0", "+time=5", "+norec"])
        .args(arguments.split(' '));
    told_by(command).await
}

async fn check(server: SocketAddr, arguments: &str, expected: &[&str]) {
    let Some(output) = kdig(server, arguments).await else {
        return;
    };
    for part in expected {
        assert!(output.contains(part), "kdig {arguments}: no {part:?} in\n{output}");
    }
    // That it asks again, with a cookie or over TCP, is what is wanted.
    let mut complaints = output.lines().filter(|line| !line.contains(", retrying "));
    let complaint =
        complaints.find(|line| line.contains(";; WARNING") || line.contains(";; ERROR") || line.contains("malformed"));
    assert_eq!(complaint, None, "kdig {arguments}:\n{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kdig_understands_every_transport_and_option() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    std::fs::write(&chain, made.cert.pem()).expect("written");
    let (server, plain, _) = start_with(|config| {
        for protocol in [Protocol::Tls, Protocol::Https, Protocol::Quic] {
            let address = SocketAddr::from(([127, 0, 0, 1], 0));
            config.listeners.push(Listener::new(address, protocol));
        }
        config.certificate = Some(CertificateFiles::new(&chain, &key));
        config.settings.identity.server = Some(b"tpe1".to_vec());
        config.settings.cookies = Some(Cookies {
            current: CookieSecret::new([1; 16]),
            previous: None,
            policy: CookiePolicy::Require,
        });
    })
    .await;
    let [_, tls, https, quic] = server.addresses() else {
        panic!("four listeners");
    };
    let question = "web.example.test A";
    check(plain, question, &["status: NOERROR", "10.1.0.1", "(UDP)"]).await;
    check(
        plain,
        &format!("+tcp +keepopen {question} {question}"),
        &["10.1.0.1", "(TCP)"],
    )
    .await;
    check(plain, &format!("+nsid {question}"), &["NSID:", "tpe1"]).await;
    // It comes back with the cookie after BADCOOKIE.
    check(
        plain,
        &format!("+cookie +badcookie {question}"),
        &["COOKIE:", "status: NOERROR", "10.1.0.1"],
    )
    .await;
    check(
        plain,
        &format!("+subnet=100.64.2.0/24 {question}"),
        &["10.2.0.1", "CLIENT-SUBNET: 100.64.2.0/24/24"],
    )
    .await;
    check(plain, "+bufsize=4096 many.example.test", &["(TCP)", "ANSWER: 100"]).await;
    check(plain, "+nsid elsewhere.test", &["status: REFUSED", "EDE: 20"]).await;
    check(plain, "-t TXT -c CH id.server", &["\"tpe1\""]).await;
    check(
        *tls,
        &format!("+tls {question}"),
        &["10.1.0.1", "TLS session", "PADDING"],
    )
    .await;
    check(
        *tls,
        &format!("+tls +keepopen {question} many.example.test A"),
        &["10.1.0.1", "ANSWER: 100"],
    )
    .await;
    check(
        *https,
        &format!("+https {question}"),
        &["10.1.0.1", "HTTP session", "status: 200"],
    )
    .await;
    check(
        *https,
        &format!("+https-get {question}"),
        &["10.1.0.1", "HTTP session", "status: 200"],
    )
    .await;
    check(*quic, &format!("+quic {question}"), &["10.1.0.1", "QUIC session"]).await;
}
