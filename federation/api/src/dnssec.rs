//! How a `DNSZone` is signed: what the operator wishes, and which keys there are.
//!
//! What must stay true: no field holds anything of a private key. Times that only the operator knows are
//! fields; whatever can be computed (the TTL of the zone's data) is not.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a zone is signed. An empty object is a good start.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Dnssec {
    /// What keys sign with. A change replaces all keys, step by step, without a moment of invalid answers.
    #[serde(default)]
    pub algorithm: DnssecAlgorithm,
    /// How it is proved that a name or type does not exist.
    #[serde(default)]
    pub denial: DnssecDenial,
    /// Which keys there are and how long they are used.
    #[serde(default)]
    pub keys: DnssecKeys,
    /// How long it takes, at most, until every server of the zone shows a change, in seconds. Waits get
    /// longer by it. A replica that is cut off from the host for longer shows keys that are gone.
    #[serde(default = "default_propagation")]
    #[schemars(range(min = 1, max = 604800))]
    pub propagation_seconds: i32,
    /// Margin added to every wait, in seconds.
    #[serde(default = "default_safety")]
    #[schemars(range(min = 0, max = 604800))]
    pub safety_seconds: i32,
    /// What is known of the parent zone.
    #[serde(default)]
    pub parent: DnssecParent,
}

fn default_propagation() -> i32 {
    300
}

fn default_safety() -> i32 {
    3600
}

/// What keys sign with: the two algorithms that RFC 8624 recommends.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnssecAlgorithm {
    /// ECDSA on the curve P-256 with SHA-256 (13): every validator knows it.
    #[default]
    ECDSAP256SHA256,
    /// Ed25519 (15): faster to verify.
    ED25519,
}

/// How it is proved that something does not exist.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnssecDenial {
    /// One record made for the question (RFC 9824): small, and nobody can list the zone.
    #[default]
    Compact,
    /// NSEC3 records made for the question, for resolvers that must see NXDOMAIN.
    NSEC3,
}

/// Which keys a zone has and how long each is used.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!self.combined || !has(self.zskLifetimeDays)",
    "with combined there is no ZSK; set kskLifetimeDays"
))]
pub struct DnssecKeys {
    /// One key for everything (CSK) instead of one that signs keys (KSK) and one that signs data (ZSK).
    #[serde(default)]
    pub combined: bool,
    /// How long a KSK or CSK is used, in days; 0 for ever. Each change needs the parent.
    #[serde(default)]
    #[schemars(range(min = 0, max = 36500))]
    pub ksk_lifetime_days: i32,
    /// How long a ZSK is used, in days; 0 for ever. When absent, 90.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 36500))]
    pub zsk_lifetime_days: Option<i32>,
    /// TTL of the DNSKEY, CDS and CDNSKEY records, in seconds.
    #[serde(default = "default_key_ttl", rename = "ttl")]
    #[schemars(range(min = 1, max = 604800))]
    pub ttl: i32,
}

fn default_key_ttl() -> i32 {
    3600
}

impl Default for DnssecKeys {
    fn default() -> Self {
        Self {
            combined: false,
            ksk_lifetime_days: 0,
            zsk_lifetime_days: None,
            ttl: default_key_ttl(),
        }
    }
}

/// What is known of the parent zone.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.check == 'Resolvers' || !has(self.resolvers)",
    "resolvers are asked only with check Resolvers"
))]
pub struct DnssecParent {
    /// How Meridian learns which DS records the parent shows: it asks `Resolvers`, or is told by the
    /// annotation `meridian.dev/ds-seen` (`Manual`).
    #[serde(default)]
    pub check: ParentCheck,
    /// Addresses of resolvers or of the parent's own servers, each with a port where it is not 53. All must
    /// agree. When absent, those of the machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub resolvers: Vec<String>,
    /// TTL of the parent's DS records, in seconds. A larger one that is seen counts instead.
    #[serde(default = "default_ds_ttl", rename = "dsTTL")]
    #[schemars(range(min = 1, max = 604800))]
    pub ds_ttl: i32,
    /// How long it takes, at most, until every server of the parent shows a change, in seconds.
    #[serde(default = "default_parent_propagation")]
    #[schemars(range(min = 0, max = 604800))]
    pub propagation_seconds: i32,
}

fn default_ds_ttl() -> i32 {
    86_400
}

fn default_parent_propagation() -> i32 {
    3600
}

impl Default for DnssecParent {
    fn default() -> Self {
        Self {
            check: ParentCheck::default(),
            resolvers: Vec::new(),
            ds_ttl: default_ds_ttl(),
            propagation_seconds: default_parent_propagation(),
        }
    }
}

/// How Meridian learns which DS records the parent shows.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParentCheck {
    /// It asks.
    #[default]
    Resolvers,
    /// The operator says so.
    Manual,
}

/// The keys of a zone and the DS records for the parent.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct DnssecStatus {
    /// The DS records that the parent should have, as in a zone file. Empty while the zone is not ready for
    /// them, and while they should be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ds: Vec<String>,
    /// The DNSKEY records that the zone shows, as in a zone file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dnskeys: Vec<String>,
    /// The keys, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<DnssecKeyStatus>,
}

/// One key and how far each of its records is known to the world: `hidden`, `rumoured`, `omnipresent`,
/// `unretentive`.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct DnssecKeyStatus {
    /// Its tag.
    pub tag: i32,
    /// KSK, ZSK or CSK.
    pub role: String,
    /// What it signs with.
    pub algorithm: String,
    /// True while it is on its way out.
    #[serde(default)]
    pub retiring: bool,
    /// Its DNSKEY record.
    pub dnskey: String,
    /// Its signatures over the zone's data; absent for a KSK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_signatures: Option<String>,
    /// Its signature over the DNSKEY set; absent for a ZSK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_signature: Option<String>,
    /// Its DS record in the parent; absent for a ZSK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ds: Option<String>,
}
