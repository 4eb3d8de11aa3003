//! What a name means, and what each client is told: the pure heart of Meridian's DNS.
//!
//! Everything here is a plain function of its arguments. There is no clock, no socket, no random
//! choice and no packet: `dns-server` translates packets and zone files to a [`Question`] and to
//! [`RecordSet`]s and an [`Answer`] back to a packet, and `federation-core` decides which
//! [`RoutedName`]s exist.
//!
//! What must stay true:
//! - the same [`Snapshot`], question and client give the same answer, whoever asks and when;
//! - losing or draining a site changes [`Sites`] only, never a name (an answer consults the site's
//!   state), so that a failover costs the same for one name and for a million;
//! - a negative answer never depends on the client, because resolvers cache it for everybody;
//! - what answers also explains: [`explain`] is [`answer`] with somebody watching.

mod answer;
mod class;
mod client;
pub mod dnssec;
pub mod geo;
mod name;
mod policy;
mod presentation;
mod ranges;
mod record;
mod record_type;
mod routed;
mod saved;
pub mod serial;
mod site;
mod snapshot;
mod static_records;
mod text;
pub mod transfer;
mod zone;

pub use answer::{
    Answer, Explanation, Finding, FindingKind, Outcome, PassedOver, Question, Step, Trace, answer, answer_with, explain,
};
pub use class::{ClassOrigin, ClassTable, ClientClass, ClientNetwork, NetworkOwner};
pub use client::{Client, ClientSubnet};
pub use dnssec::Dnssec;
pub use name::{DnsName, NameError};
pub use policy::{
    ClientKey, GeoCondition, GeoRule, LatencyRow, MAX_POLICY_DEPTH, Policy, PolicyDecision, PolicyError, PolicyProblem,
    PolicyTree, WeightedBranch,
};
pub use record::{Mx, Opaque, RecordData, RecordSet, Soa, Srv, Svcb, parameter};
pub use record_type::RecordType;
pub use routed::{Fallback, HttpsService, RoutedName, Shard, ShardData, ShardHealth, WhenNoneHealthy};
pub use saved::{Saved, SavedError};
pub use site::{Liveness, Location, Site, SiteName, Sites, Traffic};
pub use snapshot::{NameChange, NameDelta, Snapshot};
pub use static_records::{StaticRecordError, StaticRecords};
pub use text::{ReadText, TextError, TextRecord};
pub use zone::{MINIMUM_TTL, NameServer, Zone};
