//! Events of members: what each makes dirty, and that nothing else does.
//!
//! A watch delivers the same object many times: after a re-list, and for changes of fields that nobody
//! here reads. Each such event that wakes somebody is multiplied by clusters and services, so the first
//! table says that they wake nobody. The rest is about what may take something away: an observed
//! deletion or a list without the object, from the cluster that we joined, and nothing else.

mod support;

use meridian_controller_index::{DiscoveryEvent, Event, WatchFailure};
use meridian_dns_core::{Client, DnsName, Question, RecordType, answer};
use meridian_federation_core::{DiscoveryKind, Freshness, Identity, Timestamp};
use serde_json::{Value, json};
use support::{
    Fixture, NOW, apply_node, apply_service, apply_slice, cluster_object, name, nginx, node_object, nothing,
    reset_nodes, reset_services, reset_slices, route_object, service_object, slice_object, typed,
};

const GLOBAL: &str = "nginx.test.ufp.svc.example.com";

fn serving() -> Fixture {
    let mut fixture = Fixture::new(&["c1", "c2"]);
    fixture.serve("c1", "192.0.2.1");
    fixture.serve("c2", "192.0.2.2");
    fixture.check(GLOBAL, "A 192.0.2.1");
    fixture
}

/// The object with other metadata, as somebody else's write leaves it.
fn touched(mut object: Value) -> Value {
    object["metadata"]["resourceVersion"] = json!("2");
    object["metadata"]["annotations"] = json!({"someone": "was here"});
    object["metadata"]["managedFields"] = json!([{"manager": "someone", "operation": "Update", "apiVersion": "v1"}]);
    object
}

#[test]
fn a_no_op_event_wakes_nobody() {
    let mut fixture = serving();
    fixture.take("c1", apply_node(node_object("n1", "us", "us-a")));
    let service = || service_object("nginx", "192.0.2.1");
    let slice = || slice_object("nginx-1", "nginx", &[true]);
    let mut spec = service();
    spec["spec"]["sessionAffinity"] = json!("ClientIP");
    spec["spec"]["ports"][0]["nodePort"] = json!(30000);
    let mut moved = slice();
    moved["endpoints"][0]["addresses"] = json!(["10.0.0.77"]);
    for event in [
        apply_service(service()),
        apply_service(touched(service())),
        apply_service(spec),
        reset_services(vec![touched(service())]),
        apply_slice(slice()),
        apply_slice(touched(slice())),
        apply_slice(moved),
        reset_slices(vec![slice()]),
        apply_node(node_object("n1", "us", "us-a")),
        apply_node(touched(node_object("n1", "us", "us-a"))),
        reset_nodes(vec![node_object("n1", "us", "us-a")]),
        DiscoveryEvent::Services(Event::Delete(typed(service_object("unheard-of", "192.0.2.7")))),
        DiscoveryEvent::Slices(Event::Delete(typed(slice_object("unheard-of", "nginx", &[true])))),
        DiscoveryEvent::Nodes(Event::Delete(typed(node_object("unheard-of", "us", "us-a")))),
    ] {
        let shown = format!("{event:?}");
        assert_eq!(fixture.take("c1", event), nothing(), "{shown}");
    }
}

#[test]
fn a_reset_removes_exactly_what_is_missing() {
    let mut fixture = serving();
    fixture.take("c1", apply_service(service_object("other", "192.0.2.9")));
    fixture.take("c1", apply_slice(slice_object("other-1", "other", &[true])));
    let dirty = fixture.take("c1", reset_services(vec![service_object("other", "192.0.2.9")]));
    assert_eq!(dirty.services, [nginx()].into());
    fixture.check(GLOBAL, "A 192.0.2.2");
    fixture.check("c1.nginx.test.ufp.svc.example.com", "NXDOMAIN");
    fixture.check("other.test.ufp.svc.example.com", "A 192.0.2.9");
    let dirty = fixture.take("c1", reset_slices(vec![slice_object("nginx-1", "nginx", &[true])]));
    assert_eq!(dirty.services.len(), 1, "only the service whose slice is gone");
    fixture.check("other.test.ufp.svc.example.com", "NODATA");
}

