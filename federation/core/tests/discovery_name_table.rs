//! The table of published names: only differences come out, and a name has one owner at a time.
//!
//! What it returns is all that a server ever hears. So the deltas, laid one over the other, must be the
//! world's names at any time, whatever the order of changes; that is checked with random ones.

mod discovery_model;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use discovery_model::{Model, balancer, cluster, name, nginx, port, ready, service_key, zone};
use meridian_dns_core::{DnsName, NameChange, NameDelta, RoutedName};
use meridian_federation_core::{NameTable, ServiceKey, discover};
use proptest::prelude::*;
use proptest::sample::select;

/// Names as laid together from deltas, by zone.
type Laid = BTreeMap<(DnsName, DnsName), Arc<RoutedName>>;

fn lay(laid: &mut Laid, deltas: &[NameDelta]) {
    for delta in deltas {
        assert!(!delta.changes.is_empty(), "a zone without a change is not named");
        for change in &delta.changes {
            let at = (delta.zone.clone(), change.name().clone());
            match change {
                // It may be what it was: a name handed over to a service that answers the same.
                NameChange::Set(routed) => drop(laid.insert(at, routed.clone())),
                NameChange::Remove(_) => assert!(laid.remove(&at).is_some(), "removed what was not there"),
            }
        }
    }
}

/// The names changed by an update, `-` before those removed; service names without their common end.
#[track_caller]
fn check(table: &mut NameTable, model: &Model, keys: &[ServiceKey], expected: &[&str]) {
    let deltas = table.update(&model.world, keys.iter().cloned());
    let text = |change: &NameChange| match change {
        NameChange::Set(routed) => routed.name.as_str().to_owned(),
        NameChange::Remove(name) => format!("-{}", name.as_str()),
    };
    let changes: Vec<_> = deltas.iter().flat_map(|delta| &delta.changes).map(text).collect();
    let short = |text: &String| text.replace(".test.ufp.svc", "").replace(".example.com", "");
    assert_eq!(changes.iter().map(short).collect::<Vec<_>>(), expected);
    assert_eq!(
        table.update(&model.world, keys.iter().cloned()),
        [],
        "a second update finds nothing"
    );
}

fn one() -> Model {
    let mut model = Model::new(&[("c1", "us", "us-a"), ("c2", "us", "us-b")]);
    let mut service = balancer(&["192.0.2.1"]);
    service.ports.clear();
    model.put(&nginx(), "c1", Some(service));
    model.slices(&nginx(), "c1", &[ready(1)]);
    model
}

/// A second service, in c2 alone.
fn other() -> ServiceKey {
    service_key("other")
}

fn serve_other(model: &mut Model) {
    let mut service = balancer(&["192.0.2.9"]);
    service.ports.clear();
    model.put(&other(), "c2", Some(service));
    model.slices(&other(), "c2", &[ready(1)]);
}

fn reasons(table: &NameTable, key: &ServiceKey) -> Vec<&'static str> {
    table.issues(key).map(|issue| issue.reason).collect()
}

#[test]
fn only_what_differs_is_returned() {
    let mut model = one();
    let mut table = NameTable::default();
    check(
        &mut table,
        &model,
        &[nginx(), other()],
        &["c1.nginx", "nginx", "nginx.us-a.us", "nginx.us"],
    );
    // A further site: what it serves changes, the zone name of the first does not.
    model.serve("c2", &["192.0.2.2"]);
    model
        .world
        .services
        .get_mut(&nginx())
        .expect("there")
        .get_mut(&cluster("c2"))
        .expect("there")
        .service
        .as_mut()
        .expect("there")
        .ports
        .clear();
    check(
        &mut table,
        &model,
        &[nginx()],
        &["c2.nginx", "nginx", "nginx.us-b.us", "nginx.us"],
    );
    model.slices(&nginx(), "c2", &[]);
    check(
        &mut table,
        &model,
        &[nginx()],
        &["c2.nginx", "nginx", "nginx.us-b.us", "nginx.us"],
    );
    // More ready endpoints of many are the same answer.
    model.slices(&nginx(), "c1", &[ready(7)]);
    check(&mut table, &model, &[nginx()], &[]);
    model.put(&nginx(), "c2", None);
    check(
        &mut table,
        &model,
        &[nginx()],
        &["-c2.nginx", "nginx", "-nginx.us-b.us", "nginx.us"],
    );
    model.put(&nginx(), "c1", None);
    check(
        &mut table,
        &model,
        &[nginx()],
        &["-c1.nginx", "-nginx", "-nginx.us-a.us", "-nginx.us"],
    );
    assert_eq!(table.names_of(&nginx()).count(), 0);
}

