//! The real kubectl, which reads more of an answer than any other client.

use meridian_kube_conformance::{Case as Row, case};
use serde_json::{Value, json};

use crate::shared::{Case, config_map, deployment, text};

pub(crate) const CASES: &[Row] = &[
    case!(
        "kubectl apply --server-side creates, and changes nothing the second time",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_apply/",
        [Kubectl],
        apply
    ),
    case!(
        "kubectl apply --server-side tells a conflict and how to force it",
        "kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
        [Kubectl],
        conflict
    ),
    case!(
        "kubectl apply --server-side refuses a field that is not known",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_apply/",
        [Kubectl],
        unknown_field
    ),
    case!(
        "kubectl diff --server-side ends with 0 without and 1 with differences",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_diff/",
        [Kubectl],
        diff
    ),
    case!(
        "kubectl get prints a table",
        "kubernetes.io/docs/reference/kubectl/#formatting-output",
        [Kubectl],
        get
    ),
    case!(
        "kubectl get prints names, JSON paths and YAML",
        "kubernetes.io/docs/reference/kubectl/#formatting-output",
        [Kubectl],
        get_formats
    ),
    case!(
        "kubectl get tells what is not there",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_get/",
        [Kubectl],
        get_nothing
    ),
    case!(
        "kubectl create, label, annotate and patch",
        "kubernetes.io/docs/reference/kubectl/",
        [Kubectl],
        edit
    ),
    case!(
        "kubectl replace wants what is there",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_replace/",
        [Kubectl],
        replace
    ),
    case!(
        "kubectl auth can-i asks the server",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_auth/kubectl_auth_can-i/",
        [Kubectl],
        can_i
    ),
    case!(
        "kubectl create token prints one",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_create/kubectl_create_token/",
        [Kubectl],
        create_token
    ),
    case!(
        "kubectl api-resources lists what is served",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_api-resources/",
        [Kubectl],
        api_resources
    ),
    case!(
        "kubectl knows a custom resource by its short name, with its columns",
        "kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#additional-printer-columns",
        [Kubectl],
        custom
    ),
    case!(
        "kubectl get --raw gives the server's own words",
        "kubernetes.io/docs/reference/kubectl/generated/kubectl_get/",
        [Kubectl],
        raw
    ),
];

pub(crate) const APPLY: &[&str] = &["apply", "--server-side", "-f", "-"];
const DIFF: &[&str] = &["diff", "--server-side", "-f", "-"];

async fn apply(c: Case) {
    let object = deployment(&c, "web", 0).to_string();
    let said = c.kubectl_with(APPLY, &object).await.ok();
    assert_eq!(said, "deployment.apps/web serverside-applied\n");
    let before = c.api.get(&c.apps("deployments/web")).await.ok();
    c.kubectl_with(APPLY, &object).await.ok();
    let after = c.api.get(&c.apps("deployments/web")).await.ok();
    // Controllers may write something of their own meanwhile.
    assert_eq!(before["spec"], after["spec"]);
    let applied = |object: &Value| {
        let entries = object["metadata"]["managedFields"].as_array().unwrap().clone();
        entries.into_iter().find(|entry| entry["operation"] == "Apply")
    };
    assert_eq!(applied(&before), applied(&after), "not even its time");
    let entries = after["metadata"]["managedFields"].as_array().unwrap();
    assert!(
        entries
            .iter()
            .any(|entry| entry["manager"] == "kubectl" && entry["operation"] == "Apply"),
        "{after}"
    );
}

async fn conflict(c: Case) {
    c.kubectl_with(APPLY, &config_map("map").to_string()).await.ok();
    let mut other = config_map("map");
    other["data"]["key"] = json!("other");
    let by_other = ["apply", "--server-side", "--field-manager=other", "-f", "-"];
    let said = c.kubectl_with(&by_other, &other.to_string()).await.code(1);
    assert!(said.contains("conflict with \"kubectl\": .data.key"), "{said}");
    let forced = [
        "apply",
        "--server-side",
        "--field-manager=other",
        "--force-conflicts",
        "-f",
        "-",
    ];
    c.kubectl_with(&forced, &other.to_string()).await.ok();
    assert_eq!(c.api.get(&c.core("configmaps/map")).await.ok()["data"]["key"], "other");
}

