//! The ledger's keys, each in a file of its own that only its owner can read.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_lc_rs::{digest, rand};

use crate::model::{KeyEpoch, SubjectKey, SubjectKeys};
use crate::secrets::{self, SecretBytes, SecretError};

use super::note::{Signer, is_name};

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
    #[error(
        "{0:?} cannot be the name of a key: write one without spaces and plus signs, such as witness.example/w1"
    )]
    Name(String),
}

/// Reads the keys that name subjects, one for each epoch, or makes the first with the first `ledger`. The
/// key of epoch 1 is at `path`, that of epoch n in `path.n`.
///
/// # Errors
/// Where a file is exposed, damaged, or cannot be read or made; or where one is missing that was not
/// destroyed, and there is a ledger.
pub fn subject_keys(path: &Path, ledger: &Path) -> Result<SubjectKeys, KeyError> {
    let mut epochs = Vec::new();
    for number in 1.. {
        let (file, next) = (epoch_file(path, number), epoch_file(path, number + 1));
        let is_last = !next.exists() && !destroyed(&next).exists();
        if destroyed(&file).exists() {
            // A destruction that broke off is brought to its end.
            if file.exists() {
                wipe(&file)?;
            }
            // The last one is never destroyed; if it was, nothing can be named any more.
            if is_last {
                return Err(KeyError::Lost(file));
            }
            continue;
        }
        if !file.exists() && (ledger.exists() || number > 1) {
            return Err(KeyError::Lost(file));
        }
        epochs.push(KeyEpoch { number, key: load_key(&file)? });
        if is_last {
            break;
        }
    }
    let current = epochs.pop().ok_or_else(|| KeyError::Lost(path.to_owned()))?;
    Ok(SubjectKeys::new(epochs, current))
}

/// The key under which contractors know customers by names of their own; it stays when subject keys change.
/// A ledger of version 0.1 has used its subject key for both, and goes on with it.
///
/// # Errors
/// As [`subject_keys`].
pub fn pseudonym_key(path: &Path, subject_key: &Path) -> Result<SubjectKey, KeyError> {
    if !path.exists() && subject_key.exists() {
        let bytes = secrets::read(subject_key)?;
        write(path, &bytes)?;
    }
    load_key(path)
}

/// Makes the key of the next epoch.
///
/// # Errors
/// Where its file cannot be written.
pub fn begin_epoch(path: &Path, keys: &SubjectKeys) -> Result<KeyEpoch, KeyError> {
    let number = keys.current().number + 1;
    let file = epoch_file(path, number);
    write(&file, &random_key()?)?;
    Ok(KeyEpoch { number, key: load_key(&file)? })
}

/// Destroys the key of an epoch that is over: no entry of it can be linked to a customer any more. True
/// where the names that contractors know customers by came from it too, and are new from now on.
///
/// # Errors
/// Where a file cannot be written or removed.
pub fn destroy_epoch(path: &Path, pseudonym_key: &Path, number: u32) -> Result<bool, KeyError> {
    let file = epoch_file(path, number);
    let shared = number == 1 && secrets::read(pseudonym_key).ok() == secrets::read(&file).ok();
    // The copy goes first: as long as the key is there, it can be told what it is a copy of.
    if shared {
        overwrite(pseudonym_key, &random_key()?)
            .map_err(|source| SecretError::Io { path: pseudonym_key.to_owned(), source })?;
    }
    // From here on it is destroyed; whoever reads the keys next brings it to its end.
    write(&destroyed(&file), b"")?;
    wipe(&file)?;
    Ok(shared)
}

