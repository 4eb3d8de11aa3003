//! EndpointSlices: the backends of a Service in pieces of at most 100.
//!
//! What must stay true: a backend is in exactly one slice and stays in it, so that one that comes or
//! goes changes one slice, whatever the size of the Service. Backends whose ports differ are in
//! different slices. A Service always has a slice, also when it has no backends. The names of new slices
//! are computed from the Service's uid, so making one twice is a conflict.
//!
//! Refused: packing half-empty slices together; that costs writes, and readers must join slices anyway.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kube::ResourceExt;

use super::backends::{Backend, by_ports, labels};
use super::context::{Context, controlled_by};
use super::pods::pod_name as computed_name;

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// The most backends of a slice.
const MOST: usize = 100;

/// What a slice is to contain.
#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
}

pub(crate) async fn reconcile(context: &Context, service: &Service, backends: &[Backend]) {
    let mut live = context.cache.slices.owned_by(service);
    live.retain(|slice| {
        slice
            .labels()
            .get(MANAGED_BY_LABEL)
            .is_some_and(|manager| manager == CONTROLLER)
    });
    let contents: Vec<Content> = live.iter().map(|slice| content(slice)).collect();
    let (kept, new) = share_out(&contents, backends);
    for (slice, kept) in live.iter().zip(kept) {
        match kept {
            None => context.delete(&context.cache.slices, &**slice).await,
            Some(kept) => {
                let wanted = filled(service, EndpointSlice::clone(slice), kept);
                if wanted != **slice {
                    context.replace(&wanted).await;
                }
            }
        }
    }
    let names = (0..).map(|number: usize| computed_name(service, &number));
    let free = names.filter(|name| live.iter().all(|slice| slice.name_any() != *name));
    for (name, content) in free.zip(new) {
        let mut slice = EndpointSlice {
            address_type: "IPv4".to_owned(),
            ..EndpointSlice::default()
        };
        slice.metadata.name = Some(name);
        slice.metadata.generate_name = Some(format!("{}-", service.name_any()));
        slice.metadata.namespace = service.namespace();
        context.create(&filled(service, slice, content)).await;
    }
}

fn content(slice: &EndpointSlice) -> Content {
    Content {
        ports: slice.ports.clone().unwrap_or_default(),
        endpoints: slice.endpoints.clone(),
    }
}

fn filled(service: &Service, mut slice: EndpointSlice, content: Content) -> EndpointSlice {
    let mut labels: BTreeMap<String, String> = labels(service);
    labels.insert(SERVICE_LABEL.to_owned(), service.name_any());
    labels.insert(MANAGED_BY_LABEL.to_owned(), CONTROLLER.to_owned());
    slice.metadata.labels = Some(labels);
    slice.metadata.owner_references = controlled_by(service);
    if content.ports != slice.ports.clone().unwrap_or_default() {
        slice.ports = Some(content.ports);
    }
    slice.endpoints = content.endpoints;
    slice
}

/// What the slices that are there keep (`None`: they go), and what new ones are to contain.
fn share_out(live: &[Content], backends: &[Backend]) -> (Vec<Option<Content>>, Vec<Content>) {
    let mut kept: Vec<Option<Content>> = vec![None; live.len()];
    let mut new = Vec::new();
    for (ports, backends) in by_ports(backends) {
        let mut open: BTreeMap<&str, &Backend> = backends.iter().map(|backend| (backend.uid(), *backend)).collect();
        let mine: Vec<usize> = (0..live.len()).filter(|index| live[*index].ports == ports).collect();
        for index in &mine {
            let stay = live[*index]
                .endpoints
                .iter()
                .filter_map(|endpoint| open.remove(uid(endpoint)));
            let endpoints: Vec<Endpoint> = stay.map(endpoint).collect();
            kept[*index] = Some(Content {
                ports: ports.clone(),
                endpoints,
            });
        }
        // In the order of the backends, so that a new Service has them by name.
        let mut rest = backends
            .iter()
            .filter(|backend| open.contains_key(backend.uid()))
            .map(|backend| endpoint(backend));
        for index in &mine {
            if let Some(content) = &mut kept[*index] {
                content
                    .endpoints
                    .extend(rest.by_ref().take(MOST.saturating_sub(content.endpoints.len())));
            }
        }
        let rest: Vec<Endpoint> = rest.collect();
        new.extend(rest.chunks(MOST).map(|endpoints| Content {
            ports: ports.clone(),
            endpoints: endpoints.to_vec(),
        }));
        for index in mine {
            kept[index] = kept[index].take().filter(|content| !content.endpoints.is_empty());
        }
    }
    if new.is_empty() && kept.iter().all(Option::is_none) {
        new.push(Content::default());
    }
    // A slice that would go is used again for a new one.
    let mut new = new.into_iter();
    for slot in kept.iter_mut().filter(|slot| slot.is_none()) {
        *slot = new.next();
    }
    (kept, new.collect())
}

