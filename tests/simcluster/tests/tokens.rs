//! Tokens of ServiceAccounts: how they are made, what they say, and when they stop working.

#![allow(clippy::unwrap_used)]

mod common;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use common::*;
use http::Method;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use meridian_simcluster::SimCluster;
use serde_json::{Value, json};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";

async fn whoami(cluster: &SimCluster, token: &str) -> Raw {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let kind = [(http::header::CONTENT_TYPE, "application/json")];
    raw_as(cluster, token, Method::POST, path, &kind, "{}").await
}

/// Asks for a token of `default/bot`.
async fn request(cluster: &SimCluster, spec: Value) -> Raw {
    post(cluster, &format!("{ACCOUNTS}/bot/token"), json!({"spec": spec})).await
}

fn token(answer: &Raw) -> String {
    assert_eq!(answer.code, 201, "{}", answer.body);
    answer.body["status"]["token"].as_str().unwrap().to_owned()
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn delete(cluster: &SimCluster, path: &str) {
    assert_eq!(raw(cluster, Method::DELETE, path, &[], "").await.code, 200);
}

#[tokio::test]
async fn a_token_stands_for_its_service_account() {
    let (cluster, client) = cluster().await;
    service_account(&cluster, "default", "bot").await;
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client);
    let wanted: TokenRequest = object(json!({"metadata": {}, "spec": {"audiences": [], "expirationSeconds": 900}}));
    let made = accounts
        .create_token_request("bot", &PostParams::default(), &wanted)
        .await
        .unwrap();
    let status = made.status.unwrap();
    let uid = accounts.get("bot").await.unwrap().metadata.uid.unwrap();
    let said = claims(&status.token);
    assert_eq!(said["sub"], "system:serviceaccount:default:bot");
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 900);
    assert_eq!(said["exp"], status.expiration_timestamp.0.as_second());
    assert_eq!(said["aud"], json!(made.spec.audiences));
    assert_eq!(
        said["kubernetes.io"],
        json!({"namespace": "default", "serviceaccount": {"name": "bot", "uid": uid}})
    );

    let answer = whoami(&cluster, &status.token).await;
    let info = &answer.body["status"]["userInfo"];
    assert_eq!(info["username"], "system:serviceaccount:default:bot");
    assert_eq!(info["uid"], uid);
    let groups = [
        "system:serviceaccounts",
        "system:serviceaccounts:default",
        "system:authenticated",
    ];
    assert_eq!(info["groups"], json!(groups));

    // Over plain HTTP a kubeconfig carries it in the path as well.
    let own = client_of(&cluster.kubeconfig_for(cluster.address(), &status.token)).await;
    let refused = status_code(
        Api::<ServiceAccount>::default_namespaced(own)
            .list(&Default::default())
            .await,
    );
    assert_eq!(refused, 403);
}

fn status_code<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> u16 {
    status(result).code
}

