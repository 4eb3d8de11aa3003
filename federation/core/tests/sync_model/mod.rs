//! A host with one federated object, and clusters that carry out plans: what resource sync is tested on.
//!
//! It behaves like API servers where that matters to a plan: a create meets what is there already, an update
//! and a delete are conditional, applied fields stay beside the server's own, and values are normalised
//! (`1000m` is stored as `1`). What has no managed label is invisible, as in a label-selected watch, until
//! a create runs into it.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meridian_federation_core::names::{
    CONTROL_PLANE_ANNOTATION, CREATED_ANNOTATION, DESIRED_HASH_ANNOTATION, MANAGED_LABEL,
};
use meridian_federation_core::{
    ClusterFacts, ClusterName, ClusterOutcome, FederatedKey, FederatedObject, FinalizerStep, Freshness, LabelSelector,
    MemberObject, MemberView, NamespacePlacement, ObjectKind, Placement, Settled, Step, SyncInput, SyncPlan, Timestamp,
    as_update, may_adopt, plan_sync, sync_status,
};
use serde_json::{Value, json};

/// The id of the control plane under test.
pub(crate) const US: &str = "prod";

pub(crate) fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name)
}

pub(crate) fn stale() -> Freshness {
    Freshness::Stale {
        since: Timestamp(0),
        reason: "the watch broke".to_owned(),
    }
}

pub(crate) fn deployment_kind() -> Arc<ObjectKind> {
    Arc::new(ObjectKind {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        kind: "Deployment".to_owned(),
        plural: "deployments".to_owned(),
        namespaced: true,
    })
}

pub(crate) fn namespace_kind() -> Arc<ObjectKind> {
    Arc::new(ObjectKind {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        plural: "namespaces".to_owned(),
        namespaced: false,
    })
}

/// A deployment `shop/web` placed in all clusters.
pub(crate) fn deployment() -> FederatedObject {
    FederatedObject {
        key: FederatedKey {
            kind: deployment_kind(),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        },
        uid: "host-1".to_owned(),
        generation: 1,
        template: json!({
            "metadata": {"labels": {"app": "web"}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "web", "cpu": "1000m"}]}}}
        }),
        placement: Placement {
            clusters: None,
            selector: Some(LabelSelector::default()),
        },
        overrides: Vec::new(),
        retain_replicas: false,
        deletion: None,
        adopt: false,
        has_finalizer: false,
        inventory: BTreeMap::new(),
    }
}

/// A member as its watch shows an object with these marks.
pub(crate) fn observed(uid: &str, version: u64, apply_owned: bool, deleting: bool, object: Value) -> MemberObject {
    let annotation = |name: &str| object["metadata"]["annotations"][name].as_str().map(str::to_owned);
    MemberObject {
        uid: uid.to_owned(),
        resource_version: version.to_string(),
        generation: Some(1),
        control_plane: annotation(CONTROL_PLANE_ANNOTATION),
        opted_out: object["metadata"]["labels"][MANAGED_LABEL] == "false",
        created_by_us: annotation(CREATED_ANNOTATION).as_deref() == Some("true"),
        deleting,
        desired_hash: annotation(DESIRED_HASH_ANNOTATION),
        apply_owned,
        object: Arc::new(object),
    }
}

/// One cluster of the model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    pub(crate) freshness: Freshness,
    pub(crate) object: Option<MemberObject>,
    pub(crate) visible: bool,
    pub(crate) namespace_ready: bool,
    pub(crate) settled: Option<Settled>,
}

/// The whole model.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) object: FederatedObject,
    pub(crate) namespace: NamespacePlacement,
    pub(crate) clusters: BTreeMap<ClusterName, ClusterFacts>,
    pub(crate) members: BTreeMap<ClusterName, Member>,
    pub(crate) held: BTreeSet<ClusterName>,
    /// Whether the host still has the object.
    pub(crate) exists: bool,
    counter: u64,
}

