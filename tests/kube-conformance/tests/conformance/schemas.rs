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

async fn create(c: &Case, widgets: &Widgets, name: &str, spec: Value) -> meridian_kube_conformance::Answer {
    c.api
        .post(&widgets.path(c, "widgets"), widgets.object(name, spec))
        .await
}

/// Creates an object whose spec must be refused with this cause.
async fn refused(c: &Case, widgets: &Widgets, spec: Value, field: &str, reason: &str) {
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
