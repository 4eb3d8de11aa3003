//! What happens to a federation when something goes wrong, with `meridian run` as users run it.
//!
//! Each scenario belongs to one invariant of the architecture, named in its comment.

mod common;

use common::{Federation, eventually, objects};
use meridian_dns_core::Outcome;
use meridian_simcluster::proxy::Fault;
use serde_json::json;

fn everywhere() -> serde_json::Value {
    json!({"clusterSelector": {}})
}

async fn with_namespace(members: usize) -> Federation {
    let federation = Federation::new(members).await;
    federation
        .federate("FederatedNamespace", "shop", json!({"placement": everywhere()}))
        .await;
    federation
}

/// A running federation that has brought `web` to both of its members.
async fn with_web_in_two_members() -> Federation {
    let mut federation = with_namespace(2).await;
    federation.federate_service("web", everywhere()).await;
    federation.start();
    for member in [0, 1] {
        eventually("web in each member", async || {
            federation.service_names(member).await == ["web"]
        })
        .await;
    }
    federation
}

/// The inventory is durable: a controller that was away deletes what an earlier one put there.
#[tokio::test]
async fn a_deletion_while_the_controller_is_away_is_carried_out_when_it_is_back() {
    let mut federation = with_web_in_two_members().await;
    federation.kill();
    federation.delete_federated("FederatedService", "web").await;
    assert!(
        federation
            .federated("FederatedService")
            .get_opt("web")
            .await
            .expect("an answer")
            .is_some(),
        "the finalizer holds it"
    );
    federation.start();
    for member in [0, 1] {
        eventually("web gone", async || federation.service_names(member).await.is_empty()).await;
    }
    eventually("the federated object gone", async || {
        federation
            .federated("FederatedService")
            .get_opt("web")
            .await
            .expect("an answer")
            .is_none()
    })
    .await;
}

/// One cluster cannot hurt another; deletion is bounded and says whom it waits for.
#[tokio::test]
async fn an_unreachable_member_delays_only_itself() {
    let federation = with_web_in_two_members().await;
    federation.members[1].proxy.set(Fault::Hang);
    let clusters = objects(&federation.host, "meridian.dev/v1alpha1", "Cluster", None);
    eventually("b is offline", async || {
        federation
            .condition(&clusters, "b", "Offline")
            .await
            .is_some_and(|(status, ..)| status == "True")
    })
    .await;
    federation.federate_service("api", everywhere()).await;
    eventually("api in the reachable member", async || {
        federation.service_names(0).await == ["api", "web"]
    })
    .await;
    federation.delete_federated("FederatedService", "web").await;
    eventually("web gone from the reachable member", async || {
        federation.service_names(0).await == ["api"]
    })
    .await;
    let services = federation.federated("FederatedService");
    eventually("the condition names who is waited for", async || {
        let condition = federation.condition(&services, "web", "Propagation").await;
        condition.is_some_and(|(status, reason, message)| {
            status == "False" && reason == "Deleting" && message.contains("b (ClusterNotReady)")
        })
    })
    .await;
    assert_eq!(federation.service_names(1).await, ["web"]);
    federation.members[1].proxy.set(Fault::None);
    eventually("the rest follows", async || {
        federation.service_names(1).await == ["api"] && services.get_opt("web").await.expect("an answer").is_none()
    })
    .await;
}

/// Unknown is not empty: before every member was listed, a name that is not known may exist.
#[tokio::test]
async fn names_not_known_get_servfail_until_every_member_was_listed() {
    let mut federation = with_namespace(2).await;
    federation.federate_service("web", everywhere()).await;
    federation.members[1].proxy.set(Fault::Refuse);
    federation.start();
    let outcome = async |name: &str| federation.ask(name).await.map(|reply| reply.outcome);
    eventually("web is known from a", async || {
        outcome("web.shop.prod.svc.example.test").await == Some(Outcome::NoError)
    })
    .await;
    assert_eq!(
        outcome("other.shop.prod.svc.example.test").await,
        Some(Outcome::ServFail)
    );
    assert_eq!(
        outcome("web.shop.prod.svc.region-b.example.test").await,
        Some(Outcome::ServFail)
    );
    federation.members[1].proxy.set(Fault::None);
    eventually("b was listed", async || {
        outcome("other.shop.prod.svc.example.test").await == Some(Outcome::NxDomain)
    })
    .await;
    eventually("b's names", async || {
        outcome("web.shop.prod.svc.region-b.example.test").await == Some(Outcome::NoError)
    })
    .await;
}

