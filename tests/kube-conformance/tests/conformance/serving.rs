//! How the objects of custom resources are served: tables, subresources, patches.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::custom::{TABLE, open};
use crate::definitions::{define, define_version, object_of, version_with};
use crate::shared::{Case, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "columns of a table come from the definition",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#additional-printer-columns",
        [],
        columns
    ),
    case!(
        "a kind without columns shows its age",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#additional-printer-columns",
        [],
        default_columns
    ),
    case!(
        "with a status subresource the two halves are written apart",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#status-subresource",
        [],
        status
    ),
    case!(
        "with a status subresource only the spec counts for the generation",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#status-subresource",
        [],
        status_generation
    ),
    case!(
        "without a status subresource the status is a field like others",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#status-subresource",
        [],
        no_status
    ),
    case!(
        "a scale subresource maps to the paths of the definition",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#scale-subresource",
        [],
        scale
    ),
    case!(
        "custom objects take merge, JSON and apply patches and no others",
        "kubernetes.io/docs/concepts/extend-kubernetes/api-extension/custom-resources/#common-features",
        [],
        patches
    ),
    case!(
        "metadata of custom objects is validated as any other",
        "kubernetes.io/docs/concepts/extend-kubernetes/api-extension/custom-resources/#common-features",
        [],
        metadata
    ),
    case!(
        "a defined kind is described in OpenAPI",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#publish-validation-schema-in-openapi",
        [],
        openapi
    ),
];

async fn columns(c: Case) {
    let mut version = version_with(open());
    version["additionalPrinterColumns"] = json!([
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "First", "type": "string", "jsonPath": ".spec.parts[0].name", "priority": 1, "description": "The first part."},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
    ]);
    let widgets = define_version(&c, version).await;
    let path = widgets.path(&c, "widgets");
    let mut object = widgets.object("a", json!({"size": 3, "parts": [{"name": "x"}, {"name": "y"}]}));
    object["status"] =
        json!({"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]});
    c.api.post(&path, object).await.created();
    let table = c.api.get_as(&format!("{path}/a"), TABLE).await.ok();
    let names: Vec<_> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| text(&column["name"]))
        .collect();
    assert_eq!(names, ["Name", "Size", "First", "Ready"]);
    assert_eq!(table["rows"][0]["cells"], json!(["a", 3, "x", "True"]));
    let first = &table["columnDefinitions"][2];
    assert_eq!(
        (&first["priority"], &first["description"]),
        (&json!(1), &json!("The first part."))
    );
}

async fn default_columns(c: Case) {
    let widgets = define(&c, open()).await;
    let path = widgets.path(&c, "widgets");
    c.api.post(&path, widgets.object("a", json!({}))).await.created();
    let table = c.api.get_as(&path, TABLE).await.ok();
    let names: Vec<_> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| text(&column["name"]))
        .collect();
    assert_eq!(names, ["Name", "Age"]);
}

fn with_subresources(subresources: Value) -> Value {
    let mut version = version_with(open());
    version["subresources"] = subresources;
    version
}

