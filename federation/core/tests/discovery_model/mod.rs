//! A fleet for tests of discovery: a world, and the answers that its names lead to.
//!
//! Tests say what clusters have and what a client is told, because that is what must hold: how a routed
//! name is made is discovery's own business. The zone is `example.com`, the federation `ufp`, and the
//! service `nginx` in namespace `test`, as in federation v1's own cases.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use meridian_dns_core::{
    Answer, Client, DnsName, NameChange, Outcome, Question, RecordData, RecordType, Snapshot, Soa, Traffic,
    WhenNoneHealthy, Zone, answer,
};
use meridian_federation_core::{
    Breaker, Cluster, ClusterHealth, ClusterName, Discovered, DiscoveryKind, DnsZone, Freshness, Identity, MemberFacts,
    Nodes, Route, Service, ServiceKey, ServicePort, Slice, World, discover, sites,
};

pub(crate) fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name)
}

pub(crate) fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a valid name")
}

pub(crate) fn service_key(name: &str) -> ServiceKey {
    ServiceKey {
        namespace: "test".to_owned(),
        name: name.to_owned(),
    }
}

pub(crate) fn nginx() -> ServiceKey {
    service_key("nginx")
}

pub(crate) fn zone(domain: &str, federation: &str) -> DnsZone {
    DnsZone {
        domain: name(domain),
        federation: federation.to_owned(),
        ttl: 30,
        name_servers: Vec::new(),
        mailbox: name("hostmaster.example.com"),
        soa_times: [7200, 900, 1_209_600, 30],
        when_none_healthy: WhenNoneHealthy::Empty,
        minimum_ttl: meridian_dns_core::MINIMUM_TTL,
        networks: Arc::default(),
        records: Arc::default(),
        released: None,
    }
}

pub(crate) fn port(name: &str, protocol: &str, port: u16) -> ServicePort {
    let name = (!name.is_empty()).then(|| name.to_owned());
    ServicePort {
        name,
        protocol: protocol.to_owned(),
        port,
    }
}

/// A LoadBalancer with these addresses and the port `http`.
pub(crate) fn balancer(addresses: &[&str]) -> Service {
    Service {
        addresses: addresses
            .iter()
            .map(|address| address.parse().expect("an address"))
            .collect(),
        ports: [port("http", "tcp", 80)].into(),
        published: true,
        ..Service::default()
    }
}

pub(crate) fn ready(count: u32) -> Slice {
    Slice {
        ready: count,
        serving: 0,
        total: count,
    }
}

/// The world and what is known of the clusters' health.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) world: World,
    pub(crate) health: BTreeMap<ClusterName, ClusterHealth>,
}

impl Model {
    /// Clusters with a region (empty for none) and zones (separated by commas), all listed and confirmed,
    /// and the zone `example.com`. The n-th has the clients in `10.n.0.0/16`.
    pub(crate) fn new(clusters: &[(&str, &str, &str)]) -> Self {
        let mut model = Self::default();
        model.world.zones.insert("main".to_owned(), zone("example.com", "ufp"));
        for (name, region, zones) in clusters {
            model.add_cluster(name, region, zones);
        }
        model
    }

    pub(crate) fn add_cluster(&mut self, name: &str, region: &str, zones: &str) {
        let number = self.world.clusters.len() + 1;
        let cluster_object = Cluster {
            uid: format!("uid-{name}"),
            region: (!region.is_empty()).then(|| region.to_owned()),
            zones: zones
                .split(',')
                .filter(|zone| !zone.is_empty())
                .map(str::to_owned)
                .collect(),
            location: None,
            networks: vec![format!("10.{number}.0.0/16").parse().expect("a network")],
            internal_networks: Vec::new(),
            weight: 100,
            traffic: Traffic::Active,
            sync_paused: false,
            labels: BTreeMap::new(),
            confirmed_deletions: 0,
            released: None,
        };
        let freshness = [DiscoveryKind::Services, DiscoveryKind::Slices, DiscoveryKind::Nodes];
        let facts = MemberFacts {
            freshness: freshness.into_iter().map(|kind| (kind, Freshness::Fresh)).collect(),
            troubles: BTreeMap::new(),
            nodes: Nodes::default(),
            identity: Identity::Confirmed,
        };
        self.world.clusters.insert(cluster(name), cluster_object);
        self.world.members.insert(cluster(name), facts);
    }

    /// Takes the cluster out, as the deletion of its `Cluster` object does.
    pub(crate) fn remove_cluster(&mut self, name: &str) {
        self.world.clusters.remove(&cluster(name));
        self.world.members.remove(&cluster(name));
        for members in self.world.services.values_mut() {
            members.remove(&cluster(name));
        }
    }

    pub(crate) fn cluster(&mut self, name: &str) -> &mut Cluster {
        self.world
            .clusters
            .get_mut(&cluster(name))
            .expect("a cluster of the model")
    }

    pub(crate) fn member(&mut self, name: &str) -> &mut MemberFacts {
        self.world
            .members
            .get_mut(&cluster(name))
            .expect("a cluster of the model")
    }

    /// The cluster exports this Service under the key; `None` takes it away.
    pub(crate) fn put(&mut self, key: &ServiceKey, name: &str, service: Option<Service>) {
        self.world
            .services
            .entry(key.clone())
            .or_default()
            .entry(cluster(name))
            .or_default()
            .service = service;
    }

    pub(crate) fn slices(&mut self, key: &ServiceKey, name: &str, slices: &[Slice]) {
        let part = self
            .world
            .services
            .entry(key.clone())
            .or_default()
            .entry(cluster(name))
            .or_default();
        part.slices = slices
            .iter()
            .enumerate()
            .map(|(number, slice)| (format!("slice-{number}"), *slice))
            .collect();
    }

