//! The corpus: input worth keeping, in `fuzz/corpus/TARGET`, one file each.
//!
//! What must stay true: it is small enough to be committed and replayed by every test run. libFuzzer adds
//! to it; `cargo fuzz cmin TARGET` makes it small again.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The folder of all corpora.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// The inputs of a target, in the order of their file names.
pub fn inputs(target: &str) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let directory = directory().join(target);
    let entries =
        std::fs::read_dir(&directory).with_context(|| format!("cannot list the corpus {}", directory.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let octets = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        found.push((path, octets));
    }
    found.sort();
    Ok(found)
}
