//! What a server refuses of each kind.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a Service has ports unless it is headless or a name",
        "kubernetes.io/docs/concepts/services-networking/service/",
        [],
        service_ports
    ),
    case!(
        "several ports of a Service have different names and numbers",
        "kubernetes.io/docs/concepts/services-networking/service/#multi-port-services",
        [],
        service_port_names
    ),
    case!(
        "an ExternalName names something",
        "kubernetes.io/docs/concepts/services-networking/service/#externalname",
        [],
        external_name
    ),
    case!(
        "an EndpointSlice has addresses of its one type",
        "kubernetes.io/docs/concepts/services-networking/endpoint-slices/#address-types",
        [],
        slices
    ),
    case!(
        "Endpoints have addresses that can be read",
        "kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoints-v1/",
        [],
        endpoints
    ),
    case!(
        "a path of an Ingress has a type",
        "kubernetes.io/docs/concepts/services-networking/ingress/#path-types",
        [],
        ingress
    ),
    case!(
        "a key of a ConfigMap is a file name, and has one value",
        "kubernetes.io/docs/concepts/configuration/configmap/#configmap-object",
        [],
        config_map
    ),
    case!(
        "a ConfigMap holds a mebibyte at most",
        "kubernetes.io/docs/concepts/configuration/configmap/#motivation",
        [],
        config_map_size
    ),
    case!(
        "data of a Secret is base64, and its type may want keys",
        "kubernetes.io/docs/concepts/configuration/secret/#secret-types",
        [],
        secret
    ),
    case!(
        "a rule of a Role has verbs, and no paths outside the API",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#role-and-clusterrole",
        [],
        role
    ),
    case!(
        "a Lease lasts longer than nothing",
        "kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/",
        [],
        lease
    ),
    case!(
        "an Event is in the namespace of what it is about",
        "kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/",
        [],
        event
    ),
];

pub(crate) async fn refused(c: &Case, path: &str, object: Value, field: &str) -> Value {
    c.api.post(path, object).await.invalid(field)
}

async fn service_ports(c: Case) {
    let path = c.core("services");
    let web = |spec: Value| json!({"metadata": {"name": "web"}, "spec": spec});
    let status = refused(&c, &path, web(json!({"selector": {"a": "b"}})), "spec.ports").await;
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueRequired");
    c.api.post(&path, web(json!({"clusterIP": "None"}))).await.created();
    refused(
        &c,
        &path,
        web(json!({"ports": [{"port": 65536}]})),
        "spec.ports[0].port",
    )
    .await;
    refused(
        &c,
        &path,
        web(json!({"ports": [{"port": 80, "protocol": "SMOKE"}]})),
        "spec.ports[0].protocol",
    )
    .await;
    refused(
        &c,
        &path,
        web(json!({"ports": [{"port": 80, "targetPort": "Not_A_Name"}]})),
        "spec.ports[0].targetPort",
    )
    .await;
    refused(
        &c,
        &path,
        web(json!({"ports": [{"port": 80}], "type": "Teapot"})),
        "spec.type",
    )
    .await;
    refused(
        &c,
        &path,
        web(json!({"ports": [{"port": 80}], "clusterIP": "nowhere"})),
        "spec.clusterIPs[0]",
    )
    .await;
}

async fn service_port_names(c: Case) {
    let path = c.core("services");
    let web = |ports: Value| json!({"metadata": {"name": "web"}, "spec": {"ports": ports}});
    refused(
        &c,
        &path,
        web(json!([{"port": 80}, {"port": 81}])),
        "spec.ports[0].name",
    )
    .await;
    let status = refused(
        &c,
        &path,
        web(json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}])),
        "spec.ports[1].name",
    )
    .await;
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueDuplicate");
    refused(
        &c,
        &path,
        web(json!([{"name": "a", "port": 80}, {"name": "b", "port": 80}])),
        "spec.ports[1]",
    )
    .await;
    refused(
        &c,
        &path,
        web(json!([{"name": "Not_A_Name", "port": 80}])),
        "spec.ports[0].name",
    )
    .await;
    c.api
        .post(
            &path,
            web(json!([{"name": "a", "port": 53, "protocol": "TCP"}, {"name": "b", "port": 53, "protocol": "UDP"}])),
        )
        .await
        .created();
}

