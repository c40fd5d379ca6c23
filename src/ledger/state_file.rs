//! A small file beside the ledger that another room keeps, and can do without.

use std::path::{Path, PathBuf};

use super::disk;
use super::error::StoreError;

/// The file. It is wholly there or not there, mode 0600.
#[derive(Clone, Debug)]
pub struct StateFile(PathBuf);

impl StateFile {
    /// The one of this name beside the ledger whose index is at `path`: `fieldgate.NAME` for `fieldgate.db`.
    pub fn beside(path: &Path, name: &str) -> Self {
        StateFile(path.with_extension(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its content; `None` where there is no such file.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
        disk::read(&self.0).map_err(|source| self.error(source))
    }

    /// Puts `content` in its place. A crash can take this one back, not damage it; the folder is not made.
    ///
    /// # Errors
    /// Where it cannot be written; what was there is then still there.
    pub fn replace(&self, content: &[u8]) -> Result<(), StoreError> {
        disk::replace(&self.0, content).map_err(|source| self.error(source))
    }

    /// Takes it away.
    ///
    /// # Errors
    /// Where that fails.
    pub fn remove(&self) -> Result<(), StoreError> {
        match std::fs::remove_file(&self.0) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(self.error(source)),
            _ => Ok(()),
        }
    }

    fn error(&self, source: std::io::Error) -> StoreError {
        StoreError::File { path: self.0.clone(), source }
    }
}
