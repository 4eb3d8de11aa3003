//! The cases of federation v1 and of KubeFed, against what Meridian's server would answer.
//!
//! The originals wrote record sets; Meridian routes, so the cases are put as questions: a record set holds
//! if the clients near each cluster together are told exactly its data. Every case of the file is run, or
//! stands in a table below with the reason for the difference, or belongs to other work; a case that is
//! none of these fails the test, so that nothing is skipped in silence.

mod discovery_model;

use std::collections::{BTreeMap, BTreeSet};

use discovery_model::{Model, balancer, name, nginx, ready, zone};
use meridian_dns_core::RecordType;
use meridian_federation_core::{ClusterHealth, HealthSettings, Timestamp};
use serde_json::Value;

/// Differences that hold for every case, and why:
/// - the TTL is 30 s instead of 180 s: a failover that caches hide for three minutes is none;
/// - a global name that nothing serves exists without data (NODATA) where the original had no record: by
///   default it would even answer the best that is left, which `whenNoneHealthy: Empty` switches off here;
/// - every site has a name of its own, and named ports have SRV names, which the originals had not;
/// - one client gets the addresses of its nearest site, not the union of all sites.
const TTL: u32 = 30;

/// Cases whose result differs, and why. Each has its own test for what is right.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "v1_service",
        "delete-leaves-cnames",
        "the original leaks aliases for ever; here names end with the service",
    ),
    (
        "kubefed_service",
        "dns-prefix",
        "a DNSRoute host name answers addresses itself, not an alias to the global name",
    ),
    (
        "health_threshold",
        "first probe failed",
        "unknown is not dead: the first failure is one contrary result",
    ),
    (
        "health_threshold",
        "crosses threshold",
        "agreeing results fed the original's failure counter",
    ),
];

/// Sections that service discovery does not answer.
const ELSEWHERE: &[(&str, &str)] = &[
    ("kubefed_ingress", "names of Ingresses are not discovered yet"),
    (
        "cluster_local_kube_dns",
        "lookups from inside a cluster are the server's listener for clusters",
    ),
    ("cluster_local_coredns_federation_plugin", "as above"),
    (
        "rrset_equivalence",
        "comparing record sets is the provider's change plan",
    ),
];

fn file() -> Value {
    serde_json::from_str(include_str!("cases/dns_cases.json")).expect("valid JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not text"))
}

fn differs(section: &str, case: &str) -> bool {
    DIFFERENCES
        .iter()
        .any(|(of, named, _)| (*of, *named) == (section, case))
}

/// Runs the cases of a section that do not differ; run and documented ones together must be all.
fn run_section(section: &str, cases: &[Value], total: usize, run: impl Fn(&Value)) {
    let (documented, to_run): (Vec<_>, Vec<_>) = cases.iter().partition(|case| differs(section, text(&case["name"])));
    to_run.iter().for_each(|case| run(case));
    let known = DIFFERENCES.iter().filter(|(of, _, _)| *of == section).count();
    assert_eq!(
        documented.len(),
        known,
        "a documented difference of {section} names no case of the file"
    );
    assert_eq!(
        to_run.len() + documented.len(),
        total,
        "{section}: a case was added to the file or lost"
    );
}

/// Region and zones of a cluster, and its load balancer's addresses; `None` where the annotation does not
/// name the cluster.
struct Site<'a> {
    name: &'a str,
    region: &'a str,
    zones: String,
    ingress: Vec<&'a str>,
}

