//! Routing policies by name, and what they come to for one DNSRoute.
//!
//! Policies name clusters and each other; here the names are followed. What must stay true:
//! - a fault is found before anything is routed by it, and names the object, the field and what is wrong;
//! - a cluster that is not there is a fault, but no reason to give up the rest of a policy: its place in
//!   the order is kept for when it comes. Anything else leaves nothing that could be followed;
//! - following takes time proportional to the policies' size, also where each is named many times.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use meridian_dns_core::{
    ClientKey, GeoCondition, GeoRule, LatencyRow, MAX_POLICY_DEPTH, Policy, PolicyError, PolicyProblem, PolicyTree,
    WeightedBranch,
};

use crate::ClusterName;

/// Namespace and name of a RoutingPolicy.
pub type PolicyKey = (String, String);

/// Where a branch leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Branch {
    /// To a cluster.
    Site(ClusterName),
    /// To the RoutingPolicy of that name, in the namespace of the one that says so.
    Policy(String),
}

/// A policy as it was parsed: well formed, but for the names in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutingPolicy {
    /// See [`PolicyTree::Nearest`].
    Nearest {
        /// The clusters it is about; all, if not given.
        sites: Option<Vec<ClusterName>>,
        /// Kilometres within which clusters share clients.
        within_km: Option<u32>,
    },
    /// See [`PolicyTree::Latency`].
    Latency {
        /// The clusters it is about; all, if not given.
        sites: Option<Vec<ClusterName>>,
        /// What was measured.
        matrix: Arc<[LatencyRow]>,
    },
    /// Branches with their weights.
    Weighted(Vec<(Branch, u32)>),
    /// Branches in their order.
    Failover(Vec<Branch>),
    /// See [`PolicyTree::RoundRobin`].
    RoundRobin {
        /// The clusters it is about; all, if not given.
        sites: Option<Vec<ClusterName>>,
    },
    /// Rules in their order.
    Geo {
        /// Whom each is about, and where these go.
        rules: Vec<(GeoCondition, Branch)>,
        /// Where all others go.
        otherwise: Option<Branch>,
    },
    /// Clusters in their order.
    Manual(Vec<ClusterName>),
}

/// What a DNSRoute says of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySource {
    /// `spec.policy`.
    Inline(RoutingPolicy),
    /// `spec.policyRef`.
    Reference(String),
}

/// How a DNSRoute wants its clients routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePolicy {
    /// The policy.
    pub source: PolicySource,
    /// By what clients are told from each other.
    pub key: ClientKey,
    /// Whether a client keeps its addresses where the policy would rotate them.
    pub sticky: bool,
}

/// A field: of the DNSRoute itself, or of a RoutingPolicy that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyPlace {
    /// Name of the RoutingPolicy.
    pub policy: Option<String>,
    /// Path of the field.
    pub field: String,
}

impl fmt::Display for PolicyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.policy {
            Some(policy) => write!(f, "RoutingPolicy {policy}, {}", self.field),
            None => f.write_str(&self.field),
        }
    }
}

/// Why a policy cannot be followed as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// A cluster that is not there.
    #[error("{at}: there is no Cluster {site}; correct the name, or join the cluster")]
    UnknownSite {
        /// The field that names it.
        at: PolicyPlace,
        /// The name.
        site: ClusterName,
    },
    /// A policy that is not there.
    #[error("{at}: there is no valid RoutingPolicy {policy} in the namespace; correct the name, or make one")]
    UnknownPolicy {
        /// The field that names it.
        at: PolicyPlace,
        /// The name.
        policy: String,
    },
    /// Policies that lead back to themselves.
    #[error("{at}: policies lead in a circle: {}; take one reference away", .circle.join(" -> "))]
    Circle {
        /// The field that closes the circle.
        at: PolicyPlace,
        /// The policies, the first again at the end.
        circle: Vec<String>,
    },
    /// A policy that means nothing, or too much of it.
    #[error("{at}: {problem}")]
    Refused {
        /// The field.
        at: PolicyPlace,
        /// What is wrong.
        problem: PolicyProblem,
    },
}

impl PolicyFault {
    /// CamelCase word for machines.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownSite { .. } => "UnknownSite",
            Self::UnknownPolicy { .. } => "UnknownPolicy",
            Self::Circle { .. } => "PolicyCircle",
            Self::Refused { .. } => "PolicyRefused",
        }
    }

    /// The field, or the policy's field.
    pub fn at(&self) -> &PolicyPlace {
        match self {
            Self::UnknownSite { at, .. }
            | Self::UnknownPolicy { at, .. }
            | Self::Circle { at, .. }
            | Self::Refused { at, .. } => at,
        }
    }
}

