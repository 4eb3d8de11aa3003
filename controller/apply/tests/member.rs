//! Writes to a member, over real HTTP: what is created, adopted, updated, deleted and released, and what is
//! refused. Each rule is that of the crate's header: every write is conditional where it lands.

use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use meridian_controller_apply::{MemberClient, StepResult, WrongCluster, carry_out, is_wrong_cluster};
use meridian_federation_core::{
    ClusterOutcome, FederatedKey, MemberObject, ObjectKind, Step, UpdateReason, WaitReason, names,
};
use meridian_simcluster::{ClusterOptions, SimCluster};
use serde_json::{Value, json};

const US: &str = "control-plane-1";

struct Bench {
    cluster: SimCluster,
    client: Client,
    key: FederatedKey,
}

impl Bench {
    async fn new() -> Self {
        let cluster = SimCluster::start(ClusterOptions::named("member"))
            .await
            .expect("a free port");
        let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig(cluster.address())).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("a config");
        let client = Client::try_from(config).expect("a client");
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}})).expect("a namespace");
        Api::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .expect("created");
        let kind = ObjectKind {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            plural: "configmaps".to_owned(),
            namespaced: true,
        };
        let key = FederatedKey {
            kind: Arc::new(kind),
            namespace: "shop".to_owned(),
            name: "settings".to_owned(),
        };
        Self { cluster, client, key }
    }

    fn api(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), "shop")
    }

    async fn live(&self) -> Value {
        serde_json::to_value(self.api().get("settings").await.expect("it is there")).expect("JSON")
    }

    async fn carry_out(&self, step: Step) -> StepResult {
        carry_out(&self.client, &self.key, &step, US).await
    }

    /// What somebody else made before us, with these labels and annotations.
    async fn foreign(&self, metadata: Value) -> String {
        let mut object = json!({"metadata": {"name": "settings"}, "data": {"theirs": "1"}});
        object["metadata"]
            .as_object_mut()
            .expect("a map")
            .extend(metadata.as_object().expect("a map").clone());
        let object: ConfigMap = serde_json::from_value(object).expect("a ConfigMap");
        self.api()
            .create(&PostParams::default(), &object)
            .await
            .expect("created")
            .uid()
            .expect("a UID")
    }
}

fn desired(data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "settings", "namespace": "shop",
            "labels": {names::MANAGED_LABEL: "true"},
            "annotations": {names::CONTROL_PLANE_ANNOTATION: US, names::CREATED_ANNOTATION: "true"},
        },
        "data": data,
    })
}

fn create(data: Value, adopt: bool) -> Step {
    Step::Create {
        desired: desired(data),
        hash: "h".to_owned(),
        adopt,
    }
}

fn update(data: Value, uid: &str) -> Step {
    Step::Update {
        desired: desired(data),
        hash: "h".to_owned(),
        uid: uid.to_owned(),
        reason: UpdateReason::Changed,
    }
}

fn refused(result: &StepResult) -> Option<&WaitReason> {
    match result {
        StepResult::Failed(ClusterOutcome::Refused(reason)) => Some(reason),
        _ => None,
    }
}

#[tokio::test]
async fn a_created_object_is_ours_by_apply_so_that_a_field_can_be_taken_out_later() {
    let bench = Bench::new().await;
    let result = bench.carry_out(create(json!({"a": "1", "b": "2"}), false)).await;
    assert!(matches!(result, StepResult::Written { .. }), "{result:?}");
    let live = bench.live().await;
    assert!(MemberObject::read(live.clone()).apply_owned, "{live}");
    let uid = live["metadata"]["uid"].as_str().expect("a UID").to_owned();
    bench.carry_out(update(json!({"a": "1"}), &uid)).await;
    assert_eq!(bench.live().await["data"], json!({"a": "1"}));
}

#[tokio::test]
async fn an_update_leaves_what_others_own_and_puts_back_what_is_ours() {
    let bench = Bench::new().await;
    bench.carry_out(create(json!({"a": "1"}), false)).await;
    let by_hand = json!({"data": {"a": "changed", "theirs": "kept"}});
    bench
        .api()
        .patch("settings", &PatchParams::default(), &Patch::Merge(&by_hand))
        .await
        .expect("patched");
    let uid = bench.live().await["metadata"]["uid"]
        .as_str()
        .expect("a UID")
        .to_owned();
    bench.carry_out(update(json!({"a": "1"}), &uid)).await;
    assert_eq!(bench.live().await["data"], json!({"a": "1", "theirs": "kept"}));
}

#[tokio::test]
async fn what_is_there_already_is_not_taken_over_unless_its_user_says_so() {
    let bench = Bench::new().await;
    bench.foreign(json!({})).await;
    let result = bench.carry_out(create(json!({"a": "1"}), false)).await;
    assert_eq!(refused(&result), Some(&WaitReason::AlreadyExists), "{result:?}");
    assert_eq!(bench.live().await["data"], json!({"theirs": "1"}));

    let result = bench.carry_out(create(json!({"a": "1"}), true)).await;
    assert!(matches!(result, StepResult::Written { .. }), "{result:?}");
    let live = bench.live().await;
    assert_eq!(live["data"], json!({"a": "1", "theirs": "1"}));
    let member = MemberObject::read(live);
    assert_eq!(member.control_plane.as_deref(), Some(US));
    assert!(!member.created_by_us, "what we did not create we never delete");
}

