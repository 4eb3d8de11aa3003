//! What the schema of a custom resource does to its objects: pruning, defaults, validation, merging.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::definitions::{Widgets, define, define_version, object_of, version_with};
use crate::shared::{Case, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a field that the schema does not know is pruned",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning",
        [],
        prunes
    ),
    case!(
        "unknown fields are preserved where the schema says so",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#controlling-pruning",
        [],
        preserves
    ),
    case!(
        "a map with free keys keeps them and checks their values",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#controlling-pruning",
        [],
        free_keys
    ),
    case!(
        "strict field validation refuses what would be pruned",
        "kubernetes.io/docs/reference/using-api/api-concepts/#field-validation",
        [],
        strict
    ),
    case!(
        "defaults are filled in, also inside defaults",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting",
        [],
        defaults
    ),
    case!(
        "a default that came later shows in objects that were there",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting",
        [],
        late_defaults
    ),
    case!(
        "null is dropped for a default unless the field is nullable",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting-and-nullable",
        [],
        nullable
    ),
    case!(
        "a default must fit its own schema",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting",
        [],
        bad_default
    ),
    case!(
        "a list with map keys merges by them",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#custom-resources-and-server-side-apply",
        [],
        list_map
    ),
    case!(
        "a list with map keys has each of them once",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        unique_keys
    ),
    case!(
        "a set has each value once",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        [],
        set
    ),
    case!(
        "a list without a type is replaced as a whole",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#custom-resources-and-server-side-apply",
        [],
        atomic
    ),
];

pub(crate) async fn create(c: &Case, widgets: &Widgets, name: &str, spec: Value) -> meridian_kube_conformance::Answer {
    c.api
        .post(&widgets.path(c, "widgets"), widgets.object(name, spec))
        .await
}

/// Creates an object whose spec must be refused with this cause.
pub(crate) async fn refused(c: &Case, widgets: &Widgets, spec: Value, field: &str, reason: &str) {
    let status = create(c, widgets, "bad", spec.clone()).await.refused(422, "Invalid");
    let causes = status["details"]["causes"].as_array().unwrap();
    let found = causes
        .iter()
        .any(|cause| cause["field"] == field && cause["reason"] == reason);
    assert!(found, "{spec}: no cause {reason} for {field}: {status}");
}

async fn prunes(c: Case) {
    let widgets = define(
        &c,
        object_of(json!({"size": {"type": "integer"}, "inner": object_of(json!({}))})),
    )
    .await;
    let spec = json!({"size": 1, "colour": "red", "inner": {"x": 1}});
    let mut object = widgets.object("a", spec);
    object["extra"] = json!(1);
    let made = c.api.post(&widgets.path(&c, "widgets"), object).await.created();
    assert_eq!(made["spec"], json!({"size": 1, "inner": {}}));
    assert!(made["extra"].is_null(), "{made}");
}

async fn preserves(c: Case) {
    let mut open = object_of(json!({"known": object_of(json!({"a": {"type": "string"}}))}));
    open["x-kubernetes-preserve-unknown-fields"] = json!(true);
    let widgets = define(&c, object_of(json!({"open": open}))).await;
    let spec = json!({"open": {"any": {"thing": [1, "two", null]}, "known": {"a": "1", "b": "2"}}});
    let made = create(&c, &widgets, "a", spec).await.created();
    let kept = json!({"open": {"any": {"thing": [1, "two", null]}, "known": {"a": "1"}}});
    assert_eq!(
        made["spec"], kept,
        "below a field that is specified, pruning begins again"
    );
}

async fn free_keys(c: Case) {
    let widgets = define(
        &c,
        object_of(json!({"map": {"type": "object", "additionalProperties": {"type": "integer"}}})),
    )
    .await;
    let made = create(&c, &widgets, "a", json!({"map": {"x": 1, "y/z": 2}}))
        .await
        .created();
    assert_eq!(made["spec"]["map"], json!({"x": 1, "y/z": 2}));
    refused(
        &c,
        &widgets,
        json!({"map": {"x": "one"}}),
        "spec.map.x",
        "FieldValueTypeInvalid",
    )
    .await;
}

async fn strict(c: Case) {
    let widgets = define(&c, object_of(json!({"size": {"type": "integer"}}))).await;
    let path = widgets.path(&c, "widgets?fieldValidation=Strict");
    let status = c
        .api
        .post(&path, widgets.object("a", json!({"colour": "red"})))
        .await
        .refused(400, "BadRequest");
    assert!(
        text(&status["message"]).contains("unknown field \"spec.colour\""),
        "{status}"
    );
}

async fn defaults(c: Case) {
    let inner = json!({
        "type": "object",
        "default": {"y": 5},
        "properties": {"x": {"type": "integer", "default": 1}, "y": {"type": "integer"}},
    });
    let items = json!({"type": "array", "items": {"type": "object", "properties": {"on": {"type": "boolean", "default": true}}}});
    let widgets = define(
        &c,
        object_of(json!({"size": {"type": "integer", "default": 3}, "inner": inner, "items": items})),
    )
    .await;
    let made = create(&c, &widgets, "a", json!({})).await.created();
    assert_eq!(made["spec"], json!({"size": 3, "inner": {"x": 1, "y": 5}}));
    let made = create(
        &c,
        &widgets,
        "b",
        json!({"size": 7, "inner": {"x": 2}, "items": [{}, {"on": false}]}),
    )
    .await
    .created();
    assert_eq!(
        made["spec"],
        json!({"size": 7, "inner": {"x": 2}, "items": [{"on": true}, {"on": false}]})
    );
}

