//! What the server answers from: one atomic pointer to an immutable snapshot.
//!
//! Readers never wait and never see half a change; the writer replaces the whole pointer. There is
//! one writer (the index); two would lose each other's changes, which is why there is no
//! read-modify-write here. Refused: a lock around the snapshot. A writer that waits for readers, or a
//! reader for a writer, is an outage waiting for load.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use meridian_dns_core::Snapshot;

/// The current snapshot, shared by the server and the one who updates it. Clones are the same table.
#[derive(Clone)]
pub struct Table(Arc<ArcSwap<Snapshot>>);

impl Table {
    /// A table that starts with this snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(snapshot)))
    }

    /// The snapshot of this moment, to keep as long as needed.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Replaces the snapshot; the next query sees it.
    pub fn store(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }

    /// The snapshot for one short, synchronous use: no reference count shared by all cores is touched.
    pub(crate) fn peek(&self) -> Guard<Arc<Snapshot>> {
        self.0.load()
    }
}

impl Default for Table {
    /// No zones: every query is refused.
    fn default() -> Self {
        Self::new(Snapshot::default())
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("zones", &self.load().zones().count())
            .finish()
    }
}
