//! What must not change after a create.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, deployment, pod, pod_template, replicated, service, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "the address of a Service stays",
        "kubernetes.io/docs/concepts/services-networking/service/#choosing-your-own-ip-address and kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/",
        [],
        cluster_ip
    ),
    case!(
        "a Service that becomes a name gives its address back",
        "kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/",
        [],
        becomes_name
    ),
    case!(
        "a Service keeps the port of its nodes when its type stays",
        "kubernetes.io/docs/concepts/services-networking/service/#type-nodeport",
        [],
        node_port
    ),
    case!(
        "the selector of a Deployment, a ReplicaSet and a DaemonSet stays",
        "kubernetes.io/docs/concepts/workloads/controllers/deployment/#label-selector-updates",
        [],
        selectors
    ),
    case!(
        "a StatefulSet changes its template, replicas and strategies alone",
        "kubernetes.io/docs/concepts/workloads/controllers/statefulset/",
        [],
        stateful_set
    ),
    case!(
        "the template and the selector of a Job stay",
        "kubernetes.io/docs/concepts/workloads/controllers/job/ and kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/",
        [],
        job
    ),
    case!(
        "a Pod changes its image and its tolerations alone",
        "kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement",
        [],
        pod_spec
    ),
    case!(
        "the role of a binding stays, its subjects do not",
        "kubernetes.io/docs/reference/access-authn-authz/rbac/#rolebinding-and-clusterrolebinding",
        [],
        binding
    ),
    case!(
        "the address type of an EndpointSlice stays",
        "kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/",
        [],
        slice
    ),
    case!(
        "the scope and the group of a definition stay",
        "kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/",
        [],
        definition
    ),
    case!(
        "the name and the namespace of an object stay",
        "kubernetes.io/docs/concepts/overview/working-with-objects/names/",
        [],
        names
    ),
];

async fn cluster_ip(c: Case) {
    let web = c.api.post(&c.core("services"), service("web")).await.created();
    let other = c.api.post(&c.core("services"), service("other")).await.created();
    c.api.delete(&c.core("services/other"), Value::Null).await.ok();
    let free = other["spec"]["clusterIP"].clone();
    let patch = json!({"spec": {"clusterIP": free, "clusterIPs": [free]}});
    c.api
        .merge(&c.core("services/web"), patch)
        .await
        .invalid("spec.clusterIPs[0]");
    let found = c.api.get(&c.core("services/web")).await.ok();
    assert_eq!(found["spec"]["clusterIP"], web["spec"]["clusterIP"]);
    let patch = json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}});
    c.api
        .merge(&c.core("services/web"), patch)
        .await
        .invalid("spec.clusterIPs[0]");
}

async fn becomes_name(c: Case) {
    let web = c.api.post(&c.core("services"), service("web")).await.created();
    let name = json!({"spec": {"type": "ExternalName", "externalName": "a.example.com"}});
    let after = c.api.merge(&c.core("services/web"), name).await.ok();
    assert!(after["spec"]["clusterIP"].is_null(), "{after}");
    let mut again = service("again");
    again["spec"]["clusterIP"] = web["spec"]["clusterIP"].clone();
    c.api.post(&c.core("services"), again).await.created();
}

