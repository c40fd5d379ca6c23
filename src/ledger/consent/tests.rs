use std::sync::Arc;

use crate::model::Subject;

use super::*;

fn saying(
    subject: &str,
    purpose: Option<&str>,
    contractor: Option<&str>,
    granted: bool,
    time: i64,
) -> Saying {
    let scope = Scope { purpose: purpose.map(str::to_owned), contractor: contractor.map(str::to_owned) };
    Saying { subject: subject.to_owned(), scope, granted, time: Some(time), receipt: None }
}

fn take(consents: &Consents, statements: &mut Statements, said: &[Saying]) -> usize {
    let prepared = statements.prepare(consents, said, super::super::entry::now()).unwrap();
    consents.put(&prepared);
    statements.store(&prepared, &[]).unwrap();
    prepared.news.len()
}

fn lets(consents: &Arc<Consents>, ground: Ground, purpose: &str, contractor: &str, subject: &str) -> bool {
    consents.admission(ground, purpose, contractor).unwrap().admits(Some(Subject::new(subject)))
}

#[test]
fn what_customers_said_is_in_force_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fieldgate.db");
    let (registry, mut statements) = consents(&path).unwrap();
    assert!(!lets(&registry, Ground::Consent, "mail", "helpdesk", "c-1"));
    let said = [
        saying("c-1", Some("mail"), None, true, 1),
        saying("c-2", Some("mail"), None, true, 1),
        saying("c-2", Some("mail"), None, false, 2),
        saying("c-3", None, Some("parcelco"), false, 3),
    ];
    assert_eq!(take(&registry, &mut statements, &said), 4);
    drop(statements);
    let (again, _) = consents(&path).unwrap();
    for registry in [registry, again] {
        assert!(lets(&registry, Ground::Consent, "mail", "helpdesk", "c-1"));
        assert!(!lets(&registry, Ground::Consent, "mail", "helpdesk", "c-2"));
        assert!(!lets(&registry, Ground::Consent, "other", "helpdesk", "c-1"));
        assert!(!lets(&registry, Ground::Contract, "deliver", "parcelco", "c-3"));
        assert!(lets(&registry, Ground::Contract, "deliver", "parcelco", "c-1"));
        assert!(lets(&registry, Ground::Contract, "deliver", "helpdesk", "c-3"), "another contractor");
        assert_eq!(registry.generation(), 1);
        assert!(!registry.of("c-2")[0].granted && registry.of("c-9").is_empty());
    }
}

#[test]
fn older_news_and_receipts_that_were_taken_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, mut statements) = consents(&folder.path().join("fieldgate.db")).unwrap();
    let with = |receipt: &str, saying: Saying| Saying { receipt: Some(receipt.to_owned()), ..saying };
    let grant = with("r1", saying("c-1", Some("mail"), None, true, 5));
    assert_eq!(take(&registry, &mut statements, &[grant.clone(), grant.clone()]), 1);
    assert_eq!(take(&registry, &mut statements, &[saying("c-1", Some("mail"), None, false, 4)]), 0);
    assert_eq!(take(&registry, &mut statements, &[saying("c-1", Some("mail"), None, false, 6)]), 1);
    assert_eq!(take(&registry, &mut statements, &[grant]), 0);
    assert!(!lets(&registry, Ground::Consent, "mail", "helpdesk", "c-1"));
}

#[test]
fn where_it_is_lost_what_was_said_nobody_consents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fieldgate.db");
    let (registry, mut statements) = consents(&path).unwrap();
    take(&registry, &mut statements, &[saying("c-1", Some("mail"), None, true, 1)]);
    drop((registry, statements));
    let (database, key) = (path.with_extension("consent"), path.with_extension("consent-key"));
    let (kept, aside) = (std::fs::read(&database).unwrap(), std::fs::read(&key).unwrap());
    assert!(!kept.windows(3).any(|bytes| bytes == b"c-1"), "no customer's id is on the disk");
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(consents(&path), Err(ConsentError::Lost { .. })));
    std::fs::write(&key, aside).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&database, &kept[..kept.len() / 2]).unwrap();
    assert!(consents(&path).is_err());
    std::fs::remove_file(&database).unwrap();
    assert!(matches!(consents(&path), Err(ConsentError::Lost { .. })));
    let lost = Arc::new(Consents::unknown());
    assert!(lost.admission(Ground::Consent, "mail", "helpdesk").is_err());
    assert!(lost.admission(Ground::Contract, "deliver", "parcelco").is_err());
}

