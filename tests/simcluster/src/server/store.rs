//! The state of a server, behind its lock.
//!
//! What must stay true: every write takes the next resourceVersion, and only `put` and `remove` write.
//! The index of owners and the addresses of Services always agree with the objects. Whatever a write leaves to be done (`garbage.rs`) is
//! noted in that same write, so nothing is missed.
//!
//! Refused: one sequence per kind (real servers number all kinds together and clients may not rely on less),
//! and copying objects to read them (an object is never changed once stored, so everyone shares it).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::access::accounts;
use super::access::rbac::{self, Policy};
use super::addresses::Addresses;
use super::clock::{self, Clock};
use super::history::{Event, History, Signal};
use super::kinds::Registry;
pub(crate) use super::objects::Key;
use super::objects::Objects;
use super::stored::Stored;

/// Where objects with addresses are filed.
const SERVICES: &str = "services";

/// What a write may have consequences for.
#[derive(Clone, Debug)]
pub(crate) enum Duty {
    /// The object has new owners, or is being deleted.
    Look(Key),
    /// The object is gone.
    Gone(Key, Arc<Stored>),
}

/// What readers are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'s> {
    pub(crate) objects: &'s Objects,
    pub(crate) version: u64,
}

/// A write, as those see it who act on what was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) key: Key,
    pub(crate) object: Arc<Stored>,
    pub(crate) removed: bool,
}

/// All that a server remembers.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) registry: Registry,
    pub(crate) addresses: Addresses,
    pub(crate) clock: Clock,
    pub(crate) history: History,
    objects: Objects,
    by_owner: HashMap<Box<str>, BTreeSet<Key>>,
    revision: u64,
    duties: Vec<Duty>,
    /// Writes that may ask for something of `access/accounts.rs`.
    written: Vec<Written>,
    /// Compiled from the roles and bindings when first asked for.
    policy: OnceLock<Arc<Policy>>,
    /// What the client of the write under way is told besides the result.
    pub(crate) warnings: Vec<String>,
    /// An older state that readers are shown instead of the present one, and its version.
    stale: Option<(Objects, u64)>,
}

impl State {
    /// The time here.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time here, as objects carry it.
    pub(crate) fn timestamp(&self) -> Value {
        clock::stamp(self.now())
    }