impl Model {
    /// Reachable clusters with nothing in them, and a namespace that goes everywhere.
    pub(crate) fn new(object: FederatedObject, names: &[&str]) -> Self {
        let facts = ClusterFacts {
            reachable: true,
            ..ClusterFacts::default()
        };
        let member = Member {
            freshness: Freshness::Fresh,
            visible: true,
            namespace_ready: true,
            ..Member::default()
        };
        Self {
            object,
            namespace: NamespacePlacement::Placed(names.iter().map(|name| cluster(name)).collect()),
            clusters: names.iter().map(|name| (cluster(name), facts.clone())).collect(),
            members: names.iter().map(|name| (cluster(name), member.clone())).collect(),
            held: BTreeSet::new(),
            exists: true,
            counter: 0,
        }
    }

    pub(crate) fn facts(&mut self, name: &str) -> &mut ClusterFacts {
        self.clusters.get_mut(&cluster(name)).expect("a cluster of the model")
    }

    pub(crate) fn member(&mut self, name: &str) -> &mut Member {
        self.members.get_mut(&cluster(name)).expect("a cluster of the model")
    }

    /// A new number, for UIDs and resource versions.
    pub(crate) fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Puts an object there, as somebody else than the plan would.
    pub(crate) fn put(&mut self, name: &str, object: Value) {
        let (uid, version) = (self.number(), self.number());
        let visible = !object["metadata"]["labels"][MANAGED_LABEL].is_null();
        let member = self.member(name);
        member.visible = visible;
        member.object = Some(observed(&format!("u{uid}"), version, true, false, object));
    }

