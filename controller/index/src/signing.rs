//! Keys of zones: how a DNSZone wishes them, which there are, and what the zone is signed with.
//!
//! What must stay true: a ring replaces the one before only as a whole, and one that cannot be read
//! replaces nothing; a change of keys costs the apex of one zone, not its names.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kube::ResourceExt;
use meridian_dns_core::dnssec::rollover::{Goal, KeyRing, ParentDs, ParentView, Policy, Requests, Stage};
use meridian_dns_core::dnssec::{Algorithm, Denial};
use meridian_dns_core::{DnsName, Snapshot, Zone};
use meridian_federation_api as api;
use meridian_federation_core::names::{
    DS_SEEN_ANNOTATION, NEW_KEYS_ANNOTATION, ROLL_KSK_ANNOTATION, ROLL_ZSK_ANNOTATION,
};
use meridian_federation_core::{Condition, KnownKeys, ParentSource, Timestamp, ZoneKeys, ZoneSigning};

use crate::parse::bad;
use crate::snapshot::next_serial;
use crate::{Dirty, Index, ParseError};

/// The port of DNS.
const DNS_PORT: u16 = 53;
/// Seconds of a day.
const DAY: u64 = 86_400;

/// News of the keys of zones.
#[derive(Debug, Clone)]
pub enum KeyEvent {
    /// A zone has these keys; their private sides are installed.
    Ring(DnsName, Arc<KeyRing>),
    /// What is stored for a zone cannot be used, or can again.
    Problem(DnsName, Option<String>),
    /// All that is stored has been seen.
    Listed,
}

/// All that is known of keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    rings: BTreeMap<DnsName, Arc<KeyRing>>,
    problems: BTreeMap<DnsName, String>,
    listed: bool,
}

impl Keys {
    fn known(&self, zone: &DnsName) -> KnownKeys<'_> {
        KnownKeys {
            ring: self.rings.get(zone).map(|ring| &**ring),
            listed: self.listed,
            problem: self.problems.get(zone).map(String::as_str),
        }
    }
}

/// A zone whose keys are due for care.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyTask {
    /// The zone.
    pub zone: DnsName,
    /// Its keys now; the first step starts from an empty ring.
    pub ring: Arc<KeyRing>,
    /// What keys it is to have.
    pub policy: Policy,
    /// Where the parent's DS records are seen.
    pub parent: ParentSource,
}

impl Index {
    /// Keys of zones.
    pub fn keys(&mut self, event: KeyEvent) -> Dirty {
        let keys = &mut self.keys;
        let zones = match event {
            KeyEvent::Ring(zone, ring) => keys
                .rings
                .insert(zone, ring.clone())
                .is_none_or(|before| before != ring),
            KeyEvent::Problem(zone, Some(problem)) => keys
                .problems
                .insert(zone, problem.clone())
                .is_none_or(|before| before != problem),
            KeyEvent::Problem(zone, None) => keys.problems.remove(&zone).is_some(),
            KeyEvent::Listed => !std::mem::replace(&mut keys.listed, true),
        };
        Dirty {
            zones,
            ..Dirty::default()
        }
    }

    /// The zones whose keys the leader is to take care of, with the policy for each.
    pub fn key_tasks(&self, snapshot: &Snapshot) -> Vec<KeyTask> {
        let served = self.world.served_zones();
        let tasks = served.filter_map(|(name, zone)| {
            let signing = self.world.signing.get(name)?;
            let known = self.keys.known(&zone.domain);
            let served = snapshot.zone(&zone.domain)?;
            let policy = Policy {
                data_ttl: served.longest_ttl(),
                ..signing.policy.clone()
            };
            signing.is_due(known).then(|| KeyTask {
                zone: zone.domain.clone(),
                ring: self.keys.rings.get(&zone.domain).cloned().unwrap_or_default(),
                policy,
                parent: signing.parent.clone(),
            })
        });
        tasks.collect()
    }

    /// The zone with the keys that are known now.
    pub(crate) fn with_keys(&self, name: &str, zone: Zone, now: Timestamp) -> Zone {
        let Some(signing) = self.world.signing.get(name) else {
            return zone;
        };
        let (dnssec, awaited) = match signing.keys(self.keys.known(zone.apex())) {
            ZoneKeys::Signed(dnssec) => (Some(dnssec), false),
            ZoneKeys::Unsigned => (None, false),
            // What a saved snapshot says of keys is better than nothing.
            ZoneKeys::Awaited => (zone.dnssec().cloned(), zone.dnssec().is_none()),
        };
        let zone = if zone.dnssec() == dnssec.as_ref() {
            zone
        } else {
            zone.with_dnssec(dnssec, next_serial(zone.soa().serial, now))
        };
        zone.with_keys_awaited(awaited)
    }

