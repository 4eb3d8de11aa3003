//! Who may use whom: the edges between our crates, and who may use which crate of others.
//!
//! What must stay true: every member has a row in [`EDGES`], so that a new crate is a decision; normal
//! and build dependencies count, dev-dependencies do not, because a test may look at anything.
//!
//! Refused: forbidding edges one by one. What is not allowed here is forbidden, which also holds for
//! crates nobody has thought of yet.

use std::collections::BTreeMap;

use meridian_architecture::{Need, Package, forbidden_chains, report, root, workspace};

/// A member, the members it may use, and why not more.
struct Edges {
    member: &'static str,
    may_use: &'static [&'static str],
    why: &'static str,
}

const CORES_AND_API: &[&str] = &[
    "meridian-dns-core",
    "meridian-federation-api",
    "meridian-federation-core",
];

const EDGES: &[Edges] = &[
    Edges {
        member: "meridian-dns-core",
        may_use: &[],
        why: "what a name means depends on nothing else; everybody may depend on it",
    },
    Edges {
        member: "meridian-federation-core",
        may_use: &["meridian-dns-core"],
        why: "decisions are plain functions of a world and a time; of ours they need only the names they decide about",
    },
    Edges {
        member: "meridian-federation-api",
        may_use: &[],
        why: "the resource types are what users write; they must not change because a decision's types did",
    },
    Edges {
        member: "meridian-dns-server",
        may_use: &["meridian-dns-core"],
        why: "the server answers from a table and must not be able to ask Kubernetes or a decision anything",
    },
    Edges {
        member: "meridian-dns-geo",
        may_use: &["meridian-dns-core"],
        why: "it reads files into what dns-core decides by; a reader that knew who asks would decide itself",
    },
    Edges {
        member: "meridian-controller-index",
        may_use: CORES_AND_API,
        why: "the index turns Kubernetes types into core types; it neither serves nor writes",
    },
    Edges {
        member: "meridian-controller-apply",
        may_use: CORES_AND_API,
        why: "effects carry out what was decided; an effect that reads the index would decide again",
    },
    Edges {
        member: "meridian-controller-probe",
        may_use: &["meridian-federation-core"],
        why: "the prober opens sockets; when to probe and what it means is a decision of federation-core",
    },
    Edges {
        member: "meridian",
        may_use: &[
            "meridian-controller-apply",
            "meridian-controller-index",
            "meridian-controller-probe",
            "meridian-dns-core",
            "meridian-dns-geo",
            "meridian-dns-server",
            "meridian-envtest",
            "meridian-federation-api",
            "meridian-federation-core",
            "meridian-simcluster",
        ],
        why: "the binary wires everything together, and the demo brings its own clusters; nobody uses the binary",
    },
    Edges {
        member: "meridian-simcluster",
        may_use: &[],
        why: "a simulated cluster that shared our types would share our misunderstandings of Kubernetes",
    },
    Edges {
        member: "meridian-envtest",
        may_use: &[],
        why: "it starts somebody else's programs; what the project thinks of Kubernetes must not get into them",
    },
    Edges {
        member: "meridian-kube-conformance",
        may_use: &["meridian-envtest", "meridian-simcluster"],
        why: "the suite holds clusters against Kubernetes' documentation, and knows nothing of what runs on them",
    },
    Edges {
        member: "meridian-hostile",
        may_use: &["meridian-dns-core", "meridian-dns-server"],
        why: "it attacks the DNS server as it is; what stands around the server is not its subject",
    },
    Edges {
        member: "meridian-architecture",
        may_use: &[],
        why: "the rules look at the other crates from outside",
    },
    Edges {
        member: "xtask",
        may_use: &[],
        why: "the project's commands must build when the project does not",
    },
];

/// Crates of others, by the start of their names, that only some members may name as a dependency.
struct Reserved {
    crates: &'static [&'static str],
    only_for: &'static [&'static str],
    why: &'static str,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        crates: &["hickory-", "domain"],
        only_for: &["meridian-dns-server", "meridian-hostile"],
        why: "wire libraries change their types with every release; one crate translates them, the others know only \
            dns-core; fuzz targets read replies with a library of others",
    },
    Reserved {
        crates: &["maxminddb"],
        only_for: &["meridian-dns-geo"],
        why: "a file format is one adapter's business; the rest knows networks and places",
    },
    Reserved {
        crates: &["aws-"],
        only_for: &[],
        why: "the AWS SDK is the most expensive thing to build; it belongs in one provider crate, which does not exist yet",
    },
    Reserved {
        crates: &["kube", "k8s-openapi"],
        only_for: &[
            "meridian-federation-api",
            "meridian-controller-",
            "meridian",
            "meridian-simcluster",
            "meridian-envtest",
            "meridian-kube-conformance",
        ],
        why: "Kubernetes types stop at the index; what the cores and the DNS server know of a cluster is in core types",
    },
    Reserved {
        crates: &["tokio", "futures"],
        only_for: &[
            "meridian-dns-server",
            "meridian-controller-apply",
            "meridian-controller-probe",
            "meridian",
            "meridian-simcluster",
            "meridian-envtest",
            "meridian-kube-conformance",
            "meridian-hostile",
        ],
        why: "cores, resource types and the index are synchronous: time and arrival are parameters, so tests need no runtime",
    },
    Reserved {
        crates: &["rand", "getrandom", "fastrand", "chrono", "jiff", "time"],
        only_for: &[
            "meridian-federation-api",
            "meridian-dns-server",
            "meridian-controller-",
            "meridian",
            "meridian-simcluster",
        ],
        why: "the cores have no clock and no random source: the same world at the same time gives the same bytes",
    },
];

