//! The ledger of a fleet: many gateways, one PostgreSQL.
//!
//! **Guarantees.** An entry is durable when the database has acknowledged its commit; each node has a tree of its
//! own, which grows without gaps, whatever becomes of a connection: a statement adds entries only where the tree
//! still has the size that the node knows. The same statement adds nothing where suspensions or what customers
//! said have changed and the node does not know it yet.
//!
//! **How.** `journal` commits batches, `tail` reads them back for the node's own archive and index, which stay on
//! its disk and can be made anew; `heads` says in which order nodes signed; `changes` brings what one node is told to
//! all; `leases` fills each `stock` of requests that this node may let in; `desk` is the log of what their review sides
//! do; `retention` deletes; `schema` makes the tables.
//!
//! **Trusts** the database to keep what it acknowledged, as long as it says that it syncs; an older copy of it is
//! told by the node's archive.

mod asking;
mod changes;
mod desk;
mod heads;
mod journal;
mod leases;
mod retention;
mod schema;
mod stock;
mod tail;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, RecyclingMethod};
use futures_util::future::{BoxFuture, poll_fn};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use crate::secrets;

use super::error::StoreError;

pub use changes::{Change, Changes, NotTaken, Said, Take};
pub use desk::{Desk, DeskEntry, DeskMark, follow_desk};
pub use heads::{Heads, Sealed};
pub use journal::{Asked, Committed, PostgresJournal};
pub use leases::Leases;
pub use retention::FleetRetention;
pub use schema::{Migrated, migrate};
pub use stock::{Denied, Stock};
pub use tail::{NodeState, PostgresTail, nodes};

/// To connect, and for one statement.
const CONNECT: Duration = Duration::from_secs(2);
const STATEMENT: Duration = Duration::from_secs(10);
/// Connections beside the writer's, the archive's and the one that listens.
const POOL: usize = 4;

/// Where the database is, and which node this is.
#[derive(Clone)]
pub struct Database {
    /// Host, port, user and name.
    pub config: tokio_postgres::Config,
    pub password_file: Option<PathBuf>,
    /// `None` for a database on this machine.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Why the database cannot be used. Never holds what a statement was about.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("the database does not answer within {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the database says: {message} ({code})")]
    Said { code: String, message: String },
    #[error("the connection to the database failed: {0}")]
    Connection(String),
    #[error(transparent)]
    Password(#[from] secrets::SecretError),
    #[error(
        "the database has no schema fieldgate, or no right to it; run `fieldgate fleet migrate` as its owner"
    )]
    NoSchema,
    #[error("the database has schema version {found}, and this program knows {known}; {}", if found < known { "run `fieldgate fleet migrate` as its owner" } else { "use a newer program" })]
    Version { found: i32, known: i32 },
    #[error("the database is set to {0}: what it acknowledges may be lost; set it to on")]
    NotDurable(&'static str),
    #[error("the database is a standby; connect to the primary")]
    Standby,
    #[error(
        "the database's user may change or delete entries; grant it fieldgate_gateway alone, and own the tables by another"
    )]
    TooPowerful,
    #[error(
        "node {0} signs with another key than in this database; give each node a name and a key of its own"
    )]
    OtherKey(String),
    #[error("the key of node {0} is used by another node; each node needs a signing key of its own")]
    SharedKey(String),
    #[error(
        "this node's {0} is not that of the other nodes: copy their file, so that customers have one name everywhere"
    )]
    OtherSeal(&'static str),
    #[error(
        "this user may not delete content; name the owner of the tables, as for `fieldgate fleet migrate`"
    )]
    NotOwner,
    #[error("there is no node {0} in this database")]
    NoNode(String),
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // Its detail may hold values, its message only names.
            Some(said) => {
                if matches!(*said.code(), SqlState::INVALID_SCHEMA_NAME | SqlState::UNDEFINED_TABLE) {
                    return DatabaseError::NoSchema;
                }
                DatabaseError::Said {
                    code: said.code().code().to_owned(),
                    message: said.message().to_owned(),
                }
            }
            None => {
                use std::error::Error;
                let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
                DatabaseError::Connection(format!("{error}{cause}"))
            }
        }
    }
}

