//! What the schema of a custom resource refuses.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::json;

use crate::definitions::{define, object_of};
use crate::schemas::{create, refused};
use crate::shared::{Case, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a value of another type is invalid",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation",
        [],
        types
    ),
    case!(
        "a required field must be there",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation",
        [],
        required
    ),
    case!(
        "a value must be one of an enumeration",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation",
        [],
        enumeration
    ),
    case!(
        "numbers have bounds",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation",
        [],
        numbers
    ),
    case!(
        "strings have lengths and patterns",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation",
        [],
        strings
    ),
    case!(
        "lists and maps have lengths",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation",
        [],
        lengths
    ),
    case!(
        "alternatives are validated",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema",
        [],
        alternatives
    ),
    case!(
        "a field may take a number or a string",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#intorstring",
        [],
        int_or_string
    ),
    case!(
        "updates and patches are validated too",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation",
        [],
        updates
    ),
    case!(
        "every fault is named with its field",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/",
        [],
        all_faults
    ),
];

async fn types(c: Case) {
    let widgets = define(
        &c,
        object_of(json!({
            "integer": {"type": "integer"}, "number": {"type": "number"}, "string": {"type": "string"},
            "boolean": {"type": "boolean"}, "list": {"type": "array", "items": {"type": "string"}}, "object": object_of(json!({})),
        })),
    )
    .await;
    let reason = "FieldValueTypeInvalid";
    refused(&c, &widgets, json!({"integer": "1"}), "spec.integer", reason).await;
    refused(&c, &widgets, json!({"integer": 1.5}), "spec.integer", reason).await;
    refused(&c, &widgets, json!({"number": true}), "spec.number", reason).await;
    refused(&c, &widgets, json!({"string": 1}), "spec.string", reason).await;
    refused(&c, &widgets, json!({"boolean": "true"}), "spec.boolean", reason).await;
    refused(&c, &widgets, json!({"list": {}}), "spec.list", reason).await;
    refused(&c, &widgets, json!({"list": ["a", 1]}), "spec.list[1]", reason).await;
    refused(&c, &widgets, json!({"object": []}), "spec.object", reason).await;
    let fine = json!({"integer": 1, "number": 1.5, "string": "", "boolean": false, "list": [], "object": {}});
    create(&c, &widgets, "good", fine).await.created();
}

async fn required(c: Case) {
    let mut inner = object_of(json!({"name": {"type": "string"}}));
    inner["required"] = json!(["name"]);
    let mut spec = object_of(json!({"size": {"type": "integer"}, "parts": {"type": "array", "items": inner}}));
    spec["required"] = json!(["size"]);
    let widgets = define(&c, spec).await;
    refused(&c, &widgets, json!({}), "spec.size", "FieldValueRequired").await;
    refused(
        &c,
        &widgets,
        json!({"size": 1, "parts": [{"name": "a"}, {}]}),
        "spec.parts[1].name",
        "FieldValueRequired",
    )
    .await;
}

async fn enumeration(c: Case) {
    let widgets = define(
        &c,
        object_of(json!({"colour": {"type": "string", "enum": ["red", "blue"]}})),
    )
    .await;
    refused(
        &c,
        &widgets,
        json!({"colour": "green"}),
        "spec.colour",
        "FieldValueNotSupported",
    )
    .await;
    let status = create(&c, &widgets, "a", json!({"colour": "green"}))
        .await
        .invalid("spec.colour");
    assert!(
        text(&status["message"]).contains("supported values: \"red\", \"blue\""),
        "{status}"
    );
    create(&c, &widgets, "a", json!({"colour": "red"})).await.created();
}

async fn numbers(c: Case) {
    let widgets = define(
        &c,
        object_of(json!({
            "size": {"type": "integer", "minimum": 1, "maximum": 10},
            "open": {"type": "number", "minimum": 0, "exclusiveMinimum": true},
            "even": {"type": "integer", "multipleOf": 2},
        })),
    )
    .await;
    let reason = "FieldValueInvalid";
    refused(&c, &widgets, json!({"size": 0}), "spec.size", reason).await;
    refused(&c, &widgets, json!({"size": 11}), "spec.size", reason).await;
    refused(&c, &widgets, json!({"open": 0}), "spec.open", reason).await;
    refused(&c, &widgets, json!({"even": 3}), "spec.even", reason).await;
    create(&c, &widgets, "a", json!({"size": 10, "open": 0.5, "even": 4}))
        .await
        .created();
}

