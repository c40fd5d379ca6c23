//! Which entries of the gathered ledger came from which node: stretches of entries that follow each other in both.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::super::error::StoreError;
use super::super::log;
use super::progress::{Gathered, gathered};

/// Bytes of a run in the file: three numbers, little-endian.
const SIZE: u64 = 24;

/// From where the entries from `first` on came, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub first: u64,
    pub node: i32,
    /// The number of the first one in the node's own tree.
    pub index: u64,
}

/// The file.
pub struct Runs {
    file: File,
    path: PathBuf,
    count: u64,
}

impl Runs {
    /// Opens it for writing, without what is said of entries that are not there.
    ///
    /// # Errors
    /// Where it cannot be used, or does not begin at the first entry.
    pub fn open(folder: &Path, entries: u64) -> Result<Self, StoreError> {
        let path = folder.join("runs");
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let mut runs = Runs::with(&options, path)?;
        while runs.count > 0 && runs.run(runs.count - 1)?.first >= entries {
            runs.count -= 1;
        }
        if (runs.count == 0) != (entries == 0) {
            let what = "does not say where the entries came from".to_owned();
            return Err(StoreError::Broken { path: runs.path, what });
        }
        runs.file.set_len(runs.count * SIZE).map_err(|source| runs.error(source))?;
        Ok(runs)
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        Runs::with(File::options().read(true), folder.join("runs"))
    }

    fn with(options: &std::fs::OpenOptions, path: PathBuf) -> Result<Self, StoreError> {
        let io = |source| StoreError::File { path: path.clone(), source };
        let file = options.open(&path).map_err(io)?;
        let count = file.metadata().map_err(io)?.len() / SIZE;
        Ok(Runs { file, path, count })
    }

    /// Adds runs; they are on the disk when this returns.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn append(&mut self, runs: &[Run]) -> Result<(), StoreError> {
        if runs.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(runs.len() * SIZE as usize);
        for run in runs {
            bytes.extend(run.first.to_le_bytes());
            bytes.extend(i64::from(run.node).to_le_bytes());
            bytes.extend(run.index.to_le_bytes());
        }
        let written = self.file.write_all_at(&bytes, self.count * SIZE).and_then(|()| self.file.sync_data());
        written.map_err(|source| self.error(source))?;
        self.count += runs.len() as u64;
        Ok(())
    }

    fn run(&self, number: u64) -> Result<Run, StoreError> {
        let mut bytes = [0; SIZE as usize];
        self.file.read_exact_at(&mut bytes, number * SIZE).map_err(|source| self.error(source))?;
        let word = |at: usize| {
            let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
            u64::from_le_bytes(word.unwrap_or_default())
        };
        Ok(Run { first: word(0), node: word(8) as i32, index: word(16) })
    }

    /// The run that an entry is in, and its number in its node's tree.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn find(&self, entry: u64) -> Result<Option<(i32, u64)>, StoreError> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.run(middle)?.first <= entry {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some(last) = low.checked_sub(1) else { return Ok(None) };
        let run = self.run(last)?;
        Ok(Some((run.node, run.index + (entry - run.first))))
    }

    /// Where entries of a node are; `positions` are their numbers in its tree, in rising order. Those that are not there
    /// yet are left out. `end` is the number of entries in all.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn places(&self, node: i32, positions: &[u64], end: u64) -> Result<Vec<u64>, StoreError> {
        let mut wanted = positions.iter().copied().peekable();
        let mut places = Vec::new();
        for number in 0..self.count {
            if wanted.peek().is_none() {
                break;
            }
            let run = self.run(number)?;
            if run.node != node {
                continue;
            }
            let until = if number + 1 < self.count { self.run(number + 1)?.first } else { end };
            let index_end = run.index + (until - run.first);
            while let Some(position) = wanted.next_if(|position| *position < index_end) {
                places.push(run.first + (position - run.index));
            }
        }
        Ok(places)
    }

    fn error(&self, source: std::io::Error) -> StoreError {
        StoreError::File { path: self.path.clone(), source }
    }
}

/// Where an entry of a gathered ledger is in its node's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The node's name.
    pub node: String,
    /// Its number there.
    pub index: u64,
}

/// Says where entries of a gathered ledger came from.
pub struct Origins {
    runs: Runs,
    gathered: Gathered,
}

impl Origins {
    /// Of the ledger whose index or folder is at `path`; `None` where it is one of a single gateway.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        let folder = log::folder(path);
        if !folder.join("runs").exists() {
            return Ok(None);
        }
        Ok(Some(Origins { runs: Runs::read(&folder)?, gathered: gathered(path)? }))
    }

    /// Of an entry.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn of(&self, entry: u64) -> Result<Option<Origin>, StoreError> {
        let Some((node, index)) = self.runs.find(entry)? else { return Ok(None) };
        let name = self.gathered.nodes.iter().find(|known| known.number == node);
        let node = name.map_or_else(|| format!("number {node}"), |known| known.name.clone());
        Ok(Some(Origin { node, index }))
    }
}

/// Goes over all entries from the first on, and says whose they are.
pub struct Walk {
    runs: Runs,
    /// The next entry, and the next run.
    entry: u64,
    run: u64,
    node: i32,
    /// The first entry of the next run.
    until: u64,
}

impl Walk {
    /// `None` where the ledger in `folder` is one of a single gateway.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn begin(folder: &Path) -> Result<Option<Self>, StoreError> {
        if !folder.join("runs").exists() {
            return Ok(None);
        }
        Ok(Some(Walk { runs: Runs::read(folder)?, entry: 0, run: 0, node: 0, until: 0 }))
    }

    /// The node of the next entry. What cannot be read any more counts for the last one: its numbers do not fit then.
    pub fn next_node(&mut self) -> i32 {
        while self.entry >= self.until {
            let Ok(run) = self.runs.run(self.run) else { break };
            self.node = run.node;
            self.run += 1;
            self.until = self.runs.run(self.run).map_or(u64::MAX, |next| next.first);
        }
        self.entry += 1;
        self.node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_in_its_run_and_runs_of_lost_entries_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut runs = Runs::open(folder.path(), 0).unwrap();
        let list = [(0, 2, 0), (5, 1, 0), (6, 2, 5), (20, 3, 7)];
        runs.append(&list.map(|(first, node, index)| Run { first, node, index })).unwrap();
        let found = |runs: &Runs, entry| runs.find(entry).unwrap().unwrap();
        for (entry, place) in
            [(0, (2, 0)), (4, (2, 4)), (5, (1, 0)), (6, (2, 5)), (19, (2, 18)), (25, (3, 12))]
        {
            assert_eq!(found(&runs, entry), place, "{entry}");
        }
        assert_eq!(runs.places(2, &[0, 4, 6, 18], 30).unwrap(), [0, 4, 7, 19]);
        assert_eq!(runs.places(3, &[7, 16, 17], 30).unwrap(), [20, 29], "one is not there yet");
        // The archive was written up to there only.
        let mut runs = Runs::open(folder.path(), 6).unwrap();
        assert_eq!(found(&runs, 19), (1, 14));
        runs.append(&[Run { first: 6, node: 9, index: 1 }]).unwrap();
        assert_eq!(found(&runs, 6), (9, 1));
        assert!(Runs::open(folder.path(), 0).is_ok());
        assert!(matches!(Runs::open(folder.path(), 3), Err(StoreError::Broken { .. })));
    }
}
