//! Signed messages (TSIG, RFC 8945): queries are checked, replies and notices are signed.
//!
//! What must stay true:
//! - a reply to a well signed query is signed, every message of a stream (section 5.3.1);
//! - a query whose signature is not good is answered NOTAUTH with the error in a TSIG record, which is
//!   itself signed only for BADTIME (section 5.3.2), and nothing else is done with it;
//! - comparison takes the same time whatever differs, and secrets are in no message or `Debug` text.
//!
//! Refused: `domain`'s `tsig` module answers a wrong signature with FORMERR instead of BADSIG, covers eight
//! octets of a BADTIME reply's six, and signs only its own message builder's messages. hickory's has no
//! truncated MACs, and neither BADTIME replies nor messages after the first.

mod record;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use meridian_dns_core::DnsName;
use ring::hmac;

pub(crate) use self::record::{TSIG, TsigRecord};

/// Seconds that clocks may differ (section 10).
const FUDGE: u16 = 300;

/// Class ANY and TTL 0, which every TSIG record has.
const CLASS_AND_TTL: [u8; 6] = [0, 255, 0, 0, 0, 0];

const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;

/// What messages are signed with. The three that are not deprecated (section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// HMAC with SHA-256; every implementation has it.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl TsigAlgorithm {
    const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// The algorithm of that name, as `hmac-sha256`, without regard to case.
    pub fn from_name(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        Self::ALL.into_iter().find(|known| known.name() == text)
    }

    /// Its name without the final dot (IANA).
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    fn to_octets(self) -> Vec<u8> {
        let name = self.name().as_bytes();
        // Eleven octets.
        [&[11][..], name, &[0]].concat()
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }
}

/// A secret that two servers share.
#[derive(Clone)]
pub struct TsigKey {
    name: DnsName,
    algorithm: TsigAlgorithm,
    key: Arc<hmac::Key>,
}

impl TsigKey {
    /// A key of that name. The octets are the secret, after base 64 is taken off.
    pub fn new(name: DnsName, algorithm: TsigAlgorithm, secret: &[u8]) -> Self {
        let key = Arc::new(hmac::Key::new(algorithm.hmac(), secret));
        Self { name, algorithm, key }
    }

    /// A key with a secret in base 64, as key files and `tsig-keygen` have it; white space around it is nothing.
    pub fn from_base64(name: DnsName, algorithm: TsigAlgorithm, text: &[u8]) -> Result<Self, TsigSecretError> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(TsigSecretError::Empty);
        }
        let secret = BASE64.decode(text).map_err(|_| TsigSecretError::NotBase64)?;
        Ok(Self::new(name, algorithm, &secret))
    }

    /// Its name, which both sides must have given it.
    pub fn name(&self) -> &DnsName {
        &self.name
    }
}

/// Why a text is no secret. The text itself is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TsigSecretError {
    /// There is nothing.
    #[error("it is empty; write the secret that tsig-keygen prints")]
    Empty,
    /// It is something else.
    #[error("it is not base 64; write the secret that tsig-keygen prints, without quotation marks")]
    NotBase64,
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TsigKey({} {})", self.name, self.algorithm.name())
    }
}

/// What a query's signature is.
pub(crate) enum Verified<'a> {
    Good(Signing),
    Bad(Failure<'a>),
    /// FORMERR: of a length that no signature has (section 5.2.2.1).
    Malformed,
}

/// The signatures of the replies to one query.
#[derive(Debug, Clone)]
pub(crate) struct Signing {
    key: TsigKey,
    /// The MAC of the message before: first of the query.
    before: Vec<u8>,
    first: bool,
}

/// What is said about a bad signature.
#[derive(Debug)]
pub(crate) struct Failure<'a> {
    record: TsigRecord<'a>,
    error: u16,
    /// For BADTIME.
    signing: Option<Signing>,
}

