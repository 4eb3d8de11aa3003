//! From a packet to a request: header, question, OPT record, or the first thing that is wrong.
//!
//! The order of the checks is the order in which a packet's meaning becomes known: the opcode says
//! what the sections mean (RFC 1035), the EDNS version what the OPT record means (RFC 6891), then
//! come the number of questions (RFC 9619) and the options.
//!
//! What must stay true:
//! - a packet is walked once, without following a compression pointer: nothing stands before the
//!   question that its name could point to, and the other names are only skipped;
//! - what was readable before the fault is kept, because an error still repeats the question and
//!   carries an OPT record if there was one;
//! - a message that is a reply itself, or has no whole header, gets silence: two servers would talk
//!   to each other for ever.
//!
//! Refused: the wire library's reader. It drops *all* options when one of them is cut short, does not
//! notice octets behind a Client Subnet address nor behind the message, and copies every record of
//! every section, which nobody looks at.

use hickory_proto::op::ResponseCode;
use meridian_dns_core::{DnsName, Question, RecordType};

use crate::edns::Edns;
use crate::extended_error::ExtendedError;
use crate::options::Options;
use crate::tsig::{TSIG, TsigRecord};

/// Octets of a header (RFC 1035 section 4.1.1).
pub(crate) const HEADER: usize = 12;

/// The OPT record's type (RFC 6891).
const OPT: u16 = 41;

/// The type of a start of authority.
const SOA: u16 = 6;

/// A message that deserves a reply.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) id: u16,
    /// 0 is QUERY; there is a fault for every other one.
    pub(crate) opcode: u8,
    /// The RD bit.
    pub(crate) recursion_desired: bool,
    /// The CD bit.
    pub(crate) checking_disabled: bool,
    /// The question, if there is exactly one and it can be read.
    pub(crate) asked: Option<Asked<'a>>,
    /// The OPT record, if it can be read.
    pub(crate) edns: Option<Edns<'a>>,
    /// What the options say; nothing if there are none or if they are malformed.
    pub(crate) options: Options<'a>,
    /// The signature, if there is one that can be read.
    pub(crate) tsig: Option<TsigRecord<'a>>,
    /// The serial of the SOA in the authority section: what the sender of an IXFR has (RFC 1995 section 3).
    pub(crate) serial: Option<u32>,
    /// The first thing that is wrong.
    pub(crate) fault: Option<Fault>,
}

/// A question as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    /// The name as it was spelled, in wire form.
    pub(crate) spelled: &'a [u8],
    /// The name folded to lower case, and the type.
    pub(crate) question: Question,
    /// The class by its number.
    pub(crate) class: u16,
}

/// An error code, and perhaps why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: ResponseCode,
    pub(crate) why: Option<ExtendedError>,
}

impl Fault {
    pub(crate) fn new(code: ResponseCode) -> Self {
        Self { code, why: None }
    }

    pub(crate) fn because(code: ResponseCode, why: ExtendedError) -> Self {
        Self { code, why: Some(why) }
    }
}

/// Reads a message; `None` if it must not be replied to.
pub(crate) fn read(packet: &[u8]) -> Option<Request<'_>> {
    let header = packet.first_chunk::<HEADER>()?;
    let [id_high, id_low, high, low, ..] = *header;
    if high & 0x80 != 0 {
        return None;
    }
    let mut request = Request {
        id: u16::from_be_bytes([id_high, id_low]),
        opcode: high >> 3 & 0x0f,
        recursion_desired: high & 0x01 != 0,
        checking_disabled: low & 0x10 != 0,
        asked: None,
        edns: None,
        options: Options::default(),
        tsig: None,
        serial: None,
        fault: None,
    };
    let questions = u16::from_be_bytes([header[4], header[5]]);
    let walked = walk(packet, &mut request);
    request.fault = if request.opcode != 0 {
        Some(Fault::because(ResponseCode::NotImp, ExtendedError::NOT_SUPPORTED))
    } else if walked.is_none() {
        Some(Fault::new(ResponseCode::FormErr))
    } else if request.edns.as_ref().is_some_and(|edns| edns.version > 0) {
        Some(Fault::new(ResponseCode::BADVERS))
    } else {
        let options = request
            .edns
            .as_ref()
            .map_or(Some(Options::default()), |edns| Options::read(edns.options));
        request.options = options.unwrap_or_default();
        // RFC 9619 section 4: one question. RFC 7873 section 5.4: none, to ask for a cookie alone.
        let counted = questions == 1 || questions == 0 && request.options.cookie.is_some();
        (options.is_none() || !counted).then(|| Fault::new(ResponseCode::FormErr))
    };
    Some(request)
}