#[test]
fn a_deleted_service_takes_its_names_also_while_slices_are_left() {
    let mut fixture = serving();
    fixture.take(
        "c1",
        DiscoveryEvent::Services(Event::Delete(typed(service_object("nginx", "192.0.2.1")))),
    );
    fixture.check(GLOBAL, "A 192.0.2.2");
    fixture.take(
        "c2",
        DiscoveryEvent::Services(Event::Delete(typed(service_object("nginx", "192.0.2.2")))),
    );
    fixture.check(GLOBAL, "NXDOMAIN");
    fixture.take(
        "c2",
        DiscoveryEvent::Slices(Event::Delete(typed(slice_object("nginx-1", "nginx", &[true])))),
    );
    fixture.serve("c2", "192.0.2.3");
    fixture.check(GLOBAL, "A 192.0.2.3");
}

#[test]
fn a_slice_relabelled_to_another_service_counts_there_alone() {
    let mut fixture = serving();
    fixture.take("c1", apply_service(service_object("other", "192.0.2.9")));
    fixture.check("other.test.ufp.svc.example.com", "NODATA");
    let dirty = fixture.take("c1", apply_slice(slice_object("nginx-1", "other", &[true])));
    assert_eq!(dirty.services.len(), 2, "the one it left and the one it came to");
    fixture.check("other.test.ufp.svc.example.com", "A 192.0.2.9");
    fixture.check(GLOBAL, "A 192.0.2.2");
    // Without the label it belongs nowhere.
    let mut unlabelled = slice_object("nginx-1", "other", &[true]);
    unlabelled["metadata"]["labels"] = json!({});
    fixture.take("c1", apply_slice(unlabelled));
    fixture.check("other.test.ufp.svc.example.com", "NODATA");
}

#[test]
fn several_slices_of_a_service_add_up() {
    let mut fixture = serving();
    fixture.take("c1", apply_slice(slice_object("nginx-2", "nginx", &[true, false])));
    fixture.take("c1", apply_slice(slice_object("nginx-1", "nginx", &[false])));
    fixture.check(GLOBAL, "A 192.0.2.1");
    fixture.take(
        "c1",
        DiscoveryEvent::Slices(Event::Delete(typed(slice_object("nginx-2", "nginx", &[])))),
    );
    fixture.check(GLOBAL, "A 192.0.2.2");
}

#[test]
fn events_of_an_unknown_cluster_are_dropped() {
    let mut fixture = Fixture::new(&["c1"]);
    for event in [
        apply_service(service_object("nginx", "192.0.2.1")),
        reset_slices(Vec::new()),
        apply_node(node_object("n", "us", "a")),
    ] {
        assert_eq!(fixture.take("nowhere", event), nothing());
    }
    let unknown = name("nowhere");
    assert_eq!(
        fixture
            .index
            .watch_failed(&unknown, DiscoveryKind::Services, &WatchFailure::NotServed, NOW),
        nothing()
    );
    assert_eq!(fixture.index.identity(&unknown, Ok(()), NOW), nothing());
    assert_eq!(fixture.index.api_result(&unknown, Ok(()), NOW), nothing());
    assert!(fixture.index.world().services.is_empty() && fixture.index.world().members.len() == 1);
}

#[test]
fn nothing_is_believed_from_another_cluster_under_the_address() {
    let mut fixture = serving();
    let c1 = name("c1");
    let dirty = fixture.index.identity(&c1, Err("uid-other".to_owned()), NOW);
    assert_eq!(dirty.clusters, [c1.clone()].into());
    assert_eq!(
        fixture
            .index
            .identity(&c1, Err("uid-other".to_owned()), Timestamp(NOW.0 + 1)),
        nothing()
    );
    for event in [
        reset_services(Vec::new()),
        reset_slices(Vec::new()),
        apply_service(service_object("nginx", "192.0.2.66")),
    ] {
        assert_eq!(fixture.take("c1", event), nothing());
    }
    fixture.check(GLOBAL, "A 192.0.2.1");
    let (status, message) = fixture.condition("c1", "Ready");
    assert_eq!(status, "False/WrongIdentity");
    assert!(message.contains("uid-other") && message.contains("uid-c1"), "{message}");
    assert!(matches!(fixture.index.world().members[&c1].identity, Identity::Wrong { since, .. } if since == NOW));
    // The right one is back.
    fixture.index.identity(&c1, Ok(()), NOW);
    fixture.take("c1", reset_services(Vec::new()));
    fixture.check(GLOBAL, "A 192.0.2.2");
    fixture.take("c1", reset_slices(Vec::new()));
    fixture.take("c1", reset_nodes(Vec::new()));
    assert_eq!(fixture.condition("c1", "Ready").0, "True/Watching");
}

