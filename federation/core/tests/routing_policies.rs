//! Policies by name: what they come to, what is wrong with them, and what a service's names make of them.
//!
//! Written as `name: type branches`; a branch with `@` leads to another policy.

mod discovery_model;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use discovery_model::{Model, cluster, name, nginx};
use meridian_dns_core::{Client, ClientKey, Question, RecordType, Step, explain};
use meridian_federation_core::{
    Branch, PolicyKey, PolicySource, RoutePolicy, RoutingPolicy, Slice, World, check_policy, resolve_policy,
};

const GLOBAL: &str = "nginx.test.ufp.svc.example.com";
const HOST: &str = "shop.example.com";

fn branch(text: &str) -> Branch {
    match text.strip_prefix('@') {
        Some(policy) => Branch::Policy(policy.to_owned()),
        None => Branch::Site(cluster(text)),
    }
}

/// `failover a @b`, `weighted a=2 b=0`, `manual a b`, `nearest`.
fn policy(text: &str) -> RoutingPolicy {
    let mut words = text.split(' ');
    let kind = words.next().expect("a type");
    let words: Vec<_> = words.collect();
    match kind {
        "failover" => RoutingPolicy::Failover(words.iter().map(|word| branch(word)).collect()),
        "weighted" => {
            let one = |word: &&str| {
                let (name, weight) = word.split_once('=').expect("a weight");
                (branch(name), weight.parse().expect("a number"))
            };
            RoutingPolicy::Weighted(words.iter().map(one).collect())
        }
        "manual" => RoutingPolicy::Manual(words.iter().map(|word| cluster(word)).collect()),
        _ => RoutingPolicy::Nearest {
            sites: None,
            within_km: None,
        },
    }
}

fn policies(lines: &[&str]) -> BTreeMap<PolicyKey, RoutingPolicy> {
    let one = |line: &&str| {
        let (name, text) = line.split_once(": ").expect("a name and a policy");
        (("test".to_owned(), name.to_owned()), policy(text))
    };
    lines.iter().map(one).collect()
}

fn route(source: PolicySource) -> RoutePolicy {
    RoutePolicy {
        source,
        key: ClientKey::default(),
        sticky: false,
    }
}

/// The faults of what the DNSRoute says, with those policies beside it and clusters a, b and c; and whether
/// it can be followed all the same.
#[track_caller]
fn check(lines: &[&str], source: PolicySource, usable: bool, expected: &[&str]) {
    let exists = |name: &meridian_federation_core::ClusterName| ["a", "b", "c"].contains(&name.as_str());
    let resolved = resolve_policy(&policies(lines), &exists, "test", &route(source));
    let faults: Vec<_> = resolved.faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults, expected);
    assert_eq!(resolved.policy.is_some(), usable);
}

fn reference(name: &str) -> PolicySource {
    PolicySource::Reference(name.to_owned())
}

fn inline(text: &str) -> PolicySource {
    PolicySource::Inline(policy(text))
}

#[test]
fn policies_compose_by_name() {
    let all = [
        "top: failover @shares c",
        "shares: weighted @inner=1 b=1",
        "inner: manual a b",
    ];
    check(&all, reference("top"), true, &[]);
    check(&all, inline("failover @shares @inner @shares"), true, &[]);
    check(&[], inline("nearest"), true, &[]);
}

#[test]
fn every_fault_names_the_object_and_the_field() {
    check(
        &["top: failover a @gone"],
        reference("top"),
        false,
        &[
            "RoutingPolicy top, spec.branches[1].policy: there is no valid RoutingPolicy gone in the namespace; correct the name, or make one",
        ],
    );
    check(
        &[],
        reference("top"),
        false,
        &["spec.policyRef: there is no valid RoutingPolicy top in the namespace; correct the name, or make one"],
    );
    // A cluster that is not there leaves the rest.
    check(
        &["top: weighted a=1 tokio=1"],
        inline("failover @top mars"),
        true,
        &[
            "RoutingPolicy top, spec.branches[1].site: there is no Cluster tokio; correct the name, or join the cluster",
            "spec.policy.branches[1].site: there is no Cluster mars; correct the name, or join the cluster",
        ],
    );
    check(
        &[],
        inline("manual b moon"),
        true,
        &["spec.policy.sites[1]: there is no Cluster moon; correct the name, or join the cluster"],
    );
    check(
        &["zero: weighted a=0 b=0"],
        inline("failover c @zero"),
        false,
        &["RoutingPolicy zero, spec.branches: all weights are 0, so nobody has a share; give one branch a weight"],
    );
    check(
        &[],
        inline("weighted a=0"),
        false,
        &["spec.policy.branches: all weights are 0, so nobody has a share; give one branch a weight"],
    );
}

