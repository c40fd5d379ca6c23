//! One process writes a ledger.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::files;

/// Held for as long as this process is the ledger's only writer.
#[derive(Debug)]
pub struct WriterLock(#[allow(dead_code, reason = "the open file is the lock")] File);

impl WriterLock {
    /// # Errors
    /// Where another process holds it, or its file cannot be made.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let io = |source| StoreError::File { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        files::make_folder(folder)?;
        // One lock for one ledger, by whatever name it is reached.
        let name = path.file_name().unwrap_or_default();
        let real = path
            .canonicalize()
            .or_else(|_| folder.canonicalize().map(|folder| folder.join(name)))
            .map_err(io)?;
        let mut options = File::options();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(lock_file(&real))
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(WriterLock(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

fn lock_file(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
