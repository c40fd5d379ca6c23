//! A ledger goes on where it stopped; what can be made anew is, and what does not belong is refused.

use fieldgate::ledger::{Draft, Exporter, Form, Log, Query, Search, StoreError, signer};

use super::desk::{DEADLINE, Desk, Kind, Opened, copy};
use super::drafts::{self, customer, disclosure};

super::on_both_stores!(
    it_goes_on_where_it_stopped,
    a_lost_index_is_made_anew_with_the_same_answers,
    a_lost_archive_is_made_anew_or_refused,
    an_older_copy_is_refused,
    a_second_writer_is_refused,
    another_key_or_name_is_refused,
);

async fn fill(opened: &Opened, count: u64) {
    let drafts = (0..count).map(|number| match number % 4 {
        0 => drafts::refusal("helpdesk"),
        _ => Draft::disclosure(disclosure("parcelco", &[number % 11])),
    });
    opened.record_all(drafts).await;
}

async fn it_goes_on_where_it_stopped(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    fill(&opened, 270).await;
    opened.sealed().await;
    let first = opened.heads().borrow().clone();
    drop(opened);
    let opened = desk.open().await;
    assert_eq!(opened.size(), 271);
    assert_eq!(*opened.heads().borrow(), first, "nothing came to it");
    assert_eq!(opened.record(drafts::refusal("parcelco")).await.unwrap().position(), 271);
    fill(&opened, 20).await;
    opened.sealed().await;
    drop(opened);
    assert_eq!(desk.entries().len(), 292);
    let report = desk.verify(Some(&first.note));
    assert!(report.is_clean() && report.since == Some(271), "{report:?}");
}

pub fn queries() -> Vec<Query> {
    let word = |word: &str| Some(word.to_owned());
    vec![
        Query::default(),
        Query { kind: word("disclosure"), ..Query::default() },
        Query { contractor: word("helpdesk"), ..Query::default() },
        Query { outcome: word("not-found"), contractor: word("parcelco"), ..Query::default() },
        Query { task: word("deliver-order"), country: word("NL"), ..Query::default() },
        Query { route: word("/orders/{order_id}"), field: word("phone"), ..Query::default() },
        Query { subject: Some(vec![customer(3)]), ..Query::default() },
        Query { subject: Some(vec![customer(1100)]), ..Query::default() },
        Query { basis: word("contract"), before: Some(200), ..Query::default() },
        Query { kind: word("suspension"), ..Query::default() },
        Query { contractor: word("nobody"), ..Query::default() },
    ]
}

/// What the query finds, in a form.
pub fn answer(search: &Search, query: &Query, form: Form) -> String {
    let mut exporter = Exporter::new(form, Vec::new()).unwrap();
    for row in search.page(query, 10_000).unwrap().rows {
        exporter.entry(row.position, Some(row.leaf.as_bytes())).unwrap();
    }
    String::from_utf8(exporter.finish().unwrap()).unwrap()
}

fn answers(desk: &Desk) -> Vec<String> {
    let search = Search::open(&desk.path()).unwrap();
    queries().iter().map(|query| answer(&search, query, Form::JsonLines)).collect()
}

async fn a_lost_index_is_made_anew_with_the_same_answers(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.open().await;
    opened.record_all(drafts::history(jiff::Timestamp::now().as_microsecond() - 1_000_000)).await;
    drop(opened);
    drop(desk.open().await);
    let before = answers(&desk);
    let lines: Vec<usize> = before.iter().map(|answer| answer.lines().count()).collect();
    assert!(
        lines[0] == 302 && lines[6] > 20 && lines[7] == 1 && lines[9] == 1 && lines[10] == 0,
        "{lines:?}"
    );
    desk.lose_index();
    assert!(Search::open(&desk.path()).is_err());
    let opened = desk.open().await;
    assert_eq!(answers(&desk), before);
    // It counts each contractor on.
    opened.record(drafts::refusal("parcelco")).await.unwrap();
    drop(opened);
    desk.entries();
    desk.assert_clean();
}

