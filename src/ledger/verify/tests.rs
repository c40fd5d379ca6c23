#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::PathBuf;

use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use super::super::archive::Archive;
use super::super::note::Signer;
use super::super::tiles;
use super::story::Story;
use super::*;

fn signer() -> Signer {
    Signer::log("log.example", Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()).unwrap()
}

/// A refusal, which is the plainest entry that a contractor has.
fn refusal(index: u64, contractor: &str, sequence: u64) -> Value {
    json!({"kind": "refusal", "id": format!("r-{index}"), "time": index, "contractor": contractor,
           "rules": "aa", "index": index, "sequence": sequence})
}

fn rules(index: u64) -> Value {
    json!({"kind": "rules", "id": "x", "time": index, "rules": "aa", "index": index})
}

/// Entry 0 announces rules; then two contractors take turns.
fn plain(size: u64) -> Vec<Value> {
    let turn = |index: u64| match index {
        0 => rules(0),
        _ => refusal(index, ["one", "two"][(index % 2) as usize], index.div_ceil(2)),
    };
    (0..size).map(turn).collect()
}

fn tell(entries: &[Value]) -> Findings {
    let leaves: Vec<Vec<u8>> = entries
        .iter()
        .map(|entry| if entry.is_null() { Vec::new() } else { serde_json::to_vec(entry).unwrap() })
        .collect();
    let names = Names::default();
    let (mut reader, mut story) = (Reader::new(&names), Story::new(&names));
    let mut findings = Findings::default();
    leaves.iter().for_each(|leaf| story.take(reader.item(leaf), &mut findings));
    story.end(&mut findings);
    findings
}

/// What is found: severity, check, entry.
fn found(findings: &Findings) -> Vec<(Severity, Check, Option<u64>)> {
    findings.list.iter().map(|finding| (finding.severity, finding.check, finding.entry)).collect()
}

fn error(check: Check, entry: u64) -> Vec<(Severity, Check, Option<u64>)> {
    vec![(Severity::Error, check, Some(entry))]
}

fn warning(check: Check, entry: u64) -> Vec<(Severity, Check, Option<u64>)> {
    vec![(Severity::Warning, check, Some(entry))]
}

#[test]
fn a_plain_story_is_clean() {
    assert_eq!(found(&tell(&plain(50))), []);
}

#[test]
fn gaps_and_repetitions_of_a_contractors_numbers_are_found_once() {
    for other in [4, 2, 9] {
        let mut entries = plain(12);
        entries[5] = refusal(5, "two", other);
        let findings = found(&tell(&entries));
        // From the wrong number on, the next one is wrong as well.
        assert_eq!(findings[0], error(Check::Sequence, 5)[0], "{other}");
        assert_eq!(findings.len(), 2);
    }
}

#[test]
fn as_many_numbers_may_be_missing_as_entries_were_pruned() {
    let mut entries = plain(20);
    for pruned in [3, 4, 7, 8, 9] {
        entries[pruned] = Value::Null;
    }
    assert_eq!(found(&tell(&entries)), []);
    // One more is missing than was pruned in between.
    entries[10] = refusal(10, "one", 9);
    assert_eq!(found(&tell(&entries))[0], error(Check::Sequence, 10)[0]);
}

#[test]
fn one_pruned_entry_does_not_excuse_a_gap_of_each_contractor() {
    let mut entries = vec![rules(0), Value::Null];
    entries.push(refusal(2, "one", 2));
    entries.push(refusal(3, "two", 2));
    assert_eq!(found(&tell(&entries)), error(Check::Sequence, 3));
}

#[test]
fn an_entry_that_says_another_number_is_found() {
    let mut entries = plain(6);
    entries[3]["index"] = 4.into();
    assert_eq!(found(&tell(&entries)), error(Check::Number, 3));
}

#[test]
fn unknown_kinds_and_what_is_no_entry_are_found() {
    let mut entries = plain(6);
    entries[2]["kind"] = "poem".into();
    assert_eq!(found(&tell(&entries)), error(Check::Kind, 2));
    let mut entries = plain(6);
    entries[2] = json!(["no entry"]);
    let findings = found(&tell(&entries));
    assert_eq!(findings, error(Check::Kind, 2));
}

