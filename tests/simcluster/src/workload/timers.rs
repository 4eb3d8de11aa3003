//! Waking up later: scripted delays, deadlines, and the pause after a failed request.
//!
//! What must stay true: there is at most one alarm per change, the earliest that was asked for. Whoever
//! is woken looks at the clock itself and asks again if it is too early, so the number of objects
//! bounds what is kept here, however often each is looked at.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep_until};

use super::cache::Change;

/// Runs until nobody can ask any more.
pub(crate) async fn run(mut asked: mpsc::UnboundedReceiver<(Instant, Change)>, changes: broadcast::Sender<Change>) {
    let mut alarms = Alarms::default();
    loop {
        let next = alarms.next();
        tokio::select! {
            asked = asked.recv() => match asked {
                Some((at, change)) => alarms.set(at, change),
                None => return,
            },
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                while let Some(change) = alarms.due(Instant::now()) {
                    let _ = changes.send(change);
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Alarms {
    by_time: BTreeSet<(Instant, Change)>,
    by_change: BTreeMap<Change, Instant>,
}

impl Alarms {
    fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    fn set(&mut self, at: Instant, change: Change) {
        if let Some(known) = self.by_change.get(&change).copied() {
            if known <= at {
                return;
            }
            self.by_time.remove(&(known, change.clone()));
        }
        self.by_change.insert(change.clone(), at);
        self.by_time.insert((at, change));
    }

    fn due(&mut self, now: Instant) -> Option<Change> {
        self.next().filter(|at| *at <= now)?;
        let (_, change) = self.by_time.pop_first()?;
        self.by_change.remove(&change);
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_alarm_of_a_change_counts() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let pod = |name: &str| Change::Of("Pod".into(), (String::new(), name.to_owned()));
        let mut alarms = Alarms::default();
        for (seconds, name) in [(5, "a"), (3, "a"), (9, "a"), (4, "b")] {
            alarms.set(at(seconds), pod(name));
        }
        assert_eq!(alarms.next(), Some(at(3)));
        assert_eq!(alarms.due(at(2)), None);
        assert_eq!(alarms.due(at(9)), Some(pod("a")));
        assert_eq!(alarms.due(at(9)), Some(pod("b")));
        assert_eq!(alarms.due(at(9)), None);
    }
}
