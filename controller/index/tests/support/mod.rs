//! An index as a running controller has it: host kinds listed, members confirmed and listed, and the
//! snapshot that the server would answer from kept up to date.
//!
//! Objects are written as JSON and read as their Kubernetes types, as they come from an API server.
#![allow(dead_code, reason = "each test uses a part")]

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::{DynamicObject, PartialObjectMeta};
use meridian_controller_index::{Dirty, DiscoveryEvent, Event, Index};
use meridian_dns_core::{Client, DnsName, NameChange, Outcome, Question, RecordData, RecordType, Snapshot, answer};
use meridian_federation_core::{ClusterName, HealthSettings, ServiceKey, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) mod sync;

/// A moment after the epoch, so that serials come from the clock.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) fn name(text: &str) -> ClusterName {
    ClusterName::new(text)
}

pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("fits its type")
}

pub(crate) fn nothing() -> Dirty {
    Dirty::default()
}

pub(crate) fn nginx() -> ServiceKey {
    ServiceKey {
        namespace: "test".to_owned(),
        name: "nginx".to_owned(),
    }
}

/// A `Cluster` in region `us`, zone `us-a`.
pub(crate) fn cluster_object(name: &str) -> Value {
    json!({
        "apiVersion": "meridian.dev/v1alpha1", "kind": "Cluster",
        "metadata": {"name": name, "resourceVersion": "1", "generation": 1, "labels": {"env": "prod"}},
        "spec": {"kubeconfigSecretRef": {"namespace": "meridian", "name": name}, "region": "us", "zones": ["us-a"], "uid": format!("uid-{name}")},
    })
}

pub(crate) fn zone_object(name: &str, domain: &str) -> Value {
    json!({
        "apiVersion": "meridian.dev/v1alpha1", "kind": "DNSZone", "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {"domain": domain, "federation": "ufp", "whenNoneHealthy": {"type": "Empty"}},
    })
}

pub(crate) fn route_object(name: &str, service: &str, hosts: &[&str]) -> Value {
    json!({
        "apiVersion": "meridian.dev/v1alpha1", "kind": "DNSRoute",
        "metadata": {"namespace": "test", "name": name, "resourceVersion": "1"},
        "spec": {"source": {"name": service}, "hostnames": hosts},
    })
}

/// A load balancer in namespace `test` with one address and the port `http`.
pub(crate) fn service_object(name: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "test", "name": name, "resourceVersion": "1", "labels": {"meridian.dev/export": "true"}},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "protocol": "TCP", "port": 80}]},
        "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
    })
}

pub(crate) fn slice_object(name: &str, service: &str, ready: &[bool]) -> Value {
    let endpoints: Vec<_> = ready
        .iter()
        .enumerate()
        .map(|(number, ready)| json!({"addresses": [format!("10.0.0.{number}")], "conditions": {"ready": ready}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"namespace": "test", "name": name, "resourceVersion": "1", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": endpoints,
    })
}

pub(crate) fn node_object(name: &str, region: &str, zone: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone}}})
}

pub(crate) fn apply_service(object: Value) -> DiscoveryEvent {
    DiscoveryEvent::Services(Event::Apply(typed::<Service>(object)))
}

pub(crate) fn apply_slice(object: Value) -> DiscoveryEvent {
    DiscoveryEvent::Slices(Event::Apply(typed::<EndpointSlice>(object)))
}

pub(crate) fn apply_node(object: Value) -> DiscoveryEvent {
    DiscoveryEvent::Nodes(Event::Apply(typed::<PartialObjectMeta<Node>>(object)))
}

pub(crate) fn reset_services(objects: Vec<Value>) -> DiscoveryEvent {
    DiscoveryEvent::Services(Event::Reset(objects.into_iter().map(typed).collect()))
}

pub(crate) fn reset_slices(objects: Vec<Value>) -> DiscoveryEvent {
    DiscoveryEvent::Slices(Event::Reset(objects.into_iter().map(typed).collect()))
}

pub(crate) fn reset_nodes(objects: Vec<Value>) -> DiscoveryEvent {
    DiscoveryEvent::Nodes(Event::Reset(objects.into_iter().map(typed).collect()))
}

pub(crate) fn dynamic(event: Event<Value>) -> Event<DynamicObject> {
    match event {
        Event::Apply(object) => Event::Apply(typed(object)),
        Event::Delete(object) => Event::Delete(typed(object)),
        Event::Reset(objects) => Event::Reset(objects.into_iter().map(typed).collect()),
    }
}

/// The index, the snapshot made from it, and the time.
pub(crate) struct Fixture {
    pub(crate) index: Index,
    pub(crate) snapshot: Snapshot,
    pub(crate) now: Timestamp,
}

impl Fixture {
    /// An index that has heard of nothing.
    pub(crate) fn empty() -> Self {
        Self {
            index: Index::new("prod", HealthSettings::default()),
            snapshot: Snapshot::default(),
            now: NOW,
        }
    }