/// What following the names came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedPolicy {
    /// The policy, if it can be followed, perhaps without some clusters.
    pub policy: Option<Policy>,
    /// What is wrong, the first found first.
    pub faults: Vec<PolicyFault>,
}

/// Follows the names of a route's policy. `exists` says which clusters are there.
pub fn resolve_policy(
    policies: &BTreeMap<PolicyKey, RoutingPolicy>,
    exists: &dyn Fn(&ClusterName) -> bool,
    namespace: &str,
    route: &RoutePolicy,
) -> ResolvedPolicy {
    let mut resolving = Resolving {
        policies,
        exists,
        namespace,
        open: Vec::new(),
        done: BTreeMap::new(),
        faults: Vec::new(),
    };
    let (tree, field) = match &route.source {
        PolicySource::Inline(policy) => (resolving.tree(policy, "spec.policy"), "spec.policy"),
        PolicySource::Reference(name) => {
            let at = PolicyPlace {
                policy: None,
                field: "spec.policyRef".to_owned(),
            };
            (resolving.named(name, at), "spec.policyRef")
        }
    };
    let mut faults = resolving.faults;
    let compiled = tree.map(|tree| Policy::compile(&tree, route.key, route.sticky));
    let policy = match compiled {
        Some(Ok(policy)) => Some(policy),
        Some(Err(error)) => {
            faults.push(refused(error, field));
            None
        }
        None => None,
    };
    ResolvedPolicy { policy, faults }
}

/// What is wrong with a policy by itself, whatever it leads to.
pub fn check_policy(policy: &RoutingPolicy) -> Result<(), PolicyError> {
    let mut lone = Resolving {
        policies: &BTreeMap::new(),
        exists: &|_| true,
        namespace: "",
        open: Vec::new(),
        done: BTreeMap::new(),
        faults: Vec::new(),
    };
    // Whatever it leads to is a stranger that stands for it, whose name is not that of a cluster.
    let stub = |name: &String| Arc::new(PolicyTree::Site(ClusterName::new(format!("policy {name}"))));
    lone.done = policy.names().map(|name| (name.clone(), stub(name))).collect();
    let tree = lone.tree(policy, "");
    tree.map_or(Ok(()), |tree| {
        Policy::compile(&tree, ClientKey::default(), false).map(|_| ())
    })
}

fn refused(error: PolicyError, field: &str) -> PolicyFault {
    let field = match &error.policy {
        Some(_) => format!("spec.{}", error.field),
        None if error.field.is_empty() => field.to_owned(),
        None => format!("{field}.{}", error.field),
    };
    PolicyFault::Refused {
        at: PolicyPlace {
            policy: error.policy,
            field,
        },
        problem: error.problem,
    }
}

impl RoutingPolicy {
    /// The policies that it names.
    fn names(&self) -> impl Iterator<Item = &String> {
        let branches: Vec<&Branch> = match self {
            Self::Weighted(branches) => branches.iter().map(|(branch, _)| branch).collect(),
            Self::Failover(branches) => branches.iter().collect(),
            Self::Geo { rules, otherwise } => rules.iter().map(|(_, branch)| branch).chain(otherwise).collect(),
            _ => Vec::new(),
        };
        branches.into_iter().filter_map(|branch| match branch {
            Branch::Policy(name) => Some(name),
            Branch::Site(_) => None,
        })
    }
}

struct Resolving<'a> {
    policies: &'a BTreeMap<PolicyKey, RoutingPolicy>,
    exists: &'a dyn Fn(&ClusterName) -> bool,
    namespace: &'a str,
    /// The policies on the way to where we are.
    open: Vec<String>,
    done: BTreeMap<String, Arc<PolicyTree>>,
    faults: Vec<PolicyFault>,
}

