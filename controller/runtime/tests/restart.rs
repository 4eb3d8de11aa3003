//! A restart of `meridian run` without its host: what was saved answers, and what cannot be used is refused.

mod common;

use common::{Federation, eventually};
use meridian_dns_core::Outcome;
use serde_json::json;

const WEB: &str = "web.shop.prod.svc.example.test";
const OTHER: &str = "other.shop.prod.svc.example.test";

async fn outcome(federation: &Federation, name: &str) -> Option<Outcome> {
    federation.ask(name).await.map(|reply| reply.outcome)
}

#[tokio::test]
async fn saved_names_answer_without_a_host_and_a_bad_file_makes_servfail() {
    let mut federation = Federation::new(1).await;
    let everywhere = || json!({"clusterSelector": {}});
    federation
        .federate("FederatedNamespace", "shop", json!({"placement": everywhere()}))
        .await;
    federation.federate_service("web", everywhere()).await;
    federation.start();
    eventually("web answers", async || {
        outcome(&federation, WEB).await == Some(Outcome::NoError)
            && outcome(&federation, OTHER).await == Some(Outcome::NxDomain)
    })
    .await;
    eventually("web is saved", async || {
        let file = std::fs::read(federation.snapshot()).unwrap_or_default();
        file.windows(WEB.len()).any(|part| part == WEB.as_bytes())
    })
    .await;
    federation.kill();

    federation.lose_host();
    federation.start();
    eventually("ready without a host", async || federation.readiness().await == "200").await;
    assert_eq!(outcome(&federation, WEB).await, Some(Outcome::NoError));
    assert_eq!(outcome(&federation, OTHER).await, Some(Outcome::ServFail));
    federation.kill();

    std::fs::write(federation.snapshot(), b"something else").expect("written");
    federation.start();
    eventually("an answer", async || outcome(&federation, WEB).await.is_some()).await;
    assert_eq!(outcome(&federation, WEB).await, Some(Outcome::ServFail));
    assert_eq!(federation.readiness().await, "503");
    assert!(federation.snapshot().with_extension("refused").exists());
    federation.kill();

    federation.find_host();
    federation.start();
    eventually("web answers again", async || {
        outcome(&federation, WEB).await == Some(Outcome::NoError) && federation.readiness().await == "200"
    })
    .await;
}
