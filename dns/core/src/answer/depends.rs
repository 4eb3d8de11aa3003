//! By what the answers of a routed name differ between clients.
//!
//! It is said of the name and of every name that it may lead to, whatever their sites' state is now:
//! the scope of an answer must not change when a site fails.

use super::MAX_ALIASES;
use crate::zone::Found;
use crate::zone::node::{Node, Routed};
use crate::{DnsName, Fallback, RecordType, Snapshot};

/// By what answers differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Depends {
    /// By where the client is.
    pub(super) on_class: bool,
    /// By whether it is told internal addresses.
    pub(super) on_view: bool,
}

/// Looks at a routed name and at the names above it.
pub(super) fn depends(snapshot: &Snapshot, routed: &Routed) -> Depends {
    let mut all = of(routed);
    let mut next = routed.name.fallback.target();
    for _ in 0..MAX_ALIASES {
        let Some(target) = next.filter(|_| !(all.on_class && all.on_view)) else {
            break;
        };
        let Some(node) = node(snapshot, target) else { break };
        next = match (node.alias(), node.routed()) {
            (Some((_, target)), _) => Some(target),
            (None, Some(above)) => {
                let own = of(above);
                all.on_class |= own.on_class;
                all.on_view |= own.on_view;
                above.name.fallback.target()
            }
            (None, None) => None,
        };
    }
    all
}

fn of(routed: &Routed) -> Depends {
    Depends {
        on_class: routed.name.shards.len() > 1 && routed.name.fallback != Fallback::Always,
        on_view: routed.internal,
    }
}

fn node<'a>(snapshot: &'a Snapshot, name: &DnsName) -> Option<&'a Node> {
    match snapshot.zone_of(name)?.find(name, RecordType::A) {
        Found::Exact(node) | Found::Wildcard { node, .. } => Some(node),
        Found::Cut { .. } | Found::SubtreeAlias { .. } | Found::Missing { .. } => None,
    }
}
