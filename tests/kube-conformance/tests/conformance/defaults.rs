//! What a server adds to objects of each kind.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, service, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "a Service gets an address, and its ports a protocol and a target",
        "kubernetes.io/docs/concepts/services-networking/service/#defining-a-service",
        [],
        service_defaults
    ),
    case!(
        "a Service has one family of addresses, or two on request",
        "kubernetes.io/docs/concepts/services-networking/dual-stack/#services",
        [],
        service_families
    ),
    case!(
        "a headless Service has no address",
        "kubernetes.io/docs/concepts/services-networking/service/#headless-services",
        [],
        headless
    ),
    case!(
        "an ExternalName has no address",
        "kubernetes.io/docs/concepts/services-networking/service/#externalname",
        [],
        external_name
    ),
    case!(
        "a NodePort gets a port of the nodes",
        "kubernetes.io/docs/concepts/services-networking/service/#type-nodeport",
        [],
        node_port
    ),
    case!(
        "a LoadBalancer gets ports of the nodes unless it declines",
        "kubernetes.io/docs/concepts/services-networking/service/#load-balancer-nodeport-allocation",
        [],
        load_balancer
    ),
    case!(
        "a Service may ask for an address, and nobody else gets it",
        "kubernetes.io/docs/concepts/services-networking/service/#choosing-your-own-ip-address",
        [],
        chosen_address
    ),
    case!(
        "a NetworkPolicy is about ingress, and egress if it has rules for it",
        "kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-resource",
        [],
        network_policy
    ),
    case!(
        "a Secret is opaque",
        "kubernetes.io/docs/concepts/configuration/secret/#secret-types",
        [],
        secret
    ),
    case!(
        "ports of EndpointSlices and Endpoints have a protocol",
        "kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/",
        [],
        endpoints
    ),
    case!(
        "a binding names the group of its role",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#rolebinding-and-clusterrolebinding",
        [],
        binding
    ),
];

async fn made(c: &Case, object: Value) -> Value {
    c.api.post(&c.core("services"), object).await.created()["spec"].clone()
}

fn typed(name: &str, kind: &str) -> Value {
    let mut web = service(name);
    web["spec"]["type"] = json!(kind);
    web
}

async fn service_defaults(c: Case) {
    let web = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let spec = made(&c, web).await;
    assert_eq!(spec["type"], "ClusterIP");
    assert_eq!(spec["sessionAffinity"], "None");
    assert_eq!(spec["internalTrafficPolicy"], "Cluster");
    assert_eq!(
        spec["ports"],
        json!([{"port": 80, "protocol": "TCP", "targetPort": 80}])
    );
    let address: std::net::IpAddr = text(&spec["clusterIP"]).parse().unwrap();
    assert_eq!(spec["clusterIPs"], json!([address.to_string()]));
    let mut sticky = service("sticky");
    sticky["spec"]["sessionAffinity"] = json!("ClientIP");
    assert_eq!(
        made(&c, sticky).await["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"],
        10800
    );
}

async fn service_families(c: Case) {
    let spec = made(&c, service("web")).await;
    assert_eq!(spec["ipFamilyPolicy"], "SingleStack");
    let address: std::net::IpAddr = text(&spec["clusterIP"]).parse().unwrap();
    assert_eq!(
        spec["ipFamilies"],
        json!([if address.is_ipv4() { "IPv4" } else { "IPv6" }])
    );
    let mut both = service("both");
    both["spec"]["ipFamilyPolicy"] = json!("PreferDualStack");
    let spec = made(&c, both).await;
    assert_eq!(spec["ipFamilyPolicy"], "PreferDualStack");
    assert_eq!(
        spec["ipFamilies"].as_array().unwrap().len(),
        spec["clusterIPs"].as_array().unwrap().len()
    );
}

async fn headless(c: Case) {
    let mut web = service("web");
    web["spec"]["clusterIP"] = json!("None");
    let spec = made(&c, web).await;
    assert_eq!(
        (&spec["clusterIP"], &spec["clusterIPs"]),
        (&json!("None"), &json!(["None"]))
    );
    assert_eq!(spec["type"], "ClusterIP");
}

