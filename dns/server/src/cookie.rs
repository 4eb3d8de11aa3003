//! DNS cookies (RFC 7873) with the interoperable server cookie (RFC 9018).
//!
//! A server cookie proves that its bearer receives what is sent to its address, so whoever shows one
//! is not a forged source and is spared the rate limit.
//!
//! What must stay true:
//! - replicas with the same secrets understand each other's cookies, and other servers' too: the form
//!   is RFC 9018's, nothing is remembered per client;
//! - a secret is replaced without a client noticing: cookies of the previous one are still good, new
//!   ones are made with the current one (RFC 9018 section 5);
//! - time is a parameter, seconds since 1970 in 32 bits, compared as serial numbers (RFC 1982), so
//!   that 2106 is a day like others;
//! - hashes are compared without telling by the time it takes where they differ.

use std::fmt;
use std::net::IpAddr;

use rustls::crypto::SecureRandom;
use siphasher::sip::SipHasher24;

use crate::options::CookieOption;

/// Version 1, three reserved octets, the time, the hash.
const LENGTH: usize = 16;

/// RFC 9018 section 4.3, in seconds.
const TOO_OLD: i64 = 3600;
/// See [`TOO_OLD`].
const RENEW_AFTER: i64 = 1800;
/// See [`TOO_OLD`].
const TOO_NEW: i64 = -300;

/// A key that all replicas of a server share.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieSecret([u8; 16]);

impl CookieSecret {
    /// These 128 bits, which nobody outside may know.
    pub const fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// A secret nobody knows: good for a server without replicas. `None` if the system has no random
    /// numbers.
    pub fn random() -> Option<Self> {
        let mut key = [0; 16];
        let random: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut key).ok()?;
        Some(Self(key))
    }

    fn hash(&self, client: &[u8; 8], head: &[u8; 8], address: IpAddr) -> [u8; 8] {
        let mut input = [0; 32];
        input[..8].copy_from_slice(client);
        input[8..16].copy_from_slice(head);
        let length = match address {
            IpAddr::V4(v4) => {
                input[16..20].copy_from_slice(&v4.octets());
                20
            }
            IpAddr::V6(v6) => {
                input[16..].copy_from_slice(&v6.octets());
                32
            }
        };
        SipHasher24::new_with_key(&self.0).hash(&input[..length]).to_le_bytes()
    }
}

impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret(..)")
    }
}

/// What becomes of a query over UDP whose cookie option has no good server cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CookiePolicy {
    /// It is answered, and gets a cookie for the next time.
    #[default]
    Offer,
    /// It gets BADCOOKIE and a cookie, and asks again with it (RFC 7873 section 5.2.3). Queries
    /// without the option are answered all the same.
    Require,
}

/// The secrets and the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookies {
    /// Cookies are made with it.
    pub current: CookieSecret,
    /// Cookies made with it are still good.
    pub previous: Option<CookieSecret>,
    /// For queries over UDP.
    pub policy: CookiePolicy,
}

/// What a server cookie is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Whether we made it for this client and this address, not long ago.
    pub(crate) valid: bool,
    /// The server cookie to return: the same one while it is young, or a new one.
    pub(crate) server: [u8; LENGTH],
}

impl Cookies {
    /// Checks a query's cookie and makes the one to return.
    pub(crate) fn check(&self, cookie: &CookieOption<'_>, address: IpAddr, now: u32) -> Checked {
        let fresh = || {
            let [a, b, c, d] = now.to_be_bytes();
            let head = [1, 0, 0, 0, a, b, c, d];
            joined(head, self.current.hash(&cookie.client, &head, address))
        };
        let Some((head, hash)) = <[u8; LENGTH]>::try_from(cookie.server).ok().map(split) else {
            return Checked {
                valid: false,
                server: fresh(),
            };
        };
        let made = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let age = i64::from(now.wrapping_sub(made).cast_signed());
        let by = |secret: &CookieSecret| same(secret.hash(&cookie.client, &head, address), hash);
        let current = by(&self.current);
        let known = current || self.previous.as_ref().is_some_and(by);
        let valid = head[0] == 1 && (TOO_NEW..=TOO_OLD).contains(&age) && known;
        let keep = valid && current && age <= RENEW_AFTER;
        let server = if keep { joined(head, hash) } else { fresh() };
        Checked { valid, server }
    }
}

fn split(cookie: [u8; LENGTH]) -> ([u8; 8], [u8; 8]) {
    let (mut head, mut hash) = ([0; 8], [0; 8]);
    head.copy_from_slice(&cookie[..8]);
    hash.copy_from_slice(&cookie[8..]);
    (head, hash)
}

