//! [`disk`](super::disk), with errors that name the file.

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::disk;
use super::error::StoreError;

/// Puts `content` in the place of `path`, with mode 0600. When this returns, it is on the disk.
///
/// # Errors
/// Where it cannot be written; what was there is then still there.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    disk::replace(path, content).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
    sync_folder_of(path)
}

/// # Errors
/// Where the folder cannot be synced.
pub fn sync_folder_of(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk::sync_folder(folder).map_err(|source| StoreError::File { path: folder.to_owned(), source })
}

/// Makes a folder with mode 0700 where it is missing, and those above it.
///
/// # Errors
/// Where it cannot be made.
pub fn make_folder(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_folder(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::File { path: path.to_owned(), source })
        }
        _ => sync_folder_of(path),
    }
}

/// The file's number in the file system; 0 where there is none.
pub fn inode(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.ino())
}

/// SQLite gives its write-ahead log the mode of the database file. A copy that was put back may have
/// another one.
pub(super) fn make_private(path: &Path) -> std::io::Result<()> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}
