//! The Merkle tree of RFC 6962, section 2.1, with SHA-256.
//!
//! Proofs are made from any source of subtree hashes ([`Hashes`]) and verified with the iterative
//! procedures of RFC 9162, sections 2.1.3.2 and 2.1.4.2. RFC 9162 kept the tree of RFC 6962.

use aws_lc_rs::digest::{Context, SHA256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// SHA-256 of the concatenation of the parts.
pub(super) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = Hash::default();
    // Both sides have 32 bytes: that is what SHA-256 gives.
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The hash of a leaf: SHA-256(0x00 || leaf), RFC 6962 section 2.1.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0], leaf])
}

/// The hash of an inner node: SHA-256(0x01 || left || right), RFC 6962 section 2.1.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
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
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
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
mod tests {
    use super::*;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;

    const SIZES: [u64; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 33, 70];

    fn oracle(size: u64) -> MemoryBackedTree<sha2::Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        (0..size).for_each(|number| tree.push(number.to_be_bytes().to_vec()));
        tree
    }

    /// Every proof that differs from a right one in one hash, or in its length, or in its order.
    fn changed(proof: &[Hash]) -> Vec<Vec<Hash>> {
        let mut all = vec![[proof, &[[7; 32]]].concat(), [&[[7; 32]], proof].concat()];
        for at in 0..proof.len() {
            let mut other = proof.to_vec();
            other[at][31] ^= 1;
            all.push(other);
            let mut shorter = proof.to_vec();
            shorter.remove(at);
            all.push(shorter);
            let mut turned = proof.to_vec();
            turned.swap(at, 0);
            all.extend((at > 0).then_some(turned));
        }
        all
    }

    #[test]
    fn the_empty_tree_has_the_hash_of_nothing() {
        let hex: String = Frontier::new().root().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn roots_and_proofs_are_those_of_ct_merkle() {
        for size in (1..=70).chain([127, 128, 129, 255, 256, 257, 300]) {
            let (ours, theirs) = (Leaves::numbers(size), oracle(size));
            assert_eq!(ours.root(size)[..], theirs.root().as_bytes()[..]);
            for index in 0..size {
                let proof = inclusion(&ours, index, size).unwrap();
                assert_eq!(proof.concat(), theirs.prove_inclusion(index as usize).as_bytes());
                assert!(verify_inclusion(&ours.0[index as usize], index, size, &proof, &ours.root(size)));
                let old = index + 1;
                let proof = consistency(&ours, old, size).unwrap();
                assert_eq!(proof.concat(), theirs.prove_consistency((size - old) as usize).as_bytes());
                assert!(verify_consistency(old, &ours.root(old), size, &ours.root(size), &proof));
            }
        }
    }

    #[test]
    fn a_frontier_read_back_is_the_one_that_grew() {
        let leaves = Leaves::numbers(300);
        let mut grown = Frontier::new();
        for size in 0..=300 {
            assert_eq!(Frontier::load(&leaves, size), Ok(grown.clone()));
            assert_eq!(grown.size(), size);
            leaves.0.get(size as usize).into_iter().for_each(|leaf| grown.push(*leaf));
        }
    }

    #[test]
    fn a_changed_inclusion_proof_is_refused() {
        for size in SIZES {
            let leaves = Leaves::numbers(size);
            let root = leaves.root(size);
            for index in 0..size {
                let leaf = leaves.0[index as usize];
                let proof = inclusion(&leaves, index, size).unwrap();
                for other in changed(&proof) {
                    assert!(!verify_inclusion(&leaf, index, size, &other, &root));
                }
                for other in (0..size + 3).filter(|other| *other != index) {
                    assert!(!verify_inclusion(&leaf, other, size, &proof, &root));
                }
                assert!(!verify_inclusion(&leaf, index, size, &proof, &[7; 32]));
                assert!(!verify_inclusion(&[7; 32], index, size, &proof, &root));
                assert!(!verify_inclusion(&leaf, index, 2 * size + 1, &proof, &root));
                assert!(!verify_inclusion(&leaf, index, u64::MAX, &proof, &root));
            }
        }
    }

    #[test]
    fn a_changed_consistency_proof_is_refused() {
        for new in SIZES {
            let leaves = Leaves::numbers(new);
            let new_root = leaves.root(new);
            for old in 0..=new {
                let old_root = leaves.root(old);
                let proof = consistency(&leaves, old, new).unwrap();
                assert!(verify_consistency(old, &old_root, new, &new_root, &proof));
                for other in changed(&proof) {
                    assert!(!verify_consistency(old, &old_root, new, &new_root, &other));
                }
                for other in (0..new + 3).filter(|other| *other != old) {
                    assert!(!verify_consistency(other, &old_root, new, &new_root, &proof), "{old} {other}");
                }
                assert!(!verify_consistency(old, &[7; 32], new, &new_root, &proof));
                // Nothing is claimed about what comes after the empty tree.
                assert!(old == 0 || !verify_consistency(old, &old_root, new, &[7; 32], &proof));
            }
        }
    }

    #[test]
    fn a_tree_that_shrinks_is_refused() {
        let leaves = Leaves::numbers(9);
        let proof = consistency(&leaves, 5, 9).unwrap();
        assert!(!verify_consistency(9, &leaves.root(9), 5, &leaves.root(5), &proof));
        assert!(!verify_consistency(9, &leaves.root(9), 0, &leaves.root(0), &[]));
        assert_eq!(consistency(&leaves, 9, 5), Ok(vec![]));
    }

    #[test]
    fn an_index_outside_of_the_tree_has_an_empty_proof() {
        assert_eq!(inclusion(&Leaves::numbers(4), 4, 4), Ok(vec![]));
        assert_eq!(inclusion(&Leaves::numbers(0), 0, 0), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn any_sizes_and_hashes_are_answered_without_a_panic(
            (a, b) in (any::<u64>(), any::<u64>()),
            proof in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
        ) {
            prop_assert!(!verify_inclusion(&[1; 32], a, b, &proof, &[2; 32]));
            prop_assert!(!verify_consistency(a, &[1; 32], b, &[2; 32], &proof));
        }

        #[test]
        fn any_two_sizes_of_a_log_are_consistent(a in 0u64..600, b in 0u64..600) {
            let (old, new) = (a.min(b), a.max(b));
            let leaves = Leaves::numbers(new);
            let proof = consistency(&leaves, old, new).unwrap();
            prop_assert!(verify_consistency(old, &leaves.root(old), new, &leaves.root(new), &proof));
        }
    }
}
