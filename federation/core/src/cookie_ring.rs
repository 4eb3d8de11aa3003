//! The secrets of DNS cookies, shared by all replicas, and when they are exchanged (RFC 9018 section 5).
//!
//! What must stay true: no cookie breaks. A new secret is first only *accepted*, until every replica has
//! heard of it; then it is the one that cookies are made with, and the one before stays accepted for longer
//! than a cookie lives (one hour, RFC 9018 section 4.3). So there are two secrets at any time, and three
//! steps: staged, in use, left over.
//!
//! Secrets are random and come as an argument; nothing here prints them.

use std::fmt;
use std::time::Duration;

use crate::Timestamp;

/// How long a secret is in use before the next one is staged.
pub const ROTATE_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How long a new secret is only accepted: far longer than a watch takes, or a replica that restarts.
pub const STAGE_FOR: Duration = Duration::from_secs(1800);

const VERSION: u8 = 1;

/// A secret of 128 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieKey(pub [u8; 16]);

impl fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieKey(..)")
    }
}

/// The secrets of this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieRing {
    /// Cookies are made with it.
    pub current: CookieKey,
    /// Cookies made with it are good too: the one before, or the next one while it is staged.
    pub other: Option<CookieKey>,
    /// Whether `other` is the next one.
    pub staged: bool,
    /// Since when it is like this.
    pub since: Timestamp,
}

/// What the leader has to do with the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieStep {
    /// Nothing for so long.
    Wait(Duration),
    /// Write the ring that [`CookieRing::after`] makes from it.
    Write,
}

/// Why bytes are not a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CookieRingError {
    /// Written by another version of the program.
    #[error("its form has number {0}, known is {VERSION}; another version of the program wrote it")]
    Version(u8),
    /// Something else.
    #[error("it does not have the form of cookie secrets")]
    Form,
}

impl CookieRing {
    /// What to do with the ring that is there.
    pub fn step(ring: Option<&Self>, now: Timestamp) -> CookieStep {
        let Some(ring) = ring else {
            return CookieStep::Write;
        };
        let lasts = if ring.staged { STAGE_FOR } else { ROTATE_AFTER };
        // One from the future was written by a clock that was wrong: it does not stop the rotation.
        if ring.since > now + ROTATE_AFTER {
            return CookieStep::Write;
        }
        match lasts.checked_sub(now.since(ring.since)) {
            Some(left) if !left.is_zero() => CookieStep::Wait(left),
            _ => CookieStep::Write,
        }
    }

    /// The ring that follows; `fresh` is a new random secret, which is used if one is needed.
    pub fn after(ring: Option<&Self>, fresh: CookieKey, now: Timestamp) -> Self {
        match ring {
            None => Self {
                current: fresh,
                other: None,
                staged: false,
                since: now,
            },
            Some(ring) => match (ring.staged, ring.other) {
                (true, Some(next)) => Self {
                    current: next,
                    other: Some(ring.current),
                    staged: false,
                    since: now,
                },
                _ => Self {
                    current: ring.current,
                    other: Some(fresh),
                    staged: true,
                    since: now,
                },
            },
        }
    }

    /// As octets: a version, what is staged, the time, the secrets.
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = vec![VERSION, u8::from(self.staged)];
        octets.extend(self.since.0.to_be_bytes());
        octets.extend(self.current.0);
        octets.extend(self.other.into_iter().flat_map(|key| key.0));
        octets
    }

    /// From octets.
    pub fn decode(octets: &[u8]) -> Result<Self, CookieRingError> {
        let (version, rest) = octets.split_first().ok_or(CookieRingError::Form)?;
        if *version != VERSION {
            return Err(CookieRingError::Version(*version));
        }
        let (staged, rest) = rest.split_first().ok_or(CookieRingError::Form)?;
        let (since, rest) = rest.split_first_chunk().ok_or(CookieRingError::Form)?;
        let (current, rest) = rest.split_first_chunk().ok_or(CookieRingError::Form)?;
        let other = match rest {
            [] => None,
            rest => Some(CookieKey(rest.try_into().map_err(|_| CookieRingError::Form)?)),
        };
        if *staged > 1 || *staged == 1 && other.is_none() {
            return Err(CookieRingError::Form);
        }
        Ok(Self {
            current: CookieKey(*current),
            other,
            staged: *staged == 1,
            since: Timestamp(u64::from_be_bytes(*since)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn no_cookie_breaks_whichever_two_neighbouring_rings_replicas_have() {
        let mut ring = CookieRing::after(None, CookieKey([0; 16]), START);
        let mut now = START;
        let mut changed = 0;
        for number in 1..20 {
            let CookieStep::Wait(left) = CookieRing::step(Some(&ring), now) else {
                panic!("a new ring stays for a while");
            };
            assert_eq!(left, if ring.staged { STAGE_FOR } else { ROTATE_AFTER });
            now = now + left;
            assert_eq!(CookieRing::step(Some(&ring), now), CookieStep::Write);
            let next = CookieRing::after(Some(&ring), CookieKey([number; 16]), now);
            let accepts = |ring: &CookieRing, key| ring.current == key || ring.other == Some(key);
            assert!(accepts(&ring, next.current) && accepts(&next, ring.current));
            changed += u32::from(ring.current != next.current);
            // A secret that leaves has not made a cookie for a day.
            assert!(!next.staged || !ring.staged);
            ring = next;
        }
        assert_eq!(changed, 9);
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_stop_the_rotation() {
        let mut ring = CookieRing::after(None, CookieKey([0; 16]), START);
        assert_eq!(CookieRing::step(None, START), CookieStep::Write);
        ring.since = START + Duration::from_secs(3600);
        assert_eq!(CookieRing::step(Some(&ring), START), CookieStep::Wait(ROTATE_AFTER));
        ring.since = START + ROTATE_AFTER * 2;
        assert_eq!(CookieRing::step(Some(&ring), START), CookieStep::Write);
    }

    #[test]
    fn rings_come_back_from_octets_and_nothing_else_is_one() {
        let first = CookieRing::after(None, CookieKey([7; 16]), START);
        let second = CookieRing::after(Some(&first), CookieKey([8; 16]), START);
        for ring in [first, second] {
            let octets = ring.encode();
            assert_eq!(CookieRing::decode(&octets), Ok(ring));
            for length in (0..octets.len()).filter(|length| *length != 26) {
                assert!(CookieRing::decode(&octets[..length]).is_err(), "{length}");
            }
        }
        assert_eq!(CookieRing::decode(&[2, 0]), Err(CookieRingError::Version(2)));
        assert!(!format!("{:?}", CookieKey([7; 16])).contains('7'));
    }
}
