//! Records as people write them, and the port through which they are read.
//!
//! Reading presentation form (RFC 1035 section 5, and a section in every RFC that adds a type) is a
//! parser's work, and a well-kept parser brings a wire library with it, which a pure crate does not
//! have. So the reader is a port: `dns-server` implements it, whoever takes in configuration is handed
//! it, and what it gives are plain [`RecordSet`]s, which [`crate::StaticRecords`] checks. Refused: a
//! small parser here. Each type has its own corners, and a zone file is read the same way or not at all.

use std::fmt;

use crate::{DnsName, RecordSet};

/// One set of records as written in a `DNSZone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextRecord<'a> {
    /// Owner name, relative to the zone or with a final dot; `@` is the zone itself.
    pub name: &'a str,
    /// Mnemonic, or `TYPE` and a number (RFC 3597 section 5).
    pub record_type: &'a str,
    /// Seconds.
    pub ttl: u32,
    /// The data of each record, as after the type in a zone file; relative names are relative to the
    /// zone.
    pub data: &'a [String],
}

/// Why a text is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TextError {
    /// First line of the zone file's entry, counted from 1; 0 if the text has no lines.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

/// Reads records in presentation form.
pub trait ReadText: fmt::Debug + Send + Sync {
    /// Reads one set of records of a zone.
    fn record(&self, zone: &DnsName, record: &TextRecord<'_>) -> Result<RecordSet, TextError>;

    /// Reads a zone file, with the zone's name as its first origin, and that default TTL in seconds. A
    /// start of authority is left out: its fields belong to the zone. No other file is read, whatever
    /// `$INCLUDE` says.
    fn zone_file(&self, zone: &DnsName, default_ttl: u32, text: &str) -> Result<Vec<RecordSet>, TextError>;
}