#[test]
fn a_port_brings_and_takes_its_own_names() {
    let mut model = one();
    let mut table = NameTable::default();
    table.update(&model.world, [nginx()]);
    let mut service = balancer(&["192.0.2.1"]);
    service.ports = [port("http", "tcp", 80)].into();
    model.put(&nginx(), "c1", Some(service));
    let srv = [
        "_http._tcp.c1.nginx",
        "_http._tcp.nginx",
        "_http._tcp.nginx.us-a.us",
        "_http._tcp.nginx.us",
    ];
    check(&mut table, &model, &[nginx()], &srv);
}

#[test]
fn a_taken_name_stays_with_its_owner_and_is_handed_over_on_release() {
    let mut model = one();
    serve_other(&mut model);
    let mut table = NameTable::default();
    model.route("first", &other(), &["www.example.com"], None);
    check(
        &mut table,
        &model,
        &[other()],
        &["c2.other", "other", "other.us-b.us", "other.us", "www"],
    );
    model.route("second", &nginx(), &["www.example.com", "alone.example.com"], None);
    check(
        &mut table,
        &model,
        &[nginx()],
        &["alone", "c1.nginx", "nginx", "nginx.us-a.us", "nginx.us"],
    );
    assert_eq!(reasons(&table, &nginx()), ["NameTaken"]);
    assert!(
        table.issues(&nginx()).any(|issue| issue.message.contains("test/other")),
        "it says who has it"
    );
    assert_eq!(reasons(&table, &other()), [""; 0]);
    // The owner lets go: its update alone hands the name over.
    model.unroute("first");
    check(&mut table, &model, &[other()], &["www"]);
    assert!(
        table
            .names_of(&nginx())
            .any(|routed| routed.name == name("www.example.com"))
    );
    assert_eq!(reasons(&table, &nginx()), [""; 0]);
}

#[test]
fn a_name_is_free_when_nobody_wants_it_any_more() {
    let mut model = one();
    serve_other(&mut model);
    let mut table = NameTable::default();
    model.route("first", &other(), &["www.example.com"], None);
    table.update(&model.world, [other()]);
    model.route("second", &nginx(), &["www.example.com"], None);
    table.update(&model.world, [nginx()]);
    model.unroute("second");
    check(&mut table, &model, &[nginx()], &[]);
    assert_eq!(reasons(&table, &nginx()), [""; 0]);
    // The one that waited has lost interest: nobody gets the name, and it can be had again.
    model.unroute("first");
    check(&mut table, &model, &[other()], &["-www"]);
    model.route("third", &nginx(), &["www.example.com"], None);
    check(&mut table, &model, &[nginx()], &["www"]);
}

