//! Federated objects as the host's watch tells them: apply, delete, reset.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::DynamicObject;
use meridian_federation_api as api;
use meridian_federation_core::{FederatedKey, ObjectKind, ServiceKey};

use super::{HostUnderWay, Object, reached};
use crate::{Dirty, Event, Index};

impl Index {
    /// Federated objects of one kind.
    pub fn federated(&mut self, kind: &Arc<ObjectKind>, event: Event<DynamicObject>) -> Dirty {
        let mut dirty = Dirty::default();
        if kind.is_namespace()
            && matches!(event, Event::Reset(_))
            && !std::mem::replace(&mut self.listed.federated_namespaces, true)
        {
            dirty.federated.extend(self.sync.keys());
        }
        let known = || {
            let of_kind = self.sync.objects.keys().filter(|key| key.kind == *kind);
            let refused = self.sync.refused_namespaces.iter().filter(|_| kind.is_namespace());
            let refused = refused.map(|namespace| namespace_key(kind, namespace));
            of_kind.cloned().chain(refused).collect::<Vec<_>>()
        };
        let (gone, set) = event.resolve(known, |object| key_of(kind, object));
        for key in &gone {
            self.remove_federated(key, &mut dirty);
        }
        for object in set {
            self.set_federated(kind, object, &mut dirty);
        }
        dirty
    }

    /// The federated object as last seen.
    pub fn federated_object(&self, key: &FederatedKey) -> Option<&api::Federated> {
        self.sync.objects.get(key).map(|object| &object.raw)
    }

    fn set_federated(&mut self, kind: &Arc<ObjectKind>, object: DynamicObject, dirty: &mut Dirty) {
        let key = key_of(kind, &object);
        let Some(raw) = self.typed::<api::Federated>("Federated", &key.to_string(), object) else {
            if key == namespace_key(kind, &key.namespace) && !self.sync.objects.contains_key(&key) {
                self.sync.refused_namespaces.insert(key.namespace);
            }
            return;
        };
        self.set_problem("Federated", &key.to_string(), None);
        if key == namespace_key(kind, &key.namespace) {
            self.sync.refused_namespaces.remove(&key.namespace);
        }
        let version = raw.resource_version().unwrap_or_default();
        let before = self.sync.objects.get(&key);
        if before.is_some_and(|before| before.raw.resource_version().as_deref() == Some(&version)) {
            return;
        }
        let parsed = crate::federated::parse(key.clone(), &raw);
        if matches!(self.sync.host_writes.get(&key), Some(HostUnderWay::Until(wanted)) if reached(&version, wanted)) {
            self.sync.host_writes.remove(&key);
        }
        if kind.is_namespace() && before.is_none_or(|before| before.parsed.placement != parsed.placement) {
            dirty.federated.extend(self.sync.keys_in(&key.namespace));
        }
        if kind.is_service() {
            self.sync.service_kind.get_or_insert_with(|| kind.clone());
        }
        self.sync
            .by_namespace
            .entry(key.namespace.clone())
            .or_default()
            .insert(key.clone());
        self.sync.objects.insert(key.clone(), Object { parsed, raw });
        dirty.federated.insert(key);
    }

    fn remove_federated(&mut self, key: &FederatedKey, dirty: &mut Dirty) {
        self.set_problem("Federated", &key.to_string(), None);
        let refused =
            *key == namespace_key(&key.kind, &key.namespace) && self.sync.refused_namespaces.remove(&key.namespace);
        if self.sync.objects.remove(key).is_none() && !refused {
            return;
        }
        if let Some(keys) = self.sync.by_namespace.get_mut(&key.namespace) {
            keys.remove(key);
            if keys.is_empty() {
                self.sync.by_namespace.remove(&key.namespace);
            }
        }
        self.sync.parts.retain(|(of, _), _| of != key);
        self.sync.host_writes.remove(key);
        for keys in self.sync.deselected.values_mut() {
            keys.remove(key);
        }
        if key.kind.is_namespace() {
            dirty.federated.extend(self.sync.keys_in(&key.namespace));
        }
    }

    /// The federated Services of these services, whose status may differ now.
    pub fn federated_services(&self, services: &BTreeSet<ServiceKey>) -> BTreeSet<FederatedKey> {
        let Some(kind) = &self.sync.service_kind else {
            return BTreeSet::new();
        };
        let key = |service: &ServiceKey| FederatedKey {
            kind: kind.clone(),
            namespace: service.namespace.clone(),
            name: service.name.clone(),
        };
        services
            .iter()
            .map(key)
            .filter(|key| self.sync.objects.contains_key(key))
            .collect()
    }
}

/// The FederatedNamespace of a namespace: of that kind, in it, and called like it.
fn namespace_key(kind: &Arc<ObjectKind>, namespace: &str) -> FederatedKey {
    FederatedKey {
        kind: kind.clone(),
        namespace: namespace.to_owned(),
        name: namespace.to_owned(),
    }
}

fn key_of(kind: &Arc<ObjectKind>, object: &DynamicObject) -> FederatedKey {
    FederatedKey {
        kind: kind.clone(),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}
