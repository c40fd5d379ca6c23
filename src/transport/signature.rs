//! Signatures of what is posted to a receiver of the company's own.

use anyhow::ensure;
use aws_lc_rs::hmac;

/// Bytes of a key.
const SHORTEST: usize = 16;

/// What bodies are signed with.
pub struct BodyKey(hmac::Key);

impl BodyKey {
    /// White space around it does not count.
    ///
    /// # Errors
    /// Where it is too short.
    pub fn new(bytes: &[u8]) -> anyhow::Result<Self> {
        let bytes = bytes.trim_ascii();
        ensure!(bytes.len() >= SHORTEST, "it is shorter than {SHORTEST} bytes");
        Ok(BodyKey(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// HMAC-SHA-256 (RFC 2104) over the time, a full stop and the body: an old message cannot pass for a new one.
    pub fn sign(&self, seconds: &str, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(seconds.as_bytes());
        context.update(b".");
        context.update(body);
        let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={hex}")
    }
}

/// The innermost cause. What stands around it may name an address, whose path may be a secret.
pub fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_openssl_says() {
        // printf '1795378915.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let key = BodyKey::new(b"0123456789abcdef\n").unwrap();
        assert_eq!(
            key.sign("1795378915", br#"{"a":1}"#),
            "sha256=9642b52f38dc247f61f197a4ba8a42f02c210e926923b12c5e5d0e245d7f988a"
        );
        assert!(BodyKey::new(b"short").is_err());
    }
}
