//! What came back, read with two wire libraries that did not write it.
//!
//! What must stay true: every reply is well-formed to both readers, and every octet of it belongs to
//! something. `domain` shows the records; `hickory-proto`'s reader must not refuse them.

use domain::base::{Message, ParsedName, ParsedRecord, Rtype, ToName, UnknownRecordData};
use domain::rdata::AllRecordData;
use domain::rdata::tsig::Tsig;
use hickory_proto::op::Message as OtherReader;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// In wire form, its case kept.
    pub(crate) owner: Vec<u8>,
    pub(crate) record_type: u16,
    pub(crate) class: u16,
    /// `None` stands for any.
    pub(crate) ttl: Option<u32>,
    /// In canonical form (RFC 4034 section 6.2); `None` stands for any.
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) shown: String,
}

/// An OPT record.
#[derive(Debug, Clone)]
pub(crate) struct Opt {
    pub(crate) size: u16,
    pub(crate) version: u8,
    pub(crate) flags: u16,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

/// A whole reply.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) octets: usize,
    pub(crate) id: u16,
    /// Without the response code.
    pub(crate) flags: u16,
    /// With the high bits of the OPT record.
    pub(crate) code: u16,
    /// The question section in wire form.
    pub(crate) question: Vec<u8>,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
    pub(crate) opt: Option<Opt>,
    /// The signature's error, and whether there is a MAC (RFC 8945 section 4.2).
    pub(crate) tsig: Option<(u16, bool)>,
}

impl Reply {
    /// The data of an option, if it came.
    pub(crate) fn option(&self, code: u16) -> Option<&[u8]> {
        let options = &self.opt.as_ref()?.options;
        options
            .iter()
            .find(|(found, _)| *found == code)
            .map(|(_, data)| data.as_slice())
    }
}

/// Reads a reply, or says why it is none.
pub(crate) fn read(octets: &[u8]) -> Result<Reply, String> {
    let reply = read_with_domain(octets).map_err(|error| format!("domain cannot read the reply: {error}"))?;
    // It takes no record without data, which RFC 3597 allows.
    let mut records = reply.answers.iter().chain(&reply.authorities).chain(&reply.additionals);
    if records.all(|record| record.data.as_ref().is_some_and(|data| !data.is_empty())) {
        OtherReader::from_vec(octets).map_err(|error| format!("hickory-proto cannot read the reply: {error}"))?;
    }
    Ok(reply)
}

fn read_with_domain(octets: &[u8]) -> Result<Reply, String> {
    let text = |error: domain::base::wire::ParseError| error.to_string();
    let message = Message::from_octets(octets).map_err(|error| error.to_string())?;
    let [id, flags] = [0, 2].map(|at| u16::from_be_bytes([octets[at], octets[at + 1]]));
    let mut reply = Reply {
        octets: octets.len(),
        id,
        flags: flags & 0xfff0,
        code: flags & 0x000f,
        question: Vec::new(),
        answers: Vec::new(),
        authorities: Vec::new(),
        additionals: Vec::new(),
        opt: None,
        tsig: None,
    };
    for question in message.question() {
        let question = question.map_err(text)?;
        reply.question.extend(question.qname().to_vec().as_slice());
        reply.question.extend(question.qtype().to_int().to_be_bytes());
        reply.question.extend(question.qclass().to_int().to_be_bytes());
    }
    let sections = [
        (message.answer().map_err(text)?, 0),
        (message.authority().map_err(text)?, 1),
        (message.additional().map_err(text)?, 2),
    ];
    for (section, place) in sections {
        for record in section {
            let record = record.map_err(text)?;
            if record.rtype() == Rtype::OPT {
                if place != 2 || reply.opt.is_some() || record.owner().to_vec().len() != 1 {
                    return Err("its OPT record is not the one of the root in the additional section".to_owned());
                }
                reply.code |= u16::try_from(record.ttl().as_secs() >> 24 << 4).expect("eight bits");
                reply.opt = Some(opt(&record)?);
                continue;
            }
            if reply.tsig.is_some() {
                return Err("its TSIG record is not the last".to_owned());
            }
            if record.rtype() == Rtype::TSIG {
                if place != 2 {
                    return Err("its TSIG record is not in the additional section".to_owned());
                }
                reply.tsig = Some(tsig(&record)?);
                continue;
            }
            let read = shown(&record)?;
            [&mut reply.answers, &mut reply.authorities, &mut reply.additionals][place].push(read);
        }
    }
    Ok(reply)
}

fn shown(record: &ParsedRecord<'_, &[u8]>) -> Result<Record, String> {
    let read = record
        .to_any_record::<AllRecordData<_, ParsedName<_>>>()
        .map_err(|error| error.to_string())?;
    let mut data = Vec::new();
    domain::base::rdata::ComposeRecordData::compose_canonical_rdata(read.data(), &mut data)
        .map_err(|error| error.to_string())?;
    Ok(Record {
        owner: record.owner().to_vec().as_slice().to_vec(),
        record_type: record.rtype().to_int(),
        class: record.class().to_int(),
        ttl: Some(record.ttl().as_secs()),
        data: Some(data),
        shown: format!(
            "{} {} {} {} {}",
            record.owner(),
            record.ttl().as_secs(),
            record.class(),
            record.rtype(),
            read.data()
        ),
    })
}

fn opt(record: &ParsedRecord<'_, &[u8]>) -> Result<Opt, String> {
    let data = record
        .to_record::<UnknownRecordData<_>>()
        .map_err(|error| error.to_string())?
        .ok_or("no data")?;
    let mut rest: &[u8] = data.data().data();
    let mut options = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (data, next) = behind.split_at_checked(length).ok_or("an option is cut short")?;
        options.push((u16::from_be_bytes([head[0], head[1]]), data.to_vec()));
        rest = next;
    }
    let ttl = record.ttl().as_secs();
    Ok(Opt {
        size: record.class().to_int(),
        version: (ttl >> 16) as u8,
        flags: ttl as u16,
        options,
    })
}

fn tsig(record: &ParsedRecord<'_, &[u8]>) -> Result<(u16, bool), String> {
    let read = record
        .to_record::<Tsig<_, ParsedName<_>>>()
        .map_err(|error| error.to_string())?
        .ok_or("no TSIG data")?;
    Ok((read.data().error().to_int(), !read.data().mac().is_empty()))
}
