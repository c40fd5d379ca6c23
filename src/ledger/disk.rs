//! Files that are wholly there or not there, also after a crash.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Puts the bytes at the path, mode 0600, in place of what is there.
///
/// The bytes go to a temporary name beside it, which is synced and renamed: a reader sees the old file or the
/// new one. The name itself lasts once [`sync_folder`] has run on the folder. Only one writer at a time may
/// write a path.
///
/// # Errors
/// What the file system says.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)
}

/// Makes a folder and those above it where they are missing, mode 0700.
///
/// # Errors
/// What the file system says.
pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes the names in a folder last.
///
/// # Errors
/// What the file system says.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The bytes of a file, or nothing where there is no file.
///
/// # Errors
/// What the file system says, but not that the file is missing.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