/// A plan that would delete more than its limit is refused and reported, until an operator confirms it.
#[tokio::test]
async fn a_label_change_that_would_empty_a_member_is_held_until_confirmed() {
    let mut federation = with_namespace(1).await;
    let names: Vec<String> = (10..25).map(|number| format!("service-{number}")).collect();
    for name in &names {
        federation
            .federate_service(name, json!({"clusterSelector": {"matchLabels": {"tier": "prod"}}}))
            .await;
    }
    federation.start();
    eventually("all are there", async || federation.service_names(0).await == names).await;
    let tier = |tier: &str| json!({"metadata": {"labels": {"tier": tier}}});
    federation
        .patch("meridian.dev/v1alpha1", "Cluster", None, "a", tier("test"))
        .await;
    let services = federation.federated("FederatedService");
    eventually("the refusal is reported", async || {
        let condition = federation.condition(&services, "service-10", "Propagation").await;
        condition.is_some_and(|(status, _, message)| status == "False" && message.contains("DeletionLimit"))
    })
    .await;
    assert_eq!(federation.service_names(0).await, names);
    let confirm = json!({"metadata": {"annotations": {"meridian.dev/confirm-deletions": "15"}}});
    federation
        .patch("meridian.dev/v1alpha1", "Cluster", None, "a", confirm)
        .await;
    eventually("confirmed, they go", async || {
        federation.service_names(0).await.is_empty()
    })
    .await;
}

/// Touch only what is ours: an object that was there before is left alone, and adopted only when asked.
#[tokio::test]
async fn an_object_that_was_there_before_is_adopted_only_when_asked_and_never_deleted() {
    let mut federation = Federation::new(1).await;
    let member = &federation.members[0].client;
    let namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}})).expect("an object");
    objects(member, "v1", "Namespace", None)
        .create(&Default::default(), &namespace)
        .await
        .expect("created");
    federation
        .federate("FederatedNamespace", "shop", json!({"placement": everywhere()}))
        .await;
    federation.start();
    let namespaces = federation.federated("FederatedNamespace");
    eventually("the refusal is reported", async || {
        let condition = federation.condition(&namespaces, "shop", "Propagation").await;
        condition.is_some_and(|(status, _, message)| status == "False" && message.contains("AlreadyExists"))
    })
    .await;
    let adopt = json!({"metadata": {"annotations": {"meridian.dev/adopt": "true"}}});
    federation
        .patch(
            "types.meridian.dev/v1alpha1",
            "FederatedNamespace",
            Some("shop"),
            "shop",
            adopt,
        )
        .await;
    eventually("adopted", async || {
        federation
            .condition(&namespaces, "shop", "Propagation")
            .await
            .is_some_and(|(status, ..)| status == "True")
    })
    .await;
    federation.delete_federated("FederatedNamespace", "shop").await;
    eventually("released", async || {
        namespaces.get_opt("shop").await.expect("an answer").is_none()
    })
    .await;
    let left = objects(member_of(&federation), "v1", "Namespace", None)
        .get("shop")
        .await
        .expect("it is still there");
    assert!(left.metadata.deletion_timestamp.is_none());
    assert!(
        !left
            .metadata
            .labels
            .unwrap_or_default()
            .contains_key("meridian.dev/managed")
    );
}

fn member_of(federation: &Federation) -> &kube::Client {
    &federation.members[0].client
}

