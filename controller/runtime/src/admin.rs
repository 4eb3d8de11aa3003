//! The admin listener: what an orchestrator asks before it sends clients, and before it restarts us.
//!
//! `/readyz` is 200 while queries are welcome and can be answered: the server is not about to end, and its
//! zones are known or were saved. `/livez` is 200 while the process can answer at all; it does not look at
//! the host, since a restart helps nothing while the host is away.
//!
//! Refused: a reason other than the first. A probe reads the code; the body is one line for people.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use meridian_dns_server::Table;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Connections at a time; those who probe open one each.
const CONNECTIONS: usize = 64;

/// What readiness depends on.
#[derive(Clone)]
pub(crate) struct Readiness {
    /// Whether new queries are welcome.
    pub(crate) welcome: watch::Receiver<bool>,
    /// What is answered from.
    pub(crate) table: Table,
    /// Whether that began as a saved snapshot.
    pub(crate) saved: bool,
}

impl Readiness {
    /// Why no clients should be sent; nothing if they may.
    fn objection(&self) -> Option<&'static str> {
        if !*self.welcome.borrow() {
            Some("stopping")
        } else if !self.saved && !self.table.load().zones_known() {
            Some("the zones are not known yet")
        } else {
            None
        }
    }
}

/// Binds the listener.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for /readyz and /livez; choose another with --admin"))
}

/// Answers until it is dropped.
pub(crate) async fn serve(listener: TcpListener, readiness: Readiness) {
    let slots = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed.
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let readiness = readiness.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = respond(&request, &readiness);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server
                .timer(TokioTimer::new())
                .header_read_timeout(std::time::Duration::from_secs(5));
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(slot);
        });
    }
}

fn respond(request: &Request<Incoming>, readiness: &Readiness) -> Response<Full<Bytes>> {
    let get = matches!(*request.method(), Method::GET | Method::HEAD);
    let (code, text) = match request.uri().path() {
        "/livez" | "/readyz" if !get => (StatusCode::METHOD_NOT_ALLOWED, "use GET"),
        "/livez" => (StatusCode::OK, "ok"),
        "/readyz" => match readiness.objection() {
            None => (StatusCode::OK, "ok"),
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
        },
        _ => (StatusCode::NOT_FOUND, "there is /readyz and /livez"),
    };
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use meridian_dns_core::Snapshot;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("read");
        text.get(9..12).unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn readiness_comes_with_the_zones_and_goes_first() {
        let table = Table::new(Snapshot::default().with_zones_known(false));
        let (stop, welcome) = watch::channel(true);
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let readiness = Readiness {
            welcome,
            table: table.clone(),
            saved: false,
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve(listener, readiness.clone()));
        assert_eq!(get(address, "/livez").await, "200");
        assert_eq!(get(address, "/readyz").await, "503");
        assert!(
            Readiness {
                saved: true,
                ..readiness
            }
            .objection()
            .is_none()
        );
        table.store(Snapshot::default());
        assert_eq!(get(address, "/readyz").await, "200");
        stop.send_replace(false);
        assert_eq!(get(address, "/readyz").await, "503");
        assert_eq!(get(address, "/livez").await, "200");
        assert_eq!(get(address, "/metrics").await, "404");
    }
}
