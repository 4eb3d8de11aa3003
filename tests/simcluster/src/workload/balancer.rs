//! Load balancers: an address or a host name per Service of type LoadBalancer, and who listens there.
//!
//! What must stay true: a Service keeps its address for its life, also over a stop and start of all
//! listeners. A Service with a `loadBalancerClass` belongs to somebody else and is never touched. What
//! goes wrong is reported once, as an Event on the Service, and tried again when the Service changes or
//! the balancers are started.
//!
//! Not simulated: the finalizer by which a cloud keeps a Service until its load balancer is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::context::Context;
use super::listeners::Listeners;
use super::objects::{Place, place_of};
use super::script::{BALANCER_FAILS_ANNOTATION, HOSTNAME_ANNOTATION, balancer_after};

/// The load balancer of one Service.
#[derive(Debug)]
struct Balancer {
    since: Instant,
    address: Option<Ipv4Addr>,
    listeners: Option<Listeners>,
    /// What is known to be wrong.
    reported: String,
}

struct Balancers {
    context: Context,
    recorder: Recorder,
    balancers: BTreeMap<Place, Balancer>,
}

/// Runs until dropped; listeners are open while `open` is true.
pub(crate) async fn run(context: Context, mut open: watch::Receiver<bool>) {
    let mut changes = context.cache.changes().await;
    let mut balancers = Balancers {
        recorder: Recorder::new(context.client.clone(), Reporter::from("service-controller")),
        context,
        balancers: BTreeMap::new(),
    };
    loop {
        let dirty = tokio::select! {
            changed = changes.next() => changed.of::<Service>(|| balancers.places()),
            changed = open.changed() => match changed {
                Ok(()) => {
                    balancers.balancers.values_mut().for_each(|balancer| balancer.reported.clear());
                    balancers.places()
                }
                Err(_) => return,
            },
        };
        let listening = *open.borrow();
        for place in dirty {
            balancers.look_at(&place, listening).await;
        }
    }
}

fn is_balanced(service: &Service) -> bool {
    service.metadata.deletion_timestamp.is_none()
        && service
            .spec
            .as_ref()
            .is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none())
}

/// The address a Service shows, by itself or in its host name.
fn shown(service: &Service) -> Option<Ipv4Addr> {
    let ingress = service
        .status
        .as_ref()?
        .load_balancer
        .as_ref()?
        .ingress
        .as_ref()?
        .first()?;
    match &ingress.ip {
        Some(address) => address.parse().ok(),
        None => {
            let label = ingress.hostname.as_ref()?.split('.').next()?;
            label.strip_prefix("lb-")?.replace('-', ".").parse().ok()
        }
    }
}

impl Balancers {
    fn places(&self) -> BTreeSet<Place> {
        let mut places = self.context.cache.services.places();
        places.extend(self.balancers.keys().cloned());
        places
    }

    async fn look_at(&mut self, place: &Place, listening: bool) {
        let service = self.context.cache.services.get(place);
        let Some(service) = service.as_ref().filter(|service| is_balanced(service)) else {
            self.remove(place, service.as_deref()).await;
            return;
        };
        let mut balancer = self.balancers.remove(place).unwrap_or_else(|| Balancer {
            since: Instant::now(),
            address: None,
            listeners: None,
            reported: String::new(),
        });
        self.serve(&mut balancer, place, service, listening).await;
        self.balancers.insert(place.clone(), balancer);
    }

    /// Takes down what a Service had, when it wants none any more.
    async fn remove(&mut self, place: &Place, service: Option<&Service>) {
        let balancer = self.balancers.remove(place);
        let had_one = balancer.as_ref().is_some_and(|balancer| balancer.address.is_some());
        if let Some(listeners) = balancer.and_then(|balancer| balancer.listeners) {
            listeners.close().await;
        }
        // One that was here before this started shows the address still.
        let Some(service) = service else { return };
        let other_type = service
            .spec
            .as_ref()
            .is_some_and(|spec| spec.type_.as_deref() != Some("LoadBalancer"));
        if had_one || (other_type && shown(service).is_some()) {
            self.show(service, Value::Null).await;
        }
    }

