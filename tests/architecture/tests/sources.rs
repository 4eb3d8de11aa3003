//! What every source file must have, and what the pure ones must not.
//!
//! What must stay true: a file that cargo does not compile is a finding, whatever is in it. Code that
//! is not compiled is not tested, and reads as if it were.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use meridian_architecture::{
    Kind, Module, OTHER_WORKSPACE, Package, Token, files, lines_of_code, modules, paths, read, report, root, shown,
    tokens, workspace,
};

/// More lines than this are two files.
const MOST_LINES: usize = 700;

/// A crate with less code than this is a placeholder.
const LEAST_CODE: usize = 20;

/// The Rust files of a package by path, without those of packages inside it.
fn sources(package: &Package, all: &[Package]) -> BTreeMap<PathBuf, String> {
    let inner = |path: &Path| {
        let mut others = all.iter().filter(|other| other.directory != package.directory);
        others.any(|other| other.directory.starts_with(&package.directory) && path.starts_with(&other.directory))
    };
    let rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs") && !inner(path);
    let found = files(&package.directory).into_iter().filter(rust);
    found.filter_map(|path| read(&path).map(|text| (path, text))).collect()
}

/// Every Rust file of the workspace.
fn all_sources() -> BTreeMap<PathBuf, String> {
    let packages = workspace(&root()).packages;
    let found: BTreeMap<_, _> = packages
        .iter()
        .flat_map(|package| sources(package, &packages))
        .collect();
    assert!(
        found.contains_key(&root().join(file!())),
        "this file is not among the sources"
    );
    found
}

/// Where a module's file may be, seen from the file that declares it.
fn places(from: &Path, is_root: bool, module: &Module) -> Vec<PathBuf> {
    let directory = from.parent().unwrap_or(Path::new(""));
    if let (Some(path), true) = (&module.path, module.inside.is_empty()) {
        return vec![directory.join(path)];
    }
    let owns_directory = is_root || from.file_name().is_some_and(|name| name == "mod.rs");
    let mut below = if owns_directory {
        directory.to_owned()
    } else {
        from.with_extension("")
    };
    below.extend(&module.inside);
    match &module.path {
        Some(path) => vec![below.join(path)],
        None => vec![
            below.join(format!("{}.rs", module.name)),
            below.join(&module.name).join("mod.rs"),
        ],
    }
}

/// The files no crate root leads to.
fn orphans(files: &BTreeMap<PathBuf, String>, roots: &[PathBuf]) -> Vec<PathBuf> {
    let mut reached = BTreeSet::new();
    let mut todo: Vec<PathBuf> = roots.to_vec();
    while let Some(path) = todo.pop() {
        let Some(text) = files.get(&path) else {
            continue;
        };
        if reached.insert(path.clone()) {
            let found = modules(&tokens(text));
            todo.extend(
                found
                    .iter()
                    .flat_map(|module| places(&path, roots.contains(&path), module)),
            );
        }
    }
    files.keys().filter(|path| !reached.contains(*path)).cloned().collect()
}

#[test]
fn every_file_is_compiled() {
    let packages = workspace(&root()).packages;
    let mut everywhere = files(&root());
    everywhere.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    everywhere.retain(|path| !path.starts_with(root().join(OTHER_WORKSPACE)));
    everywhere.retain(|path| !packages.iter().any(|package| path.starts_with(&package.directory)));
    let inside = packages
        .iter()
        .flat_map(|package| orphans(&sources(package, &packages), &package.roots));
    let found: Vec<String> = everywhere
        .into_iter()
        .chain(inside)
        .map(|path| format!("{}: no `mod` line leads here", shown(&root(), &path)))
        .collect();
    let why = "a file without a `mod` is not compiled and its tests never run; add the line or delete the file";
    report("every Rust file is a module of a crate", why, &found);
}

