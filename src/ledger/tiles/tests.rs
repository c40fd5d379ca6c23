use std::collections::BTreeSet;

use super::super::merkle::{self, Leaves};
use super::*;
use tempfile::{TempDir, tempdir};

fn folder(dir: &TempDir) -> PathBuf {
    dir.path().join("log")
}

/// A log that wrote at these sizes.
fn grown(dir: &TempDir, leaves: &Leaves, sizes: &[u64]) -> Tiles {
    let mut tiles = Tiles::open(folder(dir), 0).unwrap();
    for size in sizes {
        grow(&mut tiles, leaves, *size);
    }
    tiles
}

fn grow(tiles: &mut Tiles, leaves: &Leaves, size: u64) {
    for index in tiles.size()..size {
        tiles.append(leaves.0[index as usize]);
    }
    tiles.write().unwrap();
}

/// The files below the folder, by their paths.
fn files(dir: &TempDir) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder(dir)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder(dir)).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn has(dir: &TempDir, path: String) -> bool {
    folder(dir).join(path).is_file()
}

#[test]
fn paths_are_those_of_the_specification() {
    assert_eq!(tile_path(0, 1_234_067, Some(8)), "tile/0/x001/x234/067.p/8");
    assert_eq!(tile_path(3, 0, None), "tile/3/000");
    assert_eq!(tile_path(0, 999, None), "tile/0/999");
    assert_eq!(tile_path(0, 1000, None), "tile/0/x001/000");
    assert_eq!(entries_path(1_000_000, Some(255)), "tile/entries/x001/x000/000.p/255");
    assert_eq!(entries_path(u64::MAX, None), "tile/entries/x018/x446/x744/x073/x709/x551/615");
}

#[test]
fn a_bundle_is_split_into_what_it_was_made_of() {
    let long = vec![7; 65535];
    let entries: Vec<&[u8]> = vec![b"one", b"", &long, b"4"];
    let bundle = encode_bundle(entries.iter().copied()).unwrap();
    assert_eq!(bundle[..5], *b"\0\x03one");
    assert_eq!(split_bundle(&bundle), Ok(entries));
    assert_eq!(split_bundle(b""), Ok(vec![]));
    assert_eq!(split_bundle(b"\0\0"), Ok(vec![&b""[..]]));
}

#[test]
fn a_malformed_bundle_is_refused() {
    assert_eq!(split_bundle(b"\0"), Err(BundleError::Cut));
    assert_eq!(split_bundle(b"\0\x03on"), Err(BundleError::Cut));
    assert_eq!(split_bundle(&[0; 512]).map(|entries| entries.len()), Ok(256));
    assert_eq!(split_bundle(&[0; 514]), Err(BundleError::TooMany));
    assert_eq!(encode_bundle(std::iter::repeat_n(&b""[..], 257)), Err(BundleError::TooMany));
    assert_eq!(encode_bundle(std::iter::once(&[0; 65536][..])), Err(BundleError::TooLong));
}

#[test]
fn the_tiles_of_the_example_of_the_specification_are_written() {
    let dir = tempdir().unwrap();
    let mut tiles = Tiles::open(folder(&dir), 0).unwrap();
    (0..70_000u64).for_each(|number| tiles.append(merkle::leaf_hash(&number.to_be_bytes())));
    tiles.write().unwrap();
    let mut expected: BTreeSet<String> = (0..273).map(|n| tile_path(0, n, None)).collect();
    expected.insert(tile_path(0, 273, Some(112)));
    expected.insert(tile_path(1, 0, None));
    expected.insert(tile_path(1, 1, Some(17)));
    expected.insert(tile_path(2, 0, Some(1)));
    assert_eq!(files(&dir), expected);
    let reopened = Tiles::open(folder(&dir), 70_000).unwrap();
    assert_eq!((reopened.size(), reopened.root()), (70_000, tiles.root()));
    let reader = TileReader::new(folder(&dir), 70_000);
    for index in [0, 255, 256, 65_535, 65_536, 69_999] {
        let leaf = merkle::leaf_hash(&u64::to_be_bytes(index));
        let proof = merkle::inclusion(&reader, index, 70_000).unwrap();
        assert!(merkle::verify_inclusion(&leaf, index, 70_000, &proof, &tiles.root()));
    }
}

