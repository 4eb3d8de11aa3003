//! The workspace as cargo sees it, in plain data.
//!
//! What must stay true: asking needs no network. The graph is therefore the one of this machine's
//! platform, whose crates a build has already fetched; what must hold on every platform is checked in
//! the lock file, which has them all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// All members and what they lead to.
#[derive(Debug)]
pub struct Workspace {
    /// The members, in order of their names.
    pub packages: Vec<Package>,
    /// For each crate of the graph, as `name version`, the crates it needs to be built or to run.
    pub graph: BTreeMap<String, Vec<String>>,
}

/// One member.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its `name version` in the graph.
    pub id: String,
    /// The directory of its manifest.
    pub directory: PathBuf,
    /// The files cargo compiles as crates: libraries, binaries, tests, benches, examples, build scripts.
    pub roots: Vec<PathBuf>,
    /// What it names in its manifest, without dev-dependencies.
    pub needs: Vec<Need>,
}

/// A dependency somebody wrote down.
#[derive(Debug, Clone)]
pub struct Need {
    /// The crate.
    pub name: String,
    /// `normal` or `build`.
    pub kind: String,
}

/// Asks cargo.
///
/// # Panics
///
/// If cargo does not answer.
pub fn workspace(root: &Path) -> Workspace {
    let platform = std::process::Command::new("rustc")
        .args(["--print", "host-tuple"])
        .output();
    let platform = platform.unwrap_or_else(|error| panic!("cannot run rustc: {error}"));
    let platform = String::from_utf8_lossy(&platform.stdout).trim().to_owned();
    let options = ["--locked", "--filter-platform", &platform].map(str::to_owned);
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(options)
        .exec()
        .unwrap_or_else(|error| panic!("cargo metadata in {}: {error}", root.display()));
    let mut packages: Vec<Package> = metadata.workspace_packages().into_iter().map(package).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Workspace {
        graph: graph(&metadata),
        packages,
    }
}

fn package(package: &cargo_metadata::Package) -> Package {
    let directory = package
        .manifest_path
        .parent()
        .map(|directory| directory.as_std_path().to_owned());
    let needs = package.dependencies.iter().filter_map(|dependency| {
        let kind = match dependency.kind {
            DependencyKind::Normal => "normal",
            DependencyKind::Build => "build",
            _ => return None,
        };
        let (name, kind) = (dependency.name.clone(), kind.to_owned());
        Some(Need { name, kind })
    });
    Package {
        name: package.name.to_string(),
        id: format!("{} {}", package.name, package.version),
        directory: directory.unwrap_or_else(|| panic!("{} has no directory", package.name)),
        roots: package
            .targets
            .iter()
            .map(|target| target.src_path.as_std_path().to_owned())
            .collect(),
        needs: needs.collect(),
    }
}

fn graph(metadata: &Metadata) -> BTreeMap<String, Vec<String>> {
    let id = |id: &cargo_metadata::PackageId| format!("{} {}", metadata[id].name, metadata[id].version);
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    nodes
        .map(|node| {
            let needed = node.deps.iter().filter(|dependency| {
                let mut kinds = dependency.dep_kinds.iter();
                kinds.any(|kind| kind.kind != DependencyKind::Development)
            });
            (id(&node.id), needed.map(|dependency| id(&dependency.pkg)).collect())
        })
        .collect()
}

/// For each forbidden crate that `start` leads to, a shortest chain to it, `a -> b -> c`.
pub fn forbidden_chains(
    start: &str,
    graph: &BTreeMap<String, Vec<String>>,
    forbidden: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::from([(start, "")]);
    let mut queue = std::collections::VecDeque::from([start]);
    let mut found = Vec::new();
    while let Some(here) = queue.pop_front() {
        let name = here.split(' ').next().unwrap_or(here);
        if here != start && forbidden(name) {
            let back = std::iter::successors(Some(here), |at| {
                came_from.get(at).copied().filter(|from| !from.is_empty())
            });
            let mut chain: Vec<&str> = back.collect();
            chain.reverse();
            found.push(chain.join(" -> "));
            continue;
        }
        for next in graph.get(here).into_iter().flatten() {
            if !came_from.contains_key(next.as_str()) {
                came_from.insert(next, here);
                queue.push_back(next);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_crate_is_found_through_others() {
        let edge = |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|to| (*to).to_owned()).collect());
        let graph = BTreeMap::from([
            edge("core 1", &["json 1", "net 1"]),
            edge("json 1", &["core 1"]),
            edge("net 1", &["tokio 2", "json 1"]),
            edge("tokio 2", &["mio 1"]),
        ]);
        let found = forbidden_chains("core 1", &graph, |name| ["tokio", "mio"].contains(&name));
        assert_eq!(found, ["core 1 -> net 1 -> tokio 2"]);
        assert_eq!(forbidden_chains("core 1", &graph, |name| name == "core"), [""; 0]);
    }
}
