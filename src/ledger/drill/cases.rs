//! What the drill does to copies.

use std::path::Path;
use std::sync::Arc;

use super::super::archive::BUNDLE;
use super::super::index::Index;
use super::super::journal::Journal;
use super::super::log;
use super::super::verify::Check;
use super::copy::{self, Hand};
use super::sample::{text, with, without};
use super::{Bench, DrillError, Key};

/// One thing to do.
pub struct Case {
    pub did: &'static str,
    /// The checks that must find it.
    pub shows: &'static [Check],
    /// Does it, in a new folder; gives the older head that is kept elsewhere, where there is one.
    pub act: fn(&Bench, &Path) -> Result<Option<String>, DrillError>,
}

type Outcome = Result<Option<String>, DrillError>;

pub const CASES: &[Case] = &[
    Case { did: "a bit of an entry flipped", shows: &[Check::Entry], act: flip_entry },
    Case { did: "a bit of a hash tile flipped", shows: &[Check::Tile], act: flip_tile },
    Case { did: "a bit of a higher hash tile flipped", shows: &[Check::Tile, Check::Root], act: flip_above },
    Case { did: "an entry taken out of its bundle", shows: &[Check::Entry], act: take_out },
    Case { did: "two entries exchanged", shows: &[Check::Entry], act: exchange },
    Case {
        did: "an entry replaced and the tree made anew, without the key",
        shows: &[Check::Head],
        act: forge,
    },
    Case { did: "the head signed by another key", shows: &[Check::Head], act: other_key },
    Case {
        did: "the last entries cut off under the newest head",
        shows: &[Check::Bundle, Check::Tile],
        act: cut,
    },
    Case {
        did: "an older backup put back; the newest head is kept elsewhere",
        shows: &[Check::Since],
        act: restore,
    },
    Case {
        did: "history rewritten with the stolen key; an older head is kept elsewhere",
        shows: &[Check::Since],
        act: rewrite,
    },
    Case {
        did: "a fork of the same size, with the stolen key; its head is kept elsewhere",
        shows: &[Check::Since],
        act: fork,
    },
    Case {
        did: "an entry left out of a contractor's, with the stolen key",
        shows: &[Check::Sequence],
        act: leave_gap,
    },
    Case {
        did: "a list of customers left out, with the stolen key",
        shows: &[Check::Parts],
        act: leave_out_part,
    },
    Case {
        did: "a part of a long response left out, with the stolen key",
        shows: &[Check::Stream],
        act: leave_out_stream,
    },
    Case {
        did: "a decision by rules that were never announced, with the stolen key",
        shows: &[Check::Rules],
        act: unknown_rules,
    },
    Case {
        did: "two entries exchanged in the tree, with the stolen key",
        shows: &[Check::Number],
        act: renumber,
    },
    Case { did: "an entry of the journal damaged", shows: &[Check::Journal], act: damage_journal },
    Case { did: "the ledger put back, and its index not", shows: &[Check::Index], act: old_index },
];

/// A copy of the whole, and a hand on it.
fn copy<'f>(bench: &Bench, folder: &'f Path) -> Result<Hand<'f>, DrillError> {
    copy::link(&bench.whole, folder)?;
    Hand::new(folder)
}

/// The number of an entry somewhere in the middle.
fn middle(bench: &Bench) -> Result<u64, DrillError> {
    Ok(copy::head_of(&bench.half)?.size)
}

/// Changes an entry of those in the bundle in the middle, by its place among those that were not pruned.
fn change(hand: &Hand, at: u64, change: impl FnOnce(&mut Vec<Vec<u8>>, usize)) -> Result<(), DrillError> {
    hand.bundle(at, |entries| {
        let wanted = (at % BUNDLE) as usize;
        let kept = |at: &usize| entries.get(*at).is_some_and(|entry| !entry.is_empty());
        let found = (wanted..entries.len()).chain(0..wanted).find(kept);
        if let Some(found) = found {
            change(entries, found);
        }
    })
}

fn flip_entry(bench: &Bench, folder: &Path) -> Outcome {
    let hand = copy(bench, folder)?;
    change(&hand, middle(bench)?, |entries, at| {
        let entry = entries.get_mut(at).and_then(|entry| {
            let middle = entry.len() / 2;
            entry.get_mut(middle)
        });
        entry.into_iter().for_each(|byte| *byte ^= 1);
    })?;
    Ok(None)
}

fn flip_tile(bench: &Bench, folder: &Path) -> Outcome {
    copy(bench, folder)?.tile(0, 0)?;
    Ok(None)
}

fn flip_above(bench: &Bench, folder: &Path) -> Outcome {
    copy(bench, folder)?.tile(1, 0)?;
    Ok(None)
}

fn take_out(bench: &Bench, folder: &Path) -> Outcome {
    let hand = copy(bench, folder)?;
    change(&hand, middle(bench)?, |entries, at| _ = entries.remove(at))?;
    Ok(None)
}

fn exchange(bench: &Bench, folder: &Path) -> Outcome {
    let hand = copy(bench, folder)?;
    change(&hand, middle(bench)?, |entries, at| {
        let other = if at + 1 < entries.len() { at + 1 } else { at.saturating_sub(1) };
        entries.swap(at, other);
    })?;
    Ok(None)
}

