//! The names of one service: a pure function of the world.
//!
//! Every cluster that exports the Service is a configured site, with or without addresses or ready
//! endpoints. So region and zone names exist from the first moment and lead upwards by alias when
//! their site does not serve; federation v1 wrote them only once a load balancer had an address.
//! Every zone of a multi-zone cluster gets a name; v1 gave one to the first only.

mod host_names;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use meridian_dns_core::{
    DnsName, Fallback, NameError, Policy, RoutedName, Shard, ShardData, ShardHealth, SiteName, Srv,
};

use self::host_names::{RouteSettings, host_names};
use crate::names::INTERNAL_ADDRESSES_ANNOTATION;
use crate::{ClusterName, DiscoveryKind, DnsZone, Freshness, Service, ServiceInMember, ServiceKey, World};

/// Something a user should know about a service; the rest of it is published all the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Issue {
    /// The cluster concerned, if it is one cluster's.
    pub cluster: Option<ClusterName>,
    /// CamelCase word for machines.
    pub reason: &'static str,
    /// A sentence for people: what, where, why, what to do.
    pub message: String,
}

/// The names of one service in one zone, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discovered {
    /// Names by zone, in the order of names.
    pub names: BTreeMap<DnsName, Vec<RoutedName>>,
    /// Issues, sorted.
    pub issues: BTreeSet<Issue>,
}

type Shards = BTreeMap<SiteName, Shard>;

/// A cluster that exports a service, the Service, and all that is known of it there.
type Member<'a> = (&'a ClusterName, &'a Service, &'a ServiceInMember);

/// Finds the names of a service in every zone.
pub fn discover(world: &World, key: &ServiceKey) -> Discovered {
    let mut found = Discovered::default();
    let Some(members) = world.services.get(key) else {
        return found;
    };
    let sites: Vec<Member<'_>> = members
        .iter()
        .filter(|(cluster, _)| world.clusters.contains_key(*cluster))
        .filter_map(|(cluster, member)| member.service.as_ref().map(|service| (cluster, service, member)))
        .collect();
    let own = RouteSettings::of_service(world, key);
    let mut shards = Shards::new();
    for (cluster, service, member) in &sites {
        if !service.published {
            found.issues.insert(Issue {
                cluster: Some((*cluster).clone()),
                reason: "NotReachableFromOutside",
                message: format!(
                    "Service {}/{} in cluster {cluster} has no address outside its cluster; make it a LoadBalancer or give it externalIPs",
                    key.namespace, key.name
                ),
            });
        }
        let data = ShardData::Addresses(service.addresses.iter().copied().collect());
        let slices = world.freshness(cluster, DiscoveryKind::Slices);
        let health = health_of(slices, service, member, own.minimum_healthy_percent);
        let mut shard = Shard::new(data, health);
        shard.internal = service.internal_addresses.iter().copied().collect();
        found.issues.extend(internal_address_issues(key, cluster, service));
        if let (true, Some(text)) = (service.addresses.is_empty(), service.host_names.first()) {
            shard.host_name = DnsName::parse(text).ok();
            found.issues.insert(Issue {
                cluster: Some((*cluster).clone()),
                reason: "LoadBalancerHostName",
                message: format!(
                    "the load balancer of Service {}/{} in cluster {cluster} has the host name {text} and no address; it is answered as an alias where every cluster of a name has a host name, since host names are not resolved yet",
                    key.namespace, key.name
                ),
            });
        }
        shards.insert((*cluster).clone(), shard);
    }
    if shards.is_empty() {
        return found;
    }
    let with_ipv6 = shards.values().filter(|shard| has_ipv6(shard)).count();
    if with_ipv6 > 0 && !RoutedName::every_site_has_ipv6(&shards) {
        found.issues.insert(Issue {
            cluster: None,
            reason: "MixedFamilies",
            message: format!(
                "only {with_ipv6} of {} clusters have an IPv6 address for Service {}/{}, so no AAAA is answered: a negative answer that depended on the client would be cached for others",
                shards.len(), key.namespace, key.name
            ),
        });
    }
    let services: BTreeMap<&ClusterName, &Service> =
        sites.iter().map(|(cluster, service, _)| (*cluster, *service)).collect();
    for (_, zone) in world.served_zones() {
        let (names, impossible) = names_in_zone(world, key, zone, &shards, &services, own.policy.as_ref());
        found.names.entry(zone.domain.clone()).or_default().extend(names);
        found.issues.extend(impossible.into_iter().map(|error| Issue {
            cluster: None,
            reason: "NameNotPossible",
            message: format!(
                "a name of Service {}/{} in zone {} is not possible: {error}",
                key.namespace, key.name, zone.domain
            ),
        }));
    }
    host_names(world, key, &sites, &shards, &mut found);
    for names in found.names.values_mut() {
        names.sort_by(|a, b| a.name.cmp(&b.name));
        names.dedup_by(|a, b| a.name == b.name);
    }
    found
}

