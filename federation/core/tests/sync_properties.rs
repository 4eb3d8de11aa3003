//! What holds for every plan, whatever the object and the clusters.
#![allow(clippy::unwrap_used)]

mod sync_model;

use std::collections::BTreeMap;

use meridian_federation_core::names::{
    CONTROL_PLANE_ANNOTATION, CREATED_ANNOTATION, DESIRED_HASH_ANNOTATION, MANAGED_LABEL,
};
use meridian_federation_core::{
    Deletion, FinalizerStep, Freshness, LabelSelector, NamespacePlacement, Override, OverrideTarget, PatchOp,
    PatchOperation, Placement, Step, SyncPlan,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use sync_model::{Model, US, cluster, deployment, observed, stale};

const NAMES: &[&str] = &["a", "b", "c"];

#[derive(Debug, Clone)]
struct MemberCase {
    known: bool,
    reachable: bool,
    paused: bool,
    held: bool,
    namespace_ready: bool,
    freshness: Freshness,
    object: Option<(Value, bool, bool)>,
    in_inventory: Option<Option<&'static str>>,
}

/// Mostly true, so that most cases have something to do.
fn usually() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.8)
}

fn there() -> impl Strategy<Value = Value> {
    let owner = select(vec![None, Some(US), Some(US), Some(US), Some("other")]);
    let label = select(vec!["true", "true", "true", "false", ""]);
    (owner, label, any::<bool>(), 0..3_u32, any::<bool>()).prop_map(|(owner, label, created, replicas, hashed)| {
        let mut object = json!({
            "metadata": {"name": "web", "labels": {}, "annotations": {}}, "spec": {"replicas": replicas}
        });
        let mut annotate = |name: &str, value: &str| object["metadata"]["annotations"][name] = json!(value);
        if let Some(owner) = owner {
            annotate(CONTROL_PLANE_ANNOTATION, owner);
        }
        if created {
            annotate(CREATED_ANNOTATION, "true");
        }
        if hashed {
            annotate(DESIRED_HASH_ANNOTATION, "0123456789abcdef");
        }
        if !label.is_empty() {
            object["metadata"]["labels"][MANAGED_LABEL] = json!(label);
        }
        object
    })
}

