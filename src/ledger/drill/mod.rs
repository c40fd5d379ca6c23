//! Breaks copies of a ledger in all ways that we could think of, and shows that the verification finds
//! each: for auditors, and as a test.
//!
//! **How.** A copy is verified as it is. Then a throwaway key takes the place of the signing key, because
//! some of the cases are about a key that was stolen; the copy goes on with entries of the drill, and each
//! case changes a copy of that. The ledger itself is only read.

mod cases;
mod copy;
mod sample;

use std::path::{Path, PathBuf};

use aws_lc_rs::signature::Ed25519KeyPair;
use serde::Serialize;

use self::cases::CASES;
use self::copy::Scratch;
use self::sample::Sample;
use super::archive::Archive;
use super::error::StoreError;
use super::log::{self, Log};
use super::note::{Signer, Verifier};
use super::verify::{Report, Severity, verify};
use super::writer::RecordError;

/// Why there was no drill.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error("the copy for the drill, {}: {source}", path.display())]
    Copy { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} has no signed head yet: let the gateway run for a second", .0.display())]
    NoHead(PathBuf),
    #[error("the drill cannot prepare a case: {0}")]
    Sign(String),
    #[error("the ledger for the drill cannot be written: {0}")]
    Sample(RecordError),
}

/// What was done to a copy, and whether it was found.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    pub did: &'static str,
    pub caught: bool,
    /// The first finding that tells it.
    pub found: String,
}

/// What a drill has shown.
#[derive(Debug, Serialize)]
pub struct Drill {
    /// The copy before anything was done to it. Where it is not clean, nothing was done.
    pub untouched: Report,
    pub attempts: Vec<Attempt>,
}

impl Drill {
    /// Whether the untouched copy is clean, and everything that was done to it was found.
    pub fn is_passed(&self) -> bool {
        self.untouched.is_clean()
            && !self.attempts.is_empty()
            && self.attempts.iter().all(|attempt| attempt.caught)
    }
}

/// Runs the drill on copies of the ledger whose index or folder is at a path, and whose key is known; or
/// on a ledger that is made for it. The copies are made below `scratch`, and are gone in the end.
/// `progress` is told how many cases of how many are done.
///
/// # Errors
/// Where a copy cannot be made or changed.
pub fn drill(
    ledger: Option<(&Path, &Verifier)>,
    scratch: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Drill, DrillError> {
    let scratch = Scratch::new(scratch)?;
    let base = scratch.path().join("base.tlog");
    let key = match ledger {
        Some((path, key)) => {
            let folder = log::folder(path);
            if !folder.is_dir() {
                return Err(StoreError::Missing(path.to_owned()).into());
            }
            copy::copy_ledger(&folder, &base)?;
            key.clone()
        }
        None => {
            let signer = Key::new()?.signer("drill.invalid/ledger")?;
            let key = signer.verifier().clone();
            Sample::new(["sample-one", "sample-two"])?.make_ledger(&base.with_extension("db"), signer)?;
            key
        }
    };
    let untouched = verify(&base, &key, None, &mut |_, _| {})?;
    let mut attempts = Vec::new();
    if untouched.is_clean() {
        let bench = Bench::new(&scratch, &base, key.name())?;
        for (done, case) in CASES.iter().enumerate() {
            progress(done, CASES.len());
            attempts.push(bench.attempt(case)?);
        }
        progress(CASES.len(), CASES.len());
    }
    Ok(Drill { untouched, attempts })
}

/// A key that lives as long as the drill.
struct Key(Vec<u8>);

impl Key {
    fn new() -> Result<Self, DrillError> {
        let failed = |_| DrillError::Sign("no key can be made".to_owned());
        let pair = Ed25519KeyPair::generate().map_err(failed)?;
        Ok(Key(pair.to_pkcs8().map_err(failed)?.as_ref().to_vec()))
    }

    fn signer(&self, name: &str) -> Result<Signer, DrillError> {
        let failed = || DrillError::Sign("no key can be made".to_owned());
        let pair = Ed25519KeyPair::from_pkcs8(&self.0).map_err(|_| failed())?;
        Signer::log(name, pair).map_err(|_| failed())
    }
}

/// What all cases begin with.
struct Bench<'s> {
    scratch: &'s Path,
    name: String,
    key: Key,
    verifier: Verifier,
    /// The ledger, its head signed by the drill's key.
    before: PathBuf,
    /// The same with half of the drill's entries, and with all.
    half: PathBuf,
    whole: PathBuf,
    /// The drill's entries.
    leaves: Vec<Vec<u8>>,
}

