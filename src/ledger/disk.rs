//! Files that are wholly there or not there, also after a crash.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Puts the bytes at the path, mode 0600, in place of what is there.
///
/// The bytes go to a temporary name beside it, which is synced and renamed: a reader sees the old file or the
/// new one. The name itself lasts once [`sync_folder`] has run on the folder. Only one writer at a time may
/// write a path.
///
/// # Errors
/// What the file system says.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = write_new(path, bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary(path), path)
}

fn temporary(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    temporary.into()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(temporary(path))?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Files that are open at once at most, until they are in their places.
const OPEN: usize = 16;

/// The same of many files: the file system has the bytes of several before it is asked for the first one, and each
/// folder is synced once. They come into their places one after the other; all of them last when [`finish`](Self::finish)
/// returns, and not before.
#[derive(Debug, Default)]
pub(super) struct Replacing {
    files: Vec<(PathBuf, File)>,
    folders: BTreeSet<PathBuf>,
}

/// What could not be written, and what the file system said.
pub(super) type Failed = (PathBuf, io::Error);

impl Replacing {
    /// Puts the bytes beside the path. Its folder is there.
    ///
    /// # Errors
    /// What the file system says of a file.
    pub fn add(&mut self, path: PathBuf, bytes: &[u8]) -> Result<(), Failed> {
        match write_new(&path, bytes) {
            Ok(file) => self.files.push((path, file)),
            Err(error) => return Err((path, error)),
        }
        if self.files.len() < OPEN { Ok(()) } else { self.put() }
    }

    /// Names a folder whose names may be new.
    pub fn touch(&mut self, folder: &Path) {
        if !self.folders.contains(folder) {
            self.folders.insert(folder.to_owned());
        }
    }

    fn put(&mut self) -> Result<(), Failed> {
        for (path, file) in &self.files {
            file.sync_all().map_err(|error| (path.clone(), error))?;
        }
        for (path, file) in self.files.drain(..) {
            drop(file);
            fs::rename(temporary(&path), &path).map_err(|error| (path, error))?;
        }
        Ok(())
    }

    /// Puts the files in their places, and syncs the folders.
    ///
    /// # Errors
    /// What the file system says of a file or a folder; some may then be in their places.
    pub fn finish(mut self) -> Result<(), Failed> {
        self.put()?;
        for folder in self.folders {
            sync_folder(&folder).map_err(|error| (folder, error))?;
        }
        Ok(())
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn many_files_come_into_their_places_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = |number: usize| folder.path().join(number.to_string());
        fs::write(path(3), "before").unwrap();
        let mut replacing = Replacing::default();
        let count = 2 * OPEN + 5;
        (0..count).for_each(|number| replacing.add(path(number), number.to_string().as_bytes()).unwrap());
        // Whatever is not finished is not seen.
        assert!(!path(count - 1).exists());
        replacing.touch(folder.path());
        replacing.finish().unwrap();
        assert!((0..count).all(|number| fs::read_to_string(path(number)).unwrap() == number.to_string()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), count);
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing").join("x");
        let (path, error) = Replacing::default().add(missing.clone(), b"x").unwrap_err();
        assert_eq!((path, error.kind()), (missing.clone(), io::ErrorKind::NotFound));
        let mut replacing = Replacing::default();
        replacing.touch(&missing);
        assert_eq!(replacing.finish().unwrap_err().0, missing);
    }
}
