//! What an export holds, and the hash of its bytes.

use std::io::{self, Write};

use aws_lc_rs::digest;
use serde::Serialize;

use super::Form;

/// Says what an export is of, so that it can be checked against its file and the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Which entries were asked for.
    pub filter: String,
    /// Entries in the export, pruned ones too.
    pub rows: u64,
    /// Entries in the ledger at the time of the export.
    pub tree_size: u64,
    /// Root hash of the tree of that size (RFC 6962, section 2.1), if it is known.
    pub root: Option<String>,
    /// SHA-256 of the export's bytes (FIPS 180-4), in hexadecimal: see [`Hashing`].
    pub sha256: String,
    /// RFC 3339, UTC.
    pub exported_at: String,
    pub format: Form,
}

impl Manifest {
    /// One JSON object over several lines, and a newline.
    ///
    /// # Errors
    /// None is known: it is a structure of strings and numbers.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

/// Passes bytes on and computes their SHA-256. Only bytes that the output took are in the hash.
pub struct Hashing<W: Write> {
    out: W,
    context: digest::Context,
}

impl<W: Write> Hashing<W> {
    pub fn new(out: W) -> Self {
        Self { out, context: digest::Context::new(&digest::SHA256) }
    }

    /// The output, and the hash in 64 hexadecimal digits. It does not flush.
    pub fn finish(self) -> (W, String) {
        let digest = self.context.finish();
        (self.out, digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        // An output that claims more than it got is wrong, but no reason to stop the program.
        self.context.update(bytes.get(..taken).unwrap_or(bytes));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4 examples: the message `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// Takes one byte at a time.
    struct Slow(Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend(bytes.first());
            Ok(bytes.len().min(1))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_hash_is_over_what_was_taken() {
        let mut hashing = Hashing::new(Slow(Vec::new()));
        hashing.write_all(b"abc").unwrap();
        let (out, hash) = hashing.finish();
        assert_eq!((out.0.as_slice(), hash.as_str()), (b"abc".as_slice(), ABC));
    }

    #[test]
    fn a_manifest_is_json_with_names_that_stay() {
        let manifest = Manifest {
            filter: "contractor = helpdesk".into(),
            rows: 2,
            tree_size: 8,
            root: None,
            sha256: ABC.into(),
            exported_at: "2026-11-25T12:48:47Z".into(),
            format: Form::JsonLines,
        };
        let json: serde_json::Value = serde_json::from_slice(&manifest.to_json().unwrap()).unwrap();
        let expected = serde_json::json!({
            "filter": "contractor = helpdesk", "rows": 2, "tree_size": 8, "root": null, "sha256": ABC,
            "exported_at": "2026-11-25T12:48:47Z", "format": "json-lines",
        });
        assert_eq!(json, expected);
    }
}
