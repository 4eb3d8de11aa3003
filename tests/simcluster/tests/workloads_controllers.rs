//! The workload side: the controllers that make pods, and the kubelets that run them.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use common::workloads::*;
use common::*;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, ResourceExt};
use meridian_simcluster::NodePool;
use meridian_simcluster::workload::{
    FAILS_ANNOTATION, READY_AFTER_ANNOTATION, READY_ANNOTATION, RESTART_AFTER_ANNOTATION, RUNS_FOR_ANNOTATION,
    STOPPED_ANNOTATION, WorkloadOptions,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A change of the template that changes nothing else.
fn restarted(mark: &str) -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": {"restarted": mark}}}}})
}

/// A template whose pods have these annotations.
fn template(annotations: Value) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}, "annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "example.com/main:1"}]},
    })
}

async fn all<K: Clone + Debug + DeserializeOwned>(api: &Api<K>) -> Vec<K> {
    api.list(&ListParams::default()).await.unwrap().items
}

fn names<K: ResourceExt>(objects: &[K]) -> BTreeSet<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}

fn is_ready(pod: &Pod) -> bool {
    has(
        &value(pod),
        &json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    )
}

/// Follows the pods, checking all of them after each change, until `last` says so.
async fn while_pods(client: &Client, check: impl Fn(&[&Pod]), last: impl Fn(&[&Pod]) -> bool) {
    follow(&api::<Pod>(client), "", check, last).await;
}

fn is_restarted(pod: &Pod, mark: &str) -> bool {
    pod.annotations().get("restarted").is_some_and(|found| found == mark)
}

fn complete(replicas: u32) -> Value {
    json!({"status": {
        "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas, "unavailableReplicas": null,
        "conditions": [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        ],
    }})
}

#[tokio::test]
async fn a_rolling_update_keeps_its_limits() {
    let options = WorkloadOptions {
        ready_after: Duration::from_millis(20),
        ..options()
    };
    let (_cluster, client, _workloads) = started_with(options).await;
    for (surge, unavailable, at_least, at_most) in [("25%", "25%", 3, 5), ("0", "1", 3, 4), ("100%", "0", 4, 8)] {
        let number = |text: &str| text.parse::<i32>().map_or(json!(text), |number| json!(number));
        let rolling = json!({"maxSurge": number(surge), "maxUnavailable": number(unavailable)});
        let web = with(
            deployment("web", 4),
            json!({"spec": {"strategy": {"rollingUpdate": rolling}}}),
        );
        let deployments = api::<Deployment>(&client);
        create(&deployments, web).await;
        until_has(&deployments, "web", complete(4)).await;
        merge(&deployments, "web", restarted("1")).await;
        let check = |pods: &[&Pod]| {
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            assert!(ready >= at_least, "{ready} ready with {surge} {unavailable}");
            assert!(pods.len() <= at_most, "{} pods with {surge} {unavailable}", pods.len());
        };
        let done = |pods: &[&Pod]| pods.len() == 4 && pods.iter().all(|pod| is_restarted(pod, "1") && is_ready(pod));
        while_pods(&client, check, done).await;
        until_has(&deployments, "web", complete(4)).await;
        deployments.delete("web", &DeleteParams::default()).await.unwrap();
        while_pods(&client, |_| (), |pods| pods.is_empty()).await;
    }
}

#[tokio::test]
async fn recreate_never_runs_two_templates_at_once() {
    let (_cluster, client, _workloads) = started().await;
    let deployments = api::<Deployment>(&client);
    let web = with(
        deployment("web", 3),
        json!({"spec": {"strategy": {"type": "Recreate"}}}),
    );
    create(&deployments, web).await;
    until_has(&deployments, "web", complete(3)).await;
    merge(&deployments, "web", restarted("1")).await;
    let check = |pods: &[&Pod]| {
        let new = pods.iter().filter(|pod| is_restarted(pod, "1")).count();
        assert!(new == 0 || new == pods.len(), "{new} of {} are new", pods.len());
    };
    let done = |pods: &[&Pod]| pods.len() == 3 && pods.iter().all(|pod| is_restarted(pod, "1"));
    while_pods(&client, check, done).await;
    until_has(&deployments, "web", complete(3)).await;
}

fn revision(number: u32) -> Value {
    json!({"metadata": {"annotations": {"deployment.kubernetes.io/revision": number.to_string()}}})
}

