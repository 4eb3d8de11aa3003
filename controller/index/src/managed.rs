//! Managed objects of members: what carries our label there, kind by kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::DynamicObject;
use meridian_federation_core::{ClusterName, FederatedKey, Freshness, MemberObject, ObjectKind, Timestamp};

use crate::{Dirty, Event, Index, WatchFailure};

/// One kind of managed objects in one member.
#[derive(Debug, Default)]
pub(crate) struct ManagedKind {
    pub(crate) freshness: Freshness,
    /// By namespace (empty for cluster-scoped kinds) and name.
    pub(crate) objects: BTreeMap<(String, String), MemberObject>,
}

impl Index {
    /// Takes an event of managed objects of one kind from a member.
    pub fn managed(&mut self, cluster: &ClusterName, kind: &Arc<ObjectKind>, event: Event<DynamicObject>) -> Dirty {
        let mut dirty = Dirty::default();
        if !self.believes(cluster) {
            return dirty;
        }
        let reset = matches!(event, Event::Reset(_));
        let known = || {
            self.sync
                .view(cluster, kind)
                .objects
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        let (gone, set) = event.resolve(known, id_of);
        for id in &gone {
            self.remove_managed(cluster, kind, id, &mut dirty);
        }
        for object in &set {
            self.set_managed(cluster, kind, object, &mut dirty);
        }
        if reset {
            dirty.federated.extend(self.sync.view_listed(cluster, kind));
        }
        let view = self.sync.view(cluster, kind);
        if view.freshness != Freshness::Fresh && (reset || matches!(view.freshness, Freshness::Stale { .. })) {
            view.freshness = Freshness::Fresh;
            dirty.federated.extend(self.sync.keys());
        }
        dirty
    }

    /// A managed kind cannot be watched in a member.
    pub fn managed_watch_failed(
        &mut self,
        cluster: &ClusterName,
        kind: &Arc<ObjectKind>,
        failure: &WatchFailure,
        now: Timestamp,
    ) -> Dirty {
        let mut dirty = Dirty::default();
        if !self.world.clusters.contains_key(cluster) {
            return dirty;
        }
        let view = self.sync.view(cluster, kind);
        match failure {
            WatchFailure::NotServed if view.freshness != Freshness::Absent => {
                view.freshness = Freshness::Absent;
                dirty.federated.extend(self.sync.keys());
            }
            WatchFailure::NotServed => {}
            WatchFailure::Forbidden(reason) | WatchFailure::Broken(reason) => {
                crate::health::go_stale(&mut view.freshness, reason, now);
            }
        }
        self.suspect(cluster, failure, &mut dirty);
        dirty
    }

    fn set_managed(
        &mut self,
        cluster: &ClusterName,
        kind: &Arc<ObjectKind>,
        object: &DynamicObject,
        dirty: &mut Dirty,
    ) {
        let id = id_of(object);
        let member = MemberObject::read(serde_json::to_value(object).unwrap_or_default());
        let version = member.resource_version.clone();
        let before = self.sync.view(cluster, kind).objects.insert(id.clone(), member);
        if before.is_some_and(|before| before.resource_version == version) {
            return;
        }
        self.sync.seen(cluster, kind, &id, &version);
        self.wake(kind, &id, dirty);
    }

    fn remove_managed(
        &mut self,
        cluster: &ClusterName,
        kind: &Arc<ObjectKind>,
        id: &(String, String),
        dirty: &mut Dirty,
    ) {
        if self.sync.view(cluster, kind).objects.remove(id).is_some() {
            self.sync.gone(cluster, kind, id);
            self.wake(kind, id, dirty);
        }
    }

    /// The federated object of a member object is dirty, and with a namespace all that live in it.
    fn wake(&self, kind: &Arc<ObjectKind>, id: &(String, String), dirty: &mut Dirty) {
        dirty.federated.insert(federated_key(kind, id));
        if kind.is_namespace() {
            dirty.federated.extend(self.sync.keys_in(&id.1));
        }
    }
}

/// The federated object that a member object belongs to: same namespace and name; a namespace's lives in
/// the namespace it names.
pub(crate) fn federated_key(kind: &Arc<ObjectKind>, (namespace, name): &(String, String)) -> FederatedKey {
    let namespace = if kind.namespaced { namespace } else { name };
    FederatedKey {
        kind: kind.clone(),
        namespace: namespace.clone(),
        name: name.clone(),
    }
}

/// The member object's namespace and name for a federated object.
pub(crate) fn member_id(key: &FederatedKey) -> (String, String) {
    (
        key.target_namespace().unwrap_or_default().to_owned(),
        key.target_name().to_owned(),
    )
}

fn id_of(object: &DynamicObject) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}
