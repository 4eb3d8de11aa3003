//! Response rate limiting: a forged source address must not be flooded with our replies.
//!
//! Replies over UDP are counted per client network and per what they say: this name, the negatives of
//! this zone, errors; and all together, before any work is done. Each count is one of
//! [`crate::buckets`]. An empty bucket drops replies, and lets every `slip`-th through as an empty
//! reply with TC, so that a real client behind the forged address comes over TCP, where it is not
//! limited.
//!
//! What must stay true: the answer that is counted is the one that was found, not the one that is sent:
//! a compact denial says NOERROR of a name that does not exist, and counts as a negative all the same.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use meridian_dns_core::{Answer, DnsName, FindingKind};

use crate::buckets::{Buckets, Rate, Taken};

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

impl Decision {
    fn of(taken: Taken, slip: u16) -> Self {
        match taken {
            Taken::Token { .. } => Self::Send,
            Taken::Nothing { times } if slip > 0 && times.is_multiple_of(slip) => Self::Slip,
            Taken::Nothing { .. } => Self::Drop,
        }
    }
}

/// The state of the limit: 65,536 buckets in two megabytes.
#[derive(Debug)]
pub struct RateLimiter {
    buckets: Buckets,
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self {
            buckets: Buckets::new(256),
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
        let subject = match subject {
            Subject::Client => (0_u8, ""),
            Subject::Name(name) => (1, name.as_str()),
            Subject::NegativesOf(zone) => (2, zone.as_str()),
            Subject::Errors => (3, ""),
        };
        let rate = Rate::new(per_second, limits.burst);
        Decision::of(self.buckets.take(client, subject, rate, now), limits.slip)
    }
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
