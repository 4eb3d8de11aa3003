//! Policies as users write them, answered by `meridian run` and explained by `meridian explain`: what is
//! explained is what came over the wire.

mod common;
#[expect(dead_code, reason = "the reader's own tests need more kinds of data")]
#[path = "../../../dns/geo/tests/database/mod.rs"]
mod database;

use std::process::Command;

use common::{Federation, eventually, objects};
use database::{Data, map, mmdb};
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const HOST: &str = "shop.example.test";

async fn apply(client: &Client, version: &str, kind: &str, namespace: Option<&str>, mut object: Value) {
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
    objects(client, version, kind, namespace)
        .patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object))
        .await
        .unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
}

/// Clusters a, b and c serve `web` under 192.0.2.1, .2 and .3.
async fn serving() -> Federation {
    let federation = Federation::new(3).await;
    for (index, member) in federation.members.iter().enumerate() {
        let labels = json!({"meridian.dev/export": "true", "kubernetes.io/service-name": "web"});
        apply(
            &member.client,
            "v1",
            "Namespace",
            None,
            json!({"metadata": {"name": "shop"}}),
        )
        .await;
        let service = json!({
            "metadata": {"name": "web", "labels": labels},
            "spec": {"ports": [{"name": "http", "port": 80}], "externalIPs": [format!("192.0.2.{}", index + 1)]},
        });
        apply(&member.client, "v1", "Service", Some("shop"), service).await;
        let slice = json!({
            "metadata": {"name": "web-1", "labels": labels}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}],
        });
        apply(
            &member.client,
            "discovery.k8s.io/v1",
            "EndpointSlice",
            Some("shop"),
            slice,
        )
        .await;
    }
    federation
}

async fn policy(federation: &Federation, name: &str, spec: Value) {
    let object = json!({"metadata": {"name": name}, "spec": spec});
    federation
        .apply("meridian.dev/v1alpha1", "RoutingPolicy", Some("shop"), object)
        .await;
}

async fn route(federation: &Federation, fields: Value) {
    let mut spec = json!({"source": {"name": "web"}, "hostnames": [HOST]});
    for (field, value) in fields.as_object().expect("fields") {
        spec[field] = value.clone();
    }
    let object = json!({"metadata": {"name": "web"}, "spec": spec});
    federation
        .apply("meridian.dev/v1alpha1", "DNSRoute", Some("shop"), object)
        .await;
}

/// What `meridian explain` prints, and whether it succeeded.
async fn explain(federation: &Federation, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .arg("explain")
        .args(arguments)
        .arg("--kubeconfig")
        .arg(federation.host_kubeconfig());
    // The clusters run in this process.
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("it ran").expect("the binary runs");
    let text = if output.status.success() {
        output.stdout
    } else {
        output.stderr
    };
    (output.status.success(), String::from_utf8(text).expect("text"))
}

