//! The custom resources of Meridian: types, schemas and names. No logic.
//!
//! What must stay true:
//! - nothing here decides anything; parsing into core types is `controller-index`'s;
//! - every schema is structural: a type everywhere, or explicitly open
//!   (`x-kubernetes-preserve-unknown-fields`);
//! - integers are `i32` or `i64`: an API server warns about the formats of unsigned ones;
//! - optional fields are left out of what we write, never written as `null`;
//! - [`crds`] is the only list of our definitions, and its order never changes by itself.
//!
//! Labels, annotations and the finalizer are not here: the pure core needs them, and may not depend on
//! this crate.

// `KubeSchema` declares each struct once more, inside its own `impl`, as public as it was written. And
// clippy takes the equal parts of two printer columns for a mistake.
#[allow(unreachable_pub, clippy::duplicated_attributes)]
mod cluster;
#[allow(unreachable_pub, clippy::duplicated_attributes)]
mod dnsroute;
#[allow(unreachable_pub)]
mod dnssec;
#[allow(unreachable_pub, clippy::duplicated_attributes)]
mod dnszone;
#[allow(unreachable_pub)]
mod federated;
mod kinds;
#[allow(unreachable_pub, clippy::duplicated_attributes)]
mod routingpolicy;
#[allow(unreachable_pub, clippy::duplicated_attributes)]
mod transfer;

pub use cluster::{Cluster, ClusterLocation, ClusterSpec, ClusterStatus, KubeconfigSecretRef, SyncState, TrafficState};
pub use dnsroute::{DNSRoute, DNSRouteSpec, DNSRouteStatus, HttpsRecord, RouteSource, RouteSourceKind, StickyClients};
pub use dnssec::{
    Dnssec, DnssecAlgorithm, DnssecDenial, DnssecKeyStatus, DnssecKeys, DnssecParent, DnssecStatus, ParentCheck,
};
pub use dnszone::{
    DNSZone, DNSZoneSpec, DNSZoneStatus, NameServer, StartOfAuthority, WhenNoneHealthy, WhenNoneHealthyType,
    ZoneNetwork,
};
pub use federated::{
    ClusterOverride, ClusterReference, ClusterStatusEntry, Federated, FederatedPlacement, FederatedSpec,
    FederatedStatus, InventoryEntry, OverridePatch, PatchOp, Selector, SelectorOperator, SelectorRequirement,
};
pub use kinds::{
    DEPLOYMENT, NAMESPACE, SERVICE, TARGET_KINDS, TargetKind, api_resource, federated_crd, federated_resource,
};
pub use transfer::{
    Transfer, TransferAlgorithm, TransferAllowed, TransferKey, TransferNotify, TransferRoutedNames,
    TransferRoutedNamesType, TransferSecretRef,
};

pub use routingpolicy::{
    NetworkLatency, PolicyBranch, PolicyRule, PolicyTarget, RoutingPolicy, RoutingPolicySpec, RoutingPolicyStatus,
    RoutingPolicyType, SiteLatency,
};

pub use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use kube::CustomResourceExt;

/// Group of the kinds that are written by hand here.
pub const GROUP: &str = "meridian.dev";
/// Group of the federated kinds, which are made from [`TargetKind`]s.
pub const FEDERATED_GROUP: &str = "types.meridian.dev";
/// Version of both groups.
pub const VERSION: &str = "v1alpha1";
/// What `kubectl get meridian` lists.
pub const CATEGORY: &str = "meridian";

/// Every definition that an installation needs: first the fixed kinds by name, then the federated kinds
/// in the order of [`TARGET_KINDS`].
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![Cluster::crd(), DNSRoute::crd(), DNSZone::crd(), RoutingPolicy::crd()];
    crds.extend(TARGET_KINDS.iter().map(federated_crd));
    crds
}