#[test]
fn a_circle_is_told_by_its_members() {
    let circle =
        "RoutingPolicy c, spec.branches[1].policy: policies lead in a circle: b -> c -> b; take one reference away";
    let all = ["a: failover @b", "b: failover b @c", "c: failover c @b"];
    check(&all, reference("a"), false, &[circle]);
    let own = "RoutingPolicy d, spec.branches[0].policy: policies lead in a circle: d -> d; take one reference away";
    check(&["d: failover @d"], reference("d"), false, &[own]);
}

#[test]
fn policies_without_end_and_without_bound_are_refused() {
    let chain: Vec<_> = (0..10_000).map(|at| format!("p{at}: failover @p{}", at + 1)).collect();
    let chain: Vec<_> = chain.iter().map(String::as_str).collect();
    let deep = "RoutingPolicy p15, spec.branches[0].policy: more than 16 policies inside each other";
    check(&chain, reference("p0"), false, &[deep]);
    let mut wide: Vec<_> = (0..14)
        .map(|at| format!("p{at}: weighted @p{}=1 @q{at}=1", at + 1))
        .collect();
    wide.extend((0..14).map(|at| format!("q{at}: failover @p{0} @p{0}", at + 1)));
    wide.push("p14: manual a".to_owned());
    let wide: Vec<_> = wide.iter().map(String::as_str).collect();
    let exists = |_: &meridian_federation_core::ClusterName| true;
    let resolved = resolve_policy(&policies(&wide), &exists, "test", &route(reference("p0")));
    assert_eq!((resolved.policy, resolved.faults.len()), (None, 1));
    assert_eq!(resolved.faults[0].reason(), "PolicyRefused");
}

#[test]
fn a_policy_is_checked_by_itself_whatever_it_leads_to() {
    assert_eq!(check_policy(&policy("failover @x a @y")), Ok(()));
    let error = check_policy(&policy("weighted @x=0 a=0")).expect_err("nobody has a share");
    assert_eq!(error.field, "branches");
    let error = check_policy(&policy("weighted @x=1 @x=2")).expect_err("twice the same");
    assert_eq!(error.field, "branches[1]");
}

/// Three clusters that serve nginx, and a route with a host name and that policy.
fn fleet(text: &str) -> Model {
    let mut model = Model::new(&[("a", "us", "us-a"), ("b", "eu", "eu-a"), ("c", "as", "as-a")]);
    for (index, name) in ["a", "b", "c"].iter().enumerate() {
        model.serve(name, &[&format!("192.0.2.{}", index + 1)]);
    }
    model.route("shop", &nginx(), &[HOST], None);
    use_policy(&mut model.world, "shop", text);
    model
}

fn use_policy(world: &mut World, id: &str, text: &str) {
    let resolved = resolve_policy(&BTreeMap::new(), &|_| true, "test", &route(inline(text)));
    let policy = Arc::new(resolved.policy.expect("a good policy"));
    world.policies_in_use.insert(("test".to_owned(), id.to_owned()), policy);
}

#[test]
fn host_names_and_the_global_name_follow_the_policy_and_others_do_not() {
    let model = fleet("manual c b");
    for asked in [HOST, GLOBAL] {
        assert_eq!(model.ask(asked, RecordType::A), "A 192.0.2.3", "{asked}");
    }
    assert_eq!(
        model.ask(&format!("_http._tcp.{GLOBAL}"), RecordType::Srv),
        format!("SRV 80 c.{GLOBAL}")
    );
    assert_eq!(
        model.ask("nginx.test.ufp.svc.us.example.com", RecordType::A),
        "A 192.0.2.1"
    );
    assert_eq!(model.ask(&format!("a.{GLOBAL}"), RecordType::A), "A 192.0.2.1");
}

