//! What the federation decides: which clusters are healthy, which names exist, what belongs where.
//!
//! Everything here is a plain function of a world and a time. There is no clock, no socket, no
//! Kubernetes client and no random choice; `controller-index` fills the world, `controller-apply`
//! carries out what is decided here.
//!
//! What must stay true:
//! - **unknown is not empty**: what cannot be read is [`Freshness::Stale`], never "has none";
//! - the same world at the same time gives the same decision, down to the order of a list;
//! - a decision about one service or object costs the same however many others there are.

mod breaker;
mod carry_over;
mod condition;
mod cookie_ring;
mod discovery;
mod fleet;
mod freshness;
mod health;
mod lease;
mod name_table;
pub mod names;
mod nodes;
mod overrides;
mod placement;
mod policy;
mod render;
pub mod shared_state;
mod signing;
mod sync;
mod time;
pub mod transfer;
mod world;

pub use breaker::{Breaker, BreakerSettings};
pub use carry_over::carry_over;
pub use condition::{Condition, ConditionStatus, merge_conditions};
pub use cookie_ring::{CookieKey, CookieRing, CookieRingError, CookieStep, ROTATE_AFTER, STAGE_FOR};
pub use discovery::{Discovered, Issue, discover, probe_targets};
pub use fleet::{cluster_conditions, sites};
pub use freshness::Freshness;
pub use health::{ClusterHealth, HealthSettings};
pub use lease::{Candidate, Lease, LeaseAction, LeaseIdentity, LeaseTimes, LeaseWrite};
pub use name_table::NameTable;
pub use nodes::Nodes;
pub use overrides::*;
pub use placement::*;
pub use policy::{
    Branch, PolicyFault, PolicyKey, PolicyPlace, PolicySource, ResolvedPolicy, RoutePolicy, RoutingPolicy,
    check_policy, resolve_policy,
};
pub use render::*;
pub use signing::{KnownKeys, ParentSource, ZoneKeys, ZoneSigning};
pub use sync::*;
pub use time::Timestamp;
pub use world::{
    Cluster, DiscoveryKind, DnsZone, Identity, MemberFacts, NodePlace, Route, Service, ServiceInMember, ServiceKey,
    ServicePort, Slice, World,
};

/// A cluster's name; DNS knows the cluster as a site of the same name.
pub type ClusterName = meridian_dns_core::SiteName;
