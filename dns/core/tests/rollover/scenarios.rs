//! The rollovers that operators know by name, step by step. Times are seconds since the request.

use meridian_dns_core::dnssec::Algorithm;
use meridian_dns_core::dnssec::rollover::{Phase, Policy, waits};

use crate::world::{World, policy};

/// A zone in order, and then a change of its policy: what happens, one line for each moment.
fn check(before: Policy, change: impl FnOnce(&mut Policy), expected: &[&str]) {
    let mut world = World::new(before);
    world.settle(100).expect("settled");
    world.events.clear();
    change(&mut world.policy);
    let start = world.time;
    world.settle(100).expect("settled again");
    assert_eq!(moments(&world, start), expected);
}

fn moments(world: &World, start: u64) -> Vec<String> {
    let mut lines: Vec<(u64, String)> = Vec::new();
    for (time, event) in &world.events {
        match lines.last_mut().filter(|(last, _)| last == time) {
            Some((_, line)) => {
                line.push_str(", ");
                line.push_str(event);
            }
            None => lines.push((*time, format!("{}: {event}", time - start))),
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn a_new_zone_shows_everything_at_once_and_the_ds_last() {
    let mut world = World::new(policy());
    world.advance();
    let view = world.view().expect("keys");
    assert!(view.keys.iter().all(|key| key.published && !key.wants_ds) && !view.delete_ds);
    world.settle(100).expect("settled");
    let expected = [
        "0: KSK 9262: DNSKEY rumoured, KSK 9262: DNSKEY signature rumoured, ZSK 17485: DNSKEY rumoured, \
         ZSK 17485: zone signatures rumoured",
        "35: ZSK 17485: zone signatures omnipresent",
        "105: KSK 9262: DNSKEY omnipresent, KSK 9262: DNSKEY signature omnipresent, ZSK 17485: DNSKEY omnipresent, \
         KSK 9262: DS rumoured",
        "316: KSK 9262: DS omnipresent",
    ];
    assert_eq!(moments(&world, 1_000_000), expected);
}

#[test]
fn a_key_for_data_is_published_before_it_signs_and_signs_before_the_old_one_leaves() {
    let change = |policy: &mut Policy| policy.requests.zone_signing = Some("now".to_owned());
    let expected = [
        "0: ZSK 17485: retired, ZSK 25709: DNSKEY rumoured",
        "105: ZSK 25709: DNSKEY omnipresent, ZSK 25709: zone signatures rumoured, ZSK 17485: zone signatures unretentive",
        "140: ZSK 17485: zone signatures hidden, ZSK 25709: zone signatures omnipresent, ZSK 17485: DNSKEY unretentive",
        "245: ZSK 17485: DNSKEY hidden, ZSK 17485: removed",
    ];
    check(policy(), change, &expected);
}

#[test]
fn a_key_for_keys_stays_until_the_parents_ds_of_it_is_out_of_every_cache() {
    let change = |policy: &mut Policy| policy.requests.key_signing = Some("now".to_owned());
    let expected = [
        "0: KSK 9262: retired, KSK 25710: DNSKEY rumoured, KSK 25710: DNSKEY signature rumoured",
        "105: KSK 25710: DNSKEY omnipresent, KSK 25710: DNSKEY signature omnipresent, KSK 25710: DS rumoured, \
         KSK 9262: DS unretentive",
        "316: KSK 9262: DS hidden, KSK 25710: DS omnipresent, KSK 9262: DNSKEY unretentive, \
         KSK 9262: DNSKEY signature unretentive",
        "421: KSK 9262: DNSKEY hidden, KSK 9262: DNSKEY signature hidden, KSK 9262: removed",
    ];
    check(policy(), change, &expected);
}

#[test]
fn a_new_algorithm_signs_before_its_keys_are_shown_and_the_old_one_signs_until_its_keys_are_forgotten() {
    let change = |policy: &mut Policy| policy.algorithm = Algorithm::Ed25519;
    let expected = [
        "0: KSK 9262: retired, ZSK 17485: retired, ZSK 17487: zone signatures rumoured",
        "35: ZSK 17487: zone signatures omnipresent, ZSK 17487: DNSKEY rumoured, KSK 13376: DNSKEY rumoured, \
         KSK 13376: DNSKEY signature rumoured",
        "140: KSK 13376: DNSKEY omnipresent, KSK 13376: DNSKEY signature omnipresent, ZSK 17487: DNSKEY omnipresent, \
         KSK 13376: DS rumoured, KSK 9262: DS unretentive",
        "351: KSK 9262: DS hidden, KSK 13376: DS omnipresent, KSK 9262: DNSKEY unretentive, \
         KSK 9262: DNSKEY signature unretentive, ZSK 17485: DNSKEY unretentive",
        "456: KSK 9262: DNSKEY hidden, KSK 9262: DNSKEY signature hidden, ZSK 17485: DNSKEY hidden, \
         ZSK 17485: zone signatures unretentive, KSK 9262: removed",
        "491: ZSK 17485: zone signatures hidden, ZSK 17485: removed",
    ];
    check(policy(), change, &expected);
}

#[test]
fn a_zone_becomes_insecure_only_after_every_cache_has_forgotten_its_ds() {
    let change = |policy: &mut Policy| policy.secure = false;
    let expected = [
        "0: KSK 9262: retired, ZSK 17485: retired, KSK 9262: DS unretentive",
        "211: KSK 9262: DS hidden, KSK 9262: DNSKEY unretentive, KSK 9262: DNSKEY signature unretentive, \
         ZSK 17485: DNSKEY unretentive, ZSK 17485: zone signatures unretentive",
        "246: ZSK 17485: zone signatures hidden",
        "316: KSK 9262: DNSKEY hidden, KSK 9262: DNSKEY signature hidden, ZSK 17485: DNSKEY hidden, \
         KSK 9262: removed, ZSK 17485: removed",
    ];
    check(policy(), change, &expected);
}

#[test]
fn nothing_goes_on_while_the_parent_does_not_follow() {
    let mut world = World::new(policy());
    for _ in 0..50 {
        world.advance();
        world.time += 100;
    }
    let told: Vec<_> = waits(&world.ring).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["the parent to publish the DS of key 9262"]);
    assert!(world.ring.waits_for_parent());
    // The zone is to be insecure: it is asked to remove what it may have, and keys stay till it is seen.
    world.policy.secure = false;
    world.parent_visible = false;
    world.advance();
    world.time += 1000;
    world.advance();
    assert!(world.view().expect("keys").delete_ds);
    let told: Vec<_> = waits(&world.ring).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["the parent to remove the DS of key 9262"]);
    assert!(world.ring.keys.iter().all(|key| key.dnskey.phase == Phase::Omnipresent));
}

#[test]
fn a_lifetime_replaces_a_key_and_never_starts_a_second_exchange() {
    let mut world = World::new(Policy {
        zone_signing_lifetime: 400,
        ..policy()
    });
    let mut most = 0;
    for _ in 0..500 {
        world.advance();
        world.check().expect("valid");
        world.parent_follows(false);
        most = most.max(world.ring.keys.len());
        world.time += 7;
    }
    let replaced = world
        .events
        .iter()
        .filter(|(_, event)| event.ends_with("removed"))
        .count();
    assert!(most == 3 && replaced >= 5, "{most} keys at once, {replaced} replaced");
}