/// The attributes of a file: line, first word, and all words.
fn attributes(tokens: &[Token]) -> Vec<(usize, Vec<&str>)> {
    let mut found = Vec::new();
    for (index, token) in tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| token.kind == Kind::Mark('#'))
    {
        let mut rest = tokens[index + 1..]
            .iter()
            .skip_while(|token| token.kind == Kind::Mark('!'))
            .peekable();
        if rest.peek().is_none_or(|token| token.kind != Kind::Mark('[')) {
            continue;
        }
        let (mut depth, mut words) = (0, Vec::new());
        for token in rest {
            match &token.kind {
                Kind::Mark('[') => depth += 1,
                Kind::Mark(']') => depth -= 1,
                Kind::Word(word) => words.push(word.as_str()),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        found.push((token.line, words));
    }
    found
}

/// What is wrong with a file's form.
fn form(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push("1: does not start with a `//!` header".to_owned());
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        found.push(format!(
            "{lines} lines, more than {MOST_LINES}: look for the second thing in it"
        ));
    }
    for (line, words) in attributes(&tokens(text)) {
        if words.first() == Some(&"ignore") || words.first() == Some(&"cfg_attr") && words.contains(&"ignore") {
            found.push(format!("{line}: an ignored test"));
        }
    }
    for (index, line) in text.lines().enumerate() {
        let fence = line
            .trim_start()
            .trim_start_matches(['/', '!'])
            .trim_start()
            .strip_prefix("```");
        if fence.is_some_and(|language| language.split(',').any(|word| word.trim() == "ignore")) {
            found.push(format!("{}: an ignored example", index + 1));
        }
    }
    found
}

#[test]
fn every_file_has_a_header_and_one_subject_and_runs_its_tests() {
    let mut found = Vec::new();
    for (path, text) in all_sources() {
        found.extend(
            form(&text)
                .into_iter()
                .map(|what| format!("{}:{what}", shown(&root(), &path))),
        );
    }
    let why = "the header says what must stay true and what was refused, which the code cannot; a file past 700 lines has \
        a second subject; a test that is ignored protects nobody";
    report("the form of a source file", why, &found);
}

#[test]
fn every_crate_has_content() {
    let packages = workspace(&root()).packages;
    let mut found = Vec::new();
    for package in &packages {
        let (source, files) = (package.directory.join("src"), sources(package, &packages));
        let inside = files.iter().filter(|(path, _)| path.starts_with(&source));
        let code: usize = inside.map(|(_, text)| lines_of_code(text)).sum();
        if code < LEAST_CODE {
            found.push(format!("{}: {code} lines of code", package.name));
        }
    }
    let why = "a crate on the map that has nothing in it promises what is not there";
    report("every crate has content", why, &found);
}

/// What sources of pure crates do not name, and why.
const IMPURE: &[(&[&str], &str)] = &[
    (&["SystemTime", "Instant"], "time is a parameter"),
    (
        &["std::fs", "std::process", "std::thread", "std::os"],
        "a decision reads its arguments, not the machine",
    ),
    (&["std::env"], "settings are parameters, parsed once at the border"),
    (
        &[
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "UnixListener",
            "ToSocketAddrs",
        ],
        "sockets belong to dns-server, controller-probe and the runtime",
    ),
    (
        &["HashMap", "HashSet", "RandomState"],
        "their order differs from run to run; ordered maps give the same bytes",
    ),
    (
        &["tokio", "futures", "kube", "k8s_openapi", "hyper", "hickory_proto"],
        "no runtime, no client and no wire format",
    ),
    (&["rand", "getrandom", "fastrand"], "choice is a parameter"),
    (
        &["chrono", "jiff", "time::OffsetDateTime"],
        "time is a parameter, in the core's own type",
    ),
    (
        &["println", "eprintln", "print", "eprint", "dbg"],
        "a decision returns what it has to say",
    ),
];

/// Whether the parts of `name` stand next to each other in `path`.
fn contains(path: &str, name: &str) -> bool {
    let (path, name): (Vec<&str>, Vec<&str>) = (path.split("::").collect(), name.split("::").collect());
    path.windows(name.len()).any(|window| window == name)
}

fn impure(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (line, path) in paths(&tokens(text)) {
        for (names, why) in IMPURE {
            if names.iter().any(|name| contains(&path, name)) {
                found.push(format!("{line}: `{path}`: {why}"));
            }
        }
    }
    found
}

