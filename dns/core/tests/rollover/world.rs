//! A zone's servers, its parent and every cache there could be, in one model.
//!
//! The model is independent of the machine's phases: it records what servers could have shown when, and
//! asks whether any mix of it that caches may hold validates. Validators are the strict kind: every
//! algorithm of the DS set must lead to the DNSKEY set, every algorithm of the DNSKEY set must sign data.

use std::collections::BTreeSet;
use std::sync::Arc;

use meridian_dns_core::DnsName;
use meridian_dns_core::Dnssec;
use meridian_dns_core::dnssec::rollover::{
    Event, KeyRing, NewKey, ParentDs, ParentView, Policy, Requests, Role, advance,
};
use meridian_dns_core::dnssec::{Algorithm, Denial, DnsKey};

/// What one version of something held, until when servers showed it, and for how long caches keep it.
struct Version<T> {
    shown: T,
    /// When it was replaced; `None` while it is the newest.
    end: Option<u64>,
    ttl: u64,
}

#[derive(Clone, PartialEq)]
struct Keys {
    set: BTreeSet<DnsKey>,
    signers: BTreeSet<DnsKey>,
}

/// All of it, at one true moment.
pub(crate) struct World {
    pub(crate) ring: KeyRing,
    pub(crate) policy: Policy,
    /// True time; the machine's clock may lag behind it.
    pub(crate) time: u64,
    pub(crate) clock_behind: u64,
    pub(crate) events: Vec<(u64, String)>,
    pub(crate) parent_visible: bool,
    made: u8,
    keys: Vec<Version<Keys>>,
    data: Vec<Version<BTreeSet<DnsKey>>>,
    parent: Vec<Version<BTreeSet<DnsKey>>>,
}

pub(crate) fn policy() -> Policy {
    Policy {
        secure: true,
        algorithm: Algorithm::EcdsaP256,
        combined: false,
        key_signing_lifetime: 0,
        zone_signing_lifetime: 0,
        key_ttl: 100,
        data_ttl: 30,
        propagation: 5,
        ds_ttl: 200,
        parent_propagation: 10,
        safety: 0,
        requests: Requests::default(),
    }
}

pub(crate) fn owner() -> DnsName {
    DnsName::parse("example.test").expect("a name")
}

impl World {
    pub(crate) fn new(policy: Policy) -> Self {
        let first = |ttl, shown| vec![Version { shown, end: None, ttl }];
        let none = Keys {
            set: BTreeSet::new(),
            signers: BTreeSet::new(),
        };
        Self {
            ring: KeyRing::default(),
            // Without keys, caches hold that there are none, as long as data.
            keys: vec![Version {
                shown: none,
                end: None,
                ttl: u64::from(policy.data_ttl),
            }],
            data: first(u64::from(policy.data_ttl), BTreeSet::new()),
            parent: first(u64::from(policy.ds_ttl), BTreeSet::new()),
            policy,
            time: 1_000_000,
            clock_behind: 0,
            events: Vec::new(),
            parent_visible: true,
            made: 0,
        }
    }

    pub(crate) fn view(&self) -> Option<Arc<Dnssec>> {
        self.ring.view(Denial::Compact)
    }

    fn new_key(&mut self, wanted: NewKey, now: u64) {
        loop {
            self.made += 1;
            let length = if wanted.algorithm == Algorithm::EcdsaP256 {
                64
            } else {
                32
            };
            let key = DnsKey {
                secure_entry_point: wanted.role.signs_keys(),
                algorithm: wanted.algorithm,
                public_key: (0..length).map(|_| self.made).collect(),
            };
            if self.ring.add(key, wanted.role, now).is_ok() {
                return;
            }
        }
    }

    /// Lets the machine act, and shows what it says.
    pub(crate) fn advance(&mut self) -> Option<u64> {
        let now = self.time - self.clock_behind;
        let ds = self
            .parent
            .last()
            .map(|version| version.shown.clone())
            .unwrap_or_default();
        let shown = ParentView {
            ds: ds
                .iter()
                .map(|key| ParentDs {
                    tag: key.tag(),
                    digest: Some((key.algorithm.number(), key.ds(&owner())[4..].to_vec())),
                })
                .collect(),
            ttl: Some(self.policy.ds_ttl),
        };
        let parent = self.parent_visible.then_some(&shown);
        let mut wake = None;
        for _ in 0..3 {
            let advanced = advance(&self.ring, &self.policy, &owner(), parent, now);
            let again = advance(&advanced.ring, &self.policy, &owner(), parent, now);
            assert!(
                again.events.is_empty(),
                "a step left something undone: {:?}",
                again.events
            );
            self.ring = advanced.ring;
            self.events
                .extend(advanced.events.iter().map(|event| (self.time, told(event))));
            wake = advanced.wake;
            if advanced.wanted.is_empty() {
                break;
            }
            for wanted in advanced.wanted {
                self.new_key(wanted, now);
            }
        }
        self.show();
        wake.map(|wake| wake + self.clock_behind)
    }

