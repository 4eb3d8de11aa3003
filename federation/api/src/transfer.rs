//! How a zone is given to plain secondaries: part of a `DNSZone`.
//!
//! What must stay true: nothing secret is in an object. TSIG keys are named here, their octets are in
//! Secrets, each read by its name.
//!
//! A catalog is named by its members. Refused: a flag of the program. Replicas with different flags would
//! contradict each other about a zone, and there could be one catalog only.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// To whom a zone is transferred (AXFR and IXFR), and who is notified of new versions.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.allow) || self.allow.all(entry, !has(entry.key) || (has(self.keys) && self.keys.exists(key, key.name == entry.key)))",
    "an entry of allow names a key that is not in keys"
))]
#[x_kube(validation = (
    "!has(self.notify) || self.notify.all(entry, !has(entry.key) || (has(self.keys) && self.keys.exists(key, key.name == entry.key)))",
    "an entry of notify names a key that is not in keys"
))]
pub struct Transfer {
    /// Who may transfer the zone: whoever matches one entry. Empty for nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub allow: Vec<TransferAllowed>,
    /// Secondaries that are told of each new version (NOTIFY). The leader alone tells them, from an address
    /// of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub notify: Vec<TransferNotify>,
    /// The TSIG keys that `allow` and `notify` name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub keys: Vec<TransferKey>,
    /// What secondaries are given of names whose answer depends on the client.
    #[serde(default)]
    pub routed_names: TransferRoutedNames,
    /// A catalog zone (RFC 9432) that lists this zone, such as `catalog.example.org`. Zones that name the same
    /// catalog are its members; whoever may transfer one of them may transfer it, and is notified of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub catalog: Option<String>,
}

/// Who may transfer a zone. What is said must all be true.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "(has(self.networks) && size(self.networks) > 0) || has(self.key)",
    "an entry needs networks, a key or both"
))]
pub struct TransferAllowed {
    /// Networks in CIDR notation, such as `192.0.2.0/24`, that its address lies in; empty for any address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(max = 64), regex(pattern = "^[0-9a-fA-F:.]+/[0-9]{1,3}$"))
    )]
    pub networks: Vec<String>,
    /// Name of the key that its queries are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// A secondary that is told of new versions.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TransferNotify {
    /// Where it listens: an address, with a port unless that is 53: `192.0.2.7`, `192.0.2.7:5353`,
    /// `[2001:db8::7]:5353`.
    #[schemars(length(min = 1, max = 53))]
    pub address: String,
    /// Name of the key that notices are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// A TSIG key (RFC 8945).
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TransferKey {
    /// Its name, the same on both sides. One name is one key in all zones.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its algorithm, the same on both sides.
    #[serde(default)]
    pub algorithm: TransferAlgorithm,
    /// Where the secret is.
    pub secret_ref: TransferSecretRef,
}

/// The algorithms of TSIG keys that are not deprecated (RFC 8945 section 6).
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransferAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC with SHA-384.
    #[serde(rename = "hmac-sha384")]
    HmacSha384,
    /// HMAC with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

/// Names one key of a Secret in the host cluster.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TransferSecretRef {
    /// Namespace of the Secret.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the Secret whose value is the TSIG secret in base 64, as `tsig-keygen` prints it: base 64 is
    /// what the value says, besides the base 64 that every Secret has in YAML.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_key() -> String {
    "secret".to_owned()
}

/// What secondaries are given of names whose answer depends on the client.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "(self.type == 'Site') == has(self.site) && (self.type == 'Client') == has(self.client)",
    "site is for type Site, client for type Client, and each is needed there"
))]
pub struct TransferRoutedNames {
    /// `AllHealthy` gives the addresses of all healthy clusters, `Site` what the clients of one cluster are
    /// told, `Client` what one client address is told.
    #[serde(default, rename = "type")]
    pub kind: TransferRoutedNamesType,
    /// Name of the cluster, for `Site`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub site: Option<String>,
    /// The address, for `Client`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 45))]
    pub client: Option<String>,
}

/// The ways to give away names whose answer depends on the client.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransferRoutedNamesType {
    /// All healthy clusters together.
    #[default]
    AllHealthy,
    /// As the clients of one cluster see it.
    Site,
    /// As one client address sees it.
    Client,
}
