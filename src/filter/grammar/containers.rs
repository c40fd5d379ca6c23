//! The containers around a place, and what may not stand in them. Between two brackets the container stays
//! the same, so it is followed from bracket to bracket.

use super::super::Fault;
use super::super::simd::Classify;
use super::MAX_DEPTH;
use super::brackets::{Brackets, Open};

/// As many containers may be open without a look at the outer ones.
const NEAR: usize = u64::BITS as usize;

/// The containers that are open.
#[derive(Clone, Copy, Default)]
pub struct Containers {
    depth: usize,
    /// One bit for each of the innermost ones, the innermost lowest: set for an object.
    objects: u64,
    /// The same for those around them.
    outer: u64,
}

/// What of a block depends on the container around it. Everything is outside of strings, but for `brace`.
#[derive(Clone, Copy)]
pub struct Contained {
    pub open: u64,
    pub close: u64,
    /// The bit that braces have and brackets lack.
    pub brace: u64,
    pub comma: u64,
    /// What cannot stand in an object.
    pub in_object: u64,
    /// What cannot stand in an array: colons.
    pub in_array: u64,
}

impl Containers {
    pub fn is_outside(&self) -> bool {
        self.depth == 0
    }

    /// Takes the blocks of a stretch at once; whether something is wrong. `None`, and nothing is taken, where each
    /// block is to be taken for itself.
    #[inline(always)]
    pub fn stretch<C: Classify>(
        &mut self,
        brackets: &mut Brackets,
        blocks: &(impl DoubleEndedIterator<Item = Contained> + Clone),
    ) -> Option<bool> {
        let before = Open::new(self.depth, self.objects)?;
        if !brackets.gather::<C>(blocks.clone().map(|block| (block.open, block.close, block.brace))) {
            return None;
        }
        let (after, paired) = brackets.follow(before)?;
        // What is in nothing has no commas.
        let mut wrong = u64::from(!paired);
        if before.depth() == 0 {
            wrong |= commas_outside(blocks.clone(), |all| (all & all.wrapping_neg()).wrapping_sub(1));
        }
        if after.depth() == 0 {
            wrong |= commas_outside(blocks.clone().rev(), |all| !(u64::MAX >> all.leading_zeros()));
        }
        for (at, block) in blocks.clone().enumerate() {
            let objects = brackets.objects::<C>(at, block.open | block.close);
            wrong |= (block.in_object & objects) | (block.in_array & !objects);
        }
        (self.depth, self.objects) = (after.depth(), after.objects());
        Some(wrong != 0)
    }

    /// Takes the next block; what of it is wrong.
    ///
    /// # Errors
    /// Where it is too deep.
    #[inline(always)]
    pub fn block(&mut self, block: &Contained) -> Result<u64, Fault> {
        let (opens, closes) = (block.open.count_ones() as usize, block.close.count_ones() as usize);
        // Nearly always all of the block is inside of something, and nothing gets deep.
        if closes >= self.depth || self.depth + opens > NEAR {
            let (after, wrong) = self.block_at_the_edge(*block)?;
            *self = after;
            return Ok(wrong);
        }
        self.depth = self.depth + opens - closes;
        let all = block.open | block.close;
        let inside_object = self.objects & 1;
        let (mut rest, mut objects, mut wrong, mut into_objects) = (all, self.objects, 0, 0);
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            rest ^= bit;
            let object = u64::from(block.brace & bit != 0);
            let pops = u64::from(block.close & bit != 0);
            wrong |= bit & (pops & (objects ^ object)).wrapping_neg();
            objects = if block.open & bit != 0 { objects << 1 | object } else { objects >> pops };
            into_objects |= bit & (objects & 1).wrapping_neg();
        }
        self.objects = objects;
        // What lies behind a bracket that leads into an object, up to the next bracket, which included.
        let between = !all;
        let (sum, _) = (into_objects << 1 | inside_object).overflowing_add(between);
        let objects = (between & !sum) | (all & sum);
        Ok(wrong | (block.in_object & objects) | (block.in_array & !objects))
    }

    /// The same where a container could be the outermost one, or too deep.
    #[cold]
    fn block_at_the_edge(mut self, block: Contained) -> Result<(Containers, u64), Fault> {
        let mut rest = block.open | block.close;
        let mut ahead = u64::MAX;
        let mut wrong = 0;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            let upto = bit | (bit - 1);
            wrong |= self.misplaced(&block) & ahead & upto;
            ahead = !upto;
            rest ^= bit;
            let object = u64::from(block.brace & bit != 0);
            if block.open & bit != 0 {
                if self.depth == MAX_DEPTH {
                    return Err(Fault::TooDeep);
                }
                self.depth += 1;
                self.outer = self.outer << 1 | self.objects >> (NEAR - 1);
                self.objects = self.objects << 1 | object;
            } else {
                if self.depth == 0 || self.objects & 1 != object {
                    return Ok((self, wrong | bit));
                }
                self.depth -= 1;
                self.objects = self.objects >> 1 | self.outer << (NEAR - 1);
                self.outer >>= 1;
            }
        }
        wrong |= self.misplaced(&block) & ahead;
        Ok((self, wrong))
    }

    /// What could not stand in the innermost container.
    fn misplaced(&self, block: &Contained) -> u64 {
        match (self.depth, self.objects & 1) {
            (0, _) => block.comma | block.in_array,
            (_, 0) => block.in_array,
            (_, _) => block.in_object,
        }
    }
}

/// The commas of some blocks, from the first or from the last one on, up to a bracket; `outside` are the places of a
/// block that lie on this side of its brackets.
#[inline(always)]
fn commas_outside(blocks: impl Iterator<Item = Contained>, outside: impl Fn(u64) -> u64) -> u64 {
    let mut commas = 0;
    for block in blocks {
        let all = block.open | block.close;
        if all != 0 {
            return commas | block.comma & outside(all);
        }
        commas |= block.comma;
    }
    commas
}
