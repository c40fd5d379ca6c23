//! What an entry may not be made of: more customers than a contractor may see in a day, and what was decided before a
//! customer withdrew.

use std::sync::Arc;

use fieldgate::ledger::{Disclosure, Draft, Receipt, RecordError};

use super::desk::{Desk, Kind, Opened};
use super::drafts::{self, disclosure};

super::on_both_stores!(
    a_days_customers_are_counted_exactly_and_over_a_restart,
    what_was_decided_before_a_withdrawal_gets_no_entry,
);

const MOST: u64 = 8;

async fn show(opened: &Opened, customers: &[u64]) -> Result<Receipt, RecordError> {
    let disclosure = Disclosure { subjects_per_day: MOST, ..disclosure("parcelco", customers) };
    opened.record(Draft::disclosure(disclosure)).await
}

async fn a_days_customers_are_counted_exactly_and_over_a_restart(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    let receipt = show(&opened, &[1, 2, 3]).await.unwrap();
    assert_eq!((receipt.new_subjects(), receipt.subjects_left()), (3, 5));
    drop(opened);
    let opened = Arc::new(desk.open().await);
    // Too many at once count for nothing; who was seen costs nothing.
    assert_eq!(show(&opened, &[1, 20, 21, 22, 23, 24, 25]).await.unwrap_err(), RecordError::SubjectLimit);
    let receipt = show(&opened, &[1, 3]).await.unwrap();
    assert_eq!((receipt.new_subjects(), receipt.subjects_left()), (0, 5));
    // At the same time, each another one.
    let asking = (100..120).map(|customer| {
        let opened = Arc::clone(&opened);
        tokio::spawn(async move { show(&opened, &[customer]).await.map(|receipt| receipt.new_subjects()) })
    });
    let mut answers = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        answers.push(asked.await.unwrap());
    }
    let seen = answers.iter().filter(|answer| **answer == Ok(1)).count() as u64;
    let refused = answers.iter().filter(|answer| **answer == Err(RecordError::SubjectLimit)).count();
    assert_eq!((seen, refused), (MOST - 3, 15), "{answers:?}");
    drop(opened);
    let opened = desk.open().await;
    assert_eq!(show(&opened, &[200]).await.unwrap_err(), RecordError::SubjectLimit);
    assert_eq!(show(&opened, &[2]).await.unwrap().subjects_left(), 0);
    // Another contractor has its own day.
    let other = Disclosure { subjects_per_day: MOST, ..disclosure("helpdesk", &[200]) };
    assert_eq!(opened.record(Draft::disclosure(other)).await.unwrap().subjects_left(), MOST - 1);
    drop(opened);
    assert_eq!(desk.entries().len(), 10, "what was refused has left nothing");
    desk.assert_clean();
}

async fn what_was_decided_before_a_withdrawal_gets_no_entry(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    let decided = |decided| Draft::disclosure(Disclosure { decided, ..disclosure("parcelco", &[1]) });
    let before = opened.consents.generation();
    opened.record(decided(Some(before))).await.unwrap();
    opened.withdraw("PLANTED-1").await.unwrap();
    let after = opened.consents.generation();
    assert!(after > before);
    assert_eq!(opened.record(decided(Some(before))).await.unwrap_err(), RecordError::Stale);
    opened.record(decided(Some(after))).await.unwrap();
    opened.record(decided(None)).await.unwrap();
    drop(opened);
    let kinds: Vec<String> =
        desk.entries().iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["rules", "disclosure", "consent", "disclosure", "disclosure"], "it has left nothing");
    // In force over a restart, too.
    let opened = desk.open().await;
    assert_eq!(opened.consents.of("PLANTED-1").len(), 1);
    opened.record(drafts::refusal("parcelco")).await.unwrap();
    drop(opened);
    desk.assert_clean();
}
