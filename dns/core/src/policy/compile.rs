//! From a tree as written to one that is consulted: checked, with everything worked out that does not
//! depend on a client.
//!
//! What must stay true: a compiled policy is bounded, since references by name make a tree of exponential
//! size out of few objects; and the numbers that decide a client's branch depend on the names of branches
//! and on where they stand, not on the order they are written in, so that a new one moves few clients.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;

use super::geo::Conditions;
use super::key::seed;
use super::latency::{self, Matrix};
use super::tree::PolicyTree;
use super::{ClientKey, Policy};
use crate::SiteName;

/// So many policies may be inside each other.
pub const MAX_POLICY_DEPTH: usize = 16;
/// Branches, rules, networks, and rows of a matrix, all together.
const MAX_PARTS: usize = 8192;

/// What is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// A list without which the policy says nothing.
    #[error("is empty; name at least one")]
    Empty,
    /// No branch has a share.
    #[error("all weights are 0, so nobody has a share; give one branch a weight")]
    WeightOfNothing,
    /// Two branches are one.
    #[error("{0} is there twice; add their weights in one")]
    Twice(String),
    /// Two rows of a matrix are about one network.
    #[error("network {0} is there twice; keep one")]
    TwiceMeasured(IpNet),
    /// Not a code.
    #[error("{0:?} is not the code of {1} (EU, DE, US-CA)")]
    OddCode(String, &'static str),
    /// A rule without a condition.
    #[error("has no condition, so it would apply to all; use `otherwise` for that")]
    RuleForAll,
    /// A prefix that is no prefix of clients.
    #[error("a client's prefix has 8 to 32 bits of IPv4 and 16 to 128 of IPv6")]
    KeyLength,
    /// Policies in policies in policies.
    #[error("more than {MAX_POLICY_DEPTH} policies inside each other")]
    TooDeep,
    /// Too much to consult.
    #[error("more than {MAX_PARTS} branches, rules, networks and rows, with those of all policies it leads to")]
    TooLarge,
}

/// What is wrong with a policy, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// The policy, if it is one with a name.
    pub policy: Option<String>,
    /// Its field, such as `branches[1]`.
    pub field: String,
    /// What is wrong.
    pub problem: PolicyProblem,
}

impl std::error::Error for PolicyError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(policy) = &self.policy {
            write!(f, "policy {policy}: ")?;
        }
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl PolicyError {
    fn at(field: impl Into<String>, problem: PolicyProblem) -> Self {
        Self {
            policy: None,
            field: field.into(),
            problem,
        }
    }

    /// The same, seen from the policy around it.
    fn inside(mut self, field: impl FnOnce() -> String) -> Self {
        if self.policy.is_none() {
            let inner = std::mem::take(&mut self.field);
            let dot = if inner.is_empty() { "" } else { "." };
            self.field = format!("{}{dot}{inner}", field());
        }
        self
    }
}

/// A set of sites; `None` for all.
pub(super) type Selection = Option<BTreeSet<SiteName>>;

/// A policy with what is known before a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: Option<String>,
    pub(super) kind: Kind,
}

/// A branch of a [`Kind::Weighted`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) label: String,
    pub(super) seed: u64,
    pub(super) weight: u32,
    pub(super) node: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Site(SiteName),
    Nearest {
        sites: Selection,
        within_km: Option<u32>,
        seed: u64,
    },
    Latency {
        sites: Selection,
        matrix: Matrix,
    },
    Weighted(Vec<Share>),
    Failover(Vec<Node>),
    RoundRobin(Selection),
    Geo {
        conditions: Conditions,
        branches: Vec<Node>,
        otherwise: Option<Box<Node>>,
    },
    Manual(Vec<SiteName>),
}

impl Policy {
    /// Checks a tree and makes a policy of it. Clients with the same key are one; `sticky` keeps a client
    /// also where a kind would not, which is the rotation of [`PolicyTree::RoundRobin`].
    pub fn compile(tree: &PolicyTree, key: ClientKey, sticky: bool) -> Result<Self, PolicyError> {
        let mut parts = 0;
        let root = node(tree, 0, 0, &mut parts)?;
        let mut named = Some(BTreeSet::new());
        root.collect(&mut named);
        Ok(Self {
            named,
            key,
            sticky,
            tree: tree.clone(),
            by_client: root.by_client(sticky),
            rotates: root.rotates(),
            root,
        })
    }
}

