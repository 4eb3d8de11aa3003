//! The federation, read once.
//!
//! What cannot be read is a warning and stays unknown, as it does for a server: names that it could have
//! are answered SERVFAIL, not NXDOMAIN.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::{Api, Client};
use meridian_controller_apply::{REQUEST_LIMIT, describe};
use meridian_controller_index::{Dirty, DiscoveryEvent, Event, Index};
use meridian_dns_core::{Liveness, SiteName, Sites, Snapshot, Zone};
use meridian_dns_server::MasterFile;
use meridian_federation_api as api;
use meridian_federation_core::names::EXPORT_LABEL;
use meridian_federation_core::{ClusterName, HealthSettings};
use tokio::time::timeout;

use crate::clock::now;
use crate::member::{ConnectionSpec, member_client};

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) snapshot: Snapshot,
    /// What could not be read, and what is wrong with objects of the host.
    pub(super) warnings: Vec<String>,
    /// Conditions that keep clients from a site, each with its object and time.
    pub(super) causes: BTreeMap<SiteName, Vec<String>>,
}

/// Reads the host and its members.
pub(super) async fn collect(host: &Client) -> Result<Found> {
    let mut index = Index::new("explain", HealthSettings::default()).with_text_reader(Arc::new(MasterFile));
    let mut warnings = Vec::new();
    let mut dirty = Dirty::default();
    let policies = list_host(host, ApiResource::erase::<api::RoutingPolicy>(&())).await;
    match policies {
        Ok(policies) => dirty.merge(index.policies(Event::Reset(policies))),
        Err(error) => warnings.push(format!("{error:#}")),
    }
    let clusters = list_host(host, ApiResource::erase::<api::Cluster>(&())).await?;
    dirty.merge(index.clusters(Event::Reset(clusters), now()));
    let zones = list_host(host, ApiResource::erase::<api::DNSZone>(&())).await?;
    dirty.merge(index.zones(Event::Reset(zones)));
    let routes = list_host(host, ApiResource::erase::<api::DNSRoute>(&())).await?;
    dirty.merge(index.routes(Event::Reset(routes)));
    let members: Vec<_> = index
        .cluster_objects()
        .map(|(name, object)| (name.clone(), object.clone()))
        .collect();
    let reads = members.iter().map(|(name, object)| async move {
        let read = timeout(REQUEST_LIMIT, read_member(host, object)).await;
        (name, read.unwrap_or_else(|_| Err("no answer in time".to_owned())))
    });
    for (name, read) in join_all(reads).await {
        match read {
            Ok(events) => {
                dirty.merge(index.identity(name, Ok(()), now()));
                for event in events {
                    dirty.merge(index.discovery(name, event));
                }
            }
            Err(reason) => warnings.push(format!(
                "cluster {name} cannot be read: {reason}; what it alone has is not known"
            )),
        }
    }
    let (snapshot, _) = index.snapshot(&Snapshot::default(), &dirty, now());
    let snapshot = without_keys(snapshot.unwrap_or_default());
    warnings.extend(
        index
            .problems()
            .map(|(kind, name, problem)| format!("{kind} {name}: {problem}")),
    );
    let mut causes = BTreeMap::new();
    let mut sites: Sites = snapshot.sites().clone();
    for (name, object) in &members {
        note(name, object, &mut sites, &mut causes);
    }
    Ok(Found {
        snapshot: snapshot.with_sites(sites),
        warnings,
        causes,
    })
}

/// Answers are explained without signatures: private keys are nobody's but the server's.
fn without_keys(snapshot: Snapshot) -> Snapshot {
    let zones: Vec<_> = snapshot.zones().cloned().collect();
    zones.into_iter().fold(snapshot, |snapshot, zone| {
        snapshot.with_zone(Zone::clone(&zone).with_keys_awaited(false))
    })
}

/// What the controller wrote of a cluster's data path, and what the operator did.
fn note(name: &ClusterName, object: &api::Cluster, sites: &mut Sites, causes: &mut BTreeMap<SiteName, Vec<String>>) {
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    for condition in conditions {
        let kept_away = match (condition.type_.as_str(), condition.status.as_str()) {
            ("DataPathHealthy", "False") => true,
            ("Drained", "True") => false,
            _ => continue,
        };
        if let Some(mut site) = sites.get(name).cloned().filter(|_| kept_away) {
            site.liveness = Liveness::Dead;
            sites.insert(name.clone(), site);
        }
        causes.entry(name.clone()).or_default().push(format!(
            "Cluster {name}: {}={} since {}: {}",
            condition.type_, condition.status, condition.last_transition_time.0, condition.message
        ));
    }
}

async fn list_host(host: &Client, resource: ApiResource) -> Result<Vec<DynamicObject>> {
    let objects = Api::<DynamicObject>::all_with(host.clone(), &resource);
    let list = timeout(REQUEST_LIMIT, objects.list(&ListParams::default()))
        .await
        .with_context(|| format!("the host gave no list of {} in time", resource.plural))?;
    let list = list.with_context(|| {
        format!(
            "the host gave no list of {}; check --kubeconfig, and that the output of `meridian crd` was applied",
            resource.plural
        )
    })?;
    Ok(list.items)
}

/// What discovery watches in a member.
async fn read_member(host: &Client, object: &api::Cluster) -> Result<[DiscoveryEvent; 3], String> {
    let spec = ConnectionSpec {
        secret: object.spec.kubeconfig_secret_ref.clone(),
        uid: object.spec.uid.clone().unwrap_or_default(),
    };
    let member = member_client(host, &spec, Arc::new(|_| {})).await?;
    // Whoever answers must be the cluster that was joined: the client sees to that before each list.
    let client = member.client();
    let exported = ListParams::default().labels(&format!("{EXPORT_LABEL}=true"));
    let failed = |error: kube::Error| describe(&error);
    let services = Api::<Service>::all(client.clone())
        .list(&exported)
        .await
        .map_err(failed)?;
    let slices = Api::<EndpointSlice>::all(client.clone())
        .list(&exported)
        .await
        .map_err(failed)?;
    let nodes = Api::<Node>::all(client)
        .list_metadata(&ListParams::default())
        .await
        .map_err(failed)?;
    let nodes: Vec<PartialObjectMeta<Node>> = nodes.items;
    Ok([
        DiscoveryEvent::Services(Event::Reset(services.items)),
        DiscoveryEvent::Slices(Event::Reset(slices.items)),
        DiscoveryEvent::Nodes(Event::Reset(nodes)),
    ])
}
