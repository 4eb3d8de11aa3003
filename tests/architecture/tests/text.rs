//! What no file of the repository may contain: traces of the machine it was written on.
//!
//! What must stay true: the rules name kinds of traces, never a particular machine, so that this file
//! is not a trace itself. That is also why the examples below are put together from parts.

use meridian_architecture::{read, report, root, shown, tracked_files};

/// Words that make a host name that of a package registry or of a mirror of one.
const REGISTRY_WORDS: &[&str] = &[
    "registry",
    "registries",
    "mirror",
    "mirrors",
    "artifactory",
    "nexus",
    "crates",
    "pypi",
    "pythonhosted",
    "npmjs",
];

/// How a host name ends; without one of these it is a path in code, such as `self.registry.len`.
const TOP_LEVELS: &[&str] = &[
    "com", "org", "net", "io", "dev", "cloud", "internal", "local", "lan", "corp", "intra", "home",
];

/// The only place the lock file names: cargo's own name for the public registry, whatever serves it.
const LOCK_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// The first path of somebody's home directory in a line.
fn home_path(line: &str) -> Option<String> {
    let name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    for (start, owner_follows) in [("/root/", false), ("/home/", true), ("/Users/", true)] {
        for (at, _) in line.match_indices(start) {
            // `https://host/home/x` and `a/root/b` are not paths from the top.
            if line[..at]
                .chars()
                .next_back()
                .is_some_and(|before| name(before) || "/$}".contains(before))
            {
                continue;
            }
            let rest = &line[at + start.len()..];
            let owner: String = rest.chars().take_while(|c| name(*c)).collect();
            if !owner.is_empty() && (!owner_follows || rest[owner.len()..].starts_with('/')) {
                return Some(format!("{start}{owner}"));
            }
        }
    }
    None
}

/// The first host name of a registry in a line.
fn registry_host(line: &str) -> Option<&str> {
    let host = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    line.split(|c: char| !host(c)).find(|word| {
        let labels: Vec<&str> = word.trim_matches('.').split('.').collect();
        let (Some(top), true) = (labels.last(), labels.len() > 1) else {
            return false;
        };
        let mut words = labels[..labels.len() - 1].iter().flat_map(|label| label.split('-'));
        TOP_LEVELS.contains(top) && words.any(|word| REGISTRY_WORDS.contains(&word))
    })
}

/// What is wrong with a file's text, with the line.
fn traces(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if let Some(path) = home_path(line) {
            found.push(format!("{number}: a path of one machine: {path}"));
        }
        let source = line.trim();
        if source.starts_with("source = \"registry+") || source.starts_with("source = \"sparse+") {
            if source != LOCK_SOURCE {
                found.push(format!(
                    "{number}: a crate from elsewhere than the public registry: {source}"
                ));
            }
        } else if let Some(host) = registry_host(line) {
            found.push(format!("{number}: a package registry: {host}"));
        }
        let settings = ["[source.", "[registries", "[registry]", "replace-with"];
        if settings.iter().any(|setting| source.starts_with(setting)) {
            found.push(format!("{number}: a setting of one machine's registry: {source}"));
        }
    }
    found
}

#[test]
fn no_file_tells_where_it_was_written() {
    let files = tracked_files(&root());
    assert!(
        files.contains(&root().join("Cargo.lock")),
        "the lock file is not among the files"
    );
    let mut found = Vec::new();
    for path in files {
        let Some(text) = read(&path) else {
            continue;
        };
        found.extend(
            traces(&text)
                .into_iter()
                .map(|what| format!("{}:{what}", shown(&root(), &path))),
        );
    }
    let why = "a path or a registry of one machine works there and nowhere else, and tells strangers about it; \
        use a path relative to the repository, and keep registry settings in the user's own cargo configuration";
    report("no traces of a machine", why, &found);
}

#[test]
fn a_trace_is_reported() {
    let check = |parts: &[&str]| traces(&parts.concat());
    assert_eq!(
        check(&["cd ", "/ro", "ot/project"]),
        [["1: a path of one machine: /ro", "ot/project"].concat()]
    );
    assert_eq!(
        check(&["x\n\"/ho", "me/jane/x\""]),
        [["2: a path of one machine: /ho", "me/jane"].concat()]
    );
    assert_eq!(check(&["/Us", "ers/jane/x"]).len(), 1);
    assert_eq!(check(&["url = https://art", "ifactory.example.com/api"]).len(), 1);
    assert_eq!(check(&["index.cra", "tes.io"]).len(), 1);
    assert_eq!(check(&["http://npm-mir", "ror.corp:8081/"]).len(), 1);
    assert_eq!(check(&["source = \"regi", "stry+https://example.com/index\""]).len(), 1);
    assert_eq!(check(&["[sou", "rce.x]\nreplace", "-with = \"y\""]).len(), 2);
}

#[test]
fn ordinary_text_is_no_trace() {
    for line in [
        LOCK_SOURCE,
        "let found = self.registry.get(name).io();",
        "https://example.com/home/page/x and a/root/b",
        "$HOME/.cache, ${XDG_CACHE_HOME:-$HOME/.cache}/x",
        "the /root/ of a tree; /home/ alone",
        "the registry. In crates, mirrors are",
        "const ROOT: &str = \"/root\";",
    ] {
        assert_eq!(traces(line), [""; 0], "{line}");
    }
}
