//! Custom resources: how a kind comes and goes, and how its objects are served.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::definitions::{DEFINITIONS, define, define_as, definition, object_of, version_with};
use crate::shared::{Case, has, item, names, text, version};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a definition is established when its names are accepted",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#create-a-customresourcedefinition",
        [],
        established
    ),
    case!(
        "names left out are made from the kind",
        "kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/",
        [],
        default_names
    ),
    case!(
        "a defined kind is discovered",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#create-a-customresourcedefinition",
        [],
        discovered
    ),
    case!(
        "custom objects are created, read, listed, watched and deleted",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#create-custom-objects",
        [],
        life
    ),
    case!(
        "custom objects of the cluster have no namespace",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#create-a-customresourcedefinition",
        [],
        cluster_scoped
    ),
    case!(
        "a definition's name is its plural and its group",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#create-a-customresourcedefinition",
        [],
        definition_name
    ),
    case!(
        "a version without a schema is refused",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema",
        [],
        no_schema
    ),
    case!(
        "a schema that is not structural is refused",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema",
        [],
        not_structural
    ),
    case!(
        "exactly one version is stored",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#specify-multiple-versions",
        [],
        storage_version
    ),
    case!(
        "a second definition of a kind in a group is not accepted",
        "kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/",
        [],
        names_conflict
    ),
    case!(
        "a deleted definition takes its objects and its paths with it",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#delete-a-customresourcedefinition",
        [],
        deleted
    ),
    case!(
        "a version that is not served is not found",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#specify-multiple-versions",
        [],
        unserved_version
    ),
];

pub(crate) fn open() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

