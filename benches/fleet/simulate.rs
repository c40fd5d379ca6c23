//! The database as so many gateways use it, without the gateways.
//!
//! Each node has the four connections that a gateway keeps at rest: one that adds entries, in batches as they come
//! about where a commit takes what has gathered meanwhile; one that reads them back for the archive and shows a head
//! twice a second; one that listens, and asks for changes every second; one for
//! orders, which does nothing. Entries are those of a real gateway. Once a
//! second somebody suspends a contractor, or no longer, and waits until that counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fieldgate::ledger::{Change, Database, Suspension};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::database::Database as Spent;
use super::gateways::{Company, Store};
use super::load::{self, Plan};
use super::postgres::Postgres;

/// As the ledger's writer: most entries in a batch.
const BATCH: usize = 1024;
/// In a batch where each is followed by the next at once.
const FULL: usize = 16;
/// Connections that a gateway keeps.
const CONNECTIONS: usize = 4;

pub fn run(runtime: &tokio::runtime::Runtime, nodes: &[usize], rates: &[u32], seconds: u64) -> Result<()> {
    let most = nodes.iter().max().copied().unwrap_or_default();
    // What PostgreSQL has by itself, 100, is not enough for 25 nodes.
    let settings =
        [format!("max_connections={}", CONNECTIONS * most + 40), "shared_buffers=256MB".to_owned()];
    let (postgres, leaf) = real_entry(runtime, Postgres::start_with(&settings))?;
    postgres.sql("postgres", "GRANT pg_monitor TO owner");
    println!(
        "entries of {} bytes, taken from a gateway; {seconds} s each; {}\n",
        leaf.len(),
        settings.join(", ")
    );
    println!(
        "| nodes | load | entries/s | commits/s | entries a commit | append p50 / p99 ms | entry waits p50 / p99 ms | \
         suspension p50 / longest ms | CPU database % | CPU s a 1,000 entries | WAL MB/s | WAL bytes an entry | \
         disk bytes an entry | where its processes wait |"
    );
    println!(
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    );
    let loads = rates.iter().copied().map(Some).chain([None]);
    for (at, (count, rate)) in
        nodes.iter().flat_map(|count| loads.clone().map(move |rate| (*count, rate))).enumerate()
    {
        let database = format!("simulated_{at}");
        postgres.sql("postgres", &format!("CREATE DATABASE {database} TEMPLATE fieldgate OWNER owner"));
        let fleet = Fleet { postgres: &postgres, database, leaf: leaf.clone() };
        runtime.block_on(fleet.measure(count, rate, Duration::from_secs(seconds)))?;
    }
    println!("\n{}", super::machine());
    Ok(())
}

/// An entry as a gateway writes it, and the database, whose gateway has ended.
fn real_entry(runtime: &tokio::runtime::Runtime, postgres: Postgres) -> Result<(Postgres, Vec<u8>)> {
    let company = Company::open(Store::Postgres(postgres), 1)?;
    let span = Duration::from_millis(200);
    let plan = Plan { connections: 1, strangers: false, rate: Some(20.0), span };
    let answers = runtime.block_on(load::run(&company, plan))?;
    ensure!(answers.errors == 0 && !answers.ids.is_empty(), "no answer");
    let Company { nodes, store, .. } = company;
    drop(nodes);
    let Store::Postgres(postgres) = store else { unreachable!("it was given") };
    let sql = "SELECT l FROM (SELECT convert_from(leaf, 'UTF8') AS l FROM fieldgate.entry) e
        WHERE l::json ->> 'kind' = 'disclosure' LIMIT 1";
    let leaf = postgres.sql("fieldgate", sql).into_bytes();
    let sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'fieldgate' AND pid <> pg_backend_pid()";
    postgres.sql("fieldgate", sql);
    Ok((postgres, leaf))
}

struct Fleet<'p> {
    postgres: &'p Postgres,
    database: String,
    leaf: Vec<u8>,
}

