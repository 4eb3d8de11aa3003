//! `RoutingPolicy`: how clients are given clusters.
//!
//! A schema cannot recurse, so a policy's branches name clusters or other RoutingPolicies of the same
//! namespace, and policies compose by name. Of the same namespace alone: whoever may write there may route
//! there, and nobody else.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How clients are given clusters.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[kube(
    group = "meridian.dev",
    version = "v1alpha1",
    kind = "RoutingPolicy",
    plural = "routingpolicies",
    namespaced,
    shortname = "mpolicy",
    category = "meridian",
    status = "RoutingPolicyStatus",
    derive = "PartialEq",
    doc = "How clients are given clusters. DNSRoutes and other policies of the namespace refer to it by name.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].message",
        priority = "1"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.type in ['Weighted', 'Failover'] ? has(self.branches) : !has(self.branches)",
        "branches are for types Weighted and Failover, and needed there"
    ),
    validation = (
        "self.type in ['Weighted', 'Failover', 'Geo'] ? !has(self.sites) : true",
        "sites are for types Nearest, Latency, RoundRobin and Manual"
    ),
    validation = ("self.type == 'Manual' ? has(self.sites) : true", "type Manual needs sites"),
    validation = (
        "self.type == 'Geo' ? has(self.rules) : !has(self.rules) && !has(self.otherwise)",
        "rules and otherwise are for type Geo, which needs rules"
    ),
    validation = (
        "self.type == 'Latency' ? has(self.latency) : !has(self.latency)",
        "latency is for type Latency, and needed there"
    ),
    validation = (
        "self.type == 'Nearest' || !has(self.withinKilometers)",
        "withinKilometers is for type Nearest"
    )
)]
pub struct RoutingPolicySpec {
    /// What decides. `Nearest`: distance. `Latency`: what was measured. `Weighted`: shares of the clients.
    /// `Failover`: the first branch that serves. `RoundRobin`: all clusters that serve, together. `Geo`:
    /// rules about the client's place. `Manual`: the order of `sites`, for every client.
    #[serde(rename = "type")]
    pub kind: RoutingPolicyType,
    /// The clusters that the policy is about; all, when absent. For `Manual` in their order. Clusters that
    /// a policy does not name take clients only when none that it names is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 63)))]
    pub sites: Option<Vec<String>>,
    /// For `Nearest`: clusters that are at most this many kilometres farther than the nearest share its
    /// clients, by their weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20040))]
    pub within_kilometers: Option<i32>,
    /// For `Weighted` and `Failover`: where clients go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub branches: Option<Vec<PolicyBranch>>,
    /// For `Geo`: the first rule that applies decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub rules: Option<Vec<PolicyRule>>,
    /// For `Geo`: where clients go that no rule is about. When absent, to the heaviest cluster of the rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<PolicyTarget>,
    /// For `Latency`: what was measured, by client network. The longest prefix around a client counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub latency: Option<Vec<NetworkLatency>>,
}

/// What decides about a client.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RoutingPolicyType {
    /// Distance.
    #[default]
    Nearest,
    /// Measured latency.
    Latency,
    /// Shares of the clients, by the prefix of their address.
    Weighted,
    /// The first branch that serves.
    Failover,
    /// All clusters that serve, together, their addresses rotated.
    RoundRobin,
    /// Rules about the client's place.
    Geo,
    /// The order that is written.
    Manual,
}

/// One cluster, or another policy.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.site) != has(self.policy)", "name a site or a policy, one of the two"))]
pub struct PolicyTarget {
    /// Name of a Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub site: Option<String>,
    /// Name of a RoutingPolicy in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub policy: Option<String>,
}

/// One branch of a policy.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.site) != has(self.policy)", "name a site or a policy, one of the two"))]
pub struct PolicyBranch {
    /// Name of a Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub site: Option<String>,
    /// Name of a RoutingPolicy in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub policy: Option<String>,
    /// For `Weighted`: its share among the sum of all weights; 1 when absent. With 0 it takes clients only
    /// when no other branch serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000000))]
    pub weight: Option<i32>,
}

/// A rule about a client's place. It applies if the client is in one of each list that is there.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.site) != has(self.policy)", "name a site or a policy, one of the two"))]
pub struct PolicyRule {
    /// Continents: AF, AN, AS, EU, NA, OC, SA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), inner(length(min = 2, max = 2)))]
    pub continents: Vec<String>,
    /// Countries, by their two letters of ISO 3166-1, such as DE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 2, max = 2)))]
    pub countries: Vec<String>,
    /// Parts of countries by ISO 3166-2, such as US-CA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 4, max = 6)))]
    pub subdivisions: Vec<String>,
    /// Numbers of autonomous systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(range(min = 0, max = 4294967295_i64)))]
    pub asns: Vec<i64>,
    /// Client networks in CIDR notation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        inner(length(max = 64), regex(pattern = "^[0-9a-fA-F:.]+/[0-9]{1,3}$"))
    )]
    pub networks: Vec<String>,
    /// Where these clients go: name of a Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub site: Option<String>,
    /// Where these clients go: name of a RoutingPolicy in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub policy: Option<String>,
}

/// What was measured from one network.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct NetworkLatency {
    /// The client network in CIDR notation.
    #[schemars(length(max = 64), regex(pattern = "^[0-9a-fA-F:.]+/[0-9]{1,3}$"))]
    pub network: String,
    /// Latency to each cluster that was measured.
    #[schemars(length(min = 1, max = 256))]
    pub sites: Vec<SiteLatency>,
}

/// The latency to one cluster.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct SiteLatency {
    /// Name of the Cluster.
    #[schemars(length(min = 1, max = 63))]
    pub site: String,
    /// Milliseconds.
    #[schemars(range(min = 0, max = 60000))]
    pub milliseconds: i32,
}

/// What Meridian knows about a policy.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct RoutingPolicyStatus {
    /// `Accepted`: whether it is used as it stands. What it leads to is in the conditions of the DNSRoutes
    /// that use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