/// Bad input never loses what was good: the last good version stays in use and the object says what is wrong.
#[tokio::test]
async fn a_network_that_is_none_is_said_and_the_last_good_one_stays() {
    let mut federation = with_namespace(2).await;
    let networks = |network: &str| json!({"spec": {"networks": [network]}});
    federation
        .patch("meridian.dev/v1alpha1", "Cluster", None, "b", networks("192.0.2.0/24"))
        .await;
    federation.start();
    let clusters = objects(&federation.host, "meridian.dev/v1alpha1", "Cluster", None);
    let accepted = async || federation.condition(&clusters, "b", "Accepted").await;
    eventually("accepted", async || {
        accepted().await.is_some_and(|(status, ..)| status == "True")
    })
    .await;
    // The schema admits it: four groups of digits, none of them in range.
    federation
        .patch("meridian.dev/v1alpha1", "Cluster", None, "b", networks("999.0.2.0/24"))
        .await;
    eventually("refused by name", async || {
        accepted()
            .await
            .is_some_and(|(status, _, message)| status == "False" && message.contains("spec.networks[0]"))
    })
    .await;
    federation
        .patch("meridian.dev/v1alpha1", "Cluster", None, "b", networks("192.0.2.0/25"))
        .await;
    eventually("accepted again", async || {
        accepted().await.is_some_and(|(status, ..)| status == "True")
    })
    .await;
}

/// A zone's own records stand beside the names of services; a bad one is said and changes nothing.
#[tokio::test]
async fn static_records_are_served_beside_services_and_a_bad_one_changes_nothing() {
    let mut federation = with_namespace(1).await;
    federation.federate_service("web", everywhere()).await;
    let patch = async |federation: &Federation, spec: serde_json::Value| {
        let spec = json!({"spec": spec});
        federation
            .patch("meridian.dev/v1alpha1", "DNSZone", None, "zone", spec)
            .await;
    };
    let records = json!([
        {"name": "@", "type": "MX", "data": ["10 mail"]},
        {"name": "mail", "type": "A", "ttl": 300, "data": ["192.0.2.25"]},
        {"name": "*.pages", "type": "CNAME", "data": ["mail"]},
    ]);
    let zone_file = "$TTL 120\ntext TXT \"one\" \"two\"\nchild NS ns.child\nns.child A 192.0.2.53\n";
    patch(&federation, json!({"records": records, "zoneFile": zone_file})).await;
    federation.start();
    let lines = async |name: &str, record_type: &str| {
        let reply = federation.ask_for(name, record_type).await?;
        let sections = [&reply.answers, &reply.authorities, &reply.additionals];
        let sets = sections.into_iter().flatten();
        Some((reply.outcome, sets.map(ToString::to_string).collect::<Vec<_>>()))
    };
    let mail = "mail.example.test. 300 IN A 192.0.2.25";
    for (name, record_type, expected) in [
        (
            "example.test",
            "MX",
            vec!["example.test. 30 IN MX 10 mail.example.test.", mail],
        ),
        (
            "a.pages.example.test",
            "A",
            vec!["a.pages.example.test. 30 IN CNAME mail.example.test.", mail],
        ),
        (
            "text.example.test",
            "TXT",
            vec!["text.example.test. 120 IN TXT \"one\" \"two\""],
        ),
        (
            "www.child.example.test",
            "A",
            vec![
                "child.example.test. 120 IN NS ns.child.example.test.",
                "ns.child.example.test. 120 IN A 192.0.2.53",
            ],
        ),
    ] {
        let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
        eventually(name, async || {
            lines(name, record_type).await == Some((Outcome::NoError, expected.clone()))
        })
        .await;
    }
    eventually("the service beside them", async || {
        let reply = federation.ask("web.shop.prod.svc.example.test").await;
        reply.is_some_and(|reply| reply.outcome == Outcome::NoError)
    })
    .await;
    patch(
        &federation,
        json!({"records": [{"name": "mail", "type": "A", "data": ["nonsense"]}]}),
    )
    .await;
    let zones = objects(&federation.host, "meridian.dev/v1alpha1", "DNSZone", None);
    eventually("refused by name", async || {
        let condition = federation.condition(&zones, "zone", "Accepted").await;
        condition.is_some_and(|(status, _, message)| status == "False" && message.contains("spec.records[0]"))
    })
    .await;
    let kept = lines("mail.example.test", "A").await;
    assert_eq!(kept, Some((Outcome::NoError, vec![mail.to_owned()])));
    patch(&federation, json!({"records": [], "zoneFile": null})).await;
    eventually("gone", async || {
        let reply = federation.ask("mail.example.test").await;
        reply.is_some_and(|reply| reply.outcome == Outcome::NxDomain)
    })
    .await;
}
