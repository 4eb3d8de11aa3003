//! What shall come back, and how it differs from what did.
//!
//! What must stay true: everything that is not said to be there must not be there: flags, records of
//! every section, options. The question is always the one that was asked, octet for octet; there is an
//! OPT record if there was one, with version 0, our size, and the DO bit of the query.

use std::fmt::Write as _;

use domain::base::iana::Class;
use domain::base::rdata::ComposeRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};

use crate::names::{class, code, record_type, shown_code, wire_name};
use crate::query::{Query, header_bit, subnet};
use crate::reply::{Record, Reply};
use crate::script::{Line, Problem};

/// RFC 4034 section 3.
const RRSIG: u16 = 46;

/// What one message shall lead to.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) kind: Kind,
    flags: u16,
    code: u16,
    /// No question comes back, or another one.
    question: Option<Vec<u8>>,
    /// Whether there is an OPT record, where that does not follow from the query.
    has_opt: Option<bool>,
    payload: u16,
    /// The CO bit comes back (RFC 9824 section 5.1).
    compact_ok: bool,
    answers: Section,
    authorities: Section,
    additionals: Section,
    options: Vec<(u16, Option<Vec<u8>>)>,
    /// The error of the reply's signature, and whether it has a MAC.
    tsig: Option<(u16, bool)>,
    /// Octets of the reply, at most and as a multiple.
    at_most: Option<usize>,
    multiple_of: Option<usize>,
    /// HTTP's status and `cache-control`.
    pub(crate) http: Option<(u16, String)>,
}

/// Whether there is a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Reply,
    /// Nothing, although the server is there.
    Silence,
    /// The connection ends.
    Closed,
    /// An error of HTTP alone.
    HttpError,
}

#[derive(Debug, Default)]
enum Section {
    #[default]
    Empty,
    Records(Vec<Record>),
    Count(usize),
    Any,
}

impl Expected {
    pub(crate) fn read(line: &Line<'_>) -> Result<Self, Problem> {
        let mut words = line.split().1.split_whitespace();
        let mut expected = Self {
            kind: Kind::Reply,
            flags: 0x8000,
            code: 0,
            question: None,
            has_opt: None,
            payload: 1232,
            compact_ok: false,
            answers: Section::Empty,
            authorities: Section::Empty,
            additionals: Section::Empty,
            options: Vec::new(),
            tsig: None,
            at_most: None,
            multiple_of: None,
            http: None,
        };
        match words.next() {
            Some("silence") => expected.kind = Kind::Silence,
            Some("closed") => expected.kind = Kind::Closed,
            Some("http") => {
                let status = words.next().unwrap_or_default();
                expected.kind = Kind::HttpError;
                expected.http = Some((line.parse("a status of HTTP", status)?, String::new()));
            }
            Some(word) => expected.code = code(line, word)?,
            None => return Err(line.problem("expect needs a response code, silence, closed or http")),
        }
        for word in words {
            if let Some(bit) = header_bit(word) {
                expected.flags |= bit;
                continue;
            }
            match word.split_once('=') {
                None if word == "noquestion" => expected.question = Some(Vec::new()),
                None if word == "noopt" => expected.has_opt = Some(false),
                None if word == "co" => expected.compact_ok = true,
                None if word == "opt" => expected.has_opt = Some(true),
                Some(("opcode", value)) => expected.flags |= line.parse::<u16>("an opcode", value)? << 11,
                Some(("size", value)) => expected.payload = line.parse("a size", value)?,
                _ => return Err(line.problem(format!("{word:?} is not a word of expect"))),
            }
        }
        Ok(expected)
    }

