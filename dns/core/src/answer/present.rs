//! The types that are present at a name: what a type bitmap says.
//!
//! They are those of the moment, because a routed name is an alias or has addresses as its sites' state
//! has it; and they are the same for every client (see [`super::choose`]).

use std::net::Ipv4Addr;

use super::choose::Chooser;
use crate::policy::Asker;
use crate::zone::node::Node;
use crate::{Client, DnsName, RecordSet, RecordType, Snapshot, Zone};

/// The types at a node that answers for a name, sorted, without those that the signer adds.
pub(super) fn types_of<'a>(
    zone: &Zone,
    name: &DnsName,
    node: &'a Node,
    chooser: impl FnOnce() -> Chooser<'a>,
) -> Vec<RecordType> {
    let mut types: Vec<_> = node.sets().iter().filter_map(RecordSet::record_type).collect();
    if name == zone.apex() {
        types.push(RecordType::Soa);
    }
    if let Some(routed) = node.routed() {
        let may_alias = *name != *zone.apex() && node.records.is_none();
        types.extend(chooser().types(routed, may_alias));
    }
    types.sort();
    types
}

/// The types of a name of the zone; none if the zone does not have the name. Any client will do.
pub(crate) fn types_present(snapshot: &Snapshot, zone: &Zone, name: &DnsName) -> Vec<RecordType> {
    let Some(node) = zone.node(name) else {
        return Vec::new();
    };
    types_of(zone, name, node, || {
        let client = Client::at(Ipv4Addr::UNSPECIFIED.into());
        Chooser {
            asker: Asker::of(snapshot, zone.apex(), client),
            internal: &[],
        }
    })
}
