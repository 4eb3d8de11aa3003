//! Broken HTTP never breaks the server, and what can be answered is answered with a `Status`.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use http::Method;
use meridian_simcluster::SimCluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes as they are and returns the answer up to the end of the connection.
async fn speak(cluster: &SimCluster, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(cluster.address()).await.unwrap();
    // The server may hang up before all is sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn requests_that_are_none_are_refused() {
    let (cluster, _) = cluster().await;
    let token = admin_token(&cluster);
    let check = async |request: String, wanted: &str| {
        let answer = speak(&cluster, request.as_bytes()).await;
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.starts_with(wanted), "{request:.200}: {answer}");
        assert_eq!(get(&cluster, "/readyz").await.code, 200);
        answer
    };
    let head = format!("Host: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n");
    let bad = "HTTP/1.1 400";
    check(format!("GARBAGE\r\n{head}\r\n"), bad).await;
    check(
        format!("GET /api HTTP/1.1\r\n{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        bad,
    )
    .await;
    check(format!("GET /api HTTP/1.1\r\n{head}Content-Length: x\r\n\r\n"), bad).await;
    check(
        format!("GET /api HTTP/1.1\r\n{head}Transfer-Encoding: nothing\r\n\r\n"),
        bad,
    )
    .await;
    check(format!("GET /api HTTP/1.1\r\n{head}Na me: x\r\n\r\n"), bad).await;
    let long = "x".repeat(1 << 20);
    check(
        format!("GET /api HTTP/1.1\r\n{head}Long: {long}\r\n\r\n"),
        "HTTP/1.1 431",
    )
    .await;
    let many: String = (0..500).map(|number| format!("h{number}: x\r\n")).collect();
    check(format!("GET /api HTTP/1.1\r\n{head}{many}\r\n"), "HTTP/1.1 431").await;
    let status = check(format!("GET /api/v1/namespaces/%zz/pods HTTP/1.1\r\n{head}\r\n"), bad).await;
    assert!(status.contains("\"kind\":\"Status\""), "{status}");
    check(
        format!("GET /api/v1/namespaces/%ff%00/pods HTTP/1.1\r\n{head}\r\n"),
        "HTTP/1.1 200",
    )
    .await;
    let head_only = check(
        format!("HEAD /api/v1/namespaces HTTP/1.1\r\n{head}\r\n"),
        "HTTP/1.1 200",
    )
    .await;
    assert!(head_only.ends_with("\r\n\r\n"), "{head_only}");
    check(
        format!("HEAD /api/v1/namespaces/x HTTP/1.1\r\n{head}\r\n"),
        "HTTP/1.1 404",
    )
    .await;
    check(format!("CONNECT a:1 HTTP/1.1\r\n{head}\r\n"), "HTTP/1.1 4").await;
}

#[tokio::test]
async fn methods_that_nothing_knows_are_not_allowed() {
    let (cluster, _) = cluster().await;
    for method in ["OPTIONS", "TRACE", "PURGE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for path in [
            "/api",
            "/version",
            "/readyz",
            "/api/v1/pods",
            "/api/v1/namespaces/default",
        ] {
            let answer = raw(&cluster, method.clone(), path, &[], "").await;
            failed(answer, 405, "MethodNotAllowed");
        }
    }
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    failed(
        raw(&cluster, Method::DELETE, reviews, &[], "").await,
        405,
        "MethodNotAllowed",
    );
    failed(
        raw(&cluster, Method::PUT, reviews, &[], "{}").await,
        405,
        "MethodNotAllowed",
    );
}
