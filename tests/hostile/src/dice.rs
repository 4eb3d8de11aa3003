//! Chance, but the same in every run.

/// 100.64.2.0/24.
const CLIENT_SUBNET: &[u8] = &[0, 8, 0, 7, 0, 1, 24, 0, 100, 64, 2];
const COOKIE: &[u8] = &[
    0, 10, 0, 24, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
];
const PADDING: &[u8] = &[0, 12, 0, 3, 0, 0, 0];
const NSID: &[u8] = &[0, 3, 0, 0];
const KEEPALIVE: &[u8] = &[0, 11, 0, 0];

/// Names that [`crate::world`] and the server's tests hold, or do not.
const NAMES: [&str; 4] = [
    "many.example.test",
    "some.example.test",
    "version.bind",
    "a.absent.example.test",
];

/// Octets that are limits of something: labels, pointers, counts.
const SPECIAL: [u8; 6] = [0, 1, 0x3f, 0x40, 0xc0, 0xff];

/// Deterministic (xorshift), from a seed that is not 0.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Starts from a seed; 0 is taken for 1, which the generator could not leave otherwise.
    pub const fn new(seed: u64) -> Self {
        Self(if seed == 0 { 1 } else { seed })
    }

    /// 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        // The remainder is below a `usize`.
        (self.roll() % (end.max(1) as u64)) as usize
    }

    fn octet(&mut self) -> u8 {
        let random = self.roll() as u8;
        SPECIAL.get(self.below(SPECIAL.len() + 1)).copied().unwrap_or(random)
    }

    /// Random octets, or a good query with octets changed, cut off or added.
    pub fn packet(&mut self) -> Vec<u8> {
        if self.below(3) == 0 {
            return (0..self.below(80)).map(|_| self.roll() as u8).collect();
        }
        let options: &[u8] = [&[][..], CLIENT_SUBNET, COOKIE, PADDING, NSID, KEEPALIVE][self.below(6)];
        let mut octets = query(self.roll() as u16, NAMES[self.below(4)], 1, Some(options));
        for _ in 0..=self.below(4) {
            self.change(&mut octets);
        }
        octets
    }

    /// Changes, cuts off or adds something.
    pub fn change(&mut self, octets: &mut Vec<u8>) {
        let at = self.below(octets.len());
        match self.below(4) {
            0 => octets.truncate(at),
            1 => octets.insert(at, self.roll() as u8),
            _ => {
                let octet = self.octet();
                if let Some(place) = octets.get_mut(at) {
                    *place = octet;
                }
            }
        }
    }
}

/// A query for a name as it is written, dots between labels; with an OPT record if there are options,
/// perhaps empty ones.
pub fn query(id: u16, name: &str, record_type: u16, options: Option<&[u8]>) -> Vec<u8> {
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(options.is_some())]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len().min(63) as u8);
        octets.extend(label.bytes().take(63));
    }
    octets.push(0);
    octets.extend(record_type.to_be_bytes());
    octets.extend([0, 1]);
    if let Some(options) = options {
        octets.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
        octets.extend((options.len() as u16).to_be_bytes());
        octets.extend(options);
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_repeats_itself() {
        let packets = |seed| {
            let mut dice = Dice::new(seed);
            (0..50).map(|_| dice.packet()).collect::<Vec<_>>()
        };
        assert_eq!(packets(7), packets(7));
        assert_ne!(packets(7), packets(8));
        assert_eq!(packets(0), packets(1));
    }

    #[test]
    fn nothing_can_be_changed_too() {
        let (mut dice, mut octets) = (Dice::new(1), Vec::new());
        for _ in 0..100 {
            dice.change(&mut octets);
            octets.truncate(1);
        }
    }
}