async fn late_defaults(c: Case) {
    let widgets = define(
        &c,
        object_of(json!({"a": {"type": "integer"}, "b": {"type": "integer"}})),
    )
    .await;
    create(&c, &widgets, "old", json!({"a": 1})).await.created();
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/b/default";
    c.api
        .json_patch(&widgets.definition, json!([{"op": "add", "path": path, "value": 9}]))
        .await
        .ok();
    let object = widgets.path(&c, "widgets/old");
    for _ in 0..200 {
        if c.api.get(&object).await.ok()["spec"] == json!({"a": 1, "b": 9}) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the default does not show");
}

async fn nullable(c: Case) {
    let widgets = define(
        &c,
        object_of(json!({
            "plain": {"type": "integer", "default": 1},
            "nullable": {"type": "integer", "default": 1, "nullable": true},
            "bare": {"type": "integer", "nullable": true},
        })),
    )
    .await;
    let made = create(
        &c,
        &widgets,
        "a",
        json!({"plain": null, "nullable": null, "bare": null}),
    )
    .await
    .created();
    assert_eq!(made["spec"], json!({"plain": 1, "nullable": null, "bare": null}));
}

async fn bad_default(c: Case) {
    let version = version_with(object_of(json!({"size": {"type": "integer", "default": "three"}})));
    let (definition, _) = crate::definitions::definition(&c, version);
    let status = c
        .api
        .post(crate::definitions::DEFINITIONS, definition)
        .await
        .refused(422, "Invalid");
    assert!(status.to_string().contains("properties[size].default"), "{status}");
}

fn parts(extra: Value) -> Value {
    let mut list =
        json!({"type": "array", "items": object_of(json!({"name": {"type": "string"}, "size": {"type": "integer"}}))});
    list["items"]["required"] = json!(["name"]);
    for (key, value) in extra.as_object().unwrap() {
        list[key] = value.clone();
    }
    object_of(json!({"parts": list}))
}

async fn list_map(c: Case) {
    let keys = json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]});
    let widgets = define(&c, parts(keys)).await;
    let path = widgets.path(&c, "widgets/a");
    let apply = async |manager: &str, parts: Value| {
        c.api
            .apply(&path, manager, widgets.object("a", json!({"parts": parts})))
            .await
    };
    apply("one", json!([{"name": "x", "size": 1}])).await.created();
    let after = apply("two", json!([{"name": "y", "size": 2}])).await.ok();
    assert_eq!(
        after["spec"]["parts"],
        json!([{"name": "x", "size": 1}, {"name": "y", "size": 2}])
    );
    let status = apply("two", json!([{"name": "x", "size": 3}]))
        .await
        .refused(409, "Conflict");
    assert_eq!(status["details"]["causes"][0]["field"], ".spec.parts[name=\"x\"].size");
    let after = apply("one", json!([])).await.ok();
    assert_eq!(after["spec"]["parts"], json!([{"name": "y", "size": 2}]));
}

async fn unique_keys(c: Case) {
    let keys = json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]});
    let widgets = define(&c, parts(keys)).await;
    let twice = json!({"parts": [{"name": "x"}, {"name": "x"}]});
    refused(&c, &widgets, twice, "spec.parts[1]", "FieldValueDuplicate").await;
}

async fn set(c: Case) {
    let tags = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
    let widgets = define(&c, object_of(json!({"tags": tags}))).await;
    refused(
        &c,
        &widgets,
        json!({"tags": ["a", "b", "a"]}),
        "spec.tags[2]",
        "FieldValueDuplicate",
    )
    .await;
    let path = widgets.path(&c, "widgets/a");
    c.api
        .apply(&path, "one", widgets.object("a", json!({"tags": ["a"]})))
        .await
        .created();
    let after = c
        .api
        .apply(&path, "two", widgets.object("a", json!({"tags": ["b"]})))
        .await
        .ok();
    assert_eq!(after["spec"]["tags"], json!(["a", "b"]));
}

async fn atomic(c: Case) {
    let mut version = version_with(parts(json!({})));
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["labels"] =
        json!({"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}});
    let widgets = define_version(&c, version).await;
    let path = widgets.path(&c, "widgets/a");
    let spec = json!({"parts": [{"name": "x"}], "labels": {"a": "1"}});
    let made = c.api.apply(&path, "one", widgets.object("a", spec)).await.created();
    assert_eq!(
        made["metadata"]["managedFields"][0]["fieldsV1"],
        json!({"f:spec": {"f:parts": {}, "f:labels": {}}})
    );
    let other = widgets.object("a", json!({"parts": [{"name": "y"}], "labels": {"b": "1"}}));
    let status = c.api.apply(&path, "two", other.clone()).await.refused(409, "Conflict");
    let mut fields: Vec<_> = status["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| text(&cause["field"]))
        .collect();
    fields.sort();
    assert_eq!(fields, [".spec.labels", ".spec.parts"]);
    let after = c.api.force_apply(&path, "two", other).await.ok();
    assert_eq!(after["spec"], json!({"parts": [{"name": "y"}], "labels": {"b": "1"}}));
}
