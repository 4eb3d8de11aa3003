//! By what the answers of a routed name differ between clients.
//!
//! It is said of the name and of every name that it may lead to, whatever their sites' state is now:
//! the scope of an answer must not change when a site fails.

use super::MAX_ALIASES;
use super::trace::Silent;
use crate::policy::Asker;
use crate::zone::Found;
use crate::zone::node::{Node, Routed};
use crate::{DnsName, Fallback, RecordType, Snapshot, Zone};

/// By what answers differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Depends {
    /// By where the client is.
    pub(super) on_class: bool,
    /// By whether it is told internal addresses.
    pub(super) on_view: bool,
    /// By what a policy asks of it.
    pub(super) on_policy: bool,
}

/// Looks at a routed name and at the names above it.
pub(super) fn depends(snapshot: &Snapshot, routed: &Routed) -> Depends {
    chain(snapshot, routed).fold(Depends::default(), |all, (_, routed)| {
        let own = of(routed);
        Depends {
            on_class: all.on_class || own.on_class,
            on_view: all.on_view || own.on_view,
            on_policy: all.on_policy || own.on_policy,
        }
    })
}

/// The longest scope of a routed name and of the names above it, each by the networks of its own zone.
pub(super) fn scope(snapshot: &Snapshot, routed: &Routed, asker: Asker<'_>, view_scope: u8) -> u8 {
    let all = chain(snapshot, routed).map(|(zone, routed)| {
        let (own, policy) = (of(routed), &routed.name.policy);
        let asker = zone.map_or(asker, |zone| asker.in_zone(snapshot, zone.apex()));
        let by_place = match policy.as_ref().filter(|_| own.on_policy) {
            Some(policy) => policy.rank(asker, &mut Silent).scope,
            None if own.on_class => asker.class_scope,
            None => 0,
        };
        by_place.max(if own.on_view { view_scope } else { 0 })
    });
    all.max().unwrap_or(0)
}

/// A routed name and those that its fall-backs lead to, with the zones of these.
fn chain<'a>(snapshot: &'a Snapshot, routed: &'a Routed) -> impl Iterator<Item = (Option<&'a Zone>, &'a Routed)> {
    let mut next = routed.name.fallback.target();
    let mut aliases = 0;
    let above = std::iter::from_fn(move || {
        while aliases < MAX_ALIASES {
            aliases += 1;
            let (zone, node) = node(snapshot, next?)?;
            match (node.alias(), node.routed()) {
                (Some((_, target)), _) => next = Some(target),
                (None, Some(above)) => {
                    next = above.name.fallback.target();
                    return Some((Some(zone), above));
                }
                (None, None) => return None,
            }
        }
        None
    });
    std::iter::once((None, routed)).chain(above)
}

fn of(routed: &Routed) -> Depends {
    let name = &routed.name;
    let choice = name.shards.len() > 1;
    let mut own = Depends {
        on_view: routed.internal,
        ..Depends::default()
    };
    if name.fallback == Fallback::Always {
        return own;
    }
    match &name.policy {
        None => own.on_class = choice,
        Some(policy) => own.on_policy = policy.by_client() && (choice || policy.rotates_by_client()),
    }
    own
}

fn node<'a>(snapshot: &'a Snapshot, name: &DnsName) -> Option<(&'a Zone, &'a Node)> {
    let zone = snapshot.zone_of(name)?;
    match zone.find(name, RecordType::A) {
        Found::Exact(node) | Found::Wildcard { node, .. } => Some((zone, node)),
        Found::Cut { .. } | Found::SubtreeAlias { .. } | Found::Missing { .. } => None,
    }
}
