//! A ledger on one of the two stores, and what can happen to it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use fieldgate::ledger::{
    Change, Changes, Consents, Database, Draft, Ledger, Log, OwnKind, Receipt, RecordError, Report, Saying,
    Scope, Signer, Statements, StoreError, consents, fleet_memory, make_ledger_folder, shared_consents,
    signer, verify,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex as Turn;
use tokio::task::{block_in_place, spawn_blocking};

use super::drafts;
use crate::support::postgres::Postgres;

pub const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Disk,
    Fleet,
}

/// One node's disk, and in a fleet its database.
pub struct Desk {
    folder: TempDir,
    pub fleet: Option<Fleet>,
}

#[derive(Clone)]
pub struct Fleet {
    server: Arc<Postgres>,
    pub database: String,
    node: String,
}

/// Of this process. Who holds it last ends it.
static SERVER: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

fn server() -> Arc<Postgres> {
    let mut known = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = known.upgrade() {
        return server;
    }
    let server = Arc::new(Postgres::start());
    *known = Arc::downgrade(&server);
    server
}

impl Fleet {
    /// A database of its own.
    fn new() -> Fleet {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = server();
        let database = format!("case_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        server.sql("postgres", &format!("CREATE DATABASE {database} TEMPLATE fieldgate OWNER owner"));
        Fleet { server, database, node: "node-0".to_owned() }
    }

    pub fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.database, sql)
    }

    /// Ends the connections to it.
    fn cut(&self) {
        let sql = format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{}'",
            self.database
        );
        self.server.sql("postgres", &sql);
    }

    /// What names it in `[ledger]`, and the table `[ledger.postgres]`.
    pub fn configuration(&self) -> (String, String) {
        let (port, database) = (self.server.port, &self.database);
        let store = format!(
            "store = \"postgres://gateway@127.0.0.1:{port}/{database}\"\nfolder = \"fieldgate.db\"\n"
        );
        let (node, password) = (&self.node, self.server.password_file("of the gateway"));
        let table =
            format!("[ledger.postgres]\nnode = \"{node}\"\npassword_file = \"{}\"\n", password.display());
        (store, table)
    }

    fn address(&self) -> Database {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.server.port).user("gateway").dbname(&self.database);
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        Database { config, password_file: Some(self.server.password_file("of the gateway")), tls: None }
    }
}

/// The ledger, open, and what customers said.
pub struct Opened {
    ledger: Ledger,
    pub consents: Arc<Consents>,
    words: Words,
}

enum Words {
    Disk(Box<Turn<Statements>>),
    Fleet(Arc<Changes>),
}

impl Deref for Opened {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.ledger
    }
}

impl Desk {
    pub fn new(kind: Kind) -> Desk {
        let fleet = (kind == Kind::Fleet).then(|| block_in_place(Fleet::new));
        Desk { folder: tempfile::tempdir().unwrap(), fleet }
    }

    /// Another disk with the same keys; in a fleet, of the same node.
    pub fn beside(&self) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(self.file("signing.key"), folder.path().join("signing.key")).unwrap();
        Desk { folder, fleet: self.fleet.clone() }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn path(&self) -> PathBuf {
        self.file("fieldgate.db")
    }

    pub fn tlog(&self) -> PathBuf {
        self.file("fieldgate.tlog")
    }

    pub fn signer(&self) -> Signer {
        signer(&self.file("signing.key"), None).unwrap()
    }

    /// With the first entry, which announces the rules.
    pub async fn begin(&self) -> Opened {
        let opened = self.open().await;
        opened.record(drafts::rules()).await.unwrap();
        opened
    }

    pub async fn open(&self) -> Opened {
        self.try_open(self.signer()).await.unwrap()
    }

    pub async fn refusal(&self, signer: Signer) -> StoreError {
        self.try_open(signer).await.err().expect("it is refused")
    }

    pub async fn try_open(&self, signer: Signer) -> Result<Opened, StoreError> {
        let path = self.path();
        let Some(fleet) = &self.fleet else {
            let (index, opening) = (path.clone(), move || Ledger::open(&path, signer, DEADLINE));
            let ledger = spawn_blocking(opening).await.unwrap()?;
            let (consents, statements) = consents(&index).unwrap();
            return Ok(Opened { ledger, consents, words: Words::Disk(Box::new(Turn::new(statements))) });
        };
        make_ledger_folder(&path)?;
        let (consents, _) = shared_consents(&path).unwrap();
        let taken = Arc::clone(&consents);
        let take = Box::new(move |changes: &[Change]| {
            let said = changes.iter().flat_map(|change| match change {
                Change::Consent(said) => said.as_slice(),
                Change::Suspension { .. } => &[],
            });
            taken.take_in(said)
        });
        let (verifier, memory) = (signer.verifier().to_string(), fleet_memory(&path));
        let changes = Changes::join(fleet.address(), &fleet.node, &verifier, &[], memory, take).await?;
        let shared = Arc::clone(&changes);
        let opening = move || Ledger::open_in_fleet(&path, signer, DEADLINE, shared);
        let ledger = spawn_blocking(opening).await.unwrap()?;
        Ok(Opened { ledger, consents, words: Words::Fleet(changes) })
    }

    /// The bytes of all entries, as the store has them: those behind what is archived too.
    pub fn leaves(&self) -> Vec<Vec<u8>> {
        match &self.fleet {
            None => archived(&Log::open(&self.path()).unwrap()),
            Some(fleet) => {
                let sql = "SELECT convert_from(leaf, 'UTF8') FROM fieldgate.entry ORDER BY position";
                block_in_place(|| fleet.sql(sql)).lines().map(|line| line.as_bytes().to_vec()).collect()
            }
        }
    }