    fn show(&mut self) {
        let view = self.view();
        let of = |chosen: fn(&meridian_dns_core::dnssec::ZoneKey) -> bool| -> BTreeSet<DnsKey> {
            let keys = view.iter().flat_map(|view| &view.keys);
            keys.filter(|key| chosen(key)).map(|key| key.key.clone()).collect()
        };
        let keys = Keys {
            set: of(|key| key.published),
            signers: of(|key| key.signs_keys),
        };
        let ttl = if keys.set.is_empty() {
            self.policy.data_ttl
        } else {
            self.ring.key_ttl
        };
        replace(&mut self.keys, keys, u64::from(ttl), self.time);
        let data = of(|key| key.signs_data);
        replace(&mut self.data, data, u64::from(self.policy.data_ttl), self.time);
    }

    /// The parent does what the zone asks for in its CDS set; at first it may only add.
    pub(crate) fn parent_follows(&mut self, adds_only: bool) {
        let Some(view) = self.view() else { return };
        let asked: BTreeSet<_> = view
            .keys
            .iter()
            .filter(|key| key.wants_ds)
            .map(|key| key.key.clone())
            .collect();
        let mut ds = self
            .parent
            .last()
            .map(|version| version.shown.clone())
            .unwrap_or_default();
        if view.delete_ds {
            ds.clear();
        } else if !asked.is_empty() {
            ds.retain(|key| adds_only || asked.contains(key));
            ds.extend(asked);
        }
        replace(&mut self.parent, ds, u64::from(self.policy.ds_ttl), self.time);
    }

    /// Every mix of sets that caches may hold now validates.
    pub(crate) fn check(&self) -> Result<(), String> {
        let lag = u64::from(self.policy.propagation);
        let parents_lag = u64::from(self.policy.parent_propagation);
        for ds in possible(&self.parent, self.time, parents_lag) {
            for keys in possible(&self.keys, self.time, lag) {
                for signers in possible(&self.data, self.time, lag) {
                    validates(ds, keys, signers).map_err(|reason| {
                        let tags = |set: &BTreeSet<DnsKey>| set.iter().map(DnsKey::tag).collect::<Vec<_>>();
                        format!(
                            "{reason} at {}: DS {:?}, DNSKEY {:?}, data signed by {:?}\n{:#?}",
                            self.time,
                            tags(ds),
                            tags(&keys.set),
                            tags(signers),
                            self.events,
                        )
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Goes on until nothing happens any more, with a parent that follows; at most for so many steps.
    pub(crate) fn settle(&mut self, steps: usize) -> Result<(), String> {
        for _ in 0..steps {
            let wake = self.advance();
            self.check()?;
            self.parent_follows(false);
            self.check()?;
            if wake.is_none() && !self.ring.waits_for_parent() {
                return Ok(());
            }
            self.time = wake.unwrap_or(0).max(self.time + 1);
        }
        Err(format!(
            "not settled after {steps} steps: {:#?}\n{:#?}",
            self.ring, self.events
        ))
    }

    /// The roles of the keys, with their algorithms; an error if one of them is in motion.
    pub(crate) fn settled_roles(&self) -> Result<Vec<(Role, Algorithm)>, String> {
        let moving = self.ring.keys.iter().find(|key| !key.is_settled());
        match moving {
            Some(key) => Err(format!("in motion: {key:?}")),
            None => Ok(self.ring.keys.iter().map(|key| (key.role, key.key.algorithm)).collect()),
        }
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::Changed { tag, role, part, to } => {
            format!("{} {tag}: {} {}", role.as_str(), part.as_str(), to.as_str())
        }
        Event::Retired { tag, role } => format!("{} {tag}: retired", role.as_str()),
        Event::Removed { tag, role } => format!("{} {tag}: removed", role.as_str()),
        Event::ClockWentBack => "the clock went back".to_owned(),
    }
}

fn replace<T: PartialEq>(versions: &mut Vec<Version<T>>, shown: T, ttl: u64, now: u64) {
    if let Some(last) = versions.last_mut() {
        if last.shown == shown && last.ttl == ttl {
            return;
        }
        last.end = Some(now);
    }
    versions.push(Version { shown, end: None, ttl });
}

fn possible<T>(versions: &[Version<T>], now: u64, lag: u64) -> impl Iterator<Item = &T> {
    let held = move |version: &&Version<T>| version.end.is_none_or(|end| end + lag + version.ttl > now);
    versions.iter().filter(held).map(|version| &version.shown)
}

fn validates(ds: &BTreeSet<DnsKey>, keys: &Keys, signers: &BTreeSet<DnsKey>) -> Result<(), &'static str> {
    if ds.is_empty() {
        return Ok(());
    }
    let algorithms = |set: &BTreeSet<DnsKey>| set.iter().map(|key| key.algorithm).collect::<BTreeSet<_>>();
    let chained = algorithms(ds).into_iter().all(|algorithm| {
        let mut trusted = ds.iter().filter(|key| key.algorithm == algorithm);
        trusted.any(|key| keys.set.contains(key) && keys.signers.contains(key))
    });
    if !chained {
        return Err("no key of the DNSKEY set that signs it has a DS");
    }
    let signed = algorithms(&keys.set).into_iter().all(|algorithm| {
        let mut of = signers.iter().filter(|key| key.algorithm == algorithm);
        of.any(|key| keys.set.contains(key))
    });
    if signed {
        Ok(())
    } else {
        Err("data is not signed by each algorithm of the DNSKEY set")
    }
}