async fn status(c: Case) {
    let widgets = define_version(&c, with_subresources(json!({"status": {}}))).await;
    let path = widgets.path(&c, "widgets");
    let mut object = widgets.object("a", json!({"size": 1}));
    object["status"] = json!({"seen": 1});
    let made = c.api.post(&path, object).await.created();
    assert!(made["status"].is_null(), "{made}");
    let patch = json!({"spec": {"size": 2}, "status": {"seen": 2}, "metadata": {"labels": {"a": "b"}}});
    let after = c.api.merge(&format!("{path}/a/status"), patch).await.ok();
    assert_eq!(
        (&after["spec"]["size"], &after["status"]["seen"]),
        (&json!(1), &json!(2))
    );
    assert!(
        after["metadata"]["labels"].is_null(),
        "only the status is written there: {after}"
    );
    let patch = json!({"spec": {"size": 3}, "status": {"seen": 3}});
    let after = c.api.merge(&format!("{path}/a"), patch).await.ok();
    assert_eq!(
        (&after["spec"]["size"], &after["status"]["seen"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(c.api.get(&format!("{path}/a/status")).await.ok(), after);
}

async fn status_generation(c: Case) {
    let widgets = define_version(&c, with_subresources(json!({"status": {}}))).await;
    let path = widgets.path(&c, "widgets");
    c.api
        .post(&path, widgets.object("a", json!({"size": 1})))
        .await
        .created();
    let after = c
        .api
        .merge(&format!("{path}/a/status"), json!({"status": {"seen": 1}}))
        .await
        .ok();
    assert_eq!(after["metadata"]["generation"], 1);
    let after = c
        .api
        .merge(&format!("{path}/a"), json!({"metadata": {"annotations": {"a": "b"}}}))
        .await
        .ok();
    assert_eq!(after["metadata"]["generation"], 1);
    let after = c
        .api
        .merge(&format!("{path}/a"), json!({"spec": {"size": 2}}))
        .await
        .ok();
    assert_eq!(after["metadata"]["generation"], 2);
}

async fn no_status(c: Case) {
    let widgets = define(&c, open()).await;
    let path = widgets.path(&c, "widgets");
    let mut object = widgets.object("a", json!({}));
    object["status"] = json!({"seen": 1});
    let made = c.api.post(&path, object).await.created();
    assert_eq!(made["status"], json!({"seen": 1}));
    let after = c
        .api
        .merge(&format!("{path}/a"), json!({"status": {"seen": 2}}))
        .await
        .ok();
    assert_eq!(after["metadata"]["generation"], 2);
    assert_eq!(c.api.get(&format!("{path}/a/status")).await.code, 404);
}

async fn scale(c: Case) {
    let subresources = json!({
        "status": {},
        "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"},
    });
    let widgets = define_version(&c, with_subresources(subresources)).await;
    let path = widgets.path(&c, "widgets");
    c.api
        .post(&path, widgets.object("a", json!({"replicas": 2})))
        .await
        .created();
    let reported = json!({"status": {"replicas": 1, "selector": "app=a"}});
    c.api.merge(&format!("{path}/a/status"), reported).await.ok();
    let mut scale = c.api.get(&format!("{path}/a/scale")).await.ok();
    assert_eq!(
        (&scale["kind"], &scale["apiVersion"]),
        (&json!("Scale"), &json!("autoscaling/v1"))
    );
    assert_eq!(scale["spec"], json!({"replicas": 2}));
    assert_eq!(scale["status"], json!({"replicas": 1, "selector": "app=a"}));
    scale["spec"]["replicas"] = json!(5);
    let after = c.api.put(&format!("{path}/a/scale"), &scale).await.ok();
    assert_eq!(after["spec"]["replicas"], 5);
    let found = c.api.get(&format!("{path}/a")).await.ok();
    assert_eq!(
        (&found["spec"]["replicas"], &found["metadata"]["generation"]),
        (&json!(5), &json!(2))
    );
    let after = c
        .api
        .merge(&format!("{path}/a/scale"), json!({"spec": {"replicas": 0}}))
        .await
        .ok();
    assert_eq!(after["spec"]["replicas"].as_i64().unwrap_or(0), 0);
}

async fn patches(c: Case) {
    let widgets = define(&c, open()).await;
    let path = widgets.path(&c, "widgets/a");
    let made = c
        .api
        .apply(&path, "one", widgets.object("a", json!({"size": 1})))
        .await
        .created();
    assert_eq!(
        made["metadata"]["managedFields"][0]["fieldsV1"],
        json!({"f:spec": {"f:size": {}}})
    );
    c.api.merge(&path, json!({"spec": {"size": 2}})).await.ok();
    let after = c
        .api
        .json_patch(&path, json!([{"op": "replace", "path": "/spec/size", "value": 3}]))
        .await
        .ok();
    assert_eq!(after["spec"]["size"], 3);
    let headers = [("content-type", "application/strategic-merge-patch+json")];
    let answer = c.api.send(http::Method::PATCH, &path, &headers, "{}").await;
    answer.refused(415, "UnsupportedMediaType");
}

async fn metadata(c: Case) {
    let widgets = define(&c, open()).await;
    let path = widgets.path(&c, "widgets");
    c.api
        .post(&path, widgets.object("Not A Name", json!({})))
        .await
        .invalid("metadata.name");
    let mut object = widgets.object("a", json!({}));
    object["metadata"]["labels"] = json!({"a": "not a value"});
    c.api.post(&path, object).await.invalid("metadata.labels");
    let mut object = widgets.object("a", json!({}));
    object["apiVersion"] = json!("example.com/v1");
    c.api.post(&path, object).await.refused(400, "BadRequest");
}

async fn openapi(c: Case) {
    let widgets = define(
        &c,
        object_of(json!({"size": {"type": "integer", "description": "How big."}})),
    )
    .await;
    let path = format!("/openapi/v3/apis/{}", widgets.group_version());
    for _ in 0..200 {
        let answer = c.api.get(&path).await;
        if answer.code == 200 {
            assert!(answer.body.to_string().contains("How big."), "{}", answer.body);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{path} is not served");
}