const PURE: &[&str] = &["meridian-dns-core", "meridian-federation-core"];

const NOT_BELOW_PURE: &[&str] = &["tokio", "kube", "k8s-openapi", "hickory-", "hyper", "aws-"];

const WHY_PURE: &str = "a pure crate cannot do I/O because nothing below it can; a dependency that brings a runtime or a \
    client along makes every decision's test slower and tempts the next change to use it";

/// Whether `name` is `pattern`, or starts with it if it ends in `-`.
fn matches(pattern: &str, name: &str) -> bool {
    name == pattern || pattern.ends_with('-') && name.starts_with(pattern)
}

fn any_matches(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

fn forbidden_edges(packages: &[Package]) -> Vec<String> {
    let ours = |name: &str| packages.iter().any(|package| package.name == name);
    let mut found = Vec::new();
    for package in packages {
        let Some(row) = EDGES.iter().find(|row| row.member == package.name) else {
            found.push(format!("{}: no row in EDGES; decide what it may use", package.name));
            continue;
        };
        for need in package.needs.iter().filter(|need| ours(&need.name)) {
            if !row.may_use.contains(&need.name.as_str()) {
                let (from, to, kind) = (&package.name, &need.name, &need.kind);
                found.push(format!("{from} -> {to} ({kind} dependency): {}", row.why));
            }
        }
    }
    let gone = EDGES.iter().filter(|row| !ours(row.member));
    found.extend(gone.map(|row| format!("{}: has a row in EDGES but is no member; remove the row", row.member)));
    found
}

fn reserved_crates(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        for need in &package.needs {
            for rule in RESERVED.iter().filter(|rule| any_matches(rule.crates, &need.name)) {
                if !any_matches(rule.only_for, &package.name) {
                    let (from, to, kind) = (&package.name, &need.name, &need.kind);
                    found.push(format!("{from} -> {to} ({kind} dependency): {}", rule.why));
                }
            }
        }
    }
    found
}

#[test]
fn our_crates_use_only_what_the_map_allows() {
    let why = "the map in the README is what a reader relies on to find things and to know what cannot happen; \
        each row of EDGES has its own reason, and a new edge changes the map and the row together";
    report(
        "edges between our crates",
        why,
        &forbidden_edges(&workspace(&root()).packages),
    );
}

#[test]
fn crates_of_others_stay_where_they_belong() {
    let why = "each row of RESERVED has its own reason; translate at the border instead of passing the foreign type on";
    report(
        "who may use crates of others",
        why,
        &reserved_crates(&workspace(&root()).packages),
    );
}

#[test]
fn pure_crates_lead_to_no_runtime_and_no_client() {
    let workspace = workspace(&root());
    let mut found = Vec::new();
    for name in PURE {
        let package = workspace.packages.iter().find(|package| package.name == *name);
        let package = package.unwrap_or_else(|| panic!("{name} is not a member"));
        assert!(
            workspace.graph.contains_key(&package.id),
            "{} is not in the graph",
            package.id
        );
        found.extend(forbidden_chains(&package.id, &workspace.graph, |name| {
            any_matches(NOT_BELOW_PURE, name)
        }));
    }
    report("what pure crates lead to", WHY_PURE, &found);
}

/// A crate that must not be in the lock file, and why.
const KEPT_OUT: &[(&str, &str, &str)] = &[
    (
        "aws-lc-sys",
        "",
        "needs a C compiler and cmake, and a second crypto provider makes rustls panic; `ring` is ours",
    ),
    (
        "aws-lc-rs",
        "",
        "brings aws-lc-sys; turn off the default features of what wants it, and choose `ring`",
    ),
    (
        "openssl-sys",
        "",
        "needs the system's OpenSSL; the image and `cargo install` must need nothing but Rust",
    ),
    ("native-tls", "", "brings openssl-sys; choose rustls with `ring`"),
    (
        "hyper",
        "0.14.",
        "a second HTTP stack doubles what must be built, audited and patched",
    ),
];

