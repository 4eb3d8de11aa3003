//! Who leads: one replica at a time holds a Lease of the host, renews it, and stops in time when it cannot.
//!
//! What must stay true:
//! - a candidate measures durations on its own clock, one that never goes back; clocks of different
//!   machines are never compared, so that no skew makes two leaders. Even rates may differ: the one who
//!   leads stops after two thirds of the time that the others wait;
//! - the leader counts from when a renewal was *sent*, the others from when they *saw* it, which is later;
//!   a renewal whose answer was lost counts for the others and not for the leader;
//! - every write names the version it was decided from, so that of two that decide at the same time one
//!   loses at the API server.
//!
//! A lease fences nothing by itself: what the leader sent before it stopped may land later. So every
//! effect is conditional where it lands.
//!
//! Refused: comparing the Lease's `renewTime` with the wall clock, as some libraries do. A host whose clock
//! is ahead would take the lease from a leader that is well.

use std::time::Duration;

/// Who a candidate is: a name that an operator may choose, and the session of this process.
///
/// A process that starts with the name of one that held the lease takes it over at once, since it is
/// the same replica, started again; after that a session is as good a stranger as any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseIdentity {
    /// No two replicas that run at a time have the same.
    pub name: String,
    /// Random, without `_`.
    pub session: String,
}

impl LeaseIdentity {
    fn holder(&self) -> String {
        format!("{}_{}", self.name, self.session)
    }
}

/// Periods and limits of the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long others wait for a leader that does not renew. Longer than `renew_within`.
    pub duration: Duration,
    /// How long one leads after a renewal was sent.
    pub renew_within: Duration,
    /// How often the leader renews, and the others look.
    pub retry: Duration,
}

impl Default for LeaseTimes {
    /// What Kubernetes' own components use.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_within: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// The Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it; empty when it was let go.
    pub holder: String,
    /// What its holder promised: it renews sooner, or leads no more.
    pub duration: Duration,
    /// How often the holder changed.
    pub transitions: u32,
    /// The resourceVersion.
    pub version: String,
}

/// What to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseWrite {
    /// The holder; empty lets the lease go.
    pub holder: String,
    /// The promise.
    pub duration: Duration,
    /// How often the holder changed, with this write.
    pub transitions: u32,
    /// Whether this write makes somebody the holder, who was not before.
    pub acquires: bool,
}

/// What a candidate has to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAction {
    /// Read the Lease.
    Read,
    /// Create it; it must not exist.
    Create(LeaseWrite),
    /// Replace the version with that number.
    Update(String, LeaseWrite),
    /// Nothing before this time.
    Wait(Duration),
}

/// One who would lead. All times are on the candidate's own clock, which never goes back; where it starts
/// does not matter.
#[derive(Debug, Clone)]
pub struct Candidate {
    identity: LeaseIdentity,
    times: LeaseTimes,
    view: View,
    /// When the API server was asked the last time; before the first time, nothing.
    asked: Option<Duration>,
    /// Whether what is known may have been overtaken by a write of our own.
    doubtful: bool,
    until: Option<Duration>,
    has_led: bool,
}

#[derive(Debug, Clone)]
enum View {
    Unknown,
    Absent,
    /// This version was first seen then, or sent then if it is our own.
    Seen(Lease, Duration),
}

impl Candidate {
    /// A candidate that knows nothing yet.
    pub fn new(identity: LeaseIdentity, times: LeaseTimes) -> Self {
        Self {
            identity,
            times,
            view: View::Unknown,
            asked: None,
            doubtful: false,
            until: None,
            has_led: false,
        }
    }

    /// Until when the candidate leads, if nothing else happens; `None` if it does not.
    pub fn leads_until(&self) -> Option<Duration> {
        self.until
    }

