//! The ledger's two keys, each in a file of its own that only its owner can read.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use aws_lc_rs::signature::Ed25519KeyPair;

use crate::model::SubjectKey;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} can be read by others (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} does not hold a {what}; restore it from a backup: a new one would not fit the ledger", path.display())]
    Damaged { path: PathBuf, what: &'static str },
    #[error("the operating system gives no random numbers")]
    NoRandomness,
}

/// Reads the key that names subjects, or makes it.
///
/// # Errors
/// Where the file is exposed, damaged, or cannot be read or made.
pub fn subject_key(path: &Path) -> Result<SubjectKey, KeyError> {
    let bytes = load_or_make(path, || {
        let mut key = vec![0; SubjectKey::LENGTH];
        rand::fill(&mut key).map_err(|_| KeyError::NoRandomness)?;
        Ok(key)
    })?;
    let key = <&[u8; SubjectKey::LENGTH]>::try_from(bytes.as_slice());
    key.map(SubjectKey::new).map_err(|_| KeyError::Damaged {
        path: path.to_owned(),
        what: "subject key of 32 bytes",
    })
}

/// Reads the key that signs tree heads (Ed25519, PKCS #8), or makes it.
///
/// # Errors
/// As [`subject_key`].
pub fn signing_key(path: &Path) -> Result<Ed25519KeyPair, KeyError> {
    let bytes = load_or_make(path, || {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
        let document = pair.to_pkcs8().map_err(|_| KeyError::NoRandomness)?;
        Ok(document.as_ref().to_vec())
    })?;
    Ed25519KeyPair::from_pkcs8(&bytes).map_err(|_| KeyError::Damaged {
        path: path.to_owned(),
        what: "signing key",
    })
}

fn load_or_make(path: &Path, make: impl FnOnce() -> Result<Vec<u8>, KeyError>) -> Result<Vec<u8>, KeyError> {
    let io = |source| KeyError::Io {
        path: path.to_owned(),
        source,
    };
    match File::open(path) {
        Ok(mut file) => {
            let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(KeyError::Exposed {
                    path: path.to_owned(),
                    mode,
                });
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(io)?;
            Ok(bytes)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let bytes = make()?;
            write_secret(path, &bytes).map_err(io)?;
            Ok(bytes)
        }
        Err(error) => Err(io(error)),
    }
}

/// Writes a new file with mode 0600, durably; its folder is made with mode 0700 where it is missing.
///
/// # Errors
/// Where the file exists already or cannot be written.
pub fn write_secret(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Subject;

    #[test]
    fn keys_are_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger/subject.key");
        let name = subject_key(&path).unwrap().pseudonym(&Subject::new("c-1".into()));
        assert_eq!(
            name,
            subject_key(&path).unwrap().pseudonym(&Subject::new("c-1".into()))
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(matches!(
            subject_key(&path),
            Err(KeyError::Exposed { mode: 0o644, .. })
        ));
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        write_secret(&path, b"short").unwrap();
        assert!(matches!(subject_key(&path), Err(KeyError::Damaged { .. })));
        assert!(matches!(signing_key(&path), Err(KeyError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }
}
