//! Where the keys of zones are stored: in Secrets of the host, or in a folder that every replica sees.
//!
//! What must stay true: the leader alone writes, and names the version that it replaces; replicas follow what
//! is there. A folder that cannot be read shows what it showed before.
//!
//! A folder has no compare-and-set, so there the lease alone keeps two writers apart. It is for those who do
//! not want private keys in Kubernetes: on one machine, or on a volume that all replicas mount.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};

use super::folder::KeyFolder;
use crate::lease::Leadership;
use crate::shared_state::{Piece, Pieces, SharedKind, SharedState, WriteError};

/// One piece for each zone, called like it.
pub(crate) const KIND: SharedKind = SharedKind {
    name: "dnssec-keys",
    secret: true,
};

/// How often a folder is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Where keys are stored.
#[derive(Clone)]
pub(crate) enum KeyStore {
    /// In Secrets of the host; with copies in a folder, so that a restart needs no host.
    Secrets {
        /// The host's shared state.
        state: SharedState,
        /// Where copies are kept.
        copies: Option<KeyFolder>,
    },
    /// In a folder alone.
    Folder {
        /// The folder.
        folder: KeyFolder,
        /// Whether this replica writes.
        leadership: Leadership,
    },
}

impl KeyStore {
    /// Whether this replica writes.
    pub(super) fn leadership(&self) -> Leadership {
        match self {
            Self::Secrets { state, .. } => state.leadership(),
            Self::Folder { leadership, .. } => leadership.clone(),
        }
    }

    /// Where copies are kept, if they are.
    pub(super) fn copies(&self) -> Option<&KeyFolder> {
        match self {
            Self::Secrets { copies, .. } => copies.as_ref(),
            Self::Folder { .. } => None,
        }
    }

    /// Follows what is stored; the task that does so belongs to `tasks`.
    pub(super) fn watch(&self, tasks: &mut JoinSet<()>) -> watch::Receiver<Pieces> {
        match self {
            Self::Secrets { state, .. } => state.watch(KIND, tasks),
            Self::Folder { folder, .. } => {
                let (publish, pieces) = watch::channel(None);
                tasks.spawn(follow(folder.clone(), publish));
                pieces
            }
        }
    }

    /// Writes the successor of the version `after`, or the first version. Returns the new version.
    pub(super) async fn write(&self, zone: &str, document: &[u8], after: Option<&str>) -> Result<String, WriteError> {
        let (folder, leadership) = match self {
            Self::Secrets { state, .. } => return state.write(KIND, zone, document, after).await,
            Self::Folder { folder, leadership } => (folder.clone(), leadership),
        };
        if !leadership.holds() {
            return Err(WriteError::NotLeading);
        }
        let (zone, document, after) = (zone.to_owned(), document.to_vec(), after.map(str::to_owned));
        let file = folder.path(&zone).display().to_string();
        let written = spawn_blocking(move || {
            let there = folder
                .read_documents()?
                .remove(&zone)
                .map(|document| version(&document));
            if there != after {
                return Ok(None);
            }
            folder.write(&zone, &document)?;
            Ok::<_, std::io::Error>(Some(version(&document)))
        });
        let failed = |reason: String| WriteError::File {
            file: file.clone(),
            reason,
        };
        match written.await {
            Ok(Ok(Some(version))) => Ok(version),
            Ok(Ok(None)) => Err(WriteError::Overtaken),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

fn version(document: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, document).as_ref())
}

/// Looks at the folder again and again.
async fn follow(folder: KeyFolder, publish: watch::Sender<Pieces>) {
    let mut told = None;
    loop {
        let looked_at = folder.clone();
        let trouble = match spawn_blocking(move || looked_at.read_documents()).await {
            Ok(Ok(documents)) => {
                let piece = |(zone, document): (String, Vec<u8>)| {
                    let version = version(&document);
                    let bytes = Arc::from(document);
                    (zone, Piece { bytes, version })
                };
                let pieces: BTreeMap<_, _> = documents.into_iter().map(piece).collect();
                publish.send_if_modified(|known| {
                    let differs = known.as_deref() != Some(&pieces);
                    if differs {
                        *known = Some(Arc::new(pieces));
                    }
                    differs
                });
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if trouble != told
            && let Some(reason) = &trouble
        {
            tracing::error!(reason, "the folder with the keys cannot be read; the keys in use stay");
        }
        told = trouble;
        if publish.is_closed() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}
