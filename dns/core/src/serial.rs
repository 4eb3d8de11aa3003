//! Serial number arithmetic (RFC 1982), as zones use it.
//!
//! Serials lie on a circle of 2^32; one is newer than another if it is ahead by less than half the
//! circle. What must stay true: [`next`] is always newer than what it follows, also past the end of
//! the circle, and is never 0, which some software takes for "no serial".

/// Whether a secondary that has `old` would transfer `new`. Two serials exactly half the circle apart
/// are not comparable (section 3.2), and neither is newer.
pub const fn is_newer(new: u32, old: u32) -> bool {
    let ahead = new.wrapping_sub(old);
    ahead != 0 && ahead < 1 << 31
}

/// The serial after `previous`: `wanted` (a clock's seconds, an operator's number) if that is newer,
/// else one more. A zone that had none (0) takes what is wanted.
pub const fn next(previous: u32, wanted: u32) -> u32 {
    let next = if previous == 0 || is_newer(wanted, previous) {
        wanted
    } else {
        previous.wrapping_add(1)
    };
    if next == 0 { 1 } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_is_ahead_by_less_than_half_the_circle() {
        // RFC 1982 section 5.2, for 32 bits.
        for (new, old, expected) in [
            (1, 0, true),
            (0, 1, false),
            (7, 7, false),
            (44, u32::MAX, true),
            (u32::MAX, 44, false),
            (1 << 31, 0, false),
            (0, 1 << 31, false),
            ((1 << 31) - 1, 0, true),
        ] {
            assert_eq!(is_newer(new, old), expected, "{new} after {old}");
        }
    }

    #[test]
    fn the_next_serial_is_newer_whatever_is_wanted() {
        for previous in [1, 2, 1_700_000_000, 1 << 31, u32::MAX - 1, u32::MAX] {
            for wanted in [
                0,
                1,
                2,
                previous,
                previous.wrapping_add(1),
                previous.wrapping_sub(1),
                1 << 31,
            ] {
                let next = next(previous, wanted);
                assert!(is_newer(next, previous) && next != 0, "{previous}, {wanted}: {next}");
            }
        }
        assert_eq!(next(0, 1_700_000_000), 1_700_000_000);
        assert_eq!((next(0, 0), next(u32::MAX, 5)), (1, 5));
    }
}