impl Backend {
    fn uid(&self) -> &str {
        self.target.uid.as_deref().unwrap_or_default()
    }
}

fn uid(endpoint: &Endpoint) -> &str {
    let target = endpoint.target_ref.as_ref();
    target.and_then(|target| target.uid.as_deref()).unwrap_or_default()
}

fn endpoint(backend: &Backend) -> Endpoint {
    Endpoint {
        addresses: vec![backend.address.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(backend.ready),
            serving: Some(backend.serving),
            terminating: Some(backend.terminating),
        }),
        hostname: backend.hostname.clone(),
        target_ref: Some(backend.target.clone()),
        zone: backend.zone.clone(),
        node_name: backend.node.clone(),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Backends with these numbers, on a port.
    fn backends(numbers: std::ops::Range<usize>, port: i32) -> Vec<Backend> {
        let backend = |number: usize| Backend {
            address: format!("10.0.{}.{}", number / 250, number % 250),
            ready: true,
            serving: true,
            terminating: false,
            hostname: None,
            node: None,
            zone: None,
            target: serde_json::from_value(json!({"uid": format!("{number:04}")})).unwrap(),
            ports: vec![EndpointPort {
                port: Some(port),
                ..EndpointPort::default()
            }],
        };
        numbers.map(backend).collect()
    }

    /// Shares out and returns the sizes kept and those new; `None` is a slice that goes.
    fn check(live: &[Content], backends: &[Backend], kept: &[Option<usize>], new: &[usize]) -> Vec<Content> {
        let (found, fresh) = share_out(live, backends);
        let size = |content: &Content| content.endpoints.len();
        assert_eq!(
            found
                .iter()
                .map(|content| content.as_ref().map(size))
                .collect::<Vec<_>>(),
            kept
        );
        assert_eq!(fresh.iter().map(size).collect::<Vec<_>>(), new);
        found.into_iter().flatten().chain(fresh).collect()
    }

    #[test]
    fn backends_stay_where_they_are() {
        let nothing = check(&[], &[], &[], &[0]);
        let live = check(&nothing, &backends(0..250, 80), &[Some(100)], &[100, 50]);
        let live = check(&live, &backends(1..250, 80), &[Some(99), Some(100), Some(50)], &[]);
        let first: Vec<&str> = live[1].endpoints.iter().map(uid).collect();
        assert_eq!((first[0], first[99]), ("0100", "0199"), "the second slice is as it was");
        let live = check(&live, &backends(1..252, 80), &[Some(100), Some(100), Some(51)], &[]);
        let live = check(&live, &backends(1..10, 80), &[Some(9), None, None], &[]);
        let live = check(&live, &[], &[Some(0)], &[]);
        assert_eq!(live, [Content::default()]);
    }

    #[test]
    fn backends_with_other_ports_are_in_other_slices() {
        let mixed = [backends(0..2, 80), backends(2..5, 81)].concat();
        let live = check(&[], &mixed, &[], &[2, 3]);
        let live = check(&live, &backends(0..5, 82), &[Some(5), None], &[]);
        assert_eq!(live[0].ports[0].port, Some(82));
    }
}
