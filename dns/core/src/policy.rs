//! Routing policies: from a client to an order of sites.
//!
//! A [`PolicyTree`] is what people write; [`Policy::compile`] checks it and makes of it what answers
//! consult. A tree owns its branches, so it has no cycles; whoever resolves references by name finds
//! those before.
//!
//! What must stay true:
//! - a policy *orders* sites and never leaves one out: who serves is decided afterwards, by the same
//!   rules for every policy. Sites that no branch names stand behind all others, as drained ones do. So
//!   whether there is data never depends on the client, and a verdict never empties an answer;
//! - which sites are named does not depend on the client either: a client whose own branch is down gets
//!   a site of another branch, since "nothing" for some clients would be cached for all (RFC 2308);
//! - the scope is the longest prefix that anything consulted depends on, whatever the sites' health;
//! - a client's prefix decides shares and nothing else does (rendezvous hashing): every replica gives it
//!   the same site, a site that goes moves only its own clients, and one that comes takes only its share.
//!
//! Refused: a ring of hash points, which spreads worse for more memory; weights by a random draw per
//! query, which moves a client each time; a strict geographic rule that answers nothing, for the reason
//! above. Further kinds (spill-over by capacity, steps from one site to another) are further kinds of
//! node that order the same sites.

mod compile;
mod decision;
mod geo;
mod key;
mod latency;
mod rank;
mod saved;
mod share;
mod tree;

use std::collections::BTreeSet;

pub use self::compile::{MAX_POLICY_DEPTH, PolicyError, PolicyProblem};
pub use self::decision::PolicyDecision;
pub use self::key::ClientKey;
pub(crate) use self::rank::{Asker, Candidate, Ranking};
pub use self::tree::{GeoCondition, GeoRule, LatencyRow, PolicyTree, WeightedBranch};

use self::compile::Node;
use crate::SiteName;

/// A policy that was checked, ready to be consulted. See [`Policy::compile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    root: Node,
    /// The sites that any branch names; `None` for all.
    named: Option<BTreeSet<SiteName>>,
    key: ClientKey,
    sticky: bool,
    /// What it was made of, to be saved.
    tree: PolicyTree,
    by_client: bool,
    rotates: bool,
}

impl Policy {
    /// Whether some branch names the site. Others are as if drained.
    pub fn names(&self, site: &SiteName) -> bool {
        self.named.as_ref().is_none_or(|named| named.contains(site))
    }

    /// Whether the order depends on the client at all.
    pub(crate) fn by_client(&self) -> bool {
        self.by_client
    }

    /// Whether several sites may answer together.
    pub fn answers_together(&self) -> bool {
        self.rotates
    }

    /// The sites that may answer together, of each group; `None` for all.
    pub(crate) fn groups(&self) -> Vec<Option<&BTreeSet<SiteName>>> {
        let mut groups = Vec::new();
        self.root.groups(&mut groups);
        groups
    }

    /// Whether addresses are rotated by the client's prefix, which matters even with one site.
    pub(crate) fn rotates_by_client(&self) -> bool {
        self.rotates && self.sticky
    }
}
