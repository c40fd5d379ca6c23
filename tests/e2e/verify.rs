//! Auditors: a copy of the ledger and the public key are enough.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use http::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tlog_tiles::{Checkpoint, Tile, TileHashReader, TileReader};

use crate::support::{Answer, House, order};

fn fieldgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fieldgate")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The command's answer as JSON, with its exit code.
fn json(arguments: &[&str]) -> (i32, Value) {
    let output = fieldgate(&[arguments, &["--format", "json"]].concat());
    let value = serde_json::from_slice(&output.stdout);
    let value = value.unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (output.status.code().unwrap(), value)
}

/// The folder, as the package `tlog_tiles` reads one.
struct OnDisk(PathBuf);

impl TileReader for OnDisk {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| {
            let whole = format!("tile/{}/{:03}", tile.level(), tile.level_index());
            let part = format!("{whole}.p/{}", tile.width());
            std::fs::read(self.0.join(if tile.width() == 256 { whole } else { part })).unwrap()
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// Another implementation of C2SP tlog-tiles finds the same tree, and each entry in it.
fn read_by_another_program(folder: &Path, head: &str, entries: &[Vec<u8>]) {
    let head = Checkpoint::from_bytes(head.as_bytes()).unwrap();
    let disk = OnDisk(folder.to_owned());
    let hashes = TileHashReader::new(head.size(), *head.hash(), &disk);
    assert!(tlog_tiles::tree_hash(head.size(), &hashes).unwrap() == *head.hash());
    for (index, entry) in (0..).zip(entries) {
        let proof = tlog_tiles::prove_record(head.size(), index, &hashes).unwrap();
        let hash = tlog_tiles::record_hash(entry);
        tlog_tiles::check_record(&proof, head.size(), *head.hash(), index, hash).unwrap();
    }
}

/// The size that the signed head says.
fn head_size(folder: &Path) -> usize {
    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap_or_default();
    note.lines().nth(1).map_or(0, |size| size.parse().unwrap())
}

/// Waits until all entries are under the head, and copies the folder; the gateway runs on.
async fn copy(house: &House, name: &str) -> PathBuf {
    let (folder, target) = (house.path("ledger/fieldgate.tlog"), house.path(name));
    let began = Instant::now();
    while head_size(&folder) < house.entries().len() {
        assert!(began.elapsed() < Duration::from_secs(20), "no head");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(Command::new("cp").arg("-r").args([&folder, &target]).status().unwrap().success());
    target
}

/// The public key, as the operator sees it.
fn key(house: &House) -> String {
    let config = house.path("fieldgate.toml").display().to_string();
    let (code, report) = json(&["ledger", "verify", "--config", &config]);
    assert_eq!(code, 0, "{report}");
    report["key"].as_str().unwrap().to_owned()
}

/// A house with some entries, one of them about very many customers, and the id of the first disclosure.
async fn busy() -> (House, String) {
    let house = House::new().await;
    for id in 1..=3 {
        house.upstream.on(&format!("/orders/{id}"), Answer::json(order(id, "parcelco", "ready_to_ship")));
    }
    let many: Vec<String> = (0..60).map(|id| order(id, "parcelco", "ready_to_ship")).collect();
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{}]}}", many.join(","))));
    let client = house.parcelco();
    let first = house.get(&client, "/orders/1").await.disclosure_id();
    for target in ["/orders/2", "/orders/3", "/orders/99", "/orders"] {
        house.get(&client, target).await;
    }
    (house, first)
}

#[tokio::test]
async fn a_copy_of_a_running_gateways_ledger_is_clean() {
    let (house, _) = busy().await;
    let key = key(&house);
    let copy = copy(&house, "copy").await;
    let path = copy.display().to_string();
    let (code, report) = json(&["ledger", "verify", &path, "--key", &key]);
    assert_eq!(
        (code, &report["clean"], &report["findings"]["list"]),
        (0, &true.into(), &Value::Array(vec![]))
    );
    assert_eq!(report["size"].as_u64().unwrap() as usize, house.entries().len());
    assert_eq!(report["contractors"], 1);
    // As a table, with the key in a file.
    let file = house.path("ledger.vkey");
    std::fs::write(&file, format!("{key}\n")).unwrap();
    let output = fieldgate(&["ledger", "verify", &path, "--key", &format!("@{}", file.display())]);
    assert!(output.status.success() && text(&output.stdout).contains("all right"), "{output:?}");
    // The ledger has gone on, from where the copy was.
    house.get(&house.parcelco(), "/orders/1").await;
    let since = copy.join("checkpoint").display().to_string();
    let config = house.path("fieldgate.toml").display().to_string();
    let (code, report) = json(&["ledger", "verify", "--config", &config, "--since", &since]);
    assert_eq!((code, report["since"].as_u64().unwrap() as usize), (0, house.entries().len() - 1));
    // What the gateway has is newer than the copy.
    let newer = self::copy(&house, "newer").await.join("checkpoint").display().to_string();
    let (code, report) = json(&["ledger", "verify", &path, "--key", &key, "--since", &newer]);
    assert_eq!((code, &report["findings"]["list"][0]["check"]), (1, &"since".into()));
    house.assert_clean();
}

