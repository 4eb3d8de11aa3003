//! Manifests that people have or will write are read as they are meant.
#![allow(clippy::unwrap_used)]

use meridian_federation_api::{
    Cluster, DNSRoute, DNSZone, Federated, PatchOp, RouteSourceKind, SelectorOperator, SyncState, TrafficState,
    WhenNoneHealthyType,
};
use serde_json::json;

#[test]
fn a_kubefed_manifest_works_after_changing_its_api_version() {
    let mut manifest = json!({
        "apiVersion": "types.kubefed.io/v1beta1",
        "kind": "FederatedDeployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}}
            },
            "placement": {
                "clusters": [{"name": "us-west"}, {"name": "ap-northeast"}],
                "clusterSelector": {
                    "matchLabels": {"tier": "edge"},
                    "matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]
                }
            },
            "overrides": [{
                "clusterName": "us-west",
                "clusterOverrides": [
                    {"path": "/spec/replicas", "value": 5},
                    {"op": "", "path": "/spec/paused", "value": true},
                    {"op": "add", "path": "/metadata/annotations", "value": {"team": "edge"}},
                    {"op": "remove", "path": "/metadata/labels/app"}
                ]
            }],
            "retainReplicas": true
        }
    });
    manifest["apiVersion"] = json!("types.meridian.dev/v1alpha1");
    let object: Federated = serde_json::from_value(manifest).unwrap();
    assert_eq!(object.metadata.name.as_deref(), Some("web"));
    assert_eq!(object.spec.template["spec"]["replicas"], 3);
    assert!(object.spec.retain_replicas && object.status.is_none());
    let names: Vec<&str> = object
        .spec
        .placement
        .clusters
        .iter()
        .flatten()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(names, ["us-west", "ap-northeast"]);
    let selector = object.spec.placement.cluster_selector.as_ref().unwrap();
    assert_eq!(selector.match_expressions[0].operator, SelectorOperator::DoesNotExist);
    let changes = &object.spec.overrides[0];
    assert_eq!(changes.cluster_name.as_deref(), Some("us-west"));
    let ops: Vec<PatchOp> = changes.cluster_overrides.iter().map(|patch| patch.op).collect();
    assert_eq!(ops, [PatchOp::Replace, PatchOp::Replace, PatchOp::Add, PatchOp::Remove]);
    assert_eq!(changes.cluster_overrides[0].value, Some(json!(5)));
    assert_eq!(changes.cluster_overrides[3].value, None);
}

#[test]
fn an_empty_list_of_clusters_is_not_an_absent_one() {
    let object = |placement| -> Federated {
        let manifest = json!({"metadata": {"name": "a", "namespace": "a"}, "spec": {"placement": placement}});
        serde_json::from_value(manifest).unwrap()
    };
    assert_eq!(object(json!({})).spec.placement.clusters, None);
    assert_eq!(object(json!({"clusters": []})).spec.placement.clusters, Some(vec![]));
    let written = serde_json::to_value(object(json!({"clusters": []}))).unwrap();
    assert_eq!(written["spec"], json!({"placement": {"clusters": []}}));
}

#[test]
fn a_cluster_needs_only_its_credentials() {
    let cluster: Cluster = serde_json::from_value(json!({
        "apiVersion": "meridian.dev/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": "us-west"},
        "spec": {"kubeconfigSecretRef": {"namespace": "meridian", "name": "us-west"}}
    }))
    .unwrap();
    assert_eq!(cluster.spec.kubeconfig_secret_ref.key, "kubeconfig");
    assert_eq!(
        (cluster.spec.weight, cluster.spec.traffic, cluster.spec.sync),
        (100, TrafficState::Active, SyncState::Active)
    );
}

#[test]
fn a_zone_and_a_route_have_their_defaults() {
    let zone: DNSZone = serde_json::from_value(json!({
        "apiVersion": "meridian.dev/v1alpha1", "kind": "DNSZone", "metadata": {"name": "global"},
        "spec": {
            "domain": "global.example", "federation": "prod",
            "nameservers": [{"name": "ns1.global.example", "addresses": ["192.0.2.1", "2001:db8::1"]}]
        }
    }))
    .unwrap();
    assert_eq!(
        (zone.spec.ttl, zone.spec.when_none_healthy.kind),
        (30, WhenNoneHealthyType::FailOpen)
    );
    let fallback = json!({"type": "Fallback", "target": "sorry.example"});
    assert_eq!(
        serde_json::from_value::<meridian_federation_api::WhenNoneHealthy>(fallback)
            .unwrap()
            .target
            .as_deref(),
        Some("sorry.example")
    );
    let route: DNSRoute = serde_json::from_value(json!({
        "apiVersion": "meridian.dev/v1alpha1", "kind": "DNSRoute", "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"source": {"kind": "Service", "name": "web"}, "hostnames": ["shop.example.org"]}
    }))
    .unwrap();
    assert_eq!(
        (route.spec.source.kind, route.spec.zone_ref, route.spec.ttl),
        (RouteSourceKind::Service, None, None)
    );
}
