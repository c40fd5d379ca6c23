//! The ledger as a whole, on disks that fail and after crashes.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::journal::Sync;
use super::writer::{Ledger, RecordError};
use super::{Draft, Log, Parties, Refused, Request, Search, Signer, StoreError, signer, verify};

const DEADLINE: Duration = Duration::from_secs(20);

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Desk(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("fieldgate.db")
    }

    fn signer(&self) -> Signer {
        signer(&self.0.path().join("signing.key"), None).unwrap()
    }

    fn open_on(&self, sync: Sync, deadline: Duration) -> Result<Ledger, StoreError> {
        Ledger::open_on(&self.path(), self.signer(), deadline, sync)
    }

    fn open(&self) -> Ledger {
        self.open_on(File::sync_data, DEADLINE).unwrap()
    }

    fn size(&self) -> u64 {
        Log::open(&self.path()).unwrap().size()
    }

    fn assert_clean(&self) {
        let report = verify(&self.path(), self.signer().verifier(), None, &mut |_, _| {}).unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}

fn draft(number: u64) -> Draft {
    let refused = Refused {
        task: Some("deliver-order"),
        status: 404,
        code: "not-found",
        cause: None,
        not_written: number,
        after_parts: 0,
    };
    let parties = Parties { contractor: "parcelco", credential: "parcelco-gateway" };
    let request = Request { method: "GET", route: None };
    let rules = super::ActivatedRules { rules: "d", contractors: vec!["parcelco"] };
    let id = uuid::Uuid::now_v7().to_string();
    match number {
        0 => Draft::rules(id, &rules),
        _ => Draft::refusal(id, parties, request, "d", &refused),
    }
}

async fn record(ledger: &Ledger, count: u64) {
    for _ in 0..count {
        let number = ledger.heads().borrow().size;
        ledger.record(draft(number)).await.unwrap();
    }
}

/// The first entry announces the rules.
async fn begin(ledger: &Ledger) {
    ledger.record(draft(0)).await.unwrap();
    ledger.heads().wait_for(|head| head.size == 1).await.unwrap();
}

