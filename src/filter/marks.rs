//! What is known of blocks of a text: for each, sets of positions. Bit i of a set stands for byte i of its
//! block. Sets of one kind lie side by side, so that they are written many at once.

use std::ops::Range;

/// What a reader needs to know of one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Brackets, and where names and the scalars outside of objects begin. Behind a member's name that is the
    /// bracket of its value, or, where that is a scalar, what follows the member.
    pub tokens: u64,
    /// Opening brackets outside of strings.
    pub open: u64,
    /// Closing brackets outside of strings.
    pub close: u64,
    pub backslash: u64,
}

/// The marks of some blocks, one after the other.
#[derive(Default)]
pub struct Marks {
    blocks: usize,
    // Behind so many, what they held before.
    tokens: Vec<u64>,
    open: Vec<u64>,
    close: Vec<u64>,
    backslash: Vec<u64>,
}

/// Some of them, to be written.
pub struct Columns<'m> {
    pub tokens: &'m mut [u64],
    pub open: &'m mut [u64],
    pub close: &'m mut [u64],
    pub backslash: &'m mut [u64],
}

impl Marks {
    /// How many blocks they are of.
    #[inline]
    pub fn len(&self) -> usize {
        self.blocks
    }

    /// Bytes that they were given.
    pub fn capacity(&self) -> usize {
        let Marks { tokens, open, close, backslash, .. } = self;
        [tokens, open, close, backslash].map(Vec::capacity).iter().sum::<usize>() * size_of::<u64>()
    }

    pub fn clear(&mut self) {
        self.blocks = 0;
    }

    /// Leaves out the first ones.
    pub fn forget(&mut self, blocks: usize) {
        if blocks == 0 {
            return;
        }
        let kept = blocks..self.blocks;
        self.blocks -= blocks;
        self.each(|column| column.copy_within(kept.clone(), 0));
    }

    /// Adds some more blocks, whose marks are to be written before they are read; and room for others behind them.
    pub fn add(&mut self, blocks: usize, room: usize) {
        self.blocks += blocks;
        let needed = self.blocks + room;
        if self.tokens.len() < needed {
            self.each(|column| column.resize(needed, 0));
        }
    }

    /// Those of some blocks.
    pub fn columns(&mut self, blocks: Range<usize>) -> Columns<'_> {
        Columns {
            tokens: &mut self.tokens[blocks.clone()],
            open: &mut self.open[blocks.clone()],
            close: &mut self.close[blocks.clone()],
            backslash: &mut self.backslash[blocks],
        }
    }

    #[inline(always)]
    pub fn tokens(&self, block: usize) -> Option<u64> {
        (block < self.blocks).then(|| self.tokens[block])
    }

    /// Opening and closing brackets, from a block on.
    #[inline(always)]
    pub fn brackets(&self, from: usize) -> impl Iterator<Item = (u64, u64)> {
        let (open, close) = (&self.open[..self.blocks], &self.close[..self.blocks]);
        let from = from.min(self.blocks);
        open[from..].iter().copied().zip(close[from..].iter().copied())
    }

    /// Of all blocks.
    #[inline(always)]
    pub fn backslashes(&self) -> &[u64] {
        &self.backslash[..self.blocks]
    }

    /// Adds a token in the last block.
    pub fn add_token(&mut self, token: u64) {
        if let Some(last) = self.blocks.checked_sub(1) {
            self.tokens[last] |= token;
        }
    }

    #[inline]
    fn each(&mut self, change: impl Fn(&mut Vec<u64>)) {
        let Marks { tokens, open, close, backslash, .. } = self;
        [tokens, open, close, backslash].into_iter().for_each(change);
    }
}

impl Columns<'_> {
    #[inline(always)]
    pub fn set(&mut self, block: usize, mark: Mark) {
        self.tokens[block] = mark.tokens;
        self.open[block] = mark.open;
        self.close[block] = mark.close;
        self.backslash[block] = mark.backslash;
    }
}
