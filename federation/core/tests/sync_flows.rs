//! Whole flows of resource sync, as the text of one plan after the other.
#![allow(clippy::unwrap_used)]

mod sync_model;

use meridian_federation_core::names::MANAGED_LABEL;
use meridian_federation_core::{
    Deletion, FinalizerStep, NamespacePlacement, Override, OverrideTarget, PatchOp, PatchOperation, Placement, Step,
    deletion_holds,
};
use serde_json::json;
use sync_model::{Model, US, cluster, deployment, namespace_kind, stale};

/// The next plan is this; then it is carried out.
#[track_caller]
fn check(model: &mut Model, expected: &[&str]) {
    assert_eq!(model.round(), expected.join("\n"));
}

fn only(names: &[&str]) -> Placement {
    Placement {
        clusters: Some(names.iter().map(|name| cluster(name)).collect()),
        selector: None,
    }
}

fn patch(op: PatchOp, path: &str, value: serde_json::Value) -> Vec<PatchOperation> {
    vec![PatchOperation {
        op,
        path: path.to_owned(),
        value,
    }]
}

/// A settled model in clusters `a` and `b`.
fn settled() -> Model {
    let mut model = Model::new(deployment(), &["a", "b"]);
    model.settle();
    model
}

#[test]
fn from_create_to_gone() {
    let mut model = Model::new(deployment(), &["a", "b"]);
    check(&mut model, &["add the finalizer", "a: create", "b: create"]);
    assert!(
        model.member("a").object.is_none(),
        "the finalizer comes before any write"
    );
    check(&mut model, &["a: create", "b: create"]);
    // The server made `1` of `1000m`; nobody fights over it.
    check(&mut model, &["a: keep", "b: keep"]);
    // Another controller's write ends that knowledge once: the fields are then owned by apply.
    model.edit("a", |object| object["metadata"]["annotations"]["other"] = json!("x"));
    check(
        &mut model,
        &["a: update u1: /spec/template/spec/containers/0/cpu differs", "b: keep"],
    );
    check(&mut model, &["a: keep", "b: keep"]);
    model.edit("a", |object| object["spec"]["replicas"] = json!(7));
    check(&mut model, &["a: update u1: /spec/replicas differs", "b: keep"]);
    model.object.template["spec"]["replicas"] = json!(3);
    check(
        &mut model,
        &[
            "a: update u1: the wanted object changed",
            "b: update u3: the wanted object changed",
        ],
    );
    model.object.placement = only(&["b"]);
    check(&mut model, &["a: delete u1 at version 12", "b: keep"]);
    assert_eq!(
        model.object.inventory.len(),
        2,
        "a cluster stays in the inventory until it is seen empty"
    );
    check(&mut model, &["a: gone", "b: keep"]);
    assert_eq!(
        model
            .object
            .inventory
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["b"]
    );
    model.object.deletion = Some(Deletion::Cascade);
    check(&mut model, &["b: delete u3 at version 14"]);
    check(&mut model, &["remove the finalizer", "b: gone"]);
    assert!(!model.exists);
}

/// Status writes move the version of an object that a server normalised; only a new generation, or a change of
/// metadata, means that somebody changed what we wrote.
#[test]
fn status_writes_to_a_normalised_object_cost_no_update() {
    let mut model = settled();
    let see = |model: &mut Model, generation: i64, label: &str| {
        let member = model.member("a");
        let object = member.object.as_mut().expect("it is there");
        object.apply_owned = true;
        object.generation = Some(generation);
        object.resource_version = format!("9{}", object.resource_version);
        std::sync::Arc::make_mut(&mut object.object)["metadata"]["labels"]["app"] = json!(label);
        member.settled.as_mut().expect("it was written").generation = Some(1);
    };
    see(&mut model, 1, "web");
    assert_eq!(model.plan().steps[&cluster("a")], Step::Keep);
    see(&mut model, 1, "theirs");
    assert!(
        model.plan().to_string().contains("/metadata/labels/app differs"),
        "{}",
        model.plan()
    );
    see(&mut model, 2, "web");
    assert!(model.plan().to_string().contains("cpu differs"), "{}", model.plan());
}

