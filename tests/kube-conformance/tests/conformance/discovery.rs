//! What a server says it serves.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, has, item};

pub(crate) const CASES: &[Row] = &[
    case!(
        "the core group lists its versions under /api",
        "kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api",
        [],
        core_versions
    ),
    case!(
        "the groups are listed under /apis with a preferred version",
        "kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api",
        [],
        groups
    ),
    case!(
        "one group is described under its own path",
        "kubernetes.io/docs/concepts/overview/kubernetes-api/#unaggregated-discovery",
        [],
        one_group
    ),
    case!(
        "a resource says its kind, verbs, short names and whether it has namespaces",
        "kubernetes.io/docs/concepts/overview/kubernetes-api/#unaggregated-discovery",
        [],
        core_resources
    ),
    case!(
        "subresources are listed beside their resource",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        subresources
    ),
    case!(
        "a scale subresource is of the autoscaling group, whatever its parent's group",
        "kubernetes.io/docs/concepts/overview/kubernetes-api/#unaggregated-discovery",
        [],
        scale_kind
    ),
    case!(
        "aggregated discovery gives all groups in one answer",
        "kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery",
        [],
        aggregated
    ),
    case!(
        "the version names a release",
        "kubernetes.io/docs/reference/using-api/health-checks/ and the /version endpoint of kubernetes.io/docs/concepts/overview/kubernetes-api/",
        [],
        server_version
    ),
    case!(
        "health endpoints answer ok",
        "kubernetes.io/docs/reference/using-api/health-checks/#api-endpoints-for-health",
        [],
        health
    ),
    case!(
        "a group that is not served is not found",
        "kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",
        [],
        unknown_group
    ),
    case!(
        "the OpenAPI v3 index has a document of each group version",
        "kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3",
        [],
        openapi_index
    ),
    case!(
        "the OpenAPI v3 document of a group version describes its kinds",
        "kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3",
        [],
        openapi_document
    ),
    case!(
        "every resource of the standard groups can be listed by its discovered path",
        "kubernetes.io/docs/reference/using-api/api-concepts/#standard-api-terminology",
        [],
        everything_lists
    ),
];

async fn core_versions(c: Case) {
    let found = c.api.get("/api").await.ok();
    assert_eq!(found["kind"], "APIVersions");
    assert!(has(&found["versions"], "v1"), "{found}");
}

async fn groups(c: Case) {
    let found = c.api.get("/apis").await.ok();
    assert_eq!(
        (&found["kind"], &found["apiVersion"]),
        (&json!("APIGroupList"), &json!("v1"))
    );
    for (group, version) in [
        ("apps", "apps/v1"),
        ("batch", "batch/v1"),
        ("autoscaling", "autoscaling/v2"),
        ("networking.k8s.io", "networking.k8s.io/v1"),
        ("discovery.k8s.io", "discovery.k8s.io/v1"),
        ("coordination.k8s.io", "coordination.k8s.io/v1"),
        ("rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1"),
        ("apiextensions.k8s.io", "apiextensions.k8s.io/v1"),
        ("events.k8s.io", "events.k8s.io/v1"),
        ("authorization.k8s.io", "authorization.k8s.io/v1"),
    ] {
        let entry = item(&found["groups"], "name", group);
        let versions = item(&entry["versions"], "groupVersion", version);
        assert_eq!(versions["groupVersion"], version, "{group}: {entry}");
        assert!(
            entry["preferredVersion"]["groupVersion"].is_string(),
            "{group}: {entry}"
        );
    }
    assert!(
        item(&found["groups"], "name", "").is_null(),
        "the core group is not among them"
    );
}

async fn one_group(c: Case) {
    let found = c.api.get("/apis/apps").await.ok();
    assert_eq!((&found["kind"], &found["name"]), (&json!("APIGroup"), &json!("apps")));
    assert_eq!(
        found["preferredVersion"],
        json!({"groupVersion": "apps/v1", "version": "v1"})
    );
}

async fn resources(c: &Case, path: &str) -> Value {
    let found = c.api.get(path).await.ok();
    assert_eq!(found["kind"], "APIResourceList");
    let group_version = path.trim_start_matches("/apis/").trim_start_matches("/api/");
    assert_eq!(found["groupVersion"], group_version);
    found["resources"].clone()
}

async fn core_resources(c: Case) {
    let found = resources(&c, "/api/v1").await;
    for (name, kind, singular, short, namespaced) in [
        ("configmaps", "ConfigMap", "configmap", "cm", true),
        ("services", "Service", "service", "svc", true),
        ("namespaces", "Namespace", "namespace", "ns", false),
        ("nodes", "Node", "node", "no", false),
    ] {
        let resource = item(&found, "name", name);
        assert_eq!(resource["kind"], kind, "{name}");
        assert_eq!(resource["singularName"], singular, "{name}");
        assert_eq!(resource["namespaced"], namespaced, "{name}");
        assert!(has(&resource["shortNames"], short), "{resource}");
        for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
            assert!(has(&resource["verbs"], verb), "{name} cannot {verb}: {resource}");
        }
    }
    let services = item(&found, "name", "services");
    assert!(has(&services["categories"], "all"), "{services}");
}

