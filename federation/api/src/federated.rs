//! The one shape of every federated kind: template, placement, overrides.
//!
//! It is KubeFed's, so that its manifests work after changing `apiVersion`. There is one Rust type for
//! all kinds; which kind an object is says its `ApiResource`. A type per kind was refused: kinds are
//! enabled at run time, custom resources included, and a copy per kind is where one copy goes stale.
//!
//! What must stay true:
//! - `placement.clusters` absent and empty differ: absent lets the selector decide, empty places nowhere;
//! - the template and override values are open, and their meaning is checked where they are rendered;
//! - the inventory is state, not a report: it names every cluster that may hold a part of the object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An object of any federated kind.
pub type Federated = kube::core::Object<FederatedSpec, FederatedStatus>;

/// What goes where, and how it differs there.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct FederatedSpec {
    /// The object as it shall be in the clusters, without name, namespace and status. A
    /// FederatedNamespace may leave it out.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(schema_with = "open_object")]
    pub template: Value,
    /// The clusters that get the object.
    #[serde(default)]
    pub placement: FederatedPlacement,
    /// Changes to the template in some of the clusters, applied in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub overrides: Vec<ClusterOverride>,
    /// Leaves `spec.replicas` as it is in the clusters, for an autoscaler there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retain_replicas: bool,
}

/// Chooses clusters. Named clusters win: while `clusters` is given, even empty, the selector is ignored.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct FederatedPlacement {
    /// Clusters by name. Names of clusters that do not exist are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub clusters: Option<Vec<ClusterReference>>,
    /// Clusters by the labels of their Cluster objects; `{}` chooses all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_selector: Option<Selector>,
}

/// Names a cluster.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterReference {
    /// Name of the Cluster object.
    pub name: String,
}

/// A label selector; all parts must hold.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// Labels with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on single labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub match_expressions: Vec<SelectorRequirement>,
}

/// A requirement on one label.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 \
     : !has(self.values) || size(self.values) == 0",
    "In and NotIn need values; Exists and DoesNotExist take none"
))]
pub struct SelectorRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label is compared.
    pub operator: SelectorOperator,
    /// The values for `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectorOperator {
    /// The label is there, with one of the values.
    In,
    /// The label is absent, or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// Changes to the template for one cluster or some.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.clusterName) != has(self.clusterSelector)",
    "an override is for a clusterName or for a clusterSelector"
))]
pub struct ClusterOverride {
    /// The cluster that the changes are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub cluster_name: Option<String>,
    /// The clusters that the changes are for, by the labels of their Cluster objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_selector: Option<Selector>,
    /// The changes, in order: JSON Patch (RFC 6902).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub cluster_overrides: Vec<OverridePatch>,
}

/// One change: an operation of JSON Patch (RFC 6902).
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OverridePatch {
    /// `add`, `remove` or `replace`; absent or empty means `replace`.
    #[serde(default, skip_serializing_if = "PatchOp::is_replace")]
    #[schemars(schema_with = "patch_op")]
    pub op: PatchOp,
    /// JSON Pointer (RFC 6901) of the place to change, such as `/spec/replicas`.
    #[schemars(length(min = 1, max = 4096), regex(pattern = "^/"))]
    pub path: String,
    /// The new value, for `add` and `replace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_value")]
    pub value: Option<Value>,
}

/// The operations of JSON Patch that an override may use.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub enum PatchOp {
    /// Sets a value; in a list, inserts one.
    Add,
    /// Takes out what is there.
    Remove,
    /// Sets a value that must be there.
    #[default]
    #[serde(alias = "")]
    Replace,
}

impl PatchOp {
    fn is_replace(&self) -> bool {
        matches!(self, Self::Replace)
    }
}

/// How far the object is in the clusters.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct FederatedStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Propagation`, and why it is not true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Each cluster that the object is in, or should be in, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterStatusEntry>,
    /// Every cluster that may hold a part of this object. Written before the first write to a cluster,
    /// and what a deletion goes by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<InventoryEntry>,
}

/// How far the object is in one cluster.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatusEntry {
    /// The cluster.
    pub name: String,
    /// Absent when all is well; otherwise a word such as `ClusterNotReady` or `UpdateFailed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The cause, as a word for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The cause, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One cluster of the inventory.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct InventoryEntry {
    /// The cluster.
    pub cluster: String,
    /// UID of the object there; absent while it is not known that anything was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

fn open_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn any_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

fn patch_op(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["", "add", "remove", "replace"] })
}
