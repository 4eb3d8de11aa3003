//! Objects of the host cluster: Cluster, DNSZone, DNSRoute.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::core::DynamicObject;
use meridian_dns_core::Liveness;
use meridian_federation_api as api;
use meridian_federation_core::{ClusterFacts, ClusterHealth, ClusterName, Identity, ServiceKey, Timestamp};

use crate::{Dirty, Event, Index, ParseError, parse, signing};

impl Index {
    /// Cluster objects.
    pub fn clusters(&mut self, event: Event<DynamicObject>, now: Timestamp) -> Dirty {
        let mut dirty = Dirty::default();
        if matches!(event, Event::Reset(_)) {
            let first = !std::mem::replace(&mut self.listed.clusters, true);
            dirty.zones |= first;
            if first {
                dirty.federated.extend(self.sync.keys());
            }
        }
        let known = || {
            self.clusters
                .keys()
                .cloned()
                .chain(self.refused_clusters())
                .collect::<Vec<_>>()
        };
        let (gone, set) = event.resolve(known, parse::cluster_name);
        for name in gone {
            self.remove_cluster(&name, &mut dirty);
        }
        for object in set {
            self.set_cluster(object, now, &mut dirty);
        }
        // Sites that a policy names may be there now, or no more.
        if dirty.zones {
            self.follow_policies(None, &mut dirty);
        }
        dirty
    }

    /// The `Cluster` object of that name, as last seen.
    pub fn cluster_object(&self, name: &ClusterName) -> Option<&api::Cluster> {
        self.clusters.get(name)
    }

    /// All `Cluster` objects.
    pub fn cluster_objects(&self) -> impl Iterator<Item = (&ClusterName, &api::Cluster)> {
        self.clusters.iter()
    }

    fn set_cluster(&mut self, object: DynamicObject, now: Timestamp, dirty: &mut Dirty) {
        let name = parse::cluster_name(&object);
        let Some(object) = self.typed::<api::Cluster>("Cluster", name.as_str(), object) else {
            self.refresh_facts(&name, dirty);
            dirty.zones |= !self.world.clusters.contains_key(&name);
            dirty.clusters.insert(name);
            return;
        };
        let problem = match parse::cluster(&object) {
            Ok(cluster) => {
                let old = self.world.clusters.get(&name);
                if old != Some(&cluster) {
                    let place_differs =
                        old.is_none_or(|old| (&old.region, &old.zones) != (&cluster.region, &cluster.zones));
                    dirty.sites = true;
                    dirty.zones |= old.is_none();
                    if old.is_none_or(|old| old.networks != cluster.networks) {
                        // Another cluster may have lost one of its networks to this one, or have it back.
                        dirty.clusters.extend(self.world.clusters.keys().cloned());
                    }
                    if old.is_some_and(|old| old.uid != cluster.uid) {
                        self.world.members.entry(name.clone()).or_default().identity = Identity::Unverified;
                    }
                    self.breaker.release_site(&name, cluster.released);
                    self.world.clusters.insert(name.clone(), cluster);
                    if place_differs {
                        dirty.services.extend(self.services_of(&name));
                    }
                }
                let saved = self.saved.as_ref().and_then(|saved| saved.sites.get(&name));
                let liveness = saved.map_or(Liveness::Alive, |site| site.liveness);
                self.health
                    .entry(name.clone())
                    .or_insert_with(|| ClusterHealth::with_verdict(liveness, now));
                None
            }
            Err(problem) => Some(problem),
        };
        dirty.zones |= problem.is_some() && !self.world.clusters.contains_key(&name);
        let other_problem = self.set_problem("Cluster", name.as_str(), problem);
        self.refresh_facts(&name, dirty);
        // What connections and conditions are made from; the rest of the metadata changes nothing.
        let used = |object: &api::Cluster| (object.spec.clone(), object.status.clone(), object.metadata.generation);
        let now_used = used(&object);
        let before = self.clusters.insert(name.clone(), object);
        if other_problem || before.is_none_or(|before| used(&before) != now_used) {
            dirty.clusters.insert(name);
        }
    }

    fn remove_cluster(&mut self, name: &ClusterName, dirty: &mut Dirty) {
        let refused = self.set_problem("Cluster", name.as_str(), None);
        if self.clusters.remove(name).is_none() && !refused {
            return;
        }
        if let Some(cluster) = self.world.clusters.remove(name)
            && !cluster.networks.is_empty()
        {
            dirty.clusters.extend(self.world.clusters.keys().cloned());
        }
        self.world.members.remove(name);
        self.health.remove(name);
        self.slice_owners.remove(name);
        for key in self.member_services.remove(name).unwrap_or_default() {
            if let Some(members) = self.world.services.get_mut(&key) {
                members.remove(name);
                if members.is_empty() {
                    self.world.services.remove(&key);
                }
            }
            dirty.services.insert(key);
        }
        self.sync.forget_cluster(name);
        self.refresh_facts(name, dirty);
        dirty.sites = true;
        dirty.zones = true;
    }

