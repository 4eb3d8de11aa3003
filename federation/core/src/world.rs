//! What is known of the federation: clusters, zones, routes, and what each member serves.
//!
//! The world is parsed: whoever fills it (`controller-index`) refuses or repairs bad input, so that
//! nothing here can be malformed. It is keyed by service, so that a decision about one service reads
//! only that service.
//!
//! Nothing is removed because a cluster cannot be read; only an observed deletion, a fresh list
//! without the object, or the removal of the `Cluster` object itself takes something away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use meridian_dns_core::{
    ClientNetwork, DnsName, HttpsService, Location, NameServer, Policy, StaticRecords, Traffic, WhenNoneHealthy,
};

use crate::transfer::{Streams, TransferPolicy};
use crate::{ClusterName, Freshness, Nodes, PolicyKey, RoutePolicy, RoutingPolicy, Timestamp, ZoneSigning};

/// The same namespace and name in several clusters is one service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A member, as its `Cluster` object and its nodes say.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// The UID of the member's `kube-system` namespace, pinned at join.
    pub uid: String,
    /// Declared region; else that of the nodes.
    pub region: Option<String>,
    /// Declared zones; else those of the nodes.
    pub zones: Vec<String>,
    /// Declared place.
    pub location: Option<Location>,
    /// Clients in these networks are nearest to this cluster.
    pub networks: Vec<IpNet>,
    /// Clients in these networks are told its Services' internal addresses.
    pub internal_networks: Vec<IpNet>,
    /// Order among clients of unknown place.
    pub weight: u32,
    /// The operator's switch for clients.
    pub traffic: Traffic,
    /// The operator's switch for resource sync.
    pub sync_paused: bool,
    /// Labels, for placement.
    pub labels: BTreeMap<String, String>,
    /// How many deletions by deselection the operator has confirmed beyond the limit.
    pub confirmed_deletions: u32,
    /// Verdicts given until then are true, whatever the breaker thinks of them.
    pub released: Option<Timestamp>,
}

/// Which cluster really answers under a member's address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Identity {
    /// Not asked yet.
    #[default]
    Unverified,
    /// The one we joined.
    Confirmed,
    /// Another one: nothing it says is believed.
    Wrong {
        /// The UID found there.
        found: String,
        /// Since when.
        since: Timestamp,
    },
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServicePort {
    /// Name; only named ports get SRV records.
    pub name: Option<String>,
    /// Lower case: tcp, udp, sctp.
    pub protocol: String,
    /// Port number.
    pub port: u16,
}

/// An exported Service of one cluster, trimmed to what is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Addresses that clients outside the cluster can reach: the load balancer's and `externalIPs`.
    pub addresses: BTreeSet<IpAddr>,
    /// Addresses for clients in the cluster's internal networks, as the Service's annotation says.
    pub internal_addresses: BTreeSet<IpAddr>,
    /// What of that annotation is no address.
    pub odd_internal_addresses: BTreeSet<String>,
    /// Host names of the load balancer, which need resolving.
    pub host_names: BTreeSet<String>,
    /// Ports.
    pub ports: BTreeSet<ServicePort>,
    /// False for a type that has no address outside the cluster, such as ClusterIP.
    pub published: bool,
}

/// An EndpointSlice, trimmed to what is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slice {
    /// Endpoints that take traffic: ready, or without a `ready` condition (unknown means ready).
    pub ready: u32,
    /// Endpoints that still serve while terminating: the fall-back when none is ready.
    pub serving: u32,
    /// All endpoints.
    pub total: u32,
}

/// What a node says of its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodePlace {
    /// `topology.kubernetes.io/region`.
    pub region: Option<String>,
    /// `topology.kubernetes.io/zone`.
    pub zone: Option<String>,
}

/// A zone to publish in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsZone {
    /// The domain.
    pub domain: DnsName,
    /// The federation's name, a label in every service name.
    pub federation: String,
    /// TTL of routed names, seconds.
    pub ttl: u32,
    /// Name servers.
    pub name_servers: Vec<NameServer>,
    /// Mailbox of the SOA, as a name.
    pub mailbox: DnsName,
    /// SOA times: refresh, retry, expire, minimum, in seconds.
    pub soa_times: [u32; 4],
    /// What a global name answers when no site is healthy.
    pub when_none_healthy: WhenNoneHealthy,
    /// The lowest TTL that halving leads to while a name is degraded, seconds.
    pub minimum_ttl: u32,
    /// Networks whose clients are nearest to certain clusters, for names of this zone.
    pub networks: Arc<[ClientNetwork]>,
    /// Static records.
    pub records: Arc<StaticRecords>,
    /// Verdicts given until then are true, whatever the breaker thinks of them.
    pub released: Option<Timestamp>,
}

