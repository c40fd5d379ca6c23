//! The Merkle tree of RFC 6962, section 2.1, with SHA-256.
//!
//! Proofs are made from any source of subtree hashes ([`Hashes`]) and verified with the iterative
//! procedures of RFC 9162, sections 2.1.3.2 and 2.1.4.2. RFC 9162 kept the tree of RFC 6962.

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// SHA-256 of the concatenation of the parts.
pub(super) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    hash_of(&context.finish())
}

fn hash_of(digest: &Digest) -> Hash {
    let mut hash = Hash::default();
    // Both sides have 32 bytes: that is what SHA-256 gives.
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Longer leaves are worth a context on the heap.
const SHORT: usize = 2048;

/// The hash of a leaf: SHA-256(0x00 || leaf), RFC 6962 section 2.1.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut marked = [0; 1 + SHORT];
    match marked.get_mut(1..=leaf.len()) {
        Some(place) => {
            place.copy_from_slice(leaf);
            marked_leaf_hash(&marked[..=leaf.len()])
        }
        None => sha256(&[&[0], leaf]),
    }
}

/// The same of a leaf that stands behind its 0x00 already.
pub fn marked_leaf_hash(marked: &[u8]) -> Hash {
    hash_of(&digest(&SHA256, marked))
}

/// The hash of an inner node: SHA-256(0x01 || left || right), RFC 6962 section 2.1.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut node = [1; 1 + 2 * 32];
    node[1..33].copy_from_slice(left);
    node[33..].copy_from_slice(right);
    hash_of(&digest(&SHA256, &node))
}

/// The complete subtrees of a tree that only grows; enough to go on and to give the root.
///
/// It holds one hash for each bit set in the size, the largest subtree first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf by its [`leaf_hash`].
    pub fn push(&mut self, leaf: Hash) {
        self.push_and_show(leaf, |_, _| {});
    }

    /// The same; shows the roots of the subtrees that are complete with it, by their levels: the leaf first, at level 0.
    pub fn push_and_show(&mut self, leaf: Hash, mut show: impl FnMut(u8, Hash)) {
        let mut hash = leaf;
        show(0, hash);
        for level in 1..=self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
                show(level as u8, hash);
            }
        }
        self.hashes.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root hash. For the empty tree it is SHA-256 of nothing, RFC 6962 section 2.1.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.hashes.iter().rev();
        match subtrees.next() {
            Some(last) => subtrees.fold(*last, |right, left| node_hash(left, &right)),
            None => sha256(&[]),
        }
    }

    /// The roots of the complete subtrees, the largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The frontier of `size` leaves out of those; `None` where they are not as many as it has.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        (hashes.len() == size.count_ones() as usize).then_some(Self { size, hashes })
    }

    /// Reads the frontier of the first `size` leaves from a source that holds at least these.
    ///
    /// # Errors
    /// The first error of the source.
    pub fn load<S: Hashes>(source: &S, size: u64) -> Result<Self, S::Error> {
        Ok(Self { size, hashes: subtrees(source, 0, size)? })
    }
}

/// Where hashes of complete subtrees come from.
pub trait Hashes {
    /// Why a hash could not be given.
    type Error;

    /// The root of the complete subtree over the leaves from `index << level` up to, and without,
    /// `(index + 1) << level`.
    ///
    /// # Errors
    /// Where the source does not have this subtree.
    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// The complete subtrees that make up `count` leaves from `start`, the largest first.
///
/// `start` is a multiple of a power of two that is not less than `count`.
fn subtrees<S: Hashes>(source: &S, start: u64, count: u64) -> Result<Vec<Hash>, S::Error> {
    let mut hashes = Vec::new();
    let mut at = start;
    for level in (0..64u8).rev().filter(|level| count >> level & 1 == 1) {
        hashes.push(source.node(level, at >> level)?);
        at += 1 << level;
    }
    Ok(hashes)
}

/// The root over `count` leaves from `start`, with the condition of [`subtrees`].
fn range<S: Hashes>(source: &S, start: u64, count: u64) -> Result<Hash, S::Error> {
    Ok(Frontier { size: count, hashes: subtrees(source, start, count)? }.root())
}

/// The largest power of two that is less than `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << count.saturating_sub(1).checked_ilog2().unwrap_or_default()
}

