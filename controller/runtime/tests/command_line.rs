//! What a person meets at the command line: one clear sentence and the promised exit codes.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn meridian(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_port_in_use_is_one_sentence_and_exit_code_1() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("an address").to_string();
    let output = meridian(&["demo", "--dns", &address]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(&address) && text.contains("--dns"), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
}

#[test]
fn a_load_balancer_address_in_use_is_one_sentence_and_exit_code_1() {
    let _taken = TcpListener::bind("127.79.10.1:8080").expect("a free address");
    let output = meridian(&["demo", "--dns", "127.0.0.1:0", "--load-balancers", "127.79.0.0"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains("127.79.10.1:8080") && text.contains("--load-balancers"),
        "{text}"
    );
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [
        &["demo", "--dns", "nonsense"][..],
        &["demo", "--load-balancers", "10.0.0.1"],
        &["demo", "--nonsense"],
        &["nonsense"],
        &[],
    ] {
        let output = meridian(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).is_empty());
    }
}

#[test]
fn a_host_that_does_not_answer_is_one_sentence_and_exit_code_1() {
    let output = meridian(&["run", "--dns", "127.0.0.1:0", "--kubeconfig", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent"), "{}", stderr(&output));
}

#[test]
fn crd_prints_every_definition() {
    let output = meridian(&["crd"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("text");
    for name in [
        "clusters.meridian.dev",
        "dnszones.meridian.dev",
        "dnsroutes.meridian.dev",
        "routingpolicies.meridian.dev",
        "federatedservices.types.meridian.dev",
    ] {
        assert!(text.contains(&format!("name: {name}")), "{name} is missing");
    }
}

/// Ctrl-C ends the demo with exit code 0 and leaves nothing that listens.
#[test]
fn an_interrupt_stops_the_demo_cleanly() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["demo", "--dns", "127.0.0.1:0", "--load-balancers", "127.80.0.0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the demo starts");
    let mut lines = BufReader::new(demo.stdout.take().expect("its output")).lines();
    let started = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.starts_with("Changes, as they happen"));
    assert!(started, "the demo ended before it was up");
    let sent = Command::new("kill")
        .args(["-INT", &demo.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(sent.success());
    let started = Instant::now();
    let status = loop {
        match demo.try_wait().expect("its state") {
            Some(status) => break status,
            None if started.elapsed() > Duration::from_secs(20) => {
                demo.kill().expect("it can be killed");
                panic!("an interrupt did not end the demo");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert_eq!(status.code(), Some(0));
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(rest.iter().any(|line| line == "Stopping."), "{rest:?}");
    TcpListener::bind("127.80.10.1:8080").expect("its load balancers are closed");
}
