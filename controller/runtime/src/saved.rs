//! The snapshot file: what the server answers from when it starts again, with or without a host.
//!
//! What must stay true:
//! - the file is replaced as a whole: written beside, flushed, renamed, and the folder flushed; a crash at
//!   any moment leaves the old one or the new one;
//! - a file that cannot be used is told and kept aside, never deleted, and never written over by nothing:
//!   a server that does not know its zones yet writes none;
//! - the file's time is that of the oldest part of its contents. A server that answers from a saved part
//!   and starts again and again does not make it young;
//! - a graceful end writes once more, so what was answered last is what a restart answers first.
//!
//! The content is `dns-core`'s `Saved`; writing it blocks a thread of its own, never a query or the loop.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use meridian_dns_core::{Saved, Snapshot};
use meridian_dns_server::{SharedTransfers, Table};
use meridian_federation_core::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::now;

/// Shortest time between two writes.
const EVERY: Duration = Duration::from_secs(3);

/// Where the snapshot is kept, and how long it may be used.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFile {
    pub(crate) path: PathBuf,
    pub(crate) max_age: Duration,
}

impl SnapshotFile {
    /// The saved snapshot; `None` if there is none that can be used, and then the reason is logged.
    pub(crate) fn load(&self) -> Option<Saved> {
        let octets = match fs::read(&self.path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::info!(file = %self.path.display(), "no snapshot yet; names get SERVFAIL until they are known");
                return None;
            }
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "the snapshot cannot be read; names get SERVFAIL until they are known");
                return None;
            }
        };
        match Saved::decode(&octets, now().0, millis(self.max_age)) {
            Ok(saved) => {
                let zones = saved.snapshot.zones().count();
                tracing::info!(file = %self.path.display(), zones, as_of = %Timestamp(saved.as_of), "answering from the snapshot");
                Some(saved)
            }
            Err(error) => {
                let aside = beside(&self.path, ".refused");
                let kept = fs::rename(&self.path, &aside).is_ok();
                tracing::warn!(
                    file = %self.path.display(),
                    %error,
                    aside = kept.then(|| aside.display().to_string()),
                    "the snapshot is not used; names get SERVFAIL until they are known"
                );
                None
            }
        }
    }

    /// Writes the snapshot.
    fn store(&self, snapshot: &Snapshot, as_of: Timestamp) -> Result<()> {
        let saved = Saved {
            as_of: as_of.0,
            snapshot: snapshot.clone(),
        };
        replace(&self.path, &saved.encode()?).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

/// Keeps the file up to date until `stop` is true, and once more then. `as_of` tells of when the oldest part of
/// the answers is; `None` is now. Catalogs are left out: after a restart it is not known at once to whom alone
/// they are answered.
pub(crate) async fn keep(
    file: SnapshotFile,
    table: Table,
    transfers: SharedTransfers,
    as_of: watch::Receiver<Option<Timestamp>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut written: Option<(Arc<Snapshot>, Instant)> = None;
    let mut trouble = None;
    let mut last = false;
    while !last {
        last = tokio::select! {
            () = tokio::time::sleep(EVERY) => false,
            // Who is gone stops too.
            _ = stop.wait_for(|stop| *stop) => true,
        };
        let snapshot = table.load();
        let current = written.as_ref().is_some_and(|(known, at)| {
            // Also without a change its time has to move on, long before the file is too old.
            Arc::ptr_eq(known, &snapshot) && at.elapsed() < file.max_age / 8
        });
        if current || !snapshot.zones_known() {
            continue;
        }
        let time = as_of.borrow().unwrap_or_else(now);
        let hidden = transfers.hidden();
        let content = hidden
            .iter()
            .fold(Snapshot::clone(&snapshot), |content, apex| content.without_zone(apex));
        let of = file.clone();
        let result = tokio::task::spawn_blocking(move || of.store(&content, time)).await;
        let reason = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(meridian_controller_apply::describe(error.as_ref())),
            Err(error) => Some(error.to_string()),
        };
        match &reason {
            None => written = Some((snapshot, Instant::now())),
            Some(reason) if trouble.as_ref() != Some(reason) => {
                tracing::warn!(
                    reason,
                    "the snapshot is not saved; a restart would answer from an older one"
                );
            }
            Some(_) => {}
        }
        trouble = reason;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Replaces a file, or leaves it as it was.
fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut file = File::create(&new)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &tempfile::TempDir) -> SnapshotFile {
        SnapshotFile {
            path: folder.path().join("snapshot"),
            max_age: Duration::from_secs(3600),
        }
    }

    #[test]
    fn a_file_is_written_read_and_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = file(&folder);
        assert!(file.load().is_none());
        for age in [60, 30] {
            let as_of = Timestamp(now().0 - age * 1000);
            file.store(&Snapshot::default(), as_of).expect("written");
            assert_eq!(file.load().expect("good").as_of, as_of.0);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[tokio::test]
    async fn what_was_answered_last_is_saved_before_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = file(&folder);
        let (_now, as_of) = watch::channel(None);
        let (stop, stopping) = watch::channel(true);
        let unknown = Table::new(Snapshot::default().with_zones_known(false));
        let nobody = SharedTransfers::default;
        keep(file.clone(), unknown, nobody(), as_of.clone(), stopping.clone()).await;
        assert!(!file.path.exists(), "a server that knows nothing writes nothing");
        keep(file.clone(), Table::new(Snapshot::default()), nobody(), as_of, stopping).await;
        assert!(file.load().is_some());
        drop(stop);
    }

    #[test]
    fn what_cannot_be_used_is_kept_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = file(&folder);
        let refused = || fs::read(folder.path().join("snapshot.refused")).expect("kept");
        fs::write(&file.path, b"something else").expect("written");
        assert!(file.load().is_none() && !file.path.exists());
        assert_eq!(refused(), b"something else");
        file.store(&Snapshot::default(), Timestamp(now().0 - 3_700_000))
            .expect("written");
        assert!(file.load().is_none());
        assert!(refused().starts_with(b"MERIDIAN"));
    }
}