impl Database {
    /// Where it is, for errors and logs.
    pub fn place(&self) -> String {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .map(|host| match host {
                tokio_postgres::config::Host::Tcp(name) => name.clone(),
                tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        format!("postgres://{}/{}", hosts.join(","), self.config.get_dbname().unwrap_or_default())
    }

    fn ready(&self) -> Result<tokio_postgres::Config, DatabaseError> {
        let mut config = self.config.clone();
        config.connect_timeout(CONNECT).tcp_user_timeout(STATEMENT);
        config.keepalives_idle(Duration::from_secs(5)).keepalives_interval(Duration::from_secs(2));
        // Of several hosts, the one that takes entries.
        config.application_name("fieldgate").target_session_attrs(TargetSessionAttrs::ReadWrite);
        if let Some(file) = &self.password_file {
            let bytes = secrets::read(file)?;
            let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
            config.password(text.trim_end());
        }
        Ok(config)
    }

    /// Connects, and wakes `woken` at each notification.
    ///
    /// # Errors
    /// Where there is no connection, or the database would lose what it acknowledges.
    pub async fn connect(&self, woken: Option<Arc<Notify>>) -> Result<Client, DatabaseError> {
        let connecting = async {
            let (client, _) = self.open(self.ready()?, woken).await?;
            prepare(&client).await?;
            Ok(client)
        };
        within(CONNECT * 2, connecting).await
    }

    async fn open(
        &self,
        config: tokio_postgres::Config,
        woken: Option<Arc<Notify>>,
    ) -> Result<Made, tokio_postgres::Error> {
        match &self.tls {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                Ok((client, tokio::spawn(drive(connection, woken))))
            }
            Some(tls) => {
                let tls = MakeRustlsConnect::new(ClientConfig::clone(tls));
                let (client, connection) = config.connect(tls).await?;
                Ok((client, tokio::spawn(drive(connection, woken))))
            }
        }
    }

    /// Connections for orders; each is checked when it is made, and made with the password that the file has then.
    ///
    /// # Errors
    /// Where the password cannot be read.
    pub fn pool(&self) -> Result<Pool, DatabaseError> {
        let terms = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let manager = Manager::from_connect(self.ready()?, self.clone(), terms);
        let check = deadpool_postgres::Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
            Box::pin(async move {
                prepare(client)
                    .await
                    .map_err(|error| deadpool_postgres::HookError::message(error.to_string()))
            })
        });
        let pool = Pool::builder(manager)
            .max_size(POOL)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(CONNECT))
            .create_timeout(Some(CONNECT * 2))
            .recycle_timeout(Some(CONNECT))
            .post_create(check)
            .build();
        pool.map_err(|error| DatabaseError::Connection(error.to_string()))
    }
}

impl Connect for Database {
    fn connect(&self, before: &tokio_postgres::Config) -> BoxFuture<'_, Result<Made, tokio_postgres::Error>> {
        let config = self.ready().unwrap_or_else(|error| {
            // It may be in the middle of being changed; the server says whether the one before is right.
            tracing::warn!(%error, "the database's password cannot be read anew");
            before.clone()
        });
        Box::pin(self.open(config, None))
    }
}

/// A connection, and what runs it.
type Made = (Client, JoinHandle<()>);

/// Runs a connection until it ends.
async fn drive<S, T>(mut connection: Connection<S, T>, woken: Option<Arc<Notify>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let (AsyncMessage::Notification(_), Some(woken)) = (message, &woken) {
            woken.notify_one();
        }
    }
    // Who waits finds out that there is none any more.
    woken.inspect(|woken| woken.notify_one());
}

/// Sees that the database keeps what it acknowledges.
async fn prepare(client: &Client) -> Result<(), DatabaseError> {
    // The server is to notice soon that nobody is there any more: the session holds the node's lock.
    let seconds = STATEMENT.as_secs();
    let sql = format!(
        "SET statement_timeout = '{seconds}s'; SET timezone = 'UTC';
        SET default_transaction_isolation = 'read committed'; SET tcp_keepalives_idle = 5;
        SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '{seconds}s'"
    );
    client.batch_execute(&sql).await?;
    let sql = "SELECT current_setting('fsync'), current_setting('full_page_writes'),
        current_setting('synchronous_commit'), pg_is_in_recovery()";
    let row = client.query_one(sql, &[]).await?;
    let text = |at: usize| row.try_get::<_, String>(at);
    if text(0)? != "on" {
        return Err(DatabaseError::NotDurable("fsync = off"));
    }
    if text(1)? != "on" {
        return Err(DatabaseError::NotDurable("full_page_writes = off"));
    }
    if row.try_get(3)? {
        return Err(DatabaseError::Standby);
    }
    // A stronger setting, which waits for a replica, stays.
    if text(2)? == "off" {
        client.batch_execute("SET synchronous_commit = on").await?;
    }
    Ok(())
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(DatabaseError::Silent(limit)))
}

/// A runtime for a thread that asks the database and does nothing else.
fn runtime() -> Result<tokio::runtime::Runtime, StoreError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| DatabaseError::Connection(error.to_string()).into())
}
