//! Load balancers: an address per Service of type LoadBalancer, and an HTTP server on each port.
//!
//! What must stay true: a Service keeps its address for its life, also over a stop and start of all
//! listeners; which pod answers is decided per request from the cache, so a pod that lost its
//! readiness gets no request after the cache knows. A port that cannot be bound is reported once, as
//! an Event on the Service, and tried again when the Service changes or the balancers are started.
//!
//! Refused: forwarding to the pods. They have no process; the answer says which one would have got it.

use std::collections::{BTreeMap, BTreeSet};
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
use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::cache::{Cache, Change, Place, is_ready, place_of};
use super::{MANAGER, WorkloadOptions};

/// The listeners of one Service.
#[derive(Debug)]
struct Open {
    ports: BTreeSet<u16>,
    tasks: JoinSet<()>,
}

struct Balancers {
    client: Client,
    recorder: Recorder,
    cache: Arc<Cache>,
    options: WorkloadOptions,
    addresses: BTreeMap<Place, Ipv4Addr>,
    open: BTreeMap<Place, Open>,
}

/// Runs until dropped; listeners are open while `open` is true.
pub(crate) async fn run(client: Client, cache: Arc<Cache>, options: WorkloadOptions, mut open: watch::Receiver<bool>) {
    let mut changes = cache.changes();
    let mut balancers = Balancers {
        recorder: Recorder::new(client.clone(), Reporter::from("simcluster-load-balancer")),
        client,
        cache,
        options,
        addresses: BTreeMap::new(),
        open: BTreeMap::new(),
    };
    loop {
        let mut dirty: BTreeSet<Place> = BTreeSet::new();
        tokio::select! {
            changed = changes.next() => for change in changed {
                match change {
                    Change::Service(place) => {
                        dirty.insert(place);
                    }
                    Change::Everything => dirty.extend(balancers.every_place()),
                    Change::Deployment(_) | Change::Pod(..) | Change::Slice(_) => {}
                }
            },
            changed = open.changed() => match changed {
                Ok(()) => dirty.extend(balancers.every_place()),
                Err(_) => return,
            },
        }
        let listening = *open.borrow();
        for place in dirty {
            balancers.look_at(&place, listening).await;
        }
    }
}

fn is_balanced(service: &Service) -> bool {
    let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
    kind == Some("LoadBalancer") && service.metadata.deletion_timestamp.is_none()
}

/// The address a Service shows.
fn shown(service: &Service) -> Option<Ipv4Addr> {
    let ingress = service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?;
    ingress.first()?.ip.as_ref()?.parse().ok()
}

impl Balancers {
    fn every_place(&self) -> BTreeSet<Place> {
        let known = self.open.keys().chain(self.addresses.keys()).cloned();
        let services = self.cache.services.state();
        known
            .chain(services.iter().map(|service| place_of(&**service)))
            .collect()
    }

    async fn look_at(&mut self, place: &Place, listening: bool) {
        let service = self.cache.service(place);
        let balanced = service.as_ref().filter(|service| is_balanced(service));
        let Some(service) = balanced else {
            self.close(place).await;
            if self.addresses.remove(place).is_some()
                && let Some(service) = service
            {
                self.show(&service, None).await;
            }
            return;
        };
        let Some(address) = self.address(place, service) else {
            self.report(service, "NoAddress", "the load balancer network is used up")
                .await;
            return;
        };
        if shown(service) != Some(address) {
            self.show(service, Some(address)).await;
        }
        if !listening {
            self.close(place).await;
            return;
        }
        let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        let ports: BTreeSet<u16> = ports.filter_map(|port| u16::try_from(port.port).ok()).collect();
        if self.open.get(place).is_some_and(|open| open.ports == ports) {
            return;
        }
        self.close(place).await;
        self.open(place, service, address, &ports).await;
    }

