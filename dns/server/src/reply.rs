//! From an answer to the octets of a reply.
//!
//! What must stay true:
//! - a set of records is sent whole or not at all (RFC 2181 section 9); TC says that a *needed* set is
//!   missing, of the answer or authority section or of a referral's in-domain glue (RFC 9471 section
//!   2.1), and the client asks again over TCP. Other additional sets that do not fit are left out in
//!   silence;
//! - a needed set and its signatures go together or not at all. Those of additional sets come last of
//!   all, and are the first to be left out, in silence (RFC 4035 section 3.1.1);
//! - the OPT record always has its place, also in a reply that is cut short;
//! - RA, AD and Z are never set (RFC 4035 section 3.1.6); RD and CD are copied; the question is
//!   repeated as it was spelled, and so are the owners that are the question's name (`0x20`).
//!
//! Refused: part of a set with TC. A client that uses what is there would use it as the whole.

use hickory_proto::ProtoError;
use hickory_proto::op::ResponseCode;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};
use meridian_dns_core::{Answer, FindingKind, RecordSet};

use crate::edns::OwnEdns;
use crate::request::{Asked, HEADER, Request};
use crate::signed::Signatures;
use crate::{chaos, wire};

/// Where the question's name is, as a compression pointer (RFC 1035 section 4.1.4).
const QUESTION_NAME: u16 = 0xc000 | 12;

/// RFC 8467 section 4.1.
const BLOCK: usize = 468;

/// What stands in the sections.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body<'a> {
    /// Nothing.
    Empty,
    /// Nothing, and TC: the client shall come over TCP.
    ComeOverTcp,
    /// What `dns-core` says.
    Answer(&'a Answer, &'a Signatures),
    /// A text in the class CHAOS.
    Text(&'a [u8]),
}

/// A reply about to be written.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) code: ResponseCode,
    pub(crate) authoritative: bool,
    pub(crate) edns: Option<OwnEdns>,
    pub(crate) body: Body<'a>,
    /// Pad to blocks (RFC 8467).
    pub(crate) padded: bool,
}

/// How many records each section has, and whether a needed one is missing.
#[derive(Debug, Default)]
struct Written {
    counts: [u16; 3],
    truncated: bool,
}

