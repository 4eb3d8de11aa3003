//! get and list: selectors, pages and versions.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::json;

use crate::shared::{Case, config_map, labelled, names, pod, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "an object is read as it was written, with kind and apiVersion",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        get
    ),
    case!(
        "an object that is not there is not found, by name and kind",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        not_found
    ),
    case!(
        "an object in a namespace that is not there is not found",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        no_namespace
    ),
    case!(
        "a list has the kind of its items, which leave theirs out, and a version",
        "kubernetes.io/docs/reference/using-api/api-concepts/#collections",
        [],
        list
    ),
    case!(
        "a list is sorted by name within a namespace",
        "kubernetes.io/docs/reference/using-api/api-concepts/#collections",
        [],
        order
    ),
    case!(
        "a list over all namespaces has the objects of each",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        all_namespaces
    ),
    case!(
        "label selectors by equality",
        "kubernetes.io/docs/concepts/overview/working-with-objects/labels/#equality-based-requirement",
        [],
        label_equality
    ),
    case!(
        "label selectors by sets",
        "kubernetes.io/docs/concepts/overview/working-with-objects/labels/#set-based-requirement",
        [],
        label_sets
    ),
    case!(
        "a selector that cannot be parsed is a bad request",
        "kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api",
        [],
        bad_selector
    ),
    case!(
        "field selectors by name and namespace",
        "kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/",
        [],
        field_name
    ),
    case!(
        "field selectors of pods by phase, node and service account",
        "kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/#list-of-supported-fields",
        [],
        field_pods
    ),
    case!(
        "field selectors of events by the object they are about",
        "kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/#list-of-supported-fields",
        [],
        field_events
    ),
    case!(
        "a field selector that the kind does not support is a bad request",
        "kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/#supported-fields",
        [],
        bad_field
    ),
];

async fn get(c: Case) {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let found = c.api.get(&c.core("configmaps/map")).await.ok();
    assert_eq!(
        (&found["kind"], &found["apiVersion"]),
        (&json!("ConfigMap"), &json!("v1"))
    );
    assert_eq!(found["data"], json!({"key": "value"}));
    assert_eq!(found["metadata"]["namespace"], c.namespace.as_str());
}

async fn not_found(c: Case) {
    let status = c.api.get(&c.apps("deployments/none")).await.refused(404, "NotFound");
    assert_eq!(
        status["details"],
        json!({"name": "none", "group": "apps", "kind": "deployments"})
    );
    assert_eq!(status["message"], "deployments.apps \"none\" not found");
}

async fn no_namespace(c: Case) {
    let status = c.api.get("/api/v1/namespaces/no-such-namespace/configmaps/none").await;
    assert_eq!(status.refused(404, "NotFound")["details"]["kind"], "configmaps");
    let list = c.api.get("/api/v1/namespaces/no-such-namespace/configmaps").await.ok();
    assert_eq!(list["items"], json!([]));
}

pub(crate) async fn some(c: &Case, names: &[&str]) {
    for name in names {
        c.api
            .post(&c.core("secrets"), labelled(name, json!({})))
            .await
            .created();
    }
}

async fn list(c: Case) {
    some(&c, &["one"]).await;
    let list = c.api.get(&c.core("secrets")).await.ok();
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("SecretList"), &json!("v1"))
    );
    version(&list);
    assert_eq!(names(&list), ["one"]);
    assert!(list["items"][0]["kind"].is_null(), "{list}");
}

async fn order(c: Case) {
    some(&c, &["b", "c", "a"]).await;
    assert_eq!(names(&c.api.get(&c.core("secrets")).await.ok()), ["a", "b", "c"]);
}

async fn all_namespaces(c: Case) {
    let other = c.unique("other");
    c.leaves(&format!("/api/v1/namespaces/{other}"));
    c.api
        .post("/api/v1/namespaces", json!({"metadata": {"name": other}}))
        .await
        .created();
    let name = c.unique("everywhere");
    let labels = json!({"found": name});
    for namespace in [&c.namespace, &other] {
        let path = format!("/api/v1/namespaces/{namespace}/secrets");
        c.api.post(&path, labelled("same", labels.clone())).await.created();
    }
    let list = c
        .api
        .get(&format!("/api/v1/secrets?labelSelector=found={name}"))
        .await
        .ok();
    assert_eq!(names(&list), ["same", "same"]);
}

/// Lists the secrets that a label selector finds.
async fn selected(c: &Case, selector: &str) -> Vec<String> {
    let path = c.core(&format!("secrets?labelSelector={selector}"));
    names(&c.api.get(&path).await.ok())
}

