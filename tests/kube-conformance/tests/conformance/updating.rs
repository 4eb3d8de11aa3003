//! update: versions, generations, and what must not change.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, ingress, service, text, uid, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "an update replaces the object and gives it a new version",
        "kubernetes.io/docs/reference/using-api/api-concepts/#update-mechanism-update",
        [],
        replaces
    ),
    case!(
        "an update from a stale version is a conflict",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions and kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        conflict
    ),
    case!(
        "an update without a version overwrites where the kind allows it",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        without_version
    ),
    case!(
        "an update of what is not there is not found",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        missing
    ),
    case!(
        "the name in the body must be that of the path",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        other_name
    ),
    case!(
        "an update with another uid is a conflict",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        other_uid
    ),
    case!(
        "uid and creation time stay, whatever an update says",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        system_fields
    ),
    case!(
        "a change of the spec raises the generation",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        generation
    ),
    case!(
        "a change of the metadata leaves the generation",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        metadata_only
    ),
    case!(
        "an update of the whole leaves the status",
        "kubernetes.io/docs/concepts/overview/working-with-objects/#object-spec-and-status",
        [],
        status_stays
    ),
    case!(
        "a dry run of an update answers and keeps nothing",
        "kubernetes.io/docs/reference/using-api/api-concepts/#dry-run",
        [],
        dry_run
    ),
    case!(
        "an immutable ConfigMap stays as it is",
        "kubernetes.io/docs/concepts/configuration/configmap/#configmap-immutable",
        [],
        immutable_map
    ),
    case!(
        "an immutable Secret stays as it is, and so does a Secret's type",
        "kubernetes.io/docs/concepts/configuration/secret/#secret-immutable",
        [],
        immutable_secret
    ),
];

async fn map(c: &Case) -> Value {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created()
}

async fn replaces(c: Case) {
    let mut object = map(&c).await;
    let before = version(&object);
    object["data"] = json!({"other": "2"});
    let after = c.api.put(&c.core("configmaps/map"), &object).await.ok();
    assert_eq!(after["data"], json!({"other": "2"}), "what is left out is gone");
    assert_ne!(version(&after), before);
    assert_eq!(c.api.get(&c.core("configmaps/map")).await.ok(), after);
}

async fn conflict(c: Case) {
    let old = map(&c).await;
    let mut new = old.clone();
    new["data"] = json!({"a": "1"});
    c.api.put(&c.core("configmaps/map"), &new).await.ok();
    let mut stale = old;
    stale["data"] = json!({"a": "2"});
    let status = c
        .api
        .put(&c.core("configmaps/map"), &stale)
        .await
        .refused(409, "Conflict");
    assert_eq!(
        (&status["details"]["name"], &status["details"]["kind"]),
        (&json!("map"), &json!("configmaps"))
    );
    assert!(
        text(&status["message"]).contains("the object has been modified"),
        "{status}"
    );
    assert_eq!(
        c.api.get(&c.core("configmaps/map")).await.ok()["data"],
        json!({"a": "1"})
    );
}

async fn without_version(c: Case) {
    map(&c).await;
    let mut object = config_map("map");
    object["data"] = json!({"a": "1"});
    let after = c.api.put(&c.core("configmaps/map"), &object).await.ok();
    assert_eq!(after["data"], json!({"a": "1"}));
    // A Service is updated from where it is known to be, for its addresses are allotted.
    let web = c.api.post(&c.core("services"), service("web")).await.created();
    let after = c.api.put(&c.core("services/web"), &service("web")).await.ok();
    assert_eq!(
        after["spec"]["clusterIP"], web["spec"]["clusterIP"],
        "an address left out is kept"
    );
}

async fn missing(c: Case) {
    let status = c
        .api
        .put(&c.core("configmaps/map"), &config_map("map"))
        .await
        .refused(404, "NotFound");
    assert_eq!(status["details"]["name"], "map");
}

