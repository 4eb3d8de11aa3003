//! Zones that are given to plain secondaries: who may have what, and when there is a new version.
//!
//! What must stay true:
//! - one name of a TSIG key is one key on the whole server, since a signed query says no more than the name.
//!   Of two zones that disagree the first by domain is right; the other's entries with that key are void;
//! - an entry whose key cannot be used is left out: without its key it would allow too much;
//! - a serial never goes back, whatever is lost. A journal that is behind the serial that is shown is not
//!   continued: another one starts after it;
//! - at most one version a second, and fewer of a large zone: each is stored as a whole on the host.

mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ipnet::IpNet;
use meridian_dns_core::DnsName;
use meridian_dns_core::transfer::RoutedNames;

use crate::Condition;

pub use version::{JOURNAL_LIMIT, NextVersion, SIGNATURE_MARGIN, VersionInput, earliest_version, next_version};

/// Algorithms of TSIG keys (RFC 8945 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransferAlgorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// One key of a Secret on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRef {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// Its key.
    pub key: String,
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "key {} of Secret {}/{}", self.key, self.namespace, self.name)
    }
}

/// A TSIG key, but for its secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferKey {
    /// Its algorithm.
    pub algorithm: TransferAlgorithm,
    /// Where the secret is.
    pub secret: SecretRef,
}

/// Who may transfer a zone; what is said must all be true.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferAllowed {
    /// Its address lies in one of these; empty for any address.
    pub networks: Vec<IpNet>,
    /// Its query is signed with the key of this name.
    pub key: Option<DnsName>,
}

/// A secondary that is told of new versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotifyTarget {
    /// Where it listens.
    pub address: SocketAddr,
    /// Name of the key that notices are signed with.
    pub key: Option<DnsName>,
}

/// How a zone is given away, as its object says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransferPolicy {
    /// To whom.
    pub allow: Vec<TransferAllowed>,
    /// Who is told of new versions.
    pub notify: Vec<NotifyTarget>,
    /// Keys by their names.
    pub keys: BTreeMap<DnsName, TransferKey>,
    /// What secondaries are given of routed names.
    pub routed: RoutedNames,
    /// The catalog that it is a member of.
    pub catalog: Option<DnsName>,
}

/// Why some of what a zone's object says of transfers is not done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum TransferProblem {
    /// A key without a secret.
    #[error("TSIG key {name} cannot be used, and who needs it is refused: {why}")]
    Key {
        /// Its name.
        name: DnsName,
        /// What is wrong, and what to do.
        why: String,
    },
    /// Two keys of one name.
    #[error(
        "TSIG key {name} is another one in the zone {with}, and one name is one key on a server; give one of the two another name"
    )]
    KeyTaken {
        /// Its name.
        name: DnsName,
        /// The zone that has it.
        with: DnsName,
    },
    /// A catalog that is a zone already.
    #[error("the catalog {0} has the domain of a DNSZone; give it a name of its own")]
    CatalogTaken(DnsName),
    /// A catalog whose name is too long for what lies below it.
    #[error("the catalog {0} has too long a name for its members' labels; give it a shorter one")]
    CatalogName(DnsName),
    /// There is no version, or no newer one.
    #[error("there is no new version for secondaries, and an older one stays if there was one: {0}")]
    Version(String),
}

impl TransferProblem {
    /// For a condition.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Key { .. } => "KeyUnusable",
            Self::KeyTaken { .. } => "KeyTaken",
            Self::CatalogTaken(_) => "CatalogTaken",
            Self::CatalogName(_) => "CatalogName",
            Self::Version(_) => "NoNewVersion",
        }
    }
}

/// One zone that is given away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// To whom.
    pub allow: Vec<TransferAllowed>,
    /// Who is told of new versions.
    pub notify: Vec<NotifyTarget>,
    /// What secondaries are given of routed names.
    pub routed: RoutedNames,
    /// The members of a catalog; `None` for a zone of names. A catalog is hidden from all others.
    pub members: Option<BTreeSet<DnsName>>,
    /// What of its object is not done.
    pub problems: Vec<TransferProblem>,
}

impl Stream {
    fn uses(&self, name: &DnsName) -> bool {
        let keys = self.allow.iter().map(|entry| &entry.key);
        let mut keys = keys.chain(self.notify.iter().map(|target| &target.key));
        keys.any(|key| key.as_ref() == Some(name))
    }