async fn labelled_three(c: &Case) {
    for (name, labels) in [
        ("a", json!({"tier": "front", "track": "stable"})),
        ("b", json!({"tier": "back"})),
        ("c", json!({})),
    ] {
        c.api.post(&c.core("secrets"), labelled(name, labels)).await.created();
    }
}

async fn label_equality(c: Case) {
    labelled_three(&c).await;
    assert_eq!(selected(&c, "tier%3Dfront").await, ["a"]);
    assert_eq!(selected(&c, "tier%3D%3Dback").await, ["b"]);
    assert_eq!(
        selected(&c, "tier!%3Dfront").await,
        ["b", "c"],
        "what has no such label is not equal to it"
    );
    assert_eq!(
        selected(&c, "tier%3Dfront,track%3Dstable").await,
        ["a"],
        "a comma is an and"
    );
    assert_eq!(selected(&c, "tier%3Dback,track%3Dstable").await, [""; 0]);
}

async fn label_sets(c: Case) {
    labelled_three(&c).await;
    assert_eq!(selected(&c, "tier%20in%20(front,back)").await, ["a", "b"]);
    assert_eq!(selected(&c, "tier%20notin%20(front)").await, ["b", "c"]);
    assert_eq!(selected(&c, "track").await, ["a"]);
    assert_eq!(selected(&c, "!track").await, ["b", "c"]);
    assert_eq!(selected(&c, "tier,!track").await, ["b"]);
}

async fn bad_selector(c: Case) {
    for selector in ["tier%20in%20front", "%3D%3D", "a%20b"] {
        let path = c.core(&format!("secrets?labelSelector={selector}"));
        c.api.get(&path).await.refused(400, "BadRequest");
    }
}

async fn field_name(c: Case) {
    some(&c, &["a", "b", "c"]).await;
    let found = c.api.get(&c.core("secrets?fieldSelector=metadata.name%3Db")).await.ok();
    assert_eq!(names(&found), ["b"]);
    let found = c
        .api
        .get(&c.core("secrets?fieldSelector=metadata.name!%3Db"))
        .await
        .ok();
    assert_eq!(names(&found), ["a", "c"]);
    let path = format!("/api/v1/secrets?fieldSelector=metadata.namespace%3D{}", c.namespace);
    assert_eq!(names(&c.api.get(&path).await.ok()), ["a", "b", "c"]);
}

async fn field_pods(c: Case) {
    c.until_pods_are_welcome().await;
    let mut held = pod(&c, "held");
    // Nobody's scheduler, so that nothing happens to it.
    held["spec"]["schedulerName"] = json!("nobody");
    held["spec"]["nodeSelector"] = json!({"conformance": "nowhere"});
    c.api.post(&c.core("pods"), held).await.created();
    let selected = async |selector: &str| {
        let path = c.core(&format!("pods?fieldSelector={selector}"));
        names(&c.api.get(&path).await.ok())
    };
    assert_eq!(selected("spec.schedulerName%3Dnobody").await, ["held"]);
    assert_eq!(selected("spec.restartPolicy%3DAlways").await, ["held"]);
    assert_eq!(selected("spec.restartPolicy%3DNever").await, [""; 0]);
    assert_eq!(selected("spec.nodeName%3Dno-such-node").await, [""; 0]);
    assert_eq!(selected("status.phase!%3DFailed,metadata.name%3Dheld").await, ["held"]);
    assert_eq!(selected("status.phase%3DFailed").await, [""; 0]);
}

async fn field_events(c: Case) {
    for (name, about) in [("one", "a"), ("two", "b")] {
        let event = json!({
            "metadata": {"name": name},
            "involvedObject": {"kind": "ConfigMap", "namespace": c.namespace, "name": about},
            "reason": "Seen",
            "type": "Normal",
        });
        c.api.post(&c.core("events"), event).await.created();
    }
    let path = c.core("events?fieldSelector=involvedObject.name%3Db,reason%3DSeen");
    assert_eq!(names(&c.api.get(&path).await.ok()), ["two"]);
    let path = c.core("events?fieldSelector=type%3DWarning");
    assert_eq!(names(&c.api.get(&path).await.ok()), [""; 0]);
}

async fn bad_field(c: Case) {
    c.api
        .get(&c.core("configmaps?fieldSelector=data.key%3Dvalue"))
        .await
        .refused(400, "BadRequest");
}
