//! When to probe a cluster and what the results mean.
//!
//! Two things are told apart: whether a cluster's API answers (its *control plane*) and whether its
//! load balancers take connections (its *data path*). Only the second takes a site out of the answers.
//! The first sign of trouble with the API starts rounds of probes of the data path at once.
//!
//! A state changes only after a number of *contrary* results in a row. KubeFed counted results of any
//! kind, so a cluster healthy for long was declared dead by a single failure; the counter here goes back
//! to zero with every result that agrees with the state.
//!
//! A round is several independent connects and fails only if all fail; two failed rounds are a verdict
//! and one good round ends it. With a round every 1.5 s and a limit of 1.2 s per connect a dead site is
//! out within 5 s, while 10 % packet loss does not add up to six lost connects in a row. A simulation of
//! the rounds (`tests/health_simulation.rs`) shows both.
//!
//! A site that comes and goes is worse than one that is gone: each change moves its clients. After some
//! changes within a window it must be good for longer before it is believed.

use std::collections::VecDeque;
use std::time::Duration;

use meridian_dns_core::Liveness;

use crate::{BreakerSettings, Timestamp};

/// Periods, limits and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// How often the API server is asked.
    pub api_interval: Duration,
    /// Limit of one request.
    pub api_limit: Duration,
    /// Failed requests in a row before the cluster is called offline.
    pub api_fall: u32,
    /// How often a round of probes starts while rounds are wanted.
    pub round_interval: Duration,
    /// Limit of one connect.
    pub connect_limit: Duration,
    /// Independent connects to each target in a round.
    pub connects: u32,
    /// Most targets in a round.
    pub max_targets: usize,
    /// Failed rounds in a row before the site is dead.
    pub failed_rounds: u32,
    /// Good rounds in a row before it is alive again.
    pub good_rounds: u32,
    /// A request that takes this long is a first sign of trouble, although it may still succeed: a server
    /// that hangs would otherwise cost the whole of `api_limit` before the first probe.
    pub api_slow: Duration,
    /// Changes of the verdict within `flap_window` that make a site a flapping one.
    pub flap_changes: usize,
    /// How long a change of the verdict counts.
    pub flap_window: Duration,
    /// Good rounds in a row before a flapping site is alive again.
    pub flap_good_rounds: u32,
    /// What is held back.
    pub breaker: BreakerSettings,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            api_interval: Duration::from_secs(2),
            api_limit: Duration::from_secs(1),
            api_fall: 3,
            round_interval: Duration::from_millis(1500),
            connect_limit: Duration::from_millis(1200),
            connects: 3,
            max_targets: 16,
            failed_rounds: 2,
            good_rounds: 1,
            api_slow: Duration::from_millis(250),
            flap_changes: 4,
            flap_window: Duration::from_secs(600),
            flap_good_rounds: 20,
            breaker: BreakerSettings::default(),
        }
    }
}

/// A state with two values that only a run of contrary results changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Steady {
    good: bool,
    contrary: u32,
    since: Timestamp,
}

impl Steady {
    /// Takes a result; true if the state changed.
    fn observe(&mut self, good: bool, fall: u32, rise: u32, now: Timestamp) -> bool {
        if good == self.good {
            self.contrary = 0;
            return false;
        }
        self.contrary += 1;
        let changed = self.contrary >= if good { rise } else { fall };
        if changed {
            *self = Self {
                good,
                contrary: 0,
                since: now,
            };
        }
        changed
    }
}

/// Health of one cluster. Starts as reachable and alive: unknown is not dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterHealth {
    api: Steady,
    data_path: Steady,
    suspicion: Option<String>,
    /// When the verdict on the data path changed lately.
    changes: VecDeque<Timestamp>,
    flapping: bool,
}

impl ClusterHealth {
    /// A cluster nothing is known of.
    pub fn new(now: Timestamp) -> Self {
        let good = Steady {
            good: true,
            contrary: 0,
            since: now,
        };
        Self {
            api: good.clone(),
            data_path: good,
            suspicion: None,
            changes: VecDeque::new(),
            flapping: false,
        }
    }

    /// A cluster of which only an earlier verdict on its data path is known.
    pub fn with_verdict(liveness: Liveness, now: Timestamp) -> Self {
        let mut health = Self::new(now);
        health.data_path.good = liveness == Liveness::Alive;
        health
    }

    /// A request to the API server ended. True if the cluster went offline or came back.
    pub fn api_result(&mut self, result: Result<(), String>, settings: &HealthSettings, now: Timestamp) -> bool {
        let good = result.is_ok();
        self.suspicion = result.err();
        self.api.observe(good, settings.api_fall, 1, now)
    }

    /// A watch broke, or another request failed: reason enough to look at the data path, not to call the
    /// cluster offline.
    pub fn suspect(&mut self, reason: String) {
        self.suspicion.get_or_insert(reason);
    }

    /// A round of probes ended; `connected` if any connect succeeded. True if the verdict changed.
    pub fn round_result(&mut self, connected: bool, settings: &HealthSettings, now: Timestamp) -> bool {
        self.changes.retain(|at| at.is_within(settings.flap_window, now));
        self.flapping = self.changes.len() >= settings.flap_changes;
        let rise = if self.flapping {
            settings.flap_good_rounds
        } else {
            settings.good_rounds
        };
        let changed = self.data_path.observe(connected, settings.failed_rounds, rise, now);
        if changed {
            self.changes.push_back(now);
        }
        changed
    }