    /// A line behind `expect`.
    pub(crate) fn more(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        let (word, rest) = line.split();
        match word {
            "answer" => self.answers.add(line, rest)?,
            "authority" => self.authorities.add(line, rest)?,
            "additional" => self.additionals.add(line, rest)?,
            "opt" => self.options.push(option(line, rest)?),
            "question" => {
                let [name, kind, class_text] = rest.split_whitespace().collect::<Vec<_>>()[..] else {
                    return Err(line.problem("question needs a name, a type and a class"));
                };
                let mut question = wire_name(line, name)?;
                question.extend(record_type(line, kind)?.to_be_bytes());
                question.extend(class(line, class_text)?.to_be_bytes());
                self.question = Some(question);
            }
            "tsig" => {
                let (error, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let has_mac = match rest {
                    "" => true,
                    "unsigned" => false,
                    _ => return Err(line.problem("tsig has an error, and unsigned where there is no MAC")),
                };
                // The number that is BADVERS in an OPT record.
                let error = if error == "BADSIG" { 16 } else { code(line, error)? };
                self.tsig = Some((error, has_mac));
            }
            "at-most" => self.at_most = Some(line.parse("a number of octets", rest)?),
            "multiple-of" => self.multiple_of = Some(line.parse("a number of octets", rest)?),
            "cache" => self.http = Some((200, rest.to_owned())),
            _ => return Err(line.problem(format!("{word:?} is not a word that can stand behind expect"))),
        }
        Ok(())
    }

    /// How the reply to a query differs from this; nothing if it does not.
    pub(crate) fn differences(&self, query: &Query, id: u16, reply: &Reply) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |what: &str, expected: String, received: String| {
            if expected != received {
                found.push(format!("{what}: expected {expected}, received {received}"));
            }
        };
        if matches!(query, Query::Ask(_)) {
            check("id", id.to_string(), reply.id.to_string());
        }
        check("code", shown_code(self.code), shown_code(reply.code));
        check("signature", format!("{:?}", self.tsig), format!("{:?}", reply.tsig));
        check("flags", shown_flags(self.flags), shown_flags(reply.flags));
        if let Some(question) = self.question.clone().or_else(|| query.question()) {
            check(
                "question",
                format!("{question:02x?}"),
                format!("{:02x?}", reply.question),
            );
        }
        let edns = query.edns();
        let has_opt = self.has_opt.or(edns.map(|edns| edns.is_some()));
        if let Some(has_opt) = has_opt {
            check("OPT record", has_opt.to_string(), reply.opt.is_some().to_string());
        }
        if let Some(opt) = &reply.opt {
            check("payload size", self.payload.to_string(), opt.size.to_string());
            check("EDNS version", "0".to_owned(), opt.version.to_string());
            if let Some(Some(dnssec_ok)) = edns {
                let bit = |set: bool, bit: u16| if set { bit } else { 0 };
                let flags = bit(dnssec_ok, 0x8000) | bit(self.compact_ok, 0x4000);
                check("EDNS flags", format!("{flags:04x}"), format!("{:04x}", opt.flags));
            }
        }
        found.extend(self.answers.differences("answer", &reply.answers));
        found.extend(self.authorities.differences("authority", &reply.authorities));
        found.extend(self.additionals.differences("additional", &reply.additionals));
        found.extend(self.option_differences(reply));
        if let Some(most) = self.at_most.filter(|most| reply.octets > *most) {
            found.push(format!(
                "size: expected at most {most} octets, received {}",
                reply.octets
            ));
        }
        if let Some(block) = self.multiple_of.filter(|block| !reply.octets.is_multiple_of(*block)) {
            found.push(format!(
                "size: expected a multiple of {block}, received {}",
                reply.octets
            ));
        }
        found
    }

    fn option_differences(&self, reply: &Reply) -> Vec<String> {
        let received = reply.opt.as_ref().map(|opt| opt.options.clone()).unwrap_or_default();
        let mut left = received.clone();
        for (code, data) in &self.options {
            let fits =
                |(found, octets): &(u16, Vec<u8>)| found == code && data.as_ref().is_none_or(|data| data == octets);
            match left.iter().position(fits) {
                Some(place) => _ = left.remove(place),
                None => return vec![format!("options: expected {:?}, received {received:?}", self.options)],
            }
        }
        if left.is_empty() {
            return Vec::new();
        }
        vec![format!("options: expected {:?}, received {received:?}", self.options)]
    }
}

impl Section {
    fn add(&mut self, line: &Line<'_>, text: &str) -> Result<(), Problem> {
        match (&mut *self, text.split_once(' ')) {
            (Self::Empty, None) if text == "any" => *self = Self::Any,
            (Self::Empty, Some(("count", number))) => *self = Self::Count(line.parse("a number", number)?),
            (Self::Empty, _) => *self = Self::Records(vec![record(line, text)?]),
            (Self::Records(records), _) => records.push(record(line, text)?),
            _ => return Err(line.problem("a section has records, or a count, or is any")),
        }
        Ok(())
    }

    fn differences(&self, name: &str, received: &[Record]) -> Option<String> {
        let expected: &[Record] = match self {
            Self::Any => return None,
            Self::Count(count) if *count == received.len() => return None,
            Self::Count(count) => {
                return Some(format!("{name}: expected {count} records, received {}", received.len()));
            }
            Self::Empty => &[],
            Self::Records(records) => records,
        };
        let (left, right) = (in_order(expected), in_order(received));
        let same = left.len() == right.len() && left.iter().zip(&right).all(|(one, other)| fits(one, other));
        if same {
            return None;
        }
        let mut text = format!("{name} section differs");
        for (mark, records) in [("expected", left), ("received", right)] {
            if records.is_empty() {
                let _ = write!(text, "\n      {mark} no records");
            }
            for record in records {
                let _ = write!(text, "\n      {mark} {}", record.shown);
            }
        }
        Some(text)
    }
}

