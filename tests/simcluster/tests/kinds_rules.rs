//! What makes an object of a built-in kind invalid, and what of it cannot change.

#![allow(clippy::unwrap_used)]

mod common;

use common::manifests::*;
use common::*;
use http::{Method, header};
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_invalid_is_refused_with_its_field() {
    let (cluster, _client) = cluster().await;
    let check = async |resource: &str, body: Value, wanted: Causes<'_>| {
        let answer = dry(&cluster, resource, body.clone()).await;
        check_causes(answer, &format!("{resource} {body}"), wanted);
    };
    let maps = "v1/configmaps";
    check(
        maps,
        json!({"metadata": {"labels": {"-x": "v"}, "annotations": {"a b": ""}, "finalizers": ["f"]}}),
        &[
            ("metadata.labels", "name part must consist of"),
            ("metadata.annotations", "name part must consist of"),
            ("metadata.finalizers[0]", "nor is it fully qualified"),
        ],
    )
    .await;
    check(
        maps,
        json!({"metadata": {"annotations": {"big": "x".repeat(262_145)}}}),
        &[("metadata.annotations", "Too long: may not be more than 262144 bytes")],
    )
    .await;
    check(maps, json!({"data": {"a/b": ""}}), &[("data[a/b]", "valid config key")]).await;
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true});
    check(
        maps,
        json!({"metadata": {"ownerReferences": [owner, owner]}}),
        &[(
            "metadata.ownerReferences",
            "Only one reference can have Controller set to true",
        )],
    )
    .await;
    check(
        "v1/secrets",
        json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": "x"}}),
        &[("data[tls.key]", "Required value")],
    )
    .await;
    let services = "v1/services";
    let port = json!({"port": 80});
    check(services, json!({"spec": {}}), &[("spec.ports", "Required value")]).await;
    check(
        services,
        json!({"spec": {"type": "External", "ports": [port]}}),
        &[(
            "spec.type",
            "Unsupported value: \"External\": supported values: \"ClusterIP\", \"ExternalName\"",
        )],
    )
    .await;
    check(
        services,
        json!({"spec": {"type": "ExternalName"}}),
        &[("spec.externalName", "Required value")],
    )
    .await;
    check(
        services,
        json!({"spec": {"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80, "nodePort": 80}]}}),
        &[
            ("spec.ports[0].nodePort", "valid ports is 30000-32767"),
            ("spec.clusterIPs[0]", "may not be set to 'None' for NodePort services"),
        ],
    )
    .await;
    check(
        services,
        json!({"spec": {"loadBalancerClass": "x", "externalTrafficPolicy": "Local",
            "ports": [{"name": "x", "port": 80}, {"name": "x", "port": 81, "protocol": "ICMP"}]}}),
        &[
            ("spec.ports[1].name", "Duplicate value: \"x\""),
            ("spec.ports[1].protocol", "supported values: \"SCTP\", \"TCP\", \"UDP\""),
            ("spec.externalTrafficPolicy", "externally-accessible services"),
            (
                "spec.loadBalancerClass",
                "may only be used when `type` is 'LoadBalancer'",
            ),
        ],
    )
    .await;
    check(
        "discovery.k8s.io/v1/endpointslices",
        json!({"addressType": "IPv4", "endpoints": [{"addresses": ["2001:db8::1"]}, {"addresses": []}]}),
        &[
            ("endpoints[0].addresses[0]", "must be a valid IPv4 address"),
            ("endpoints[1].addresses", "must contain at least 1 address"),
        ],
    )
    .await;
    let ingresses = "networking.k8s.io/v1/ingresses";
    check(
        ingresses,
        json!({"spec": {}}),
        &[("spec", "either `defaultBackend` or `rules`")],
    )
    .await;
    check(
        ingresses,
        ingress(json!({"path": "x", "pathType": "Prefix", "backend": backend()})),
        &[("spec.rules[0].http.paths[0].path", "must be an absolute path")],
    )
    .await;
    let both = json!({"service": backend()["service"], "resource": {"kind": "K", "name": "n"}});
    check(
        ingresses,
        ingress(json!({"path": "/", "pathType": "Any", "backend": both})),
        &[
            ("spec.rules[0].http.paths[0].pathType", "Unsupported value: \"Any\""),
            (
                "spec.rules[0].http.paths[0].backend",
                "cannot set both resource and service backends",
            ),
        ],
    )
    .await;
    check(
        "networking.k8s.io/v1/networkpolicies",
        json!({"spec": {"podSelector": {}, "ingress": [{"from": [{}, {"ipBlock": {"cidr": "10.0.0.0"}}]}]}}),
        &[
            ("spec.ingress[0].from[0]", "must specify a peer"),
            ("spec.ingress[0].from[1].ipBlock.cidr", "must be a valid CIDR value"),
        ],
    )
    .await;
    check(
        "apps/v1/deployments",
        workload(json!({"replicas": -1, "selector": {"matchLabels": {"app": "b"}}, "strategy": {"type": "Recreate", "rollingUpdate": {}}})),
        &[
            ("spec.replicas", "must be greater than or equal to 0"),
            ("spec.template.metadata.labels", "`selector` does not match template `labels`"),
            ("spec.strategy.rollingUpdate", "when strategy `type` is 'Recreate'"),
        ],
    )
    .await;
    check(
        "batch/v1/jobs",
        json!({"spec": {"template": template(json!({}))}}),
        &[(
            "spec.template.spec.restartPolicy",
            "valid values: \"OnFailure\", \"Never\"",
        )],
    )
    .await;
    check(
        "batch/v1/jobs",
        job(json!({"selector": {"matchLabels": {"app": "a"}}})),
        &[("spec.selector", "`selector` not auto-generated")],
    )
    .await;
    check(
        "batch/v1/cronjobs",
        cron_job("* * *"),
        &[("spec.schedule", "expected exactly 5 fields, found 3")],
    )
    .await;
    check(
        "autoscaling/v2/horizontalpodautoscalers",
        autoscaler(json!({"minReplicas": 5})),
        &[("spec.maxReplicas", "must be greater than or equal to `minReplicas`")],
    )
    .await;
    check(
        "coordination.k8s.io/v1/leases",
        json!({"spec": {"leaseDurationSeconds": 0}}),
        &[("spec.leaseDurationSeconds", "must be greater than 0")],
    )
    .await;
    check(
        "rbac.authorization.k8s.io/v1/roles",
        json!({"rules": [{"verbs": ["get"]}]}),
        &[
            ("rules[0].apiGroups", "at least one api group"),
            ("rules[0].resources", "at least one resource"),
        ],
    )
    .await;
    let container = json!({"name": "main", "image": "", "ports": [{"containerPort": 70_000}],
        "volumeMounts": [{"name": "none", "mountPath": "/x"}],
        "livenessProbe": {}, "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}});
    check(
        "v1/pods",
        json!({"spec": {"containers": [container]}}),
        &[
            ("spec.containers[0].image", "Required value"),
            (
                "spec.containers[0].ports[0].containerPort",
                "must be between 1 and 65535, inclusive",
            ),
            ("spec.containers[0].volumeMounts[0].name", "Not found: \"none\""),
            ("spec.containers[0].livenessProbe", "must specify a handler type"),
            (
                "spec.containers[0].resources.requests",
                "must be less than or equal to cpu limit of 1",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_cannot_change_does_not() {
    let (cluster, _client) = cluster().await;
    let merge = [(header::CONTENT_TYPE, "application/merge-patch+json")];
    let patch = async |resource: &str, change: &Value| {
        let path = format!("{}/a", path(resource));
        raw(&cluster, Method::PATCH, &path, &merge, change.to_string()).await
    };
    // A change that must be refused for a field, and one that must not.
    let check = async |resource: &str, body: Value, refused: Value, field: (&str, &str), allowed: Value| {
        let made = post(&cluster, &path(resource), named(body)).await;
        assert_eq!(made.code, 201, "{resource}: {}", made.body);
        check_causes(patch(resource, &refused).await, resource, &[field]);
        let done = patch(resource, &allowed).await;
        assert_eq!(done.code, 200, "{resource}: {}", done.body);
    };
    check(
        "apps/v1/deployments",
        workload(json!({})),
        json!({"spec": {"selector": {"matchLabels": {"b": "c"}}, "template": {"metadata": {"labels": {"b": "c"}}}}}),
        ("spec.selector", "field is immutable"),
        json!({"spec": {"template": {"metadata": {"labels": {"b": "c"}}}}}),
    )
    .await;
    check(
        "apps/v1/statefulsets",
        workload(json!({"serviceName": "x"})),
        json!({"spec": {"serviceName": "y"}}),
        ("spec", "updates to statefulset spec for fields other than 'replicas'"),
        json!({"spec": {"replicas": 2, "minReadySeconds": 1}}),
    )
    .await;
    check(
        "batch/v1/jobs",
        job(json!({})),
        json!({"spec": {"template": {"spec": {"dnsPolicy": "Default"}}}}),
        ("spec.template", "field is immutable"),
        json!({"spec": {"parallelism": 2, "suspend": true}}),
    )
    .await;
    check(
        "v1/pods",
        pod(json!({})),
        json!({"spec": {"nodeName": "n"}}),
        ("spec", "pod updates may not change fields other than"),
        json!({"spec": {"containers": [{"name": "main", "image": "example.com/main:1"}]}}),
    )
    .await;
    check(
        "v1/secrets",
        json!({"immutable": true, "stringData": {"k": "v"}}),
        json!({"data": {"k": "eA=="}}),
        ("data", "field is immutable when `immutable` is set"),
        json!({"metadata": {"labels": {"x": "y"}}}),
    )
    .await;
    check(
        "v1/configmaps",
        json!({"immutable": true}),
        json!({"immutable": false}),
        ("immutable", "field is immutable when `immutable` is set"),
        json!({"metadata": {"labels": {"x": "y"}}}),
    )
    .await;
    check(
        "rbac.authorization.k8s.io/v1/rolebindings",
        binding(),
        json!({"roleRef": {"name": "other"}}),
        ("roleRef", "cannot change roleRef"),
        json!({"subjects": []}),
    )
    .await;
    check(
        "discovery.k8s.io/v1/endpointslices",
        json!({"addressType": "IPv4", "endpoints": []}),
        json!({"addressType": "IPv6"}),
        ("addressType", "field is immutable"),
        json!({"endpoints": [{"addresses": ["10.0.0.1"]}]}),
    )
    .await;
    check(
        "v1/services",
        json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]}}),
        json!({"spec": {"clusterIP": "10.96.99.99"}}),
        ("spec.clusterIPs[0]", "may not change once set"),
        json!({"spec": {"type": "ClusterIP"}}),
    )
    .await;
    let service = get(&cluster, &format!("{}/a", path("v1/services"))).await.body;
    for field in [
        "externalTrafficPolicy",
        "allocateLoadBalancerNodePorts",
        "healthCheckNodePort",
    ] {
        assert_eq!(service["spec"].get(field), None, "{field} belongs to the old type");
    }
    assert_eq!(service["spec"]["ports"][0].get("nodePort"), None);
    let done = patch(
        "v1/services",
        &json!({"spec": {"type": "ExternalName", "externalName": "x.example.com"}}),
    )
    .await;
    assert_eq!(
        (done.code, done.body["spec"].get("clusterIP")),
        (200, None),
        "{}",
        done.body
    );
}