async fn external_name(c: Case) {
    let web = json!({"metadata": {"name": "web"}, "spec": {"type": "ExternalName", "externalName": "a.example.com"}});
    let spec = made(&c, web).await;
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "internalTrafficPolicy"] {
        assert!(spec[field].is_null(), "{field}: {spec}");
    }
}

async fn node_port(c: Case) {
    let spec = made(&c, typed("web", "NodePort")).await;
    let port = spec["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30000..=32767).contains(&port), "{port}");
    assert_eq!(spec["externalTrafficPolicy"], "Cluster");
    let mut other = typed("other", "NodePort");
    other["spec"]["ports"][0]["nodePort"] = json!(port);
    c.api
        .post(&c.core("services"), other)
        .await
        .invalid("spec.ports[0].nodePort");
    let mut outside = typed("outside", "NodePort");
    outside["spec"]["ports"][0]["nodePort"] = json!(80);
    c.api
        .post(&c.core("services"), outside)
        .await
        .invalid("spec.ports[0].nodePort");
}

async fn load_balancer(c: Case) {
    let spec = made(&c, typed("web", "LoadBalancer")).await;
    assert_eq!(spec["allocateLoadBalancerNodePorts"], true);
    assert!(spec["ports"][0]["nodePort"].is_u64(), "{spec}");
    let mut bare = typed("bare", "LoadBalancer");
    bare["spec"]["allocateLoadBalancerNodePorts"] = json!(false);
    let spec = made(&c, bare).await;
    assert!(spec["ports"][0]["nodePort"].is_null(), "{spec}");
}

async fn chosen_address(c: Case) {
    // One that was allotted and is free again is certainly in the range.
    let address = made(&c, service("first")).await["clusterIP"].clone();
    c.api.delete(&c.core("services/first"), Value::Null).await.ok();
    let chosen = |name: &str| {
        let mut web = service(name);
        web["spec"]["clusterIP"] = address.clone();
        web
    };
    assert_eq!(made(&c, chosen("second")).await["clusterIP"], address);
    c.api
        .post(&c.core("services"), chosen("third"))
        .await
        .invalid("spec.clusterIPs");
    let mut outside = service("outside");
    outside["spec"]["clusterIP"] = json!("192.0.2.1");
    c.api
        .post(&c.core("services"), outside)
        .await
        .invalid("spec.clusterIPs");
}

async fn network_policy(c: Case) {
    let path = c.group("networking.k8s.io/v1", "networkpolicies");
    let policy = json!({"metadata": {"name": "a"}, "spec": {"podSelector": {}}});
    assert_eq!(
        c.api.post(&path, policy).await.created()["spec"]["policyTypes"],
        json!(["Ingress"])
    );
    let policy = json!({"metadata": {"name": "b"}, "spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}});
    let spec = c.api.post(&path, policy).await.created()["spec"].clone();
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(spec["egress"][0]["ports"][0]["protocol"], "TCP");
}

async fn secret(c: Case) {
    let made = c
        .api
        .post(&c.core("secrets"), json!({"metadata": {"name": "a"}}))
        .await
        .created();
    assert_eq!(made["type"], "Opaque");
}

async fn endpoints(c: Case) {
    let slice = json!({"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}], "ports": [{"port": 80}]});
    let made = c
        .api
        .post(&c.group("discovery.k8s.io/v1", "endpointslices"), slice)
        .await
        .created();
    assert_eq!(made["ports"], json!([{"name": "", "port": 80, "protocol": "TCP"}]));
    let endpoints =
        json!({"metadata": {"name": "a"}, "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}]});
    let made = c.api.post(&c.core("endpoints"), endpoints).await.created();
    assert_eq!(made["subsets"][0]["ports"], json!([{"port": 80, "protocol": "TCP"}]));
}

async fn binding(c: Case) {
    let binding = json!({
        "metadata": {"name": "a"},
        "roleRef": {"apiGroup": "", "kind": "Role", "name": "none"},
        "subjects": [{"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    });
    let made = c
        .api
        .post(&c.group("rbac.authorization.k8s.io/v1", "rolebindings"), binding)
        .await
        .created();
    assert_eq!(made["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
    assert_eq!(made["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
    assert!(
        made["subjects"][1]["apiGroup"].as_str().unwrap_or_default().is_empty(),
        "{made}"
    );
}
