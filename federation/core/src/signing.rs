//! Whether and how a zone is signed: what its object wishes, and what that means with the keys at hand.
//!
//! What must stay true:
//! - a zone that has or may have a DS in its parent is never answered unsigned because keys are not known:
//!   it waits for them ([`ZoneKeys::Awaited`]);
//! - keys that were lost are not replaced in silence. New ones would be as bogus as none until the parent
//!   changes its DS, and the lost ones may come back with a restored Secret. An operator decides.

use std::net::SocketAddr;
use std::sync::Arc;

use meridian_dns_core::Dnssec;
use meridian_dns_core::dnssec::Denial;
use meridian_dns_core::dnssec::rollover::{self, KeyRing, ParentView, Phase, Policy, RingKey, Sighting};

use crate::Condition;
use crate::names::{DS_SEEN_ANNOTATION, NEW_KEYS_ANNOTATION};

/// How a zone is to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSigning {
    /// Which keys there are to be. The TTL of the zone's data is not known here.
    pub policy: Policy,
    /// How what does not exist is denied.
    pub denial: Denial,
    /// Where it is seen which DS records the parent has.
    pub parent: ParentSource,
    /// The zone's status lists keys: there were some.
    pub had_keys: bool,
    /// An operator allows new keys in place of lost ones.
    pub new_keys: bool,
}

/// Where it is seen which DS records the parent has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParentSource {
    /// These are asked, and must agree; the machine's own resolvers if there are none.
    Ask(Vec<SocketAddr>),
    /// An operator says so; `None` while nobody has.
    Told(Option<ParentView>),
}

/// What a zone is signed with now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneKeys {
    /// Nothing: the zone is not signed.
    Unsigned,
    /// These keys.
    Signed(Arc<Dnssec>),
    /// Keys that are not known yet.
    Awaited,
}

/// What is known of the keys of a zone.
#[derive(Debug, Clone, Copy)]
pub struct KnownKeys<'a> {
    /// The ring, once there is one. An empty one says that the zone has none any more.
    pub ring: Option<&'a KeyRing>,
    /// All rings that are stored have been seen since the start.
    pub listed: bool,
    /// Why what is stored cannot be used.
    pub problem: Option<&'a str>,
}

impl ZoneSigning {
    /// What the zone is signed with.
    pub fn keys(&self, known: KnownKeys<'_>) -> ZoneKeys {
        match known.ring {
            Some(ring) => match ring.view(self.denial) {
                Some(dnssec) => ZoneKeys::Signed(dnssec),
                None => ZoneKeys::Unsigned,
            },
            None if self.had_keys || (self.policy.secure && !known.listed) => ZoneKeys::Awaited,
            // It never had any: the leader makes some, and until then there is no DS.
            None => ZoneKeys::Unsigned,
        }
    }

    /// Whether keys that should be there are not.
    pub fn lost(&self, known: KnownKeys<'_>) -> bool {
        self.had_keys && known.listed && known.ring.is_none()
    }

    /// Whether the leader may take care of the zone's keys now, and begin with none.
    pub fn is_due(&self, known: KnownKeys<'_>) -> bool {
        let usable = known.problem.is_none() || known.ring.is_some();
        let has = known.ring.is_some_and(|ring| !ring.keys.is_empty());
        usable && known.listed && (has || self.policy.secure) && (!self.lost(known) || self.new_keys)
    }

