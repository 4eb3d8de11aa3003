//! Response rate limiting: a forged source address must not be flooded with our replies.
//!
//! Replies over UDP are counted per client network (IPv4 /24, IPv6 /56) and per what they say: this
//! name, the negatives of this zone, errors; and all together, before any work is done. Each count is a
//! token bucket. An empty bucket drops replies, and lets every `slip`-th through as an empty reply
//! with TC, so that a real client behind the forged address comes over TCP, where it is not limited.
//!
//! What must stay true:
//! - the decision about one bucket is a pure function with time as a parameter;
//! - one limit for all threads: buckets are in shards, each behind its own lock, held for nanoseconds
//!   and never across an await;
//! - memory is fixed from the start, whatever comes in: a full set of buckets gives away the fullest
//!   one, which is the one whose loss changes least, since an unknown client's bucket is full. A flood
//!   of forged sources therefore cannot wash out the buckets that hold it back;
//! - where a bucket lies depends on a random key, so that nobody can choose to collide with a victim.
//!
//! Refused: limits per address (whoever forges addresses forges many of one network), and a map that
//! grows (the attacker would decide how far).

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use meridian_dns_core::{Answer, DnsName, FindingKind};

/// How many replies a client network gets over UDP. Rates are per second; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// The same name with an answer.
    pub answers: u32,
    /// Negative answers of the same zone.
    pub negatives: u32,
    /// Errors of any kind.
    pub errors: u32,
    /// Replies of any kind: the work done for one client.
    pub all: u32,
    /// How many seconds' worth a client that was silent may get at once; at least 1.
    pub burst: u32,
    /// Every how many-th reply held back is sent empty with TC; 0 sends none of them, 1 all.
    pub slip: u16,
    /// Clients in these networks are not limited.
    pub exempt: Vec<IpNet>,
}

impl Default for RateLimits {
    /// What a resolver for some ten thousand users needs with caches that are cold, and not more.
    fn default() -> Self {
        Self {
            answers: 20,
            negatives: 20,
            errors: 10,
            all: 2000,
            burst: 2,
            slip: 2,
            exempt: Vec::new(),
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// Anything.
    Client,
    /// Answers and referrals of this name.
    Name(&'a DnsName),
    /// Negative answers of this zone.
    NegativesOf(&'a DnsName),
    /// Errors.
    Errors,
}

impl<'a> Subject<'a> {
    /// What an answer is counted as. Names that were made up below a wildcard or a DNAME, or below a
    /// delegation, count as one, or a flood of them would never find an empty bucket.
    pub(crate) fn of(answer: &'a Answer) -> Self {
        let (Some(first), Some(last)) = (answer.findings.first(), answer.findings.last()) else {
            return Self::Errors;
        };
        match (&first.wildcard, first.kind, last.kind) {
            (_, _, FindingKind::NoData | FindingKind::NameError) if answer.answers.is_empty() => {
                Self::NegativesOf(&last.zone)
            }
            (Some(wildcard), ..) => Self::Name(wildcard),
            // The first set is the DNAME.
            (None, FindingKind::SubtreeAlias, _) => {
                let owner = answer.answers.first().map_or(&first.name, |set| &set.name);
                Self::Name(owner)
            }
            (None, ..) => Self::Name(&first.name),
        }
    }

    fn rate(self, limits: &RateLimits) -> u32 {
        match self {
            Self::Client => limits.all,
            Self::Name(_) => limits.answers,
            Self::NegativesOf(_) => limits.negatives,
            Self::Errors => limits.errors,
        }
    }
}

/// What becomes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Send,
    /// Send it empty, with TC.
    Slip,
    Drop,
}

/// Thousandths of a reply, so that a slow rate gains something every millisecond.
const TOKEN: u64 = 1000;

/// One token bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Whose it is; 0 is nobody's.
    owner: u64,
    /// Milliseconds since the limiter's start.
    at: u64,
    tokens: u64,
    held_back: u16,
}

impl Bucket {
    fn full(owner: u64, at: u64, rate: &Rate) -> Self {
        Self {
            owner,
            at,
            tokens: rate.capacity,
            held_back: 0,
        }
    }

    /// The tokens of that moment. A clock that goes back adds none.
    fn tokens_at(&self, now: u64, rate: &Rate) -> u64 {
        let gained = now.saturating_sub(self.at).saturating_mul(rate.per_second);
        self.tokens.saturating_add(gained).min(rate.capacity)
    }

    fn take(&mut self, now: u64, rate: &Rate) -> Decision {
        self.tokens = self.tokens_at(now, rate);
        self.at = self.at.max(now);
        if self.tokens >= TOKEN {
            self.tokens -= TOKEN;
            return Decision::Send;
        }
        self.held_back = self.held_back.wrapping_add(1);
        if rate.slip > 0 && self.held_back.is_multiple_of(rate.slip) {
            Decision::Slip
        } else {
            Decision::Drop
        }
    }
}

struct Rate {
    /// Replies per second, and so thousandths per millisecond.
    per_second: u64,
    /// In thousandths.
    capacity: u64,
    slip: u16,
}

/// Buckets that a key can be in.
const WAYS: usize = 4;
const SETS_PER_SHARD: usize = 256;
const SHARDS: usize = 64;

type Set = [Bucket; WAYS];

/// The state of the limit: 65,536 buckets in two megabytes.
#[derive(Debug)]
pub struct RateLimiter {
    shards: Vec<Mutex<Vec<Set>>>,
    key: RandomState,
}

impl Default for RateLimiter {
    fn default() -> Self {
        let shard = || Mutex::new(vec![Set::default(); SETS_PER_SHARD]);
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            key: RandomState::new(),
        }
    }
}

impl RateLimiter {
    /// Counts one reply to this client about this subject.
    pub(crate) fn decide(&self, limits: &RateLimits, client: IpAddr, subject: Subject<'_>, now: Duration) -> Decision {
        let per_second = subject.rate(limits);
        if per_second == 0 || limits.exempt.iter().any(|network| network.contains(&client)) {
            return Decision::Send;
        }
        let rate = Rate {
            per_second: u64::from(per_second),
            capacity: u64::from(per_second) * u64::from(limits.burst.max(1)) * TOKEN,
            slip: limits.slip,
        };
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let owner = self.owner(client, subject);
        let (shard, set) = place(owner);
        // A thread that panicked while it held a count has not harmed the others' counts.
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        bucket(&mut shard[set], owner, now, &rate).take(now, &rate)
    }

