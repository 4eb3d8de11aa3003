//! The table of lists against the `DeepMerge` of the typed structs.

use k8s_openapi::DeepMerge;
use k8s_openapi::api::{apps, autoscaling, batch, core, discovery, networking};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::server::kinds::Registry;
use crate::server::merge;

fn at(pointer: &str, items: &Value) -> Value {
    let names: Vec<&str> = pointer.split('/').skip(1).collect();
    names.iter().rev().fold(items.clone(), |inner, name| {
        match name.strip_suffix("[]") {
            // A list on the way has one item, known by its name.
            Some(name) => {
                let mut item = inner;
                item["name"] = json!("c");
                json!({name: [item]})
            }
            None => json!({*name: inner}),
        }
    })
}

/// Merges one item into a list of one other by both, and compares what the lists then are.
fn check<T: DeserializeOwned + Serialize + DeepMerge>(group: &str, plural: &str, pointer: &str, items: [Value; 2]) {
    let registry = Registry::built_in();
    let kind = registry
        .iter()
        .find(|kind| kind.plural == plural && kind.group == group)
        .unwrap();
    let [one, two] = items.map(|item| at(pointer, &json!([item])));
    let typed = |value: &Value| serde_json::from_value::<T>(value.clone()).unwrap();
    let mut wanted = typed(&one);
    wanted.merge_from(typed(&two));
    let found = merge::merge(&one, &two, &Shape::of(kind));
    let list = |value: &Value| value.pointer(&pointer.replace("[]", "/0")).cloned().unwrap();
    let whole = serde_json::to_value(typed(&found)).unwrap();
    assert_eq!(
        list(&whole),
        list(&serde_json::to_value(wanted).unwrap()),
        "{plural} {pointer}"
    );
}

fn pair(key: &str) -> [Value; 2] {
    [json!({key: "a"}), json!({key: "b"})]
}

/// The lists of a pod's spec, wherever it is.
fn check_pod_spec<T: DeserializeOwned + Serialize + DeepMerge>(group: &str, plural: &str, spec: &str) {
    for (list, key) in [
        ("containers", "name"),
        ("initContainers", "name"),
        ("volumes", "name"),
        ("imagePullSecrets", "name"),
        ("schedulingGates", "name"),
        ("resourceClaims", "name"),
        ("hostAliases", "ip"),
        ("tolerations", "key"),
        ("readinessGates", "conditionType"),
        ("containers[]/env", "name"),
        ("containers[]/volumeMounts", "mountPath"),
        ("containers[]/volumeDevices", "devicePath"),
        ("containers[]/envFrom", "prefix"),
        ("initContainers[]/env", "name"),
        ("containers[]/resources/claims", "name"),
    ] {
        check::<T>(group, plural, &format!("{spec}/{list}"), pair(key));
    }
    let ports = [
        json!({"containerPort": 1, "protocol": "TCP"}),
        json!({"containerPort": 2, "protocol": "TCP"}),
    ];
    check::<T>(group, plural, &format!("{spec}/containers[]/ports"), ports);
    let spread = |key: &str| json!({"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"});
    check::<T>(
        group,
        plural,
        &format!("{spec}/topologySpreadConstraints"),
        [spread("a"), spread("b")],
    );
    check::<T>(
        group,
        plural,
        &format!("{spec}/containers[]/args"),
        [json!("a"), json!("b")],
    );
}

#[test]
fn lists_merge_as_the_typed_structs_merge_them() {
    check_pod_spec::<core::v1::Pod>("", "pods", "/spec");
    check_pod_spec::<apps::v1::Deployment>("apps", "deployments", "/spec/template/spec");
    check_pod_spec::<apps::v1::StatefulSet>("apps", "statefulsets", "/spec/template/spec");
    check_pod_spec::<apps::v1::DaemonSet>("apps", "daemonsets", "/spec/template/spec");
    check_pod_spec::<apps::v1::ReplicaSet>("apps", "replicasets", "/spec/template/spec");
    check_pod_spec::<batch::v1::Job>("batch", "jobs", "/spec/template/spec");
    check_pod_spec::<batch::v1::CronJob>("batch", "cronjobs", "/spec/jobTemplate/spec/template/spec");

    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid});
    check::<core::v1::Pod>("", "pods", "/metadata/ownerReferences", [owner("a"), owner("b")]);
    check::<core::v1::Pod>("", "pods", "/metadata/finalizers", [json!("a"), json!("b")]);
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": "2024-01-01T00:00:00Z", "reason": "", "message": ""});
    let conditions = || [condition("A"), condition("B")];
    check::<core::v1::Pod>("", "pods", "/status/conditions", conditions());
    check::<core::v1::Pod>("", "pods", "/status/podIPs", pair("ip"));
    check::<core::v1::Service>("", "services", "/status/conditions", conditions());
    check::<apps::v1::Deployment>("apps", "deployments", "/status/conditions", conditions());
    check::<core::v1::Node>("", "nodes", "/status/conditions", conditions());
    check::<autoscaling::v2::HorizontalPodAutoscaler>(
        "autoscaling",
        "horizontalpodautoscalers",
        "/status/conditions",
        conditions(),
    );
    let metric = |kind: &str| json!({"type": kind});
    check::<autoscaling::v2::HorizontalPodAutoscaler>(
        "autoscaling",
        "horizontalpodautoscalers",
        "/spec/metrics",
        [metric("Resource"), metric("Pods")],
    );
    let port = |port: u16| json!({"port": port, "protocol": "TCP"});
    check::<core::v1::Service>("", "services", "/spec/ports", [port(1), port(2)]);
    check::<core::v1::Service>("", "services", "/status/loadBalancer/ingress", pair("ip"));
    check::<core::v1::Node>("", "nodes", "/spec/podCIDRs", [json!("a"), json!("b")]);
    let taint = |key: &str| json!({"key": key, "effect": "NoSchedule"});
    check::<core::v1::Node>("", "nodes", "/spec/taints", [taint("a"), taint("b")]);
    let address = |kind: &str| json!({"type": kind, "address": ""});
    check::<core::v1::Node>("", "nodes", "/status/addresses", [address("a"), address("b")]);
    check::<core::v1::ServiceAccount>("", "serviceaccounts", "/secrets", pair("name"));
    check::<core::v1::ServiceAccount>("", "serviceaccounts", "/imagePullSecrets", pair("name"));
    check::<core::v1::Namespace>("", "namespaces", "/spec/finalizers", [json!("a"), json!("b")]);
    check::<discovery::v1::EndpointSlice>("discovery.k8s.io", "endpointslices", "/ports", pair("name"));
    check::<networking::v1::Ingress>("networking.k8s.io", "ingresses", "/spec/rules", pair("host"));
    check::<networking::v1::Ingress>("networking.k8s.io", "ingresses", "/spec/tls", pair("secretName"));
    check::<networking::v1::NetworkPolicy>(
        "networking.k8s.io",
        "networkpolicies",
        "/spec/policyTypes",
        [json!("Ingress"), json!("Egress")],
    );
}