/// A DNSRoute: further host names of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The service it routes to.
    pub service: ServiceKey,
    /// Host names; each must lie in a zone of ours.
    pub host_names: Vec<DnsName>,
    /// Seconds; else the zone's.
    pub ttl: Option<u32>,
    /// What HTTPS records of the host names say, if there shall be any.
    pub https: Option<HttpsService>,
    /// How clients are given clusters; see [`World::policies_in_use`] for what that came to.
    pub policy: Option<RoutePolicy>,
    /// Share of a cluster's endpoints that must be ready, in per cent; else one.
    pub minimum_healthy_percent: Option<u32>,
}

/// The kinds watched in a member for discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiscoveryKind {
    /// Services with the export label.
    Services,
    /// EndpointSlices with the export label.
    Slices,
    /// Nodes, metadata only.
    Nodes,
}

/// Everything discovery knows of one member.
#[derive(Debug, Clone, Default)]
pub struct MemberFacts {
    /// How well each kind is known.
    pub freshness: BTreeMap<DiscoveryKind, Freshness>,
    /// Why a kind could not be read the last time; nothing once it can.
    pub troubles: BTreeMap<DiscoveryKind, String>,
    /// Its nodes' places.
    pub nodes: Nodes,
    /// Who answers there.
    pub identity: Identity,
}

/// One service in one member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceInMember {
    /// The Service, while it is exported.
    pub service: Option<Service>,
    /// Its EndpointSlices by name.
    pub slices: BTreeMap<String, Slice>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Members by name.
    pub clusters: BTreeMap<ClusterName, Cluster>,
    /// What is known of each member.
    pub members: BTreeMap<ClusterName, MemberFacts>,
    /// Zones by the name of their object.
    pub zones: BTreeMap<String, DnsZone>,
    /// How zones are signed, by the name of their object.
    pub signing: BTreeMap<String, ZoneSigning>,
    /// How zones are given to secondaries, by the name of their object.
    pub transfers: BTreeMap<String, TransferPolicy>,
    /// Routes by namespace and name of their object.
    pub routes: BTreeMap<(String, String), Route>,
    /// Routes of each service.
    pub routes_of: BTreeMap<ServiceKey, BTreeSet<(String, String)>>,
    /// RoutingPolicies by namespace and name of their object.
    pub policies: BTreeMap<PolicyKey, RoutingPolicy>,
    /// The policy that each route is routed by: the last one that could be followed.
    pub policies_in_use: BTreeMap<(String, String), Arc<Policy>>,
    /// Services, each with its part in every member.
    pub services: BTreeMap<ServiceKey, BTreeMap<ClusterName, ServiceInMember>>,
}

impl World {
    /// How well a kind of a member is known.
    pub fn freshness(&self, cluster: &ClusterName, kind: DiscoveryKind) -> &Freshness {
        const UNKNOWN: &Freshness = &Freshness::Unknown;
        self.members
            .get(cluster)
            .and_then(|member| member.freshness.get(&kind))
            .unwrap_or(UNKNOWN)
    }

    /// Region and zones of a cluster: declared, else those of its nodes.
    pub fn place_of(&self, name: &ClusterName) -> (Option<String>, Vec<String>) {
        let Some(cluster) = self.clusters.get(name) else {
            return (None, Vec::new());
        };
        let nodes = self.members.get(name).map(|member| &member.nodes);
        let region = cluster
            .region
            .clone()
            .or_else(|| nodes.and_then(Nodes::region).cloned());
        let zones = if cluster.zones.is_empty() {
            nodes.into_iter().flat_map(Nodes::zones).cloned().collect()
        } else {
            cluster.zones.clone()
        };
        (region, zones)
    }

    /// The zones to serve, by the name of their object. Of two objects with one domain the first by name has
    /// it; the other is told so in its status.
    pub fn served_zones(&self) -> impl Iterator<Item = (&String, &DnsZone)> {
        let is_first = |(name, zone): &(&String, &DnsZone)| {
            let mut before = self.zones.iter().take_while(|(other, _)| other != name);
            !before.any(|(_, other)| other.domain == zone.domain)
        };
        self.zones.iter().filter(is_first)
    }

    /// The zones that are given to secondaries, and their catalogs.
    pub fn streams(&self) -> Streams {
        let policy = |(name, zone): (&String, _)| (zone, self.transfers.get(name));
        let zones = self.served_zones().map(|(name, zone)| (name, &zone.domain));
        Streams::of(zones.map(policy))
    }

    /// True when the Services of every member have been listed since the start: only then is a name
    /// that nobody offers certainly absent.
    pub fn all_services_listed(&self) -> bool {
        self.clusters
            .keys()
            .all(|cluster| self.freshness(cluster, DiscoveryKind::Services).listed())
    }
}
