//! Files that only their owner may read.
//!
//! **Guarantees.** A secret is read only where no one else can read its file, and written with mode
//! 0600, durably, never over another file. What is read is overwritten when it is dropped. An error names
//! the file, never its content, and the command that mends it.
//!
//! **Trusts** the file system's modes, and root. **Must not** know what the secrets are for. **Called by** all
//! rooms that have some.

use std::fmt;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{Read, Write};
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// What a secret's file holds. Overwritten when it is dropped; its debug form shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        SecretBytes(Zeroizing::new(bytes))
    }
}

impl Deref for SecretBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

/// Why a secret cannot be read, or not be trusted.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} can be read by others (mode {mode:03o}); run: chmod 600 {}", path.display(), shell(path))]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} is open to others (mode {mode:03o}); run: chmod 700 {}", path.display(), shell(path))]
    OpenFolder { path: PathBuf, mode: u32 },
    #[error("{} can be replaced by everybody (mode {mode:03o}); run: chmod o-w {}", path.display(), shell(path))]
    Replaceable { path: PathBuf, mode: u32 },
    #[error("{} belongs to user {owner}; run: chown {user} {}", path.display(), shell(path))]
    Foreign { path: PathBuf, owner: u32, user: u32 },
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
pub fn read(path: &Path) -> Result<SecretBytes, SecretError> {
    let io = |source| SecretError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if is_open(&metadata) {
        return Err(SecretError::Exposed { path: path.to_owned(), mode: mode(&metadata) });
    }
    // With room for one byte more, it need not grow to see the end: what it grew out of would stay in memory.
    let mut bytes = SecretBytes::from(Vec::with_capacity(metadata.len() as usize + 1));
    file.read_to_end(&mut bytes.0).map_err(io)?;
    Ok(bytes)
}

/// All that is wrong with secrets and the folders that they are in: a file that others can read, one of
/// another user than this process's or root, a folder in which everybody can replace it. Files that are
/// missing are passed over.
pub fn faults<'a>(files: impl IntoIterator<Item = &'a Path>) -> Vec<SecretError> {
    let mut found = Vec::new();
    for path in files {
        let Some(metadata) = metadata(path, &mut found) else { continue };
        if is_open(&metadata) {
            found.push(SecretError::Exposed { path: path.to_owned(), mode: mode(&metadata) });
        }
        found.extend(foreign(path, &metadata));
        found.extend(replaceable(folder_of(path)));
    }
    unique(found)
}

/// All that is wrong with a file or folder that is no secret and not for others either, as [`faults`]; its
/// mode does not matter where the folder that it is in is closed.
pub fn private_faults(path: &Path) -> Vec<SecretError> {
    let mut found = Vec::new();
    let Some(metadata) = metadata(path, &mut found) else { return found };
    let is_shut_in = folder_of(path).metadata().is_ok_and(|folder| !is_open(&folder));
    if is_open(&metadata) && !is_shut_in {
        let (path, mode) = (path.to_owned(), mode(&metadata));
        found.push(match metadata.is_dir() {
            true => SecretError::OpenFolder { path, mode },
            false => SecretError::Exposed { path, mode },
        });
    }
    found.extend(foreign(path, &metadata));
    found.extend(replaceable(folder_of(path)));
    unique(found)
}

fn metadata(path: &Path, found: &mut Vec<SecretError>) -> Option<Metadata> {
    match path.metadata() {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => {
            found.push(SecretError::Io { path: path.to_owned(), source });
            None
        }
    }
}

fn is_open(metadata: &Metadata) -> bool {
    mode(metadata) & 0o077 != 0
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

fn foreign(path: &Path, metadata: &Metadata) -> Option<SecretError> {
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    is_foreign(owner, user).then(|| SecretError::Foreign { path: path.to_owned(), owner, user })
}

/// Root may read and write everything anyway.
fn is_foreign(owner: u32, user: u32) -> bool {
    owner != user && owner != 0
}

/// Where the folder has the sticky bit, as `/tmp` has, only who owns a file can replace it.
fn replaceable(folder: &Path) -> Option<SecretError> {
    const STICKY: u32 = 0o1000;
    let mode = mode(&folder.metadata().ok()?);
    let is_replaceable = mode & 0o002 != 0 && mode & STICKY == 0;
    is_replaceable.then(|| SecretError::Replaceable { path: folder.to_owned(), mode })
}

/// A folder of several secrets is named once.
fn unique(mut found: Vec<SecretError>) -> Vec<SecretError> {
    let mut seen = std::collections::HashSet::new();
    found.retain(|error| seen.insert(error.to_string()));
    found
}

/// The path as a shell reads it.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@".contains(c);
    if text.chars().all(is_plain) && !text.starts_with('-') {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
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
    let folder = folder_of(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(folder)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn texts(found: &[SecretError]) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad, other) =
            (folder.path().join("good"), folder.path().join("it's bad"), folder.path().join("other"));
        for path in [&good, &bad, &other] {
            write(path, b"secret").unwrap();
        }
        let missing = folder.path().join("missing");
        let all = [good.as_path(), bad.as_path(), other.as_path(), missing.as_path()];
        assert_eq!(texts(&faults(all)), [""; 0]);
        set(&bad, 0o644);
        set(&other, 0o640);
        set(folder.path(), 0o777);
        let place = folder.path().display();
        assert_eq!(
            texts(&faults(all)),
            [
                format!("{place} can be replaced by everybody (mode 777); run: chmod o-w {place}"),
                format!(
                    r"{place}/it's bad can be read by others (mode 644); run: chmod 600 '{place}/it'\''s bad'"
                ),
                format!("{place}/other can be read by others (mode 640); run: chmod 600 {place}/other"),
            ]
        );
        set(folder.path(), 0o1777);
        assert_eq!(faults([good.as_path()]).len(), 0, "sticky, as /tmp");
    }

    #[test]
    fn what_is_not_for_others_may_be_open_in_a_closed_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        let (file, below) = (folder.path().join("fieldgate.db"), folder.path().join("fieldgate.tlog"));
        write(&file, b"").unwrap();
        std::fs::create_dir(&below).unwrap();
        set(&file, 0o644);
        set(&below, 0o755);
        set(folder.path(), 0o700);
        assert_eq!(private_faults(&file).len() + private_faults(&below).len(), 0);
        set(folder.path(), 0o755);
        assert!(texts(&private_faults(&file))[0].contains("chmod 600 "));
        assert!(texts(&private_faults(&below))[0].contains("chmod 700 "));
    }

    #[test]
    fn a_file_of_another_user_is_named_with_who_it_should_belong_to() {
        let error = SecretError::Foreign { path: "/k".into(), owner: 1234, user: 1000 };
        assert_eq!(error.to_string(), "/k belongs to user 1234; run: chown 1000 /k");
        for (owner, user, expected) in
            [(1234, 1000, true), (1000, 1000, false), (0, 1000, false), (1000, 0, true), (0, 0, false)]
        {
            assert_eq!(is_foreign(owner, user), expected, "{owner} {user}");
        }
    }

    #[test]
    fn what_is_read_has_not_moved_in_memory_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, &[7; 5000]).unwrap();
        let bytes = read(&path).unwrap();
        assert_eq!((bytes.len(), bytes.0.capacity()), (5000, 5001));
        assert_eq!(
            format!("{bytes:?} {:?}", read(&path)),
            "SecretBytes(5000 bytes) Ok(SecretBytes(5000 bytes))"
        );
    }
}
