//! How keys come, change and go, so that no validator ever finds the zone bogus (RFC 7583, RFC 6781).
//!
//! [`advance`] is the whole machine: from a ring of keys, a policy, what the parent shows and the time to
//! the next ring. It knows no "rollover" and no steps of one: each key has a goal, each of its records a
//! phase, and whatever the rules allow is done. So a policy may change in the middle of anything, keys
//! may be lost and requests may overlap, and the same few rules keep the chain whole.
//!
//! What must stay true:
//! - no record leaves a set, and no DS is asked for, unless any mix of sets that caches may hold still
//!   validates afterwards (`rules`);
//! - only what every cache has (omnipresent) is taken out of the zone, and it counts until no cache has it;
//! - a clock that goes back only makes waits longer, and a shorter TTL does not shorten what caches hold;
//! - equal arguments give equal rings, so that a new leader goes on where the last one stopped.
//!
//! Refused: scripts per kind of rollover (pre-publication, double signature, double DS). They need an
//! answer for every policy change in every step of every script.

mod hold;
mod ring;
mod rules;
mod waiting;

pub use self::hold::Hold;
pub use self::ring::{AddError, Goal, KeyRing, NewKey, Part, Phase, Requests, RingKey, Role, Sighting, Stage};
pub use self::waiting::{Wait, waits};
use crate::DnsName;
use crate::dnssec::{Algorithm, DnsKey};

/// What keys a zone is to have, and how long the world takes to learn of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether the zone is to be signed. Otherwise its keys leave, after the parent's DS.
    pub secure: bool,
    /// What keys sign with.
    pub algorithm: Algorithm,
    /// One key for everything, instead of one for keys and one for data.
    pub combined: bool,
    /// How long a key that signs keys is used, in seconds; 0 for ever.
    pub key_signing_lifetime: u64,
    /// How long a key that signs data alone is used, in seconds; 0 for ever.
    pub zone_signing_lifetime: u64,
    /// TTL of the DNSKEY, CDS and CDNSKEY sets, in seconds.
    pub key_ttl: u32,
    /// The largest TTL of any other set of the zone, in seconds.
    pub data_ttl: u32,
    /// How long it takes until all servers of the zone show a change, in seconds.
    pub propagation: u32,
    /// TTL of the parent's DS set, in seconds. If the parent shows a larger one, that counts.
    pub ds_ttl: u32,
    /// How long it takes until all servers of the parent show a change, in seconds.
    pub parent_propagation: u32,
    /// Margin added to every wait, in seconds.
    pub safety: u32,
    /// Requests to replace keys now.
    pub requests: Requests,
}

/// A DS record that the parent shows; of an operator's word only the tag may be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParentDs {
    /// Tag of the key.
    pub tag: u16,
    /// Algorithm number and SHA-256 digest, where they are known.
    pub digest: Option<(u8, Vec<u8>)>,
}

/// What all servers of the parent show at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParentView {
    /// The DS records; empty when there are none.
    pub ds: Vec<ParentDs>,
    /// TTL of the set in seconds, if it was seen.
    pub ttl: Option<u32>,
}

/// What happened in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part of a key is in another phase.
    Changed {
        /// Tag of the key.
        tag: u16,
        /// Its role.
        role: Role,
        /// Which part.
        part: Part,
        /// Its phase now.
        to: Phase,
    },
    /// A key is on its way out.
    Retired {
        /// Tag of the key.
        tag: u16,
        /// Its role.
        role: Role,
    },
    /// A key is gone; its private side is of no more use.
    Removed {
        /// Tag of the key.
        tag: u16,
        /// Its role.
        role: Role,
    },
    /// The clock stands before a time that was recorded; waits began anew.
    ClockWentBack,
}

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advanced {
    /// The next ring; equal to the one before if nothing happened.
    pub ring: KeyRing,
    /// What happened.
    pub events: Vec<Event>,
    /// Keys that are to be made; with them in the ring, advance again.
    pub wanted: Vec<NewKey>,
    /// When time alone lets something happen, in seconds since 1970.
    pub wake: Option<u64>,
}

/// Takes every step that is allowed now, in the zone of that name. `parent` is `None` while the parent cannot be
/// asked; `now` is in seconds since 1970.
pub fn advance(ring: &KeyRing, policy: &Policy, owner: &DnsName, parent: Option<&ParentView>, now: u64) -> Advanced {
    let mut step = StepTaker {
        ring: ring.clone(),
        policy,
        now,
        parent_seen: parent.is_some(),
        events: Vec::new(),
    };
    step.clamp();
    step.set_times(parent);
    if let Some(parent) = parent {
        step.look(owner, parent);
    }
    step.take_requests();
    loop {
        let before = step.events.len();
        step.pass_time();
        step.retire();
        step.change();
        if step.events.len() == before {
            break;
        }
    }
    step.remove();
    let (wanted, wake) = (step.wanted(), step.wake());
    Advanced {
        ring: step.ring,
        events: step.events,
        wanted,
        wake,
    }
}

