//! Garbage collection: what follows an owner.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, labelled, text, uid};

pub(crate) const CASES: &[Row] = &[
    case!(
        "dependents go after their owner",
        "kubernetes.io/docs/concepts/architecture/garbage-collection/#background-deletion",
        [Controllers],
        background
    ),
    case!(
        "dependents of dependents go too",
        "kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion",
        [Controllers],
        chain
    ),
    case!(
        "in the foreground the owner goes after its dependents",
        "kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion",
        [Controllers],
        foreground
    ),
    case!(
        "in the foreground the owner waits for no dependent that does not block",
        "kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion",
        [Controllers],
        not_blocking
    ),
    case!(
        "orphans stay and lose their owner",
        "kubernetes.io/docs/concepts/architecture/garbage-collection/#orphaned-dependents",
        [Controllers],
        orphans
    ),
    case!(
        "an object with another owner stays and loses the one",
        "kubernetes.io/docs/concepts/architecture/garbage-collection/#owners-dependents",
        [Controllers],
        two_owners
    ),
    case!(
        "an owner of another uid is no owner",
        "kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/#owner-references-in-object-specifications",
        [Controllers],
        other_uid
    ),
    case!(
        "an owner must be named by kind, name and uid",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#ObjectMeta",
        [],
        malformed_owner
    ),
    case!(
        "an object has one controller at most",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#ObjectMeta",
        [],
        two_controllers
    ),
];

async fn owner(c: &Case, name: &str) -> Value {
    c.api.post(&c.core("configmaps"), config_map(name)).await.created()
}

fn reference(owner: &Value, blocks: bool) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": uid(owner), "blockOwnerDeletion": blocks})
}

async fn dependent(c: &Case, name: &str, owners: Value) -> Value {
    let mut object = labelled(name, json!({}));
    object["metadata"]["ownerReferences"] = owners;
    c.api.post(&c.core("secrets"), object).await.created()
}

async fn background(c: Case) {
    let owner = owner(&c, "owner").await;
    dependent(&c, "a", json!([reference(&owner, false)])).await;
    dependent(&c, "b", json!([reference(&owner, true)])).await;
    c.api
        .post(&c.core("secrets"), labelled("stays", json!({})))
        .await
        .created();
    c.api
        .delete(&c.core("configmaps/owner"), json!({"propagationPolicy": "Background"}))
        .await
        .ok();
    c.api.get(&c.core("configmaps/owner")).await.refused(404, "NotFound");
    c.api.until_gone(&c.core("secrets"), "a").await;
    c.api.until_gone(&c.core("secrets"), "b").await;
    c.api.get(&c.core("secrets/stays")).await.ok();
}

async fn chain(c: Case) {
    let first = owner(&c, "owner").await;
    let mut second = config_map("second");
    second["metadata"]["ownerReferences"] = json!([reference(&first, false)]);
    let second = c.api.post(&c.core("configmaps"), second).await.created();
    dependent(&c, "third", json!([reference(&second, false)])).await;
    c.api.delete(&c.core("configmaps/owner"), Value::Null).await.ok();
    c.api.until_gone(&c.core("secrets"), "third").await;
    c.api.get(&c.core("configmaps/second")).await.refused(404, "NotFound");
}