#[test]
fn the_inventory_is_written_ahead() {
    let mut model = Model::new(deployment(), &["a"]);
    model.object.has_finalizer = true;
    let plan = model.plan();
    assert_eq!(plan.inventory, [(cluster("a"), None)].into());
    model.apply(&plan);
    assert_eq!(model.plan().inventory, [(cluster("a"), Some("u1".to_owned()))].into());
    // Deleted by somebody: the UID on record is that of an object that is gone.
    model.member("a").object = None;
    let plan = model.plan();
    assert_eq!(
        (plan.to_string().as_str(), &plan.inventory[&cluster("a")]),
        ("a: create", &None)
    );
}

#[test]
fn an_unreachable_cluster_waits_and_delays_nobody() {
    let mut model = settled();
    model.facts("b").reachable = false;
    model.facts("b").why_not = "connection refused".to_owned();
    model.object.placement = only(&[]);
    check(
        &mut model,
        &[
            "a: delete u1 at version 2",
            "b: wait, ClusterNotReady: connection refused",
        ],
    );
    model.object.deletion = Some(Deletion::Cascade);
    check(&mut model, &["a: gone", "b: wait, ClusterNotReady: connection refused"]);
    assert_eq!(
        model.status().0,
        "False Deleting: still to be dealt with: b (ClusterNotReady)"
    );
    // It is back, but nothing was listed again yet.
    model.facts("b").reachable = true;
    model.member("b").freshness = stale();
    check(&mut model, &["b: wait, ClusterNotReady: the watch broke"]);
    // The operator forgets the cluster.
    model.clusters.remove(&cluster("b"));
    check(&mut model, &["remove the finalizer", "b: gone"]);
}

#[test]
fn a_cluster_that_was_never_listed_is_not_empty() {
    let mut model = Model::new(deployment(), &["a"]);
    model.object.has_finalizer = true;
    model.member("a").freshness = meridian_federation_core::Freshness::Unknown;
    check(
        &mut model,
        &["a: wait, ClusterNotReady: the cluster's objects were not listed yet"],
    );
    assert!(model.object.inventory.is_empty());
    model.member("a").freshness = meridian_federation_core::Freshness::Absent;
    check(
        &mut model,
        &["a: wait, KindNotServed: the cluster does not serve this kind"],
    );
    model.member("a").freshness = meridian_federation_core::Freshness::Fresh;
    model.member("a").namespace_ready = false;
    check(
        &mut model,
        &["a: wait, NamespaceNotReady: the namespace is not there yet"],
    );
    model.member("a").namespace_ready = true;
    check(&mut model, &["a: create"]);
}

#[test]
fn orphaning_takes_the_marks_off_and_leaves_the_objects() {
    let mut model = settled();
    model.object.deletion = Some(Deletion::Orphan);
    check(&mut model, &["a: release u1", "b: release u3"]);
    check(&mut model, &["remove the finalizer", "a: gone", "b: gone"]);
    let left = model.member("a").object.clone().unwrap();
    assert_eq!(left.object["spec"]["replicas"], 2);
    assert!(left.object["metadata"]["labels"][MANAGED_LABEL].is_null() && left.control_plane.is_none());
}

#[test]
fn what_was_there_before_is_adopted_only_on_request_and_never_deleted() {
    let mut model = Model::new(deployment(), &["a"]);
    model.object.has_finalizer = true;
    model.put("a", json!({"metadata": {"name": "web"}, "spec": {"replicas": 9}}));
    check(&mut model, &["a: create"]);
    let waits = "a: wait, AlreadyExists: an object was there before; meridian.dev/adopt=true would take it over";
    check(&mut model, &[waits]);
    model.object.adopt = true;
    check(&mut model, &["a: update u1: adopting it"]);
    check(&mut model, &["a: keep"]);
    assert!(!model.member("a").object.as_ref().unwrap().created_by_us);
    model.object.placement = only(&[]);
    check(&mut model, &["a: release u1"]);
    check(&mut model, &["a: gone"]);
    assert!(model.member("a").object.is_some());
}

#[test]
fn a_create_that_meets_an_object_adopts_it_at_once_where_it_may() {
    let mut model = Model::new(deployment(), &["a"]);
    (model.object.has_finalizer, model.object.adopt) = (true, true);
    model.put("a", json!({"metadata": {"name": "web"}, "spec": {"replicas": 9}}));
    check(&mut model, &["a: create, or adopt what is there"]);
    check(&mut model, &["a: keep"]);
    assert!(!model.member("a").object.as_ref().unwrap().created_by_us);
}