#[test]
fn proofs_from_tiles_are_those_from_the_leaves() {
    let dir = tempdir().unwrap();
    let leaves = Leaves::numbers(600);
    let sizes = [1, 2, 255, 256, 257, 511, 512, 513, 600];
    let tiles = grown(&dir, &leaves, &sizes);
    assert_eq!((tiles.size(), tiles.root()), (600, leaves.root(600)));
    for size in sizes {
        let reader = TileReader::new(folder(&dir), size);
        for index in (0..size).step_by(7) {
            let proof = merkle::inclusion(&reader, index, size).unwrap();
            assert_eq!(Ok(proof), merkle::inclusion(&leaves, index, size));
            let proof = merkle::consistency(&reader, index, size).unwrap();
            assert_eq!(Ok(proof), merkle::consistency(&leaves, index, size));
        }
    }
}

#[test]
fn a_log_goes_on_after_it_was_opened_again() {
    let dir = tempdir().unwrap();
    let leaves = Leaves::numbers(530);
    for (from, to) in [(0, 3), (3, 200), (200, 256), (256, 256), (256, 300), (300, 512), (512, 530)] {
        let mut tiles = Tiles::open(folder(&dir), from).unwrap();
        assert_eq!((tiles.size(), tiles.root()), (from, leaves.root(from)));
        grow(&mut tiles, &leaves, to);
        assert_eq!(tiles.root(), leaves.root(to));
    }
}

#[test]
fn partial_tiles_go_when_the_full_one_is_there() {
    let dir = tempdir().unwrap();
    let leaves = Leaves::numbers(300);
    let mut tiles = grown(&dir, &leaves, &[10, 20]);
    assert!(has(&dir, tile_path(0, 0, Some(10))) && has(&dir, tile_path(0, 0, Some(20))));
    grow(&mut tiles, &leaves, 300);
    let expected = [tile_path(0, 0, None), tile_path(0, 1, Some(44)), tile_path(1, 0, Some(1))];
    assert_eq!(files(&dir), expected.into_iter().collect());
}

#[test]
fn what_did_not_change_is_not_written_again() {
    let dir = tempdir().unwrap();
    let leaves = Leaves::numbers(302);
    let mut tiles = grown(&dir, &leaves, &[300]);
    for path in [tile_path(0, 0, None), tile_path(1, 0, Some(1)), tile_path(0, 1, Some(44))] {
        fs::remove_file(folder(&dir).join(path)).unwrap();
    }
    tiles.write().unwrap();
    assert!(files(&dir).is_empty());
    grow(&mut tiles, &leaves, 302);
    assert_eq!(files(&dir), [tile_path(0, 1, Some(46))].into_iter().collect());
}

#[test]
fn a_missing_tile_at_the_edge_is_an_error() {
    for path in [tile_path(0, 0, None), tile_path(0, 1, Some(44)), tile_path(1, 0, Some(1))] {
        let dir = tempdir().unwrap();
        grown(&dir, &Leaves::numbers(300), &[300]);
        fs::remove_file(folder(&dir).join(&path)).unwrap();
        let error = Tiles::open(folder(&dir), 300).unwrap_err();
        assert!(matches!(&error, TileError::Missing(at) if at.ends_with(&path)), "{error}");
        assert!(error.to_string().contains(&path));
    }
    let dir = tempdir().unwrap();
    assert!(matches!(Tiles::open(folder(&dir), 5), Err(TileError::Missing(_))));
}

#[test]
fn a_short_or_long_tile_is_an_error() {
    for (path, length) in
        [(tile_path(0, 0, None), 8191), (tile_path(0, 1, Some(44)), 43 * 32), (tile_path(1, 0, Some(1)), 64)]
    {
        let dir = tempdir().unwrap();
        grown(&dir, &Leaves::numbers(300), &[300]);
        fs::write(folder(&dir).join(&path), vec![0; length]).unwrap();
        assert!(matches!(Tiles::open(folder(&dir), 300), Err(TileError::Length(at)) if at.ends_with(&path)));
    }
}

