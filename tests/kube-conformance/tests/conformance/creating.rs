//! create: what the server adds, what it refuses, and dry runs.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, deployment, service, text, uid, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a created object gets uid, version and time",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        metadata
    ),
    case!(
        "what the client says of system fields is not believed",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        system_fields
    ),
    case!(
        "a resourceVersion has no place in a create",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions",
        [],
        version_at_create
    ),
    case!(
        "an object that exists already is told by name",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        exists
    ),
    case!(
        "generateName makes a name with a suffix",
        "kubernetes.io/docs/reference/using-api/api-concepts/#generated-values",
        [],
        generate_name
    ),
    case!(
        "an object without any name is invalid",
        "kubernetes.io/docs/concepts/overview/working-with-objects/names/",
        [],
        no_name
    ),
    case!(
        "a name must be a DNS subdomain",
        "kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names",
        [],
        bad_name
    ),
    case!(
        "the name of a Service must be a label of RFC 1035 or 1123",
        "kubernetes.io/docs/concepts/services-networking/service/#defining-a-service",
        [],
        service_name
    ),
    case!(
        "labels and annotations have a syntax",
        "kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set",
        [],
        label_syntax
    ),
    case!(
        "the namespace in the body must be that of the path",
        "kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/",
        [],
        other_namespace
    ),
    case!(
        "the kind in the body must be that of the path",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        other_kind
    ),
    case!(
        "nothing is created in a namespace that is not there",
        "kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/",
        [],
        no_namespace
    ),
    case!(
        "the generation of a new object is 1 where the kind counts it",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System",
        [],
        generation
    ),
    case!(
        "a status in a create is dropped where there is a subresource for it",
        "kubernetes.io/docs/concepts/overview/working-with-objects/#object-spec-and-status",
        [],
        status_dropped
    ),
    case!(
        "a create is recorded under its field manager",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#managers",
        [],
        field_manager
    ),
];

async fn metadata(c: Case) {
    let made = c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    version(&made);
    assert_eq!(uid(&made).len(), 36, "{made}");
    let time = text(&made["metadata"]["creationTimestamp"]);
    assert!(time.len() == 20 && time.ends_with('Z'), "RFC 3339 in seconds: {time}");
    assert_eq!(made["metadata"]["namespace"], c.namespace.as_str());
}

async fn system_fields(c: Case) {
    let mut map = config_map("map");
    map["metadata"]["uid"] = json!("not-mine");
    map["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    map["metadata"]["deletionTimestamp"] = json!("2001-01-01T00:00:00Z");
    let made = c.api.post(&c.core("configmaps"), map).await.created();
    assert_ne!(made["metadata"]["uid"], "not-mine");
    assert_ne!(made["metadata"]["creationTimestamp"], "2001-01-01T00:00:00Z");
    assert!(made["metadata"]["deletionTimestamp"].is_null(), "{made}");
}

async fn version_at_create(c: Case) {
    let mut map = config_map("map");
    map["metadata"]["resourceVersion"] = json!("12");
    let answer = c.api.post(&c.core("configmaps"), map).await;
    // "resourceVersion should not be set on objects to be created"
    assert_eq!(answer.code, 500, "{}", answer.body);
    assert!(
        text(&answer.body["message"]).contains("resourceVersion"),
        "{}",
        answer.body
    );
    c.api.get(&c.core("configmaps/map")).await.refused(404, "NotFound");
}

async fn exists(c: Case) {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let status = c
        .api
        .post(&c.core("configmaps"), config_map("map"))
        .await
        .refused(409, "AlreadyExists");
    assert_eq!(status["details"]["name"], "map");
    assert_eq!(status["details"]["kind"], "configmaps");
    assert_eq!(status["message"], "configmaps \"map\" already exists");
}

async fn generate_name(c: Case) {
    let mut made = Vec::new();
    for _ in 0..3 {
        let map = json!({"metadata": {"generateName": "made-"}});
        let map = c.api.post(&c.core("configmaps"), map).await.created();
        let name = text(&map["metadata"]["name"]);
        assert!(name.starts_with("made-") && name.len() == "made-".len() + 5, "{name}");
        assert_eq!(map["metadata"]["generateName"], "made-");
        made.push(name);
    }
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 3);
    let both = json!({"metadata": {"name": "given", "generateName": "made-"}});
    let both = c.api.post(&c.core("configmaps"), both).await.created();
    assert_eq!(both["metadata"]["name"], "given", "a name that is given is kept");
}

