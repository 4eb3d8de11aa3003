//! A host and members that carry out what the index hands out, by hand and one thing at a time.
//!
//! What a controller does between a step's end and the next event of a watch is where writes get lost or
//! doubled. So nothing happens here by itself: a test says when jobs end and when a watch shows what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meridian_controller_index::{Dirty, Event, HostWrite, HostWriteEnd, Index, StepEnd};
use meridian_federation_core::names::{CONTROL_PLANE_ANNOTATION, MANAGED_LABEL};
use meridian_federation_core::{ClusterOutcome, FederatedKey, HealthSettings, ObjectKind, Step, Timestamp, WaitReason};
use serde_json::{Value, json};

use super::{NOW, cluster_object, dynamic, name};

pub(crate) fn deployments() -> Arc<ObjectKind> {
    kind("apps", "Deployment", "deployments", true)
}

pub(crate) fn namespaces() -> Arc<ObjectKind> {
    kind("", "Namespace", "namespaces", false)
}

fn kind(group: &str, kind: &str, plural: &str, namespaced: bool) -> Arc<ObjectKind> {
    let (group, kind, plural) = (group.to_owned(), kind.to_owned(), plural.to_owned());
    Arc::new(ObjectKind {
        group,
        version: "v1".to_owned(),
        kind,
        plural,
        namespaced,
    })
}