    /// Changes the object there, as somebody else than the plan would.
    pub(crate) fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Value)) {
        let version = self.number();
        let member = self.member(name);
        let old = member.object.take().expect("an object to edit");
        let mut object = (*old.object).clone();
        edit(&mut object);
        member.visible = !object["metadata"]["labels"][MANAGED_LABEL].is_null();
        member.object = Some(observed(&old.uid, version, old.apply_owned, old.deleting, object));
    }

    pub(crate) fn plan(&self) -> SyncPlan {
        let members = self.members.iter().map(|(name, member)| {
            let view = MemberView {
                freshness: &member.freshness,
                object: member.object.as_ref().filter(|_| member.visible),
                namespace_ready: member.namespace_ready,
                settled: member.settled.as_ref(),
                under_way: false,
            };
            (name.clone(), view)
        });
        plan_sync(&SyncInput {
            object: &self.object,
            namespace_placement: self.namespace.clone(),
            clusters: &self.clusters,
            members: members.collect(),
            control_plane: US,
            held_deletions: &self.held,
        })
    }

    /// Carries a plan out and says what came of it.
    pub(crate) fn apply(&mut self, plan: &SyncPlan) -> BTreeMap<ClusterName, ClusterOutcome> {
        match plan.finalizer {
            FinalizerStep::Add => {
                self.object.has_finalizer = true;
                return BTreeMap::new();
            }
            FinalizerStep::Remove => {
                self.object.has_finalizer = false;
                self.exists = false;
            }
            FinalizerStep::Keep => {}
        }
        self.object.inventory = plan.inventory.clone();
        let steps = plan.steps.iter().filter(|(_, step)| step.writes());
        steps
            .map(|(name, step)| (name.clone(), self.carry_out(name, step)))
            .collect()
    }

    fn carry_out(&mut self, name: &ClusterName, step: &Step) -> ClusterOutcome {
        let (fresh_uid, version) = (self.number(), self.number());
        let (adopt, retain) = (self.object.adopt, self.object.retain_replicas);
        let member = self
            .members
            .get_mut(name)
            .expect("a step is for a cluster of the model");
        let conflict = || ClusterOutcome::Failed {
            reason: "Conflict".to_owned(),
            message: "it changed".to_owned(),
        };
        let matches = |uid: &String| member.object.as_ref().is_some_and(|there| there.uid == *uid);
        let (desired, hash, uid, apply_owned) = match step {
            Step::Create { desired, hash, .. } => match &member.object {
                None => (desired.clone(), hash, format!("u{fresh_uid}"), false),
                Some(there) => {
                    member.visible = true;
                    if let Some(reason) = may_adopt(there, US, adopt) {
                        return ClusterOutcome::Refused(reason);
                    }
                    (as_update(desired, there, retain), hash, there.uid.clone(), true)
                }
            },
            Step::Update { desired, hash, uid, .. } if matches(uid) => (desired.clone(), hash, uid.clone(), true),
            Step::Delete { uid, resource_version } if matches(uid) => {
                let there = member.object.as_ref().expect("it matches");
                if there.resource_version != *resource_version {
                    return conflict();
                }
                member.object = None;
                member.settled = None;
                return ClusterOutcome::Done;
            }
            Step::Release { uid } if matches(uid) => {
                let there = member.object.take().expect("it matches");
                let mut object = (*there.object).clone();
                strip_marks(&mut object);
                member.object = Some(observed(&there.uid, version, true, there.deleting, object));
                member.visible = false;
                member.settled = None;
                return ClusterOutcome::Done;
            }
            _ => return conflict(),
        };
        let mut object = member
            .object
            .take()
            .map_or_else(|| json!({}), |there| (*there.object).clone());
        merge(&mut object, &desired);
        object["spec"]["serverDefault"] = json!(true);
        normalise(&mut object);
        member.visible = true;
        member.object = Some(observed(&uid, version, apply_owned, false, object));
        member.settled = Some(Settled {
            hash: hash.clone(),
            resource_version: version.to_string(),
            generation: None,
        });
        ClusterOutcome::Done
    }

    /// Plans, carries it out, and gives the plan as text.
    pub(crate) fn round(&mut self) -> String {
        let plan = self.plan();
        self.apply(&plan);
        plan.to_string()
    }

    /// Rounds until nothing is written any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..4 {
            let plan = self.plan();
            self.apply(&plan);
        }
        assert!(self.plan().steps.values().all(|step| !step.writes()), "{}", self.plan());
    }

    /// The condition and the per-cluster words after a plan was carried out.
    pub(crate) fn status(&mut self) -> (String, Vec<String>) {
        let plan = self.plan();
        let outcomes = self.apply(&plan);
        let (conditions, clusters) = sync_status(&self.object, &plan, &outcomes);
        let [condition] = conditions.as_slice() else {
            panic!("one condition")
        };
        let words = clusters
            .iter()
            .map(|row| format!("{}={}", row.cluster, row.status))
            .collect();
        (
            format!(
                "{} {}: {}",
                condition.status.as_str(),
                condition.reason,
                condition.message
            ),
            words,
        )
    }
}

fn strip_marks(object: &mut Value) {
    for (place, names) in [
        ("/metadata/labels", &[MANAGED_LABEL][..]),
        (
            "/metadata/annotations",
            &[CONTROL_PLANE_ANNOTATION, CREATED_ANNOTATION, DESIRED_HASH_ANNOTATION][..],
        ),
    ] {
        if let Some(fields) = object.pointer_mut(place).and_then(Value::as_object_mut) {
            fields.retain(|name, _| !names.contains(&name.as_str()));
        }
    }
}

/// What an apply does to fields that were there: wanted ones win, others stay.
fn merge(object: &mut Value, desired: &Value) {
    match (object, desired) {
        (Value::Object(object), Value::Object(desired)) => {
            for (name, desired) in desired {
                merge(object.entry(name.clone()).or_insert(Value::Null), desired);
            }
        }
        (object, desired) => *object = desired.clone(),
    }
}

fn normalise(value: &mut Value) {
    match value {
        Value::String(text) if text == "1000m" => *value = json!("1"),
        Value::Object(fields) => fields.values_mut().for_each(normalise),
        Value::Array(items) => items.iter_mut().for_each(normalise),
        _ => {}
    }
}