fn wipe(file: &Path) -> Result<(), KeyError> {
    let all = || {
        let length = std::fs::metadata(file)?.len() as usize;
        overwrite(file, &vec![0; length])?;
        std::fs::remove_file(file)?;
        File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    Ok(all().map_err(|source| SecretError::Io { path: file.to_owned(), source })?)
}

/// How many epochs are over whose key is destroyed.
pub fn destroyed_epochs(path: &Path) -> u32 {
    let exists = |number: &u32| {
        let file = epoch_file(path, *number);
        file.exists() || destroyed(&file).exists()
    };
    let gone = |number: &u32| destroyed(&epoch_file(path, *number)).exists();
    (1..).take_while(exists).filter(gone).count() as u32
}

fn overwrite(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()
}

/// The files of the keys that [`subject_keys`] would read.
pub fn subject_key_files(path: &Path) -> Vec<PathBuf> {
    let known = |number: &u32| {
        let file = epoch_file(path, *number);
        *number == 1 || file.exists() || destroyed(&file).exists()
    };
    let files = (1..).take_while(known).map(|number| epoch_file(path, number));
    files.filter(|file| file.exists()).collect()
}

fn epoch_file(path: &Path, number: u32) -> PathBuf {
    match number {
        1 => path.to_owned(),
        _ => with_ending(path, &format!(".{number}")),
    }
}

fn destroyed(file: &Path) -> PathBuf {
    with_ending(file, ".destroyed")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

pub(super) fn load_key(path: &Path) -> Result<SubjectKey, KeyError> {
    let bytes = load_or_make(path, random_key)?;
    let key = <&[u8; SubjectKey::LENGTH]>::try_from(&*bytes);
    key.map(SubjectKey::new)
        .map_err(|_| KeyError::Damaged { path: path.to_owned(), what: "subject key of 32 bytes" })
}

fn random_key() -> Result<SecretBytes, KeyError> {
    let mut key = vec![0; SubjectKey::LENGTH];
    rand::fill(&mut key).map_err(|_| KeyError::NoRandomness)?;
    Ok(key.into())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    Ok(secrets::write(path, bytes).map_err(|source| SecretError::Io { path: path.to_owned(), source })?)
}

/// Who signs the ledger's heads: the key in a file (Ed25519, PKCS #8), which is made where it is missing,
/// under a name. Without one, the name is made from the key.
///
/// # Errors
/// As [`subject_keys`].
pub fn signer(path: &Path, origin: Option<&str>) -> Result<Signer, KeyError> {
    let key = signing_key(path)?;
    let hash = digest::digest(&digest::SHA256, key.public_key().as_ref());
    let short: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let origin = origin.map_or_else(|| format!("fieldgate/{short}"), str::to_owned);
    Signer::log(&origin, key)
        .map_err(|_| KeyError::Damaged { path: path.to_owned(), what: "key for a ledger of this name" })
}

/// Who cosigns as a witness of this name: the key in a file, made as that of [`signer`].
///
/// # Errors
/// As [`subject_keys`], and [`KeyError::Name`].
pub fn cosigner(path: &Path, name: &str) -> Result<Signer, KeyError> {
    // Before a key is made that nobody could use.
    if !is_name(name) {
        return Err(KeyError::Name(name.to_owned()));
    }
    Signer::cosigner(name, signing_key(path)?).map_err(|_| KeyError::Name(name.to_owned()))
}

fn signing_key(path: &Path) -> Result<Ed25519KeyPair, KeyError> {
    let bytes = load_or_make(path, || {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
        let document = pair.to_pkcs8().map_err(|_| KeyError::NoRandomness)?;
        Ok(document.as_ref().to_vec().into())
    })?;
    Ed25519KeyPair::from_pkcs8(&bytes)
        .map_err(|_| KeyError::Damaged { path: path.to_owned(), what: "signing key" })
}

fn load_or_make(
    path: &Path,
    make: impl FnOnce() -> Result<SecretBytes, KeyError>,
) -> Result<SecretBytes, KeyError> {
    match secrets::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.is_missing() => {
            let bytes = make()?;
            write(path, &bytes)?;
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

    fn name(keys: &SubjectKeys) -> crate::model::SubjectPseudonym {
        keys.current().key.pseudonym(Subject::new("c-1"))
    }

    #[test]
    fn keys_are_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger/subject.key");
        let load = || subject_keys(&path, Path::new("/none"));
        assert_eq!(name(&load().unwrap()), name(&load().unwrap()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(matches!(load(), Err(KeyError::Secret(SecretError::Exposed { mode: 0o644, .. }))));
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        secrets::write(&path, b"short").unwrap();
        assert!(matches!(subject_keys(&path, Path::new("/none")), Err(KeyError::Damaged { .. })));
        assert!(matches!(signing_key(&path), Err(KeyError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }

    #[test]
    fn each_epoch_has_its_key_and_a_destroyed_one_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (path, names) = (folder.path().join("subject.key"), folder.path().join("pseudonym.key"));
        let ledger = folder.path();
        let keys = subject_keys(&path, Path::new("/none")).unwrap();
        pseudonym_key(&names, &path).unwrap();
        let first = name(&keys);
        assert_eq!(begin_epoch(&path, &keys).unwrap().number, 2);
        let keys = subject_keys(&path, ledger).unwrap();
        assert_eq!(keys.numbers(), [1, 2]);
        assert!(keys.pseudonyms(Subject::new("c-1")).contains(&first) && name(&keys) != first);
        let old = std::fs::read(&path).unwrap();
        assert!(destroy_epoch(&path, &names, 1).unwrap(), "contractors' names came from it");
        assert_ne!(std::fs::read(&names).unwrap(), old);
        let keys = subject_keys(&path, ledger).unwrap();
        assert_eq!(keys.numbers(), [2]);
        assert_eq!(destroyed_epochs(&path), 1);
        assert!(!keys.pseudonyms(Subject::new("c-1")).contains(&first));
        begin_epoch(&path, &keys).unwrap();
        assert!(!destroy_epoch(&path, &names, 2).unwrap());
        assert_eq!(subject_keys(&path, ledger).unwrap().numbers(), [3]);
        // A destruction that broke off goes on.
        secrets::write(&path, &[1; 32]).unwrap();
        assert_eq!(subject_keys(&path, ledger).unwrap().numbers(), [3]);
        assert!(!path.exists());
        // One that is missing without a word is not taken for a destroyed one.
        std::fs::remove_file(epoch_file(&path, 3)).unwrap();
        assert!(matches!(subject_keys(&path, ledger), Err(KeyError::Lost(_))));
    }
}
