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

#[test]
fn leaves_of_any_length_have_the_hash_of_their_bytes_behind_a_zero() {
    use sha2::{Digest, Sha256};
    for length in [0, 1, 63, SHORT - 1, SHORT, SHORT + 1, 65_535] {
        let leaf: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let expected: Hash = Sha256::new().chain_update([0]).chain_update(&leaf).finalize().into();
        assert_eq!(leaf_hash(&leaf), expected, "{length}");
        assert_eq!(marked_leaf_hash(&[&[0], &leaf[..]].concat()), expected, "{length}");
    }
    let (left, right) = (leaf_hash(b"left"), leaf_hash(b"right"));
    let expected: Hash =
        Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into();
    assert_eq!(node_hash(&left, &right), expected);
}

#[test]
fn the_subtrees_that_are_complete_with_a_leaf_are_shown() {
    let leaves = Leaves::numbers(40);
    let mut frontier = Frontier::new();
    for (at, leaf) in leaves.0.iter().enumerate() {
        let mut levels = 0;
        frontier.push_and_show(*leaf, |level, root| {
            assert_eq!(level, levels);
            assert_eq!(Ok(root), leaves.node(level, at as u64 >> level));
            levels += 1;
        });
        assert_eq!(u32::from(levels), (at + 1).trailing_zeros() + 1);
    }
}
