//! Packets by chance, but the same ones in every run.

use super::packet::Packet;

/// 100.64.2.0/24.
const CLIENT_SUBNET: &[u8] = &[0, 8, 0, 7, 0, 1, 24, 0, 100, 64, 2];
const COOKIE: &[u8] = &[
    0, 10, 0, 24, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
];
const PADDING: &[u8] = &[0, 12, 0, 3, 0, 0, 0];
const NSID: &[u8] = &[0, 3, 0, 0];
const KEEPALIVE: &[u8] = &[0, 11, 0, 0];

/// Deterministic, so that a failure can be seen again (xorshift).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end.max(1)).expect("small")).expect("small")
    }

    /// Random octets, or a good query with octets changed, cut off or added.
    pub(crate) fn packet(&mut self) -> Vec<u8> {
        if self.below(3) == 0 {
            return (0..self.below(80)).map(|_| self.roll() as u8).collect();
        }
        let options: &[u8] = [&[][..], CLIENT_SUBNET, COOKIE, PADDING, NSID, KEEPALIVE][self.below(6)];
        let mut bytes = Packet {
            opt: Some((0, 1232, options.to_vec())),
            ..Packet::ask(
                [
                    "many.example.test",
                    "some.example.test",
                    "version.bind",
                    "a.absent.example.test",
                ][self.below(4)],
            )
        }
        .bytes(self.roll() as u16);
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.roll() as u8),
                _ => {
                    if let Some(octet) = bytes.get_mut(at) {
                        *octet = [0, 1, 0x3f, 0x40, 0xc0, 0xff, self.roll() as u8][self.below(7)];
                    }
                }
            }
        }
        bytes
    }
}
