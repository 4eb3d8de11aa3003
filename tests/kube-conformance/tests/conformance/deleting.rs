//! delete: finalizers, preconditions, policies and collections.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, labelled, names, service, text, uid, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a deletion answers with a Status that names what is gone",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        answers
    ),
    case!(
        "what was deleted is not found, and its name is free",
        "kubernetes.io/docs/concepts/overview/working-with-objects/names/#uids",
        [],
        name_is_free
    ),
    case!(
        "a deletion of what is not there is not found",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        missing
    ),
    case!(
        "a precondition on the uid holds or is a conflict",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/",
        [],
        uid_precondition
    ),
    case!(
        "a precondition on the version holds or is a conflict",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/",
        [],
        version_precondition
    ),
    case!(
        "a dry run of a deletion deletes nothing",
        "kubernetes.io/docs/reference/using-api/api-concepts/#dry-run",
        [],
        dry_run
    ),
    case!(
        "options of a deletion may stand in the query",
        "kubernetes.io/docs/reference/kubernetes-api/common-parameters/common-parameters/#propagationPolicy",
        [],
        query_options
    ),
    case!(
        "a propagation policy that is not known is refused",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/",
        [],
        bad_policy
    ),
    case!(
        "foreground deletion waits with a finalizer",
        "kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion",
        [],
        foreground
    ),
    case!(
        "orphaning waits with a finalizer",
        "kubernetes.io/docs/concepts/architecture/garbage-collection/#orphaned-dependents",
        [],
        orphan
    ),
    case!(
        "a collection is deleted at once",
        "kubernetes.io/docs/reference/using-api/api-concepts/#collections and kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/config-map-v1/",
        [],
        collection
    ),
    case!(
        "a collection is deleted as far as the selector finds",
        "kubernetes.io/docs/reference/kubernetes-api/common-parameters/common-parameters/#labelSelector",
        [],
        collection_selector
    ),
    case!(
        "objects of a deleted collection with finalizers wait",
        "kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/",
        [],
        collection_finalizers
    ),
];

async fn answers(c: Case) {
    let made = c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let status = c.api.delete(&c.core("configmaps/map"), Value::Null).await.ok();
    assert_eq!(
        (&status["kind"], &status["status"]),
        (&json!("Status"), &json!("Success"))
    );
    assert_eq!(status["details"]["name"], "map");
    assert_eq!(status["details"]["kind"], "configmaps");
    assert_eq!(text(&status["details"]["uid"]), uid(&made));
}

async fn name_is_free(c: Case) {
    let first = c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    c.api.delete(&c.core("configmaps/map"), Value::Null).await.ok();
    c.api.get(&c.core("configmaps/map")).await.refused(404, "NotFound");
    let second = c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    assert_ne!(uid(&first), uid(&second));
}

async fn missing(c: Case) {
    c.api
        .delete(&c.core("configmaps/map"), Value::Null)
        .await
        .refused(404, "NotFound");
    c.api
        .delete(&c.core("configmaps/map"), json!({"propagationPolicy": "Foreground"}))
        .await
        .refused(404, "NotFound");
}

