//! What is sent: a message from its words, or octets as they are.
//!
//! What must stay true: a message can be wrong in every field, so it is written here by hand and not by
//! a library that would refuse to.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::names::{class, record_type, wire_name};
use crate::script::{Line, Problem};
use crate::signed::Signed;

/// A message to send.
#[derive(Debug, Clone)]
pub(crate) enum Query {
    Raw(Vec<u8>),
    Ask(Ask),
}

/// A message in words.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    name: Vec<u8>,
    record_type: u16,
    class: u16,
    /// The second 16 bits of the header.
    flags: u16,
    id: Option<u16>,
    /// Counts that are not what they should be.
    counts: [Option<u16>; 4],
    /// How often the question is asked.
    copies: u16,
    edns: Option<AskedEdns>,
    /// The serial of a SOA record in the authority section (RFC 1995 section 3).
    serial: Option<u32>,
    signed: Option<Signed>,
    /// Octets behind the last record.
    tail: Vec<u8>,
}

#[derive(Debug, Clone)]
struct AskedEdns {
    version: u8,
    size: u16,
    flags: u16,
    options: Vec<AskedOption>,
}

#[derive(Debug, Clone)]
enum AskedOption {
    Octets(u16, Vec<u8>),
    /// The cookie that the reply before brought.
    PreviousCookie,
}

const COOKIE: u16 = 10;

impl Query {
    pub(crate) fn read(line: &Line<'_>) -> Result<Self, Problem> {
        let (word, rest) = line.split();
        if word == "raw" {
            return Ok(Self::Raw(line.octets(rest)?));
        }
        let mut words = rest.split_whitespace();
        let (Some(name), Some(kind)) = (words.next(), words.next()) else {
            return Err(line.problem("ask needs a name and a type"));
        };
        let mut ask = Ask {
            name: wire_name(line, name)?,
            record_type: record_type(line, kind)?,
            class: 1,
            flags: 0,
            id: None,
            counts: [None; 4],
            copies: 1,
            edns: None,
            serial: None,
            signed: None,
            tail: Vec::new(),
        };
        for word in words {
            ask.word(line, word)?;
        }
        Ok(Self::Ask(ask))
    }

    /// A line behind the message's own: an option or a tail.
    pub(crate) fn more(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        let (word, rest) = line.split();
        match (self, word) {
            (Self::Ask(ask), "option") => {
                let option = option(line, rest)?;
                ask.edns().options.push(option);
            }
            (Self::Ask(ask), _) => ask.tail = line.octets(rest)?,
            (Self::Raw(octets), "tail") => octets.extend(line.octets(rest)?),
            (Self::Raw(_), _) => return Err(line.problem("an option belongs to ask; raw has it in its octets")),
        }
        Ok(())
    }

    /// The octets, with this id unless the script gives another.
    pub(crate) fn octets(&self, id: u16, cookie: Option<&[u8]>) -> Vec<u8> {
        match self {
            Self::Raw(octets) => octets.clone(),
            Self::Ask(ask) => ask.octets(id, cookie),
        }
    }

    /// The id, if it is not the one given.
    pub(crate) fn id(&self, given: u16) -> u16 {
        match self {
            Self::Raw(_) => given,
            Self::Ask(ask) => ask.id.unwrap_or(given),
        }
    }

    /// The question section as it must come back.
    pub(crate) fn question(&self) -> Option<Vec<u8>> {
        match self {
            Self::Raw(_) => None,
            Self::Ask(ask) => Some(ask.question()),
        }
    }

    /// Whether there is an OPT record, and its DO bit; `None` if only the octets know.
    pub(crate) fn edns(&self) -> Option<Option<bool>> {
        match self {
            Self::Raw(_) => None,
            Self::Ask(ask) => Some(ask.edns.as_ref().map(|edns| edns.flags & 0x8000 != 0)),
        }
    }
}

impl Ask {
    fn edns(&mut self) -> &mut AskedEdns {
        self.edns.get_or_insert(AskedEdns {
            version: 0,
            size: 1232,
            flags: 0,
            options: Vec::new(),
        })
    }

    fn word(&mut self, line: &Line<'_>, word: &str) -> Result<(), Problem> {
        if let Some(bit) = header_bit(word) {
            self.flags |= bit;
            return Ok(());
        }
        let number = |text: &str| line.parse::<u16>("a number", text);
        match word.split_once('=') {
            None => match word {
                "edns" => _ = self.edns(),
                "do" => self.edns().flags |= 0x8000,
                "co" => self.edns().flags |= 0x4000,
                _ => self.class = class(line, word)?,
            },
            Some(("opcode", value)) => self.flags |= (number(value)? & 0x0f) << 11,
            Some(("rcode", value)) => self.flags |= number(value)? & 0x0f,
            Some(("id", value)) => self.id = Some(number(value)?),
            Some(("qdcount", value)) => self.counts[0] = Some(number(value)?),
            Some(("ancount", value)) => self.counts[1] = Some(number(value)?),
            Some(("nscount", value)) => self.counts[2] = Some(number(value)?),
            Some(("arcount", value)) => self.counts[3] = Some(number(value)?),
            Some(("serial", value)) => self.serial = Some(line.parse("a serial", value)?),
            Some(("signed", value)) => {
                let signed = Signed::from_word(value);
                self.signed = Some(signed.ok_or_else(|| line.problem(format!("{value:?} is no signature")))?);
            }
            Some(("copies", value)) => self.copies = number(value)?,
            Some(("version", value)) => self.edns().version = line.parse("a version", value)?,
            Some(("size", value)) => self.edns().size = number(value)?,
            Some(("ednsflags", value)) => {
                let flags = u16::from_str_radix(value, 16);
                self.edns().flags |= flags.map_err(|_| line.problem(format!("{value:?} is not four digits")))?;
            }
            Some(_) => return Err(line.problem(format!("{word:?} is not a word of ask"))),
        }
        Ok(())
    }

