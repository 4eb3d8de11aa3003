//! `DNSZone`: a domain that Meridian publishes names in.
//!
//! The domain cannot be changed: names would be left behind in the old one. Delete the zone and make
//! another, so that the deletion is decided by somebody.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A domain that Meridian publishes names in, and how.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "meridian.dev",
    version = "v1alpha1",
    kind = "DNSZone",
    plural = "dnszones",
    shortname = "mzone",
    category = "meridian",
    status = "DNSZoneStatus",
    derive = "PartialEq",
    doc = "A domain that Meridian publishes names in, and how.",
    printcolumn(name = "Domain", type_ = "string", json_path = ".spec.domain"),
    printcolumn(name = "Federation", type_ = "string", json_path = ".spec.federation"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Names", type_ = "integer", json_path = ".status.names"),
    printcolumn(name = "Serial", type_ = "integer", json_path = ".status.serial", priority = "1"),
    printcolumn(
        name = "Signed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Signed\")].reason",
        priority = "1"
    ),
    printcolumn(name = "TTL", type_ = "integer", json_path = ".spec.ttl", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DNSZoneSpec {
    /// The domain, without a final dot, such as `example.org`. It cannot be changed.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*$")
    )]
    #[x_kube(validation = ("self == oldSelf", "the domain of a zone cannot be changed; make another DNSZone"))]
    pub domain: String,
    /// The federation's name: the label between the namespace and `svc` in service names.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub federation: String,
    /// How long a resolver may keep an answer, in seconds; 1 to 86400.
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 1, max = 86400))]
    pub ttl: i32,
    /// The zone's name servers, as in its NS records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 13))]
    pub nameservers: Vec<NameServer>,
    /// Fields of the SOA record that differ from Meridian's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soa: Option<StartOfAuthority>,
    /// The lowest time, in seconds, that the TTL of a name is halved to while not all of its clusters
    /// serve; 1 to 3600.
    #[serde(default = "default_minimum_ttl")]
    #[schemars(range(min = 1, max = 3600))]
    pub minimum_ttl: i32,
    /// What a name answers when none of its clusters is healthy.
    #[serde(default)]
    pub when_none_healthy: WhenNoneHealthy,
    /// Static records beside the names of services. Where they have addresses or an alias, they take the
    /// place of a service's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096))]
    pub records: Vec<StaticRecords>,
    /// Further static records in zone file form (RFC 1035). `$ORIGIN` starts as the domain and `$TTL` as
    /// `ttl`; an SOA record is ignored, `$INCLUDE` is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1048576))]
    pub zone_file: Option<String>,
    /// Networks whose clients are nearest to a cluster or a region, for names of this zone alone. They go
    /// before the same networks of `Cluster`; among all, the longest prefix wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub networks: Vec<ZoneNetwork>,
    /// Signs the zone (DNSSEC). When it is removed, the keys stay until the parent has no DS of them any
    /// more: see `status.conditions` for what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dnssec: Option<crate::Dnssec>,
    /// Gives the zone to plain secondaries such as BIND, Knot and NSD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<crate::Transfer>,
    /// Marks the records of this control plane where several write to one zone. When absent, the id of
    /// the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub owner_id: Option<String>,
}

fn default_ttl() -> i32 {
    30
}

fn default_minimum_ttl() -> i32 {
    5
}

/// The records of one type at one name.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StaticRecords {
    /// Their name: relative to the domain, or fully qualified with a final dot; `@` is the domain
    /// itself. The first label may be `*`.
    #[schemars(length(min = 1, max = 254))]
    pub name: String,
    /// Their type, such as `MX`, or `TYPE` and a number for one without a name (RFC 3597).
    #[serde(rename = "type")]
    #[schemars(regex(pattern = "^[A-Z][A-Z0-9-]{0,15}$"))]
    pub kind: String,
    /// How long a resolver may keep them, in seconds; 0 to 604800. When absent, the zone's `ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604800))]
    pub ttl: Option<i32>,
    /// The data of each record, as in a zone file: `10 mail` for an MX.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 4096)))]
    pub data: Vec<String>,
}

/// A network, and what its clients are nearest to.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.cluster) != has(self.region)",
    "a network is nearest to a cluster or to a region: name one of the two"
))]
pub struct ZoneNetwork {
    /// In CIDR notation, such as `10.1.0.0/16`.
    #[schemars(length(max = 64), regex(pattern = "^[0-9a-fA-F:.]+/[0-9]{1,3}$"))]
    pub network: String,
    /// The name of a `Cluster`. While there is none of that name, the network counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub cluster: Option<String>,
    /// A region: its clusters come first. One of a public cloud may have no cluster: its place counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub region: Option<String>,
}

/// One name server of a zone.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NameServer {
    /// Its host name: fully qualified, without a final dot.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its IPv4 and IPv6 addresses; needed when the name lies in the zone itself (glue).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 45)))]
    pub addresses: Vec<String>,
}

/// Fields of a zone's SOA record. Absent ones take Meridian's defaults.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct StartOfAuthority {
    /// Mailbox of the person responsible, in mail or DNS form: `dns@example.org` or `dns.example.org`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub mailbox: Option<String>,
    /// How often secondaries ask for a new serial, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub refresh: Option<i32>,
    /// How soon secondaries ask again after a failure, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub retry: Option<i32>,
    /// How long secondaries keep answering without news, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub expire: Option<i32>,
    /// How long a resolver may remember that a name does not exist, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub minimum: Option<i32>,
}

/// What a name answers when none of its clusters is healthy.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.type == 'Fallback' ? has(self.target) : !has(self.target)",
    "target is for type Fallback, and needed there"
))]
pub struct WhenNoneHealthy {
    /// `FailOpen` answers from the best cluster anyway, `Empty` answers without addresses, `Fallback`
    /// answers with an alias to `target`.
    #[serde(default, rename = "type")]
    pub kind: WhenNoneHealthyType,
    /// The host name to point at, for `Fallback`: fully qualified, without a final dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub target: Option<String>,
}

/// The ways to answer when no cluster is healthy.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenNoneHealthyType {
    /// The best of: unhealthy and active, then drained.
    #[default]
    FailOpen,
    /// The name exists and has no addresses (NODATA).
    Empty,
    /// A CNAME to a target outside.
    Fallback,
}

/// What Meridian knows about a zone.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct DNSZoneStatus {
    /// `Ready` and what keeps the zone from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How many routed names the zone has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<i64>,
    /// The zone's serial number, as in its SOA record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<i64>,
    /// The zone's keys and the DS records for the parent, while there are keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dnssec: Option<crate::DnssecStatus>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