/// The zone of a name may change under it; the name is still its owner's.
#[test]
fn a_name_that_moves_to_a_longer_zone_keeps_its_owner() {
    let mut model = one();
    serve_other(&mut model);
    let mut table = NameTable::default();
    model.route("first", &other(), &["www.shop.example.com"], None);
    table.update(&model.world, [other()]);
    model
        .world
        .zones
        .insert("shop".to_owned(), zone("shop.example.com", "none"));
    let deltas = table.update(&model.world, [other()]);
    let moved = |zone: &str, change: fn(&NameChange) -> bool| {
        let delta = deltas
            .iter()
            .find(|delta| delta.zone == name(zone))
            .expect("a delta of the zone");
        delta
            .changes
            .iter()
            .any(|found| found.name() == &name("www.shop.example.com") && change(found))
    };
    assert!(moved("example.com", |change| matches!(change, NameChange::Remove(_))));
    assert!(moved("shop.example.com", |change| matches!(change, NameChange::Set(_))));
    model.route("second", &nginx(), &["www.shop.example.com"], None);
    table.update(&model.world, [nginx()]);
    assert_eq!(reasons(&table, &nginx()), ["NameTaken"]);
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize, &'static str, Option<&'static str>, bool),
    Slices(usize, &'static str, u32),
    Route(usize, usize, &'static str),
    Unroute(usize),
    Region(&'static str, &'static str),
    Zone(bool),
    Cluster(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let service = 0..3_usize;
    let site = || select(vec!["c1", "c2"]);
    let host = select(vec![
        "www.example.com",
        "www.shop.example.com",
        "nginx.test.ufp.svc.example.com",
        "x.elsewhere.test",
    ]);
    prop_oneof![
        4 => (service.clone(), site(), select(vec![None, Some("192.0.2.1"), Some("192.0.2.2"), Some("2001:db8::1")]), any::<bool>())
            .prop_map(|(service, site, address, port)| Step::Put(service, site, address, port)),
        2 => (service.clone(), site(), 0..2_u32).prop_map(|(service, site, count)| Step::Slices(service, site, count)),
        4 => (0..3_usize, service, host).prop_map(|(route, service, host)| Step::Route(route, service, host)),
        2 => (0..3_usize).prop_map(Step::Unroute),
        1 => (site(), select(vec!["", "us", "eu", "not a label"])).prop_map(|(site, region)| Step::Region(site, region)),
        1 => any::<bool>().prop_map(Step::Zone),
        1 => any::<bool>().prop_map(Step::Cluster),
    ]
}

fn keys() -> [ServiceKey; 3] {
    [nginx(), other(), service_key("third")]
}

/// Takes a step and says which services it makes dirty.
fn take(model: &mut Model, step: &Step) -> BTreeSet<ServiceKey> {
    let all = || keys().into_iter().collect();
    match step {
        Step::Put(service, site, address, with_port) => {
            let key = &keys()[*service];
            let mut service = address.map(|address| balancer(&[address]));
            if let Some(service) = service.as_mut().filter(|_| !with_port) {
                service.ports.clear();
            }
            model.put(key, site, service);
            [key.clone()].into()
        }
        Step::Slices(service, site, count) => {
            model.slices(&keys()[*service], site, &[ready(*count)]);
            [keys()[*service].clone()].into()
        }
        Step::Route(route, service, host) => {
            model.route(&format!("route-{route}"), &keys()[*service], &[host], None);
            all()
        }
        Step::Unroute(route) => {
            model.unroute(&format!("route-{route}"));
            all()
        }
        Step::Region(site, region) => {
            model.cluster(site).region = (!region.is_empty()).then(|| (*region).to_owned());
            all()
        }
        Step::Zone(there) => {
            if *there {
                model
                    .world
                    .zones
                    .insert("shop".to_owned(), zone("shop.example.com", "ufp"));
            } else {
                model.world.zones.remove("shop");
            }
            all()
        }
        Step::Cluster(there) => {
            if *there && !model.world.clusters.contains_key(&cluster("c3")) {
                model.add_cluster("c3", "us", "us-a");
                model.put(&nginx(), "c3", Some(balancer(&["192.0.2.3"])));
            } else if !there {
                model.remove_cluster("c3");
            }
            all()
        }
    }
}

proptest! {
    #[test]
    fn deltas_add_up_to_the_names_of_the_world(steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model::new(&[("c1", "us", "us-a"), ("c2", "us", "us-a,us-b")]);
        let mut table = NameTable::default();
        let mut laid = Laid::new();
        for step in steps {
            let dirty = take(&mut model, &step);
            lay(&mut laid, &table.update(&model.world, dirty.clone()));
            prop_assert_eq!(table.update(&model.world, dirty), Vec::new());
            // From scratch; who has a name that several claim depends on who came first.
            let mut claims: BTreeMap<(DnsName, DnsName), Vec<RoutedName>> = BTreeMap::new();
            for key in keys() {
                for (zone, names) in discover(&model.world, &key).names {
                    for routed in names {
                        claims.entry((zone.clone(), routed.name.clone())).or_default().push(routed);
                    }
                }
            }
            prop_assert_eq!(laid.keys().collect::<Vec<_>>(), claims.keys().collect::<Vec<_>>());
            for (at, routed) in &laid {
                prop_assert!(claims[at].contains(routed), "{} is not what any claimant has", routed.name.as_str());
            }
            let taken = keys().iter().flat_map(|key| table.issues(key)).filter(|issue| issue.reason == "NameTaken").count();
            prop_assert_eq!(taken, claims.values().map(|claims| claims.len() - 1).sum::<usize>());
            let zones: BTreeSet<_> = laid.keys().map(|(zone, _)| zone.clone()).collect();
            for zone in zones {
                prop_assert_eq!(table.names_in(&zone).len(), laid.keys().filter(|(of, _)| *of == zone).count());
            }
        }
    }
}