/// What all nodes found out.
#[derive(Default)]
struct Seen {
    appends: Mutex<Vec<Duration>>,
    waits: Mutex<Vec<Duration>>,
    entries: AtomicU64,
    /// Batches that were written again, because of a change.
    overtaken: AtomicU64,
}

/// The last change that a node knows: its number, and the hash of all up to it.
#[derive(Clone, Default)]
struct Known(i64, Vec<u8>);

/// Of a statement.
type Parameter<'p> = &'p (dyn tokio_postgres::types::ToSql + Sync);

struct Node {
    number: i32,
    client: Client,
    append: Statement,
    size: i64,
    known: Known,
    leaf: Vec<u8>,
}

impl Fleet<'_> {
    fn address(&self, user: &str, password: &str) -> Database {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.postgres.port).user(user).dbname(&self.database);
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        Database { config, password_file: Some(self.postgres.password_file(password)), tls: None }
    }

    async fn measure(&self, count: usize, rate: Option<u32>, span: Duration) -> Result<()> {
        let gateway = self.address("gateway", "of the gateway");
        let (seen, stop) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let (mut nodes, mut behind, mut idle) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..count {
            let node = Node::join(&gateway, number, &self.leaf).await?;
            let (keeper, woken) = (gateway.connect(None).await?, Arc::new(Notify::new()));
            let listener = gateway.connect(Some(Arc::clone(&woken))).await?;
            behind.push(tokio::spawn(keep(keeper, node.number, Arc::clone(&stop))));
            behind.push(tokio::spawn(listen(listener, woken, Arc::clone(&stop))));
            idle.push(gateway.connect(None).await?);
            nodes.push(node);
        }
        let teller = nodes.first().map(|node| node.number).context("no nodes")?;
        let before = (Spent::read(self.postgres)?, self.bytes()?);
        let began = Instant::now();
        let each = rate.map(|rate| Duration::from_secs_f64(count as f64 / f64::from(rate)));
        let writers: Vec<_> = nodes
            .into_iter()
            .enumerate()
            .map(|(at, node)| {
                // Nodes do not begin at the same moment.
                let phase = each.unwrap_or_default().mul_f64(at as f64 / count as f64);
                tokio::spawn(node.write(Arc::clone(&seen), began + phase, each, began + span))
            })
            .collect();
        let told = tokio::spawn(tell(gateway.connect(None).await?, teller, began + span));
        let watched =
            tokio::spawn(watch(self.address("owner", "of the owner").connect(None).await?, began + span));
        for writer in writers {
            writer.await??;
        }
        let time = began.elapsed();
        let (told, watched) = (told.await??, watched.await??);
        stop.store(true, Ordering::Relaxed);
        for task in behind {
            task.await??;
        }
        let spent = Spent::read(self.postgres)?.since(&before.0);
        let entries = seen.entries.load(Ordering::Relaxed);
        let sql = "SELECT sum(size) - (SELECT count(*) FROM fieldgate.entry) FROM fieldgate.tree";
        ensure!(self.postgres.sql(&self.database, sql) == "0", "the trees are not as large as they say");
        let disk = (self.bytes()? - before.1) / entries as f64;
        let (appends, waits) = (sorted(&seen.appends), sorted(&seen.waits));
        let load = rate.map_or(format!("as fast as it goes, {FULL} a batch"), |rate| format!("{rate}/s"));
        let per_second = |amount: f64| amount / time.as_secs_f64();
        println!(
            "| {count} | {load} | {:.0} | {:.0} | {:.1} | {} / {} | {} / {} | {} / {} | {:.0} | {:.2} | {:.1} | {:.0} | {disk:.0} | {} |",
            per_second(entries as f64),
            per_second(appends.len() as f64),
            entries as f64 / appends.len() as f64,
            percentile(&appends, 0.5),
            percentile(&appends, 0.99),
            percentile(&waits, 0.5),
            percentile(&waits, 0.99),
            percentile(&told, 0.5),
            percentile(&told, 1.0),
            per_second(spent.cpu.as_secs_f64()) * 100.0,
            spent.cpu.as_secs_f64() * 1000.0 / entries as f64,
            per_second(spent.wal) / 1e6,
            spent.wal / entries as f64,
            words(watched, seen.overtaken.load(Ordering::Relaxed)),
        );
        Ok(())
    }

    fn bytes(&self) -> Result<f64> {
        Ok(self.postgres.sql(&self.database, "SELECT pg_database_size(current_database())").parse()?)
    }
}

