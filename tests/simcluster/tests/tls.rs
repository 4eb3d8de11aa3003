//! TLS: who is trusted, what is spoken, and what clients can do over it.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::kubectl::Kubectl;
use common::*;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::PostParams;
use kube::{Api, Client};
use meridian_simcluster::{Authority, ClusterOptions, FaultProxy, SimCluster};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

async fn start() -> (SimCluster, Authority) {
    let authority = Authority::new().unwrap();
    let options = ClusterOptions::named("secure").with_tls(&authority);
    (SimCluster::start(options).await.unwrap(), authority)
}

/// Who the server says a client is.
async fn whoami(client: Client) -> (String, Vec<String>) {
    let review = SelfSubjectReview::default();
    let made = Api::<SelfSubjectReview>::all(client)
        .create(&PostParams::default(), &review)
        .await;
    let info = made.unwrap().status.unwrap().user_info.unwrap();
    (info.username.unwrap(), info.groups.unwrap())
}

async fn connect(
    cluster: &SimCluster,
    trusted: &Authority,
    name: &str,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(trusted.certificate().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(cluster.address()).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn the_certificate_is_good_for_every_loopback_name() {
    let (cluster, authority) = start().await;
    for name in ["127.0.0.1", "::1", "localhost"] {
        assert!(connect(&cluster, &authority, name, "h2").await.is_ok(), "{name}");
    }
    assert!(connect(&cluster, &authority, "example.com", "h2").await.is_err());
    let stranger = Authority::new().unwrap();
    assert!(connect(&cluster, &stranger, "localhost", "h2").await.is_err());
}

#[tokio::test]
async fn both_versions_of_http_are_negotiated() {
    let (cluster, authority) = start().await;
    let request = |uri: &str| {
        Request::get(uri)
            .header("host", "localhost")
            .body(Empty::<Bytes>::new())
            .unwrap()
    };
    let stream = connect(&cluster, &authority, "localhost", "h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let task = tokio::spawn(connection);
    let answer = sender.send_request(request("https://localhost/readyz")).await.unwrap();
    assert_eq!(
        (answer.version(), answer.status().as_u16()),
        (http::Version::HTTP_2, 200)
    );
    drop((sender, answer));
    task.abort();
    let stream = connect(&cluster, &authority, "localhost", "http/1.1").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let task = tokio::spawn(connection);
    let answer = sender.send_request(request("/readyz")).await.unwrap();
    assert_eq!(
        (answer.version(), answer.status().as_u16()),
        (http::Version::HTTP_11, 200)
    );
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
    // Where bearer tokens can be sent, none is looked for in the path.
    let kubeconfig = cluster.kubeconfig(cluster.address());
    let token = kubeconfig.split("token: ").nth(1).unwrap().lines().next().unwrap();
    let answer = sender
        .send_request(request(&format!("/token/{token}/api/v1/namespaces")))
        .await;
    assert_eq!(answer.unwrap().status().as_u16(), 403);
    task.abort();
}

#[tokio::test]
async fn clients_prove_who_they_are_by_token_or_certificate() {
    let (cluster, _) = start().await;
    let address = cluster.address();
    let admin = client(&cluster).await;
    assert_eq!(whoami(admin.clone()).await.0, "admin");
    let spaces = Api::<Namespace>::all(admin.clone())
        .list(&Default::default())
        .await
        .unwrap();
    assert_eq!(spaces.items.len(), 4);
    let trust = Api::<ConfigMap>::default_namespaced(admin)
        .get("kube-root-ca.crt")
        .await
        .unwrap();
    assert!(trust.data.unwrap()["ca.crt"].starts_with("-----BEGIN CERTIFICATE"));

    let alice = client_of(&cluster.kubeconfig_of(address, "alice", Some("devs")).unwrap()).await;
    let groups = ["devs", "system:authenticated"].map(str::to_owned);
    assert_eq!(whoami(alice.clone()).await, ("alice".to_owned(), groups.to_vec()));
    assert_eq!(
        status(Api::<Namespace>::all(alice).list(&Default::default()).await).code,
        403
    );
    let root = client_of(&cluster.kubeconfig_of(address, "root", Some("system:masters")).unwrap()).await;
    assert!(Api::<Namespace>::all(root).list(&Default::default()).await.is_ok());

    let proxy = FaultProxy::start(address).await.unwrap();
    assert_eq!(whoami(client_at(&cluster, proxy.address()).await).await.0, "admin");
    let wrong = client_of(&cluster.kubeconfig_for(address, "wrong")).await;
    assert_eq!(
        status(Api::<Namespace>::all(wrong).list(&Default::default()).await).code,
        401
    );
    // Certificates of another authority are none of ours, and its servers none we trust.
    let (other, _) = start().await;
    let stranger = client_of(&other.kubeconfig_of(address, "alice", None).unwrap()).await;
    assert!(Api::<Namespace>::all(stranger).list(&Default::default()).await.is_err());
    let twin = SimCluster::start(cluster.twin()).await.unwrap();
    assert_eq!(whoami(client_at(&cluster, twin.address()).await).await.0, "admin");
    let (plain, _) = common::cluster().await;
    assert!(plain.kubeconfig_of(plain.address(), "alice", None).is_err());
}

#[tokio::test]
async fn kubectl_with_the_token_of_a_service_account() {
    let (cluster, _) = start().await;
    let kubeconfig = cluster.kubeconfig(cluster.address());
    let Some(admin) = Kubectl::with("tls-admin", &cluster, &kubeconfig).await else {
        return;
    };
    admin.check("auth whoami", "", "system:masters").await;
    admin.check("auth can-i delete nodes", "", "yes").await;
    admin
        .check("create serviceaccount bot", "", "serviceaccount/bot created")
        .await;
    let (success, token) = admin.run("create token bot --duration=20m", "").await;
    assert!(success && token.split('.').count() == 3, "{token}");
    let kubeconfig = cluster.kubeconfig_for(cluster.address(), token.trim());
    let bot = Kubectl::with("tls-bot", &cluster, &kubeconfig).await.unwrap();
    bot.check("auth whoami", "", "system:serviceaccount:default:bot").await;
    bot.check_failure("auth can-i list pods", "", "no").await;
    bot.check_failure(
        "get pods",
        "",
        "cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
    )
    .await;
    admin
        .check(
            "create role reader --verb=get,list,watch --resource=pods,services",
            "",
            "created",
        )
        .await;
    admin
        .check(
            "create rolebinding reader --role=reader --serviceaccount=default:bot",
            "",
            "created",
        )
        .await;
    bot.check("auth can-i list pods", "", "yes").await;
    bot.check("get pods", "", "No resources found").await;
    bot.check_failure("auth can-i list pods -n kube-system", "", "no").await;
    bot.check("auth can-i --list", "", "services").await;
    bot.check_failure(
        "create configmap a --from-literal=k=v",
        "",
        "cannot create resource \"configmaps\"",
    )
    .await;
    admin
        .check("auth can-i list pods --as=system:serviceaccount:default:bot", "", "yes")
        .await;
    admin
        .check_failure("auth can-i list pods --as=stranger", "", "no")
        .await;
    admin
        .check(
            "create clusterrole all --verb=* --resource=deployments.apps",
            "",
            "created",
        )
        .await;
    admin
        .check(
            "create clusterrolebinding all --clusterrole=all --user=carol",
            "",
            "created",
        )
        .await;
    admin
        .check("auth can-i create deployments -A --as=carol", "", "yes")
        .await;
    admin.check("delete serviceaccount bot", "", "deleted").await;
    bot.check_failure("get pods", "", "Unauthorized").await;
    let kubeconfig = cluster
        .kubeconfig_of(cluster.address(), "root", Some("system:masters"))
        .unwrap();
    let root = Kubectl::with("tls-root", &cluster, &kubeconfig).await.unwrap();
    root.check("get namespaces", "", "kube-system").await;
}