pub(crate) fn key(name: &str) -> FederatedKey {
    FederatedKey {
        kind: deployments(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

/// The FederatedNamespace of `shop`, with that spec.
pub(crate) fn federated_namespace(spec: Value) -> Value {
    json!({
        "apiVersion": "types.meridian.dev/v1alpha1", "kind": "FederatedNamespace",
        "metadata": {"namespace": "shop", "name": "shop", "resourceVersion": "1", "uid": "host-namespace"},
        "spec": spec,
    })
}

/// Something handed out and not ended yet.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    Host(FederatedKey, HostWrite),
    Step(FederatedKey, String, Step),
}

/// A namespace `shop` in every cluster, FederatedDeployments on the host, and Deployments in members.
pub(crate) struct Fleet {
    pub(crate) index: Index,
    pub(crate) now: Timestamp,
    pub(crate) jobs: Vec<Job>,
    pub(crate) host: BTreeMap<String, Value>,
    pub(crate) members: BTreeMap<String, BTreeMap<String, Value>>,
    dirty: BTreeSet<FederatedKey>,
    /// The last version and UID given out.
    counter: u64,
}

impl Fleet {
    pub(crate) fn new(clusters: &[&str]) -> Self {
        let mut fleet = Self {
            index: Index::new("prod", HealthSettings::default()),
            now: NOW,
            jobs: Vec::new(),
            host: BTreeMap::new(),
            members: clusters
                .iter()
                .map(|cluster| ((*cluster).to_owned(), BTreeMap::new()))
                .collect(),
            dirty: BTreeSet::new(),
            counter: 1,
        };
        fleet.list_clusters();
        fleet.list_federated_namespaces();
        fleet.list_members();
        fleet
    }

    /// The controller starts anew: nothing is known any more, and nothing is under way.
    pub(crate) fn restart(&mut self) {
        self.index = Index::new("prod", HealthSettings::default());
        self.jobs.clear();
        self.dirty.clear();
    }

    /// The host's Clusters are listed.
    pub(crate) fn list_clusters(&mut self) {
        let objects = self.members.keys().map(|cluster| cluster_object(cluster)).collect();
        let dirty = self.index.clusters(dynamic(Event::Reset(objects)), self.now);
        self.note(dirty);
    }

    /// The host's FederatedNamespaces are listed: `shop`, everywhere.
    pub(crate) fn list_federated_namespaces(&mut self) {
        let everywhere = json!({"placement": {"clusterSelector": {}}});
        self.federated_namespace(Event::Reset(vec![federated_namespace(everywhere)]));
    }

    pub(crate) fn federated_namespace(&mut self, event: Event<Value>) {
        let dirty = self.index.federated(&namespaces(), dynamic(event));
        self.note(dirty);
    }

    /// The host's FederatedDeployments are listed.
    pub(crate) fn list_federated(&mut self) {
        let objects = self.host.values().cloned().collect();
        let dirty = self.index.federated(&deployments(), dynamic(Event::Reset(objects)));
        self.note(dirty);
    }

    /// Every member answers as the one we joined, and its kinds are listed.
    pub(crate) fn list_members(&mut self) {
        for cluster in self.members.keys().cloned().collect::<Vec<_>>() {
            let dirty = self.index.identity(&name(&cluster), Ok(()), self.now);
            self.note(dirty);
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {
                    "name": "shop", "resourceVersion": "1", "uid": "namespace",
                    "labels": {MANAGED_LABEL: "true"}, "annotations": {CONTROL_PLANE_ANNOTATION: "prod"},
                },
            });
            let dirty = self
                .index
                .managed(&name(&cluster), &namespaces(), dynamic(Event::Reset(vec![namespace])));
            self.note(dirty);
            self.relist(&cluster);
        }
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Notes what an event made dirty.
    pub(crate) fn note(&mut self, dirty: Dirty) {
        self.dirty
            .extend(dirty.federated.into_iter().filter(|key| !key.kind.is_namespace()));
    }

    /// A user puts a FederatedDeployment in the clusters with label `env: prod`.
    pub(crate) fn create(&mut self, object: &str) {
        let uid = self.next();
        self.host.insert(
            object.to_owned(),
            json!({
                "apiVersion": "types.meridian.dev/v1alpha1", "kind": "FederatedDeployment",
                "metadata": {"namespace": "shop", "name": object, "uid": format!("host-{uid}"), "generation": 1},
                "spec": {
                    "template": {"spec": {"replicas": 2}},
                    "placement": {"clusterSelector": {"matchLabels": {"env": "prod"}}},
                },
            }),
        );
        self.edit_host(object, |_| {});
    }

    /// The object on the host changes, and its watch shows it.
    pub(crate) fn edit_host(&mut self, object: &str, edit: impl FnOnce(&mut Value)) {
        let version = self.next();
        let stored = self.host.get_mut(object).expect("on the host");
        edit(stored);
        stored["metadata"]["resourceVersion"] = json!(version.to_string());
        let event = Event::Apply(stored.clone());
        let dirty = self.index.federated(&deployments(), dynamic(event));
        self.note(dirty);
    }

    pub(crate) fn delete_on_host(&mut self, object: &str) {
        self.edit_host(object, |stored| {
            stored["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        });
    }

    /// The Cluster object changes.
    pub(crate) fn edit_cluster(&mut self, cluster: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = cluster_object(cluster);
        edit(&mut object);
        object["metadata"]["resourceVersion"] = json!(self.next().to_string());
        let dirty = self.index.clusters(dynamic(Event::Apply(object)), self.now);
        self.note(dirty);
    }

    /// The member's API does not answer, long enough to be called offline; or it answers.
    pub(crate) fn reach(&mut self, cluster: &str, answers: bool) {
        for _ in 0..3 {
            let result = if answers {
                Ok(())
            } else {
                Err("connection refused".to_owned())
            };
            let dirty = self.index.api_result(&name(cluster), result, self.now);
            self.note(dirty);
        }
        if answers {
            self.relist(cluster);
        }
    }

    /// The member's Deployments are listed anew.
    pub(crate) fn relist(&mut self, cluster: &str) {
        let objects = self.members[cluster].values().cloned().collect();
        let dirty = self
            .index
            .managed(&name(cluster), &deployments(), dynamic(Event::Reset(objects)));
        self.note(dirty);
    }

    /// Plans what is dirty. The jobs handed out, as text; writes of the status alone are not told.
    pub(crate) fn plan(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for planned in self.index.plan(std::mem::take(&mut self.dirty), self.now) {
            let object = &planned.key.name;
            for (cluster, step) in planned.steps {
                told.push(format!("{object} {cluster}: {step}"));
                self.jobs
                    .push(Job::Step(planned.key.clone(), cluster.to_string(), step));
            }
            if let Some(write) = planned.host {
                match &write.finalizers {
                    Some(finalizers) if finalizers.is_empty() => told.push(format!("{object} host: no finalizer")),
                    Some(_) => told.push(format!("{object} host: finalizer")),
                    None => {}
                }
                self.jobs.push(Job::Host(planned.key, write));
            }
        }
        told
    }

    /// Carries out a job. Its end is reported; the watch does not show it yet.
    pub(crate) fn end(&mut self, job: Job) {
        match job {
            Job::Host(key, write) => self.write_host(&key, write),
            Job::Step(key, cluster, step) => {
                let end = self.carry_out(&cluster, &key.name, &step);
                self.report(&key, &cluster, end);
            }
        }
    }

    /// Reports how a step ended.
    pub(crate) fn report(&mut self, key: &FederatedKey, cluster: &str, end: StepEnd) {
        let (dirty, _) = self.index.step_ended(key, &name(cluster), end, self.now);
        self.note(dirty);
    }

    /// The member's watch shows the object as it is, or that it is gone.
    pub(crate) fn show(&mut self, cluster: &str, object: &str) {
        let event = match self.members[cluster].get(object) {
            Some(stored) => Event::Apply(stored.clone()),
            None => Event::Delete(json!({"metadata": {"namespace": "shop", "name": object}})),
        };
        let dirty = self.index.managed(&name(cluster), &deployments(), dynamic(event));
        self.note(dirty);
    }

    /// Ends all jobs and shows what they did.
    pub(crate) fn finish(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            self.end(job.clone());
            if let Job::Step(key, cluster, _) = job {
                self.show(&cluster, &key.name);
            }
        }
    }

    /// Plans and finishes until nothing is handed out any more; all that was told.
    pub(crate) fn settle(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for _ in 0..10 {
            told.extend(self.plan());
            if self.jobs.is_empty() {
                return told;
            }
            self.finish();
        }
        panic!("does not come to rest: {told:?}");
    }

    /// The steps under way, taken out of the jobs.
    pub(crate) fn take_steps(&mut self) -> Vec<Job> {
        let (steps, others) = std::mem::take(&mut self.jobs)
            .into_iter()
            .partition(|job| matches!(job, Job::Step(..)));
        self.jobs = others;
        steps
    }

    fn write_host(&mut self, key: &FederatedKey, write: HostWrite) {
        let stored = self.host.get_mut(&key.name);
        let Some(stored) = stored.filter(|stored| stored["metadata"]["resourceVersion"] == write.resource_version)
        else {
            let dirty = self.index.host_write_ended(key, HostWriteEnd::Superseded);
            self.note(dirty);
            return;
        };
        if let Some(status) = write.status {
            stored["status"] = serde_json::to_value(status).expect("a status");
        }
        if let Some(finalizers) = write.finalizers {
            stored["metadata"]["finalizers"] = json!(finalizers);
        }
        let metadata = &stored["metadata"];
        if metadata["finalizers"].as_array().is_none_or(Vec::is_empty) && !metadata["deletionTimestamp"].is_null() {
            let last = self.host.remove(&key.name).expect("it was there");
            let dirty = self.index.federated(&deployments(), dynamic(Event::Delete(last)));
            self.note(dirty);
            return;
        }
        let version = self.counter + 1;
        let dirty = self
            .index
            .host_write_ended(key, HostWriteEnd::Written(version.to_string()));
        self.note(dirty);
        self.edit_host(&key.name, |_| {});
    }

    fn carry_out(&mut self, cluster: &str, object: &str, step: &Step) -> StepEnd {
        let version = self.next().to_string();
        let stored = self.members.get_mut(cluster).expect("a member");
        match step {
            Step::Create { .. } if stored.contains_key(object) => {
                StepEnd::Failed(ClusterOutcome::Refused(WaitReason::AlreadyExists))
            }
            Step::Create { desired, hash, .. } | Step::Update { desired, hash, .. } => {
                let uid = stored
                    .get(object)
                    .map_or_else(|| json!(format!("uid-{version}")), |old| old["metadata"]["uid"].clone());
                let mut desired = desired.clone();
                desired["metadata"]["uid"] = uid;
                desired["metadata"]["resourceVersion"] = json!(version);
                stored.insert(object.to_owned(), desired);
                StepEnd::Written {
                    hash: hash.clone(),
                    resource_version: version,
                    generation: None,
                }
            }
            _ => {
                stored.remove(object);
                StepEnd::Removed
            }
        }
    }

    /// Somebody else changes the object in a member, and the watch shows it.
    pub(crate) fn edit_member(&mut self, cluster: &str, object: &str, edit: impl FnOnce(&mut Value)) {
        let version = self.next();
        let stored = self
            .members
            .get_mut(cluster)
            .expect("a member")
            .get_mut(object)
            .expect("an object");
        edit(stored);
        stored["metadata"]["resourceVersion"] = json!(version.to_string());
        self.show(cluster, object);
    }

    /// Reason and message of the object's condition on the host.
    pub(crate) fn condition(&self, object: &str) -> String {
        let condition = &self.host[object]["status"]["conditions"][0];
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("reason"), text("message"))
    }

    /// The clusters in the object's inventory on the host.
    pub(crate) fn inventory(&self, object: &str) -> Vec<&str> {
        let entries = self.host[object]["status"]["inventory"].as_array();
        entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry["cluster"].as_str())
            .collect()
    }
}
