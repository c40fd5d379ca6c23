//! Why the ledger cannot be used, and what to do about it. Names files and numbers, never content.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the ledger's index {}: {source}", path.display())]
    Database { path: PathBuf, source: rusqlite::Error },
    #[error("the ledger's file {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the disk did not take {} ({source}): what it has is not known any more; check the disk and start the gateway again", path.display())]
    Sync { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Tile(super::tiles::TileError),
    #[error("the ledger {} is written faster than it can be read; try again", .0.display())]
    Busy(PathBuf),
    #[error("there is no ledger at {}; the gateway makes it when it first starts", .0.display())]
    Missing(PathBuf),
    #[error("the ledger {} is in use by another gateway", .0.display())]
    InUse(PathBuf),
    #[error("the ledger's file {} was deleted or replaced while it was open; stop the gateway, put the right one back, and start again", .0.display())]
    Replaced(PathBuf),
    #[error("the ledger {} has version {found}; this gateway knows {known}: use a newer one", path.display())]
    TooNew { path: PathBuf, found: usize, known: usize },
    #[error("entry {entry} of the ledger is damaged in {}: restore that file", path.display())]
    Damaged { path: PathBuf, entry: u64 },
    #[error("the ledger {} has {found} entries and is known to have had {known}: it was cut short, or an older copy was put back; put the newest copy of the whole folder back", path.display())]
    Shorter { path: PathBuf, found: u64, known: u64 },
    #[error("the ledger {} does not fit its own last signed head: put the newest copy of the whole folder back", .0.display())]
    Forked(PathBuf),
    #[error("{} cannot be read, so it is not known who is suspended: put it back, or remove it and suspend again who must be", .0.display())]
    Suspensions(PathBuf),
    #[error("{}: {what}; put the newest copy of the ledger's folder back", path.display())]
    Broken { path: PathBuf, what: String },
    #[error(transparent)]
    Postgres(#[from] super::postgres::DatabaseError),
    #[error("another process writes the entries of node {0}; end it, or give each node a name of its own")]
    NodeInUse(String),
    #[error(
        "the database knows of {found} changes of suspensions and consent, and {known} were in force here: an older copy was put back; put the newest copy back"
    )]
    OlderChanges { found: u64, known: u64 },
    #[error(
        "change {0} of suspensions and consent is another one in the database than was in force here: a copy without the newest changes was put back or took over, and was written on; put the newest copy back"
    )]
    OtherChanges(u64),
    #[error("change {0} of the fleet is not understood; use a newer program")]
    ChangeUnknown(u64),
    #[error(
        "node {node} has a ledger of {known} entries that the database does not have: take it there with fieldgate ledger migrate"
    )]
    NotMigrated { node: String, known: u64 },
    #[error(
        "the database has {found} entries of the review sides' log, and this node has run {known}: an older copy was put back; put the newest copy back"
    )]
    OlderDesk { found: u64, known: u64 },
    #[error(
        "entry {0} of the review sides' log was written by no node of this fleet, or is another one than this node knows: it was changed, or an older copy of the database was put back and written on"
    )]
    OtherDesk(u64),
    #[error("entry {0} of this node is missing or damaged in the database")]
    DamagedRow(u64),
    #[error(
        "the database has {found} entries of node {node}, and this node is known to have written {known}: an older copy was put back; put the newest copy back"
    )]
    OlderDatabase { node: String, found: u64, known: u64 },
    #[error(
        "entry {entry} of node {node} is another one in the database than in this node's archive: an older copy was put back and written on, or the archive is another node's; put the newest copy back"
    )]
    OtherHistory { node: String, entry: u64 },
    #[error(
        "the database knows of {found} heads of all nodes, and {known} were seen here: an older copy was put back; put the newest copy back"
    )]
    OlderHeads { found: u64, known: u64 },
    #[error(
        "the first {size} entries of node {node} in the database are not those that its key has signed: compare with the node's own archive (fieldgate ledger verify)"
    )]
    OtherTree { node: String, size: u64 },
    #[error(
        "the witness {witness} has seen {known} entries and the ledger has {found}: an older copy was put back, or two ledgers use one key; put the newest copy of the ledger's folder back"
    )]
    BehindWitness { witness: String, found: u64, known: u64 },
    #[error(
        "the witness {0} has seen another history of this ledger: two ledgers use one key, or entries were changed; put the newest copy of the ledger's folder back, or give the new ledger a key and an origin of its own"
    )]
    ForkedFromWitness(String),
}
