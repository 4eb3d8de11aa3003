//! The OPT record (RFC 6891): what a query's says, and the octets of ours.
//!
//! What must stay true: a reply has an OPT record if and only if the query had one (section 7); ours
//! tells our own payload size (section 6.2.3), whatever the client's is, and the options of ours are
//! those that the query asked for. Our record is written by hand, because its size must be known
//! before the records that it shares the datagram with.

use hickory_proto::op::ResponseCode;

/// A query's OPT record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edns<'a> {
    pub(crate) version: u8,
    /// The largest datagram the client takes.
    pub(crate) payload: u16,
    /// The flags, as in [`flag`].
    pub(crate) flags: u16,
    /// The options as they came.
    pub(crate) options: &'a [u8],
}

impl Edns<'_> {
    /// The DO flag: signatures are wanted.
    pub(crate) fn dnssec_ok(&self) -> bool {
        self.flags & flag::DNSSEC_OK != 0
    }

    /// The CO flag: a compact denial may say NXDOMAIN.
    pub(crate) fn compact_ok(&self) -> bool {
        self.flags & flag::COMPACT_OK != 0
    }
}

/// Flags of the record (IANA).
pub(crate) mod flag {
    /// RFC 3225.
    pub(crate) const DNSSEC_OK: u16 = 0x8000;
    /// RFC 9824 section 5.1.
    pub(crate) const COMPACT_OK: u16 = 0x4000;
}

/// Codes of options (IANA).
pub(crate) mod code {
    pub(crate) const NSID: u16 = 3;
    pub(crate) const CLIENT_SUBNET: u16 = 8;
    pub(crate) const COOKIE: u16 = 10;
    pub(crate) const KEEPALIVE: u16 = 11;
    pub(crate) const PADDING: u16 = 12;
    pub(crate) const EXTENDED_ERROR: u16 = 15;
}

/// Octets of an OPT record without options.
const FIXED: usize = 11;

/// Octets before the data of an option.
const OPTION: usize = 4;

/// Our OPT record, being made.
#[derive(Debug)]
pub(crate) struct OwnEdns {
    payload: u16,
    flags: u16,
    options: Vec<u8>,
}

impl OwnEdns {
    /// Without options. DO is copied, whether or not there are signatures (RFC 3225 section 3), and so is
    /// CO; flags that nobody knows are not (RFC 6891 section 6.1.4).
    pub(crate) fn new(payload: u16, flags: u16) -> Self {
        Self {
            payload,
            flags: flags & (flag::DNSSEC_OK | flag::COMPACT_OK),
            options: Vec::new(),
        }
    }

    /// Adds an option. What is longer than an option can be is left out.
    pub(crate) fn option(&mut self, code: u16, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        if let Ok(length) = u16::try_from(length) {
            self.options.extend(code.to_be_bytes());
            self.options.extend(length.to_be_bytes());
            parts.iter().for_each(|part| self.options.extend(*part));
        }
    }

    /// Octets of the record as it is now.
    pub(crate) fn size(&self) -> usize {
        FIXED + self.options.len()
    }

    /// Adds padding, so that a message with `before` octets before this record ends at a multiple of
    /// `block`, but not past `limit` (RFC 8467 section 4.1).
    pub(crate) fn pad(&mut self, before: usize, block: usize, limit: usize) {
        let unpadded = before + self.size() + OPTION;
        if unpadded > limit {
            return;
        }
        let padded = unpadded.next_multiple_of(block).min(limit);
        self.option(code::PADDING, &[&vec![0; padded - unpadded]]);
    }

    /// Appends the record; the high octet of the response code is in it.
    pub(crate) fn write(&self, code: ResponseCode, out: &mut Vec<u8>) {
        out.extend([0, 0, 41]);
        out.extend(self.payload.to_be_bytes());
        out.extend([code.high(), 0]);
        out.extend(self.flags.to_be_bytes());
        out.extend(u16::try_from(self.options.len()).unwrap_or(0).to_be_bytes());
        out.extend(&self.options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_what_is_written() {
        let mut edns = OwnEdns::new(1232, 0xffff);
        edns.option(code::NSID, &[b"a", b"bc"]);
        let mut out = Vec::new();
        edns.write(ResponseCode::BADVERS, &mut out);
        assert_eq!(
            out,
            [0, 0, 41, 4, 208, 1, 0, 0xc0, 0, 0, 7, 0, 3, 0, 3, b'a', b'b', b'c']
        );
        assert_eq!(edns.size(), out.len());
    }

    #[test]
    fn padding_ends_at_a_block_or_at_the_limit() {
        for (before, limit, expected) in [
            (40, 65_535, 468),
            (453, 65_535, 468),
            (454, 65_535, 936),
            (65_506, 65_535, 65_535),
            // No room for the option: left out.
            (65_521, 65_535, 65_532),
        ] {
            let mut edns = OwnEdns::new(1232, 0);
            edns.pad(before, 468, limit);
            assert_eq!(before + edns.size(), expected, "{before}");
        }
    }
}
