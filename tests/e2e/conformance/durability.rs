//! A receipt means durable. A store that fails gives none, and is used again without hands when it is back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fieldgate::ledger::{Draft, Log, RecordError, Report, StoreError};

use super::desk::{Desk, Kind, Opened};
use super::drafts::{self, disclosure};

super::on_both_stores!(
    an_entry_is_there_when_its_receipt_is,
    a_store_that_is_cut_off_again_and_again_loses_nothing,
    a_store_that_is_away_gives_no_receipt_and_comes_back_by_itself,
    a_damaged_entry_is_found,
);

async fn record(opened: &Opened) -> Result<(u64, String), RecordError> {
    let draft = disclosure("parcelco", &[1]);
    let id = draft.id.clone();
    opened.record(Draft::disclosure(draft)).await.map(|receipt| (receipt.position(), id))
}

/// Whoever reads the store beside the gateway finds it at once.
async fn an_entry_is_there_when_its_receipt_is(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    for _ in 0..20 {
        let (position, id) = record(&opened).await.unwrap();
        let entries = desk.entries();
        assert_eq!(entries.len() as u64, position + 1);
        assert_eq!(entries[position as usize]["id"], id.as_str());
    }
}

async fn a_store_that_is_cut_off_again_and_again_loses_nothing(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = Arc::new(desk.begin().await);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let (opened, stop) = (Arc::clone(&opened), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut durable = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match record(&opened).await {
                        Ok((position, id)) => durable.push((position, id)),
                        Err(error) => {
                            assert_eq!(error, RecordError::Unavailable);
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                }
                durable
            })
        })
        .collect();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        desk.take_away(true);
        tokio::time::sleep(Duration::from_millis(20)).await;
        desk.take_away(false);
        opened.recovered().await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut durable = BTreeSet::new();
    for writer in writers {
        durable.extend(writer.await.unwrap());
    }
    assert!(durable.len() > 50, "{}", durable.len());
    drop(opened);
    drop(desk.open().await);
    let entries = desk.entries();
    for (position, id) in &durable {
        assert_eq!(entries[*position as usize]["id"], id.as_str());
    }
    desk.assert_clean();
}

async fn a_store_that_is_away_gives_no_receipt_and_comes_back_by_itself(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    record(&opened).await.unwrap();
    opened.sealed().await;
    desk.take_away(true);
    for _ in 0..30 {
        assert_eq!(record(&opened).await.unwrap_err(), RecordError::Unavailable);
        assert!(!opened.is_healthy());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    desk.take_away(false);
    println!("recovered after {:?}", opened.recovered().await);
    assert!(opened.is_healthy());
    record(&opened).await.unwrap();
    opened.sealed().await;
    drop(opened);
    // The first that failed may be there all the same: a disk took it before it was found to be away.
    let count = desk.entries().len();
    assert!(count == 4 || kind == Kind::Disk && count == 5, "{count}");
    desk.assert_clean();
}

fn found(report: &Report, entry: u64) -> bool {
    report.findings.list.iter().any(|finding| finding.entry == Some(entry))
}

async fn a_damaged_entry_is_found(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    opened.record_all((0..300).map(|number| Draft::disclosure(disclosure("parcelco", &[number])))).await;
    drop(opened);
    desk.assert_clean();
    let bundle = desk.tlog().join("tile/entries/000");
    let whole = std::fs::read(&bundle).unwrap();
    let leaf = Log::open(&desk.path()).unwrap().entry(17).unwrap().unwrap();
    let at = memchr::memmem::find(&whole, &leaf).unwrap();
    let mut damaged = whole.clone();
    damaged[at + leaf.len() / 2] ^= 1;
    std::fs::write(&bundle, damaged).unwrap();
    let report = desk.verify(None);
    assert!(!report.is_clean() && found(&report, 17) && !found(&report, 18), "{report:?}");
    std::fs::write(&bundle, &whole).unwrap();
    desk.assert_clean();
    if let Some(fleet) = &desk.fleet {
        // What is archived is not asked of the database again; where it is, damage is no entry.
        let sql =
            "UPDATE fieldgate.entry SET leaf = overlay(leaf PLACING 'x'::bytea FROM 9) WHERE position = 20";
        tokio::task::block_in_place(|| fleet.sql(sql));
        let error = desk.beside().refusal(desk.signer()).await;
        assert!(matches!(error, StoreError::DamagedRow(20)), "{error}");
        let opened = desk.open().await;
        opened.record(drafts::refusal("parcelco")).await.unwrap();
        drop(opened);
        desk.assert_clean();
    }
}
