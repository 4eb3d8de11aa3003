//! The start of a controller: lists come in any order, and until they all came, unknown is not empty.
//!
//! A controller that starts has members full of objects and knows of no cluster and no namespace. What it
//! would plan from that is the deletion, or the forgetting, of everything.

mod support;

use meridian_controller_index::Event;
use serde_json::json;
use support::cluster_object;
use support::sync::{Fleet, federated_namespace};
use support::{dynamic, name};

const NONE: [&str; 0] = [];

/// `web` settled in c1 and c2, and the controller started anew.
fn restarted() -> Fleet {
    let mut fleet = Fleet::new(&["c1", "c2"]);
    fleet.create("web");
    assert_eq!(fleet.settle().len(), 3);
    fleet.restart();
    fleet
}

/// The same, with `web` deleted on the host while nobody looked.
fn restarted_with_a_deletion() -> Fleet {
    let mut fleet = Fleet::new(&["c1", "c2"]);
    fleet.create("web");
    fleet.settle();
    fleet.restart();
    let web = fleet.host.get_mut("web").expect("on the host");
    web["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    fleet
}

const FROM_C1: &str = "web c1: delete uid-5 at version 5";
const FROM_C2: &str = "web c2: delete uid-6 at version 6";
const FORGOTTEN: &str = "web host: no finalizer";

type List = fn(&mut Fleet);

const CLUSTERS: List = Fleet::list_clusters;
const NAMESPACES: List = Fleet::list_federated_namespaces;
const FEDERATED: List = Fleet::list_federated;
const MEMBERS: List = Fleet::list_members;

/// Every order of four lists in which members are listed after the clusters that name them.
fn orders() -> Vec<[List; 4]> {
    vec![
        [CLUSTERS, MEMBERS, NAMESPACES, FEDERATED],
        [CLUSTERS, MEMBERS, FEDERATED, NAMESPACES],
        [CLUSTERS, NAMESPACES, MEMBERS, FEDERATED],
        [CLUSTERS, NAMESPACES, FEDERATED, MEMBERS],
        [CLUSTERS, FEDERATED, MEMBERS, NAMESPACES],
        [CLUSTERS, FEDERATED, NAMESPACES, MEMBERS],
        [NAMESPACES, CLUSTERS, MEMBERS, FEDERATED],
        [NAMESPACES, CLUSTERS, FEDERATED, MEMBERS],
        [NAMESPACES, FEDERATED, CLUSTERS, MEMBERS],
        [FEDERATED, CLUSTERS, MEMBERS, NAMESPACES],
        [FEDERATED, CLUSTERS, NAMESPACES, MEMBERS],
        [FEDERATED, NAMESPACES, CLUSTERS, MEMBERS],
    ]
}

#[test]
fn what_is_settled_stays_as_it_is_whatever_is_listed_first() {
    for (number, order) in orders().into_iter().enumerate() {
        let mut fleet = restarted();
        for list in order {
            list(&mut fleet);
            assert_eq!(fleet.settle(), NONE, "order {number}");
        }
        assert_eq!(fleet.condition("web"), "Propagated: as wanted in 2 clusters");
    }
}

#[test]
fn a_deletion_that_nobody_saw_reaches_every_member_whatever_is_listed_first() {
    for (number, order) in orders().into_iter().enumerate() {
        let mut fleet = restarted_with_a_deletion();
        let mut told = Vec::new();
        for list in order {
            list(&mut fleet);
            told.extend(fleet.settle());
        }
        assert_eq!(told, [FROM_C1, FROM_C2, FORGOTTEN], "order {number}");
        assert!(fleet.members.values().all(|objects| objects.is_empty()));
    }
}

/// A Cluster object that says nonsense is one whose contents are not known, not one that left the fleet.
#[test]
fn a_cluster_whose_object_cannot_be_used_is_waited_for_and_not_forgotten() {
    let mut fleet = restarted_with_a_deletion();
    let mut nonsense = cluster_object("c2");
    nonsense["spec"]["networks"] = json!(["no network"]);
    let objects = vec![cluster_object("c1"), nonsense];
    let dirty = fleet.index.clusters(dynamic(Event::Reset(objects)), fleet.now);
    fleet.note(dirty);
    fleet.list_federated_namespaces();
    fleet.list_members();
    fleet.list_federated();
    assert_eq!(fleet.settle(), [FROM_C1]);
    assert_eq!(fleet.inventory("web"), ["c2"]);
    let condition = fleet.condition("web");
    assert!(condition.contains("c2 (ClusterNotReady)"), "{condition}");
    fleet.edit_cluster("c2", |_| {});
    fleet.list_members();
    assert_eq!(fleet.settle(), [FROM_C2, FORGOTTEN]);
}

#[test]
fn a_cluster_whose_object_never_was_usable_is_forgotten_once_it_is_deleted() {
    for spec in [json!({"networks": ["no network"]}), json!("not even an object")] {
        let mut fleet = restarted_with_a_deletion();
        let mut nonsense = cluster_object("c2");
        nonsense["spec"] = spec;
        let objects = vec![cluster_object("c1"), nonsense.clone()];
        let dirty = fleet.index.clusters(dynamic(Event::Reset(objects)), fleet.now);
        fleet.note(dirty);
        fleet.list_federated_namespaces();
        fleet.list_members();
        fleet.list_federated();
        assert_eq!(fleet.settle(), [FROM_C1]);
        let dirty = fleet.index.clusters(dynamic(Event::Delete(nonsense)), fleet.now);
        fleet.note(dirty);
        assert_eq!(fleet.settle(), [FORGOTTEN]);
        assert!(fleet.index.problem("Cluster", name("c2").as_str()).is_none());
    }
}

#[test]
fn a_federated_namespace_that_cannot_be_used_does_not_empty_its_namespace() {
    let mut fleet = restarted();
    fleet.list_clusters();
    fleet.federated_namespace(Event::Reset(vec![federated_namespace(json!("not even an object"))]));
    fleet.list_members();
    fleet.list_federated();
    assert_eq!(fleet.settle(), NONE);
    // It is gone, and that is what its user wants.
    fleet.federated_namespace(Event::Delete(federated_namespace(json!({}))));
    assert_eq!(fleet.settle(), [FROM_C1, FROM_C2]);
}
