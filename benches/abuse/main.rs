//! What a well-behaved client notices of abuse beside it.
//!
//! A client asks for a 2 KB order 200 times a second over four HTTP/2 connections with mutual TLS, on a schedule
//! that does not wait for answers; latency is counted from the time that was planned. By turns it is alone and
//! beside an attack. Attacks come from another loopback address, and where they need a credential from another
//! contractor, as the limits take them apart. Gateway, attacker and the upstream of either are processes of their
//! own. The gateway has one half of the cores, all others the other half, and of that the attacker and its upstream
//! what is left: real ones have machines of their own.
//!
//! `cargo bench --bench abuse`, with `-- 'slow readers'` that row only; `-- idle 1000` measures the memory of idle
//! connections instead, `-- reload 100` what the client notices of rules of so many contractors that change.

mod attacks;
mod client;
#[allow(clippy::unwrap_used, reason = "it is shared with the tests, where what cannot go on has failed")]
#[path = "../../tests/e2e/support/h2_raw.rs"]
#[allow(dead_code)]
mod h2_raw;
mod idle;
mod process;
mod reload;

use std::path::Path;
use std::time::{Duration, Instant};

pub use client::Client;
use process::{Cores, Process};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long each slice is measured.
const SLICE: Duration = Duration::from_secs(4);
/// Slices beside each abuse.
const ROUNDS: usize = 5;

/// Short enough that each of them ends something within a slice.
const LIMITS: &str = r#"
[limits]
handshake_timeout = "2s"
header_timeout = "2s"
body_timeout = "2s"
idle_timeout = "700ms"
"#;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["order"] => tokio::runtime::Runtime::new()?.block_on(process::upstream()),
        ["attack", name, folder, address] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let attacker = Client::new(Path::new(folder), "swiftpost", address.parse()?, [127, 0, 0, 2])?;
            let told = runtime.block_on(attacks::run(name, attacker, SLICE + Duration::from_millis(300)));
            // What still waits for an answer does not hold it up.
            runtime.shutdown_background();
            println!("{told}");
            Ok(())
        }
        ["reload", count] => tokio::runtime::Runtime::new()?.block_on(reload::measure(count.parse()?)),
        ["idle", count] => tokio::runtime::Runtime::new()?.block_on(idle::measure(count.parse()?)),
        _ => {
            let unknown = words.iter().find(|word| !attacks::NAMES.contains(word));
            if let Some(word) = unknown {
                return Err(format!("{word:?} is none of {:?}", attacks::NAMES).into());
            }
            let cores = Cores::halves()?;
            cores.leave_gateways()?;
            tokio::runtime::Runtime::new()?.block_on(measure(cores, &words))
        }
    }
}

async fn measure(cores: Cores, wanted: &[&str]) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (_upstreams, gateway) = process::start(folder.path(), LIMITS)?;
    cores.keep_for_gateway(&gateway)?;
    println!(
        "{} requests/s over {} connections, {ROUNDS} rounds of {SLICE:?} alone and {SLICE:?} beside the abuse; {} \
         for the gateway, {} for this client and its upstream, and what they leave for the attacker and its own \
         (SCHED_IDLE); upstreams send in steps of 64 KiB; time for handshakes, heads and bodies: 2 s, for \
         connections on which nothing moves: 0.7 s. Medians of the rounds, of the ratio also the most; stolen is \
         what the machine's host kept of the time that was wanted",
        client::RATE,
        client::CONNECTIONS,
        cores.gateway,
        cores.others
    );
    println!(
        "| abuse | p50 ms, alone | beside it | p99 ms, alone | beside it | p99 to alone | not served | \
         RSS growth MiB | stolen % | how it ended, last round |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    let guest = Client::new(folder.path(), "parcelco", gateway.address, [127, 0, 0, 1])?;
    let bench = Bench { guest, gateway, folder: folder.path() };
    bench.slice(None).await?;
    let is_wanted = |name: &&str| wanted.is_empty() || wanted.contains(name);
    for name in attacks::NAMES.into_iter().filter(is_wanted) {
        bench.row(name).await?;
    }
    Ok(())
}

struct Bench<'a> {
    guest: Client,
    gateway: Process,
    folder: &'a Path,
}

/// What was seen in a slice of time.
struct Slice {
    load: client::Load,
    /// By how much the gateway's memory grew, in KiB.
    growth: u64,
    /// How the attacker's connections ended.
    told: String,
}

impl Bench<'_> {
    /// Measures an abuse and prints what was seen. A machine with neighbours is not the same from second to
    /// second: each slice beside the abuse is held against those before and after it.
    async fn row(&self, name: &str) -> Result<(), Failure> {
        let before = process::stolen()?;
        let (mut alone, mut beside) = (vec![self.slice(None).await?], Vec::new());
        for _ in 0..ROUNDS {
            beside.push(self.slice(Some(name)).await?);
            alone.push(self.slice(None).await?);
        }
        let after = process::stolen()?;
        let percentiles =
            |slices: &[Slice], share| slices.iter().map(|slice| slice.load.percentile(share)).collect();
        let usual: Vec<f64> = percentiles(&alone, 0.99);
        let abused: Vec<f64> = percentiles(&beside, 0.99);
        let ratios: Vec<f64> = abused
            .iter()
            .zip(usual.windows(2))
            .map(|(p99, around)| 2.0 * p99 / (around[0] + around[1]))
            .collect();
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} ({:.1}) | {} | {:.1} | {:.0} | {} |",
            median(percentiles(&alone, 0.5)),
            median(percentiles(&beside, 0.5)),
            median(usual),
            median(abused),
            median(ratios.clone()),
            ratios.into_iter().fold(0.0, f64::max),
            alone.iter().chain(&beside).map(|slice| slice.load.failed).sum::<usize>(),
            beside.iter().map(|slice| slice.growth).max().unwrap_or_default() as f64 / 1024.0,
            100.0 * (after.stolen - before.stolen) / (after.wanted - before.wanted),
            beside.last().map_or("", |slice| &slice.told),
        );
        Ok(())
    }

    /// The client alone, or beside an abuse.
    async fn slice(&self, abuse: Option<&str>) -> Result<Slice, Failure> {
        let before = self.gateway.memory()?;
        let attacker = abuse.map(|name| {
            let mut command = process::yielding()?;
            command.args(["attack", name]).arg(self.folder).arg(self.gateway.address.to_string());
            command.stdout(std::process::Stdio::piped()).spawn()
        });
        let attacker = attacker.transpose()?;
        // It connects meanwhile.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let senders = client::connect(&self.guest).await?;
        let most = async {
            let (began, mut most) = (Instant::now(), before);
            while began.elapsed() < SLICE {
                most = most.max(self.gateway.memory().unwrap_or_default());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            most
        };
        let (load, most) = tokio::join!(client::load(&senders, SLICE), most);
        let told = match attacker {
            Some(attacker) => String::from_utf8(attacker.wait_with_output()?.stdout)?.trim().to_owned(),
            None => String::new(),
        };
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(Slice { load, growth: most - before, told })
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}