async fn unknown_field(c: Case) {
    let mut web = deployment(&c, "web", 0);
    web["spec"]["replica"] = json!(1);
    let said = c.kubectl_with(APPLY, &web.to_string()).await.code(1);
    assert!(said.contains("spec.replica"), "{said}");
    c.api.get(&c.apps("deployments/web")).await.refused(404, "NotFound");
}

async fn diff(c: Case) {
    let said = c.kubectl_with(DIFF, &config_map("map").to_string()).await.code(1);
    assert!(said.contains("+kind: ConfigMap"), "{said}");
    c.kubectl_with(APPLY, &config_map("map").to_string()).await.ok();
    assert_eq!(c.kubectl_with(DIFF, &config_map("map").to_string()).await.code(0), "");
    let mut other = config_map("map");
    other["data"]["key"] = json!("other");
    let said = c.kubectl_with(DIFF, &other.to_string()).await.code(1);
    assert!(
        said.contains("-  key: value\n") && said.contains("+  key: other\n"),
        "{said}"
    );
    assert_eq!(
        c.api.get(&c.core("configmaps/map")).await.ok()["data"]["key"],
        "value",
        "nothing was written"
    );
}

async fn get(c: Case) {
    c.api
        .post(&c.apps("deployments"), deployment(&c, "web", 0))
        .await
        .created();
    let said = c.kubectl(&["get", "deployments"]).await.ok();
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]);
    assert_eq!(lines[1][..4], ["web", "0/0", "0", "0"]);
    let said = c
        .kubectl(&["get", "deploy", "web", "-o", "wide", "--no-headers"])
        .await
        .ok();
    assert!(said.contains("app=web"), "{said}");
    let said = c
        .kubectl(&["get", "deployments,services", "-l", "app=none"])
        .await
        .code(0);
    assert!(said.contains("No resources found"), "{said}");
}

async fn get_formats(c: Case) {
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    assert_eq!(
        c.kubectl(&["get", "cm", "map", "-o", "name"]).await.ok(),
        "configmap/map\n"
    );
    assert_eq!(
        c.kubectl(&["get", "cm", "map", "-o", "jsonpath={.data.key}"])
            .await
            .ok(),
        "value"
    );
    let said = c.kubectl(&["get", "cm", "map", "-o", "yaml"]).await.ok();
    assert!(
        said.starts_with("apiVersion: v1\ndata:\n  key: value\nkind: ConfigMap\n"),
        "{said}"
    );
    let said = c
        .kubectl(&["get", "cm", "-o", "json", "--field-selector", "metadata.name=map"])
        .await
        .ok();
    let list: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&list["kind"], &list["items"][0]["kind"]),
        (&json!("List"), &json!("ConfigMap"))
    );
}

async fn get_nothing(c: Case) {
    let said = c.kubectl(&["get", "configmap", "none"]).await.code(1);
    assert!(
        said.contains("Error from server (NotFound): configmaps \"none\" not found"),
        "{said}"
    );
    let said = c.kubectl(&["get", "teapots"]).await.code(1);
    assert!(
        said.contains("the server doesn't have a resource type \"teapots\""),
        "{said}"
    );
    let said = c
        .kubectl(&["get", "configmap", "none", "--ignore-not-found"])
        .await
        .ok();
    assert_eq!(said, "");
}

async fn edit(c: Case) {
    let said = c
        .kubectl(&["create", "configmap", "map", "--from-literal=a=1"])
        .await
        .ok();
    assert_eq!(said, "configmap/map created\n");
    let said = c.kubectl(&["create", "configmap", "map"]).await.code(1);
    assert!(said.contains("already exists"), "{said}");
    c.kubectl(&["label", "configmap", "map", "team=blue"]).await.ok();
    let said = c.kubectl(&["label", "configmap", "map", "team=red"]).await.code(1);
    assert!(said.contains("already has a value (blue)"), "{said}");
    c.kubectl(&["label", "configmap", "map", "team=red", "--overwrite"])
        .await
        .ok();
    c.kubectl(&["annotate", "configmap", "map", "note=text"]).await.ok();
    c.kubectl(&[
        "patch",
        "configmap",
        "map",
        "--type=merge",
        "-p",
        "{\"data\":{\"b\":\"2\"}}",
    ])
    .await
    .ok();
    let operations = "[{\"op\":\"remove\",\"path\":\"/data/a\"}]";
    c.kubectl(&["patch", "configmap", "map", "--type=json", "-p", operations])
        .await
        .ok();
    let found = c.api.get(&c.core("configmaps/map")).await.ok();
    assert_eq!(found["data"], json!({"b": "2"}));
    assert_eq!(
        (
            &found["metadata"]["labels"]["team"],
            &found["metadata"]["annotations"]["note"]
        ),
        (&json!("red"), &json!("text"))
    );
    c.kubectl(&["label", "configmap", "map", "team-"]).await.ok();
    assert!(c.api.get(&c.core("configmaps/map")).await.ok()["metadata"]["labels"].is_null());
}