#[tokio::test]
async fn replica_sets_are_the_revisions_of_a_deployment() {
    let (_cluster, client, _workloads) = started().await;
    let (deployments, sets) = (api::<Deployment>(&client), api::<ReplicaSet>(&client));
    let web = with(deployment("web", 1), json!({"spec": {"revisionHistoryLimit": 2}}));
    create(&deployments, web).await;
    until_has(&deployments, "web", with(complete(1), revision(1))).await;
    let first = all(&sets).await.remove(0);
    assert!(first.name_any().starts_with("web-"));
    assert_eq!(first.labels()["app"], "web");
    assert_eq!(first.name_any(), format!("web-{}", first.labels()["pod-template-hash"]));
    assert_eq!(first.owner_references()[0].kind, "Deployment");
    let pod = all(&api::<Pod>(&client)).await.remove(0);
    assert!(pod.name_any().starts_with(&format!("{}-", first.name_any())));
    assert_eq!(pod.owner_references()[0].name, first.name_any());
    assert_eq!(pod.labels()["pod-template-hash"], first.labels()["pod-template-hash"]);

    merge(&deployments, "web", restarted("1")).await;
    until_has(&deployments, "web", with(complete(1), revision(2))).await;
    let empty = json!({"spec": {"replicas": 0}, "status": {"replicas": 0}});
    until_has(&sets, &first.name_any(), empty).await;
    // Back to the first template: its ReplicaSet comes back under a new number.
    merge(
        &deployments,
        "web",
        json!({"spec": {"template": {"metadata": {"annotations": null}}}}),
    )
    .await;
    until_has(&deployments, "web", with(complete(1), revision(3))).await;
    until_has(
        &sets,
        &first.name_any(),
        with(revision(3), json!({"spec": {"replicas": 1}})),
    )
    .await;
    assert_eq!(all(&sets).await.len(), 2);
    for (mark, number) in [("2", 4), ("3", 5)] {
        merge(&deployments, "web", restarted(mark)).await;
        until_has(&deployments, "web", with(complete(1), revision(number))).await;
    }
    // The two before the last are kept: 3 is the first template's, 2 was the oldest.
    let oldest = |set: &ReplicaSet| set.annotations()["deployment.kubernetes.io/revision"] == "2";
    if let Some(set) = all(&sets).await.into_iter().find(oldest) {
        until_gone(&sets, &set.name_any()).await;
    }
    assert_eq!(all(&sets).await.len(), 3);
}

