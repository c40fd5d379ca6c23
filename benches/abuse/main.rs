//! What a well-behaved client notices of abuse beside it.
//!
//! A client asks for a 2 KB order 200 times a second over four HTTP/2 connections with mutual TLS, on a
//! schedule that does not wait for answers; latency is counted from the time that was planned. First it is
//! alone, then beside one attack after the other. Attacks come from another loopback address, and where they
//! need a credential from another contractor, as the limits take them apart. Gateway, upstream and attacker
//! are processes of their own. The gateway has one half of the cores, all others the other half, and of that
//! the attacker what the client and the upstream leave: a real one has a machine of its own.
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
use std::process::Command;
use std::time::{Duration, Instant};

pub use client::Client;
use process::{Cores, Process};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long each row is measured.
const ROW: Duration = Duration::from_secs(4);

/// Short enough that each of them ends something within a row.
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
            let told = runtime.block_on(attacks::run(name, attacker, ROW + Duration::from_millis(300)));
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
    let (_upstream, gateway) = process::start(folder.path(), LIMITS)?;
    cores.keep_for_gateway(&gateway)?;
    println!(
        "{} requests/s over {} connections, {ROW:?} a row; {} for the gateway, {} for its upstream, this client \
         and the attacker; time for handshakes, heads and bodies: 2 s, for connections \
         on which nothing moves: 0.7 s",
        client::RATE,
        client::CONNECTIONS,
        cores.gateway,
        cores.others
    );
    println!("| abuse | p50 ms | p99 ms | p99 to alone | not served | RSS growth MiB | how it ended |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | --- |");
    let guest = Client::new(folder.path(), "parcelco", gateway.address, [127, 0, 0, 1])?;
    client::load(&client::connect(&guest).await?, ROW / 2).await;
    let alone = row("alone", None, &guest, &gateway, folder.path()).await?;
    let is_wanted = |name: &&str| wanted.is_empty() || wanted.contains(name);
    for name in attacks::NAMES.into_iter().filter(is_wanted) {
        row(name, Some(alone), &guest, &gateway, folder.path()).await?;
    }
    row("alone, again", Some(alone), &guest, &gateway, folder.path()).await?;
    Ok(())
}

/// Measures and prints a row; its 99th percentile. Without `alone`, or under a name that is no attack, the
/// client is alone.
async fn row(
    name: &str,
    alone: Option<f64>,
    guest: &Client,
    gateway: &Process,
    folder: &Path,
) -> Result<f64, Failure> {
    let before = gateway.memory()?;
    let attacker = attacks::NAMES.contains(&name).then(|| {
        let mut command = Command::new("nice");
        command
            .args(["-n", "19"])
            .arg(std::env::current_exe()?)
            .args(["attack", name])
            .arg(folder)
            .arg(gateway.address.to_string());
        command.stdout(std::process::Stdio::piped()).spawn()
    });
    let attacker = attacker.transpose()?;
    // It connects meanwhile.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let senders = client::connect(guest).await?;
    let most = async {
        let (began, mut most) = (Instant::now(), before);
        while began.elapsed() < ROW {
            most = most.max(gateway.memory().unwrap_or_default());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        most
    };
    let (load, most) = tokio::join!(client::load(&senders, ROW), most);
    let told = match attacker {
        Some(attacker) => String::from_utf8(attacker.wait_with_output()?.stdout)?.trim().to_owned(),
        None => String::new(),
    };
    let (p50, p99) = (load.percentile(0.5), load.percentile(0.99));
    let ratio = alone.map_or(1.0, |alone| p99 / alone);
    let growth = (most - before) as f64 / 1024.0;
    println!("| {name} | {p50:.2} | {p99:.2} | {ratio:.1} | {} | {growth:.1} | {told} |", load.failed);
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(p99)
}
