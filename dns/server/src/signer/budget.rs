//! How many new signatures a client may cause: random names of one source must not starve the others.
//!
//! A signature costs some ten times what the rest of an answer does, and each name that does not exist
//! needs one of its own. What is kept costs nothing and is not counted, so a client notices the
//! budget only if it asks for what nobody asked for in days.
//!
//! What must stay true:
//! - the budget holds over every transport: an address that is not forged can ask for random names too;
//! - over budget is SERVFAIL, never an answer without its signatures, which would be bogus;
//! - a network that has used more than half of its own budget leaves the last quarter of the total to
//!   the others, so that a few that ask for all they can get do not use up the total.
//!
//! Refused: to wait until there is budget again. Waiting queries are memory that the client decides on.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::buckets::{Bucket, Buckets, Rate, Taken};

/// How many new signatures are made for clients. Rates are per second; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningLimits {
    /// For one client network (IPv4 /24, IPv6 /56).
    pub network: u32,
    /// For all clients together.
    pub all: u32,
    /// How many seconds' worth may be made at once; at least 1.
    pub burst: u32,
}

impl Default for SigningLimits {
    /// A resolver for ten thousand users with a cold cache, and a quarter of a processor in all.
    fn default() -> Self {
        Self {
            network: 500,
            all: 10_000,
            burst: 2,
        }
    }
}

/// Who pays for a new signature.
#[derive(Debug)]
pub(crate) enum Payer<'a> {
    /// It is made on the server's own account.
    Nobody,
    /// The network of this client, and all clients together.
    Client {
        limits: &'a SigningLimits,
        client: IpAddr,
        /// Time since some start.
        now: Duration,
    },
}

impl Payer<'_> {
    /// Whether one new signature may be made.
    pub(super) fn pays(&mut self, budget: &Budget) -> bool {
        match self {
            Self::Nobody => true,
            Self::Client { limits, client, now } => budget.take(limits, *client, *now),
        }
    }
}

/// The state of the budget: 16,384 networks in half a megabyte.
#[derive(Debug)]
pub(crate) struct Budget {
    networks: Buckets,
    /// Filled when it is first used.
    all: Mutex<Option<Bucket>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            networks: Buckets::new(64),
            all: Mutex::default(),
        }
    }
}

impl Budget {
    fn take(&self, limits: &SigningLimits, client: IpAddr, now: Duration) -> bool {
        let modest = match limits.network {
            0 => true,
            per_second => match self.networks.take(client, (), Rate::new(per_second, limits.burst), now) {
                Taken::Token { more_than_half } => more_than_half,
                Taken::Nothing { .. } => return false,
            },
        };
        if limits.all == 0 {
            return true;
        }
        let rate = Rate::new(limits.all, limits.burst);
        let reserve = if modest { 0 } else { rate.capacity() / 4 };
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all
            .get_or_insert_with(|| Bucket::full(0, now, rate))
            .take(now, rate, reserve);
        matches!(taken, Taken::Token { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SigningLimits = SigningLimits {
        network: 10,
        all: 40,
        burst: 1,
    };

    /// How many of so many new signatures each of these networks gets in a moment.
    fn ask(budget: &Budget, limits: &SigningLimits, networks: std::ops::Range<u8>, count: u32, now: u64) -> Vec<u32> {
        let of = |network| {
            let client = IpAddr::from([192, 0, network, 1]);
            let taken = (0..count).filter(|_| budget.take(limits, client, Duration::from_millis(now)));
            u32::try_from(taken.count()).expect("small")
        };
        networks.map(of).collect()
    }

    #[test]
    fn a_network_gets_its_rate_and_the_greedy_leave_a_quarter() {
        let budget = Budget::default();
        assert_eq!(ask(&budget, &LIMITS, 0..1, 100, 0), [10], "one network");
        // Twenty are left of which ten are for those who ask for little; the third has five of those.
        assert_eq!(ask(&budget, &LIMITS, 1..5, 100, 0), [10, 10, 5, 5]);
        assert_eq!(ask(&budget, &LIMITS, 5..8, 2, 0), [0, 0, 0], "the total is used up");
        assert_eq!(ask(&budget, &LIMITS, 0..1, 100, 500), [5], "and comes back");
    }

    #[test]
    fn no_limit_is_no_limit() {
        let none = SigningLimits {
            network: 0,
            all: 0,
            burst: 0,
        };
        assert_eq!(ask(&Budget::default(), &none, 0..1, 1000, 0), [1000]);
    }
}
