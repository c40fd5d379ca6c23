//! Entries are numbered without gaps, committed together, stored as they are hashed, and covered by heads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldgate::ledger::{Draft, Log, RecordError};
use fieldgate::telemetry::Commits;
use futures_util::future::join_all;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use sha2::{Digest, Sha256};

use super::desk::{Desk, Kind, Opened, archived};
use super::drafts::{self, CONTRACTORS, disclosure};

super::on_both_stores!(
    many_writers_leave_no_gap,
    what_waits_is_committed_together,
    the_stored_bytes_are_the_hashed_ones,
    heads_are_signed_every_second_and_each_holds_those_before,
);

/// So many write one after the other, all at once; where each entry is.
async fn crowd(opened: &Arc<Opened>, writers: usize, each: usize) -> BTreeMap<u64, String> {
    let writers = (0..writers).map(|writer| {
        let opened = Arc::clone(opened);
        tokio::spawn(async move {
            let mut places = Vec::new();
            for number in 0..each {
                let contractor = CONTRACTORS[(writer + number) % CONTRACTORS.len()];
                let draft = disclosure(contractor, &[number as u64]);
                let id = draft.id.clone();
                let draft = Draft::disclosure(draft);
                places.push((opened.record(draft).await.unwrap().position(), id));
            }
            places
        })
    });
    let mut places = BTreeMap::new();
    for writer in writers.collect::<Vec<_>>() {
        for (position, id) in writer.await.unwrap() {
            assert!(places.insert(position, id).is_none(), "two entries at {position}");
        }
    }
    places
}

async fn many_writers_leave_no_gap(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = Arc::new(desk.begin().await);
    let places = crowd(&opened, 64, 20).await;
    assert!(places.keys().copied().eq(1..=1280));
    let entries = desk.entries();
    assert_eq!(entries.len(), 1281);
    for (position, id) in &places {
        assert_eq!(entries[*position as usize]["id"], id.as_str(), "each is where its receipt says");
    }
    drop(opened);
    desk.assert_clean();
    assert_eq!(Log::open(&desk.path()).unwrap().archived(), 1281, "what is durable is archived at the end");
}

/// What the ledger says of its commits.
#[derive(Debug)]
struct Shown(Arc<Commits>);

impl Collector for Shown {
    fn encode(&self, encoder: DescriptorEncoder) -> std::fmt::Result {
        self.0.encode(encoder)
    }
}

fn figure(opened: &Opened, name: &str) -> u64 {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown(opened.commits())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
    line.trim().parse::<f64>().unwrap() as u64
}

async fn what_waits_is_committed_together(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    for round in 0..20 {
        // Made first: what is quick to ask for waits behind the batch that is on its way to the disk.
        let draft = |writer: u64| Draft::disclosure(disclosure(CONTRACTORS[0], &[writer + round]));
        let drafts: Vec<Draft> = (0..64).map(draft).collect();
        let receipts = join_all(drafts.into_iter().map(|draft| opened.record(draft))).await;
        receipts.into_iter().for_each(|receipt| _ = receipt.unwrap());
    }
    let commits = figure(&opened, "ledger_commit_drafts_count");
    assert_eq!(figure(&opened, "ledger_commit_drafts_sum"), 1281);
    assert!(commits < 1281 / 4, "{commits} commits");
    if let Some(fleet) = &desk.fleet {
        let sql = "SELECT count(DISTINCT xmin::text) FROM fieldgate.entry";
        let transactions = tokio::task::block_in_place(|| fleet.sql(sql));
        assert_eq!(transactions, commits.to_string(), "one transaction for each batch");
    }
    assert_eq!(figure(&opened, "ledger_commit_failures_total"), 0);
}

/// RFC 6962, section 2.1.
fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

async fn the_stored_bytes_are_the_hashed_ones(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    opened.record_all((0..300).map(|number| Draft::disclosure(disclosure("parcelco", &[number])))).await;
    opened.sealed().await;
    let leaves = desk.leaves();
    assert_eq!(leaves.len(), 301);
    let log = Log::open(&desk.path()).unwrap();
    assert_eq!(archived(&log), leaves, "the archive has the same bytes");
    for (position, leaf) in leaves.iter().enumerate() {
        assert_eq!(log.leaf_hash(position as u64).unwrap(), Some(leaf_hash(leaf)));
    }
    match &desk.fleet {
        None => {
            let files = crate::support::files_below(&desk.tlog().join("journal"));
            let journal: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
            for leaf in leaves.iter().step_by(29) {
                assert!(memchr::memmem::find(&journal, leaf).is_some(), "the journal has the same bytes");
            }
        }
        Some(fleet) => {
            let sql = "SELECT count(*) FROM fieldgate.entry WHERE hash = sha256('\\x00'::bytea || leaf)";
            assert_eq!(tokio::task::block_in_place(|| fleet.sql(sql)), "301");
        }
    }
}

async fn heads_are_signed_every_second_and_each_holds_those_before(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = Arc::new(desk.begin().await);
    let mut heads = opened.heads();
    let (began, span) = (Instant::now(), Duration::from_secs(3));
    let writer = Arc::clone(&opened);
    let writing = tokio::spawn(async move {
        while began.elapsed() < span {
            match writer.record(drafts::refusal("parcelco")).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => assert_eq!(error, RecordError::Unavailable),
            }
        }
    });
    let mut seen = Vec::new();
    while let Ok(Ok(())) = tokio::time::timeout(span.saturating_sub(began.elapsed()), heads.changed()).await {
        let head = heads.borrow_and_update().clone();
        seen.push((began.elapsed(), head));
    }
    writing.await.unwrap();
    opened.sealed().await;
    drop(opened);
    assert!(seen.len() >= 3, "{} heads in {span:?}", seen.len());
    for pair in seen.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        // A second, and what a busy machine takes.
        assert!(gap < Duration::from_millis(1500), "{gap:?} without a head");
        assert!(pair[0].1.size < pair[1].1.size);
    }
    for (_, head) in &seen {
        let report = desk.verify(Some(&head.note));
        assert!(report.is_clean() && report.since == Some(head.size), "{report:?}");
    }
}
