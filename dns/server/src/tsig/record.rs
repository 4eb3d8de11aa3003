//! The TSIG record itself (RFC 8945 section 4.2): read from a message, and added to one.

use meridian_dns_core::DnsName;

use crate::request::number;

/// The type.
pub(crate) const TSIG: u16 = 250;

/// A TSIG record. It is the last one of its message.
#[derive(Debug, Clone)]
pub(crate) struct TsigRecord<'a> {
    /// Where it begins.
    pub(crate) start: usize,
    /// The key's name.
    pub(crate) name: DnsName,
    /// The algorithm's name, as octets.
    pub(crate) algorithm: Vec<u8>,
    /// Seconds since 1970; 48 bits.
    pub(crate) time: u64,
    pub(crate) fudge: u16,
    pub(crate) mac: &'a [u8],
    /// The message's id when it was signed.
    pub(crate) id: u16,
    pub(crate) error: u16,
    pub(crate) other: &'a [u8],
}

impl<'a> TsigRecord<'a> {
    /// Reads the record that begins there and ends with the message.
    pub(crate) fn read(packet: &'a [u8], start: usize) -> Option<Self> {
        let (name, fixed) = name(packet, start)?;
        let length = usize::from(number(packet, fixed + 8)?);
        // Class ANY, TTL 0, and nothing behind.
        let is_tsig = packet.get(fixed + 2..fixed + 8)? == super::CLASS_AND_TTL;
        let data = fixed + 10;
        if !is_tsig || data + length != packet.len() {
            return None;
        }
        let (algorithm, rest) = self::name(packet, data)?;
        let high = u64::from(number(packet, rest)?);
        let low = u32::from_be_bytes(packet.get(rest + 2..rest + 6)?.try_into().ok()?);
        let mac = rest + 10;
        let end = mac + usize::from(number(packet, rest + 8)?);
        let other = end + 6;
        let record = Self {
            start,
            name,
            algorithm: algorithm.to_octets(),
            time: high << 32 | u64::from(low),
            fudge: number(packet, rest + 6)?,
            mac: packet.get(mac..end)?,
            id: number(packet, end)?,
            error: number(packet, end + 2)?,
            other: packet.get(other..)?,
        };
        (record.other.len() == usize::from(number(packet, end + 4)?)).then_some(record)
    }

    /// The message as it was when it was signed: without this record, and with its first id.
    pub(crate) fn signed_message(&self, packet: &[u8]) -> Vec<u8> {
        let mut message = packet.get(..self.start).unwrap_or_default().to_vec();
        if let Some(header) = message.first_chunk_mut::<12>() {
            header[..2].copy_from_slice(&self.id.to_be_bytes());
            let additionals = u16::from_be_bytes([header[10], header[11]]).saturating_sub(1);
            header[10..].copy_from_slice(&additionals.to_be_bytes());
        }
        message
    }

    /// Adds the record to a message.
    pub(crate) fn append(&self, message: &mut Vec<u8>) {
        if let Some(header) = message.first_chunk_mut::<12>() {
            let additionals = u16::from_be_bytes([header[10], header[11]]).saturating_add(1);
            header[10..].copy_from_slice(&additionals.to_be_bytes());
        }
        let length = |octets: &[u8]| u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut data = self.algorithm.clone();
        data.extend(times(self.time, self.fudge));
        data.extend(length(self.mac));
        data.extend(self.mac);
        data.extend(self.id.to_be_bytes());
        data.extend(self.error.to_be_bytes());
        data.extend(length(self.other));
        data.extend(self.other);
        message.extend(self.name.to_octets());
        message.extend(TSIG.to_be_bytes());
        message.extend(super::CLASS_AND_TTL);
        message.extend(length(&data));
        message.extend(data);
    }
}

/// Octets of a record.
pub(super) fn size(name: &DnsName, algorithm: &[u8], mac: usize, other: usize) -> usize {
    name.to_octets().len() + 10 + algorithm.len() + 16 + mac + other
}

/// A time as it is in records: 48 bits.
pub(super) fn time(seconds: u64) -> [u8; 6] {
    let [_, _, time @ ..] = seconds.to_be_bytes();
    time
}

/// Time and fudge.
pub(super) fn times(seconds: u64, fudge: u16) -> Vec<u8> {
    [&time(seconds)[..], &fudge.to_be_bytes()].concat()
}

/// The name at a place, whose pointers lead strictly backwards, and the place behind it.
fn name(packet: &[u8], start: usize) -> Option<(DnsName, usize)> {
    let mut labels = Vec::new();
    let (mut at, mut least, mut end) = (start, start, None);
    loop {
        match *packet.get(at)? {
            0 => {
                let name = DnsName::from_labels(labels).ok()?;
                return Some((name, end.unwrap_or(at + 1)));
            }
            length @ 1..=63 => {
                let next = at + 1 + usize::from(length);
                labels.push(packet.get(at + 1..next)?);
                at = next;
            }
            192.. => {
                let to = usize::from(number(packet, at)? & 0x3fff);
                end = end.or(Some(at + 2));
                if to >= least {
                    return None;
                }
                (at, least) = (to, to);
            }
            64..=191 => return None,
        }
    }
}