impl Reply<'_> {
    /// Writes the reply, at most `limit` octets, over what was in `out`. Returns whether it is
    /// truncated.
    pub(crate) fn write(mut self, limit: u16, out: &mut Vec<u8>) -> Result<bool, ProtoError> {
        out.clear();
        let limit = usize::from(limit);
        let reserved = self.edns.as_ref().map_or(0, OwnEdns::size);
        let mut encoder = BinEncoder::new(out);
        encoder.emit_vec(&[0; HEADER])?;
        if let Some(asked) = &self.request.asked {
            write_question(asked, &mut encoder)?;
        }
        let room = limit.saturating_sub(reserved);
        encoder.set_max_size(u16::try_from(room).unwrap_or(u16::MAX));
        let written = self.write_body(&mut encoder)?;
        if let Some(edns) = &mut self.edns {
            if self.padded {
                edns.pad(out.len(), BLOCK, limit);
            }
            edns.write(self.code, out);
        }
        let header = self.header(&written);
        if let Some(place) = out.first_chunk_mut::<HEADER>() {
            *place = header;
        }
        Ok(written.truncated)
    }

    fn header(&self, written: &Written) -> [u8; HEADER] {
        let request = self.request;
        let [id_high, id_low] = request.id.to_be_bytes();
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let high = 0x80
            | request.opcode << 3
            | bit(self.authoritative, 0x04)
            | bit(written.truncated, 0x02)
            | bit(request.recursion_desired, 0x01);
        let low = bit(request.checking_disabled, 0x10) | self.code.low();
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&[id_high, id_low, high, low]);
        header[5] = u8::from(request.asked.is_some());
        let [answers, authorities, additionals] = written.counts;
        let counts = [answers, authorities, additionals + u16::from(self.edns.is_some())];
        for (place, count) in header[6..].chunks_exact_mut(2).zip(counts) {
            place.copy_from_slice(&count.to_be_bytes());
        }
        header
    }

    fn write_body(&self, encoder: &mut BinEncoder<'_>) -> Result<Written, ProtoError> {
        let mut written = Written::default();
        match self.body {
            Body::Empty => {}
            Body::ComeOverTcp => written.truncated = true,
            Body::Answer(answer, signatures) => {
                written.truncated = !self.write_answer(answer, signatures, &mut written.counts, encoder)?;
            }
            Body::Text(text) => {
                encoder.emit_u16(QUESTION_NAME)?;
                write_fixed(chaos::TXT, chaos::CLASS, 0, encoder)?;
                let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
                encoder.emit_u16(u16::from(length) + 1)?;
                encoder.emit_character_data(&text[..usize::from(length)])?;
                written.counts[0] = 1;
            }
        }
        Ok(written)
    }

    /// Writes what fits; whether everything did that is needed.
    fn write_answer(
        &self,
        answer: &Answer,
        signatures: &Signatures,
        counts: &mut [u16; 3],
        encoder: &mut BinEncoder<'_>,
    ) -> Result<bool, ProtoError> {
        for (section, sets) in [&answer.answers, &answer.authorities].into_iter().enumerate() {
            for (place, set) in sets.iter().enumerate() {
                let with_signatures = std::iter::once(set).chain(signatures.of(section, place));
                if !self.write_together(with_signatures, &mut counts[section], encoder)? {
                    return Ok(false);
                }
            }
        }
        for (place, set) in answer.additionals.iter().enumerate() {
            if !self.write_together([set], &mut counts[2], encoder)? {
                return Ok(!is_glue_in(&answer.additionals[place..], answer));
            }
        }
        for place in 0..answer.additionals.len() {
            let signatures = signatures.of(2, place);
            if !self.write_together(signatures, &mut counts[2], encoder)? {
                break;
            }
        }
        Ok(true)
    }

    /// Writes sets that belong together, and counts their records; writes none if not all fit.
    fn write_together<'s>(
        &self,
        sets: impl IntoIterator<Item = &'s RecordSet>,
        count: &mut u16,
        encoder: &mut BinEncoder<'_>,
    ) -> Result<bool, ProtoError> {
        let (start, mut records) = (encoder.offset(), 0);
        for set in sets {
            match self.write_set(set, encoder) {
                Ok(()) => records += u16::try_from(set.data.len()).unwrap_or(u16::MAX),
                Err(ProtoError::MaxBufferSizeExceeded(_)) => {
                    // Names of the sets that are taken back are no targets of pointers any more.
                    encoder.set_offset(start);
                    encoder.trim();
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        *count += records;
        Ok(true)
    }

    fn write_set(&self, set: &RecordSet, encoder: &mut BinEncoder<'_>) -> Result<(), ProtoError> {
        let asked = self.request.asked.as_ref().map(|asked| &asked.question.name);
        let is_asked = asked == Some(&set.name) && !set.name.as_str().is_empty();
        let owner = if is_asked {
            None
        } else {
            Some(wire::to_wire(&set.name)?)
        };
        for data in &set.data {
            match &owner {
                Some(owner) => owner.emit(encoder)?,
                None => encoder.emit_u16(QUESTION_NAME)?,
            }
            write_fixed(data.record_type().number(), 1, set.ttl.min(wire::MAX_TTL), encoder)?;
            let length = encoder.place::<u16>()?;
            wire::data_to_wire(data)?.emit(encoder)?;
            let octets = encoder.len_since_place(&length);
            length.replace(encoder, u16::try_from(octets).unwrap_or(u16::MAX))?;
        }
        Ok(())
    }
}

/// Whether one of these sets is glue without which a referral leads nowhere: a name server's addresses
/// below the delegation itself.
fn is_glue_in(sets: &[RecordSet], answer: &Answer) -> bool {
    let referral = answer.findings.last().filter(|last| last.kind == FindingKind::Referral);
    referral.is_some_and(|referral| sets.iter().any(|set| set.name.is_at_or_below(&referral.name)))
}

/// The question as it came. Its name goes through the encoder, so that others can point to it.
fn write_question(asked: &Asked<'_>, encoder: &mut BinEncoder<'_>) -> Result<(), ProtoError> {
    let name = hickory_proto::rr::Name::read(&mut BinDecoder::new(asked.spelled))?;
    name.emit(encoder)?;
    encoder.emit_u16(asked.question.record_type.number())?;
    encoder.emit_u16(asked.class)
}

/// Type, class and TTL.
fn write_fixed(record_type: u16, class: u16, ttl: u32, encoder: &mut BinEncoder<'_>) -> Result<(), ProtoError> {
    encoder.emit_u16(record_type)?;
    encoder.emit_u16(class)?;
    encoder.emit_u32(ttl)
}
