//! What must pass before every change: the corpus, a short run of each target, and many random packets.
//!
//! `MERIDIAN_HOSTILE_PACKETS` sets how many packets; a longer run than the ordinary one is worth it after
//! a change of the reader or the writer.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use meridian_dns_server::{Arrival, Context, Now, RateLimiter, Transport, respond};
use meridian_hostile::targets::{TARGETS, well_formed};
use meridian_hostile::{Dice, corpus, engine, world};

#[test]
fn the_world_can_be_made() {
    assert_eq!(world::snapshot().expect("a world").zones().count(), 1);
}

#[test]
fn the_corpus_is_replayed() {
    for target in &TARGETS {
        let inputs = corpus::inputs(target.name).expect("a corpus");
        assert!(inputs.len() >= 5, "{}: {} inputs", target.name, inputs.len());
        for (path, input) in inputs {
            if let Err(crash) = engine::run(target, &input) {
                panic!("{}: {}", path.display(), crash.message);
            }
        }
    }
}

#[test]
fn every_target_has_its_program_and_its_corpus_and_no_others_are_there() {
    let fuzz = corpus::directory().join("..");
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(fuzz.join(folder)).expect("a folder");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let mut expected: Vec<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    expected.sort();
    assert_eq!(names("fuzz_targets"), expected);
    assert_eq!(names("corpus"), expected);
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
    for name in expected {
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")),
            "{name} has no [[bin]]"
        );
    }
}

#[test]
fn the_corpus_is_small_enough_to_be_kept() {
    let all = TARGETS
        .iter()
        .flat_map(|target| corpus::inputs(target.name).expect("a corpus"));
    let octets: usize = all.map(|(_, input)| input.len()).sum();
    assert!(octets < 500_000, "{octets} octets; cargo fuzz cmin makes it smaller");
}

#[test]
fn changed_inputs_crash_no_target() {
    for target in &TARGETS {
        let inputs: Vec<_> = corpus::inputs(target.name)
            .expect("a corpus")
            .into_iter()
            .map(|(_, input)| input)
            .collect();
        if let Err(crash) = engine::fuzz(target, &inputs, Duration::from_millis(300), 0x6d65_7269) {
            panic!("{}: {} for {:02x?}", target.name, crash.message, crash.input);
        }
    }
}

#[test]
fn every_packet_gets_a_well_formed_reply_or_silence() {
    let count = std::env::var("MERIDIAN_HOSTILE_PACKETS").ok();
    let count: u64 = count.map_or(200_000, |text| text.parse().expect("a number of packets"));
    let (snapshot, settings, limiter) = (
        world::snapshot().expect("a world"),
        world::settings(),
        RateLimiter::default(),
    );
    let mut dice = Dice::new(0x686f_7374_696c_6521);
    let transports = [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Https,
        Transport::Quic,
    ];
    let (mut out, mut codes) = (Vec::new(), BTreeMap::new());
    for number in 0..count {
        let packet = dice.packet();
        let transport = transports[dice.below(transports.len())];
        let arrival = Arrival {
            client: Ipv4Addr::from(dice.roll() as u32).into(),
            transport,
            site: None,
            now: Now {
                unix: number as u32,
                monotonic: Duration::from_micros(number),
            },
            idle: Some(Duration::from_secs(10)),
        };
        let context = Context {
            snapshot: &snapshot,
            settings: &settings,
            limiter: Some(&limiter).filter(|_| number % 2 == 0),
            transfers: None,
            signer: None,
        };
        let Some(summary) = respond(&packet, &arrival, &context, &mut out) else {
            continue;
        };
        *codes.entry(summary.code).or_insert(0_u64) += 1;
        // A reply that the rate limit lets slip has TC over UDP alone.
        well_formed(&packet, &out, &summary, transport);
    }
    println!("{count} packets, replies by code: {codes:?}");
    if count >= 10_000 {
        for code in [0, 1, 3, 4, 5, 16, 23] {
            assert!(codes.contains_key(&code), "no reply with code {code}: {codes:?}");
        }
    }
}