async fn sealed(ledger: &Ledger, size: u64) {
    tokio::time::timeout(DEADLINE, ledger.heads().wait_for(|head| head.size == size)).await.unwrap().unwrap();
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_recorded_until_another_process_starts() {
    static FAILS: AtomicBool = AtomicBool::new(false);
    static SYNCS: AtomicU64 = AtomicU64::new(0);
    fn sync(file: &File) -> std::io::Result<()> {
        SYNCS.fetch_add(1, Ordering::Relaxed);
        if FAILS.load(Ordering::Relaxed) { Err(std::io::Error::other("broken")) } else { file.sync_data() }
    }
    let desk = Desk::new();
    let ledger = desk.open_on(sync, DEADLINE).unwrap();
    begin(&ledger).await;
    FAILS.store(true, Ordering::Relaxed);
    assert_eq!(ledger.record(draft(1)).await.unwrap_err(), RecordError::Unavailable);
    assert!(!ledger.is_healthy());
    FAILS.store(false, Ordering::Relaxed);
    let syncs = SYNCS.load(Ordering::Relaxed);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(600) {
        assert_eq!(ledger.record(draft(1)).await.unwrap_err(), RecordError::Unavailable);
        assert!(!ledger.is_healthy());
    }
    assert_eq!(SYNCS.load(Ordering::Relaxed), syncs, "it is not tried again");
    drop(ledger);
    let ledger = desk.open();
    ledger.record(draft(1)).await.unwrap();
    drop(ledger);
    desk.assert_clean();
}

#[tokio::test]
async fn a_sync_that_takes_two_seconds_makes_the_ledger_sick_and_loses_nothing() {
    static SLOW: AtomicBool = AtomicBool::new(false);
    fn sync(file: &File) -> std::io::Result<()> {
        if SLOW.swap(false, Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(2));
        }
        file.sync_data()
    }
    let desk = Desk::new();
    let ledger = desk.open_on(sync, Duration::from_millis(500)).unwrap();
    begin(&ledger).await;
    SLOW.store(true, Ordering::Relaxed);
    // Who waited too long is refused; that the entry exists all the same is no harm.
    assert_eq!(ledger.record(draft(1)).await.unwrap_err(), RecordError::Unavailable);
    let began = Instant::now();
    while ledger.is_healthy() {
        assert!(began.elapsed() < DEADLINE, "a commit hangs, and nobody says so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while !ledger.is_healthy() {
        assert!(began.elapsed() < DEADLINE, "it does not recover");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ledger.record(draft(2)).await.unwrap();
    drop(ledger);
    assert_eq!(desk.size(), 3);
    desk.assert_clean();
}

/// Files that differ between two copies of a folder, in the order in which they are written: bundles, hash
/// tiles from the leaves up, the head.
fn changes(before: &Path, after: &Path) -> Vec<PathBuf> {
    let mut changed: Vec<PathBuf> = files(after)
        .into_iter()
        .filter(|file| std::fs::read(before.join(file)).ok() != std::fs::read(after.join(file)).ok())
        .filter(|file| !file.starts_with("journal") && !file.starts_with("control"))
        .collect();
    changed.sort_by_key(|file| {
        let name = file.display().to_string();
        let rank = match name.as_str() {
            "checkpoint" => 2,
            _ if name.starts_with("tile/entries") => 0,
            _ => 1,
        };
        (rank, name)
    });
    changed
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(&file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(from.join(&file), target).unwrap();
    }
}

/// Wherever a crash comes between two files that are written behind the journal, all durable entries are
/// there again, once, under one tree.
#[tokio::test]
async fn a_crash_between_any_two_files_loses_nothing() {
    for (first, more) in [(1, 1), (3, 300), (250, 20), (256, 256), (400, 1)] {
        let desk = Desk::new();
        let ledger = desk.open();
        begin(&ledger).await;
        record(&ledger, first - 1).await;
        sealed(&ledger, first).await;
        drop(ledger);
        let folder = desk.0.path().join("fieldgate.tlog");
        let before = tempfile::tempdir().unwrap();
        copy(&folder, before.path());
        let index = std::fs::read(desk.path()).unwrap();
        let ledger = desk.open();
        record(&ledger, more).await;
        sealed(&ledger, first + more).await;
        drop(ledger);
        let after = tempfile::tempdir().unwrap();
        copy(&folder, after.path());
        let steps = changes(before.path(), after.path());
        assert!(steps.len() >= 3, "{steps:?}");
        for done in 0..=steps.len() {
            let desk = Desk::new();
            std::fs::copy(desk_key(&folder), desk.0.path().join("signing.key")).unwrap();
            std::fs::write(desk.path(), &index).unwrap();
            let folder = desk.0.path().join("fieldgate.tlog");
            copy(before.path(), &folder);
            // The journal had the entries before anything else did.
            copy(&after.path().join("journal"), &folder.join("journal"));
            for file in &steps[..done] {
                std::fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
                std::fs::copy(after.path().join(file), folder.join(file)).unwrap();
            }
            let ledger = desk.open();
            record(&ledger, 1).await;
            drop(ledger);
            assert_eq!(desk.size(), first + more + 1, "after {done} of {steps:?}");
            desk.assert_clean();
            let search = Search::open(&desk.path()).unwrap();
            let page = search.page(&super::Query::default(), 10_000).unwrap();
            assert_eq!(page.rows.len() as u64, first + more + 1);
        }
    }
}

fn desk_key(folder: &Path) -> PathBuf {
    folder.with_file_name("signing.key")
}

#[tokio::test]
async fn an_older_copy_under_a_newer_head_or_index_does_not_open() {
    let desk = Desk::new();
    let ledger = desk.open();
    begin(&ledger).await;
    record(&ledger, 9).await;
    drop(ledger);
    let folder = desk.0.path().join("fieldgate.tlog");
    let before = tempfile::tempdir().unwrap();
    copy(&folder, before.path());
    let ledger = desk.open();
    record(&ledger, 300).await;
    drop(ledger);
    let head = std::fs::read(folder.join("checkpoint")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    copy(before.path(), &folder);
    let error = desk.open_on(File::sync_data, DEADLINE).err().unwrap();
    assert!(matches!(error, StoreError::Shorter { .. }), "the index knows more: {error}");
    std::fs::remove_file(desk.path()).unwrap();
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", desk.path().display()));
    }
    std::fs::write(folder.join("checkpoint"), head).unwrap();
    let error = desk.open_on(File::sync_data, DEADLINE).err().unwrap();
    assert!(error.to_string().contains("missing") || matches!(error, StoreError::Forked(_)), "{error}");
}

#[test]
fn a_clock_that_goes_back_does_not_give_a_contractor_another_day() {
    let mut known = super::known::Known::new(20_000);
    let day = super::known::MICROS_PER_DAY;
    known.subjects.entry("parcelco".to_owned()).or_default();
    known.turn_to(19_999 * day + 5);
    assert!(known.day == 20_000 && known.subjects.contains_key("parcelco"));
    known.turn_to(20_001 * day + 5);
    assert!(known.day == 20_001 && known.subjects.is_empty());
}

#[tokio::test]
async fn files_are_the_owners_alone() {
    let desk = Desk::new();
    let ledger = desk.open();
    begin(&ledger).await;
    record(&ledger, 300).await;
    drop(ledger);
    for file in files(desk.0.path()) {
        let mode = std::fs::metadata(desk.0.path().join(&file)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
}
