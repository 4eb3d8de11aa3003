//! The life of a FederatedDeployment as the index hands it out, from create to gone.
//!
//! The plan itself is tested where it is made. Here it is about when a step may be carried out: not before
//! the host remembers the cluster, not twice, and not again before the watch has shown the last result.

mod support;

use std::time::Duration;

use meridian_controller_index::{Dirty, Event, StepEnd, WatchFailure};
use meridian_federation_core::ClusterOutcome;
use serde_json::json;
use support::sync::{Fleet, Job, deployments, key};
use support::{dynamic, name, nothing};

const NONE: [&str; 0] = [];

#[track_caller]
fn check(fleet: &mut Fleet, expected: &[&str]) {
    assert_eq!(fleet.plan(), expected);
}

/// One object, settled in c1 and c2.
fn settled() -> Fleet {
    let mut fleet = Fleet::new(&["c1", "c2"]);
    fleet.create("web");
    assert_eq!(fleet.settle().len(), 3);
    fleet
}

#[test]
fn finalizer_and_inventory_come_before_the_first_create() {
    let mut fleet = Fleet::new(&["c1", "c2"]);
    fleet.create("web");
    check(&mut fleet, &["web host: finalizer"]);
    assert!(fleet.take_steps().is_empty());
    fleet.finish();
    assert_eq!(fleet.inventory("web"), ["c1", "c2"]);
    check(&mut fleet, &["web c1: create", "web c2: create"]);
    fleet.finish();
    assert_eq!(fleet.settle(), NONE);
    assert_eq!(fleet.condition("web"), "Propagated: as wanted in 2 clusters");
    // The UIDs are remembered, so that a later object of the same name is not taken for ours.
    assert!(fleet.host["web"]["status"]["inventory"][0]["uid"].is_string());
}

#[test]
fn nothing_is_handed_out_twice_while_it_is_under_way() {
    let mut fleet = Fleet::new(&["c1", "c2"]);
    fleet.create("web");
    fleet.plan();
    fleet.finish();
    fleet.plan();
    let steps = fleet.take_steps();
    assert_eq!(steps.len(), 2);
    fleet.finish();
    // The user changes his mind meanwhile; the create runs on, and the change waits for its end.
    fleet.edit_host("web", |stored| {
        stored["spec"]["template"]["spec"]["replicas"] = json!(5);
    });
    check(&mut fleet, &[]);
    for job in steps {
        fleet.end(job);
    }
    fleet.show("c1", "web");
    let told = fleet.plan();
    assert!(
        told.len() == 1 && told[0].starts_with("web c1: update"),
        "c2 has not been shown yet: {told:?}"
    );
}

#[test]
fn a_written_object_that_the_watch_has_not_shown_is_not_created_again() {
    let mut fleet = Fleet::new(&["c1"]);
    fleet.create("web");
    fleet.plan();
    fleet.finish();
    fleet.plan();
    for job in fleet.take_steps() {
        fleet.end(job);
    }
    assert_eq!(fleet.settle(), NONE, "the view has no object, yet one was written");
    fleet.show("c1", "web");
    assert_eq!(fleet.settle(), NONE);
    assert_eq!(fleet.condition("web"), "Propagated: as wanted in 1 clusters");
}

#[test]
fn an_object_that_vanished_before_the_watch_showed_it_is_created_after_the_next_list() {
    let mut fleet = Fleet::new(&["c1"]);
    fleet.create("web");
    fleet.plan();
    fleet.finish();
    fleet.plan();
    for job in fleet.take_steps() {
        fleet.end(job);
    }
    fleet.settle();
    fleet.members.get_mut("c1").expect("a member").clear();
    fleet.relist("c1");
    check(&mut fleet, &["web c1: create"]);
}

#[test]
fn a_no_op_event_wakes_nobody() {
    let mut fleet = settled();
    let stored = fleet.members["c1"]["web"].clone();
    assert_eq!(
        fleet
            .index
            .managed(&name("c1"), &deployments(), dynamic(Event::Apply(stored.clone()))),
        nothing()
    );
    assert_eq!(
        fleet
            .index
            .managed(&name("c1"), &deployments(), dynamic(Event::Reset(vec![stored]))),
        nothing()
    );
    let absent = json!({"metadata": {"namespace": "shop", "name": "absent"}});
    assert_eq!(
        fleet
            .index
            .managed(&name("c1"), &deployments(), dynamic(Event::Delete(absent.clone()))),
        nothing()
    );
    assert_eq!(
        fleet
            .index
            .federated(&deployments(), dynamic(Event::Apply(fleet.host["web"].clone()))),
        nothing()
    );
    assert_eq!(
        fleet
            .index
            .federated(&deployments(), dynamic(Event::Reset(vec![fleet.host["web"].clone()]))),
        nothing()
    );
    assert_eq!(
        fleet.index.federated(&deployments(), dynamic(Event::Delete(absent))),
        nothing()
    );
    let unknown = name("nowhere");
    assert_eq!(
        fleet
            .index
            .managed(&unknown, &deployments(), dynamic(Event::Reset(Vec::new()))),
        nothing()
    );
    assert_eq!(
        fleet
            .index
            .managed_watch_failed(&unknown, &deployments(), &WatchFailure::NotServed, fleet.now),
        nothing()
    );
    assert_eq!(fleet.index.connection_replaced(&name("c1")), nothing());
}

