//! The cost of one endpoint event, from the EndpointSlice to the snapshot that the server answers from.
//!
//! It must not depend on how many other services there are: a failover of one service is as fast with
//! 10,000 of them as with 10. Each run flips the readiness of the same slice, so that every event changes
//! names at all levels: the site's own, zone, region, global, and their SRV names.

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::{DynamicObject, PartialObjectMeta};
use meridian_controller_index::{Dirty, DiscoveryEvent, Event, Index};
use meridian_dns_core::{NameDelta, Snapshot};
use meridian_federation_core::{ClusterName, HealthSettings, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const CLUSTERS: [(&str, &str); 3] = [("us-west", "us"), ("ap-northeast", "ap"), ("os-taipei", "os")];
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// The allocator of the `meridian` binary: see there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("fits its type")
}

fn service(number: usize) -> Service {
    let address = format!("198.{}.{}.{}", 18 + number / 65536, number / 256 % 256, number % 256);
    typed(json!({
        "metadata": {"namespace": "shop", "name": format!("service-{number}"), "resourceVersion": "1"},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]},
        "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
    }))
}

fn slice(number: usize, ready: bool) -> EndpointSlice {
    let name = format!("service-{number}");
    typed(json!({
        "metadata": {"namespace": "shop", "name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}, {"addresses": ["10.0.0.2"], "conditions": {"ready": ready}}],
    }))
}

fn node(region: &str, number: usize) -> PartialObjectMeta<Node> {
    let zone = format!("{region}-{}", ["a", "b", "c"][number % 3]);
    let labels = json!({"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone});
    typed(json!({"metadata": {"name": format!("node-{number}"), "labels": labels}}))
}

/// The index and what is served, with this many services in each of three clusters with three zones.
struct Fleet {
    index: Index,
    snapshot: Snapshot,
}

impl Fleet {
    fn new(services: usize) -> Self {
        let mut index = Index::new("bench", HealthSettings::default());
        let mut dirty = Dirty::default();
        let cluster = |name: &str| -> DynamicObject {
            typed(json!({
                "apiVersion": "meridian.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": name},
                "spec": {"kubeconfigSecretRef": {"namespace": "meridian", "name": name}, "uid": name},
            }))
        };
        dirty.merge(index.clusters(
            Event::Reset(CLUSTERS.iter().map(|(name, _)| cluster(name)).collect()),
            NOW,
        ));
        dirty.merge(index.routes(Event::Reset(Vec::new())));
        dirty.merge(index.zones(Event::Reset(vec![typed(json!({
            "apiVersion": "meridian.dev/v1alpha1", "kind": "DNSZone", "metadata": {"name": "main"},
            "spec": {"domain": "example.com", "federation": "fed"},
        }))])));
        for (name, region) in CLUSTERS {
            let name = ClusterName::new(name);
            dirty.merge(index.identity(&name, Ok(()), NOW));
            for event in [
                DiscoveryEvent::Nodes(Event::Reset((0..12).map(|number| node(region, number)).collect())),
                DiscoveryEvent::Services(Event::Reset((0..services).map(service).collect())),
                DiscoveryEvent::Slices(Event::Reset((0..services).map(|number| slice(number, true)).collect())),
            ] {
                dirty.merge(index.discovery(&name, event));
            }
        }
        let (snapshot, _) = index.snapshot(&Snapshot::default(), &dirty, NOW);
        let snapshot = snapshot.expect("names");
        // Of each service and cluster: its own name, three zones, a region; and one global name, each with
        // the SRV names of two ports.
        let names: usize = snapshot.zones().map(|zone| zone.len()).sum();
        assert_eq!(names, services * (3 * 5 + 1) * 3);
        Self { index, snapshot }
    }

    fn flip(&mut self, event: DiscoveryEvent) -> Vec<NameDelta> {
        let dirty = self.index.discovery(&ClusterName::new(CLUSTERS[1].0), event);
        let (next, deltas) = self.index.snapshot(&self.snapshot, &dirty, NOW);
        self.snapshot = next.expect("every flip changes answers");
        deltas
    }
}

/// The same slice, ready and not ready in turn.
fn flips(services: usize) -> impl FnMut() -> DiscoveryEvent {
    let mut ready = true;
    move || {
        ready = !ready;
        DiscoveryEvent::Slices(Event::Apply(slice(services / 2, ready)))
    }
}

#[divan::bench(args = [10, 1_000, 10_000], sample_count = 500, sample_size = 4)]
fn one_endpoint_event(bencher: divan::Bencher<'_, '_>, services: usize) {
    let mut fleet = Fleet::new(services);
    bencher
        .with_inputs(flips(services))
        .bench_local_values(|event| fleet.flip(event));
}

/// The index's part of it: what differs is found, and not laid over the zone.
#[divan::bench(args = [10, 1_000, 10_000], sample_count = 500, sample_size = 4)]
fn names_of_one_endpoint_event(bencher: divan::Bencher<'_, '_>, services: usize) {
    let Fleet { mut index, .. } = Fleet::new(services);
    bencher.with_inputs(flips(services)).bench_local_values(|event| {
        let dirty = index.discovery(&ClusterName::new(CLUSTERS[1].0), event);
        index.update_names(dirty.services)
    });
}
