//! A snapshot as octets, for a file: what a server answers from when it starts again without its sources.
//!
//! The form: a magic word, a version, the length and the SHA-256 of the content, and the content. What
//! must stay true:
//! - everything is checked before anything is used; what is not whole, of another version or too old is
//!   refused with its reason, and octets from anywhere never cause a panic;
//! - no secret is in it: a snapshot has none;
//! - what comes back is not complete, and its zones are not known to be all: what is missing may have
//!   been made since. Serials have grown, because versions after the saved one may have been seen.
//!
//! There is no second version to read: a file of another version is as good as none.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{
    ClientNetwork, DnsName, Dnssec, NameChange, NameServer, RecordSet, RoutedName, Site, SiteName, Sites, Snapshot,
    Soa, StaticRecords, Zone, serial,
};

const MAGIC: &[u8; 8] = b"MERIDIAN";
/// Grows with every change of what is saved.
const VERSION: u16 = 2;
/// Magic, version, length, digest.
const HEAD: usize = 8 + 2 + 8 + 32;
/// How far ahead of this machine's clock the time of a file may be, in milliseconds.
const AHEAD: u64 = 300_000;

/// A snapshot that was saved.
#[derive(Debug, Clone)]
pub struct Saved {
    /// When its contents were current, in milliseconds since 1970.
    pub as_of: u64,
    /// The zones, sites and names.
    pub snapshot: Snapshot,
}

/// Why octets are not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// Something else entirely.
    #[error("it does not begin as a snapshot does")]
    NotASnapshot,
    /// Another version of the program wrote it.
    #[error("its form has version {0}; this program reads version {VERSION}")]
    Version(u16),
    /// The end is missing, or something follows.
    #[error("it should have {expected} octets of content and has {found}")]
    Length {
        /// What its head says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// It changed after it was written.
    #[error("its content does not match its checksum")]
    Checksum,
    /// The checksum is right and the content is not: a defect of the program that wrote it.
    #[error("its content cannot be read: {0}")]
    Content(String),
    /// Addresses are given to others after a while.
    #[error("its contents are of {age} s ago and may be used for {limit} s only, since addresses are recycled")]
    TooOld {
        /// In seconds.
        age: u64,
        /// In seconds.
        limit: u64,
    },
    /// Nothing can be said about its age.
    #[error("its contents are of {0} s ahead of this machine's clock, which cannot be; set the clock")]
    Future(u64),
}

#[derive(Serialize, Deserialize)]
struct Content {
    as_of: u64,
    sites: Vec<(SiteName, Site)>,
    zones: Vec<SavedZone>,
}

#[derive(Serialize, Deserialize)]
struct SavedZone {
    apex: DnsName,
    soa: Soa,
    in_stream: bool,
    name_servers: Vec<NameServer>,
    minimum_ttl: u32,
    networks: Arc<[ClientNetwork]>,
    dnssec: Option<Arc<Dnssec>>,
    records: Vec<RecordSet>,
    names: Vec<Arc<RoutedName>>,
}

impl Saved {
    /// As octets.
    pub fn encode(&self) -> Result<Vec<u8>, SavedError> {
        let sites = self.snapshot.sites().iter();
        let content = Content {
            as_of: self.as_of,
            sites: sites.map(|(name, site)| (name.clone(), site.clone())).collect(),
            zones: self.snapshot.zones().map(|zone| save(zone)).collect(),
        };
        let content = postcard::to_allocvec(&content).map_err(|error| SavedError::Content(error.to_string()))?;
        let mut octets = Vec::with_capacity(HEAD + content.len());
        octets.extend(MAGIC);
        octets.extend(VERSION.to_be_bytes());
        octets.extend((content.len() as u64).to_be_bytes());
        octets.extend(Sha256::digest(&content));
        octets.extend(content);
        Ok(octets)
    }