/// Walks all sections and keeps the question and the OPT record; `None` if the packet does not have
/// the form that its counts promise.
fn walk<'a>(packet: &'a [u8], request: &mut Request<'a>) -> Option<()> {
    let count = |at: usize| number(packet, at);
    let (questions, before, additionals) = (count(4)?, [count(6)?, count(8)?], count(10)?);
    let mut at = HEADER;
    for _ in 0..questions {
        let end = after_name(packet, at)?;
        let (record_type, class) = (number(packet, end)?, number(packet, end + 2)?);
        if questions == 1 {
            let spelled = packet.get(at..end)?;
            let name = DnsName::from_labels(labels(spelled)?).ok()?;
            request.asked = Some(Asked {
                spelled,
                question: Question {
                    name,
                    record_type: RecordType::from(record_type),
                },
                class,
            });
        }
        at = end + 4;
    }
    let ordinary = u32::from(before[0]) + u32::from(before[1]);
    for record in 0..ordinary + u32::from(additionals) {
        let fixed = after_name(packet, at)?;
        let data_start = fixed + 10;
        let data_end = data_start + usize::from(number(packet, fixed + 8)?);
        let data = packet.get(data_start..data_end)?;
        if number(packet, fixed)? == OPT {
            // RFC 6891 section 6.1.1: one, of the root, in the additional section.
            if record < ordinary || request.edns.is_some() || fixed != at + 1 {
                request.edns = None;
                return None;
            }
            request.edns = Some(Edns {
                payload: number(packet, fixed + 2)?,
                version: *packet.get(fixed + 5)?,
                flags: number(packet, fixed + 6)?,
                options: data,
            });
        }
        let is_authority = (u32::from(before[0])..ordinary).contains(&record);
        if is_authority && number(packet, fixed)? == SOA {
            // Behind two names, which may be compressed, come five numbers.
            let serial = data
                .len()
                .checked_sub(20)
                .and_then(|at| data.get(at..at + 4)?.try_into().ok());
            request.serial = Some(u32::from_be_bytes(serial?));
        }
        if number(packet, fixed)? == TSIG {
            // RFC 8945 section 5.2: one, the last of the additional section.
            if record < ordinary || record + 1 != ordinary + u32::from(additionals) {
                return None;
            }
            request.tsig = Some(TsigRecord::read(packet, at)?);
        }
        at = data_end;
    }
    // Octets behind the last record belong to nobody.
    (at == packet.len()).then_some(())
}

/// The signature of a message that may be a reply.
pub(crate) fn tsig_of(packet: &[u8]) -> Option<TsigRecord<'_>> {
    let mut query = packet.to_vec();
    *query.get_mut(2)? &= 0x7f;
    let start = read(&query)?.tsig?.start;
    TsigRecord::read(packet, start)
}

pub(crate) fn number(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?))
}

/// The position after a name; a pointer ends it (RFC 1035 section 4.1.4).
fn after_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            192.. => return Some(at + 2),
            64..=191 => return None,
        }
    }
}