/// What of a Service's internal addresses is told to nobody.
fn internal_address_issues(key: &ServiceKey, cluster: &ClusterName, service: &Service) -> Vec<Issue> {
    let of = format!(
        "annotation {INTERNAL_ADDRESSES_ANNOTATION} of Service {}/{} in cluster {cluster}",
        key.namespace, key.name
    );
    let odd = service.odd_internal_addresses.iter().map(|text| {
        format!("{of}: {text:?} is not an IP address; write addresses with commas between, such as 10.0.0.1,fd00::1")
    });
    let lonely = |address: &&IpAddr| {
        service
            .addresses
            .iter()
            .all(|public| public.is_ipv4() != address.is_ipv4())
    };
    let unanswered = service.internal_addresses.iter().filter(lonely).map(|address| {
        format!(
            "{of}: {address} is answered to nobody, because the Service has no public address of the same family, and a family is there for all clients or for none"
        )
    });
    let issue = |message| Issue {
        cluster: Some(cluster.clone()),
        reason: "InternalAddresses",
        message,
    };
    odd.chain(unanswered).map(issue).collect()
}

fn has_ipv6(shard: &Shard) -> bool {
    matches!(&shard.data, ShardData::Addresses(addresses) if addresses.iter().any(IpAddr::is_ipv6))
}

/// Whether a member's part of the service serves: one ready endpoint is enough, unless a share is asked for.
/// Endpoints that terminate but still serve are what is left when none is ready; otherwise they are on their
/// way out and in nobody's share. What was never listed is not known to be unhealthy.
fn health_of(
    slices: &Freshness,
    service: &Service,
    member: &ServiceInMember,
    minimum_percent: Option<u32>,
) -> ShardHealth {
    let sum = |count: fn(&crate::Slice) -> u32| member.slices.values().map(count).sum::<u32>();
    let (ready, serving, total) = (
        sum(|slice| slice.ready),
        sum(|slice| slice.serving),
        sum(|slice| slice.total),
    );
    let (up, of) = if ready > 0 {
        (ready, total.saturating_sub(serving))
    } else {
        (serving, total)
    };
    let enough = |percent: u32| u64::from(up) * 100 >= u64::from(of) * u64::from(percent);
    if service.addresses.is_empty() && service.host_names.is_empty() {
        ShardHealth::Unhealthy("no load balancer address".to_owned())
    } else if *slices == Freshness::Unknown || (up > 0 && minimum_percent.is_none_or(enough)) {
        ShardHealth::Healthy
    } else if total == 0 {
        ShardHealth::Unhealthy("no endpoints".to_owned())
    } else if let Some(percent) = minimum_percent.filter(|_| up > 0) {
        ShardHealth::Unhealthy(format!("{up} of {of} endpoints ready, less than {percent} %"))
    } else {
        ShardHealth::Unhealthy(format!("0 of {total} endpoints ready"))
    }
}

/// One level of the name tree: its base name, the sites under it, and where it leads when none serves.
struct Level {
    base: DnsName,
    shards: Shards,
    fallback: Fallback,
}