#[test]
fn a_new_uid_on_the_cluster_object_is_asked_for_anew() {
    let mut fixture = serving();
    fixture.index.identity(&name("c1"), Err("uid-new".to_owned()), NOW);
    let mut object = cluster_object("c1");
    object["spec"]["uid"] = json!("uid-new");
    fixture.clusters(Event::Apply(object));
    assert_eq!(
        fixture.index.world().members[&name("c1")].identity,
        Identity::Unverified
    );
}

#[test]
fn a_broken_watch_withdraws_nothing() {
    let mut fixture = serving();
    let c1 = name("c1");
    for kind in [DiscoveryKind::Services, DiscoveryKind::Slices, DiscoveryKind::Nodes] {
        let dirty = fixture
            .index
            .watch_failed(&c1, kind, &WatchFailure::Broken("403".to_owned()), NOW);
        assert!(dirty.services.is_empty() && !dirty.sites && !dirty.zones);
        assert_eq!(dirty.clusters, [c1.clone()].into());
        assert_eq!(fixture.publish(&dirty), [""; 0]);
        assert!(matches!(
            fixture.index.world().freshness(&c1, kind),
            Freshness::Stale { .. }
        ));
        // It broke already.
        assert_eq!(
            fixture
                .index
                .watch_failed(&c1, kind, &WatchFailure::Broken("403".to_owned()), NOW),
            nothing()
        );
    }
    assert!(fixture.index.health()[&c1].wants_rounds(), "the data path is looked at");
    assert_eq!(fixture.condition("c1", "Ready").0, "False/Stale");
    fixture.check(GLOBAL, "A 192.0.2.1");
    // A watch that delivers again is fresh, and only the conditions differ.
    let dirty = fixture.take("c1", reset_services(vec![service_object("nginx", "192.0.2.1")]));
    assert_eq!((dirty.services.len(), dirty.clusters.len(), dirty.zones), (0, 1, false));
}

#[test]
fn names_survive_an_outage_of_the_api() {
    let mut fixture = serving();
    let c1 = name("c1");
    for second in 0..10 {
        let dirty = fixture
            .index
            .api_result(&c1, Err("timed out".to_owned()), Timestamp(NOW.0 + second));
        assert!(dirty.services.is_empty() && !dirty.sites);
        assert_eq!(
            dirty.clusters.len(),
            usize::from(second == 2),
            "conditions change once, after the third"
        );
        fixture.publish(&dirty);
    }
    assert!(!fixture.index.reachable(&c1));
    fixture.check(GLOBAL, "A 192.0.2.1");
    fixture.check("nginx.test.ufp.svc.us-a.us.example.com", "A 192.0.2.1");
    // Probes say that the data path is lost too: a site, and no name.
    let first = fixture.index.round_result(&c1, Some(false), NOW);
    assert!(!first.sites);
    let verdict = fixture.index.round_result(&c1, Some(false), NOW);
    assert!(verdict.sites && verdict.services.is_empty());
    assert_eq!(fixture.publish(&verdict), [""; 0]);
    fixture.check(GLOBAL, "A 192.0.2.2");
    let back = fixture.index.round_result(&c1, Some(true), NOW);
    fixture.publish(&back);
    fixture.check(GLOBAL, "A 192.0.2.1");
}

