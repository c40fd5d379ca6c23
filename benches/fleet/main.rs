//! What gateways that share a database carry, and what the database needs for it.
//!
//! `cargo bench --bench fleet` starts a PostgreSQL of its own, an upstream, and real gateways in front of it: one with
//! SQLite, one with PostgreSQL, then several with PostgreSQL, the last time with a customer in each request whom the
//! contractor has not seen that day, who has to be counted. Load is real mutual TLS, HTTP/1.1 with keep-alive; first at
//! a closed loop, then at half of what that gave, on a schedule that does not wait for answers: latency counts from
//! the time that was planned. In the end each answer's id is looked for among the entries.
//!
//! `-- --simulate 1,10,100` drives the database as so many gateways do, without the gateways: see `simulate`.
//!
//! All of it shares the machine, so the figures are what one small machine carries with its clients, not what a
//! gateway carries. `docker/SCALE.md` says what follows from them.

mod database;
mod gateways;
mod load;
#[allow(clippy::unwrap_used, dead_code, reason = "shared with the tests, where what cannot go on has failed")]
#[path = "../../tests/e2e/support/postgres.rs"]
mod postgres;
mod simulate;

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;

use database::Meter;
use gateways::{Company, Store};
use load::{Answers, Plan};
use postgres::Postgres;

/// Measures gateways that share a database.
#[derive(Parser)]
struct Arguments {
    /// How many gateways share the database
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3])]
    nodes: Vec<usize>,
    /// Of each measurement
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Connections to each gateway
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Requests a second and gateway of the schedule; half of what the closed loop gave, where it is left out
    #[arg(long)]
    rate: Option<f64>,
    /// Drive the database as so many gateways would, without them
    #[arg(long, value_delimiter = ',', value_name = "NODES")]
    simulate: Vec<usize>,
    /// Of the simulation: entries a second, over all nodes, of the schedule
    #[arg(long, value_delimiter = ',', default_values_t = [1000])]
    entries: Vec<u32>,
    /// What the upstream runs as
    #[arg(long, hide = true)]
    upstream: bool,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if arguments.upstream {
        return runtime.block_on(gateways::upstream());
    }
    println!("{}", machine());
    if !arguments.simulate.is_empty() {
        return simulate::run(&runtime, &arguments.simulate, &arguments.entries, arguments.seconds);
    }
    println!(
        "{} connections to each gateway, {} s each; milliseconds from the planned time; CPU in percent of one core",
        arguments.connections, arguments.seconds
    );
    println!(
        "| gateways | load | requests/s of each | in sum | p50 ms | p99 ms | entries a commit | CPU gateways | CPU database | \
         database ms a 1,000 entries | WAL bytes an entry | errors |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut connections = Vec::new();
    measure(&runtime, &arguments, Store::Sqlite, 1, false, &mut connections)?;
    for nodes in &arguments.nodes {
        measure(&runtime, &arguments, Store::Postgres(Postgres::start()), *nodes, false, &mut connections)?;
    }
    if let Some(most) = arguments.nodes.iter().max() {
        measure(&runtime, &arguments, Store::Postgres(Postgres::start()), *most, true, &mut connections)?;
    }
    println!(
        "\nEach answer has its entry, and each disclosure its answer. Connections to the database, of how many"
    );
    println!("gateways: {}. {}", connections.join(", "), machine());
    Ok(())
}

/// So that figures of a busy machine are known for what they are.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, Into::into);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    format!("{cores} cores for gateways, upstream, clients and database; load averages {load}")
}

/// One setup: two rows of the table.
fn measure(
    runtime: &tokio::runtime::Runtime,
    arguments: &Arguments,
    store: Store,
    nodes: usize,
    strangers: bool,
    connections: &mut Vec<String>,
) -> Result<()> {
    let name = match (&store, strangers) {
        (Store::Sqlite, _) => format!("{nodes}, SQLite"),
        (Store::Postgres(_), false) => format!("{nodes}, PostgreSQL"),
        (Store::Postgres(_), true) => format!("{nodes}, PostgreSQL, each time a new customer"),
    };
    let company = Company::open(store, nodes)?;
    let span = Duration::from_secs(arguments.seconds);
    let plan = Plan { connections: arguments.connections, strangers, rate: None, span };
    let mut answers = Answers::default();
    // Connections are made and statements prepared before anything counts.
    answers.add(runtime.block_on(load::run(&company, Plan { span: Duration::from_secs(1), ..plan }))?);
    let closed = row(runtime, &company, &name, plan, &mut answers)?;
    let rate = arguments.rate.unwrap_or(closed / nodes as f64 / 2.0);
    row(runtime, &company, &name, Plan { rate: Some(rate), ..plan }, &mut answers)?;
    if let Store::Postgres(postgres) = &company.store {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fieldgate'";
        connections.push(format!("{} of {nodes}", postgres.sql("postgres", sql)));
    }
    let entries = company.disclosures()?;
    ensure!(entries == answers.ids, "{} answers and {} disclosures", answers.ids.len(), entries.len());
    Ok(())
}

/// Measures and prints; requests a second, in sum.
fn row(
    runtime: &tokio::runtime::Runtime,
    company: &Company,
    name: &str,
    plan: Plan,
    answers: &mut Answers,
) -> Result<f64> {
    let before = Meter::read(company)?;
    let mut found = runtime.block_on(load::run(company, plan))?;
    let spent = Meter::read(company)?.since(&before);
    let (rates, sum) = found.rates();
    let (least, most) =
        (rates.iter().copied().fold(f64::MAX, f64::min), rates.iter().copied().fold(0.0, f64::max));
    let (p50, p99) = (found.percentile(0.5), found.percentile(0.99));
    let kind = plan.rate.map_or("closed".to_owned(), |rate| format!("{rate:.0}/s each"));
    let database = spent.database.map_or(["-".to_owned(), "-".to_owned(), "-".to_owned()], |database| {
        let thousand = database.cpu.as_secs_f64() * 1e6 / spent.drafts;
        let share = database.cpu.as_secs_f64() * 100.0 / spent.time.as_secs_f64();
        [format!("{share:.0}"), format!("{thousand:.0}"), format!("{:.0}", database.wal / spent.drafts)]
    });
    println!(
        "| {name} | {kind} | {least:.0} to {most:.0} | {sum:.0} | {p50:.2} | {p99:.2} | {:.1} | {:.0} | {} | {} | {} | {} |",
        spent.drafts / spent.commits,
        spent.gateways.as_secs_f64() * 100.0 / spent.time.as_secs_f64(),
        database[0],
        database[1],
        database[2],
        found.errors
    );
    ensure!(found.errors == 0, "{} requests failed", found.errors);
    answers.add(found);
    Ok(sum)
}
