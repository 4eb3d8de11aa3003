//! One message of a transfer: as many records as fit, with names compressed.
//!
//! What must stay true: a record is in the message whole or not at all; a pointer leads to a name that is
//! spelled in lower case, never to the question's own spelling, which the secondary would keep.
//!
//! Refused: the wire library's encoder. It looks for each name through all names before, which takes longer
//! than all else in a message of 64 KiB.

use std::collections::HashMap;

use meridian_dns_core::{DnsName, RecordData, RecordSet};

use super::Start;
use crate::request::{Asked, HEADER};
use crate::wire::MAX_TTL;

/// A length of two octets counts no more.
const LONGEST: usize = 65_535;

/// Pointers reach no further (RFC 1035 section 4.1.4).
const REACH: usize = 0x4000;

/// A message in the making.
pub(super) struct Message<'a> {
    out: &'a mut Vec<u8>,
    names: HashMap<String, u16>,
    limit: usize,
    answers: u16,
}

/// The question's octets, as it came.
pub(super) fn question(asked: &Asked<'_>) -> Vec<u8> {
    let mut question = asked.spelled.to_vec();
    question.extend(asked.question.record_type.number().to_be_bytes());
    question.extend(asked.class.to_be_bytes());
    question
}

impl<'a> Message<'a> {
    /// Begins a message that leaves so many octets free.
    pub(super) fn begin(out: &'a mut Vec<u8>, start: &Start, reserved: usize) -> Self {
        out.clear();
        let [high, low] = start.id.to_be_bytes();
        // QR, AA and perhaps RD; one question.
        let flags = 0x84 | u8::from(start.recursion_desired);
        out.extend([high, low, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        out.extend(&start.question);
        let reserved = reserved + start.opt.as_ref().map_or(0, Vec::len);
        Self {
            out,
            names: HashMap::new(),
            limit: LONGEST.saturating_sub(reserved),
            answers: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answers == 0
    }

    /// Adds a record; false if it does not fit.
    pub(super) fn push(&mut self, set: &RecordSet, data: &RecordData) -> bool {
        let start = self.out.len();
        self.name(&set.name);
        self.out.extend(data.record_type().number().to_be_bytes());
        self.out.extend([0, 1]);
        self.out.extend(set.ttl.min(MAX_TTL).to_be_bytes());
        let place = self.out.len();
        self.out.extend([0, 0]);
        self.data(data);
        let length = u16::try_from(self.out.len() - place - 2);
        match (length, self.answers.checked_add(1)) {
            (Ok(length), Some(answers)) if self.out.len() <= self.limit => {
                self.out[place..place + 2].copy_from_slice(&length.to_be_bytes());
                self.answers = answers;
                true
            }
            // Nothing is added behind, so no name leads to what is taken back.
            _ => {
                self.out.truncate(start);
                false
            }
        }
    }

    /// Ends the message, with an OPT record if there is one.
    pub(super) fn end(self, opt: Option<&[u8]>) {
        if let Some(header) = self.out.first_chunk_mut::<HEADER>() {
            header[6..8].copy_from_slice(&self.answers.to_be_bytes());
            header[11] = u8::from(opt.is_some());
        }
        self.out.extend(opt.unwrap_or_default());
    }

    /// Only names of RFC 1035's own types may be compressed (RFC 3597 section 4).
    fn data(&mut self, data: &RecordData) {
        match data {
            RecordData::Cname(name) | RecordData::Ns(name) => self.name(name),
            RecordData::Mx(mx) => {
                self.out.extend(mx.preference.to_be_bytes());
                self.name(&mx.exchange);
            }
            RecordData::Soa(soa) => {
                self.name(&soa.primary);
                self.name(&soa.mailbox);
                for number in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
                    self.out.extend(number.to_be_bytes());
                }
            }
            other => self.out.extend(other.to_octets()),
        }
    }

    fn name(&mut self, name: &DnsName) {
        let mut text = name.as_str();
        for label in name.labels() {
            if let Some(offset) = self.names.get(text) {
                self.out.extend((0xc000 | offset).to_be_bytes());
                return;
            }
            if let Some(offset) = u16::try_from(self.out.len())
                .ok()
                .filter(|offset| usize::from(*offset) < REACH)
            {
                self.names.insert(text.to_owned(), offset);
            }
            // A label has no more than 63 octets.
            self.out.push(u8::try_from(label.len()).unwrap_or(63));
            self.out.extend(label);
            text = text.split_once('.').map_or("", |(_, rest)| rest);
        }
        self.out.push(0);
    }
}
