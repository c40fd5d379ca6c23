use super::super::merkle::Leaves;
use super::super::note::{Signature, Verified};
use super::*;
use aws_lc_rs::signature::Ed25519KeyPair;
use std::fs;
use tempfile::{TempDir, tempdir};

const ORIGIN: &str = "example.com/behind-the-sofa";
const NOW: u64 = 1_679_315_147;

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn log(seed: u8) -> Signer {
    Signer::log(ORIGIN, key(seed)).unwrap()
}

fn cosigner() -> Signer {
    Signer::cosigner("witness.example/w1", key(3)).unwrap()
}

/// A witness that knows two keys of one log.
fn witness(dir: &TempDir) -> Witness {
    let logs = vec![log(1).verifier().clone(), log(2).verifier().clone()];
    Witness::new(cosigner(), logs, dir.path().to_owned()).unwrap()
}

fn signed(size: u64, root: Hash, signers: &[&Signer]) -> String {
    let checkpoint = Checkpoint { origin: signers[0].verifier().name().to_owned(), size, root };
    let mut note = checkpoint.to_note().unwrap();
    signers.iter().for_each(|signer| note.sign(signer).unwrap());
    note.to_string()
}

fn request(leaves: &Leaves, old: u64, new: u64) -> Request {
    let proof = merkle::consistency(leaves, old, new).unwrap();
    Request { old, proof, checkpoint: signed(new, leaves.root(new), &[&log(1)]) }
}

fn ask(witness: &Witness, request: &Request) -> Answer {
    witness.add_checkpoint(request.to_string().as_bytes(), NOW)
}

fn status(witness: &Witness, request: &Request) -> u16 {
    let answer = ask(witness, request);
    assert!(answer.status == 200 || !answer.body.contains('—'));
    answer.status
}

fn conflict(size: &str) -> Answer {
    Answer { status: 409, content_type: Some("text/x.tlog.size"), body: size.to_owned(), failure: None }
}

#[test]
fn the_request_of_the_specification_is_read_and_written_back() {
    let text = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
    let request = Request::parse(text.as_bytes()).unwrap();
    assert_eq!((request.old, request.proof.len()), (20_852_014, 4));
    assert_eq!(request.to_string(), text);
    assert_eq!(Note::parse(&request.checkpoint).unwrap().signatures.len(), 2);
}

#[test]
fn a_growing_log_is_cosigned() {
    let dir = tempdir().unwrap();
    let (witness, leaves) = (witness(&dir), Leaves::numbers(20));
    for (old, new) in [(0, 0), (0, 5), (5, 5), (5, 8), (8, 20)] {
        let request = request(&leaves, old, new);
        let answer = ask(&witness, &request);
        assert_eq!((answer.status, answer.content_type), (200, None), "{}", answer.body);
        let note = Note::parse(request.checkpoint + &answer.body).unwrap();
        assert_eq!(note.verified_by(cosigner().verifier()), Some(Verified { at: Some(NOW) }));
        assert!(Signature::parse(answer.body.trim_end_matches('\n')).is_ok());
    }
}

#[test]
fn the_latest_checkpoint_lasts_and_is_served() {
    let dir = tempdir().unwrap();
    let (first, leaves) = (witness(&dir), Leaves::numbers(9));
    let hash = hex(&merkle::sha256(&[ORIGIN.as_bytes()]));
    assert_eq!(first.checkpoint(&hash).status, 404);
    let mut request = request(&leaves, 0, 9);
    let cosigned = request.checkpoint.clone() + &ask(&first, &request).body;
    let again = witness(&dir);
    let served = again.checkpoint(&hash);
    assert_eq!((served.status, served.body), (200, cosigned));
    assert_eq!(again.checkpoint(&hash.replace('0', "/")).status, 404);
    request.old = 0;
    assert_eq!(ask(&again, &request), conflict("9\n"));
    let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, [hash.as_str()]);
}