async fn no_name(c: Case) {
    let status = c
        .api
        .post(&c.core("configmaps"), json!({"data": {}}))
        .await
        .invalid("metadata.name");
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueRequired");
}

async fn bad_name(c: Case) {
    for name in [
        "Upper",
        "under_score",
        "-first",
        "last-",
        "a..b",
        "a/b",
        &"x".repeat(254),
    ] {
        let status = c
            .api
            .post(&c.core("configmaps"), config_map(name))
            .await
            .invalid("metadata.name");
        assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueInvalid", "{name}");
    }
    for name in ["a.b", "0", "a-0.b-1", &"x".repeat(253)] {
        c.api.post(&c.core("configmaps"), config_map(name)).await.created();
    }
}

async fn service_name(c: Case) {
    for name in ["a.b", &"x".repeat(64)] {
        c.api
            .post(&c.core("services"), service(name))
            .await
            .invalid("metadata.name");
    }
    c.api
        .post(&c.core("services"), service(&"x".repeat(63)))
        .await
        .created();
}

async fn label_syntax(c: Case) {
    for (labels, field) in [
        (json!({"a": "not a value"}), "metadata.labels"),
        (json!({"a": "x".repeat(64)}), "metadata.labels"),
        (json!({"no good": "a"}), "metadata.labels"),
        (json!({"a/b/c": "a"}), "metadata.labels"),
        (json!({"UPPER.example.com/a": "a"}), "metadata.labels"),
    ] {
        let mut map = config_map("map");
        map["metadata"]["labels"] = labels;
        c.api.post(&c.core("configmaps"), map).await.invalid(field);
    }
    let mut map = config_map("map");
    map["metadata"]["annotations"] = json!({"not a key": "a"});
    c.api
        .post(&c.core("configmaps"), map)
        .await
        .invalid("metadata.annotations");
    let mut map = config_map("map");
    map["metadata"]["labels"] = json!({"example.com/A_b.c-d": "", "x": "A_b.c-d"});
    map["metadata"]["annotations"] = json!({"x": "anything, at all\n"});
    c.api.post(&c.core("configmaps"), map).await.created();
}

async fn other_namespace(c: Case) {
    let mut map = config_map("map");
    map["metadata"]["namespace"] = json!("default");
    c.api.post(&c.core("configmaps"), map).await.refused(400, "BadRequest");
}

async fn other_kind(c: Case) {
    let answer = c.api.post(&c.core("configmaps"), service("web")).await;
    answer.refused(400, "BadRequest");
    let mut map = config_map("map");
    map["apiVersion"] = json!("apps/v1");
    c.api.post(&c.core("configmaps"), map).await.refused(400, "BadRequest");
}

async fn no_namespace(c: Case) {
    let path = "/api/v1/namespaces/no-such-namespace/configmaps";
    let status = c.api.post(path, config_map("map")).await.refused(404, "NotFound");
    assert_eq!(
        (&status["details"]["kind"], &status["details"]["name"]),
        (&json!("namespaces"), &json!("no-such-namespace"))
    );
}

async fn generation(c: Case) {
    let made = c
        .api
        .post(&c.apps("deployments"), deployment(&c, "web", 0))
        .await
        .created();
    assert_eq!(made["metadata"]["generation"], 1);
    let map = c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    assert_eq!(
        map["metadata"]["generation"],
        Value::Null,
        "what has no status has nothing to observe"
    );
}

async fn status_dropped(c: Case) {
    let mut web = deployment(&c, "web", 0);
    web["status"] = json!({"replicas": 7, "observedGeneration": 9});
    let made = c.api.post(&c.apps("deployments"), web).await.created();
    assert_eq!(made["status"], json!({}));
    let mut web = service("web");
    web["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    let made = c.api.post(&c.core("services"), web).await.created();
    assert_eq!(made["status"], json!({"loadBalancer": {}}));
}

async fn field_manager(c: Case) {
    let made = c
        .api
        .post(&c.core("configmaps?fieldManager=somebody"), config_map("map"))
        .await
        .created();
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["manager"], &entry["operation"]),
        (&json!("somebody"), &json!("Update"))
    );
    assert_eq!(
        (&entry["apiVersion"], &entry["fieldsType"]),
        (&json!("v1"), &json!("FieldsV1"))
    );
    assert_eq!(entry["fieldsV1"]["f:data"]["f:key"], json!({}), "{entry}");
}
