//! What folders say of files: enough to tell that one has changed, without opening it.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Before something that could not be taken in is tried again. What was missing may be there by then, or
/// what stood in the way gone, and no file need have changed.
const AGAIN: Duration = Duration::from_secs(5);

/// What the folders say of some files; changes when one of them does, or its owner or mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look(Vec<(PathBuf, Option<[i64; 7]>)>);

impl Look {
    /// Looks now. Waits for the file system.
    pub fn at(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let seen = files.into_iter().map(|path| {
            let told = std::fs::metadata(&path).ok().map(|told| {
                let (device, number, size) = (told.dev() as i64, told.ino() as i64, told.size() as i64);
                let changed = [told.ctime(), told.ctime_nsec()];
                [device, number, size, told.mtime(), told.mtime_nsec(), changed[0], changed[1]]
            });
            (path, told)
        });
        Look(seen.collect())
    }
}

/// Files that are taken in when they change.
#[derive(Debug, Default)]
pub struct Watched {
    seen: Look,
    /// As they were when they were taken in.
    taken: Option<Look>,
    tried: Option<(Look, Instant)>,
    /// Why they could not be, as far as that was told.
    fault: Option<String>,
}

impl Watched {
    /// Whether files that look like this are to be taken in now; where `rest` is said, only once they look
    /// the same twice.
    pub fn is_due(&mut self, look: Look, rest: bool, now: Instant) -> bool {
        let rests = look == self.seen;
        self.seen = look;
        let is_new = self.taken.as_ref() != Some(&self.seen);
        let fresh = |(tried, at): &(Look, Instant)| {
            *tried != self.seen || now.saturating_duration_since(*at) >= AGAIN
        };
        is_new && (rests || !rest) && self.tried.as_ref().is_none_or(fresh)
    }

    /// Says what came of it; gives a fault back that was not told yet.
    pub fn tried(&mut self, outcome: Result<(), String>, now: Instant) -> Option<String> {
        match outcome {
            Ok(()) => {
                (self.taken, self.tried, self.fault) = (Some(self.seen.clone()), None, None);
                None
            }
            Err(fault) => {
                self.tried = Some((self.seen.clone(), now));
                let told = self.fault.replace(fault.clone());
                (told.as_ref() != Some(&fault)).then_some(fault)
            }
        }
    }

    /// Takes the files in again, whatever they look like.
    pub fn forget(&mut self) {
        (self.taken, self.tried, self.fault) = (None, None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again_and_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let look = || Look::at([file.clone()]);
        std::fs::write(&file, "1").unwrap();
        let (mut watched, now) = (Watched::default(), Instant::now());
        assert!(!watched.is_due(look(), true, now), "it does not rest yet");
        assert!(watched.is_due(look(), true, now));
        assert_eq!(watched.tried(Err("broken".into()), now), Some("broken".into()));
        assert!(!watched.is_due(look(), true, now));
        let later = now + AGAIN;
        assert!(watched.is_due(look(), true, later));
        assert_eq!(watched.tried(Err("broken".into()), later), None);
        assert_eq!(watched.tried(Ok(()), later), None);
        assert!(!watched.is_due(look(), true, later + AGAIN));
        watched.forget();
        assert!(watched.is_due(look(), true, later));
    }

    #[test]
    fn a_mode_that_changes_is_a_change() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        let look = || Look::at([file.path().to_owned()]);
        let before = look();
        std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o644)).unwrap();
        assert_ne!(look(), before);
        assert_eq!(look(), look());
    }
}