/// A new version is looked at whatever differs in it: writes are conditional on versions.
#[test]
fn a_new_version_without_a_difference_is_looked_at_and_leads_to_no_write() {
    let mut fleet = settled();
    fleet.edit_member("c1", "web", |stored| {
        stored["metadata"]["annotations"]["someone"] = json!("was here");
    });
    fleet.edit_member("c2", "web", |stored| stored["status"] = json!({"readyReplicas": 2}));
    fleet.edit_host("web", |stored| {
        stored["metadata"]["annotations"] = json!({"someone": "was here"});
    });
    assert_eq!(fleet.settle(), NONE);
}

/// A kind that a member does not serve is waited for, and placed as soon as it is served.
#[test]
fn a_kind_that_comes_to_be_served_is_placed_then() {
    let mut fleet = Fleet::new(&["c1"]);
    let not_served = WatchFailure::NotServed;
    let dirty = fleet
        .index
        .managed_watch_failed(&name("c1"), &deployments(), &not_served, fleet.now);
    fleet.note(dirty);
    fleet.create("web");
    assert_eq!(fleet.settle(), ["web host: finalizer"]);
    assert_eq!(fleet.condition("web"), "CheckClusters: c1 (KindNotServed)");
    fleet.relist("c1");
    assert_eq!(fleet.settle(), ["web c1: create"]);
}

#[test]
fn drift_leads_to_one_update() {
    let mut fleet = settled();
    fleet.edit_member("c1", "web", |stored| stored["spec"]["replicas"] = json!(9));
    let told = fleet.plan();
    assert!(
        told.len() == 1 && told[0].starts_with("web c1: update") && told[0].ends_with("/spec/replicas differs"),
        "{told:?}"
    );
    fleet.finish();
    assert_eq!(fleet.settle(), NONE);
    assert_eq!(fleet.members["c1"]["web"]["spec"]["replicas"], 2);
    // Deleted by somebody: made again.
    fleet.members.get_mut("c2").expect("a member").clear();
    fleet.show("c2", "web");
    assert_eq!(fleet.settle(), ["web c2: create"]);
}

#[test]
fn a_failure_backs_off_and_is_tried_again() {
    let mut fleet = settled();
    fleet.edit_host("web", |stored| {
        stored["spec"]["template"]["spec"]["replicas"] = json!(3);
    });
    let mut waits = Vec::new();
    for _ in 0..4 {
        fleet.plan();
        for job in fleet.take_steps() {
            let Job::Step(of, cluster, _) = &job else {
                panic!("a step")
            };
            if cluster == "c2" {
                fleet.end(job.clone());
                fleet.show("c2", "web");
                continue;
            }
            let outcome = ClusterOutcome::Failed {
                reason: "Forbidden".to_owned(),
                message: "quota".to_owned(),
            };
            let (dirty, wait) = fleet
                .index
                .step_ended(of, &name("c1"), StepEnd::Failed(outcome), fleet.now);
            fleet.note(dirty);
            waits.push(wait.expect("a time to wait"));
        }
        fleet.finish();
        assert_eq!(fleet.settle(), NONE, "not before its time");
        assert_eq!(fleet.condition("web"), "CheckClusters: c1 (UpdateFailed)");
        fleet.now = fleet.now + *waits.last().expect("a failure");
        fleet.note(Dirty {
            federated: [key("web")].into(),
            ..Default::default()
        });
    }
    assert_eq!(waits, [1, 2, 4, 8].map(Duration::from_secs));
    assert_eq!(
        fleet.members["c2"]["web"]["spec"]["replicas"], 3,
        "the other cluster went on"
    );
    // A back-off is for what failed: once the user asks for something else it is tried at once.
    fleet.now.0 -= 1000;
    assert_eq!(fleet.settle(), NONE, "not before its time");
    fleet.edit_host("web", |stored| {
        stored["spec"]["template"]["spec"]["replicas"] = json!(4);
    });
    assert_eq!(fleet.settle().len(), 2);
    assert_eq!(fleet.condition("web"), "Propagated: as wanted in 2 clusters");
}