fn node(tree: &PolicyTree, salt: u64, depth: usize, parts: &mut usize) -> Result<Node, PolicyError> {
    let here = |problem| PolicyError::at("", problem);
    if depth > 2 * MAX_POLICY_DEPTH {
        return Err(here(PolicyProblem::TooDeep));
    }
    *parts += match tree {
        PolicyTree::Latency { matrix, .. } => 1 + matrix.len(),
        PolicyTree::Geo { rules, .. } => {
            1 + rules
                .iter()
                .map(|rule| 1 + rule.condition.networks.len())
                .sum::<usize>()
        }
        _ => 1,
    };
    if *parts > MAX_PARTS {
        return Err(here(PolicyProblem::TooLarge));
    }
    let salt = seed(salt, &tree.label());
    let kind = match tree {
        PolicyTree::Named(name, tree) => {
            let inner = node(tree, salt, depth + 1, parts).map_err(|mut error| {
                error.policy.get_or_insert_with(|| name.clone());
                error
            })?;
            return Ok(Node {
                name: Some(name.clone()),
                ..inner
            });
        }
        PolicyTree::Site(site) => Kind::Site(site.clone()),
        PolicyTree::Nearest { sites, within_km } => Kind::Nearest {
            sites: set(sites.as_deref())?,
            within_km: *within_km,
            seed: salt,
        },
        PolicyTree::Latency { sites, matrix } => Kind::Latency {
            sites: set(sites.as_deref())?,
            matrix: latency::compile(matrix).map_err(|problem| PolicyError::at("latency", problem))?,
        },
        PolicyTree::Weighted(branches) => {
            let mut shares: Vec<Share> = Vec::new();
            for (index, branch) in branches.iter().enumerate() {
                let label = branch.branch.label();
                let made = if shares.iter().any(|share| share.label == label) {
                    Err(here(PolicyProblem::Twice(label.clone())))
                } else {
                    node(&branch.branch, salt, depth + 1, parts)
                };
                shares.push(Share {
                    seed: seed(salt, &label),
                    weight: branch.weight,
                    node: made.map_err(|error| error.inside(|| format!("branches[{index}]")))?,
                    label,
                });
            }
            if shares.is_empty() {
                return Err(PolicyError::at("branches", PolicyProblem::Empty));
            }
            if shares.iter().all(|share| share.weight == 0) {
                return Err(PolicyError::at("branches", PolicyProblem::WeightOfNothing));
            }
            Kind::Weighted(shares)
        }
        PolicyTree::Failover(branches) => Kind::Failover(
            branches
                .iter()
                .enumerate()
                .map(|(index, branch)| {
                    let made = node(branch, salt, depth + 1, parts);
                    made.map_err(|error| error.inside(|| format!("branches[{index}]")))
                })
                .collect::<Result<Vec<_>, _>>()
                .and_then(|made| not_empty(made, "branches"))?,
        ),
        PolicyTree::RoundRobin { sites } => Kind::RoundRobin(set(sites.as_deref())?),
        PolicyTree::Geo { rules, otherwise } => {
            let conditions = Conditions::compile(rules.iter().map(|rule| &rule.condition))
                .map_err(|(index, problem)| PolicyError::at(format!("rules[{index}]"), problem))?;
            let mut branches = Vec::new();
            for (index, rule) in rules.iter().enumerate() {
                let made = node(&rule.branch, salt, depth + 1, parts);
                branches.push(made.map_err(|error| error.inside(|| format!("rules[{index}]")))?);
            }
            let otherwise = otherwise.as_ref().map(|tree| {
                let made = node(tree, salt, depth + 1, parts);
                made.map_err(|error| error.inside(|| "otherwise".to_owned()))
            });
            Kind::Geo {
                conditions,
                branches: not_empty(branches, "rules")?,
                otherwise: otherwise.transpose()?.map(Box::new),
            }
        }
        PolicyTree::Manual(sites) => Kind::Manual(not_empty(sites.clone(), "sites")?),
    };
    Ok(Node { name: None, kind })
}

fn set(sites: Option<&[SiteName]>) -> Result<Selection, PolicyError> {
    let sites = sites.map(|sites| not_empty(sites.to_vec(), "sites")).transpose()?;
    Ok(sites.map(|sites| sites.into_iter().collect()))
}

fn not_empty<T>(list: Vec<T>, field: &str) -> Result<Vec<T>, PolicyError> {
    if list.is_empty() {
        return Err(PolicyError::at(field, PolicyProblem::Empty));
    }
    Ok(list)
}

impl Node {
    /// Adds the sites that it names; `None` once it names all.
    fn collect(&self, named: &mut Selection) {
        match &self.kind {
            Kind::Site(site) => add(named, Some([site])),
            Kind::Manual(sites) => add(named, Some(sites)),
            Kind::Nearest { sites, .. } | Kind::Latency { sites, .. } | Kind::RoundRobin(sites) => {
                add(named, sites.as_ref());
            }
            _ => self.branches().for_each(|branch| branch.collect(named)),
        }
    }

    fn branches(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match &self.kind {
            Kind::Weighted(shares) => Box::new(shares.iter().map(|share| &share.node)),
            Kind::Failover(branches) => Box::new(branches.iter()),
            Kind::Geo {
                branches, otherwise, ..
            } => Box::new(branches.iter().chain(otherwise.as_deref())),
            _ => Box::new(std::iter::empty()),
        }
    }

    fn by_client(&self, sticky: bool) -> bool {
        let own = match &self.kind {
            Kind::Nearest { sites, .. } | Kind::Latency { sites, .. } => {
                sites.as_ref().is_none_or(|sites| sites.len() > 1)
            }
            Kind::Weighted(shares) => several_shares(shares),
            Kind::RoundRobin(_) => sticky,
            Kind::Geo { .. } => true,
            Kind::Site(_) | Kind::Failover(_) | Kind::Manual(_) => false,
        };
        own || self.branches().any(|branch| branch.by_client(sticky))
    }

    fn rotates(&self) -> bool {
        matches!(self.kind, Kind::RoundRobin(_)) || self.branches().any(Self::rotates)
    }

    /// Adds the sites of each [`Kind::RoundRobin`].
    pub(super) fn groups<'a>(&'a self, groups: &mut Vec<Option<&'a BTreeSet<SiteName>>>) {
        if let Kind::RoundRobin(sites) = &self.kind {
            groups.push(sites.as_ref());
        }
        self.branches().for_each(|branch| branch.groups(groups));
    }
}

/// Whether the client's prefix has a say: with one share there is nothing to divide.
pub(super) fn several_shares(shares: &[Share]) -> bool {
    shares.iter().filter(|share| share.weight > 0).nth(1).is_some()
}

fn add<'a>(named: &mut Selection, sites: Option<impl IntoIterator<Item = &'a SiteName>>) {
    match (named.as_mut(), sites) {
        (Some(all), Some(sites)) => all.extend(sites.into_iter().cloned()),
        _ => *named = None,
    }
}
