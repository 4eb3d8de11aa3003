//! Objects, their one sequence of versions, and the history watches read.
//!
//! What must stay true: every write takes the next resourceVersion and leaves exactly one event, so
//! the history is an array indexed by version; a reader keeps nothing but the last version it saw.
//! Slow watchers therefore cost no memory: they fall behind the bounded history and are told so.
//! The two owner indexes always agree with the objects, because only `put` and `remove` change either.
//!
//! Refused: a queue per watcher (unbounded, or dropping events in silence), one sequence per kind
//! (real servers number all kinds together and clients may not rely on less), and copying objects to
//! read them (an object is never changed once stored, so everyone shares it).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::access::rbac::{self, Policy};
use super::addresses::Addresses;
use super::kinds::{Kind, Registry};
use super::object;

/// Versions kept for watches; at 4 KiB an object and two references an event this is some 40 MiB at worst.
const HISTORY: usize = 10_000;

/// Where an object is filed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The same in all versions of a kind, see `Kind::storage`.
    pub(crate) resource: Arc<str>,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(kind: &Kind, namespace: &str, name: &str) -> Key {
        Key {
            resource: kind.storage().into(),
            namespace: match kind.namespaced {
                true => namespace.to_owned(),
                false => String::new(),
            },
            name: name.to_owned(),
        }
    }
}

/// One write.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) key: Key,
    /// The object after the write; after a removal, its last state under the version of the removal.
    pub(crate) object: Arc<Value>,
    /// The object before the write, if there was one.
    pub(crate) before: Option<Arc<Value>>,
    pub(crate) removed: bool,
    pub(crate) committed: Instant,
}

/// A write, as those see it who act on what was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) key: Key,
    pub(crate) object: Arc<Value>,
    pub(crate) removed: bool,
}

/// All that a server remembers.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) registry: Registry,
    pub(crate) addresses: Addresses,
    objects: BTreeMap<Key, Arc<Value>>,
    by_uid: HashMap<String, Key>,
    by_owner: HashMap<String, BTreeSet<Key>>,
    history: VecDeque<Event>,
    revision: u64,
    /// Compiled from the roles and bindings when first asked for.
    policy: OnceLock<Arc<Policy>>,
}

impl State {
    /// The newest resourceVersion.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The newest version that is no longer in the history: a watch can start here, not before.
    pub(crate) fn oldest(&self) -> u64 {
        self.revision - self.history.len() as u64
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// Objects of a resource in the order of namespace and name; all namespaces when `None`.
    pub(crate) fn list(
        &self,
        resource: &str,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = (&Key, &Arc<Value>)> + use<'_> {
        let resource: Arc<str> = resource.into();
        let from = Key {
            resource: resource.clone(),
            namespace: namespace.unwrap_or_default().to_owned(),
            name: String::new(),
        };
        let namespace = namespace.map(str::to_owned);
        self.objects.range(from..).take_while(move |(key, _)| {
            key.resource == resource && namespace.as_ref().is_none_or(|wanted| *wanted == key.namespace)
        })
    }

    /// The same list as it was at `version`, by undoing the history; `None` when that is forgotten.
    pub(crate) fn list_at(
        &self,
        resource: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Option<BTreeMap<Key, Arc<Value>>> {
        let later = self.since(version)?;
        let mut objects: BTreeMap<Key, Arc<Value>> = self
            .list(resource, namespace)
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        for event in later.rev() {
            let concerned =
                *event.key.resource == *resource && namespace.is_none_or(|wanted| wanted == event.key.namespace);
            if !concerned {
                continue;
            }
            match &event.before {
                Some(before) => objects.insert(event.key.clone(), before.clone()),
                None => objects.remove(&event.key),
            };
        }
        Some(objects)
    }

    /// Objects of any kind in a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        let keys = self.objects.keys();
        keys.filter(|key| key.namespace == namespace).cloned().collect()
    }

    /// What was written after `version`; every object, as if it had just been, when that is forgotten.
    pub(crate) fn written_since(&self, version: u64) -> Vec<Written> {
        let written = |key: &Key, object: &Arc<Value>, removed: bool| Written {
            key: key.clone(),
            object: object.clone(),
            removed,
        };
        match self.since(version) {
            Some(events) => events
                .map(|event| written(&event.key, &event.object, event.removed))
                .collect(),
            None => {
                let objects = self.objects.iter();
                objects.map(|(key, object)| written(key, object, false)).collect()
            }
        }
    }

    /// What the roles and bindings of this moment allow.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        let compiled = self.policy.get_or_init(|| Arc::new(Policy::compile(self)));
        compiled.clone()
    }

