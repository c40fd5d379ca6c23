//! Verifies a ledger from its files and the public key of its heads alone.
//!
//! **Guarantees.** A clean report means: the head is signed by the key, each entry that was not pruned is
//! the one that the head covers, and the entries tell a story without gaps. It names the entries that are
//! wrong, and goes on to the end. Memory does not grow with the ledger.
//!
//! What stands in the journal behind the head is read, but nothing proves it. Whoever has the signing key
//! can write another history: only a head that was kept elsewhere (`since`, a witness) shows that.

mod facts;
mod report;
mod stories;
mod story;
#[cfg(test)]
mod tests;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use self::facts::{Names, Reader};
pub use self::report::{Check, Finding, Findings, Report, Severity};
use self::stories::Stories;
use self::tree::{Bundles, Checked};
use super::archive::{BUNDLE, head_path};
use super::checkpoint::{self, Checkpoint, CheckpointError, encode_hash};
use super::error::StoreError;
use super::evidence::witnessed_path;
use super::index;
use super::journal::Tail;
use super::log;
use super::note::{Note, Verifier};

/// More threads wait for the disk.
const THREADS: usize = 8;
/// Bundles that a thread may be ahead.
const AHEAD: usize = 8;

/// Verifies the ledger whose index or folder is at `ledger` against the key of its heads, and against an
/// older signed head where there is one. `progress` is told how many entries of how many are done.
///
/// # Errors
/// Where there is no ledger. What is wrong with it is in the report.
pub fn verify(
    ledger: &Path,
    key: &Verifier,
    since: Option<&str>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, StoreError> {
    let folder = log::folder(ledger);
    if !folder.is_dir() {
        return Err(StoreError::Missing(ledger.to_owned()));
    }
    let mut findings = Findings::default();
    // A gateway may go on meanwhile: what must not be ahead of the head is read before it.
    let indexed = read_index(ledger, &folder, &mut findings);
    let witnessed = std::fs::read_to_string(witnessed_path(&folder)).ok();
    let (head, note) = read_head(&folder, key, &mut findings);
    let names = Names::default();
    let mut story = Stories::new(&names, &folder)?;
    check_entries(&folder, &head, &names, &mut story, &mut findings, progress);
    let tree = Bundles::new(&folder, &head, &names);
    if head.size > 0 {
        let mut above = Vec::new();
        tree.check_above(&mut above);
        above.into_iter().for_each(|finding| findings.add(finding));
    }
    let since = since.and_then(|note| check_older(&tree, &head, key, note, "the older head", &mut findings));
    if let Some(note) = &witnessed {
        check_older(&tree, &head, key, note, "the witnessed head", &mut findings);
    }
    let behind = read_journal(&folder, &head, note.as_deref(), &names, &mut story, &mut findings);
    story.end(&mut findings);
    let size = head.size + behind;
    if let Some(indexed) = indexed.filter(|indexed| *indexed > size) {
        let what = format!(
            "the index knows of {indexed} entries, and there are {size}: the ledger was cut short, or an older copy was put back"
        );
        findings.add(Finding::error(Check::Index, None, what));
    }
    Ok(Report {
        origin: key.name().to_owned(),
        size: head.size,
        root: encode_hash(&head.root),
        behind,
        pruned: story.pruned(),
        contractors: story.contractors(),
        since,
        findings,
    })
}

/// The head, and its text as it stands in the file. Where it is not signed by the key, the rest is checked
/// against it all the same.
fn read_head(folder: &Path, key: &Verifier, findings: &mut Findings) -> (Checkpoint, Option<String>) {
    let none = || Checkpoint { origin: key.name().to_owned(), size: 0, root: Default::default() };
    let path = head_path(folder);
    let note = match std::fs::read_to_string(&path) {
        Ok(note) => note,
        Err(error) => {
            let is_new = error.kind() == std::io::ErrorKind::NotFound && !folder.join("tile").exists();
            let what = format!("the signed head {} cannot be read: {error}", path.display());
            if !is_new {
                findings.add(Finding::error(Check::Head, None, what));
            }
            return (none(), None);
        }
    };
    let error = match checkpoint::open(&note, key) {
        Ok((head, _)) => return (head, Some(note)),
        Err(error) => error,
    };
    findings.add(Finding::error(Check::Head, None, head_trouble(&error)));
    let parsed = Note::parse(&note).ok().and_then(|note| Checkpoint::parse(&note).ok());
    // Nobody vouches for the number: it must not send us on a long way through nothing.
    let is_there = |head: &Checkpoint| {
        head.size == 0 || super::archive::bundle_bytes(folder, (head.size - 1) / BUNDLE, 1).is_ok()
    };
    let head = parsed.filter(is_there).unwrap_or_else(|| {
        let what = "the head says nothing that the entries could be checked against".to_owned();
        findings.add(Finding::error(Check::Head, None, what));
        none()
    });
    (head, Some(note))
}

fn head_trouble(error: &CheckpointError) -> String {
    match error {
        CheckpointError::Unsigned => "the head is not signed by this key".to_owned(),
        CheckpointError::Origin => "the head is one of another log, or the key is".to_owned(),
        other => format!("the head is not one that this key has signed ({other})"),
    }
}

/// Checks all bundles in some threads, and takes them in their order.
fn check_entries(
    folder: &Path,
    head: &Checkpoint,
    names: &Names,
    story: &mut Stories,
    findings: &mut Findings,
    progress: &mut dyn FnMut(u64, u64),
) {
    let bundles = head.size.div_ceil(BUNDLE);
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(THREADS));
    std::thread::scope(|scope| {
        // Each thread has every so many-th bundle: so they come in order, and none runs far ahead.
        let receivers: Vec<Receiver<Checked>> = (0..threads)
            .map(|thread| {
                let (sender, receiver) = sync_channel(AHEAD);
                scope.spawn(move || {
                    let mut checker = Bundles::new(folder, head, names);
                    for number in (thread as u64..bundles).step_by(threads) {
                        if sender.send(checker.check(number)).is_err() {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        for (number, receiver) in (0..bundles).zip(receivers.iter().cycle()) {
            let Ok(checked) = receiver.recv() else {
                let what = format!("the entries from {} on could not be checked", number * BUNDLE);
                return findings.add(Finding::error(Check::Bundle, number * BUNDLE, what));
            };
            checked.findings.into_iter().for_each(|finding| findings.add(finding));
            checked.items.into_iter().for_each(|item| story.take(item, findings));
            progress(((number + 1) * BUNDLE).min(head.size), head.size);
        }
    });
}

/// What an older head covers must stand in the tree as it stood then. Gives the older size.
fn check_older(
    tree: &Bundles,
    head: &Checkpoint,
    key: &Verifier,
    note: &str,
    name: &str,
    findings: &mut Findings,
) -> Option<u64> {
    let mut wrong = |what: String| findings.add(Finding::error(Check::Since, None, what));
    let older = match checkpoint::open(note, key) {
        Ok((older, _)) => older,
        Err(error) => {
            wrong(format!("{name} is not one that this key has signed ({error})"));
            return None;
        }
    };
    if older.size > head.size {
        wrong(format!(
            "{name} covers {} entries and this ledger's {}: an older copy was put back, or it was cut short",
            older.size, head.size
        ));
        return Some(older.size);
    }
    match tree.root(older.size) {
        Ok(root) if root == older.root => {}
        Ok(_) => wrong(format!("{name} covers {} entries, and these are not the same any more", older.size)),
        Err(error) => wrong(format!("{name} could not be compared: {error}")),
    }
    Some(older.size)
}

/// Reads what stands in the journal behind the head; how many entries that is.
fn read_journal(
    folder: &Path,
    head: &Checkpoint,
    note: Option<&str>,
    names: &Names,
    story: &mut Stories,
    findings: &mut Findings,
) -> u64 {
    let journal = log::journal_folder(folder);
    if !journal.is_dir() {
        return 0;
    }
    let mut reader = Reader::new(names);
    let mut tail = Tail::new(&journal, head.size);
    let mut result = tail.read(u64::MAX, |_, leaf, _| story.take(reader.item(leaf), findings));
    // Where a gateway has signed another head in the meantime, it may use the journal's files again.
    if std::fs::read_to_string(head_path(folder)).ok().as_deref() == note {
        result = result.and_then(|()| tail.check_end());
    }
    if let Err(error) = result {
        findings.add(Finding::error(Check::Journal, tail.next, error.to_string()));
    }
    tail.next - head.size
}

/// How many entries the index knows, where there is one. It may lag; it cannot know more than there are.
fn read_index(ledger: &Path, folder: &Path, findings: &mut Findings) -> Option<u64> {
    let path: PathBuf = if ledger == folder { folder.with_extension("db") } else { ledger.to_owned() };
    if !path.is_file() {
        return None;
    }
    let indexed = index::read_indexed(&path);
    indexed
        .map_err(|error| {
            let what = format!("the index cannot be read, which proves nothing: {error}");
            findings.add(Finding::warning(Check::Index, None, what));
        })
        .ok()
}
