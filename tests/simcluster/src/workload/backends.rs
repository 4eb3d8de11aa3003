//! Which pods stand behind a Service, told in EndpointSlices and in Endpoints.
//!
//! What must stay true: both are made from the Service, its pods and their nodes alone, so they cannot
//! contradict each other for longer than a write takes. A change of a pod wakes the Services that have
//! it or select it, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointPort;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::cache::Cache;
use super::context::Context;
use super::objects::{Place, place_of};
use super::pods::{is_ending, is_over, is_ready};
use super::{endpoints, slices};

/// On what is made for a Service without an address of its own.
pub(crate) const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// A pod behind a Service.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) address: String,
    pub(crate) ready: bool,
    pub(crate) serving: bool,
    pub(crate) terminating: bool,
    pub(crate) hostname: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) target: ObjectReference,
    /// The ports of the Service as they are on this pod.
    pub(crate) ports: Vec<EndpointPort>,
}

/// Runs until dropped.
pub(crate) async fn run(context: Context) {
    let mut changes = context.cache.changes().await;
    // By pod: the Services that had it when they were last looked at.
    let mut members: BTreeMap<Place, BTreeSet<Place>> = BTreeMap::new();
    loop {
        let changed = changes.next().await;
        let everything = || {
            let mut places = context.cache.services.places();
            places.extend(endpoints::leftovers(&context.cache));
            places
        };
        let mut places = changed.of::<Service>(everything);
        for pod in changed.of::<Pod>(BTreeSet::new) {
            if let Some(found) = context.cache.pods.get(&pod) {
                places.extend(selecting(&context.cache, &found));
            }
            places.extend(members.remove(&pod).into_iter().flatten());
        }
        for place in places {
            let service = context.cache.services.get(&place);
            let Some(service) = service.filter(|service| service.metadata.deletion_timestamp.is_none()) else {
                endpoints::remove(&context, &place).await;
                continue;
            };
            let Some(selector) = selector(&service) else {
                continue;
            };
            let pods = selected(&context.cache, &place.0, selector);
            for pod in &pods {
                members.entry(place_of(&**pod)).or_default().insert(place.clone());
            }
            let backends = backends(&context.cache, &service, &pods);
            slices::reconcile(&context, &service, &backends).await;
            endpoints::reconcile(&context, &service, &backends).await;
        }
    }
}

/// The selector of a Service whose backends are found here; others look after their own.
pub(crate) fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    let spec = service.spec.as_ref()?;
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
    (spec.type_.as_deref() != Some("ExternalName")).then_some(selector)
}

/// The labels of what is made for a Service: its own, and whether it has an address.
pub(crate) fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.labels().clone();
    labels.remove(HEADLESS_LABEL);
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    if address == Some("None") {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels
}

fn selects(selector: &BTreeMap<String, String>, pod: &Pod) -> bool {
    selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value))
}

fn selecting(cache: &Cache, pod: &Pod) -> Vec<Place> {
    let services = cache.services.in_namespace(&pod.namespace().unwrap_or_default());
    let found = services
        .iter()
        .filter(|service| selector(service).is_some_and(|selector| selects(selector, pod)));
    found.map(|service| place_of(&**service)).collect()
}

/// The pods of a namespace that have all these labels, by name.
pub(crate) fn selected(cache: &Cache, namespace: &str, selector: &BTreeMap<String, String>) -> Vec<Arc<Pod>> {
    let mut pods = cache.pods.in_namespace(namespace);
    pods.retain(|pod| selects(selector, pod));
    pods
}

fn backends(cache: &Cache, service: &Service, pods: &[Arc<Pod>]) -> Vec<Backend> {
    let all = pods.iter().filter_map(|pod| {
        let mut backend = backend(service, pod)?;
        let node = backend
            .node
            .clone()
            .and_then(|node| cache.nodes.get(&(String::new(), node)));
        backend.zone = node.and_then(|node| node.labels().get("topology.kubernetes.io/zone").cloned());
        Some(backend)
    });
    all.collect()
}

/// What a pod is to a Service; nothing before it has an address or when it is over.
fn backend(service: &Service, pod: &Pod) -> Option<Backend> {
    let address = pod.status.as_ref()?.pod_ip.clone().filter(|_| !is_over(pod))?;
    let (service_spec, spec) = (
        service.spec.clone().unwrap_or_default(),
        pod.spec.clone().unwrap_or_default(),
    );
    let (serving, terminating) = (is_ready(pod), is_ending(pod));
    let named = spec.subdomain.is_some() && spec.subdomain == service.metadata.name;
    let ports = service_spec.ports.iter().flatten();
    Some(Backend {
        address,
        ready: service_spec.publish_not_ready_addresses == Some(true) || (serving && !terminating),
        serving,
        terminating,
        hostname: spec.hostname.clone().filter(|_| named),
        zone: None,
        target: ObjectReference {
            kind: Some("Pod".to_owned()),
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        },
        ports: ports.filter_map(|port| port_on(port, pod)).collect(),
        node: spec.node_name,
    })
}

/// A port on a pod: a number as it is, a name as its containers say; none, if they do not know it.
fn port_on(port: &ServicePort, pod: &Pod) -> Option<EndpointPort> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let number = match &port.target_port {
        None | Some(IntOrString::Int(0)) => port.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(name)) => {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            let named = ports
                .find(|port| port.name.as_ref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol);
            named?.container_port
        }
    };
    Some(EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        protocol: Some(protocol.to_owned()),
        port: Some(number),
        app_protocol: port.app_protocol.clone(),
    })
}

/// The backends that have the same ports, by those ports.
pub(crate) fn by_ports(backends: &[Backend]) -> Vec<(Vec<EndpointPort>, Vec<&Backend>)> {
    let mut groups: BTreeMap<String, (Vec<EndpointPort>, Vec<&Backend>)> = BTreeMap::new();
    for backend in backends {
        let key = serde_json::json!(backend.ports).to_string();
        let group = groups.entry(key).or_insert_with(|| (backend.ports.clone(), Vec::new()));
        group.1.push(backend);
    }
    groups.into_values().collect()
}
