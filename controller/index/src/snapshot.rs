//! From the world to what the server answers from: only what became dirty is made anew.

use meridian_dns_core::{DnsName, NameDelta, Snapshot, Soa, Zone, serial};
use meridian_federation_core::{DnsZone, Timestamp};

use crate::{Dirty, Index};

impl Index {
    /// The next snapshot and the names that changed in it; no snapshot if nothing did.
    pub fn snapshot(
        &mut self,
        previous: &Snapshot,
        dirty: &Dirty,
        now: Timestamp,
    ) -> (Option<Snapshot>, Vec<NameDelta>) {
        let mut deltas = self.update_names(dirty.services.clone());
        let sites_differ = self.lay_under(previous, &mut deltas, now) || dirty.sites;
        let mut deltas = self.breaker.names(previous, deltas, self.names.globals(), now);
        deltas.extend(self.breaker.overdue(now));
        if deltas.is_empty() && !sites_differ && !dirty.zones {
            return (None, deltas);
        }
        let mut next = previous.clone();
        if sites_differ {
            self.breaker.sites(&self.health, now);
            let sites = self.sites(previous.sites());
            next = next.with_sites(sites);
        }
        if dirty.zones {
            next = self.with_zones(next, now);
            next = next.with_zones_known(previous.zones_known() || self.listed.zones);
        }
        for delta in &deltas {
            if let Some(zone) = next.zone(&delta.zone) {
                let made = zone.with(&delta.changes, next_serial(zone.soa().serial, now));
                let made = self.in_stream(made, Some(zone));
                next = next.with_zone(made);
            }
        }
        (Some(next), deltas)
    }

    fn with_zones(&mut self, mut snapshot: Snapshot, now: Timestamp) -> Snapshot {
        self.update_streams();
        // Before the host's own lists, "every cluster was listed" is true of no cluster at all.
        let complete = self.listed.clusters
            && self.listed.routes
            && self.refused_clusters().next().is_none()
            && self.world.all_services_listed();
        let gone: Vec<DnsName> = snapshot
            .zones()
            .map(|zone| zone.apex().clone())
            // Before the first list a zone that was saved may exist.
            .filter(|_| self.listed.zones || self.saved.is_none())
            .filter(|apex| !self.world.served_zones().any(|(_, zone)| zone.domain == *apex))
            .filter(|apex| !self.is_catalog(apex))
            .collect();
        for apex in gone {
            snapshot = snapshot.without_zone(&apex);
            self.forget_saved_zone(&apex);
        }
        for (name, zone) in self.world.served_zones() {
            let made = match snapshot.zone(&zone.domain) {
                Some(existing) => {
                    let serial = existing.soa().serial;
                    let unchanged =
                        soa(zone, serial) == *existing.soa() && zone.name_servers == existing.name_servers();
                    let made = if unchanged {
                        Zone::clone(existing)
                    } else {
                        existing.with_head(soa(zone, next_serial(serial, now)), zone.name_servers.clone())
                    };
                    let made = if **existing.records() == *zone.records {
                        made
                    } else {
                        let serial = next_serial(made.soa().serial, now);
                        made.with_records(zone.records.clone(), serial)
                    };
                    made.with_complete(complete)
                }
                None => {
                    let serial = next_serial(0, now);
                    Zone::new(zone.domain.clone(), soa(zone, serial), zone.name_servers.clone())
                        .with_records(zone.records.clone(), serial)
                        .with(&self.names.names_in(&zone.domain), serial)
                        .with_complete(complete)
                }
            };
            let made = self.with_keys(name, made, now);
            let made = self.in_stream(made, snapshot.zone(&zone.domain).map(|zone| &**zone));
            let made = made.with_minimum_ttl(zone.minimum_ttl);
            snapshot = snapshot.with_zone(made.with_networks(zone.networks.clone()));
        }
        self.with_catalogs(snapshot)
    }
}

fn soa(zone: &DnsZone, serial: u32) -> Soa {
    let [refresh, retry, expire, minimum] = zone.soa_times;
    let primary = zone
        .name_servers
        .first()
        .map_or_else(|| zone.domain.clone(), |server| server.name.clone());
    Soa {
        primary,
        mailbox: zone.mailbox.clone(),
        serial,
        refresh,
        retry,
        expire,
        minimum,
    }
}

/// Grows with every change, and is not below the seconds of the clock, so that it also grows over a
/// restart that lost the last one (as long as there is less than one change a second on average).
pub(crate) fn next_serial(previous: u32, now: Timestamp) -> u32 {
    let seconds = u32::try_from(now.0 / 1000 % (1 << 32)).unwrap_or(0);
    serial::next(previous, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_grow_with_and_without_the_clock() {
        let now = Timestamp(1_700_000_000_000);
        let first = next_serial(0, now);
        assert_eq!(first, 1_700_000_000);
        assert_eq!(next_serial(first, now), first + 1);
        assert_eq!(next_serial(first, Timestamp(now.0 + 5000)), first + 5);
        assert_eq!(next_serial(u32::MAX, Timestamp(4_294_967_290_000)), 1);
    }
}
