//! RoutingPolicy objects and the routes that use them: people edit both by hand, so what was right stays in
//! use while something is wrong, and the route's condition names the object and the field.

mod support;

use meridian_controller_index::{Dirty, Event};
use serde_json::{Value, json};
use support::{Fixture, cluster_object, dynamic, nginx, nothing, route_object};

const HOST: &str = "www.example.com";
const GLOBAL: &str = "nginx.test.ufp.svc.example.com";

fn policy(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "meridian.dev/v1alpha1", "kind": "RoutingPolicy",
        "metadata": {"namespace": "test", "name": name, "resourceVersion": "1", "generation": 1}, "spec": spec,
    })
}

fn manual(name: &str, sites: &[&str]) -> Value {
    policy(name, json!({"type": "Manual", "sites": sites}))
}

fn route(fields: Value) -> Value {
    let mut route = route_object("www", "nginx", &[HOST]);
    for (field, value) in fields.as_object().expect("fields") {
        route["spec"][field] = value.clone();
    }
    route
}

struct Policies(Fixture);

impl Policies {
    /// Three clusters that serve nginx, and a route that refers to the policy `top`, which says c2.
    fn new() -> Self {
        let mut fixture = Fixture::new(&["c1", "c2", "c3"]);
        for (index, cluster) in ["c1", "c2", "c3"].iter().enumerate() {
            fixture.serve(cluster, &format!("192.0.2.{}", index + 1));
        }
        let mut policies = Self(fixture);
        policies.take(Event::Reset(vec![manual("top", &["c2"])]));
        policies.0.routes(Event::Apply(route(json!({"policyRef": "top"}))));
        policies.check("A 192.0.2.2", "True");
        policies
    }

    fn take(&mut self, event: Event<Value>) -> Dirty {
        let dirty = self.0.index.policies(dynamic(event));
        self.0.publish(&dirty);
        dirty
    }

    fn conditions(&self) -> Vec<(String, String, String)> {
        let object = self.0.index.route_object("test", "www").expect("the route");
        let status = self.0.index.route_status(object, self.0.now).expect("a status");
        let told = status.conditions.into_iter();
        told.map(|one| (one.type_, one.status, one.message)).collect()
    }

    fn message(&self) -> String {
        let told = self.conditions().into_iter();
        let mut of_policy = told.filter(|(kind, ..)| kind == "PolicyResolved");
        of_policy.next().expect("the condition").2
    }

    #[track_caller]
    fn check(&self, expected: &str, status: &str) {
        self.0.check(HOST, expected);
        self.0.check(GLOBAL, expected);
        let told = self.conditions().into_iter();
        let of_policy: Vec<_> = told.filter(|(kind, ..)| kind == "PolicyResolved").collect();
        assert_eq!(of_policy[0].1, status, "{of_policy:?}");
    }
}

#[test]
fn a_change_of_a_policy_is_answered_and_touches_only_the_services_that_use_it() {
    let mut policies = Policies::new();
    let dirty = policies.take(Event::Apply(manual("top", &["c3", "c1"])));
    assert_eq!(dirty.services, [nginx()].into());
    policies.check("A 192.0.2.3", "True");
    assert_eq!(policies.take(Event::Apply(manual("top", &["c3", "c1"]))), nothing());
    let dirty = policies.take(Event::Apply(manual("unused", &["c1"])));
    assert!(dirty.services.is_empty(), "{dirty:?}");
    // Through another policy.
    let shares =
        json!({"type": "Weighted", "branches": [{"policy": "unused", "weight": 1}, {"site": "c2", "weight": 0}]});
    policies.take(Event::Apply(policy("top", shares)));
    policies.check("A 192.0.2.1", "True");
    policies.take(Event::Apply(manual("unused", &["c3"])));
    policies.check("A 192.0.2.3", "True");
}

