//! What a cluster is given, from a template, overrides and marks.
#![allow(clippy::unwrap_used)]

mod sync_model;

use meridian_federation_core::names::{
    CONTROL_PLANE_ANNOTATION, CREATED_ANNOTATION, DESIRED_HASH_ANNOTATION, MANAGED_LABEL,
};
use meridian_federation_core::{
    ClusterFacts, FederatedObject, LabelSelector, Override, OverrideTarget, PatchOp, PatchOperation, RenderError,
    Rendered, as_update, render,
};
use serde_json::{Value, json};
use sync_model::{US, cluster, deployment, observed};

fn rendered(object: &FederatedObject) -> Result<Rendered, RenderError> {
    render(object, &cluster("a"), &ClusterFacts::default(), US)
}

fn with_override(path: &str, value: Value) -> FederatedObject {
    let patches = vec![PatchOperation {
        op: PatchOp::Add,
        path: path.to_owned(),
        value,
    }];
    let target = OverrideTarget::Selector(LabelSelector::default());
    FederatedObject {
        overrides: vec![Override { target, patches }],
        ..deployment()
    }
}

#[test]
fn identity_and_marks_win_over_the_template() {
    let mut object = deployment();
    object.template = json!({
        "apiVersion": "v9", "kind": "Other",
        "metadata": {
            "name": "x", "namespace": "y", "generateName": "z-", "uid": "1", "resourceVersion": "2",
            "finalizers": ["a/b"],
            "ownerReferences": [{}], "managedFields": [{}], "creationTimestamp": null,
            "labels": {"app": "web", "meridian.dev/managed": "false"},
            "annotations": {
                "team": "edge", "meridian.dev/control-plane": "other", "meridian.dev/created": "true",
                "meridian.dev/desired-hash": "0"
            }
        },
        "spec": {"replicas": 1}, "status": {"replicas": 1}
    });
    let Rendered { desired, hash } = rendered(&object).unwrap();
    assert_eq!(
        desired,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "namespace": "shop", "labels": {"app": "web", MANAGED_LABEL: "true"},
                "annotations": {"team": "edge", CONTROL_PLANE_ANNOTATION: US, DESIRED_HASH_ANNOTATION: hash}
            },
            "spec": {"replicas": 1}
        })
    );
}

#[test]
fn the_hash_is_stable_and_moves_with_what_is_wanted() {
    let first = rendered(&deployment()).unwrap();
    // A change here writes every object of every fleet again after an upgrade.
    assert_eq!(first.hash, "40b4e586d2dfc69f");
    assert_eq!(first, rendered(&deployment()).unwrap());
    let mut changed = deployment();
    changed.template["spec"]["replicas"] = json!(3);
    let changed = rendered(&changed).unwrap();
    assert_ne!(first.hash, changed.hash);
    assert_ne!(
        first.hash,
        render(&deployment(), &cluster("a"), &ClusterFacts::default(), "other")
            .unwrap()
            .hash
    );
    // The mark of who created it is no wish.
    assert_eq!(
        first.for_create()["metadata"]["annotations"][DESIRED_HASH_ANNOTATION],
        json!(first.hash)
    );
    let retaining = |replicas: u32| {
        let mut object = FederatedObject {
            retain_replicas: true,
            ..deployment()
        };
        object.template["spec"]["replicas"] = json!(replicas);
        rendered(&object).unwrap().hash
    };
    assert_eq!(retaining(1), retaining(2));
}

#[test]
fn overrides_come_before_the_marks_and_may_set_whole_maps() {
    let object = with_override(
        "/metadata/annotations",
        json!({"team": "core", CREATED_ANNOTATION: "true"}),
    );
    let desired = rendered(&object).unwrap().desired;
    assert_eq!(desired["metadata"]["annotations"]["team"], "core");
    assert_eq!(desired["metadata"]["annotations"][CONTROL_PLANE_ANNOTATION], US);
    assert!(desired["metadata"]["annotations"][CREATED_ANNOTATION].is_null());
    let object = with_override("/metadata/labels", json!({MANAGED_LABEL: "false"}));
    assert_eq!(
        rendered(&object).unwrap().desired["metadata"]["labels"],
        json!({MANAGED_LABEL: "true"})
    );
    let object = with_override("/metadata/finalizers", json!(["a/b"]));
    assert_eq!(
        rendered(&object).unwrap().desired["metadata"]["finalizers"],
        json!(["a/b"])
    );
    let object = with_override("/metadata/uid", json!("1"));
    assert!(rendered(&object).unwrap().desired["metadata"]["uid"].is_null());
}

#[track_caller]
fn check_error(object: &FederatedObject, reason: &str, message: &str) {
    let error = rendered(object).unwrap_err();
    assert_eq!((error.reason(), error.to_string().as_str()), (reason, message));
}

#[test]
fn bad_input_is_an_error_that_names_its_place() {
    let template = |template: Value| FederatedObject {
        template,
        ..deployment()
    };
    check_error(&template(json!("x")), "BadTemplate", "the template must be an object");
    check_error(
        &template(json!({"metadata": 1})),
        "BadTemplate",
        "/metadata must be an object",
    );
    check_error(
        &template(json!({"metadata": {"labels": []}})),
        "BadTemplate",
        "/metadata/labels must be an object",
    );
    check_error(
        &with_override("/metadata/annotations", json!(7)),
        "BadTemplate",
        "/metadata/annotations must be an object",
    );
    check_error(
        &with_override("/metadata", json!({})),
        "ForbiddenPath",
        "overrides must not change /metadata",
    );
    check_error(
        &with_override("/spec/no/where", json!({})),
        "ApplyOverridesFailed",
        "override of /spec/no/where: its parent is not there, or is a list without that position",
    );
    assert!(rendered(&template(Value::Null)).is_ok());
}

#[test]
fn an_update_keeps_what_is_the_members_own() {
    let Rendered { desired, .. } = rendered(&deployment()).unwrap();
    let created = rendered(&deployment()).unwrap().for_create();
    assert_eq!(created["metadata"]["annotations"][CREATED_ANNOTATION], "true");
    let ours = observed("u", 1, true, false, created.clone());
    let foreign = observed(
        "u",
        1,
        true,
        false,
        json!({"metadata": {"annotations": {CREATED_ANNOTATION: "true"}}, "spec": {"replicas": 8}}),
    );
    assert_eq!(as_update(&desired, &ours, false), created);
    // Without the mark of a control plane, the other mark says nothing.
    assert_eq!(as_update(&created, &foreign, false), desired);
    assert_eq!(as_update(&desired, &foreign, true)["spec"]["replicas"], 8);
    let bare = observed("u", 1, true, false, json!({}));
    assert!(as_update(&desired, &bare, true)["spec"].get("replicas").is_none());
}