    /// Whether the site's verdict changed so often lately that it must be good for longer before it counts.
    pub fn flapping(&self) -> bool {
        self.flapping
    }

    /// Whether rounds of probes are wanted now: while the API is in trouble, while the site is dead, and
    /// until a run of failed rounds has ended one way or the other.
    pub fn wants_rounds(&self) -> bool {
        self.suspicion.is_some() || !self.data_path.good || self.data_path.contrary > 0
    }

    /// Whether the API is called reachable.
    pub fn reachable(&self) -> bool {
        self.api.good
    }

    /// What troubles the API now, if anything does.
    pub fn trouble(&self) -> Option<&str> {
        self.suspicion.as_deref()
    }

    /// The verdict that answers consult.
    pub fn liveness(&self) -> Liveness {
        if self.data_path.good {
            Liveness::Alive
        } else {
            Liveness::Dead
        }
    }

    /// Since when the data path has its verdict.
    pub fn data_path_since(&self) -> Timestamp {
        self.data_path.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> HealthSettings {
        HealthSettings::default()
    }

    fn down() -> Result<(), String> {
        Err("refused".to_owned())
    }

    /// KubeFed's defect (its issue 1496): healthy passes fed the failure counter.
    #[test]
    fn a_long_healthy_run_does_not_make_one_failure_a_verdict() {
        let mut health = ClusterHealth::new(Timestamp(0));
        for second in 0..100 {
            assert!(!health.api_result(Ok(()), &settings(), Timestamp(second)));
        }
        assert!(!health.api_result(down(), &settings(), Timestamp(100)));
        assert!(health.reachable());
        assert!(!health.api_result(down(), &settings(), Timestamp(102)));
        assert!(health.api_result(down(), &settings(), Timestamp(104)));
        assert!(!health.reachable());
        assert!(health.api_result(Ok(()), &settings(), Timestamp(106)) && health.reachable());
    }

    #[test]
    fn failures_with_a_success_between_are_no_verdict() {
        let mut health = ClusterHealth::new(Timestamp(0));
        for at in 0..50 {
            assert!(!health.round_result(at % 2 == 0, &settings(), Timestamp(at)));
        }
        assert_eq!(health.liveness(), Liveness::Alive);
    }

    #[test]
    fn losing_the_api_starts_rounds_and_withdraws_nothing() {
        let mut health = ClusterHealth::new(Timestamp(0));
        assert!(!health.wants_rounds());
        for at in 0..10 {
            health.api_result(down(), &settings(), Timestamp(at));
            assert!(health.wants_rounds(), "from the first failure on");
            health.round_result(true, &settings(), Timestamp(at));
        }
        assert_eq!((health.reachable(), health.liveness()), (false, Liveness::Alive));
        health.api_result(Ok(()), &settings(), Timestamp(20));
        assert!(!health.wants_rounds());
    }

    #[test]
    fn two_failed_rounds_are_a_verdict_and_one_good_round_ends_it() {
        let mut health = ClusterHealth::new(Timestamp(0));
        health.suspect("watch ended".to_owned());
        assert!(!health.round_result(false, &settings(), Timestamp(1)));
        assert!(health.round_result(false, &settings(), Timestamp(2)));
        assert_eq!(
            (health.liveness(), health.data_path_since()),
            (Liveness::Dead, Timestamp(2))
        );
        // The API is back, the load balancer is not: rounds go on.
        health.api_result(Ok(()), &settings(), Timestamp(3));
        assert!(health.wants_rounds());
        assert!(health.round_result(true, &settings(), Timestamp(4)));
        assert_eq!(health.liveness(), Liveness::Alive);
        assert!(!health.wants_rounds());
    }

    #[test]
    fn a_site_that_comes_and_goes_must_be_good_for_longer() {
        let mut health = ClusterHealth::new(Timestamp(0));
        let mut at = 0;
        let mut rounds = |health: &mut ClusterHealth, connected: bool, count: u32| {
            for _ in 0..count {
                at += 1500;
                health.round_result(connected, &settings(), Timestamp(at));
            }
            health.liveness()
        };
        for _ in 0..2 {
            assert_eq!(rounds(&mut health, false, 2), Liveness::Dead);
            assert_eq!(rounds(&mut health, true, 1), Liveness::Alive);
        }
        // Dying is believed as before; coming back is not.
        assert_eq!(rounds(&mut health, false, 2), Liveness::Dead);
        assert_eq!(rounds(&mut health, true, 19), Liveness::Dead);
        assert!(health.flapping());
        assert_eq!(rounds(&mut health, true, 1), Liveness::Alive);
        // After a quiet window it is a site like any other.
        rounds(&mut health, true, 400);
        assert!(!health.flapping());
        assert_eq!(rounds(&mut health, false, 2), Liveness::Dead);
        assert_eq!(rounds(&mut health, true, 1), Liveness::Alive);
    }

    #[test]
    fn a_started_run_of_failures_is_followed_to_its_end() {
        let mut health = ClusterHealth::new(Timestamp(0));
        health.suspect("watch ended".to_owned());
        health.round_result(false, &settings(), Timestamp(1));
        health.api_result(Ok(()), &settings(), Timestamp(2));
        assert!(health.wants_rounds());
    }
}
