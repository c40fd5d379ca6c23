use super::super::archive::BUNDLE;
use super::super::note::Signer;
use super::super::prune;
use super::*;

const NAME: &str = "00112233445566778899aabbccddeeff";

struct Desk {
    folder: tempfile::TempDir,
    index: Index,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(&folder.path().join("index.db")).unwrap();
        Desk { folder, index }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("index.db")
    }

    fn add(&mut self, leaves: &[String]) -> bool {
        self.index.add(leaves.iter().map(|leaf| Some(leaf.as_bytes()))).unwrap()
    }

    fn count(&self, sql: &str) -> i64 {
        Connection::open(self.path()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// What another process does, such as a deletion.
    fn elsewhere(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    /// Offsets of the entries with a word.
    fn with(&self, family: Family, word: &str) -> Vec<u16> {
        let sql = "SELECT bits FROM posting JOIN term ON term.id = term WHERE family = ?1 AND text = ?2";
        let connection = Connection::open(self.path()).unwrap();
        let bits: Vec<u8> =
            connection.query_row(sql, rusqlite::params![family as u8, word], |row| row.get(0)).unwrap();
        Set::from_bytes(&bits).unwrap().offsets()
    }
}

fn leaf(contractor: &str, task: &str, fields: &[&str]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|path| format!(r#"{{"path":"{path}","disclosed":1}}"#)).collect();
    format!(
        r#"{{"kind":"disclosure","id":"x","time":1,"contractor":"{contractor}","sequence":1,"task":"{task}","fields":[{}],"subjects":["{NAME}"]}}"#,
        fields.join(",")
    )
}

#[test]
fn entries_are_found_by_their_words_whatever_the_entry_before_had() {
    let mut desk = Desk::new();
    let leaves = [
        leaf("one", "a", &["$.x", "$.y"]),
        leaf("two", "a", &["$.y", "$.x"]),
        leaf("one", "b", &["$.y"]),
        // A task with the name of a contractor is no contractor.
        leaf("two", "two", &[]),
        leaf("one", "a", &["$.x", "$.y", "$.z"]),
    ];
    assert!(desk.add(&leaves));
    assert!(desk.add(&leaves[..1]));
    assert_eq!(desk.with(Family::Contractor, "one"), [0, 2, 4, 5]);
    assert_eq!(desk.with(Family::Contractor, "two"), [1, 3]);
    assert_eq!(desk.with(Family::Task, "a"), [0, 1, 4, 5]);
    assert_eq!(desk.with(Family::Task, "two"), [3]);
    assert_eq!(desk.with(Family::Field, "$.x"), [0, 1, 4, 5]);
    assert_eq!(desk.with(Family::Field, "$.y"), [0, 1, 2, 4, 5]);
    assert_eq!(desk.with(Family::Field, "$.z"), [4]);
}

#[test]
fn a_customer_that_was_deleted_elsewhere_is_written_again() {
    let mut desk = Desk::new();
    let seen = "SELECT count(*) FROM seen";
    assert!(desk.add(&[leaf("one", "a", &[]), leaf("one", "a", &[]), leaf("two", "a", &[])]));
    assert_eq!(desk.count(seen), 2);
    desk.elsewhere("DELETE FROM seen");
    assert!(desk.add(&[leaf("one", "a", &[])]));
    assert_eq!(desk.count(seen), 1);
    // Its own reading takes the rows of earlier days away.
    desk.index.known(10 * MICROS_PER_DAY).unwrap();
    assert_eq!(desk.count(seen), 0);
    assert!(desk.add(&[leaf("one", "a", &[])]));
    assert_eq!(desk.count(seen), 1);
}

#[test]
fn what_a_failed_batch_had_noted_of_customers_is_not_taken_for_written() {
    let mut desk = Desk::new();
    let leaves = [leaf("one", "a", &[]), "not an entry".to_owned()];
    desk.index.add(leaves.iter().map(|leaf| Some(leaf.as_bytes()))).unwrap_err();
    assert_eq!(desk.count("SELECT count(*) FROM seen"), 0);
    assert!(desk.add(&leaves[..1]));
    assert_eq!(desk.count("SELECT count(*) FROM seen"), 1);
}

#[test]
fn entries_that_may_have_been_deleted_meanwhile_are_not_taken() {
    let mut desk = Desk::new();
    desk.elsewhere("UPDATE state SET value = value + 1 WHERE name = 'forgotten'");
    assert!(!desk.add(&[leaf("one", "a", &[])]));
    assert_eq!((desk.index.indexed(), desk.count("SELECT count(*) FROM named")), (0, 0));
    assert!(desk.add(&[leaf("one", "a", &[])]));
    assert_eq!(desk.index.indexed(), 1);
}

/// As a gateway that has not indexed them yet meets a deletion by another process.
#[test]
fn what_was_deleted_before_it_was_indexed_does_not_come_back_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (path, files) = (folder.path().join("index.db"), folder.path().join("log"));
    let key = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let mut archive = Archive::open_gathered(&files, Signer::log("a/fleet", key).unwrap()).unwrap();
    let mut index = Index::open(&path).unwrap();
    for number in 0..600 {
        archive.append(leaf("one", "a", &["$.x"]).replace("\"x\"", &format!("\"id-{number}\"")));
    }
    archive.seal().unwrap();
    prune::delete_all(0..BUNDLE, &path, &files).unwrap();
    while index.indexed() < 600 {
        index.take_from(&mut archive, 4096).unwrap();
    }
    for table in ["named", "about"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE position < 256");
        let count = |sql: &str| -> i64 {
            Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(&sql), 0, "{table}");
        assert_eq!(count(&format!("SELECT count(*) FROM {table}")), 344, "{table}");
    }
}