/// The drill's entries with another one in the place of the first refusal.
fn falsified(bench: &Bench) -> Vec<Vec<u8>> {
    let at = place(bench, |leaf| text(leaf, "kind") == "refusal");
    let mut leaves = bench.leaves.clone();
    replace(&mut leaves, at, |entry| entry["code"] = "no-such-task".into());
    leaves
}

fn replace(leaves: &mut [Vec<u8>], at: usize, change: impl FnOnce(&mut serde_json::Value)) {
    if let Some(leaf) = leaves.get_mut(at) {
        *leaf = with(leaf, change);
    }
}

/// Where the first of the drill's entries is that is such.
fn place(bench: &Bench, is_such: impl Fn(&Vec<u8>) -> bool) -> usize {
    bench.leaves.iter().position(is_such).unwrap_or_default()
}

fn forge(bench: &Bench, folder: &Path) -> Outcome {
    bench.write(&bench.before, folder, &falsified(bench))?;
    let signed = copy::note_of(&bench.whole)?;
    Hand::new(folder)?.head(&copy::forge(&copy::head_of(folder)?, &signed, &bench.verifier)?)?;
    Ok(None)
}

fn other_key(bench: &Bench, folder: &Path) -> Outcome {
    let hand = copy(bench, folder)?;
    hand.head(&copy::sign(&copy::head_of(folder)?, &Key::new()?.signer(&bench.name)?)?)?;
    Ok(None)
}

fn cut(bench: &Bench, folder: &Path) -> Outcome {
    copy(bench, folder)?.cut()?;
    Ok(None)
}

fn restore(bench: &Bench, folder: &Path) -> Outcome {
    copy::link(&bench.half, folder)?;
    Ok(Some(copy::note_of(&bench.whole)?))
}

fn rewrite(bench: &Bench, folder: &Path) -> Outcome {
    bench.write(&bench.before, folder, &falsified(bench))?;
    Ok(Some(copy::note_of(&bench.half)?))
}

fn fork(bench: &Bench, folder: &Path) -> Outcome {
    bench.write(&bench.before, folder, &falsified(bench))?;
    Ok(Some(copy::note_of(&bench.whole)?))
}

fn leave_gap(bench: &Bench, folder: &Path) -> Outcome {
    let at = place(bench, |leaf| text(leaf, "kind") == "refusal");
    bench.write(&bench.before, folder, &without(&bench.leaves, at, false))?;
    Ok(None)
}

fn leave_out_part(bench: &Bench, folder: &Path) -> Outcome {
    let at = place(bench, |leaf| text(leaf, "kind") == "subjects");
    bench.write(&bench.before, folder, &without(&bench.leaves, at, true))?;
    Ok(None)
}

fn leave_out_stream(bench: &Bench, folder: &Path) -> Outcome {
    let is_first = |leaf: &[u8]| leaf.windows(9).any(|part| part == b"\"stream\":");
    let at = place(bench, |leaf| is_first(leaf));
    bench.write(&bench.before, folder, &without(&bench.leaves, at, true))?;
    Ok(None)
}

fn unknown_rules(bench: &Bench, folder: &Path) -> Outcome {
    let at = place(bench, |leaf| text(leaf, "kind") == "disclosure");
    let mut leaves = bench.leaves.clone();
    replace(&mut leaves, at, |entry| entry["rules"] = "f".repeat(64).into());
    bench.write(&bench.before, folder, &leaves)?;
    Ok(None)
}

fn renumber(bench: &Bench, folder: &Path) -> Outcome {
    let at = place(bench, |leaf| text(leaf, "kind") == "refusal");
    let mut leaves = bench.leaves.clone();
    leaves.swap(at, at + 1);
    bench.write(&bench.before, folder, &leaves)?;
    Ok(None)
}

/// Three commits behind the head, of which the first is damaged.
fn damage_journal(bench: &Bench, folder: &Path) -> Outcome {
    let hand = copy(bench, folder)?;
    let size = copy::head_of(folder)?.size;
    let mut journal =
        Journal::open(&log::journal_folder(folder), Arc::new(size.into()), std::fs::File::sync_data)?;
    let leaves: Vec<Vec<u8>> = bench.leaves.iter().take(1).cloned().collect();
    let mut damaged = Vec::new();
    for number in size..size + 3 {
        let leaf = leaves.first().map(|leaf| with(leaf, |entry| entry["index"] = number.into()));
        let leaf = leaf.unwrap_or_default();
        journal.stage(&leaf);
        journal.commit()?;
        if number == size {
            damaged = leaf;
        }
    }
    drop(journal);
    for path in copy::journal_files(folder) {
        hand.file(&path, |bytes| {
            let at = bytes.windows(damaged.len().max(1)).position(|part| part == damaged);
            let byte = at.and_then(|at| bytes.get_mut(at + damaged.len() / 2));
            byte.into_iter().for_each(|byte| *byte ^= 1);
        })?;
    }
    Ok(None)
}

/// The index of the whole beside the half.
fn old_index(bench: &Bench, folder: &Path) -> Outcome {
    copy::link(&bench.half, folder)?;
    let path = folder.with_extension("db");
    drop(Index::open(&path)?);
    let size = copy::head_of(&bench.whole)?.size as i64;
    let claimed = rusqlite::Connection::open(&path)
        .and_then(|database| database.execute("UPDATE state SET value = ?1 WHERE name = 'indexed'", [size]));
    claimed.map_err(|source| super::super::error::StoreError::Database { path, source })?;
    Ok(None)
}