#[tokio::test]
async fn what_is_wrong_with_a_copy_is_named() {
    let (house, _) = busy().await;
    let key = key(&house);
    let copy = copy(&house, "copy").await;
    let path = copy.display().to_string();
    let folder = copy.join("tile/entries/000.p");
    let bundle = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&bundle).unwrap();
    let at = bytes.windows(10).rposition(|part| part == b"\"parcelco\"").unwrap();
    bytes[at + 1] = b'q';
    std::fs::write(&bundle, bytes).unwrap();
    let (code, report) = json(&["ledger", "verify", &path, "--key", &key]);
    let findings = report["findings"]["list"].as_array().unwrap();
    assert_eq!((code, findings.len()), (1, 1), "{report}");
    assert_eq!(findings[0]["check"], "entry");
    assert_eq!(findings[0]["entry"].as_u64().unwrap() as usize, house.entries().len() - 1);
    // Usage and failure are another code than a ledger that is wrong.
    assert_eq!(fieldgate(&["ledger", "verify", &path]).status.code(), Some(2));
    assert_eq!(fieldgate(&["ledger", "verify", &path, "--key", "nonsense"]).status.code(), Some(2));
    assert_eq!(fieldgate(&["ledger", "verify", "/nowhere", "--key", &key]).status.code(), Some(2));
}

#[tokio::test]
async fn a_proof_shows_the_entry_to_somebody_without_the_ledger() {
    let (house, id) = busy().await;
    let key = key(&house);
    copy(&house, "copy").await;
    let config = house.path("fieldgate.toml").display().to_string();
    let file = house.path("one.tlog-proof").display().to_string();
    let output = fieldgate(&["ledger", "prove", &id, "--config", &config, "--output", &file]);
    assert!(output.status.success(), "{output:?}");
    let (code, shown) = json(&["ledger", "verify-proof", &file, "--key", &key]);
    assert_eq!((code, &shown["valid"], &shown["entry"]), (0, &true.into(), &house.entries()[2]));
    let table = text(&fieldgate(&["ledger", "verify-proof", &file, "--key", &key]).stdout);
    assert!(
        ["parcelco", "Deliver the customer's parcel", "US to NL", &id]
            .iter()
            .all(|word| table.contains(word))
    );
    // The same from a copy without an index, by number and by id.
    let copied = house.path("copy").display().to_string();
    for arguments in [vec![id.as_str()], vec!["--entry", "2"]] {
        let rest = ["--ledger", &copied, "--output", "-"];
        let output = fieldgate(&[&["ledger", "prove"], arguments.as_slice(), &rest].concat());
        assert_eq!(text(&output.stdout), std::fs::read_to_string(&file).unwrap(), "{output:?}");
    }
    // Only its hash, as contractors get it.
    let hash = house.path("hash.tlog-proof").display().to_string();
    let rest = ["--config", &config, "--output", &hash, "--hash-only"];
    assert!(fieldgate(&[&["ledger", "prove", &id], rest.as_slice()].concat()).status.success());
    let (code, shown) = json(&["ledger", "verify-proof", &hash, "--key", &key]);
    assert_eq!((code, &shown["entry"], &shown["index"]), (0, &Value::Null, &2.into()));
    // Another entry in the same proof.
    let proof = std::fs::read_to_string(&file).unwrap();
    let extra = proof.lines().nth(1).unwrap().strip_prefix("extra ").unwrap();
    let entry = text(&BASE64_STANDARD.decode(extra).unwrap()).replace("parcelco", "helpdesk");
    std::fs::write(&file, proof.replace(extra, &BASE64_STANDARD.encode(entry))).unwrap();
    let (code, shown) = json(&["ledger", "verify-proof", &file, "--key", &key]);
    assert_eq!((code, &shown["valid"]), (1, &false.into()));
    let none = fieldgate(&["ledger", "prove", "no-such-id", "--config", &config]);
    assert_eq!(none.status.code(), Some(1));
}

#[tokio::test]
async fn a_drill_catches_everything_that_is_done_to_copies() {
    let (house, _) = busy().await;
    let key = key(&house);
    let copy = copy(&house, "copy").await.display().to_string();
    let scratch = house.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let scratch = scratch.display().to_string();
    let (code, drill) = json(&["ledger", "drill", &copy, "--key", &key, "--scratch", &scratch]);
    assert_eq!(code, 0, "{drill}");
    let attempts = drill["attempts"].as_array().unwrap();
    assert!(attempts.len() >= 10 && attempts.iter().all(|attempt| attempt["caught"] == true));
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    // It was only read.
    assert_eq!(json(&["ledger", "verify", &copy, "--key", &key]).0, 0);
    let output = fieldgate(&["ledger", "drill", "--scratch", &scratch]);
    assert!(output.status.success(), "{output:?}");
    // What is wrong already cannot be drilled.
    std::fs::remove_file(Path::new(&copy).join("checkpoint")).unwrap();
    let (code, drill) = json(&["ledger", "drill", &copy, "--key", &key, "--scratch", &scratch]);
    assert_eq!((code, drill["attempts"].as_array().unwrap().len()), (1, 0));
}