    /// These clusters, confirmed and listed without any object, and the zone `example.com`.
    pub(crate) fn new(clusters: &[&str]) -> Self {
        let mut fixture = Self::empty();
        fixture.clusters(Event::Reset(
            clusters.iter().map(|cluster| cluster_object(cluster)).collect(),
        ));
        fixture.zones(Event::Reset(vec![zone_object("main", "example.com")]));
        fixture.routes(Event::Reset(Vec::new()));
        for cluster in clusters {
            fixture.list(cluster);
        }
        fixture
    }

    /// The cluster answers as the one we joined, and its kinds are listed, all empty.
    pub(crate) fn list(&mut self, cluster: &str) {
        self.index.identity(&name(cluster), Ok(()), self.now);
        for event in [
            reset_services(Vec::new()),
            reset_slices(Vec::new()),
            reset_nodes(Vec::new()),
        ] {
            self.take(cluster, event);
        }
    }

    /// The cluster serves nginx under this address.
    pub(crate) fn serve(&mut self, cluster: &str, address: &str) {
        self.take(cluster, apply_service(service_object("nginx", address)));
        self.take(cluster, apply_slice(slice_object("nginx-1", "nginx", &[true])));
    }

    /// Takes an event of a member and brings the snapshot up to date.
    pub(crate) fn take(&mut self, cluster: &str, event: DiscoveryEvent) -> Dirty {
        let dirty = self.index.discovery(&name(cluster), event);
        self.publish(&dirty);
        dirty
    }

    pub(crate) fn clusters(&mut self, event: Event<Value>) -> Dirty {
        let dirty = self.index.clusters(dynamic(event), self.now);
        self.publish(&dirty);
        dirty
    }

    pub(crate) fn zones(&mut self, event: Event<Value>) -> Dirty {
        let dirty = self.index.zones(dynamic(event));
        self.publish(&dirty);
        dirty
    }

    pub(crate) fn routes(&mut self, event: Event<Value>) -> Dirty {
        let dirty = self.index.routes(dynamic(event));
        self.publish(&dirty);
        dirty
    }

    /// Brings the snapshot up to date; the names that changed, `-` before those removed.
    pub(crate) fn publish(&mut self, dirty: &Dirty) -> Vec<String> {
        let (next, deltas) = self.index.snapshot(&self.snapshot, dirty, self.now);
        if let Some(next) = next {
            self.snapshot = next;
        }
        let text = |change: &NameChange| match change {
            NameChange::Set(routed) => routed.name.as_str().to_owned(),
            NameChange::Remove(name) => format!("-{}", name.as_str()),
        };
        deltas.iter().flat_map(|delta| &delta.changes).map(text).collect()
    }

    pub(crate) fn serial(&self) -> u32 {
        let apex = DnsName::parse("example.com").expect("a name");
        self.snapshot.zone(&apex).expect("served").soa().serial
    }

    /// What a client is told about A records: `CNAME b, A 192.0.2.1`, NODATA, NXDOMAIN, SERVFAIL.
    pub(crate) fn ask(&self, asked: &str) -> String {
        self.ask_from([203, 0, 113, 9].into(), asked)
    }

    pub(crate) fn ask_from(&self, source: IpAddr, asked: &str) -> String {
        let question = Question {
            name: DnsName::parse(asked).expect("a name"),
            record_type: RecordType::A,
        };
        let answer = answer(&self.snapshot, &question, Client::at(source));
        let data = |data: &RecordData| match data {
            RecordData::A(address) => format!("A {address}"),
            RecordData::Cname(target) => format!("CNAME {}", target.as_str()),
            other => format!("{other:?}"),
        };
        let parts: Vec<_> = answer.answers.iter().flat_map(|set| &set.data).map(data).collect();
        match answer.outcome {
            Outcome::NoError if parts.is_empty() => "NODATA".to_owned(),
            Outcome::NoError => parts.join(", "),
            Outcome::NxDomain => "NXDOMAIN".to_owned(),
            Outcome::YxDomain => "YXDOMAIN".to_owned(),
            Outcome::ServFail => "SERVFAIL".to_owned(),
            Outcome::Refused => "REFUSED".to_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn check(&self, asked: &str, expected: &str) {
        assert_eq!(self.ask(asked), expected, "{asked}");
    }

    /// A condition of the cluster's next status: `True/Reason`, or as it is written already.
    pub(crate) fn condition(&self, cluster: &str, kind: &str) -> (String, String) {
        let status = self
            .index
            .cluster_status(&name(cluster), self.now)
            .expect("a status to write");
        let found = status
            .conditions
            .into_iter()
            .find(|condition| condition.type_ == kind)
            .expect("the condition");
        (format!("{}/{}", found.status, found.reason), found.message)
    }
}
