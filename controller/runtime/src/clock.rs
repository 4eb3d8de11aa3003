//! The only clock of the program. Everything that decides takes a [`Timestamp`] as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use meridian_federation_core::Timestamp;

/// Now. A clock before 1970 counts as 1970.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
