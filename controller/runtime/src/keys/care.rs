//! One step of care for the keys of one zone: what `dns-core` says, with new key pairs where it wants some.
//!
//! What must stay true: no step is taken without the private side of every key in the ring.

use meridian_dns_core::dnssec::rollover::{AddError, Event, ParentView, Policy, advance};
use meridian_dns_server::{SigningKey, SigningKeyError};

use super::stored::StoredKeys;

/// Keys whose tags are taken are made anew so often. Of 65,536 tags a zone has a handful.
const TRIES: usize = 16;

/// The outcome of a step.
#[derive(Debug)]
pub(crate) struct Cared {
    /// The keys now; equal to those before if nothing happened.
    pub(crate) keys: StoredKeys,
    /// What happened.
    pub(crate) events: Vec<Event>,
    /// When time alone lets something happen, in seconds since 1970.
    pub(crate) wake: Option<u64>,
}

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CareError {
    #[error("a new key could not be made")]
    Key(#[from] SigningKeyError),
    #[error("a new key does not fit: {0}")]
    Add(#[from] AddError),
}

/// Takes every step that is allowed now, in seconds since 1970.
pub(crate) fn care(
    keys: &StoredKeys,
    policy: &Policy,
    parent: Option<&ParentView>,
    now: u64,
) -> Result<Cared, CareError> {
    let mut advanced = advance(&keys.ring, policy, &keys.zone, parent, now);
    let mut events = std::mem::take(&mut advanced.events);
    let mut made = Vec::new();
    for wanted in std::mem::take(&mut advanced.wanted) {
        let mut tries = 0;
        loop {
            let pkcs8 = SigningKey::generate(wanted.algorithm)?;
            let pair = SigningKey::from_pkcs8(wanted.algorithm, wanted.role.signs_keys(), &pkcs8)?;
            let key = pair.public().clone();
            match advanced.ring.add(key.clone(), wanted.role, now) {
                Ok(()) => {
                    made.push((key, pkcs8));
                    break;
                }
                Err(AddError::TagTaken(_)) if tries < TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
    if !made.is_empty() {
        advanced = advance(&advanced.ring, policy, &keys.zone, parent, now);
        events.append(&mut advanced.events);
    }
    let keys = if advanced.ring == *keys.ring {
        keys.clone()
    } else {
        keys.next(advanced.ring, &made)
    };
    Ok(Cared {
        keys,
        events,
        wake: advanced.wake,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use meridian_dns_core::DnsName;
    use meridian_dns_core::dnssec::Algorithm;
    use meridian_dns_core::dnssec::rollover::Requests;

    use super::*;

    /// Two keys, and short times.
    pub(crate) fn policy() -> Policy {
        Policy {
            secure: true,
            algorithm: Algorithm::EcdsaP256,
            combined: false,
            key_signing_lifetime: 0,
            zone_signing_lifetime: 0,
            key_ttl: 60,
            data_ttl: 30,
            propagation: 5,
            ds_ttl: 60,
            parent_propagation: 5,
            safety: 0,
            requests: Requests::default(),
        }
    }

    #[test]
    fn every_key_of_a_ring_can_sign_at_every_step() {
        let mut keys = StoredKeys::empty(DnsName::parse("example.test").expect("a name"));
        let (mut policy, mut now) = (policy(), 1000);
        for round in 0..40 {
            let cared = care(&keys, &policy, None, now).expect("a step");
            assert_eq!(cared.keys == keys, cared.keys.revision == keys.revision);
            keys = cared.keys;
            assert_eq!(keys.signing_keys().expect("private keys").len(), keys.ring.keys.len());
            assert!(keys.ring.keys.len() >= 2);
            now = cared.wake.unwrap_or(now).max(now + 1);
            policy.requests.zone_signing = Some((round / 8).to_string());
        }
        assert!(keys.revision > 10, "{}", keys.revision);
    }
}
