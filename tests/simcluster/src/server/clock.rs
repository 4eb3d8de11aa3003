//! The one clock of a server.
//!
//! What must stay true: every time a server writes or compares with is read here, so a test can shift
//! all of them at once, as the clock of a real machine is wrong for everything that runs on it. How long
//! things last (watches, the age of an event) is measured elsewhere and does not follow the shift.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The time of the machine, shifted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    offset: SignedDuration,
}

impl Clock {
    /// What time it is here.
    pub(crate) fn now(self) -> Timestamp {
        let true_time = Timestamp::now();
        true_time.checked_add(self.offset).unwrap_or(true_time)
    }

    /// Goes ahead of the true time by `offset`, or behind it when that is negative.
    pub(crate) fn shift(&mut self, offset: SignedDuration) {
        self.offset = offset;
    }
}

/// A time as objects carry it.
pub(crate) fn stamp(time: Timestamp) -> Value {
    Value::String(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
