//! Kubernetes types in, core types out.
//!
//! Parsing is where bad input ends: it gives a [`ParseError`] that names the field, and the caller keeps
//! what it had. Only the fields that are used are read, so that a newer API server cannot confuse us.

mod policy;
mod transfer;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use meridian_dns_core::{
    ClientNetwork, DnsName, HttpsService, Location, MINIMUM_TTL, NameServer, NetworkOwner, ReadText, StaticRecords,
    TextRecord, Traffic, WhenNoneHealthy,
};
use meridian_federation_api as api;
use meridian_federation_core::{
    Cluster, ClusterName, DnsZone, NodePlace, Route, Service, ServiceKey, ServicePort, Slice, Timestamp,
    names::{CONFIRM_DELETIONS_ANNOTATION, INTERNAL_ADDRESSES_ANNOTATION, RELEASE_ANNOTATION},
};

pub use self::policy::routing_policy;
pub use self::transfer::transfer;

/// Label that EndpointSlices carry: the name of their Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// A field that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Path of the field, as in `spec.networks[2]`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

pub(crate) fn bad(field: impl Into<String>, message: impl ToString) -> ParseError {
    ParseError {
        field: field.into(),
        message: message.to_string(),
    }
}

/// The key of a namespaced object.
pub fn key_of(object: &impl ResourceExt) -> ServiceKey {
    ServiceKey {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

/// A Service, trimmed.
pub fn service(object: &core::Service) -> Service {
    let spec = object.spec.as_ref();
    let is_load_balancer = spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    let external = spec.and_then(|spec| spec.external_ips.as_ref()).into_iter().flatten();
    let ingress = || {
        let status = object.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        status
            .and_then(|balancer| balancer.ingress.as_ref())
            .into_iter()
            .flatten()
            .filter(|_| is_load_balancer)
    };
    let mut addresses: BTreeSet<IpAddr> = external.filter_map(|address| address.parse().ok()).collect();
    addresses.extend(ingress().filter_map(|ingress| ingress.ip.as_ref()?.parse::<IpAddr>().ok()));
    let internal = object.annotations().get(INTERNAL_ADDRESSES_ANNOTATION);
    let internal = || {
        let texts = internal.into_iter().flat_map(|list| list.split(','));
        texts.map(str::trim).filter(|text| !text.is_empty())
    };
    Service {
        internal_addresses: internal().filter_map(|text| text.parse().ok()).collect(),
        odd_internal_addresses: internal()
            .filter(|text| text.parse::<IpAddr>().is_err())
            .map(str::to_owned)
            .collect(),
        published: is_load_balancer || !addresses.is_empty(),
        addresses,
        // As in federation v1: where an entry has both, the address wins.
        host_names: ingress()
            .filter(|ingress| ingress.ip.is_none())
            .filter_map(|ingress| ingress.hostname.clone())
            .collect(),
        ports: spec
            .and_then(|spec| spec.ports.as_ref())
            .into_iter()
            .flatten()
            .filter_map(|port| {
                Some(ServicePort {
                    name: port.name.clone().filter(|name| !name.is_empty()),
                    protocol: port.protocol.as_deref().unwrap_or("TCP").to_ascii_lowercase(),
                    port: u16::try_from(port.port).ok()?,
                })
            })
            .collect(),
    }
}

/// An EndpointSlice and its Service; `None` without the label that names it.
pub fn slice(object: &EndpointSlice) -> Option<(ServiceKey, Slice)> {
    let name = object.labels().get(SERVICE_NAME_LABEL)?.clone();
    let mut slice = Slice::default();
    for endpoint in &object.endpoints {
        let conditions = endpoint.conditions.as_ref();
        // An absent condition is unknown, and unknown means ready (EndpointConditions, discovery.k8s.io/v1).
        let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
        let serving = conditions.and_then(|conditions| conditions.serving).unwrap_or(ready);
        let terminating = conditions
            .and_then(|conditions| conditions.terminating)
            .unwrap_or(false);
        slice.total += 1;
        slice.ready += u32::from(ready && !terminating);
        slice.serving += u32::from(serving && terminating);
    }
    Some((
        ServiceKey {
            namespace: object.namespace().unwrap_or_default(),
            name,
        },
        slice,
    ))
}

/// A node's place, from the current labels or the old ones.
pub fn node(object: &impl ResourceExt) -> NodePlace {
    let label = |current: &str, old: &str| {
        let labels = object.labels();
        labels
            .get(current)
            .or_else(|| labels.get(old))
            .filter(|value| !value.is_empty())
            .map(|value| value.to_ascii_lowercase())
    };
    NodePlace {
        region: label(
            "topology.kubernetes.io/region",
            "failure-domain.beta.kubernetes.io/region",
        ),
        zone: label("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
    }
}

/// A Cluster.
pub fn cluster(object: &api::Cluster) -> Result<Cluster, ParseError> {
    let spec = &object.spec;
    let location = match &spec.location {
        None => None,
        Some(location) => Some(Location::new(location.latitude, location.longitude).ok_or_else(|| {
            bad(
                "spec.location",
                "latitude is -90 to 90 and longitude -180 to 180, in degrees",
            )
        })?),
    };
    let confirmed_deletions = match object.annotations().get(CONFIRM_DELETIONS_ANNOTATION) {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            bad(
                format!("metadata.annotations[{CONFIRM_DELETIONS_ANNOTATION}]"),
                format!("{text:?} is not a number"),
            )
        })?,
    };
    Ok(Cluster {
        uid: spec.uid.clone().unwrap_or_default(),
        region: spec.region.clone(),
        zones: spec.zones.clone(),
        location,
        networks: networks("spec.networks", &spec.networks)?,
        internal_networks: networks("spec.internalNetworks", &spec.internal_networks)?,
        weight: u32::try_from(spec.weight).map_err(|_| bad("spec.weight", "must not be negative"))?,
        traffic: match spec.traffic {
            api::TrafficState::Active => Traffic::Active,
            api::TrafficState::Drained => Traffic::Drained,
        },
        sync_paused: spec.sync == api::SyncState::Paused,
        labels: object.labels().clone(),
        confirmed_deletions,
        released: released(object)?,
    })
}

/// Up to when an operator has released what the breaker holds.
fn released(object: &impl ResourceExt) -> Result<Option<Timestamp>, ParseError> {
    let Some(text) = object.annotations().get(RELEASE_ANNOTATION) else {
        return Ok(None);
    };
    let time = serde_json::from_value::<Time>(text.as_str().into()).map_err(|_| {
        bad(
            format!("metadata.annotations[{RELEASE_ANNOTATION}]"),
            format!("{text:?} is not a time such as 2026-01-31T12:00:00Z"),
        )
    })?;
    Ok(Some(Timestamp(u64::try_from(time.0.as_millisecond()).unwrap_or(0))))
}

fn networks(field: &str, texts: &[String]) -> Result<Vec<IpNet>, ParseError> {
    let indexed = texts.iter().enumerate();
    indexed
        .map(|(index, text)| network(&format!("{field}[{index}]"), text))
        .collect()
}

fn network(field: &str, text: &str) -> Result<IpNet, ParseError> {
    text.parse::<IpNet>().map(|network| network.trunc()).map_err(|_| {
        bad(
            field,
            format!("{text:?} is not a network such as 192.0.2.0/24 or 2001:db8::/48"),
        )
    })
}

/// The name of a cluster-scoped object as a cluster's name.
pub fn cluster_name(object: &impl ResourceExt) -> ClusterName {
    ClusterName::new(object.name_any())
}

fn domain_name(field: &str, text: &str) -> Result<DnsName, ParseError> {
    DnsName::parse(text).map_err(|error| bad(field, error))
}

/// The static records of a DNSZone.
fn static_records(
    spec: &api::DNSZoneSpec,
    domain: &DnsName,
    ttl: u32,
    reader: Option<&dyn ReadText>,
) -> Result<StaticRecords, ParseError> {
    if spec.records.is_empty() && spec.zone_file.is_none() {
        return Ok(StaticRecords::default());
    }
    let reader = reader.ok_or_else(|| bad("spec.records", "static records are not served by this program"))?;
    let mut records = Vec::new();
    for (index, set) in spec.records.iter().enumerate() {
        let text = TextRecord {
            name: &set.name,
            record_type: &set.kind,
            ttl: set.ttl.and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(ttl),
            data: &set.data,
        };
        let read = reader.record(domain, &text);
        records.push(read.map_err(|error| bad(format!("spec.records[{index}]"), error))?);
    }
    if let Some(file) = &spec.zone_file {
        let read = reader.zone_file(domain, ttl, file);
        records.extend(read.map_err(|error| bad("spec.zoneFile", error))?);
    }
    StaticRecords::new(domain, records).map_err(|error| bad("spec.records, spec.zoneFile", error))
}

/// A DNSZone, with the defaults of what it leaves open. Its static records are read by the reader.
pub fn zone(object: &api::DNSZone, reader: Option<&dyn ReadText>) -> Result<DnsZone, ParseError> {
    let spec = &object.spec;
    let domain = domain_name("spec.domain", &spec.domain)?;
    let mut name_servers = Vec::new();
    for (index, server) in spec.nameservers.iter().enumerate() {
        let field = format!("spec.nameservers[{index}]");
        let addresses = server
            .addresses
            .iter()
            .map(|text| {
                text.parse()
                    .map_err(|_| bad(format!("{field}.addresses"), format!("{text:?} is not an IP address")))
            })
            .collect::<Result<Vec<IpAddr>, _>>()?;
        let name = domain_name(&format!("{field}.name"), &server.name)?;
        if name.is_at_or_below(&domain) && addresses.is_empty() {
            return Err(bad(
                format!("{field}.addresses"),
                format!("{name} lies in the zone, so resolvers need its addresses here (glue)"),
            ));
        }
        name_servers.push(NameServer { name, addresses });
    }
    let soa = spec.soa.clone().unwrap_or_default();
    let mailbox = match &soa.mailbox {
        Some(text) => domain_name("spec.soa.mailbox", &text.replace('@', "."))?,
        None => domain
            .prepend("hostmaster")
            .map_err(|error| bad("spec.domain", error))?,
    };
    let seconds =
        |value: Option<i32>, default: u32| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
    let ttl = seconds(Some(spec.ttl), 30);
    let records = static_records(spec, &domain, ttl, reader)?.into();
    Ok(DnsZone {
        federation: spec.federation.clone(),
        ttl,
        name_servers,
        mailbox,
        // RFC 9077: a negative answer must not outlive the names that may appear.
        soa_times: [
            seconds(soa.refresh, 7200),
            seconds(soa.retry, 900),
            seconds(soa.expire, 1_209_600),
            seconds(soa.minimum, ttl).min(ttl),
        ],
        when_none_healthy: match (&spec.when_none_healthy.kind, &spec.when_none_healthy.target) {
            (api::WhenNoneHealthyType::FailOpen, _) => WhenNoneHealthy::FailOpen,
            (api::WhenNoneHealthyType::Empty, _) => WhenNoneHealthy::Empty,
            (api::WhenNoneHealthyType::Fallback, Some(target)) => {
                WhenNoneHealthy::Fallback(domain_name("spec.whenNoneHealthy.target", target)?)
            }
            (api::WhenNoneHealthyType::Fallback, None) => {
                return Err(bad("spec.whenNoneHealthy.target", "type Fallback needs a target"));
            }
        },
        minimum_ttl: seconds(Some(spec.minimum_ttl), MINIMUM_TTL),
        networks: zone_networks(&spec.networks)?.into(),
        records,
        released: released(object)?,
        domain,
    })
}

fn zone_networks(entries: &[api::ZoneNetwork]) -> Result<Vec<ClientNetwork>, ParseError> {
    let mut found: Vec<ClientNetwork> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let field = format!("spec.networks[{index}]");
        let network = network(&format!("{field}.network"), &entry.network)?;
        let nearest_to = match (&entry.cluster, &entry.region) {
            (Some(cluster), None) => NetworkOwner::Site(ClusterName::new(cluster.as_str())),
            (None, Some(region)) => NetworkOwner::Region(region.clone()),
            _ => return Err(bad(field, "name a cluster or a region, one of the two")),
        };
        if let Some(first) = found.iter().position(|other| other.network == network) {
            return Err(bad(
                format!("{field}.network"),
                format!("{network} is already spec.networks[{first}]; remove one of the two"),
            ));
        }
        found.push(ClientNetwork { network, nearest_to });
    }
    Ok(found)
}