#[test]
fn others_objects_are_left_alone() {
    let mut model = settled();
    model.edit("a", |object| {
        object["metadata"]["annotations"]["meridian.dev/control-plane"] = json!("test");
    });
    model.edit("b", |object| {
        object["metadata"]["labels"][MANAGED_LABEL] = json!("false");
    });
    let waits = [
        "a: wait, NotOwner: the object there belongs to control plane test",
        "b: wait, ManagedLabelFalse: the object there is labelled meridian.dev/managed=false",
    ];
    check(&mut model, &waits);
    assert_eq!(
        model.status(),
        (
            "False CheckClusters: a (NotOwner), b (ManagedLabelFalse)".to_owned(),
            vec!["a=NotOwner".to_owned(), "b=ManagedLabelFalse".to_owned()]
        )
    );
    model.object.adopt = true;
    check(&mut model, &waits);
    model.object.deletion = Some(Deletion::Cascade);
    check(&mut model, &["remove the finalizer", "a: gone", "b: gone"]);
    assert!(model.member("a").object.is_some() && model.member("b").object.is_some());
}

#[test]
fn a_mark_that_was_taken_off_is_put_back_but_nothing_is_deleted_without_it() {
    let mut model = settled();
    model.edit("a", |object| {
        object["metadata"]["annotations"]
            .as_object_mut()
            .unwrap()
            .remove("meridian.dev/control-plane");
    });
    check(
        &mut model,
        &[
            "a: update u1: /metadata/annotations/meridian.dev~1control-plane differs",
            "b: keep",
        ],
    );
    model.edit("b", |object| {
        object["metadata"]["annotations"]
            .as_object_mut()
            .unwrap()
            .remove("meridian.dev/control-plane");
    });
    model.object.deletion = Some(Deletion::Cascade);
    assert!(matches!(model.plan().steps[&cluster("b")], Step::Gone));
}

#[test]
fn a_paused_cluster_is_read_and_not_written() {
    let mut model = settled();
    model.facts("a").paused = true;
    check(&mut model, &["a: keep", "b: keep"]);
    model.edit("a", |object| object["spec"]["replicas"] = json!(0));
    let waits = "a: wait, SyncPaused: sync to the cluster is paused (spec.sync of its Cluster)";
    check(&mut model, &[waits, "b: keep"]);
    model.object.deletion = Some(Deletion::Cascade);
    check(&mut model, &[waits, "b: delete u3 at version 4"]);
    model.facts("a").paused = false;
    check(&mut model, &["a: delete u1 at version 5", "b: gone"]);
}

#[test]
fn over_the_limit_nothing_is_deleted_unless_a_user_deletes() {
    let mut model = settled();
    model.facts("a").confirmed_deletions = 11;
    let many = [(cluster("a"), 12), (cluster("b"), 10)].into();
    let managed = [(cluster("a"), 12), (cluster("b"), 12)].into();
    model.held = deletion_holds(&many, &managed, &model.clusters);
    model.object.placement = only(&[]);
    check(
        &mut model,
        &[
            "a: wait, DeletionLimit: too many objects would be deleted there at once; \
             meridian.dev/confirm-deletions on its Cluster allows it",
            "b: delete u3 at version 4",
        ],
    );
    assert_eq!(model.status().1, ["a=DeletionLimit"]);
    model.object.deletion = Some(Deletion::Cascade);
    check(&mut model, &["a: delete u1 at version 2"]);
}

#[test]
fn a_terminating_object_is_waited_for() {
    let mut model = settled();
    model.member("a").object.as_mut().unwrap().deleting = true;
    check(
        &mut model,
        &["a: wait, WaitingForRemoval: the object there is terminating", "b: keep"],
    );
    model.object.placement = only(&["b"]);
    check(
        &mut model,
        &["a: wait, WaitingForRemoval: the object there is terminating", "b: keep"],
    );
    model.member("a").object = None;
    check(&mut model, &["a: gone", "b: keep"]);
}

