//! The additional section: addresses, and service bindings, that the client would ask for next.
//!
//! Only what is the same for everybody is put there. Caches keep these records without the network that
//! the answer was for (RFC 7871 section 7.3.1), so the nearest site of one client would be given to
//! others. What is left out is only asked for later.

use super::choose::{Choice, Chooser};
use super::depends::{Depends, depends};
use super::trace::Silent;
use crate::zone::Found;
use crate::{DnsName, RecordData, RecordSet, RecordType, Snapshot};

/// Targets that are looked up for one answer. It bounds the work that a set with many records costs; of
/// name servers all are, since no glue may be missing (RFC 9471 section 2.1).
const MAX_TARGETS: usize = 16;

const FAMILIES: [RecordType; 2] = [RecordType::A, RecordType::Aaaa];

/// Whose addresses a client of this record asks for next. A service binding in service mode whose target
/// is the root means its owner (RFC 9460 section 2.5.2).
pub(super) fn target<'a>(set: &'a RecordSet, data: &'a RecordData) -> Option<&'a DnsName> {
    match data {
        RecordData::Svcb(binding) | RecordData::Https(binding)
            if binding.priority > 0 && binding.target == DnsName::root() =>
        {
            // A name that a wildcard made has the wildcard's set; to prove its addresses takes more.
            (!set.name.is_wildcard()).then_some(&set.name)
        }
        _ => data.target(),
    }
}

/// Adds the addresses of a set's targets that lie in our zones; of service bindings also the targets' own
/// bindings (RFC 9460 section 4.1).
pub(super) fn addresses_of_targets(
    snapshot: &Snapshot,
    chooser: Chooser<'_>,
    set: &RecordSet,
    additionals: &mut Vec<RecordSet>,
) {
    // Not rotated: what stands beside an answer is the same for everybody.
    let mut chooser = chooser;
    chooser.asker.client.rotation = 0;
    let is_server = set.record_type() == Some(RecordType::Ns);
    let limit = if is_server { usize::MAX } else { MAX_TARGETS };
    for target in set.data.iter().filter_map(|data| target(set, data)).take(limit) {
        if additionals.iter().any(|known| known.name == *target) {
            continue;
        }
        let Some(zone) = snapshot.zone_of(target) else { continue };
        if is_server {
            // Also what is written below a delegation, which is what glue is for.
            additionals.extend(zone.glue(target).cloned());
        } else {
            authoritative(snapshot, chooser, target, additionals);
            add_bindings(snapshot, set, target, additionals);
        }
    }
}

/// The binding that an alias of a binding leads to, if it is the same for everybody.
fn add_bindings(snapshot: &Snapshot, set: &RecordSet, target: &DnsName, additionals: &mut Vec<RecordSet>) {
    let binding = set.record_type();
    let binding = binding.filter(|kind| matches!(kind, RecordType::Svcb | RecordType::Https) && *target != set.name);
    let (Some(binding), Some(zone)) = (binding, snapshot.zone_of(target)) else {
        return;
    };
    if let Found::Exact(node) = zone.find(target, binding) {
        additionals.extend(node.set(binding).cloned());
    }
}

fn authoritative(snapshot: &Snapshot, chooser: Chooser<'_>, target: &DnsName, additionals: &mut Vec<RecordSet>) {
    let Some(zone) = snapshot.zone_of(target) else { return };
    // An alias is no target (RFC 2181 section 10.3); a wildcard's proof would be needed beside it.
    let Found::Exact(node) = zone.find(target, RecordType::A) else {
        return;
    };
    if let Some(routed) = node.routed() {
        if depends(snapshot, routed) != Depends::default() {
            return;
        }
        for record_type in FAMILIES {
            if let Choice::Data(data) = chooser.choose(routed, false, record_type, &mut Silent)
                && !data.is_empty()
            {
                additionals.push(RecordSet {
                    ttl: zone.served_ttl(routed.name.ttl, chooser.degraded(routed)),
                    ..RecordSet::new(target.clone(), routed.name.ttl, data)
                });
            }
        }
    } else {
        additionals.extend(FAMILIES.iter().filter_map(|family| node.set(*family)).cloned());
    }
}
