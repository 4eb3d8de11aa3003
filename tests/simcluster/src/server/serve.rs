//! Connections and the dispatch of requests.
//!
//! What must stay true: every answer that is no success is a `Status`; the store's lock is held only
//! inside one synchronous step of one request; all tasks of a server live in one set and end with it.
//!
//! Refused: a web framework; there are a dozen routes, and their rules (verbs in the query, forms in
//! `Accept`) are Kubernetes' own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::access::accounts::Material;
use super::access::attributes::Attributes;
use super::access::authentication::{self, Credentials, Peer};
use super::access::reviews;
use super::access::user::User;
use super::patience::{self, Patient};
use super::request::{self, Language, Output, Query, Route};
use super::resource::{self, Answer, Call};
use super::selectors::is_well_escaped;
use super::status::{Failure, Outcome};
use super::store::{State, Store};
use super::tls::{self, Authority};
use super::{discovery, follow, health, openapi};

/// Larger bodies are refused, as by a real server.
const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// What every request needs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) store: Arc<Store>,
    pub(crate) credentials: Credentials,
    pub(crate) address: String,
    /// Who signs for this server; without one it serves plain HTTP.
    pub(crate) authority: Option<Authority>,
}

impl Server {
    /// What workloads are given to find and trust this server.
    pub(crate) fn material(&self) -> Material<'_> {
        Material {
            tokens: &self.credentials.tokens,
            certificate: self.authority.as_ref().map(Authority::certificate),
        }
    }
}

