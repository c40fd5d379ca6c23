use aws_lc_rs::signature::Ed25519KeyPair;

use super::*;

fn archive(folder: &Path) -> Archive {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    Archive::open_gathered(folder, Signer::log("a/fleet", key).unwrap()).unwrap()
}

fn fill(archive: &mut Archive, upto: u64) {
    for number in archive.size()..upto {
        let leaf = format!("{{\"index\":{number}}}");
        match number % 5 {
            0 => archive.append_pruned(merkle::leaf_hash(leaf.as_bytes())),
            1 => archive.append_hashed(leaf.as_bytes(), merkle::leaf_hash(leaf.as_bytes())),
            _ => archive.append(leaf),
        }
    }
    archive.seal().unwrap();
}

#[test]
fn entries_in_memory_are_those_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = archive(folder.path());
    for size in [100, 700, 1100] {
        fill(&mut archive, size);
    }
    let ranges = [(0, 1100), (255, 257), (300, 300), (1020, 1050)];
    let read = |archive: &Archive, (from, end): (u64, u64)| -> Vec<Option<Vec<u8>>> {
        let entries = archive.entries(from, end).unwrap();
        entries.into_iter().map(|leaf| leaf.map(Cow::into_owned)).collect()
    };
    let kept = ranges.map(|range| read(&archive, range));
    assert!(kept[0][5].is_none() && kept[0][6].as_deref() == Some(b"{\"index\":6}"));
    archive.release(600);
    assert_eq!(ranges.map(|range| read(&archive, range)), kept);
    archive.forget();
    assert_eq!(ranges.map(|range| read(&archive, range)), kept);
    fill(&mut archive, 1400);
    assert_eq!(read(&archive, (0, 1100)), kept[0]);
}

#[test]
fn what_was_deleted_is_not_read_once_memory_was_told_to_forget() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = archive(folder.path());
    fill(&mut archive, 300);
    let path = folder.path().join(tiles::entries_path(0, None));
    let bundle = tiles::encode_bundle(std::iter::repeat_n(&b""[..], BUNDLE as usize)).unwrap();
    files::replace(&path, &bundle).unwrap();
    archive.forget();
    assert!(archive.entries(0, 256).unwrap().iter().all(Option::is_none));
    assert!(archive.entries(256, 300).unwrap().iter().any(Option::is_some));
}
