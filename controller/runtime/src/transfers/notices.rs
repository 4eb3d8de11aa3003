//! Who is notified of what: a [`Notifier`] per zone, as long as its secondaries stay the same.
//!
//! What must stay true: nobody is notified of a serial before answers show it. A secondary asks at once, and one
//! that sees the old serial is content with what it has.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use meridian_dns_core::transfer::Journal;
use meridian_dns_core::{DnsName, Snapshot};
use meridian_dns_server::{Notifier, Secondary};
use meridian_federation_core::transfer::{Streams, TransferAlgorithm};

use super::Keys;
use super::secrets::SecretText;

/// Secondaries, and what tells them from others.
type Told = Vec<(SocketAddr, Option<(DnsName, (TransferAlgorithm, SecretText))>)>;

struct Zone {
    told: Told,
    notifier: Notifier,
    /// The serial of the last notice.
    newest: Option<u32>,
}

/// The notices of all zones. Dropping it ends them.
#[derive(Default)]
pub(super) struct Notices(BTreeMap<DnsName, Zone>);

impl Notices {
    /// Notifies of every version that answers show and that its secondaries were not notified of.
    pub(super) fn send(
        &mut self,
        streams: &Streams,
        keys: &Keys,
        journal: impl Fn(&DnsName) -> Option<Arc<Journal>>,
        answered: &Snapshot,
    ) {
        self.0
            .retain(|apex, _| streams.zones.get(apex).is_some_and(|stream| !stream.notify.is_empty()));
        for (apex, stream) in streams.zones.iter().filter(|(_, stream)| !stream.notify.is_empty()) {
            let key_of = |name: &Option<DnsName>| name.as_ref().and_then(|name| keys.get_key_value(name));
            let told: Told = stream
                .notify
                .iter()
                .map(|target| {
                    let key = key_of(&target.key).map(|(name, (_, essence))| (name.clone(), essence.clone()));
                    (target.address, key)
                })
                .collect();
            if self.0.get(apex).is_none_or(|zone| zone.told != told) {
                let secondaries = stream.notify.iter().map(|target| Secondary {
                    address: target.address,
                    key: key_of(&target.key).map(|(_, (key, _))| key.clone()),
                });
                let notifier = Notifier::start(secondaries);
                let newest = None;
                self.0.insert(apex.clone(), Zone { told, notifier, newest });
            }
            let shown = answered.zone(apex).map(|zone| zone.soa().serial);
            let journal = journal(apex).filter(|journal| shown == Some(journal.serial()));
            let (Some(journal), Some(zone)) = (journal, self.0.get_mut(apex)) else {
                continue;
            };
            if zone.newest.replace(journal.serial()) != Some(journal.serial()) {
                zone.notifier.published(journal.soa());
            }
        }
    }
}