#[tokio::test]
async fn requests_are_checked() {
    let (cluster, _) = cluster().await;
    service_account(&cluster, "default", "bot").await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str, account: &str| {
        json!({"metadata": {"name": name}, "spec": {"serviceAccountName": account,
            "containers": [{"name": "c", "image": "i"}]}})
    };
    assert_eq!(post(&cluster, pods, pod("mine", "bot")).await.code, 201);
    assert_eq!(post(&cluster, pods, pod("theirs", "default")).await.code, 201);
    let bound = |kind: &str, name: &str, uid: &str| json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name, "uid": uid}});
    let check = async |spec: Value, code: u16, reason: &str| {
        let answer = request(&cluster, spec.clone()).await;
        assert_eq!(answer.code, code, "{spec}: {}", answer.body);
        if code >= 400 {
            failed(answer, code, reason);
        }
    };
    check(json!({}), 201, "").await;
    check(json!({"expirationSeconds": 600}), 201, "").await;
    check(json!({"expirationSeconds": 599}), 422, "Invalid").await;
    check(json!({"expirationSeconds": -1}), 422, "Invalid").await;
    check(json!({"expirationSeconds": 4_294_967_297_i64}), 422, "Invalid").await;
    check(json!({"expirationSeconds": "soon"}), 400, "BadRequest").await;
    check(bound("Pod", "mine", ""), 201, "").await;
    check(bound("Pod", "mine", "other"), 409, "Conflict").await;
    check(bound("Pod", "theirs", ""), 400, "BadRequest").await;
    check(bound("Pod", "nothing", ""), 404, "NotFound").await;
    check(bound("Secret", "nothing", ""), 404, "NotFound").await;
    check(bound("Service", "web", ""), 400, "BadRequest").await;
    let path = format!("{ACCOUNTS}/nobody/token");
    failed(post(&cluster, &path, json!({"spec": {}})).await, 404, "NotFound");
    let path = format!("{ACCOUNTS}/bot/token");
    failed(get(&cluster, &path).await, 405, "MethodNotAllowed");
    failed(post(&cluster, &path, json!({"kind": "Pod"})).await, 400, "BadRequest");
    failed(
        post(&cluster, &path, json!({"metadata": {"name": "other"}})).await,
        400,
        "BadRequest",
    );
}

#[tokio::test]
async fn a_token_ends_with_what_it_is_bound_to() {
    let (cluster, _) = cluster().await;
    let plain = service_account(&cluster, "default", "bot").await;
    let (pods, secrets) = ("/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/secrets");
    let pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "bot",
        "containers": [{"name": "c", "image": "i"}]}});
    post(&cluster, pods, pod.clone()).await;
    post(&cluster, secrets, json!({"metadata": {"name": "s"}})).await;
    let bound = async |kind: &str, name: &str| {
        let reference = json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name}});
        token(&request(&cluster, reference).await)
    };
    let (of_pod, of_secret) = (bound("Pod", "p").await, bound("Secret", "s").await);
    let check = async |plain_code: u16, pod_code: u16, secret_code: u16| {
        for (token, code) in [(&plain, plain_code), (&of_pod, pod_code), (&of_secret, secret_code)] {
            assert_eq!(whoami(&cluster, token).await.code, code);
        }
    };
    check(201, 201, 201).await;
    let extra = whoami(&cluster, &of_pod).await.body["status"]["userInfo"]["extra"].clone();
    assert_eq!(extra["authentication.kubernetes.io/pod-name"], json!(["p"]));
    delete(&cluster, &format!("{pods}/p")).await;
    check(201, 401, 201).await;
    post(&cluster, pods, pod).await;
    check(201, 401, 201).await;
    delete(&cluster, &format!("{secrets}/s")).await;
    check(201, 401, 401).await;
    delete(&cluster, &format!("{ACCOUNTS}/bot")).await;
    check(401, 401, 401).await;
    let again = service_account(&cluster, "default", "bot").await;
    check(401, 401, 401).await;
    assert_eq!(whoami(&cluster, &again).await.code, 201);
}

#[tokio::test]
async fn a_token_is_good_for_its_audiences_and_its_cluster_only() {
    let (cluster, _) = cluster().await;
    let plain = service_account(&cluster, "default", "bot").await;
    let vault = token(&request(&cluster, json!({"audiences": ["vault", "other"]})).await);
    failed(whoami(&cluster, &vault).await, 401, "Unauthorized");
    let review = async |token: &str, audiences: &[&str]| {
        let spec = json!({"token": token, "audiences": audiences});
        let answer = post(
            &cluster,
            "/apis/authentication.k8s.io/v1/tokenreviews",
            json!({"spec": spec}),
        )
        .await;
        assert_eq!(answer.code, 201, "{}", answer.body);
        answer.body["status"].clone()
    };
    let status = review(&vault, &["vault", "bank"]).await;
    assert_eq!(
        (&status["authenticated"], &status["audiences"]),
        (&json!(true), &json!(["vault"]))
    );
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:bot");
    let status = review(&vault, &[]).await;
    assert_eq!((status.get("authenticated"), status["error"].is_string()), (None, true));
    assert_eq!(review(&plain, &[]).await["authenticated"], true);
    assert_eq!(review(&admin_token(&cluster), &[]).await["user"]["username"], "admin");
    assert!(review("", &[]).await.get("authenticated").is_none());
    let twin = SimCluster::start(cluster.twin()).await.unwrap();
    assert_eq!(whoami(&twin, &admin_token(&cluster)).await.code, 201);
    failed(whoami(&twin, &plain).await, 401, "Unauthorized");
}

