//! What a signer is told, and what a person is told.
//!
//! Findings are written in a few words: `kind name`, then the closest encloser, the wildcard and the
//! types, where there are any.

mod support;

use meridian_dns_core::{Finding, answer, explain};
use support::{OREGON, TOKYO, World, absolute, ask, client, question, relative, world};

fn words(finding: &Finding) -> String {
    let mut text = format!("{:?} {}", finding.kind, relative(&finding.name));
    for (mark, name) in [(" in", &finding.closest_encloser), (" by", &finding.wildcard)] {
        if let Some(name) = name {
            text.push_str(&format!("{mark} {}", relative(name)));
        }
    }
    for record_type in &finding.types {
        text.push_str(&format!(" {record_type}"));
    }
    assert_eq!(finding.zone, absolute("@"));
    text
}

#[track_caller]
fn check(world: &World, text: &str, expected: &[&str]) {
    for from in [TOKYO, OREGON] {
        let answer = ask(&world.snapshot(), from, text);
        let found: Vec<_> = answer.findings.iter().map(words).collect();
        assert_eq!(found, expected, "{text} from {from}");
    }
}

fn mixed() -> World {
    world()
        .https("web", &["h2"])
        .name(
            "_h._tcp.web",
            meridian_dns_core::Fallback::Upper(absolute("_h._tcp")),
            &[("tokyo", "srv:own.tokyo:80")],
        )
        .records(&[
            "@ 60 MX 10 ns1",
            "*.any 60 TXT x",
            "a 60 CNAME b.any",
            "old 60 DNAME any",
            "signed 60 NS ns1",
            "signed 60 DS x",
            "plain 60 NS ns1",
            "w 60 TXT x",
            "w 60 CAA x",
        ])
}

#[test]
fn every_name_of_the_chain_is_found_out() {
    check(&mixed(), "w TXT", &["Data w"]);
    check(&mixed(), "w A", &["NoData w TXT CAA"]);
    check(&mixed(), "any A", &["NoData any"]);
    check(&mixed(), "@ A", &["NoData @ NS SOA MX"]);
    check(&mixed(), "web TXT", &["NoData web A HTTPS"]);
    check(&mixed(), "_h._tcp.web TXT", &["NoData _h._tcp.web SRV"]);
    check(&mixed(), "x.absent A", &["NameError x.absent in @"]);
    check(&mixed(), "x.web A", &["NameError x.web in web"]);
    check(&mixed(), "y.x.any TXT", &["Data y.x.any in any by *.any"]);
    check(&mixed(), "x.any A", &["NoData x.any in any by *.any TXT"]);
    check(&mixed(), "a TXT", &["Alias a", "Data b.any in any by *.any"]);
    check(&mixed(), "a CNAME", &["Data a"]);
    check(
        &mixed(),
        "x.old TXT",
        &["SubtreeAlias x.old", "Data x.any in any by *.any"],
    );
    check(&mixed(), "x.signed A", &["Referral signed NS DS"]);
    check(&mixed(), "x.plain A", &["Referral plain NS"]);
    check(&mixed(), "plain DS", &["NoData plain NS"]);
    check(&mixed(), "elsewhere.test. A", &[]);
    check(&mixed().incomplete(), "absent A", &[]);
}

#[test]
fn types_are_those_of_the_moment() {
    let down = mixed().dead("tokyo").dead("taipei");
    // An alias now, for every type.
    check(&down, "web.asia TXT", &["Alias web.asia", "NoData web A HTTPS"]);
    check(&down, "web.asia ANY", &["Data web.asia"]);
    check(&down, "web.asia A", &["Alias web.asia", "Data web"]);
}

#[track_caller]
fn explained(world: &World, from: &str, text: &str, expected: &[&str]) {
    let (snapshot, question) = (world.snapshot(), question(text));
    let explanation = explain(&snapshot, &question, client(from));
    let steps: Vec<_> = explanation.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, expected, "{text} from {from}");
    assert_eq!(explanation.answer, answer(&snapshot, &question, client(from)));
}

#[test]
fn what_answers_also_explains() {
    explained(
        &world().dead("tokyo").unhealthy("web.asia", "taipei"),
        TOKYO,
        "web.asia A",
        &[
            "web.asia.example.test. lies in zone example.test.",
            "client 100.64.1.9 is in network 100.64.1.0/24 of site tokyo",
            "no site of web.asia.example.test. serves",
            "site tokyo (0 km) is passed over: its data path is dead",
            "site taipei (2099 km) is passed over: unhealthy: no ready endpoints",
            "not all sites serve: TTL 15 s instead of 30 s",
            "alias to web.example.test.",
            "web.example.test. lies in zone example.test.",
            "client 100.64.1.9 is in network 100.64.1.0/24 of site tokyo",
            "site tokyo (0 km) is passed over: its data path is dead",
            "site taipei (2099 km) is chosen",
            "site oregon (7793 km) is in reserve",
            "not all sites serve: TTL 15 s instead of 30 s",
        ],
    );
    explained(
        &world()
            .drained("tokyo")
            .drained("taipei")
            .drained("oregon")
            .internal("web", "oregon", "172.16.3.1"),
        "192.0.2.1 100.64.3.200/32 trusted",
        "web A",
        &[
            "web.example.test. lies in zone example.test.",
            "client 100.64.3.200 is in network 100.64.3.0/24 of site oregon",
            "no site of web.example.test. serves",
            "site tokyo (7793 km) is passed over: drained by the operator",
            "site taipei (9842 km) is passed over: drained by the operator",
            "site oregon (0 km) is chosen as the best that is left, internal addresses",
        ],
    );
    explained(
        &mixed(),
        "192.0.2.1",
        "a TXT",
        &[
            "a.example.test. lies in zone example.test.",
            "static CNAME records of a.example.test. answer",
            "alias to b.any.example.test.",
            "b.any.example.test. lies in zone example.test.",
            "it does not exist; wildcard *.any.example.test. stands in",
            "static TXT records of *.any.example.test. answer",
        ],
    );
    explained(
        &world(),
        TOKYO,
        "elsewhere.test. A",
        &["no zone here has elsewhere.test."],
    );
}
