//! The fleet as DNS and as people see it: sites, and the conditions of a `Cluster` object.

use std::collections::BTreeMap;

use ipnet::IpNet;
use meridian_dns_core::geo::{CloudRegion, cloud_region};
use meridian_dns_core::{Liveness, Location, Site, Sites, Traffic};

use crate::{
    Breaker, ClusterHealth, ClusterName, Condition, ConditionStatus, DiscoveryKind, Freshness, Identity, MemberFacts,
    World,
};

/// The sites that answers consult. A cluster nobody has checked yet is alive: unknown is not dead; and so
/// is one whose verdict the breaker holds back.
pub fn sites(world: &World, health: &BTreeMap<ClusterName, ClusterHealth>, breaker: &Breaker) -> Sites {
    let site = |name: &ClusterName, cluster: &crate::Cluster| {
        let (region, zones) = world.place_of(name);
        Site {
            region: region.unwrap_or_default(),
            zones,
            location: location(world, name).map(|(location, _)| location),
            networks: cluster.networks.clone(),
            internal_networks: cluster.internal_networks.clone(),
            weight: cluster.weight,
            liveness: breaker.served(name, health.get(name).map_or(Liveness::Alive, ClusterHealth::liveness)),
            traffic: cluster.traffic,
        }
    };
    world
        .clusters
        .iter()
        .map(|(name, cluster)| (name.clone(), site(name, cluster)))
        .collect()
}

