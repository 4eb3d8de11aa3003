//! A policy in a saved snapshot: the tree that it was made of, to be checked and compiled again.
//!
//! The tree is written as a list, each node before its branches. Refused: the nested form that would be
//! derived. A file could then nest so deep that reading it overflows the stack, which nothing can catch.

use std::sync::Arc;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tree::{GeoCondition, GeoRule, LatencyRow, PolicyTree, WeightedBranch};
use super::{ClientKey, MAX_POLICY_DEPTH, Policy};
use crate::SiteName;

/// A node; its branches follow it.
#[derive(Serialize, Deserialize)]
enum Node {
    Site(SiteName),
    Named(String),
    Nearest {
        sites: Option<Vec<SiteName>>,
        within_km: Option<u32>,
    },
    Latency {
        sites: Option<Vec<SiteName>>,
        matrix: Vec<LatencyRow>,
    },
    /// The weights of its branches.
    Weighted(Vec<u32>),
    /// How many branches it has.
    Failover(u32),
    RoundRobin(Option<Vec<SiteName>>),
    /// The conditions of its branches, and whether one more follows for all others.
    Geo(Vec<GeoCondition>, bool),
    Manual(Vec<SiteName>),
}

#[derive(Serialize, Deserialize)]
struct Saved {
    nodes: Vec<Node>,
    /// Prefix lengths of the [`ClientKey`].
    key: (u8, u8),
    sticky: bool,
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut nodes = Vec::new();
        write(&self.tree, &mut nodes);
        let (key, sticky) = (self.key.lengths(), self.sticky);
        Saved { nodes, key, sticky }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Saved { nodes, key, sticky } = Saved::deserialize(deserializer)?;
        let mut nodes = nodes.into_iter();
        let tree = read(&mut nodes, 0).filter(|_| nodes.next().is_none());
        let tree = tree.ok_or_else(|| D::Error::custom("a policy is not a whole tree, or too deep"))?;
        let key = ClientKey::new(key.0, key.1).map_err(D::Error::custom)?;
        Self::compile(&tree, key, sticky).map_err(D::Error::custom)
    }
}

fn write(tree: &PolicyTree, nodes: &mut Vec<Node>) {
    let mut branches: Vec<&PolicyTree> = Vec::new();
    nodes.push(match tree {
        PolicyTree::Site(site) => Node::Site(site.clone()),
        PolicyTree::Named(name, inner) => {
            branches.push(inner);
            Node::Named(name.clone())
        }
        PolicyTree::Nearest { sites, within_km } => Node::Nearest {
            sites: sites.clone(),
            within_km: *within_km,
        },
        PolicyTree::Latency { sites, matrix } => Node::Latency {
            sites: sites.clone(),
            matrix: matrix.to_vec(),
        },
        PolicyTree::Weighted(all) => {
            branches.extend(all.iter().map(|branch| &*branch.branch));
            Node::Weighted(all.iter().map(|branch| branch.weight).collect())
        }
        PolicyTree::Failover(all) => {
            branches.extend(all.iter().map(|branch| &**branch));
            Node::Failover(u32::try_from(all.len()).unwrap_or(u32::MAX))
        }
        PolicyTree::RoundRobin { sites } => Node::RoundRobin(sites.clone()),
        PolicyTree::Geo { rules, otherwise } => {
            branches.extend(rules.iter().map(|rule| &*rule.branch));
            branches.extend(otherwise.as_deref());
            Node::Geo(
                rules.iter().map(|rule| rule.condition.clone()).collect(),
                otherwise.is_some(),
            )
        }
        PolicyTree::Manual(sites) => Node::Manual(sites.clone()),
    });
    for branch in branches {
        write(branch, nodes);
    }
}

/// The next tree; `None` if the list ends within it, or if it is deeper than a policy can be.
fn read(nodes: &mut impl Iterator<Item = Node>, depth: usize) -> Option<PolicyTree> {
    if depth > 2 * MAX_POLICY_DEPTH {
        return None;
    }
    let node = nodes.next()?;
    let mut branch = || read(nodes, depth + 1).map(Arc::new);
    Some(match node {
        Node::Site(site) => PolicyTree::Site(site),
        Node::Named(name) => PolicyTree::Named(name, branch()?),
        Node::Nearest { sites, within_km } => PolicyTree::Nearest { sites, within_km },
        Node::Latency { sites, matrix } => PolicyTree::Latency {
            sites,
            matrix: matrix.into(),
        },
        Node::Weighted(weights) => {
            let mut weighted = |weight| branch().map(|branch| WeightedBranch { weight, branch });
            PolicyTree::Weighted(weights.into_iter().map(&mut weighted).collect::<Option<_>>()?)
        }
        Node::Failover(count) => PolicyTree::Failover((0..count).map(|_| branch()).collect::<Option<_>>()?),
        Node::RoundRobin(sites) => PolicyTree::RoundRobin { sites },
        Node::Geo(conditions, has_otherwise) => {
            let mut rule = |condition| branch().map(|branch| GeoRule { condition, branch });
            let rules = conditions.into_iter().map(&mut rule).collect::<Option<_>>()?;
            let otherwise = if has_otherwise { Some(branch()?) } else { None };
            PolicyTree::Geo { rules, otherwise }
        }
        Node::Manual(sites) => PolicyTree::Manual(sites),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_comes_back_as_it_was() {
        let site = |name: &str| SiteName::new(name);
        let leaf = |name: &str| Arc::new(PolicyTree::Site(site(name)));
        let weighted = PolicyTree::Weighted(vec![
            WeightedBranch {
                weight: 3,
                branch: leaf("a"),
            },
            WeightedBranch {
                weight: 0,
                branch: Arc::new(PolicyTree::Failover(vec![leaf("b"), leaf("c")])),
            },
        ]);
        let latency = PolicyTree::Latency {
            sites: None,
            matrix: Arc::from([LatencyRow {
                network: "192.0.2.0/24".parse().expect("a network"),
                milliseconds: vec![(site("a"), 7)],
            }]),
        };
        let tree = PolicyTree::Geo {
            rules: vec![GeoRule {
                condition: GeoCondition {
                    countries: vec!["TW".to_owned()],
                    ..GeoCondition::default()
                },
                branch: Arc::new(PolicyTree::Named("mix".to_owned(), Arc::new(weighted))),
            }],
            otherwise: Some(Arc::new(latency)),
        };
        for tree in [
            tree,
            PolicyTree::Manual(vec![site("b")]),
            PolicyTree::RoundRobin { sites: None },
            PolicyTree::Nearest {
                sites: Some(vec![site("a")]),
                within_km: Some(100),
            },
        ] {
            let policy = Policy::compile(&tree, ClientKey::default(), true).expect("a good policy");
            let octets = postcard::to_allocvec(&policy).expect("octets");
            assert_eq!(postcard::from_bytes::<Policy>(&octets), Ok(policy));
            for end in 0..octets.len() {
                assert!(postcard::from_bytes::<Policy>(&octets[..end]).is_err());
            }
        }
    }

    #[test]
    fn a_tree_without_end_is_refused() {
        let mut nodes: Vec<_> = (0..100_000).map(|_| Node::Named(String::new())).collect();
        nodes.push(Node::Manual(vec![SiteName::new("a")]));
        let saved = Saved {
            nodes,
            key: (24, 48),
            sticky: false,
        };
        let octets = postcard::to_allocvec(&saved).expect("octets");
        assert!(postcard::from_bytes::<Policy>(&octets).is_err());
    }
}
