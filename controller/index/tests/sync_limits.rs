//! How much a change of placement may delete in a cluster at once, over many objects.
//!
//! The limit is of a cluster and not of an object, so an index that plans only what is dirty must still
//! count the others: a hold reaches objects that nobody touched, and so does its end.

mod support;

use meridian_federation_core::DELETION_WINDOW;
use serde_json::json;
use support::sync::Fleet;

/// This many objects in c1 and c2.
fn fleet(count: usize) -> Fleet {
    let mut fleet = Fleet::new(&["c1", "c2"]);
    for number in 0..count {
        fleet.create(&format!("web-{number:02}"));
    }
    fleet.settle();
    assert!(fleet.members.values().all(|member| member.len() == count));
    fleet
}

fn deselect(fleet: &mut Fleet, number: usize) {
    fleet.edit_host(&format!("web-{number:02}"), |stored| {
        stored["spec"]["placement"] = json!({"clusters": [{"name": "c2"}]});
    });
}

fn select(fleet: &mut Fleet, number: usize) {
    fleet.edit_host(&format!("web-{number:02}"), |stored| {
        stored["spec"]["placement"] = json!({"clusters": [{"name": "c1"}, {"name": "c2"}]});
    });
}

fn in_c1(fleet: &Fleet) -> usize {
    fleet.members["c1"].len()
}

#[test]
fn a_label_that_deselects_everything_is_held_until_confirmed() {
    let mut fleet = fleet(40);
    fleet.edit_cluster("c1", |object| object["metadata"]["labels"] = json!({"env": "oops"}));
    assert_eq!(fleet.settle(), [""; 0]);
    assert_eq!(in_c1(&fleet), 40);
    assert_eq!(fleet.condition("web-07"), "CheckClusters: c1 (DeletionLimit)");
    let confirm = |count: &'static str| {
        move |object: &mut serde_json::Value| {
            object["metadata"]["labels"] = json!({"env": "oops"});
            object["metadata"]["annotations"] = json!({"meridian.dev/confirm-deletions": count});
        }
    };
    fleet.edit_cluster("c1", confirm("39"));
    assert_eq!(fleet.settle(), [""; 0], "not what was confirmed");
    fleet.edit_cluster("c1", confirm("40"));
    assert_eq!(fleet.settle().len(), 40);
    assert_eq!((in_c1(&fleet), fleet.members["c2"].len()), (0, 40));
}

#[test]
fn a_label_put_back_ends_the_hold_without_a_write() {
    let mut fleet = fleet(40);
    fleet.edit_cluster("c1", |object| object["metadata"]["labels"] = json!({}));
    fleet.settle();
    fleet.edit_cluster("c1", |_| {});
    assert_eq!(fleet.settle(), [""; 0]);
    assert_eq!(fleet.condition("web-07"), "Propagated: as wanted in 2 clusters");
}

#[test]
fn what_tips_over_the_limit_holds_all_and_its_return_frees_all() {
    let mut fleet = fleet(20);
    for number in 0..11 {
        deselect(&mut fleet, number);
    }
    assert_eq!(fleet.settle(), [""; 0], "11 of 20 are too many");
    // The user takes one back: the other ten are allowed, and nobody else has touched them.
    select(&mut fleet, 3);
    assert_eq!(fleet.settle().len(), 10);
    assert_eq!(in_c1(&fleet), 10);
    assert!(fleet.members["c1"].contains_key("web-03"));
}

/// The watch lags behind the writes: what it has not shown yet is a victim all the same.
#[test]
fn what_was_written_and_not_shown_yet_counts_too() {
    let mut fleet = Fleet::new(&["c1"]);
    for number in 0..15 {
        fleet.create(&format!("web-{number:02}"));
    }
    fleet.plan();
    fleet.finish();
    fleet.plan();
    for (number, job) in fleet.take_steps().into_iter().enumerate() {
        fleet.end(job);
        if number < 8 {
            fleet.show("c1", &format!("web-{number:02}"));
        }
    }
    fleet.edit_cluster("c1", |object| object["metadata"]["labels"] = json!({"env": "oops"}));
    fleet.settle();
    for number in 8..15 {
        fleet.show("c1", &format!("web-{number:02}"));
    }
    fleet.settle();
    assert_eq!(in_c1(&fleet), 15);
    assert_eq!(fleet.condition("web-12"), "CheckClusters: c1 (DeletionLimit)");
}

/// A controller sees a mistake in parts: the watch has not shown all objects yet, or the user goes through them.
#[test]
fn one_mistake_that_comes_in_parts_is_counted_as_one() {
    let mut fleet = fleet(20);
    for number in 0..8 {
        deselect(&mut fleet, number);
    }
    assert_eq!(fleet.settle().len(), 8, "within the limit");
    for number in 8..15 {
        deselect(&mut fleet, number);
    }
    assert_eq!(fleet.settle(), [""; 0], "15 of 20 are too many");
    assert_eq!(in_c1(&fleet), 12);
    // What is held does not go because time passes.
    fleet.now = fleet.now + DELETION_WINDOW;
    fleet.edit_host("web-09", |stored| {
        stored["spec"]["template"]["spec"]["replicas"] = json!(5);
    });
    assert_eq!(fleet.settle().len(), 1, "c2 gets its change");
    assert_eq!(in_c1(&fleet), 12);
    // Taken back, it ends the hold; a later change is another one.
    for number in 8..15 {
        select(&mut fleet, number);
    }
    fleet.settle();
    fleet.now = fleet.now + DELETION_WINDOW;
    for number in 8..15 {
        deselect(&mut fleet, number);
    }
    assert_eq!(fleet.settle().len(), 7);
    assert_eq!(in_c1(&fleet), 5);
}

#[test]
fn a_share_within_the_limit_goes_at_once() {
    let mut fleet = fleet(20);
    for number in 0..10 {
        deselect(&mut fleet, number);
    }
    assert_eq!(fleet.settle().len(), 10);
    assert_eq!(in_c1(&fleet), 10);
}

#[test]
fn what_a_user_deletes_is_not_counted() {
    let mut fleet = fleet(20);
    for number in 0..20 {
        fleet.delete_on_host(&format!("web-{number:02}"));
    }
    let told = fleet.settle();
    assert_eq!(told.iter().filter(|line| line.contains(": delete")).count(), 40);
    assert!(fleet.host.is_empty());
}

#[test]
fn a_hold_in_one_cluster_is_none_of_another_ones_business() {
    let mut fleet = fleet(20);
    fleet.edit_cluster("c1", |object| object["metadata"]["labels"] = json!({}));
    fleet.settle();
    fleet.edit_host("web-05", |stored| stored["spec"]["placement"] = json!({"clusters": []}));
    let told = fleet.settle();
    assert!(told.len() == 1 && told[0].starts_with("web-05 c2: delete"), "{told:?}");
}
