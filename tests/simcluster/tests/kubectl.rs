//! The real kubectl against a cluster; skipped where there is none.

#![allow(clippy::unwrap_used)]

mod common;

use common::kubectl::Kubectl;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector:
    app: web
  ports:
  - name: http
    port: 80
";

#[tokio::test]
async fn objects_from_birth_to_death() {
    let Some(kubectl) = Kubectl::start("objects").await else {
        return;
    };
    kubectl.check("get namespaces", "", "kube-system       Active").await;
    kubectl.check("create -f -", SERVICE, "service/web created").await;
    kubectl.check_failure("create -f -", SERVICE, "AlreadyExists").await;
    kubectl.check("get service web", "", "ClusterIP   10.96.").await;
    kubectl.check("get service web -o yaml", "", "clusterIP: 10.96.").await;
    kubectl
        .check("annotate service web a=b", "", "service/web annotated")
        .await;
    kubectl.check("label service web c=d", "", "service/web labeled").await;
    kubectl
        .check(
            "patch service web -p {\"spec\":{\"ports\":[{\"port\":81,\"name\":\"b\"}]}}",
            "",
            "patched",
        )
        .await;
    kubectl.check("get service web", "", "80/TCP").await;
    kubectl.check("get services -l c=d -o name", "", "service/web").await;
    let wrong = SERVICE.replace("selector", "selektor");
    kubectl
        .check_failure("apply -f -", &wrong, "unknown field \"spec.selektor\"")
        .await;
    kubectl.check("delete service web", "", "\"web\" deleted").await;
    kubectl.check_failure("get service web", "", "NotFound").await;
    kubectl
        .check("create namespace shop", "", "namespace/shop created")
        .await;
    kubectl
        .check(
            "create configmap -n shop map --from-literal=k=v",
            "",
            "configmap/map created",
        )
        .await;
    kubectl
        .check(
            "create deployment -n shop web --image=web:1 --replicas=2",
            "",
            "deployment.apps/web created",
        )
        .await;
    kubectl
        .check("get deployment -n shop web -o jsonpath={.spec.replicas}", "", "2")
        .await;
    kubectl
        .check(
            "scale deployment -n shop web --replicas=3",
            "",
            "deployment.apps/web scaled",
        )
        .await;
    kubectl.check("delete namespace shop", "", "\"shop\" deleted").await;
}

#[tokio::test]
async fn server_side_apply_and_diff() {
    let Some(kubectl) = Kubectl::start("apply").await else {
        return;
    };
    let apply = "apply --server-side -f -";
    kubectl.check(apply, SERVICE, "service/web serverside-applied").await;
    kubectl.check("diff --server-side -f -", SERVICE, "").await;
    let other = SERVICE.replace("port: 80", "port: 80\n    targetPort: 8080");
    let (same, text) = kubectl.run("diff --server-side -f -", &other).await;
    assert!(!same && text.contains("+    targetPort: 8080"), "{text}");
    kubectl
        .check("apply --server-side --field-manager=other -f -", SERVICE, "applied")
        .await;
    let conflicting = SERVICE.replace("app: web", "app: else");
    kubectl
        .check_failure(apply, &conflicting, "conflict with \"other\": .spec.selector")
        .await;
}

#[tokio::test]
async fn client_side_apply() {
    let Some(kubectl) = Kubectl::start("client-apply").await else {
        return;
    };
    kubectl.check("apply -f -", SERVICE, "service/web created").await;
    kubectl.check("apply -f -", SERVICE, "service/web unchanged").await;
    let other = SERVICE.replace("app: web", "app: other");
    kubectl.check("apply -f -", &other, "service/web configured").await;
    kubectl
        .check("get service web -o jsonpath={.spec.selector.app}", "", "other")
        .await;
}

#[tokio::test]
async fn deletes_with_each_cascade() {
    let Some(kubectl) = Kubectl::start("cascade").await else {
        return;
    };
    for (cascade, left) in [("background", false), ("foreground", false), ("orphan", true)] {
        let owner = format!("owner-{cascade}");
        let child = format!("child-{cascade}");
        kubectl.check(&format!("create configmap {owner}"), "", "created").await;
        let (_, uid) = kubectl
            .run(&format!("get configmap {owner} -o jsonpath={{.metadata.uid}}"), "")
            .await;
        let dependent = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {child}\n  ownerReferences:\n  - apiVersion: v1\n    \
             kind: ConfigMap\n    name: {owner}\n    uid: {uid}\n    blockOwnerDeletion: true\n"
        );
        kubectl.check("create -f -", &dependent, "created").await;
        kubectl
            .check(&format!("delete configmap {owner} --cascade={cascade}"), "", "deleted")
            .await;
        match left {
            true => {
                let owners = format!("get configmap {child} -o jsonpath={{.metadata.ownerReferences}}.");
                kubectl.check(&owners, "", ".").await;
            }
            false => {
                kubectl
                    .check(&format!("wait --for=delete configmap/{child} --timeout=10s"), "", "")
                    .await;
                kubectl
                    .check_failure(&format!("get configmap {child}"), "", "NotFound")
                    .await;
            }
        }
    }
}