/// A fleet's node has it from the database. On one machine, the journal holds what came last; where that is not all,
/// the rest is not given up.
async fn a_lost_archive_is_made_anew_or_refused(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    fill(&opened, 300).await;
    opened.sealed().await;
    let head = opened.heads().borrow().clone();
    drop(opened);
    if kind == Kind::Fleet {
        std::fs::remove_dir_all(desk.tlog()).unwrap();
        desk.lose_index();
    } else {
        copy(&desk.tlog(), &desk.file("kept"));
        std::fs::remove_dir_all(desk.tlog()).unwrap();
        let error = desk.refusal(desk.signer()).await;
        assert!(matches!(error, StoreError::Shorter { found: 0, known: 301, .. }), "{error}");
        std::fs::remove_dir_all(desk.tlog()).unwrap();
        copy(&desk.file("kept"), &desk.tlog());
        std::fs::remove_file(desk.tlog().join("checkpoint")).unwrap();
        let error = desk.refusal(desk.signer()).await;
        assert!(error.to_string().contains("the signed head is missing"), "{error}");
        std::fs::remove_dir_all(desk.tlog().join("tile")).unwrap();
    }
    let opened = desk.open().await;
    assert_eq!(*opened.heads().borrow(), head);
    opened.record(drafts::refusal("parcelco")).await.unwrap();
    drop(opened);
    assert_eq!(desk.entries().len(), 302);
    let report = desk.verify(Some(&head.note));
    assert!(report.is_clean() && report.since == Some(301), "{report:?}");
    if kind == Kind::Disk {
        an_archive_that_the_journal_does_not_have_is_refused().await;
    }
}

async fn an_archive_that_the_journal_does_not_have_is_refused() {
    let desk = Desk::new(Kind::Disk);
    let opened = desk.begin().await;
    // Its files are used again after eight megabytes.
    for _ in 0..3 {
        opened.record_all((0..60).map(|_| drafts::long_refusal("parcelco"))).await;
        opened.sealed().await;
    }
    drop(opened);
    std::fs::remove_file(desk.tlog().join("checkpoint")).unwrap();
    std::fs::remove_dir_all(desk.tlog().join("tile")).unwrap();
    desk.lose_index();
    let error = desk.refusal(desk.signer()).await;
    assert!(matches!(error, StoreError::Damaged { entry: 0, .. }), "{error}");
    let left = Log::open(&desk.path()).unwrap();
    assert!(left.archived() == 0 && left.size() == 0, "nothing was begun anew");
}

async fn an_older_copy_is_refused(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    fill(&opened, 9).await;
    drop(opened);
    desk.keep("older");
    let opened = desk.open().await;
    fill(&opened, 300).await;
    drop(opened);
    desk.exchange("older");
    for _ in 0..2 {
        let error = desk.refusal(desk.signer()).await;
        match kind {
            Kind::Disk => assert!(matches!(error, StoreError::Shorter { known: 310, .. }), "{error}"),
            Kind::Fleet => assert!(matches!(error, StoreError::OlderDatabase { known: 310, .. }), "{error}"),
        }
    }
    desk.exchange("older");
    let opened = desk.open().await;
    assert_eq!(opened.record(drafts::refusal("parcelco")).await.unwrap().position(), 310);
    drop(opened);
    desk.entries();
    desk.assert_clean();
}

async fn a_second_writer_is_refused(kind: Kind) {
    let desk = Desk::new(kind);
    let opened = desk.begin().await;
    let error = desk.refusal(desk.signer()).await;
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
    if kind == Kind::Fleet {
        // From another disk it is the database that says so.
        let error = desk.beside().refusal(desk.signer()).await;
        assert!(matches!(error, StoreError::NodeInUse(_)), "{error}");
    }
    assert_eq!(opened.record(drafts::refusal("parcelco")).await.unwrap().position(), 1);
    drop(opened);
    drop(desk.open().await);
    desk.entries();
    desk.assert_clean();
}

async fn another_key_or_name_is_refused(kind: Kind) {
    let desk = Desk::new(kind);
    drop(desk.begin().await);
    let strangers = [
        signer(&desk.file("other.key"), None).unwrap(),
        signer(&desk.file("signing.key"), Some("other.example/log")).unwrap(),
    ];
    for stranger in strangers {
        let error = desk.refusal(stranger).await.to_string();
        match kind {
            Kind::Disk => assert!(error.contains("not a head that this ledger's key and origin"), "{error}"),
            Kind::Fleet => assert!(error.contains("signs with another key"), "{error}"),
        }
    }
    let opened = desk.open().await;
    tokio::time::timeout(DEADLINE, opened.record(drafts::refusal("parcelco"))).await.unwrap().unwrap();
    drop(opened);
    assert_eq!(Log::open(&desk.path()).unwrap().size(), 2);
    desk.assert_clean();
}