pub(crate) async fn held(c: &Case) -> Value {
    let mut map = config_map("map");
    map["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    c.api.post(&c.core("configmaps"), map).await.created()
}

pub(crate) async fn let_go(c: &Case) {
    c.api
        .merge(&c.core("configmaps/map"), json!({"metadata": {"finalizers": null}}))
        .await
        .ok();
}

async fn uid_precondition(c: Case) {
    let made = c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let with = |uid: &str| json!({"preconditions": {"uid": uid}});
    let other = with("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    c.api
        .delete(&c.core("configmaps/map"), other)
        .await
        .refused(409, "Conflict");
    c.api.get(&c.core("configmaps/map")).await.ok();
    c.api.delete(&c.core("configmaps/map"), with(&uid(&made))).await.ok();
}

async fn version_precondition(c: Case) {
    let old = c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let new = c
        .api
        .merge(&c.core("configmaps/map"), json!({"data": {"a": "1"}}))
        .await
        .ok();
    let with = |object: &Value| json!({"preconditions": {"resourceVersion": version(object)}});
    c.api
        .delete(&c.core("configmaps/map"), with(&old))
        .await
        .refused(409, "Conflict");
    c.api.delete(&c.core("configmaps/map"), with(&new)).await.ok();
}

async fn dry_run(c: Case) {
    let made = c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    c.api
        .delete(&c.core("configmaps/map?dryRun=All"), Value::Null)
        .await
        .ok();
    c.api
        .delete(&c.core("configmaps/map"), json!({"dryRun": ["All"]}))
        .await
        .ok();
    assert_eq!(c.api.get(&c.core("configmaps/map")).await.ok(), made);
}

async fn query_options(c: Case) {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    c.api
        .delete(&c.core("configmaps/map?propagationPolicy=Foreground"), Value::Null)
        .await
        .ok();
    let found = c.api.get(&c.core("configmaps/map")).await;
    // A collector may have been quick.
    if found.code == 200 {
        assert_eq!(found.body["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    } else {
        found.refused(404, "NotFound");
    }
}

async fn bad_policy(c: Case) {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let bad = json!({"propagationPolicy": "Sideways"});
    c.api
        .delete(&c.core("configmaps/map"), bad)
        .await
        .refused(422, "Invalid");
    let both = json!({"propagationPolicy": "Background", "orphanDependents": true});
    c.api
        .delete(&c.core("configmaps/map"), both)
        .await
        .refused(422, "Invalid");
}

/// Deletes with a policy while another finalizer keeps the object to be looked at.
async fn policy(c: &Case, policy: &str) -> Value {
    held(c).await;
    let marked = c
        .api
        .delete(&c.core("configmaps/map"), json!({"propagationPolicy": policy}))
        .await
        .ok();
    let_go(c).await;
    marked["metadata"].clone()
}

async fn foreground(c: Case) {
    let marked = policy(&c, "Foreground").await;
    assert!(
        marked["finalizers"].to_string().contains("\"foregroundDeletion\""),
        "{marked}"
    );
    assert!(marked["deletionTimestamp"].is_string(), "{marked}");
}

async fn orphan(c: Case) {
    let marked = policy(&c, "Orphan").await;
    assert!(marked["finalizers"].to_string().contains("\"orphan\""), "{marked}");
    assert!(marked["deletionTimestamp"].is_string(), "{marked}");
}

async fn three(c: &Case) {
    for (name, labels) in [
        ("a", json!({"x": "1"})),
        ("b", json!({"x": "2"})),
        ("c", json!({"x": "1"})),
    ] {
        c.api.post(&c.core("secrets"), labelled(name, labels)).await.created();
    }
}

async fn collection(c: Case) {
    three(&c).await;
    c.api.post(&c.core("services"), service("web")).await.created();
    let answer = c.api.delete(&c.core("secrets"), Value::Null).await.ok();
    assert_eq!(names(&answer), ["a", "b", "c"], "the answer lists what was there");
    assert_eq!(names(&c.api.get(&c.core("secrets")).await.ok()), [""; 0]);
    c.api.get(&c.core("services/web")).await.ok();
}

async fn collection_selector(c: Case) {
    three(&c).await;
    c.api
        .delete(&c.core("secrets?labelSelector=x%3D1"), Value::Null)
        .await
        .ok();
    assert_eq!(names(&c.api.get(&c.core("secrets")).await.ok()), ["b"]);
    c.api
        .delete(&c.core("secrets?fieldSelector=metadata.name%3Db"), Value::Null)
        .await
        .ok();
    assert_eq!(names(&c.api.get(&c.core("secrets")).await.ok()), [""; 0]);
}

async fn collection_finalizers(c: Case) {
    three(&c).await;
    c.api
        .merge(
            &c.core("secrets/b"),
            json!({"metadata": {"finalizers": ["example.com/a"]}}),
        )
        .await
        .ok();
    c.api.delete(&c.core("secrets"), Value::Null).await.ok();
    let left = c.api.get(&c.core("secrets")).await.ok();
    assert_eq!(names(&left), ["b"]);
    assert!(left["items"][0]["metadata"]["deletionTimestamp"].is_string());
    c.api
        .merge(&c.core("secrets/b"), json!({"metadata": {"finalizers": null}}))
        .await
        .ok();
}