impl Node {
    async fn join(address: &Database, number: usize, leaf: &[u8]) -> Result<Node> {
        let client = address.connect(None).await?;
        let name = format!("simulated-{number}");
        let sql = "INSERT INTO fieldgate.node (name, verifier) VALUES ($1, $1) RETURNING number";
        let number: i32 = client.query_one(sql, &[&name]).await?.try_get(0)?;
        client.execute("INSERT INTO fieldgate.tree (node) VALUES ($1)", &[&number]).await?;
        let append = client.prepare("SELECT fieldgate.append($1, $2, $3, $4, $5, $6, $7)").await?;
        let row = client.query_one("SELECT number, chain FROM fieldgate.shared", &[]).await?;
        let known = Known(row.try_get(0)?, row.try_get(1)?);
        Ok(Node { number, client, append, size: 0, known, leaf: leaf.to_vec() })
    }

    /// Writes an entry `each` so long, or one batch after the other.
    async fn write(
        mut self,
        seen: Arc<Seen>,
        began: Instant,
        each: Option<Duration>,
        until: Instant,
    ) -> Result<()> {
        let mut next = 0;
        while Instant::now() < until {
            let mut due = Vec::new();
            match each {
                None => due.resize(FULL, Instant::now()),
                Some(each) => {
                    tokio::time::sleep_until(began + each * next).await;
                    let now = Instant::now();
                    while began + each * next <= now && due.len() < BATCH {
                        due.push(began + each * next);
                        next += 1;
                    }
                }
            }
            self.commit(&seen, due.len()).await?;
            let waits = due.iter().map(Instant::elapsed);
            seen.waits.lock().unwrap_or_else(PoisonError::into_inner).extend(waits);
        }
        Ok(())
    }

    async fn commit(&mut self, seen: &Seen, count: usize) -> Result<()> {
        let leaves: Vec<Vec<u8>> = (0..count).map(|_| self.entry()).collect();
        let hashes: Vec<Vec<u8>> = leaves
            .iter()
            .map(|leaf| Sha256::new().chain_update([0]).chain_update(leaf).finalize().to_vec())
            .collect();
        let times = vec![jiff::Timestamp::now().as_microsecond(); count];
        loop {
            let asked = Instant::now();
            let row = self
                .client
                .query_one(
                    &self.append,
                    &[&self.number, &self.size, &self.known.0, &self.known.1, &times, &hashes, &leaves],
                )
                .await?;
            match row.try_get::<_, &str>(0)? {
                "whole" => {
                    self.size += count as i64;
                    seen.appends.lock().unwrap_or_else(PoisonError::into_inner).push(asked.elapsed());
                    seen.entries.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(());
                }
                outcome => {
                    ensure!(outcome == "overtaken", "{outcome}");
                    seen.overtaken.fetch_add(1, Ordering::Relaxed);
                    self.known = catch_up(&self.client, &self.known).await?;
                }
            }
        }
    }

    /// With an id of its own.
    fn entry(&self) -> Vec<u8> {
        let mut leaf = self.leaf.clone();
        let id = Uuid::now_v7().to_string();
        if let Some(at) = leaf.windows(6).position(|window| window == b"\"id\":\"") {
            leaf[at + 6..at + 6 + id.len()].copy_from_slice(id.as_bytes());
        }
        leaf
    }
}

/// The question of `ledger::postgres::changes`.
async fn catch_up(client: &Client, known: &Known) -> Result<Known> {
    let sql = "SELECT s.number, c.number, c.body, c.chain FROM fieldgate.shared s LEFT JOIN LATERAL
        (SELECT number, body, chain FROM fieldgate.change WHERE number > $1 ORDER BY number LIMIT 10000) c ON true";
    let rows = client.query(sql, &[&known.0]).await?;
    let Some(row) = rows.last() else { return Ok(known.clone()) };
    let Some(number) = row.try_get(1)? else { return Ok(known.clone()) };
    Ok(Known(number, row.try_get(3)?))
}