async fn external_name(c: Case) {
    let path = c.core("services");
    let web = |spec: Value| json!({"metadata": {"name": "web"}, "spec": spec});
    refused(&c, &path, web(json!({"type": "ExternalName"})), "spec.externalName").await;
    refused(
        &c,
        &path,
        web(json!({"type": "ExternalName", "externalName": "-"})),
        "spec.externalName",
    )
    .await;
}

async fn slices(c: Case) {
    let path = c.group("discovery.k8s.io/v1", "endpointslices");
    let slice = |kind: &str, address: &str| json!({"metadata": {"name": "a"}, "addressType": kind, "endpoints": [{"addresses": [address]}], "ports": []});
    refused(&c, &path, slice("IPv4", "2001:db8::1"), "endpoints[0].addresses").await;
    refused(&c, &path, slice("IPv6", "192.0.2.1"), "endpoints[0].addresses").await;
    refused(&c, &path, slice("IPv4", "web"), "endpoints[0].addresses").await;
    refused(&c, &path, slice("Carrier", "pigeon"), "addressType").await;
    let mut none = slice("IPv4", "192.0.2.1");
    none["endpoints"][0]["addresses"] = json!([]);
    refused(&c, &path, none, "endpoints[0].addresses").await;
    c.api.post(&path, slice("FQDN", "a.example.com")).await.created();
}

async fn endpoints(c: Case) {
    let path = c.core("endpoints");
    let with = |ip: &str, port: u32| json!({"metadata": {"name": "a"}, "subsets": [{"addresses": [{"ip": ip}], "ports": [{"port": port}]}]});
    refused(&c, &path, with("web", 80), "subsets[0].addresses[0].ip").await;
    refused(&c, &path, with("127.0.0.1", 80), "subsets[0].addresses[0].ip").await;
    refused(&c, &path, with("192.0.2.1", 0), "subsets[0].ports[0].port").await;
}

async fn ingress(c: Case) {
    let path = c.group("networking.k8s.io/v1", "ingresses");
    let with = |rule: Value| json!({"metadata": {"name": "a"}, "spec": {"rules": [rule]}});
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = |one: Value| json!({"host": "a.example.com", "http": {"paths": [one]}});
    refused(
        &c,
        &path,
        with(paths(json!({"path": "/", "backend": backend}))),
        "spec.rules[0].http.paths[0].pathType",
    )
    .await;
    let relative = paths(json!({"path": "x", "pathType": "Prefix", "backend": backend}));
    refused(&c, &path, with(relative), "spec.rules[0].http.paths[0].path").await;
    let mut bad = paths(json!({"path": "/", "pathType": "Prefix", "backend": backend}));
    bad["host"] = json!("192.0.2.1");
    refused(&c, &path, with(bad), "spec.rules[0].host").await;
    c.api
        .post(&path, json!({"metadata": {"name": "a"}, "spec": {}}))
        .await
        .refused(422, "Invalid");
    c.api
        .post(
            &path,
            with(paths(json!({"path": "/", "pathType": "Prefix", "backend": backend}))),
        )
        .await
        .created();
}

async fn config_map(c: Case) {
    let path = c.core("configmaps");
    let map = |field: &str, key: &str| json!({"metadata": {"name": "a"}, field: {key: ""}});
    for key in ["not a key", "a/b", "..", ""] {
        let status = c.api.post(&path, map("data", key)).await.refused(422, "Invalid");
        assert!(
            text(&status["details"]["causes"][0]["field"]).starts_with("data["),
            "{status}"
        );
    }
    c.api
        .post(
            &path,
            json!({"metadata": {"name": "a"}, "data": {"k": ""}, "binaryData": {"k": ""}}),
        )
        .await
        .refused(422, "Invalid");
    c.api
        .post(
            &path,
            json!({"metadata": {"name": "a"}, "binaryData": {"k": "not base64!"}}),
        )
        .await
        .refused(400, "BadRequest");
    c.api
        .post(&path, json!({"metadata": {"name": "a"}, "data": {"k": 1}}))
        .await
        .refused(400, "BadRequest");
    c.api.post(&path, map("data", "A-b_c.d")).await.created();
}

async fn config_map_size(c: Case) {
    let map = |size: usize| json!({"metadata": {"name": "a"}, "data": {"k": "x".repeat(size)}});
    let status = c
        .api
        .post(&c.core("configmaps"), map(1024 * 1024 + 1))
        .await
        .refused(422, "Invalid");
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueTooLong");
    c.api
        .post(&c.core("configmaps"), map(1024 * 1024 - 100))
        .await
        .created();
}