fn kept_out(lock: &str) -> Vec<String> {
    let lines: Vec<&str> = lock.lines().collect();
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches([' ', '=', '"']).to_owned());
    let packages = lines
        .windows(2)
        .filter_map(|pair| Some((value(pair[0], "name =")?, value(pair[1], "version =")?)));
    let mut found = Vec::new();
    for (name, version) in packages {
        let rows = KEPT_OUT
            .iter()
            .filter(|(kept_out, prefix, _)| *kept_out == name && version.starts_with(prefix));
        found.extend(rows.map(|(_, _, why)| format!("{name} {version}: {why} (`cargo tree -i {name}` says who)")));
    }
    found
}

#[test]
fn native_crates_stay_out_of_the_lock_file() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is there");
    assert!(
        lock.contains("name = \"ring\""),
        "the lock file is not read as it is written"
    );
    let why =
        "the project builds from a fresh clone with nothing but Rust; the lock file has the crates of every platform";
    report("crates that stay out of the graph", why, &kept_out(&lock));
}

fn package(name: &str, needs: &[(&str, &str)]) -> Package {
    let need = |(name, kind): &(&str, &str)| Need {
        name: (*name).to_owned(),
        kind: (*kind).to_owned(),
    };
    Package {
        name: name.to_owned(),
        id: format!("{name} 0.1.0"),
        directory: "made/up".into(),
        roots: Vec::new(),
        needs: needs.iter().map(need).collect(),
    }
}

/// All members as they may be, with one of them replaced.
fn members_with(changed: Package) -> Vec<Package> {
    let others = EDGES.iter().filter(|row| row.member != changed.name);
    let mut packages: Vec<Package> = others.map(|row| package(row.member, &[])).collect();
    packages.push(changed);
    packages
}

#[test]
fn a_wrong_edge_is_reported_with_its_reason() {
    let check = |name, needs: &[(&str, &str)]| forbidden_edges(&members_with(package(name, needs)));
    assert_eq!(
        check(
            "meridian-federation-core",
            &[("meridian-dns-core", "normal"), ("serde", "normal")]
        ),
        [""; 0]
    );
    let found = check("meridian-dns-core", &[("meridian-federation-core", "build")]);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("meridian-dns-core -> meridian-federation-core (build dependency): what a name"));
    assert_eq!(
        check("meridian-new", &[]),
        ["meridian-new: no row in EDGES; decide what it may use"]
    );
    assert_eq!(forbidden_edges(&[]).len(), EDGES.len());
}

#[test]
fn a_reserved_crate_is_reported_with_its_reason() {
    let check = |name, needs: &[(&str, &str)]| reserved_crates(&[package(name, needs)]);
    assert_eq!(
        check("meridian-controller-index", &[("kube", "normal"), ("jiff", "normal")]),
        [""; 0]
    );
    assert_eq!(
        check(
            "meridian-dns-server",
            &[("hickory-proto", "normal"), ("tokio", "normal")]
        ),
        [""; 0]
    );
    for (member, dependency) in [
        ("meridian", "hickory-proto"),
        ("meridian", "aws-config"),
        ("meridian-dns-server", "kube"),
        ("meridian-federation-core", "jiff"),
        ("meridian-dns-core", "getrandom"),
        ("meridian-controller-index", "tokio"),
    ] {
        let found = check(member, &[(dependency, "normal")]);
        assert_eq!(found.len(), 1, "{member} -> {dependency}");
        assert!(
            found[0].starts_with(&format!("{member} -> {dependency} (normal dependency): ")),
            "{found:?}"
        );
    }
}

#[test]
fn what_pure_crates_must_not_reach_is_recognised() {
    let graph = BTreeMap::from([(
        "core 1".to_owned(),
        vec!["hickory-proto 0.26.3".to_owned(), "ipnet 2.0.0".to_owned()],
    )]);
    let found = forbidden_chains("core 1", &graph, |name| any_matches(NOT_BELOW_PURE, name));
    assert_eq!(found, ["core 1 -> hickory-proto 0.26.3"]);
    assert!(
        !any_matches(NOT_BELOW_PURE, "kubert"),
        "a name without a dash is meant exactly"
    );
}

#[test]
fn a_kept_out_crate_in_a_lock_file_is_reported() {
    let lock = "[[package]]\nname = \"hyper\"\nversion = \"0.14.32\"\n\n[[package]]\nname = \"hyper\"\nversion = \"1.12.0\"\n\
        \n[[package]]\nname = \"openssl-sys\"\nversion = \"0.9.1\"\ndependencies = [\n \"native-tls\",\n]\n";
    let found = kept_out(lock);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("hyper 0.14.32: ") && found[1].starts_with("openssl-sys 0.9.1: "));
}
