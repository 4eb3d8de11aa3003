//! One address family as blocks (/24 of IPv4, /48 of IPv6), each to a small value.
//!
//! What must stay true:
//! - every block has a value; neighbours of the same value are one entry, so that the scope of a block is as
//!   wide as the value allows;
//! - a look-up reads four short arrays and no more, each a cache line or two: it is on the path of a query.
//!
//! A block's number is cut in two: its head (the /16 of IPv4, the /32 of IPv6) and its low bits. Of an entry
//! only the low bits of its first block and the value are stored, 3 octets for IPv4 and 4 for IPv6 where the
//! value takes 2; heads are stored once each. An index by the first 16 bits leads to the heads. So 6 million
//! networks are some 25 MB, and mostly in the cache.
//!
//! Refused: a trie (a cache miss per level, and the widest prefix of one value is awkward to find); one
//! octet or two for each of the 2^24 blocks of IPv4 (32 MB, nothing for IPv6, and no borders); whole numbers
//! in one sorted array (twice the memory, and ten more steps per look-up).

/// The low bits of a block's number, as stored.
pub(super) trait Low: Copy + Ord {
    /// Low bits.
    const BITS: u32;
    /// Bits of a block's number.
    const WIDTH: u32;
    /// Bits of an address behind its block's number.
    const WITHIN: u32;
    /// The low bits of a number.
    fn of(block: u64) -> Self;
    /// As a number.
    fn number(self) -> u64;
}

/// IPv4: blocks are /24, heads /16.
impl Low for u8 {
    const BITS: u32 = 8;
    const WIDTH: u32 = 24;
    const WITHIN: u32 = 8;

    fn of(block: u64) -> Self {
        block as Self
    }

    fn number(self) -> u64 {
        u64::from(self)
    }
}

/// IPv6: blocks are /48, heads /32.
impl Low for u16 {
    const BITS: u32 = 16;
    const WIDTH: u32 = 48;
    const WITHIN: u32 = 80;

    fn of(block: u64) -> Self {
        block as Self
    }

    fn number(self) -> u64 {
        u64::from(self)
    }
}

/// Bits that the index is by.
const INDEXED: u32 = 16;

/// A head, and where its entries start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    bits: u32,
    first: u32,
}

/// Every block of a family to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blocks<L, V> {
    /// For each value of the first 16 bits, where its heads start; one more at the end.
    index: Vec<u32>,
    /// The heads that have entries, in order; one more at the end, which is none.
    heads: Vec<Head>,
    /// The low bits of each entry's first block.
    lows: Vec<L>,
    /// Each entry's value.
    values: Vec<V>,
}

impl<L: Low, V: Copy + PartialEq> Blocks<L, V> {
    /// The entry of a block: its place among the entries, and the head that its search ended at.
    #[inline]
    fn find(&self, block: u64) -> (usize, usize) {
        let head = (block >> L::BITS) as u32;
        let top = (block >> (L::WIDTH - INDEXED)) as usize;
        let (start, end) = (self.index[top] as usize, self.index[top + 1] as usize);
        // Block 0 always has an entry, so there is a head at or before this one.
        let at = start + self.heads[start..end].partition_point(|other| other.bits <= head) - 1;
        let (first, next) = (self.heads[at].first as usize, self.heads[at + 1].first as usize);
        let entry = if self.heads[at].bits == head {
            let low = L::of(block);
            first + self.lows[first..next].partition_point(|other| *other <= low) - 1
        } else {
            next - 1
        };
        (entry, at)
    }

    /// The value of a block, and the length of the widest prefix around it in which every block has it.
    #[inline]
    pub(super) fn lookup(&self, block: u64) -> (V, u8) {
        let (entry, at) = self.find(block);
        // The search may end before the first entry of a head: then the entry is the last of the head before.
        let before = at - usize::from(entry < self.heads[at].first as usize);
        let start = self.first_block(before, entry);
        let after = at + usize::from(entry + 1 == self.heads[at + 1].first as usize);
        let next = (entry + 1 < self.lows.len()).then(|| self.first_block(after, entry + 1));
        let beyond = [start.checked_sub(1), next];
        let longest = beyond
            .into_iter()
            .flatten()
            .map(|other| common_bits::<L>(other, block) + 1);
        (self.values[entry], longest.max().unwrap_or(0))
    }

    fn first_block(&self, head: usize, entry: usize) -> u64 {
        u64::from(self.heads[head].bits) << L::BITS | self.lows[entry].number()
    }