    /// Objects that name `uid` as an owner.
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<Key> {
        self.by_owner
            .get(uid)
            .map(|keys| keys.iter().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) fn has_uid(&self, uid: &str) -> bool {
        self.by_uid.contains_key(uid)
    }

    /// Events after `version`, oldest first; `None` when some of them are forgotten.
    pub(crate) fn since(&self, version: u64) -> Option<impl DoubleEndedIterator<Item = &Event>> {
        let skip = version.checked_sub(self.oldest())?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.history.len());
        Some(self.history.range(skip..))
    }

    pub(crate) fn event(&self, version: u64) -> Option<&Event> {
        let index = version.checked_sub(self.oldest() + 1)?;
        self.history.get(usize::try_from(index).ok()?)
    }

    /// Forgets the history.
    pub(crate) fn compact(&mut self) {
        self.history.clear();
    }

    /// Stores `object` under the next version and returns it as stored.
    pub(crate) fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.stamp(&mut object);
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), object.clone());
        if let Some(before) = &before {
            self.unindex(&key, before);
        }
        if let Some(uid) = object::uid(&object) {
            self.by_uid.insert(uid.to_owned(), key.clone());
        }
        for owner in object::owner_uids(&object) {
            let owned = self.by_owner.entry(owner.to_owned()).or_default();
            owned.insert(key.clone());
        }
        self.record(key, object.clone(), before, false);
        object
    }

    /// Removes an object and returns its last state.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.unindex(key, &before);
        let mut last = Value::clone(&before);
        self.stamp(&mut last);
        let last = Arc::new(last);
        self.record(key.clone(), last.clone(), Some(before), true);
        Some(last)
    }

    fn stamp(&mut self, object: &mut Value) {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
    }

    fn unindex(&mut self, key: &Key, object: &Value) {
        if let Some(uid) = object::uid(object) {
            self.by_uid.remove(uid);
        }
        for owner in object::owner_uids(object) {
            if let Some(owned) = self.by_owner.get_mut(owner) {
                owned.remove(key);
                if owned.is_empty() {
                    self.by_owner.remove(owner);
                }
            }
        }
    }

    fn record(&mut self, key: Key, object: Arc<Value>, before: Option<Arc<Value>>, removed: bool) {
        if key.resource.ends_with(rbac::GROUP) {
            self.policy.take();
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Event {
            key,
            object,
            before,
            removed,
            committed: Instant::now(),
        });
    }
}

/// The state behind its lock, and the signal that it changed.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl Store {
    pub(crate) fn new() -> Store {
        let state = State {
            registry: Registry::built_in(),
            addresses: Addresses::default(),
            objects: BTreeMap::new(),
            by_uid: HashMap::new(),
            by_owner: HashMap::new(),
            history: VecDeque::new(),
            revision: 0,
            policy: OnceLock::new(),
        };
        Store {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        }
    }

    /// Reads under the lock.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Writes under the lock, then wakes every watcher if anything was written.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let (result, revision) = {
            let mut state = self.lock();
            let result = write(&mut state);
            (result, state.revision)
        };
        self.changed.send_if_modified(|seen| {
            let newer = revision > *seen;
            *seen = revision.max(*seen);
            newer
        });
        result
    }

    /// A signal that carries the newest version.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
