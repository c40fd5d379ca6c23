//! Tokens that were changed on their way, and bytes that never were one.

use proptest::prelude::*;

use super::*;

/// One change to the bytes of a token.
#[derive(Clone, Debug)]
enum Edit {
    Put(u8),
    Insert(u8),
    Remove,
    /// What stands here is repeated.
    Repeat(usize),
    Cut,
}

fn edited(token: &[u8], edits: &[(usize, Edit)]) -> Vec<u8> {
    let mut token = token.to_vec();
    for (at, edit) in edits {
        let at = at % token.len().max(1);
        match edit {
            Edit::Put(byte) => token.iter_mut().skip(at).take(1).for_each(|there| *there = *byte),
            Edit::Insert(byte) => token.insert(at, *byte),
            Edit::Remove => drop(token.drain(at..token.len().min(at + 1))),
            Edit::Repeat(size) => {
                let part = token[at..token.len().min(at + size)].to_vec();
                token.splice(at..at, part);
            }
            Edit::Cut => token.truncate(at),
        }
    }
    token
}

/// Bytes of the alphabet, and others.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![proptest::sample::select(&b"ABCXYZabcxyz0189-_.="[..]), any::<u8>()]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        byte().prop_map(Edit::Put),
        byte().prop_map(Edit::Insert),
        Just(Edit::Remove),
        (1usize..40).prop_map(Edit::Repeat),
        Just(Edit::Cut),
    ]
}

proptest! {
    #[test]
    fn a_changed_token_never_stands(
        edits in proptest::collection::vec((0usize..10_000, edit()), 1..6),
        header in proptest::sample::select(&[ES256, r#"{"alg":"EdDSA","kid":"ed"}"#][..]),
    ) {
        let issuer = Issuer::new();
        let token = issuer.sign(header, &claims().to_string()).into_bytes();
        let changed = edited(&token, &edits);
        let stands = Token::read(&changed)
            .is_ok_and(|read| read.verify(&rule(), &issuer.set(), None, NOW).is_ok());
        prop_assert!(changed == token || !stands, "{}", String::from_utf8_lossy(&changed));
    }

    #[test]
    fn what_is_no_token_and_no_key_set_is_refused_and_nothing_else_happens(bytes: Vec<u8>, text in "[ -~]{0,80}") {
        for part in [&bytes[..], text.as_bytes()] {
            prop_assert!(Token::read(part).is_err());
            let whole = format!("{}.{}.{}", b64(part), b64(part), b64(part));
            prop_assert!(Token::read(whole.as_bytes()).is_err());
            prop_assert!(KeySet::parse(part).is_err());
        }
    }
}
