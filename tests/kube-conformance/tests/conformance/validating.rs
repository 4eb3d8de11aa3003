//! What a server refuses of each kind.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, deployment, pod, pod_template, replicated, text};

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
        "a selector selects the template's own pods",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#selector",
        [],
        selector
    ),
    case!(
        "replicas are not negative",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/",
        [],
        replicas
    ),
    case!(
        "pods of a Deployment restart always",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template",
        [],
        restart_policy
    ),
    case!(
        "a Pod has containers with different names and images",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/",
        [],
        containers
    ),
    case!(
        "a quantity is a number with a unit",
        "kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/",
        [],
        quantity
    ),
    case!(
        "pods of a Job do not restart always",
        "kubernetes.io/docs/concepts/workloads/controllers/job/#pod-template",
        [],
        job_restart_policy
    ),
    case!(
        "a CronJob has a schedule that can be read",
        "kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax",
        [],
        schedule
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
        "an autoscaler's bounds are in order",
        "kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/",
        [],
        autoscaler
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

async fn refused(c: &Case, path: &str, object: Value, field: &str) -> Value {
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

async fn selector(c: Case) {
    for kind in ["Deployment", "ReplicaSet", "StatefulSet"] {
        let path = c.apps(&format!("{}s", kind.to_lowercase()));
        let mut other = replicated(&c, kind, "web", 0);
        other["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
        let status = refused(&c, &path, other, "spec.template.metadata.labels").await;
        assert!(
            text(&status["message"]).contains("`selector` does not match template `labels`"),
            "{status}"
        );
        let mut none = replicated(&c, kind, "web", 0);
        none["spec"].as_object_mut().unwrap().remove("selector");
        refused(&c, &path, none, "spec.selector").await;
        let mut bad = replicated(&c, kind, "web", 0);
        bad["spec"]["selector"]["matchExpressions"] = json!([{"key": "a", "operator": "Like"}]);
        refused(&c, &path, bad, "spec.selector.matchExpressions[0].operator").await;
    }
}

async fn replicas(c: Case) {
    for kind in ["Deployment", "ReplicaSet", "StatefulSet"] {
        let path = c.apps(&format!("{}s", kind.to_lowercase()));
        let mut web = replicated(&c, kind, "web", 0);
        web["spec"]["replicas"] = json!(-1);
        refused(&c, &path, web, "spec.replicas").await;
    }
}

async fn restart_policy(c: Case) {
    let mut web = deployment(&c, "web", 0);
    web["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    let status = refused(&c, &c.apps("deployments"), web, "spec.template.spec.restartPolicy").await;
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueNotSupported");
}

async fn containers(c: Case) {
    c.until_pods_are_welcome().await;
    let path = c.core("pods");
    let with = |containers: Value| {
        let mut one = pod(&c, "one");
        one["spec"]["containers"] = containers;
        one
    };
    refused(&c, &path, with(json!([])), "spec.containers").await;
    refused(&c, &path, with(json!([{"image": "a"}])), "spec.containers[0].name").await;
    refused(&c, &path, with(json!([{"name": "a"}])), "spec.containers[0].image").await;
    refused(
        &c,
        &path,
        with(json!([{"name": "A_b", "image": "a"}])),
        "spec.containers[0].name",
    )
    .await;
    let twice = with(json!([{"name": "a", "image": "a"}, {"name": "a", "image": "b"}]));
    let status = refused(&c, &path, twice, "spec.containers[1].name").await;
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueDuplicate");
    let port = json!([{"name": "a", "image": "a", "ports": [{"containerPort": 0}]}]);
    refused(&c, &path, with(port), "spec.containers[0].ports[0].containerPort").await;
}

async fn quantity(c: Case) {
    c.until_pods_are_welcome().await;
    let with = |resources: Value| {
        let mut one = pod(&c, "one");
        one["spec"]["containers"][0]["resources"] = resources;
        one
    };
    c.api
        .post(&c.core("pods"), with(json!({"requests": {"cpu": "much"}})))
        .await
        .refused(400, "BadRequest");
    let more = with(json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}));
    refused(&c, &c.core("pods"), more, "spec.containers[0].resources.requests").await;
}

fn job(c: &Case) -> Value {
    json!({"metadata": {"name": "job"}, "spec": {"suspend": true, "template": pod_template(c, "job")}})
}

async fn job_restart_policy(c: Case) {
    let path = c.group("batch/v1", "jobs");
    refused(&c, &path, job(&c), "spec.template.spec.restartPolicy").await;
    let mut negative = job(&c);
    negative["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    negative["spec"]["backoffLimit"] = json!(-1);
    refused(&c, &path, negative, "spec.backoffLimit").await;
}

async fn schedule(c: Case) {
    let path = c.group("batch/v1", "cronjobs");
    let cron = |schedule: &str, policy: &str| {
        let mut template = job(&c);
        template["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
        template.as_object_mut().unwrap().remove("metadata");
        json!({"metadata": {"name": "cron"}, "spec": {"suspend": true, "schedule": schedule, "concurrencyPolicy": policy, "jobTemplate": template}})
    };
    for schedule in ["sometimes", "61 * * * *", "* * * *"] {
        refused(&c, &path, cron(schedule, "Allow"), "spec.schedule").await;
    }
    refused(&c, &path, cron("", "Allow"), "spec.schedule").await;
    refused(&c, &path, cron("@daily", "Maybe"), "spec.concurrencyPolicy").await;
    c.api
        .post(&path, cron("*/5 0-6 1,15 * mon-fri", "Forbid"))
        .await
        .created();
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

async fn autoscaler(c: Case) {
    let path = c.group("autoscaling/v2", "horizontalpodautoscalers");
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"});
    let scaler = |spec: Value| {
        let mut scaler = json!({"metadata": {"name": "a"}, "spec": spec});
        scaler["spec"]["scaleTargetRef"] = target.clone();
        scaler
    };
    refused(&c, &path, scaler(json!({"maxReplicas": 0})), "spec.maxReplicas").await;
    refused(
        &c,
        &path,
        scaler(json!({"maxReplicas": 1, "minReplicas": 2})),
        "spec.maxReplicas",
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
