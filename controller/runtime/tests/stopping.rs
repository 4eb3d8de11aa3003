//! The end of `meridian run` at SIGTERM: readiness goes first, queries are answered while the notice lasts, then
//! the sockets close, and what was answered last is in the snapshot.

mod common;

use std::time::Instant;

use common::{Federation, LIMIT, eventually};
use meridian_dns_core::Outcome;
use serde_json::json;
use tokio::net::TcpStream;

const WEB: &str = "web.shop.prod.svc.example.test";
const LATE: &str = "late.shop.prod.svc.example.test";

async fn answers(federation: &Federation, name: &str) -> bool {
    let reply = federation.ask(name).await;
    reply.is_some_and(|reply| reply.outcome == Outcome::NoError)
}

#[tokio::test]
async fn readiness_goes_first_then_queries_then_sockets() {
    let mut federation = Federation::new(1).await;
    let everywhere = || json!({"clusterSelector": {}});
    federation
        .federate("FederatedNamespace", "shop", json!({"placement": everywhere()}))
        .await;
    federation.federate_service("web", everywhere()).await;
    // Far longer than what is done meanwhile takes.
    federation.start_with(&["--drain-notice", "8"]);
    eventually("web answers", async || answers(&federation, WEB).await).await;
    eventually("ready", async || federation.readiness().await == "200").await;

    federation.terminate();
    eventually("not ready", async || {
        assert!(answers(&federation, WEB).await, "before readiness is gone");
        federation.readiness().await == "503"
    })
    .await;
    for _ in 0..50 {
        assert!(answers(&federation, WEB).await, "during the notice");
    }
    TcpStream::connect(federation.dns)
        .await
        .expect("connections are welcome during the notice");
    assert_eq!(federation.readiness().await, "503");
    // What a cluster says is still followed: here a Service of its own, which nobody has to write there.
    let service = json!({
        "metadata": {"name": "late", "labels": {"meridian.dev/export": "true"}},
        "spec": {"type": "LoadBalancer", "selector": {"app": "late"}, "ports": [{"name": "http", "port": 80}]},
    });
    federation.create_service(0, service).await;
    eventually("late answers", async || answers(&federation, LATE).await).await;
    assert!(federation.ended().is_none(), "the notice is not over");

    let begun = Instant::now();
    let status = loop {
        match federation.ended() {
            Some(status) => break status,
            None => assert!(begun.elapsed() < LIMIT, "it never ended"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(status.code(), Some(0));
    assert!(
        TcpStream::connect(federation.dns).await.is_err(),
        "the sockets are closed"
    );
    assert!(federation.ask(WEB).await.is_none());
    assert_eq!(federation.readiness().await, "");
    let saved = std::fs::read(federation.snapshot()).expect("a snapshot");
    assert!(
        saved.windows(LATE.len()).any(|part| part == LATE.as_bytes()),
        "the last answers"
    );
}