    async fn serve(&self, balancer: &mut Balancer, place: &Place, service: &Service, listening: bool) {
        if let Some(reason) = service.annotations().get(BALANCER_FAILS_ANNOTATION) {
            let wrong = format!("Error syncing load balancer: failed to ensure load balancer: {reason}");
            return self.report(balancer, service, "SyncLoadBalancerFailed", wrong).await;
        }
        let waits = balancer_after(service).saturating_sub(balancer.since.elapsed());
        if balancer.address.is_none() && shown(service).is_none() && !waits.is_zero() {
            return self.context.look_again(service, waits);
        }
        let Some(address) = balancer.address.or_else(|| self.free_address(place, service)) else {
            let wrong = "the load balancer network is used up".to_owned();
            return self.report(balancer, service, "SyncLoadBalancerFailed", wrong).await;
        };
        balancer.address = Some(address);
        self.show(service, self.ingress(service, address)).await;

        let spec = service.spec.as_ref();
        let ports = spec.into_iter().flat_map(|spec| spec.ports.iter().flatten());
        let served = ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
        let ports: BTreeSet<u16> = served.filter_map(|port| u16::try_from(port.port).ok()).collect();
        let ports = Some(ports).filter(|_| listening);
        if balancer.listeners.as_ref().map(|listeners| &listeners.ports) == ports.as_ref() {
            return;
        }
        if let Some(listeners) = balancer.listeners.take() {
            listeners.close().await;
        }
        if let Some(ports) = ports {
            let (listeners, wrong) = Listeners::open(&self.context, place, address, ports).await;
            balancer.listeners = Some(listeners);
            if !wrong.is_empty() {
                self.report(balancer, service, "ListenFailed", wrong.join("; ")).await;
            }
        }
    }

    /// The address a Service shows, or the lowest that is free.
    fn free_address(&self, place: &Place, service: &Service) -> Option<Ipv4Addr> {
        let [a, b, c, _] = self.context.options.load_balancer_network.octets();
        let taken = self.balancers.values().filter_map(|balancer| balancer.address);
        let mut taken: BTreeSet<Ipv4Addr> = taken.collect();
        let kept = shown(service).filter(|address| address.octets()[..3] == [a, b, c] && !taken.contains(address));
        if kept.is_some() {
            return kept;
        }
        // Those not looked at yet keep what they show.
        let others = self.context.cache.services.all();
        let others = others
            .iter()
            .filter(|other| place_of(&***other) != *place && is_balanced(other));
        taken.extend(others.filter_map(|other| shown(other)));
        (1..=254)
            .map(|host| Ipv4Addr::new(a, b, c, host))
            .find(|address| !taken.contains(address))
    }

    /// What the status says of the load balancer.
    fn ingress(&self, service: &Service, address: Ipv4Addr) -> Value {
        let asked = service.annotations().get(HOSTNAME_ANNOTATION).cloned();
        let own = || {
            let domain = self.context.options.load_balancer_domain.as_ref()?;
            let [a, b, c, d] = address.octets();
            Some(format!("lb-{a}-{b}-{c}-{d}.{domain}"))
        };
        match asked.or_else(own).filter(|hostname| !hostname.is_empty()) {
            Some(hostname) => json!([{"hostname": hostname}]),
            None => json!([{"ip": address.to_string(), "ipMode": "VIP"}]),
        }
    }

    /// Writes that into the status.
    async fn show(&self, service: &Service, ingress: Value) {
        let status = json!({"loadBalancer": {"ingress": ingress}});
        self.context.write_status(service, status).await;
    }

    async fn report(&self, balancer: &mut Balancer, service: &Service, reason: &str, wrong: String) {
        if balancer.reported == wrong {
            return;
        }
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(wrong.clone()),
            action: "EnsureLoadBalancer".to_owned(),
            secondary: None,
        };
        let published = self.recorder.publish(&event, &service.object_ref(&())).await;
        self.context.note("event", service, published);
        balancer.reported = wrong;
    }
}