/// Checks the signature of a query. `now` is in seconds since 1970.
pub(crate) fn verify<'a>(
    packet: &[u8],
    record: &TsigRecord<'a>,
    keys: &BTreeMap<DnsName, TsigKey>,
    now: u64,
) -> Verified<'a> {
    let bad = |error, signing| {
        let record = record.clone();
        Verified::Bad(Failure { record, error, signing })
    };
    let key = keys.get(&record.name);
    let Some(key) = key.filter(|key| key.algorithm.to_octets().eq_ignore_ascii_case(&record.algorithm)) else {
        return bad(BADKEY, None);
    };
    let full = key.algorithm.hmac().digest_algorithm().output_len();
    if !(full / 2..=full).contains(&record.mac.len()) {
        return Verified::Malformed;
    }
    let made = mac(key, &[], &record.signed_message(packet), &Variables::Full(record));
    // In constant time, also of a part.
    let good = made.as_ref().get(..record.mac.len()).is_some_and(|made| {
        let differing = made
            .iter()
            .zip(record.mac)
            .fold(0, |all, (one, other)| all | (one ^ other));
        std::hint::black_box(differing) == 0
    });
    if !good {
        return bad(BADSIG, None);
    }
    let signing = Signing {
        key: key.clone(),
        before: record.mac.to_vec(),
        first: true,
    };
    if now.abs_diff(record.time) > u64::from(record.fudge) {
        return bad(BADTIME, Some(signing));
    }
    Verified::Good(signing)
}

/// What is covered behind the message (section 4.3.3).
enum Variables<'a> {
    Full(&'a TsigRecord<'a>),
    Timers(u64, u16),
}

fn mac(key: &TsigKey, before: &[u8], message: &[u8], variables: &Variables<'_>) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&key.key);
    if !before.is_empty() {
        context.update(&u16::try_from(before.len()).unwrap_or(u16::MAX).to_be_bytes());
        context.update(before);
    }
    context.update(message);
    match variables {
        Variables::Full(record) => {
            context.update(&record.name.to_octets());
            context.update(&CLASS_AND_TTL);
            context.update(&record.algorithm.to_ascii_lowercase());
            context.update(&record::times(record.time, record.fudge));
            context.update(&record.error.to_be_bytes());
            context.update(&u16::try_from(record.other.len()).unwrap_or(0).to_be_bytes());
            context.update(record.other);
        }
        Variables::Timers(time, fudge) => context.update(&record::times(*time, *fudge)),
    }
    context.sign()
}

impl Signing {
    /// The signature of a message that is not a reply: nothing comes before it.
    pub(crate) fn of_query(key: TsigKey) -> Self {
        Self {
            key,
            before: Vec::new(),
            first: true,
        }
    }

    pub(crate) fn key(&self) -> &DnsName {
        &self.key.name
    }

    /// Octets that the record takes.
    pub(crate) fn size(&self) -> usize {
        let mac = self.key.algorithm.hmac().digest_algorithm().output_len();
        record::size(&self.key.name, &self.key.algorithm.to_octets(), mac, 6)
    }

    /// Signs the next message.
    pub(crate) fn sign(&mut self, now: u64, message: &mut Vec<u8>) {
        self.sign_as(now, FUDGE, 0, &[], message);
    }

    fn sign_as(&mut self, time: u64, fudge: u16, error: u16, other: &[u8], message: &mut Vec<u8>) {
        let mut record = TsigRecord {
            start: message.len(),
            name: self.key.name.clone(),
            algorithm: self.key.algorithm.to_octets(),
            time,
            fudge,
            mac: &[],
            id: message.first_chunk().map_or(0, |id| u16::from_be_bytes(*id)),
            error,
            other,
        };
        let variables = if self.first {
            Variables::Full(&record)
        } else {
            Variables::Timers(time, fudge)
        };
        let made = mac(&self.key, &self.before, message, &variables);
        self.before = made.as_ref().to_vec();
        self.first = false;
        record.mac = &self.before;
        record.append(message);
    }

    /// Whether a reply to what was signed last is signed by the same key, in time.
    pub(crate) fn is_reply(&self, packet: &[u8], record: &TsigRecord<'_>, now: u64) -> bool {
        let made = mac(
            &self.key,
            &self.before,
            &record.signed_message(packet),
            &Variables::Full(record),
        );
        record.name == self.key.name
            && made.as_ref() == record.mac
            && now.abs_diff(record.time) <= u64::from(record.fudge)
    }
}