#[test]
fn an_unreachable_cluster_waits_and_the_rest_goes_on() {
    let mut fleet = settled();
    fleet.reach("c2", false);
    fleet.edit_host("web", |stored| {
        stored["spec"]["template"]["spec"]["replicas"] = json!(4);
    });
    assert_eq!(fleet.settle(), ["web c1: update uid-5: the wanted object changed"]);
    assert_eq!(fleet.condition("web"), "CheckClusters: c2 (ClusterNotReady)");
    fleet.reach("c2", true);
    let told = fleet.settle();
    assert!(told.len() == 1 && told[0].starts_with("web c2: update"), "{told:?}");
    assert_eq!(fleet.condition("web"), "Propagated: as wanted in 2 clusters");
}

#[test]
fn deletion_removes_from_the_members_and_then_the_finalizer() {
    let mut fleet = settled();
    fleet.delete_on_host("web");
    let told = fleet.plan();
    assert!(
        told.len() == 2 && told.iter().all(|line| line.contains(": delete uid-")),
        "{told:?}"
    );
    let steps = fleet.take_steps();
    fleet.finish();
    for job in steps {
        fleet.end(job);
    }
    assert_eq!(fleet.settle(), NONE, "deleted, but not seen to be gone");
    fleet.show("c1", "web");
    assert_eq!(fleet.settle(), NONE);
    fleet.show("c2", "web");
    assert_eq!(fleet.settle(), ["web host: no finalizer"]);
    assert!(fleet.host.is_empty() && fleet.index.federated_object(&key("web")).is_none());
}

#[test]
fn deletion_with_an_unreachable_cluster_keeps_the_finalizer_and_names_it() {
    let mut fleet = settled();
    fleet.reach("c2", false);
    fleet.delete_on_host("web");
    let told = fleet.settle();
    assert!(told.len() == 1 && told[0].starts_with("web c1: delete"), "{told:?}");
    assert_eq!(
        fleet.condition("web"),
        "Deleting: still to be dealt with: c2 (ClusterNotReady)"
    );
    assert!(
        !fleet.host["web"]["metadata"]["finalizers"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
    fleet.reach("c2", true);
    let told = fleet.settle();
    assert!(
        told.len() == 2 && told[0].starts_with("web c2: delete") && told[1] == "web host: no finalizer",
        "{told:?}"
    );
    assert!(fleet.host.is_empty() && fleet.members.values().all(|member| member.is_empty()));
}

#[test]
fn a_replaced_connection_frees_what_was_under_way() {
    let mut fleet = settled();
    fleet.edit_host("web", |stored| {
        stored["spec"]["template"]["spec"]["replicas"] = json!(6);
    });
    fleet.plan();
    let lost = fleet.take_steps();
    fleet.finish();
    assert_eq!((lost.len(), fleet.settle().len()), (2, 0));
    let dirty = fleet.index.connection_replaced(&name("c1"));
    assert_eq!(dirty.federated, [key("web")].into());
    fleet.note(dirty);
    let told = fleet.settle();
    assert!(
        told.len() == 1 && told[0].starts_with("web c1: update"),
        "only there: {told:?}"
    );
}

/// What was written before the connection was replaced is there; only the new list has yet to show it.
#[test]
fn a_replaced_connection_does_not_repeat_what_ended() {
    let mut fleet = Fleet::new(&["c1"]);
    fleet.create("web");
    fleet.plan();
    fleet.finish();
    fleet.plan();
    for job in fleet.take_steps() {
        fleet.end(job);
    }
    fleet.settle();
    let dirty = fleet.index.connection_replaced(&name("c1"));
    fleet.note(dirty);
    assert_eq!(fleet.settle(), NONE);
    fleet.relist("c1");
    assert_eq!(fleet.settle(), NONE);
    assert_eq!(fleet.condition("web"), "Propagated: as wanted in 1 clusters");
}

/// The watch of the host may be faster than the answer to our write.
#[test]
fn a_host_write_that_came_too_late_is_decided_anew() {
    let mut fleet = settled();
    fleet.reach("c2", false);
    fleet.plan();
    assert!(
        matches!(fleet.jobs.as_slice(), [Job::Host(..)]),
        "the condition changes"
    );
    fleet.edit_host("web", |stored| {
        stored["metadata"]["annotations"] = json!({"someone": "was here"});
    });
    fleet.plan();
    fleet.finish();
    fleet.settle();
    assert_eq!(fleet.condition("web"), "CheckClusters: c2 (ClusterNotReady)");
}
