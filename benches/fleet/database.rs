//! What gateways and their database have spent.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::gateways::{Company, Store};
use super::postgres::Postgres;

/// So far.
pub struct Meter {
    at: Instant,
    gateways: Duration,
    drafts: f64,
    commits: f64,
    database: Option<Database>,
}

/// Between two moments.
pub struct Spent {
    pub time: Duration,
    /// CPU.
    pub gateways: Duration,
    pub drafts: f64,
    pub commits: f64,
    pub database: Option<Database>,
}

#[derive(Clone, Copy)]
pub struct Database {
    pub cpu: Duration,
    /// Bytes of write-ahead log.
    pub wal: f64,
}

impl Meter {
    pub fn read(company: &Company) -> Result<Meter> {
        let (mut gateways, mut drafts, mut commits) = (Duration::ZERO, 0.0, 0.0);
        for node in &company.nodes {
            gateways += node.cpu()?;
            let (more, times) = node.commits()?;
            (drafts, commits) = (drafts + more, commits + times);
        }
        let database = match &company.store {
            Store::Sqlite => None,
            Store::Postgres(postgres) => Some(Database::read(postgres)?),
        };
        Ok(Meter { at: Instant::now(), gateways, drafts, commits, database })
    }

    pub fn since(&self, before: &Meter) -> Spent {
        let database = self.database.zip(before.database).map(|(now, before)| now.since(&before));
        Spent {
            time: self.at - before.at,
            gateways: self.gateways - before.gateways,
            drafts: self.drafts - before.drafts,
            commits: self.commits - before.commits,
            database,
        }
    }
}

impl Database {
    pub fn read(postgres: &Postgres) -> Result<Database> {
        let wal = postgres.sql("postgres", "SELECT pg_current_wal_lsn() - '0/0'").parse()?;
        Ok(Database { cpu: of_server(postgres.pid().parse()?)?, wal })
    }

    pub fn since(&self, before: &Database) -> Database {
        Database { cpu: self.cpu.saturating_sub(before.cpu), wal: self.wal - before.wal }
    }
}

/// Fields of proc_pid_stat(5), from the third on.
fn stat(process: u32) -> Result<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("not a line of stat")?;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// Linux counts in hundredths of a second.
fn ticks(fields: &[String], from: usize) -> Result<Duration> {
    let ticks: u64 = fields[from..from + 2].iter().map(|field| field.parse::<u64>()).sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// User and system time of a process so far.
pub fn cpu(process: u32) -> Result<Duration> {
    ticks(&stat(process)?, 11)
}

/// Of a server, of its processes, and of those that have ended.
fn of_server(server: u32) -> Result<Duration> {
    let own = stat(server)?;
    let mut sum = ticks(&own, 11)? + ticks(&own, 13)?;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has ended meanwhile is among those of the server.
        if let Ok(fields) = stat(process)
            && fields[1] == server.to_string()
        {
            sum += ticks(&fields, 11)?;
        }
    }
    Ok(sum)
}