/// Reads the folder as C2SP tlog-tiles says, with nothing of ours.
#[tokio::test]
async fn other_code_comes_to_the_same_tree_and_signature() {
    let (house, _) = busy().await;
    let client = house.parcelco();
    // More than a bundle, so that there is a whole tile.
    while house.entries().len() < 300 {
        futures_util::future::join_all(
            (0..20).map(|_| house.send_unknown(&client, http::Method::GET, "/orders/1", "")),
        )
        .await;
    }
    let key = key(&house);
    let folder = copy(&house, "copy").await;
    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
    let (body, signatures) = note.split_once("\n\n").unwrap();
    let lines: Vec<&str> = body.lines().collect();
    let size: usize = lines[1].parse().unwrap();
    let width = size % 256;
    let files = [folder.join("tile/entries/000"), folder.join(format!("tile/entries/001.p/{width}"))];
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut hashes: Vec<u8> = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        let mut at = 0;
        while at < bytes.len() {
            let length = usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1]);
            let entry = bytes[at + 2..at + 2 + length].to_vec();
            hashes.extend(Sha256::digest([&[0][..], &entry].concat()));
            tree.push(entry);
            at += 2 + length;
        }
    }
    assert_eq!(tree.len() as usize, size);
    assert_eq!(lines[2], BASE64_STANDARD.encode(tree.root().as_bytes()));
    read_by_another_program(&folder, &format!("{body}\n"), tree.items());
    let tiles = [folder.join("tile/0/000"), folder.join(format!("tile/0/001.p/{width}"))];
    let written: Vec<u8> = tiles.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
    assert!(hashes == written);
    // name+id+key; the key after its type; the signature after the id.
    let parts: Vec<&str> = key.splitn(3, '+').collect();
    let public = BASE64_STANDARD.decode(parts[2]).unwrap();
    let line = signatures.lines().find_map(|line| line.strip_prefix(&format!("— {} ", parts[0]))).unwrap();
    let signature = BASE64_STANDARD.decode(line).unwrap();
    assert_eq!((lines[0], public[0]), (parts[0], 1));
    let signed = format!("{body}\n");
    UnparsedPublicKey::new(&ED25519, &public[1..]).verify(signed.as_bytes(), &signature[4..]).unwrap();
    // And of an inclusion proof the same.
    let proof = text(
        &fieldgate(&[
            "ledger",
            "prove",
            "--entry",
            "7",
            "--ledger",
            &folder.display().to_string(),
            "--output",
            "-",
        ])
        .stdout,
    );
    let hashes =
        proof.split_once("\n\n").unwrap().0.lines().skip(3).map(|line| BASE64_STANDARD.decode(line).unwrap());
    let proof: Vec<u8> = hashes.flatten().collect();
    assert_eq!(proof, tree.prove_inclusion(7).as_bytes());
}

#[tokio::test]
async fn a_contractor_gets_the_proof_of_its_own_disclosures_and_of_no_other() {
    let (house, id) = busy().await;
    let target = format!("/.well-known/fieldgate/receipts/{id}");
    let receipt = house.send_unknown(&house.parcelco(), Method::GET, &target, "").await;
    assert_eq!(receipt.status, 200, "{receipt:?}");
    assert_eq!(receipt.headers["content-type"], "text/plain; charset=utf-8");
    let entry = house.entries_of(&id)[0].clone();
    assert!(!receipt.body.contains(entry["subjects"][0].as_str().unwrap()));
    let file = house.path("receipt.tlog-proof");
    std::fs::write(&file, &receipt.body).unwrap();
    let (code, shown) = json(&["ledger", "verify-proof", file.to_str().unwrap(), "--key", &key(&house)]);
    assert_eq!((code, &shown["index"]), (0, &entry["index"]), "{shown}");
    // One answer for what is not there and what is another's.
    let stranger = house.client(Some("helpdesk"));
    for (client, target) in [
        (&stranger, target.as_str()),
        (&house.parcelco(), "/.well-known/fieldgate/receipts/01a20b8d-4cea-7700-b61e-b9792b6f5d7c"),
        (&house.parcelco(), "/.well-known/fieldgate/receipts/x"),
        (&house.parcelco(), &format!("{target}.2")),
    ] {
        let refused = house.send_unknown(client, Method::GET, target, "").await;
        assert!(matches!(refused.status.as_u16(), 401 | 404), "{refused:?}");
        assert!(!refused.body.contains("tlog-proof"));
    }
    let refused = house.send_unknown(&house.parcelco(), Method::POST, &target, "").await;
    assert_eq!(refused.status, 405);
    let refused = house.send_unknown(&house.parcelco(), Method::GET, &format!("{target}?x=1"), "").await;
    assert_eq!(refused.code(), "parameter-not-permitted");
    house.assert_clean();
}