#[test]
fn what_is_wrong_is_told_by_its_field_and_the_last_good_routing_stays() {
    let geo = |rule: Value| json!({"type": "Geo", "rules": [rule], "otherwise": {"site": "c3"}});
    for (spec, field) in [
        (
            json!({"type": "Manual", "sites": ["c9"]}),
            "RoutingPolicy top, spec.sites[0]: there is no Cluster c9",
        ),
        (
            json!({"type": "Failover", "branches": [{"site": "c1"}, {"policy": "gone"}]}),
            "RoutingPolicy top, spec.branches[1].policy: there is no valid RoutingPolicy gone",
        ),
        (
            json!({"type": "Failover", "branches": [{"policy": "top"}]}),
            "RoutingPolicy top, spec.branches[0].policy: policies lead in a circle: top -> top",
        ),
    ] {
        let mut policies = Policies::new();
        policies.take(Event::Apply(policy("top", spec)));
        policies.check("A 192.0.2.2", "False");
        assert!(policies.message().starts_with(field), "{}", policies.message());
        // Repaired.
        policies.take(Event::Apply(manual("top", &["c3"])));
        policies.check("A 192.0.2.3", "True");
    }
    // What is wrong with the object itself is told there.
    for (spec, field) in [
        (
            json!({"type": "Weighted", "branches": [{"site": "c1", "weight": 0}]}),
            "spec.branches: all weights are 0",
        ),
        (
            geo(json!({"networks": ["192.0.2.0/40"], "site": "c1"})),
            "spec.rules[0].networks[0]: \"192.0.2.0/40\" is not a network",
        ),
        (
            geo(json!({"countries": ["1X"], "site": "c1"})),
            "spec.rules[0]: \"1X\" is not the code of a country",
        ),
        (
            geo(json!({"countries": ["DE"]})),
            "spec.rules[0]: name a site or a policy",
        ),
        (
            json!({"type": "Nearest", "branches": [{"site": "c1"}]}),
            "spec.branches: is not for type Nearest",
        ),
        (json!({"type": "Manual"}), "spec.sites: is empty"),
        (
            json!({"type": "Failover", "branches": [{"site": "c1", "weight": 1}]}),
            "spec.branches[0].weight: is for type Weighted",
        ),
        (
            json!({"type": "Latency", "latency": [{"network": "x", "sites": []}]}),
            "spec.latency[0].network: \"x\" is not a network",
        ),
    ] {
        let mut policies = Policies::new();
        let key = ("test".to_owned(), "top".to_owned());
        let dirty = policies.take(Event::Apply(policy("top", spec)));
        assert_eq!(dirty.policies, [key.clone()].into(), "{field}");
        policies.check("A 192.0.2.2", "True");
        let problem = policies
            .0
            .index
            .problem("RoutingPolicy", "test/top")
            .expect("a problem")
            .to_string();
        assert!(problem.starts_with(field), "{problem}");
        let object = policies.0.index.policy_object(&key).expect("the policy");
        let status = policies
            .0
            .index
            .policy_status(object, policies.0.now)
            .expect("a status");
        assert_eq!(
            (status.conditions[0].status.as_str(), status.observed_generation),
            ("False", Some(1))
        );
        assert!(status.conditions[0].message.starts_with(field));
    }
    // A policy that does not fit its type at all.
    let mut policies = Policies::new();
    policies.take(Event::Apply(policy("top", json!({"type": "Magic"}))));
    policies.check("A 192.0.2.2", "True");
}

#[test]
fn a_route_says_what_is_wrong_with_its_own_policy() {
    for (fields, expected) in [
        (
            json!({"policy": {"type": "Manual", "sites": ["c3", "c9"]}}),
            Err("spec.policy.sites[1]: there is no Cluster c9"),
        ),
        (
            json!({"policy": {"type": "Manual", "sites": ["c3"]}, "policyRef": "top"}),
            Ok("spec.policyRef: give policy or policyRef"),
        ),
        (
            json!({"policyRef": "top", "sticky": {"ipv4PrefixLength": 4}}),
            Ok("spec.sticky: ipv4PrefixLength is 8 to 32"),
        ),
        (
            json!({"policyRef": "top", "minimumHealthyPercent": 0}),
            Ok("spec.minimumHealthyPercent: must be 1 to 100"),
        ),
    ] {
        let mut policies = Policies::new();
        policies.0.routes(Event::Apply(route(fields)));
        policies.0.check(HOST, "A 192.0.2.2");
        match expected {
            Err(of_policy) => assert!(policies.message().starts_with(of_policy), "{}", policies.message()),
            Ok(of_object) => {
                let problem = policies
                    .0
                    .index
                    .problem("DNSRoute", "test/www")
                    .expect("a problem")
                    .to_string();
                assert!(problem.starts_with(of_object), "{problem}");
            }
        }
    }
}