#[test]
fn what_the_law_asked_for_must_have_its_grant() {
    // 2026-11-24, 00:00 UTC.
    const NOW: i64 = 1_795_478_400_000_000;
    let grant =
        json!({"case": "1", "authority": "Court", "approved_by": ["a", "b"], "expires": "2026-11-25"});
    let told = |basis: &str, legal: Value, time: i64| {
        let mut entries = plain(1);
        entries[0]["time"] = time.into();
        entries
            .push(json!({"kind": "disclosure", "id": "d", "time": time, "contractor": "one", "rules": "aa",
            "basis": basis, "legal": legal, "index": 1, "sequence": 1}));
        found(&tell(&entries))
    };
    let with = |name: &str, value: Value| {
        let mut grant = grant.clone();
        grant[name] = value;
        grant
    };
    const DAY: i64 = 86_400_000_000;
    assert_eq!(told("contract", Value::Null, NOW), []);
    assert_eq!(told("legal-obligation", grant.clone(), NOW), []);
    // It was in force when it was checked, a moment before.
    assert_eq!(told("legal-obligation", grant.clone(), NOW + DAY + 1_000), []);
    for (basis, legal, time) in [
        ("legal-obligation", Value::Null, NOW),
        ("contract", grant.clone(), NOW),
        ("legal-obligation", grant.clone(), NOW + DAY + 61_000_000),
        ("legal-obligation", with("approved_by", json!(["a"])), NOW),
        ("legal-obligation", with("approved_by", json!(["a", "a"])), NOW),
        ("legal-obligation", with("case", json!("")), NOW),
        ("legal-obligation", with("expires", json!("never")), NOW),
    ] {
        assert_eq!(told(basis, legal.clone(), time), error(Check::Grant, 1), "{basis} {legal}");
    }
}

#[test]
fn rules_must_have_been_announced() {
    let mut entries = plain(6);
    entries[3]["rules"] = "bb".into();
    assert_eq!(found(&tell(&entries)), error(Check::Rules, 3));
    entries[2] = Value::Null;
    assert_eq!(found(&tell(&entries)), warning(Check::Rules, 3));
    entries[3].as_object_mut().unwrap().remove("rules");
    assert_eq!(found(&tell(&entries)), error(Check::Rules, 3));
}

#[test]
fn a_clock_that_was_set_back_is_a_warning() {
    let mut entries = plain(6);
    entries.iter_mut().for_each(|entry| entry["time"] = 100_000_000.into());
    entries[3]["time"] = 30_000_000.into();
    assert_eq!(found(&tell(&entries)), warning(Check::Time, 3));
    entries[3]["time"] = 41_000_000.into();
    assert_eq!(found(&tell(&entries)), []);
}

/// A disclosure with as many parts, after the rules.
fn parts(count: u64) -> Vec<Value> {
    let mut entries = vec![rules(0)];
    for part in 1..=count {
        let kind = if part == 1 { "disclosure" } else { "subjects" };
        let mut entry = json!({"kind": kind, "id": "d", "time": 1, "contractor": "one", "rules": "aa",
                               "parts": count, "index": part, "sequence": part});
        if part > 1 {
            entry["part"] = part.into();
        }
        entries.push(entry);
    }
    entries.push(refusal(count + 1, "one", count + 1));
    entries
}

/// Numbers the entries anew.
fn renumbered(mut entries: Vec<Value>) -> Vec<Value> {
    let mut sequence = 0;
    for (at, entry) in entries.iter_mut().enumerate().filter(|(_, entry)| !entry.is_null()) {
        entry["index"] = at.into();
        if entry["contractor"].is_string() {
            sequence += 1;
            entry["sequence"] = sequence.into();
        }
    }
    entries
}

#[test]
fn a_missing_part_is_found_and_a_pruned_one_is_not() {
    assert_eq!(found(&tell(&parts(4))), []);
    for missing in [2, 3] {
        let mut entries = parts(4);
        entries.remove(missing);
        assert_eq!(found(&tell(&renumbered(entries))), error(Check::Parts, missing as u64));
    }
    let mut entries = parts(4);
    entries.remove(4);
    assert_eq!(found(&tell(&renumbered(entries))), error(Check::Parts, 1));
    let mut entries = parts(4);
    entries.remove(1);
    assert_eq!(found(&tell(&renumbered(entries)))[0], error(Check::Parts, 1)[0]);
    for pruned in 1..=4 {
        let mut entries = parts(4);
        entries[pruned] = Value::Null;
        assert_eq!(found(&tell(&entries)), [], "{pruned}");
    }
}

