//! A small engine for fuzz targets, for machines without libFuzzer: it changes the corpus for a while.
//!
//! It does not know which code an input reached, so it finds less than libFuzzer does; but it runs on the
//! stable compiler, and the same seed makes the same inputs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::Dice;
use crate::targets::Target;

/// An input that the target panicked on.
#[derive(Debug)]
pub struct Crash {
    /// The input.
    pub input: Vec<u8>,
    /// What the panic said.
    pub message: String,
}

/// Runs one input.
pub fn run(target: &Target, input: &[u8]) -> Result<(), Crash> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Crash {
            input: input.to_vec(),
            message: text.unwrap_or_else(|| "a panic without words".to_owned()),
        }
    })
}

/// Runs changed inputs until the time is up or one of them is a crash; how many there were.
pub fn fuzz(target: &Target, corpus: &[Vec<u8>], time: Duration, seed: u64) -> Result<u64, Crash> {
    let (mut dice, mut count) = (Dice::new(seed), 0);
    let end = Instant::now() + time;
    loop {
        for _ in 0..256 {
            run(target, &input(&mut dice, corpus, target.longest))?;
            count += 1;
        }
        if Instant::now() >= end {
            return Ok(count);
        }
    }
}

/// One of the corpus, or two joined, with some octets changed.
fn input(dice: &mut Dice, corpus: &[Vec<u8>], longest: usize) -> Vec<u8> {
    let pick = |dice: &mut Dice| corpus.get(dice.below(corpus.len())).cloned().unwrap_or_default();
    let mut input = pick(dice);
    if dice.below(4) == 0 {
        let other = pick(dice);
        input.truncate(dice.below(input.len() + 1));
        input.extend(&other[dice.below(other.len() + 1)..]);
    }
    for _ in 0..dice.below(6) {
        dice.change(&mut input);
    }
    input.truncate(longest);
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_found_and_told() {
        let target = Target {
            name: "odd",
            run: |input| assert!(!input.starts_with(b"\xff"), "it starts with 255"),
            longest: 8,
        };
        let crash = fuzz(&target, &[b"good".to_vec()], Duration::from_secs(60), 1).expect_err("a crash");
        assert_eq!(
            (crash.input.first(), crash.message.as_str()),
            (Some(&0xff), "it starts with 255")
        );
    }
}