    /// The address of a Service: the one it has, the one it shows, or the lowest free one.
    fn address(&mut self, place: &Place, service: &Service) -> Option<Ipv4Addr> {
        if let Some(address) = self.addresses.get(place) {
            return Some(*address);
        }
        let [a, b, c, _] = self.options.load_balancer_network.octets();
        let taken: BTreeSet<Ipv4Addr> = self.addresses.values().copied().collect();
        let others = self.cache.services.state();
        let others: BTreeSet<Ipv4Addr> = others
            .iter()
            .filter(|other| place_of(&***other) != *place && is_balanced(other))
            .filter_map(|other| shown(other))
            .collect();
        let ours = |address: &Ipv4Addr| address.octets()[..3] == [a, b, c] && !taken.contains(address);
        let free = || {
            let all = (1..=254).map(|host| Ipv4Addr::new(a, b, c, host));
            all.into_iter()
                .find(|address| !taken.contains(address) && !others.contains(address))
        };
        let address = shown(service).filter(ours).or_else(free)?;
        self.addresses.insert(place.clone(), address);
        Some(address)
    }

    /// Writes the address into the status, or takes it out.
    async fn show(&self, service: &Service, address: Option<Ipv4Addr>) {
        let (namespace, name) = place_of(service);
        let ingress = address.map(|address| json!([{"ip": address.to_string(), "ipMode": "VIP"}]));
        let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": ingress}}}));
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = Api::<Service>::namespaced(self.client.clone(), &namespace);
        let patched = api.patch_status(&name, &parameters, &patch).await;
        self.cache
            .note("load balancer status", &namespace, &name, patched.map(drop));
    }

    async fn close(&mut self, place: &Place) {
        if let Some(mut open) = self.open.remove(place) {
            // Waits until the sockets are closed, so that they can be bound again.
            open.tasks.shutdown().await;
        }
    }

    async fn open(&mut self, place: &Place, service: &Service, address: Ipv4Addr, ports: &BTreeSet<u16>) {
        let mut open = Open {
            ports: ports.clone(),
            tasks: JoinSet::new(),
        };
        let answers = Arc::new(Answers {
            cluster: self.options.cluster.clone(),
            cache: self.cache.clone(),
            place: place.clone(),
            turn: AtomicUsize::new(0),
        });
        for port in ports {
            match TcpListener::bind((IpAddr::V4(address), *port)).await {
                Ok(listener) => {
                    open.tasks.spawn(accept(listener, answers.clone()));
                }
                Err(error) => {
                    tracing::warn!(%address, port, %error, "load balancer cannot listen");
                    let message = format!("cannot listen on {address}:{port}: {error}");
                    self.report(service, "ListenFailed", &message).await;
                }
            }
        }
        self.open.insert(place.clone(), open);
    }

    async fn report(&self, service: &Service, reason: &str, message: &str) {
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(message.to_owned()),
            action: "Listen".to_owned(),
            secondary: None,
        };
        let (namespace, name) = place_of(service);
        let published = self.recorder.publish(&event, &service.object_ref(&())).await;
        self.cache.note("event", &namespace, &name, published);
    }
}

/// What a listener needs to answer.
#[derive(Debug)]
struct Answers {
    cluster: String,
    cache: Arc<Cache>,
    place: Place,
    turn: AtomicUsize,
}

impl Answers {
    /// The ready pod whose turn it is.
    fn pod(&self) -> Option<String> {
        let service = self.cache.service(&self.place)?;
        let selector = service
            .spec
            .as_ref()?
            .selector
            .clone()
            .filter(|selector| !selector.is_empty())?;
        let mut pods = self.cache.selected(&self.place.0, &selector);
        pods.retain(|pod| is_ready(pod) && pod.metadata.deletion_timestamp.is_none());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let index = turn.checked_rem(pods.len())?;
        pods.get(index).map(|pod| pod.name_any())
    }

    fn answer(&self) -> Response<Full<Bytes>> {
        let (namespace, service) = &self.place;
        let mut line = json!({"cluster": self.cluster, "namespace": namespace, "service": service});
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
