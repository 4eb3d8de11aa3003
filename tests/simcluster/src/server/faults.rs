//! Faults of the server itself, for tests.
//!
//! What must stay true: each is something a real API server does to its clients one day, and clients see it
//! by the API alone. Writes are always served from the present, as by a server whose cache is behind
//! while its database is not.

use jiff::SignedDuration;

use super::SimCluster;
use super::store::State;

impl SimCluster {
    /// Forgets the watch history: watches from older versions are told 410 Gone, and lists of older
    /// versions and their pages get it.
    pub fn compact(&self) {
        self.handle.server.store.write(State::compact);
    }

    /// Ends the watches of a resource (`services`, `deployments.apps`), or all, in the middle of the stream and
    /// without a word, as a server does that has too many of them or starts again.
    pub fn drop_watches(&self, resource: Option<&str>) {
        self.handle
            .server
            .store
            .write(|state| state.history.drop_watches(resource));
    }

    /// From now on, reads show the cluster as it is at this moment, while writes go on: the cache of the
    /// server has lost contact. Watches say nothing new meanwhile. `false` lets the cache catch up.
    pub fn serve_stale_reads(&self, stale: bool) {
        self.handle.server.store.write(|state| state.show_stale(stale));
    }

    /// Sets the server's clock ahead of the true time, or behind it when `offset` is negative.
    pub fn shift_clock(&self, offset: SignedDuration) {
        self.handle.server.store.write(|state| state.clock.shift(offset));
    }
}