#[tokio::test]
async fn a_paused_deployment_scales_and_does_not_roll() {
    let (_cluster, client, _workloads) = started().await;
    let (deployments, sets) = (api::<Deployment>(&client), api::<ReplicaSet>(&client));
    create(&deployments, deployment("web", 1)).await;
    until_has(&deployments, "web", complete(1)).await;
    merge(
        &deployments,
        "web",
        with(restarted("1"), json!({"spec": {"paused": true, "replicas": 3}})),
    )
    .await;
    let paused = json!({"status": {
        "replicas": 3, "availableReplicas": 3, "updatedReplicas": null,
        "conditions": [{"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}],
    }});
    until_has(&deployments, "web", paused).await;
    assert_eq!(all(&sets).await.len(), 1);
    merge(&deployments, "web", json!({"spec": {"paused": false}})).await;
    until_has(&deployments, "web", complete(3)).await;
    assert!(all(&api::<Pod>(&client)).await.iter().all(|pod| is_restarted(pod, "1")));
}

#[tokio::test]
async fn a_rollout_without_progress_misses_its_deadline() {
    let (_cluster, client, _workloads) = started().await;
    let deployments = api::<Deployment>(&client);
    let spec = json!({"spec": {
        "progressDeadlineSeconds": 1,
        "template": template(json!({READY_ANNOTATION: "false"})),
    }});
    create(&deployments, with(deployment("web", 1), spec)).await;
    let missed = json!({"status": {"unavailableReplicas": 1, "conditions": [
        {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"},
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
    ]}});
    until_has(&deployments, "web", missed).await;
    merge(
        &deployments,
        "web",
        json!({"spec": {"template": {"metadata": {"annotations": null}}}}),
    )
    .await;
    until_has(&deployments, "web", complete(1)).await;
}

#[tokio::test]
async fn a_replica_set_alone_keeps_its_pods() {
    let (_cluster, client, _workloads) = started().await;
    let (sets, pods) = (api::<ReplicaSet>(&client), api::<Pod>(&client));
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template(json!({}))});
    create(&sets, json!({"metadata": {"name": "web"}, "spec": spec})).await;
    let status = |replicas: u32, ready: u32| json!({"status": {"replicas": replicas, "fullyLabeledReplicas": replicas, "readyReplicas": ready, "availableReplicas": ready}});
    until_has(&sets, "web", status(3, 3)).await;
    let lost = all(&pods).await.remove(0);
    pods.delete(&lost.name_any(), &DeleteParams::default()).await.unwrap();
    while_pods(
        &client,
        |_| (),
        |pods| pods.len() == 3 && pods.iter().all(|pod| pod.uid() != lost.uid()),
    )
    .await;
    // The one that is not ready is missed least.
    let useless = all(&pods).await.remove(1).name_any();
    merge(
        &pods,
        &useless,
        json!({"metadata": {"annotations": {READY_ANNOTATION: "false"}}}),
    )
    .await;
    until_has(&sets, "web", status(3, 2)).await;
    merge(&sets, "web", json!({"spec": {"replicas": 2}})).await;
    until_has(&sets, "web", status(2, 2)).await;
    assert!(!names(&all(&pods).await).contains(&useless));
}

fn stateful_set(more: Value) -> Value {
    let set = json!({
        "metadata": {"name": "db"},
        "spec": {
            "replicas": 3,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(json!({})),
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate"},
        },
    });
    with(set, json!({"spec": more}))
}

fn stable(replicas: u32) -> Value {
    json!({"status": {
        "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
        "currentReplicas": replicas, "updatedReplicas": replicas,
    }})
}

#[tokio::test]
async fn stateful_pods_come_and_go_in_order() {
    let (_cluster, client, _workloads) = started().await;
    let (sets, pods) = (api::<StatefulSet>(&client), api::<Pod>(&client));
    create(
        &sets,
        stateful_set(json!({"template": template(json!({READY_ANNOTATION: "false"}))})),
    )
    .await;
    let ready = json!({"metadata": {"annotations": {READY_ANNOTATION: null}}});
    for (pod, next) in [("db-0", "db-1"), ("db-1", "db-2")] {
        until_has(
            &sets,
            "db",
            json!({"status": {"replicas": if pod == "db-0" { 1 } else { 2 }}}),
        )
        .await;
        assert!(pods.get_opt(next).await.unwrap().is_none(), "{next} waits for {pod}");
        merge(&pods, pod, ready.clone()).await;
    }
    until_has(&pods, "db-2", json!({"status": {"phase": "Running"}})).await;
    merge(&pods, "db-2", ready).await;
    let set = until_has(&sets, "db", stable(3)).await;
    let status = set.status.unwrap();
    assert_eq!(status.current_revision, status.update_revision);
    let pod = value(&pods.get("db-1").await.unwrap());
    let labels = json!({"metadata": {"labels": {
        "statefulset.kubernetes.io/pod-name": "db-1",
        "apps.kubernetes.io/pod-index": "1",
        "controller-revision-hash": status.update_revision,
    }}, "spec": {"hostname": "db-1", "subdomain": "db"}});
    assert!(has(&pod, &labels), "{pod}");

    pods.delete("db-1", &DeleteParams::default()).await.unwrap();
    until_has(&pods, "db-1", json!({"metadata": {"name": "db-1"}})).await;
    merge(
        &pods,
        "db-1",
        json!({"metadata": {"annotations": {READY_ANNOTATION: null}}}),
    )
    .await;
    until_has(&sets, "db", stable(3)).await;
    merge(&sets, "db", json!({"spec": {"replicas": 1}})).await;
    until_has(&sets, "db", stable(1)).await;
    assert_eq!(names(&all(&pods).await), BTreeSet::from(["db-0".to_owned()]));
}

#[tokio::test]
async fn parallel_stateful_pods_do_not_wait() {
    let (_cluster, client, _workloads) = started().await;
    let sets = api::<StatefulSet>(&client);
    let parallel = json!({
        "podManagementPolicy": "Parallel",
        "ordinals": {"start": 5},
        "template": template(json!({READY_ANNOTATION: "false"})),
    });
    create(&sets, stateful_set(parallel)).await;
    until_has(&sets, "db", json!({"status": {"replicas": 3, "readyReplicas": null}})).await;
    let wanted = ["db-5", "db-6", "db-7"].map(str::to_owned);
    assert_eq!(names(&all(&api::<Pod>(&client)).await), BTreeSet::from(wanted));
}

#[tokio::test]
async fn stateful_updates_honour_the_partition() {
    let (_cluster, client, _workloads) = started().await;
    let (sets, pods) = (api::<StatefulSet>(&client), api::<Pod>(&client));
    create(
        &sets,
        stateful_set(json!({"updateStrategy": {"rollingUpdate": {"partition": 2}}})),
    )
    .await;
    until_has(&sets, "db", stable(3)).await;
    let updated = async || {
        let mut pods = all(&pods).await;
        pods.retain(|pod| is_restarted(pod, "1"));
        names(&pods)
    };
    merge(&sets, "db", restarted("1")).await;
    let set = until_has(
        &sets,
        "db",
        json!({"status": {"readyReplicas": 3, "updatedReplicas": 1, "currentReplicas": 2}}),
    )
    .await;
    let status = set.status.unwrap();
    assert_ne!(status.current_revision, status.update_revision);
    assert_eq!(updated().await, BTreeSet::from(["db-2".to_owned()]));
    let order = std::cell::Cell::new(2);
    merge(
        &sets,
        "db",
        json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}),
    )
    .await;
    let from_the_top = |pods: &[&Pod]| {
        let new = pods
            .iter()
            .filter(|pod| is_restarted(pod, "1"))
            .map(|pod| pod.name_any());
        let lowest = new.min().unwrap_or_default();
        let lowest: i32 = lowest.strip_prefix("db-").unwrap_or("2").parse().unwrap();
        assert!(
            lowest <= order.get() && lowest >= order.get() - 1,
            "db-{lowest} after db-{}",
            order.get()
        );
        order.set(lowest);
    };
    while_pods(&client, from_the_top, |pods| {
        pods.iter().all(|pod| is_restarted(pod, "1")) && pods.len() == 3
    })
    .await;
    until_has(&sets, "db", stable(3)).await;

    merge(
        &sets,
        "db",
        with(
            restarted("2"),
            json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}}),
        ),
    )
    .await;
    until_has(
        &sets,
        "db",
        json!({"status": {"observedGeneration": 4, "updatedReplicas": null}}),
    )
    .await;
    assert_eq!(updated().await.len(), 3);
    pods.delete("db-1", &DeleteParams::default()).await.unwrap();
    until_has(
        &sets,
        "db",
        json!({"status": {"readyReplicas": 3, "updatedReplicas": 1}}),
    )
    .await;
}

