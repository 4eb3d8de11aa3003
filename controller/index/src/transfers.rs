//! Zones that are given to secondaries: their serials, and the catalogs that list them.
//!
//! What must stay true:
//! - a zone that is given away shows the serial of its stream and no other, and never an older one than
//!   before. Until its stream is known it keeps the serial that it has, or shows 0, which is older than any;
//! - a catalog is in the snapshot only while those who transfer know that it is hidden;
//! - a member is never left out of a catalog because its object cannot be read now: a secondary forgets a zone
//!   that is not listed any more.

use std::collections::BTreeMap;

use meridian_dns_core::transfer::catalog_records;
use meridian_dns_core::{DnsName, NameServer, Snapshot, Soa, StaticRecords, Zone, serial};
use meridian_federation_api::Condition as WrittenCondition;
use meridian_federation_core::Condition;
use meridian_federation_core::transfer::{StreamState, Streams, TransferPolicy, transfer_condition};

use crate::{Dirty, Index};

/// Refresh, retry, expire and minimum of a catalog, in seconds, as in the example of RFC 9432 (appendix A).
const CATALOG_TIMES: [u32; 4] = [3600, 600, 2_147_483_646, 0];

/// What is given away, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct TransferState {
    streams: Streams,
    /// `None` before anything is known.
    known: Option<BTreeMap<DnsName, StreamState>>,
}

impl Index {
    /// The zones that are given to secondaries, as of the last snapshot.
    pub fn streams(&self) -> &Streams {
        &self.transfers.streams
    }

    /// What this replica gives to secondaries now. It is in force already.
    pub fn stream_states(&mut self, states: BTreeMap<DnsName, StreamState>) -> Dirty {
        let zones = self.transfers.known.as_ref() != Some(&states);
        self.transfers.known = Some(states);
        Dirty {
            zones,
            ..Dirty::default()
        }
    }

    /// True if it is another policy than before.
    pub(crate) fn set_transfer(&mut self, name: &str, policy: Option<TransferPolicy>) -> bool {
        let before = self.world.transfers.remove(name);
        let differs = before != policy;
        self.world
            .transfers
            .extend(policy.map(|policy| (name.to_owned(), policy)));
        differs
    }

    pub(crate) fn update_streams(&mut self) {
        self.transfers.streams = self.world.streams();
    }

    /// The zone with the serial that it is to show; `before` is what was answered from.
    pub(crate) fn in_stream(&self, zone: Zone, before: Option<&Zone>) -> Zone {
        let shown = before.map_or(0, |before| before.soa().serial);
        if !self.listed.zones && before.is_some_and(Zone::in_stream) {
            // Saved, and not known yet whether it is still given away.
            return zone.with_serial(shown);
        }
        if !self.transfers.streams.zones.contains_key(zone.apex()) {
            return zone;
        }
        let known = self.stream_state(zone.apex()).and_then(|state| state.serial);
        let newer = known.filter(|known| shown == 0 || serial::is_newer(*known, shown));
        zone.with_serial(newer.unwrap_or(shown))
    }

    fn stream_state(&self, apex: &DnsName) -> Option<&StreamState> {
        self.transfers.known.as_ref()?.get(apex)
    }

    /// Whether a catalog of that name is served.
    pub(crate) fn is_catalog(&self, apex: &DnsName) -> bool {
        let stream = self.transfers.streams.zones.get(apex);
        stream.is_some_and(|stream| stream.members.is_some()) && self.stream_state(apex).is_some()
    }

    pub(crate) fn with_catalogs(&self, mut snapshot: Snapshot) -> Snapshot {
        let unread = |(kind, name): &(&'static str, String)| *kind == "DNSZone" && !self.world.zones.contains_key(name);
        let complete = self.listed.zones && !self.problems.keys().any(unread);
        for (apex, stream) in &self.transfers.streams.zones {
            let Some(members) = stream.members.as_ref().filter(|_| self.is_catalog(apex)) else {
                continue;
            };
            let records = catalog_records(apex, members).ok();
            let records = records.and_then(|records| StaticRecords::new(apex, records).ok());
            let (Some(records), Ok(invalid)) = (records, DnsName::parse("invalid")) else {
                continue;
            };
            let before = snapshot.zone(apex).map(|zone| Zone::clone(zone));
            let zone = before.clone().unwrap_or_else(|| head_of_catalog(apex, invalid));
            let zone = if **zone.records() == records {
                zone
            } else {
                zone.with_records(records.into(), 0)
            };
            snapshot = snapshot.with_zone(self.in_stream(zone.with_complete(complete), before.as_ref()));
        }
        snapshot
    }

    /// What the status of the zone with that object says of transfers. A condition that was written once is
    /// not left as it was when the zone is given to nobody any more.
    pub(crate) fn transfer_status(&self, name: &str, written: &[WrittenCondition]) -> Option<Condition> {
        if self.world.transfers.contains_key(name) {
            let domain = &self.world.zones.get(name)?.domain;
            let unknown = StreamState::default();
            let known = self.transfers.known.as_ref();
            return Some(transfer_condition(
                known.map(|known| known.get(domain).unwrap_or(&unknown)),
            ));
        }
        let was_written = written.iter().any(|condition| condition.type_ == "TransferReady");
        was_written.then(|| Condition::new("TransferReady", false, "NotWanted", "the zone is given to nobody"))
    }
}

/// RFC 9432 section 4.1: nobody resolves names of a catalog, so its SOA and NS lead nowhere.
fn head_of_catalog(apex: &DnsName, invalid: DnsName) -> Zone {
    let [refresh, retry, expire, minimum] = CATALOG_TIMES;
    let soa = Soa {
        primary: invalid.clone(),
        mailbox: invalid.clone(),
        serial: 0,
        refresh,
        retry,
        expire,
        minimum,
    };
    let server = NameServer {
        name: invalid,
        addresses: Vec::new(),
    };
    Zone::new(apex.clone(), soa, vec![server])
}
