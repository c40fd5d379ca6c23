//! The ledger as a whole, on disks that fail and after crashes.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::journal::{Journal, Sync};
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
    let rules = super::ActivatedRules { rules: "d", contractors: vec!["parcelco"], change: None };
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
    known.subjects.entry((20_000, "parcelco".to_owned())).or_default();
    known.turn_to(19_990 * day + 5);
    assert!(known.day == 20_000 && known.subjects.len() == 1);
    // What was made just before midnight still counts for its day.
    known.turn_to(20_001 * day + 5);
    assert!(known.day == 20_001 && known.subjects.len() == 1);
    known.turn_to(20_002 * day + 5);
    assert!(known.day == 20_002 && known.subjects.is_empty());
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

fn customer(number: u64) -> crate::model::SubjectPseudonym {
    let mut name = [7; 16];
    name[..8].copy_from_slice(&number.to_be_bytes());
    crate::model::SubjectPseudonym(name)
}

/// A response about so many customers.
fn disclosure(customers: u64) -> Draft {
    disclosure_with(customers, 0)
}

/// The same, with so many planted ones among them.
fn disclosure_with(customers: u64, canaries: u64) -> Draft {
    disclosure_on(customers, canaries, None)
}

#[test]
fn an_entry_ends_with_its_numbers_and_its_node() {
    for part in disclosure(600).parts.iter().chain(&draft(0).parts) {
        for (sequence, node, end) in [
            (None, None, r#","index":7}"#),
            (Some(3), None, r#","index":7,"sequence":3}"#),
            (Some(u64::MAX), Some("n-1"), r#","index":7,"sequence":18446744073709551615,"node":"n-1"}"#),
        ] {
            let leaf = part.leaf(7, sequence, node);
            assert!(leaf.ends_with(end.as_bytes()) && leaf.len() <= part.size());
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&leaf).unwrap();
            assert_eq!(object["index"], 7);
            let mut batch = b"before".to_vec();
            part.write_leaf(&mut batch, 7, sequence, node);
            assert_eq!(batch, [b"before", &leaf[..]].concat());
        }
    }
}

/// A use of a legal grant about so many customers, who are told of it from that day on.
fn granted(customers: u64, until: jiff::civil::Date) -> Draft {
    let hold = Some(super::LegalHold { until, reference: "letter of the court" });
    let expires = jiff::civil::date(2099, 12, 31);
    let approved_by = ["Anna", "Bram"];
    let legal = super::Legal { case: "2026/17", authority: "Court", approved_by, expires, hold };
    disclosure_on(customers, 0, Some(legal))
}

fn disclosure_on(customers: u64, canaries: u64, legal: Option<super::Legal>) -> Draft {
    let country = |code| crate::model::Country::new(code).unwrap();
    Draft::disclosure(super::Disclosure {
        id: uuid::Uuid::now_v7().to_string(),
        parties: Parties { contractor: "parcelco", credential: "parcelco-gateway" },
        request: Request { method: "GET", route: Some("/orders") },
        rules: "d",
        disclosed: super::Disclosed {
            task: "deliver-order",
            purpose: "Deliver",
            consent_purpose: None,
            basis: if legal.is_some() { "legal-obligation" } else { "contract" },
            legal,
            agreement: "DPA-1",
            jurisdictions: crate::model::Jurisdictions { from: country("US"), to: country("NL") },
            transfer: None,
            upstream: "orders",
            status: 200,
            bytes: 1,
            records: super::RecordCounts {
                released: customers,
                withheld: 0,
                not_admitted: 0,
                without_subject: 0,
            },
            canaries,
            members_withheld: 0,
            fields: vec![],
            stream: None,
        },
        epoch: 1,
        subjects: (0..customers).map(customer).collect(),
        subjects_per_day: u64::MAX,
        decided: None,
    })
}

#[tokio::test]
async fn the_signal_about_a_planted_customer_stands_behind_all_entries_of_its_response() {
    let desk = Desk::new();
    let ledger = desk.open();
    begin(&ledger).await;
    let receipt = ledger.record(disclosure_with(1200, 2)).await.unwrap();
    assert_eq!((receipt.position(), receipt.new_subjects()), (1, 1200));
    assert_eq!(ledger.record(disclosure(1201)).await.unwrap().new_subjects(), 1);
    drop(ledger);
    let log = Log::open(&desk.path()).unwrap();
    let leaves: Vec<Vec<u8>> = (1..6).map(|position| log.entry(position).unwrap().unwrap()).collect();
    let entries: Vec<_> = leaves.iter().map(|leaf| super::View::parse(leaf).unwrap()).collect();
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind.as_ref()).collect();
    assert_eq!(kinds, ["disclosure", "subjects", "subjects", "signal", "disclosure"]);
    assert!(entries[0].canary && !entries[4].canary);
    assert_eq!((entries[3].outcome(), entries[3].details()), ("canary", Some("records 2".to_owned())));
    assert_eq!(entries[3].entries, [entries[0].id.as_ref()]);
    desk.assert_clean();
}

const ALL: [super::Class; 1] =
    [super::Class { name: "disclosures", kinds: &["disclosure", "subjects"], until: i64::MAX }];

/// A ledger with a response about 1,200 customers in a bundle that is whole.
async fn long_list(desk: &Desk) {
    let ledger = desk.open();
    begin(&ledger).await;
    ledger.record(disclosure(1200)).await.unwrap();
    ledger.record(disclosure(1)).await.unwrap();
    record(&ledger, 300).await;
    drop(ledger);
    // What is archived last is indexed at the next start at the latest.
    drop(desk.open());
}

#[tokio::test]
async fn a_hold_keeps_the_whole_response_that_its_customer_is_in() {
    let desk = Desk::new();
    long_list(&desk).await;
    let search = Search::open(&desk.path()).unwrap();
    let hold = |number| super::Query { subject: Some(vec![customer(number)]), ..Default::default() };
    let planned = |holds: &[super::Query]| {
        let pruning = super::plan(&search, &ALL, holds).unwrap();
        (pruning.entries(), pruning.held)
    };
    assert_eq!(planned(&[]), (4, 0));
    assert_eq!(planned(&[hold(1100)]), (1, 3), "also where a later entry names the customer");
    assert_eq!(planned(&[hold(0)]), (0, 4));
    let route = super::Query { route: Some("/orders".to_owned()), ..Default::default() };
    assert_eq!(planned(&[route]), (0, 4));
}

#[tokio::test]
async fn a_use_of_a_legal_grant_stays_until_its_customer_is_told() {
    let desk = Desk::new();
    let ledger = desk.open();
    begin(&ledger).await;
    ledger.record(granted(1200, jiff::civil::date(2099, 6, 30))).await.unwrap();
    ledger.record(granted(1, jiff::civil::date(2026, 1, 2))).await.unwrap();
    record(&ledger, 300).await;
    drop(ledger);
    drop(desk.open());
    let search = Search::open(&desk.path()).unwrap();
    let pruning = super::plan(&search, &ALL, &[]).unwrap();
    assert_eq!((pruning.entries(), pruning.held), (1, 3));
    let case = |case: &str| super::Query { case: Some(case.to_owned()), ..Default::default() };
    assert_eq!(search.page(&case("2026/17"), 9).unwrap().rows.len(), 2);
    assert_eq!(search.page(&case("2026"), 9).unwrap().rows.len(), 0);
}

#[tokio::test]
async fn a_deletion_that_broke_off_can_be_finished() {
    let desk = Desk::new();
    long_list(&desk).await;
    let folder = super::ledger_folder(&desk.path());
    let index = std::fs::read(desk.path()).unwrap();
    let first = super::plan(&Search::open(&desk.path()).unwrap(), &ALL, &[]).unwrap();
    assert_eq!(first.execute(&desk.path(), &folder).unwrap().entries, 4);
    // As if it had ended between the bundles and the index.
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", desk.path().display()));
    }
    std::fs::write(desk.path(), index).unwrap();
    let rest = super::plan(&Search::open(&desk.path()).unwrap(), &ALL, &[]).unwrap();
    assert!(rest.entries() == 0 && !rest.is_empty());
    rest.execute(&desk.path(), &folder).unwrap();
    let search = Search::open(&desk.path()).unwrap();
    assert!(super::plan(&search, &ALL, &[]).unwrap().is_empty());
    let connection = rusqlite::Connection::open(desk.path()).unwrap();
    let left: i64 = connection.query_row("SELECT count(*) FROM about", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    desk.assert_clean();
}

#[tokio::test]
async fn the_gateway_does_not_bring_back_what_was_deleted_and_counts_on() {
    let desk = Desk::new();
    let ledger = desk.open();
    begin(&ledger).await;
    ledger.record(disclosure(3)).await.unwrap();
    record(&ledger, 300).await;
    sealed(&ledger, 302).await;
    let began = Instant::now();
    let planned = || super::plan(&Search::open(&desk.path()).unwrap(), &ALL, &[]).unwrap();
    let indexed = || {
        rusqlite::Connection::open(desk.path())
            .unwrap()
            .query_row("SELECT count(*) FROM about", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    while indexed() < 3 {
        assert!(began.elapsed() < DEADLINE);
    }
    planned().execute(&desk.path(), &super::ledger_folder(&desk.path())).unwrap();
    // The block is the one that the gateway fills.
    record(&ledger, 10).await;
    // Entries that name a contractor and do not count among its own, to the end of the next bundle.
    for _ in 0..200 {
        let event = serde_json::json!({ "contractor": "parcelco", "action": "suspended" });
        let id = uuid::Uuid::now_v7().to_string();
        ledger.record(Draft::own(super::OwnKind::Suspension, id, &event)).await.unwrap();
    }
    sealed(&ledger, 512).await;
    drop(ledger);
    drop(desk.open());
    assert!(planned().is_empty(), "found again by what it was");
    assert_eq!(indexed(), 0);
    // An index that is made anew counts each contractor on, though all but its newest entry may be gone.
    let refusals = [super::Class { name: "refusals", kinds: &["refusal"], until: i64::MAX }];
    let search = Search::open(&desk.path()).unwrap();
    super::plan(&search, &refusals, &[])
        .unwrap()
        .execute(&desk.path(), &super::ledger_folder(&desk.path()))
        .unwrap();
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", desk.path().display()));
    }
    let ledger = desk.open();
    record(&ledger, 1).await;
    drop(ledger);
    let log = Log::open(&desk.path()).unwrap();
    let last = log.entry(log.size() - 1).unwrap().unwrap();
    assert_eq!(super::View::parse(&last).unwrap().sequence, Some(312));
    desk.assert_clean();
}

#[tokio::test]
async fn a_response_of_which_a_crash_left_a_part_is_told_from_one_that_was_cut() {
    let desk = Desk::new();
    let folder = super::ledger_folder(&desk.path());
    std::fs::create_dir(&folder).unwrap();
    let archived = std::sync::Arc::default();
    let mut journal = Journal::open(&folder.join("journal"), archived, File::sync_data).unwrap();
    journal.stage(&draft(0).parts[0].leaf(0, None, None));
    journal.stage(&disclosure(1200).parts[0].leaf(1, Some(1), None));
    journal.commit().unwrap();
    drop(journal);
    let ledger = desk.open();
    ledger.record(draft(1)).await.unwrap();
    drop(ledger);
    let log = Log::open(&desk.path()).unwrap();
    let kinds = |position| {
        let leaf = log.entry(position).unwrap().unwrap();
        super::View::parse(&leaf).unwrap().kind.into_owned()
    };
    assert_eq!([kinds(1), kinds(2), kinds(3)], ["disclosure", "started", "refusal"]);
    desk.assert_clean();
}

/// Customer 0 said this about the contractor.
fn said(granted: bool, time: i64) -> Draft {
    let event = serde_json::json!({
        "by": "anna", "action": if granted { "granted" } else { "withdrawn" }, "towards": "parcelco", "said": time,
        "epoch": 1, "subjects": [customer(0).to_string()],
    });
    Draft::own(super::OwnKind::Consent, uuid::Uuid::now_v7().to_string(), &event)
}

fn decided(generation: u64) -> Draft {
    Draft { decided: Some(generation), ..disclosure(1) }
}

#[tokio::test]
async fn what_was_decided_before_a_withdrawal_gets_no_entry_behind_it() {
    let desk = Desk::new();
    let ledger = desk.open();
    ledger.record(draft(0)).await.unwrap();
    ledger.record(decided(0)).await.unwrap();
    ledger.record(said(false, 1).withdrawing(1)).await.unwrap();
    assert_eq!(ledger.record(decided(0)).await.err(), Some(RecordError::Stale));
    ledger.record(disclosure(0)).await.unwrap();
    ledger.record(Draft { decided: Some(1), ..disclosure(0) }).await.unwrap();
    drop(ledger);
    assert_eq!(desk.size(), 5, "what is stale has left nothing");
    desk.assert_clean();
}

#[tokio::test]
async fn the_standing_question_finds_what_left_after_a_withdrawal_and_nothing_else() {
    let desk = Desk::new();
    let ledger = desk.open();
    let (mut found, mut entries) = (Vec::new(), 0);
    for (draft, is_found) in [
        (disclosure(1), false),
        (said(false, 5), false),
        (disclosure(1), true),
        // 700 customers take two entries; the one who objected is in the first.
        (disclosure(700), true),
        (granted(1, jiff::civil::date(2099, 1, 1)), false),
        (said(true, 6), false),
        (disclosure(1), false),
    ] {
        if is_found {
            found.push(entries);
        }
        entries = ledger.record(draft).await.unwrap().position() + 1;
    }
    drop(ledger);
    drop(desk.open());
    let answer = super::after_withdrawal(&Search::open(&desk.path()).unwrap()).unwrap();
    assert_eq!((answer.withdrawals, answer.disclosures), (1, 5));
    assert_eq!(answer.found.len(), found.len(), "{answer:?}");
    assert_eq!(answer.found[0], found[0]);
}