fn member() -> impl Strategy<Value = MemberCase> {
    let freshness = select(vec![
        Freshness::Fresh,
        Freshness::Fresh,
        Freshness::Fresh,
        Freshness::Unknown,
        Freshness::Absent,
        stale(),
    ]);
    let object = prop::option::of((there(), any::<bool>(), prop::bool::weighted(0.1)));
    let in_inventory = select(vec![None, Some(None), Some(Some("seen")), Some(Some("older"))]);
    (
        usually(),
        usually(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        usually(),
        freshness,
        object,
        in_inventory,
    )
        .prop_map(
            |(known, reachable, paused, held, namespace_ready, freshness, object, in_inventory)| MemberCase {
                known,
                reachable,
                paused,
                held,
                namespace_ready,
                freshness,
                object,
                in_inventory,
            },
        )
}

fn overrides() -> impl Strategy<Value = Vec<Override>> {
    let path = select(vec![
        "/spec/replicas",
        "/spec/none",
        "/spec/template/spec",
        "/metadata/labels",
        "/kind",
        "x",
    ]);
    let op = select(vec![PatchOp::Add, PatchOp::Remove, PatchOp::Replace]);
    let value = select(vec![json!(4), json!({"x": "1000m"}), json!(null)]);
    let patch = (op, path, value).prop_map(|(op, path, value)| PatchOperation {
        op,
        path: path.to_owned(),
        value,
    });
    let target = select(vec![
        OverrideTarget::Cluster(cluster("a")),
        OverrideTarget::Cluster(cluster("b")),
        OverrideTarget::Selector(LabelSelector::default()),
    ]);
    let one = (target, prop::collection::vec(patch, 0..2)).prop_map(|(target, patches)| Override { target, patches });
    prop::collection::vec(one, 0..3)
}

prop_compose! {
    fn model()(
        members in prop::collection::vec(member(), NAMES.len()),
        overrides in overrides(),
        named in prop::option::of(subsequence(NAMES, 0..=NAMES.len())),
        federated in usually(),
        placed in prop::option::of(subsequence(NAMES, 0..=NAMES.len())),
        deletion in select(vec![None, None, None, Some(Deletion::Cascade), Some(Deletion::Orphan)]),
        (adopt, retain_replicas, has_finalizer) in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) -> Model {
        let mut model = Model::new(deployment(), NAMES);
        let object = &mut model.object;
        (object.overrides, object.deletion, object.adopt) = (overrides, deletion, adopt);
        (object.retain_replicas, object.has_finalizer) = (retain_replicas, has_finalizer || deletion.is_some());
        if let Some(named) = named {
            let clusters = named.into_iter().map(cluster).collect();
            object.placement = Placement { clusters: Some(clusters), selector: None };
        }
        model.namespace = match placed {
            Some(placed) => NamespacePlacement::Placed(placed.into_iter().map(cluster).collect()),
            None if federated => NamespacePlacement::NotApplicable,
            None => NamespacePlacement::NotFederated,
        };
        for (name, case) in NAMES.iter().zip(members) {
            let (uid, version) = (format!("u{}", model.number()), model.number());
            if let Some(recorded) = case.in_inventory {
                let recorded = recorded.map(|which| if which == "seen" { uid.clone() } else { which.to_owned() });
                model.object.inventory.insert(cluster(name), recorded);
            }
            let facts = model.facts(name);
            (facts.reachable, facts.paused) = (case.reachable, case.paused);
            if case.held {
                model.held.insert(cluster(name));
            }
            let member = model.member(name);
            (member.freshness, member.namespace_ready) = (case.freshness, case.namespace_ready);
            if let Some((object, apply_owned, deleting)) = case.object {
                member.visible = object["metadata"]["labels"][MANAGED_LABEL].is_string();
                member.object = Some(observed(&uid, version, apply_owned, deleting, object));
            }
            if !case.known {
                model.clusters.remove(&cluster(name));
            }
        }
        model
    }
}

/// Everything that a single plan must respect.
fn respects_the_rules(model: &Model, plan: &SyncPlan) -> Result<(), TestCaseError> {
    let object = &model.object;
    if plan.failure.is_some() {
        prop_assert!(
            plan.steps.is_empty() && plan.inventory == object.inventory && plan.finalizer == FinalizerStep::Keep
        );
    }
    for (name, step) in &plan.steps {
        let member = &model.members[name];
        let seen = member.object.as_ref().filter(|_| member.visible);
        let ours = seen.filter(|seen| seen.control_plane.as_deref() == Some(US) && !seen.opted_out);
        if step.writes() {
            let facts = &model.clusters[name];
            prop_assert!(
                facts.reachable && member.freshness.is_current(),
                "a write to what is not known: {}",
                plan
            );
            prop_assert!(!facts.paused, "a write to a paused cluster: {}", plan);
            prop_assert!(
                plan.inventory.contains_key(name),
                "a write before the inventory: {}",
                plan
            );
        }
        match step {
            Step::Create { desired, .. } => {
                prop_assert!(
                    seen.is_none() && member.namespace_ready && object.deletion.is_none(),
                    "{}",
                    plan
                );
                prop_assert_eq!(&desired["metadata"]["annotations"][CONTROL_PLANE_ANNOTATION], US);
            }
            Step::Update { desired, uid, .. } => {
                let seen = seen.unwrap();
                prop_assert!(
                    object.deletion.is_none() && seen.uid == *uid && !seen.opted_out && !seen.deleting,
                    "{}",
                    plan
                );
                prop_assert_ne!(seen.control_plane.as_deref(), Some("other"));
                prop_assert_eq!(&desired["metadata"]["labels"][MANAGED_LABEL], "true");
            }
            Step::Delete { uid, resource_version } => {
                let ours = ours.unwrap();
                prop_assert!(
                    ours.created_by_us && ours.uid == *uid && ours.resource_version == *resource_version,
                    "{}",
                    plan
                );
                prop_assert!(
                    object.deletion.is_some() || !model.held.contains(name),
                    "over the limit: {}",
                    plan
                );
                prop_assert_ne!(object.deletion, Some(Deletion::Orphan));
            }
            Step::Release { uid } => prop_assert_eq!(&ours.unwrap().uid, uid),
            Step::Gone => {
                let forgotten = !model.clusters.contains_key(name);
                prop_assert!(
                    forgotten || (ours.is_none() && member.freshness.is_current()),
                    "{}",
                    plan
                );
                prop_assert!(!plan.inventory.contains_key(name));
            }
            Step::Keep | Step::Wait { .. } => {}
        }
        // What is not written and not seen empty is not forgotten either.
        if object.inventory.contains_key(name) && model.clusters.contains_key(name) && !member.freshness.is_current() {
            prop_assert!(plan.inventory.contains_key(name), "forgotten: {}", plan);
        }
    }
    if plan.finalizer == FinalizerStep::Remove {
        prop_assert!(object.deletion.is_some() && plan.inventory.is_empty(), "{}", plan);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_the_same_every_time(model in model()) {
        let (first, second) = (model.plan(), model.clone().plan());
        prop_assert_eq!(first.to_string(), second.to_string());
        prop_assert_eq!(first, second);
    }

    #[test]
    fn every_plan_respects_the_rules_and_three_rounds_settle(model in model()) {
        let mut model = model;
        for _ in 0..3 {
            let plan = model.plan();
            respects_the_rules(&model, &plan)?;
            model.apply(&plan);
        }
        let plan = model.plan();
        respects_the_rules(&model, &plan)?;
        prop_assert!(plan.steps.values().all(|step| !step.writes()), "still writing:\n{}", plan);
        prop_assert_ne!(plan.finalizer, FinalizerStep::Add);
    }

    #[test]
    fn a_cluster_does_not_change_what_happens_in_another(
        model in model(),
        other in select(NAMES),
        reachable in any::<bool>(),
    ) {
        let mut changed = model.clone();
        if let Some(facts) = changed.clusters.get_mut(&cluster(other)) {
            facts.reachable = reachable;
        }
        changed.member(other).freshness = stale();
        let rest = |plan: SyncPlan| -> BTreeMap<_, _> {
            plan.steps.into_iter().filter(|(name, _)| *name != cluster(other)).collect()
        };
        prop_assert_eq!(rest(model.plan()), rest(changed.plan()));
    }
}
