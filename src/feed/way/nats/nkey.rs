//! Keys of NATS users (<https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth>):
//! Ed25519, in base32 with a kind and a checksum; and files that hold one beside a JWT.

use anyhow::{Context, ensure};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// A seed, in five bits; and a user, in eight.
const SEED: u8 = 18 << 3;
const USER: u8 = 20 << 3;
/// Kind, seed, checksum.
const LENGTH: usize = 2 + 32 + 2;

/// As whom somebody signs in.
pub struct Credentials {
    /// Says whose user this is, where the server does not know it by its key.
    pub jwt: Option<String>,
    key: Ed25519KeyPair,
}

impl Credentials {
    /// A file with a JWT and a seed, as NATS's own tools write it, or a seed alone.
    ///
    /// # Errors
    /// Where it is neither. Nothing of it is in the error.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let block = |name: &str| {
            let (_, rest) = text.split_once(&format!("-----BEGIN {name}-----"))?;
            rest.lines().map(str::trim).find(|line| !line.is_empty())
        };
        let jwt = block("NATS USER JWT");
        let seed = block("USER NKEY SEED").or_else(|| jwt.is_none().then(|| text.trim()));
        let seed = seed.context("there is no USER NKEY SEED in it")?;
        Ok(Credentials { jwt: jwt.map(str::to_owned), key: key(seed)? })
    }

    /// The user, as the server names it.
    pub fn public_key(&self) -> String {
        let mut bytes = vec![USER];
        bytes.extend_from_slice(self.key.public_key().as_ref());
        bytes.extend_from_slice(&checksum(&bytes).to_le_bytes());
        encode(&bytes)
    }

    /// Proof that the key is there: the server has chosen `nonce`.
    pub fn sign(&self, nonce: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.key.sign(nonce.as_bytes()))
    }
}

fn key(seed: &str) -> anyhow::Result<Ed25519KeyPair> {
    let bytes = decode(seed).filter(|bytes| bytes.len() == LENGTH).context("its seed is none")?;
    let (content, check) = bytes.split_at(LENGTH - 2);
    ensure!(check == checksum(content).to_le_bytes(), "its seed is mistyped: the checksum is another one");
    // The kind of key stands across both bytes.
    ensure!(
        content[0] & 0xf8 == SEED && (content[0] << 5) | (content[1] >> 3) == USER,
        "its seed is not that of a user"
    );
    Ed25519KeyPair::from_seed_unchecked(&content[2..]).ok().context("its seed is none")
}

/// RFC 4648, section 6, without padding.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (mut bytes, mut bits, mut count) = (Zeroizing::new(Vec::with_capacity(LENGTH)), 0u32, 0);
    for sign in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == sign)?;
        (bits, count) = ((bits << 5) | value as u32, count + 5);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
        if bytes.len() > LENGTH {
            return None;
        }
    }
    Some(bytes)
}

fn encode(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut count) = (String::new(), 0u32, 0);
    for byte in bytes {
        (bits, count) = ((bits << 8) | u32::from(*byte), count + 8);
        while count >= 5 {
            count -= 5;
            text.push(char::from(ALPHABET[(bits >> count) as usize & 31]));
            bits &= (1 << count) - 1;
        }
    }
    if count > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - count)) as usize & 31]));
    }
    text
}

/// CRC-16/XMODEM.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(kind: u8) -> String {
        let mut bytes = vec![SEED | (kind >> 5), kind << 3];
        bytes.extend_from_slice(&[7; 32]);
        bytes.extend_from_slice(&checksum(&bytes).to_le_bytes());
        encode(&bytes)
    }

    #[test]
    fn the_checksum_and_base32_are_those_of_their_documents() {
        // The check value of CRC-16/XMODEM; RFC 4648, section 10.
        assert_eq!(checksum(b"123456789"), 0x31c3);
        assert_eq!(
            (encode(b"fooba"), decode("MZXW6YTB").unwrap().to_vec()),
            ("MZXW6YTB".into(), b"fooba".to_vec())
        );
        assert!(decode("mzxw").is_none() && decode("M1").is_none());
    }

    #[test]
    fn a_file_holds_a_seed_and_perhaps_a_token_and_errors_hold_neither() {
        let seed = seed(USER);
        assert!(seed.starts_with("SU"), "{seed}");
        let alone = Credentials::parse(&format!("{seed}\n")).unwrap();
        assert!(alone.jwt.is_none() && alone.public_key().starts_with('U') && alone.public_key().len() == 56);
        let file = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.a.b\n------END NATS USER JWT------\n\nNOTE\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let both = Credentials::parse(&file).unwrap();
        assert_eq!((both.jwt.as_deref(), both.public_key()), (Some("eyJ0.a.b"), alone.public_key()));
        let mistyped = seed.replacen('S', "T", 2);
        let account = self::seed(0);
        for wrong in ["", "SUA", &mistyped, &account, "-----BEGIN NATS USER JWT-----\neyJ0.a.b\n"] {
            let error = Credentials::parse(wrong).err().unwrap().to_string();
            assert!(!error.contains("SU") && !error.contains("eyJ0"), "{error}");
        }
    }
}