async fn established(c: Case) {
    let widgets = define(&c, open()).await;
    let found = c.api.get(&widgets.definition).await.ok();
    let conditions = &found["status"]["conditions"];
    for (kind, reason) in [
        ("NamesAccepted", "NoConflicts"),
        ("Established", "InitialNamesAccepted"),
    ] {
        let condition = item(conditions, "type", kind);
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("True"), &json!(reason)),
            "{kind}"
        );
    }
    assert_eq!(found["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(found["status"]["acceptedNames"]["plural"], "widgets");
    assert_eq!(found["spec"]["conversion"]["strategy"], "None");
}

async fn default_names(c: Case) {
    let (mut definition, group) = definition(&c, version_with(open()));
    definition["spec"]["names"] = json!({"plural": "widgets", "kind": "Widget"});
    c.leaves(&format!("{DEFINITIONS}/widgets.{group}"));
    let made = c.api.post(DEFINITIONS, definition).await.created();
    assert_eq!(made["spec"]["names"]["singular"], "widget");
    assert_eq!(made["spec"]["names"]["listKind"], "WidgetList");
}

async fn discovered(c: Case) {
    let widgets = define(&c, open()).await;
    let list = c.api.get(&format!("/apis/{}", widgets.group_version())).await.ok();
    let resource = item(&list["resources"], "name", "widgets");
    assert_eq!(
        (&resource["kind"], &resource["singularName"]),
        (&json!("Widget"), &json!("widget"))
    );
    assert_eq!(resource["namespaced"], true);
    assert!(has(&resource["shortNames"], "wd"), "{resource}");
    for verb in [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ] {
        assert!(has(&resource["verbs"], verb), "{verb}: {resource}");
    }
    let groups = c.api.get("/apis").await.ok();
    let group = item(&groups["groups"], "name", &widgets.group);
    assert_eq!(group["preferredVersion"]["version"], "v1");
}

async fn life(c: Case) {
    let widgets = define(&c, open()).await;
    let path = widgets.path(&c, "widgets");
    let list = c.api.get(&path).await.ok();
    assert_eq!(list["kind"], "WidgetList");
    let mut watch = c.api.watch(&format!("{path}?resourceVersion={}", version(&list))).await;
    let made = c
        .api
        .post(&path, widgets.object("a", json!({"size": 1})))
        .await
        .created();
    assert_eq!(
        (&made["kind"], &made["metadata"]["generation"]),
        (&json!("Widget"), &json!(1))
    );
    let mut changed = made.clone();
    changed["spec"]["size"] = json!(2);
    let changed = c.api.put(&format!("{path}/a"), &changed).await.ok();
    assert_eq!(changed["metadata"]["generation"], 2);
    let list = c.api.get(&path).await.ok();
    assert_eq!(names(&list), ["a"]);
    assert_eq!(list["items"][0]["kind"], "Widget");
    c.api.delete(&format!("{path}/a"), Value::Null).await.ok();
    for kind in ["ADDED", "MODIFIED", "DELETED"] {
        assert_eq!(watch.next_named().await, (kind.to_owned(), "a".to_owned()));
    }
    let status = c.api.get(&format!("{path}/a")).await.refused(404, "NotFound");
    assert_eq!(
        status["details"],
        json!({"name": "a", "group": widgets.group, "kind": "widgets"})
    );
}

async fn cluster_scoped(c: Case) {
    let (mut definition, group) = definition(&c, version_with(open()));
    definition["spec"]["scope"] = json!("Cluster");
    let widgets = define_as(&c, definition, &group).await;
    let path = format!("/apis/{}/widgets", widgets.group_version());
    let made = c.api.post(&path, widgets.object("a", json!({}))).await.created();
    assert!(made["metadata"]["namespace"].is_null(), "{made}");
    assert_eq!(c.api.get(&widgets.path(&c, "widgets/a")).await.code, 404);
}

async fn definition_name(c: Case) {
    let (mut definition, _) = definition(&c, version_with(open()));
    definition["metadata"]["name"] = json!("other.example.com");
    c.api.post(DEFINITIONS, definition).await.invalid("metadata.name");
}

async fn no_schema(c: Case) {
    let (definition, _) = definition(&c, json!({"name": "v1", "served": true, "storage": true}));
    c.api
        .post(DEFINITIONS, definition)
        .await
        .invalid("spec.versions[0].schema.openAPIV3Schema");
}

async fn not_structural(c: Case) {
    let (definition, _) = definition(&c, version_with(object_of(json!({"size": {"minimum": 1}}))));
    let status = c.api.post(DEFINITIONS, definition).await.refused(422, "Invalid");
    let field = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[size].type";
    let fields: Vec<_> = status["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| text(&cause["field"]))
        .collect();
    // With one version the server may speak of it as of the only one.
    let short = field.replace("versions[0].schema", "validation");
    assert!(
        fields.contains(&field.to_owned()) || fields.contains(&short),
        "{fields:?}"
    );
}

async fn storage_version(c: Case) {
    for storage in [[true, true], [false, false]] {
        let (mut definition, _) = definition(&c, version_with(open()));
        let mut second = definition["spec"]["versions"][0].clone();
        second["name"] = json!("v2");
        second["storage"] = json!(storage[1]);
        definition["spec"]["versions"][0]["storage"] = json!(storage[0]);
        definition["spec"]["versions"].as_array_mut().unwrap().push(second);
        c.api.post(DEFINITIONS, definition).await.invalid("spec.versions");
    }
}

async fn names_conflict(c: Case) {
    let widgets = define(&c, open()).await;
    let name = format!("gadgets.{}", widgets.group);
    c.leaves(&format!("{DEFINITIONS}/{name}"));
    let (mut definition, _) = definition(&c, version_with(open()));
    definition["metadata"]["name"] = json!(name);
    definition["spec"]["group"] = json!(widgets.group);
    definition["spec"]["names"] = json!({"plural": "gadgets", "kind": "Widget"});
    c.api.post(DEFINITIONS, definition).await.created();
    let refused = |found: &Value| item(&found["status"]["conditions"], "type", "NamesAccepted")["status"] == "False";
    let found = c.api.until(DEFINITIONS, &name, "refused", refused).await;
    assert_ne!(
        item(&found["status"]["conditions"], "type", "Established")["status"],
        "True"
    );
}

async fn deleted(c: Case) {
    let widgets = define(&c, open()).await;
    let path = widgets.path(&c, "widgets");
    c.api.post(&path, widgets.object("a", json!({}))).await.created();
    c.api.delete(&widgets.definition, Value::Null).await.ok();
    let name = format!("widgets.{}", widgets.group);
    c.api.until_gone(DEFINITIONS, &name).await;
    for _ in 0..200 {
        if c.api.get(&path).await.code == 404 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{path} is still served");
}

async fn unserved_version(c: Case) {
    let (mut definition, group) = definition(&c, version_with(open()));
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = json!("v0");
    second["served"] = json!(false);
    second["storage"] = json!(false);
    definition["spec"]["versions"].as_array_mut().unwrap().push(second);
    define_as(&c, definition, &group).await;
    assert_eq!(c.api.get(&c.group(&format!("{group}/v0"), "widgets")).await.code, 404);
}

pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
