use super::*;
use proptest::prelude::*;

const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const SIGNED: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
const POEM: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
    — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn log() -> Signer {
    Signer::log("log.example/1", key(1)).unwrap()
}

fn witness() -> Signer {
    Signer::cosigner("witness.example/w", key(2)).unwrap()
}

fn note() -> Note {
    Note::new("log.example/1\n5\nroot\n".to_owned()).unwrap()
}

#[test]
fn the_example_of_the_specification_verifies() {
    let verifier = Verifier::parse(VKEY).unwrap();
    assert_eq!(verifier.to_string(), VKEY);
    assert_eq!((verifier.name(), verifier.is_cosigner()), ("example.com/foo", false));
    let note = Note::parse(SIGNED).unwrap();
    assert_eq!(note.text, "This is an example message.\n");
    assert_eq!(note.verified_by(&verifier), Some(Verified { at: None }));
    assert_eq!(note.to_string(), SIGNED);
}

#[test]
fn a_text_may_hold_empty_lines() {
    let note = Note::parse(POEM).unwrap();
    assert!(note.text.ends_with("sole:\n\ned è subito sera.\n"));
    assert_eq!(note.signatures[0].name(), "quasimodo.example/salvatore");
    assert_eq!(note.to_string(), POEM);
    let mut ends_in_one = Note::new("a\n\n".to_owned()).unwrap();
    ends_in_one.sign(&log()).unwrap();
    assert_eq!(Note::parse(ends_in_one.to_string()), Ok(ends_in_one));
}

#[test]
fn signatures_and_cosignatures_are_read_back_and_verify() {
    let mut note = note();
    note.sign(&log()).unwrap();
    let line = note.cosign(&witness(), 1_679_315_147).unwrap();
    assert_eq!(Signature::parse(&line.to_string()), Ok(line));
    let read = Note::parse(note.to_string().as_bytes()).unwrap();
    assert_eq!(read, note);
    assert_eq!(read.verified_by(log().verifier()), Some(Verified { at: None }));
    assert_eq!(read.verified_by(witness().verifier()), Some(Verified { at: Some(1_679_315_147) }));
}

#[test]
fn the_message_of_a_cosignature_is_that_of_the_specification() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let mut note = Note::new(text.to_owned()).unwrap();
    let line = note.cosign(&witness(), 1_679_315_147).unwrap();
    let message = format!("cosignature/v1\ntime 1679315147\n{text}");
    let (time, signature) = line.bytes.split_at(8);
    assert_eq!(time, 1_679_315_147u64.to_be_bytes());
    let public = UnparsedPublicKey::new(&ED25519, witness().verifier().key);
    assert!(public.verify(message.as_bytes(), signature).is_ok());
    let id = sha256(&[b"witness.example/w\n\x04", &witness().verifier().key]);
    assert_eq!(line.id, id[..4]);
}

#[test]
fn a_verifier_key_is_read_back() {
    for signer in [log(), witness()] {
        assert_eq!(Verifier::parse(&signer.verifier().to_string()).as_ref(), Ok(signer.verifier()));
    }
    assert_ne!(
        Signer::log("a", key(1)).unwrap().verifier().id,
        Signer::cosigner("a", key(1)).unwrap().verifier().id
    );
}

#[test]
fn a_malformed_verifier_key_is_refused() {
    for text in [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k+",
    ] {
        assert_eq!(Verifier::parse(text), Err(NoteError::VerifierKey), "{text}");
    }
    assert_eq!(Verifier::parse(&VKEY.replace("/foo", " foo")), Err(NoteError::Name));
    assert_eq!(Verifier::parse(&VKEY.replace("example.com/foo", "")), Err(NoteError::Name));
}

#[test]
fn a_name_with_spaces_pluses_or_controls_is_refused() {
    for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb", "a\u{1}b"] {
        assert_eq!(Signer::log(name, key(1)).err(), Some(NoteError::Name), "{name:?}");
    }
}

#[test]
fn a_changed_text_does_not_verify() {
    let mut note = note();
    note.sign(&log()).unwrap();
    note.cosign(&witness(), 7).unwrap();
    note.text = note.text.replace('5', "6");
    assert_eq!(note.verify(log().verifier()), Err(NoteError::BadSignature));
    assert_eq!(note.verified_by(log().verifier()), None);
    assert_eq!(note.verified_by(witness().verifier()), None);
}

