//! How much may be deleted in a cluster at once because of placement.
//!
//! A wrong selector, a label taken off a `Cluster` or a namespace deselected by mistake asks for many
//! deletions in one moment. More than the limit is refused as a whole: carrying out a part would only
//! choose the victims at random. An operator who means it says how many on the `Cluster`.
//!
//! One mistake does not arrive in one moment: a part of the objects may not be seen yet, or users change one
//! object after the other. So what was deleted shortly before counts too, see [`DELETION_WINDOW`].
//!
//! Deletions of federated objects by a user are not counted, neither here nor by the caller: a delete is
//! not an accident of placement. Clusters are judged one by one, so none is held because of another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{ClusterFacts, ClusterName};

/// This many deletions are always allowed: a share of a small fleet means nothing.
pub const DELETION_LIMIT_FLOOR: usize = 10;
/// Beyond the floor, this share of the managed objects of a cluster, in percent.
pub const DELETION_LIMIT_PERCENT: usize = 30;

/// Deletions this close together are judged as one change; while a cluster is held, all since the first of them.
pub const DELETION_WINDOW: Duration = Duration::from_secs(60);

/// The clusters where no deletion because of placement may be carried out now. `wanted` is how many the
/// current plans have in each cluster, `managed` how many objects of ours are there, both with those deleted
/// within the window. A cluster is not held
/// when its `confirmed_deletions` are at least as many as wanted.
pub fn deletion_holds(
    wanted: &BTreeMap<ClusterName, usize>,
    managed: &BTreeMap<ClusterName, usize>,
    clusters: &BTreeMap<ClusterName, ClusterFacts>,
) -> BTreeSet<ClusterName> {
    let held = |(cluster, wanted): &(&ClusterName, &usize)| {
        let managed = managed.get(*cluster).copied().unwrap_or(0);
        let limit = DELETION_LIMIT_FLOOR.max(managed.saturating_mul(DELETION_LIMIT_PERCENT) / 100);
        let confirmed = clusters.get(*cluster).map_or(0, |facts| facts.confirmed_deletions);
        **wanted > limit && usize::try_from(confirmed).unwrap_or(usize::MAX) < **wanted
    };
    wanted.iter().filter(held).map(|(cluster, _)| cluster.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: usize, managed: usize, confirmed: u32, held: bool) {
        let name = ClusterName::new("a");
        let facts = ClusterFacts {
            confirmed_deletions: confirmed,
            ..ClusterFacts::default()
        };
        let holds = deletion_holds(
            &BTreeMap::from([(name.clone(), wanted), (ClusterName::new("quiet"), 0)]),
            &BTreeMap::from([(name.clone(), managed)]),
            &BTreeMap::from([(name.clone(), facts)]),
        );
        assert_eq!(
            holds.contains(&name),
            held,
            "{wanted} of {managed}, {confirmed} confirmed"
        );
        assert_eq!(holds.len(), usize::from(held));
    }

    #[test]
    fn the_limit_is_a_share_with_a_floor_and_can_be_confirmed() {
        check(10, 10, 0, false);
        check(11, 11, 0, true);
        check(11, 36, 0, true);
        check(11, 37, 0, false);
        check(30, 100, 0, false);
        check(31, 100, 0, true);
        check(31, 100, 30, true);
        check(31, 100, 31, false);
        // Nothing known of the cluster: the floor alone.
        check(11, 0, 0, true);
        check(usize::MAX, usize::MAX, u32::MAX, true);
    }
}
