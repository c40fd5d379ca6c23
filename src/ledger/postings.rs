//! Sets of entries, by what they have in common: for each term and each block of 65,536 entries a set of
//! offsets. A search is an intersection of such sets, whatever it asks for.

/// Entries in a block.
pub const BLOCK: u64 = 1 << 16;

/// Words of a block as a bit set.
const WORDS: usize = 1 << 10;

/// More than this many take less space as bits.
const FEW: usize = 4095;

/// Offsets within a block, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    Few(Vec<u16>),
    Many(Box<[u64; WORDS]>),
}

impl Default for Set {
    fn default() -> Self {
        Set::Few(Vec::new())
    }
}

impl Set {
    pub fn all() -> Self {
        Set::Many(Box::new([u64::MAX; WORDS]))
    }

    /// Adds an offset; later ones come after earlier ones, mostly.
    pub fn insert(&mut self, offset: u16) {
        match self {
            Set::Few(offsets) => {
                match offsets.last() {
                    Some(last) if *last >= offset => {
                        if let Err(at) = offsets.binary_search(&offset) {
                            offsets.insert(at, offset);
                        }
                    }
                    _ => offsets.push(offset),
                }
                if offsets.len() > FEW {
                    *self = Set::Many(bits(offsets));
                }
            }
            Set::Many(words) => words[usize::from(offset) / 64] |= 1 << (offset % 64),
        }
    }

    pub fn intersect(&mut self, other: &Set) {
        match (&mut *self, other) {
            (Set::Few(own), _) => own.retain(|offset| other.contains(*offset)),
            (Set::Many(_), Set::Few(theirs)) => {
                let kept = theirs.iter().copied().filter(|offset| self.contains(*offset)).collect();
                *self = Set::Few(kept);
            }
            (Set::Many(own), Set::Many(theirs)) => {
                own.iter_mut().zip(theirs.iter()).for_each(|(own, theirs)| *own &= theirs);
            }
        }
    }

    pub fn unite(&mut self, other: &Set) {
        match (&mut *self, other) {
            (_, Set::Few(theirs)) => theirs.iter().for_each(|offset| self.insert(*offset)),
            (Set::Few(own), Set::Many(theirs)) => {
                let mut all = theirs.clone();
                own.iter().for_each(|offset| all[usize::from(*offset) / 64] |= 1 << (offset % 64));
                *self = Set::Many(all);
            }
            (Set::Many(own), Set::Many(theirs)) => {
                own.iter_mut().zip(theirs.iter()).for_each(|(own, theirs)| *own |= theirs);
            }
        }
    }

    pub fn contains(&self, offset: u16) -> bool {
        match self {
            Set::Few(offsets) => offsets.binary_search(&offset).is_ok(),
            Set::Many(words) => words[usize::from(offset) / 64] >> (offset % 64) & 1 == 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Set::Few(offsets) => offsets.is_empty(),
            Set::Many(words) => words.iter().all(|word| *word == 0),
        }
    }

    /// All offsets, in order.
    pub fn offsets(&self) -> Vec<u16> {
        match self {
            Set::Few(offsets) => offsets.clone(),
            Set::Many(words) => {
                let mut offsets = Vec::new();
                for (at, word) in words.iter().enumerate() {
                    let mut rest = *word;
                    while rest != 0 {
                        offsets.push((at * 64) as u16 + rest.trailing_zeros() as u16);
                        rest &= rest - 1;
                    }
                }
                offsets
            }
        }
    }

    /// As bytes: the offsets, two bytes each, or 8 KiB of bits.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Set::Few(offsets) => offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect(),
            Set::Many(words) => words.iter().flat_map(|word| word.to_le_bytes()).collect(),
        }
    }

    /// None where these are not the bytes of a set.
    pub fn from_bytes(bytes: &[u8]) -> Option<Set> {
        if bytes.len() == WORDS * 8 {
            let (words, _) = bytes.as_chunks::<8>();
            let mut set = Box::new([0; WORDS]);
            set.iter_mut().zip(words).for_each(|(own, word)| *own = u64::from_le_bytes(*word));
            return Some(Set::Many(set));
        }
        let (offsets, rest) = bytes.as_chunks::<2>();
        let offsets: Vec<u16> = offsets.iter().map(|offset| u16::from_le_bytes(*offset)).collect();
        (rest.is_empty() && offsets.is_sorted()).then_some(Set::Few(offsets))
    }
}

fn bits(offsets: &[u16]) -> Box<[u64; WORDS]> {
    let mut words = Box::new([0; WORDS]);
    offsets.iter().for_each(|offset| words[usize::from(*offset) / 64] |= 1 << (offset % 64));
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn set(offsets: impl IntoIterator<Item = u16>) -> Set {
        let mut set = Set::default();
        offsets.into_iter().for_each(|offset| set.insert(offset));
        set
    }

    #[test]
    fn sets_do_what_sets_do_whatever_their_form() {
        let shapes: [Vec<u16>; 5] = [
            vec![],
            vec![0, 65_535],
            vec![9, 3, 3, 7],
            (0..60_000).step_by(7).collect(),
            (100..65_000).collect(),
        ];
        for one in &shapes {
            for other in &shapes {
                let (left, right) = (set(one.clone()), set(other.clone()));
                let (tree, peer): (BTreeSet<_>, BTreeSet<_>) =
                    (one.iter().copied().collect(), other.iter().copied().collect());
                let mut both = left.clone();
                both.intersect(&right);
                assert_eq!(both.offsets(), tree.intersection(&peer).copied().collect::<Vec<_>>());
                let mut any = left.clone();
                any.unite(&right);
                assert_eq!(any.offsets(), tree.union(&peer).copied().collect::<Vec<_>>());
                assert_eq!(any.is_empty(), tree.is_empty() && peer.is_empty());
            }
            let own = set(one.clone());
            assert_eq!(Set::from_bytes(&own.to_bytes()).unwrap().offsets(), own.offsets());
        }
        assert_eq!(Set::all().offsets().len(), BLOCK as usize);
        assert!(Set::from_bytes(&[1]).is_none());
    }
}
