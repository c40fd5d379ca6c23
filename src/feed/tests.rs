//! What a feed reads, and how far it has come.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::config::{Feed as Terms, FeedTo};
use crate::ledger::{Draft, Ledger, Log, OwnKind, Started, signer};
use place::{Contradiction, Place, PlaceFile};
use portion::{Event, Reader};

/// One that says nothing but its number.
pub fn event(entry: u64) -> Event {
    Event {
        uid: format!("id.{entry}"),
        kind: "disclosure".to_owned(),
        time: 1_795_696_024_239_000,
        entry,
        json: format!("{{\"entry\":{entry}}}").into_bytes(),
    }
}

const QUICK: Pace = Pace { first: Duration::from_millis(5), longest: Duration::from_millis(50) };

fn ledger_at(folder: &Path) -> Ledger {
    let signer = signer(&folder.join("signing.key"), None).unwrap();
    Ledger::open(&folder.join("fieldgate.db"), signer, Duration::from_secs(30)).unwrap()
}

/// Entries of two kinds in turn, in the archive.
async fn fill(folder: &Path, count: u64) {
    let ledger = ledger_at(folder);
    for number in 0..count {
        let id = uuid::Uuid::now_v7().to_string();
        let draft = match number % 2 {
            0 => Draft::started(id, &Started { version: "0" }),
            _ => Draft::own(OwnKind::Access, id, &serde_json::json!({ "by": "anna" })),
        };
        ledger.record(draft).await.unwrap();
    }
}

fn reader(folder: &Path, kinds: &[&str], batch: usize) -> Reader {
    let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    Reader::new(&folder.join("fieldgate.db"), kinds, batch)
}

/// All portions from the start on: the entries of each, and the place behind it.
fn portions(mut reader: Reader) -> Vec<(Vec<u64>, u64)> {
    let mut place = Place::start();
    let mut all = Vec::new();
    while let Some(portion) = reader.next(&place).unwrap() {
        all.push((portion.events.iter().map(|event| event.entry).collect(), portion.after.next));
        place = portion.after;
    }
    all
}

#[tokio::test]
async fn portions_have_no_gap_whatever_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 5).await;
    let all = portions(reader(folder.path(), &[], 2));
    assert_eq!(all, [(vec![0, 1], 2), (vec![2, 3], 4), (vec![4], 5)]);
    assert_eq!(portions(reader(folder.path(), &["access"], 1)), [(vec![1], 2), (vec![3], 4), (vec![], 5)]);
    assert_eq!(portions(reader(folder.path(), &["refusal"], 1)), [(vec![], 5)]);
}

#[tokio::test]
async fn a_place_is_kept_and_one_of_another_ledger_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(one.path(), 5).await;
    fill(other.path(), 5).await;
    let log = |folder: &Path| Log::open_archive(&folder.join("fieldgate.db")).unwrap();
    let place = Place::before(3, &log(one.path())).unwrap();
    let file = PlaceFile::of(&one.path().join("fieldgate.db"), "siem");
    assert_eq!(file.read().unwrap(), None);
    file.keep(&place).unwrap();
    assert!(one.path().join("fieldgate.feed-siem").is_file());
    let kept = file.read().unwrap().unwrap();
    assert_eq!(kept, place);
    kept.check(&log(one.path())).unwrap();
    let error = kept.check(&log(other.path())).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Contradiction::Other(2)));
    let end = Place::before(5, &log(one.path())).unwrap();
    let short = tempfile::tempdir().unwrap();
    fill(short.path(), 2).await;
    let error = reader(short.path(), &[], 9).next(&end).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Contradiction::Beyond { next: 5, size: 2 }));
    std::fs::write(file.path(), "{").unwrap();
    assert!(file.read().unwrap_err().to_string().contains("fieldgate.feed-siem is damaged"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_from_now_on_leaves_out_what_was_there_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 5).await;
    let path = folder.path().join("events.jsonl");
    let terms = Terms {
        name: "lines".to_owned(),
        to: FeedTo::File(path.clone()),
        kinds: BTreeSet::new(),
        batch: 2,
        timeout: Duration::from_secs(1),
        from: FeedFrom::Now,
    };
    let lines = || std::fs::read_to_string(&path).unwrap_or_default().lines().count() as u64;
    for round in 0..3 {
        let ledger = ledger_at(folder.path());
        let index = folder.path().join("fieldgate.db");
        let feeds = Feeds::begin_at(std::slice::from_ref(&terms), &index, ledger.heads(), QUICK).unwrap();
        let board = feeds.board();
        let settled = async |next: u64| {
            while board.states()[0].next != next {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        settled(5 + 3 * round).await;
        for _ in 0..3 {
            let id = uuid::Uuid::now_v7().to_string();
            ledger.record(Draft::started(id, &Started { version: "0" })).await.unwrap();
        }
        settled(5 + 3 * (round + 1)).await;
        let state = board.states().remove(0);
        assert_eq!((state.delivered, state.failures, state.error, state.lag_entries), (3, 0, None, 0));
        feeds.end().await;
        assert_eq!(lines(), 3 * (round + 1));
    }
}