    /// From octets, if their contents are not older than `max_age` at `now`, both in milliseconds.
    pub fn decode(octets: &[u8], now: u64, max_age: u64) -> Result<Self, SavedError> {
        let rest = octets.strip_prefix(MAGIC).ok_or(SavedError::NotASnapshot)?;
        let (version, rest) = rest.split_first_chunk().ok_or(SavedError::NotASnapshot)?;
        let version = u16::from_be_bytes(*version);
        if version != VERSION {
            return Err(SavedError::Version(version));
        }
        let (length, rest) = rest.split_first_chunk().ok_or(SavedError::NotASnapshot)?;
        let (digest, content) = rest.split_first_chunk::<32>().ok_or(SavedError::NotASnapshot)?;
        let (expected, found) = (u64::from_be_bytes(*length), content.len() as u64);
        if expected != found {
            return Err(SavedError::Length { expected, found });
        }
        if Sha256::digest(content)[..] != digest[..] {
            return Err(SavedError::Checksum);
        }
        let content: Content = postcard::from_bytes(content).map_err(|error| SavedError::Content(error.to_string()))?;
        let as_of = content.as_of;
        if as_of > now.saturating_add(AHEAD) {
            return Err(SavedError::Future((as_of - now) / 1000));
        }
        let age = now.saturating_sub(as_of);
        if age > max_age {
            return Err(SavedError::TooOld {
                age: age / 1000,
                limit: max_age / 1000,
            });
        }
        let sites: Sites = content.sites.into_iter().collect();
        let mut snapshot = Snapshot::default().with_zones_known(false).with_sites(sites);
        for zone in content.zones {
            snapshot = snapshot.with_zone(restore(zone, now)?);
        }
        Ok(Self { as_of, snapshot })
    }
}

fn save(zone: &Zone) -> SavedZone {
    SavedZone {
        apex: zone.apex().clone(),
        soa: zone.soa().clone(),
        in_stream: zone.in_stream(),
        name_servers: zone.name_servers().to_vec(),
        minimum_ttl: zone.minimum_ttl(),
        networks: zone.networks().clone(),
        dnssec: zone.dnssec().cloned(),
        records: zone
            .records()
            .iter()
            .flat_map(|(_, sets)| sets.iter().cloned())
            .collect(),
        names: zone.names().into_iter().cloned().collect(),
    }
}

fn restore(saved: SavedZone, now: u64) -> Result<Zone, SavedError> {
    let records = StaticRecords::new(&saved.apex, saved.records)
        .map_err(|error| SavedError::Content(format!("zone {}: {error}", saved.apex)))?;
    let seconds = u32::try_from(now / 1000 % (1 << 32)).unwrap_or(0);
    let known = saved.soa.serial;
    let serial = serial::next(known, seconds);
    let names: Vec<_> = saved.names.into_iter().map(NameChange::Set).collect();
    let zone = Zone::new(saved.apex, saved.soa, saved.name_servers)
        .with_minimum_ttl(saved.minimum_ttl)
        .with_networks(saved.networks)
        .with_records(Arc::new(records), serial)
        .with(&names, serial);
    let zone = match saved.dnssec {
        Some(dnssec) => zone.with_dnssec(Some(dnssec), serial),
        None => zone,
    };
    Ok(if saved.in_stream { zone.with_serial(known) } else { zone })
}

impl Serialize for DnsName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DnsName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        let labels: Option<Vec<_>> = text.split('.').filter(|_| !text.is_empty()).map(octets_of).collect();
        let labels = labels.ok_or_else(|| serde::de::Error::custom("a name has an escape that is none"))?;
        Self::from_labels(labels.iter().map(Vec::as_slice)).map_err(serde::de::Error::custom)
    }
}

/// The octets of a label in the text of a [`DnsName`].
fn octets_of(label: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(label.len());
    let mut rest = label.as_bytes();
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet == b'\\' {
            let (digits, after) = rest.split_first_chunk::<3>()?;
            octets.push(std::str::from_utf8(digits).ok()?.parse().ok()?);
            rest = after;
        } else {
            octets.push(*octet);
        }
    }
    Some(octets)
}

impl Serialize for SiteName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SiteName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer).map(Self::new)
    }
}
