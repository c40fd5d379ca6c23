//! The brackets of a stretch, one after the other in a row of bits: so that finding out what contains what takes
//! a step for each of them, and not a loop for each block, whose end no processor can foretell.

use super::super::simd::Classify;
use super::compact::STRETCH;

/// So many brackets are in one word, at most: with one bit more for what lies before them.
const WORD: u32 = u64::BITS - 1;

/// The brackets of a stretch, those of a block in one word; made once, and written anew for each.
pub struct Brackets {
    words: [Word; STRETCH],
    /// Word and bit at which those of each block begin.
    places: [(u32, u32); STRETCH],
    /// Words that are in use.
    used: usize,
}

#[derive(Clone, Copy, Default)]
struct Word {
    opens: u64,
    braces: u64,
    count: u32,
    /// Whether the innermost container is an object: in front of the first bracket, and behind each.
    objects: u64,
}

/// What is open.
#[derive(Clone, Copy)]
pub struct Open(u64);

impl Open {
    /// One bit for each container, the innermost lowest, set for an object; above them is another one, which
    /// tells how many they are. `None` where they are too many.
    pub fn new(depth: usize, objects: u64) -> Option<Self> {
        (depth < u64::BITS as usize - 1).then(|| Open(1 << depth | objects))
    }

    pub fn depth(self) -> usize {
        self.0.checked_ilog2().unwrap_or(0) as usize
    }

    pub fn objects(self) -> u64 {
        self.0 ^ 1 << self.depth()
    }
}

impl Brackets {
    pub fn new() -> Self {
        Brackets { words: [Word::default(); STRETCH], places: [(0, 0); STRETCH], used: 0 }
    }

    /// Takes the brackets of each block, which opens some, closes others, and has braces among them. False where
    /// there are too many in one.
    #[inline(always)]
    pub fn gather<C: Classify>(&mut self, blocks: impl Iterator<Item = (u64, u64, u64)>) -> bool {
        let (mut opens, mut braces, mut held) = (0, 0, 0);
        let mut used = 0;
        for ((open, close, brace), place) in blocks.zip(&mut self.places) {
            let all = open | close;
            let count = all.count_ones();
            if held + count > WORD {
                if count > WORD {
                    return false;
                }
                self.words[used as usize % STRETCH] = Word { opens, braces, count: held, objects: 0 };
                (opens, braces, held) = (0, 0, 0);
                used += 1;
            }
            *place = (used, held);
            opens |= C::extract(open, all) << held;
            braces |= C::extract(brace, all) << held;
            held += count;
        }
        self.words[used as usize % STRETCH] = Word { opens, braces, count: held, objects: 0 };
        self.used = used as usize + 1;
        true
    }

    /// Follows them; and whether each closes what is open. `None` where more is open at once than a word tells, or
    /// where nothing is before the last bracket of all.
    #[inline(always)]
    pub fn follow(&mut self, open: Open) -> Option<(Open, bool)> {
        let mut open = open.0;
        let (mut wrong, mut before, mut beyond) = (0, 0, 0);
        for word in self.words.iter_mut().take(self.used) {
            let Word { mut opens, mut braces, count, .. } = *word;
            let mut objects = open << (u64::BITS - 1);
            for _ in 0..count {
                // Where nothing was open, or so much that the next one has no room, this is negative.
                beyond |= before;
                wrong |= (open ^ braces) & !opens;
                open = if opens & 1 == 1 { open << 1 | braces & 1 } else { open >> 1 };
                before = open.wrapping_sub(2) | open;
                objects = objects >> 1 | open << (u64::BITS - 1);
                (opens, braces) = (opens >> 1, braces >> 1);
            }
            word.objects = objects >> (WORD - count);
        }
        let kept = beyond as i64 >= 0 && open != 0 && open >> (u64::BITS - 1) == 0;
        kept.then_some((Open(open), wrong & 1 == 0))
    }

    /// The places of a block, whose brackets are `all`, that are in an object.
    #[inline(always)]
    pub fn objects<C: Classify>(&self, block: usize, all: u64) -> u64 {
        let (word, bit) = self.places[block];
        let objects = self.words[word as usize % STRETCH].objects >> bit;
        let into = C::deposit(objects >> 1, all);
        let between = !all;
        // What lies behind a bracket that leads into an object, up to the next bracket, which included.
        let (sum, _) = (into << 1 | objects & 1).overflowing_add(between);
        (between & !sum) | (all & sum)
    }
}
