//! What DNSRoutes say of a service: host names, and how its clients are routed.
//!
//! A route's settings are those of its host names. The service's own names have those of the first route,
//! by name, that says anything about each: two routes may contradict each other, and an answer may not
//! depend on which came first.

use std::sync::Arc;

use meridian_dns_core::{Fallback, Policy, RoutedName};

use super::{Discovered, Issue, Member, Shards, health_of};
use crate::{DiscoveryKind, Route, ServiceKey, World};

/// How a name's clients are routed.
pub(super) struct RouteSettings {
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) minimum_healthy_percent: Option<u32>,
}

impl RouteSettings {
    /// Those of the service's own names.
    pub(super) fn of_service(world: &World, key: &ServiceKey) -> Self {
        let mut routes = routes_of(world, key).map(|(id, route)| Self::of_route(world, id, route));
        let first = Self {
            policy: None,
            minimum_healthy_percent: None,
        };
        routes.by_ref().fold(first, |first, next| Self {
            policy: first.policy.or(next.policy),
            minimum_healthy_percent: first.minimum_healthy_percent.or(next.minimum_healthy_percent),
        })
    }

    fn of_route(world: &World, id: &(String, String), route: &Route) -> Self {
        Self {
            policy: world.policies_in_use.get(id).cloned(),
            minimum_healthy_percent: route.minimum_healthy_percent,
        }
    }

    /// The shards of the service with the health that these settings give them.
    fn measure(&self, world: &World, sites: &[Member<'_>], shards: &Shards) -> Shards {
        let mut shards = shards.clone();
        for (cluster, service, member) in sites {
            if let Some(shard) = shards.get_mut(*cluster) {
                let slices = world.freshness(cluster, DiscoveryKind::Slices);
                shard.health = health_of(slices, service, member, self.minimum_healthy_percent);
            }
        }
        shards
    }
}

fn routes_of<'a>(world: &'a World, key: &ServiceKey) -> impl Iterator<Item = (&'a (String, String), &'a Route)> {
    let ids = world.routes_of.get(key).into_iter().flatten();
    ids.filter_map(|id| Some((id, world.routes.get(id)?)))
}

/// The host names that DNSRoutes give the service. They behave as the global name does.
pub(super) fn host_names(
    world: &World,
    key: &ServiceKey,
    sites: &[Member<'_>],
    shards: &Shards,
    found: &mut Discovered,
) {
    for (id, route) in routes_of(world, key) {
        let settings = RouteSettings::of_route(world, id, route);
        let shards = settings.measure(world, sites, shards);
        for host in &route.host_names {
            let zone = world
                .served_zones()
                .map(|(_, zone)| zone)
                .filter(|zone| host.is_at_or_below(&zone.domain))
                .max_by_key(|zone| zone.domain.as_str().len());
            let Some(zone) = zone else {
                found.issues.insert(Issue {
                    cluster: None,
                    reason: "NoZone",
                    message: format!(
                        "host name {host} lies in no zone of ours; add a DNSZone for it or correct the DNSRoute"
                    ),
                });
                continue;
            };
            if zone.name_servers.iter().any(|server| server.name == *host) {
                found.issues.insert(Issue {
                    cluster: None,
                    reason: "NameTaken",
                    message: format!("host name {host} is that of a name server of its zone; choose another"),
                });
                continue;
            }
            if zone.records.displaces(&zone.domain, host) {
                found.issues.insert(Issue {
                    cluster: None,
                    reason: "NameTaken",
                    message: format!(
                        "host name {host} is taken by static records of its zone: addresses or an alias of its own, or a delegation; remove them or choose another name"
                    ),
                });
                continue;
            }
            found.names.entry(zone.domain.clone()).or_default().push(RoutedName {
                name: host.clone(),
                ttl: route.ttl.unwrap_or(zone.ttl),
                shards: shards.clone(),
                fallback: Fallback::Policy(zone.when_none_healthy.clone()),
                ipv6: RoutedName::every_site_has_ipv6(&shards),
                https: route.https.clone(),
                policy: settings.policy.clone(),
            });
        }
    }
}