    /// `Signed` and `DelegationSigned`; nothing for a zone that has nothing to do with DNSSEC.
    pub fn conditions(&self, known: KnownKeys<'_>) -> Vec<Condition> {
        let has = known.ring.is_some_and(|ring| !ring.keys.is_empty());
        if !self.policy.secure && !has && !self.had_keys {
            return Vec::new();
        }
        let signed = |holds: bool, reason: &str, message: String| Condition::new("Signed", holds, reason, message);
        let unseen = || Condition::new("DelegationSigned", false, "NoKeys", "there are no keys yet");
        let Some(ring) = known.ring else {
            let first = match known.problem {
                Some(problem) => signed(false, "KeysUnreadable", format!("{problem}; the zone gets SERVFAIL")),
                None if self.lost(known) => signed(
                    false,
                    "KeysLost",
                    format!(
                        "the zone had keys and its Secret is gone; the zone gets SERVFAIL. Restore the Secret, or set \
                         annotation {NEW_KEYS_ANNOTATION}: \"true\" to make new keys, and give the parent their DS"
                    ),
                ),
                None => signed(false, "KeysAwaited", "the keys are not made or not read yet".to_owned()),
            };
            return vec![first, unseen()];
        };
        if !has {
            return vec![
                signed(false, "Insecure", "the zone is not signed".to_owned()),
                Condition::new("DelegationSigned", false, "Insecure", "the zone is not signed"),
            ];
        }
        let waits: Vec<_> = rollover::waits(ring).iter().map(ToString::to_string).collect();
        let told = if waits.is_empty() {
            "all keys are in use".to_owned()
        } else {
            format!("waiting for {}", waits.join("; "))
        };
        let first = match (known.problem, ring.secure) {
            (Some(problem), _) => signed(
                true,
                "KeysUnreadable",
                format!("{problem}; the keys before stay in use"),
            ),
            (None, false) => signed(true, "BecomingInsecure", told),
            (None, true) if waits.is_empty() => signed(true, "Signed", told),
            (None, true) => signed(true, "Changing", told),
        };
        vec![first, self.delegation(ring)]
    }