impl Failure<'_> {
    pub(crate) fn size(&self) -> usize {
        let mac = self.signing.as_ref().map_or(0, |_| 64);
        record::size(&self.record.name, &self.record.algorithm, mac, 6)
    }

    /// Adds the record that says what is wrong (section 5.3.2).
    pub(crate) fn append(&mut self, now: u64, message: &mut Vec<u8>) {
        let (time, fudge) = (self.record.time, self.record.fudge);
        match &mut self.signing {
            Some(signing) => signing.sign_as(time, fudge, self.error, &record::time(now), message),
            None => TsigRecord {
                mac: &[],
                other: &[],
                error: self.error,
                id: self.record.id,
                ..self.record.clone()
            }
            .append(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &[u8]) -> TsigKey {
        let name = DnsName::parse("key.test").expect("a name");
        TsigKey::new(name, TsigAlgorithm::HmacSha256, secret)
    }

    fn keys() -> BTreeMap<DnsName, TsigKey> {
        BTreeMap::from([(key(b"a secret").name.clone(), key(b"a secret"))])
    }

    const QUERY: [u8; 17] = [0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];

    fn signed(key: TsigKey, now: u64) -> Vec<u8> {
        let mut message = QUERY.to_vec();
        Signing::of_query(key).sign(now, &mut message);
        message
    }

    fn error(packet: &[u8], now: u64) -> Option<u16> {
        let record = TsigRecord::read(packet, QUERY.len()).expect("a record");
        match verify(packet, &record, &keys(), now) {
            Verified::Good(_) => Some(0),
            Verified::Bad(failure) => Some(failure.error),
            Verified::Malformed => None,
        }
    }

    #[test]
    fn only_the_key_at_the_time_makes_a_good_signature() {
        let good = signed(key(b"a secret"), 1000);
        assert_eq!(error(&good, 1000), Some(0));
        assert_eq!((error(&good, 1300), error(&good, 700)), (Some(0), Some(0)));
        assert_eq!((error(&good, 1301), error(&good, 699)), (Some(BADTIME), Some(BADTIME)));
        assert_eq!(error(&signed(key(b"another"), 1000), 1000), Some(BADSIG));
        let other = TsigKey::new(DnsName::root(), TsigAlgorithm::HmacSha256, b"a secret");
        assert_eq!(error(&signed(other, 1000), 1000), Some(BADKEY));
        let other = TsigKey::new(key(b"").name, TsigAlgorithm::HmacSha512, b"a secret");
        assert_eq!(error(&signed(other, 1000), 1000), Some(BADKEY));
        // The id may change on the way (section 5.2), nothing else.
        let mut forwarded = good.clone();
        forwarded[0] = 9;
        assert_eq!(error(&forwarded, 1000), Some(0));
        // Nor the count of additional records, which says whether there is a signature at all.
        for place in (2..QUERY.len()).filter(|place| *place != 11) {
            let mut changed = good.clone();
            changed[place] ^= 1;
            if let Some(record) = TsigRecord::read(&changed, QUERY.len()) {
                assert!(
                    !matches!(verify(&changed, &record, &keys(), 1000), Verified::Good(_)),
                    "{place}"
                );
            }
        }
    }

    #[test]
    fn half_a_signature_is_enough_and_less_is_malformed() {
        let packet = signed(key(b"a secret"), 1000);
        let record = TsigRecord::read(&packet, QUERY.len()).expect("a record");
        for (length, good) in [(32, true), (16, true), (15, false), (0, false)] {
            let cut = TsigRecord {
                mac: &record.mac[..length],
                ..record.clone()
            };
            let verified = verify(&packet, &cut, &keys(), 1000);
            assert_eq!(matches!(verified, Verified::Good(_)), good, "{length}");
            assert_eq!(matches!(verified, Verified::Malformed), !good, "{length}");
        }
    }
}
