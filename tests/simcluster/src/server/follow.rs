//! Acting on what was written, as the controllers of a real cluster do.
//!
//! What must stay true: a step sees every write after the last one it saw, in order, or the whole
//! state when the history was compacted meanwhile; it runs under the lock, so it acts on a state
//! that does not change below it; what it writes itself it is shown in the next step.

use std::sync::Arc;

use super::store::{State, Store, Written};

/// Runs `step` on what was written until dropped.
pub(crate) async fn follow(store: Arc<Store>, mut step: impl FnMut(&mut State, &[Written])) {
    let mut changes = store.changes();
    let mut seen = 0;
    loop {
        seen = store.write(|state| {
            let upto = state.revision();
            let written = state.written_since(seen);
            step(state, &written);
            upto
        });
        if *changes.borrow_and_update() <= seen && changes.changed().await.is_err() {
            return;
        }
    }
}
