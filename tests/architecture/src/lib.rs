//! What the tests of the map look at: the workspace as cargo sees it, its files, and their tokens.
//!
//! The rules are in `tests/`, one file per kind of rule. What must stay true:
//! - a rule is a plain function from data to findings, so that a test can hand it made-up data and see
//!   it complain; a rule that cannot fail holds nothing;
//! - a failing rule lists every finding at once and says why the rule exists, so that whoever meets it
//!   can decide whether to change the code or the rule.
//!
//! Refused: a lint plugin or a parser of the whole language. The rules need words, paths and `mod`
//! lines; a tokenizer of one page tells those from comments and literals and has no versions to follow.

mod tokens;
mod workspace;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use tokens::{Kind, Module, Token, lines_of_code, modules, paths, tokens};
pub use workspace::{Need, Package, Workspace, forbidden_chains, workspace};

/// The one directory with a workspace of its own: fuzz targets need another compiler and other flags, and
/// cargo-fuzz wants them so. They are one line each; a test of `meridian-hostile` holds its files, its
/// manifest and the functions behind them together.
pub const OTHER_WORKSPACE: &str = "fuzz";

/// The directory of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .unwrap_or_else(|| panic!("{} is not two directories below the workspace", here.display()))
        .to_owned()
}

/// Fails with all findings and the reason for the rule, if there are any findings.
///
/// # Panics
///
/// That is how it fails.
pub fn report(rule: &str, why: &str, findings: &[String]) {
    if findings.is_empty() {
        return;
    }
    let list = findings.join("\n  - ");
    panic!("\nrule: {rule}\n  - {list}\nwhy: {why}\n");
}

/// A file's text; a file that is not text is `None`.
///
/// # Panics
///
/// If the file cannot be read.
pub fn read(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    String::from_utf8(bytes).ok()
}

/// Every file below a directory, in order, without what cargo and git keep there.
///
/// # Panics
///
/// If a directory cannot be read.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", directory.display()));
    let mut found = Vec::new();
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_symlink() || name == ".git" {
            continue;
        }
        if !path.is_dir() {
            found.push(path);
        } else if !path.join("CACHEDIR.TAG").exists() {
            found.extend(files(&path));
        }
    }
    found.sort();
    found
}

/// The files git knows; in a copy without git, all files.
pub fn tracked_files(root: &Path) -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    match listed {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split_terminator('\0')
            .map(|name| root.join(name))
            .filter(|path| path.is_file() && !path.is_symlink())
            .collect(),
        _ => files(root),
    }
}

/// A path as a reader of the repository knows it.
pub fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
