//! What every manifest must have: the workspace's lints, the workspace's versions, a place in it.
//!
//! Refused: reading manifests with a parser of the whole format. `cargo metadata` has already parsed
//! them, but does not tell what was inherited; the few lines that matter here are headers and keys.

use std::path::{Path, PathBuf};

use meridian_architecture::{OTHER_WORKSPACE, files, read, report, root, shown, workspace};

/// The tables of a manifest: name and entries, each entry on one line.
fn tables(manifest: &str) -> Vec<(String, Vec<String>)> {
    let mut found = vec![(String::new(), Vec::new())];
    let mut entry = String::new();
    for line in manifest.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if entry.is_empty() && line.starts_with('[') {
            let name = line.split(']').next().unwrap_or(line).trim_start_matches('[');
            found.push((name.trim().to_owned(), Vec::new()));
            continue;
        }
        entry.push_str(line);
        let open = entry.matches(['[', '{']).count();
        if open > entry.matches([']', '}']).count() {
            entry.push(' ');
        } else if let Some((_, entries)) = found.last_mut() {
            entries.push(std::mem::take(&mut entry));
        }
    }
    found
}

/// Whether an entry such as `x.workspace = true` or `x = { workspace = true }` says so.
fn inherits(entry: &str) -> bool {
    let compact: String = entry.chars().filter(|c| !c.is_whitespace()).collect();
    let (key, value) = compact.split_once('=').unwrap_or((&compact, ""));
    (key == "workspace" || key.ends_with(".workspace")) && value == "true"
        || ["{workspace=true}", "{workspace=true,"]
            .iter()
            .any(|start| value.starts_with(start))
        || value.contains(",workspace=true")
}

/// What is wrong with a member's manifest.
fn not_inherited(manifest: &str) -> Vec<String> {
    let tables = tables(manifest);
    let mut found = Vec::new();
    let lints = tables
        .iter()
        .any(|(name, entries)| name == "lints" && entries.iter().any(|entry| inherits(entry)));
    if !lints {
        found.push("no `[lints] workspace = true`".to_owned());
    }
    for (name, entries) in &tables {
        let last = name.rsplit('.').next().unwrap_or(name);
        if last.ends_with("dependencies") {
            let own = entries.iter().filter(|entry| !inherits(entry));
            found.extend(own.map(|entry| format!("[{name}] {entry}: not `workspace = true`")));
        } else if name.contains("dependencies.") && !entries.iter().any(|entry| inherits(entry)) {
            found.push(format!("[{name}]: not `workspace = true`"));
        }
    }
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        let mut package = tables
            .iter()
            .filter(|(name, _)| name == "package")
            .flat_map(|(_, entries)| entries);
        if !package.any(|entry| entry.starts_with(key) && inherits(entry)) {
            found.push(format!("[package] {key}: not inherited from the workspace"));
        }
    }
    found
}

/// The manifests that belong to no member.
fn strays(manifests: &[PathBuf], root: &Path, members: &[PathBuf]) -> Vec<PathBuf> {
    let known = |manifest: &PathBuf| {
        let directory = manifest.parent().unwrap_or(manifest);
        directory == root || members.iter().any(|member| member == directory)
    };
    manifests.iter().filter(|manifest| !known(manifest)).cloned().collect()
}

#[test]
fn members_inherit_lints_and_versions() {
    let mut found = Vec::new();
    for package in workspace(&root()).packages {
        let path = package.directory.join("Cargo.toml");
        let manifest = read(&path).expect("a manifest is text");
        found.extend(
            not_inherited(&manifest)
                .into_iter()
                .map(|what| format!("{}: {what}", shown(&root(), &path))),
        );
    }
    let why = "lints that one crate does not have are not the project's; a version named twice becomes two versions, \
        two builds and types that do not fit; put it in [workspace.dependencies]";
    report("manifests inherit from the workspace", why, &found);
}

#[test]
fn every_manifest_is_a_member() {
    let mut manifests = files(&root());
    manifests.retain(|path| path.file_name().is_some_and(|name| name == "Cargo.toml"));
    manifests.retain(|path| !path.starts_with(root().join(OTHER_WORKSPACE)));
    let members: Vec<PathBuf> = workspace(&root())
        .packages
        .into_iter()
        .map(|package| package.directory)
        .collect();
    assert!(
        manifests.len() > members.len(),
        "the walk found fewer manifests than cargo knows"
    );
    let found = strays(&manifests, &root(), &members);
    let found: Vec<String> = found.iter().map(|path| shown(&root(), path)).collect();
    let why = "a crate outside the workspace is not built, not linted and not tested by the project's command";
    report("every crate directory is a member", why, &found);
}

const GOOD: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
    rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\n[lints]\nworkspace = true\n\n\
    [dependencies]\n# one\nserde.workspace = true\ntokio = { workspace = true, features = [\n    \"fs\",\n] }\n\n\
    [dev-dependencies.insta]\nworkspace = true\n";

#[test]
fn a_manifest_that_does_not_inherit_is_reported() {
    assert_eq!(not_inherited(GOOD), [""; 0]);
    let check = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from} is not in the example");
        not_inherited(&GOOD.replace(from, to))
    };
    assert_eq!(
        check("[lints]\nworkspace = true", ""),
        ["no `[lints] workspace = true`"]
    );
    assert_eq!(
        check("[lints]\nworkspace = true", "[lints.rust]\nx = \"warn\""),
        ["no `[lints] workspace = true`"]
    );
    assert_eq!(
        check("serde.workspace = true", "serde = \"1\""),
        ["[dependencies] serde = \"1\": not `workspace = true`"]
    );
    assert_eq!(
        check(
            "tokio = { workspace = true, features",
            "tokio = { version = \"1\", features"
        ),
        ["[dependencies] tokio = { version = \"1\", features = [ \"fs\", ] }: not `workspace = true`"]
    );
    assert_eq!(
        check(
            "[dev-dependencies.insta]\nworkspace = true",
            "[target.'cfg(unix)'.dependencies.insta]\nversion = \"1\""
        ),
        ["[target.'cfg(unix)'.dependencies.insta]: not `workspace = true`"]
    );
    assert_eq!(check("edition.workspace = true", "edition = \"2021\"").len(), 1);
}

#[test]
fn a_manifest_of_no_member_is_reported() {
    let manifests = ["w/Cargo.toml", "w/a/Cargo.toml", "w/a/fuzz/Cargo.toml"].map(PathBuf::from);
    assert_eq!(
        strays(&manifests, Path::new("w"), &["w/a".into()]),
        [PathBuf::from("w/a/fuzz/Cargo.toml")]
    );
}
