//! The ledger's two keys, each in a file of its own that only its owner can read.

use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_lc_rs::{digest, rand};

use crate::model::SubjectKey;
use crate::secrets::{self, SecretError};

use super::note::Signer;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{} does not hold a {what}; restore it from a backup: a new one would not fit the ledger", path.display())]
    Damaged { path: PathBuf, what: &'static str },
    #[error("{} is missing and there is a ledger already: restore it from a backup; a new key would name all customers anew", .0.display())]
    Lost(PathBuf),
    #[error("the operating system gives no random numbers")]
    NoRandomness,
}

/// Reads the key that names subjects, or makes it with the first `ledger`.
///
/// # Errors
/// Where the file is exposed, damaged, or cannot be read or made; or where it is missing and there is a
/// ledger.
pub fn subject_key(path: &Path, ledger: &Path) -> Result<SubjectKey, KeyError> {
    if !path.exists() && ledger.exists() {
        return Err(KeyError::Lost(path.to_owned()));
    }
    let bytes = load_or_make(path, || {
        let mut key = vec![0; SubjectKey::LENGTH];
        rand::fill(&mut key).map_err(|_| KeyError::NoRandomness)?;
        Ok(key)
    })?;
    let key = <&[u8; SubjectKey::LENGTH]>::try_from(bytes.as_slice());
    key.map(SubjectKey::new)
        .map_err(|_| KeyError::Damaged { path: path.to_owned(), what: "subject key of 32 bytes" })
}

/// Who signs the ledger's heads: the key in a file (Ed25519, PKCS #8), which is made where it is missing,
/// under a name. Without one, the name is made from the key.
///
/// # Errors
/// As [`subject_key`].
pub fn signer(path: &Path, origin: Option<&str>) -> Result<Signer, KeyError> {
    let key = signing_key(path)?;
    let hash = digest::digest(&digest::SHA256, key.public_key().as_ref());
    let short: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let origin = origin.map_or_else(|| format!("fieldgate/{short}"), str::to_owned);
    Signer::log(&origin, key)
        .map_err(|_| KeyError::Damaged { path: path.to_owned(), what: "key for a ledger of this name" })
}

fn signing_key(path: &Path) -> Result<Ed25519KeyPair, KeyError> {
    let bytes = load_or_make(path, || {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
        let document = pair.to_pkcs8().map_err(|_| KeyError::NoRandomness)?;
        Ok(document.as_ref().to_vec())
    })?;
    Ed25519KeyPair::from_pkcs8(&bytes)
        .map_err(|_| KeyError::Damaged { path: path.to_owned(), what: "signing key" })
}

fn load_or_make(path: &Path, make: impl FnOnce() -> Result<Vec<u8>, KeyError>) -> Result<Vec<u8>, KeyError> {
    match secrets::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.is_missing() => {
            let bytes = make()?;
            secrets::write(path, &bytes)
                .map_err(|source| SecretError::Io { path: path.to_owned(), source })?;
            Ok(bytes)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::model::Subject;

    #[test]
    fn keys_are_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger/subject.key");
        let name = subject_key(&path, Path::new("/none")).unwrap().pseudonym(Subject::new("c-1"));
        assert_eq!(name, subject_key(&path, Path::new("/none")).unwrap().pseudonym(Subject::new("c-1")));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(matches!(
            subject_key(&path, Path::new("/none")),
            Err(KeyError::Secret(SecretError::Exposed { mode: 0o644, .. }))
        ));
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        secrets::write(&path, b"short").unwrap();
        assert!(matches!(subject_key(&path, Path::new("/none")), Err(KeyError::Damaged { .. })));
        assert!(matches!(signing_key(&path), Err(KeyError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }
}
