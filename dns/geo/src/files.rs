//! Database files that are read again when they change.
//!
//! What must stay true: a file that cannot be read changes nothing; the last good data stays, and the trouble
//! is told once per change of the files, not once per look.
//!
//! The files are looked at by whoever calls [`GeoFiles::look`], for the reasons that the DNS server's
//! certificates are: a mounted volume is replaced by swapping a symbolic link far above the file, network file
//! systems notify nobody, and a database that is weeks old does not need milliseconds.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use meridian_dns_core::geo::GeoDatabase;

use crate::{GeoFileError, read_all};

/// What tells one version of a file from the next; nothing for one that is not there.
type Stamp = Option<(SystemTime, u64)>;

/// What a look at the files found.
#[derive(Debug)]
pub enum Look {
    /// The same as before.
    Same,
    /// New data.
    New(Arc<GeoDatabase>),
    /// The files have changed, and cannot be used as they are now.
    Bad(GeoFileError),
}

/// Files, and what was seen of them.
#[derive(Debug)]
pub struct GeoFiles {
    paths: Vec<PathBuf>,
    seen: Option<Vec<Stamp>>,
    good: bool,
}

impl GeoFiles {
    /// These files, not looked at yet. What the first leaves open is taken from the second, and so on.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            seen: None,
            good: false,
        }
    }

    /// Reads the files if they differ from what was seen. It may take seconds.
    pub fn look(&mut self) -> Look {
        let stamps = self.stamps();
        let changed = self.seen.as_ref() != Some(&stamps);
        if !changed && self.good {
            return Look::Same;
        }
        self.seen = Some(stamps);
        match read_all(&self.paths) {
            Ok(database) => {
                self.good = true;
                Look::New(Arc::new(database))
            }
            Err(error) => {
                self.good = false;
                if changed { Look::Bad(error) } else { Look::Same }
            }
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &PathBuf| {
            let data = fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        };
        self.paths.iter().map(stamp).collect()
    }
}
