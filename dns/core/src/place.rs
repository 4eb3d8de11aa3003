//! Where a client is, beside its network: what geographic rules ask for.
//!
//! The places come from whoever compiles them, through [`ClientPlaces`]: a policy asks only for the place
//! of an address, and how wide that place is. Without a table nothing is known of anybody, which is a
//! place like any other: rules that ask for more do not apply.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::Location;

/// What is known of the place of an address.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClientPlace {
    /// Two letters in upper case: AF, AN, AS, EU, NA, OC, SA.
    pub continent: Option<Arc<str>>,
    /// ISO 3166-1 alpha-2, in upper case.
    pub country: Option<Arc<str>>,
    /// ISO 3166-2 without the country, in upper case, such as `CA` of `US-CA`.
    pub subdivision: Option<Arc<str>>,
    /// Number of the autonomous system that announces the address.
    pub asn: Option<u32>,
    /// Coordinates.
    pub location: Option<Location>,
}

/// Nothing is known.
pub(crate) static NOWHERE: ClientPlace = ClientPlace {
    continent: None,
    country: None,
    subdivision: None,
    asn: None,
    location: None,
};

impl fmt::Display for ClientPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.continent.as_ref().map(|code| format!("continent {code}")));
        parts.extend(self.country.as_ref().map(|code| format!("country {code}")));
        parts.extend(self.subdivision.as_ref().map(|code| format!("subdivision {code}")));
        parts.extend(self.asn.map(|number| format!("AS{number}")));
        if parts.is_empty() {
            return f.write_str("unknown place");
        }
        f.write_str(&parts.join(", "))
    }
}

/// Every address to its place.
pub trait ClientPlaces: fmt::Debug + Send + Sync {
    /// The place of an address, and the scope prefix length (RFC 7871, in the address's own family)
    /// within which every address has the same one.
    fn place(&self, address: IpAddr) -> (&ClientPlace, u8);
}