#[test]
fn a_changed_place_of_the_nodes_republishes_region_and_zone_names() {
    let mut fixture = Fixture::empty();
    let mut object = cluster_object("c1");
    object["spec"]["region"] = Value::Null;
    object["spec"]["zones"] = json!([]);
    fixture.clusters(Event::Reset(vec![object]));
    fixture.zones(Event::Reset(vec![support::zone_object("main", "example.com")]));
    fixture.routes(Event::Reset(Vec::new()));
    fixture.list("c1");
    fixture.serve("c1", "192.0.2.1");
    let dirty = fixture.take("c1", apply_node(node_object("n1", "us", "us-a")));
    assert!(dirty.sites && dirty.services == [nginx()].into() && dirty.clusters.len() == 1);
    fixture.check("nginx.test.ufp.svc.us-a.us.example.com", "A 192.0.2.1");
    // A second node in the same place is none of anybody's business; one in another zone is.
    assert_eq!(
        fixture.take("c1", apply_node(node_object("n2", "us", "us-a"))),
        nothing()
    );
    fixture.take("c1", apply_node(node_object("n2", "us", "us-b")));
    fixture.check("nginx.test.ufp.svc.us-b.us.example.com", "A 192.0.2.1");
    fixture.take("c1", reset_nodes(vec![node_object("n3", "eu", "eu-a")]));
    fixture.check("nginx.test.ufp.svc.us-b.us.example.com", "NXDOMAIN");
    fixture.check("nginx.test.ufp.svc.eu-a.eu.example.com", "A 192.0.2.1");
}

#[test]
fn clients_inside_are_told_the_internal_addresses() {
    let mut fixture = serving();
    let mut inside = cluster_object("c1");
    inside["spec"]["internalNetworks"] = json!(["10.20.0.0/16"]);
    fixture.clusters(Event::Apply(inside.clone()));
    let annotated = |text: &str| {
        let mut object = service_object("nginx", "192.0.2.1");
        object["metadata"]["annotations"] = json!({"meridian.dev/internal-addresses": text});
        apply_service(object)
    };
    fixture.take("c1", annotated("10.20.0.7, fd00::7, nonsense"));
    let (within, without) = ([10, 20, 1, 1].into(), [10, 21, 1, 1].into());
    assert_eq!(fixture.ask_from(within, GLOBAL), "A 10.20.0.7");
    assert_eq!(fixture.ask_from(without, GLOBAL), "A 192.0.2.1");
    // A bad network keeps the good ones.
    inside["spec"]["internalNetworks"] = json!(["10.20.0.0/99"]);
    fixture.clusters(Event::Apply(inside));
    assert!(
        fixture
            .condition("c1", "Accepted")
            .1
            .contains("spec.internalNetworks[0]")
    );
    assert_eq!(fixture.ask_from(within, GLOBAL), "A 10.20.0.7");
    fixture.take("c1", annotated(""));
    assert_eq!(fixture.ask_from(within, GLOBAL), "A 192.0.2.1");
}

#[test]
fn a_route_for_https_has_records_that_say_so() {
    let mut fixture = serving();
    let mut route = route_object("web", "nginx", &["www.example.com"]);
    let question = Question {
        name: DnsName::parse("www.example.com").expect("a name"),
        record_type: RecordType::Https,
    };
    let told = |fixture: &Fixture| {
        let answer = answer(&fixture.snapshot, &question, Client::at([203, 0, 113, 9].into()));
        let sets = answer.answers.iter().flat_map(|set| &set.data);
        sets.map(ToString::to_string).collect::<Vec<_>>()
    };
    fixture.routes(Event::Apply(route.clone()));
    assert_eq!(told(&fixture), [""; 0]);
    route["spec"]["https"] = json!({"alpn": ["h2"], "port": 8443});
    fixture.routes(Event::Apply(route.clone()));
    let with_hints = ["1 . alpn=h2 port=8443 ipv4hint=192.0.2.1"];
    assert_eq!(told(&fixture), with_hints);
    // What cannot be is refused, and what was good stays.
    route["spec"]["https"] = json!({"alpn": [""]});
    fixture.routes(Event::Apply(route));
    assert_eq!(told(&fixture), with_hints);
}