async fn replace(c: Case) {
    let said = c
        .kubectl_with(&["replace", "-f", "-"], &config_map("map").to_string())
        .await
        .code(1);
    assert!(said.contains("(NotFound)"), "{said}");
    c.api.post(&c.core("configmaps"), config_map("map")).await.created();
    let mut other = config_map("map");
    other["data"] = json!({"a": "1"});
    let said = c.kubectl_with(&["replace", "-f", "-"], &other.to_string()).await.ok();
    assert_eq!(said, "configmap/map replaced\n");
    assert_eq!(
        c.api.get(&c.core("configmaps/map")).await.ok()["data"],
        json!({"a": "1"})
    );
}

async fn can_i(c: Case) {
    assert_eq!(
        c.kubectl(&["auth", "can-i", "create", "deployments.apps"]).await.ok(),
        "yes\n"
    );
    let token = crate::access::account(&c, "robot").await;
    let as_robot = format!("--token={token}");
    let said = c
        .kubectl(&["auth", "can-i", "list", "secrets", &as_robot])
        .await
        .code(1);
    assert!(said.starts_with("no"), "{said}");
}

async fn create_token(c: Case) {
    c.kubectl(&["create", "serviceaccount", "robot"]).await.ok();
    let said = c.kubectl(&["create", "token", "robot", "--duration=20m"]).await.ok();
    let answer = c
        .with_token(said.trim())
        .get(&c.core("pods"))
        .await
        .refused(403, "Forbidden");
    assert!(text(&answer["message"]).contains(":robot\""), "{answer}");
}

async fn api_resources(c: Case) {
    let said = c.kubectl(&["api-resources", "--no-headers"]).await.ok();
    let row = |name: &str| {
        let found = said
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words[0] == name);
        found.unwrap_or_else(|| panic!("no {name}: {said}"))
    };
    assert_eq!(row("configmaps"), ["configmaps", "cm", "v1", "true", "ConfigMap"]);
    assert_eq!(
        row("deployments"),
        ["deployments", "deploy", "apps/v1", "true", "Deployment"]
    );
    assert_eq!(
        row("clusterroles"),
        ["clusterroles", "rbac.authorization.k8s.io/v1", "false", "ClusterRole"]
    );
}

async fn custom(c: Case) {
    let mut version =
        crate::definitions::version_with(crate::definitions::object_of(json!({"size": {"type": "integer"}})));
    version["additionalPrinterColumns"] = json!([{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]);
    let widgets = crate::definitions::define_version(&c, version).await;
    c.kubectl_with(APPLY, &widgets.object("a", json!({"size": 3})).to_string())
        .await
        .ok();
    let kind = format!("widgets.{}", widgets.group);
    let said = c.kubectl(&["get", &kind]).await.ok();
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [["NAME", "SIZE"], ["a", "3"]]);
    // Several cases have widgets; the short name is a hint, so ask for it with its group.
    let short = format!("wd.{}", widgets.group);
    let said = c.kubectl(&["get", &short, "a", "-o", "name"]).await;
    assert_eq!(said.ok(), format!("widget.{}/a\n", widgets.group));
    c.kubectl(&["delete", &kind, "a"]).await.ok();
}

async fn raw(c: Case) {
    let said = c.kubectl(&["get", "--raw", "/readyz"]).await.ok();
    assert_eq!(said.trim(), "ok");
    let said = c.kubectl(&["get", "--raw", &c.core("configmaps?limit=1")]).await.ok();
    let list: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(list["kind"], "ConfigMapList");
}
