//! What a name means, and what each client is told: the pure heart of Meridian's DNS.
//!
//! Everything here is a plain function of its arguments. There is no clock, no socket, no random
//! choice and no wire format: `dns-server` translates packets to a [`Question`] and an [`Answer`]
//! back to a packet, and `federation-core` decides which [`RoutedName`]s exist.
//!
//! What must stay true:
//! - the same [`Snapshot`], question and client give the same answer, whoever asks and when;
//! - losing or draining a site changes [`Sites`] only, never a name (an answer consults the site's
//!   state), so that a failover costs the same for one name and for a million;
//! - a negative answer never depends on the client, because resolvers cache it for everybody.

mod answer;
mod class;
mod name;
mod record;
mod routed;
mod site;
mod snapshot;
mod zone;

pub use answer::{Answer, Client, Outcome, Question, answer};
pub use class::{ClassOrigin, ClassTable, ClientClass, RankedSite};
pub use name::{DnsName, NameError};
pub use record::{RecordData, RecordSet, RecordType, Soa, Srv};
pub use routed::{Fallback, RoutedName, Shard, ShardData, ShardHealth, WhenNoneHealthy};
pub use site::{Liveness, Location, Site, SiteName, Sites, Traffic};
pub use snapshot::{NameChange, NameDelta, Snapshot};
pub use zone::{NameServer, Zone};