fn https(record: &api::HttpsRecord) -> Result<HttpsService, ParseError> {
    let odd = |id: &&String| id.is_empty() || id.len() > 255;
    if let Some(index) = record.alpn.iter().position(|id| odd(&id)) {
        let field = format!("spec.https.alpn[{index}]");
        return Err(bad(field, "a protocol's name has 1 to 255 octets (RFC 7301)"));
    }
    let port = record.port.map(u16::try_from).transpose();
    Ok(HttpsService {
        alpn: record.alpn.clone(),
        port: port.map_err(|_| bad("spec.https.port", "a port is 1 to 65535"))?,
    })
}

/// A DNSRoute.
pub fn route(object: &api::DNSRoute) -> Result<Route, ParseError> {
    let host_names = object
        .spec
        .hostnames
        .iter()
        .enumerate()
        .map(|(index, text)| domain_name(&format!("spec.hostnames[{index}]"), text))
        .collect::<Result<_, _>>()?;
    Ok(Route {
        service: ServiceKey {
            namespace: object.namespace().unwrap_or_default(),
            name: object.spec.source.name.clone(),
        },
        host_names,
        ttl: object.spec.ttl.and_then(|ttl| u32::try_from(ttl).ok()),
        https: object.spec.https.as_ref().map(https).transpose()?,
        policy: policy::route_policy(&object.spec)?,
        minimum_healthy_percent: match object.spec.minimum_healthy_percent {
            None => None,
            Some(percent) => Some(
                u32::try_from(percent)
                    .ok()
                    .filter(|percent| (1..=100).contains(percent))
                    .ok_or_else(|| bad("spec.minimumHealthyPercent", "must be 1 to 100"))?,
            ),
        },
    })
}
