//! What was written, for those who follow it.
//!
//! What must stay true: every write leaves exactly one event, in the log of its resource and in the
//! order of versions. A reader keeps nothing but the last version it looked at, and looks at nothing but
//! its own resource; when events it did not see are forgotten, it is told so. So a slow watcher costs
//! no memory, and a busy resource wakes nobody who does not watch it.
//!
//! Refused: a queue per watcher (unbounded, or dropping events in silence), and one log for all
//! resources (every watcher would be woken by, and step over, the events of all others).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::objects::Key;
use super::stored::Stored;

/// Events kept in all; at some 150 bytes each besides the objects this is 1.5 MB.
const EVENTS: usize = 10_000;
/// Bytes kept of states that nobody but the history needs: 4 MiB. With the above that is less than 6 MB for
/// a cluster that is written to all day, and 3 GB for five hundred of them.
const SUPERSEDED: usize = 4 << 20;

/// One write.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) key: Key,
    /// The object after the write; after a removal, its last state under the version of the removal.
    pub(crate) object: Arc<Stored>,
    /// The object before the write, if there was one.
    pub(crate) before: Option<Arc<Stored>>,
    pub(crate) removed: bool,
    pub(crate) committed: Instant,
}

impl Event {
    pub(crate) fn version(&self) -> u64 {
        self.object.version
    }

    /// What goes when the event is forgotten.
    fn superseded(&self) -> usize {
        let removed = if self.removed { self.object.size() } else { 0 };
        removed + self.before.as_ref().map_or(0, |before| before.size())
    }
}

/// What followers of a resource wait for: any change of it wakes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signal {
    /// How often the watches of the resource were dropped.
    pub(crate) drops: u64,
}

#[derive(Debug)]
struct Log {
    events: VecDeque<Event>,
    /// The newest version whose event is gone: one can follow from here, not from before.
    forgotten: u64,
    signal: watch::Sender<Signal>,
}

/// The events of all resources.
#[derive(Debug, Default)]
pub(crate) struct History {
    logs: HashMap<Arc<str>, Log>,
    /// The resource of each event, oldest first.
    order: VecDeque<Arc<str>>,
    superseded: usize,
    /// Nothing before this version is known of any resource.
    compacted: u64,
    /// Resources whose followers are to be woken once the lock is released.
    touched: BTreeSet<Arc<str>>,
}

impl History {
    fn log(&mut self, resource: &Arc<str>) -> &mut Log {
        let forgotten = self.compacted;
        self.logs.entry(resource.clone()).or_insert_with(|| Log {
            events: VecDeque::new(),
            forgotten,
            signal: watch::Sender::default(),
        })
    }

    /// Adds an event, and forgets the oldest ones when there are too many.
    pub(crate) fn record(&mut self, event: Event) {
        let resource = event.key.resource.clone();
        self.superseded += event.superseded();
        self.order.push_back(resource.clone());
        self.log(&resource).events.push_back(event);
        self.touched.insert(resource);
        while self.order.len() > EVENTS || self.superseded > SUPERSEDED {
            if !self.forget_oldest() {
                return;
            }
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(log) = self.order.pop_front().and_then(|resource| self.logs.get_mut(&resource)) else {
            return false;
        };
        if let Some(event) = log.events.pop_front() {
            log.forgotten = event.version();
            self.superseded -= event.superseded();
        }
        true
    }

    /// Forgets everything up to `version`, the newest.
    pub(crate) fn compact(&mut self, version: u64) {
        self.compacted = version;
        self.order.clear();
        self.superseded = 0;
        for log in self.logs.values_mut() {
            log.events.clear();
            log.forgotten = version;
        }
    }

    /// Events of a resource after `version`, oldest first; the version from which they are known, when some are
    /// forgotten.
    pub(crate) fn since(
        &self,
        resource: &str,
        version: u64,
    ) -> Result<impl DoubleEndedIterator<Item = &Event> + use<'_>, u64> {
        let log = self.logs.get(resource);
        let oldest = log.map_or(self.compacted, |log| log.forgotten);
        if version < oldest {
            return Err(oldest);
        }
        let events = log.map(|log| {
            let seen = log.events.partition_point(|event| event.version() <= version);
            log.events.range(seen..)
        });
        Ok(events.into_iter().flatten())
    }

    /// The event that made `version`.
    pub(crate) fn event(&self, version: u64) -> Option<&Event> {
        self.logs.values().find_map(|log| {
            let index = log.events.binary_search_by_key(&version, Event::version).ok()?;
            log.events.get(index)
        })
    }

    /// A signal for every change of a resource.
    pub(crate) fn follow(&mut self, resource: &Arc<str>) -> watch::Receiver<Signal> {
        self.log(resource).signal.subscribe()
    }

    /// Ends the watches of a resource, or of all.
    pub(crate) fn drop_watches(&self, resource: Option<&str>) {
        for (name, log) in &self.logs {
            if resource.is_none_or(|wanted| *wanted == **name) {
                log.signal.send_modify(|signal| signal.drops += 1);
            }
        }
    }

    /// Wakes every follower, whatever it follows.
    pub(crate) fn wake_all(&mut self) {
        self.touched.extend(self.logs.keys().cloned());
    }

    /// Whom to wake for what was recorded since the last call.
    pub(crate) fn woken(&mut self) -> Vec<watch::Sender<Signal>> {
        let touched = std::mem::take(&mut self.touched);
        let logs = touched.iter().filter_map(|resource| self.logs.get(resource));
        logs.map(|log| log.signal.clone()).collect()
    }
}
