//! `DNSRoute`: how one service is routed, beyond the names it gets by itself.
//!
//! It is optional. A federated or exported Service has its names without one; a route adds host names,
//! changes the TTL, and says how clients are given clusters.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::RoutingPolicySpec;

/// Host names and settings for a service that spans clusters.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "meridian.dev",
    version = "v1alpha1",
    kind = "DNSRoute",
    plural = "dnsroutes",
    namespaced,
    shortname = "mroute",
    category = "meridian",
    status = "DNSRouteStatus",
    derive = "PartialEq",
    doc = "Host names and settings for a service that spans clusters.",
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.source.name"),
    printcolumn(name = "Hostnames", type_ = "string", json_path = ".spec.hostnames"),
    printcolumn(name = "Zone", type_ = "string", json_path = ".spec.zoneRef", priority = "1"),
    printcolumn(
        name = "Healthy",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Healthy\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.policy) && has(self.policyRef))", "give policy or policyRef, not both"))]
pub struct DNSRouteSpec {
    /// What is routed: an object of this name in the route's namespace, in every cluster that has it.
    pub source: RouteSource,
    /// Host names to publish, fully qualified, without a final dot. The first label may be `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^(\*\.)?[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*$")
        )
    )]
    pub hostnames: Vec<String>,
    /// Name of the DNSZone to publish in. When absent, the zone with the longest matching domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub zone_ref: Option<String>,
    /// How long a resolver may keep an answer, in seconds; 1 to 86400. When absent, the zone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub ttl: Option<i32>,
    /// Publish HTTPS records (RFC 9460) for the host names, with the chosen cluster's addresses as hints:
    /// browsers then come over TLS at once. Only where every cluster speaks TLS under these names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<HttpsRecord>,
    /// How clients are given clusters: for the host names, and for the service's own global name (of several
    /// routes of a service, the first by name that says it). Without one, each the nearest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<RoutingPolicySpec>,
    /// Name of a RoutingPolicy in the same namespace, instead of `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub policy_ref: Option<String>,
    /// Keeps each client at its addresses, where the policy would rotate them, and says by what clients are
    /// told from each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<StickyClients>,
    /// The share of a cluster's endpoints, in per cent, that must be ready for the cluster to count as
    /// healthy; 1 to 100. When absent, one ready endpoint is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub minimum_healthy_percent: Option<i32>,
}

/// By what clients are told from each other.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct StickyClients {
    /// Bits of an IPv4 address that clients who stay together have in common; 8 to 32, and 24 when absent,
    /// which is what resolvers tell of a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 32))]
    pub ipv4_prefix_length: Option<i32>,
    /// The same of an IPv6 address; 16 to 128, and 48 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 128))]
    pub ipv6_prefix_length: Option<i32>,
}

/// What HTTPS records say beside addresses.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct HttpsRecord {
    /// Protocols that every cluster speaks (ALPN), most wanted first, such as `h2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 255), regex(pattern = "^[a-zA-Z0-9./-]+$"))
    )]
    pub alpn: Vec<String>,
    /// The port, where it is not 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// The object that is routed.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RouteSource {
    /// Its kind.
    #[serde(default)]
    pub kind: RouteSourceKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Kinds that can be routed.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RouteSourceKind {
    /// A `v1` Service.
    #[default]
    Service,
}

/// What Meridian knows about a route.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct DNSRouteStatus {
    /// `Healthy`, `Degraded`, and why names are missing if any are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The names that are published for this route, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