    fn delegation(&self, ring: &KeyRing) -> Condition {
        let condition =
            |holds: bool, reason: &str, message: String| Condition::new("DelegationSigned", holds, reason, message);
        let how = match &self.parent {
            ParentSource::Ask(_) => String::new(),
            ParentSource::Told(_) => format!("; say so by annotation {DS_SEEN_ANNOTATION}"),
        };
        let with = |phase: Phase, seen: fn(&Sighting) -> bool| {
            let keys = ring.keys.iter().filter(|key| key.ds.phase == phase && seen(&key.seen));
            keys.map(|key| key.key.tag().to_string()).collect::<Vec<_>>().join(", ")
        };
        let is_shown = |seen: &Sighting| matches!(seen, Sighting::Shown { .. });
        let is_not = |seen: &Sighting| !matches!(seen, Sighting::Shown { .. });
        let (missing, vanished) = (with(Phase::Rumoured, is_not), with(Phase::Omnipresent, is_not));
        let extra = with(Phase::Unretentive, is_shown);
        let valid = ring
            .keys
            .iter()
            .any(|key: &RingKey| is_shown(&key.seen) && key.dnskey.phase == Phase::Omnipresent);
        if !valid && !ring.foreign_ds.is_empty() {
            let tags: Vec<_> = ring.foreign_ds.iter().map(u16::to_string).collect();
            let message = format!(
                "the parent has DS {} of no key here: the zone is bogus; replace it",
                tags.join(", ")
            );
            return condition(false, "ForeignDs", message);
        }
        if !missing.is_empty() {
            let message = format!("the parent should publish the DS of key {missing} (status.dnssec.ds){how}");
            return condition(valid, "DsMissing", message);
        }
        if !vanished.is_empty() && ring.secure {
            let message = format!("the parent has no DS of key {vanished} any more; publish it again{how}");
            return condition(valid, "DsVanished", message);
        }
        if !extra.is_empty() {
            let message = format!("the parent should remove the DS of key {extra}{how}");
            return condition(valid, "DsToRemove", message);
        }
        if valid {
            return condition(true, "Delegated", "the parent vouches for the keys".to_owned());
        }
        condition(false, "NotReady", "the keys are not ready for a DS yet".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use meridian_dns_core::DnsName;
    use meridian_dns_core::dnssec::rollover::{NewKey, ParentDs, Requests, advance};
    use meridian_dns_core::dnssec::{Algorithm, DnsKey};

    use super::*;

    fn signing(secure: bool) -> ZoneSigning {
        ZoneSigning {
            policy: Policy {
                secure,
                algorithm: Algorithm::Ed25519,
                combined: true,
                key_signing_lifetime: 0,
                zone_signing_lifetime: 0,
                key_ttl: 1,
                data_ttl: 1,
                propagation: 1,
                ds_ttl: 1,
                parent_propagation: 1,
                safety: 0,
                requests: Requests::default(),
            },
            denial: Denial::Compact,
            parent: ParentSource::Told(None),
            had_keys: false,
            new_keys: false,
        }
    }

    fn step(ring: &KeyRing, signing: &ZoneSigning, ds: Option<&[u16]>, now: u64) -> KeyRing {
        let owner = DnsName::parse("example.test").expect("a name");
        let shown = ds.map(|tags| ParentView {
            ds: tags
                .iter()
                .map(|tag| ParentDs {
                    tag: *tag,
                    digest: None,
                })
                .collect(),
            ttl: None,
        });
        let mut advanced = advance(ring, &signing.policy, &owner, shown.as_ref(), now);
        for NewKey { algorithm, role } in std::mem::take(&mut advanced.wanted) {
            let key = DnsKey {
                secure_entry_point: true,
                algorithm,
                public_key: Arc::from([7; 32]),
            };
            advanced.ring.add(key, role, now).expect("a new tag");
            advanced = advance(&advanced.ring, &signing.policy, &owner, shown.as_ref(), now);
        }
        advanced.ring
    }

    fn reasons(signing: &ZoneSigning, known: KnownKeys<'_>) -> Vec<String> {
        let conditions = signing.conditions(known);
        conditions
            .iter()
            .map(|condition| format!("{}:{}", condition.status.as_str(), condition.reason))
            .collect()
    }

    #[test]
    fn a_zone_waits_for_keys_that_it_may_have() {
        let known = |ring, listed| KnownKeys {
            ring,
            listed,
            problem: None,
        };
        let ring = step(&KeyRing::default(), &signing(true), None, 0);
        let empty = KeyRing::default();
        let mut before = signing(true);
        before.had_keys = true;
        let mut leaving = signing(false);
        leaving.had_keys = true;
        for (signing, known, awaited, is_due) in [
            (&signing(true), known(None, false), true, false),
            (&signing(true), known(None, true), false, true),
            (&signing(false), known(None, false), false, false),
            (&signing(false), known(None, true), false, false),
            (&before, known(None, false), true, false),
            // Lost: nothing is made in silence.
            (&before, known(None, true), true, false),
            (&leaving, known(None, true), true, false),
            (&leaving, known(Some(&ring), true), false, true),
            (&leaving, known(Some(&empty), true), false, false),
            (&before, known(Some(&ring), false), false, false),
        ] {
            assert_eq!(
                signing.keys(known) == ZoneKeys::Awaited,
                awaited,
                "{signing:?} {known:?}"
            );
            assert_eq!(signing.is_due(known), is_due, "{signing:?} {known:?}");
        }
        before.new_keys = true;
        assert!(before.is_due(known(None, true)));
        let unreadable = KnownKeys {
            problem: Some("no JSON"),
            ..known(None, true)
        };
        assert!(!before.is_due(unreadable), "what cannot be read is not replaced");
    }

    #[test]
    fn conditions_say_what_is_waited_for() {
        let told = signing(true);
        let known = |ring| KnownKeys {
            ring: Some(ring),
            listed: true,
            problem: None,
        };
        let first = step(&KeyRing::default(), &told, None, 0);
        assert_eq!(reasons(&told, known(&first)), ["True:Changing", "False:NotReady"]);
        let ready = step(&first, &told, None, 10);
        assert_eq!(reasons(&told, known(&ready)), ["True:Changing", "False:DsMissing"]);
        let message = told.conditions(known(&ready)).remove(1).message;
        assert!(message.contains("annotation meridian.dev/ds-seen"), "{message}");
        let tag = ready.keys[0].key.tag();
        let shown = step(&ready, &told, Some(&[tag]), 20);
        let settled = step(&shown, &told, Some(&[tag]), 30);
        assert_eq!(reasons(&told, known(&settled)), ["True:Signed", "True:Delegated"]);
        let vanished = step(&settled, &told, Some(&[]), 40);
        assert_eq!(reasons(&told, known(&vanished)), ["True:Signed", "False:DsVanished"]);
        let foreign = step(&settled, &told, Some(&[tag ^ 1]), 40);
        assert_eq!(reasons(&told, known(&foreign)), ["True:Signed", "False:ForeignDs"]);
        let leaving = step(&settled, &signing(false), Some(&[tag]), 50);
        assert_eq!(
            reasons(&signing(false), known(&leaving)),
            ["True:BecomingInsecure", "True:DsToRemove"]
        );
        let gone = step(&leaving, &signing(false), Some(&[]), 60);
        let gone = step(&gone, &signing(false), Some(&[]), 70);
        let gone = step(&gone, &signing(false), Some(&[]), 80);
        let mut after = signing(false);
        assert!(gone.keys.is_empty() && after.conditions(known(&gone)).is_empty());
        after.had_keys = true;
        assert_eq!(reasons(&after, known(&gone)), ["False:Insecure", "False:Insecure"]);
    }
}