/// A fleet where a site without ingress entries has a load balancer and no ready endpoint, which is what
/// an empty list meant in both originals.
fn fleet(federation: &str, sites: &[Site<'_>]) -> Model {
    let places: Vec<_> = sites
        .iter()
        .map(|site| (site.name, site.region, site.zones.as_str()))
        .collect();
    let mut model = Model::new(&places);
    model
        .world
        .zones
        .insert("main".to_owned(), zone("example.com", federation));
    for site in sites {
        set_ingress(&mut model, site.name, &site.ingress);
    }
    model
}

fn set_ingress(model: &mut Model, site: &str, ingress: &[&str]) {
    if ingress.is_empty() {
        model.put(&nginx(), site, Some(balancer(&["203.0.113.200"])));
        model.slices(&nginx(), site, &[]);
    } else {
        model.put(&nginx(), site, Some(balancer(ingress)));
        model.slices(&nginx(), site, &[ready(1)]);
    }
}

fn ips(ingress: &Value) -> Vec<&str> {
    list(ingress).iter().map(|entry| text(&entry["ip"])).collect()
}

/// The names of a fleet are those expected, with that data.
#[track_caller]
fn check_records(case: &str, model: &Model, global: &str, expected: &BTreeMap<&str, (&str, BTreeSet<&str>)>) {
    let found = model.discover();
    let names = || found.names.values().flatten();
    assert!(names().all(|routed| routed.ttl == TTL), "{case}");
    let own = |text: &str| {
        model
            .world
            .clusters
            .keys()
            .any(|site| text.starts_with(&format!("{site}.")))
    };
    let published: BTreeSet<&str> = names()
        .map(|routed| routed.name.as_str())
        .filter(|text| !text.starts_with('_') && !own(text))
        .collect();
    let mut wanted: BTreeSet<&str> = expected.keys().copied().collect();
    if !wanted.is_empty() && wanted.insert(global) {
        assert_eq!(model.ask(global, RecordType::A), "NODATA", "{case}");
    }
    assert_eq!(published, wanted, "{case}");
    for (asked, (kind, data)) in expected {
        let (alias, addresses) = model.everybodys(asked);
        match *kind {
            "A" => {
                assert_eq!(
                    addresses.iter().map(String::as_str).collect::<BTreeSet<_>>(),
                    *data,
                    "{case}: {asked}"
                );
                assert_eq!(alias, None, "{case}: {asked}");
            }
            "CNAME" => assert_eq!(alias.as_deref(), data.first().copied(), "{case}: {asked}"),
            other => panic!("{case}: type {other}"),
        }
    }
}

/// Sets the world to what an annotation of federation v1 says.
fn annotate(model: &mut Model, annotation: &Value) {
    for entry in list(&annotation["items"]) {
        set_ingress(model, text(&entry["cluster"]), &ips(&entry["items"]));
    }
}

fn v1_fleet(file: &Value) -> Model {
    let mut model = Model::new(&[]);
    for site in list(&file["v1_clusters"]) {
        let zones: Vec<&str> = list(&site["zones"]).iter().map(text).collect();
        model.add_cluster(text(&site["name"]), text(&site["region"]), &zones.join(","));
    }
    model
}

fn expected_of<'a>(
    records: &'a Value,
    name: &str,
    kind: &str,
    data: &str,
) -> BTreeMap<&'a str, (&'a str, BTreeSet<&'a str>)> {
    let record = |record: &'a Value| {
        (
            text(&record[name]),
            (text(&record[kind]), list(&record[data]).iter().map(text).collect()),
        )
    };
    list(records).iter().map(record).collect()
}

#[test]
fn v1_service() {
    let file = file();
    run_section("v1_service", list(&file["v1_service"]), 5, |case| {
        let mut model = v1_fleet(&file);
        for step in list(&case["steps"]) {
            annotate(&mut model, &step["ingress_annotation"]);
            let expected = expected_of(&step["expected"], "name", "type", "data");
            check_records(text(&case["name"]), &model, "nginx.test.ufp.svc.example.com", &expected);
        }
    });
}

#[test]
fn v1_service_names_end_with_the_service() {
    let file = file();
    let case = list(&file["v1_service"])
        .iter()
        .find(|case| case["name"] == "delete-leaves-cnames")
        .expect("in the file");
    let [before, deleted] = list(&case["steps"]) else {
        panic!("two steps")
    };
    let mut model = v1_fleet(&file);
    annotate(&mut model, &before["ingress_annotation"]);
    let expected = expected_of(&before["expected"], "name", "type", "data");
    check_records(
        "before the deletion",
        &model,
        "nginx.test.ufp.svc.example.com",
        &expected,
    );
    assert_eq!(deleted["op"], "delete");
    for site in ["c1", "c2"] {
        model.put(&nginx(), site, None);
    }
    check_records(
        "after the deletion",
        &model,
        "nginx.test.ufp.svc.example.com",
        &BTreeMap::new(),
    );
    for leaked in list(&deleted["expected"]) {
        assert_eq!(model.ask(text(&leaked["name"]), RecordType::A), "NXDOMAIN");
    }
}

