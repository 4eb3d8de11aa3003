//! What answers at a load balancer's address: an HTTP server per port.
//!
//! What must stay true: which pod answers is decided per request from the cache, so a pod that lost its
//! readiness gets no request after the cache knows.
//!
//! Refused: forwarding to the pods. They have no process; the answer says which one would have got it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::ResourceExt;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::backends::{selected, selector};
use super::context::Context;
use super::objects::Place;
use super::pods::{is_ending, is_ready};

/// The listeners of one Service.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) ports: BTreeSet<u16>,
    tasks: JoinSet<()>,
}

impl Listeners {
    /// Listens on all ports it can listen on; returns what is wrong with the others.
    pub(crate) async fn open(
        context: &Context,
        place: &Place,
        address: Ipv4Addr,
        ports: BTreeSet<u16>,
    ) -> (Listeners, Vec<String>) {
        let (mut tasks, mut wrong) = (JoinSet::new(), Vec::new());
        let answers = Arc::new(Answers {
            context: context.clone(),
            place: place.clone(),
            turn: AtomicUsize::new(0),
        });
        for port in &ports {
            match TcpListener::bind((IpAddr::V4(address), *port)).await {
                Ok(listener) => {
                    tasks.spawn(accept(listener, answers.clone()));
                }
                Err(error) => {
                    tracing::warn!(%address, port, %error, "load balancer cannot listen");
                    wrong.push(format!("cannot listen on {address}:{port}: {error}"));
                }
            }
        }
        (Listeners { ports, tasks }, wrong)
    }

    /// Waits until the sockets are closed, so that they can be bound again.
    pub(crate) async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

/// What a listener needs to answer.
struct Answers {
    context: Context,
    place: Place,
    turn: AtomicUsize,
}

impl Answers {
    /// The ready pod whose turn it is.
    fn pod(&self) -> Option<String> {
        let cache = &self.context.cache;
        let service = cache.services.get(&self.place)?;
        let mut pods = selected(cache, &self.place.0, selector(&service)?);
        pods.retain(|pod| is_ready(pod) && !is_ending(pod));
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let index = turn.checked_rem(pods.len())?;
        pods.get(index).map(|pod| pod.name_any())
    }

    fn answer(&self) -> Response<Full<Bytes>> {
        let (namespace, service) = &self.place;
        let cluster = &self.context.options.cluster;
        let mut line = json!({"cluster": cluster, "namespace": namespace, "service": service});
        let status = match self.pod() {
            Some(pod) => {
                line["pod"] = json!(pod);
                StatusCode::OK
            }
            None => {
                line["error"] = json!("no ready pod");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(format!("{line}\n"))));
        *response.status_mut() = status;
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

async fn accept(listener: TcpListener, answers: Arc<Answers>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, answers.clone()));
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

async fn serve(stream: TcpStream, answers: Arc<Answers>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |_: Request<Incoming>| {
        let response = answers.answer();
        async move { Ok::<_, Infallible>(response) }
    });
    // A connection that ends badly is the client's business.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