#[tokio::test]
async fn a_daemon_set_has_a_pod_on_each_node_that_takes_it() {
    let options = WorkloadOptions {
        nodes: Some(NodePool::one_per_zone("r1", &["a", "b"])),
        ..options()
    };
    let (_cluster, client, _workloads) = started_with(options).await;
    let (nodes, sets, pods) = (
        Api::<Node>::all(client.clone()),
        api::<DaemonSet>(&client),
        api::<Pod>(&client),
    );
    let ready = json!({
        "metadata": {"labels": {"topology.kubernetes.io/region": "r1", "topology.kubernetes.io/zone": "b"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "Hostname"}]},
    });
    until_has(&nodes, "us-west-node-1", ready).await;
    let spec = json!({"selector": {"matchLabels": {"app": "web"}}, "template": template(json!({}))});
    create(&sets, json!({"metadata": {"name": "agent"}, "spec": spec})).await;
    let status = |number: u32| {
        json!({"status": {
            "desiredNumberScheduled": number, "currentNumberScheduled": number, "numberReady": number,
            "numberAvailable": number, "updatedNumberScheduled": number, "numberUnavailable": null,
        }})
    };
    until_has(&sets, "agent", status(2)).await;
    let tainted = json!({"metadata": {"name": "odd"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}});
    create(&nodes, tainted).await;
    create(
        &nodes,
        json!({"metadata": {"name": "third"}, "spec": {"unschedulable": true}}),
    )
    .await;
    until_has(&sets, "agent", status(3)).await;
    let on = |pods: &[Pod]| -> BTreeSet<String> {
        pods.iter()
            .filter_map(|pod| pod.spec.as_ref()?.node_name.clone())
            .collect()
    };
    let expected = ["third", "us-west-node-0", "us-west-node-1"].map(str::to_owned);
    assert_eq!(on(&all(&pods).await), BTreeSet::from(expected));
    nodes.delete("third", &DeleteParams::default()).await.unwrap();
    until_has(&sets, "agent", status(2)).await;

    merge(&sets, "agent", restarted("1")).await;
    let one_missing = |pods: &[&Pod]| assert!(pods.iter().filter(|pod| is_ready(pod)).count() >= 1);
    while_pods(&client, one_missing, |pods| {
        pods.iter().all(|pod| is_restarted(pod, "1")) && pods.len() == 2
    })
    .await;
    until_has(&sets, "agent", status(2)).await;
    let selector = json!({"spec": {"template": {"spec": {"nodeSelector": {"topology.kubernetes.io/zone": "a"}}}}});
    merge(&sets, "agent", selector).await;
    until_has(&sets, "agent", status(1)).await;
}