    /// Clusters whose objects were never usable, so that nothing is known of them but that they exist.
    pub(crate) fn refused_clusters(&self) -> impl Iterator<Item = ClusterName> {
        self.problems
            .keys()
            .filter(|(kind, _)| *kind == "Cluster")
            .map(|(_, name)| ClusterName::new(name.as_str()))
            .filter(|name| !self.world.clusters.contains_key(name))
    }

    /// Keeps the facts that placement uses; a difference makes every federated object dirty, since any
    /// of them may be placed there.
    pub(crate) fn refresh_facts(&mut self, name: &ClusterName, dirty: &mut Dirty) {
        let facts = self.world.clusters.get(name).map(|cluster| {
            let identity = self.world.members.get(name).map(|member| &member.identity);
            let health = self.health.get(name);
            let why_not = match identity {
                Some(Identity::Wrong { found, .. }) => format!("another cluster answers, with UID {found}"),
                Some(Identity::Confirmed) if health.is_some_and(ClusterHealth::reachable) => String::new(),
                Some(Identity::Confirmed) => health
                    .and_then(ClusterHealth::trouble)
                    .unwrap_or("its API does not answer")
                    .to_owned(),
                Some(Identity::Unverified) | None => "not contacted yet".to_owned(),
            };
            ClusterFacts {
                labels: cluster.labels.clone(),
                reachable: why_not.is_empty(),
                paused: cluster.sync_paused,
                why_not,
                confirmed_deletions: cluster.confirmed_deletions,
            }
        });
        // A cluster that cannot be used is in the fleet all the same: what it holds is not forgotten.
        let refused = || {
            let problem = self.problem("Cluster", name.as_str())?;
            Some(ClusterFacts {
                labels: BTreeMap::new(),
                reachable: false,
                paused: false,
                why_not: format!("its Cluster object cannot be used: {problem}"),
                confirmed_deletions: 0,
            })
        };
        let facts = facts.or_else(refused);
        if self.facts.get(name) == facts.as_ref() {
            return;
        }
        match facts {
            Some(facts) => self.facts.insert(name.clone(), facts),
            None => self.facts.remove(name),
        };
        dirty.federated.extend(self.sync.keys());
    }

    /// DNSZone objects.
    pub fn zones(&mut self, event: Event<DynamicObject>) -> Dirty {
        let mut dirty = Dirty::default();
        if matches!(event, Event::Reset(_)) {
            dirty.zones |= !std::mem::replace(&mut self.listed.zones, true);
        }
        let (gone, set) = event.resolve(|| self.zones.keys().cloned(), ResourceExt::name_any);
        for name in gone {
            self.remove_zone(&name, &mut dirty);
        }
        for object in set {
            self.set_zone(object, &mut dirty);
        }
        dirty
    }

    /// All DNSZone objects.
    pub fn zone_objects(&self) -> impl Iterator<Item = &api::DNSZone> {
        self.zones.values()
    }

    fn set_zone(&mut self, object: DynamicObject, dirty: &mut Dirty) {
        let name = object.name_any();
        let Some(object) = self.typed::<api::DNSZone>("DNSZone", &name, object) else {
            dirty.zones = true;
            return;
        };
        let parsed = parse::zone(&object, self.text_reader.as_deref());
        let made = parsed.and_then(|zone| Ok((zone, signing::signing(&object)?, parse::transfer(&object)?)));
        let problem = match made {
            Ok((zone, signing, transfer)) => {
                // How it is signed and who is given it concern no name.
                dirty.zones |= self.set_transfer(&name, transfer);
                if self.world.signing.get(&name) != Some(&signing) {
                    self.world.signing.insert(name.clone(), signing);
                    dirty.zones = true;
                }
                if self.world.zones.get(&name) != Some(&zone) {
                    self.breaker.release_zone(&zone.domain, zone.released);
                    self.world.zones.insert(name.clone(), zone);
                    dirty.zones = true;
                    dirty.services.extend(self.world.services.keys().cloned());
                }
                None
            }
            Err(problem) => Some(problem),
        };
        // Also a refusal has to be told: it is in the zone's status.
        dirty.zones |= self.set_problem("DNSZone", &name, problem);
        self.zones.insert(name, object);
    }

    fn remove_zone(&mut self, name: &str, dirty: &mut Dirty) {
        self.zones.remove(name);
        self.world.signing.remove(name);
        self.set_transfer(name, None);
        self.set_problem("DNSZone", name, None);
        if self.world.zones.remove(name).is_some() {
            dirty.zones = true;
            dirty.services.extend(self.world.services.keys().cloned());
        }
    }

