//! Zone files. See `meridian_hostile::targets`.
//!
//! The reader of zone files catches panics of the library below it, one entry at a time, and tells them as
//! errors. libFuzzer's hook would end the program before that; the target's own panics end it still.

#![no_main]

libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |input: &[u8]| meridian_hostile::targets::zone_file(input)
);
