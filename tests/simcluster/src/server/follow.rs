//! Acting on what was written, as the controllers of a real cluster do.
//!
//! What must stay true: this acts after the write that caused it, so clients see the same order as with
//! real controllers, which work outside the API server; it runs under the lock, so it acts on a state that does
//! not change below it; what it writes itself it is shown in the next step.

use std::sync::Arc;

use super::access::accounts;
use super::garbage;
use super::serve::Server;

/// Runs until dropped.
pub(crate) async fn follow(server: Arc<Server>) {
    loop {
        server.store.work().await;
        // What a step leaves to be done is a write of its own, which others can see before.
        while server.store.write(|state| {
            let swept = garbage::sweep(state);
            accounts::sweep(state, server.material()) || swept
        }) {}
    }
}
