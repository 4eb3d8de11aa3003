//! From when to when a signature is valid, and how long it is served (RFC 4034 section 3.1.5).
//!
//! What must stay true:
//! - times are serial numbers (RFC 1982): nothing here fails in 2106;
//! - what is served is valid for clocks that are some minutes behind ours, and until every resolver has
//!   forgotten it, with two days to spare in which nothing need work;
//! - signatures made together do not run out together;
//! - a clock that jumps back finds signatures from the future, and serves none of them.
//!
//! Refused: to compare with the moment a signature was made. Two clocks would be needed to trust it,
//! and its inception says what matters.

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// How long before now a signature starts, for validators whose clocks are behind.
const SKEW: u32 = HOUR;
/// A kept signature that starts later than this before now was made by a clock that has gone back since.
const LEAST_AGE: u32 = 5 * 60;
/// How long a signature is valid at least, from now and beyond the set's TTL, before the jitter.
const LIFETIME: u32 = 7 * DAY;
/// By how much a lifetime is shortened at most.
const JITTER: u32 = DAY;
/// What must be left of a signature that is served, beyond the set's TTL.
const MARGIN: u32 = 2 * DAY;
/// How much earlier it is renewed when nobody waits for it.
const AHEAD: u32 = 12 * HOUR;
/// Resolvers keep nothing longer (RFC 8767 section 4 advises a week).
const LONGEST_TTL: u32 = 30 * DAY;

/// What a signature is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// To be sent now.
    Serve,
    /// To be there when it is asked for: renewed sooner, so that nobody waits.
    Keep,
}

/// When a signature is valid, in seconds since 1970 modulo 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Validity {
    pub(crate) inception: u32,
    pub(crate) expiration: u32,
}

impl Validity {
    /// For a signature made now over a set of that TTL. The jitter is the seed's: the digest of what is
    /// signed.
    pub(crate) fn starting(now: u32, ttl: u32, seed: &[u8]) -> Self {
        let number = seed
            .iter()
            .take(4)
            .fold(0_u32, |sum, octet| sum << 8 | u32::from(*octet));
        let lifetime = LIFETIME - number % JITTER + ttl.min(LONGEST_TTL);
        Self {
            inception: now.wrapping_sub(SKEW),
            expiration: now.wrapping_add(lifetime),
        }
    }

    /// Whether it may be used so, now, over a set of that TTL.
    pub(crate) fn is_good(self, now: u32, ttl: u32, purpose: Use) -> bool {
        let ahead = if purpose == Use::Keep { AHEAD } else { 0 };
        let needed = ttl.min(LONGEST_TTL) + MARGIN + ahead;
        let (age, left) = (now.wrapping_sub(self.inception), self.expiration.wrapping_sub(now));
        let is_ahead = |distance: u32| distance < 1 << 31;
        is_ahead(age) && age >= LEAST_AGE && is_ahead(left) && left >= needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_served_until_its_margin_and_never_from_the_future() {
        // Now, then the end of the numbers.
        for made in [1_800_000_000_u32, u32::MAX - DAY, u32::MAX, 0] {
            for ttl in [0, 30, DAY, u32::MAX] {
                let validity = Validity::starting(made, ttl, &[0; 32]);
                let held = ttl.min(LONGEST_TTL);
                for (seconds, purpose, expected) in [
                    (0, Use::Serve, true),
                    (5 * DAY, Use::Serve, true),
                    (5 * DAY + 1, Use::Serve, false),
                    (5 * DAY - AHEAD, Use::Keep, true),
                    (5 * DAY - AHEAD + 1, Use::Keep, false),
                    (8 * DAY + held, Use::Serve, false),
                    // The clock goes back.
                    (0_u32.wrapping_sub(50 * 60), Use::Serve, true),
                    (0_u32.wrapping_sub(56 * 60), Use::Serve, false),
                    (0_u32.wrapping_sub(DAY), Use::Serve, false),
                    (0_u32.wrapping_sub(365 * DAY), Use::Serve, false),
                ] {
                    let now = made.wrapping_add(seconds);
                    assert_eq!(
                        validity.is_good(now, ttl, purpose),
                        expected,
                        "{made} {ttl} {seconds} {purpose:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn lifetimes_differ_by_less_than_a_day_and_only_by_the_seed() {
        let of = |seed: u8| Validity::starting(1_800_000_000, 30, &[seed; 32]);
        assert_eq!(of(7), of(7));
        let lifetimes: std::collections::BTreeSet<_> =
            (0..=255).map(|seed| of(seed).expiration - 1_800_000_000).collect();
        assert!(lifetimes.len() > 200);
        assert!(
            lifetimes
                .iter()
                .all(|lifetime| (6 * DAY..=7 * DAY + 30).contains(lifetime))
        );
    }
}