async fn strings(c: Case) {
    let widgets = define(
        &c,
        object_of(json!({
            "code": {"type": "string", "pattern": "^[a-z]+$"},
            "short": {"type": "string", "maxLength": 3},
            "long": {"type": "string", "minLength": 2},
        })),
    )
    .await;
    refused(&c, &widgets, json!({"code": "A1"}), "spec.code", "FieldValueInvalid").await;
    refused(
        &c,
        &widgets,
        json!({"short": "four"}),
        "spec.short",
        "FieldValueTooLong",
    )
    .await;
    refused(&c, &widgets, json!({"long": "1"}), "spec.long", "FieldValueInvalid").await;
    create(&c, &widgets, "a", json!({"code": "abc", "short": "äöü", "long": "12"}))
        .await
        .created();
}

async fn lengths(c: Case) {
    let widgets = define(
        &c,
        object_of(json!({
            "list": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
            "map": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1},
        })),
    )
    .await;
    refused(&c, &widgets, json!({"list": []}), "spec.list", "FieldValueInvalid").await;
    refused(
        &c,
        &widgets,
        json!({"list": ["a", "b", "c"]}),
        "spec.list",
        "FieldValueTooMany",
    )
    .await;
    let status = create(&c, &widgets, "bad", json!({"map": {"a": "", "b": ""}}))
        .await
        .invalid("spec.map");
    assert!(status["details"]["causes"][0]["reason"].is_string());
    create(&c, &widgets, "a", json!({"list": ["a"], "map": {"a": ""}}))
        .await
        .created();
}

async fn alternatives(c: Case) {
    let mut spec = object_of(json!({"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": "integer"}}));
    spec["oneOf"] = json!([{"required": ["a"]}, {"required": ["b"]}]);
    spec["properties"]["c"]["anyOf"] = json!([{"minimum": 10}, {"maximum": 1}]);
    spec["not"] = json!({"required": ["a", "c"]});
    let widgets = define(&c, spec).await;
    for wrong in [
        json!({}),
        json!({"a": "", "b": ""}),
        json!({"b": "", "c": 5}),
        json!({"a": "", "c": 1}),
    ] {
        create(&c, &widgets, "bad", wrong).await.refused(422, "Invalid");
    }
    create(&c, &widgets, "a", json!({"b": "", "c": 11})).await.created();
}

async fn int_or_string(c: Case) {
    let widgets = define(&c, object_of(json!({"port": {"x-kubernetes-int-or-string": true}}))).await;
    create(&c, &widgets, "a", json!({"port": 80})).await.created();
    create(&c, &widgets, "b", json!({"port": "http"})).await.created();
    let status = create(&c, &widgets, "c", json!({"port": true}))
        .await
        .refused(422, "Invalid");
    assert!(status.to_string().contains("spec.port"), "{status}");
}

async fn updates(c: Case) {
    let widgets = define(&c, object_of(json!({"size": {"type": "integer", "minimum": 1}}))).await;
    create(&c, &widgets, "a", json!({"size": 1})).await.created();
    let path = widgets.path(&c, "widgets/a");
    c.api
        .merge(&path, json!({"spec": {"size": 0}}))
        .await
        .invalid("spec.size");
    c.api
        .put(&path, &{
            let mut object = widgets.object("a", json!({"size": 0}));
            object["metadata"]["resourceVersion"] = c.api.get(&path).await.ok()["metadata"]["resourceVersion"].clone();
            object
        })
        .await
        .invalid("spec.size");
    c.api
        .apply(&path, "one", widgets.object("a", json!({"size": 0})))
        .await
        .refused(409, "Conflict");
    c.api
        .force_apply(&path, "one", widgets.object("a", json!({"size": 0})))
        .await
        .invalid("spec.size");
}

async fn all_faults(c: Case) {
    let mut spec =
        object_of(json!({"a": {"type": "integer"}, "b": {"type": "string", "enum": ["x"]}, "c": {"type": "string"}}));
    spec["required"] = json!(["c"]);
    let widgets = define(&c, spec).await;
    let status = create(&c, &widgets, "bad", json!({"a": 0.5, "b": "y"}))
        .await
        .refused(422, "Invalid");
    assert_eq!(
        (&status["details"]["name"], &status["details"]["kind"]),
        (&json!("bad"), &json!("Widget"))
    );
    assert_eq!(status["details"]["group"], widgets.group.as_str());
    let fields: Vec<_> = status["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| text(&cause["field"]))
        .collect();
    for field in ["spec.a", "spec.b", "spec.c"] {
        assert!(fields.contains(&field.to_owned()), "{field}: {fields:?}");
    }
}