async fn subresources(c: Case) {
    let found = resources(&c, "/api/v1").await;
    for name in [
        "pods/status",
        "services/status",
        "namespaces/finalize",
        "serviceaccounts/token",
    ] {
        assert_eq!(item(&found, "name", name)["name"], name);
    }
    let status = item(&found, "name", "pods/status");
    for verb in ["get", "patch", "update"] {
        assert!(has(&status["verbs"], verb), "{status}");
    }
    assert!(!has(&status["verbs"], "list"), "{status}");
    let token = item(&found, "name", "serviceaccounts/token");
    assert_eq!(
        (&token["kind"], &token["group"]),
        (&json!("TokenRequest"), &json!("authentication.k8s.io"))
    );
}

async fn scale_kind(c: Case) {
    let found = resources(&c, "/apis/apps/v1").await;
    let scale = item(&found, "name", "deployments/scale");
    assert_eq!(scale["kind"], "Scale");
    assert_eq!(
        (&scale["group"], &scale["version"]),
        (&json!("autoscaling"), &json!("v1"))
    );
}

async fn aggregated(c: Case) {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let found = c.api.get_as("/apis", accept).await.ok();
    assert_eq!(found["kind"], "APIGroupDiscoveryList", "{}", found["kind"]);
    let apps = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|group| group["metadata"]["name"] == "apps");
    let version = item(&apps.unwrap()["versions"], "version", "v1");
    let deployments = item(&version["resources"], "resource", "deployments");
    assert_eq!(deployments["responseKind"]["kind"], "Deployment");
    assert_eq!(deployments["scope"], "Namespaced");
    assert!(has(&deployments["shortNames"], "deploy"), "{deployments}");
    let scale = item(&deployments["subresources"], "subresource", "scale");
    assert_eq!(scale["responseKind"]["kind"], "Scale");
    let core = c.api.get_as("/api", accept).await.ok();
    let version = item(&core["items"][0]["versions"], "version", "v1");
    assert_eq!(item(&version["resources"], "resource", "pods")["scope"], "Namespaced");
}

async fn server_version(c: Case) {
    let found = c.api.get("/version").await.ok();
    let git = found["gitVersion"].as_str().unwrap();
    let (major, minor) = (found["major"].as_str().unwrap(), found["minor"].as_str().unwrap());
    let minor = minor.trim_end_matches('+');
    assert!(git.starts_with(&format!("v{major}.{minor}.")), "{found}");
    assert!(minor.parse::<u32>().unwrap() >= 30, "{found}");
}

async fn health(c: Case) {
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(c.api.get(path).await.ok(), json!("ok"), "{path}");
    }
}

async fn unknown_group(c: Case) {
    for path in [
        "/apis/no-such-group.example.com",
        "/apis/apps/v9",
        "/apis/apps/v1/no-such-things",
    ] {
        let answer = c.api.get(path).await;
        assert_eq!(answer.code, 404, "{path}: {}", answer.body);
    }
}

async fn openapi_index(c: Case) {
    let found = c.api.get("/openapi/v3").await.ok();
    for path in ["api/v1", "apis/apps/v1", "apis/batch/v1"] {
        let url = found["paths"][path]["serverRelativeURL"].as_str();
        assert!(
            url.is_some_and(|url| url.starts_with(&format!("/openapi/v3/{path}"))),
            "{path}: {url:?}"
        );
    }
}

async fn openapi_document(c: Case) {
    let found = c.api.get("/openapi/v3/apis/apps/v1").await.ok();
    assert!(
        found["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.")),
        "{}",
        found["openapi"]
    );
    let schemas = found["components"]["schemas"].as_object().unwrap();
    let deployment = schemas.values().find(|schema| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds
            .into_iter()
            .flatten()
            .any(|gvk| gvk["kind"] == "Deployment" && gvk["group"] == "apps")
    });
    assert!(deployment.is_some(), "no schema says that it is a Deployment's");
    let patch = &found["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"]["kind"], "Deployment",
        "{patch}"
    );
}

async fn everything_lists(c: Case) {
    for path in [
        "/api/v1",
        "/apis/apps/v1",
        "/apis/batch/v1",
        "/apis/autoscaling/v2",
        "/apis/networking.k8s.io/v1",
        "/apis/discovery.k8s.io/v1",
        "/apis/coordination.k8s.io/v1",
        "/apis/rbac.authorization.k8s.io/v1",
        "/apis/apiextensions.k8s.io/v1",
        "/apis/events.k8s.io/v1",
    ] {
        for resource in resources(&c, path).await.as_array().unwrap() {
            let (name, kind) = (resource["name"].as_str().unwrap(), resource["kind"].as_str().unwrap());
            // Component statuses ask programs that are not there.
            if !has(&resource["verbs"], "list") || name == "componentstatuses" {
                continue;
            }
            let list = c.api.get(&format!("{path}/{name}?limit=1")).await.ok();
            assert_eq!(list["kind"], format!("{kind}List"), "{path}/{name}");
            assert!(list["items"].is_array(), "{path}/{name}: {list}");
        }
    }
}