#[test]
fn signatures_by_unknown_keys_are_not_kept() {
    let dir = tempdir().unwrap();
    let witness = witness(&dir);
    let root = Leaves::numbers(2).root(2);
    let checkpoint = signed(2, root, &[&log(1), &log(9), &log(2)]);
    assert_eq!(status(&witness, &Request { old: 0, proof: vec![], checkpoint }), 200);
    let kept = Note::parse(witness.checkpoint(&hex(&merkle::sha256(&[ORIGIN.as_bytes()]))).body).unwrap();
    assert_eq!(kept.signatures.len(), 3);
    assert!(kept.verified_by(log(9).verifier()).is_none());
    assert!(kept.verified_by(cosigner().verifier()).is_some());
}

#[test]
fn a_malformed_request_is_answered_with_400() {
    let dir = tempdir().unwrap();
    let (witness, leaves) = (witness(&dir), Leaves::numbers(9));
    let good = request(&leaves, 0, 9).to_string();
    for (from, to) in [
        ("old 0", "old"),
        ("old 0", "old 00"),
        ("old 0", "old -1"),
        ("old 0", "old 0 "),
        ("old 0\n", ""),
        ("old 0\n", "old 0\r\n"),
        ("old 0\n", "old 0\nAAAA\n"),
        ("old 0\n", "\nold 0\n"),
        ("\n9\n", "\n09\n"),
        ("— ", "- "),
        ("=\n\n", "=\n"),
    ] {
        let body = good.replacen(from, to, 1);
        assert_eq!(witness.add_checkpoint(body.as_bytes(), NOW).status, 400, "{to:?}");
    }
    assert_eq!(witness.add_checkpoint(b"", NOW).status, 400);
    assert_eq!(witness.add_checkpoint(b"old 0\n\n\xff", NOW).status, 400);
    assert_eq!(witness.add_checkpoint(good.trim_end().as_bytes(), NOW).status, 400);
    assert_eq!(witness.add_checkpoint(&vec![b'x'; MAX_REQUEST + 1], NOW).status, 400);
    let long = Request { proof: vec![[0; 32]; 64], ..request(&leaves, 0, 9) };
    assert_eq!(status(&witness, &long), 400);
    assert_eq!(status(&witness, &Request { old: 10, ..request(&leaves, 0, 9) }), 400);
}

#[test]
fn an_unknown_log_is_answered_with_404() {
    let dir = tempdir().unwrap();
    let other = Signer::log("example.com/other", key(1)).unwrap();
    let checkpoint = signed(9, [7; 32], &[&other]);
    assert_eq!(status(&witness(&dir), &Request { old: 10, proof: vec![], checkpoint }), 404);
}

#[test]
fn a_checkpoint_not_signed_by_the_log_is_answered_with_403() {
    let dir = tempdir().unwrap();
    let (witness, leaves) = (witness(&dir), Leaves::numbers(9));
    let mut request = request(&leaves, 0, 9);
    let good = request.checkpoint.clone();
    request.checkpoint = signed(9, leaves.root(9), &[&log(9)]);
    assert_eq!(status(&witness, &request), 403);
    request.checkpoint = good.replace("\n9\n", "\n8\n");
    assert_eq!(status(&witness, &request), 403);
    // One key has signed well, and under the name and id of the other there is a bad signature.
    let bad = signed(8, leaves.root(8), &[&log(2)]);
    request.checkpoint = good.clone() + bad.lines().last().unwrap() + "\n";
    assert_eq!(status(&witness, &request), 403);
    request.checkpoint = good;
    assert_eq!(status(&witness, &request), 200);
}

#[test]
fn another_old_size_is_answered_with_409_and_the_size() {
    let dir = tempdir().unwrap();
    let (witness, leaves) = (witness(&dir), Leaves::numbers(9));
    assert_eq!(ask(&witness, &request(&leaves, 3, 9)), conflict("0\n"));
    assert_eq!(status(&witness, &request(&leaves, 0, 5)), 200);
    assert_eq!(ask(&witness, &request(&leaves, 0, 9)), conflict("5\n"));
    assert_eq!(ask(&witness, &request(&leaves, 6, 9)), conflict("5\n"));
}