/// The sets in their order, the records of each set sorted.
fn in_order(records: &[Record]) -> Vec<Record> {
    let key = |record: &Record| (record.owner.clone(), record.record_type, record.class);
    let mut sets: Vec<Vec<Record>> = Vec::new();
    for record in records {
        match sets.last_mut() {
            Some(set) if key(&set[0]) == key(record) => set.push(record.clone()),
            _ => sets.push(vec![record.clone()]),
        }
    }
    for set in &mut sets {
        set.sort_by(|one, other| one.data.cmp(&other.data));
    }
    sets.concat()
}

fn fits(expected: &Record, received: &Record) -> bool {
    (&expected.owner, expected.record_type, expected.class) == (&received.owner, received.record_type, received.class)
        && (expected.ttl.is_none() || expected.ttl == received.ttl)
        && match (&expected.data, &received.data) {
            (None, _) => true,
            // Of a signature only the type that it covers is written.
            (Some(covered), Some(data)) if expected.record_type == RRSIG && covered.len() == 2 => {
                data.starts_with(covered)
            }
            (expected, received) => expected == received,
        }
}

/// `OWNER TTL [CLASS] TYPE DATA`; `*` as the TTL or as the data stands for any.
fn record(line: &Line<'_>, text: &str) -> Result<Record, Problem> {
    let mut words = text.splitn(3, char::is_whitespace);
    let (Some(owner), Some(ttl), Some(rest)) = (words.next(), words.next(), words.next()) else {
        return Err(line.problem("a record has a name, a TTL, a type and data"));
    };
    let ttl = match ttl {
        "*" => None,
        ttl => Some(line.parse("a TTL", ttl)?),
    };
    let (class, rest) = match rest.trim_start().split_once(' ') {
        Some((word @ ("IN" | "CH"), rest)) => (class(line, word)?, rest.trim_start()),
        _ => (1, rest.trim_start()),
    };
    let (kind, data) = rest.split_once(' ').unwrap_or((rest, ""));
    let number = record_type(line, kind)?;
    let data = match data.trim() {
        "*" => None,
        data if kind == "RRSIG" && data.ends_with(" *") => {
            let covered = data.trim_end_matches(" *");
            return Ok(Record {
                owner: wire_name(line, owner)?,
                record_type: number,
                class,
                ttl,
                data: Some(record_type(line, covered)?.to_be_bytes().to_vec()),
                shown: text.to_owned(),
            });
        }
        data => Some(octets(line, kind, data)?),
    };
    Ok(Record {
        owner: wire_name(line, owner)?,
        record_type: number,
        class,
        ttl,
        data,
        shown: text.to_owned(),
    })
}

/// Data in canonical form.
fn octets(line: &Line<'_>, kind: &str, data: &str) -> Result<Vec<u8>, Problem> {
    let mut file = Zonefile::new();
    file.set_origin(domain::base::Name::root_bytes());
    file.set_default_class(Class::IN);
    file.extend_from_slice(format!(". 0 IN {kind} {data}\n").as_bytes());
    let wrong = |error: String| line.problem(format!("{kind} {data:?}: {error}"));
    match file.next_entry().map_err(|error| wrong(error.to_string()))? {
        Some(Entry::Record(record)) => {
            let mut written = Vec::new();
            record
                .data()
                .compose_canonical_rdata(&mut written)
                .map_err(|error| wrong(error.to_string()))?;
            Ok(written)
        }
        _ => Err(wrong("this is no record".to_owned())),
    }
}

/// `nsid 6131`, `subnet 192.0.2.0/24/16`, `error 20`, `cookie *`, `keepalive 100`, `padding *`, or a number
/// and octets.
fn option(line: &Line<'_>, text: &str) -> Result<(u16, Option<Vec<u8>>), Problem> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let octets = match (word, rest) {
        (_, "*") => None,
        ("subnet", rest) => Some(subnet(line, rest)?),
        ("error" | "keepalive", rest) => Some(line.parse::<u16>("a number", rest)?.to_be_bytes().to_vec()),
        (_, rest) => Some(line.octets(rest)?),
    };
    let code = match word {
        "nsid" => 3,
        "subnet" => 8,
        "cookie" => 10,
        "keepalive" => 11,
        "padding" => 12,
        "error" => 15,
        number => line.parse("the number of an option, nor the name of one", number)?,
    };
    Ok((code, octets))
}

fn shown_flags(flags: u16) -> String {
    let mut text = format!("opcode={}", flags >> 11 & 0x0f);
    for name in ["qr", "aa", "tc", "rd", "ra", "z", "ad", "cd"] {
        if header_bit(name).is_some_and(|bit| flags & bit != 0) {
            text = format!("{text} {name}");
        }
    }
    text
}