    fn void(&mut self, name: &DnsName) {
        self.allow.retain(|entry| entry.key.as_ref() != Some(name));
        self.notify.retain(|target| target.key.as_ref() != Some(name));
    }
}

/// Everything that is given away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Streams {
    /// By the zone's name.
    pub zones: BTreeMap<DnsName, Stream>,
    /// The keys in use, by name.
    pub keys: BTreeMap<DnsName, TransferKey>,
}

impl Streams {
    /// From the zones that are served, in the order of their domains; those without a policy are given to
    /// nobody.
    pub fn of<'a>(zones: impl IntoIterator<Item = (&'a DnsName, Option<&'a TransferPolicy>)>) -> Self {
        let zones: BTreeMap<_, _> = zones.into_iter().collect();
        let mut streams = Self::default();
        let mut owners: BTreeMap<&DnsName, &DnsName> = BTreeMap::new();
        let mut catalogs: BTreeMap<DnsName, Stream> = BTreeMap::new();
        for (apex, policy) in &zones {
            let Some(policy) = policy else { continue };
            let mut stream = Stream {
                allow: policy.allow.clone(),
                notify: policy.notify.clone(),
                routed: policy.routed.clone(),
                ..Stream::default()
            };
            for (name, key) in &policy.keys {
                match streams.keys.get(name).filter(|other| *other != key) {
                    Some(_) => {
                        stream.void(name);
                        let with = owners.get(name).map_or_else(|| (*apex).clone(), |zone| (*zone).clone());
                        let name = name.clone();
                        stream.problems.push(TransferProblem::KeyTaken { name, with });
                    }
                    None => {
                        streams.keys.insert(name.clone(), key.clone());
                        owners.entry(name).or_insert(apex);
                    }
                }
            }
            if let Some(catalog) = &policy.catalog {
                if zones.contains_key(catalog) {
                    stream.problems.push(TransferProblem::CatalogTaken(catalog.clone()));
                } else if meridian_dns_core::transfer::catalog_records(catalog, [*apex]).is_err() {
                    stream.problems.push(TransferProblem::CatalogName(catalog.clone()));
                } else {
                    let listed = catalogs.entry(catalog.clone()).or_default();
                    listed.members.get_or_insert_default().insert((*apex).clone());
                    listed.allow.extend(stream.allow.iter().cloned());
                    listed.notify.extend(stream.notify.iter().cloned());
                }
            }
            streams.zones.insert((*apex).clone(), stream);
        }
        for (catalog, mut stream) in catalogs {
            stream.allow.sort();
            stream.allow.dedup();
            stream.notify.sort();
            stream.notify.dedup();
            streams.zones.insert(catalog, stream);
        }
        streams
    }

    /// What is left without the keys that cannot be used; each with the reason.
    #[must_use]
    pub fn without(&self, unusable: &BTreeMap<DnsName, String>) -> Self {
        let mut left = self.clone();
        for (name, why) in unusable {
            left.keys.remove(name);
            for stream in left.zones.values_mut().filter(|stream| stream.uses(name)) {
                stream.void(name);
                let (name, why) = (name.clone(), why.clone());
                stream.problems.push(TransferProblem::Key { name, why });
            }
        }
        left
    }
}

/// What a replica has of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamState {
    /// The serial of the version that secondaries are given; `None` without one.
    pub serial: Option<u32>,
    /// What is not done.
    pub problems: Vec<TransferProblem>,
}

/// The condition `TransferReady` of a zone that is given away. `state` is `None` before anything is known.
pub fn transfer_condition(state: Option<&StreamState>) -> Condition {
    let condition = |holds, reason, message: String| Condition::new("TransferReady", holds, reason, message);
    let Some(state) = state else {
        return condition(false, "Starting", "what replicas share was not read yet".to_owned());
    };
    match (state.problems.first(), state.serial) {
        (Some(first), _) => {
            let all: Vec<_> = state.problems.iter().map(ToString::to_string).collect();
            condition(false, first.reason(), all.join("; "))
        }
        (None, None) => condition(
            false,
            "NoVersion",
            "secondaries are refused until the first version is stored, which needs all clusters to be listed"
                .to_owned(),
        ),
        (None, Some(_)) => condition(true, "Given", "secondaries are given the zone".to_owned()),
    }
}
