//! Where objects are filed.
//!
//! What must stay true: objects are in the order of resource, namespace and name, so every list is a range
//! and every page of one starts with a look-up.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::kinds::Kind;
use super::stored::Stored;

/// Where an object is filed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The same in all versions of a kind, see `Kind::storage`.
    pub(crate) resource: Arc<str>,
    /// Empty for kinds without namespaces.
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl Key {
    pub(crate) fn new(kind: &Kind, namespace: &str, name: &str) -> Key {
        Key {
            resource: kind.storage().into(),
            namespace: if kind.namespaced { namespace } else { "" }.into(),
            name: name.into(),
        }
    }

    /// The key of an object without namespace.
    pub(crate) fn cluster(resource: &str, name: &str) -> Key {
        Key {
            resource: resource.into(),
            namespace: "".into(),
            name: name.into(),
        }
    }
}

/// Objects by key; a clone is a snapshot that shares all objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects(BTreeMap<Key, Arc<Stored>>);

impl Objects {
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.0.get(key)
    }

    pub(crate) fn insert(&mut self, key: Key, object: Arc<Stored>) -> Option<Arc<Stored>> {
        self.0.insert(key, object)
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Stored>> {
        self.0.remove(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }

    /// Objects of a resource; all namespaces when `None`; those behind a namespace and name only, if given.
    pub(crate) fn list(
        &self,
        resource: &str,
        namespace: Option<&str>,
        after: Option<(&str, &str)>,
    ) -> impl Iterator<Item = (&Key, &Arc<Stored>)> + use<'_> {
        let resource: Arc<str> = resource.into();
        let namespace: Option<Arc<str>> = namespace.map(Arc::from);
        let key = |namespace: &str, name: &str| Key {
            resource: resource.clone(),
            namespace: namespace.into(),
            name: name.into(),
        };
        let from = match after {
            Some((namespace, name)) => Bound::Excluded(key(namespace, name)),
            None => Bound::Included(key(namespace.as_deref().unwrap_or_default(), "")),
        };
        self.0.range((from, Bound::Unbounded)).take_while(move |(key, _)| {
            key.resource == resource && namespace.as_ref().is_none_or(|wanted| *wanted == key.namespace)
        })
    }
}
