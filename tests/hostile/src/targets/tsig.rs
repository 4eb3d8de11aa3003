//! Signed messages (RFC 8945). Chance finds no good signature, so this target signs what it is given, with code of
//! its own, and checks the signature of the reply.
//!
//! The first octet says how: its lowest two bits choose no signature beside what the message has, a good one, one
//! with a wrong MAC, or one of another time; the rest chooses the transport.

use meridian_dns_server::Transport;
use ring::hmac;

use super::{SETTINGS, TRANSPORTS, UNIX, WORLD, ask, well_formed};

/// As the key of the targets, whose name is the root.
pub(super) const SECRET: &[u8] = b"a secret";

const ALGORITHM: &[u8] = b"\x0bhmac-sha256\x00";
/// The root, type TSIG, class ANY, TTL 0.
const HEAD: [u8; 9] = [0, 0, 250, 0, 255, 0, 0, 0, 0];
const MAC: usize = 32;
/// From the record's begin to its MAC: head, length of the data, algorithm, time, fudge, length of the MAC.
const BEFORE_MAC: usize = HEAD.len() + 2 + ALGORITHM.len() + 6 + 2 + 2;
/// A record without other data.
const SIZE: usize = BEFORE_MAC + MAC + 6;

const NO_ERROR: u16 = 0;
const FORMAT_ERROR: u16 = 1;
const NAME_ERROR: u16 = 3;

/// The MAC of a message (section 4.3); `before` is that of the query, in a reply.
fn mac(before: &[u8], message: &[u8], time: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let mut context = hmac::Context::with_key(&key);
    if !before.is_empty() {
        context.update(&(before.len() as u16).to_be_bytes());
        context.update(before);
    }
    context.update(message);
    // The root, class ANY, TTL 0.
    context.update(&[0, 0, 255, 0, 0, 0, 0]);
    context.update(ALGORITHM);
    // Time and fudge; no error, no other data.
    context.update(time);
    context.update(&[0; 4]);
    context.sign().as_ref().to_vec()
}

/// The message with one more record, or one less.
fn counted(message: &[u8], change: i16) -> Vec<u8> {
    let mut message = message.to_vec();
    if let Some(header) = message.first_chunk_mut::<12>() {
        let count = u16::from_be_bytes([header[10], header[11]]).wrapping_add_signed(change);
        header[10..].copy_from_slice(&count.to_be_bytes());
    }
    message
}

/// The message signed at that time, and its MAC.
fn signed(message: &[u8], time: u64) -> (Vec<u8>, Vec<u8>) {
    let times = [&time.to_be_bytes()[2..], &300_u16.to_be_bytes()].concat();
    let made = mac(&[], message, &times);
    let length = (SIZE - HEAD.len() - 2) as u16;
    let packet = [
        &counted(message, 1)[..],
        &HEAD,
        &length.to_be_bytes(),
        ALGORITHM,
        &times,
        &(MAC as u16).to_be_bytes(),
        &made,
        // The id; no error, no other data.
        &message[..2],
        &[0; 4],
    ]
    .concat();
    (packet, made)
}

/// A message and how it is signed.
///
/// # Panics
///
/// If a message that is not well signed gets an answer, or one that is gets one without a good signature.
pub fn tsig(input: &[u8]) {
    let Some((choice, message)) = input.split_first() else {
        return;
    };
    let transport = TRANSPORTS[usize::from(choice >> 2) % TRANSPORTS.len()];
    let kind = choice & 3;
    // In a message that is malformed by itself the signature may be anything, such as the data of a record.
    let unsigned = reply(message, transport);
    let counts = message.get(10..12).is_none_or(|count| count == [255, 255]);
    if kind == 0 || counts || unsigned.is_none_or(|(_, code)| code == FORMAT_ERROR) {
        return;
    }
    let time = if kind == 3 { UNIX - 301 } else { UNIX };
    let (mut packet, made) = signed(message, u64::from(time));
    if kind == 2 {
        let at = message.len() + BEFORE_MAC + usize::from(message[0]) % MAC;
        packet[at] ^= 1 << (message[1] & 7);
    }
    let Some((reply, code)) = reply(&packet, transport) else {
        return;
    };
    let answered = matches!(code, NO_ERROR | NAME_ERROR);
    if kind != 1 {
        assert!(!answered, "an answer to what is not well signed, code {code}");
        return;
    }
    let found = reply.len().checked_sub(SIZE).map(|at| reply.split_at(at));
    let Some((before, record)) = found.filter(|(_, record)| record.starts_with(&HEAD)) else {
        assert!(!answered, "an answer without a signature");
        return;
    };
    let times = &record[BEFORE_MAC - 10..BEFORE_MAC - 2];
    assert_eq!(
        mac(&made, &counted(before, -1), times),
        record[BEFORE_MAC..BEFORE_MAC + MAC],
        "the signature of the reply, code {code}"
    );
}

fn reply(packet: &[u8], transport: Transport) -> Option<(Vec<u8>, u16)> {
    let (reply, summary) = ask(&WORLD, &SETTINGS[0], transport, None, packet)?;
    well_formed(packet, &reply, &summary, transport);
    Some((reply, summary.code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::query;

    #[test]
    fn what_this_target_signs_is_well_signed() {
        let message = query(7, "web.example.test", 1, None);
        for (time, expected) in [(UNIX, NO_ERROR), (UNIX - 300, NO_ERROR), (UNIX - 301, 9)] {
            let (packet, _) = signed(&message, u64::from(time));
            let (_, code) = reply(&packet, Transport::Udp).expect("a reply");
            assert_eq!(code, expected, "{time}");
        }
    }
}