async fn other_name(c: Case) {
    let mut object = map(&c).await;
    object["metadata"]["name"] = json!("other");
    c.api
        .put(&c.core("configmaps/map"), &object)
        .await
        .refused(400, "BadRequest");
}

async fn other_uid(c: Case) {
    let mut object = map(&c).await;
    object["metadata"]["uid"] = json!("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    let status = c
        .api
        .put(&c.core("configmaps/map"), &object)
        .await
        .refused(409, "Conflict");
    assert!(text(&status["message"]).contains("UID"), "{status}");
}

async fn system_fields(c: Case) {
    let made = map(&c).await;
    let mut object = config_map("map");
    object["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    object["data"] = json!({"a": "1"});
    let after = c.api.put(&c.core("configmaps/map"), &object).await.ok();
    assert_eq!(uid(&after), uid(&made));
    assert_eq!(
        after["metadata"]["creationTimestamp"],
        made["metadata"]["creationTimestamp"]
    );
}

async fn generation(c: Case) {
    let (path, mut web) = ingress(&c).await;
    assert_eq!(web["metadata"]["generation"], 1);
    web["metadata"]["resourceVersion"] = Value::Null;
    web["spec"]["defaultBackend"]["service"]["port"]["number"] = json!(81);
    let after = c.api.put(&path, &web).await.ok();
    assert_eq!(after["metadata"]["generation"], 2);
    let same = c.api.put(&path, &web).await.ok();
    assert_eq!(same["metadata"]["generation"], 2, "nothing changed");
}

async fn metadata_only(c: Case) {
    let (path, _) = ingress(&c).await;
    let patch = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}});
    let after = c.api.merge(&path, patch).await.ok();
    assert_eq!(after["metadata"]["generation"], 1);
}

async fn status_stays(c: Case) {
    let web = c.api.post(&c.core("services"), service("web")).await.created();
    let status = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    let mut written = web.clone();
    written["metadata"]["resourceVersion"] = Value::Null;
    written["status"] = status;
    written["metadata"]["labels"] = json!({"a": "b"});
    let after = c.api.put(&c.core("services/web"), &written).await.ok();
    assert_eq!(after["status"], json!({"loadBalancer": {}}));
    assert_eq!(after["metadata"]["labels"], json!({"a": "b"}));
}

async fn dry_run(c: Case) {
    let mut object = map(&c).await;
    let before = version(&object);
    object["data"] = json!({"a": "1"});
    let answer = c.api.put(&c.core("configmaps/map?dryRun=All"), &object).await.ok();
    assert_eq!(answer["data"], json!({"a": "1"}));
    let found = c.api.get(&c.core("configmaps/map")).await.ok();
    assert_eq!((version(&found), &found["data"]), (before, &json!({"key": "value"})));
}

async fn immutable_map(c: Case) {
    map(&c).await;
    c.api
        .merge(&c.core("configmaps/map"), json!({"immutable": true}))
        .await
        .ok();
    c.api
        .merge(&c.core("configmaps/map"), json!({"data": {"key": "other"}}))
        .await
        .invalid("data");
    c.api
        .merge(&c.core("configmaps/map"), json!({"immutable": false}))
        .await
        .invalid("immutable");
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    c.api.merge(&c.core("configmaps/map"), labels).await.ok();
}

async fn immutable_secret(c: Case) {
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}, "immutable": true});
    let made = c.api.post(&c.core("secrets"), secret).await.created();
    assert_eq!(made["data"], json!({"k": "dg=="}), "text becomes data");
    assert!(made["stringData"].is_null(), "{made}");
    c.api
        .merge(&c.core("secrets/s"), json!({"stringData": {"k": "w"}}))
        .await
        .invalid("data");
    let other = json!({"metadata": {"name": "t"}});
    c.api.post(&c.core("secrets"), other).await.created();
    c.api
        .merge(&c.core("secrets/t"), json!({"type": "example.com/other"}))
        .await
        .invalid("type");
}