#[tokio::test]
async fn another_control_planes_object_and_one_that_opts_out_are_never_taken_over() {
    let bench = Bench::new().await;
    bench
        .foreign(json!({"annotations": {names::CONTROL_PLANE_ANNOTATION: "somebody-else"}}))
        .await;
    let result = bench.carry_out(create(json!({}), true)).await;
    assert_eq!(
        refused(&result),
        Some(&WaitReason::NotOwner("somebody-else".to_owned())),
        "{result:?}"
    );

    let bench = Bench::new().await;
    bench.foreign(json!({"labels": {names::MANAGED_LABEL: "false"}})).await;
    let result = bench.carry_out(create(json!({}), true)).await;
    assert_eq!(refused(&result), Some(&WaitReason::ManagedLabelFalse), "{result:?}");
}

#[tokio::test]
async fn an_update_meets_only_the_object_that_was_decided_about() {
    let bench = Bench::new().await;
    bench.foreign(json!({})).await;
    let result = bench.carry_out(update(json!({"a": "1"}), "another-uid")).await;
    assert!(matches!(result, StepResult::Failed(_)), "{result:?}");
    assert_eq!(bench.live().await["data"], json!({"theirs": "1"}));
}

#[tokio::test]
async fn a_delete_meets_only_the_version_that_was_judged() {
    let bench = Bench::new().await;
    bench.carry_out(create(json!({}), false)).await;
    let live = bench.live().await;
    let text = |field: &str| live["metadata"][field].as_str().expect("text").to_owned();
    let (uid, resource_version) = (text("uid"), text("resourceVersion"));
    for (uid, resource_version) in [("another-uid", resource_version.as_str()), (uid.as_str(), "1")] {
        let step = Step::Delete {
            uid: uid.to_owned(),
            resource_version: resource_version.to_owned(),
        };
        let result = bench.carry_out(step).await;
        assert!(matches!(result, StepResult::Failed(_)), "{result:?}");
    }
    let step = Step::Delete { uid, resource_version };
    assert_eq!(bench.carry_out(step.clone()).await, StepResult::Removed);
    assert!(bench.api().get_opt("settings").await.expect("an answer").is_none());
    // A second time there is nothing to do, and that is no failure.
    assert_eq!(bench.carry_out(step).await, StepResult::Removed);
}

#[tokio::test]
async fn a_release_takes_our_marks_and_leaves_the_rest() {
    let bench = Bench::new().await;
    bench.carry_out(create(json!({"a": "1"}), false)).await;
    let uid = bench.live().await["metadata"]["uid"]
        .as_str()
        .expect("a UID")
        .to_owned();
    assert_eq!(bench.carry_out(Step::Release { uid }).await, StepResult::Removed);
    let live = bench.live().await;
    assert_eq!(live["data"], json!({"a": "1"}));
    let member = MemberObject::read(live.clone());
    assert_eq!((member.control_plane, member.created_by_us), (None, false));
    assert!(live["metadata"]["labels"].get(names::MANAGED_LABEL).is_none(), "{live}");
}

/// An empty cluster under the address of another neither lists as empty nor receives what was meant for it.
#[tokio::test]
async fn another_cluster_under_the_address_is_met_with_an_error() {
    let bench = Bench::new().await;
    let namespaces = Api::<Namespace>::all(bench.client.clone());
    let uid = namespaces
        .get("kube-system")
        .await
        .expect("it is there")
        .uid()
        .expect("a UID");
    let twin = SimCluster::start(bench.cluster.twin()).await.expect("a free port");
    let reports = Arc::new(Mutex::new(Vec::new()));
    for (cluster, is_ours) in [(&bench.cluster, true), (&twin, false)] {
        let seen = reports.clone();
        let report =
            Arc::new(move |found: Result<(), WrongCluster>| seen.lock().expect("no panic").push(found.is_ok()));
        let member = MemberClient::new(&cluster.kubeconfig(cluster.address()), &uid, report)
            .await
            .expect("a client");
        let list = Api::<ConfigMap>::all(member.client()).list(&Default::default()).await;
        assert_eq!(list.is_ok(), is_ours);
        assert_eq!(list.err().is_some_and(|error| is_wrong_cluster(&error)), !is_ours);
        let created = carry_out(&member.client(), &bench.key, &create(json!({}), false), US).await;
        assert_eq!(matches!(created, StepResult::Written { .. }), is_ours, "{created:?}");
        assert_eq!(member.check().await.is_ok(), is_ours);
    }
    let reports = reports.lock().expect("no panic").clone();
    assert_eq!(reports, [true, true, true, false, false, false]);
}
