//! Signed messages. See `meridian_hostile::targets`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| meridian_hostile::targets::tsig(input));
