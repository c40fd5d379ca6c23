//! Contractors that get nothing for now. What counts is in a small file of the ledger's folder; how it came
//! about is in the ledger's entries.
//!
//! The file is written before the entry of a suspension and after that of its end: whatever is cut off, the
//! contractor stays suspended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::{files, log};

/// Why a contractor gets nothing, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub since: i64,
    pub by: String,
    pub reason: String,
}

/// The event of a `suspension` entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SuspensionEvent {
    pub contractor: String,
    pub action: SuspensionAction,
    pub by: String,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SuspensionAction {
    Suspended,
    Resumed,
}

/// The suspensions in force, by contractor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspensions {
    file: PathBuf,
    pub contractors: BTreeMap<String, Suspension>,
}

impl Suspensions {
    /// Reads those of the ledger whose index is at `path`.
    ///
    /// # Errors
    /// Where the file is there and cannot be read: who is suspended is then not known.
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        let file = log::folder(path).join("suspended.json");
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Suspensions { file, contractors: BTreeMap::new() });
            }
            Err(source) => return Err(StoreError::File { path: file, source }),
        };
        match serde_json::from_slice(&text) {
            Ok(contractors) => Ok(Suspensions { file, contractors }),
            Err(_) => Err(StoreError::Suspensions(file)),
        }
    }

    /// Puts them on the disk.
    ///
    /// # Errors
    /// Where that fails; what was there before still counts.
    pub fn store(&self) -> Result<(), StoreError> {
        // Maps of strings and numbers always serialise.
        let text = serde_json::to_vec_pretty(&self.contractors).unwrap_or_default();
        files::replace(&self.file, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspensions_are_read_back_and_a_damaged_file_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fieldgate.db");
        let mut suspensions = Suspensions::load(&path).unwrap();
        assert!(suspensions.contractors.is_empty());
        let suspension = Suspension { since: 5, by: "anna".into(), reason: "lost laptop".into() };
        suspensions.contractors.insert("parcelco".into(), suspension);
        suspensions.store().unwrap();
        assert_eq!(Suspensions::load(&path).unwrap(), suspensions);
        std::fs::write(&suspensions.file, "{\"parcelco\":").unwrap();
        assert!(matches!(Suspensions::load(&path), Err(StoreError::Suspensions(_))));
    }
}
