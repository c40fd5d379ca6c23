//! Events in a file, one a line.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::super::portion::Event;

/// A file that is appended to, and made anew where somebody took it away.
pub struct FileWay {
    path: PathBuf,
    /// What was written last, if nothing went wrong with it.
    file: Option<File>,
}

impl FileWay {
    pub fn new(path: &Path) -> Self {
        FileWay { path: path.to_owned(), file: None }
    }

    /// Appends the events, and syncs them.
    ///
    /// # Errors
    /// Where they are not all on the disk.
    pub fn append(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let path = self.path.display().to_string();
        let mut file = match self.file.take().filter(|file| is_at(file, &self.path)) {
            Some(file) => file,
            None => open(&self.path).with_context(|| path.clone())?,
        };
        let mut lines = Vec::new();
        for event in events {
            lines.extend_from_slice(&event.json);
            lines.push(b'\n');
        }
        file.write_all(&lines).and_then(|()| file.sync_data()).with_context(|| path.clone())?;
        // Removed, not renamed: what was written is gone with it.
        ensure!(file.metadata()?.nlink() > 0, "{path} was removed while it was written");
        self.file = Some(file);
        Ok(())
    }
}

/// Whether the file is still the one of this name.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), path.metadata()) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

fn open(path: &Path) -> anyhow::Result<File> {
    // A pipe that nobody reads would hold the opening up.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut options = File::options();
    let mut file = options.read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    ensure!(metadata.is_file(), "it is not a file");
    // A crash, or a full disk, has left half a line: the event comes again, on a line of its own.
    let mut last = [b'\n'];
    if let Some(end) = metadata.len().checked_sub(1) {
        file.read_exact_at(&mut last, end)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    sync_folder_of(path)?;
    Ok(file)
}

/// The name of a new file must last, too.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::event;
    use super::*;

    #[test]
    fn a_file_that_is_renamed_or_removed_is_made_anew_and_half_a_line_stays_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("events.jsonl"), folder.path().join("events.jsonl.1"));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let mut way = FileWay::new(&path);
        way.append(&[event(0), event(1)]).unwrap();
        way.append(&[event(2)]).unwrap();
        std::fs::rename(&path, &old).unwrap();
        way.append(&[event(3)]).unwrap();
        assert_eq!(read(&old), "{\"entry\":0}\n{\"entry\":1}\n{\"entry\":2}\n");
        assert_eq!(read(&path), "{\"entry\":3}\n");
        std::fs::remove_file(&path).unwrap();
        way.append(&[event(4)]).unwrap();
        assert_eq!(read(&path), "{\"entry\":4}\n");
        std::fs::write(&path, "{\"entry\":4}\n{\"ent").unwrap();
        let mut way = FileWay::new(&path);
        way.append(&[event(5)]).unwrap();
        assert_eq!(read(&path), "{\"entry\":4}\n{\"ent\n{\"entry\":5}\n");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_pipe_and_a_folder_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        assert!(FileWay::new(folder.path()).append(&[event(0)]).is_err());
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let error = FileWay::new(&pipe).append(&[event(0)]).unwrap_err();
        assert!(format!("{error:#}").contains("not a file"), "{error:#}");
    }
}
