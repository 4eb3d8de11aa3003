//! The objects of the demo: what a platform team would apply to its host cluster.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt};
use meridian_federation_api as api;
use serde_json::{Value, json};

use super::fleet::{Fleet, Member, SERVICE_PORT};

/// The demo's domain, federation, namespace and services.
pub(super) const DOMAIN: &str = "example.test";
pub(super) const FEDERATION: &str = "prod";
pub(super) const NAMESPACE: &str = "shop";
pub(super) const SERVICES: [&str; 2] = ["web", "api"];
/// Namespace of the demo's credentials.
const SYSTEM_NAMESPACE: &str = "meridian-system";

/// Global name of a service.
pub(super) fn global(service: &str) -> String {
    format!("{service}.{NAMESPACE}.{FEDERATION}.svc.{DOMAIN}")
}

/// Name of a service in a region, or in a zone written `zone.region`.
pub(super) fn local(service: &str, place: &str) -> String {
    format!("{service}.{NAMESPACE}.{FEDERATION}.svc.{place}.{DOMAIN}")
}

/// The definitions and the fleet's objects: everything but the application.
pub(super) async fn create_fleet(fleet: &Fleet) -> Result<()> {
    let host = &fleet.host;
    for crd in api::crds() {
        apply(
            host,
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            None,
            serde_json::to_value(&crd)?,
        )
        .await?;
        established(host, &crd.name_any()).await?;
    }
    for namespace in [SYSTEM_NAMESPACE, NAMESPACE] {
        apply(host, "v1", "Namespace", None, json!({"metadata": {"name": namespace}})).await?;
    }
    for member in &fleet.members {
        join(host, member).await?;
    }
    let zone = json!({
        "metadata": {"name": "example-test"},
        "spec": {
            "domain": DOMAIN,
            "federation": FEDERATION,
            "nameservers": [{"name": format!("ns1.{DOMAIN}"), "addresses": ["127.0.0.1"]}],
        },
    });
    apply(host, "meridian.dev/v1alpha1", "DNSZone", None, zone).await
}

/// A newly made kind is served a moment after its definition is accepted.
async fn established(host: &Client, name: &str) -> Result<()> {
    let crds = Api::<CustomResourceDefinition>::all(host.clone());
    let condition = kube::runtime::conditions::is_crd_established();
    let waiting = kube::runtime::wait::await_condition(crds, name, condition);
    tokio::time::timeout(std::time::Duration::from_secs(10), waiting)
        .await
        .with_context(|| format!("{name} was not established in time"))??;
    Ok(())
}

/// What joining a member leaves on the host: its credentials and its Cluster, with the identity pinned.
async fn join(host: &Client, member: &Member) -> Result<()> {
    let plan = member.plan;
    let name = format!("{}-kubeconfig", plan.name);
    let kubeconfig = k8s_openapi::ByteString(std::fs::read(&member.kubeconfig)?);
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
        "data": {"kubeconfig": kubeconfig},
    }))?;
    Api::<Secret>::namespaced(host.clone(), SYSTEM_NAMESPACE)
        .create(&Default::default(), &secret)
        .await?;
    let (latitude, longitude) = plan.location;
    let cluster = json!({
        "metadata": {"name": plan.name},
        "spec": {
            "kubeconfigSecretRef": {"namespace": SYSTEM_NAMESPACE, "name": name},
            "location": {"latitude": latitude, "longitude": longitude},
            "networks": [plan.network],
            "uid": member.uid,
        },
    });
    apply(host, "meridian.dev/v1alpha1", "Cluster", None, cluster).await
}

/// The application: a namespace and two services with their deployments, federated.
pub(super) async fn create_application(host: &Client) -> Result<()> {
    let everywhere = json!({"clusterSelector": {}});
    federate(host, "FederatedNamespace", NAMESPACE, json!({"placement": everywhere})).await?;
    for service in SERVICES {
        let labels = json!({"app": service});
        let deployment = json!({
            "placement": everywhere,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "replicas": 2,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [{"name": "server", "image": format!("example.test/{service}:1"), "ports": [{"containerPort": SERVICE_PORT}]}]},
                    },
                },
            },
            "overrides": [replicas_override("os-taipei", 3)],
        });
        federate(host, "FederatedDeployment", service, deployment).await?;
        let front = json!({
            "placement": everywhere,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "type": "LoadBalancer",
                    "selector": labels,
                    "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": SERVICE_PORT}],
                },
            },
        });
        federate(host, "FederatedService", service, front).await?;
    }
    Ok(())
}

/// An override of the number of replicas in one cluster.
pub(super) fn replicas_override(cluster: &str, replicas: u32) -> Value {
    json!({"clusterName": cluster, "clusterOverrides": [{"path": "/spec/replicas", "value": replicas}]})
}

async fn federate(host: &Client, kind: &str, name: &str, spec: Value) -> Result<()> {
    apply(
        host,
        "types.meridian.dev/v1alpha1",
        kind,
        Some(NAMESPACE),
        json!({"metadata": {"name": name}, "spec": spec}),
    )
    .await
}

/// Server-side apply, as `kubectl apply --server-side` does it.
async fn apply(host: &Client, api_version: &str, kind: &str, namespace: Option<&str>, mut object: Value) -> Result<()> {
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let objects = dynamic(host, api_version, kind, namespace);
    objects
        .patch(
            &name,
            &PatchParams::apply("meridian-demo").force(),
            &Patch::Apply(&object),
        )
        .await
        .with_context(|| format!("{kind} {name} cannot be applied to the host cluster"))?;
    Ok(())
}

/// Objects of a kind by name, as far as the demo has them.
pub(super) fn dynamic(client: &Client, api_version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// A merge patch to an object of the host.
pub(super) async fn patch(
    host: &Client,
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
    name: &str,
    patch: Value,
) -> Result<()> {
    dynamic(host, api_version, kind, namespace)
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .with_context(|| format!("{kind} {name} cannot be changed"))?;
    Ok(())
}

/// The namespaces of a cluster, to see what is there.
pub(super) async fn has_namespace(client: &Client, name: &str) -> Result<bool> {
    Ok(Api::<Namespace>::all(client.clone()).get_opt(name).await?.is_some())
}