#[test]
fn a_bad_override_stops_its_cluster_or_the_object() {
    let mut model = settled();
    let target = OverrideTarget::Cluster(cluster("a"));
    model.object.overrides = vec![Override {
        target,
        patches: patch(PatchOp::Replace, "/spec/none", json!(1)),
    }];
    model.object.template["spec"]["replicas"] = json!(5);
    check(
        &mut model,
        &[
            "a: wait, ApplyOverridesFailed: override of /spec/none: there is nothing to replace; use op add",
            "b: update u3: the wanted object changed",
        ],
    );
    model.object.overrides[0].patches = patch(PatchOp::Replace, "/metadata/name", json!("x"));
    model.object.placement = only(&["b"]);
    check(
        &mut model,
        &["failed, ForbiddenPath: overrides must not change /metadata/name"],
    );
    assert_eq!(model.object.inventory.len(), 2, "nothing is forgotten");
    assert_eq!(
        model.status().0,
        "False ForbiddenPath: overrides must not change /metadata/name"
    );
    model.object.overrides.push(model.object.overrides[0].clone());
    model.object.overrides[0].patches.clear();
    check(
        &mut model,
        &["failed, DuplicateCluster: cluster a has two overrides; put their changes into one"],
    );
    model.object.overrides.clear();
    model.object.template = json!({"metadata": []});
    check(&mut model, &["failed, BadTemplate: /metadata must be an object"]);
    // A mistake in an object does not keep it from being deleted.
    model.object.deletion = Some(Deletion::Cascade);
    check(&mut model, &["a: delete u1 at version 2", "b: delete u3 at version 6"]);
}

#[test]
fn an_object_whose_namespace_is_not_federated_is_nowhere() {
    let mut model = Model::new(deployment(), &["a", "b"]);
    model.settle();
    model.namespace = NamespacePlacement::NotFederated;
    check(&mut model, &["a: delete u1 at version 2", "b: delete u3 at version 4"]);
    let waits = "wait, NamespaceNotFederated: the namespace has no FederatedNamespace";
    check(&mut model, &[&format!("a: {waits}"), &format!("b: {waits}")]);
    assert!(model.object.inventory.is_empty());
    assert_eq!(
        model.status().0,
        "False NamespaceNotFederated: the namespace has no FederatedNamespace"
    );
}

#[test]
fn a_namespace_is_cluster_scoped_and_called_like_its_federated_one() {
    let mut model = Model::new(deployment(), &["a"]);
    (model.namespace, model.object.key.kind) = (NamespacePlacement::NotApplicable, namespace_kind());
    model.object.template = serde_json::Value::Null;
    check(
        &mut model,
        &["failed, InvalidName: a FederatedNamespace must be called like its namespace, shop, not web"],
    );
    model.object.key.name = "shop".to_owned();
    model.settle();
    let there = model.member("a").object.clone().unwrap().object;
    assert_eq!(
        (&there["kind"], &there["apiVersion"], &there["metadata"]["name"]),
        (&json!("Namespace"), &json!("v1"), &json!("shop"))
    );
    assert!(there["metadata"]["namespace"].is_null());
    // Deleting a misnamed one leaves what belongs to the right one.
    model.object.key.name = "web".to_owned();
    model.object.inventory.clear();
    model.object.deletion = Some(Deletion::Cascade);
    let plan = model.plan();
    assert_eq!((plan.finalizer, plan.steps.len()), (FinalizerStep::Remove, 0));
}

#[test]
fn retained_replicas_are_the_members_own() {
    let mut model = Model::new(deployment(), &["a"]);
    model.object.retain_replicas = true;
    model.settle();
    assert_eq!(model.member("a").object.as_ref().unwrap().object["spec"]["replicas"], 2);
    model.edit("a", |object| {
        object["spec"]["replicas"] = json!(7);
        object["spec"]["template"]["spec"]["containers"][0]["cpu"] = json!("1000m");
    });
    check(&mut model, &["a: update u1: to own its fields by apply"]);
    model.object.template["spec"]["replicas"] = json!(4);
    check(&mut model, &["a: keep"]);
    model.object.template["spec"]["paused"] = json!(true);
    check(&mut model, &["a: update u1: the wanted object changed"]);
    assert_eq!(model.member("a").object.as_ref().unwrap().object["spec"]["replicas"], 7);
    assert_eq!(
        model.member("a").object.as_ref().unwrap().control_plane.as_deref(),
        Some(US)
    );
}