#[test]
fn a_policy_ends_with_its_route_and_a_route_may_do_without() {
    let mut policies = Policies::new();
    policies.0.routes(Event::Apply(route(json!({}))));
    policies.check("A 192.0.2.1", "True");
    policies.0.routes(Event::Apply(route(json!({"policyRef": "top"}))));
    policies.check("A 192.0.2.2", "True");
    policies.0.routes(Event::Delete(route(json!({}))));
    policies.0.check(HOST, "NXDOMAIN");
    policies.0.check(GLOBAL, "A 192.0.2.1");
    // What was in use is not remembered for another route of that name.
    policies.0.routes(Event::Apply(route(json!({"policyRef": "gone"}))));
    policies.check("A 192.0.2.1", "False");
}

#[test]
fn a_deleted_policy_stays_in_use_where_it_is_referred_to() {
    let mut policies = Policies::new();
    policies.take(Event::Delete(manual("top", &["c2"])));
    policies.check("A 192.0.2.2", "False");
    policies.take(Event::Reset(vec![manual("top", &["c3"])]));
    policies.check("A 192.0.2.3", "True");
    policies.take(Event::Reset(Vec::new()));
    policies.check("A 192.0.2.3", "False");
}

#[test]
fn a_cluster_that_leaves_is_told_and_the_rest_of_the_policy_goes_on() {
    let mut policies = Policies::new();
    policies.take(Event::Apply(manual("top", &["c2", "c3"])));
    policies.0.clusters(Event::Delete(cluster_object("c2")));
    policies.check("A 192.0.2.3", "False");
    assert!(policies.message().contains("no Cluster c2"), "{}", policies.message());
    policies.0.clusters(Event::Apply(cluster_object("c2")));
    policies.0.list("c2");
    policies.0.serve("c2", "192.0.2.2");
    policies.check("A 192.0.2.2", "True");
    // With none of its clusters left a policy says nothing: nobody is told that there is nothing.
    policies.take(Event::Apply(manual("top", &["c2"])));
    policies.0.clusters(Event::Delete(cluster_object("c2")));
    policies.check("A 192.0.2.1", "False");
}

#[test]
fn before_everything_was_listed_nothing_missing_is_a_fault() {
    let mut policies = Policies(Fixture::empty());
    policies
        .0
        .zones(Event::Apply(support::zone_object("main", "example.com")));
    policies.0.routes(Event::Apply(route(json!({"policyRef": "top"}))));
    assert!(policies.message().starts_with("no policy"), "{}", policies.message());
    policies.take(Event::Reset(vec![manual("top", &["c2"])]));
    assert!(
        policies.message().starts_with("clients are routed by its policy"),
        "{}",
        policies.message()
    );
    policies
        .0
        .clusters(Event::Reset(vec![cluster_object("c1"), cluster_object("c2")]));
    for (cluster, address) in [("c1", "192.0.2.1"), ("c2", "192.0.2.2")] {
        policies.0.list(cluster);
        policies.0.serve(cluster, address);
    }
    policies
        .0
        .routes(Event::Reset(vec![route(json!({"policyRef": "top"}))]));
    policies.check("A 192.0.2.2", "True");
    let mut missing = Policies(Fixture::new(&["c1"]));
    missing.0.serve("c1", "192.0.2.1");
    missing.0.routes(Event::Apply(route(json!({"policyRef": "top"}))));
    missing.take(Event::Reset(Vec::new()));
    missing.check("A 192.0.2.1", "False");
}
