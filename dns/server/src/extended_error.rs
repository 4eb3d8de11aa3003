//! Extended errors (RFC 8914): why a reply is not the one that was hoped for.
//!
//! Which code when:
//!
//! | reply | code |
//! |---|---|
//! | REFUSED, NOTAUTH: the name is in none of our zones | 20 Not Authoritative |
//! | REFUSED: a transfer of our zone, or who we are, to somebody who may not know | 18 Prohibited |
//! | REFUSED: a class other than IN and CH; NOTIMP: an opcode, a meta type or a transfer over this transport | 21 Not Supported |
//! | FORMERR: a type that cannot be asked for | 30 Invalid Query Type (RFC 9824) |
//! | SERVFAIL: the zone is not complete yet, or cannot be signed | 14 Not Ready |
//! | SERVFAIL: the client is over its budget of new signatures | 0 Other |
//! | SERVFAIL: anything else | 0 Other |
//!
//! The codes of RFC 8914 that speak of keys and signatures (5 to 12) say what a resolver found when it
//! validated; whoever should have signed is just not ready.
//!
//! What must stay true: a code is for people who debug. Nothing is decided by it, the reply would be
//! the same without, and there is one only where the query had an OPT record. No text is sent along: the
//! codes are specific, and every octet more is one that an attacker can reflect.

/// One code of the IANA registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExtendedError(pub(crate) u16);

impl ExtendedError {
    pub(crate) const OTHER: Self = Self(0);
    pub(crate) const NOT_READY: Self = Self(14);
    pub(crate) const PROHIBITED: Self = Self(18);
    pub(crate) const NOT_AUTHORITATIVE: Self = Self(20);
    pub(crate) const NOT_SUPPORTED: Self = Self(21);
    pub(crate) const INVALID_QUERY_TYPE: Self = Self(30);
}