#[test]
fn pure_crates_have_no_clock_no_chance_and_no_machine() {
    let packages = workspace(&root()).packages;
    let mut found = Vec::new();
    for name in ["meridian-dns-core", "meridian-federation-core"] {
        let package = packages.iter().find(|package| package.name == name);
        let package = package.unwrap_or_else(|| panic!("{name} is not a member"));
        let source = package.directory.join("src");
        let inside = sources(package, &packages)
            .into_iter()
            .filter(|(path, _)| path.starts_with(&source));
        for (path, text) in inside {
            found.extend(
                impure(&text)
                    .into_iter()
                    .map(|what| format!("{}:{what}", shown(&root(), &path))),
            );
        }
    }
    let why = "the same world at the same time gives the same bytes, on every replica and in every replay; \
        pass the time, the choice or the data in as an argument";
    report("what pure crates name", why, &found);
}

#[test]
fn a_file_nobody_declares_is_reported() {
    let made_up = [
        (
            "a/src/lib.rs",
            "mod one;\n// mod forgotten;\nmod inline { mod deep; }\n#[path = \"odd/name.rs\"]\nmod two;",
        ),
        ("a/src/one.rs", "mod leaf; mod branch;"),
        ("a/src/one/leaf.rs", ""),
        ("a/src/one/branch/mod.rs", "mod twig;"),
        ("a/src/one/branch/twig.rs", ""),
        ("a/src/inline/deep.rs", ""),
        ("a/src/odd/name.rs", ""),
        ("a/src/forgotten.rs", "mod lost;"),
        ("a/src/forgotten/lost.rs", ""),
        ("a/src/leaf.rs", ""),
        ("a/tests/flow.rs", "mod support;"),
        ("a/tests/support/mod.rs", ""),
        ("a/tests/other/mod.rs", ""),
    ];
    let files = made_up
        .map(|(path, text)| (PathBuf::from(path), text.to_owned()))
        .into();
    let found = orphans(&files, &["a/src/lib.rs".into(), "a/tests/flow.rs".into()]);
    let expected = [
        "a/src/forgotten/lost.rs",
        "a/src/forgotten.rs",
        "a/src/leaf.rs",
        "a/tests/other/mod.rs",
    ];
    assert_eq!(found, expected.map(PathBuf::from));
}

#[test]
fn a_file_of_bad_form_is_reported() {
    assert_eq!(
        form("//! Fine.\n#![allow(x)]\n#[test]\nfn ignore() { \"#[ignore]\"; } // #[ignore]\n"),
        [""; 0]
    );
    assert_eq!(form("use x;\n"), ["1: does not start with a `//!` header"]);
    assert_eq!(
        form("//! x\n#[test]\n#[ignore = \"slow\"]\nfn f() {}\n"),
        ["3: an ignored test"]
    );
    assert_eq!(
        form("//! x\n#[cfg_attr(not(unix), ignore)]\nfn f() {}\n"),
        ["2: an ignored test"]
    );
    assert_eq!(form("//! x\n//! ```rust,ignore\n//! ```\n"), ["2: an ignored example"]);
    let long = "//! x\n".repeat(MOST_LINES + 1);
    assert_eq!(
        form(&long),
        ["701 lines, more than 700: look for the second thing in it"]
    );
}

#[test]
fn an_impure_source_is_reported() {
    let fine = "//! Instant::now()\nuse std::net::IpAddr;\nuse std::time::Duration;\nfn f(rest: &str) { env!(\"X\"); }";
    assert_eq!(impure(fine), [""; 0]);
    for source in [
        "use std::{collections::BTreeMap, fs as files};",
        "let now = std::time::SystemTime::now();",
        "use std::time::{Duration, Instant};",
        "let x = std::env::var(\"X\");",
        "use std::net::{IpAddr, UdpSocket};",
        "use std::collections::HashMap;",
        "tokio::spawn(f());",
        "println!(\"x\");",
    ] {
        assert_eq!(impure(source).len(), 1, "{source}");
    }
}

#[test]
fn little_code_is_seen_as_little() {
    assert_eq!(lines_of_code("//! Being written.\nfn main() {}\n"), 1);
    assert!(lines_of_code(include_str!("sources.rs")) > LEAST_CODE);
}
