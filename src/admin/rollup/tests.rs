use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::ledger::{
    Disclosed, Disclosure, Draft, FieldEntry, Ledger, Log, MaskedEntry, Parties, RecordCounts, Refused,
    Request, Signer, View, signer,
};
use crate::model::{Country, Jurisdictions, SubjectPseudonym};

use super::fill::{Rollup, Source};
use super::follow::catch_up;
use super::read::Day;
use super::*;

fn fields(count: u64) -> Vec<FieldEntry<'static>> {
    let field = |path, transform, disclosed| FieldEntry {
        path,
        transform,
        disclosed,
        withheld: 1,
        drifted: 0,
        masked: MaskedEntry::default(),
    };
    vec![field("@.name", None, count), field("@.phone", Some("last4"), count / 2)]
}

fn disclosure(contractor: &'static str, task: &'static str, subjects: Vec<u64>) -> Draft {
    let name = |number: &u64| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        SubjectPseudonym(bytes)
    };
    let released = subjects.len() as u64;
    Draft::disclosure(Disclosure {
        id: uuid::Uuid::now_v7().to_string(),
        parties: Parties { contractor, credential: "key" },
        request: Request { method: "GET", route: Some("/orders") },
        rules: "0",
        disclosed: Disclosed {
            task,
            purpose: "Deliver",
            consent_purpose: None,
            basis: "contract",
            legal: None,
            agreement: "DPA",
            jurisdictions: Jurisdictions {
                from: Country::new("US").unwrap(),
                to: Country::new("NL").unwrap(),
            },
            transfer: None,
            upstream: "orders",
            status: 200,
            bytes: 100,
            records: RecordCounts { released, withheld: 2, not_admitted: 0, without_subject: 0 },
            members_withheld: 0,
            canaries: 0,
            fields: fields(released),
            stream: None,
        },
        epoch: 1,
        subjects: subjects.iter().map(name).collect(),
        subjects_per_day: u64::MAX,
        decided: None,
    })
}

fn refusal(contractor: &'static str, code: &'static str) -> Draft {
    let refused = Refused { task: None, status: 404, code, cause: None, not_written: 0, after_parts: 0 };
    let parties = Parties { contractor, credential: "key" };
    Draft::refusal(
        uuid::Uuid::now_v7().to_string(),
        parties,
        Request { method: "GET", route: None },
        "0",
        &refused,
    )
}

fn key(folder: &Path) -> Signer {
    signer(&folder.join("signing.key"), None).unwrap()
}

async fn fill(folder: &Path, from: u64, to: u64) {
    let ledger = Ledger::open(&folder.join("fieldgate.db"), key(folder), Duration::from_secs(60)).unwrap();
    let ledger = Arc::new(ledger);
    for number in from..to {
        let (contractor, task) = if number.is_multiple_of(3) { ("one", "a") } else { ("two", "b") };
        let draft = match number % 5 {
            0 => refusal(contractor, "not-found"),
            1 => disclosure(contractor, task, (0..700).map(|at| at + number % 7 * 100).collect()),
            _ => disclosure(contractor, task, vec![number % 11]),
        };
        ledger.record(draft).await.unwrap();
    }
}

/// What a slow look at all entries says of a contractor.
#[derive(Debug, Default, PartialEq, Eq)]
struct Slow {
    disclosures: u64,
    refusals: u64,
    records: u64,
    customers: usize,
    names: u64,
}

fn slow(path: &Path, contractor: &str) -> Slow {
    let (log, mut slow, mut customers) = (Log::open(path).unwrap(), Slow::default(), HashSet::new());
    for position in 0..log.size() {
        let leaf = log.entry(position).unwrap().unwrap();
        let entry = View::parse(&leaf).unwrap();
        if entry.contractor.as_deref() != Some(contractor) {
            continue;
        }
        slow.disclosures += u64::from(entry.kind == "disclosure");
        slow.refusals += u64::from(entry.kind == "refusal");
        slow.records += entry.records.map_or(0, |records| records.released);
        slow.names += entry
            .fields
            .iter()
            .filter(|field| field.path == "@.name")
            .map(|field| field.disclosed)
            .sum::<u64>();
        customers.extend(entry.subjects.iter().map(ToString::to_string));
    }
    slow.customers = customers.len();
    slow
}

fn quick(path: &Path, contractor: &str) -> Slow {
    let reader = Reader::open(path).unwrap().unwrap();
    let days = reader.calendar(contractor, 0, i64::MAX / 24).unwrap();
    let permissions = reader.permissions(contractor, 0, i64::MAX).unwrap();
    let names = permissions.iter().filter(|permission| permission.path == "@.name");
    let sum = |of: fn(&Day) -> u64| days.iter().map(of).sum::<u64>();
    Slow {
        disclosures: sum(|day| day.disclosures),
        refusals: sum(|day| day.refusals),
        records: sum(|day| day.records),
        customers: sum(|day| day.customers) as usize,
        names: names.map(|permission| permission.disclosed).sum(),
    }
}

