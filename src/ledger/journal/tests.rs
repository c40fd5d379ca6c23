use super::*;

const SMALL: u64 = 4096;

struct Desk {
    folder: tempfile::TempDir,
    archived: Arc<AtomicU64>,
}

impl Desk {
    fn new() -> Self {
        Desk { folder: tempfile::tempdir().unwrap(), archived: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn open(&self) -> Result<Journal, StoreError> {
        Journal::open_sized(&self.path(), Arc::clone(&self.archived), File::sync_data, SMALL)
    }

    fn entries(&self) -> Vec<String> {
        let mut entries = Vec::new();
        let mut tail = Tail::new(&self.path(), self.archived.load(Ordering::Relaxed));
        tail.read(u64::MAX, |_, leaf, _| entries.push(String::from_utf8(leaf.to_vec()).unwrap())).unwrap();
        entries
    }

    /// The file that holds the entry, and where in it.
    fn find(&self, entry: &str) -> (PathBuf, usize) {
        segment_files(&self.path())
            .unwrap()
            .into_iter()
            .find_map(|path| {
                let bytes = std::fs::read(&path).unwrap();
                let at = bytes.windows(entry.len()).position(|window| window == entry.as_bytes())?;
                Some((path, at))
            })
            .unwrap()
    }

    fn change(&self, entry: &str, change: impl FnOnce(&mut [u8])) {
        let (path, at) = self.find(entry);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes[at - FRAME..at + entry.len()]);
        std::fs::write(&path, bytes).unwrap();
    }
}

fn entry(number: u64) -> String {
    format!("<entry {number} {}>", "x".repeat(number as usize % 90))
}

fn batch(journal: &mut Journal, count: u64) {
    for _ in 0..count {
        let number = journal.next();
        journal.stage(entry(number).as_bytes());
    }
    journal.commit().unwrap();
}

fn expected(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(entry).collect()
}

#[test]
fn what_was_committed_is_there_again_over_many_segments() {
    let desk = Desk::new();
    let mut journal = desk.open().unwrap();
    for count in [1, 30, 2, 500, 1] {
        batch(&mut journal, count);
    }
    assert_eq!(desk.entries(), expected(0..534));
    drop(journal);
    let mut journal = desk.open().unwrap();
    assert_eq!(journal.next(), 534);
    batch(&mut journal, 3);
    assert_eq!(desk.entries(), expected(0..537));
}

#[test]
fn segments_are_used_again_when_the_archive_has_their_entries() {
    let desk = Desk::new();
    let mut journal = desk.open().unwrap();
    for _ in 0..200 {
        batch(&mut journal, 10);
        desk.archived.store(journal.next(), Ordering::Relaxed);
    }
    batch(&mut journal, 1);
    assert_eq!(desk.entries(), expected(2000..2001));
    let files = segment_files(&desk.path()).unwrap();
    assert!(files.len() <= 3, "{files:?}");
    // What a burst takes is given back.
    for _ in 0..300 {
        batch(&mut journal, 10);
    }
    assert!(segment_files(&desk.path()).unwrap().len() > SPARE + 2);
    desk.archived.store(5001, Ordering::Relaxed);
    batch(&mut journal, 80);
    assert!(segment_files(&desk.path()).unwrap().len() <= SPARE + 2);
    assert_eq!(desk.entries(), expected(5001..5081));
    drop(journal);
    desk.archived.store(5001, Ordering::Relaxed);
    assert_eq!(desk.open().unwrap().next(), 5081);
}

#[test]
fn what_the_archive_has_can_be_wiped() {
    let desk = Desk::new();
    let mut journal = desk.open().unwrap();
    batch(&mut journal, 60);
    assert!(!journal.scrub(60).unwrap(), "nothing is archived");
    assert_eq!(desk.entries(), expected(0..60));
    desk.archived.store(60, Ordering::Relaxed);
    assert!(journal.scrub(60).unwrap());
    batch(&mut journal, 2);
    let left = segment_files(&desk.path()).unwrap().into_iter().flat_map(|path| std::fs::read(path).unwrap());
    let left = String::from_utf8_lossy(&left.collect::<Vec<u8>>()).into_owned();
    assert!(!left.contains("<entry 59") && left.contains("<entry 61"));
    drop(journal);
    let mut journal = desk.open().unwrap();
    assert_eq!(journal.next(), 62);
    // Also what an earlier use has left in a segment that is written again; and it stays whole.
    assert!(!journal.scrub(62).unwrap());
    desk.archived.store(62, Ordering::Relaxed);
    assert!(journal.scrub(62).unwrap());
    batch(&mut journal, 1);
    let left = segment_files(&desk.path()).unwrap().into_iter().flat_map(|path| std::fs::read(path).unwrap());
    let left = String::from_utf8_lossy(&left.collect::<Vec<u8>>()).into_owned();
    assert!(!left.contains("<entry 61") && left.contains("<entry 62"));
}

#[test]
fn a_segment_that_a_failed_write_has_begun_hides_no_entry() {
    let desk = Desk::new();
    let mut journal = desk.open().unwrap();
    batch(&mut journal, 5);
    drop(journal);
    // Two openings without an entry leave two segments that begin with the next number.
    drop(desk.open().unwrap());
    let mut journal = desk.open().unwrap();
    batch(&mut journal, 3);
    assert_eq!(desk.entries(), expected(0..8));
    drop(journal);
    assert_eq!(desk.open().unwrap().next(), 8);
}

#[test]
fn a_damaged_header_is_found() {
    let desk = Desk::new();
    let mut journal = desk.open().unwrap();
    for _ in 0..5 {
        batch(&mut journal, 3);
    }
    drop(journal);
    let (path, _) = desk.find(&entry(4));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[MAGIC.len()] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(desk.open(), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_reader_that_follows_the_writer_misses_nothing() {
    let follow = |recent: Arc<Recent>, told: Arc<Recent>| {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap().telling(told);
        let mut tail = Tail::new(&desk.path(), 0).believing(recent);
        let mut read = 0;
        for round in 0..300 {
            batch(&mut journal, 1 + round % 7);
            let upto = journal.next() - round % 3;
            tail.read(upto, |number, leaf, hash| {
                assert_eq!(hash, merkle::leaf_hash(leaf));
                assert_eq!(leaf, entry(number).as_bytes());
                read += 1;
            })
            .unwrap();
            assert_eq!(read, upto);
            desk.archived.store(upto, Ordering::Relaxed);
        }
    };
    let recent: Arc<Recent> = Arc::default();
    follow(Arc::default(), Arc::default());
    follow(Arc::clone(&recent), Arc::clone(&recent));
    assert!(recent.take(0).is_empty());
}

#[test]
fn an_entry_that_was_changed_before_it_is_read_is_not_where_it_was_written() {
    let forge = |frame: &mut [u8]| {
        *frame.last_mut().unwrap() ^= 1;
        let hash = merkle::leaf_hash(&frame[FRAME..]);
        frame[24..32].copy_from_slice(&hash[..8]);
    };
    for forge_check in [false, true] {
        let desk = Desk::new();
        let recent: Arc<Recent> = Arc::default();
        let mut journal = desk.open().unwrap().telling(Arc::clone(&recent));
        batch(&mut journal, 3);
        let (path, _) = desk.find(&entry(1));
        let whole = std::fs::read(&path).unwrap();
        desk.change(&entry(1), |frame| match forge_check {
            true => forge(frame),
            false => *frame.last_mut().unwrap() ^= 1,
        });
        let mut tail = Tail::new(&desk.path(), 0).believing(recent);
        let mut read = Vec::new();
        let mut show = |number, leaf: &[u8], hash| read.push((number, hash == merkle::leaf_hash(leaf)));
        tail.read(3, &mut show).unwrap();
        assert_eq!(tail.next, 1);
        // What was only read wrong is there the next time.
        std::fs::write(&path, &whole).unwrap();
        tail.read(3, &mut show).unwrap();
        assert_eq!(read, [(0, true), (1, true), (2, true)]);
    }
}

#[test]
fn what_a_crash_left_of_the_last_batch_is_dropped() {
    for broken in 10..14 {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap();
        batch(&mut journal, 10);
        batch(&mut journal, 4);
        drop(journal);
        desk.change(&entry(broken), |frame| *frame.last_mut().unwrap() ^= 1);
        let mut journal = desk.open().unwrap();
        assert_eq!(journal.next(), broken);
        assert_eq!(desk.entries(), expected(0..broken));
        // What is left of it never comes back.
        batch(&mut journal, 1);
        drop(journal);
        assert_eq!(desk.open().unwrap().next(), broken + 1);
    }
}

#[test]
fn a_changed_byte_in_an_acknowledged_entry_is_found_and_located() {
    let width = FRAME + entry(4).len();
    for byte in 0..width {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap();
        batch(&mut journal, 3);
        batch(&mut journal, 3);
        batch(&mut journal, 3);
        drop(journal);
        desk.change(&entry(4), |frame| frame[byte] ^= 0x10);
        match desk.open() {
            Err(StoreError::Damaged { entry: 4, .. }) => {}
            // The batch's number says something only where there is damage.
            Ok(_) if (16..24).contains(&byte) => {}
            other => panic!("byte {byte}: {:?}", other.map(|journal| journal.next())),
        }
    }
}

#[test]
fn a_missing_segment_is_found() {
    let desk = Desk::new();
    let mut journal = desk.open().unwrap();
    for _ in 0..30 {
        batch(&mut journal, 10);
    }
    drop(journal);
    let (path, _) = desk.find(&entry(150));
    std::fs::remove_file(path).unwrap();
    assert!(matches!(desk.open(), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_segment_that_was_deleted_or_replaced_takes_nothing_more() {
    let desk = Desk::new();
    let mut journal = desk.open().unwrap();
    batch(&mut journal, 1);
    let (path, _) = desk.find(&entry(0));
    std::fs::remove_file(&path).unwrap();
    journal.stage(b"lost");
    assert!(matches!(journal.commit(), Err(StoreError::Replaced(_))));
    std::fs::write(&path, "another").unwrap();
    assert!(matches!(journal.commit(), Err(StoreError::Replaced(_))));
}

#[test]
fn a_frame_is_what_readers_of_every_version_know() {
    let desk = Desk::new();
    let mut journal = desk.open().unwrap();
    batch(&mut journal, 2);
    journal.stage(b"first of its batch");
    journal.stage_written(|batch| batch.extend_from_slice(b"written"));
    let mut expected = Vec::new();
    for (number, leaf) in [(2u64, &b"first of its batch"[..]), (3, b"written")] {
        for number in [leaf.len() as u64, number, 2] {
            expected.extend_from_slice(&number.to_le_bytes());
        }
        expected.extend_from_slice(&merkle::leaf_hash(leaf)[..8]);
        expected.extend_from_slice(leaf);
        expected.resize(expected.len().next_multiple_of(8), 0);
    }
    assert_eq!(journal.batch, expected);
}
