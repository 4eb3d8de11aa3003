//! Two replicas that learn of each step of a rollover at different times, and validators that ask either of
//! them, by chance, and keep what they got for its TTL: none ever finds the zone bogus.
//!
//! Time is simulated, but for the validity of signatures. The validators are strict: each algorithm of the
//! DS set leads to the DNSKEY set, and each algorithm of the DNSKEY set signs the data (RFC 6840 section 5.11).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use hickory_proto::rr::Record;
use meridian_dns_core::dnssec::rollover::{KeyRing, ParentDs, ParentView, Policy, Requests, advance};
use meridian_dns_core::dnssec::{Algorithm, Denial, DnsKey};
use meridian_dns_core::{DnsName, Liveness, Snapshot};
use meridian_dns_server::{DnsServer, Signer, SigningKey, Table};

use crate::support::packet::Packet;
use crate::support::verify::{now, octets, verify};
use crate::support::{name, snapshot, start_with};
use meridian_hostile::Dice;

const DNSKEY: u16 = 48;
const RRSIG: u16 = 46;
const A: u16 = 1;
/// How late a replica may be, in seconds.
const LAG: u64 = 40;

/// A server, and what it will learn when.
struct Replica {
    _server: DnsServer,
    address: SocketAddr,
    table: Table,
    signer: Signer,
    news: VecDeque<(u64, Snapshot, KeyRing)>,
}

impl Replica {
    async fn start() -> Self {
        let signer = Signer::default();
        let (server, address, table) = start_with(|config| config.signer = signer.clone()).await;
        table.store(snapshot(Liveness::Alive));
        Self {
            _server: server,
            address,
            table,
            signer,
            news: VecDeque::new(),
        }
    }
}

/// What a validator got, and until when it keeps it.
#[derive(Default)]
struct Validator {
    ds: Option<(BTreeSet<DnsKey>, u64)>,
    keys: Option<(Vec<Record>, u64)>,
    data: Option<(Vec<Record>, u64)>,
}

struct World {
    zone: DnsName,
    dice: Dice,
    time: u64,
    policy: Policy,
    ring: KeyRing,
    private: BTreeMap<DnsKey, Vec<u8>>,
    replicas: [Replica; 2],
    validators: Vec<Validator>,
    parent: BTreeSet<DnsKey>,
    secure_seen: usize,
}

impl World {
    async fn new() -> Self {
        let longest = snapshot(Liveness::Alive)
            .zone(&name("example.test"))
            .expect("the zone")
            .longest_ttl();
        Self {
            zone: name("example.test"),
            dice: Dice::new(7),
            time: 1_000_000,
            policy: Policy {
                secure: true,
                algorithm: Algorithm::EcdsaP256,
                combined: false,
                key_signing_lifetime: 0,
                zone_signing_lifetime: 0,
                key_ttl: 200,
                data_ttl: longest,
                propagation: u32::try_from(LAG).expect("short"),
                ds_ttl: 300,
                parent_propagation: 0,
                safety: 0,
                requests: Requests::default(),
            },
            ring: KeyRing::default(),
            private: BTreeMap::new(),
            replicas: [Replica::start().await, Replica::start().await],
            validators: (0..6).map(|_| Validator::default()).collect(),
            parent: BTreeSet::new(),
            secure_seen: 0,
        }
    }

    /// The leader's step; what is new reaches each replica when chance says.
    fn lead(&mut self) -> Option<u64> {
        let of = |key: &DnsKey| ParentDs {
            tag: key.tag(),
            digest: Some((key.algorithm.number(), key.ds(&self.zone)[4..].to_vec())),
        };
        let parent = ParentView {
            ds: self.parent.iter().map(of).collect(),
            ttl: Some(300),
        };
        let before = self.ring.clone();
        let mut advanced = advance(&self.ring, &self.policy, &self.zone, Some(&parent), self.time);
        for wanted in std::mem::take(&mut advanced.wanted) {
            let sep = wanted.role.signs_keys();
            let pkcs8 = SigningKey::generate(wanted.algorithm).expect("a key");
            let key = SigningKey::from_pkcs8(wanted.algorithm, sep, &pkcs8)
                .expect("the key")
                .public()
                .clone();
            // One tag in thousands is taken; then the next step makes another.
            if advanced.ring.add(key.clone(), wanted.role, self.time).is_ok() {
                self.private.insert(key, pkcs8);
            }
        }
        let advanced = advance(&advanced.ring, &self.policy, &self.zone, Some(&parent), self.time);
        self.ring = advanced.ring;
        if self.ring != before {
            let plain = snapshot(Liveness::Alive);
            let zone = plain.zone(&self.zone).expect("the zone");
            let signed = zone.with_dnssec(self.ring.view(Denial::Compact), 3_000_000_009);
            let next = plain.with_zone(signed);
            for replica in &mut self.replicas {
                let lag = self.dice.roll() % LAG;
                let last = replica.news.back().map_or(0, |(at, ..)| *at);
                let at = last.max(self.time + lag);
                replica.news.push_back((at, next.clone(), self.ring.clone()));
            }
        }
        advanced.wake
    }

    fn deliver(&mut self) {
        for replica in &mut self.replicas {
            while replica.news.front().is_some_and(|(at, ..)| *at <= self.time) {
                let Some((_, snapshot, ring)) = replica.news.pop_front() else {
                    break;
                };
                // Private keys first, as `meridian run` has it.
                let private = ring.keys.iter().map(|key| {
                    let pkcs8 = &self.private[&key.key];
                    SigningKey::from_pkcs8(key.key.algorithm, key.key.secure_entry_point, pkcs8).expect("the key")
                });
                replica.signer.install(&self.zone, private.collect());
                replica.table.store(snapshot);
            }
        }
    }

