//! Files that only their owner may read.
//!
//! **Guarantees.** A secret is read only where no one else can read its file, and written with mode
//! 0600, durably, never over another file. An error names the file, never its content.
//!
//! **Trusts** the file system's modes. **Must not** know what the secrets are for. **Called by** all
//! rooms that have some.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} can be read by others (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    Exposed { path: PathBuf, mode: u32 },
}

impl SecretError {
    /// There is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, SecretError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// Reads a secret whole.
///
/// # Errors
/// Where the file cannot be read, or others can read it too.
pub fn read(path: &Path) -> Result<Vec<u8>, SecretError> {
    let io = |source| SecretError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Writes a new file with mode 0600, durably; its folder is made with mode 0700 where it is missing.
///
/// # Errors
/// Where the file exists already or cannot be written.
pub fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = make_folder_of(path)?;
    // Whole or not at all: half a key would look like a damaged one.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let named = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| {
        // Unlike a rename, it never takes the place of another file.
        std::fs::hard_link(&beside, path)
    });
    let _ = std::fs::remove_file(&beside);
    named?;
    File::open(folder)?.sync_all()
}

/// Makes the folder that `path` is to stand in, with mode 0700, where it is missing.
///
/// # Errors
/// Where it cannot be made.
pub fn make_folder_of(path: &Path) -> std::io::Result<&Path> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(folder)
}