    /// What readers are shown: the present, but for the fault that shows them the past.
    pub(crate) fn view(&self) -> View<'_> {
        match &self.stale {
            Some((objects, version)) => View {
                objects,
                version: *version,
            },
            None => View {
                objects: &self.objects,
                version: self.revision,
            },
        }
    }

    /// Shows readers the state of this moment from now on, or the present again.
    pub(crate) fn show_stale(&mut self, stale: bool) {
        self.stale = stale.then(|| (self.objects.clone(), self.revision));
        self.history.wake_all();
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// Objects of a resource in the order of namespace and name; all namespaces when `None`.
    pub(crate) fn list(
        &self,
        resource: &str,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = (&Key, &Arc<Stored>)> + use<'_> {
        self.objects.list(resource, namespace, None)
    }

    /// A list as it was at `version`, by undoing the history; the oldest version known, when that is too old.
    pub(crate) fn list_at(&self, resource: &str, namespace: Option<&str>, version: u64) -> Result<Objects, u64> {
        let View { objects, version: now } = self.view();
        let mut then = Objects::default();
        for (key, object) in objects.list(resource, namespace, None) {
            then.insert(key.clone(), object.clone());
        }
        let later = self.history.since(resource, version)?;
        let concerned =
            |event: &&Event| event.version() <= now && namespace.is_none_or(|wanted| *wanted == *event.key.namespace);
        for event in later.filter(concerned).rev() {
            match &event.before {
                Some(before) => then.insert(event.key.clone(), before.clone()),
                None => then.remove(&event.key),
            };
        }
        Ok(then)
    }

    /// Objects of any kind in a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        let keys = self.objects.keys();
        keys.filter(|key| *key.namespace == *namespace).cloned().collect()
    }

    /// What the roles and bindings of this moment allow.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        let compiled = self.policy.get_or_init(|| Arc::new(Policy::compile(self)));
        compiled.clone()
    }

    /// Objects that name `uid` as an owner.
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<Key> {
        let owned = self.by_owner.get(uid);
        owned.into_iter().flatten().cloned().collect()
    }

    /// Forgets the history.
    pub(crate) fn compact(&mut self) {
        self.history.compact(self.revision);
    }

    /// Stores `object` under the next version and returns it as stored.
    pub(crate) fn put(&mut self, key: Key, mut object: Value) -> Arc<Stored> {
        let stored = self.stamp(&mut object);
        let before = self.objects.insert(key.clone(), stored.clone());
        if *key.resource == *SERVICES {
            let before = before.as_ref().map(|before| before.value());
            self.addresses.follow(&key, before.as_ref(), Some(&object));
        }
        let object = stored;
        if let Some(before) = &before {
            self.unindex(&key, before);
        }
        for owner in &object.owners {
            self.by_owner.entry(owner.clone()).or_default().insert(key.clone());
        }
        let owners_before = before.as_ref().map_or(&[] as &[_], |before| &*before.owners);
        if object.terminating || *object.owners != *owners_before {
            self.duties.push(Duty::Look(key.clone()));
        }
        self.record(key, object.clone(), before, false);
        object
    }

    /// Removes an object and returns its last state.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Stored>> {
        let before = self.objects.remove(key)?;
        self.unindex(key, &before);
        let mut value = before.value();
        if *key.resource == *SERVICES {
            self.addresses.follow(key, Some(&value), None);
        }
        let last = self.stamp(&mut value);
        self.duties.push(Duty::Gone(key.clone(), last.clone()));
        self.record(key.clone(), last.clone(), Some(before), true);
        Some(last)
    }

    /// What is to be done since the last call.
    pub(crate) fn take_duties(&mut self) -> Vec<Duty> {
        std::mem::take(&mut self.duties)
    }

    /// What was written since the last call.
    pub(crate) fn take_written(&mut self) -> Vec<Written> {
        std::mem::take(&mut self.written)
    }

    fn stamp(&mut self, object: &mut Value) -> Arc<Stored> {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        Arc::new(Stored::new(object))
    }

    fn unindex(&mut self, key: &Key, object: &Stored) {
        for owner in &object.owners {
            if let Some(owned) = self.by_owner.get_mut(owner) {
                owned.remove(key);
                if owned.is_empty() {
                    self.by_owner.remove(owner);
                }
            }
        }
    }

    fn record(&mut self, key: Key, object: Arc<Stored>, before: Option<Arc<Stored>>, removed: bool) {
        if key.resource.ends_with(rbac::GROUP) {
            self.policy.take();
        }
        if accounts::concerns(&key) {
            self.written.push(Written {
                key: key.clone(),
                object: object.clone(),
                removed,
            });
        }
        self.history.record(Event {
            key,
            object,
            before,
            removed,
            committed: Instant::now(),
        });
    }
}

/// The state behind its lock.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    work: Notify,
}

impl Store {
    pub(crate) fn new() -> Store {
        let state = State {
            registry: Registry::built_in(),
            addresses: Addresses::default(),
            clock: Clock::default(),
            history: History::default(),
            objects: Objects::default(),
            by_owner: HashMap::new(),
            revision: 0,
            duties: Vec::new(),
            written: Vec::new(),
            policy: OnceLock::new(),
            warnings: Vec::new(),
            stale: None,
        };
        Store {
            state: Mutex::new(state),
            work: Notify::new(),
        }
    }

    /// Reads under the lock.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Writes under the lock, then wakes whom it concerns.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let (result, woken, work) = {
            let mut state = self.lock();
            let result = write(&mut state);
            let work = !state.duties.is_empty() || !state.written.is_empty();
            (result, state.history.woken(), work)
        };
        for signal in woken {
            signal.send_modify(|_| {});
        }
        if work {
            self.work.notify_one();
        }
        result
    }

    /// A signal for every change of a resource.
    pub(crate) fn follow(&self, resource: &Arc<str>) -> watch::Receiver<Signal> {
        self.lock().history.follow(resource)
    }

    /// Waits until a write left something to do.
    pub(crate) async fn work(&self) {
        self.work.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
