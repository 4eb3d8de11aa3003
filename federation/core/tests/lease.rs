//! Who leads: tables of single decisions, and a model of several candidates with clocks of their own.

use std::time::Duration;

use meridian_federation_core::{Candidate, Lease, LeaseAction, LeaseIdentity, LeaseTimes, LeaseWrite};
use proptest::prelude::*;

fn candidate(name: &str, session: &str) -> Candidate {
    let identity = LeaseIdentity {
        name: name.to_owned(),
        session: session.to_owned(),
    };
    Candidate::new(identity, LeaseTimes::default())
}

fn lease(holder: &str, version: &str) -> Lease {
    Lease {
        holder: holder.to_owned(),
        duration: Duration::from_secs(15),
        transitions: 3,
        version: version.to_owned(),
    }
}

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// In a few words.
fn told(action: &LeaseAction) -> String {
    let of = |write: &LeaseWrite| format!("{} {} {}", write.holder, write.transitions, write.acquires);
    match action {
        LeaseAction::Read => "read".to_owned(),
        LeaseAction::Create(write) => format!("create {}", of(write)),
        LeaseAction::Update(version, write) => format!("update {version} {}", of(write)),
        LeaseAction::Wait(until) => format!("wait {}", until.as_secs()),
    }
}

/// A candidate `us_2` sees this at second 100; what it does at that second and later.
#[track_caller]
fn check(seen: Option<Lease>, expected: &[(u64, &str)]) {
    let mut candidate = candidate("us", "2");
    candidate.seen(seen, at(100));
    let found: Vec<_> = expected
        .iter()
        .map(|(second, _)| (*second, told(&candidate.next(at(*second)))))
        .collect();
    let found: Vec<_> = found.iter().map(|(second, told)| (*second, told.as_str())).collect();
    assert_eq!(found, expected);
    assert!(!candidate.leads(at(100)));
}

#[test]
fn a_lease_is_taken_when_nobody_holds_it_and_waited_for_otherwise() {
    assert_eq!(candidate("us", "2").next(at(7)), LeaseAction::Read);
    check(None, &[(100, "create us_2 0 true")]);
    check(Some(lease("", "9")), &[(100, "update 9 us_2 4 true")]);
    check(
        Some(lease("other_1", "9")),
        &[(100, "wait 102"), (102, "read"), (115, "update 9 us_2 4 true")],
    );
    // The same replica, started again.
    check(Some(lease("us_1", "9")), &[(100, "update 9 us_2 4 true")]);
    // Names of others that look alike.
    for other in ["us", "us2_1", "u_s_1"] {
        check(Some(lease(other, "9")), &[(101, "wait 102")]);
    }
    // An answer that was lost: the write was done all the same.
    check(Some(lease("us_2", "9")), &[(100, "update 9 us_2 3 false")]);
}

#[test]
fn a_version_that_stays_is_waited_for_from_its_first_sight() {
    let mut candidate = candidate("us", "1");
    for second in [100, 102, 104, 114] {
        candidate.seen(Some(lease("other_1", "9")), at(second));
    }
    assert_eq!(told(&candidate.next(at(114))), "wait 115");
    candidate.seen(Some(lease("other_1", "10")), at(114));
    assert_eq!(told(&candidate.next(at(128))), "read");
    assert_eq!(told(&candidate.next(at(129))), "update 10 us_1 4 true");
}

fn leading() -> Candidate {
    let mut candidate = candidate("us", "1");
    candidate.seen(None, at(100));
    let LeaseAction::Create(write) = candidate.next(at(100)) else {
        panic!("it creates the lease");
    };
    candidate.written(&write, "1".to_owned(), at(100));
    candidate
}

#[test]
fn the_leader_renews_in_time_or_leads_no_more() {
    let mut candidate = leading();
    assert!(candidate.leads(at(100)) && candidate.leads(at(109)) && !candidate.leads(at(110)));
    assert_eq!(told(&candidate.next(at(101))), "wait 102");
    assert_eq!(told(&candidate.next(at(102))), "update 1 us_1 0 false");
    // The API server is silent.
    candidate.failed(at(107));
    assert_eq!(told(&candidate.next(at(107))), "wait 109");
    assert_eq!(told(&candidate.next(at(109))), "read");
    assert!(candidate.leads(at(109)) && !candidate.leads(at(110)));
    // It is back; nobody took the lease meanwhile.
    candidate.seen(Some(lease("us_1", "1")), at(112));
    assert!(!candidate.leads(at(112)));
    assert_eq!(told(&candidate.next(at(112))), "update 1 us_1 3 false");
}

#[test]
fn a_leader_that_sees_another_holder_stops_at_once() {
    let mut candidate = leading();
    candidate.overtaken();
    assert_eq!(candidate.next(at(103)), LeaseAction::Read);
    candidate.seen(Some(lease("other_1", "5")), at(103));
    assert!(!candidate.leads(at(103)));
    // Also another session under its own name, which it does not fight.
    let mut candidate = leading();
    candidate.seen(Some(lease("us_9", "5")), at(103));
    assert!(!candidate.leads(at(103)));
    assert_eq!(told(&candidate.next(at(104))), "wait 105");
}