/// From what a cluster's place is known.
#[derive(Debug, Clone, Copy)]
enum Located {
    Declared,
    Region(&'static CloudRegion),
}

/// Where a cluster is: where it says, or where its region is.
fn location(world: &World, name: &ClusterName) -> Option<(Location, Located)> {
    let declared = world.clusters.get(name)?.location;
    declared.map(|location| (location, Located::Declared)).or_else(|| {
        let region = cloud_region(&world.place_of(name).0?)?;
        Some((region.location, Located::Region(region)))
    })
}

/// The conditions of one cluster, in a fixed order. `None` for a cluster that is not in the world.
pub fn cluster_conditions(
    world: &World,
    health: &BTreeMap<ClusterName, ClusterHealth>,
    breaker: &Breaker,
    name: &ClusterName,
) -> Option<Vec<Condition>> {
    let cluster = world.clusters.get(name)?;
    let member = world.members.get(name);
    let health = health.get(name);
    Some(vec![
        ready(&cluster.uid, member.map(|member| &member.identity), health, member),
        offline(health),
        data_path(health),
        held_back(breaker, name),
        match cluster.traffic {
            Traffic::Active => Condition::new("Drained", false, "Active", "takes clients"),
            Traffic::Drained => Condition::new(
                "Drained",
                true,
                "DrainedByOperator",
                "spec.traffic is Drained; answers avoid this cluster",
            ),
        },
        located(world, name),
        networks_own(world, name, &cluster.networks),
    ])
}

fn located(world: &World, name: &ClusterName) -> Condition {
    match location(world, name) {
        Some((_, Located::Declared)) => Condition::new("Located", true, "Declared", "spec.location says where it is"),
        Some((_, Located::Region(region))) => Condition::new(
            "Located",
            true,
            "CloudRegion",
            format!(
                "its region is one of {}, near {} ({}, {})",
                region.cloud, region.city, region.location.latitude, region.location.longitude
            ),
        ),
        None => Condition::new(
            "Located",
            false,
            "NoLocation",
            "spec.location is empty and its region is none of a known public cloud: it comes last for every client that it was not configured for; set spec.location",
        ),
    }
}

/// Whether the cluster has the networks that it names. Of two that name the same, the first by name has it;
/// one inside another's network is no conflict, since the longest prefix wins.
fn networks_own(world: &World, name: &ClusterName, networks: &[IpNet]) -> Condition {
    let before = world.clusters.range::<ClusterName, _>(..name);
    let taken: BTreeMap<&IpNet, &ClusterName> = before
        .flat_map(|(other, cluster)| cluster.networks.iter().map(move |network| (network, other)))
        .rev()
        .collect();
    let lost = networks.iter().enumerate().find_map(|(index, network)| {
        let owner = taken.get(network)?;
        Some(format!(
            "spec.networks[{index}]: {network} is also a network of cluster {owner}, which comes first by name and has it; remove it from one of the two"
        ))
    });
    match lost {
        Some(message) => Condition::new("NetworksOwn", false, "TakenByAnother", message),
        None => Condition::new("NetworksOwn", true, "NoConflict", "no other cluster has its networks"),
    }
}

fn ready(
    pinned: &str,
    identity: Option<&Identity>,
    health: Option<&ClusterHealth>,
    member: Option<&MemberFacts>,
) -> Condition {
    if let Some(Identity::Wrong { found, .. }) = identity {
        let message = if pinned.is_empty() {
            format!(
                "spec.uid is empty; the cluster at this address has kube-system UID {found}: set spec.uid to it if that is the one you mean"
            )
        } else {
            format!(
                "another cluster answers at this address: its kube-system namespace has UID {found}, we joined {pinned}; nothing it says is believed and nothing is written to it. Repair the address, or join the new cluster under a new name"
            )
        };
        let reason = if pinned.is_empty() {
            "IdentityNotPinned"
        } else {
            "WrongIdentity"
        };
        return Condition::new("Ready", false, reason, message);
    }
    let Some(health) = health.filter(|_| identity == Some(&Identity::Confirmed)) else {
        return Condition::new(
            "Ready",
            ConditionStatus::Unknown,
            "NotContacted",
            "no answer from its API yet",
        );
    };
    if !health.reachable() {
        let message = format!(
            "its API does not answer: {}",
            health.trouble().unwrap_or("no reason known")
        );
        return Condition::new("Ready", false, "NotReachable", message);
    }
    let kinds = [DiscoveryKind::Services, DiscoveryKind::Slices, DiscoveryKind::Nodes];
    let unreadable = member.into_iter().flat_map(|member| {
        kinds.into_iter().filter_map(|kind| match member.freshness.get(&kind) {
            Some(Freshness::Stale { reason, .. }) => Some(("Stale", format!("{kind:?} cannot be read: {reason}"))),
            Some(Freshness::Fresh | Freshness::Absent) => None,
            Some(Freshness::Unknown) | None => {
                let reason = member.troubles.get(&kind)?;
                Some(("NotListed", format!("{kind:?} could never be read: {reason}")))
            }
        })
    });
    match unreadable.into_iter().next() {
        Some((reason, message)) => Condition::new("Ready", false, reason, message),
        None => Condition::new("Ready", true, "Watching", "its API answers and its watches deliver"),
    }
}

fn offline(health: Option<&ClusterHealth>) -> Condition {
    match health {
        Some(health) if !health.reachable() => Condition::new(
            "Offline",
            true,
            "NotReachable",
            health.trouble().unwrap_or("no reason known"),
        ),
        Some(_) => Condition::new("Offline", false, "Reachable", "its API answers"),
        None => Condition::new(
            "Offline",
            ConditionStatus::Unknown,
            "NotContacted",
            "no answer from its API yet",
        ),
    }
}

fn held_back(breaker: &Breaker, name: &ClusterName) -> Condition {
    match breaker.holds_site(name) {
        Some(_) => Condition::new(
            "HeldBack",
            true,
            "SeveralSitesAtOnce",
            "its probes fail, but so did those of other clusters at the same time, which is more often the prober's trouble than theirs; answers still lead here until the verdict has stood for a while, or until you annotate this Cluster with meridian.dev/release",
        ),
        None => Condition::new("HeldBack", false, "NothingHeld", "answers follow its verdict"),
    }
}

fn data_path(health: Option<&ClusterHealth>) -> Condition {
    let flapping = health.is_some_and(ClusterHealth::flapping);
    match health.map(ClusterHealth::liveness) {
        Some(Liveness::Dead) if flapping => Condition::new(
            "DataPathHealthy",
            false,
            "Flapping",
            "connects to its load balancers failed in two rounds, and its verdict changed often lately; it must be good for longer than usual before answers lead there again",
        ),
        Some(Liveness::Dead) => Condition::new(
            "DataPathHealthy",
            false,
            "ProbesFailed",
            "connects to its load balancers failed in two rounds; answers avoid this cluster",
        ),
        Some(Liveness::Alive) => Condition::new("DataPathHealthy", true, "NoFailure", "no failed probes"),
        None => Condition::new(
            "DataPathHealthy",
            ConditionStatus::Unknown,
            "NotProbed",
            "not probed yet",
        ),
    }
}
