//! The scripted story: eleven steps, each checked from outside by DNS, HTTP and the members' own APIs.
//!
//! A step does something to the fleet and then looks at what its users see. Nothing is read from the
//! controller's memory; what it should have written is read from the API where a user would read it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use meridian_federation_api as api;
use meridian_simcluster::proxy::Fault;
use meridian_simcluster::workload::READY_ANNOTATION;
use serde::Serialize;
use serde_json::json;

use super::expect::{Asker, Expectation, leads};
use super::fleet::{Fleet, MEMBERS, client};
use super::objects::{NAMESPACE, SERVICES, dynamic, global, has_namespace, local, patch, replicas_override};

/// Limit of what watches bring: far more than it takes, since machines can be slow.
const SOON: Duration = Duration::from_secs(10);
/// Limit of a verdict by probes: one health request, two rounds, and room for a slow machine.
const PROBE_LIMIT: Duration = Duration::from_secs(8);
/// How long "no answer changes" is watched: longer than probes need for a verdict.
const QUIET: Duration = Duration::from_secs(6);

/// The result of one step, as `--output json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct StepResult {
    pub(super) step: u32,
    pub(super) expected: String,
    pub(super) seen: String,
    pub(super) ok: bool,
    pub(super) millis: u128,
}

/// A fleet with its application, and the server to ask.
pub(super) struct Story<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) asker: Asker,
}

/// What a step saw, or what was wrong.
type Seen = Result<String>;