#[test]
fn parts_that_a_crash_left_or_that_are_not_there_yet_are_a_warning() {
    let mut entries = parts(4);
    entries.truncate(3);
    assert_eq!(found(&tell(&entries)), warning(Check::Parts, 1));
    entries.push(json!({"kind": "started", "id": "s", "time": 2, "index": 3}));
    assert_eq!(found(&tell(&entries)), warning(Check::Parts, 1));
}

/// A response in as many parts, another entry after each.
fn stream(count: u64) -> Vec<Value> {
    let mut entries = vec![rules(0)];
    for part in 1..=count {
        entries.push(json!({"kind": "disclosure", "id": "s", "time": 1, "contractor": "one", "rules": "aa",
                            "parts": 1, "stream": {"part": part, "last": part == count}}));
        entries.push(refusal(0, "one", 0));
    }
    renumbered(entries)
}

#[test]
fn a_missing_part_of_a_long_response_is_found_and_a_pruned_one_is_not() {
    assert_eq!(found(&tell(&stream(4))), []);
    for missing in [1, 3, 5] {
        let mut entries = stream(4);
        entries.remove(missing);
        let expected = error(Check::Stream, missing as u64 + 1);
        assert_eq!(found(&tell(&renumbered(entries))), expected);
        let mut entries = stream(4);
        entries[missing] = Value::Null;
        assert_eq!(found(&tell(&entries)), []);
    }
    let mut entries = stream(4);
    entries.push(entries[7].clone());
    assert_eq!(found(&tell(&renumbered(entries))), error(Check::Stream, 9));
}

fn ledger(sizes: &[u64]) -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("test.tlog");
    let mut archive = Archive::open(&path, signer()).unwrap();
    let entries = plain(sizes.iter().copied().max().unwrap_or_default());
    for size in sizes {
        let more = entries[archive.size() as usize..*size as usize].iter();
        more.for_each(|entry| archive.append(serde_json::to_vec(entry).unwrap()));
        archive.seal().unwrap();
    }
    (dir, path)
}

fn check(path: &Path) -> Report {
    verify(path, signer().verifier(), None, &mut |_, _| {}).unwrap()
}

#[test]
fn ledgers_of_all_sizes_are_clean() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 513, 1000] {
        let (_dir, path) = ledger(&[size]);
        let report = check(&path);
        assert_eq!(found(&report.findings), [], "{size}");
        assert_eq!((report.size, report.contractors), (size, size.saturating_sub(1).min(2)));
    }
    let (_dir, path) = ledger(&[65_536 + 300]);
    assert_eq!(found(&check(&path).findings), []);
}

/// Changes the entries of a bundle.
fn bundle(path: &Path, number: u64, width: Option<u8>, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let path = path.join(tiles::entries_path(number, width));
    let bytes = fs::read(&path).unwrap();
    let mut entries: Vec<Vec<u8>> =
        tiles::split_bundle(&bytes).unwrap().into_iter().map(<[u8]>::to_vec).collect();
    change(&mut entries);
    fs::write(&path, tiles::encode_bundle(entries.iter().map(Vec::as_slice)).unwrap()).unwrap();
}

#[test]
fn each_changed_entry_is_named_and_nothing_else() {
    let (_dir, path) = ledger(&[700]);
    bundle(&path, 0, None, |entries| {
        entries[3][20] ^= 1;
        entries[255][10] ^= 1;
    });
    bundle(&path, 2, Some(188), |entries| entries[187][9] ^= 4);
    let expected = [3, 255, 699].map(|entry| error(Check::Entry, entry)[0]);
    assert_eq!(found(&check(&path).findings), expected);
}

#[test]
fn a_pruned_entry_is_no_error() {
    let (_dir, path) = ledger(&[700]);
    bundle(&path, 1, None, |entries| (10..20).for_each(|at| entries[at].clear()));
    let report = check(&path);
    assert_eq!(found(&report.findings), []);
    assert_eq!(report.pruned, 10);
}