    fn question(&self) -> Vec<u8> {
        let one = [
            &self.name[..],
            &self.record_type.to_be_bytes(),
            &self.class.to_be_bytes(),
        ]
        .concat();
        one.repeat(usize::from(self.copies))
    }

    fn octets(&self, id: u16, cookie: Option<&[u8]>) -> Vec<u8> {
        let mut octets = Vec::new();
        let serial = u16::from(self.serial.is_some());
        let counts = [self.copies, 0, serial, u16::from(self.edns.is_some())];
        let counts = self
            .counts
            .iter()
            .zip(counts)
            .map(|(wrong, right)| wrong.unwrap_or(right));
        for number in [self.id.unwrap_or(id), self.flags].into_iter().chain(counts) {
            octets.extend(number.to_be_bytes());
        }
        octets.extend(self.question());
        if let Some(serial) = self.serial {
            // Of the name that is asked for; both names in it are the root.
            octets.extend([0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]);
            octets.extend(serial.to_be_bytes());
            octets.extend([0; 16]);
        }
        if let Some(edns) = &self.edns {
            let mut options = Vec::new();
            for option in &edns.options {
                let (code, data) = match option {
                    AskedOption::Octets(code, data) => (*code, data.as_slice()),
                    AskedOption::PreviousCookie => (COOKIE, cookie.unwrap_or_default()),
                };
                options.extend(code.to_be_bytes());
                options.extend(length(data).to_be_bytes());
                options.extend(data);
            }
            octets.extend([0, 0, 41]);
            octets.extend(edns.size.to_be_bytes());
            octets.extend([0, edns.version]);
            octets.extend(edns.flags.to_be_bytes());
            octets.extend(length(&options).to_be_bytes());
            octets.extend(options);
        }
        octets.extend(&self.tail);
        if let Some(signed) = self.signed {
            signed.sign(&mut octets);
        }
        octets
    }
}

pub(crate) fn length(data: &[u8]) -> u16 {
    u16::try_from(data.len()).expect("a script's data is short")
}

/// A bit of the header by its name (RFC 1035 section 4.1.1, RFC 4035 section 3).
pub(crate) fn header_bit(word: &str) -> Option<u16> {
    Some(match word {
        "qr" => 0x8000,
        "aa" => 0x0400,
        "tc" => 0x0200,
        "rd" => 0x0100,
        "ra" => 0x0080,
        "z" => 0x0040,
        "ad" => 0x0020,
        "cd" => 0x0010,
        _ => return None,
    })
}

/// `subnet 192.0.2.0/24`, `cookie 0102030405060708`, `cookie previous`, `nsid`, `keepalive`, `padding 9`
/// or the option's number and its octets.
fn option(line: &Line<'_>, text: &str) -> Result<AskedOption, Problem> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Ok(match word {
        "subnet" => AskedOption::Octets(8, subnet(line, rest)?),
        "cookie" if rest == "previous" => AskedOption::PreviousCookie,
        "cookie" => AskedOption::Octets(COOKIE, line.octets(rest)?),
        "nsid" => AskedOption::Octets(3, Vec::new()),
        "keepalive" => AskedOption::Octets(11, Vec::new()),
        "padding" => AskedOption::Octets(12, vec![0; line.parse::<u16>("a number of octets", rest)?.into()]),
        number => {
            let code = line.parse("the number of an option, nor the name of one", number)?;
            AskedOption::Octets(code, line.octets(rest)?)
        }
    })
}

/// `192.0.2.0/24`, and in a reply `192.0.2.0/24/16` with the scope (RFC 7871 section 6).
pub(crate) fn subnet(line: &Line<'_>, text: &str) -> Result<Vec<u8>, Problem> {
    let (network, scope) = match text.rsplit_once('/') {
        Some((network, scope)) if network.contains('/') => (network, line.parse("a scope", scope)?),
        _ => (text, 0_u8),
    };
    let network: IpNet = line.parse("a network", network)?;
    let (family, octets) = match network.addr() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let kept = usize::from(network.prefix_len()).div_ceil(8);
    Ok([&[0, family, network.prefix_len(), scope], &octets[..kept]].concat())
}

/// A PROXY header, version 2, for this client.
pub(crate) fn proxy_header(line: &Line<'_>, client: &str, stream: bool) -> Result<Vec<u8>, Problem> {
    let client: IpAddr = line.parse("an address", client)?;
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    let kind = if stream { 1 } else { 2 };
    match client {
        IpAddr::V4(client) => {
            header.extend([0x10 | kind, 0, 12]);
            header.extend(client.octets());
            header.extend([127, 0, 0, 1]);
        }
        IpAddr::V6(client) => {
            header.extend([0x20 | kind, 0, 36]);
            header.extend(client.octets());
            header.extend([0; 16]);
        }
    }
    header.extend([0x30, 0x39, 0, 53]);
    Ok(header)
}