    /// The cluster exports nginx under these addresses with one ready endpoint.
    pub(crate) fn serve(&mut self, name: &str, addresses: &[&str]) {
        self.put(&nginx(), name, Some(balancer(addresses)));
        self.slices(&nginx(), name, &[ready(1)]);
    }

    pub(crate) fn route(&mut self, id: &str, service: &ServiceKey, hosts: &[&str], ttl: Option<u32>) {
        let id = ("test".to_owned(), id.to_owned());
        let host_names = hosts.iter().map(|host| name(host)).collect();
        self.unroute(&id.1);
        self.world
            .routes_of
            .entry(service.clone())
            .or_default()
            .insert(id.clone());
        self.world.routes.insert(
            id,
            Route {
                service: service.clone(),
                host_names,
                ttl,
                https: None,
                policy: None,
                minimum_healthy_percent: None,
            },
        );
    }

    pub(crate) fn unroute(&mut self, id: &str) {
        let id = ("test".to_owned(), id.to_owned());
        if let Some(route) = self.world.routes.remove(&id) {
            self.world.routes_of.entry(route.service).or_default().remove(&id);
        }
    }

    pub(crate) fn discover(&self) -> Discovered {
        discover(&self.world, &nginx())
    }

    /// Reasons of all issues of nginx, with the cluster if it is one cluster's.
    pub(crate) fn issues(&self) -> Vec<String> {
        let text = |cluster: &Option<ClusterName>| cluster.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        self.discover()
            .issues
            .iter()
            .map(|issue| format!("{}{}", text(&issue.cluster), issue.reason))
            .collect()
    }

    /// What the server would answer from.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default().with_sites(sites(&self.world, &self.health, &Breaker::default()));
        for zone in self.world.zones.values() {
            let names = self
                .world
                .services
                .keys()
                .flat_map(|key| discover(&self.world, key).names.remove(&zone.domain));
            let changes: Vec<_> = names
                .flatten()
                .map(|routed| NameChange::Set(Arc::new(routed)))
                .collect();
            let [refresh, retry, expire, minimum] = zone.soa_times;
            let (primary, mailbox) = (zone.domain.clone(), zone.mailbox.clone());
            let soa = Soa {
                primary,
                mailbox,
                serial: 1,
                refresh,
                retry,
                expire,
                minimum,
            };
            let made = Zone::new(zone.domain.clone(), soa, Vec::new()).with(&changes, 2);
            snapshot = snapshot.with_zone(made.with_complete(self.world.all_services_listed()));
        }
        snapshot
    }

    pub(crate) fn ask_from(&self, client: IpAddr, asked: &str, record_type: RecordType) -> Answer {
        answer(
            &self.snapshot(),
            &Question {
                name: name(asked),
                record_type,
            },
            Client::at(client),
        )
    }

    /// The answer to a client of no known place, as text: `CNAME b, A 192.0.2.1`, NODATA, NXDOMAIN.
    pub(crate) fn ask(&self, asked: &str, record_type: RecordType) -> String {
        text_of(&self.ask_from(anywhere(), asked, record_type))
    }

    /// The A records over all clients, one near each cluster, and the alias if the name is one. An alias
    /// must be the same for everybody.
    pub(crate) fn everybodys(&self, asked: &str) -> (Option<String>, BTreeSet<String>) {
        let count = u8::try_from(self.world.clusters.len()).expect("a small fleet");
        let clients = (1..=count).map(|number| IpAddr::V4(Ipv4Addr::new(10, number, 0, 1)));
        let mut aliases = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for client in clients.chain([anywhere()]) {
            let answer = self.ask_from(client, asked, RecordType::A);
            aliases.insert(
                answer
                    .answers
                    .iter()
                    .find(|set| set.name == name(asked))
                    .and_then(|set| match set.data.first() {
                        Some(RecordData::Cname(target)) => Some(target.as_str().to_owned()),
                        _ => None,
                    }),
            );
            let own = answer
                .answers
                .iter()
                .filter(|set| set.name == name(asked))
                .flat_map(|set| &set.data);
            addresses.extend(own.filter_map(|data| match data {
                RecordData::A(address) => Some(address.to_string()),
                _ => None,
            }));
        }
        assert_eq!(
            aliases.len(),
            1,
            "{asked} is an alias for some clients only: {aliases:?}"
        );
        (aliases.pop_first().flatten(), addresses)
    }
}

fn anywhere() -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))
}

fn text_of(answer: &Answer) -> String {
    let data = |data: &RecordData| match data {
        RecordData::A(address) => format!("A {address}"),
        RecordData::Aaaa(address) => format!("AAAA {address}"),
        RecordData::Cname(target) => format!("CNAME {}", target.as_str()),
        RecordData::Srv(srv) => format!("SRV {} {}", srv.port, srv.target.as_str()),
        other => format!("{other:?}"),
    };
    let mut parts: Vec<String> = answer.answers.iter().flat_map(|set| &set.data).map(data).collect();
    match answer.outcome {
        Outcome::NoError if parts.is_empty() || answer.authorities.len() == 1 => parts.push("NODATA".to_owned()),
        Outcome::NoError => {}
        Outcome::NxDomain => parts.push("NXDOMAIN".to_owned()),
        Outcome::YxDomain => parts.push("YXDOMAIN".to_owned()),
        Outcome::ServFail => parts.push("SERVFAIL".to_owned()),
        Outcome::Refused => parts.push("REFUSED".to_owned()),
    }
    parts.join(", ")
}
