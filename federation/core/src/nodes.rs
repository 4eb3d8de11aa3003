//! Where a cluster's nodes are, counted as they come and go.
//!
//! The counts make the cluster's place cost the same with 5 nodes as with 5,000: it is asked for at every
//! change of every service.

use std::collections::BTreeMap;

use crate::NodePlace;

/// The places of a cluster's nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes {
    places: BTreeMap<String, NodePlace>,
    regions: BTreeMap<String, usize>,
    zones: BTreeMap<String, usize>,
}

impl Nodes {
    /// Adds a node, or replaces what was known of it.
    pub fn insert(&mut self, name: String, place: NodePlace) {
        self.remove(&name);
        count(&mut self.regions, place.region.as_ref(), 1);
        count(&mut self.zones, place.zone.as_ref(), 1);
        self.places.insert(name, place);
    }

    /// Takes a node out.
    pub fn remove(&mut self, name: &str) {
        if let Some(place) = self.places.remove(name) {
            count(&mut self.regions, place.region.as_ref(), -1);
            count(&mut self.zones, place.zone.as_ref(), -1);
        }
    }

    /// The region of most nodes, the first by name among equals, so that one odd node does not move a
    /// cluster.
    pub fn region(&self) -> Option<&String> {
        let most = self.regions.values().max()?;
        self.regions
            .iter()
            .find(|(_, count)| *count == most)
            .map(|(region, _)| region)
    }

    /// All zones that have a node, sorted.
    pub fn zones(&self) -> impl Iterator<Item = &String> {
        self.zones.keys()
    }
}

impl FromIterator<(String, NodePlace)> for Nodes {
    fn from_iter<T: IntoIterator<Item = (String, NodePlace)>>(nodes: T) -> Self {
        let mut all = Self::default();
        for (name, place) in nodes {
            all.insert(name, place);
        }
        all
    }
}

fn count(counts: &mut BTreeMap<String, usize>, key: Option<&String>, step: isize) {
    let Some(key) = key else { return };
    let next = counts.get(key).copied().unwrap_or(0).saturating_add_signed(step);
    if next == 0 {
        counts.remove(key);
    } else {
        counts.insert(key.clone(), next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(region: &str, zone: &str) -> NodePlace {
        NodePlace {
            region: Some(region.to_owned()),
            zone: Some(zone.to_owned()),
        }
    }

    #[test]
    fn counts_follow_the_nodes() {
        let mut nodes: Nodes = [("a", "r1", "z1"), ("b", "r1", "z2"), ("c", "r2", "z3")]
            .map(|(name, region, zone)| (name.to_owned(), place(region, zone)))
            .into_iter()
            .collect();
        let zones = |nodes: &Nodes| nodes.zones().cloned().collect::<Vec<_>>();
        assert_eq!(
            (nodes.region().map(String::as_str), zones(&nodes).len()),
            (Some("r1"), 3)
        );
        // A node that moves is counted once.
        nodes.insert("b".to_owned(), place("r2", "z3"));
        assert_eq!(nodes.region().map(String::as_str), Some("r2"));
        assert_eq!(zones(&nodes), ["z1", "z3"]);
        for name in ["a", "b", "c", "nobody"] {
            nodes.remove(name);
        }
        assert_eq!(nodes, Nodes::default());
    }
}