/// The labels of a name in wire form; `None` if a pointer is in it or its end is not its end.
pub(crate) fn labels(name: &[u8]) -> Option<impl Iterator<Item = &[u8]> + Clone> {
    let mut at = 0;
    loop {
        match *name.get(at)? {
            0 => break,
            length @ 1..=63 => at += 1 + usize::from(length),
            64.. => return None,
        }
    }
    if at + 1 != name.len() {
        return None;
    }
    let mut rest = name;
    Some(std::iter::from_fn(move || {
        let (length, behind) = rest.split_first()?;
        let (label, next) = behind.split_at_checked(usize::from(*length))?;
        rest = next;
        (!label.is_empty()).then_some(label)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header with these counts, and a body.
    fn packet(flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0, 7];
        packet.extend(flags.to_be_bytes());
        packet.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        packet.extend(body);
        packet
    }

    const QUESTION: &[u8] = &[1, b'A', 0, 0, 1, 0, 1];
    const EMPTY_OPT: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0];

    fn check(flags: u16, counts: [u16; 4], parts: &[&[u8]], expected: Option<ResponseCode>) {
        let packet = packet(flags, counts, &parts.concat());
        let request = read(&packet).expect("a request");
        assert_eq!(request.fault.map(|fault| fault.code), expected, "{counts:?} {parts:?}");
    }

    #[test]
    fn one_question_and_at_most_one_opt_record_make_a_request() {
        use ResponseCode::{BADVERS, FormErr, NotImp};
        check(0, [1, 0, 0, 0], &[QUESTION], None);
        check(0, [1, 0, 0, 1], &[QUESTION, EMPTY_OPT], None);
        check(0, [0, 0, 0, 0], &[], Some(FormErr));
        check(0, [2, 0, 0, 0], &[QUESTION, QUESTION], Some(FormErr));
        check(0, [1, 0, 0, 2], &[QUESTION, EMPTY_OPT, EMPTY_OPT], Some(FormErr));
        check(0, [1, 1, 0, 0], &[QUESTION, EMPTY_OPT], Some(FormErr));
        check(0, [1, 0, 0, 0], &[QUESTION, &[0]], Some(FormErr));
        check(0, [1, 0, 0, 1], &[QUESTION], Some(FormErr));
        // A pointer in the question, to itself and to the header.
        check(0, [1, 0, 0, 0], &[&[0xc0, 12, 0, 1, 0, 1]], Some(FormErr));
        check(0, [1, 0, 0, 0], &[&[0xc0, 0, 0, 1, 0, 1]], Some(FormErr));
        check(0, [1, 0, 0, 0], &[&[0x41, 0, 0, 1, 0, 1]], Some(FormErr));
        // An OPT record of another name than the root.
        check(
            0,
            [1, 0, 0, 1],
            &[QUESTION, &[0xc0, 12], &EMPTY_OPT[1..]],
            Some(FormErr),
        );
        check(2 << 11, [1, 0, 0, 0], &[QUESTION], Some(NotImp));
        check(
            0,
            [1, 0, 0, 1],
            &[QUESTION, &[0, 0, 41, 4, 208, 0, 9, 0, 0, 0, 0]],
            Some(BADVERS),
        );
        // Only a cookie may be asked for without a question.
        check(0, [0, 0, 0, 1], &[EMPTY_OPT], Some(FormErr));
        let cookie = [&EMPTY_OPT[..10], &[12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
        check(0, [0, 0, 0, 1], &[&cookie], None);
    }

    #[test]
    fn what_is_readable_is_kept() {
        let bytes = packet(0x0110, [1, 0, 0, 1], &[QUESTION, EMPTY_OPT].concat());
        let request = read(&bytes).expect("a request");
        assert!(request.recursion_desired && request.checking_disabled);
        let asked = request.asked.expect("a question");
        assert_eq!(
            (asked.spelled, asked.question.name.as_str(), asked.class),
            (&[1, b'A', 0][..], "a", 1)
        );
        let edns = request.edns.expect("an OPT record");
        assert_eq!((edns.payload, edns.dnssec_ok()), (1232, true));
    }

    #[test]
    fn replies_and_fragments_get_silence() {
        let reply = packet(0x8000, [1, 0, 0, 0], QUESTION);
        assert!(read(&reply).is_none());
        let query = packet(0, [1, 0, 0, 0], QUESTION);
        for end in 0..query.len() {
            let request = read(&query[..end]);
            assert_eq!(request.is_some(), end >= HEADER);
            assert!(request.is_none_or(|request| request.fault.is_some()));
        }
    }

    #[test]
    fn names_past_255_octets_are_malformed() {
        let label = [&[63][..], &[b'a'; 63]].concat();
        for (labels, expected) in [(3, None), (4, Some(ResponseCode::FormErr))] {
            check(0, [1, 0, 0, 0], &[&label.repeat(labels), &[0, 0, 1, 0, 1]], expected);
        }
    }
}