#[test]
fn nothing_is_said_in_the_future_and_now_is_later_than_all_before() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, mut statements) = consents(&folder.path().join("fieldgate.db")).unwrap();
    let tomorrow = saying("c-1", Some("mail"), None, true, i64::MAX / 2);
    assert!(matches!(
        statements.prepare(&registry, &[tomorrow], super::super::entry::now()),
        Err(ConsentError::Future)
    ));
    // Also where the clock was wrong once.
    let now = super::super::entry::now() - 1;
    take(&registry, &mut statements, &[saying("c-1", Some("mail"), None, true, now)]);
    let withdrawn = Saying { time: None, ..saying("c-1", Some("mail"), None, false, 0) };
    assert_eq!(take(&registry, &mut statements, &[withdrawn]), 1);
    assert!(!lets(&registry, Ground::Consent, "mail", "helpdesk", "c-1"));
}

#[test]
fn a_receipt_of_a_grant_is_none_of_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, mut statements) = consents(&folder.path().join("fieldgate.db")).unwrap();
    let with = |saying: Saying| Saying { receipt: Some("form 7".to_owned()), ..saying };
    let grant = with(saying("c-1", Some("mail"), None, true, 1));
    let others = with(saying("c-2", Some("mail"), None, true, 1));
    assert_eq!(take(&registry, &mut statements, &[grant, others]), 2);
    assert_eq!(take(&registry, &mut statements, &[with(saying("c-1", Some("mail"), None, false, 2))]), 1);
}

#[test]
fn a_key_of_another_backup_is_noticed_and_what_has_no_entry_yet_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fieldgate.db");
    let (registry, mut statements) = consents(&path).unwrap();
    let prepared = statements
        .prepare(&registry, &[saying("c-1", Some("mail"), None, false, 1)], super::super::entry::now())
        .unwrap();
    statements.store(&prepared, &["{}".to_owned()]).unwrap();
    drop(statements);
    let (_, mut statements) = consents(&path).unwrap();
    assert_eq!(statements.pending().unwrap(), ["{}"]);
    statements.settled().unwrap();
    assert!(statements.pending().unwrap().is_empty());
    drop(statements);
    std::fs::write(path.with_extension("consent-key"), [7; 32]).unwrap();
    assert!(matches!(consents(&path), Err(ConsentError::OtherKey { .. })));
}

#[test]
fn a_withdrawal_that_the_disk_does_not_take_is_kept_until_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fieldgate.db");
    let (registry, mut statements) = consents(&path).unwrap();
    take(&registry, &mut statements, &[saying("c-1", Some("mail"), None, true, 1)]);
    let prepared = statements
        .prepare(&registry, &[saying("c-1", Some("mail"), None, false, 2)], super::super::entry::now())
        .unwrap();
    registry.put(&prepared);
    // Somebody else writes to it for as long as that takes.
    let other = rusqlite::Connection::open(path.with_extension("consent")).unwrap();
    statements.be_impatient();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(statements.store_or_keep(prepared, vec!["{}".to_owned()]).is_err());
    assert!(statements.pending().is_err());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(statements.pending().unwrap(), ["{}"]);
    drop(statements);
    let (again, _) = consents(&path).unwrap();
    assert!(!lets(&again, Ground::Consent, "mail", "helpdesk", "c-1"));
}

#[test]
fn who_is_asked_for_a_response_in_work_hears_what_is_said_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, mut statements) = consents(&folder.path().join("fieldgate.db")).unwrap();
    take(&registry, &mut statements, &[saying("c-1", Some("mail"), None, true, 1)]);
    let asked = |ground, purpose| registry.admission(ground, purpose, "parcelco").unwrap();
    let (consent, contract) = (asked(Ground::Consent, "mail"), asked(Ground::Contract, "deliver"));
    let admits = |asked: &Arc<dyn crate::model::Admission>| asked.admits(Some(Subject::new("c-1")));
    assert!(admits(&consent) && admits(&contract));
    // Nobody has spoken of this contractor before.
    take(&registry, &mut statements, &[saying("c-1", None, Some("parcelco"), false, 2)]);
    assert!(!admits(&consent) && !admits(&contract));
}

#[test]
fn what_another_process_has_taken_down_meanwhile_is_not_written_over_by_older_news() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fieldgate.db");
    let (first, mut one) = consents(&path).unwrap();
    let (second, mut other) = consents(&path).unwrap();
    take(&first, &mut one, &[saying("c-1", Some("mail"), None, false, 9)]);
    take(&second, &mut other, &[saying("c-1", Some("mail"), None, true, 5)]);
    let (again, _) = consents(&path).unwrap();
    assert!(!again.of("c-1")[0].granted);
}