/// Reads entries back, and shows a head.
async fn keep(client: Client, node: i32, stop: Arc<AtomicBool>) -> Result<()> {
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let from = next;
        loop {
            let sql = "SELECT position, hash, leaf FROM fieldgate.entry
                WHERE node = $1 AND position >= $2 AND position < $3 ORDER BY position LIMIT 1024";
            let rows = client.query(sql, &[&node, &next, &i64::MAX]).await?;
            next += rows.len() as i64;
            if rows.len() < 1024 {
                break;
            }
        }
        if next > from {
            let sql = "SELECT fieldgate.seal($1, $2, $3)";
            client.execute(sql, &[&node, &next, &"n".repeat(220)]).await?;
        }
    }
    Ok(())
}

/// Asks for changes where it is told to, and once a second.
async fn listen(client: Client, woken: Arc<Notify>, stop: Arc<AtomicBool>) -> Result<()> {
    client.batch_execute("LISTEN fieldgate_change").await?;
    let mut known = Known::default();
    while !stop.load(Ordering::Relaxed) {
        known = catch_up(&client, &known).await?;
        let _ = tokio::time::timeout(Duration::from_secs(1), woken.notified()).await;
    }
    Ok(())
}

/// Once a second; how long each took.
async fn tell(client: Client, node: i32, until: Instant) -> Result<Vec<Duration>> {
    let (mut took, mut known, contractor) =
        (Vec::new(), catch_up(&client, &Known::default()).await?, "parcelco");
    let (none, events): (Vec<Vec<u8>>, Vec<String>) = Default::default();
    while Instant::now() + Duration::from_secs(1) < until {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let suspension = took.len().is_multiple_of(2).then(|| Suspension {
            since: jiff::Timestamp::now().as_microsecond(),
            by: "otto".to_owned(),
            reason: "a laptop was lost".to_owned(),
        });
        let body =
            serde_json::to_string(&Change::Suspension { contractor: contractor.to_owned(), suspension })?;
        let asked = Instant::now();
        let sql = "SELECT fieldgate.tell($1, $2, $3, $4, $5, $6)";
        let asked_as = &[&node as Parameter, &known.0, &known.1, &body, &none, &events];
        let told: bool = client.query_one(sql, asked_as).await?.try_get(0)?;
        ensure!(told, "it was not taken");
        known = catch_up(&client, &known).await?;
        took.push(asked.elapsed());
    }
    took.sort_unstable();
    Ok(took)
}

/// What the server's processes that work wait for, and how many there are, looked at ten times a second.
async fn watch(client: Client, until: Instant) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    while Instant::now() < until {
        let sql = "SELECT coalesce(wait_event_type || ' ' || wait_event, 'nothing'), count(*) FROM pg_stat_activity
            WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1";
        for row in client.query(sql, &[]).await? {
            *found.entry(row.try_get(0)?).or_default() += row.try_get::<_, i64>(1)? as u64;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(found)
}

/// The three that are met most.
fn words(watched: BTreeMap<String, u64>, overtaken: u64) -> String {
    let sum: u64 = watched.values().sum();
    let mut waits: Vec<(String, u64)> = watched.into_iter().collect();
    waits.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut words: Vec<String> =
        waits.iter().take(3).map(|(name, count)| format!("{name} {}%", count * 100 / sum.max(1))).collect();
    words.push(format!("{overtaken} batches twice"));
    words.join(", ")
}

fn sorted(waits: &Mutex<Vec<Duration>>) -> Vec<Duration> {
    let mut waits = std::mem::take(&mut *waits.lock().unwrap_or_else(PoisonError::into_inner));
    waits.sort_unstable();
    waits
}

/// In milliseconds.
fn percentile(sorted: &[Duration], share: f64) -> String {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or("-".to_owned(), |wait| format!("{:.1}", wait.as_secs_f64() * 1e3))
}