fn joined(head: [u8; 8], hash: [u8; 8]) -> [u8; LENGTH] {
    let mut cookie = [0; LENGTH];
    cookie[..8].copy_from_slice(&head);
    cookie[8..].copy_from_slice(&hash);
    cookie
}

fn same(a: [u8; 8], b: [u8; 8]) -> bool {
    a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let octets = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal");
        octets.try_into().expect("the length")
    }

    fn cookies(current: &str, previous: Option<&str>) -> Cookies {
        Cookies {
            current: CookieSecret(bytes(current)),
            previous: previous.map(|secret| CookieSecret(bytes(secret))),
            policy: CookiePolicy::Offer,
        }
    }

    const FIRST: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const OLD: &str = "dd3bdf9344b678b185a6f5cb60fca715";
    const NEW: &str = "445536bcd2513298075a5d379663c962";

    /// The cookie option as it comes, and the whole cookie as it is returned.
    fn check(secrets: &Cookies, (client, server): (&str, &str), address: &str, now: u32, expected: (bool, &str)) {
        let server = data_encoding::HEXLOWER.decode(server.as_bytes()).expect("hexadecimal");
        let option = CookieOption {
            client: bytes(client),
            server: &server,
        };
        let checked = secrets.check(&option, address.parse().expect("an address"), now);
        assert_eq!(
            (checked.valid, data_encoding::HEXLOWER.encode(&checked.server).as_str()),
            expected
        );
    }

    #[test]
    fn the_examples_of_rfc_9018_come_out() {
        let learned = ("2464c4abcf10c957", "010000005cf79f111f8130c3eee29480");
        let secrets = cookies(FIRST, None);
        // Appendix A.1: the first contact.
        check(
            &secrets,
            (learned.0, ""),
            "198.51.100.100",
            0x5cf7_9f11,
            (false, learned.1),
        );
        // A.2: the same cookie later, renewed after half an hour.
        check(
            &secrets,
            learned,
            "198.51.100.100",
            0x5cf7_9f11 + 1800,
            (true, learned.1),
        );
        check(
            &secrets,
            learned,
            "198.51.100.100",
            1_559_734_385,
            (true, "010000005cf7a871d4a564a1442aca77"),
        );
        // A.3: another implementation's cookie with the reserved octets in use, young and too old.
        let reserved = ("fc93fc62807ddb86", "01abcdef5cf78f71a314227b6679ebf5");
        check(&secrets, reserved, "203.0.113.203", 1_559_727_985, (true, reserved.1));
        check(
            &secrets,
            reserved,
            "203.0.113.203",
            1_559_734_700,
            (false, "010000005cf7a9acf73a7810aca2381e"),
        );
    }

    #[test]
    fn the_previous_secret_is_good_and_leads_to_the_current_one() {
        // Appendix A.4.
        let old = ("22681ab97d52c298", "010000005cf7c57926556bd0934c72f8");
        let address = "2001:db8:220:1:59de:d0f4:8769:82b8";
        let new = "010000005cf7c609a6bb79d16625507a";
        check(&cookies(NEW, Some(OLD)), old, address, 0x5cf7_c609, (true, new));
        check(&cookies(NEW, None), old, address, 0x5cf7_c609, (false, new));
    }

    #[test]
    fn a_cookie_is_for_one_client_one_address_and_one_hour() {
        let secrets = cookies(FIRST, None);
        let valid = |client: [u8; 8], address: IpAddr, made: u32, now: u32| {
            let none = CookieOption {
                client: [7; 8],
                server: &[],
            };
            let made = secrets.check(&none, [192, 0, 2, 1].into(), made);
            assert!(!made.valid);
            let option = CookieOption {
                client,
                server: &made.server,
            };
            secrets.check(&option, address, now).valid
        };
        let (client, address) = ([7; 8], IpAddr::from([192, 0, 2, 1]));
        for made in [1_000_000, u32::MAX - 10] {
            let at = |age: i64| made.wrapping_add_signed(i32::try_from(age).expect("small"));
            assert!(valid(client, address, made, at(0)) && valid(client, address, made, at(3600)));
            assert!(!valid(client, address, made, at(3601)));
            assert!(valid(client, address, made, at(-300)) && !valid(client, address, made, at(-301)));
        }
        assert!(!valid([8; 8], address, 0, 0));
        assert!(!valid(client, [192, 0, 2, 2].into(), 0, 0));
    }
}