    /// Whether the candidate leads now.
    pub fn leads(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Who holds the lease, as far as known; `None` for nobody.
    pub fn holder(&self) -> Option<&str> {
        match &self.view {
            View::Seen(lease, _) if !lease.holder.is_empty() => Some(&lease.holder),
            _ => None,
        }
    }

    /// What to do now: a function of the Lease as seen, since when it is unchanged, who we are, and the time.
    pub fn next(&self, now: Duration) -> LeaseAction {
        let again = self.asked.map_or(now, |asked| asked + self.times.retry);
        let (lease, since) = match &self.view {
            _ if self.doubtful => return look(now, again),
            View::Unknown => return look(now, again),
            View::Absent => return LeaseAction::Create(self.write(0, true)),
            View::Seen(lease, since) => (lease, *since),
        };
        if lease.holder == self.identity.holder() {
            let due = since + self.times.retry;
            return if now >= due || !self.leads(now) {
                LeaseAction::Update(lease.version.clone(), self.write(lease.transitions, false))
            } else {
                LeaseAction::Wait(due)
            };
        }
        let free_at = since + lease.duration;
        if lease.holder.is_empty() || now >= free_at || self.is_continued(&lease.holder) {
            let write = self.write(lease.transitions.saturating_add(1), true);
            return LeaseAction::Update(lease.version.clone(), write);
        }
        look(now, again.min(free_at))
    }

    /// The Lease was read, or found not to be there. `now` is when the answer arrived.
    pub fn seen(&mut self, lease: Option<Lease>, now: Duration) {
        self.asked = Some(now);
        self.doubtful = false;
        let ours = lease
            .as_ref()
            .is_some_and(|lease| lease.holder == self.identity.holder());
        if !ours {
            self.until = None;
        }
        self.view = match (lease, &self.view) {
            (None, _) => View::Absent,
            (Some(lease), View::Seen(known, since)) if known.version == lease.version => View::Seen(lease, *since),
            (Some(lease), _) => View::Seen(lease, now),
        };
    }

    /// What [`Candidate::next`] said was written, and is that version now. `sent` is when the request was sent.
    pub fn written(&mut self, write: &LeaseWrite, version: String, sent: Duration) {
        self.asked = Some(sent);
        self.doubtful = false;
        let lets_go = write.holder.is_empty();
        self.until = (!lets_go).then(|| sent + self.times.renew_within);
        self.has_led |= !lets_go;
        let lease = Lease {
            holder: write.holder.clone(),
            duration: write.duration,
            transitions: write.transitions,
            version,
        };
        self.view = View::Seen(lease, sent);
    }

    /// Somebody else was faster: the Lease is to be read anew, at once.
    pub fn overtaken(&mut self) {
        self.asked = None;
        self.doubtful = true;
    }

    /// A request failed, or its answer did not come: what was sent may have been done or not.
    pub fn failed(&mut self, now: Duration) {
        self.asked = Some(now);
        self.doubtful = true;
    }

    /// The write that lets the lease go, so that another need not wait; `None` without a lease.
    pub fn let_go(&self, now: Duration) -> Option<(String, LeaseWrite)> {
        match &self.view {
            View::Seen(lease, _) if self.leads(now) && !self.doubtful => {
                let write = LeaseWrite {
                    holder: String::new(),
                    ..self.write(lease.transitions, false)
                };
                Some((lease.version.clone(), write))
            }
            _ => None,
        }
    }

    /// Whether the holder is an earlier session of this replica. Only before this one has led: of two that
    /// run with one name by mistake, the later one stays, and they do not take turns.
    fn is_continued(&self, holder: &str) -> bool {
        let name = holder.rsplit_once('_').map(|(name, _)| name);
        !self.has_led && name == Some(self.identity.name.as_str())
    }

    fn write(&self, transitions: u32, acquires: bool) -> LeaseWrite {
        LeaseWrite {
            holder: self.identity.holder(),
            duration: self.times.duration,
            transitions,
            acquires,
        }
    }
}

fn look(now: Duration, at: Duration) -> LeaseAction {
    if now >= at {
        LeaseAction::Read
    } else {
        LeaseAction::Wait(at)
    }
}