async fn foreground(c: Case) {
    let owner = owner(&c, "owner").await;
    let mut held = labelled("held", json!({}));
    held["metadata"]["ownerReferences"] = json!([reference(&owner, true)]);
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    c.api.post(&c.core("secrets"), held).await.created();
    c.api
        .delete(&c.core("configmaps/owner"), json!({"propagationPolicy": "Foreground"}))
        .await
        .ok();
    let marked = |object: &Value| object["metadata"]["deletionTimestamp"].is_string();
    c.api.until(&c.core("secrets"), "held", "marked", marked).await;
    let waiting = c.api.get(&c.core("configmaps/owner")).await.ok();
    assert_eq!(waiting["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    c.api
        .merge(&c.core("secrets/held"), json!({"metadata": {"finalizers": null}}))
        .await
        .ok();
    c.api.until_gone(&c.core("configmaps"), "owner").await;
    c.api.get(&c.core("secrets/held")).await.refused(404, "NotFound");
}

async fn not_blocking(c: Case) {
    let owner = owner(&c, "owner").await;
    let mut held = labelled("held", json!({}));
    held["metadata"]["ownerReferences"] = json!([reference(&owner, false)]);
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    c.api.post(&c.core("secrets"), held).await.created();
    c.api
        .delete(&c.core("configmaps/owner"), json!({"propagationPolicy": "Foreground"}))
        .await
        .ok();
    c.api.until_gone(&c.core("configmaps"), "owner").await;
    c.api
        .merge(&c.core("secrets/held"), json!({"metadata": {"finalizers": null}}))
        .await;
    c.api.until_gone(&c.core("secrets"), "held").await;
}

async fn orphans(c: Case) {
    let owner = owner(&c, "owner").await;
    dependent(&c, "a", json!([reference(&owner, false)])).await;
    c.api
        .delete(&c.core("configmaps/owner"), json!({"propagationPolicy": "Orphan"}))
        .await
        .ok();
    c.api.until_gone(&c.core("configmaps"), "owner").await;
    let left = c.api.get(&c.core("secrets/a")).await.ok();
    assert!(left["metadata"]["ownerReferences"].is_null(), "{left}");
}

async fn two_owners(c: Case) {
    let (first, second) = (owner(&c, "first").await, owner(&c, "second").await);
    dependent(&c, "a", json!([reference(&first, false), reference(&second, false)])).await;
    c.api.delete(&c.core("configmaps/first"), Value::Null).await.ok();
    let one_left = |object: &Value| {
        object["metadata"]["ownerReferences"]
            .as_array()
            .is_some_and(|owners| owners.len() == 1)
    };
    let left = c.api.until(&c.core("secrets"), "a", "owned by one", one_left).await;
    assert_eq!(text(&left["metadata"]["ownerReferences"][0]["name"]), "second");
    c.api.delete(&c.core("configmaps/second"), Value::Null).await.ok();
    c.api.until_gone(&c.core("secrets"), "a").await;
}

async fn other_uid(c: Case) {
    let owner = owner(&c, "owner").await;
    let mut other = reference(&owner, false);
    other["uid"] = json!("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    dependent(&c, "a", json!([other])).await;
    c.api.until_gone(&c.core("secrets"), "a").await;
    c.api.get(&c.core("configmaps/owner")).await.ok();
}

async fn malformed_owner(c: Case) {
    for (field, value) in [("name", ""), ("uid", ""), ("kind", ""), ("apiVersion", "")] {
        let mut owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "y"});
        owner[field] = json!(value);
        let mut object = labelled("a", json!({}));
        object["metadata"]["ownerReferences"] = json!([owner]);
        let status = c.api.post(&c.core("secrets"), object).await.refused(422, "Invalid");
        let named = text(&status["details"]["causes"][0]["field"]);
        assert!(named.starts_with("metadata.ownerReferences"), "{field}: {named}");
    }
}

async fn two_controllers(c: Case) {
    let (first, second) = (owner(&c, "first").await, owner(&c, "second").await);
    let (mut a, mut b) = (reference(&first, false), reference(&second, false));
    a["controller"] = json!(true);
    b["controller"] = json!(true);
    let mut object = labelled("a", json!({}));
    object["metadata"]["ownerReferences"] = json!([a, b]);
    c.api
        .post(&c.core("secrets"), object.clone())
        .await
        .invalid("metadata.ownerReferences");
    object["metadata"]["ownerReferences"][1]["controller"] = json!(false);
    c.api.post(&c.core("secrets"), object).await.created();
}
