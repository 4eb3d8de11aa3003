//! How well a kind in a cluster is known.
//!
//! The states are those of invariant 1: a (cluster, kind) that cannot be read is stale, and what was
//! last seen there still counts. Only an observed change or a health verdict withdraws anything.

use crate::Timestamp;

/// How well one kind of one cluster is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Freshness {
    /// Never listed since the start.
    #[default]
    Unknown,
    /// Listed, and the watch is believed to deliver.
    Fresh,
    /// Listed before; cannot be read now (broken watch, 403, another cluster under the address).
    Stale {
        /// When it became stale.
        since: Timestamp,
        /// Why, for a person.
        reason: String,
    },
    /// The API does not serve this kind.
    Absent,
}

impl Freshness {
    /// Whether a list has been seen: what is missing from it was really missing at that time.
    pub fn listed(&self) -> bool {
        !matches!(self, Self::Unknown)
    }

    /// Whether what we hold is believed to be what is there now.
    pub fn is_current(&self) -> bool {
        matches!(self, Self::Fresh | Self::Absent)
    }
}