#[tokio::test]
async fn wrong_credentials_are_refused() {
    let (cluster, _) = cluster().await;
    let good = service_account(&cluster, "default", "bot").await;
    let cut = &good[..good.len() - 1];
    let wrong = [
        format!("Bearer {cut}"),
        "Bearer ".to_owned(),
        "Bearer".to_owned(),
        "Basic YWRtaW46YWRtaW4=".to_owned(),
        good.clone(),
        String::new(),
    ];
    for header in wrong {
        let headers = [(http::header::AUTHORIZATION, header.as_str())];
        let answer = raw_as(&cluster, "", Method::GET, "/version", &headers, "").await;
        failed(answer, 401, "Unauthorized");
    }
    // Two headers, of which one is right.
    let headers = [(http::header::AUTHORIZATION, "Bearer wrong")];
    failed(
        raw_as(&cluster, &good, Method::GET, "/version", &headers, "").await,
        401,
        "Unauthorized",
    );
}

#[tokio::test]
async fn every_namespace_has_a_default_service_account() {
    let (cluster, client) = cluster().await;
    let accounts = |namespace: &str| Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    for namespace in ["default", "kube-system", "kube-public"] {
        assert!(accounts(namespace).get("default").await.is_ok());
    }
    post(&cluster, "/api/v1/namespaces", json!({"metadata": {"name": "new"}})).await;
    let made = until(accounts("new"), "default", |account| account.is_some())
        .await
        .unwrap();
    delete(&cluster, "/api/v1/namespaces/new/serviceaccounts/default").await;
    let other =
        |account: Option<&ServiceAccount>| account.is_some_and(|account| account.metadata.uid != made.metadata.uid);
    until(accounts("new"), "default", other).await;
    delete(&cluster, "/api/v1/namespaces/new").await;
    until(
        Api::<k8s_openapi::api::core::v1::Namespace>::all(client.clone()),
        "new",
        |found| found.is_none(),
    )
    .await;
    assert_eq!(accounts("new").list(&Default::default()).await.unwrap().items, []);
}

#[tokio::test]
async fn a_secret_of_the_token_type_gets_a_token() {
    let (cluster, client) = cluster().await;
    service_account(&cluster, "default", "bot").await;
    let secret = |name: &str, account: &str| {
        json!({"metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": account}},
            "type": "kubernetes.io/service-account-token"})
    };
    let secrets: Api<Secret> = Api::default_namespaced(client);
    create(&secrets, secret("lasting", "bot")).await;
    let filled = |secret: Option<&Secret>| secret.is_some_and(|secret| value(&secret.data)["token"].is_string());
    let found = until(secrets.clone(), "lasting", filled).await.unwrap();
    let data = value(&found.data);
    let text = |field: &str| String::from_utf8(BASE64_STANDARD.decode(data[field].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(text("namespace"), "default");
    let token = text("token");
    assert!(claims(&token).get("exp").is_none());
    assert_eq!(whoami(&cluster, &token).await.code, 201);
    create(&secrets, secret("orphan", "nobody")).await;
    until(secrets.clone(), "orphan", |secret| secret.is_none()).await;
    delete(&cluster, &format!("{ACCOUNTS}/bot")).await;
    until(secrets, "lasting", |secret| secret.is_none()).await;
    assert_eq!(whoami(&cluster, &token).await.code, 401);
}