impl<'s> Bench<'s> {
    fn new(scratch: &'s Scratch, base: &Path, name: &str) -> Result<Self, DrillError> {
        let scratch = scratch.path();
        let key = Key::new()?;
        let verifier = key.signer(name)?.verifier().clone();
        let [before, half, whole] =
            ["before", "half", "whole"].map(|name| scratch.join(name).with_extension("tlog"));
        let mut bench =
            Bench { scratch, name: name.to_owned(), key, verifier, before, half, whole, leaves: Vec::new() };
        let size = bench.take_over(base)?;
        bench.leaves = Sample::new(["drill-one", "drill-two"])?.entries(size);
        let (first, _) = bench.leaves.split_at(bench.leaves.len() / 2);
        bench.write(&bench.before, &bench.half, first)?;
        let (_, second) = bench.leaves.split_at(bench.leaves.len() / 2);
        bench.write(&bench.half, &bench.whole, second)?;
        Ok(bench)
    }

    fn signer(&self) -> Result<Signer, DrillError> {
        self.key.signer(&self.name)
    }

    /// The copy under the drill's key, with what stood in its journal; how many entries it has.
    fn take_over(&self, base: &Path) -> Result<u64, DrillError> {
        let log = Log::open(base)?;
        copy::link(base, &self.before)?;
        for name in ["journal", "checkpoint.witnessed"] {
            let path = self.before.join(name);
            _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
        if log.head().is_some() {
            let note = copy::sign(&copy::head_of(base)?, &self.signer()?)?;
            copy::Hand::new(&self.before)?.head(&note)?;
        }
        self.append(&self.before, log.tail())?;
        Ok(log.size())
    }

    /// Goes on in a copy of a ledger, as the gateway does.
    fn write(&self, from: &Path, to: &Path, leaves: &[Vec<u8>]) -> Result<(), DrillError> {
        copy::link(from, to)?;
        self.append(to, leaves)
    }

    fn append(&self, folder: &Path, leaves: &[Vec<u8>]) -> Result<(), DrillError> {
        let mut archive = Archive::open(folder, self.signer()?)?;
        leaves.iter().for_each(|leaf| archive.append(leaf));
        archive.seal()?;
        Ok(())
    }

    fn attempt(&self, case: &cases::Case) -> Result<Attempt, DrillError> {
        let folder = self.scratch.join("case.tlog");
        let since = (case.act)(self, &folder)?;
        let report = verify(&folder, &self.verifier, since.as_deref(), &mut |_, _| {})?;
        let findings = report.findings.list.iter();
        let mut telling = findings
            .filter(|finding| finding.severity == Severity::Error && case.shows.contains(&finding.check));
        // Where the copy was says nothing: it is gone when this is read.
        let place = format!("{}/", folder.display());
        let found = telling.next().map(|finding| match finding.entry {
            Some(entry) => format!("entry {entry}: {}", finding.what.replace(&place, "")),
            None => finding.what.replace(&place, ""),
        });
        let failed = |source| DrillError::Copy { path: folder.clone(), source };
        std::fs::remove_dir_all(&folder).map_err(failed)?;
        _ = std::fs::remove_file(folder.with_extension("db"));
        Ok(Attempt { did: case.did, caught: found.is_some(), found: found.unwrap_or_default() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_done_to_a_copy_is_found() {
        let scratch = tempfile::tempdir().unwrap();
        let drill = drill(None, scratch.path(), &mut |_, _| {}).unwrap();
        assert!(drill.untouched.is_clean(), "{:?}", drill.untouched);
        assert!(drill.attempts.len() >= 10);
        let missed = drill.attempts.iter().find(|attempt| !attempt.caught);
        assert!(missed.is_none(), "{missed:?}");
        assert!(drill.is_passed());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_the_drill_adds_is_no_error_by_itself() {
        let scratch = Scratch::new(&std::env::temp_dir()).unwrap();
        let base = scratch.path().join("base.tlog");
        let signer = Key::new().unwrap().signer("log.example").unwrap();
        let mut archive = Archive::open(&base, signer).unwrap();
        archive.seal().unwrap();
        let bench = Bench::new(&scratch, &base, "log.example").unwrap();
        for folder in [&bench.before, &bench.half, &bench.whole] {
            let report = verify(folder, &bench.verifier, None, &mut |_, _| {}).unwrap();
            assert!(report.findings.list.is_empty(), "{report:?}");
        }
    }
}
