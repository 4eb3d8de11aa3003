//! Any policy, any change of it at any moment, any parent: never bogus, and always finished in the end.

use meridian_dns_core::dnssec::Algorithm;
use meridian_dns_core::dnssec::rollover::{Policy, Requests, Role};
use proptest::prelude::*;

use crate::world::World;

#[derive(Debug, Clone)]
enum Act {
    Wait(u64),
    /// Wait exactly until the machine wants to be woken.
    Wake,
    Algorithm(bool),
    Combined(bool),
    Secure(bool),
    RollKeySigning,
    RollZoneSigning,
    DataTtl(u32),
    KeyTtl(u32),
    ClockBack(u64),
    ParentFollows(bool),
    ParentVisible(bool),
    Lifetimes(u64, u64),
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1_u64..60).prop_map(Act::Wait),
        8 => Just(Act::Wake),
        6 => any::<bool>().prop_map(Act::ParentFollows),
        1 => any::<bool>().prop_map(Act::ParentVisible),
        1 => any::<bool>().prop_map(Act::Algorithm),
        1 => any::<bool>().prop_map(Act::Combined),
        1 => prop_oneof![1 => Just(false), 2 => Just(true)].prop_map(Act::Secure),
        1 => Just(Act::RollKeySigning),
        1 => Just(Act::RollZoneSigning),
        1 => (1_u32..90).prop_map(Act::DataTtl),
        1 => (1_u32..90).prop_map(Act::KeyTtl),
        1 => (1_u64..500).prop_map(Act::ClockBack),
        1 => (0_u64..400, 0_u64..400).prop_map(|(keys, data)| Act::Lifetimes(keys, data)),
    ]
}

fn algorithm(ed25519: bool) -> Algorithm {
    if ed25519 {
        Algorithm::Ed25519
    } else {
        Algorithm::EcdsaP256
    }
}

fn policies() -> impl Strategy<Value = Policy> {
    let ttls = (1_u32..90, 1_u32..90, 0_u32..20, 1_u32..90, 0_u32..20);
    (any::<bool>(), any::<bool>(), ttls).prop_map(|(ed25519, combined, ttls)| {
        let (key_ttl, data_ttl, propagation, ds_ttl, parent_propagation) = ttls;
        Policy {
            secure: true,
            algorithm: algorithm(ed25519),
            combined,
            key_signing_lifetime: 0,
            zone_signing_lifetime: 0,
            key_ttl,
            data_ttl,
            propagation,
            ds_ttl,
            parent_propagation,
            safety: 0,
            requests: Requests::default(),
        }
    })
}

fn run(policy: Policy, acts: Vec<Act>) -> Result<(), String> {
    let mut world = World::new(policy);
    let mut wake = world.advance();
    let mut request = 0;
    for act in acts {
        let policy = &mut world.policy;
        match act {
            Act::Wait(seconds) => world.time += seconds,
            Act::Wake => world.time = wake.unwrap_or(0).max(world.time),
            Act::Algorithm(ed25519) => policy.algorithm = algorithm(ed25519),
            Act::Combined(combined) => policy.combined = combined,
            Act::Secure(secure) => policy.secure = secure,
            Act::RollKeySigning | Act::RollZoneSigning => {
                request += 1;
                let text = Some(request.to_string());
                if matches!(act, Act::RollKeySigning) {
                    policy.requests.key_signing = text;
                } else {
                    policy.requests.zone_signing = text;
                }
            }
            Act::DataTtl(ttl) => policy.data_ttl = ttl,
            Act::KeyTtl(ttl) => policy.key_ttl = ttl,
            Act::ClockBack(seconds) => world.clock_behind += seconds,
            Act::ParentFollows(adds_only) => world.parent_follows(adds_only),
            Act::ParentVisible(visible) => world.parent_visible = visible,
            Act::Lifetimes(keys, data) => (policy.key_signing_lifetime, policy.zone_signing_lifetime) = (keys, data),
        }
        world.check()?;
        wake = world.advance();
        world.check()?;
    }
    // In the end there is what the policy says, and nothing else.
    world.parent_visible = true;
    (world.policy.key_signing_lifetime, world.policy.zone_signing_lifetime) = (0, 0);
    world.settle(300)?;
    let wanted: &[Role] = match (world.policy.secure, world.policy.combined) {
        (false, _) => &[],
        (true, true) => &[Role::Combined],
        (true, false) => &[Role::KeySigning, Role::ZoneSigning],
    };
    let mut roles = world.settled_roles()?;
    roles.sort();
    let wanted: Vec<_> = wanted.iter().map(|role| (*role, world.policy.algorithm)).collect();
    if roles == wanted {
        Ok(())
    } else {
        Err(format!("settled with {roles:?} instead of {wanted:?}"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_mix_of_cached_sets_validates_at_every_step(policy in policies(), acts in prop::collection::vec(acts(), 1..80)) {
        run(policy, acts).map_err(TestCaseError::fail)?;
    }
}
