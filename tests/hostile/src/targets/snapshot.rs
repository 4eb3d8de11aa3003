//! The snapshot file. Its checksum keeps changed octets out, so this target also puts a right head before what it
//! is given: then it is the reader of the content that has to be careful.
//!
//! The first octet says which: 0 is a file as it stands, all others content without its head.

use std::sync::LazyLock;

use meridian_dns_core::{Saved, Snapshot};
use meridian_dns_server::Transport;
use ring::digest::{SHA256, digest};

use super::{SETTINGS, UNIX, ask};
use crate::dice::query;
use crate::world;

/// Magic and version; then the length of the content and its digest follow.
const KIND: usize = 8 + 2;

/// A file without zones, for its magic and version.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let nothing = Saved {
        as_of: 0,
        snapshot: Snapshot::default(),
    };
    nothing.encode().unwrap_or_default()
});

/// A snapshot file, or the content of one.
///
/// # Panics
///
/// If what was read cannot be answered from, or is something else when it is written and read again.
pub fn snapshot(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let file = if *choice == 0 {
        rest.to_vec()
    } else {
        let kind = EMPTY.get(..KIND).unwrap_or_default();
        let length = (rest.len() as u64).to_be_bytes();
        [kind, &length, digest(&SHA256, rest).as_ref(), rest].concat()
    };
    let now = u64::from(UNIX) * 1000;
    let Ok(saved) = Saved::decode(&file, now, u64::MAX) else {
        return;
    };
    let answers = answers(&saved.snapshot);
    let written = saved
        .encode()
        .unwrap_or_else(|error| panic!("not written again: {error}"));
    let again = Saved::decode(&written, now, u64::MAX).unwrap_or_else(|error| panic!("not read again: {error}"));
    assert_eq!(again.as_of, saved.as_of);
    // Not the octets: each reading moves the serials on.
    assert_eq!(
        self::answers(&again.snapshot),
        answers,
        "what is written answers the same"
    );
}

/// The codes and numbers of answers.
fn answers(snapshot: &Snapshot) -> Vec<(u16, u8)> {
    let mut answers = Vec::new();
    for name in world::NAMES {
        for record_type in [1, 6, 28, 255] {
            let packet = query(7, name, record_type, Some(&[]));
            let Some((reply, summary)) = ask(snapshot, &SETTINGS[0], Transport::Udp, None, &packet) else {
                panic!("no reply about {name}");
            };
            // Not read by another reader: data may be octets that stand for nothing.
            assert!(
                reply.len() >= packet.len() && reply.len() <= 1232,
                "{} octets",
                reply.len()
            );
            answers.push((summary.code, reply[7]));
        }
    }
    answers
}
