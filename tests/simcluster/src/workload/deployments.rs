//! Deployments: a ReplicaSet per template, the step from one to the next, and the revisions kept.
//!
//! What must stay true: the name of a ReplicaSet follows from the template, so going back to an earlier
//! template (`kubectl rollout undo`) finds its ReplicaSet again and only gives it a new revision. Every
//! write that resizes one fails when it was changed since it was read, so a step is never made twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet, ReplicaSetSpec};
use kube::ResourceExt;
use serde_json::json;

use super::context::{Context, controlled_by};
use super::pods::template_hash;
use super::progress;
use super::rollout::{Limits, Size, rolling};

const HASH_LABEL: &str = "pod-template-hash";
pub(crate) const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";

/// Annotations of a Deployment that speak of it alone.
const OWN_ANNOTATIONS: [&str; 2] = [REVISION_ANNOTATION, "kubectl.kubernetes.io/last-applied-configuration"];

/// A Deployment with its ReplicaSets.
pub(crate) struct Rollout {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) spec: DeploymentSpec,
    pub(crate) limits: Limits,
    /// The name of the ReplicaSet of the template as it is.
    pub(crate) name: String,
    pub(crate) new: Option<Arc<ReplicaSet>>,
    /// Those of other templates, oldest first.
    pub(crate) old: Vec<Arc<ReplicaSet>>,
}

pub(crate) async fn reconcile(context: Context, deployment: Arc<Deployment>) {
    let rollout = Rollout::of(&context, deployment);
    let paused = rollout.spec.paused == Some(true);
    rollout.write_revision(&context).await;
    if paused {
        rollout.resize_the_only_one(&context).await;
    } else if rollout
        .spec
        .strategy
        .as_ref()
        .and_then(|strategy| strategy.type_.as_deref())
        == Some("Recreate")
    {
        rollout.recreate(&context).await;
    } else {
        rollout.step(&context).await;
    }
    let (status, deadline) = progress::status_of(&rollout, jiff::Timestamp::now());
    context.write_status(&*rollout.deployment, status).await;
    if let Some(deadline) = deadline {
        context.look_again(&*rollout.deployment, deadline);
    }
    if rollout.is_complete() {
        rollout.clean_up(&context).await;
    }
}

impl Rollout {
    fn of(context: &Context, deployment: Arc<Deployment>) -> Rollout {
        let spec = deployment.spec.clone().unwrap_or_default();
        let name = format!("{}-{}", deployment.name_any(), template_hash(&spec.template));
        let owned = context.cache.replica_sets.owned_by(&*deployment);
        let (new, mut old): (Vec<_>, Vec<_>) = owned.into_iter().partition(|set| set.name_any() == name);
        old.sort_by_key(|set| revision(&**set));
        Rollout {
            limits: Limits::of(&spec),
            deployment,
            spec,
            name,
            new: new.into_iter().next(),
            old,
        }
    }

    fn next_revision(&self) -> u64 {
        self.old.iter().map(|set| revision(&**set)).max().unwrap_or_default() + 1
    }

    /// Whether all pods are of the new template, and available.
    pub(crate) fn is_complete(&self) -> bool {
        let pods = |set: &Arc<ReplicaSet>| set.status.as_ref().map_or(0, |status| status.replicas);
        let new = self.new.as_ref().is_some_and(|set| {
            let is_seen = set.status.as_ref().and_then(|status| status.observed_generation) == set.metadata.generation;
            is_seen
                && pods(set) == self.limits.replicas
                && size(set)
                    == Size {
                        wanted: self.limits.replicas,
                        available: self.limits.replicas,
                    }
        });
        new && self.old.iter().all(|set| pods(set) == 0 && wanted(set) == 0)
    }

    /// Numbers the ReplicaSet of the template when it came back, and the Deployment after it.
    async fn write_revision(&self, context: &Context) {
        let Some(new) = &self.new else { return };
        let number = self.next_revision().max(revision(&**new));
        let annotated = |number: u64| json!({"metadata": {"annotations": {REVISION_ANNOTATION: number.to_string()}}});
        if revision(&**new) != number {
            context.patch(&**new, annotated(number)).await;
        } else if revision(&*self.deployment) != number {
            context.patch(&*self.deployment, annotated(number)).await;
        }
    }

