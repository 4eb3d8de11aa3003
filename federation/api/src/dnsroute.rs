//! `DNSRoute`: how one service is routed, beyond the names it gets by itself.
//!
//! It is optional. A federated or exported Service has its names without one; a route adds host names
//! or changes the TTL.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
