//! Weighted rendezvous hashing: who takes a client, and who is next.
//!
//! Each branch draws a number u from (0, 1], a hash of the client's and its own, and the largest
//! u^(1/weight) wins (Efraimidis, Spirakis 2006): the chance to win is the weight's share, and so is it
//! among those that are left when a winner is taken away. Compared is the smallest -log2(u)/weight.
//!
//! The logarithm is one of whole numbers: the last bits of a floating-point one differ between machines
//! and would give a client to two sites.

use super::key::mix;

/// Binary digits behind the point of a logarithm.
const DIGITS: u32 = 32;
/// Steps between 1 and 2 that the table knows; between them a straight line is wrong by 2^-22 at most.
const STEPS: usize = 1024;

static LOGARITHMS: [u64; STEPS + 1] = table();

/// log2(1 + n / STEPS) for each n.
const fn table() -> [u64; STEPS + 1] {
    let mut all = [0; STEPS + 1];
    let mut at = 0;
    while at < STEPS {
        // 63 binary digits; each squaring gives one digit of the logarithm.
        let mut number: u128 = (1 << 63) + ((at as u128) << 53);
        let mut digits = 0;
        let mut done = 0;
        while done < DIGITS {
            number = (number * number) >> 63;
            digits <<= 1;
            if number >> 64 != 0 {
                digits |= 1;
                number >>= 1;
            }
            done += 1;
        }
        all[at] = digits;
        at += 1;
    }
    all[STEPS] = 1 << DIGITS;
    all
}

/// -log2(u) of u = (number + 1) / 2^64, nearly.
fn minus_log2(number: u64) -> u64 {
    let number = number | 1;
    let zeros = number.leading_zeros();
    // Without the leading one: ten digits for the table, 32 for the line.
    let rest = number << zeros << 1;
    let at = (rest >> 54) as usize;
    let between = (rest >> 22) & 0xffff_ffff;
    let (low, high) = (LOGARITHMS[at], LOGARITHMS[at + 1]);
    let digits = low + (((high - low) * between) >> 32);
    (u64::from(zeros + 1) << DIGITS) - digits
}

/// Sorts so that the one who takes the client comes first. Weights of 0 come last, as they were.
pub(super) fn by_share<T>(client: u64, branches: &mut [T], of: impl Fn(&T) -> (u64, u32)) {
    branches.sort_by_cached_key(|branch| {
        let (seed, weight) = of(branch);
        let distance = u128::from(minus_log2(mix(client ^ seed))) << DIGITS;
        distance.checked_div(u128::from(weight)).unwrap_or(u128::MAX)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_that_of_floating_point() {
        for number in (0..2000).map(mix).chain([0, 1, u64::MAX, 1 << 63, (1 << 63) - 1]) {
            let exact = 64.0 - ((number | 1) as f64).log2();
            let ours = minus_log2(number) as f64 / (1_u64 << DIGITS) as f64;
            assert!((exact - ours).abs() < 1e-6, "{number}: {exact} and {ours}");
        }
    }

    #[test]
    fn a_weight_of_nothing_comes_last() {
        for client in 0..100 {
            let mut branches = [("none", 0), ("some", 1)];
            by_share(mix(client), &mut branches, |(name, weight)| {
                (super::super::key::seed(0, name), *weight)
            });
            assert_eq!(branches[0].0, "some");
        }
    }
}