async fn explained(federation: &Federation, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.extend(["-o", "json"]);
    let (good, text) = explain(federation, &all).await;
    assert!(good, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

async fn lines(federation: &Federation, name: &str) -> Vec<String> {
    let reply = federation.ask(name).await;
    let answers = reply.into_iter().flat_map(|reply| reply.answers);
    answers.map(|set| set.to_string()).collect()
}

#[tokio::test]
async fn a_policy_is_answered_and_explained_and_a_fault_leaves_the_last_one() {
    let mut federation = serving().await;
    policy(
        &federation,
        "top",
        json!({"type": "Geo", "rules": [{"networks": ["127.0.0.0/8"], "policy": "order"}], "otherwise": {"site": "a"}}),
    )
    .await;
    policy(
        &federation,
        "order",
        json!({"type": "Failover", "branches": [{"site": "c"}, {"site": "b"}]}),
    )
    .await;
    route(&federation, json!({"policyRef": "top"})).await;
    federation.start();
    let expect = async |address: &str| {
        let expected = vec![format!("{HOST}. 30 IN A {address}")];
        eventually(address, async || lines(&federation, HOST).await == expected).await;
        let told = explained(&federation, &[HOST, "--from", "127.0.0.1"]).await;
        assert_eq!(told["answers"], json!(expected), "{told:#}");
        assert_eq!(
            (&told["outcome"], &told["warnings"]),
            (&json!("NOERROR"), &json!([])),
            "{told:#}"
        );
        told
    };
    let told = expect("192.0.2.3").await;
    assert_eq!((&told["ttl"], &told["scope"]), (&json!(30), &json!(8)));
    let candidates = told["candidates"].as_array().expect("candidates");
    let states: Vec<_> = candidates.iter().map(|one| (&one["site"], &one["state"])).collect();
    assert_eq!(
        json!(states),
        json!([["c", "chosen"], ["b", "inReserve"], ["a", "inReserve"]])
    );
    // Elsewhere another rule applies, also where a resolver tells of it.
    for from in [["--from", "203.0.113.9"], ["--ecs", "203.0.113.0/24"]] {
        let (good, text) = explain(&federation, &[&[HOST][..], &from].concat()).await;
        assert!(
            good && text.contains("policy top: no rule applies to a client of unknown place"),
            "{text}"
        );
        assert!(text.contains(&format!("\n  {HOST}. 30 IN A 192.0.2.1\n")), "{text}");
    }
    // Where a database has the client, as servers with that database would say.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("country.mmdb");
    let japan = map(&[("country_code", Data::Text("JP"))]);
    std::fs::write(&file, mmdb(&[("203.0.113.0/24", japan)])).expect("written");
    let file = file.to_str().expect("UTF-8");
    let (good, text) = explain(&federation, &[HOST, "--from", "203.0.113.9", "--geo-db", file]).await;
    let place = "client 203.0.113.9 is in 203.0.113.0/24, which the database has at country JP, continent AS";
    assert!(good && text.contains(place), "{text}");
    let (good, text) = explain(&federation, &[HOST, "--from", "203.0.113.9", "--geo-db", "/nowhere"]).await;
    assert!(!good && text.contains("/nowhere"), "{text}");
    // A drain is seen at once, with the object and the time that caused it as soon as it is written.
    federation
        .patch(
            "meridian.dev/v1alpha1",
            "Cluster",
            None,
            "c",
            json!({"spec": {"traffic": "Drained"}}),
        )
        .await;
    expect("192.0.2.2").await;
    eventually("the cause", async || {
        let (_, text) = explain(&federation, &[HOST, "--from", "127.0.0.1"]).await;
        text.contains("site c is passed over: drained by the operator\n      Cluster c: Drained=True since 20")
    })
    .await;
    // A circle, and a cluster that is not there: the last good routing stays, and the route says why.
    for (branch, reason) in [
        (
            json!({"policy": "top"}),
            "policies lead in a circle: top -> order -> top",
        ),
        (json!({"site": "atlantis"}), "there is no Cluster atlantis"),
    ] {
        policy(&federation, "order", json!({"type": "Failover", "branches": [branch]})).await;
        let routes = objects(&federation.host, "meridian.dev/v1alpha1", "DNSRoute", Some("shop"));
        eventually(reason, async || {
            let condition = federation.condition(&routes, "web", "PolicyResolved").await;
            condition.is_some_and(|(status, _, message)| status == "False" && message.contains(reason))
        })
        .await;
        assert_eq!(lines(&federation, HOST).await, [format!("{HOST}. 30 IN A 192.0.2.2")]);
        let told = explained(&federation, &[HOST, "--from", "127.0.0.1"]).await;
        assert!(
            told["warnings"][0].as_str().is_some_and(|text| text.contains(reason)),
            "{told:#}"
        );
    }
    policy(&federation, "order", json!({"type": "Manual", "sites": ["a"]})).await;
    expect("192.0.2.1").await;
    let policies = objects(&federation.host, "meridian.dev/v1alpha1", "RoutingPolicy", Some("shop"));
    eventually("accepted", async || {
        let condition = federation.condition(&policies, "order", "Accepted").await;
        condition.is_some_and(|(status, ..)| status == "True")
    })
    .await;
}

#[tokio::test]
async fn all_sites_take_turns_over_the_wire() {
    let mut federation = serving().await;
    route(&federation, json!({"policy": {"type": "RoundRobin"}})).await;
    federation.start();
    let first = async || {
        let reply = federation.ask(HOST).await?;
        let data = &reply.answers.first()?.data;
        (data.len() == 3).then(|| data[0].to_string())
    };
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    eventually("each of three first", async || {
        let told = first().await;
        seen.borrow_mut().extend(told);
        seen.borrow().len() == 3
    })
    .await;
}

#[tokio::test]
async fn explain_says_what_it_could_not_read_and_what_is_wrong_with_its_arguments() {
    let federation = serving().await;
    federation.members[1]
        .proxy
        .set(meridian_simcluster::proxy::Fault::Refuse);
    // What b alone may have is not known; what others have is.
    let told = explained(&federation, &["web.shop.prod.svc.example.test", "--from", "127.0.0.1"]).await;
    assert_eq!(told["outcome"], "NOERROR");
    let warning = told["warnings"][0].as_str().expect("a warning");
    assert!(warning.starts_with("cluster b cannot be read: "), "{warning}");
    let told = explained(
        &federation,
        &["other.shop.prod.svc.example.test", "--from", "127.0.0.1"],
    )
    .await;
    assert_eq!(told["outcome"], "SERVFAIL");
    let (good, text) = explain(&federation, &[HOST, "--from", "127.0.0.1", "--at-listener", "moon"]).await;
    assert!(
        !good && text.contains("--at-listener moon: the host has no Cluster of that name"),
        "{text}"
    );
    let told = explained(
        &federation,
        &[
            "WEB.shop.prod.svc.example.test",
            "--from",
            "127.0.0.1",
            "--at-listener",
            "c",
            "--type",
            "a",
        ],
    )
    .await;
    assert_eq!(told["candidates"][0]["site"], "c", "{told:#}");
    for wrong in [
        &[HOST][..],
        &[HOST, "--from", "nowhere"],
        &["a..b", "--from", "::1"],
        &[HOST, "--from", "::1", "--type", "X"],
    ] {
        let (good, text) = explain(&federation, wrong).await;
        assert!(!good && text.contains("Usage") || text.contains("--help"), "{text}");
    }
}