#[test]
fn each_route_has_a_policy_of_its_own_and_the_first_by_name_has_the_services() {
    let mut model = fleet("manual c");
    model.route("other", &nginx(), &["other.example.com"], None);
    model.route("plain", &nginx(), &["plain.example.com"], None);
    use_policy(&mut model.world, "other", "manual b");
    assert_eq!(model.ask(HOST, RecordType::A), "A 192.0.2.3");
    assert_eq!(model.ask("other.example.com", RecordType::A), "A 192.0.2.2");
    assert_eq!(model.ask("plain.example.com", RecordType::A), "A 192.0.2.1");
    assert_eq!(model.ask(GLOBAL, RecordType::A), "A 192.0.2.2");
}

#[test]
fn a_share_of_the_endpoints_may_be_asked_for() {
    let slice = |ready, serving, total| Slice { ready, serving, total };
    for (percent, slices, serves) in [
        (None, slice(1, 0, 10), true),
        (None, slice(0, 1, 10), true),
        (None, slice(0, 0, 10), false),
        (Some(50), slice(5, 0, 10), true),
        (Some(51), slice(5, 0, 10), false),
        (Some(100), slice(9, 0, 10), false),
        (Some(100), slice(10, 0, 10), true),
        // In a roll-out those on their way out do not count.
        (Some(100), slice(10, 10, 20), true),
        // None is ready: those that still serve are what is left.
        (Some(50), slice(0, 5, 10), true),
        (Some(50), slice(0, 4, 10), false),
        (Some(1), slice(0, 0, 10), false),
        (Some(1), slice(0, 0, 0), false),
    ] {
        let mut model = fleet("nearest");
        model.slices(&nginx(), "a", &[slices]);
        let routes = model.world.routes.values_mut();
        routes.for_each(|route| route.minimum_healthy_percent = percent);
        let expected = if serves { "A 192.0.2.1" } else { "A 192.0.2.2" };
        for asked in [HOST, GLOBAL] {
            assert_eq!(model.ask(asked, RecordType::A), expected, "{percent:?} of {slices:?}");
        }
    }
    // Another route of the service has a measure of its own.
    let mut model = fleet("nearest");
    model.route("strict", &nginx(), &["strict.example.com"], None);
    let id = ("test".to_owned(), "strict".to_owned());
    model
        .world
        .routes
        .get_mut(&id)
        .expect("the route")
        .minimum_healthy_percent = Some(60);
    model.slices(&nginx(), "a", &[slice(1, 0, 2)]);
    assert_eq!(model.ask("strict.example.com", RecordType::A), "A 192.0.2.2");
    assert_eq!(model.ask(HOST, RecordType::A), "A 192.0.2.1");
}

#[test]
fn what_if_is_the_same_function_over_a_changed_copy_of_the_world() {
    let model = fleet("failover c b");
    let steps = |model: &Model| {
        let question = Question {
            name: name(HOST),
            record_type: RecordType::A,
        };
        let client = Client::at(IpAddr::from([203, 0, 113, 9]));
        let steps = explain(&model.snapshot(), &question, client).steps;
        let told: Vec<_> = steps.iter().filter(|step| !matches!(step, Step::Zone { .. })).collect();
        told.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let client = "client 203.0.113.9 is in no known network; sites by weight";
    let policy = "policy: failover along 2 branches";
    let reserve = "site a is in reserve, but its policy does not name it";
    assert_eq!(
        steps(&model),
        [client, policy, "site c is chosen", "site b is in reserve", reserve]
    );
    let mut without = model.clone();
    without.world.clusters.remove(&cluster("c"));
    assert_eq!(steps(&without), [client, policy, "site b is chosen", reserve]);
    let mut drained = model.clone();
    drained.cluster("c").traffic = meridian_dns_core::Traffic::Drained;
    assert_eq!(
        steps(&drained),
        [
            client,
            policy,
            "site c is passed over: drained by the operator",
            "site b is chosen",
            reserve
        ]
    );
    // Nothing was asked of the first world that could have changed it.
    assert_eq!(steps(&model)[2], "site c is chosen");
}