fn job(annotations: Value, more: Value) -> Value {
    let mut template = template(annotations);
    template["spec"]["restartPolicy"] = json!("Never");
    with(
        json!({"metadata": {"name": "work"}, "spec": {"template": template}}),
        json!({"spec": more}),
    )
}

/// Starts a job and waits for a status.
async fn check_job(annotations: Value, more: Value, wanted: Value) -> (Client, Value) {
    let (cluster, client, workloads) = started().await;
    let jobs = api::<Job>(&client);
    create(&jobs, job(annotations, more)).await;
    let found = value(&until_has(&jobs, "work", json!({"status": wanted})).await);
    let pods = value(&all(&api::<Pod>(&client)).await);
    drop((cluster, workloads));
    (client, json!({"job": found, "pods": pods}))
}

fn ended(kind: &str, reason: &str) -> Value {
    let target = if kind == "Complete" {
        "SuccessCriteriaMet"
    } else {
        "FailureTarget"
    };
    json!([{"type": target, "status": "True"}, {"type": kind, "status": "True", "reason": reason}])
}

#[tokio::test]
async fn jobs_end_as_their_pods_do() {
    let complete = ended("Complete", "CompletionsReached");
    let exceeded = ended("Failed", "BackoffLimitExceeded");
    for (annotations, spec, wanted) in [
        (
            json!({}),
            json!({}),
            json!({"succeeded": 1, "active": null, "failed": null, "conditions": complete}),
        ),
        (
            json!({RUNS_FOR_ANNOTATION: "10ms"}),
            json!({"completions": 5, "parallelism": 2}),
            json!({"succeeded": 5, "ready": 0, "conditions": complete}),
        ),
        (
            json!({}),
            json!({"completions": 4, "parallelism": 3, "completionMode": "Indexed"}),
            json!({"succeeded": 4, "completedIndexes": "0-3", "conditions": complete}),
        ),
        (
            json!({}),
            json!({"completions": 0}),
            json!({"succeeded": null, "conditions": complete}),
        ),
        (
            json!({FAILS_ANNOTATION: "3"}),
            json!({"backoffLimit": 2}),
            json!({"failed": 3, "succeeded": null, "completionTime": null, "conditions": exceeded}),
        ),
        (
            json!({FAILS_ANNOTATION: "3", RESTART_AFTER_ANNOTATION: "1ms"}),
            json!({"backoffLimit": 2, "template": {"spec": {"restartPolicy": "OnFailure"}}}),
            json!({"failed": 1, "active": null, "conditions": exceeded}),
        ),
        (
            json!({RUNS_FOR_ANNOTATION: "1m"}),
            json!({"activeDeadlineSeconds": 1}),
            json!({"failed": 1, "conditions": ended("Failed", "DeadlineExceeded")}),
        ),
    ] {
        let (_, found) = check_job(annotations, spec, wanted).await;
        let status = &found["job"]["status"];
        assert!(status["startTime"].is_string(), "{status}");
        let complete = has(&status["conditions"], &json!([{"type": "Complete"}]));
        assert_eq!(status["completionTime"].is_string(), complete, "{status}");
        for pod in found["pods"].as_array().unwrap() {
            assert_eq!(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"], "work");
            assert_ne!(pod["status"]["phase"], "Running", "those still running go");
        }
    }
}

#[tokio::test]
async fn pods_of_an_indexed_job_know_their_index() {
    let spec = json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed"});
    let running = json!({"active": 2, "ready": 2, "terminating": 0});
    let (_, found) = check_job(json!({RUNS_FOR_ANNOTATION: "1m"}), spec, running).await;
    let mut indexes = BTreeSet::new();
    for pod in found["pods"].as_array().unwrap() {
        let index = pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
            .as_str()
            .unwrap();
        assert_eq!(
            pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"],
            index
        );
        assert_eq!(pod["spec"]["hostname"], format!("work-{index}"));
        assert!(
            pod["metadata"]["name"]
                .as_str()
                .unwrap()
                .starts_with(&format!("work-{index}-"))
        );
        indexes.insert(index.to_owned());
    }
    assert_eq!(indexes, BTreeSet::from(["0".to_owned(), "1".to_owned()]));
}

#[tokio::test]
async fn a_suspended_job_has_no_pods_and_goes_when_its_time_is_over() {
    let (_cluster, client, _workloads) = started().await;
    let jobs = api::<Job>(&client);
    let running = json!({RUNS_FOR_ANNOTATION: "1m"});
    create(
        &jobs,
        job(running, json!({"suspend": true, "ttlSecondsAfterFinished": 1})),
    )
    .await;
    let suspended = |status: &str, reason: &str| json!([{"type": "Suspended", "status": status, "reason": reason}]);
    let wanted = json!({"active": null, "startTime": null, "conditions": suspended("True", "JobSuspended")});
    until_has(&jobs, "work", json!({"status": wanted})).await;
    merge(&jobs, "work", json!({"spec": {"suspend": false}})).await;
    let wanted = json!({"active": 1, "ready": 1, "conditions": suspended("False", "JobResumed")});
    until_has(&jobs, "work", json!({"status": wanted})).await;
    merge(&jobs, "work", json!({"spec": {"suspend": true}})).await;
    while_pods(&client, |_| (), |pods| pods.is_empty()).await;
    merge(&jobs, "work", json!({"spec": {"suspend": false}})).await;
    let pods = api::<Pod>(&client);
    let pod = until_any(pods.clone(), is_ready).await.name_any();
    merge(
        &pods,
        &pod,
        json!({"metadata": {"annotations": {RUNS_FOR_ANNOTATION: "1ms"}}}),
    )
    .await;
    until_has(
        &jobs,
        "work",
        json!({"status": {"conditions": ended("Complete", "CompletionsReached")}}),
    )
    .await;
    until_gone(&jobs, "work").await;
    while_pods(&client, |_| (), |pods| pods.is_empty()).await;
}

#[tokio::test]
async fn containers_that_fail_start_again() {
    let (_cluster, client, _workloads) = started().await;
    let pods = api::<Pod>(&client);
    let annotations = json!({FAILS_ANNOTATION: "7", RESTART_AFTER_ANNOTATION: "1ms", READY_AFTER_ANNOTATION: "1ms"});
    create(&pods, with(template(annotations), json!({"metadata": {"name": "web"}}))).await;
    let crashing = json!({"status": {"phase": "Running", "containerStatuses": [{
        "restartCount": 3,
        "ready": false,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 7, "reason": "Error"}},
    }]}});
    until_has(&pods, "web", crashing).await;
    merge(
        &pods,
        "web",
        json!({"metadata": {"annotations": {FAILS_ANNOTATION: null}}}),
    )
    .await;
    until_has(
        &pods,
        "web",
        json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    )
    .await;
}