/// The names in one zone, and why others are not possible: a region with an odd label, or a name that
/// gets too long, takes nothing from the levels that fit.
fn names_in_zone(
    world: &World,
    key: &ServiceKey,
    zone: &DnsZone,
    shards: &Shards,
    services: &BTreeMap<&ClusterName, &Service>,
    policy: Option<&Arc<Policy>>,
) -> (Vec<RoutedName>, Vec<NameError>) {
    let (mut names, mut impossible) = (Vec::new(), Vec::new());
    let stem = format!("{}.{}.{}.svc", key.name, key.namespace, zone.federation);
    let global = match zone.domain.prepend(&stem) {
        Ok(global) => global,
        Err(error) => return (names, vec![error]),
    };
    let mut levels = Vec::new();
    for cluster in shards.keys() {
        match global.prepend(cluster.as_str()) {
            Ok(base) => levels.push(Level {
                base,
                shards: only(shards, |site| site == cluster),
                fallback: Fallback::Always,
            }),
            Err(error) => impossible.push(error),
        }
    }
    let places: BTreeMap<_, _> = shards
        .keys()
        .map(|cluster| (cluster, world.place_of(cluster)))
        .collect();
    let regions: BTreeSet<&String> = places.values().filter_map(|(region, _)| region.as_ref()).collect();
    for region in regions {
        let regional = match zone.domain.prepend(region).and_then(|domain| domain.prepend(&stem)) {
            Ok(regional) => regional,
            Err(error) => {
                impossible.push(error);
                continue;
            }
        };
        let in_region = |site: &ClusterName| places[site].0.as_ref() == Some(region);
        let zones: BTreeSet<&String> = places
            .iter()
            .filter(|(cluster, _)| in_region(cluster))
            .flat_map(|(_, (_, zones))| zones)
            .collect();
        for zone_name in zones {
            match zone
                .domain
                .prepend(region)
                .and_then(|domain| domain.prepend(zone_name))
                .and_then(|domain| domain.prepend(&stem))
            {
                Ok(base) => levels.push(Level {
                    base,
                    shards: only(shards, |site| in_region(site) && places[site].1.contains(zone_name)),
                    fallback: Fallback::Upper(regional.clone()),
                }),
                Err(error) => impossible.push(error),
            }
        }
        levels.push(Level {
            base: regional,
            shards: only(shards, in_region),
            fallback: Fallback::Upper(global.clone()),
        });
    }
    levels.push(Level {
        base: global.clone(),
        shards: shards.clone(),
        fallback: Fallback::Policy(zone.when_none_healthy.clone()),
    });

    for level in levels {
        // Names of regions and zones, and a site's own, say themselves where they lead.
        let policy = policy.filter(|_| level.base == global);
        for (port, protocol) in named_ports(services) {
            match service_records(&level, &global, services, (port, protocol), zone.ttl) {
                Ok(records) => names.push(RoutedName {
                    policy: policy.cloned(),
                    ..records
                }),
                Err(error) => impossible.push(error),
            }
        }
        let ipv6 = RoutedName::every_site_has_ipv6(&level.shards);
        names.push(RoutedName {
            name: level.base,
            ttl: zone.ttl,
            shards: level.shards,
            fallback: level.fallback,
            ipv6,
            https: None,
            policy: policy.cloned(),
        });
    }
    (names, impossible)
}

/// The SRV name of one named port at one level. Its targets are the sites' own names, never an alias
/// (RFC 2782); where the level leads upwards by alias, so does this.
fn service_records(
    level: &Level,
    global: &DnsName,
    services: &BTreeMap<&ClusterName, &Service>,
    (port_name, protocol): (&str, &str),
    ttl: u32,
) -> Result<RoutedName, NameError> {
    let prefix = format!("_{port_name}._{protocol}");
    let mut shards = Shards::new();
    for (cluster, shard) in &level.shards {
        let ports = services.get(cluster).into_iter().flat_map(|service| &service.ports);
        // Where a site's own name is not possible or has no address, there is nothing to lead to.
        let has_address = matches!(&shard.data, ShardData::Addresses(addresses) if !addresses.is_empty());
        let target = global.prepend(cluster.as_str()).ok().filter(|_| has_address);
        let data = if let Some(target) = target {
            ports
                .filter(|port| port.name.as_deref() == Some(port_name) && port.protocol == protocol)
                .map(|port| Srv {
                    priority: 0,
                    weight: 1,
                    port: port.port,
                    target: target.clone(),
                })
                .collect()
        } else {
            Vec::new()
        };
        shards.insert(
            cluster.clone(),
            Shard::new(ShardData::Services(data), shard.health.clone()),
        );
    }
    let fallback = match &level.fallback {
        Fallback::Upper(upper) => Fallback::Upper(upper.prepend(&prefix)?),
        other => other.clone(),
    };
    Ok(RoutedName {
        name: level.base.prepend(&prefix)?,
        ttl,
        shards,
        fallback,
        ipv6: false,
        https: None,
        policy: None,
    })
}

fn named_ports<'a>(services: &BTreeMap<&ClusterName, &'a Service>) -> BTreeSet<(&'a str, &'a str)> {
    services
        .values()
        .flat_map(|service| &service.ports)
        .filter_map(|port| port.name.as_deref().map(|name| (name, port.protocol.as_str())))
        .collect()
}

fn only(shards: &Shards, keep: impl Fn(&ClusterName) -> bool) -> Shards {
    shards
        .iter()
        .filter(|(site, _)| keep(site))
        .map(|(site, shard)| (site.clone(), shard.clone()))
        .collect()
}

/// The sockets that prove a cluster's data path: each address of its exported TCP services with its
/// first TCP port, in order, at most `limit`, spread evenly when there are more.
pub fn probe_targets(world: &World, cluster: &ClusterName, limit: usize) -> Vec<(IpAddr, u16)> {
    let all: BTreeSet<(IpAddr, u16)> = world
        .services
        .values()
        .filter_map(|members| members.get(cluster)?.service.as_ref())
        .filter_map(|service| Some((service, service.ports.iter().find(|port| port.protocol == "tcp")?.port)))
        .flat_map(|(service, port)| service.addresses.iter().map(move |address| (*address, port)))
        .collect();
    let step = all.len().div_ceil(limit.max(1)).max(1);
    all.into_iter().step_by(step).collect()
}