async fn node_port(c: Case) {
    let mut web = service("web");
    web["spec"]["type"] = json!("NodePort");
    let made = c.api.post(&c.core("services"), web.clone()).await.created();
    let port = &made["spec"]["ports"][0]["nodePort"];
    web["spec"]["externalTrafficPolicy"] = json!("Local");
    let after = c.api.put(&c.core("services/web"), &web).await.ok();
    assert_eq!(&after["spec"]["ports"][0]["nodePort"], port);
    web["spec"] = json!({"type": "ClusterIP", "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]});
    let after = c.api.put(&c.core("services/web"), &web).await.ok();
    assert!(after["spec"]["ports"][0]["nodePort"].is_null(), "{after}");
    assert!(after["spec"]["externalTrafficPolicy"].is_null(), "{after}");
}

async fn selectors(c: Case) {
    for kind in ["Deployment", "ReplicaSet", "DaemonSet"] {
        let path = c.apps(&format!("{}s", kind.to_lowercase()));
        let mut object = replicated(&c, kind, "web", 0);
        if kind == "DaemonSet" {
            object["spec"].as_object_mut().unwrap().remove("replicas");
            object["spec"]["template"]["spec"]["nodeSelector"] = json!({"conformance": "nowhere"});
        }
        c.api.post(&path, object).await.created();
        let labels = json!({"app": "web", "more": "yes"});
        let patch =
            json!({"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}});
        let status = c
            .api
            .merge(&format!("{path}/web"), patch)
            .await
            .invalid("spec.selector");
        assert!(
            text(&status["message"]).contains("field is immutable"),
            "{kind}: {status}"
        );
    }
}

async fn stateful_set(c: Case) {
    let path = c.apps("statefulsets/db");
    let mut set = replicated(&c, "StatefulSet", "db", 0);
    set["spec"]["serviceName"] = json!("db");
    c.api.post(&c.apps("statefulsets"), set).await.created();
    for change in [
        json!({"serviceName": "other"}),
        json!({"podManagementPolicy": "Parallel"}),
        json!({"selector": {"matchLabels": {"more": "yes"}}}),
    ] {
        let status = c
            .api
            .merge(&path, json!({"spec": change}))
            .await
            .refused(422, "Invalid");
        let fields = text(&status["details"]["causes"].as_array().unwrap().last().unwrap()["field"]);
        assert!(fields.starts_with("spec"), "{status}");
    }
    let fine = json!({"spec": {"minReadySeconds": 1, "template": {"metadata": {"annotations": {"a": "b"}}}, "updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}});
    c.api.merge(&path, fine).await.ok();
}

async fn job(c: Case) {
    let mut template = pod_template(&c, "job");
    template["spec"]["restartPolicy"] = json!("Never");
    let job = json!({"metadata": {"name": "job"}, "spec": {"suspend": true, "completions": 2, "template": template}});
    c.api.post(&c.group("batch/v1", "jobs"), job).await.created();
    let path = c.group("batch/v1", "jobs/job");
    let patch = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "other:1"}]);
    c.api.json_patch(&path, patch).await.invalid("spec.template");
    c.api
        .merge(&path, json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}))
        .await
        .refused(422, "Invalid");
    c.api
        .merge(&path, json!({"spec": {"completions": 3}}))
        .await
        .invalid("spec.completions");
    c.api.merge(&path, json!({"spec": {"parallelism": 2}})).await.ok();
}

async fn pod_spec(c: Case) {
    c.until_pods_are_welcome().await;
    let mut one = pod(&c, "one");
    one["spec"]["schedulerName"] = json!("nobody");
    one["spec"]["nodeSelector"] = json!({"conformance": "nowhere"});
    c.api.post(&c.core("pods"), one).await.created();
    let path = c.core("pods/one");
    let status = c
        .api
        .merge(&path, json!({"spec": {"hostNetwork": true}}))
        .await
        .refused(422, "Invalid");
    assert!(
        text(&status["message"]).contains("pod updates may not change fields other than"),
        "{status}"
    );
    let command = json!([{"op": "replace", "path": "/spec/containers/0/command", "value": ["true"]}]);
    c.api.json_patch(&path, command).await.invalid("spec");
    let image = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "example.com/other:1"}]);
    c.api.json_patch(&path, image).await.ok();
    c.api
        .merge(&path, json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .ok();
}

async fn binding(c: Case) {
    let path = c.group("rbac.authorization.k8s.io/v1", "rolebindings");
    let binding = json!({"metadata": {"name": "a"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "none"}});
    c.api.post(&path, binding).await.created();
    let path = format!("{path}/a");
    let status = c
        .api
        .merge(&path, json!({"roleRef": {"name": "other"}}))
        .await
        .invalid("roleRef");
    assert!(text(&status["message"]).contains("cannot change roleRef"), "{status}");
    let subjects = json!({"subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]});
    c.api.merge(&path, subjects).await.ok();
}

async fn slice(c: Case) {
    let path = c.group("discovery.k8s.io/v1", "endpointslices");
    c.api
        .post(
            &path,
            json!({"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [], "ports": []}),
        )
        .await
        .created();
    let path = format!("{path}/a");
    c.api
        .merge(&path, json!({"addressType": "IPv6"}))
        .await
        .invalid("addressType");
    c.api
        .merge(&path, json!({"endpoints": [{"addresses": ["192.0.2.1"]}]}))
        .await
        .ok();
}

async fn definition(c: Case) {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let widgets = crate::definitions::define(&c, open).await;
    c.api
        .merge(&widgets.definition, json!({"spec": {"scope": "Cluster"}}))
        .await
        .invalid("spec.scope");
    let answer = c
        .api
        .merge(&widgets.definition, json!({"spec": {"group": "other.example.com"}}))
        .await;
    answer.refused(422, "Invalid");
}

async fn names(c: Case) {
    let made = c
        .api
        .post(&c.apps("deployments"), deployment(&c, "web", 0))
        .await
        .created();
    let mut moved = made.clone();
    moved["metadata"]["namespace"] = json!("default");
    c.api
        .put(&c.apps("deployments/web"), &moved)
        .await
        .refused(400, "BadRequest");
    let mut renamed = made;
    renamed["metadata"]["name"] = json!("other");
    c.api
        .put(&c.apps("deployments/web"), &renamed)
        .await
        .refused(400, "BadRequest");
}