#[test]
fn a_leader_that_ends_lets_the_lease_go() {
    let mut candidate = leading();
    let (version, write) = candidate.let_go(at(101)).expect("it leads");
    assert_eq!((version.as_str(), write.holder.as_str()), ("1", ""));
    assert_eq!(candidate.let_go(at(110)), None);
    candidate.written(&write, "2".to_owned(), at(101));
    assert!(!candidate.leads(at(101)) && candidate.holder().is_none());
}

/// A request under way: when it reaches the API server, and when its answer arrives, in real milliseconds.
struct Request {
    action: LeaseAction,
    sent: Duration,
    lands: u64,
    returns: Option<u64>,
    result: Option<Result<Option<Lease>, ()>>,
}

struct Process {
    candidate: Candidate,
    /// Where its clock started, and how fast it runs, in per cent.
    clock: (u64, u64),
    request: Option<Request>,
    busy_until: u64,
}

impl Process {
    fn clock(&self, real: u64) -> Duration {
        Duration::from_millis(self.clock.0 + real * self.clock.1 / 100)
    }
}

#[derive(Debug, Clone)]
struct Dice {
    delays: Vec<(u16, u16, u8, u16)>,
}

/// The API server: one object with a version, and preconditions.
#[derive(Default)]
struct Server {
    lease: Option<Lease>,
    version: u32,
}

impl Server {
    fn take(&mut self, action: &LeaseAction) -> Result<Option<Lease>, ()> {
        let write = match action {
            LeaseAction::Read | LeaseAction::Wait(_) => return Ok(self.lease.clone()),
            LeaseAction::Create(write) if self.lease.is_none() => write,
            LeaseAction::Update(version, write)
                if self.lease.as_ref().is_some_and(|lease| lease.version == *version) =>
            {
                write
            }
            _ => return Err(()),
        };
        self.version += 1;
        self.lease = Some(Lease {
            holder: write.holder.clone(),
            duration: write.duration,
            transitions: write.transitions,
            version: self.version.to_string(),
        });
        Ok(self.lease.clone())
    }
}

/// Runs the candidates for a while of real time in steps of 50 ms; `ever` is who has led.
fn simulate(clocks: &[(u64, u64)], dice: &Dice, milliseconds: u64) -> Result<Vec<usize>, TestCaseError> {
    let mut server = Server::default();
    let mut processes: Vec<_> = clocks
        .iter()
        .enumerate()
        .map(|(index, clock)| Process {
            candidate: candidate(&index.to_string(), "1"),
            clock: *clock,
            request: None,
            busy_until: 0,
        })
        .collect();
    let mut throws = dice.delays.iter().cycle();
    let mut ever = Vec::new();
    for real in (0..milliseconds).step_by(50) {
        for process in &mut processes {
            let now = process.clock(real);
            if let Some(request) = &mut process.request {
                if request.result.is_none() && real >= request.lands {
                    request.result = Some(server.take(&request.action));
                }
                if request.returns.is_some_and(|returns| real < returns) || real < request.lands {
                    continue;
                }
                let Some(Request {
                    action,
                    sent,
                    returns,
                    result,
                    ..
                }) = process.request.take()
                else {
                    continue;
                };
                match (action, returns, result) {
                    (_, None, _) | (_, _, None) => process.candidate.failed(now),
                    (LeaseAction::Read, _, Some(Ok(lease))) => process.candidate.seen(lease, now),
                    (LeaseAction::Create(write) | LeaseAction::Update(_, write), _, Some(Ok(Some(lease)))) => {
                        process.candidate.written(&write, lease.version, sent);
                    }
                    _ => process.candidate.overtaken(),
                }
            }
            if real < process.busy_until {
                continue;
            }
            let action = process.candidate.next(now);
            if !matches!(action, LeaseAction::Wait(_)) {
                let (there, back, fate, pause) = throws.next().copied().unwrap_or_default();
                let lands = real + u64::from(there);
                process.request = Some(Request {
                    action,
                    sent: now,
                    lands,
                    // One answer in five is lost.
                    returns: (fate % 5 != 0).then_some(lands + u64::from(back)),
                    result: None,
                });
                process.busy_until = real + u64::from(pause);
            }
        }
        let leaders: Vec<_> = (0..processes.len())
            .filter(|index| processes[*index].candidate.leads(processes[*index].clock(real)))
            .collect();
        prop_assert!(leaders.len() <= 1, "two lead at {real} ms: {leaders:?}");
        for leader in leaders {
            if ever.last() != Some(&leader) {
                ever.push(leader);
            }
        }
    }
    Ok(ever)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn there_are_never_two_leaders_whatever_the_clocks_and_the_network(
        clocks in prop::collection::vec((0_u64..1_000_000_000, 85_u64..=115), 2..4),
        delays in prop::collection::vec(prop_oneof![
            5 => (0_u16..100, 0_u16..100, Just(1), Just(0)),
            1 => (0_u16..9000, 0_u16..6000, any::<u8>(), 0_u16..30_000),
        ], 5..40),
    ) {
        simulate(&clocks, &Dice { delays }, 200_000)?;
    }

    #[test]
    fn on_a_good_network_somebody_leads_soon_and_stays(
        clocks in prop::collection::vec((0_u64..1_000_000_000, 95_u64..=105), 1..4),
    ) {
        let ever = simulate(&clocks, &Dice { delays: vec![(20, 20, 1, 0)] }, 60_000)?;
        prop_assert_eq!(ever.len(), 1);
    }
}
