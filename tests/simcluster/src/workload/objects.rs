//! The objects of one kind as a watch tells them, by place and by controller.
//!
//! What must stay true: finding the pods of a controller, or those of a namespace, costs what is found
//! and not what the cluster has. An object this process has deleted is gone from here at once, so no
//! decision counts on it while its watch event is on the way.
//!
//! Refused: the reflector store of kube-runtime, which can only be searched from end to end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

/// How many objects that went are remembered; much later a name may come again.
const REMEMBERED: usize = 512;

/// Namespace and name.
pub(crate) type Place = (String, String);

/// Where an object is.
pub(crate) fn place_of(object: &impl ResourceExt) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The objects of a kind.
#[derive(Debug)]
pub(crate) struct Objects<K> {
    state: RwLock<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    objects: BTreeMap<Place, Arc<K>>,
    /// By the UID of the controller.
    owned: BTreeMap<String, BTreeSet<Place>>,
    /// What a list has told so far.
    listed: BTreeMap<Place, Arc<K>>,
    /// UIDs of objects deleted here, until the watch tells.
    deleted: BTreeSet<String>,
    /// Hashes of the places of the last objects that went.
    gone: VecDeque<u64>,
}

/// What an event did.
#[derive(Debug)]
pub(crate) enum Effect<K> {
    None,
    /// The object before and after.
    One(Option<Arc<K>>, Option<Arc<K>>),
    /// Anything may have changed.
    All,
}

impl<K> Default for Objects<K> {
    fn default() -> Self {
        Objects {
            state: RwLock::new(State {
                objects: BTreeMap::new(),
                owned: BTreeMap::new(),
                listed: BTreeMap::new(),
                deleted: BTreeSet::new(),
                gone: VecDeque::new(),
            }),
        }
    }
}

impl<K: Resource<DynamicType = ()>> Objects<K> {
    fn read(&self) -> RwLockReadGuard<'_, State<K>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<K>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the watch.
    pub(crate) fn apply(&self, event: Event<K>) -> Effect<K> {
        let mut state = self.write();
        match event {
            Event::Init => state.listed.clear(),
            Event::InitApply(object) => {
                let object = slim(object);
                state.listed.insert(place_of(&*object), object);
            }
            Event::InitDone => {
                state.objects.clear();
                state.owned.clear();
                state.deleted.clear();
                for (place, object) in mem::take(&mut state.listed) {
                    state.put(place, object);
                }
                return Effect::All;
            }
            Event::Apply(object) => {
                if object.uid().is_some_and(|uid| state.deleted.contains(&uid)) {
                    return Effect::None;
                }
                let object = slim(object);
                let before = state.put(place_of(&*object), object.clone());
                return Effect::One(before, Some(object));
            }
            Event::Delete(object) => {
                if let Some(uid) = object.uid() {
                    state.deleted.remove(&uid);
                }
                let place = place_of(&object);
                let same = |known: &&Arc<K>| known.uid() == object.uid();
                if state.objects.get(&place).filter(same).is_some() {
                    state.take(&place);
                    state.remember(&place);
                }
                return Effect::One(Some(slim(object)), None);
            }
        }
        Effect::None
    }

    /// An object was deleted from here; what the watch still has of it does not count.
    pub(crate) fn forget(&self, object: &K) {
        let (place, uid) = (place_of(object), object.uid());
        let mut state = self.write();
        // When it is not there any more, the watch was faster and nothing is on the way.
        if uid.is_some() && state.objects.get(&place).is_some_and(|known| known.uid() == uid) {
            state.take(&place);
            state.remember(&place);
            state.deleted.extend(uid);
        }
    }

    pub(crate) fn get(&self, place: &Place) -> Option<Arc<K>> {
        self.read().objects.get(place).cloned()
    }

    /// Whether an object was here and went not long ago.
    pub(crate) fn went(&self, place: &Place) -> bool {
        self.read().gone.contains(&hash(place))
    }

    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.read().objects.values().cloned().collect()
    }

    pub(crate) fn places(&self) -> BTreeSet<Place> {
        self.read().objects.keys().cloned().collect()
    }

    /// By name.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.read();
        let from = state.objects.range((namespace.to_owned(), String::new())..);
        from.take_while(|(place, _)| place.0 == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// What an object controls, by name.
    pub(crate) fn owned_by(&self, owner: &impl ResourceExt) -> Vec<Arc<K>> {
        let state = self.read();
        let places = owner.uid().and_then(|uid| state.owned.get(&uid)).into_iter().flatten();
        places.filter_map(|place| state.objects.get(place).cloned()).collect()
    }
}

impl<K: Resource<DynamicType = ()>> State<K> {
    fn put(&mut self, place: Place, object: Arc<K>) -> Option<Arc<K>> {
        let before = self.take(&place);
        if let Some(owner) = controller(&*object) {
            self.owned.entry(owner).or_default().insert(place.clone());
        }
        self.objects.insert(place, object);
        before
    }

    fn remember(&mut self, place: &Place) {
        if self.gone.len() >= REMEMBERED {
            self.gone.pop_front();
        }
        self.gone.push_back(hash(place));
    }

    fn take(&mut self, place: &Place) -> Option<Arc<K>> {
        let before = self.objects.remove(place)?;
        if let Some(owner) = controller(&*before)
            && let Some(places) = self.owned.get_mut(&owner)
        {
            places.remove(place);
            if places.is_empty() {
                self.owned.remove(&owner);
            }
        }
        Some(before)
    }
}

fn hash(place: &Place) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    hasher.finish()
}

fn controller(object: &impl ResourceExt) -> Option<String> {
    let owners = object.owner_references().iter();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    controllers.next().map(|owner| owner.uid.clone())
}

/// Nobody here reads who owns which field; it is a good part of an object.
fn slim<K: Resource<DynamicType = ()>>(mut object: K) -> Arc<K> {
    object.meta_mut().managed_fields = None;
    Arc::new(object)
}
