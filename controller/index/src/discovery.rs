//! Members' Services, EndpointSlices and Nodes: apply, delete, reset.
//!
//! A reset removes exactly what is missing from the list. While another cluster than the one joined
//! answers under a member's address, nothing from there is believed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use meridian_federation_core::{ClusterName, DiscoveryKind, Identity, MemberFacts, ServiceInMember, ServiceKey, Slice};

use crate::{Dirty, Event, Index, parse};

/// An event of one of the kinds that discovery watches in a member.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "an event is moved once or twice and dropped; a box would cost more"
)]
pub enum DiscoveryEvent {
    /// Exported Services.
    Services(Event<Service>),
    /// Exported EndpointSlices.
    Slices(Event<EndpointSlice>),
    /// Nodes, metadata only.
    Nodes(Event<PartialObjectMeta<Node>>),
}

/// Where each EndpointSlice of a member belongs, since a slice may be relabelled to another Service.
pub(crate) type SliceOwners = BTreeMap<(String, String), ServiceKey>;

impl Index {
    /// Takes an event from a member. Events of a cluster without a `Cluster` object, or of the wrong
    /// cluster, are dropped.
    pub fn discovery(&mut self, cluster: &ClusterName, event: DiscoveryEvent) -> Dirty {
        let mut dirty = Dirty::default();
        if !self.believes(cluster) {
            return dirty;
        }
        match event {
            DiscoveryEvent::Services(event) => {
                let reset = matches!(event, Event::Reset(_));
                let (gone, set) = event.resolve(|| self.services_of(cluster), parse::key_of);
                for key in gone {
                    self.set_service(cluster, key, None, &mut dirty);
                }
                for object in &set {
                    self.set_service(cluster, parse::key_of(object), Some(object), &mut dirty);
                }
                self.delivered(cluster, DiscoveryKind::Services, reset, &mut dirty);
            }
            DiscoveryEvent::Slices(event) => {
                let reset = matches!(event, Event::Reset(_));
                let known = || {
                    self.slice_owners
                        .get(cluster)
                        .into_iter()
                        .flat_map(|owners| owners.keys().cloned())
                };
                let (gone, set) = event.resolve(known, id_of);
                for id in gone {
                    self.remove_slice(cluster, &id, &mut dirty);
                }
                for object in &set {
                    self.set_slice(cluster, object, &mut dirty);
                }
                self.delivered(cluster, DiscoveryKind::Slices, reset, &mut dirty);
            }
            DiscoveryEvent::Nodes(event) => {
                let before = self.world.place_of(cluster);
                let reset = matches!(event, Event::Reset(_));
                let nodes = &mut self.world.members.entry(cluster.clone()).or_default().nodes;
                match event {
                    Event::Apply(object) => {
                        nodes.insert(object.name_any(), parse::node(&object));
                    }
                    Event::Delete(object) => {
                        nodes.remove(&object.name_any());
                    }
                    Event::Reset(objects) => {
                        *nodes = objects
                            .iter()
                            .map(|object| (object.name_any(), parse::node(object)))
                            .collect();
                    }
                }
                // Only a change of the cluster's place matters, not that of a node among many.
                if self.world.place_of(cluster) != before {
                    dirty.sites = true;
                    dirty.clusters.insert(cluster.clone());
                    dirty.services.extend(self.services_of(cluster));
                }
                self.delivered(cluster, DiscoveryKind::Nodes, reset, &mut dirty);
            }
        }
        dirty
    }

    /// Whether what is said under the member's address is believed: it has a `Cluster` object, and no other
    /// cluster than the one joined was met there.
    pub fn believes(&self, cluster: &ClusterName) -> bool {
        self.world.clusters.contains_key(cluster)
            && !matches!(
                self.world.members.get(cluster),
                Some(MemberFacts {
                    identity: Identity::Wrong { .. },
                    ..
                })
            )
    }

    pub(crate) fn services_of(&self, cluster: &ClusterName) -> BTreeSet<ServiceKey> {
        self.member_services.get(cluster).cloned().unwrap_or_default()
    }

    fn set_service(&mut self, cluster: &ClusterName, key: ServiceKey, object: Option<&Service>, dirty: &mut Dirty) {
        let parsed = object.map(parse::service);
        let known = self.member_services.entry(cluster.clone()).or_default();
        if parsed.is_some() {
            known.insert(key.clone());
        } else {
            known.remove(&key);
        }
        self.change(cluster, key, dirty, |part| {
            let differs = part.service != parsed;
            part.service = parsed;
            differs
        });
    }

    fn set_slice(&mut self, cluster: &ClusterName, object: &EndpointSlice, dirty: &mut Dirty) {
        let id = id_of(object);
        let owner = self.slice_owners.get(cluster).and_then(|owners| owners.get(&id));
        match parse::slice(object) {
            Some((key, slice)) => {
                if owner.is_some_and(|owner| *owner != key) {
                    self.remove_slice(cluster, &id, dirty);
                }
                self.slice_owners
                    .entry(cluster.clone())
                    .or_default()
                    .insert(id.clone(), key.clone());
                self.put_slice(cluster, key, id.1, Some(slice), dirty);
            }
            None => self.remove_slice(cluster, &id, dirty),
        }
    }

    fn remove_slice(&mut self, cluster: &ClusterName, id: &(String, String), dirty: &mut Dirty) {
        if let Some(key) = self.slice_owners.get_mut(cluster).and_then(|owners| owners.remove(id)) {
            self.put_slice(cluster, key, id.1.clone(), None, dirty);
        }
    }

    fn put_slice(
        &mut self,
        cluster: &ClusterName,
        key: ServiceKey,
        name: String,
        slice: Option<Slice>,
        dirty: &mut Dirty,
    ) {
        self.change(cluster, key, dirty, |part| {
            let before = match slice {
                Some(slice) => part.slices.insert(name, slice),
                None => part.slices.remove(&name),
            };
            before != slice
        });
    }

    /// Changes one service's part in one member, and cleans up what became empty.
    fn change(
        &mut self,
        cluster: &ClusterName,
        key: ServiceKey,
        dirty: &mut Dirty,
        change: impl FnOnce(&mut ServiceInMember) -> bool,
    ) {
        let members = self.world.services.entry(key.clone()).or_default();
        let part = members.entry(cluster.clone()).or_default();
        let differs = change(part);
        if *part == ServiceInMember::default() {
            members.remove(cluster);
            if members.is_empty() {
                self.world.services.remove(&key);
            }
        }
        if differs {
            dirty.services.insert(key);
        }
    }
}

fn id_of(object: &EndpointSlice) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}