impl Resolving<'_> {
    fn place(&self, field: String) -> PolicyPlace {
        PolicyPlace {
            policy: self.open.last().cloned(),
            field,
        }
    }

    /// The tree of a policy, or nothing after a fault that leaves none.
    fn named(&mut self, name: &str, at: PolicyPlace) -> Option<Arc<PolicyTree>> {
        if let Some(done) = self.done.get(name) {
            return Some(done.clone());
        }
        if let Some(start) = self.open.iter().position(|open| open == name) {
            let circle = self.open[start..].iter().cloned().chain([name.to_owned()]).collect();
            self.faults.push(PolicyFault::Circle { at, circle });
            return None;
        }
        if self.open.len() >= MAX_POLICY_DEPTH {
            let problem = PolicyProblem::TooDeep;
            self.faults.push(PolicyFault::Refused { at, problem });
            return None;
        }
        let key = (self.namespace.to_owned(), name.to_owned());
        let Some(policy) = self.policies.get(&key) else {
            self.faults.push(PolicyFault::UnknownPolicy {
                at,
                policy: name.to_owned(),
            });
            return None;
        };
        self.open.push(name.to_owned());
        let tree = self.tree(policy, "spec");
        self.open.pop();
        let tree = Arc::new(PolicyTree::Named(name.to_owned(), tree?));
        self.done.insert(name.to_owned(), tree.clone());
        Some(tree)
    }

    fn tree(&mut self, policy: &RoutingPolicy, above: &str) -> Option<Arc<PolicyTree>> {
        let tree = match policy {
            RoutingPolicy::Nearest { sites, within_km } => PolicyTree::Nearest {
                sites: self.sites(sites.as_deref(), above),
                within_km: *within_km,
            },
            RoutingPolicy::Latency { sites, matrix } => {
                for (index, row) in matrix.iter().enumerate() {
                    for (site, _) in &row.milliseconds {
                        self.site(site, || format!("{above}.latency[{index}].sites"));
                    }
                }
                PolicyTree::Latency {
                    sites: self.sites(sites.as_deref(), above),
                    matrix: matrix.clone(),
                }
            }
            RoutingPolicy::RoundRobin { sites } => PolicyTree::RoundRobin {
                sites: self.sites(sites.as_deref(), above),
            },
            RoutingPolicy::Manual(sites) => PolicyTree::Manual(self.sites(Some(sites), above).unwrap_or_default()),
            RoutingPolicy::Weighted(branches) => {
                let made = branches.iter().enumerate().map(|(index, (branch, weight))| {
                    let branch = self.branch(branch, || format!("{above}.branches[{index}]"))?;
                    Some(WeightedBranch {
                        weight: *weight,
                        branch,
                    })
                });
                PolicyTree::Weighted(all(made)?)
            }
            RoutingPolicy::Failover(branches) => {
                let made = branches.iter().enumerate();
                let made = made.map(|(index, branch)| self.branch(branch, || format!("{above}.branches[{index}]")));
                PolicyTree::Failover(all(made)?)
            }
            RoutingPolicy::Geo { rules, otherwise } => {
                let made = rules.iter().enumerate().map(|(index, (condition, branch))| {
                    let branch = self.branch(branch, || format!("{above}.rules[{index}]"))?;
                    Some(GeoRule {
                        condition: condition.clone(),
                        branch,
                    })
                });
                let rules = all(made);
                let otherwise = match otherwise {
                    Some(branch) => Some(self.branch(branch, || format!("{above}.otherwise"))?),
                    None => None,
                };
                PolicyTree::Geo {
                    rules: rules?,
                    otherwise,
                }
            }
        };
        Some(Arc::new(tree))
    }

    fn branch(&mut self, branch: &Branch, field: impl Fn() -> String) -> Option<Arc<PolicyTree>> {
        match branch {
            Branch::Site(site) => {
                self.site(site, || format!("{}.site", field()));
                Some(Arc::new(PolicyTree::Site(site.clone())))
            }
            Branch::Policy(name) => {
                let at = self.place(format!("{}.policy", field()));
                self.named(name, at)
            }
        }
    }

    fn sites(&mut self, sites: Option<&[ClusterName]>, above: &str) -> Option<Vec<ClusterName>> {
        for (index, site) in sites.into_iter().flatten().enumerate() {
            self.site(site, || format!("{above}.sites[{index}]"));
        }
        sites.map(<[_]>::to_vec)
    }

    fn site(&mut self, site: &ClusterName, field: impl Fn() -> String) {
        if !(self.exists)(site) {
            let at = self.place(field());
            let site = site.clone();
            self.faults.push(PolicyFault::UnknownSite { at, site });
        }
    }
}

/// All of them, or nothing; every one is looked at, so that every fault is found.
fn all<T>(made: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let made: Vec<_> = made.collect();
    made.into_iter().collect()
}