struct StepTaker<'a> {
    ring: KeyRing,
    policy: &'a Policy,
    now: u64,
    parent_seen: bool,
    events: Vec<Event>,
}

impl StepTaker<'_> {
    /// If times are ahead of the clock, all go back by as much as the latest of them is: the waits get
    /// longer, never shorter. All, because the rules also ask what came before what.
    fn clamp(&mut self) {
        let latest = self.times().map(|time| *time).max().unwrap_or(0);
        let ahead = latest.saturating_sub(self.now);
        if ahead > 0 {
            self.times().for_each(|time| *time = time.saturating_sub(ahead));
            self.events.push(Event::ClockWentBack);
        }
        for hold in [&mut self.ring.data, &mut self.ring.key_set, &mut self.ring.parent] {
            hold.set_back(ahead, self.now);
        }
    }

    /// When keys were made, changed and were seen.
    fn times(&mut self) -> impl Iterator<Item = &mut u64> {
        self.ring.keys.iter_mut().flat_map(|key| {
            let seen = match &mut key.seen {
                Sighting::Shown { since } | Sighting::Absent { since } => Some(since),
                Sighting::Unknown => None,
            };
            let stages = [
                &mut key.dnskey,
                &mut key.zone_signatures,
                &mut key.key_signature,
                &mut key.ds,
            ];
            let stages = stages.map(|stage| &mut stage.since);
            [&mut key.made].into_iter().chain(stages).chain(seen)
        })
    }

    fn set_times(&mut self, parent: Option<&ParentView>) {
        let (ring, policy) = (&mut self.ring, self.policy);
        let sum = |parts: [u32; 3]| parts.into_iter().map(u64::from).sum();
        ring.secure = policy.secure;
        ring.key_ttl = policy.key_ttl;
        ring.seen_ds_ttl = ring.seen_ds_ttl.max(parent.and_then(|parent| parent.ttl).unwrap_or(0));
        let ds_ttl = policy.ds_ttl.max(ring.seen_ds_ttl);
        let (own, above) = (policy.propagation, policy.parent_propagation);
        ring.data.set(sum([policy.data_ttl, own, policy.safety]), self.now);
        ring.key_set.set(sum([policy.key_ttl, own, policy.safety]), self.now);
        ring.parent.set(sum([ds_ttl, above, policy.safety]), self.now);
    }

    fn look(&mut self, owner: &DnsName, parent: &ParentView) {
        let is_its = |key: &DnsKey, ds: &ParentDs| {
            let fits = |(algorithm, digest): &(u8, Vec<u8>)| {
                *algorithm == key.algorithm.number() && key.ds(owner).ends_with(digest)
            };
            ds.tag == key.tag() && ds.digest.as_ref().is_none_or(fits)
        };
        let keys = &mut self.ring.keys;
        let foreign = |ds: &&ParentDs| !keys.iter().any(|key| is_its(&key.key, ds));
        self.ring.foreign_ds = parent.ds.iter().filter(foreign).map(|ds| ds.tag).collect();
        for key in keys.iter_mut().filter(|key| key.role.signs_keys()) {
            let shown = parent.ds.iter().any(|ds| is_its(&key.key, ds));
            key.seen = match (shown, key.seen) {
                (true, Sighting::Shown { since }) => Sighting::Shown { since },
                (true, _) => Sighting::Shown { since: self.now },
                (false, Sighting::Absent { since }) => Sighting::Absent { since },
                (false, _) => Sighting::Absent { since: self.now },
            };
            // A DS that nobody asked for binds all the same.
            if shown && key.ds.phase == Phase::Hidden {
                let phase = match key.goal {
                    Goal::Omnipresent => Phase::Rumoured,
                    Goal::Hidden => Phase::Unretentive,
                };
                key.ds = Stage { phase, since: self.now };
                self.events.push(changed(key, Part::Ds, phase));
            }
        }
    }

    fn take_requests(&mut self) {
        let asked = &self.policy.requests;
        let is_new = |asked: &Option<String>, taken: &Option<String>| asked.is_some() && asked != taken;
        let of_keys = is_new(&asked.key_signing, &self.ring.taken.key_signing);
        let of_data = is_new(&asked.zone_signing, &self.ring.taken.zone_signing);
        for key in &mut self.ring.keys {
            key.retiring |= of_keys && key.role.signs_keys() || of_data && key.role.signs_data();
        }
        let taken = &mut self.ring.taken;
        for (asked, taken) in [
            (&asked.key_signing, &mut taken.key_signing),
            (&asked.zone_signing, &mut taken.zone_signing),
        ] {
            if asked.is_some() {
                taken.clone_from(asked);
            }
        }
    }

    fn roles(&self) -> &'static [Role] {
        match (self.policy.secure, self.policy.combined) {
            (false, _) => &[],
            (true, true) => &[Role::Combined],
            (true, false) => &[Role::KeySigning, Role::ZoneSigning],
        }
    }

    /// Whether the key is what the policy asks for.
    fn fits(&self, key: &RingKey) -> bool {
        key.goal == Goal::Omnipresent
            && !key.retiring
            && key.key.algorithm == self.policy.algorithm
            && self.roles().contains(&key.role)
    }

    /// Sends away what does not fit once all that is to take its place is there.
    fn retire(&mut self) {
        let (now, policy) = (self.now, self.policy);
        // One exchange at a time: a lifetime shorter than an exchange would heap up keys.
        let calm = self.ring.keys.iter().all(RingKey::is_settled);
        for key in self.ring.keys.iter_mut().filter(|_| calm) {
            key.retiring |= expires(key, policy).is_some_and(|end| end <= now);
        }
        let fitting: Vec<_> = self.ring.keys.iter().map(|key| self.fits(key)).collect();
        let complete = self.wanted().is_empty();
        for (key, fits) in self.ring.keys.iter_mut().zip(fitting) {
            if !fits && complete && key.goal == Goal::Omnipresent {
                key.goal = Goal::Hidden;
                self.events.push(Event::Retired {
                    tag: key.key.tag(),
                    role: key.role,
                });
            }
        }
    }

    fn wanted(&self) -> Vec<NewKey> {
        let missing = |role: &&Role| !self.ring.keys.iter().any(|key| key.role == **role && self.fits(key));
        let algorithm = self.policy.algorithm;
        let roles = self.roles().iter().filter(missing);
        roles.map(|role| NewKey { algorithm, role: *role }).collect()
    }

    /// When time alone ends the phase of a part.
    fn passed(&self, key: &RingKey, part: Part) -> Option<u64> {
        let stage = key.stage(part);
        let ring = &self.ring;
        match (stage.phase, part) {
            (Phase::Hidden | Phase::Omnipresent, _) => None,
            (_, Part::ZoneSignatures) => Some(ring.data.passed(stage.since)),
            // Caches may also hold that there is no DNSKEY yet, for as long as data: no harm, since the DS
            // waits for signatures over data too.
            (_, Part::Dnskey | Part::KeySignature) => Some(ring.key_set.passed(stage.since)),
            (Phase::Rumoured, Part::Ds) => match key.seen {
                Sighting::Shown { since } => Some(ring.parent.passed(since.max(stage.since))),
                _ => None,
            },
            (Phase::Unretentive, Part::Ds) => match key.seen {
                Sighting::Absent { since } => Some(ring.parent.passed(since.max(stage.since))),
                _ => None,
            },
        }
    }

    /// What every cache has learnt by now. The parent's part counts only while it can be seen.
    fn pass_time(&mut self) {
        let mut due = Vec::new();
        for (index, key) in self.ring.keys.iter().enumerate() {
            for part in Part::ALL {
                let allowed = part != Part::Ds || self.parent_seen;
                if allowed && self.passed(key, part).is_some_and(|end| end <= self.now) {
                    due.push((index, part));
                }
            }
        }
        for (index, part) in due {
            let to = match self.ring.keys[index].phase(part) {
                Phase::Rumoured => Phase::Omnipresent,
                _ => Phase::Hidden,
            };
            self.set(index, part, to);
        }
    }

    fn set(&mut self, index: usize, part: Part, phase: Phase) {
        let key = &mut self.ring.keys[index];
        *key.stage_mut(part) = Stage { phase, since: self.now };
        if part == Part::Ds && !self.parent_seen {
            // What was seen before the parent was asked for something else says nothing of afterwards.
            key.seen = Sighting::Unknown;
        }
        self.events.push(changed(key, part, phase));
    }

    /// Makes every change that is wished and allowed, until there is none. What comes goes first, so that
    /// an exchange overlaps.
    fn change(&mut self) {
        let goals = [(Goal::Omnipresent, Phase::Rumoured), (Goal::Hidden, Phase::Unretentive)];
        loop {
            let mut candidates = goals.into_iter().flat_map(|(goal, to)| {
                let keys = self
                    .ring
                    .keys
                    .iter()
                    .enumerate()
                    .filter(move |(_, key)| key.goal == goal);
                keys.flat_map(move |(index, _)| Part::ALL.map(|part| (index, part, to)))
            });
            let next = candidates.find(|(index, part, to)| self.allowed(*index, *part, *to));
            let Some((index, part, to)) = next else { return };
            self.set(index, part, to);
        }
    }

    fn allowed(&self, index: usize, part: Part, to: Phase) -> bool {
        let key = &self.ring.keys[index];
        let wished = match to {
            Phase::Rumoured => key.has(part) && key.phase(part) == Phase::Hidden && self.may_come(key, part),
            // The parent shows a DS or not whatever was known of it before, so one may be called back.
            _ if part == Part::Ds => key.ds.phase.is_shown(),
            _ => key.phase(part) == Phase::Omnipresent && self.may_go(key, part),
        };
        wished && {
            let mut after = self.ring.clone();
            *after.keys[index].stage_mut(part) = Stage {
                phase: to,
                since: self.now,
            };
            rules::holding(&self.ring).kept_in(&rules::holding(&after))
        }
    }

    /// In which order a key's parts come, beyond what the rules demand.
    fn may_come(&self, key: &RingKey, part: Part) -> bool {
        let is_there = |part: Part| key.phase(part) == Phase::Omnipresent;
        match part {
            Part::Dnskey => true,
            Part::KeySignature => key.dnskey.phase.is_shown(),
            // Published first, so that data need not be signed twice; the first of an algorithm signs first.
            Part::ZoneSignatures => {
                let same = |other: &RingKey| {
                    other.key.algorithm == key.key.algorithm && other.zone_signatures.phase.is_shown()
                };
                is_there(Part::Dnskey) || !self.ring.keys.iter().any(same)
            }
            Part::Ds => {
                // The set must hold together before the parent vouches for it.
                let settled = |other: &RingKey| {
                    other.goal == Goal::Hidden
                        || [Part::Dnskey, Part::ZoneSignatures, Part::KeySignature]
                            .into_iter()
                            .all(|part| !other.has(part) || other.phase(part) == Phase::Omnipresent)
                };
                let same = |other: &&RingKey| other.key.algorithm == key.key.algorithm;
                is_there(Part::Dnskey)
                    && is_there(Part::KeySignature)
                    && self.ring.keys.iter().filter(same).all(settled)
            }
        }
    }

    /// In which order a key's parts go, beyond what the rules demand.
    fn may_go(&self, key: &RingKey, part: Part) -> bool {
        let algorithm_stays = || {
            let stays = |other: &RingKey| other.key.algorithm == key.key.algorithm && other.goal == Goal::Omnipresent;
            self.ring.keys.iter().any(stays)
        };
        match part {
            Part::Dnskey => !key.ds_possible() && (!key.zone_signatures.phase.is_shown() || !algorithm_stays()),
            Part::KeySignature => !key.dnskey.phase.is_shown(),
            Part::ZoneSignatures | Part::Ds => true,
        }
    }

    /// Forgets keys that no cache knows of.
    fn remove(&mut self) {
        let gone = |key: &RingKey| {
            key.goal == Goal::Hidden && Part::ALL.into_iter().all(|part| key.phase(part) == Phase::Hidden)
        };
        for key in self.ring.keys.iter().filter(|key| gone(key)) {
            self.events.push(Event::Removed {
                tag: key.key.tag(),
                role: key.role,
            });
        }
        self.ring.keys.retain(|key| !gone(key));
    }

    fn wake(&self) -> Option<u64> {
        let ends = self.ring.keys.iter().flat_map(|key| {
            let phases = Part::ALL.into_iter().filter_map(|part| self.passed(key, part));
            let lifetime = expires(key, self.policy).filter(|_| self.fits(key));
            phases.chain(lifetime)
        });
        ends.filter(|end| *end > self.now).min()
    }
}

/// When the lifetime of a key ends, if it has one.
fn expires(key: &RingKey, policy: &Policy) -> Option<u64> {
    let lifetime = if key.role.signs_keys() {
        policy.key_signing_lifetime
    } else {
        policy.zone_signing_lifetime
    };
    (lifetime > 0).then(|| key.made.saturating_add(lifetime))
}

fn changed(key: &RingKey, part: Part, to: Phase) -> Event {
    Event::Changed {
        tag: key.key.tag(),
        role: key.role,
        part,
        to,
    }
}
