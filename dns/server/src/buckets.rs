//! Token buckets per client network (IPv4 /24, IPv6 /56): one count for all threads, in fixed memory.
//!
//! What must stay true:
//! - the decision about one bucket is a pure function with time as a parameter;
//! - one count for all threads: buckets are in shards, each behind its own lock, held for nanoseconds
//!   and never across an await;
//! - memory is fixed from the start, whatever comes in: a full set of buckets gives away the fullest
//!   one, which is the one whose loss changes least, since an unknown client's bucket is full. A flood
//!   of forged sources therefore cannot wash out the buckets that hold it back;
//! - where a bucket lies depends on a random key, so that nobody can choose to collide with a victim.
//!
//! Refused: buckets per address (whoever forges addresses forges many of one network), and a map that
//! grows (the attacker would decide how far).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Thousandths of a token, so that a slow rate gains something every millisecond.
const TOKEN: u64 = 1000;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Tokens per second, and so thousandths per millisecond.
    per_second: u64,
    /// In thousandths.
    capacity: u64,
}

impl Rate {
    /// So many tokens a second, and room for so many seconds' worth, at least one.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: u64::from(per_second),
            capacity: u64::from(per_second) * u64::from(burst.max(1)) * TOKEN,
        }
    }

    /// What a full bucket holds, in thousandths of a token.
    pub(crate) fn capacity(self) -> u64 {
        self.capacity
    }
}

/// What a bucket gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A token.
    Token {
        /// More than half of what it can hold was there before.
        more_than_half: bool,
    },
    /// It was empty.
    Nothing {
        /// How many times it has been found empty, modulo 2^16.
        times: u16,
    },
}

/// One token bucket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    /// Whose it is; 0 is nobody's.
    owner: u64,
    /// Milliseconds since some start.
    at: u64,
    tokens: u64,
    times_empty: u16,
}

impl Bucket {
    /// One that is full.
    pub(crate) fn full(owner: u64, now: Duration, rate: Rate) -> Self {
        Self {
            owner,
            at: milliseconds(now),
            tokens: rate.capacity,
            times_empty: 0,
        }
    }

    /// The tokens of that moment. A clock that goes back adds none.
    fn tokens_at(&self, now: Duration, rate: Rate) -> u64 {
        let gained = milliseconds(now)
            .saturating_sub(self.at)
            .saturating_mul(rate.per_second);
        self.tokens.saturating_add(gained).min(rate.capacity)
    }

    /// Takes a token, if that leaves so many thousandths.
    pub(crate) fn take(&mut self, now: Duration, rate: Rate, leaving: u64) -> Taken {
        self.tokens = self.tokens_at(now, rate);
        self.at = self.at.max(milliseconds(now));
        if self.tokens >= leaving.saturating_add(TOKEN) {
            let more_than_half = self.tokens > rate.capacity / 2;
            self.tokens -= TOKEN;
            return Taken::Token { more_than_half };
        }
        self.times_empty = self.times_empty.wrapping_add(1);
        Taken::Nothing {
            times: self.times_empty,
        }
    }
}

fn milliseconds(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Buckets that a key can be in.
const WAYS: usize = 4;
const SHARDS: usize = 64;

type Set = [Bucket; WAYS];

/// All buckets of one kind of count.
#[derive(Debug)]
pub(crate) struct Buckets {
    shards: Vec<Mutex<Vec<Set>>>,
    key: RandomState,
}

impl Buckets {
    /// With so many sets in each of 64 shards; a set has four buckets of 32 octets.
    pub(crate) fn new(sets_per_shard: usize) -> Self {
        let shard = || Mutex::new(vec![Set::default(); sets_per_shard.max(1)]);
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            key: RandomState::new(),
        }
    }

    /// Takes a token from the bucket of the client's network and of this subject.
    pub(crate) fn take(&self, client: IpAddr, subject: impl Hash, rate: Rate, now: Duration) -> Taken {
        let network = match client {
            IpAddr::V4(v4) => u128::from(u32::from(v4) >> 8),
            // Not to be confused with an IPv4 network: the highest bit is never that of a /56.
            IpAddr::V6(v6) => u128::from(v6) >> 72 | 1 << 127,
        };
        let owner = self.key.hash_one((network, subject)).max(1);
        let part = |number: u64, count: usize| usize::try_from(number).unwrap_or(0) % count;
        // A thread that panicked while it held a count has not harmed the others' counts.
        let shard = &self.shards[part(owner & 0xffff, SHARDS)];
        let mut sets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let set = part(owner >> 16 & 0xffff, sets.len());
        bucket(&mut sets[set], owner, now, rate).take(now, rate, 0)
    }
}

/// The owner's bucket in the set, or the one that it takes over.
fn bucket(set: &mut Set, owner: u64, now: Duration, rate: Rate) -> &mut Bucket {
    let place = set.iter().position(|bucket| bucket.owner == owner);
    let place = place.unwrap_or_else(|| {
        let spare = |bucket: &Bucket| {
            if bucket.owner == 0 {
                u64::MAX
            } else {
                bucket.tokens_at(now, rate)
            }
        };
        let fullest = (0..WAYS).max_by_key(|place| spare(&set[*place])).unwrap_or(0);
        set[fullest] = Bucket::full(owner, now, rate);
        fullest
    });
    &mut set[place]
}