    /// What a zone's status says of keys.
    pub(crate) fn signing_status(
        &self,
        object: &api::DNSZone,
        domain: &DnsName,
    ) -> (Vec<Condition>, Option<api::DnssecStatus>) {
        let before = || object.status.as_ref().and_then(|status| status.dnssec.clone());
        let Some(signing) = self.world.signing.get(&object.name_any()) else {
            return (Vec::new(), before());
        };
        let known = self.keys.known(domain);
        let status = match known.ring {
            // That there were keys is not forgotten with the keys.
            None => before(),
            Some(ring) => status_of(ring, domain),
        };
        (signing.conditions(known), status)
    }
}

fn status_of(ring: &KeyRing, domain: &DnsName) -> Option<api::DnssecStatus> {
    if ring.keys.is_empty() {
        return None;
    }
    let wanted = ring.keys.iter().filter(|key| key.ds.phase.is_shown());
    let published = ring.keys.iter().filter(|key| key.dnskey.phase.is_shown());
    let keys = ring.keys.iter().map(|key| {
        let phase = |has: bool, stage: Stage| has.then(|| stage.phase.as_str().to_owned());
        api::DnssecKeyStatus {
            tag: i32::from(key.key.tag()),
            role: key.role.as_str().to_owned(),
            algorithm: key.key.algorithm.to_string(),
            retiring: key.goal == Goal::Hidden,
            dnskey: key.dnskey.phase.as_str().to_owned(),
            zone_signatures: phase(key.role.signs_data(), key.zone_signatures),
            key_signature: phase(key.role.signs_keys(), key.key_signature),
            ds: phase(key.role.signs_keys(), key.ds),
        }
    });
    Some(api::DnssecStatus {
        ds: wanted.map(|key| key.key.ds_line(domain)).collect(),
        dnskeys: published.map(|key| key.key.dnskey_line(domain)).collect(),
        keys: keys.collect(),
    })
}

/// How a DNSZone is to be signed.
pub(crate) fn signing(object: &api::DNSZone) -> Result<ZoneSigning, ParseError> {
    let spec = object.spec.dnssec.clone().unwrap_or_default();
    let seconds = |value: i32| u32::try_from(value).unwrap_or(0);
    let days = |value: i32| u64::from(seconds(value)) * DAY;
    let text = |annotation: &str| object.annotations().get(annotation).cloned();
    let parent = match spec.parent.check {
        api::ParentCheck::Resolvers => {
            let resolvers = spec.parent.resolvers.iter().enumerate().map(|(index, text)| {
                let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
                address.or_else(|_| text.parse()).map_err(|_| {
                    let field = format!("spec.dnssec.parent.resolvers[{index}]");
                    bad(field, format!("{text:?} is not an IP address, nor one with a port"))
                })
            });
            ParentSource::Ask(resolvers.collect::<Result<_, _>>()?)
        }
        api::ParentCheck::Manual => ParentSource::Told(text(DS_SEEN_ANNOTATION).map(|text| seen(&text)).transpose()?),
    };
    Ok(ZoneSigning {
        policy: Policy {
            secure: object.spec.dnssec.is_some(),
            algorithm: match spec.algorithm {
                api::DnssecAlgorithm::ECDSAP256SHA256 => Algorithm::EcdsaP256,
                api::DnssecAlgorithm::ED25519 => Algorithm::Ed25519,
            },
            combined: spec.keys.combined,
            key_signing_lifetime: days(spec.keys.ksk_lifetime_days),
            zone_signing_lifetime: days(spec.keys.zsk_lifetime_days.unwrap_or(90)),
            key_ttl: seconds(spec.keys.ttl),
            data_ttl: 0,
            propagation: seconds(spec.propagation_seconds),
            ds_ttl: seconds(spec.parent.ds_ttl),
            parent_propagation: seconds(spec.parent.propagation_seconds),
            safety: seconds(spec.safety_seconds),
            requests: Requests {
                key_signing: text(ROLL_KSK_ANNOTATION),
                zone_signing: text(ROLL_ZSK_ANNOTATION),
            },
        },
        denial: match spec.denial {
            api::DnssecDenial::Compact => Denial::Compact,
            api::DnssecDenial::NSEC3 => Denial::Nsec3,
        },
        parent,
        had_keys: object
            .status
            .as_ref()
            .and_then(|status| status.dnssec.as_ref())
            .is_some_and(|dnssec| !dnssec.keys.is_empty()),
        new_keys: text(NEW_KEYS_ANNOTATION).is_some_and(|text| text == "true"),
    })
}

/// The tags that an operator saw.
fn seen(text: &str) -> Result<ParentView, ParseError> {
    let tags = text
        .split(',')
        .map(str::trim)
        .filter(|tag| !tag.is_empty() && *tag != "none");
    let ds = tags.map(|tag| {
        let tag = tag.parse().map_err(|_| {
            let field = format!("metadata.annotations[{DS_SEEN_ANNOTATION}]");
            bad(
                field,
                format!("{tag:?} is not the tag of a key; write tags separated by commas, or none"),
            )
        })?;
        Ok(ParentDs { tag, digest: None })
    });
    Ok(ParentView {
        ds: ds.collect::<Result<_, _>>()?,
        ttl: None,
    })
}
