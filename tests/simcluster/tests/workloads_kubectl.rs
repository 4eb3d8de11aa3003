//! The workload side as users of kubectl see it; skipped where there is none.

#![allow(clippy::unwrap_used)]

mod common;

use common::kubectl::Kubectl;
use common::workloads::options;
use meridian_simcluster::workload::{NodePool, WorkloadOptions, Workloads};

/// A cluster with three nodes and its workload side.
async fn start(test: &str) -> Option<(Kubectl, Workloads)> {
    let kubectl = Kubectl::start(test).await?;
    let options = WorkloadOptions {
        nodes: Some(NodePool::one_per_zone("r", &["a", "b", "c"])),
        ..options()
    };
    let workloads = Workloads::start(common::client(&kubectl.cluster).await, options);
    Some((kubectl, workloads))
}

#[tokio::test]
async fn rollouts_of_a_deployment() {
    let Some((kubectl, _workloads)) = start("rollout").await else {
        return;
    };
    for (command, wanted) in [
        (
            "create deployment web --image=example.com/web:1 --replicas=2",
            "created",
        ),
        (
            "rollout status deployment web --timeout=20s",
            "deployment \"web\" successfully rolled out",
        ),
        ("get deployment web --no-headers", "2/2"),
        ("get replicasets -l app=web --no-headers", "2     2     2"),
        (
            "wait nodes --all --for=condition=Ready --timeout=20s",
            "node/us-west-node-2 condition met",
        ),
        ("get node us-west-node-0 --no-headers", "Ready"),
        (
            "get pods -l app=web -o jsonpath={.items[*].spec.nodeName}",
            "us-west-node-",
        ),
        ("set image deployment/web web=example.com/web:2", "image updated"),
        ("rollout status deployment web --timeout=20s", "successfully rolled out"),
        ("rollout history deployment web", "2         <none>"),
        ("rollout undo deployment web", "rolled back"),
        ("rollout status deployment web --timeout=20s", "successfully rolled out"),
        (
            "get deployment web -o jsonpath={.spec.template.spec.containers[0].image}",
            "example.com/web:1",
        ),
        ("rollout restart deployment web", "restarted"),
        ("rollout status deployment web --timeout=20s", "successfully rolled out"),
        ("scale deployment web --replicas=4", "scaled"),
        (
            "wait deployment web --for=jsonpath={.status.availableReplicas}=4 --timeout=20s",
            "condition met",
        ),
        ("rollout pause deployment web", "paused"),
        ("rollout resume deployment web", "resumed"),
        ("rollout status deployment web --timeout=20s", "successfully rolled out"),
        (
            "wait deployment web --for=condition=Available --timeout=20s",
            "condition met",
        ),
        ("delete deployment web", "deleted"),
        ("wait pods -l app=web --for=delete --timeout=20s", ""),
    ] {
        kubectl.check(command, "", wanted).await;
    }
}

const OTHERS: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: 'example.com/main:1'}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: agent
spec:
  selector: {matchLabels: {app: agent}}
  updateStrategy: {type: RollingUpdate}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: main, image: 'example.com/main:1'}]}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: work
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: 'example.com/main:1'}]}
";

#[tokio::test]
async fn rollouts_of_other_kinds() {
    let Some((kubectl, _workloads)) = start("others").await else {
        return;
    };
    kubectl.check("create -f -", OTHERS, "job.batch/work created").await;
    for (command, wanted) in [
        (
            "rollout status statefulset db --timeout=20s",
            "2 new pods have been updated",
        ),
        ("rollout restart statefulset db", "restarted"),
        (
            "rollout status statefulset db --timeout=20s",
            "2 new pods have been updated",
        ),
        ("scale statefulset db --replicas=3", "scaled"),
        ("wait pod db-2 --for=create --timeout=20s", "condition met"),
        ("wait pod db-2 --for=condition=Ready --timeout=20s", "condition met"),
        (
            "rollout status daemonset agent --timeout=20s",
            "daemon set \"agent\" successfully rolled out",
        ),
        ("get daemonset agent -o jsonpath={.status.numberReady}", "3"),
        ("rollout restart daemonset agent", "restarted"),
        (
            "rollout status daemonset agent --timeout=20s",
            "daemon set \"agent\" successfully rolled out",
        ),
        ("wait job work --for=condition=Complete --timeout=20s", "condition met"),
        (
            "get pods -l job-name=work -o jsonpath={.items[0].status.phase}",
            "Succeeded",
        ),
    ] {
        kubectl.check(command, "", wanted).await;
    }
}
