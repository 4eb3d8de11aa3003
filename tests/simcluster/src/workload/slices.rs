//! EndpointSlices: which pods stand behind a Service.
//!
//! What must stay true: a Service with a selector has one slice, made from the Service, its pods and
//! their nodes alone, and written only when it differs. Its name is computed from the Service's uid,
//! so making it twice is a conflict and not a second slice.
//!
//! Refused: several slices of 100 endpoints each. Readers that cannot join slices are not worth
//! simulating a cluster of that size for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::PostParams;
use kube::{Api, Client, Resource, ResourceExt};

use super::cache::{Cache, Change, Place, is_ready, place_of};
use super::{MANAGER, short_hash};

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// Runs until dropped.
pub(crate) async fn run(client: Client, cache: Arc<Cache>) {
    let mut changes = cache.changes();
    loop {
        let mut dirty: BTreeSet<Place> = BTreeSet::new();
        let services = |namespace: Option<&str>| -> Vec<Place> {
            let services = cache.services.state();
            let places = services.iter().map(|service| place_of(&**service));
            places
                .filter(|place| namespace.is_none_or(|wanted| wanted == place.0))
                .collect()
        };
        for change in changes.next().await {
            match change {
                Change::Service(place) | Change::Slice(place) => {
                    dirty.insert(place);
                }
                // Which Services lose the pod cannot be told from the pod as it is now.
                Change::Pod((namespace, _), _) => dirty.extend(services(Some(&namespace))),
                Change::Everything => dirty.extend(services(None)),
                Change::Deployment(_) => {}
            }
        }
        for place in dirty {
            let service = cache.service(&place);
            if let Some(service) = service.filter(|service| service.metadata.deletion_timestamp.is_none()) {
                let result = reconcile(&client, &cache, &service).await;
                cache.note("endpoint slice", &place.0, &place.1, result);
            }
        }
    }
}

async fn reconcile(client: &Client, cache: &Cache, service: &Service) -> Result<(), kube::Error> {
    let namespace = service.namespace().unwrap_or_default();
    let spec = service.spec.clone().unwrap_or_default();
    let selector = spec.selector.clone().unwrap_or_default();
    if selector.is_empty() || spec.type_.as_deref() == Some("ExternalName") {
        return Ok(());
    }
    let pods = cache.selected(&namespace, &selector);
    let wanted = desired(cache, service, &pods);
    let name = wanted.name_any();
    let live = cache
        .slices
        .state()
        .into_iter()
        .find(|slice| slice.metadata.namespace == wanted.metadata.namespace && slice.name_any() == name);
    let api = Api::<EndpointSlice>::namespaced(client.clone(), &namespace);
    let parameters = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    let Some(live) = live else {
        return api.create(&parameters, &wanted).await.map(drop);
    };
    let same = live.endpoints == wanted.endpoints
        && live.ports == wanted.ports
        && live.metadata.labels == wanted.metadata.labels
        && live.metadata.owner_references == wanted.metadata.owner_references;
    if same {
        return Ok(());
    }
    let mut replacement = EndpointSlice::clone(&live);
    replacement.endpoints = wanted.endpoints;
    replacement.ports = wanted.ports;
    replacement.metadata.labels = wanted.metadata.labels;
    replacement.metadata.owner_references = wanted.metadata.owner_references;
    api.replace(&name, &parameters, &replacement).await.map(drop)
}

fn desired(cache: &Cache, service: &Service, pods: &[Arc<Pod>]) -> EndpointSlice {
    let spec = service.spec.clone().unwrap_or_default();
    let mut labels: BTreeMap<String, String> = service.labels().clone();
    labels.insert(SERVICE_LABEL.to_owned(), service.name_any());
    labels.insert(MANAGED_BY_LABEL.to_owned(), CONTROLLER.to_owned());
    if spec.cluster_ip.as_deref() == Some("None") {
        labels.insert("service.kubernetes.io/headless".to_owned(), String::new());
    }
    let suffix = short_hash(&service.uid().unwrap_or_default(), 5);
    let mut slice = EndpointSlice {
        address_type: "IPv4".to_owned(),
        ..EndpointSlice::default()
    };
    slice.metadata.name = Some(format!("{}-{suffix}", service.name_any()));
    slice.metadata.namespace = service.namespace();
    slice.metadata.labels = Some(labels);
    slice.metadata.owner_references = service.controller_owner_ref(&()).map(|owner| vec![owner]);
    let any_ready = spec.publish_not_ready_addresses.unwrap_or_default();
    let endpoints = pods.iter().filter_map(|pod| endpoint(cache, pod, any_ready));
    slice.endpoints = endpoints.collect();
    let ports = spec.ports.unwrap_or_default();
    let ports: Vec<EndpointPort> = ports.iter().map(|port| endpoint_port(port, pods)).collect();
    slice.ports = Some(ports);
    slice
}

fn endpoint(cache: &Cache, pod: &Pod, publish_not_ready: bool) -> Option<Endpoint> {
    let address = pod.status.as_ref()?.pod_ip.clone()?;
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let serving = is_ready(pod);
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    Some(Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(publish_not_ready || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        zone: node.as_deref().and_then(|node| cache.zone(node)),
        node_name: node,
        ..Endpoint::default()
    })
}

/// The port on the pods: a number as it is, a name as the first pod that has it says.
fn endpoint_port(port: &ServicePort, pods: &[Arc<Pod>]) -> EndpointPort {
    let number = match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => pods
            .iter()
            .flat_map(|pod| pod.spec.iter().flat_map(|spec| &spec.containers))
            .flat_map(|container| container.ports.iter().flatten())
            .find(|port| port.name.as_deref() == Some(name))
            .map(|port| port.container_port),
    };
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        port: number,
        app_protocol: port.app_protocol.clone(),
    }
}