#[test]
fn a_missing_entry_is_named() {
    for (number, width) in [(0, None), (2, Some(188))] {
        let (_dir, path) = ledger(&[700]);
        bundle(&path, number, width, |entries| _ = entries.remove(100));
        let findings = found(&check(&path).findings);
        assert_eq!(findings[0], error(Check::Entry, number * 256 + 100)[0]);
        assert_eq!(findings.len(), 2, "and that those after it have moved");
    }
}

#[test]
fn a_missing_bundle_or_tile_is_said_once() {
    let (_dir, path) = ledger(&[700]);
    fs::remove_file(path.join(tiles::entries_path(1, None))).unwrap();
    assert_eq!(found(&check(&path).findings), error(Check::Bundle, 256));
    let (_dir, path) = ledger(&[700]);
    fs::remove_file(path.join(tiles::tile_path(0, 1, None))).unwrap();
    assert_eq!(found(&check(&path).findings), error(Check::Tile, 256));
}

#[test]
fn a_damaged_tile_is_told_from_damaged_entries() {
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[40] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    for tile in [tiles::tile_path(0, 1, None), tiles::tile_path(0, 2, Some(188))] {
        let (_dir, path) = ledger(&[700]);
        flip(&path.join(tile));
        let findings = check(&path).findings;
        assert!(findings.errors > 0);
        assert!(findings.list.iter().all(|finding| matches!(finding.check, Check::Tile | Check::Root)));
    }
    let (_dir, path) = ledger(&[65_536 + 300]);
    flip(&path.join(tiles::tile_path(1, 0, None)));
    let findings = check(&path).findings;
    assert!(findings.list.iter().any(|finding| finding.what.contains("tile/1/000")), "{findings:?}");
}

#[test]
fn an_older_head_must_be_a_beginning() {
    let (dir, path) = ledger(&[300]);
    let older = fs::read_to_string(head_path(&path)).unwrap();
    let since = |path: &Path| verify(path, signer().verifier(), Some(&older), &mut |_, _| {}).unwrap();
    let (_longer, longer) = ledger(&[300, 700]);
    let report = since(&longer);
    assert_eq!((found(&report.findings), report.since), (vec![], Some(300)));
    let (_shorter, shorter) = ledger(&[299]);
    assert_eq!(found(&since(&shorter).findings), [(Severity::Error, Check::Since, None)]);
    // The head of the witnesses is asked for by itself.
    fs::write(witnessed_path(&shorter), &older).unwrap();
    assert_eq!(found(&check(&shorter).findings), [(Severity::Error, Check::Since, None)]);
    let other = dir.path().join("other.tlog");
    let mut archive = Archive::open(&other, signer()).unwrap();
    (0..400).for_each(|_| archive.append(b"{}"));
    archive.seal().unwrap();
    assert!(found(&since(&other).findings).contains(&(Severity::Error, Check::Since, None)));
}

#[test]
fn a_head_of_another_key_is_said_and_the_rest_is_checked() {
    let (_dir, path) = ledger(&[300]);
    bundle(&path, 0, None, |entries| entries[3][20] ^= 1);
    let other = Signer::log("log.example", Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap()).unwrap();
    let report = verify(&path, other.verifier(), None, &mut |_, _| {}).unwrap();
    let expected = [(Severity::Error, Check::Head, None), error(Check::Entry, 3)[0]];
    assert_eq!(found(&report.findings), expected);
    // A number that nobody signed does not lead far away.
    let note = fs::read_to_string(head_path(&path)).unwrap().replace("\n300\n", "\n9000000000000000000\n");
    fs::write(head_path(&path), note).unwrap();
    assert_eq!(check(&path).size, 0);
    fs::remove_file(head_path(&path)).unwrap();
    assert_eq!(found(&check(&path).findings), [(Severity::Error, Check::Head, None)]);
}

#[test]
fn findings_are_counted_when_there_are_too_many() {
    let (_dir, path) = ledger(&[3000]);
    (0..11).for_each(|number| {
        bundle(&path, number, None, |entries| entries.iter_mut().for_each(|entry| entry[9] ^= 1));
    });
    let findings = check(&path).findings;
    let kept = findings.list.iter().filter(|finding| finding.severity == Severity::Error);
    assert_eq!((findings.errors, kept.count()), (11 * 256, 1000));
}
