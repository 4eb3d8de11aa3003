//! ServiceExport and ServiceImport of the multi-cluster services API.

use serde_json::{Value, json};

use super::parts::{age, atomic, keyed, name, object, one_of, port, text, with_default};
use super::{Definition, conditions};

const GROUP: &str = "multicluster.x-k8s.io";

pub(super) fn definitions() -> Vec<Value> {
    let export = Definition {
        group: GROUP,
        version: "v1alpha1",
        kind: "ServiceExport",
        plural: "serviceexports",
        short_name: "svcex",
        category: None,
        scope: "Namespaced",
        columns: json!([age()]),
        spec: object(
            json!({
                "exportedAnnotations": {"type": "object", "additionalProperties": text()},
                "exportedLabels": {"type": "object", "additionalProperties": text()},
            }),
            &[],
        ),
        status: object(json!({"conditions": conditions()}), &[]),
        required: &[],
    };
    let import = Definition {
        group: GROUP,
        version: "v1alpha1",
        kind: "ServiceImport",
        plural: "serviceimports",
        short_name: "svcim",
        category: None,
        scope: "Namespaced",
        columns: json!([
            {"name": "Type", "type": "string", "jsonPath": ".spec.type"},
            {"name": "IP", "type": "string", "jsonPath": ".spec.ips"},
            age(),
        ]),
        spec: object(
            json!({
                "type": one_of(&["ClusterSetIP", "Headless"]),
                "ips": {"type": "array", "maxItems": 2, "items": text(), "x-kubernetes-list-type": "atomic"},
                "ipFamilies": atomic(one_of(&["IPv4", "IPv6"])),
                "ports": atomic(service_port()),
                "sessionAffinity": with_default(one_of(&["None", "ClientIP"]), json!("None")),
                "sessionAffinityConfig": object(
                    json!({"clientIP": object(json!({"timeoutSeconds": {"type": "integer", "format": "int32"}}), &[])}),
                    &[],
                ),
                "internalTrafficPolicy": one_of(&["Cluster", "Local"]),
                "trafficDistribution": text(),
                "exportedAnnotations": {"type": "object", "additionalProperties": text()},
                "exportedLabels": {"type": "object", "additionalProperties": text()},
            }),
            &["ports", "type"],
        ),
        status: object(
            json!({
                "clusters": keyed(object(json!({"cluster": name(253)}), &["cluster"]), &["cluster"]),
                "conditions": conditions(),
            }),
            &[],
        ),
        required: &["spec"],
    };
    vec![export.object(), import.object()]
}

fn service_port() -> Value {
    object(
        json!({
            "name": text(),
            "protocol": with_default(text(), json!("TCP")),
            "appProtocol": text(),
            "port": port(),
        }),
        &["port"],
    )
}