#[test]
fn a_changed_time_does_not_verify() {
    let mut note = note();
    note.cosign(&witness(), 7).unwrap();
    note.signatures[0].bytes[7] ^= 1;
    assert_eq!(note.verified_by(witness().verifier()), None);
}

#[test]
fn a_signature_by_an_unknown_key_is_ignored() {
    let mut note = note();
    note.sign(&Signer::log("log.example/1", key(9)).unwrap()).unwrap();
    note.sign(&Signer::log("log.example/2", key(1)).unwrap()).unwrap();
    assert_eq!(note.verify(log().verifier()), Ok(None));
    note.sign(&log()).unwrap();
    assert!(note.verified_by(log().verifier()).is_some());
}

#[test]
fn a_bad_signature_beside_a_good_one_is_refused() {
    let mut note = note();
    note.sign(&log()).unwrap();
    let mut bad = note.signatures[0].clone();
    bad.bytes[0] ^= 1;
    note.signatures.push(bad);
    assert_eq!(note.verified_by(log().verifier()), None);
    note.signatures[1].bytes.truncate(3);
    assert_eq!(note.verified_by(log().verifier()), None);
}

#[test]
fn of_two_cosignatures_the_latest_time_counts() {
    let mut note = note();
    for seconds in [5, 9, 7] {
        note.cosign(&witness(), seconds).unwrap();
    }
    assert_eq!(note.verified_by(witness().verifier()), Some(Verified { at: Some(9) }));
}

#[test]
fn a_key_signs_only_as_what_it_is() {
    assert_eq!(note().sign(&witness()), Err(NoteError::Type));
    assert_eq!(note().cosign(&log(), 7), Err(NoteError::Type));
    assert_eq!(note().cosign(&witness(), u64::MAX), Err(NoteError::Time));
    assert!(note().cosign(&witness(), i64::MAX as u64).is_ok());
}

#[test]
fn a_malformed_note_is_refused() {
    let line = SIGNED.split_once("\n\n").unwrap().1;
    for (note, error) in [
        (String::new(), NoteError::Shape),
        ("text\n".to_owned(), NoteError::Shape),
        ("text\n\n".to_owned(), NoteError::Shape),
        (format!("\n{line}"), NoteError::Shape),
        (format!("text\n\n{}", line.trim_end()), NoteError::Shape),
        (format!("te\txt\n\n{line}"), NoteError::Characters),
        (format!("text\r\n\n{line}"), NoteError::Characters),
        (format!("text\n{line}"), NoteError::Shape),
        (format!("text\n\n{line}more\n"), NoteError::SignatureLine),
        (format!("text\n\n{}", line.replace('—', "-")), NoteError::SignatureLine),
        (format!("text\n\n{}", line.replace("foo ", "foo  ")), NoteError::SignatureLine),
        (format!("text\n\n{}", line.replace("foo ", "f+oo ")), NoteError::SignatureLine),
        (format!("text\n\n{}", line.replace("aQM=", "aQN=")), NoteError::SignatureLine),
        ("text\n\n— a AAAAAA==\n".to_owned(), NoteError::SignatureLine),
    ] {
        assert_eq!(Note::parse(&note), Err(error), "{note}");
    }
    assert_eq!(Note::parse([b"text\xff\n\n", line.as_bytes()].concat()), Err(NoteError::Characters));
    assert_eq!(Note::new("no newline".to_owned()), Err(NoteError::Shape));
}

#[test]
fn sizes_are_bounded() {
    let line = SIGNED.split_once("\n\n").unwrap().1;
    assert!(Note::parse(format!("text\n\n{}", line.repeat(100))).is_ok());
    assert_eq!(Note::parse(format!("text\n\n{}", line.repeat(101))), Err(NoteError::TooManySignatures));
    let long = "x".repeat(MAX_NOTE);
    assert_eq!(Note::parse(format!("{long}\n\n{line}")), Err(NoteError::TooLarge));
    let mut full = Note::parse(format!("text\n\n{}", line.repeat(100))).unwrap();
    assert_eq!(full.sign(&log()), Err(NoteError::TooManySignatures));
}

#[test]
fn the_debug_form_of_a_signer_shows_the_name_only() {
    assert_eq!(format!("{:?}", log()), "Signer { name: \"log.example/1\", .. }");
}

proptest! {
    #[test]
    fn what_is_read_is_written_back(text in "[a— +\n]{0,30}\n\n(— a AAAAAAA=\n|\n| ){0,3}") {
        if let Ok(note) = Note::parse(&text) {
            prop_assert_eq!(note.to_string(), text);
        }
    }
}