    /// Makes the new ReplicaSet, or resizes it.
    async fn size_new(&self, context: &Context, to: i32) {
        match &self.new {
            None => context.create(&self.replica_set(to)).await,
            Some(set) => resize(context, set, to).await,
        }
    }

    async fn resize_the_only_one(&self, context: &Context) {
        let sets = self.old.iter().chain(&self.new);
        let mut with_pods = sets.clone().filter(|set| wanted(set) > 0);
        let only = match (with_pods.next(), with_pods.next()) {
            (Some(only), None) => Some(only),
            (None, _) => self.new.as_ref().or(self.old.last()),
            _ => None,
        };
        if let Some(set) = only {
            resize(context, set, self.limits.replicas).await;
        }
    }

    async fn recreate(&self, context: &Context) {
        for set in &self.old {
            resize(context, set, 0).await;
        }
        if self
            .old
            .iter()
            .all(|set| context.cache.pods.owned_by(&**set).is_empty())
        {
            self.size_new(context, self.limits.replicas).await;
        }
    }

    async fn step(&self, context: &Context) {
        let new = self.new.as_ref().map_or(
            Size {
                wanted: 0,
                available: 0,
            },
            size,
        );
        let old: Vec<Size> = self.old.iter().map(size).collect();
        let (grown, shrunk) = rolling(&self.limits, new, &old);
        self.size_new(context, grown).await;
        for (set, to) in self.old.iter().zip(shrunk) {
            resize(context, set, to).await;
        }
    }

    /// Deletes the oldest ReplicaSets without pods that are too many.
    async fn clean_up(&self, context: &Context) {
        let keep = usize::try_from(self.spec.revision_history_limit.unwrap_or(10)).unwrap_or_default();
        for set in self.old.iter().take(self.old.len().saturating_sub(keep)) {
            context.delete(&context.cache.replica_sets, &**set).await;
        }
    }

    fn replica_set(&self, replicas: i32) -> ReplicaSet {
        let hash = template_hash(&self.spec.template);
        let mut template = self.spec.template.clone();
        let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
        labels.insert(HASH_LABEL.to_owned(), hash.clone());
        let mut selector = self.spec.selector.clone();
        selector
            .match_labels
            .get_or_insert_default()
            .insert(HASH_LABEL.to_owned(), hash);

        let mut annotations: BTreeMap<String, String> = self.deployment.annotations().clone();
        annotations.retain(|name, _| !OWN_ANNOTATIONS.contains(&name.as_str()));
        annotations.insert(REVISION_ANNOTATION.to_owned(), self.next_revision().to_string());
        let mut set = ReplicaSet::default();
        set.metadata.name = Some(self.name.clone());
        set.metadata.namespace = self.deployment.namespace();
        set.metadata.labels = Some(labels.clone());
        set.metadata.annotations = Some(annotations);
        set.metadata.owner_references = controlled_by(&*self.deployment);
        set.spec = Some(ReplicaSetSpec {
            min_ready_seconds: self.spec.min_ready_seconds,
            replicas: Some(replicas),
            selector,
            template: Some(template),
        });
        set
    }
}

fn revision(object: &impl ResourceExt) -> u64 {
    let number = object.annotations().get(REVISION_ANNOTATION);
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

pub(crate) fn wanted(set: &Arc<ReplicaSet>) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn size(set: &Arc<ReplicaSet>) -> Size {
    let wanted = wanted(set);
    let available = set.status.as_ref().and_then(|status| status.available_replicas);
    Size {
        wanted,
        available: available.unwrap_or_default().min(wanted),
    }
}

async fn resize(context: &Context, set: &Arc<ReplicaSet>, to: i32) {
    if wanted(set) != to {
        context.patch(&**set, json!({"spec": {"replicas": to}})).await;
    }
}
