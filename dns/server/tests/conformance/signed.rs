//! Signatures of messages (RFC 8945), made by hand so that they can be wrong: `signed=good` of `ask` and the others.
//!
//! What must stay true: nothing of the server's own signing is used. Whether the server's signatures are good is
//! what real secondaries say in other tests; here it is which error a bad one gets.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac;

/// The key of every script's server, HMAC-SHA256.
pub(crate) const KEY: &str = "key.test";
pub(crate) const SECRET: &[u8] = b"a secret of both sides";

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    Good,
    /// Made with another secret.
    WrongSecret,
    /// By the name of a key that the server has not.
    UnknownKey,
    /// By an algorithm that the key is not for.
    WrongAlgorithm,
    /// An hour ago.
    Late,
    /// In an hour.
    Early,
    /// Half of the MAC, which is just enough (section 5.2.2.1).
    Half,
    /// Less than half.
    Short,
    /// Good, and then another record stands behind it.
    NotLast,
    /// Good, twice.
    Twice,
}

impl Signed {
    const ALL: [(&str, Self); 10] = [
        ("good", Self::Good),
        ("wrong-secret", Self::WrongSecret),
        ("unknown-key", Self::UnknownKey),
        ("wrong-algorithm", Self::WrongAlgorithm),
        ("late", Self::Late),
        ("early", Self::Early),
        ("half", Self::Half),
        ("short", Self::Short),
        ("not-last", Self::NotLast),
        ("twice", Self::Twice),
    ];

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, signed)| *signed)
    }

    /// Adds the record to a message.
    pub(crate) fn sign(self, message: &mut Vec<u8>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let time = match self {
            Self::Late => now.as_secs() - 3600,
            Self::Early => now.as_secs() + 3600,
            _ => now.as_secs(),
        };
        let name = wire(if self == Self::UnknownKey { "other.test" } else { KEY });
        let algorithm = wire(if self == Self::WrongAlgorithm {
            "hmac-sha512"
        } else {
            "hmac-sha256"
        });
        let secret = if self == Self::WrongSecret {
            b"another secret"
        } else {
            SECRET
        };
        // Six octets of time, and a fudge of 300 seconds.
        let times = [&time.to_be_bytes()[2..], &[1, 44]].concat();
        let covered = [&name[..], &[0, 255, 0, 0, 0, 0], &algorithm, &times, &[0; 4]].concat();
        let made = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, secret),
            &[&message[..], &covered].concat(),
        );
        let mac = match self {
            Self::Half => &made.as_ref()[..16],
            Self::Short => &made.as_ref()[..15],
            _ => made.as_ref(),
        };
        let length = |octets: &[u8]| crate::query::length(octets).to_be_bytes();
        // The id of the message; no error, no other data.
        let data = [&algorithm[..], &times, &length(mac), mac, &message[..2], &[0; 4]].concat();
        let record = [&name[..], &[0, 250, 0, 255, 0, 0, 0, 0], &length(&data), &data].concat();
        let records = match self {
            Self::NotLast => [&record[..], &[0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1]].concat(),
            Self::Twice => record.repeat(2),
            _ => record,
        };
        message[11] += if matches!(self, Self::NotLast | Self::Twice) {
            2
        } else {
            1
        };
        message.extend(records);
    }
}

/// A name of short labels.
fn wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.') {
        wire.push(u8::try_from(label.len()).expect("a short label"));
        wire.extend(label.bytes());
    }
    wire.push(0);
    wire
}