    fn owner(&self, client: IpAddr, subject: Subject<'_>) -> u64 {
        let network = match client {
            IpAddr::V4(v4) => u128::from(u32::from(v4) >> 8),
            // Not to be confused with an IPv4 network: the highest bit is never that of a /56.
            IpAddr::V6(v6) => u128::from(v6) >> 72 | 1 << 127,
        };
        let (kind, name) = match subject {
            Subject::Client => (0_u8, ""),
            Subject::Name(name) => (1, name.as_str()),
            Subject::NegativesOf(zone) => (2, zone.as_str()),
            Subject::Errors => (3, ""),
        };
        self.key.hash_one((network, kind, name)).max(1)
    }
}

fn place(owner: u64) -> (usize, usize) {
    let part = |number: u64, count: usize| usize::try_from(number).unwrap_or(0) % count;
    (part(owner & 0xffff, SHARDS), part(owner >> 16 & 0xffff, SETS_PER_SHARD))
}

/// The owner's bucket in the set, or the one that it takes over.
fn bucket<'a>(set: &'a mut Set, owner: u64, now: u64, rate: &Rate) -> &'a mut Bucket {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(answers: u32, slip: u16) -> RateLimits {
        RateLimits {
            answers,
            slip,
            burst: 1,
            ..RateLimits::default()
        }
    }

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).expect("a valid name")
    }

    /// How many of so many questions in a moment are answered, sent empty, dropped.
    fn burst(limiter: &RateLimiter, limits: &RateLimits, client: [u8; 4], count: u32, now: u64) -> [u32; 3] {
        let (mut sums, web) = ([0; 3], name("web.example.test"));
        for _ in 0..count {
            let decision = limiter.decide(limits, client.into(), Subject::Name(&web), Duration::from_millis(now));
            sums[match decision {
                Decision::Send => 0,
                Decision::Slip => 1,
                Decision::Drop => 2,
            }] += 1;
        }
        sums
    }

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let (limiter, limits) = (RateLimiter::default(), limits(10, 2));
        assert_eq!(burst(&limiter, &limits, [192, 0, 2, 1], 30, 0), [10, 10, 10]);
        assert_eq!(
            burst(&limiter, &limits, [192, 0, 2, 200], 2, 0),
            [0, 1, 1],
            "the same /24"
        );
        assert_eq!(
            burst(&limiter, &limits, [192, 0, 3, 1], 10, 0),
            [10, 0, 0],
            "another /24"
        );
        assert_eq!(burst(&limiter, &limits, [192, 0, 2, 1], 10, 500), [5, 2, 3]);
        assert_eq!(
            burst(&limiter, &limits, [192, 0, 2, 1], 30, 60_000)[0],
            10,
            "no more than the burst"
        );
        assert_eq!(
            burst(&limiter, &limits, [192, 0, 2, 1], 5, 0)[0],
            0,
            "a clock that goes back gives nothing"
        );
    }

    #[test]
    fn slip_says_how_many_are_sent_empty() {
        for (slip, expected) in [(0, [1, 0, 100]), (1, [1, 100, 0]), (2, [1, 50, 50]), (10, [1, 10, 90])] {
            let limiter = RateLimiter::default();
            assert_eq!(burst(&limiter, &limits(1, slip), [192, 0, 2, 1], 101, 0), expected);
        }
    }

    #[test]
    fn subjects_and_families_are_counted_apart() {
        let (limiter, limits) = (RateLimiter::default(), limits(1, 0));
        let limits = RateLimits {
            negatives: 1,
            errors: 1,
            all: 1,
            ..limits
        };
        let (a, b) = (name("a.test"), name("b.test"));
        let subjects = [
            Subject::Client,
            Subject::Name(&a),
            Subject::Name(&b),
            Subject::NegativesOf(&a),
            Subject::NegativesOf(&b),
            Subject::Errors,
        ];
        let clients: [IpAddr; 3] = ["0.0.0.1", "::1", "2001:db8::1"].map(|text| text.parse().expect("an address"));
        for expected in [Decision::Send, Decision::Drop] {
            for client in clients {
                for subject in subjects {
                    let decision = limiter.decide(&limits, client, subject, Duration::ZERO);
                    assert_eq!(decision, expected, "{client} {subject:?}");
                }
            }
        }
        // One /56.
        let near = "2001:db8:0:ff::1".parse().expect("an address");
        assert_eq!(
            limiter.decide(&limits, near, Subject::Errors, Duration::ZERO),
            Decision::Drop
        );
        let far = "2001:db8:0:100::1".parse().expect("an address");
        assert_eq!(
            limiter.decide(&limits, far, Subject::Errors, Duration::ZERO),
            Decision::Send
        );
    }

    #[test]
    fn a_rate_of_zero_and_exempt_networks_are_not_limited() {
        let limiter = RateLimiter::default();
        assert_eq!(burst(&limiter, &limits(0, 2), [192, 0, 2, 1], 1000, 0), [1000, 0, 0]);
        let mut limits = limits(1, 2);
        limits.exempt = vec!["192.0.2.0/28".parse().expect("a network")];
        assert_eq!(burst(&limiter, &limits, [192, 0, 2, 1], 1000, 0), [1000, 0, 0]);
        assert_eq!(burst(&limiter, &limits, [192, 0, 2, 99], 1000, 0)[0], 1);
    }

    #[test]
    fn many_forged_sources_do_not_wash_out_the_victims_bucket() {
        let (limiter, limits) = (RateLimiter::default(), limits(10, 0));
        let mut answered = 0;
        for round in 0..300_000_u32 {
            // Other sources, each once; the victim every hundredth time.
            let [_, b, c, d] = round.to_be_bytes();
            burst(&limiter, &limits, [11 + b, c, d, 1], 1, 0);
            if round % 100 == 0 {
                answered += burst(&limiter, &limits, [192, 0, 2, 1], 1, 0)[0];
            }
        }
        assert!((10..=20).contains(&answered), "{answered} of 3000");
    }
}