#[test]
fn a_full_tile_that_does_not_fit_the_one_above_is_an_error() {
    let dir = tempdir().unwrap();
    grown(&dir, &Leaves::numbers(300), &[300]);
    fs::write(folder(&dir).join(tile_path(0, 0, None)), [7; 8192]).unwrap();
    assert!(matches!(Tiles::open(folder(&dir), 300), Err(TileError::Hash(_))));
}

#[test]
fn a_size_whose_partial_tile_is_gone_is_read_from_a_wider_one() {
    let dir = tempdir().unwrap();
    let leaves = Leaves::numbers(300);
    let mut tiles = grown(&dir, &leaves, &[10, 20, 30]);
    fs::remove_file(folder(&dir).join(tile_path(0, 0, Some(10)))).unwrap();
    assert_eq!(Tiles::open(folder(&dir), 10).unwrap().root(), leaves.root(10));
    grow(&mut tiles, &leaves, 300);
    let reader = TileReader::new(folder(&dir), 10);
    assert_eq!(merkle::inclusion(&reader, 3, 10).unwrap(), merkle::inclusion(&leaves, 3, 10).unwrap());
}

#[test]
fn writes_that_were_lost_do_not_disturb_what_comes_after() {
    let dir = tempdir().unwrap();
    let (lost, mut kept) = (Leaves::numbers(600), Leaves::numbers(600));
    kept.0[200..].iter_mut().for_each(|hash| hash[0] ^= 1);
    // The log wrote 600 leaves and then failed before the checkpoint: it is opened at 200 again.
    let mut tiles = grown(&dir, &lost, &[200]);
    grow(&mut tiles, &lost, 600);
    let mut tiles = Tiles::open(folder(&dir), 200).unwrap();
    assert_eq!(tiles.root(), kept.root(200));
    for size in [210, 256, 300, 512, 520] {
        grow(&mut tiles, &kept, size);
        assert_eq!(Tiles::open(folder(&dir), size).unwrap().root(), kept.root(size));
        let reader = TileReader::new(folder(&dir), size);
        let proof = merkle::consistency(&reader, 200, size).unwrap();
        assert!(merkle::verify_consistency(200, &kept.root(200), size, &kept.root(size), &proof));
    }
}

#[test]
fn a_log_that_was_opened_again_goes_on_over_full_tiles_of_every_level() {
    let dir = tempdir().unwrap();
    let leaves = Leaves::numbers(65_900);
    grown(&dir, &leaves, &[65_300]);
    let mut tiles = Tiles::open(folder(&dir), 65_300).unwrap();
    grow(&mut tiles, &leaves, 65_900);
    assert_eq!(Tiles::open(folder(&dir), 65_900).unwrap().root(), leaves.root(65_900));
    let read = |level, n| TileReader::new(folder(&dir), 65_900).read(level, n).unwrap();
    // Each hash of a tile above is the root of a tile below.
    assert_eq!(read(1, 0), (0..256).map(|n| subtree(&read(0, n))).collect::<Vec<_>>());
    assert_eq!(read(2, 0), [subtree(&read(1, 0))]);
}

#[test]
fn a_subtree_outside_of_the_tree_is_an_error() {
    let dir = tempdir().unwrap();
    grown(&dir, &Leaves::numbers(300), &[300]);
    let reader = TileReader::new(folder(&dir), 300);
    for (level, index) in
        [(0, 300), (8, 1), (9, 0), (63, 0), (64, 0), (255, 0), (0, u64::MAX), (63, u64::MAX)]
    {
        assert!(matches!(reader.node(level, index), Err(TileError::Outside { .. })), "{level} {index}");
    }
    assert!(reader.node(8, 0).is_ok() && reader.node(0, 299).is_ok());
}

#[cfg(unix)]
#[test]
fn files_and_folders_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempdir().unwrap();
    grown(&dir, &Leaves::numbers(3), &[3]);
    let mode = |path: &str| fs::metadata(folder(&dir).join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("tile/0"), mode("tile/0/000.p/3")), (0o700, 0o700, 0o600));
}