#[tokio::test]
async fn counts_are_those_of_a_slow_look_however_they_were_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fieldgate.db");
    fill(folder.path(), 0, 60).await;
    let origin = key(folder.path()).verifier().to_string();
    let all = catch_up(&path, &origin).unwrap();
    assert_eq!(all, Log::open(&path).unwrap().size());
    let both = |look: fn(&Path, &str) -> Slow| ["one", "two"].map(|contractor| look(&path, contractor));
    assert_eq!(both(quick), both(slow));
    assert!(quick(&path, "two").customers > 700);
    // Further entries, also of customers that were seen on that day, after a restart.
    fill(folder.path(), 30, 90).await;
    catch_up(&path, &origin).unwrap();
    let before = both(quick);
    assert_eq!(before, both(slow));
    // One after the other, and none of it twice.
    std::fs::remove_file(path_of(&path)).unwrap();
    let log = Log::open(&path).unwrap();
    let source = Source { origin: &origin, log: &log };
    for position in 0..log.size() {
        let mut rollup = Rollup::open(&path_of(&path), source).unwrap();
        assert_eq!(rollup.upto, position);
        let hash = log.leaf_hash(position).unwrap().unwrap();
        rollup.add(&[log.entry(position).unwrap()], &hash).unwrap();
        // What is not an entry counts nothing, and keeps its place.
        assert!(rollup.add(&[Some(b"{".to_vec())], &hash).is_err());
        assert_eq!(rollup.upto, position + 1);
    }
    assert_eq!(both(quick), before);
    // Another ledger's, and a damaged one, are made anew.
    catch_up(&path, "another").unwrap();
    assert_eq!(both(quick), before);
    std::fs::write(path_of(&path), "nothing of the kind").unwrap();
    catch_up(&path, &origin).unwrap();
    assert_eq!(both(quick), before);
}

#[tokio::test]
async fn periods_refusals_and_estimates() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fieldgate.db");
    assert!(Reader::open(&path).unwrap().is_none());
    fill(folder.path(), 0, 45).await;
    catch_up(&path, &key(folder.path()).verifier().to_string()).unwrap();
    let reader = Reader::open(&path).unwrap().unwrap();
    let today = reader.time.div_euclid(DAY);
    let hours = reader.hours((today - 1) * 24, (today + 1) * 24).unwrap();
    assert_eq!(hours.iter().map(|hour| hour.disclosures + hour.refusals).sum::<u64>(), 45);
    assert!(reader.hours(0, today * 24 - 24).unwrap().is_empty());
    let refused: BTreeMap<String, u64> = reader
        .refusals(None, 0, i64::MAX)
        .unwrap()
        .into_iter()
        .map(|one| (one.contractor, one.count))
        .collect();
    assert_eq!(refused, BTreeMap::from([("one".into(), 3), ("two".into(), 6)]));
    let exact = slow(&path, "two").customers as f64;
    let about = reader.about_customers("two", Some("b"), 0, i64::MAX).unwrap() as f64;
    assert!((about / exact - 1.0).abs() < 0.1, "{about} {exact}");
    assert_eq!(reader.about_customers("two", Some("a"), 0, i64::MAX).unwrap(), 0);
    assert_eq!(reader.countries(0, i64::MAX).unwrap(), [Total { name: "NL".into(), count: 36 }]);
    let never = reader.permissions("two", 0, 1).unwrap();
    assert!(never.iter().all(|permission| permission.disclosed == 0 && permission.last >= permission.first));
    assert!(never.iter().all(|permission| permission.first > 0) && never.len() == 2);
    let fields = reader.fields("two", today - 1, today + 1).unwrap();
    let left = |path: &str| {
        let days = fields.iter().filter(|field| field.path == path);
        days.map(|field| field.disclosed).sum::<u64>()
    };
    assert_eq!(left("@.name"), slow(&path, "two").names);
    assert!(left("@.phone") < left("@.name"));
}

/// A ledger of the same key, with one entry more than another time.
async fn another(folder: &Path, entries: u64) {
    let log = crate::ledger::ledger_folder(&folder.join("fieldgate.db"));
    std::fs::remove_dir_all(log).unwrap();
    std::fs::remove_file(folder.join("fieldgate.db")).unwrap();
    let ledger = Ledger::open(&folder.join("fieldgate.db"), key(folder), Duration::from_secs(60)).unwrap();
    for _ in 0..entries {
        ledger.record(refusal("one", "not-found")).await.unwrap();
    }
}

#[tokio::test]
async fn a_ledger_that_is_another_one_behind_the_same_key_is_counted_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fieldgate.db");
    let origin = key(folder.path()).verifier().to_string();
    fill(folder.path(), 0, 12).await;
    let first = catch_up(&path, &origin).unwrap();
    another(folder.path(), first + 3).await;
    catch_up(&path, &origin).unwrap();
    assert_eq!(quick(&path, "one"), slow(&path, "one"));
    assert_eq!(quick(&path, "two"), Slow::default());
}

#[tokio::test]
async fn counts_that_are_damaged_are_not_read_and_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fieldgate.db");
    let origin = key(folder.path()).verifier().to_string();
    fill(folder.path(), 0, 30).await;
    catch_up(&path, &origin).unwrap();
    let before = quick(&path, "two");
    let mut bytes = std::fs::read(path_of(&path)).unwrap();
    // The header stays, so that only a look at the pages shows it.
    let half = bytes.len() / 2;
    bytes.iter_mut().skip(half).for_each(|byte| *byte = 0xff);
    std::fs::write(path_of(&path), bytes).unwrap();
    catch_up(&path, &origin).unwrap();
    assert_eq!(quick(&path, "two"), before);
    std::fs::write(path_of(&path), "nothing of the kind").unwrap();
    assert!(Reader::open(&path).unwrap().is_none(), "nothing is counted, as long as it is not made anew");
}
