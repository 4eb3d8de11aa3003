//! Endpoints: the older way to tell which pods stand behind a Service.
//!
//! What must stay true: they have the name of their Service and go with it. They belong to no owner that
//! would take them along, so this does it, and leaves alone those made by somebody else for Services
//! without a selector.
//!
//! Not simulated: leaving out what is more than 1,000 addresses.

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service};
use kube::ResourceExt;
use serde_json::json;

use super::backends::{Backend, by_ports, labels};
use super::cache::Cache;
use super::context::Context;
use super::objects::{Place, place_of};
use super::status::says_the_same;

const MANAGED_BY_LABEL: &str = "endpoints.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpoint-controller";

fn is_ours(endpoints: &Endpoints) -> bool {
    endpoints
        .labels()
        .get(MANAGED_BY_LABEL)
        .is_some_and(|manager| manager == CONTROLLER)
}

/// Where there are Endpoints without a Service.
pub(crate) fn leftovers(cache: &Cache) -> Vec<Place> {
    let all = cache.endpoints.all();
    let left = all.iter().map(|endpoints| place_of(&**endpoints));
    left.filter(|place| cache.services.get(place).is_none()).collect()
}

/// Deletes what was made for a Service that is gone.
pub(crate) async fn remove(context: &Context, place: &Place) {
    if let Some(endpoints) = context
        .cache
        .endpoints
        .get(place)
        .filter(|endpoints| is_ours(endpoints))
    {
        context.delete(&context.cache.endpoints, &*endpoints).await;
    }
}

pub(crate) async fn reconcile(context: &Context, service: &Service, backends: &[Backend]) {
    let wanted = desired(service, backends);
    let Some(live) = context.cache.endpoints.get(&place_of(service)) else {
        return context.create(&wanted).await;
    };
    let same = live.labels() == wanted.labels() && says_the_same(&json!(wanted.subsets), &json!(live.subsets));
    if !same {
        let mut replacement = Endpoints::clone(&live);
        replacement.metadata.labels = wanted.metadata.labels;
        replacement.subsets = wanted.subsets;
        context.replace(&replacement).await;
    }
}

fn desired(service: &Service, backends: &[Backend]) -> Endpoints {
    let mut endpoints = Endpoints::default();
    endpoints.metadata.name = service.metadata.name.clone();
    endpoints.metadata.namespace = service.metadata.namespace.clone();
    let mut labels = labels(service);
    labels.insert(MANAGED_BY_LABEL.to_owned(), CONTROLLER.to_owned());
    endpoints.metadata.labels = Some(labels);
    let subsets = by_ports(backends).into_iter().map(|(ports, backends)| {
        let addresses = |ready: bool| {
            let found = backends
                .iter()
                .filter(|backend| backend.ready == ready && (ready || !backend.terminating));
            let addresses: Vec<EndpointAddress> = found.map(|backend| address(backend)).collect();
            Some(addresses).filter(|addresses| !addresses.is_empty())
        };
        let ports = ports.into_iter().map(|port| EndpointPort {
            name: port.name.filter(|name| !name.is_empty()),
            protocol: port.protocol,
            port: port.port.unwrap_or_default(),
            app_protocol: port.app_protocol,
        });
        EndpointSubset {
            addresses: addresses(true),
            not_ready_addresses: addresses(false),
            ports: Some(ports.collect()),
        }
    });
    let told = subsets.filter(|subset| subset.addresses.is_some() || subset.not_ready_addresses.is_some());
    endpoints.subsets = Some(told.collect::<Vec<EndpointSubset>>()).filter(|subsets| !subsets.is_empty());
    endpoints
}

fn address(backend: &Backend) -> EndpointAddress {
    EndpointAddress {
        hostname: backend.hostname.clone(),
        ip: backend.address.clone(),
        node_name: backend.node.clone(),
        target_ref: Some(backend.target.clone()),
    }
}