#[tokio::test]
async fn pods_of_a_stopped_node_are_not_ready() {
    let options = WorkloadOptions {
        nodes: Some(NodePool::one_per_zone("", &["a", "b"])),
        ..options()
    };
    let (_cluster, client, _workloads) = started_with(options).await;
    let nodes = Api::<Node>::all(client.clone());
    let deployments = api::<Deployment>(&client);
    create(&deployments, deployment("web", 4)).await;
    until_has(&deployments, "web", complete(4)).await;
    let stopped = |value: Value| json!({"metadata": {"annotations": {STOPPED_ANNOTATION: value}}});
    merge(&nodes, "us-west-node-0", stopped(json!("true"))).await;
    let unknown = json!([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]);
    until_has(&nodes, "us-west-node-0", json!({"status": {"conditions": unknown}})).await;
    until_has(&deployments, "web", json!({"status": {"readyReplicas": 2}})).await;
    for pod in all(&api::<Pod>(&client)).await {
        let node = pod.spec.as_ref().unwrap().node_name.clone();
        assert_eq!(is_ready(&pod), node.as_deref() != Some("us-west-node-0"));
    }
    merge(&nodes, "us-west-node-0", stopped(Value::Null)).await;
    until_has(&deployments, "web", complete(4)).await;
}