async fn secret(c: Case) {
    let path = c.core("secrets");
    c.api
        .post(&path, json!({"metadata": {"name": "a"}, "data": {"k": "not base64!"}}))
        .await
        .refused(400, "BadRequest");
    refused(
        &c,
        &path,
        json!({"metadata": {"name": "a"}, "type": "kubernetes.io/tls"}),
        "data[tls.crt]",
    )
    .await;
    refused(
        &c,
        &path,
        json!({"metadata": {"name": "a"}, "type": "kubernetes.io/tls"}),
        "data[tls.key]",
    )
    .await;
    let account = json!({"metadata": {"name": "a"}, "type": "kubernetes.io/service-account-token"});
    let status = c.api.post(&path, account).await.refused(422, "Invalid");
    assert!(
        text(&status["details"]["causes"][0]["field"]).contains("kubernetes.io/service-account.name"),
        "{status}"
    );
}

async fn role(c: Case) {
    let path = c.group("rbac.authorization.k8s.io/v1", "roles");
    let role = |rule: Value| json!({"metadata": {"name": "a"}, "rules": [rule]});
    refused(
        &c,
        &path,
        role(json!({"apiGroups": [""], "resources": ["pods"], "verbs": []})),
        "rules[0].verbs",
    )
    .await;
    refused(
        &c,
        &path,
        role(json!({"resources": ["pods"], "verbs": ["get"]})),
        "rules[0].apiGroups",
    )
    .await;
    refused(
        &c,
        &path,
        role(json!({"apiGroups": [""], "verbs": ["get"]})),
        "rules[0].resources",
    )
    .await;
    refused(
        &c,
        &path,
        role(json!({"nonResourceURLs": ["/healthz"], "verbs": ["get"]})),
        "rules[0].nonResourceURLs",
    )
    .await;
    let binding = json!({"metadata": {"name": "a"}, "roleRef": {"kind": "Servant", "name": "x", "apiGroup": "rbac.authorization.k8s.io"}});
    refused(
        &c,
        &c.group("rbac.authorization.k8s.io/v1", "rolebindings"),
        binding,
        "roleRef.kind",
    )
    .await;
}

async fn lease(c: Case) {
    let path = c.group("coordination.k8s.io/v1", "leases");
    let lease = |duration: i32| json!({"metadata": {"name": "a"}, "spec": {"leaseDurationSeconds": duration}});
    refused(&c, &path, lease(0), "spec.leaseDurationSeconds").await;
    refused(
        &c,
        &path,
        json!({"metadata": {"name": "a"}, "spec": {"leaseTransitions": -1}}),
        "spec.leaseTransitions",
    )
    .await;
    let made = c.api.post(&path, json!({"metadata": {"name": "a"}, "spec": {"renewTime": "2026-01-02T03:04:05.678901Z", "leaseDurationSeconds": 4}})).await;
    assert_eq!(
        made.created()["spec"]["renewTime"],
        "2026-01-02T03:04:05.678901Z",
        "microseconds are kept"
    );
}

async fn event(c: Case) {
    let event = json!({
        "metadata": {"name": "a"},
        "involvedObject": {"kind": "ConfigMap", "namespace": "default", "name": "x"},
    });
    refused(&c, &c.core("events"), event, "involvedObject.namespace").await;
    let path = c.group("events.k8s.io/v1", "events");
    let event =
        json!({"metadata": {"name": "b"}, "regarding": {"kind": "ConfigMap", "namespace": c.namespace, "name": "x"}});
    c.api.post(&path, event).await.refused(422, "Invalid");
    let event = json!({
        "metadata": {"name": "b"},
        "eventTime": "2026-01-02T03:04:05.678901Z",
        "reportingController": "example.com/suite",
        "reportingInstance": "suite-0",
        "action": "Looking",
        "reason": "Seen",
        "type": "Normal",
        "regarding": {"kind": "ConfigMap", "namespace": c.namespace, "name": "x"},
        "note": "as it is",
    });
    c.api.post(&path, event).await.created();
    let core = c.api.get(&c.core("events/b")).await.ok();
    assert_eq!(
        (&core["message"], &core["involvedObject"]["name"]),
        (&json!("as it is"), &json!("x")),
        "the same in the core group"
    );
}