impl Story<'_> {
    /// Runs all steps, telling each as it ends. A step that fails does not end the story.
    pub(super) async fn run(&self, mut tell: impl FnMut(&StepResult)) -> bool {
        let mut ok = true;
        for step in 1..=11 {
            let started = Instant::now();
            let (expected, seen) = self.step(step).await;
            let result = StepResult {
                step,
                expected: expected.to_owned(),
                ok: seen.is_ok(),
                seen: seen.unwrap_or_else(|error| format!("{error:#}")),
                millis: started.elapsed().as_millis(),
            };
            ok &= result.ok;
            tell(&result);
        }
        ok
    }

    async fn step(&self, step: u32) -> (&'static str, Seen) {
        match step {
            1 => ("each client gets its own cluster for web", self.own_clusters().await),
            2 => (
                "region and zone names answer from their own cluster",
                self.region_and_zone_names().await,
            ),
            3 => (
                "web's pods in os-taipei are not ready: its client goes to ap-northeast, taipei's names become aliases",
                self.not_ready().await,
            ),
            4 => (
                "web's pods in os-taipei are ready again: all as before",
                self.ready_again().await,
            ),
            5 => (
                "us-west's API stops answering, its load balancers work: no answer changes",
                self.api_lost().await,
            ),
            6 => (
                "us-west's load balancers stop too: its client goes to the next cluster",
                self.data_path_lost().await,
            ),
            7 => ("both come back: all as before", self.both_back().await),
            8 => (
                "os-taipei is drained: every name avoids it; undrained: back",
                self.drain().await,
            ),
            9 => (
                "an override changes os-taipei's replicas; a change by hand in a member is put back",
                self.override_and_drift().await,
            ),
            10 => (
                "web's federated objects are deleted: its objects and names go, api's stay",
                self.delete_web().await,
            ),
            _ => (
                "us-west's API is replaced by an empty cluster: nothing is withdrawn or re-created, a condition says so",
                self.impostor().await,
            ),
        }
    }

    /// Every client to its own cluster, for these services.
    fn at_home(services: &[&str]) -> Vec<Expectation> {
        let each = |service: &&str| MEMBERS.map(|member| leads(&global(service), member.network, member.name));
        services.iter().flat_map(each).collect()
    }

    /// Region and zone names from their own cluster, whoever asks.
    fn places(services: &[&str]) -> Vec<Expectation> {
        let mut expected = Vec::new();
        for service in services {
            for member in MEMBERS {
                expected.push(leads(&local(service, member.region), MEMBERS[0].network, member.name));
                for zone in member.zones {
                    let name = local(service, &format!("{zone}.{}", member.region));
                    expected.push(leads(&name, MEMBERS[0].network, member.name));
                }
            }
        }
        expected
    }

    /// Everything as it was at the start.
    pub(super) fn all_well() -> Vec<Expectation> {
        [Self::at_home(&SERVICES), Self::places(&SERVICES)].concat()
    }

    async fn until(&self, expected: &[Expectation], limit: Duration) -> Seen {
        match self.asker.until_all_hold(expected, limit).await {
            Ok(time) => Ok(format!("as expected after {} ms", time.as_millis())),
            Err(seen) => anyhow::bail!("after {} s still: {seen}", limit.as_secs()),
        }
    }

    async fn own_clusters(&self) -> Seen {
        self.until(&Self::at_home(&["web"]), SOON).await
    }

    async fn region_and_zone_names(&self) -> Seen {
        self.until(&Self::places(&["web"]), SOON).await
    }

    async fn not_ready(&self) -> Seen {
        self.set_ready("os-taipei", "web", false).await?;
        self.until(&Self::without_taipei(), SOON).await
    }

    /// What is expected while web does not serve in os-taipei.
    fn without_taipei() -> Vec<Expectation> {
        vec![
            leads(&global("web"), "100.64.30.0/24", "ap-northeast"),
            Expectation::Alias {
                name: local("web", "taipei"),
                target: global("web"),
            },
            Expectation::Alias {
                name: local("web", "dc1.taipei"),
                target: local("web", "taipei"),
            },
            leads(&local("web", "dc1.taipei"), "100.64.30.0/24", "ap-northeast"),
            leads(&global("web"), "100.64.10.0/24", "us-west"),
            leads(&global("api"), "100.64.30.0/24", "os-taipei"),
        ]
    }

    async fn ready_again(&self) -> Seen {
        self.set_ready("os-taipei", "web", true).await?;
        self.until(&Self::all_well(), SOON).await
    }

    /// Makes a service's pods in a cluster ready or not, through that cluster's own API.
    pub(super) async fn set_ready(&self, cluster: &str, service: &str, ready: bool) -> Result<()> {
        let pods = Api::<Pod>::namespaced(self.fleet.member(cluster).client.clone(), NAMESPACE);
        let change = json!({"metadata": {"annotations": {READY_ANNOTATION: ready.to_string()}}});
        for pod in pods
            .list(&ListParams::default().labels(&format!("app={service}")))
            .await?
        {
            pods.patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&change))
                .await?;
        }
        Ok(())
    }

    async fn api_lost(&self) -> Seen {
        self.fleet.member("us-west").proxy.set(Fault::Hang);
        if let Err(seen) = self.asker.all_hold_for(&Self::all_well(), QUIET).await {
            anyhow::bail!("an answer changed: {seen}");
        }
        self.cluster_condition("us-west", "Offline", "True", SOON).await?;
        Ok(format!(
            "no answer changed in {} s; Cluster us-west is Offline",
            QUIET.as_secs()
        ))
    }

    async fn data_path_lost(&self) -> Seen {
        self.fleet.member("us-west").workloads.stop_load_balancers();
        let mut expected = Vec::new();
        for service in SERVICES {
            expected.push(leads(&global(service), "100.64.10.0/24", "ap-northeast"));
            expected.push(leads(&global(service), "100.64.20.0/24", "ap-northeast"));
            expected.push(leads(&global(service), "100.64.30.0/24", "os-taipei"));
            expected.push(Expectation::Alias {
                name: local(service, "us-west-2"),
                target: global(service),
            });
        }
        self.until(&expected, PROBE_LIMIT).await
    }

    async fn both_back(&self) -> Seen {
        let member = self.fleet.member("us-west");
        member.workloads.start_load_balancers();
        member.proxy.set(Fault::None);
        let seen = self.until(&Self::all_well(), SOON).await?;
        self.cluster_condition("us-west", "Ready", "True", SOON).await?;
        Ok(seen)
    }

    async fn drain(&self) -> Seen {
        self.set_traffic("os-taipei", "Drained").await?;
        let mut expected = Vec::new();
        for service in SERVICES {
            expected.push(leads(&global(service), "100.64.30.0/24", "ap-northeast"));
            expected.push(leads(&local(service, "taipei"), "100.64.30.0/24", "ap-northeast"));
            expected.push(leads(&local(service, "dc1.taipei"), "100.64.30.0/24", "ap-northeast"));
        }
        let drained = self.until(&expected, SOON).await?;
        self.set_traffic("os-taipei", "Active").await?;
        let back = self.until(&Self::all_well(), SOON).await?;
        Ok(format!("drained: {drained}; undrained: {back}"))
    }

    /// The operator's switch of a cluster.
    pub(super) async fn set_traffic(&self, cluster: &str, traffic: &str) -> Result<()> {
        patch(
            &self.fleet.host,
            "meridian.dev/v1alpha1",
            "Cluster",
            None,
            cluster,
            json!({"spec": {"traffic": traffic}}),
        )
        .await
    }

    async fn override_and_drift(&self) -> Seen {
        let change = json!({"spec": {"overrides": [replicas_override("os-taipei", 4)]}});
        patch(
            &self.fleet.host,
            "types.meridian.dev/v1alpha1",
            "FederatedDeployment",
            Some(NAMESPACE),
            "api",
            change,
        )
        .await?;
        let overridden = self.until_deployment("os-taipei", "api", |deployment| {
            (replicas(deployment), ready_replicas(deployment)) == (Some(4), Some(4))
        });
        overridden.await.context("os-taipei's api has not 4 ready replicas")?;
        let deployments = Api::<Deployment>::namespaced(self.fleet.member("ap-northeast").client.clone(), NAMESPACE);
        let by_hand = json!({"spec": {"replicas": 7}});
        let changed = deployments
            .patch("api", &PatchParams::default(), &Patch::Merge(&by_hand))
            .await?;
        anyhow::ensure!(replicas(&changed) == Some(7), "the change by hand was not taken");
        let put_back = self.until_deployment("ap-northeast", "api", |deployment| replicas(deployment) == Some(2));
        put_back
            .await
            .context("ap-northeast's api was not put back to 2 replicas")?;
        Ok("os-taipei runs 4 replicas of api; ap-northeast's 7 were put back to 2".to_owned())
    }

    async fn until_deployment(&self, cluster: &str, name: &str, holds: impl Fn(&Deployment) -> bool) -> Result<()> {
        let deployments = Api::<Deployment>::namespaced(self.fleet.member(cluster).client.clone(), NAMESPACE);
        let condition = |deployment: Option<&Deployment>| deployment.is_some_and(&holds);
        tokio::time::timeout(SOON, kube::runtime::wait::await_condition(deployments, name, condition)).await??;
        Ok(())
    }

    async fn delete_web(&self) -> Seen {
        for kind in ["FederatedService", "FederatedDeployment"] {
            dynamic(&self.fleet.host, "types.meridian.dev/v1alpha1", kind, Some(NAMESPACE))
                .delete("web", &DeleteParams::default())
                .await?;
        }
        let mut names = vec![global("web"), format!("_http._tcp.{}", global("web"))];
        for member in MEMBERS {
            names.push(format!("{}.{}", member.name, global("web")));
            names.push(local("web", member.region));
            names.extend(
                member
                    .zones
                    .iter()
                    .map(|zone| local("web", &format!("{zone}.{}", member.region))),
            );
        }
        let mut expected: Vec<_> = names.into_iter().map(|name| Expectation::Missing { name }).collect();
        expected.extend(Self::at_home(&["api"]));
        expected.extend(Self::places(&["api"]));
        let seen = self.until(&expected, SOON).await?;
        for member in &self.fleet.members {
            self.until_gone(member.plan.name, "web").await?;
            anyhow::ensure!(
                has_namespace(&member.client, NAMESPACE).await?,
                "namespace {NAMESPACE} is gone from {}",
                member.plan.name
            );
        }
        Ok(format!(
            "{seen}; no object of web is left in any member, namespace {NAMESPACE} is"
        ))
    }

    async fn until_gone(&self, cluster: &str, name: &str) -> Result<()> {
        let client = &self.fleet.member(cluster).client;
        let gone = async {
            loop {
                let deployment = Api::<Deployment>::namespaced(client.clone(), NAMESPACE)
                    .get_opt(name)
                    .await?;
                let service = Api::<Service>::namespaced(client.clone(), NAMESPACE)
                    .get_opt(name)
                    .await?;
                let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE)
                    .list(&ListParams::default().labels(&format!("app={name}")))
                    .await?;
                if deployment.is_none() && service.is_none() && pods.items.is_empty() {
                    return Ok::<_, kube::Error>(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, gone)
            .await
            .with_context(|| format!("objects of {name} are left in {cluster}"))??;
        Ok(())
    }

    async fn impostor(&self) -> Seen {
        let member = self.fleet.member("us-west");
        let impostor = member.api.impostor().await?;
        member.proxy.retarget(impostor.address());
        let expected = [Self::at_home(&["api"]), Self::places(&["api"])].concat();
        let quiet = self.asker.all_hold_for(&expected, QUIET).await;
        let condition = self.cluster_condition("us-west", "Ready", "False", SOON).await;
        let created = has_namespace(&client(&impostor.kubeconfig(impostor.address())?).await?, NAMESPACE).await?;
        member.proxy.retarget(member.api.address());
        if let Err(seen) = quiet {
            anyhow::bail!("an answer changed: {seen}");
        }
        let condition = condition?;
        anyhow::ensure!(
            condition.reason == "WrongIdentity",
            "the condition says {}: {}",
            condition.reason,
            condition.message
        );
        anyhow::ensure!(!created, "objects were created in the empty cluster");
        Ok(format!(
            "no answer changed in {} s, nothing was created; Ready is False, {}: {}",
            QUIET.as_secs(),
            condition.reason,
            condition.message
        ))
    }

    /// Waits until a condition of a Cluster has that status.
    async fn cluster_condition(
        &self,
        cluster: &str,
        kind: &str,
        status: &str,
        limit: Duration,
    ) -> Result<api::Condition> {
        let clusters = Api::<api::Cluster>::all(self.fleet.host.clone());
        let find = |object: &api::Cluster| {
            let conditions = object
                .status
                .as_ref()
                .map(|status| status.conditions.as_slice())
                .unwrap_or_default();
            conditions
                .iter()
                .find(|condition| condition.type_ == kind && condition.status == status)
                .cloned()
        };
        let holds = |object: Option<&api::Cluster>| object.is_some_and(|object| find(object).is_some());
        let object = tokio::time::timeout(limit, kube::runtime::wait::await_condition(clusters, cluster, holds))
            .await
            .with_context(|| format!("condition {kind} of Cluster {cluster} did not become {status}"))??;
        object.as_ref().and_then(find).context("the Cluster is gone")
    }
}

fn replicas(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref()?.replicas
}

fn ready_replicas(deployment: &Deployment) -> Option<i32> {
    deployment.status.as_ref()?.ready_replicas
}
