//! What a plain secondary receives of a zone, and how it changed since it last asked.
//!
//! A plain secondary (BIND, Knot, NSD) answers from records alone: it does not know where a client is nor
//! which sites are healthy. So a zone is flattened to [`Content`], what it has at one moment for such a
//! server, and a [`Journal`] makes of the contents over time one stream of versions: serial, content and
//! the differences between them. Answers show the serial of that stream ([`crate::Zone::with_serial`]);
//! who has a zone's journal sets it, and nobody else counts.
//!
//! What must stay true:
//! - equal snapshots give equal contents, and equal contents never a new serial;
//! - there is at most one serial a second. That delays what is transferred, never what is answered;
//! - a difference laid over the content that it starts from gives exactly the content that it leads to.
//!
//! Refused: a serial for each change of a snapshot, which is what an ordinary server has. Endpoints of a
//! rolling update change many times a second, and each serial costs each secondary a transfer.

mod catalog;
mod codec;
mod content;
mod difference;
mod journal;
mod routed;
mod signed;

pub use self::catalog::catalog_records;
pub use self::codec::JournalError;
pub use self::content::{Content, SetKey};
pub use self::difference::Difference;
pub use self::journal::{Journal, Since, Step};
pub use self::routed::RoutedNames;
pub use self::signed::{ContentError, signed};
