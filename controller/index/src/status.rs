//! Statuses of the host's objects: computed whole, and `None` when nothing changes.
//!
//! What changes by the second is a metric and not here. A zone's serial is written along with a change of
//! something else, never for its own sake.

use kube::ResourceExt;
use meridian_dns_core::{NetworkOwner, ShardHealth, Snapshot};
use meridian_federation_api as api;
use meridian_federation_core::{ClusterName, Condition, ServiceKey, Timestamp, cluster_conditions};

use crate::{Index, parse, write_conditions};

impl Index {
    /// The status of a Cluster, if it differs from what is written.
    pub fn cluster_status(&self, name: &ClusterName, now: Timestamp) -> Option<api::ClusterStatus> {
        let object = self.cluster_object(name)?;
        let previous = object.status.clone().unwrap_or_default();
        let mut wanted = cluster_conditions(&self.world, &self.health, &self.breaker, name).unwrap_or_default();
        wanted.push(self.accepted("Cluster", name.as_str()));
        let (region, zones) = self.world.place_of(name);
        let generation = object.metadata.generation;
        let status = api::ClusterStatus {
            conditions: write_conditions(&previous.conditions, wanted, generation, now)
                .unwrap_or_else(|| previous.conditions.clone()),
            region,
            zones,
            observed_generation: generation,
        };
        (status != previous).then_some(status)
    }

    /// The status of a DNSZone, if it differs from what is written.
    pub fn zone_status(
        &self,
        object: &api::DNSZone,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Option<api::DNSZoneStatus> {
        let previous = object.status.clone().unwrap_or_default();
        let name = object.name_any();
        let ours = |(other, _): &(&String, _)| **other == name;
        let served = self
            .world
            .served_zones()
            .find(ours)
            .and_then(|(_, zone)| snapshot.zone(&zone.domain));
        let ready = match served {
            Some(zone) if zone.complete() && !zone.keys_awaited() => {
                Condition::new("Ready", true, "Serving", "every cluster was listed")
            }
            Some(zone) if zone.keys_awaited() => Condition::new(
                "Ready",
                false,
                "KeysAwaited",
                "the zone is to be signed and its keys are not known; everything gets SERVFAIL until they are",
            ),
            Some(_) => Condition::new(
                "Ready",
                false,
                "Incomplete",
                "some clusters were not listed yet; names not known from others get SERVFAIL until then",
            ),
            None if self.world.zones.contains_key(&name) => Condition::new(
                "Ready",
                false,
                "DomainTaken",
                "another DNSZone, the first by name, has this domain; delete one of the two",
            ),
            None => Condition::new("Ready", false, "NotServed", "not served yet"),
        };
        let mut wanted = vec![ready, self.networks_resolved(&name), self.accepted("DNSZone", &name)];
        let domain = self.world.zones.get(&name).map(|zone| &zone.domain);
        let (signing, dnssec) = match domain.filter(|_| served.is_some()) {
            Some(domain) => self.signing_status(object, domain),
            None => (Vec::new(), previous.dnssec.clone()),
        };
        wanted.extend(signing);
        wanted.extend(self.transfer_status(&name, &previous.conditions));
        let generation = object.metadata.generation;
        let mut status = api::DNSZoneStatus {
            conditions: write_conditions(&previous.conditions, wanted, generation, now)
                .unwrap_or_else(|| previous.conditions.clone()),
            names: served.map(|zone| i64::try_from(zone.len()).unwrap_or(i64::MAX)),
            serial: previous.serial,
            dnssec,
            observed_generation: generation,
        };
        if status == previous {
            return None;
        }
        status.serial = served.map(|zone| i64::from(zone.soa().serial));
        Some(status)
    }

    /// The status of a DNSRoute, if it differs from what is written.
    pub fn route_status(&self, object: &api::DNSRoute, now: Timestamp) -> Option<api::DNSRouteStatus> {
        let previous = object.status.clone().unwrap_or_default();
        let id = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
        let key = ServiceKey {
            namespace: object.namespace().unwrap_or_default(),
            name: object.spec.source.name.clone(),
        };
        let hosts = parse::route(object).map(|route| route.host_names).unwrap_or_default();
        let published: Vec<_> = self
            .names
            .names_of(&key)
            .filter(|routed| hosts.contains(&routed.name))
            .collect();
        let healthy = published
            .iter()
            .any(|routed| routed.shards.values().any(|shard| shard.health == ShardHealth::Healthy));
        let issues: Vec<_> = self.names.issues(&key).map(|issue| issue.message.clone()).collect();
        let missing = hosts.len() - published.len().min(hosts.len());
        let wanted = vec![
            if published.is_empty() {
                Condition::new("Healthy", false, "NotPublished", "none of its host names is answered")
            } else if healthy {
                Condition::new("Healthy", true, "Serving", "at least one site serves")
            } else {
                Condition::new(
                    "Healthy",
                    false,
                    "NoSiteHealthy",
                    "no site is healthy; the zone's whenNoneHealthy decides the answer",
                )
            },
            if missing == 0 {
                Condition::new("Published", true, "Named", "all its host names are answered")
            } else if issues.is_empty() {
                Condition::new("Published", false, "NotExported", "no cluster exports the Service")
            } else {
                Condition::new("Published", false, "HostNamesMissing", issues.join("; "))
            },
            if published
                .iter()
                .any(|routed| self.breaker.holds_name(&routed.name).is_some())
            {
                Condition::new(
                    "HeldBack",
                    true,
                    "ManyNamesAtOnce",
                    "no site is healthy by the latest verdicts, but many names lost their last site at the same time; the verdicts before are served until the new ones have stood for a while, or until you annotate the DNSZone with meridian.dev/release",
                )
            } else {
                Condition::new("HeldBack", false, "NothingHeld", "answers follow its verdicts")
            },
            self.policy_condition(&(object.namespace().unwrap_or_default(), object.name_any())),
            self.accepted("DNSRoute", &id),
        ];
        let generation = object.metadata.generation;
        let status = api::DNSRouteStatus {
            conditions: write_conditions(&previous.conditions, wanted, generation, now)
                .unwrap_or_else(|| previous.conditions.clone()),
            names: published.iter().map(|routed| routed.name.as_str().to_owned()).collect(),
            observed_generation: generation,
        };
        (status != previous).then_some(status)
    }

    /// Whether the clusters that a zone's networks name are there.
    fn networks_resolved(&self, zone: &str) -> Condition {
        let networks = self.world.zones.get(zone).map(|zone| zone.networks.clone());
        let networks = networks.unwrap_or_default();
        let unknown = networks.iter().enumerate().find_map(|(index, network)| {
            let NetworkOwner::Site(cluster) = &network.nearest_to else {
                return None;
            };
            let missing = !self.world.clusters.contains_key(cluster);
            missing.then(|| {
                format!(
                    "spec.networks[{index}].cluster: there is no Cluster {cluster}, so network {} counts for nothing",
                    network.network
                )
            })
        });
        match unknown {
            None => Condition::new(
                "NetworksResolved",
                true,
                "Known",
                "every cluster that spec.networks names is there",
            ),
            Some(message) => Condition::new("NetworksResolved", false, "UnknownCluster", message),
        }
    }

    /// Whether the object is used as it stands, or an earlier version of it since this one has a problem.
    pub(crate) fn accepted(&self, kind: &'static str, name: &str) -> Condition {
        match self.problem(kind, name) {
            None => Condition::new("Accepted", true, "Valid", "used as it stands"),
            Some(problem) => Condition::new(
                "Accepted",
                false,
                "Invalid",
                format!("{problem}; what was valid before stays in use"),
            ),
        }
    }
}
