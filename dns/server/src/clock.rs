//! The only clock of the server: what the sockets stamp on messages before anything looks at them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::Now;

/// Tells the time on both clocks.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_secs());
        Now {
            // Serial numbers (RFC 9018 section 4.3): the low 32 bits are what is wanted.
            unix: (seconds & u64::from(u32::MAX)) as u32,
            monotonic: self.start.elapsed(),
        }
    }
}