    /// DNSRoute objects.
    pub fn routes(&mut self, event: Event<DynamicObject>) -> Dirty {
        let mut dirty = Dirty::default();
        if matches!(event, Event::Reset(_)) {
            dirty.zones |= !std::mem::replace(&mut self.listed.routes, true);
        }
        let (gone, set) = event.resolve(|| self.routes.keys().cloned(), route_id);
        for id in gone {
            self.remove_route(&id, &mut dirty);
        }
        for object in set {
            self.set_route(object, &mut dirty);
        }
        dirty
    }

    /// The DNSRoute of that namespace and name.
    pub fn route_object(&self, namespace: &str, name: &str) -> Option<&api::DNSRoute> {
        self.routes.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// All DNSRoute objects of a service, also those that cannot be used as they stand.
    pub fn routes_of(&self, key: &ServiceKey) -> impl Iterator<Item = &api::DNSRoute> {
        self.world
            .routes_of
            .get(key)
            .into_iter()
            .flatten()
            .filter_map(|id| self.routes.get(id))
    }

    fn set_route(&mut self, object: DynamicObject, dirty: &mut Dirty) {
        let id = route_id(&object);
        let Some(object) = self.typed::<api::DNSRoute>("DNSRoute", &format!("{}/{}", id.0, id.1), object) else {
            return;
        };
        let problem = match parse::route(&object) {
            Ok(route) => {
                if self.world.routes.get(&id) != Some(&route) {
                    self.unlink_route(&id, dirty);
                    dirty.services.insert(route.service.clone());
                    self.world
                        .routes_of
                        .entry(route.service.clone())
                        .or_default()
                        .insert(id.clone());
                    self.world.routes.insert(id.clone(), route);
                    self.follow_policy(&id, dirty);
                }
                None
            }
            Err(problem) => {
                // Without an earlier version in use it is linked all the same, so that its status is written.
                let source = source_of(&id, &object);
                let linked = self
                    .world
                    .routes_of
                    .get(&source)
                    .is_some_and(|routes| routes.contains(&id));
                if !linked && !self.world.routes.contains_key(&id) {
                    self.unlink_route(&id, dirty);
                    self.world.routes_of.entry(source).or_default().insert(id.clone());
                }
                Some(problem)
            }
        };
        let told = self.set_problem("DNSRoute", &format!("{}/{}", id.0, id.1), problem);
        if told {
            let used = self.world.routes.get(&id).map(|route| route.service.clone());
            dirty.services.insert(used.unwrap_or_else(|| source_of(&id, &object)));
        }
        self.routes.insert(id, object);
    }

    fn remove_route(&mut self, id: &(String, String), dirty: &mut Dirty) {
        self.set_problem("DNSRoute", &format!("{}/{}", id.0, id.1), None);
        self.unlink_route(id, dirty);
        self.forget_policy(id);
        self.routes.remove(id);
    }

    fn unlink_route(&mut self, id: &(String, String), dirty: &mut Dirty) {
        let used = self.world.routes.remove(id).map(|route| route.service);
        let Some(service) = used.or_else(|| self.routes.get(id).map(|object| source_of(id, object))) else {
            return;
        };
        if let Some(routes) = self.world.routes_of.get_mut(&service) {
            routes.remove(id);
            if routes.is_empty() {
                self.world.routes_of.remove(&service);
            }
        }
        dirty.services.insert(service);
    }

    /// The object as its type. One that does not fit is a problem of that object, never a dead watch.
    pub(crate) fn typed<T: kube::Resource + serde::de::DeserializeOwned>(
        &mut self,
        kind: &'static str,
        name: &str,
        object: DynamicObject,
    ) -> Option<T> {
        match object.try_parse() {
            Ok(object) => Some(object),
            Err(error) => {
                let problem = ParseError {
                    field: "the object".to_owned(),
                    message: format!("does not fit its type: {error}"),
                };
                self.set_problem(kind, name, Some(problem));
                None
            }
        }
    }

    /// Keeps the problem of an object; true if it is another one than before, or gone.
    pub(crate) fn set_problem(&mut self, kind: &'static str, name: &str, problem: Option<ParseError>) -> bool {
        let id = (kind, name.to_owned());
        let before = match problem.clone() {
            Some(problem) => self.problems.insert(id, problem),
            None => self.problems.remove(&id),
        };
        before != problem
    }

    /// Everything that is wrong with the host's objects: kind, name, and what.
    pub fn problems(&self) -> impl Iterator<Item = (&'static str, &str, &ParseError)> {
        let all = self.problems.iter();
        all.map(|((kind, name), problem)| (*kind, name.as_str(), problem))
    }

    /// Why the object of that kind and name (`namespace/name` if it has one) is not used as it stands.
    pub fn problem(&self, kind: &'static str, name: &str) -> Option<&ParseError> {
        self.problems.get(&(kind, name.to_owned()))
    }
}

/// The service that a DNSRoute names.
fn source_of((namespace, _): &(String, String), object: &api::DNSRoute) -> ServiceKey {
    ServiceKey {
        namespace: namespace.clone(),
        name: object.spec.source.name.clone(),
    }
}

fn route_id(object: &DynamicObject) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}