/// The inclusion proof PATH(index, D[size]) of RFC 6962 section 2.1.1, the leaf's sibling first.
///
/// The caller sees to `index < size`; for any other index the proof is empty and does not verify.
///
/// # Errors
/// The first error of the source.
pub fn inclusion<S: Hashes>(source: &S, index: u64, size: u64) -> Result<Vec<Hash>, S::Error> {
    let (mut proof, mut start, mut count) = (Vec::new(), 0, size);
    while index < size && count > 1 {
        let left = split(count);
        if index - start < left {
            proof.push(range(source, start + left, count - left)?);
            count = left;
        } else {
            proof.push(range(source, start, left)?);
            start += left;
            count -= left;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The consistency proof PROOF(old, D[new]) of RFC 6962 section 2.1.2.
///
/// It is empty for an old size of zero, and where `old >= new`.
///
/// # Errors
/// The first error of the source.
pub fn consistency<S: Hashes>(source: &S, old: u64, new: u64) -> Result<Vec<Hash>, S::Error> {
    let (mut proof, mut start, mut count) = (Vec::new(), 0, new);
    if old == 0 || old >= new {
        return Ok(proof);
    }
    // The walk ends at the subtree that is the right edge of the old tree.
    while old - start != count {
        let left = split(count);
        if old - start <= left {
            proof.push(range(source, start + left, count - left)?);
            count = left;
        } else {
            proof.push(range(source, start, left)?);
            start += left;
            count -= left;
        }
    }
    // When this subtree is the whole old tree, the verifier has its hash: the old root.
    if start != 0 {
        proof.push(range(source, start, count)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The way of a proof from a leaf, or from a subtree, up to the root.
struct Climb {
    node: u64,
    last: u64,
}

/// On which side of the running hash a hash of the proof stands.
enum Side {
    Left,
    Right,
}

impl Climb {
    /// One step up: where the next hash stands, or nothing when the root is already reached.
    /// Steps 4a to 4c of RFC 9162 section 2.1.3.2, and 6a to 6c of section 2.1.4.2.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let left = self.node & 1 == 1 || self.node == self.last;
        if left {
            // A last node without a right sibling is carried up unchanged.
            self.shift(self.node.trailing_zeros());
        }
        self.shift(1);
        Some(if left { Side::Left } else { Side::Right })
    }

    /// Up by some levels.
    fn shift(&mut self, levels: u32) {
        self.node = self.node.checked_shr(levels).unwrap_or_default();
        self.last = self.last.checked_shr(levels).unwrap_or_default();
    }
}

/// Whether the proof shows that the leaf hash stands at `index` in the tree of this size and root.
/// RFC 9162 section 2.1.3.2.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let mut climb = Climb { node: index, last: size - 1 };
    let mut hash = *leaf;
    for other in proof {
        hash = match climb.step() {
            Some(Side::Left) => node_hash(other, &hash),
            Some(Side::Right) => node_hash(&hash, other),
            None => return false,
        };
    }
    climb.last == 0 && hash == *root
}

/// Whether the proof shows that the new tree begins with all the leaves of the old one.
/// RFC 9162 section 2.1.4.2.
///
/// Every tree goes on from the empty one, and a tree from itself: there the proof must be empty, and
/// the root of an empty tree must be SHA-256 of nothing.
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old == 0 {
        let empty = Frontier::new().root();
        return proof.is_empty() && *old_root == empty && (new != 0 || *new_root == empty);
    }
    if old >= new {
        return old == new && old_root == new_root && proof.is_empty();
    }
    let (first, rest) = match (old.is_power_of_two(), proof.split_first()) {
        (_, None) => return false,
        (true, Some(_)) => (old_root, proof),
        (false, Some((first, rest))) => (first, rest),
    };
    let mut climb = Climb { node: old - 1, last: new - 1 };
    climb.shift(climb.node.trailing_ones());
    let (mut old_hash, mut new_hash) = (*first, *first);
    for other in rest {
        match climb.step() {
            Some(Side::Left) => {
                old_hash = node_hash(other, &old_hash);
                new_hash = node_hash(other, &new_hash);
            }
            Some(Side::Right) => new_hash = node_hash(&new_hash, other),
            None => return false,
        }
    }
    climb.last == 0 && old_hash == *old_root && new_hash == *new_root
}

/// All the leaf hashes of a tree, for tests.
#[cfg(test)]
pub(super) struct Leaves(pub Vec<Hash>);

#[cfg(test)]
impl Leaves {
    /// A tree whose leaves are the first numbers.
    pub fn numbers(size: u64) -> Self {
        Self((0..size).map(|number| leaf_hash(&number.to_be_bytes())).collect())
    }

    /// The root over the first `size` leaves.
    pub fn root(&self, size: u64) -> Hash {
        let mut frontier = Frontier::new();
        self.0.iter().take(size.try_into().unwrap_or(usize::MAX)).for_each(|leaf| frontier.push(*leaf));
        frontier.root()
    }
}

#[cfg(test)]
impl Hashes for Leaves {
    type Error = ();

    fn node(&self, level: u8, index: u64) -> Result<Hash, ()> {
        if level == 0 {
            return usize::try_from(index).ok().and_then(|at| self.0.get(at)).copied().ok_or(());
        }
        Ok(node_hash(&self.node(level - 1, 2 * index)?, &self.node(level - 1, 2 * index + 1)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
