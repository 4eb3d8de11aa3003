//! Policies as people write them, with every reference resolved.

use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::SiteName;

/// A policy and its branches. Without `sites`, a kind that takes some takes all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyTree {
    /// That site.
    Site(SiteName),
    /// A policy with a name of its own, by which it is explained.
    Named(String, Arc<PolicyTree>),
    /// Nearest first.
    Nearest {
        /// The sites it is about.
        sites: Option<Vec<SiteName>>,
        /// Sites that are at most this many kilometres farther than the nearest share its clients by
        /// their weights.
        within_km: Option<u32>,
    },
    /// By measured latency; sites and clients without one, nearest first.
    Latency {
        /// The sites it is about.
        sites: Option<Vec<SiteName>>,
        /// What was measured.
        matrix: Arc<[LatencyRow]>,
    },
    /// Shares of the clients, by their prefix.
    Weighted(Vec<WeightedBranch>),
    /// The first that serves.
    Failover(Vec<Arc<PolicyTree>>),
    /// The addresses of all sites that serve, rotated.
    RoundRobin {
        /// The sites it is about.
        sites: Option<Vec<SiteName>>,
    },
    /// By where the client is; the first rule that applies decides.
    Geo {
        /// The rules, in order.
        rules: Vec<GeoRule>,
        /// For clients that no rule is about; without it, the sites that rules name, by weight.
        otherwise: Option<Arc<PolicyTree>>,
    },
    /// These sites in this order, as an operator says.
    Manual(Vec<SiteName>),
}

/// A branch with a share of the clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedBranch {
    /// Its share among the sum of all weights. One with 0 takes clients only when no other serves.
    pub weight: u32,
    /// Where its clients go.
    pub branch: Arc<PolicyTree>,
}

/// What was measured from one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// The network. The longest prefix around a client counts.
    pub network: IpNet,
    /// Milliseconds to sites.
    pub milliseconds: Vec<(SiteName, u32)>,
}

/// A rule about where a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeoRule {
    /// Whom it is about.
    pub condition: GeoCondition,
    /// Where its clients go.
    pub branch: Arc<PolicyTree>,
}

/// Where a client must be. It holds if one of each list that is not empty is the client's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GeoCondition {
    /// Two letters: AF, AN, AS, EU, NA, OC, SA.
    pub continents: Vec<String>,
    /// ISO 3166-1 alpha-2.
    pub countries: Vec<String>,
    /// ISO 3166-2, such as `US-CA`.
    pub subdivisions: Vec<String>,
    /// Numbers of autonomous systems.
    pub asns: Vec<u32>,
    /// Networks.
    pub networks: Vec<IpNet>,
}

impl PolicyTree {
    /// What a branch is called where it is one of several.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Site(site) => site.to_string(),
            Self::Named(name, _) => format!("policy {name}"),
            Self::Nearest { .. } => "nearest".to_owned(),
            Self::Latency { .. } => "latency".to_owned(),
            Self::Weighted(_) => "weighted".to_owned(),
            Self::Failover(_) => "failover".to_owned(),
            Self::RoundRobin { .. } => "round robin".to_owned(),
            Self::Geo { .. } => "geo".to_owned(),
            Self::Manual(_) => "manual".to_owned(),
        }
    }
}