    /// The same, read; each is in its place.
    pub fn entries(&self) -> Vec<Value> {
        let leaves = self.leaves();
        let entries: Vec<Value> = leaves.iter().map(|leaf| serde_json::from_slice(leaf).unwrap()).collect();
        for (position, entry) in entries.iter().enumerate() {
            assert_eq!(entry["index"], position, "numbers have a gap");
        }
        for contractor in drafts::CONTRACTORS {
            let own = entries.iter().filter(|entry| entry["contractor"] == contractor);
            let numbers: Vec<u64> = own.filter_map(|entry| entry["sequence"].as_u64()).collect();
            assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{contractor}: {numbers:?}");
        }
        entries
    }

    pub fn verify(&self, since: Option<&str>) -> Report {
        verify(&self.path(), self.signer().verifier(), since, &mut |_, _| {}).unwrap()
    }

    pub fn assert_clean(&self) {
        let report = self.verify(None);
        assert!(report.is_clean(), "{report:?}");
    }

    pub fn lose_index(&self) {
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", self.path().display()));
        }
    }

    /// What it has now is kept under a name. To be called while it is closed.
    pub fn keep(&self, name: &str) {
        match &self.fleet {
            None => copy(&self.tlog(), &self.file(name)),
            Some(fleet) => block_in_place(|| {
                fleet.cut();
                let database = &fleet.database;
                let sql = format!("CREATE DATABASE {database}_{name} TEMPLATE {database} OWNER owner");
                fleet.server.sql("postgres", &sql);
            }),
        }
    }

    /// What was kept under a name and what is there change places.
    pub fn exchange(&self, name: &str) {
        match &self.fleet {
            None => {
                let rename = |from, to| std::fs::rename::<PathBuf, PathBuf>(from, to).unwrap();
                rename(self.tlog(), self.file("between"));
                rename(self.file(name), self.tlog());
                rename(self.file("between"), self.file(name));
            }
            Some(fleet) => block_in_place(|| {
                fleet.cut();
                let database = &fleet.database;
                let kept = format!("{database}_{name}");
                for (from, to) in [(database.as_str(), "between"), (&kept, database), ("between", &kept)] {
                    fleet.server.sql("postgres", &format!("ALTER DATABASE {from} RENAME TO {to}"));
                }
            }),
        }
    }

    /// The store is away, in the middle of whatever is written, or there again.
    pub fn take_away(&self, away: bool) {
        match &self.fleet {
            None => {
                let (here, there) = (self.tlog(), self.file("away"));
                if away {
                    std::fs::rename(here, there).unwrap();
                    return;
                }
                // A ledger that was just being opened anew may have begun a folder in its place.
                while std::fs::rename(&there, &here).is_err() {
                    let _ = std::fs::remove_dir_all(&here);
                }
            }
            Some(fleet) => block_in_place(|| {
                let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {}", fleet.database, !away);
                fleet.server.sql("postgres", &sql);
                fleet.cut();
            }),
        }
    }
}

impl Opened {
    /// In this order, all at once.
    pub async fn record_all(&self, drafts: impl IntoIterator<Item = Draft>) {
        let recording = drafts.into_iter().map(|draft| self.record(draft));
        for recorded in futures_util::future::join_all(recording).await {
            recorded.unwrap();
        }
    }

    /// Waits until all that is durable is under a signed head; its size.
    pub async fn sealed(&self) -> u64 {
        let (size, mut heads) = (self.size(), self.heads());
        let covered = heads.wait_for(|head| head.size >= size);
        tokio::time::timeout(DEADLINE, covered).await.expect("a head in time").unwrap();
        size
    }

    /// A customer objects to all: it is in force, and its entry is durable, when this returns.
    pub async fn withdraw(&self, customer: &str) -> Result<Receipt, RecordError> {
        let (subject, scope) = (customer.to_owned(), Scope::default());
        let said = [Saying { subject, scope, granted: false, time: None, receipt: None }];
        let now = jiff::Timestamp::now().as_microsecond();
        let event = json!({ "by": "anna", "action": "withdrawn", "said": now });
        let draft = Draft::own(OwnKind::Consent, uuid::Uuid::now_v7().to_string(), &event);
        match &self.words {
            Words::Disk(statements) => {
                let mut statements = statements.lock().await;
                let prepared = statements.prepare(&self.consents, &said, now).unwrap();
                statements.store(&prepared, &[]).unwrap();
                self.consents.put(&prepared);
                self.record(draft.withdrawing(prepared.generation())).await
            }
            Words::Fleet(changes) => {
                let news = self.consents.news(&said, now).unwrap();
                assert!(changes.tell(&Change::Consent(news.said), &news.receipts, &[]).await.unwrap());
                self.record(draft).await
            }
        }
    }

    /// Asks until an entry is durable again.
    pub async fn recovered(&self) -> Duration {
        let began = Instant::now();
        while self.record(drafts::refusal("parcelco")).await.is_err() {
            assert!(began.elapsed() < DEADLINE, "it does not recover");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    }
}

/// The bytes of all entries of the archive, and of the journal behind it.
pub fn archived(log: &Log) -> Vec<Vec<u8>> {
    (0..log.size()).map(|position| log.entry(position).unwrap().expect("no gap")).collect()
}

pub fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}