    /// The parent takes up what it is asked for, some time.
    fn parent_follows(&mut self) {
        let Some(view) = self.ring.view(Denial::Compact) else {
            return;
        };
        if self.dice.below(4) > 0 {
            return;
        }
        let asked: BTreeSet<_> = view
            .keys
            .iter()
            .filter(|key| key.wants_ds)
            .map(|key| key.key.clone())
            .collect();
        if view.delete_ds {
            self.parent.clear();
        } else if !asked.is_empty() {
            self.parent = asked;
        }
    }

    async fn ask(&mut self, question: Packet) -> (Vec<Record>, u64) {
        let replica = &self.replicas[self.dice.below(2)];
        let (_, reply) = question.over_udp(replica.address).await;
        assert_eq!(u16::from(reply.metadata.response_code), 0, "{reply}");
        let section = if reply.answers.is_empty() {
            reply.authorities
        } else {
            reply.answers
        };
        let ttl = section.iter().map(|record| record.ttl).max().expect("records");
        (section, self.time + u64::from(ttl))
    }

    async fn validate(&mut self) {
        for index in 0..self.validators.len() {
            let time = self.time;
            let mut validator = std::mem::take(&mut self.validators[index]);
            let ds = validator.ds.take().filter(|(_, until)| *until > time);
            let ds = ds.unwrap_or_else(|| (self.parent.clone(), time + 300));
            let keys = match validator.keys.take().filter(|(_, until)| *until > time) {
                Some(keys) => keys,
                None => self.ask(Packet::ask_signed("example.test", DNSKEY)).await,
            };
            // Some forget data before its time.
            let data = validator.data.take().filter(|(_, until)| *until > time && index > 1);
            let data = match data {
                Some(data) => data,
                None => self.ask(Packet::ask_signed("some.example.test", A)).await,
            };
            if !ds.0.is_empty() {
                self.secure_seen += 1;
                check(&ds.0, &keys.0, &data.0);
            }
            validator = Validator {
                ds: Some(ds),
                keys: Some(keys),
                data: Some(data),
            };
            self.validators[index] = validator;
        }
    }

    /// Until nothing is in motion any more.
    async fn settle(&mut self) {
        for _ in 0..2000 {
            let wake = self.lead();
            self.deliver();
            self.parent_follows();
            self.validate().await;
            if wake.is_none() && !self.ring.waits_for_parent() {
                return;
            }
            let step = self.time + 1 + self.dice.roll() % 60;
            self.time = wake.unwrap_or(step).min(step).max(self.time + 1);
        }
        panic!("still in motion: {:#?}", self.ring);
    }
}

/// The tag of a signature.
fn tag(signature: &Record) -> u16 {
    let data = octets(&signature.data);
    u16::from_be_bytes([data[16], data[17]])
}

/// The keys of a DNSKEY set.
fn keys_of(section: &[Record]) -> Vec<DnsKey> {
    let records = section
        .iter()
        .filter(|record| u16::from(record.record_type()) == DNSKEY);
    let of = |record: &Record| {
        let data = octets(&record.data);
        DnsKey {
            secure_entry_point: data[1] == 1,
            algorithm: if data[3] == 13 {
                Algorithm::EcdsaP256
            } else {
                Algorithm::Ed25519
            },
            public_key: data[4..].into(),
        }
    };
    records.map(of).collect()
}

fn algorithms<'a>(keys: impl IntoIterator<Item = &'a DnsKey>) -> BTreeSet<Algorithm> {
    keys.into_iter().map(|key| key.algorithm).collect()
}

fn signed_by_one(section: &[Record], candidates: &[&DnsKey], what: &str) {
    let is_signature = |record: &&Record| u16::from(record.record_type()) == RRSIG;
    let tags: BTreeSet<_> = section.iter().filter(is_signature).map(tag).collect();
    let key = candidates.iter().find(|key| tags.contains(&key.tag()));
    let key = key.unwrap_or_else(|| panic!("bogus: {what} signed by {tags:?} and not by {candidates:?}"));
    let of_key = section
        .iter()
        .filter(|record| !is_signature(record) || tag(record) == key.tag());
    verify(&of_key.cloned().collect::<Vec<_>>(), &[DnsKey::clone(key)], now());
}

fn check(ds: &BTreeSet<DnsKey>, keys: &[Record], data: &[Record]) {
    let set = keys_of(keys);
    for algorithm in algorithms(ds) {
        let candidates: Vec<_> = set
            .iter()
            .filter(|key| key.algorithm == algorithm && ds.contains(key))
            .collect();
        signed_by_one(keys, &candidates, "DNSKEY");
    }
    for algorithm in algorithms(&set) {
        let candidates: Vec<_> = set.iter().filter(|key| key.algorithm == algorithm).collect();
        signed_by_one(data, &candidates, "data");
    }
}

#[tokio::test]
async fn no_answer_of_two_replicas_is_bogus_at_any_step_of_a_rollover() {
    let mut world = World::new().await;
    world.settle().await;
    assert!(!world.parent.is_empty());
    for change in [
        (|policy: &mut Policy| policy.requests.zone_signing = Some("now".to_owned())) as fn(&mut Policy),
        |policy| policy.requests.key_signing = Some("now".to_owned()),
        |policy| policy.algorithm = Algorithm::Ed25519,
        |policy| policy.combined = true,
        |policy| policy.secure = false,
    ] {
        let before = (world.secure_seen, world.ring.clone());
        change(&mut world.policy);
        world.settle().await;
        assert!(world.secure_seen > before.0 + 12, "something was validated");
        assert_ne!(world.ring, before.1);
    }
    assert!(world.ring.keys.is_empty() && world.parent.is_empty());
}
