//! `Cluster`: one member of the federation.
//!
//! The object's name is the cluster's name everywhere: in placements, in DNS names and in the inventory
//! of a federated object. It is therefore a DNS label, which a schema of `metadata` cannot demand; a
//! CEL rule at the root does.
//!
//! What changes by the second (last seen, shares of answers) is a metric and never status: a status that
//! is written on every probe is a load on the host that grows with the number of members.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A member cluster: how to reach it, where it is, and what the operator lets it do.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "meridian.dev",
    version = "v1alpha1",
    kind = "Cluster",
    plural = "clusters",
    shortname = "mcl",
    category = "meridian",
    status = "ClusterStatus",
    derive = "PartialEq",
    doc = "A member cluster: how to reach it, where it is, and what the operator lets it do.",
    validation = (
        "size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "the name of a Cluster becomes part of DNS names: at most 63 of a-z, 0-9 and '-', no dots"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Region", type_ = "string", json_path = ".status.region"),
    printcolumn(name = "Zones", type_ = "string", json_path = ".status.zones", priority = "1"),
    printcolumn(name = "Traffic", type_ = "string", json_path = ".spec.traffic"),
    printcolumn(name = "Sync", type_ = "string", json_path = ".spec.sync"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".spec.weight", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// The Secret of the host cluster that holds the member's kubeconfig.
    pub kubeconfig_secret_ref: KubeconfigSecretRef,
    /// Region for DNS names. When absent, it is read from the nodes' label
    /// `topology.kubernetes.io/region` and kept while the cluster is unreachable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub region: Option<String>,
    /// All zones of the cluster, for DNS names. When empty, they are read from the nodes' label
    /// `topology.kubernetes.io/zone` and kept while the cluster is unreachable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub zones: Vec<String>,
    /// Where the cluster is. When absent, the place of its region, if that is a known region of a
    /// public cloud; otherwise the cluster comes last in every order by distance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<ClusterLocation>,
    /// Client networks in CIDR notation, such as `10.1.0.0/16`. Clients in them are nearest to this
    /// cluster, before any geolocation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        inner(length(max = 64), regex(pattern = "^[0-9a-fA-F:.]+/[0-9]{1,3}$"))
    )]
    pub networks: Vec<String>,
    /// Networks whose clients reach the cluster from inside, in CIDR notation: an office, a VPN, the cluster's
    /// own nodes. They are told a Service's internal addresses (its annotation
    /// `meridian.dev/internal-addresses`) instead of the public ones. A client is in a network by the source
    /// of its packets, or by what a trusted resolver says; a stranger's Client Subnet option does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        inner(length(max = 64), regex(pattern = "^[0-9a-fA-F:.]+/[0-9]{1,3}$"))
    )]
    pub internal_networks: Vec<String>,
    /// Share of the clients whose place is unknown, relative to the other clusters' weights; 0 to 10000.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0, max = 10000))]
    pub weight: i32,
    /// `Drained` sends clients elsewhere while any other cluster is left; `Active` is normal.
    #[serde(default)]
    pub traffic: TrafficState,
    /// `Paused` stops every write of resource sync to this cluster; `Active` is normal.
    #[serde(default)]
    pub sync: SyncState,
    /// UID of the member's `kube-system` namespace, filled when the cluster joins. Another cluster that
    /// answers under the same address is refused. Empty it to accept a rebuilt cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
}

fn default_weight() -> i32 {
    100
}

/// Names one key of a Secret in the host cluster.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KubeconfigSecretRef {
    /// Namespace of the Secret.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the Secret whose value is a kubeconfig; its current context is used.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_key() -> String {
    "kubeconfig".to_owned()
}

/// A place on the globe, in degrees.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterLocation {
    /// Degrees north of the equator, -90 to 90.
    #[schemars(range(min = -90, max = 90))]
    pub latitude: f64,
    /// Degrees east of Greenwich, -180 to 180.
    #[schemars(range(min = -180, max = 180))]
    pub longitude: f64,
}

/// Whether a cluster takes clients.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrafficState {
    /// Takes clients.
    #[default]
    Active,
    /// Takes none while any other cluster is left.
    Drained,
}

/// Whether resource sync writes to a cluster.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncState {
    /// It does.
    #[default]
    Active,
    /// It does not, not even to delete.
    Paused,
}

/// What Meridian knows about a member cluster.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// `Ready`, `Offline`, `DataPathHealthy`, `Drained`, `Located`, `NetworksOwn`, `CredentialsValid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The region in use, declared or read from the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The zones in use, declared or read from the nodes, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