    /// Every entry's first block and value, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, V)> + '_ {
        (1..self.heads.len()).flat_map(move |next| {
            let head = next - 1;
            let entries = self.heads[head].first as usize..self.heads[next].first as usize;
            entries.map(move |entry| (self.first_block(head, entry), self.values[entry]))
        })
    }

    /// The same blocks with other values; neighbours that become equal become one entry.
    pub(super) fn map<W: Copy + PartialEq>(&self, mut other: impl FnMut(V) -> W) -> Blocks<L, W> {
        let mut filling = Filling::new();
        for (block, value) in self.iter() {
            filling.push(block, other(value));
        }
        let first = other(self.values[0]);
        filling.finish(first)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Octets that the arrays take.
    pub(super) fn octets(&self) -> usize {
        self.index.len() * size_of::<u32>()
            + self.heads.len() * size_of::<Head>()
            + self.lows.len() * size_of::<L>()
            + self.values.len() * size_of::<V>()
    }
}

/// Leading bits that two blocks have in common.
fn common_bits<L: Low>(a: u64, b: u64) -> u8 {
    let unused = u64::BITS - L::WIDTH;
    // At most WIDTH, since the two differ.
    ((a ^ b).leading_zeros() - unused) as u8
}

/// Blocks that are being filled, from the first to the last.
#[derive(Debug)]
pub(super) struct Filling<L, V> {
    heads: Vec<Head>,
    lows: Vec<L>,
    values: Vec<V>,
}

impl<L: Low, V: Copy + PartialEq> Filling<L, V> {
    pub(super) fn new() -> Self {
        Self {
            heads: Vec::new(),
            lows: Vec::new(),
            values: Vec::new(),
        }
    }

    /// From this block on, which must be behind all before it, blocks have that value.
    pub(super) fn push(&mut self, block: u64, value: V) {
        if self.values.last() == Some(&value) {
            return;
        }
        let bits = (block >> L::BITS) as u32;
        if self.heads.last().is_none_or(|head| head.bits != bits) {
            let first = self.lows.len() as u32;
            self.heads.push(Head { bits, first });
        }
        self.lows.push(L::of(block));
        self.values.push(value);
    }

    /// The whole; `otherwise` is the value where nothing was pushed at all.
    pub(super) fn finish(mut self, otherwise: V) -> Blocks<L, V> {
        if self.values.is_empty() {
            self.push(0, otherwise);
        }
        let Self {
            mut heads,
            mut lows,
            mut values,
        } = self;
        let mut index = Vec::with_capacity((1 << INDEXED) + 1);
        let shift = L::WIDTH - L::BITS - INDEXED;
        let mut at = 0;
        for top in 0..=1_u64 << INDEXED {
            while heads.get(at).is_some_and(|head| u64::from(head.bits) >> shift < top) {
                at += 1;
            }
            index.push(at as u32);
        }
        let (bits, first) = (u32::MAX, lows.len() as u32);
        heads.push(Head { bits, first });
        heads.shrink_to_fit();
        lows.shrink_to_fit();
        values.shrink_to_fit();
        Blocks {
            index,
            heads,
            lows,
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_value_of_the_last_entry_at_or_before_it() {
        let entries: &[(u64, u8)] = &[
            (0, 0),
            (5, 1),
            (0x1_0000, 2),
            (0x1_00ff, 0),
            (0x20_0001, 3),
            (0xff_ffff, 4),
        ];
        let mut filling = Filling::<u8, u8>::new();
        for (block, value) in entries {
            filling.push(*block, *value);
        }
        let blocks = filling.finish(9);
        assert_eq!(blocks.iter().collect::<Vec<_>>(), entries);
        for block in (0..0x100_0000)
            .step_by(17)
            .chain(entries.iter().map(|(block, _)| *block))
        {
            let position = entries.iter().rposition(|(first, _)| *first <= block).expect("block 0");
            let (value, scope) = blocks.lookup(block);
            assert_eq!(value, entries[position].1, "{block:x}");
            // The widest prefix that holds no border: one bit less would.
            let covered = |scope: u8| {
                let size = 1_u64 << (24 - scope);
                let start = block & !(size - 1);
                let next = entries.get(position + 1).map_or(1 << 24, |(first, _)| *first);
                entries[position].0 <= start && start + size <= next
            };
            assert!(
                covered(scope) && (scope == 0 || !covered(scope - 1)),
                "{block:x}/{scope}"
            );
        }
    }

    #[test]
    fn neighbours_of_one_value_become_one_entry() {
        let mut filling = Filling::<u16, u32>::new();
        for block in 0..1000 {
            filling.push(block << 20, u32::try_from(block).expect("small") / 10);
        }
        let blocks = filling.finish(0);
        assert_eq!(blocks.len(), 100);
        let halves = blocks.map(|value| value / 50);
        assert_eq!(halves.iter().collect::<Vec<_>>(), [(0, 0), (500 << 20, 1)]);
        assert_eq!(halves.lookup(1), (0, 20));
        assert_eq!(Filling::<u16, u8>::new().finish(7).lookup(1 << 47), (7, 0));
    }
}