#[test]
fn a_rollback_is_refused() {
    let dir = tempdir().unwrap();
    let (witness, leaves) = (witness(&dir), Leaves::numbers(9));
    assert_eq!(status(&witness, &request(&leaves, 0, 9)), 200);
    assert_eq!(ask(&witness, &request(&leaves, 0, 5)), conflict("9\n"));
    assert_eq!(ask(&witness, &request(&leaves, 5, 5)), conflict("9\n"));
    assert_eq!(status(&witness, &Request { old: 9, ..request(&leaves, 0, 5) }), 400);
    assert_eq!(status(&witness, &request(&leaves, 9, 9)), 200);
}

#[test]
fn a_fork_is_refused() {
    let dir = tempdir().unwrap();
    let (witness, leaves, mut fork) = (witness(&dir), Leaves::numbers(9), Leaves::numbers(9));
    fork.0[4] = [7; 32];
    assert_eq!(status(&witness, &request(&leaves, 0, 5)), 200);
    assert_eq!(status(&witness, &request(&fork, 5, 5)), 422);
    assert_eq!(status(&witness, &request(&fork, 5, 9)), 422);
    assert_eq!(status(&witness, &request(&leaves, 5, 9)), 200);
}

#[test]
fn a_proof_that_does_not_fit_is_answered_with_422() {
    let dir = tempdir().unwrap();
    let (witness, leaves) = (witness(&dir), Leaves::numbers(9));
    let stray = |request| Request { proof: vec![[7; 32]], ..request };
    assert_eq!(status(&witness, &stray(request(&leaves, 0, 5))), 422);
    let checkpoint = signed(0, [7; 32], &[&log(1)]);
    assert_eq!(status(&witness, &Request { old: 0, proof: vec![], checkpoint }), 422);
    assert_eq!(status(&witness, &request(&leaves, 0, 5)), 200);
    assert_eq!(status(&witness, &stray(request(&leaves, 5, 5))), 422);
    assert_eq!(status(&witness, &stray(request(&leaves, 5, 9))), 422);
    assert_eq!(status(&witness, &Request { proof: vec![], ..request(&leaves, 5, 9) }), 422);
}

#[test]
fn what_cannot_be_kept_is_not_cosigned() {
    let dir = tempdir().unwrap();
    let logs = vec![log(1).verifier().clone()];
    let lost = Witness::new(cosigner(), logs, dir.path().join("missing")).unwrap();
    let request = request(&Leaves::numbers(5), 0, 5);
    let answer = ask(&lost, &request);
    assert_eq!((answer.status, answer.body.as_str()), (500, "the witness has failed\n"));
    assert!(answer.failure.unwrap().contains("missing"));
    let witness = witness(&dir);
    assert_eq!(witness.add_checkpoint(request.to_string().as_bytes(), 0).status, 500);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_record_that_cannot_be_read_is_not_taken_for_none() {
    let dir = tempdir().unwrap();
    let witness = witness(&dir);
    for record in ["", "garbage", &signed(5, [7; 32], &[&Signer::log("other", key(1)).unwrap()])] {
        fs::write(witness.path(ORIGIN), record).unwrap();
        assert_eq!(status(&witness, &request(&Leaves::numbers(9), 0, 9)), 500);
    }
}

#[test]
fn a_folder_has_one_witness() {
    let dir = tempdir().unwrap();
    let open = || Witness::open(cosigner(), vec![], dir.path().join("state"));
    let first = open().unwrap();
    assert_eq!(first.verifier(), cosigner().verifier());
    assert!(matches!(open(), Err(OpenError::InUse(_))));
    drop(first);
    open().unwrap();
}

#[test]
fn a_witness_needs_the_key_of_a_cosigner() {
    assert_eq!(Witness::new(log(1), vec![], PathBuf::new()).err(), Some(NoteError::Type));
}

#[test]
fn of_two_requests_at_once_one_is_cosigned() {
    let dir = tempdir().unwrap();
    let (witness, leaves) = (&witness(&dir), Leaves::numbers(40));
    let requests: Vec<_> = (1..9).map(|size| request(&leaves, 0, size * 5)).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = |request| scope.spawn(move || status(witness, request));
        let asked: Vec<_> = requests.iter().map(ask).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7);
}
