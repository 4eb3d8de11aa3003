//! A proxy that answers chosen API requests itself.
//!
//! What must stay true: what is not answered with a fault passes through unchanged, streams included, and is
//! never tried twice; when the server behind cannot be reached, the client's connection is cut, because no
//! answer of this proxy's own would be true. Clients talk plain HTTP to it, whatever the server speaks.
//!
//! Towards the server it is a client of the `kube` crate: the configuration says whether and how to speak
//! TLS and, for servers that do not take a token over plain HTTP, who to be. Without an identity in the
//! configuration that of the proxy's client passes through.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kube::client::Body;
use kube::{Client, Config};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::rules::{ApiFault, FaultId, Rules};
use crate::server::object;

type BoxError = Box<dyn Error + Send + Sync>;
type Reply = Response<UnsyncBoxBody<Bytes, kube::Error>>;

/// Headers that are about one connection.
const OF_CONNECTIONS: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
    header::HOST,
];

/// A reverse proxy for the Kubernetes API that can be made to fail requests; it ends when dropped.
#[derive(Debug)]
pub struct ApiFaultProxy {
    address: SocketAddr,
    rules: Arc<Mutex<Rules>>,
    accept: AbortHandle,
}

impl ApiFaultProxy {
    /// Listens on a free loopback port and passes requests on to the server of `upstream`.
    pub async fn start(upstream: Config) -> Result<ApiFaultProxy, BoxError> {
        let mut upstream = upstream;
        upstream.default_retry = false;
        let client = Client::try_from(upstream)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let rules = Arc::new(Mutex::new(Rules::default()));
        let accept = tokio::spawn(accept(listener, client, rules.clone())).abort_handle();
        Ok(ApiFaultProxy { address, rules, accept })
    }

    /// Where clients connect, by plain HTTP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a fault in force for requests that come from now on.
    pub fn inject(&self, fault: ApiFault) -> FaultId {
        lock(&self.rules).inject(fault)
    }

    /// Ends a fault.
    pub fn lift(&self, fault: FaultId) {
        lock(&self.rules).lift(|id| id == fault);
    }

    /// Ends all faults.
    pub fn lift_all(&self) {
        lock(&self.rules).lift(|_| true);
    }

    /// How many requests a fault answered; none once it is lifted.
    pub fn answered(&self, fault: FaultId) -> u64 {
        lock(&self.rules).answered(fault)
    }
}

impl Drop for ApiFaultProxy {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

fn lock(rules: &Mutex<Rules>) -> MutexGuard<'_, Rules> {
    rules.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, client: Client, rules: Arc<Mutex<Rules>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, client.clone(), rules.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, client: Client, rules: Arc<Mutex<Rules>>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let (client, rules) = (client.clone(), rules.clone());
        async move {
            // 53 bits are as many as a fraction has.
            let chance = (object::random() >> 11) as f64 / (1_u64 << 53) as f64;
            let answer = lock(&rules).answer(request.method(), request.uri(), chance);
            match answer {
                Some(answer) => Ok(fault(answer)),
                None => pass_on(&client, request).await,
            }
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // A connection that ends badly is the client's business.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

fn fault(answer: super::rules::Response) -> Reply {
    let body = Full::new(Bytes::from(answer.body));
    let mut reply = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *reply.status_mut() = StatusCode::from_u16(answer.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = answer.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

async fn pass_on(client: &Client, request: Request<Incoming>) -> io::Result<Reply> {
    let (mut head, body) = request.into_parts();
    head.version = http::Version::HTTP_11;
    // Over HTTP/2 the URI names this proxy too.
    let path = head
        .uri
        .path_and_query()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    head.uri = path.as_str().parse().map_err(io::Error::other)?;
    strip(&mut head.headers);
    // No request of the API is a stream.
    let body = Body::from(body.collect().await.map_err(io::Error::other)?.to_bytes().to_vec());
    let answer = client.send(Request::from_parts(head, body)).await;
    let answer = answer.map_err(io::Error::other)?;
    let (mut head, body) = answer.into_parts();
    // The version is that of the other connection.
    head.version = http::Version::default();
    strip(&mut head.headers);
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

fn strip(headers: &mut http::HeaderMap) {
    for name in OF_CONNECTIONS {
        headers.remove(name);
    }
}