fn kubefed_fleet(case: &Value) -> Model {
    let sites: Vec<_> = list(&case["status"]["dns"])
        .iter()
        .map(|site| Site {
            name: text(&site["cluster"]),
            region: text(&site["region"]),
            zones: list(&site["zones"]).iter().map(text).collect::<Vec<_>>().join(","),
            ingress: ips(&site["loadBalancer"]["ingress"]),
        })
        .collect();
    fleet(text(&case["record"]["spec"]["domainRef"]), &sites)
}

#[test]
fn kubefed_service() {
    let file = file();
    run_section("kubefed_service", list(&file["kubefed_service"]), 8, |case| {
        let expected = expected_of(&case["expected"], "dnsName", "recordType", "targets");
        check_records(
            text(&case["name"]),
            &kubefed_fleet(case),
            "nginx.test.galactic.svc.example.com",
            &expected,
        );
    });
}

#[test]
fn kubefed_service_prefix_as_a_host_name() {
    let file = file();
    let case = list(&file["kubefed_service"])
        .iter()
        .find(|case| case["name"] == "dns-prefix")
        .expect("in the file");
    let mut model = kubefed_fleet(case);
    let mut expected = expected_of(&case["expected"], "dnsName", "recordType", "targets");
    let (_, global) = expected["nginx.test.galactic.svc.example.com"].clone();
    model.route("prefix", &nginx(), &["foo.example.com"], None);
    // The same clients get the same addresses, one lookup earlier.
    expected.insert("foo.example.com", ("A", global));
    check_records("dns-prefix", &model, "nginx.test.galactic.svc.example.com", &expected);
    assert_eq!(model.discover().names[&name("example.com")].len(), 15);
}

#[test]
fn every_section_is_accounted_for() {
    let file = file();
    let sections: BTreeSet<&str> = file
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let here = ["about", "v1_clusters", "v1_service", "kubefed_service"];
    let known: BTreeSet<&str> = here
        .into_iter()
        .chain(ELSEWHERE.iter().map(|(section, _)| *section))
        .collect();
    assert_eq!(sections, known);
    assert!(
        DIFFERENCES.iter().all(|(_, _, reason)| !reason.is_empty())
            && ELSEWHERE.iter().all(|(_, reason)| !reason.is_empty())
    );
}

fn threshold_cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("cases/kubefed_cases.json")).expect("valid JSON");
    list(&file["health_threshold"]["cases"]).to_vec()
}

fn thresholds() -> HealthSettings {
    HealthSettings {
        api_fall: 3,
        ..HealthSettings::default()
    }
}

fn probe(health: &mut ClusterHealth, ready: bool) {
    let result = if ready { Ok(()) } else { Err("refused".to_owned()) };
    health.api_result(result, &thresholds(), Timestamp(0));
}

/// A cluster in the stored state, which was then probed with the same result as often as the case says.
fn stored(case: &Value) -> ClusterHealth {
    let mut health = ClusterHealth::new(Timestamp(0));
    let was_ready = case["stored"] != "NotReady";
    let runs = if was_ready { 0 } else { thresholds().api_fall };
    for _ in 0..runs {
        probe(&mut health, was_ready);
    }
    for _ in 0..case["run"].as_u64().expect("a number") {
        probe(&mut health, was_ready);
    }
    assert_eq!(health.reachable(), was_ready);
    health
}

#[test]
fn health_threshold() {
    run_section("health_threshold", &threshold_cases(), 5, |case| {
        let mut health = stored(case);
        probe(&mut health, case["probe"] == "Ready");
        assert_eq!(health.reachable(), case["expected"] == "Ready", "{}", case["name"]);
    });
}

/// For the two cases that enshrine the counting of agreeing results: three contrary ones in a row decide.
#[test]
fn health_threshold_counts_contrary_results_only() {
    for case in threshold_cases()
        .iter()
        .filter(|case| differs("health_threshold", text(&case["name"])))
    {
        let mut health = stored(case);
        let verdicts: Vec<bool> = (0..3)
            .map(|_| {
                probe(&mut health, false);
                health.reachable()
            })
            .collect();
        assert_eq!(verdicts, [true, true, false], "{}", case["name"]);
    }
}