type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Serves until `stop` is set or its sender is gone; then every connection is dropped.
pub(crate) async fn serve(listener: TcpListener, server: Arc<Server>, mut stop: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(follow::follow(server.clone()));
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(connection(stream, server.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(stream: TcpStream, server: Arc<Server>) {
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, patience::LIMIT);
    let Some(authority) = &server.authority else {
        return converse(stream, Peer::default(), server).await;
    };
    // A client that is slow to greet is the same as one that is slow to read.
    let greeted = tokio::time::timeout(patience::LIMIT, authority.acceptor().accept(stream));
    let Ok(Ok(stream)) = greeted.await else {
        return;
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = Peer {
        encrypted: true,
        certified: shown.and_then(|certificate| tls::user_of(certificate)),
    };
    converse(stream, peer, server).await;
}

async fn converse<S>(stream: S, peer: Peer, server: Arc<Server>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let (server, peer) = (server.clone(), peer.clone());
        async move { Ok::<_, Infallible>(answer(&server, &peer, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1_000);
    // A connection that ends badly is the client's business.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer<B>(server: &Arc<Server>, peer: &Peer, request: Request<B>) -> Reply
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let language = request::language(request.headers());
    let streams = request.version() == Version::HTTP_2;
    match dispatch(server, peer, request).await {
        Ok(reply) => reply,
        Err(failure) => {
            let mut reply = failed(&failure, language);
            // What is left of the body is not read, so nothing else can come over this connection: a client must
            // know before it sends.
            if reply.status() == StatusCode::PAYLOAD_TOO_LARGE && !streams {
                let headers = reply.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            reply
        }
    }
}

fn failed(failure: &Failure, language: Language) -> Reply {
    let code = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = document(code, &failure.to_json(), language);
    if let Some(seconds) = failure.retry_after() {
        reply
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

fn reply(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()).boxed_unsync());
    *reply.status_mut() = code;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    reply
}

/// A document in the language asked for.
fn document(code: StatusCode, document: &Value, language: Language) -> Reply {
    match language {
        Language::Json => reply(code, "application/json", document.to_string()),
        // Writing a `Value` into memory cannot fail.
        Language::Yaml => reply(
            code,
            "application/yaml",
            serde_saphyr::to_string(document).unwrap_or_default(),
        ),
    }
}

/// The same of what is JSON already.
fn encoded(code: StatusCode, json: Vec<u8>, language: Language) -> Reply {
    match language {
        Language::Json => reply(code, "application/json", json),
        Language::Yaml => document(code, &serde_json::from_slice(&json).unwrap_or_default(), language),
    }
}

/// Who sends a request and what it is for, once that is allowed.
struct Admitted {
    user: User,
    route: Route,
    query: Query,
}

/// Finds out who sends a request, and refuses what they may not do.
fn admit(server: &Server, peer: &Peer, head: &Parts) -> Outcome<Admitted> {
    let (store, headers) = (&server.store, &head.headers);
    let (mut user, path) =
        server
            .credentials
            .authenticate(store, peer, headers, head.uri.path(), store.read(State::now))?;
    if !is_well_escaped(path) {
        return Err(Failure::bad_request(format!("invalid URL escape in {path:?}")));
    }
    let policy = || store.read(State::policy);
    if authentication::impersonates(headers) {
        user = authentication::impersonate(&policy(), &user, headers)?;
    }
    let route = request::route(path);
    let query = Query::parse(head.uri.query().unwrap_or_default());
    if !user.is_master() {
        let attributes = Attributes::of(&head.method, path, route.as_ref(), &query);
        policy().demand(&user, &attributes)?;
    }
    Ok(Admitted {
        user,
        route: route.ok_or_else(Failure::no_such_path)?,
        query,
    })
}

async fn dispatch<B>(server: &Arc<Server>, peer: &Peer, request: Request<B>) -> Outcome<Reply>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let admitted = admit(server, peer, &head)?;
    if let Route::Resource(path) = admitted.route {
        let output = request::output(&head.headers, &admitted.query)?;
        let call = Call {
            path,
            method: head.method,
            content_type: request::content_type(&head.headers),
            manager: match admitted.query.text("fieldManager") {
                "" => request::default_manager(&head.headers),
                manager => manager.to_owned(),
            },
            query: admitted.query,
            output,
            language: request::language(&head.headers),
            body: read(body).await?,
            user: Arc::new(admitted.user),
        };
        return on_resource(server, &call);
    }
    if head.method != Method::GET && head.method != Method::HEAD {
        return Err(Failure::method_not_allowed());
    }
    if let Route::Health(probe, check) = &admitted.route {
        let told = health::answer(probe, check, &admitted.query).ok_or_else(Failure::no_such_path)?;
        return Ok(reply(StatusCode::OK, "text/plain; charset=utf-8", told));
    }
    described(server, &admitted.route, &head.headers)
}

/// What the server says of itself.
fn described(server: &Server, route: &Route, headers: &http::HeaderMap) -> Outcome<Reply> {
    const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let aggregated = request::wants_aggregated_discovery(headers);
    let found = server.store.read(|state| {
        let registry = &state.registry;
        Some(match route {
            Route::CoreVersions | Route::Groups if aggregated => {
                discovery::aggregated(registry, *route == Route::CoreVersions)
            }
            Route::CoreVersions => discovery::core_versions(&server.address),
            Route::Groups => discovery::group_list(registry),
            Route::Group(group) => discovery::group(registry, group)?,
            Route::Resources(group, version) => discovery::resources(registry, group, version)?,
            Route::OpenApiIndex => openapi::index(registry),
            Route::OpenApi(group, version) => openapi::document(registry, group, version)?,
            Route::OpenApiV2 => openapi::v2_json(),
            Route::Version => discovery::version(),
            Route::Health(..) | Route::Resource(_) => Value::Null,
        })
    });
    let found = found.ok_or_else(Failure::no_such_path)?;
    Ok(match route {
        Route::CoreVersions | Route::Groups if aggregated => reply(StatusCode::OK, AGGREGATED, found.to_string()),
        Route::OpenApiV2 if !accepts_json(headers) => {
            let content_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
            reply(StatusCode::OK, content_type, openapi::v2_protobuf())
        }
        _ => document(StatusCode::OK, &found, request::language(headers)),
    })
}

fn accepts_json(headers: &http::HeaderMap) -> bool {
    let kinds = request::accepted(headers);
    kinds
        .iter()
        .any(|(kind, _)| matches!(kind.as_str(), "application/json" | "*/*" | "application/*"))
}

fn on_resource(server: &Server, call: &Call) -> Outcome<Reply> {
    let now = server.store.read(State::now);
    if let Some(answer) = reviews::answer(&server.store, &server.credentials, call, now) {
        return Ok(document(StatusCode::CREATED, &answer?, call.language));
    }
    Ok(match resource::handle(&server.store, call)? {
        Answer::Object { code, body, warnings } => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
            let mut reply = encoded(code, body, call.language);
            for warning in warnings {
                // What no header can carry is not worth failing a write for.
                if let Ok(header) = HeaderValue::from_str(&format!("299 - {warning:?}")) {
                    reply.headers_mut().append(header::WARNING, header);
                }
            }
            reply
        }
        Answer::Watch(_) if call.language == Language::Yaml => {
            return Err(Failure::not_acceptable("application/json;stream=watch"));
        }
        Answer::Watch(watcher) => {
            let chunks = watcher.into_stream();
            let frames = chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
            let mut reply = Response::new(StreamBody::new(frames).boxed_unsync());
            let kind = match call.output {
                Output::Table(_) => "application/json;as=Table;g=meta.k8s.io;v=v1",
                _ => "application/json",
            };
            let headers = reply.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
            reply
        }
    })
}

async fn read<B>(body: B) -> Outcome<Bytes>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::too_large(LARGEST_BODY)),
        Err(error) => Err(Failure::bad_request(format!("reading the body failed: {error}"))),
    }
}
